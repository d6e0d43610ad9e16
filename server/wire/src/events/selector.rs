//! The events that a caller gets: those that match a filter and lie in its scope. A caller that
//! sees parcels gets of them what is about one, and of that what its role sees.

use std::borrow::Cow;
use std::collections::HashSet;

use belay_domain::actor::Actor;
use belay_domain::scope::{Caller, IdFilter, Scope, View};
use belay_proto::v1 as pb;

use crate::views::Viewer;

/// A filter that is narrowed to a scope. It asks nothing but the event itself.
#[derive(Debug, Clone)]
pub struct Selector {
    order: Option<String>,
    stores: Names,
    sellers: Names,
    warehouses: Names,
    carriers: Names,
    types: Option<HashSet<i32>>,
    /// Who is to see of each what its parcels need; None for one who sees all of it.
    parcels_of: Option<Actor>,
}

/// The names that are let through; every one where it is None. An event without a name, such as one
/// about no shipment, passes only there.
type Names = Option<HashSet<String>>;

impl Selector {
    /// What the filter lets through, for this caller.
    pub fn of_caller(filter: &pb::EventFilter, caller: &Caller) -> Self {
        let parcels_of = match View::of(caller.actor.role) {
            View::Whole => None,
            View::Parcels => Some(caller.actor.clone()),
        };
        Self {
            parcels_of,
            ..Self::new(filter, &caller.scope)
        }
    }

    /// What both the filter and the scope let through.
    pub fn new(filter: &pb::EventFilter, scope: &Scope) -> Self {
        let one = |id: &str| (!id.is_empty()).then(|| vec![id.to_owned()]);
        let some = |ids: &[String]| (!ids.is_empty()).then(|| ids.to_vec());
        Self {
            order: Some(filter.order_id.clone()).filter(|order| !order.is_empty()),
            stores: both(one(&filter.store_id), &scope.stores),
            sellers: both(some(&filter.seller_ids), &scope.sellers),
            warehouses: both(some(&filter.warehouse_ids), &scope.warehouses),
            carriers: both(some(&filter.carrier_ids), &scope.carriers),
            types: Some(filter.event_types.iter().copied().collect())
                .filter(|types: &HashSet<i32>| !types.is_empty()),
            parcels_of: None,
        }
    }

    /// Whether nobody need look at events: all are let through.
    pub fn selects_everything(&self) -> bool {
        let Self {
            order,
            stores,
            sellers,
            warehouses,
            carriers,
            types,
            parcels_of,
        } = self;
        let names = [stores, sellers, warehouses, carriers];
        let is_narrowed = order.is_some() || types.is_some() || parcels_of.is_some();
        !is_narrowed && names.into_iter().all(Option::is_none)
    }

    pub fn selects(&self, event: &pb::Event) -> bool {
        let lets_through =
            |names: &Names, name: &str| names.as_ref().is_none_or(|names| names.contains(name));
        let order = self.order.as_ref();
        let is_about_parcel = !event.warehouse_id.is_empty();
        (self.parcels_of.is_none() || is_about_parcel)
            && order.is_none_or(|order| *order == event.order_id)
            && lets_through(&self.stores, &event.store_id)
            && lets_through(&self.sellers, &event.seller_id)
            && lets_through(&self.warehouses, &event.warehouse_id)
            && lets_through(&self.carriers, &event.carrier_id)
            && self
                .types
                .as_ref()
                .is_none_or(|types| types.contains(&event.event_type))
    }
}

impl Selector {
    /// Whether those who get an event get all of it.
    pub fn shows_whole(&self) -> bool {
        self.parcels_of.is_none()
    }

    /// A selected event as it is seen.
    pub fn shown<'a>(&self, event: &'a pb::Event) -> Cow<'a, pb::Event> {
        match &self.parcels_of {
            None => Cow::Borrowed(event),
            Some(actor) => Cow::Owned(Viewer::of_no_order(actor).shown(event.clone())),
        }
    }
}

fn both<T: Ord + AsRef<str>>(asked: Option<Vec<String>>, seen: &IdFilter<T>) -> Names {
    match (asked, seen) {
        (None, IdFilter::All) => None,
        (Some(asked), IdFilter::All) => Some(asked.into_iter().collect()),
        (asked, IdFilter::Only(seen)) => {
            let seen = seen.iter().map(|id| id.as_ref().to_owned());
            Some(match asked {
                None => seen.collect(),
                Some(asked) => seen.filter(|id| asked.contains(id)).collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belay_domain::ids::{SellerId, StoreId, WarehouseId};

    use super::*;

    fn event(seller: &str, warehouse: &str) -> pb::Event {
        pb::Event {
            event_type: pb::EventType::GateOpened.into(),
            store_id: "shop".to_owned(),
            order_id: "A-1".to_owned(),
            seller_id: seller.to_owned(),
            warehouse_id: warehouse.to_owned(),
            ..Default::default()
        }
    }

    fn only<T: Ord>(id: T) -> IdFilter<T> {
        IdFilter::Only(BTreeSet::from([id]))
    }

    fn selects(filter: &pb::EventFilter, scope: &Scope, event: &pb::Event) -> bool {
        Selector::new(filter, scope).selects(event)
    }

    #[test]
    fn a_filter_lets_through_what_matches_in_every_kind() {
        let mine = event("acme", "north");
        let filter = pb::EventFilter {
            store_id: "shop".to_owned(),
            order_id: "A-1".to_owned(),
            seller_ids: vec!["other".to_owned(), "acme".to_owned()],
            warehouse_ids: vec!["north".to_owned()],
            event_types: vec![pb::EventType::GateOpened.into()],
            ..Default::default()
        };
        assert!(selects(&filter, &Scope::EVERYTHING, &mine));
        assert!(selects(
            &pb::EventFilter::default(),
            &Scope::EVERYTHING,
            &mine
        ));
        let differs = [
            pb::Event {
                store_id: "x".to_owned(),
                ..mine.clone()
            },
            pb::Event {
                order_id: "x".to_owned(),
                ..mine.clone()
            },
            pb::Event {
                seller_id: "x".to_owned(),
                ..mine.clone()
            },
            pb::Event {
                warehouse_id: "x".to_owned(),
                ..mine.clone()
            },
            pb::Event {
                event_type: pb::EventType::OrderPaid.into(),
                ..mine.clone()
            },
        ];
        for other in differs {
            assert!(!selects(&filter, &Scope::EVERYTHING, &other), "{other:?}");
        }
    }

    #[test]
    fn only_who_narrows_nothing_gets_everything_unlooked_at() {
        let everything = |change: fn(&mut pb::EventFilter)| {
            let mut filter = pb::EventFilter::default();
            change(&mut filter);
            Selector::new(&filter, &Scope::EVERYTHING).selects_everything()
        };
        assert!(everything(|_| {}));
        assert!(!everything(|it| it.store_id = "shop".to_owned()));
        assert!(!everything(|it| it.order_id = "A-1".to_owned()));
        assert!(!everything(|it| it.seller_ids = vec!["acme".to_owned()]));
        assert!(!everything(|it| it.warehouse_ids = vec!["north".to_owned()]));
        assert!(!everything(
            |it| it.carrier_ids = vec!["standard".to_owned()]
        ));
        assert!(!everything(|it| it.event_types = vec![1]));
        let scope = Scope {
            sellers: only(SellerId::parse("acme").unwrap()),
            ..Scope::EVERYTHING
        };
        assert!(!Selector::new(&pb::EventFilter::default(), &scope).selects_everything());
    }

    #[test]
    fn a_scope_hides_what_lies_outside_whatever_is_asked() {
        let scope = Scope {
            stores: only(StoreId::parse("shop").unwrap()),
            sellers: only(SellerId::parse("acme").unwrap()),
            ..Scope::EVERYTHING
        };
        let all = pb::EventFilter::default();
        assert!(selects(&all, &scope, &event("acme", "")));
        assert!(!selects(&all, &scope, &event("other", "")));
        let others = pb::EventFilter {
            seller_ids: vec!["other".to_owned()],
            ..Default::default()
        };
        assert!(!selects(&others, &scope, &event("other", "")));
        assert!(!selects(&others, &scope, &event("acme", "")));
    }

    #[test]
    fn who_sees_a_warehouse_gets_what_is_about_its_shipments() {
        let scope = Scope {
            warehouses: only(WarehouseId::parse("north").unwrap()),
            ..Scope::EVERYTHING
        };
        let all = pb::EventFilter::default();
        assert!(selects(&all, &scope, &event("acme", "north")));
        assert!(!selects(&all, &scope, &event("acme", "south")));
        assert!(
            !selects(&all, &scope, &event("acme", "")),
            "about the order as a whole"
        );
    }
}
