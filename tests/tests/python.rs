//! A consumer of the feed in another language, written from the protos alone.

use std::path::Path;
use std::process::Stdio;

use belay_client::calls::OnBehalfOf;
use belay_client::model::CancellationPath;
use belay_client::{RequestId, Units, reason};
use belay_tests::{SHOP, TestServer, run};
use serde_json::{Value, json};
use tokio::process::Command;

const CONSUMER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/stops.py");

/// Runs the consumer until it has printed so many lines over all its runs; gives those of this one.
async fn stops(t: &TestServer, folder: &Path, count: usize) -> Vec<Value> {
    let Ok(python) = std::env::var("PYTHON_GRPC") else {
        panic!(
            "PYTHON_GRPC is not set. This test needs a Python with gRPC: set PYTHON_GRPC to the path \
             that `server/dev/tools.sh python-grpc` prints, or run `make test`, which does so"
        )
    };
    let descriptors = folder.join("belay.binpb");
    tokio::fs::write(&descriptors, belay_proto::FILE_DESCRIPTOR_SET)
        .await
        .unwrap();
    let output = Command::new(python)
        .arg(CONSUMER)
        .args([&t.address().to_string(), "main", SHOP])
        .arg(descriptors)
        .arg(folder.join("state.json"))
        .arg(count.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Asks the carrier to bring a parcel of `main` back.
async fn intercept(t: &TestServer, order_id: &str) -> Value {
    t.place_interceptable(order_id).await;
    t.pay(order_id).await;
    t.ship(&format!("{order_id}:s1")).await;
    t.support()
        .request_cancellation(order_id, Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .on_behalf_of(OnBehalfOf::email("ann@example.org"))
        .paths([CancellationPath::Intercept])
        .await
        .unwrap();
    let shipment = t.shipment(&format!("{order_id}:s1")).await;
    json!({
        "shipment_id": shipment.shipment_id.as_str(),
        "fence": shipment.fence,
        "units": {"MUG": 3, "PEN": 1},
    })
}

#[test]
fn a_warehouse_in_python_hears_of_every_gate_once() {
    run(async |t| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RequestId::mint().to_string());
        tokio::fs::create_dir(&folder).await.unwrap();
        let first = [intercept(t, "A-1").await, intercept(t, "A-2").await];
        // Of another warehouse, which it does not see.
        t.place_split_paid("B-1").await;
        let mut heard = stops(t, &folder, 2).await;
        heard.sort_by_key(|line| line["shipment_id"].to_string());
        assert_eq!(heard, first);
        // It goes on where it was, in a process of its own.
        let third = intercept(t, "A-3").await;
        assert_eq!(stops(t, &folder, 3).await, [third]);
        tokio::fs::remove_dir_all(&folder).await.unwrap();
    });
}
