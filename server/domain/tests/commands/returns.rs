//! What comes back for goods that come back: by time, condition and reason, less what the buyer
//! bears.

use belay_domain::actor::Role;
use belay_domain::cancellation::{Deductions, LabelState, PartState};
use belay_domain::context::{CarrierProfile, ReturnLabel};
use belay_domain::ids::CarrierId;
use belay_domain::money::{Currency, Money};
use belay_domain::policy::{Consequence, Policies, Policy, ReturnRate, Returns};
use belay_domain::shipment::Stage;
use belay_domain::terms::{GoodsCondition, Path, Payer, RefundPlan, RefundShare};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, MICROSECOND, PLACED, eur, gate, store};

const HOURS_72: SignedDuration = SignedDuration::from_hours(72);

/// Whatever has left comes back under this plan, once it is received.
fn terms(plan: RefundPlan) -> Policy {
    let mut policy = outside(&["{kind: PARCEL_RECEIPT, on_lost: PASS}"]);
    let Consequence::Allow(allow) = &mut policy.rules[0].then else {
        panic!("the first rule allows")
    };
    allow.refund = plan;
    let rate = |received_within, condition: &[GoodsCondition], percent| ReturnRate {
        received_within,
        condition: condition.to_vec(),
        reason: Vec::new(),
        percent,
    };
    let rates = vec![
        rate(Some(HOURS_72), &[GoodsCondition::Unopened], 100),
        rate(Some(HOURS_72), &[GoodsCondition::Opened], 50),
        rate(None, &[], 20),
    ];
    Policy {
        returns: Returns {
            rates,
            without_label: "Bring it to the shop.".to_owned(),
        },
        ..policy
    }
}

/// Two units of 100.00 and 11.00 for the way, delivered; a label costs what it says.
fn delivered(plan: RefundPlan, label: Option<ReturnLabel>) -> Case {
    let mut store = store(terms(plan));
    let return_labels = label
        .into_iter()
        .map(|label| ("DE".to_owned(), label))
        .collect();
    store.carriers.insert(
        CarrierId::parse("post").unwrap(),
        CarrierProfile {
            return_labels,
            ..CarrierProfile::default()
        },
    );
    let mut case = Cart::of(&[(2, 20_000)]).shipping(1000, 100).place_in(store);
    case.capture("p1", 21_100).bring_to(1, Stage::Delivered);
    case
}

fn label(price: i64) -> Option<ReturnLabel> {
    Some(ReturnLabel {
        price: Some(eur(price)),
    })
}

fn by_schedule() -> RefundPlan {
    RefundPlan::of(RefundShare::BySchedule)
}

fn returned(case: &mut Case) -> u32 {
    case.cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap()
}

fn paid_back(case: &Case) -> i64 {
    case.order
        .refunds
        .iter()
        .map(|refund| refund.amounts.total())
        .sum()
}

#[test]
fn a_schedule_goes_by_the_time_since_delivery_and_the_condition() {
    let table = [
        (HOURS_72 - MICROSECOND, GoodsCondition::Unopened, 100),
        (HOURS_72, GoodsCondition::Unopened, 20),
        (HOURS_72 - MICROSECOND, GoodsCondition::Opened, 50),
        (HOURS_72, GoodsCondition::Opened, 20),
        (SignedDuration::ZERO, GoodsCondition::Damaged, 20),
    ];
    for (after, condition, percent) in table {
        let mut case = delivered(by_schedule(), None);
        returned(&mut case);
        assert_eq!(
            case.part(1, 0).refund.total(),
            20_000,
            "as the path promises"
        );
        case.wait(after).receive(1, condition).unwrap();
        assert_eq!(paid_back(&case), 200 * percent, "{after:?} {condition}");
        assert_eq!(
            case.part(1, 0).deductions.by_schedule,
            20_000 - 200 * percent
        );
    }
}

#[test]
fn a_schedule_rounds_each_part_down_and_never_pays_more_than_was_paid() {
    let mut case = delivered(by_schedule(), None);
    returned(&mut case);
    case.receive_some(1, GoodsCondition::Opened, &[(1, 1)])
        .unwrap();
    case.receive_some(1, GoodsCondition::Damaged, &[(1, 1)])
        .unwrap();
    assert_eq!(paid_back(&case), 5000 + 2000);
}

#[test]
fn who_bears_the_ways_is_taken_off_and_shown() {
    use Payer::{Buyer, Seller};
    let table = [
        // Who bears the way out and the way back; what comes back; what is taken off for each.
        (Buyer, Seller, 20_000, 1100, 0),
        (Buyer, Buyer, 19_300, 1100, 700),
        (Seller, Buyer, 20_400, 0, 700),
        (Seller, Seller, 21_100, 0, 0),
    ];
    for (outbound_shipping, return_shipping, back, out, home) in table {
        let plan = RefundPlan {
            share: RefundShare::Full,
            outbound_shipping,
            return_shipping,
        };
        let mut case = delivered(plan, label(700));
        returned(&mut case);
        case.receive(1, GoodsCondition::Unopened).unwrap();
        let deductions = Deductions {
            outbound_shipping: out,
            return_shipping: home,
            by_schedule: 0,
        };
        assert_eq!(
            (paid_back(&case), case.part(1, 0).deductions),
            (back, deductions)
        );
        assert_eq!(case.part(1, 0).label, Some(LabelState::Issued));
    }
}

#[test]
fn a_label_is_charged_once_however_the_goods_come_back() {
    let plan = RefundPlan {
        return_shipping: Payer::Buyer,
        ..RefundPlan::FULL
    };
    let mut case = delivered(plan, label(700));
    returned(&mut case);
    for _ in 0..2 {
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
            .unwrap();
    }
    assert_eq!(paid_back(&case), 20_000 - 700);
    assert_eq!(
        case.part(1, 0).deductions.return_shipping + case.part(1, 1).deductions.return_shipping,
        700
    );
}

#[test]
fn a_label_is_charged_with_what_is_worth_something_in_either_order() {
    use GoodsCondition::{Damaged, Unopened};
    for conditions in [[Unopened, Damaged], [Damaged, Unopened]] {
        let plan = RefundPlan {
            return_shipping: Payer::Buyer,
            ..by_schedule()
        };
        let mut policy = terms(plan);
        policy.returns.rates[2].percent = 0;
        let mut case = delivered(plan, label(700));
        let versions = std::collections::BTreeMap::from([(1, std::sync::Arc::new(policy))]);
        case.store.policies = Policies::new(versions, vec![(PLACED, 1)]);
        returned(&mut case);
        for condition in conditions {
            case.receive_some(1, condition, &[(1, 1)]).unwrap();
        }
        assert_eq!(paid_back(&case), 10_000 - 700, "{conditions:?}");
        assert_eq!(
            case.cancellation(1)
                .parts
                .iter()
                .filter(|part| part.label.is_some())
                .count(),
            1
        );
    }
}

#[test]
fn a_label_of_what_stays_sold_is_charged_with_what_does_not() {
    let plan = RefundPlan {
        return_shipping: Payer::Buyer,
        ..RefundPlan::FULL
    };
    let mut policy = outside(&[
        "{kind: PARCEL_RECEIPT, on_lost: PASS}",
        &gate("SELLER_CONSENT", "REFUSE", "BAR"),
    ]);
    let Consequence::Allow(allow) = &mut policy.rules[0].then else {
        panic!("the first rule allows")
    };
    allow.refund = plan;
    let mut case = delivered(plan, label(700));
    let versions = std::collections::BTreeMap::from([(1, std::sync::Arc::new(policy))]);
    case.store.policies = Policies::new(versions, vec![(PLACED, 1)]);
    returned(&mut case);
    case.receive_some(1, GoodsCondition::Damaged, &[(1, 1)])
        .unwrap();
    case.reject(Role::Seller, 1).unwrap();
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(
        (case.parts(1), paid_back(&case)),
        (
            vec![
                (PartState::Refused, "CONSENT_REFUSED"),
                (PartState::Cancelled, "")
            ],
            10_000 - 700
        )
    );
    // It is charged once, also where what was refused is asked for again.
    let again = returned(&mut case);
    case.approve(Role::Seller, again).unwrap();
    assert_eq!(paid_back(&case), 20_000 - 700);
}

#[test]
fn a_label_costs_what_it_did_when_it_was_promised() {
    let plan = RefundPlan {
        return_shipping: Payer::Buyer,
        ..RefundPlan::FULL
    };
    let yen = Money {
        currency: Currency::parse("JPY").unwrap(),
        minor_units: 8000,
    };
    let changed = [Some(yen), Some(eur(999)), Some(eur(1)), None];
    // One that costs more than what comes back, and one for nothing, too.
    for (price, charged) in [(499, 499), (99_999, 20_000), (0, 0)] {
        for price_now in changed {
            for parcels in [1, 2] {
                let mut case = delivered(plan, label(price));
                returned(&mut case);
                let carrier = case.store.carriers.values_mut().next().unwrap();
                let label = ReturnLabel { price: price_now };
                carrier.return_labels.insert("DE".to_owned(), label);
                for _ in 0..parcels {
                    let units = 2 / parcels;
                    case.receive_some(1, GoodsCondition::Unopened, &[(1, units)])
                        .unwrap();
                }
                let at_most = 20_000 / i64::from(parcels);
                assert_eq!(
                    20_000 - paid_back(&case),
                    charged.min(at_most),
                    "{price}, now {price_now:?}"
                );
            }
        }
    }
}

#[test]
fn a_label_never_costs_more_than_what_comes_back() {
    let plan = RefundPlan {
        return_shipping: Payer::Buyer,
        ..RefundPlan::FULL
    };
    let mut case = delivered(plan, label(99_999));
    returned(&mut case);
    case.receive(1, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        (case.refunds(), case.part(1, 0).deductions.return_shipping),
        (vec![], 20_000)
    );
}

#[test]
fn without_a_label_that_can_be_charged_nothing_is_charged() {
    let dollars = Money {
        currency: Currency::parse("USD").unwrap(),
        minor_units: 700,
    };
    for label in [
        None,
        Some(ReturnLabel {
            price: Some(dollars),
        }),
    ] {
        let plan = RefundPlan {
            return_shipping: Payer::Buyer,
            ..RefundPlan::FULL
        };
        let mut case = delivered(plan, label);
        returned(&mut case);
        case.receive(1, GoodsCondition::Unopened).unwrap();
        assert_eq!(case.part(1, 0).label, Some(LabelState::UnavailableInRegion));
        assert_eq!(paid_back(&case), 20_000);
    }
}

#[test]
fn a_label_that_costs_nothing_is_issued() {
    let plan = RefundPlan {
        return_shipping: Payer::Buyer,
        ..RefundPlan::FULL
    };
    let mut case = delivered(plan, Some(ReturnLabel { price: None }));
    returned(&mut case);
    assert_eq!(
        (case.part(1, 0).label, case.part(1, 0).refund.total()),
        (Some(LabelState::Issued), 20_000)
    );
}

#[test]
fn a_refused_delivery_needs_no_label() {
    let plan = RefundPlan {
        return_shipping: Payer::Buyer,
        ..RefundPlan::FULL
    };
    let mut case = delivered(plan, label(700));
    case.cancel(CancellationRequest::all().paths(&[Path::RefuseDelivery]))
        .unwrap();
    assert_eq!(
        (case.part(1, 0).label, case.part(1, 0).refund.total()),
        (None, 20_000)
    );
}

#[test]
fn a_label_that_was_promised_is_not_taken_back() {
    let mut case = delivered(RefundPlan::FULL, label(500));
    let mut policy = terms(RefundPlan::FULL);
    policy.rules[0].when.return_label = Some(true);
    let versions = std::collections::BTreeMap::from([(1, std::sync::Arc::new(policy))]);
    case.store.policies = Policies::new(versions, vec![(PLACED, 1)]);
    returned(&mut case);
    // The carrier gives labels no more; what was asked in time comes back all the same.
    case.store
        .carriers
        .insert(CarrierId::parse("post").unwrap(), CarrierProfile::default());
    for _ in 0..2 {
        case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
            .unwrap();
    }
    assert_eq!(case.parts(1), [(PartState::Cancelled, ""); 2]);
}
