//! The contract for other languages: what `proto/README.md` says of generated clients is done here
//! by two of them, and a change that would break one is found.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use belay_client::{RequestId, Role};
use belay_tests::instance::{Service, literal};
use belay_tests::process::Running;
use belay_tests::run;
use tokio::process::Command;

use crate::tidy::read_to_string;

/// What both clients print, on their way through the tour of the README.
const TOUR: &str = "\
store tour in Europe/Berlin
mugs is ORDER_STATE_AWAITING_PAYMENT, 2868 EUR due
mugs is ORDER_STATE_TO_SHIP
it may be cancelled by the rule before-dispatch: 2868 EUR would go back
mugs:c1 is CANCELLATION_STATE_COMPLETED, the order ORDER_STATE_CANCELLED
mugs:r1 of 2868 EUR is REFUND_STATE_SETTLED
  1 EVENT_TYPE_ORDER_CREATED
  2 EVENT_TYPE_PAYMENT_RECORDED
  2 EVENT_TYPE_ORDER_PAID
  2 EVENT_TYPE_SHIPMENT_STAGE_CHANGED
  3 EVENT_TYPE_CANCELLATION_REQUESTED
  3 EVENT_TYPE_PART_ENDED
  3 EVENT_TYPE_SHIPMENT_STAGE_CHANGED
  3 EVENT_TYPE_CANCELLATION_COMPLETED
  3 EVENT_TYPE_REFUND_CREATED
  4 EVENT_TYPE_REFUND_STATE_CHANGED
  5 EVENT_TYPE_REFUND_STATE_CHANGED
parcel is ORDER_STATE_AWAITING_PAYMENT, 2868 EUR due
parcel is ORDER_STATE_TO_SHIP
parcel:s1 is SHIPMENT_STAGE_IN_TRANSIT
FAILED_PRECONDITION SHIPPED
  next_actions: INTERCEPT,CONTACT_SUPPORT
  path: CANCEL
  rule: shipped-interceptable
  shipment_id: parcel:s1
  against it: SHIPPED of parcel:s1
INVALID_ARGUMENT REASON_REQUIRED
  reasons: NO_LONGER_WANTED,WRONG_PURCHASE,FOUND_BETTER,OTHER
  field reason: the policy requires a reason
saw EVENT_TYPE_CANCELLATION_COMPLETED of mugs
";

/// A path in the workspace.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate is in the workspace")
        .join(name)
}

/// The path of a tool, which the environment gives.
pub(crate) fn tool(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| {
            panic!(
                "{variable} is not set. This test generates clients and runs them: set {variable} to the path \
                 that `server/dev/tools.sh {name}` prints, or run `make test`, which does so"
            )
        })
        .into()
}

/// A folder of its own, with a `bin` that comes first on the path of what is run in it.
pub(crate) struct Workshop(pub(crate) PathBuf);

impl Workshop {
    pub(crate) fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RequestId::mint().to_string());
        fs::create_dir_all(folder.join("bin")).expect("a new folder");
        Self(folder)
    }

    /// With the code that is generated for TypeScript, the clients that use it, and all that they
    /// need; the compiler has nothing against any of them.
    pub(crate) async fn of_typescript() -> Self {
        let (node, packages) = (tool("NODE", "node"), tool("NODE_PACKAGES", "node-packages"));
        let workshop = Self::new();
        workshop.script("node", &format!("'{}' \"$@\"", node.display()));
        std::os::unix::fs::symlink(packages, workshop.0.join("node_modules")).unwrap();
        workshop.generate("typescript").await;
        for file in ["tour.ts", "connect.ts", "tsconfig.json", "package.json"] {
            workshop.copy(&format!("tests/typescript/{file}"), file);
        }
        let mut tsc = Command::new("tsc");
        tsc.args(["--noEmit", "--strict", "--project", "."])
            .current_dir(&workshop.0);
        workshop.done(tsc).await;
        workshop
    }

    /// A program on the path.
    pub(crate) fn script(&self, name: &str, line: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.0.join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\nexec {line}\n")).expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    pub(crate) fn copy(&self, file: &str, to: &str) {
        fs::copy(path(file), self.0.join(to)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    fn path_variable(&self) -> OsString {
        let known = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.0.join("bin"), self.0.join("node_modules/.bin")];
        let folders = folders.into_iter().chain(std::env::split_paths(&known));
        std::env::join_paths(folders).expect("no colons in between")
    }

    /// Generates the code of a language, as `proto/README.md` tells to, but into this folder.
    pub(crate) async fn generate(&self, language: &str) {
        let mut buf = Command::new(tool("BUF", "buf"));
        buf.arg("generate")
            .args(["--template", &format!("buf.gen.{language}.yaml")])
            .arg("--output")
            .arg(&self.0)
            .current_dir(path("proto"));
        self.done(buf).await;
    }

    /// Runs a command, which must succeed.
    pub(crate) async fn done(&self, mut command: Command) {
        command.env("PATH", self.path_variable()).kill_on_drop(true);
        let output = command.output().await.expect("it can be run");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{command:?}\n{said}");
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a client on a server which has room for one stream, and none at first.
async fn tour(
    database: secrecy::SecretString,
    command: impl FnOnce(&str) -> std::process::Command,
) {
    let service = Service::start(database, |settings| settings.feed.streams_max = 1).await;
    let belay = literal(service.address())
        .with_role(Role::Operator, "ops")
        .unwrap();
    let only_stream = belay.watch_events().await.unwrap();
    let mut client = Running::start(command(&service.address().to_string()));
    client
        .until_said("it is told to come again", |line| {
            (line == "  again, after RESOURCE_EXHAUSTED OVERLOADED").then_some(())
        })
        .await;
    drop(only_stream);
    let (status, said) = client.end().await;
    assert!(status.success(), "{said}");
    let said: String = said
        .lines()
        .filter(|line| !line.starts_with("  again, after "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(said, TOUR);
    service.stop().await;
}

#[test]
fn a_client_generated_for_python_takes_the_tour() {
    run(async |t| {
        let python = tool("PYTHON_GRPC", "python-grpc");
        let workshop = Workshop::new();
        let quoted = format!("'{}'", python.display());
        workshop.script("python3", &format!("{quoted} \"$@\""));
        for (plugin, entry) in [
            ("protoc-gen-mypy", "main"),
            ("protoc-gen-mypy_grpc", "grpc"),
        ] {
            let line = format!("{quoted} -c 'from mypy_protobuf.main import {entry}; {entry}()'");
            workshop.script(plugin, &line);
        }
        workshop.generate("python").await;
        workshop.copy("tests/python/tour.py", "gen/python/tour.py");
        let mut mypy = Command::new(&python);
        mypy.args(["-m", "mypy", "--strict", "--explicit-package-bases"])
            .arg("--cache-dir")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mypy"))
            .arg("tour.py")
            .current_dir(workshop.0.join("gen/python"));
        workshop.done(mypy).await;
        tour(t.database.url(), |address| {
            let mut command = std::process::Command::new(&python);
            command
                .arg(workshop.0.join("gen/python/tour.py"))
                .args([address, "tour"]);
            command
        })
        .await;
    });
}

#[test]
fn a_client_generated_for_typescript_takes_the_tour() {
    run(async |t| {
        let node = tool("NODE", "node");
        let workshop = Workshop::of_typescript().await;
        tour(t.database.url(), |address| {
            let mut command = std::process::Command::new(&node);
            command
                .arg(workshop.0.join("tour.ts"))
                .args([address, "tour"])
                // Those of Node 22 warn that they run TypeScript.
                .env("NODE_NO_WARNINGS", "1");
            command
        })
        .await;
    });
}

/// The pieces of a client that the page shows: each between a line `docs: NAME` and `docs: end`.
fn shown_pieces(file: &str) -> Vec<String> {
    let text = read_to_string(file);
    let mut pieces: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some((_, name)) = line.split_once(" docs: ") {
            is_inside = name != "end";
            pieces.extend(is_inside.then(String::new));
        } else if let Some(piece) = pieces.last_mut().filter(|_| is_inside) {
            piece.push_str(&format!("{line}\n"));
        }
    }
    assert!(pieces.len() > 2, "{file} has {} pieces", pieces.len());
    pieces
}

#[test]
fn the_page_shows_code_that_is_run() {
    let page = read_to_string("proto/README.md");
    for file in ["tests/python/tour.py", "tests/typescript/tour.ts"] {
        for piece in shown_pieces(file) {
            assert!(
                page.contains(&piece),
                "proto/README.md is to show of {file}:\n{piece}"
            );
        }
    }
}

#[test]
fn the_page_names_the_packages_that_are_pinned() {
    let page = read_to_string("proto/README.md");
    for (file, package, separator) in [
        ("server/dev/tools.sh", "grpcio-tools", "=="),
        ("server/dev/tools.sh", "mypy-protobuf", "=="),
        (
            "tests/typescript/package.json",
            "@bufbuild/protoc-gen-es",
            "\": \"",
        ),
        ("proto/buf.gen.go.yaml", "protocolbuffers/go", ":v"),
        ("proto/buf.gen.go.yaml", "grpc/go", ":v"),
        ("proto/buf.gen.java.yaml", "protocolbuffers/java", ":v"),
        ("proto/buf.gen.java.yaml", "grpc/java", ":v"),
    ] {
        let text = read_to_string(file);
        let (_, rest) = text
            .split_once(&format!("{package}{separator}"))
            .unwrap_or_else(|| panic!("{file} has no {package}"));
        let is_version = |c: char| c.is_ascii_digit() || c == '.';
        let version = &rest[..rest.find(|c| !is_version(c)).expect("a line ends")];
        let named = format!("{package} {version}");
        assert!(page.contains(&named), "proto/README.md is to name {named}");
    }
}

/// Checks a folder of protos as `make test` does.
async fn check(folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(path("server/dev/images.sh"))
        .arg("check")
        .arg(folder)
        .env("BUF", tool("BUF", "buf"))
        .output()
        .await
        .expect("it can be run");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn a_change_that_breaks_a_released_client_is_found() {
    let workshop = Workshop::new();
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .args(["buf.yaml", "belay", "third_party"])
        .arg(&workshop.0)
        .current_dir(path("proto"));
    workshop.done(copy).await;
    assert_eq!(check(&workshop.0).await, (Some(0), String::new()));

    let money = workshop.0.join("belay/v1/money.proto");
    let text = fs::read_to_string(&money).unwrap();
    let field = "  int64 minor_units = 2;\n";
    // What was added since is no break.
    let added = text.replace(field, &format!("{field}  // More.\n  string more = 3;\n"));
    fs::write(&money, added).unwrap();
    assert_eq!(check(&workshop.0).await, (Some(0), String::new()));

    // Each of these would read other things out of the same bytes, or out of the same JSON.
    for changed in [
        "",
        "  int64 minor_units = 3;\n",
        "  string minor_units = 2;\n",
        "  int64 cents = 2;\n",
    ] {
        let broken = text.replace(field, changed);
        assert_ne!(broken, text);
        fs::write(&money, broken).unwrap();
        let (code, said) = check(&workshop.0).await;
        assert_eq!(code, Some(100), "{changed:?}: {said}");
        assert!(
            said.starts_with("belay/v1/money.proto:"),
            "{changed:?}: {said}"
        );
    }
}
