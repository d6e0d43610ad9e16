//! Variables of the environment that look as if they were meant for Belay, and are nobody's: a
//! setting with a slip in its name would otherwise be passed over in silence.

use std::collections::BTreeSet;

use clap::Command;

/// Those of the client, one that is read and is no flag, for everybody sees flags, and those of who
/// develops Belay.
const OTHERS: [&str; 6] = [
    crate::identity_keys::VARIABLE,
    "BELAY_ENDPOINT",
    "BELAY_TOKEN_FILE",
    "BELAY_TLS_CA",
    "BELAY_TLS_CERT",
    "BELAY_TLS_KEY",
];
const DEVELOPMENT: [&str; 6] = [
    "BELAY_TEST_",
    "BELAY_BENCH_",
    "BELAY_MYSQL_",
    "BELAY_CACHE_DIR",
    "BELAY_DATA_DIR",
    "BELAY_ADDRESS",
];

/// The names among these that no argument of the command, or of one of its commands, is set by.
pub fn unknown(command: &Command, names: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    collect(command, &mut known);
    let is_development = |name: &String| DEVELOPMENT.iter().any(|begin| name.starts_with(begin));
    names
        .filter(|name| name.starts_with("BELAY_") && !known.contains(name))
        .filter(|name| !is_development(name))
        .collect()
}

fn collect(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command
        .get_arguments()
        .filter_map(|argument| argument.get_env());
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for inner in command.get_subcommands() {
        collect(inner, known);
    }
}

/// Those of this process.
pub fn unknown_now(command: &Command) -> BTreeSet<String> {
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    unknown(command, names)
}

/// Says in the log which variables nobody knows.
pub fn tell_unknown(command: &Command) {
    for name in unknown_now(command) {
        tracing::warn!(
            variable = name,
            "no setting of this release is called so: the variable is not read"
        );
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn what_nobody_reads_is_found() {
        let lanes = Arg::new("lanes").long("lanes").env("BELAY_LANES");
        let command = Command::new("belay").subcommand(Command::new("serve").arg(lanes));
        let names = [
            "BELAY_LANES",
            "BELAY_LANE",
            "BELAY_ENDPOINT",
            "BELAY_IDENTITY_KEY",
            "BELAY_TEST_DATABASE_URL",
            "PATH",
            "belay_lanes",
        ];
        let unknown = unknown(&command, names.map(str::to_owned).into_iter());
        assert_eq!(unknown, BTreeSet::from(["BELAY_LANE".to_owned()]));
    }
}
