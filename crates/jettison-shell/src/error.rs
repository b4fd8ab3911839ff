//! What a script has that no shell reads.

use std::ops::Range;

/// Something that could not be read. The rest of the script was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// What.
    pub kind: ParseErrorKind,
    /// Where.
    pub range: Range<usize>,
}

/// What is wrong with a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// A quote, an expansion or a compound command that does not end.
    #[error("`{opened}` has no `{missing}`")]
    Open {
        /// What began.
        opened: &'static str,
        /// What would end it.
        missing: &'static str,
    },
    /// Something at a place where it has no meaning.
    #[error("`{0}` is not expected here")]
    Unexpected(String),
    /// Something that must be there is not.
    #[error("{0} is missing here")]
    Missing(&'static str),
    /// A heredoc whose delimiter never comes.
    #[error("the heredoc has no line `{0}` at its end")]
    OpenHeredoc(String),
    /// More nesting than is read.
    #[error("this is nested too deep to be read")]
    TooDeep,
}

impl ParseError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ParseErrorKind::Open { missing, .. } => Some(format!("add the `{missing}`, or quote what began it")),
            ParseErrorKind::OpenHeredoc(delimiter) => {
                Some(format!("`{delimiter}` must stand alone on its line, without white space around it"))
            }
            ParseErrorKind::Unexpected(_) | ParseErrorKind::Missing(_) | ParseErrorKind::TooDeep => None,
        }
    }
}
