//! Why each step ran: what of it is not what it was when this Dockerfile was last built here, and which order would have kept it.
//!
//! After each build the parts of every step's key are remembered under the project, and of what `COPY` takes, a key of each file.

use std::collections::{BTreeMap, BTreeSet};

use jettison_engine::CacheKey;
use jettison_engine::store::Store;
use serde::{Deserialize, Serialize};

use super::lower::StepNote;
use super::record::Fate;
use super::unpacked::Transfer;
use crate::error::BuildError;

/// So many files are named.
const NAMED: usize = 5;

/// Why one step ran, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The step, as it is shown.
    pub step: String,
    /// Whether its result was known.
    pub cached: bool,
    /// What changed; nothing where it was known.
    pub because: Vec<String>,
    /// What would have kept it.
    pub advice: Option<String>,
}

/// What is remembered of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    stage: String,
    keyword: String,
    text: String,
    fields: Vec<(String, String)>,
    transfer: Option<CacheKey>,
}

impl Remembered {
    fn of(note: &StepNote) -> Self {
        Self {
            stage: note.stage.clone(),
            keyword: note.keyword.clone(),
            text: note.text.clone(),
            // A variable may be a secret that should not be one; its digest tells as well whether it changed.
            fields: note.fields.iter().map(|(label, value)| (label.clone(), digest(value))).collect(),
            transfer: note.transfer.as_ref().map(|transfer| transfer.key()),
        }
    }
}

fn digest(value: &str) -> String {
    jettison_tree::Digest::of(value.as_bytes()).hex()[..16].to_owned()
}

fn last_key(project: &str) -> CacheKey {
    CacheKey::builder("dockerfile/last/1").field("project", project).finish()
}

fn files_key(transfer: CacheKey) -> CacheKey {
    CacheKey::builder("dockerfile/files/1").input("selection", transfer).finish()
}

/// Remembers what the steps are made of, for the next build.
pub fn remember(store: &Store, project: &str, notes: &[StepNote]) -> Result<(), BuildError> {
    let now: Vec<Remembered> = notes.iter().map(Remembered::of).collect();
    let key = last_key(project);
    if store.memo_get::<Vec<Remembered>>(&key)?.as_ref() == Some(&now) {
        return Ok(());
    }
    for transfer in notes.iter().filter_map(|note| note.transfer.as_deref()) {
        store.memo_or::<_, BuildError>(&files_key(transfer.key()), || {
            Ok((transfer.selection.fingerprints(), Vec::new()))
        })?;
    }
    Ok(store.memo_put(&key, &now, &[])?)
}

/// What the last build of a project was made of.
pub struct Last {
    steps: Vec<Remembered>,
}

impl Last {
    /// Reads it; empty where there was none.
    pub fn read(store: &Store, project: &str) -> Result<Self, BuildError> {
        Ok(Self { steps: store.memo_get(&last_key(project))?.unwrap_or_default() })
    }

    /// Says of each step what changed. `fate` says what became of it, `renewed` whether it was asked for anew.
    pub fn explain(
        &self,
        store: &Store,
        notes: &[StepNote],
        fate: &dyn Fn(&StepNote) -> Option<Fate>,
        renewed: bool,
    ) -> Result<Vec<Explanation>, BuildError> {
        let mut explained = Vec::new();
        let mut ran_in: BTreeMap<&str, usize> = BTreeMap::new();
        for (number, note) in notes.iter().enumerate() {
            let ran = matches!(fate(note), Some(Fate::Ran(_)));
            let mut explanation =
                Explanation { step: note.name.clone(), cached: !ran, because: Vec::new(), advice: None };
            if ran {
                let below = ran_in.get(note.stage.as_str()).map(|below| &notes[*below]);
                explanation.because = self.reasons(store, notes, number, below, renewed)?;
                explanation.advice = below.and_then(|below| advice(note, below, &explanation.because));
                if note.keyword != "FROM" {
                    ran_in.insert(&note.stage, number);
                }
            }
            explained.push(explanation);
        }
        Ok(explained)
    }

    fn reasons(
        &self,
        store: &Store,
        notes: &[StepNote],
        number: usize,
        below: Option<&StepNote>,
        renewed: bool,
    ) -> Result<Vec<String>, BuildError> {
        let note = &notes[number];
        if renewed && note.keyword != "FROM" {
            return Ok(vec!["it was asked for anew".to_owned()]);
        }
        let Some(before) = self.counterpart(notes, number) else {
            return Ok(vec![match self.steps.is_empty() {
                true => "this Dockerfile was not built here before".to_owned(),
                false => "the instruction is new".to_owned(),
            }]);
        };
        let now = Remembered::of(note);
        let mut reasons = changed_fields(&before.fields, &now.fields);
        if let (Some(old), Some(transfer)) = (before.transfer, note.transfer.as_deref())
            && old != transfer.key()
        {
            reasons.extend(changed_files(store, old, transfer)?);
        }
        if let Some(below) = below {
            reasons.push(format!("`{}` before it ran and came out otherwise", below.text));
        } else if reasons.is_empty() && note.from_stage {
            reasons.push("what it copies of the stage changed".to_owned());
        }
        if reasons.is_empty() {
            reasons.push(
                "its result is no longer in the store: it was pruned, or the machine was started since".to_owned(),
            );
        }
        Ok(reasons)
    }

    /// The step of the last build that this one was: the one with the same words, or else the one in its place.
    fn counterpart(&self, notes: &[StepNote], number: usize) -> Option<&Remembered> {
        let note = &notes[number];
        let alike = |step: &&Remembered| step.stage == note.stage && step.keyword == note.keyword;
        let same = self.steps.iter().filter(alike).find(|step| step.text == note.text);
        same.or_else(|| {
            let place = notes[..number].iter().filter(|n| n.stage == note.stage && n.keyword == note.keyword).count();
            let there = self.steps.iter().filter(alike).nth(place)?;
            // One that is still there, elsewhere, is not this one.
            (!notes.iter().any(|other| other.stage == there.stage && other.text == there.text)).then_some(there)
        })
    }
}

fn changed_fields(before: &[(String, String)], now: &[(String, String)]) -> Vec<String> {
    let labels: BTreeSet<&str> = before.iter().chain(now).map(|(label, _)| label.as_str()).collect();
    let values = |fields: &[(String, String)], label: &str| -> Vec<String> {
        fields.iter().filter(|(l, _)| l == label).map(|(_, value)| value.clone()).collect()
    };
    let mut reasons = Vec::new();
    for label in labels {
        let (old, new) = (values(before, label), values(now, label));
        let label = label
            .strip_prefix("variable ")
            .map_or_else(|| format!("its {label}"), |name| format!("the variable {name}"));
        match (old.is_empty(), new.is_empty()) {
            _ if old == new => {}
            (true, _) => reasons.push(format!("{label} is new")),
            (_, true) => reasons.push(format!("{label} is gone")),
            _ => reasons.push(format!("{label} changed")),
        }
    }
    reasons
}

fn changed_files(store: &Store, old: CacheKey, transfer: &Transfer) -> Result<Vec<String>, BuildError> {
    let Some(before) = store.memo_get::<BTreeMap<String, CacheKey>>(&files_key(old))? else {
        return Ok(vec!["what it copies changed".to_owned()]);
    };
    let now = transfer.selection.fingerprints();
    let mut changes: Vec<String> = Vec::new();
    for (path, key) in &now {
        match before.get(path) {
            Some(old) if old == key => {}
            Some(_) => changes.push(format!("`{path}` changed")),
            None => changes.push(format!("`{path}` is new")),
        }
    }
    changes.extend(before.keys().filter(|path| !now.contains_key(*path)).map(|path| format!("`{path}` is gone")));
    if changes.len() > NAMED {
        let more = changes.len() - NAMED;
        changes.truncate(NAMED);
        changes.push(format!("{more} more files changed"));
    }
    if changes.is_empty() {
        changes.push("where or how it copies changed".to_owned());
    }
    Ok(changes)
}

/// Which order would have kept a step that ran because of the one below it.
fn advice(note: &StepNote, below: &StepNote, because: &[String]) -> Option<String> {
    let own = because.iter().any(|reason| !reason.contains(" before it ran "));
    if own || note.keyword != "RUN" || !matches!(below.keyword.as_str(), "COPY" | "ADD") || below.from_stage {
        return None;
    }
    let text = note.text.as_str();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["apt-get ", "apt install", "apk add", "dnf ", "yum ", "microdnf "]) {
        return Some(format!("it reads nothing of the context: put it above `{}`", below.text));
    }
    let reads = inputs(text);
    if has(&[
        "pip install",
        "pip3 install",
        "pip wheel",
        "pip download",
        "uv sync",
        "uv pip",
        "poetry install",
        "pipenv ",
        "npm ",
        "yarn ",
    ]) {
        let files = if reads.is_empty() {
            "the files that name the dependencies".to_owned()
        } else {
            format!("`COPY {} .`", reads.join(" "))
        };
        return Some(format!("copy what it reads first, {files}, then run it, and put `{}` below", below.text));
    }
    None
}

/// The files that a command to install something reads, by its words.
fn inputs(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut files: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let file = match *word {
            "-r" | "--requirement" | "-c" | "--constraint" => words.get(at + 1).copied(),
            word => word
                .strip_prefix("--requirement=")
                .or_else(|| word.strip_prefix("-r").filter(|file| file.ends_with(".txt"))),
        };
        files.extend(file.map(|file| file.trim_start_matches("./").to_owned()));
    }
    for (word, needs) in [
        ("uv sync", &["pyproject.toml", "uv.lock"][..]),
        ("poetry install", &["pyproject.toml", "poetry.lock"]),
        ("pipenv ", &["Pipfile", "Pipfile.lock"]),
        ("npm ", &["package.json", "package-lock.json"]),
        ("yarn ", &["package.json", "yarn.lock"]),
    ] {
        if files.is_empty() && text.contains(word) {
            files.extend(needs.iter().map(|need| (*need).to_owned()));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_names() {
        let fields = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
            fields.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
        };
        let before = fields(&[("command", "a"), ("variable A", "1"), ("variable B", "1"), ("user", "")]);
        let now = fields(&[("command", "b"), ("variable A", "2"), ("variable C", "1"), ("user", "")]);
        assert_eq!(
            changed_fields(&before, &now),
            ["its command changed", "the variable A changed", "the variable B is gone", "the variable C is new"]
        );
    }

    #[test]
    fn what_an_installer_reads_is_in_its_words() {
        assert_eq!(inputs("RUN pip install --no-cache-dir -r ./requirements.txt"), ["requirements.txt"]);
        assert_eq!(inputs("RUN uv sync --frozen"), ["pyproject.toml", "uv.lock"]);
        assert_eq!(inputs("RUN make"), [] as [&str; 0]);
    }
}
