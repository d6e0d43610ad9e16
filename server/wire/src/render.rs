//! Orders and what belongs to them, as messages.

pub mod administration;
pub(crate) mod annotations;
mod bulk;
pub(crate) mod cancellation;
mod consumer;
pub mod decision;
pub(crate) mod order;
pub mod preview;
pub mod quality;
pub(crate) mod shipment;
pub mod simulation;
mod stock;
mod summaries;

pub use bulk::{bulk_cancellation, bulk_result};
pub use cancellation::cancellation;
pub use consumer::consumer;
pub use order::{incident, order, refund};
pub use shipment::shipment;
pub use stock::{stock, stock_entry, stock_holder};
pub use summaries::{actions_summary, orders_summary};
