//! The figures that are read when somebody asks for the metrics, and not told as they change.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use belay_domain::projection::Projection;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;

use super::{Metrics, Queue, count};
use crate::App;
use crate::db::shares::Share;
use crate::retention::{self, Keep};
use crate::telemetry::instruments::*;

/// Values and their labels.
type Samples = Vec<(u64, Vec<KeyValue>)>;

impl Metrics {
    /// The metrics do not keep the server alive.
    pub(crate) fn observe(&self, app: &Arc<App>) {
        let gauge = |row, read: fn(&App) -> Samples| self.observe_one(app, row, read);
        gauge(ROWS_KEPT, rows_kept);
        gauge(GATES_OPEN, gates_open);
        gauge(REFUNDS_OPEN, refunds_open);
        gauge(QUEUE_DEPTH, queue_depth);
        gauge(PROJECTION_LAG, projection_lag);
        gauge(OLDEST_ROW, oldest_rows);
        gauge(CONNECTIONS, connections);
        gauge(SECONDARIES_ANSWERING, |app| {
            let answering = app.secondaries.staleness().into_iter().flatten();
            vec![(count(answering.count()), Vec::new())]
        });
        gauge(SECONDARY_STALENESS, |app| {
            let freshest = app.secondaries.staleness().into_iter().flatten().min();
            let seconds = freshest.unwrap_or_default().as_millis().div_ceil(1_000);
            vec![(u64::try_from(seconds).unwrap_or(u64::MAX), Vec::new())]
        });
        gauge(CONNECTIONS_MAX, |app| {
            of_each_share(|share| app.pools.of(share).status().max)
        });
        gauge(CONNECTIONS_WAITED_FOR, |app| {
            of_each_share(|share| app.pools.of(share).status().waiting)
        });
        gauge(SERVING, |app| {
            one(app
                .telemetry
                .metrics
                .0
                .is_serving
                .load(Ordering::Relaxed)
                .into())
        });
        gauge(FEED_LAG, |app| one(app.feed.lag().as_secs()));
        gauge(STREAMS, |app| one(count(app.feed.streams())));
        gauge(FIGURES_AGE, |app| one(app.figures.age().as_secs()));
        gauge(DUE_ORDERS, |app| one(app.figures.last().due_orders));
        gauge(DUE_LAG, |app| one(app.figures.last().due_lag.as_secs()));
        gauge(REFUNDS_OVERDUE, |app| one(app.figures.last().overdue));
        gauge(CONSUMERS, |app| one(app.figures.last().consumers));
        gauge(CONSUMER_LAG, |app| one(app.figures.last().consumer_lag));
    }

    fn observe_one(&self, app: &Arc<App>, row: Instrument, read: fn(&App) -> Samples) {
        let app: Weak<App> = Arc::downgrade(app);
        let gauge = self.0.meter.u64_observable_gauge(row.name);
        let gauge = gauge.with_unit(row.unit).with_description(row.help);
        gauge
            .with_callback(move |observer| {
                let Some(app) = app.upgrade() else { return };
                for (value, labels) in read(&app) {
                    observer.observe(value, &labels);
                }
            })
            .build();
    }
}

/// Of what has no labels.
fn one(value: u64) -> Samples {
    vec![(value, Vec::new())]
}

fn rows_kept(app: &App) -> Samples {
    let kept = |kind: retention::Kind| {
        let seconds = match app.retention.keep(kind) {
            Keep::For(kept) => kept.as_secs(),
            Keep::Forever => 0,
        };
        (seconds, vec![KeyValue::new(ROWS, kind.name())])
    };
    retention::Kind::ALL.into_iter().map(kept).collect()
}

fn gates_open(app: &App) -> Samples {
    let last = app.figures.last();
    let gates = last.gates().map(|(party, age, gates)| {
        let age = KeyValue::new(AGE, age.name());
        (gates, vec![KeyValue::new(PARTY, party.name()), age])
    });
    gates.collect()
}

fn refunds_open(app: &App) -> Samples {
    let last = app.figures.last();
    let refunds = last
        .refunds()
        .map(|(state, refunds)| (refunds, vec![KeyValue::new(REFUND_STATE, state.name())]));
    refunds.collect()
}

fn queue_depth(app: &App) -> Samples {
    let (interactive, background) = app.engine.waiting();
    let depth =
        |queue: Queue, waiting: usize| (count(waiting), vec![KeyValue::new(QUEUE, queue.name())]);
    vec![
        depth(Queue::Interactive, interactive),
        depth(Queue::Background, background),
        depth(Queue::Reads, app.reads.waiting()),
        depth(Queue::Pages, app.pages.waiting()),
    ]
}

fn projection_lag(app: &App) -> Samples {
    let lag = |projection: &Projection| {
        let label = KeyValue::new(PROJECTION, projection.name());
        (app.lags.events(*projection), vec![label])
    };
    Projection::ALL.iter().map(lag).collect()
}

fn oldest_rows(app: &App) -> Samples {
    let age = |kind: retention::Kind| {
        let label = KeyValue::new(ROWS, kind.name());
        (app.oldest_rows.age(kind), vec![label])
    };
    retention::Kind::ALL.into_iter().map(age).collect()
}

fn connections(app: &App) -> Samples {
    let of_share = |share: Share| {
        let status = app.pools.of(share).status();
        [("used", status.used), ("idle", status.idle)].map(|(state, connections)| {
            let state = KeyValue::new(attribute::DB_CLIENT_CONNECTION_STATE, state);
            (count(connections), vec![of_pool(share), state])
        })
    };
    Share::ALL.into_iter().flat_map(of_share).collect()
}

fn of_each_share(connections: impl Fn(Share) -> usize) -> Samples {
    let sample = |share| (count(connections(share)), vec![of_pool(share)]);
    Share::ALL.into_iter().map(sample).collect()
}

fn of_pool(share: Share) -> KeyValue {
    KeyValue::new(attribute::DB_CLIENT_CONNECTION_POOL_NAME, share.name())
}
