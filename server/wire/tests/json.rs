//! Messages as JSON, whatever somebody sends: what can be read is what is written, and nothing
//! panics.

use belay_wire::json;
use belay_wire::status::CallError;
use fastrand::Rng;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Requests that are made up of each message.
const ROUNDS: u64 = 200;
/// Messages within messages.
const DEPTH_MAX: usize = 4;

fn requests() -> Vec<MessageDescriptor> {
    let pool = DescriptorPool::decode(belay_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let services: Vec<_> = pool.services().collect();
    let methods = services.iter().flat_map(|service| service.methods());
    let requests: Vec<_> = methods.map(|method| method.input()).collect();
    assert!(requests.len() > 60, "{} requests", requests.len());
    requests
}

/// A message of this type as somebody might write it, mostly as it should be.
fn written(of: &MessageDescriptor, rng: &mut Rng, depth: usize) -> Value {
    match of.full_name() {
        "google.protobuf.Timestamp" => return json!("2026-03-02T10:00:00.5Z"),
        "google.protobuf.Duration" => return json!(format!("{}.25s", rng.i32(..1_000))),
        _ => {}
    }
    let mut object = Map::new();
    let mut chosen = Vec::new();
    for field in of.fields() {
        if rng.u8(..) < 100 || depth == DEPTH_MAX {
            continue;
        }
        // Of those of which there may be one, one.
        if let Some(oneof) = field.containing_oneof() {
            if chosen.contains(&oneof) {
                continue;
            }
            chosen.push(oneof);
        }
        let name = if rng.bool() {
            field.json_name()
        } else {
            field.name()
        };
        object.insert(name.to_owned(), value(&field, rng, depth));
    }
    Value::Object(object)
}

fn value(field: &FieldDescriptor, rng: &mut Rng, depth: usize) -> Value {
    if rng.u16(..) < 200 {
        let odd = [
            json!(null),
            json!([[]]),
            json!({"a": {}}),
            json!(-1.5),
            json!("\u{0}"),
            json!(u64::MAX),
        ];
        return odd[rng.usize(..odd.len())].clone();
    }
    if field.is_map() {
        return json!({"channel": "web"});
    }
    if field.is_list() {
        let entries = (0..rng.usize(..3)).map(|_| single(field, rng, depth));
        return Value::Array(entries.collect());
    }
    single(field, rng, depth)
}

fn single(field: &FieldDescriptor, rng: &mut Rng, depth: usize) -> Value {
    match field.kind() {
        Kind::Message(message) => written(&message, rng, depth + 1),
        Kind::Enum(of) => {
            let values: Vec<_> = of.values().collect();
            let value = &values[rng.usize(..values.len())];
            if rng.bool() {
                json!(value.name())
            } else {
                json!(value.number())
            }
        }
        Kind::Bool => json!(rng.bool()),
        Kind::String => json!(["", "demo", "ü\u{1F600}\"\\"][rng.usize(..3)]),
        Kind::Bytes => json!("AQID"),
        Kind::Double | Kind::Float => json!(0.5),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
            json!(rng.u32(..).to_string())
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
            json!(rng.u16(..))
        }
    }
}

#[test]
fn what_can_be_read_is_written_as_it_was_meant_and_nothing_panics() {
    let (mut good, mut bad) = (0, 0);
    let mut rng = Rng::with_seed(17);
    for of in requests() {
        for _ in 0..ROUNDS {
            let mut text = written(&of, &mut rng, 0).to_string().into_bytes();
            // Some are broken on their way.
            if rng.u8(..) < 40 {
                let at = rng.usize(..text.len());
                match rng.u8(..3) {
                    0 => text.truncate(at),
                    1 => text[at] = rng.u8(..),
                    _ => text.insert(at, rng.u8(..)),
                }
            }
            match json::read(&of, &text) {
                Ok(message) => {
                    good += 1;
                    let again = json::write(&message).expect("it was JSON before");
                    let read = json::read(&of, again.as_bytes()).expect("what is written is read");
                    // In bytes: a field that is set to its default is as one that is not.
                    let bytes = message.encode_to_vec();
                    assert_eq!(read.encode_to_vec(), bytes, "{again}");
                    let of_bytes = DynamicMessage::decode(of.clone(), bytes.as_slice());
                    let of_bytes = of_bytes.expect("its own bytes");
                    assert_eq!(json::write(&of_bytes).expect("JSON"), again);
                }
                Err(CallError::InvalidFields { violations, .. }) => {
                    bad += 1;
                    assert_eq!(violations.len(), 1);
                    // It is told over the wire, so it must be a status that can be sent.
                    let error = CallError::invalid_fields(violations);
                    assert_ne!(error.into_status(str::to_owned).message(), "");
                }
                Err(other) => panic!("{other:?} of {}", String::from_utf8_lossy(&text)),
            }
        }
    }
    assert!(
        good > 1_000 && bad > 1_000,
        "{good} were read, {bad} were not"
    );
}
