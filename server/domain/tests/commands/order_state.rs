//! The state of an order is derived, by precedence.

use OrderState::{
    AwaitingPayment, Cancelled, ClosedUnpaid, Delivered, PartlyShipped, Processing, Shipped, ToShip,
};
use belay_domain::order::OrderState;
use belay_domain::shipment::Stage;

use crate::kit::{CancellationRequest, Cart, Case, EXPIRE_AFTER};

fn two_shipments() -> Cart {
    Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]])
}

/// Two shipments of a paid order, each at a stage of `Stage::ALL` but SPLIT: one that was split
/// counts as what came of it.
#[test]
fn every_pair_of_stages_makes_the_state_of_the_table() {
    let stages = &Stage::ALL[1..10];
    let table = [
        // PLANNED PREPARING READY IN_TRANSIT DELIVERED CANCELLED LOST RETURNING RETURNED
        (Stage::Planned, "TO PROC PROC PART PART TO PART PART PART"),
        (
            Stage::Preparing,
            "PROC PROC PROC PART PART PROC PART PART PART",
        ),
        (Stage::Ready, "PROC PROC PROC PART PART PROC PART PART PART"),
        (Stage::InTransit, "PART PART PART SH SH SH SH SH SH"),
        (Stage::Delivered, "PART PART PART SH DE DE SH SH SH"),
        (Stage::Cancelled, "TO PROC PROC SH DE CA SH SH SH"),
        (Stage::Lost, "PART PART PART SH SH SH SH SH SH"),
        (Stage::Returning, "PART PART PART SH SH SH SH SH SH"),
        (Stage::Returned, "PART PART PART SH SH SH SH SH SH"),
    ];
    assert_eq!(table.map(|(stage, _)| stage), stages);
    for (first, row) in table {
        for (second, cell) in stages.iter().zip(row.split(' ')) {
            let mut case = two_shipments().paid();
            case.bring_to(1, first).bring_to(2, *second);
            let state = case.state();
            assert!(
                state.name().starts_with(cell),
                "{first} and {second}: {state}, the table says {cell}"
            );
        }
    }
}

#[test]
fn every_state_is_reached_by_what_really_leads_there() {
    type Steps = fn(&mut Case) -> &mut Case;
    let unpaid: &[(OrderState, Steps)] = &[
        (AwaitingPayment, |case| case),
        (ClosedUnpaid, |case| case.wait(EXPIRE_AFTER).settle()),
        (Cancelled, |case| case.cancelled(CancellationRequest::all())),
        // Not paid comes before all that the shipments say.
        (AwaitingPayment, |case| case.bring_to(1, Stage::Delivered)),
        (ToShip, |case| case.capture("p1", 200)),
        (Shipped, |case| {
            case.bring_to(1, Stage::InTransit)
                .bring_to(2, Stage::InTransit)
                .capture("p1", 200)
        }),
    ];
    let paid: &[(OrderState, Steps)] = &[
        (ToShip, |case| case),
        (Processing, |case| case.bring_to(1, Stage::Ready)),
        (PartlyShipped, |case| case.bring_to(1, Stage::Delivered)),
        (Shipped, |case| {
            case.bring_to(1, Stage::Delivered)
                .bring_to(2, Stage::InTransit)
        }),
        (Delivered, |case| {
            case.bring_to(1, Stage::Delivered)
                .bring_to(2, Stage::Delivered)
        }),
        (Cancelled, |case| {
            case.bring_to(1, Stage::Cancelled)
                .bring_to(2, Stage::Cancelled)
        }),
        // The state of a cancelled order is not moved by what is scanned out.
        (Cancelled, |case| {
            case.bring_to(1, Stage::Cancelled)
                .bring_to(2, Stage::Cancelled)
                .bring_to(1, Stage::Delivered)
        }),
        // A cancelled shipment that left counts no more than one that stayed.
        (ToShip, |case| {
            case.bring_to(1, Stage::Cancelled)
                .bring_to(1, Stage::InTransit)
        }),
    ];
    let mut reached = Vec::new();
    for (carts, table) in [
        (two_shipments().place(), unpaid),
        (two_shipments().paid(), paid),
    ] {
        for (row, (state, steps)) in table.iter().enumerate() {
            let mut case = carts.clone();
            steps(&mut case);
            assert_eq!(case.state(), *state, "row {row}");
            reached.push(case.state());
        }
    }
    reached.sort_unstable();
    reached.dedup();
    assert_eq!(reached, OrderState::ALL, "each state is in the table");
}

#[test]
fn what_was_split_counts_as_what_came_of_it() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.bring_to(1, Stage::Split);
    assert_eq!(case.state(), ToShip);
    case.bring_to(2, Stage::Delivered);
    assert_eq!(case.state(), PartlyShipped);
    case.bring_to(3, Stage::Delivered);
    assert_eq!(case.state(), Delivered);
}
