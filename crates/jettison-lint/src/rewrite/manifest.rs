//! The files that say what is to be installed: lists of requirements, locks, projects.
//!
//! 1. [`Manifests::new`] names them, as far as the context has them.
//! 2. [`Manifests::settle`] tells whether they can be had without the rest of the source. If not, the builder gets all of it.
//! 3. [`Manifests::copies`] writes the `COPY` of those that came along with the source.

use super::classify::{self, Purpose};
use crate::context::Context;
use crate::model::{Destination, Install, Stage, Step, Subject};
use jettison_shell::packages::{Manager, OperandKind};
use jettison_tree::TreePath;
use std::collections::BTreeSet;

/// The files that say what is to be installed.
pub(super) struct Manifests {
    /// Their paths in the context, sorted.
    paths: Vec<String>,
    /// They cannot be told apart from the source, or do not suffice.
    needs_source: bool,
}

impl Manifests {
    /// Those that installs go by.
    pub(super) fn new(subject: &Subject<'_>, installs: &[&Install]) -> Self {
        let (mut paths, mut needs_source) = (BTreeSet::new(), false);
        for install in installs {
            let read = subject.demands(install).files;
            let before = paths.len();
            paths.extend(read.iter().filter_map(TreePath::as_str).map(str::to_owned));
            paths.extend(named(subject, install, &read));
            let (_, call) = subject.call(install.at);
            let lists = !matches!(call.manager, Manager::Pip | Manager::UvPip)
                || call.operands.iter().any(|operand| operand.kind == OperandKind::Requirements);
            needs_source |= lists && paths.len() == before && read.is_empty();
            needs_source |= builds_project(subject, install) || matches!(install.into, Destination::Wheels(_));
        }
        let paths: Vec<String> = paths.into_iter().collect();
        needs_source |= paths.iter().any(|path| names_local_paths(subject.context, path));
        Self { paths, needs_source }
    }

    /// Their paths in the context.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether the builder gets the whole source.
    pub(super) fn needs_source(&self) -> bool {
        self.needs_source
    }

    /// Looks whether every one of them comes to the builder by itself, or can be taken out of a `COPY` of the source.
    pub(super) fn settle(&mut self, subject: &Subject<'_>, stage: &Stage<'_>, purposes: &[Purpose], last: usize) {
        let mut missing: BTreeSet<&str> = self.paths.iter().map(String::as_str).collect();
        let mut unseen = false;
        for (step, purpose) in stage.steps.iter().zip(purposes).take(last) {
            match purpose {
                Purpose::Manifest => missing.retain(|path| !is_copied_by(step, path)),
                Purpose::Source => {
                    missing.retain(|path| taken_from(step, path).is_none());
                    unseen |= subject.context.root().is_none();
                }
                _ => {}
            }
        }
        // What a mount shows need not be copied.
        let mounts = stage.steps.iter().take(last + 1).any(|step| !step.mounts().is_empty());
        // A list that cannot be read may include others.
        self.needs_source |= unseen || !missing.is_empty() && !mounts && subject.context.root().is_some();
    }

    /// `COPY` of those that `step`, a `COPY` of the source, brings and nothing else does.
    pub(super) fn copies(&self, steps: &[Step<'_>], purposes: &[Purpose], at: usize, last: usize) -> Vec<String> {
        let step = &steps[at];
        let others = |path: &str| {
            let all = steps.iter().zip(purposes).enumerate().take(last);
            all.filter(|(number, _)| *number != at).any(|(number, (other, purpose))| match purpose {
                Purpose::Manifest => is_copied_by(other, path),
                Purpose::Source => number < at && taken_from(other, path).is_some(),
                _ => false,
            })
        };
        let Some(destination) = written_destination(step) else { return Vec::new() };
        let own = self.paths.iter().filter(|path| !others(path));
        let mut taken: Vec<(String, &str)> =
            own.filter_map(|path| Some((taken_from(step, path)?, path.as_str()))).collect();
        taken.sort();
        let mut lines: Vec<(String, String)> = Vec::new();
        for (directory, path) in taken {
            match lines.iter_mut().find(|(other, _)| *other == directory) {
                Some((_, paths)) => *paths += &format!(" {path}"),
                None => lines.push((directory, path.to_owned())),
            }
        }
        let target = destination.trim_end_matches('/');
        lines.into_iter().map(|(directory, paths)| format!("COPY {paths} {target}/{directory}")).collect()
    }
}

/// Whether `COPY` names a file.
fn is_copied_by(step: &Step<'_>, path: &str) -> bool {
    step.context_sources().into_iter().filter_map(|word| step.expand(word)).any(|source| {
        let source = source.trim_start_matches("./").trim_end_matches('/');
        source == path
            || path.strip_prefix(source).is_some_and(|rest| rest.starts_with('/'))
            || classify::matches(source, path)
    })
}

/// The directory below the destination of a `COPY` that a file of its source comes to: empty, or with a slash at its end.
fn taken_from(step: &Step<'_>, path: &str) -> Option<String> {
    step.context_sources().into_iter().filter_map(|word| step.expand(word)).find_map(|source| {
        let source = source.trim_start_matches("./").trim_end_matches('/');
        let rest = match source {
            "" | "." | "*" => path,
            _ if source == path => path.rsplit('/').next()?,
            _ => path.strip_prefix(source)?.strip_prefix('/')?,
        };
        Some(rest.rsplit_once('/').map_or(String::new(), |(directory, _)| format!("{directory}/")))
    })
}

fn written_destination<'a>(step: &Step<'a>) -> Option<&'a str> {
    use jettison_dockerfile::instruction::InstructionKind;
    match &step.instruction.kind {
        InstructionKind::Copy(copy) => Some(copy.transfer.destination.as_str()),
        InstructionKind::Add(add) => Some(add.transfer.destination.as_str()),
        _ => None,
    }
}

/// The files that an installer reads by their usual names, as far as the context has them; for one that cannot be looked at, those that
/// the command names.
fn named(subject: &Subject<'_>, install: &Install, read: &BTreeSet<TreePath>) -> Vec<String> {
    let (_, call) = subject.call(install.at);
    let (usual, extra): (&[&str], &[&str]) = match call.manager {
        Manager::Uv => (&["pyproject.toml", "uv.lock"], &["uv.toml", ".python-version"]),
        Manager::Poetry => (&["pyproject.toml", "poetry.lock"], &["poetry.toml"]),
        Manager::Pipenv => (&["Pipfile", "Pipfile.lock"], &[]),
        Manager::Pip | Manager::UvPip => {
            let lists = call.operands.iter().filter(|operand| {
                matches!(operand.kind, OperandKind::Requirements | OperandKind::Constraints)
                    && !operand.text.starts_with('/')
                    && !operand.text.contains(['$', ':', '*'])
            });
            let plain = |text: &str| text.trim_start_matches("./").to_owned();
            let there = |path: &String| subject.context.root().is_none() || subject.context.text(path).is_some();
            return lists.map(|operand| plain(&operand.text)).filter(there).collect();
        }
        _ => (&[], &[]),
    };
    // Beside the lock that was read.
    let directory = read.iter().next().and_then(TreePath::parent);
    let path = |name: &str| match directory.as_ref().and_then(TreePath::as_str) {
        Some(directory) if !directory.is_empty() => format!("{directory}/{name}"),
        _ => name.to_owned(),
    };
    let there = |path: &String| subject.context.text(path).is_some();
    match subject.context.root() {
        None => usual.iter().map(|name| path(name)).collect(),
        Some(_) => usual.iter().chain(extra).map(|name| path(name)).filter(there).collect(),
    }
}

/// Whether an install builds the project itself.
fn builds_project(subject: &Subject<'_>, install: &Install) -> bool {
    let (_, call) = subject.call(install.at);
    let is_package = || subject.context.project().is_none_or(|project| project.is_package);
    match call.manager {
        Manager::Pip | Manager::UvPip => {
            call.operands.iter().any(|operand| matches!(operand.kind, OperandKind::Path | OperandKind::Editable))
        }
        Manager::Uv => !call.has(&["--no-install-project"]) && is_package(),
        Manager::Poetry => !call.has(&["--no-root"]) && is_package(),
        _ => false,
    }
}

/// Whether a list or a lock names directories or files of the project: `-e ./lib`, `lib = { path = "lib" }`, members of a workspace.
fn names_local_paths(context: &Context, path: &str) -> bool {
    let Some(text) = context.text(path) else { return false };
    let name = path.rsplit('/').next().unwrap_or(path);
    text.lines().map(str::trim).any(|line| match name {
        "pyproject.toml" | "Pipfile" => {
            line.contains("path = ") && line.contains('{')
                || line.contains("workspace = true")
                || line.starts_with("path = ")
        }
        "uv.lock" => {
            let local = ["editable = \"", "directory = \"", "virtual = \"", "path = \""];
            line.starts_with("source") && local.iter().any(|kind| line.contains(kind)) && !line.contains("\".\"")
        }
        "poetry.lock" => line == "type = \"directory\"" || line == "type = \"file\"",
        "Pipfile.lock" => line.starts_with("\"path\":"),
        _ => {
            let line = line.strip_prefix("-e ").or(line.strip_prefix("--editable ")).unwrap_or(line).trim();
            line == "." || line.starts_with("./") || line.starts_with("../") || line.starts_with("file:")
        }
    })
}
