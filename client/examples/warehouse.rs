//! A day in the warehouse: a parcel that leaves, one that is stopped, and one that is called back
//! and comes home. Against the server of `make run`, in a store of its own.
//!
//! ```sh
//! cargo run -p belay-client --example warehouse
//! ```
//!
//! `BELAY_ADDRESS` names another server than `http://127.0.0.1:50051`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::env;
use std::process::ExitCode;

use belay_client::calls::{FirstPolicy, InterceptAnswer, NewBuyer, NewLine, Stopped};
use belay_client::model::{
    CancellationPath, Destination, GateKind, GateState, GoodsCondition, Order, PaymentFact,
    Shipment,
};
use belay_client::{Belay, Error, ErrorReason, Money, RequestId, Role, Store, Units, reason};
use jiff::SignedDuration;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warehouse: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The same store, for each of its callers.
struct Day {
    storefront: Store,
    till: Store,
    seller: Store,
    warehouse: Store,
    carrier: Store,
}

async fn run() -> Result<(), Error> {
    let address = env::var("BELAY_ADDRESS").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let belay = Belay::builder(&address)
        .role(Role::Operator, "ops")
        .build()?;
    // A policy that asks the warehouse before it cancels what is being packed; and a carrier that
    // turns parcels round.
    belay
        .create_store(
            "demo-warehouse",
            FirstPolicy::preset("cross-border-declaration"),
        )
        .await?;
    let store = belay.store("demo-warehouse");
    store
        .put_carrier("standard", "Standard")
        .in_transit_cancel()
        .await?;
    println!(
        "Belay at {address}, store {}\n",
        store.get_store().await?.display_name
    );

    let day = Day {
        storefront: store.with_role(Role::Storefront, "web")?,
        till: store.with_role(Role::Payments, "checkout")?,
        seller: store.with_role(Role::Seller, "acme")?,
        warehouse: store.with_role(Role::Warehouse, "main")?,
        carrier: store.with_role(Role::Carrier, "standard")?,
    };
    let order = day.sell().await?;
    day.dispatch(&order.shipments[0]).await?;
    day.call_back(&order).await?;
    let order = day.sell().await?;
    day.stop(&order).await
}

impl Day {
    /// One line of two mugs, sold and paid.
    async fn sell(&self) -> Result<Order, Error> {
        // A shop would number its orders; an example that runs often takes something random.
        let order_id = format!("web-{:.8}", RequestId::mint().to_string());
        let mugs = NewLine::new("MUG-BLUE", 2, eur(2_400))
            .title("Mug, blue")
            .tax(eur(456));
        let sale = self.storefront.create_order(
            order_id,
            NewBuyer::new("b-7"),
            "acme",
            Destination::new("DE").city("Berlin"),
            [mugs],
        );
        let order = sale.shipping(eur(490)).await?;
        let payment = format!("pay-{}", order.order_id);
        let event = format!("{payment}-1");
        let paid = self
            .till
            .record_payment(&order.order_id, &payment, event, PaymentFact::Captured)
            .amount(order.totals.due.clone())
            .method("CREDIT_CARD")
            .await?;
        println!("Sold {}: {}", paid.order_id, paid.display_state);
        Ok(paid.value)
    }

    /// Packs a shipment. The seller holds it meanwhile, so that its fence grows and the parcel
    /// stays until the warehouse has looked again.
    async fn dispatch(&self, shipment: &Shipment) -> Result<(), Error> {
        let id = &shipment.shipment_id;
        let packing = self.warehouse.start_preparation(id).await?;
        println!("  {id} is {} at fence {}", packing.stage, packing.fence);
        // By Belay's clock, not by ours.
        let in_an_hour = packing.update_time + SignedDuration::from_hours(1);
        self.seller
            .hold_shipment(id, in_an_hour)
            .note("address in doubt")
            .await?;
        let ready = self.warehouse.mark_ready(id).await?;
        if let Some(hold) = &ready.hold {
            println!(
                "  packed, but {} keeps it in until {}",
                hold.placed_by.role, hold.hold_until
            );
        }
        self.seller.release_hold(id).await?;

        match self.warehouse.dispatch_shipment(id, packing.fence).await {
            Err(error) if error.has_reason(&ErrorReason::FenceStale) => {
                println!("  not to be handed over: {}", error.message());
            }
            other => drop(other?),
        }
        // Look again: what is to be packed, and does anything keep it in?
        let now = self.warehouse.get_shipment(id).await?;
        if now.do_not_hand_over {
            println!("  every unit was cancelled meanwhile: put them back");
            return Ok(());
        }
        let gone = self
            .warehouse
            .dispatch_shipment(id, now.fence)
            .tracking_number("JD0146000")
            .await?;
        println!(
            "  {id} is {} with {}",
            gone.stage,
            gone.tracking_number.as_deref().unwrap_or("no number")
        );
        Ok(())
    }

    /// The buyer cancels a parcel that is on its way, by a quote: the outcome is as it was shown.
    async fn call_back(&self, order: &Order) -> Result<(), Error> {
        let (id, shipment) = (&order.order_id, &order.shipments[0].shipment_id);
        let intercept = [CancellationPath::Intercept];
        let reason = reason::NO_LONGER_WANTED;
        let preview = self
            .storefront
            .preview_cancellation(id, Units::all())
            .reason(reason)
            .paths(intercept)
            .await?;
        let mut request = self
            .storefront
            .request_cancellation(id, Units::all())
            .reason(reason)
            .paths(intercept);
        if let Some(quote) = preview.quote {
            println!(
                "\nThe buyer is shown what would come back, and that holds until {}",
                quote.valid_until
            );
            request = request.quote(quote);
        }
        let cancellation = request.await?.cancellation;
        println!(
            "  {} is {}",
            cancellation.cancellation_id, cancellation.state
        );

        let turned = self
            .carrier
            .answer_intercept(shipment, InterceptAnswer::Confirmed)
            .note("at the hub")
            .await?;
        if let Some(intercept) = turned.intercept {
            println!("  the carrier: {}", intercept.state);
        }
        let home = self
            .warehouse
            .receive_parcel(shipment, GoodsCondition::Unopened)
            .note("seal intact")
            .await?;
        println!("  {shipment} is {}", home.stage);
        self.show(&cancellation.cancellation_id).await
    }

    /// The buyer cancels units that are being packed: the warehouse stops them.
    async fn stop(&self, order: &Order) -> Result<(), Error> {
        let (id, shipment) = (&order.order_id, &order.shipments[0].shipment_id);
        let packing = self.warehouse.start_preparation(shipment).await?;
        let request = self
            .storefront
            .request_cancellation(id, Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let cancellation = request.await?.cancellation;
        println!(
            "  {} is {}",
            cancellation.cancellation_id, cancellation.state
        );

        let is_stop = |kind, state| kind == GateKind::WarehouseStop && state == GateState::Open;
        let mut gates = cancellation.parts.iter().flat_map(|part| &part.gates);
        let stop = gates.find(|gate| is_stop(gate.kind, gate.state));
        if let Some(respond_by) = stop.and_then(|gate| gate.respond_by) {
            println!("  the warehouse has until {respond_by} to answer");
        }
        let mugs = (&order.lines[0].line_id, order.lines[0].quantity);
        let stopped = Stopped::all().stage_seen(packing.stage).put_back([mugs]);
        let stayed = self.warehouse.answer_stop(shipment, stopped).await?;
        println!(
            "  {shipment} is {}, not to be handed over: {}",
            stayed.stage, stayed.do_not_hand_over
        );
        self.show(&cancellation.cancellation_id).await
    }

    async fn show(&self, id: &belay_client::CancellationId) -> Result<(), Error> {
        let cancellation = self.storefront.get_cancellation(id).await?.cancellation;
        println!(
            "  {id} is {}: {} goes back\n",
            cancellation.state, cancellation.expected_refund.total
        );
        Ok(())
    }
}

fn eur(cents: i64) -> Money {
    Money::new("EUR", cents)
}
