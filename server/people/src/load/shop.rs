//! The orders that load is about: what is called, and on which.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use belay_client::calls::{NewBuyer, NewLine};
use belay_client::model::{Destination, OrderState, PaymentFact};
use belay_client::{Error, Money, RequestId, Store, Units, reason};

use super::mix::Kind;
use crate::failure::Failure;

/// Who sells all that load orders.
const SELLER: &str = "belay-load";
/// Buyers that orders are spread over.
const BUYERS: u64 = 1_000;
/// Orders that a caller may ask for; the oldest is forgotten first.
const KNOWN_MAX: usize = 100_000;
const PAGE_SIZE: i32 = 50;
/// Two mugs, with their tax, in cents.
const GOODS: i64 = 1_998;
const TAX: i64 = 380;

fn eur(minor_units: i64) -> Money {
    Money::new("EUR", minor_units)
}

/// A call to make, with the order that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create(String),
    Pay(String),
    Cancel(String),
    Get(String),
    List,
}

impl Call {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Create(_) => Kind::Create,
            Self::Pay(_) => Kind::Pay,
            Self::Cancel(_) => Kind::Cancel,
            Self::Get(_) => Kind::Get,
            Self::List => Kind::List,
        }
    }
}

#[derive(Debug, Default)]
struct Orders {
    made: u64,
    unpaid: VecDeque<String>,
    paid: VecDeque<String>,
    known: VecDeque<String>,
}

/// The orders of one run. Each is paid and cancelled by one caller, once.
#[derive(Debug)]
pub(crate) struct Shop {
    /// Before the numbers of its orders, so that two runs have none in common.
    name: String,
    orders: Mutex<Orders>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self {
            name: RequestId::mint().to_string(),
            orders: Mutex::default(),
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to call where this is wanted: an order is made where there is none to pay, cancel or
    /// get.
    pub(crate) fn next(&self, wanted: Kind) -> Call {
        let mut orders = self.orders();
        let call = match wanted {
            Kind::Create => None,
            Kind::Pay => orders.unpaid.pop_front().map(Call::Pay),
            Kind::Cancel => orders.paid.pop_front().map(Call::Cancel),
            Kind::Get if orders.known.is_empty() => None,
            Kind::Get => {
                let any = fastrand::usize(0..orders.known.len());
                orders.known.get(any).cloned().map(Call::Get)
            }
            Kind::List => Some(Call::List),
        };
        // To cancel one takes two calls before.
        let call = match (call, wanted) {
            (None, Kind::Cancel) => orders.unpaid.pop_front().map(Call::Pay),
            (call, _) => call,
        };
        call.unwrap_or_else(|| {
            orders.made += 1;
            Call::Create(format!("{}-{}", self.name, orders.made))
        })
    }

    /// Makes the call. What fails is not tried again, and its order is left as it is.
    pub(crate) async fn make(&self, call: &Call, store: &Store) -> Result<(), Error> {
        match call {
            Call::Create(order) => {
                let buyer = NewBuyer::new(format!("buyer-{}", fastrand::u64(0..BUYERS)));
                let mugs = NewLine::new("mug", 2, eur(GOODS)).tax(eur(TAX));
                let to = Destination::new("DE").city("Berlin");
                store
                    .create_order(order.as_str(), buyer, SELLER, to, [mugs])
                    .await?;
                let mut orders = self.orders();
                keep(&mut orders.unpaid, order);
                keep(&mut orders.known, order);
            }
            Call::Pay(order) => {
                let payment = format!("payment-{order}");
                store
                    .record_payment(order.as_str(), payment, "captured", PaymentFact::Captured)
                    .method("CREDIT_CARD")
                    .amount(eur(GOODS + TAX))
                    .await?;
                keep(&mut self.orders().paid, order);
            }
            Call::Cancel(order) => {
                store
                    .request_cancellation(order.as_str(), Units::all())
                    .reason(reason::NO_LONGER_WANTED)
                    .await?;
            }
            Call::Get(order) => {
                store.get_order(order.as_str()).await?;
            }
            Call::List => {
                let list = store.list_orders().state(OrderState::ToShip);
                list.page_size(PAGE_SIZE).await?;
            }
        }
        Ok(())
    }
}

fn keep(orders: &mut VecDeque<String>, order: &str) {
    if orders.len() == KNOWN_MAX {
        orders.pop_front();
    }
    orders.push_back(order.to_owned());
}

/// Whether all orders of a store are of load, as far as they are counted, and its newest.
pub(crate) async fn is_for_load_alone(store: &Store) -> Result<bool, Failure> {
    let newest = store.list_orders().page_size(PAGE_SIZE).await?;
    if newest
        .items
        .iter()
        .any(|order| order.seller_id.as_str() != SELLER)
    {
        return Ok(false);
    }
    let all = store.summarize_orders().await?;
    let of_load = store.summarize_orders().seller_id(SELLER).await?;
    Ok(all == of_load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_on_an_order_that_is_not_there_makes_one() {
        let shop = Shop::open();
        for wanted in [Kind::Create, Kind::Pay, Kind::Cancel, Kind::Get] {
            assert_eq!(shop.next(wanted).kind(), Kind::Create);
        }
        assert_eq!(shop.next(Kind::List), Call::List);
        keep(&mut shop.orders().unpaid, "a");
        assert_eq!(shop.next(Kind::Cancel), Call::Pay("a".to_owned()));
        keep(&mut shop.orders().paid, "b");
        assert_eq!(shop.next(Kind::Cancel), Call::Cancel("b".to_owned()));
        assert_eq!(shop.next(Kind::Cancel).kind(), Kind::Create);
        keep(&mut shop.orders().known, "c");
        assert_eq!(shop.next(Kind::Get), Call::Get("c".to_owned()));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut orders = VecDeque::new();
        for order in 0..=KNOWN_MAX {
            keep(&mut orders, &order.to_string());
        }
        assert_eq!((orders.len(), orders[0].as_str()), (KNOWN_MAX, "1"));
    }
}
