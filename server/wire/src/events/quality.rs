//! Facts about a seller that events tell of, for the seller's quality.

use belay_domain::cancellation::PartState;
use belay_domain::ids::{ChildKind, OrderId, SellerId, StoreId};
use belay_domain::quality::{FactKind, SellerFact};
use belay_domain::shipment::Stage;
use belay_proto::v1 as pb;
use belay_proto::v1::EventType;
use belay_proto::v1::event::Detail;

use super::stock::{NewsError, event_time};
use crate::Wire as _;

/// What the events of one write tell. Events that were written before they named their seller are
/// of no one's.
pub fn seller_facts(events: &[pb::Event]) -> Result<Vec<SellerFact>, NewsError> {
    let mut facts = Vec::new();
    for event in events.iter().filter(|event| !event.seller_id.is_empty()) {
        if let Some(fact) = quality_fact(event)? {
            facts.push(SellerFact {
                store: StoreId::parse(&event.store_id)?,
                seller: SellerId::parse(&event.seller_id)?,
                order: OrderId::parse(&event.order_id)?,
                kind: fact.kind,
                number: fact.number,
                cancellation: fact.cancellation,
                time: event_time(event)?,
            });
        }
    }
    Ok(facts)
}

/// The fact of an event, apart from whose it is.
struct QualityFact {
    kind: FactKind,
    /// Of the shipment or the cancellation that it is about; 0 where it is the order.
    number: u32,
    cancellation: Option<u32>,
}

fn quality_fact(event: &pb::Event) -> Result<Option<QualityFact>, NewsError> {
    let fact = |kind, number, cancellation| QualityFact {
        kind,
        number,
        cancellation,
    };
    Ok(match &event.detail {
        Some(Detail::OrderCreated(_)) => Some(fact(FactKind::OrderPlaced, 0, None)),
        // However it comes there: a parcel of a split shipment begins as PLANNED. One that is
        // planned again is due already.
        Some(Detail::ShipmentStageChanged(moved)) if moved.to_stage == Stage::Planned.number() => {
            let (_, number) = ChildKind::Shipment.parse(&moved.shipment_id)?;
            Some(fact(FactKind::ShipmentDue, number, None))
        }
        Some(Detail::CancellationChanged(changed))
            if event.event_type() == EventType::CancellationCompleted && changed.counted =>
        {
            let (_, number) = ChildKind::Cancellation.parse(&changed.cancellation_id)?;
            Some(fact(FactKind::CancellationCounted, number, Some(number)))
        }
        Some(Detail::PartEnded(ended))
            if ended.state == PartState::Cancelled.number() && ended.counted =>
        {
            let (_, number) = ChildKind::Shipment.parse(&ended.shipment_id)?;
            let (_, cancellation) = ChildKind::Cancellation.parse(&ended.cancellation_id)?;
            Some(fact(FactKind::ShipmentCounted, number, Some(cancellation)))
        }
        Some(
            Detail::PaymentRecorded(_)
            | Detail::ShipmentStageChanged(_)
            | Detail::TrackingRecorded(_)
            | Detail::CancellationChanged(_)
            | Detail::GateChanged(_)
            | Detail::RefundChanged(_)
            | Detail::IncidentChanged(_)
            | Detail::PartEnded(_)
            | Detail::ShipmentHeld(_)
            | Detail::HoldEnded(_)
            | Detail::ShipmentSplit(_)
            | Detail::InterceptChanged(_)
            | Detail::ParcelReceived(_)
            | Detail::PreparationOverdue(_)
            | Detail::RefundOverdue(_)
            | Detail::PaymentLapsed(_)
            | Detail::RequestRejected(_)
            | Detail::MetadataChanged(_)
            | Detail::NoteAdded(_),
        )
        | None => None,
    })
}
