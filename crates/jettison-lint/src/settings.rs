//! The configuration as people write it: `[tool.jettison.lint]` of `pyproject.toml`, `[lint]` of `jettison.toml`, or `.hadolint.yaml`.
//!
//! 1. [`Settings::from_toml`] reads a table; an unknown key or rule is an error with its place and the nearest known one.
//! 2. [`hadolint::parse`] takes over what hadolint's own file says.
//! 3. [`Settings::for_file`] is the [`Config`] of one Dockerfile.

pub mod hadolint;

use crate::config::{Config, LabelType, Selector};
use crate::rule::Severity;
use crate::rules;
use jettison_dockerfile::Ignore;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use toml::Spanned;

/// What was configured for the Dockerfiles of a project.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What is looked for in any of them.
    pub config: Config,
    /// What is not looked for in those that match, by path from the directory of the file of settings.
    pub per_file_ignores: Vec<(Ignore, Vec<Selector>)>,
    /// From what severity on findings are a failure.
    pub fail_on: Option<FailOn>,
    /// The file with the findings that are known, from the directory of the file of settings.
    pub baseline: Option<String>,
}

/// From what severity on findings are a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    /// From this one on.
    At(Severity),
    /// They never are.
    Never,
}

impl FailOn {
    /// Whether a finding of this severity is a failure.
    pub fn is_reached(self, severity: Severity) -> bool {
        matches!(self, Self::At(least) if severity >= least)
    }
}

/// Warnings and errors are.
impl Default for FailOn {
    fn default() -> Self {
        Self::At(Severity::Warning)
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match severity(word) {
            Some(severity) => Ok(Self::At(severity)),
            None if word == "never" => Ok(Self::Never),
            None => Err("expected error, warning, info, style or never".to_owned()),
        }
    }
}

/// The severity of this name.
pub fn severity(word: &str) -> Option<Severity> {
    [Severity::Style, Severity::Info, Severity::Warning, Severity::Error].into_iter().find(|s| s.as_str() == word)
}

/// Settings that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SettingsError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    hint: Option<String>,
}

impl SettingsError {
    fn new(text: &str, at: usize, message: impl Into<String>, hint: Option<String>) -> Self {
        let before = &text.as_bytes()[..at.min(text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|&&byte| byte != b'\n').count();
        Self { line, column, message: message.into(), hint }
    }

    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// Where the table stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// `[tool.jettison.lint]` of `pyproject.toml`.
    Pyproject,
    /// `[lint]` of `jettison.toml`.
    Jettison,
}

#[derive(Deserialize)]
struct PyprojectFile {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    jettison: Option<JettisonFile>,
}

#[derive(Deserialize)]
struct JettisonFile {
    lint: Option<Table>,
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    #[serde(default)]
    select: Vec<Spanned<String>>,
    #[serde(default)]
    extend_select: Vec<Spanned<String>>,
    #[serde(default)]
    ignore: Vec<Spanned<String>>,
    #[serde(default)]
    per_file_ignores: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    #[serde(default)]
    severity: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    trusted_registries: Vec<String>,
    #[serde(default)]
    label_schema: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    strict_labels: bool,
    fail_on: Option<Spanned<String>>,
    baseline: Option<String>,
}

impl Settings {
    /// Reads the table of a file; `None` if there is none in it.
    pub fn from_toml(text: &str, home: Home) -> Result<Option<Self>, SettingsError> {
        let wrong = |error: toml::de::Error| {
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            let hint = unknown_field(&message);
            SettingsError::new(text, error.span().map_or(0, |span| span.start), message, hint)
        };
        let table = match home {
            Home::Pyproject => {
                let file: PyprojectFile = toml::from_str(text).map_err(wrong)?;
                file.tool.and_then(|tool| tool.jettison).and_then(|jettison| jettison.lint)
            }
            Home::Jettison => toml::from_str::<JettisonFile>(text).map_err(wrong)?.lint,
        };
        table.map(|table| table.read(text)).transpose()
    }

    /// The configuration of the Dockerfile at `path`, from the directory of the file of settings.
    pub fn for_file(&self, path: &str) -> Config {
        let mut config = self.config.clone();
        for (pattern, selectors) in &self.per_file_ignores {
            if pattern.matches(path) {
                config.ignore.extend(selectors);
            }
        }
        config
    }

    /// With what a command line says on top: `select` replaces, the others add. A rule that is selected by name is looked for even if
    /// the file of settings ignores it.
    pub fn select(&mut self, select: &[Selector], extend: &[Selector], ignore: &[Selector]) {
        if !select.is_empty() {
            self.config.select = select.to_vec();
            self.config.extend_select.clear();
        }
        self.config.extend_select.extend(extend);
        let named = |selector: &Selector| select.contains(selector) || extend.contains(selector);
        self.config.ignore.retain(|selector| !named(selector));
        self.per_file_ignores.iter_mut().for_each(|(_, ignore)| ignore.retain(|selector| !named(selector)));
        self.config.ignore.extend(ignore);
    }
}

impl Table {
    fn read(self, text: &str) -> Result<Settings, SettingsError> {
        let mut settings = Settings {
            config: Config {
                select: selectors(text, &self.select)?,
                extend_select: selectors(text, &self.extend_select)?,
                ignore: selectors(text, &self.ignore)?,
                trusted_registries: self.trusted_registries,
                strict_labels: self.strict_labels,
                ..Config::default()
            },
            baseline: self.baseline,
            ..Settings::default()
        };
        for (pattern, words) in &self.per_file_ignores {
            let at = pattern.span().start;
            // As everywhere else, a name without a directory means it wherever it is.
            let anywhere = match pattern.get_ref().trim_end_matches('/').contains('/') {
                true => pattern.get_ref().clone(),
                false => format!("**/{}", pattern.get_ref()),
            };
            let ignore = Ignore::from_patterns([anywhere.as_str()])
                .map_err(|error| SettingsError::new(text, at, error.to_string(), error.hint()))?;
            settings.per_file_ignores.push((ignore, selectors(text, words)?));
        }
        for (word, level) in &self.severity {
            let Some(level) = severity(level.get_ref()) else {
                let message = format!("`{}` is no severity", level.get_ref());
                let hint = "write error, warning, info or style; `ignore` lists rules that do not matter at all";
                return Err(SettingsError::new(text, level.span().start, message, Some(hint.to_owned())));
            };
            for selector in selector(text, word)? {
                for rule in rules::all().filter(|rule| selector.covers(rule)) {
                    settings.config.severity.insert(rule.code, level);
                }
            }
        }
        for (label, word) in &self.label_schema {
            let Some(kind) = LabelType::parse(word.get_ref()) else {
                let message = format!("`{}` is no type of a label", word.get_ref());
                let hint = "write text, nonempty, url, rfc3339, spdx, hash, semver or email".to_owned();
                return Err(SettingsError::new(text, word.span().start, message, Some(hint)));
            };
            settings.config.label_schema.insert(label.clone(), kind);
        }
        if let Some(word) = &self.fail_on {
            let read = word.get_ref().parse();
            let read = read.map_err(|hint: String| {
                SettingsError::new(text, word.span().start, format!("`{}` is no severity", word.get_ref()), Some(hint))
            });
            settings.fail_on = Some(read?);
        }
        Ok(settings)
    }
}

fn selectors(text: &str, words: &[Spanned<String>]) -> Result<Vec<Selector>, SettingsError> {
    let mut all = Vec::new();
    for word in words {
        all.extend(selector(text, word)?);
    }
    Ok(all)
}

fn selector(text: &str, word: &Spanned<String>) -> Result<Vec<Selector>, SettingsError> {
    let Range { start, .. } = word.span();
    Selector::parse(word.get_ref()).map_err(|error| SettingsError::new(text, start, error.to_string(), error.hint()))
}

/// The known key nearest to the unknown one of "unknown field `x`, expected one of `a`, `b`".
fn unknown_field(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let near = |known: &&str| strsim::damerau_levenshtein(unknown, known);
    let known: Vec<&str> = quoted.collect();
    match known.iter().copied().min_by_key(near).filter(|best| near(best) * 2 <= best.len()) {
        Some(best) => Some(format!("did you mean `{best}`?")),
        None => Some(format!("there are {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        Settings::from_toml(text, Home::Jettison).unwrap().unwrap()
    }

    #[test]
    fn a_table_is_found_in_either_file() {
        assert!(Settings::from_toml("[project]\nname = 'x'", Home::Pyproject).unwrap().is_none());
        assert!(Settings::from_toml("[tool.jettison]\ntrim = 'max'", Home::Pyproject).unwrap().is_none());
        assert!(Settings::from_toml("trim = 'max'", Home::Jettison).unwrap().is_none());
        let text = "[tool.jettison.lint]\nignore = ['JET120']";
        assert_eq!(Settings::from_toml(text, Home::Pyproject).unwrap().unwrap().config.ignore.len(), 1);
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            "[lint]\nselect = ['python', 'pedantic']\nextend-select = ['SC2086']\nignore = ['unbuffered-output-missing']\n\
             trusted-registries = ['docker.io']\nstrict-labels = true\nfail-on = 'never'\nbaseline = 'known.json'\n\
             per-file-ignores = { '*.dev' = ['all'], 'old/Dockerfile' = ['JET120'] }\n\
             [lint.severity]\nJET120 = 'error'\n[lint.label-schema]\nmaintainer = 'email'\n",
        );
        assert_eq!(settings.config.severity, BTreeMap::from([("JET120", Severity::Error)]));
        assert_eq!(settings.config.label_schema["maintainer"], LabelType::Email);
        assert_eq!((settings.fail_on, settings.baseline.as_deref()), (Some(FailOn::Never), Some("known.json")));
        let ignored = |path: &str| settings.for_file(path).ignore.len() - settings.config.ignore.len();
        assert_eq!(
            ["Dockerfile", "a/b/Dockerfile.dev", "Dockerfile.dev", "old/Dockerfile", "x/old/Dockerfile"].map(ignored),
            [0, 1, 1, 1, 0]
        );
    }

    #[test]
    fn what_is_wrong_is_placed_and_the_nearest_is_named() {
        for (text, expected) in [
            (
                "[lint]\nselct = []",
                "2:1: unknown field `selct`, expected one of `select`, `extend-select`, `ignore`, `per-file-ignores`, `severity`, `trusted-registries`, `label-schema`, `strict-labels`, `fail-on`, `baseline` | did you mean `select`?",
            ),
            ("[lint]\nignore = [\n  'JET999',\n]", "3:3: there is no rule `JET999` | -"),
            (
                "[lint]\nignore = ['unbufered-output-missing']",
                "2:11: there is no rule `unbufered-output-missing` | did you mean `unbuffered-output-missing`?",
            ),
            (
                "[lint.severity]\nJET120 = 'fatal'",
                "2:10: `fatal` is no severity | write error, warning, info or style; `ignore` lists rules that do not matter at all",
            ),
            ("[lint.severity]\nJET12 = 'error'", "2:1: there is no rule `JET12` | -"),
            (
                "[lint]\nfail-on = 'always'",
                "2:11: `always` is no severity | expected error, warning, info, style or never",
            ),
            (
                "[lint]\nlabel-schema = { a = 'b' }",
                "2:22: `b` is no type of a label | write text, nonempty, url, rfc3339, spdx, hash, semver or email",
            ),
            ("[lint]\nignore = 'x'", "2:10: invalid type: string \"x\", expected a sequence | -"),
            ("[lint", "1:6: unclosed table, expected `]` | -"),
        ] {
            let error = Settings::from_toml(text, Home::Jettison).unwrap_err();
            assert_eq!(format!("{error} | {}", error.hint().as_deref().unwrap_or("-")), expected);
        }
    }

    #[test]
    fn a_command_line_has_the_last_word() {
        let mut settings = read("[lint]\nselect = ['python']\nignore = ['JET120', 'context']");
        let rule = Selector::parse("JET120").unwrap();
        settings.select(&rule, &[], &[Selector::Pedantic]);
        assert_eq!(settings.config.select, rule);
        assert_eq!(settings.config.ignore[1..], [Selector::Pedantic]);
    }
}
