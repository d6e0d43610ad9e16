//! CreateOrder, rung by rung, and what an order is like when it is placed.

use belay_domain::actor::{Actor, Role};
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventType;
use belay_domain::ids::{CarrierId, WarehouseId};
use belay_domain::order::OrderState;
use belay_domain::rejection::{FieldViolation, Rejection};
use belay_domain::shipment::Stage;

use crate::kit::{Cart, EXPIRE_AFTER, PLACED, PLAIN, Rung, amounts, climb, indexes, policy, store};

fn place(cart: &Cart) -> Result<(), Rejection> {
    let caller = Actor::new(Role::Storefront, "shop");
    cart.decide(&store(policy(PLAIN)), &caller).map(|_| ())
}

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let mut cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 2)]]);
    cart.0.shipments[0].carrier = CarrierId::parse("nobody").ok();
    cart.0.shipments[1].warehouse = WarehouseId::parse("nowhere").ok();
    let rungs: &[Rung<Cart>] = &[
        ("INVALID_FIELD", |cart| {
            cart.0.shipments[1].contents = vec![(1, 1)]
        }),
        ("UNKNOWN_WAREHOUSE", |cart| {
            cart.0.shipments[1].warehouse = WarehouseId::parse("main").ok()
        }),
        ("UNKNOWN_CARRIER", |cart| {
            cart.0.shipments[0].carrier = CarrierId::parse("post").ok()
        }),
    ];
    climb(&mut cart, rungs, place);
}

#[test]
fn every_fault_of_the_shipments_is_listed() {
    let table: &[(Cart, &[&str])] = &[
        (
            Cart::of(&[(2, 2)]).split(&[&[(1, 2), (2, 1)]]),
            &["shipments[0].contents[1].line_number"],
        ),
        (
            Cart::of(&[(2, 2)]).split(&[&[(0, 2)]]),
            &["shipments[0].contents[0].line_number"],
        ),
        (
            Cart::of(&[(2, 2)]).split(&[&[(1, 2)], &[(1, 1)]]),
            &["shipments[1].contents[0].quantity"],
        ),
        (
            Cart::of(&[(2, 2)]).split(&[&[(1, 2)], &[]]),
            &["shipments[1].contents"],
        ),
        (Cart::of(&[(2, 2)]).split(&[&[(1, 1)]]), &["shipments"]),
        (
            Cart::of(&[(2, 2), (1, 1)]).split(&[&[(1, 1)]]),
            &["shipments", "shipments"],
        ),
        (
            Cart::of(&[(2, 2)]).split(&[&[(1, 3), (7, 1)], &[]]),
            &[
                "shipments[0].contents[0].quantity",
                "shipments[0].contents[1].line_number",
                "shipments[1].contents",
            ],
        ),
    ];
    for (cart, fields) in table {
        let Err(Rejection::InvalidField(violations)) = place(cart) else {
            panic!("{:?} is taken", cart.0.shipments)
        };
        assert_eq!(
            violations
                .iter()
                .map(|FieldViolation { field, .. }| &**field)
                .collect::<Vec<_>>(),
            *fields
        );
    }
}

#[test]
fn without_shipments_and_without_a_default_route_nothing_can_be_placed() {
    let mut nowhere = store(policy(PLAIN));
    nowhere.default_route = None;
    let caller = Actor::new(Role::Storefront, "shop");
    assert_eq!(
        Cart::of(&[(1, 1)])
            .decide(&nowhere, &caller)
            .unwrap_err()
            .reason(),
        ErrorReason::InvalidField
    );
}

#[test]
fn a_shipment_goes_by_the_default_route_as_far_as_it_names_none() {
    let caller = Actor::new(Role::Storefront, "shop");
    let mut cart = Cart::of(&[(2, 2)]).split(&[&[(1, 1)], &[(1, 1)]]);
    (cart.0.shipments[0].warehouse, cart.0.shipments[1].carrier) = (None, None);
    let default = store(policy(PLAIN));
    let placed = cart.decide(&default, &caller).unwrap();
    let (warehouse, carrier) = default.default_route.clone().unwrap();
    let order = placed.order;
    assert_eq!(order.shipments[0].warehouse, warehouse);
    assert_eq!(order.shipments[1].carrier, carrier);

    let mut nowhere = default;
    nowhere.default_route = None;
    let Err(Rejection::InvalidField(violations)) = cart.decide(&nowhere, &caller) else {
        panic!("it has no route")
    };
    let fields = violations.iter().map(|violation| &*violation.field);
    assert_eq!(
        fields.collect::<Vec<_>>(),
        ["shipments[0].warehouse_id", "shipments[1].carrier_id"]
    );
}

#[test]
fn an_order_is_placed_unpaid_and_unreleased_under_the_active_policy() {
    let case = Cart::of(&[(3, 300)]).place();
    assert_eq!(
        (case.order.version, case.order.policy_version, case.state()),
        (1, 1, OrderState::AwaitingPayment)
    );
    assert_eq!(
        (case.order.pay_by, case.order.next_due()),
        (PLACED + EXPIRE_AFTER, Some(PLACED + EXPIRE_AFTER))
    );
    assert_eq!(
        (case.stages(), case.shipment(1).fence),
        (vec![Stage::Unreleased], 1)
    );
    assert_eq!(case.events(), [EventType::OrderCreated]);
}

#[test]
fn an_order_that_costs_nothing_is_paid_by_being_placed() {
    let case = Cart::of(&[(1, 0)]).place();
    assert_eq!(
        (case.state(), case.stages(), case.order.next_due()),
        (OrderState::ToShip, vec![Stage::Planned], None)
    );
    assert_eq!(
        case.events(),
        [
            EventType::OrderCreated,
            EventType::OrderPaid,
            EventType::ShipmentStageChanged
        ]
    );
}

#[test]
fn units_go_to_shipments_in_order_and_each_is_in_one() {
    let case = Cart::of(&[(5, 5), (2, 2)])
        .split(&[&[(1, 2), (2, 1)], &[(1, 3)], &[(2, 1)]])
        .place();
    let units = |shipment, line| indexes(&case.shipment(shipment).units, line);
    assert_eq!(
        [units(1, 1), units(2, 1), units(3, 1)],
        [vec![0, 1], vec![2, 3, 4], vec![]]
    );
    assert_eq!(
        [units(1, 2), units(2, 2), units(3, 2)],
        [vec![0], vec![], vec![1]]
    );
}

#[test]
fn shipping_and_its_tax_are_split_by_the_goods_without_losing_a_cent() {
    let cart = Cart::of(&[(1, 7000), (1, 3000)])
        .split(&[&[(1, 1)], &[(2, 1)]])
        .shipping(999, 190);
    let case = cart.place();
    let charges = |shipment| case.shipment(shipment).shipping_amounts();
    assert_eq!(
        [charges(1), charges(2)],
        [amounts(0, 133, 699, 0), amounts(0, 57, 300, 0)]
    );
}

#[test]
fn an_order_costs_goods_less_discount_and_tax_and_shipping() {
    let case = Cart::of(&[(3, 1000)])
        .discount_and_tax(100, 171)
        .shipping(500, 95)
        .place();
    assert_eq!(case.order.total(), amounts(900, 266, 500, 0));
}
