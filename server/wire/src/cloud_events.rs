//! Events as CloudEvents 1.0, in JSON: for those who read the feed without gRPC.
//!
//! What an event says is the message `belay.v1.Event` in the JSON that protobuf lays down, made
//! from its descriptor: a field that the protos gain is there by itself. An event holds nothing
//! that one role may read and another may not, so it looks the same to whoever gets it.

use belay_proto::v1 as pb;
use prost::Message;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Serialize;

/// The type of what [`CloudEvents::render`] makes.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Bound on the source, in characters.
pub const SOURCE_CHARS_MAX: usize = 256;

const SPEC_VERSION: &str = "1.0";
const MESSAGE: &str = "belay.v1.Event";
const PACKAGE: &str = "belay.v1";
const TYPE_PREFIX: &str = "EVENT_TYPE_";

/// A reason why there are no CloudEvents.
#[derive(Debug, thiserror::Error)]
pub enum CloudEventError {
    #[error("the descriptors cannot be read: {0}")]
    Descriptors(#[from] DescriptorError),
    #[error("the descriptors have no {MESSAGE}")]
    NoEvent,
    #[error(
        "the source must have 1 to {SOURCE_CHARS_MAX} characters, and neither spaces nor control characters"
    )]
    Source,
    #[error("an event is no {MESSAGE}: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error("an event cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The maker of CloudEvents from events.
#[derive(Debug, Clone)]
pub struct CloudEvents {
    message: MessageDescriptor,
    source: String,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    data: DynamicMessage,
}

impl CloudEvents {
    /// `descriptors` is an encoded `google.protobuf.FileDescriptorSet` that has the event; `source`
    /// is a URI reference, which together with an id names one event in the world.
    pub fn new(descriptors: &[u8], source: &str) -> Result<Self, CloudEventError> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control();
        let length = source.chars().count();
        if !(1..=SOURCE_CHARS_MAX).contains(&length) || source.contains(is_odd) {
            return Err(CloudEventError::Source);
        }
        let pool = DescriptorPool::decode(descriptors)?;
        let message = pool
            .get_message_by_name(MESSAGE)
            .ok_or(CloudEventError::NoEvent)?;
        Ok(Self {
            message,
            source: source.to_owned(),
        })
    }

    /// The same bytes for the same event, whenever they are made.
    pub fn render(&self, event: &pb::Event) -> Result<Vec<u8>, CloudEventError> {
        let encoded = event.encode_to_vec();
        let data = DynamicMessage::decode(self.message.clone(), encoded.as_slice())?;
        Ok(serde_json::to_vec(&CloudEvent {
            specversion: SPEC_VERSION,
            id: id(event),
            source: &self.source,
            event_type: format!("{PACKAGE}.{}", type_name(event)),
            subject: format!("stores/{}/orders/{}", event.store_id, event.order_id),
            time: event.event_time.map(|time| time.to_string()),
            datacontenttype: "application/json",
            data,
        })?)
    }
}

/// The place of an event in the feed, by which it is known: `partition:position`.
pub fn id(event: &pb::Event) -> String {
    format!("{}:{}", event.partition, event.position)
}

/// The type of an event, as it is called without its prefix; its number where a later release wrote
/// it.
pub fn type_name(event: &pb::Event) -> String {
    match pb::EventType::try_from(event.event_type) {
        Ok(known) => {
            let name = known.as_str_name();
            name.strip_prefix(TYPE_PREFIX).unwrap_or(name).to_owned()
        }
        Err(_) => event.event_type.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> pb::Event {
        pb::Event {
            event_type: pb::EventType::GateOpened.into(),
            partition: 12,
            position: 345,
            store_id: "demo".to_owned(),
            order_id: "A-1".to_owned(),
            order_version: 3,
            event_time: Some(prost_types::Timestamp {
                seconds: 1_772_445_600,
                nanos: 250_000_000,
            }),
            warehouse_id: "main".to_owned(),
            detail: Some(pb::event::Detail::GateChanged(pb::GateChanged {
                fence: 7,
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    fn rendered(source: &str, event: &pb::Event) -> Value {
        let events = CloudEvents::new(belay_proto::FILE_DESCRIPTOR_SET, source).unwrap();
        serde_json::from_slice(&events.render(event).unwrap()).unwrap()
    }

    #[test]
    fn an_event_is_a_cloud_event_whose_data_is_the_message_in_json() {
        let expected = json!({
            "specversion": "1.0",
            "id": "12:345",
            "source": "belay",
            "type": "belay.v1.GATE_OPENED",
            "subject": "stores/demo/orders/A-1",
            "time": "2026-03-02T10:00:00.250Z",
            "datacontenttype": "application/json",
            "data": {
                "eventType": "EVENT_TYPE_GATE_OPENED",
                "partition": 12,
                "position": "345",
                "storeId": "demo",
                "orderId": "A-1",
                "orderVersion": "3",
                "eventTime": "2026-03-02T10:00:00.250Z",
                "warehouseId": "main",
                "gateChanged": {"fence": "7"},
            },
        });
        assert_eq!(rendered("belay", &event()), expected);
    }

    #[test]
    fn an_event_of_a_later_release_has_its_number() {
        let later = pb::Event {
            event_type: 9_999,
            ..event()
        };
        assert_eq!(rendered("belay", &later)["type"], "belay.v1.9999");
    }

    #[test]
    fn a_source_has_its_bounds() {
        let make = |source: &str| CloudEvents::new(belay_proto::FILE_DESCRIPTOR_SET, source);
        assert!(make(&"s".repeat(SOURCE_CHARS_MAX)).is_ok());
        for odd in ["", "a b", "a\n", &"s".repeat(SOURCE_CHARS_MAX + 1)] {
            assert!(matches!(make(odd), Err(CloudEventError::Source)), "{odd:?}");
        }
        assert!(matches!(
            CloudEvents::new(&[], "belay"),
            Err(CloudEventError::NoEvent)
        ));
    }
}
