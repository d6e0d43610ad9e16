//! Requests of the OrderService.

use belay_domain::annotations::NoteVisibility;
use belay_domain::commands::{
    Command, CreateOrder, NewLine, NewShipment, RecordPayment, UpdateMetadata, Work,
};
use belay_domain::ids::{
    BuyerId, CarrierId, ChildKind, ExternalId, OrderId, SellerId, Sku, StoreId, WarehouseId,
};
use belay_domain::money::{AMOUNT_MINOR_MAX, Money};
use belay_domain::order::{
    Buyer, CONTENTS_MAX, Destination, IdentityHash, LINE_QUANTITY_MAX, LINES_MAX, SHIPMENTS_MAX,
};
use belay_domain::payment::PaymentFact;
use belay_domain::query::{OrderFilter, OrderSearch, OrdersSummary, SearchedBy};
use belay_domain::scope::View;
use belay_proto::v1 as pb;
use belay_proto::v1::find_orders_request::By;

use super::annotations::{annotations, change, change_fields, note};
use super::bounds::{EMAIL_CHARS_MAX, PLACE_CHARS_MAX, TITLE_CHARS_MAX, USERNAME_CHARS_MAX};
use super::envelope::{CommandRequest, Envelope, Reader, Target, order, store_id};
use super::lists::{ListRequest, asked_page};
use super::{
    Parsed, Violations, all, amount, amount_or_zero, child_of, code, country, distinct, id,
    optional_id, parse, positive, request_id, specified, text, time, told_money, unspecified_or,
};
use crate::status::CallError;
use crate::{Wire as _, identity};

pub fn create_order(
    request: pb::CreateOrderRequest,
    reader: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let request_id = request_id(v, &request.request_id);
        let order = new_order(v, request, reader.identity_key)?;
        Some(CommandRequest {
            store: store?,
            envelope: Envelope {
                order: order.id.clone(),
                request_id: request_id?,
                expected_version: None,
                child: None,
            },
            work: Work::Create(order),
        })
    })
}

fn new_order(
    v: &mut Violations,
    request: pb::CreateOrderRequest,
    identity_key: &[u8; 32],
) -> Option<CreateOrder> {
    let order_id = id(v, "order_id", request.order_id, OrderId::parse);
    let buyer = buyer(v, request.buyer, identity_key);
    let seller = id(v, "seller_id", request.seller_id, SellerId::parse);
    let destination = destination(v, request.destination);
    let lines = lines(v, request.lines);
    let shipping = request.shipping.unwrap_or_default();
    let shipping_amount = amount_or_zero(v, "shipping.amount", shipping.amount);
    let shipping_tax = amount_or_zero(v, "shipping.tax", shipping.tax);
    let shipments = shipments(v, request.shipments);
    let annotations = annotations(v, request.metadata, request.external_references);
    let (lines, shipping, shipping_tax) = (lines?, shipping_amount?, shipping_tax?);

    // Each amount is small enough that 200 lines of them fit.
    let total = lines
        .iter()
        .map(|line| line.goods - line.discount + line.tax)
        .sum::<i64>()
        + shipping
        + shipping_tax;
    if total > AMOUNT_MINOR_MAX {
        v.add(
            "lines",
            format!("the order's total must be at most {AMOUNT_MINOR_MAX} minor units, is {total}"),
        );
    }
    Some(CreateOrder {
        id: order_id?,
        buyer: buyer?,
        seller: seller?,
        destination: destination?,
        // Every line names money, so there is a currency.
        currency: v.currency()?,
        lines,
        shipping,
        shipping_tax,
        shipments: shipments?,
        annotations: annotations?,
    })
}

fn buyer(v: &mut Violations, buyer: Option<pb::Buyer>, identity_key: &[u8; 32]) -> Option<Buyer> {
    let buyer = buyer.unwrap_or_default();
    let buyer_id = id(v, "buyer.id", buyer.id, BuyerId::parse);
    let email_hash = optional_identity(v, "buyer.email", buyer.email, EMAIL_CHARS_MAX, |address| {
        identity::email(identity_key, address)
    });
    let username_hash = optional_identity(
        v,
        "buyer.username",
        buyer.username,
        USERNAME_CHARS_MAX,
        |name| identity::username(identity_key, name),
    );
    Some(Buyer {
        id: buyer_id?,
        email_hash: email_hash?,
        username_hash: username_hash?,
    })
}

fn optional_identity(
    v: &mut Violations,
    field: &str,
    name: String,
    chars_max: usize,
    hash: impl FnOnce(&str) -> IdentityHash,
) -> Option<Option<IdentityHash>> {
    if name.is_empty() {
        return Some(None);
    }
    let name = text(v, field, name, chars_max)?;
    if name.trim().is_empty() {
        v.add(field, "must not be blank");
        return None;
    }
    Some(Some(hash(&name)))
}

fn destination(v: &mut Violations, destination: Option<pb::Destination>) -> Option<Destination> {
    let destination = destination.unwrap_or_default();
    let country = country(v, "destination.country_code", destination.country_code);
    let region = text(v, "destination.region", destination.region, PLACE_CHARS_MAX);
    let city = text(v, "destination.city", destination.city, PLACE_CHARS_MAX);
    Some(Destination {
        country_code: country?,
        region: region?,
        city: city?,
    })
}

fn lines(v: &mut Violations, lines: Vec<pb::NewLine>) -> Option<Vec<NewLine>> {
    if !(1..=LINES_MAX).contains(&lines.len()) {
        v.add(
            "lines",
            format!(
                "must have from 1 to {LINES_MAX} entries, has {}",
                lines.len()
            ),
        );
        return None;
    }
    all(lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| new_line(v, &format!("lines[{index}]"), line)))
}

fn new_line(v: &mut Violations, field: &str, line: pb::NewLine) -> Option<NewLine> {
    let sku = id(v, &format!("{field}.sku"), line.sku, Sku::parse);
    let title = text(v, &format!("{field}.title"), line.title, TITLE_CHARS_MAX);
    let quantity = positive(
        v,
        &format!("{field}.quantity"),
        line.quantity.into(),
        LINE_QUANTITY_MAX,
    );
    let goods = amount(v, &format!("{field}.goods"), line.goods);
    let discount = amount_or_zero(v, &format!("{field}.discount"), line.discount);
    let tax = amount_or_zero(v, &format!("{field}.tax"), line.tax);
    let (goods, discount) = (goods?, discount?);
    if discount > goods {
        v.add(format!("{field}.discount"), "must be at most the goods");
    }
    Some(NewLine {
        sku: sku?,
        title: title?,
        quantity: quantity?,
        goods,
        discount,
        tax: tax?,
    })
}

fn shipments(v: &mut Violations, shipments: Vec<pb::NewShipment>) -> Option<Vec<NewShipment>> {
    if shipments.len() > SHIPMENTS_MAX {
        v.add(
            "shipments",
            format!(
                "must have at most {SHIPMENTS_MAX} entries, has {}",
                shipments.len()
            ),
        );
        return None;
    }
    let contents: usize = shipments.iter().map(|each| each.contents.len()).sum();
    if contents > CONTENTS_MAX {
        v.add(
            "shipments",
            format!("must have at most {CONTENTS_MAX} contents together, have {contents}"),
        );
        return None;
    }
    let read = |(index, shipment)| new_shipment(v, &format!("shipments[{index}]"), shipment);
    all(shipments.into_iter().enumerate().map(read))
}

fn new_shipment(v: &mut Violations, field: &str, shipment: pb::NewShipment) -> Option<NewShipment> {
    let warehouse_field = format!("{field}.warehouse_id");
    let warehouse = optional_id(
        v,
        &warehouse_field,
        shipment.warehouse_id,
        WarehouseId::parse,
    );
    let carrier_field = format!("{field}.carrier_id");
    let carrier = optional_id(v, &carrier_field, shipment.carrier_id, CarrierId::parse);
    let contents_field = format!("{field}.contents");
    if !(1..=LINES_MAX).contains(&shipment.contents.len()) {
        v.add(
            &contents_field,
            format!(
                "must have from 1 to {LINES_MAX} entries, has {}",
                shipment.contents.len()
            ),
        );
        return None;
    }
    let line_field = |index: usize| format!("{contents_field}[{index}].line_number");
    distinct(
        v,
        shipment
            .contents
            .iter()
            .enumerate()
            .map(|(i, content)| (line_field(i), Some(content.line_number))),
    );
    let contents = all(shipment
        .contents
        .into_iter()
        .enumerate()
        .map(|(index, content)| {
            let quantity_field = format!("{contents_field}[{index}].quantity");
            let lines_max = u32::try_from(LINES_MAX).unwrap_or(u32::MAX);
            let line = positive(v, &line_field(index), content.line_number.into(), lines_max);
            let quantity = positive(
                v,
                &quantity_field,
                content.quantity.into(),
                LINE_QUANTITY_MAX,
            );
            Some((line?, quantity?))
        }));
    Some(NewShipment {
        warehouse: warehouse?,
        carrier: carrier?,
        contents: contents?,
    })
}

pub fn get_order(request: pb::GetOrderRequest, _: &Reader<'_>) -> Parsed<(StoreId, OrderId)> {
    order(&request.store_id, &request.order_id)
}

pub fn list_orders(
    mut request: pb::ListOrdersRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<OrderFilter>> {
    let page = asked_page!("ListOrders", request, reader);
    page.list(&request.store_id, |v, store| {
        let buyer = optional_id(v, "buyer_id", request.buyer_id, BuyerId::parse);
        let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
        let state = unspecified_or(v, "state", request.state);
        let create_time_from = time(v, "create_time_from", request.create_time_from);
        let create_time_before = time(v, "create_time_before", request.create_time_before);
        let sku = optional_id(v, "sku", request.sku, Sku::parse);
        let place = place(v, "", request.destination_country, request.destination_city);
        let (country, city) = place.unzip();
        let scope = &reader.caller.scope;
        Some(OrderFilter {
            store: store?,
            scope: scope.clone(),
            buyer: buyer?,
            seller: scope.sellers.narrow(seller?),
            state: state?,
            sku: sku?,
            country: country?,
            city: city?,
            create_time_from: create_time_from?,
            create_time_before: create_time_before?,
        })
    })
}

/// Country and city, of a filter in the field `within`.
pub(super) fn place(
    v: &mut Violations,
    within: &str,
    country: String,
    city: String,
) -> Option<(Option<String>, Option<String>)> {
    let city_field = format!("{within}destination_city");
    let city = text(v, &city_field, city, PLACE_CHARS_MAX);
    let country = match (country.is_empty(), city.as_deref()) {
        (true, Some("") | None) => Some(None),
        (true, Some(_)) => v.refuse(&city_field, "needs destination_country"),
        (false, _) => super::country(v, &format!("{within}destination_country"), country).map(Some),
    };
    let given = |text: String| (!text.is_empty()).then_some(text);
    Some((country?, given(city?)))
}

pub fn summarize_orders(
    request: pb::SummarizeOrdersRequest,
    reader: &Reader<'_>,
) -> Parsed<OrdersSummary> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let buyer = optional_id(v, "buyer_id", request.buyer_id, BuyerId::parse);
        let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
        let scope = &reader.caller.scope;
        Some(OrdersSummary {
            store: store?,
            scope: scope.clone(),
            buyer: buyer?,
            seller: scope.sellers.narrow(seller?),
        })
    })
}

/// The history that is asked for.
#[derive(Debug, Clone)]
pub struct HistoryRequest {
    pub order: OrderId,
    /// With the requests that were rejected.
    pub with_rejected: bool,
}

pub fn list_order_history(
    mut request: pb::ListOrderHistoryRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<HistoryRequest>> {
    let page = asked_page!("ListOrderHistory", request, reader);
    let is_shown_whole = View::of(reader.caller.actor.role) == View::Whole;
    page.list(&request.store_id, |v, _| {
        Some(HistoryRequest {
            order: id(v, "order_id", request.order_id, OrderId::parse)?,
            with_rejected: request.include_rejected_requests && is_shown_whole,
        })
    })
}

pub fn find_orders(
    mut request: pb::FindOrdersRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<OrderSearch>> {
    let page = asked_page!("FindOrders", request, reader);
    page.search(&request.store_id, |v, store| {
        let by = match request.by {
            Some(By::BuyerEmail(address)) => email_hashes(v, address, reader),
            Some(By::TrackingNumber(number)) => {
                let number = id(v, "tracking_number", number, ExternalId::parse);
                number.map(SearchedBy::TrackingNumber)
            }
            // What an id may begin with is an id.
            Some(By::OrderIdPrefix(prefix)) => {
                let prefix = id(v, "order_id_prefix", prefix, OrderId::parse);
                prefix.map(|prefix| SearchedBy::IdPrefix(prefix.to_string()))
            }
            // A oneof is no field: the path is that of its first.
            None => v.refuse(
                "buyer_email",
                "one of buyer_email, tracking_number and order_id_prefix must be given",
            ),
        };
        Some(OrderSearch {
            store: store?,
            scope: reader.caller.scope.clone(),
            by: by?,
        })
    })
}

fn email_hashes(v: &mut Violations, address: String, reader: &Reader<'_>) -> Option<SearchedBy> {
    let address = text(v, "buyer_email", address, EMAIL_CHARS_MAX)?;
    if address.trim().is_empty() {
        return v.refuse("buyer_email", "must not be blank");
    }
    let keys = std::iter::once(reader.identity_key).chain(reader.former_identity_keys);
    let hashes = keys.map(|key| identity::email(key, &address));
    Some(SearchedBy::Email(hashes.collect()))
}

pub fn record_payment(request: pb::RecordPaymentRequest, _: &Reader<'_>) -> Parsed<CommandRequest> {
    parse(|v| {
        let named = [
            &*request.store_id,
            &request.order_id,
            &request.request_id,
            "",
        ];
        let on = Target::order(v, named);
        let payment = payment(v, request, on.order.as_ref())?;
        on.with(Command::RecordPayment(payment))
    })
}

fn payment(
    v: &mut Violations,
    request: pb::RecordPaymentRequest,
    order: Option<&OrderId>,
) -> Option<RecordPayment> {
    let provider_payment_id = id(
        v,
        "provider_payment_id",
        request.provider_payment_id,
        ExternalId::parse,
    );
    let provider_event_id = id(
        v,
        "provider_event_id",
        request.provider_event_id,
        ExternalId::parse,
    );
    let fact: Option<PaymentFact> = specified(v, "fact", request.fact);
    let amount = match (fact, request.amount) {
        (Some(fact), amount) => fact_amount(v, fact, amount),
        // Of an unknown fact nobody knows whether it has an amount.
        (None, Some(amount)) => told_money(v, "amount", &amount).map(Some),
        (None, None) => None,
    };
    let method = code(v, "method", request.method);
    let movement = optional_id(v, "movement_id", request.movement_id, ExternalId::parse);
    if fact.is_some_and(|fact| fact != PaymentFact::RefundedOutside)
        && !request.refund_id.is_empty()
    {
        v.add("refund_id", "must be given for REFUNDED_OUTSIDE only");
    }
    let refund = match request.refund_id.as_str() {
        "" => Some(None),
        _ => child_of(v, "refund_id", &request.refund_id, ChildKind::Refund, order).map(Some),
    };
    let occurred_time = time(v, "occurred_time", request.occurred_time);
    Some(RecordPayment {
        provider_payment_id: provider_payment_id?,
        provider_event_id: provider_event_id?,
        fact: fact?,
        amount: amount?,
        movement: movement?,
        refund: refund?,
        method: method?,
        occurred_time: occurred_time?,
    })
}

/// Some facts carry money and others do not.
fn fact_amount(
    v: &mut Violations,
    fact: PaymentFact,
    amount: Option<pb::Money>,
) -> Option<Option<Money>> {
    match (fact, amount) {
        (
            PaymentFact::Authorized
            | PaymentFact::Captured
            | PaymentFact::RefundedOutside
            | PaymentFact::Chargeback,
            Some(amount),
        )
        | (PaymentFact::Voided | PaymentFact::ChargebackReversed, Some(amount)) => {
            match told_money(v, "amount", &amount) {
                Some(Money { minor_units: 0, .. }) => {
                    v.add("amount.minor_units", "must be greater than zero");
                    None
                }
                amount => amount.map(Some),
            }
        }
        (
            PaymentFact::Authorized
            | PaymentFact::Captured
            | PaymentFact::RefundedOutside
            | PaymentFact::Chargeback,
            None,
        ) => {
            v.add("amount", "must be given");
            None
        }
        (
            PaymentFact::Attempted
            | PaymentFact::Declined
            | PaymentFact::Voided
            | PaymentFact::ChargebackReversed,
            None,
        ) => Some(None),
        (PaymentFact::Attempted | PaymentFact::Declined, Some(_)) => {
            v.add("amount", format!("must not be given for {fact}"));
            None
        }
    }
}

pub fn update_order_metadata(
    request: pb::UpdateOrderMetadataRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let named = [
            &*request.store_id,
            &request.order_id,
            &request.request_id,
            &request.etag,
        ];
        let on = Target::order(v, named);
        let change = change(v, change_fields!(request));
        on.with(Command::UpdateMetadata(UpdateMetadata {
            cancellation: None,
            change: change?,
        }))
    })
}

pub fn add_note(request: pb::AddNoteRequest, reader: &Reader<'_>) -> Parsed<CommandRequest> {
    // What it writes it may read.
    let role = reader.caller.actor.role;
    if NoteVisibility::from_number(request.visibility).is_some_and(|of| !of.is_read_by(role)) {
        let role = role.to_string();
        return Err(CallError::RoleNotAllowed { role });
    }
    parse(|v| {
        let named = [
            &*request.store_id,
            &request.order_id,
            &request.request_id,
            &request.etag,
        ];
        let on = Target::order(v, named);
        let note = note(v, on.order.as_ref(), request)?;
        on.with(Command::AddNote(note))
    })
}
