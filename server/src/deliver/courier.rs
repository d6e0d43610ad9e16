//! An instance at work: it keeps its leases, reads the feed, sends what may be sent, and stores
//! what came of it. One loop does all but the sending, which is bounded and has tasks of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::ids::{ConsumerId, StoreId};
use belay_proto::v1 as pb;
use belay_wire::cloud_events::{self, CloudEvents};
use belay_wire::events::Selector;
use belay_wire::resume::FilterHash;
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use uuid::Uuid;

use super::partition::{Held, Letter, Partition};
use super::receiver::{Message, Receiver};
use super::retry::{RetryPlan, SendOutcome};
use super::signature::Secrets;
use crate::db::feed::MarkedEnds;
use crate::db::{DbError, Pool, held_events, in_time};
use crate::feed::Feed;
use crate::telemetry::deliveries::{DeliveryMetrics, Verdict};

/// Between two looks for what was committed.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// Between two attempts while the database cannot be reached.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// A receiver to which it is too much gets nothing for so long at most, however long it asks for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The name under which instances share the partitions, and what they read.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) consumer: ConsumerId,
    pub(super) store: Option<StoreId>,
    pub(super) selector: Selector,
    pub(super) filter: FilterHash,
}

/// The bounds of one instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) sending_max: usize,
    pub(super) timeout: Duration,
    pub(super) lease: Duration,
    pub(super) plan: RetryPlan,
    pub(super) skips_pruned: bool,
}

/// An instance.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) name: Name,
    pub(super) bounds: Bounds,
    pub(super) instance: Uuid,
    pub(super) pool: Pool,
    pub(super) feed: Feed,
    pub(super) metrics: DeliveryMetrics,
    health: HealthReporter,
    events: CloudEvents,
    receiver: Receiver,
    secret_file: PathBuf,
    secrets: Secrets,
    pub(super) partitions: BTreeMap<u16, Partition>,
    sending: JoinSet<(Letter, SendOutcome)>,
    /// How many of them were held.
    sending_held: usize,
    /// Nothing is sent that could outlast it.
    pub(super) lease_ends: Instant,
    /// The database's time, and when it was that.
    pub(super) clock: (Timestamp, Instant),
    pub(super) ends: Vec<MarkedEnds>,
    /// The partition that is asked first, so that none is always the last.
    turn: u16,
    pub(super) read_turn: u16,
    pub(super) renew_at: Instant,
    pub(super) settle_at: Instant,
    pub(super) move_at: Instant,
    pub(super) read_at: Instant,
    paused_until: Instant,
    pub(super) is_stopping: bool,
    /// The database does not answer.
    is_out: bool,
    /// Partitions that read no further because so much is held.
    pub(super) full: usize,
}

/// The parts that an instance is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) name: Name,
    pub(super) bounds: Bounds,
    pub(super) pool: Pool,
    pub(super) feed: Feed,
    pub(super) metrics: DeliveryMetrics,
    pub(super) health: HealthReporter,
    pub(super) events: CloudEvents,
    pub(super) receiver: Receiver,
    pub(super) secret_file: PathBuf,
    pub(super) secrets: Secrets,
}

impl Courier {
    pub(super) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            name: parts.name,
            bounds: parts.bounds,
            instance: crate::ids::instance_id(),
            pool: parts.pool,
            feed: parts.feed,
            metrics: parts.metrics,
            health: parts.health,
            events: parts.events,
            receiver: parts.receiver,
            secret_file: parts.secret_file,
            secrets: parts.secrets,
            partitions: BTreeMap::new(),
            sending: JoinSet::new(),
            sending_held: 0,
            lease_ends: now,
            clock: (Timestamp::UNIX_EPOCH, now),
            ends: Vec::new(),
            turn: 0,
            read_turn: 0,
            renew_at: now,
            settle_at: now,
            move_at: now,
            read_at: now,
            paused_until: now,
            is_stopping: false,
            is_out: false,
            full: 0,
        }
    }

    /// Delivers until it is told to stop, and then gives back what it holds. What is on its way is
    /// waited for.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        loop {
            let now = Instant::now();
            if now >= self.renew_at {
                self.look_at_secrets();
                self.renew().await;
            }
            if now >= self.settle_at {
                self.settle().await;
            }
            if now >= self.read_at {
                self.read().await;
            }
            self.send().await;
            if self.is_stopping && self.sending.is_empty() {
                break;
            }
            let wake_at = self.wake_at();
            tokio::select! {
                ended = self.sending.join_next(), if !self.sending.is_empty() => {
                    self.all_ended(ended)?;
                }
                () = stop.cancelled(), if !self.is_stopping => self.begin_to_stop(),
                () = sleep_until(wake_at) => {}
            }
        }
        self.move_at = Instant::now();
        self.settle().await;
        self.give_back().await;
        Ok(())
    }

    fn begin_to_stop(&mut self) {
        self.is_stopping = true;
        for partition in self.partitions.values_mut() {
            partition.is_leaving = true;
        }
    }

    fn wake_at(&self) -> Instant {
        let wake_at = self.renew_at.min(self.read_at);
        if self.partitions.values().any(Partition::has_news) {
            wake_at.min(self.settle_at)
        } else {
            wake_at
        }
    }

    /// Sends what may be sent now.
    async fn send(&mut self) {
        let now = Instant::now();
        if self.may_outlast() || now < self.paused_until {
            return;
        }
        let mut letters = Vec::new();
        let mut sending_held = self.sending_held;
        while self.sending.len() + letters.len() < self.bounds.sending_max {
            let held = if sending_held < held_max(self.bounds.sending_max) {
                Held::First
            } else {
                Held::Not
            };
            let Some(letter) = self.next_letter(now, held) else {
                break;
            };
            sending_held += usize::from(letter.is_held);
            letters.push(letter);
        }
        if letters.iter().any(|letter| letter.is_held) {
            let opened = in_time(self.open_held(&mut letters)).await;
            self.told(opened);
        }
        // Reading may have taken long.
        let may_outlast = self.may_outlast();
        for letter in letters {
            match letter.event.clone().filter(|_| !may_outlast) {
                Some(event) => self.post(letter, &event),
                None => self.partition_of(&letter, |partition| partition.unsent(&letter)),
            }
        }
    }

    /// Whether what is sent now could outlast the lease.
    fn may_outlast(&self) -> bool {
        Instant::now() + self.bounds.timeout >= self.lease_ends
    }

    fn next_letter(&mut self, now: Instant, held: Held) -> Option<Letter> {
        let turn = self.turn;
        let mut next = None;
        for range in [turn..u16::MAX, 0..turn] {
            let mut partitions = self.partitions.range_mut(range);
            next = partitions.find_map(|(_, partition)| partition.next(now, held));
            if next.is_some() {
                break;
            }
        }
        self.turn = next.as_ref().map_or(turn, |letter| letter.partition + 1);
        next
    }

    /// Reads what held events say. Those that are held no more are left out.
    async fn open_held(&mut self, letters: &mut Vec<Letter>) -> Result<(), DbError> {
        let mut conn = self.pool.checkout().await?;
        let consumer = &self.name.consumer;
        let read = async {
            let mut vanished = Vec::new();
            for letter in letters.iter_mut().filter(|letter| letter.is_held) {
                let place = (letter.partition, letter.position);
                match held_events::payload(&mut conn, consumer, place).await? {
                    Some(payload) => letter.event = Some(Arc::new(decode(&payload)?)),
                    None => vanished.push(place),
                }
            }
            Ok(vanished)
        }
        .await;
        let vanished = conn.finish_with(read)?;
        let is_gone = |letter: &Letter| vanished.contains(&(letter.partition, letter.position));
        for letter in letters.iter().filter(|letter| is_gone(letter)) {
            self.partition_of(letter, |partition| partition.vanished(letter));
        }
        letters.retain(|letter| !is_gone(letter));
        Ok(())
    }

    fn post(&mut self, letter: Letter, event: &pb::Event) {
        let now = self.now();
        let body = match self.events.render(event) {
            Ok(body) => body,
            Err(error) => {
                let outcome = SendOutcome::Refused(error.to_string());
                return self.ended(&letter, outcome);
            }
        };
        let (id, seconds) = (cloud_events::id(event), now.as_second());
        let signature = self.secrets.sign(&id, seconds, &body);
        let message = Message {
            id,
            seconds,
            signature,
            body,
        };
        self.sending_held += usize::from(letter.is_held);
        let receiver = self.receiver.clone();
        self.sending
            .spawn(async move { (letter, receiver.post(message, now).await) });
    }

    /// The database's time, as far as it is known here.
    fn now(&self) -> Timestamp {
        let (then, at) = self.clock;
        let elapsed = SignedDuration::try_from(at.elapsed()).unwrap_or_default();
        then.checked_add(elapsed).unwrap_or(then)
    }

    /// What came of what was sent: this one, and all that has ended meanwhile.
    fn all_ended(
        &mut self,
        first: Option<Result<(Letter, SendOutcome), JoinError>>,
    ) -> anyhow::Result<()> {
        let mut next = first;
        while let Some(ended) = next {
            // A panic is a defect: who starts this process again begins from what is stored.
            let (letter, outcome) = ended?;
            self.sending_held -= usize::from(letter.is_held);
            self.ended(&letter, outcome);
            next = self.sending.try_join_next();
        }
        Ok(())
    }

    fn ended(&mut self, letter: &Letter, outcome: SendOutcome) {
        let now = Instant::now();
        if let SendOutcome::Failed {
            retry_after: Some(asked),
            is_throttled: true,
            ..
        } = &outcome
        {
            self.paused_until = self.paused_until.max(now + pause(*asked));
        }
        let failure = match &outcome {
            SendOutcome::Taken => None,
            SendOutcome::Refused(failure) | SendOutcome::Failed { failure, .. } => {
                Some(failure.clone())
            }
        };
        let plan = self.bounds.plan;
        let mut verdict = None;
        self.partition_of(letter, |partition| {
            verdict = Some(partition.ended(letter, outcome, &plan, now));
        });
        if let Some(verdict) = verdict {
            self.metrics.ended(verdict);
            tell(letter, verdict, failure.as_deref());
        }
    }

    /// Where the letter came from, unless its lease has passed on.
    fn partition_of(&mut self, letter: &Letter, change: impl FnOnce(&mut Partition)) {
        let partition = self.partitions.get_mut(&letter.partition);
        if let Some(partition) = partition.filter(|partition| partition.fence == letter.fence) {
            change(partition);
        }
    }

    /// A change of the secret file is taken over; one that is wrong is told, and what was known
    /// goes on.
    fn look_at_secrets(&mut self) {
        match Secrets::open(&self.secret_file) {
            Ok(secrets) if secrets == self.secrets => {}
            Ok(secrets) => {
                self.secrets = secrets;
                tracing::info!("the secrets have changed and are taken over");
            }
            Err(error) => tracing::error!(%error, "the secrets stay as they were"),
        }
    }

    /// Logs how work on the database went: one line when it is out, and one when it is back.
    pub(super) fn told(&mut self, worked: Result<(), DbError>) -> bool {
        match &worked {
            Ok(()) if self.is_out => {
                tracing::info!("the database answers again");
                self.is_out = false;
            }
            Ok(()) => {}
            Err(error) if !self.is_out => {
                tracing::warn!(%error, "the database fails; nothing is delivered meanwhile");
                self.is_out = true;
            }
            Err(error) => tracing::debug!(%error, "the database fails"),
        }
        worked.is_ok()
    }

    /// Tells the admin port whether this instance can deliver.
    pub(super) async fn tell_health(&self) {
        let status = if self.is_out || self.is_stopping {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        self.health.set_service_status("", status).await;
    }
}

/// Of so many events on their way those that may have been held before: a receiver that hangs on
/// some orders leaves room for the others.
fn held_max(sending_max: usize) -> usize {
    (sending_max / 2).max(1)
}

/// How long a receiver gets nothing that asks for so long.
fn pause(asked: Duration) -> Duration {
    asked.min(PAUSE_MAX)
}

fn decode(payload: &[u8]) -> Result<pb::Event, DbError> {
    pb::Event::decode(payload)
        .map_err(|error| DbError::Corrupt(format!("an event that is held: {error}")))
}

fn tell(letter: &Letter, verdict: Verdict, failure: Option<&str>) {
    let event = letter.event.as_deref();
    let (store, order) = event.map_or(("", ""), |event| (&event.store_id, &event.order_id));
    let id = format!("{}:{}", letter.partition, letter.position);
    let (outcome, failure) = (verdict.name(), failure.unwrap_or_default());
    match verdict {
        Verdict::Taken => tracing::debug!(id, store, order, "delivered"),
        Verdict::Failed => tracing::info!(id, store, order, failure, "not taken; sent again later"),
        Verdict::Refused | Verdict::Exhausted => {
            tracing::warn!(id, store, order, outcome, failure, "a dead letter");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_events_leave_half_of_the_room_to_others() {
        let held_max = [1, 2, 3, 16].map(held_max);
        assert_eq!(held_max, [1, 1, 1, 8]);
    }

    #[test]
    fn a_pause_has_its_bound() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(PAUSE_MAX - second), PAUSE_MAX - second);
        assert_eq!(pause(PAUSE_MAX), PAUSE_MAX);
        assert_eq!(pause(PAUSE_MAX + second), PAUSE_MAX);
    }
}
