//! One watch: from a point of the feed on, what somebody is to get, a message at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_domain::feed::{PositionError, Positions};
use belay_proto::v1 as pb;
use belay_wire::events::Selector;
use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::{Instant, sleep, timeout};

use super::{Feed, FeedError, FeedRow};
use crate::db::DbError;

/// Bytes of events in one message, unless those of one write are more.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Rows that are read from the table at once.
const REPLAY_ROWS: u16 = 1_000;
/// Messages that wait for the caller, besides the last one.
const WAITING_MAX: usize = 2;
/// Between two attempts to read while the database cannot be reached.
const RETRY: Duration = Duration::from_millis(500);

/// A message of a watch.
#[derive(Debug)]
pub struct Delivery {
    /// None in a bookmark.
    pub events: Vec<pb::Event>,
    /// Where to go on behind it.
    pub positions: Positions,
}

/// Why a watch ended that was not to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchError {
    /// The caller took nothing for too long.
    TooSlow,
    /// It fell behind what is kept.
    Position(PositionError),
}

type Message = Result<Delivery, WatchError>;

/// A watch that has not begun.
#[derive(Debug)]
pub struct Watch {
    feed: Feed,
    selector: Selector,
    positions: Positions,
    /// The one that is watched; all where it is None.
    partition: Option<u16>,
    /// With which partition the next round begins, so that none is always the last.
    turn: usize,
    next_bookmark: Instant,
}

impl Feed {
    /// A watch from these positions on; None where there are as many as may be.
    pub fn watch(
        &self,
        selector: Selector,
        positions: Positions,
        partition: Option<u16>,
    ) -> Option<Watch> {
        let before = self.0.watchers.fetch_add(1, Ordering::Relaxed);
        let watch = Watch {
            feed: self.clone(),
            selector,
            positions,
            partition,
            turn: 0,
            next_bookmark: Instant::now(),
        };
        if before >= self.0.settings.watchers_max {
            return None;
        }
        self.0.watched.notify_one();
        Some(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feed.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watch {
    /// Begins, and gives the messages. It ends once nobody takes them.
    pub fn begin(mut self) -> mpsc::Receiver<Message> {
        let (messages, taken) = mpsc::channel(WAITING_MAX + 1);
        tokio::spawn(async move {
            // The last message has its place, however full it is.
            let Ok(last) = messages.clone().reserve_owned().await else {
                return;
            };
            self.run(&messages, last).await;
        });
        taken
    }

    async fn run(&mut self, messages: &mpsc::Sender<Message>, last: OwnedPermit<Message>) {
        let closing = self.feed.0.closing.clone();
        let ended = tokio::select! {
            ended = self.deliver(messages) => ended,
            () = messages.closed() => return,
            () = closing.cancelled() => Ended::Closing,
        };
        match ended {
            Ended::Closing => drop(last.send(Ok(self.bookmark()))),
            Ended::Gone => {}
            Ended::Failed(error) => drop(last.send(Err(error))),
        }
    }

    async fn deliver(&mut self, messages: &mpsc::Sender<Message>) -> Ended {
        let mut moved = self.feed.0.moved.subscribe();
        loop {
            if self.next_bookmark <= Instant::now()
                && let Err(ended) = self.send(messages, self.bookmark()).await
            {
                return ended;
            }
            moved.mark_unchanged();
            self.turn = (self.turn + 1) % self.positions.as_slice().len();
            let ready = self.feed.tail().after(self.watched(), MESSAGE_BYTES_MAX);
            let is_idle = ready.rows.is_empty() && ready.behind.is_empty();
            if let Err(ended) = self.take(messages, ready.rows).await {
                return ended;
            }
            if !ready.behind.is_empty()
                && let Err(ended) = self.replay(messages, &ready.behind).await
            {
                return ended;
            }
            if is_idle {
                tokio::select! {
                    _ = moved.changed() => {}
                    () = tokio::time::sleep_until(self.next_bookmark) => {}
                }
            }
        }
    }

    fn watched(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let (of, turn) = (self.partition, self.turn);
        let rest = self.positions.iter().skip(turn);
        let all = rest.chain(self.positions.iter().take(turn));
        all.filter(move |(partition, _)| of.is_none_or(|of| of == *partition))
    }

    /// Reads what the ring no longer holds. Few do so at once, for the table is everybody's.
    async fn replay(
        &mut self,
        messages: &mpsc::Sender<Message>,
        behind: &[(u16, u64)],
    ) -> Result<(), Ended> {
        let read = async {
            // It is never closed.
            let _permit = self.feed.0.replays.acquire().await;
            self.feed.read(behind, REPLAY_ROWS).await
        };
        match read.await {
            // All that lies behind is pruned: there was something, or nobody would be behind.
            Ok(rows) if rows.is_empty() => match self.feed.ends().await {
                Ok(ends) => match self.positions.check(&ends) {
                    Ok(()) => Ok(()),
                    Err(error) => Err(Ended::Failed(WatchError::Position(error))),
                },
                Err(error) => self.wait_for_database(&error).await,
            },
            Ok(rows) => self.take(messages, rows.into_iter().map(Arc::new)).await,
            Err(FeedError::Position(error)) => Err(Ended::Failed(WatchError::Position(error))),
            Err(FeedError::Database(error)) => self.wait_for_database(&error).await,
        }
    }

    async fn wait_for_database(&self, error: &DbError) -> Result<(), Ended> {
        self.feed.0.pool.notes().note("a watch of the feed", error);
        sleep(RETRY).await;
        Ok(())
    }

    /// Sends what of these rows is selected, in messages that are not too large.
    async fn take(
        &mut self,
        messages: &mpsc::Sender<Message>,
        rows: impl IntoIterator<Item = Arc<FeedRow>>,
    ) -> Result<(), Ended> {
        // What was not sent is not passed: a watch may be ended at any moment.
        let mut reached = self.positions.clone();
        let (mut events, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let known = reached.as_slice()[usize::from(row.partition)];
            let selected = row.events.iter().filter(|event| {
                event.position.unsigned_abs() > known && self.selector.selects(event)
            });
            let before = events.len();
            events.extend(selected.cloned());
            if events.len() > before {
                bytes += row.bytes;
            }
            reached.advance(row.partition, row.last);
            if bytes >= MESSAGE_BYTES_MAX {
                let message = Delivery {
                    events: std::mem::take(&mut events),
                    positions: reached.clone(),
                };
                self.send(messages, message).await?;
                bytes = 0;
            }
        }
        if events.is_empty() {
            self.positions = reached;
            return Ok(());
        }
        let message = Delivery {
            events,
            positions: reached,
        };
        self.send(messages, message).await
    }

    /// Nothing matches in a partition that is not watched: there it stands at the end.
    fn bookmark(&self) -> Delivery {
        let mut positions = self.positions.clone();
        if let Some(watched) = self.partition {
            let tail = self.feed.tail();
            let others = tail.ends().filter(|(partition, _)| *partition != watched);
            others.for_each(|(partition, end)| positions.advance(partition, end));
        }
        Delivery {
            events: Vec::new(),
            positions,
        }
    }

    async fn send(
        &mut self,
        messages: &mpsc::Sender<Message>,
        message: Delivery,
    ) -> Result<(), Ended> {
        let settings = self.feed.0.settings;
        let positions = message.positions.clone();
        match timeout(settings.slow_max, messages.send(Ok(message))).await {
            Ok(Ok(())) => {
                self.positions = positions;
                self.next_bookmark = Instant::now() + settings.bookmark_interval;
                Ok(())
            }
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Failed(WatchError::TooSlow)),
        }
    }
}

/// How a watch ended.
enum Ended {
    /// The server stops.
    Closing,
    /// Nobody takes the messages any more.
    Gone,
    Failed(WatchError),
}
