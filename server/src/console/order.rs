//! One order: what it is, its money, its shipments, its cancellations with what they wait for, and
//! what happened to it.

use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_proto::v1 as pb;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::{self, ErrorPage};
use super::links::link;
use super::visitor::Visitor;
use super::words::{self, chip, money, word};
use super::{links, page, parts, timeline};

/// Events of the timeline on one page.
const EVENTS_MAX: i32 = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    id: String,
    /// Where the timeline goes on.
    after: String,
}

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    let (store, id) = (asked.store.as_str(), links::order_named(&asked.id));
    if store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let request = pb::GetOrderRequest {
        store_id: store.to_owned(),
        order_id: id.to_owned(),
    };
    let found = visitor.orders().get_order(request).await?.into_inner();
    let Some(order) = found.order else {
        return Err(failure::malformed("The server answered without an order."));
    };
    let history = pb::ListOrderHistoryRequest {
        store_id: store.to_owned(),
        order_id: id.to_owned(),
        page_size: EVENTS_MAX,
        page_token: asked.after.clone(),
        include_rejected_requests: true,
    };
    let history = visitor.orders().list_order_history(history).await?;
    let history = history.into_inner();
    let now = visitor.console().now().await?;
    let events = history.events.iter();
    let events = events.map(|event| timeline::row(visitor.facts(), event, false));
    let events: Vec<Markup> = events.collect();
    let here = [("store", store), ("id", id)];
    let explains = visitor.may("CancellationService/PreviewCancellation")
        || visitor.may("PolicyService/ListDecisions");
    let incidents = parts::incidents(&order.incidents, None);
    let body = html! {
        (header(&order, now, visitor.may("PolicyService/GetPolicy")))
        @if explains {
            p {
                a class="button" href=(link(links::EXPLAIN, &here)) {
                    "Explain what can be cancelled, and what was decided"
                }
            }
        }
        h2 { "Lines" } (lines(&order))
        h2 { "Money" } (moneys(&order, now))
        h2 { "Shipments" } (shipments(&order, now))
        h2 { "Cancellations" } (parts::cancellations(&order.store_id, &order.cancellations, now))
        (annotations(&order))
        h2 { "Incidents" }
        (page::table("Incidents of the order", parts::INCIDENTS, &incidents))
        h2 id="timeline" { "Timeline" }
        (page::table("What happened, the oldest first", timeline::COLUMNS, &events))
        (page::more(links::ORDER, &here, ("after", &history.next_page_token)))
    };
    let looking = visitor.looking(store, links::FIND);
    let title = format!("Order {}", order.order_id);
    Ok(page::page(&title, Some(looking), &body))
}

fn header(order: &pb::Order, now: Timestamp, may_see_policy: bool) -> Markup {
    let state = word(order.state().as_str_name(), "ORDER_STATE_");
    let text = |text: &str| html! { (text) };
    let buyer = order.buyer.clone().unwrap_or_default();
    let to = order.destination.clone().unwrap_or_default();
    let to = [to.city, to.region, to.country_code];
    let to: Vec<&str> = to
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let version = order.policy_version.to_string();
    let policy = [("store", order.store_id.as_str()), ("version", &version)];
    let cancellable = html! {
        (words::yes_or_no(order.cancellable_now))
        @if !order.cancellable_explanation.is_empty() { ": " (order.cancellable_explanation) }
    };
    page::facts(&[
        ("State", chip(&state)),
        ("Shown as", text(&order.display_state)),
        ("Cancellable now", cancellable),
        ("Seller", text(&order.seller_id)),
        ("Buyer", text(&buyer.id)),
        ("E-mail", text(&buyer.email)),
        ("User name", text(&buyer.username)),
        ("Destination", text(&to.join(", "))),
        (
            "Policy version",
            html! {
                @if order.policy_version == 0 { (words::NOTHING) }
                @else if may_see_policy { a href=(link(links::POLICY, &policy)) { (version) } }
                @else { (version) }
            },
        ),
        ("Placed", words::time(order.create_time.as_ref())),
        ("Changed", words::time(order.update_time.as_ref())),
        ("To be paid by", to_be_paid(order, now)),
        ("Paid", words::time(order.paid_time.as_ref())),
        (
            "Payment verified until",
            words::deadline(order.verifying_until.as_ref(), now),
        ),
        (
            "Payment lapsed",
            words::time(order.payment_lapse_time.as_ref()),
        ),
    ])
}

/// What is kept with the order, and what people wrote about it; nothing where there is neither. An
/// address is told and not linked to: it is whatever an integrator wrote.
fn annotations(order: &pb::Order) -> Markup {
    let metadata = order.metadata.iter();
    let metadata = metadata.map(|(key, value)| (key.as_str(), html! { (value) }));
    let references = order.external_references.iter().map(|of| {
        let told = html! { (of.id) @if !of.url.is_empty() { " (" (of.url) ")" } };
        (of.system.as_str(), told)
    });
    let kept: Vec<(&str, Markup)> = references.chain(metadata).collect();
    let note = |note: &pb::Note| {
        let visibility = word(note.visibility().as_str_name(), "NOTE_VISIBILITY_");
        let about = [note.cancellation_id.as_str(), note.shipment_id.as_str()].concat();
        html! {
            td { (words::time(note.create_time.as_ref())) }
            td { (words::actor(note.author.as_ref())) }
            td { (chip(&visibility)) }
            td { (words::or_nothing(&about)) }
            td { (note.text) }
        }
    };
    let notes: Vec<Markup> = order.notes.iter().map(note).collect();
    html! {
        @if !kept.is_empty() { h2 { "Kept with the order" } (page::facts(&kept)) }
        @if !notes.is_empty() {
            h2 { "Notes" }
            (page::table("Notes, the oldest first", &["When", "By", "For", "About", "Text"], &notes))
        }
    }
}

/// A deadline only as long as it is one.
fn to_be_paid(order: &pb::Order, now: Timestamp) -> Markup {
    if order.state() == pb::OrderState::AwaitingPayment {
        words::deadline(order.pay_by.as_ref(), now)
    } else {
        words::time(order.pay_by.as_ref())
    }
}

fn lines(order: &pb::Order) -> Markup {
    let columns = [
        "Line",
        "SKU",
        "Title",
        "#Ordered",
        "#Cancelled",
        "#Pending",
        "#Shipped",
        "#Goods",
        "#Discount",
        "#Tax",
    ];
    let row = |line: &pb::Line| {
        html! {
            th scope="row" { (line.line_id) }
            td { (line.sku) }
            td { (words::or_nothing(&line.title)) }
            td class="number" { (line.quantity) }
            td class="number" { (line.cancelled_quantity) }
            td class="number" { (line.pending_quantity) }
            td class="number" { (line.shipped_quantity) }
            td class="number" { (money(line.goods.as_ref())) }
            td class="number" { (money(line.discount.as_ref())) }
            td class="number" { (money(line.tax.as_ref())) }
        }
    };
    let rows: Vec<Markup> = order.lines.iter().map(row).collect();
    page::table("Lines of the order", &columns, &rows)
}

fn moneys(order: &pb::Order, now: Timestamp) -> Markup {
    let totals = order.totals.clone().unwrap_or_default();
    let amount = |amount: &Option<pb::Money>| html! { (money(amount.as_ref())) };
    let payment = |payment: &pb::Payment| {
        let state = word(payment.state().as_str_name(), "PAYMENT_STATE_");
        html! {
            th scope="row" { (payment.payment_id) }
            td { (chip(&state)) }
            td { (words::or_nothing(&payment.method)) }
            td { (payment.provider_payment_id) }
            td class="number" { (amount(&payment.authorized)) }
            td class="number" { (amount(&payment.captured)) }
            td class="number" { (amount(&payment.refunded)) }
            td class="number" { (amount(&payment.disputed)) }
            td { (words::time(payment.update_time.as_ref())) }
        }
    };
    let refunds = parts::refunds(&order.refunds, None, now);
    let payments: Vec<Markup> = order.payments.iter().map(payment).collect();
    let columns = [
        "Payment",
        "State",
        "Method",
        "At the provider",
        "#Authorized",
        "#Captured",
        "#Refunded",
        "#Disputed",
        "Changed",
    ];
    html! {
        (page::facts(&[
            ("Total", amount(&totals.total)),
            ("Due", amount(&totals.due)),
            ("Captured", amount(&totals.captured)),
            ("Refunded", amount(&totals.refunded)),
            ("Goods", amount(&totals.goods)),
            ("Discount", amount(&totals.discount)),
            ("Tax", amount(&totals.tax)),
            ("Shipping", amount(&totals.shipping)),
        ]))
        h3 { "Payments" }
        (page::table("Payments", &columns, &payments))
        h3 { "Refunds" }
        (page::table("Refunds of the order", parts::REFUNDS, &refunds))
    }
}

fn shipments(order: &pb::Order, now: Timestamp) -> Markup {
    let columns = [
        "Shipment",
        "Stage",
        "From",
        "By",
        "Contents",
        "Tracking number",
        "#Fence",
        "Prepare by",
        "Dispatched",
        "Delivered",
        "Notes",
    ];
    let rows: Vec<Markup> = order
        .shipments
        .iter()
        .map(|shipment| self::shipment(shipment, now))
        .collect();
    page::table("Shipments of the order", &columns, &rows)
}

fn shipment(shipment: &pb::Shipment, now: Timestamp) -> Markup {
    let stage = word(shipment.stage().as_str_name(), "SHIPMENT_STAGE_");
    let contents = shipment.contents.iter();
    let contents: Vec<String> = contents
        .map(|of| words::quantity(of.quantity, &of.sku))
        .collect();
    html! {
        th scope="row" { (shipment.shipment_id) }
        td { (chip(&stage)) }
        td { (words::or_nothing(&shipment.warehouse_id)) }
        td { (words::or_nothing(&shipment.carrier_id)) }
        td { (contents.join(", ")) }
        td { (words::or_nothing(&shipment.tracking_number)) }
        td class="number" { (shipment.fence) }
        td {
            (words::deadline(shipment.prepare_by.as_ref(), now))
            @if shipment.preparation_overdue { " " (chip("overdue")) }
        }
        td { (words::time(shipment.dispatch_time.as_ref())) }
        td { (words::time(shipment.deliver_time.as_ref())) }
        td { (notes(shipment, now)) }
    }
}

/// What keeps a parcel, or whoever handles it, from going on as usual.
fn notes(shipment: &pb::Shipment, now: Timestamp) -> Markup {
    let mut notes = Vec::new();
    if shipment.do_not_hand_over {
        notes.push(html! { strong { "do not hand over" } });
    }
    if let Some(hold) = &shipment.hold {
        notes.push(html! {
            "held until " (words::deadline(hold.hold_until.as_ref(), now))
            " by " (words::actor(hold.placed_by.as_ref()))
            @if !hold.note.is_empty() { ": " (hold.note) }
        });
    }
    if let Some(intercept) = &shipment.intercept {
        let state = word(intercept.state().as_str_name(), "INTERCEPT_STATE_");
        notes.push(html! { "intercept " (state) });
    }
    if let Some(flag) = &shipment.customs_flag {
        let flagged = words::quantity(flag.quantity, &flag.sku);
        notes.push(html! { "customs: " (flagged) ", at most " (flag.units_max) });
    }
    if !shipment.split_from_id.is_empty() {
        notes.push(html! { "split from " (shipment.split_from_id) });
    }
    if notes.is_empty() {
        return html! { (words::NOTHING) };
    }
    html! { ul class="plain" { @for note in &notes { li { (note) } } } }
}
