//! A Belay server in the process of a test.
//!
//! It decides with the code that the server decides with: the rules of orders and cancellations,
//! the policies, the checks of requests, the errors. In place of MySQL it keeps everything in
//! memory, and in place of a socket it takes calls from a client in the same process. It starts in
//! well under a millisecond.
//!
//! ```
//! use std::time::Duration;
//!
//! use belay_client::model::OrderState;
//! use belay_client::{Units, reason};
//! use belay_testing::{Fault, Server, place_paid};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), belay_client::Error> {
//! let server = Server::start().await;
//! let store = server.store("demo", "independent-site").await?;
//! place_paid(&store, "A-1").await?;
//!
//! // The reply is lost, the client asks again under the same request id, and one effect remains.
//! server.inject("RequestCancellation", Fault::LostReply);
//! let request = store.request_cancellation("A-1", Units::all()).reason(reason::NO_LONGER_WANTED);
//! let cancelled = request.await?.cancellation;
//! assert_eq!(cancelled.expected_refund.total.minor_units, 2_990);
//!
//! // An order that nobody pays closes by itself, as soon as the clock says so.
//! let order = store.get_order("A-1").await?;
//! assert_eq!(order.state, OrderState::Cancelled);
//! server.advance(Duration::from_secs(3600));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does and does not
//! - It serves every RPC of the client, streams included, with the roles and scopes of a
//!   development server: who names no role is the operator.
//! - What is due is applied when its time has come by the server's clock: by the next call, or by
//!   [`Server::advance`].
//! - Stock, seller quality and the feed follow at once; bulk cancellations run as fast as they can.
//! - Whatever is in it ends with it. It has no limit of load, and nothing is ever pruned.
//!
//! A test of Belay's own sends the same random calls to it and to the server on MySQL, and compares
//! every answer byte by byte.
//!
//! In a debug build most of a call's time is spent in code that is not optimised. Where that
//! matters, have cargo optimise dependencies in tests: `[profile.dev.package."*"] opt-level = 1`.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]
// tonic's Status is large by design.
#![allow(clippy::result_large_err)]

mod bulk;
mod call;
mod clock;
mod codec;
mod decisions;
mod events;
mod faults;
mod filters;
mod methods;
mod orders;
mod quality;
mod reference;
mod samples;
mod server;
mod simulation;
mod stock;
mod world;

pub use faults::Fault;
pub use samples::place_paid;
#[doc(hidden)]
pub use server::InProcess;
pub use server::{Server, ServerBuilder};
