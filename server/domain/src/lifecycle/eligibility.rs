//! Puts a portion of a request to the policy, path by path.

use jiff::{SignedDuration, Timestamp};

use crate::actor::Role;
use crate::cancellation::{Gate, LabelState, Part, PartRefund};
use crate::decision::{AskedQuestion, LoggedEvaluation, Occasion, RefundFacts};
use crate::error_reason::ErrorReason;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::refund_of;
use crate::lifecycle::refund_of::{RefundBasis, RefundTerms, refund_of};
use crate::order::{Home, Order};
use crate::payment::Payment;
use crate::policy::{CarrierCapabilities, Policy, Question, Verdict};
use crate::rejection::Denial;
use crate::shipment::Shipment;
use crate::terms::{DenyCode, GateSpec, Path, RefundPlan};
use crate::units::UnitSet;

/// A request to cancel, as the policy sees it: all that its portions have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancellationRequest<'a> {
    pub(crate) requester: Role,
    pub(crate) reason: Option<&'a str>,
    pub(crate) paths: &'a [Path],
    /// When it was made: what was in time then, is.
    pub(crate) asked_at: Timestamp,
    pub(crate) as_made: AsMade,
}

/// The facts of when a request was made that count for it whatever has become of them since. Of a
/// request that is made now there are none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AsMade {
    /// It is from before a lapse that lasts.
    pub(crate) was_paid: bool,
    /// Whether the buyer was promised a label; none where nothing was promised yet.
    pub(crate) has_label: Option<bool>,
    /// What its carrier could do, and was, as far as that was asked.
    pub(crate) in_transit_cancel: Option<bool>,
    pub(crate) partner_delivery: Option<bool>,
    /// What all that was asked together carries.
    pub(crate) value: Option<i64>,
}

impl<'a> CancellationRequest<'a> {
    /// A request that is made now, with nothing promised.
    pub(crate) fn now(
        draft: &Draft<'_>,
        requester: Role,
        paths: &'a [Path],
        reason: Option<&'a str>,
    ) -> Self {
        Self {
            requester,
            reason,
            paths,
            asked_at: draft.now,
            as_made: AsMade::default(),
        }
    }
}

/// The units of a request that are in one shipment and came home by one receipt, or are not home.
#[derive(Debug, Clone)]
pub(crate) struct Portion {
    pub(crate) shipment: u32,
    pub(crate) units: UnitSet,
    /// What is known of goods that are home.
    pub(crate) home: Option<Home>,
    /// Units of the same shipment that the same request takes before these, if it may.
    pub(crate) before: UnitSet,
}

impl Portion {
    /// The part that says why these units are left out.
    pub(crate) fn refused(self, path: Path, reason: ErrorReason) -> Part {
        Part {
            receipt: self.home.map(|home| home.receipt),
            ..Part::refused(self.shipment, self.units, path, reason)
        }
    }

    /// All that a request takes of a shipment, and none of it is home.
    pub(crate) fn out(shipment: u32, units: UnitSet) -> Self {
        Self {
            shipment,
            units,
            home: None,
            before: UnitSet::default(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Evaluation {
    pub(crate) portion: Portion,
    pub(crate) asked: Vec<AskedQuestion>,
    /// The paths that were not asked about any more.
    untried: Vec<Path>,
    /// None where the shipment is not there, and nothing was asked.
    refund: Option<RefundFacts>,
    /// The first path that the policy allows.
    pub(crate) allowed: Option<Allowed>,
    /// The paths before it, which the policy does not.
    pub(crate) denied: Vec<Denial>,
}

impl Evaluation {
    /// As it is kept in the decision log.
    pub(crate) fn logged(
        &self,
        occasion: Occasion,
        policy_version: u32,
    ) -> Option<LoggedEvaluation> {
        Some(LoggedEvaluation {
            occasion,
            policy_version,
            cancellation: None,
            shipment: self.portion.shipment,
            units: self.portion.units.clone(),
            asked: self.asked.clone(),
            untried: self.untried.clone(),
            refund: self.refund?,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    pub(crate) path: Path,
    pub(crate) rule: Option<String>,
    pub(crate) gates: Vec<GateSpec>,
    pub(crate) plan: RefundPlan,
    pub(crate) refund: PartRefund,
    pub(crate) label: Option<LabelState>,
}

/// Evaluates the portions of a request one after the other. What is denied stays in its shipment,
/// so that none of the others takes the last unit.
pub(crate) fn evaluate_all(
    draft: &Draft<'_>,
    policy: &Policy,
    request: &CancellationRequest<'_>,
    portions: Vec<Portion>,
) -> Vec<Evaluation> {
    let mut evaluations: Vec<Evaluation> = Vec::with_capacity(portions.len());
    let mut denied = UnitSet::default();
    for portion in portions {
        let before = portion.before.minus(&denied);
        let evaluation = evaluate(draft, policy, request, Portion { before, ..portion });
        if evaluation.allowed.is_none() {
            denied = denied.union(&evaluation.portion.units);
        }
        evaluations.push(evaluation);
    }
    evaluations
}

/// Asks for each path in turn until one is allowed.
pub(crate) fn evaluate(
    draft: &Draft<'_>,
    policy: &Policy,
    request: &CancellationRequest<'_>,
    portion: Portion,
) -> Evaluation {
    let mut evaluation = Evaluation {
        portion,
        asked: Vec::new(),
        untried: Vec::new(),
        refund: None,
        allowed: None,
        denied: Vec::new(),
    };
    let Some(shipment) = draft.order.shipment(evaluation.portion.shipment) else {
        return evaluation;
    };
    evaluation.refund = Some(refund_basis(draft, shipment, &evaluation.portion).facts(draft));
    for (index, path) in request.paths.iter().enumerate() {
        let question = question(draft, request, shipment, &evaluation.portion.units, *path);
        let answer = policy.answer(&question);
        let rule = answer.rule.clone();
        match answer.verdict.clone() {
            Verdict::Allow {
                gates,
                refund: plan,
            } => {
                let terms = RefundTerms {
                    plan,
                    path: *path,
                    reason: request.reason,
                };
                let basis = refund_basis(draft, shipment, &evaluation.portion);
                evaluation.allowed = Some(Allowed {
                    path: *path,
                    rule,
                    gates,
                    plan,
                    refund: refund_of(draft, policy, &basis, &terms),
                    label: basis.label.filter(|_| path.is_sent_back()),
                });
            }
            Verdict::Deny {
                code,
                next_actions,
                available_in,
            } => evaluation.denied.push(Denial {
                without_label: without_label(policy, code),
                pay_by: (code == DenyCode::UnpaidClosesItself).then_some(draft.order.pay_by),
                shipment: shipment.number,
                path: *path,
                code,
                rule,
                next_actions,
                available_from: turns_at(policy, request, &question)
                    .or_else(|| request.asked_at.checked_add(available_in?).ok()),
            }),
        }
        evaluation.asked.push(AskedQuestion {
            question,
            rule: answer.rule,
            answer: answer.verdict,
        });
        if evaluation.allowed.is_some() {
            evaluation.untried = request.paths[index + 1..].to_vec();
            break;
        }
    }
    evaluation
}

fn refund_basis<'a>(
    draft: &Draft<'_>,
    shipment: &'a Shipment,
    portion: &'a Portion,
) -> RefundBasis<'a> {
    let live = draft.order.live_units(shipment);
    let others = live.minus(&portion.before).minus(&portion.units);
    RefundBasis {
        shipment,
        units: &portion.units,
        takes_the_last_unit: others.is_empty(),
        // What is home needs no label any more; the one that it came with may still have to be paid
        // for.
        label: portion.home.map_or_else(
            || Some(refund_of::label(draft, shipment)),
            |home| home.label,
        ),
        label_price: refund_of::label_price(draft, shipment),
        receipt: portion.home.map(|home| home.receipt),
    }
}

/// The instant at which time alone turns the answer to this question.
pub(crate) fn turns_at(
    policy: &Policy,
    request: &CancellationRequest<'_>,
    question: &Question,
) -> Option<Timestamp> {
    policy
        .turns_in(question)
        .and_then(|wait| request.asked_at.checked_add(wait).ok())
}

fn without_label(policy: &Policy, code: DenyCode) -> Option<String> {
    (code == DenyCode::LabelUnavailableInRegion).then(|| policy.returns.without_label.clone())
}

/// The facts that a rule may look at, flat.
pub(crate) fn question(
    draft: &Draft<'_>,
    request: &CancellationRequest<'_>,
    shipment: &Shipment,
    units: &UnitSet,
    path: Path,
) -> Question {
    let order = &draft.order;
    let since = |start| request.asked_at.duration_since(start);
    let as_made = request.as_made;
    let pays = |payment: &&Payment| {
        payment.secured() > 0 || as_made.was_paid && payment.balance.authorized > 0
    };
    let paid_with = order.payments.iter().filter(pays);
    // Which payment a request from before this one found is not known any more: it counts as made
    // just then, and is not verified for it.
    let of_before = as_made.was_paid.then_some(SignedDuration::ZERO);
    let paid_after = order.paid_time.is_some_and(|paid| request.asked_at < paid);
    let since_paid = order
        .paid_time
        .map(|paid| since(paid).max(SignedDuration::ZERO));
    let since_paid = since_paid.or(of_before);
    let carrier = draft.store.carriers.get(&shipment.carrier);
    Question {
        actor: request.requester,
        stage: shipment.stage,
        path,
        reason: request.reason.map(str::to_owned),
        paid: since_paid.is_some(),
        payment_methods: paid_with.map(|payment| payment.method.clone()).collect(),
        since_placed: since(order.create_time),
        since_paid,
        since_delivered: shipment.deliver_time.map(since),
        value: as_made
            .value
            .unwrap_or_else(|| order.amounts_of(units).total()),
        currency: order.currency.code().to_owned(),
        destination_country: order.destination.country_code.clone(),
        carrier: CarrierCapabilities {
            in_transit_cancel: as_made
                .in_transit_cancel
                .unwrap_or_else(|| carrier.is_some_and(|carrier| carrier.in_transit_cancel)),
            partner_delivery: as_made
                .partner_delivery
                .unwrap_or_else(|| carrier.is_some_and(|carrier| carrier.partner_delivery)),
            return_label: as_made
                .has_label
                .unwrap_or_else(|| refund_of::has_label(draft, shipment)),
        },
        verified_in: order
            .verified_at
            .filter(|_| !paid_after)
            .map(|verified_at| verified_at.duration_since(request.asked_at))
            .filter(SignedDuration::is_positive),
        customs_flagged: shipment.customs_flag.is_some(),
    }
}

/// A part that waits for what was allowed, or a refused one for what was left out.
pub(crate) fn part(evaluation: Evaluation) -> Part {
    let portion = evaluation.portion;
    match evaluation.allowed {
        Some(allowed) => Part {
            rule: allowed.rule,
            plan: allowed.plan,
            refund: allowed.refund.amounts,
            deductions: allowed.refund.deductions,
            label: allowed.label,
            receipt: portion.home.map(|home| home.receipt),
            gates: allowed.gates.into_iter().map(Gate::queued).collect(),
            ..Part::waiting(portion.shipment, portion.units, allowed.path)
        },
        None => {
            let first = &evaluation.denied[0];
            Part {
                rule: first.rule.clone(),
                next_actions: first.next_actions.clone(),
                ..portion.refused(first.path, first.code.reason())
            }
        }
    }
}

/// What is home has its receipt, and what is not waits for one of its own: they are portions apart,
/// what is home first.
pub(crate) fn by_receipt(order: &Order, units: &UnitSet) -> Vec<Portion> {
    let mut portions = Vec::new();
    for Portion {
        shipment: number,
        units,
        ..
    } in by_shipment(order, units)
    {
        let Some(shipment) = order.shipment(number) else {
            continue;
        };
        let mut before = UnitSet::default();
        for (received, home) in order.received(shipment) {
            let units = received.intersection(&units);
            if !units.is_empty() {
                portions.push(Portion {
                    shipment: number,
                    units: units.clone(),
                    home: Some(home),
                    before: before.clone(),
                });
                before = before.union(&units);
            }
        }
        let units = units.minus(&before);
        if !units.is_empty() {
            portions.push(Portion {
                shipment: number,
                units,
                home: None,
                before,
            });
        }
    }
    portions
}

pub(crate) fn by_shipment(order: &Order, units: &UnitSet) -> Vec<Portion> {
    let within =
        |shipment: &Shipment| Portion::out(shipment.number, shipment.units.intersection(units));
    order
        .shipments
        .iter()
        .map(within)
        .filter(|portion| !portion.units.is_empty())
        .collect()
}
