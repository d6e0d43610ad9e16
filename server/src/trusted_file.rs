//! Files that say whom to trust: only those who may write them are believed, no more than so much
//! is read, and a change counts once it has been seen twice. What is in one is for others to know.

mod permissions;

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use blake3::Hash;

use self::permissions::Readers;

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) bytes: Vec<u8>,
    readers: Readers,
}

impl Read {
    /// Warns where everybody on the machine may read what `holds` names.
    pub(crate) fn warn_of_readers(&self, path: &Path, holds: &'static str) {
        if self.readers == Readers::Everybody {
            tracing::warn!(
                path = %path.display(),
                holds,
                "everybody on this machine may read the file; only the server needs to (chmod o-r)"
            );
        }
    }
}

/// Reads a file whose writers are trusted: only its owner may write it, who is root or the user of
/// this process.
///
/// # Errors
/// Why it is not read, without its path.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Read, String> {
    let file = File::open(path).map_err(|error| format!("it cannot be opened: {error}"))?;
    let metadata = file.metadata();
    let metadata = metadata.map_err(|error| format!("it cannot be looked at: {error}"))?;
    let readers = permissions::check(&metadata)?;
    let mut bytes = Vec::new();
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bounded = file.take(bound.saturating_add(1));
    let read = bounded.read_to_end(&mut bytes);
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() <= bytes_max {
        Ok(Read { bytes, readers })
    } else {
        Err(format!("may have at most {bytes_max} bytes"))
    }
}

/// What a look has found, as far as it is compared with the next one: the bytes, or why there are
/// none.
pub(crate) fn found(look: Result<Hash, impl Display>) -> Hash {
    match look {
        Ok(bytes) => bytes,
        Err(error) => blake3::hash(error.to_string().as_bytes()),
    }
}

/// The looks at something, with which the next one is compared.
#[derive(Debug)]
pub(crate) struct Looks {
    /// What was tried last: it is in use, or was told to be faulty.
    checked: Hash,
    last: Hash,
}

impl Looks {
    /// After this was taken.
    pub(crate) fn after(taken: Hash) -> Self {
        Self {
            checked: taken,
            last: taken,
        }
    }

    /// Whether what a look finds is to be tried: it is new, and was the same at two looks, so that
    /// it is not half written.
    pub(crate) fn is_to_be_checked(&mut self, found: Hash) -> bool {
        let is_settled = self.last == found;
        self.last = found;
        if is_settled && self.checked != found {
            self.checked = found;
            return true;
        }
        false
    }
}

/// A file that goes with a test.
#[cfg(test)]
pub(crate) struct Scratch(pub(crate) std::path::PathBuf);

#[cfg(test)]
impl Scratch {
    pub(crate) fn holding(text: &str) -> Self {
        let name = format!("belay-scratch-{}", crate::ids::request_id());
        let scratch = Self(std::env::temp_dir().join(name));
        scratch.write(text);
        scratch
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
        self.set_mode(0o600);
    }

    pub(crate) fn set_mode(&self, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_checked_once_and_only_after_two_looks_that_agree() {
        let [first, second, third] = [b"1", b"2", b"3"].map(|text| blake3::hash(text));
        let mut looks = Looks::after(first);
        let found = [
            (first, false),
            (second, false),
            // Still being written.
            (third, false),
            (third, true),
            (third, false),
            (second, false),
            (second, true),
            // Back to what is in use, or was: the last that was checked is what counts.
            (third, false),
            (second, false),
            (second, false),
        ];
        for (step, (hash, expected)) in found.into_iter().enumerate() {
            assert_eq!(looks.is_to_be_checked(hash), expected, "step {step}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let file = Scratch::holding("12345");
        let path = &file.0;
        assert_eq!(read(path, 5).unwrap().bytes, b"12345");
        assert_eq!(read(path, 4).unwrap_err(), "may have at most 4 bytes");
        let reason = |path: &Path| read(path, 4).unwrap_err();
        let folder = path.parent().unwrap();
        assert!(reason(&path.join("below")).starts_with("it cannot be opened"));
        assert!(!reason(folder).is_empty());
        file.set_mode(0o620);
        assert!(reason(path).contains("mode 620"));
    }
}
