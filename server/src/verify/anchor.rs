//! The anchor: the heads of all partitions as they were found, in a file away from the database.
//! Who writes a chain anew, or puts back an older copy of the whole database, does not reach it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use belay_domain::chain::{Break, Mark, Walk};
use serde::{Deserialize, Serialize};

/// Largest file, in bytes: far more than 65,535 partitions need.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A place in a partition, with what the chain was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchored {
    pub position: u64,
    /// None where no row was chained.
    pub mark: Option<Mark>,
}

/// A place in each partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anchor(BTreeMap<u16, Anchored>);

/// The reason why a file is no anchor.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    #[error("the anchor {file}: {error}")]
    File {
        file: PathBuf,
        error: std::io::Error,
    },
    #[error("{file} is no anchor: {cause}")]
    Malformed { file: PathBuf, cause: String },
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    partition: u16,
    position: u64,
    mark: Option<String>,
}

impl Anchored {
    pub(super) fn of(walk: &Walk<'_>) -> Self {
        Self {
            position: walk.position,
            mark: walk.mark(),
        }
    }

    /// What the chain is at this place now.
    pub(super) fn check(&self, walk: &Walk<'_>) -> Result<(), Break> {
        if self.mark == walk.mark() {
            Ok(())
        } else {
            Err(Break::Anchor {
                position: self.position,
            })
        }
    }
}

impl Anchor {
    pub(super) fn of(&self, partition: u16) -> Option<Anchored> {
        self.0.get(&partition).copied()
    }

    pub(super) fn set(&mut self, partition: u16, anchored: Anchored) {
        self.0.insert(partition, anchored);
    }

    /// Of a file; empty where there is none yet.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn read(file: &Path) -> Result<Self, AnchorError> {
        let failed = |error| AnchorError::File {
            file: file.to_owned(),
            error,
        };
        let malformed = |cause: String| AnchorError::Malformed {
            file: file.to_owned(),
            cause,
        };
        let length = match std::fs::metadata(file) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failed(error)),
        };
        if length > FILE_BYTES_MAX {
            return Err(malformed(format!("it has {length} bytes")));
        }
        let text = std::fs::read_to_string(file).map_err(failed)?;
        let mut anchor = Self::default();
        for line in text.lines() {
            let line: Line =
                serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
            let mark = match line.mark.as_deref().map(blake3::Hash::from_hex) {
                None => None,
                Some(Ok(hash)) => Some(Mark(hash.into())),
                Some(Err(error)) => return Err(malformed(error.to_string())),
            };
            let position = line.position;
            anchor.set(line.partition, Anchored { position, mark });
        }
        Ok(anchor)
    }

    /// The file is this anchor or what it was, whatever happens meanwhile.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), AnchorError> {
        let mut text = String::new();
        for (partition, anchored) in &self.0 {
            let mark = anchored.mark;
            let line = Line {
                partition: *partition,
                position: anchored.position,
                mark: mark.map(|mark| blake3::Hash::from_bytes(mark.0).to_hex().to_string()),
            };
            let line = serde_json::to_string(&line)
                .unwrap_or_else(|error| panic!("an anchor is plain data: {error}"));
            text.push_str(&line);
            text.push('\n');
        }
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let written = || {
            let mut new = std::fs::File::create(&beside)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&beside, file)
        };
        written().map_err(|error| AnchorError::File {
            file: file.to_owned(),
            error,
        })
    }
}
