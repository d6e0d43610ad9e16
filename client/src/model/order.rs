//! Orders and their lines.

use std::collections::BTreeMap;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Cancellation, ExternalReference, Incident, Money, Note, Payment, Refund, Shipment};
use crate::error_reason::ErrorReason;
use crate::ids::{BuyerId, Etag, LineId, OrderId, SellerId, StoreId};
use crate::wire::{
    FromWire, Malformed, Open, Unseen, open_enum, read, read_all, read_if_seen, text_if_set, time,
    time_if_set,
};

/// An order with everything that belongs to it, read at one moment.
///
/// A warehouse and a carrier see what their parcels need: their own shipments with their lines and
/// cancellations, and no money ([`Money::is_seen`]), payments, refunds or buyer.
///
/// Limits: 200 lines, 50 shipments, 20 payments, 100 cancellations, 100 notes.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Order {
    /// The storefront's order number.
    pub order_id: OrderId,
    /// The store that owns it.
    pub store_id: StoreId,
    /// Changes with every accepted write to the order or to anything that belongs to it.
    pub etag: Etag,
    /// Its state. It follows from payments, shipments and cancellations.
    pub state: OrderState,
    /// The name of the state for people: the label of the store's policy, such as "Paid, to be
    /// shipped".
    pub display_state: String,
    /// Whether the buyer may cancel all that is left directly, without anybody's consent. It holds
    /// at the moment of the read; [`preview_cancellation`](crate::Store::preview_cancellation)
    /// tells more.
    pub cancellable_now: bool,
    /// The reason why it may not be cancelled. `None` if it may be cancelled directly, and if only
    /// a consent is missing.
    pub cancellable_explanation: Option<ErrorReason>,
    /// The buyer. Empty for a warehouse and a carrier.
    pub buyer_id: BuyerId,
    /// The seller, who ships.
    pub seller_id: SellerId,
    /// The destination of the goods.
    pub destination: Destination,
    /// The lines, in the caller's order.
    pub lines: Vec<Line>,
    /// The charge for shipping the whole order.
    pub shipping: ShippingCharge,
    /// The order's sums.
    pub totals: OrderTotals,
    /// The payments, in the order in which Belay first heard of them.
    pub payments: Vec<Payment>,
    /// The shipments, by number. Every unit is in exactly one.
    pub shipments: Vec<Shipment>,
    /// The cancellations, by number.
    pub cancellations: Vec<Cancellation>,
    /// The refunds, by number.
    pub refunds: Vec<Refund>,
    /// The incidents, by number.
    pub incidents: Vec<Incident>,
    /// The policy version that was active when the order was created.
    pub policy_version: i32,
    /// When the order was created in Belay.
    pub create_time: Timestamp,
    /// When anything of the order last changed.
    pub update_time: Timestamp,
    /// The deadline of the payment: at this instant an unpaid order closes by itself. `None` if
    /// unpaid orders stay open.
    pub pay_by: Option<Timestamp>,
    /// When the order became paid.
    pub paid_time: Option<Timestamp>,
    /// The end of the payment's verification: before it the buyer cannot cancel. `None` without a
    /// verification, and once it is over.
    pub verifying_until: Option<Timestamp>,
    /// When the order's payment lapsed. Until `pay_by` it can be paid again; no shipment of it may
    /// leave meanwhile. `None` while it is paid, and if it never was.
    pub payment_lapse_time: Option<Timestamp>,
    /// What integrators keep with the order, by key. Empty for a warehouse and a carrier, as are
    /// external references and notes.
    pub metadata: BTreeMap<String, String>,
    /// What other systems know the order by, by system.
    pub external_references: Vec<ExternalReference>,
    /// The notes, by number. A storefront and who moves the money see the public ones.
    pub notes: Vec<Note>,
}

open_enum! {
    /// The state of an order: the first that applies, in this sequence.
    OrderState {
        /// Not yet paid in full.
        AwaitingPayment,
        /// Was not paid in time and has closed by itself. Final.
        ClosedUnpaid,
        /// Every unit is cancelled. Final.
        Cancelled,
        /// Paid, to be shipped; no warehouse has begun.
        ToShip,
        /// At least one shipment is being prepared or is ready; none has left.
        Processing,
        /// Some shipments have left, others have not.
        PartlyShipped,
        /// Every shipment that was not cancelled has left.
        Shipped,
        /// Every shipment that was not cancelled has been delivered.
        Delivered,
    }
}

/// The destination of an order: the part of the address that rules use.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Destination {
    /// ISO 3166-1 alpha-2, two capital letters, such as `DE`.
    pub country_code: String,
    /// State, province or the like, as the storefront writes it; at most 128 characters.
    pub region: Option<String>,
    /// At most 128 characters.
    pub city: Option<String>,
}

impl Destination {
    /// A country, by its two capital letters.
    pub fn new(country_code: impl Into<String>) -> Self {
        Self {
            country_code: country_code.into(),
            region: None,
            city: None,
        }
    }

    /// State, province or the like; at most 128 characters.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// At most 128 characters.
    #[must_use]
    pub fn city(mut self, city: impl Into<String>) -> Self {
        self.city = Some(city.into());
        self
    }

    pub(crate) fn into_wire(self) -> pb::Destination {
        pb::Destination {
            country_code: self.country_code,
            region: self.region.unwrap_or_default(),
            city: self.city.unwrap_or_default(),
        }
    }
}

/// A line of an order: a number of equal units of one SKU.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Line {
    /// `<order_id>:l1` and so on, in the caller's order.
    pub line_id: LineId,
    /// The seller's stock-keeping unit.
    pub sku: String,
    /// The title that the buyer saw.
    pub title: Option<String>,
    /// How many units were ordered: 1 to 1,000,000. 0 for a warehouse and a carrier, to whom the
    /// contents of their shipments tell what is theirs; so are the other quantities.
    pub quantity: i32,
    /// The price of all units of the line before discount, without the tax below.
    pub goods: Money,
    /// The discount on the goods, a positive amount.
    pub discount: Money,
    /// The tax on all units of the line, on top of goods less discount.
    pub tax: Money,
    /// Units that are cancelled for good.
    pub cancelled_quantity: i32,
    /// Units that waiting cancellations have claimed. They are not cancelled yet, and no other
    /// cancellation can claim them.
    pub pending_quantity: i32,
    /// Units whose shipment has left the warehouse, wherever it is now.
    pub shipped_quantity: i32,
}

/// The charge for shipping the whole order.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ShippingCharge {
    /// The charge without tax.
    pub amount: Money,
    /// The tax on it.
    pub tax: Money,
}

/// The sums of an order, all in its currency.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OrderTotals {
    /// The goods of all lines before discount.
    pub goods: Money,
    /// The discounts of all lines, a positive amount.
    pub discount: Money,
    /// The tax of all lines and of shipping.
    pub tax: Money,
    /// The shipping charge without tax.
    pub shipping: Money,
    /// `goods - discount + tax + shipping`, as ordered. Does not shrink with cancellations.
    pub total: Money,
    /// The amount that is due: the total less the cancelled units.
    pub due: Money,
    /// The captured amount, before refunds.
    pub captured: Money,
    /// The refunded amount.
    pub refunded: Money,
}

/// The orders that were found: a page of them.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FoundOrders {
    /// The orders, newest first.
    pub orders: Vec<Order>,
    /// The token of the next page, for `page_token` with the same search. `None`: this is the last
    /// page.
    pub next_page_token: Option<String>,
    /// Whether more ids begin so than were looked at: a longer beginning finds them.
    pub ids_left_out: bool,
}

impl FromWire for FoundOrders {
    type Message = pb::FindOrdersResponse;

    fn from_wire(message: pb::FindOrdersResponse) -> Result<Self, Malformed> {
        Ok(Self {
            orders: read_all(message.orders)?,
            next_page_token: text_if_set(message.next_page_token),
            ids_left_out: message.ids_left_out,
        })
    }
}

impl FromWire for Order {
    type Message = pb::Order;

    fn from_wire(message: pb::Order) -> Result<Self, Malformed> {
        Ok(Self {
            order_id: OrderId::unchecked(message.order_id),
            store_id: StoreId::unchecked(message.store_id),
            etag: Etag::from(message.etag),
            state: OrderState::from_wire(message.state),
            display_state: message.display_state,
            cancellable_now: message.cancellable_now,
            cancellable_explanation: ErrorReason::from_name(message.cancellable_explanation),
            buyer_id: BuyerId::unchecked(message.buyer.unwrap_or_default().id),
            seller_id: SellerId::unchecked(message.seller_id),
            destination: read(message.destination, "order.destination")?,
            lines: read_all(message.lines)?,
            shipping: read_if_seen(message.shipping)?,
            totals: read_if_seen(message.totals)?,
            payments: read_all(message.payments)?,
            shipments: read_all(message.shipments)?,
            cancellations: read_all(message.cancellations)?,
            refunds: read_all(message.refunds)?,
            incidents: read_all(message.incidents)?,
            policy_version: message.policy_version,
            create_time: time(message.create_time, "order.create_time")?,
            update_time: time(message.update_time, "order.update_time")?,
            pay_by: time_if_set(message.pay_by, "order.pay_by")?,
            paid_time: time_if_set(message.paid_time, "order.paid_time")?,
            verifying_until: time_if_set(message.verifying_until, "order.verifying_until")?,
            payment_lapse_time: time_if_set(
                message.payment_lapse_time,
                "order.payment_lapse_time",
            )?,
            metadata: message.metadata,
            external_references: read_all(message.external_references)?,
            notes: read_all(message.notes)?,
        })
    }
}

impl FromWire for Destination {
    type Message = pb::Destination;

    fn from_wire(message: pb::Destination) -> Result<Self, Malformed> {
        Ok(Self {
            country_code: message.country_code,
            region: text_if_set(message.region),
            city: text_if_set(message.city),
        })
    }
}

impl FromWire for Line {
    type Message = pb::Line;

    fn from_wire(message: pb::Line) -> Result<Self, Malformed> {
        Ok(Self {
            line_id: LineId::unchecked(message.line_id),
            sku: message.sku,
            title: text_if_set(message.title),
            quantity: message.quantity,
            goods: read_if_seen(message.goods)?,
            discount: read_if_seen(message.discount)?,
            tax: read_if_seen(message.tax)?,
            cancelled_quantity: message.cancelled_quantity,
            pending_quantity: message.pending_quantity,
            shipped_quantity: message.shipped_quantity,
        })
    }
}

impl Unseen for ShippingCharge {
    fn unseen() -> Self {
        Self {
            amount: Money::unseen(),
            tax: Money::unseen(),
        }
    }
}

impl Unseen for OrderTotals {
    fn unseen() -> Self {
        Self {
            goods: Money::unseen(),
            discount: Money::unseen(),
            tax: Money::unseen(),
            shipping: Money::unseen(),
            total: Money::unseen(),
            due: Money::unseen(),
            captured: Money::unseen(),
            refunded: Money::unseen(),
        }
    }
}

impl FromWire for ShippingCharge {
    type Message = pb::ShippingCharge;

    fn from_wire(message: pb::ShippingCharge) -> Result<Self, Malformed> {
        Ok(Self {
            amount: read(message.amount, "shipping.amount")?,
            tax: read(message.tax, "shipping.tax")?,
        })
    }
}

impl FromWire for OrderTotals {
    type Message = pb::OrderTotals;

    fn from_wire(message: pb::OrderTotals) -> Result<Self, Malformed> {
        Ok(Self {
            goods: read(message.goods, "totals.goods")?,
            discount: read(message.discount, "totals.discount")?,
            tax: read(message.tax, "totals.tax")?,
            shipping: read(message.shipping, "totals.shipping")?,
            total: read(message.total, "totals.total")?,
            due: read(message.due, "totals.due")?,
            captured: read(message.captured, "totals.captured")?,
            refunded: read(message.refunded, "totals.refunded")?,
        })
    }
}
