//! SplitShipment: what was to go as one parcel goes as several. No cancellation: money and units
//! stay what they are.

use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::event::EventDetail;
use crate::lifecycle::draft::{Draft, next_number};
use crate::lifecycle::{customs, quantities};
use crate::order::{CONTENTS_MAX, SHIPMENTS_MAX};
use crate::rejection::{FieldViolation, Limit, Rejection};
use crate::shipment::{Shipment, Stage};
use crate::terms::NextAction;
use crate::units::{LineQuantity, UnitSet};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitShipment {
    pub shipment: u32,
    /// The fence that the caller last saw, where it wants it compared.
    pub fence: Option<u32>,
    /// What each new shipment holds, two at least; together every unit of the shipment that is not
    /// cancelled.
    pub parcels: Vec<Vec<LineQuantity>>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &SplitShipment) -> Result<Answer, Rejection> {
    let number = command.shipment;
    check_parcels(&command.parcels)?;
    let shipment = draft.shipment_at(number, command.fence)?.clone();
    let contents = contents(&draft.order.live_units(&shipment), &command.parcels)?;
    let stage = match shipment.stage {
        Stage::Unreleased => Stage::Unreleased,
        Stage::Planned | Stage::Preparing | Stage::Ready => Stage::Planned,
        stage @ (Stage::InTransit
        | Stage::Delivered
        | Stage::Cancelled
        | Stage::Lost
        | Stage::Returning
        | Stage::Returned
        | Stage::Split) => return Err(Rejection::StageMismatch { stage }),
    };
    let waits = |number: &u32| draft.order.waits_on(*number, shipment.number);
    if let Some(cancellation) = draft.order.cancellations_on(number).into_iter().find(waits) {
        return Err(Rejection::ShipmentBarred { cancellation });
    }
    check_remedy(draft, &shipment)?;
    if draft.order.shipments.len() + contents.len() > SHIPMENTS_MAX {
        return Err(Rejection::LimitReached {
            limit: Limit::Shipments,
            max: SHIPMENTS_MAX,
        });
    }
    check_contents(draft, &shipment, &contents)?;

    let into = add_parcels(draft, &shipment, stage, contents);
    draft.emit(EventDetail::ShipmentSplit {
        shipment: number,
        into: into.clone(),
    });
    // Whoever rebuilds the shipments from their events learns where the new ones stand, and that
    // the hold has passed to them.
    for parcel in into.iter().copied() {
        draft.emit(EventDetail::ShipmentStageChanged {
            shipment: parcel,
            from: shipment.stage,
            to: stage,
            fence: 1,
        });
        if let Some(until) = shipment.hold_ends() {
            draft.emit(EventDetail::ShipmentHeld {
                shipment: parcel,
                until,
            });
        }
    }
    end(draft, number);
    for shipment in into.into_iter().chain([number]) {
        customs::flag_again(draft, shipment);
    }
    Ok(Answer::Shipment(number))
}

/// The new shipments, in the order of their contents.
fn add_parcels(
    draft: &mut Draft<'_>,
    shipment: &Shipment,
    stage: Stage,
    contents: Vec<UnitSet>,
) -> Vec<u32> {
    let order = &draft.order;
    let fees = order.split_shipping(shipment.shipping, shipment.shipping_tax, &contents);
    let mut into = Vec::with_capacity(contents.len());
    for (units, (shipping, shipping_tax)) in contents.into_iter().zip(fees) {
        let number = next_number(&draft.order.shipments, |shipment| shipment.number);
        draft.order.shipments.push(Shipment {
            number,
            stage,
            fence: 1,
            units,
            shipping,
            shipping_tax,
            tracking_number: None,
            update_time: draft.now,
            // What carriers said was said of the parcel that is no more.
            last_tracking_time: None,
            carrier_event_ids: Vec::new(),
            intercept: None,
            split_from: Some(shipment.number),
            ..shipment.clone()
        });
        if stage != shipment.stage {
            draft.prepare_anew(number);
        }
        into.push(number);
    }
    into
}

/// Ends the shipment that was split. What is cancelled already stays behind.
fn end(draft: &mut Draft<'_>, number: u32) {
    let cancelled = draft.order.cancelled_units();
    let left = draft.shipment_mut(number);
    left.units = left.units.intersection(&cancelled);
    (left.shipping, left.shipping_tax) = (0, 0);
    left.prepare_by = None;
    draft.raise_fence(number);
    draft.end_hold(number);
    draft.move_shipment(number, Stage::Split);
}

/// A line that is in several parcels counts once for each, and what was cancelled stays behind.
fn check_contents(
    draft: &Draft<'_>,
    shipment: &Shipment,
    contents: &[UnitSet],
) -> Result<(), Rejection> {
    let count = |units: &UnitSet| units.lines().count();
    let left = shipment.units.minus(&draft.order.live_units(shipment));
    let parcels = contents.iter().map(count).sum::<usize>();
    let others = draft.order.content_count() - count(&shipment.units);
    if others + count(&left) + parcels > CONTENTS_MAX {
        return Err(Rejection::LimitReached {
            limit: Limit::Contents,
            max: CONTENTS_MAX,
        });
    }
    Ok(())
}

/// No parcel is empty.
fn check_parcels(parcels: &[Vec<LineQuantity>]) -> Result<(), Rejection> {
    if parcels.len() < 2 {
        return Err(invalid("must be at least two"));
    }
    match parcels
        .iter()
        .position(|parcel| parcel.iter().all(|content| content.quantity == 0))
    {
        Some(index) => Err(invalid(format!(
            "must hold a unit each: [{index}] is empty"
        ))),
        None => Ok(()),
    }
}

/// The units of each parcel. Every unit must be in one.
fn contents(live: &UnitSet, parcels: &[Vec<LineQuantity>]) -> Result<Vec<UnitSet>, Rejection> {
    let mut left = live.clone();
    let mut contents = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        let units = quantities::take(&left, parcel)?;
        left = left.minus(&units);
        contents.push(units);
    }
    if left.is_empty() {
        Ok(contents)
    } else {
        Err(invalid(format!(
            "leave out {} units of the shipment",
            left.count()
        )))
    }
}

fn invalid(description: impl Into<String>) -> Rejection {
    Rejection::InvalidField(vec![FieldViolation {
        field: "parcels".to_owned(),
        description: description.into(),
    }])
}

/// A shipment that customs may stop is split only where the policy offers that.
fn check_remedy(draft: &Draft<'_>, shipment: &Shipment) -> Result<(), Rejection> {
    let remedies = customs::remedies(draft, shipment);
    match remedies {
        Some(remedies) if !remedies.contains(&NextAction::SplitShipment) => {
            Err(Rejection::SplitNotAllowed {
                next_actions: remedies.to_vec(),
            })
        }
        Some(_) | None => Ok(()),
    }
}
