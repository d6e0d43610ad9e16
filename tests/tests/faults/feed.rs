//! Somebody watches while servers and the database are killed under load: every event comes, each
//! once, in its order.

use belay_client::{Belay, Kind, Role};
use belay_tests::database::Database;
use belay_tests::feed::{Watcher, ends, stored};
use belay_tests::instance::{Instance, Service, insistent, literal};
use belay_tests::load::Load;
use belay_tests::run;
use tokio::join;

use super::server_killed::{free_address, program, start};

const KILLS: usize = 3;
const CALLS_BETWEEN: usize = 150;

fn operator(belay: &Belay) -> Belay {
    belay.with_role(Role::Operator, "ops").expect("a role")
}

/// What is worth a new beginning: the connection, the server or its database is gone.
fn is_passing(error: &belay_client::Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::Internal | Kind::Cancelled
    )
}

/// Reads while the load runs.
async fn watch(watcher: &mut Watcher, load: &Load) {
    while !load.is_over() {
        watcher.go_on(is_passing).await;
    }
}

/// Reads to the end, and finds everything.
async fn check(watcher: &mut Watcher, belay: &Belay, database: &Database) {
    let ends = ends(belay).await;
    watcher.read_to(&ends, is_passing).await;
    assert_eq!(watcher.came(), stored(database).await, "none is missing");
    watcher.check(database, |_| true).await;
}

#[test]
fn a_stream_goes_on_over_kills_of_its_server() {
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
        let killed = literal(address);
        // One watches the server that is killed, one another on the same database.
        let mut here = Watcher::new(operator(&killed).watch_events().from_oldest());
        let other = operator(&insistent(t.address()));
        let mut there = Watcher::new(other.watch_events().from_oldest());
        let watching = operator(&insistent(address));
        join!(
            load.run(&killed),
            kill,
            watch(&mut here, &load),
            watch(&mut there, &load),
        );
        assert!(here.begins > 1, "the stream was broken");
        check(&mut here, &watching, &t.database).await;
        check(&mut there, &other, &t.database).await;
        server.kill().await.expect("it can be killed");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_over_kills_of_the_database() {
    let mysqld = Instance::start(&[]).await;
    let service = Service::start(mysqld.serve_url(), |settings| settings.connections = 16).await;
    service.create_shop().await;
    let load = Load::default();
    let kill = async {
        for _ in 0..KILLS {
            load.progress(CALLS_BETWEEN).await;
            mysqld.kill().await;
            mysqld.restart().await;
        }
        load.progress(CALLS_BETWEEN).await;
        load.stop();
    };
    let belay = literal(service.address());
    let watching = operator(service.belay());
    let mut watcher = Watcher::new(watching.watch_events().from_oldest());
    join!(load.run(&belay), kill, watch(&mut watcher, &load));
    let database = mysqld.database().await;
    check(&mut watcher, &watching, &database).await;
    assert_eq!(watcher.begins, 1, "a stream waits for its database");
    service.stop().await;
}
