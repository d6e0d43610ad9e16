//! The flat facts a rule reads. A question and its answer are stored with every decision,
//! rejections included, so that a draft policy can be replayed over what really was asked.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::policy::AgeClock;
use crate::shipment::Stage;
use crate::terms::Path;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The requester: the buyer, even where support acts on behalf of the buyer.
    pub actor: Role,
    pub stage: Stage,
    pub path: Path,
    pub reason: Option<String>,
    pub paid: bool,
    /// Of the payments that are authorised or captured, in their order.
    pub payment_methods: Vec<String>,
    pub since_placed: SignedDuration,
    pub since_paid: Option<SignedDuration>,
    pub since_delivered: Option<SignedDuration>,
    /// What the units in question carry, in minor units.
    pub value: i64,
    pub currency: String,
    pub destination_country: String,
    pub carrier: CarrierCapabilities,
    /// Until the payment is verified, where it still is being.
    pub verified_in: Option<SignedDuration>,
    /// Customs may take the shipment for commerce.
    pub customs_flagged: bool,
}

impl Question {
    /// The same question, asked so much later while nothing but the time has changed.
    #[must_use]
    pub fn later(&self, by: SignedDuration) -> Question {
        let older = |age: SignedDuration| age.saturating_add(by);
        Question {
            since_placed: older(self.since_placed),
            since_paid: self.since_paid.map(older),
            since_delivered: self.since_delivered.map(older),
            verified_in: self
                .verified_in
                .map(|left| left.saturating_sub(by))
                .filter(SignedDuration::is_positive),
            ..self.clone()
        }
    }

    pub fn since(&self, clock: AgeClock) -> Option<SignedDuration> {
        match clock {
            AgeClock::Placed => Some(self.since_placed),
            AgeClock::Paid => self.since_paid,
            AgeClock::Delivered => self.since_delivered,
        }
    }
}

/// The capabilities of a carrier: none, unless the store says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierCapabilities {
    /// Can bring a parcel back that is on its way.
    pub in_transit_cancel: bool,
    /// Is the marketplace's partner, not the seller's own.
    pub partner_delivery: bool,
    /// Has a return label for the destination.
    pub return_label: bool,
}
