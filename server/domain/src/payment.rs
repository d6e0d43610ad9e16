//! Payments: what the provider reported, added up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::ExternalId;
use crate::names::named_enum;

named_enum! {
    pub enum PaymentState {
        Attempting = "ATTEMPTING",
        Authorized = "AUTHORIZED",
        Captured = "CAPTURED",
        Declined = "DECLINED",
        Voided = "VOIDED",
    }
}

named_enum! {
    /// What a payment provider reports. Facts are recorded, never refused.
    pub enum PaymentFact {
        Attempted = "ATTEMPTED",
        Authorized = "AUTHORIZED",
        Captured = "CAPTURED",
        Declined = "DECLINED",
        Voided = "VOIDED",
        /// Money that went back without Belay.
        RefundedOutside = "REFUNDED_OUTSIDE",
        Chargeback = "CHARGEBACK",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub number: u32,
    /// The provider's id of this payment.
    pub provider_payment_id: ExternalId,
    /// An open string such as CREDIT_CARD; policies name methods.
    pub method: String,
    pub state: PaymentState,
    pub authorized: i64,
    pub captured: i64,
    /// Went back outside Belay: refunded by hand or charged back. Lowers what is refundable.
    pub returned_outside: i64,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    /// When money was first captured; refunds fill payments in this order.
    pub capture_time: Option<Timestamp>,
    /// The provider's event ids that were counted, so that none counts twice.
    pub provider_event_ids: Vec<ExternalId>,
}

impl Payment {
    /// What this payment brings towards the amount due.
    pub fn secured(&self) -> i64 {
        match self.state {
            PaymentState::Authorized => self.authorized.max(self.captured),
            PaymentState::Captured => self.captured,
            PaymentState::Attempting | PaymentState::Declined | PaymentState::Voided => 0,
        }
    }

    /// An authorisation that still holds and of which nothing was captured.
    pub fn is_uncaptured_authorization(&self) -> bool {
        self.state == PaymentState::Authorized && self.captured == 0 && self.authorized > 0
    }
}
