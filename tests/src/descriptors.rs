//! The protos as data: what their comments promise, so that tests can hold the server to it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::method_options::IdempotencyLevel;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::Code;

/// Field numbers in a `FileDescriptorProto`, of which the paths of comments are made.
const SERVICES: i32 = 6;
const METHODS: i32 = 2;
const ENUMS: i32 = 5;
const VALUES: i32 = 2;

/// One RPC.
#[derive(Debug, Clone)]
pub struct Rpc {
    pub service: String,
    pub name: String,
    pub comment: String,
    /// `None` where the proto does not say.
    pub idempotency: Option<IdempotencyLevel>,
    /// Whether the answer is a stream.
    pub streams: bool,
}

impl Rpc {
    /// Such as `OrderService/GetOrder`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }
}

/// One enum: its values in the order of the proto, as name, number and comment.
#[derive(Debug, Clone)]
pub struct Enum {
    pub name: String,
    pub values: Vec<(String, i32, String)>,
}

impl Enum {
    /// The values without the prefix that all have in common, and without UNSPECIFIED.
    pub fn short_names(&self) -> Vec<&str> {
        let unspecified = &self.values[0].0;
        let prefix = unspecified
            .strip_suffix("UNSPECIFIED")
            .expect("the first value is UNSPECIFIED");
        let short =
            |(name, _, _): &'_ (String, i32, String)| name.strip_prefix(prefix).map(str::len);
        self.values
            .iter()
            .skip(1)
            .map(|value| &value.0[value.0.len() - short(value).expect("one prefix")..])
            .collect()
    }
}

/// The promise in the comment of a value of `ErrorReason`.
#[derive(Debug, Clone)]
pub struct Reason {
    pub number: i32,
    pub code: Option<Code>,
    pub comment: String,
}

static FILES: LazyLock<Vec<FileDescriptorProto>> = LazyLock::new(|| {
    let set =
        FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).expect("a descriptor set");
    set.file
        .into_iter()
        .filter(|file| file.package() == "belay.v1")
        .collect()
});

/// Every message that a request may hold, by its full name with a dot before it.
static MESSAGES: LazyLock<BTreeMap<String, DescriptorProto>> = LazyLock::new(|| {
    let set =
        FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).expect("a descriptor set");
    let of_file = |file: FileDescriptorProto| {
        let package = file.package().to_owned();
        file.message_type
            .into_iter()
            .map(move |message| (format!(".{package}.{}", message.name()), message))
    };
    set.file.into_iter().flat_map(of_file).collect()
});

static REASONS: LazyLock<BTreeMap<String, Reason>> = LazyLock::new(|| {
    let reasons = enums()
        .into_iter()
        .find(|one| one.name == "ErrorReason")
        .expect("there is an ErrorReason");
    let reason = |(name, number, comment): (String, i32, String)| {
        let code = comment.split([' ', '.', ',']).next().and_then(code_of);
        (
            name.trim_start_matches("ERROR_REASON_").to_owned(),
            Reason {
                number,
                code,
                comment,
            },
        )
    };
    reasons.values.into_iter().skip(1).map(reason).collect()
});

/// Every RPC of `belay.v1`.
pub fn rpcs() -> Vec<Rpc> {
    let mut rpcs = Vec::new();
    for file in FILES.iter() {
        for (service, at) in file.service.iter().zip(0..) {
            for (method, method_at) in service.method.iter().zip(0..) {
                let level = method
                    .options
                    .as_ref()
                    .and_then(|options| options.idempotency_level);
                rpcs.push(Rpc {
                    service: service.name().to_owned(),
                    name: method.name().to_owned(),
                    comment: comment(file, &[SERVICES, at, METHODS, method_at]),
                    idempotency: level.and_then(|level| IdempotencyLevel::try_from(level).ok()),
                    streams: method.server_streaming(),
                });
            }
        }
    }
    rpcs
}

/// What is said of every RPC of a service, and of every call whatever its service.
pub fn shared_comments() -> Vec<String> {
    let mut comments = Vec::new();
    for file in FILES.iter() {
        comments.extend(
            file.service
                .iter()
                .zip(0..)
                .map(|(_, at)| comment(file, &[SERVICES, at])),
        );
        let reasons = file
            .enum_type
            .iter()
            .zip(0..)
            .filter(|(found, _)| found.name() == "ErrorReason");
        comments.extend(reasons.map(|(_, at)| comment(file, &[ENUMS, at])));
    }
    comments
}

/// Every enum of `belay.v1`.
pub fn enums() -> Vec<Enum> {
    let mut enums = Vec::new();
    for file in FILES.iter() {
        for (found, at) in file.enum_type.iter().zip(0..) {
            let values = found.value.iter().zip(0..);
            let value = |(value, value_at): (&prost_types::EnumValueDescriptorProto, i32)| {
                (
                    value.name().to_owned(),
                    value.number(),
                    comment(file, &[ENUMS, at, VALUES, value_at]),
                )
            };
            enums.push(Enum {
                name: found.name().to_owned(),
                values: values.map(value).collect(),
            });
        }
    }
    enums
}

/// Whether a path that a rejection names is one of the request: fields as they are called in the
/// protos, of lists with an index. Empty is the message as a whole. What stands below a policy's
/// `document` is a path in its YAML, and the headers that say who calls are named as they are.
pub fn is_field(method: &str, path: &str) -> bool {
    if path.is_empty()
        || path.starts_with("belay-")
        || path == "document"
        || path.starts_with("document.")
    {
        return true;
    }
    let (service, name) = method.split_once('/').expect("a service and a method");
    let services = FILES
        .iter()
        .flat_map(|file| &file.service)
        .find(|found| found.name() == service);
    let found =
        services.and_then(|service| service.method.iter().find(|method| method.name() == name));
    let mut message = found.map(|method| method.input_type().to_owned());
    for segment in path.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, index)) => (name, index.strip_suffix(']')),
            None => (segment, None),
        };
        let fields = message.as_deref().and_then(|message| MESSAGES.get(message));
        let Some(field) =
            fields.and_then(|message| message.field.iter().find(|field| field.name() == name))
        else {
            return false;
        };
        let is_index = index.is_some_and(|index| index.parse::<u32>().is_ok());
        if segment.contains('[') && !(is_index && field.label() == Label::Repeated) {
            return false;
        }
        message = field.type_name.clone();
    }
    true
}

/// A list that a request of an RPC may hold, with far too many entries in it.
#[derive(Debug, Clone)]
pub struct LongList {
    /// Such as `OrderService/CreateOrder`.
    pub method: String,
    pub streams: bool,
    /// Such as `shipments[0].contents`.
    pub path: String,
    pub request: Vec<u8>,
}

/// Every list of every request, however deep it stands, each with so many entries.
pub fn long_lists(entries: usize) -> Vec<LongList> {
    let mut found = Vec::new();
    for service in FILES.iter().flat_map(|file| &file.service) {
        for method in &service.method {
            let mut lists = Vec::new();
            find_lists(method.input_type(), "", entries, &mut lists);
            found.extend(lists.into_iter().map(|(path, request)| LongList {
                method: format!("{}/{}", service.name(), method.name()),
                streams: method.server_streaming(),
                path,
                request,
            }));
        }
    }
    found
}

/// The lists of a message and of what it holds, by path, with the bytes of the message.
fn find_lists(message: &str, prefix: &str, entries: usize, found: &mut Vec<(String, Vec<u8>)>) {
    let Some(message) = MESSAGES.get(message) else {
        return;
    };
    for field in &message.field {
        let path = format!("{prefix}{}", field.name());
        let number = u32::try_from(field.number()).expect("field numbers are positive");
        let is_list = field.label() == Label::Repeated;
        if is_list {
            let mut list = Vec::new();
            let is_packed = !matches!(field.r#type(), Type::String | Type::Bytes | Type::Message);
            if is_packed {
                put_bytes(number, &vec![1; entries], &mut list);
            } else if is_map(message, field) {
                // Entries under one key are one.
                for key in 0..entries {
                    let mut entry = Vec::new();
                    put_bytes(1, format!("k{key}").as_bytes(), &mut entry);
                    put_bytes(number, &entry, &mut list);
                }
            } else {
                (0..entries).for_each(|_| put_bytes(number, &[], &mut list));
            }
            found.push((path.clone(), list));
        }
        if field.r#type() == Type::Message {
            let mut inner = Vec::new();
            let path = if is_list {
                format!("{path}[0].")
            } else {
                format!("{path}.")
            };
            find_lists(field.type_name(), &path, entries, &mut inner);
            found.extend(inner.into_iter().map(|(path, bytes)| {
                let mut message = Vec::new();
                put_bytes(number, &bytes, &mut message);
                if is_list {
                    // Some lists have two entries at least, and are not walked before they have.
                    put_bytes(number, &[], &mut message);
                }
                (path, message)
            }));
        }
    }
}

/// Whether a field of a message is a map.
fn is_map(message: &DescriptorProto, field: &FieldDescriptorProto) -> bool {
    let is_entry = |nested: &&DescriptorProto| {
        let options = nested.options.as_ref();
        options.is_some_and(|options| options.map_entry())
    };
    let mut entries = message.nested_type.iter().filter(is_entry);
    entries.any(|entry| field.type_name().ends_with(&format!(".{}", entry.name())))
}

fn put_bytes(field: u32, bytes: &[u8], message: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, message);
    encode_varint(u64::try_from(bytes.len()).expect("a length"), message);
    message.extend_from_slice(bytes);
}

/// The values of `ErrorReason` by their short names.
pub fn reasons() -> &'static BTreeMap<String, Reason> {
    &REASONS
}

fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let found = locations.into_iter().find(|location| location.path == path);
    found
        .map(|location| {
            location
                .leading_comments()
                .replace('\n', " ")
                .trim()
                .to_owned()
        })
        .unwrap_or_default()
}

fn code_of(name: &str) -> Option<Code> {
    let codes = [
        ("INVALID_ARGUMENT", Code::InvalidArgument),
        ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
        ("UNAUTHENTICATED", Code::Unauthenticated),
        ("NOT_FOUND", Code::NotFound),
        ("ALREADY_EXISTS", Code::AlreadyExists),
        ("PERMISSION_DENIED", Code::PermissionDenied),
        ("RESOURCE_EXHAUSTED", Code::ResourceExhausted),
        ("FAILED_PRECONDITION", Code::FailedPrecondition),
        ("ABORTED", Code::Aborted),
        ("OUT_OF_RANGE", Code::OutOfRange),
        ("INTERNAL", Code::Internal),
        ("UNIMPLEMENTED", Code::Unimplemented),
        ("UNAVAILABLE", Code::Unavailable),
    ];
    codes
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, code)| code)
}

/// Holds a rejection to the comment of its reason: the code, and no metadata that is not told of.
#[track_caller]
pub fn check<'a>(code: Code, reason: &str, metadata: impl Iterator<Item = &'a String>) {
    let Some(promised) = reasons().get(reason) else {
        panic!("{reason:?} is not in ErrorReason")
    };
    assert_eq!(Some(code), promised.code, "the code of {reason}");
    let shared = &reasons()["NOT_ALLOWED"];
    let is_denial = (shared.number..=reasons()["LABEL_UNAVAILABLE_IN_REGION"].number)
        .contains(&promised.number);
    for key in metadata.map(|key| key.strip_suffix("_left_out").unwrap_or(key)) {
        let is_told = |reason: &Reason| {
            reason
                .comment
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == key)
        };
        assert!(
            is_told(promised) || (is_denial && is_told(shared)),
            "{reason} does not tell of the metadata {key}"
        );
    }
}
