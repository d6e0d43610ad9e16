//! The line that stands in a key file for a secret, and which secrets are too weak for one.

use super::HASH_PREFIX;

/// Fewest characters of a secret. It is hashed without salt or stretching, which suits what a
/// machine made up and no password.
pub const SECRET_CHARS_MIN: usize = 32;
/// Fewest bits of a secret, by `bits`.
pub const SECRET_BITS_MIN: u32 = 64;
/// Characters that make a repeated stretch.
const STRETCH_CHARS: usize = 4;

/// The line that stands in the file for this secret.
///
/// # Errors
/// What is wrong with a secret that is too short, too easily guessed, or cannot be sent in a
/// header.
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
    if bits(secret.as_bytes()) < f64::from(SECRET_BITS_MIN) {
        return Err(format!(
            "a secret must not be easily guessed: this one repeats itself, counts up or down, or has few \
             different characters. `openssl rand -hex {SECRET_CHARS_MIN}` makes a good one"
        ));
    }
    Ok(format!("{HASH_PREFIX}{}", blake3::hash(secret.as_bytes())))
}

/// How many bits a secret has at the most, as far as its looks tell: the characters that do not
/// follow from those before them, times the bits of one among as many as there are different ones.
/// A character follows where it goes on as the two before it do (`aaa`, `123`, `cba`), or where it
/// ends a stretch of four that was there before. There is no dictionary: words count in full, which
/// is why a machine is to make secrets up.
fn bits(secret: &[u8]) -> f64 {
    let step = |at: usize| i16::from(secret[at]) - i16::from(secret[at - 1]);
    let follows = |at: usize| {
        let goes_on = at >= 2 && step(at) == step(at - 1) && step(at).abs() <= 1;
        let stretch = (at + 1)
            .checked_sub(STRETCH_CHARS)
            .map(|from| &secret[from..=at]);
        let was_there = stretch.is_some_and(|stretch| {
            let before = &secret[..at];
            before
                .windows(STRETCH_CHARS)
                .any(|earlier| earlier == stretch)
        });
        goes_on || was_there
    };
    let fresh = (0..secret.len()).filter(|at| !follows(*at)).count();
    let mut different = secret.to_vec();
    different.sort_unstable();
    different.dedup();
    let of = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    of(fresh) * of(different.len()).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_fits_a_header() {
        const GOOD: &str = "9f1c7a40d2e85b36c04be7d19a6f3582";
        assert_eq!(
            hash_secret(GOOD).unwrap(),
            format!("blake3:{}", blake3::hash(GOOD.as_bytes()))
        );
        let short = hash_secret(&GOOD[1..]).unwrap_err();
        assert!(short.contains("at least 32 characters, this one has 31"));
        for odd in [
            "9f1c7a40d2e85b36 c04be7d19a6f3582",
            "é9f1c7a40d2e85b36c04be7d19a6f3582",
        ] {
            assert!(hash_secret(odd).unwrap_err().contains("printable ASCII"));
        }
    }

    #[test]
    fn a_secret_is_not_easily_guessed() {
        for weak in [
            "a".repeat(32),
            "ab".repeat(20),
            "0123456789abcdef".repeat(2),
            "fedcba9876543210".repeat(2),
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned(),
            "hunter2!".repeat(4),
            "web-0123456789abcdef0123456789abcdef".to_owned(),
            "00000000-0000-0000-0000-000000000001".to_owned(),
            "10010110011010011001011010010110".to_owned(),
        ] {
            let refused = hash_secret(&weak).unwrap_err();
            assert!(refused.contains("easily guessed"), "{weak}: {refused}");
            assert!(!refused.contains(&weak));
        }
    }

    #[test]
    fn the_bound_of_bits_holds_on_both_sides() {
        // 16 different characters have 4 bits each.
        let fresh = |count: usize| {
            let fresh = "9f1c7a40d2e85b36c04be7d19a6f3582";
            format!("{}{}", &fresh[..count], "6".repeat(32 - count))
        };
        // The first two of a run are not yet one: 16 of 15 different ones, and 17 of 16.
        assert!(hash_secret(&fresh(14)).is_err());
        assert!(hash_secret(&fresh(15)).is_ok());
    }

    #[test]
    fn what_a_machine_makes_up_is_never_refused() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let hex: String = (0..SECRET_CHARS_MIN).map(|_| random.digit(16)).collect();
            let digits: String = (0..SECRET_CHARS_MIN).map(|_| random.digit(10)).collect();
            assert!(hash_secret(&hex).is_ok(), "{hex}");
            assert!(hash_secret(&digits).is_ok(), "{digits}");
        }
    }
}
