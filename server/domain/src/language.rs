//! Texts for people in several languages, and which of them somebody gets who names some.
//!
//! Languages are BCP 47 tags of the usual form: a language, perhaps a script, perhaps a region. A
//! text is looked up as RFC 4647, 3.4 says.

use std::collections::BTreeMap;

/// Of a tag, in characters: RFC 5646, 4.4.1 has no longer ones that are not private.
pub const TAG_CHARS_MAX: usize = 35;
/// What people get whose languages are not there.
const FALLBACK: &str = "en";

/// One text by language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// The first of the wanted languages that is there, best first; else English, else the first by
    /// tag. The tag and the text; none where there is no text at all.
    pub fn best(&self, wanted: &[String]) -> Option<(&str, &str)> {
        let wanted = wanted.iter().find_map(|wanted| self.look_up(wanted));
        wanted
            .or_else(|| self.look_up(FALLBACK))
            .or_else(|| self.0.iter().next())
            .map(|(tag, text)| (tag.as_str(), text.as_str()))
    }

    /// The tag itself, or the nearest that is shorter.
    fn look_up(&self, wanted: &str) -> Option<(&String, &String)> {
        let mut range = wanted;
        loop {
            let mut labels = self.0.iter();
            let found = labels.find(|(tag, _)| tag.eq_ignore_ascii_case(range));
            if found.is_some() {
                return found;
            }
            range = shortened(range)?;
        }
    }
}

/// Without its last subtag, and without the one before it where that says only that another
/// follows: `zh-x-home` becomes `zh`.
fn shortened(range: &str) -> Option<&str> {
    let (shorter, _) = range.rsplit_once('-')?;
    match shorter.rsplit_once('-') {
        Some((shortest, single)) if single.len() == 1 => Some(shortest),
        Some(_) | None => Some(shorter),
    }
}

/// Whether a policy may have a text under this tag: a language of two or three small letters,
/// perhaps a script such as `Hant`, perhaps a region such as `AT` or `419`.
pub fn is_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-').peekable();
    let is_language = |subtag: &str| {
        matches!(subtag.len(), 2..=3) && subtag.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    if !subtags.next().is_some_and(is_language) {
        return false;
    }
    subtags.next_if(|subtag| is_script(subtag));
    subtags.next_if(|subtag| is_region(subtag));
    subtags.next().is_none()
}

fn is_script(subtag: &str) -> bool {
    let mut bytes = subtag.bytes();
    subtag.len() == 4
        && bytes.next().is_some_and(|byte| byte.is_ascii_uppercase())
        && bytes.all(|byte| byte.is_ascii_lowercase())
}

fn is_region(subtag: &str) -> bool {
    let all = |is: fn(&u8) -> bool| subtag.as_bytes().iter().all(is);
    match subtag.len() {
        2 => all(u8::is_ascii_uppercase),
        3 => all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether somebody may ask for this language: subtags of letters and digits, in any case, of any
/// kind that BCP 47 has.
pub fn is_range(range: &str) -> bool {
    let is_subtag = |subtag: &str| {
        matches!(subtag.len(), 1..=8) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let starts_with_a_letter = range.starts_with(|first: char| first.is_ascii_alphabetic());
    starts_with_a_letter && range.len() <= TAG_CHARS_MAX && range.split('-').all(is_subtag)
}

/// What a code says where nobody wrote a label: `NO_LONGER_WANTED` is "No longer wanted".
pub fn spoken(code: &str) -> String {
    let words = code.replace('_', " ").to_ascii_lowercase();
    let mut characters = words.chars();
    let first = characters.next();
    first
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(characters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(tags: &[&str]) -> Labels {
        let label = |tag: &&str| ((*tag).to_owned(), format!("in {tag}"));
        Labels(tags.iter().map(label).collect())
    }

    fn best<'a>(labels: &'a Labels, wanted: &[&str]) -> &'a str {
        let wanted: Vec<String> = wanted.iter().map(|tag| (*tag).to_owned()).collect();
        labels.best(&wanted).expect("a label").0
    }

    #[test]
    fn a_language_is_looked_up_from_its_longest_form_to_its_shortest() {
        let labels = labels(&["de", "de-AT", "en", "zh-Hant"]);
        for (wanted, found) in [
            ("de", "de"),
            ("DE", "de"),
            ("de-at", "de-AT"),
            ("de-CH", "de"),
            ("de-CH-1996", "de"),
            ("zh-Hant-TW", "zh-Hant"),
            ("zh-Hant-x-home", "zh-Hant"),
        ] {
            assert_eq!(best(&labels, &[wanted]), found, "{wanted}");
        }
        // A shorter range does not find a longer tag, nor another language.
        assert_eq!(best(&labels, &["zh", "fr", "de"]), "de");
    }

    #[test]
    fn who_finds_none_gets_english_or_else_the_first() {
        assert_eq!(best(&labels(&["de", "en", "fr"]), &["it"]), "en");
        assert_eq!(best(&labels(&["de", "en", "fr"]), &[]), "en");
        assert_eq!(best(&labels(&["fr", "de"]), &["it"]), "de");
        assert_eq!(labels(&[]).best(&["en".to_owned()]), None);
    }

    #[test]
    fn tags_of_policies_have_one_form() {
        for tag in ["de", "deu", "de-AT", "zh-Hant", "zh-Hant-TW", "es-419"] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in [
            "",
            "d",
            "DE",
            "De",
            "deut",
            "de-at",
            "de_AT",
            "zh-hant",
            "zh-TW-Hant",
            "de-",
            "-AT",
            "de-AT-1996",
            "es-41",
            "ae\u{301}",
        ] {
            assert!(!is_tag(tag), "{tag}");
        }
    }

    #[test]
    fn ranges_may_be_longer_and_of_any_case() {
        let longest = format!(
            "de-{}-{}-{}-abcde",
            "a".repeat(8),
            "b".repeat(8),
            "c".repeat(8)
        );
        assert_eq!(longest.len(), TAG_CHARS_MAX);
        for range in ["de", "DE-at", "zh-x-home", "i-klingon", &longest] {
            assert!(is_range(range), "{range}");
        }
        let too_long = format!("{longest}f");
        for range in [
            "",
            "*",
            "de_AT",
            "de-",
            "de--AT",
            "1e",
            "abcdefghi",
            "dé",
            &too_long,
        ] {
            assert!(!is_range(range), "{range}");
        }
    }

    #[test]
    fn a_code_can_be_spoken() {
        assert_eq!(spoken("NO_LONGER_WANTED"), "No longer wanted");
        assert_eq!(spoken("A"), "A");
    }
}
