//! Whom a server may believe at the address it listens on: the rules between flags, which a start
//! holds to before it listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::tls::PortTls;
use crate::auth::peer::PeerName;
use crate::auth::proxy::{Proxy, SecretFile};

/// The proxy in front, if there is one.
#[derive(Debug, Clone, Args)]
pub struct ProxyArguments {
    /// A proxy ends the callers' TLS, it alone reaches this server, and the way from it to here is
    /// trusted. Without TLS here, nothing that authenticates callers is taken on an address beyond
    /// this machine unless this is said.
    #[arg(long, env = "BELAY_BEHIND_PROXY")]
    behind_proxy: bool,
    /// A file with the line that `belay hash-secret` prints for a secret, or two lines: only calls
    /// that bring the secret in `belay-proxy-secret` have their headers believed. Read at the
    /// start.
    #[arg(long, env = "BELAY_PROXY_SECRET_FILE", value_name = "FILE")]
    proxy_secret_file: Option<PathBuf>,
    /// Only calls whose client certificate has this name have their headers believed: a SPIFFE id,
    /// or dns: and a name.
    #[arg(
        long,
        env = "BELAY_PROXY_NAME",
        value_name = "NAME",
        value_parser = peer_name,
        conflicts_with = "proxy_secret_file"
    )]
    proxy_name: Option<PeerName>,
}

fn peer_name(text: &str) -> Result<PeerName, String> {
    let name = match text.strip_prefix("dns:") {
        Some(name) if !name.is_empty() => PeerName::Dns(name.to_ascii_lowercase()),
        Some(_) => return Err("must have a name after dns:".to_owned()),
        None if text.starts_with("spiffe://") => PeerName::Spiffe(text.to_owned()),
        None => return Err("must begin with spiffe:// or dns:".to_owned()),
    };
    Ok(name)
}

/// The claims of callers that a server believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believes {
    /// Headers that a proxy sets.
    Headers,
    /// Secrets and tokens that calls bring.
    Secrets,
}

/// The reason why a server does not start with these flags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error(
        "on {0} secrets would come in clear: give --tls-cert and --tls-key, or --behind-proxy where TLS ends at a proxy"
    )]
    SecretsInClear(SocketAddr),
    #[error(
        "on {0} everybody who reaches the port could name a role: --trust-role-header needs --behind-proxy, or --proxy-name and --tls-client-auth required"
    )]
    AnybodyNamesRoles(SocketAddr),
    #[error(
        "on {0} --trust-role-header needs a proof that calls come through the proxy: --proxy-secret-file, or --proxy-name with its certificate"
    )]
    ProxyUnproven(SocketAddr),
    #[error("--proxy-name is verified by certificates: it needs --tls-client-ca")]
    NameWithoutCertificates,
    #[error("--proxy-secret-file and --proxy-name go with --trust-role-header")]
    ProofOfNothing,
    #[error("--console is shown on the admin port: give --admin-listen")]
    ConsoleWithoutPort,
    #[error(
        "on {0} the console would take secrets in clear, as the admin port has no TLS: listen on this machine, or give \
         --behind-proxy where TLS ends at a proxy"
    )]
    ConsoleInClear(SocketAddr),
    #[error(
        "the console has no TLS, and so no certificate that --proxy-name could be the name of: give --proxy-secret-file"
    )]
    ConsoleWithoutCertificates,
    #[error("{0}")]
    SecretFile(String),
}

impl ProxyArguments {
    /// The proof that the proxy gives, if it has to.
    ///
    /// # Errors
    /// Where the flags would let in whom nobody means.
    pub fn check(
        &self,
        address: SocketAddr,
        believes: Believes,
        tls: PortTls,
    ) -> Result<Option<Proxy>, TrustError> {
        let proof = match (&self.proxy_secret_file, &self.proxy_name) {
            (Some(file), _) => {
                let secrets = SecretFile::open(file).map_err(TrustError::SecretFile)?;
                Some(Proxy::Secret(secrets))
            }
            (None, Some(name)) => Some(Proxy::Certificate(name.clone())),
            (None, None) => None,
        };
        let is_local = address.ip().is_loopback();
        let is_proven = proof.is_some();
        let by_certificate = matches!(proof, Some(Proxy::Certificate(_)));
        match believes {
            Believes::Secrets if is_proven => Err(TrustError::ProofOfNothing),
            Believes::Secrets if !is_local && tls == PortTls::None && !self.behind_proxy => {
                Err(TrustError::SecretsInClear(address))
            }
            Believes::Headers
                if by_certificate && matches!(tls, PortTls::None | PortTls::Server) =>
            {
                Err(TrustError::NameWithoutCertificates)
            }
            Believes::Headers if !is_local && !is_proven && self.behind_proxy => {
                Err(TrustError::ProxyUnproven(address))
            }
            Believes::Headers
                if !(is_local || self.behind_proxy || by_certificate && tls == PortTls::Mutual) =>
            {
                Err(TrustError::AnybodyNamesRoles(address))
            }
            Believes::Secrets | Believes::Headers => Ok(proof),
        }
    }
}

impl ProxyArguments {
    /// Whether the console may be on the admin port at this address, for callers that are believed
    /// so.
    ///
    /// # Errors
    /// Where it would let in whom nobody means, or take secrets that others can read.
    pub fn check_console(
        &self,
        address: Option<SocketAddr>,
        believes: Believes,
    ) -> Result<(), TrustError> {
        let address = address.ok_or(TrustError::ConsoleWithoutPort)?;
        let is_local = address.ip().is_loopback();
        match believes {
            Believes::Secrets if !is_local && !self.behind_proxy => {
                Err(TrustError::ConsoleInClear(address))
            }
            Believes::Secrets => Ok(()),
            Believes::Headers if self.proxy_name.is_some() => {
                Err(TrustError::ConsoleWithoutCertificates)
            }
            Believes::Headers if is_local => Ok(()),
            Believes::Headers if !self.behind_proxy => Err(TrustError::AnybodyNamesRoles(address)),
            Believes::Headers if self.proxy_secret_file.is_none() => {
                Err(TrustError::ProxyUnproven(address))
            }
            Believes::Headers => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(behind_proxy: bool, name: Option<&str>) -> ProxyArguments {
        ProxyArguments {
            behind_proxy,
            proxy_secret_file: None,
            proxy_name: name.map(|name| peer_name(name).unwrap()),
        }
    }

    const EDGE: Option<&str> = Some("spiffe://example.org/edge");
    const BEYOND: [&str; 4] = ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:127.0.0.1]:1"];

    #[test]
    fn beyond_this_machine_secrets_need_tls_here_or_at_a_proxy() {
        for address in BEYOND.map(|address| address.parse().unwrap()) {
            let check = |behind, tls| proxy(behind, None).check(address, Believes::Secrets, tls);
            let in_clear = Err(TrustError::SecretsInClear(address));
            assert_eq!(check(false, PortTls::None).map(drop), in_clear);
            assert!(check(true, PortTls::None).is_ok());
            assert!(check(false, PortTls::Server).is_ok());
            assert!(check(false, PortTls::Mutual).is_ok());
        }
        for local in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1"] {
            let local = local.parse().unwrap();
            let checked = proxy(false, None).check(local, Believes::Secrets, PortTls::None);
            assert!(checked.is_ok());
        }
    }

    #[test]
    fn beyond_this_machine_headers_need_a_proxy_that_proves_itself() {
        let file = std::env::temp_dir().join(format!("belay-proxy-{}", std::process::id()));
        let line = crate::auth::key_file::hash_secret("9f1c7a40d2e85b36c04be7d19a6f3582").unwrap();
        std::fs::write(&file, line).unwrap();
        let with_secret = |behind_proxy| ProxyArguments {
            behind_proxy,
            proxy_secret_file: Some(file.clone()),
            proxy_name: None,
        };
        for address in BEYOND.map(|address| address.parse().unwrap()) {
            let check =
                |proxy: ProxyArguments, tls| proxy.check(address, Believes::Headers, tls).map(drop);
            let anybody = Err(TrustError::AnybodyNamesRoles(address));
            let unproven = Err(TrustError::ProxyUnproven(address));
            for tls in [
                PortTls::None,
                PortTls::Server,
                PortTls::Optional,
                PortTls::Mutual,
            ] {
                assert_eq!(check(proxy(false, None), tls), anybody);
                assert_eq!(check(proxy(true, None), tls), unproven);
                assert_eq!(check(with_secret(false), tls), anybody);
                assert_eq!(check(with_secret(true), tls), Ok(()));
            }
            let no_certificates = Err(TrustError::NameWithoutCertificates);
            assert_eq!(check(proxy(true, EDGE), PortTls::None), no_certificates);
            assert_eq!(check(proxy(true, EDGE), PortTls::Server), no_certificates);
            assert_eq!(check(proxy(false, EDGE), PortTls::Optional), anybody);
            assert_eq!(check(proxy(true, EDGE), PortTls::Optional), Ok(()));
            assert_eq!(check(proxy(false, EDGE), PortTls::Mutual), Ok(()));
        }
        std::fs::remove_file(&file).unwrap();
        let local = "127.0.0.1:1".parse().unwrap();
        let checked = |proxy: ProxyArguments| proxy.check(local, Believes::Headers, PortTls::None);
        assert!(checked(proxy(false, None)).unwrap().is_none());
        let absent = checked(with_secret(false));
        assert!(matches!(absent, Err(TrustError::SecretFile(_))));
    }

    #[test]
    fn a_proof_of_the_proxy_goes_with_headers_alone() {
        let local = "127.0.0.1:1".parse().unwrap();
        let checked = proxy(true, EDGE).check(local, Believes::Secrets, PortTls::Mutual);
        assert_eq!(checked.map(drop), Err(TrustError::ProofOfNothing));
    }

    #[test]
    fn the_name_of_a_proxy_is_one_that_certificates_have() {
        let dns = PeerName::Dns("edge.example".to_owned());
        assert_eq!(peer_name("dns:Edge.Example"), Ok(dns));
        for odd in ["", "edge.example", "dns:", "https://edge"] {
            assert!(peer_name(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_console_is_on_this_machine_or_behind_a_proxy() {
        let local = "127.0.0.1:1".parse().ok();
        let with_secret = |behind_proxy| ProxyArguments {
            proxy_secret_file: Some("/secret".into()),
            ..proxy(behind_proxy, None)
        };
        for believes in [Believes::Secrets, Believes::Headers] {
            let check = |address| proxy(false, None).check_console(address, believes);
            assert_eq!(check(None), Err(TrustError::ConsoleWithoutPort));
            assert_eq!(check(local), Ok(()));
        }
        let named = proxy(true, EDGE).check_console(local, Believes::Headers);
        assert_eq!(named, Err(TrustError::ConsoleWithoutCertificates));
        for address in BEYOND.map(|address| address.parse().unwrap()) {
            let secrets =
                |proxy: ProxyArguments| proxy.check_console(Some(address), Believes::Secrets);
            let headers =
                |proxy: ProxyArguments| proxy.check_console(Some(address), Believes::Headers);
            let in_clear = TrustError::ConsoleInClear(address);
            assert_eq!(secrets(proxy(false, None)), Err(in_clear));
            assert_eq!(secrets(proxy(true, None)), Ok(()));
            let anybody = TrustError::AnybodyNamesRoles(address);
            assert_eq!(headers(proxy(false, None)), Err(anybody.clone()));
            assert_eq!(headers(with_secret(false)), Err(anybody));
            let unproven = TrustError::ProxyUnproven(address);
            assert_eq!(headers(proxy(true, None)), Err(unproven));
            assert_eq!(headers(with_secret(true)), Ok(()));
        }
    }
}
