use std::collections::BTreeSet;
use std::fs;

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{SellerId, StoreId};
use belay_domain::scope::SCOPE_IDS_MAX;
use belay_domain::scope::{Caller, IdFilter, Scope};

use super::*;
use crate::trusted_file::Scratch;

const OLD: &str = "old-9f1c7a40d2e85b36c04be7d19a6f3582";
const NEW: &str = "new-5be07d91f3a2c68e4d10b7a9c3f8e265";
const OTHER: &str = "other-c81f6e03b97a4d25e0f6a1c94b7d3825";
/// A scope without limits.
const EVERYWHERE: &str = "stores: ALL, sellers: ALL, warehouses: ALL, carriers: ALL";

fn line(secret: &str) -> String {
    hash_secret(secret).unwrap()
}

/// Every error, as a person reads it.
fn errors(document: &str) -> Vec<String> {
    match parse(Path::new("callers.yaml"), document.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) => error.errors.iter().map(ToString::to_string).collect(),
    }
}

/// A storefront of these stores with these secrets, and a seller's desk.
fn callers(stores: &str, web: &[&str]) -> String {
    let web: Vec<String> = web.iter().map(|secret| line(secret)).collect();
    format!(
        "callers:\n  - {{id: web, role: STOREFRONT, stores: {stores}, sellers: ALL, warehouses: ALL, carriers: ALL, secrets: [{}]}}\n  \
         - {{id: desk, role: SELLER, stores: ALL, sellers: [acme, emca], warehouses: ALL, carriers: ALL, secrets: [{}]}}\n",
        web.join(", "),
        line(OTHER)
    )
}

fn two_callers(web: &[&str]) -> String {
    callers("[demo]", web)
}

fn find(file: &KeyFile, token: &str) -> Option<Caller> {
    file.by_secret(token).map(|credential| credential.caller)
}

/// What the second of two looks finds.
fn look_twice(file: &KeyFile) -> Reload {
    assert_eq!(file.reload(), Reload::Unchanged);
    file.reload()
}

fn actors(callers: &[(Role, &str)]) -> Vec<Actor> {
    let actors = callers.iter().map(|(role, id)| Actor::new(*role, *id));
    actors.collect()
}

#[test]
fn a_caller_is_known_by_each_of_its_secrets() {
    let file = Scratch::holding(&two_callers(&[OLD, NEW]));
    let callers = KeyFile::open(&file.0).unwrap();
    let web = find(&callers, OLD).unwrap();
    let demo = BTreeSet::from([StoreId::parse("demo").unwrap()]);
    assert_eq!(web.actor, Actor::new(Role::Storefront, "web"));
    assert_eq!(
        web.scope,
        Scope {
            stores: IdFilter::Only(demo),
            ..Scope::EVERYTHING
        }
    );
    assert_eq!(find(&callers, NEW), Some(web));
    let sellers = ["acme", "emca"].map(|id| SellerId::parse(id).unwrap());
    assert_eq!(
        find(&callers, OTHER).unwrap().scope,
        Scope {
            sellers: IdFilter::Only(BTreeSet::from(sellers)),
            ..Scope::EVERYTHING
        }
    );
    for unknown in ["", "0", &OLD[1..], &line(OLD), &OLD.to_uppercase()] {
        assert_eq!(find(&callers, unknown), None, "{unknown:?}");
    }
    assert!(!format!("{callers:?}").contains(&line(OLD)["blake3:".len()..]));
}

#[test]
fn a_changed_file_is_taken_once_two_looks_have_found_the_same() {
    let file = Scratch::holding(&two_callers(&[OLD]));
    let callers = KeyFile::open(&file.0).unwrap();
    assert_eq!(look_twice(&callers), Reload::Unchanged);

    file.write(&two_callers(&[OLD, NEW]));
    assert_eq!(callers.reload(), Reload::Unchanged);
    assert!(find(&callers, NEW).is_none());
    let Reload::Taken(difference) = callers.reload() else {
        panic!("it is taken")
    };
    assert_eq!(
        difference,
        Difference {
            rekeyed: actors(&[(Role::Storefront, "web")]),
            ..Difference::default()
        }
    );
    assert_eq!(callers.reload(), Reload::Unchanged);
    assert!(find(&callers, OLD).is_some() && find(&callers, NEW).is_some());

    // One that changes between any two looks is not taken.
    for secrets in [&[NEW][..], &[OLD], &[NEW]] {
        file.write(&two_callers(secrets));
        assert_eq!(callers.reload(), Reload::Unchanged);
    }
    assert!(find(&callers, OLD).is_some());
    assert!(matches!(callers.reload(), Reload::Taken(_)));
    assert!(find(&callers, OLD).is_none(), "what is taken out is out");
}

#[test]
fn a_file_that_is_being_written_widens_nobody() {
    let narrow = two_callers(&[OLD]);
    let file = Scratch::holding(&narrow);
    let callers = KeyFile::open(&file.0).unwrap();
    let before = find(&callers, OLD);

    // Cut anywhere, and found so by as many looks as may be.
    let block = format!(
        "callers:\n  - id: web\n    role: STOREFRONT\n    secrets: [{}]\n    sellers: ALL\n    warehouses: ALL\n    \
         carriers: ALL\n    stores: [demo]\n",
        line(OLD)
    );
    for end in 0..block.len() {
        file.write(&block[..end]);
        callers.reload();
        callers.reload();
        let now = find(&callers, OLD).unwrap();
        assert!(
            before.as_ref().unwrap().scope.covers(&now.scope),
            "cut at {end}: {now:?}"
        );
    }

    // A first look that would widen, and a fault at the second.
    file.write(&narrow);
    callers.reload();
    callers.reload();
    file.write(&callers_everywhere());
    assert_eq!(callers.reload(), Reload::Unchanged);
    file.write("callers: [");
    assert_eq!(callers.reload(), Reload::Unchanged);
    assert_eq!(find(&callers, OLD), before);
    assert!(matches!(callers.reload(), Reload::Invalid(_)));
    assert_eq!(find(&callers, OLD), before);
    // Whoever means it is believed at the second look.
    file.write(&callers_everywhere());
    let Reload::Taken(difference) = look_twice(&callers) else {
        panic!("it is taken")
    };
    assert_eq!(difference.widened, actors(&[(Role::Storefront, "web")]));
}

fn callers_everywhere() -> String {
    callers("ALL", &[OLD])
}

#[test]
fn a_faulty_file_changes_nothing_and_is_told_once() {
    let file = Scratch::holding(&two_callers(&[OLD]));
    let callers = KeyFile::open(&file.0).unwrap();
    file.write("callers: []");
    let Reload::Invalid(error) = look_twice(&callers) else {
        panic!("an error")
    };
    assert!(
        error
            .to_string()
            .ends_with("\n  callers: must have at least one entry"),
        "{error}"
    );
    assert_eq!(look_twice(&callers), Reload::Unchanged, "it is told once");
    assert!(find(&callers, OLD).is_some());
    fs::remove_file(&file.0).unwrap();
    assert!(matches!(look_twice(&callers), Reload::Invalid(_)));
    assert_eq!(look_twice(&callers), Reload::Unchanged);
    assert!(find(&callers, OLD).is_some());

    file.write(&two_callers(&[OLD]));
    assert_eq!(
        look_twice(&callers),
        Reload::Taken(Difference::default()),
        "it is as before, and without a fault"
    );
}

#[test]
fn a_file_that_others_may_write_is_not_taken() {
    let file = Scratch::holding(&two_callers(&[OLD]));
    for (mode, is_taken) in [(0o600, true), (0o644, true), (0o620, false), (0o666, false)] {
        file.set_mode(mode);
        assert_eq!(KeyFile::open(&file.0).is_ok(), is_taken, "{mode:o}");
    }
    file.set_mode(0o600);
    let callers = KeyFile::open(&file.0).unwrap();
    file.write(&two_callers(&[NEW]));
    file.set_mode(0o606);
    let Reload::Invalid(error) = look_twice(&callers) else {
        panic!("an error")
    };
    assert!(error.to_string().contains("may be written by"), "{error}");
    assert!(find(&callers, OLD).is_some() && find(&callers, NEW).is_none());
    file.set_mode(0o600);
    assert!(matches!(look_twice(&callers), Reload::Taken(_)));
    assert!(find(&callers, NEW).is_some());
}

#[test]
fn a_reload_says_who_was_added_widened_narrowed_moved_and_dropped() {
    let caller = |id: &str, stores: &str| {
        let secret = line(&format!("{id}-9f1c7a40d2e85b36c04be7d19a6f3582"));
        format!(
            "  - {{id: {id}, role: SUPPORT, stores: {stores}, sellers: ALL, warehouses: ALL, carriers: ALL, secrets: [{secret}]}}\n"
        )
    };
    let all = |callers: &[(&str, &str)]| {
        let callers = callers.iter().map(|(id, stores)| caller(id, stores));
        format!("callers:\n{}", callers.collect::<String>())
    };
    let file = Scratch::holding(&all(&[
        ("a", "[x]"),
        ("b", "ALL"),
        ("c", "[x]"),
        ("d", "[x]"),
        ("e", "[x]"),
    ]));
    let callers = KeyFile::open(&file.0).unwrap();
    file.write(&all(&[
        ("a", "[x, y]"),
        ("b", "[x]"),
        ("c", "[y]"),
        ("d", "[x]"),
        ("f", "[x]"),
    ]));
    let Reload::Taken(difference) = look_twice(&callers) else {
        panic!("it is taken")
    };
    let told: Vec<_> = difference
        .changes()
        .map(|(change, callers)| format!("{change}: {}", told(callers)))
        .collect();
    assert_eq!(
        told,
        [
            "added: SUPPORT f",
            "widened: SUPPORT a",
            "narrowed: SUPPORT b",
            "moved: SUPPORT c",
            "dropped: SUPPORT e"
        ]
    );
    let many: Vec<Actor> = (0..=TOLD_MAX)
        .map(|id| Actor::new(Role::Support, id.to_string()))
        .collect();
    assert!(super::told(&many).ends_with("SUPPORT 49 and 1 more"));
    assert!(super::told(&many[..TOLD_MAX]).ends_with("SUPPORT 49"));
}

#[test]
fn a_credential_counts_until_it_is_withdrawn_or_shows_less() {
    let file = Scratch::holding(&callers("[x, y]", &[OLD, NEW]));
    let known = KeyFile::open(&file.0).unwrap();
    let withdrawn = |secret: &str| known.by_secret(secret).unwrap().withdrawn;
    let (old, new, desk) = (withdrawn(OLD), withdrawn(NEW), withdrawn(OTHER));
    let are_withdrawn = || [&old, &new, &desk].map(|token| token.is_cancelled());

    file.write(&callers("[x, y, z]", &[OLD, NEW]));
    assert!(matches!(look_twice(&known), Reload::Taken(_)));
    assert_eq!(are_withdrawn(), [false; 3], "who sees more goes on");
    file.write(&callers("[x, y]", &[NEW]));
    assert!(matches!(look_twice(&known), Reload::Taken(_)));
    // Both have begun with less than there was in between.
    assert_eq!(are_withdrawn(), [true, true, false]);

    let new = withdrawn(NEW);
    file.write("callers: [");
    assert!(matches!(look_twice(&known), Reload::Invalid(_)));
    assert!(!new.is_cancelled(), "a fault ends nothing");
    file.write(&callers("[x]", &[NEW]));
    assert!(matches!(look_twice(&known), Reload::Taken(_)));
    assert!(new.is_cancelled() && !desk.is_cancelled());
}

#[test]
fn a_session_ends_with_an_earlier_end_of_its_secret() {
    let with = |expires: &str| {
        format!(
            "callers: [{{id: a, role: AUDITOR, {EVERYWHERE}, secrets: [{{hash: '{}', expires: '{expires}'}}]}}]",
            line(OLD)
        )
    };
    let file = Scratch::holding(&with("2026-02-01T00:00:00Z"));
    let known = KeyFile::open(&file.0).unwrap();
    let credential = known.by_secret(OLD).unwrap();
    let expires = "2026-02-01T00:00:00Z".parse().unwrap();
    assert_eq!(credential.expires, Some(expires));
    file.write(&with("2026-03-01T00:00:00Z"));
    assert!(matches!(look_twice(&known), Reload::Taken(_)));
    assert!(!credential.withdrawn.is_cancelled());
    file.write(&with("2026-01-01T00:00:00Z"));
    assert!(matches!(look_twice(&known), Reload::Taken(_)));
    assert!(credential.withdrawn.is_cancelled());
}

#[test]
fn every_fault_is_told_with_its_path() {
    let secret = line(OLD);
    let document = format!(
        "callers:
  - {{id: 'a b', role: KING, stores: [], {rest}, secrets: [{secret}]}}
  - {{id: one, role: SELLER, {all}, secrets: []}}
  - {{id: two, role: WAREHOUSE, sellers: [x], carriers: all, secrets: [{secret}]}}
  - {{id: three, role: CARRIER, stores: [a, a, 'b/c', 7, ALL], {rest}, secrets: [{OLD}], color: red}}
  - {{id: three, role: SUPPORT, {all}, secrets: [{other}]}}
  - {{id: three, role: SUPPORT, stores:, {rest}}}
  - {{id: four, role: BUYER, {all}, secrets: [{{hash: '{secret}'}}, {{hash: x, expires: soon}}]}}
  - {{id: five, role: AUDITOR, {all}, certificates: ['dns:a', 'dns:a', b], require_both: true}}
  - nobody
owner: me
",
        all = EVERYWHERE,
        rest = "sellers: ALL, warehouses: ALL, carriers: ALL",
        other = line(OTHER)
    );
    let roles = "STOREFRONT, SELLER, WAREHOUSE, CARRIER, PAYMENTS, SUPPORT, OPERATOR, AUDITOR";
    let keys =
        "id, role, stores, sellers, warehouses, carriers, secrets, certificates, require_both";
    let allowed = "may hold only A-Z a-z 0-9 . _ -";
    let own =
        |role: &str| format!("must be a list of ids for the role {role}: what it sees is its own");
    let required = "is required: a list of ids, or ALL";
    let line = "must be a line that `belay hash-secret` prints";
    let expected = [
        "owner: is not a key here; the keys are callers".to_owned(),
        format!("callers[0].id: {allowed}; found ' '"),
        format!("callers[0].role: must be one of {roles}; found \"KING\""),
        "callers[0].stores: must have at least one entry".to_owned(),
        format!("callers[1].sellers: {}", own("SELLER")),
        "callers[1].secrets: must have at least one entry".to_owned(),
        format!("callers[2].stores: {required}"),
        format!("callers[2].warehouses: {required}"),
        "callers[2].carriers: must be a list of ids, or ALL; found \"all\"".to_owned(),
        "callers[2].secrets[0]: is the same secret as callers[0].secrets[0]".to_owned(),
        format!("callers[3].color: is not a key here; the keys are {keys}"),
        "callers[3].stores[1]: a stands here twice".to_owned(),
        format!("callers[3].stores[2]: {allowed}; found '/'"),
        "callers[3].stores[3]: must be a text, is a number".to_owned(),
        "callers[3].stores[4]: is no id: all are meant by `stores: ALL`".to_owned(),
        format!("callers[3].carriers: {}", own("CARRIER")),
        format!("callers[3].secrets[0]: {line}"),
        "callers[5].stores: must be a list, is nothing".to_owned(),
        "callers[5]: must have secrets, or certificates: nothing else tells who it is".to_owned(),
        "callers[5]: is the same role and id as callers[4]; one caller may have several secrets"
            .to_owned(),
        format!("callers[6].role: must be one of {roles}; found \"BUYER\""),
        "callers[6].secrets[0].hash: is the same secret as callers[0].secrets[0]".to_owned(),
        "callers[6].secrets[0].expires: is required".to_owned(),
        format!("callers[6].secrets[1].hash: {line}"),
        "callers[6].secrets[1].expires: must be an instant such as 2027-01-31T00:00:00Z".to_owned(),
        "callers[7].certificates[1]: is the same name as callers[7].certificates[0]".to_owned(),
        "callers[7].certificates[2]: must begin with spiffe:// or dns:".to_owned(),
        "callers[7].require_both: needs secrets and certificates".to_owned(),
        "callers[8]: must be a mapping, is a text".to_owned(),
    ];
    assert_eq!(errors(&document), expected);
}

#[test]
fn what_is_no_list_of_callers_is_refused() {
    for (document, error) in [
        ("", "must be a mapping, is nothing"),
        ("{}", "callers: is required"),
        ("callers: 7", "callers: must be a list, is a number"),
        ("callers: [{id: a", "is no YAML"),
        ("a: 1\na: 2", "is no YAML"),
    ] {
        let found = errors(document);
        assert!(
            found.len() == 1 && found[0].starts_with(error),
            "{document:?}: {found:?}"
        );
    }
    assert_eq!(
        parse(Path::new("x"), &[0xff])
            .map(|_| ())
            .unwrap_err()
            .errors[0]
            .description,
        "is no UTF-8"
    );
}

#[test]
fn the_bounds_hold_on_both_sides() {
    let secret = |number: usize| {
        let hash = blake3::hash(&number.to_le_bytes());
        format!("{HASH_PREFIX}{hash}")
    };
    let caller = |number: usize| {
        format!(
            "  - {{id: c{number}, role: AUDITOR, {EVERYWHERE}, secrets: [{}]}}\n",
            secret(number)
        )
    };
    let callers = |count| (0..count).map(caller).collect::<String>();
    assert_eq!(
        errors(&format!("callers:\n{}", callers(CALLERS_MAX))),
        [""; 0]
    );
    let found = errors(&format!("callers:\n{}", callers(CALLERS_MAX + 1)));
    assert_eq!(
        found,
        [format!(
            "callers: may have at most {CALLERS_MAX} entries, has {}",
            CALLERS_MAX + 1
        )]
    );

    let with = |stores: usize, secrets: usize, certificates: usize| {
        let stores: Vec<String> = (0..stores).map(|number| format!("s{number}")).collect();
        let secrets: Vec<String> = (0..secrets).map(secret).collect();
        let names: Vec<String> = (0..certificates)
            .map(|number| format!("'dns:n{number}'"))
            .collect();
        errors(&format!(
            "callers: [{{id: a, role: SUPPORT, stores: [{}], sellers: ALL, warehouses: ALL, carriers: ALL, \
             secrets: [{}], certificates: [{}]}}]",
            stores.join(", "),
            secrets.join(", "),
            names.join(", ")
        ))
    };
    assert_eq!(with(SCOPE_IDS_MAX, SECRETS_MAX, CERTIFICATES_MAX), [""; 0]);
    assert_eq!(with(SCOPE_IDS_MAX + 1, SECRETS_MAX, 1).len(), 1);
    assert_eq!(with(1, SECRETS_MAX + 1, 1).len(), 1);
    assert_eq!(with(1, 1, CERTIFICATES_MAX + 1).len(), 1);

    let file = Scratch::holding(&format!(
        "{}#{}",
        two_callers(&[OLD]),
        "x".repeat(FILE_BYTES_MAX)
    ));
    assert!(
        KeyFile::open(&file.0)
            .unwrap_err()
            .to_string()
            .contains("may have at most 1048576 bytes")
    );
}

/// What fuzzing has found or begun with, once more.
#[test]
fn replay_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/key_files");
    let mut replayed = 0;
    for seed in fs::read_dir(corpus).unwrap() {
        super::fuzz(&fs::read(seed.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0);
}
