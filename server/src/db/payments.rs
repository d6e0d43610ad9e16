//! Payments. Read with their order; written by `aggregate` alone.

use belay_domain::ids::{ExternalId, OrderKey};
use belay_domain::payment::{Payment, PaymentState};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::payments;
use super::statement::{self, rows_of_orders, upsert_rows};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = payments, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct PaymentRow {
    pub(super) order_key: Bytes<16>,
    number: u32,
    provider_payment_id: Name<ExternalId>,
    method: String,
    state: Name<PaymentState>,
    authorized: i64,
    captured: i64,
    returned_outside: i64,
    create_time: At,
    update_time: At,
    capture_time: Option<At>,
    provider_event_ids: Json<Vec<ExternalId>>,
}

impl statement::Row for PaymentRow {
    fn bytes(&self) -> usize {
        512 + self.provider_event_ids.0.len() * 132
    }
}

impl PaymentRow {
    pub(super) fn of(key: OrderKey, payment: &Payment) -> Self {
        Self {
            order_key: key.into(),
            number: payment.number,
            provider_payment_id: Name(payment.provider_payment_id.clone()),
            method: payment.method.clone(),
            state: Name(payment.state),
            authorized: payment.authorized,
            captured: payment.captured,
            returned_outside: payment.returned_outside,
            create_time: At(payment.create_time),
            update_time: At(payment.update_time),
            capture_time: payment.capture_time.map(At),
            provider_event_ids: Json(payment.provider_event_ids.clone()),
        }
    }

    pub(super) fn into_payment(self) -> Payment {
        Payment {
            number: self.number,
            provider_payment_id: self.provider_payment_id.0,
            method: self.method,
            state: self.state.0,
            authorized: self.authorized,
            captured: self.captured,
            returned_outside: self.returned_outside,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            capture_time: self.capture_time.map(|time| time.0),
            provider_event_ids: self.provider_event_ids.0,
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<PaymentRow>, DbError> {
    Ok(rows_of_orders!(conn, payments, PaymentRow, keys))
}

pub(super) async fn write(conn: &mut Conn, rows: &[PaymentRow]) -> Result<(), DbError> {
    upsert_rows!(
        conn,
        payments,
        rows,
        [
            provider_payment_id,
            method,
            state,
            authorized,
            captured,
            returned_outside,
            update_time,
            capture_time,
            provider_event_ids
        ]
    );
    Ok(())
}
