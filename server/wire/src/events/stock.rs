//! Movements of goods that events tell of, for the ledger of stock.

use belay_domain::cancellation::PartState;
use belay_domain::ids::{ChildKind, IdError, OrderId, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::shipment::Stage;
use belay_domain::stock::{Contents, Fact, OrderNews, ShipmentFact};
use belay_domain::terms::{Effect, GoodsCondition};
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
        facts.extend(facts_of(event)?);
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

fn facts_of(event: &pb::Event) -> Result<Vec<ShipmentFact>, NewsError> {
    let (shipment_id, fact) = match &event.detail {
        Some(Detail::OrderCreated(created)) => {
            let planned = created.shipments.iter().map(|shipment| {
                let contents = contents(&shipment.contents)?;
                let place = (&*shipment.shipment_id, &*shipment.warehouse_id);
                told(event, place, Fact::Planned { contents })
            });
            return planned.collect();
        }
        Some(Detail::ShipmentStageChanged(moved)) => {
            let to = Stage::from_number(moved.to_stage).ok_or(NewsError::Value("the stage"))?;
            let contents = contents(&moved.contents)?;
            (&moved.shipment_id, Fact::Moved { to, contents })
        }
        Some(Detail::PartEnded(ended)) if ended.state == PartState::Cancelled.number() => {
            let (_, cancellation) = ChildKind::Cancellation.parse(&ended.cancellation_id)?;
            let fact = Fact::Cancelled {
                contents: contents(&ended.contents)?,
                cancellation,
                zeroes: ended.effects.contains(&Effect::ZeroStock.number()),
            };
            (&ended.shipment_id, fact)
        }
        Some(Detail::ParcelReceived(received)) => {
            let condition = GoodsCondition::from_number(received.condition);
            let fact = Fact::Received {
                condition: condition.ok_or(NewsError::Value("the condition"))?,
                contents: contents(&received.contents)?,
            };
            (&received.shipment_id, fact)
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
    Ok(vec![told(event, (shipment_id, &event.warehouse_id), fact)?])
}

fn told(
    event: &pb::Event,
    (shipment_id, warehouse_id): (&str, &str),
    fact: Fact,
) -> Result<ShipmentFact, NewsError> {
    Ok(ShipmentFact {
        position: event.position.unsigned_abs(),
        time: event_time(event)?,
        shipment: ChildKind::Shipment.parse(shipment_id)?.1,
        warehouse: WarehouseId::parse(warehouse_id)?,
        fact,
    })
}

pub(super) fn event_time(event: &pb::Event) -> Result<Timestamp, NewsError> {
    let time = event.event_time.ok_or(NewsError::Value("the time"))?;
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
