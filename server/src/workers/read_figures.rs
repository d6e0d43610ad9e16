//! Reads the figures of the whole database now and then, so that whoever scrapes metrics asks it
//! for nothing.

use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Role;
use belay_domain::refund::RefundState;
use belay_domain::scope::IdFilter;
use jiff::{SignedDuration, Timestamp};

use crate::App;
use crate::db::consumers::{self, ConsumerQuery};
use crate::db::{Conn, DbError, feed, figures as db, in_time};
use crate::figures::{Figures, REFUND_STATES};

/// Between two readings.
pub const INTERVAL: Duration = Duration::from_secs(15);
/// Consumers that are looked at.
pub const CONSUMERS_MAX: u16 = 1_000;
/// The ages by which gates are told apart, the youngest first.
const AGES: [SignedDuration; 3] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(7 * 24),
];

/// Runs for as long as it is polled.
pub async fn run(app: Arc<App>) {
    loop {
        if let Err(error) = in_time(look(&app)).await {
            app.pools.notes().note("a reading of figures", &error);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Reads all of them once.
pub async fn look(app: &App) -> Result<(), DbError> {
    app.figures.are(read(app).await?);
    Ok(())
}

/// Of upkeep, and the connection goes back after each figure: who waits for one waits for a short
/// statement.
async fn read(app: &App) -> Result<Figures, DbError> {
    let mut figures = Figures::default();
    let mut conn = app.pools.upkeep.checkout().await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        Ok((
            now,
            db::due(&mut conn, app.partitions.count.get(), now).await?,
        ))
    };
    let read = read.await;
    let (now, (due, first)) = conn.finish_with(read)?;
    figures.due_orders = due;
    let late = first.map(|first| Duration::try_from(now.duration_since(first)));
    figures.due_lag = late.and_then(Result::ok).unwrap_or_default();
    let mut conn = app.pools.upkeep.checkout().await?;
    let read = gates(&mut conn, &mut figures, now).await;
    conn.finish_with(read)?;
    let mut conn = app.pools.upkeep.checkout().await?;
    let read = refunds(&mut conn, &mut figures, now).await;
    conn.finish_with(read)?;
    let mut conn = app.pools.upkeep.checkout().await?;
    let read = consumers(&mut conn, &mut figures).await;
    conn.finish_with(read)?;
    Ok(figures)
}

async fn gates(conn: &mut Conn, figures: &mut Figures, now: Timestamp) -> Result<(), DbError> {
    let since = AGES.map(|age| now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH));
    let mut left = db::COUNTED_MAX;
    for group in db::gate_groups(conn).await? {
        let Some(party) = Role::parse(&group.name) else {
            continue;
        };
        let by_age = db::gates(conn, &group, since, left).await?;
        figures.add_gates(party, by_age);
        left = left.saturating_sub(by_age.iter().sum());
        if left == 0 {
            break;
        }
    }
    Ok(())
}

async fn refunds(conn: &mut Conn, figures: &mut Figures, now: Timestamp) -> Result<(), DbError> {
    let (mut left, mut rows) = (db::COUNTED_MAX, db::ROWS_MAX);
    for group in db::refund_groups(conn).await? {
        let state = RefundState::parse(&group.name);
        let Some(state) = state.filter(|state| REFUND_STATES.contains(state)) else {
            continue;
        };
        let refunds = db::refunds(conn, &group, left).await?;
        let (overdue, looked_at) = db::overdue(conn, &group, now, rows).await?;
        figures.add_refunds(state, refunds);
        figures.overdue += overdue;
        left = left.saturating_sub(refunds);
        rows = rows.saturating_sub(looked_at);
    }
    Ok(())
}

async fn consumers(conn: &mut Conn, figures: &mut Figures) -> Result<(), DbError> {
    let everybody = ConsumerQuery {
        store: None,
        stores: IdFilter::All,
        owner: None,
    };
    let found = consumers::list(conn, &everybody, None, CONSUMERS_MAX).await?;
    let ends = feed::ends(conn).await?;
    let lags = found.iter().map(|consumer| {
        let known = (0..).zip(&ends);
        known
            .map(|(partition, end)| end.last.saturating_sub(consumer.positions.of(partition)))
            .sum::<u64>()
    });
    figures.consumer_lag = lags.max().unwrap_or_default();
    figures.consumers = u64::try_from(found.len()).unwrap_or(u64::MAX);
    Ok(())
}
