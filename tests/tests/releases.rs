//! What is said of versions in several places is the same everywhere: the CHANGELOG, `Cargo.toml`,
//! the images of the protos, the chart, and what may be in a release.

use std::collections::BTreeSet;

use belay_tests::process::built;
use jiff::civil::Date;

use crate::tidy::read_to_string;

type Version = (u32, u32, u32);

fn version(text: &str) -> Version {
    let mut numbers = text.split('.').map(|number| {
        let is_plain = number == "0" || !number.starts_with('0');
        assert!(is_plain, "{text} is no version");
        number.parse().expect("a number")
    });
    let mut next = || numbers.next().expect("three numbers");
    let version = (next(), next(), next());
    assert_eq!(numbers.next(), None, "{text} is no version");
    version
}

/// The version under which everything is built.
fn present() -> Version {
    let manifest = read_to_string("Cargo.toml");
    let (_, package) = manifest
        .split_once("[workspace.package]\nversion = \"")
        .expect("the workspace has a version");
    version(package.split('"').next().expect("it ends"))
}

/// The versions that the CHANGELOG has a section of, newest first; Unreleased stands above them.
fn released() -> Vec<Version> {
    let changes = read_to_string("CHANGELOG.md");
    let mut sections = changes.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(sections.next(), Some("Unreleased"), "it stands on top");
    let mut days = Vec::new();
    let released: Vec<Version> = sections
        .map(|section| {
            let (number, day) = section.split_once(" — ").expect("a version and its day");
            days.push(day.parse::<Date>().expect("a day"));
            version(number)
        })
        .collect();
    assert!(released.is_sorted_by(|newer, older| newer > older));
    assert!(days.is_sorted_by(|newer, older| newer >= older));
    released
}

#[test]
fn changes_versions_and_images_agree() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/image");
    let entries = std::fs::read_dir(folder).expect("the images");
    let images: BTreeSet<Version> = entries
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("a name");
            version(name.strip_suffix(".binpb").expect("an image"))
        })
        .collect();
    let (present, released) = (present(), released());
    let mut expected: BTreeSet<Version> = released.iter().copied().collect();
    if released.is_empty() {
        // The contract is held to what is to be the first release.
        expected.insert(present);
    }
    assert_eq!(images, expected, "an image for each release");
    let newest = released.first().copied();
    assert!(
        newest.is_none_or(|newest| present >= newest),
        "Cargo.toml is behind the CHANGELOG"
    );
}

#[test]
fn the_chart_and_the_program_have_the_version_of_the_workspace() {
    let (x, y, z) = present();
    let chart = read_to_string("deploy/helm/belay/Chart.yaml");
    assert!(chart.contains(&format!("\nversion: {x}.{y}.{z}\n")));
    assert!(chart.contains(&format!("\nappVersion: \"{x}.{y}.{z}\"\n")));
    let said = std::process::Command::new(built("belay"))
        .arg("version")
        .output()
        .expect("it can be run");
    let said = String::from_utf8(said.stdout).expect("text");
    assert!(said.starts_with(&format!("belay {x}.{y}.{z}")), "{said}");
}

/// What a release lists as its licences is what the check of dependencies lets in.
#[test]
fn a_release_knows_all_licences_that_may_be_in_it() {
    let listed = |file: &str, key: &str| -> BTreeSet<String> {
        let text = read_to_string(file);
        let (_, list) = text
            .split_once(key)
            .unwrap_or_else(|| panic!("{file} has no {key}"));
        let (list, _) = list.split_once(']').expect("it ends");
        list.split(',')
            .map(|entry| entry.trim().trim_matches('"').to_owned())
            .collect()
    };
    assert_eq!(
        listed("server/dev/about.toml", "\naccepted = ["),
        listed("deny.toml", "\nallow = [")
    );
}

#[test]
fn it_is_said_which_versions_are_supported() {
    let security = read_to_string("SECURITY.md");
    let (_, supported) = security
        .split_once("\n## Supported versions\n")
        .expect("it has a section of them");
    let says_none = supported.contains("There is no release yet");
    assert_eq!(
        says_none,
        released().is_empty(),
        "SECURITY.md is out of date"
    );
}
