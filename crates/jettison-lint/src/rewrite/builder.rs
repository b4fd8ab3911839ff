//! The first stage: what builds.

use super::classify::{Purpose, Role, is_installer_script, role};
use super::{Obstacle, Plan};
use crate::model::Step;
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;
use jettison_shell::packages::Manager;
use jettison_shell::syntax::{Connector, ConnectorKind, Item};
use std::ops::Range;

/// Options that make sense only where there is no environment. None of them has a value.
const OUTSIDE: [&str; 3] = ["--user", "--system", "--break-system-packages"];
/// Variables that lead installers past an environment, and what takes that back.
const LEADING_ASIDE: [(&str, &str); 3] = [("PIP_USER", "0"), ("PIPENV_SYSTEM", "0"), ("UV_SYSTEM_PYTHON", "0")];

/// The text of the stage.
pub(super) fn write(plan: &Plan<'_, '_>) -> Result<String, Obstacle> {
    let mut lines =
        vec![format!("# {} installs the dependencies; only {} goes into the image.", plan.builder, plan.venv)];
    let from = plan.subject.file.text(head_without_name(plan));
    lines.push(format!("{} AS {}", from.trim_end(), plan.builder));
    for (number, step, purpose) in plan.steps().take_while(|(number, ..)| *number <= plan.last) {
        if plan.makes_venv && plan.made_within.is_none() && number == plan.made_before {
            lines.extend(early_packages(plan));
            lines.extend(tools(plan));
            lines.push(format!("RUN {}", make(plan)));
            lines.push(environment(plan, step)?);
        }
        match purpose {
            Purpose::Setting | Purpose::Tool => {
                lines.push(plan.pieces.whole(step.instruction));
            }
            Purpose::System if is_early(plan, number) => {}
            Purpose::System => lines.push(system(plan, step)),
            Purpose::Manifest => lines.push(copied(plan, step)),
            Purpose::Shared if step.run().is_some() || installs_files(plan) => lines.push(copied(plan, step)),
            Purpose::Shared => {}
            Purpose::Source if plan.manifests.needs_source() => lines.push(copied(plan, step)),
            // The lists of requirements come along with the source; alone they are enough.
            Purpose::Source => {
                let mut copies = plan.manifests.copies(&plan.stage.steps, &plan.purposes, number, plan.last);
                if let Some(first) = copies.first_mut().filter(|_| plan.pieces.is_apart(step.instruction)) {
                    *first = format!("\n{first}");
                }
                lines.extend(copies);
            }
            Purpose::Runtime => {}
            Purpose::Install if plan.made_within == Some(number) => {
                lines.push(environment(plan, step)?);
                lines.push(install_within(plan, step)?);
            }
            Purpose::Install => lines.extend(install(plan, number, step)),
        }
    }
    if plan.makes_venv && !asks_for_pip(plan) {
        // It came with the environment, and goes before that is copied.
        lines.push("RUN python -m pip uninstall --yes pip".to_owned());
    }
    Ok(lines.join("\n"))
}

/// Whether something that runs in the image may install more: by pip itself, or by a program that calls it to download models.
fn asks_for_pip(plan: &Plan<'_, '_>) -> bool {
    let runs = plan.steps().filter(|(.., purpose)| matches!(purpose, Purpose::Runtime | Purpose::Shared));
    let words =
        |step: &Step<'_>| step.shell.is_some_and(|shell| shell.text.contains("pip") || shell.text.contains("download"));
    runs.into_iter().any(|(_, step, _)| words(step))
}

/// `FROM`, its flags and its image, without the name of the stage.
fn head_without_name(plan: &Plan<'_, '_>) -> Span {
    Span::new(plan.stage.head.span.start, plan.stage.syntax.from.image.span().end)
}

/// Whether a command installs an installer that would otherwise be in the environment, and can be taken out of its script.
fn is_tool(step: &Step<'_>, command: &Command<'_>) -> bool {
    let pipeline = command.pipeline();
    let ties = |connector: Option<&Connector>| {
        connector.is_some_and(|connector| matches!(connector.kind, ConnectorKind::Or | ConnectorKind::Background))
    };
    role(step, command) == Role::Tool
        && !is_installer_script(step, command)
        && !is_of_venv(step, command)
        && pipeline.nodes.len() == 1
        && pipeline.negated.is_none()
        && command.is_top_level()
        && !ties(command.connector_before())
        && !ties(command.connector_after())
}

/// Whether it brings what every environment has: a newer pip is wanted where pip is used.
fn is_of_venv(step: &Step<'_>, command: &Command<'_>) -> bool {
    let call = step.packages.iter().find(|(other, _)| other.range() == command.range());
    call.is_some_and(|(_, call)| {
        call.operands.iter().all(|operand| matches!(&*operand.name, "pip" | "setuptools" | "wheel"))
    })
}

/// The commands that install installers, taken out of the instructions that they share with installs: they go outside of the
/// environment.
fn tools(plan: &Plan<'_, '_>) -> Vec<String> {
    let mut lines = Vec::new();
    if keeps_tools(plan) {
        return lines;
    }
    for (number, step, _) in plan.steps().filter(|(.., purpose)| *purpose == Purpose::Install) {
        let Some(shell) = step.shell.filter(|_| number >= plan.made_before) else { continue };
        for command in step.commands.iter().filter(|command| is_tool(step, command)) {
            let command = plan.subject.file.text(shell.span(command.pipeline().range.clone()));
            lines.push(format!("RUN {}{command}", flags(plan, step)));
        }
    }
    lines
}

/// Whether installers are needed within the environment: builds without isolation use what is there.
fn keeps_tools(plan: &Plan<'_, '_>) -> bool {
    plan.made_within.is_some() || plan.calls().any(|(_, (_, call))| call.has(&["--no-build-isolation"]))
}

/// The mounts and other flags of a `RUN`, as they were written.
fn flags(plan: &Plan<'_, '_>, step: &Step<'_>) -> String {
    let written = step.instruction.flags.iter().map(|flag| plan.subject.file.text(flag.span));
    written.map(|flag| format!("{flag} ")).collect()
}

/// The command that makes the environment. Modules that are packages of the distribution are seen from it.
fn make(plan: &Plan<'_, '_>) -> String {
    if !plan.has_system_python() {
        return format!("python -m venv {}", plan.venv);
    }
    let module = |name: &str| {
        let rest = name.strip_prefix("python3-").or_else(|| name.strip_prefix("py3-"));
        rest.is_some_and(|rest| {
            !matches!(rest, "pip" | "venv" | "full" | "dev" | "setuptools" | "wheel" | "distutils" | "virtualenv")
        })
    };
    let packages = &plan.subject.layout(plan.stage).packages;
    let seen = if packages.iter().any(|package| module(&package.name)) { "--system-site-packages " } else { "" };
    format!("python3 -m venv {seen}{}", plan.venv)
}

/// What puts the environment in front, for shells and for installers that ask for it by name.
fn environment(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<String, Obstacle> {
    let mut pairs = Vec::new();
    if plan.calls().any(|(_, (_, call))| call.manager != Manager::Pip) {
        pairs.push(format!("VIRTUAL_ENV={}", plan.venv));
    }
    let mut taken_back: Vec<(&str, &str)> = LEADING_ASIDE.to_vec();
    taken_back.push(("UV_PROJECT_ENVIRONMENT", &plan.venv));
    for (name, value) in taken_back {
        let by_command = plan
            .calls()
            .find(|(_, (command, _))| command.assignments().iter().any(|assignment| assignment.name == name));
        let later = plan.calls().any(|(step, _)| step.scope.variable(name).is_some());
        if let Some((step, _)) = by_command {
            return Err(Obstacle { span: step.instruction.span, why: format!("{name} says where it installs") });
        }
        match step.scope.variable(name).is_some() {
            true => pairs.push(format!("{name}={value}")),
            false if later => {
                let span = plan.stage.head.span;
                return Err(Obstacle { span, why: format!("{name} says where a part of it is installed") });
            }
            false => {}
        }
    }
    pairs.push(plan.search_path());
    Ok(format!("ENV {}", pairs.join(" ")))
}

/// Packages of the distribution. Debian's Python makes no environments without a package more.
fn system(plan: &Plan<'_, '_>, step: &Step<'_>) -> String {
    plan.pieces.edited(step.instruction, venv_package(plan, step).as_slice())
}

/// Whether packages of the distribution can be installed in front of what changes with the source, though they stand behind it.
fn is_early(plan: &Plan<'_, '_>, number: usize) -> bool {
    let between = plan.steps().skip(plan.made_before).take_while(|(at, ..)| *at < number);
    let moves = |(_, step, purpose): (usize, &Step<'_>, Purpose)| match purpose {
        Purpose::Setting => matches!(step.instruction.kind, InstructionKind::Workdir(_)),
        Purpose::Tool | Purpose::Shared | Purpose::Install => false,
        _ => true,
    };
    plan.makes_venv && plan.made_within.is_none() && number > plan.made_before && between.into_iter().all(moves)
}

fn early_packages(plan: &Plan<'_, '_>) -> Vec<String> {
    let steps = plan.steps().filter(|(number, _, purpose)| *purpose == Purpose::System && is_early(plan, *number));
    steps.filter(|(number, ..)| *number < plan.last).map(|(_, step, _)| system(plan, step)).collect()
}

fn venv_package(plan: &Plan<'_, '_>, step: &Step<'_>) -> Option<Edit> {
    let packages = plan.subject.layout(plan.stage).packages.iter();
    let has = packages.clone().any(|package| matches!(&*package.name, "python3-venv" | "python3-full"));
    if !plan.makes_venv || !plan.has_system_python() || !plan.stage.system().has_apt() || has {
        return None;
    }
    let shell = step.shell?;
    let python = packages.clone().find(|package| package.name.starts_with("python3"))?;
    let operands = step.packages.iter().flat_map(|(_, call)| call.packages());
    let own = operands.into_iter().find(|operand| shell.span(operand.range.clone()) == python.span)?;
    shell.add_word(own.range.clone(), "python3-venv")
}

/// Whether distributions may be files that were copied.
fn installs_files(plan: &Plan<'_, '_>) -> bool {
    plan.manifests.needs_source() || plan.calls().any(|(_, (_, call))| call.has(&["--find-links", "-f", "--no-index"]))
}

/// `COPY` as it was written, but for the owner: the builder does not know the users of the image.
fn copied(plan: &Plan<'_, '_>, step: &Step<'_>) -> String {
    let file = plan.subject.file;
    let is_copy = matches!(step.instruction.kind, InstructionKind::Copy(_) | InstructionKind::Add(_));
    let owner = step.instruction.flags.iter().filter(|flag| is_copy && flag.name.as_str() == "chown").map(|flag| {
        let rest = &file.source()[flag.span.end..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        Edit { span: Span::new(flag.span.start, flag.span.end + blanks), text: String::new() }
    });
    plan.pieces.edited(step.instruction, &owner.collect::<Vec<_>>())
}

/// Edits that take options away that lead past the environment.
fn outside(plan: &Plan<'_, '_>, step: &Step<'_>, keep_tools: bool) -> Vec<Edit> {
    let calls = step.packages.iter().filter(|(command, _)| !keep_tools || role(step, command) != Role::Tool);
    let options = calls.flat_map(|(_, call)| &call.options).filter(|option| OUTSIDE.contains(&&*option.name));
    options.filter_map(|option| step.remove_word(plan.subject.file, option.word.range.clone())).collect()
}

/// An instruction that installs, for the environment.
fn install(plan: &Plan<'_, '_>, number: usize, step: &Step<'_>) -> Vec<String> {
    let Some(shell) = step.shell else { return Vec::new() };
    let mut edits: Vec<Edit> = Vec::new();
    let takes_tools = plan.makes_venv && !keeps_tools(plan) && number >= plan.made_before;
    if takes_tools {
        let tools: Vec<_> = step.commands.iter().filter(|command| is_tool(step, command)).collect();
        let rest = |command: &Command<'_>| !is_tool(step, command) && role(step, command) != Role::Neutral;
        if !tools.is_empty() && !step.commands.iter().any(rest) {
            return Vec::new();
        }
        edits.extend(tools.iter().map(|tool| Edit { span: shell.span(cut(tool, &tools)), text: String::new() }));
    }
    if plan.makes_venv {
        edits.extend(outside(plan, step, number < plan.made_before));
        edits.extend(venv_package(plan, step));
    }
    merge(&mut edits);
    vec![plan.pieces.edited(step.instruction, &edits)]
}

/// What to delete so that the script goes on without a command, when `all` of these go.
fn cut(command: &Command<'_>, all: &[&Command<'_>]) -> Range<usize> {
    let here = command.pipeline().range.clone();
    let stays = |item: &Item| all.iter().all(|other| other.pipeline().range != item.pipeline.range);
    let is = |connector: Option<&Connector>, kind| connector.is_some_and(|connector| connector.kind == kind);
    let before = command.preceding().last();
    let goes_on = is(command.connector_after(), ConnectorKind::And);
    let backwards = before.is_some_and(stays) && is(command.connector_before(), ConnectorKind::And) && !goes_on;
    match (before, command.following().first()) {
        (_, Some(after)) if !backwards && command.following().iter().any(stays) => {
            here.start..after.pipeline.range.start
        }
        (Some(before), _) => before.pipeline.range.end..here.end,
        (None, _) => here,
    }
}

/// The same where the interpreter comes with the very script: the environment is made in it.
fn install_within(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<String, Obstacle> {
    let mut edits = outside(plan, step, true);
    edits.extend(venv_package(plan, step));
    let first = step.commands.iter().find(|command| matches!(role(step, command), Role::Install | Role::Prepare));
    if let (Some(shell), Some(first)) = (step.shell, first) {
        let made = shell.prepend(first, &make(plan)).ok_or_else(|| Obstacle {
            span: shell.span(first.range()),
            why: "nothing can be put in front of it".to_owned(),
        })?;
        edits.push(made);
    }
    merge(&mut edits);
    Ok(plan.pieces.edited(step.instruction, &edits))
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
