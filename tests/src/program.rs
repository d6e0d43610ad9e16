//! Which program is tried: the `belay` that is built beside the tests, or another build of it.
//!
//! A test that has its server in a process of its own, and every test that asks nothing but what
//! the port answers, can be run against another build, such as one with optimizations. Nobody is to
//! do that without knowing: `cargo nextest` keeps what a passing test prints to itself, and a
//! machine that tests changes tries what it has built, so both are refused.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of another build of `belay`.
pub const VARIABLE: &str = "BELAY_TEST_PROGRAM";
/// Their presence says who runs the tests.
const REFUSED: [(&str, &str); 2] = [
    ("NEXTEST", "nextest does not show it: use `cargo test`"),
    ("CI", "a change is tested by what is built of it"),
];

static OTHER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The other build that is to be tried. The first to ask has it said, past what captures the output
/// of tests.
///
/// # Panics
/// Where there is none at that path, or where it must not be used.
pub fn other() -> Option<&'static Path> {
    let found = OTHER.get_or_init(|| {
        let named = std::env::var_os(VARIABLE);
        let is_set = |variable: &str| std::env::var_os(variable).is_some();
        let (path, version) = check(named, is_set).unwrap_or_else(|error| panic!("{error}"))?;
        let line = format!("\n=== {VARIABLE}: {} is tried, {version}\n", path.display());
        // Nobody reads it where that fails.
        let _ = std::io::stderr().write_all(line.as_bytes());
        Some(path)
    });
    found.as_deref()
}

/// What a test says that needs more of the server than another program shows.
#[track_caller]
pub(crate) fn needs_its_own(why: &str) {
    assert!(
        other().is_none(),
        "this test cannot try another program: {why}. Run it without {VARIABLE}"
    );
}

/// The program that is named, with the first line that it says of itself.
fn check(
    named: Option<OsString>,
    is_set: impl Fn(&str) -> bool,
) -> Result<Option<(PathBuf, String)>, String> {
    let Some(path) = named.map(PathBuf::from) else {
        return Ok(None);
    };
    for (variable, why) in REFUSED {
        if is_set(variable) {
            return Err(format!("{VARIABLE} is set beside {variable}: {why}"));
        }
    }
    let shown = path.display();
    if !path.is_absolute() {
        return Err(format!("{VARIABLE}: {shown} is not an absolute path"));
    }
    let said = Command::new(&path).arg("--version").env_clear().output();
    let said = said.map_err(|error| format!("{VARIABLE}: {shown} cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&said.stdout);
    match text.lines().next() {
        Some(version) if said.status.success() && version.starts_with("belay ") => {
            let version = version.to_owned();
            Ok(Some((path, version)))
        }
        _ => Err(format!("{VARIABLE}: {shown} is no belay")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &str, set: &[&str]) -> Result<Option<(PathBuf, String)>, String> {
        check(Some(OsString::from(path)), |variable| {
            set.contains(&variable)
        })
    }

    #[test]
    fn another_program_is_tried_only_where_it_is_there_and_seen() {
        assert_eq!(check(None, |_| true), Ok(None));
        let refused = |path, set: &[&str], expected: &str| {
            let error = checked(path, set).expect_err(path);
            assert!(error.contains(expected), "{error}");
        };
        refused("/nowhere/belay", &[], "cannot be run");
        refused("target/release/belay", &[], "is not an absolute path");
        refused("", &[], "is not an absolute path");
        refused("/bin/true", &[], "is no belay");
        refused("/bin/true", &["NEXTEST"], "nextest does not show it");
        refused("/bin/true", &["CI"], "by what is built of it");
    }
}
