//! Lists: what they find for every combination of filters, and by which index.

mod common;
#[path = "db_lists/crowd.rs"]
mod crowd;
#[path = "db_lists/decisions.rs"]
mod decisions;
#[path = "db_lists/found.rs"]
mod found;
#[path = "db_lists/plans.rs"]
mod plans;
#[path = "db_lists/reads.rs"]
mod reads;
