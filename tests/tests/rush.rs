//! The examples of a rush: a shop and a warehouse, each a process of its own, against one server.

use std::collections::BTreeMap;
use std::process::Command;

use belay_tests::process::{Running, built};
use belay_tests::{TestServer, run};

const ORDERS: usize = 60;

fn example(t: &TestServer, name: &str) -> Running {
    let mut example = Command::new(built(&format!("examples/{name}")));
    example
        .env_clear()
        .env("BELAY_ADDRESS", format!("http://{}", t.address()))
        .env("BELAY_RUSH_ORDERS", ORDERS.to_string());
    Running::start(example)
}

/// The figures of a report, by what is said of them.
fn figures(said: &str) -> BTreeMap<String, usize> {
    let figure = |line: &str| {
        let (figure, of) = line.trim().split_once(' ')?;
        Some((of.to_owned(), figure.parse().ok()?))
    };
    said.lines().filter_map(figure).collect()
}

#[test]
fn nothing_both_leaves_and_is_cancelled_without_an_incident() {
    run(async |t| {
        let mut warehouse = example(t, "rush_warehouse");
        warehouse
            .until_said("the warehouse is open", |line| {
                line.contains("The warehouse is open").then_some(())
            })
            .await;
        let storefront = example(t, "rush_storefront");
        // Both end by themselves, with the last parcel of the day.
        let (status, sold) = storefront.end().await;
        assert!(status.success(), "{sold}");
        let (status, packed) = warehouse.end().await;
        assert!(status.success(), "{packed}");
        eprintln!("{sold}\n{packed}");

        let (sold, packed) = (figures(&sold), figures(&packed));
        assert_eq!(
            sold["left and were cancelled without an incident"], 0,
            "{sold:?}"
        );
        assert_eq!(packed["parcels are elsewhere than on record"], 0);
        let (left, stayed) = (
            sold["shipments left"],
            sold["were cancelled whole and stayed"],
        );
        assert_eq!(left + stayed, ORDERS);
        // The last one of the day is not among the shop's.
        assert_eq!(packed["parcels left the house"], left + 1);

        // Word for word what the database says.
        let explained: (u64,) = t
            .database
            .row(
                "SELECT COUNT(*) FROM incidents WHERE kind = 'CANCELLED_YET_SHIPPED'",
                (),
            )
            .await;
        let told = sold["left although they were cancelled, each under an incident"];
        assert_eq!(u64::try_from(told), Ok(explained.0));
        let (on_record,): (u64,) = t
            .database
            .row(
                "SELECT COUNT(*) FROM shipments WHERE dispatch_time IS NOT NULL",
                (),
            )
            .await;
        assert_eq!(on_record, u64::try_from(left).expect("few") + 1);
    });
}
