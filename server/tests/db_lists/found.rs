//! What lists find, compared with what a plain loop over the same orders finds, for every
//! combination of filters and in pages that end in awkward places.

use belay_domain::actor::Role;
use belay_domain::cancellation::{Cancellation, CancellationState, GateState, Part, PartState};
use belay_domain::ids::{BuyerId, CarrierId, SellerId, Sku, WarehouseId};
use belay_domain::order::{Order, OrderState};
use belay_domain::query::CancellationFilter;
use belay_domain::query::ListPosition;
use belay_domain::query::OrderFilter;
use belay_domain::query::RefundFilter;
use belay_domain::query::ShipmentFilter;
use belay_domain::refund::RefundState;
use belay_domain::scope::Scope;
use belay_domain::shipment::Stage;
use belay_domain::terms::GateKind;
use belay_server::db;
use diesel_async::SimpleAsyncConnection;
use jiff::{SignedDuration, Timestamp};

use crate::common::{TestDatabase, eventful, store};
use crate::plans::{all_cancellations, all_orders};

/// Some shipments are to be begun before this instant, some at it, and some at none.
const PREPARED_BEFORE: Timestamp = Timestamp::constant(1_767_400_000, 0);

/// Orders that differ in what filters look at, three an instant.
fn orders_of_all_sorts() -> Vec<Order> {
    let sort = |number: usize| {
        let mut order = eventful(&format!("a-{number}"));
        let later = SignedDuration::from_mins(i64::try_from(number / 3).unwrap());
        order.create_time += later;
        order.buyer.id = BuyerId::parse(format!("b-{}", number % 2)).unwrap();
        order.seller = SellerId::parse(format!("s-{}", number % 3)).unwrap();
        order.state = [OrderState::ToShip, OrderState::Shipped][number / 2 % 2];
        order.destination.country_code = ["DE", "FR"][number / 4 % 2].to_owned();
        order.destination.city = format!("c-{}", number % 5 % 2);
        // Of one SKU in two lines, too.
        order.lines[1].sku = order.lines[0].sku.clone();
        order.lines[2].sku = Sku::parse(format!("SKU-{}", number % 3)).unwrap();
        for (index, shipment) in order.shipments.iter_mut().enumerate() {
            shipment.warehouse = WarehouseId::parse(format!("w-{}", (number + index) % 3)).unwrap();
            shipment.carrier = CarrierId::parse(format!("c-{}", (number / 2 + index) % 2)).unwrap();
            shipment.stage = [Stage::Planned, Stage::Ready][(number / 3 + index) % 2];
            let days = i64::try_from(number % 4).unwrap();
            let by = PREPARED_BEFORE + SignedDuration::from_hours(24 * (days - 2));
            shipment.prepare_by = Some(by).filter(|_| days < 3);
        }
        for (index, refund) in order.refunds.iter_mut().enumerate() {
            refund.state = [RefundState::Due, RefundState::Settled][(number / 3 + index) % 2];
            refund.create_time += later;
        }
        for (index, cancellation) in order.cancellations.iter_mut().enumerate() {
            cancellation.create_time += later;
            vary(cancellation, number + index);
        }
        order
    };
    (0..36).map(sort).collect()
}

/// Some wait in both parts, some in one, some for nobody.
fn vary(cancellation: &mut Cancellation, number: usize) {
    let kinds = [
        GateKind::SellerConsent,
        GateKind::SupportReview,
        GateKind::WarehouseStop,
        GateKind::CarrierIntercept,
    ];
    let [over, waiting, ..] = cancellation.parts.as_mut_slice() else {
        panic!("two parts at least")
    };
    waiting.gates[1].spec.kind = kinds[number % 4];
    let respond_by = waiting.gates[1].respond_by.as_mut().unwrap();
    *respond_by += SignedDuration::from_hours(i64::try_from(number % 4).unwrap());
    if number.is_multiple_of(5) {
        over.state = PartState::Waiting;
        over.gates = waiting.gates.clone();
    }
    if number % 5 == 1 {
        waiting.state = PartState::Cancelled;
        waiting.gates[1].state = GateState::Passed;
    }
}

/// All combinations of these: each is taken or not.
fn combinations<const N: usize>() -> impl Iterator<Item = [bool; N]> {
    (0..1_usize << N).map(|bits| std::array::from_fn(|at| bits >> at & 1 == 1))
}

macro_rules! pages {
    ($conn:expr, $filter:expr) => {{
        let mut places = Vec::<ListPosition>::new();
        loop {
            let page = db::list($conn, $filter, places.last().copied(), 7)
                .await
                .unwrap();
            let is_last = page.len() < 7;
            places.extend(page);
            if is_last {
                break places;
            }
        }
    }};
}

fn sorted(places: impl Iterator<Item = ListPosition>) -> Vec<ListPosition> {
    let mut places: Vec<ListPosition> = places.collect();
    places.sort_unstable_by_key(|place| {
        std::cmp::Reverse((place.create_time, place.order_key, place.number))
    });
    places
}

fn is<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == found)
}

#[tokio::test]
async fn orders_are_found_by_any_combination_of_filters() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let all = orders_of_all_sorts();
    crate::common::insert_orders(
        &mut conn,
        &all.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    for [buyer, seller, state, sku, country, city, from, before] in combinations() {
        let filter = OrderFilter {
            scope: Scope::EVERYTHING,
            buyer: buyer.then(|| BuyerId::parse("b-1").unwrap()),
            seller: seller.then(|| SellerId::parse("s-1").unwrap()),
            state: state.then_some(OrderState::Shipped),
            sku: sku.then(|| Sku::parse("SKU-1").unwrap()),
            country: (country || city).then(|| "DE".to_owned()),
            city: city.then(|| "c-1".to_owned()),
            create_time_from: from.then_some(all[6].create_time),
            create_time_before: before.then_some(all[30].create_time),
            ..all_orders()
        };
        let matches = |order: &&Order| {
            is(&filter.buyer, &order.buyer.id)
                && is(&filter.seller, &order.seller)
                && is(&filter.state, &order.state)
                && filter
                    .sku
                    .as_ref()
                    .is_none_or(|sku| order.lines.iter().any(|line| line.sku == *sku))
                && is(&filter.country, &order.destination.country_code)
                && is(&filter.city, &order.destination.city)
                && filter
                    .create_time_from
                    .is_none_or(|from| from <= order.create_time)
                && filter
                    .create_time_before
                    .is_none_or(|before| order.create_time < before)
        };
        let place = |order: &Order| ListPosition {
            create_time: order.create_time,
            order_key: order.key(),
            number: 0,
        };
        let expected = sorted(all.iter().filter(matches).map(place));
        assert_eq!(pages!(&mut conn, &filter), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn shipments_and_refunds_are_found_by_any_combination_of_filters() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let all = orders_of_all_sorts();
    crate::common::insert_orders(
        &mut conn,
        &all.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    for [order, warehouse, carrier, seller, stage, due] in combinations() {
        let filter = ShipmentFilter {
            scope: Scope::EVERYTHING,
            store: store(),
            order: order.then(|| all[4].key()),
            warehouse: warehouse.then(|| WarehouseId::parse("w-1").unwrap()),
            carrier: carrier.then(|| CarrierId::parse("c-0").unwrap()),
            seller: seller.then(|| SellerId::parse("s-1").unwrap()),
            stage: stage.then_some(Stage::Ready),
            prepare_by_before: due.then_some(PREPARED_BEFORE),
        };
        let of = all.iter().flat_map(|order| {
            order
                .shipments
                .iter()
                .map(move |shipment| (order, shipment))
        });
        let expected = sorted(of.filter_map(|(order, shipment)| {
            let matches = is(&filter.order, &order.key())
                && is(&filter.warehouse, &shipment.warehouse)
                && is(&filter.carrier, &shipment.carrier)
                && is(&filter.seller, &order.seller)
                && is(&filter.stage, &shipment.stage)
                && (!due
                    || shipment.stage == Stage::Planned
                        && shipment.prepare_by.is_some_and(|by| by < PREPARED_BEFORE));
            let place = ListPosition {
                create_time: order.create_time,
                order_key: order.key(),
                number: shipment.number,
            };
            matches.then_some(place)
        }));
        assert_eq!(pages!(&mut conn, &filter), expected, "{filter:?}");
    }
    for [order, seller, state] in combinations() {
        let filter = RefundFilter {
            scope: Scope::EVERYTHING,
            store: store(),
            order: order.then(|| all[4].key()),
            seller: seller.then(|| SellerId::parse("s-1").unwrap()),
            state: state.then_some(RefundState::Due),
        };
        let of = all
            .iter()
            .flat_map(|order| order.refunds.iter().map(move |refund| (order, refund)));
        let expected = sorted(of.filter_map(|(order, refund)| {
            let matches = is(&filter.order, &order.key())
                && is(&filter.seller, &order.seller)
                && is(&filter.state, &refund.state);
            let place = ListPosition {
                create_time: refund.create_time,
                order_key: order.key(),
                number: refund.number,
            };
            matches.then_some(place)
        }));
        assert_eq!(pages!(&mut conn, &filter), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn cancellations_are_found_by_any_combination_of_filters() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let all = orders_of_all_sorts();
    crate::common::insert_orders(
        &mut conn,
        &all.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    let deadline = all[0].cancellations[0].parts[1].gates[0]
        .respond_by
        .unwrap()
        + SignedDuration::from_mins(90);
    let mut found = 0;
    for party in [Role::Seller, Role::Support, Role::Warehouse, Role::Carrier] {
        for [
            order,
            seller,
            state,
            warehouse,
            carrier,
            awaiting,
            respond_by,
        ] in combinations()
        {
            let filter = CancellationFilter {
                scope: Scope::EVERYTHING,
                order: order.then(|| all[5].key()),
                seller: seller.then(|| SellerId::parse("s-1").unwrap()),
                state: state.then_some(CancellationState::Completed),
                warehouse: warehouse.then(|| WarehouseId::parse("w-1").unwrap()),
                carrier: carrier.then(|| CarrierId::parse("c-0").unwrap()),
                awaiting: awaiting.then_some(party),
                respond_by_before: respond_by.then_some(deadline),
                ..all_cancellations()
            };
            let pending = CancellationFilter {
                state: state.then_some(CancellationState::Pending),
                ..filter.clone()
            };
            for filter in [filter, pending] {
                let of = all
                    .iter()
                    .flat_map(|order| order.cancellations.iter().map(move |each| (order, each)));
                let matching = of.filter(|(order, each)| matches(&filter, order, each));
                let expected = sorted(matching.map(|(order, each)| ListPosition {
                    create_time: each.create_time,
                    order_key: order.key(),
                    number: each.number,
                }));
                found += expected.len();
                assert_eq!(pages!(&mut conn, &filter), expected, "{filter:?}");
            }
        }
    }
    assert!(
        found > 1_000,
        "the filters find too little to tell anything: {found}"
    );
}

fn matches(filter: &CancellationFilter, order: &Order, cancellation: &Cancellation) -> bool {
    let part_matches = |part: &Part| {
        let shipment = order.shipment(part.shipment).unwrap();
        let gate = part.open_gate();
        is(&filter.warehouse, &shipment.warehouse)
            && is(&filter.carrier, &shipment.carrier)
            && filter
                .awaiting
                .is_none_or(|party| gate.is_some_and(|gate| gate.spec.kind.party() == party))
            && filter.respond_by_before.is_none_or(|before| {
                gate.is_some_and(|gate| {
                    gate.respond_by
                        .is_some_and(|respond_by| respond_by < before)
                })
            })
    };
    is(&filter.order, &order.key())
        && is(&filter.seller, &order.seller)
        && is(&filter.state, &cancellation.state())
        && cancellation.parts.iter().any(part_matches)
}

#[tokio::test]
async fn rows_of_the_release_before_are_filled() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let all = orders_of_all_sorts();
    crate::common::insert_orders(
        &mut conn,
        &all.iter().map(|order| (order, 0)).collect::<Vec<_>>(),
    )
    .await
    .unwrap();
    let of_sku = OrderFilter {
        sku: Some(Sku::parse("SKU-1").unwrap()),
        ..all_orders()
    };
    let of = |awaiting| CancellationFilter {
        warehouse: Some(WarehouseId::parse("w-1").unwrap()),
        carrier: Some(CarrierId::parse("c-0").unwrap()),
        awaiting,
        ..all_cancellations()
    };
    let parties = [
        None,
        Some(Role::Seller),
        Some(Role::Support),
        Some(Role::Warehouse),
        Some(Role::Carrier),
    ];
    let mut lists = async || {
        let mut lists = vec![pages!(&mut conn, &of_sku)];
        for party in parties {
            lists.push(pages!(&mut conn, &of(party)));
        }
        lists
    };
    let before = lists().await;
    assert!(before.iter().all(|places| !places.is_empty()), "{before:?}");

    let mut release_before = database.connect().await;
    let forget = "UPDATE order_lines SET store_id = NULL, create_time = NULL; \
        UPDATE cancellation_parts SET store_id = NULL, warehouse_id = NULL, carrier_id = NULL, create_time = NULL; \
        UPDATE gates SET store_id = NULL, seller_id = NULL, warehouse_id = NULL, carrier_id = NULL, \
            create_time = NULL, awaiting = NULL";
    release_before.batch_execute(forget).await.unwrap();
    assert!(lists().await.iter().all(Vec::is_empty));
    for fill in [
        include_str!("../../migrations/0042_fill_order_lines/up.sql"),
        include_str!("../../migrations/0046_fill_parts/up.sql"),
        include_str!("../../migrations/0048_fill_gates/up.sql"),
    ] {
        release_before.batch_execute(fill).await.unwrap();
    }
    assert_eq!(lists().await, before);
}
