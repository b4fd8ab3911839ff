//! The second stage: what runs.

use super::classify::Purpose;
use super::{Obstacle, Plan};
use crate::model::{Flavour, OsPackage, Step, System};
use crate::tables::build_packages::is_build_only;
use crate::tables::libraries::runtime_packages;
use crate::tables::wheels::always_compiled;
use jettison_dockerfile::instruction::{CommandLine, InstructionKind};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;
use std::collections::BTreeSet;

/// Programs that the full image has and the slim one has not, with the package that has them.
const OF_THE_FULL_IMAGE: [(&str, &str); 8] = [
    ("curl", "curl"),
    ("wget", "wget"),
    ("git", "git"),
    ("unzip", "unzip"),
    ("file", "file"),
    ("ssh", "openssh-client"),
    ("gpg", "gnupg"),
    ("patch", "patch"),
];
/// Programs that only a build has.
const OF_A_BUILD: [&str; 14] = [
    "gcc",
    "g++",
    "cc",
    "c++",
    "make",
    "cmake",
    "cargo",
    "rustc",
    "pg_config",
    "mysql_config",
    "pip",
    "pip3",
    "uv",
    "poetry",
];

/// The text of the stage.
pub(super) fn write(plan: &Plan<'_, '_>) -> Result<String, Obstacle> {
    let mut lines = vec![head(plan)?];
    let copy_at = plan
        .steps()
        .find(|(_, _, purpose)| *purpose == Purpose::Source)
        .map_or(plan.first, |(at, ..)| at.min(plan.first));
    let mut more = extra_packages(plan)?;
    let mut has_user = false;
    for (number, step, purpose) in plan.steps() {
        if number == copy_at {
            // What no instruction installs so far, in one of its own.
            let later = plan.steps().any(|(other, step, _)| other >= number && !packages(plan, other, step).is_empty());
            if !more.is_empty() && !later {
                lines.push(install(plan, &std::mem::take(&mut more)));
            }
            lines.extend(early_packages(plan, number, &mut more)?);
            lines.push(format!("COPY --from=builder {0} {0}", plan.venv));
            if !plan.has_search_path() {
                lines.push(plan.search_path());
            }
        }
        match purpose {
            Purpose::BuilderSetting | Purpose::Tool | Purpose::Manifest => {}
            Purpose::Setting | Purpose::Source => lines.push(plan.pieces.whole(step.instruction)),
            Purpose::System | Purpose::Install if number >= copy_at => {}
            Purpose::System | Purpose::Install => lines.extend(system(plan, number, step, &mut more)?),
            Purpose::Runtime => {
                let is_user = matches!(step.instruction.kind, InstructionKind::User(_));
                let starts = matches!(step.instruction.kind, InstructionKind::Cmd(_) | InstructionKind::Entrypoint(_));
                if starts && !has_user && plan.stage.user.is_none() && !listens_below_1024(plan) {
                    lines.push(user(plan.stage.system()));
                    has_user = true;
                }
                has_user |= is_user;
                lines.push(runtime(plan, step)?);
            }
        }
    }
    Ok(lines.join("\n"))
}

/// `FROM` with the slim form of the base.
fn head(plan: &Plan<'_, '_>) -> Result<String, Obstacle> {
    let (file, from) = (plan.subject.file, &plan.stage.syntax.from);
    let span = plan.stage.head.span;
    let image = from.image.span();
    let is_full = plan.stage.image.as_ref().is_some_and(|image| image.is_full_python());
    let written = file.text(image);
    let name = if is_full {
        slim(written, plan)
            .ok_or_else(|| Obstacle { span: image, why: "the slim form of its tag is not known".to_owned() })?
    } else {
        written.to_owned()
    };
    let (before, after) = (file.text(Span::new(span.start, image.start)), file.text(Span::new(image.end, span.end)));
    let stage = plan.stage.syntax.from.name.as_ref().map_or("runtime".to_owned(), ToString::to_string);
    Ok(format!("# {stage} is the image.\n{before}{name}{after}"))
}

/// `python:3.12-bookworm` → `python:3.12-slim-bookworm`. A digest is one of another image, and goes.
fn slim(written: &str, plan: &Plan<'_, '_>) -> Option<String> {
    let name = written.split('@').next()?;
    if plan.stage.python()?.flavour != Flavour::Full {
        return None;
    }
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ if name.contains('$') => return None,
        _ => (name, "latest"),
    };
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with('$');
    let tag = match tag.rsplit_once('-') {
        _ if tag == "latest" => "slim".to_owned(),
        Some((version, suite)) if is_version(version) => format!("{version}-slim-{suite}"),
        None if is_version(tag) => format!("{tag}-slim"),
        None => format!("slim-{tag}"),
        Some(_) => return None,
    };
    Some(format!("{repository}:{tag}"))
}

/// The packages of the distribution that an instruction installs, and does not remove again.
fn packages<'p>(plan: &'p Plan<'_, '_>, number: usize, _: &Step<'_>) -> Vec<&'p OsPackage> {
    let all = plan.subject.layout(plan.stage).packages.iter();
    all.filter(|package| package.at.step == number && !package.is_removed).collect()
}

/// What the image runs with of the packages that an instruction installs.
fn kept(plan: &Plan<'_, '_>, number: usize, step: &Step<'_>) -> Result<Vec<String>, Obstacle> {
    let mut names: Vec<String> = Vec::new();
    for package in packages(plan, number, step) {
        let name = package.name.as_str();
        let python = matches!(
            name,
            "python3-pip"
                | "python3-venv"
                | "python3-full"
                | "python3-dev"
                | "python3-setuptools"
                | "python3-wheel"
                | "py3-pip"
        );
        if python {
            if plan.has_system_python() {
                names.push("python3".to_owned());
            }
        } else if is_build_only(name) {
            match runtime_packages(name, plan.release) {
                Some(libraries) => names.extend(libraries.into_iter().map(str::to_owned)),
                None => {
                    let why = format!("which package has what programs built with {name} need is not known");
                    return Err(Obstacle { span: package.span, why });
                }
            }
        } else {
            names.push(name.to_owned());
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// What distributions and programs need that the full image had without being asked.
fn extra_packages(plan: &Plan<'_, '_>) -> Result<Vec<String>, Obstacle> {
    let mut names = BTreeSet::new();
    let libraries = |package: &str| runtime_packages(package, plan.release).unwrap_or_default();
    for install in plan.installs.iter().flatten() {
        for demand in plan.subject.demands(install).all {
            let needed = always_compiled(demand.name.as_str()).unwrap_or_default();
            names.extend(needed.iter().flat_map(|package| libraries(package)).map(str::to_owned));
        }
    }
    let is_full = plan.stage.image.as_ref().is_some_and(|image| image.is_full_python());
    let runs = plan.steps().filter(|(.., purpose)| *purpose == Purpose::Runtime);
    for (_, step, _) in runs {
        for command in &step.commands {
            let Some(name) = command.name() else { continue };
            if OF_A_BUILD.contains(&name) && !is_runner(command) {
                let span = step.shell.map_or(step.instruction.span, |shell| shell.span(command.range()));
                return Err(Obstacle { span, why: format!("it runs {name}, which only the builder will have") });
            }
            if let Some((_, package)) = OF_THE_FULL_IMAGE.iter().find(|(program, _)| is_full && *program == name) {
                names.insert((*package).to_owned());
            }
        }
    }
    for (number, step, _) in plan.steps() {
        for name in kept(plan, number, step)? {
            names.remove(&name);
        }
    }
    Ok(names.into_iter().collect())
}

/// Instructions behind the place of the environment that install packages of the distribution: they move in front of it.
fn early_packages(plan: &Plan<'_, '_>, from: usize, more: &mut Vec<String>) -> Result<Vec<String>, Obstacle> {
    let mut lines = Vec::new();
    for (number, step, purpose) in plan.steps().skip(from) {
        if matches!(purpose, Purpose::System | Purpose::Install) {
            lines.extend(system(plan, number, step, more)?);
        }
    }
    Ok(lines)
}

/// What is left of an instruction that installs packages of the distribution.
fn system(
    plan: &Plan<'_, '_>,
    number: usize,
    step: &Step<'_>,
    more: &mut Vec<String>,
) -> Result<Option<String>, Obstacle> {
    let all = packages(plan, number, step);
    if all.is_empty() {
        return Ok(None);
    }
    let mut names = kept(plan, number, step)?;
    let unchanged = names.len() == all.len() && all.iter().all(|package| names.contains(&package.name));
    if unchanged && more.is_empty() && plan.purposes[number] == Purpose::System {
        return Ok(Some(plan.pieces.whole(step.instruction)));
    }
    names.append(more);
    Ok((!names.is_empty()).then(|| install(plan, &names)))
}

/// `RUN` that installs packages of the distribution.
fn install(plan: &Plan<'_, '_>, names: &[String]) -> String {
    let names = names.join(" ");
    match plan.stage.system() {
        System::Alpine | System::Wolfi => format!("RUN apk add --no-cache {names}"),
        _ => format!(
            "RUN apt-get update \\\n    && apt-get install -y --no-install-recommends {names} \\\n    && rm -rf /var/lib/apt/lists/*"
        ),
    }
}

/// `RUN` and `USER` for a user that is not root.
fn user(system: System) -> String {
    match system {
        System::Alpine | System::Wolfi => "RUN adduser -D -u 10001 app\nUSER app".to_owned(),
        _ => "RUN useradd --create-home --uid 10001 app\nUSER app".to_owned(),
    }
}

fn listens_below_1024(plan: &Plan<'_, '_>) -> bool {
    plan.stage.steps.iter().any(|step| match &step.instruction.kind {
        InstructionKind::Expose(ports) => ports.iter().any(|port| {
            let number = port.split(['/', '-']).next().and_then(|number| number.parse::<u16>().ok());
            number.is_none_or(|number| number < 1024)
        }),
        _ => false,
    })
}

/// Whether it is `uv run`, `poetry run` or `pipenv run`: the environment is in front, so that what follows runs by itself.
fn is_runner(command: &Command<'_>) -> bool {
    let is_tool = matches!(command.name(), Some("uv" | "poetry" | "pipenv"));
    is_tool && command.arguments().first().and_then(|word| word.plain()) == Some("run")
}

/// An instruction of the image, without `uv run`.
fn runtime(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<String, Obstacle> {
    let mut edits = Vec::new();
    for command in step.commands.iter().filter(|command| is_runner(command)) {
        let span = step.shell.map_or(step.instruction.span, |shell| shell.span(command.range()));
        let obstacle = || Obstacle { span, why: "the options of its `run` are not known".to_owned() };
        let next = command.arguments().get(1).ok_or_else(obstacle)?;
        if next.plain().is_none_or(|word| word.starts_with('-')) {
            return Err(obstacle());
        }
        let exec = match &step.instruction.kind {
            InstructionKind::Cmd(line) | InstructionKind::Entrypoint(line) => line,
            InstructionKind::Run(run) => &run.command,
            _ => return Err(obstacle()),
        };
        let cut = match exec {
            CommandLine::Exec(words) => match &words[..] {
                [first, _, third, ..] => Span::new(first.span().start, third.span().start),
                _ => return Err(obstacle()),
            },
            CommandLine::Shell(_) => {
                let (Some(shell), Some(program)) = (step.shell, command.program()) else { return Err(obstacle()) };
                Span::new(shell.span(program.range.clone()).start, shell.span(next.range.clone()).start)
            }
        };
        edits.push(Edit { span: cut, text: String::new() });
    }
    scripts_run(plan, step)?;
    Ok(plan.pieces.edited(step.instruction, &edits))
}

/// A script of the project that the image starts with must not need what only the builder has.
fn scripts_run(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<(), Obstacle> {
    if !matches!(step.instruction.kind, InstructionKind::Cmd(_) | InstructionKind::Entrypoint(_)) {
        return Ok(());
    }
    let words = step.commands.iter().flat_map(|command| command.program().into_iter().chain(command.arguments()));
    for word in words {
        let Some(name) = word.plain().filter(|word| word.ends_with(".sh")) else { continue };
        let text = plan.subject.context.text(name.rsplit('/').next().unwrap_or(name));
        let needs = |text: &String| ["poetry ", "uv ", "pipenv ", "pip "].iter().any(|tool| text.contains(tool));
        if text.as_ref().is_none_or(needs) {
            let span = step.instruction.span;
            return Err(Obstacle { span, why: format!("what {name} runs is not known, or needs an installer") });
        }
    }
    Ok(())
}
