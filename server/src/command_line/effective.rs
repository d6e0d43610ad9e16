//! The configuration as it is in force, each value with where it comes from; and the page of all
//! that may be set. Both are read from the definitions of the arguments, so that neither can differ
//! from them.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use url::Url;

use super::config_file::{COMMANDS, FromFile};

/// In place of what nobody is shown.
const MASKED: &str = "***";

/// Each setting of a command, as a file could say it, with where its value comes from. Passwords
/// and keys are masked.
pub fn effective(command: &Command, matches: &ArgMatches, from_file: &FromFile) -> String {
    let mut command = command.clone();
    command.build();
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|of| is_setting(of))
        .collect();
    let lines: Vec<(String, String)> = arguments
        .into_iter()
        .map(|argument| line(argument, matches, from_file))
        .collect();
    let width = lines.iter().map(|(value, _)| value.chars().count()).max();
    let width = width.unwrap_or_default().min(72);
    let mut text = String::new();
    for (value, source) in lines {
        let _ = writeln!(text, "{value:<width$}  # {source}");
    }
    text
}

fn is_setting(argument: &Arg) -> bool {
    let id = argument.get_id().as_str();
    argument.get_long().is_some() && !argument.is_hide_set() && !["help", "version"].contains(&id)
}

fn line(argument: &Arg, matches: &ArgMatches, from_file: &FromFile) -> (String, String) {
    let name = argument.get_long().unwrap_or_default();
    let id = argument.get_id().as_str();
    let values: Vec<String> = matches
        .get_raw(id)
        .map(|values| values.map(|of| of.to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let is_switch = !argument.get_action().takes_values();
    let value = match values.as_slice() {
        // A switch has its value from its definition.
        _ if is_switch => matches.get_flag(id).to_string(),
        [] => return (format!("# {name} ="), "not set".to_owned()),
        [only] => quoted(&masked(argument, only)),
        several => {
            let several = several.iter().map(|of| quoted(&masked(argument, of)));
            format!("[{}]", several.collect::<Vec<_>>().join(", "))
        }
    };
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) if from_file.flags.contains(name) => {
            let path = from_file
                .path
                .as_deref()
                .unwrap_or(std::path::Path::new(""));
            format!("file {}", path.display())
        }
        Some(ValueSource::CommandLine) => "flag".to_owned(),
        Some(ValueSource::EnvVariable) => {
            let variable = argument.get_env().unwrap_or_default();
            format!("environment {}", variable.to_string_lossy())
        }
        Some(_) | None => "default".to_owned(),
    };
    (format!("{name} = {value}"), source)
}

/// As TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn masked(argument: &Arg, value: &str) -> String {
    if argument.is_hide_env_values_set() {
        without_password(value)
    } else {
        value.to_owned()
    }
}

/// Of an address only the password is hidden, of anything else all.
pub fn without_password(value: &str) -> String {
    let Ok(mut url) = Url::parse(value) else {
        return MASKED.to_owned();
    };
    if url.password().is_some() && url.set_password(Some(MASKED)).is_err() {
        return MASKED.to_owned();
    }
    url.to_string()
}

const INTRODUCTION: &str = "# Configuration\n\n\
    This page is made from the program: `make configuration` writes it, and a test holds it to what `belay` takes.\n\n\
    A flag comes before the environment, the environment before the file, the file before the default. The file is the one \
    that `--config` or `BELAY_CONFIG` names: TOML, with the names of flags as keys and without their dashes, and a table of its \
    name for what only one command has.\n\n\
    ```toml\n\
    grpc-address = \"0.0.0.0:50051\"\n\
    database-url-file = \"/etc/belay/database-url\"\n\
    lanes = 4\n\
    reflection = \"on\"\n\n\
    [deliver]\n\
    consumer = \"shop-hooks\"\n\
    lease = \"30s\"\n\
    ```\n\n\
    The file belongs to root or to the user of the process, and nobody else may write it, for it names the files that say whom to \
    trust; it has 256 KiB at most. A key that no command knows is an error, and so is a value that its flag would not take; a \
    variable `BELAY_…` that nobody reads is told in the log. `belay check-config` takes what `serve` takes, shows what would be \
    in force and where each value comes from, and checks what a start checks before it looks at the database.\n";

/// The page of all settings.
pub fn reference(command: &Command) -> String {
    let mut command = command.clone();
    command.build();
    let mut text = INTRODUCTION.to_owned();
    let mut known: Vec<String> = Vec::new();
    for name in COMMANDS.iter().filter(|name| **name != "check-config") {
        let Some(of) = command.find_subcommand(name) else {
            continue;
        };
        let settings = of.get_arguments().filter(|argument| is_setting(argument));
        // What a command shares with one above has the same name and the same variable.
        let key = |argument: &Arg| {
            let variable = argument
                .get_env()
                .map(|of| of.to_string_lossy().into_owned());
            format!("{:?} {variable:?}", argument.get_long())
        };
        let own: Vec<&Arg> = settings
            .filter(|argument| argument.get_env().is_none() || !known.contains(&key(argument)))
            .collect();
        if own.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## `belay {name}`\n\n");
        if *name != "serve" {
            text.push_str("Beside those of the same names above:\n\n");
        }
        text.push_str("| Flag | Variable | Default | Says |\n|---|---|---|---|\n");
        for argument in own {
            text.push_str(&row(argument));
            known.push(key(argument));
        }
    }
    text
}

fn row(argument: &Arg) -> String {
    let flag = argument.get_long().unwrap_or_default();
    let takes_values = argument.get_action().takes_values();
    let value = argument.get_value_names().filter(|_| takes_values);
    let value = value.and_then(|names| names.first());
    let value = value.map(|name| format!(" {name}")).unwrap_or_default();
    let value = value.replace('|', "\\|");
    let variable = argument.get_env();
    let variable = variable.map_or(String::new(), |of| format!("`{}`", of.to_string_lossy()));
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|_| takes_values)
        .map(|of| format!("`{}`", of.to_string_lossy()))
        .collect();
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|of| takes_values && !of.is_hide_set())
        .map(|of| format!("`{}`", of.get_name()))
        .collect();
    let possible = match possible.as_slice() {
        [] => String::new(),
        several => format!(" One of {}.", several.join(", ")),
    };
    let words: Vec<&str> = help.split_whitespace().collect();
    let help = words.join(" ").replace('|', "\\|");
    let stop = if help.ends_with('.') { "" } else { "." };
    format!(
        "| `--{flag}{value}` | {variable} | {} | {help}{stop}{possible} |\n",
        defaults.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use clap::ArgAction;

    use super::*;

    fn command() -> Command {
        let url = Arg::new("url")
            .long("database-url")
            .env("BELAY_NOT_SET_URL");
        Command::new("serve").args([
            url.hide_env_values(true),
            Arg::new("lanes").long("lanes").default_value("2"),
            Arg::new("pages").long("pages"),
            Arg::new("trust").long("trust").action(ArgAction::SetTrue),
            Arg::new("allow").long("allow").value_delimiter(','),
            Arg::new("key").long("key").hide_env_values(true),
        ])
    }

    #[test]
    fn each_value_is_shown_with_its_source_and_no_secret_is() {
        let line = "serve --database-url mysql://belay:hunter2@db:3306/belay --allow a,b --key 00ff --trust";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let from_file = FromFile {
            path: Some(PathBuf::from("/etc/belay.toml")),
            flags: BTreeSet::from(["allow".to_owned()]),
        };
        let text = effective(&command(), &matches, &from_file);
        let lines: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.rsplit_once("  # "))
            .map(|(value, source)| (value.trim_end(), source))
            .collect();
        assert_eq!(
            lines,
            [
                ("database-url = \"mysql://belay:***@db:3306/belay\"", "flag"),
                ("lanes = \"2\"", "default"),
                ("# pages =", "not set"),
                ("trust = true", "flag"),
                ("allow = [\"a\", \"b\"]", "file /etc/belay.toml"),
                ("key = \"***\"", "flag"),
            ]
        );
    }

    #[test]
    fn the_page_has_a_row_for_each_setting_once() {
        let again = Arg::new("lanes")
            .long("lanes")
            .env("BELAY_LANES")
            .value_name("LANES")
            .help("Lanes | rows");
        let serve = Command::new("serve").arg(again.clone().default_value("2"));
        let all = Command::new("belay").subcommands([serve, Command::new("dev").arg(again)]);
        let page = reference(&all);
        let row = "| `--lanes LANES` | `BELAY_LANES` | `2` | Lanes \\| rows. |\n";
        assert_eq!(page.matches(row).count(), 1, "{page}");
        assert!(!page.contains("`belay dev`"), "{page}");
    }
}
