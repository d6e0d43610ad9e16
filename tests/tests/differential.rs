//! The server in memory against the one on MySQL: both are sent the same random commands, reads,
//! lists and streams, and what they answer is compared field by field, by the step. So the one that
//! users test with does what the real one does.
//!
//! They have the same time and the same key, so that tokens, quotes and hashes are the same too.
//! All that may differ is named in one place, `Pair::reconcile`.

mod annotations;
mod bulk;
mod feed;
mod known;
mod orders;
mod overture;
mod pair;
mod reads;
mod stores;

use std::time::Instant;

use belay_tests::{TestServer, run_at_without_looks};
use jiff::SignedDuration;

use self::known::Run;
use self::pair::Pair;

/// Steps of one test; most are several calls.
const STEPS: usize = 500;
/// Reasons of errors that so many steps meet at least.
const REASONS_MIN: usize = 30;
/// Steps after which all that there is is compared.
const ALL_EVERY: usize = 250;
/// How many of a hundred steps, the last ones, all happen at one instant.
const STILL_PERCENT: usize = 10;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
}

/// `BELAY_DIFFERENTIAL_SEED` and `BELAY_DIFFERENTIAL_STEPS` have the first test take another
/// sequence; the others stay as they are.
#[test]
fn the_server_in_memory_answers_as_the_real_one_does() {
    let steps = variable("BELAY_DIFFERENTIAL_STEPS").map(usize::try_from);
    let steps = steps.map_or(STEPS, |steps| steps.expect("a number of steps"));
    differ(variable("BELAY_DIFFERENTIAL_SEED").unwrap_or(1), steps);
}

#[test]
fn the_server_in_memory_answers_as_the_real_one_does_another_time() {
    differ(7, STEPS);
}

#[test]
fn the_server_in_memory_answers_as_the_real_one_does_a_third_time() {
    differ(3, STEPS);
}

#[test]
fn the_server_in_memory_answers_as_the_real_one_does_a_fourth_time() {
    differ(4, STEPS);
}

fn differ(seed: u64, steps: usize) {
    eprintln!("seed {seed}, {steps} steps");
    run_at_without_looks("2026-03-02T10:00:00Z", async |t| {
        let begun = Instant::now();
        let mut run = Run::new(Pair::start(t).await, seed);
        run.open_stores().await;
        run.overture().await;
        for step in 0..steps {
            if step == steps - steps * STILL_PERCENT / 100 {
                run.is_still = true;
            }
            run.step().await;
            if step % ALL_EVERY == ALL_EVERY - 1 {
                run.compare_all().await;
            }
        }
        run.end().await;
        let pair = &run.pair;
        pair.every_rpc_succeeded();
        eprintln!(
            "{} calls, {} orders, {} reasons, {:.1} s: {:?} {:?}",
            pair.calls,
            run.orders.len(),
            pair.reasons.len(),
            begun.elapsed().as_secs_f64(),
            pair.reasons,
            pair.succeeded,
        );
        assert!(pair.reasons.len() >= REASONS_MIN, "{:?}", pair.reasons);
        assert!(pair.needed_every_exception());
    });
}

/// Has a server do all that it can do: each RPC succeeds at least once.
pub(crate) async fn every_rpc(t: &TestServer) {
    let mut run = Run::new(Pair::start(t).await, 1);
    run.open_stores().await;
    run.overture().await;
    for _ in 0..STEPS {
        run.step().await;
    }
    run.end().await;
    run.pair.every_rpc_succeeded();
}

impl Run<'_> {
    /// What chance may not have met, and all that there is.
    async fn end(&mut self) {
        self.begin_a_job().await;
        self.begin_to_read("archive").await;
        self.read_position("archive").await;
        self.compare_all().await;
    }

    async fn step(&mut self) {
        if self.random.chance(25) {
            self.tick().await;
        }
        match self.random.below(100) {
            0..68 => self.order_step().await,
            68..72 => self.wait().await,
            72..80 => self.read_step().await,
            80..88 => self.store_step().await,
            88..91 => self.stock_step().await,
            91..97 => self.feed_step().await,
            _ => self.bulk_step().await,
        }
    }

    /// Time passes.
    async fn wait(&mut self) {
        if self.is_still {
            return;
        }
        let hours = i64::from(self.random.pick(&[1_u32, 1, 1, 2, 6, 12, 24, 50]));
        let micros = i64::from(self.random.number(0, 1_000_000));
        let by = SignedDuration::from_hours(hours) + SignedDuration::from_micros(micros);
        self.pair.advance(by).await;
        // What was settled and what comes next are not of one instant.
        self.pair.advance(SignedDuration::from_micros(1)).await;
        for order in self.orders.clone() {
            if self.random.chance(20) {
                self.look_at(&order.store_id, &order.order_id).await;
            }
        }
    }

    async fn compare_all(&mut self) {
        self.every_event().await;
        self.every_list().await;
        self.every_stock().await;
        self.every_job().await;
        self.every_decision().await;
    }
}
