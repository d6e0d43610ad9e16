//! What stands, as messages.

pub(crate) mod administration;
pub(crate) mod cancellation;
pub(crate) mod order;
pub(crate) mod preview;
pub(crate) mod shipment;

pub(crate) use cancellation::cancellation;
pub(crate) use order::{incident, order, refund};
pub(crate) use shipment::shipment;
