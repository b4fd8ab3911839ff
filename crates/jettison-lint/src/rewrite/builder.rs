//! The first stage: what builds.

use super::classify::{Purpose, Role, role};
use super::{Obstacle, Plan};
use crate::model::{Destination, Install, Step, Subject};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;
use jettison_shell::packages::{Manager, OperandKind};
use std::ops::Range;

/// Options that make sense only where there is no environment.
const OUTSIDE: [&str; 5] =
    ["--user", "--system", "--break-system-packages", "--root-user-action", "--no-warn-script-location"];

/// The text of the stage.
pub(super) fn write(plan: &Plan<'_, '_>) -> Result<String, Obstacle> {
    let mut lines = vec![format!("# builder installs the dependencies; only {} goes into the image.", plan.venv)];
    let from = plan.subject.file.text(head_without_name(plan));
    lines.push(format!("{} AS builder", from.trim_end()));
    let mut has_manifests = false;
    // In front of what changes with the requirements.
    let changes = |purpose| matches!(purpose, Purpose::Manifest | Purpose::Source | Purpose::Install);
    let make_at = plan.steps().find(|(.., purpose)| changes(*purpose)).map_or(plan.first, |(at, ..)| at);
    for (number, step, purpose) in plan.steps().take_while(|(number, ..)| *number <= plan.last) {
        let before_last = |purpose| plan.steps().any(|(other, _, kind)| other > number && kind == purpose);
        if plan.makes_venv && number == make_at {
            lines.extend(tools(plan));
            lines.push(make(plan));
        }
        match purpose {
            Purpose::Setting | Purpose::BuilderSetting | Purpose::Tool => {
                lines.push(plan.pieces.whole(step.instruction))
            }
            Purpose::System => lines.push(system(plan, step)),
            Purpose::Manifest => {
                has_manifests = true;
                lines.push(plan.pieces.whole(step.instruction));
            }
            Purpose::Source if installs_project(plan) => lines.push(plan.pieces.whole(step.instruction)),
            // The lists of requirements come along with the source; alone they are enough.
            Purpose::Source if !has_manifests && !before_last(Purpose::Manifest) => {
                lines.extend(manifests(plan, step)?);
                has_manifests = true;
            }
            Purpose::Source | Purpose::Runtime => {}
            Purpose::Install => lines.extend(install(plan, number, step)),
        }
    }
    Ok(lines.join("\n"))
}

/// `FROM`, its flags and its image, without the name of the stage.
fn head_without_name(plan: &Plan<'_, '_>) -> Span {
    Span::new(plan.stage.head.span.start, plan.stage.syntax.from.image.span().end)
}

/// The commands that install installers, taken out of the instructions that they share with installs: they go outside of the
/// environment.
fn tools(plan: &Plan<'_, '_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, step, _) in plan.steps().filter(|(.., purpose)| *purpose == Purpose::Install) {
        let Some(shell) = step.shell else { continue };
        let mut done: Option<Range<usize>> = None;
        for command in step.commands.iter().filter(|command| role(step, command) == Role::Tool) {
            let range = command.pipeline().range.clone();
            if done.as_ref() == Some(&range) {
                continue;
            }
            lines.push(format!("RUN {}", plan.subject.file.text(shell.span(range.clone()))));
            done = Some(range);
        }
    }
    lines
}

/// What makes the environment, and puts it in front.
fn make(plan: &Plan<'_, '_>) -> String {
    let python = if plan.has_system_python() { "python3" } else { "python" };
    let made = format!("RUN {python} -m venv {}", plan.venv);
    let managers = plan.installs.iter().flatten().map(|install| plan.subject.call(install.at).1.manager);
    let asks = managers.into_iter().any(|manager| !matches!(manager, Manager::Pip));
    let variable = if asks { format!("ENV VIRTUAL_ENV={}\n", plan.venv) } else { String::new() };
    format!("{made}\n{variable}{}", plan.search_path())
}

/// Packages of the distribution. Debian's Python makes no environments without a package more.
fn system(plan: &Plan<'_, '_>, step: &Step<'_>) -> String {
    let Some(edit) = venv_package(plan, step) else { return plan.pieces.whole(step.instruction) };
    plan.pieces.edited(step.instruction, &[edit])
}

fn venv_package(plan: &Plan<'_, '_>, step: &Step<'_>) -> Option<Edit> {
    let packages = plan.subject.layout(plan.stage).packages.iter();
    let has = packages.clone().any(|package| matches!(&*package.name, "python3-venv" | "python3-full"));
    if !plan.makes_venv || !plan.has_system_python() || !plan.stage.system().has_apt() || has {
        return None;
    }
    let shell = step.shell?;
    let operands = step.packages.iter().flat_map(|(_, call)| call.packages());
    let python = operands.into_iter().find(|operand| operand.name.starts_with("python3"))?;
    shell.add_word(python.range.clone(), "python3-venv")
}

/// An instruction that installs, for the environment.
fn install(plan: &Plan<'_, '_>, number: usize, step: &Step<'_>) -> Vec<String> {
    let Some(shell) = step.shell else { return Vec::new() };
    let file = plan.subject.file;
    let mut edits: Vec<Edit> = Vec::new();
    let mut kept = step.commands.len();
    if plan.makes_venv {
        let is_tool = |command: &&Command<'_>| role(step, command) == Role::Tool;
        for command in step.commands.iter().filter(is_tool) {
            kept -= 1;
            let removal = command.removal().unwrap_or_else(|| vec![command.pipeline().range.clone()]);
            edits.extend(removal.into_iter().map(|range| Edit { span: shell.span(range), text: String::new() }));
        }
        for (_, call) in &step.packages {
            let outside = call.options.iter().filter(|option| OUTSIDE.contains(&&*option.name));
            edits.extend(outside.filter_map(|option| step.remove_word(file, option.word.range.clone())));
        }
        edits.extend(venv_package(plan, step));
    }
    let neutral = step.commands.iter().all(|command| matches!(role(step, command), Role::Tool | Role::Neutral));
    if kept == 0 || plan.makes_venv && neutral && plan.installs[number].is_empty() {
        return Vec::new();
    }
    merge(&mut edits);
    vec![plan.pieces.edited(step.instruction, &edits)]
}

/// Makes one deletion of those that touch.
fn merge(edits: &mut Vec<Edit>) {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    edits.dedup_by(|next, before| {
        let touches = next.span.start < before.span.end && next.text.is_empty() && before.text.is_empty();
        if touches {
            before.span.end = before.span.end.max(next.span.end);
        }
        touches
    });
}

/// Whether the project itself is built.
fn installs_project(plan: &Plan<'_, '_>) -> bool {
    plan.installs.iter().flatten().any(|install| {
        let (_, call) = plan.subject.call(install.at);
        let own = match call.manager {
            Manager::Pip | Manager::UvPip => {
                call.operands.iter().any(|operand| matches!(operand.kind, OperandKind::Path | OperandKind::Editable))
            }
            Manager::Uv => !call.has(&["--no-install-project"]) && is_package(plan.subject),
            Manager::Poetry => !call.has(&["--no-root"]) && is_package(plan.subject),
            _ => false,
        };
        own || matches!(install.into, Destination::Wheels(_))
    })
}

fn is_package(subject: &Subject<'_>) -> bool {
    subject.context.project().is_none_or(|project| project.is_package)
}

/// `COPY` of what the installs read, to where `COPY` of the source puts it.
fn manifests(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<Vec<String>, Obstacle> {
    let obstacle = |why: &str| Obstacle { span: step.instruction.span, why: why.to_owned() };
    if plan.manifests.is_empty() {
        return Ok(Vec::new());
    }
    if !step.copies_whole_context() {
        return Err(obstacle("which of its files the installation reads is not known"));
    }
    let destination = step.destination().ok_or_else(|| obstacle("where it copies to is not known"))?;
    let here = step.workdir.as_deref() == Some(destination.trim_end_matches('/'));
    let mut lines = Vec::new();
    let mut directories: Vec<&str> =
        plan.manifests.iter().map(|path| path.rsplit_once('/').map_or("", |(directory, _)| directory)).collect();
    directories.dedup();
    for directory in directories {
        let own = |path: &&String| path.rsplit_once('/').map_or("", |(directory, _)| directory) == directory;
        let names: Vec<&str> = plan.manifests.iter().filter(own).map(String::as_str).collect();
        let target = match (here, directory) {
            (true, "") => "./".to_owned(),
            (true, directory) => format!("{directory}/"),
            (false, "") => format!("{}/", destination.trim_end_matches('/')),
            (false, directory) => format!("{}/{directory}/", destination.trim_end_matches('/')),
        };
        lines.push(format!("COPY {} {target}", names.join(" ")));
    }
    if plan.pieces.is_apart(step.instruction)
        && let Some(first) = lines.first_mut()
    {
        *first = format!("\n{first}");
    }
    Ok(lines)
}

/// The files that an installer reads by their usual names, as far as the context has them; for one that cannot be looked at, those that
/// the command names.
pub(super) fn named_files(subject: &Subject<'_>, install: &Install) -> Vec<String> {
    let (_, call) = subject.call(install.at);
    let usual: &[&str] = match call.manager {
        Manager::Uv => &["pyproject.toml", "uv.lock"],
        Manager::Poetry => &["pyproject.toml", "poetry.lock"],
        Manager::Pipenv => &["Pipfile", "Pipfile.lock"],
        Manager::Pip | Manager::UvPip => {
            let lists = call.operands.iter().filter(|operand| {
                matches!(operand.kind, OperandKind::Requirements | OperandKind::Constraints)
                    && !operand.text.starts_with('/')
                    && !operand.text.contains(['$', ':', '*'])
            });
            return lists.map(|operand| operand.text.trim_start_matches("./").to_owned()).collect();
        }
        _ => &[],
    };
    let there = |name: &&&str| subject.context.root().is_none() || subject.context.text(name).is_some();
    usual.iter().filter(there).map(|name| (*name).to_owned()).collect()
}
