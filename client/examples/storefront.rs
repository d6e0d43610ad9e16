//! The life of one order, from its sale to the money going back: against the demo store of `make
//! run`.
//!
//! ```sh
//! cargo run -p belay-client --example storefront
//! ```
//!
//! `BELAY_ADDRESS` names another server than `http://127.0.0.1:50051`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::env;
use std::process::ExitCode;

use belay_client::calls::{NewBuyer, NewLine};
use belay_client::model::{Destination, Order, PaymentFact, RefundResult};
use belay_client::{Belay, Error, Money, RequestId, Role, Store, Units, reason};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("storefront: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let address = env::var("BELAY_ADDRESS").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let belay = Belay::builder(&address)
        .role(Role::Storefront, "web")
        .build()?;
    let store = belay.store("demo");
    println!(
        "Belay at {address}, store {}\n",
        store.get_store().await?.display_name
    );

    let order = place(&store).await?;
    let order = pay(&store.with_role(Role::Payments, "checkout")?, &order).await?;

    println!("\nThe buyer asks: may the mugs be cancelled?");
    let mugs = Units::line(&order.lines[0].line_id, order.lines[0].quantity);
    let preview = store
        .preview_cancellation(&order.order_id, mugs.clone())
        .reason(reason::NO_LONGER_WANTED)
        .await?;
    for option in preview.options.iter().filter(|option| option.chosen) {
        let rule = option.rule.as_deref().unwrap_or("none");
        println!(
            "  {} on the path {}, by the rule {rule}",
            option.shipment_id, option.path
        );
    }
    for rejection in &preview.rejections {
        println!("  against it: {} ({})", rejection.reason, rejection.message);
    }
    if let Some(refund) = &preview.expected_refund {
        println!("  yes, and {} would go back", refund.total);
    }

    cancel(&store, &order, "the mugs", mugs).await?;
    cancel(&store, &order, "the rest", Units::all()).await?;
    settle(&store.with_role(Role::Payments, "worker-1")?, &order).await?;

    println!("\nWhat came to pass:");
    for event in store
        .list_order_history(&order.order_id)
        .page_size(100)
        .await?
    {
        println!(
            "  {:>3}  {:<23} by {}",
            event.order_version, event.event_type, event.actor.role
        );
    }
    show("\nIn the end", &store.get_order(&order.order_id).await?);
    Ok(())
}

/// Two lines, shipped to Berlin.
async fn place(store: &Store) -> Result<Order, Error> {
    // A shop would number its orders; an example that runs often takes something random.
    let order_id = format!("web-{:.8}", RequestId::mint().to_string());
    let buyer = NewBuyer::new("b-7").email("ada@example.org");
    let lines = [
        NewLine::new("MUG-BLUE", 2, eur(2_400))
            .title("Mug, blue")
            .tax(eur(456)),
        NewLine::new("TEA-100", 1, eur(650))
            .title("Tea, 100 g")
            .discount(eur(50))
            .tax(eur(42)),
    ];
    let order = store
        .create_order(
            order_id,
            buyer,
            "acme",
            Destination::new("DE").city("Berlin"),
            lines,
        )
        .shipping(eur(490))
        .await?;
    println!("Placed {}", order.order_id);
    for line in &order.lines {
        println!(
            "  {} x {:<10} {:>10}  {}",
            line.quantity,
            line.sku,
            line.goods.to_string(),
            line.line_id
        );
    }
    show("  now", &order);
    Ok(order.value)
}

/// The facts of a payment system: authorised, then captured.
async fn pay(store: &Store, order: &Order) -> Result<Order, Error> {
    let payment = format!("pay-{}", order.order_id);
    println!("\nThe buyer pays {} by card", order.totals.due);
    let fact = |event: &str, fact| {
        let call = store.record_payment(
            &order.order_id,
            &payment,
            format!("{payment}-{event}"),
            fact,
        );
        call.amount(order.totals.due.clone()).method("CREDIT_CARD")
    };
    show("  authorised", &*fact("1", PaymentFact::Authorized).await?);
    let paid = fact("2", PaymentFact::Captured).await?;
    show("  captured", &paid);
    Ok(paid.value)
}

async fn cancel(store: &Store, order: &Order, what: &str, units: Units) -> Result<(), Error> {
    let requested = store
        .request_cancellation(&order.order_id, units)
        .reason(reason::NO_LONGER_WANTED)
        .await?;
    let cancellation = &requested.cancellation;
    println!(
        "\nThe buyer cancels {what}: {} is {}",
        cancellation.cancellation_id, cancellation.state
    );
    println!(
        "  {} goes back; the order is {}",
        cancellation.expected_refund.total, requested.order_state
    );
    Ok(())
}

/// The payment worker: claims what is due, asks the provider, records the answer.
async fn settle(store: &Store, order: &Order) -> Result<(), Error> {
    println!("\nThe payment worker");
    for refund in store.claim_refunds("worker-1").max_refunds(100).await? {
        // Here a worker asks the payment provider for the refund, with this very key. The demo's
        // provider always agrees.
        let provider_refund_id = format!("re-{}", refund.provider_key);
        let settled = store
            .record_refund_result(&refund.refund_id, RefundResult::Settled)
            .provider_refund_id(provider_refund_id)
            .await?;
        let whose = if refund.order_id == order.order_id {
            ""
        } else {
            " (of another order)"
        };
        println!(
            "  {:>10} {}: {}{whose}",
            refund.amount.total.to_string(),
            refund.refund_id,
            settled.state
        );
    }
    Ok(())
}

fn show(when: &str, order: &Order) {
    let why = order.cancellable_explanation.as_ref();
    let cancellable = match (order.cancellable_now, why) {
        (true, _) => "to be cancelled directly".to_owned(),
        (false, Some(reason)) => format!("not to be cancelled directly: {reason}"),
        (false, None) => "to be cancelled if somebody agrees".to_owned(),
    };
    println!(
        "{when}: {} ({}), {cancellable}",
        order.display_state, order.state
    );
    println!(
        "    due {}, captured {}, refunded {}",
        order.totals.due, order.totals.captured, order.totals.refunded
    );
}

fn eur(cents: i64) -> Money {
    Money::new("EUR", cents)
}
