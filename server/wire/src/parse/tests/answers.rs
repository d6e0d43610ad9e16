//! What people and warehouses answer.

use super::*;

fn quantities(entries: &[(&str, i32)]) -> Vec<pb::LineQuantity> {
    let quantity = |(line_id, quantity): &(&str, i32)| pb::LineQuantity {
        line_id: (*line_id).to_owned(),
        quantity: *quantity,
    };
    entries.iter().map(quantity).collect()
}

fn lines(count: usize) -> Vec<pb::LineQuantity> {
    (1..=count)
        .map(|line| pb::LineQuantity {
            line_id: format!("A-1:l{line}"),
            quantity: 1,
        })
        .collect()
}

const STORE: &str = "demo";
const SHIPMENT: &str = "A-1:s1";
const CANCELLATION: &str = "A-1:c1";

/// The fields that a request is refused for.
fn refused<M>(
    read: impl FnOnce(M, &Reader<'_>) -> Result<CommandRequest, CallError>,
    request: M,
) -> Vec<String> {
    fields(reading(|reader| read(request, reader)))
}

#[test]
fn every_violation_of_a_split_is_told() {
    let parcel = |entries: &[(&str, i32)]| pb::Parcel {
        contents: quantities(entries),
    };
    let good = parcel(&[("A-1:l1", 1)]);
    let read = |parcels: Vec<pb::Parcel>| {
        let request = pb::SplitShipmentRequest {
            store_id: STORE.to_owned(),
            shipment_id: SHIPMENT.to_owned(),
            parcels,
            ..pb::SplitShipmentRequest::default()
        };
        refused(fulfillment::split_shipment, request)
    };
    assert_eq!(read(vec![good.clone(); 2]), [""; 0]);
    assert_eq!(read(vec![good.clone(); 50]), [""; 0]);
    for count in [0, 1, 51] {
        assert_eq!(read(vec![good.clone(); count]), ["parcels"], "{count}");
    }
    assert_eq!(
        read(vec![good.clone(), parcel(&[])]),
        ["parcels[1].contents"]
    );
    assert_eq!(
        read(vec![
            good.clone(),
            pb::Parcel {
                contents: lines(200)
            }
        ]),
        [""; 0]
    );
    assert_eq!(
        read(vec![
            good.clone(),
            pb::Parcel {
                contents: lines(201)
            }
        ]),
        ["parcels[1].contents"]
    );
    assert_eq!(
        read(vec![good.clone(), parcel(&[("A-1:l1", 0)])]),
        ["parcels[1].contents[0].quantity"]
    );
    assert_eq!(
        read(vec![good.clone(), parcel(&[("A-1:l1", 1_000_001)])]),
        ["parcels[1].contents[0].quantity"]
    );
    assert_eq!(
        read(vec![good.clone(), parcel(&[("B-1:l1", 1)])]),
        ["parcels[1].contents[0].line_id"]
    );
    let twice = parcel(&[("A-1:l1", 1), ("A-1:l1", 1)]);
    assert_eq!(read(vec![good, twice]), ["parcels[1].contents[1].line_id"]);
}

#[test]
fn every_violation_of_an_answer_to_a_stop_is_told() {
    use pb::answer_stop_request::Answer;

    let read = |answer: Option<Answer>, cancellation_id: &str, note: usize| {
        let (cancellation_id, note) = (cancellation_id.to_owned(), "n".repeat(note));
        let request = pb::AnswerStopRequest {
            store_id: STORE.to_owned(),
            shipment_id: SHIPMENT.to_owned(),
            answer,
            cancellation_id,
            note,
            ..pb::AnswerStopRequest::default()
        };
        refused(fulfillment::answer_stop, request)
    };
    let stopped = |quantities, stage_seen, put_back| {
        Some(Answer::Stopped(pb::Stopped {
            quantities,
            stage_seen,
            put_back,
        }))
    };
    let cannot = |code: String| Some(Answer::CannotStop(pb::CannotStop { code }));
    assert_eq!(read(stopped(vec![], 0, vec![]), "", 2_000), [""; 0]);
    assert_eq!(
        read(stopped(lines(200), 3, lines(200)), "A-1:c1", 0),
        [""; 0]
    );
    assert_eq!(read(cannot(String::new()), "", 0), [""; 0]);
    assert_eq!(read(cannot("X".repeat(63)), "", 0), [""; 0]);
    assert_eq!(
        read(None, "B-1:c1", 2_001),
        ["cancellation_id", "stopped", "note"]
    );
    assert_eq!(
        read(cannot("X".repeat(64)), "A-1:s1", 0),
        ["cancellation_id", "cannot_stop.code"]
    );
    let expected = [
        "stopped.quantities",
        "stopped.stage_seen",
        "stopped.put_back",
    ];
    assert_eq!(read(stopped(lines(201), 99, lines(201)), "", 0), expected);
}

#[test]
fn every_violation_of_an_answer_to_an_intercept_is_told() {
    use pb::answer_intercept_request::Answer;

    let read = |answer: Option<Answer>, note: usize| {
        let request = pb::AnswerInterceptRequest {
            store_id: STORE.to_owned(),
            shipment_id: SHIPMENT.to_owned(),
            answer,
            note: "n".repeat(note),
            ..pb::AnswerInterceptRequest::default()
        };
        refused(fulfillment::answer_intercept, request)
    };
    let cannot = |code: &str| {
        Some(Answer::CannotIntercept(pb::CannotIntercept {
            code: code.to_owned(),
        }))
    };
    assert_eq!(
        read(Some(Answer::Confirmed(pb::InterceptConfirmed {})), 2_000),
        [""; 0]
    );
    assert_eq!(read(cannot("OUT_FOR_DELIVERY"), 0), [""; 0]);
    assert_eq!(read(None, 2_001), ["confirmed", "note"]);
    assert_eq!(
        read(cannot("out for delivery"), 0),
        ["cannot_intercept.code"]
    );
}

#[test]
fn every_violation_of_a_receipt_and_of_a_hold_is_told() {
    let receive = |condition, quantities, seconds, size: usize| {
        let receive_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let (note, receipt_id) = ("n".repeat(size), "b".repeat(size.saturating_sub(1_872)));
        let request = pb::ReceiveParcelRequest {
            store_id: STORE.to_owned(),
            shipment_id: SHIPMENT.to_owned(),
            condition,
            quantities,
            receive_time,
            note,
            receipt_id,
            ..Default::default()
        };
        refused(fulfillment::receive_parcel, request)
    };
    assert_eq!(receive(1, lines(200), 5, 2_000), [""; 0]);
    assert_eq!(
        receive(0, lines(201), -1, 2_001),
        [
            "condition",
            "quantities",
            "receipt_id",
            "receive_time",
            "note"
        ]
    );

    let hold = |fence, until: Option<i64>, note: usize| {
        let hold_until = until.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
        let request = pb::HoldShipmentRequest {
            store_id: STORE.to_owned(),
            shipment_id: SHIPMENT.to_owned(),
            fence,
            hold_until,
            note: "n".repeat(note),
            ..Default::default()
        };
        refused(fulfillment::hold_shipment, request)
    };
    assert_eq!(hold(0, Some(5), 2_000), [""; 0]);
    assert_eq!(hold(7, Some(5), 0), [""; 0]);
    assert_eq!(hold(-1, None, 2_001), ["fence", "hold_until", "note"]);
    assert_eq!(hold(0, Some(-1), 0), ["hold_until"]);
}

#[test]
fn every_violation_of_a_decision_by_people_is_told() {
    let reject = |code: &str, note: usize, evidence: usize| {
        let evidence = vec!["CHAT:1".to_owned(); evidence];
        let (code, note) = (code.to_owned(), "n".repeat(note));
        let request = pb::RejectCancellationRequest {
            store_id: STORE.to_owned(),
            cancellation_id: CANCELLATION.to_owned(),
            code,
            note,
            evidence,
            ..Default::default()
        };
        refused(cancellations::reject_cancellation, request)
    };
    assert_eq!(reject("ALREADY_PACKED", 2_000, 10), [""; 0]);
    assert_eq!(reject("", 2_001, 11), ["code", "note", "evidence"]);
    assert_eq!(reject("no", 0, 0), ["code"]);

    let approve = |note: usize| {
        let request = pb::ApproveCancellationRequest {
            store_id: STORE.to_owned(),
            cancellation_id: CANCELLATION.to_owned(),
            note: "n".repeat(note),
            ..Default::default()
        };
        refused(cancellations::approve_cancellation, request)
    };
    assert_eq!(
        (approve(2_000), approve(2_001)),
        (vec![], vec!["note".to_owned()])
    );

    let resolve = |resolution, note: usize| {
        let request = pb::ResolveIncidentRequest {
            store_id: STORE.to_owned(),
            incident_id: "A-1:i1".to_owned(),
            resolution,
            note: "n".repeat(note),
            ..Default::default()
        };
        refused(cancellations::resolve_incident, request)
    };
    assert_eq!(resolve(4, 2_000), [""; 0]);
    assert_eq!(resolve(0, 2_001), ["resolution", "note"]);
    assert_eq!(resolve(9, 0), ["resolution"]);
}

#[test]
fn a_quote_is_one_of_ours_or_refused() {
    let quote = |text: String| {
        fields(read_cancellation(pb::RequestCancellationRequest {
            quote: text,
            ..good_cancellation()
        }))
    };
    assert_eq!(quote(String::new()), [""; 0]);
    for odd in ["x".to_owned(), "A".repeat(262_144), "A".repeat(262_145)] {
        assert_eq!(quote(odd), ["quote"]);
    }
}

#[test]
fn the_clock_moves_from_a_microsecond_to_ten_years() {
    let advance = |duration: Option<(i64, i32)>| {
        let duration = duration.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        let request = belay_proto::testing::v1::AdvanceTimeRequest { duration };
        fields(reading(|reader| clock::advance_time(request, reader)))
    };
    let ten_years = 3_660 * 86_400;
    for good in [(0, 1_000), (1, 0), (ten_years, 0)] {
        assert_eq!(advance(Some(good)), [""; 0], "{good:?}");
    }
    for odd in [
        None,
        Some((0, 999)),
        Some((0, 0)),
        Some((-1, 0)),
        Some((1, -1)),
        Some((ten_years, 1)),
        Some((i64::MAX, 0)),
    ] {
        assert_eq!(advance(odd), ["duration"], "{odd:?}");
    }
}
