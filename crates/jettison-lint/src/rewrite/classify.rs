//! What each instruction of a single stage is there for.
//!
//! 1. A [`Role`] is that of one command of a script; [`Purpose`] that of a whole instruction.
//! 2. An instruction whose purpose cannot be told is an [`Obstacle`]: nothing is rewritten then.

use super::Obstacle;
use crate::model::{Step, Subject};
use jettison_dockerfile::instruction::{InstructionKind, Source};
use jettison_shell::Command;
use jettison_shell::packages::{Action, Manager, OperandKind, PackageCall};

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
    /// Variables of installers: the builder has them.
    BuilderSetting,
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

/// What the instruction `step` of the last stage is there for.
pub(super) fn purpose(subject: &Subject<'_>, step: &Step<'_>, manifests: &[String]) -> Result<Purpose, Obstacle> {
    let span = step.instruction.span;
    let obstacle = |why: &str| Err(Obstacle { span, why: why.to_owned() });
    Ok(match &step.instruction.kind {
        InstructionKind::Arg(_) | InstructionKind::Workdir(_) | InstructionKind::Shell(_) => Purpose::Setting,
        InstructionKind::Env(pairs) => {
            let own = |key: &str| ["PIP_", "POETRY_", "UV_", "PIPENV_"].iter().any(|prefix| key.starts_with(prefix));
            if pairs.iter().all(|pair| own(&pair.key)) { Purpose::BuilderSetting } else { Purpose::Setting }
        }
        InstructionKind::Copy(copy) if copy.from.is_some() => {
            let from = copy.from.as_ref().map(|from| from.to_string()).unwrap_or_default();
            if subject.stage(&from, usize::MAX).is_some() {
                return obstacle("it copies from another stage");
            }
            if from.contains("astral-sh/uv") { Purpose::Tool } else { Purpose::Runtime }
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
                step.expand(word).is_some_and(|path| is_manifest(&path) || matches_manifest(&path, manifests))
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

/// `requirements*.txt`, `poetry.lock*`: patterns that stand for manifests.
fn matches_manifest(pattern: &str, manifests: &[String]) -> bool {
    let Some((start, end)) = pattern.trim_start_matches("./").split_once('*') else { return false };
    !end.contains('*')
        && !start.is_empty()
        && manifests.iter().any(|name| name.starts_with(start) && name.ends_with(end))
}

fn run(step: &Step<'_>) -> Result<Purpose, Obstacle> {
    let roles: Vec<Role> = step.commands.iter().map(|command| role(step, command)).collect();
    let has = |role| roles.contains(&role);
    let builds = has(Role::Tool) || has(Role::Install) || has(Role::Prepare);
    if !builds && !has(Role::System) {
        return Ok(Purpose::Runtime);
    }
    let obstacle = |span, why: &str| Err(Obstacle { span, why: why.to_owned() });
    if let Some(at) = roles.iter().position(|&role| role == Role::Other) {
        let span = step.shell.map_or(step.instruction.span, |shell| shell.span(step.commands[at].range()));
        return obstacle(span, "it stands in one instruction with what installs packages");
    }
    if step.is_root() == Some(false) {
        return obstacle(step.instruction.span, "it installs as another user than root");
    }
    Ok(if builds { Purpose::Install } else { Purpose::System })
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
        Some(name) if NEUTRAL.contains(&name) => Role::Neutral,
        _ => Role::Other,
    }
}

fn role_of_call(call: &PackageCall<'_>) -> Role {
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
            Action::Other | Action::Clean => Role::Neutral,
            _ => Role::Other,
        },
        Manager::Uv | Manager::Poetry | Manager::Pipenv => match call.action {
            Action::Install | Action::Sync => Role::Install,
            Action::Lock | Action::Create | Action::Other => Role::Prepare,
            Action::Clean => Role::Neutral,
            _ => Role::Other,
        },
        _ => Role::Other,
    }
}

/// `curl … | sh` of Poetry's and uv's own installers.
fn is_installer_script(step: &Step<'_>, command: &Command<'_>) -> bool {
    let Some(shell) = step.shell else { return false };
    let text = shell.text.get(command.pipeline().range.clone()).unwrap_or_default();
    ["install.python-poetry.org", "astral.sh/uv"].iter().any(|address| text.contains(address))
}
