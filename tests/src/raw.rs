//! Calls without the client: for requests that its types cannot express and for answers as they
//! stand on the wire.

use std::collections::BTreeMap;
use std::fmt::Debug;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::{HANG, descriptors};

/// A connection that sends any message to any method, in any role.
#[derive(Debug, Clone)]
pub struct Raw {
    channel: Channel,
}

/// A message that can be sent and shown.
pub trait AnyRequest: Message + Clone + Debug + Send + Sync + 'static {}

impl<Q: Message + Clone + Debug + Send + Sync + 'static> AnyRequest for Q {}

/// A message that is in bytes already.
#[derive(Debug, Clone, Default)]
pub struct Encoded(pub Vec<u8>);

impl Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: WireType,
        _: &mut impl Buf,
        _: DecodeContext,
    ) -> Result<(), DecodeError> {
        unreachable!("it is only sent")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// The refusal of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    /// `ErrorInfo.reason`; empty where there is none.
    pub reason: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Paths of the violated fields, as the server listed them.
    pub fields: Vec<String>,
    /// The same with what is wrong with each.
    pub violations: Vec<(String, String)>,
    /// Types and subjects of the failed preconditions.
    pub preconditions: Vec<(String, String)>,
    /// The bytes of `google.rpc.Status`.
    pub details: Vec<u8>,
    pub has_retry_info: bool,
}

impl Raw {
    /// Connects when it is first needed.
    pub fn to(address: std::net::SocketAddr) -> Self {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI");
        Self {
            channel: endpoint.connect_lazy(),
        }
    }

    /// Sends `request` to `method`, such as `OrderService/GetOrder`. `role` is the value of the
    /// header; empty sends none.
    pub async fn send<Q, A>(&self, role: &str, method: &str, request: Q) -> Result<A, Status>
    where
        Q: AnyRequest,
        A: Message + Default + Send + Sync + 'static,
    {
        let (mut grpc, request, path) = self.prepare(role, method, request).await?;
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        Ok(grpc.unary(request, path, codec).await?.into_inner())
    }

    /// Sends `request` with more headers, and gives the headers of the answer beside it.
    pub async fn send_with<Q, A>(
        &self,
        role: &str,
        method: &str,
        request: Q,
        headers: &[(&'static str, &str)],
    ) -> Result<(A, MetadataMap), Status>
    where
        Q: AnyRequest,
        A: Message + Default + Send + Sync + 'static,
    {
        let (mut grpc, mut request, path) = self.prepare(role, method, request).await?;
        for (name, value) in headers {
            let value = value.parse().expect("a header is ASCII");
            request.metadata_mut().append(*name, value);
        }
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let (headers, answer, _) = grpc.unary(request, path, codec).await?.into_parts();
        Ok((answer, headers))
    }

    /// Opens a stream and reads nothing of it.
    pub async fn open<Q: AnyRequest>(
        &self,
        role: &str,
        method: &str,
        request: Q,
    ) -> Result<(), Status> {
        let (mut grpc, request, path) = self.prepare(role, method, request).await?;
        let codec: ProstCodec<Q, ()> = ProstCodec::default();
        grpc.server_streaming(request, path, codec).await?;
        Ok(())
    }

    async fn prepare<Q>(
        &self,
        role: &str,
        method: &str,
        request: Q,
    ) -> Result<(Grpc<Channel>, Request<Q>, PathAndQuery), Status> {
        let mut request = Request::new(request);
        request.set_timeout(HANG);
        if !role.is_empty() {
            request
                .metadata_mut()
                .insert("belay-role", role.parse().expect("a role is ASCII"));
            request
                .metadata_mut()
                .insert("belay-actor", MetadataValue::from_static(actor(role)));
        }
        let path: PathAndQuery = format!("/belay.v1.{method}")
            .parse()
            .expect("a method makes a path");
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok((grpc, request, path))
    }

    /// Sends a request that must be refused.
    pub async fn refused<Q: AnyRequest>(&self, role: &str, method: &str, request: Q) -> Refused {
        match self.send::<Q, ()>(role, method, request.clone()).await {
            Ok(()) => panic!("{method} took {request:?}"),
            Err(status) => {
                let refused = Refused::of(&status);
                for field in &refused.fields {
                    assert!(
                        descriptors::is_field(method, field),
                        "{method} has no field {field:?}: {refused:?}"
                    );
                }
                refused
            }
        }
    }
}

/// Who has the standard order in this role: what a seller, a warehouse or a carrier sees follows
/// from its name.
fn actor(role: &str) -> &'static str {
    match role {
        "seller" => "acme",
        "warehouse" => "main",
        "carrier" => "standard",
        _ => "raw",
    }
}

impl Refused {
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        if let Some(info) = info {
            assert_eq!(info.domain, "belay", "{status:?}");
            descriptors::check(status.code(), &info.reason, info.metadata.keys());
        }
        let violations = details
            .bad_request()
            .into_iter()
            .flat_map(|bad| &bad.field_violations);
        let violations: Vec<(String, String)> = violations
            .map(|violation| (violation.field.clone(), violation.description.clone()))
            .collect();
        let preconditions = details
            .precondition_failure()
            .into_iter()
            .flat_map(|failure| &failure.violations);
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: info
                .into_iter()
                .flat_map(|info| info.metadata.clone())
                .collect(),
            fields: violations.iter().map(|(field, _)| field.clone()).collect(),
            violations,
            preconditions: preconditions
                .map(|one| (one.r#type.clone(), one.subject.clone()))
                .collect(),
            details: status.details().to_vec(),
            has_retry_info: details.retry_info().is_some(),
        }
    }

    /// Code and reason together, as the contract has them.
    pub fn what(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }
}
