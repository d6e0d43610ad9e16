//! The payment provider, as a refund worker asks it.

use jiff::Timestamp;

use crate::error::BoxError;
use crate::model::{Money, Refund};

/// A payment provider, as a [`RefundWorker`](super::RefundWorker) asks it. The worker decides which
/// question comes when; the implementation makes the provider's calls and nothing else.
///
/// The provider must take [`Refund::provider_key`] for an idempotency key: however often it is
/// asked with it, the money goes once. An error means that it cannot be told whether the provider
/// has acted, such as after a time-out. The worker then asks [`find_refund`](Self::find_refund)
/// before anything else.
///
/// Both methods may be dropped at any `.await`: at the end of the lease, and with the worker.
///
/// ```no_run
/// use belay_client::model::{Refund, RefundKind};
/// use belay_client::refund_worker::{RefundAnswer, RefundProvider, Settlement};
/// use belay_client::BoxError;
///
/// struct Bank;
/// # struct Found { id: String, failure: Option<String> }
/// # impl Bank {
/// #     async fn find(&self, _key: &str) -> Result<Option<Found>, BoxError> { Ok(None) }
/// #     async fn refund(&self, _payment: &str, _cents: i64, _key: &str) -> Result<Found, BoxError> { Err("no".into()) }
/// #     async fn release(&self, _payment: &str, _key: &str) -> Result<Found, BoxError> { Err("no".into()) }
/// # }
///
/// fn read(found: Found) -> RefundAnswer {
///     match found.failure {
///         None => Settlement::default().provider_refund_id(found.id).into(),
///         Some(code) => RefundAnswer::Failed { code: Some(code) },
///     }
/// }
///
/// impl RefundProvider for Bank {
///     async fn find_refund(&self, refund: &Refund) -> Result<Option<RefundAnswer>, BoxError> {
///         Ok(self.find(&refund.provider_key).await?.map(read))
///     }
///
///     async fn request_refund(&self, refund: &Refund) -> Result<RefundAnswer, BoxError> {
///         let (payment, key) = (&refund.provider_payment_id, &refund.provider_key);
///         let found = match refund.kind {
///             RefundKind::Void => self.release(payment, key).await?,
///             _ => self.refund(payment, refund.amount.total.minor_units, key).await?,
///         };
///         Ok(read(found))
///     }
/// }
/// ```
pub trait RefundProvider: Send + Sync {
    /// Asks what became of the refund of this key. `None` only if the provider has never heard of
    /// it.
    fn find_refund(
        &self,
        refund: &Refund,
    ) -> impl Future<Output = Result<Option<RefundAnswer>, BoxError>> + Send;

    /// Requests the refund with its key: money back, or an authorisation released
    /// ([`Refund::kind`]). A provider that has nothing to release has settled it.
    fn request_refund(
        &self,
        refund: &Refund,
    ) -> impl Future<Output = Result<RefundAnswer, BoxError>> + Send;
}

/// A provider's answer about a refund. [`Settlement`] converts into it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    /// The money has gone.
    Settled(Settlement),
    /// The provider refuses. Final: another attempt would be a refund with another key.
    Failed {
        /// The provider's code: at most 128 printable ASCII characters.
        code: Option<String>,
    },
    /// The provider has the refund and has not decided. It is asked again in a later lease.
    Pending,
}

/// The settlement of a refund. Made by `Settlement::default()`.
///
/// ```
/// use belay_client::refund_worker::{RefundAnswer, Settlement};
///
/// let answer = RefundAnswer::from(Settlement::default().provider_refund_id("re_99"));
/// # let _ = answer;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    pub(super) amount: Option<Money>,
    pub(super) provider_refund_id: Option<String>,
    pub(super) occurred_time: Option<Timestamp>,
}

impl Settlement {
    /// The amount that the provider paid back. The refund's total unless set.
    #[must_use]
    pub fn amount(mut self, amount: Money) -> Self {
        self.amount = Some(amount);
        self
    }

    /// The provider's id of the refund: at most 128 printable ASCII characters without spaces.
    #[must_use]
    pub fn provider_refund_id(mut self, id: impl Into<String>) -> Self {
        self.provider_refund_id = Some(id.into());
        self
    }

    /// When it happened, as the provider reports it. The time of the record unless set.
    #[must_use]
    pub fn occurred_time(mut self, instant: Timestamp) -> Self {
        self.occurred_time = Some(instant);
        self
    }
}

impl From<Settlement> for RefundAnswer {
    fn from(settlement: Settlement) -> Self {
        Self::Settled(settlement)
    }
}
