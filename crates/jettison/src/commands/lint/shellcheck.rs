//! Runs ShellCheck over the scripts of a Dockerfile.
//!
//! 1. [`Shellcheck::find`] looks for the program.
//! 2. [`Shellcheck::check`] writes the scripts that it has not seen yet into a directory of their own, and runs it once over all of them.
//! 3. [`notes`] reads what it prints (`--format=json1`), and makes lines and columns into bytes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use jettison_build::BuildError;
use jettison_lint::{Severity, ShellcheckNote, ShellcheckScript};
use serde::Deserialize;

/// A longer script is not checked.
const MAX_BYTES: usize = 1 << 20;

/// ShellCheck, and what it has said before.
pub struct Shellcheck {
    program: PathBuf,
    known: Mutex<HashMap<String, Vec<ShellcheckNote>>>,
}

/// What `--format=json1` prints.
#[derive(Deserialize)]
struct Output {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    file: String,
    #[serde(flatten)]
    place: Place,
    level: String,
    code: u32,
    message: String,
    fix: Option<Proposal>,
}

#[derive(Deserialize)]
struct Proposal {
    replacements: Vec<Replacement>,
}

#[derive(Deserialize)]
struct Replacement {
    #[serde(flatten)]
    place: Place,
    replacement: String,
}

/// Lines and columns from 1; columns count characters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl Shellcheck {
    /// The program that was asked for, or the first `shellcheck` in the directories of `path` (`PATH`); `None` if there is none.
    pub fn find(named: Option<&Path>, path: Option<&OsStr>) -> Result<Option<Self>, BuildError> {
        let new = |program| Self { program, known: Mutex::default() };
        if let Some(named) = named {
            return match named.is_file() {
                true => Ok(Some(new(std::path::absolute(named)?))),
                false => Err(BuildError::new(format!("{}: there is no such program", named.display()))
                    .hint("leave out --shellcheck to take the one on PATH, or write --no-shellcheck")),
            };
        }
        let mut directories = std::env::split_paths(path.unwrap_or_default());
        // A relative directory would be another one where ShellCheck runs.
        let found = directories.find_map(|directory| {
            let program = directory.join("shellcheck");
            (directory.is_absolute() && program.is_file()).then_some(program)
        });
        Ok(found.map(new))
    }

    /// What it says of each script; `None` if it cannot be run.
    pub fn check(&self, scripts: &[ShellcheckScript<'_>]) -> Option<Vec<Vec<ShellcheckNote>>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh: Vec<&str> = scripts.iter().map(|script| script.text).collect();
        fresh.sort_unstable();
        fresh.dedup();
        fresh.retain(|text| text.len() <= MAX_BYTES);
        {
            let known = known();
            fresh.retain(|text| !known.contains_key(*text));
        }
        if !fresh.is_empty() {
            let found = self.run(&fresh)?;
            known().extend(fresh.iter().map(|text| (*text).to_owned()).zip(found));
        }
        let known = known();
        Some(scripts.iter().map(|script| known.get(script.text).cloned().unwrap_or_default()).collect())
    }

    fn run(&self, texts: &[&str]) -> Option<Vec<Vec<ShellcheckNote>>> {
        let directory = tempfile::tempdir().ok()?;
        let names: Vec<String> = (0..texts.len()).map(|index| index.to_string()).collect();
        for (name, text) in names.iter().zip(texts) {
            fs::write(directory.path().join(name), text).ok()?;
        }
        // What a user's .shellcheckrc says would make findings differ from machine to machine.
        let output = Command::new(&self.program)
            .args(["--norc", "--format=json1", "--"])
            .args(&names)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        notes(&output.stdout, texts)
    }
}

/// What is printed about scripts that are called `0`, `1` and so on, by script.
fn notes(printed: &[u8], texts: &[&str]) -> Option<Vec<Vec<ShellcheckNote>>> {
    let output: Output = serde_json::from_slice(printed).ok()?;
    let mut notes: Vec<Vec<ShellcheckNote>> = texts.iter().map(|_| Vec::new()).collect();
    for comment in output.comments {
        let Some(index) = comment.file.parse::<usize>().ok().filter(|&index| index < texts.len()) else { continue };
        let text = texts[index];
        let Some(range) = bytes(text, &comment.place) else { continue };
        let proposed = comment.fix.map(|fix| fix.replacements).unwrap_or_default();
        let replacements: Option<Vec<_>> =
            proposed.into_iter().map(|r| Some((bytes(text, &r.place)?, r.replacement))).collect();
        notes[index].push(ShellcheckNote {
            code: comment.code,
            severity: match comment.level.as_str() {
                "error" => Severity::Error,
                "warning" => Severity::Warning,
                "info" => Severity::Info,
                _ => Severity::Style,
            },
            message: comment.message,
            range,
            replacements: replacements.unwrap_or_default(),
        });
    }
    Some(notes)
}

/// The bytes of a place, if it is in the text.
fn bytes(text: &str, place: &Place) -> Option<Range<usize>> {
    let offset = |line: usize, column: usize| {
        let mut starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let before = starts.nth(line.checked_sub(1)?)?;
        let rest = text.get(before..)?;
        let mut places = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        Some(before + places.nth(column.checked_sub(1)?)?)
    };
    let (start, end) = (offset(place.line, place.column)?, offset(place.end_line, place.end_column)?);
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_of_the_script() {
        let printed = r#"{"comments": [
            {"file": "1", "line": 2, "endLine": 2, "column": 8, "endColumn": 10, "level": "info", "code": 2086,
             "message": "Quote.", "fix": {"replacements": [
                {"line": 2, "endLine": 2, "column": 8, "endColumn": 8, "precedence": 7, "insertionPoint": "afterEnd", "replacement": "\""},
                {"line": 2, "endLine": 2, "column": 10, "endColumn": 10, "precedence": 7, "insertionPoint": "beforeStart", "replacement": "\""}]}},
            {"file": "0", "line": 9, "endLine": 9, "column": 1, "endColumn": 1, "level": "error", "code": 1072, "message": "Lost.", "fix": null},
            {"file": "x", "line": 1, "endLine": 1, "column": 1, "endColumn": 1, "level": "error", "code": 1072, "message": "Lost.", "fix": null}
        ]}"#;
        let text = "#!/bin/sh\n\techo é$x\n";
        let found = notes(printed.as_bytes(), &["", text]).unwrap();
        let [note] = &found[1][..] else { panic!("{found:?}") };
        assert!(found[0].is_empty());
        assert_eq!((&text[note.range.clone()], note.code, note.severity), ("$x", 2086, Severity::Info));
        let places: Vec<_> = note.replacements.iter().map(|(range, _)| range.clone()).collect();
        assert_eq!(places, [note.range.start..note.range.start, note.range.end..note.range.end]);
        assert_eq!(notes(b"shellcheck: no such option", &[""]), None);
    }

    #[test]
    fn a_program_that_is_named_has_to_be_there() {
        let missing = Path::new("/nowhere/shellcheck");
        assert!(Shellcheck::find(Some(missing), None).is_err());
        assert!(Shellcheck::find(None, Some(OsStr::new("/nowhere:relative"))).unwrap().is_none());
    }
}
