//! The name that was meant, perhaps.

/// The one of `known` that is at most two letters away from `name`, as BuildKit's "did you mean" has it: of several the first nearest.
pub(crate) fn similar<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().map(|other| (strsim::levenshtein(name, other), other));
    near.filter(|(distance, _)| (1..=2).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}
