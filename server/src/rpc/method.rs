//! The name of the method that is called, as telemetry tells it.

use belay_proto::rpc::Idempotency;
use belay_proto::{testing, v1};

use super::personal::personal;
use crate::telemetry::calls::Called;

/// The method of this path; none where the server has no such method.
pub(super) fn called(path: &str) -> Option<Called> {
    let mut rpcs = v1::RPCS.iter().chain(testing::v1::RPCS);
    let rpc = rpcs.find(|rpc| rpc.path == path)?;
    Some(Called {
        method: rpc.path.trim_start_matches('/'),
        is_read: rpc.idempotency == Idempotency::Read,
        streams: rpc.streams,
        personal: personal(rpc.path),
    })
}

/// Whether a call of this path reads and changes nothing.
pub(crate) fn is_read(path: &str) -> bool {
    called(path).is_some_and(|called| called.is_read)
}
