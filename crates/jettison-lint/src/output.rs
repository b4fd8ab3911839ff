//! What was found, in the formats that people and programs read. Each is a function from reports to text, in a file of its own.

mod checkstyle;
mod github;
mod gitlab;
mod json;
mod junit;
mod sarif;
mod text;
mod xml;

use crate::report::Report;
use std::borrow::Cow;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// For people: snippets of the file with what is wrong underlined.
    Text {
        /// Whether to use the colours of a terminal.
        colour: bool,
    },
    /// One JSON object; `docs/lint.md` describes it.
    Json,
    /// SARIF 2.1.0 (OASIS), for code scanning.
    Sarif,
    /// Workflow commands of GitHub Actions, which become annotations.
    Github,
    /// A Code Quality report of GitLab (the format of Code Climate).
    Gitlab,
    /// Checkstyle's XML.
    Checkstyle,
    /// JUnit's XML: a test case for each finding, and one for each clean file.
    Junit,
}

/// The reports in a format. What is for people or is a list of lines is empty where there is nothing to say; the documents never are.
pub fn render(reports: &[Report], format: Format) -> String {
    match format {
        Format::Text { colour } => text::render(reports, colour),
        Format::Json => json::render(reports),
        Format::Sarif => sarif::render(reports),
        Format::Github => github::render(reports),
        Format::Gitlab => gitlab::render(reports),
        Format::Checkstyle => checkstyle::render(reports),
        Format::Junit => junit::render(reports),
    }
}

/// A number of bytes as people say it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Text that cannot drive a terminal: control characters but newline and tab are escaped.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_harmless(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

#[cfg(test)]
mod tests;
