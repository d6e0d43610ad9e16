//! One watch: from a point of the feed on, what somebody is to get, a message at a time.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use belay_domain::feed::{PositionError, Positions};
use belay_domain::ids::OrderKey;
use belay_wire::events::Selector;
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::tail::Ready;
use super::{Feed, FeedError, FeedRow, Form, POLL, Piece};
use crate::db::{DbError, ErrorKind, in_time};

/// Bytes of events after which a message is sent, as they are stored.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Rows that are read from the table at once. Two such pages wait for a slow caller: the one that
/// is sent, and the next.
const REPLAY_ROWS: u16 = 500;
/// Messages that wait for the caller, besides the last one.
const WAITING_MAX: usize = 2;
/// Between two attempts to read while the database cannot be reached.
const RETRY: Duration = Duration::from_millis(500);

/// A message of a watch.
#[derive(Debug)]
pub struct Delivery {
    content: Content,
    /// Where to go on behind it.
    pub positions: Positions,
}

#[derive(Debug)]
enum Content {
    /// Until it is sent it shares its rows with all other watches.
    Rows {
        rows: Vec<Arc<FeedRow>>,
        selector: Arc<Selector>,
        /// Where the watch stood before it.
        behind: Positions,
    },
    /// From the table, and nobody else's.
    Piece(Bytes),
}

impl Delivery {
    /// The events, as fields of a message; none in a bookmark.
    pub fn events(&self) -> Vec<Bytes> {
        match &self.content {
            Content::Rows {
                rows,
                selector,
                behind,
            } => {
                let mut pieces = Vec::with_capacity(rows.len());
                for row in rows {
                    row.selected_bytes(behind, selector, &mut pieces);
                }
                pieces
            }
            Content::Piece(bytes) => vec![bytes.clone()],
        }
    }
}

/// The end of a watch that was not to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchError {
    /// The caller took nothing for too long.
    TooSlow,
    /// It fell behind what is kept.
    Position(PositionError),
    /// A defect; the log has it.
    Internal,
}

/// One that is counted for as long as it is there.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// With how many there were before.
    fn begin(count: &Arc<AtomicUsize>) -> (Self, usize) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (Self(count.clone()), before)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An entry of the queue between a watch and its caller.
#[derive(Debug)]
enum Item {
    Message(Delivery),
    Last(Delivery),
    Failed(WatchError),
}

/// The queue. What is in it can be thrown away from both ends.
type Queue = Arc<Mutex<mpsc::Receiver<Item>>>;

/// The messages of a watch. It ends once they are dropped.
#[derive(Debug)]
pub struct Messages {
    queue: Queue,
    has_ended: bool,
    _stream: Counted,
}

impl Stream for Messages {
    type Item = Result<Delivery, WatchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let item = ready!(queue.poll_recv(cx));
        drop(queue);
        // A watch that does not say that it ends has died.
        let item = item.unwrap_or(Item::Failed(WatchError::Internal));
        self.has_ended = !matches!(item, Item::Message(_));
        Poll::Ready(Some(match item {
            Item::Message(delivery) | Item::Last(delivery) => Ok(delivery),
            Item::Failed(error) => Err(error),
        }))
    }
}

impl Feed {
    /// Watches from these positions on: every order, or this one in its partition. None where there
    /// are as many streams as may be.
    pub fn watch(
        &self,
        selector: Selector,
        positions: Positions,
        order: Option<(OrderKey, u16)>,
    ) -> Option<Messages> {
        let (stream, before) = Counted::begin(&self.0.streams);
        if before >= self.0.settings.streams_max {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX + 1);
        // The last item has its place, however full the queue is.
        let last = sender.clone().try_reserve_owned().ok()?;
        let queue: Queue = Arc::new(Mutex::new(receiver));
        let now = Instant::now();
        let watch = Watch {
            feed: self.clone(),
            selector: Arc::new(selector),
            positions,
            order,
            turn: 0,
            rewinds: None,
            next_bookmark: now,
            _watch: Counted::begin(&self.0.watches).0,
        };
        self.0.watched.notify_one();
        let ends_at = now + self.0.settings.watch_max;
        let tasks = &self.0.tasks;
        tasks.spawn(watch.run(sender, last, queue.clone(), ends_at));
        Some(Messages {
            queue,
            has_ended: false,
            _stream: stream,
        })
    }
}

/// A watch at work.
#[derive(Debug)]
struct Watch {
    feed: Feed,
    selector: Arc<Selector>,
    /// Behind the last message that is in the queue.
    positions: Positions,
    order: Option<(OrderKey, u16)>,
    /// The partition with which the next round begins, so that none is always the last.
    turn: usize,
    /// How many rewinds of the tail it has seen; None until it has looked at the tail.
    rewinds: Option<u64>,
    next_bookmark: Instant,
    _watch: Counted,
}

impl Watch {
    async fn run(
        mut self,
        messages: mpsc::Sender<Item>,
        last: OwnedPermit<Item>,
        queue: Queue,
        ends_at: Instant,
    ) {
        let closing = self.feed.0.closing.clone();
        let ended = tokio::select! {
            ended = self.deliver(&messages) => ended,
            () = messages.closed() => return,
            () = closing.cancelled() => Ended::InOrder,
            () = sleep_until(ends_at) => Ended::InOrder,
        };
        let item = match ended {
            Ended::InOrder => Item::Last(self.bookmark()),
            Ended::Gone => return,
            Ended::Failed(error) => Item::Failed(error),
        };
        if matches!(item, Item::Failed(WatchError::TooSlow)) {
            // Nobody knows when it is taken, if ever.
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            while queue.try_recv().is_ok() {}
        }
        last.send(item);
    }

    async fn deliver(&mut self, messages: &mpsc::Sender<Item>) -> Ended {
        let mut moved = self.feed.0.moved.subscribe();
        let mut is_first = true;
        let mut ahead: Option<ReadAhead> = None;
        loop {
            // While the database is away nobody knows what comes behind, and nothing is said.
            if self.next_bookmark <= Instant::now() && (is_first || self.feed.is_followed()) {
                is_first = false;
                if let Err(ended) = self.send(messages, self.bookmark()).await {
                    return ended;
                }
            }
            moved.mark_unchanged();
            self.turn = (self.turn + 1) % self.positions.as_slice().len();
            let seen = self.rewinds;
            let ready = match self.ready() {
                Ok(ready) => ready,
                Err(error) => return Ended::Failed(WatchError::Position(error)),
            };
            if self.rewinds != seen {
                // It may have been read before.
                ahead = None;
            }
            if let Err(ended) = self.take(messages, ready.rows).await {
                return ended;
            }
            ahead = ahead.filter(|page| page.is_behind(&self.positions));
            let behind = ahead.as_ref().map(|page| page.from).or(ready.behind);
            let Some(behind) = behind else {
                // What comes meanwhile is for the next round.
                if ready.is_cut {
                    continue;
                }
                tokio::select! {
                    _ = moved.changed() => {}
                    () = sleep_until(self.next_bookmark.max(Instant::now() + POLL)) => {}
                }
                continue;
            };
            ahead = match self.replay(messages, behind, ahead.take()).await {
                Ok(next) => next,
                Err(ended) => return ended,
            };
        }
    }

    /// What the tail has for it; nothing until the tail is known to be the database's. A position
    /// that the database no longer knows is told: what comes there is another event, and would be
    /// skipped.
    fn ready(&mut self) -> Result<Ready, PositionError> {
        let tail = self.feed.tail();
        match self.rewinds {
            None if !tail.is_current() => return Ok(Ready::default()),
            None => {}
            Some(seen) => {
                let watched = self.watched(&self.positions, self.turn);
                if let Some(lost) = tail.lost(watched, seen) {
                    return Err(lost);
                }
            }
        }
        self.rewinds = Some(tail.rewinds());
        Ok(tail.after(self.watched(&self.positions, self.turn), MESSAGE_BYTES))
    }

    /// In the order of a round that begins with the partition of this turn.
    fn watched<'a>(
        &self,
        positions: &'a Positions,
        turn: usize,
    ) -> impl Iterator<Item = (u16, u64)> + use<'a> {
        let order = self.order;
        let rest = positions.iter().skip(turn);
        let all = rest.chain(positions.iter().take(turn));
        all.filter(move |(partition, _)| order.is_none_or(|(_, of)| of == *partition))
    }

    /// Sends what the ring no longer holds of one partition, a page of it, and meanwhile reads the
    /// page that comes next, of whichever partition.
    async fn replay(
        &mut self,
        messages: &mpsc::Sender<Item>,
        behind: (u16, u64),
        ahead: Option<ReadAhead>,
    ) -> Result<Option<ReadAhead>, Ended> {
        let reading = Reading {
            feed: self.feed.clone(),
            selector: self.selector.clone(),
            order: self.order,
        };
        let read = match ahead {
            Some(ahead) => ahead.page,
            None => reading.page(behind).await,
        };
        let page = match read {
            Ok(page) => page,
            Err(FeedError::Position(error)) => {
                return Err(Ended::Failed(WatchError::Position(error)));
            }
            Err(FeedError::Database(error)) => {
                self.without_database(&error).await?;
                return Ok(None);
            }
        };
        let Some((partition, last)) = page.end() else {
            self.without_rows().await?;
            return Ok(None);
        };
        let mut reached = self.positions.clone();
        reached.advance(partition, last);
        let turn = (self.turn + 1) % reached.as_slice().len();
        let next = self.feed.tail().behind(self.watched(&reached, turn));
        let Some(from) = next else {
            self.take_page(messages, page).await?;
            return Ok(None);
        };
        let read = async {
            let page = reading.page(from).await;
            Ok(ReadAhead { from, page })
        };
        let ((), ahead) = tokio::try_join!(self.take_page(messages, page), read)?;
        Ok(Some(ahead))
    }

    /// Nothing is there of what ought to be.
    async fn without_rows(&self) -> Result<(), Ended> {
        let ends = in_time(self.feed.ends()).await;
        match ends.map(|ends| self.positions.check(&ends)) {
            Ok(Ok(())) => self.again_later().await,
            Ok(Err(error)) => Err(Ended::Failed(WatchError::Position(error))),
            Err(error) => self.without_database(&error).await,
        }
    }

    async fn without_database(&self, error: &DbError) -> Result<(), Ended> {
        self.feed.0.pool.notes().note("a watch of the feed", error);
        if error.kind() == ErrorKind::Corrupt {
            tracing::error!(%error, "the feed cannot be read");
            return Err(Ended::Failed(WatchError::Internal));
        }
        self.again_later().await
    }

    async fn again_later(&self) -> Result<(), Ended> {
        sleep(RETRY).await;
        Ok(())
    }

    /// Sends what of these rows is selected, in messages that are not too large. What is not in the
    /// queue is not passed: a watch may be ended at any moment.
    async fn take(
        &mut self,
        messages: &mpsc::Sender<Item>,
        rows: impl IntoIterator<Item = Arc<FeedRow>>,
    ) -> Result<(), Ended> {
        let (mut reached, mut selected, mut bytes) = (self.positions.clone(), Vec::new(), 0);
        for row in rows {
            let (partition, last) = (row.partition, row.last);
            if row.has_selected(&self.positions, &self.selector) {
                bytes += row.bytes;
                selected.push(row);
            }
            reached.advance(partition, last);
            if bytes >= MESSAGE_BYTES {
                let message = self.message(std::mem::take(&mut selected), reached.clone());
                self.send(messages, message).await?;
                bytes = 0;
            }
        }
        if selected.is_empty() {
            self.positions = reached;
            return Ok(());
        }
        let message = self.message(selected, reached);
        self.send(messages, message).await
    }

    async fn take_page(&mut self, messages: &mpsc::Sender<Item>, page: Page) -> Result<(), Ended> {
        match page {
            Page::Rows(rows) => self.take(messages, rows.into_iter().map(Arc::new)).await,
            Page::Pieces(pieces) => {
                for piece in pieces {
                    let mut positions = self.positions.clone();
                    positions.advance(piece.partition, piece.last);
                    let content = Content::Piece(piece.bytes);
                    self.send(messages, Delivery { content, positions }).await?;
                }
                Ok(())
            }
        }
    }

    fn message(&self, rows: Vec<Arc<FeedRow>>, positions: Positions) -> Delivery {
        let content = Content::Rows {
            rows,
            selector: self.selector.clone(),
            behind: self.positions.clone(),
        };
        Delivery { content, positions }
    }

    /// Nothing matches in a partition that is not watched: there it stands at the end.
    fn bookmark(&self) -> Delivery {
        let mut positions = self.positions.clone();
        let tail = self.feed.tail();
        if let Some((_, watched)) = self.order.filter(|_| tail.is_current()) {
            let others = tail.ends().filter(|(partition, _)| *partition != watched);
            others.for_each(|(partition, end)| positions.advance(partition, end));
        }
        self.message(Vec::new(), positions)
    }

    async fn send(
        &mut self,
        messages: &mpsc::Sender<Item>,
        message: Delivery,
    ) -> Result<(), Ended> {
        let settings = self.feed.0.settings;
        let positions = message.positions.clone();
        match timeout(settings.slow_max, messages.send(Item::Message(message))).await {
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

/// A watch's reading of the table.
#[derive(Debug)]
struct Reading {
    feed: Feed,
    selector: Arc<Selector>,
    order: Option<(OrderKey, u16)>,
}

impl Reading {
    /// What comes behind this position of its partition. Few read at once, for the table is
    /// everybody's.
    async fn page(&self, behind: (u16, u64)) -> Result<Page, FeedError> {
        let feed = &self.feed;
        // It is never closed.
        let _permit = feed.0.replays.acquire().await;
        // A database that falls silent must not keep the permit from everybody else.
        in_time(async {
            if let Some((key, _)) = self.order {
                let rows = feed.read_order(key, behind, REPLAY_ROWS).await?;
                return Ok(Page::Rows(rows));
            }
            if self.selector.selects_everything() {
                let pieces = feed.read_pieces(behind, REPLAY_ROWS, MESSAGE_BYTES);
                return Ok(Page::Pieces(pieces.await?));
            }
            let rows = feed.read(&[behind], REPLAY_ROWS, Form::Both).await?;
            Ok(Page::Rows(rows))
        })
        .await
    }
}

/// A page that was read before its turn.
#[derive(Debug)]
struct ReadAhead {
    from: (u16, u64),
    page: Result<Page, FeedError>,
}

impl ReadAhead {
    /// Whether it is what comes next of its partition.
    fn is_behind(&self, positions: &Positions) -> bool {
        let (partition, position) = self.from;
        positions.of(partition) == position
    }
}

/// The rows of one partition that were read at once.
#[derive(Debug)]
enum Page {
    /// To look at.
    Rows(Vec<FeedRow>),
    /// To send, each in a message of its own.
    Pieces(Vec<Piece>),
}

impl Page {
    /// The partition and the position of the last event; None if there is nothing.
    fn end(&self) -> Option<(u16, u64)> {
        match self {
            Self::Rows(rows) => rows.last().map(|row| (row.partition, row.last)),
            Self::Pieces(pieces) => pieces.last().map(|piece| (piece.partition, piece.last)),
        }
    }
}

/// The end of a watch.
enum Ended {
    /// The server stops, or it has lasted as long as one may.
    InOrder,
    /// Nobody takes the messages any more.
    Gone,
    Failed(WatchError),
}
