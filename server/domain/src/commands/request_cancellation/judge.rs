//! Puts a portion of a wish to the policy, path by path.

use super::super::{Asked, Draft};
use super::IneligibleUnits;
use crate::actor::Role;
use crate::cancellation::Path;
use crate::money::Amounts;
use crate::order::Order;
use crate::payment::Payment;
use crate::policy::{GateSpec, Policy, Question, RefundPlan, ShippingRefund, Verdict};
use crate::rejection::{Ineligibility, LineQuantity, Rejection};
use crate::shipment::Shipment;
use crate::units::UnitSet;

/// What does not differ between the portions of one request.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Wish<'a> {
    pub(in super::super) requester: Role,
    pub(in super::super) reason: Option<&'a str>,
    pub(in super::super) paths: &'a [Path],
}

/// The units of a wish that are in one shipment.
#[derive(Debug, Clone)]
pub(in super::super) struct Portion {
    pub(in super::super) shipment: u32,
    pub(in super::super) units: UnitSet,
}

#[derive(Debug)]
pub(in super::super) struct Judgement {
    pub(in super::super) portion: Portion,
    pub(in super::super) asked: Vec<Asked>,
    /// The first path that the policy allows.
    pub(in super::super) allowed: Option<Allowed>,
    /// The paths before it, which the policy does not.
    pub(in super::super) denied: Vec<Ineligibility>,
}

#[derive(Debug)]
pub(in super::super) struct Allowed {
    pub(in super::super) path: Path,
    pub(in super::super) rule: Option<String>,
    pub(in super::super) gates: Vec<GateSpec>,
    pub(in super::super) plan: RefundPlan,
    pub(in super::super) refund: Amounts,
}

/// Asks for each path in turn until one is allowed.
pub(in super::super) fn judge(draft: &Draft<'_>, policy: &Policy, wish: &Wish<'_>, portion: Portion) -> Judgement {
    let mut judgement = Judgement { portion, asked: Vec::new(), allowed: None, denied: Vec::new() };
    let Some(shipment) = draft.order.shipment(judgement.portion.shipment) else { return judgement };
    for path in wish.paths {
        let question = question(draft, wish, shipment, &judgement.portion.units, *path);
        let answer = policy.answer(&question);
        judgement.asked.push(Asked {
            shipment: shipment.number,
            units: judgement.portion.units.clone(),
            question,
            rule: answer.rule.clone(),
            answer: answer.verdict.clone(),
        });
        match answer.verdict {
            Verdict::Allow { gates, refund: plan } => {
                let refund = refund_of(&draft.order, policy, shipment, &judgement.portion.units, plan);
                judgement.allowed = Some(Allowed { path: *path, rule: answer.rule, gates, plan, refund });
                break;
            }
            Verdict::Deny { code, next_actions, available_in } => judgement.denied.push(Ineligibility {
                shipment: shipment.number,
                path: *path,
                code,
                rule: answer.rule,
                next_actions,
                available_from: available_in.and_then(|wait| draft.now.checked_add(wait).ok()),
            }),
        }
    }
    judgement
}

/// The facts that a rule may look at, flat.
fn question(draft: &Draft<'_>, wish: &Wish<'_>, shipment: &Shipment, units: &UnitSet, path: Path) -> Question {
    let order = &draft.order;
    let since = |start| draft.now.duration_since(start);
    let secured = order.payments.iter().filter(|payment| Payment::secured(payment) > 0);
    let carrier = draft.store.carriers.get(&shipment.carrier).copied();
    Question {
        actor: wish.requester,
        stage: shipment.stage,
        path,
        reason: wish.reason.map(str::to_owned),
        paid: order.paid_time.is_some(),
        payment_methods: secured.map(|payment| payment.method.clone()).collect(),
        since_placed: since(order.create_time),
        since_paid: order.paid_time.map(since),
        since_delivered: shipment.deliver_time.map(since),
        value: order.amounts_of(units).total(),
        currency: order.currency.code().to_owned(),
        destination_country: order.destination.country_code.clone(),
        carrier: carrier.unwrap_or_default(),
    }
}

/// What comes back for these units. The shipping charge comes back with the last unit of a shipment that has not left.
///
/// While an order is not paid, whatever it loses is owed no more: there is nothing yet that the policy could keep.
pub(in super::super) fn refund_of(
    order: &Order,
    policy: &Policy,
    shipment: &Shipment,
    units: &UnitSet,
    plan: RefundPlan,
) -> Amounts {
    let is_unpaid = order.paid_time.is_none();
    let of_units = match plan {
        RefundPlan::None if !is_unpaid => return Amounts::ZERO,
        RefundPlan::Full | RefundPlan::None => order.amounts_of(units),
    };
    let returns_shipping = match policy.refunds.shipping {
        _ if is_unpaid => true,
        ShippingRefund::WhenShipmentWhollyCancelled => shipment.stage.is_before_dispatch(),
        ShippingRefund::Never => false,
    };
    let takes_the_last_unit = order.live_units(shipment).minus(units).is_empty();
    match returns_shipping && takes_the_last_unit {
        true => of_units + shipment.shipping_amounts(),
        false => of_units,
    }
}

/// Whether something comes of a wish that was judged so.
pub(in super::super) fn goes_ahead(judgements: &[Judgement], on_ineligible_units: IneligibleUnits) -> bool {
    let is_allowed = |judgement: &Judgement| judgement.allowed.is_some();
    match on_ineligible_units {
        IneligibleUnits::Refuse => judgements.iter().all(is_allowed),
        IneligibleUnits::LeaveOut => judgements.iter().any(is_allowed),
    }
}

/// The refusal of a wish: everything that stands against it, and the most that could be asked instead.
pub(in super::super) fn ineligible(judgements: &[Judgement]) -> Rejection {
    let refused = judgements.iter().filter(|judgement| judgement.allowed.is_none());
    let violations = refused.flat_map(|judgement| judgement.denied.clone()).collect();
    let allowed = judgements.iter().filter(|judgement| judgement.allowed.is_some());
    let acceptable: UnitSet = allowed.flat_map(|judgement| judgement.portion.units.ranges().iter().copied()).collect();
    let acceptable =
        acceptable.lines().map(|line| LineQuantity { line, quantity: acceptable.count_of(line) }).collect();
    Rejection::Ineligible { violations, acceptable }
}
