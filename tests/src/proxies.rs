//! Proxies as people run them, as real programs in front of servers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use belay_client::RequestId;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use crate::raw::Raw;
use crate::until;

/// A kind of proxy, and how it is set up with nothing but what it needs.
#[derive(Debug)]
pub struct Program {
    /// Where the tests find the program, and what it is called.
    variable: &'static str,
    name: &'static str,
    /// The file of the configuration, where `LISTEN_PORT`, `SERVER_ADDRESS`, `SERVER_PORT` and
    /// `FOLDER` stand for what they say, and the arguments that follow the program's name.
    configuration: &'static str,
    arguments: &'static [&'static str],
    /// An answer whose header is larger does not come through.
    pub header_bytes_max: usize,
}

pub const NGINX: Program = Program {
    variable: "NGINX",
    name: "nginx",
    configuration: "
daemon off;
master_process off;
pid FOLDER/pid;
error_log FOLDER/log;
events {}
http {
    access_log off;
    client_body_temp_path FOLDER/client;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    server {
        listen 127.0.0.1:LISTEN_PORT http2;
        location / {
            grpc_pass grpc://SERVER_ADDRESS;
        }
    }
}
",
    arguments: &["-e", "FOLDER/log", "-c", "FOLDER/configuration"],
    header_bytes_max: 4 * 1024,
};

pub const HAPROXY: Program = Program {
    variable: "HAPROXY",
    name: "haproxy",
    configuration: "
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend callers
    bind 127.0.0.1:LISTEN_PORT proto h2
    default_backend belay
backend belay
    server belay SERVER_ADDRESS proto h2
",
    arguments: &["-db", "-f", "FOLDER/configuration"],
    header_bytes_max: 16 * 1024,
};

pub const ENVOY: Program = Program {
    variable: "ENVOY",
    name: "envoy",
    configuration: r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: LISTEN_PORT}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: callers
          codec_type: HTTP2
          route_config:
            virtual_hosts:
            - name: belay
              domains: ["*"]
              routes: [{match: {prefix: "/"}, route: {cluster: belay, timeout: 60s}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: belay
    type: STATIC
    load_assignment:
      cluster_name: belay
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: SERVER_PORT}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"#,
    arguments: &[
        "--config-path",
        "FOLDER/configuration.yaml",
        "--use-dynamic-base-id",
        "--log-path",
        "FOLDER/log",
    ],
    header_bytes_max: 60 * 1024,
};

/// A proxy in front of one server. It ends with the test.
#[derive(Debug)]
pub struct Proxy {
    folder: PathBuf,
    address: SocketAddr,
    _process: Child,
}

impl Proxy {
    pub async fn start(program: &Program, server: SocketAddr) -> Self {
        let configuration = program.configuration;
        let configuration = configuration.replace("SERVER_PORT", &server.port().to_string());
        let configuration = configuration.replace("SERVER_ADDRESS", &server.to_string());
        Self::configured(program, &configuration).await
    }

    /// In which `LISTEN_PORT` and `FOLDER` stand for what they say.
    pub async fn configured(program: &Program, configuration: &str) -> Self {
        let Program { variable, name, .. } = program;
        let path = std::env::var(variable).unwrap_or_else(|_| {
            panic!(
                "{variable} is not set. This test calls Belay through the real {name}: set {variable} to what \
                 `server/dev/tools.sh {name}` prints, or run `make test`, which does so"
            )
        });
        let folder = std::env::temp_dir().join(format!("belay-proxy-{}", RequestId::mint()));
        fs::create_dir(&folder).expect("a new folder");
        // Free until the proxy takes it.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let filled = |text: &str| {
            let text = text.replace("LISTEN_PORT", &address.port().to_string());
            text.replace("FOLDER", &folder.display().to_string())
        };
        for file in ["configuration", "configuration.yaml"] {
            fs::write(folder.join(file), filled(configuration)).expect("a file");
        }
        let mut command = Command::new(path);
        command
            .args(program.arguments.iter().map(|argument| filled(argument)))
            .stdin(Stdio::null());
        command
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("stderr")).expect("a file"));
        let mut process = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .expect("the proxy can be started");
        let log = || fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        until(&format!("{name} listens"), async || {
            if let Some(status) = process.try_wait().expect("a process") {
                panic!("{name} ended with {status}: {}", log());
            }
            TcpStream::connect(address).await.ok()
        })
        .await;
        Self {
            folder,
            address,
            _process: process,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn raw(&self) -> Raw {
        Raw::to(self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A server behind a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    pub address: SocketAddr,
    /// Its admin port.
    pub admin: SocketAddr,
}

/// In the place of what stands in a file of `deploy/`.
fn replaced(configuration: &str, pairs: &[(&str, &str)]) -> String {
    pairs
        .iter()
        .fold(configuration.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from} is not in {text}");
            text.replace(from, to)
        })
}

/// The lines of a file without those that hold `part`, and in the place of the first of them,
/// `lines`.
fn with_lines(configuration: &str, part: &str, lines: &str) -> String {
    let first = configuration.lines().position(|line| line.contains(part));
    let first = first.unwrap_or_else(|| panic!("{part} is in no line of {configuration}"));
    let text = configuration.lines().enumerate();
    let text = text.filter_map(|(number, line)| match line.contains(part) {
        true if number == first => Some(lines),
        true => None,
        false => Some(line),
    });
    text.map(|line| format!("{line}\n")).collect()
}

/// Callers say their role themselves here, and nobody takes it out.
const ROLES_BY_HEADER: &str = "belay-role";

/// The line of the first server in a file of `deploy/`, once for each server.
fn with_servers(configuration: &str, servers: &[Backend]) -> String {
    let line = configuration
        .lines()
        .find(|line| line.contains("server belay-1"));
    let line = line.expect("a server");
    let lines = servers.iter().map(|server| {
        let own = line
            .replace("belay-1:50051", &server.address.to_string())
            .replace("port 9464", &format!("port {}", server.admin.port()));
        own.replace("belay-1 ", &format!("belay-{} ", server.address.port()))
    });
    let lines: Vec<String> = lines.collect();
    with_lines(configuration, "server belay-", &lines.join("\n"))
}

/// `deploy/haproxy` in front of these.
pub fn haproxy(servers: &[Backend]) -> String {
    let text = with_servers(include_str!("../../deploy/haproxy/haproxy.cfg"), servers);
    let text = replaced(&text, &[("bind :50051", "bind 127.0.0.1:LISTEN_PORT")]);
    with_lines(&text, "del-header", "")
}

/// `deploy/nginx` in front of these.
pub fn nginx(servers: &[Backend]) -> String {
    let text = with_servers(include_str!("../../deploy/nginx/nginx.conf"), servers);
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = folders.map(|of| format!("    {of}_temp_path FOLDER/{of};\n"));
    let http = format!("http {{\n{}", folders.concat());
    let text = replaced(
        &text,
        &[
            ("listen 50051", "listen 127.0.0.1:LISTEN_PORT"),
            (
                "worker_processes auto;",
                "daemon off; master_process off; pid FOLDER/pid;",
            ),
            ("http {\n", &http),
        ],
    );
    with_lines(&text, ROLES_BY_HEADER, "")
}

/// `deploy/envoy` in front of these.
pub fn envoy(servers: &[Backend]) -> String {
    let text = include_str!("../../deploy/envoy/envoy.yaml");
    let (before, _) = text
        .split_once("          - lb_endpoints:\n")
        .expect("the endpoints");
    let endpoints = servers.iter().map(|server| {
        let port = server.address.port();
        format!(
            "              - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}\n"
        )
    });
    let text = format!(
        "{before}          - lb_endpoints:\n{}",
        endpoints.collect::<String>()
    );
    let listen = "{address: 0.0.0.0, port_value: 50051}";
    let here = "{address: 127.0.0.1, port_value: LISTEN_PORT}";
    replaced(&text, &[(listen, here), ("[belay-role, ", "[")])
}
