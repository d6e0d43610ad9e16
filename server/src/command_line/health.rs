//! `belay health`: whether a running server serves, asked as a balancer would.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::address;
use anyhow::Context as _;
use clap::Args;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// For the connection, and again for the answer.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The arguments of `belay health`.
#[derive(Debug, Args)]
pub struct Health {
    #[arg(long, env = "BELAY_GRPC_ADDRESS", default_value = "127.0.0.1:50051", value_parser = address)]
    grpc_address: SocketAddr,
    /// Ask by TLS; the machine's roots say whose certificates are good.
    #[arg(long)]
    tls: bool,
    /// Ask by TLS; the certificates in this file, in PEM, say whose are good.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name that the server's certificate is for, where that is not the address.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The certificate to show, in PEM, and the ones between it and its authority.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Health {
    /// Fails where the server does not say that it serves.
    pub async fn ask(&self) -> anyhow::Result<()> {
        let address = self.grpc_address;
        let channel = self
            .endpoint()?
            .connect_timeout(WAIT_MAX)
            .timeout(WAIT_MAX)
            .connect()
            .await
            .with_context(|| format!("{address} does not answer"))?;
        let request = HealthCheckRequest {
            service: String::new(),
        };
        let answer = HealthClient::new(channel).check(request).await;
        let status = answer?.into_inner().status();
        anyhow::ensure!(
            status == ServingStatus::Serving,
            "{address} says {}",
            status.as_str_name()
        );
        Ok(())
    }

    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let address = self.grpc_address;
        if !self.tls && self.ca.is_none() {
            let is_unused = self.server_name.is_none() && self.cert.is_none();
            anyhow::ensure!(is_unused, "--server-name and --cert go with --tls or --ca");
            return Ok(Endpoint::from_shared(format!("http://{address}"))?);
        }
        let mut tls = ClientTlsConfig::new().timeout(WAIT_MAX);
        tls = match &self.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(read(ca)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        let by_address = address.ip().to_string();
        tls = tls.domain_name(self.server_name.clone().unwrap_or(by_address));
        Ok(Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
