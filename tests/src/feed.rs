//! The feed as somebody reads it, and what must hold of every reading, found out again from the
//! rows.

use std::collections::{BTreeMap, BTreeSet};

use belay_client::calls::{EventStream, WatchEvents};
use belay_client::model::{Event, EventBatch, PartitionPosition};
use belay_client::{Belay, Error, ResumeToken};

use crate::database::Database;
use crate::until;

/// Begins a query in which `all_events` is every row of events that was ever written, whether the
/// feed still has it or not.
pub const WITH_ALL_EVENTS: &str = "WITH all_events AS (\
    SELECT shard_partition, position, event_count, order_key, order_version, event_time, payload FROM events \
    UNION ALL SELECT shard_partition, position, event_count, order_key, order_version, event_time, payload \
    FROM order_history) ";

/// A reader of a stream, that begins again wherever it ends, and notes what breaks one of the six
/// words.
#[derive(Debug)]
pub struct Watcher {
    watch: WatchEvents,
    stream: Option<EventStream>,
    /// Behind the last batch.
    pub token: Option<ResumeToken>,
    /// By partition.
    positions: BTreeMap<i32, i64>,
    /// By order: the last write that was told of.
    versions: BTreeMap<String, i64>,
    /// Which events came, by partition and position, with the batch that they came in.
    batches: BTreeMap<(i32, i64), usize>,
    read: usize,
    pub events: Vec<Event>,
    /// How often it began.
    pub begins: usize,
}

impl Watcher {
    pub fn new(watch: WatchEvents) -> Self {
        Self {
            watch,
            stream: None,
            token: None,
            positions: BTreeMap::new(),
            versions: BTreeMap::new(),
            batches: BTreeMap::new(),
            read: 0,
            events: Vec::new(),
            begins: 0,
        }
    }

    /// The same reading, by another client: of another server, or the same one come back.
    pub fn go_on_with(&mut self, watch: WatchEvents) {
        self.watch = watch;
        self.stream = None;
    }

    /// The next batch; None where the stream ended as it should.
    pub async fn next(&mut self) -> Result<Option<EventBatch>, Error> {
        if self.stream.is_none() {
            let watch = match &self.token {
                Some(token) => self.watch.clone().resume_token(token),
                None => self.watch.clone(),
            };
            self.stream = Some(watch.await?);
            self.begins += 1;
        }
        let stream = self.stream.as_mut().expect("it was opened");
        let batch = match stream.try_next().await {
            Ok(Some(batch)) => batch,
            ended => {
                self.stream = None;
                return ended;
            }
        };
        self.token = Some(batch.resume_token.clone());
        self.take(&batch);
        Ok(Some(batch))
    }

    /// Begins again with the next batch.
    pub fn hang_up(&mut self) {
        self.stream = None;
    }

    fn take(&mut self, batch: &EventBatch) {
        self.read += 1;
        for at in &batch.positions {
            let known = self.positions.entry(at.partition).or_insert(at.position);
            assert!(at.position >= *known, "a bookmark goes back: {at:?}");
            *known = at.position;
        }
        for event in &batch.events {
            let at = (event.partition, event.position);
            let before = self.positions.insert(event.partition, event.position);
            assert!(
                before.is_none_or(|before| before < event.position),
                "ordered, and each once: {at:?} after {before:?}"
            );
            let order = format!("{} {}", event.store_id, event.order_id);
            let version = self.versions.insert(order, event.order_version);
            assert!(
                version.is_none_or(|version| version <= event.order_version),
                "ordered within the order: {event:?} after {version:?}"
            );
            self.batches.insert(at, self.read);
            self.events.push(event.clone());
        }
    }

    /// Reads until nothing up to these positions is left, whatever fails meanwhile that `may_fail`.
    pub async fn read_to(&mut self, ends: &[PartitionPosition], may_fail: impl Fn(&Error) -> bool) {
        while !self.is_at(ends) {
            self.go_on(&may_fail).await;
        }
    }

    /// Whether nothing up to these positions is left.
    pub fn is_at(&self, ends: &[PartitionPosition]) -> bool {
        let at = |partition| self.positions.get(&partition).copied().unwrap_or(0);
        ends.iter().all(|end| at(end.partition) >= end.position)
    }

    /// Reads a batch, however often the stream must begin again for it.
    pub async fn go_on(&mut self, may_fail: impl Fn(&Error) -> bool) {
        until("the stream goes on", async || match self.next().await {
            Ok(_) => Some(()),
            Err(error) if may_fail(&error) => None,
            Err(error) => panic!("the stream fails: {error}"),
        })
        .await;
    }

    /// Every event of the table that is selected came, and no other; those of one write in one
    /// batch.
    pub async fn check(&self, database: &Database, selects: impl Fn(&Event) -> bool) {
        let rows: Vec<(u16, u64, u32)> = database
            .rows(
                &format!(
                    "{WITH_ALL_EVENTS} SELECT shard_partition, position, event_count FROM all_events"
                ),
                (),
            )
            .await;
        let mut stored = BTreeSet::new();
        for (partition, last, count) in rows {
            let last = i64::try_from(last).expect("a small number");
            let row: Vec<(i32, i64)> = (last + 1 - i64::from(count)..=last)
                .map(|position| (i32::from(partition), position))
                .collect();
            let batches: BTreeSet<usize> = row
                .iter()
                .filter_map(|at| self.batches.get(at).copied())
                .collect();
            assert!(batches.len() <= 1, "one write in several batches: {row:?}");
            stored.extend(row);
        }
        let came: BTreeSet<(i32, i64)> = self.batches.keys().copied().collect();
        assert!(came.is_subset(&stored), "what came is stored");
        assert!(self.events.iter().all(selects), "what came is selected");
    }

    /// How many events came.
    pub fn came(&self) -> usize {
        self.batches.len()
    }
}

/// Where the feed ends now.
pub async fn ends(belay: &Belay) -> Vec<PartitionPosition> {
    let mut stream = belay.watch_events().await.expect("a stream");
    let bookmark = stream.try_next().await.expect("it begins with a bookmark");
    bookmark.expect("it has not ended").positions
}

/// How many events there are.
pub async fn stored(database: &Database) -> usize {
    let (events,): (Option<u64>,) = database
        .row(
            &format!("{WITH_ALL_EVENTS} SELECT CAST(SUM(event_count) AS UNSIGNED) FROM all_events"),
            (),
        )
        .await;
    usize::try_from(events.unwrap_or_default()).expect("a small number")
}
