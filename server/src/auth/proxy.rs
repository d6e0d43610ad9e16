//! The proof that a call comes through the proxy whose headers are believed: a secret that both
//! know, or the proxy's certificate.

use std::fmt;
use std::path::Path;

use http::HeaderMap;

use super::key_file::HASH_PREFIX;
use super::peer::{Peer, PeerName};

/// The header in which the proxy sends its secret.
pub const SECRET_HEADER: &str = "belay-proxy-secret";
/// Secrets that are known at once: the one in use, and the one that comes next.
pub const SECRETS_MAX: usize = 2;
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The proof that a proxy gives with every call.
#[derive(Clone)]
pub enum Proxy {
    /// One of these secrets, by their hashes.
    Secret(Vec<blake3::Hash>),
    /// A certificate with this name, which the port has verified.
    Certificate(PeerName),
}

/// Shows no hash.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proxy::Secret(secrets) => write!(f, "Secret({} known)", secrets.len()),
            Proxy::Certificate(name) => write!(f, "Certificate({name:?})"),
        }
    }
}

impl Proxy {
    /// Reads a file with the lines that `belay hash-secret` prints.
    ///
    /// # Errors
    /// What is wrong with the file, in one line.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let told = |error: &str| format!("{}: {error}", path.display());
        let io = |error: std::io::Error| told(&error.to_string());
        if std::fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(told(&format!("may have at most {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        hashes(&text).map(Self::Secret).map_err(told)
    }

    /// Whether a call came through the proxy.
    pub(crate) fn sent(&self, headers: &HeaderMap, peer: Option<&Peer>) -> bool {
        match self {
            Proxy::Secret(known) => {
                let mut sent = headers.get_all(SECRET_HEADER).iter();
                let (Some(secret), None) = (sent.next(), sent.next()) else {
                    return false;
                };
                let hash = blake3::hash(secret.as_bytes());
                // All of them, each in constant time.
                known
                    .iter()
                    .fold(false, |found, known| found | (*known == hash))
            }
            Proxy::Certificate(name) => peer.is_some_and(|peer| peer.names.contains(name)),
        }
    }
}

fn hashes(text: &str) -> Result<Vec<blake3::Hash>, &'static str> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let hash = |line: &str| {
        let hex = line.strip_prefix(HASH_PREFIX)?;
        blake3::Hash::from_hex(hex).ok()
    };
    let hashes: Option<Vec<_>> = lines.map(hash).collect();
    let hashes = hashes.ok_or("each line must be one that `belay hash-secret` prints")?;
    match hashes.len() {
        0 => Err("it holds no hash of a secret"),
        1..=SECRETS_MAX => Ok(hashes),
        _ => Err("may hold two hashes: of the secret in use, and of the next one"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::key_file::hash_secret;
    use super::*;

    const SECRET: &str = "9f1c7a40d2e85b36c04be7d19a6f3582";
    const NEXT: &str = "5be07d91f3a2c68e4d10b7a9c3f8e265";

    fn headers(secrets: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for secret in secrets {
            headers.append(SECRET_HEADER, secret.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_call_comes_through_the_proxy_if_it_has_one_of_its_secrets_once() {
        let lines = [SECRET, NEXT].map(|secret| hash_secret(secret).unwrap());
        let proxy =
            Proxy::Secret(hashes(&format!("# shop\n{}\n\n{}", lines[0], lines[1])).unwrap());
        assert!(proxy.sent(&headers(&[SECRET]), None));
        assert!(proxy.sent(&headers(&[NEXT]), None));
        for odd in [
            &[][..],
            &[""],
            &["x"],
            &[SECRET, SECRET],
            &[SECRET, "x"],
            &["x", SECRET],
        ] {
            assert!(!proxy.sent(&headers(odd), None), "{odd:?}");
        }
        // What is written in the file is no secret.
        assert!(!proxy.sent(&headers(&[&lines[0]]), None));
        assert!(!format!("{proxy:?}").contains(&lines[0][HASH_PREFIX.len()..]));
    }

    #[test]
    fn a_file_holds_one_hash_or_two() {
        let line = hash_secret(SECRET).unwrap();
        assert_eq!(hashes(&line).unwrap().len(), 1);
        assert_eq!(hashes(&[line.as_str(); 2].join("\n")).unwrap().len(), 2);
        for odd in [
            "",
            "\n# none\n",
            SECRET,
            "blake3:12",
            &[line.as_str(); 3].join("\n"),
        ] {
            assert!(hashes(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_call_comes_through_the_proxy_if_its_certificate_has_the_name() {
        let name = PeerName::Spiffe("spiffe://example.org/edge".to_owned());
        let proxy = Proxy::Certificate(name.clone());
        let mut peer = Peer::without_certificate("127.0.0.1:1".parse().unwrap());
        assert!(!proxy.sent(&headers(&[]), None));
        assert!(!proxy.sent(&headers(&[SECRET]), Some(&peer)));
        let other = PeerName::Dns("spiffe://example.org/edge".to_owned());
        peer.names = Arc::new([other.clone()]);
        assert!(!proxy.sent(&headers(&[]), Some(&peer)));
        peer.names = Arc::new([other, name]);
        assert!(proxy.sent(&headers(&[]), Some(&peer)));
    }
}
