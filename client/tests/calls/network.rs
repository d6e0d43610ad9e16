//! Connections: several addresses, names, tokens and certificates that change.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use belay_client::{
    Belay, BelayBuilder, Kind, RetryPolicy, Token, TokenFuture, TokenSource, Units, reason,
};
use tonic::Status;
use tonic_types::ErrorDetails;

use crate::support::{Fake, Step};

/// A list of nothing, answered as often as somebody asks.
fn answers() -> [Step; 64] {
    std::array::from_fn(|_| Step::Answer)
}

async fn list(belay: &Belay) -> Result<(), belay_client::Error> {
    belay.store("demo").list_cancellations().await?;
    Ok(())
}

fn quick(builder: BelayBuilder) -> BelayBuilder {
    let millisecond = Duration::from_millis(1);
    let retry = RetryPolicy::default().with_delays(millisecond, millisecond);
    builder.retry(retry.with_budget(100, 1_000_000))
}

#[tokio::test]
async fn calls_take_turns_and_go_on_where_one_address_is_gone() {
    let (one, two) = (Fake::start(answers()).await, Fake::start(answers()).await);
    let belay = quick(one.builder()).address(two.address()).build().unwrap();
    for _ in 0..6 {
        list(&belay).await.unwrap();
    }
    let seen = (one.script.seen().len(), two.script.seen().len());
    assert_eq!(seen, (3, 3));

    let gone = one.address().to_owned();
    drop(one);
    let belay = quick(Belay::builder(gone))
        .address(two.address())
        .build()
        .unwrap();
    for _ in 0..6 {
        list(&belay).await.unwrap();
    }
    assert_eq!(
        two.script.seen().len(),
        9,
        "each call ends where somebody answers"
    );
}

#[tokio::test]
async fn a_call_that_must_not_be_repeated_is_where_nobody_was_reached() {
    let two = Fake::start(answers()).await;
    let gone = "http://127.0.0.1:1".to_owned();
    let belay = quick(Belay::builder(gone))
        .address(two.address())
        .build()
        .unwrap();
    let claimed = belay.store("demo").claim_refunds("worker-1").await.unwrap();
    assert!(claimed.is_empty());
    assert_eq!(two.script.seen().len(), 1);
}

#[tokio::test]
async fn all_that_a_name_stands_for_is_called() {
    let fake = Fake::start(answers()).await;
    let port = fake.address().rsplit(':').next().unwrap().to_owned();
    let builder = quick(Belay::builder(format!("http://localhost:{port}")));
    let belay = builder
        .resolve_all(true)
        .look_every(Duration::ZERO)
        .build()
        .unwrap();
    for _ in 0..4 {
        list(&belay).await.unwrap();
    }
    assert_eq!(fake.script.seen().len(), 4);
}

#[tokio::test]
async fn a_name_that_stands_for_nothing_is_named_and_nothing_hangs() {
    let builder = Belay::builder("http://nothing.invalid:50051").retry(RetryPolicy::never());
    for resolve_all in [false, true] {
        let belay = builder.clone().resolve_all(resolve_all).build().unwrap();
        let error = list(&belay).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.message().contains("nothing.invalid"), "{error}");
        // Nothing was sent, so nothing is unknown.
        let call = belay
            .store("demo")
            .request_cancellation("A-1", Units::all());
        let error = call.reason(reason::NO_LONGER_WANTED).await.unwrap_err();
        assert!(!error.is_outcome_unknown(), "{error}");
    }
}

/// For timers alone: with real connections the clock must not stand still.
async fn a_minute_passes() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
}

/// A source that gives out `token-1`, `token-2` and so on, until it has given out so many; then it
/// fails.
struct Counting {
    given: AtomicUsize,
    most: usize,
}

impl Counting {
    fn up_to(most: usize) -> Self {
        Self {
            given: AtomicUsize::new(0),
            most,
        }
    }
}

impl TokenSource for Counting {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
            if number > self.most {
                return Err("the vault is closed".into());
            }
            Ok(Token::new(format!("token-{number}")))
        })
    }
}

fn unauthenticated() -> Step {
    use tonic_types::StatusExt as _;

    let mut details = ErrorDetails::new();
    details.set_error_info(
        "CALLER_UNKNOWN",
        "belay",
        [("a", "b")].map(|(a, b)| (a.to_owned(), b.to_owned())),
    );
    Step::Fail(Status::with_error_details(
        tonic::Code::Unauthenticated,
        "who?",
        details,
    ))
}

fn shown(fake: &Fake) -> Vec<String> {
    let seen = fake.script.seen();
    let tokens = seen.iter().map(|call| {
        let header = call.headers.get("authorization").unwrap();
        header.to_str().unwrap().to_owned()
    });
    tokens.collect()
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_renewed_and_the_call_made_again() {
    let fake = Fake::start([Step::Answer, unauthenticated(), Step::Answer, Step::Answer]).await;
    let belay = fake
        .builder()
        .token_source(Counting::up_to(9))
        .build()
        .unwrap();
    for _ in 0..3 {
        list(&belay).await.unwrap();
    }
    let expected = [
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
        "Bearer token-2",
    ];
    assert_eq!(shown(&fake), expected);
}

#[tokio::test]
async fn a_caller_who_stays_unknown_is_told_so_once() {
    let fake = Fake::start([unauthenticated(), unauthenticated(), Step::Answer]).await;
    let belay = fake
        .builder()
        .token_source(Counting::up_to(9))
        .build()
        .unwrap();
    let error = list(&belay).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert_eq!(fake.script.seen().len(), 2);
}

#[tokio::test]
async fn while_the_source_fails_the_token_that_is_known_is_used() {
    let fake = Fake::start(answers()).await;
    let belay = fake
        .builder()
        .token_source(Counting::up_to(1))
        .build()
        .unwrap();
    list(&belay).await.unwrap();
    a_minute_passes().await;
    list(&belay).await.unwrap();
    assert_eq!(shown(&fake), ["Bearer token-1", "Bearer token-1"]);

    let belay = fake
        .builder()
        .token_source(Counting::up_to(0))
        .build()
        .unwrap();
    let error = list(&belay).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("the vault is closed"), "{error}");
    let call = belay
        .store("demo")
        .request_cancellation("A-1", Units::all());
    let error = call.reason(reason::NO_LONGER_WANTED).await.unwrap_err();
    assert!(!error.is_outcome_unknown(), "nothing was sent: {error}");
    let told = format!("{error:?} {belay:?}");
    assert!(!told.contains("token-1"), "{told}");
}

#[tokio::test]
async fn a_file_with_a_token_is_read_again() {
    let fake = Fake::start([Step::Answer, unauthenticated(), Step::Answer]).await;
    let path = std::env::temp_dir().join(format!("belay-token-{}", std::process::id()));
    std::fs::write(&path, "first\n").unwrap();
    let belay = fake.builder().token_file(&path).build().unwrap();
    list(&belay).await.unwrap();
    std::fs::write(&path, "second\n").unwrap();
    list(&belay).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        shown(&fake),
        ["Bearer first", "Bearer first", "Bearer second"]
    );
}

/// A source that gives out one token, and then never answers.
struct Silent(Counting);

impl TokenSource for Silent {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            match self.0.token().await {
                Ok(token) => Ok(token),
                Err(_) => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn a_source_that_is_silent_holds_nobody_up_while_the_token_is_good() {
    let fake = Fake::start(answers()).await;
    let builder = fake.builder().token_source(Silent(Counting::up_to(1)));
    let belay = builder.build().unwrap();
    list(&belay).await.unwrap();
    for _ in 0..3 {
        a_minute_passes().await;
        list(&belay).await.unwrap();
    }
    assert_eq!(shown(&fake), ["Bearer token-1"; 4]);
}

#[tokio::test]
async fn a_token_that_is_no_header_leaves_the_one_that_is_known() {
    let fake = Fake::start(answers()).await;
    let path = std::env::temp_dir().join(format!("belay-half-token-{}", std::process::id()));
    std::fs::write(&path, "first").unwrap();
    let belay = fake.builder().token_file(&path).build().unwrap();
    list(&belay).await.unwrap();
    a_minute_passes().await;
    // As a program that writes it anew leaves it for a moment.
    std::fs::write(&path, "").unwrap();
    list(&belay).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(shown(&fake), ["Bearer first", "Bearer first"]);
}

#[tokio::test]
async fn times_that_never_come_are_taken() {
    let fake = Fake::start(answers()).await;
    let belay = fake
        .builder()
        .resolve_all(true)
        .look_every(Duration::MAX)
        .token_source(Forever)
        .build()
        .unwrap();
    list(&belay).await.unwrap();
}

struct Forever;

impl TokenSource for Forever {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async { Ok(Token::new("for-ever").expires_in(Duration::MAX)) })
    }
}

#[tokio::test]
async fn one_name_that_stands_for_nothing_leaves_the_others() {
    let fake = Fake::start(answers()).await;
    let builder = quick(Belay::builder("http://nothing.invalid:50051"));
    let belay = builder
        .address(fake.address())
        .resolve_all(true)
        .build()
        .unwrap();
    for _ in 0..3 {
        list(&belay).await.unwrap();
    }
    assert_eq!(fake.script.seen().len(), 3);
}
