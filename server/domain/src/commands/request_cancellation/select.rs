//! Which units a wish is about, and in which shipments they are.

use super::judge::{self, Portion, Wish};
use super::{Draft, IneligibleUnits, RequestCancellation, Selection};
use crate::cancellation::{CancellationState, PartState};
use crate::order::Order;
use crate::policy::Policy;
use crate::rejection::{LineQuantity, Rejection};
use crate::units::UnitSet;

/// Spreads the wish over the shipments, one portion each. Units that another cancellation waits for cannot be had twice.
pub(super) fn portions(
    draft: &Draft<'_>,
    policy: &Policy,
    wish: &Wish<'_>,
    request: &RequestCancellation,
) -> Result<Vec<Portion>, Rejection> {
    let order = &draft.order;
    let live = order.units().minus(&order.cancelled_units());
    let wanted = wanted_quantities(order, &live, &request.selection)?;
    let within = match request.selection {
        Selection::Shipment(number) => order.shipment(number).map_or_else(UnitSet::default, |s| s.units.clone()),
        Selection::All | Selection::Lines(_) => live.clone(),
    };
    let live = live.intersection(&within);
    let free = live.minus(&order.claimed_units());

    let mut chosen = UnitSet::default();
    for LineQuantity { line, quantity } in &wanted {
        let (line, requested) = (*line, *quantity);
        let (left, available) = (live.count_of(line), free.count_of(line));
        let takes = match request.on_ineligible_units {
            _ if requested <= available => requested,
            IneligibleUnits::LeaveOut if available > 0 => available,
            IneligibleUnits::LeaveOut | IneligibleUnits::Refuse => {
                return Err(match pending_for_the_same(order, &wanted) {
                    _ if requested > left => Rejection::QuantityUnavailable { line, requested, available },
                    Some(cancellation) => Rejection::AlreadyPending { cancellation },
                    None => Rejection::UnitsClaimed { line, requested, available },
                });
            }
        };
        chosen = chosen.union(&take(draft, policy, wish, &free, line, takes));
    }

    let in_shipment = |shipment: &crate::shipment::Shipment| {
        let units = shipment.units.intersection(&chosen);
        (!units.is_empty()).then_some(Portion { shipment: shipment.number, units })
    };
    Ok(order.shipments.iter().filter_map(in_shipment).collect())
}

fn wanted_quantities(order: &Order, live: &UnitSet, selection: &Selection) -> Result<Vec<LineQuantity>, Rejection> {
    let all_of = |units: &UnitSet| {
        units.lines().map(|line| LineQuantity { line, quantity: units.count_of(line) }).collect::<Vec<_>>()
    };
    match selection {
        Selection::All => Ok(all_of(live)),
        Selection::Shipment(number) => {
            let shipment = order.shipment(*number).ok_or(Rejection::ShipmentNotFound { shipment: *number })?;
            let units = shipment.units.intersection(live);
            match shipment.units.ranges().first() {
                Some(range) if units.is_empty() => {
                    Err(Rejection::QuantityUnavailable { line: range.line, requested: range.count, available: 0 })
                }
                _ => Ok(all_of(&units)),
            }
        }
        Selection::Lines(lines) => match lines.iter().find(|wanted| order.line(wanted.line).is_none()) {
            Some(unknown) => Err(Rejection::LineNotFound { line: unknown.line }),
            None => Ok(lines.clone()),
        },
    }
}

/// The cancellation that waits for just these quantities already.
fn pending_for_the_same(order: &Order, wanted: &[LineQuantity]) -> Option<u32> {
    let pending = order.cancellations.iter().filter(|c| c.state() == CancellationState::Pending);
    let mut same = pending.filter(|cancellation| {
        let waiting = cancellation.parts.iter().filter(|part| part.state == PartState::Waiting);
        let units: UnitSet = waiting.flat_map(|part| part.units.ranges().iter().copied()).collect();
        units.lines().count() == wanted.len() && wanted.iter().all(|want| units.count_of(want.line) == want.quantity)
    });
    same.next().map(|cancellation| cancellation.number)
}

/// Units of a line are taken from the shipment that asks for the fewest gates, then the lowest number; a shipment that the
/// policy would refuse comes last.
fn take(draft: &Draft<'_>, policy: &Policy, wish: &Wish<'_>, free: &UnitSet, line: u32, quantity: u32) -> UnitSet {
    if free.count_of(line) == quantity {
        return free.take_highest(line, quantity);
    }
    let mut sources: Vec<(usize, u32, UnitSet)> = Vec::new();
    for shipment in &draft.order.shipments {
        let units = shipment.units.intersection(free).take_highest(line, quantity);
        if !units.is_empty() {
            let judgement =
                judge::judge(draft, policy, wish, Portion { shipment: shipment.number, units: units.clone() });
            let gates = judgement.allowed.map_or(usize::MAX, |allowed| allowed.gates.len());
            sources.push((gates, shipment.number, units));
        }
    }
    sources.sort_by_key(|(gates, number, _)| (*gates, *number));
    let mut taken = UnitSet::default();
    for (_, _, units) in sources {
        let missing = quantity - taken.count();
        taken = taken.union(&units.take_highest(line, missing));
    }
    taken
}
