//! Subscriptions against a server that is cut, falls silent, repeats and forgets.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use belay_client::model::EventType;
use belay_client::watch::{Delivered, Subscription, Watch, WatchError};
use belay_client::{ErrorReason, Kind};
use belay_proto::v1 as pb;
use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use crate::running::Running;
use crate::support::rejection;
use crate::world::{Goes, an_event};

/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);
const MILLISECOND: Duration = Duration::from_millis(1);

fn paid() -> pb::Event {
    an_event(pb::EventType::OrderPaid.into())
}

/// A watch that loses no time.
fn watch(server: &Running) -> Watch {
    let watch = server.store().watch().timeout(HANG);
    watch.reconnect_delays(MILLISECOND, MILLISECOND)
}

fn positions(delivered: &Delivered) -> Vec<i64> {
    let events = delivered.events();
    events.iter().map(|event| event.position).collect()
}

async fn next(subscription: &mut Subscription) -> Delivered {
    let next = tokio::time::timeout(HANG, subscription.try_next());
    next.await.unwrap().unwrap().unwrap()
}

/// The positions of the next delivery, which is acknowledged.
async fn handled(subscription: &mut Subscription) -> Vec<i64> {
    let delivered = next(subscription).await;
    let positions = positions(&delivered);
    delivered.ack();
    positions
}

#[tokio::test]
async fn what_is_committed_after_the_opening_is_delivered_by_command() {
    let server = Running::start().await;
    server.world.commit([paid()]);
    let mut subscription = watch(&server).open().await.unwrap();
    server.world.commit([paid(), paid()]);
    server.world.commit([paid()]);
    assert_eq!(handled(&mut subscription).await, [2, 3]);
    assert_eq!(handled(&mut subscription).await, [4]);
    let request = server.world.state().watches[0].clone();
    assert_eq!(request.filter.unwrap().store_id, "demo");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_up_for() {
    let server = Running::start().await;
    let mut subscription = watch(&server).open().await.unwrap();
    for round in 0..5 {
        server.world.commit([paid()]);
        server.world.commit([paid()]);
        assert_eq!(handled(&mut subscription).await, [2 * round + 1]);
        server.cut();
        assert_eq!(handled(&mut subscription).await, [2 * round + 2]);
    }
    assert!(server.world.state().watches.len() > 1);
}

#[tokio::test]
async fn a_server_that_falls_silent_ends_or_repeats_is_made_up_for() {
    let server = Running::start().await;
    let slow = rejection(Code::Aborted, "WATCHER_TOO_SLOW", ErrorDetails::new());
    let expired = rejection(Code::Unauthenticated, "SESSION_ENDED", ErrorDetails::new());
    server.world.state().streams.extend([
        Goes::Ends(1),
        Goes::Silent(2),
        Goes::Fails(2, slow),
        Goes::Fails(2, expired),
        Goes::Refused(Status::unavailable("stopping")),
        Goes::Repeats,
    ]);
    for _ in 0..4 {
        server.world.commit([paid()]);
    }
    let watch = watch(&server).from_oldest();
    let watch = watch.heartbeat_timeout(Duration::from_millis(200));
    let mut subscription = watch.open().await.unwrap();
    for position in 1..=4 {
        assert_eq!(handled(&mut subscription).await, [position]);
    }
    assert!(server.world.state().watches.len() >= 6);
}

#[tokio::test]
async fn events_of_a_newer_server_are_delivered() {
    let server = Running::start().await;
    let mut subscription = watch(&server).open().await.unwrap();
    let gate = pb::GateChanged {
        kind: 98,
        state: 97,
        party: 96,
        ..Default::default()
    };
    let strange = pb::Event {
        detail: Some(pb::event::Detail::GateChanged(gate)),
        ..an_event(999)
    };
    server.world.commit([an_event(998), strange]);
    let delivered = next(&mut subscription).await;
    let types: Vec<_> = delivered
        .events()
        .iter()
        .map(|event| event.event_type)
        .collect();
    assert_eq!(
        types,
        [EventType::Unrecognized(998), EventType::Unrecognized(999)]
    );
    delivered.ack();
}

#[tokio::test]
async fn a_message_that_cannot_be_read_ends_the_watch_and_is_not_asked_for_without_an_end() {
    let server = Running::start().await;
    let mut subscription = watch(&server).open().await.unwrap();
    server.world.commit([pb::Event {
        event_time: None,
        ..paid()
    }]);
    let error = subscription.try_next().await.unwrap_err();
    assert!(matches!(&error, WatchError::Call(error) if error.kind() == Kind::Internal));
    assert!(subscription.try_next().await.unwrap().is_none());
    assert_eq!(server.world.state().watches.len(), 1);
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_was_closed() {
    let server = Running::start().await;
    let mut subscription = watch(&server).consumer("index").open().await.unwrap();
    for _ in 0..3 {
        server.world.commit([paid()]);
    }
    assert_eq!(handled(&mut subscription).await, [1]);
    let two = next(&mut subscription).await;
    assert_eq!(handled(&mut subscription).await, [3]);
    subscription.close().await.unwrap();
    assert_eq!(server.world.state().commits.last(), Some(&1));
    // Too late: whoever goes on gets it again.
    two.ack();

    let mut subscription = watch(&server).consumer("index").open().await.unwrap();
    assert_eq!(handled(&mut subscription).await, [2]);
    assert_eq!(handled(&mut subscription).await, [3]);
    subscription.close().await.unwrap();
    let state = server.world.state();
    let key = ("demo".to_owned(), "index".to_owned());
    assert_eq!(state.consumers.get(&key), Some(&3));
}

#[tokio::test]
async fn a_position_that_cannot_be_read_yet_is_read_again() {
    let server = Running::start().await;
    let key = ("demo".to_owned(), "index".to_owned());
    server.world.state().consumers.insert(key, 1);
    for _ in 0..2 {
        server.world.commit([paid()]);
    }
    // More than one call repeats.
    server.world.state().lost_reads = 12;
    let mut subscription = watch(&server).consumer("index").open().await.unwrap();
    assert_eq!(handled(&mut subscription).await, [2]);
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_made_again() {
    let server = Running::start().await;
    // More than one call repeats.
    server.world.state().lost_commits = 12;
    let watch = watch(&server)
        .consumer("index")
        .checkpoint_every(Duration::ZERO);
    let mut subscription = watch.open().await.unwrap();
    server.world.commit([paid()]);
    assert_eq!(handled(&mut subscription).await, [1]);
    let mut next = pin!(subscription.try_next());
    tokio::select! {
        delivered = &mut next => panic!("{delivered:?}"),
        () = server.world.until(|state| state.lost_commits == 0 && state.commits.last() == Some(&1)) => {}
    }
}

#[tokio::test]
async fn a_stream_that_begins_too_early_does_not_take_the_checkpoint_back() {
    let server = Running::start().await;
    let watch = watch(&server).consumer("index").from_oldest();
    let mut subscription = watch.checkpoint_every(Duration::ZERO).open().await.unwrap();
    for position in 1..=3 {
        server.world.commit([paid()]);
        assert_eq!(handled(&mut subscription).await, [position]);
        subscription.flush().await.unwrap();
    }
    server.world.state().streams.push_back(Goes::Repeats);
    server.cut();
    server.world.commit([paid()]);
    assert_eq!(handled(&mut subscription).await, [4]);
    subscription.close().await.unwrap();
    let state = server.world.state();
    assert!(state.streams.is_empty(), "it has begun too early");
    assert_eq!(state.commits.last(), Some(&4));
    assert!(state.commits.is_sorted(), "{:?}", state.commits);
}

#[tokio::test]
async fn a_process_under_the_same_name_that_is_ahead_is_found() {
    let server = Running::start().await;
    let [mut one, mut other] = [
        watch(&server).consumer("index").open().await.unwrap(),
        watch(&server).consumer("index").open().await.unwrap(),
    ];
    server.world.commit([paid()]);
    server.world.commit([paid()]);
    assert_eq!(handled(&mut one).await, [1]);
    assert_eq!(handled(&mut other).await, [1]);
    assert_eq!(handled(&mut other).await, [2]);
    other.close().await.unwrap();
    assert!(matches!(one.close().await, Err(WatchError::Behind(_))));
}

#[tokio::test]
async fn what_was_missed_is_an_error_that_says_what_to_do() {
    let server = Running::start().await;
    for _ in 0..5 {
        server.world.commit([paid()]);
    }
    let key = ("demo".to_owned(), "index".to_owned());
    server.world.state().consumers.insert(key, 1);
    server.world.state().expired = 3;
    let error = watch(&server).consumer("index").open().await.unwrap_err();
    let WatchError::Expired {
        position,
        oldest_position,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((position.unwrap().position, *oldest_position), (1, Some(4)));
    let said = error.to_string();
    assert!(said.contains("lists") && said.contains("oldest"), "{said}");

    // Under another name it goes on with what is kept; and it may fall behind while it is open.
    server.world.state().streams.push_back(Goes::Ends(2));
    let watch = watch(&server).consumer("index-2").from_oldest();
    let mut subscription = watch.open().await.unwrap();
    assert_eq!(handled(&mut subscription).await, [4]);
    server.world.state().expired = 5;
    let error = subscription.try_next().await.unwrap_err();
    assert!(matches!(error, WatchError::Expired { .. }), "{error:?}");
    // What was handled before counts all the same.
    subscription.close().await.unwrap();
    assert_eq!(server.world.state().commits.last(), Some(&4));
}

#[tokio::test]
async fn a_caller_that_may_not_watch_is_told_so_at_once() {
    let server = Running::start().await;
    let rows = [
        (
            Code::PermissionDenied,
            "ROLE_NOT_ALLOWED",
            ErrorReason::RoleNotAllowed,
        ),
        (
            Code::Unauthenticated,
            "CALLER_UNKNOWN",
            ErrorReason::CallerUnknown,
        ),
        (
            Code::OutOfRange,
            "POSITION_AHEAD",
            ErrorReason::PositionAhead,
        ),
        (
            Code::InvalidArgument,
            "RESUME_TOKEN_INVALID",
            ErrorReason::ResumeTokenInvalid,
        ),
    ];
    for (code, name, reason) in rows {
        let status = rejection(code, name, ErrorDetails::new());
        server
            .world
            .state()
            .streams
            .push_back(Goes::Refused(status));
        let error = watch(&server).open().await.unwrap_err();
        assert!(
            matches!(&error, WatchError::Call(error) if error.has_reason(&reason)),
            "{error:?}"
        );
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Each wait is given up after a poll or a few, over a real connection with faults.
#[tokio::test]
async fn a_wait_that_is_given_up_anywhere_loses_nothing_and_repeats_nothing() {
    let server = Running::start().await;
    server.world.state().lost_commits = 2;
    server
        .world
        .state()
        .streams
        .extend([Goes::Ends(3), Goes::Repeats, Goes::Ends(2)]);
    let commands = 20;
    for _ in 0..commands {
        server.world.commit([paid(), paid()]);
    }
    let watch = watch(&server).consumer("index").from_oldest();
    let mut subscription = watch.checkpoint_every(Duration::ZERO).open().await.unwrap();
    let mut seen = Vec::new();
    let mut round = 0;
    while seen.len() < 2 * commands {
        round += 1;
        let mut wait = pin!(subscription.try_next());
        for _ in 0..=round % 4 {
            if let Poll::Ready(delivered) = poll_once(wait.as_mut()).await {
                let delivered = delivered.unwrap().unwrap();
                // One in three is given back, as by a handler that fails.
                if round % 3 > 0 {
                    seen.extend(positions(&delivered));
                    delivered.ack();
                }
                break;
            }
            tokio::task::yield_now().await;
        }
        if round % 50 == 0 {
            server.cut();
        }
    }
    let expected: Vec<i64> = (1..=2 * commands as i64).collect();
    assert_eq!(seen, expected);
    // What is given up in the middle of a save goes on with the next.
    assert!(poll_once(pin!(subscription.flush())).await.is_pending());
    subscription.close().await.unwrap();
    let state = server.world.state();
    assert_eq!(state.commits.last(), Some(&(2 * commands as i64)));
    assert!(state.commits.is_sorted(), "{:?}", state.commits);
}

#[tokio::test]
async fn a_subscription_that_is_dropped_leaves_the_server() {
    let server = Running::start().await;
    let mut subscription = watch(&server).consumer("index").open().await.unwrap();
    server.world.commit([paid()]);
    let delivered = next(&mut subscription).await;
    drop(subscription);
    delivered.ack();
    server.world.until_nobody_watches().await;
    // Nor does one that is given up while it opens stay.
    server.world.state().streams.push_back(Goes::Silent(0));
    let seen = server.world.state().watches.len();
    tokio::select! {
        opened = watch(&server).open() => panic!("{opened:?}"),
        () = server.world.until(|state| state.watches.len() > seen) => {}
    }
    server.world.until_nobody_watches().await;
}
