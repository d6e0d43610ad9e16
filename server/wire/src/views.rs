//! The fields of answers that each role sees: one table of groups and fields, from which the
//! messages are cut and the manual is written. It knows messages, and nothing of who asks for
//! which.
//!
//! A role sees an order whole, or what its parcels need. Who sees parcels gets of an order its own
//! shipments, with their lines, cancellations and incidents, and of all these the fields in the
//! groups that its role sees. A message takes itself apart field by field, so one that gains a
//! field does not compile before the field has a row.

mod orders;
mod others;

use std::collections::BTreeSet;

use belay_domain::actor::{Actor, Role};
use belay_domain::annotations::NoteVisibility;
use belay_domain::ids::ChildKind;
use belay_domain::order::Order;
use belay_domain::scope::{Caller, View};
use belay_proto::v1 as pb;

use crate::Wire as _;

/// A group of fields that is seen, or not, as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// What it takes to pack a parcel, to carry it, to keep it back and to receive it.
    Parcel,
    /// What a party wrote, and who in it did.
    Words,
    /// Facts that contradict what was decided about a parcel.
    Incidents,
    /// Prices, payments, refunds and the times of paying.
    Money,
    /// Who bought.
    Buyer,
    /// The sale as a whole: what its buyer may do, what the seller is rated by, units wherever they
    /// are, what is kept with it and written about it.
    Sale,
}

/// The visibility of a group to a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Seen,
    /// Of its own party only.
    Own,
    Hidden,
}

impl Group {
    pub const ALL: &'static [Group] = &[
        Group::Parcel,
        Group::Words,
        Group::Incidents,
        Group::Money,
        Group::Buyer,
        Group::Sale,
    ];

    pub fn seen_by(self, role: Role) -> Visibility {
        match (View::of(role), self) {
            (View::Whole, _) | (View::Parcels, Group::Parcel) => Visibility::Seen,
            (View::Parcels, Group::Words) => Visibility::Own,
            (View::Parcels, Group::Incidents) if role == Role::Warehouse => Visibility::Seen,
            (View::Parcels, Group::Incidents | Group::Money | Group::Buyer | Group::Sale) => {
                Visibility::Hidden
            }
        }
    }
}

/// The fields of a message, each with its group; the kinds of a `oneof` are in it by their own
/// names where they differ.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub message: &'static str,
    /// Whether those who see parcels see it of their own shipments only.
    pub of_shipments: bool,
    pub fields: &'static [(&'static str, Group)],
}

/// The table: every message that somebody is answered with who sees parcels.
pub fn table() -> impl Iterator<Item = &'static Row> {
    [orders::ROWS, orders::DETAIL_ROWS, others::ROWS]
        .into_iter()
        .flatten()
}

/// The caller for whom messages of an order are made.
#[derive(Debug)]
pub struct Viewer<'a> {
    /// None for one who sees orders whole.
    parcels: Option<ParcelView<'a>>,
    reads_private_notes: bool,
}

/// The shipments and lines of an order that a caller may see who is restricted to parcels.
#[derive(Debug)]
pub(crate) struct ParcelView<'a> {
    actor: &'a Actor,
    /// The shipments and the lines that are its own; none where no order is looked at.
    shipments: BTreeSet<String>,
    lines: BTreeSet<String>,
}

impl<'a> Viewer<'a> {
    /// One who sees everything: for what is kept, and not yet shown.
    pub const WHOLE: Viewer<'static> = Viewer {
        parcels: None,
        reads_private_notes: true,
    };

    /// One who sees orders whole, but for notes that this role does not read.
    pub fn of_whole(role: Role) -> Self {
        Self {
            parcels: None,
            reads_private_notes: NoteVisibility::Private.is_read_by(role),
        }
    }

    /// The caller, before this order.
    pub fn of(caller: &'a Caller, order: &Order) -> Self {
        let mut viewer = Self::of_no_order(&caller.actor);
        if let Some(parcels) = &mut viewer.parcels {
            let own = order.shipments.iter();
            for shipment in own.filter(|shipment| caller.scope.sees_shipment(shipment)) {
                let shipment_id = ChildKind::Shipment.id(&order.id, shipment.number);
                parcels.shipments.insert(shipment_id);
                let lines = shipment.units.lines();
                parcels
                    .lines
                    .extend(lines.map(|line| ChildKind::Line.id(&order.id, line)));
            }
        }
        viewer
    }

    /// The caller, before what was selected for it already: events, and what is of no order.
    pub fn of_no_order(actor: &'a Actor) -> Self {
        let parcels = match View::of(actor.role) {
            View::Whole => None,
            View::Parcels => Some(ParcelView {
                actor,
                shipments: BTreeSet::new(),
                lines: BTreeSet::new(),
            }),
        };
        Self {
            parcels,
            ..Self::of_whole(actor.role)
        }
    }

    pub(crate) fn sees_whole(&self) -> bool {
        self.parcels.is_none()
    }

    pub(crate) fn reads(&self, visibility: NoteVisibility) -> bool {
        self.reads_private_notes || visibility == NoteVisibility::Public
    }

    /// The message as this caller sees it.
    pub(crate) fn shown<M: Viewed>(&self, mut message: M) -> M {
        if let Some(parcels) = &self.parcels {
            message.cut(parcels);
        }
        message
    }
}

impl ParcelView<'_> {
    fn see(&self, group: Group, is_own: bool) -> bool {
        match group.seen_by(self.actor.role) {
            Visibility::Seen => true,
            Visibility::Own => is_own,
            Visibility::Hidden => false,
        }
    }

    fn is_of_own_role(&self, actor: Option<&pb::Actor>) -> bool {
        actor.is_some_and(|actor| actor.role == self.actor.role.number())
    }
}

/// A message that is cut to what somebody sees.
pub(crate) trait Viewed {
    /// Whether it is there for them at all.
    fn is_own(&self, _: &ParcelView<'_>) -> bool {
        true
    }

    fn cut(&mut self, parcels: &ParcelView<'_>);
}

impl<M: Viewed> Viewed for Option<M> {
    fn cut(&mut self, parcels: &ParcelView<'_>) {
        self.take_if(|message| !message.is_own(parcels));
        if let Some(message) = self {
            message.cut(parcels);
        }
    }
}

impl<M: Viewed> Viewed for Vec<M> {
    fn cut(&mut self, parcels: &ParcelView<'_>) {
        self.retain(|message| message.is_own(parcels));
        for message in self {
            message.cut(parcels);
        }
    }
}

/// The messages with their fields. `> deep` goes on into the messages of a field; `own` says which
/// of them are there for whom, `words` whose the words in it are.
macro_rules! views {
    ($($Message:ident $(own($own:path))? $(words($words:path))? {
        $($field:ident: $group:ident $(> $deep:ident)?,)*
    })+) => {
        pub(super) const ROWS: &[Row] = &[$(Row {
            message: stringify!($Message),
            of_shipments: false $(|| !stringify!($own).is_empty())?,
            fields: &[$((stringify!($field), Group::$group)),*],
        }),+];

        $(impl Viewed for pb::$Message {
            $(fn is_own(&self, parcels: &ParcelView<'_>) -> bool {
                $own(self, parcels)
            })?

            #[allow(unused_variables, reason = "some messages have no field, or no words")]
            fn cut(&mut self, parcels: &ParcelView<'_>) {
                let is_own = false $(|| $words(self, parcels))?;
                let Self { $($field),* } = self;
                $(
                    if !parcels.see(Group::$group, is_own) {
                        *$field = Default::default();
                    }
                    $($field.cut(parcels); let _ = stringify!($deep);)?
                )*
            }
        })+
    };
}
use views;

/// The details of an event, which is without those that are not seen.
macro_rules! details {
    ($($Detail:ident: $field:ident $group:ident $(> $deep:ident)?,)+) => {
        pub(super) const DETAIL_ROWS: &[Row] = &[Row {
            message: "Event",
            of_shipments: false,
            fields: &[$((stringify!($field), Group::$group)),+],
        }];

        impl Viewed for pb::event::Detail {
            fn is_own(&self, parcels: &ParcelView<'_>) -> bool {
                match self {
                    $(Self::$Detail(_) => parcels.see(Group::$group, false),)+
                }
            }

            fn cut(&mut self, parcels: &ParcelView<'_>) {
                match self {
                    $(Self::$Detail(_detail) => { $(_detail.cut(parcels); let _ = stringify!($deep);)? })+
                }
            }
        }
    };
}
use details;

/// The parts of an order that are a party's own.
mod own {
    use super::{ParcelView, pb};

    pub(super) fn line(line: &pb::Line, parcels: &ParcelView<'_>) -> bool {
        parcels.lines.contains(&line.line_id)
    }

    pub(super) fn shipment(shipment: &pb::Shipment, parcels: &ParcelView<'_>) -> bool {
        parcels.shipments.contains(&shipment.shipment_id)
    }

    /// One that has a part on a parcel of theirs.
    pub(super) fn cancellation(cancellation: &pb::Cancellation, parcels: &ParcelView<'_>) -> bool {
        cancellation.parts.iter().any(|each| part(each, parcels))
    }

    pub(super) fn part(part: &pb::CancellationPart, parcels: &ParcelView<'_>) -> bool {
        parcels.shipments.contains(&part.shipment_id)
    }

    pub(super) fn incident(incident: &pb::Incident, parcels: &ParcelView<'_>) -> bool {
        parcels.shipments.contains(&incident.subject_id)
    }

    pub(super) fn option(option: &pb::PathOption, parcels: &ParcelView<'_>) -> bool {
        parcels.shipments.contains(&option.shipment_id)
    }
}

/// The party that a role is of a gate.
pub(crate) fn party_of(role: Role) -> Option<pb::Party> {
    match role {
        Role::Seller => Some(pb::Party::Seller),
        Role::Support => Some(pb::Party::Support),
        Role::Warehouse => Some(pb::Party::Warehouse),
        Role::Carrier => Some(pb::Party::Carrier),
        Role::Storefront
        | Role::Payments
        | Role::Operator
        | Role::Auditor
        | Role::Buyer
        | Role::System => None,
    }
}

/// The party whose words something holds.
mod words {
    use super::{ParcelView, own, party_of, pb};
    use crate::Wire as _;

    /// Of who asked for it: this caller, or somebody of its role where nobody else's parcels are in
    /// it.
    pub(super) fn asked(cancellation: &pb::Cancellation, parcels: &ParcelView<'_>) -> bool {
        let by = cancellation.submitted_by.as_ref();
        let is_caller = by.is_some_and(|by| by.id == parcels.actor.id);
        let mut parts = cancellation.parts.iter();
        parcels.is_of_own_role(by) && (is_caller || parts.all(|part| own::part(part, parcels)))
    }

    /// Of the party of the gate: the parcel is the caller's.
    pub(super) fn asked_gate(gate: &pb::Gate, parcels: &ParcelView<'_>) -> bool {
        party_of(parcels.actor.role).is_some_and(|party| gate.party == i32::from(party))
    }

    pub(super) fn self_named(actor: &pb::Actor, parcels: &ParcelView<'_>) -> bool {
        actor.role == parcels.actor.role.number()
    }

    pub(super) fn placed(hold: &pb::Hold, parcels: &ParcelView<'_>) -> bool {
        parcels.is_of_own_role(hold.placed_by.as_ref())
    }

    pub(super) fn resolved(incident: &pb::Incident, parcels: &ParcelView<'_>) -> bool {
        parcels.is_of_own_role(incident.resolved_by.as_ref())
    }
}

#[cfg(test)]
mod tests;
