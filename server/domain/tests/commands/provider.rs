//! Random histories of what a payment provider says: facts in any order and as of any time, results
//! of refunds that are taken back, and its own messages about them, on orders that are cancelled,
//! sent, sent back and closed meanwhile.
//!
//! Of each row the last word counts, whatever was said before; what is true of all orders is true
//! of these as well.

use belay_domain::actor::Role;
use belay_domain::commands::{self, Command, LeaseRefunds, RefundResult, allowed_resolutions};
use belay_domain::ids::{ExternalId, WorkerId};
use belay_domain::incident::{IncidentState, Resolution};
use belay_domain::payment::PaymentFact;
use belay_domain::policy::Policy;
use belay_domain::refund::RefundState;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, LEASE, MICROSECOND, PLAIN, eur, gate, policy_with,
};
use crate::random::Random;
use crate::{history, invariants};

/// BELAY_PROPERTY_CASES tries more of them.
const CASES: u64 = 500;
const STEPS: usize = 30;

#[test]
fn whatever_the_provider_says_its_last_word_counts() {
    let cases = std::env::var("BELAY_PROPERTY_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES);
    for seed in 0..cases {
        let random = &mut Random::from_seed(seed);
        let mut case = placed(random);
        for step in 0..STEPS {
            let told = std::panic::AssertUnwindSafe(|| take(&mut case, random));
            if let Err(failure) = std::panic::catch_unwind(told) {
                eprintln!("seed {seed}, step {step}");
                for event in &case.history {
                    eprintln!("{} {:?}", event.time, event.detail);
                }
                eprintln!(
                    "{:#?}",
                    case.order
                        .payments
                        .iter()
                        .map(|p| &p.balance)
                        .collect::<Vec<_>>()
                );
                eprintln!("{:#?}", case.order.incidents);
                std::panic::resume_unwind(failure);
            }
        }
    }
}

/// What was delivered comes back by its receipt and the seller's consent, or what is worth little
/// without it; the seller bears the way out.
fn policy(random: &mut Random) -> Policy {
    let gates = [
        gate("PARCEL_RECEIPT", "REFUSE", "BAR"),
        gate("SELLER_CONSENT", "REFUSE", "BAR"),
    ];
    let gates = random.some_of(&gates, 80).join(", ");
    let limits = ["", ", value: {less_than: 150}", ", value: {at_least: 150}"];
    let limit = random.pick(&limits);
    policy_with(
        &format!(
            "
  - {{id: back, when: {{stage: [DELIVERED, RETURNING, RETURNED], path: RETURN_UNOPENED{limit}}},
     allow: {{gates: [{gates}], refund: {{share: FULL, outbound_shipping: SELLER}}}}}}{PLAIN}"
        ),
        &[],
    )
}

/// Lines of 200 and 40 in one or two shipments, paid by one payment or two.
fn placed(random: &mut Random) -> Case {
    let cart = Cart::of(&[(2, 200), (1, 40)]).shipping(20, 0);
    let cart = if random.chance(50) {
        cart.split(&[&[(1, 2)], &[(2, 1)]])
    } else {
        cart
    };
    let mut case = cart.place_under(policy(random));
    if random.chance(50) {
        case.authorize("p1", 260);
    } else {
        case.authorize("p1", 200).authorize("p2", 60);
    }
    if random.chance(30) {
        deliver(&mut case, random);
    }
    case
}

/// All of it is captured and delivered, and some has come back by itself.
fn deliver(case: &mut Case, random: &mut Random) {
    case.capture("p1", 200).capture("p2", 60);
    for shipment in 1..=case.order.shipments.len() {
        case.bring_to(u32::try_from(shipment).unwrap(), Stage::Delivered);
    }
    let units = random.number(1, 2);
    case.receive_some(1, GoodsCondition::Unopened, &[(1, units)])
        .unwrap();
}

fn take(case: &mut Case, random: &mut Random) {
    case.wait(random.pick(&[
        MICROSECOND,
        SignedDuration::from_mins(1),
        LEASE,
        SignedDuration::from_hours(5),
        SignedDuration::from_hours(24),
    ]));
    let before = case.order.clone();
    case.settle();
    invariants::check_step(&before, &case.order);
    let before = case.order.clone();
    // Rejections are as good as successes here.
    match random.below(100) {
        0..36 => tell_fact(case, random),
        36..44 => tell_of_refund(case, random),
        44..54 => cancel(case, random),
        54..64 => lease(case, random),
        64..80 => tell_result(case, random),
        80..90 => resolve(case, random),
        _ => fulfil(case, random),
    }
    invariants::check(&case.order, case.now);
    invariants::check_step(&before, &case.order);
    history::check(&case.history, &case.order);
}

fn tell_fact(case: &mut Case, random: &mut Random) {
    use PaymentFact::{
        Authorized, Captured, Chargeback, ChargebackReversed, Declined, RefundedOutside, Voided,
    };
    let facts = [
        Authorized,
        Authorized,
        Captured,
        Captured,
        Voided,
        Voided,
        Declined,
        RefundedOutside,
        Chargeback,
        Chargeback,
        ChargebackReversed,
        ChargebackReversed,
    ];
    let fact = random.pick(&facts);
    let may_be_all = matches!(fact, Voided | ChargebackReversed);
    let amount = if fact == Declined || may_be_all && random.chance(60) {
        0
    } else {
        random.pick(&[20, 60, 200, 260])
    };
    let movement = random.maybe(30, |random| format!("move-{}", random.below(4)));
    let payment = random.pick(&["p1", "p2", "p3"]);
    let at = random.maybe(30, |random| {
        case.now - SignedDuration::from_hours(i64::from(random.number(0, 30)))
    });
    let _ = case.told(fact, amount, |command| {
        command.provider_payment_id = ExternalId::parse(payment).unwrap();
        command.movement = movement.map(|movement| ExternalId::parse(movement).unwrap());
        command.occurred_time = at;
    });
}

/// The provider's own message about a refund, which may have been overtaken by what it said since.
fn tell_of_refund(case: &mut Case, random: &mut Random) {
    let refunds = case.order.refunds.iter();
    let sent: Vec<_> = refunds
        .filter(|row| row.worker.is_some())
        .cloned()
        .collect();
    if sent.is_empty() {
        return;
    }
    let row = random.pick(&sent);
    let payment = case.order.payment(row.payment).unwrap();
    let payment = payment.provider_payment_id.clone();
    let movement = row.provider_refund_id.clone();
    let names_row = movement.is_none() || random.chance(50);
    let at = row.settle_time.filter(|_| random.chance(80));
    let amount = row.settled_amount.unwrap_or(row.amounts.total());
    let told = case.told(PaymentFact::RefundedOutside, amount.max(1), |command| {
        command.provider_payment_id = payment;
        (command.movement, command.occurred_time) = (movement, at);
        command.refund = names_row.then_some(row.number);
    });
    // It has come back since, and that was told already.
    let is_old = at.is_some_and(|at| at <= row.update_time) && row.settled_amount.is_none();
    if told.is_ok() && row.state == RefundState::Failed && is_old {
        let after = case.order.refund(row.number).unwrap();
        assert_eq!(after.settled_amount, None, "{row:?}");
    }
}

fn cancel(case: &mut Case, random: &mut Random) {
    let selection = match random.below(4) {
        0 => CancellationRequest::all(),
        1 => CancellationRequest::shipment(random.number(1, 2)),
        2 => CancellationRequest::lines(&[(1, 1)]),
        _ => CancellationRequest::lines(&[(2, 1)]),
    };
    let request = selection.paths(&[Path::Cancel, Path::ReturnUnopened]);
    let request = if random.chance(70) {
        request.leave_out()
    } else {
        request
    };
    let previewed = commands::preview(&case.order, &request.request, &case.context());
    let known = case.order.cancellations.len();
    if let (Ok(number), Ok(previewed)) = (case.cancel(request), previewed)
        && case.order.cancellations.len() > known
    {
        let promise = case.promise(number);
        assert_eq!(
            (previewed.refund, previewed.release),
            (promise.refund, promise.release),
            "what was previewed"
        );
    }
}

fn lease(case: &mut Case, random: &mut Random) {
    let refunds = case.order.refunds.iter().map(|row| row.number);
    let refunds = random.some_of(&refunds.collect::<Vec<_>>(), 70);
    let worker = WorkerId::parse("worker-1").unwrap();
    let command = LeaseRefunds {
        refunds,
        worker,
        lease: LEASE,
    };
    let _ = case.run(Role::Payments, None, Command::LeaseRefunds(command));
}

fn tell_result(case: &mut Case, random: &mut Random) {
    let refunds = case.order.refunds.iter();
    let sent: Vec<_> = refunds
        .filter(|row| row.worker.is_some())
        .cloned()
        .collect();
    if sent.is_empty() {
        return;
    }
    let row = random.pick(&sent);
    let asked = row.amounts.total();
    let result = match random.below(10) {
        0..5 => {
            let amount = random.pick(&[None, None, Some(asked), Some(asked / 2), Some(asked + 1)]);
            RefundResult::Settled {
                amount: amount.map(eur),
                provider_refund_id: random.maybe(60, |_| {
                    ExternalId::parse(format!("re-{}", row.number)).unwrap()
                }),
                occurred_time: None,
            }
        }
        5..9 => RefundResult::Failed {
            code: "ACCOUNT_CLOSED".to_owned(),
        },
        _ => RefundResult::Unknown,
    };
    let expected = match &result {
        _ if row.state == RefundState::Cancelled => None,
        RefundResult::Settled { amount: None, .. } => row.settled_amount.or(Some(asked)),
        RefundResult::Settled { amount, .. } => amount.map(|amount| amount.minor_units),
        RefundResult::Failed { .. } => None,
        RefundResult::Unknown => row.settled_amount,
    };
    if case.result(row.number, result.clone()).is_ok() {
        let after = case.order.refund(row.number).unwrap();
        // Its lease may have ended without a need for it.
        let is_over = after.state == RefundState::Cancelled && after.settled_amount.is_none();
        assert!(
            is_over || after.settled_amount == expected,
            "{row:?} {result:?}"
        );
    }
}

fn resolve(case: &mut Case, random: &mut Random) {
    let open = case.order.incidents.iter();
    let open: Vec<_> = open
        .filter(|incident| incident.state == IncidentState::Open)
        .cloned()
        .collect();
    if open.is_empty() {
        return;
    }
    let incident = random.pick(&open);
    let resolution = random.pick(&allowed_resolutions(&case.order, &incident));
    // What was never due, and others are owed first, is not due under another row either.
    let refund = incident.refund.and_then(|number| case.order.refund(number));
    let is_excess = refund.is_some_and(|refund| refund.cancellation.is_none());
    if !(is_excess && resolution == Resolution::RetryRefund) {
        case.resolve(incident.number, resolution).unwrap();
    }
}

fn fulfil(case: &mut Case, random: &mut Random) {
    let shipment = random.number(1, 2);
    let fact = random.pick(&[TrackingFact::PickedUp, TrackingFact::Delivered]);
    let cancellation = random.number(1, 4);
    let some = random.pick(&[&[(1, 1)][..], &[(1, 2)], &[(2, 1)]]);
    let unopened = GoodsCondition::Unopened;
    let _ = match random.below(8) {
        0..3 => case.scan(shipment, fact),
        3 => case.receive(shipment, unopened),
        4 => case.receive_some(shipment, unopened, some),
        5 => case.approve(Role::Seller, cancellation),
        6 => case.reject(Role::Seller, cancellation),
        _ => case.withdraw(Role::Storefront, cancellation),
    };
}
