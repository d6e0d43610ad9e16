//! The protocol of Belay: the packages `belay.v1` and `belay.testing.v1` and the code generated
//! from them.
//!
//! The protos under `proto/belay` are the manual; this crate adds nothing to them. It knows neither
//! the server nor the client. The features `server` and `client` switch the generated service
//! traits and stubs on; the messages are always there.

/// The package `belay.v1`.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_enum_match_arm,
    rustdoc::all,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("belay.v1");
}

/// The package `belay.testing.v1`, which only a server with the manual clock offers.
pub mod testing {
    /// The package `belay.testing.v1`.
    #[allow(
        missing_debug_implementations,
        unreachable_pub,
        clippy::all,
        clippy::wildcard_enum_match_arm,
        rustdoc::all,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("belay.testing.v1");
    }

    /// The same as [`FILE_DESCRIPTOR_SET`](crate::FILE_DESCRIPTOR_SET), of `belay.testing.v1`.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/belay_testing.binpb"));
}

/// Everything the server speaks of in `belay.v1`, with comments, the well-known types it imports,
/// and the error details of `google.rpc`: an encoded `google.protobuf.FileDescriptorSet`, for
/// reflection and for tests that go over the whole contract.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/belay.binpb"));
