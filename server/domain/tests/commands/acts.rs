//! What sellers, support, warehouses and carriers do to a [`Case`], each in a line.

use belay_domain::actor::Role;
use belay_domain::annotations::{NoteSubject, NoteVisibility};
use belay_domain::cancellation::GateState;
use belay_domain::commands::{
    AddNote, AnswerIntercept, AnswerStop, ApproveCancellation, Command, HoldShipment,
    InterceptAnswer, ReceiveParcel, RejectCancellation, ReleaseHold, ResolveIncident,
    SplitShipment, StopAnswer, WithdrawCancellation,
};
use belay_domain::decision::Answer;
use belay_domain::ids::ExternalId;
use belay_domain::incident::Resolution;
use belay_domain::policy::Policy;
use belay_domain::rejection::Rejection;
use belay_domain::terms::GoodsCondition;
use belay_domain::units::LineQuantity;
use jiff::Timestamp;

use crate::kit::{Case, PLAIN, policy};

type Done = Result<Answer, Rejection>;

/// `(line, quantity)` each.
pub(crate) fn quantities(lines: &[(u32, u32)]) -> Vec<LineQuantity> {
    lines
        .iter()
        .map(|&(line, quantity)| LineQuantity { line, quantity })
        .collect()
}

/// `PLAIN`, and what has left comes back by any other path once these gates have passed.
pub(crate) fn outside(gates: &[&str]) -> Policy {
    let gates = gates.join(", ");
    let when = "{stage: [IN_TRANSIT, DELIVERED, LOST, RETURNING, RETURNED], \
                path: [INTERCEPT, REFUSE_DELIVERY, RETURN_UNOPENED, RETURN_OPENED]}";
    policy(&format!(
        "\n  - {{id: outside, when: {when}, allow: {{gates: [{gates}], refund: FULL}}}}{PLAIN}"
    ))
}

impl Case {
    pub(crate) fn approve(&mut self, by: Role, cancellation: u32) -> Done {
        self.run(
            by,
            None,
            Command::ApproveCancellation(ApproveCancellation {
                cancellation,
                note: None,
            }),
        )
    }

    pub(crate) fn reject(&mut self, by: Role, cancellation: u32) -> Done {
        let code = "PACKED_ALREADY".to_owned();
        let command = RejectCancellation {
            cancellation,
            code,
            note: None,
            evidence: vec!["photo-1".to_owned()],
        };
        self.run(by, None, Command::RejectCancellation(command))
    }

    pub(crate) fn withdraw(&mut self, by: Role, cancellation: u32) -> Done {
        self.run(
            by,
            None,
            Command::WithdrawCancellation(WithdrawCancellation { cancellation }),
        )
    }

    /// Everything that was asked.
    pub(crate) fn stop(&mut self, shipment: u32) -> Done {
        self.stop_some(shipment, &[])
    }

    pub(crate) fn stop_some(&mut self, shipment: u32, lines: &[(u32, u32)]) -> Done {
        let answer = StopAnswer::Stopped {
            quantities: quantities(lines),
            stage_seen: None,
            put_back: Vec::new(),
        };
        self.answer_stop(shipment, answer)
    }

    pub(crate) fn cannot_stop(&mut self, shipment: u32) -> Done {
        self.answer_stop(
            shipment,
            StopAnswer::CannotStop {
                code: Some("HANDED_OVER".to_owned()),
            },
        )
    }

    fn answer_stop(&mut self, shipment: u32, answer: StopAnswer) -> Done {
        let command = AnswerStop {
            shipment,
            cancellation: None,
            answer,
            note: None,
        };
        self.run(Role::Warehouse, None, Command::AnswerStop(command))
    }

    pub(crate) fn confirm_intercept(&mut self, shipment: u32) -> Done {
        self.answer_intercept(shipment, InterceptAnswer::Confirmed)
    }

    pub(crate) fn cannot_intercept(&mut self, shipment: u32) -> Done {
        self.answer_intercept(shipment, InterceptAnswer::CannotIntercept { code: None })
    }

    fn answer_intercept(&mut self, shipment: u32, answer: InterceptAnswer) -> Done {
        self.run(
            Role::Carrier,
            None,
            Command::AnswerIntercept(AnswerIntercept {
                shipment,
                answer,
                note: None,
            }),
        )
    }

    /// What somebody waits for, or the whole parcel.
    pub(crate) fn receive(&mut self, shipment: u32, condition: GoodsCondition) -> Done {
        self.receive_some(shipment, condition, &[])
    }

    pub(crate) fn receive_some(
        &mut self,
        shipment: u32,
        condition: GoodsCondition,
        lines: &[(u32, u32)],
    ) -> Done {
        self.receive_box(shipment, condition, lines, "")
    }

    /// Under the warehouse's id of the receipt; empty is none.
    pub(crate) fn receive_box(
        &mut self,
        shipment: u32,
        condition: GoodsCondition,
        lines: &[(u32, u32)],
        id: &str,
    ) -> Done {
        let (quantities, receipt_id) = (quantities(lines), ExternalId::parse(id).ok());
        let command = ReceiveParcel {
            shipment,
            condition,
            quantities,
            receipt_id,
            receive_time: None,
            note: None,
        };
        self.run(Role::Warehouse, None, Command::ReceiveParcel(command))
    }

    pub(crate) fn hold(&mut self, shipment: u32, until: Timestamp) -> Done {
        let command = HoldShipment {
            shipment,
            fence: None,
            until,
            note: None,
        };
        self.run(Role::Seller, None, Command::HoldShipment(command))
    }

    pub(crate) fn release_hold(&mut self, shipment: u32) -> Done {
        self.run(
            Role::Seller,
            None,
            Command::ReleaseHold(ReleaseHold {
                shipment,
                fence: None,
            }),
        )
    }

    /// Each parcel as a list of `(line, quantity)`.
    pub(crate) fn split(&mut self, shipment: u32, parcels: &[&[(u32, u32)]]) -> Done {
        let parcels = parcels.iter().map(|parcel| quantities(parcel)).collect();
        self.run(
            Role::Warehouse,
            None,
            Command::SplitShipment(SplitShipment {
                shipment,
                fence: None,
                parcels,
            }),
        )
    }

    pub(crate) fn note(
        &mut self,
        visibility: NoteVisibility,
        text: &str,
        subject: Option<NoteSubject>,
    ) -> Result<(), Rejection> {
        let text = text.to_owned();
        let command = AddNote {
            text,
            visibility,
            subject,
        };
        let done = self.run(Role::Support, None, Command::AddNote(command));
        done.map(|_| ())
    }

    pub(crate) fn resolve(&mut self, incident: u32, resolution: Resolution) -> Done {
        let command = ResolveIncident {
            incident,
            resolution,
            note: None,
        };
        self.run(Role::Support, None, Command::ResolveIncident(command))
    }

    /// Of the gates of a part, in order.
    pub(crate) fn gates(&self, cancellation: u32, part: usize) -> Vec<GateState> {
        self.part(cancellation, part)
            .gates
            .iter()
            .map(|gate| gate.state)
            .collect()
    }
}
