//! StoreService: what a store, its carriers and its warehouses are set to, and the lists of them.

use belay_client::calls::FirstPolicy;
use belay_client::model::{Page, PolicyActivation, Weekday};
use belay_client::{Kind, Money, Role};
use belay_tests::shop::{eur, new_order};
use belay_tests::{SHOP, documents, pages, refused, run, run_at};
use jiff::SignedDuration;
use jiff::civil::date;
use tokio::join;

const MONDAY: &str = "2026-03-02T10:00:00Z";

#[test]
fn a_store_changes_what_is_set_and_keeps_the_rest() {
    run_at(MONDAY, async |t| {
        let first = t.operator().get_store().await.unwrap();
        t.advance(SignedDuration::from_hours(1)).await;
        let renamed = t
            .operator()
            .update_store()
            .display_name("Belay & Söhne")
            .etag(&first.etag)
            .await
            .unwrap();
        assert_eq!(
            (&*renamed.display_name, &renamed.time_zone),
            ("Belay & Söhne", &first.time_zone)
        );
        assert_eq!(
            (renamed.create_time, renamed.update_time),
            (first.create_time, t.now().await)
        );
        assert_ne!(renamed.etag, first.etag);

        let moved = t.operator().update_store().time_zone("Asia/Shanghai");
        let moved = moved
            .default_warehouse_id("east")
            .default_carrier_id("express")
            .await
            .unwrap();
        assert_eq!(
            (&*moved.display_name, &*moved.time_zone),
            ("Belay & Söhne", "Asia/Shanghai")
        );
        assert_eq!(t.operator().get_store().await.unwrap(), moved);
        // Orders that name no shipments follow.
        let placed = new_order(&t.storefront(), "A-1").await.unwrap();
        let route = &placed.shipments[0];
        assert_eq!(
            (route.warehouse_id.as_str(), route.carrier_id.as_str()),
            ("east", "express")
        );
    });
}

#[test]
fn a_store_is_guarded_by_its_etag_and_written_only_when_something_changes() {
    run(async |t| {
        let first = t.operator().get_store().await.unwrap();
        let rename = |name: &str| t.operator().update_store().display_name(name);
        let second = rename("Second").await.unwrap();
        let rows = t.database.snapshot().await;
        assert_eq!(rename("Second").await.unwrap(), second);
        // What stands already is no write, whatever the etag.
        assert_eq!(rename("Second").etag(&first.etag).await.unwrap(), second);
        assert_eq!(t.operator().update_store().await.unwrap(), second);
        let error = refused(
            rename("Third").etag(&first.etag).await,
            Kind::Aborted,
            "ETAG_MISMATCH",
        );
        assert_eq!(error.metadata()["etag"], second.etag.as_str());
        let nowhere = t
            .operator()
            .update_store()
            .default_warehouse_id("west")
            .default_carrier_id("post")
            .await;
        let error = refused(nowhere, Kind::InvalidArgument, "INVALID_FIELD");
        let fields: Vec<&str> = error
            .field_violations()
            .iter()
            .map(|violation| &*violation.field)
            .collect();
        assert_eq!(fields, ["default_warehouse_id", "default_carrier_id"]);
        assert_eq!(t.database.snapshot().await, rows);
        let nobody = t
            .store_as("nowhere", Role::Operator, "ops")
            .update_store()
            .display_name("X")
            .await;
        refused(nobody, Kind::NotFound, "STORE_NOT_FOUND");
    });
}

#[test]
fn of_two_who_change_a_store_at_once_one_overwrites_nothing() {
    run(async |t| {
        let first = t.operator().get_store().await.unwrap();
        let rename = |name: &str| {
            t.operator()
                .update_store()
                .display_name(name)
                .etag(&first.etag)
        };
        let (a, b) = join!(rename("A"), rename("B"));
        let won: Vec<_> = [a, b].into_iter().filter_map(Result::ok).collect();
        assert_eq!(won.len(), 1, "both decided on the same etag");
        assert_eq!(t.operator().get_store().await.unwrap(), won[0]);
    });
}

#[test]
fn a_carrier_has_return_labels_by_country() {
    run(async |t| {
        let put = || {
            t.operator()
                .put_carrier("post", "Post")
                .return_label("DE", eur(499))
                .free_return_label("FR")
        };
        let put = || put().return_label("PL", Money::new("PLN", 1_500));
        let first = put().await.unwrap();
        let labels: Vec<_> = first
            .return_labels
            .iter()
            .map(|label| (&*label.country_code, label.price.clone()))
            .collect();
        assert_eq!(
            labels,
            [
                ("DE", Some(eur(499))),
                ("FR", None),
                ("PL", Some(Money::new("PLN", 1_500)))
            ]
        );
        let rows = t.database.snapshot().await;
        assert_eq!(put().await.unwrap(), first);
        assert_eq!(t.database.snapshot().await, rows);
        // A put replaces all that is known.
        let without = t.operator().put_carrier("post", "Post").await.unwrap();
        assert_eq!(without.return_labels, []);
        assert_ne!(without.etag, first.etag);
        let twice = t
            .operator()
            .put_carrier("post", "Post")
            .free_return_label("DE")
            .free_return_label("DE")
            .await;
        let error = refused(twice, Kind::InvalidArgument, "INVALID_FIELD");
        assert_eq!(
            error.field_violations()[0].field,
            "carrier.return_labels[1]"
        );
    });
}

#[test]
fn a_warehouse_has_a_country_and_a_calendar() {
    run(async |t| {
        let put = || t.operator().put_warehouse("west", "West");
        let usual = put().await.unwrap();
        assert_eq!(
            (&usual.country_code, &usual.weekend[..]),
            (&None, &[Weekday::Saturday, Weekday::Sunday][..])
        );
        assert_eq!(usual.holidays, []);
        let with_holidays = || {
            put()
                .country_code("CN")
                .holidays([date(2026, 10, 1), date(2026, 2, 17)])
        };
        let closed = with_holidays().await.unwrap();
        assert_eq!(closed.country_code.as_deref(), Some("CN"));
        // The weekend stays the usual one; dates come back in their order.
        assert_eq!(closed.weekend, usual.weekend);
        assert_eq!(closed.holidays, [date(2026, 2, 17), date(2026, 10, 1)]);
        assert_eq!(with_holidays().await.unwrap(), closed);
        assert_eq!(
            put().weekend([Weekday::Friday]).await.unwrap().weekend,
            [Weekday::Friday]
        );
        assert_eq!(put().weekend([]).await.unwrap().weekend, []);
    });
}

#[test]
fn stores_carriers_and_warehouses_are_listed_by_id_page_by_page() {
    run(async |t| {
        for store_id in ["b-store", "a-store", "c-store"] {
            t.create_shop(store_id, FirstPolicy::preset("independent-site"))
                .await;
        }
        for id in ["post", "bike", "zeppelin"] {
            t.operator().put_carrier(id, id).await.unwrap();
            t.operator().put_warehouse(id, id).await.unwrap();
        }
        let operator = t.role(Role::Operator, "ops");
        let store = operator.store(SHOP);
        for page_size in [1, 2, 50] {
            let stores = pages(async |token| {
                operator
                    .list_stores()
                    .page_size(page_size)
                    .page_token(token)
                    .await
            })
            .await;
            assert!(
                stores
                    .iter()
                    .all(|page| page.len() <= usize::try_from(page_size).unwrap())
            );
            let stores = stores.concat();
            assert!(
                stores
                    .iter()
                    .is_sorted_by(|a, b| a.store_id.as_str() < b.store_id.as_str())
            );
            assert_eq!(stores.len(), 4);
            for listed in stores {
                assert_eq!(
                    operator.store(&listed.store_id).get_store().await.unwrap(),
                    listed
                );
            }
            let carriers = pages(async |token| {
                store
                    .list_carriers()
                    .page_size(page_size)
                    .page_token(token)
                    .await
            })
            .await;
            let carriers = carriers.concat();
            let ids: Vec<&str> = carriers
                .iter()
                .map(|carrier| carrier.carrier_id.as_str())
                .collect();
            assert!(
                ids.is_sorted()
                    && ["bike", "post", "zeppelin"]
                        .iter()
                        .all(|id| ids.contains(id)),
                "{ids:?}"
            );
            let houses = pages(async |token| {
                store
                    .list_warehouses()
                    .page_size(page_size)
                    .page_token(token)
                    .await
            })
            .await;
            let houses = houses.concat();
            let ids: Vec<&str> = houses
                .iter()
                .map(|warehouse| warehouse.warehouse_id.as_str())
                .collect();
            assert!(
                ids.is_sorted()
                    && ["bike", "post", "zeppelin"]
                        .iter()
                        .all(|id| ids.contains(id)),
                "{ids:?}"
            );
        }
        // Nothing of them is seen through another store.
        let other = operator.store("a-store");
        let carriers = other.list_carriers().await.unwrap();
        assert!(!carriers.items.is_empty());
        assert!(
            carriers
                .into_iter()
                .all(|carrier| carrier.carrier_id.as_str() != "bike")
        );
        let houses = other.list_warehouses().await.unwrap();
        assert!(!houses.items.is_empty());
        assert!(
            houses
                .into_iter()
                .all(|warehouse| warehouse.warehouse_id.as_str() != "bike")
        );
        let nowhere = operator.store("nowhere").list_carriers().await;
        refused(nowhere, Kind::NotFound, "STORE_NOT_FOUND");
    });
}

#[test]
fn policy_versions_are_listed_newest_first_with_their_activations() {
    run_at(MONDAY, async |t| {
        let now = t.now().await;
        let in_hours = |hours| now + SignedDuration::from_hours(hours);
        t.operator()
            .create_policy(documents::consent("REFUSE", "BAR"))
            .await
            .unwrap();
        t.operator()
            .create_policy(documents::consent("PASS", "BAR"))
            .await
            .unwrap();
        t.operator()
            .activate_policy(2)
            .effective_time(in_hours(1))
            .await
            .unwrap();
        t.set_clock(in_hours(1)).await;
        t.operator()
            .activate_policy(1)
            .effective_time(in_hours(2))
            .await
            .unwrap();

        let store = t.support();
        let listed =
            pages(async |token| store.list_policies().page_size(2).page_token(token).await).await;
        assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let listed = listed.concat();
        assert_eq!(
            listed
                .iter()
                .map(|policy| policy.version)
                .collect::<Vec<_>>(),
            [3, 2, 1]
        );
        let stretches = |version: usize| -> Vec<_> {
            let stretch =
                |activation: &PolicyActivation| (activation.effective_time, activation.end_time);
            listed[3 - version]
                .activations
                .iter()
                .map(stretch)
                .collect()
        };
        assert_eq!(stretches(3), []);
        assert_eq!(stretches(2), [(in_hours(1), Some(in_hours(2)))]);
        assert_eq!(stretches(1).len(), 2);
        assert_eq!(
            (stretches(1)[0], stretches(1)[1].1),
            ((in_hours(2), None), Some(in_hours(1)))
        );
        for policy in listed {
            assert_eq!(policy.document, "", "a list would grow too large");
            let mut whole = t
                .operator()
                .get_policy()
                .version(policy.version)
                .await
                .unwrap();
            whole.document.clear();
            assert_eq!(whole, policy);
        }
    });
}

#[test]
fn the_same_document_brought_twice_at_once_is_one_version() {
    run(async |t| {
        for round in 0..10 {
            let document = format!("{}# {round}\n", documents::consent("REFUSE", "BAR"));
            let create = || t.operator().create_policy(&*document);
            let (a, b, c) = join!(create(), create(), create());
            let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
            assert_eq!(
                (a.version, b.version, c.version),
                (round + 2, round + 2, round + 2)
            );
        }
        let Page { items, .. } = t.operator().list_policies().await.unwrap();
        assert_eq!(items.len(), 11);
    });
}
