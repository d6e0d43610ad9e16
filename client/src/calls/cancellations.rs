//! Cancellations: for storefronts, sellers and support.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use self::units::{OnBehalfOf, Units};
use super::macros::{call, list};
use crate::call::Call;
use crate::ids::{CancellationId, CarrierId, Etag, IntoId, OrderId, SellerId, WarehouseId};
use crate::model::{
    ActionsSummary, Cancellation, CancellationPath, CancellationPreview, CancellationReasons,
    CancellationState, FoundCancellation, OrderState, Party, Quote, RequestedCancellation,
    read_request_id,
};
use crate::store::Store;
use crate::wire::{FromWire, Open, open_enum, read, time_to_wire};

pub(crate) mod incidents;
pub(crate) mod units;

/// # Cancellations
impl Store {
    /// Previews [`request_cancellation`](Self::request_cancellation) and changes nothing. The
    /// preview has, for each shipment, every path with its rule, gates, refund and alternatives,
    /// and every rejection of the request. Fails only with `OrderNotFound`, `LineNotFound`,
    /// `ShipmentNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::{Units, reason};
    ///
    /// let one_mug = Units::line("A-1:l1", 1);
    /// let preview = store.preview_cancellation("A-1", one_mug).reason(reason::NO_LONGER_WANTED).await?;
    /// match preview.rejections.first() {
    ///     None => println!("yes"),
    ///     Some(rejection) => println!("no: {}", rejection.reason),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn preview_cancellation(
        &self,
        order_id: impl IntoId<OrderId>,
        units: Units,
    ) -> PreviewCancellation {
        let (store_id, mut errors) = self.begin();
        let order_id = errors.id("order_id", order_id);
        errors.0.extend(units.errors.0);
        let request = pb::PreviewCancellationRequest {
            store_id,
            order_id,
            selection: Some(units.selection.into()),
            ..Default::default()
        };
        PreviewCancellation(Call::new(&self.belay, request, errors))
    }

    /// Lists the reasons that the requester may give for these units, in the order of the policy,
    /// each with its label and what a request with it would come to now. Fails only with
    /// `OrderNotFound`, `OutOfScope`, `LineNotFound`, `ShipmentNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::Units;
    ///
    /// let listed = store.list_reasons("A-1", Units::all()).languages(["de-AT", "en"]).await?;
    /// for reason in listed.reasons.iter().filter(|reason| reason.allowed) {
    ///     println!("{}: {}", reason.code, reason.label);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_reasons(&self, order_id: impl IntoId<OrderId>, units: Units) -> ListReasons {
        let (store_id, mut errors) = self.begin();
        let order_id = errors.id("order_id", order_id);
        errors.0.extend(units.errors.0);
        let request = pb::ListReasonsRequest {
            store_id,
            order_id,
            selection: Some(units.selection.into()),
            ..Default::default()
        };
        ListReasons(Call::new(&self.belay, request, errors))
    }

    /// Requests the cancellation of units. Units without a gate are cancelled and their refund is
    /// created in the same step; for the others a part waits.
    ///
    /// A storefront makes the request for the buyer. Idempotent by request id, rejections included.
    /// Fails with the reasons that the proto lists, among them `OutOfScope`, `ReasonRequired`,
    /// `UnitsClaimed`, `QuantityUnavailable`, `NotAllowed`, `Shipped`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::{Units, reason};
    ///
    /// let requested = store.request_cancellation("A-1", Units::all()).reason(reason::WRONG_PURCHASE).await?;
    /// println!("{}, {} goes back", requested.cancellation.state, requested.cancellation.expected_refund.total);
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_cancellation(
        &self,
        order_id: impl IntoId<OrderId>,
        units: Units,
    ) -> RequestCancellation {
        let (store_id, mut errors) = self.begin();
        let order_id = errors.id("order_id", order_id);
        errors.0.extend(units.errors.0);
        let request = pb::RequestCancellationRequest {
            store_id,
            order_id,
            selection: Some(units.selection),
            ..Default::default()
        };
        RequestCancellation(Call::new(&self.belay, request, errors))
    }

    /// Approves a cancellation: passes the gates that await the caller's consent. A seller consents
    /// for the seller, support and operators for customer service. A repeated approval is `Ok`.
    ///
    /// Fails with `OrderNotFound`, `CancellationNotFound`, `EtagMismatch`, `GateNotOpen`,
    /// `GateTimedOut`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let approved = store.approve_cancellation("A-1:c1").note("not packed yet").await?;
    /// println!("{}", approved.cancellation.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn approve_cancellation(
        &self,
        cancellation_id: impl IntoId<CancellationId>,
    ) -> ApproveCancellation {
        let (store_id, mut errors) = self.begin();
        let cancellation_id = errors.id("cancellation_id", cancellation_id);
        let request = pb::ApproveCancellationRequest {
            store_id,
            cancellation_id,
            ..Default::default()
        };
        ApproveCancellation(Call::new(&self.belay, request, errors))
    }

    /// Rejects a cancellation: the parts that await the caller's consent end with `ConsentRefused`,
    /// and their units stay as they were. The code is a word of the caller's own,
    /// `[A-Z][A-Z0-9_]{0,62}`. A repeated rejection is `Ok`.
    ///
    /// Fails as [`approve_cancellation`](Self::approve_cancellation) does.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let rejected = store.reject_cancellation("A-1:c1", "ALREADY_PACKED").evidence(["PHOTO:77"]).await?;
    /// println!("{}", rejected.cancellation.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reject_cancellation(
        &self,
        cancellation_id: impl IntoId<CancellationId>,
        code: impl Into<String>,
    ) -> RejectCancellation {
        let (store_id, mut errors) = self.begin();
        let cancellation_id = errors.id("cancellation_id", cancellation_id);
        let request = pb::RejectCancellationRequest {
            store_id,
            cancellation_id,
            code: code.into(),
            ..Default::default()
        };
        RejectCancellation(Call::new(&self.belay, request, errors))
    }

    /// Withdraws a cancellation, for its requester: the parts on which no warehouse and no carrier
    /// has acted yet are withdrawn. A repeated withdrawal is `Ok`.
    ///
    /// Fails with `OrderNotFound`, `CancellationNotFound`, `EtagMismatch`, `NotTheRequester`,
    /// `TooLateToWithdraw`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let withdrawn = store.withdraw_cancellation("A-1:c1").await?;
    /// println!("{}", withdrawn.cancellation.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn withdraw_cancellation(
        &self,
        cancellation_id: impl IntoId<CancellationId>,
    ) -> WithdrawCancellation {
        let (store_id, mut errors) = self.begin();
        let cancellation_id = errors.id("cancellation_id", cancellation_id);
        let request = pb::WithdrawCancellationRequest {
            store_id,
            cancellation_id,
            ..Default::default()
        };
        WithdrawCancellation(Call::new(&self.belay, request, errors))
    }

    /// Gets one cancellation. Fails with `OrderNotFound`, `CancellationNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let found = store.get_cancellation("A-1:c1").await?;
    /// println!("{}", found.cancellation.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_cancellation(
        &self,
        cancellation_id: impl IntoId<CancellationId>,
    ) -> GetCancellation {
        let (store_id, mut errors) = self.begin();
        let cancellation_id = errors.id("cancellation_id", cancellation_id);
        GetCancellation(Call::new(
            &self.belay,
            pb::GetCancellationRequest {
                store_id,
                cancellation_id,
            },
            errors,
        ))
    }

    /// Lists cancellations, newest first. All given filters must match. Fails with
    /// `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::CancellationState;
    ///
    /// let waiting = store.list_cancellations().state(CancellationState::Pending).await?;
    /// println!("{} wait", waiting.items.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_cancellations(&self) -> ListCancellations {
        let (store_id, errors) = self.begin();
        let request = pb::ListCancellationsRequest {
            store_id,
            ..Default::default()
        };
        ListCancellations(Call::new(&self.belay, request, errors))
    }

    /// Counts the cancellations that need a party's attention: the "action needed" of a seller
    /// centre, with its badge and the nearest deadline. Each count is exact up to 10,000. The party
    /// is the seller unless another [`party`](SummarizeActions::party) is set.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let needed = store.summarize_actions().seller_id("acme").await?;
    /// println!("{}: {} to answer, {} not to hand over", needed.total, needed.requested, needed.auto_approved);
    /// # Ok(())
    /// # }
    /// ```
    pub fn summarize_actions(&self) -> SummarizeActions {
        let (store_id, errors) = self.begin();
        SummarizeActions(Call::new(
            &self.belay,
            pb::SummarizeActionsRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }
}

/// Reads the response of a write to a cancellation. The five messages have the same fields.
macro_rules! read_requested {
    ($response:ident, $position:ident) => {
        Ok(RequestedCancellation {
            cancellation: read($response.cancellation, "cancellation")?,
            order_state: OrderState::from_wire($response.order_state),
            order_etag: Etag::from($response.order_etag),
            request_id: read_request_id(&$response.request_id)?,
            position: $position,
        })
    };
}
pub(super) use read_requested;

call! {
    /// Made by [`Store::preview_cancellation`].
    PreviewCancellation(pb::PreviewCancellationRequest) -> CancellationPreview, [reason, paths, on_ineligible_units, on_behalf_of];
    |response| CancellationPreview::from_wire(response)
}
call! {
    /// Made by [`Store::list_reasons`].
    ListReasons(pb::ListReasonsRequest) -> CancellationReasons, [paths, on_ineligible_units, on_behalf_of];
    |response| CancellationReasons::from_wire(response)
}
call! {
    /// Made by [`Store::request_cancellation`].
    RequestCancellation(pb::RequestCancellationRequest) -> RequestedCancellation, [reason, paths, on_ineligible_units, on_behalf_of, request_id, etag, note, evidence, metadata, external_references];
    |response, position| read_requested!(response, position)
}
call! {
    /// Made by [`Store::approve_cancellation`].
    ApproveCancellation(pb::ApproveCancellationRequest) -> RequestedCancellation, [request_id, etag, note];
    |response, position| read_requested!(response, position)
}
call! {
    /// Made by [`Store::reject_cancellation`].
    RejectCancellation(pb::RejectCancellationRequest) -> RequestedCancellation, [request_id, etag, note, evidence];
    |response, position| read_requested!(response, position)
}
call! {
    /// Made by [`Store::withdraw_cancellation`].
    WithdrawCancellation(pb::WithdrawCancellationRequest) -> RequestedCancellation, [request_id, etag];
    |response, position| read_requested!(response, position)
}
call! {
    /// Made by [`Store::get_cancellation`].
    GetCancellation(pb::GetCancellationRequest) -> FoundCancellation;
    |response| Ok(FoundCancellation {
        cancellation: read(response.cancellation, "cancellation")?,
        order_etag: Etag::from(response.order_etag),
    })
}
list! {
    /// Made by [`Store::list_cancellations`].
    ListCancellations(pb::ListCancellationsRequest) -> Cancellation, [freshness];
    cancellations
}
call! {
    /// Made by [`Store::summarize_actions`].
    SummarizeActions(pb::SummarizeActionsRequest) -> ActionsSummary, [freshness];
    |response| ActionsSummary::from_wire(response)
}

impl PreviewCancellation {
    /// The instant to preview for, instead of now. Nothing but deadlines is assumed to happen until
    /// then. An instant in the past is taken as now.
    pub fn at_time(mut self, instant: Timestamp) -> Self {
        self.0.request.at_time = Some(time_to_wire(instant));
        self
    }
}

impl ListReasons {
    /// The languages of the labels, best first: at most 8 BCP 47 tags, such as `de-AT`, which finds
    /// `de`. Unless set, and where none is found: English where the policy has it.
    pub fn languages(mut self, languages: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.request.languages = languages.into_iter().map(Into::into).collect();
        self
    }
}

impl RequestCancellation {
    /// The quote of a preview with the same arguments: the cancellation is made on its terms or not
    /// at all. Fails with `QuoteExpired`, and with `QuoteMismatch` if the terms would differ now.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::{Units, reason};
    ///
    /// let preview = store.preview_cancellation("A-1", Units::all()).reason(reason::NO_LONGER_WANTED).await?;
    /// if let Some(quote) = preview.quote {
    ///     let request = store.request_cancellation("A-1", Units::all()).reason(reason::NO_LONGER_WANTED);
    ///     println!("{}", request.quote(quote).await?.cancellation.state);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn quote(mut self, quote: Quote) -> Self {
        self.0.request.quote = quote.token;
        self
    }
}

impl ListCancellations {
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
    pub fn state(mut self, state: CancellationState) -> Self {
        self.0.request.state = state.to_wire();
        self
    }

    /// Only those with a part in a shipment of this warehouse.
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.warehouse_id = self.0.errors.id("warehouse_id", warehouse_id);
        self
    }

    /// Only those with a part in a shipment of this carrier.
    pub fn carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.0.request.carrier_id = self.0.errors.id("carrier_id", carrier_id);
        self
    }

    /// Only those with a part that waits for this party.
    pub fn awaiting(mut self, party: Party) -> Self {
        self.0.request.awaiting = party.to_wire();
        self
    }

    /// Only those with a part that waits for an answer before this instant.
    pub fn respond_by_before(mut self, instant: Timestamp) -> Self {
        self.0.request.respond_by_before = Some(time_to_wire(instant));
        self
    }
}

impl SummarizeActions {
    /// The party that must act. The seller unless set.
    pub fn party(mut self, party: Party) -> Self {
        self.0.request.party = party.to_wire();
        self
    }

    /// Only what belongs to this seller's orders.
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.0.request.seller_id = self.0.errors.id("seller_id", seller_id);
        self
    }

    /// Only what is about shipments of this warehouse. For the party [`Party::Warehouse`] only.
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.warehouse_id = self.0.errors.id("warehouse_id", warehouse_id);
        self
    }

    /// Only what is about shipments of this carrier. For the party [`Party::Carrier`] only.
    pub fn carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.0.request.carrier_id = self.0.errors.id("carrier_id", carrier_id);
        self
    }

    /// The instant since which automatic approvals count: at most 31 days ago, 7 days unless set.
    /// For the party [`Party::Seller`] only.
    pub fn auto_approved_since(mut self, instant: Timestamp) -> Self {
        self.0.request.auto_approved_since = Some(time_to_wire(instant));
        self
    }
}

open_enum! {
    /// The treatment of requested units that cannot be cancelled.
    OnIneligibleUnits {
        /// Refuse the whole request and record nothing. The error lists every rejection.
        Refuse,
        /// Leave these units out and cancel the others. If none is left, the request is refused.
        LeaveOut,
    }
}
