//! TOML files of a project, read with places for their errors.

use serde::de::DeserializeOwned;

use crate::place::Place;

/// A TOML file is malformed, or holds a value of the wrong shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct TomlError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub message: String,
    /// The line's text.
    pub line: String,
}

/// Deserializes `text`, the content of `file`.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, TomlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|e| {
        let place = match e.span() {
            Some(span) => Place::at(file, text, span.start),
            None => Place::file(file),
        };
        let line = place.line.checked_sub(1).and_then(|index| text.lines().nth(index)).unwrap_or_default();
        TomlError { message: e.message().trim().replace('\n', ", "), line: line.to_owned(), place }
    })
}
