//! A quote as a word that callers keep for a while and give back: a version, and the bargain itself. There is no seal on it: what
//! is asked with it is decided afresh and compared, so who changes it only misses the present.

use belay_domain::commands::BoundQuote;

const VERSION: u8 = 1;
/// The digits of base64 that pass through URLs, without padding.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn write(quote: &BoundQuote) -> String {
    let json = serde_json::to_vec(quote).unwrap_or_else(|error| panic!("a quote is plain data: {error}"));
    let bytes = [&[VERSION], json.as_slice()].concat();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(char::from(DIGITS[usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default()]));
        }
    }
    text
}

/// `None` for what is none of ours.
pub(crate) fn read(text: &str) -> Option<BoundQuote> {
    let digits = text.bytes().map(|digit| DIGITS.iter().position(|known| *known == digit));
    let digits: Vec<usize> = digits.collect::<Option<_>>()?;
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bytes.extend((1..four.len()).map(|place| u8::try_from(bits >> (24 - 8 * place) & 255).unwrap_or_default()));
    }
    match bytes.split_first()? {
        (&VERSION, json) => serde_json::from_slice(json).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::cancellation::{Deductions, Path};
    use belay_domain::commands::{Quote, QuotedPart};
    use belay_domain::money::Amounts;
    use belay_domain::units::{UnitRange, UnitSet};
    use jiff::Timestamp;

    use super::*;

    fn quote(rule: &str) -> BoundQuote {
        let part = QuotedPart {
            shipment: 1,
            units: UnitSet::new([UnitRange { line: 1, first: 0, count: 2 }]),
            path: Path::Cancel,
            rule: Some(rule.to_owned()),
            gates: vec![],
            refund: Amounts::ZERO,
            deductions: Deductions::default(),
        };
        let quote = Quote { policy_version: 3, reason: None, counted: false, effects: vec![], parts: vec![part] };
        BoundQuote { quote, valid_until: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_quote_comes_back_as_it_was_given() {
        // Every remainder of three bytes.
        for rule in ["a", "ab", "abc", "äöü"] {
            let text = write(&quote(rule));
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
            assert_eq!(read(&text), Some(quote(rule)));
        }
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        let text = write(&quote("a"));
        let other_version = format!("C{}", &text[1..]);
        for odd in ["A", "AQ", "quote", "A===", "é", &text[1..], &text[..text.len() - 3], &other_version] {
            assert_eq!(read(odd), None, "{odd:?}");
        }
    }
}
