//! Conversion between messages and plain data. It knows nothing of calls. A message that lacks a
//! field that the protos promise is a defect: the error names the field, and no value is made up.

use std::time::Duration;

use jiff::Timestamp;

/// A field of a response that is missing or invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Plain data that is read from one message.
pub(crate) trait FromWire: Sized {
    type Message;

    fn from_wire(message: Self::Message) -> Result<Self, Malformed>;
}

/// An open enum: it keeps numbers that it does not know.
pub(crate) trait Open: Sized {
    fn from_wire(number: i32) -> Self;
}

/// Reads a message that the protos promise.
pub(crate) fn read<T: FromWire>(
    message: Option<T::Message>,
    field: &'static str,
) -> Result<T, Malformed> {
    T::from_wire(message.ok_or(Malformed(field))?)
}

/// Reads a message that the protos promise to those roles who see it; to the others it is as
/// [`Unseen`] says, and no value is made up of it.
pub(crate) fn read_if_seen<T: FromWire + Unseen>(
    message: Option<T::Message>,
) -> Result<T, Malformed> {
    message.map_or_else(|| Ok(T::unseen()), T::from_wire)
}

/// The value in place of something that the caller's role does not see.
pub(crate) trait Unseen {
    fn unseen() -> Self;
}

/// Reads a message that may be unset.
pub(crate) fn read_if_set<T: FromWire>(
    message: Option<T::Message>,
) -> Result<Option<T>, Malformed> {
    message.map(T::from_wire).transpose()
}

pub(crate) fn read_all<T: FromWire>(messages: Vec<T::Message>) -> Result<Vec<T>, Malformed> {
    messages.into_iter().map(T::from_wire).collect()
}

/// Reads an enum whose UNSPECIFIED means `None`.
pub(crate) fn open_if_set<E: Open>(number: i32) -> Option<E> {
    (number != 0).then(|| E::from_wire(number))
}

pub(crate) fn open_all<E: Open>(numbers: Vec<i32>) -> Vec<E> {
    numbers.into_iter().map(E::from_wire).collect()
}

/// Reads a string that means `None` when it is empty.
pub(crate) fn text_if_set(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(crate) fn time(
    message: Option<prost_types::Timestamp>,
    field: &'static str,
) -> Result<Timestamp, Malformed> {
    time_if_set(message, field)?.ok_or(Malformed(field))
}

pub(crate) fn time_if_set(
    message: Option<prost_types::Timestamp>,
    field: &'static str,
) -> Result<Option<Timestamp>, Malformed> {
    message
        .map(|time| Timestamp::new(time.seconds, time.nanos).map_err(|_| Malformed(field)))
        .transpose()
}

pub(crate) fn duration_if_set(
    message: Option<prost_types::Duration>,
    field: &'static str,
) -> Result<Option<Duration>, Malformed> {
    message
        .map(|duration| Duration::try_from(duration).map_err(|_| Malformed(field)))
        .transpose()
}

pub(crate) fn time_to_wire(time: Timestamp) -> prost_types::Timestamp {
    // jiff counts both parts from zero, the wire counts nanoseconds forward from the second.
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    match nanos {
        ..0 => prost_types::Timestamp {
            seconds: seconds - 1,
            nanos: nanos + 1_000_000_000,
        },
        0.. => prost_types::Timestamp { seconds, nanos },
    }
}

/// A duration above every limit of the server. It is sent in place of a duration that the message
/// cannot hold, so that the server refuses it.
const DURATION_MAX: prost_types::Duration = prost_types::Duration {
    seconds: 315_576_000_000,
    nanos: 0,
};

pub(crate) fn duration_to_wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or(DURATION_MAX)
}

/// An enum of `belay.v1` as an open enum of the same name and values. The match over the generated
/// enum is exhaustive, so a value that the proto gains and this list lacks does not compile.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A value that this version of the client does not know, by its number on the wire.
            Unrecognized(i32),
        }

        /// As its name in the proto, without its prefix; a value that is not known as its number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Unrecognized(number) => serializer.serialize_i32(*number),
                    known => serializer.collect_str(known),
                }
            }
        }

        impl $crate::wire::Open for $name {
            fn from_wire(number: i32) -> Self {
                match belay_proto::v1::$name::try_from(number) {
                    $(Ok(belay_proto::v1::$name::$variant) => Self::$variant,)+
                    Ok(belay_proto::v1::$name::Unspecified) | Err(_) => Self::Unrecognized(number),
                }
            }
        }

        #[expect(clippy::as_conversions, reason = "the number of a value is its discriminant")]
        impl $name {
            /// Reads the value's name in the proto, without its prefix.
            #[allow(dead_code, reason = "most enums are only ever read by number")]
            pub(crate) fn from_name(name: &str) -> Option<Self> {
                let unspecified = belay_proto::v1::$name::Unspecified.as_str_name();
                let name = format!("{}{name}", unspecified.trim_end_matches("UNSPECIFIED"));
                let known = belay_proto::v1::$name::from_str_name(&name)?;
                (known != belay_proto::v1::$name::Unspecified)
                    .then(|| <Self as $crate::wire::Open>::from_wire(known as i32))
            }

            #[allow(dead_code, reason = "some enums are only ever read")]
            pub(crate) fn to_wire(self) -> i32 {
                match self {
                    $(Self::$variant => belay_proto::v1::$name::$variant as i32,)+
                    Self::Unrecognized(number) => number,
                }
            }
        }

        /// The value's name in the proto, without its prefix, such as `TO_SHIP`.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let unspecified = belay_proto::v1::$name::Unspecified.as_str_name();
                let prefix = unspecified.trim_end_matches("UNSPECIFIED");
                let name = match self {
                    $(Self::$variant => belay_proto::v1::$name::$variant.as_str_name(),)+
                    Self::Unrecognized(number) => return write!(f, "UNRECOGNIZED({number})"),
                };
                f.pad(name.strip_prefix(prefix).unwrap_or(name))
            }
        }
    };
}
pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::calls::OnIneligibleUnits;
    use crate::model::*;

    /// A number of one enum, as the client reads it: its name, the number that it goes back to, and
    /// the one that is read from the name.
    struct Row {
        name: &'static str,
        read: fn(i32) -> (String, i32, Option<i32>),
    }

    macro_rules! rows {
        ($($name:ident,)*) => {
            [$(Row {
                name: stringify!($name),
                read: |number| {
                    let value = $name::from_wire(number);
                    let name = value.to_string();
                    let named = $name::from_name(&name).map($name::to_wire);
                    (name, value.to_wire(), named)
                },
            },)*]
        };
    }

    #[test]
    fn every_value_of_the_manual_is_a_known_one() {
        let rows = rows![
            CancellationEffect,
            CancellationOutcome,
            CancellationPath,
            CancellationState,
            EventType,
            CancellationFault,
            GateKind,
            GateState,
            GoodsCondition,
            IncidentKind,
            IncidentResolution,
            IncidentState,
            InterceptState,
            LabelState,
            NextAction,
            NotReplayedReason,
            OnDispatch,
            OnIneligibleUnits,
            OnLost,
            OnTimeout,
            OrderState,
            PartState,
            Party,
            PaymentFact,
            PaymentState,
            PolicyCondition,
            PolicyOccasion,
            PolicyState,
            RefundKind,
            RefundResult,
            RefundState,
            ReturnState,
            Role,
            ShipmentStage,
            StockEntryKind,
            BulkState,
            BulkUnits,
            BulkOutcome,
            TrackingFact,
            Weekday,
            NoteVisibility,
        ];
        let set = prost_types::FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "belay.v1");
        // Reasons go by their names alone, and where a stream begins by a setter of its call.
        let enums = files
            .flat_map(|file| &file.enum_type)
            .filter(|found| !["ErrorReason", "FeedStart"].contains(&found.name()));
        let enums: Vec<_> = enums.collect();
        assert_eq!(enums.len(), rows.len());
        for found in enums {
            let Some(row) = rows.iter().find(|row| row.name == found.name()) else {
                panic!("{} is new: give it a model and a row", found.name())
            };
            let (unspecified, values) = found.value.split_first().unwrap();
            let prefix = unspecified.name().strip_suffix("UNSPECIFIED").unwrap();
            assert_eq!(
                (row.read)(0),
                ("UNRECOGNIZED(0)".to_owned(), 0, None),
                "{}",
                row.name
            );
            for value in values {
                let (short, number) = (
                    value.name().strip_prefix(prefix).unwrap().to_owned(),
                    value.number(),
                );
                assert_eq!(
                    (row.read)(number),
                    (short, number, Some(number)),
                    "{}",
                    value.name()
                );
            }
        }
    }

    #[test]
    fn a_time_survives_the_wire_also_before_1970() {
        for text in [
            "2026-03-01T09:00:00.000001Z",
            "1969-12-31T23:59:59.25Z",
            "1970-01-01T00:00:00Z",
        ] {
            let instant: Timestamp = text.parse().unwrap();
            let message = time_to_wire(instant);
            assert!(message.nanos >= 0);
            assert_eq!(time(Some(message), "time"), Ok(instant));
        }
    }

    #[test]
    fn a_missing_time_is_named() {
        assert_eq!(
            time(None, "order.create_time"),
            Err(Malformed("order.create_time"))
        );
        assert_eq!(time_if_set(None, "order.pay_by"), Ok(None));
    }

    #[test]
    fn an_unknown_value_is_kept() {
        assert_eq!(OrderState::from_wire(4), OrderState::ToShip);
        assert_eq!(OrderState::from_wire(999), OrderState::Unrecognized(999));
        assert_eq!(OrderState::Unrecognized(999).to_wire(), 999);
        assert_eq!(RefundState::from_wire(6), RefundState::Unknown);
    }

    #[test]
    fn an_enum_reads_like_the_manual() {
        assert_eq!(OrderState::AwaitingPayment.to_string(), "AWAITING_PAYMENT");
        assert_eq!(OrderState::Unrecognized(7).to_string(), "UNRECOGNIZED(7)");
        assert_eq!(
            OrderState::from_name("AWAITING_PAYMENT"),
            Some(OrderState::AwaitingPayment)
        );
        assert_eq!(
            (
                OrderState::from_name("UNSPECIFIED"),
                OrderState::from_name("ON_FIRE")
            ),
            (None, None)
        );
    }
}
