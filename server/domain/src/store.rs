//! A store's reference data as it is kept and administered: settings, carriers, warehouses, policy
//! versions and from when each decides. What a decision needs of it is in [`crate::context`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::actor::Actor;
use crate::calendar::{Calendar, Weekday};
use crate::context::{self, StoreConfig};
use crate::ids::{CarrierId, StoreId, WarehouseId};
use crate::policy::{Policies, Policy};
use crate::rejection::FieldViolation;

mod changes;

pub use changes::{NamedDefault, StoreChangeError, StoreChanges};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub id: StoreId,
    pub display_name: String,
    /// An IANA name.
    pub time_zone: String,
    pub default_warehouse: Option<WarehouseId>,
    pub default_carrier: Option<CarrierId>,
    /// Whether its storefront may say what was paid.
    pub storefront_records_payments: bool,
    pub version: u64,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    /// Of the command that created it.
    pub fingerprint: [u8; 32],
}

/// A store to create, with every default filled in.
#[derive(Debug, Clone)]
pub struct NewStore {
    pub id: StoreId,
    pub display_name: String,
    pub time_zone: String,
    pub policy: PolicySource,
    pub warehouse: WarehouseId,
    pub carrier: CarrierId,
    pub storefront_records_payments: bool,
    /// Of everything that was asked, so that a repeated creation is told from another one with the
    /// same id.
    pub fingerprint: [u8; 32],
}

impl NewStore {
    /// The store and its first warehouse and carrier, to which orders go that name none.
    pub fn begin(&self, now: Timestamp) -> (Store, Warehouse, Carrier) {
        let store = Store {
            id: self.id.clone(),
            display_name: self.display_name.clone(),
            time_zone: self.time_zone.clone(),
            default_warehouse: Some(self.warehouse.clone()),
            default_carrier: Some(self.carrier.clone()),
            storefront_records_payments: self.storefront_records_payments,
            version: 1,
            create_time: now,
            update_time: now,
            fingerprint: self.fingerprint,
        };
        let warehouse = Warehouse {
            store: self.id.clone(),
            id: self.warehouse.clone(),
            display_name: self.warehouse.to_string(),
            time_zone: self.time_zone.clone(),
            country_code: None,
            days_off: DaysOff::usual(),
            version: 1,
        };
        let carrier = Carrier {
            store: self.id.clone(),
            id: self.carrier.clone(),
            display_name: self.carrier.to_string(),
            capabilities: context::CarrierProfile::default(),
            version: 1,
        };
        (store, warehouse, carrier)
    }
}

/// The source of a store's first policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// The name of one that ships with Belay.
    Preset(String),
    Document(String),
}

/// A record of a store that was taken once and cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("time zone {name}: {message}")]
    TimeZone { name: String, message: String },
    #[error("the calendar of warehouse {warehouse}: {message}")]
    Calendar {
        warehouse: WarehouseId,
        message: String,
    },
}

impl Store {
    /// What decisions need of this store and its records.
    ///
    /// # Errors
    /// Where a time zone or a calendar is not known here, though it was where it was taken.
    pub fn config(
        &self,
        versions: BTreeMap<u32, Arc<Policy>>,
        activations: &[Activation],
        carriers: Vec<Carrier>,
        warehouses: Vec<Warehouse>,
    ) -> Result<StoreConfig, RecordError> {
        let activations = activations
            .iter()
            .map(|activation| (activation.effective_time, activation.version));
        let carriers = carriers.into_iter();
        let warehouses = warehouses.into_iter();
        Ok(StoreConfig {
            id: self.id.clone(),
            policies: Policies::new(versions, activations.collect()),
            time_zone: time_zone(&self.time_zone)?,
            carriers: carriers
                .map(|carrier| (carrier.id, carrier.capabilities))
                .collect(),
            warehouses: warehouses
                .map(|warehouse| Ok((warehouse.id.clone(), warehouse.context()?)))
                .collect::<Result<_, _>>()?,
            default_route: self
                .default_warehouse
                .clone()
                .zip(self.default_carrier.clone()),
            storefront_records_payments: self.storefront_records_payments,
        })
    }
}

/// A record of a store that is put whole and counts its changes, from 1.
pub trait Record: Clone + PartialEq {
    fn version(&self) -> u64;
    #[must_use]
    fn with_version(self, version: u64) -> Self;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    pub store: StoreId,
    pub id: CarrierId,
    pub display_name: String,
    pub capabilities: context::CarrierProfile,
    pub version: u64,
}

impl Record for Carrier {
    fn version(&self) -> u64 {
        self.version
    }

    fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    pub store: StoreId,
    pub id: WarehouseId,
    pub display_name: String,
    /// An IANA name.
    pub time_zone: String,
    /// ISO 3166-1 alpha-2, where it is known.
    pub country_code: Option<String>,
    pub days_off: DaysOff,
    pub version: u64,
}

impl Warehouse {
    fn context(self) -> Result<context::WarehouseProfile, RecordError> {
        let zone = time_zone(&self.time_zone)?;
        let calendar = Calendar::new(zone, self.days_off.weekend, self.days_off.holidays);
        Ok(context::WarehouseProfile {
            country_code: self.country_code,
            calendar: calendar.map_err(|error| RecordError::Calendar {
                warehouse: self.id,
                message: error.to_string(),
            })?,
        })
    }
}

fn time_zone(name: &str) -> Result<TimeZone, RecordError> {
    TimeZone::get(name).map_err(|error| RecordError::TimeZone {
        name: name.to_owned(),
        message: error.to_string(),
    })
}

impl Record for Warehouse {
    fn version(&self) -> u64 {
        self.version
    }

    fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }
}

/// The days on which a warehouse does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaysOff {
    pub weekend: BTreeSet<Weekday>,
    pub holidays: BTreeSet<Date>,
}

impl DaysOff {
    /// Of a warehouse that names none.
    pub fn usual() -> Self {
        Self {
            weekend: BTreeSet::from([Weekday::Saturday, Weekday::Sunday]),
            holidays: BTreeSet::new(),
        }
    }
}

/// A record as it shall be, whatever its version, over the version that the caller has seen.
#[derive(Debug, Clone)]
pub struct Put<R> {
    pub record: R,
    pub expected_version: Option<u64>,
}

/// The outcome of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome<R> {
    /// The record is already so.
    Unchanged(R),
    Created(R),
    /// Over the version before.
    Updated(R),
    /// The caller has seen another version; the present one, if there is one.
    Stale(Option<u64>),
}

impl<R: Record> Put<R> {
    /// To put what is already there is harmless, whatever version was seen.
    pub fn over(self, present: Option<R>) -> PutOutcome<R> {
        let Put {
            record,
            expected_version,
        } = self;
        let version = present.as_ref().map(Record::version);
        let stored = record.clone().with_version(version.unwrap_or(0));
        if present.as_ref() == Some(&stored) {
            return PutOutcome::Unchanged(stored);
        }
        if expected_version.is_some() && expected_version != version {
            return PutOutcome::Stale(version);
        }
        match version {
            Some(version) => PutOutcome::Updated(record.with_version(version + 1)),
            None => PutOutcome::Created(record.with_version(1)),
        }
    }
}

/// A warehouse as it shall be.
#[derive(Debug, Clone)]
pub struct NewWarehouse {
    pub store: StoreId,
    pub id: WarehouseId,
    pub display_name: String,
    /// The store's where none is named.
    pub time_zone: Option<String>,
    pub country_code: Option<String>,
    pub days_off: DaysOff,
    pub expected_version: Option<u64>,
}

impl NewWarehouse {
    pub fn in_store(self, store: &Store) -> Put<Warehouse> {
        Put {
            record: Warehouse {
                store: self.store,
                id: self.id,
                display_name: self.display_name,
                time_zone: self.time_zone.unwrap_or_else(|| store.time_zone.clone()),
                country_code: self.country_code,
                days_off: self.days_off,
                version: 0,
            },
            expected_version: self.expected_version,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    pub store: StoreId,
    pub version: u32,
    pub name: String,
    pub document: String,
    pub create_time: Timestamp,
    /// The id of the caller who created it, where one is known.
    pub author: Option<String>,
}

/// A policy that has no version yet.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    pub store: StoreId,
    pub name: String,
    pub document: String,
    pub create_time: Timestamp,
    /// See [`author`].
    pub author: Option<String>,
}

/// The author of what this caller creates: its id, where it has one.
pub fn author(caller: &Actor) -> Option<String> {
    Some(caller.id.clone()).filter(|id| !id.is_empty())
}

/// Whether a version may be activated by this caller where that takes two persons. A second person
/// is one with an id that is not the author's, whatever the roles of the two; of a version without
/// a known author nobody is. What was activated before needs no second person again.
pub fn has_second_person(
    author: Option<&str>,
    version: u32,
    caller: &Actor,
    activations: &[Activation],
) -> bool {
    let is_another = |author: &str| !caller.id.is_empty() && author != caller.id;
    let is_known = activations.iter().any(|each| each.version == version);
    is_known || author.is_some_and(is_another)
}

/// A version without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHead {
    pub version: u32,
    pub name: String,
    pub create_time: Timestamp,
    pub author: Option<String>,
}

/// The time from which a version decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    pub effective_time: Timestamp,
    pub version: u32,
}

/// How far ahead an activation must lie at least once it is written, so that all servers know it
/// before it decides.
pub const ACTIVATION_LEAD: Duration = Duration::from_secs(5);
/// How long the write of an activation may take before its COMMIT, and as long again for that.
pub const ACTIVATION_WRITE: Duration = Duration::from_secs(1);

/// The first instant from which a policy that is activated now may decide.
pub fn earliest_activation(now: Timestamp) -> Timestamp {
    later(now, ACTIVATION_LEAD + 2 * ACTIVATION_WRITE)
}

/// Whether an activation still lies far enough ahead right before its COMMIT.
pub fn is_in_time(activation: Activation, now: Timestamp) -> bool {
    activation.effective_time >= later(now, ACTIVATION_LEAD + ACTIVATION_WRITE)
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.saturating_add(by).unwrap_or(now)
}

/// From when an activation decides: from the instant that is asked for, or as soon as it may.
///
/// # Errors
/// Where that instant is too near.
pub fn activation_time(
    asked_time: Option<Timestamp>,
    earliest: Timestamp,
) -> Result<Timestamp, FieldViolation> {
    let effective_time = asked_time.unwrap_or(earliest);
    if effective_time < earliest {
        return Err(FieldViolation {
            field: "effective_time".to_owned(),
            description: format!(
                "must not be before {earliest}: every server must know of it in time"
            ),
        });
    }
    Ok(effective_time)
}

/// The activation that decides now, of a store's, earliest first: the last whose time has come.
pub fn active(activations: &[Activation], now: Timestamp) -> Option<Activation> {
    let has_begun = |activation: &&Activation| activation.effective_time <= now;
    activations.iter().rev().find(has_begun).copied()
}

/// Whether what an activation asks for is so already: in force or to come at that instant, or,
/// where no instant is named, as soon as it could be had now.
pub fn is_activated(
    activations: &[Activation],
    version: u32,
    asked_time: Option<Timestamp>,
    now: Timestamp,
    earliest: Timestamp,
) -> bool {
    let active = active(activations, now);
    let in_force_or_coming = || {
        activations.iter().filter(|activation| {
            active.is_none_or(|active| activation.effective_time >= active.effective_time)
        })
    };
    match asked_time {
        Some(asked) => {
            in_force_or_coming().any(|each| each.version == version && each.effective_time == asked)
        }
        None => in_force_or_coming()
            .rfind(|activation| activation.effective_time <= earliest)
            .is_some_and(|last| {
                last.version == version
                    && in_force_or_coming().all(|each| each.effective_time <= earliest)
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Role;

    #[test]
    fn an_activation_is_in_time_while_its_write_has_not_waited() {
        let now = Timestamp::UNIX_EPOCH;
        let activation = Activation {
            effective_time: earliest_activation(now),
            version: 1,
        };
        let waited = SignedDuration::try_from(ACTIVATION_WRITE).unwrap();
        assert!(is_in_time(activation, now) && is_in_time(activation, now + waited));
        let longer = now + waited + SignedDuration::from_micros(1);
        assert!(!is_in_time(activation, longer));
        let left = activation.effective_time.duration_since(now + 2 * waited);
        assert_eq!(left, SignedDuration::try_from(ACTIVATION_LEAD).unwrap());
    }

    #[test]
    fn an_activation_that_stands_is_not_written_again() {
        let at = |second| Timestamp::new(second, 0).unwrap();
        let activations = [(10, 1), (20, 2), (50, 3)].map(|(second, version)| Activation {
            effective_time: at(second),
            version,
        });
        let stands_at = |version, asked: Option<i64>| {
            is_activated(&activations, version, asked.map(at), at(30), at(35))
        };
        assert!(stands_at(2, Some(20)), "in force since then");
        assert!(stands_at(3, Some(50)), "to come at that instant");
        assert!(!stands_at(1, Some(10)), "superseded");
        assert!(!stands_at(3, Some(60)));
        assert!(!stands_at(2, None), "in force, but another is to come");
        assert!(!stands_at(3, None), "to come later than could be had");
        assert!(
            is_activated(&activations, 3, None, at(46), at(51)),
            "to come as soon as could be had"
        );
        assert!(
            is_activated(&activations, 3, None, at(60), at(65)),
            "in force with none to come"
        );
    }

    #[test]
    fn a_second_person_is_another_by_id_and_not_needed_again() {
        let caller = |id| Actor::new(Role::Operator, id);
        let activated = [Activation {
            effective_time: Timestamp::UNIX_EPOCH,
            version: 1,
        }];
        let may = |author, version, id| {
            let author: Option<&str> = author;
            has_second_person(author, version, &caller(id), &activated)
        };
        assert!(may(Some("ada"), 2, "ben"));
        assert!(!may(Some("ada"), 2, "ada"));
        assert!(!may(Some("ada"), 2, ""));
        assert!(!may(None, 2, "ben"));
        assert!(may(Some("ada"), 1, "ada") && may(None, 1, ""));
        let other_role = Actor::new(Role::Support, "ada");
        assert!(!has_second_person(Some("ada"), 2, &other_role, &activated));
        assert_eq!(author(&caller("ada")), Some("ada".to_owned()));
        assert_eq!(author(&caller("")), None);
    }

    #[test]
    fn a_put_over_another_version_than_was_seen_is_stale() {
        let carrier = |name: &str, version| Carrier {
            store: StoreId::parse("shop").unwrap(),
            id: CarrierId::parse("post").unwrap(),
            display_name: name.to_owned(),
            capabilities: context::CarrierProfile::default(),
            version,
        };
        let put = |expected_version, present| {
            let record = carrier("Post", 0);
            Put {
                record,
                expected_version,
            }
            .over(present)
        };
        let other = || Some(carrier("Old post", 7));
        let is_so = || Some(carrier("Post", 7));
        assert_eq!(put(None, None), PutOutcome::Created(carrier("Post", 1)));
        assert_eq!(put(Some(1), None), PutOutcome::Stale(None));
        for expected in [None, Some(7)] {
            let updated = PutOutcome::Updated(carrier("Post", 8));
            assert_eq!(put(expected, other()), updated);
        }
        assert_eq!(put(Some(6), other()), PutOutcome::Stale(Some(7)));
        let unchanged = PutOutcome::Unchanged(carrier("Post", 7));
        assert_eq!(put(Some(6), is_so()), unchanged);
    }
}
