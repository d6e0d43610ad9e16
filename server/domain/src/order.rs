//! The order: the aggregate that every order command is decided from, whole.

mod line;
mod parts;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::annotations::{Annotations, Note};
use crate::cancellation::{Cancellation, GateState, LabelState, Part, PartState, Receipt};
use crate::ids::{BuyerId, OrderId, OrderKey, SellerId, StoreId};
use crate::incident::{Incident, IncidentKind, IncidentState};
use crate::money::{Amounts, Currency, Money, split_by_weight};
use crate::names::named_enum;
use crate::payment::Payment;
use crate::refund::Refund;
use crate::shipment::{Shipment, Stage, Whereabouts};
use crate::terms::{GoodsCondition, Path};
use crate::units::{UnitRange, UnitSet};

pub use self::line::{Line, percentage_of};
pub(crate) use self::parts::Cancelling;

pub const LINES_MAX: usize = 200;
pub const LINE_QUANTITY_MAX: u32 = 1_000_000;
pub const SHIPMENTS_MAX: usize = 50;
/// Contents of all shipments together: each line of each shipment counts. Events list them again
/// and again.
pub const CONTENTS_MAX: usize = 1_000;
/// Cancellations that callers may ask for. What Belay itself opens, for goods that come home or an
/// order that closes unpaid, is not counted and not stopped by it.
pub const CANCELLATIONS_MAX: usize = 100;
/// Parts that a request may come to: one for each shipment and, of what is home, for each receipt.
/// A preview shows every path of each.
pub const PARTS_MAX: usize = 100;
/// All cancellations of an order, before goods that come home are for support to pay, all of them
/// by one cancellation: receipts without an id have no limit but the units, and an order is loaded
/// whole.
pub const CANCELLATIONS_OF_BELAY_MAX: usize = 1_000;
/// Payments that nothing came of.
pub const PAYMENTS_MAX: usize = 20;
/// Payments that money moved on may be so many more: no attempt that failed keeps money from being
/// heard of.
pub const PAYMENTS_ROOM: usize = 20;
/// Facts that one payment, or one shipment, may receive.
pub const FACTS_MAX: usize = 100;
/// Facts that move a shipment may be so many more: that it is lost, comes home or was delivered is
/// never one scan too many.
pub const FACTS_ROOM: usize = 20;
/// Facts about the money of a payment may be so many more, for the same reason.
pub const MONEY_FACTS_ROOM: usize = 100;

named_enum! {
    /// The state of an order as a whole; derived, and stored on each write.
    pub enum OrderState {
        AwaitingPayment = "AWAITING_PAYMENT",
        ClosedUnpaid = "CLOSED_UNPAID",
        Cancelled = "CANCELLED",
        ToShip = "TO_SHIP",
        Processing = "PROCESSING",
        PartlyShipped = "PARTLY_SHIPPED",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
    }
}

/// A keyed hash of an e-mail address or a user name: enough to check one, not enough to read it.
pub type IdentityHash = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buyer {
    pub id: BuyerId,
    pub email_hash: Option<IdentityHash>,
    pub username_hash: Option<IdentityHash>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// ISO 3166-1 alpha-2.
    pub country_code: String,
    pub region: String,
    pub city: String,
}

/// Goods that are home and still sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    pub receipt: Receipt,
    /// The label that they came with, where nobody has paid for it yet.
    pub label: Option<LabelState>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub store: StoreId,
    pub id: OrderId,
    /// Grows by one with every accepted command.
    pub version: u64,
    pub state: OrderState,
    pub buyer: Buyer,
    pub seller: SellerId,
    pub destination: Destination,
    pub currency: Currency,
    /// The shipping charge and its tax for the whole order.
    pub shipping: i64,
    pub shipping_tax: i64,
    /// The version it was placed under.
    pub policy_version: u32,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    /// Money received before this instant is in time.
    pub pay_by: Timestamp,
    /// An attempt begun in time has moved `pay_by` already.
    pub pay_by_moved: bool,
    pub paid_time: Option<Timestamp>,
    /// Since when what it was paid with covers what is due no more; none while it is paid, and
    /// where it never was.
    pub lapse_time: Option<Timestamp>,
    /// While the payment is verified: until then the buyer cannot cancel.
    pub verified_at: Option<Timestamp>,
    /// Hash of the command that made it, so that a repeated CreateOrder is told from another one
    /// with the same id.
    pub create_fingerprint: [u8; 32],
    pub lines: Vec<Line>,
    pub payments: Vec<Payment>,
    pub shipments: Vec<Shipment>,
    pub cancellations: Vec<Cancellation>,
    pub refunds: Vec<Refund>,
    pub incidents: Vec<Incident>,
    pub annotations: Annotations,
    pub notes: Vec<Note>,
}

impl Order {
    /// How many records it is made of: what it costs to be loaded and shown.
    pub fn records(&self) -> usize {
        self.lines.len()
            + self.payments.len()
            + self.shipments.len()
            + self.cancellations.len()
            + self.refunds.len()
            + self.incidents.len()
            + self.notes.len()
    }

    pub fn key(&self) -> OrderKey {
        OrderKey::of(&self.store, &self.id)
    }

    pub fn line(&self, number: u32) -> Option<&Line> {
        self.lines.iter().find(|line| line.number == number)
    }

    pub fn shipment(&self, number: u32) -> Option<&Shipment> {
        self.shipments
            .iter()
            .find(|shipment| shipment.number == number)
    }

    pub fn payment(&self, number: u32) -> Option<&Payment> {
        self.payments
            .iter()
            .find(|payment| payment.number == number)
    }

    pub fn cancellation(&self, number: u32) -> Option<&Cancellation> {
        self.cancellations
            .iter()
            .find(|cancellation| cancellation.number == number)
    }

    pub fn note(&self, number: u32) -> Option<&Note> {
        self.notes.iter().find(|note| note.number == number)
    }

    pub fn incident(&self, number: u32) -> Option<&Incident> {
        self.incidents
            .iter()
            .find(|incident| incident.number == number)
    }

    pub fn refund(&self, number: u32) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.number == number)
    }

    /// Every unit that was ordered.
    pub fn units(&self) -> UnitSet {
        self.lines
            .iter()
            .map(|line| UnitRange {
                line: line.number,
                first: 0,
                count: line.quantity,
            })
            .collect()
    }

    fn parts(&self, state: PartState) -> impl Iterator<Item = &Part> {
        let parts = self
            .cancellations
            .iter()
            .flat_map(|cancellation| &cancellation.parts);
        parts.filter(move |part| part.state == state)
    }

    fn units_of_parts(&self, state: PartState) -> UnitSet {
        self.parts(state)
            .flat_map(|part| part.units.ranges().iter().copied())
            .collect()
    }

    pub fn cancelled_units(&self) -> UnitSet {
        self.units_of_parts(PartState::Cancelled)
    }

    /// Units that a waiting part has laid its hand on.
    pub fn claimed_units(&self) -> UnitSet {
        self.units_of_parts(PartState::Waiting)
    }

    pub fn shipped_units(&self) -> UnitSet {
        let shipped = self
            .shipments
            .iter()
            .filter(|shipment| shipment.stage.is_dispatched());
        let units: UnitSet = shipped
            .flat_map(|shipment| shipment.units.ranges().iter().copied())
            .collect();
        units.minus(&self.cancelled_units())
    }

    /// Units of a shipment that are not cancelled.
    pub fn live_units(&self, shipment: &Shipment) -> UnitSet {
        shipment.units.minus(&self.cancelled_units())
    }

    /// The units of a shipment that are home and not cancelled, by what is known of them: the parts
    /// that they came home for, or too late for, keep it.
    pub fn received(&self, shipment: &Shipment) -> Vec<(UnitSet, Home)> {
        let mut left = self
            .live_units(shipment)
            .intersection(&shipment.whereabouts.home);
        let mut received: Vec<(UnitSet, Home)> = Vec::new();
        for part in self.parts_on(shipment.number) {
            let units = part.units.intersection(&left);
            let Some(receipt) = part.receipt.filter(|_| !units.is_empty()) else {
                continue;
            };
            left = left.minus(&units);
            let home = Home {
                receipt,
                label: self.unpaid_label(part),
            };
            match received.iter_mut().find(|(_, known)| *known == home) {
                Some((known, _)) => *known = known.union(&units),
                None => received.push((units, home)),
            }
        }
        if !left.is_empty() {
            // Only where an order had no room for their cancellation is the condition not on
            // record: they count as unopened.
            let told = self
                .incidents
                .iter()
                .rev()
                .find(|incident| incident.is_of_late_shipment(shipment.number));
            let receive_time = told.map_or(shipment.update_time, |incident| incident.create_time);
            let receipt = Receipt {
                condition: GoodsCondition::Unopened,
                receive_time,
            };
            received.push((
                left,
                Home {
                    receipt,
                    label: None,
                },
            ));
        }
        received
    }

    /// The units of a shipment that are home and not cancelled, and that no part knows of: there
    /// was no room for one.
    pub fn unaccounted_units(&self, shipment: &Shipment) -> UnitSet {
        let known = self
            .parts_on(shipment.number)
            .filter(|part| part.receipt.is_some());
        let known: UnitSet = known
            .flat_map(|part| part.units.ranges().iter().copied())
            .collect();
        let home = self
            .live_units(shipment)
            .intersection(&shipment.whereabouts.home);
        home.minus(&known).minus(&self.claimed_units())
    }

    /// The label of a part that has ended, unless another part that wants the same goods paid for
    /// bears its price already.
    pub fn unpaid_label(&self, part: &Part) -> Option<LabelState> {
        let bears = |other: &Part| {
            let goes_on = matches!(other.state, PartState::Waiting | PartState::Cancelled);
            goes_on && other.label.is_some() && !other.units.intersection(&part.units).is_empty()
        };
        part.label
            .filter(|_| !self.parts_on(part.shipment).any(bears))
    }

    fn parts_on(&self, shipment: u32) -> impl Iterator<Item = &Part> {
        let parts = self
            .cancellations
            .iter()
            .flat_map(|cancellation| &cancellation.parts);
        parts.filter(move |part| part.shipment == shipment)
    }

    pub fn is_wholly_cancelled(&self) -> bool {
        self.units().minus(&self.cancelled_units()).is_empty()
    }

    /// The cancellation that took the last unit, once nothing is left.
    pub fn closing_cancellation(&self) -> Option<&Cancellation> {
        let took_units = |cancellation: &&Cancellation| {
            cancellation
                .parts
                .iter()
                .any(|part| part.state == PartState::Cancelled)
        };
        let took = self.cancellations.iter().filter(took_units);
        self.is_wholly_cancelled().then(|| {
            took.max_by_key(|cancellation| (cancellation.close_time, cancellation.number))
        })?
    }

    /// Fills in what has left and what is home where that was not kept when it came to pass: as far
    /// as stages, receipts and incidents still show it. Units that were cancelled inside before the
    /// shipment left stayed behind.
    pub fn presume_whereabouts(&mut self) {
        for at in 0..self.shipments.len() {
            let shipment = &self.shipments[at];
            if !shipment.stage.is_dispatched() || !shipment.whereabouts.left.is_empty() {
                continue;
            }
            let (mut stayed, mut home) = (UnitSet::default(), UnitSet::default());
            let left = shipment.dispatch_time.or(shipment.deliver_time);
            for of in &self.cancellations {
                for part in of
                    .parts
                    .iter()
                    .filter(|part| part.shipment == shipment.number)
                {
                    let was_inside = of
                        .close_time
                        .zip(left)
                        .is_none_or(|(closed, left)| closed <= left);
                    let is_of_stock = part.path == Path::Cancel && !part.relies_on_the_carrier();
                    match part.receipt {
                        Some(_) => home = home.union(&part.units),
                        None if part.state == PartState::Cancelled && is_of_stock && was_inside => {
                            stayed = stayed.union(&part.units);
                        }
                        None => {}
                    }
                }
            }
            let live = shipment.units.minus(&stayed.minus(&home));
            let left = if live.is_empty() {
                shipment.units.clone()
            } else {
                live
            };
            let home = left.intersection(&home);
            self.shipments[at].whereabouts = Whereabouts {
                left,
                home,
                ..Whereabouts::default()
            };
        }
    }

    /// What callers have asked for, in the sense of [`CANCELLATIONS_MAX`].
    pub fn asked_cancellations(&self) -> usize {
        let is_of_belay =
            |of: &&Cancellation| matches!(of.requester.role, Role::Carrier | Role::System);
        self.cancellations
            .iter()
            .filter(|of| !is_of_belay(of))
            .count()
    }

    /// What these units carry: goods after discount, and tax.
    pub fn amounts_of(&self, units: &UnitSet) -> Amounts {
        let of_range = |range: &UnitRange| self.line(range.line).map(|line| line.amounts(*range));
        units.ranges().iter().filter_map(of_range).sum()
    }

    /// So much of a hundred of what these units carry.
    pub fn percentage_of(&self, units: &UnitSet, percent: u32) -> Amounts {
        percentage_of(&self.lines, units, percent)
    }

    /// The shipping, and its tax, that each of these contents bears by the goods in it.
    pub(crate) fn split_shipping(
        &self,
        shipping: i64,
        shipping_tax: i64,
        contents: &[UnitSet],
    ) -> impl Iterator<Item = (i64, i64)> + use<> {
        let goods = contents.iter().map(|units| self.amounts_of(units).goods);
        let goods: Vec<i64> = goods.collect();
        let taxes = split_by_weight(shipping_tax, &goods);
        split_by_weight(shipping, &goods).into_iter().zip(taxes)
    }

    /// An amount that somebody outside gives, in minor units; the currency of the order where it is
    /// in another.
    pub fn amount_in_its_currency(&self, money: Money) -> Result<i64, Currency> {
        if money.currency == self.currency {
            Ok(money.minor_units)
        } else {
            Err(self.currency)
        }
    }

    /// What the order cost when it was placed.
    pub fn total(&self) -> Amounts {
        self.amounts_of(&self.units())
            + Amounts {
                shipping: self.shipping,
                tax: self.shipping_tax,
                ..Amounts::ZERO
            }
    }

    /// What was taken off the price by cancelling.
    pub fn credited(&self) -> Amounts {
        self.parts(PartState::Cancelled)
            .map(|part| part.refund)
            .sum()
    }

    /// What the buyer owes in all, in minor units. Nothing once the order has closed unpaid,
    /// whatever a policy kept of units that were cancelled while it was still paid.
    pub fn amount_due(&self) -> i64 {
        if self.has_closed_unpaid() {
            0
        } else {
            self.total().total() - self.credited().total()
        }
    }

    fn has_closed_unpaid(&self) -> bool {
        // Asked first, for it is cheap and seldom so.
        let has_expired = self.cancellations.iter().any(Cancellation::closes_unpaid);
        has_expired
            && self
                .closing_cancellation()
                .is_some_and(Cancellation::closes_unpaid)
    }

    pub fn is_paid(&self) -> bool {
        self.secured() >= self.amount_due()
    }

    /// Captured, and still authorised without its release being with the provider.
    pub fn secured(&self) -> i64 {
        self.payments
            .iter()
            .map(|payment| payment.balance.captured + self.holds_for(payment))
            .sum()
    }

    /// Something that this cancellation took was scanned out all the same and nobody has resolved
    /// it: no money leaves for it until then. Money that came too late or twice is for no
    /// cancellation and waits for every such shipment.
    pub fn is_contested(&self, cancellation: Option<u32>) -> bool {
        let open = self.incidents.iter().filter(|incident| {
            incident.kind == IncidentKind::CancelledYetShipped
                && incident.state == IncidentState::Open
        });
        let contested: Vec<u32> = open.filter_map(|incident| incident.shipment).collect();
        let takes_of =
            |part: &Part| part.state == PartState::Cancelled && contested.contains(&part.shipment);
        match cancellation.and_then(|number| self.cancellation(number)) {
            Some(cancellation) => cancellation.parts.iter().any(takes_of),
            None => !contested.is_empty(),
        }
    }

    /// The first that applies, in this order.
    pub fn derive_state(&self) -> OrderState {
        if let Some(closing) = self.closing_cancellation() {
            return if closing.closes_unpaid() {
                OrderState::ClosedUnpaid
            } else {
                OrderState::Cancelled
            };
        }
        if self.paid_time.is_none() {
            return OrderState::AwaitingPayment;
        }
        let cancelled = self.cancelled_units();
        let live: Vec<Stage> = self
            .shipments
            .iter()
            .filter(|shipment| !shipment.units.minus(&cancelled).is_empty())
            .map(|shipment| shipment.stage)
            .collect();
        let dispatched = live.iter().filter(|stage| stage.is_dispatched()).count();
        if dispatched > 0 && live.iter().all(|stage| *stage == Stage::Delivered) {
            OrderState::Delivered
        } else if dispatched > 0 && dispatched == live.len() {
            OrderState::Shipped
        } else if dispatched > 0 {
            OrderState::PartlyShipped
        } else if live
            .iter()
            .any(|stage| matches!(stage, Stage::Preparing | Stage::Ready))
        {
            OrderState::Processing
        } else {
            OrderState::ToShip
        }
    }

    /// The earliest deadline on the order; at that instant `settle` has something to do.
    pub fn next_due(&self) -> Option<Timestamp> {
        let pay_by = (self.state == OrderState::AwaitingPayment).then_some(self.pay_by);
        let gates = self.parts(PartState::Waiting).flat_map(|part| &part.gates);
        let gates = gates.filter(|gate| gate.state == GateState::Open);
        let gates = gates
            .flat_map(|gate| [gate.respond_by, gate.remind_at])
            .flatten();
        let shipments = self
            .shipments
            .iter()
            .flat_map(|shipment| [shipment.hold_ends(), shipment.overdue_from()]);
        let refunds = self
            .refunds
            .iter()
            .flat_map(|refund| [refund.lease_ends(), refund.overdue_from()]);
        pay_by
            .into_iter()
            .chain(self.verified_at)
            .chain(gates)
            .chain(shipments.chain(refunds).flatten())
            .min()
    }
}
