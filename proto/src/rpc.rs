//! Each RPC as data: its path, its response, and whether it may be sent again. The generator writes
//! an implementation of [`Rpc`] or [`StreamRpc`] for each request message, and `RPCS` with those
//! of a package, so no other list of RPCs is kept by hand.

/// The idempotency of an RPC: whether it may be sent again when its outcome is unknown, by the
/// `idempotency_level` of its proto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// Yes: it only reads (`NO_SIDE_EFFECTS`).
    Read,
    /// Yes: a second time writes the same (`IDEMPOTENT`).
    Always,
    /// Yes, with the same request id (`IDEMPOTENT`, and the request has a `request_id`).
    ByRequestId,
    /// No: a second time has a second effect (no level is given).
    Never,
}

/// A unary RPC, named by its request message.
pub trait Rpc: prost::Message + Clone + 'static {
    /// The message that answers it.
    type Response: prost::Message + Default + 'static;

    /// The path of the HTTP request, such as `/belay.v1.OrderService/GetOrder`.
    const PATH: &'static str;

    /// Whether it may be sent again.
    const IDEMPOTENCY: Idempotency;

    /// Sets the request id of an RPC that is idempotent by it; has no effect on another.
    fn set_request_id(&mut self, _request_id: String) {}
}

/// An RPC in the list of its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcRow {
    /// The path of the HTTP request.
    pub path: &'static str,
    /// Whether it may be sent again.
    pub idempotency: Idempotency,
    /// Whether its response is a stream.
    pub streams: bool,
}

/// An RPC whose response is a stream, named by its request message. Such an RPC changes nothing,
/// and is begun anew from where its stream ended.
pub trait StreamRpc: prost::Message + Clone + 'static {
    /// A message of the stream.
    type Response: prost::Message + Default + 'static;

    /// The path of the HTTP request.
    const PATH: &'static str;
}
