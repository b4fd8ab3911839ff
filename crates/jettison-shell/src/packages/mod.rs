//! What a command asks of a package manager.
//!
//! 1. [`PackageCall::of`] finds out which manager it is: `apt-get`, `python3.12 -m pip`, `uv pip`, `poetry run pip`.
//! 2. `grammar` has the options and verbs of each ([`Manager`], [`Action`]).
//! 3. `operand` takes apart what is named: `fastapi[all]>=0.1`, `gcc=4:12.2.0-3`, `./app.whl` ([`Operand`]).

mod grammar;
mod manager;
mod operand;

use crate::command::{Argument, Command};
use crate::flags::{self, Token};
use crate::word::Word;
use crate::wrapper;
use grammar::Notation;
pub use manager::{Action, Manager};
pub use operand::{Operand, OperandKind};
use std::ops::Range;

/// A call of a package manager.
#[derive(Debug, Clone)]
pub struct PackageCall<'a> {
    /// Whom it asks.
    pub manager: Manager,
    /// What for.
    pub action: Action,
    /// The program as it is written, with what leads to it: `apt-get`, `python3 -m pip`, `uv pip`.
    pub program: Range<usize>,
    /// The word or words of the action: `install`, `global add`.
    pub verb: Option<Range<usize>>,
    /// What it is given, in order.
    pub operands: Vec<Operand>,
    /// Its options in order, also those before the verb.
    pub options: Vec<PackageOption<'a>>,
    /// What follows the program: the arguments of the manager itself.
    pub arguments: &'a [Word],
}

/// An option of a package manager.
#[derive(Debug, Clone)]
pub struct PackageOption<'a> {
    /// As it is called: `-y`, `--prefix`. Out of `-qy` there are two.
    pub name: String,
    /// What it is set to.
    pub value: Option<Argument<'a>>,
    /// The word that it is in.
    pub word: &'a Word,
}

impl<'a> PackageCall<'a> {
    /// What the command asks of which package manager, be it by way of `xargs`; nothing if its program is none.
    pub fn of(command: &Command<'a>) -> Option<Self> {
        let Some((manager, words)) = recognise(command.words) else {
            return command.launches().iter().find(|launched| recognise(launched.words).is_some()).and_then(Self::of);
        };
        let first = command.words.first()?;
        let last = &command.words[command.words.len() - words.len() - 1];
        let program = first.range.start..last.range.end;
        let grammar = manager.grammar();
        let mut with_value: Vec<&str> = grammar.with_value.iter().copied().flatten().copied().collect();
        if manager.is_conda() && words.iter().any(|word| word.plain() == Some("clean")) {
            // There `-c`, `-f` and `-p` have no value.
            with_value.clear();
        }
        let mut call = Self {
            manager,
            action: Action::Other,
            program,
            verb: None,
            operands: Vec::new(),
            options: Vec::new(),
            arguments: words,
        };
        let mut given = Vec::new();
        for token in flags::scan(words, &with_value) {
            match token {
                Token::Operand(word) => given.push(word),
                Token::Option { name, word, value } => {
                    call.operands.extend(value.as_ref().and_then(|value| file(manager, &name, value)));
                    call.options.push(PackageOption { name, value, word });
                }
            }
        }
        let verb = call.verb(&given);
        for word in &given[verb..] {
            call.operands.push(Operand::new(&word.text(), word.range.clone(), grammar.notation));
        }
        call.operands.sort_by_key(|operand| operand.range.start);
        // What these install without a name is what a file says.
        let named = call.operands.iter().any(|operand| operand.kind != OperandKind::Constraints);
        if call.action == Action::Install
            && !named
            && matches!(manager, Manager::Npm | Manager::Pipenv | Manager::Bundler)
        {
            call.action = Action::Sync;
        }
        Some(call)
    }

    /// Finds the action; says how many of the operands are its verb.
    fn verb(&mut self, given: &[&Word]) -> usize {
        let grammar = self.manager.grammar();
        let texts: Vec<_> = given.iter().take(2).map(|word| word.literal()).collect();
        let says = |at: usize, text: &str| texts.get(at).is_some_and(|found| found.as_deref() == Some(text));
        let found = grammar.verbs.iter().find(|(words, _)| words.iter().enumerate().all(|(at, word)| says(at, word)));
        if let Some((words, action)) = found {
            self.action = *action;
            self.verb = Some(given[0].range.start..given[words.len() - 1].range.end);
            return words.len();
        }
        match self.manager {
            Manager::Dpkg if self.has(&["-i", "--install"]) => self.action = Action::Install,
            Manager::Dpkg if self.has(&["-r", "-P", "--remove", "--purge"]) => self.action = Action::Remove,
            Manager::Pacman if self.has(&["-S"]) => {
                self.action = match (given.is_empty(), self.has(&["-u"]), self.has(&["-c"])) {
                    (true, true, _) => Action::Upgrade,
                    (true, _, true) => Action::Clean,
                    (true, ..) => Action::Update,
                    _ => Action::Install,
                }
            }
            Manager::Pacman if self.has(&["-U"]) => self.action = Action::Install,
            Manager::Pacman if self.has(&["-R"]) => self.action = Action::Remove,
            Manager::EasyInstall => self.action = Action::Install,
            Manager::Yarn if given.is_empty() && !self.has(&["--version", "--help", "-v", "-h"]) => {
                self.action = Action::Sync;
            }
            _ if given.is_empty() => {}
            // A verb that is not known here, or an expansion.
            _ => {
                self.verb = Some(given[0].range.clone());
                return 1;
            }
        }
        0
    }

    /// The operands of a kind.
    pub fn of_kind(&self, kind: OperandKind) -> impl Iterator<Item = &Operand> {
        self.operands.iter().filter(move |operand| operand.kind == kind)
    }

    /// The packages by name.
    pub fn packages(&self) -> impl Iterator<Item = &Operand> {
        self.of_kind(OperandKind::Package)
    }

    /// Is one of these options given? `--yes` and `-y` are told by their names.
    pub fn has(&self, names: &[&str]) -> bool {
        self.option(names).is_some()
    }

    /// The last of these options that is given.
    pub fn option(&self, names: &[&str]) -> Option<&PackageOption<'a>> {
        self.options.iter().rev().find(|option| names.contains(&option.name.as_str()))
    }

    /// What the last of these options is set to.
    pub fn value(&self, names: &[&str]) -> Option<&Argument<'a>> {
        self.option(names)?.value.as_ref()
    }

    /// All values of these options: each `-o` of apt, each `--extra-index-url`.
    pub fn values(&self, names: &[&str]) -> impl Iterator<Item = &Argument<'a>> {
        self.options
            .iter()
            .filter(move |option| names.contains(&option.name.as_str()))
            .filter_map(|option| option.value.as_ref())
    }
}

/// Which manager the words call, and the words after what leads to it.
fn recognise(mut words: &[Word]) -> Option<(Manager, &[Word])> {
    // `uv run pip`, `poetry run python -m pip`: each round takes at least one word.
    loop {
        let name = wrapper::name(words)?;
        let rest = words.get(1..).unwrap_or_default();
        if ["python", "pypy", "python-"].iter().any(|stem| manager::is_versioned(&name, stem)) {
            let module = module(rest)?;
            let manager = Manager::of(&rest[module].literal()?)?;
            return Some(under(manager, &rest[module + 1..]));
        }
        let manager = match &*name {
            // pip-tools: their verbs are their names.
            "pip-sync" | "pip-compile" => return None,
            name => Manager::of(name)?,
        };
        let grammar = manager.grammar();
        let runs =
            matches!(manager, Manager::Uv | Manager::Poetry | Manager::Pipenv | Manager::Pdm) || manager.is_conda();
        if runs && let Some(at) = program_of_run(rest, grammar.with_value) {
            let behind = wrapper::see_through(&rest[at..]);
            let inner = &rest[at + behind..];
            let is_manager = wrapper::name(inner).is_some_and(|name| {
                Manager::of(&name).is_some() || ["python", "pypy"].iter().any(|stem| manager::is_versioned(&name, stem))
            });
            if is_manager {
                words = inner;
                continue;
            }
        }
        return Some(under(manager, rest));
    }
}

/// `uv pip` is a manager of its own.
fn under(manager: Manager, words: &[Word]) -> (Manager, &[Word]) {
    match words.first().and_then(Word::plain) {
        Some("pip") if manager == Manager::Uv => (Manager::UvPip, &words[1..]),
        _ => (manager, words),
    }
}

/// The index of the module's name in `-m pip` among the arguments of an interpreter.
fn module(words: &[Word]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.text();
        if !text.starts_with('-') || text.starts_with("--") && text != "--check-hash-based-pycs" {
            return None;
        }
        // `-Im pip`, `-mpip` is not told apart from its module.
        match text.as_bytes() {
            [.., b'm'] => return (at + 1 < words.len()).then_some(at + 1),
            b"-X" | b"-W" | b"--check-hash-based-pycs" => at += 2,
            [_, b'c', ..] => return None,
            _ => at += 1,
        }
    }
    None
}

/// The index of the program in `uv run --frozen pip`.
fn program_of_run(words: &[Word], with_value: &[&[&str]]) -> Option<usize> {
    let skip = |mut at: usize| {
        while let Some(word) = words.get(at) {
            let text = word.text();
            if !text.starts_with('-') {
                break;
            }
            let takes = with_value.iter().any(|options| options.contains(&&*text));
            at += if text == "--" { 1 } else { 1 + usize::from(takes) };
        }
        at
    };
    let run = skip(0);
    if words.get(run)?.plain() != Some("run") {
        return None;
    }
    let at = skip(run + 1);
    (at < words.len()).then_some(at)
}

/// The operand that is the value of an option: a file of requirements, an editable project.
fn file(manager: Manager, option: &str, value: &Argument<'_>) -> Option<Operand> {
    use OperandKind::{Constraints, Editable, Requirements};
    let python = manager.is_python();
    let kind = match option {
        "-r" | "--requirement" | "--requirements" | "--with-requirements" if python => Requirements,
        "-c" | "--constraint" | "--constraints" if python => Constraints,
        "-e" | "--editable" | "--with-editable" if python => Editable,
        "-f" | "--file" if manager.is_conda() => Requirements,
        "-g" | "--file" if manager == Manager::Gem => Requirements,
        "--path" if manager == Manager::Cargo => OperandKind::Path,
        "--git" if manager == Manager::Cargo => OperandKind::Url,
        _ => return None,
    };
    let mut operand = Operand::whole(kind, &value.text, value.range.clone());
    if kind == Editable {
        // `.[dev]`
        let read = Operand::new(&value.text, value.range.clone(), Notation::Python);
        (operand.name, operand.extras) = (read.name, read.extras);
    }
    Some(operand)
}
