//! The draft: the order while a command is decided, with what all decisions share: who decides and
//! why, events, the decision log, and how shipments, parts and refund rows change.

use jiff::Timestamp;

use crate::actor::Actor;
use crate::cancellation::{
    Cancellation, Deductions, GateState, Part, PartId, PartRefund, PartState,
};
use crate::context::{Context, StoreConfig};
use crate::decision::{Answer, Decision, DecisionLog, LoggedEvaluation, RequestTerms};
use crate::event::{Cause, Event, EventDetail};
use crate::money::Amounts;
use crate::order::Order;
use crate::policy::Policy;
use crate::refund::{Refund, RefundKind, RefundState};
use crate::rejection::Rejection;
use crate::shipment::{Shipment, Stage};
use crate::terms::{Effect, GateKind};

/// A refund as it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRefund {
    pub(crate) payment: u32,
    pub(crate) kind: RefundKind,
    pub(crate) amounts: Amounts,
    pub(crate) cancellation: Option<u32>,
    pub(crate) state: RefundState,
    pub(crate) retry_of: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Draft<'a> {
    pub(crate) order: Order,
    pub(crate) now: Timestamp,
    pub(crate) caller: Actor,
    pub(crate) store: &'a StoreConfig,
    pub(crate) log: Option<DecisionLog>,
    /// Where in the log the evaluations begin that the next cancellation opens by.
    log_start: usize,
    events: Vec<Event>,
    actor: Actor,
    on_behalf_of: Option<Actor>,
    cause: Cause,
    policy_version: u32,
    rule: Option<String>,
}

impl<'a> Draft<'a> {
    pub(crate) fn of(order: &Order, context: &Context<'a>) -> Self {
        let policy_version = context
            .store
            .policies
            .active_at(context.now)
            .map_or(order.policy_version, |(v, _)| v);
        Self {
            order: order.clone(),
            now: context.now,
            caller: context.caller.clone(),
            store: context.store,
            log: None,
            log_start: 0,
            events: Vec::new(),
            actor: context.caller.clone(),
            on_behalf_of: None,
            cause: Cause::Request(context.request_id),
            policy_version,
            rule: None,
        }
    }

    /// The policy that decides now, or the one the order was placed under where the store's has not
    /// begun yet.
    pub(crate) fn policy(&self) -> (u32, &'a Policy) {
        let active = self.store.policies.active_at(self.now);
        active.unwrap_or_else(|| {
            (
                self.order.policy_version,
                self.pinned(self.order.policy_version),
            )
        })
    }

    /// A version that something on the order was decided by.
    ///
    /// # Panics
    /// If the version is gone: versions are immutable and never deleted, so that is a bug.
    pub(crate) fn pinned(&self, version: u32) -> &'a Policy {
        let policy = self.store.policies.version(version);
        policy.unwrap_or_else(|| {
            panic!(
                "policy version {version} of store {} is missing",
                self.store.id
            )
        })
    }

    /// The actor of the change at hand: the caller, or Belay itself where a deadline passed.
    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(crate) fn act_on_behalf_of(&mut self, principal: Actor) {
        self.on_behalf_of = Some(principal);
    }

    pub(crate) fn decided_by(&mut self, policy_version: u32, rule: Option<String>) {
        self.policy_version = policy_version;
        self.rule = rule;
    }

    pub(crate) fn emit(&mut self, detail: EventDetail) {
        let policy = self.store.policies.version(self.policy_version);
        let notification = detail.notification();
        let notify_buyer = notification
            .is_some_and(|notification| policy.is_some_and(|policy| policy.notifies(notification)));
        self.events.push(Event {
            detail,
            actor: self.actor.clone(),
            on_behalf_of: self.on_behalf_of.clone(),
            policy_version: self.policy_version,
            rule: self.rule.clone(),
            cause: self.cause,
            time: self.now,
            notify_buyer,
        });
    }

    /// Does `change` in the name of Belay and at the instant of the deadline that passed, however
    /// late anybody noticed. What the caller does next is again the caller's, now, and not by the
    /// rule of the deadline.
    pub(crate) fn as_system(&mut self, deadline: Timestamp, change: impl FnOnce(&mut Self)) {
        let now = std::mem::replace(&mut self.now, deadline.max(self.order.update_time));
        let actor = std::mem::replace(&mut self.actor, Actor::system());
        let cause = std::mem::replace(&mut self.cause, Cause::Deadline(deadline));
        let on_behalf_of = self.on_behalf_of.take();
        let (policy_version, rule) = (self.policy_version, self.rule.take());
        change(self);
        self.now = now;
        self.actor = actor;
        self.cause = cause;
        self.on_behalf_of = on_behalf_of;
        self.decided_by(policy_version, rule);
    }

    /// Logs what a policy was asked and what it answered.
    pub(crate) fn log(&mut self, evaluations: impl IntoIterator<Item = LoggedEvaluation>) {
        let log = self.log.get_or_insert_default();
        log.evaluations.extend(evaluations);
    }

    /// Logs what a request put to the policy; a command is one request at most.
    pub(crate) fn log_request(
        &mut self,
        terms: RequestTerms,
        evaluations: impl IntoIterator<Item = LoggedEvaluation>,
    ) {
        self.log_for_opening(evaluations);
        self.log.get_or_insert_default().request = Some(terms);
    }

    /// Logs what was put to the policy before a cancellation opens by it, if one does.
    pub(crate) fn log_for_opening(
        &mut self,
        evaluations: impl IntoIterator<Item = LoggedEvaluation>,
    ) {
        self.log_start = self.log.as_ref().map_or(0, |log| log.evaluations.len());
        self.log(evaluations);
    }

    /// Says in the log which cancellation opened by the evaluations that were logged for it.
    pub(crate) fn log_opened(&mut self, cancellation: u32) {
        let log = self.log.get_or_insert_default();
        for logged in &mut log.evaluations[self.log_start..] {
            logged.cancellation = Some(cancellation);
        }
    }

    /// Moves a shipment and says so.
    pub(crate) fn move_shipment(&mut self, number: u32, to: Stage) {
        let now = self.now;
        let shipment = self.shipment_mut(number);
        let from = shipment.stage;
        if from == to {
            return;
        }
        shipment.stage = to;
        shipment.update_time = now;
        let fence = shipment.fence;
        self.emit(EventDetail::ShipmentStageChanged {
            shipment: number,
            from,
            to,
            fence,
        });
    }

    /// The warehouse begins once more, and has as long as it had at first.
    pub(crate) fn prepare_anew(&mut self, number: u32) {
        let (now, within) = (self.now, self.policy().1.preparation_within);
        let shipment = self.shipment_mut(number);
        shipment.prepare_by =
            within.map(|within| now.saturating_add(within).unwrap_or(Timestamp::MAX));
        shipment.preparation_overdue = false;
    }

    /// Ends the hold of a shipment, if it has one.
    pub(crate) fn end_hold(&mut self, number: u32) {
        if self.shipment_mut(number).hold.take().is_some() {
            self.raise_fence(number);
            self.emit(EventDetail::HoldEnded { shipment: number });
        }
    }

    pub(crate) fn raise_fence(&mut self, number: u32) {
        let now = self.now;
        let shipment = self.shipment_mut(number);
        shipment.fence += 1;
        shipment.update_time = now;
    }

    /// The shipment, as the caller last saw it where it names a fence.
    pub(crate) fn shipment_at(
        &self,
        number: u32,
        fence: Option<u32>,
    ) -> Result<&Shipment, Rejection> {
        let shipment = self
            .order
            .shipment(number)
            .ok_or(Rejection::ShipmentNotFound { shipment: number })?;
        match fence {
            Some(seen) if seen != shipment.fence => Err(Rejection::FenceStale {
                present: shipment.fence,
                stage: shipment.stage,
                cancellations: self.order.cancellations_on(number),
            }),
            Some(_) | None => Ok(shipment),
        }
    }

    /// The same, of a shipment that has not left.
    pub(crate) fn shipment_inside(
        &self,
        number: u32,
        fence: Option<u32>,
    ) -> Result<&Shipment, Rejection> {
        let shipment = self.shipment_at(number, fence)?;
        let stage = shipment.stage;
        if stage.is_before_dispatch() {
            Ok(shipment)
        } else {
            Err(Rejection::StageMismatch { stage })
        }
    }

    /// The same, of a shipment that its warehouse may work on.
    pub(crate) fn released_shipment(
        &self,
        number: u32,
        fence: Option<u32>,
    ) -> Result<&Shipment, Rejection> {
        let shipment = self.shipment_inside(number, fence)?;
        if shipment.stage == Stage::Unreleased {
            Err(self.not_released())
        } else {
            Ok(shipment)
        }
    }

    /// The reason why a shipment is not released.
    fn not_released(&self) -> Rejection {
        match self.order.lapse_time {
            Some(_) => Rejection::PaymentLapsed {
                pay_by: self.order.pay_by,
            },
            None => Rejection::NotReleased,
        }
    }

    /// A cancellation that is known to be there.
    pub(crate) fn cancellation(&self, number: u32) -> &Cancellation {
        let cancellation = self.order.cancellation(number);
        cancellation.unwrap_or_else(|| panic!("cancellation {number} was looked up before"))
    }

    pub(crate) fn cancellation_mut(&mut self, number: u32) -> &mut Cancellation {
        let mut cancellations = self.order.cancellations.iter_mut();
        let cancellation = cancellations.find(|cancellation| cancellation.number == number);
        cancellation.unwrap_or_else(|| panic!("cancellation {number} was looked up before"))
    }

    pub(crate) fn part(&self, id: PartId) -> &Part {
        &self.cancellation(id.cancellation).parts[id.index]
    }

    pub(crate) fn part_mut(&mut self, id: PartId) -> &mut Part {
        &mut self.cancellation_mut(id.cancellation).parts[id.index]
    }

    /// The events that follow are by the rule that decided this part.
    pub(crate) fn decided_as(&mut self, id: PartId) {
        let of = self.cancellation(id.cancellation);
        let (policy_version, rule) = (of.policy_version, of.parts[id.index].rule.clone());
        self.decided_by(policy_version, rule);
    }

    /// Cancels the units of a part, and tells of its end.
    pub(crate) fn cancel_part(&mut self, id: PartId, refund: PartRefund, effects: Vec<Effect>) {
        self.decided_as(id);
        let part = self.part_mut(id);
        part.state = PartState::Cancelled;
        part.refund = refund.amounts;
        part.deductions = refund.deductions;
        part.effects = effects;
        self.end_part(id);
    }

    /// Takes a part out of waiting without its units, and closes what is left of its gates. Returns
    /// the kinds of those that were open; [`Self::end_part`] comes once they have been followed.
    pub(crate) fn stop_waiting(&mut self, id: PartId, state: PartState) -> Vec<GateKind> {
        self.decided_as(id);
        let now = self.now;
        let part = self.part_mut(id);
        part.state = state;
        part.refund = Amounts::ZERO;
        part.deductions = Deductions::default();
        let shipment = part.shipment;
        let mut closed = Vec::new();
        for gate in part.gates.iter_mut().filter(|gate| gate.is_pending()) {
            if gate.state == GateState::Open {
                closed.push(gate.spec.kind);
            }
            gate.state = GateState::Closed;
            gate.close_time = Some(now);
            gate.remind_at = None;
        }
        for gate in closed.iter().copied() {
            self.emit(EventDetail::GateClosed {
                cancellation: id.cancellation,
                shipment,
                gate,
                state: GateState::Closed,
            });
        }
        closed
    }

    /// Tells of the end of a part, also whoever works on its shipment.
    pub(crate) fn end_part(&mut self, id: PartId) {
        self.raise_fence(self.part(id).shipment);
        self.emit_part_ended(id);
    }

    pub(crate) fn emit_part_ended(&mut self, id: PartId) {
        let part = self.part(id);
        let detail = EventDetail::PartEnded {
            cancellation: id.cancellation,
            shipment: part.shipment,
            path: part.path,
            state: part.state,
            refused_reason: part.refused_reason,
            units: part.units.clone(),
            effects: part.effects.clone(),
        };
        self.emit(detail);
    }

    /// Nothing of a shipment is left: nothing holds it any more, and it does not leave.
    pub(crate) fn cancel_shipment(&mut self, number: u32) {
        self.end_hold(number);
        if self.shipment_mut(number).stage.is_before_dispatch() {
            self.move_shipment(number, Stage::Cancelled);
        }
    }

    pub(crate) fn shipment_mut(&mut self, number: u32) -> &mut Shipment {
        let shipment = self
            .order
            .shipments
            .iter_mut()
            .find(|shipment| shipment.number == number);
        shipment.unwrap_or_else(|| panic!("shipment {number} was looked up before"))
    }

    pub(crate) fn add_refund(&mut self, new: NewRefund) -> u32 {
        let number = next_number(&self.order.refunds, |refund| refund.number);
        let refunds = &self.pinned(self.policy_version).refunds;
        let due_by = refunds.due_by(self.now, &self.order.destination.country_code);
        let NewRefund {
            payment,
            kind,
            amounts,
            cancellation,
            state,
            retry_of,
        } = new;
        self.order.refunds.push(Refund {
            number,
            payment,
            cancellation,
            kind,
            state,
            amounts,
            due_by,
            worker: None,
            lease_until: None,
            provider_refund_id: None,
            settled_amount: None,
            failure_code: None,
            create_time: self.now,
            update_time: self.now,
            settle_time: None,
            overdue_at: due_by
                .saturating_add(refunds.overdue_after)
                .unwrap_or(Timestamp::MAX),
            overdue: false,
            retry_of,
        });
        self.emit(EventDetail::RefundCreated {
            refund: number,
            payment,
            kind,
            cancellation,
            retry_of,
            amounts,
            due_by,
        });
        number
    }

    pub(crate) fn refund_mut(&mut self, number: u32) -> &mut Refund {
        let mut refunds = self.order.refunds.iter_mut();
        let refund = refunds.find(|refund| refund.number == number);
        refund.unwrap_or_else(|| panic!("refund {number} was looked up before"))
    }

    pub(crate) fn move_refund(&mut self, number: u32, to: RefundState) {
        let now = self.now;
        let refund = self.refund_mut(number);
        let from = std::mem::replace(&mut refund.state, to);
        refund.update_time = now;
        let settled_amount = refund.settled_amount;
        self.emit(EventDetail::RefundStateChanged {
            refund: number,
            from,
            to,
            settled_amount,
        });
    }

    pub(crate) fn with_log(self, log: Option<DecisionLog>) -> Self {
        Self { log, ..self }
    }

    pub(crate) fn accept(self, before: &Order, answer: Answer) -> Decision {
        self.end(before, Ok(answer))
    }

    pub(crate) fn reject(self, before: &Order, rejection: Rejection) -> Decision {
        self.end(before, Err(rejection))
    }

    /// One step of the version for all that changed; none where nothing did.
    fn end(mut self, before: &Order, result: Result<Answer, Rejection>) -> Decision {
        if self.order != *before {
            self.order.state = self.order.derive_state();
            self.order.version = before.version + 1;
            self.order.update_time = self.now;
        }
        Decision {
            order: self.order,
            events: self.events,
            result,
            log: self.log,
        }
    }
}

/// One more than the highest number so far; numbers are never used twice because children are never
/// removed.
pub(crate) fn next_number<T>(children: &[T], number: impl Fn(&T) -> u32) -> u32 {
    children.last().map_or(1, |last| number(last) + 1)
}
