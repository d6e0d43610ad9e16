//! Samples that most tests begin with.

use belay_client::calls::{NewBuyer, NewLine};
use belay_client::model::{Destination, Order, PaymentFact};
use belay_client::{Error, Money, Role, Store};

/// Places an order that is paid, as a storefront and its payment provider would: two mugs and a pen
/// of the seller `acme` for 29.90 EUR, shipped to Berlin from the warehouse `main` by the carrier
/// `standard`, which every store of [`Server::store`](crate::Server::store) has.
///
/// `store` is that of an operator, or of a storefront.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), belay_client::Error> {
/// use belay_client::model::OrderState;
///
/// let server = belay_testing::Server::start().await;
/// let store = server.store("demo", "independent-site").await?;
/// let order = belay_testing::place_paid(&store, "A-1").await?;
/// assert_eq!(order.state, OrderState::ToShip);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Store::create_order`] and [`Store::record_payment`].
pub async fn place_paid(store: &Store, order_id: &str) -> Result<Order, Error> {
    let eur = |minor_units| Money::new("EUR", minor_units);
    let lines = [
        NewLine::new("MUG", 2, eur(2_400)),
        NewLine::new("PEN", 1, eur(300)),
    ];
    let to = Destination::new("DE").city("Berlin");
    let order = store.create_order(order_id, NewBuyer::new("ann"), "acme", to, lines);
    let order = order.shipping(eur(290)).await?;
    let (payment, event) = (format!("pay-{order_id}"), format!("event-{order_id}"));
    let till = store.with_role(Role::Payments, "checkout")?;
    let paid = till.record_payment(order_id, payment, event, PaymentFact::Captured);
    let paid = paid.amount(order.totals.due.clone()).method("CREDIT_CARD");
    Ok(paid.await?.value)
}
