//! Decisions as they are on record.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::call::Call;
use crate::calls::macros::list;
use crate::ids::{IntoId, OrderId, RequestId};
use crate::model::{PolicyDecision, Role};
use crate::store::Store;
use crate::wire::time_to_wire;

/// # Decisions
impl Store {
    /// Lists what policies were asked and answered, the latest first: every decision on a
    /// cancellation, rejections included, with the rules that did not match and the conditions that
    /// kept them from it.
    ///
    /// A page may be empty even if more follow: use `stream` or `pages` to read on.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let mut rejected = store.list_decisions().order_id("A-1").rejected_only().stream();
    /// while let Some(decision) = rejected.try_next().await? {
    ///     println!("{} {:?}", decision.decision_time, decision.rejected_reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_decisions(&self) -> ListDecisions {
        let (store_id, errors) = self.begin();
        let request = pb::ListDecisionsRequest {
            store_id,
            ..Default::default()
        };
        ListDecisions(Call::new(&self.belay, request, errors))
    }
}

list! {
    /// Made by [`Store::list_decisions`].
    ListDecisions(pb::ListDecisionsRequest) -> PolicyDecision, [freshness];
    decisions
}

impl ListDecisions {
    /// Only decisions on this order.
    pub fn order_id(mut self, order_id: impl IntoId<OrderId>) -> Self {
        self.0.request.order_id = self.0.errors.id("order_id", order_id);
        self
    }

    /// Only the decision of this request.
    pub fn request_id(mut self, request_id: impl Into<RequestId>) -> Self {
        self.0.request.request_id = request_id.into().to_string();
        self
    }

    /// Only of callers in this role. [`Role::System`]: what time decided alone.
    pub fn caller_role(mut self, role: Role) -> Self {
        self.0.request.caller_role = role.to_wire();
        self
    }

    /// Only of callers with this id.
    pub fn caller_id(mut self, id: impl Into<String>) -> Self {
        self.0.request.caller_id = id.into();
        self
    }

    /// Only calls that were rejected.
    pub fn rejected_only(mut self) -> Self {
        self.0.request.rejected_only = true;
        self
    }

    /// Only decisions from this instant on.
    pub fn start_time(mut self, instant: Timestamp) -> Self {
        self.0.request.start_time = Some(time_to_wire(instant));
        self
    }

    /// Only decisions before this instant.
    pub fn end_time(mut self, instant: Timestamp) -> Self {
        self.0.request.end_time = Some(time_to_wire(instant));
        self
    }
}
