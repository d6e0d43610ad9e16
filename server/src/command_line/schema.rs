//! The migrations of newer releases that a database may have.

use std::collections::BTreeSet;

use clap::Args;

/// The schema that is taken.
#[derive(Debug, Clone, Args)]
pub struct SchemaArguments {
    /// Migrations of a newer release that the database may have, by their names, with commas in
    /// between: such as 0210_add_annotations_to_orders. Only those that add something: the notes of
    /// a release say which. So a server of this release goes on, and may start, while the newer one
    /// is rolled out.
    #[arg(
        long,
        env = "BELAY_ALLOW_NEWER_SCHEMA",
        value_name = "MIGRATIONS",
        value_delimiter = ',',
        value_parser = migration
    )]
    allow_newer_schema: Vec<String>,
}

impl SchemaArguments {
    /// The versions of the migrations, as a database records them.
    pub fn allowed(&self) -> BTreeSet<String> {
        self.allow_newer_schema.iter().cloned().collect()
    }
}

/// The version is what stands before the first `_`.
fn migration(name: &str) -> Result<String, String> {
    let (version, rest) = name.split_once('_').unwrap_or_default();
    let is_version = !version.is_empty() && version.chars().all(|of| of.is_ascii_digit());
    (is_version && !rest.is_empty())
        .then(|| version.to_owned())
        .ok_or_else(|| {
            "must be the name of a migration, such as 0210_add_annotations_to_orders".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_named_whole() {
        assert_eq!(migration("0210_add_note"), Ok("0210".to_owned()));
        for odd in ["", "0210", "0210_", "_add", "add_note", "*"] {
            assert!(migration(odd).is_err(), "{odd}");
        }
    }
}
