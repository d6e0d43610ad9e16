//! In whose place a preview is asked. Where whoever looks has chosen a role and is believed, they
//! may choose another for it; else a caller asks for itself, and support for a buyer whom it knows.

use belay_proto::v1 as pb;
use belay_proto::v1::cancellation_service_client::CancellationServiceClient;

use super::calls::Reads;
use super::failure::{self, ErrorPage};
use super::visitor::Visitor;
use super::way::Way;

pub(super) const BUYER: &str = "BUYER";

/// Those whom a preview is asked by, and who that is of an order.
const ASKERS: [(&str, &str); 5] = [
    (BUYER, "the buyer"),
    ("SELLER", "the seller"),
    ("WAREHOUSE", "the warehouse"),
    ("CARRIER", "the carrier"),
    ("SUPPORT", "support"),
];

/// Who that is, as a page says it.
pub(super) fn words(asker: &str) -> Option<&'static str> {
    let found = ASKERS.iter().find(|(name, _)| *name == asker);
    found.map(|(_, words)| *words)
}

/// Whom one may choose; nobody where one cannot choose.
pub(super) fn choices(visitor: &Visitor) -> Vec<(String, String)> {
    if visitor.way != Way::Role {
        return Vec::new();
    }
    let own = format!("yourself ({})", visitor.caller.actor.role);
    let others = ASKERS.map(|(asker, words)| (asker.to_owned(), words.to_owned()));
    [(String::new(), own)].into_iter().chain(others).collect()
}

/// Whether the role may ask on behalf of a buyer.
pub(super) fn may_ask_for_buyers(visitor: &Visitor) -> bool {
    visitor.caller.actor.role.may_act_on_behalf_of_buyers()
}

/// The cancellations as this asker of the order would ask for them.
///
/// # Errors
/// Where there is no such asker, where one cannot choose, and where the order is not seen.
pub(super) async fn in_place_of(
    visitor: &Visitor,
    asker: &str,
    store: &str,
    order: &str,
) -> Result<CancellationServiceClient<Reads>, ErrorPage> {
    if words(asker).is_none() {
        let known = ASKERS.map(|(asker, _)| asker).join(", ");
        let told = format!("{asker:?} asks for no cancellation: it may be one of {known}.");
        return Err(failure::malformed(told));
    }
    let request = pb::GetOrderRequest {
        store_id: store.to_owned(),
        order_id: order.to_owned(),
    };
    let found = visitor.orders().get_order(request).await?.into_inner();
    let order = found.order.unwrap_or_default();
    let shipments = order.shipments.iter();
    let all = |ids: Vec<&str>| ids.join(",");
    let headers = match asker {
        // The storefront asks for the buyer.
        BUYER => vec![("belay-role", "STOREFRONT".to_owned())],
        "SELLER" => vec![
            ("belay-role", asker.to_owned()),
            ("belay-actor", order.seller_id.clone()),
            ("belay-sellers", order.seller_id.clone()),
        ],
        "WAREHOUSE" => vec![
            ("belay-role", asker.to_owned()),
            (
                "belay-warehouses",
                all(shipments.map(|of| of.warehouse_id.as_str()).collect()),
            ),
        ],
        "CARRIER" => vec![
            ("belay-role", asker.to_owned()),
            (
                "belay-carriers",
                all(shipments.map(|of| of.carrier_id.as_str()).collect()),
            ),
        ],
        role => vec![("belay-role", role.to_owned())],
    };
    let client = visitor.believed(&headers);
    client.ok_or_else(|| {
        failure::malformed("Nobody may choose here as whom to ask: the server knows who you are.")
    })
}
