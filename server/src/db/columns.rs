//! Columns: how values of the domain are written and read back. What a column holds and the domain
//! does not know is an error of the read, never a default.

mod packed;
mod units;

use std::fmt::Debug;
use std::io::Write;

use belay_domain::actor::Role;
use belay_domain::bulk::{BulkOutcome, JobKey, JobState};
use belay_domain::cancellation::{
    CancellationOutcome, CancellationState, GateState, LabelState, PartState,
};
use belay_domain::error_reason::ErrorReason;
use belay_domain::feed::HeldState;
use belay_domain::ids::{
    BuyerId, CarrierId, ConsumerId, ExternalId, OrderId, OrderKey, SellerId, Sku, StoreId,
    WarehouseId, WorkerId,
};
use belay_domain::incident::{IncidentKind, IncidentState, Resolution};
use belay_domain::money::Currency;
use belay_domain::order::OrderState;
use belay_domain::payment::PaymentState;
use belay_domain::projection::Projection;
use belay_domain::quality::FactKind;
use belay_domain::refund::{RefundKind, RefundState};
use belay_domain::shipment::{InterceptState, Stage};
use belay_domain::stock::EntryKind;
use belay_domain::terms::{
    Fault, GateKind, GoodsCondition, OnDispatch, OnLost, OnTimeout, Path, Payer, RefundShare,
};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::mysql::data_types::{MysqlTime, MysqlTimestampType};
use diesel::mysql::{Mysql, MysqlValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Binary, Datetime, Text};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub(super) use self::packed::no_key;
pub(super) use self::units::Units;
use super::error::DbError;

/// A key, an id or a hash: `BINARY(N)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub(crate) struct Bytes<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> ToSql<Binary, Mysql> for Bytes<N> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        out.write_all(&self.0)?;
        Ok(IsNull::No)
    }
}

impl<const N: usize> FromSql<Binary, Mysql> for Bytes<N> {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(value.as_bytes().try_into()?))
    }
}

impl From<OrderKey> for Bytes<16> {
    fn from(key: OrderKey) -> Self {
        Self(key.0)
    }
}

impl From<JobKey> for Bytes<16> {
    fn from(key: JobKey) -> Self {
        Self(key.0)
    }
}

impl From<Bytes<16>> for OrderKey {
    fn from(bytes: Bytes<16>) -> Self {
        Self(bytes.0)
    }
}

impl From<Uuid> for Bytes<16> {
    fn from(id: Uuid) -> Self {
        Self(id.into_bytes())
    }
}

impl From<Bytes<16>> for Uuid {
    fn from(bytes: Bytes<16>) -> Self {
        Uuid::from_bytes(bytes.0)
    }
}

/// Two columns that are written together.
pub(crate) fn both<A, B>(
    what: &str,
    a: Option<A>,
    b: Option<B>,
) -> Result<Option<(A, B)>, DbError> {
    match (a, b) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => {
            Err(DbError::Corrupt(format!("half of {what} is missing")))
        }
    }
}

/// A value that each row has since a migration filled it in.
pub(crate) fn filled<T>(what: &str, value: Option<T>) -> Result<T, DbError> {
    value.ok_or_else(|| DbError::Corrupt(format!("{what} are missing")))
}

/// An instant: `DATETIME(6)` in UTC. MySQL rounds what is finer than a microsecond, so that an
/// instant could come back later than it went; here it is cut off before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Datetime)]
pub(crate) struct At(pub(crate) Timestamp);

impl ToSql<Datetime, Mysql> for At {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        let utc = Offset::UTC.to_datetime(self.0);
        let small = |part: i8| u32::try_from(part);
        let time = MysqlTime::new(
            u32::try_from(utc.year())?,
            small(utc.month())?,
            small(utc.day())?,
            small(utc.hour())?,
            small(utc.minute())?,
            small(utc.second())?,
            u32::try_from(utc.subsec_nanosecond() / 1_000)?.into(),
            false,
            MysqlTimestampType::MYSQL_TIMESTAMP_DATETIME,
            0,
        );
        <MysqlTime as ToSql<Datetime, Mysql>>::to_sql(&time, &mut out.reborrow())
    }
}

impl FromSql<Datetime, Mysql> for At {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        let time = <MysqlTime as FromSql<Datetime, Mysql>>::from_sql(value)?;
        let small = |part: u32| i8::try_from(part);
        let utc = civil::DateTime::new(
            i16::try_from(time.year)?,
            small(time.month)?,
            small(time.day)?,
            small(time.hour)?,
            small(time.minute)?,
            small(time.second)?,
            i32::try_from(time.second_part)? * 1_000,
        )?;
        Ok(Self(Offset::UTC.to_timestamp(utc)?))
    }
}

/// A value that a `Name` column may hold: an id, or one of a closed enum by its name.
pub(crate) trait Named: Sized {
    fn name(&self) -> &str;
    fn parse(name: &str) -> Option<Self>;
}

macro_rules! named {
    (ids: $($Id:ty),*; enums: $($Enum:ty),*) => {
        $(impl Named for $Id {
            fn name(&self) -> &str {
                self.as_str()
            }

            fn parse(name: &str) -> Option<Self> {
                <$Id>::parse(name).ok()
            }
        })*
        $(impl Named for $Enum {
            fn name(&self) -> &str {
                <$Enum>::name(*self)
            }

            fn parse(name: &str) -> Option<Self> {
                <$Enum>::parse(name)
            }
        })*

        #[test]
        fn every_value_of_an_enum_is_read_as_it_was_stored() {
            $(for value in <$Enum>::ALL {
                let stored = Named::name(value);
                assert_eq!((stored, <$Enum as Named>::parse(stored)), (<$Enum>::name(*value), Some(*value)));
            })*
        }
    };
}

named! {
    ids: StoreId, OrderId, BuyerId, SellerId, WarehouseId, CarrierId, WorkerId, ConsumerId, Sku, ExternalId;
    enums: Role, OrderState, PaymentState, Stage, InterceptState, CancellationState, CancellationOutcome, Fault, Path, PartState,
        ErrorReason, LabelState, GoodsCondition, GateKind, GateState, OnTimeout, OnDispatch, OnLost, RefundShare, Payer, RefundKind,
        RefundState, IncidentKind, IncidentState, Resolution, Projection, EntryKind, FactKind, JobState,
        BulkOutcome, HeldState
}

impl Named for Currency {
    fn name(&self) -> &str {
        self.code()
    }

    fn parse(name: &str) -> Option<Self> {
        Currency::parse(name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub(crate) struct Name<T: Debug>(pub(crate) T);

impl<T: Named + Debug> ToSql<Text, Mysql> for Name<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        out.write_all(self.0.name().as_bytes())?;
        Ok(IsNull::No)
    }
}

impl<T: Named + Debug> FromSql<Text, Mysql> for Name<T> {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        let name = std::str::from_utf8(value.as_bytes())?;
        let known = T::parse(name);
        known
            .map(Self)
            .ok_or_else(|| format!("{name:?} is no {}", std::any::type_name::<T>()).into())
    }
}

/// A short list or a small record that is never searched: JSON text.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub(crate) struct Json<T: Debug>(pub(crate) T);

impl<T: Serialize + Debug> ToSql<Text, Mysql> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

impl<T: DeserializeOwned + Debug> FromSql<Text, Mysql> for Json<T> {
    fn from_sql(value: <Mysql as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.as_bytes())?))
    }
}
