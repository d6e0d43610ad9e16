//! A Belay server in the process of a test.
//!
//! It decides with the code that the server decides with: the rules of orders and cancellations, the
//! policies, the checks of requests, the errors. In place of MySQL it keeps everything in memory, and in
//! place of a socket it takes calls from a client in the same process. It starts in well under a
//! millisecond.
//!
//! ```
//! use std::time::Duration;
//!
//! use belay_client::calls::{NewBuyer, NewLine};
//! use belay_client::{Money, Units, reason};
//! use belay_testing::{Fault, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start().await;
//! let store = server.store("demo", "independent-site").await?;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]
// tonic's Status is large by design.
#![allow(clippy::result_large_err)]

mod bulk;
mod call;
mod clock;
mod events;
mod faults;
mod methods;
mod orders;
mod quality;
mod reference;
mod server;
mod simulation;
mod stock;
mod world;

pub use faults::Fault;
#[doc(hidden)]
pub use server::InProcess;
pub use server::{Server, ServerBuilder};
