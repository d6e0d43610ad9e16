//! That no case of the five source documents is forgotten: each has one test, which its name tells
//! by document and number.

use std::collections::BTreeMap;

use crate::tidy::{read_to_string, rust_files};

/// The documents by their number, and how many cases each has. They are counted from 1 without
/// gaps.
const CASES: [(&str, u32); 5] = [
    ("000", 15),
    ("001", 16),
    ("002", 11),
    ("003", 19),
    ("004", 12),
];

/// The names of the tests for a case, by document and number: `s001_07_what_is_so` is one for
/// `001-07`.
fn tests() -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files("tests/tests") {
        let text = read_to_string(&file);
        let mut is_test = false;
        for line in text.lines() {
            // What the attribute does not stand on is a helper, whatever its name.
            if is_test
                && let Some(name) = line
                    .strip_prefix("fn ")
                    .and_then(|rest| rest.split('(').next())
                && let Some(case) = case_of(name)
            {
                tests.entry(case).or_default().push(name.to_owned());
            }
            is_test = line == "#[test]";
        }
    }
    tests
}

/// `s001_07_what_is_so` is about `001-07`. None for a name of another form.
fn case_of(name: &str) -> Option<String> {
    let mut words = name.strip_prefix('s')?.splitn(3, '_');
    let (document, number, fact) = (words.next()?, words.next()?, words.next()?);
    let is_number = |word: &str, digits: usize| {
        word.len() == digits && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    (is_number(document, 3) && is_number(number, 2) && !fact.is_empty())
        .then(|| format!("{document}-{number}"))
}

#[test]
fn every_case_of_the_five_documents_has_one_test() {
    let expected: Vec<String> = CASES
        .iter()
        .flat_map(|(document, cases)| {
            (1..=*cases).map(move |number| format!("{document}-{number:02}"))
        })
        .collect();
    assert_eq!(expected.len(), 73);
    let tests = tests();
    let missing: Vec<&String> = expected
        .iter()
        .filter(|case| !tests.contains_key(*case))
        .collect();
    assert!(missing.is_empty(), "cases without a test: {missing:?}");
    let unknown: Vec<&String> = tests
        .keys()
        .filter(|case| !expected.contains(case))
        .collect();
    assert!(
        unknown.is_empty(),
        "tests of cases that no document has: {unknown:?}"
    );
    let twice: Vec<&Vec<String>> = tests.values().filter(|names| names.len() > 1).collect();
    assert!(twice.is_empty(), "cases with more than one test: {twice:?}");
}

#[test]
fn every_document_has_a_preset() {
    assert_eq!(belay_domain::presets::ALL.len(), CASES.len());
}
