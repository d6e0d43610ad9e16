//! A rush, seen by the shop: hundreds of orders are placed and paid, and customer service cancels
//! most of them while the warehouse packs and dispatches. Beside `make run`, and beside
//! `rush_warehouse`, which plays the other side in a process of its own:
//!
//! ```sh
//! cargo run -p belay-client --example rush_warehouse
//! cargo run -p belay-client --example rush_storefront
//! ```
//!
//! In the end it reports from Belay's records that nothing has both left and been cancelled without
//! an incident, and fails where something has. `BELAY_ADDRESS` names another server than
//! `http://127.0.0.1:50051`, `BELAY_RUSH_ORDERS` another number of orders than 300.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

mod rush;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use belay_client::calls::{NewBuyer, NewLine};
use belay_client::model::{
    CancellationState, Destination, IncidentKind, Order, PaymentFact, ShipmentStage,
};
use belay_client::{Error, Kind, Money, OrderId, RequestId, Role, Store, Units, reason};
use futures_util::{StreamExt, TryStreamExt, stream};
use rush::{LAST, STORE, a_moment};

/// Customers who are served at once.
const TOGETHER: usize = 24;
const ORDERS_DEFAULT: usize = 300;
/// Between two looks at what is not over yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(contradictions) => {
            eprintln!("rush_storefront: {contradictions} contradictions");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("rush_storefront: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The same store, for each of its callers.
struct Shop {
    storefront: Store,
    till: Store,
    service: Store,
}

/// The outcome of the request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    None,
    Cancelled,
    AsksWarehouse,
    TooLate,
}

async fn run() -> Result<usize, Error> {
    let (belay, address) = rush::connect()?;
    rush::open_store(&belay).await?;
    let shop = Shop {
        storefront: belay.with_role(Role::Storefront, "web")?.store(STORE),
        till: belay.with_role(Role::Payments, "checkout")?.store(STORE),
        service: belay.with_role(Role::Support, "sam")?.store(STORE),
    };
    let orders = env::var("BELAY_RUSH_ORDERS").ok();
    let orders = orders.and_then(|orders| orders.parse().ok());
    let orders = orders.unwrap_or(ORDERS_DEFAULT);
    println!("Belay at {address}, store {STORE}: a rush of {orders} orders");

    let lives = stream::iter((0..orders).map(|_| shop.live()));
    let lives: Vec<(OrderId, Outcome)> = lives.buffer_unordered(TOGETHER).try_collect().await?;
    let count = |outcome| lives.iter().filter(|(_, of)| *of == outcome).count();
    println!("  {:>4} are kept", count(Outcome::None));
    println!("  {:>4} cancelled at once", count(Outcome::Cancelled));
    println!(
        "  {:>4} to be stopped by the warehouse",
        count(Outcome::AsksWarehouse)
    );
    println!("  {:>4} too late to be cancelled", count(Outcome::TooLate));

    println!("Now the warehouse finishes");
    for (order_id, _) in &lives {
        shop.until(order_id, |order| !is_open(order)).await?;
    }
    // Behind everything else: when its parcel is on record, so is all that left before it.
    let last = shop.sell(LAST).await?;
    shop.until(&last, |order| {
        let mut shipments = order.shipments.iter();
        shipments.all(|shipment| shipment.dispatch_time.is_some())
    })
    .await?;
    println!("The last parcel of the day has left\n");
    shop.report(&lives).await
}

impl Shop {
    /// A customer who buys, and may change their mind.
    async fn live(&self) -> Result<(OrderId, Outcome), Error> {
        let order_id = self.sell("rush-").await?;
        if fastrand::u8(..4) == 0 {
            return Ok((order_id, Outcome::None));
        }
        a_moment(2_000).await;
        let units = if fastrand::bool() {
            Units::all()
        } else {
            let order = self.storefront.get_order(&order_id).await?;
            Units::line(&order.lines[0].line_id, 1)
        };
        let request = self
            .service
            .request_cancellation(&order_id, units)
            .reason(reason::NO_LONGER_WANTED);
        let outcome = match request.await {
            Ok(answer) if answer.cancellation.state == CancellationState::Pending => {
                Outcome::AsksWarehouse
            }
            Ok(_) => Outcome::Cancelled,
            Err(error) if error.kind() == Kind::Rejected => Outcome::TooLate,
            Err(error) => return Err(error.into()),
        };
        Ok((order_id, outcome))
    }

    /// Two mugs, sold and paid.
    async fn sell(&self, prefix: &str) -> Result<OrderId, Error> {
        // A shop would number its orders; an example that runs often takes something random.
        let order_id = format!("{prefix}{:.13}", RequestId::mint().to_string());
        let mugs = NewLine::new("MUG-BLUE", 2, Money::new("EUR", 2_400));
        let sale = self.storefront.create_order(
            &order_id,
            NewBuyer::new("b-7"),
            "acme",
            Destination::new("DE"),
            [mugs],
        );
        let order = sale.await?;
        let payment = format!("pay-{order_id}");
        let event = format!("{payment}-1");
        self.till
            .record_payment(&order_id, &payment, event, PaymentFact::Captured)
            .amount(order.totals.due.clone())
            .method("CREDIT_CARD")
            .await?;
        Ok(order.order_id.clone())
    }

    /// Looks at an order until it is so.
    async fn until(&self, order_id: &OrderId, is_so: impl Fn(&Order) -> bool) -> Result<(), Error> {
        let mut looks = 0;
        while !is_so(&self.storefront.get_order(order_id).await?) {
            looks += 1;
            if looks == 50 {
                println!("  waiting for {order_id}: does rush_warehouse run?");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// What Belay has on record of these orders. Says how many contradictions there are that no
    /// incident tells of.
    async fn report(&self, lives: &[(OrderId, Outcome)]) -> Result<usize, Error> {
        let (mut left, mut stayed, mut explained, mut contradictions) = (0, 0, 0, 0);
        for (order_id, _) in lives {
            let order = self.service.get_order(order_id).await?;
            for shipment in &order.shipments {
                match shipment.dispatch_time {
                    Some(_) => left += 1,
                    None => stayed += 1,
                }
                let both: i32 = shipment
                    .contents
                    .iter()
                    .map(|of| of.dispatched_quantity + of.cancelled_quantity - of.quantity)
                    .map(|both| both.max(0))
                    .sum();
                let is_told = order.incidents.iter().any(|incident| {
                    incident.kind == IncidentKind::CancelledYetShipped
                        && incident.subject_id == shipment.shipment_id.as_str()
                });
                match (both, is_told) {
                    (0, _) => {}
                    (_, true) => explained += 1,
                    (units, false) => {
                        contradictions += 1;
                        let id = &shipment.shipment_id;
                        println!("  {id}: {units} units have left and are cancelled");
                    }
                }
            }
        }
        println!("On record");
        println!("  {left:>4} shipments left");
        println!("  {stayed:>4} were cancelled whole and stayed");
        println!("  {explained:>4} left although they were cancelled, each under an incident");
        println!("  {contradictions:>4} left and were cancelled without an incident");
        Ok(contradictions)
    }
}

/// Whether something of it may still move.
fn is_open(order: &Order) -> bool {
    let is_inside = |stage| {
        matches!(
            stage,
            ShipmentStage::Unreleased
                | ShipmentStage::Planned
                | ShipmentStage::Preparing
                | ShipmentStage::Ready
        )
    };
    let mut cancellations = order.cancellations.iter();
    order
        .shipments
        .iter()
        .any(|shipment| is_inside(shipment.stage))
        || cancellations.any(|of| of.state == CancellationState::Pending)
}
