//! Streams that nobody reads, and as many as a connection takes, beside calls.

use std::time::Duration;

use belay_client::Belay;
use belay_client::model::CancellationState as State;
use belay_proto::v1 as pb;
use belay_proto::v1::CancellationState;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Server;

use crate::running::Running;
use crate::world::{a_cancellation, an_event};

/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);

async fn list(belay: &Belay) {
    let list = belay.store("demo").list_cancellations().timeout(HANG);
    list.attempt_timeout(HANG).await.unwrap();
}

/// Commits so many commands, with an event of some hundred KiB each.
fn pile_up(server: &Running, commands: usize) {
    let paid = pb::EventType::OrderPaid.into();
    let event = pb::Event {
        cause: "x".repeat(256 << 10),
        ..an_event(paid)
    };
    for _ in 0..commands {
        server.world.commit([event.clone()]);
    }
}

#[tokio::test]
async fn subscriptions_that_nobody_reads_hold_no_call_up() {
    let server = Running::start().await;
    pile_up(&server, 32);
    let belay = server.belay();
    list(&belay).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let watch = belay.store("demo").watch().from_oldest().timeout(HANG);
        let mut subscription = watch.await.unwrap();
        let first = timeout(HANG, subscription.try_next()).await;
        unread.push((first.unwrap().unwrap().unwrap(), subscription));
    }
    // Each of them is handled by calls of the same client, and none is read meanwhile.
    for _ in 0..200 {
        list(&belay).await;
    }
    // Nor do they hold each other up.
    for (first, mut subscription) in unread {
        first.ack();
        for _ in 1..32 {
            let next = timeout(HANG, subscription.try_next()).await;
            next.unwrap().unwrap().unwrap().ack();
        }
    }
}

/// One that takes so many streams of a connection at once.
async fn narrow(streams_max: u32) -> Running {
    let server = Server::builder().max_concurrent_streams(streams_max);
    let server = Running::start_on(server).await;
    let cancellation = a_cancellation("A-1:c1");
    server.world.state().cancellations.push(cancellation);
    server
}

#[tokio::test]
async fn subscriptions_that_fill_a_connection_hold_no_call_up() {
    let server = narrow(4).await;
    let belay = server.belay();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(belay.store("demo").watch().timeout(HANG).await.unwrap());
    }
    list(&belay).await;
    drop(open);
}

#[tokio::test]
async fn waits_that_would_fill_a_connection_end_and_leave_room_for_subscriptions() {
    let waits = 60;
    let server = narrow(waits).await;
    let belay = server.belay();
    // With the settings of the server known.
    drop(belay.store("demo").watch().await.unwrap());
    list(&belay).await;
    server.world.until_nobody_watches().await;
    let mut waiting = JoinSet::new();
    for _ in 0..waits {
        let store = belay.store("demo");
        waiting.spawn(async move { store.wait_for_cancellation("A-1:c1", HANG).await });
    }
    // All wait, and have read once: those that watch have tried to by then.
    let reads = usize::try_from(waits).unwrap();
    server.world.until(|state| state.reads >= reads).await;
    let watches = server.world.state().watches.len();
    assert!(watches <= 1 + 32, "{watches} streams");
    let subscription = belay.store("demo").watch().timeout(HANG).await.unwrap();
    list(&belay).await;
    server.world.state().cancellations[0].set_state(CancellationState::Completed);
    let completed = pb::EventType::CancellationCompleted.into();
    server.world.commit([an_event(completed)]);
    for decided in waiting.join_all().await {
        assert_eq!(decided.unwrap().state, State::Completed);
    }
    drop(subscription);
}
