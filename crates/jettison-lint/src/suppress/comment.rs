//! The comments themselves: `# jettison: ignore=…`, `# hadolint ignore=…` and BuildKit's `# check=skip=…` above an instruction.

use std::ops::Range;

/// A comment that says what is to be ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Comment {
    /// Ours.
    Ours {
        /// How far it reaches.
        reach: Reach,
        /// Its words, as ranges of the comment.
        words: Vec<Range<usize>>,
    },
    /// hadolint's.
    Hadolint {
        /// How far it reaches.
        reach: Reach,
        /// Its words, as ranges of the comment.
        words: Vec<Range<usize>>,
    },
    /// BuildKit's, about the instruction below.
    BuildKit {
        /// Its words, as ranges of the comment.
        words: Vec<Range<usize>>,
    },
    /// One that begins as ours do, and does not go on so.
    Malformed,
}

/// How far a comment reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// What is next to it.
    Here,
    /// The whole file.
    File,
}

impl Comment {
    /// Reads a comment from its `#` on; `None` for one that says something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.trim_start_matches('#').trim_start();
        if let Some(rest) = rest.strip_prefix("jettison:") {
            let rest = rest.trim_start();
            let (reach, rest) = match rest.strip_prefix("ignore-file") {
                Some(rest) => (Reach::File, rest),
                None => (Reach::Here, rest.strip_prefix("ignore").unwrap_or("?")),
            };
            let words = list(text, rest).filter(|words| !words.is_empty());
            return Some(words.map_or(Self::Malformed, |words| Self::Ours { reach, words }));
        }
        if let Some(rest) = rest.strip_prefix("check") {
            let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix("skip")?;
            return Some(Self::BuildKit { words: list(text, rest)? });
        }
        let rest = rest.strip_prefix("hadolint")?.strip_prefix(char::is_whitespace)?.trim_start();
        let (reach, rest) = match rest.strip_prefix("global") {
            Some(rest) => (Reach::File, rest.strip_prefix(char::is_whitespace)?.trim_start()),
            None => (Reach::Here, rest),
        };
        // hadolint has other comments, too.
        let words = list(text, rest.strip_prefix("ignore")?)?;
        Some(Self::Hadolint { reach, words })
    }
}

/// `= A, B why`: the words, up to the first blank that is not beside a comma. `rest` is the end of `text`.
fn list(text: &str, rest: &str) -> Option<Vec<Range<usize>>> {
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let mut words = Vec::new();
    let mut at = text.len() - rest.len();
    loop {
        let rest = &text[at..];
        let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
        if end > 0 {
            words.push(at..at + end);
        }
        let after = rest[end..].trim_start();
        let Some(next) = after.strip_prefix(',') else { return Some(words) };
        at = text.len() - next.trim_start().len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read() {
        for (text, expected) in [
            ("# jettison: ignore=JET101", "ours Here JET101"),
            ("#jettison:ignore = JET101 , no-such,DL3008 because it is so, really", "ours Here JET101|no-such|DL3008"),
            ("## jettison: ignore-file=all", "ours File all"),
            ("# jettison: ignore=,", "malformed"),
            ("# jettison: ignore", "malformed"),
            ("# jettison: ignored=x", "malformed"),
            ("# jettison is nice", "-"),
            ("# hadolint ignore=DL3008,SC2086", "hadolint Here DL3008|SC2086"),
            ("#  hadolint   ignore = DL3008, SC2086", "hadolint Here DL3008|SC2086"),
            ("# hadolint global ignore=DL3008", "hadolint File DL3008"),
            ("# hadolint shell=bash", "-"),
            ("# check=skip=UndefinedVar, JSONArgsRecommended", "check UndefinedVar|JSONArgsRecommended"),
            ("# check=error=true", "-"),
            ("# check the skip=x", "-"),
            ("# hadolintignore=x", "-"),
            ("# ignore=x", "-"),
            ("#", "-"),
        ] {
            let all = |words: &[Range<usize>]| words.iter().map(|r| &text[r.clone()]).collect::<Vec<_>>().join("|");
            let read = match Comment::parse(text) {
                Some(Comment::Ours { reach, words }) => format!("ours {reach:?} {}", all(&words)),
                Some(Comment::Hadolint { reach, words }) => format!("hadolint {reach:?} {}", all(&words)),
                Some(Comment::BuildKit { words }) => format!("check {}", all(&words)),
                Some(Comment::Malformed) => "malformed".to_owned(),
                None => "-".to_owned(),
            };
            assert_eq!(read, expected, "{text}");
        }
    }
}
