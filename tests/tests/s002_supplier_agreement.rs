//! The acceptance cases of the policy `supplier-agreement`: the help page "How can I cancel my
//! order?" of a platform on which companies order from suppliers.

mod agreement;
mod payment;

use belay_client::Role;
use belay_client::calls::FirstPolicy;
use belay_client::model::{Order, PaymentFact};
use belay_tests::TestServer;
use belay_tests::market::Market;
use belay_tests::shop::{TOTAL, eur};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

const SECOND: SignedDuration = SignedDuration::from_secs(1);

async fn open(t: &TestServer) -> Market<'_> {
    t.open_market(FirstPolicy::preset("supplier-agreement"))
        .await
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn days(days: i64) -> SignedDuration {
    hours(24 * days)
}

/// Pays the whole of a standard order by this method.
async fn pay_by(market: &Market<'_>, order_id: &str, method: &str) -> Order {
    let payments = market.as_role(Role::Payments, "psp");
    let paid = payments.record_payment(
        order_id,
        format!("pay-{order_id}"),
        "paid",
        PaymentFact::Captured,
    );
    let paid = paid.amount(eur(TOTAL)).method(method).await;
    paid.unwrap_or_else(|error| panic!("payment of {order_id}: {error}"))
        .value
}

/// A standard order that is paid by a transfer between banks: nothing has to be verified.
async fn place_paid(market: &Market<'_>, order_id: &str) -> Order {
    market.place(order_id, "standard").await;
    pay_by(market, order_id, "BANK_TRANSFER").await
}
