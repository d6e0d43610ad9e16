//! The commands: one file each, with its `decide`.
//!
//! A decision checks everything and then writes once: it works on a draft of the order, which is
//! dropped unless the decision is accepted.

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::context::Context;
use crate::decision::{Answer, Decision};
use crate::error_reason::ErrorReason;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::reach::Reach;
use crate::lifecycle::{deadlines, reach, undeliverable};
use crate::order::Order;
use crate::rejection::Rejection;
use crate::scope::{Scope, View};
use crate::weight::{self, TEXTS_BYTES_ROOM};

mod add_note;
mod answer_intercept;
mod answer_stop;
mod approve_cancellation;
mod create_order;
mod dispatch_shipment;
mod hold_shipment;
mod lease_refunds;
mod mark_ready;
mod receive_parcel;
mod record_payment;
mod record_refund_result;
mod record_tracking;
mod reject_cancellation;
mod release_hold;
mod request_cancellation;
mod resolve_incident;
mod split_shipment;
mod start_preparation;
mod update_metadata;
mod withdraw_cancellation;
mod work;

pub use add_note::AddNote;
pub use answer_intercept::{AnswerIntercept, InterceptAnswer};
pub use answer_stop::{AnswerStop, StopAnswer};
pub use approve_cancellation::ApproveCancellation;
pub use create_order::{CreateOrder, NewLine, NewShipment};
pub use dispatch_shipment::DispatchShipment;
pub use hold_shipment::{HOLD_MAX, HoldShipment};
pub use lease_refunds::LeaseRefunds;
pub use mark_ready::MarkReady;
pub use receive_parcel::ReceiveParcel;
pub use record_payment::RecordPayment;
pub use record_refund_result::{RecordRefundResult, RefundResult};
pub use record_tracking::RecordTracking;
pub use reject_cancellation::RejectCancellation;
pub use release_hold::ReleaseHold;
pub use request_cancellation::{
    BoundQuote, DirectCancellation, Identity, ListedReason, ListedReasons, Matching, Preview,
    PreviewedGate, PreviewedPath, PreviewedVerdict, QUOTE_VALIDITY, Quote, QuotedPart,
    ReasonListing, ReasonOutcome, RequestCancellation, Selection, direct_cancellation,
    list_reasons, preview,
};
pub(crate) use request_cancellation::{check_proof, check_reason};
pub use resolve_incident::{ResolveIncident, allowed as allowed_resolutions};
pub use split_shipment::SplitShipment;
pub use start_preparation::StartPreparation;
pub use update_metadata::UpdateMetadata;
pub use withdraw_cancellation::WithdrawCancellation;
pub use work::{Fingerprint, Work};

pub use crate::terms::IneligibleUnits;

/// A command about an order that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    RecordPayment(RecordPayment),
    RequestCancellation(RequestCancellation),
    StartPreparation(StartPreparation),
    MarkReady(MarkReady),
    DispatchShipment(DispatchShipment),
    RecordTracking(RecordTracking),
    LeaseRefunds(LeaseRefunds),
    RecordRefundResult(RecordRefundResult),
    ApproveCancellation(ApproveCancellation),
    RejectCancellation(RejectCancellation),
    WithdrawCancellation(WithdrawCancellation),
    AnswerStop(AnswerStop),
    AnswerIntercept(AnswerIntercept),
    ReceiveParcel(ReceiveParcel),
    HoldShipment(HoldShipment),
    ReleaseHold(ReleaseHold),
    SplitShipment(SplitShipment),
    ResolveIncident(ResolveIncident),
    UpdateMetadata(UpdateMetadata),
    AddNote(AddNote),
    /// Apply the deadlines that are due, nothing else. Every command does this first; the worker
    /// sends it alone.
    Settle,
}

impl Command {
    /// The identities of which the order's buyer must have one; empty where it acts for nobody.
    pub fn identities(&self) -> Vec<Identity> {
        if let Command::RequestCancellation(command) = self {
            command.identities().collect()
        } else {
            Vec::new()
        }
    }

    /// How much of the order it is about.
    fn reach(&self) -> Reach {
        match self {
            Command::RequestCancellation(command) => command.selection.reach(),
            Command::StartPreparation(command) => Reach::Shipment(command.shipment),
            Command::MarkReady(command) => Reach::Shipment(command.shipment),
            Command::DispatchShipment(command) => Reach::Shipment(command.shipment),
            Command::RecordTracking(command) => Reach::Shipment(command.shipment),
            Command::AnswerStop(command) => Reach::Shipment(command.shipment),
            Command::AnswerIntercept(command) => Reach::Shipment(command.shipment),
            Command::ReceiveParcel(command) => Reach::Shipment(command.shipment),
            Command::HoldShipment(command) => Reach::Shipment(command.shipment),
            Command::ReleaseHold(command) => Reach::Shipment(command.shipment),
            Command::SplitShipment(command) => Reach::Shipment(command.shipment),
            Command::ApproveCancellation(command) => Reach::Cancellation(command.cancellation),
            Command::RejectCancellation(command) => Reach::Cancellation(command.cancellation),
            Command::WithdrawCancellation(command) => Reach::Cancellation(command.cancellation),
            Command::UpdateMetadata(command) => command
                .cancellation
                .map_or(Reach::Order, Reach::Cancellation),
            Command::AddNote(command) => command.reach(),
            Command::RecordPayment(_)
            | Command::LeaseRefunds(_)
            | Command::RecordRefundResult(_)
            | Command::ResolveIncident(_)
            | Command::Settle => Reach::Order,
        }
    }

    /// Whether its answer is the whole order. Such an answer is kept as a head alone, and repeated
    /// with the order as it stands then.
    pub fn is_answered_by_order(&self) -> bool {
        match self {
            Command::RecordPayment(_) => true,
            Command::RequestCancellation(_)
            | Command::StartPreparation(_)
            | Command::MarkReady(_)
            | Command::DispatchShipment(_)
            | Command::RecordTracking(_)
            | Command::LeaseRefunds(_)
            | Command::RecordRefundResult(_)
            | Command::ApproveCancellation(_)
            | Command::RejectCancellation(_)
            | Command::WithdrawCancellation(_)
            | Command::AnswerStop(_)
            | Command::AnswerIntercept(_)
            | Command::ReceiveParcel(_)
            | Command::HoldShipment(_)
            | Command::ReleaseHold(_)
            | Command::SplitShipment(_)
            | Command::ResolveIncident(_)
            | Command::UpdateMetadata(_)
            | Command::AddNote(_)
            | Command::Settle => false,
        }
    }

    /// Bytes of text that it may add beyond the limit for requests. Answers and facts get that
    /// room, so that requests and notes do not keep them out.
    fn text_room(&self) -> usize {
        match self {
            Command::RequestCancellation(_)
            | Command::HoldShipment(_)
            | Command::UpdateMetadata(_)
            | Command::AddNote(_) => 0,
            Command::RecordPayment(_)
            | Command::StartPreparation(_)
            | Command::MarkReady(_)
            | Command::DispatchShipment(_)
            | Command::RecordTracking(_)
            | Command::LeaseRefunds(_)
            | Command::RecordRefundResult(_)
            | Command::ApproveCancellation(_)
            | Command::RejectCancellation(_)
            | Command::WithdrawCancellation(_)
            | Command::AnswerStop(_)
            | Command::AnswerIntercept(_)
            | Command::ReceiveParcel(_)
            | Command::ReleaseHold(_)
            | Command::SplitShipment(_)
            | Command::ResolveIncident(_)
            | Command::Settle => TEXTS_BYTES_ROOM,
        }
    }
}

/// Whether a caller of this scope may give this command: what it does not see is not there for it.
/// To be asked before anything is told of the order, also before an answer is repeated.
pub fn check_scope(
    order: &Order,
    command: &Command,
    caller: &Actor,
    scope: &Scope,
) -> Result<(), Rejection> {
    reach::check(order, command.reach(), View::of(caller.role), scope)
}

/// Places an order. There is none before, so there is nothing to settle.
pub fn create(
    command: &CreateOrder,
    fingerprint: [u8; 32],
    context: &Context<'_>,
) -> Result<Decision, Rejection> {
    create_order::check_scope(command, context.store, context.scope)?;
    create_order::decide(command, fingerprint, context)
}

/// CreateOrder under the id of an order that is there: to repeat it is harmless, another content is
/// refused. That the id is taken by an order which the caller does not see looks like any order
/// that it may not place.
pub fn create_again(
    order: &Order,
    command: &CreateOrder,
    fingerprint: [u8; 32],
    context: &Context<'_>,
) -> Result<(), Rejection> {
    if !context.scope.sees_order(order) {
        return Err(Rejection::OutOfScope);
    }
    if order.create_fingerprint == fingerprint {
        return Ok(());
    }
    create_order::check_scope(command, context.store, context.scope)?;
    Err(Rejection::OrderAlreadyExists)
}

/// Looks whether the order is the caller's, settles what is due, then decides.
///
/// `expected_version` is the version the caller decided on, where the caller named one.
pub fn decide(
    order: &Order,
    command: &Command,
    expected_version: Option<u64>,
    context: &Context<'_>,
) -> Decision {
    // Whoever may repeat an answer has asked this before. Not every order that a command is decided
    // on comes that way: a bulk job that is only tried, and reads of the future, have no other
    // check.
    if let Err(rejection) = check_scope(order, command, context.caller, context.scope) {
        return Decision {
            order: order.clone(),
            events: Vec::new(),
            result: Err(rejection),
            log: None,
        };
    }
    let mut draft = Draft::of(order, context);
    deadlines::apply_due(&mut draft);
    let settled = draft.clone();
    let awaited = undeliverable::awaited(&draft);
    // What was due is a change that the caller has not seen.
    let present = order.version + u64::from(draft.order != *order);
    let result = match command {
        Command::RecordPayment(command) => record_payment::decide(&mut draft, command),
        Command::RequestCancellation(command) => request_cancellation::decide(&mut draft, command),
        Command::StartPreparation(command) => start_preparation::decide(&mut draft, command),
        Command::MarkReady(command) => mark_ready::decide(&mut draft, command),
        Command::DispatchShipment(command) => dispatch_shipment::decide(&mut draft, command),
        Command::RecordTracking(command) => record_tracking::decide(&mut draft, command),
        Command::LeaseRefunds(command) => lease_refunds::decide(&mut draft, command),
        Command::RecordRefundResult(command) => record_refund_result::decide(&mut draft, command),
        Command::ApproveCancellation(command) => approve_cancellation::decide(&mut draft, command),
        Command::RejectCancellation(command) => reject_cancellation::decide(&mut draft, command),
        Command::WithdrawCancellation(command) => {
            withdraw_cancellation::decide(&mut draft, command)
        }
        Command::AnswerStop(command) => answer_stop::decide(&mut draft, command),
        Command::AnswerIntercept(command) => answer_intercept::decide(&mut draft, command),
        Command::ReceiveParcel(command) => receive_parcel::decide(&mut draft, command),
        Command::HoldShipment(command) => hold_shipment::decide(&mut draft, command),
        Command::ReleaseHold(command) => release_hold::decide(&mut draft, command),
        Command::SplitShipment(command) => split_shipment::decide(&mut draft, command),
        Command::ResolveIncident(command) => resolve_incident::decide(&mut draft, command),
        Command::UpdateMetadata(command) => update_metadata::decide(&mut draft, command),
        Command::AddNote(command) => add_note::decide(&mut draft, command),
        Command::Settle => Ok(Answer::Nothing),
    };
    // Who asks for what is not there, or may not know of it, is not told that something else has
    // changed.
    let is_told = |rejection: &Rejection| rejection.reason() >= ErrorReason::EtagMismatch;
    if expected_version.is_some_and(|expected| expected != present)
        && result.as_ref().err().is_none_or(is_told)
    {
        return settled.reject(order, Rejection::EtagMismatch { present });
    }
    match result {
        Ok(answer) => {
            undeliverable::open_for_the_rest(&mut draft, awaited);
            // Deadlines are applied whatever the order weighs.
            match weight::check(&settled.order, &draft.order, command.text_room()) {
                Ok(()) => draft.accept(order, answer),
                Err(rejection) => settled.reject(order, rejection),
            }
        }
        Err(rejection) => settled.with_log(draft.log).reject(order, rejection),
    }
}

/// The order as it stands at `context.now`, with everything applied that is due: what a read shows
/// of the future.
pub fn settled(order: &Order, context: &Context<'_>) -> Order {
    decide(order, &Command::Settle, None, context).order
}
