//! The methods that can be called over HTTP, by their paths.

use std::collections::HashMap;
use std::sync::Arc;

use belay_wire::status::CallError;
use http::header::ALLOW;
use http::{Method as HttpMethod, StatusCode};
use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::failure::Refused;
use crate::rpc::is_read;

/// A method, as its descriptor says.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
    /// Whether the answer is a stream.
    pub(super) streams: bool,
    pub(super) is_read: bool,
}

/// All methods.
#[derive(Debug)]
pub(super) struct MethodTable {
    pool: DescriptorPool,
    by_path: HashMap<String, Arc<Method>>,
}

impl MethodTable {
    /// Those whose requests are a stream are for gRPC alone.
    pub(super) fn new(
        descriptor_sets: &[&[u8]],
        is_served: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let mut pool = DescriptorPool::new();
        for set in descriptor_sets {
            pool.decode_file_descriptor_set(*set)?;
        }
        let mut by_path = HashMap::new();
        for method in pool.services().flat_map(|service| {
            let methods: Vec<_> = service.methods().collect();
            methods
        }) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            if method.is_client_streaming() || !is_served(&path) {
                continue;
            }
            let known = Method {
                input: method.input(),
                output: method.output(),
                streams: method.is_server_streaming(),
                is_read: is_read(&path),
            };
            by_path.insert(path, Arc::new(known));
        }
        Ok(Self { pool, by_path })
    }

    /// The types of all messages, and of the details of errors.
    pub(super) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The method that a request calls.
    pub(super) fn called(&self, path: &str, by: &HttpMethod) -> Result<Arc<Method>, Refused> {
        let Some(method) = self.by_path.get(path) else {
            let unknown = Refused::from(CallError::MethodUnknown);
            return Err(unknown.with_status(StatusCode::NOT_FOUND));
        };
        if by != HttpMethod::POST {
            let failure = CallError::undecodable("a method is called by POST");
            let refused = Refused::from(failure).with_status(StatusCode::METHOD_NOT_ALLOWED);
            return Err(refused.with_header(ALLOW, "POST"));
        }
        Ok(method.clone())
    }
}
