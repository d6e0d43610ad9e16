use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use belay_domain::actor::{Actor, Role};
use belay_domain::ids::SellerId;
use belay_domain::scope::{Caller, IdFilter, SCOPE_IDS_MAX, Scope};
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::keys::{KEYS_MAX, KID_BYTES_MAX, KeySetError, SET_BYTES_MAX};
use super::testing::{AUDIENCE, ISSUER, Issuer, SigningKey, claims, settings, token_of};
use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Good claims with one thing about them changed.
fn with(key: &str, value: Value) -> Value {
    let mut claims = claims(now(), "ann");
    claims[key] = value;
    claims
}

fn without(key: &str) -> Value {
    let mut claims = claims(now(), "ann");
    claims.as_object_mut().unwrap().remove(key);
    claims
}

fn verify(jwt: &Jwt, token: &str) -> Result<Caller, Cause> {
    let verified = jwt.verify_by_present_keys(token, now());
    verified
        .map(|verified| verified.caller)
        .map_err(|failure| failure.cause)
}

#[test]
fn a_token_stands_for_whom_its_claims_say() {
    let issuer = Issuer::new();
    let jwt = issuer.jwt();
    let ann = Caller::everywhere(Actor::new(Role::Support, "ann"));
    for key in [&issuer.ec, &issuer.rsa] {
        assert_eq!(
            verify(&jwt, &key.sign(&claims(now(), "ann"))),
            Ok(ann.clone())
        );
    }
    let named = issuer.token(&with("belay_actor", json!("desk-7")));
    assert_eq!(verify(&jwt, &named).unwrap().actor.id, "desk-7");
    let mut seller = with("belay_role", json!("SELLER"));
    seller["belay_sellers"] = json!(["acme", "emca"]);
    let sellers = ["acme", "emca"].map(|id| SellerId::parse(id).unwrap());
    let scope = Scope {
        sellers: IdFilter::Only(sellers.into()),
        ..Scope::EVERYTHING
    };
    assert_eq!(
        verify(&jwt, &issuer.token(&seller)),
        Ok(Caller {
            actor: Actor::new(Role::Seller, "ann"),
            scope
        })
    );
    // One of several audiences, as the RFC has it.
    let several = issuer.token(&with("aud", json!(["other", AUDIENCE])));
    assert_eq!(verify(&jwt, &several), Ok(ann));
}

#[test]
fn a_token_that_is_wrong_in_one_thing_is_refused_for_it() {
    let issuer = Issuer::new();
    let jwt = issuer.jwt();
    let good = claims(now(), "ann");
    let other = SigningKey::es256("ec-1");
    let token = issuer.token(&good);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let payload = head.split_once('.').unwrap().1;
    let another = issuer.token(&claims(now(), "bob"));
    let public = issuer.rsa.public();
    let by_public_key = |text: &str| {
        let header = json!({"alg": "HS256", "kid": "rsa-1"});
        let unsigned = token_of(&header, &good, "");
        let mut mac = Hmac::<Sha256>::new_from_slice(text.as_bytes()).unwrap();
        mac.update(unsigned.trim_end_matches('.').as_bytes());
        let signature = mac.finalize().into_bytes();
        format!("{unsigned}{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let ec = |alg: &str| json!({"alg": alg, "kid": "ec-1"});
    let long = "x".repeat(JWT_BYTES_MAX);
    let rows = [
        (
            "unsigned",
            token_of(&ec("none"), &good, ""),
            Cause::AlgorithmRefused,
        ),
        (
            "none, in another case",
            token_of(&ec("NONE"), &good, ""),
            Cause::AlgorithmRefused,
        ),
        (
            "signature cut off",
            format!("{head}."),
            Cause::SignatureWrong,
        ),
        (
            "another token's signature",
            format!("{}.{signature}", another.rsplit_once('.').unwrap().0),
            Cause::SignatureWrong,
        ),
        (
            "another's key of that kid",
            other.sign(&good),
            Cause::SignatureWrong,
        ),
        (
            "HMAC by the modulus",
            by_public_key(public["n"].as_str().unwrap()),
            Cause::AlgorithmRefused,
        ),
        (
            "HMAC by the key's JSON",
            by_public_key(&public.to_string()),
            Cause::AlgorithmRefused,
        ),
        (
            "an algorithm that is not taken",
            token_of(&ec("ES384"), &good, signature),
            Cause::AlgorithmRefused,
        ),
        (
            "an algorithm of another kind of key",
            token_of(&ec("RS256"), &good, signature),
            Cause::AlgorithmRefused,
        ),
        (
            "another kid",
            issuer.ec.sign_as("rsa-1", &good),
            Cause::AlgorithmRefused,
        ),
        (
            "a kid that is not there",
            issuer.ec.sign_as("ec-2", &good),
            Cause::KeyUnknown,
        ),
        (
            "no kid",
            token_of(&json!({"alg": "ES256"}), &good, signature),
            Cause::KeyUnknown,
        ),
        (
            "a key of its own",
            token_of(
                &json!({"alg": "ES256", "jwk": other.public(), "jku": "https://example.org/"}),
                &good,
                signature,
            ),
            Cause::KeyUnknown,
        ),
        (
            "an extension that must be understood",
            token_of(
                &json!({"alg": "ES256", "kid": "ec-1", "crit": ["x"]}),
                &good,
                signature,
            ),
            Cause::TokenMalformed,
        ),
        (
            "a header that is no JSON",
            format!("eyJ.{payload}.{signature}"),
            Cause::TokenMalformed,
        ),
        (
            "another issuer",
            issuer.token(&with("iss", json!("https://example.org/"))),
            Cause::IssuerWrong,
        ),
        (
            "an issuer without its slash",
            issuer.token(&with("iss", json!(ISSUER.trim_end_matches('/')))),
            Cause::IssuerWrong,
        ),
        (
            "several issuers",
            issuer.token(&with("iss", json!([ISSUER, "https://example.org/"]))),
            Cause::IssuerWrong,
        ),
        (
            "no issuer",
            issuer.token(&without("iss")),
            Cause::IssuerWrong,
        ),
        (
            "another audience",
            issuer.token(&with("aud", json!("other"))),
            Cause::AudienceWrong,
        ),
        (
            "other audiences",
            issuer.token(&with("aud", json!(["other", "another"]))),
            Cause::AudienceWrong,
        ),
        (
            "an audience that is no text",
            issuer.token(&with("aud", json!(7))),
            Cause::AudienceWrong,
        ),
        (
            "no audience",
            issuer.token(&without("aud")),
            Cause::AudienceWrong,
        ),
        ("no end", issuer.token(&without("exp")), Cause::ClaimsWrong),
        (
            "an end that is no number",
            issuer.token(&with("exp", json!("4102444800"))),
            Cause::ClaimsWrong,
        ),
        (
            "an end before all time",
            issuer.token(&with("exp", json!(-1))),
            Cause::ClaimsWrong,
        ),
        (
            "a beginning that is no number",
            issuer.token(&with("nbf", json!("now"))),
            Cause::ClaimsWrong,
        ),
        (
            "a time of issue that is no number",
            issuer.token(&with("iat", json!(true))),
            Cause::ClaimsWrong,
        ),
        (
            "more bytes than are read",
            issuer.token(&with("name", json!(long))),
            Cause::TokenTooLarge,
        ),
    ];
    for (what, token, expected) in rows {
        assert_eq!(verify(&jwt, &token), Err(expected), "{what}");
    }
}

#[test]
fn a_scope_that_is_not_written_or_of_an_odd_kind_is_none() {
    let issuer = Issuer::new();
    let jwt = issuer.jwt();
    let mut rows = vec![
        with("sub", json!("auth0|7")),
        with("sub", json!(7)),
        without("sub"),
        with("belay_actor", json!("")),
        without("belay_role"),
        with("belay_role", json!("KING")),
        with("belay_role", json!("support")),
        with("belay_role", json!("SYSTEM")),
        with("belay_role", json!("BUYER")),
        with("belay_role", json!(["SUPPORT"])),
        with("belay_role", json!("SELLER")),
    ];
    for dimension in ["stores", "sellers", "warehouses", "carriers"] {
        let claim = format!("belay_{dimension}");
        rows.push(without(&claim));
        for odd in [
            json!(null),
            json!(true),
            json!(7),
            json!({"a": 1}),
            json!("a"),
            json!("a,b"),
            json!("all"),
            json!("*"),
            json!([]),
            json!([7]),
            json!(["ALL"]),
            json!(["a", "a"]),
            json!(["a b"]),
            json!([["a"]]),
            json!(vec!["a"; SCOPE_IDS_MAX + 1]),
        ] {
            rows.push(with(&claim, odd));
        }
    }
    for claims in rows {
        let found = verify(&jwt, &issuer.token(&claims));
        assert_eq!(found, Err(Cause::ClaimsWrong), "{claims}");
    }
    let many: Vec<String> = (0..SCOPE_IDS_MAX).map(|id| id.to_string()).collect();
    assert!(verify(&jwt, &issuer.token(&with("belay_stores", json!(many)))).is_ok());
}

#[test]
fn the_names_of_claims_begin_as_they_are_told() {
    let issuer = Issuer::new();
    let mut jwt = issuer.jwt();
    jwt.settings.claims_prefix = "https://example.org/".to_owned();
    let mut named = serde_json::Map::new();
    for (key, value) in claims(now(), "ann").as_object().unwrap() {
        named.insert(key.replace("belay_", "https://example.org/"), value.clone());
    }
    assert!(verify(&jwt, &issuer.token(&Value::Object(named))).is_ok());
    let plain = verify(&jwt, &issuer.token(&claims(now(), "ann")));
    assert_eq!(plain, Err(Cause::ClaimsWrong));
}

#[test]
fn the_times_of_a_token_hold_on_both_sides_of_the_leeway() {
    let issuer = Issuer::new();
    let jwt = issuer.jwt();
    let leeway = i64::try_from(LEEWAY_DEFAULT.as_secs()).unwrap();
    let now = now().as_second();
    for (claim, seconds, expected) in [
        ("exp", now - leeway + 1, Ok(())),
        ("exp", now - leeway, Err(Cause::TokenExpired)),
        ("nbf", now + leeway, Ok(())),
        ("nbf", now + leeway + 1, Err(Cause::TokenTooEarly)),
        ("iat", now + leeway, Ok(())),
        ("iat", now + leeway + 1, Err(Cause::TokenTooEarly)),
    ] {
        let found = verify(&jwt, &issuer.token(&with(claim, json!(seconds))));
        assert_eq!(found.map(drop), expected, "{claim} {}", seconds - now);
    }
    // There may be parts of a second.
    let parts = issuer.token(&with("exp", json!(4_102_444_800.5)));
    assert!(verify(&jwt, &parts).is_ok());
}

#[tokio::test]
async fn a_token_is_verified_once_and_counts_until_it_ends_or_its_key_is_taken_back() {
    let issuer = Issuer::new();
    let jwt = issuer.jwt();
    let token = issuer.token(&claims(now(), "ann"));
    assert!(jwt.verified_before(&token, now()).is_none());
    let credential = jwt.verify(&token, now()).await.unwrap();
    let end = now() + jiff::SignedDuration::from_secs(60 + 30);
    assert_eq!(credential.expires, Some(end));
    let before = |at| jwt.verified_before(&token, at).map(|known| known.caller);
    let nearly = end - jiff::SignedDuration::from_nanos(1);
    assert_eq!(before(nearly), Some(credential.caller.clone()));
    assert_eq!(before(end), None);

    let parse = |set: Value| KeySet::parse(set.to_string().as_bytes(), &jwt.settings.algorithms);
    jwt.take(parse(issuer.set()).unwrap());
    assert!(!credential.withdrawn.is_cancelled() && before(now()).is_some());
    // Another key under the same name is another key.
    let other = SigningKey::es256("ec-1");
    jwt.take(parse(json!({"keys": [other.public(), issuer.rsa.public()]})).unwrap());
    assert!(credential.withdrawn.is_cancelled());
    assert_eq!(before(now()), None);
    assert_eq!(
        jwt.verify(&token, now()).await.map(drop).unwrap_err().cause,
        Cause::SignatureWrong
    );
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_there_is_room_for() {
    let issuer = Issuer::new();
    let jwt = issuer.jwt();
    let verified = Verified {
        caller: Caller::everywhere(Actor::new(Role::Support, "ann")),
        expires: now() + jiff::SignedDuration::from_secs(1),
        withdrawn: CancellationToken::new(),
    };
    for number in 0..VERIFIED_MAX {
        jwt.remember(&number.to_string(), &verified, now());
    }
    assert!(jwt.verified_before("0", now()).is_some());
    jwt.remember("one more", &verified, now());
    assert!(jwt.verified_before("one more", now()).is_some());
    assert!(jwt.verified().len() <= VERIFIED_MAX);
}

#[test]
fn a_set_is_taken_with_the_keys_that_can_be_used() {
    let (issuer, algorithms) = (Issuer::new(), settings("ES256,RS256").algorithms);
    let parse = |set: &Value| KeySet::parse(set.to_string().as_bytes(), &algorithms);
    let changed = |key: &str, value: Value| {
        let mut jwk = issuer.ec.public();
        jwk[key] = value;
        jwk
    };
    let mut nameless = issuer.ec.public();
    nameless.as_object_mut().unwrap().remove("kid");
    let weak =
        json!({"kty": "RSA", "kid": "w", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"});
    for odd in [
        nameless,
        weak,
        changed("kid", json!("")),
        changed("kid", json!("x".repeat(KID_BYTES_MAX + 1))),
        changed("use", json!("enc")),
        changed("key_ops", json!(["sign"])),
        changed("alg", json!("ES384")),
        changed("crv", json!("P-384")),
        changed("x", json!("!")),
        changed("kty", json!("XYZ")),
        json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}),
        json!({"kty": "oct", "kid": "s", "alg": "ES256", "k": "c2VjcmV0"}),
        json!(7),
    ] {
        let alone = parse(&json!({"keys": [odd]}));
        assert!(
            matches!(alone, Err(KeySetError::NoneUsable { keys: 1, .. })),
            "{odd}: {alone:?}"
        );
        // It does no harm beside others.
        let beside = parse(&json!({"keys": [odd, issuer.rsa.public()]})).unwrap();
        assert!(beside.get("rsa-1").is_some());
    }
    assert!(parse(&json!({"keys": [changed("kid", json!("x".repeat(KID_BYTES_MAX)))]})).is_ok());
    for malformed in [json!({}), json!([]), json!({"keys": 7}), json!(null)] {
        assert_eq!(parse(&malformed).err(), Some(KeySetError::Malformed));
    }
    let twice = parse(&json!({"keys": [issuer.ec.public(), SigningKey::es256("ec-1").public()]}));
    assert_eq!(twice.err(), Some(KeySetError::KidTwice("ec-1".to_owned())));
    let many = |count: usize| {
        let keys: Vec<Value> = (0..count)
            .map(|number| changed("kid", json!(number.to_string())))
            .collect();
        parse(&json!({"keys": keys}))
    };
    assert!(many(KEYS_MAX).is_ok());
    assert_eq!(
        many(KEYS_MAX + 1).err(),
        Some(KeySetError::TooMany(KEYS_MAX + 1))
    );
}

#[test]
fn a_source_is_a_file_or_a_url_that_nobody_can_forge() {
    for (text, is_url) in [
        ("/etc/belay/jwks.json", false),
        ("jwks.json", false),
        ("https://issuer.example.org/keys", true),
        ("http://127.0.0.1:8080/keys", true),
        ("http://[::1]/keys", true),
        ("http://localhost/keys", true),
    ] {
        let source: KeySource = text.parse().unwrap();
        assert_eq!(matches!(source, KeySource::Url(_)), is_url, "{text}");
    }
    for odd in [
        "http://issuer.example.org/keys",
        "http://127.0.0.1.example.org/keys",
        "http://10.0.0.1/keys",
        "ftp://example.org/keys",
        "https://user:password@example.org/keys",
        "https://",
        &format!(
            "https://example.org/{}",
            "x".repeat(super::source::URL_BYTES_MAX)
        ),
    ] {
        assert!(odd.parse::<KeySource>().is_err(), "{odd}");
    }
}

#[tokio::test]
async fn a_file_of_keys_is_bounded_and_belongs_to_nobody_else() {
    let path = std::env::temp_dir().join(format!("belay-jwks-{}.json", crate::ids::request_id()));
    let (issuer, settings) = (Issuer::new(), settings("ES256"));
    let source = KeySource::File(path.clone());
    let read = async || {
        let read = source.read(&settings.algorithms).await;
        read.map(drop).map_err(|error| error.to_string())
    };
    assert!(read().await.unwrap_err().contains("cannot be opened"));
    let set = issuer.set().to_string();
    let padding = " ".repeat(SET_BYTES_MAX - set.len());
    fs::write(&path, format!("{set}{padding}")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read().await, Ok(()));
    fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    assert!(read().await.unwrap_err().contains("may be written by"));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, format!("{set}{padding} ")).unwrap();
    assert!(read().await.unwrap_err().contains("at most 262144 bytes"));
    fs::remove_file(&path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn reads_of_the_keys_are_counted_by_how_they_went() {
    let path = std::env::temp_dir().join(format!("belay-jwks-{}.json", crate::ids::request_id()));
    let write = |issuer: &Issuer| {
        fs::write(&path, issuer.set().to_string()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    };
    write(&Issuer::new());
    let source = KeySource::File(path.clone());
    let interval = source.interval(REFRESH_DEFAULT);
    let jwt = Jwt::start(settings("ES256"), source).await.unwrap();
    let metrics = Metrics::new();
    let mut keeping = std::pin::pin!(jwt.keep_fresh(&metrics));
    let mut until_counted = async |outcome: &str| {
        let none = format!("belay_jwt_keys_reads_total{{belay_outcome=\"{outcome}\"}} 0\n");
        while metrics.text().unwrap().contains(&none) {
            tokio::select! {
                () = &mut keeping => unreachable!("it has no end"),
                () = tokio::time::sleep(interval) => {}
            }
        }
    };
    until_counted("unchanged").await;
    write(&Issuer::new());
    until_counted("changed").await;
    fs::remove_file(&path).unwrap();
    until_counted("failed").await;
}
