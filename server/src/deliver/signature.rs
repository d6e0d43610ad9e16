//! The signatures of Standard Webhooks: HMAC-SHA256 of id, time and body, by secrets from a file.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Secrets that sign at once, so that a receiver can be given the next one before the old one goes.
pub(super) const SECRETS_MAX: usize = 2;
/// The length of a secret, in bytes, once it is decoded.
pub(super) const SECRET_BYTES_MIN: usize = 24;
pub(super) const SECRET_BYTES_MAX: usize = 64;
/// The secret file, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 4_096;

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1";

/// The reason why there are no secrets.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretsError {
    #[error("the secret file {0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("the secret file {0} is longer than {FILE_BYTES_MAX} bytes")]
    TooLong(PathBuf),
    #[error(
        "line {line} of the secret file must be {PREFIX} and the base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
    )]
    Malformed { line: usize },
    #[error("the secret file must have 1 to {SECRETS_MAX} secrets, one a line, and has {0}")]
    Count(usize),
}

/// Secrets. They are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secrets(Vec<Vec<u8>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    pub(super) fn open(file: &Path) -> Result<Self, SecretsError> {
        let unread = |error| SecretsError::Read(file.to_owned(), error);
        let length = std::fs::metadata(file).map_err(unread)?.len();
        if length > FILE_BYTES_MAX {
            return Err(SecretsError::TooLong(file.to_owned()));
        }
        Self::parse(&std::fs::read_to_string(file).map_err(unread)?)
    }

    /// One a line; empty lines and those that begin with `#` say nothing.
    pub(super) fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if !text.is_empty() && !text.starts_with('#') {
                let secret = secret(text).ok_or(SecretsError::Malformed { line })?;
                secrets.push(secret);
            }
        }
        match secrets.len() {
            1..=SECRETS_MAX => Ok(Self(secrets)),
            count => Err(SecretsError::Count(count)),
        }
    }

    /// The header `webhook-signature`: one signature for each secret.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signed = |secret: &Vec<u8>| {
            // A key of any length will do.
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            let mac = STANDARD.encode(mac.finalize().into_bytes());
            Some(format!("{VERSION},{mac}"))
        };
        let signatures: Vec<String> = self.0.iter().filter_map(signed).collect();
        signatures.join(" ")
    }
}

fn secret(text: &str) -> Option<Vec<u8>> {
    let secret = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
    (SECRET_BYTES_MIN..=SECRET_BYTES_MAX)
        .contains(&secret.len())
        .then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: usize) -> String {
        format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]))
    }

    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        // The example of the specification's own libraries.
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secrets.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_file_has_one_secret_or_two() {
        let parse = |lines: &[String]| Secrets::parse(&lines.join("\n"));
        assert!(parse(&[line(SECRET_BYTES_MIN)]).is_ok());
        let two = parse(&["# next".into(), line(SECRET_BYTES_MAX), "".into(), line(32)]);
        let two = two.unwrap();
        assert_eq!(two.sign("a", 1, b"").split(' ').count(), 2);
        assert!(!format!("{two:?}").contains('7'));
        assert!(matches!(parse(&[]), Err(SecretsError::Count(0))));
        let three = parse(&[line(24), line(24), line(24)]);
        assert!(matches!(three, Err(SecretsError::Count(3))));
        for odd in [
            line(SECRET_BYTES_MIN - 1),
            line(SECRET_BYTES_MAX + 1),
            "whsec_!".into(),
            STANDARD.encode([7; 32]),
        ] {
            let refused = parse(&[line(24), odd]);
            assert!(matches!(refused, Err(SecretsError::Malformed { line: 2 })));
        }
    }

    #[test]
    fn a_file_that_is_no_file_of_secrets_is_not_read() {
        let folder = std::env::temp_dir();
        let missing = Secrets::open(&folder.join("belay-no-such-file"));
        assert!(matches!(missing, Err(SecretsError::Read(..))));
        let file = folder.join(format!("belay-secrets-{}", std::process::id()));
        let comment = |bytes: u64| "#".repeat(usize::try_from(bytes).unwrap());
        std::fs::write(&file, comment(FILE_BYTES_MAX + 1)).unwrap();
        assert!(matches!(
            Secrets::open(&file),
            Err(SecretsError::TooLong(_))
        ));
        std::fs::write(&file, comment(FILE_BYTES_MAX)).unwrap();
        assert!(matches!(Secrets::open(&file), Err(SecretsError::Count(0))));
        std::fs::remove_file(&file).unwrap();
    }
}
