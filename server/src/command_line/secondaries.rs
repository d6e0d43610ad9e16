//! The arguments that say which databases may answer reads that may be old.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::database::{DatabaseArguments, url_of};
use crate::db::address;
use crate::durations::within;
use crate::secondaries::{CONNECTIONS_DEFAULT, SecondarySettings};

pub const CONNECTIONS_MOST: u16 = 256;
/// Longer than anybody waits for a page.
pub const WAIT_MOST: Duration = Duration::from_secs(5);
pub const HEARTBEAT_LEAST: Duration = Duration::from_millis(100);
/// Rarer, and hardly any read is fresh enough.
pub const HEARTBEAT_MOST: Duration = Duration::from_secs(10);

/// The databases that may answer reads that may be old.
#[derive(Debug, Args)]
pub struct SecondaryArguments {
    /// Secondaries of the database, as a URL with one place or several:
    /// mysql://user:password@host:port,host:port/database. Lists and counts whose callers allow it,
    /// by the header belay-max-staleness, are read there. An account that only reads will do. TLS
    /// is as to the database, unless the URL says otherwise.
    #[arg(
        long,
        env = "BELAY_DATABASE_SECONDARIES",
        hide_env_values = true,
        value_name = "URL"
    )]
    database_secondaries: Option<SecretString>,
    /// A file that holds the URL of the secondaries.
    #[arg(
        long,
        env = "BELAY_DATABASE_SECONDARIES_FILE",
        conflicts_with = "database_secondaries",
        value_name = "FILE"
    )]
    database_secondaries_file: Option<PathBuf>,
    /// Connections to each secondary: 1 to 256, beside those to the database.
    #[arg(long, env = "BELAY_SECONDARY_CONNECTIONS", default_value_t = default_connections(), value_name = "CONNECTIONS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(CONNECTIONS_MOST)))]
    secondary_connections: u16,
    /// How long a read waits for a secondary to be as fresh as its caller wants it, before the
    /// primary is read: such as 100ms, from 0s to 5s.
    #[arg(long, env = "BELAY_SECONDARY_WAIT", default_value = "100ms", value_parser = wait, value_name = "DURATION")]
    secondary_wait: Duration,
    /// How often this server writes a beat, by which it knows how far secondaries are: such as
    /// 500ms, from 100ms to 10s. No read can be known to be younger than that.
    #[arg(long, env = "BELAY_SECONDARY_HEARTBEAT", default_value = "500ms", value_parser = heartbeat, value_name = "DURATION")]
    secondary_heartbeat: Duration,
}

fn default_connections() -> u16 {
    u16::try_from(CONNECTIONS_DEFAULT).unwrap_or(u16::MAX)
}

fn wait(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO..=WAIT_MOST)
        .ok_or_else(|| "must be a duration such as 100ms, from 0s to 5s".to_owned())
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    within(text, HEARTBEAT_LEAST..=HEARTBEAT_MOST)
        .ok_or_else(|| "must be a duration such as 500ms, from 100ms to 10s".to_owned())
}

impl SecondaryArguments {
    /// None where no secondary is named.
    ///
    /// # Errors
    /// Where what is named is no address of databases.
    pub fn settings(
        &self,
        database: &DatabaseArguments,
    ) -> anyhow::Result<Option<SecondarySettings>> {
        let url = match (&self.database_secondaries, &self.database_secondaries_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => url_of(file)?,
            (None, None) => return Ok(None),
        };
        let url = database.with_tls(&url)?;
        address::check(&url).map_err(|error| anyhow::anyhow!("--database-secondaries: {error}"))?;
        Ok(Some(SecondarySettings {
            url,
            connections: self.secondary_connections.into(),
            wait_max: self.secondary_wait,
            heartbeat: self.secondary_heartbeat,
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        database: DatabaseArguments,
        #[command(flatten)]
        secondaries: SecondaryArguments,
    }

    const URL: &str = "mysql://reader@b:3306,c:3306/belay";

    fn settings(arguments: &[&str]) -> anyhow::Result<Option<SecondarySettings>> {
        let program = Program::try_parse_from([&["belay"], arguments].concat())?;
        program.secondaries.settings(&program.database)
    }

    #[test]
    fn defaults_are_those_of_a_server_and_none_is_named() {
        assert!(settings(&[]).unwrap().is_none());
        let given = settings(&["--database-secondaries", URL]).unwrap().unwrap();
        let own = SecondarySettings::new(given.url.clone());
        assert_eq!(format!("{given:?}"), format!("{own:?}"));
    }

    #[test]
    fn what_names_no_database_is_refused_and_its_password_not_shown() {
        for odd in ["postgres://u:hunter2@h/d", "mysql://u:hunter2@h,h/d"] {
            let refused = settings(&["--database-secondaries", odd]).unwrap_err();
            let told = format!("{refused:#} {refused:?}");
            assert!(told.contains("--database-secondaries"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn tls_is_as_to_the_database() {
        let given = settings(&["--database-secondaries", URL, "--database-tls", "required"]);
        let url = given.unwrap().unwrap().url;
        assert_eq!(url.expose_secret(), format!("{URL}?ssl-mode=REQUIRED"));
    }

    #[test]
    fn each_bound_has_its_range() {
        for (flag, taken, refused) in [
            ("--secondary-connections", ["1", "256"], ["0", "257"]),
            ("--secondary-wait", ["0s", "5s"], ["-1s", "5001ms"]),
            (
                "--secondary-heartbeat",
                ["100ms", "10s"],
                ["99ms", "10001ms"],
            ),
        ] {
            let given = |value: &str| {
                let bound = format!("{flag}={value}");
                settings(&["--database-secondaries", URL, &bound])
            };
            let [least, most] = taken.map(|value| format!("{:?}", given(value).unwrap()));
            assert_ne!(least, most, "{flag}");
            for value in refused.into_iter().chain(["", "many"]) {
                assert!(given(value).is_err(), "{flag} {value}");
            }
        }
    }
}
