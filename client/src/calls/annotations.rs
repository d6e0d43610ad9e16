//! Calls about annotations of orders and cancellations, and notes: for storefronts, sellers and
//! support.

use belay_proto::v1 as pb;

use super::cancellations::read_requested;
use super::macros::call;
use crate::call::Call;
use crate::ids::{CancellationId, Etag, IntoId, OrderId, ShipmentId};
use crate::model::{
    AddedNote, ExternalReference, NoteVisibility, OrderState, RequestedCancellation,
    UpdatedMetadata, read_request_id,
};
use crate::store::Store;
use crate::wire::{Open, read, read_all};

/// # Metadata, external references and notes
impl Store {
    /// Changes the metadata and the external references of an order, in any state of it: sets some,
    /// deletes some, and leaves the rest.
    ///
    /// An order has at most 16 entries, with keys `[A-Za-z0-9._-]{1,64}` and values of 1 to 512
    /// bytes, and 10 references. Fails with `OrderNotFound`, `EtagMismatch`, `LimitReached`, and
    /// with `InvalidField` for a change of nothing.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::ExternalReference;
    ///
    /// let erp = ExternalReference::new("sap", "4711").url("https://erp.example.org/so/4711");
    /// let kept = store
    ///     .update_order_metadata("A-1")
    ///     .set("channel", "web")
    ///     .delete("campaign")
    ///     .set_external_reference(erp)
    ///     .await?;
    /// println!("{:?}", kept.metadata);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_order_metadata(&self, order_id: impl IntoId<OrderId>) -> UpdateOrderMetadata {
        let (store_id, mut errors) = self.begin();
        let request = pb::UpdateOrderMetadataRequest {
            store_id,
            order_id: errors.id("order_id", order_id),
            ..Default::default()
        };
        UpdateOrderMetadata(Call::new(&self.belay, request, errors))
    }

    /// Changes the metadata and the external references of a cancellation, in any state of it, as
    /// [`update_order_metadata`](Self::update_order_metadata) does those of an order.
    ///
    /// Fails with `OrderNotFound`, `OutOfScope`, `CancellationNotFound`, `EtagMismatch`,
    /// `LimitReached`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let updated = store.update_cancellation_metadata("A-1:c1").set("case", "9").await?;
    /// println!("{:?}", updated.cancellation.metadata);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_cancellation_metadata(
        &self,
        cancellation_id: impl IntoId<CancellationId>,
    ) -> UpdateCancellationMetadata {
        let (store_id, mut errors) = self.begin();
        let request = pb::UpdateCancellationMetadataRequest {
            store_id,
            cancellation_id: errors.id("cancellation_id", cancellation_id),
            ..Default::default()
        };
        UpdateCancellationMetadata(Call::new(&self.belay, request, errors))
    }

    /// Adds a note to an order, in any state of it: 1 to 2,000 characters. A storefront writes
    /// public notes, for it does not read others.
    ///
    /// Fails with `OrderNotFound`, `OutOfScope`, `ShipmentNotFound`, `CancellationNotFound`,
    /// `EtagMismatch`, and `LimitReached` for the 101st note.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::NoteVisibility;
    ///
    /// let text = "The courier rings twice.";
    /// let added = store.add_note("A-1", text, NoteVisibility::Public).shipment_id("A-1:s1").await?;
    /// println!("{}", added.note.note_id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_note(
        &self,
        order_id: impl IntoId<OrderId>,
        text: impl Into<String>,
        visibility: NoteVisibility,
    ) -> AddNote {
        let (store_id, mut errors) = self.begin();
        let request = pb::AddNoteRequest {
            store_id,
            order_id: errors.id("order_id", order_id),
            text: text.into(),
            visibility: visibility.to_wire(),
            ..Default::default()
        };
        AddNote(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::update_order_metadata`].
    UpdateOrderMetadata(pb::UpdateOrderMetadataRequest) -> UpdatedMetadata,
        [request_id, etag, set, delete, set_external_reference, delete_external_reference];
    |response, position| Ok(UpdatedMetadata {
        metadata: response.metadata,
        external_references: read_all(response.external_references)?,
        order_etag: Etag::from(response.order_etag),
        request_id: read_request_id(&response.request_id)?,
        position,
    })
}
call! {
    /// Made by [`Store::update_cancellation_metadata`].
    UpdateCancellationMetadata(pb::UpdateCancellationMetadataRequest) -> RequestedCancellation,
        [request_id, etag, set, delete, set_external_reference, delete_external_reference];
    |response, position| read_requested!(response, position)
}
call! {
    /// Made by [`Store::add_note`].
    AddNote(pb::AddNoteRequest) -> AddedNote, [request_id, etag];
    |response, position| Ok(AddedNote {
        note: read(response.note, "note")?,
        order_etag: Etag::from(response.order_etag),
        request_id: read_request_id(&response.request_id)?,
        position,
    })
}

impl AddNote {
    /// The cancellation of the order that it is about.
    pub fn cancellation_id(mut self, cancellation_id: impl IntoId<CancellationId>) -> Self {
        self.0.request.cancellation_id = self.0.errors.id("cancellation_id", cancellation_id);
        self
    }

    /// The shipment of the order that it is about. Not with
    /// [`cancellation_id`](Self::cancellation_id).
    pub fn shipment_id(mut self, shipment_id: impl IntoId<ShipmentId>) -> Self {
        self.0.request.shipment_id = self.0.errors.id("shipment_id", shipment_id);
        self
    }
}
