//! UpdateOrderMetadata and UpdateCancellationMetadata, rung by rung.

use belay_domain::actor::Role;
use belay_domain::annotations::{METADATA_MAX, REFERENCES_MAX};
use belay_domain::commands::{Command, UpdateMetadata};
use belay_domain::rejection::{Limit, Rejection};

use crate::annotations::{change, key, metadata, references, system};
use crate::kit::{CancellationRequest, Cart, Case, Rung, climb};

struct Attempt {
    case: Case,
    command: UpdateMetadata,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let command = Command::UpdateMetadata(self.command.clone());
        let mut case = self.case.clone();
        let done = case.run(Role::Seller, self.expected_version, command);
        done.map(|_| ())
    }
}

/// An order and a cancellation that keep as much as they may, asked to keep one more of each.
fn attempt() -> Attempt {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    for of in [
        &mut case.order.annotations,
        &mut case.order.cancellations[0].annotations,
    ] {
        of.metadata = metadata(METADATA_MAX);
        of.references = references(REFERENCES_MAX);
    }
    let mut change = change();
    change.set.metadata = [(key("more"), "x".to_owned())].into();
    change.set.references = [(system("more"), references(1).into_values().next().unwrap())].into();
    Attempt {
        case,
        command: UpdateMetadata {
            cancellation: Some(9),
            change,
        },
        expected_version: Some(1),
    }
}

const FULL: &[Rung<Attempt>] = &[
    ("LIMIT_REACHED", |a| {
        a.command.change.delete_metadata = [key("k1")].into();
    }),
    ("LIMIT_REACHED", |a| {
        a.command.change.delete_references = [system("s1")].into();
    }),
];

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let first: &[Rung<Attempt>] = &[
        ("CANCELLATION_NOT_FOUND", |a| {
            a.command.cancellation = Some(1);
        }),
        ("ETAG_MISMATCH", |a| a.expected_version = None),
    ];
    climb(&mut attempt(), &[first, FULL].concat(), Attempt::run);
}

#[test]
fn an_order_keeps_as_much_as_a_cancellation() {
    let mut attempt = attempt();
    attempt.command.cancellation = None;
    let first: &[Rung<Attempt>] = &[("ETAG_MISMATCH", |a| a.expected_version = None)];
    climb(&mut attempt, &[first, FULL].concat(), Attempt::run);
}

#[test]
fn the_limit_that_is_reached_is_named() {
    let mut attempt = attempt();
    (attempt.command.cancellation, attempt.expected_version) = (None, None);
    let reached = |limit, max| Err(Rejection::LimitReached { limit, max });
    assert_eq!(attempt.run(), reached(Limit::Metadata, METADATA_MAX));
    attempt.command.change.set.metadata.clear();
    assert_eq!(attempt.run(), reached(Limit::References, REFERENCES_MAX));
}
