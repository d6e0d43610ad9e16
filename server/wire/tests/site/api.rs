//! The reference of the API: every service, method, message, field and enum with its comment, a
//! page a file of the protos.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use crate::protos::{
    ENUMS, FIELDS, MESSAGES, METHODS, ONEOFS, SERVICES, VALUES, comment, files, markdown,
};
use crate::{MADE, Pages, cell};

/// The page of each message and enum, by its name with the package.
type Places = BTreeMap<String, String>;

fn stem(file: &FileDescriptorProto) -> &str {
    let name = file.name().rsplit('/').next().unwrap_or_default();
    name.trim_end_matches(".proto")
}

fn places() -> Places {
    let mut places = Places::new();
    for file in files() {
        let messages = file.message_type.iter().map(DescriptorProto::name);
        let enums = file.enum_type.iter().map(|found| found.name());
        for name in messages.chain(enums) {
            let before = places.insert(format!(".belay.v1.{name}"), stem(file).to_owned());
            assert_eq!(before, None, "{name} is there twice");
        }
    }
    places
}

/// A link to a message or enum, or its name where it is not ours.
fn link(full_name: &str, places: &Places) -> String {
    let name = full_name.rsplit('.').next().unwrap_or_default();
    match places.get(full_name) {
        Some(page) => format!("[{name}]({page}.md#{})", name.to_lowercase()),
        None => full_name.trim_start_matches('.').to_owned(),
    }
}

fn type_of(field: &FieldDescriptorProto, message: &DescriptorProto, places: &Places) -> String {
    let is_named = matches!(field.r#type(), Type::Message | Type::Enum);
    let one = if is_named {
        let entry = message.nested_type.iter().find(|nested| {
            let is_map = nested.options.as_ref().is_some_and(|it| it.map_entry());
            is_map && field.type_name().ends_with(&format!(".{}", nested.name()))
        });
        if let Some(entry) = entry {
            let [key, value] = &entry.field[..] else {
                panic!("{} has a key and a value", entry.name())
            };
            let (key, value) = (type_of(key, entry, places), type_of(value, entry, places));
            return format!("map of {key} to {value}");
        }
        link(field.type_name(), places)
    } else {
        let name = field.r#type().as_str_name();
        name.trim_start_matches("TYPE_").to_lowercase()
    };
    let is_list = field.label() == Label::Repeated;
    let is_optional = field.proto3_optional();
    match (is_list, is_optional) {
        (true, _) => format!("list of {one}"),
        (false, true) => format!("optional {one}"),
        (false, false) => one,
    }
}

fn of_message(
    out: &mut String,
    file: &FileDescriptorProto,
    (message, at): (&DescriptorProto, i32),
    places: &Places,
) {
    let _ = write!(
        out,
        "\n## {}\n\n{}\n",
        message.name(),
        markdown(&comment(file, &[MESSAGES, at]))
    );
    if message.field.is_empty() {
        out.push_str("\nIt has no fields.\n");
        return;
    }
    out.push_str("\n| Field | Type | |\n|---|---|---|\n");
    for (field, field_at) in message.field.iter().zip(0..) {
        let mut said = cell(&comment(file, &[MESSAGES, at, FIELDS, field_at]));
        if let Some(oneof) = field.oneof_index.filter(|_| !field.proto3_optional()) {
            let index = usize::try_from(oneof).expect("an index");
            let name = message.oneof_decl[index].name();
            let choice = cell(&comment(file, &[MESSAGES, at, ONEOFS, oneof]));
            said = format!("{said}<br>*One of `{name}`: {choice}*");
        }
        let _ = writeln!(
            out,
            "| `{}` | {} | {said} |",
            field.name(),
            type_of(field, message, places)
        );
    }
}

fn of_services(out: &mut String, file: &FileDescriptorProto, places: &Places) {
    for (service, at) in file.service.iter().zip(0..) {
        let _ = write!(
            out,
            "\n## {}\n\n{}\n",
            service.name(),
            markdown(&comment(file, &[SERVICES, at]))
        );
        for (method, method_at) in service.method.iter().zip(0..) {
            let stream = if method.server_streaming() {
                "a stream of "
            } else {
                ""
            };
            let level = method
                .options
                .as_ref()
                .map_or("", |options| options.idempotency_level().as_str_name());
            let _ = write!(
                out,
                "\n### {}\n\nTakes {}, gives {stream}{}. `{level}`.\n\n{}\n",
                method.name(),
                link(method.input_type(), places),
                link(method.output_type(), places),
                markdown(&comment(file, &[SERVICES, at, METHODS, method_at])),
            );
        }
    }
}

fn page(file: &FileDescriptorProto, places: &Places) -> String {
    let mut out = format!("# {}\n\n{MADE}", file.name());
    of_services(&mut out, file, places);
    for message in file.message_type.iter().zip(0..) {
        of_message(&mut out, file, message, places);
    }
    for (found, at) in file.enum_type.iter().zip(0..) {
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\n| Value | Number | |\n|---|---|---|\n",
            found.name(),
            markdown(&comment(file, &[ENUMS, at]))
        );
        for (value, value_at) in found.value.iter().zip(0..) {
            let said = cell(&comment(file, &[ENUMS, at, VALUES, value_at]));
            let _ = writeln!(out, "| `{}` | {} | {said} |", value.name(), value.number());
        }
    }
    out
}

fn index() -> String {
    let mut out = format!(
        "# API\n\n{MADE}\n\
         The comments of the protos, as they stand in `proto/belay/v1`. Reflection gives out the same.\n\n\
         | Service | Calls |\n|---|---|\n"
    );
    for file in files() {
        for service in &file.service {
            let calls = service.method.iter().map(|method| {
                let anchor = method.name().to_lowercase();
                format!("[{}]({}.md#{anchor})", method.name(), stem(file))
            });
            let calls = calls.collect::<Vec<_>>().join(", ");
            let _ = writeln!(out, "| [{}]({}.md) | {calls} |", service.name(), stem(file));
        }
    }
    out.push_str("\n| File | Messages and enums |\n|---|---|\n");
    for file in files().iter().filter(|file| file.service.is_empty()) {
        let messages = file.message_type.iter().map(DescriptorProto::name);
        let enums = file.enum_type.iter().map(|found| found.name());
        let names = messages.chain(enums);
        let names =
            names.map(|name| format!("[{name}]({}.md#{})", stem(file), name.to_lowercase()));
        let names = names.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "| [{}]({}.md) | {names} |", file.name(), stem(file));
    }
    out
}

pub(crate) fn write(pages: &mut Pages) {
    let places = places();
    for file in files() {
        let path = format!("reference/api/{}.md", stem(file));
        pages.insert(path, page(file, &places));
    }
    pages.insert("reference/api/index.md".to_owned(), index());
}
