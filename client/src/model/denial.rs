//! The denials of a policy.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{CancellationPath, LineQuantity, NextAction};
use crate::error_reason::ErrorReason;
use crate::ids::{LineId, ShipmentId};

/// A policy's denial of one path for the requested units in one shipment, with what is possible
/// instead.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Denial {
    /// The reason.
    pub reason: ErrorReason,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The path. `None` if this version of the client does not know it.
    pub path: Option<CancellationPath>,
    /// The policy's rule that decided, by its id. `None` if no rule matched, or the state refused
    /// before any rule.
    pub rule: Option<String>,
    /// The next actions for these units, best first. Those that this version of the client does not
    /// know are left out.
    pub next_actions: Vec<NextAction>,
    /// The largest selection of the requested units that could be cancelled. Empty if none could.
    pub acceptable: Vec<LineQuantity>,
    /// From when the path will be open, as far as time alone decides.
    pub available_from: Option<Timestamp>,
    /// The policy's instructions for a buyer without a return label, if that is the reason.
    pub label_instructions: Option<String>,
    /// The time at which the order closes by itself, if that is the reason.
    pub pay_by: Option<Timestamp>,
}

impl Denial {
    /// From the metadata of a rejection, by the documentation of [`ErrorReason::NotAllowed`].
    pub(crate) fn of(reason: &ErrorReason, metadata: &BTreeMap<String, String>) -> Option<Self> {
        let text = |key: &str| metadata.get(key).map_or("", String::as_str);
        let entries = |key: &str| {
            metadata
                .get(key)
                .into_iter()
                .flat_map(|list| list.split(','))
        };
        // Only a policy speaks of paths.
        metadata.get("path")?;
        Some(Self {
            reason: reason.clone(),
            shipment_id: ShipmentId::unchecked(text("shipment_id")),
            path: CancellationPath::from_name(text("path")),
            rule: Some(text("rule").to_owned()).filter(|rule| !rule.is_empty()),
            next_actions: entries("next_actions")
                .filter_map(NextAction::from_name)
                .collect(),
            acceptable: entries("acceptable").filter_map(acceptable).collect(),
            available_from: metadata
                .get("available_from")
                .and_then(|instant| instant.parse().ok()),
            label_instructions: metadata.get("label_instructions").cloned(),
            pay_by: metadata
                .get("pay_by")
                .and_then(|instant| instant.parse().ok()),
        })
    }
}

/// Reads `<line_id>=<quantity>`.
fn acceptable(entry: &str) -> Option<LineQuantity> {
    let (line_id, quantity) = entry.split_once('=')?;
    Some(LineQuantity {
        line_id: LineId::unchecked(line_id),
        quantity: quantity.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_what_is_possible_instead() {
        let metadata = [
            ("shipment_id", "A-1:s1"),
            ("path", "CANCEL"),
            ("rule", "too-late"),
            ("next_actions", "INTERCEPT,CONTACT_MOON,WAIT"),
            ("acceptable", "A-1:l1=2,A-1:l3=1"),
            ("available_from", "2026-03-02T09:00:00Z"),
            (
                "label_instructions",
                "Send it with whom you like, but tell us",
            ),
            ("pay_by", "2026-03-03T09:00:00Z"),
        ];
        let metadata: BTreeMap<String, String> = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let denial = Denial::of(&ErrorReason::Shipped, &metadata).unwrap();
        assert_eq!(
            (denial.shipment_id.as_str(), denial.path),
            ("A-1:s1", Some(CancellationPath::Cancel))
        );
        assert_eq!(denial.rule.as_deref(), Some("too-late"));
        assert_eq!(
            denial.next_actions,
            [NextAction::Intercept, NextAction::Wait]
        );
        let acceptable: Vec<(&str, i32)> = denial
            .acceptable
            .iter()
            .map(|one| (one.line_id.as_str(), one.quantity))
            .collect();
        assert_eq!(acceptable, [("A-1:l1", 2), ("A-1:l3", 1)]);
        assert_eq!(
            denial.available_from.unwrap().to_string(),
            "2026-03-02T09:00:00Z"
        );
        assert_eq!(
            denial.label_instructions.as_deref(),
            Some("Send it with whom you like, but tell us")
        );
        assert_eq!(denial.pay_by.unwrap().to_string(), "2026-03-03T09:00:00Z");
    }

    #[test]
    fn what_no_policy_said_is_no_denial() {
        let metadata = BTreeMap::from([("line_id".to_owned(), "A-1:l1".to_owned())]);
        assert_eq!(Denial::of(&ErrorReason::UnitsClaimed, &metadata), None);
    }
}
