//! The refund of units: what the buyer gets back, and what of the price the buyer bears.

use crate::cancellation::{Deductions, LabelState, PartRefund, Receipt};
use crate::decision::RefundFacts;
use crate::lifecycle::draft::Draft;
use crate::money::Amounts;
use crate::policy::{Policy, ShippingRefund};
use crate::shipment::Shipment;
use crate::terms::{GoodsCondition, Path, Payer, RefundPlan, RefundShare};
use crate::units::UnitSet;

/// The basis of a refund: everything that the money of a part depends on besides the terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefundBasis<'a> {
    pub(crate) shipment: &'a Shipment,
    pub(crate) units: &'a UnitSet,
    /// No unit of the shipment is left after these.
    pub(crate) takes_the_last_unit: bool,
    /// The label that the buyer bears the price of, where the buyer sends the units back.
    pub(crate) label: Option<LabelState>,
    pub(crate) label_price: i64,
    /// None while the goods are not back: they are expected now, and as the path promises them.
    pub(crate) receipt: Option<Receipt>,
}

/// The terms of a refund: what a policy's answer says of the money, and what it is looked up by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefundTerms<'a> {
    pub(crate) plan: RefundPlan,
    pub(crate) path: Path,
    pub(crate) reason: Option<&'a str>,
}

/// What comes back. The shipping charge comes back, or is kept, with the last unit of a shipment.
pub(crate) fn refund_of(
    draft: &Draft<'_>,
    policy: &Policy,
    basis: &RefundBasis<'_>,
    terms: &RefundTerms<'_>,
) -> PartRefund {
    let (order, units) = (&draft.order, basis.units);
    let percentage = |percent| order.percentage_of(units, percent);
    let facts = basis.facts(draft);
    facts.refund(policy, terms, order.amounts_of(units), percentage)
}

impl RefundBasis<'_> {
    /// What the money depends on besides the terms.
    pub(crate) fn facts(&self, draft: &Draft<'_>) -> RefundFacts {
        let (order, shipment) = (&draft.order, self.shipment);
        let has_left = !shipment.stage.is_before_dispatch();
        let back = self
            .receipt
            .map_or(draft.now, |receipt| receipt.receive_time);
        RefundFacts {
            // What left while it was paid is on the policy's terms, also after a lapse.
            is_paid: order.paid_time.is_some() || order.lapse_time.is_some() && has_left,
            has_left,
            shipping: if self.takes_the_last_unit {
                shipment.shipping_amounts()
            } else {
                Amounts::ZERO
            },
            label_price: match self.label {
                Some(LabelState::Issued) => self.label_price,
                // Without a label the buyer pays the carrier, not us.
                Some(LabelState::UnavailableInRegion) | None => 0,
            },
            condition: self.receipt.map(|receipt| receipt.condition),
            since_delivered: shipment
                .deliver_time
                .map(|delivered| back.duration_since(delivered)),
        }
    }
}

impl RefundFacts {
    /// What of these units comes back on these terms; `percentage` gives so much of a hundred of
    /// what they carry.
    ///
    /// While an order is not paid, whatever it loses is owed no more: there is nothing yet that the
    /// policy could keep.
    pub(crate) fn refund(
        &self,
        policy: &Policy,
        terms: &RefundTerms<'_>,
        carried: Amounts,
        percentage: impl FnOnce(u32) -> Amounts,
    ) -> PartRefund {
        let plan = terms.plan;
        let share = if self.is_paid {
            plan.share
        } else {
            RefundShare::Full
        };
        let of_units = match share {
            RefundShare::None => return PartRefund::default(),
            RefundShare::Full => carried,
            RefundShare::BySchedule => percentage(self.percent(policy, terms)),
        };
        let returns_shipping = match (policy.refunds.shipping, plan.outbound_shipping) {
            _ if !self.is_paid => true,
            (_, payer) if self.has_left => payer == Payer::Seller,
            (ShippingRefund::WhenShipmentWhollyCancelled, _) => true,
            (ShippingRefund::Never, _) => false,
        };
        let (shipping, kept) = if returns_shipping {
            (self.shipping, 0)
        } else {
            (Amounts::ZERO, self.shipping.total())
        };
        let mut amounts = of_units + shipping;
        let charged = amounts.take(match plan.return_shipping {
            Payer::Buyer if self.is_paid && terms.path.is_sent_back() => self.label_price,
            Payer::Buyer | Payer::Seller => 0,
        });
        PartRefund {
            amounts,
            deductions: Deductions {
                outbound_shipping: kept,
                return_shipping: charged.total(),
                by_schedule: carried.total() - of_units.total(),
            },
        }
    }

    /// By the schedule of returns: as what is home came home, and as the path promises it before.
    fn percent(&self, policy: &Policy, terms: &RefundTerms<'_>) -> u32 {
        let promised = match terms.path {
            Path::ReturnOpened => GoodsCondition::Opened,
            Path::Cancel | Path::Intercept | Path::RefuseDelivery | Path::ReturnUnopened => {
                GoodsCondition::Unopened
            }
        };
        policy.returns.percent(
            self.since_delivered,
            self.condition.unwrap_or(promised),
            terms.reason,
        )
    }
}

/// The price of a label that is issued now. One in another currency could not be charged.
pub(crate) fn label_price(draft: &Draft<'_>, shipment: &Shipment) -> i64 {
    let order = &draft.order;
    let carrier = draft.store.carriers.get(&shipment.carrier);
    let label =
        carrier.and_then(|carrier| carrier.return_labels.get(&order.destination.country_code));
    label
        .and_then(|label| label.price)
        .filter(|price| price.currency == order.currency)
        .map_or(0, |price| price.minor_units)
}

/// Whether there is a label for what the buyer sends back.
pub(crate) fn label(draft: &Draft<'_>, shipment: &Shipment) -> LabelState {
    if has_label(draft, shipment) {
        LabelState::Issued
    } else {
        LabelState::UnavailableInRegion
    }
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
