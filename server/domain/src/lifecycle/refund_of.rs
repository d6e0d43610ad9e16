//! What the buyer gets back for units, and what of their price the buyer bears.

use crate::cancellation::{Deductions, LabelState, PartRefund, Receipt};
use crate::lifecycle::draft::Draft;
use crate::money::Amounts;
use crate::policy::{Policy, ShippingRefund};
use crate::shipment::Shipment;
use crate::terms::{GoodsCondition, Path, Payer, RefundPlan, RefundShare};
use crate::units::UnitSet;

/// The basis of a refund: everything that the money of a part depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefundBasis<'a> {
    pub(crate) shipment: &'a Shipment,
    pub(crate) units: &'a UnitSet,
    /// Units of the shipment that the same request takes before these.
    pub(crate) before: &'a UnitSet,
    pub(crate) path: Path,
    pub(crate) reason: Option<&'a str>,
    pub(crate) plan: RefundPlan,
    /// The label that the buyer bears the price of.
    pub(crate) label: Option<LabelState>,
    /// None while the goods are not back: they are expected now, and as the path promises them.
    pub(crate) receipt: Option<Receipt>,
}

/// What comes back. The shipping charge comes back, or is kept, with the last unit of a shipment.
///
/// While an order is not paid, whatever it loses is owed no more: there is nothing yet that the
/// policy could keep. What left while it was paid is on the policy's terms, also after a lapse.
pub(crate) fn refund_of(draft: &Draft<'_>, policy: &Policy, basis: &RefundBasis<'_>) -> PartRefund {
    let order = &draft.order;
    let was_paid = order.paid_time.is_some()
        || order.lapse_time.is_some() && !basis.shipment.stage.is_before_dispatch();
    let is_unpaid = !was_paid;
    let share = if is_unpaid {
        RefundShare::Full
    } else {
        basis.plan.share
    };
    let carried = order.amounts_of(basis.units);
    let of_units = match share {
        RefundShare::None => return PartRefund::default(),
        RefundShare::Full => carried,
        RefundShare::BySchedule => {
            order.percentage_of(basis.units, by_schedule(draft, policy, basis))
        }
    };
    let has_left = !basis.shipment.stage.is_before_dispatch();
    let returns_shipping = match (policy.refunds.shipping, basis.plan.outbound_shipping) {
        _ if is_unpaid => true,
        (_, payer) if has_left => payer == Payer::Seller,
        (ShippingRefund::WhenShipmentWhollyCancelled, _) => true,
        (ShippingRefund::Never, _) => false,
    };
    let takes_the_last_unit = order
        .live_units(basis.shipment)
        .minus(basis.before)
        .minus(basis.units)
        .is_empty();
    let shipping = if takes_the_last_unit {
        basis.shipment.shipping_amounts()
    } else {
        Amounts::ZERO
    };
    let mut amounts = of_units
        + if returns_shipping {
            shipping
        } else {
            Amounts::ZERO
        };
    let charged = amounts.take(if is_unpaid {
        0
    } else {
        return_charge(draft, basis)
    });
    let deductions = Deductions {
        outbound_shipping: if returns_shipping {
            0
        } else {
            shipping.total()
        },
        return_shipping: charged.total(),
        by_schedule: carried.total() - of_units.total(),
    };
    PartRefund {
        amounts,
        deductions,
    }
}

fn by_schedule(draft: &Draft<'_>, policy: &Policy, basis: &RefundBasis<'_>) -> u32 {
    let promised = match basis.path {
        Path::ReturnOpened => GoodsCondition::Opened,
        Path::Cancel | Path::Intercept | Path::RefuseDelivery | Path::ReturnUnopened => {
            GoodsCondition::Unopened
        }
    };
    let (condition, back) = basis.receipt.map_or((promised, draft.now), |receipt| {
        (receipt.condition, receipt.receive_time)
    });
    let since_delivered = basis
        .shipment
        .deliver_time
        .map(|delivered| back.duration_since(delivered));
    policy
        .returns
        .percent(since_delivered, condition, basis.reason)
}

/// The price of the label where the buyer bears the way back. Without a label the buyer pays the
/// carrier, not us.
fn return_charge(draft: &Draft<'_>, basis: &RefundBasis<'_>) -> i64 {
    match (basis.plan.return_shipping, basis.label) {
        (Payer::Buyer, Some(LabelState::Issued)) => label_price(draft, basis.shipment),
        (Payer::Buyer, Some(LabelState::UnavailableInRegion) | None) | (Payer::Seller, _) => 0,
    }
}

fn label_price(draft: &Draft<'_>, shipment: &Shipment) -> i64 {
    let carrier = draft.store.carriers.get(&shipment.carrier);
    let label = carrier.and_then(|carrier| {
        carrier
            .return_labels
            .get(&draft.order.destination.country_code)
    });
    label
        .and_then(|label| label.price)
        .map_or(0, |price| price.minor_units)
}

/// Whether there is a label for what the buyer sends back; none for paths on which the buyer sends
/// nothing.
pub(crate) fn label(draft: &Draft<'_>, shipment: &Shipment, path: Path) -> Option<LabelState> {
    match path {
        Path::ReturnUnopened | Path::ReturnOpened => {}
        Path::Cancel | Path::Intercept | Path::RefuseDelivery => return None,
    }
    Some(if has_label(draft, shipment) {
        LabelState::Issued
    } else {
        LabelState::UnavailableInRegion
    })
}

/// A label whose price is in another currency could not be charged, so there is none.
pub(crate) fn has_label(draft: &Draft<'_>, shipment: &Shipment) -> bool {
    let order = &draft.order;
    let carrier = draft.store.carriers.get(&shipment.carrier);
    let label =
        carrier.and_then(|carrier| carrier.return_labels.get(&order.destination.country_code));
    label.is_some_and(|label| {
        label
            .price
            .is_none_or(|price| price.currency == order.currency)
    })
}
