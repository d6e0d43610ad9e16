//! Incidents: facts that contradict what was decided, from the fact to its resolution.

use crate::event::EventDetail;
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::ledger;
use crate::lifecycle::draft::{Draft, next_number};
use crate::order::Order;
use crate::payment::Payment;
use crate::refund::{Refund, RefundKind, RefundState};

/// The subject of an incident: what of the order it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IncidentSubject {
    pub(crate) shipment: Option<u32>,
    pub(crate) refund: Option<u32>,
    pub(crate) cancellation: Option<u32>,
    pub(crate) payment: Option<u32>,
}

impl IncidentSubject {
    pub(crate) fn payment(number: u32) -> Self {
        Self {
            payment: Some(number),
            ..Self::default()
        }
    }

    pub(crate) fn of(incident: &Incident) -> Self {
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

    pub(crate) fn shipment(number: u32) -> Self {
        Self {
            shipment: Some(number),
            ..Self::default()
        }
    }

    pub(crate) fn refund(number: u32) -> Self {
        Self {
            refund: Some(number),
            ..Self::default()
        }
    }

    /// A gate of this cancellation on this shipment.
    pub(crate) fn gate(cancellation: u32, shipment: u32) -> Self {
        Self {
            shipment: Some(shipment),
            cancellation: Some(cancellation),
            ..Self::default()
        }
    }
}

impl Draft<'_> {
    /// Records that a fact contradicts what was decided.
    pub(crate) fn open_incident(&mut self, kind: IncidentKind, subject: IncidentSubject) {
        self.open_incident_of(kind, subject, None);
    }

    /// Opens an incident about an amount.
    pub(crate) fn open_incident_of(
        &mut self,
        kind: IncidentKind,
        subject: IncidentSubject,
        amount: Option<i64>,
    ) {
        let number = next_number(&self.order.incidents, |incident| incident.number);
        self.order.incidents.push(Incident {
            number,
            kind,
            state: IncidentState::Open,
            shipment: subject.shipment,
            refund: subject.refund,
            cancellation: subject.cancellation,
            payment: subject.payment,
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

    /// The same contradiction is one incident, however often it is reported, and stays resolved
    /// once it was.
    pub(crate) fn open_incident_once(&mut self, kind: IncidentKind, subject: IncidentSubject) {
        let is_known =
            |incident: &Incident| incident.kind == kind && IncidentSubject::of(incident) == subject;
        if !self.order.incidents.iter().any(is_known) {
            self.open_incident(kind, subject);
        }
    }

    /// Each time something new comes to pass that somebody must resolve: it joins an incident that
    /// is still open, and opens one where the last was resolved without it.
    pub(crate) fn open_incident_anew(&mut self, kind: IncidentKind, subject: IncidentSubject) {
        if self.open_incident_about(kind, subject).is_none() {
            self.open_incident(kind, subject);
        }
    }

    pub(crate) fn open_incident_about(
        &self,
        kind: IncidentKind,
        subject: IncidentSubject,
    ) -> Option<u32> {
        let is_open = |incident: &&Incident| {
            incident.kind == kind
                && incident.state == IncidentState::Open
                && IncidentSubject::of(incident) == subject
        };
        self.order
            .incidents
            .iter()
            .find(is_open)
            .map(|incident| incident.number)
    }
}

/// The goods are home: what money waited for has happened.
pub(crate) fn resolve_by_fact(draft: &mut Draft<'_>, number: u32) {
    let Some(incident) = draft.order.incident(number).cloned() else {
        return;
    };
    close(draft, number, None);
    release_refunds(draft, &incident);
}

pub(crate) fn close(
    draft: &mut Draft<'_>,
    number: u32,
    decision: Option<(Resolution, Option<String>)>,
) {
    let (now, caller) = (draft.now, draft.caller.clone());
    // What is decided about a refund that is not paid covers what is owed under it now.
    let refund = draft
        .order
        .incident(number)
        .and_then(|incident| draft.order.refund(incident.refund?));
    let is_unpaid = |refund: &&Refund| {
        matches!(refund.state, RefundState::Blocked | RefundState::Failed)
            && refund.settled_amount.is_none()
    };
    let owed = refund
        .filter(is_unpaid)
        .map(|refund| owed(&draft.order, refund))
        .filter(|_| decision.is_some());
    let Some(incident) = draft
        .order
        .incidents
        .iter_mut()
        .find(|incident| incident.number == number)
    else {
        return;
    };
    incident.state = IncidentState::Resolved;
    incident.amount = owed.or(incident.amount);
    incident.resolve_time = Some(now);
    incident.resolved_by = Some(caller);
    (incident.resolution, incident.note) = match decision {
        Some((resolution, note)) => (Some(resolution), note),
        None => (None, None),
    };
    let (kind, resolution) = (incident.kind, incident.resolution);
    draft.emit(EventDetail::IncidentResolved {
        incident: number,
        kind,
        resolution,
    });
}

/// The provider said that it had failed, and then that it had not.
pub(crate) fn was_paid_after_all(refund: &Refund) -> bool {
    refund.settled_amount.is_some()
}

/// What may still go back for this row, in minor units: what its payment brought in, less what
/// other rows stand for.
pub(crate) fn refundable(order: &Order, refund: &Refund) -> i64 {
    let Some(payment) = order.payment(refund.payment) else {
        return 0;
    };
    let brought = match refund.kind {
        RefundKind::Refund => payment.captured_net(),
        // What was captured is refunded, and what holds no more need not be released.
        RefundKind::Void => payment.balance.held,
    };
    let stands = |other: &&Refund| {
        other.number != refund.number
            && other.payment == refund.payment
            && other.kind == refund.kind
            && (other.state.counts() || other.paid() > 0)
    };
    let others: i64 = order
        .refunds
        .iter()
        .filter(stands)
        .map(ledger::paying)
        .sum();
    match refund.kind {
        RefundKind::Refund => (brought - others).clamp(0, refund.amounts.total()),
        // A release is of all that is held, however much that has become; one that is not over
        // stands for it.
        RefundKind::Void if others > 0 => 0,
        RefundKind::Void => brought,
    }
}

/// What is still owed under this row, in minor units: what may go back of its payment, as far as
/// the order owes it.
pub(crate) fn owed(order: &Order, refund: &Refund) -> i64 {
    let by_payment = refundable(order, refund);
    match refund.kind {
        RefundKind::Refund => by_payment
            .min(order.returnable() - order.going_back())
            .max(0),
        // An authorisation that the order needs by now is not to be released.
        RefundKind::Void => {
            let unneeded = order.unneeded_authorisations(order.to_collect());
            let is_unneeded = |of: &&Payment| of.number == refund.payment;
            unneeded
                .into_iter()
                .find(is_unneeded)
                .map_or(0, |_| by_payment)
        }
    }
}

/// A row that is held back is owed whole, and its payment has the money.
pub(crate) fn is_owed_whole(order: &Order, number: u32) -> bool {
    let Some(refund) = order.refund(number) else {
        return false;
    };
    has_its_money(order, number) && owed(order, refund) >= refund.amounts.total()
}

/// The refunds that only this incident keeps from being paid.
fn held_back(order: &Order, incident: &Incident) -> Vec<u32> {
    let is_open =
        |other: &&Incident| other.state == IncidentState::Open && other.number != incident.number;
    let is_mismatched = |refund: &Refund| {
        let mut open = order.incidents.iter().filter(is_open);
        open.any(|other| {
            other.kind == IncidentKind::RefundMismatch && other.refund == Some(refund.number)
        })
    };
    let takes_of_shipment = |refund: &Refund| {
        let of = refund
            .cancellation
            .and_then(|number| order.cancellation(number));
        of.is_none_or(|of| {
            of.parts
                .iter()
                .any(|part| Some(part.shipment) == incident.shipment)
        })
    };
    let is_held = |refund: &&Refund| {
        refund.state == RefundState::Blocked
            && match incident.refund {
                Some(number) => refund.number == number,
                None => takes_of_shipment(refund),
            }
            && !is_mismatched(refund)
            && !order.is_contested(refund.cancellation)
    };
    order
        .refunds
        .iter()
        .filter(is_held)
        .map(|refund| refund.number)
        .collect()
}

pub(crate) fn release_refunds(draft: &mut Draft<'_>, incident: &Incident) {
    for refund in held_back(&draft.order, incident) {
        if has_its_money(&draft.order, refund) {
            draft.move_refund(refund, RefundState::Due)
        } else {
            // It went back outside meanwhile.
            draft.open_incident(
                IncidentKind::RefundMismatch,
                IncidentSubject::refund(refund),
            )
        }
    }
}

/// Its payment still has as much, after all that went back and all that may be on its way.
fn has_its_money(order: &Order, number: u32) -> bool {
    let Some(refund) = order.refund(number) else {
        return false;
    };
    let Some(payment) = order.payment(refund.payment) else {
        return false;
    };
    let goes_first = |other: &&Refund| {
        other.number != number
            && other.payment == refund.payment
            && other.kind == RefundKind::Refund
            && ledger::is_going(other)
    };
    let gone: i64 = order
        .refunds
        .iter()
        .filter(goes_first)
        .map(ledger::paying)
        .sum();
    refund.kind == RefundKind::Void || payment.captured_net() - gone >= refund.amounts.total()
}
