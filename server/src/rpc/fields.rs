//! The number of fields of a message, at all its depths, before it is decoded.
//!
//! A field may have two bytes on the wire and well over a hundred decoded: half a million empty
//! lines are an order of 1 MiB for who sends it, and 100 MiB for who reads it to say that they are
//! too many. Each list has its own bound behind this one, and says which list it is.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::LazyLock;

use belay_wire::status::CallError;
use flate2::bufread::GzDecoder;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

/// Fields of a message with those of the messages in it, entries of lists and maps each for itself.
pub const FIELDS_MAX: usize = 65_536;
/// The fewest bytes of a field: what has no more than so many of them all need not be counted.
const FIELD_BYTES_MIN: usize = 2;
/// Messages in messages, at most: what decodes them goes no deeper either.
const DEPTH_MAX: usize = 100;

/// The requests of our methods, by path.
static INPUTS: LazyLock<HashMap<String, MessageDescriptor>> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    for set in [
        belay_proto::FILE_DESCRIPTOR_SET,
        belay_proto::testing::FILE_DESCRIPTOR_SET,
    ] {
        let added = pool.decode_file_descriptor_set(set);
        added.expect("the descriptors that are built in can be read");
    }
    let services: Vec<_> = pool.services().collect();
    let methods = services.iter().flat_map(|service| service.methods());
    methods
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            (path, method.input())
        })
        .collect()
});

/// The bound of one call's message.
#[derive(Debug)]
pub(super) struct FieldBound {
    input: &'static MessageDescriptor,
    /// Whether messages that are compressed are so by gzip.
    is_gzip: bool,
}

impl FieldBound {
    /// Of the method of this path, if we have it.
    pub(super) fn of(path: &str, is_gzip: bool) -> Option<Self> {
        let input = INPUTS.get(path)?;
        Some(Self { input, is_gzip })
    }

    /// Checks a message. What cannot be read is left to who decodes it, which says what is wrong
    /// with it.
    ///
    /// # Errors
    /// Where it has too many fields.
    pub(super) fn check(
        &self,
        message: &[u8],
        is_compressed: bool,
        bytes_max: usize,
    ) -> Result<(), CallError> {
        if !is_compressed {
            return self.count(message);
        }
        let mut inflated = Vec::new();
        let max = u64::try_from(bytes_max + 1).unwrap_or(u64::MAX);
        let mut reader = GzDecoder::new(message).take(max);
        if self.is_gzip && reader.read_to_end(&mut inflated).is_ok() && inflated.len() <= bytes_max
        {
            self.count(&inflated)?;
        }
        Ok(())
    }

    fn count(&self, message: &[u8]) -> Result<(), CallError> {
        let mut left = FIELDS_MAX;
        let is_short = message.len() <= FIELDS_MAX * FIELD_BYTES_MIN;
        if is_short || is_within(&mut left, self.input, message, DEPTH_MAX) {
            return Ok(());
        }
        Err(CallError::undecodable(&format!(
            "the message has more than {FIELDS_MAX} fields, those of the messages in it included"
        )))
    }
}

/// Takes the fields of a message off those that are left. False where there are not as many left.
fn is_within(
    left: &mut usize,
    message: &MessageDescriptor,
    mut bytes: &[u8],
    depth: usize,
) -> bool {
    while !bytes.is_empty() {
        let Some(fewer) = left.checked_sub(1) else {
            return false;
        };
        *left = fewer;
        let Ok((tag, wire_type)) = decode_key(&mut bytes) else {
            return true;
        };
        if wire_type != WireType::LengthDelimited {
            if skip_field(wire_type, tag, &mut bytes, DecodeContext::default()).is_err() {
                return true;
            }
            continue;
        }
        let length = decode_varint(&mut bytes).ok();
        let length = length.and_then(|length| usize::try_from(length).ok());
        let Some((inside, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
            return true;
        };
        bytes = rest;
        let kind = message.get_field(tag).map(|field| field.kind());
        if let Some(Kind::Message(of)) = kind
            && depth > 0
            && !is_within(left, &of, inside, depth - 1)
        {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use belay_proto::v1 as pb;
    use belay_wire::status::MESSAGE_BYTES_MAX;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use prost::Message as _;

    use super::*;

    const CREATE: &str = "/belay.v1.OrderService/CreateOrder";

    /// An order of so many empty lines.
    fn lines(lines: usize) -> Vec<u8> {
        pb::CreateOrderRequest {
            lines: vec![pb::NewLine::default(); lines],
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn is_taken(message: &[u8]) -> bool {
        let bound = FieldBound::of(CREATE, false).unwrap();
        bound.check(message, false, MESSAGE_BYTES_MAX).is_ok()
    }

    #[test]
    fn a_message_has_so_many_fields_and_no_more() {
        assert!(is_taken(&lines(FIELDS_MAX)));
        assert!(!is_taken(&lines(FIELDS_MAX + 1)));
        let contents = |contents: usize| {
            let shipment = pb::NewShipment {
                contents: vec![pb::NewShipmentContent::default(); contents],
                ..Default::default()
            };
            pb::CreateOrderRequest {
                shipments: vec![shipment],
                ..Default::default()
            }
            .encode_to_vec()
        };
        assert!(is_taken(&contents(FIELDS_MAX - 1)), "and the shipment");
        assert!(!is_taken(&contents(FIELDS_MAX)));
    }

    #[test]
    fn what_is_compressed_is_counted_as_it_is_decoded() {
        let compressed = |message: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        };
        let bound = FieldBound::of(CREATE, true).unwrap();
        let check = |message: &[u8], bytes_max| bound.check(message, true, bytes_max).is_ok();
        let (fits, too_many) = (compressed(&lines(1)), compressed(&lines(FIELDS_MAX + 1)));
        assert!(check(&fits, MESSAGE_BYTES_MAX));
        assert!(!check(&too_many, MESSAGE_BYTES_MAX));
        // These are refused by who decodes them.
        assert!(check(&too_many, 1_000));
        assert!(check(b"no gzip", MESSAGE_BYTES_MAX));
    }

    #[test]
    fn what_is_no_message_is_left_to_who_decodes_it() {
        assert!(FieldBound::of("/belay.v1.OrderService/Gone", false).is_none());
        let long = vec![0xff; 3 * FIELDS_MAX];
        assert!(is_taken(&long));
        // Texts are no messages, however they look.
        let note = pb::CreateOrderRequest {
            order_id: "\n\0".repeat(FIELDS_MAX),
            ..Default::default()
        };
        assert!(is_taken(&note.encode_to_vec()));
    }
}
