//! The feed: how fast it is read from its beginning beside a bare client that reads the same rows,
//! how late an event is with who watches, what those who watch cost, and what that costs those who
//! write.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use belay_proto::v1;
use belay_proto::v1::event_service_client::EventServiceClient;
use hdrhistogram::Histogram;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use prost::Message as _;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::callers::{Caller, Task, request};
use crate::load::{self, Timing, Turn, Window, Worker, count};
use crate::meters::Usage;
use crate::projection::until_projected;
use crate::report::{Kind, hundredths, median, whole};
use crate::service::Service;
use crate::shop::{OrderNumber, Shop};
use crate::{Bench, raw, say};

/// Rows that the bare client reads at once, as many as the server does.
const BARE_ROWS: usize = 1_000;
const IDLE_WATCHERS: usize = 1_000;
/// Streams of one connection, below what the server takes.
const STREAMS_MAX: usize = 250;
/// The largest HTTP/2 frame that the client takes.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
const IDLE: Duration = Duration::from_secs(5);
/// Watchers of everything.
const WATCHERS: usize = 100;
/// Callers while the delay is measured; each waits between two commands.
const PACED_CALLERS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Events a second: of the bare client, of the same where it decodes what it reads, and of one
    /// watcher.
    bare: Vec<f64>,
    bare_decoded: Vec<f64>,
    replay: Vec<f64>,
    lag_ms: f64,
    lag_ms_two_servers: f64,
    paced: f64,
    idle_kib: f64,
    idle_cores: f64,
    /// Cancellations without watchers and with them.
    alone: Vec<Window>,
    watched: Vec<Window>,
    /// How long the stock took to have all that was committed when a full load ended, in ms.
    projected: Vec<f64>,
}

/// A reader of the feed from its beginning.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Bare,
    BareDecoded,
    Watcher,
}

pub(crate) async fn measure(bench: &mut Bench, service: &Service) -> anyhow::Result<Feed> {
    let mut feed = Feed::default();
    let mut conn = raw::connect(&bench.args.database_url).await?;
    feed.replay_all(bench, service, &mut conn).await?;

    let best = bench.seen(Kind::Cancel);
    feed.paced = best / 2.0;
    feed.lag_ms = lag(bench, &service.url, feed.paced).await?;
    let args = &bench.args;
    let second = Service::start(&args.belay, &args.database_url, args.lanes).await?;
    feed.lag_ms_two_servers = lag(bench, &second.url, feed.paced).await?;
    second.stop().await?;

    let before = resident_kib(service.pid)?;
    let idle = open(&service.url, IDLE_WATCHERS).await?;
    tokio::time::sleep(IDLE / 5).await;
    feed.idle_kib = (resident_kib(service.pid)? - before) / count(IDLE_WATCHERS as u64);
    let from = bench.meters.read().await?;
    tokio::time::sleep(IDLE).await;
    feed.idle_cores = from.until(&bench.meters.read().await?).server;
    drop(idle);

    for round in 0..bench.args.rounds {
        for is_watched in [round.is_multiple_of(2), !round.is_multiple_of(2)] {
            feed.cancel_all(bench, service, &mut conn, is_watched)
                .await?;
        }
    }
    Ok(feed)
}

impl Feed {
    /// All events there are, by each kind of reader in turn.
    async fn replay_all(
        &mut self,
        bench: &mut Bench,
        service: &Service,
        conn: &mut Conn,
    ) -> anyhow::Result<()> {
        let events: Option<u64> = conn
            .query_first("SELECT CAST(SUM(event_count) AS UNSIGNED) FROM events")
            .await?;
        let events = events.context("a feed without events")?;
        for round in 0..bench.args.rounds.max(2) {
            let mut readers = [Reader::Bare, Reader::Watcher, Reader::BareDecoded];
            if !round.is_multiple_of(2) {
                readers.reverse();
            }
            for reader in readers {
                let from = bench.meters.read().await?;
                let begun = Instant::now();
                let read = match reader {
                    Reader::Bare => read_bare(conn, false).await?,
                    Reader::BareDecoded => read_bare(conn, true).await?,
                    Reader::Watcher => replay(&service.url, events).await?,
                };
                anyhow::ensure!(read == events, "{read} of {events} events were read");
                let rate = count(events) / begun.elapsed().as_secs_f64();
                let usage = from.until(&bench.meters.read().await?);
                say(&format!(
                    "feed from its beginning, {reader:?} {rate:>8.0} events/s, in cores server \
                     {:.2} mysqld {:.2} reader {:.2}",
                    usage.server,
                    usage.mysqld.unwrap_or(f64::NAN),
                    usage.generator,
                ));
                match reader {
                    Reader::Bare => &mut self.bare,
                    Reader::BareDecoded => &mut self.bare_decoded,
                    Reader::Watcher => &mut self.replay,
                }
                .push(rate);
            }
        }
        Ok(())
    }

    /// One window of cancellations at full load.
    async fn cancel_all(
        &mut self,
        bench: &mut Bench,
        service: &Service,
        conn: &mut Conn,
        is_watched: bool,
    ) -> anyhow::Result<()> {
        let callers = bench.args.callers.iter().copied().max().unwrap_or(1);
        bench
            .stock_up(bench.needed(Kind::Cancel, callers, bench.timing()))
            .await?;
        let mut reading = JoinSet::new();
        if is_watched {
            for mut stream in open(&service.url, WATCHERS).await? {
                reading.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
            }
        }
        let all = bench
            .connections
            .callers(callers, &Task::Cancel, &bench.shop);
        let window = load::measure(all, bench.timing(), &mut bench.meters).await?;
        say(&format!(
            "watched by {WATCHERS}: {is_watched} {:>8.0}/s, in µs of CPU server {:.0} mysqld {:.0} generator {:.0}",
            window.per_second(),
            cpu_us(&window, |usage| Some(usage.server)),
            cpu_us(&window, |usage| usage.mysqld),
            cpu_us(&window, |usage| Some(usage.generator)),
        ));
        if is_watched {
            &mut self.watched
        } else {
            self.projected.push(until_projected(conn).await?);
            &mut self.alone
        }
        .push(window);
        Ok(())
    }
}

/// All events of the table, read partition by partition as a client would that goes past Belay; as
/// bytes, or as the messages that a watcher gets.
async fn read_bare(conn: &mut Conn, is_decoded: bool) -> anyhow::Result<u64> {
    let partitions: Vec<u16> = conn
        .query("SELECT shard_partition FROM partition_heads ORDER BY shard_partition")
        .await?;
    let mut events = 0;
    for partition in partitions {
        let mut after = 0_u64;
        loop {
            let rows: Vec<(u64, u32, Vec<u8>)> = conn
                .exec(
                    format!(
                        "SELECT position, event_count, payload FROM events WHERE shard_partition = ? \
                         AND position > ? ORDER BY position LIMIT {BARE_ROWS}"
                    ),
                    (partition, after),
                )
                .await?;
            let Some((last, _, _)) = rows.last() else {
                break;
            };
            after = *last;
            for (_, count, payload) in &rows {
                events += if is_decoded {
                    decode(payload)?
                } else {
                    u64::from(*count)
                };
            }
        }
    }
    Ok(events)
}

/// How many events a row's payload holds, each of them decoded.
fn decode(mut payload: &[u8]) -> anyhow::Result<u64> {
    let mut events = Vec::new();
    while !payload.is_empty() {
        events.push(v1::Event::decode_length_delimited(&mut payload)?);
    }
    Ok(events.len() as u64)
}

async fn replay(url: &str, events: u64) -> anyhow::Result<u64> {
    let watch = v1::WatchEventsRequest {
        begin: Some(v1::watch_events_request::Begin::Start(
            v1::FeedStart::Oldest.into(),
        )),
        ..Default::default()
    };
    let mut stream = begin(url, watch).await?;
    let mut read = 0;
    while read < events {
        let message = stream.message().await?.context("the stream ended")?;
        read += message.events.len() as u64;
    }
    Ok(read)
}

async fn begin(
    url: &str,
    watch: v1::WatchEventsRequest,
) -> anyhow::Result<Streaming<v1::WatchEventsResponse>> {
    stream(&connect(url).await?, watch).await
}

/// As the client connects.
async fn connect(url: &str) -> anyhow::Result<Channel> {
    let endpoint = Channel::from_shared(url.to_owned())?;
    Ok(endpoint.max_frame_size(FRAME_BYTES_MAX).connect().await?)
}

async fn stream(
    channel: &Channel,
    watch: v1::WatchEventsRequest,
) -> anyhow::Result<Streaming<v1::WatchEventsResponse>> {
    // A stream has no deadline.
    let mut request = request(watch, "operator");
    request.metadata_mut().remove("grpc-timeout");
    let opened = EventServiceClient::new(channel.clone())
        .max_decoding_message_size(usize::MAX)
        .watch_events(request)
        .await
        .context("WatchEvents")?;
    Ok(opened.into_inner())
}

/// So many streams from now on, each with its first bookmark read.
async fn open(
    url: &str,
    streams: usize,
) -> anyhow::Result<Vec<Streaming<v1::WatchEventsResponse>>> {
    let mut opened = Vec::with_capacity(streams);
    let mut channel = None;
    for index in 0..streams {
        if index % STREAMS_MAX == 0 {
            channel = Some(connect(url).await?);
        }
        let channel = channel.as_ref().context("a connection was made")?;
        let mut one = stream(channel, v1::WatchEventsRequest::default()).await?;
        one.message().await?.context("the stream ended")?;
        opened.push(one);
    }
    Ok(opened)
}

/// The 99th percentile of the time between the answer to a cancellation and the arrival of its
/// event at a watcher of the server at `url`, in ms; an event that comes before the answer counts
/// as 0.
async fn lag(bench: &mut Bench, url: &str, per_second: f64) -> anyhow::Result<f64> {
    bench
        .stock_up(2.0 * per_second * bench.timing().measured.as_secs_f64() + count(1_000))
        .await?;
    let mut stream = begin(url, v1::WatchEventsRequest::default()).await?;
    stream.message().await?.context("the stream ended")?;
    let came: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let mut reading = JoinSet::new();
    reading.spawn({
        let came = came.clone();
        async move {
            while let Ok(Some(message)) = stream.message().await {
                let now = Instant::now();
                let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
                for event in message.events {
                    if event.event_type() == v1::EventType::CancellationCompleted {
                        came.entry(event.order_id).or_insert(now);
                    }
                }
            }
        }
    });
    let answered: Arc<Mutex<Vec<(OrderNumber, Instant)>>> = Arc::default();
    let pause = Duration::from_secs_f64(count(PACED_CALLERS as u64) / per_second);
    let callers = bench
        .connections
        .callers(PACED_CALLERS, &Task::Cancel, &bench.shop);
    let paced = callers.into_iter().map(|caller| Paced {
        caller,
        shop: bench.shop.clone(),
        answered: answered.clone(),
        pause,
        next: Instant::now(),
    });
    let timing = Timing {
        measured: bench.timing().measured,
        ..bench.timing()
    };
    let window = load::measure(paced.collect(), timing, &mut bench.meters).await?;
    // The last ones are on their way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(reading);
    let came = came.lock().unwrap_or_else(PoisonError::into_inner);
    let answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lags = Histogram::<u64>::new_with_max(60_000_000, 3)?;
    for (order, at) in answered.iter() {
        let came = came.get(&order.order_id());
        let came = came.with_context(|| format!("{} was never told", order.order_id()))?;
        let lag = came.saturating_duration_since(*at).as_micros();
        lags.saturating_record(u64::try_from(lag).unwrap_or(u64::MAX));
    }
    let p99 = count(lags.value_at_quantile(0.99)) / 1_000.0;
    say(&format!(
        "told after the answer, p50 {:.1} ms p99 {p99:.1} ms at {:.0} cancellations/s",
        count(lags.value_at_quantile(0.5)) / 1_000.0,
        window.per_second()
    ));
    Ok(p99)
}

/// A caller that cancels at a pace and remembers when it was answered.
struct Paced {
    caller: Caller,
    shop: Arc<Shop>,
    answered: Arc<Mutex<Vec<(OrderNumber, Instant)>>>,
    pause: Duration,
    next: Instant,
}

impl Worker for Paced {
    async fn turn(&mut self) -> anyhow::Result<Turn> {
        tokio::time::sleep_until(self.next).await;
        self.next += self.pause;
        let Some(order) = self.shop.paid.take() else {
            return Ok(Turn::NothingLeft);
        };
        self.caller.cancel(order).await?;
        let at = Instant::now();
        self.answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((order, at));
        self.shop.cancelled.put(order);
        Ok(Turn::Done)
    }
}

/// Resident memory of a process.
fn resident_kib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(count(kib.parse()?))
}

/// CPU time for one command, in µs.
fn cpu_us(window: &Window, cores: impl Fn(&Usage) -> Option<f64>) -> f64 {
    cores(&window.usage).unwrap_or(f64::NAN) * 1e6 / window.per_second()
}

/// Of the service alone, whoever asks and watches.
fn service_us(window: &Window) -> f64 {
    cpu_us(window, |usage| Some(usage.server + usage.mysqld?))
}

fn middle(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Feed {
    fn replay_ratio(&self) -> f64 {
        middle(&self.replay) / middle(&self.bare)
    }

    fn replay_decoded_ratio(&self) -> f64 {
        middle(&self.replay) / middle(&self.bare_decoded)
    }

    fn watched_ratio(&self) -> f64 {
        median(&self.watched, Window::per_second) / median(&self.alone, Window::per_second)
    }

    /// The same for equal CPU of server and database: without what those who watch need themselves.
    fn watched_cpu_ratio(&self) -> f64 {
        median(&self.alone, service_us) / median(&self.watched, service_us)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "the feed from its beginning: {:.0} events a second, {:.0} by the bare client, {:.0} where that decodes them",
                middle(&self.replay),
                middle(&self.bare),
                middle(&self.bare_decoded)
            ),
            format!(
                "an event at {:.0} cancellations a second is told p99 {:.1} ms after the answer, {:.1} ms by another server",
                self.paced, self.lag_ms, self.lag_ms_two_servers
            ),
            format!(
                "{IDLE_WATCHERS} idle watchers: {:.1} KiB each, {:.3} cores together",
                self.idle_kib, self.idle_cores
            ),
            format!(
                "the stock has everything {:.0} ms after a full load has ended",
                middle(&self.projected)
            ),
            format!(
                "{WATCHERS} watchers of everything: {:.2} times as many cancellations as without, {:.2} for the same CPU of server and database",
                self.watched_ratio(),
                self.watched_cpu_ratio()
            ),
        ]
    }

    pub(crate) fn add_to(&self, object: &mut Map<String, Value>) {
        let mut put = |name: &str, value| object.insert(name.to_owned(), value);
        put(
            "replay_events_per_second",
            whole(Some(middle(&self.replay))),
        );
        put("replay_ratio", hundredths(Some(self.replay_ratio())));
        put(
            "replay_decoded_ratio",
            hundredths(Some(self.replay_decoded_ratio())),
        );
        put("watch_lag_p99_ms", hundredths(Some(self.lag_ms)));
        put(
            "watch_lag_p99_ms_two_servers",
            hundredths(Some(self.lag_ms_two_servers)),
        );
        put("projection_lag_ms", whole(Some(middle(&self.projected))));
        put("watch_lag_rps", whole(Some(self.paced)));
        put("idle_watcher_kib", hundredths(Some(self.idle_kib)));
        put(
            "idle_watchers_cores",
            json!((self.idle_cores * 1e3).round() / 1e3),
        );
        put(
            "watched_cancel_ratio",
            hundredths(Some(self.watched_ratio())),
        );
        put(
            "watched_cancel_cpu_ratio",
            hundredths(Some(self.watched_cpu_ratio())),
        );
    }
}
