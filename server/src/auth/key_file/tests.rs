use std::collections::BTreeSet;
use std::fs;

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{SellerId, StoreId};
use belay_domain::scope::SCOPE_IDS_MAX;
use belay_domain::scope::{IdFilter, Scope};

use super::*;

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";
const OTHER: &str = "ffffffffffffffffffffffffffffffff";

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

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn holding(text: &str) -> Self {
        let name = format!("belay-callers-{}.yaml", crate::ids::request_id());
        let scratch = Self(std::env::temp_dir().join(name));
        scratch.write(text);
        scratch
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn two_callers(web: &[&str]) -> String {
    let web: Vec<String> = web.iter().map(|secret| line(secret)).collect();
    format!(
        "callers:\n  - {{id: web, role: STOREFRONT, stores: [demo], secrets: [{}]}}\n  \
         - {{id: acme-desk, role: SELLER, sellers: [acme, emca], secrets: [{}]}}\n",
        web.join(", "),
        line(OTHER)
    )
}

#[test]
fn a_caller_is_known_by_each_of_its_secrets() {
    let file = Scratch::holding(&two_callers(&[OLD, NEW]));
    let callers = KeyFile::open(&file.0).unwrap();
    let web = callers.find(OLD).unwrap();
    let demo = BTreeSet::from([StoreId::parse("demo").unwrap()]);
    assert_eq!(web.actor, Actor::new(Role::Storefront, "web"));
    assert_eq!(
        web.scope,
        Scope {
            stores: IdFilter::Only(demo),
            ..Scope::EVERYTHING
        }
    );
    assert_eq!(callers.find(NEW), Some(web));
    let sellers = ["acme", "emca"].map(|id| SellerId::parse(id).unwrap());
    let desk = callers.find(OTHER).unwrap();
    assert_eq!(
        desk.scope,
        Scope {
            sellers: IdFilter::Only(BTreeSet::from(sellers)),
            ..Scope::EVERYTHING
        }
    );
    for unknown in ["", "0", &OLD[1..], &line(OLD), &OLD.to_uppercase()] {
        assert_eq!(callers.find(unknown), None, "{unknown:?}");
    }
    assert!(!format!("{callers:?}").contains(&line(OLD)["blake3:".len()..]));
}

#[test]
fn a_changed_file_is_taken_and_a_faulty_one_changes_nothing() {
    let file = Scratch::holding(&two_callers(&[OLD]));
    let callers = KeyFile::open(&file.0).unwrap();
    assert_eq!(callers.reload(), Reload::Unchanged);

    file.write(&two_callers(&[OLD, NEW]));
    assert!(callers.find(NEW).is_none());
    assert_eq!(callers.reload(), Reload::Loaded(2));
    assert_eq!(callers.reload(), Reload::Unchanged);
    assert!(callers.find(OLD).is_some() && callers.find(NEW).is_some());

    file.write("callers: []");
    let Reload::Invalid(error) = callers.reload() else {
        panic!("an error")
    };
    assert!(
        error
            .to_string()
            .ends_with("\n  callers: must have at least one entry"),
        "{error}"
    );
    assert_eq!(callers.reload(), Reload::Unchanged, "an error is told once");
    assert!(callers.find(OLD).is_some());
    fs::remove_file(&file.0).unwrap();
    assert!(matches!(callers.reload(), Reload::Invalid(_)));
    assert_eq!(callers.reload(), Reload::Unchanged);
    assert!(callers.find(OLD).is_some());

    file.write(&two_callers(&[NEW]));
    assert_eq!(callers.reload(), Reload::Loaded(2));
    assert!(callers.find(OLD).is_none(), "what is taken out is out");
}

#[test]
fn every_fault_is_told_with_its_path() {
    let secret = line(OLD);
    let document = format!(
        "callers:
  - {{id: 'a b', role: KING, stores: [], secrets: [{secret}]}}
  - {{id: one, role: SELLER, secrets: []}}
  - {{id: two, role: WAREHOUSE, sellers: [x], secrets: [{secret}]}}
  - {{id: three, role: CARRIER, stores: [a, a, 'b/c', 7], secrets: [{OLD}], color: red}}
  - {{id: three, role: CARRIER, carriers:, secrets: [{other}]}}
  - {{id: four, role: BUYER}}
  - nobody
owner: me
",
        other = line(OTHER)
    );
    let roles = "STOREFRONT, SELLER, WAREHOUSE, CARRIER, PAYMENTS, SUPPORT, OPERATOR, AUDITOR";
    let keys = "id, role, stores, sellers, warehouses, carriers, secrets";
    let allowed = "may hold only A-Z a-z 0-9 . _ -";
    let expected = [
        "owner: is not a key here; the keys are callers".to_owned(),
        format!("callers[0].id: {allowed}; found ' '"),
        format!("callers[0].role: must be one of {roles}; found \"KING\""),
        "callers[0].stores: must have at least one entry".to_owned(),
        "callers[1].secrets: must have at least one entry".to_owned(),
        "callers[1].sellers: is required of the role SELLER: what it sees is its own".to_owned(),
        "callers[2].secrets[0]: is the same secret as callers[0].secrets[0]".to_owned(),
        "callers[2].warehouses: is required of the role WAREHOUSE: what it sees is its own"
            .to_owned(),
        format!("callers[3].color: is not a key here; the keys are {keys}"),
        "callers[3].stores[1]: a stands here twice".to_owned(),
        format!("callers[3].stores[2]: {allowed}; found '/'"),
        "callers[3].stores[3]: must be a text, is a number".to_owned(),
        "callers[3].secrets[0]: must be a line that `belay hash-secret` prints".to_owned(),
        "callers[3].carriers: is required of the role CARRIER: what it sees is its own".to_owned(),
        "callers[4].carriers: must be a list, is nothing".to_owned(),
        "callers[4]: is the same role and id as callers[3]; one caller may have several secrets"
            .to_owned(),
        format!("callers[5].role: must be one of {roles}; found \"BUYER\""),
        "callers[5].secrets: is required".to_owned(),
        "callers[6]: must be a mapping, is a text".to_owned(),
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
    let secret = |number: usize| line(&format!("{number:0>32}"));
    let caller = |number: usize| {
        format!(
            "  - {{id: c{number}, role: AUDITOR, secrets: [{}]}}\n",
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

    let with = |stores: usize, secrets: usize| {
        let stores: Vec<String> = (0..stores).map(|number| format!("s{number}")).collect();
        let secrets: Vec<String> = (0..secrets).map(secret).collect();
        let (stores, secrets) = (stores.join(", "), secrets.join(", "));
        errors(&format!(
            "callers: [{{id: a, role: SUPPORT, stores: [{stores}], secrets: [{secrets}]}}]"
        ))
    };
    assert_eq!(with(SCOPE_IDS_MAX, SECRETS_MAX), [""; 0]);
    assert_eq!(with(SCOPE_IDS_MAX + 1, SECRETS_MAX).len(), 1);
    assert_eq!(with(1, SECRETS_MAX + 1).len(), 1);

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

#[test]
fn a_secret_is_long_and_fits_a_header() {
    assert_eq!(
        line(OLD),
        format!("blake3:{}", blake3::hash(OLD.as_bytes()))
    );
    assert!(
        hash_secret(&OLD[1..])
            .unwrap_err()
            .contains("at least 32 characters, this one has 31")
    );
    for odd in [
        "0123456789abcdef 0123456789abcdef",
        "é123456789abcdef0123456789abcdef",
    ] {
        assert!(hash_secret(odd).unwrap_err().contains("printable ASCII"));
    }
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
