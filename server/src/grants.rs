//! The grants that each command of Belay needs, as SQL that ships with it (`server/grants/`). The
//! tests serve by accounts with these grants and no others.

use std::io::Write as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

/// A set of grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GrantSet {
    /// For `belay serve`: history can be added to and not changed.
    Serve,
    /// For the account by which `belay serve` reads from secondaries.
    Secondary,
    /// Beside those of `serve`, to prune what is old.
    Retention,
    /// For `belay migrate` and `belay identity-key`.
    Migrate,
    /// For `belay deliver` and `belay dead-letters`.
    Deliver,
    /// For `belay rebuild`.
    Rebuild,
    /// For `belay verify`.
    Verify,
    /// For `belay erase`.
    Erase,
    /// For reports: the views that stay.
    Reports,
}

impl GrantSet {
    pub fn name(self) -> &'static str {
        match self {
            GrantSet::Serve => "serve",
            GrantSet::Secondary => "secondary",
            GrantSet::Retention => "retention",
            GrantSet::Migrate => "migrate",
            GrantSet::Deliver => "deliver",
            GrantSet::Rebuild => "rebuild",
            GrantSet::Verify => "verify",
            GrantSet::Erase => "erase",
            GrantSet::Reports => "reports",
        }
    }

    fn template(self) -> &'static str {
        match self {
            GrantSet::Serve => include_str!("../grants/serve.sql"),
            GrantSet::Secondary => include_str!("../grants/secondary.sql"),
            GrantSet::Retention => include_str!("../grants/retention.sql"),
            GrantSet::Migrate => include_str!("../grants/migrate.sql"),
            GrantSet::Deliver => include_str!("../grants/deliver.sql"),
            GrantSet::Rebuild => include_str!("../grants/rebuild.sql"),
            GrantSet::Verify => include_str!("../grants/verify.sql"),
            GrantSet::Erase => include_str!("../grants/erase.sql"),
            GrantSet::Reports => include_str!("../grants/reports.sql"),
        }
    }

    /// The privileges that it gives, table by table.
    pub fn of_tables(self) -> Vec<(Vec<&'static str>, &'static str)> {
        let lines = self.template().lines();
        let granted = lines.filter_map(|line| line.strip_prefix("GRANT ")?.split_once(" ON "));
        let table = |of: &'static str| of.split('`').nth(3);
        let rows = granted.filter_map(|(privileges, of)| {
            let privileges = privileges.split(", ").collect();
            Some((privileges, table(of)?))
        });
        rows.collect()
    }

    /// The statements for this account on this database.
    pub fn sql(self, database: &DatabaseName, account: &Account) -> String {
        let template = self.template().replace("{database}", &database.0);
        template.replace("{user}", &account.quoted())
    }
}

/// The arguments of `belay grants`.
#[derive(Debug, Args)]
pub struct Grants {
    /// For what.
    set: GrantSet,
    /// The account, such as belay or belay@10.0.0.%; without a host it is from anywhere. It must be
    /// there.
    #[arg(long, value_parser = |text: &str| Account::parse(text))]
    user: Account,
    /// The name of the database: letters, digits, _ and -.
    #[arg(long, value_parser = |text: &str| DatabaseName::parse(text))]
    database: DatabaseName,
}

impl Grants {
    /// Prints the statements.
    ///
    /// # Errors
    /// Where nobody reads them.
    pub fn run(&self) -> anyhow::Result<()> {
        let sql = self.set.sql(&self.database, &self.user);
        std::io::stdout()
            .write_all(sql.as_bytes())
            .context("the statements cannot be written")
    }
}

/// A name that needs no escape between backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// # Errors
    /// Where it could be read as anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        is_plain(text, "_-", 64)
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| "must be 1 to 64 letters, digits, _ and -".to_owned())
    }
}

/// An account of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    host: String,
}

impl Account {
    /// # Errors
    /// Where it could be read as anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, host) = text.split_once('@').unwrap_or((text, "%"));
        let is_good = is_plain(name, "_-.", 32) && is_plain(host, "_-.:%/", 255);
        is_good
            .then(|| Self {
                name: name.to_owned(),
                host: host.to_owned(),
            })
            .ok_or_else(|| "must be a name, or name@host".to_owned())
    }

    fn quoted(&self) -> String {
        format!("'{}'@'{}'", self.name, self.host)
    }
}

fn is_plain(text: &str, besides: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || besides.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_nothing_else_gets_in() {
        let database = DatabaseName::parse("shop-1").unwrap();
        let account = Account::parse("belay@10.0.0.%").unwrap();
        for set in GrantSet::value_variants() {
            let sql = set.sql(&database, &account);
            assert!(!sql.contains('{') && sql.contains("`shop-1`."), "{sql}");
            assert!(sql.contains("TO 'belay'@'10.0.0.%';"), "{sql}");
        }
        assert_eq!(Account::parse("belay").unwrap().quoted(), "'belay'@'%'");
        for odd in ["", "a'b", "a@b'", "a@", "@b", "a b", "a;b", &"a".repeat(33)] {
            assert!(Account::parse(odd).is_err(), "{odd:?}");
        }
        for odd in ["", "a`b", "a.b", "a b", &"a".repeat(65)] {
            assert!(DatabaseName::parse(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn no_account_but_that_of_migrations_may_change_the_schema_or_a_whole_database() {
        for set in GrantSet::value_variants() {
            let is_wide = |line: &&str| line.starts_with("GRANT") && line.contains(".* TO");
            let wide = set.template().lines().filter(is_wide).count();
            assert_eq!(wide, usize::from(*set == GrantSet::Migrate), "{set:?}");
        }
    }
}
