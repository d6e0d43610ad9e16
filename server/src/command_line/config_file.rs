//! The configuration file: what is given neither as a flag nor in the environment, by the names of
//! the flags. It is put behind the arguments before they are read, so that one set of rules holds
//! for all of them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use crate::trusted_file;

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// The variable that names the file.
pub const VARIABLE: &str = "BELAY_CONFIG";
/// The flag that does.
const FLAG: &str = "config";
/// The commands that a file is for, each with a table of its name where it has something of its
/// own.
pub const COMMANDS: [&str; 12] = [
    "serve",
    "check-config",
    "dev",
    "migrate",
    "doctor",
    "deliver",
    "dead-letters",
    "rebuild",
    "verify",
    "erase",
    "identity-key",
    "health",
];

/// The settings that a file has given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FromFile {
    pub path: Option<PathBuf>,
    /// The flags, without their dashes, that are as the file says.
    pub flags: BTreeSet<String>,
}

/// The error of a file that is not taken, with all that is wrong in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", path.display(), wrong.join("; "))]
pub struct ConfigFileError {
    path: PathBuf,
    wrong: Vec<String>,
}

/// The arguments, and behind them those that the file gives and nobody else; `is_set` tells which
/// variables are.
///
/// # Errors
/// Where the file cannot be read, others may write it, or it has what it may not have.
pub fn with_file(
    command: &Command,
    arguments: Vec<OsString>,
    is_set: impl Fn(&str) -> bool,
    variable: Option<OsString>,
) -> Result<(Vec<OsString>, FromFile), ConfigFileError> {
    let Some(path) = given(&arguments, FLAG).or(variable).map(PathBuf::from) else {
        return Ok((arguments, FromFile::default()));
    };
    let wrong = |wrong: Vec<String>| ConfigFileError {
        path: path.clone(),
        wrong,
    };
    let table = read(&path).map_err(|error| wrong(vec![error]))?;
    let mut command = command.clone();
    command.build();
    let found = chosen(&command, &arguments);
    let (given, errors) = flags(&command, found, &table);
    if !errors.is_empty() {
        return Err(wrong(errors));
    }
    let mut from_file = FromFile {
        path: Some(path),
        ..FromFile::default()
    };
    let mut all = arguments.clone();
    for (argument, values) in given {
        let name = argument.get_long().unwrap_or_default();
        let is_in_environment = argument
            .get_env()
            .is_some_and(|variable| is_set(&variable.to_string_lossy()));
        if is_in_environment || is_given(&arguments, name) {
            continue;
        }
        from_file.flags.insert(name.to_owned());
        all.extend(values.into_iter().map(OsString::from));
    }
    Ok((all, from_file))
}

/// Who writes it says, by naming other files, whom to trust.
fn read(path: &Path) -> Result<Table, String> {
    let bytes = trusted_file::read(path, FILE_BYTES_MAX)?.bytes;
    let text = String::from_utf8(bytes).map_err(|_| "must be text in UTF-8".to_owned())?;
    text.parse::<Table>()
        .map_err(|error| error.to_string().trim_end().to_owned())
}

/// The flag's value among arguments, before any `--`.
fn given(arguments: &[OsString], flag: &str) -> Option<OsString> {
    let long = format!("--{flag}");
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if *argument == *long {
            return arguments.next().cloned();
        }
        let text = argument.to_str().unwrap_or_default();
        if let Some(value) = text.strip_prefix(&format!("{long}=")) {
            return Some(value.into());
        }
    }
    None
}

fn is_given(arguments: &[OsString], flag: &str) -> bool {
    let (long, with_value) = (format!("--{flag}"), format!("--{flag}="));
    arguments.iter().any(|argument: &OsString| {
        let argument: &OsStr = argument;
        argument == long.as_str() || argument.to_string_lossy().starts_with(&with_value)
    })
}

/// The command that the arguments name, where a file is for it.
fn chosen<'a>(command: &'a Command, arguments: &[OsString]) -> Option<&'a Command> {
    let matches = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(arguments);
    let matches = matches.ok()?;
    let name = matches
        .subcommand_name()
        .filter(|name| COMMANDS.contains(name))?;
    command.find_subcommand(name)
}

/// The arguments of a command by their flags, or one of all commands that a file is for.
fn argument<'a>(of: &'a Command, name: &str) -> Option<&'a Arg> {
    of.get_arguments()
        .find(|argument| argument.get_long() == Some(name))
        .filter(|argument| !["help", "version", FLAG].contains(&argument.get_id().as_str()))
}

type Given<'a> = Vec<(&'a Arg, Vec<String>)>;

/// What the file gives to the command that is run, and all that is wrong in it, for whatever
/// command.
fn flags<'a>(
    command: &'a Command,
    chosen: Option<&'a Command>,
    table: &Table,
) -> (Given<'a>, Vec<String>) {
    let (mut given, mut errors) = (Given::new(), Vec::new());
    let commands = || {
        COMMANDS
            .iter()
            .filter_map(|name| command.find_subcommand(name))
    };
    for (key, value) in table {
        if let Value::Table(own) = value {
            let Some(of) = commands().find(|of| of.get_name() == key) else {
                errors.push(format!(
                    "[{key}] is none of Belay's commands that a file is for"
                ));
                continue;
            };
            for (key, value) in own {
                match argument(of, key) {
                    Some(known) => match written(known, value) {
                        Ok(values) if chosen.map(Command::get_name) == Some(of.get_name()) => {
                            given.retain(|(of, _)| of.get_long() != known.get_long());
                            given.push((known, values));
                        }
                        Ok(_) => {}
                        Err(error) => errors.push(format!("{}.{key} {error}", of.get_name())),
                    },
                    None => errors.push(format!("`belay {}` knows no --{key}", of.get_name())),
                }
            }
            continue;
        }
        // What several commands have, they have from the environment too.
        let has = |of: &&'a Command| argument(of, key).is_some_and(|of| of.get_env().is_some());
        let Some(of) = commands().find(has) else {
            errors.push(format!("no setting is called {key}"));
            continue;
        };
        let Some(known) = argument(of, key) else {
            continue;
        };
        match written(known, value) {
            Ok(values) => {
                let own = chosen.and_then(|chosen| argument(chosen, key));
                let is_there = given
                    .iter()
                    .any(|(of, _)| of.get_long() == known.get_long());
                if let Some(own) = own.filter(|_| !is_there) {
                    given.push((own, values));
                }
            }
            Err(error) => errors.push(format!("{key} {error}")),
        }
    }
    (given, errors)
}

/// A value as it is written on a command line.
fn written(argument: &Arg, value: &Value) -> Result<Vec<String>, &'static str> {
    let flag = format!("--{}", argument.get_long().unwrap_or_default());
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match value.as_bool() {
            Some(true) => Ok(vec![flag]),
            Some(false) => Ok(Vec::new()),
            None => Err("must be true or false"),
        };
    }
    let one = |value: &Value| plain(value).map(|value| format!("{flag}={value}"));
    match value.as_array() {
        Some(values) => values.iter().map(one).collect(),
        None => Ok(vec![one(value)?]),
    }
}

fn plain(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err("must be text, a number, or a list of these")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::trusted_file::Scratch;

    use super::*;

    fn command() -> Command {
        let lanes = || Arg::new("lanes").long("lanes").env("BELAY_LANES");
        let reflection = Arg::new("reflection")
            .long("reflection")
            .env("BELAY_REFLECTION");
        let trust = Arg::new("trust")
            .long("trust")
            .env("BELAY_TRUST")
            .action(ArgAction::SetTrue);
        let serve = Command::new("serve").args([lanes(), reflection, trust]);
        let sellers = Arg::new("seller").long("seller").action(ArgAction::Append);
        let deliver = Command::new("deliver").args([sellers, Arg::new("lease").long("lease")]);
        let config = Arg::new("config").long("config").global(true);
        let people = Command::new("orders").arg(Arg::new("store").long("store").env("BELAY_STORE"));
        Command::new("belay").arg(config).subcommands([
            serve,
            deliver,
            Command::new("dev").arg(lanes()),
            people,
        ])
    }

    /// What stands behind the arguments, and which flags the file gave.
    fn added(text: &str, line: &str, set: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
        let file = Scratch::holding(text);
        let line = line.replace("FILE", &file.0.display().to_string());
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let before = arguments.len();
        let read = with_file(&command(), arguments, |name| set.contains(&name), None);
        let (all, from) = read.map_err(|error| error.to_string())?;
        let added = all[before..]
            .iter()
            .map(|of| of.to_string_lossy().into_owned());
        Ok((added.collect(), from.flags.into_iter().collect()))
    }

    fn expect(text: &str, line: &str, set: &[&str], expected: &[&str]) {
        let (added, _) = added(text, line, set).unwrap();
        assert_eq!(added, expected, "{text} {line}");
    }

    #[test]
    fn a_flag_comes_first_then_the_environment_then_the_file() {
        let text = "lanes = 4\nreflection = \"on\"\ntrust = true\n";
        let all = ["--lanes=4", "--reflection=on", "--trust"];
        expect(text, "belay --config FILE serve", &[], &all);
        expect(text, "belay serve --config=FILE --lanes 2", &[], &all[1..]);
        expect(text, "belay serve --config=FILE --lanes=2", &[], &all[1..]);
        expect(
            text,
            "belay serve --config FILE",
            &["BELAY_LANES"],
            &all[1..],
        );
        expect(text, "belay dev --config FILE", &[], &all[..1]);
        // Nobody has asked for a file, or a file is not for it.
        expect(text, "belay serve", &[], &[]);
        expect(text, "belay orders --config FILE", &[], &[]);
    }

    #[test]
    fn a_command_has_a_table_of_its_own() {
        let text =
            "lanes = 4\n[deliver]\nseller = [\"a\", \"b\"]\nlease = \"30s\"\n[serve]\nlanes = 8\n";
        let deliver = ["--lease=30s", "--seller=a", "--seller=b"];
        expect(text, "belay deliver --config FILE", &[], &deliver);
        expect(text, "belay serve --config FILE", &[], &["--lanes=8"]);
        expect(text, "belay dev --config FILE", &[], &["--lanes=4"]);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let text = "lane = 4\nstore = \"demo\"\ntrust = \"yes\"\nreflection = true\n[serve]\nlease = \"1s\"\n[orders]\nx = 1\n";
        let error = added(text, "belay serve --config FILE", &[]).unwrap_err();
        for told in [
            "no setting is called lane",
            "no setting is called store",
            "trust must be true or false",
            "reflection must be text",
            "`belay serve` knows no --lease",
            "[orders] is none of Belay's commands",
        ] {
            assert!(error.contains(told), "{told}: {error}");
        }
        assert!(added("lanes = ", "belay serve --config FILE", &[]).is_err());
        assert!(added("", "belay serve --config /nowhere", &[]).is_err());
    }

    #[test]
    fn a_file_is_bounded() {
        let text = |bytes: usize| "#".repeat(bytes);
        let read = |bytes| added(&text(bytes), "belay serve --config FILE", &[]);
        assert!(read(FILE_BYTES_MAX).is_ok());
        assert!(read(FILE_BYTES_MAX + 1).is_err());
    }
}
