//! Annotations of orders and cancellations, and notes.

use std::collections::BTreeMap;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::Actor;
use crate::freshness::{WritePosition, equal_but_for_position};
use crate::ids::{CancellationId, Etag, NoteId, RequestId, ShipmentId};
use crate::wire::{FromWire, Malformed, Open, open_enum, read, text_if_set, time};

/// A reference to the same order, or the same cancellation, in another system.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ExternalReference {
    /// The system, `[A-Za-z0-9._-]{1,64}`. An order has one reference for each, and so has a
    /// cancellation.
    pub system: String,
    /// The id there: 1 to 128 printable ASCII characters without spaces.
    pub id: String,
    /// Where people find it.
    pub url: Option<String>,
}

impl ExternalReference {
    /// The id by which a system knows it.
    pub fn new(system: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            id: id.into(),
            url: None,
        }
    }

    /// Where people find it: `https://` or `http://` and what follows, at most 2,048 printable
    /// ASCII characters without spaces.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    pub(crate) fn into_wire(self) -> pb::ExternalReference {
        pb::ExternalReference {
            system: self.system,
            id: self.id,
            url: self.url.unwrap_or_default(),
        }
    }
}

/// A note: what somebody wrote about an order. It never changes.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Note {
    /// Its id.
    pub note_id: NoteId,
    /// Who may read it.
    pub visibility: NoteVisibility,
    /// The text. `[erased]` once the buyer was erased.
    pub text: String,
    /// The author.
    pub author: Actor,
    /// The cancellation that it is about.
    pub cancellation_id: Option<CancellationId>,
    /// The shipment that it is about.
    pub shipment_id: Option<ShipmentId>,
    /// When it was written.
    pub create_time: Timestamp,
}

open_enum! {
    /// Who may read a note.
    NoteVisibility {
        /// Staff alone: seller, support, operator and auditor.
        Private,
        /// The buyer too. A storefront may show the buyer every note that it reads.
        Public,
    }
}

/// The annotations of an order after a change: the response of
/// [`update_order_metadata`](crate::Store::update_order_metadata).
#[non_exhaustive]
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct UpdatedMetadata {
    /// All entries, by key.
    pub metadata: BTreeMap<String, String>,
    /// All external references, by system.
    pub external_references: Vec<ExternalReference>,
    /// The order's etag after the write.
    pub order_etag: Etag,
    /// The request id that the write was sent with.
    pub request_id: RequestId,
    /// The position of the write, for lists that must show it: see
    /// [`read_after`](crate::calls::ListOrders::read_after). `None` from a server that tells none.
    /// No part of what is compared: the answer to a repetition is the same, and its position may be
    /// a later one.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub position: Option<WritePosition>,
}

equal_but_for_position!(UpdatedMetadata {
    metadata,
    external_references,
    order_etag,
    request_id
});

/// A note that was added: the response of [`add_note`](crate::Store::add_note).
#[non_exhaustive]
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AddedNote {
    /// The note.
    pub note: Note,
    /// The order's etag after the write.
    pub order_etag: Etag,
    /// The request id that the write was sent with.
    pub request_id: RequestId,
    /// The position of the write, for lists that must show it: see
    /// [`read_after`](crate::calls::ListOrders::read_after). `None` from a server that tells none.
    /// No part of what is compared: the answer to a repetition is the same, and its position may be
    /// a later one.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub position: Option<WritePosition>,
}

equal_but_for_position!(AddedNote {
    note,
    order_etag,
    request_id
});

impl FromWire for ExternalReference {
    type Message = pb::ExternalReference;

    fn from_wire(message: pb::ExternalReference) -> Result<Self, Malformed> {
        Ok(Self {
            system: message.system,
            id: message.id,
            url: text_if_set(message.url),
        })
    }
}

impl FromWire for Note {
    type Message = pb::Note;

    fn from_wire(message: pb::Note) -> Result<Self, Malformed> {
        let cancellation_id = text_if_set(message.cancellation_id);
        let shipment_id = text_if_set(message.shipment_id);
        Ok(Self {
            note_id: NoteId::unchecked(message.note_id),
            visibility: NoteVisibility::from_wire(message.visibility),
            text: message.text,
            author: read(message.author, "note.author")?,
            cancellation_id: cancellation_id.map(CancellationId::unchecked),
            shipment_id: shipment_id.map(ShipmentId::unchecked),
            create_time: time(message.create_time, "note.create_time")?,
        })
    }
}
