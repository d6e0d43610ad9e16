//! What the binary refuses before it serves anybody, and what it prints.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// No database is there: what is refused here is refused before one is asked for.
const NO_DATABASE: &str = "mysql://nobody:secret@127.0.0.1:1/none";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn belay(arguments: &[&str], input: &str) -> Output {
    let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
    belay.args(arguments).env_clear().env("BELAY_DATABASE_URL", NO_DATABASE);
    let mut running =
        belay.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
    running.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    running.wait_with_output().expect("it ends")
}

/// What it says when it must fail.
fn refusal(arguments: &[&str]) -> String {
    let output = belay(arguments, "");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn callers_file(name: &str, text: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("belay-command-line-{}-{name}.yaml", std::process::id()));
    std::fs::write(&file, text).expect("a file can be written");
    file
}

fn hashed(secret: &str) -> String {
    let output = belay(&["hash-secret"], &format!("{secret}\n"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[test]
fn serve_wants_one_authentication_method_and_no_second() {
    assert!(refusal(&["serve"]).contains("no authentication method is given"));
    let file = callers_file("both", &format!("callers: [{{id: a, role: AUDITOR, secrets: ['{}']}}]", hashed(SECRET)));
    let file = file.to_str().expect("text");
    assert!(refusal(&["serve", "--trust-role-header", "--callers-file", file]).contains("two authentication methods"));
    // With one of them it goes on to the database.
    for one in [vec!["--callers-file", file], vec!["--trust-role-header"]] {
        let said = refusal(&[&["serve"], one.as_slice()].concat());
        assert!(said.contains("the database cannot be reached") && !said.contains("secret"), "{said}");
    }
    std::fs::remove_file(file).expect("it was there");
}

#[test]
fn serve_lists_every_fault_of_a_callers_file() {
    let file = callers_file("faults", "callers: [{id: a, role: KING, secrets: [x]}, {id: b, role: SELLER}]");
    let said = refusal(&["serve", "--callers-file", file.to_str().expect("text")]);
    for path in ["callers[0].role: ", "callers[0].secrets[0]: ", "callers[1].sellers: ", "callers[1].secrets: "] {
        assert!(said.contains(&format!("\n  {path}")), "{path} is not in {said}");
    }
    std::fs::remove_file(&file).expect("it was there");
    assert!(refusal(&["serve", "--callers-file", file.to_str().expect("text")]).contains("it cannot be opened"));
}

#[test]
fn dev_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:50051"] {
        assert!(refusal(&["dev", "--grpc-address", address]).contains("loopback only"), "{address}");
    }
    assert!(!refusal(&["dev", "--grpc-address", "127.0.0.1:0"]).contains("loopback"), "only the database is missing");
}

#[test]
fn a_secret_is_hashed_without_its_line_end() {
    let line = hashed(SECRET);
    assert_eq!(line, format!("blake3:{}", blake3::hash(SECRET.as_bytes())));
    let short = belay(&["hash-secret"], "hunter2\n");
    let said = String::from_utf8(short.stderr).expect("text");
    assert!(!short.status.success() && said.contains("at least 32 characters") && !said.contains("hunter2"), "{said}");
}
