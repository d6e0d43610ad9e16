//! Until when a caller counts: what is withdrawn, narrowed or expired ends its streams, and nobody
//! else's.

use std::sync::Arc;

use belay_client::calls::EventStream;
use belay_client::{Belay, Error, Kind};
use belay_server::auth::failed_logins::FailedLogins;
use belay_server::auth::jwt::{Jwt, JwtSettings, KeySource, REFRESH_DEFAULT};
use belay_server::auth::key_file::KeyFile;
use belay_server::auth::{Authentication, Credentials};
use belay_tests::credentials::{ACME, AUDIENCE, ISSUER, Issuer, KeyFileOnDisk, NEXT, WEB, callers};
use belay_tests::instance::{Service, literal};
use belay_tests::process::HttpAnswer;
use belay_tests::shop::new_order;
use belay_tests::{SHOP, TestServer, refused, run, until};
use jiff::{SignedDuration, Timestamp};

async fn watch(belay: &Belay) -> EventStream {
    let mut stream = belay.watch_events().await.unwrap();
    stream.try_next().await.unwrap().expect("a first bookmark");
    stream
}

/// Reads to the error that ends the stream.
async fn end_of(mut stream: EventStream) -> Error {
    loop {
        match stream.try_next().await {
            Ok(message) => assert!(message.is_some(), "it ended as if nothing were"),
            Err(error) => return error,
        }
    }
}

fn ended(error: Error) {
    refused(Err::<(), _>(error), Kind::Unauthenticated, "SESSION_ENDED");
}

#[expect(
    clippy::disallowed_methods,
    reason = "an issuer goes by the wall clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// A server that knows callers by this file, and by an issuer where there is one.
async fn service(t: &TestServer, file: &KeyFileOnDisk, jwt: Option<Jwt>) -> Service {
    let key_file = Arc::new(KeyFile::open(&file.0).unwrap());
    let credentials = Credentials {
        key_file: Some(key_file),
        jwt: jwt.map(Arc::new),
        failed_logins: FailedLogins::default(),
    };
    Service::start(t.database.url(), |settings| {
        settings.authentication = Authentication::Credentials(Arc::new(credentials));
        settings.admin_address = Some(([127, 0, 0, 1], 0).into());
    })
    .await
}

#[test]
fn a_withdrawn_or_narrowed_caller_loses_its_streams_and_nobody_else_does() {
    run(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop, other]", &[WEB, NEXT]));
        let service = service(t, &file, None).await;
        let nobody = literal(service.address());
        let holder = |token: &str| nobody.with_token(token).unwrap();
        let (web, next, mut acme) = (
            watch(&holder(WEB)).await,
            watch(&holder(NEXT)).await,
            watch(&holder(ACME)).await,
        );

        // A file that is cut short ends nobody's stream, and gives nobody more.
        file.write("callers:\n  - id: web\n    role: STOREFRONT\n");
        file.write(&callers("[shop, other]", &[NEXT]));
        ended(end_of(web).await);
        refused(
            holder(WEB).store(SHOP).list_orders().await,
            Kind::Unauthenticated,
            "CALLER_UNKNOWN",
        );
        new_order(&holder(NEXT).store(SHOP), "A-1").await.unwrap();

        file.write(&callers("[shop]", &[NEXT]));
        ended(end_of(next).await);
        // With what it has now it begins again.
        let mut next = watch(&holder(NEXT)).await;

        file.write(&callers("ALL", &[NEXT, WEB]));
        until("the wider file is taken", async || {
            holder(WEB).store(SHOP).list_orders().await.ok()
        })
        .await;
        for stream in [&mut next, &mut acme] {
            stream.try_next().await.unwrap().expect("it goes on");
        }
        drop((next, acme));
        service.stop().await;
    });
}

#[test]
fn a_token_of_an_issuer_lets_its_caller_in_until_it_expires() {
    run(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB]));
        let mut issuer = Issuer::start().await;
        let settings = JwtSettings {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            algorithms: "ES256".parse().unwrap(),
            leeway: std::time::Duration::ZERO,
            refresh: REFRESH_DEFAULT,
            claims_prefix: "belay_".to_owned(),
        };
        let source: KeySource = issuer.url().parse().unwrap();
        let jwt = Jwt::start(settings, source).await.unwrap();
        let service = service(t, &file, Some(jwt)).await;
        let nobody = literal(service.address());
        let holder = |token: &str| nobody.with_token(token).unwrap().store(SHOP);
        let in_an_hour = now() + SignedDuration::from_hours(1);

        // Services by the key file, people by the issuer.
        new_order(&holder(WEB), "A-1").await.unwrap();
        let acme = holder(&issuer.token("acme", in_an_hour));
        acme.get_order("A-1").await.unwrap();
        let zenith = holder(&issuer.token("zenith", in_an_hour));
        refused(
            zenith.get_order("A-1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        let an_hour_ago = now() - SignedDuration::from_hours(1);
        refused(
            holder(&issuer.token("acme", an_hour_ago))
                .get_order("A-1")
                .await,
            Kind::Unauthenticated,
            "CALLER_UNKNOWN",
        );

        // A key that is new since the server began is fetched by the call that needs it.
        issuer.add_key();
        issuer.publish();
        let by_new_key = holder(&issuer.token("acme", in_an_hour));
        by_new_key.get_order("A-1").await.unwrap();

        // As long as it takes to open a stream here.
        let mut seconds = 1;
        let stream = loop {
            let expires = now() + SignedDuration::from_secs(seconds);
            let token = issuer.token("acme", expires);
            let opened = nobody.with_token(&token).unwrap().watch_events().await;
            match opened {
                Ok(stream) => break stream,
                Err(error) => assert_eq!(error.kind(), Kind::Unauthenticated, "{error}"),
            }
            seconds *= 2;
        };
        ended(end_of(stream).await);
        service.stop().await;
    });
}

#[test]
fn failed_logins_are_counted_by_cause() {
    run(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB]));
        let service = service(t, &file, None).await;
        let nobody = literal(service.address());
        for _ in 0..2 {
            let unknown = nobody.with_token(NEXT).unwrap().store(SHOP);
            refused(
                unknown.list_orders().await,
                Kind::Unauthenticated,
                "CALLER_UNKNOWN",
            );
        }
        refused(
            nobody.store(SHOP).list_orders().await,
            Kind::Unauthenticated,
            "CALLER_UNKNOWN",
        );
        let admin = service.admin_address().expect("it is open");
        let request = "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let metrics = HttpAnswer::to(admin, request).await.unwrap().body;
        for (cause, count) in [("token_unknown", 2), ("no_token", 1), ("token_expired", 0)] {
            let line = format!("belay_logins_failed_total{{belay_cause=\"{cause}\"}} {count}\n");
            assert!(metrics.contains(&line), "{line} is not in {metrics}");
        }
        service.stop().await;
    });
}
