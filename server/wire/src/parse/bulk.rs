//! Requests of the BulkService.

use belay_domain::bulk::{
    BulkFilter, BulkOutcome, BulkSelection, Counts, Job, JobState, NAMED_ORDERS_MAX, OPEN_STATES,
    ORDERS_PER_SECOND_DEFAULT, ORDERS_PER_SECOND_MAX,
};
use belay_domain::commands::{Matching, RequestCancellation, Selection};
use belay_domain::ids::{OrderId, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::order::OrderState;
use belay_domain::scope::{Caller, Scope};
use belay_proto::v1 as pb;
use belay_proto::v1::start_bulk_cancellation_request::Selection as Asked;
use jiff::Timestamp;
use uuid::Uuid;

use super::cancellations::cancellation;
use super::envelope::{Reader, store_id};
use super::lists::{ListRequest, asked_page};
use super::orders::place;
use super::{
    Parsed, Violations, distinct, distinct_values, id, optional_id, parse, positive_or, request_id,
    time, unspecified_or,
};

/// A bulk cancellation to start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    pub store: StoreId,
    pub request_id: Option<Uuid>,
    pub orders: AskedOrders,
    pub command: RequestCancellation,
    pub is_dry_run: bool,
    pub orders_per_second: u16,
}

#[derive(Debug, Clone)]
pub enum AskedOrders {
    /// None twice.
    Named(Vec<OrderId>),
    Matching(BulkFilter),
}

impl StartRequest {
    /// The job that is asked for, with the orders that it names. Its time of creation is set where
    /// it is written.
    pub fn job(self, caller: &Caller, new_id: impl FnOnce() -> Uuid) -> (Job, Vec<OrderId>) {
        let (selection, orders, state) = match self.orders {
            AskedOrders::Named(orders) => {
                let count = u32::try_from(orders.len()).unwrap_or(u32::MAX);
                (BulkSelection::Named(count), orders, JobState::Running)
            }
            AskedOrders::Matching(filter) => {
                let selection = BulkSelection::Filter(filter);
                (selection, Vec::new(), JobState::Selecting)
            }
        };
        let what = (
            &selection,
            &orders,
            &self.command,
            self.is_dry_run,
            self.orders_per_second,
        );
        let what = serde_json::to_vec(&what)
            .unwrap_or_else(|error| panic!("what is asked is plain data: {error}"));
        let job = Job {
            store: self.store,
            id: self.request_id.unwrap_or_else(new_id),
            caller: caller.clone(),
            selection,
            command: self.command,
            is_dry_run: self.is_dry_run,
            orders_per_second: self.orders_per_second,
            fingerprint: *blake3::hash(&what).as_bytes(),
            state,
            counts: Counts {
                total: u32::try_from(orders.len()).unwrap_or(u32::MAX),
                ..Counts::default()
            },
            failure: None,
            create_time: Timestamp::UNIX_EPOCH,
            end_time: None,
        };
        (job, orders)
    }
}

pub fn start_bulk_cancellation(
    request: pb::StartBulkCancellationRequest,
    reader: &Reader<'_>,
) -> Parsed<StartRequest> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let request_id = request_id(v, &request.request_id);
        let orders = match request.selection {
            Some(Asked::Orders(orders)) => named(v, orders.order_ids).map(AskedOrders::Named),
            Some(Asked::Filter(filter)) => {
                filter_of(v, filter, &reader.caller.scope).map(AskedOrders::Matching)
            }
            // A oneof is no field: the path is that of its first.
            None => v.refuse("orders", "one of orders and filter must be given"),
        };
        let units = units(v, request.units, orders.as_ref());
        let orders_per_second = positive_or(
            v,
            "orders_per_second",
            request.orders_per_second,
            ORDERS_PER_SECOND_MAX,
            ORDERS_PER_SECOND_DEFAULT,
        );
        let asked = pb::RequestCancellationRequest {
            selection: Some(pb::request_cancellation_request::Selection::All(
                pb::AllUnits {},
            )),
            reason: request.reason,
            note: request.note,
            evidence: request.evidence,
            paths: request.paths,
            on_ineligible_units: request.on_ineligible_units,
            metadata: request.metadata,
            external_references: request.external_references,
            ..Default::default()
        };
        let command = cancellation(v, None, asked, reader);
        Some(StartRequest {
            store: store?,
            request_id: request_id?,
            orders: orders?,
            command: RequestCancellation {
                selection: units?,
                ..command?
            },
            is_dry_run: request.dry_run,
            orders_per_second: orders_per_second?,
        })
    })
}

fn named(v: &mut Violations, ids: Vec<String>) -> Option<Vec<OrderId>> {
    if !(1..=NAMED_ORDERS_MAX).contains(&ids.len()) {
        let found = ids.len();
        return v.refuse(
            "orders.order_ids",
            format!("must have from 1 to {NAMED_ORDERS_MAX} entries, has {found}"),
        );
    }
    let field = |index: usize| format!("orders.order_ids[{index}]");
    let entries = ids.into_iter().enumerate();
    let read: Vec<Option<OrderId>> = entries
        .map(|(index, order)| id(v, &field(index), order, OrderId::parse))
        .collect();
    let fields = read.iter().enumerate();
    distinct(
        v,
        fields.map(|(index, order)| (field(index), order.clone())),
    );
    read.into_iter().collect()
}

fn filter_of(v: &mut Violations, filter: pb::BulkFilter, scope: &Scope) -> Option<BulkFilter> {
    let is_given = !filter.sku.is_empty()
        || !filter.warehouse_id.is_empty()
        || !filter.seller_id.is_empty()
        || !filter.destination_country.is_empty()
        || filter.create_time_from.is_some()
        || filter.create_time_before.is_some();
    if !is_given {
        v.add(
            "filter",
            "must have one of sku, warehouse_id, seller_id, destination_country, \
             create_time_from and create_time_before",
        );
    }
    let sku = optional_id(v, "filter.sku", filter.sku, Sku::parse);
    let warehouse = filter.warehouse_id;
    let warehouse = optional_id(v, "filter.warehouse_id", warehouse, WarehouseId::parse);
    let seller = optional_id(v, "filter.seller_id", filter.seller_id, SellerId::parse);
    let place = place(
        v,
        "filter.",
        filter.destination_country,
        filter.destination_city,
    );
    let (country, city) = place.unzip();
    let states = distinct_values(v, "filter.states", &filter.states, OrderState::ALL.len());
    let create_time_from = time(v, "filter.create_time_from", filter.create_time_from);
    let create_time_before = time(v, "filter.create_time_before", filter.create_time_before);
    let states = states.map(|states| {
        if states.is_empty() {
            OPEN_STATES.to_vec()
        } else {
            states
        }
    });
    Some(BulkFilter {
        sku: sku?,
        warehouse: warehouse?,
        seller: scope.sellers.narrow(seller?),
        country: country?,
        city: city?,
        states: states?,
        create_time_from: create_time_from?,
        create_time_before: create_time_before?,
    })
}

/// `orders` is None where it was refused.
fn units(v: &mut Violations, units: i32, orders: Option<&AskedOrders>) -> Option<Selection> {
    match pb::BulkUnits::try_from(units) {
        Ok(pb::BulkUnits::Unspecified | pb::BulkUnits::All) => Some(Selection::All),
        Ok(pb::BulkUnits::Matching) => match orders? {
            AskedOrders::Matching(BulkFilter { sku, warehouse, .. })
                if sku.is_some() || warehouse.is_some() =>
            {
                Some(Selection::Matching(Box::new(Matching {
                    sku: sku.clone(),
                    warehouse: warehouse.clone(),
                })))
            }
            AskedOrders::Matching(_) | AskedOrders::Named(_) => {
                v.refuse("units", "MATCHING needs a filter with sku or warehouse_id")
            }
        },
        Err(_) => v.refuse(
            "units",
            format!("{units} is not a value that this server knows"),
        ),
    }
}

/// A job, as a read names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedJob {
    pub store: StoreId,
    pub id: Uuid,
}

pub fn get_bulk_cancellation(
    request: pb::GetBulkCancellationRequest,
    _: &Reader<'_>,
) -> Parsed<NamedJob> {
    job(&request.store_id, &request.bulk_cancellation_id)
}

pub fn watch_bulk_cancellation(
    request: pb::WatchBulkCancellationRequest,
    _: &Reader<'_>,
) -> Parsed<NamedJob> {
    job(&request.store_id, &request.bulk_cancellation_id)
}

pub fn stop_bulk_cancellation(
    request: pb::StopBulkCancellationRequest,
    _: &Reader<'_>,
) -> Parsed<NamedJob> {
    job(&request.store_id, &request.bulk_cancellation_id)
}

fn job(store: &str, id: &str) -> Parsed<NamedJob> {
    parse(|v| {
        let store = store_id(v, store);
        let id = job_id(v, id);
        Some(NamedJob {
            store: store?,
            id: id?,
        })
    })
}

fn job_id(v: &mut Violations, text: &str) -> Option<Uuid> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Some(id),
        Ok(_) | Err(_) => v.refuse(
            "bulk_cancellation_id",
            "must be a UUID such as 123e4567-e89b-42d3-a456-426614174000",
        ),
    }
}

pub fn list_bulk_cancellations(
    mut request: pb::ListBulkCancellationsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<()>> {
    let page = asked_page!("ListBulkCancellations", request, reader);
    page.list(&request.store_id, |_, _| Some(()))
}

/// The filter of the results that are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFilter {
    pub job: Uuid,
    pub outcome: Option<BulkOutcome>,
}

pub fn list_bulk_results(
    mut request: pb::ListBulkResultsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<ResultFilter>> {
    let page = asked_page!("ListBulkResults", request, reader);
    page.list(&request.store_id, |v, _| {
        let job = job_id(v, &request.bulk_cancellation_id);
        let outcome = unspecified_or(v, "outcome", request.outcome);
        Some(ResultFilter {
            job: job?,
            outcome: outcome?,
        })
    })
}
