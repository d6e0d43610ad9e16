//! Refunds: for the system that talks to the payment provider.

use std::time::Duration;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::macros::{call, list};
use crate::call::Call;
use crate::ids::{IntoId, OrderId, RefundId, SellerId, WorkerId};
use crate::model::{Money, Refund, RefundResult, RefundState, Written, read_written};
use crate::store::Store;
use crate::wire::{duration_to_wire, read, read_all, time_to_wire};

/// # Refunds
impl Store {
    /// Gets one refund. Fails with `OrderNotFound`, `RefundNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let refund = store.get_refund("A-1:r1").await?;
    /// println!("{} is {}", refund.amount.total, refund.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_refund(&self, refund_id: impl IntoId<RefundId>) -> GetRefund {
        let (store_id, mut errors) = self.begin();
        let refund_id = errors.id("refund_id", refund_id);
        GetRefund(Call::new(
            &self.belay,
            pb::GetRefundRequest {
                store_id,
                refund_id,
            },
            errors,
        ))
    }

    /// Lists refunds, newest first. All given filters must match. Fails with `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::RefundState;
    ///
    /// let failed = store.list_refunds().state(RefundState::Failed).await?;
    /// println!("{} failed", failed.items.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_refunds(&self) -> ListRefunds {
        let (store_id, errors) = self.begin();
        ListRefunds(Call::new(
            &self.belay,
            pb::ListRefundsRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Claims refunds that are due or unknown for one worker, the most urgent first, for the time
    /// of a lease. An empty response means that nothing is due.
    ///
    /// The client never repeats this call by itself: each call claims other refunds, so a repeat
    /// after a lost response would claim a second batch while no worker has the first. At the end
    /// of the lease the refunds of a lost response can be claimed again, with `ask_provider_first`.
    /// A worker that gets an error runs again.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for refund in store.claim_refunds("worker-1").max_refunds(20).await? {
    ///     println!("ask the provider for {} with key {}", refund.amount.total, refund.provider_key);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn claim_refunds(&self, worker_id: impl IntoId<WorkerId>) -> ClaimRefunds {
        let (store_id, mut errors) = self.begin();
        let worker_id = errors.id("worker_id", worker_id);
        let request = pb::ClaimRefundsRequest {
            store_id,
            worker_id,
            ..Default::default()
        };
        ClaimRefunds(Call::new(&self.belay, request, errors))
    }

    /// Records the provider's result of one refund. It is a fact: it is recorded even when the
    /// lease has ended.
    ///
    /// A second `Settled` changes nothing, but opens an incident if its amount differs. Fails with
    /// `RefundNotFound`, `RequestIdReused`, `CurrencyMismatch`, and `RefundNotClaimed` for a refund
    /// that was never claimed.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::RefundResult;
    ///
    /// let refund = store.record_refund_result("A-1:r1", RefundResult::Settled).provider_refund_id("re_99").await?;
    /// println!("{}", refund.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_refund_result(
        &self,
        refund_id: impl IntoId<RefundId>,
        result: RefundResult,
    ) -> RecordRefundResult {
        let (store_id, mut errors) = self.begin();
        let refund_id = errors.id("refund_id", refund_id);
        let request = pb::RecordRefundResultRequest {
            store_id,
            refund_id,
            result: result.to_wire(),
            ..Default::default()
        };
        RecordRefundResult(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::get_refund`].
    GetRefund(pb::GetRefundRequest) -> Refund;
    |response| read(response.refund, "refund")
}
list! {
    /// Made by [`Store::list_refunds`].
    ListRefunds(pb::ListRefundsRequest) -> Refund, [freshness];
    refunds
}
call! {
    /// Made by [`Store::claim_refunds`]. Never repeated by the client.
    ClaimRefunds(pb::ClaimRefundsRequest) -> Vec<Refund>;
    |response| read_all(response.refunds)
}
call! {
    /// Made by [`Store::record_refund_result`].
    RecordRefundResult(pb::RecordRefundResultRequest) -> Written<Refund>, [request_id];
    |response, position| read_written(response.refund, "refund", &response.request_id, position)
}

impl ListRefunds {
    /// Only those of this order.
    pub fn order_id(mut self, order_id: impl IntoId<OrderId>) -> Self {
        self.0.request.order_id = self.0.errors.id("order_id", order_id);
        self
    }

    /// Only those of this seller's orders.
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.0.request.seller_id = self.0.errors.id("seller_id", seller_id);
        self
    }

    /// Only those in this state.
    pub fn state(mut self, state: RefundState) -> Self {
        self.0.request.state = state.to_wire();
        self
    }
}

impl ClaimRefunds {
    /// The largest number of refunds to claim: 1 to 100; 10 unless set.
    pub fn max_refunds(mut self, max_refunds: i32) -> Self {
        self.0.request.max_refunds = max_refunds;
        self
    }

    /// The lease: the time after which a refund without a result is unknown. 10 seconds to 15
    /// minutes; 60 seconds unless set.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.0.request.lease = Some(duration_to_wire(lease));
        self
    }
}

impl RecordRefundResult {
    /// The amount that the provider paid back, if it settled. The refund's total unless set.
    pub fn amount(mut self, amount: Money) -> Self {
        self.0.request.amount = Some(amount.to_wire());
        self
    }

    /// The provider's code of the failure: at most 128 printable ASCII characters.
    pub fn failure_code(mut self, failure_code: impl Into<String>) -> Self {
        self.0.request.failure_code = failure_code.into();
        self
    }

    /// The provider's id of the refund: at most 128 printable ASCII characters without spaces.
    pub fn provider_refund_id(mut self, provider_refund_id: impl Into<String>) -> Self {
        self.0.request.provider_refund_id = provider_refund_id.into();
        self
    }

    /// The time of the result, as the provider reports it. Now unless set.
    pub fn occurred_time(mut self, instant: Timestamp) -> Self {
        self.0.request.occurred_time = Some(time_to_wire(instant));
        self
    }
}
