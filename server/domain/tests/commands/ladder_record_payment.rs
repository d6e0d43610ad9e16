//! RecordPayment, rung by rung: facts are recorded, so all that refuses one is a bound.

use belay_domain::actor::Role;
use belay_domain::commands::{Command, RecordPayment};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::ExternalId;
use belay_domain::money::{Currency, Money};
use belay_domain::order::{FACTS_MAX, MONEY_FACTS_ROOM, PAYMENTS_MAX, PAYMENTS_ROOM};
use belay_domain::payment::PaymentFact;
use belay_domain::rejection::Rejection;

use crate::kit::{Cart, Case, Rung, climb, eur};

struct Attempt {
    case: Case,
    payment: &'static str,
    currency: Currency,
    refund: Option<u32>,
    method: Option<&'static str>,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = RecordPayment {
            provider_payment_id: ExternalId::parse(self.payment).unwrap(),
            provider_event_id: ExternalId::parse("the-event").unwrap(),
            fact: PaymentFact::Captured,
            amount: Some(Money {
                currency: self.currency,
                ..eur(1)
            }),
            movement: None,
            refund: self.refund,
            method: self.method.map(str::to_owned),
            occurred_time: None,
        };
        self.case
            .clone()
            .run(
                Role::Payments,
                self.expected_version,
                Command::RecordPayment(command),
            )
            .map(|_| ())
    }
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let mut case = Cart::of(&[(1, 1000)]).place();
    for payment in 1..=PAYMENTS_MAX {
        case.fact(&format!("p{payment}"), PaymentFact::Attempted, 0)
            .unwrap();
    }
    for _ in 1..FACTS_MAX {
        case.fact("p2", PaymentFact::Attempted, 0).unwrap();
    }
    // Attempts have used up their room, and money has its own.
    let limit = |refused: Result<_, Rejection>| refused.unwrap_err().reason();
    assert_eq!(
        limit(case.fact("one-too-many", PaymentFact::Declined, 0)),
        ErrorReason::LimitReached
    );
    assert_eq!(
        limit(case.fact("p2", PaymentFact::Attempted, 0)),
        ErrorReason::LimitReached
    );
    for payment in 1..=PAYMENTS_ROOM {
        case.authorize(&format!("q{payment}"), 1);
    }
    for _ in 0..MONEY_FACTS_ROOM {
        case.authorize("p2", 1);
    }
    case.fact("q1", PaymentFact::Declined, 0).unwrap();
    let yen = Currency::parse("JPY").unwrap();
    let mut attempt = Attempt {
        case,
        payment: "one-too-many",
        currency: yen,
        refund: Some(9),
        method: None,
        expected_version: Some(1),
    };
    let rungs: &[Rung<Attempt>] = &[
        ("INVALID_FIELD", |a| a.method = Some("CREDIT_CARD")),
        ("REFUND_NOT_FOUND", |a| a.refund = None),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
        ("CURRENCY_MISMATCH", |a| a.currency = eur(0).currency),
        ("LIMIT_REACHED", |a| (a.payment, a.method) = ("p2", None)),
        ("LIMIT_REACHED", |a| a.payment = "p1"),
    ];
    climb(&mut attempt, rungs, Attempt::run);
}

#[test]
fn the_first_fact_of_a_payment_names_its_method() {
    let case = Cart::of(&[(1, 1000)]).place();
    let mut attempt = Attempt {
        case,
        payment: "p1",
        currency: eur(0).currency,
        refund: None,
        method: None,
        expected_version: None,
    };
    climb(
        &mut attempt,
        &[("INVALID_FIELD", |a| a.method = Some("CREDIT_CARD"))],
        Attempt::run,
    );
}
