//! What the instructions of a stage put where: packages of the system, Python distributions, virtual environments, and what is
//! copied from other stages.
//!
//! 1. [`Layout::all`] goes over the stages from top to bottom, so that what one takes from another is known.
//! 2. An [`Install`] is one call of an installer that brings Python distributions; [`Destination`] says where they go: the venv that is
//!    in force there, a prefix, the interpreter's own directories.
//! 3. A [`Venv`] was made here, or somewhere else and copied to here.
//! 4. An [`OsPackage`] is one package of the distribution, and whether the same instruction removed it again.
//!
//! [`Subject::ships`](super::Subject::ships) follows what installers brought through the copies to the image.

use super::setting::is_root;
use super::transfer::{Brought, CopySource, below};
use super::variables::{absolute, home, is_off, is_on, shell_value, variable};
use super::{Base, Stage, Step};
use jettison_dockerfile::Span;
use jettison_shell::Command;
use jettison_shell::packages::{Action, Manager, OperandKind, PackageCall};

/// No more of a kind is followed: stages that copy from each other over and over would multiply it without end.
const MAX_SHIPPED: usize = 128;

/// A call of a package manager, by the numbers of its stage, of its step there and of the call in [`Step::packages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// The stage.
    pub stage: usize,
    /// The step of the stage.
    pub step: usize,
    /// The call of the step.
    pub call: usize,
}

/// What the instructions of one stage put where. What is in the stage that it stands on is in that one's layout, but for venvs.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The virtual environments at the end of it.
    pub venvs: Vec<Venv>,
    /// What brings Python distributions, in order.
    pub installs: Vec<Install>,
    /// The packages of the distribution, in order.
    pub packages: Vec<OsPackage>,
    /// What is copied from other stages and images, in order.
    pub brought: Vec<Brought>,
    /// The Python distributions at the end of it.
    shipped: Vec<Shipped>,
    poetry: Poetry,
}

/// A virtual environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venv {
    /// Where it lies.
    pub path: String,
    /// Where it was made.
    pub made_at: String,
    /// The stage in which it was made.
    pub stage: usize,
    /// The command that made it.
    pub span: Span,
    /// It was made so that it can be moved: `uv venv --relocatable`.
    pub is_relocatable: bool,
    /// The step of this stage that copied it, if it was made in another.
    pub copied_by: Option<usize>,
}

/// A call of an installer that brings Python distributions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// The call.
    pub at: At,
    /// Where they go.
    pub into: Destination,
}

/// Where an installer puts distributions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A virtual environment, by its directory.
    Venv(String),
    /// `pip install --prefix`.
    Prefix(String),
    /// `pip install --target`.
    Target(String),
    /// `pip install --user`: the directory that has `lib` and `bin`.
    User(String),
    /// The interpreter's own directories.
    System,
    /// Nothing is installed: `pip wheel`, `pip download`, into this directory.
    Wheels(String),
    /// Somewhere else: an environment of conda, of pipx, in the cache of Poetry.
    Elsewhere,
}

/// A package of the distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsPackage {
    /// The call that installs it.
    pub at: At,
    /// Its name, without version and architecture.
    pub name: String,
    /// Where it is named.
    pub span: Span,
    /// By which manager.
    pub manager: Manager,
    /// The same instruction removes it again, or may.
    pub is_removed: bool,
}

/// What `poetry config` said.
#[derive(Debug, Clone, Copy, Default)]
struct Poetry {
    create: Option<bool>,
    in_project: Option<bool>,
}

impl Destination {
    /// Its directory. For the interpreter's own it is that of the official images up to the version.
    pub fn directory(&self) -> Option<&str> {
        match self {
            Self::Venv(path) | Self::Prefix(path) | Self::Target(path) | Self::User(path) | Self::Wheels(path) => {
                Some(path)
            }
            Self::System => Some("/usr/local/lib"),
            Self::Elsewhere => None,
        }
    }

    /// Whether distributions can be imported from there, in one way or another.
    pub fn is_installed(&self) -> bool {
        !matches!(self, Self::Wheels(_))
    }
}

impl Layout {
    /// The layouts of all stages.
    pub(super) fn all(stages: &[Stage<'_>]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::with_capacity(stages.len());
        for stage in stages {
            let below = match stage.base {
                Base::Stage(index) => all.get(index),
                _ => None,
            };
            let mut layout = Self::default();
            if let Some(below) = below {
                (layout.venvs, layout.poetry) = (below.venvs.clone(), below.poetry);
                layout.shipped = below.shipped.clone();
            }
            for (number, step) in stage.steps.iter().enumerate() {
                layout.add(stages, stage.syntax.index, number, step, &all);
            }
            layout.ship(stage.syntax.index, &all);
            all.push(layout);
        }
        all
    }

    fn add(&mut self, stages: &[Stage<'_>], index: usize, number: usize, step: &Step<'_>, earlier: &[Self]) {
        if let Some(brought) = Brought::of(index, number, step, stages) {
            if let CopySource::Stage(from) = brought.from
                && let Some(other) = earlier.get(from)
            {
                for venv in &other.venvs {
                    if let Some(path) = brought.lands(&venv.path) {
                        self.put(Venv { path, copied_by: Some(number), ..venv.clone() });
                    }
                }
            }
            self.brought.push(brought);
        }
        // `CMD` and the like install nothing.
        let (Some(_), Some(shell)) = (step.run(), step.shell) else { return };
        let mut calls = step.packages.iter().enumerate().peekable();
        let mut activated: Option<String> = None;
        for command in &step.commands {
            if let Some((path, is_relocatable)) = makes_venv(step, command) {
                let span = shell.span(command.range());
                self.put(Venv { made_at: path.clone(), path, stage: index, span, is_relocatable, copied_by: None });
            }
            if command.is(".") || command.is("source") {
                let script = command.arguments().first().and_then(|word| shell_value(step, word));
                let directory = script.as_deref().and_then(|script| script.strip_suffix("/bin/activate"));
                activated = directory.and_then(|directory| absolute(step, command, directory)).or(activated);
            }
            self.poetry.listen(command);
            while let Some((call, (_, package))) = calls.next_if(|(_, (other, _))| other.range() == command.range()) {
                let at = At { stage: index, step: number, call };
                if let Some(into) = self.destination(step, command, package, activated.as_deref()) {
                    let is_own =
                        matches!(package.manager, Manager::Uv | Manager::Poetry | Manager::Pipenv | Manager::Pdm);
                    if let (Destination::Venv(path), true) = (&into, is_own)
                        && !self.venvs.iter().any(|venv| venv.path == *path)
                    {
                        let (made_at, span) = (path.clone(), shell.span(command.range()));
                        let path = path.clone();
                        self.put(Venv { made_at, path, stage: index, span, is_relocatable: false, copied_by: None });
                    }
                    self.installs.push(Install { at, into });
                }
                if is_of_system(package.manager) && package.action == Action::Install {
                    let packages = package.packages().map(|operand| OsPackage {
                        at,
                        name: operand.name.split(':').next().unwrap_or_default().to_owned(),
                        span: shell.span(operand.range.clone()),
                        manager: package.manager,
                        is_removed: is_removed(step, command, package, &operand.name),
                    });
                    self.packages.extend(packages);
                }
            }
        }
    }

    /// Notes what is installed here, and what of other stages is copied to here.
    fn ship(&mut self, index: usize, earlier: &[Self]) {
        let installed = self.installs.iter().filter(|install| install.into.is_installed());
        self.shipped.extend(installed.map(|install| Shipped {
            install: install.clone(),
            path: install.into.directory().map(str::to_owned),
            copied_by: None,
        }));
        for brought in &self.brought {
            let CopySource::Stage(from) = brought.from else { continue };
            for other in earlier.get(from).map(|layout| layout.shipped.as_slice()).unwrap_or_default() {
                let Some(path) = &other.path else { continue };
                let taken = brought.sources.iter().any(|(source, _)| match other.install.into {
                    Destination::System => {
                        below("/usr/local/lib/python3", source).is_some()
                            || source.starts_with("/usr/local/lib/python3")
                            || source.starts_with("/usr/lib/python3")
                    }
                    _ => {
                        below(path, source).is_some() || below(source, path).is_some_and(|rest| rest.starts_with("lib"))
                    }
                });
                if taken && self.shipped.len() < MAX_SHIPPED {
                    let copied_by = Some((index, brought.step));
                    self.shipped.push(Shipped { path: brought.lands(path), install: other.install.clone(), copied_by });
                }
            }
        }
    }

    /// A new venv takes the place of what was there.
    fn put(&mut self, venv: Venv) {
        self.venvs.retain(|other| other.path != venv.path);
        if self.venvs.len() < MAX_SHIPPED {
            self.venvs.push(venv);
        }
    }

    /// The venv that a program of this name is run from in a step, if the search path leads to one.
    pub fn active_venv(&self, step: &Step<'_>) -> Option<String> {
        let declared = step.scope.value("VIRTUAL_ENV");
        let mut directories = step.scope.search_path().iter().filter_map(|entry| entry.strip_suffix("/bin"));
        let known = |path: &&str| {
            let path = path.trim_end_matches('/');
            declared == Some(path)
                || self.venvs.iter().any(|venv| venv.path == path)
                || path.rsplit('/').next().is_some_and(|name| matches!(name, "venv" | ".venv" | "env" | "virtualenv"))
        };
        directories.find(known).map(|path| path.trim_end_matches('/').to_owned())
    }

    fn destination(
        &self,
        step: &Step<'_>,
        command: &Command<'_>,
        call: &PackageCall<'_>,
        activated: Option<&str>,
    ) -> Option<Destination> {
        let named = |options: &[&str]| {
            let value = call.value(options)?;
            let text = shell_value(step, value.word).filter(|_| value.text == value.word.text());
            absolute(step, command, text.as_deref().unwrap_or(&value.text))
        };
        let installs = matches!(call.action, Action::Install | Action::Sync | Action::Upgrade);
        let active = || activated.map(str::to_owned).or_else(|| self.active_venv(step));
        match call.manager {
            Manager::Pip | Manager::UvPip if matches!(call.action, Action::Wheel | Action::Download) => {
                let directory = named(&["-w", "--wheel-dir", "-d", "--dest"]);
                Some(Destination::Wheels(directory.or_else(|| absolute(step, command, "."))?))
            }
            Manager::Pip | Manager::UvPip if installs && !call.has(&["--dry-run"]) => {
                let of = |options: &[&str], name: &str| {
                    named(options).or_else(|| absolute(step, command, &variable(step, command, name)?))
                };
                let own_program = || {
                    let program = command.program().and_then(|word| shell_value(step, word))?;
                    let (directory, _) = program.rsplit_once('/')?;
                    let directory = absolute(step, command, directory)?;
                    let prefix = directory.strip_suffix("/bin")?;
                    Some((!matches!(prefix, "" | "/usr" | "/usr/local")).then(|| prefix.to_owned()))
                };
                if let Some(path) = of(&["-t", "--target"], "PIP_TARGET") {
                    return Some(Destination::Target(path));
                }
                if let Some(path) = of(&["--prefix"], "PIP_PREFIX") {
                    return Some(Destination::Prefix(path));
                }
                if call.has(&["--root"]) {
                    return Some(Destination::Elsewhere);
                }
                if call.manager == Manager::UvPip {
                    let system = call.has(&["--system"]) || is_on(step, command, "UV_SYSTEM_PYTHON");
                    let named = variable(step, command, "VIRTUAL_ENV").or(active());
                    let beside = || absolute(step, command, ".venv").filter(|path| self.has_venv(path));
                    let python = named_venv(step, command, call);
                    return Some(match (system, python.or(named).or_else(beside)) {
                        (false, Some(path)) => Destination::Venv(path),
                        _ => Destination::System,
                    });
                }
                if call.has(&["--user"]) || is_on(step, command, "PIP_USER") {
                    let base =
                        variable(step, command, "PYTHONUSERBASE").unwrap_or_else(|| format!("{}/.local", home(step)));
                    return Some(Destination::User(base));
                }
                Some(match own_program() {
                    Some(Some(venv)) => Destination::Venv(venv),
                    Some(None) => Destination::System,
                    None => match active() {
                        Some(venv) => Destination::Venv(venv),
                        // What root owns is closed to others, and pip then goes to the user's directory.
                        None if step.user.as_deref().is_some_and(|user| !is_root(user)) => {
                            Destination::User(format!("{}/.local", home(step)))
                        }
                        None => Destination::System,
                    },
                })
            }
            Manager::Uv if installs => {
                let verb = call.verb.as_ref().and_then(|range| step.shell?.text.get(range.clone())).unwrap_or_default();
                if verb.contains("tool") || verb.contains("python") {
                    return Some(Destination::Elsewhere);
                }
                let chosen = variable(step, command, "UV_PROJECT_ENVIRONMENT");
                let active = || call.has(&["--active"]).then(|| variable(step, command, "VIRTUAL_ENV"))?;
                let project = call.value(&["--directory", "--project"]).map_or(".", |value| &value.text);
                let path = active().or(chosen).unwrap_or_else(|| format!("{project}/.venv"));
                let path = absolute(step, command, &path)?;
                Some(if matches!(&*path, "/usr" | "/usr/local") {
                    Destination::System
                } else {
                    Destination::Venv(path)
                })
            }
            Manager::Poetry if installs => {
                let create = !is_off(step, command, "POETRY_VIRTUALENVS_CREATE") && self.poetry.create != Some(false);
                let in_project =
                    is_on(step, command, "POETRY_VIRTUALENVS_IN_PROJECT") || self.poetry.in_project == Some(true);
                Some(match (activated.map(str::to_owned).or_else(|| variable(step, command, "VIRTUAL_ENV")), create) {
                    (Some(venv), _) => Destination::Venv(venv),
                    (None, false) => active().map_or(Destination::System, Destination::Venv),
                    (None, true) if in_project => Destination::Venv(absolute(step, command, ".venv")?),
                    (None, true) => Destination::Elsewhere,
                })
            }
            Manager::Pipenv if installs => {
                if call.has(&["--system"]) || is_on(step, command, "PIPENV_SYSTEM") {
                    return Some(active().map_or(Destination::System, Destination::Venv));
                }
                Some(match variable(step, command, "VIRTUAL_ENV").or_else(|| activated.map(str::to_owned)) {
                    Some(venv) => Destination::Venv(venv),
                    None if variable(step, command, "PIPENV_VENV_IN_PROJECT")
                        .is_some_and(|v| !v.is_empty() && v != "0") =>
                    {
                        Destination::Venv(absolute(step, command, ".venv")?)
                    }
                    None => Destination::Elsewhere,
                })
            }
            Manager::Pdm if installs => Some(Destination::Venv(absolute(step, command, ".venv")?)),
            Manager::Pipx | Manager::Conda | Manager::Mamba | Manager::Micromamba if installs => {
                Some(Destination::Elsewhere)
            }
            Manager::EasyInstall if installs => Some(Destination::System),
            _ => None,
        }
    }

    fn has_venv(&self, path: &str) -> bool {
        self.venvs.iter().any(|venv| venv.path == path)
    }
}

impl Poetry {
    fn listen(&mut self, command: &Command<'_>) {
        if !command.is("poetry") {
            return;
        }
        let words: Vec<_> = command.operands(&[]).into_iter().map(|word| word.text()).collect();
        if let [verb, key, value] = &words[..]
            && verb == "config"
        {
            let value = Some(value.eq_ignore_ascii_case("true"));
            match &**key {
                "virtualenvs.create" => self.create = value,
                "virtualenvs.in-project" => self.in_project = value,
                _ => {}
            }
        }
    }
}

/// The venv of `uv pip install --python venv/bin/python`.
fn named_venv(step: &Step<'_>, command: &Command<'_>, call: &PackageCall<'_>) -> Option<String> {
    let value = call.value(&["-p", "--python"])?;
    let text = shell_value(step, value.word).filter(|_| value.text == value.word.text());
    let text = text.unwrap_or_else(|| value.text.clone().into_owned());
    let directory = match text.rsplit_once("/bin/") {
        Some((directory, _)) => directory,
        None if text.contains('/') => &text,
        None => return None,
    };
    absolute(step, command, directory).filter(|path| !matches!(&**path, "/usr" | "/usr/local"))
}

/// The virtual environment that a command makes, and whether it can be moved.
fn makes_venv(step: &Step<'_>, command: &Command<'_>) -> Option<(String, bool)> {
    const WITH_VALUE: [&str; 12] = [
        "-m",
        "-p",
        "--python",
        "--prompt",
        "--app-data",
        "--cache-dir",
        "--directory",
        "--project",
        "--index-url",
        "--creator",
        "--link-mode",
        "--seeder",
    ];
    let name = command.name()?;
    let is_module = || {
        name.starts_with("python")
            && command.flag_value(&["-m"]).is_some_and(|module| matches!(&*module.text, "venv" | "virtualenv"))
    };
    let operands = || command.operands(&WITH_VALUE);
    let directory = if is_module() || name == "virtualenv" {
        shell_value(step, operands().first()?)?
    } else if name == "uv" {
        let operands = operands();
        let (verb, rest) = operands.split_first()?;
        if verb.text() != "venv" {
            return None;
        }
        match rest.first() {
            Some(word) => shell_value(step, word)?,
            None => variable(step, command, "UV_PROJECT_ENVIRONMENT").unwrap_or_else(|| ".venv".to_owned()),
        }
    } else {
        return None;
    };
    Some((absolute(step, command, &directory)?, command.has_flag(&["--relocatable"])))
}

/// Whether a manager's packages are those of the distribution.
pub fn is_of_system(manager: Manager) -> bool {
    matches!(
        manager,
        Manager::AptGet
            | Manager::Apt
            | Manager::Aptitude
            | Manager::Apk
            | Manager::Dnf
            | Manager::Yum
            | Manager::Microdnf
            | Manager::Zypper
            | Manager::Pacman
    )
}

/// Whether the rest of the step removes a package again, or may: `apk del .build-deps`, `apt-get purge gcc`, `apt-get purge --auto-remove`
/// after `apt-mark auto`, `apt-get purge $packages`.
fn is_removed(step: &Step<'_>, command: &Command<'_>, call: &PackageCall<'_>, name: &str) -> bool {
    let group =
        call.value(&["-t", "--virtual"]).filter(|_| call.manager == Manager::Apk).map(|value| value.text.clone());
    let marks = || {
        step.commands
            .iter()
            .any(|other| other.is("apt-mark") && other.arguments().iter().any(|word| word.text() == "auto"))
    };
    let later = step.packages.iter().filter(|(other, _)| other.range().start > command.range().start);
    later.into_iter().any(|(_, other)| match other.action {
        Action::Remove => {
            let named = other.operands.iter().any(|operand| match operand.kind {
                OperandKind::Unknown => true,
                _ => {
                    operand.name == name
                        || group.as_deref() == Some(&*operand.text)
                        || matches_pattern(&operand.text, name)
                }
            });
            named || is_of_system(other.manager) && marks()
        }
        Action::Autoremove => marks(),
        _ => false,
    })
}

/// Whether a pattern with `*` stands for a name: `apt-get purge '*-dev'`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            !end.contains('*')
                && name.len() >= start.len() + end.len()
                && name.starts_with(start)
                && name.ends_with(end)
        }
        None => false,
    }
}

/// What an installer brought, and where it lies in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// The install.
    pub install: Install,
    /// Its directory in the stage that was asked about; `None` where only a part of it is there, or it has none.
    pub path: Option<String>,
    /// The copy of that stage (by stage and step) that brought it, if it was made in another.
    pub copied_by: Option<(usize, usize)>,
}

impl super::Subject<'_> {
    /// What the instructions of each stage put where, by its number.
    pub fn layouts(&self) -> &[Layout] {
        self.layouts.get_or_init(|| Layout::all(&self.stages))
    }

    /// What the instructions of a stage put where.
    pub fn layout(&self, stage: &Stage<'_>) -> &Layout {
        &self.layouts()[stage.syntax.index]
    }

    /// The layouts of the stage and of those that it stands on, from the bottom up.
    pub fn layouts_of(&self, stage: &Stage<'_>) -> Vec<&Layout> {
        self.chain(stage).into_iter().map(|stage| self.layout(stage)).collect()
    }

    /// The Python distributions that are in a stage: installed there, below it, or copied to it.
    pub fn ships(&self, stage: &Stage<'_>) -> &[Shipped] {
        &self.layout(stage).shipped
    }

    /// Whether a stage is about Python: its image is made for it, or something brings Python or its distributions.
    pub fn is_python(&self, stage: &Stage<'_>) -> bool {
        let brings = |layout: &&Layout| {
            !layout.installs.is_empty()
                || !layout.venvs.is_empty()
                || layout.packages.iter().any(|package| package.name.starts_with("python3") || package.name == "python")
        };
        stage.python().is_some() || self.layouts_of(stage).iter().any(brings) || !self.ships(stage).is_empty()
    }

    /// The packages of the distribution that stay in a stage, from the bottom up.
    pub fn packages_of(&self, stage: &Stage<'_>) -> Vec<&OsPackage> {
        let layouts = self.layouts_of(stage);
        layouts.into_iter().flat_map(|layout| &layout.packages).filter(|package| !package.is_removed).collect()
    }

    /// The command and what it asks of the package manager.
    pub fn call(&self, at: At) -> &(Command<'_>, PackageCall<'_>) {
        &self.stages[at.stage].steps[at.step].packages[at.call]
    }

    /// The step of a call.
    pub fn step(&self, at: At) -> &Step<'_> {
        &self.stages[at.stage].steps[at.step]
    }
}

#[cfg(test)]
mod tests;
