//! A network on this machine that can be cut: hosts in network namespaces, each with a link to
//! whoever calls it and one to the other hosts.
//!
//! A link is cut at its bridge. Both ends stay up, and what is sent is lost without a word, as
//! where a switch fails. All of it lies in a namespace of the program's own ([`enter`]), so the
//! machine's network is neither touched nor reached, and nothing is left behind.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Set for a program that has entered a network of its own.
const ENTERED: &str = "BELAY_TESTS_OWN_NETWORK";
/// The ways into a namespace of its own, the second for root where no user may have one.
const WAYS: [&[&str]; 2] = [&["--map-root-user", "--net"], &["--net"]];
/// What a network is made of, tried before anything depends on it.
const TRIAL: &str = "ip link add trial type bridge && ip link add left type veth peer name right";
/// The bridges, each with a /24 of its own.
const CALLERS: Bridge = Bridge {
    name: "callers",
    subnet: 0,
};
const HOSTS: Bridge = Bridge {
    name: "hosts",
    subnet: 1,
};

#[derive(Debug, Clone, Copy)]
struct Bridge {
    name: &'static str,
    subnet: u8,
}

impl Bridge {
    fn address(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, last)
    }

    /// The port of a host, on the bridge's side.
    fn port(self, index: usize) -> String {
        format!("{}{index}", self.name)
    }
}

/// The traffic that is cut off from a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The other hosts; callers still reach it.
    Hosts,
    /// Callers; the other hosts still reach it.
    Callers,
    /// The other hosts and callers.
    All,
}

impl Cut {
    fn bridges(self) -> &'static [Bridge] {
        match self {
            Cut::Hosts => &[HOSTS],
            Cut::Callers => &[CALLERS],
            Cut::All => &[HOSTS, CALLERS],
        }
    }
}

/// Runs this program once more in a network of its own, and does not come back; or this is that
/// run.
///
/// # Errors
/// The reason why this machine does not allow it.
pub fn enter() -> Result<(), String> {
    if std::env::var_os(ENTERED).is_some() {
        return Ok(());
    }
    let mut refusals = Vec::new();
    for way in WAYS {
        match run("unshare", &[way, &["sh", "-ec", TRIAL]].concat()) {
            Ok(()) => return enter_by(way).map(|never| match never {}),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(format!(
        "a network is cut in network namespaces, which needs iproute2, unshare, and root or user namespaces for \
         whoever calls: {}",
        refusals.join("; ")
    ))
}

fn enter_by(way: &[&str]) -> Result<Infallible, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut again = Command::new("unshare");
    again.args(way).arg(this).args(std::env::args_os().skip(1));
    Err(again.env(ENTERED, "1").exec().to_string())
}

/// A host, which exists for as long as its network.
#[derive(Debug)]
pub struct Host {
    /// Where callers find it.
    pub address: Ipv4Addr,
    /// Where the other hosts do.
    pub among_hosts: Ipv4Addr,
    /// Keeps its namespace, and ends with the pipe that it reads.
    keeper: Child,
}

impl Host {
    /// The beginning of a command that is to run on it.
    pub fn enter(&self) -> Vec<String> {
        let namespace = format!("--net=/proc/{}/ns/net", self.keeper.id());
        vec!["nsenter".to_owned(), namespace]
    }

    fn run(&self, command: &[&str]) {
        let enter = self.enter();
        must("nsenter", &[&[enter[1].as_str()], command].concat());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing of it is needed, and it may have ended.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Hosts that reach each other, and are reached from here. One at a time: names are its own.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Host>,
}

impl Network {
    /// Makes one, after [`enter`].
    ///
    /// # Panics
    /// Outside of a network of the program's own.
    pub fn new(hosts: u8) -> Self {
        assert!(std::env::var_os(ENTERED).is_some(), "enter comes first");
        ip("link set lo up");
        for bridge in [CALLERS, HOSTS] {
            // An address of its own, or it would take that of a port, and answer what comes to a
            // port that was cut off.
            let mac = format!("02:77:00:00:00:0{}", bridge.subnet);
            ip(&format!(
                "link add {} address {mac} type bridge",
                bridge.name
            ));
            ip(&format!("link set {} up", bridge.name));
        }
        ip(&format!(
            "address add {}/24 dev {}",
            CALLERS.address(1),
            CALLERS.name
        ));
        let hosts = (0..hosts).map(add_host).collect();
        Self { hosts }
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub fn cut(&self, index: usize, cut: Cut) {
        for bridge in cut.bridges() {
            ip(&format!("link set {} nomaster", bridge.port(index)));
        }
    }

    /// All links of a host are as they were.
    pub fn heal(&self, index: usize) {
        for bridge in Cut::All.bridges() {
            let (port, name) = (bridge.port(index), bridge.name);
            ip(&format!("link set {port} master {name}"));
        }
    }
}

fn add_host(index: u8) -> Host {
    let mut keeper = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was tried");
    // A line says that it has entered.
    let said = keeper.stdout.take().expect("a pipe");
    let read = BufReader::new(said).read_line(&mut String::new());
    assert_eq!(read.expect("a line"), 1, "the host has a namespace");
    let host = Host {
        address: CALLERS.address(10 + index),
        among_hosts: HOSTS.address(10 + index),
        keeper,
    };
    host.run(&["ip", "link", "set", "lo", "up"]);
    let namespace = host.keeper.id();
    for (bridge, address) in [(CALLERS, host.address), (HOSTS, host.among_hosts)] {
        let (name, port) = (bridge.name, bridge.port(usize::from(index)));
        ip(&format!(
            "link add {port} type veth peer name {name} netns {namespace}"
        ));
        ip(&format!("link set {port} master {name} up"));
        let address = format!("{address}/24");
        host.run(&["ip", "address", "add", &address, "dev", name]);
        host.run(&["ip", "link", "set", name, "up"]);
    }
    host
}

fn ip(arguments: &str) {
    must("ip", &arguments.split(' ').collect::<Vec<_>>());
}

fn must(program: &str, arguments: &[&str]) {
    run(program, arguments).unwrap_or_else(|error| panic!("{error}"));
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let command = || format!("{program} {}", arguments.join(" "));
    let done = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    let refused = || format!("{}: {}", command(), said.trim());
    done.status.success().then_some(()).ok_or_else(refused)
}
