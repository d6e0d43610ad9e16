//! More callers than the service can serve.
//!
//! As many callers as do most place orders, and so many times as many, in turns. Who is turned away
//! comes back when it was told to, as every client does; what it waited until then counts for
//! nothing, and what it waits for an order does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tonic::Status;

use crate::callers::{Caller, Connections, Task};
use crate::load::{self, Turn, Window, Worker, count};
use crate::readers::retry_delay;
use crate::report::{hundredths, median, whole};
use crate::shop::Shop;
use crate::{Bench, say};

/// Windows at capacity, and beyond it.
#[derive(Debug)]
pub(crate) struct Overload {
    times: usize,
    capacity: Vec<Window>,
    overload: Vec<Window>,
    shed_per_second: f64,
}

/// A caller that may be turned away.
struct Patient {
    caller: Caller,
    shop: Arc<Shop>,
    shed: Arc<AtomicU64>,
}

impl Worker for Patient {
    async fn turn(&mut self) -> anyhow::Result<Turn> {
        let order = self.shop.new_order();
        let Err(error) = self.caller.create(order).await else {
            self.shop.placed.put(order);
            return Ok(Turn::Done);
        };
        let status = error.downcast_ref::<Status>();
        let delay = status.and_then(retry_delay);
        let delay =
            delay.with_context(|| format!("turned away without a word of when: {error:#}"))?;
        self.shed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(delay).await;
        Ok(Turn::TurnedAway)
    }
}

/// In turns, like everything.
pub(crate) async fn measure(
    bench: &mut Bench,
    url: &str,
    times: usize,
) -> anyhow::Result<Overload> {
    let most = bench.args.callers.iter().copied().max();
    let most = most.context("no number of callers")?;
    // A connection has so many streams and no more: whoever waits for one is not turned away by the
    // service.
    let connections = Connections::open(url, bench.args.connections * times).await?;
    let mut measured = Overload {
        times,
        capacity: Vec::new(),
        overload: Vec::new(),
        shed_per_second: 0.0,
    };
    let (mut shed, mut seconds) = (0, 0.0);
    for round in 0..bench.args.rounds {
        let turns = if round.is_multiple_of(2) {
            [1, times]
        } else {
            [times, 1]
        };
        for times in turns {
            let turned_away = Arc::<AtomicU64>::default();
            let callers =
                connections.callers(most * times, &Task::create_without_end(), &bench.shop);
            let callers = callers.into_iter().map(|caller| Patient {
                caller,
                shop: bench.shop.clone(),
                shed: turned_away.clone(),
            });
            let begun = tokio::time::Instant::now();
            let window =
                load::measure(callers.collect(), bench.timing(), &mut bench.meters).await?;
            let turned_away = turned_away.load(Ordering::Relaxed);
            say(&format!(
                "round {} CreateOrder of {:>5} callers {:>8.0}/s, p99 {:.1} ms, {turned_away} turned away",
                round + 1,
                most * times,
                window.per_second(),
                window.latency_ms(0.99),
            ));
            if times == 1 {
                measured.capacity.push(window);
            } else {
                shed += turned_away;
                seconds += begun.elapsed().as_secs_f64();
                measured.overload.push(window);
            }
        }
    }
    measured.shed_per_second = count(shed) / seconds;
    Ok(measured)
}

impl Overload {
    fn ratios(&self) -> (f64, f64) {
        let p99 = |windows: &[Window]| median(windows, |window| window.latency_ms(0.99));
        (
            median(&self.overload, Window::per_second) / median(&self.capacity, Window::per_second),
            p99(&self.overload) / p99(&self.capacity),
        )
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let (goodput, p99) = self.ratios();
        vec![format!(
            "overload, {} times as many callers: {goodput:.2} times as many orders, p99 {p99:.2} times as long; {:.0} calls a second turned away",
            self.times, self.shed_per_second
        )]
    }

    pub(crate) fn add_to(&self, object: &mut Map<String, Value>) {
        let (goodput, p99) = self.ratios();
        object.insert("overload_times".to_owned(), json!(self.times));
        object.insert(
            "overload_goodput_ratio".to_owned(),
            hundredths(Some(goodput)),
        );
        object.insert("overload_p99_ratio".to_owned(), hundredths(Some(p99)));
        object.insert(
            "overload_shed_per_second".to_owned(),
            whole(Some(self.shed_per_second)),
        );
    }
}
