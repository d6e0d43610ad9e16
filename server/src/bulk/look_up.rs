//! The results of orders that may have been asked already, found without asking anything: for a job
//! that stops. Whoever asked them may have died before it wrote what they gave.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use belay_domain::bulk::JobOrder;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::OrderKey;
use belay_domain::records::RequestKey;
use belay_wire::batch::{Batch, Submitted};

use super::ask::{Ask, Asked, Unasked, result_of};
use crate::db::snapshot::Snapshot;
use crate::db::{DbError, aggregate, orders, requests};

/// What was found out of orders.
pub(super) struct LookedUp {
    /// Of those that were asked.
    pub(super) results: Vec<Asked>,
    /// Some are locked by somebody, who may be about to commit what they were asked.
    pub(super) are_locked: bool,
}

impl Ask<'_> {
    /// What the orders gave that were asked. An order whose lock was free has its request by then,
    /// if it was asked: whoever decides holds the lock up to its commit.
    pub(super) async fn look_up(&self, waiting: Vec<JobOrder>) -> Result<LookedUp, DbError> {
        let keys: Vec<OrderKey> = waiting.iter().map(|order| order.order_key).collect();
        let (free, are_locked) = self.unlocked(&keys).await?;
        let waiting = waiting
            .into_iter()
            .filter(|order| free.contains(&order.order_key));
        let results = self.asked_before(waiting.collect()).await?;
        Ok(LookedUp {
            results,
            are_locked,
        })
    }

    /// Those of these orders that nobody has locked; and whether somebody has any. No lock outlives
    /// its statement, so callers of the orders do not meet one.
    async fn unlocked(&self, keys: &[OrderKey]) -> Result<(HashSet<OrderKey>, bool), DbError> {
        let mut conn = self.app.pools.background.checkout().await?;
        let found = async {
            let free = orders::free_of(&mut conn, keys).await?;
            let free: HashSet<OrderKey> = free.into_iter().collect();
            let existing = orders::existing(&mut conn, keys).await?;
            let are_locked = existing.iter().any(|key| !free.contains(key));
            Ok((free, are_locked))
        }
        .await;
        conn.finish_with(found)
    }

    async fn asked_before(&self, waiting: Vec<JobOrder>) -> Result<Vec<Asked>, DbError> {
        let request_of = |order: &JobOrder| {
            let request_id = self.key.request_id(&order.order);
            RequestKey::of(order.order_key, request_id, &self.job.caller.actor)
        };
        let requests: Vec<RequestKey> = waiting.iter().map(request_of).collect();
        let mut conn = Snapshot::begin(&self.app.pools.background).await?;
        let read = async {
            let now = self.app.clock.now(&mut conn).await?;
            let known = requests::find(&mut conn, &requests).await?;
            let keys: Vec<OrderKey> = known.keys().map(|request| request.order_key).collect();
            let loaded = aggregate::read(&mut conn, &keys).await?;
            Ok((known, loaded, now))
        }
        .await;
        let (known, loaded, now) = conn.end(read).await?;
        let asked: HashSet<RequestKey> = known.keys().cloned().collect();
        let asked = waiting
            .into_iter()
            .filter(|order| asked.contains(&request_of(order)));
        // With its request known, none of them is decided: it gives the answer that it gave.
        let mut batch = Batch::new(loaded, known, now, self.app.partitions);
        Ok(asked
            .map(|order| self.repeated(&mut batch, order))
            .collect())
    }

    fn repeated(&self, batch: &mut Batch, order: JobOrder) -> Asked {
        let internal = Unasked::Because(ErrorReason::Internal);
        let Ok(fingerprint) = self.work.fingerprint() else {
            return (order, Err(internal));
        };
        let submitted = Submitted {
            key: order.order_key,
            store: &self.store,
            caller: &self.job.caller,
            request_id: self.key.request_id(&order.order),
            expected_version: None,
            work: &self.work,
            fingerprint: fingerprint.hash,
        };
        let reply = match catch_unwind(AssertUnwindSafe(|| batch.decide(&submitted))) {
            Ok(Ok(reply)) => result_of(&order, reply),
            Ok(Err(_)) | Err(_) => Err(internal),
        };
        (order, reply)
    }
}
