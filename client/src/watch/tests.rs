//! Subscriptions over streams that say what the test wants, by a clock that is moved only where
//! everybody waits.

mod checkpoints;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;
use crate::ErrorReason;
use crate::ids::{OrderId, RequestId};
use crate::model::{Actor, Event, EventBatch, Role};

/// A step of a stream.
#[derive(Clone)]
enum Say {
    /// A batch with this token, of events at these positions of partition 0; a bookmark without.
    Batch(&'static str, &'static [i64]),
    /// A batch with this token, of events at these places, or else the bookmark of these.
    Spread(&'static str, &'static [At], &'static [At]),
    Fail(Status),
    End,
    /// Nothing for ever.
    Silence,
}

use Say::{Batch, End, Fail, Silence, Spread};

/// A partition and a position there.
pub(super) type At = (i32, i64);

/// Streams, one after the other; the last is opened again and again.
#[derive(Clone)]
struct Script(Arc<Mutex<Told>>);

struct Told {
    streams: VecDeque<Vec<Say>>,
    /// The token of each stream, and when it was opened.
    opened: Vec<(Option<String>, Instant)>,
}

impl Script {
    fn new<const N: usize>(streams: [Vec<Say>; N]) -> Self {
        Self(Arc::new(Mutex::new(Told {
            streams: streams.into(),
            opened: Vec::new(),
        })))
    }

    fn open(&self, token: Option<ResumeToken>) -> feed::Opening {
        let mut told = self.0.lock().unwrap();
        told.opened.push((token.map(String::from), Instant::now()));
        let says = match told.streams.len() {
            1 => told.streams[0].clone(),
            _ => told.streams.pop_front().unwrap(),
        };
        Box::pin(async move {
            // As long as a call would take, so that there is a wait to give up.
            tokio::task::yield_now().await;
            if let [Fail(status)] = &says[..] {
                return Err(Error::from_status(status.clone()));
            }
            let ends = says.iter().any(|say| matches!(say, End | Fail(_)));
            let messages = stream::iter(says).filter_map(async |say| {
                tokio::task::yield_now().await;
                match say {
                    Batch(token, positions) => Some(Ok(batch(token, positions))),
                    Spread(token, events, positions) => Some(Ok(spread(token, events, positions))),
                    Fail(status) => Some(Err(Error::from_status(status))),
                    End | Silence => None,
                }
            });
            let rest: Messages = if ends {
                Box::pin(stream::empty())
            } else {
                Box::pin(stream::pending())
            };
            let messages: Messages = Box::pin(messages.chain(rest));
            Ok(messages)
        })
    }

    fn tokens(&self) -> Vec<Option<String>> {
        let told = self.0.lock().unwrap();
        told.opened.iter().map(|(token, _)| token.clone()).collect()
    }

    /// The time between each stream and the one before.
    fn waits(&self) -> Vec<Duration> {
        let told = self.0.lock().unwrap();
        let pairs = told.opened.windows(2);
        pairs.map(|pair| pair[1].1 - pair[0].1).collect()
    }

    async fn watch(&self, watch: Watch) -> Result<Subscription, WatchError> {
        let (script, deadline) = (self.clone(), after(watch.timeout));
        let open: OpenStream = Box::new(move |token| script.open(token));
        watch.open_with(open, deadline).await
    }

    async fn subscription(&self) -> Subscription {
        self.watch(plain()).await.unwrap()
    }
}

fn plain() -> Watch {
    let belay = Belay::builder("http://127.0.0.1:1").build().unwrap();
    belay.store("demo").watch()
}

pub(super) fn event(partition: i32, position: i64) -> Event {
    Event {
        event_type: EventType::OrderPaid,
        partition,
        position,
        store_id: StoreId::unchecked("demo"),
        order_id: OrderId::unchecked("A-1"),
        order_version: position,
        event_time: Timestamp::UNIX_EPOCH,
        actor: Actor {
            role: Role::System,
            id: None,
        },
        on_behalf_of: None,
        policy_version: None,
        rule: None,
        cause: RequestId::mint().to_string(),
        notify_buyer: false,
        seller_id: None,
        warehouse_id: None,
        carrier_id: None,
        detail: None,
    }
}

fn batch(token: &str, positions: &[i64]) -> EventBatch {
    EventBatch {
        events: positions.iter().map(|at| event(0, *at)).collect(),
        resume_token: token.into(),
        positions: Vec::new(),
    }
}

pub(super) fn spread(token: &str, events: &[At], positions: &[At]) -> EventBatch {
    let place = |&(partition, position): &At| PartitionPosition::new(partition, position);
    EventBatch {
        events: events.iter().map(|at| event(at.0, at.1)).collect(),
        resume_token: token.into(),
        positions: positions.iter().map(place).collect(),
    }
}

fn rejection(code: Code, reason: &str, facts: &[(&str, &str)]) -> Status {
    let facts = facts
        .iter()
        .map(|(key, fact)| ((*key).to_owned(), (*fact).to_owned()));
    let details = ErrorDetails::with_error_info(reason, "belay", facts.collect::<HashMap<_, _>>());
    Status::with_error_details(code, "wording", details)
}

/// The positions of a delivery, which is acknowledged.
async fn handled(subscription: &mut Subscription) -> Vec<i64> {
    let delivered = subscription.try_next().await.unwrap().unwrap();
    let positions = positions(&delivered);
    delivered.ack();
    positions
}

fn positions(delivered: &Delivered) -> Vec<i64> {
    let events = delivered.events();
    events.iter().map(|event| event.position).collect()
}

fn at(subscription: &Subscription) -> Option<String> {
    subscription.position().map(String::from)
}

/// A place that remembers what was saved, and fails when it is told to.
#[derive(Clone, Default)]
struct Place(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    first: Option<String>,
    saved: Vec<(String, Option<Instant>)>,
    fails: bool,
    /// A save waits so long.
    takes: Duration,
}

impl Place {
    fn saved(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap();
        kept.saved.iter().map(|(token, _)| token.clone()).collect()
    }
}

impl Checkpoint for Place {
    async fn load(&self) -> Result<Option<ResumeToken>, crate::BoxError> {
        let kept = self.0.lock().unwrap();
        let last = kept.saved.last().map(|(token, _)| token.clone());
        Ok(last.or_else(|| kept.first.clone()).map(Into::into))
    }

    async fn save(&self, token: &ResumeToken) -> Result<(), crate::BoxError> {
        let takes = self.0.lock().unwrap().takes;
        tokio::time::sleep(takes).await;
        let mut kept = self.0.lock().unwrap();
        if kept.fails {
            return Err("the disk is full".into());
        }
        kept.saved.push((token.to_string(), Some(Instant::now())));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_behind_the_last_batch_whatever_ends_the_stream() {
    let broken = Status::unavailable("gone");
    let script = Script::new([
        vec![Batch("0", &[]), Batch("1", &[1]), End],
        vec![Batch("1", &[]), Batch("2", &[2]), Fail(broken.clone())],
        vec![Fail(broken)],
        vec![Batch("2", &[]), Batch("3", &[3, 4]), Silence],
    ]);
    let mut subscription = script.subscription().await;
    assert_eq!(handled(&mut subscription).await, [1]);
    assert_eq!(handled(&mut subscription).await, [2]);
    assert_eq!(handled(&mut subscription).await, [3, 4]);
    let tokens = script.tokens();
    let tokens: Vec<_> = tokens.iter().map(Option::as_deref).collect();
    assert_eq!(tokens, [None, Some("1"), Some("2"), Some("2")]);
    assert_eq!(at(&subscription).as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_is_dropped_by_position_and_moves_the_token() {
    let script = Script::new([
        vec![Batch("0", &[]), Batch("1", &[1, 2]), End],
        // An older token would have these come again; a server in disorder, too.
        vec![
            Batch("0", &[]),
            Batch("1", &[1, 2]),
            Batch("2", &[2, 3]),
            Batch("2", &[2, 3]),
            Batch("3", &[4]),
            Silence,
        ],
    ]);
    let mut subscription = script.subscription().await;
    assert_eq!(handled(&mut subscription).await, [1, 2]);
    assert_eq!(handled(&mut subscription).await, [3]);
    assert_eq!(handled(&mut subscription).await, [4]);
    assert_eq!(at(&subscription).as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn silence_is_found_and_the_connection_given_up() {
    let script = Script::new([
        vec![Batch("0", &[]), Silence],
        vec![Silence],
        vec![Batch("0", &[]), Batch("1", &[1]), Silence],
    ]);
    let mut subscription = script.subscription().await;
    assert_eq!(handled(&mut subscription).await, [1]);
    let waits = script.waits();
    assert!(
        waits.iter().all(|wait| *wait >= HEARTBEAT_TIMEOUT_DEFAULT),
        "{waits:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_was_away_reads_what_came_meanwhile_and_not_that_it_was_silent() {
    let script = Script::new([vec![
        Batch("0", &[]),
        Batch("1", &[1]),
        Batch("2", &[2]),
        Silence,
    ]]);
    let mut subscription = script.subscription().await;
    assert_eq!(handled(&mut subscription).await, [1]);
    tokio::time::advance(HEARTBEAT_TIMEOUT_DEFAULT * 3).await;
    assert_eq!(handled(&mut subscription).await, [2]);
    assert_eq!(script.tokens().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_after_a_bookmark_is_not_pressed() {
    let script = Script::new([vec![Batch("0", &[]), End]]);
    let mut subscription = script.subscription().await;
    let hour = Duration::from_secs(3600);
    assert!(
        tokio::time::timeout(hour, subscription.try_next())
            .await
            .is_err()
    );
    let waits = script.waits();
    assert!(waits.len() < 3600 / 15 + 20, "{} streams", waits.len());
    assert!(waits.len() > 3600 / 30, "{} streams", waits.len());
    assert!(waits[0] < DELAY_FIRST * 3);
}

#[tokio::test(start_paused = true)]
async fn the_servers_delay_is_waited_for_and_a_mad_one_is_bounded() {
    let full = |delay| {
        let mut details = ErrorDetails::with_retry_info(Some(delay));
        details.set_error_info("OVERLOADED", "belay", HashMap::new());
        Fail(Status::with_error_details(
            Code::ResourceExhausted,
            "wording",
            details,
        ))
    };
    let script = Script::new([
        vec![Batch("0", &[]), End],
        vec![full(Duration::from_secs(7))],
        vec![full(Duration::from_secs(300_000_000_000))],
        vec![Batch("0", &[]), Batch("1", &[1]), Silence],
    ]);
    let mut subscription = script.subscription().await;
    assert_eq!(handled(&mut subscription).await, [1]);
    let waits = script.waits();
    assert!(waits[1] >= Duration::from_secs(7), "{waits:?}");
    assert!(waits[2] < Duration::from_secs(3600), "{waits:?}");
}

/// The status that the server answers, and whether the error is the right one.
type Row = (Status, fn(&WatchError) -> bool);

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_by_itself_ends_it_once() {
    let expired = [
        ("partition", "3"),
        ("position", "17"),
        ("oldest_position", "90"),
    ];
    let rows: [Row; 7] = [
        (
            rejection(Code::OutOfRange, "POSITION_EXPIRED", &expired),
            |error| {
                matches!(
                    error,
                    WatchError::Expired {
                        position: Some(PartitionPosition {
                            partition: 3,
                            position: 17
                        }),
                        oldest_position: Some(90),
                        ..
                    }
                )
            },
        ),
        // A newer server, or a proxy, may leave the facts out.
        (
            rejection(Code::OutOfRange, "POSITION_EXPIRED", &[]),
            |error| matches!(error, WatchError::Expired { position: None, .. }),
        ),
        (
            rejection(Code::OutOfRange, "POSITION_AHEAD", &[]),
            |error| matches!(error, WatchError::Call(error) if error.has_reason(&ErrorReason::PositionAhead)),
        ),
        (
            rejection(Code::InvalidArgument, "RESUME_TOKEN_INVALID", &[]),
            |error| matches!(error, WatchError::Call(_)),
        ),
        (
            rejection(Code::Unauthenticated, "CALLER_UNKNOWN", &[]),
            |error| matches!(error, WatchError::Call(_)),
        ),
        (
            rejection(Code::PermissionDenied, "ROLE_NOT_ALLOWED", &[]),
            |error| matches!(error, WatchError::Call(_)),
        ),
        (
            rejection(Code::FailedPrecondition, "MOON_PHASE", &[]),
            |error| matches!(error, WatchError::Call(_)),
        ),
    ];
    for (status, is_right) in rows {
        let script = Script::new([
            vec![Batch("0", &[]), Batch("1", &[1]), End],
            vec![Fail(status)],
        ]);
        let mut subscription = script.subscription().await;
        assert_eq!(handled(&mut subscription).await, [1]);
        let error = subscription.try_next().await.unwrap_err();
        assert!(is_right(&error), "{error:?}");
        assert!(subscription.try_next().await.unwrap().is_none());
        assert_eq!(script.tokens().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_was_too_slow_goes_on() {
    let slow = rejection(Code::Aborted, "WATCHER_TOO_SLOW", &[]);
    let script = Script::new([
        vec![Batch("0", &[]), Fail(slow)],
        vec![Batch("0", &[]), Batch("1", &[1]), Silence],
    ]);
    let mut subscription = script.subscription().await;
    assert_eq!(handled(&mut subscription).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn opening_ends_with_its_time_and_says_what_failed_last() {
    let script = Script::new([vec![Fail(Status::unavailable("gone"))]]);
    let begun = Instant::now();
    let error = script.watch(plain()).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert!(
        matches!(&error, WatchError::Call(error) if error.kind() == crate::Kind::Unavailable),
        "{error:?}"
    );
    assert!(script.tokens().len() > 3);

    let script = Script::new([vec![Silence]]);
    let error = script.watch(plain()).await.unwrap_err();
    assert!(matches!(&error, WatchError::Call(error) if error.is_timeout()));
}

#[tokio::test(start_paused = true)]
async fn no_duration_is_too_long() {
    let script = Script::new([
        vec![Batch("0", &[]), End],
        vec![Batch("0", &[]), Batch("1", &[1]), Silence],
    ]);
    let watch = plain()
        .timeout(Duration::MAX)
        .heartbeat_timeout(Duration::MAX)
        .checkpoint_every(Duration::MAX)
        .checkpoint(Place::default())
        .reconnect_delays(Duration::MAX, Duration::MAX);
    let mut subscription = script.watch(watch).await.unwrap();
    assert_eq!(handled(&mut subscription).await, [1]);
    subscription.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_comes_again_before_what_is_newer() {
    let script = Script::new([vec![
        Batch("0", &[]),
        Batch("1", &[1]),
        Batch("2", &[2]),
        Silence,
    ]]);
    let mut subscription = script.subscription().await;
    let begun = Instant::now();
    for _ in 0..5 {
        let delivered = subscription.try_next().await.unwrap().unwrap();
        assert_eq!(positions(&delivered), [1]);
    }
    assert!(begun.elapsed() >= DELAY_FIRST * 15, "each pause is longer");
    assert_eq!(at(&subscription).as_deref(), Some("0"));
    assert_eq!(handled(&mut subscription).await, [1]);
    assert_eq!(handled(&mut subscription).await, [2]);
    assert_eq!(at(&subscription).as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn who_acknowledges_nothing_is_waited_for() {
    let mut says = vec![Batch("0", &[])];
    // Positions without an end, as far as the bound goes and one beyond.
    let last = i64::try_from(ledger::UNACKNOWLEDGED_MAX + 1).unwrap();
    let positions: Vec<i64> = (1..=last).collect();
    let positions: &'static [i64] = positions.leak();
    says.extend(positions.chunks(1).map(|one| Batch("x", one)));
    says.push(Silence);
    let script = Script::new([says]);
    let mut subscription = script.subscription().await;
    let mut out = Vec::new();
    for _ in 0..ledger::UNACKNOWLEDGED_MAX {
        out.push(subscription.try_next().await.unwrap().unwrap());
    }
    // The acknowledgement of another task wakes who waits.
    let mut tasks = tokio::task::JoinSet::new();
    let oldest = out.remove(0);
    tasks.spawn(async move { oldest.ack() });
    let begun = Instant::now();
    let next = tokio::time::timeout(HEARTBEAT_TIMEOUT_DEFAULT, subscription.try_next());
    let delivered = next.await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < HEARTBEAT_TIMEOUT_DEFAULT);
    assert_eq!(delivered.events()[0].position, last);
    delivered.ack();
}

#[tokio::test]
async fn invalid_arguments_are_told_and_nothing_is_opened() {
    let script = Script::new([vec![Batch("0", &[]), Silence]]);
    let belay = Belay::builder("http://127.0.0.1:1").build().unwrap();
    for watch in [
        belay.store("no store").watch(),
        plain().consumer("no name"),
        plain().order_id(""),
        belay.watch().seller_ids(["a b"]),
    ] {
        let error = script.watch(watch).await.unwrap_err();
        assert!(
            matches!(&error, WatchError::Call(error) if error.kind() == crate::Kind::InvalidArgument),
            "{error:?}"
        );
    }
    assert!(script.tokens().is_empty());
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls every future once and drops it, wherever it is. Whoever goes on finds everything, once.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_anywhere_loses_nothing_and_repeats_nothing() {
    let place = Place::default();
    let script = Script::new([
        vec![Batch("0", &[]), Batch("1", &[1]), Batch("2", &[2]), End],
        vec![Fail(Status::unavailable("gone"))],
        vec![Batch("2", &[]), Batch("3", &[2, 3]), Silence],
        vec![Batch("3", &[]), Batch("4", &[4]), Silence],
    ]);
    let watch = plain()
        .checkpoint(place.clone())
        .checkpoint_every(Duration::ZERO);
    let mut subscription = script.watch(watch).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        // The waker of a dropped wait is nobody's: time moves by hand.
        if let Poll::Ready(next) = poll_once(pin!(subscription.try_next())) {
            let delivered = next.unwrap().unwrap();
            seen.extend(positions(&delivered));
            delivered.ack();
        }
        let _ = poll_once(pin!(subscription.flush()));
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    assert_eq!(
        script.tokens().len(),
        4,
        "no stream was given up with its wait"
    );
    subscription.close().await.unwrap();
    let mut saved = place.saved();
    assert_eq!(saved.last().map(String::as_str), Some("4"));
    saved.dedup();
    assert_eq!(saved.len(), place.saved().len(), "none is saved twice");
    assert!(saved.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_stops_everything() {
    let place = Place::default();
    let script = Script::new([vec![Batch("0", &[]), Batch("1", &[1]), End]]);
    let watch = plain().checkpoint(place.clone());
    let mut subscription = script.watch(watch).await.unwrap();
    let delivered = subscription.try_next().await.unwrap().unwrap();
    drop(subscription);
    delivered.ack();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(script.tokens().len(), 1);
    assert_eq!(
        Arc::strong_count(&place.0),
        1,
        "nobody keeps the checkpoint"
    );
}

#[test]
fn a_subscription_may_move_to_another_task() {
    fn moves<T: Send + Unpin>() {}
    moves::<Subscription>();
    moves::<Stops>();
    moves::<Delivered>();
    fn is_stream<T: Stream>() {}
    is_stream::<Subscription>();
    is_stream::<Stops>();
}
