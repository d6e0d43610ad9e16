//! What is called, as those who watch are told it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

use crate::auth;
use crate::telemetry::calls::Called;

/// The method of this path; none where the server has no such method.
pub(super) fn called(path: &str) -> Option<Called> {
    CALLED.get(path).copied()
}

static CALLED: LazyLock<HashMap<&'static str, Called>> = LazyLock::new(|| {
    let reads = paths_of_reads();
    let called = |path: &'static str| {
        let called = Called {
            method: path.trim_start_matches('/'),
            is_read: reads.contains(path),
        };
        (path, called)
    };
    auth::paths().map(called).collect()
});

/// Of the methods that the protos say have no side effects.
fn paths_of_reads() -> HashSet<String> {
    let mut reads = HashSet::new();
    for set in [
        belay_proto::FILE_DESCRIPTOR_SET,
        belay_proto::testing::FILE_DESCRIPTOR_SET,
    ] {
        // They are compiled in, and a test reads them.
        let set = FileDescriptorSet::decode(set).unwrap_or_default();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let level = method.options.as_ref().map(|o| o.idempotency_level());
                    if level == Some(IdempotencyLevel::NoSideEffects) {
                        let (package, service) = (file.package(), service.name());
                        reads.insert(format!("/{package}.{service}/{}", method.name()));
                    }
                }
            }
        }
    }
    reads
}
