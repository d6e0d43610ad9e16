//! Tokens that the server does not take any more, and sources that take their time. The clock
//! stands still.

use std::collections::VecDeque;
use std::future::{IntoFuture as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use belay_client::{Belay, BoxError, Kind, Token, TokenFuture, TokenSource, Units};
use belay_proto::v1 as pb;
use tokio::time::{sleep, timeout};
use tonic::Code;
use tonic::body::Body;
use tonic_types::ErrorDetails;
use tower::{BoxError as ServiceError, Service as _, service_fn};

use crate::in_process::quick;
use crate::support::rejection;
use crate::world::{World, a_cancellation, an_event};

const SECOND: Duration = Duration::from_secs(1);
/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);

/// A source that gives what it has, each after a while; then it is silent.
struct Slow(Mutex<VecDeque<(Duration, Result<Token, &'static str>)>>);

impl Slow {
    fn new<const N: usize>(tokens: [(Duration, Result<Token, &'static str>); N]) -> Self {
        Self(Mutex::new(tokens.into()))
    }
}

impl TokenSource for Slow {
    fn token(&self) -> TokenFuture<'_> {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(async {
            let Some((wait, token)) = next else {
                return std::future::pending().await;
            };
            sleep(wait).await;
            token.map_err(BoxError::from)
        })
    }
}

/// The tokens that a server was shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<String>>>);

impl Shown {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A client of the world that shows the tokens of this source. The first is refused.
fn with_tokens(world: &World, source: impl TokenSource) -> (Belay, Shown) {
    with_refusals(usize::MAX, world, source)
}

/// And where the first is refused so many times.
fn with_refusals(most: usize, world: &World, source: impl TokenSource) -> (Belay, Shown) {
    let (routes, shown) = (world.routes(), Shown::default());
    let told = shown.clone();
    let service = service_fn(move |request: http::Request<Body>| {
        let (mut routes, told) = (routes.clone(), told.clone());
        async move {
            let header = request.headers().get("authorization");
            let token = header.and_then(|header| header.to_str().ok());
            let token = token.unwrap_or_default().trim_start_matches("Bearer ");
            let count = {
                let mut told = told.0.lock().unwrap();
                told.push(token.to_owned());
                told.len()
            };
            if token == "token-1" && count <= most {
                let details = ErrorDetails::new();
                let unknown = rejection(Code::Unauthenticated, "CALLER_UNKNOWN", details);
                return Ok(unknown.into_http());
            }
            Ok::<_, ServiceError>(routes.call(request).await?)
        }
    });
    let builder = quick().token_source(source);
    (builder.build_in_process(service).unwrap(), shown)
}

fn token(number: u32) -> Result<Token, &'static str> {
    Ok(Token::new(format!("token-{number}")))
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_the_token_behind_one_that_was_refused() {
    let source = Slow::new([(Duration::ZERO, token(1)), (SECOND * 3, token(2))]);
    let (belay, _) = with_tokens(&World::new(), source);
    belay.store("demo").list_cancellations().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscription_waits_for_the_token_behind_one_that_was_refused() {
    let source = Slow::new([(Duration::ZERO, token(1)), (SECOND * 12, token(2))]);
    let world = World::new();
    let watch = with_tokens(&world, source).0.store("demo").watch();
    let mut subscription = watch.timeout(HANG).await.unwrap();
    world.commit([an_event(pb::EventType::OrderPaid.into())]);
    let next = timeout(HANG, subscription.try_next()).await;
    next.unwrap().unwrap().unwrap().ack();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_after_a_refusal_is_asked_again() {
    let failed = || (Duration::ZERO, Err("the vault is closed"));
    let first = (Duration::ZERO, token(1));
    let source = Slow::new([first.clone(), failed(), failed(), (SECOND, token(2))]);
    let (belay, _) = with_tokens(&World::new(), source);
    belay.store("demo").list_cancellations().await.unwrap();

    let all = [first, failed(), failed(), failed(), failed(), failed()];
    let (belay, _) = with_tokens(&World::new(), Slow::new(all));
    let error = belay.store("demo").list_cancellations().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.message().contains("the vault is closed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_knows_no_other_token_is_believed() {
    let same = || (Duration::ZERO, token(1));
    let source = Slow::new([same(), same(), (SECOND, token(2))]);
    let (belay, _) = with_tokens(&World::new(), source);
    for _ in 0..3 {
        let error = belay.store("demo").list_cancellations().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated, "{error}");
    }
    // It is asked again, and no more often than once a second.
    sleep(SECOND).await;
    belay.store("demo").list_cancellations().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_again_is_good_while_its_source_fails() {
    let same = || (Duration::ZERO, token(1));
    let failed = (Duration::ZERO, Err("the vault is closed"));
    let source = Slow::new([same(), same(), failed]);
    let (belay, shown) = with_refusals(1, &World::new(), source);
    let error = belay.store("demo").list_cancellations().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated, "{error}");
    for _ in 0..3 {
        belay.store("demo").list_cancellations().await.unwrap();
        sleep(SECOND * 61).await;
    }
    assert_eq!(shown.all(), ["token-1"; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_asked_for_long_ago_is_asked_for_again() {
    let lasts = |number, seconds| token(number).map(|token| token.expires_in(SECOND * seconds));
    let source = Slow::new([
        (Duration::ZERO, lasts(2, 120)),
        // Given up after a second, while the one before is good.
        (SECOND * 3, lasts(1, 120)),
        (Duration::ZERO, lasts(3, 120)),
    ]);
    let (belay, shown) = with_tokens(&World::new(), source);
    belay.store("demo").list_cancellations().await.unwrap();
    sleep(SECOND * 61).await;
    belay.store("demo").list_cancellations().await.unwrap();
    // By now it has expired, though it was never shown.
    sleep(SECOND * 1800).await;
    let list = belay.store("demo").list_cancellations();
    list.timeout(SECOND / 2).await.unwrap();
    assert_eq!(shown.all(), ["token-2", "token-2", "token-3"]);
}

/// Never gives a token out.
/// As where a subscription hands on what has come, and its next save waits for a token.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_polled_any_more_holds_no_token_up() {
    let source = Slow::new([(SECOND, token(2)), (SECOND, token(3))]);
    let (belay, shown) = with_tokens(&World::new(), source);
    let store = belay.store("demo");
    let mut left = pin!(store.list_cancellations().into_future());
    let polled = poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_ready()));
    assert!(!polled.await, "it waits for its token");
    store.list_cancellations().await.unwrap();
    left.await.unwrap();
    assert_eq!(shown.all(), ["token-2"; 2], "and nobody asks twice");
}

#[tokio::test(start_paused = true)]
async fn a_wait_reads_while_its_watch_waits_for_a_token() {
    let world = World::new();
    let mut decided = a_cancellation("A-1:c1");
    decided.set_state(pb::CancellationState::Completed);
    world.state().cancellations.push(decided);
    // Longer than the watch holds the first read up.
    let source = Slow::new([(SECOND * 3 / 4, token(2))]);
    let (belay, _) = with_tokens(&world, source);
    let store = belay.store("demo");
    let wait = store.wait_for_cancellation("A-1:c1", 10 * SECOND);
    wait.await.unwrap();
}

struct Silent;

impl TokenSource for Silent {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent_and_nothing_unknown() {
    let (belay, _) = with_tokens(&World::new(), Silent);
    let store = belay.store("demo");
    let call = store.request_cancellation("A-1", Units::all());
    let error = call.timeout(SECOND / 20).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.message().contains("token"), "{error}");
    let error = store.list_cancellations().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}
