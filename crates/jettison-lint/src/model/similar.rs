//! The name that was meant, perhaps.

/// The one of `known` that is at most two letters away from `name`, as BuildKit's "did you mean" has it: of several the first nearest.
/// What no `${…}` can name is not meant.
pub(crate) fn similar<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().map(|other| (strsim::levenshtein(name, other), other));
    let is_name = |other: &str| other.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    near.filter(|(distance, other)| (1..=2).contains(distance) && is_name(other))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}
