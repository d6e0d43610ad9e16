//! Stock: how much of a SKU lies in a warehouse, as it follows from what was counted there and from
//! what happened to shipments.
//!
//! The rule is [`OrderHoldings::hear`]: facts about an order's shipments come in, entries of the
//! ledger come out. A balance is nothing but its entries in the order of their places, so that it
//! does not matter in which order they are heard of. Stock is told and never asked: no order is
//! refused for want of it.

mod records;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use self::records::{OpenHolding, Stock, StoredEntry, Telling};
use crate::actor::Actor;
use crate::ids::{OrderId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use crate::names::named_enum;
use crate::shipment::Stage;
use crate::terms::GoodsCondition;

/// Most units of one SKU that a count may find in one warehouse.
pub const QUANTITY_MAX: u32 = 1_000_000_000;

/// A SKU in a warehouse of a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StockKey {
    pub store: StoreId,
    pub warehouse: WarehouseId,
    pub sku: Sku,
}

named_enum! {
    /// The kind of an entry of the ledger.
    pub enum EntryKind {
        /// A shipment was released: its units are promised.
        Reserved = "RESERVED",
        /// Promised units are promised no more: cancelled before they left, or held back again.
        Released = "RELEASED",
        /// Units left.
        Shipped = "SHIPPED",
        /// Units came back as they were sent.
        PutBack = "PUT_BACK",
        /// Units came back that cannot be sold again: on record, and not in the stock.
        SetAside = "SET_ASIDE",
        /// A cancellation said that there are none.
        Zeroed = "ZEROED",
        /// Somebody counted.
        Counted = "COUNTED",
        /// The SKU is not sold any more.
        Archived = "ARCHIVED",
    }
}

/// The place of an entry among all of its SKU: by time, and of the same instant events of the feed
/// before what somebody told. Compared as bytes, so that the database compares it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPlace(pub [u8; 20]);

impl EntryPlace {
    /// Before all others.
    pub const FIRST: EntryPlace = EntryPlace([0; 20]);

    /// Of an event of the feed; `number` counts the entries that it causes.
    pub fn of_event(time: Timestamp, partition: u16, position: u64, number: u16) -> Self {
        let mut place = [0; 20];
        // Nothing is older than the epoch.
        let micros = u64::try_from(time.as_microsecond()).unwrap_or_default();
        place[..8].copy_from_slice(&micros.to_be_bytes());
        place[8..10].copy_from_slice(&partition.to_be_bytes());
        place[10..18].copy_from_slice(&position.to_be_bytes());
        place[18..].copy_from_slice(&number.to_be_bytes());
        Self(place)
    }

    /// Of what somebody told. No two of a SKU have the same time.
    pub fn of_telling(time: Timestamp) -> Self {
        Self::of_event(time, u16::MAX, 0, 0)
    }

    pub fn time(self) -> Timestamp {
        let [micros @ .., _, _, _, _, _, _, _, _, _, _, _, _] = self.0;
        let micros = i64::try_from(u64::from_be_bytes(micros)).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: StockKey,
    pub place: EntryPlace,
    pub kind: EntryKind,
    /// The units that it is about; of COUNTED what was counted, of ZEROED and ARCHIVED 0.
    pub quantity: u32,
    /// By how much it changes what lies there; of ZEROED and COUNTED 0, for those say how much it
    /// is.
    pub on_hand: i64,
    /// By how much it changes what is promised.
    pub reserved: i64,
    pub source: Source,
}

/// The source of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Shipment {
        order: OrderId,
        number: u32,
        /// The cancellation that it was cancelled by, where one was.
        cancellation: Option<u32>,
    },
    Told(Actor),
}

impl Entry {
    /// What lies there from this entry on, whatever was before; None of one that only adds.
    pub fn sets(&self) -> Option<i64> {
        match self.kind {
            EntryKind::Zeroed => Some(0),
            EntryKind::Counted => Some(self.quantity.into()),
            EntryKind::Reserved
            | EntryKind::Released
            | EntryKind::Shipped
            | EntryKind::PutBack
            | EntryKind::SetAside
            | EntryKind::Archived => None,
        }
    }
}

/// The balance of a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockBalance {
    /// On the shelf, as far as anybody has told. Less than 0 where more left than was counted.
    pub on_hand: i64,
    /// Of those, promised to shipments that are released and have not left.
    pub reserved: i64,
    pub is_archived: bool,
}

impl StockBalance {
    /// What may be sold. Less than 0 where more is promised than there is.
    pub fn available(self) -> i64 {
        if self.is_archived {
            0
        } else {
            self.on_hand.saturating_sub(self.reserved)
        }
    }

    /// The balance that these entries come to. They are in the order of their places.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut balance = Self::default();
        for entry in entries {
            balance.on_hand = entry.sets().unwrap_or(balance.on_hand) + entry.on_hand;
            balance.reserved += entry.reserved;
            balance.is_archived = match entry.kind {
                EntryKind::Archived => true,
                EntryKind::Counted => false,
                EntryKind::Reserved
                | EntryKind::Released
                | EntryKind::Shipped
                | EntryKind::PutBack
                | EntryKind::SetAside
                | EntryKind::Zeroed => balance.is_archived,
            };
        }
        balance
    }
}

/// Units by SKU.
pub type Contents = BTreeMap<Sku, u32>;

/// The news of an order's shipments by one write, in the order of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderNews {
    pub store: StoreId,
    pub order: OrderId,
    pub seller: Option<SellerId>,
    pub partition: u16,
    pub facts: Vec<ShipmentFact>,
}

impl OrderNews {
    pub fn order_key(&self) -> OrderKey {
        OrderKey::of(&self.store, &self.order)
    }
}

/// A fact about one shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentFact {
    pub position: u64,
    pub time: Timestamp,
    pub shipment: u32,
    pub warehouse: WarehouseId,
    pub fact: Fact,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It was planned, and is not released.
    Planned { contents: Contents },
    /// It stands elsewhere now. `contents` is what is in it and not cancelled after the whole
    /// write.
    Moved { to: Stage, contents: Contents },
    /// Units in it are cancelled.
    Cancelled {
        contents: Contents,
        cancellation: u32,
        /// The cancellation says that the warehouse has none.
        zeroes: bool,
        /// They come back as opened: nobody vouches for them, however they look.
        as_opened: bool,
    },
    /// Units of it came back.
    Received {
        condition: GoodsCondition,
        contents: Contents,
    },
}

/// The units of one SKU in one shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub warehouse: WarehouseId,
    pub stage: Stage,
    /// In the shipment, cancelled or not.
    pub units: u32,
    /// Of those, not cancelled.
    pub live: u32,
    /// What the ledger has reserved for it.
    pub reserved: u32,
    /// The cancellations that have zeroed the stock by this holding.
    pub zeroed_by: BTreeSet<u32>,
}

impl Holding {
    fn new(warehouse: WarehouseId) -> Self {
        Self {
            warehouse,
            stage: Stage::Unreleased,
            units: 0,
            live: 0,
            reserved: 0,
            zeroed_by: BTreeSet::new(),
        }
    }

    /// An order waits for these units.
    pub fn is_open(&self) -> bool {
        self.live > 0 && self.stage.is_before_dispatch()
    }

    /// What is to be reserved: a released shipment's units that are not cancelled and have not
    /// left.
    fn to_reserve(&self) -> u32 {
        match self.stage {
            Stage::Planned | Stage::Preparing | Stage::Ready => self.live,
            Stage::Unreleased
            | Stage::InTransit
            | Stage::Delivered
            | Stage::Cancelled
            | Stage::Lost
            | Stage::Returning
            | Stage::Returned
            | Stage::Split => 0,
        }
    }
}

/// The holdings of one order's shipments, by shipment and SKU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderHoldings(pub BTreeMap<(u32, Sku), Holding>);

impl OrderHoldings {
    /// The rule: what the ledger says of what was heard of an order.
    ///
    /// - Reserve at release: units of a shipment that is PLANNED, PREPARING or READY.
    /// - Release what is cancelled before it left, and what is held back again.
    /// - Ship at departure: what is not cancelled; of a shipment that leaves although it was
    ///   cancelled, all.
    /// - Put back what a warehouse received as it was sent; set aside what was opened or damaged,
    ///   and what the receipt cancels as opened.
    /// - Zero where a cancellation says that there are none: once a cancellation, warehouse and
    ///   SKU.
    pub fn hear(&mut self, news: &OrderNews) -> Vec<Entry> {
        let mut ledger = Ledger {
            news,
            entries: Vec::new(),
        };
        for (index, told) in news.facts.iter().enumerate() {
            match &told.fact {
                Fact::Planned { contents } => self.plan(told, contents),
                Fact::Moved { to, contents } => {
                    // What the write cancels afterwards was still in it.
                    let mut live = contents.clone();
                    let cancelled = cancelled_after(news, index, told.shipment, false);
                    for (sku, quantity) in cancelled {
                        *live.entry(sku).or_default() += quantity;
                    }
                    self.shift(&mut ledger, told, *to, &live);
                }
                Fact::Cancelled {
                    contents,
                    cancellation,
                    zeroes,
                    as_opened: _,
                } => {
                    self.cancel(&mut ledger, told, contents, *cancellation);
                    if *zeroes {
                        self.zero(&mut ledger, told, contents, *cancellation);
                    }
                }
                Fact::Received {
                    condition,
                    contents,
                } => {
                    let aside = if condition.is_resaleable() {
                        cancelled_after(news, index, told.shipment, true)
                    } else {
                        contents.clone()
                    };
                    ledger.take_in(told, contents, &aside);
                }
            }
        }
        ledger.entries
    }

    fn holding(&mut self, told: &ShipmentFact, sku: &Sku) -> &mut Holding {
        self.0
            .entry((told.shipment, sku.clone()))
            .or_insert_with(|| Holding::new(told.warehouse.clone()))
    }

    fn plan(&mut self, told: &ShipmentFact, contents: &Contents) {
        for (sku, quantity) in contents {
            let holding = self.holding(told, sku);
            (holding.units, holding.live) = (*quantity, *quantity);
        }
    }

    fn shift(&mut self, ledger: &mut Ledger<'_>, told: &ShipmentFact, to: Stage, live: &Contents) {
        for sku in live.keys() {
            self.holding(told, sku);
        }
        let of_shipment = self.0.iter_mut();
        for ((_, sku), holding) in of_shipment.filter(|((number, _), _)| *number == told.shipment) {
            holding.live = live.get(sku).copied().unwrap_or_default();
            holding.units = holding.units.max(holding.live);
            let from = std::mem::replace(&mut holding.stage, to);
            if to.is_dispatched() && !from.is_dispatched() {
                let left = if from == Stage::Cancelled {
                    holding.units
                } else {
                    holding.live
                };
                let reserved = std::mem::take(&mut holding.reserved);
                if left > 0 || reserved > 0 {
                    let movement = Movement {
                        on_hand: -i64::from(left),
                        reserved: -i64::from(reserved),
                        ..Movement::of(EntryKind::Shipped, left)
                    };
                    ledger.enter(told, sku, movement);
                }
            }
            ledger.reserve(told, sku, holding, None);
        }
    }

    fn cancel(
        &mut self,
        ledger: &mut Ledger<'_>,
        told: &ShipmentFact,
        contents: &Contents,
        cancellation: u32,
    ) {
        for (sku, quantity) in contents {
            let holding = self.holding(told, sku);
            holding.live = holding.live.saturating_sub(*quantity);
            ledger.reserve(told, sku, holding, Some(cancellation));
        }
    }

    fn zero(
        &mut self,
        ledger: &mut Ledger<'_>,
        told: &ShipmentFact,
        contents: &Contents,
        cancellation: u32,
    ) {
        for sku in contents.keys() {
            let mut holdings = self.0.iter();
            let is_done = holdings.any(|((_, of), holding)| {
                of == sku
                    && holding.warehouse == told.warehouse
                    && holding.zeroed_by.contains(&cancellation)
            });
            if !is_done {
                self.holding(told, sku).zeroed_by.insert(cancellation);
                let movement = Movement {
                    cancellation: Some(cancellation),
                    ..Movement::of(EntryKind::Zeroed, 0)
                };
                ledger.enter(told, sku, movement);
            }
        }
    }
}

/// What the write cancels of a shipment behind this fact; as opened alone, or all of it.
fn cancelled_after(
    news: &OrderNews,
    index: usize,
    shipment: u32,
    only_as_opened: bool,
) -> Contents {
    let mut cancelled = Contents::new();
    for told in news.facts.iter().skip(index + 1) {
        if let Fact::Cancelled {
            contents,
            as_opened,
            ..
        } = &told.fact
            && told.shipment == shipment
            && (*as_opened || !only_as_opened)
        {
            for (sku, quantity) in contents {
                *cancelled.entry(sku.clone()).or_default() += quantity;
            }
        }
    }
    cancelled
}

/// A movement of units of one SKU in a shipment, as an entry says it.
struct Movement {
    kind: EntryKind,
    quantity: u32,
    /// By how much it changes what lies there.
    on_hand: i64,
    /// By how much it changes what is promised.
    reserved: i64,
    cancellation: Option<u32>,
}

impl Movement {
    /// One that changes neither what lies there nor what is promised.
    fn of(kind: EntryKind, quantity: u32) -> Self {
        Self {
            kind,
            quantity,
            on_hand: 0,
            reserved: 0,
            cancellation: None,
        }
    }
}

/// The entries of one write, as they are made.
struct Ledger<'a> {
    news: &'a OrderNews,
    entries: Vec<Entry>,
}

impl Ledger<'_> {
    /// Brings what is reserved in line with where the shipment stands.
    fn reserve(
        &mut self,
        told: &ShipmentFact,
        sku: &Sku,
        holding: &mut Holding,
        cancellation: Option<u32>,
    ) {
        let (before, after) = (holding.reserved, holding.to_reserve());
        holding.reserved = after;
        let delta = i64::from(after) - i64::from(before);
        let kind = match delta {
            0 => return,
            1.. => EntryKind::Reserved,
            _ => EntryKind::Released,
        };
        let movement = Movement {
            reserved: delta,
            cancellation,
            ..Movement::of(kind, after.abs_diff(before))
        };
        self.enter(told, sku, movement);
    }

    /// Goods that came back: some are put aside, all others back.
    fn take_in(&mut self, told: &ShipmentFact, contents: &Contents, aside: &Contents) {
        for (sku, quantity) in contents {
            let aside = aside.get(sku).copied().unwrap_or_default().min(*quantity);
            let back = quantity - aside;
            if back > 0 {
                let movement = Movement {
                    on_hand: i64::from(back),
                    ..Movement::of(EntryKind::PutBack, back)
                };
                self.enter(told, sku, movement);
            }
            if aside > 0 {
                self.enter(told, sku, Movement::of(EntryKind::SetAside, aside));
            }
        }
    }

    fn enter(&mut self, told: &ShipmentFact, sku: &Sku, movement: Movement) {
        let Movement {
            kind,
            quantity,
            on_hand,
            reserved,
            cancellation,
        } = movement;
        // An event has at most as many entries as an order has lines, twice.
        let number = u16::try_from(self.entries.len()).unwrap_or(u16::MAX);
        let place = EntryPlace::of_event(told.time, self.news.partition, told.position, number);
        self.entries.push(Entry {
            key: StockKey {
                store: self.news.store.clone(),
                warehouse: told.warehouse.clone(),
                sku: sku.clone(),
            },
            place,
            kind,
            quantity,
            on_hand,
            reserved,
            source: Source::Shipment {
                order: self.news.order.clone(),
                number: told.shipment,
                cancellation,
            },
        });
    }
}

#[cfg(test)]
mod tests;
