//! A store's reference data as it is kept and administered: settings, carriers, warehouses, policy
//! versions and from when each decides. What a decision needs of it is in [`crate::context`].

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::calendar::Weekday;
use crate::context;
use crate::ids::{CarrierId, StoreId, WarehouseId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub id: StoreId,
    pub display_name: String,
    /// An IANA name.
    pub time_zone: String,
    pub default_warehouse: Option<WarehouseId>,
    pub default_carrier: Option<CarrierId>,
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
    /// Of everything that was asked, so that a repeated creation is told from another one with the
    /// same id.
    pub fingerprint: [u8; 32],
}

/// The source of a store's first policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// The name of one that ships with Belay.
    Preset(String),
    Document(String),
}

/// Settings as they shall be; what is `None` stays.
#[derive(Debug, Clone)]
pub struct StoreChanges {
    pub display_name: Option<String>,
    pub time_zone: Option<String>,
    pub warehouse: Option<WarehouseId>,
    pub carrier: Option<CarrierId>,
    pub expected_version: Option<u64>,
}

impl Store {
    /// With these changes, and else as it is.
    #[must_use]
    pub fn with(&self, changes: StoreChanges) -> Self {
        let present = self.clone();
        Self {
            display_name: changes.display_name.unwrap_or(present.display_name),
            time_zone: changes.time_zone.unwrap_or(present.time_zone),
            default_warehouse: changes.warehouse.or(present.default_warehouse),
            default_carrier: changes.carrier.or(present.default_carrier),
            ..present
        }
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
    pub capabilities: context::Carrier,
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
}

/// A policy that has no version yet.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    pub store: StoreId,
    pub name: String,
    pub document: String,
    pub create_time: Timestamp,
}

/// A version without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHead {
    pub version: u32,
    pub name: String,
    pub create_time: Timestamp,
}

/// From when a version decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    pub effective_time: Timestamp,
    pub version: u32,
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
    fn a_put_over_another_version_than_was_seen_is_stale() {
        let carrier = |name: &str, version| Carrier {
            store: StoreId::parse("shop").unwrap(),
            id: CarrierId::parse("post").unwrap(),
            display_name: name.to_owned(),
            capabilities: context::Carrier::default(),
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
