//! TLS in front: who is connected, by what, and what becomes of files that change.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use belay_client::Kind;
use belay_server::server::ServerSettings;
use belay_server::tls::config::TlsVersion;
use belay_tests::certificates::{Certified, argument};
use belay_tests::front::{EDGE, Front, HOST, der, serve};
use belay_tests::instance::Service;
use belay_tests::process::built;
use belay_tests::shop::new_order;
use belay_tests::{SHOP, run, until};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// A counter of a server, by the label of its cause.
fn failures(settings: &ServerSettings, cause: &str) -> u64 {
    let text = settings.telemetry.metrics.text().expect("it can be read");
    let begins = format!("belay_tls_handshake_failures_total{{belay_cause=\"{cause}\"");
    let line = text.lines().find(|line| line.starts_with(&begins));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value
        .unwrap_or_else(|| panic!("{begins} in {text}"))
        .parse()
        .expect("a number")
}

#[test]
fn tls_1_3_is_spoken_and_1_2_where_it_is_allowed() {
    run(async |t| {
        let front = Front::new();
        let strict = front.serve(t, front.settings()).await;
        let mut allowing = front.settings();
        allowing.oldest = TlsVersion::V1_2;
        let allowing = front.serve(t, allowing).await;
        for service in [&strict, &allowing] {
            new_order(
                &front.client(service, None),
                &format!("A-{}", service.address().port()),
            )
            .await
            .expect("an order");
            front.shown(service.address()).await;
        }
        let old = async |service: &Service| {
            let shaken = front.shake_hands(service.address(), &TLS12, &["h2"], None);
            shaken.await.map(drop)
        };
        let told = old(&strict).await.expect_err("1.2 is not spoken");
        assert!(told.contains("ProtocolVersion"), "{told}");
        old(&allowing).await.expect("1.2 is allowed");
        for service in [strict, allowing] {
            service.stop().await;
        }
    });
}

#[test]
fn what_speaks_no_tls_or_no_http2_is_closed() {
    run(async |t| {
        let front = Front::new();
        let mut metrics = None;
        let service = Service::start(t.database.url(), |settings| {
            settings.tls = Some(front.settings());
            metrics = Some(settings.clone());
        })
        .await;
        let settings = metrics.expect("it has started");
        let mut plain = TcpStream::connect(service.address())
            .await
            .expect("it listens");
        plain
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .expect("it is sent");
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        // An alert of TLS, and no frame of HTTP/2.
        assert!(
            answer.first().is_none_or(|first| *first == 21),
            "{answer:?}"
        );
        let counted = async |cause: &str, count| {
            until("it is counted", async || {
                (failures(&settings, cause) == count).then_some(())
            })
            .await;
        };
        counted("not_tls", 1).await;

        for alpn in [&[][..], &["http/1.1"]] {
            let shaken = front
                .shake_hands(service.address(), &TLS13, alpn, None)
                .await;
            assert!(shaken.is_err(), "{alpn:?} is served");
        }
        counted("alpn", 2).await;
        front.shown(service.address()).await;
        service.stop().await;
    });
}

#[test]
fn a_handshake_has_a_time_and_holds_up_no_other() {
    run(async |t| {
        let front = Front::new();
        let service = front.serve(t, front.settings()).await;
        let mut silent = Vec::new();
        for _ in 0..64 {
            silent.push(
                TcpStream::connect(service.address())
                    .await
                    .expect("it listens"),
            );
        }
        front.shown(service.address()).await;
        drop(silent);
        service.stop().await;

        let mut hasty = front.settings();
        hasty.handshake_max = Duration::from_millis(1);
        let hasty = front.serve(t, hasty).await;
        let mut silent = TcpStream::connect(hasty.address())
            .await
            .expect("it listens");
        let mut answer = Vec::new();
        let _ = silent.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
        hasty.stop().await;
    });
}

#[test]
fn a_stop_waits_for_no_handshake() {
    run(async |t| {
        let front = Front::new();
        let service = front.serve(t, front.settings()).await;
        let _silent = TcpStream::connect(service.address())
            .await
            .expect("it listens");
        front.shown(service.address()).await;
        // The handshake has as long as a test has.
        service.stop().await;
    });
}

#[test]
fn clients_show_certificates_where_they_are_asked_to() {
    run(async |t| {
        let front = Front::new();
        let good = front.clients.client(&[EDGE]);
        // By the authority of the servers, which is not that of the clients.
        let foreign = front.authority.client(&[EDGE]);
        let required = front.serve(t, front.with_clients(true)).await;
        let optional = front.serve(t, front.with_clients(false)).await;
        let asked_by_none = front.serve(t, front.settings()).await;
        let order = async |service: &Service, id: &str, identity| {
            new_order(&front.client(service, identity), id).await
        };
        order(&required, "A-1", Some(&good))
            .await
            .expect("it is let in");
        order(&optional, "A-2", Some(&good))
            .await
            .expect("it is let in");
        order(&optional, "A-3", None)
            .await
            .expect("it may be left out");
        order(&asked_by_none, "A-4", None)
            .await
            .expect("nobody asks");
        for (service, identity) in [
            (&required, None),
            (&required, Some(&foreign)),
            (&optional, Some(&foreign)),
        ] {
            let refused = order(service, "A-5", identity).await;
            let error = refused.expect_err("it is not let in");
            // A client of TLS 1.3 may have sent its call before it hears that it is not let in.
            let kind = belay_client::Error::from(error).kind();
            assert!(
                matches!(kind, Kind::Unavailable | Kind::OutcomeUnknown),
                "{kind:?}"
            );
        }
        for service in [required, optional, asked_by_none] {
            service.stop().await;
        }
    });
}

#[test]
fn a_certificate_that_is_revoked_opens_no_connection_any_more() {
    run(async |t| {
        let front = Front::new();
        let (good, bad) = (front.clients.client(&[EDGE]), front.clients.client(&[EDGE]));
        let list = |revoked: &[&Certified]| {
            let list = front.clients.revocations(revoked);
            front.files.write("revoked.pem", &list)
        };
        let mut settings = front.with_clients(true);
        let clients = settings.clients.as_mut().expect("they are asked");
        clients.revocations = Some(list(&[]));
        let service = front.serve(t, settings).await;
        let open = front.client(&service, Some(&bad));
        new_order(&open, "A-1")
            .await
            .expect("it is not revoked yet");

        list(&[&bad]);
        let shake_hands = async |identity| {
            let address = service.address();
            front
                .shake_hands(address, &TLS13, &["h2"], Some(identity))
                .await
        };
        until("the list is taken", async || shake_hands(&bad).await.err()).await;
        shake_hands(&good).await.expect("it is another");
        // What is open stays open.
        new_order(&open, "A-2").await.expect("it is connected");
        service.stop().await;
    });
}

#[test]
fn a_list_that_is_out_of_date_lets_nobody_in_and_is_told() {
    run(async |t| {
        let front = Front::new();
        let client = front.clients.client(&[EDGE]);
        let list = front.clients.revocations_until(&[], 2022);
        let list = front.files.write("revoked.pem", &list);
        let clients = front.files.path("clients.pem");
        let flags = [
            "--tls-client-ca",
            argument(&clients),
            "--tls-client-crl",
            argument(&list),
        ];
        let mut belay = serve(t, &front, &flags).await;
        let told = |line: &str| {
            line.contains("a file of TLS has expired")
                .then(|| line.to_owned())
        };
        let line = belay.running.until_said("it is told", told).await;
        assert!(line.contains("revoked.pem"), "{line}");
        let shaken = front.shake_hands(belay.address, &TLS13, &["h2"], Some(&client));
        assert!(shaken.await.is_err());
    });
}

#[test]
fn a_renewed_certificate_is_taken_over_and_cuts_nothing() {
    run(async |t| {
        let front = Front::new();
        let service = front.serve(t, front.settings()).await;
        let address = service.address();
        // One connection, on which calls go on from before to after.
        let open = front.client(&service, None);
        new_order(&open, "A-1").await.expect("an order");
        let is_over = AtomicBool::new(false);
        let calls = async {
            let mut calls = 0;
            while !is_over.load(Ordering::Relaxed) {
                open.get_order("A-1").await.expect("no call is cut");
                calls += 1;
            }
            calls
        };
        let renewals = async {
            for _ in 0..3 {
                let next = der(&front.renew());
                until("it is taken", async || {
                    (front.shown(address).await == next).then_some(())
                })
                .await;
            }
            is_over.store(true, Ordering::Relaxed);
        };
        let (calls, ()) = tokio::join!(calls, renewals);
        assert!(calls > 0);
        service.stop().await;
    });
}

#[test]
fn faulty_files_are_told_once_and_change_nothing() {
    run(async |t| {
        let front = Front::new();
        let mut belay = serve(t, &front, &[]).await;
        let before = front.shown(belay.address).await;
        // Of another certificate: the two are never written in one step.
        let next = front.authority.server(&[HOST]);
        front.files.write("server.pem", &next.certificate);
        let told = |line: &str| line.contains("is of another certificate").then_some(());
        belay.running.until_said("it is told", told).await;
        assert_eq!(front.shown(belay.address).await, before);
        front.files.write("server.key", &next.key);
        let taken = |line: &str| line.contains("changed and are taken").then_some(());
        belay.running.until_said("it is taken", taken).await;
        assert_eq!(front.shown(belay.address).await, der(&next));

        let expired = front.authority.server_until(&[HOST], 2021);
        front.files.certified("server", &expired);
        let told = |line: &str| line.contains("the certificate has expired").then_some(());
        belay.running.until_said("it is told", told).await;
        front.files.write("server.pem", "");
        let told = |line: &str| line.contains("holds no certificate in PEM").then_some(());
        belay.running.until_said("it is told", told).await;
        assert_eq!(front.shown(belay.address).await, der(&next));
        let said = belay.running.said();
        assert_eq!(
            said.matches("the certificate has expired").count(),
            1,
            "{said}"
        );
    });
}

#[test]
fn failures_and_the_expiry_are_counted_and_told() {
    run(async |t| {
        let front = Front::new();
        let clients = front.files.path("clients.pem");
        let mut belay = serve(t, &front, &["--tls-client-ca", argument(&clients)]).await;
        for _ in 0..3 {
            let shaken = front
                .shake_hands(belay.address, &TLS13, &["h2"], None)
                .await;
            assert!(shaken.is_err(), "a certificate is required");
        }
        let told = |line: &str| line.contains("a TLS handshake failed").then_some(());
        belay.running.until_said("a failure is told", told).await;
        let counted = "belay_tls_handshake_failures_total{belay_cause=\"certificate_missing\"";
        let metrics = until("they are counted", async || {
            let metrics = belay.get("/metrics").await.body;
            let line = metrics.lines().find(|line| line.starts_with(counted))?;
            line.ends_with(" 3").then(|| metrics.clone())
        })
        .await;
        let expires = metrics
            .lines()
            .find(|line| line.starts_with("belay_tls_certificate_expires_seconds"));
        // The beginning of 2040.
        assert!(
            expires.is_some_and(|line| line.ends_with(" 2208988800")),
            "{metrics}"
        );
    });
}

#[test]
fn health_is_asked_by_tls() {
    run(async |t| {
        let front = Front::new();
        let (clients, ca) = (
            front.files.path("clients.pem"),
            front.files.write("ca.pem", &front.authority.pem()),
        );
        let (certificate, key) = front
            .files
            .certified("probe", &front.clients.client(&["dns"]));
        let belay = serve(t, &front, &["--tls-client-ca", argument(&clients)]).await;
        let ask = async |arguments: &[&str]| {
            let mut command = Command::new(built("belay"));
            let address = belay.address.to_string();
            command
                .args(["health", "--grpc-address", &address])
                .args(arguments);
            let output = command.env_clear().output().await.expect("it can be run");
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        let ca = ["--ca", argument(&ca)];
        let identity = ["--cert", argument(&certificate), "--key", argument(&key)];
        // It waits for no more than seconds, and this machine may be busy.
        until("it serves", async || {
            let (serves, _) = ask(&[ca.as_slice(), &identity].concat()).await;
            serves.then_some(())
        })
        .await;
        for refused in [
            &[][..],
            &ca,
            &[["--tls"].as_slice(), &identity].concat(),
            &[ca.as_slice(), &identity, &["--server-name", "elsewhere"]].concat(),
            &identity,
        ] {
            let (serves, told) = ask(refused).await;
            assert!(!serves && !told.contains("panicked"), "{refused:?}: {told}");
        }
    });
}

/// Reflection and all, as from a shell.
#[test]
fn grpcurl_calls_by_tls() {
    let grpcurl = std::env::var("GRPCURL").unwrap_or_else(|_| {
        panic!("GRPCURL is not set: it is what `server/dev/tools.sh grpcurl` prints")
    });
    run(async |t| {
        let front = Front::new();
        let clients = front.files.path("clients.pem");
        let ca = front.files.write("ca.pem", &front.authority.pem());
        let (certificate, key) = front.files.certified("web", &front.clients.client(&[EDGE]));
        let belay = serve(
            t,
            &front,
            &["--tls-client-ca", argument(&clients), "--reflection", "on"],
        )
        .await;
        let call = async |identity: &[&Path]| {
            let mut command = Command::new(&grpcurl);
            command.arg("-cacert").arg(&ca);
            if let [certificate, key] = identity {
                command.arg("-cert").arg(certificate).arg("-key").arg(key);
            }
            command.args(["-H", "belay-role: OPERATOR", "-d", "{}"]);
            command.arg(belay.address.to_string());
            command.arg("belay.v1.StoreService/ListStores");
            let output = command.output().await.expect("grpcurl can be run");
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success(), told)
        };
        let (called, told) = call(&[&certificate, &key]).await;
        assert!(called && told.contains(SHOP), "{told}");
        let (called, told) = call(&[]).await;
        assert!(!called, "{told}");
    });
}
