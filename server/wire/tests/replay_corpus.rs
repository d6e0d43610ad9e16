//! What fuzzing has found or begun with, once more through the same functions: `fuzz/corpus`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use belay_proto::v1 as pb;
use belay_wire::fuzz;

/// A function that reads bytes of others.
type Target = fn(&[u8]);

/// The targets of this crate, with their functions.
const TARGETS: &[(&str, Target)] = &[
    ("requests", fuzz::requests),
    ("page_tokens", fuzz::page_tokens),
    ("resume_tokens", fuzz::resume_tokens),
    ("quotes", fuzz::quotes),
    ("policies", fuzz::policies),
];

/// Those of others: `server/src/auth/key_file/tests.rs`.
const ELSEWHERE: &[&str] = &["key_files"];

/// Bytes of all seeds together. They are kept for good, and each run of the tests goes through
/// them.
const CORPUS_BYTES_MAX: u64 = 100 * 1024;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz")
        .join(name)
}

/// The names of the entries of a folder.
fn entries(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn replay_corpus() {
    for (target, run) in TARGETS {
        let corpus = format!("corpus/{target}");
        let seeds = entries(&corpus);
        assert!(!seeds.is_empty(), "{corpus} is empty");
        for seed in seeds {
            run(&fs::read(folder(&corpus).join(seed)).unwrap());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let replayed = TARGETS.iter().map(|(target, _)| *target);
    let replayed: BTreeSet<String> = replayed
        .chain(ELSEWHERE.iter().copied())
        .map(str::to_owned)
        .collect();
    let programs = entries("fuzz_targets");
    let programs = programs
        .iter()
        .map(|file| file.trim_end_matches(".rs").to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), replayed);
    assert_eq!(entries("corpus"), replayed);
}

#[test]
fn the_corpus_is_small() {
    let mut bytes = 0;
    for target in entries("corpus") {
        let corpus = format!("corpus/{target}");
        let lengths = entries(&corpus).into_iter();
        let length = |seed| fs::metadata(folder(&corpus).join(seed)).unwrap().len();
        bytes += lengths.map(length).sum::<u64>();
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "fuzz/corpus has {bytes} bytes");
}

#[test]
fn every_rpc_is_fuzzed() {
    let fuzzed: BTreeSet<&str> = fuzz::PARSERS.iter().map(|(path, _)| *path).collect();
    let rpcs: BTreeSet<&str> = pb::RPCS.iter().map(|rpc| rpc.path).collect();
    let missing: Vec<&&str> = rpcs.difference(&fuzzed).collect();
    // It has nothing to read.
    assert_eq!(missing, [&"/belay.v1.PolicyService/ListPresets"]);
}
