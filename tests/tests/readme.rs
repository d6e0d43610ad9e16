//! The README can be followed: every command in it is run, in its order, against a server like the
//! one of `make run`, and what comes is what is shown there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use belay_server::demo;
use belay_tests::process::{Running, built};
use belay_tests::{TestServer, run_over_http};
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::tidy::read_to_string;

/// Where readers of the README find their server.
const ADDRESS: &str = "127.0.0.1:50051";

/// Where they call it without gRPC.
const HTTP_ADDRESS: &str = "127.0.0.1:50080";

/// Where they find those that they start themselves: for TLS, and for the tokens of an issuer.
const OWN_ADDRESSES: [&str; 2] = ["127.0.0.1:50052", "127.0.0.1:50053"];

/// Commands that no test can run, by their exact text, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "make run",
        "starts a MySQL of its own on a port of its own; `grpcurl::the_printed_lines…` runs what it prints",
    ),
    (
        "make release",
        "builds the program with all optimisations, for minutes; `releases::…` holds what it reads together",
    ),
    (
        "cargo run -p belay-client --example rush_warehouse",
        "ends with the other side of the rush, which stands behind it; `rush::nothing…` runs both",
    ),
    (
        "cargo run -p belay-client --example rush_storefront",
        "waits for the warehouse of the rush; `rush::nothing…` runs both",
    ),
    (
        "belay deliver --consumer shop-hooks --url https://shop.example.com/belay --secret-file webhook.secret --store demo \\\n    --event-type GATE_OPENED --event-type INCIDENT_OPENED",
        "delivers until it is told to stop, to a receiver that is nowhere; `deliver::…` has receivers of its own",
    ),
    (
        "belay dead-letters list --consumer shop-hooks",
        "finds only what was delivered before; `deliver::a_dead_letter…` runs it",
    ),
    (
        "belay dead-letters replay --consumer shop-hooks --store demo --order A-1",
        "the same",
    ),
];

/// A command, and what the README shows of its output.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) command: String,
    output: String,
}

impl Shown {
    pub(crate) fn new(command: &str, output: &str) -> Self {
        Self {
            command: command.to_owned(),
            output: output.to_owned(),
        }
    }
}

/// The commands of all blocks that are for a shell. What follows a command up to the next is its
/// output; in `sh` blocks there is none, and every line is a command.
pub(crate) fn commands(readme: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut language = None;
    let mut is_open = false;
    for line in readme.lines().map(str::trim_end) {
        let text = line.trim_start();
        if let Some(fence) = text.strip_prefix("```") {
            language = if language.is_some() {
                None
            } else {
                Some(fence.to_owned())
            };
            is_open = false;
            continue;
        }
        let starts = match language.as_deref() {
            Some("console") => text.strip_prefix("$ "),
            Some("sh" | "shell" | "bash") => Some(text).filter(|_| !is_open && !text.is_empty()),
            Some(_) | None => continue,
        };
        match (starts, commands.last_mut()) {
            (Some(command), _) => commands.push(Shown::new(command, "")),
            (None, Some(shown)) if is_open => shown.command.push_str(&format!("\n{line}")),
            (None, Some(shown)) => shown.output.push_str(&format!("{line}\n")),
            (None, None) => panic!("output before any command: {line}"),
        }
        // A command goes on while a quotation is open or its line ends so.
        let command = &commands.last().expect("just seen").command;
        let was_open = starts.is_some() || is_open;
        is_open = was_open && (command.matches('\'').count() % 2 == 1 || command.ends_with('\\'));
    }
    commands
}

/// The words of a JSON text, however it is laid out: `key:"value"` for what has a plain value,
/// `key:` for what holds more, and `"value"` for what stands in a list.
fn facts(text: &str) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let (key, after) = quoted(&rest[at..]);
        rest = after;
        let Some(after) = after.trim_start().strip_prefix(':') else {
            facts.insert(shape(&key));
            continue;
        };
        let after = after.trim_start();
        if after.starts_with('"') {
            let (value, after) = quoted(after);
            facts.insert(format!("{key}: {}", shape(&value)));
            rest = after;
        } else {
            let word: String = after
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            facts.insert(format!("{key}: {word}"));
            rest = &after[word.len()..];
        }
    }
    facts
}

/// A text that begins with a quotation mark: what is quoted, and what comes after it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    panic!("a quotation is never closed: {text}");
}

/// What differs from run to run, instants and random ids, by its shape alone.
fn shape(value: &str) -> String {
    let is_uuid = value.len() == 36 && value.chars().filter(|c| *c == '-').count() == 4;
    if value.parse::<jiff::Timestamp>().is_ok() {
        "an instant".to_owned()
    } else if is_uuid {
        "a UUID".to_owned()
    } else {
        value.to_owned()
    }
}

/// Text for people, with what differs from run to run left out.
fn plain(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let (begin, end) = word
            .split_once("web-")
            .map_or((word, None), |(begin, end)| (begin, Some(end)));
        let end = end.map(|end| end.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        words.push(end.map_or_else(|| begin.to_owned(), |end| format!("{begin}web-#{end}")));
    }
    words.join(" ")
}

/// Everything that the README shows of an output is in it, in the same words.
fn check(shown: &Shown, output: &str) {
    let told = format!(
        "$ {}\nshows\n{}\nand is\n{output}",
        shown.command, shown.output
    );
    if shown.output.contains('{') {
        let missing: Vec<String> = facts(&shown.output)
            .difference(&facts(output))
            .cloned()
            .collect();
        assert!(missing.is_empty(), "missing: {missing:?}\n{told}");
    }
    // An ellipsis stands for what was left out.
    let output = plain(output);
    for line in shown
        .output
        .lines()
        .filter(|line| !line.contains(['{', '}', '[', ']', '"']))
    {
        for part in line.split('…').map(plain).filter(|part| !part.is_empty()) {
            assert!(output.contains(&part), "missing: {part:?}\n{told}");
        }
    }
}

#[test]
fn every_command_of_the_readme_does_what_is_shown() {
    let commands = commands(&read_to_string("README.md"));
    assert!(
        commands.len() > 12,
        "only {} commands were found",
        commands.len()
    );
    for (not_run, _) in NOT_RUN {
        assert!(
            commands.iter().any(|shown| shown.command == *not_run),
            "{not_run:?} is in the README no more"
        );
    }
    run_over_http(async |t| {
        demo::prepare(t.address()).await.unwrap();
        let mut session = Session::begin(t);
        for shown in commands
            .iter()
            .filter(|shown| !NOT_RUN.iter().any(|(command, _)| shown.command == *command))
        {
            session.run(shown).await;
        }
    });
}

/// A reader who types commands, one after the other, in a folder of their own.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    t: &'a TestServer,
    grpcurl: String,
    folder: PathBuf,
    own_addresses: [String; 2],
    /// Servers that commands start, which others ask. They end with the session.
    servers: Vec<Running>,
}

impl<'a> Session<'a> {
    pub(crate) fn begin(t: &'a TestServer) -> Self {
        let grpcurl = std::env::var("GRPCURL").unwrap_or_else(|_| {
            panic!(
                "GRPCURL is not set. This test calls Belay with the real grpcurl: set GRPCURL to what \
                 `server/dev/tools.sh grpcurl` prints, or run `make test`, which does so"
            )
        });
        Self {
            t,
            grpcurl,
            folder: tempfile(),
            own_addresses: [free_address(), free_address()],
            servers: Vec::new(),
        }
    }

    /// Does what is shown, and holds what comes to it.
    pub(crate) async fn run(&mut self, shown: &Shown) {
        assert!(
            !shown.command.contains('…'),
            "a command is written out whole: {}",
            shown.command
        );
        let address = self.t.address();
        let mut command = in_a_shell(shown, &self.grpcurl)
            .replace(ADDRESS, &address.to_string())
            .replace(HTTP_ADDRESS, &self.t.http_address().to_string());
        for (written, own) in OWN_ADDRESSES.iter().zip(&self.own_addresses) {
            command = command.replace(written, own);
        }
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command])
            .current_dir(&self.folder)
            .env("BELAY_ADDRESS", format!("http://{address}"))
            .env("BELAY_ENDPOINT", format!("http://{address}"))
            .env("BELAY_STORE", demo::STORE)
            .env("BELAY_ROLE", "support")
            .env("BELAY_DATABASE_URL", self.t.database.url().expose_secret());
        if shown.command.starts_with("belay ") || shown.command.contains("| belay ") {
            shell.env("PATH", path_with_programs());
        }
        if shown.command.starts_with("belay serve ") {
            let mut server = Running::start(shell.into_std());
            let serves = |line: &str| line.contains("serving").then_some(());
            server.until_said(&shown.command, serves).await;
            self.servers.push(server);
            return;
        }
        let done = shell.output().await.expect("there is a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output = format!("{}{}", text(&done.stdout), text(&done.stderr));
        let is_refused = shown.output.starts_with("ERROR:");
        assert_eq!(
            done.status.success(),
            !is_refused,
            "$ {}\n{output}",
            shown.command
        );
        check(shown, &output);
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The command as a shell takes it, with the programs of this workspace and grpcurl by their paths.
fn in_a_shell(shown: &Shown, grpcurl: &str) -> String {
    let command = &shown.command;
    if let Some(example) = command.strip_prefix("cargo run -p belay-client --example ") {
        return built(&format!("examples/{example}")).display().to_string();
    }
    if let Some(rest) = command.strip_prefix("grpcurl ") {
        return format!("{grpcurl} {rest}");
    }
    if command.starts_with("belay serve ") {
        // It ends with the shell, whose place it takes.
        return format!("exec {command}");
    }
    command.clone()
}

/// Where a shell finds the programs of this workspace, and its own.
fn path_with_programs() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = built("belay");
    let programs = programs.parent().expect("a folder");
    format!("{}:{path}", programs.display())
}

/// An address of this machine where nobody listens.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it listens").to_string()
}

/// A folder of its own for what commands write.
pub(crate) fn tempfile() -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("belay-readme-{}", belay_client::RequestId::mint()));
    std::fs::create_dir(&folder).expect("a new folder");
    folder
}

#[test]
fn commands_and_their_outputs_are_told_apart() {
    let readme = "text\n```console\n$ a 'b\n c' \\\n  d\nout\n  more\n\n$ e\n```\n```sh\nf\ng\n```\n```rust\nlet h;\n```\n";
    let found = commands(readme);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|shown| (&*shown.command, shown.output.trim_end()))
        .collect();
    assert_eq!(
        found,
        [
            ("a 'b\n c' \\\n  d", "out\n  more"),
            ("e", ""),
            ("f", ""),
            ("g", "")
        ]
    );
    let told =
        facts(r#"{ "a": "b", …, "c": [ "d", … ], "e": { "f": true } "g":"2026-01-01T00:00:00Z" }"#);
    assert_eq!(
        told,
        ["a: b", "c: ", "d", "e: ", "f: true", "g: an instant"]
            .map(str::to_owned)
            .into()
    );
    assert_eq!(plain("Placed web-8029287c:l1  now"), "Placed web-#:l1 now");
}
