//! Imports every module of every distribution, many in one process.
//!
//! A module that raises leaves the process as it may be and the rest goes on; one that kills it, or never ends, makes the rest go on in a
//! new one. What failed is tried once more by itself, since it may have been another module's fault.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use jettison_engine::sandbox::{ExitStatus, Running};
use serde::Deserialize;

use super::Verification;
use super::cure::{self, Missing};
use super::process::how;
use super::room::{INSIDE, Room, last_lines};
use super::verdict::{Verdict, is_importable, judge, principals};
use crate::error::BuildError;
use crate::job::{Job, Progress};
use crate::report::{Skipped, VerifyReport};

const SCRIPT: &str = include_str!("../scripts/imports.py");
/// How often it is looked whether the process got on.
const LOOK: Duration = Duration::from_millis(200);
/// So many lines of a traceback are shown, the last.
const TRACEBACK_LINES: usize = 30;

/// What became of a module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was imported.
    Imported,
    /// It raised.
    Raised(Raised),
    /// It ended the process, in this way, with this output.
    Died(ExitStatus, String),
    /// It was not done in time.
    Hung,
}

/// What a module raised.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Raised {
    /// The name of the exception.
    pub kind: String,
    /// What it says.
    pub error: String,
    /// The module that is missing, where that is at the root of it.
    pub missing: Option<String>,
    /// Whether the missing module is one of the standard library.
    pub standard: bool,
    /// Ready to be shown.
    pub traceback: String,
}

/// A line that `scripts/imports.py` writes.
#[derive(Deserialize)]
struct Row {
    module: String,
    #[serde(flatten)]
    state: State,
}

#[derive(Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum State {
    Importing,
    Imported,
    Failed(Raised),
}

/// What the lines say: the modules that are done, and the one that was begun and is not. A line that was cut short, or that
/// something else wrote, says nothing.
fn parse(text: &str) -> (Vec<(String, Outcome)>, Option<String>) {
    let mut done = Vec::new();
    let mut begun = None;
    for Row { module, state } in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        begun = match state {
            State::Importing => Some(module),
            State::Imported => {
                done.push((module, Outcome::Imported));
                None
            }
            State::Failed(raised) => {
                done.push((module, Outcome::Raised(raised)));
                None
            }
        };
    }
    (done, begun)
}

/// Imports the modules and notes in the report what was imported and what was skipped.
pub(super) fn verify(
    job: &Job<'_>,
    what: &Verification<'_>,
    room: &Room<'_>,
    record: bool,
    report: &mut VerifyReport,
) -> Result<(), BuildError> {
    let mut wanted: Vec<&str> = Vec::new();
    let mut skip = |module: &str, reason: String| {
        let skipped = Skipped { module: module.to_owned(), reason };
        if !report.skipped.contains(&skipped) {
            report.skipped.push(skipped);
        }
    };
    for module in what.modules.iter().flat_map(|(_, modules)| modules) {
        if what.skip_imports.contains(module) {
            skip(module, "as `skip-imports` says".to_owned());
        } else if !is_importable(module) {
            skip(module, "it has a name that no `import` can say".to_owned());
        } else if !wanted.contains(&module.as_str()) {
            wanted.push(module);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let progress = job.begin("import modules");
    let outcomes = Imports { what, room, record, progress: &progress }.all(&wanted)?;
    let mut failures = Vec::new();
    for (distribution, modules) in what.modules {
        let principals = principals(distribution, modules);
        for module in modules {
            let Some(outcome) = outcomes.get(module.as_str()) else { continue };
            match judge(outcome, principals.contains(&module.as_str())) {
                Verdict::Imported => {
                    if !report.imported.contains(module) {
                        report.imported.push(module.clone());
                    }
                }
                Verdict::Skip(reason) => skip(module, reason),
                Verdict::Fail => failures.push((distribution, module, outcome)),
            }
        }
    }
    match failures.split_first() {
        None => Ok(()),
        Some((first, others)) => {
            let others: Vec<_> = others.iter().map(|(_, module, _)| format!("`{module}`")).collect();
            Err(error(what, first.0, first.1, first.2, &others))
        }
    }
}

fn error(
    what: &Verification<'_>,
    distribution: &str,
    module: &str,
    outcome: &Outcome,
    others: &[String],
) -> BuildError {
    let mut said = format!("`{module}` of {distribution} cannot be imported in the image");
    let mut hint = None;
    match outcome {
        Outcome::Imported => {}
        Outcome::Raised(raised) => {
            said += &format!(":\n{}", last_lines(raised.traceback.trim_end(), TRACEBACK_LINES));
            hint = match &raised.missing {
                Some(name) => {
                    Some(cure::missing_module(what, &Missing { name, is_standard: raised.standard, wanted_by: module }))
                }
                None => cure::of_output(what, &raised.traceback),
            };
        }
        Outcome::Died(status, output) => {
            said += &format!(": importing it ended the interpreter with {}", how(*status));
            if !output.is_empty() {
                said += &format!("\n{}", last_lines(output, TRACEBACK_LINES));
            }
            hint = cure::of_status(*status).or_else(|| cure::of_output(what, output));
        }
        Outcome::Hung => said += &format!(": it was not done after {} s", what.timeout.as_secs()),
    }
    if !others.is_empty() {
        said += &format!("\n{} failed too: {}", others.len(), others.join(", "));
    }
    let general =
        || format!("if the program never imports it: `skip-imports = [\"{module}\"]` in [tool.jettison.verify]");
    BuildError::new(said).hint(hint.unwrap_or_else(general))
}

struct Imports<'a> {
    what: &'a Verification<'a>,
    room: &'a Room<'a>,
    record: bool,
    progress: &'a Progress<'a>,
}

impl Imports<'_> {
    /// What became of each of the modules.
    fn all<'m>(&self, modules: &[&'m str]) -> Result<BTreeMap<&'m str, Outcome>, BuildError> {
        let mut outcomes = BTreeMap::new();
        let mut rest = modules.to_vec();
        while !rest.is_empty() {
            for (module, outcome) in self.some(&rest)? {
                if let Some(module) = rest.iter().find(|other| **other == module) {
                    outcomes.insert(*module, outcome);
                }
            }
            rest.retain(|module| !outcomes.contains_key(module));
        }
        for module in modules {
            if outcomes.get(module).is_some_and(|outcome| modules.len() > 1 && self.is_worth_another_try(outcome)) {
                let again = self.some(&[module])?.into_iter().next();
                outcomes.extend(again.map(|(_, outcome)| (*module, outcome)));
            }
        }
        Ok(outcomes)
    }

    fn is_worth_another_try(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Imported => false,
            // What nothing brings will be missing again.
            Outcome::Raised(Raised { missing: Some(missing), .. }) => self.what.provided.contains(top_level(missing)),
            Outcome::Raised(_) | Outcome::Died(..) | Outcome::Hung => true,
        }
    }

    /// Imports modules in a new process as far as it gets, which is one of them at least.
    fn some(&self, modules: &[&str]) -> Result<Vec<(String, Outcome)>, BuildError> {
        const RESULTS: &str = "results";
        self.room.put("imports.py", SCRIPT, false)?;
        self.room.put("modules", &modules.join("\n"), false)?;
        self.room.put(RESULTS, "", true)?;
        let inside = |name: &str| format!("{INSIDE}/{name}");
        let executable = self.what.interpreter.executable.clone();
        let argv = [executable, inside("imports.py"), inside("modules"), inside(RESULTS)];
        let results = self.room.path(RESULTS);
        let size = || fs::metadata(&results).map_or(0, |meta| meta.len());
        let ran = self.room.run(&argv, self.record, self.progress, |running| wait(running, self.what.timeout, size))?;
        let (mut done, begun) = parse(&String::from_utf8_lossy(&fs::read(&results)?));
        match (begun, ran.value) {
            (Some(module), Some(status)) => done.push((module, Outcome::Died(status, ran.output))),
            (Some(module), None) => done.push((module, Outcome::Hung)),
            (None, _) if !done.is_empty() => {}
            (None, status) => {
                let ended =
                    status.map_or_else(|| "does nothing".to_owned(), |status| format!("ended with {}", how(status)));
                let said = format!(
                    "`{}` {ended} before it imported anything:\n{}",
                    argv[0],
                    last_lines(&ran.output, TRACEBACK_LINES)
                );
                return Err(BuildError::with_hint(said, cure::of_output(self.what, &ran.output)));
            }
        }
        Ok(done)
    }
}

/// Waits for the end of a process that writes to a file of this `size`; `None` where the file has not grown for so long.
fn wait(running: &Running, patience: Duration, size: impl Fn() -> u64) -> Option<ExitStatus> {
    let (mut last, mut since) = (size(), Instant::now());
    while since.elapsed() < patience {
        if let Some(status) = running.wait_timeout(LOOK.min(patience)) {
            return Some(status);
        }
        let now = size();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    None
}

/// `a` of `a.b.c`.
pub(super) fn top_level(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_say_what_was_done_and_what_was_begun() {
        let text = concat!(
            "{\"module\": \"a\", \"state\": \"importing\"}\n",
            "{\"module\": \"a\", \"state\": \"imported\"}\n",
            "what a module wrote\n",
            "{\"module\": \"b\", \"state\": \"importing\"}\n",
            "{\"module\": \"b\", \"state\": \"failed\", \"kind\": \"ImportError\", \"error\": \"no\", \"missing\": null, ",
            "\"standard\": false, \"traceback\": \"T\"}\n",
            "{\"module\": \"c\", \"state\": \"importing\"}\n",
            "{\"module\": \"c\", \"state\": \"imp",
        );
        let (done, begun) = parse(text);
        let raised = Raised {
            kind: "ImportError".into(),
            error: "no".into(),
            missing: None,
            standard: false,
            traceback: "T".into(),
        };
        assert_eq!(done, [("a".to_owned(), Outcome::Imported), ("b".to_owned(), Outcome::Raised(raised))]);
        assert_eq!(begun.as_deref(), Some("c"));
        assert_eq!(parse(""), (Vec::new(), None));
    }
}
