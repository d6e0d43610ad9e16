//! The orders of a run: what they are called, and which of them stand where.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use belay_domain::ids::{OrderId, OrderKey, StoreId};
use uuid::Uuid;

pub(crate) const STORE: &str = "bench";
/// Who has many orders, how many, and how many are on a page of their list.
pub(crate) const LISTED_BUYER: &str = "u-regular";
pub(crate) const LISTED: u64 = 5_000;
pub(crate) const PAGE: u64 = 50;
/// Digits by which an order is known, in all its ids. Always as many, so that a row about one order
/// is as long as the same row about another.
pub(crate) const DIGITS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderNumber(u64);

/// The purpose of a request for an order; every request has an id of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Create = 1,
    Pay = 2,
    Cancel = 3,
}

impl OrderNumber {
    /// Numbers follow one another and their digits do not: buyers and orders are met in no order.
    pub(crate) fn digits(self) -> String {
        let scattered = (self.0 * 7_368_787_291 + 1_234_567_891) % 10_u64.pow(10);
        format!("{scattered:0DIGITS$}")
    }

    pub(crate) fn order_id(self) -> String {
        format!("B-{}", self.digits())
    }

    pub(crate) fn buyer_id(self) -> String {
        format!("u-{}", self.digits())
    }

    pub(crate) fn key(self) -> OrderKey {
        match (StoreId::parse(STORE), OrderId::parse(self.order_id())) {
            (Ok(store), Ok(order)) => OrderKey::of(&store, &order),
            (store, order) => panic!("ids of the bench are plain: {store:?} {order:?}"),
        }
    }

    pub(crate) fn request_id(self, purpose: Purpose) -> Uuid {
        Uuid::from_u64_pair(purpose as u64, self.0)
    }
}

/// Orders that wait for what comes next, or a record of those it came to.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    orders: Mutex<Vec<OrderNumber>>,
    /// How many were looked at.
    seen: AtomicUsize,
}

impl Pile {
    pub(crate) fn put(&self, order: OrderNumber) {
        self.orders().push(order);
    }

    pub(crate) fn take(&self) -> Option<OrderNumber> {
        self.orders().pop()
    }

    /// One after the other, over and over; each stays where it is.
    pub(crate) fn next(&self) -> Option<OrderNumber> {
        let orders = self.orders();
        let at = self.seen.fetch_add(1, Ordering::Relaxed);
        orders.get(at % orders.len().max(1)).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.orders().len()
    }

    pub(crate) fn all(&self) -> Vec<OrderNumber> {
        self.orders().clone()
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, Vec<OrderNumber>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only what was acknowledged is put on a pile.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    next: AtomicU64,
    /// By the service, not paid yet.
    pub(crate) placed: Pile,
    /// Ready to be cancelled.
    pub(crate) paid: Pile,
    pub(crate) cancelled: Pile,
    /// Of the buyer who has many.
    pub(crate) listed: Pile,
    pub(crate) placed_raw: Pile,
    pub(crate) cancelled_raw: Pile,
}

impl Shop {
    pub(crate) fn new_order(&self) -> OrderNumber {
        OrderNumber(self.next.fetch_add(1, Ordering::Relaxed))
    }
}
