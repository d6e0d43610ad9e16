//! The terms of a cancellation: words that policies and the records of orders share.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::error_reason::ErrorReason;
use crate::names::named_enum;
use crate::period::Period;

named_enum! {
    /// A path: the way in which a unit is kept from the buyer, or comes back.
    pub enum Path {
        Cancel = "CANCEL",
        Intercept = "INTERCEPT",
        RefuseDelivery = "REFUSE_DELIVERY",
        ReturnUnopened = "RETURN_UNOPENED",
        ReturnOpened = "RETURN_OPENED",
    }
}

impl Path {
    /// Whether the buyer sends the units back.
    pub fn is_sent_back(self) -> bool {
        match self {
            Path::ReturnUnopened | Path::ReturnOpened => true,
            Path::Cancel | Path::Intercept | Path::RefuseDelivery => false,
        }
    }
}

/// The treatment of units that cannot be cancelled, as the requester chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IneligibleUnits {
    /// Nothing is cancelled and nothing recorded.
    Refuse,
    /// The others are cancelled; these are on record as refused.
    LeaveOut,
}

impl IneligibleUnits {
    /// Whether a request is accepted of whose portions these are allowed.
    pub fn accepts(self, mut are_allowed: impl Iterator<Item = bool>) -> bool {
        match self {
            IneligibleUnits::Refuse => are_allowed.all(|is_allowed| is_allowed),
            IneligibleUnits::LeaveOut => are_allowed.any(|is_allowed| is_allowed),
        }
    }
}

named_enum! {
    /// The party at fault for a cancellation.
    pub enum Fault {
        Buyer = "BUYER",
        Seller = "SELLER",
        Carrier = "CARRIER",
        Platform = "PLATFORM",
        None = "NONE",
    }
}

named_enum! {
    pub enum GateKind {
        SellerConsent = "SELLER_CONSENT",
        SupportReview = "SUPPORT_REVIEW",
        WarehouseStop = "WAREHOUSE_STOP",
        CarrierIntercept = "CARRIER_INTERCEPT",
        ParcelReceipt = "PARCEL_RECEIPT",
        LossConfirmation = "LOSS_CONFIRMATION",
    }
}

impl GateKind {
    /// The party whose answer the gate awaits.
    pub fn party(self) -> Role {
        match self {
            GateKind::SellerConsent => Role::Seller,
            GateKind::SupportReview => Role::Support,
            GateKind::WarehouseStop | GateKind::ParcelReceipt => Role::Warehouse,
            GateKind::CarrierIntercept | GateKind::LossConfirmation => Role::Carrier,
        }
    }

    /// Whether it is a consent, which is a decision of its party. A fact has or has not happened,
    /// and silence does not make it happen.
    pub fn is_consent(self) -> bool {
        match self {
            GateKind::SellerConsent | GateKind::SupportReview => true,
            GateKind::WarehouseStop
            | GateKind::CarrierIntercept
            | GateKind::ParcelReceipt
            | GateKind::LossConfirmation => false,
        }
    }
}

/// A gate as the policy describes it. It is copied onto the part when it opens: a later version
/// does not reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSpec {
    pub kind: GateKind,
    /// How long its party has; `None` waits for ever (facts only).
    pub respond_within: Option<Period>,
    /// How long before the deadline its party is reminded.
    pub remind_before: Option<SignedDuration>,
    pub on_timeout: OnTimeout,
    /// How long support has where silence or a loss escalates to it; as long as the party where
    /// `None`.
    pub escalate_within: Option<Period>,
    pub on_dispatch: OnDispatch,
    pub on_lost: OnLost,
}

named_enum! {
    pub enum OnTimeout {
        Pass = "PASS",
        Refuse = "REFUSE",
        Escalate = "ESCALATE",
    }
}

named_enum! {
    pub enum OnDispatch {
        /// The warehouse may not let the shipment go.
        Bar = "BAR",
        /// The shipment goes, the part ends NO_AGREEMENT.
        RefusePart = "REFUSE_PART",
    }
}

named_enum! {
    pub enum OnLost {
        Pass = "PASS",
        Escalate = "ESCALATE",
    }
}

named_enum! {
    /// An effect of a cancellation on stock.
    pub enum Effect {
        /// The SKU's quantity in that warehouse becomes zero.
        ZeroStock = "ZERO_STOCK",
        /// The units return to saleable stock.
        Restock = "RESTOCK",
    }
}

/// The refund plan of a part: what the buyer gets back for its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPlan {
    pub share: RefundShare,
    /// Who bears the way out of a parcel that has left. While it has not, `Refunds::shipping`
    /// decides.
    pub outbound_shipping: Payer,
    /// Who bears the way back.
    pub return_shipping: Payer,
}

impl RefundPlan {
    pub const FULL: RefundPlan = RefundPlan::of(RefundShare::Full);
    pub const NONE: RefundPlan = RefundPlan::of(RefundShare::None);

    /// The usual terms: what was paid for the way out is spent, and nobody is charged for the way
    /// back.
    pub const fn of(share: RefundShare) -> Self {
        Self {
            share,
            outbound_shipping: Payer::Buyer,
            return_shipping: Payer::Seller,
        }
    }
}

named_enum! {
    /// The share of what the units carry that comes back.
    pub enum RefundShare {
        /// All of it.
        Full = "FULL",
        /// Nothing.
        None = "NONE",
        /// As `Returns::rates` say, by the time, the condition and the reason of the return.
        BySchedule = "BY_SCHEDULE",
    }
}

named_enum! {
    pub enum Payer {
        Buyer = "BUYER",
        Seller = "SELLER",
    }
}

named_enum! {
    /// The condition in which goods came back.
    pub enum GoodsCondition {
        /// As they were sent; they can be sold again.
        Unopened = "UNOPENED",
        Opened = "OPENED",
        Damaged = "DAMAGED",
    }
}

impl GoodsCondition {
    pub fn is_resaleable(self) -> bool {
        match self {
            GoodsCondition::Unopened => true,
            GoodsCondition::Opened | GoodsCondition::Damaged => false,
        }
    }
}

named_enum! {
    /// The reason of a denial. Closed: each is a documented `ErrorReason`.
    pub enum DenyCode {
        NotAllowed = "NOT_ALLOWED",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
        AlreadyEnded = "ALREADY_ENDED",
        PaymentVerifying = "PAYMENT_VERIFYING",
        UnpaidClosesItself = "UNPAID_CLOSES_ITSELF",
        RefundNotOffered = "REFUND_NOT_OFFERED",
        NotInterceptable = "NOT_INTERCEPTABLE",
        LabelUnavailableInRegion = "LABEL_UNAVAILABLE_IN_REGION",
    }
}

impl DenyCode {
    pub fn reason(self) -> ErrorReason {
        match self {
            DenyCode::NotAllowed => ErrorReason::NotAllowed,
            DenyCode::Shipped => ErrorReason::Shipped,
            DenyCode::Delivered => ErrorReason::Delivered,
            DenyCode::AlreadyEnded => ErrorReason::AlreadyEnded,
            DenyCode::PaymentVerifying => ErrorReason::PaymentVerifying,
            DenyCode::UnpaidClosesItself => ErrorReason::UnpaidClosesItself,
            DenyCode::RefundNotOffered => ErrorReason::RefundNotOffered,
            DenyCode::NotInterceptable => ErrorReason::NotInterceptable,
            DenyCode::LabelUnavailableInRegion => ErrorReason::LabelUnavailableInRegion,
        }
    }
}

named_enum! {
    pub enum NextAction {
        Cancel = "CANCEL",
        Intercept = "INTERCEPT",
        RefuseDelivery = "REFUSE_DELIVERY",
        ReturnUnopened = "RETURN_UNOPENED",
        ReturnOpened = "RETURN_OPENED",
        ContactSupport = "CONTACT_SUPPORT",
        ContactSeller = "CONTACT_SELLER",
        Wait = "WAIT",
        Pay = "PAY",
        SplitShipment = "SPLIT_SHIPMENT",
        SetStock = "SET_STOCK",
        ArchiveSku = "ARCHIVE_SKU",
        ChangeDeliveryArea = "CHANGE_DELIVERY_AREA",
    }
}
