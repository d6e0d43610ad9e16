//! What a caller wants done about an order, one that exists or one that does not yet.

use serde::Serialize;

use super::{Command, CreateOrder};

#[derive(Debug, Clone, Serialize)]
pub enum Work {
    Create(CreateOrder),
    Decide(Command),
}

impl Work {
    /// Whether its answer is kept under the caller's request id, for a caller that comes again. A
    /// creation is guarded by the order itself, which has its fingerprint; to settle twice is
    /// harmless. Leases of refunds are kept although their id never comes again: a lost commit
    /// must not hide them from their worker.
    pub fn is_kept_by_request(&self) -> bool {
        !matches!(self, Work::Create(_) | Work::Decide(Command::Settle))
    }
}
