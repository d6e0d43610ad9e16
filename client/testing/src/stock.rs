//! Stock: the ledger, from which balances are added up whenever somebody asks.

use std::collections::{BTreeMap, HashMap};

use belay_domain::ids::{OrderId, OrderKey, SellerId, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::stock::{
    Entry, EntryKind, EntryPlace, OpenHolding, OrderHoldings, Stock, StockBalance, StockKey,
    StoredEntry, Telling,
};
use belay_proto::v1 as pb;
use belay_wire::events::order_news;
use belay_wire::parse::inventory as parse;
use belay_wire::parse::inventory::TellingRequest;
use belay_wire::render;
use belay_wire::status::CallError;
use belay_wire::views::Viewer;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::call::{Answer, Call};
use crate::world::new_id;

#[derive(Debug, Default)]
pub(crate) struct Stocks {
    holders: BTreeMap<OrderKey, Holder>,
    ledgers: BTreeMap<StockKey, BTreeMap<EntryPlace, Entry>>,
    tellings: HashMap<(StoreId, Uuid), Telling>,
}

/// The holdings of one order's shipments.
#[derive(Debug)]
struct Holder {
    store: StoreId,
    order: OrderId,
    seller: Option<SellerId>,
    holdings: OrderHoldings,
}

impl Stocks {
    /// What the events of one command do.
    pub(crate) fn hear(&mut self, events: &[pb::Event]) -> Answer<()> {
        let news = order_news(events).map_err(|error| CallError::Internal(error.to_string()))?;
        let Some(news) = news else {
            return Ok(());
        };
        let holder = self
            .holders
            .entry(news.order_key())
            .or_insert_with(|| Holder {
                store: news.store.clone(),
                order: news.order.clone(),
                seller: news.seller.clone(),
                holdings: OrderHoldings::default(),
            });
        for entry in holder.holdings.hear(&news) {
            self.post(entry);
        }
        Ok(())
    }

    fn post(&mut self, entry: Entry) {
        let ledger = self.ledgers.entry(entry.key.clone()).or_default();
        ledger.insert(entry.place, entry);
    }

    fn entries(&self, key: &StockKey) -> impl DoubleEndedIterator<Item = &Entry> {
        self.ledgers.get(key).into_iter().flat_map(BTreeMap::values)
    }

    fn stock(&self, key: &StockKey) -> Stock {
        let last = |is_one: fn(&Entry) -> bool| {
            let found = self.entries(key).rfind(|entry| is_one(entry));
            found.map_or(EntryPlace::FIRST, |entry| entry.place)
        };
        Stock {
            key: key.clone(),
            balance: StockBalance::of(self.entries(key)),
            set_place: last(|entry| entry.sets().is_some()),
            told_place: last(|entry| {
                matches!(entry.kind, EntryKind::Counted | EntryKind::Archived)
            }),
            last_place: last(|_| true),
        }
    }

    /// What lay there before an entry that says how much it is.
    fn previous(&self, entry: &Entry) -> Option<i64> {
        entry.sets()?;
        let before = self.entries(&entry.key);
        Some(StockBalance::of(before.take_while(|before| before.place < entry.place)).on_hand)
    }
}

impl Call<'_> {
    /// A warehouse that the caller does not see is not there.
    fn check_warehouse(&mut self, store: &StoreId, warehouse: &WarehouseId) -> Answer<()> {
        self.world.project()?;
        let is_seen = self.caller.scope.warehouses.contains(warehouse);
        if self.store(store)?.has_warehouse(warehouse) && is_seen {
            Ok(())
        } else {
            Err(CallError::WarehouseNotFound {
                warehouse: warehouse.clone(),
            })
        }
    }

    fn check_stock(&mut self, key: &StockKey) -> Answer<()> {
        self.check_warehouse(&key.store, &key.warehouse)
    }

    /// Writes what is told, unless it was told before; gives the stock as it is then.
    fn tell(&mut self, asked: TellingRequest) -> Answer<pb::Stock> {
        self.check_stock(&asked.key)?;
        let request_id = asked.request_id.unwrap_or_else(new_id);
        let stocks = &mut self.world.stocks;
        let last = stocks.stock(&asked.key).told_place;
        let after_last =
            (last != EntryPlace::FIRST).then(|| last.time() + SignedDuration::from_micros(1));
        let telling = Telling {
            key: asked.key,
            request_id,
            kind: asked.kind,
            quantity: asked.quantity,
            actor: self.caller.actor.clone(),
            // Tellings of a SKU are in the order of their times.
            time: after_last.map_or(self.now, |after| after.max(self.now)),
        };
        let id = (telling.key.store.clone(), request_id);
        let key = telling.key.clone();
        match stocks.tellings.get(&id) {
            Some(present) if present.repeats(&telling) => {}
            Some(_) => return Err(CallError::RequestIdReused { request_id }),
            None => {
                stocks.post(telling.entry());
                stocks.tellings.insert(id, telling);
            }
        }
        Ok(render::stock(&stocks.stock(&key)))
    }
}

pub(crate) fn set_stock(
    call: &mut Call<'_>,
    request: pb::SetStockRequest,
) -> Answer<pb::SetStockResponse> {
    let asked = parse::set_stock(request, &call.reader())?;
    let stock = Some(call.tell(asked)?);
    Ok(pb::SetStockResponse { stock })
}

pub(crate) fn archive_sku(
    call: &mut Call<'_>,
    request: pb::ArchiveSkuRequest,
) -> Answer<pb::ArchiveSkuResponse> {
    let asked = parse::archive_sku(request, &call.reader())?;
    let stock = Some(call.tell(asked)?);
    Ok(pb::ArchiveSkuResponse { stock })
}

pub(crate) fn get_stock(
    call: &mut Call<'_>,
    request: pb::GetStockRequest,
) -> Answer<pb::GetStockResponse> {
    let key = parse::get_stock(request, &call.reader())?;
    call.check_stock(&key)?;
    let stock = Some(render::stock(&call.world.stocks.stock(&key)));
    Ok(pb::GetStockResponse { stock })
}

pub(crate) fn list_stock(
    call: &mut Call<'_>,
    request: pb::ListStockRequest,
) -> Answer<pb::ListStockResponse> {
    let list = parse::list_stock(request, &call.reader())?;
    let filter = &list.filter;
    match &filter.warehouse {
        Some(warehouse) => call.check_warehouse(&list.store, warehouse)?,
        None => {
            call.config(&list.store)?;
            call.world.project()?;
        }
    }
    let after = list.page.after()?;
    let place = |key: &StockKey| (key.warehouse.clone(), key.sku.clone());
    let stocks = &call.world.stocks;
    let keys = stocks.ledgers.keys().filter(|key| {
        key.store == list.store
            && filter
                .warehouse
                .as_ref()
                .is_none_or(|asked| key.warehouse == *asked)
            && call.caller.scope.warehouses.contains(&key.warehouse)
            && after.as_ref().is_none_or(|after| place(key) > *after)
    });
    let found = keys.map(|key| stocks.stock(key));
    let listed = found.filter(|stock| filter.with_archived || !stock.balance.is_archived);
    let found: Vec<Stock> = listed.take(list.page.limit().into()).collect();
    let show = |stock: &Stock| Some(render::stock(stock));
    let (stocks, next_page_token) = list.page.cut(&found, show, |stock| place(&stock.key));
    Ok(pb::ListStockResponse {
        stocks,
        next_page_token,
    })
}

pub(crate) fn list_stock_entries(
    call: &mut Call<'_>,
    request: pb::ListStockEntriesRequest,
) -> Answer<pb::ListStockEntriesResponse> {
    let list = parse::list_stock_entries(request, &call.reader())?;
    let key = &list.filter;
    call.check_stock(key)?;
    let before = list.page.after()?.map(EntryPlace);
    let stocks = &call.world.stocks;
    let entries = stocks.entries(key).rev();
    let behind = entries.filter(|entry| before.is_none_or(|before| entry.place < before));
    let stored = behind.map(|entry| StoredEntry {
        previous: stocks.previous(entry),
        entry: entry.clone(),
    });
    let found: Vec<StoredEntry> = stored.take(list.page.limit().into()).collect();
    let viewer = Viewer::of_no_order(&call.caller.actor);
    let show = |stored: &StoredEntry| Some(render::stock_entry(&viewer, stored));
    let place = |stored: &StoredEntry| stored.entry.place.0;
    let (entries, next_page_token) = list.page.cut(&found, show, place);
    Ok(pb::ListStockEntriesResponse {
        entries,
        next_page_token,
    })
}

pub(crate) fn list_stock_holders(
    call: &mut Call<'_>,
    request: pb::ListStockHoldersRequest,
) -> Answer<pb::ListStockHoldersResponse> {
    let list = parse::list_stock_holders(request, &call.reader())?;
    let key = &list.filter;
    call.check_stock(key)?;
    let after: Option<([u8; 16], u32)> = list.page.after()?;
    let scope = &call.caller.scope;
    // Holdings do not say who carries them.
    if scope.carriers != IdFilter::All {
        return Ok(pb::ListStockHoldersResponse::default());
    }
    let sees_seller = |seller: Option<&SellerId>| match seller {
        Some(seller) => scope.sellers.contains(seller),
        None => scope.sellers == IdFilter::All,
    };
    let holders = call.world.stocks.holders.iter();
    let of_store = holders
        .filter(|(_, holder)| holder.store == key.store && sees_seller(holder.seller.as_ref()));
    let mut found: Vec<OpenHolding> = Vec::new();
    for (order_key, holder) in of_store {
        for ((shipment, sku), holding) in &holder.holdings.0 {
            let is_of = *sku == key.sku && holding.warehouse == key.warehouse;
            let is_behind = after.is_none_or(|after| (order_key.0, *shipment) > after);
            if is_of && is_behind && holding.is_open() {
                found.push(OpenHolding {
                    order_key: *order_key,
                    order: holder.order.clone(),
                    shipment: *shipment,
                    holding: holding.clone(),
                });
            }
        }
    }
    found.truncate(list.page.limit().into());
    let place = |open: &OpenHolding| (open.order_key.0, open.shipment);
    let show = |open: &OpenHolding| Some(render::stock_holder(open));
    let (holders, next_page_token) = list.page.cut(&found, show, place);
    Ok(pb::ListStockHoldersResponse {
        holders,
        next_page_token,
    })
}
