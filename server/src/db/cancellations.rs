//! Cancellations. Read with their order; written by `aggregate` alone. The list may run anywhere.

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::Annotations;
use belay_domain::cancellation::{
    Cancellation, CancellationOutcome, CancellationState, GateState, Part,
};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{OrderKey, SellerId, StoreId};
use belay_domain::order::Order;
use belay_domain::query::{CancellationFilter, ListPosition};
use belay_domain::scope::View;
use belay_domain::terms::{Effect, Fault, NextAction};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Json, Name};
use super::error::DbError;
use super::pages::{Filter, ListQuery, Listed, PageQuery};
use super::schema::cancellations;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

/// `state`, `outcome` and `close_reason` are what the parts say; they are written for the lists and
/// not read back.
#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = cancellations, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct CancellationRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    pub(super) number: u32,
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    state: Name<CancellationState>,
    #[serde(skip)]
    outcome: Option<Name<CancellationOutcome>>,
    #[serde(skip)]
    close_reason: Option<Name<ErrorReason>>,
    /// Empty where none was given.
    reason: String,
    fault: Name<Fault>,
    note: Option<String>,
    evidence: Json<Vec<String>>,
    counted: bool,
    effects: Json<Vec<Effect>>,
    requester_role: Name<Role>,
    requester_id: String,
    submitted_by_role: Name<Role>,
    submitted_by_id: String,
    policy_version: u32,
    create_time: At,
    close_time: Option<At>,
    next_actions: Json<Vec<NextAction>>,
}

impl statement::Row for CancellationRow {
    fn bytes(&self) -> usize {
        let evidence: usize = self
            .evidence
            .0
            .iter()
            .map(|entry| entry.len() * 2 + 4)
            .sum();
        1_024 + self.note.as_ref().map_or(0, String::len) + evidence
    }
}

impl CancellationRow {
    pub(super) fn of(key: OrderKey, order: &Order, cancellation: &Cancellation) -> Self {
        Self {
            order_key: key.into(),
            number: cancellation.number,
            store_id: Name(order.store.clone()),
            seller_id: Name(order.seller.clone()),
            state: Name(cancellation.state()),
            outcome: cancellation.outcome().map(Name),
            close_reason: cancellation.close_reason().map(Name),
            reason: cancellation.reason.clone().unwrap_or_default(),
            fault: Name(cancellation.fault),
            note: cancellation.note.clone(),
            evidence: Json(cancellation.evidence.clone()),
            counted: cancellation.counted,
            effects: Json(cancellation.effects.clone()),
            requester_role: Name(cancellation.requester.role),
            requester_id: cancellation.requester.id.clone(),
            submitted_by_role: Name(cancellation.submitted_by.role),
            submitted_by_id: cancellation.submitted_by.id.clone(),
            policy_version: cancellation.policy_version,
            create_time: At(cancellation.create_time),
            close_time: cancellation.close_time.map(At),
            next_actions: Json(cancellation.next_actions.clone()),
        }
    }

    pub(super) fn into_cancellation(self, parts: Vec<Part>) -> Cancellation {
        Cancellation {
            number: self.number,
            reason: Some(self.reason).filter(|reason| !reason.is_empty()),
            fault: self.fault.0,
            note: self.note,
            evidence: self.evidence.0,
            counted: self.counted,
            effects: self.effects.0,
            next_actions: self.next_actions.0,
            requester: Actor {
                role: self.requester_role.0,
                id: self.requester_id,
            },
            submitted_by: Actor {
                role: self.submitted_by_role.0,
                id: self.submitted_by_id,
            },
            policy_version: self.policy_version,
            parts,
            create_time: self.create_time.0,
            close_time: self.close_time.map(|time| time.0),
            // They are in the order's own row.
            annotations: Annotations::default(),
        }
    }
}

pub(super) async fn read(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Vec<CancellationRow>, DbError> {
    Ok(rows_of_orders!(conn, cancellations, CancellationRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<CancellationRow>) -> Result<(), DbError> {
    change_rows!(writes, cancellations, rows, [order_key, number] => [
        state,
        outcome,
        close_reason,
        reason,
        fault,
        note,
        evidence,
        counted,
        effects,
        requester_role,
        requester_id,
        submitted_by_role,
        submitted_by_id,
        policy_version,
        close_time,
        next_actions
    ]);
    Ok(())
}

impl ListQuery for CancellationFilter {
    /// The order, or else who is awaited (with the seller, the warehouse or the carrier), or else
    /// the warehouse or the carrier leads to the page; and else the seller and the state. The
    /// others filter.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let page = match (self.order, self.awaiting) {
            (Some(order), _) => {
                let filters = [columns(self), of_a_part(self)].concat();
                PageQuery::of_order("cancellations", order, filters)
            }
            (None, Some(_)) => page_of_gates(self),
            (None, None) if self.respond_by_before.is_some() => page_of_pending(self),
            (None, None) if self.warehouse.is_some() || self.carrier.is_some() => {
                page_of_parts(self)
            }
            (None, None) => {
                let index = match (&self.seller, self.state) {
                    (Some(_), None) => "cancellations_by_seller",
                    (Some(_), Some(_)) => "cancellations_by_seller_state",
                    (None, Some(_)) => "cancellations_by_state",
                    (None, None) => "cancellations_by_time",
                };
                // A part is asked for where who asks sees no more than its parcels.
                let filters = [columns(self), of_a_part(self)].concat();
                PageQuery::by_index(Listed::Children("cancellations"), index, filters)
            }
        };
        page.within(&self.scope).after(after, limit)
    }
}

fn page_of_gates(filter: &CancellationFilter) -> PageQuery {
    let index = match (&filter.seller, &filter.warehouse, &filter.carrier) {
        (Some(_), _, _) => "gates_by_seller",
        (None, Some(_), _) => "gates_by_warehouse",
        (None, None, Some(_)) => "gates_by_carrier",
        (None, None, None) => "gates_by_party",
    };
    let mut filters = vec![Filter::eq("store_id", filter.store.as_str())];
    filters.extend(of_the_gate(filter));
    filters.extend(Filter::given("seller_id", &filter.seller));
    filters.extend(filter.state.map(|state| state_of("gates", state)));
    PageQuery::by_index(
        Listed::Mentions {
            table: "gates",
            number: Some("cancellation_number"),
        },
        index,
        filters,
    )
}

fn page_of_parts(filter: &CancellationFilter) -> PageQuery {
    let index = if filter.warehouse.is_some() {
        "parts_by_warehouse"
    } else {
        "parts_by_carrier"
    };
    let mut filters = vec![Filter::eq("store_id", filter.store.as_str())];
    filters.extend(of_the_parcel(filter));
    filters.extend(filter.seller.as_ref().map(|seller| {
        Filter::any(
            &of_mention("cancellation_parts"),
            vec![Filter::eq("seller_id", seller.as_str())],
        )
    }));
    filters.extend(
        filter
            .state
            .map(|state| state_of("cancellation_parts", state)),
    );
    let parts = Listed::Mentions {
        table: "cancellation_parts",
        number: Some("cancellation_number"),
    };
    PageQuery::by_index(parts, index, filters)
}

/// What waits for anybody is pending.
fn page_of_pending(filter: &CancellationFilter) -> PageQuery {
    let index = if filter.seller.is_some() {
        "cancellations_by_seller_state"
    } else {
        "cancellations_by_state"
    };
    let mut filters = [columns(filter), of_a_part(filter)].concat();
    filters.push(Filter::eq("state", CancellationState::Pending.name()));
    PageQuery::by_index(Listed::Children("cancellations"), index, filters)
}

/// What columns of the cancellation itself must be.
fn columns(filter: &CancellationFilter) -> Vec<Filter> {
    let columns = [
        Some(Filter::eq("store_id", filter.store.as_str())),
        Filter::given("seller_id", &filter.seller),
        filter.state.map(|state| Filter::eq("state", state.name())),
    ];
    columns.into_iter().flatten().collect()
}

/// That there is a part which matches.
fn of_a_part(filter: &CancellationFilter) -> Vec<Filter> {
    let of_this = |table: &str| {
        format!(
            "`{table}` WHERE `{table}`.`order_key` = `cancellations`.`order_key` \
             AND `{table}`.`cancellation_number` = `cancellations`.`number`"
        )
    };
    if filter.awaiting.is_some() || filter.respond_by_before.is_some() {
        return vec![Filter::any(&of_this("gates"), of_the_gate(filter))];
    }
    let parcel = of_the_parcel(filter);
    if parcel.is_empty() {
        Vec::new()
    } else {
        vec![Filter::any(&of_this("cancellation_parts"), parcel)]
    }
}

/// What columns of an open gate must be.
fn of_the_gate(filter: &CancellationFilter) -> Vec<Filter> {
    let mut filters = match filter.awaiting {
        Some(party) => vec![Filter::eq("awaiting", party.name())],
        None => vec![Filter::eq("state", GateState::Open.name())],
    };
    filters.extend(of_the_parcel(filter));
    filters.extend(
        filter
            .respond_by_before
            .map(|before| Filter::new("`respond_by` < ?", before)),
    );
    filters
}

fn of_the_parcel(filter: &CancellationFilter) -> Vec<Filter> {
    let columns = [
        Filter::given("warehouse_id", &filter.warehouse),
        Filter::given("carrier_id", &filter.carrier),
    ];
    let own = match filter.view {
        View::Whole => Vec::new(),
        View::Parcels => Filter::in_route(&filter.scope),
    };
    columns.into_iter().flatten().chain(own).collect()
}

fn state_of(table: &str, state: CancellationState) -> Filter {
    Filter::any(&of_mention(table), vec![Filter::eq("state", state.name())])
}

/// The cancellation that a row of another table is about.
fn of_mention(table: &str) -> String {
    format!(
        "`cancellations` WHERE `cancellations`.`order_key` = `{table}`.`order_key` \
         AND `cancellations`.`number` = `{table}`.`cancellation_number`"
    )
}
