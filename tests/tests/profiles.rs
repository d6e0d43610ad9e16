//! Profiles at the admin port: read here as whoever knows the format of pprof reads them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use belay_server::profiles::{PATH, SECONDS_MAX};
use belay_tests::instance::{Service, literal, storefront};
use belay_tests::process::{BelayProcess, built};
use belay_tests::{run, until};
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The message `perftools.profiles.Profile`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
}

impl Profile {
    fn text(&self, place: i64) -> &str {
        let place = usize::try_from(place).expect("a place");
        &self.string_table[place]
    }

    /// The functions that were met; whatever a sample names must be there.
    fn functions(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for sample in &self.sample {
            assert!(!sample.location_id.is_empty());
            for location in &sample.location_id {
                let found = self.location.iter().find(|of| of.id == *location);
                for line in &found.expect("a location that is there").line {
                    let mut functions = self.function.iter();
                    let function = functions.find(|of| of.id == line.function_id);
                    names.insert(self.text(function.expect("a function that is there").name));
                }
            }
        }
        names
    }
}

/// The status and the body of what is at a path.
async fn get(admin: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let mut connection = asked(admin, path).await;
    let mut answer = Vec::new();
    connection
        .read_to_end(&mut answer)
        .await
        .expect("an answer");
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n");
    let body = answer.split_off(end.expect("a head") + 4);
    let head = String::from_utf8(answer).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("a status"), body)
}

/// A connection on which this was asked, and nothing is read.
async fn asked(admin: SocketAddr, path: &str) -> TcpStream {
    let mut connection = TcpStream::connect(admin).await.expect("it is open");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let sent = connection.write_all(request.as_bytes()).await;
    sent.expect("it reads");
    connection
}

#[test]
fn a_profile_says_what_the_processors_were_busy_with() {
    run(async |t| {
        let serve = ["serve", "--trust-role-header", "--profiling"];
        let url = t.database.serve_url().await;
        let mut belay = BelayProcess::start(&url, &serve, &[]).await;
        let admin = belay.admin;
        // One at a time; who hangs up makes room.
        let first = asked(admin, &format!("{PATH}?seconds={SECONDS_MAX}")).await;
        let taken = |line: &str| line.contains("a profile of the processors").then_some(());
        belay.running.until_said("it begins", taken).await;
        assert_eq!(get(admin, &format!("{PATH}?seconds=1")).await.0, 503);
        drop(first);

        let shop = storefront(&literal(belay.address));
        t.place("A-1").await;
        let work = async {
            loop {
                shop.get_order("A-1").await.expect("it is there");
            }
        };
        let path = format!("{PATH}?seconds=1");
        let profile = until("there is room again", async || {
            let (status, body) = get(admin, &path).await;
            (status == 200).then_some(body)
        });
        let bytes = tokio::select! {
            bytes = profile => bytes,
            () = work => unreachable!("there is always something to do"),
        };
        let profile = Profile::decode(&*bytes).expect("a profile");
        assert_eq!(profile.string_table[0], "");
        let types: Vec<(&str, &str)> = profile
            .sample_type
            .iter()
            .map(|of| (profile.text(of.kind), profile.text(of.unit)))
            .collect();
        assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
        assert!(profile.duration_nanos > 0 && profile.period > 0);
        assert!(!profile.sample.is_empty());
        for sample in &profile.sample {
            assert_eq!(sample.value[1], sample.value[0] * profile.period);
        }
        let functions = profile.functions();
        assert!(functions.len() > 1, "{functions:?}");

        let beyond = format!("seconds={}", SECONDS_MAX + 1);
        for odd in ["seconds=0", "seconds=x", beyond.as_str()] {
            let (status, _) = get(admin, &format!("{PATH}?{odd}")).await;
            assert_eq!(status, 400, "{odd}");
        }
        belay.running.tell_to_stop();
        let (status, said) = belay.running.end().await;
        assert!(status.success(), "{said}");
    });
}

#[test]
fn there_are_no_profiles_where_nothing_is_said_and_none_without_a_port() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.admin_address = Some(([127, 0, 0, 1], 0).into());
        })
        .await;
        let admin = service.admin_address().expect("it is open");
        assert_eq!(get(admin, PATH).await.0, 404);
        service.stop().await;

        let mut belay = Command::new(built("belay"));
        let arguments = ["check-config", "--trust-role-header", "--profiling"];
        let url = "mysql://belay@127.0.0.1:1/belay";
        belay
            .args(arguments)
            .env_clear()
            .env("BELAY_DATABASE_URL", url);
        let refused = belay.output().expect("it can be run");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{said}");
        let is_told = said.contains("--profiling") && said.contains("--admin-listen");
        assert!(is_told, "{said}");
    });
}
