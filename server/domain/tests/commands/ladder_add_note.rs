//! AddNote, rung by rung.

use belay_domain::actor::Role;
use belay_domain::annotations::{NOTES_MAX, NoteSubject, NoteVisibility};
use belay_domain::commands::{AddNote, Command};
use belay_domain::rejection::Rejection;

use crate::kit::{CancellationRequest, Cart, Case, Rung, climb};

struct Attempt {
    case: Case,
    subject: Option<NoteSubject>,
    expected_version: Option<u64>,
}

impl Attempt {
    fn run(&self) -> Result<(), Rejection> {
        let note = AddNote {
            text: "Called back.".to_owned(),
            visibility: NoteVisibility::Private,
            subject: self.subject,
        };
        let mut case = self.case.clone();
        let done = case.run(Role::Seller, self.expected_version, Command::AddNote(note));
        done.map(|_| ())
    }
}

fn attempt(subject: NoteSubject) -> Attempt {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    for _ in 0..NOTES_MAX {
        case.note(NoteVisibility::Public, "x", None).unwrap();
    }
    Attempt {
        case,
        subject: Some(subject),
        expected_version: Some(1),
    }
}

const LAST: &[Rung<Attempt>] = &[
    ("ETAG_MISMATCH", |a| a.expected_version = None),
    ("LIMIT_REACHED", |a| {
        a.case.order.notes.pop();
    }),
];

#[test]
fn each_rung_shows_once_those_before_it_are_fixed() {
    let first: &[Rung<Attempt>] = &[("CANCELLATION_NOT_FOUND", |a| {
        a.subject = Some(NoteSubject::Cancellation(1));
    })];
    let mut attempt = attempt(NoteSubject::Cancellation(9));
    climb(&mut attempt, &[first, LAST].concat(), Attempt::run);
}

#[test]
fn a_note_is_about_a_shipment_that_there_is() {
    let first: &[Rung<Attempt>] = &[("SHIPMENT_NOT_FOUND", |a| {
        a.subject = Some(NoteSubject::Shipment(1));
    })];
    let mut attempt = attempt(NoteSubject::Shipment(9));
    climb(&mut attempt, &[first, LAST].concat(), Attempt::run);
}
