//! The proof that a call comes through the proxy whose headers are believed: a secret that both
//! know, or the proxy's certificate.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};

use http::HeaderMap;

use super::key_file::HASH_PREFIX;
use super::peer::{Peer, PeerName};
use crate::trusted_file::{self, Looks};

/// The header in which the proxy sends its secret.
pub const SECRET_HEADER: &str = "belay-proxy-secret";
/// Secrets that are known at once: the one in use, and the one that comes next.
pub const SECRETS_MAX: usize = 2;
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024;

/// The proof that a proxy gives with every call.
#[derive(Debug)]
pub enum Proxy {
    /// One of the secrets of this file.
    Secret(SecretFile),
    /// A certificate with this name, which the port has verified.
    Certificate(PeerName),
}

/// The file with the hashes of the proxy's secrets, as it was when it last had no error. Its lines
/// are those that `belay hash-secret` prints. It is looked at again as the key file is.
pub struct SecretFile {
    path: PathBuf,
    hashes: RwLock<Vec<blake3::Hash>>,
    looks: Mutex<Looks>,
}

/// Shows no hash.
impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SecretFile {
    /// # Errors
    /// What is wrong with the file, in one line.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, String> {
        let path = path.into();
        let told = |error: &str| format!("{}: {error}", path.display());
        let file = trusted_file::read(&path, FILE_BYTES_MAX).map_err(|error| told(&error))?;
        file.warn_of_readers(&path, "hashes of secrets");
        let hashes = hashes(&file.bytes).map_err(told)?;
        Ok(Self {
            path,
            hashes: RwLock::new(hashes),
            looks: Mutex::new(Looks::after(blake3::hash(&file.bytes))),
        })
    }

    /// Looks at the file again, and says so in the log where it has changed. One with errors
    /// changes nothing. Says whether a change was taken; nothing where there is none. Reads a file.
    pub fn reload(&self) -> Option<bool> {
        let read = trusted_file::read(&self.path, FILE_BYTES_MAX);
        let look = read.as_ref().map(|file| blake3::hash(&file.bytes));
        let found = trusted_file::found(look);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if !looks.is_to_be_checked(found) {
            return None;
        }
        let path = self.path.display();
        match read.and_then(|file| hashes(&file.bytes).map_err(str::to_owned)) {
            Ok(hashes) => {
                tracing::info!(%path, count = hashes.len(), "the proxy's secrets have changed and are taken");
                *self.hashes.write().unwrap_or_else(PoisonError::into_inner) = hashes;
                Some(true)
            }
            Err(error) => {
                tracing::error!(%path, %error, "the proxy's secrets stay those from before");
                Some(false)
            }
        }
    }

    fn knows(&self, secret: &[u8]) -> bool {
        let hash = blake3::hash(secret);
        let hashes = self.hashes.read().unwrap_or_else(PoisonError::into_inner);
        // All of them, each in constant time.
        hashes
            .iter()
            .fold(false, |found, known| found | (*known == hash))
    }
}

impl Proxy {
    /// Whether a call came through the proxy.
    pub(crate) fn sent(&self, headers: &HeaderMap, peer: Option<&Peer>) -> bool {
        match self {
            Proxy::Secret(known) => {
                let mut sent = headers.get_all(SECRET_HEADER).iter();
                matches!((sent.next(), sent.next()), (Some(secret), None) if known.knows(secret.as_bytes()))
            }
            Proxy::Certificate(name) => peer.is_some_and(|peer| peer.names.contains(name)),
        }
    }
}

fn hashes(text: &[u8]) -> Result<Vec<blake3::Hash>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text in UTF-8")?;
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
    use crate::trusted_file::Scratch;

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
        let file = Scratch::holding(&format!("# shop\n{}\n\n{}", lines[0], lines[1]));
        let proxy = Proxy::Secret(SecretFile::open(&file.0).unwrap());
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
    fn a_secret_is_given_and_withdrawn_without_a_restart_and_a_slip_changes_nothing() {
        let [line, next] = [SECRET, NEXT].map(|secret| hash_secret(secret).unwrap());
        let file = Scratch::holding(&line);
        let proxy = Proxy::Secret(SecretFile::open(&file.0).unwrap());
        let knows = |text: &str| {
            file.write(text);
            let Proxy::Secret(known) = &proxy else {
                unreachable!()
            };
            known.reload();
            let at_once = [SECRET, NEXT].map(|secret| known.knows(secret.as_bytes()));
            known.reload();
            (
                at_once,
                [SECRET, NEXT].map(|secret| known.knows(secret.as_bytes())),
            )
        };
        let both = format!("{line}\n{next}");
        assert_eq!(knows(&both), ([true, false], [true, true]));
        assert_eq!(knows("half a li"), ([true, true], [true, true]));
        assert_eq!(knows(&next), ([true, true], [false, true]));
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let file = Scratch::holding(&hash_secret(SECRET).unwrap());
        let of_mode = |mode| {
            file.set_mode(mode);
            SecretFile::open(&file.0).is_ok()
        };
        assert!(of_mode(0o600) && of_mode(0o644));
        assert!(!of_mode(0o620) && !of_mode(0o602));
    }

    #[test]
    fn a_file_holds_one_hash_or_two() {
        let line = hash_secret(SECRET).unwrap();
        let count = |text: &str| hashes(text.as_bytes()).map(|hashes| hashes.len());
        assert_eq!(count(&line), Ok(1));
        assert_eq!(count(&[line.as_str(); 2].join("\n")), Ok(2));
        for odd in [
            "",
            "\n# none\n",
            SECRET,
            "blake3:12",
            &[line.as_str(); 3].join("\n"),
        ] {
            assert!(count(odd).is_err(), "{odd}");
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
