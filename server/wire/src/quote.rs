//! A quote as a word that callers keep for a while and give back: a version, and the bargain
//! itself, sealed. What is asked with it is decided afresh and compared; the seal keeps its
//! validity from being moved, and the money in it from those who are shown none.

use belay_domain::commands::BoundQuote;

use crate::pages::TokenCipher;

const VERSION: u8 = 3;
/// What the key of quotes is derived for.
const KEY_CONTEXT: &str = "belay 2026 quotes";
/// The digits of base64 that pass through URLs, without padding.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The word that stands for a quote.
pub fn write(quote: &BoundQuote, identity_key: &[u8; 32]) -> String {
    let json =
        serde_json::to_vec(quote).unwrap_or_else(|error| panic!("a quote is plain data: {error}"));
    let closed = TokenCipher::new(KEY_CONTEXT, identity_key).close(&json, &[]);
    let bytes = [&[VERSION], closed.as_slice()].concat();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(char::from(
                DIGITS[usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default()],
            ));
        }
    }
    text
}

/// `None` for what is none of ours, or was changed.
pub fn read(text: &str, identity_key: &[u8; 32]) -> Option<BoundQuote> {
    let digits = text
        .bytes()
        .map(|digit| DIGITS.iter().position(|known| *known == digit));
    let digits: Vec<usize> = digits.collect::<Option<_>>()?;
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bytes.extend(
            (1..four.len())
                .map(|place| u8::try_from(bits >> (24 - 8 * place) & 255).unwrap_or_default()),
        );
    }
    match bytes.split_first()? {
        (&VERSION, closed) => {
            let json = TokenCipher::new(KEY_CONTEXT, identity_key).open(closed, &[])?;
            serde_json::from_slice(&json).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Role;
    use belay_domain::cancellation::Deductions;
    use belay_domain::commands::{Quote, QuotedPart};
    use belay_domain::ids::{OrderId, StoreId};
    use belay_domain::money::Amounts;
    use belay_domain::terms::Path;
    use belay_domain::units::{UnitRange, UnitSet};
    use jiff::Timestamp;

    use super::*;

    const KEY: &[u8; 32] = &[7; 32];

    fn quote(rule: &str) -> BoundQuote {
        let part = QuotedPart {
            shipment: 1,
            units: UnitSet::new([UnitRange {
                line: 1,
                first: 0,
                count: 2,
            }]),
            path: Path::Cancel,
            rule: Some(rule.to_owned()),
            gates: vec![],
            credit: Amounts::ZERO,
            deductions: Deductions::default(),
        };
        let quote = Quote {
            store: StoreId::parse("shop").unwrap(),
            order: OrderId::parse("A-1").unwrap(),
            requester: Role::Buyer,
            policy_version: 3,
            reason: None,
            counted: false,
            effects: vec![],
            parts: vec![part],
            refund: Amounts::ZERO,
            release: 0,
        };
        BoundQuote {
            quote,
            valid_until: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_quote_comes_back_as_it_was_given() {
        // Every remainder of three bytes.
        for rule in ["a", "ab", "abc", "äöü"] {
            let text = write(&quote(rule), KEY);
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
                "{text}"
            );
            assert_eq!(read(&text, KEY), Some(quote(rule)));
        }
    }

    #[test]
    fn a_quote_with_another_validity_is_none_of_ours() {
        let text = write(&quote("a"), KEY);
        assert_eq!(read(&text, &[8; 32]), None, "another database sealed it");
        let later = BoundQuote {
            valid_until: Timestamp::MAX,
            ..quote("a")
        };
        let forged = write(&later, &[8; 32]);
        assert_eq!(read(&forged, KEY), None);
        // The seal of the one before the bargain of the other.
        let seal_chars = 44;
        let sealed = write(&later, KEY);
        assert_eq!(read(&sealed, KEY), Some(later), "only Belay moves it");
        let forged = format!("{}{}", &text[..seal_chars], &sealed[seal_chars..]);
        assert_eq!(read(&forged, KEY), None);
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        let text = write(&quote("a"), KEY);
        let other_version = format!("C{}", &text[1..]);
        for odd in [
            "A",
            "AQ",
            "quote",
            "A===",
            "é",
            &text[1..],
            &text[..text.len() - 3],
            &other_version,
        ] {
            assert_eq!(read(odd, KEY), None, "{odd:?}");
        }
    }
}
