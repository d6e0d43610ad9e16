//! The order while a decision is being made, and what is common to all decisions: events, money
//! owed back, release.

use jiff::Timestamp;

use super::{Answer, Asked, Decision, Record};
use crate::actor::Actor;
use crate::cancellation::PartState;
use crate::context::{Context, StoreFacts};
use crate::event::{Cause, Event, EventDetail};
use crate::incident::{Incident, IncidentKind, IncidentState};
use crate::money::Amounts;
use crate::order::Order;
use crate::policy::Policy;
use crate::refund::{Refund, RefundKind, RefundState};
use crate::rejection::Rejection;
use crate::shipment::{Shipment, Stage};

/// A refund as it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRefund {
    pub(super) payment: u32,
    pub(super) kind: RefundKind,
    pub(super) amounts: Amounts,
    pub(super) cancellation: Option<u32>,
    pub(super) state: RefundState,
    pub(super) retry_of: Option<u32>,
}

/// What an incident is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) shipment: Option<u32>,
    pub(super) refund: Option<u32>,
    pub(super) cancellation: Option<u32>,
    pub(super) payment: Option<u32>,
}

impl About {
    pub(super) fn payment(number: u32) -> Self {
        Self {
            payment: Some(number),
            ..Self::default()
        }
    }

    pub(super) fn of(incident: &Incident) -> Self {
        let Incident {
            shipment,
            refund,
            cancellation,
            payment,
            ..
        } = *incident;
        Self {
            shipment,
            refund,
            cancellation,
            payment,
        }
    }

    pub(super) fn shipment(number: u32) -> Self {
        Self {
            shipment: Some(number),
            ..Self::default()
        }
    }

    pub(super) fn refund(number: u32) -> Self {
        Self {
            refund: Some(number),
            ..Self::default()
        }
    }

    /// A gate of this cancellation on this shipment.
    pub(super) fn gate(cancellation: u32, shipment: u32) -> Self {
        Self {
            shipment: Some(shipment),
            cancellation: Some(cancellation),
            ..Self::default()
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub(super) order: Order,
    pub(super) now: Timestamp,
    pub(super) caller: Actor,
    pub(super) store: &'a StoreFacts,
    pub(super) record: Option<Record>,
    events: Vec<Event>,
    actor: Actor,
    on_behalf_of: Option<Actor>,
    cause: Cause,
    policy_version: u32,
    rule: Option<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(order: &Order, context: &Context<'a>) -> Self {
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
            record: None,
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
    pub(super) fn policy(&self) -> (u32, &'a Policy) {
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
    pub(super) fn pinned(&self, version: u32) -> &'a Policy {
        let policy = self.store.policies.version(version);
        policy.unwrap_or_else(|| {
            panic!(
                "policy version {version} of store {} is missing",
                self.store.id
            )
        })
    }

    /// Who makes the change at hand: the caller, or Belay itself where a deadline does.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(super) fn speak_for(&mut self, principal: Actor) {
        self.on_behalf_of = Some(principal);
    }

    pub(super) fn decided_by(&mut self, policy_version: u32, rule: Option<String>) {
        self.policy_version = policy_version;
        self.rule = rule;
    }

    pub(super) fn emit(&mut self, detail: EventDetail) {
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
    pub(super) fn as_system(&mut self, deadline: Timestamp, change: impl FnOnce(&mut Self)) {
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

    /// Notes what a policy was asked and what it said. A record is of one policy version: what was
    /// asked of another before is forgotten.
    pub(super) fn note_asked(&mut self, policy_version: u32, asked: Vec<Asked>) {
        match &mut self.record {
            Some(record) if record.policy_version == policy_version => record.asked.extend(asked),
            _ => {
                self.record = Some(Record {
                    policy_version,
                    asked,
                })
            }
        }
    }

    /// Moves a shipment and says so.
    pub(super) fn move_shipment(&mut self, number: u32, to: Stage) {
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
    pub(super) fn prepare_anew(&mut self, number: u32) {
        let (now, within) = (self.now, self.policy().1.preparation_within);
        let shipment = self.shipment_mut(number);
        shipment.prepare_by =
            within.map(|within| now.saturating_add(within).unwrap_or(Timestamp::MAX));
        shipment.preparation_overdue = false;
    }

    /// Lets go of a shipment that somebody kept in.
    pub(super) fn end_hold(&mut self, number: u32) {
        if self.shipment_mut(number).hold.take().is_some() {
            self.raise_fence(number);
            self.emit(EventDetail::HoldEnded { shipment: number });
        }
    }

    pub(super) fn raise_fence(&mut self, number: u32) {
        let now = self.now;
        let shipment = self.shipment_mut(number);
        shipment.fence += 1;
        shipment.update_time = now;
    }

    pub(super) fn shipment_mut(&mut self, number: u32) -> &mut Shipment {
        let shipment = self
            .order
            .shipments
            .iter_mut()
            .find(|shipment| shipment.number == number);
        shipment.unwrap_or_else(|| panic!("shipment {number} was looked up before"))
    }

    /// Notes whether what is due is covered, by what is captured and still authorised.
    pub(super) fn follow_payments(&mut self) {
        if self.order.is_wholly_cancelled() {
            // Nothing is due, so nothing has lapsed.
            self.order.lapse_time = None;
        }
        self.lapse_if_uncovered();
        self.mark_paid_if_covered();
    }

    /// What the order was paid with is not there any more: the time to pay begins anew, and what
    /// has not left stays.
    fn lapse_if_uncovered(&mut self) {
        if self.order.paid_time.is_none()
            || self.order.is_wholly_cancelled()
            || self.order.is_paid()
        {
            return;
        }
        let now = self.now;
        let within = self
            .pinned(self.order.policy_version)
            .unpaid
            .pay_again_within;
        let order = &mut self.order;
        order.paid_time = None;
        order.lapse_time = Some(now);
        order.verified_at = None;
        order.pay_by = now.saturating_add(within).unwrap_or(Timestamp::MAX);
        order.pay_by_moved = false;
        let pay_by = order.pay_by;
        self.emit(EventDetail::PaymentLapsed { pay_by });
        let inside = self
            .order
            .shipments
            .iter()
            .filter(|shipment| shipment.stage.is_before_dispatch());
        for number in inside.map(|shipment| shipment.number).collect::<Vec<_>>() {
            let shipment = self.shipment_mut(number);
            shipment.prepare_by = None;
            shipment.preparation_overdue = false;
            // Who has seen it released must look again.
            self.raise_fence(number);
            self.move_shipment(number, Stage::Unreleased);
        }
    }

    /// Starts the clocks that run from the payment.
    fn mark_paid_if_covered(&mut self) {
        if self.order.paid_time.is_some()
            || self.order.is_wholly_cancelled()
            || !self.order.is_paid()
        {
            return;
        }
        let now = self.now;
        let (_, policy) = self.policy();
        let after = |wait| now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let order = &mut self.order;
        order.paid_time = Some(now);
        order.lapse_time = None;
        let mut paid_with = order
            .payments
            .iter()
            .filter(|payment| payment.secured() > 0);
        let verification = policy.verification.as_ref();
        let verification =
            verification.filter(|terms| paid_with.any(|paid| terms.methods.contains(&paid.method)));
        order.verified_at = verification.map(|terms| after(terms.wait));
        for shipment in order
            .shipments
            .iter_mut()
            .filter(|shipment| shipment.stage.is_before_dispatch())
        {
            shipment.prepare_by = policy.preparation_within.map(after);
        }
        self.emit(EventDetail::OrderPaid);
    }

    /// Records that a fact contradicts what was decided.
    pub(super) fn open_incident(&mut self, kind: IncidentKind, about: About) {
        self.open_incident_of(kind, about, None);
    }

    /// The same, about so much money.
    pub(super) fn open_incident_of(
        &mut self,
        kind: IncidentKind,
        about: About,
        amount: Option<i64>,
    ) {
        let number = next_number(&self.order.incidents, |incident| incident.number);
        self.order.incidents.push(Incident {
            number,
            kind,
            state: IncidentState::Open,
            shipment: about.shipment,
            refund: about.refund,
            cancellation: about.cancellation,
            payment: about.payment,
            amount,
            create_time: self.now,
            resolve_time: None,
            resolution: None,
            resolved_by: None,
            note: None,
        });
        self.emit(EventDetail::IncidentOpened {
            incident: number,
            kind,
        });
    }

    /// The same contradiction is one incident, however often it is reported, and stays settled once
    /// it was.
    pub(super) fn open_incident_once(&mut self, kind: IncidentKind, about: About) {
        let is_known = |incident: &Incident| incident.kind == kind && About::of(incident) == about;
        if !self.order.incidents.iter().any(is_known) {
            self.open_incident(kind, about);
        }
    }

    /// Each time something new comes to pass that somebody must settle: it joins an incident that
    /// is still open, and opens one where the last was settled without it.
    pub(super) fn open_incident_anew(&mut self, kind: IncidentKind, about: About) {
        if self.open_incident_about(kind, about).is_none() {
            self.open_incident(kind, about);
        }
    }

    pub(super) fn open_incident_about(&self, kind: IncidentKind, about: About) -> Option<u32> {
        let is_open = |incident: &&Incident| {
            incident.kind == kind
                && incident.state == IncidentState::Open
                && About::of(incident) == about
        };
        self.order
            .incidents
            .iter()
            .find(is_open)
            .map(|incident| incident.number)
    }

    /// Lets the warehouses begin once the order is paid and no part waits.
    pub(super) fn release_if_ready(&mut self) {
        if self.order.paid_time.is_none() || self.order.has_waiting_parts() {
            return;
        }
        let unreleased = self
            .order
            .shipments
            .iter()
            .filter(|shipment| shipment.stage == Stage::Unreleased);
        for number in unreleased
            .map(|shipment| shipment.number)
            .collect::<Vec<_>>()
        {
            self.move_shipment(number, Stage::Planned);
        }
    }

    pub(super) fn add_refund(&mut self, new: NewRefund) {
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
    }

    pub(super) fn move_refund(&mut self, number: u32, to: RefundState) {
        let now = self.now;
        let refund = self
            .order
            .refunds
            .iter_mut()
            .find(|refund| refund.number == number);
        let refund = refund.unwrap_or_else(|| panic!("refund {number} was looked up before"));
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

    pub(super) fn with_record(self, record: Option<Record>) -> Self {
        Self { record, ..self }
    }

    pub(super) fn accept(self, before: &Order, answer: Answer) -> Decision {
        self.end(before, Ok(answer))
    }

    pub(super) fn refuse(self, before: &Order, rejection: Rejection) -> Decision {
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
            record: self.record,
        }
    }
}

/// One more than the highest number so far; numbers are never used twice because children are never
/// removed.
pub(super) fn next_number<T>(children: &[T], number: impl Fn(&T) -> u32) -> u32 {
    children.last().map_or(1, |last| number(last) + 1)
}

/// Whether a cancellation is over: no part waits.
pub(super) fn is_over(parts: &[crate::cancellation::Part]) -> bool {
    parts.iter().all(|part| part.state != PartState::Waiting)
}
