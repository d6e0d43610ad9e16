//! TLS: whom the client trusts, how it shows who it is, and what a wrong scheme is told as.

use std::sync::atomic::{AtomicU32, Ordering};

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
