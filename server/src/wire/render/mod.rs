//! What stands, as messages.

pub(crate) mod administration;
pub(crate) mod cancellation;
pub(crate) mod order;
pub(crate) mod preview;
mod summaries;

pub(crate) use cancellation::cancellation;
pub(crate) use order::{order, refund, shipment};
pub(crate) use summaries::{actions_summary, orders_summary};
