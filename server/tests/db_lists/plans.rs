//! Which index leads to the page of each list, as MySQL tells it: a table of expectations, and for
//! every other combination of filters that nothing is sorted and no table or index is read as a
//! whole.

use std::collections::HashSet;

use belay_domain::actor::Role;
use belay_domain::bulk::{BulkFilter, OPEN_STATES};
use belay_domain::cancellation::CancellationState;
use belay_domain::ids::{
    BuyerId, CarrierId, ExternalId, OrderId, OrderKey, SellerId, Sku, WarehouseId,
};
use belay_domain::order::OrderState;
use belay_domain::query::CancellationFilter;
use belay_domain::query::OrderFilter;
use belay_domain::query::RefundFilter;
use belay_domain::query::ShipmentFilter;
use belay_domain::query::{ActionsSummary, ListPosition, OrderSearch, OrdersSummary, SearchedBy};
use belay_domain::refund::RefundState;
use belay_domain::scope::{Scope, View};
use belay_domain::shipment::Stage;
use belay_server::db::orders::{self, BulkQuery, LOOKED_THROUGH_MAX, Selected};
use belay_server::db::summaries;
use belay_server::db::{Conn, ListQuery as _};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::common::{TestDatabase, store, time};
use crate::crowd;

struct Explain<Q>(Q);

impl<Q> Query for Explain<Q> {
    type SqlType = Text;
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Mysql>> QueryFragment<Mysql> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("EXPLAIN FORMAT=TREE ");
        self.0.walk_ast(out)
    }
}

/// The statement's plan.
async fn explained<Q: QueryFragment<Mysql> + Send>(conn: &mut Conn, query: Q) -> String {
    RunQueryDsl::get_result(Explain(query), conn).await.unwrap()
}

/// The statement's plan, after a check that it sorts nothing and reads nothing as a whole.
async fn plan<Q: QueryFragment<Mysql> + Send>(conn: &mut Conn, query: Q) -> String {
    let plan = explained(conn, query).await;
    for line in plan.lines() {
        let is_own_result =
            line.contains("Table scan on counted") || line.contains("Table scan on <temporary>");
        let is_whole = line.contains("Table scan")
            || line.contains("index scan")
            || line.contains("Index scan");
        assert!(
            !line.contains("Sort") && (is_own_result || !is_whole),
            "{plan}"
        );
    }
    plan
}

/// The indexes of a plan, the leading one first.
fn indexes(plan: &str) -> Vec<&str> {
    plan.split(" using ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '\n']).next())
        .collect()
}

pub(crate) fn all_orders() -> OrderFilter {
    OrderFilter {
        scope: Scope::EVERYTHING,
        store: store(),
        buyer: None,
        seller: None,
        state: None,
        sku: None,
        country: None,
        city: None,
        create_time_from: None,
        create_time_before: None,
    }
}

pub(crate) fn all_cancellations() -> CancellationFilter {
    CancellationFilter {
        scope: Scope::EVERYTHING,
        view: View::Whole,
        store: store(),
        order: None,
        seller: None,
        state: None,
        warehouse: None,
        carrier: None,
        awaiting: None,
        respond_by_before: None,
    }
}

/// Letters of what is given: b(uyer) s(eller) t(ab) k (SKU) d(estination country) c(ity) f(rom)
/// u(ntil).
fn orders(given: &str) -> OrderFilter {
    let has = |letter: char| given.contains(letter);
    OrderFilter {
        scope: Scope::EVERYTHING,
        buyer: has('b').then(|| BuyerId::parse("big").unwrap()),
        seller: has('s').then(|| SellerId::parse("s-1").unwrap()),
        state: has('t').then_some(OrderState::ToShip),
        sku: has('k').then(|| Sku::parse("sku-3").unwrap()),
        country: has('d').then(|| "DE".to_owned()),
        city: has('c').then(|| "city-3".to_owned()),
        create_time_from: has('f').then(|| time("2026-01-01T00:05:00Z")),
        create_time_before: has('u').then(|| time("2026-01-01T00:15:00Z")),
        ..all_orders()
    }
}

/// o(rder) w(arehouse) c(arrier) s(eller) t (stage) p(reparation).
fn shipments(given: &str) -> ShipmentFilter {
    let has = |letter: char| given.contains(letter);
    ShipmentFilter {
        scope: Scope::EVERYTHING,
        store: store(),
        order: has('o').then(order_key),
        warehouse: has('w').then(|| WarehouseId::parse("w-1").unwrap()),
        carrier: has('c').then(|| CarrierId::parse("c-1").unwrap()),
        seller: has('s').then(|| SellerId::parse("s-1").unwrap()),
        stage: has('t').then_some(Stage::Ready),
        prepare_by_before: has('p').then(|| time("2026-01-03T00:05:00Z")),
    }
}

/// o(rder) s(eller) t (state) w(arehouse) c(arrier) a(waiting) d(eadline).
fn cancellations(given: &str) -> CancellationFilter {
    let has = |letter: char| given.contains(letter);
    CancellationFilter {
        scope: Scope::EVERYTHING,
        order: has('o').then(order_key),
        seller: has('s').then(|| SellerId::parse("s-1").unwrap()),
        state: has('t').then_some(CancellationState::Pending),
        warehouse: has('w').then(|| WarehouseId::parse("w-1").unwrap()),
        carrier: has('c').then(|| CarrierId::parse("c-1").unwrap()),
        awaiting: has('a').then_some(Role::Seller),
        respond_by_before: has('d').then(|| time("2026-01-03T00:05:00Z")),
        ..all_cancellations()
    }
}

/// o(rder) s(eller) t (state).
fn refunds(given: &str) -> RefundFilter {
    let has = |letter: char| given.contains(letter);
    RefundFilter {
        scope: Scope::EVERYTHING,
        store: store(),
        order: has('o').then(order_key),
        seller: has('s').then(|| SellerId::parse("s-1").unwrap()),
        state: has('t').then_some(RefundState::Due),
    }
}

fn order_key() -> OrderKey {
    OrderKey::of(&store(), &OrderId::parse("o-1").unwrap())
}

/// List, filters given, index that leads, and what else is looked into.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("orders", "", "orders_by_time"),
    ("orders", "fu", "orders_by_time"),
    ("orders", "b", "orders_by_buyer"),
    ("orders", "bfu", "orders_by_buyer"),
    ("orders", "bt", "orders_by_buyer_state"),
    ("orders", "bs", "orders_by_buyer"),
    ("orders", "bst", "orders_by_buyer_state"),
    ("orders", "bk", "orders_by_buyer order_lines:PRIMARY"),
    ("orders", "btdc", "orders_by_buyer_state"),
    ("orders", "k", "order_lines_by_sku"),
    ("orders", "kfu", "order_lines_by_sku"),
    ("orders", "ks", "order_lines_by_sku orders:PRIMARY"),
    ("orders", "kdct", "order_lines_by_sku orders:PRIMARY"),
    ("orders", "s", "orders_by_seller"),
    ("orders", "st", "orders_by_seller_state"),
    ("orders", "stu", "orders_by_seller_state"),
    ("orders", "sdc", "orders_by_seller"),
    ("orders", "d", "orders_by_country"),
    ("orders", "dt", "orders_by_country"),
    ("orders", "dc", "orders_by_city"),
    ("orders", "dct", "orders_by_city"),
    ("orders", "t", "orders_by_state"),
    ("orders", "tf", "orders_by_state"),
    ("shipments", "", "shipments_by_time"),
    ("shipments", "o", "PRIMARY"),
    ("shipments", "owt", "PRIMARY"),
    ("shipments", "w", "shipments_by_warehouse"),
    ("shipments", "wt", "shipments_by_warehouse_stage"),
    ("shipments", "wc", "shipments_by_warehouse"),
    ("shipments", "wcst", "shipments_by_warehouse_stage"),
    ("shipments", "c", "shipments_by_carrier"),
    ("shipments", "ct", "shipments_by_carrier_stage"),
    ("shipments", "s", "shipments_by_seller"),
    ("shipments", "st", "shipments_by_seller_stage"),
    ("shipments", "t", "shipments_by_stage"),
    ("shipments", "p", "shipments_by_stage"),
    ("shipments", "wp", "shipments_by_warehouse_stage"),
    ("shipments", "cp", "shipments_by_carrier_stage"),
    ("shipments", "sp", "shipments_by_seller_stage"),
    ("shipments", "op", "PRIMARY"),
    ("cancellations", "", "cancellations_by_time"),
    ("cancellations", "o", "PRIMARY"),
    ("cancellations", "oa", "PRIMARY gates:PRIMARY"),
    ("cancellations", "ow", "PRIMARY cancellation_parts:PRIMARY"),
    ("cancellations", "s", "cancellations_by_seller"),
    ("cancellations", "st", "cancellations_by_seller_state"),
    ("cancellations", "t", "cancellations_by_state"),
    ("cancellations", "a", "gates_by_party"),
    ("cancellations", "ad", "gates_by_party"),
    ("cancellations", "as", "gates_by_seller"),
    ("cancellations", "aw", "gates_by_warehouse"),
    ("cancellations", "ac", "gates_by_carrier"),
    ("cancellations", "asd", "gates_by_seller"),
    (
        "cancellations",
        "at",
        "gates_by_party cancellations:PRIMARY",
    ),
    ("cancellations", "d", "cancellations_by_state gates:PRIMARY"),
    (
        "cancellations",
        "ds",
        "cancellations_by_seller_state gates:PRIMARY",
    ),
    ("cancellations", "w", "parts_by_warehouse"),
    ("cancellations", "wc", "parts_by_warehouse"),
    (
        "cancellations",
        "wt",
        "parts_by_warehouse cancellations:PRIMARY",
    ),
    ("cancellations", "c", "parts_by_carrier"),
    (
        "cancellations",
        "cs",
        "parts_by_carrier cancellations:PRIMARY",
    ),
    ("refunds", "", "refunds_by_time"),
    ("refunds", "o", "PRIMARY"),
    ("refunds", "ost", "PRIMARY"),
    ("refunds", "s", "refunds_by_seller"),
    ("refunds", "st", "refunds_by_seller_state"),
    ("refunds", "t", "refunds_by_state"),
];

/// The orders of a bulk cancellation: k (SKU) w(arehouse) s(eller) d(estination country) c(ity)
/// f(rom) u(ntil).
fn bulk(given: &str) -> BulkFilter {
    let has = |letter: char| given.contains(letter);
    BulkFilter {
        sku: has('k').then(|| Sku::parse("sku-3").unwrap()),
        warehouse: has('w').then(|| WarehouseId::parse("w-1").unwrap()),
        seller: has('s').then(|| SellerId::parse("s-1").unwrap()),
        country: has('d').then(|| "DE".to_owned()),
        city: has('c').then(|| "city-3".to_owned()),
        states: OPEN_STATES.to_vec(),
        create_time_from: has('f').then(|| time("2026-01-01T00:05:00Z")),
        create_time_before: has('u').then(|| time("2026-01-01T00:15:00Z")),
    }
}

/// The index that leads to the orders of a bulk cancellation.
fn leads_to_bulk(given: &str) -> &'static str {
    let has = |letter: char| given.contains(letter);
    match () {
        () if has('k') => "order_lines_by_sku",
        () if has('s') => "orders_by_seller",
        () if has('c') => "orders_by_city",
        () if has('d') => "orders_by_country",
        () if has('w') => "shipments_by_warehouse",
        () => "orders_by_time",
    }
}

#[tokio::test]
async fn every_page_of_a_bulk_cancellation_is_led_to_by_its_index() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    crowd::fill(&mut conn).await;
    let after = Some(ListPosition {
        create_time: time("2026-01-01T00:10:00Z"),
        order_key: OrderKey([128; 16]),
        number: 0,
    });
    let end = Some(ListPosition {
        create_time: time("2026-01-01T00:06:00Z"),
        order_key: OrderKey([64; 16]),
        number: 0,
    });
    let of_a_city = |given: &&String| given.contains('d') || !given.contains('c');
    for given in subsets("kwsdcfu").iter().filter(of_a_city) {
        let query = BulkQuery {
            store: &store(),
            scope: &Scope::EVERYTHING,
            filter: &bulk(given),
        };
        for (after, end) in [(None, None), (after, None), (None, end), (after, end)] {
            let page = plan(&mut conn, query.page(after, end, 500)).await;
            assert_eq!(indexes(&page)[0], leads_to_bulk(given), "{given}: {page}");
            let end = plan(&mut conn, query.end(after)).await;
            assert_eq!(indexes(&end), [leads_to_bulk(given)], "{given}: {end}");
        }
    }
}

/// Walks a bulk cancellation's filter to its end: the orders, and how many steps it took.
async fn selected(conn: &mut Conn, query: &BulkQuery<'_>, limit: u16) -> (Vec<OrderKey>, usize) {
    let (mut all, mut after, mut steps) = (Vec::new(), None, 0);
    let asking = crowd::looked_at(conn).await;
    let asking = crowd::looked_at(conn).await - asking;
    loop {
        let begin = crowd::looked_at(conn).await;
        let Selected { found, left_off } = orders::select(conn, query, after, limit).await.unwrap();
        let looked_at = crowd::looked_at(conn).await - begin - asking;
        // Each entry twice, its order's shipments, and the way to them.
        let most = 5 * u64::from(LOOKED_THROUGH_MAX);
        assert!(looked_at <= most, "a step looked at {looked_at}");
        steps += 1;
        all.extend(found.iter().map(|position| position.order_key));
        let Some(place) = left_off else {
            return (all, steps);
        };
        let position = |place: ListPosition| (place.create_time, place.order_key);
        let goes_on = after.is_none_or(|after| position(place) < position(after));
        assert!(goes_on, "it left off at {place:?} again");
        after = left_off;
    }
}

#[tokio::test]
async fn a_bulk_cancellation_that_finds_few_orders_looks_through_so_many_at_a_time() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    crowd::fill(&mut conn).await;
    let nowhere = WarehouseId::parse("nowhere").unwrap();
    let of_country = |warehouse| BulkFilter {
        warehouse: Some(warehouse),
        ..bulk("d")
    };
    let of = async |conn: &mut Conn, filter: &BulkFilter, limit| {
        let query = BulkQuery {
            store: &store(),
            scope: &Scope::EVERYTHING,
            filter,
        };
        selected(conn, &query, limit).await
    };
    // A third of all orders go there.
    let entries = (crowd::BIG + 10_000).div_ceil(3);
    let steps = usize::try_from(entries / u32::from(LOOKED_THROUGH_MAX)).unwrap() + 1;
    let none = of(&mut conn, &of_country(nowhere), 500).await;
    assert_eq!(none, (Vec::new(), steps));

    // However large the pages are, the same orders are found, and none twice.
    let filter = of_country(WarehouseId::parse("w-1").unwrap());
    let (found, _) = of(&mut conn, &filter, 500).await;
    assert!(found.len() > 100, "{} orders", found.len());
    let distinct: HashSet<OrderKey> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len());
    for limit in [7, u16::MAX] {
        assert_eq!(of(&mut conn, &filter, limit).await.0, found);
    }
    // By shipments, of which some may be the same order's, and by lines.
    for given in ["w", "k"] {
        let (found, _) = of(&mut conn, &bulk(given), 50).await;
        let (whole, _) = of(&mut conn, &bulk(given), u16::MAX).await;
        assert!(!found.is_empty() && found == whole, "{given}");
    }
}

/// All sets of letters.
fn subsets(letters: &str) -> Vec<String> {
    letters.chars().fold(vec![String::new()], |sets, letter| {
        let with = sets
            .iter()
            .map(|set| format!("{set}{letter}"))
            .collect::<Vec<_>>();
        [sets, with].concat()
    })
}

#[tokio::test]
async fn every_page_is_led_to_by_its_index() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    crowd::fill(&mut conn).await;
    let after = Some(ListPosition {
        create_time: time("2026-01-01T00:10:00Z"),
        order_key: OrderKey([128; 16]),
        number: 1,
    });
    for after in [None, after] {
        for (list, given, expected) in EXPECTED {
            let page = match *list {
                "orders" => orders(given).page(after, 51),
                "shipments" => shipments(given).page(after, 51),
                "cancellations" => cancellations(given).page(after, 51),
                "refunds" => refunds(given).page(after, 51),
                other => panic!("{other}"),
            };
            let plan = plan(&mut conn, page).await;
            let expected: Vec<&str> = expected
                .split(' ')
                .map(|index| index.rsplit(':').next().unwrap())
                .collect();
            assert_eq!(indexes(&plan), expected, "{list} {given}: {plan}");
        }
    }
    // No expectation, but the checks of `plan`.
    for given in subsets("bstkdcfu")
        .iter()
        .filter(|given| given.contains('d') || !given.contains('c'))
    {
        plan(&mut conn, orders(given).page(after, 51)).await;
    }
    for given in subsets("owcstp") {
        plan(&mut conn, shipments(&given).page(after, 51)).await;
    }
    for given in subsets("ostwcad") {
        plan(&mut conn, cancellations(&given).page(after, 51)).await;
    }
    for given in subsets("ost") {
        plan(&mut conn, refunds(&given).page(after, 51)).await;
    }
    counts_walk_an_index(&mut conn).await;
}

#[tokio::test]
async fn every_page_of_a_search_is_led_to_by_its_index() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    crowd::fill(&mut conn).await;
    let search = |by| OrderSearch {
        store: store(),
        scope: Scope::EVERYTHING,
        by,
    };
    let email = |hashes: &[[u8; 32]]| search(SearchedBy::Email(hashes.to_vec()));
    let number = ExternalId::parse("T-1").unwrap();
    let after = Some(ListPosition {
        create_time: time("2026-01-01T00:10:00Z"),
        order_key: OrderKey([128; 16]),
        number: 0,
    });
    for after in [None, after] {
        let by_email = plan(&mut conn, email(&[[7; 32]]).page(after, 21)).await;
        assert_eq!(indexes(&by_email), ["orders_by_email"], "{by_email}");
        let by_number = search(SearchedBy::TrackingNumber(number.clone()));
        let by_number = plan(&mut conn, by_number.page(after, 21)).await;
        assert_eq!(
            indexes(&by_number),
            ["shipments_by_tracking"],
            "{by_number}"
        );

        // What these two lead to is sorted: the orders of one buyer, and so many ids at most.
        let two_keys = explained(&mut conn, email(&[[7; 32], [8; 32]]).page(after, 21)).await;
        assert_eq!(indexes(&two_keys), ["orders_by_email"], "{two_keys}");
        let by_id = search(SearchedBy::IdPrefix("A-".to_owned()));
        let by_id = explained(&mut conn, by_id.page(after, 21)).await;
        assert_eq!(indexes(&by_id), ["orders_by_id"], "{by_id}");
        assert!(by_id.contains("Limit: 5000 row(s)"), "{by_id}");
        assert!(by_id.contains("Index range scan"), "{by_id}");
    }
}

async fn counts_walk_an_index(conn: &mut Conn) {
    for given in subsets("bs") {
        let OrderFilter {
            store,
            buyer,
            seller,
            ..
        } = orders(&given);
        let plan = plan(
            conn,
            summaries::count(
                &OrdersSummary {
                    scope: Scope::EVERYTHING,
                    store,
                    buyer,
                    seller,
                },
                OrderState::ToShip,
            ),
        )
        .await;
        assert!(
            plan.contains("Covering index") || given == "bs",
            "{given}: {plan}"
        );
    }
    for given in ["", "s", "w", "c"] {
        let CancellationFilter {
            store,
            seller,
            warehouse,
            carrier,
            ..
        } = cancellations(given);
        let summary = ActionsSummary {
            scope: Scope::EVERYTHING,
            view: View::Whole,
            store,
            seller,
            warehouse,
            carrier,
        };
        let awaiting = plan(conn, summaries::awaiting(&summary, Role::Seller)).await;
        assert!(awaiting.contains("Covering index"), "{given}: {awaiting}");
        if given.is_empty() || given == "s" {
            let approved = plan(
                conn,
                summaries::auto_approved(&summary, time("2026-01-01T00:00:00Z")),
            )
            .await;
            assert!(approved.contains("Covering index"), "{given}: {approved}");
        }
    }
}
