//! What happens between a call and its answer: repeats, deadlines, budget, keys and errors, against
//! a server that does as it is told.

use std::time::Duration;

use crate::support::{Fake, Step, rejection, unavailable};

use belay_client::{Belay, ErrorReason, Kind, OrderId, RequestId, RetryPolicy, Role, Scope, Units};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::ErrorDetails;

/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn what_is_unavailable_is_repeated_under_the_same_request_id() {
    let fake = Fake::start([
        unavailable(Duration::from_millis(1)),
        unavailable(Duration::from_millis(1)),
        Step::Fail(rejection(
            Code::FailedPrecondition,
            "SHIPPED",
            ErrorDetails::new(),
        )),
    ])
    .await;

    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .await
        .unwrap_err();

    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::Rejected, Some(&ErrorReason::Shipped))
    );
    let seen = fake.script.seen();
    assert_eq!(seen.len(), 3);
    let request_id = error.request_id().unwrap().to_string();
    assert!(
        seen.iter().all(|call| call.request_id == request_id),
        "{seen:?}"
    );
}

#[tokio::test]
async fn the_callers_request_id_is_sent_and_named_by_the_error() {
    let fake = Fake::start([Step::Fail(rejection(
        Code::NotFound,
        "ORDER_NOT_FOUND",
        ErrorDetails::new(),
    ))])
    .await;
    let request_id = RequestId::mint();

    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .request_id(request_id)
        .await
        .unwrap_err();

    assert_eq!(
        (error.kind(), error.request_id()),
        (Kind::NotFound, Some(request_id))
    );
    assert_eq!(error.metadata()["order_id"], "A-1");
    assert_eq!(fake.script.seen()[0].request_id, request_id.to_string());
}

#[tokio::test]
async fn two_calls_have_two_request_ids_and_clones_have_one() {
    let fake = Fake::start([Step::Fail(Status::not_found("no"))]).await;
    let call = fake.store().request_cancellation("A-1", Units::all());
    let (first, again) = (call.clone().await.unwrap_err(), call.await.unwrap_err());
    let other = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .await
        .unwrap_err();

    assert_eq!(first.request_id(), again.request_id());
    assert_ne!(first.request_id(), other.request_id());
}

#[tokio::test]
async fn what_is_aborted_is_not_repeated() {
    let fake = Fake::start([Step::Fail(rejection(
        Code::Aborted,
        "ETAG_MISMATCH",
        ErrorDetails::new(),
    ))])
    .await;

    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .etag("7")
        .await
        .unwrap_err();

    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::Aborted, Some(&ErrorReason::EtagMismatch))
    );
    assert!(error.has_reason(&ErrorReason::EtagMismatch) && error.is_conflict());
    assert!(!error.has_reason(&ErrorReason::FenceStale) && !error.is_timeout());
    assert_eq!(fake.script.seen().len(), 1);
}

#[tokio::test]
async fn a_full_server_is_not_pressed_further() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
    let fake = Fake::start([Step::Fail(rejection(
        Code::ResourceExhausted,
        "OVERLOADED",
        details,
    ))])
    .await;

    let error = fake.store().list_cancellations().await.unwrap_err();

    assert_eq!(
        (error.kind(), error.retry_after()),
        (Kind::Overloaded, Some(Duration::from_secs(2)))
    );
    assert_eq!(fake.script.seen().len(), 1);
}

#[tokio::test]
async fn claims_are_not_repeated() {
    let fake = Fake::start([unavailable(Duration::ZERO)]).await;

    let error = fake.store().claim_refunds("worker-1").await.unwrap_err();

    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(fake.script.seen().len(), 1);
}

#[tokio::test]
async fn attempts_are_bounded() {
    let fake = Fake::start([unavailable(Duration::ZERO)]).await;

    let error = fake.store().list_cancellations().await.unwrap_err();

    assert_eq!(error.reason(), Some(&ErrorReason::DatabaseUnavailable));
    assert_eq!(fake.script.seen().len(), 5);
}

#[tokio::test]
async fn a_call_is_repeated_after_the_servers_delay() {
    // How long that makes is a table beside the loop.
    let fake = Fake::start([unavailable(Duration::from_millis(1)), Step::Answer]).await;

    let page = fake.store().list_cancellations().await.unwrap();

    assert_eq!(fake.script.seen().len(), 2);
    assert_eq!(page.next_page_token.as_deref(), Some("more"));
}

#[tokio::test]
async fn a_repeat_that_would_come_too_late_is_not_waited_for() {
    // Whoever waited would wait for an hour, and then be told that the deadline has passed.
    let hour = Duration::from_secs(3600);
    let fake = Fake::start([unavailable(hour)]).await;

    let error = fake
        .store()
        .list_cancellations()
        .timeout(hour)
        .await
        .unwrap_err();

    assert_eq!(
        (error.kind(), error.retry_after()),
        (Kind::Unavailable, Some(hour))
    );
    assert_eq!(fake.script.seen().len(), 1);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    // Until a time is long enough for two attempts, on a machine however slow.
    let mut patience = Duration::from_millis(200);
    loop {
        let fake = Fake::start([unavailable(Duration::ZERO), Step::Hang]).await;
        let call = fake.store().request_cancellation("A-1", Units::all());
        let error = call.timeout(patience).await.unwrap_err();

        let seen = fake.script.seen();
        if seen.len() < 2 {
            patience *= 2;
            continue;
        }
        // Nothing but its deadline ends the second.
        assert_eq!(
            (error.kind(), error.reason()),
            (Kind::OutcomeUnknown, Some(&ErrorReason::DeadlineExceeded))
        );
        assert!(error.request_id().is_some());
        // Each attempt told the server what was left.
        let left: Vec<u64> = seen
            .iter()
            .map(|call| microseconds(&call.headers))
            .collect();
        assert!(
            left.len() == 2 && left[1] < left[0] && u128::from(left[0]) <= patience.as_micros(),
            "{left:?}"
        );
        return;
    }
}

/// Attempts enough for any machine.
fn insistent() -> RetryPolicy {
    let millisecond = Duration::from_millis(1);
    RetryPolicy::default()
        .with_attempts_max(u32::MAX)
        .with_delays(millisecond, millisecond)
        .with_budget(100, 1_000_000)
}

#[tokio::test]
async fn a_silent_server_takes_an_attempt_and_not_the_call() {
    let fake = Fake::start([Step::Hang, Step::Answer]).await;
    let builder = fake.builder().retry(insistent());
    let builder = builder.attempt_timeout(Duration::from_millis(100));
    let store = builder.timeout(HANG).build().unwrap().store("demo");
    let listed = store.list_cancellations().await;
    assert!(listed.unwrap().items.is_empty());
    assert!(fake.script.seen().len() > 1);

    // The same of one call, and under one request id.
    let fake = Fake::start([Step::Hang, unavailable(Duration::ZERO)]).await;
    let call = fake.store().request_cancellation("A-1", Units::all());
    let call = call.attempt_timeout(Duration::from_millis(100));
    let error = call.await.unwrap_err();
    // Nobody knows what became of the first attempt.
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    let seen = fake.script.seen();
    assert!(seen.len() > 1);
    assert!(
        seen.iter()
            .all(|call| call.request_id == seen[0].request_id)
    );
}

#[tokio::test]
async fn what_must_not_be_repeated_has_one_attempt_and_all_of_the_time() {
    let fake = Fake::start([Step::Hang]).await;
    let claim = fake.store().claim_refunds("w-1");
    let claim = claim.attempt_timeout(Duration::from_millis(1));
    let mut claims = JoinSet::new();
    claims.spawn(claim.timeout(HANG).send());
    // It comes, however little an attempt may take, and is not given up.
    fake.script.until_seen(1).await;
    tokio::task::yield_now().await;
    assert!(claims.try_join_next().is_none());
    let timeout = microseconds(&fake.script.seen()[0].headers);
    assert!(Duration::from_micros(timeout) > HANG / 2);
    claims.shutdown().await;
    assert_eq!(fake.script.seen().len(), 1);
}

#[tokio::test]
async fn a_call_may_be_repeated_otherwise_than_others() {
    let fake = Fake::start([unavailable(Duration::ZERO)]).await;
    let store = fake.store();
    let call = store.list_cancellations().retry(RetryPolicy::never());
    call.await.unwrap_err();
    assert_eq!(fake.script.seen().len(), 1);
    store.list_cancellations().await.unwrap_err();
    assert_eq!(fake.script.seen().len(), 1 + 5);
}

#[tokio::test]
async fn the_calling_program_is_in_the_user_agent() {
    let fake = Fake::start([Step::Answer]).await;
    let own = concat!("belay-client/", env!("CARGO_PKG_VERSION"));
    let agent = |call: usize| {
        let seen = fake.script.seen();
        seen[call]
            .headers
            .get("user-agent")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    fake.store().list_cancellations().await.unwrap();
    assert!(agent(0).starts_with(own), "{}", agent(0));
    let builder = fake.builder().user_agent("web-shop/4.2");
    let store = builder.build().unwrap().store("demo");
    store.list_cancellations().await.unwrap();
    assert!(
        agent(1).starts_with(&format!("web-shop/4.2 {own}")),
        "{}",
        agent(1)
    );
}

/// The header grpc-timeout.
fn microseconds(headers: &tonic::metadata::MetadataMap) -> u64 {
    let timeout = headers.get("grpc-timeout").unwrap().to_str().unwrap();
    let (number, unit) = timeout.split_at(timeout.len() - 1);
    let scale = match unit {
        "n" => return number.parse::<u64>().unwrap() / 1_000,
        "u" => 1,
        "m" => 1_000,
        "S" => 1_000_000,
        odd => panic!("{odd}"),
    };
    number.parse::<u64>().unwrap() * scale
}

#[tokio::test]
async fn a_deadline_told_as_cancelled_is_a_deadline() {
    let fake = Fake::start([Step::Fail(Status::cancelled("Timeout expired"))]).await;
    let error = fake.store().list_cancellations().await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);

    let fake = Fake::start([Step::Fail(Status::cancelled("because"))]).await;
    let error = fake.store().list_cancellations().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
}

#[tokio::test]
async fn an_outage_is_not_answered_with_a_storm() {
    let fake = Fake::start([unavailable(Duration::ZERO)]).await;
    let millisecond = Duration::from_millis(1);
    let retry = RetryPolicy::default()
        .with_delays(millisecond, millisecond)
        .with_budget(10, 0);
    let store = fake.builder().retry(retry).build().unwrap().store("demo");

    for _ in 0..200 {
        store.list_cancellations().await.unwrap_err();
    }

    // A tenth of the calls, or less where they take longer than the budget looks back; without a
    // budget it would be 800.
    let repeats = fake.script.seen().len() - 200;
    assert!((1..=20).contains(&repeats), "{repeats}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut fake = Fake::start([]).await;
    let store = fake.store();
    fake.kill().await;

    let error = store.list_cancellations().await.unwrap_err();

    assert_eq!((error.kind(), error.reason()), (Kind::Unavailable, None));
    assert!(error.message().contains("refused"), "{error}");
    assert!(error.message().starts_with(fake.address()), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_call_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        for _ in 0..3 {
            hang_up_on_a_request(&listener).await.unwrap();
        }
    });
    let retry = RetryPolicy::default().with_attempts_max(3);
    let store = Belay::builder(address)
        .retry(retry)
        .build()
        .unwrap()
        .store("demo");

    let error = store.list_cancellations().await.unwrap_err();

    assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    server.join_next().await.unwrap().unwrap();
}

/// Speaks as much HTTP/2 as it takes to receive a request, and is gone.
async fn hang_up_on_a_request(listener: &TcpListener) -> std::io::Result<()> {
    const PREFACE_BYTES: usize = 24;
    const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const DATA: u8 = 0;

    let (mut connection, _) = listener.accept().await?;
    connection.write_all(&EMPTY_SETTINGS).await?;
    connection.read_exact(&mut [0; PREFACE_BYTES]).await?;
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        connection
            .read_exact(&mut vec![0; length.try_into().unwrap()])
            .await?;
        if head[3] == DATA {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn role_and_name_are_in_the_headers() {
    let fake = Fake::start([Step::Answer]).await;
    let belay = fake
        .builder()
        .role(Role::Storefront, "web")
        .build()
        .unwrap();
    belay.store("demo").list_cancellations().await.unwrap();
    belay
        .store("demo")
        .with_role(Role::Payments, "worker-1")
        .unwrap()
        .claim_refunds("worker-1")
        .await
        .unwrap();
    fake.store().list_cancellations().await.unwrap();

    let seen = fake.script.seen();
    let header = |call: usize, name: &str| {
        seen[call]
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(0, "belay-role").as_deref(), Some("storefront"));
    assert_eq!(header(0, "belay-actor").as_deref(), Some("web"));
    assert_eq!(header(1, "belay-role").as_deref(), Some("payments"));
    assert_eq!(header(1, "belay-actor").as_deref(), Some("worker-1"));
    assert_eq!(header(2, "belay-role"), None);
}

#[tokio::test]
async fn scope_and_token_are_in_the_headers() {
    let fake = Fake::start([Step::Answer]).await;
    let scope = Scope::default()
        .stores(["demo"])
        .sellers(["acme", "emca"])
        .warehouses(["main"])
        .carriers(["dove"]);
    let narrow = fake
        .builder()
        .role(Role::Support, "sam")
        .scope(scope)
        .build()
        .unwrap();
    let narrower = narrow
        .with_scope(Scope::default().sellers(["acme"]))
        .unwrap();
    let other = narrow.with_role(Role::Auditor, "ann").unwrap();
    let token = fake
        .builder()
        .token("0123456789abcdef0123456789abcdef")
        .build()
        .unwrap();
    for belay in [
        &narrow,
        &narrower,
        &other,
        &token,
        &narrow.with_token("abc").unwrap(),
    ] {
        belay.store("demo").list_cancellations().await.unwrap();
    }

    let names = [
        "belay-role",
        "belay-stores",
        "belay-sellers",
        "belay-warehouses",
        "belay-carriers",
        "authorization",
    ];
    let seen = fake.script.seen();
    let headers = |call: usize| {
        names.map(|name| {
            seen[call]
                .headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        })
    };
    assert_eq!(
        headers(0),
        ["support", "demo", "acme,emca", "main", "dove", ""]
    );
    assert_eq!(headers(1), ["support", "", "acme", "", "", ""]);
    assert_eq!(headers(2), ["auditor", "", "", "", "", ""]);
    assert_eq!(
        headers(3),
        [
            "",
            "",
            "",
            "",
            "",
            "Bearer 0123456789abcdef0123456789abcdef"
        ]
    );
    assert_eq!(headers(4), ["", "", "", "", "", "Bearer abc"]);
}

#[tokio::test]
async fn what_is_no_id_is_not_sent() {
    let fake = Fake::start([Step::Answer]).await;
    let store = fake.builder().build().unwrap().store("no store");

    let units = Units::lines([("A-1:l1", 1), ("A-1:x2", 1)]);
    let error = store.request_cancellation("", units).await.unwrap_err();

    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::InvalidArgument, Some(&ErrorReason::InvalidField))
    );
    let fields: Vec<&str> = error
        .field_violations()
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    assert_eq!(fields, ["store_id", "order_id", "lines.lines[1].line_id"]);
    assert!(fake.script.seen().is_empty());
}

#[tokio::test]
async fn an_unchecked_id_is_left_to_the_server() {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("order_id", "must not be empty");
    let fake = Fake::start([Step::Fail(rejection(
        Code::InvalidArgument,
        "INVALID_FIELD",
        details,
    ))])
    .await;

    let error = fake
        .store()
        .request_cancellation(OrderId::unchecked(""), Units::all())
        .await
        .unwrap_err();

    assert_eq!(fake.script.seen().len(), 1);
    assert_eq!(error.field_violations()[0].field, "order_id");
}

#[tokio::test]
async fn a_rejection_lists_everything_that_stands_against_it() {
    let mut details = ErrorDetails::new();
    details.add_precondition_failure_violation("UNITS_CLAIMED", "A-1:l1", "claimed");
    details.add_precondition_failure_violation("MOON_PHASE", "A-1:s1", "not today");
    let fake = Fake::start([Step::Fail(rejection(
        Code::FailedPrecondition,
        "UNITS_CLAIMED",
        details,
    ))])
    .await;

    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .await
        .unwrap_err();

    let rejections: Vec<(&str, &str)> = error
        .rejections()
        .iter()
        .map(|one| (one.reason.as_str(), one.subject.as_str()))
        .collect();
    assert_eq!(
        rejections,
        [("UNITS_CLAIMED", "A-1:l1"), ("MOON_PHASE", "A-1:s1")]
    );
    assert_eq!(error.message(), "wording");
}

#[tokio::test]
async fn an_answer_that_lacks_what_the_manual_promises_is_told() {
    let fake = Fake::start([Step::Answer]).await;

    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .await
        .unwrap_err();

    assert_eq!(error.kind(), Kind::Internal);
    assert!(error.message().contains("`cancellation`"), "{error}");
}

#[tokio::test]
async fn no_personal_data_is_in_debug() {
    use belay_client::calls::{NewBuyer, OnBehalfOf};

    let fake = Fake::start([]).await;
    let call = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .on_behalf_of(OnBehalfOf::email("zoe@example.org"));
    let buyer = NewBuyer::new("b-7")
        .email("zoe@example.org")
        .username("zoe");
    let shown = format!("{call:?} {buyer:?} {:?}", OnBehalfOf::username("zoe"));
    assert!(!shown.contains("zoe"), "{shown}");
    assert!(
        shown.contains("CancellationService/RequestCancellation"),
        "{shown}"
    );
}
