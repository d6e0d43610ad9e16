//! What is kept of the answer to a command, and what a repetition gets.

use std::collections::HashMap;
use std::num::NonZeroU16;

use belay_domain::actor::{Actor, Role};
use belay_domain::commands::{Command, RecordPayment, Work};
use belay_domain::ids::{ExternalId, Partitions};
use belay_domain::order::Order;
use belay_domain::payment::PaymentFact;
use belay_domain::records::{KnownRequest, NewRequest};
use belay_domain::scope::{Caller, Scope};
use belay_proto::v1 as pb;
use belay_wire::batch::{Batch, Reply, Submitted};
use prost::Message;
use uuid::Uuid;

use crate::extremes::{cancellation, gate, part};
use crate::kit::{Cart, Case, eur};

fn caller() -> Caller {
    Caller {
        actor: Actor::new(Role::Payments, "pay"),
        scope: Scope::EVERYTHING,
    }
}

fn captured(event: &str) -> Work {
    Work::Decide(Command::RecordPayment(RecordPayment {
        provider_payment_id: ExternalId::parse("p1").unwrap(),
        provider_event_id: ExternalId::parse(event).unwrap(),
        fact: PaymentFact::Captured,
        amount: Some(eur(100)),
        method: Some("CARD".to_owned()),
        occurred_time: None,
        movement: None,
        refund: None,
    }))
}

/// Decides it on this order, of which these requests are known.
fn decide(case: &Case, order: &Order, work: &Work, known: &[&NewRequest]) -> (Reply, Batch) {
    let known = known.iter().map(|request| {
        let known = KnownRequest {
            fingerprint: request.fingerprint,
            answer: request.answer.clone(),
        };
        (request.key.clone(), known)
    });
    let loaded = HashMap::from([(order.key(), order.clone())]);
    let partitions = Partitions::ranges(NonZeroU16::MAX);
    let mut batch = Batch::new(loaded, known.collect(), case.now, partitions);
    let submitted = Submitted {
        key: order.key(),
        store: &case.store,
        caller: &caller(),
        request_id: Uuid::from_u128(7),
        expected_version: None,
        work,
        fingerprint: work.fingerprint().unwrap().hash,
    };
    let reply = batch.decide(&submitted).unwrap();
    (reply, batch)
}

fn response(reply: &Reply) -> pb::RecordPaymentResponse {
    let Reply::Answer(answer) = reply else {
        panic!("{reply:?}")
    };
    pb::RecordPaymentResponse::decode(answer.message.as_slice()).unwrap()
}

fn large() -> Case {
    let mut case = Cart::of(&[(1, 100)]).place();
    let gates = vec![gate(0); 10];
    let refused = part(&case.order.units(), gates);
    case.order
        .cancellations
        .push(cancellation(1, vec![refused]));
    case
}

#[test]
fn no_answer_is_kept_with_a_whole_order() {
    let case = large();
    let (reply, batch) = decide(&case, &case.order, &captured("e1"), &[]);
    let Reply::Answer(given) = &reply else {
        panic!("{reply:?}")
    };
    let [kept] = &*batch.new_requests else {
        panic!("{:?}", batch.new_requests)
    };
    assert!(given.message.len() > 256 * 1024, "{}", given.message.len());
    assert!(kept.answer.len() < 256, "{}", kept.answer.len());
    // It is an answer itself, for a server that repeats what it finds.
    let head = pb::RecordPaymentResponse::decode(&kept.answer[1..]).unwrap();
    let (order, whole) = (head.order.unwrap(), response(&reply).order.unwrap());
    assert_eq!(
        (&order.order_id, &order.store_id),
        (&whole.order_id, &whole.store_id)
    );
    assert_eq!((&order.etag, order.state), (&whole.etag, whole.state));
    assert_eq!(head.request_id, Uuid::from_u128(7).to_string());
}

#[test]
fn a_repetition_tells_the_order_as_it_stands() {
    let case = large();
    let (first, batch) = decide(&case, &case.order, &captured("e1"), &[]);
    let kept = &batch.new_requests[0];
    let after = batch.orders().next().unwrap().1.after.clone();
    let (again, repeated) = decide(&case, &after, &captured("e1"), &[kept]);
    assert_eq!(again, first, "nothing has changed");
    assert!(repeated.new_requests.is_empty() && repeated.new_events.is_empty());
    let mut later = after;
    later.version += 3;
    later.cancellations.clear();
    let (again, _) = decide(&case, &later, &captured("e1"), &[kept]);
    let order = response(&again).order.unwrap();
    let Reply::Answer(told) = &again else {
        panic!("{again:?}")
    };
    assert_eq!(told.version, later.version, "what was done before is in it");
    assert_eq!(order.etag, format!("\"{}\"", later.version));
    assert!(order.cancellations.is_empty());
    // What an earlier server has kept whole is told so as well.
    let Reply::Answer(given) = &first else {
        panic!("{first:?}")
    };
    let whole = NewRequest {
        answer: [&[1], given.message.as_slice()].concat(),
        ..kept.clone()
    };
    assert_eq!(decide(&case, &later, &captured("e1"), &[&whole]).0, again);
}
