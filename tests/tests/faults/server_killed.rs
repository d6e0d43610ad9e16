//! The server itself is killed under load, as a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use belay_tests::instance::{insistent, literal};
use belay_tests::{SHOP, run, until};
use secrecy::{ExposeSecret, SecretString};
use tokio::join;
use tokio::process::{Child, Command};

use super::load::{Load, audit};

const KILLS: usize = 4;
/// Calls that are acknowledged between two kills, at least.
const CALLS_BETWEEN: usize = 200;

#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    run(async |t| {
        let program = program().await;
        let address = free_address();
        let mut server = start(&program, address, &t.database.url()).await;
        let load = Load::default();
        let kill = async {
            for _ in 0..KILLS {
                load.progress(CALLS_BETWEEN).await;
                server.kill().await.expect("it can be killed");
                server = start(&program, address, &t.database.url()).await;
            }
            load.progress(CALLS_BETWEEN).await;
            load.stop();
        };
        let belay = literal(address);
        let (journeys, ()) = join!(load.run(&belay), kill);
        eprintln!("{KILLS} kills of the server: {} orders, {}", journeys.len(), load.counts());
        server.kill().await.expect("it can be killed");

        // Another server knows all that the killed one has acknowledged.
        audit(&journeys, &insistent(t.address()), &t.database).await;
    });
}

/// The binary `belay` as it was built with this test, or built now.
async fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a test has a path");
    let folder = this.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
    let program = folder.join("belay");
    if !program.exists() {
        let target = folder.parent().expect("a profile's folder is in the target folder");
        let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        build.args(["build", "--package", "belay-server", "--bin", "belay", "--target-dir"]).arg(target);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().await.is_ok_and(|status| status.success()));
    }
    program
}

/// An address whose port nobody listens on; below the range from which outgoing connections take theirs, so that it stays free
/// while the server is down.
fn free_address() -> SocketAddr {
    let first = 10_000 + u16::try_from(std::process::id() % 5_000).expect("a small number");
    let mut addresses = (first..20_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}

/// Starts it and waits until it answers.
async fn start(program: &Path, address: SocketAddr, database: &SecretString) -> Child {
    let mut server = Command::new(program);
    server.args(["serve", "--trust-role-header", "--grpc-address", &address.to_string()]);
    server.env("BELAY_DATABASE_URL", database.expose_secret());
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let server = server.spawn().expect("the binary can be run");
    let auditor = literal(address).with_role(belay_client::Role::Auditor, "test").expect("a role to call in");
    until("the server answers", async || auditor.store(SHOP).get_store().await.ok()).await;
    server
}
