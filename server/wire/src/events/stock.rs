//! Movements of goods that events tell of, for the ledger of stock.

use belay_domain::cancellation::PartState;
use belay_domain::ids::{ChildKind, IdError, OrderId, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::shipment::Stage;
use belay_domain::stock::{Contents, Fact, OrderNews, ShipmentFact};
use belay_domain::terms::{Effect, GoodsCondition, Path};
use belay_proto::v1 as pb;
use belay_proto::v1::event::Detail;
use jiff::Timestamp;

use crate::Wire;

/// The reason why stored events cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    #[error("an id: {0}")]
    Id(#[from] IdError),
    #[error("{0} is missing or unknown")]
    Value(&'static str),
}

/// What the events of one write tell; None where they are about no goods. What events of older
/// releases do not say (the SKU of units) is left out.
pub fn order_news(events: &[pb::Event]) -> Result<Option<OrderNews>, NewsError> {
    let mut facts = Vec::new();
    for event in events {
        facts.extend(facts_of(event, events)?);
    }
    let Some(head) = events.first().filter(|_| !facts.is_empty()) else {
        return Ok(None);
    };
    let seller = Some(&head.seller_id).filter(|seller| !seller.is_empty());
    Ok(Some(OrderNews {
        store: StoreId::parse(&head.store_id)?,
        order: OrderId::parse(&head.order_id)?,
        seller: seller.map(SellerId::parse).transpose()?,
        partition: u16::try_from(head.partition).map_err(|_| NewsError::Value("the partition"))?,
        facts,
    }))
}

/// The facts of one of the events of a write.
fn facts_of(event: &pb::Event, write: &[pb::Event]) -> Result<Vec<ShipmentFact>, NewsError> {
    let (shipment_id, fact, time) = match &event.detail {
        Some(Detail::OrderCreated(created)) => {
            let planned = created.shipments.iter().map(|shipment| {
                let contents = contents(&shipment.contents)?;
                let place = (&*shipment.shipment_id, &*shipment.warehouse_id);
                told(event, place, Fact::Planned { contents }, event_time(event)?)
            });
            return planned.collect();
        }
        Some(Detail::ShipmentStageChanged(moved)) => {
            let to = Stage::from_number(moved.to_stage).ok_or(NewsError::Value("the stage"))?;
            let contents = contents(&moved.contents)?;
            let time = moved_time(event, moved, to, write)?;
            (&moved.shipment_id, Fact::Moved { to, contents }, time)
        }
        Some(Detail::PartEnded(ended)) if ended.state == PartState::Cancelled.number() => {
            let (_, cancellation) = ChildKind::Cancellation.parse(&ended.cancellation_id)?;
            let fact = Fact::Cancelled {
                contents: contents(&ended.contents)?,
                cancellation,
                zeroes: ended.effects.contains(&Effect::ZeroStock.number()),
                as_opened: ended.path == Path::ReturnOpened.number(),
            };
            (&ended.shipment_id, fact, event_time(event)?)
        }
        Some(Detail::ParcelReceived(received)) => {
            let condition = GoodsCondition::from_number(received.condition);
            let fact = Fact::Received {
                condition: condition.ok_or(NewsError::Value("the condition"))?,
                contents: contents(&received.contents)?,
            };
            // Told late, it counts where it belongs all the same.
            let time = received.receive_time.map(timestamp).transpose()?;
            (
                &received.shipment_id,
                fact,
                time.unwrap_or(event_time(event)?),
            )
        }
        Some(
            Detail::PaymentRecorded(_)
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
            | Detail::PreparationOverdue(_)
            | Detail::RefundOverdue(_)
            | Detail::PaymentLapsed(_)
            | Detail::RequestRejected(_)
            | Detail::MetadataChanged(_)
            | Detail::NoteAdded(_),
        )
        | None => return Ok(Vec::new()),
    };
    // Events that were written before they named their warehouse cannot be placed.
    if event.warehouse_id.is_empty() {
        return Ok(Vec::new());
    }
    let place = (&**shipment_id, &*event.warehouse_id);
    Ok(vec![told(event, place, fact, time)?])
}

/// When a shipment moved. That it left is often heard of late, from a carrier that saw it on its
/// way: it left by then.
fn moved_time(
    event: &pb::Event,
    moved: &pb::ShipmentStageChanged,
    to: Stage,
    write: &[pb::Event],
) -> Result<Timestamp, NewsError> {
    let mut time = event_time(event)?;
    if !to.is_dispatched() {
        return Ok(time);
    }
    for other in write {
        if let Some(Detail::TrackingRecorded(scan)) = &other.detail
            && scan.shipment_id == moved.shipment_id
            && let Some(occurred) = scan.occurred_time
        {
            time = time.min(timestamp(occurred)?);
        }
    }
    Ok(time)
}

fn told(
    event: &pb::Event,
    (shipment_id, warehouse_id): (&str, &str),
    fact: Fact,
    time: Timestamp,
) -> Result<ShipmentFact, NewsError> {
    Ok(ShipmentFact {
        position: event.position.unsigned_abs(),
        time,
        shipment: ChildKind::Shipment.parse(shipment_id)?.1,
        warehouse: WarehouseId::parse(warehouse_id)?,
        fact,
    })
}

pub(super) fn event_time(event: &pb::Event) -> Result<Timestamp, NewsError> {
    timestamp(event.event_time.ok_or(NewsError::Value("the time"))?)
}

fn timestamp(time: prost_types::Timestamp) -> Result<Timestamp, NewsError> {
    let time = Timestamp::new(time.seconds, time.nanos);
    time.map_err(|_| NewsError::Value("the time"))
}

/// By SKU: several lines may be of one.
fn contents(units: &[pb::SkuQuantity]) -> Result<Contents, NewsError> {
    let mut contents = Contents::new();
    for unit in units.iter().filter(|unit| !unit.sku.is_empty()) {
        let quantity = u32::try_from(unit.quantity).map_err(|_| NewsError::Value("a quantity"))?;
        *contents.entry(Sku::parse(&unit.sku)?).or_default() += quantity;
    }
    Ok(contents)
}
