//! The difference between two policies, in words: by rule and by reason, for their order and their
//! names are what people know.

use std::fmt::Debug;

use belay_domain::policy::{Policy, Reason, Rule};

/// In the order of the document's sections; none where both decide alike.
pub(crate) fn differences(present: &Policy, draft: &Policy) -> Vec<String> {
    let mut found = Vec::new();
    section(&mut found, "name", &present.name, &draft.name);
    section(&mut found, "unpaid", &present.unpaid, &draft.unpaid);
    section(
        &mut found,
        "verification",
        &present.verification,
        &draft.verification,
    );
    let within = (&present.preparation_within, &draft.preparation_within);
    section(&mut found, "preparation_within", within.0, within.1);
    section(&mut found, "notify", &present.notify, &draft.notify);
    section(&mut found, "labels", &present.labels, &draft.labels);
    let required = (&present.reason_required, &draft.reason_required);
    section(&mut found, "reason_required", required.0, required.1);
    entries(
        &mut found,
        "reason",
        &present.reasons,
        &draft.reasons,
        |reason: &Reason| &reason.code,
    );
    entries(
        &mut found,
        "rule",
        &present.rules,
        &draft.rules,
        |rule: &Rule| &rule.id,
    );
    order(&mut found, present, draft);
    section(&mut found, "refunds", &present.refunds, &draft.refunds);
    section(&mut found, "returns", &present.returns, &draft.returns);
    section(&mut found, "customs", &present.customs, &draft.customs);
    section(&mut found, "quality", &present.quality, &draft.quality);
    found
}

fn section<T: PartialEq + Debug>(found: &mut Vec<String>, name: &str, present: &T, draft: &T) {
    if present != draft {
        found.push(format!("~ {name}: {present:?} becomes {draft:?}"));
    }
}

fn entries<T: PartialEq + Debug>(
    found: &mut Vec<String>,
    kind: &str,
    present: &[T],
    draft: &[T],
    name: impl Fn(&T) -> &String,
) {
    for old in present {
        match draft.iter().find(|new| name(new) == name(old)) {
            None => found.push(format!("- {kind} {}", name(old))),
            Some(new) if new != old => {
                found.push(format!("~ {kind} {}: {old:?} becomes {new:?}", name(old)));
            }
            Some(_) => {}
        }
    }
    for new in draft {
        if present.iter().all(|old| name(old) != name(new)) {
            found.push(format!("+ {kind} {}: {new:?}", name(new)));
        }
    }
}

/// The first rule that matches decides: so the order of those that both have matters.
fn order(found: &mut Vec<String>, present: &Policy, draft: &Policy) {
    let common = |of: &Policy, other: &Policy| -> Vec<String> {
        let ids = of.rules.iter().map(|rule| rule.id.clone());
        ids.filter(|id| other.rules.iter().any(|rule| rule.id == *id))
            .collect()
    };
    let (was, becomes) = (common(present, draft), common(draft, present));
    if was != becomes {
        found.push(format!(
            "~ the order of rules: {} becomes {}",
            was.join(", "),
            becomes.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::{policy, presets};

    use super::*;

    #[test]
    fn rules_are_told_by_their_names() {
        let document = presets::find("independent-site").unwrap();
        let present = policy::parse(document).unwrap();
        assert_eq!(differences(&present, &present), Vec::<String>::new());

        let mut draft = present.clone();
        let first = draft.rules.remove(0);
        draft.rules[0].when.paid = Some(true);
        let moved = draft.rules.pop().unwrap();
        draft.rules.insert(0, moved);
        draft.unpaid.expire_after *= 2;
        draft.rules.push(Rule {
            id: "new".to_owned(),
            ..first.clone()
        });
        let found = differences(&present, &draft);
        let begins: Vec<&str> = found
            .iter()
            .map(|of| of.split(':').next().unwrap())
            .collect();
        let changed = format!("~ rule {}", draft.rules[1].id);
        let gone = format!("- rule {}", first.id);
        let expected = [
            "~ unpaid",
            &gone,
            &changed,
            "+ rule new",
            "~ the order of rules",
        ];
        assert_eq!(begins, expected);
    }
}
