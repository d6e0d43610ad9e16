//! The facts of a message in words, by its descriptor: a field that the protos gain is told by
//! itself.

use belay_proto::v1 as pb;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value,
};

use super::words;

/// Entries of a list that are told before it is cut short.
const TOLD_MAX: usize = 20;

/// The protos by whose descriptors facts are told.
#[derive(Debug)]
pub(super) struct Facts(DescriptorPool);

impl Facts {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(DescriptorPool::decode(
            belay_proto::FILE_DESCRIPTOR_SET,
        )?))
    }

    /// The names and values of those fields of a message that say something. `name` is the
    /// message's, such as `PolicyQuestion`.
    pub(super) fn of(&self, name: &str, message: &impl Message) -> Vec<(String, String)> {
        facts(&self.dynamic(name, message))
    }

    /// Of the one detail that an event has.
    pub(super) fn of_event(&self, event: &pb::Event) -> Vec<(String, String)> {
        let event = self.dynamic("Event", event);
        let detail = event.fields().find_map(|(field, value)| {
            let is_detail = field.containing_oneof().is_some();
            value.as_message().filter(|_| is_detail)
        });
        detail.map(facts).unwrap_or_default()
    }

    fn dynamic(&self, name: &str, message: &impl Message) -> DynamicMessage {
        let name = format!("belay.v1.{name}");
        let descriptor = self.0.get_message_by_name(&name);
        let descriptor = descriptor.unwrap_or_else(|| panic!("{name} is a message of ours"));
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
            .unwrap_or_else(|error| panic!("{name} was encoded before: {error}"))
    }
}

fn facts(message: &DynamicMessage) -> Vec<(String, String)> {
    let told = message.fields().filter_map(|(field, value)| {
        let told = told(&field.kind(), value);
        (!told.is_empty()).then(|| (label(&field), told))
    });
    told.collect()
}

/// As one text: `name value`, with commas in between.
pub(super) fn joined(facts: &[(String, String)]) -> String {
    let told = facts.iter().map(|(name, value)| format!("{name} {value}"));
    told.collect::<Vec<_>>().join(", ")
}

fn label(field: &FieldDescriptor) -> String {
    field.name().replace('_', " ")
}

fn told(kind: &Kind, value: &Value) -> String {
    match value {
        Value::Bool(is_so) => words::yes_or_no(*is_so).to_owned(),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::EnumNumber(number) => enum_word(kind, *number),
        Value::Message(message) => of_message(message),
        Value::List(values) => {
            let mut shown: Vec<String> = values
                .iter()
                .take(TOLD_MAX)
                .map(|value| told(kind, value))
                .collect();
            if values.len() > TOLD_MAX {
                shown.push(format!("and {} more", values.len() - TOLD_MAX));
            }
            shown.join(", ")
        }
        Value::Map(entries) => format!("{} entries", entries.len()),
    }
}

fn enum_word(kind: &Kind, number: i32) -> String {
    let Kind::Enum(of) = kind else {
        return number.to_string();
    };
    let Some(value) = of.get_value(number) else {
        return number.to_string();
    };
    // All values begin with the name of their enum, which that of the zero tells.
    let zero = of.default_value();
    let prefix = zero.name().trim_end_matches("UNSPECIFIED");
    words::word(value.name(), prefix)
}

fn of_message(message: &DynamicMessage) -> String {
    let bytes = message.encode_to_vec();
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "belay.v1.Money" => {
            let money = pb::Money::decode(bytes.as_slice());
            words::money(money.ok().as_ref())
        }
        "belay.v1.RefundAmount" => {
            let amount = pb::RefundAmount::decode(bytes.as_slice()).ok();
            words::money(amount.and_then(|amount| amount.total).as_ref())
        }
        "belay.v1.Actor" => {
            let actor = pb::Actor::decode(bytes.as_slice());
            words::actor(actor.ok().as_ref())
        }
        "belay.v1.LineQuantity" => {
            let of = pb::LineQuantity::decode(bytes.as_slice()).unwrap_or_default();
            words::quantity(of.quantity, &of.line_id)
        }
        "belay.v1.SkuQuantity" => {
            let of = pb::SkuQuantity::decode(bytes.as_slice()).unwrap_or_default();
            words::quantity(of.quantity, &of.sku)
        }
        "google.protobuf.Timestamp" => {
            let at = prost_types::Timestamp::decode(bytes.as_slice()).ok();
            let at: Option<Timestamp> = words::instant(at.as_ref());
            at.map(words::utc).unwrap_or_default()
        }
        "google.protobuf.Duration" => {
            let length = prost_types::Duration::decode(bytes.as_slice()).unwrap_or_default();
            words::length(SignedDuration::from_secs(length.seconds))
        }
        _ => joined(&facts(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_the_facts_of_its_detail() {
        let event = pb::Event {
            order_id: "A-1".to_owned(),
            detail: Some(pb::event::Detail::RefundChanged(pb::RefundChanged {
                refund_id: "A-1:r1".to_owned(),
                to_state: pb::RefundState::Due.into(),
                total: Some(pb::Money {
                    currency_code: "EUR".to_owned(),
                    minor_units: 1_250,
                }),
                due_by: Some(prost_types::Timestamp {
                    seconds: 1_772_445_600,
                    nanos: 0,
                }),
                ..Default::default()
            })),
            ..Default::default()
        };
        let facts = Facts::new().unwrap().of_event(&event);
        assert_eq!(
            joined(&facts),
            "refund id A-1:r1, to state due, total 12.50 EUR, due by 2026-03-02 10:00:00 UTC"
        );
    }

    #[test]
    fn a_long_list_is_cut_short() {
        let question = |count: usize| pb::PolicyQuestion {
            payment_methods: vec!["CARD".to_owned(); count],
            ..Default::default()
        };
        let told = |count| {
            let facts = Facts::new().unwrap().of("PolicyQuestion", &question(count));
            joined(&facts)
        };
        assert!(told(TOLD_MAX).ends_with("CARD, CARD"));
        assert!(told(TOLD_MAX + 1).ends_with("CARD, and 1 more"));
    }
}
