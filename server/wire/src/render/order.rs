//! An order with its payments, refunds and incidents.

use belay_domain::actor::Actor;
use belay_domain::annotations::Note;
use belay_domain::commands::{self, DirectCancellation};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::ids::ChildKind;
use belay_domain::incident::Incident;
use belay_domain::order::{Line, Order};
use belay_domain::payment::Payment;
use belay_domain::refund::{Refund, RefundState};
use belay_domain::scope::Scope;
use belay_domain::units::UnitSet;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use uuid::Uuid;

use super::cancellation::actor;
use super::{annotations, cancellation, shipment};
use crate::Wire;
use crate::enums::numbers;
use crate::values::{count, etag, money, refund_amount, time};
use crate::views::Viewer;

/// The order as it stands, with what its buyer may do at `now`, as the viewer sees it.
pub fn order(viewer: &Viewer<'_>, order: &Order, store: &StoreConfig, now: Timestamp) -> pb::Order {
    let notes = order.notes.iter();
    let read = notes.filter(|note| viewer.reads(note.visibility));
    let notes = read.map(|each| note(order, each)).collect();
    viewer.shown(pb::Order {
        notes,
        ..whole(order, store, now)
    })
}

/// Without its notes.
#[expect(clippy::too_many_lines, reason = "a table: a row for each field")]
fn whole(order: &Order, store: &StoreConfig, now: Timestamp) -> pb::Order {
    let direct_cancellation = direct_cancellation(order, store, now);
    let explanation = match direct_cancellation {
        DirectCancellation::Refused(reason) => reason.name(),
        DirectCancellation::Offered | DirectCancellation::OnRequest => "",
    };
    let units = UnitSets {
        cancelled: order.cancelled_units(),
        claimed: order.claimed_units(),
        shipped: order.shipped_units(),
    };
    pb::Order {
        order_id: order.id.to_string(),
        store_id: order.store.to_string(),
        etag: etag(order.version),
        state: order.state.number(),
        display_state: display_state(order, store, now),
        cancellable_now: direct_cancellation == DirectCancellation::Offered,
        cancellable_explanation: explanation.to_owned(),
        // E-mail address and user name are input only.
        buyer: Some(pb::Buyer {
            id: order.buyer.id.to_string(),
            ..pb::Buyer::default()
        }),
        seller_id: order.seller.to_string(),
        destination: Some(pb::Destination {
            country_code: order.destination.country_code.clone(),
            region: order.destination.region.clone(),
            city: order.destination.city.clone(),
        }),
        lines: order
            .lines
            .iter()
            .map(|each| line(order, &units, each))
            .collect(),
        shipping: Some(pb::ShippingCharge {
            amount: Some(money(order.currency, order.shipping)),
            tax: Some(money(order.currency, order.shipping_tax)),
        }),
        totals: Some(totals(order)),
        payments: order
            .payments
            .iter()
            .map(|each| payment(order, each))
            .collect(),
        shipments: order
            .shipments
            .iter()
            .map(|each| shipment::whole(order, store, each))
            .collect(),
        cancellations: order
            .cancellations
            .iter()
            .map(|each| cancellation::whole(order, store, each))
            .collect(),
        refunds: order
            .refunds
            .iter()
            .map(|each| refund(order, each))
            .collect(),
        incidents: order
            .incidents
            .iter()
            .map(|each| whole_incident(order, each))
            .collect(),
        policy_version: count(order.policy_version),
        create_time: Some(time(order.create_time)),
        update_time: Some(time(order.update_time)),
        pay_by: Some(time(order.pay_by)),
        paid_time: order.paid_time.map(time),
        verifying_until: order.verified_at.map(time),
        payment_lapse_time: order.lapse_time.map(time),
        metadata: annotations::metadata(&order.annotations),
        external_references: annotations::external_references(&order.annotations),
        notes: Vec::new(),
    }
}

/// What the active policy calls the state.
fn display_state(order: &Order, store: &StoreConfig, now: Timestamp) -> String {
    let active = store.policies.active_at(now).map(|(_, policy)| policy);
    let policy = active.or_else(|| {
        store
            .policies
            .version(order.policy_version)
            .map(|policy| &**policy)
    });
    policy
        .map_or(order.state.name(), |policy| policy.label(order.state))
        .to_owned()
}

fn direct_cancellation(order: &Order, store: &StoreConfig, now: Timestamp) -> DirectCancellation {
    let caller = Actor::system();
    // What the buyer may do is not narrowed by who looks at it.
    let scope = &Scope::EVERYTHING;
    let context = Context {
        now: now.max(order.update_time),
        caller: &caller,
        scope,
        request_id: Uuid::nil(),
        store,
    };
    commands::direct_cancellation(order, &context)
}

/// The sets of units of an order, computed once for all lines.
struct UnitSets {
    cancelled: UnitSet,
    claimed: UnitSet,
    shipped: UnitSet,
}

fn line(order: &Order, units: &UnitSets, line: &Line) -> pb::Line {
    pb::Line {
        line_id: ChildKind::Line.id(&order.id, line.number),
        sku: line.sku.to_string(),
        title: line.title.clone(),
        quantity: count(line.quantity),
        goods: Some(money(order.currency, line.goods)),
        discount: Some(money(order.currency, line.discount)),
        tax: Some(money(order.currency, line.tax)),
        cancelled_quantity: count(units.cancelled.count_of(line.number)),
        pending_quantity: count(units.claimed.count_of(line.number)),
        shipped_quantity: count(units.shipped.count_of(line.number)),
    }
}

fn totals(order: &Order) -> pb::OrderTotals {
    let sum = |amount: fn(&Line) -> i64| order.lines.iter().map(amount).sum::<i64>();
    let in_currency = |minor_units| Some(money(order.currency, minor_units));
    pb::OrderTotals {
        goods: in_currency(sum(|line| line.goods)),
        discount: in_currency(sum(|line| line.discount)),
        tax: in_currency(sum(|line| line.tax) + order.shipping_tax),
        shipping: in_currency(order.shipping),
        total: in_currency(order.total().total()),
        due: in_currency(order.amount_due()),
        captured: in_currency(
            order
                .payments
                .iter()
                .map(|payment| payment.balance.captured)
                .sum(),
        ),
        refunded: in_currency(
            order
                .payments
                .iter()
                .map(|payment| order.gone_back(payment))
                .sum(),
        ),
    }
}

fn payment(order: &Order, payment: &Payment) -> pb::Payment {
    pb::Payment {
        payment_id: ChildKind::Payment.id(&order.id, payment.number),
        provider_payment_id: payment.provider_payment_id.to_string(),
        method: payment.method.clone(),
        state: payment.balance.state.number(),
        authorized: Some(money(order.currency, payment.balance.authorized)),
        captured: Some(money(order.currency, payment.balance.captured)),
        refunded: Some(money(order.currency, order.gone_back(payment))),
        create_time: Some(time(payment.create_time)),
        update_time: Some(time(payment.update_time)),
        still_authorized: Some(money(order.currency, payment.balance.held)),
        unconfirmed: Some(money(order.currency, payment.balance.unconfirmed)),
        refunded_outside: Some(money(order.currency, payment.balance.returned_outside)),
        disputed: Some(money(order.currency, payment.balance.disputed)),
    }
}

/// A note, whoever may read it.
pub(crate) fn note(order: &Order, note: &Note) -> pb::Note {
    let (cancellation_id, shipment_id) = annotations::subject(&order.id, note.subject);
    pb::Note {
        note_id: ChildKind::Note.id(&order.id, note.number),
        visibility: note.visibility.number(),
        text: note.text.clone(),
        author: Some(actor(&note.author)),
        cancellation_id,
        shipment_id,
        create_time: Some(time(note.create_time)),
    }
}

/// Money that goes back, or an authorisation that is let go.
pub fn refund(order: &Order, refund: &Refund) -> pb::Refund {
    let payment = order.payment(refund.payment);
    let cancellation = refund
        .cancellation
        .map(|number| ChildKind::Cancellation.id(&order.id, number));
    pb::Refund {
        refund_id: ChildKind::Refund.id(&order.id, refund.number),
        order_id: order.id.to_string(),
        payment_id: ChildKind::Payment.id(&order.id, refund.payment),
        provider_payment_id: payment
            .map(|payment| payment.provider_payment_id.to_string())
            .unwrap_or_default(),
        kind: refund.kind.number(),
        state: refund.state.number(),
        amount: Some(refund_amount(order.currency, refund.amounts)),
        provider_key: Refund::provider_key(&order.store, &order.id, refund.number),
        cancellation_id: cancellation.unwrap_or_default(),
        due_by: Some(time(refund.due_by)),
        create_time: Some(time(refund.create_time)),
        settle_time: refund.settle_time.map(time),
        provider_refund_id: refund
            .provider_refund_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        failure_code: refund.failure_code.clone().unwrap_or_default(),
        worker_id: refund
            .worker
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        lease_until: refund.lease_until.map(time),
        ask_provider_first: refund.state == RefundState::Unknown,
        overdue: refund.overdue,
        retry_of_id: refund
            .retry_of
            .map(|number| ChildKind::Refund.id(&order.id, number))
            .unwrap_or_default(),
        settled_amount: refund
            .settled_amount
            .map(|amount| money(order.currency, amount)),
    }
}

/// A contradiction that support resolves, as the viewer sees it.
pub fn incident(viewer: &Viewer<'_>, order: &Order, incident: &Incident) -> pb::Incident {
    viewer.shown(whole_incident(order, incident))
}

fn whole_incident(order: &Order, incident: &Incident) -> pb::Incident {
    let cancellation = incident
        .cancellation
        .map(|number| ChildKind::Cancellation.id(&order.id, number));
    pb::Incident {
        incident_id: ChildKind::Incident.id(&order.id, incident.number),
        order_id: order.id.to_string(),
        kind: incident.kind.number(),
        state: incident.state.number(),
        subject_id: subject_id(order, incident),
        create_time: Some(time(incident.create_time)),
        resolve_time: incident.resolve_time.map(time),
        cancellation_id: cancellation.unwrap_or_default(),
        resolution: incident.resolution.map_or(0, Wire::number),
        resolved_by: incident.resolved_by.as_ref().map(actor),
        note: incident.note.clone().unwrap_or_default(),
        allowed_resolutions: numbers(&commands::allowed_resolutions(order, incident)),
        amount: incident.amount.map(|amount| money(order.currency, amount)),
    }
}

/// What an incident is about: a shipment, a refund, a payment, or else the order.
pub(crate) fn subject_id(order: &Order, incident: &Incident) -> String {
    let shipment = incident
        .shipment
        .map(|number| ChildKind::Shipment.id(&order.id, number));
    let refund = incident
        .refund
        .map(|number| ChildKind::Refund.id(&order.id, number));
    let payment = incident
        .payment
        .map(|number| ChildKind::Payment.id(&order.id, number));
    shipment
        .or(refund)
        .or(payment)
        .unwrap_or_else(|| order.id.to_string())
}
