//! Outlines of orders: the columns that tell who sees them, of `orders` and `shipments`. May run
//! anywhere; in a snapshot, for the two tables must be of one moment.

use std::collections::HashMap;

use belay_domain::ids::{BuyerId, CarrierId, OrderKey, SellerId, WarehouseId};
use belay_domain::order::Buyer;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{Bytes, Name};
use super::error::DbError;
use super::schema::{orders, shipments};
use super::statement::{KEYS_MAX, one_of};

/// The part of an order that tells who sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    pub seller: SellerId,
    pub buyer: Buyer,
    /// Of its shipments.
    pub routes: Vec<(WarehouseId, CarrierId)>,
}

type OrderColumns = (
    Bytes<16>,
    Name<SellerId>,
    Name<BuyerId>,
    Option<Bytes<32>>,
    Option<Bytes<32>>,
);

/// Of these orders; what does not exist is left out, and costs the same statements.
pub async fn read(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<HashMap<OrderKey, Outline>, DbError> {
    let mut outlines = HashMap::new();
    for keys in keys.chunks(KEYS_MAX) {
        let found = orders::table
            .filter(one_of(orders::order_key, keys))
            .select((
                orders::order_key,
                orders::seller_id,
                orders::buyer_id,
                orders::buyer_email_hash,
                orders::buyer_username_hash,
            ));
        for (key, seller, buyer, email, username) in found.load::<OrderColumns>(conn).await? {
            let outline = Outline {
                seller: seller.0,
                buyer: Buyer {
                    id: buyer.0,
                    email_hash: email.map(|hash| hash.0),
                    username_hash: username.map(|hash| hash.0),
                },
                routes: Vec::new(),
            };
            outlines.insert(OrderKey::from(key), outline);
        }
        let found = shipments::table
            .filter(one_of(shipments::order_key, keys))
            .select((
                shipments::order_key,
                shipments::warehouse_id,
                shipments::carrier_id,
            ));
        let routes: Vec<(Bytes<16>, Name<WarehouseId>, Name<CarrierId>)> = found.load(conn).await?;
        for (key, warehouse, carrier) in routes {
            if let Some(outline) = outlines.get_mut(&OrderKey::from(key)) {
                outline.routes.push((warehouse.0, carrier.0));
            }
        }
    }
    Ok(outlines)
}
