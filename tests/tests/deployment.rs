//! What `deploy/` holds: the image, the compose file, the chart and the proxy, read by those whom
//! they are for, as far as these can be had; and the commands in it are the program's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use belay_client::RequestId;
use belay_server::auth::key_file::KeyFile;
use belay_server::grants::{Account, DatabaseName, GrantSet};
use belay_tests::process::built;
use serde_json::Value;

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("a workspace")
}

/// A tool that `server/dev/tools.sh` fetches.
fn tool(variable: &str, name: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    let path = path.unwrap_or_else(|| {
        panic!("{variable}: the path of {name}, as `server/dev/tools.sh {name}` prints it")
    });
    path.into()
}

/// What a command prints that has to succeed.
fn output(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|error| panic!("{error}: {command:?}"));
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {told}");
    String::from_utf8(done.stdout).expect("text")
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("belay-deploy-{}", RequestId::mint()));
        std::fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a test that failed is told by the test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read_deploy() -> Value {
    let python = tool("PYTHON_DEPLOY", "python-deploy");
    let hadolint = python.with_file_name("hadolint");
    let script = root().join("tests/python/deploy.py");
    let mut command = Command::new(&python);
    command.arg(script).arg(root().join("deploy")).arg(hadolint);
    serde_json::from_str(&output(&mut command)).expect("JSON")
}

#[test]
fn image_compose_and_chart_are_well_and_start_belay_with_arguments_that_it_has() {
    let read = read_deploy();
    let starts = read["arguments"].as_array().expect("a list");
    assert!(starts.len() >= 6, "{starts:?}");
    for start in starts {
        let arguments = start.as_array().expect("a list");
        let arguments = arguments.iter().map(|of| of.as_str().expect("text"));
        // An argument that is not there is an error before help is.
        output(
            Command::new(built("belay"))
                .args(arguments)
                .arg("--help")
                .env_clear(),
        );
    }

    // The secret that is made is one that the key file knows.
    let folder = Folder::new();
    let mut secrets = Command::new(root().join("deploy/secrets.sh"));
    secrets.arg(&folder.0).env("BELAY", built("belay"));
    output(&mut secrets);
    let variables = std::fs::read_to_string(folder.0.join(".env")).expect("it was made");
    let hash = variables
        .lines()
        .find_map(|line| line.strip_prefix("OPERATOR_HASH="));
    let (before, after) = read["callers"]
        .as_str()
        .and_then(|text| text.split_once("${OPERATOR_HASH:?run ./secrets.sh}"))
        .expect("the key file names it");
    let callers = folder.0.join("callers.yaml");
    let text = format!("{before}{}{after}", hash.expect("it was made"));
    std::fs::write(&callers, text).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&callers, mode).expect("it is ours");
    KeyFile::open(&callers).expect("it is taken");
    let again = secrets.output().expect("it can be run");
    assert!(!again.status.success(), "what there is stays");
}

#[test]
fn accounts_are_given_what_belay_grants_prints() {
    let folder = Folder::new();
    // In place of the client of MySQL: what it would be sent.
    let client = folder.0.join("mysql");
    std::fs::write(&client, "#!/bin/sh\nexec cat\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&client, mode).expect("it is ours");
    let path = format!(
        "{}:{}",
        folder.0.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let sent = |script: &str| {
        let text = std::fs::read_to_string(root().join("deploy/mysql").join(script));
        let grants = root().join("server/grants");
        let text = text
            .expect("it is there")
            .replace("/grants/", &format!("{}/", grants.display()));
        let passwords = ["MYSQL_ROOT_PASSWORD", "MIGRATE_PASSWORD", "SERVE_PASSWORD"];
        let mut command = Command::new("bash");
        command.args(["-c", &text]).env("PATH", &path);
        output(command.envs(passwords.map(|name| (name, "secret"))))
    };
    let database = DatabaseName::parse("belay").expect("a name");
    let granted = |account: &str, sets: &[GrantSet]| -> Vec<String> {
        let account = Account::parse(account).expect("a name");
        let sql = sets.iter().flat_map(|set| {
            let sql = set.sql(&database, &account);
            sql.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        sql.filter(|line| line.starts_with("GRANT ")).collect()
    };
    let expected = [
        (
            "first-start.sh",
            granted("belay_migrate@%", &[GrantSet::Migrate]),
        ),
        (
            "accounts.sh",
            granted("belay_serve@%", &[GrantSet::Serve, GrantSet::Retention]),
        ),
    ];
    for (script, expected) in expected {
        let plain = |line: &str| line.replace(['\'', '`'], "");
        let sent = sent(script);
        assert!(sent.starts_with("CREATE USER "), "{sent}");
        let sent: Vec<String> = sent
            .lines()
            .filter(|line| line.starts_with("GRANT "))
            .map(plain)
            .collect();
        let expected: Vec<String> = expected.iter().map(|line| plain(line)).collect();
        assert_eq!(sent, expected);
    }
}

#[test]
fn envoy_takes_the_configuration_that_ships() {
    let mut envoy = Command::new(tool("ENVOY", "envoy"));
    envoy.args(["--mode", "validate", "--log-level", "error", "-c"]);
    output(envoy.arg(root().join("deploy/envoy/envoy.yaml")));
}
