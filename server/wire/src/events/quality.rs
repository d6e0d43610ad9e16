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
        if let Some((kind, number, cancellation)) = told(event)? {
            facts.push(SellerFact {
                store: StoreId::parse(&event.store_id)?,
                seller: SellerId::parse(&event.seller_id)?,
                order: OrderId::parse(&event.order_id)?,
                kind,
                number,
                cancellation,
                time: event_time(event)?,
            });
        }
    }
    Ok(facts)
}

type Told = (FactKind, u32, Option<u32>);

fn told(event: &pb::Event) -> Result<Option<Told>, NewsError> {
    Ok(match &event.detail {
        Some(Detail::OrderCreated(_)) => Some((FactKind::OrderPlaced, 0, None)),
        Some(Detail::ShipmentStageChanged(moved))
            if moved.from_stage == Stage::Unreleased.number()
                && moved.to_stage == Stage::Planned.number() =>
        {
            let (_, number) = ChildKind::Shipment.parse(&moved.shipment_id)?;
            Some((FactKind::ShipmentDue, number, None))
        }
        Some(Detail::CancellationChanged(changed))
            if event.event_type() == EventType::CancellationCompleted && changed.counted =>
        {
            let (_, number) = ChildKind::Cancellation.parse(&changed.cancellation_id)?;
            Some((FactKind::CancellationCounted, number, Some(number)))
        }
        Some(Detail::PartEnded(ended))
            if ended.state == PartState::Cancelled.number() && ended.counted =>
        {
            let (_, number) = ChildKind::Shipment.parse(&ended.shipment_id)?;
            let (_, cancellation) = ChildKind::Cancellation.parse(&ended.cancellation_id)?;
            Some((FactKind::ShipmentCounted, number, Some(cancellation)))
        }
        _ => None,
    })
}
