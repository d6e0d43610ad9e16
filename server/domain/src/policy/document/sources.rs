//! The sentences that a document has beside its rules: for people, who want to know where a rule
//! comes from.

use std::collections::BTreeMap;

/// The comment that stands right above each rule, by the rule's id; none where there is none.
pub fn sources(document: &str) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut sentence = String::new();
    for line in document.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix('#') {
            if !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(comment.trim());
        } else if let Some(id) = line.strip_prefix("- id:") {
            let id = id.trim().trim_matches(['"', '\'']).to_owned();
            if !sentence.is_empty() {
                sources.insert(id, std::mem::take(&mut sentence));
            }
        } else {
            sentence.clear();
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_above_a_rule_is_its_source() {
        let sources = sources(
            "# Of the whole.\n\nrules:\n  # \"If it has not\n  # left.\"\n  - id: early\n    when: {}\n  - id: bare\n",
        );
        assert_eq!(sources["early"], "\"If it has not left.\"");
        assert_eq!(sources.get("bare"), None);
    }
}
