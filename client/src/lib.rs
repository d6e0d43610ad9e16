//! The client of Belay, the service that answers for every order, at every stage of its life: may
//! this be cancelled, by whom, on what terms — and then carries the answer out.
//!
//! ```no_run
//! use belay_client::{Belay, ErrorReason, Role, Units, reason};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), belay_client::Error> {
//! let belay = Belay::builder("http://127.0.0.1:50051").role(Role::Storefront, "web").build()?;
//! let store = belay.store("demo");
//!
//! let order = store.get_order("A-1").await?;
//! println!("{}, to be cancelled directly: {}", order.display_state, order.cancellable_now);
//!
//! match store.request_cancellation("A-1", Units::all()).reason(reason::NO_LONGER_WANTED).etag(&order.etag).await {
//!     Ok(requested) => println!("{} goes back", requested.cancellation.expected_refund.total),
//!     Err(error) if error.has_reason(&ErrorReason::Shipped) => println!("too late: {}", error.message()),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//! - **One method for each call** of the manual, on [`Store`] and [`Belay`]: what a call needs are
//!   arguments, what it may have are setters, `.await` sends it.
//! - **Types** for ids (checked before anything is sent), money, instants (of [`jiff`]) and states. What a newer
//!   server says that this version does not know is kept as `Unrecognized` and breaks nothing.
//! - **Errors to branch on**: a [`Kind`] says what a caller can do, an [`ErrorReason`] why, and the
//!   facts behind it are there as data.
//! - **Idempotency**: every write to an order has a [`RequestId`] from the start, which all its
//!   repeats keep and its error names.
//! - **Deadlines**: a call ends in time, its repeats included, and the server knows until when. 10
//!   seconds unless set.
//! - **Lists**: a page by `.await`, all pages as a stream by `.pages()`, all entries by
//!   `.stream()`, each page asked for when it is wanted, and after an error to be resumed by its
//!   token.
//! - **Repeats**, by a [`RetryPolicy`]: what failed because the service was unavailable, with the
//!   delay that the server asks for, within the deadline and a budget.
//!
//! # What it does not do
//! - It repeats nothing that was refused or aborted: an outdated etag, fence or quote means that
//!   the decision must be made again, by who made it.
//! - It repeats no [`claim_refunds`](Store::claim_refunds), because each call claims other refunds.
//! - It keeps no requests for later. To survive the end of the process, keep the [`RequestId`] with
//!   the wish and send the same again.
//! - It talks to no payment provider: a worker claims refunds, asks the provider, and records the
//!   answer.
//! - It speaks no TLS: a [`token`](BelayBuilder::token) travels as it is, and
//!   [`role`](BelayBuilder::role) is believed only by development servers on the same machine or
//!   behind a proxy. Put nobody in between who could listen.
//! - It runs on tokio, and on no other runtime.
//!
//! `examples/storefront.rs` goes through the life of one order, `examples/warehouse.rs` through a
//! day in the warehouse.

#![warn(missing_docs)]

mod belay;
mod call;
mod caller;
mod error;
mod error_reason;
mod ids;
mod pages;
mod retry;
mod store;
mod wire;

pub mod calls;
pub mod model;
pub mod reason;

/// The crate of the instants, dates and durations in this interface.
pub use jiff;

pub use belay::{Belay, BelayBuilder};
pub use caller::Scope;
pub use calls::Units;
pub use error::{Error, FieldViolation, Kind};
pub use error_reason::ErrorReason;
pub use ids::{
    BuyerId, CancellationId, CarrierId, Etag, ID_LENGTH_MAX, IdError, IncidentId, IntoId, LineId,
    OrderId, PaymentId, RefundId, RequestId, SellerId, ShipmentId, StoreId, WarehouseId, WorkerId,
};
pub use model::{Money, Role};
pub use pages::{Items, Pages};
pub use retry::RetryPolicy;
pub use store::Store;
