//! Stock as it is kept and shown.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Entry, EntryKind, EntryPlace, Holding, Source, StockBalance, StockKey};
use crate::actor::Actor;
use crate::ids::{OrderId, OrderKey};

/// The stock of a SKU in a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    pub key: StockKey,
    pub balance: StockBalance,
    /// Of the last entry that says how much it is.
    pub set_place: EntryPlace,
    /// Of the last entry that somebody told.
    pub told_place: EntryPlace,
    /// Of the last entry.
    pub last_place: EntryPlace,
}

impl Stock {
    /// Of a SKU that nobody has told of.
    pub fn unknown(key: StockKey) -> Self {
        Self {
            key,
            balance: StockBalance::default(),
            set_place: EntryPlace::FIRST,
            told_place: EntryPlace::FIRST,
            last_place: EntryPlace::FIRST,
        }
    }
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    pub entry: Entry,
    /// What lay there before an entry that says how much it is; None of others.
    pub previous: Option<i64>,
}

/// A holding of an open shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHolding {
    pub order_key: OrderKey,
    pub order: OrderId,
    pub shipment: u32,
    pub holding: Holding,
}

/// A statement about a SKU: a count, or that it is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    pub key: StockKey,
    pub request_id: Uuid,
    /// COUNTED or ARCHIVED.
    pub kind: EntryKind,
    pub quantity: u32,
    pub actor: Actor,
    pub time: Timestamp,
}

impl Telling {
    /// The entry that it is in the ledger.
    pub fn entry(&self) -> Entry {
        Entry {
            key: self.key.clone(),
            place: EntryPlace::of_telling(self.time),
            kind: self.kind,
            quantity: self.quantity,
            on_hand: 0,
            reserved: 0,
            source: Source::Told(self.actor.clone()),
        }
    }

    /// Whether another of the same request id tells the same.
    pub fn repeats(&self, other: &Telling) -> bool {
        (&self.key, self.kind, self.quantity, &self.actor)
            == (&other.key, other.kind, other.quantity, &other.actor)
    }
}
