//! Simulations of policies: what a draft would have answered.

use std::fmt;
use std::future::IntoFuture;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use belay_proto::v1 as pb;
use futures_util::Stream;
use jiff::Timestamp;
use tonic::Streaming;

use crate::call::{StreamCall, poll_message};
use crate::error::Error;
use crate::model::{Role, SimulatedCase, SimulationMessage, SimulationSummary};
use crate::store::Store;
use crate::wire::{FromWire as _, Malformed, time_to_wire};

/// # Simulation
impl Store {
    /// Simulates a draft of a policy: replays what was really decided in a time range, at most 366
    /// days, and returns what the draft answers otherwise. Nothing is changed. Awaiting the call
    /// opens the stream.
    ///
    /// Fails with `PolicyInvalid`, as [`create_policy`](Store::create_policy) does,
    /// `PolicyNotFound`, and `Overloaded` if the server runs as many simulations as it takes.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, document: String) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::DraftPolicy;
    /// use belay_client::jiff::{SignedDuration, Timestamp};
    ///
    /// let now = Timestamp::now();
    /// let last_month = now - SignedDuration::from_hours(30 * 24)..now;
    /// let simulation = store.simulate_policy(DraftPolicy::document(document), last_month).await?.finish().await?;
    /// for case in &simulation.cases {
    ///     println!("{}: {:?} becomes {:?}", case.order_id, case.recorded, case.draft);
    /// }
    /// println!("{} would be denied", simulation.summary.cases.become_denied);
    /// # Ok(())
    /// # }
    /// ```
    pub fn simulate_policy(&self, draft: DraftPolicy, decided: Range<Timestamp>) -> SimulatePolicy {
        let (store_id, errors) = self.begin();
        let request = pb::SimulatePolicyRequest {
            store_id,
            draft: Some(draft.0),
            start_time: Some(time_to_wire(decided.start)),
            end_time: Some(time_to_wire(decided.end)),
            ..Default::default()
        };
        SimulatePolicy(StreamCall::new(&self.belay, request, errors))
    }
}

/// The policy that is simulated.
#[derive(Debug, Clone)]
pub struct DraftPolicy(pb::simulate_policy_request::Draft);

impl DraftPolicy {
    /// A document, YAML or JSON, at most 256 KiB. It is not stored.
    pub fn document(document: impl Into<String>) -> Self {
        Self(pb::simulate_policy_request::Draft::Document(
            document.into(),
        ))
    }

    /// A version of the store, 1 or greater.
    pub fn version(version: i32) -> Self {
        Self(pb::simulate_policy_request::Draft::Version(version))
    }
}

/// Made by [`Store::simulate_policy`].
#[must_use = "a call does nothing until it is awaited or opened"]
#[derive(Clone)]
pub struct SimulatePolicy(SimulateCall);

type SimulateCall = StreamCall<pb::SimulatePolicyRequest>;

impl SimulatePolicy {
    /// Only cases of this requester: [`Role::Buyer`], [`Role::Seller`], [`Role::Support`] and so
    /// on. Cases of every requester unless set.
    pub fn requester(mut self, requester: Role) -> Self {
        self.0.request.requester = requester.to_wire();
        self
    }

    /// Only cases with this reason.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.0.request.reason = reason.into();
        self
    }

    /// Reports the cases that do not differ as well.
    pub fn include_unchanged(mut self) -> Self {
        self.0.request.include_unchanged = true;
        self
    }

    /// The number of cases that are reported at most: 1 to 10,000. 1,000 unless set. The summary
    /// includes all of them.
    pub fn case_count_max(mut self, cases: i32) -> Self {
        self.0.request.case_count_max = cases;
        self
    }

    /// The number of decisions that are replayed at most: 1 to 1,000,000. 1,000,000 unless set.
    pub fn decision_count_max(mut self, decisions: i32) -> Self {
        self.0.request.decision_count_max = decisions;
        self
    }

    /// Opens the stream. To await the call does the same. A stream has no time-out.
    ///
    /// # Errors
    /// [`Error`] says what went wrong; [`Store::simulate_policy`] says what can.
    pub async fn open(self) -> Result<SimulationStream, Error> {
        let messages = self.0.open().await?;
        Ok(SimulationStream { messages })
    }
}

/// Without the document.
impl fmt::Debug for SimulatePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = (&self.0.request.start_time, &self.0.request.end_time);
        write!(f, "PolicyService/SimulatePolicy {range:?}")
    }
}

impl IntoFuture for SimulatePolicy {
    type Output = Result<SimulationStream, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// A simulation that runs. Opened by [`Store::simulate_policy`].
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait, and
/// [`finish`](Self::finish) reads it to its end. The server ends the simulation when it is dropped.
#[must_use = "a stream does nothing until it is polled"]
pub struct SimulationStream {
    messages: Streaming<pb::SimulatePolicyResponse>,
}

/// A simulation that has ended.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    /// The cases that were reported, by the time of their decision.
    pub cases: Vec<SimulatedCase>,
    /// The sums.
    pub summary: SimulationSummary,
}

impl SimulationStream {
    /// The next message. The last one has the summary; `None` follows it.
    ///
    /// # Errors
    /// `WatcherTooSlow`, `SessionEnded`, `DatabaseUnavailable`, and those of a broken connection.
    pub async fn try_next(&mut self) -> Result<Option<SimulationMessage>, Error> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// Reads all messages to the end.
    ///
    /// # Errors
    /// Those of [`try_next`](Self::try_next), and an error for a stream that ends without a
    /// summary.
    pub async fn finish(mut self) -> Result<Simulation, Error> {
        let mut cases = Vec::new();
        while let Some(message) = self.try_next().await? {
            cases.extend(message.cases);
            if let Some(summary) = message.summary {
                return Ok(Simulation { cases, summary });
            }
        }
        Err(Error::malformed(&Malformed("summary")))
    }
}

impl Stream for SimulationStream {
    type Item = Result<SimulationMessage, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_message(
            &mut self.get_mut().messages,
            cx,
            SimulationMessage::from_wire,
        )
    }
}

impl fmt::Debug for SimulationStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulationStream").finish_non_exhaustive()
    }
}
