//! Payments. Read with their order; written by `aggregate` alone.

use belay_domain::ids::{ExternalId, OrderKey};
use belay_domain::payment::{
    Balance, Payment, PaymentFact, PaymentState, RecordedFact, ReportedAmount,
};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::payments;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = payments, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct PaymentRow {
    #[serde(skip, default = "columns::no_key")]
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
    /// What a server of the release before tells repeats by.
    provider_event_ids: Json<Vec<ExternalId>>,
    held: i64,
    unconfirmed: i64,
    disputed: i64,
    facts: Option<Json<Vec<RecordedFact>>>,
}

impl statement::Row for PaymentRow {
    fn bytes(&self) -> usize {
        // Three ids of a fact may be as long as an id may be.
        512 + self.facts.as_ref().map_or(0, |facts| facts.0.len()) * 640
    }
}

impl PaymentRow {
    pub(super) fn of(key: OrderKey, payment: &Payment) -> Self {
        Self {
            order_key: key.into(),
            number: payment.number,
            provider_payment_id: Name(payment.provider_payment_id.clone()),
            method: payment.method.clone(),
            state: Name(payment.balance.state),
            authorized: payment.balance.authorized,
            captured: payment.balance.captured,
            returned_outside: payment.balance.returned_outside,
            create_time: At(payment.create_time),
            update_time: At(payment.update_time),
            capture_time: payment.balance.capture_time.map(At),
            provider_event_ids: Json(
                payment
                    .facts
                    .iter()
                    .filter_map(|fact| fact.provider_event_id.clone())
                    .collect(),
            ),
            held: payment.balance.held,
            unconfirmed: payment.balance.unconfirmed,
            disputed: payment.balance.disputed,
            facts: Some(Json(payment.facts.clone())),
        }
    }

    pub(super) fn into_payment(self) -> Payment {
        let facts = self.facts.as_ref().map(|facts| facts.0.clone());
        let is_of_before = facts.is_none();
        let facts = facts.unwrap_or_else(|| self.facts_of_before());
        Payment {
            number: self.number,
            provider_payment_id: self.provider_payment_id.0,
            method: self.method,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            facts,
            balance: Balance {
                state: self.state.0,
                authorized: self.authorized,
                held: if is_of_before && self.state.0 == PaymentState::Authorized {
                    (self.authorized - self.captured).max(0)
                } else {
                    self.held
                },
                captured: self.captured,
                unconfirmed: self.unconfirmed,
                returned_outside: self.returned_outside,
                disputed: self.disputed,
                capture_time: self.capture_time.map(|time| time.0),
            },
        }
    }

    /// A row of the time before facts were kept, as if each of its amounts had been told by one:
    /// what was captured then stays believed. The messages it knew count for nothing once more.
    fn facts_of_before(&self) -> Vec<RecordedFact> {
        let fact = |fact: PaymentFact, amount: i64, time: At| RecordedFact {
            provider_event_id: None,
            fact,
            amount: (amount > 0).then_some(ReportedAmount::Own(amount)),
            movement: None,
            refund: None,
            time: time.0,
            confirmed: true,
        };
        let (begun, latest) = (self.create_time, self.update_time);
        let amounts = [
            (PaymentFact::Authorized, self.authorized, begun),
            (
                PaymentFact::Captured,
                self.captured,
                self.capture_time.unwrap_or(begun),
            ),
            (PaymentFact::RefundedOutside, self.returned_outside, latest),
        ];
        let amounts = amounts.into_iter().filter(|(_, amount, _)| *amount > 0);
        let ended = match self.state.0 {
            PaymentState::Declined => Some(PaymentFact::Declined),
            PaymentState::Voided => Some(PaymentFact::Voided),
            PaymentState::Attempting | PaymentState::Authorized | PaymentState::Captured => None,
        };
        let known = self.provider_event_ids.0.iter().map(|id| RecordedFact {
            provider_event_id: Some(id.clone()),
            ..fact(PaymentFact::Attempted, 0, begun)
        });
        let amounts = amounts.map(|(kind, amount, time)| fact(kind, amount, time));
        known
            .chain(amounts)
            .chain(ended.map(|kind| fact(kind, 0, latest)))
            .collect()
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<PaymentRow>, DbError> {
    Ok(rows_of_orders!(conn, payments, PaymentRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<PaymentRow>) -> Result<(), DbError> {
    change_rows!(writes, payments, rows, [order_key, number] => [
        provider_payment_id,
        method,
        state,
        authorized,
        captured,
        returned_outside,
        update_time,
        capture_time,
        provider_event_ids,
        held,
        unconfirmed,
        disputed,
        facts
    ]);
    Ok(())
}
