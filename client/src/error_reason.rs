//! The reasons of errors, which programs branch on.

use std::fmt;

use belay_proto::v1 as pb;

macro_rules! error_reasons {
    ($($(#[$doc:meta])* $variant:ident,)+) => {
        /// The reason why a call was refused or failed, in order of precedence: if several apply,
        /// the call fails with the first.
        ///
        /// Branch on this and on [`Kind`](crate::Kind), never on the text of a message. The
        /// metadata named here is in [`Error::metadata`](crate::Error::metadata), all of it text:
        /// integers in decimal, times in RFC 3339, lists comma-separated.
        #[non_exhaustive]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ErrorReason {
            $($(#[$doc])* $variant,)+
            /// A reason that this version of the client does not know, by its name.
            Unrecognized(String),
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for ErrorReason {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl ErrorReason {
            /// The name on the wire, such as `SHIPPED`.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => short(pb::ErrorReason::$variant),)+
                    Self::Unrecognized(name) => name,
                }
            }

            /// Reads a name. An empty one is `None`.
            pub(crate) fn from_name(name: String) -> Option<Self> {
                if name.is_empty() {
                    return None;
                }
                Some(match pb::ErrorReason::from_str_name(&format!("{PREFIX}{name}")) {
                    $(Some(pb::ErrorReason::$variant) => Self::$variant,)+
                    Some(pb::ErrorReason::Unspecified) | None => Self::Unrecognized(name),
                })
            }
        }
    };
}

error_reasons! {
    /// The metadata of the call is larger than the server takes. Metadata: `limit_bytes`.
    MetadataTooLarge,
    /// The server has no such method: it is older than the client.
    MethodUnknown,
    /// The message is compressed with something else than gzip. This client does not compress.
    EncodingUnsupported,
    /// The health service or the reflection service knows no such name. No call of this client asks
    /// them.
    NameUnknown,
    /// A field is missing, malformed, out of its range or unspecified.
    /// [`field_violations`](crate::Error::field_violations) lists every one.
    InvalidField,
    /// The page token does not come from this list with these filters. Begin again without one.
    PageTokenInvalid,
    /// The resume token does not come from Belay for this filter. Use it with the filter that it
    /// came from.
    ResumeTokenInvalid,
    /// The request is larger than the server takes. Metadata: `limit_bytes`.
    MessageTooLarge,
    /// The call's deadline passed. A write has happened whole or not at all: repeat it with the
    /// same request id to learn which.
    DeadlineExceeded,
    /// The call brings no token, or none that the server knows: see
    /// [`token`](crate::BelayBuilder::token).
    CallerUnknown,
    /// What let the caller in has expired, was withdrawn or shows less now, while a stream was
    /// open. Begin again with a token that holds; a [`Subscription`](crate::watch::Subscription)
    /// does so by itself.
    SessionEnded,
    /// The caller, which is its role with its id, asks for more than it may; nothing was done.
    /// Metadata: `limit` (which), `limit_max`. Wait for
    /// [`retry_after`](crate::Error::retry_after) and repeat.
    CallerLimit,
    /// The server asks for two persons to activate a policy version, and the caller is its author,
    /// or one of the two has no id. Metadata: `version`. Another operator activates it.
    SecondPersonNeeded,
    /// The caller's role may not make this call, or not with these fields. Metadata: `role`.
    RoleNotAllowed,
    /// The server has more work than it takes in; nothing was done. Wait for
    /// [`retry_after`](crate::Error::retry_after) and repeat.
    Overloaded,
    /// The caller took no message of a stream for too long. Begin a watch again with the last
    /// resume token, a simulation from its start.
    WatcherTooSlow,
    /// There is no such store, or it is outside the caller's scope. Metadata: `store_id`.
    StoreNotFound,
    /// The store has no such warehouse, or it is outside the caller's scope. Metadata:
    /// `warehouse_id`.
    WarehouseNotFound,
    /// No preset has that name. Metadata: `preset`.
    PresetNotFound,
    /// The store has no such policy version. Metadata: `version`.
    PolicyNotFound,
    /// There is no such order, or it is outside the caller's scope, or the buyer on whose behalf
    /// support makes the request is not its buyer. Metadata: `order_id`.
    OrderNotFound,
    /// The write goes beyond the caller's scope: it places or changes an object outside it, or
    /// cancels units in any shipment of an order that has shipments outside it (name one of your
    /// own). Metadata: `order_id`, where it is about an order.
    OutOfScope,
    /// The order has no such line. Metadata: `line_id`.
    LineNotFound,
    /// There is no such shipment, or it is outside the caller's scope. Metadata: `shipment_id`.
    ShipmentNotFound,
    /// There is no such cancellation, or it is outside the caller's scope. Metadata:
    /// `cancellation_id`.
    CancellationNotFound,
    /// There is no such refund, or it is outside the caller's scope. Metadata: `refund_id`.
    RefundNotFound,
    /// There is no such incident, or it is outside the caller's scope. Metadata: `incident_id`.
    IncidentNotFound,
    /// There is no such bulk cancellation, it is not the caller's, or it is no longer kept.
    /// Metadata: `bulk_cancellation_id`.
    BulkCancellationNotFound,
    /// The caller has no such consumer. Metadata: `consumer_id`.
    ConsumerNotFound,
    /// The feed no longer holds what comes behind the position. Metadata: `partition`, `position`,
    /// `oldest_position`. Begin with the oldest event, and read the orders that you know.
    PositionExpired,
    /// The feed has not come to the position yet: it is from another database, or from one that was
    /// restored since. Metadata: `partition`, `position`, `last_position`.
    PositionAhead,
    /// The request id was used on this order with other content. A new request needs a new one.
    /// Metadata: `request_id`.
    RequestIdReused,
    /// The store has an order with this id and another content. Metadata: `order_id`.
    OrderAlreadyExists,
    /// There is a store with this id and other settings. Metadata: `store_id`.
    StoreAlreadyExists,
    /// The object has changed since the etag was read. Read again, decide again. Metadata: `etag`,
    /// the present one.
    EtagMismatch,
    /// Something opened or ended on the shipment since the fence was read. Metadata: `shipment_id`,
    /// `fence` and `stage` (the present ones), `cancellation_ids` (which have cancelled units of it
    /// or wait for some).
    FenceStale,
    /// The store has no such warehouse. Metadata: `warehouse_id`.
    UnknownWarehouse,
    /// The store has no such carrier. Metadata: `carrier_id`.
    UnknownCarrier,
    /// The policy requires a reason of this requester, and none was given. Metadata: `reasons`,
    /// those that may be given.
    ReasonRequired,
    /// The policy declares no such reason. Metadata: `reason`, `reasons`.
    ReasonUnknown,
    /// The policy does not take this reason from this requester. Metadata: `reason`, `reasons`.
    ReasonNotAllowed,
    /// The reason needs a note. Metadata: `reason`.
    NoteRequired,
    /// The reason needs evidence, or other evidence. Metadata: `reason`, `channels` (where it may
    /// come from, empty where any will do; each piece is then written `<channel>:<reference>`).
    EvidenceRequired,
    /// The order is closed unpaid or cancelled and takes no such write any more. Ends a part; never
    /// an error.
    OrderClosed,
    /// Another cancellation waits for the very same units. Metadata: `cancellation_id`.
    AlreadyPending,
    /// Waiting cancellations have claimed some of the requested units. Metadata: `line_id`,
    /// `requested`, `available`.
    UnitsClaimed,
    /// More units are requested than are left uncancelled. Metadata: `line_id`, `requested`,
    /// `available`.
    QuantityUnavailable,
    /// All named units are cancelled already; other units of the order are not. Metadata:
    /// `order_id`.
    NothingToCancel,
    /// The quote has expired. Preview again. Metadata: `quote_valid_until`.
    QuoteExpired,
    /// The outcome of the request would differ from the quote. Preview again, show the difference,
    /// request again. Metadata: `quoted` and `present`, each as JSON and cut after 1,024 bytes.
    QuoteMismatch,
    /// No rule of the policy allows it. Metadata, here and down to `LabelUnavailableInRegion`:
    /// `shipment_id`, `path`, `rule`, `next_actions`, and where other units of the request could be
    /// cancelled `acceptable`, the largest selection that could, as `<line_id>=<quantity>`.
    /// [`Error::denial`](crate::Error::denial) reads it.
    NotAllowed,
    /// The shipment has left the warehouse.
    Shipped,
    /// The shipment has been delivered.
    Delivered,
    /// The shipment is lost, on its way back, returned or split.
    AlreadyEnded,
    /// The policy has such payments verified first. Further metadata: `available_from`.
    PaymentVerifying,
    /// The order is unpaid. Under this policy it closes by itself and is not cancelled by request.
    /// Further metadata: `pay_by`.
    UnpaidClosesItself,
    /// The policy offers no refund here. Contact support.
    RefundNotOffered,
    /// The carrier cannot intercept parcels in transit.
    NotInterceptable,
    /// The carrier was asked and could not. Ends a part.
    CarrierRefused,
    /// The warehouse was asked and could not stop the shipment. Ends a part.
    WarehouseCannotStop,
    /// There are no return labels for the buyer's region. Further metadata: `label_instructions`
    /// (what the buyer is to do without one, in the words of the policy, cut after 1,024 bytes).
    LabelUnavailableInRegion,
    /// The seller shipped without agreeing. Ends a part.
    NoAgreement,
    /// The party whose consent was needed did not give it. Never the reason of an error: ends a
    /// part.
    ConsentRefused,
    /// No gate waits for this answer, and none did. Metadata: `cancellation_id` or `shipment_id`,
    /// `gate`.
    GateNotOpen,
    /// The answer comes after `respond_by`. The policy has taken silence for an answer. Metadata:
    /// `cancellation_id`, `respond_by`.
    GateTimedOut,
    /// Only the requester of a cancellation may withdraw it. Metadata: `cancellation_id`.
    NotTheRequester,
    /// A warehouse or a carrier has acted on the cancellation, or it is over. Metadata:
    /// `cancellation_id`, `gate` (empty where it is over).
    TooLateToWithdraw,
    /// The order's payment has lapsed, was released or declined. No shipment of it may be
    /// dispatched. Metadata: `shipment_id`, `pay_by`.
    PaymentLapsed,
    /// The shipment is not released yet: the order is not paid, or a cancellation waits. Metadata:
    /// `shipment_id`.
    NotReleased,
    /// The shipment's stage does not allow this step. Metadata: `shipment_id`, `stage`.
    StageMismatch,
    /// The shipment is held. Metadata: `shipment_id`, `hold_until`.
    ShipmentHeld,
    /// A waiting cancellation bars the step. Metadata: `shipment_id`, `cancellation_id`.
    ShipmentBarred,
    /// Customs may stop the shipment, and the policy does not allow a split. Metadata:
    /// `shipment_id`, `next_actions`.
    SplitNotAllowed,
    /// The request mixes currencies, or names another than the order's. Metadata: `currency_code`,
    /// the expected one.
    CurrencyMismatch,
    /// A result was reported for a refund that no worker has claimed. Metadata: `refund_id`.
    RefundNotClaimed,
    /// The incident was resolved with another resolution. Metadata: `incident_id`, `resolution`
    /// (empty where a later fact resolved it).
    IncidentResolved,
    /// The incident does not allow this resolution now. Metadata: `incident_id`, `resolutions`.
    ResolutionNotAllowed,
    /// The order has reached a limit. Metadata: `limit` (which), `limit_max`.
    LimitReached,
    /// The token is behind what the consumer has committed: another process may use its name.
    /// Metadata: `consumer_id`, `partition`, `position`.
    PositionBehind,
    /// The caller has as many consumers as it may have. Metadata: `limit_max`.
    ConsumersExhausted,
    /// The store has as many bulk cancellations under way as it may have. Metadata: `limit_max`.
    /// Wait for one to end, or stop it.
    BulkCancellationsExhausted,
    /// The policy document is invalid. [`field_violations`](crate::Error::field_violations) lists
    /// every error with its path.
    PolicyInvalid,
    /// The database cannot be reached; nothing was done. Wait and repeat.
    DatabaseUnavailable,
    /// Too many writes to the same order came at once; nothing was done. Wait and repeat.
    Contention,
    /// The write may have happened or not. Repeat it with the same request id to learn which.
    /// Metadata: `request_id`.
    OutcomeUnknown,
    /// A defect of Belay; the call has changed nothing. Metadata: `trace_id`.
    Internal,
}

const PREFIX: &str = "ERROR_REASON_";

fn short(reason: pb::ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(PREFIX).unwrap_or(name)
}

impl fmt::Display for ErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Compares by name.
impl PartialEq<str> for ErrorReason {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

/// Compares by name.
impl PartialEq<&str> for ErrorReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_manual_has_a_variant() {
        let mut known = 0;
        for number in 1..=1_000 {
            let Ok(reason) = pb::ErrorReason::try_from(number) else {
                continue;
            };
            let name = short(reason);
            let read = ErrorReason::from_name(name.to_owned()).unwrap();
            assert!(!matches!(read, ErrorReason::Unrecognized(_)), "{name}");
            assert_eq!(read.as_str(), name);
            known += 1;
        }
        assert!(
            known > 50,
            "the manual has more than fifty reasons, found {known}"
        );
    }

    #[test]
    fn a_reason_from_the_future_keeps_its_name() {
        let reason = ErrorReason::from_name("MOON_PHASE".to_owned()).unwrap();
        assert_eq!(reason, ErrorReason::Unrecognized("MOON_PHASE".to_owned()));
        assert_eq!(reason, "MOON_PHASE");
        assert_eq!(ErrorReason::from_name(String::new()), None);
    }
}
