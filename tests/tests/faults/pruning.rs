//! Servers prune under load and are killed meanwhile: histories stay whole, who watches misses
//! nothing that it is not told of, what is projected is exact, and no command is lost or repeated.

use std::time::Duration;

use belay_client::{Belay, Kind, Role};
use belay_server::retention::Keep;
use belay_tests::database::Database;
use belay_tests::feed::{Watcher, ends, stored};
use belay_tests::instance::{Service, insistent, literal};
use belay_tests::load::{Load, audit};
use belay_tests::stock::{projected, put_back, rebuild, rows};
use belay_tests::{run, until};
use tokio::join;

use super::server_killed::{free_address, program, start};

const KILLS: usize = 3;
const CALLS_BETWEEN: usize = 150;

fn operator(belay: &Belay) -> Belay {
    belay.with_role(Role::Operator, "ops").expect("a role")
}

/// Makes all events older than a server keeps them by default.
async fn back_date(database: &Database) {
    let sql = "UPDATE events SET event_time = event_time - INTERVAL 1000 DAY \
        WHERE event_time > NOW() - INTERVAL 1 DAY";
    database.execute(sql, ()).await;
}

/// How many events left the feed.
async fn pruned(database: &Database) -> u64 {
    let sql = "SELECT CAST(COALESCE(SUM(pruned), 0) AS UNSIGNED) FROM partition_tails";
    let (pruned,): (u64,) = database.row(sql, ()).await;
    pruned
}

#[test]
fn killed_servers_that_prune_lose_nothing() {
    run(async |t| {
        let program = program().await;
        let address = free_address();
        let mut server = start(&program, address, &t.database.pruning_url().await).await;
        // Another prunes all the time: as soon as the projections have read it, everything is old.
        let pruner = Service::start(t.database.pruning_url().await, |settings| {
            settings.retention.events = Keep::For(Duration::ZERO);
        })
        .await;
        let load = Load::default();
        let kill = async {
            for _ in 0..KILLS {
                load.progress(CALLS_BETWEEN).await;
                // What the server finds when it comes back is old by its own settings.
                back_date(&t.database).await;
                server.kill().await.expect("it can be killed");
                server = start(&program, address, &t.database.pruning_url().await).await;
            }
            load.progress(CALLS_BETWEEN).await;
            load.stop();
        };
        let belay = literal(address);
        let other = operator(&insistent(t.address()));
        let mut watcher = Watcher::new(other.watch_events());
        // It is there before the first event: who begins later is owed nothing that was pruned by
        // then.
        let begun = watcher.next().await;
        begun.expect("it begins with a bookmark");
        let watch = async {
            while !load.is_over() {
                if !goes_on(&mut watcher).await {
                    break;
                }
            }
        };
        let (journeys, (), ()) = join!(load.run(&belay), kill, watch);
        server.kill().await.expect("it can be killed");
        audit(&journeys, &insistent(t.address()), &t.database).await;

        // It has everything, or was told that it has not.
        let ends = ends(&other).await;
        let mut is_told = false;
        while !is_told && !watcher.is_at(&ends) {
            is_told = !goes_on(&mut watcher).await;
        }
        assert!(is_told || watcher.came() == stored(&t.database).await);
        watcher.check(&t.database, |_| true).await;

        projected(&t.database).await;
        until("everything is pruned", async || {
            let sql = "SELECT COUNT(*) FROM events";
            let (left,): (u64,) = t.database.row(sql, ()).await;
            (left == 0).then_some(())
        })
        .await;
        let (pruned, stored) = (pruned(&t.database).await, stored(&t.database).await);
        assert_eq!(pruned, u64::try_from(stored).expect("a small number"));
        eprintln!("{pruned} events were pruned, the watcher was told of it: {is_told}");
        let live = rows(&t.database).await;
        pruner.stop().await;
        put_back(&t.database).await;
        rebuild(&t.database).await;
        assert_eq!(rows(&t.database).await, live);
        // The times of the test are no longer those that were chained.
        let own = "UPDATE events SET event_time = event_time + INTERVAL 1000 DAY \
            WHERE event_time < NOW() - INTERVAL 500 DAY";
        t.database.execute(own, ()).await;
    });
}

/// Reads on; false where what comes next is no longer kept.
async fn goes_on(watcher: &mut Watcher) -> bool {
    match watcher.next().await {
        Ok(_) => true,
        Err(error) if error.kind() == Kind::OutOfRange => {
            let reason = error.reason().map(|reason| reason.as_str().to_owned());
            assert_eq!(reason.as_deref(), Some("POSITION_EXPIRED"), "{error}");
            false
        }
        Err(error) => panic!("the stream fails: {error}"),
    }
}
