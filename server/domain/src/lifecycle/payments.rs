//! An order is paid, its payment lapses, its warehouses may begin.

use jiff::Timestamp;

use crate::event::EventDetail;
use crate::lifecycle::draft::Draft;
use crate::shipment::Stage;

impl Draft<'_> {
    /// Notes whether what is due is covered, by what is captured and still authorised.
    pub(crate) fn follow_payments(&mut self) {
        if self.order.is_wholly_cancelled() {
            // Nothing is due, so nothing has lapsed.
            self.order.lapse_time = None;
        }
        self.lapse_if_uncovered();
        self.mark_paid_if_covered();
    }

    /// Marks the order as no longer paid where its payments do not cover what is due: the time to
    /// pay begins anew, and shipments that have not left stay.
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

    pub(crate) fn follow_payments_and_release(&mut self) {
        self.follow_payments();
        self.release_if_ready();
    }

    /// Lets the warehouses begin once the order is paid and no part waits.
    pub(crate) fn release_if_ready(&mut self) {
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
}
