//! The difference that a new key file makes to its callers. Ids and roles are told, and never a
//! hash.

use std::collections::BTreeMap;

use belay_domain::actor::Actor;

use super::known::Entry;

/// Callers that one line names; a longer list says how many more there are.
pub const TOLD_MAX: usize = 50;

/// The callers whom a change of the file is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub added: Vec<Actor>,
    /// They see more, and nothing less.
    pub widened: Vec<Actor>,
    /// They see less, and nothing more.
    pub narrowed: Vec<Actor>,
    /// They see something else.
    pub moved: Vec<Actor>,
    pub dropped: Vec<Actor>,
    /// Their secrets or certificates have changed, or when these count.
    pub rekeyed: Vec<Actor>,
}

impl Difference {
    pub(super) fn between(before: &[Entry], after: &[Entry]) -> Self {
        let mut difference = Self::default();
        let name = |entry: &Entry| (entry.caller.actor.role, entry.caller.actor.id.clone());
        let mut old: BTreeMap<_, _> = before.iter().map(|entry| (name(entry), entry)).collect();
        for new in after {
            let actor = new.caller.actor.clone();
            let Some(old) = old.remove(&name(new)) else {
                difference.added.push(actor);
                continue;
            };
            if old.secrets != new.secrets
                || old.certificates != new.certificates
                || old.requires_both != new.requires_both
            {
                difference.rekeyed.push(actor.clone());
            }
            let (before, after) = (&old.caller.scope, &new.caller.scope);
            match (after.covers(before), before.covers(after)) {
                (true, true) => {}
                (true, false) => difference.widened.push(actor),
                (false, true) => difference.narrowed.push(actor),
                (false, false) => difference.moved.push(actor),
            }
        }
        difference.dropped = old.values().map(|old| old.caller.actor.clone()).collect();
        difference
    }

    /// Each kind of change with whom it is about, without those that are about nobody.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &[Actor])> {
        [
            ("added", &self.added),
            ("widened", &self.widened),
            ("narrowed", &self.narrowed),
            ("moved", &self.moved),
            ("dropped", &self.dropped),
            ("rekeyed", &self.rekeyed),
        ]
        .into_iter()
        .filter(|(_, callers)| !callers.is_empty())
        .map(|(change, callers)| (change, callers.as_slice()))
    }
}

/// Names callers, up to the bound.
pub fn told(callers: &[Actor]) -> String {
    let names = callers.iter().take(TOLD_MAX);
    let names: Vec<String> = names
        .map(|caller| format!("{} {}", caller.role, caller.id))
        .collect();
    let left_out = callers.len().saturating_sub(TOLD_MAX);
    match left_out {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
