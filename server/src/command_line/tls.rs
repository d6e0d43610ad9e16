//! The knobs of TLS in front.

use std::path::PathBuf;

use clap::Args;

use crate::tls::config::{ClientAuth, Clients, TlsSettings, TlsVersion};

/// TLS in front.
#[derive(Debug, Clone, Args)]
pub struct TlsArguments {
    /// The server's certificate, in PEM, with those between it and its authority. TLS is off where
    /// none is given. A change of this file, and of those below, is taken over.
    #[arg(
        long,
        env = "BELAY_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    #[arg(
        long,
        env = "BELAY_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// The oldest version of TLS that is spoken.
    #[arg(
        long,
        env = "BELAY_TLS_MIN",
        value_enum,
        value_name = "VERSION",
        default_value = "1.3"
    )]
    tls_min: TlsVersion,
    /// The authorities, in PEM, whose certificates clients may show.
    #[arg(
        long,
        env = "BELAY_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_client_ca: Option<PathBuf>,
    /// Lists of certificates that are revoked, in PEM: one of each authority. A list that is out of
    /// date lets nobody in.
    #[arg(
        long,
        env = "BELAY_TLS_CLIENT_CRL",
        value_name = "FILE",
        requires = "tls_client_ca"
    )]
    tls_client_crl: Option<PathBuf>,
    /// Whether clients show certificates: required where an authority is given, else none.
    #[arg(long, env = "BELAY_TLS_CLIENT_AUTH", value_enum)]
    tls_client_auth: Option<ClientAuth>,
}

/// TLS as the port has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortTls {
    None,
    /// The server shows a certificate, clients are not asked for one.
    Server,
    /// Clients may leave their certificate out.
    Optional,
    /// No client without a certificate gets in.
    Mutual,
}

/// The reason why flags of TLS do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsArgumentsError {
    #[error("--tls-client-auth needs --tls-client-ca, whose certificates clients show")]
    NoAuthority,
    #[error("--tls-client-ca is of no use with --tls-client-auth none")]
    UnusedAuthority,
}

impl TlsArguments {
    /// None is a port in clear.
    ///
    /// # Errors
    /// Where they do not go together.
    pub fn settings(&self) -> Result<Option<TlsSettings>, TlsArgumentsError> {
        let clients = match (&self.tls_client_ca, self.tls_client_auth) {
            (None, None | Some(ClientAuth::None)) => None,
            (None, Some(ClientAuth::Optional | ClientAuth::Required)) => {
                return Err(TlsArgumentsError::NoAuthority);
            }
            (Some(_), Some(ClientAuth::None)) => return Err(TlsArgumentsError::UnusedAuthority),
            (Some(ca), None | Some(ClientAuth::Optional | ClientAuth::Required)) => Some(Clients {
                ca: ca.clone(),
                revocations: self.tls_client_crl.clone(),
                must_show: self.tls_client_auth != Some(ClientAuth::Optional),
            }),
        };
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        let mut settings = TlsSettings::new(certificate.clone(), key.clone());
        settings.clients = clients;
        settings.oldest = self.tls_min;
        Ok(Some(settings))
    }
}

/// What a port with these settings lets in.
pub fn port_tls(settings: Option<&TlsSettings>) -> PortTls {
    match settings.map(|settings| &settings.clients) {
        None => PortTls::None,
        Some(Some(clients)) if clients.must_show => PortTls::Mutual,
        Some(Some(_)) => PortTls::Optional,
        Some(None) => PortTls::Server,
    }
}
