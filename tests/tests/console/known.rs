//! Who is let in at the console, how it is kept, and what every answer says to the browser.

use std::sync::Arc;

use belay_client::{RequestId, Role};
use belay_server::auth::failed_logins::FailedLogins;
use belay_server::auth::jwt::{Jwt, JwtSettings, KeySource, REFRESH_DEFAULT};
use belay_server::auth::key_file::KeyFile;
use belay_server::auth::{Authentication, Credentials};
use belay_server::console::COOKIE_BYTES_MAX;
use belay_server::telemetry::Telemetry;
use belay_server::telemetry::audit::{AuditLog, AuditTarget};
use belay_tests::console::{Visitor, set_cookie, with_console};
use belay_tests::credentials::{ACME, AUDIENCE, ISSUER, Issuer, KeyFileOnDisk, NEXT, WEB, callers};
use belay_tests::process::HttpAnswer;
use belay_tests::{TestServer, run};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::visitor;

/// What an answer has in its head, each a line of it.
const HEADERS: &[&str] = &[
    "content-security-policy: default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options: nosniff",
    "referrer-policy: same-origin",
    "x-frame-options: deny",
    "cross-origin-opener-policy: same-origin",
    "cross-origin-resource-policy: same-origin",
];

#[test]
fn every_answer_forbids_scripts_frames_and_keeping() {
    run(async |t| {
        t.place("A-1").await;
        let service = with_console(t, false, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        for page in [
            "",
            "sign-in",
            "orders?store=shop",
            "order?store=shop&id=A-1",
            "order?store=shop&id=NONE",
            "nothing",
        ] {
            let answer = support.get(&format!("/console/{page}")).await;
            for header in HEADERS {
                assert!(
                    answer.head.contains(header),
                    "{page}: {header}: {}",
                    answer.head
                );
            }
            assert!(
                answer.head.contains("cache-control: no-store"),
                "{page}: {}",
                answer.head
            );
            assert!(
                !answer.body.contains("<script") && !answer.body.contains(" style="),
                "{page}"
            );
        }
        // What says nothing of anybody may be kept.
        let style = Visitor::to(&service).get("/console/style.css").await;
        assert!(style.head.contains("content-type: text/css"), "{style:?}");
        assert!(style.head.contains("cache-control: public"), "{style:?}");
        assert!(style.head.contains(HEADERS[0]), "{style:?}");
        service.stop().await;
    });
}

#[test]
fn one_signs_in_and_out_and_goes_where_one_wanted() {
    run(async |t| {
        t.place("A-1").await;
        let service = with_console(t, false, |_| {}).await;
        let nobody = Visitor::to(&service);
        let asked = "/console/order?store=shop&id=A-1";
        let sent = nobody.get(asked).await;
        assert_eq!(sent.status, 303);
        assert!(
            sent.original
                .contains("location: /console/sign-in?next=%2Fconsole%2Forder%3Fstore"),
            "{sent:?}"
        );
        let form = nobody
            .page("/console/sign-in?next=%2Fconsole%2Forder%3Fstore%3Dshop%26id%3DA-1")
            .await;
        assert!(
            form.contains("value=\"/console/order?store=shop&amp;id=A-1\""),
            "{form}"
        );

        let entered = nobody
            .post(
                "/console/sign-in",
                "role=SUPPORT&actor=sam&next=%2Fconsole%2Forder%3Fstore%3Dshop%26id%3DA-1",
            )
            .await;
        assert_eq!(entered.status, 303);
        assert!(
            entered.original.contains(&format!("location: {asked}")),
            "{entered:?}"
        );
        let cookie =
            "belay-console=role=SUPPORT&actor=sam; Path=/console; HttpOnly; SameSite=Strict\r\n";
        assert!(
            format!("{}\r\n", entered.original).contains(cookie),
            "{entered:?}"
        );
        let support = Visitor {
            cookie: set_cookie(&entered),
            ..nobody.clone()
        };
        assert!(support.page(asked).await.contains("SUPPORT"));

        let left = support.post("/console/sign-out", "").await;
        assert_eq!(left.status, 303);
        for name in ["belay-console=;", "__Host-belay-console=;"] {
            assert!(left.original.contains(name), "{left:?}");
        }
        assert_eq!(left.original.matches("Max-Age=0").count(), 2);
        service.stop().await;
    });
}

#[test]
fn one_signs_in_with_what_there_is_and_goes_on_in_the_console_alone() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let nobody = Visitor::to(&service);
        // Not to anywhere else.
        let form = "role=SUPPORT&next=%2F%2Fevil.example";
        let entered = nobody.post("/console/sign-in", form).await;
        assert!(
            entered.original.contains("location: /console/\r\n"),
            "{entered:?}"
        );
        // A role is to be chosen, and one that there is.
        assert_eq!(
            nobody.post("/console/sign-in", "actor=sam").await.status,
            400
        );
        let king = nobody.post("/console/sign-in", "role=KING").await;
        assert!(
            king.status >= 400 && set_cookie(&king).is_none(),
            "{king:?}"
        );
        service.stop().await;
    });
}

#[test]
fn a_form_counts_only_from_a_page_of_the_console() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let nobody = Visitor::to(&service);
        let own = format!("http://{}", nobody.admin);
        let send = async |path: &str, headers: &[(&str, &str)]| {
            nobody.ask("POST", path, headers, "role=SUPPORT").await
        };
        for path in ["/console/sign-in", "/console/sign-out"] {
            for odd in [
                &[][..],
                &[("origin", "null")],
                &[("origin", "http://evil.example")],
                &[("origin", &own), ("sec-fetch-site", "cross-site")],
                &[("origin", "http://evil.example"), ("referer", &own)],
            ] {
                let answer = send(path, odd).await;
                assert_eq!(answer.status, 403, "{path} {odd:?}: {answer:?}");
                assert!(!answer.head.contains("set-cookie"), "{path} {odd:?}");
            }
        }
        // By TLS that ends before: the browser says so, and the cookie stays with it.
        let by_tls = [
            ("origin", "https://console.example"),
            ("sec-fetch-site", "same-origin"),
        ];
        let entered = send("/console/sign-in", &by_tls).await;
        let cookie = "__Host-belay-console=role=SUPPORT; Path=/; Secure; HttpOnly; SameSite=Strict";
        assert!(entered.original.contains(cookie), "{entered:?}");
        service.stop().await;
    });
}

#[test]
fn where_anybody_is_believed_only_this_machine_is_answered() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let admin = Visitor::to(&service).admin;
        for (host, status) in [
            ("localhost", 200),
            ("127.0.0.1:80", 200),
            ("evil.example", 421),
            ("10.0.0.1", 421),
        ] {
            let request = format!("GET /console/sign-in HTTP/1.1\r\nhost: {host}\r\n\r\n");
            let answer = HttpAnswer::to(admin, &request).await.expect("an answer");
            assert_eq!(answer.status, status, "{host}");
        }
        service.stop().await;
    });
}

async fn with_credentials(
    t: &TestServer,
    file: &KeyFileOnDisk,
    jwt: Option<Jwt>,
) -> belay_tests::instance::Service {
    let credentials = Credentials {
        key_file: Some(Arc::new(KeyFile::open(&file.0).expect("a good file"))),
        jwt: jwt.map(Arc::new),
        failed_logins: FailedLogins::default(),
    };
    with_console(t, false, |settings| {
        settings.authentication = Authentication::Credentials(Arc::new(credentials));
    })
    .await
}

#[test]
fn a_secret_lets_in_until_it_is_withdrawn_and_what_fails_is_counted() {
    run(async |t| {
        t.place("A-1").await;
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB, NEXT]));
        let service = with_credentials(t, &file, None).await;
        let nobody = Visitor::to(&service);
        assert!(
            nobody
                .page("/console/sign-in")
                .await
                .contains("type=\"password\"")
        );
        let failed = |text: &str| {
            let lines = text
                .lines()
                .filter(|line| line.starts_with("belay_logins_failed"));
            let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            counts.sum::<f64>()
        };
        assert_eq!(failed(&nobody.get("/metrics").await.body), 0.0);
        let wrong = format!("token={}", "x".repeat(40));
        let refused = nobody.post("/console/sign-in", &wrong).await;
        assert_eq!(refused.status, 401);
        assert!(
            !refused.head.contains("set-cookie") && !refused.body.contains("xxxx"),
            "{refused:?}"
        );
        // Roles are not believed here.
        assert_eq!(
            nobody
                .post("/console/sign-in", "role=OPERATOR")
                .await
                .status,
            400
        );
        assert_eq!(failed(&nobody.get("/metrics").await.body), 1.0);

        let acme = nobody.clone().signed_in(&format!("token={ACME}")).await;
        let page = acme.page("/console/order?store=shop&id=A-1").await;
        assert!(
            page.contains("SELLER") && page.contains("sees sellers acme"),
            "{page}"
        );
        assert!(!page.contains(ACME), "it is told nowhere");
        let headers = [("belay-role", "OPERATOR"), ("authorization", "Bearer x")];
        let page = acme.ask("GET", "/console/", &headers, "").await;
        assert!(
            page.body.contains("SELLER"),
            "the cookie alone counts: {page:?}"
        );

        // A tail ends with its session, and the next page asks who it is.
        let web = nobody.clone().signed_in(&format!("token={WEB}")).await;
        let mut tail = super::bounds::Tail::open(&web, "/console/feed?store=shop").await;
        tail.until("Events as they come").await;
        file.write(&callers("[shop]", &[NEXT]));
        let rest = tail.end().await;
        assert!(rest.contains("Go on from here"), "{rest}");
        let gone = web.get("/console/").await;
        assert_eq!(gone.status, 303);
        assert!(gone.original.contains("Max-Age=0"), "{gone:?}");
        service.stop().await;
    });
}

#[test]
fn a_token_of_an_issuer_lets_in_if_a_browser_can_keep_it() {
    run(async |t| {
        let file = KeyFileOnDisk::new();
        file.write(&callers("[shop]", &[WEB]));
        let issuer = Issuer::start().await;
        let settings = JwtSettings {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            algorithms: "ES256".parse().expect("an algorithm"),
            leeway: std::time::Duration::ZERO,
            refresh: REFRESH_DEFAULT,
            claims_prefix: "belay_".to_owned(),
        };
        let source: KeySource = issuer.url().parse().expect("a URL");
        let jwt = Jwt::start(settings, source).await.expect("a set");
        let service = with_credentials(t, &file, Some(jwt)).await;
        let nobody = Visitor::to(&service);
        let token = issuer.token("acme", now() + SignedDuration::from_hours(1));
        let acme = nobody.clone().signed_in(&format!("token={token}")).await;
        assert!(acme.page("/console/").await.contains("desk-of-acme"));
        let expired = issuer.token("acme", now() - SignedDuration::from_hours(1));
        let refused = nobody
            .post("/console/sign-in", &format!("token={expired}"))
            .await;
        assert_eq!(refused.status, 401);
        // The bytes of the name of the field count.
        for (bytes, status) in [(COOKIE_BYTES_MAX, 401), (COOKIE_BYTES_MAX + 1, 400)] {
            let form = format!("token={}", "x".repeat(bytes - "token=".len()));
            let answer = nobody.post("/console/sign-in", &form).await;
            assert_eq!(answer.status, status, "{bytes} bytes: {}", answer.body);
        }
        service.stop().await;
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "an issuer goes by the wall clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

#[test]
fn behind_a_proxy_its_headers_say_who_looks_and_nobody_signs_in() {
    run(async |t| {
        t.place("A-1").await;
        let service = with_console(t, false, |settings| {
            settings.authentication = Authentication::TrustedHeaders;
        })
        .await;
        let nobody = Visitor::to(&service);
        let page = "/console/order?store=shop&id=A-1";
        let as_role = async |role: &str| {
            let headers = [("belay-role", role), ("belay-actor", "acme")];
            nobody.ask("GET", page, &headers, "").await
        };
        let seller = as_role("SELLER").await;
        assert_eq!(seller.status, 200, "{seller:?}");
        assert!(
            !seller.body.contains("Sign out"),
            "there is nothing to leave"
        );
        assert!(as_role("KING").await.status >= 400);
        assert!(nobody.get(page).await.status >= 400);
        let chosen = nobody.post("/console/sign-in", "role=OPERATOR").await;
        assert_eq!(chosen.status, 400);
        let cookie = Some("belay-console=role=OPERATOR".to_owned());
        let own = Visitor {
            cookie,
            ..nobody.clone()
        };
        assert!(
            own.get(page).await.status >= 400,
            "a cookie counts for nothing"
        );
        service.stop().await;
    });
}

#[test]
fn reads_of_personal_data_have_their_records() {
    run(async |t| {
        t.place("A-1").await;
        let file = std::env::temp_dir().join(format!("belay-audit-{}", RequestId::mint()));
        let log = AuditLog::start(&AuditTarget::File(file.clone())).expect("a file");
        let telemetry = Telemetry::local().auditing(log.audit());
        let service = with_console(t, false, |settings| settings.telemetry = telemetry).await;
        let support = Visitor::in_role(&service, Role::Support, "&sellers=acme").await;
        support.page("/console/order?store=shop&id=A-1").await;
        assert_eq!(
            support
                .get("/console/order?store=shop&id=NONE")
                .await
                .status,
            404
        );
        service.stop().await;
        drop(log);
        let text = std::fs::read_to_string(&file).expect("the log");
        std::fs::remove_file(&file).expect("it was there");
        let records: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let of = |order: &str| {
            let method = "belay.v1.OrderService/GetOrder";
            let is_it = |record: &&Value| record["method"] == method && record["order"] == order;
            records
                .iter()
                .find(is_it)
                .unwrap_or_else(|| panic!("{order}: {text}"))
                .clone()
        };
        let read = of("A-1");
        assert_eq!(read["access"], "READ");
        assert_eq!(
            (&read["role"], &read["actor"]),
            (&"SUPPORT".into(), &"somebody".into())
        );
        assert_eq!(read["scope"]["sellers"]["only"][0], "acme");
        assert!(
            read["peer"]
                .as_str()
                .is_some_and(|peer| peer.starts_with("127.0.0.1:")),
            "{read}"
        );
        assert_eq!(of("NONE")["reason"], "ORDER_NOT_FOUND");
    });
}
