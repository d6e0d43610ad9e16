//! The key file: who may call with which secret or certificate, in which role, and how far they
//! see.
//!
//! The file holds hashes and no secrets. It is read when the server starts, which fails on any
//! error, and looked at again every [`RELOAD_INTERVAL`]. A change is taken when two looks in a row
//! have found the same, so that a file that is being written widens nobody; one with errors changes
//! nothing, so that a slip of the pen locks nobody out.

mod difference;
mod document;
mod known;
mod secret;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use belay_domain::document::DocumentError;

pub use self::difference::{Difference, TOLD_MAX, told};
pub(crate) use self::known::Credential;
use self::known::{Entry, KnownCallers};
pub use self::secret::{SECRET_BITS_MIN, SECRET_CHARS_MIN, hash_secret};
use super::peer::PeerName;
use crate::telemetry::logins::Cause;
use crate::trusted_file::{self, Looks};

/// Between two looks at the file.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Callers in one file.
pub const CALLERS_MAX: usize = 1_000;
/// Secrets of one caller: the one in use, the one that comes next, and some for the slow.
pub const SECRETS_MAX: usize = 4;
/// Names of one caller in certificates.
pub const CERTIFICATES_MAX: usize = 4;

/// What a hash begins with in the file, for there may be others one day.
pub(super) const HASH_PREFIX: &str = "blake3:";

/// A key file, as it was when it last had no error.
pub struct KeyFile {
    path: PathBuf,
    known: RwLock<Arc<KnownCallers>>,
    looks: Mutex<Looks>,
}

/// The outcome of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// Nothing is to be done: the file is as it was, or has changed just now.
    Unchanged,
    /// The file was taken.
    Taken(Difference),
    /// The callers are those from before.
    Invalid(KeyFileError),
}

/// The error of a key file that cannot be taken, with every error in it.
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
        let callers = self.known().entries.len();
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("callers", &callers)
            .finish_non_exhaustive()
    }
}

impl KeyFile {
    /// # Errors
    /// Where the file cannot be read, has errors, or others may write it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        let file = read(&path)?;
        file.warn_of_readers(&path, "hashes of secrets");
        let known = KnownCallers::of(parse(&path, &file.bytes)?);
        Ok(Self {
            path,
            known: RwLock::new(Arc::new(known)),
            looks: Mutex::new(Looks::after(blake3::hash(&file.bytes))),
        })
    }

    /// What the file says of who has this secret.
    pub(super) fn by_secret(&self, token: &str) -> Option<Credential> {
        self.known().by_secret(token)
    }

    /// What the file says of who has a certificate with these names.
    pub(super) fn by_names(&self, names: &[PeerName]) -> Result<Option<Credential>, Cause> {
        self.known().by_names(names)
    }

    /// Looks at the file again.
    pub fn reload(&self) -> Reload {
        let read = read(&self.path);
        let look = read.as_ref().map(|file| blake3::hash(&file.bytes));
        let found = trusted_file::found(look);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if !looks.is_to_be_checked(found) {
            return Reload::Unchanged;
        }
        match read.and_then(|file| parse(&self.path, &file.bytes)) {
            Ok(entries) => Reload::Taken(self.take(entries)),
            Err(error) => Reload::Invalid(error),
        }
    }

    /// From here on calls find these callers, and sessions of others end.
    fn take(&self, entries: Vec<Entry>) -> Difference {
        let mut next = KnownCallers::of(entries);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let difference = Difference::between(&known.entries, &next.entries);
        next.succeed(&known);
        *known = Arc::new(next);
        difference
    }

    fn known(&self) -> Arc<KnownCallers> {
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

fn read(path: &Path) -> Result<trusted_file::Read, KeyFileError> {
    trusted_file::read(path, FILE_BYTES_MAX).map_err(|description| KeyFileError {
        path: path.to_owned(),
        errors: vec![DocumentError {
            path: String::new(),
            description,
        }],
    })
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<Entry>, KeyFileError> {
    document::parse(text).map_err(|errors| KeyFileError {
        path: path.to_owned(),
        errors,
    })
}

#[cfg(test)]
mod tests;
