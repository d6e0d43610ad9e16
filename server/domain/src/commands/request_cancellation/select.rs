//! The selection of units for a request, and their allocation to shipments.

use crate::cancellation::{CancellationState, PartState};
use crate::commands::request_cancellation::{Matching, RequestCancellation, Selection};
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility;
use crate::lifecycle::eligibility::{CancellationRequest, Portion};
use crate::order::Order;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::shipment::Shipment;
use crate::terms::IneligibleUnits;
use crate::units::{LineQuantity, UnitSet};

/// The allocation of a request to the shipments.
#[derive(Debug, Default)]
pub(super) struct Allocation {
    /// One for each shipment that is to give units and, of what is home, for each receipt.
    pub(super) portions: Vec<Portion>,
    /// Units that were asked for and left out, because another cancellation waits for them.
    pub(super) claimed: Vec<Portion>,
}

/// Checks that what a request names exists.
pub(super) fn check_named(order: &Order, selection: &Selection) -> Result<(), Rejection> {
    match selection {
        Selection::All | Selection::Matching(_) => Ok(()),
        Selection::Shipment(number) => match order.shipment(*number) {
            Some(_) => Ok(()),
            None => Err(Rejection::ShipmentNotFound { shipment: *number }),
        },
        Selection::Lines(lines) => match lines
            .iter()
            .find(|wanted| order.line(wanted.line).is_none())
        {
            Some(unknown) => Err(Rejection::LineNotFound { line: unknown.line }),
            None => Ok(()),
        },
    }
}

/// Allocates the request to the shipments, one portion each. Units that another cancellation waits
/// for cannot be had twice.
pub(super) fn allocate(
    draft: &Draft<'_>,
    policy: &Policy,
    request: &CancellationRequest<'_>,
    command: &RequestCancellation,
) -> Result<Allocation, Rejection> {
    let order = &draft.order;
    let live = match &command.selection {
        Selection::All | Selection::Lines(_) => order.units().minus(&order.cancelled_units()),
        Selection::Shipment(number) => order
            .shipment(*number)
            .map(|s| order.live_units(s))
            .unwrap_or_default(),
        Selection::Matching(matching) => units_of(order, matching),
    };
    let claimed = live.intersection(&order.claimed_units());
    let free = live.minus(&claimed);
    let wanted = wanted_quantities(&live, &command.selection);
    // An order that is wholly cancelled was answered before; here something else of it is left.
    if wanted.iter().all(|wanted| live.count_of(wanted.line) == 0) {
        return Err(Rejection::NothingToCancel);
    }
    if let Some(rejection) = shortage(order, command, &wanted, &live, &free) {
        return Err(rejection);
    }

    let (mut chosen, mut left_out) = (UnitSet::default(), UnitSet::default());
    for LineQuantity { line, quantity } in wanted {
        let takes = quantity.min(free.count_of(line));
        chosen = chosen.union(&take(draft, policy, request, &free, line, takes));
        left_out = left_out.union(&claimed.take_highest(line, quantity - takes));
    }
    Ok(Allocation {
        portions: eligibility::by_receipt(order, &chosen),
        claimed: eligibility::by_shipment(order, &left_out),
    })
}

/// The units that are not cancelled, of this SKU and in shipments of this warehouse.
fn units_of(order: &Order, Matching { sku, warehouse }: &Matching) -> UnitSet {
    // What has left a warehouse is no longer in it.
    let is_there = |shipment: &&Shipment| {
        warehouse
            .as_ref()
            .is_none_or(|id| shipment.warehouse == *id && shipment.stage.is_before_dispatch())
    };
    let is_it = |line: u32| {
        sku.as_ref()
            .is_none_or(|sku| order.line(line).is_some_and(|l| l.sku == *sku))
    };
    let shipments = order.shipments.iter().filter(is_there);
    let live = shipments.map(|shipment| order.live_units(shipment));
    let ranges = live.flat_map(|units| units.ranges().to_vec());
    ranges.filter(|range| is_it(range.line)).collect()
}

fn wanted_quantities(live: &UnitSet, selection: &Selection) -> Vec<LineQuantity> {
    match selection {
        Selection::All | Selection::Shipment(_) | Selection::Matching(_) => live
            .lines()
            .map(|line| LineQuantity {
                line,
                quantity: live.count_of(line),
            })
            .collect(),
        Selection::Lines(lines) => lines.clone(),
    }
}

/// The rejection of a request that asks for more than is free. One that leaves out what it cannot
/// have is content with less, but not with nothing, and not where it only repeats a request that
/// waits.
fn shortage(
    order: &Order,
    command: &RequestCancellation,
    wanted: &[LineQuantity],
    live: &UnitSet,
    free: &UnitSet,
) -> Option<Rejection> {
    let short = || {
        wanted
            .iter()
            .copied()
            .filter(|wanted| wanted.quantity > free.count_of(wanted.line))
    };
    let first = short().next()?;
    if let Some(cancellation) = pending_for_the_same(order, &command.selection, wanted, live) {
        return Some(Rejection::AlreadyPending { cancellation });
    }
    let some_are_free = wanted.iter().any(|wanted| free.count_of(wanted.line) > 0);
    if command.on_ineligible_units == IneligibleUnits::LeaveOut && some_are_free {
        return None;
    }
    let is_claimed =
        |wanted: &LineQuantity| live.count_of(wanted.line) > free.count_of(wanted.line);
    let claimed = short().find(is_claimed);
    let LineQuantity {
        line,
        quantity: requested,
    } = claimed.unwrap_or(first);
    let available = free.count_of(line);
    Some(match claimed {
        Some(_) => Rejection::UnitsClaimed {
            line,
            requested,
            available,
        },
        None => Rejection::QuantityUnavailable {
            line,
            requested,
            available,
        },
    })
}

/// The cancellation that waits for just these units already, or for just these quantities where no
/// units are named.
fn pending_for_the_same(
    order: &Order,
    selection: &Selection,
    wanted: &[LineQuantity],
    live: &UnitSet,
) -> Option<u32> {
    let pending = order
        .cancellations
        .iter()
        .filter(|c| c.state() == CancellationState::Pending);
    let mut same = pending.filter(|cancellation| {
        let waiting = cancellation
            .parts
            .iter()
            .filter(|part| part.state == PartState::Waiting);
        let units: UnitSet = waiting
            .flat_map(|part| part.units.ranges().iter().copied())
            .collect();
        match selection {
            Selection::All | Selection::Shipment(_) | Selection::Matching(_) => units == *live,
            Selection::Lines(_) => {
                units.lines().count() == wanted.len()
                    && wanted
                        .iter()
                        .all(|wanted| units.count_of(wanted.line) == wanted.quantity)
            }
        }
    });
    same.next().map(|cancellation| cancellation.number)
}

/// Units of a line are taken first of what is not home, then from the shipment that asks for the
/// fewest gates, then the lowest number; a shipment that the policy would refuse comes last.
/// Whoever holds one of two and names one means the one they hold.
fn take(
    draft: &Draft<'_>,
    policy: &Policy,
    request: &CancellationRequest<'_>,
    free: &UnitSet,
    line: u32,
    quantity: u32,
) -> UnitSet {
    if free.count_of(line) == quantity {
        return free.take_highest(line, quantity);
    }
    let mut sources: Vec<((bool, bool, usize, u32), UnitSet)> = Vec::new();
    for shipment in &draft.order.shipments {
        let (here, home) = (
            shipment.units.intersection(free),
            &shipment.whereabouts.home,
        );
        for (is_home, units) in [(false, here.minus(home)), (true, here.intersection(home))] {
            let units = units.take_highest(line, quantity);
            if units.is_empty() {
                continue;
            }
            let evaluation = eligibility::evaluate(
                draft,
                policy,
                request,
                Portion::out(shipment.number, units.clone()),
            );
            let gates = evaluation.allowed.map(|allowed| allowed.gates.len());
            let rank = (
                gates.is_none(),
                is_home,
                gates.unwrap_or_default(),
                shipment.number,
            );
            sources.push((rank, units));
        }
    }
    sources.sort_by_key(|(rank, _)| *rank);
    let mut taken = UnitSet::default();
    for (_, units) in sources {
        let missing = quantity - taken.count();
        taken = taken.union(&units.take_highest(line, missing));
    }
    taken
}
