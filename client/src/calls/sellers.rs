//! The quality of sellers.

use belay_proto::v1 as pb;

use super::macros::{call, list};
use crate::call::Call;
use crate::ids::{IntoId, SellerId};
use crate::model::{CountedCancellation, SellerQuality, ThresholdCrossing};
use crate::store::Store;
use crate::wire::read_if_set;

/// # Sellers
impl Store {
    /// Gets the quality of a seller as it is now: how much counts against it, over which days, and
    /// how far it is from the policy's thresholds. `None` if the policy does not measure it.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// if let Some(quality) = store.get_seller_quality("acme").await? {
    ///     println!("{} of {}, {} left", quality.numerator, quality.denominator, quality.headroom);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_seller_quality(&self, seller_id: impl IntoId<SellerId>) -> GetSellerQuality {
        let (store_id, mut errors) = self.begin();
        let seller_id = errors.id("seller_id", seller_id);
        let request = pb::GetSellerQualityRequest {
            store_id,
            seller_id,
        };
        GetSellerQuality(Call::new(&self.belay, request, errors))
    }

    /// Lists what counts against a seller in the present window, the oldest first.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for counted in store.list_counted_cancellations("acme").await? {
    ///     println!("{} since {}", counted.cancellation_id, counted.count_time);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_counted_cancellations(
        &self,
        seller_id: impl IntoId<SellerId>,
    ) -> ListCountedCancellations {
        let (store_id, mut errors) = self.begin();
        let seller_id = errors.id("seller_id", seller_id);
        let request = pb::ListCountedCancellationsRequest {
            store_id,
            seller_id,
            ..Default::default()
        };
        ListCountedCancellations(Call::new(&self.belay, request, errors))
    }

    /// Lists when a seller's rate has reached a threshold of the policy, and when it has gone back
    /// below it, the latest first.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for crossing in store.list_threshold_crossings("acme").await? {
    ///     println!("{} {}", crossing.threshold, crossing.reached);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_threshold_crossings(
        &self,
        seller_id: impl IntoId<SellerId>,
    ) -> ListThresholdCrossings {
        let (store_id, mut errors) = self.begin();
        let seller_id = errors.id("seller_id", seller_id);
        let request = pb::ListThresholdCrossingsRequest {
            store_id,
            seller_id,
            ..Default::default()
        };
        ListThresholdCrossings(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::get_seller_quality`].
    GetSellerQuality(pb::GetSellerQualityRequest) -> Option<SellerQuality>;
    |response| read_if_set(response.quality)
}
list! {
    /// Made by [`Store::list_counted_cancellations`].
    ListCountedCancellations(pb::ListCountedCancellationsRequest) -> CountedCancellation;
    counted
}
list! {
    /// Made by [`Store::list_threshold_crossings`].
    ListThresholdCrossings(pb::ListThresholdCrossingsRequest) -> ThresholdCrossing;
    crossings
}
