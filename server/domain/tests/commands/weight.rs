//! What an order may hold in all: both sides of each bound, and who is stopped by which.

use belay_domain::actor::Role;
use belay_domain::commands::{
    Command, HoldShipment, ReceiveParcel, RejectCancellation, SplitShipment,
};
use belay_domain::incident::Resolution;
use belay_domain::order::{CONTENTS_MAX, PARTS_MAX};
use belay_domain::payment::PaymentFact;
use belay_domain::rejection::{Limit, Rejection};
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use belay_domain::units::LineQuantity;
use belay_domain::weight::{
    TEXTS_BYTES_MAX, TEXTS_BYTES_ROOM, WEIGHT_BYTES_MAX, WEIGHT_BYTES_ROOM,
};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, gate, gated, policy, store};
use crate::previews::previewed;

/// What a text counts besides its bytes.
const FIELD_BYTES: usize = 4;

fn reached(limit: Limit, max: usize) -> Rejection {
    Rejection::LimitReached { limit, max }
}

/// An order whose requests wait for the seller, with as many bytes of texts as said.
fn written(bytes: usize) -> Case {
    let consent = gate("SELLER_CONSENT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(10, 1_000)]).paid_under(gated("[UNRELEASED, PLANNED]", &[&consent]));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.order.cancellations[0].note = Some("n".repeat(bytes - FIELD_BYTES));
    assert_eq!(case.order.text_bytes(), bytes);
    case
}

fn request(note: usize, evidence: &[usize]) -> CancellationRequest {
    let mut cancel_request = CancellationRequest::lines(&[(1, 1)]);
    cancel_request.request.note = (note > 0).then(|| "n".repeat(note));
    cancel_request.request.evidence = evidence.iter().map(|bytes| "e".repeat(*bytes)).collect();
    cancel_request
}

#[test]
fn a_request_may_write_as_much_as_the_texts_have_room_for() {
    let case = written(TEXTS_BYTES_MAX - 1_000);
    let max = reached(Limit::TextBytes, TEXTS_BYTES_MAX);
    let rest = 1_000 - FIELD_BYTES;
    assert!(case.clone().cancel(request(rest, &[])).is_ok());
    assert_eq!(
        case.clone().cancel(request(rest + 1, &[])),
        Err(max.clone())
    );
    // In bytes, and the evidence counts.
    let halves = [rest / 2 - FIELD_BYTES / 2; 2];
    assert!(case.clone().cancel(request(0, &halves)).is_ok());
    assert_eq!(case.clone().cancel(request(3, &halves)), Err(max.clone()));
    let mut wide = request(0, &[]);
    wide.request.note = Some("ä".repeat(rest / 2 + 1));
    assert_eq!(case.clone().cancel(wide), Err(max));
    // Without words it is only a request.
    assert!(written(TEXTS_BYTES_MAX).cancel(request(0, &[])).is_ok());
}

#[test]
fn a_refused_request_leaves_its_question_on_record_and_nothing_else() {
    let mut case = written(TEXTS_BYTES_MAX);
    let before = case.order.clone();
    case.cancel(request(1, &[])).unwrap_err();
    assert_eq!(case.order, before);
    let log = case.last.log.as_ref().expect("a policy was asked");
    assert!(
        log.evaluations
            .iter()
            .all(|logged| logged.cancellation.is_none())
    );
}

#[test]
fn a_hold_may_write_as_much_as_a_request() {
    let case = written(TEXTS_BYTES_MAX - 100);
    let hold = |note: usize| {
        let mut case = case.clone();
        let command = HoldShipment {
            shipment: 1,
            fence: None,
            until: case.now + SignedDuration::from_hours(1),
            note: Some("n".repeat(note)),
        };
        case.run(Role::Seller, None, Command::HoldShipment(command))
    };
    assert!(hold(100 - FIELD_BYTES).is_ok());
    let max = reached(Limit::TextBytes, TEXTS_BYTES_MAX);
    assert_eq!(hold(101 - FIELD_BYTES), Err(max));
}

#[test]
fn an_answer_has_room_where_no_request_has_any() {
    let reject = |bytes: usize, note: usize| {
        let mut case = written(bytes);
        let command = RejectCancellation {
            cancellation: 1,
            code: "C".to_owned(),
            note: Some("n".repeat(note)),
            evidence: Vec::new(),
        };
        case.run(Role::Seller, None, Command::RejectCancellation(command))
    };
    assert!(reject(TEXTS_BYTES_MAX, 2_000).is_ok());
    let limit = TEXTS_BYTES_MAX + TEXTS_BYTES_ROOM;
    let code = 1 + FIELD_BYTES;
    let full = limit - 100;
    assert!(reject(full, 100 - FIELD_BYTES - code).is_ok());
    let max = reached(Limit::TextBytes, limit);
    assert_eq!(reject(full, 101 - FIELD_BYTES - code), Err(max));
}

#[test]
fn a_receipt_is_taken_with_its_note_where_requests_have_no_room() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(2, 200)]).paid_under(outside(&[&receipt]));
    case.bring_to(1, Stage::InTransit);
    case.scan(1, TrackingFact::Returning).unwrap();
    case.order.cancellations[0].note = Some("n".repeat(TEXTS_BYTES_MAX));
    let command = ReceiveParcel {
        shipment: 1,
        condition: GoodsCondition::Unopened,
        quantities: Vec::new(),
        receipt_id: None,
        receive_time: None,
        note: Some("It is wet.".to_owned()),
    };
    case.run(Role::Warehouse, None, Command::ReceiveParcel(command))
        .unwrap();
}

/// Makes an order weigh so many bytes, by a title that is long.
fn weighing(mut case: Case, bytes: usize) -> Case {
    let weight = case.order.weight();
    case.order.lines[0].title = "t".repeat(case.order.lines[0].title.len() + bytes - weight);
    assert_eq!(case.order.weight(), bytes);
    case
}

#[test]
fn no_request_is_taken_beyond_what_an_order_may_weigh() {
    let plain = Cart::of(&[(10, 1_000)]).paid();
    let mut one = plain.clone();
    let consent = gate("SELLER_CONSENT", "REFUSE", "BAR");
    one.store = store(gated("[UNRELEASED, PLANNED]", &[&consent]));
    let consenting = one.store.clone();
    one.cancel(request(0, &[])).unwrap();
    let weighs = one.order.weight() - plain.order.weight();
    let ask = |bytes: usize| {
        let mut case = weighing(plain.clone(), bytes);
        case.store = consenting.clone();
        let told = previewed(&case, &request(0, &[])).map(|preview| preview.rejections);
        (case.cancel(request(0, &[])).map(|_| ()), told.unwrap())
    };
    assert_eq!(ask(WEIGHT_BYTES_MAX - weighs), (Ok(()), vec![]));
    let max = reached(Limit::Bytes, WEIGHT_BYTES_MAX);
    let refused = (Err(max.clone()), vec![max]);
    assert_eq!(ask(WEIGHT_BYTES_MAX - weighs + 1), refused);
    assert_eq!(ask(WEIGHT_BYTES_MAX + 1), refused);
}

#[test]
fn what_happened_is_taken_where_no_request_is_and_deadlines_always() {
    let mut case = weighing(Cart::of(&[(10, 1_000)]).place(), WEIGHT_BYTES_MAX);
    case.capture("p1", 1_000);
    let limit = WEIGHT_BYTES_MAX + WEIGHT_BYTES_ROOM;
    let full = weighing(Cart::of(&[(10, 1_000)]).place(), limit);
    let mut more = full.clone();
    let refused = more.fact("p1", PaymentFact::Captured, 1_000);
    assert_eq!(refused, Err(reached(Limit::Bytes, limit)));
    let mut unpaid = full;
    unpaid.wait(SignedDuration::from_hours(24 * 30)).settle();
    assert_eq!(unpaid.order.cancellations.len(), 1);
    assert!(unpaid.order.weight() > limit);
}

/// What Belay opens for goods that come home ends where the order is full, as it does at the
/// number of cancellations: support pays.
#[test]
fn goods_that_come_home_to_a_full_order_are_for_support() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(10, 1_000)]).paid_under(outside(&[&receipt]));
    case.bring_to(1, Stage::Delivered);
    let room = 64 * 1024 + 5_000;
    let mut case = weighing(case, WEIGHT_BYTES_MAX + WEIGHT_BYTES_ROOM - room);
    let mut opened = 0;
    while case.incidents().is_empty() {
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
            .unwrap();
        opened += 1;
    }
    assert!((3..10).contains(&opened), "{opened}");
    // Which has room itself, and pays.
    let cancellations = case.order.cancellations.len();
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    assert_eq!(case.order.cancellations.len(), cancellations + 1);
}

#[test]
fn contents_are_counted_line_by_line_of_each_shipment() {
    // 200 lines in one shipment, of which each parcel gets one unit of each line.
    let lines: Vec<(u32, i64)> = vec![(6, 600); 200];
    let case = Cart::of(&lines).paid();
    let split = |parcels: u32, lines: u32| {
        let mut case = case.clone();
        let whole = |line: u32| LineQuantity {
            line,
            quantity: 6 - parcels,
        };
        let one = |line: u32| LineQuantity { line, quantity: 1 };
        let mut contents: Vec<Vec<LineQuantity>> = vec![(1..=200).map(whole).collect()];
        contents.extend((0..parcels).map(|_| (1..=200).map(one).collect()));
        let (rest, one) = (&mut contents, lines);
        if one > 0 {
            rest[0]
                .iter_mut()
                .take(usize::try_from(one).unwrap())
                .for_each(|content| content.quantity -= 1);
            rest.push(
                (1..=one)
                    .map(|line| LineQuantity { line, quantity: 1 })
                    .collect(),
            );
        }
        let command = SplitShipment {
            shipment: 1,
            fence: None,
            parcels: contents,
        };
        let done = case.run(Role::Warehouse, None, Command::SplitShipment(command));
        done.map(|_| case.order.content_count())
    };
    assert_eq!(split(4, 0), Ok(CONTENTS_MAX));
    assert_eq!(split(4, 1), Err(reached(Limit::Contents, CONTENTS_MAX)));
}

/// Goods that came home with so many receipts, still sold, and not wanted back by anybody.
fn home_with_receipts(receipts: u32) -> Case {
    let mut case = Cart::of(&[(receipts + 1, 100_000)]).paid();
    case.bring_to(1, Stage::Delivered);
    for _ in 0..receipts {
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
            .unwrap();
        case.wait(SignedDuration::from_hours(1));
    }
    case
}

#[test]
fn a_request_has_no_more_parts_than_a_preview_shows() {
    let receipts = u32::try_from(PARTS_MAX).unwrap();
    let returned = "\n  - {id: home, when: {path: RETURN_UNOPENED}, allow: {refund: FULL}}";
    let max = reached(Limit::Parts, PARTS_MAX);
    for (receipts, refused) in [(receipts - 1, vec![]), (receipts, vec![max])] {
        let mut case = home_with_receipts(receipts);
        case.store = store(policy(returned));
        let all = CancellationRequest::all().paths(&[Path::ReturnUnopened]);
        let preview = previewed(&case, &all).unwrap();
        assert_eq!(preview.rejections, refused);
        assert!(preview.paths.len() <= PARTS_MAX * Path::ALL.len());
        assert_eq!(case.cancel(all).err(), refused.into_iter().next());
    }
}
