//! The errors of calls: what a program can branch on, and what it can do.

use std::time::Duration;

use belay_client::calls::{
    CreateOrderReason, NewBuyer, NewLine, PreviewCancellationReason, RequestCancellationReason,
};
use belay_client::model::{Destination, PaymentFact};
use belay_client::{
    Error, ErrorReason, Kind, Money, RetryPolicy, Role, ShipmentId, Store, Units, reason,
};
use belay_testing::{Fault, Server};

/// A storefront whose client repeats nothing, with a paid order.
async fn shop(server: &Server) -> Store {
    server.store("shop", "independent-site").await.unwrap();
    let belay = server
        .client_with(|builder| {
            builder
                .role(Role::Storefront, "web")
                .retry(RetryPolicy::never().with_budget(100, 1_000_000))
        })
        .unwrap();
    let store = belay.store("shop");
    let lines = [NewLine::new("MUG", 2, Money::new("EUR", 2_000))];
    let (buyer, destination) = (NewBuyer::new("b-1"), Destination::new("DE"));
    store
        .create_order("A-1", buyer, "acme", destination, lines)
        .await
        .unwrap();
    let till = store.with_role(Role::Payments, "checkout").unwrap();
    let paid = till.record_payment("A-1", "p-1", "e-1", PaymentFact::Captured);
    let amount = Money::new("EUR", 2_000);
    paid.amount(amount).method("CREDIT_CARD").await.unwrap();
    store
}

async fn cancellations(store: &Store) -> usize {
    store
        .list_cancellations()
        .order_id("A-1")
        .await
        .unwrap()
        .into_iter()
        .count()
}

#[tokio::test]
async fn a_write_whose_reply_is_lost_is_resumed_and_has_one_effect() {
    let server = Server::start().await;
    let store = shop(&server).await;
    server.inject("RequestCancellation", Fault::LostReply);
    let call = store.request_cancellation("A-1", Units::line("A-1:l1", 1));
    let error = call.reason(reason::NO_LONGER_WANTED).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(error.why(), None);
    assert_eq!(cancellations(&store).await, 1);

    // Lost again, and again the same request.
    server.inject("RequestCancellation", Fault::LostReply);
    let request_id = error.request_id();
    let error = error.resume().await.unwrap_err();
    assert_eq!(error.request_id(), request_id);
    let requested = error.resume().await.unwrap();
    assert_eq!(requested.cancellation.cancellation_id, "A-1:c1");
    assert_eq!(cancellations(&store).await, 1);
}

#[tokio::test]
async fn a_write_that_never_left_is_unavailable_and_not_unknown() {
    let server = Server::start().await;
    let store = shop(&server).await;
    for (fault, kind) in [
        (Fault::Unavailable, Kind::Unavailable),
        (Fault::Overloaded, Kind::Overloaded),
    ] {
        server.inject("RequestCancellation", fault);
        let call = store.request_cancellation("A-1", Units::all());
        let error = call.reason(reason::NO_LONGER_WANTED).await.unwrap_err();
        assert_eq!((error.kind(), error.is_outcome_unknown()), (kind, false));
        assert_eq!(cancellations(&store).await, 0);
    }
    // A read has no outcome that could matter.
    server.inject("GetOrder", Fault::LostReply);
    let error = store.get_order("A-1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_the_outcome_of_the_attempts_before_it_too() {
    let server = Server::start().await;
    let store = shop(&server).await;
    let insistent = RetryPolicy::default()
        .with_attempts_max(3)
        .with_budget(100, 1_000_000);
    let call = || {
        let call = store.request_cancellation("A-1", Units::all());
        let call = call.reason(reason::NO_LONGER_WANTED);
        call.retry(insistent.clone())
            .timeout(Duration::from_secs(60))
    };
    // Unknown, and then what says nothing of the first attempt.
    for (last, count) in [(Fault::Overloaded, 1), (Fault::Unavailable, 2)] {
        server.inject("RequestCancellation", Fault::LostReply);
        for _ in 0..count {
            server.inject("RequestCancellation", last);
        }
        let error = call().await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{last:?}: {error}");
    }
    // Unknown, and then the answer.
    server.inject("RequestCancellation", Fault::LostReply);
    let again = call().reason("NO_SUCH_REASON").await.unwrap_err();
    assert_eq!(again.kind(), Kind::InvalidArgument);
    assert_eq!(again.why(), Some(RequestCancellationReason::ReasonUnknown));
}

#[tokio::test]
async fn each_call_names_the_reasons_of_its_rpc() {
    let server = Server::start().await;
    let store = shop(&server).await;
    let error = store
        .preview_cancellation("B-1", Units::all())
        .await
        .unwrap_err();
    assert_eq!(error.why(), Some(PreviewCancellationReason::OrderNotFound));

    let lines = [NewLine::new("MUG", 1, Money::new("EUR", 1))];
    let (buyer, destination) = (NewBuyer::new("b-1"), Destination::new("DE"));
    let order = store.create_order("A-1", buyer, "acme", destination, lines);
    let error = order.await.unwrap_err();
    assert_eq!(error.why(), Some(CreateOrderReason::OrderAlreadyExists));

    // What any call may fail for is kept as it is.
    let warehouse = store.with_role(Role::Warehouse, "main").unwrap();
    let lines = [NewLine::new("MUG", 1, Money::new("EUR", 1))];
    let (buyer, destination) = (NewBuyer::new("b-1"), Destination::new("DE"));
    let order = warehouse.create_order("A-2", buyer, "acme", destination, lines);
    let error = order.await.unwrap_err();
    let role = ErrorReason::RoleNotAllowed;
    assert_eq!(error.why(), Some(CreateOrderReason::Other(role)));
}

/// Everything that a storefront shows to a buyer who is late.
#[tokio::test]
async fn a_refusal_says_what_is_possible_instead() {
    let server = Server::start().await;
    let store = shop(&server).await;
    let warehouse = server.client().store("shop");
    let shipment = ShipmentId::parse("A-1:s1").unwrap();
    warehouse.start_preparation(&shipment).await.unwrap();
    let fence = warehouse.mark_ready(&shipment).await.unwrap().fence;
    warehouse.dispatch_shipment(&shipment, fence).await.unwrap();

    let call = store.request_cancellation("A-1", Units::all());
    let error = call.reason(reason::NO_LONGER_WANTED).await.unwrap_err();
    assert_eq!(error.why(), Some(RequestCancellationReason::Shipped));
    assert!(error.is_refused_for(&ErrorReason::Shipped));
    assert!(!error.is_refused_for(&ErrorReason::Delivered) && !error.is_conflict());
    let denial = error.denial().unwrap();
    assert_eq!(denial.shipment_id, shipment);
    assert!(denial.rule.is_some());
    assert!(!denial.next_actions.is_empty());
    // It turns into the error of all calls where a function gives that back.
    let error: Error = error.into();
    assert!(error.has_reason(&ErrorReason::Shipped));
}
