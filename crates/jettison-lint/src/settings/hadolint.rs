//! `.hadolint.yaml`: what of it means something here.
//!
//! Only the YAML that such files are written in is read: keys at the margin; lists, in lines or in brackets; maps one level deep;
//! scalars, quoted or not. Keys that mean nothing here are passed over, whatever they hold. Anything else is an error, so that nothing is
//! silently ignored that was to be.

use super::{FailOn, Settings, SettingsError};
use crate::config::{LabelType, Selector};
use crate::rule::Severity;
use crate::rules;

/// Reads `ignored`, `override`, `trustedRegistries`, `label-schema`, `strict-labels`, `failure-threshold` and `no-fail`. Codes that
/// no rule of ours answers to are left out: they are not looked for anyway.
pub fn parse(text: &str) -> Result<Settings, SettingsError> {
    let mut settings = Settings::default();
    let lines = lines(text);
    let mut at = 0;
    while at < lines.len() {
        let head = &lines[at];
        let block = 1 + lines[at + 1..].iter().take_while(|line| line.indent > 0 || line.text.starts_with('-')).count();
        let body = &lines[at + 1..at + block];
        at += block;
        let Some((key, value)) = split(head.text).filter(|_| head.indent == 0) else {
            return Err(head.error(text, "expected `key: value`"));
        };
        let entry = Entry { head, value, body, text };
        match key.as_str() {
            "ignored" => settings.config.ignore.extend(entry.list()?.iter().flat_map(|word| known(word))),
            "trustedRegistries" => settings.config.trusted_registries = entry.list()?,
            "strict-labels" => settings.config.strict_labels = entry.flag()?,
            "no-fail" if entry.flag()? => settings.fail_on = Some(FailOn::Never),
            "failure-threshold" if settings.fail_on != Some(FailOn::Never) => {
                settings.fail_on = Some(match entry.scalar()?.as_str() {
                    "ignore" | "none" => FailOn::Never,
                    word => word.parse().map_err(|hint: String| head.error(text, &hint))?,
                });
            }
            "override" => {
                for entry in entry.map()? {
                    let Some(level) = super::severity(&entry.0) else {
                        return Err(entry.1.head.error(text, &format!("`{}` is no severity", entry.0)));
                    };
                    entry.1.list()?.iter().for_each(|word| weigh(&mut settings, word, level));
                }
            }
            "label-schema" => {
                for (label, entry) in entry.map()? {
                    let kind = LabelType::parse(&entry.scalar()?);
                    let kind = kind.ok_or_else(|| entry.head.error(text, "this is no type of a label"))?;
                    settings.config.label_schema.insert(label, kind);
                }
            }
            _ => {}
        }
    }
    Ok(settings)
}

/// What a code of hadolint's stands for here.
fn known(word: &str) -> Vec<Selector> {
    Selector::parse(word).unwrap_or_default()
}

fn weigh(settings: &mut Settings, word: &str, level: Severity) {
    for selector in known(word) {
        let meant = rules::all().filter(|rule| selector.covers(rule));
        settings.config.severity.extend(meant.map(|rule| (rule.code, level)));
    }
}

/// A line that says something.
struct Line<'t> {
    indent: usize,
    /// Without comment and white space.
    text: &'t str,
    /// Where the text begins.
    at: usize,
}

impl Line<'_> {
    fn error(&self, text: &str, message: &str) -> SettingsError {
        let hint = "carry it over to [tool.jettison.lint] of pyproject.toml".to_owned();
        SettingsError::new(text, self.at, message, Some(hint))
    }
}

/// A key with what it holds.
struct Entry<'l, 't> {
    head: &'l Line<'t>,
    /// Behind the colon.
    value: &'t str,
    /// The lines below.
    body: &'l [Line<'t>],
    text: &'t str,
}

impl<'l, 't> Entry<'l, 't> {
    fn scalar(&self) -> Result<String, SettingsError> {
        match (self.body.first(), scalar(self.value)) {
            (None, Some(value)) => Ok(value),
            (Some(line), _) => Err(line.error(self.text, "expected one value")),
            (None, None) => Err(self.head.error(self.text, "this value cannot be read")),
        }
    }

    fn flag(&self) -> Result<bool, SettingsError> {
        match self.scalar()?.as_str() {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(self.head.error(self.text, "expected true or false")),
        }
    }

    fn list(&self) -> Result<Vec<String>, SettingsError> {
        if let Some(inner) = self.value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
            let items: Option<Vec<String>> = items.map(scalar).collect();
            return items.ok_or_else(|| self.head.error(self.text, "this list cannot be read"));
        }
        if !self.value.is_empty() {
            return Err(self.head.error(self.text, "expected a list"));
        }
        let item = |line: &Line<'t>| {
            let item =
                line.text.strip_prefix('-').filter(|rest| rest.starts_with(' ')).and_then(|rest| scalar(rest.trim()));
            item.ok_or_else(|| line.error(self.text, "expected `- item`"))
        };
        self.body.iter().map(item).collect()
    }

    fn map(&self) -> Result<Vec<(String, Entry<'l, 't>)>, SettingsError> {
        if !matches!(self.value, "" | "{}") {
            return Err(self.head.error(self.text, "expected a map, one line for each key"));
        }
        let Some(first) = self.body.first() else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        let mut at = 0;
        while at < self.body.len() {
            let head = &self.body[at];
            let deeper = |line: &&Line<'t>| line.indent > first.indent || line.text.starts_with('-');
            let end = at + 1 + self.body[at + 1..].iter().take_while(deeper).count();
            let Some((key, value)) = split(head.text).filter(|_| head.indent == first.indent) else {
                return Err(head.error(self.text, "expected `key: value`"));
            };
            entries.push((key, Entry { head, value, body: &self.body[at + 1..end], text: self.text }));
            at = end;
        }
        Ok(entries)
    }
}

/// The lines that say something, up to the end of the first document.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = without_comment(line).trim_end();
        let trimmed = content.trim_start_matches([' ', '\u{feff}']);
        let indent = content.len() - trimmed.len();
        match trimmed {
            "" | "---" => {}
            "..." => break,
            text => lines.push(Line { indent, text, at: start + indent }),
        }
        start += line.len();
    }
    lines
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') if matches!(before, ' ' | '[' | ',' | '-' | ':') => quote = Some(c),
            (None, '#') if before == ' ' || before == '\t' => return &line[..at],
            _ => {}
        }
        before = c;
    }
    line
}

/// `key: value`.
fn split(line: &str) -> Option<(String, &str)> {
    let (key, value) = match line.strip_suffix(':') {
        Some(key) if !key.contains(": ") => (key, ""),
        _ => line.split_once(": ")?,
    };
    Some((scalar(key.trim())?, value.trim()))
}

/// A plain or quoted scalar; `None` for anything that means something else in YAML.
fn scalar(text: &str) -> Option<String> {
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(inner) = quoted('\'') {
        return Some(inner.replace("''", "'"));
    }
    if let Some(inner) = quoted('"') {
        return (!inner.contains(['\\', '"'])).then(|| inner.to_owned());
    }
    let is_plain = !text.starts_with(['&', '*', '!', '|', '>', '%', '@', '`', '{', '[', '"', '\'', '?']);
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_here_is_taken_over() {
        let text = "---\n# ours\nformat: tty\nignored:\n- DL3999 # not ours\n- 'SC2086'\nfailure-threshold: \"info\"\n\
            override:\n  error: [SC1000]\n  warning:\n    - DL9999\nunknown:\n  - deep:\n      - {a: b}\ntrustedRegistries:\n  - docker.io\n  - \"*.gcr.io\"\n\
            label-schema:\n  author: text\n  'a b': semver # why\nstrict-labels: true\n...\nnot: read\n";
        let settings = parse(text).unwrap();
        assert_eq!(settings.config.ignore, [Selector::Shellcheck(2086)]);
        assert_eq!(settings.config.trusted_registries, ["docker.io", "*.gcr.io"]);
        assert_eq!(settings.config.label_schema.len(), 2);
        assert_eq!(settings.config.label_schema["a b"], LabelType::Semver);
        assert!(settings.config.strict_labels);
        assert_eq!(settings.fail_on, Some(FailOn::At(Severity::Info)));
        assert_eq!(parse("no-fail: true\nfailure-threshold: error\n").unwrap().fail_on, Some(FailOn::Never));
        for empty in ["", "ignored: []\nlabel-schema: {}\n"] {
            assert_eq!(parse(empty).unwrap().config, Default::default());
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, expected) in [
            ("ignored: DL3008", "1:1: expected a list"),
            ("ignored:\n  - &a DL3008", "2:3: expected `- item`"),
            ("ignored:\n  DL3008", "2:3: expected `- item`"),
            ("a\n", "1:1: expected `key: value`"),
            ("override: {error: []}", "1:1: expected a map, one line for each key"),
            ("override:\n  fatal: []", "2:3: `fatal` is no severity"),
            ("strict-labels: maybe", "1:1: expected true or false"),
            ("label-schema:\n  a: b", "2:3: this is no type of a label"),
        ] {
            assert_eq!(parse(text).map(|_| ()).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
        }
    }
}
