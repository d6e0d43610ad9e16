//! The client of Belay, the service that answers for every order, at every stage of its life: may
//! this be cancelled, by whom, on what terms — and then carries the answer out.
//!
//! ```no_run
//! use belay_client::prelude::*;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), belay_client::Error> {
//! let belay = Belay::builder("http://127.0.0.1:50051").role(Role::Storefront, "web").build()?;
//! let store = belay.store("demo");
//!
//! match store.request_cancellation("A-1", Units::all()).reason(reason::NO_LONGER_WANTED).await {
//!     Ok(requested) => println!("{} goes back", requested.cancellation.expected_refund.total),
//!     Err(error) if error.is_refused_for(&ErrorReason::Shipped) => println!("too late: {error}"),
//!     Err(error) if error.is_outcome_unknown() => drop(error.resume().await?),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The [guides](guide) go on from here, one for each who calls. Tests of a program need no server
//! and no database: see [testing](guide::testing).
//!
//! # What it does
//! - **Calls**: [`Store`] and [`Belay`] have one method for each RPC. Required fields are arguments
//!   of the method, optional fields are setters of the call, and `.await` sends it.
//! - **Types**: ids are checked before anything is sent. Money, instants and states are plain data.
//!   A value that this version does not know is kept as `Unrecognized`; it is never an error.
//!   Foreign types of this interface are those of [`jiff`] for instants and dates, which is
//!   re-exported, and the trait `Stream` of `futures`.
//! - **Errors**: a [`Kind`] says what the caller can do, an [`ErrorReason`] says why the call
//!   failed, and the facts behind it are data. Each call has an [error of its own](CallError),
//!   which names the reasons that the call documents and can send the call again.
//! - **Idempotency**: every write to an order has a [`RequestId`] from the start. All its attempts
//!   send it, and its error names it.
//! - **Deadlines**: a time-out covers a call and its repeats, and is sent to the server. It is 10
//!   seconds unless set.
//! - **Lists**: `.await` gives one page, `.pages()` a stream of pages, `.stream()` a stream of
//!   entries. A stream requests a page when it is wanted, and can be resumed by its token after an
//!   error.
//! - **Reads that may be old**: a list with [`max_staleness`](calls::ListOrders::max_staleness) may
//!   be answered by a secondary of the server's database, and shows the [writes](WritePosition)
//!   that it names.
//! - **Watching**: a [subscription](watch) delivers events, reconnects by itself, and keeps how far
//!   its caller is.
//! - **Helpers**: [`wait_for_cancellation`](Store::wait_for_cancellation), the
//!   [stops](Store::stops_for) of a warehouse, and a [worker](refund_worker) that takes refunds to
//!   a payment provider and pays none twice.
//! - **Repeats**: the client repeats a call that failed because the service was unavailable, by a
//!   [`RetryPolicy`]: with the delay that the server asks for, within the deadline and a budget.
//!
//! # What it does not do
//! - It does not repeat a call that was refused or aborted. An outdated etag, fence or quote means
//!   that the caller must decide again.
//! - It does not repeat [`claim_refunds`](Store::claim_refunds), because each call claims other
//!   refunds. A refund worker claims again by itself.
//! - It does not store requests. To survive the end of the process, keep the [`RequestId`] with the
//!   request and send the same again.
//! - It does not talk to payment providers: a refund worker is given one as a
//!   [`RefundProvider`](refund_worker::RefundProvider).
//! - It starts no tasks but that of the connection. A subscription works while it is read, a refund
//!   worker while it is polled.
//! - It does not speak TLS unless its feature `tls` is on. With `http://` a
//!   [`token`](BelayBuilder::token) is sent in clear text: use a network that nobody can listen to.
//!   A [`role`](BelayBuilder::role) is believed only by development servers and by servers behind a
//!   proxy.
//! - It does not run on another runtime than tokio.
//!
//! # Features
//! | Feature | Adds |
//! |---|---|
//! | `tls` | addresses with `https://`, by rustls and the roots of the machine |
//! | `otel` | the trace of a call in its headers and a histogram of calls, by OpenTelemetry |
//! | `serde` | models that serialize, such as into the JSON of a web shop; ids that are read, too |
//! | `raw` | conversions to types of `uuid`, which is no part of the interface otherwise |
//! | `testing` | the seam for `belay-testing` |
//!
//! `examples/storefront.rs` goes through the life of one order, `examples/warehouse.rs` through a
//! day in the warehouse, `examples/refund_worker.rs` through the crash of a payment worker.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod argument_errors;
mod belay;
mod call;
mod call_error;
mod caller;
mod env;
mod error;
mod error_reason;
mod freshness;
mod ids;
mod network;
mod pages;
mod response;
mod retry;
mod sent;
mod store;
mod telemetry;
#[cfg(feature = "tls")]
mod tls;
mod token;
mod transport;
mod wire;

pub mod calls;
pub mod guide;
pub mod model;
pub mod prelude;
pub mod reason;
pub mod refund_worker;
pub mod watch;

/// The crate of the instants, dates and durations in this interface.
pub use jiff;

pub use belay::{Belay, BelayBuilder};
pub use call_error::{CallError, Operation};
pub use caller::Scope;
pub use calls::Units;
pub use error::{BoxError, Error, FieldViolation, Kind};
pub use error_reason::ErrorReason;
pub use freshness::{InvalidWritePosition, WritePosition};
pub use ids::{
    BulkCancellationId, BuyerId, CancellationId, CarrierId, ConsumerId, Etag, ID_LENGTH_MAX,
    IdError, IncidentId, IntoId, LineId, NoteId, OrderId, PaymentId, RefundId, RequestId,
    ResumeToken, SellerId, ShipmentId, StoreId, WarehouseId, WorkerId,
};
pub use model::{Money, Role};
pub use pages::{Items, Pages};
pub use retry::RetryPolicy;
pub use store::Store;
pub use token::{Token, TokenFuture, TokenSource};
