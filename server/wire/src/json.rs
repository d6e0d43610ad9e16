//! Messages as JSON, by their descriptors: what callers send who have no protobuf, and what they
//! are answered. It knows no message by name, so a field that the protos gain is there by itself.

use std::collections::HashSet;
use std::fmt;

use belay_domain::rejection::FieldViolation;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    SerializeOptions,
};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_path_to_error::{Path, Segment, Track};

use crate::status::CallError;

/// Values of a text, those in lists and objects each for itself: as many as a message may have
/// fields. A value may have three bytes here, and well over a hundred once it is read.
pub const VALUES_MAX: usize = 65_536;

/// Reads a message from its JSON, as the protos' language defines it: names of fields as
/// `lowerCamelCase` or as they are in the protos, nothing that the message does not have.
///
/// # Errors
/// INVALID_FIELD, with the path of what is wrong.
pub fn read(of: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, CallError> {
    if values(text) > VALUES_MAX {
        let told = format!("the JSON has more than {VALUES_MAX} values");
        return Err(CallError::undecodable(&told));
    }
    let mut track = Track::new();
    let mut json = serde_json::Deserializer::from_slice(text);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let read = DynamicMessage::deserialize_with_options(of.clone(), tracked, &options)
        .and_then(|message| json.end().map(|()| message));
    let message = read.map_err(|error| {
        let path = track.path();
        let field = unknown_field(of, text, &path).unwrap_or_else(|| spelled(&path));
        unreadable(field, &error)
    })?;
    check_repeats(of, text)?;
    Ok(message)
}

/// How many values a text has at most, if it is JSON: one begins with it, behind each comma, and
/// within each list and object, of which one that is empty counts as if it had one.
fn values(text: &[u8]) -> usize {
    let (mut values, mut is_in_string, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            b',' | b'[' | b'{' if !is_in_string => values += 1,
            _ => {}
        }
    }
    values
}

fn unreadable(field: String, error: &serde_json::Error) -> CallError {
    CallError::invalid_fields(vec![FieldViolation {
        field,
        description: format!("the JSON cannot be read: {error}"),
    }])
}

/// The reader takes the last of several values of a field, where the sender may have meant the
/// first.
fn check_repeats(of: &MessageDescriptor, text: &[u8]) -> Result<(), CallError> {
    let mut track = Track::new();
    let mut json = serde_json::Deserializer::from_slice(text);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let location = Some(Location::Message(of.clone()));
    let checked = Once { location }.deserialize(tracked);
    checked.map_err(|error| unreadable(spelled(&track.path()), &error))
}

/// Writes a message as JSON, with the fields that have their default value: who reads it without
/// the protos sees that `allowed` is false.
///
/// # Errors
/// Where the message holds what JSON cannot say, such as an instant beyond the year 9999.
pub fn write(message: &DynamicMessage) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// The same of a message in bytes of this type; none where there is no such type, or it is none.
pub fn value_of(pool: &DescriptorPool, type_name: &str, bytes: &[u8]) -> Option<Value> {
    let of = pool.get_message_by_name(type_name)?;
    let message = DynamicMessage::decode(of, bytes).ok()?;
    serde_json::from_str(&write(&message).ok()?).ok()
}

/// A path as the paths of all violations are, as far as it is known; empty for the message as a
/// whole.
fn spelled(path: &Path) -> String {
    let mut spelled = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => spelled.push_str(&format!("[{index}]")),
            Segment::Map { key } if spelled.is_empty() => spelled.push_str(key),
            Segment::Map { key } => spelled.push_str(&format!(".{key}")),
            Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    spelled
}

/// A place in a message: in one, or in the values of a field.
#[derive(Clone)]
enum Location {
    Message(MessageDescriptor),
    Field(FieldDescriptor),
}

impl Location {
    /// The place of what a field has: its list or its map, or its single value.
    fn of(field: FieldDescriptor) -> Option<Self> {
        if field.is_list() || field.is_map() {
            Some(Location::Field(field))
        } else {
            Location::inside(&field)
        }
    }

    /// The place of the entries of a list, or of a single value.
    fn inside(field: &FieldDescriptor) -> Option<Self> {
        let Kind::Message(message) = field.kind() else {
            return None;
        };
        Some(Location::Message(message))
    }

    /// The place of the values of a map.
    fn of_values(map: &FieldDescriptor) -> Option<Self> {
        let Kind::Message(entry) = map.kind() else {
            return None;
        };
        Location::inside(&entry.get_field_by_name("value")?)
    }
}

/// A value in which no object has a field, or a key, twice. Of one that is no message any key
/// counts.
struct Once {
    location: Option<Location>,
}

impl Once {
    /// What a key stands for, as any of its names says it, and the place of its value.
    fn named(&self, key: String) -> (Named, Option<Location>) {
        match &self.location {
            Some(Location::Message(message)) => match field_of(message, &key) {
                Some(field) => (Named::Field(field.number()), Location::of(field)),
                None => (Named::Key(key), None),
            },
            Some(Location::Field(map)) => (Named::Key(key), Location::of_values(map)),
            None => (Named::Key(key), None),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Named {
    Field(u32),
    Key(String),
}

impl<'de> DeserializeSeed<'de> for Once {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = object.next_key()? {
            let (named, location) = self.named(key);
            if seen.insert(named) {
                object.next_value_seed(Once { location })?;
            } else {
                object.next_value_seed(Repeated)?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let location = match &self.location {
            Some(Location::Field(field)) => Location::inside(field),
            Some(Location::Message(_)) | None => None,
        };
        let entry = || Once {
            location: location.clone(),
        };
        while list.next_element_seed(entry())?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The value of what was there already: it fails where it begins, so that its path is told.
struct Repeated;

impl<'de> DeserializeSeed<'de> for Repeated {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom("it is there twice"))
    }
}

fn field_of(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    let by_json = message.get_field_by_json_name(name);
    by_json.or_else(|| message.get_field_by_name(name))
}

/// The path of the first field that the message at the end of `path` does not have, if that is what
/// is wrong: the reader stops at the message, and says of the field no more than its name.
fn unknown_field(of: &MessageDescriptor, text: &[u8], path: &Path) -> Option<String> {
    let whole: Value = serde_json::from_slice(text).ok()?;
    let mut value = &whole;
    let mut location = Location::Message(of.clone());
    for segment in path.iter() {
        (value, location) = match (segment, location) {
            (Segment::Map { key }, Location::Message(message)) => {
                let field = field_of(&message, key)?;
                (value.get(key)?, Location::of(field)?)
            }
            (Segment::Seq { index }, Location::Field(field)) => {
                (value.get(index)?, Location::inside(&field)?)
            }
            (Segment::Map { key }, Location::Field(field)) => {
                (value.get(key)?, Location::of_values(&field)?)
            }
            _ => return None,
        };
    }
    let Location::Message(message) = location else {
        return None;
    };
    // Those of `google.protobuf` have a JSON of their own.
    if message.package_name() == "google.protobuf" {
        return None;
    }
    let mut names = value.as_object()?.keys();
    let unknown = names.find(|name| field_of(&message, name).is_none())?;
    let parent = spelled(path);
    let dot = if parent.is_empty() { "" } else { "." };
    Some(format!("{parent}{dot}{unknown}"))
}

#[cfg(test)]
mod tests {
    use belay_proto::v1 as pb;
    use prost::Message as _;
    use tonic_types::StatusExt as _;

    use super::*;

    fn pool() -> DescriptorPool {
        DescriptorPool::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap()
    }

    fn message(name: &str) -> MessageDescriptor {
        let name = format!("belay.v1.{name}");
        pool().get_message_by_name(&name).unwrap()
    }

    /// The path of what is wrong with an order in JSON, and what is said of it.
    fn wrong(text: &str) -> (String, String) {
        let error = read(&message("CreateOrderRequest"), text.as_bytes()).unwrap_err();
        let status = error.into_status(str::to_owned);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "INVALID_FIELD");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        let [violation] = violations.as_slice() else {
            panic!("{violations:?}")
        };
        (violation.field.clone(), violation.description.clone())
    }

    #[test]
    fn a_text_has_so_many_values_and_no_more() {
        let order = |lines: usize| format!(r#"{{"lines":[{}]}}"#, vec!["{}"; lines].join(","));
        // The order, its list, and a line with what it might hold.
        assert_eq!(values(order(1).as_bytes()), 4);
        let most = (VALUES_MAX - 2) / 2;
        let read = read(&message("CreateOrderRequest"), order(most).as_bytes());
        assert!(read.is_ok());
        let told = format!("the JSON has more than {VALUES_MAX} values");
        assert_eq!(wrong(&order(most + 1)), (String::new(), told));
        // What stands in texts is none.
        assert_eq!(values(br#"{"a":"[,{\\\",,"}"#), 2);
        assert_eq!(values(br#"{"a":"\\","b":1}"#), 3);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_path() {
        for (text, path, told) in [
            ("", "", "EOF"),
            ("{", "", "EOF"),
            ("[]", "", "invalid type"),
            ("{} {}", "", "trailing characters"),
            ("{\"store_id\":\"\u{1}\"}", "store_id", "control character"),
            (r#"{"store":"demo"}"#, "store", "unrecognized field name"),
            (r#"{"storeId":7}"#, "storeId", "invalid type"),
            (r#"{"lines":{}}"#, "lines", "invalid type"),
            (
                r#"{"lines":[{"sku":"a"},{"sku":"b","quantity":"many"}]}"#,
                "lines[1].quantity",
                "invalid digit",
            ),
            (
                r#"{"lines":[{"sku":"a","goods":{"currencyCode":"EUR","cents":1}}]}"#,
                "lines[0].goods.cents",
                "unrecognized field name",
            ),
            (r#"{"metadata":{"a":1}}"#, "metadata.a", "invalid type"),
            (
                r#"{"lines":[{"quantity":1.5}]}"#,
                "lines[0].quantity",
                "expected integer",
            ),
        ] {
            let (field, description) = wrong(text);
            assert_eq!(field, path, "{text}: {description}");
            assert!(description.contains(told), "{text}: {description}");
        }
    }

    #[test]
    fn a_field_or_a_key_that_is_there_twice_is_named_by_its_path() {
        for (text, path) in [
            (r#"{"storeId":"demo","storeId":"demo"}"#, "storeId"),
            (r#"{"storeId":"demo","store_id":"other"}"#, "store_id"),
            (r#"{"storeId":null,"storeId":"demo"}"#, "storeId"),
            (r#"{"metadata":{"a":"1","b":"2","a":"3"}}"#, "metadata.a"),
            (
                r#"{"lines":[{"sku":"a"},{"goods":{"minorUnits":1,"currencyCode":"EUR","minor_units":2}}]}"#,
                "lines[1].goods.minor_units",
            ),
        ] {
            let (field, description) = wrong(text);
            assert_eq!(field, path, "{text}: {description}");
            assert!(description.contains("twice"), "{text}: {description}");
        }
        // A key may have the name of a field, and entries are one another's equals.
        let text = r#"{"storeId":"demo","metadata":{"storeId":"1","store_id":"2"},
            "lines":[{"sku":"a","quantity":1},{"sku":"a","quantity":1}]}"#;
        assert!(read(&message("CreateOrderRequest"), text.as_bytes()).is_ok());
    }

    #[test]
    fn a_name_that_an_enum_does_not_have_is_told_with_its_path() {
        let text = br#"{"storeId":"demo","orderId":"a","fact":"PAYMENT_FACT_STOLEN"}"#;
        let error = read(&message("RecordPaymentRequest"), text).unwrap_err();
        let CallError::InvalidFields { violations, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(violations[0].field, "fact");
        assert!(violations[0].description.contains("PAYMENT_FACT_STOLEN"));
    }

    #[test]
    fn both_names_of_a_field_are_read_and_the_one_of_json_is_written() {
        let of = message("Money");
        for text in [
            r#"{"currencyCode":"EUR","minorUnits":"1250"}"#,
            r#"{"currency_code":"EUR","minor_units":1250}"#,
        ] {
            let read = read(&of, text.as_bytes()).unwrap();
            let money = pb::Money::decode(read.encode_to_vec().as_slice()).unwrap();
            assert_eq!(
                (money.currency_code.as_str(), money.minor_units),
                ("EUR", 1_250)
            );
            let written = write(&read).unwrap();
            assert_eq!(written, r#"{"currencyCode":"EUR","minorUnits":"1250"}"#);
        }
    }

    #[test]
    fn a_default_value_is_written() {
        let empty = DynamicMessage::new(message("Money"));
        let written = write(&empty).unwrap();
        assert_eq!(written, r#"{"currencyCode":"","minorUnits":"0"}"#);
        let preview = DynamicMessage::new(message("PreviewCancellationResponse"));
        let written = write(&preview).unwrap();
        assert!(written.contains(r#""allowed":false"#), "{written}");
    }
}
