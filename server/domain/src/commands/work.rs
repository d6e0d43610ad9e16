//! The work that a caller wants done on an order, one that exists or one that does not yet.

use serde::Serialize;

use super::{Command, CreateOrder};

/// Version of what is hashed into a fingerprint; a change of the commands' fields that changes
/// their meaning raises it.
const FINGERPRINT_VERSION: u8 = 1;

#[derive(Debug, Clone, Serialize)]
pub enum Work {
    Create(CreateOrder),
    Decide(Command),
}

/// The mark that tells one command from another with the same request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    pub hash: [u8; 32],
    /// How long the command is, encoded.
    pub bytes: usize,
}

impl Work {
    /// Of the command itself and not of the request that it came in: unknown fields and the order
    /// of fields make no other command.
    ///
    /// # Errors
    /// Where a command cannot be encoded: a bug.
    pub fn fingerprint(&self) -> serde_json::Result<Fingerprint> {
        let encoded = serde_json::to_vec(self)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[FINGERPRINT_VERSION]).update(&encoded);
        Ok(Fingerprint {
            hash: *hasher.finalize().as_bytes(),
            bytes: encoded.len(),
        })
    }

    /// Whether its answer is kept under the caller's request id, for a caller that comes again. A
    /// creation is guarded by the order itself, which has its fingerprint; to settle twice is
    /// harmless. Leases of refunds are kept although their id never comes again: a lost commit
    /// must not hide them from their worker.
    pub fn is_kept_by_request(&self) -> bool {
        !matches!(self, Work::Create(_) | Work::Decide(Command::Settle))
    }
}
