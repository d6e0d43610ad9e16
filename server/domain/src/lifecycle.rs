//! The life of an order, which the commands share: the order while it is being decided, and how its
//! cancellations, shipments and money go on. From the bottom up; none uses one that stands below it
//! here:
//!
//! - [`draft`]: the order while a decision is being made: its events, its children by number
//! - [`quantities`]: units by line and quantity
//! - [`reach`]: how much of an order a caller must see
//! - [`consents`]: whose consent a cancellation waits for
//! - [`customs`]: shipments that customs may take for commerce
//! - [`departure`]: which units of a shipment have left, and when
//! - [`incidents`]: contradictions, from the fact to their resolution
//! - [`intercepts`]: the order to a carrier to bring a parcel back
//! - [`payments`]: the order is paid, or is no more
//! - [`refund_of`]: what goes back for units
//! - [`eligibility`]: what the policy says to units on a path
//! - [`gates`]: gates open and close
//! - [`late`]: goods that come home too late
//! - [`refunds`]: refund rows follow the money
//! - [`contested`]: what left though it was cancelled keeps its money
//! - [`conclude`]: a cancellation is over, and money and shipments follow
//! - [`parts`]: parts wait, are cancelled or end otherwise
//! - [`refund_results`]: what a provider says of a refund
//! - [`open`]: a cancellation begins
//! - [`undeliverable`]: a parcel returns by itself
//! - [`deadlines`]: what is due applies itself

pub(crate) mod conclude;
pub(crate) mod consents;
pub(crate) mod contested;
pub(crate) mod customs;
pub(crate) mod deadlines;
pub(crate) mod departure;
pub(crate) mod draft;
pub(crate) mod eligibility;
pub(crate) mod gates;
pub(crate) mod incidents;
pub(crate) mod intercepts;
pub(crate) mod late;
pub(crate) mod open;
pub(crate) mod parts;
pub(crate) mod payments;
pub(crate) mod quantities;
pub(crate) mod reach;
pub(crate) mod refund_of;
pub(crate) mod refund_results;
pub(crate) mod refunds;
pub(crate) mod undeliverable;
