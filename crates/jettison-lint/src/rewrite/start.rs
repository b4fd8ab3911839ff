//! What starts the application: without the installer that ran it, and by whom.

use super::classify::Purpose;
use super::{Obstacle, Plan};
use crate::model::{Step, System};
use crate::rules::{made_user, new_user, steps_down};
use jettison_dockerfile::instruction::{CommandLine, Healthcheck, InstructionKind};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;

/// Options of `uv run` and `poetry run` that say how the environment is brought up to date, which it is.
const OF_RUN: [&str; 9] =
    ["--no-sync", "--frozen", "--locked", "--no-dev", "--offline", "--quiet", "-q", "--no-project", "--isolated"];
/// Programs that only a build has.
const OF_A_BUILD: [&str; 16] = [
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
    "pip-sync",
    "uv",
    "poetry",
    "pipenv",
];
/// What an application writes to while it runs.
const KEPT_FILES: [&str; 2] = [".sqlite3", ".db"];

/// Whether it is `uv run`, `poetry run` or `pipenv run`: the environment is in front, so that what follows runs by itself.
fn is_runner(command: &Command<'_>) -> bool {
    let is_tool = matches!(command.name(), Some("uv" | "poetry" | "pipenv"));
    is_tool && command.arguments().first().is_some_and(|word| word.text() == "run")
}

/// An instruction of the image, without `uv run`.
pub(super) fn runtime(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<String, Obstacle> {
    let mut edits = Vec::new();
    for command in &step.commands {
        let span = step.shell.map_or(step.instruction.span, |shell| shell.span(command.range()));
        if is_runner(command) {
            edits.push(without_runner(plan, step, command, span)?);
            continue;
        }
        let name = command.name().unwrap_or_default();
        let compiles = name.starts_with("python") && command.arguments().iter().any(|word| word.text() == "setup.py");
        if OF_A_BUILD.contains(&name) {
            return Err(Obstacle { span, why: format!("it runs {name}, which only the builder will have") });
        }
        if compiles {
            return Err(Obstacle { span, why: "it may compile, which only the builder can do".to_owned() });
        }
    }
    known_scripts(plan, step)?;
    Ok(plan.pieces.edited(step.instruction, &edits))
}

/// The edit that leaves what an installer was to run.
fn without_runner(plan: &Plan<'_, '_>, step: &Step<'_>, command: &Command<'_>, span: Span) -> Result<Edit, Obstacle> {
    let obstacle = |why: &str| Err(Obstacle { span, why: why.to_owned() });
    let words = command.arguments();
    let option = |word: &&jettison_shell::Word| OF_RUN.contains(&&*word.text());
    let mut at = 1 + words[1..].iter().take_while(option).count();
    at += usize::from(words.get(at).is_some_and(|word| word.text() == "--"));
    let Some(next) = words.get(at).filter(|word| !word.text().starts_with('-')) else {
        return obstacle("the options of its `run` are not known");
    };
    let name = next.text();
    if is_script_of_project(plan, command, &name) {
        return obstacle("it runs a script of the project, which is not installed");
    }
    // `uv run main.py` is `uv run python main.py`.
    let text = if command.is("uv") && name.ends_with(".py") { "python" } else { "" };
    let line = match &step.instruction.kind {
        InstructionKind::Cmd(line) | InstructionKind::Entrypoint(line) => line,
        InstructionKind::Run(run) => &run.command,
        InstructionKind::Healthcheck(Healthcheck::Check(check)) => &check.command,
        _ => return obstacle("where it stands is not known"),
    };
    match (line, step.shell, command.program()) {
        (CommandLine::Exec(words), ..) => {
            let (Some(first), Some(next)) = (words.first(), words.get(at + 1)) else {
                return obstacle("where it stands is not known");
            };
            let text = if text.is_empty() { String::new() } else { format!("\"{text}\", ") };
            Ok(Edit { span: Span::new(first.span().start, next.span().start), text })
        }
        (CommandLine::Shell(_), Some(shell), Some(program)) => {
            let (start, end) = (shell.span(program.range.clone()).start, shell.span(next.range.clone()).start);
            let text = if text.is_empty() { String::new() } else { format!("{text} ") };
            Ok(Edit { span: Span::new(start, end), text })
        }
        _ => obstacle("where it stands is not known"),
    }
}

/// Whether `run` takes a name for one that the project gives a command: in the environment there is no such program then.
fn is_script_of_project(plan: &Plan<'_, '_>, command: &Command<'_>, name: &str) -> bool {
    let (file, tables): (_, &[&[&str]]) = match command.name() {
        Some("pipenv") => ("Pipfile", &[&["scripts"]]),
        _ if plan.manifests.needs_source() => return false,
        _ => ("pyproject.toml", &[&["project", "scripts"], &["tool", "poetry", "scripts"]]),
    };
    let Some(root) = plan.subject.context.text(file).and_then(|text| text.parse::<toml::Table>().ok()) else {
        return false;
    };
    tables.iter().any(|path| {
        let mut table = Some(&root);
        for key in *path {
            table = table.and_then(|table| table.get(*key)?.as_table());
        }
        table.is_some_and(|table| table.contains_key(name))
    })
}

/// The scripts of the project that an instruction runs, each with its text where it can be read.
pub(super) fn scripts(plan: &Plan<'_, '_>, step: &Step<'_>) -> Vec<(String, Option<String>)> {
    let number = plan.stage.steps.iter().position(|other| std::ptr::eq(other, step)).unwrap_or(plan.stage.steps.len());
    // What a container starts with is looked for in the whole image.
    let number = if step.run().is_some() { number } else { plan.stage.steps.len() };
    let directory = |word: &str| crate::model::join(step.workdir.as_deref().or(Some("/")), word);
    let mut found = Vec::new();
    for command in &step.commands {
        let program = command.program().map(|word| word.text());
        let mut words: Vec<String> = Vec::new();
        let starts =
            command.is("sh") || command.is("bash") || command.is("dash") || command.is("tini") || command.is("exec");
        words.extend(
            program.filter(|word| !starts && (word.contains('/') || word.ends_with(".sh"))).map(|w| w.into_owned()),
        );
        let arguments = command.arguments().iter().map(|word| word.text());
        words.extend(
            arguments.filter(|word| word.ends_with(".sh") && !word.starts_with('-') && starts).map(|w| w.into_owned()),
        );
        for word in words.into_iter().filter(|word| !is_of_system(plan, word)) {
            let origin = directory(&word).and_then(|path| plan.subject.origin(plan.stage, number, &path));
            let base = word.rsplit('/').next().unwrap_or(&word);
            let text = match origin {
                Some(path) => plan.subject.context.read(&path),
                None => plan.subject.context.text(base),
            };
            found.push((word, text));
        }
        // A program on the search path may be a script that was copied there.
        if let Some(name) = command.name().filter(|name| !name.contains('/')) {
            let origin = ["/usr/local/bin", "/usr/bin"]
                .iter()
                .find_map(|directory| plan.subject.origin(plan.stage, number, &format!("{directory}/{name}")));
            found.extend(origin.map(|path| (name.to_owned(), plan.subject.context.read(&path))));
        }
    }
    found
}

/// Whether a program is one of the image, or of the environment.
fn is_of_system(plan: &Plan<'_, '_>, path: &str) -> bool {
    let bin = format!("{}/bin/", plan.venv);
    [&*bin, "/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"].iter().any(|start| path.starts_with(start))
        || path.starts_with("/usr/local/bin/python")
}

/// A script of the project that runs in the image must not need what only the builder has.
fn known_scripts(plan: &Plan<'_, '_>, step: &Step<'_>) -> Result<(), Obstacle> {
    for (name, text) in scripts(plan, step) {
        let needs = |text: &String| {
            text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-.+".contains(c)))
                .any(|word| OF_A_BUILD.contains(&word))
        };
        if text.as_ref().is_none_or(needs) {
            let span = step.instruction.span;
            return Err(Obstacle { span, why: format!("what {name} runs is not known, or only the builder has it") });
        }
    }
    Ok(())
}

/// `RUN` and `USER` for a user that is not root, and the step in front of which they belong; `None` where there is one, or where the
/// application could not do its work.
pub(super) fn user(plan: &Plan<'_, '_>) -> Option<(usize, String)> {
    let starts =
        |step: &&Step<'_>| matches!(step.instruction.kind, InstructionKind::Cmd(_) | InstructionKind::Entrypoint(_));
    if plan.stage.user.is_some()
        || !plan.stage.steps.iter().any(|step| starts(&step))
        || listens_below_1024(plan)
        || steps_down(plan.subject, plan.stage)
        || writes(plan)
    {
        return None;
    }
    let works = |step: &Step<'_>| {
        !matches!(
            step.instruction.kind,
            InstructionKind::Cmd(_)
                | InstructionKind::Entrypoint(_)
                | InstructionKind::Healthcheck(_)
                | InstructionKind::Expose(_)
                | InstructionKind::Stopsignal(_)
        )
    };
    let at = plan.stage.steps.iter().rposition(works).map_or(0, |at| at + 1);
    // Above the command, where that stands at the end.
    let at = at + plan.stage.steps[at..].iter().position(|step| starts(&step)).unwrap_or(plan.stage.steps.len() - at);
    let text = match (made_user(plan.subject), plan.stage.system()) {
        (Some(name), _) => format!("USER {name}"),
        (None, System::Wolfi) => "RUN adduser -D -u 65532 app\nUSER 65532:65532".to_owned(),
        (None, system) => new_user(system)?.trim_end().to_owned(),
    };
    Some((at, text))
}

/// Whether the application has directories of its own to write to, which would have to be its user's.
fn writes(plan: &Plan<'_, '_>) -> bool {
    let volume = plan.stage.steps.iter().any(|step| matches!(step.instruction.kind, InstructionKind::Volume(_)));
    let runs = plan.steps().filter(|(.., purpose)| matches!(purpose, Purpose::Runtime | Purpose::Shared));
    let makes = runs.map(|(_, step, _)| step).filter(|step| step.run().is_some()).any(|step| {
        step.commands
            .iter()
            .any(|command| matches!(command.name(), Some("mkdir" | "chmod" | "touch")) && !marks_program(command))
    });
    let files = plan.subject.context.files().iter().filter_map(|file| file.path.as_str());
    volume || makes || files.into_iter().any(|path| KEPT_FILES.iter().any(|end| path.ends_with(end)))
}

/// `chmod +x`.
fn marks_program(command: &Command<'_>) -> bool {
    command.is("chmod")
        && command.arguments().iter().find(|word| !word.text().starts_with('-')).is_some_and(|word| {
            let text = word.text();
            text.contains("+x") || matches!(&*text, "755" | "0755" | "555" | "0555" | "+rx" | "a+rx")
        })
}

fn listens_below_1024(plan: &Plan<'_, '_>) -> bool {
    let low = |number: &str| number.parse::<u16>().is_ok_and(|number| (1..1024).contains(&number));
    plan.stage.steps.iter().any(|step| match &step.instruction.kind {
        InstructionKind::Expose(ports) => ports.iter().any(|port| {
            let number = port.split(['/', '-']).next().unwrap_or_default();
            number.parse::<u16>().is_err() || low(number)
        }),
        // `0.0.0.0:80`, `--port 80`
        InstructionKind::Cmd(_) | InstructionKind::Entrypoint(_) => {
            let words = step.commands.iter().flat_map(|command| command.arguments());
            words.map(|word| word.text()).any(|word| {
                let (before, last) = word.rsplit_once([':', '=']).unwrap_or(("", &word));
                (before.is_empty() || !before.contains('/')) && matches!(last, "80" | "443")
            })
        }
        _ => false,
    })
}
