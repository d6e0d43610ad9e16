//! The key file: who may call with which secret, in which role, and how far they see.
//!
//! The file holds hashes and no secrets. It is read when the server starts, which fails on any
//! error, and again every [`RELOAD_INTERVAL`]; a file with errors then changes nothing, so that a
//! slip of the pen locks nobody out.

mod document;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use belay_domain::document::DocumentError;
use belay_domain::scope::Caller;

/// Between two looks at the file.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Callers in one file. Each call is compared with the secrets of all.
pub const CALLERS_MAX: usize = 1_000;
/// Secrets of one caller: the one in use, the one that comes next, and some for the slow.
pub const SECRETS_MAX: usize = 4;
/// Fewest characters of a secret. It is hashed without salt or stretching, which suits what a
/// machine made up and no password.
pub const SECRET_CHARS_MIN: usize = 32;

/// What a hash begins with in the file, for there may be others one day.
pub(super) const HASH_PREFIX: &str = "blake3:";

/// A caller of the file with its keys, which are the hashes of its secrets.
#[derive(Clone)]
struct CallerKeys {
    caller: Caller,
    secrets: Vec<blake3::Hash>,
}

/// A key file, as it was when it last had no error.
pub struct KeyFile {
    path: PathBuf,
    known: RwLock<Arc<Vec<CallerKeys>>>,
    /// What the last look found, so that only news is told.
    last_seen: Mutex<Option<blake3::Hash>>,
}

/// The outcome of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    Unchanged,
    /// The file was loaded; so many callers are known now.
    Loaded(usize),
    /// The callers are those from before.
    Invalid(KeyFileError),
}

/// The error of a key file that cannot be loaded, with every error in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFileError {
    path: PathBuf,
    errors: Vec<DocumentError>,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key file {} is not taken:", self.path.display())?;
        self.errors
            .iter()
            .try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for KeyFileError {}

/// Says how many callers there are, and shows no hash.
impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers = self.list().len();
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("callers", &callers)
            .finish_non_exhaustive()
    }
}

impl KeyFile {
    /// # Errors
    /// Where the file cannot be read or has errors.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        let text = read(&path)?;
        let known = parse(&path, &text)?;
        let last_seen = Mutex::new(Some(blake3::hash(&text)));
        Ok(Self {
            path,
            known: RwLock::new(Arc::new(known)),
            last_seen,
        })
    }

    /// The caller who has this secret.
    pub(crate) fn find(&self, token: &str) -> Option<Caller> {
        let hash = blake3::hash(token.as_bytes());
        let mut found = None;
        let list = self.list();
        // All of them, each in constant time: how long it takes tells nothing of how near a guess
        // was.
        for known in list.iter() {
            for secret in &known.secrets {
                if *secret == hash {
                    found = Some(known);
                }
            }
        }
        found.map(|known| known.caller.clone())
    }

    /// Looks at the file again.
    pub fn reload(&self) -> Reload {
        let text = read(&self.path);
        let mut last_seen = self
            .last_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let seen = text.as_ref().ok().map(|text| blake3::hash(text));
        if *last_seen == seen {
            return Reload::Unchanged;
        }
        *last_seen = seen;
        match text.and_then(|text| parse(&self.path, &text)) {
            Ok(known) => {
                let callers = known.len();
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
                Reload::Loaded(callers)
            }
            Err(error) => Reload::Invalid(error),
        }
    }

    fn list(&self) -> Arc<Vec<CallerKeys>> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The entry of its fuzz target, and of the replay of its corpus.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    if let Err(error) = parse(Path::new("callers.yaml"), data) {
        assert!(!error.to_string().is_empty());
    }
}

/// The line that stands in the file for this secret.
///
/// # Errors
/// What is wrong with a secret that is too short or cannot be sent in a header.
pub fn hash_secret(secret: &str) -> Result<String, String> {
    let chars = secret.chars().count();
    if chars < SECRET_CHARS_MIN {
        return Err(format!(
            "a secret must have at least {SECRET_CHARS_MIN} characters, this one has {chars}"
        ));
    }
    if !secret.chars().all(|c| c.is_ascii_graphic()) {
        return Err("a secret may hold only printable ASCII without spaces".to_owned());
    }
    Ok(format!("{HASH_PREFIX}{}", blake3::hash(secret.as_bytes())))
}

fn read(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let failed = |description: String| KeyFileError {
        path: path.to_owned(),
        errors: vec![DocumentError {
            path: String::new(),
            description,
        }],
    };
    let file = File::open(path).map_err(|error| failed(format!("it cannot be opened: {error}")))?;
    let mut text = Vec::new();
    let bytes_max = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bounded = file.take(bytes_max.saturating_add(1));
    bounded
        .read_to_end(&mut text)
        .map_err(|error| failed(format!("it cannot be read: {error}")))?;
    if text.len() <= FILE_BYTES_MAX {
        Ok(text)
    } else {
        Err(failed(format!("may have at most {FILE_BYTES_MAX} bytes")))
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<CallerKeys>, KeyFileError> {
    document::parse(text).map_err(|errors| KeyFileError {
        path: path.to_owned(),
        errors,
    })
}

#[cfg(test)]
mod tests;
