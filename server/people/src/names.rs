//! Names on the command line.

/// The value of this name, in any case and with dashes for its underscores.
pub(crate) fn named<T: Copy + ToString>(name: &str, known: &[T]) -> Result<T, String> {
    let is_meant = |value: &&T| {
        let known = value.to_string();
        known.eq_ignore_ascii_case(&name.replace('-', "_"))
    };
    known.iter().find(is_meant).copied().ok_or_else(|| {
        let names: Vec<String> = known.iter().map(ToString::to_string).collect();
        format!("must be one of {}", names.join(", "))
    })
}
