//! The protocol of Belay: the packages `belay.v1` and `belay.testing.v1` and the code generated
//! from them.
//!
//! The protos under `proto/belay` are the manual; this crate adds nothing to them. It knows neither
//! the server nor the client. The messages, [`rpc::Rpc`] and the codec are always there; features
//! add the rest: `server` the service traits, `client` the stubs, `descriptors` the descriptor
//! sets.
//!
//! The generated code is committed, so that a user of the client builds no proto compiler.
//! `make proto` generates it anew, and a test fails while it is out of date.

pub mod codec;
pub mod rpc;
mod selection;

/// The package `belay.v1`.
// `include!` and not a module: rustfmt leaves the generated code alone.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    rustdoc::all,
    reason = "generated code"
)]
pub mod v1 {
    include!("generated/belay.v1.rs");
    include!("generated/belay.v1.rpcs.rs");
}

/// The package `belay.testing.v1`, which only a server with the manual clock offers.
pub mod testing {
    /// The package `belay.testing.v1`.
    #[allow(
        missing_debug_implementations,
        unreachable_pub,
        clippy::all,
        clippy::as_conversions,
        clippy::wildcard_enum_match_arm,
        rustdoc::all,
        reason = "generated code"
    )]
    pub mod v1 {
        include!("generated/belay.testing.v1.rs");
        include!("generated/belay.testing.v1.rpcs.rs");
    }

    /// The same as [`FILE_DESCRIPTOR_SET`](crate::FILE_DESCRIPTOR_SET), of `belay.testing.v1`.
    #[cfg(feature = "descriptors")]
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/belay.testing.v1.binpb");
}

/// An encoded `google.protobuf.FileDescriptorSet` of everything that the server speaks of in
/// `belay.v1`: the protos with their comments, the well-known types they import, and the error
/// details of `google.rpc`. It is for reflection, and for tests that go over the whole contract.
// Committed like the code and not made by a build script of the server's: one generator and one
// test keep code and descriptors in step, and the server builds no proto compiler either.
#[cfg(feature = "descriptors")]
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/belay.v1.binpb");
