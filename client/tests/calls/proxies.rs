//! What a proxy says when a server is gone passes by itself.

use std::time::Duration;

use belay_client::model::RefundResult;
use belay_client::watch::Subscription;
use belay_client::{Belay, Kind};
use belay_proto::v1 as pb;

use crate::in_process::{Proxy, behind};
use crate::world::{World, a_refund, an_event};

/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);
/// What a proxy may do to the calls behind it.
const FAULTS: [Proxy; 6] = [
    Proxy::Page(502),
    Proxy::Page(503),
    Proxy::Page(504),
    Proxy::Page(429),
    Proxy::EndsAfterOne,
    Proxy::EndsWithin,
];

async fn list(belay: &Belay) -> Result<(), belay_client::Error> {
    belay.store("demo").list_cancellations().await?;
    Ok(())
}

#[tokio::test]
async fn a_read_is_made_again() {
    for fault in FAULTS {
        let belay = behind(&World::new(), [fault, fault]);
        list(&belay).await.unwrap();
        let belay = behind(&World::new(), [fault; 5]);
        let error = list(&belay).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn what_no_repeat_changes_is_told_at_once() {
    let rows = [
        (400, Kind::Internal),
        (401, Kind::Unauthenticated),
        (403, Kind::PermissionDenied),
        (404, Kind::Unimplemented),
        (500, Kind::Internal),
    ];
    for (status, kind) in rows {
        let belay = behind(&World::new(), [Proxy::Page(status)]);
        let error = list(&belay).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let named = error.message().contains(&status.to_string());
        assert!(named, "it names the status: {error}");
        list(&belay).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_is_one_request_however_often_it_is_made() {
    for fault in FAULTS {
        let world = World::new();
        world.state().refunds.push(a_refund("A-1:r1"));
        let belay = behind(&world, [Proxy::EndsAfterOne, fault, Proxy::Passes]);
        let store = belay.store("demo");
        let call = store.record_refund_result("A-1:r1", RefundResult::Settled);
        call.await.unwrap();
        let state = world.state();
        let ids = state.records.iter().map(|record| &record.request_id);
        let ids: Vec<_> = ids.collect();
        assert!(ids.len() >= 2, "{fault:?}: {ids:?}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{fault:?}: {ids:?}");
    }
}

#[tokio::test]
async fn a_write_that_no_repeat_answers_has_an_unknown_outcome() {
    for fault in FAULTS {
        let world = World::new();
        world.state().refunds.push(a_refund("A-1:r1"));
        let belay = behind(&world, [fault; 5]);
        let store = belay.store("demo");
        let call = store.record_refund_result("A-1:r1", RefundResult::Settled);
        let error = call.await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{fault:?}: {error}");
    }
}

async fn handled(subscription: &mut Subscription) -> i64 {
    let next = tokio::time::timeout(HANG, subscription.try_next());
    let delivered = next.await.unwrap().unwrap().unwrap();
    let position = delivered.events()[0].position;
    delivered.ack();
    position
}

#[tokio::test(start_paused = true)]
async fn a_subscription_goes_on() {
    for fault in FAULTS {
        let world = World::new();
        let calls = [Proxy::EndsAfterOne, fault, fault];
        let mut subscription = behind(&world, calls).store("demo").watch().await.unwrap();
        for position in 1..=2 {
            world.commit([an_event(pb::EventType::OrderPaid.into())]);
            assert_eq!(handled(&mut subscription).await, position, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_saved_all_the_same() {
    for fault in FAULTS {
        let world = World::new();
        // The consumer's position, the stream, and the first commit with its repeats.
        let mut calls = vec![Proxy::Passes; 2];
        calls.extend([fault; 7]);
        let watch = behind(&world, calls).store("demo").watch();
        let watch = watch.consumer("index").checkpoint_every(Duration::ZERO);
        let mut subscription = watch.await.unwrap();
        world.commit([an_event(pb::EventType::OrderPaid.into())]);
        assert_eq!(handled(&mut subscription).await, 1, "{fault:?}");
        let wait = tokio::time::timeout(HANG, subscription.try_next());
        assert!(wait.await.is_err(), "there is no more");
        assert_eq!(world.state().commits.last(), Some(&1), "{fault:?}");
    }
}
