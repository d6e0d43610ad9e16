//! Connections to the database by TLS: what is encrypted, who is believed, and what is told where
//! it comes to nothing. By a MySQL of the test's own, with its own certificates and others.

use std::path::{Path, PathBuf};
use std::process::Output;

use belay_client::Role;
use belay_server::db::pool;
use belay_server::db::shares::Share;
use belay_tests::SHOP;
use belay_tests::certificates::{Authority, Certified, Files, argument};
use belay_tests::database::other_sessions;
use belay_tests::instance::{Instance, Service, session, storefront};
use belay_tests::process::{BelayProcess, built};
use belay_tests::shop::new_order;
use diesel_async::RunQueryDsl;
use mysql_async::prelude::Queryable;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

fn on_a_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// A URL of the instance, for another account and with parameters.
fn url(mysql: &Instance, account: &str, host: &str, parameters: &[(&str, &Path)]) -> SecretString {
    let url = mysql.url();
    let url = url
        .expose_secret()
        .replacen("root@", &format!("{account}@"), 1);
    let url = url.replacen("127.0.0.1", host, 1);
    let parameters = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", argument(value)));
    SecretString::from(format!(
        "{url}?{}",
        parameters.collect::<Vec<_>>().join("&")
    ))
}

/// The version of TLS of a connection by this URL, empty for one in clear; or what is told instead.
async fn tls_of(url: &SecretString) -> Result<String, String> {
    #[derive(diesel::QueryableByName)]
    struct Status {
        #[diesel(sql_type = diesel::sql_types::Text)]
        #[diesel(column_name = "Value")]
        value: String,
    }
    let mut conn = pool::connect(url)
        .await
        .map_err(|error| error.to_string())?;
    let asked = diesel::sql_query("SHOW SESSION STATUS LIKE 'Ssl_version'");
    let status: Status = asked.get_result(&mut conn).await.expect("a status");
    Ok(status.value)
}

async fn fails_with(url: &SecretString, text: &str) {
    match tls_of(url).await {
        Ok(version) => panic!("connected with {version:?}, where {text:?} was expected"),
        Err(told) => assert!(told.contains(text) && !told.contains('\n'), "{told}"),
    }
}

/// Gives the server a certificate.
async fn certify(mysql: &Instance, files: &Files, ca: &str, server: &Certified) {
    let ca = files.write("server-ca.pem", ca);
    let (certificate, key) = files.certified("server", server);
    let sql = format!(
        "SET GLOBAL ssl_ca = '{}', ssl_cert = '{}', ssl_key = '{}'",
        argument(&ca),
        argument(&certificate),
        argument(&key)
    );
    let mut root = session(&mysql.url()).await;
    root.query_drop(sql).await.expect("root may");
    root.query_drop("ALTER INSTANCE RELOAD TLS")
        .await
        .expect("they fit");
}

async fn create_accounts(mysql: &Instance) {
    let mut root = session(&mysql.url()).await;
    for account in [
        "CREATE USER encrypted REQUIRE SSL",
        "CREATE USER certified REQUIRE X509",
        "GRANT ALL ON belay.* TO encrypted",
        "GRANT ALL ON *.* TO certified",
    ] {
        root.query_drop(account).await.expect("root may");
    }
}

const MODE: &str = "ssl-mode";

fn mode(name: &str) -> (&'static str, &Path) {
    (MODE, Path::new(name))
}

#[test]
fn a_connection_is_encrypted_and_verified_as_far_as_it_is_asked_for() {
    on_a_runtime(async {
        let mysql = Instance::start(&[]).await;
        create_accounts(&mysql).await;
        let local = "127.0.0.1";
        let of = |account: &str, host: &str, parameters: &[(&str, &Path)]| {
            url(&mysql, account, host, parameters)
        };

        // With the certificates that mysqld has made, which have no names.
        let own_ca = mysql.data().join("ca.pem");
        let ca = ("ssl-ca", own_ca.as_path());
        assert_eq!(tls_of(&mysql.url()).await.unwrap(), "");
        let encrypted = "TLSv1.3".to_owned();
        let required = of("root", local, &[mode("REQUIRED")]);
        assert_eq!(tls_of(&required).await, Ok(encrypted.clone()));
        let by_ca = of("root", local, &[mode("VERIFY_CA"), ca]);
        assert_eq!(tls_of(&by_ca).await, Ok(encrypted.clone()));
        fails_with(&of("root", local, &[ca]), "not valid for name").await;

        // Another authority, and files that are none.
        let (authority, files) = (Authority::new(), Files::new());
        let other_ca = files.write("ca.pem", &authority.pem());
        let ours = ("ssl-ca", other_ca.as_path());
        for mode in [mode("VERIFY_CA"), mode("VERIFY_IDENTITY")] {
            fails_with(&of("root", local, &[mode, ours]), "UnknownIssuer").await;
            // Of the machine's roots none has signed it.
            fails_with(&of("root", local, &[mode]), "UnknownIssuer").await;
        }
        let (absent, empty) = (files.path("absent"), files.write("empty", ""));
        fails_with(
            &of("root", local, &[("ssl-ca", &absent)]),
            "absent: it cannot be opened: No such file",
        )
        .await;
        fails_with(
            &of("root", local, &[("ssl-ca", &empty)]),
            "holds no certificate",
        )
        .await;

        // What accounts ask for.
        let plain = of("encrypted", local, &[]);
        fails_with(&plain, "Access denied").await;
        let encrypted_account = of("encrypted", local, &[mode("REQUIRED")]);
        assert_eq!(tls_of(&encrypted_account).await, Ok(encrypted.clone()));
        fails_with(
            &of("certified", local, &[mode("REQUIRED")]),
            "Access denied",
        )
        .await;
        let (certificate, key) = (
            mysql.data().join("client-cert.pem"),
            mysql.data().join("client-key.pem"),
        );
        let identity = [
            ("ssl-cert", certificate.as_path()),
            ("ssl-key", key.as_path()),
        ];
        let certified = of("certified", local, &identity);
        assert_eq!(tls_of(&certified).await, Ok(encrypted.clone()));
        let unreadable = [identity[0], ("ssl-key", empty.as_path())];
        fails_with(&of("certified", local, &unreadable), "holds no private key").await;

        // With a certificate for a name, and keys that are not RSA.
        certify(
            &mysql,
            &files,
            &authority.pem(),
            &authority.server(&["localhost"]),
        )
        .await;
        assert_eq!(
            tls_of(&of("root", "localhost", &[ours])).await,
            Ok(encrypted.clone())
        );
        fails_with(&of("root", local, &[ours]), "not valid for name").await;
        let by_ca = of("root", local, &[mode("VERIFY_CA"), ours]);
        assert_eq!(tls_of(&by_ca).await, Ok(encrypted.clone()));
        certify(
            &mysql,
            &files,
            &authority.pem(),
            &authority.server(&[local]),
        )
        .await;
        assert_eq!(
            tls_of(&of("root", local, &[ours])).await,
            Ok(encrypted.clone())
        );
        let (certificate, key) = files.certified("client", &authority.client(&["belay"]));
        let identity = [
            ours,
            ("ssl-cert", certificate.as_path()),
            ("ssl-key", key.as_path()),
        ];
        assert_eq!(
            tls_of(&of("certified", local, &identity)).await,
            Ok(encrypted)
        );
    });
}

#[test]
fn a_server_without_tls_gets_no_password_where_tls_is_required() {
    on_a_runtime(async {
        let mysql = Instance::start(&["--tls-version="]).await;
        assert_eq!(tls_of(&mysql.url()).await.unwrap(), "");
        for asked in ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"] {
            let url = url(&mysql, "root", "127.0.0.1", &[mode(asked)]);
            fails_with(&url, "offers no TLS").await;
        }
    });
}

/// A command of the binary, with the database in its environment.
async fn belay(
    arguments: &[&str],
    database: &SecretString,
    environment: &[(&str, &Path)],
) -> Output {
    let mut command = Command::new(built("belay"));
    command
        .args(arguments)
        .env_clear()
        .env("BELAY_DATABASE_URL", database.expose_secret())
        .envs(environment.iter().copied());
    command.output().await.expect("it can be run")
}

fn said(output: &Output) -> String {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", of(&output.stdout), of(&output.stderr))
}

/// The account needs a certificate, and the server takes nothing in clear.
#[test]
fn every_command_reaches_a_database_that_takes_certificates_alone() {
    on_a_runtime(async {
        let mysql = Instance::start(&[]).await;
        create_accounts(&mysql).await;
        let mut root = session(&mysql.url()).await;
        root.query_drop("SET GLOBAL require_secure_transport = ON")
            .await
            .expect("root may");
        let data = mysql.data();
        let (ca, certificate, key) = (
            data.join("ca.pem"),
            data.join("client-cert.pem"),
            data.join("client-key.pem"),
        );
        let tls = [
            ("BELAY_DATABASE_TLS", Path::new("verify-ca")),
            ("BELAY_DATABASE_TLS_CA", ca.as_path()),
            ("BELAY_DATABASE_TLS_CERT", certificate.as_path()),
            ("BELAY_DATABASE_TLS_KEY", key.as_path()),
        ];
        let certified = url(&mysql, "certified", "127.0.0.1", &[]);
        let files = Files::new();
        let secret = files.write(
            "secret",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
        );
        let deliver = [
            "deliver",
            "--consumer",
            "c",
            "--url",
            "http://127.0.0.1:9/",
            "--secret-file",
            argument(&secret),
        ];
        let commands: [&[&str]; 5] = [
            &["migrate"],
            &["rebuild", "stock"],
            &["dead-letters", "list", "--consumer", "c"],
            &[
                "serve",
                "--trust-role-header",
                "--grpc-address",
                "127.0.0.1:0",
            ],
            &deliver,
        ];
        for command in commands {
            let refused = belay(command, &mysql.url(), &[]).await;
            let told = said(&refused);
            assert!(!refused.status.success(), "{command:?}: {told}");
            assert!(
                told.contains("insecure transport are prohibited") && !told.contains("panicked"),
                "{command:?}: {told}"
            );
        }
        for command in &commands[..3] {
            let done = belay(command, &certified, &tls).await;
            let told = said(&done);
            // The one that finds nothing says so: it has asked.
            let has_asked = told.contains("nothing was ever delivered under the name c");
            assert!(done.status.success() || has_asked, "{command:?}: {told}");
        }

        let tls = tls.map(|(name, path)| (name, argument(path)));
        let serve = [
            "serve",
            "--trust-role-header",
            "--database-connections",
            "11",
        ];
        let server = BelayProcess::start(&certified, &serve, &tls).await;
        let belay = belay_tests::instance::literal(server.address);
        let operator = belay.with_role(Role::Operator, "ops").expect("a role");
        operator
            .create_store(
                SHOP,
                belay_client::calls::FirstPolicy::preset("independent-site"),
            )
            .await
            .expect("a store");
        new_order(&storefront(&belay), "A-1")
            .await
            .expect("an order");
        // All its connections, also the one that looks at its health.
        let sessions = other_sessions(&mut root).await;
        let connections = sessions
            .iter()
            .filter(|session| session.user == "certified");
        assert!(connections.count() >= 11, "{sessions:?}");
    });
}

#[test]
fn what_a_url_asks_for_and_is_not_there_is_one_line() {
    on_a_runtime(async {
        let odd = [
            (
                "mysql://u:hunter2@127.0.0.1:1/d?require_ssl=true",
                "require_ssl",
            ),
            (
                "mysql://u:hunter2@127.0.0.1:1/d?ssl-mode=PREFERRED",
                "PREFERRED",
            ),
            ("mysql://u:hunter2@127.0.0.1:1/d?ssl-mode=on", "ssl-mode"),
            ("mysql://u:hunter2@127.0.0.1:1/d?sslmode=require", "sslmode"),
            ("mysql://u:hunter2@127.0.0.1:1/d?pool_max=9", "pool_max"),
            ("mysql://u:hunter2@127.0.0.1:port/d", "invalid port"),
            ("mysql://u:hunter2@/d", "host"),
            ("postgres://u:hunter2@127.0.0.1/d", "must look like"),
        ];
        let commands: [&[&str]; 4] = [
            &["migrate"],
            &["rebuild", "stock"],
            &["dead-letters", "list", "--consumer", "c"],
            &[
                "serve",
                "--trust-role-header",
                "--grpc-address",
                "127.0.0.1:0",
            ],
        ];
        for command in commands {
            for (url, expected) in odd {
                let refused = belay(command, &SecretString::from(url), &[]).await;
                let told = said(&refused);
                assert_eq!(refused.status.code(), Some(1), "{command:?} {url}: {told}");
                let line = told.trim_end();
                assert!(
                    line.contains(expected) && !line.contains('\n') && !line.contains("hunter2"),
                    "{command:?} {url}: {told}"
                );
            }
        }
    });
}

#[test]
fn the_url_may_be_in_a_file_and_is_given_once() {
    on_a_runtime(async {
        let files = Files::new();
        let file = files.write("url", "mysql://u:hunter2@127.0.0.1:1/d\n");
        let run = async |arguments: Vec<PathBuf>, url: Option<&str>| {
            let mut command = Command::new(built("belay"));
            command.arg("migrate").args(arguments).env_clear();
            command.envs(url.map(|url| ("BELAY_DATABASE_URL", url)));
            let output = command.output().await.expect("it can be run");
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
            said(&output)
        };
        let flag = |path: &Path| vec![PathBuf::from("--database-url-file"), path.to_owned()];
        // It got as far as the port where nobody listens.
        let told = run(flag(&file), None).await;
        assert!(told.contains("cannot connect to the database"), "{told}");
        let told = run(flag(&files.path("absent")), None).await;
        assert!(told.contains("absent: No such file"), "{told}");
        let told = run(flag(&file), Some("mysql://u@127.0.0.1:1/d")).await;
        assert!(told.contains("name one database; give one"), "{told}");
        let told = run(Vec::new(), None).await;
        assert!(
            told.contains("--database-url or --database-url-file must be given"),
            "{told}"
        );
        let long = files.write("long", &"x".repeat(64 * 1024 + 1));
        let told = run(flag(&long), None).await;
        assert!(told.contains("more than 65536 bytes"), "{told}");
        let longest = files.write("longest", &"x".repeat(64 * 1024));
        let told = run(flag(&longest), None).await;
        assert!(told.contains("must look like"), "{told}");
    });
}

/// A server goes on where the database's certificate is renewed, with connections that it opens
/// then.
#[test]
fn a_renewed_authority_of_the_database_is_taken_over() {
    on_a_runtime(async {
        let mysql = Instance::start(&[]).await;
        let (authority, files) = (Authority::new(), Files::new());
        let local = "127.0.0.1";
        certify(
            &mysql,
            &files,
            &authority.pem(),
            &authority.server(&[local]),
        )
        .await;
        let ca = files.write("ca.pem", &authority.pem());
        let url = url(&mysql, "root", local, &[("ssl-ca", &ca)]);
        let service = Service::start(url, |_| {}).await;
        let next = Authority::new();
        certify(&mysql, &files, &next.pem(), &next.server(&[local])).await;
        let inside = service.inside();
        let refused = inside.pool(Share::Upkeep).connect_beside().await;
        assert!(refused.is_err());
        files.write("ca.pem", &next.pem());
        inside
            .pool(Share::Reads)
            .connect_beside()
            .await
            .expect("the new authority is trusted");
        service.stop().await;
    });
}
