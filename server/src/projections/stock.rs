//! The projection of stock: what the rule of [`belay_domain::stock`] says of each row of the feed,
//! written to the ledger and to the balances.
//!
//! Entries come in the order in which they are heard of and count in the order of their places:
//! what comes late goes into the ledger where it belongs, and what lay there before a count or a
//! zero, or lies there now, is corrected by it.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::projection::Projection;
use belay_domain::stock::{Entry, EntryKind, OrderHoldings, Stock, StockKey, StoredEntry, Telling};
use belay_wire::events::order_news;

use super::{DELETED_MAX, ProjectionError, TELLINGS_MAX};
use crate::App;
use crate::db::stock_entries::StockMark;
use crate::db::stock_holders::OpenPlace;
use crate::db::stock_orders::{ChangedHoldings, Holder};
use crate::db::transaction::Transaction;
use crate::db::writes::Writes;
use crate::db::{
    Conn, DbError, in_time, projections, stock_balances, stock_entries, stock_holders,
    stock_orders, stock_tellings,
};
use crate::feed::FeedRow;

/// What these rows of the feed do.
pub(super) async fn apply(
    conn: &mut Transaction,
    generation: u32,
    rows: &[FeedRow],
) -> Result<(), ProjectionError> {
    let mut news = Vec::new();
    for row in rows {
        let read = order_news(&row.events).map_err(|error| {
            let (partition, last) = (row.partition, row.last);
            ProjectionError::Events(format!("partition {partition}, position {last}: {error}"))
        })?;
        news.extend(read);
    }
    let orders: BTreeSet<OrderKey> = news.iter().map(|news| news.order_key()).collect();
    if orders.is_empty() {
        return Ok(());
    }
    let before = stock_orders::load(conn, generation, &orders).await?;
    let mut after: BTreeMap<OrderKey, (Holder, OrderHoldings)> = BTreeMap::new();
    let mut entries = Vec::new();
    for news in &news {
        let key = news.order_key();
        let (_, holdings) = after.entry(key).or_insert_with(|| {
            let holder = Holder {
                store: news.store.clone(),
                order: news.order.clone(),
                seller: news.seller.clone(),
            };
            (holder, before.get(&key).cloned().unwrap_or_default())
        });
        entries.extend(holdings.hear(news));
    }
    let mut writes = Writes::default();
    post(conn, &mut writes, generation, entries).await?;
    hold(&mut writes, generation, before, after)?;
    let per_message = conn.per_message();
    Ok(writes.send(conn, per_message).await?)
}

/// Writes what became of what orders hold, and who waits for it.
fn hold(
    writes: &mut Writes,
    generation: u32,
    mut before: BTreeMap<OrderKey, OrderHoldings>,
    after: BTreeMap<OrderKey, (Holder, OrderHoldings)>,
) -> Result<(), DbError> {
    let mut changed = Vec::new();
    let (mut closed, mut opened) = (BTreeSet::new(), BTreeSet::new());
    for (key, (holder, after)) in after {
        let before = before.remove(&key);
        let is_as_before = match &before {
            Some(before) => *before == after,
            None => after.0.is_empty(),
        };
        if is_as_before {
            continue;
        }
        let was_open = before.iter();
        let was_open = was_open.flat_map(|before| open_places(&holder.store, key, before));
        let was_open: BTreeSet<OpenPlace> = was_open.collect();
        let is_open: BTreeSet<OpenPlace> = open_places(&holder.store, key, &after).collect();
        closed.extend(was_open.difference(&is_open).cloned());
        opened.extend(is_open.difference(&was_open).cloned());
        changed.push(ChangedHoldings {
            holder,
            before,
            after,
        });
    }
    stock_orders::write(writes, generation, &changed)?;
    stock_holders::write(writes, generation, &closed, &opened)
}

/// The places of those holdings of an order that it waits for.
fn open_places(
    store: &StoreId,
    order_key: OrderKey,
    holdings: &OrderHoldings,
) -> impl Iterator<Item = OpenPlace> {
    let open = holdings.0.iter().filter(|(_, holding)| holding.is_open());
    open.map(move |((shipment, sku), holding)| OpenPlace {
        key: StockKey {
            store: store.clone(),
            warehouse: holding.warehouse.clone(),
            sku: sku.clone(),
        },
        order_key,
        shipment: *shipment,
    })
}

/// Writes entries to the ledger of a generation, and what its balances come to with them. Of each
/// SKU one transaction does so at a time: the balances are locked here, and `writes` is to be sent
/// in the same transaction.
pub(crate) async fn post(
    conn: &mut Conn,
    writes: &mut Writes,
    generation: u32,
    entries: Vec<Entry>,
) -> Result<(), DbError> {
    let mut of_skus: BTreeMap<StockKey, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        of_skus.entry(entry.key.clone()).or_default().push(entry);
    }
    let keys: BTreeSet<StockKey> = of_skus.keys().cloned().collect();
    let mut stocks = stock_balances::lock(conn, generation, &keys).await?;
    let mut stored = Vec::new();
    for (key, mut entries) in of_skus {
        entries.sort_by_key(|entry| entry.place);
        let stock = stocks
            .get_mut(&key)
            .ok_or_else(|| DbError::Corrupt(format!("the stock of {} cannot be made", key.sku)))?;
        stored.extend(add(conn, generation, stock, entries).await?);
    }
    stock_entries::write(writes, generation, &stored)?;
    stock_balances::write(writes, generation, &stocks)
}

/// The mark behind the entries that are added.
struct Behind {
    mark: StockMark,
    /// What is stored of what lay there before it.
    previous: i64,
}

/// Adds entries of one SKU, in the order of their places, to its balance and to what lay there
/// before the marks behind them. An entry changes the next mark alone: from that one on, what lies
/// there does not depend on what was before.
async fn add(
    conn: &mut Conn,
    generation: u32,
    stock: &mut Stock,
    entries: Vec<Entry>,
) -> Result<Vec<StoredEntry>, DbError> {
    let key = stock.key.clone();
    let mut behind: Option<Behind> = None;
    let mut last_place = stock.last_place;
    let mut stored = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(passed) = behind.take_if(|behind| behind.mark.place <= entry.place) {
            correct(conn, generation, &key, passed).await?;
        }
        if behind.is_none() && entry.place < stock.set_place {
            let mark = stock_entries::mark_after(conn, generation, &key, entry.place).await?;
            behind = mark.map(|mark| Behind {
                mark,
                previous: mark.previous,
            });
        }
        let since = (entry.place, behind.as_ref().map(|behind| behind.mark.place));
        // What the segment that this entry falls into ends with.
        let end = behind
            .as_mut()
            .map_or(&mut stock.balance.on_hand, |behind| {
                &mut behind.mark.previous
            });
        let mut previous = None;
        match entry.sets() {
            None => *end += entry.on_hand,
            Some(value) => {
                // Of entries before the last one heard of alone: those of now come in order.
                let added = if entry.place < stock.last_place {
                    stock_entries::sum_between(conn, generation, &key, since).await?
                } else {
                    0
                };
                previous = Some(*end - added);
                *end = value + added;
                stock.set_place = stock.set_place.max(entry.place);
            }
        }
        stock.balance.reserved += entry.reserved;
        let is_telling = matches!(entry.kind, EntryKind::Counted | EntryKind::Archived);
        if is_telling && entry.place > stock.told_place {
            stock.balance.is_archived = entry.kind == EntryKind::Archived;
            stock.told_place = entry.place;
        }
        last_place = last_place.max(entry.place);
        stored.push(StoredEntry { entry, previous });
    }
    stock.last_place = last_place;
    if let Some(behind) = behind {
        correct(conn, generation, &key, behind).await?;
    }
    Ok(stored)
}

/// Writes what lay there before a mark, if it is not what is stored.
async fn correct(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
    behind: Behind,
) -> Result<(), DbError> {
    if behind.mark.previous == behind.previous {
        return Ok(());
    }
    stock_entries::set_previous(conn, generation, key, behind.mark).await
}

/// What was told beside the feed, as it is written to a generation that is built.
#[derive(Debug, Default)]
pub(super) struct Replay {
    generation: u32,
    /// The last telling that is there. A page that fails is tried again, and none before it.
    after: Option<Telling>,
    /// There was no page behind it.
    is_done: bool,
}

impl Replay {
    /// Writes the next page to this generation. Says whether all of it is there.
    pub(super) async fn step(
        &mut self,
        app: &App,
        generation: u32,
    ) -> Result<bool, ProjectionError> {
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
        if !self.is_done {
            self.after = in_time(replay_page(app, generation, self.after.as_ref())).await?;
            self.is_done = self.after.is_none();
        }
        Ok(self.is_done)
    }
}

/// One transaction: what is not there yet of a page behind this one. Gives the last of the page.
async fn replay_page(
    app: &App,
    generation: u32,
    after: Option<&Telling>,
) -> Result<Option<Telling>, ProjectionError> {
    let mut conn = Transaction::begin(&app.pools.background).await?;
    let written = async {
        // A generation that has ended is not written any more.
        let present = projections::share(&mut conn, Projection::Stock).await?;
        if present.building != Some(generation) {
            return Ok(None);
        }
        let page = stock_tellings::page(&mut conn, after, TELLINGS_MAX).await?;
        let keys = page.iter().map(|telling| telling.key.clone()).collect();
        stock_balances::lock(&mut conn, generation, &keys).await?;
        let mut missing = Vec::new();
        for telling in &page {
            let entry = telling.entry();
            let is_there =
                stock_entries::exists(&mut conn, generation, &entry.key, entry.place).await?;
            if !is_there {
                missing.push(entry);
            }
        }
        let mut writes = Writes::default();
        post(&mut conn, &mut writes, generation, missing).await?;
        let per_message = conn.per_message();
        writes.send(&mut conn, per_message).await?;
        Ok(page.into_iter().last())
    }
    .await;
    super::end(conn, written).await
}

/// Deletes some of what lies before this generation. Says whether there was something.
pub(super) async fn forget(conn: &mut Conn, generation: u32) -> Result<bool, DbError> {
    let deleted = stock_entries::delete_before(conn, generation, DELETED_MAX).await?
        + stock_balances::delete_before(conn, generation, DELETED_MAX).await?
        + stock_orders::delete_before(conn, generation, DELETED_MAX).await?
        + stock_holders::delete_before(conn, generation, DELETED_MAX).await?;
    Ok(deleted > 0)
}
