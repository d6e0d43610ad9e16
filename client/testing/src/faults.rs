//! Faults that a test asks for: what the network, a proxy or a busy server does to a call.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use belay_proto::{testing, v1};

/// A fault of one call.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server cannot be reached: the call has no effect.
    Unavailable,
    /// The server says that it has too much to do (`OVERLOADED`): the call has no effect.
    Overloaded,
    /// The call has its effect, and the connection breaks before the reply arrives.
    LostReply,
    /// The call has its effect, and its reply comes so much later. The client's time-out may pass
    /// before. It is time of tokio, which a test may pause.
    Delay(Duration),
    /// A read of an order, its history, a shipment, a cancellation or a refund, and a preview, see
    /// the order as it was before its last change, as a replica that lags would: one that was only
    /// created is not there. Other calls do not heed it.
    StaleRead,
    /// A stream breaks after so many messages, unless it has ended by then. Other calls do not heed
    /// it.
    BrokenStream {
        /// The messages that still arrive; the first of a watch of events is a bookmark.
        after: usize,
    },
    /// A watch of events sends each message with events twice. Other calls do not heed it.
    DuplicateEvents,
}

/// The faults that wait, by the path of the RPC.
#[derive(Debug, Default)]
pub(crate) struct Faults(HashMap<&'static str, VecDeque<Fault>>);

impl Faults {
    /// # Panics
    /// If there is no such RPC.
    pub(crate) fn add(&mut self, rpc: &str, fault: Fault) {
        let rpcs = v1::RPCS.iter().chain(testing::v1::RPCS);
        let named = rpcs.map(|row| row.path).find(|path| {
            path.rsplit('/').next() == Some(rpc) || path.trim_start_matches('/') == rpc
        });
        let path = named.unwrap_or_else(|| panic!("there is no RPC {rpc:?}"));
        self.0.entry(path).or_default().push_back(fault);
    }

    /// The next fault of this RPC.
    pub(crate) fn take(&mut self, path: &str) -> Option<Fault> {
        self.0.get_mut(path)?.pop_front()
    }
}
