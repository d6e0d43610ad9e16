//! Changes of a store's settings: which are refused, and what comes of the others.

use jiff::Timestamp;

use super::Store;
use crate::ids::{CarrierId, WarehouseId};
use crate::rejection::FieldViolation;

/// Settings as they shall be; what is `None` stays.
#[derive(Debug, Clone)]
pub struct StoreChanges {
    pub display_name: Option<String>,
    pub time_zone: Option<String>,
    pub warehouse: Option<WarehouseId>,
    pub carrier: Option<CarrierId>,
    pub storefront_records_payments: Option<bool>,
    pub expected_version: Option<u64>,
}

/// The warehouse or carrier of orders that name no shipments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedDefault {
    Warehouse(WarehouseId),
    Carrier(CarrierId),
}

/// The refusal of a change, by precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChangeError {
    /// The store does not have what these fields name. Nothing ever takes away what it has.
    UnknownDefaults(Vec<FieldViolation>),
    /// The caller has seen another version than this.
    EtagMismatch { present: u64 },
}

impl NamedDefault {
    fn unknown(&self) -> FieldViolation {
        let (field, description) = match self {
            NamedDefault::Warehouse(id) => (
                "default_warehouse_id",
                format!("the store has no warehouse {id}"),
            ),
            NamedDefault::Carrier(id) => (
                "default_carrier_id",
                format!("the store has no carrier {id}"),
            ),
        };
        FieldViolation {
            field: field.to_owned(),
            description,
        }
    }
}

impl Store {
    /// The defaults that these changes bring, in the order of the fields: the store must have them.
    pub fn new_defaults(&self, changes: &StoreChanges) -> Vec<NamedDefault> {
        let warehouse = changes.warehouse.clone();
        let warehouse = warehouse.filter(|id| self.default_warehouse.as_ref() != Some(id));
        let carrier = changes.carrier.clone();
        let carrier = carrier.filter(|id| self.default_carrier.as_ref() != Some(id));
        let warehouse = warehouse.map(NamedDefault::Warehouse);
        let carrier = carrier.map(NamedDefault::Carrier);
        warehouse.into_iter().chain(carrier).collect()
    }

    /// The store with these changes; `None` where it is so already, whatever version was seen.
    /// `is_known` tells whether the store has one of [`Self::new_defaults`].
    ///
    /// # Errors
    /// The first of [`StoreChangeError`] that applies.
    pub fn change(
        &self,
        changes: StoreChanges,
        is_known: impl Fn(&NamedDefault) -> bool,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreChangeError> {
        let mut new_defaults = self.new_defaults(&changes);
        let expected_version = changes.expected_version;
        let wanted = self.with(changes);
        if wanted == *self {
            return Ok(None);
        }
        new_defaults.retain(|default| !is_known(default));
        if !new_defaults.is_empty() {
            let violations = new_defaults.iter().map(NamedDefault::unknown);
            return Err(StoreChangeError::UnknownDefaults(violations.collect()));
        }
        if expected_version.is_some_and(|expected| expected != self.version) {
            return Err(StoreChangeError::EtagMismatch {
                present: self.version,
            });
        }
        Ok(Some(Self {
            version: self.version + 1,
            update_time: now.max(self.update_time),
            ..wanted
        }))
    }

    /// With these changes, and else as it is.
    fn with(&self, changes: StoreChanges) -> Self {
        let present = self.clone();
        Self {
            display_name: changes.display_name.unwrap_or(present.display_name),
            time_zone: changes.time_zone.unwrap_or(present.time_zone),
            default_warehouse: changes.warehouse.or(present.default_warehouse),
            default_carrier: changes.carrier.or(present.default_carrier),
            storefront_records_payments: changes
                .storefront_records_payments
                .unwrap_or(present.storefront_records_payments),
            ..present
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StoreId;

    const NOTHING: StoreChanges = StoreChanges {
        display_name: None,
        time_zone: None,
        warehouse: None,
        carrier: None,
        storefront_records_payments: None,
        expected_version: None,
    };

    fn store() -> Store {
        Store {
            id: StoreId::parse("s").unwrap(),
            display_name: "A shop".to_owned(),
            time_zone: "UTC".to_owned(),
            default_warehouse: Some(WarehouseId::parse("main").unwrap()),
            default_carrier: Some(CarrierId::parse("standard").unwrap()),
            storefront_records_payments: false,
            version: 3,
            create_time: Timestamp::UNIX_EPOCH,
            update_time: Timestamp::new(10, 0).unwrap(),
            fingerprint: [0; 32],
        }
    }

    /// Each row repairs one thing, so that the next refusal shows.
    #[test]
    fn what_a_store_lacks_is_refused_before_a_stale_etag() {
        let wanted = StoreChanges {
            warehouse: Some(WarehouseId::parse("nowhere").unwrap()),
            carrier: Some(CarrierId::parse("pigeon").unwrap()),
            expected_version: Some(2),
            ..NOTHING
        };
        let now = Timestamp::new(20, 0).unwrap();
        let refused = |changes: &StoreChanges, is_known: bool| {
            store().change(changes.clone(), |_| is_known, now)
        };
        let Err(StoreChangeError::UnknownDefaults(violations)) = refused(&wanted, false) else {
            panic!("both are unknown")
        };
        let fields = violations.iter().map(|violation| &*violation.field);
        let fields: Vec<&str> = fields.collect();
        assert_eq!(fields, ["default_warehouse_id", "default_carrier_id"]);
        assert_eq!(
            refused(&wanted, true),
            Err(StoreChangeError::EtagMismatch { present: 3 })
        );
        let seen = StoreChanges {
            expected_version: Some(3),
            ..wanted
        };
        let changed = refused(&seen, true).unwrap().unwrap();
        assert_eq!((changed.version, changed.update_time), (4, now));
        assert_eq!(changed.default_carrier, seen.carrier);
    }

    #[test]
    fn a_change_to_what_is_so_already_changes_nothing_whatever_was_seen() {
        let same = StoreChanges {
            warehouse: store().default_warehouse,
            display_name: Some("A shop".to_owned()),
            expected_version: Some(1),
            ..NOTHING
        };
        assert_eq!(store().new_defaults(&same), []);
        let unchanged = store().change(same, |_| panic!("nothing is new"), Timestamp::MAX);
        assert_eq!(unchanged, Ok(None));
    }

    #[test]
    fn a_change_is_never_older_than_the_one_before() {
        let renamed = StoreChanges {
            display_name: Some("Another".to_owned()),
            ..NOTHING
        };
        let changed = store().change(renamed, |_| false, Timestamp::UNIX_EPOCH);
        let changed = changed.unwrap().unwrap();
        assert_eq!(changed.update_time, store().update_time);
    }
}
