//! The protos with their comments, as pages need them.

use std::sync::LazyLock;

use belay_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};

/// Field numbers in descriptors, of which the paths of comments are made.
pub(crate) const MESSAGES: i32 = 4;
pub(crate) const ENUMS: i32 = 5;
pub(crate) const SERVICES: i32 = 6;
pub(crate) const METHODS: i32 = 2;
pub(crate) const FIELDS: i32 = 2;
pub(crate) const VALUES: i32 = 2;
pub(crate) const ONEOFS: i32 = 8;

static FILES: LazyLock<Vec<FileDescriptorProto>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the descriptors");
    let ours = |file: &FileDescriptorProto| file.package() == "belay.v1";
    set.file.into_iter().filter(ours).collect()
});

/// Every file of `belay.v1`.
pub(crate) fn files() -> &'static [FileDescriptorProto] {
    &FILES
}

/// The comment of what is at this path of a file, with its line breaks.
pub(crate) fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let mut locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let found = locations.find(|location| location.path == path);
    let comment = found.map(|location| location.leading_comments());
    let lines = comment.unwrap_or_default().lines();
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The paragraphs of a comment and the entries of its lists, each in one line.
pub(crate) fn blocks(comment: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in comment.lines() {
        let text = line.trim();
        match blocks.last_mut() {
            Some(block) if goes_on && !text.is_empty() && !text.starts_with("- ") => {
                block.push(' ');
                block.push_str(text);
            }
            _ if text.is_empty() => {}
            _ => blocks.push(text.to_owned()),
        }
        goes_on = !text.is_empty();
    }
    blocks
}

/// The comment as Markdown.
pub(crate) fn markdown(comment: &str) -> String {
    let mut out = String::new();
    let mut was_entry = false;
    for block in blocks(comment) {
        let is_entry = block.starts_with("- ");
        if !out.is_empty() {
            out.push_str(if is_entry && was_entry { "\n" } else { "\n\n" });
        }
        out.push_str(&crate::escaped(&block));
        was_entry = is_entry;
    }
    out
}

/// One RPC with what it belongs to.
pub(crate) struct Rpc {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) comment: String,
    pub(crate) method: &'static MethodDescriptorProto,
}

impl Rpc {
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }

    /// A write may have happened although its answer is lost.
    pub(crate) fn is_write(&self) -> bool {
        let level = self.method.options.as_ref();
        level.is_none_or(|options| options.idempotency_level() != IdempotencyLevel::NoSideEffects)
    }
}

/// Every RPC, in the order of the files.
pub(crate) fn rpcs() -> Vec<Rpc> {
    let mut rpcs = Vec::new();
    for file in files() {
        for (service, at) in file.service.iter().zip(0..) {
            for (method, method_at) in service.method.iter().zip(0..) {
                rpcs.push(Rpc {
                    service: service.name(),
                    name: method.name(),
                    comment: comment(file, &[SERVICES, at, METHODS, method_at]),
                    method,
                });
            }
        }
    }
    rpcs
}

/// What is said of every RPC of a service, by its name.
pub(crate) fn services() -> Vec<(&'static str, String)> {
    let mut services = Vec::new();
    for file in files() {
        for (service, at) in file.service.iter().zip(0..) {
            services.push((service.name(), comment(file, &[SERVICES, at])));
        }
    }
    services
}
