//! AddNote: somebody writes a note about an order, in any state of it.

use serde::{Deserialize, Serialize};

use crate::annotations::{NOTES_MAX, Note, NoteSubject, NoteVisibility};
use crate::decision::Answer;
use crate::event::EventDetail;
use crate::lifecycle::draft::{Draft, next_number};
use crate::lifecycle::reach::Reach;
use crate::rejection::{Limit, Rejection};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddNote {
    pub text: String,
    pub visibility: NoteVisibility,
    pub subject: Option<NoteSubject>,
}

impl AddNote {
    pub(super) fn reach(&self) -> Reach {
        match self.subject {
            None => Reach::Order,
            Some(NoteSubject::Cancellation(number)) => Reach::Cancellation(number),
            Some(NoteSubject::Shipment(number)) => Reach::Shipment(number),
        }
    }
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &AddNote) -> Result<Answer, Rejection> {
    let order = &draft.order;
    match command.subject {
        Some(NoteSubject::Shipment(number)) if order.shipment(number).is_none() => {
            return Err(Rejection::ShipmentNotFound { shipment: number });
        }
        Some(NoteSubject::Cancellation(number)) if order.cancellation(number).is_none() => {
            return Err(Rejection::CancellationNotFound {
                cancellation: number,
            });
        }
        Some(NoteSubject::Shipment(_) | NoteSubject::Cancellation(_)) | None => {}
    }
    Limit::Notes.check(order.notes.len(), NOTES_MAX)?;
    let number = next_number(&order.notes, |note| note.number);
    draft.order.notes.push(Note {
        number,
        visibility: command.visibility,
        text: command.text.clone(),
        author: draft.caller.clone(),
        subject: command.subject,
        create_time: draft.now,
    });
    draft.emit(EventDetail::NoteAdded {
        note: number,
        visibility: command.visibility,
        subject: command.subject,
    });
    Ok(Answer::Note(number))
}
