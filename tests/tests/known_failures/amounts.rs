//! What comes back for a part of an order: to the minor unit, whatever its discounts, taxes and
//! shipping.

use belay_client::calls::{NewBuyer, NewLine, NewShipment};
use belay_client::model::{
    Destination, OrderState, PaymentFact, Refund, RefundAmount, RefundState,
};
use belay_client::{Units, reason};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{TestServer, run};

/// Quantity, goods, discount and tax of a line.
type LineOf = (i32, i64, i64, i64);

/// An order whose amounts do not divide.
struct Cart {
    name: &'static str,
    lines: &'static [LineOf],
    shipping: i64,
    shipping_tax: i64,
}

const CARTS: &[Cart] = &[
    Cart {
        name: "TAX-PER-LINE",
        lines: &[(3, 100, 0, 19), (3, 100, 0, 20), (7, 999, 0, 190)],
        shipping: 0,
        shipping_tax: 0,
    },
    Cart {
        name: "COUPON",
        lines: &[(3, 1_000, 100, 171), (2, 501, 50, 86), (1, 99, 10, 17)],
        shipping: 0,
        shipping_tax: 0,
    },
    Cart {
        name: "SHIPPING",
        lines: &[(3, 1_000, 0, 190), (1, 1, 0, 0)],
        shipping: 491,
        shipping_tax: 93,
    },
    Cart {
        name: "SHIPPING-ONLY",
        lines: &[(2, 500, 500, 0), (1, 100, 100, 0)],
        shipping: 499,
        shipping_tax: 95,
    },
    Cart {
        name: "CENTS",
        lines: &[(7, 1, 0, 0), (11, 10, 3, 1), (5, 4, 1, 2)],
        shipping: 1,
        shipping_tax: 1,
    },
    Cart {
        name: "EVERYTHING",
        lines: &[
            (3, 1_000, 1, 190),
            (7, 333, 77, 48),
            (1, 9_999, 3_333, 1_266),
        ],
        shipping: 583,
        shipping_tax: 111,
    },
];

/// The lines that lose a unit, one after the other.
type Sequence = fn(&[LineOf]) -> Vec<usize>;

const SEQUENCES: [Sequence; 3] = [
    in_turn,
    |lines| in_turn(lines).into_iter().rev().collect(),
    around,
];

fn in_turn(lines: &[LineOf]) -> Vec<usize> {
    let units = lines
        .iter()
        .enumerate()
        .map(|(line, (quantity, ..))| vec![line; usize::try_from(*quantity).unwrap()]);
    units.flatten().collect()
}

fn around(lines: &[LineOf]) -> Vec<usize> {
    let most = lines
        .iter()
        .map(|(quantity, ..)| *quantity)
        .max()
        .unwrap_or_default();
    let rounds =
        (0..most).flat_map(|round| (0..lines.len()).filter(move |line| lines[*line].0 > round));
    rounds.collect()
}

impl Cart {
    fn sums(&self) -> [i64; 3] {
        let goods: i64 = self
            .lines
            .iter()
            .map(|(_, goods, discount, _)| goods - discount)
            .sum();
        let tax: i64 = self.lines.iter().map(|(.., tax)| tax).sum();
        [goods, tax + self.shipping_tax, self.shipping]
    }

    /// Placed in so many shipments, and paid in two payments of which the smaller came first.
    async fn place_paid(&self, t: &TestServer, order_id: &str, shipments: usize) {
        let lines =
            self.lines
                .iter()
                .enumerate()
                .map(|(number, (quantity, goods, discount, tax))| {
                    let line = NewLine::new(format!("SKU-{number}"), *quantity, eur(*goods));
                    line.discount(eur(*discount)).tax(eur(*tax))
                });
        let destination = Destination::new("DE");
        let order =
            t.storefront()
                .create_order(order_id, NewBuyer::new("ann"), "acme", destination, lines);
        let order = order
            .shipping(eur(self.shipping))
            .shipping_tax(eur(self.shipping_tax));
        let whole: Vec<(i32, i32)> = (1..)
            .zip(self.lines)
            .map(|(line, (quantity, ..))| (line, *quantity))
            .collect();
        let order = match shipments {
            1 => order,
            _ => {
                // One unit of the first line goes by itself.
                let mut rest = whole;
                rest[0].1 -= 1;
                order.shipments([
                    NewShipment::new([(1, 1)]),
                    NewShipment::new(rest).warehouse_id("east"),
                ])
            }
        };
        order
            .await
            .unwrap_or_else(|error| panic!("order {order_id}: {error}"));
        let total: i64 = self.sums().into_iter().sum();
        for (payment, amount) in [("small", total / 3), ("large", total - total / 3)] {
            let paid = t.payments().record_payment(
                order_id,
                format!("{payment}-{order_id}"),
                payment,
                PaymentFact::Captured,
            );
            paid.amount(eur(amount))
                .method("PAYPAL")
                .await
                .unwrap_or_else(|error| panic!("{order_id}: {error}"));
        }
    }
}

fn parts(amount: &RefundAmount) -> [i64; 3] {
    assert_eq!(amount.excess, eur(0));
    [&amount.goods, &amount.tax, &amount.shipping].map(|money| money.minor_units)
}

/// The sum, by goods, tax and shipping.
fn sums(refunds: &[Refund]) -> [i64; 3] {
    refunds
        .iter()
        .map(|refund| parts(&refund.amount))
        .fold([0; 3], |sum, next| [0, 1, 2].map(|at| sum[at] + next[at]))
}

/// Parts of an order are cancelled one after the other. The discount is forgotten or taken back
/// whole with the first part, tax is rounded per line or taken off twice, the shipping or its tax
/// is lost, a second cancellation on a line is refused, or a cent stays behind or is too much for
/// the gateway. Whatever the sequence, all parts together give back what was paid for each of
/// goods, tax and shipping.
#[test]
fn partial_cancellations_give_back_what_was_paid_to_the_cent() {
    run(async |t| {
        for cart in CARTS {
            for (sequence, way) in SEQUENCES.iter().zip(1..) {
                // In one shipment or in two.
                let order_id = format!("{}-{way}", cart.name);
                cart.place_paid(t, &order_id, 1 + way % 2).await;
                let mut before = 0;
                for line in sequence(cart.lines) {
                    let units = Units::line(format!("{order_id}:l{}", line + 1), 1);
                    let cancellation = t.cancel_units(&order_id, units).await.cancellation;
                    let refunds = t.order(&order_id).await.refunds;
                    let back: i64 = sums(&refunds).into_iter().sum();
                    assert_eq!(
                        back - before,
                        cancellation.expected_refund.total.minor_units,
                        "{order_id}"
                    );
                    before = back;
                }
                let order = t.order(&order_id).await;
                assert_eq!(
                    (order.state, sums(&order.refunds)),
                    (OrderState::Cancelled, cart.sums()),
                    "{order_id}"
                );
                assert!(
                    order
                        .refunds
                        .iter()
                        .all(|refund| refund.amount.total.minor_units > 0),
                    "{order_id}"
                );
            }
        }
    });
}

/// The amount is worked out after the units are gone and comes to nothing, or another sum is shown
/// than is paid.
#[test]
fn what_is_shown_before_is_what_is_promised_and_what_is_paid() {
    run(async |t| {
        for cart in CARTS {
            let order_id = cart.name;
            cart.place_paid(t, order_id, 1).await;
            let steps = [Units::line(format!("{order_id}:l1"), 2), Units::all()];
            for units in steps {
                let seen = t.order(order_id).await.refunds.len();
                let preview = t
                    .storefront()
                    .preview_cancellation(order_id, units.clone())
                    .reason(reason::NO_LONGER_WANTED);
                let shown = preview
                    .await
                    .unwrap()
                    .expected_refund
                    .expect("it is allowed");
                let promised = t
                    .cancel_units(order_id, units)
                    .await
                    .cancellation
                    .expected_refund;
                assert_eq!(shown, promised, "{order_id}");
                let paid = sums(&t.order(order_id).await.refunds[seen..]);
                assert_eq!(
                    paid,
                    [&promised.goods, &promised.tax, &promised.shipping]
                        .map(|money| money.minor_units)
                );
            }
        }
    });
}

/// Money that was given back by hand is booked as goods given back, so that later there are fewer
/// to cancel than were sold; or it is not booked, and goes back twice.
#[test]
fn money_given_back_by_hand_takes_no_goods_off_and_is_not_given_back_again() {
    run(async |t| {
        let table = [
            (PaymentFact::RefundedOutside, 1),
            (PaymentFact::RefundedOutside, 1_000),
            (PaymentFact::RefundedOutside, TOTAL),
            (PaymentFact::Chargeback, TOTAL - 1),
            (PaymentFact::Chargeback, TOTAL),
        ];
        for (number, (fact, amount)) in table.into_iter().enumerate() {
            let order_id = format!("A-{number}");
            t.place_paid(&order_id).await;
            let outside =
                t.payments()
                    .record_payment(&order_id, format!("pay-{order_id}"), "outside", fact);
            let order = outside.amount(eur(amount)).await.unwrap();
            assert!(order.cancellable_now);
            assert_eq!(
                order
                    .lines
                    .iter()
                    .map(|line| line.cancelled_quantity)
                    .collect::<Vec<_>>(),
                [0, 0]
            );
            // All three mugs and the pen can still be cancelled, also when nothing of their money
            // is left.
            for units in [Units::line(format!("{order_id}:l1"), 1), Units::all()] {
                t.cancel_units(&order_id, units).await;
            }
            let order = t.order(&order_id).await;
            assert_eq!(order.state, OrderState::Cancelled);
            let due = order
                .refunds
                .iter()
                .filter(|refund| refund.state == RefundState::Due);
            assert_eq!(
                due.map(|refund| refund.amount.total.minor_units)
                    .sum::<i64>(),
                TOTAL - amount,
                "{fact} {amount}"
            );
        }
    });
}
