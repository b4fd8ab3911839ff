//! Which stage is meant by a name or a number.

use jettison_dockerfile::Stage;

use super::place::Source;
use crate::error::BuildError;

/// The stage that is built: by name, the last where nothing is said.
pub fn target(source: &Source, wanted: Option<&str>) -> Result<usize, BuildError> {
    let stages = source.dockerfile.stages();
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        return stages.len().checked_sub(1).ok_or_else(|| BuildError::new(format!("{} has no stage", source.name)));
    };
    if let Some(stage) = source.dockerfile.stage(wanted) {
        return Ok(stage.index);
    }
    Err(BuildError::with_hint(format!("{} has no stage `{wanted}`", source.name), Some(there_are(stages))))
}

/// The stages that there are, for hints.
pub fn there_are(stages: &[Stage]) -> String {
    let names: Vec<String> = stages
        .iter()
        .map(|stage| stage.name.as_ref().map_or_else(|| stage.index.to_string(), |name| format!("`{name}`")))
        .collect();
    format!("there are {}", names.join(", "))
}

/// The name that is most like `word`, if it is much like it.
pub fn similar<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let best = names.map(|name| (strsim::damerau_levenshtein(word, name), name)).min();
    best.filter(|(distance, name)| *distance > 0 && *distance <= 2 && name.len() > 2).map(|(_, name)| name)
}
