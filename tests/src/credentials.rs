//! Credentials of callers: a key file on disk, and an issuer of tokens with its set of keys.

use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use belay_client::RequestId;
use belay_server::auth::key_file::hash_secret;
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub const WEB: &str = "web-9f1c7a40d2e85b36c04be7d19a6f3582";
pub const ACME: &str = "acme-5be07d91f3a2c68e4d10b7a9c3f8e265";
pub const NEXT: &str = "next-c81f6e03b97a4d25e0f6a1c94b7d3825";
pub const ISSUER: &str = "https://issuer.example.org/";
pub const AUDIENCE: &str = "belay";

/// A key file that goes with the test.
#[derive(Debug)]
pub struct KeyFileOnDisk(pub PathBuf);

impl KeyFileOnDisk {
    #[expect(
        clippy::new_without_default,
        reason = "it takes a name in the file system"
    )]
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("belay-callers-{}.yaml", RequestId::mint())))
    }

    pub fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file can be written");
        let own = Permissions::from_mode(0o600);
        fs::set_permissions(&self.0, own).expect("it is this user's");
    }
}

impl Drop for KeyFileOnDisk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A key file with a storefront of these stores that has these secrets, and the seller acme.
pub fn callers(stores: &str, web: &[&str]) -> String {
    let line = |secret: &&str| hash_secret(secret).expect("it is a good one");
    let web: Vec<String> = web.iter().map(line).collect();
    let acme = line(&ACME);
    format!(
        "callers:
  - {{id: web, role: STOREFRONT, stores: {stores}, sellers: ALL, warehouses: ALL, carriers: ALL, secrets: [{}]}}
  - {{id: acme, role: SELLER, stores: ALL, sellers: [acme], warehouses: ALL, carriers: ALL, secrets: [{acme}]}}
",
        web.join(", ")
    )
}

/// An issuer of tokens, which signs by its newest key.
pub struct Issuer {
    keys: Vec<(String, EncodingKey)>,
    /// What its server answers.
    set: Arc<Mutex<String>>,
    url: String,
    _server: JoinSet<()>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// One with a key, whose set is to be had at its URL.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let set = Arc::new(Mutex::new(String::new()));
        let mut server = JoinSet::new();
        let answers = set.clone();
        server.spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                // The request fits into one read, and is always the same.
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let body = answers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        let mut issuer = Self {
            keys: Vec::new(),
            set,
            url: format!("http://{address}/keys"),
            _server: server,
        };
        issuer.add_key();
        issuer.publish();
        issuer
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Signs by another key from here on, which is not in its set yet.
    pub fn add_key(&mut self) {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let key = EncodingKey::from_ec_der(pair.expect("a key").as_ref());
        self.keys.push((format!("key-{}", self.keys.len()), key));
    }

    /// Puts all its keys into its set.
    pub fn publish(&self) {
        let public = |(kid, key): &(String, EncodingKey)| {
            let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).expect("a key");
            jwk.common.key_id = Some(kid.clone());
            jwk
        };
        let keys: Vec<Jwk> = self.keys.iter().map(public).collect();
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) =
            json!({"keys": keys}).to_string();
    }

    /// A token of this seller, until then.
    pub fn token(&self, seller: &str, expires: Timestamp) -> String {
        self.sign(&json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": format!("desk-of-{seller}"),
            "exp": expires.as_second(),
            "belay_role": "SELLER",
            "belay_stores": "ALL",
            "belay_sellers": [seller],
            "belay_warehouses": "ALL",
            "belay_carriers": "ALL",
        }))
    }

    pub fn sign(&self, claims: &Value) -> String {
        let (kid, key) = self.keys.last().expect("it has one");
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.clone());
        encode(&header, claims, key).expect("it can be signed")
    }
}
