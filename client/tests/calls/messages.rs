//! What the calls of people and warehouses send, and what is never sent.

use belay_client::calls::{InterceptAnswer, Parcel, StopAnswer, Stopped};
use belay_client::model::{
    ExternalReference, GoodsCondition, IncidentKind, IncidentResolution, IncidentState,
    ShipmentStage,
};
use belay_client::{Error, ErrorReason, Etag, Kind, Units};
use belay_proto::v1::{self as pb, answer_intercept_request, answer_stop_request};
use jiff::Timestamp;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::{Fake, Step, rejection};

/// The messages that came to the server, and the end of the call.
struct Sent<M> {
    message: M,
    error: Error,
}

/// Makes a call whose answer lacks everything but the key.
async fn sent<M, T, E>(call: impl AsyncFnOnce(belay_client::Store) -> Result<T, E>) -> Sent<M>
where
    M: Message + Default,
    T: std::fmt::Debug,
    E: std::fmt::Debug + Into<Error>,
{
    let fake = Fake::start([Step::Answer]).await;
    let error: Error = call(fake.store()).await.unwrap_err().into();
    let seen = fake.script.seen();
    assert_eq!(seen.len(), 1, "{error}");
    assert_eq!(error.kind(), Kind::Internal, "{error}");
    assert_eq!(error.request_id().unwrap().to_string(), seen[0].request_id);
    Sent {
        message: seen[0].message(),
        error,
    }
}

fn quantity(line_id: &str, quantity: i32) -> pb::LineQuantity {
    pb::LineQuantity {
        line_id: line_id.to_owned(),
        quantity,
    }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_decision_about_a_cancellation_is_sent_whole() {
    let Sent { message, error } = sent::<pb::ApproveCancellationRequest, _, _>(async |store| {
        store
            .approve_cancellation("A-1:c1")
            .note("not packed yet")
            .etag(Etag::from("\"7\"".to_owned()))
            .await
    })
    .await;
    assert!(error.message().contains("`cancellation`"), "{error}");
    assert_eq!(
        (&*message.store_id, &*message.cancellation_id),
        ("demo", "A-1:c1")
    );
    assert_eq!(
        (&*message.note, &*message.etag),
        ("not packed yet", "\"7\"")
    );

    let Sent { message, .. } = sent::<pb::RejectCancellationRequest, _, _>(async |store| {
        store
            .reject_cancellation("A-1:c1", "ALREADY_PACKED")
            .evidence(["PHOTO:77"])
            .await
    })
    .await;
    assert_eq!(
        (&*message.cancellation_id, &*message.code),
        ("A-1:c1", "ALREADY_PACKED")
    );
    assert_eq!(message.evidence, ["PHOTO:77"]);

    let Sent { message, .. } = sent::<pb::WithdrawCancellationRequest, _, _>(async |store| {
        store.withdraw_cancellation("A-1:c2").await
    })
    .await;
    assert_eq!(message.cancellation_id, "A-1:c2");
}

#[tokio::test]
async fn incidents_are_listed_and_resolved() {
    let fake = Fake::start([Step::Answer]).await;
    let open = fake
        .store()
        .list_incidents()
        .order_id("A-1")
        .state(IncidentState::Open)
        .kind(IncidentKind::LateFact);
    let page = open.page_size(7).page_token("abc").await.unwrap();
    assert_eq!(page.next_page_token.as_deref(), Some("more"));
    let message: pb::ListIncidentsRequest = fake.script.seen()[0].message();
    assert_eq!(
        (message.state(), message.kind()),
        (pb::IncidentState::Open, pb::IncidentKind::LateFact)
    );
    assert_eq!(
        (&*message.order_id, message.page_size, &*message.page_token),
        ("A-1", 7, "abc")
    );

    let Sent { message, error } = sent::<pb::ResolveIncidentRequest, _, _>(async |store| {
        store
            .resolve_incident("A-1:i1", IncidentResolution::RetryRefund)
            .note("new account")
            .await
    })
    .await;
    assert!(error.message().contains("`incident`"), "{error}");
    assert_eq!(
        (&*message.incident_id, message.resolution()),
        ("A-1:i1", pb::IncidentResolution::RetryRefund)
    );
    assert_eq!(message.note, "new account");
}

#[tokio::test]
async fn what_is_kept_with_an_order_and_a_cancellation_is_set_and_deleted() {
    let erp = ExternalReference::new("sap", "4711").url("https://erp/4711");
    let Sent { message, .. } = sent::<pb::UpdateCancellationMetadataRequest, _, _>(async |store| {
        store
            .update_cancellation_metadata("A-1:c1")
            .etag(Etag::from("\"7\"".to_owned()))
            .set("case", "9")
            .delete("agent")
            .set_external_reference(erp)
            .delete_external_reference("crm")
            .await
    })
    .await;
    assert_eq!(
        (&*message.cancellation_id, &*message.etag),
        ("A-1:c1", "\"7\"")
    );
    assert_eq!(message.set_metadata["case"], "9");
    assert_eq!(message.delete_metadata, ["agent"]);
    let reference = pb::ExternalReference {
        system: "sap".to_owned(),
        id: "4711".to_owned(),
        url: "https://erp/4711".to_owned(),
    };
    assert_eq!(message.set_external_references, [reference]);
    assert_eq!(message.delete_external_references, ["crm"]);
    let Sent { message, .. } = sent::<pb::RequestCancellationRequest, _, _>(async |store| {
        store
            .request_cancellation("A-1", Units::all())
            .metadata([("case", "9")])
            .external_references([ExternalReference::new("sap", "1")])
            .await
    })
    .await;
    assert_eq!(message.metadata["case"], "9");
    assert_eq!(message.external_references[0].system, "sap");
}

#[tokio::test]
async fn a_hold_a_release_and_a_split_name_their_fence() {
    let until = instant("2026-03-01T09:00:00.000001Z");
    let Sent { message, .. } = sent::<pb::HoldShipmentRequest, _, _>(async |store| {
        store
            .hold_shipment("A-1:s1", until)
            .fence(3)
            .note("address in doubt")
            .await
    })
    .await;
    assert_eq!(
        (&*message.shipment_id, message.fence, &*message.note),
        ("A-1:s1", 3, "address in doubt")
    );
    let hold_until = message.hold_until.unwrap();
    assert_eq!(
        (hold_until.seconds, hold_until.nanos),
        (until.as_second(), 1_000)
    );

    let Sent { message, .. } = sent::<pb::ReleaseHoldRequest, _, _>(async |store| {
        store.release_hold("A-1:s1").fence(4).await
    })
    .await;
    assert_eq!((&*message.shipment_id, message.fence), ("A-1:s1", 4));

    let Sent { message, .. } = sent::<pb::SplitShipmentRequest, _, _>(async |store| {
        let parcels = [
            Parcel::of("A-1:l1", 3),
            Parcel::new([("A-1:l1", 2), ("A-1:l2", 1)]),
        ];
        store.split_shipment("A-1:s1", parcels).fence(5).await
    })
    .await;
    let contents: Vec<_> = message
        .parcels
        .into_iter()
        .map(|parcel| parcel.contents)
        .collect();
    let expected = [
        vec![quantity("A-1:l1", 3)],
        vec![quantity("A-1:l1", 2), quantity("A-1:l2", 1)],
    ];
    assert_eq!((contents, message.fence), (expected.into(), 5));
}

#[tokio::test]
async fn answers_of_warehouse_and_carrier_are_sent_as_given() {
    let Sent { message, .. } = sent::<pb::AnswerStopRequest, _, _>(async |store| {
        let stopped = Stopped::of([("A-1:l1", 2)])
            .stage_seen(ShipmentStage::Ready)
            .put_back([("A-1:l1", 1)]);
        store
            .answer_stop("A-1:s1", stopped)
            .cancellation_id("A-1:c1")
            .note("in time")
            .await
    })
    .await;
    let stopped = pb::Stopped {
        quantities: vec![quantity("A-1:l1", 2)],
        stage_seen: pb::ShipmentStage::Ready.into(),
        put_back: vec![quantity("A-1:l1", 1)],
    };
    assert_eq!(
        message.answer,
        Some(answer_stop_request::Answer::Stopped(stopped))
    );
    assert_eq!(
        (&*message.cancellation_id, &*message.note),
        ("A-1:c1", "in time")
    );

    let Sent { message, .. } = sent::<pb::AnswerStopRequest, _, _>(async |store| {
        store
            .answer_stop("A-1:s1", StopAnswer::cannot_stop("ALREADY_LOADED"))
            .await
    })
    .await;
    let cannot = pb::CannotStop {
        code: "ALREADY_LOADED".to_owned(),
    };
    assert_eq!(
        message.answer,
        Some(answer_stop_request::Answer::CannotStop(cannot))
    );

    for (answer, expected) in [
        (
            InterceptAnswer::Confirmed,
            answer_intercept_request::Answer::Confirmed(pb::InterceptConfirmed {}),
        ),
        (
            InterceptAnswer::cannot_intercept("LOST_SIGHT"),
            answer_intercept_request::Answer::CannotIntercept(pb::CannotIntercept {
                code: "LOST_SIGHT".to_owned(),
            }),
        ),
    ] {
        let Sent { message, .. } = sent::<pb::AnswerInterceptRequest, _, _>(async |store| {
            store
                .answer_intercept("A-1:s1", answer)
                .note("by telephone")
                .await
        })
        .await;
        assert_eq!(
            (message.answer, &*message.note),
            (Some(expected), "by telephone")
        );
    }

    let Sent { message, .. } = sent::<pb::ReceiveParcelRequest, _, _>(async |store| {
        let received = store
            .receive_parcel("A-1:s1", GoodsCondition::Damaged)
            .quantities([("A-1:l1", 1)]);
        received
            .receipt_id("box-1")
            .receive_time(instant("2026-03-01T09:00:00Z"))
            .note("wet")
            .await
    })
    .await;
    assert_eq!(
        (message.condition(), &*message.note),
        (pb::GoodsCondition::Damaged, "wet")
    );
    assert_eq!(message.quantities, [quantity("A-1:l1", 1)]);
    assert_eq!(
        (message.receive_time.is_some(), &*message.receipt_id),
        (true, "box-1")
    );
}

#[tokio::test]
async fn what_is_no_line_is_named_by_its_field_and_not_sent() {
    let fake = Fake::start([Step::Answer]).await;
    let fields = |error: &Error| -> Vec<String> {
        error
            .field_violations()
            .iter()
            .map(|violation| violation.field.clone())
            .collect()
    };
    let store = fake.store();

    let parcels = [
        Parcel::of("A-1:l1", 1),
        Parcel::new([("A-1:l1", 1), ("l2", 1)]),
    ];
    let error = store.split_shipment("A-1:s1", parcels).await.unwrap_err();
    assert_eq!(fields(&error), ["parcels[1].contents[1].line_id"]);

    let stopped = Stopped::of([("x", 1)]).put_back([("y", 1)]);
    let error = store
        .answer_stop("A-1", stopped)
        .cancellation_id("A-1:s1")
        .await
        .unwrap_err();
    let expected = [
        "shipment_id",
        "stopped.quantities[0].line_id",
        "stopped.put_back[0].line_id",
        "cancellation_id",
    ];
    assert_eq!(fields(&error), expected);

    let error = store
        .receive_parcel("A-1:s1", GoodsCondition::Opened)
        .quantities([("x", 1)])
        .await
        .unwrap_err();
    assert_eq!(fields(&error), ["quantities[0].line_id"]);
    assert!(fake.script.seen().is_empty());
}

#[tokio::test]
async fn a_no_of_the_policy_says_what_is_possible_instead() {
    let metadata = [
        ("shipment_id", "A-1:s1"),
        ("path", "CANCEL"),
        ("rule", ""),
        ("next_actions", "INTERCEPT,CONTACT_SUPPORT"),
        ("acceptable", "A-1:l2=1"),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let details = ErrorDetails::with_error_info("SHIPPED", "belay", metadata);
    let fake = Fake::start([Step::Fail(Status::with_error_details(
        Code::FailedPrecondition,
        "it has left",
        details,
    ))])
    .await;

    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .await
        .unwrap_err();

    let denial = error.denial().unwrap();
    assert_eq!((denial.reason, denial.rule), (ErrorReason::Shipped, None));
    assert_eq!(denial.next_actions.len(), 2);
    assert_eq!(
        (
            denial.acceptable[0].line_id.as_str(),
            denial.acceptable[0].quantity
        ),
        ("A-1:l2", 1)
    );

    let claimed = rejection(
        Code::FailedPrecondition,
        "UNITS_CLAIMED",
        ErrorDetails::new(),
    );
    let fake = Fake::start([Step::Fail(claimed)]).await;
    let error = fake
        .store()
        .request_cancellation("A-1", Units::all())
        .await
        .unwrap_err();
    assert_eq!(error.denial(), None);
}
