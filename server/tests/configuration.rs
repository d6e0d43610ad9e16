//! The configuration as the program takes it: flag, environment, file, default; and the page of all
//! of it.

use std::path::PathBuf;
use std::process::Command;

/// A file that goes with a test.
struct Scratch(PathBuf);

impl Scratch {
    fn holding(text: &str) -> Self {
        let name = format!("belay-configuration-{:016x}.toml", fastrand::u64(..));
        let file = Self(std::env::temp_dir().join(name));
        std::fs::write(&file.0, text).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The exit code, and what is printed to either.
fn belay(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut belay = Command::new(env!("CARGO_BIN_EXE_belay"));
    belay.args(arguments).env_clear();
    let done = belay.envs(environment.iter().copied()).output().unwrap();
    let [out, err] = [done.stdout, done.stderr].map(|of| String::from_utf8(of).unwrap());
    (done.status.code(), out, err)
}

#[test]
fn the_page_of_all_settings_is_what_the_program_takes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (code, printed, _) = belay(&["reference"], &[]);
    assert_eq!(code, Some(0));
    assert!(
        page == printed,
        "docs/configuration.md is out of date: make configuration"
    );
}

/// The value of a setting as it is shown, and where it comes from.
fn shown<'a>(out: &'a str, name: &str) -> (&'a str, &'a str) {
    let lines = out.lines().filter_map(|line| line.rsplit_once("  # "));
    let mut settings = lines.filter_map(|(line, source)| Some((line.split_once(" =")?, source)));
    let found = settings.find(|((of, _), _)| of.trim_start_matches("# ") == name);
    let ((_, value), source) = found.unwrap_or_else(|| panic!("{name} is not in {out}"));
    (value.trim(), source)
}

#[test]
fn check_config_shows_what_is_in_force_and_where_it_comes_from() {
    let file = Scratch::holding(
        "lanes = 4\nbatch-commands = 64\npages-at-once = 9\nlog-reads = 7\ndatabase-connections = 20\ntrust-role-header = true\n\
        keep-events = \"10d\"\ndatabase-url = \"mysql://belay:hunter2@127.0.0.1:1/belay\"\n",
    );
    let path = file.0.display().to_string();
    let arguments = [
        "check-config",
        "--lanes",
        "3",
        "--grpc-address",
        "localhost:50099",
    ];
    let environment = [
        ("BELAY_CONFIG", path.as_str()),
        ("BELAY_LOG_READS", "5"),
        ("BELAY_FEED_POLL", "100ms"),
        ("BELAY_LANE", "1"),
    ];
    let (code, out, err) = belay(&arguments, &environment);
    assert_eq!(code, Some(0), "{out}{err}");
    let from_file = format!("file {path}");
    for (name, value, source) in [
        ("lanes", "\"3\"", "flag"),
        ("grpc-address", "\"localhost:50099\"", "flag"),
        ("log-reads", "\"5\"", "environment BELAY_LOG_READS"),
        ("pages-at-once", "\"9\"", &from_file),
        ("trust-role-header", "true", &from_file),
        ("keep-events", "\"10d\"", &from_file),
        ("keep-requests", "\"90d\"", "default"),
        ("two-person-activation", "false", "default"),
        ("tls-cert", "", "not set"),
        ("batch-commands", "\"64\"", &from_file),
        ("lane-queue", "\"4096\"", "default"),
        ("page-wait", "\"2s\"", "default"),
        ("feed-poll", "\"100ms\"", "environment BELAY_FEED_POLL"),
        ("profiling", "false", "default"),
        (
            "database-url",
            "\"mysql://belay:***@127.0.0.1:1/belay\"",
            &from_file,
        ),
    ] {
        assert_eq!(shown(&out, name), (value, source), "{name}");
    }
    assert!(
        !out.contains("hunter2") && !err.contains("hunter2"),
        "{out}{err}"
    );
    assert!(err.contains("no setting is called BELAY_LANE"), "{err}");

    // What it shows is a file that says the same.
    let again = Scratch::holding(&out.replace("***", "hunter2"));
    let path = again.0.display().to_string();
    let (code, out, err) = belay(&["check-config", "--config", &path], &[]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(
        shown(&out, "lanes"),
        ("\"3\"", format!("file {path}").as_str())
    );
}

#[test]
fn what_would_not_start_is_told() {
    let url = ("BELAY_DATABASE_URL", "mysql://belay@127.0.0.1:1/belay");
    for (arguments, environment, told) in [
        (
            &["--trust-role-header"][..],
            &[][..],
            "--database-url or --database-url-file must be given",
        ),
        (&[], &[url], "no authentication method is given"),
        (
            &["--trust-role-header", "--database-connections", "10"],
            &[url],
            "11",
        ),
        (&["--key-file", "/nowhere.yaml"], &[url], "/nowhere.yaml"),
        (
            &["--trust-role-header"],
            &[(
                "BELAY_DATABASE_URL",
                "mysql://belay@127.0.0.1:1/belay?odd=1",
            )],
            "odd",
        ),
    ] {
        let (code, _, err) = belay(&[&["check-config"], arguments].concat(), environment);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(told), "{told}: {err}");
    }
}

#[test]
fn a_file_that_is_wrong_is_refused_by_whatever_reads_it() {
    let file = Scratch::holding("lane = 4\n");
    let path = file.0.display().to_string();
    for command in ["serve", "check-config", "migrate", "deliver"] {
        let (code, _, err) = belay(&[command, "--config", &path], &[]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("no setting is called lane"), "{err}");
    }
    // A value is held to what its flag takes, and the file is named.
    let file = Scratch::holding("lanes = 65\n");
    let path = file.0.display().to_string();
    let (code, _, err) = belay(&["serve", "--config", &path], &[]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--lanes") && err.contains(&path), "{err}");
}
