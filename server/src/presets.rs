//! The policies that ship with Belay, one document each.

/// Name and document.
pub const ALL: &[(&str, &str)] = &[("independent-site", include_str!("../presets/independent-site.yaml"))];

pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, document)| *document)
}
