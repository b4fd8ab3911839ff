//! An instruction, and what is in force where it stands.

use super::Stage;
use super::scope::Scope;
use jettison_dockerfile::instruction::{
    CommandLine, Healthcheck, Instruction, InstructionKind, Mount, Run, Source, Transfer,
};
use jettison_dockerfile::{Escape, Expander, Span, Word};
use jettison_shell::{Command, PackageCall, Script, Shell};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// An instruction in its place.
pub struct Step<'a> {
    /// As it was written.
    pub instruction: &'a Instruction,
    /// The variables before it.
    pub scope: Rc<Scope>,
    /// The user before it, expanded; `None` if no `USER` has been seen, down to the image.
    pub user: Option<String>,
    /// The directory before it, absolute, if it can be told.
    pub workdir: Option<String>,
    /// What a shell gets of `RUN`, `CMD`, `ENTRYPOINT` and `HEALTHCHECK CMD`, if it is one that can be read.
    pub shell: Option<&'a ShellText>,
    /// The simple commands in it, at any depth, in order.
    pub commands: Vec<Command<'a>>,
    /// Those of them that call a package manager, and what they ask of it.
    pub packages: Vec<(Command<'a>, PackageCall<'a>)>,
    escape: Escape,
}

/// A script that knows where it stands in the Dockerfile.
pub struct ShellText {
    /// Its text.
    pub text: Word,
    /// As it was read.
    pub script: Script,
    /// The shell that it is given to.
    pub shell: Shell,
    /// Whether the words were an array: no shell takes part, and each word stands for itself.
    pub is_exec: bool,
}

impl ShellText {
    /// Where a range of the script was written.
    pub fn span(&self, range: Range<usize>) -> Span {
        self.text.span_of(range)
    }
}

/// Where the scripts of a Dockerfile are kept while rules look at it.
#[derive(Default)]
pub struct Scripts(OnceCell<Vec<Option<ShellText>>>);

impl Scripts {
    /// Keeps the scripts, one place for each step of each stage in order, and lends each step its own.
    pub(super) fn lend<'a>(&'a self, scripts: Vec<Option<ShellText>>, stages: &mut [Stage<'a>]) {
        let kept = self.0.get_or_init(|| scripts);
        for (step, text) in stages.iter_mut().flat_map(|stage| &mut stage.steps).zip(kept) {
            if let Some(text) = text {
                step.shell = Some(text);
                step.commands = text.script.commands_in(&text.shell);
                let calls =
                    step.commands.iter().filter_map(|command| Some((command.clone(), PackageCall::of(command)?)));
                step.packages = calls.collect();
            }
        }
    }
}

impl<'a> Step<'a> {
    /// What a word stands for here; see [`Scope::expand`].
    pub fn expand(&self, word: &Word) -> Option<String> {
        self.scope.expand(word, self.escape)
    }

    /// The words that a word of `EXPOSE` expands to; `None` when only a build can tell, or it cannot be expanded.
    pub fn expand_all(&self, word: &Word) -> Option<Vec<String>> {
        let whole = self.expand(word)?;
        match word.contains('$') {
            true => Some(whole.split_whitespace().map(str::to_owned).collect()),
            false => Some(vec![whole]),
        }
    }

    /// The instruction in capitals.
    pub fn name(&self) -> String {
        self.instruction.name()
    }

    /// The `RUN` that it is.
    pub fn run(&self) -> Option<&'a Run> {
        match &self.instruction.kind {
            InstructionKind::Run(run) => Some(run),
            _ => None,
        }
    }

    /// The mounts of a `RUN`, those that can be told.
    pub fn mounts(&self) -> Vec<Mount> {
        let expander = Expander::new(self.escape);
        let mounts = self.run().into_iter().flat_map(|run| &run.mounts);
        mounts.filter_map(|mount| mount.resolve(expander, &*self.scope).ok()).collect()
    }

    /// The stages and images that it takes files from: `COPY --from` and `RUN --mount=from=`.
    pub fn sources_from(&self) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<&'a str> = Vec::new();
        match &self.instruction.kind {
            InstructionKind::Copy(copy) => names.extend(copy.from.as_ref().map(Word::as_str)),
            InstructionKind::Run(run) => {
                let options = run.mounts.iter().flat_map(|mount| &mount.options);
                let from = options.filter(|option| option.key.eq_ignore_ascii_case("from"));
                names.extend(from.filter_map(|option| option.value.as_ref()).map(Word::as_str));
            }
            _ => {}
        }
        names.into_iter()
    }

    /// The paths that `COPY` or `ADD` takes from the context: not those from a stage, not heredocs, not URLs. They are not expanded.
    pub fn context_sources(&self) -> Vec<&'a Word> {
        let Some(transfer) = self.context_transfer() else { return Vec::new() };
        let paths = transfer.sources.iter().filter_map(|source| match source {
            Source::Path(path) => Some(path),
            Source::Heredoc(_) => None,
        });
        let remote = |path: &str| path.contains("://") || path.starts_with("git@") || path.ends_with(".git");
        paths.filter(|path| !remote(path)).collect()
    }

    /// The patterns of what it leaves out of what it takes from the context: `--exclude`.
    pub fn excludes(&self) -> Vec<&'a str> {
        self.context_transfer().iter().flat_map(|transfer| &transfer.excludes).map(Word::as_str).collect()
    }

    fn context_transfer(&self) -> Option<&'a Transfer> {
        match &self.instruction.kind {
            InstructionKind::Copy(copy) if copy.from.is_none() => Some(&copy.transfer),
            InstructionKind::Add(add) => Some(&add.transfer),
            _ => None,
        }
    }

    /// Whether it copies all of the context: `COPY . …`.
    pub fn copies_whole_context(&self) -> bool {
        let whole = |word: &&Word| matches!(self.expand(word).as_deref(), Some("." | "./" | "/" | "*" | "./*" | "./."));
        self.context_sources().iter().any(whole)
    }

    /// Where `COPY` and `ADD` write, absolute and without `.` and `..`, if it can be told. A `/` at the end is kept. Where no `WORKDIR` was
    /// set it is seen from the root, as in the official images.
    pub fn destination(&self) -> Option<String> {
        let transfer = match &self.instruction.kind {
            InstructionKind::Copy(copy) => &copy.transfer,
            InstructionKind::Add(add) => &add.transfer,
            _ => return None,
        };
        let written = self.expand(&transfer.destination)?;
        let mut path = join(self.workdir.as_deref().or(Some("/")), &written)?;
        if written.ends_with('/') && path != "/" {
            path.push('/');
        }
        Some(path)
    }
}

/// `path` as it is seen in `directory`, absolute and without `.` and `..`.
pub(crate) fn join(directory: Option<&str>, path: &str) -> Option<String> {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", directory?) };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Goes over the instructions of a stage and keeps what is in force.
pub(super) struct Reader<'g> {
    pub(super) scope: Rc<Scope>,
    pub(super) user: Option<String>,
    pub(super) workdir: Option<String>,
    shell: Option<Shell>,
    globals: &'g Scope,
    given: &'g BTreeMap<String, String>,
    escape: Escape,
}

impl<'g> Reader<'g> {
    pub(super) fn new(
        escape: Escape,
        globals: &'g Scope,
        given: &'g BTreeMap<String, String>,
        below: Option<&Stage<'_>>,
    ) -> Self {
        let shell = Some(Shell::default());
        let Some(below) = below else {
            return Self { scope: Rc::default(), user: None, workdir: None, shell, globals, given, escape };
        };
        // Arguments, too, go on in the stages that stand on theirs.
        let scope = Rc::clone(&below.scope);
        let shell = below.steps.iter().rev().find_map(|step| set_shell(&step.instruction.kind)).unwrap_or(shell);
        Self { scope, user: below.user.clone(), workdir: below.workdir.clone(), shell, globals, given, escape }
    }

    pub(super) fn step<'a>(&mut self, instruction: &'a Instruction, scripts: &mut Vec<Option<ShellText>>) -> Step<'a> {
        scripts.push(self.shell_text(instruction));
        let step = Step {
            instruction,
            scope: Rc::clone(&self.scope),
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            shell: None,
            commands: Vec::new(),
            packages: Vec::new(),
            escape: self.escape,
        };
        match &instruction.kind {
            InstructionKind::Arg(arguments) => {
                let scope = Rc::make_mut(&mut self.scope);
                for argument in arguments {
                    scope.declare(argument, self.globals, self.escape);
                    scope.give(&argument.name, self.given);
                }
            }
            InstructionKind::Env(pairs) => Rc::make_mut(&mut self.scope).export(pairs, self.escape),
            InstructionKind::User(user) => self.user = Some(step.expand(user).unwrap_or_else(|| user.to_string())),
            InstructionKind::Workdir(path) => {
                let path = step.expand(path);
                self.workdir = path.and_then(|path| join(self.workdir.as_deref(), &path));
            }
            kind => {
                if let Some(shell) = set_shell(kind) {
                    self.shell = shell;
                }
            }
        }
        step
    }

    fn shell_text(&self, instruction: &Instruction) -> Option<ShellText> {
        let (text, command) = match &instruction.kind {
            InstructionKind::Run(run) => (instruction.shell_text()?, &run.command),
            InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => (command.shell_text(), command),
            InstructionKind::Healthcheck(Healthcheck::Check(check)) => (check.command.shell_text(), &check.command),
            _ => return None,
        };
        let is_exec = matches!(command, CommandLine::Exec(_));
        let mut shell = if is_exec { Shell::default() } else { self.shell.clone()? };
        shell.directory = self.workdir.clone().unwrap_or_default();
        let script = Script::parse(&text, shell.dialect);
        Some(ShellText { text, script, shell, is_exec })
    }
}

/// The shell that an instruction sets; `Some(None)` for one whose scripts cannot be read.
fn set_shell(kind: &InstructionKind) -> Option<Option<Shell>> {
    match kind {
        InstructionKind::Shell(words) => Some(Shell::of(&words.iter().map(|word| word.as_str()).collect::<Vec<_>>())),
        _ => None,
    }
}
