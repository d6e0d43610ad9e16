//! The server as its users meet it: through the client.

use std::time::{Duration, Instant};

use belay_client::calls::{NewBuyer, NewLine};
use belay_client::model::{
    CancellationState, Destination, EventType, OrderState, PaymentFact, RefundResult, RefundState,
};
use belay_client::{
    ErrorReason, Kind, Money, RetryPolicy, Role, Store, Units, WritePosition, reason,
};
use belay_testing::{Fault, Server};

async fn shop(server: &Server) -> Store {
    let store = server.store("shop", "independent-site").await;
    store.unwrap().with_role(Role::Storefront, "web").unwrap()
}

async fn place(store: &Store, order_id: &str) {
    let lines = [NewLine::new("MUG", 2, Money::new("EUR", 2_000))];
    let (buyer, destination) = (NewBuyer::new("b-1"), Destination::new("DE"));
    let order = store.create_order(order_id, buyer, "acme", destination, lines);
    order.await.unwrap();
}

async fn pay(store: &Store, order_id: &str) {
    let payments = store.with_role(Role::Payments, "checkout").unwrap();
    let (payment, amount) = (format!("{order_id}:p1"), Money::new("EUR", 2_000));
    let fact = payments.record_payment(order_id, payment, "ev-1", PaymentFact::Captured);
    fact.amount(amount).method("CREDIT_CARD").await.unwrap();
}

#[tokio::test]
async fn an_order_goes_from_its_sale_to_the_money_going_back() {
    let server = Server::start().await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    pay(&store, "A-1").await;
    assert_eq!(
        store.get_order("A-1").await.unwrap().state,
        OrderState::ToShip
    );

    let call = store.request_cancellation("A-1", Units::all());
    let requested = call.reason(reason::NO_LONGER_WANTED).await.unwrap();
    assert_eq!(requested.cancellation.state, CancellationState::Completed);

    let worker = store.with_role(Role::Payments, "worker-1").unwrap();
    let claimed = worker.claim_refunds("worker-1").await.unwrap();
    let [refund] = claimed.as_slice() else {
        panic!("{claimed:?}")
    };
    assert_eq!(refund.amount.total, Money::new("EUR", 2_000));
    worker
        .record_refund_result(&refund.refund_id, RefundResult::Settled)
        .provider_refund_id("re-1")
        .await
        .unwrap();
    let refund = worker.get_refund(&refund.refund_id).await.unwrap();
    assert_eq!(refund.state, RefundState::Settled);

    let history = store.list_order_history("A-1").await.unwrap();
    assert!(
        history
            .items
            .iter()
            .any(|event| event.event_type == EventType::CancellationCompleted)
    );
}

#[tokio::test]
async fn time_passes_when_it_is_told_to() {
    let server = Server::builder()
        .stopped_at("2026-03-02T09:00:00Z".parse().unwrap())
        .start()
        .await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    server.advance(Duration::from_secs(40 * 24 * 3600));
    let order = store.get_order("A-1").await.unwrap();
    assert_eq!(order.state, OrderState::ClosedUnpaid);
    assert_eq!(server.now(), "2026-04-11T09:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn what_is_lost_on_its_way_back_is_found_under_the_same_request_id() {
    let server = Server::start().await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    pay(&store, "A-1").await;
    server.inject("RequestCancellation", Fault::LostReply);
    // The client asks again by itself, and gets the answer of the first time.
    store
        .request_cancellation("A-1", Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .await
        .unwrap();
    let cancellations = store.list_cancellations().await.unwrap();
    assert_eq!(cancellations.into_iter().count(), 1);

    let patient = |belay: belay_client::BelayBuilder| belay.retry(RetryPolicy::never());
    let store = server.client_with(patient).unwrap().store("shop");
    for (fault, kind) in [
        (Fault::Unavailable, Kind::Unavailable),
        (Fault::LostReply, Kind::Unavailable),
        (Fault::Overloaded, Kind::Overloaded),
    ] {
        server.inject("GetOrder", fault);
        assert_eq!(
            store.get_order("A-1").await.unwrap_err().kind(),
            kind,
            "{fault:?}"
        );
    }
    store.get_order("A-1").await.unwrap();
}

#[tokio::test]
async fn a_read_may_lag() {
    let server = Server::start().await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    server.inject("GetOrder", Fault::StaleRead);
    let error = store.get_order("A-1").await.unwrap_err();
    assert!(error.has_reason(&ErrorReason::OrderNotFound), "{error}");
    pay(&store, "A-1").await;
    server.inject("GetOrder", Fault::StaleRead);
    let stale = store.get_order("A-1").await.unwrap();
    assert_eq!(stale.state, OrderState::AwaitingPayment);
    assert_eq!(
        store.get_order("A-1").await.unwrap().state,
        OrderState::ToShip
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_has_had_its_effect() {
    let server = Server::start().await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    pay(&store, "A-1").await;
    server.inject("RequestCancellation", Fault::Delay(Duration::from_secs(60)));
    let call = store
        .request_cancellation("A-1", Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .timeout(Duration::from_secs(2));
    let error = call.await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let order = store.get_order("A-1").await.unwrap();
    assert_eq!(order.state, OrderState::Cancelled);
}

#[tokio::test]
async fn a_watch_begins_with_a_bookmark_and_ends_with_one() {
    let server = Server::start().await;
    let store = shop(&server).await;
    let belay = server.client();
    let mut stream = belay.watch_events().store_id("shop").await.unwrap();
    assert!(stream.try_next().await.unwrap().unwrap().events.is_empty());
    place(&store, "A-1").await;
    let batch = stream.try_next().await.unwrap().unwrap();
    assert_eq!(batch.events[0].event_type, EventType::OrderCreated);
    server.close_streams();
    assert!(stream.try_next().await.unwrap().unwrap().events.is_empty());
    assert!(stream.try_next().await.unwrap().is_none());
    // Whoever goes on misses nothing and gets nothing twice.
    let mut again = belay
        .watch_events()
        .store_id("shop")
        .resume_token(batch.resume_token)
        .await
        .unwrap();
    assert!(again.try_next().await.unwrap().unwrap().events.is_empty());
}

#[tokio::test]
async fn a_stream_breaks_or_repeats_itself_where_it_is_to() {
    let server = Server::start().await;
    let store = shop(&server).await;
    server.inject("WatchEvents", Fault::BrokenStream { after: 1 });
    let mut stream = server.client().watch_events().await.unwrap();
    assert!(stream.try_next().await.is_ok());
    assert_eq!(
        stream.try_next().await.unwrap_err().kind(),
        Kind::Unavailable
    );

    server.inject("WatchEvents", Fault::DuplicateEvents);
    let mut stream = server.client().watch_events().await.unwrap();
    stream.try_next().await.unwrap();
    place(&store, "A-1").await;
    let first = stream.try_next().await.unwrap().unwrap();
    let second = stream.try_next().await.unwrap().unwrap();
    assert_eq!(first.events, second.events);
}

#[tokio::test]
async fn roles_and_scopes_hold() {
    let server = Server::start().await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    let error = store.claim_refunds("worker-1").await.unwrap_err();
    assert!(error.has_reason(&ErrorReason::RoleNotAllowed), "{error}");
    let other = store.with_role(Role::Seller, "other").unwrap();
    let error = other.get_order("A-1").await.unwrap_err();
    assert!(error.has_reason(&ErrorReason::OrderNotFound), "{error}");
}

#[tokio::test]
async fn a_list_that_may_be_old_is_fresh_and_shows_the_write_that_it_names() {
    let server = Server::start().await;
    let store = shop(&server).await;
    place(&store, "A-1").await;
    let all = Units::all();
    let requested = store
        .request_cancellation("A-1", all)
        .reason(reason::NO_LONGER_WANTED);
    let position = requested.await.unwrap().position.expect("it is told");
    let list = || {
        let support = store.with_role(Role::Support, "sam").unwrap();
        support.list_orders().max_staleness(Duration::from_secs(5))
    };
    let page = list().read_after(&position).await.unwrap();
    assert_eq!(page.items[0].state, OrderState::Cancelled);
    // What another server gave out, or nobody, is told.
    let others = WritePosition::parse("01ab").unwrap();
    let error = list().read_after(&others).await.unwrap_err();
    assert!(error.has_reason(&ErrorReason::InvalidField), "{error}");
    let error = list().max_staleness(Duration::ZERO).await.unwrap_err();
    assert!(error.has_reason(&ErrorReason::InvalidField), "{error}");
}

#[tokio::test]
async fn a_bulk_cancellation_runs_beside_its_caller() {
    let server = Server::start().await;
    let store = shop(&server).await;
    for number in 0..40 {
        let order_id = format!("A-{number}");
        place(&store, &order_id).await;
        pay(&store, &order_id).await;
    }
    let support = store.with_role(Role::Support, "sam").unwrap();
    let orders =
        belay_client::calls::BulkOrders::named((0..40).map(|number| format!("A-{number}")));
    let job = support
        .start_bulk_cancellation(orders)
        .reason("OUT_OF_STOCK")
        .await
        .unwrap();
    let mut progress = support
        .watch_bulk_cancellation(&job.bulk_cancellation_id)
        .await
        .unwrap();
    let mut last = None;
    while let Some(job) = progress.try_next().await.unwrap() {
        last = Some(job);
    }
    assert_eq!(last.unwrap().completed_orders, 40);
}

/// How fast it is, for who looks: no test asserts a time.
#[tokio::test]
async fn a_thousand_cancellations() {
    let server = Server::start().await;
    let store = shop(&server).await;
    let begun = Instant::now();
    for number in 0..1_000 {
        place(&store, &format!("A-{number}")).await;
    }
    let placed = begun.elapsed();
    for number in 0..1_000 {
        let call = store.request_cancellation(format!("A-{number}"), Units::all());
        call.reason(reason::NO_LONGER_WANTED).await.unwrap();
    }
    let cancelled = begun.elapsed() - placed;
    eprintln!("1,000 orders in {placed:?}, their cancellations in {cancelled:?}");
}
