//! The server itself is killed under load, as a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use belay_client::model::OrderState;
use belay_tests::database::Database;
use belay_tests::feed::WITH_ALL_EVENTS;
use belay_tests::instance::{insistent, literal, storefront};
use belay_tests::load::{Load, audit};
use belay_tests::shop::new_order;
use belay_tests::{SHOP, TestServer, run, run_at, stock, until};
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::join;
use tokio::process::{Child, Command};

const KILLS: usize = 4;
/// Calls that are acknowledged between two kills, at least.
const CALLS_BETWEEN: usize = 200;

#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    run(async |t| {
        let program = program().await;
        let address = free_address();
        let mut server = start(&program, address, &t.database.serve_url().await).await;
        let load = Load::default();
        let kill = async {
            for _ in 0..KILLS {
                load.progress(CALLS_BETWEEN).await;
                server.kill().await.expect("it can be killed");
                server = start(&program, address, &t.database.serve_url().await).await;
            }
            load.progress(CALLS_BETWEEN).await;
            load.stop();
        };
        let belay = literal(address);
        let (journeys, ()) = join!(load.run(&belay), kill);
        eprintln!(
            "{KILLS} kills of the server: {} orders, {}",
            journeys.len(),
            load.counts()
        );
        server.kill().await.expect("it can be killed");

        // Another server knows all that the killed one has acknowledged.
        audit(&journeys, &insistent(t.address()), &t.database).await;
        // Nor has the stock lost or doubled anything, projected by both.
        stock::is_as_rebuilt(&t.database).await;
    });
}

#[test]
fn a_server_killed_while_it_drains_loses_no_due_order() {
    /// Enough that none of the killed servers closes them all.
    const DUE: usize = 4_000;
    // By the harness's clock, which stands still, none of them is ever due: the killed servers go
    // by the database's own.
    run_at("2025-03-03T10:00:00Z", async |t| {
        let belay = insistent(t.address());
        let shop = storefront(&belay);
        let place = async |number: usize| {
            new_order(&shop, &format!("DUE-{number}"))
                .await
                .expect("an order");
        };
        futures_util::stream::iter((0..DUE).map(place))
            .buffer_unordered(128)
            .collect::<()>()
            .await;
        assert_eq!(closed(&t.database).await, 0);

        let program = program().await;
        let address = free_address();
        let mut before = 0;
        for kill in 1..=KILLS {
            let mut server = start(&program, address, &t.database.serve_url().await).await;
            // Early, so that it is killed in the middle also where this test is slow to look.
            drained(&t.database, (DUE * kill / (8 * KILLS)).max(before + 1)).await;
            server.kill().await.expect("it can be killed");
            let after = closed(&t.database).await;
            assert!(
                (before + 1..DUE).contains(&after),
                "killed in the middle: {before} closed, then {after} of {DUE}"
            );
            eprintln!("kill {kill}: {after} of {DUE} are closed");
            before = after;
        }
        let mut server = start(&program, address, &t.database.serve_url().await).await;
        drained(&t.database, DUE).await;
        server.kill().await.expect("it can be killed");
        closed_once(t, DUE).await;
    });
}

async fn closed(database: &Database) -> usize {
    database
        .row::<(usize,)>(
            "SELECT COUNT(*) FROM orders WHERE state = 'CLOSED_UNPAID'",
            (),
        )
        .await
        .0
}

/// Waits until so many unpaid orders are closed, for as long as there are more and more of them.
async fn drained(database: &Database, orders: usize) {
    let mut before = closed(database).await;
    while before < orders {
        let more = async || Some(closed(database).await).filter(|now| *now > before);
        before = until("more unpaid orders are closed", more).await;
    }
}

/// Every order took one step after its first, and that step wrote what it writes for any order,
/// once.
async fn closed_once(t: &TestServer, orders: usize) {
    let database = &t.database;
    let count = async |what: &str| {
        database
            .row::<(usize,)>(&format!("{WITH_ALL_EVENTS} SELECT COUNT({what}"), ())
            .await
            .0
    };
    assert_eq!(count("*) FROM orders").await, orders);
    assert_eq!(
        count("*) FROM orders WHERE state = 'CLOSED_UNPAID' AND version = 2").await,
        orders
    );
    assert_eq!(count("*) FROM cancellations").await, orders);
    assert_eq!(
        count("DISTINCT order_key) FROM cancellations").await,
        orders
    );
    assert_eq!(count("*) FROM all_events").await, 2 * orders);
    assert_eq!(
        count("DISTINCT order_key, order_version) FROM all_events").await,
        2 * orders
    );

    let order = t.order("DUE-0").await;
    assert_eq!(
        (order.state, order.cancellations.len()),
        (OrderState::ClosedUnpaid, 1)
    );
    let history = t.history("DUE-0").await.len();
    let sql = "SELECT order_id, CAST(SUM(event_count) AS UNSIGNED) told FROM all_events JOIN orders USING (order_key) \
        GROUP BY order_id HAVING told <> ?";
    let sql = format!("{WITH_ALL_EVENTS} {sql}");
    let others: Vec<(String, usize)> = database.rows(&sql, (history,)).await;
    assert_eq!(
        others,
        [],
        "each tells the {history} events that one of them tells"
    );
}

/// The binary `belay` as it was built with this test, or built now.
pub(super) async fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a test has a path");
    let folder = this
        .parent()
        .and_then(Path::parent)
        .expect("a test is in target/<profile>/deps");
    let program = folder.join("belay");
    if !program.exists() {
        let target = folder
            .parent()
            .expect("a profile's folder is in the target folder");
        let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        build
            .args([
                "build",
                "--package",
                "belay-server",
                "--bin",
                "belay",
                "--target-dir",
            ])
            .arg(target);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .await
                .is_ok_and(|status| status.success())
        );
    }
    program
}

/// An address whose port nobody listens on; below the range from which outgoing connections take
/// theirs, so that it stays free while the server is down. No other test of this process is given
/// the same.
pub(super) fn free_address() -> SocketAddr {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 5_000).expect("a small number");
    let next = || {
        SocketAddr::from((
            [127, 0, 0, 1],
            first + TRIED.fetch_add(1, Ordering::Relaxed),
        ))
    };
    let mut addresses = std::iter::repeat_with(next).take(5_000);
    addresses
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

/// Starts it and waits until it answers.
pub(super) async fn start(program: &Path, address: SocketAddr, database: &SecretString) -> Child {
    let mut server = Command::new(program);
    server.args([
        "serve",
        "--trust-role-header",
        "--grpc-address",
        &address.to_string(),
    ]);
    server.env("BELAY_DATABASE_URL", database.expose_secret());
    server
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let server = server.spawn().expect("the binary can be run");
    let auditor = literal(address)
        .with_role(belay_client::Role::Auditor, "test")
        .expect("a role to call in");
    until("the server answers", async || {
        auditor.store(SHOP).get_store().await.ok()
    })
    .await;
    server
}
