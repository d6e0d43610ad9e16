//! Puts a portion of a wish to the policy, path by path.

use jiff::{SignedDuration, Timestamp};

use super::super::refund_of::{Claim, has_label, label, refund_of};
use super::super::{Asked, Draft};
use super::IneligibleUnits;
use crate::actor::Role;
use crate::cancellation::{LabelState, PartRefund};
use crate::order::Home;
use crate::payment::Payment;
use crate::policy::{CarrierFacts, Policy, Question, Verdict};
use crate::rejection::{Ineligibility, Rejection};
use crate::shipment::Shipment;
use crate::terms::{DenyCode, GateSpec, Path, RefundPlan};
use crate::units::{LineQuantity, UnitSet};

/// What does not differ between the portions of one request.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Wish<'a> {
    pub(in super::super) requester: Role,
    pub(in super::super) reason: Option<&'a str>,
    pub(in super::super) paths: &'a [Path],
    /// When it was wished: what was in time then, is.
    pub(in super::super) asked_at: Timestamp,
    /// Whether the buyer was promised a label; none where nothing was promised yet.
    pub(in super::super) has_label: Option<bool>,
}

/// The units of a wish that are in one shipment and came home by one receipt, or are not home.
#[derive(Debug, Clone)]
pub(in super::super) struct Portion {
    pub(in super::super) shipment: u32,
    pub(in super::super) units: UnitSet,
    /// What is known of goods that are home.
    pub(in super::super) home: Option<Home>,
    /// Units of the same shipment that the same wish takes before these.
    pub(in super::super) before: UnitSet,
}

impl Portion {
    /// All that a wish takes of a shipment, and none of it is home.
    pub(in super::super) fn out(shipment: u32, units: UnitSet) -> Self {
        Self {
            shipment,
            units,
            home: None,
            before: UnitSet::default(),
        }
    }
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
    pub(in super::super) refund: PartRefund,
    pub(in super::super) label: Option<LabelState>,
}

/// Asks for each path in turn until one is allowed.
pub(in super::super) fn judge(
    draft: &Draft<'_>,
    policy: &Policy,
    wish: &Wish<'_>,
    portion: Portion,
) -> Judgement {
    let mut judgement = Judgement {
        portion,
        asked: Vec::new(),
        allowed: None,
        denied: Vec::new(),
    };
    let Some(shipment) = draft.order.shipment(judgement.portion.shipment) else {
        return judgement;
    };
    for path in wish.paths {
        let question = question(draft, wish, shipment, &judgement.portion.units, *path);
        let answer = policy.answer(&question);
        let rule = answer.rule.clone();
        match answer.verdict.clone() {
            Verdict::Allow {
                gates,
                refund: plan,
            } => {
                let (units, reason) = (&judgement.portion.units, wish.reason.unwrap_or_default());
                let home = judgement.portion.home;
                // What is home needs no label any more; the one that it came with may still have to
                // be paid for.
                let label = label(draft, shipment, *path)
                    .and_then(|label| home.map_or(Some(label), |home| home.label));
                let (receipt, before) = (home.map(|home| home.receipt), &judgement.portion.before);
                let claim = Claim {
                    shipment,
                    units,
                    before,
                    path: *path,
                    reason,
                    plan,
                    label,
                    receipt,
                };
                let refund = refund_of(draft, policy, &claim);
                judgement.allowed = Some(Allowed {
                    path: *path,
                    rule,
                    gates,
                    plan,
                    refund,
                    label,
                });
            }
            Verdict::Deny {
                code,
                next_actions,
                available_in,
            } => judgement.denied.push(Ineligibility {
                without_label: without_label(policy, code),
                pay_by: (code == DenyCode::UnpaidClosesItself).then_some(draft.order.pay_by),
                shipment: shipment.number,
                path: *path,
                code,
                rule,
                next_actions,
                available_from: turns_at(policy, wish, &question)
                    .or_else(|| wish.asked_at.checked_add(available_in?).ok()),
            }),
        }
        judgement.asked.push(Asked {
            shipment: shipment.number,
            units: judgement.portion.units.clone(),
            question,
            rule: answer.rule,
            answer: answer.verdict,
        });
        if judgement.allowed.is_some() {
            break;
        }
    }
    judgement
}

/// When time alone turns the answer to this question.
pub(super) fn turns_at(policy: &Policy, wish: &Wish<'_>, question: &Question) -> Option<Timestamp> {
    policy
        .turns_in(question)
        .and_then(|wait| wish.asked_at.checked_add(wait).ok())
}

fn without_label(policy: &Policy, code: DenyCode) -> Option<String> {
    (code == DenyCode::LabelUnavailableInRegion).then(|| policy.returns.without_label.clone())
}

/// The facts that a rule may look at, flat.
pub(in super::super) fn question(
    draft: &Draft<'_>,
    wish: &Wish<'_>,
    shipment: &Shipment,
    units: &UnitSet,
    path: Path,
) -> Question {
    let order = &draft.order;
    let since = |start| wish.asked_at.duration_since(start);
    let secured = order
        .payments
        .iter()
        .filter(|payment| Payment::secured(payment) > 0);
    let carrier = draft.store.carriers.get(&shipment.carrier);
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
        carrier: CarrierFacts {
            in_transit_cancel: carrier.is_some_and(|carrier| carrier.in_transit_cancel),
            partner_delivery: carrier.is_some_and(|carrier| carrier.partner_delivery),
            return_label: wish.has_label.unwrap_or_else(|| has_label(draft, shipment)),
        },
        verified_in: order
            .verified_at
            .map(|verified_at| verified_at.duration_since(wish.asked_at))
            .filter(SignedDuration::is_positive),
        customs_flagged: shipment.customs_flag.is_some(),
    }
}

/// Whether something comes of a wish that was judged so.
pub(in super::super) fn goes_ahead(
    judgements: &[Judgement],
    on_ineligible_units: IneligibleUnits,
) -> bool {
    let is_allowed = |judgement: &Judgement| judgement.allowed.is_some();
    match on_ineligible_units {
        IneligibleUnits::Refuse => judgements.iter().all(is_allowed),
        IneligibleUnits::LeaveOut => judgements.iter().any(is_allowed),
    }
}

/// The refusal of a wish: everything that stands against it, and the most that could be asked
/// instead.
pub(in super::super) fn ineligible(judgements: &[Judgement]) -> Rejection {
    let refused = judgements
        .iter()
        .filter(|judgement| judgement.allowed.is_none());
    let violations = refused
        .flat_map(|judgement| judgement.denied.clone())
        .collect();
    let allowed = judgements
        .iter()
        .filter(|judgement| judgement.allowed.is_some());
    let acceptable: UnitSet = allowed
        .flat_map(|judgement| judgement.portion.units.ranges().iter().copied())
        .collect();
    let acceptable = acceptable
        .lines()
        .map(|line| LineQuantity {
            line,
            quantity: acceptable.count_of(line),
        })
        .collect();
    Rejection::Ineligible {
        violations,
        acceptable,
    }
}
