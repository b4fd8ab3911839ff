//! Where in a Dockerfile something stands, and errors that say so: file, line, column, and the line itself.

use std::fmt;
use std::sync::Arc;

use jettison_dockerfile::{Dockerfile, ExpandError, Problem, Span, Word};

use crate::error::BuildError;

/// A Dockerfile with the name that messages call it by.
#[derive(Debug)]
pub struct Source {
    /// Its path as the user wrote it, `-` for standard input.
    pub name: String,
    /// What is in it.
    pub dockerfile: Dockerfile,
}

/// Where an instruction, or a word of it, stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line.
    text: String,
    /// The trigger that stands behind this `FROM`, in the image that it names.
    trigger: Option<String>,
}

impl Source {
    /// Parses a Dockerfile.
    pub fn parse(name: impl Into<String>, text: &str) -> Self {
        Self { name: name.into(), dockerfile: Dockerfile::parse(text) }
    }

    /// Refuses a file of which nothing can be built.
    pub fn check(&self) -> Result<(), BuildError> {
        self.dockerfile.error().map_or(Ok(()), |problem| Err(self.error(problem)))
    }

    /// The place of the first byte of a span.
    pub fn place(&self, span: Span) -> Place {
        let position = self.dockerfile.position(span.start);
        Place {
            file: self.name.as_str().into(),
            line: position.line,
            column: position.column,
            text: self.dockerfile.line(position.line).unwrap_or_default().trim_end().to_owned(),
            trigger: None,
        }
    }

    /// A problem of the parser as an error.
    pub fn error(&self, problem: &Problem) -> BuildError {
        self.place(problem.span).error(problem.kind.to_string(), problem.hint())
    }
}

impl Place {
    /// The same place, for a trigger of the image that is named there.
    pub fn of_trigger(self, trigger: impl Into<String>) -> Self {
        Self { trigger: Some(trigger.into()), ..self }
    }

    /// Whether what stands here comes from a trigger of an image.
    pub fn is_trigger(&self) -> bool {
        self.trigger.is_some()
    }

    /// An error that happened here.
    pub fn error(&self, what: impl fmt::Display, hint: Option<String>) -> BuildError {
        let mut message = format!("{self}: {what}\n{:>5} | {}", self.line, self.text);
        if let Some(trigger) = &self.trigger {
            message.push_str(&format!("\n      | ONBUILD {trigger}"));
        }
        BuildError::with_hint(message, hint)
    }

    /// Says of an error where it happened. Whether trying again may help is kept.
    pub fn put(&self, error: BuildError) -> BuildError {
        let hint = error.hint_text().map(str::to_owned);
        self.error(&error, hint).transient(error.is_transient())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where the words of an instruction stand: in the file, or in a trigger that has no place in it.
#[derive(Debug, Clone)]
pub enum Words<'s> {
    /// In the file.
    Of(&'s Source),
    /// In a trigger of the image that is named here.
    Trigger(Place),
}

impl Words<'_> {
    /// The place of a span.
    pub fn place(&self, span: Span) -> Place {
        match self {
            Self::Of(source) => source.place(span),
            Self::Trigger(place) => place.clone(),
        }
    }

    /// The error of a word that cannot be expanded.
    pub fn expand_error(&self, word: &Word, error: &ExpandError) -> BuildError {
        self.place(error.span_in(word)).error(error, error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_the_line() {
        let error = Source::parse("docker/Dockerfile", "FROM scratch\nRUM x\n").check().unwrap_err();
        insta::assert_snapshot!(error, @r"
        docker/Dockerfile:2:1: unknown instruction `RUM`
            2 | RUM x
        ");
        assert!(error.hint_text().unwrap().contains("RUN"), "{error:?}");
        let source = Source::parse("-", "FROM a\n");
        let place = source.place(Span::new(5, 6)).of_trigger("RUN x");
        insta::assert_snapshot!(place.error("no", None), @r"
        -:1:6: no
            1 | FROM a
              | ONBUILD RUN x
        ");
    }
}
