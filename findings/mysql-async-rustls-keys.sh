#!/usr/bin/env bash
# mysql_async with rustls reads a client key only where its PEM says "RSA PRIVATE KEY". "PRIVATE KEY", the form that OpenSSL
# has written since 3.0, and mysqld itself for the client-key.pem that it makes, is "No private key found in the file
# specified"; the same key in DER is taken for PKCS#1 and "failed to parse". There is no key of an elliptic curve that it takes at all.
# And `with_danger_skip_domain_validation(true)`, which is MySQL's VERIFY_CA, verifies the name all the same: it looks for
# "NotValidForName" in the text of rustls's error, and rustls has told it in words since 0.23. So mysqld's own certificates, which
# name nobody, can only be used without any verification. What helps: `openssl rsa -traditional`, and certificates with names.
#
# Seen with mysql_async 0.36.2 and rustls 0.23.46 (ring), MySQL 9.7.4 (Debian 9.7.4-2, unstable suite). Needs apt, cargo,
# openssl 3, 80 MB.
set -euo pipefail
umask 022
package=9.7.4-2 driver=0.36.2 rustls=0.23.46

tmp=$(mktemp -d)
pid=
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
  [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
  rm -rf "$tmp"
}
trap clean EXIT

# MySQL with all of its libraries, from the Debian mirror that this machine uses; apt checks the signatures. An empty
# package status makes it bring everything down to the loader, as the programs are newer than the system's libc.
# shellcheck disable=SC2016 # $(REPO_URI) is for apt to expand
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | { grep -v security || :; } | head -n 1)
mkdir -p "$tmp"/apt/{lists,archives}/partial "$tmp/root" "$tmp/data" "$tmp/src"
: >"$tmp/apt/status"
echo "deb [target=Packages signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >"$tmp/apt/list"
cat >"$tmp/apt/conf" <<CONF
Dir::State "$tmp/apt"; Dir::State::lists "$tmp/apt/lists"; Dir::State::status "$tmp/apt/status";
Dir::Cache "$tmp/apt"; Dir::Cache::archives "$tmp/apt/archives";
Dir::Etc::sourcelist "$tmp/apt/list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none"; APT::Install-Recommends "false"; APT::Sandbox::User "root";
CONF
{
  apt-get -c "$tmp/apt/conf" -qy update
  apt-get -c "$tmp/apt/conf" -qy --download-only install "mysql-server-core=$package"
} >"$tmp/apt/log" 2>&1 || { echo "cannot fetch mysql-server-core=$package:" && tail -n 3 "$tmp/apt/log" && exit 2; } >&2
for deb in "$tmp"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$tmp/root"; done

cat >"$tmp/Cargo.toml" <<TOML
[package]
name = "seen"
version = "0.0.0"
edition = "2021"
[dependencies]
mysql_async = { version = "=$driver", default-features = false, features = ["minimal-rust", "rustls-tls", "ring"] }
rustls = { version = "=$rustls", default-features = false }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat >"$tmp/src/main.rs" <<'RS'
use std::path::PathBuf;
use mysql_async::{ClientIdentity, Conn, OptsBuilder, SslOpts};

async fn connect(port: u16, tls: SslOpts) -> String {
    let server = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).prefer_socket(false);
    match Conn::new(server.user(Some("root")).ssl_opts(Some(tls))).await {
        Ok(connection) => connection.disconnect().await.map_or_else(|error| error.to_string(), |()| "connected".to_owned()),
        Err(error) => error.to_string(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (port, data) = (arguments.next().unwrap().parse().unwrap(), PathBuf::from(arguments.next().unwrap()));
    let tls = SslOpts::default().with_root_certs(vec![data.join("ca.pem").into()]);
    let mut as_seen = true;
    let mut see = |what: &str, outcome: String, expected: &str| {
        println!("  {what:44} {outcome}");
        as_seen &= outcome.contains(expected);
    };
    println!("expected: the key connects in each of its forms, and a certificate without names is verified by its authority");
    println!("seen:");
    let unverified = tls.clone().with_danger_accept_invalid_certs(true);
    for (certificate, key, expected) in [
        ("client-cert.pem", "client-key.pem", "No private key found"),
        ("client-cert.pem", "pkcs8.der", "failed to parse private key"),
        ("client-cert.pem", "traditional.pem", "connected"),
        ("ec-cert.pem", "ec.pem", "No private key found"),
        ("ec-cert.pem", "ec.der", "failed to parse private key"),
    ] {
        let identity = ClientIdentity::new(data.join(certificate).into(), data.join(key).into());
        see(key, connect(port, unverified.clone().with_client_identity(Some(identity))).await, expected);
    }
    see("without a client key", connect(port, unverified).await, "connected");
    let by_authority = tls.with_danger_skip_domain_validation(true);
    see("with_danger_skip_domain_validation(true)", connect(port, by_authority).await, "not valid for name");
    println!("{}", if as_seen { "as described" } else { "NOT as described any more" });
    std::process::exit(i32::from(!as_seen));
}
RS
CARGO_TARGET_DIR="$tmp/target" cargo build --quiet --manifest-path "$tmp/Cargo.toml"

loader=$(echo "$tmp"/root/usr/lib/*/ld-linux-*.so.*)
mysqld=("$loader" --inhibit-cache --library-path "${loader%/*}:$tmp/root/usr/lib/mysql/private" "$tmp/root/usr/sbin/mysqld"
  --no-defaults "--user=$(id -un)" "--basedir=$tmp/root/usr" "--lc-messages-dir=$tmp/root/usr/share/mysql"
  "--plugin-dir=$tmp/root/usr/lib/mysql/plugin" "--datadir=$tmp/data" --secure-file-priv=NULL)
"${mysqld[@]}" --initialize-insecure >"$tmp/log" 2>&1
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${mysqld[@]}" --bind-address=127.0.0.1 "--port=$port" --mysqlx=OFF "--socket=$tmp/s" "--pid-file=$tmp/pid" >"$tmp/log" 2>&1 &
pid=$!
until grep -q 'ready for connections' "$tmp/log"; do
  kill -0 "$pid" 2>/dev/null || { cat "$tmp/log" >&2 && exit 2; }
  sleep 0.2
done
# A key of an elliptic curve, and the key that mysqld made for its clients in two other forms.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=client -days 2 \
  -keyout "$tmp/data/ec-pkcs8.pem" -out "$tmp/data/ec-cert.pem" 2>/dev/null
openssl ec -in "$tmp/data/ec-pkcs8.pem" -out "$tmp/data/ec.pem" 2>/dev/null
openssl ec -in "$tmp/data/ec-pkcs8.pem" -outform DER -out "$tmp/data/ec.der" 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in "$tmp/data/client-key.pem" -outform DER -out "$tmp/data/pkcs8.der"
openssl rsa -traditional -in "$tmp/data/client-key.pem" -out "$tmp/data/traditional.pem" 2>/dev/null
echo "MySQL $package, mysql_async $driver, rustls $rustls; client-key.pem begins with $(head -n 1 "$tmp/data/client-key.pem")"
"$tmp/target/debug/seen" "$port" "$tmp/data"
