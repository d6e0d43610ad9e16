//! TLS in front of a server: its files, and clients that know its authority.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use belay_client::{Belay, RetryPolicy, Role, Store};
use belay_server::tls::config::{Clients, TlsSettings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::HANG;
use crate::certificates::{Authority, Certified, Files, argument};
use crate::instance::Service;
use crate::process::BelayProcess;
use crate::server::{SHOP, TestServer};

/// The name of every server here.
pub const HOST: &str = "127.0.0.1";
/// The name of a client.
pub const EDGE: &str = "spiffe://example.org/edge";
/// Files are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The files of a server that speaks TLS: its certificate by one authority, its clients' by
/// another.
#[derive(Debug)]
pub struct Front {
    pub files: Files,
    pub authority: Authority,
    pub clients: Authority,
}

impl Default for Front {
    fn default() -> Self {
        Self::new()
    }
}

impl Front {
    pub fn new() -> Self {
        let front = Self {
            files: Files::new(),
            authority: Authority::new(),
            clients: Authority::new(),
        };
        front.renew();
        front.files.write("clients.pem", &front.clients.pem());
        front
    }

    /// Gives the server another certificate.
    pub fn renew(&self) -> Certified {
        let certified = self.authority.server(&[HOST]);
        self.files.certified("server", &certified);
        certified
    }

    pub fn settings(&self) -> TlsSettings {
        let (certificate, key) = (self.files.path("server.pem"), self.files.path("server.key"));
        let mut settings = TlsSettings::new(certificate, key);
        settings.look_interval = LOOK_INTERVAL;
        settings.handshake_max = HANG;
        settings
    }

    pub fn with_clients(&self, must_show: bool) -> TlsSettings {
        let mut settings = self.settings();
        settings.clients = Some(Clients {
            ca: self.files.path("clients.pem"),
            revocations: None,
            must_show,
        });
        settings
    }

    pub async fn serve(&self, t: &TestServer, tls: TlsSettings) -> Service {
        Service::start(t.database.url(), |settings| settings.tls = Some(tls)).await
    }

    /// A client that repeats nothing, with or without a certificate.
    pub fn client(&self, service: &Service, identity: Option<&Certified>) -> Store {
        let address = format!("https://{}", service.address());
        let mut builder = Belay::builder(address)
            .timeout(HANG)
            .attempt_timeout(HANG)
            .retry(RetryPolicy::never())
            .role(Role::Storefront, "web")
            .tls_roots(self.authority.pem());
        if let Some(Certified {
            certificate, key, ..
        }) = identity
        {
            builder = builder.tls_identity(certificate, key);
        }
        builder.build().expect("a client").store(SHOP)
    }

    /// Shakes hands in this version, with these protocols; the certificate that the server showed.
    pub async fn shake_hands(
        &self,
        address: SocketAddr,
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
        identity: Option<&Certified>,
    ) -> Result<Vec<u8>, String> {
        let mut stream = self.connect(address, version, alpn, identity).await?;
        // In TLS 1.3 the server's word on the client comes after the handshake: with its first
        // frame.
        let mut first = [0];
        let read = stream.read_exact(&mut first).await;
        read.map_err(|error| error.to_string())?;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        Ok(shown.expect("a server shows one").to_vec())
    }

    /// The same, and the stream that has come of it.
    pub async fn connect(
        &self,
        address: SocketAddr,
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
        identity: Option<&Certified>,
    ) -> Result<TlsStream<TcpStream>, String> {
        belay_server::tls::install_provider();
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem().as_bytes());
        roots.add(root.expect("PEM")).expect("an authority");
        let builder =
            ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
        let mut config = match identity {
            Some(Certified {
                certificate, key, ..
            }) => {
                let chain = CertificateDer::from_pem_slice(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
                builder
                    .with_client_auth_cert(vec![chain.expect("PEM")], key.expect("PEM"))
                    .expect("they fit")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from(HOST).expect("a name");
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
        connected.await.map_err(|error| error.to_string())
    }

    /// By a client that keeps to everything.
    pub async fn shown(&self, address: SocketAddr) -> Vec<u8> {
        let shown = self.shake_hands(address, &TLS13, &["h2"], None).await;
        shown.expect("it is connected")
    }
}

/// A certificate as the wire has it.
pub fn der(certified: &Certified) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(certified.certificate.as_bytes());
    der.expect("PEM").to_vec()
}

/// A binary whose log is read.
pub async fn serve(t: &TestServer, front: &Front, arguments: &[&str]) -> BelayProcess {
    let (certificate, key) = (
        front.files.path("server.pem"),
        front.files.path("server.key"),
    );
    let mut all = vec!["serve", "--trust-role-header", "--stop-notice", "0s"];
    all.extend([
        "--tls-cert",
        argument(&certificate),
        "--tls-key",
        argument(&key),
    ]);
    all.extend(arguments);
    BelayProcess::start(&t.database.url(), &all, &[]).await
}
