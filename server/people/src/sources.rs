//! The sentences that a policy document quotes beside its rules, as comments: what `belay explain`
//! and the console tell of a rule.

use std::collections::BTreeMap;

use belay_domain::policy::sources;

/// The sentences that stand above the rules of a policy document, as comments.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<String, String>);

impl Sources {
    pub fn read(document: &str) -> Self {
        Self(sources(document))
    }

    /// Of this rule, if there is one above it.
    pub fn of(&self, rule: &str) -> Option<&str> {
        self.0.get(rule).map(String::as_str)
    }
}

/// The rule that begins with this line of a document.
pub fn rule(line: &str) -> Option<&str> {
    let id = line.trim().strip_prefix("- id:")?;
    Some(id.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_above_a_rule_is_its_source() {
        let sources = Sources::read(
            "# Of the whole.\n\nrules:\n  # \"If it has not\n  # left.\"\n  - id: early\n    when: {}\n  - id: bare\n",
        );
        assert_eq!(sources.of("early"), Some("\"If it has not left.\""));
        assert_eq!(sources.of("bare"), None);
    }
}
