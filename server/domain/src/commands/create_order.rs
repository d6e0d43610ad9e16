//! CreateOrder: a buyer has bought something.

use serde::{Deserialize, Serialize};

use crate::annotations::Annotations;
use crate::context::{Context, StoreConfig};
use crate::decision::{Answer, Decision};
use crate::event::EventDetail;
use crate::ids::{CarrierId, OrderId, SellerId, Sku, WarehouseId};
use crate::lifecycle::customs;
use crate::lifecycle::draft::Draft;
use crate::money::{Amounts, Currency};
use crate::order::{Buyer, Destination, Line, Order, OrderState};
use crate::rejection::{FieldViolation, Rejection};
use crate::scope::Scope;
use crate::shipment::{Shipment, Stage, Whereabouts};
use crate::units::{UnitRange, UnitSet};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateOrder {
    pub id: OrderId,
    pub buyer: Buyer,
    pub seller: SellerId,
    pub destination: Destination,
    pub currency: Currency,
    pub lines: Vec<NewLine>,
    pub shipping: i64,
    pub shipping_tax: i64,
    /// Empty: one shipment with every unit, by the store's default route.
    pub shipments: Vec<NewShipment>,
    /// Not named where it is empty: orders from before it keep their fingerprints.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// Amounts are for the whole line; the discount is at most the goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLine {
    pub sku: Sku,
    pub title: String,
    pub quantity: u32,
    pub goods: i64,
    pub discount: i64,
    pub tax: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewShipment {
    /// The store's default where none is named.
    pub warehouse: Option<WarehouseId>,
    /// The same.
    pub carrier: Option<CarrierId>,
    /// Line numbers, from 1, with quantities.
    pub contents: Vec<(u32, u32)>,
}

pub(super) fn decide(
    command: &CreateOrder,
    create_fingerprint: [u8; 32],
    context: &Context<'_>,
) -> Result<Decision, Rejection> {
    let store = context.store;
    let Some((policy_version, policy)) = store.policies.active_at(context.now) else {
        panic!(
            "store {} has no active policy: CreateStore activates one",
            store.id
        )
    };
    let lines: Vec<Line> = (1..)
        .zip(&command.lines)
        .map(|(number, line)| line.numbered(number))
        .collect();
    let routes = routes(command, store)?;
    let units = assign_units(&lines, &routes)?;
    check_known(&routes, store)?;

    let mut order = Order {
        store: store.id.clone(),
        id: command.id.clone(),
        version: 0,
        state: OrderState::AwaitingPayment,
        buyer: command.buyer.clone(),
        seller: command.seller.clone(),
        destination: command.destination.clone(),
        currency: command.currency,
        shipping: command.shipping,
        shipping_tax: command.shipping_tax,
        policy_version,
        create_time: context.now,
        update_time: context.now,
        pay_by: context
            .now
            .saturating_add(policy.unpaid.expire_after)
            .unwrap_or(context.now),
        pay_by_moved: false,
        paid_time: None,
        lapse_time: None,
        verified_at: None,
        create_fingerprint,
        lines,
        payments: Vec::new(),
        shipments: Vec::new(),
        cancellations: Vec::new(),
        refunds: Vec::new(),
        incidents: Vec::new(),
        annotations: command.annotations.clone(),
        notes: Vec::new(),
    };
    order.shipments = shipments(&order, routes, units);

    let before = order.clone();
    let mut draft = Draft::of(&order, context);
    for shipment in &order.shipments {
        customs::flag_again(&mut draft, shipment.number);
    }
    let total = Amounts {
        excess: 0,
        ..draft.order.total()
    };
    draft.emit(EventDetail::OrderCreated { total });
    // An order that costs nothing is paid by being placed.
    draft.follow_payments_and_release();
    draft.order.version = 1;
    Ok(draft.accept(&before, Answer::Order))
}

impl NewLine {
    fn numbered(&self, number: u32) -> Line {
        Line {
            number,
            sku: self.sku.clone(),
            title: self.title.clone(),
            quantity: self.quantity,
            goods: self.goods,
            discount: self.discount,
            tax: self.tax,
        }
    }
}

/// The shipments of these routes, in their order, none of them released.
fn shipments(order: &Order, routes: Vec<Route>, contents: Vec<UnitSet>) -> Vec<Shipment> {
    let fees = order.split_shipping(order.shipping, order.shipping_tax, &contents);
    let parcels = routes.into_iter().zip(contents).zip(fees);
    (1..)
        .zip(parcels)
        .map(
            |(number, ((route, units), (shipping, shipping_tax)))| Shipment {
                number,
                warehouse: route.warehouse,
                carrier: route.carrier,
                stage: Stage::Unreleased,
                fence: 1,
                units,
                shipping,
                shipping_tax,
                tracking_number: None,
                whereabouts: Whereabouts::default(),
                dispatch_time: None,
                deliver_time: None,
                update_time: order.create_time,
                last_tracking_time: None,
                carrier_event_ids: Vec::new(),
                prepare_by: None,
                preparation_overdue: false,
                hold: None,
                intercept: None,
                customs_flag: None,
                split_from: None,
            },
        )
        .collect()
}

/// A shipment with the warehouse and the carrier that it will have.
struct Route {
    warehouse: WarehouseId,
    carrier: CarrierId,
    contents: Vec<(u32, u32)>,
}

/// The shipments as asked, or one of all units; by the store's default route as far as they name
/// none.
fn routes(command: &CreateOrder, store: &StoreConfig) -> Result<Vec<Route>, Rejection> {
    let default = store.default_route.clone();
    if command.shipments.is_empty() {
        let Some((warehouse, carrier)) = default else {
            let description = "must not be empty: the store has no default warehouse and carrier";
            return Err(Rejection::InvalidField(vec![violation(
                "shipments",
                description,
            )]));
        };
        let lines = command.lines.iter().map(|line| line.quantity);
        return Ok(vec![Route {
            warehouse,
            carrier,
            contents: (1..).zip(lines).collect(),
        }]);
    }
    let (default_warehouse, default_carrier) = default.unzip();
    let mut violations = Vec::new();
    let mut missing = |index: usize, field: &str| {
        violations.push(violation(
            format!("shipments[{index}].{field}"),
            "must be given: the store has no default one",
        ));
    };
    let mut routes = Vec::with_capacity(command.shipments.len());
    for (index, shipment) in command.shipments.iter().enumerate() {
        let warehouse = shipment.warehouse.as_ref().or(default_warehouse.as_ref());
        let carrier = shipment.carrier.as_ref().or(default_carrier.as_ref());
        if warehouse.is_none() {
            missing(index, "warehouse_id");
        }
        if carrier.is_none() {
            missing(index, "carrier_id");
        }
        routes.extend(warehouse.zip(carrier).map(|(warehouse, carrier)| Route {
            warehouse: warehouse.clone(),
            carrier: carrier.clone(),
            contents: shipment.contents.clone(),
        }));
    }
    if violations.is_empty() {
        Ok(routes)
    } else {
        Err(Rejection::InvalidField(violations))
    }
}

fn check_known(routes: &[Route], store: &StoreConfig) -> Result<(), Rejection> {
    let is_unknown = |route: &&Route| !store.warehouses.contains_key(&route.warehouse);
    if let Some(unknown) = routes.iter().find(is_unknown) {
        return Err(Rejection::UnknownWarehouse {
            warehouse: unknown.warehouse.clone(),
        });
    }
    let is_unknown = |route: &&Route| !store.carriers.contains_key(&route.carrier);
    if let Some(unknown) = routes.iter().find(is_unknown) {
        return Err(Rejection::UnknownCarrier {
            carrier: unknown.carrier.clone(),
        });
    }
    Ok(())
}

/// Gives each shipment its units, in the order of the shipments: every unit is in exactly one, and
/// no shipment is empty.
fn assign_units(lines: &[Line], routes: &[Route]) -> Result<Vec<UnitSet>, Rejection> {
    let mut violations = Vec::new();
    let mut next: Vec<u32> = vec![0; lines.len()];
    let mut assigned = Vec::with_capacity(routes.len());
    for (index, route) in routes.iter().enumerate() {
        let mut ranges = Vec::with_capacity(route.contents.len());
        for (content, (line, count)) in route.contents.iter().enumerate() {
            let field = format!("shipments[{index}].contents[{content}]");
            let at = usize::try_from(*line).unwrap_or(0).wrapping_sub(1);
            match lines.get(at) {
                None => violations.push(violation(
                    format!("{field}.line_number"),
                    "names no line of this order",
                )),
                Some(line) if *count > line.quantity - next[at] => {
                    let description = "the shipments hold more units than the line has";
                    violations.push(violation(format!("{field}.quantity"), description));
                }
                Some(_) => {
                    ranges.push(UnitRange {
                        line: *line,
                        first: next[at],
                        count: *count,
                    });
                    next[at] += count;
                }
            }
        }
        if route.contents.iter().all(|(_, count)| *count == 0) {
            violations.push(violation(
                format!("shipments[{index}].contents"),
                "must hold at least one unit",
            ));
        }
        assigned.push(UnitSet::new(ranges));
    }
    if violations.is_empty() {
        let short = lines
            .iter()
            .zip(next)
            .filter(|(line, assigned)| line.quantity != *assigned);
        violations.extend(short.map(|(line, assigned)| {
            let description = format!(
                "hold {assigned} of the {} units of line {}",
                line.quantity, line.number
            );
            violation("shipments", description)
        }));
    }
    if violations.is_empty() {
        Ok(assigned)
    } else {
        Err(Rejection::InvalidField(violations))
    }
}

fn violation(field: impl Into<String>, description: impl Into<String>) -> FieldViolation {
    FieldViolation {
        field: field.into(),
        description: description.into(),
    }
}

/// Rejects an order that its caller would not see, or with a shipment that is not the caller's.
pub(super) fn check_scope(
    command: &CreateOrder,
    store: &StoreConfig,
    scope: &Scope,
) -> Result<(), Rejection> {
    // That there is none is told by the decision.
    let routes = routes(command, store).unwrap_or_default();
    let is_seen = |route: &Route| scope.sees_route(&route.warehouse, &route.carrier);
    if scope.sellers.contains(&command.seller) && routes.iter().all(is_seen) {
        Ok(())
    } else {
        Err(Rejection::OutOfScope)
    }
}
