//! What the binary refuses before it serves anybody, what it prints, and how it starts and stops.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};

use common::TestDatabase;
use diesel_async::SimpleAsyncConnection;
use secrecy::{ExposeSecret, SecretString};

/// No database is there: what is refused here is refused before one is asked for.
const NO_DATABASE: &str = "mysql://nobody:secret@127.0.0.1:1/none";
const SECRET: &str = "9f1c7a40d2e85b36c04be7d19a6f3582";

fn belay(arguments: &[&str], input: &str) -> Output {
    let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
    belay
        .args(arguments)
        .env_clear()
        .env("BELAY_DATABASE_URL", NO_DATABASE);
    let mut running = belay
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    running
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("it reads");
    running.wait_with_output().expect("it ends")
}

/// What it says when it must fail.
fn refusal(arguments: &[&str]) -> String {
    let output = belay(arguments, "");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn key_file(name: &str, text: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!(
        "belay-command-line-{}-{name}.yaml",
        std::process::id()
    ));
    std::fs::write(&file, text).expect("a file can be written");
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&file, own).expect("it is this user's");
    file
}

fn hashed(secret: &str) -> String {
    let output = belay(&["hash-secret"], &format!("{secret}\n"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim_end()
        .to_owned()
}

#[test]
fn serve_wants_one_authentication_method_and_no_second() {
    assert!(refusal(&["serve"]).contains("no authentication method is given"));
    let file = key_file(
        "both",
        &format!(
            "callers: [{{id: a, role: AUDITOR, stores: ALL, sellers: ALL, warehouses: ALL, carriers: ALL, secrets: ['{}']}}]",
            hashed(SECRET)
        ),
    );
    let file = file.to_str().expect("text");
    assert!(
        refusal(&["serve", "--trust-role-header", "--key-file", file])
            .contains("two authentication methods")
    );
    // With one of them it goes on to the database.
    for one in [vec!["--key-file", file], vec!["--trust-role-header"]] {
        let said = refusal(&[&["serve", "--grpc-address", "127.0.0.1:0"], one.as_slice()].concat());
        assert!(
            said.contains("the database cannot be reached") && !said.contains("secret"),
            "{said}"
        );
    }
    std::fs::remove_file(file).expect("it was there");
}

#[test]
fn serve_lists_every_fault_of_a_key_file() {
    let file = key_file(
        "faults",
        "callers: [{id: a, role: KING, secrets: [x]}, {id: b, role: SELLER}]",
    );
    let said = refusal(&["serve", "--key-file", file.to_str().expect("text")]);
    for path in [
        "callers[0].role: ",
        "callers[0].secrets[0]: ",
        "callers[0].stores: ",
        "callers[1].sellers: ",
        "callers[1]: must have secrets, or certificates",
    ] {
        assert!(
            said.contains(&format!("\n  {path}")),
            "{path} is not in {said}"
        );
    }
    std::fs::remove_file(&file).expect("it was there");
    assert!(
        refusal(&["serve", "--key-file", file.to_str().expect("text")])
            .contains("it cannot be opened")
    );
}

#[test]
fn dev_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:50051"] {
        assert!(
            refusal(&["dev", "--grpc-address", address]).contains("loopback only"),
            "{address}"
        );
    }
    assert!(
        !refusal(&["dev", "--grpc-address", "127.0.0.1:0"]).contains("loopback"),
        "only the database is missing"
    );
}

#[test]
fn a_secret_is_hashed_without_its_line_end() {
    let line = hashed(SECRET);
    assert_eq!(line, format!("blake3:{}", blake3::hash(SECRET.as_bytes())));
    let short = belay(&["hash-secret"], "hunter2\n");
    let said = String::from_utf8(short.stderr).expect("text");
    assert!(
        !short.status.success()
            && said.contains("at least 32 characters")
            && !said.contains("hunter2"),
        "{said}"
    );
}

/// A process that serves, and what it says. It is killed with the test.
struct Running {
    child: Child,
    said: BufReader<ChildStderr>,
    printed: BufReader<ChildStdout>,
    lines: Vec<String>,
}

impl Running {
    fn start(database: &SecretString, arguments: &[&str]) -> Self {
        let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
        belay
            .args(arguments)
            .env_clear()
            .env("BELAY_DATABASE_URL", database.expose_secret())
            .env("RUST_LOG", "info");
        belay
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = belay.spawn().expect("it can be run");
        let said = BufReader::new(child.stderr.take().expect("a pipe"));
        let printed = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            said,
            printed,
            lines: Vec::new(),
        }
    }

    /// Where it serves, as it says itself.
    fn address(&mut self) -> SocketAddr {
        loop {
            let mut line = String::new();
            assert!(
                self.said.read_line(&mut line).expect("text") > 0,
                "it has ended: {:#?}",
                self.lines
            );
            let address = line
                .trim_end()
                .split_once("serving address=")
                .map(|(_, address)| address.to_owned());
            self.lines.push(line);
            if let Some(address) = address {
                return address.parse().expect("an address");
            }
        }
    }

    /// Waits until it greets whoever has started it.
    fn until_greeted(&mut self) {
        let mut line = String::new();
        while !line.contains("Belay serves the store") {
            line.clear();
            if self.printed.read_line(&mut line).expect("text") == 0 {
                let mut said = String::new();
                self.said.read_to_string(&mut said).expect("text");
                panic!("it has ended: {said}");
            }
        }
    }

    /// Stops it as a service manager does; all that it has said.
    fn stop(mut self) -> (ExitStatus, String) {
        let stopped = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(stopped.expect("there is kill").success());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("text");
        let status = self.child.wait().expect("it ends");
        (status, self.lines.concat() + &rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SERVE: &[&str] = &[
    "serve",
    "--trust-role-header",
    "--grpc-address",
    "127.0.0.1:0",
];

#[tokio::test]
async fn migrate_says_of_a_newer_schema_that_it_is_newer() {
    let database = TestDatabase::migrated().await;
    let run = |arguments: &[&str]| {
        let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
        belay
            .args(arguments)
            .env_clear()
            .env("BELAY_DATABASE_URL", database.url.expose_secret());
        let output = belay.output().expect("it can be run");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    let (code, said) = run(&["migrate"]);
    assert_eq!(code, Some(0), "{said}");
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')";
    database.connect().await.batch_execute(newer).await.unwrap();
    let (code, said) = run(&["migrate"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains(
            "the schema is newer than this release, which does not know 9999; nothing was changed"
        ),
        "{said}"
    );
    let (code, said) = run(SERVE);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("newer than this release"), "{said}");
    assert!(said.contains("--allow-newer-schema"), "{said}");
    let (code, said) = run(&["migrate", "--dry-run"]);
    assert_eq!(code, Some(3), "{said}");
    // By name, and no other.
    let allowing = |name: &'static str| [SERVE, &["--allow-newer-schema", name]].concat();
    let (code, said) = run(&allowing("9998_add_something"));
    assert_eq!(code, Some(1), "{said}");
    let arguments = allowing("9998_add_something,9999_add_more");
    let mut server = Running::start(&database.url, &arguments);
    server.address();
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    let told = "the schema is newer than this release, which was told to allow it";
    assert!(said.contains(told) && said.contains("9999"), "{said}");
    // And of an older one what to do.
    let older = "DELETE FROM __diesel_schema_migrations WHERE version IN ('0001', '9999')";
    database.connect().await.batch_execute(older).await.unwrap();
    let (code, said) = run(SERVE);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("`belay migrate` adds what is missing"),
        "{said}"
    );
}

#[tokio::test]
async fn migrate_creates_the_database_where_it_may_and_says_before_what_it_would_do() {
    let database = TestDatabase::empty().await;
    let drop = format!("DROP DATABASE {}", database.name);
    database.connect().await.batch_execute(&drop).await.unwrap();
    let run = |url: &SecretString, arguments: &[&str]| {
        let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
        belay
            .args(arguments)
            .env_clear()
            .env("BELAY_DATABASE_URL", url.expose_secret());
        let output = belay.output().expect("it can be run");
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8(said).expect("text"));
        (output.status.code(), said.concat())
    };
    let (code, said) = run(&database.url, &["migrate", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with(
            "the database is not there and would be created\nwould run 0001_create_orders\n"
        ),
        "{said}"
    );
    let (_, again) = run(&database.url, &["migrate", "--dry-run"]);
    assert_eq!(said, again, "nothing was changed");

    let (code, said) = run(&database.url, &["migrate"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("the database was not there and is created"),
        "{said}"
    );
    let (code, said) = run(&database.url, &["migrate", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing would run"), "{said}");
    let last = "DELETE FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1";
    database.connect().await.batch_execute(last).await.unwrap();
    let (_, said) = run(&database.url, &["migrate", "--dry-run"]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("would run "), "{said}");
}

#[tokio::test]
async fn migrate_stops_where_it_is_told_to_and_says_how_far_it_is() {
    let database = TestDatabase::empty().await;
    let run = |arguments: &[&str]| {
        let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
        belay
            .args([&["migrate"], arguments].concat())
            .env_clear()
            .env("BELAY_DATABASE_URL", database.url.expose_secret());
        let output = belay.output().expect("it can be run");
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8(said).expect("text"));
        (output.status.code(), said.concat())
    };
    let ran = |said: &str| {
        said.lines()
            .filter(|line| line.ends_with("  has run"))
            .count()
    };

    let (code, said) = run(&["--to", "0003", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");
    let (code, said) = run(&["--status"]);
    assert_eq!((code, ran(&said)), (Some(1), 0), "{said}");

    let (code, said) = run(&["--to", "0003"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("as far as was asked"), "{said}");
    let (code, said) = run(&["--status"]);
    assert_eq!((code, ran(&said)), (Some(1), 3), "{said}");
    assert!(said.starts_with("0001_create_orders  has run\n"), "{said}");
    assert!(
        said.contains("0004_create_shipments  has not run\n"),
        "{said}"
    );
    // Nothing serves in between.
    let mut serve = Command::new(env!("CARGO_BIN_EXE_belay"));
    serve.args(SERVE).env_clear();
    let refused = serve.env("BELAY_DATABASE_URL", database.url.expose_secret());
    let refused = refused.output().expect("it can be run");
    let said = String::from_utf8(refused.stderr).expect("text");
    assert!(
        !refused.status.success() && said.contains("it lacks 0004"),
        "{said}"
    );

    // Again it does nothing, by the whole name too; and there is no way back by it.
    let (code, said) = run(&["--to", "0003_create_payments", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("nothing would run: the schema is as far as"),
        "{said}"
    );
    for (target, told) in [
        (
            "0002",
            "the schema is beyond 0002_create_order_lines: it has 0003_create_payments",
        ),
        (
            "0002_create_order_lines",
            "the schema is beyond 0002_create_order_lines",
        ),
        ("9999", "this release has no migration 9999"),
        ("0003_create", "this release has no migration 0003_create"),
        ("", "this release has no migration"),
    ] {
        for arguments in [&["--to", target][..], &["--to", target, "--dry-run"]] {
            let (code, said) = run(arguments);
            assert_eq!(code, Some(1), "{arguments:?}: {said}");
            assert!(said.contains(told), "{arguments:?}: {said}");
        }
    }
    let (_, said) = run(&["--status"]);
    assert_eq!(ran(&said), 3, "nothing was changed: {said}");

    // From there to the end.
    let (code, said) = run(&[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["--status"]);
    assert_eq!(
        (code, ran(&said)),
        (Some(0), said.lines().count()),
        "{said}"
    );
    let mut server = Running::start(&database.url, SERVE);
    server.address();
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')";
    database.connect().await.batch_execute(newer).await.unwrap();
    let (code, said) = run(&["--status"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("9999  has run, and is of a newer release"),
        "{said}"
    );
}

#[tokio::test]
async fn reduced_durability_is_one_line_of_the_start() {
    let database = TestDatabase::migrated().await;
    let mut server = Running::start(&database.url, &[SERVE, &["--stop-notice=0s"]].concat());
    server.address();
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    let read = belay_server::db::probe::durability(&mut database.connect().await)
        .await
        .unwrap();
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("reduced durability"))
        .collect();
    match read.reductions() {
        Some(reductions) => {
            assert_eq!(lines.len(), 1, "{said}");
            assert!(
                lines[0].contains("WARN") && lines[0].contains(&reductions),
                "{said}"
            );
        }
        None => assert_eq!(lines, [""; 0], "{said}"),
    }
}

#[tokio::test]
async fn a_silent_connection_is_no_call_that_is_cut() {
    let database = TestDatabase::migrated().await;
    let mut server = Running::start(&database.url, &[SERVE, &["--stop-notice=0s"]].concat());
    let _silent = TcpStream::connect(server.address()).expect("it listens");
    let (status, said) = server.stop();
    assert!(status.success() && said.contains("stopped"), "{said}");
    assert!(!said.contains("are cut"), "{said}");
}

#[tokio::test]
async fn two_first_starts_that_meet_both_serve() {
    for _ in 0..3 {
        let database = TestDatabase::empty().await;
        let dev = || Running::start(&database.url, &["dev", "--grpc-address", "127.0.0.1:0"]);
        let (mut one, mut other) = (dev(), dev());
        one.until_greeted();
        other.until_greeted();
        for server in [one, other] {
            let (status, said) = server.stop();
            assert!(status.success(), "{said}");
            assert!(!said.contains("cannot be made"), "{said}");
        }
    }
}

#[test]
fn the_notice_of_a_stop_is_a_duration() {
    for wrong in ["3", "soon", "-1s", "11m"] {
        let said = refusal(&[SERVE, &[&*format!("--stop-notice={wrong}")]].concat());
        assert!(
            said.contains("such as 3s or 500ms, at most 10m"),
            "{wrong}: {said}"
        );
    }
    for right in ["0s", "3s", "500ms", "10m"] {
        let said = refusal(&[SERVE, &[&*format!("--stop-notice={right}")]].concat());
        assert!(
            said.contains("the database cannot be reached"),
            "{right}: {said}"
        );
    }
}

#[test]
fn what_is_kept_is_kept_for_an_hour_at_least() {
    for knob in [
        "--keep-events",
        "--keep-requests",
        "--keep-decisions",
        "--keep-bulk-results",
    ] {
        for wrong in ["59m", "36501d", "30", "0", "-1d", "never"] {
            let said = refusal(&[SERVE, &[&*format!("{knob}={wrong}")]].concat());
            assert!(
                said.contains("such as 30d or 36h, from 1h to 36500d, or forever"),
                "{wrong}: {said}"
            );
        }
        for right in ["1h", "36500d", "forever"] {
            let said = refusal(&[SERVE, &[&*format!("{knob}={right}")]].concat());
            assert!(
                said.contains("the database cannot be reached"),
                "{right}: {said}"
            );
        }
    }
}

#[test]
fn the_knobs_of_logins_have_their_bounds() {
    for (knob, said_of_wrong, wrong, right) in [
        (
            "--jwt-leeway",
            "such as 30s, at most 5m",
            &["-1s", "5m1s", "30"][..],
            &["0s", "30s", "5m"][..],
        ),
        (
            "--jwt-refresh",
            "such as 10m, from 1m to 24h",
            &["59s", "24h1s", "often"],
            &["1m", "24h"],
        ),
        (
            "--jwt-algorithm",
            "--jwt-algorithm",
            &["HS256", "none", "RS256,RS256"],
            &["RS256", "ES256,EdDSA"],
        ),
        (
            "--failed-logins",
            "--failed-logins",
            &["9", "1000001", "many"],
            &["10", "1000000"],
        ),
    ] {
        for wrong in wrong {
            let said = refusal(&[SERVE, &[&*format!("{knob}={wrong}")]].concat());
            assert!(said.contains(said_of_wrong), "{knob}={wrong}: {said}");
        }
        for right in right {
            let said = refusal(&[SERVE, &[&*format!("{knob}={right}")]].concat());
            assert!(
                said.contains("the database cannot be reached"),
                "{knob}={right}: {said}"
            );
        }
    }
}

#[test]
fn an_issuer_is_named_whole_and_its_keys_are_there() {
    for (given, expected) in [
        (&["--jwt-jwks=keys.json"][..], "--jwt-issuer"),
        (&["--jwt-issuer=a", "--jwt-audience=b"], "--jwt-jwks"),
        (
            &["--jwt-jwks=/no/such", "--jwt-issuer=a", "--jwt-audience=b"],
            "the keys of JWTs cannot be had from /no/such: it cannot be opened",
        ),
        (
            &[
                "--jwt-jwks=http://192.0.2.1/keys",
                "--jwt-issuer=a",
                "--jwt-audience=b",
            ],
            "must be https",
        ),
        (
            &[
                "--trust-role-header",
                "--jwt-jwks=/no/such",
                "--jwt-issuer=a",
                "--jwt-audience=b",
            ],
            "two authentication methods",
        ),
    ] {
        let said = refusal(&[&["serve"], given].concat());
        assert!(said.contains(expected), "{given:?}: {said}");
    }
}

#[test]
fn one_of_so_many_reads_is_a_bounded_number() {
    for wrong in ["-1", "1000001", "many"] {
        let said = refusal(&[SERVE, &[&*format!("--log-reads={wrong}")]].concat());
        assert!(said.contains("invalid value"), "{wrong}: {said}");
    }
    for right in ["0", "1", "1000000"] {
        let said = refusal(&[SERVE, &[&*format!("--log-reads={right}")]].concat());
        assert!(
            said.contains("the database cannot be reached"),
            "{right}: {said}"
        );
    }
}

#[test]
fn an_admin_port_that_is_taken_is_told_before_the_database_is_asked() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = refusal(&[SERVE, &["--admin-listen", &address]].concat());
    assert!(
        said.contains(&format!("the admin port cannot listen on {address}")),
        "{said}"
    );
}

#[test]
fn the_console_is_shown_where_nobody_else_reads_along_or_names_a_role() {
    let callers = "callers: [{id: a, role: AUDITOR, stores: ALL, sellers: ALL, warehouses: ALL, carriers: ALL, secrets: ['{}']}]";
    let file = key_file("console", &callers.replace("{}", &hashed(SECRET)));
    let by_secret = [
        "serve",
        "--key-file",
        file.to_str().expect("text"),
        "--console",
    ];
    let by_header = ["serve", "--trust-role-header", "--console"];
    for serve in [&by_secret[..], &by_header] {
        assert!(refusal(serve).contains("--console is shown on the admin port"));
        let said = refusal(&[serve, &["--admin-listen", "127.0.0.1:0"]].concat());
        assert!(said.contains("the database cannot be reached"), "{said}");
    }
    let beyond = ["--admin-listen", "0.0.0.0:0"];
    let said = refusal(&[&by_secret[..], &beyond].concat());
    assert!(
        said.contains("the console would take secrets in clear"),
        "{said}"
    );
    let said = refusal(&[&by_secret[..], &beyond, &["--behind-proxy"]].concat());
    assert!(said.contains("the database cannot be reached"), "{said}");
    let said = refusal(&[&by_header[..], &beyond].concat());
    assert!(said.contains("could name a role"), "{said}");
    let said = refusal(&[&by_header[..], &beyond, &["--behind-proxy"]].concat());
    assert!(said.contains("needs a proof"), "{said}");
    std::fs::remove_file(file).expect("it was there");
}

/// A mysqld of its own, which the test may kill.
struct Mysqld(PathBuf);

impl Mysqld {
    fn script(&self, command: &str) -> String {
        const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/mysql.sh");
        let mut script = Command::new(SCRIPT);
        script
            .arg(command)
            .arg(&self.0)
            .stdin(Stdio::null())
            .env("BELAY_MYSQL_BUFFER_POOL", "64M");
        let output = script
            .env("BELAY_MYSQL_REDO_LOG", "64M")
            .output()
            .expect("the script can be run");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }
}

impl Drop for Mysqld {
    fn drop(&mut self) {
        self.script("kill");
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn an_outage_is_one_line_when_it_begins_and_one_when_it_ends() {
    let mysqld = Mysqld(std::env::temp_dir().join(format!("belay_outage_{:x}", fastrand::u32(..))));
    let url = SecretString::from(mysqld.script("start"));
    let mut conn = belay_server::db::pool::connect(&url).await.unwrap();
    conn.batch_execute("CREATE DATABASE belay").await.unwrap();
    drop(conn);
    let url = SecretString::from(format!("{}/belay", url.expose_secret()));
    belay_server::db::migrate::run(&url).await.unwrap();
    let mut server = Running::start(&url, &[SERVE, &["--stop-notice=0s"]].concat());
    let address = server.address().to_string();
    let is_well = || {
        belay(&["health", "--grpc-address", &address], "")
            .status
            .success()
    };
    assert!(is_well());
    mysqld.script("kill");
    while is_well() {}
    mysqld.script("start");
    while !is_well() {}
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    let is_loud = |line: &&str| line.contains(" ERROR ") || line.contains(" WARN ");
    // A reminder comes once a minute, if it takes so long.
    let loud: Vec<&str> = said
        .lines()
        .filter(is_loud)
        .filter(|line| !line.contains("still does not"))
        // Of a database that keeps its identity key itself.
        .filter(|line| !line.contains("the identity key is in the database"))
        .collect();
    assert!(loud.len() == 1 && loud[0].contains("not serving"), "{said}");
    assert_eq!(said.matches("writes again: serving").count(), 1, "{said}");
}

#[tokio::test]
async fn a_rebuild_is_begun_once_and_only_of_what_there_is() {
    let database = TestDatabase::migrated().await;
    let run = |projection: &str| {
        let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
        belay
            .args(["rebuild", projection])
            .env_clear()
            .env("BELAY_DATABASE_URL", database.url.expose_secret());
        let output = belay.output().expect("it can be run");
        let said = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), said)
    };
    let (code, said) = run("stock");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the rebuild begins"), "{said}");
    let (code, said) = run("stock");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("under way already"), "{said}");
    let (code, said) = run("shares");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("must be one of stock"), "{said}");
}

/// What `deliver` says with all that it needs, but for what a test gives in its place or adds.
fn deliver(secrets: &str, given: &[&str]) -> String {
    let needed = [
        ("--consumer", "hooks"),
        ("--url", "http://127.0.0.1:1/"),
        ("--secret-file", secrets),
    ];
    let mut arguments = vec!["deliver"];
    for (name, value) in needed {
        if !given.contains(&name) {
            arguments.extend([name, value]);
        }
    }
    arguments.extend(given);
    refusal(&arguments)
}

#[test]
fn deliver_refuses_what_is_out_of_bounds_before_it_asks_a_database() {
    let file = key_file("secrets", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let file = file.to_str().expect("text");
    for (given, said) in [
        (["--url", "ftp://a/"], "must be an http or https URL"),
        (["--url", "http://a@b/"], "no user and password"),
        (["--consumer", "a b"], "--consumer"),
        (["--store", ""], "--store"),
        (
            ["--event-type", "ORDER_EATEN"],
            "must be one of ORDER_CREATED",
        ),
        (["--in-flight", "0"], "not in 1..=256"),
        (["--in-flight", "257"], "not in 1..=256"),
        (["--attempts", "0"], "not in 1..=100"),
        (["--attempts", "101"], "not in 1..=100"),
        (["--timeout", "99ms"], "must be a duration"),
        (["--timeout", "61s"], "must be a duration"),
        (["--timeout", "11s"], "at least 3 times --timeout"),
        (["--lease", "29999ms"], "at least 3 times --timeout"),
        (["--lease", "601s"], "must be a duration"),
        (
            ["--retry-delay", "3601s"],
            "must not be above --retry-delay-max",
        ),
        (["--retry-delay-max", "9ms"], "must be a duration"),
        (["--source", "two words"], "the source must have"),
        (["--secret-file", "/no/such/file"], "cannot be read"),
    ] {
        let refused = deliver(file, &given);
        assert!(refused.contains(said), "{given:?}: {refused}");
    }
    // As many as a filter of the EventService may name, and one more.
    let sellers = |count: usize| {
        let named = (0..count).map(|number| format!("--seller=s{number}"));
        let named: Vec<String> = named.collect();
        let given: Vec<&str> = named.iter().map(String::as_str).collect();
        deliver(file, &given)
    };
    assert!(sellers(200).contains("the database cannot be reached"));
    assert!(sellers(201).contains("--seller may be given 200 times"));
    // With nothing wrong it goes on to the database.
    let most = "--in-flight 256 --attempts 100 --timeout 60s --lease 10m --retry-delay-max 24h";
    let least = "--in-flight 1 --attempts 1 --timeout 100ms --lease 1s --retry-delay 10ms";
    for good in [most, least] {
        let given: Vec<&str> = good.split(' ').collect();
        let said = deliver(file, &given);
        assert!(said.contains("the database cannot be reached"), "{said}");
        assert!(!said.contains("secret@"), "{said}");
    }
    std::fs::remove_file(file).expect("it was there");
}

#[test]
fn dead_letters_wants_to_know_which() {
    for (arguments, said) in [
        (vec!["replay", "--consumer", "a"], "which dead letters?"),
        (vec!["drop", "--consumer", "a"], "which dead letters?"),
        (
            vec!["drop", "--consumer", "a", "--all"],
            "the database cannot be reached",
        ),
        (vec!["list"], "--consumer"),
        (
            vec!["list", "--consumer", "a", "--limit", "0"],
            "not in 1..=1000",
        ),
        (
            vec!["list", "--consumer", "a", "--limit", "1001"],
            "not in 1..=1000",
        ),
        (vec!["list", "--consumer", "a", "--order", "A-1"], "--store"),
        (
            vec!["drop", "--consumer", "a", "--event", "x"],
            "the id of an event",
        ),
        (
            vec!["drop", "--consumer", "a", "--event", "1:1", "--all"],
            "cannot be used with",
        ),
    ] {
        let refused = refusal(&[&["dead-letters"], arguments.as_slice()].concat());
        assert!(refused.contains(said), "{arguments:?}: {refused}");
    }
}
