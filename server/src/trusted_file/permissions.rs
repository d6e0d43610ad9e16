//! The permissions of a file that says whom to trust: who may write and read it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const OTHERS_READ: u32 = 0o004;
const ROOT: u32 = 0;

/// The readers that a file may have to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    Few,
    /// Everybody on the machine. Secrets that a cluster mounts are so, so that is no reason to
    /// refuse it.
    Everybody,
}

/// Whether the file may be taken: only its owner may write it, and the owner is root or the user
/// that this process runs as. Of a file that is open, so that it is the one that is read.
pub(super) fn check(file: &Metadata) -> Result<Readers, String> {
    let user = rustix::process::geteuid().as_raw();
    check_bits(file.mode(), file.uid(), user)
}

fn check_bits(mode: u32, owner: u32, user: u32) -> Result<Readers, String> {
    if mode & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(format!(
            "may be written by its group or by others (mode {:03o}): who writes it says whom to trust. Take \
             it away with `chmod go-w`",
            mode & 0o777
        ));
    }
    if owner != ROOT && owner != user {
        return Err(format!(
            "belongs to user {owner}, and must belong to root or to the user of this process, {user}"
        ));
    }
    if mode & OTHERS_READ == 0 {
        Ok(Readers::Few)
    } else {
        Ok(Readers::Everybody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_or_the_user_of_the_process_may_write_it() {
        const USER: u32 = 1_000;
        for (mode, owner, expected) in [
            (0o600, USER, Some(Readers::Few)),
            (0o400, ROOT, Some(Readers::Few)),
            (0o640, ROOT, Some(Readers::Few)),
            (0o750, USER, Some(Readers::Few)),
            (0o644, USER, Some(Readers::Everybody)),
            (0o604, ROOT, Some(Readers::Everybody)),
            (0o620, USER, None),
            (0o602, USER, None),
            (0o666, USER, None),
            (0o664, ROOT, None),
            (0o600, 1_001, None),
        ] {
            let found = check_bits(0o100_000 | mode, owner, USER);
            assert_eq!(
                found.clone().ok(),
                expected,
                "{mode:o} of {owner}: {found:?}"
            );
        }
        assert!(
            check_bits(0o100_666, USER, USER)
                .unwrap_err()
                .contains("mode 666")
        );
    }
}
