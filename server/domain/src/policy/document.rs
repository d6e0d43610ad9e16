//! Reads a policy document, checks it and says everything that is wrong with it.
//!
//! A document is YAML, or JSON, which is YAML too. Keys are `snake_case`, values of enums
//! `SCREAMING_SNAKE`. Nothing is guessed: an unknown key, an empty list or a key without a value is
//! an error, because a condition that quietly falls away makes a rule match more than its author
//! meant. `fields` reads single values, `sections`, `reasons`, `returns`, `rules` and `gates` the
//! parts of a document, `reach` finds rules that can never match, `sources` what people read beside
//! a rule.

mod fields;
mod gates;
pub mod limits;
mod reach;
mod reasons;
mod returns;
mod rules;
mod sections;
mod sources;

use serde_json::Value;

pub use self::sources::sources;

use self::limits::{DEPTH_MAX, DOCUMENT_BYTES_MAX, NAME_CHARS_MAX, SOURCE_CHARS_MAX};
use super::Policy;
use crate::actor::Role;
use crate::document::{self, DocumentError, Errors, Node, distinct};
use crate::terms::NextAction;

/// The roles that can request a cancellation, and so the roles that a rule or a reason can be
/// about. A storefront requests for its buyer, an operator as support; payments and auditors
/// request nothing.
const REQUESTERS: &[Role] = &[
    Role::Buyer,
    Role::Seller,
    Role::Support,
    Role::Warehouse,
    Role::Carrier,
    Role::System,
];

const KEYS: &[&str] = &[
    "name",
    "source",
    "unpaid",
    "verification",
    "preparation",
    "notify",
    "labels",
    "reason_required",
    "reasons",
    "rules",
    "refunds",
    "returns",
    "customs",
    "quality",
];

/// Reads a document. Every error is listed, up to [`limits::ERRORS_MAX`]; a text that is no YAML at
/// all has one.
pub fn parse(text: &str) -> Result<Policy, Vec<DocumentError>> {
    let value = read(text).map_err(|description| {
        vec![DocumentError {
            path: String::new(),
            description,
        }]
    })?;
    let mut errors = Errors::default();
    let policy = policy(&Node::root(&value), &mut errors);
    match policy {
        Some(policy) if errors.count() == 0 => Ok(policy),
        Some(_) | None => Err(errors.into_list()),
    }
}

fn read(text: &str) -> Result<Value, String> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(format!(
            "may have at most {DOCUMENT_BYTES_MAX} bytes, has {}",
            text.len()
        ));
    }
    document::read(text, DEPTH_MAX)
}

fn policy(root: &Node<'_>, errors: &mut Errors) -> Option<Policy> {
    let object = root.object(KEYS, errors)?;
    let name = object
        .require("name", errors)
        .and_then(|node| node.text(NAME_CHARS_MAX, errors));
    let source = object
        .get("source")
        .and_then(|node| node.text(SOURCE_CHARS_MAX, errors));
    let unpaid = object
        .require("unpaid", errors)
        .and_then(|node| sections::unpaid(&node, errors));
    let verification = object
        .get("verification")
        .and_then(|node| sections::verification(&node, errors));
    let preparation_within = object
        .get("preparation")
        .and_then(|node| sections::preparation(&node, errors));
    let notify = object
        .get("notify")
        .map(|node| sections::notify(&node, errors));
    let labels = object
        .get("labels")
        .map(|node| sections::labels(&node, errors));
    let reasons_node = object.require("reasons", errors);
    let declared = reasons_node
        .as_ref()
        .map(reasons::codes)
        .unwrap_or_default();
    let reasons = reasons_node
        .map(|node| reasons::reasons(&node, errors))
        .unwrap_or_default();
    let reason_required = object
        .get("reason_required")
        .map(|node| reasons::required_of(&node, &reasons, errors));
    let returns = object
        .get("returns")
        .and_then(|node| returns::returns(&node, &declared, errors));
    let declared = Declared {
        reasons: declared,
        has_rates: object
            .get("returns")
            .is_some_and(|node| node.has_key("rates")),
    };
    let rules = object
        .require("rules", errors)
        .map(|node| rules::rules(&node, &declared, errors));
    let refunds = object
        .require("refunds", errors)
        .and_then(|node| sections::refunds(&node, rules.as_deref(), errors));
    let customs = object
        .get("customs")
        .and_then(|node| sections::customs(&node, errors));
    let quality = object
        .get("quality")
        .and_then(|node| sections::quality(&node, errors));
    Some(Policy {
        name: name?,
        source: source.unwrap_or_default(),
        unpaid: unpaid?,
        verification,
        preparation_within,
        notify: notify.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
        reason_required: reason_required.unwrap_or_default(),
        reasons,
        rules: rules?,
        refunds: refunds?,
        returns: returns.unwrap_or_default(),
        customs,
        quality,
    })
}

/// The declarations of a document that a rule may build on.
#[derive(Debug)]
struct Declared {
    /// Codes of reasons.
    reasons: Vec<String>,
    /// There is a schedule by which returns are refunded.
    has_rates: bool,
}

/// What somebody may do, none of it twice.
fn next_actions(nodes: &[Node<'_>], errors: &mut Errors) -> Vec<NextAction> {
    distinct(nodes, errors, |entry, errors| {
        entry.name(NextAction::ALL, errors)
    })
}
