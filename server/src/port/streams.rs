//! The streams of one connection: each is a task, and one whose answer is not taken is given up.
//! hyper itself waits for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;

use crate::rpc::Flow;
use crate::telemetry::port::PortMetrics;

/// The executor by which hyper spawns the streams of one connection. Cloning it shares it.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: TaskTracker,
    metrics: PortMetrics,
    stall_max: Duration,
    /// The flow of the call that hyper has begun and not spawned yet: it does both in a row.
    begun: Arc<Mutex<Option<Flow>>>,
}

impl Streams {
    pub(super) fn new(tasks: TaskTracker, metrics: PortMetrics, stall_max: Duration) -> Self {
        Self {
            tasks,
            metrics,
            stall_max,
            begun: Arc::default(),
        }
    }

    /// The flow of a call that begins: the next stream is its.
    pub(super) fn begin(&self) -> Flow {
        let flow = Flow::default();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = Some(flow.clone());
        flow
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = begun.take().unwrap_or_default();
        self.tasks.spawn(Stream {
            stream: Box::pin(stream),
            flow,
            metrics: self.metrics.clone(),
            stall_max: self.stall_max,
            timer: None,
        });
    }
}

/// A stream that is dropped, and so reset, once its answer was not taken for too long.
struct Stream<F> {
    stream: Pin<Box<F>>,
    flow: Flow,
    metrics: PortMetrics,
    stall_max: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = self.flow.waits_since() else {
            return Poll::Pending;
        };
        let due = since + self.stall_max;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.metrics.stream_reset();
        tracing::debug!(
            waited_ms = (Instant::now() - since).as_millis(),
            "a caller does not take its answer, which is given up"
        );
        Poll::Ready(())
    }
}
