//! The version of this build, and its commit where whoever built it said so.

use std::sync::LazyLock;

/// As `Cargo.toml` has it, which is what releases are called by.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Said to the compiler by who builds a release; a build of one's own working copy has no commit.
const COMMIT: Option<&str> = option_env!("BELAY_BUILD_COMMIT");

/// Such as `0.1.0 (commit 1a2b3c4d…)`.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| worded(VERSION, COMMIT));
    &TEXT
}

fn worded(version: &str, commit: Option<&str>) -> String {
    match commit.filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} (commit {commit})"),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_told_where_it_is_known() {
        assert_eq!(worded("0.1.0", Some("abc")), "0.1.0 (commit abc)");
        assert_eq!(worded("0.1.0", Some("")), "0.1.0");
        assert_eq!(worded("0.1.0", None), "0.1.0");
        assert!(text().starts_with(VERSION));
    }
}
