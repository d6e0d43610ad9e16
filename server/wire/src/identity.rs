//! The identity of a buyer, as something that can be compared and not read back.

use belay_domain::order::IdentityHash;

/// Of an e-mail address.
pub fn email(key: &[u8; 32], address: &str) -> IdentityHash {
    keyed_hash(key, "email", address)
}

/// Of a user name.
pub fn username(key: &[u8; 32], name: &str) -> IdentityHash {
    keyed_hash(key, "username", name)
}

/// The kind goes in as well: an e-mail address that somebody took as a user name is another
/// identity.
fn keyed_hash(key: &[u8; 32], kind: &str, text: &str) -> IdentityHash {
    let normal = text.trim().to_lowercase();
    *blake3::keyed_hash(key, format!("{kind}:{normal}").as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_surrounding_space_do_not_matter_and_the_kind_does() {
        let key = [7; 32];
        assert_eq!(
            email(&key, " Ann@Example.com "),
            email(&key, "ann@example.COM")
        );
        assert_ne!(
            email(&key, "ann@example.com"),
            username(&key, "ann@example.com")
        );
        assert_ne!(
            email(&key, "ann@example.com"),
            email(&[8; 32], "ann@example.com")
        );
    }
}
