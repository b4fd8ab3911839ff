//! What each instruction of a single stage is there for.
//!
//! 1. A [`Role`] is that of one command of a script; [`Purpose`] that of a whole instruction.
//! 2. An instruction whose purpose cannot be told is an [`Obstacle`]: nothing is rewritten then.
//! 3. What stands before the installation and may have to do with it goes to both stages ([`Purpose::Shared`]).

use super::Obstacle;
use crate::context::FileKind;
use crate::model::{Step, Subject};
use jettison_dockerfile::instruction::{InstructionKind, Source};
use jettison_shell::Command;
use jettison_shell::packages::{Action, Manager, OperandKind, PackageCall};
use jettison_shell::syntax::Operator;

/// What a command of a script is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// It installs packages of the distribution, or has to do with it.
    System,
    /// It installs an installer: Poetry, uv, a newer pip.
    Tool,
    /// It installs what the application needs.
    Install,
    /// It makes a virtual environment, writes a list of requirements, sets an installer up.
    Prepare,
    /// It removes what nobody needs, or does nothing that stays.
    Neutral,
    /// Something else.
    Other,
}

/// What an instruction is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Variables, directories, the shell: both stages have them.
    Setting,
    /// An installer is copied from an image: the builder has it.
    Tool,
    /// Files that say what is to be installed: the builder has them.
    Manifest,
    /// The source: the image has it, and the builder where it installs the project itself.
    Source,
    /// Packages of the distribution and nothing else: the builder has them all, the image what it runs with.
    System,
    /// It installs: the builder does that. It may install packages of the distribution, too.
    Install,
    /// Files of other stages and images, changes of the system: the image has them, and the builder if they come before it installs.
    Shared,
    /// All else: the image has it.
    Runtime,
}

/// Distributions that install others.
const TOOLS: [&str; 12] = [
    "pip",
    "setuptools",
    "wheel",
    "poetry",
    "poetry-core",
    "poetry-plugin-export",
    "pipenv",
    "uv",
    "virtualenv",
    "pip-tools",
    "build",
    "pdm",
];

/// Commands that leave nothing behind that an image would need.
const NEUTRAL: [&str; 17] = [
    "rm", "set", "echo", "printf", "true", ":", "cd", "export", "pwd", "ls", "umask", "unset", "find", "which",
    "sleep", "type", "date",
];

/// Commands that no installation goes by.
const FOR_THE_IMAGE: [&str; 13] = [
    "mkdir",
    "useradd",
    "groupadd",
    "adduser",
    "addgroup",
    "usermod",
    "chown",
    "chgrp",
    "chmod",
    "touch",
    "install",
    "rm",
    "django-admin",
];

/// What the instruction `step` of the last stage is there for.
pub(super) fn purpose(subject: &Subject<'_>, step: &Step<'_>, manifests: &[String]) -> Result<Purpose, Obstacle> {
    let span = step.instruction.span;
    let obstacle = |why: &str| Err(Obstacle { span, why: why.to_owned() });
    Ok(match &step.instruction.kind {
        InstructionKind::Arg(_) | InstructionKind::Env(_) | InstructionKind::Workdir(_) | InstructionKind::Shell(_) => {
            Purpose::Setting
        }
        InstructionKind::Copy(copy) if copy.from.is_some() => {
            let from = copy.from.as_ref().map(|from| from.to_string()).unwrap_or_default();
            if from.contains("astral-sh/uv") { Purpose::Tool } else { Purpose::Shared }
        }
        InstructionKind::Copy(_) | InstructionKind::Add(_) => {
            let sources = step.context_sources();
            let is_manifest = |path: &str| manifests.iter().any(|manifest| manifest == path.trim_start_matches("./"));
            let documents = match &step.instruction.kind {
                InstructionKind::Copy(copy) => {
                    copy.transfer.sources.iter().any(|source| matches!(source, Source::Heredoc(_)))
                }
                _ => false,
            };
            let named = |word: &&jettison_dockerfile::Word| {
                step.expand(word).is_some_and(|path| {
                    is_manifest(&path)
                        || manifests.iter().any(|manifest| matches(&path, manifest))
                        || holds_manifests(subject, &path, manifests)
                })
            };
            if !sources.is_empty() && !documents && sources.iter().all(named) {
                Purpose::Manifest
            } else {
                Purpose::Source
            }
        }
        InstructionKind::Run(_) => return run(step),
        InstructionKind::Onbuild(_) | InstructionKind::Invalid | InstructionKind::From(_) => {
            return obstacle("it is not understood");
        }
        _ => Purpose::Runtime,
    })
}

/// Whether a pattern stands for a manifest: `requirements*.txt`, `poetry.lock*`.
pub(super) fn matches(pattern: &str, manifest: &str) -> bool {
    let Some((start, end)) = pattern.trim_start_matches("./").split_once('*') else { return false };
    !end.contains('*') && !start.is_empty() && manifest.starts_with(start) && manifest.ends_with(end)
}

/// A directory of lists, such as `requirements/`.
fn holds_manifests(subject: &Subject<'_>, path: &str, manifests: &[String]) -> bool {
    let directory = format!("{}/", path.trim_start_matches("./").trim_end_matches('/'));
    let is_list = |name: &str| name.ends_with(".txt") || name.ends_with(".in");
    let below = subject.context.files().iter().filter(|file| file.kind == FileKind::Regular);
    let mut below = below.filter_map(|file| file.path.as_str()).filter(|path| path.starts_with(&directory));
    directory != "/"
        && directory != "./"
        && manifests.iter().any(|name| name.starts_with(&directory))
        && below.all(is_list)
}

fn run(step: &Step<'_>) -> Result<Purpose, Obstacle> {
    let roles: Vec<Role> = step.commands.iter().map(|command| role(step, command)).collect();
    let has = |role| roles.contains(&role);
    let builds = has(Role::Tool) || has(Role::Install) || has(Role::Prepare);
    if !builds && !has(Role::System) {
        return Ok(if is_for_the_image(step) { Purpose::Runtime } else { Purpose::Shared });
    }
    let obstacle = |span, why: &str| Err(Obstacle { span, why: why.to_owned() });
    if let Some(at) = roles.iter().position(|&role| role == Role::Other) {
        let span = step.shell.map_or(step.instruction.span, |shell| shell.span(step.commands[at].range()));
        return obstacle(span, "it stands in one instruction with what installs packages");
    }
    if step.is_root() == Some(false) && step.commands.iter().any(|command| is_installer_script(step, command)) {
        return obstacle(step.instruction.span, "it installs an installer as another user than root");
    }
    Ok(if builds { Purpose::Install } else { Purpose::System })
}

/// Whether a script makes directories and users, or runs what is installed: nothing that installs needs it.
fn is_for_the_image(step: &Step<'_>) -> bool {
    let known = |command: &Command<'_>| {
        let runner = matches!(command.name(), Some("uv" | "poetry" | "pipenv"));
        let name = command.name().unwrap_or_default();
        runner
            || name.starts_with("python")
            || FOR_THE_IMAGE.contains(&name)
            || NEUTRAL.contains(&name) && !writes(command)
    };
    step.shell.is_none_or(|shell| shell.is_exec) || step.commands.iter().all(known)
}

/// Whether what a command prints goes to a file.
fn writes(command: &Command<'_>) -> bool {
    command.redirections().iter().any(|redirection| {
        matches!(
            redirection.operator,
            Operator::Output | Operator::Append | Operator::Clobber | Operator::OutputBoth | Operator::AppendBoth
        ) && redirection.target.plain() != Some("/dev/null")
    })
}

/// What a command is there for.
pub(super) fn role(step: &Step<'_>, command: &Command<'_>) -> Role {
    let call = step.packages.iter().find(|(other, _)| other.range() == command.range()).map(|(_, call)| call);
    if let Some(call) = call {
        return role_of_call(call);
    }
    if is_installer_script(step, command) {
        return Role::Tool;
    }
    let is_module = |module: &str| {
        command.arguments().windows(2).any(|pair| pair[0].plain() == Some("-m") && pair[1].plain() == Some(module))
    };
    match command.name() {
        Some("virtualenv") => Role::Prepare,
        Some("." | "source") => Role::Prepare,
        Some(name) if name.starts_with("python") && (is_module("venv") || is_module("virtualenv")) => Role::Prepare,
        Some(name) if NEUTRAL.contains(&name) && !writes(command) => Role::Neutral,
        _ => Role::Other,
    }
}

fn role_of_call(call: &PackageCall<'_>) -> Role {
    let first = call.arguments.iter().map(|word| word.text()).find(|word| !word.starts_with('-')).unwrap_or_default();
    let first = &*first;
    match call.manager {
        Manager::AptGet | Manager::Apt | Manager::Aptitude | Manager::Apk => Role::System,
        Manager::Pip | Manager::UvPip => match call.action {
            Action::Install | Action::Sync => {
                let is_tool = |name: &str| TOOLS.contains(&&*name.to_ascii_lowercase());
                let plain =
                    call.operands.iter().all(|operand| operand.kind == OperandKind::Package && is_tool(&operand.name));
                if plain && !call.operands.is_empty() { Role::Tool } else { Role::Install }
            }
            Action::Wheel | Action::Download | Action::Lock | Action::Create => Role::Prepare,
            Action::Other if first == "config" => Role::Prepare,
            Action::Other | Action::Clean => Role::Neutral,
            _ => Role::Other,
        },
        // An interpreter of uv's own would have to be copied, too.
        Manager::Uv if first == "python" => Role::Other,
        Manager::Uv | Manager::Poetry | Manager::Pipenv => match call.action {
            Action::Install | Action::Sync => Role::Install,
            Action::Other if first == "run" => Role::Other,
            Action::Lock | Action::Create | Action::Other => Role::Prepare,
            Action::Clean => Role::Neutral,
            _ => Role::Other,
        },
        _ => Role::Other,
    }
}

/// `curl … | sh` of the installers of Poetry, uv and Rust.
pub(super) fn is_installer_script(step: &Step<'_>, command: &Command<'_>) -> bool {
    let Some(shell) = step.shell else { return false };
    let text = shell.text.get(command.pipeline().range.clone()).unwrap_or_default();
    ["install.python-poetry.org", "astral.sh/uv", "sh.rustup.rs"].iter().any(|address| text.contains(address))
}
