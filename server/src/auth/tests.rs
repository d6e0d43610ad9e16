use std::net::SocketAddr;

use belay_domain::actor::Role::{Auditor, Operator, Seller, Support};
use belay_domain::actor::{Actor, Role};
use belay_domain::scope::Caller;

use super::jwt::testing::{Issuer, claims};
use super::key_file::hash_secret;
use super::peer::PeerName;
use super::*;
use crate::trusted_file::Scratch;

const SECRET: &str = "9f1c7a40d2e85b36c04be7d19a6f3582";
const BOUND: &str = "5be07d91f3a2c68e4d10b7a9c3f8e265";
const EXPIRING: &str = "c81f6e03b97a4d25e0f6a1c94b7d3825";

fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
    entries
        .iter()
        .map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap()))
        .collect()
}

fn bearer(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

fn peer(names: &[&str]) -> Peer {
    Peer {
        address: SocketAddr::from(([192, 0, 2, 1], 7)),
        names: names
            .iter()
            .map(|name| PeerName::parse(name).unwrap())
            .collect(),
    }
}

/// One caller by secret or certificate, one by both, one by certificates alone, one whose secret
/// expires.
fn key_file() -> Scratch {
    let line = |secret| hash_secret(secret).unwrap();
    let all = "stores: ALL, sellers: ALL, warehouses: ALL, carriers: ALL";
    Scratch::holding(&format!(
        "callers:
  - {{id: either, role: AUDITOR, {all}, secrets: ['{}'], certificates: ['dns:either.example.org']}}
  - {{id: both, role: SUPPORT, {all}, secrets: ['{}'], certificates: ['spiffe://example.org/both'], require_both: true}}
  - {{id: mesh, role: OPERATOR, {all}, certificates: ['dns:mesh.example.org', 'dns:mesh2.example.org']}}
  - {{id: old, role: AUDITOR, {all}, secrets: [{{hash: '{}', expires: '2026-03-01T00:00:00Z'}}]}}
",
        line(SECRET),
        line(BOUND),
        line(EXPIRING)
    ))
}

fn open(file: &Scratch) -> Arc<KeyFile> {
    Arc::new(KeyFile::open(&file.0).unwrap())
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

#[tokio::test]
async fn a_caller_is_whom_the_headers_name_where_they_are_believed() {
    let (nobody, ann) = (
        headers(&[]),
        headers(&[("belay-role", "SUPPORT"), ("belay-actor", "ann")]),
    );
    let metrics = Metrics::new();
    let by = async |way: Authentication, headers: &HeaderMap| {
        let login = authenticate(&way, headers, None, &metrics).await;
        login.map(|login| login.caller)
    };
    let dev = Authentication::Dev;
    assert_eq!(
        by(dev.clone(), &nobody).await.unwrap(),
        Caller::everywhere(Actor::new(Operator, "dev"))
    );
    let support = Caller::everywhere(Actor::new(Support, "ann"));
    assert_eq!(by(dev.clone(), &ann).await.unwrap(), support);
    let seller = headers(&[("belay-role", "seller")]);
    assert_eq!(
        by(dev, &seller).await.unwrap(),
        Caller::everywhere(Actor::new(Seller, ""))
    );
    let proxy = Authentication::TrustedHeaders;
    assert!(matches!(
        by(proxy.clone(), &nobody).await,
        Err(CallError::RoleUnknown { .. })
    ));
    assert_eq!(by(proxy, &ann).await.unwrap(), support);
}

#[tokio::test]
async fn a_caller_is_known_by_token_by_certificate_or_by_both() {
    let file = key_file();
    let credentials = Credentials {
        key_file: Some(open(&file)),
        jwt: None,
        failed_logins: FailedLogins::default(),
    };
    let either = Ok((Auditor, "either"));
    let both = Ok((Support, "both"));
    let mesh = Ok((Operator, "mesh"));
    let one = &["dns:either.example.org"][..];
    let bound = &["spiffe://example.org/both"][..];
    let strange = &["dns:sidecar.example.org"][..];
    type Found = Result<(Role, &'static str), Cause>;
    let rows: [(Option<&str>, &[&str], Found); 17] = [
        (Some(SECRET), &[], either),
        (None, one, either),
        (Some(SECRET), one, either),
        (Some(SECRET), strange, either),
        (Some(SECRET), bound, Err(Cause::CallersDiffer)),
        (Some(BOUND), bound, both),
        (Some(BOUND), &[], Err(Cause::CertificateMissing)),
        (Some(BOUND), strange, Err(Cause::CertificateMissing)),
        (None, bound, Err(Cause::NoToken)),
        (Some(BOUND), one, Err(Cause::CallersDiffer)),
        (None, &["dns:mesh.example.org"], mesh),
        (
            None,
            &["dns:mesh.example.org", "dns:mesh2.example.org"],
            mesh,
        ),
        (
            None,
            &["dns:mesh.example.org", "dns:either.example.org"],
            Err(Cause::CallersDiffer),
        ),
        (None, &[], Err(Cause::NoToken)),
        (None, strange, Err(Cause::NoToken)),
        (Some("unknown"), &[], Err(Cause::TokenUnknown)),
        // A certificate does not make up for a token that is wrong.
        (Some("unknown"), one, Err(Cause::TokenUnknown)),
    ];
    for (token, names, expected) in rows {
        let headers = token.map(bearer).unwrap_or_default();
        let (peer, now) = (peer(names), at("2026-01-01T00:00:00Z"));
        let login = credentials.login(&headers, Some(&peer), now).await;
        let found = login.map_err(|failure| failure.cause);
        let found = found.map(|login| (login.caller.actor.role, login.caller.actor.id));
        let expected = expected.map(|(role, id)| (role, id.to_owned()));
        assert_eq!(found, expected, "{token:?} {names:?}");
    }
    let twice = headers(&[("authorization", "Basic abc")]);
    let refused = credentials
        .login(&twice, None, at("2026-01-01T00:00:00Z"))
        .await;
    assert_eq!(refused.unwrap_err().cause, Cause::TokenMalformed);
}

#[tokio::test]
async fn a_secret_counts_until_it_expires() {
    let file = key_file();
    let credentials = Credentials {
        key_file: Some(open(&file)),
        jwt: None,
        failed_logins: FailedLogins::default(),
    };
    let login = async |now| {
        let login = credentials.login(&bearer(EXPIRING), None, at(now)).await;
        login.map(drop).map_err(|failure| failure.cause)
    };
    assert_eq!(login("2026-02-28T23:59:59.999Z").await, Ok(()));
    assert_eq!(
        login("2026-03-01T00:00:00Z").await,
        Err(Cause::TokenExpired)
    );
}

#[tokio::test]
async fn a_key_file_and_an_issuer_know_their_callers_side_by_side() {
    let (file, issuer) = (key_file(), Issuer::new());
    let now = at("2026-01-01T00:00:00Z");
    let credentials = Credentials {
        key_file: Some(open(&file)),
        jwt: Some(Arc::new(issuer.jwt())),
        failed_logins: FailedLogins::default(),
    };
    let login = async |token: &str, names: &[&str]| {
        let login = credentials
            .login(&bearer(token), Some(&peer(names)), now)
            .await;
        let login = login.map_err(|failure| failure.cause)?;
        Ok::<_, Cause>(login.caller.actor.id)
    };
    let ann = issuer.token(&claims(now, "ann"));
    assert_eq!(login(SECRET, &[]).await.as_deref(), Ok("either"));
    assert_eq!(login(&ann, &[]).await.as_deref(), Ok("ann"));
    assert_eq!(
        login(&ann, &["dns:mesh.example.org"]).await,
        Err(Cause::CallersDiffer)
    );
    assert_eq!(login("no.jwt.", &[]).await, Err(Cause::TokenUnknown));
}

// Time stands still: failures are forgotten with it.
#[tokio::test(start_paused = true)]
async fn an_address_with_too_many_failures_has_no_more_tokens_verified() {
    let (file, issuer) = (key_file(), Issuer::new());
    let now = wall_time();
    let credentials = Arc::new(Credentials {
        key_file: Some(open(&file)),
        jwt: Some(Arc::new(issuer.jwt())),
        failed_logins: FailedLogins::new(failed_logins::FAILURES_MIN),
    });
    let way = Authentication::Credentials(credentials);
    let metrics = Metrics::new();
    let here = peer(&[]);
    let login = async |token: &str, peer: &Peer| {
        let login = authenticate(&way, &bearer(token), Some(peer), &metrics).await;
        login.map(|login| login.caller.actor.id)
    };
    let (ann, bob) = (
        issuer.token(&claims(now, "ann")),
        issuer.token(&claims(now, "bob")),
    );
    assert_eq!(login(&ann, &here).await.as_deref(), Ok("ann"));
    for _ in 0..failed_logins::FAILURES_MIN {
        assert_eq!(login("wrong", &here).await, Err(CallError::CallerUnknown));
    }
    assert_eq!(login(&bob, &here).await, Err(CallError::Overloaded));
    assert_eq!(login("wrong", &here).await, Err(CallError::CallerUnknown));
    // What costs nothing goes on: secrets, and tokens that are known.
    assert_eq!(login(&ann, &here).await.as_deref(), Ok("ann"));
    assert_eq!(login(SECRET, &here).await.as_deref(), Ok("either"));
    let mut there = peer(&[]);
    there.address = SocketAddr::from(([192, 0, 2, 2], 7));
    assert_eq!(login(&bob, &there).await.as_deref(), Ok("bob"));
    let told = metrics.text().unwrap();
    for (cause, count) in [("token_unknown", 11), ("throttled", 1), ("no_token", 0)] {
        let line = format!("belay_logins_failed_total{{belay_cause=\"{cause}\"}} {count}");
        assert!(told.contains(&line), "{line} is not in {told}");
    }
}
