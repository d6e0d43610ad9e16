//! The methods as an OpenAPI document, for those who know HTTP and no protos: made of the
//! descriptors and their comments, so that it says what the protos say.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor,
};
use serde_json::{Map, Value, json};

/// The error that all methods answer.
const ERROR: &str = "connect.Error";

/// The document, of the methods whose paths are served.
pub fn document(pool: &DescriptorPool, is_served: impl Fn(&str) -> bool) -> Value {
    let comments = Comments::of(pool);
    let mut schemas = Schemas {
        comments: &comments,
        written: BTreeMap::new(),
        missing: BTreeMap::new(),
    };
    schemas.written.insert(ERROR.to_owned(), error_schema());
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    let mut services: Vec<_> = pool.services().collect();
    services.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    for service in services {
        let served: Vec<_> = service
            .methods()
            .map(|method| {
                (
                    format!("/{}/{}", service.full_name(), method.name()),
                    method,
                )
            })
            .filter(|(path, method)| !method.is_client_streaming() && is_served(path))
            .collect();
        if served.is_empty() {
            continue;
        }
        let file = service.parent_file();
        tags.push(json!({
            "name": service.full_name(),
            "description": comments.of_item(&file, service.path()),
        }));
        for (path, method) in served {
            paths.insert(path, json!({"post": operation(&method, &mut schemas)}));
        }
    }
    schemas.write_missing();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Belay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Orders and their cancellation. Each method is a POST of its message, by the Connect \
                protocol. Fields are written as lowerCamelCase and read as they are in the protos, too.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": tags,
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.written,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// A method. What is in a stream is said of each of its messages.
fn operation(method: &MethodDescriptor, schemas: &mut Schemas<'_>) -> Value {
    let content_type = if method.is_server_streaming() {
        "application/connect+json"
    } else {
        "application/json"
    };
    let description = schemas
        .comments
        .of_item(&method.parent_file(), method.path());
    let service = method.parent_service();
    let answered = if method.is_server_streaming() {
        "Messages in envelopes: one byte of flags, four of length, and the JSON. The last has the flag 2 and says \
         how the stream ended."
    } else {
        "The answer."
    };
    json!({
        "operationId": format!("{}_{}", service.name(), method.name()),
        "tags": [service.full_name()],
        "description": description,
        "parameters": [{
            "name": "Connect-Timeout-Ms",
            "in": "header",
            "description": "Milliseconds in which the answer counts: 10000 where it is not given, 60000 at most.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_u64},
        }],
        "requestBody": {
            "required": true,
            "content": {content_type: {"schema": schemas.message(&method.input())}},
        },
        "responses": {
            "200": {
                "description": answered,
                "content": {content_type: {"schema": schemas.message(&method.output())}},
            },
            "default": {
                "description": "The call was refused or failed.",
                "content": {"application/json": {"schema": reference(ERROR)}},
            },
        },
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "description": "An error, whose HTTP status goes with its code.",
        "required": ["code"],
        "properties": {
            "code": {"type": "string", "description": "Such as not_found."},
            "message": {"type": "string", "description": "For people. Its wording may change."},
            "details": {"type": "array", "items": {
                "type": "object",
                "required": ["type", "value"],
                "properties": {
                    "type": {"type": "string", "description": "Such as google.rpc.ErrorInfo."},
                    "value": {"type": "string", "contentEncoding": "base64", "description": "The detail as protobuf."},
                    "debug": {"description": "The same as JSON: of an ErrorInfo, reason and metadata."},
                },
            }},
        },
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schemas of messages and enums that are spoken of.
struct Schemas<'a> {
    comments: &'a Comments,
    written: BTreeMap<String, Value>,
    /// Spoken of and not written yet: messages hold each other.
    missing: BTreeMap<String, Named>,
}

/// A type with a name.
enum Named {
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

impl Named {
    fn name(&self) -> &str {
        match self {
            Named::Message(message) => message.full_name(),
            Named::Enum(of) => of.full_name(),
        }
    }
}

impl Schemas<'_> {
    fn write_missing(&mut self) {
        while let Some((name, named)) = self.missing.pop_first() {
            let schema = match &named {
                Named::Message(message) => self.of_message(message),
                Named::Enum(of) => self.of_enum(of),
            };
            self.written.insert(name, schema);
        }
    }

    fn refer(&mut self, named: Named) -> Value {
        let name = named.name().to_owned();
        let reference = reference(&name);
        // The one that is written now may hold itself.
        if !self.written.contains_key(&name) {
            self.written.insert(name.clone(), Value::Null);
            self.missing.insert(name, named);
        }
        reference
    }

    /// A message, where it is spoken of. Those of `google.protobuf` have a JSON of their own.
    fn message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
            "google.protobuf.Duration" => {
                json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"})
            }
            _ => self.refer(Named::Message(message.clone())),
        }
    }

    fn of_message(&mut self, message: &MessageDescriptor) -> Value {
        let file = message.parent_file();
        let mut description = self.comments.of_item(&file, message.path());
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let names: Vec<String> = oneof
                .fields()
                .map(|field| field.json_name().to_owned())
                .collect();
            description.push_str(&format!(
                "\n\nOne of these may be set: {}.",
                names.join(", ")
            ));
        }
        let mut properties = Map::new();
        for field in message.fields() {
            let mut schema = self.of_field(&field);
            let told = self.comments.of_item(&file, field.path());
            if !told.is_empty() {
                schema["description"] = Value::String(told);
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        json!({"type": "object", "description": description.trim(), "properties": properties})
    }

    fn of_enum(&self, of: &EnumDescriptor) -> Value {
        let file = of.parent_file();
        let mut description = self.comments.of_item(&file, of.path());
        let names: Vec<String> = of.values().map(|value| value.name().to_owned()).collect();
        for value in of.values() {
            let told = self.comments.of_item(&file, value.path());
            if !told.is_empty() {
                description.push_str(&format!("\n\n- `{}`: {told}", value.name()));
            }
        }
        json!({"type": "string", "description": description.trim(), "enum": names})
    }

    fn of_field(&mut self, field: &FieldDescriptor) -> Value {
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let value = entry.map_entry_value_field();
            return json!({"type": "object", "additionalProperties": self.of_kind(&value.kind())});
        }
        let one = self.of_kind(&field.kind());
        if field.is_list() {
            json!({"type": "array", "items": one})
        } else {
            one
        }
    }

    fn of_kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Message(message) => self.message(message),
            Kind::Enum(of) => self.refer(Named::Enum(of.clone())),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0}),
            // A number as text, which JavaScript would round; it may be sent as a number, too.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": ["string", "integer"], "format": "int64"})
            }
        }
    }
}

/// The comments of all files, by the paths of what they are about.
struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.files() {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            for location in info.into_iter().flat_map(|info| &info.location) {
                let lines = location.leading_comments().lines().map(str::trim);
                let text = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
                if !text.is_empty() {
                    comments.insert((file.name().to_owned(), location.path.clone()), text);
                }
            }
        }
        Self(comments)
    }

    /// Empty where there is none.
    fn of_item(&self, file: &FileDescriptor, path: &[i32]) -> String {
        let key = (file.name().to_owned(), path.to_vec());
        self.0.get(&key).cloned().unwrap_or_default()
    }
}
