//! The policies that ship with Belay, one document each.

/// Name and document.
pub const ALL: &[(&str, &str)] = &[
    (
        "independent-site",
        include_str!("../../presets/independent-site.yaml"),
    ),
    (
        "cross-border-declaration",
        include_str!("../../presets/cross-border-declaration.yaml"),
    ),
    (
        "supplier-agreement",
        include_str!("../../presets/supplier-agreement.yaml"),
    ),
    (
        "seller-warehouse",
        include_str!("../../presets/seller-warehouse.yaml"),
    ),
    (
        "seller-center",
        include_str!("../../presets/seller-center.yaml"),
    ),
];

pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, document)| *document)
}
