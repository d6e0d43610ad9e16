//! The rules of dependency that Cargo cannot hold, and other habits: what `ARCHITECTURE.md` says of
//! who may know whom.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate is in the workspace")
}

/// The text of a file, by its path in the workspace.
pub(crate) fn read_to_string(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All Rust files below a folder of the workspace.
pub(crate) fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(
                    path.strip_prefix(root())
                        .expect("in the workspace")
                        .display()
                        .to_string(),
                );
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no Rust files");
    files.sort();
    files
}

/// The code of a file: without comments, and without the tests at its end.
fn code(file: &str) -> String {
    let text = read_to_string(file);
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Expects none of these words in the code of these files.
fn nowhere(files: impl IntoIterator<Item = String>, words: &[&str]) {
    for file in files {
        let code = code(&file);
        for word in words {
            let at = code.lines().position(|line| names(line, word));
            assert!(at.is_none(), "{file}:{} names {word}", at.unwrap_or(0) + 1);
        }
    }
}

/// Whether a line holds this word, and not as the end of a longer one.
fn names(line: &str, word: &str) -> bool {
    let is_longer = |before: &str| {
        before.ends_with(char::is_alphanumeric) && word.starts_with(char::is_alphanumeric)
    };
    line.match_indices(word)
        .any(|(at, _)| !is_longer(&line[..at]))
}

/// The names under `[dependencies]` of a crate, and of its other tables of dependencies if `all`.
fn dependencies(manifest: &str, all: bool) -> Vec<String> {
    let text = read_to_string(manifest);
    let mut names = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            is_inside = line == "[dependencies]" || (all && line.ends_with("dependencies]"));
        } else if is_inside && !line.starts_with('#') && !line.trim().is_empty() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            names.push(name.to_owned());
        }
    }
    assert!(!names.is_empty(), "{manifest} has no dependencies");
    names
}

#[test]
fn the_domain_is_pure() {
    // A list of what it may have: who adds something has to come here and say why it does no I/O.
    let pure = [
        "blake3",
        "iso_currency",
        "jiff",
        "serde",
        "serde_json",
        "serde-saphyr",
        "thiserror",
        "uuid",
    ];
    for dependency in dependencies("server/domain/Cargo.toml", false) {
        assert!(
            pure.contains(&&*dependency),
            "belay-domain depends on {dependency}"
        );
    }
    nowhere(
        rust_files("server/domain/src"),
        &[
            "async ",
            ".await",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "std::process",
            "SystemTime",
            "Instant",
            "Timestamp::now",
            "Zoned::now",
            "Uuid::new",
            "println!",
            "unsafe",
        ],
    );
}

#[test]
fn the_wire_needs_no_runtime_and_no_database() {
    // A server in the caller's own process reads and renders with it. tonic is here for `Status`
    // and `Code`: without a feature of its own it opens no connection and starts no task.
    let plain = [
        "aes-gcm-siv",
        "belay-domain",
        "belay-proto",
        "blake3",
        "bytes",
        "data-encoding",
        "http",
        "jiff",
        "prost",
        "prost-reflect",
        "prost-types",
        "serde",
        "serde_json",
        "serde_path_to_error",
        "thiserror",
        "tonic",
        "tonic-types",
        "uuid",
    ];
    for dependency in dependencies("server/wire/Cargo.toml", false) {
        assert!(
            plain.contains(&&*dependency),
            "belay-wire depends on {dependency}"
        );
    }
    let manifest = read_to_string("server/wire/Cargo.toml");
    let (depends, _) = manifest
        .split_once("[dev-dependencies]")
        .expect("what its tests need comes last");
    assert!(
        !depends.contains("features"),
        "belay-wire asks for features"
    );
    nowhere(
        rust_files("server/wire/src"),
        &[
            "async ",
            "tokio",
            "diesel",
            "SELECT ",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "SystemTime",
            "Instant",
            "Timestamp::now",
            "Uuid::new",
            "tonic::transport",
        ],
    );
}

#[test]
fn the_database_knows_nothing_of_the_wire() {
    nowhere(
        rust_files("server/src/db"),
        &[
            "belay_proto",
            "tonic",
            "prost",
            "belay_wire",
            "crate::rpc",
            "crate::engine",
        ],
    );
}

#[test]
fn the_services_read_and_write_nothing_themselves() {
    nowhere(
        rust_files("server/src/rpc"),
        &[
            "diesel",
            "mysql",
            "SELECT ",
            "INSERT ",
            "Snapshot",
            "pools.",
            "&mut conn",
        ],
    );
}

#[test]
fn tests_look_inside_a_server_by_one_door() {
    let files = rust_files("tests/tests").into_iter();
    let others = files.filter(|file| !file.ends_with("tidy.rs"));
    nowhere(others, &["belay_server::App", ".app()"]);
}

/// MariaDB answers a DO with OK whatever fails in it: `findings/mariadb-do-answers-ok.sh`.
#[test]
fn what_checks_a_statement_is_no_do() {
    let ways = ["DO IF(", "DO (", "DO {", "DO \""];
    nowhere(rust_files("server/src"), &ways);
}

#[test]
fn one_file_knows_the_codes_of_grpc() {
    let files = [rust_files("server/src"), rust_files("server/wire/src")];
    let others = files
        .into_iter()
        .flatten()
        .filter(|file| !file.starts_with("server/wire/src/status"));
    nowhere(others, &["tonic::Code", "Code::", "Code,", "Code}"]);
}

#[test]
fn the_protos_are_known_at_the_boundary_only() {
    // The composition root names the services that it starts; `belay dev` and the console are
    // callers like any other, and what comes in JSON is read by the descriptors. The feed and an
    // order's history hand on events as they are stored, and who delivers them sends them on. A
    // simulation measures its messages, so it makes them.
    let boundary = [
        "server/src/connect",
        "server/src/console",
        "server/src/deliver",
        "server/src/feed",
        "server/src/queries/history.rs",
        "server/src/rpc.rs",
        "server/src/rpc/",
        "server/src/server.rs",
        "server/src/simulation.rs",
        "server/src/demo.rs",
    ];
    let inside = rust_files("server/src")
        .into_iter()
        .filter(|file| !boundary.iter().any(|part| file.starts_with(part)));
    nowhere(inside, &["belay_proto"]);
}

#[test]
fn who_calls_is_known_without_what_is_called() {
    nowhere(
        rust_files("server/src/auth"),
        &["crate::rpc", "crate::db", "belay_wire", "tonic"],
    );
    nowhere(
        rust_files("server/src/admin"),
        &["crate::rpc", "belay_proto", "tonic"],
    );
}

#[test]
fn orders_are_written_by_the_engine_alone() {
    let others = rust_files("server/src").into_iter();
    let others = others.filter(|file| {
        !file.starts_with("server/src/engine/") && !file.starts_with("server/src/db/")
    });
    nowhere(
        others,
        &[
            "aggregate::insert",
            "aggregate::update",
            "orders::lock",
            "requests::insert",
            "events::append",
        ],
    );
}

#[test]
fn client_and_server_do_not_know_each_other_and_the_protos_know_neither() {
    let never = |manifest: &str, names: &[&str]| {
        for dependency in dependencies(manifest, true) {
            assert!(
                !names.contains(&&*dependency),
                "{manifest} depends on {dependency}"
            );
        }
    };
    never("server/Cargo.toml", &["belay-client", "belay-tests"]);
    never(
        "server/wire/Cargo.toml",
        &["belay-client", "belay-server", "belay-tests"],
    );
    never(
        "server/domain/Cargo.toml",
        &[
            "belay-client",
            "belay-server",
            "belay-wire",
            "belay-proto",
            "belay-tests",
        ],
    );
    never(
        "proto/Cargo.toml",
        &[
            "belay-client",
            "belay-server",
            "belay-wire",
            "belay-domain",
            "belay-tests",
        ],
    );
    never("client/Cargo.toml", &["belay-server", "belay-tests"]);
    // The rules themselves only for a server in the caller's own process, behind a feature.
    let manifest = read_to_string("client/Cargo.toml");
    let is_optional = |line: &&str| line.starts_with("belay-domain") && !line.contains("optional");
    assert_eq!(manifest.lines().find(is_optional), None);
}

#[test]
fn what_the_client_shows_is_free_of_its_transport() {
    for file in rust_files("client/src") {
        let code = code(&file);
        for line in code
            .lines()
            .filter(|line| line.trim_start().starts_with("pub ") && !line.contains("pub(crate)"))
        {
            for word in ["tonic", "prost", "backon", "pb::"] {
                let is_hidden = line.contains("pub struct") && line.contains("(pb::");
                assert!(
                    is_hidden || !line.contains(word),
                    "{file} shows {word}: {line}"
                );
            }
        }
    }
}

#[test]
fn every_test_file_is_part_of_the_binary() {
    for module in ["tests/tests", "tests/tests/bad_input"] {
        let parent = if module.ends_with("bad_input") {
            "tests/tests/bad_input.rs"
        } else {
            "tests/tests/main.rs"
        };
        let declared = read_to_string(parent);
        for file in rust_files(module) {
            let Some(name) = file
                .strip_prefix(&format!("{module}/"))
                .and_then(|name| name.strip_suffix(".rs"))
            else {
                continue;
            };
            let is_child = name.contains('/') || name == "main";
            assert!(
                is_child || declared.contains(&format!("mod {name};")),
                "{parent} lacks `mod {name};`"
            );
        }
    }
}

/// A sum that wraps is wrong money; the release is as strict as the tests.
#[test]
fn what_adds_up_is_checked_for_overflow_in_a_release() {
    let manifest = read_to_string("Cargo.toml");
    for package in ["belay-domain", "belay-wire"] {
        let section = format!("[profile.release.package.{package}]\n");
        let (_, below) = manifest.split_once(&section).unwrap_or_else(|| {
            panic!("Cargo.toml has no {section}");
        });
        let section = below.split("\n[").next().unwrap_or_default();
        assert!(
            section.lines().any(|line| line == "overflow-checks = true"),
            "{package} wraps in a release"
        );
    }
}

#[test]
fn tests_do_not_sleep() {
    // Here waiting is bounded polling, or it makes a race or a fault; nowhere may it stand for "by
    // now it will have happened".
    let waits = [
        "src/expect.rs",
        "src/instance.rs",
        "src/load.rs",
        "src/bin/",
        "tests/pairs",
        "tests/faults",
        "tests/races",
        "tests/tidy.rs",
    ];
    let files = rust_files("tests/tests")
        .into_iter()
        .chain(rust_files("tests/src"));
    nowhere(
        files.filter(|file| {
            !waits
                .iter()
                .any(|part| file.starts_with(&format!("tests/{part}")))
        }),
        &["sleep("],
    );
}

/// rustfmt leaves comments as they are. A row of a table, a link and the code of an example may be
/// longer.
#[test]
fn comments_are_as_wide_as_the_code() {
    const COLUMNS_MAX: usize = 100;
    let mut wide = Vec::new();
    for file in ["client", "fuzz", "proto/src", "server", "tests"]
        .into_iter()
        .flat_map(rust_files)
        .filter(|file| !file.contains("/generated/") && !file.contains("/target/"))
    {
        let mut is_example = false;
        for (index, line) in read_to_string(&file).lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("//") else {
                continue;
            };
            let text = comment.trim_start_matches(['/', '!']).trim();
            if text.starts_with("```") {
                is_example = !is_example;
            }
            let is_whole = is_example
                || text.starts_with('|')
                || text.starts_with('[') && text.contains("]: ")
                || !text.contains(' ');
            if line.chars().count() > COLUMNS_MAX && !is_whole {
                wide.push(format!("{file}:{}", index + 1));
            }
        }
    }
    assert!(
        wide.is_empty(),
        "comments beyond {COLUMNS_MAX} columns:\n{}",
        wide.join("\n")
    );
}
