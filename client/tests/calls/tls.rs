//! TLS: whom the client trusts, how it shows who it is, and what a wrong scheme is told as.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use belay_client::{Belay, BelayBuilder, Error, Kind, RetryPolicy};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::support::{Fake, Step};

/// An authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key.
    fn certify(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, name: &str) -> ServerTlsConfig {
        let (certificate, key) = self.certify(name);
        ServerTlsConfig::new().identity(Identity::from_pem(certificate, key))
    }
}

async fn list(builder: BelayBuilder) -> Result<(), Error> {
    let belay = builder.retry(RetryPolicy::never()).build()?;
    belay.store("demo").list_cancellations().await?;
    Ok(())
}

/// The message of a connection that could not be made.
async fn refused(builder: BelayBuilder) -> String {
    let error = list(builder).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    error.message().to_owned()
}

#[tokio::test]
async fn a_server_is_believed_by_the_roots_that_are_trusted() {
    let (ours, others) = (Authority::new(), Authority::new());
    let fake = Fake::start_tls([Step::Answer], ours.server("127.0.0.1")).await;
    list(fake.builder().tls_roots(ours.pem())).await.unwrap();
    // Several roots, and several in one text.
    let both = format!("{}{}", others.pem(), ours.pem());
    list(fake.builder().tls_roots(both)).await.unwrap();
    let both = fake.builder().tls_roots(others.pem());
    list(both.tls_roots(ours.pem())).await.unwrap();
    assert_eq!(fake.script.seen().len(), 3);

    let distrusted = refused(fake.builder().tls_roots(others.pem())).await;
    assert!(distrusted.starts_with(fake.address()), "{distrusted}");
    assert!(distrusted.contains("UnknownIssuer"), "{distrusted}");
    // The machine's own roots do not know it either.
    refused(fake.builder()).await;
    assert_eq!(fake.script.seen().len(), 3);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed() {
    let ours = Authority::new();
    let fake = Fake::start_tls([Step::Answer], ours.server("belay.example")).await;
    let roots = || fake.builder().tls_roots(ours.pem());
    let other = refused(roots()).await;
    assert!(other.contains("not valid for name"), "{other}");
    list(roots().tls_server_name("belay.example"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_asks_who_calls_is_shown_a_certificate() {
    let (ours, others) = (Authority::new(), Authority::new());
    let server = ours.server("127.0.0.1");
    let server = server.client_ca_root(Certificate::from_pem(ours.pem()));
    let fake = Fake::start_tls([Step::Answer], server).await;
    let roots = || fake.builder().tls_roots(ours.pem());
    let identity = |(certificate, key): (String, String)| roots().tls_identity(certificate, key);
    refused(roots()).await;
    refused(identity(others.certify("web"))).await;
    assert_eq!(fake.script.seen().len(), 0);
    list(identity(ours.certify("web"))).await.unwrap();
}

#[tokio::test]
async fn a_wrong_scheme_is_told_as_one() {
    let ours = Authority::new();
    let plain = Fake::start([Step::Answer]).await;
    let address = plain.address().replace("http://", "https://");
    let message = refused(Belay::builder(address).tls_roots(ours.pem())).await;
    assert!(message.contains("http:// instead of https://"), "{message}");

    // The other way round the server only hangs up.
    let tls = Fake::start_tls([Step::Answer], ours.server("127.0.0.1")).await;
    let address = tls.address().replace("https://", "http://");
    let message = refused(Belay::builder(&address)).await;
    assert!(message.starts_with(&address), "{message}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_before_the_first_call() {
    let ours = Authority::new();
    let (certificate, key) = ours.certify("web");
    let https = || Belay::builder("https://127.0.0.1:1");
    for wrong in [
        Belay::builder("http://127.0.0.1:1").tls_roots(ours.pem()),
        Belay::builder("http://127.0.0.1:1").tls_server_name("belay.example"),
        https().tls_roots("no certificate"),
        https().tls_identity("no certificate", key.clone()),
        https().tls_identity(certificate, "no key"),
        https().tls_server_name("no name"),
    ] {
        let told = format!("{wrong:?}");
        assert!(!told.contains(&key), "{told}");
        let error = wrong.build().unwrap_err();
        assert_eq!(error.kind(), Kind::Setup, "{told}: {error}");
    }
}

/// A file in a folder of this test's own.
fn pem_file(name: &str, pem: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("belay-{}-{name}", std::process::id()));
    std::fs::write(&path, pem).unwrap();
    path
}

#[tokio::test]
async fn roots_that_are_replaced_are_believed_without_another_client() {
    let (ours, others) = (Authority::new(), Authority::new());
    let fake = Fake::start_tls([Step::Answer, Step::Answer], ours.server("127.0.0.1")).await;
    let roots = pem_file("roots", &others.pem());
    let builder = fake.builder().retry(RetryPolicy::never());
    let builder = builder.tls_roots_file(&roots).look_every(Duration::ZERO);
    let belay = builder.build().unwrap();
    let list = async || belay.store("demo").list_cancellations().await;
    let error = list().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    // Of another length, for times of files are coarse.
    std::fs::write(&roots, format!("{}\n\n", ours.pem())).unwrap();
    list().await.unwrap();
    // What cannot be read leaves connections as they are.
    std::fs::write(&roots, "no certificate").unwrap();
    list().await.unwrap();
    std::fs::remove_file(&roots).unwrap();
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_and_no_call_notices() {
    let ours = Authority::new();
    let server = ours
        .server("127.0.0.1")
        .client_ca_root(Certificate::from_pem(ours.pem()));
    let fake = Fake::start_tls(std::iter::repeat_n(Step::Answer, 400), server).await;
    let (certificate, key) = ours.certify("web");
    let files = (pem_file("certificate", &certificate), pem_file("key", &key));
    let builder = fake.builder().retry(RetryPolicy::never());
    let builder = builder.tls_roots(ours.pem()).look_every(Duration::ZERO);
    let belay = builder
        .tls_identity_files(&files.0, &files.1)
        .build()
        .unwrap();
    let calls = async {
        for _ in 0..20 {
            let some = (0..20).map(|_| async {
                belay.store("demo").list_cancellations().await.unwrap();
            });
            futures_util::future::join_all(some).await;
        }
    };
    let replace = async {
        for number in 0..10 {
            let (certificate, key) = ours.certify(&format!("web-{number}"));
            std::fs::write(&files.0, certificate).unwrap();
            tokio::task::yield_now().await;
            std::fs::write(&files.1, key).unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(calls, replace);
    assert_eq!(fake.script.seen().len(), 400);
    std::fs::remove_file(&files.0).unwrap();
    std::fs::remove_file(&files.1).unwrap();
}
