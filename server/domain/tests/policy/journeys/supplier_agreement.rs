//! Orders under "How can I cancel my order?".

use super::*;

fn asked() -> Journey {
    let mut journey = Journey::paid("supplier-agreement", 2, able());
    journey.asks(Role::Storefront, "", Path::Cancel);
    assert_eq!(journey.stands(), "WAITING SELLER_CONSENT");
    assert_eq!(journey.order.state, OrderState::ToShip);
    journey
}

#[test]
fn s002_01_to_04_agreed_not_agreed_silent_and_shipped() {
    let mut agreed = asked();
    agreed.approve(Role::Seller).unwrap();
    assert_eq!(
        (agreed.stands().as_str(), agreed.stage()),
        ("CANCELLED", Stage::Cancelled)
    );
    let mut disagreed = asked();
    disagreed.reject(Role::Seller);
    assert_eq!(disagreed.stands(), "REFUSED CONSENT_REFUSED");
    disagreed.dispatch().unwrap();
    let mut silent = asked();
    silent.wait(hours(7 * 24));
    assert_eq!(silent.stands(), "REFUSED GATE_TIMED_OUT");
    let mut shipped = asked();
    shipped.prepare();
    shipped.dispatch().unwrap();
    assert_eq!(shipped.stands(), "REFUSED NO_AGREEMENT");
    assert_eq!(
        shipped.refused(Role::Storefront, "", Path::Cancel),
        "SHIPPED, CONTACT_SELLER"
    );
}

#[test]
fn s002_06_cards_are_verified_for_24_hours() {
    let mut journey = Journey::place("supplier-agreement", 2, able());
    journey.pay("CREDIT_CARD");
    journey.wait(hours(24) - SignedDuration::from_secs(1));
    let refused = journey.refused(Role::Storefront, "", Path::Cancel);
    assert_eq!(refused, "PAYMENT_VERIFYING, WAIT, CONTACT_SELLER");
    journey.wait(SignedDuration::from_secs(1));
    journey.asks(Role::Storefront, "", Path::Cancel);
    journey.prepare();
    journey.approve(Role::Seller).unwrap();
    assert_eq!(journey.stands(), "CANCELLED");
}

#[test]
fn s002_09_and_10_unpaid_orders_close_themselves_after_20_days() {
    let mut journey = Journey::place("supplier-agreement", 2, able());
    let refused = journey.refused(Role::Storefront, "", Path::Cancel);
    assert_eq!(refused, "UNPAID_CLOSES_ITSELF, PAY, WAIT");
    journey.wait(hours(20 * 24) - SignedDuration::from_secs(1));
    assert_eq!(journey.order.state, OrderState::AwaitingPayment);
    journey.wait(SignedDuration::from_secs(1));
    assert_eq!(journey.order.state, OrderState::ClosedUnpaid);
}
