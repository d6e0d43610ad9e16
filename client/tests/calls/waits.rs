//! Waiting for a cancellation, and the stops of a warehouse.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use belay_client::model::CancellationState as State;
use belay_client::watch::{Stop, Stops, WaitError};
use belay_client::{Error, Kind};
use belay_proto::v1 as pb;
use belay_proto::v1::CancellationState;
use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use crate::running::Running;
use crate::support::rejection;
use crate::world::{Goes, World, a_cancellation, an_event, time};

/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);

const COMPLETED: i32 = pb::EventType::CancellationCompleted as i32;

async fn waiting(state: CancellationState) -> Running {
    let server = Running::start().await;
    let mut cancellation = a_cancellation("A-1:c1");
    cancellation.set_state(state);
    server.world.state().cancellations.push(cancellation);
    server
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn what_is_decided_before_the_first_read_is_not_waited_for() {
    // Completed before anybody watched: no event comes.
    let server = waiting(CancellationState::Rejected).await;
    let decided = server.store().wait_for_cancellation("A-1:c1", HANG).await;
    assert_eq!(decided.unwrap().state, State::Rejected);

    // Completed between the first event of the watch and the read.
    let server = waiting(CancellationState::Pending).await;
    server
        .world
        .state()
        .meanwhile
        .push_back(CancellationState::Completed);
    let decided = server.store().wait_for_cancellation("A-1:c1", HANG).await;
    assert_eq!(decided.unwrap().state, State::Completed);
    let state = server.world.state();
    assert_eq!((state.watches.len(), state.reads), (1, 1));
    let filter = state.watches[0].filter.clone().unwrap();
    assert_eq!(
        (filter.store_id.as_str(), filter.order_id.as_str()),
        ("demo", "A-1")
    );
}

#[tokio::test]
async fn a_decision_that_comes_with_the_feed_is_found_also_over_a_cut() {
    let server = waiting(CancellationState::Pending).await;
    let store = server.store();
    let mut wait = pin!(store.wait_for_cancellation("A-1:c1", HANG));
    for read in 1..=3 {
        tokio::select! {
            decided = &mut wait => panic!("nothing is decided: {decided:?}"),
            () = server.world.until(|state| state.reads >= read) => {}
        }
        // Something else happens to the order, while nobody can say so.
        server.cut();
        server.world.commit([an_event(999)]);
    }
    server.world.state().cancellations[0].set_state(CancellationState::Completed);
    server.world.commit([an_event(COMPLETED)]);
    assert_eq!(wait.await.unwrap().state, State::Completed);
}

#[tokio::test]
async fn who_may_not_watch_reads() {
    let server = waiting(CancellationState::Withdrawn).await;
    let refused = rejection(
        Code::PermissionDenied,
        "ROLE_NOT_ALLOWED",
        ErrorDetails::new(),
    );
    server
        .world
        .state()
        .streams
        .push_back(Goes::Refused(refused));
    let decided = server.store().wait_for_cancellation("A-1:c1", HANG).await;
    assert_eq!(decided.unwrap().state, State::Withdrawn);
}

#[tokio::test]
async fn a_state_of_a_newer_server_is_no_longer_pending() {
    let server = waiting(CancellationState::Pending).await;
    server.world.state().cancellations[0].state = 99;
    let decided = server.store().wait_for_cancellation("A-1:c1", HANG).await;
    assert_eq!(decided.unwrap().state, State::Unrecognized(99));
}

#[tokio::test]
async fn a_wait_ends_with_its_time_and_says_how_far_it_is() {
    let server = waiting(CancellationState::Pending).await;
    let store = server.store();
    let error = store
        .wait_for_cancellation("A-1:c1", Duration::ZERO)
        .await
        .unwrap_err();
    assert!(
        matches!(error, WaitError::TimedOut { last: None, .. }),
        "{error:?}"
    );
    // However slow the machine is, one of these is long enough to read.
    let mut time = Duration::from_millis(20);
    let last = loop {
        let error = store
            .wait_for_cancellation("A-1:c1", time)
            .await
            .unwrap_err();
        let WaitError::TimedOut { last, .. } = error else {
            panic!("{error:?}");
        };
        if let Some(last) = last {
            break last;
        }
        time *= 2;
        assert!(time < HANG);
    };
    assert_eq!(last.state, State::Pending);
    // A server that is silent does not keep it longer.
    server.world.state().streams.push_back(Goes::Silent(0));
    let error = store
        .wait_for_cancellation("A-1:c1", time)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the time is over"), "{error}");
    server.world.until_nobody_watches().await;
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let server = waiting(CancellationState::Pending).await;
    let kind = |error: WaitError| {
        let WaitError::Call(error) = error else {
            panic!("{error:?}");
        };
        Error::kind(&error)
    };
    let error = server
        .store()
        .wait_for_cancellation("A-1:c2", HANG)
        .await
        .unwrap_err();
    assert_eq!(kind(error), Kind::NotFound);
    let error = server
        .store()
        .wait_for_cancellation("A-1", HANG)
        .await
        .unwrap_err();
    assert_eq!(kind(error), Kind::InvalidArgument);
}

#[tokio::test]
async fn a_wait_that_is_given_up_anywhere_leaves_nothing_behind() {
    let server = waiting(CancellationState::Pending).await;
    let store = server.store();
    for polls in 1..60 {
        let mut wait = Box::pin(store.wait_for_cancellation("A-1:c1", HANG));
        for _ in 0..polls {
            assert!(poll_once(wait.as_mut()).await.is_pending());
            tokio::task::yield_now().await;
        }
        drop(wait);
    }
    server.world.until_nobody_watches().await;
}

/// A gate of a stop, as an event.
fn gate(shipment: &str, cancellation: &str, state: pb::GateState, fence: i64) -> pb::Event {
    let gate = pb::GateChanged {
        cancellation_id: cancellation.to_owned(),
        shipment_id: shipment.to_owned(),
        kind: pb::GateKind::WarehouseStop.into(),
        party: pb::Party::Warehouse.into(),
        state: state.into(),
        respond_by: Some(time(fence)),
        fence,
        contents: vec![pb::SkuQuantity {
            line_id: "A-1:l1".to_owned(),
            quantity: 2,
            sku: "MUG".to_owned(),
        }],
        ..Default::default()
    };
    let event_type = if state == pb::GateState::Open {
        pb::EventType::GateOpened
    } else {
        pb::EventType::GateClosed
    };
    pb::Event {
        order_id: shipment.split(':').next().unwrap().to_owned(),
        detail: Some(pb::event::Detail::GateChanged(gate)),
        ..an_event(event_type.into())
    }
}

fn opened(shipment: &str, cancellation: &str, fence: i64) -> pb::Event {
    gate(shipment, cancellation, pb::GateState::Open, fence)
}

fn closed(shipment: &str, cancellation: &str) -> pb::Event {
    gate(shipment, cancellation, pb::GateState::Passed, 9)
}

/// What the lists say of an open stop.
fn is_open(world: &World, shipment: &str, cancellation: &str, respond_by: i64) {
    let gate = |kind: pb::GateKind, state: pb::GateState| pb::Gate {
        kind: kind.into(),
        party: pb::Party::Warehouse.into(),
        state: state.into(),
        respond_by: Some(time(respond_by)),
        ..Default::default()
    };
    let deductions = pb::Deductions {
        outbound_shipping: crate::world::money(),
        return_shipping: crate::world::money(),
        by_schedule: crate::world::money(),
    };
    let part = |shipment: &str, gates| pb::CancellationPart {
        shipment_id: shipment.to_owned(),
        path: pb::CancellationPath::Cancel.into(),
        state: pb::PartState::Waiting.into(),
        contents: vec![pb::LineQuantity {
            line_id: "A-1:l1".to_owned(),
            quantity: 2,
        }],
        gates,
        expected_refund: crate::world::amount(),
        credit: crate::world::amount(),
        deductions: Some(deductions.clone()),
        ..Default::default()
    };
    let open = pb::GateState::Open;
    let elsewhere = format!("{}:s9", shipment.split(':').next().unwrap());
    let state = &mut *world.state();
    state.cancellations.push(pb::Cancellation {
        parts: vec![
            part(&elsewhere, vec![gate(pb::GateKind::WarehouseStop, open)]),
            // Outside the caller's scope, and another kind of gate.
            part("Z-1:s1", vec![gate(pb::GateKind::WarehouseStop, open)]),
            part(shipment, vec![gate(pb::GateKind::ParcelReceipt, open)]),
            part(shipment, vec![gate(pb::GateKind::WarehouseStop, open)]),
        ],
        ..a_cancellation(cancellation)
    });
    for (id, warehouse) in [(shipment, "main"), (elsewhere.as_str(), "other")] {
        state.shipments.push(pb::Shipment {
            shipment_id: id.to_owned(),
            order_id: id.split(':').next().unwrap().to_owned(),
            warehouse_id: warehouse.to_owned(),
            fence: 4,
            contents: vec![pb::ShipmentContent {
                line_id: "A-1:l1".to_owned(),
                sku: "MUG".to_owned(),
                quantity: 3,
                ..Default::default()
            }],
            create_time: Some(time(0)),
            update_time: Some(time(0)),
            ..Default::default()
        });
    }
}

/// Shipment, fence and cancellations.
fn of(stop: &Stop) -> (String, i64, Vec<String>) {
    let ids = stop.cancellation_ids.iter().map(ToString::to_string);
    (stop.shipment_id.to_string(), stop.fence, ids.collect())
}

async fn next(stops: &mut Stops) -> Stop {
    let next = tokio::time::timeout(HANG, stops.try_next());
    next.await.unwrap().unwrap().unwrap()
}

fn told(shipment: &str, fence: i64, cancellations: &[&str]) -> (String, i64, Vec<String>) {
    let ids = cancellations.iter().map(ToString::to_string);
    (shipment.to_owned(), fence, ids.collect())
}

#[tokio::test]
async fn stops_that_are_open_and_those_that_open_come_once_each() {
    let server = Running::start().await;
    let world = &server.world;
    is_open(world, "A-1:s1", "A-1:c1", 20);
    is_open(world, "A-1:s1", "A-1:c2", 10);
    is_open(world, "B-1:s1", "B-1:c1", 5);
    let mut stops = server.store().stops_for("main").await.unwrap();
    // What opened while the list was read comes by both ways.
    world.commit([opened("B-1:s1", "B-1:c1", 4)]);
    world.commit([opened("C-1:s1", "C-1:c1", 2), opened("C-1:s1", "C-1:c2", 3)]);
    // One that was answered may open again.
    world.commit([closed("B-1:s1", "B-1:c1")]);
    world.commit([opened("B-1:s1", "B-1:c2", 6)]);

    let first = next(&mut stops).await;
    assert_eq!(
        of(&first),
        told("B-1:s1", 4, &["B-1:c1"]),
        "the most urgent"
    );
    let second = next(&mut stops).await;
    assert_eq!(of(&second), told("A-1:s1", 4, &["A-1:c1", "A-1:c2"]));
    assert_eq!(second.respond_by.unwrap().as_second(), time(10).seconds);
    let units: Vec<_> = second
        .contents
        .iter()
        .map(|of| (of.sku.as_deref(), of.quantity))
        .collect();
    assert_eq!(units, [(Some("MUG"), 2), (Some("MUG"), 2)]);
    let third = next(&mut stops).await;
    assert_eq!(of(&third), told("C-1:s1", 3, &["C-1:c1", "C-1:c2"]));
    assert_eq!(third.respond_by.unwrap().as_second(), time(2).seconds);
    assert_eq!(of(&next(&mut stops).await), told("B-1:s1", 6, &["B-1:c2"]));
    let filter = world.state().watches[0].filter.clone().unwrap();
    assert_eq!(filter.warehouse_ids, ["main"]);
}

#[tokio::test]
async fn stops_survive_cuts_and_gates_of_a_newer_server() {
    let server = Running::start().await;
    let mut stops = server.store().stops_for("main").await.unwrap();
    let mut strange = opened("X-1:s1", "X-1:c1", 1);
    if let Some(pb::event::Detail::GateChanged(gate)) = &mut strange.detail {
        (gate.kind, gate.state) = (99, 98);
    }
    for order in ["A-1", "B-1", "C-1"] {
        server.cut();
        server.world.state().streams.push_back(Goes::Repeats);
        let id = format!("{order}:s1");
        server
            .world
            .commit([strange.clone(), opened(&id, &format!("{order}:c1"), 2)]);
        assert_eq!(next(&mut stops).await.shipment_id, *id);
    }
}

#[tokio::test]
async fn after_an_outage_that_was_too_long_what_is_open_is_read_again() {
    let server = Running::start().await;
    is_open(&server.world, "A-1:s1", "A-1:c1", 20);
    server.world.state().streams.push_back(Goes::Ends(1));
    let mut stops = server.store().stops_for("main").await.unwrap();
    assert_eq!(next(&mut stops).await.shipment_id, "A-1:s1");
    for _ in 0..5 {
        server.world.commit([an_event(COMPLETED)]);
    }
    server.world.state().expired = 4;
    is_open(&server.world, "B-1:s1", "B-1:c1", 20);
    assert_eq!(
        next(&mut stops).await.shipment_id,
        "B-1:s1",
        "and not the first again"
    );
    server.world.commit([opened("C-1:s1", "C-1:c1", 2)]);
    assert_eq!(next(&mut stops).await.shipment_id, "C-1:s1");
}

#[tokio::test]
async fn stops_end_with_an_error_that_does_not_pass() {
    let server = Running::start().await;
    let refused = || Status::permission_denied("no");
    server
        .world
        .state()
        .streams
        .push_back(Goes::Refused(refused()));
    assert!(server.store().stops_for("main").await.is_err());
    assert!(server.store().stops_for("no warehouse").await.is_err());
    server
        .world
        .state()
        .streams
        .extend([Goes::Ends(1), Goes::Refused(refused())]);
    let mut stops = server.store().stops_for("main").await.unwrap();
    assert!(stops.try_next().await.is_err());
    assert!(stops.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_wait_for_a_stop_that_is_given_up_anywhere_loses_none() {
    let server = Running::start().await;
    let mut stops = server.store().stops_for("main").await.unwrap();
    server
        .world
        .state()
        .streams
        .extend([Goes::Ends(3), Goes::Repeats]);
    let orders: Vec<_> = (0..20).map(|number| format!("A-{number}")).collect();
    let mut seen = Vec::new();
    for order in &orders {
        server
            .world
            .commit([opened(&format!("{order}:s1"), &format!("{order}:c1"), 2)]);
    }
    server.cut();
    while seen.len() < orders.len() {
        let mut wait = pin!(stops.try_next());
        if let Poll::Ready(stop) = poll_once(wait.as_mut()).await {
            seen.push(stop.unwrap().unwrap().order_id.to_string());
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, orders);
}
