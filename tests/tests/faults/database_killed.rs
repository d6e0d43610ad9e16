//! mysqld is killed, again and again, under load.

use belay_tests::instance::{Instance, Service, literal};
use belay_tests::invariants;
use belay_tests::load::{Load, audit};
use tokio::join;

const KILLS: usize = 4;
/// Calls that are acknowledged between two kills, at least.
const CALLS_BETWEEN: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_loses_nothing_that_was_acknowledged() {
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
    let (journeys, ()) = join!(load.run(&belay), kill);
    eprintln!(
        "{KILLS} kills of mysqld: {} orders, {}",
        journeys.len(),
        load.counts()
    );

    let database = mysqld.database().await;
    audit(&journeys, service.belay(), &database).await;
    service.stop().await;
    assert_eq!(
        invariants::violations(&database).await,
        Vec::<String>::new()
    );
}
