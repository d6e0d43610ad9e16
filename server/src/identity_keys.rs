//! The identity keys: the secrets by which buyers' e-mail addresses and user names are hashed, and
//! from which the keys of tokens and of the feed's chains are derived. They belong outside the
//! database: a copy of it then finds nobody. What the database keeps is a check value, by which a
//! wrong key is refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belay_domain::chain::ChainKey;
use clap::Args;

use crate::db::settings::StoredIdentity;

/// Keys at once: the one in use, and those from before that orders are still found by.
pub const KEYS_MAX: usize = 4;
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024;
/// The keys themselves, where they come without a file.
pub const VARIABLE: &str = "BELAY_IDENTITY_KEY";

const CHECK_CONTEXT: &str = "belay 2026 check of an identity key";

/// The source of the identity keys.
#[derive(Debug, Clone, Default, Args)]
pub struct IdentityArguments {
    /// The identity keys, one a line: 32 random bytes each, in hex or base64. The first hashes what
    /// is written, all are tried where a buyer is looked for. Without it they come from the
    /// variable BELAY_IDENTITY_KEY, else from the database.
    #[arg(long, env = "BELAY_IDENTITY_KEY_FILE", value_name = "FILE")]
    identity_key_file: Option<PathBuf>,
}

impl IdentityArguments {
    /// The keys that were given; none where they are in the database.
    ///
    /// # Errors
    /// Where what was given is no list of keys.
    pub fn read(&self) -> Result<Option<IdentityKeys>, IdentityKeyError> {
        if let Some(file) = &self.identity_key_file {
            return IdentityKeys::open(file).map(Some);
        }
        match std::env::var(VARIABLE) {
            Ok(text) => IdentityKeys::parse(&text).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(IdentityKeyError::Malformed { line: 1 }),
        }
    }
}

/// The keys in use; never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityKeys(Arc<[[u8; 32]]>);

/// Says which they are, and shows none.
impl fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(key_id)).finish()
    }
}

/// The place where a server's keys were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    Outside,
    /// Who has the database has them too.
    InDatabase,
}

/// The reason why there is no key to go by. Shows no key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityKeyError {
    #[error("the identity keys in {file} cannot be read: {error}")]
    File {
        file: PathBuf,
        error: std::io::Error,
    },
    #[error("{file} is larger than {FILE_BYTES_MAX} bytes: no file of identity keys")]
    TooLarge { file: PathBuf },
    #[error("line {line} is no identity key: 32 bytes in 64 digits of hex, or in base64")]
    Malformed { line: usize },
    #[error("line {line} is no identity key: it is not random")]
    Weak { line: usize },
    #[error("line {line} repeats an identity key")]
    Repeated { line: usize },
    #[error("there must be 1 to {KEYS_MAX} identity keys, and there are {count}")]
    Count { count: usize },
    #[error(
        "the identity key of this database is not among those that were given ({given}): buyers would not be found by it. \
         It is the key {wanted}"
    )]
    Wrong { given: String, wanted: String },
    #[error(
        "the identity key of this database is kept outside of it: give it with --identity-key-file or {VARIABLE}"
    )]
    Missing,
    #[error("the database has no identity key and no check value of one: run `belay migrate`")]
    Unknown,
    #[error("the identity key is not in the database any more")]
    Moved,
}

/// By which the database knows a key that it does not have.
pub fn check_value(key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(CHECK_CONTEXT, key)
}

/// The name of a key: the beginning of its check value.
pub fn key_id(key: &[u8; 32]) -> String {
    id_of_check(&check_value(key))
}

fn id_of_check(check: &[u8; 32]) -> String {
    let [a, b, c, d, ..] = *check;
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

impl IdentityKeys {
    /// The one that is in the database.
    pub fn of_database(key: [u8; 32]) -> Self {
        Self(Arc::new([key]))
    }

    /// # Errors
    /// Where the file cannot be read, or is no list of keys.
    pub fn open(file: &Path) -> Result<Self, IdentityKeyError> {
        let failed = |error| IdentityKeyError::File {
            file: file.to_owned(),
            error,
        };
        let length = std::fs::metadata(file).map_err(failed)?.len();
        if length > FILE_BYTES_MAX {
            return Err(IdentityKeyError::TooLarge {
                file: file.to_owned(),
            });
        }
        warn_if_others_may_read(file);
        Self::parse(&std::fs::read_to_string(file).map_err(failed)?)
    }

    /// One key a line; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// Where a line is no key, or there are none or too many.
    pub fn parse(text: &str) -> Result<Self, IdentityKeyError> {
        let mut keys: Vec<[u8; 32]> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let key = decode(text).ok_or(IdentityKeyError::Malformed { line })?;
            if is_weak(&key) {
                return Err(IdentityKeyError::Weak { line });
            }
            if keys.contains(&key) {
                return Err(IdentityKeyError::Repeated { line });
            }
            keys.push(key);
        }
        if !(1..=KEYS_MAX).contains(&keys.len()) {
            return Err(IdentityKeyError::Count { count: keys.len() });
        }
        Ok(Self(keys.into()))
    }

    /// The keys that a database is served by, and where they were.
    ///
    /// # Errors
    /// Where they are not the database's, or nobody has any.
    pub fn of(
        stored: &StoredIdentity,
        given: Option<IdentityKeys>,
    ) -> Result<(Self, Whereabouts), IdentityKeyError> {
        let check = match (stored.key, stored.check, &given) {
            (Some(key), _, None) => return Ok((Self::of_database(key), Whereabouts::InDatabase)),
            (Some(key), _, Some(_)) => check_value(&key),
            (None, Some(check), Some(_)) => check,
            (None, Some(_), None) => return Err(IdentityKeyError::Missing),
            (None, None, _) => return Err(IdentityKeyError::Unknown),
        };
        let keys = given.ok_or(IdentityKeyError::Missing)?;
        if !keys.has_check(&check) {
            let given: Vec<String> = keys.0.iter().map(key_id).collect();
            return Err(IdentityKeyError::Wrong {
                given: given.join(", "),
                wanted: id_of_check(&check),
            });
        }
        let whereabouts = if stored.key.is_some() {
            Whereabouts::InDatabase
        } else {
            Whereabouts::Outside
        };
        Ok((keys, whereabouts))
    }

    fn has_check(&self, check: &[u8; 32]) -> bool {
        self.0.iter().any(|key| check_value(key) == *check)
    }

    /// By which everything is written.
    pub fn first(&self) -> &[u8; 32] {
        &self.0[0]
    }

    /// Those from before, by which orders are still found.
    pub fn former(&self) -> &[[u8; 32]] {
        &self.0[1..]
    }

    /// Of the chains of the feed: the first is that of what is written.
    pub fn chain_keys(&self) -> Vec<ChainKey> {
        self.0.iter().map(ChainKey::of).collect()
    }

    /// Of the chains of the feed, for what is written.
    pub fn chain_key(&self) -> ChainKey {
        ChainKey::of(self.first())
    }
}

/// 64 digits of hex, or 44 of base64.
fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 {
        return blake3::Hash::from_hex(text).ok().map(Into::into);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// What no random source gives: fewer than 8 different bytes of 32.
fn is_weak(key: &[u8; 32]) -> bool {
    const DIFFERENT_MIN: usize = 8;
    let mut bytes = *key;
    bytes.sort_unstable();
    let different = 1 + bytes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    different < DIFFERENT_MIN
}

fn warn_if_others_may_read(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o007 != 0) {
        tracing::warn!(
            file = %file.display(),
            "everybody on this machine may read or write the identity keys: chmod 600"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn other(first: u8) -> [u8; 32] {
        let mut key: [u8; 32] = decode(HEX).unwrap();
        key[0] = first;
        key
    }

    fn base64(key: &[u8; 32]) -> String {
        STANDARD.encode(key)
    }

    #[test]
    fn a_key_is_32_bytes_in_hex_or_base64_and_nothing_else() {
        let keys = IdentityKeys::parse(&format!("# ours\n{HEX}\n\n {} \n", base64(&other(9))));
        let keys = keys.unwrap();
        assert_eq!(keys.first(), &decode(HEX).unwrap());
        assert_eq!(keys.former(), [other(9)]);
        for odd in [&HEX[1..], &format!("{HEX}00"), "x", &base64(&other(9))[1..]] {
            let refused = IdentityKeys::parse(odd);
            assert!(
                matches!(refused, Err(IdentityKeyError::Malformed { line: 1 })),
                "{odd}: {refused:?}"
            );
        }
        let weak = IdentityKeys::parse(&"ab".repeat(32));
        assert!(matches!(weak, Err(IdentityKeyError::Weak { line: 1 })));
        let twice = IdentityKeys::parse(&format!("{HEX}\n{}", HEX.to_uppercase()));
        assert!(matches!(twice, Err(IdentityKeyError::Repeated { line: 2 })));
    }

    #[test]
    fn there_are_one_to_four() {
        let lines = |count: u8| {
            let keys: Vec<String> = (0..count).map(|key| base64(&other(key))).collect();
            IdentityKeys::parse(&keys.join("\n"))
        };
        assert!(matches!(
            lines(0),
            Err(IdentityKeyError::Count { count: 0 })
        ));
        assert!(lines(1).is_ok() && lines(4).is_ok());
        assert!(matches!(
            lines(5),
            Err(IdentityKeyError::Count { count: 5 })
        ));
    }

    #[test]
    fn a_key_is_never_shown() {
        let keys = IdentityKeys::parse(HEX).unwrap();
        let shown = format!("{keys:?}");
        assert!(!shown.contains("0001") && shown.contains(&key_id(keys.first())));
        let stored = StoredIdentity {
            key: None,
            check: Some(check_value(&other(7))),
        };
        let wrong = IdentityKeys::of(&stored, Some(keys))
            .unwrap_err()
            .to_string();
        assert!(wrong.contains(&key_id(&other(7))), "{wrong}");
        assert!(!wrong.contains("000102"), "{wrong}");
    }

    #[test]
    fn a_database_is_served_by_its_own_key_only() {
        let key = other(1);
        let ring = |keys: &[[u8; 32]]| Some(IdentityKeys(keys.into()));
        let inside = StoredIdentity {
            key: Some(key),
            check: None,
        };
        let outside = StoredIdentity {
            key: None,
            check: Some(check_value(&key)),
        };
        let of = |stored: &StoredIdentity, given| {
            IdentityKeys::of(stored, given)
                .map(|(keys, place)| (*keys.first(), place))
                .map_err(|error| format!("{error:?}"))
        };
        assert_eq!(of(&inside, None), Ok((key, Whereabouts::InDatabase)));
        assert_eq!(
            of(&inside, ring(&[other(2), key])),
            Ok((other(2), Whereabouts::InDatabase))
        );
        assert!(
            of(&inside, ring(&[other(2)]))
                .unwrap_err()
                .starts_with("Wrong")
        );
        assert_eq!(of(&outside, ring(&[key])), Ok((key, Whereabouts::Outside)));
        assert_eq!(
            of(&outside, ring(&[other(2), key])),
            Ok((other(2), Whereabouts::Outside))
        );
        assert!(
            of(&outside, ring(&[other(2)]))
                .unwrap_err()
                .starts_with("Wrong")
        );
        assert_eq!(of(&outside, None), Err("Missing".to_owned()));
        let neither = StoredIdentity {
            key: None,
            check: None,
        };
        assert_eq!(of(&neither, ring(&[key])), Err("Unknown".to_owned()));
    }
}
