//! Metrics of the runtime that the server's tasks run on: those of tokio's that are stable.

use opentelemetry::metrics::Meter;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::instruments::{
    Instrument, RUNTIME_BUSY, RUNTIME_PARKS, RUNTIME_QUEUE, RUNTIME_TASKS, RUNTIME_THREADS,
};
use super::metrics::Metrics;

/// They are read when somebody asks.
pub(crate) fn observe(metrics: &Metrics, runtime: &Handle) {
    let meter = metrics.meter();
    gauge(meter, RUNTIME_THREADS, runtime, |runtime| {
        runtime.num_workers()
    });
    gauge(meter, RUNTIME_TASKS, runtime, |runtime| {
        runtime.num_alive_tasks()
    });
    gauge(meter, RUNTIME_QUEUE, runtime, |runtime| {
        runtime.global_queue_depth()
    });
    let of = runtime.metrics();
    let busy = meter.f64_observable_counter(RUNTIME_BUSY.name);
    busy.with_unit(RUNTIME_BUSY.unit)
        .with_description(RUNTIME_BUSY.help)
        .with_callback(move |to| {
            let busy = (0..of.num_workers()).map(|worker| of.worker_total_busy_duration(worker));
            to.observe(busy.map(|busy| busy.as_secs_f64()).sum(), &[]);
        })
        .build();
    let of = runtime.metrics();
    let parks = meter.u64_observable_counter(RUNTIME_PARKS.name);
    parks
        .with_unit(RUNTIME_PARKS.unit)
        .with_description(RUNTIME_PARKS.help)
        .with_callback(move |to| {
            let parks = (0..of.num_workers()).map(|worker| of.worker_park_count(worker));
            to.observe(parks.sum(), &[]);
        })
        .build();
}

fn gauge(meter: &Meter, row: Instrument, runtime: &Handle, read: fn(&RuntimeMetrics) -> usize) {
    let runtime = runtime.metrics();
    let gauge = meter.u64_observable_gauge(row.name);
    gauge
        .with_unit(row.unit)
        .with_description(row.help)
        .with_callback(move |to| {
            let read = u64::try_from(read(&runtime)).unwrap_or(u64::MAX);
            to.observe(read, &[]);
        })
        .build();
}
