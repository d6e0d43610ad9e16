//! An order as a row of its table, without its children.

use belay_domain::annotations::Annotations;
use belay_domain::ids::{BuyerId, OrderId, OrderKey, SellerId, StoreId};
use belay_domain::money::Currency;
use belay_domain::order::{Buyer, Destination, Order, OrderState};
use diesel::mysql::Mysql;
use diesel::prelude::*;

use super::annotations::StoredAnnotations;
use crate::db::columns::{At, Bytes, Json, Name};
use crate::db::error::DbError;
use crate::db::schema::orders;
use crate::db::statement;

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = orders, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(crate) struct OrderRow {
    pub(crate) order_key: Bytes<16>,
    pub(crate) store_id: Name<StoreId>,
    pub(crate) order_id: Name<OrderId>,
    pub(crate) shard_partition: u16,
    pub(crate) version: u64,
    pub(crate) state: Name<OrderState>,
    pub(crate) buyer_id: Name<BuyerId>,
    pub(crate) buyer_email_hash: Option<Bytes<32>>,
    pub(crate) buyer_username_hash: Option<Bytes<32>>,
    pub(crate) seller_id: Name<SellerId>,
    pub(crate) country_code: String,
    pub(crate) region: String,
    pub(crate) city: String,
    pub(crate) currency: Name<Currency>,
    pub(crate) shipping: i64,
    pub(crate) shipping_tax: i64,
    pub(crate) policy_version: u32,
    pub(crate) create_time: At,
    pub(crate) update_time: At,
    pub(crate) pay_by: At,
    pub(crate) pay_by_moved: bool,
    pub(crate) paid_time: Option<At>,
    pub(crate) create_fingerprint: Bytes<32>,
    pub(crate) next_due: Option<At>,
    pub(crate) line_count: u32,
    pub(crate) payment_count: u32,
    pub(crate) shipment_count: u32,
    pub(crate) cancellation_count: u32,
    pub(crate) refund_count: u32,
    pub(crate) incident_count: u32,
    pub(crate) verified_at: Option<At>,
    pub(crate) lapse_time: Option<At>,
    /// The children, where it is up to date: `aggregate` says how.
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) annotations: Option<Json<StoredAnnotations>>,
    pub(crate) note_count: u32,
}

impl statement::Row for OrderRow {
    fn bytes(&self) -> usize {
        let document = self.document.as_ref().map_or(0, Vec::len);
        let annotations = self.annotations.as_ref();
        let annotations = annotations.map_or(0, |annotations| annotations.0.bytes());
        512 + self.region.len() + self.city.len() + document + annotations
    }
}

impl OrderRow {
    /// Without a document.
    pub(crate) fn of(order: &Order, partition: u16) -> Result<Self, DbError> {
        let count = |children: usize| {
            u32::try_from(children)
                .map_err(|_| DbError::Corrupt(format!("{:?}: {children} children", order.key())))
        };
        Ok(Self {
            order_key: order.key().into(),
            store_id: Name(order.store.clone()),
            order_id: Name(order.id.clone()),
            shard_partition: partition,
            version: order.version,
            state: Name(order.state),
            buyer_id: Name(order.buyer.id.clone()),
            buyer_email_hash: order.buyer.email_hash.map(Bytes),
            buyer_username_hash: order.buyer.username_hash.map(Bytes),
            seller_id: Name(order.seller.clone()),
            country_code: order.destination.country_code.clone(),
            region: order.destination.region.clone(),
            city: order.destination.city.clone(),
            currency: Name(order.currency),
            shipping: order.shipping,
            shipping_tax: order.shipping_tax,
            policy_version: order.policy_version,
            create_time: At(order.create_time),
            update_time: At(order.update_time),
            pay_by: At(order.pay_by),
            pay_by_moved: order.pay_by_moved,
            paid_time: order.paid_time.map(At),
            create_fingerprint: Bytes(order.create_fingerprint),
            next_due: order.next_due().map(At),
            line_count: count(order.lines.len())?,
            payment_count: count(order.payments.len())?,
            shipment_count: count(order.shipments.len())?,
            cancellation_count: count(order.cancellations.len())?,
            refund_count: count(order.refunds.len())?,
            incident_count: count(order.incidents.len())?,
            verified_at: order.verified_at.map(At),
            lapse_time: order.lapse_time.map(At),
            document: None,
            annotations: StoredAnnotations::of(order).map(Json),
            note_count: count(order.notes.len())?,
        })
    }

    pub(crate) fn key(&self) -> OrderKey {
        self.order_key.into()
    }

    /// The order without what its child tables hold, and without annotations, some of which are of
    /// those.
    pub(crate) fn into_order(self) -> Result<Order, DbError> {
        let order = Order {
            store: self.store_id.0,
            id: self.order_id.0,
            version: self.version,
            state: self.state.0,
            buyer: Buyer {
                id: self.buyer_id.0,
                email_hash: self.buyer_email_hash.map(|hash| hash.0),
                username_hash: self.buyer_username_hash.map(|hash| hash.0),
            },
            seller: self.seller_id.0,
            destination: Destination {
                country_code: self.country_code,
                region: self.region,
                city: self.city,
            },
            currency: self.currency.0,
            shipping: self.shipping,
            shipping_tax: self.shipping_tax,
            policy_version: self.policy_version,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            pay_by: self.pay_by.0,
            pay_by_moved: self.pay_by_moved,
            paid_time: self.paid_time.map(|time| time.0),
            lapse_time: self.lapse_time.map(|time| time.0),
            verified_at: self.verified_at.map(|time| time.0),
            create_fingerprint: self.create_fingerprint.0,
            lines: Vec::new(),
            payments: Vec::new(),
            shipments: Vec::new(),
            cancellations: Vec::new(),
            refunds: Vec::new(),
            incidents: Vec::new(),
            annotations: Annotations::default(),
            notes: Vec::new(),
        };
        // Two orders whose ids hash alike would share one row; none have ever been met.
        if OrderKey::from(self.order_key) == order.key() {
            Ok(order)
        } else {
            Err(DbError::Corrupt(format!(
                "{:?} is the key of another order than {}/{}",
                self.order_key, order.store, order.id
            )))
        }
    }
}
