//! What was found, for people and programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use jettison_build::{BuildError, Context as _};
use jettison_lint::{Fixable, Report, Safety, Severity, output};

use super::Run;
use super::flags::FormatArg;
use crate::commands::write_file;
use crate::ui::{Align, plural, table};

impl Run<'_> {
    /// Shows what was found, where the user wants it; on standard error if standard output has something else.
    pub(super) fn show(&self, reports: &[Report], to_stderr: bool) -> Result<(), BuildError> {
        let text = if self.args.statistics { self.statistics(reports) } else { output::render(reports, self.format()) };
        if to_stderr {
            text.trim_end().lines().for_each(|line| self.ui.line(line));
            return Ok(());
        }
        self.print(&text)
    }

    fn format(&self) -> output::Format {
        match self.args.format {
            FormatArg::Text if self.args.json => output::Format::Json,
            FormatArg::Text => output::Format::Text { colour: self.is_colourful() },
            FormatArg::Json => output::Format::Json,
            FormatArg::Sarif => output::Format::Sarif,
            FormatArg::Github => output::Format::Github,
            FormatArg::Gitlab => output::Format::Gitlab,
            FormatArg::Checkstyle => output::Format::Checkstyle,
            FormatArg::Junit => output::Format::Junit,
        }
    }

    fn is_colourful(&self) -> bool {
        self.args.output.is_none() && self.global.color.is_wanted(std::io::stdout().is_terminal())
    }

    /// Writes to where the user wants it.
    pub(super) fn print(&self, text: &str) -> Result<(), BuildError> {
        if let Some(path) = &self.args.output {
            return write_file(path, text.as_bytes());
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(BuildError::from).context("standard output"),
        }
    }

    fn statistics(&self, reports: &[Report]) -> String {
        let mut counts: BTreeMap<&str, (&jettison_lint::Rule, usize)> = BTreeMap::new();
        for finding in reports.iter().flat_map(|report| &report.findings) {
            counts.entry(finding.rule.code).or_insert((finding.rule, 0)).1 += 1;
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if self.format() == output::Format::Json {
            let objects: Vec<_> = counts
                .iter()
                .map(|(rule, count)| serde_json::json!({ "code": rule.code, "name": rule.name, "count": count }))
                .collect();
            return format!("{:#}\n", serde_json::Value::from(objects));
        }
        let rows: Vec<Vec<String>> = counts
            .iter()
            .map(|(rule, count)| {
                let fix = if rule.fixable == Fixable::No { "" } else { "can be mended" };
                vec![count.to_string(), rule.code.to_owned(), rule.name.to_owned(), fix.to_owned()]
            })
            .collect();
        let lines = table(&[Align::Right, Align::Left, Align::Left, Align::Left], &rows);
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Says how it went, for who looks on.
    pub(super) fn sum_up(&self, reports: &[Report], fixed: usize, known: usize) {
        let mut by_severity: BTreeMap<Severity, usize> = BTreeMap::new();
        let (mut safe, mut daring) = (0, 0);
        for finding in reports.iter().flat_map(|report| &report.findings) {
            *by_severity.entry(finding.severity).or_default() += 1;
            match finding.fix.as_ref().map(|fix| fix.safety) {
                Some(Safety::Safe) => safe += 1,
                Some(Safety::Unsafe) => daring += 1,
                None => {}
            }
        }
        let mut line = match by_severity.is_empty() {
            true => format!("nothing found in {}", plural(reports.len(), "file")),
            false => {
                let counts = by_severity.iter().rev().map(|(severity, count)| match severity {
                    Severity::Error | Severity::Warning => plural(*count, severity.as_str()),
                    Severity::Info | Severity::Style => format!("{count} {severity}"),
                });
                counts.collect::<Vec<_>>().join(", ")
            }
        };
        // Writing to a string cannot fail.
        if fixed > 0 {
            let _ = write!(line, "; {fixed} mended");
        }
        if known > 0 {
            let _ = write!(line, "; {known} known to the baseline");
        }
        match (safe, daring) {
            (0, 0) => {}
            (0, daring) => drop(write!(line, "; --unsafe-fixes mends {daring}")),
            (safe, 0) => drop(write!(line, "; --fix mends {safe}")),
            (safe, daring) => drop(write!(line, "; --fix mends {safe}, --unsafe-fixes {daring} more")),
        }
        self.ui.note(&line);
    }
}
