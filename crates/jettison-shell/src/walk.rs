//! The walk over a tree that finds each simple command and knows what surrounds it.
//!
//! `set -e` is as POSIX has it (2.14, `set`): it does not count left of `&&` and `||`, behind `!`, in conditions, nor anywhere
//! inside of what stands there.

use crate::command::{Command, Context, Failure, Mask};
use crate::script::{Piped, Script};
use crate::shell::{Dialect, Shell};
use crate::syntax::{
    Compound, CompoundKind, ConnectorKind, Heredoc, Inline, Item, List, Node, Pipeline, Redirection, Simple,
};
use crate::word::{Part, PartKind, Word};
use crate::wrapper;

/// Longer paths are not followed.
const MAX_PATH: usize = 1024;

/// More directories than this are not kept for `popd`.
const MAX_PUSHED: usize = 16;

/// What the shell was told so far.
#[derive(Clone)]
struct State {
    dialect: Dialect,
    errexit: bool,
    pipefail: bool,
    directory: Option<String>,
    /// What `popd` goes back to.
    pushed: Vec<Option<String>>,
}

impl State {
    fn of(shell: &Shell, directory: Option<String>) -> Self {
        Self { dialect: shell.dialect, errexit: shell.errexit, pipefail: shell.pipefail, directory, pushed: Vec::new() }
    }
}

/// What surrounds a list.
#[derive(Clone, Copy)]
struct Frame<'a> {
    /// What comes of it when the shell stops with a failure.
    exit: Failure,
    /// What comes of it when the last command of the list fails.
    tail: Failure,
    /// The same, where `set -e` did not count for what failed, as left of `&&`.
    quiet: Failure,
    /// Does `set -e` not count?
    guarded: bool,
    conditional: bool,
    background: bool,
    function: Option<&'a str>,
    top: bool,
}

/// Where a failure gets to in an and-or list.
#[derive(Clone, Copy)]
enum Lands {
    /// At this item, which is the last to run.
    At(usize),
    /// Something after `||` takes over.
    Taken,
    /// Something after `||` stops the shell.
    Stops,
}

pub(crate) struct Walk<'a> {
    script: &'a Script,
    state: State,
    found: Vec<Command<'a>>,
    pipelines: Vec<Piped<'a>>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(script: &'a Script, shell: &Shell) -> Self {
        let mut state = State::of(shell, Some(shell.directory.clone()));
        state.dialect = script.dialect;
        let mut walk = Self { script, state, found: Vec::new(), pipelines: Vec::new() };
        let fails = Failure::Fails;
        walk.list(
            &script.list,
            Frame {
                exit: fails,
                tail: fails,
                quiet: fails,
                guarded: false,
                conditional: false,
                background: false,
                function: None,
                top: true,
            },
        );
        walk
    }

    pub(crate) fn commands(self) -> Vec<Command<'a>> {
        self.found
    }

    pub(crate) fn pipelines(self) -> Vec<Piped<'a>> {
        self.pipelines
    }

    fn list(&mut self, list: &'a List, frame: Frame<'a>) {
        let mut start = 0;
        while start < list.items.len() {
            let joins = |item: &Item| item.connector.as_ref().is_some_and(|connector| connector.kind.joins());
            let end = start + list.items[start..].iter().take_while(|item| joins(item)).count();
            let end = end.min(list.items.len() - 1);
            self.and_or(list, start..end + 1, frame);
            start = end + 1;
        }
    }

    /// Pipelines joined by `&&` and `||`.
    fn and_or(&mut self, list: &'a List, items: std::ops::Range<usize>, frame: Frame<'a>) {
        let kind = |at: usize| list.items[at].connector.as_ref().map(|connector| connector.kind);
        let last = items.end - 1;
        let ends_list = items.end == list.items.len();
        let background = kind(last) == Some(ConnectorKind::Background);
        // From right to left: where does a failure of each item get to?
        let mut lands = vec![Lands::At(last); items.len()];
        let mut taken = None;
        for at in items.clone().rev() {
            if at < last && kind(at) == Some(ConnectorKind::Or) {
                taken = Some(match ending(&list.items[at + 1].pipeline) {
                    Ending::Exits => Lands::Stops,
                    Ending::Fails => match lands[at + 1 - items.start] {
                        Lands::At(_) => Lands::At(at + 1),
                        taken => taken,
                    },
                    Ending::Unknown => Lands::Taken,
                });
            }
            lands[at - items.start] = taken.unwrap_or(Lands::At(at));
        }
        let saved = background.then(|| self.state.clone());
        let mut alternative = false;
        for at in items.clone() {
            let errexit = self.state.errexit && !frame.guarded;
            let quiet = match lands[at - items.start] {
                Lands::Taken => Failure::Masked(Mask::Or),
                _ if background => Failure::Masked(Mask::Background),
                Lands::Stops => frame.exit,
                Lands::At(_) if ends_list => frame.quiet,
                Lands::At(_) if errexit => Failure::Masked(Mask::AndList),
                Lands::At(_) => Failure::Masked(Mask::Followed),
            };
            let loud = match lands[at - items.start] {
                Lands::At(lands) if lands == last && errexit && !background => frame.exit,
                Lands::At(_) if ends_list && !background => frame.tail,
                _ => quiet,
            };
            let quiet = match lands[at - items.start] {
                // `false` after `||` is what fails then.
                Lands::At(lands) if lands != at => loud,
                _ => quiet,
            };
            let item = Frame {
                tail: loud,
                quiet,
                guarded: frame.guarded || at < last,
                conditional: frame.conditional || alternative,
                background: frame.background || background,
                ..frame
            };
            self.pipeline(list, at, item);
            alternative |= kind(at) == Some(ConnectorKind::Or);
        }
        if let Some(saved) = saved {
            self.state = saved;
        }
    }

    /// The pipeline of an item; `frame.tail` is what its failure does.
    fn pipeline(&mut self, list: &'a List, item: usize, mut frame: Frame<'a>) {
        let pipeline = &list.items[item].pipeline;
        if pipeline.negated.is_some() {
            frame.tail = Failure::Masked(Mask::Negated);
            frame.quiet = frame.tail;
            frame.guarded = true;
        }
        let last = pipeline.nodes.len().saturating_sub(1);
        let slot = (last > 0).then(|| {
            self.pipelines.push(Piped { pipeline, commands: Vec::new(), pipefail: self.state.pipefail });
            self.pipelines.len() - 1
        });
        for (at, node) in pipeline.nodes.iter().enumerate() {
            let saved = (last > 0).then(|| self.state.clone());
            let mut frame = frame;
            if at < last && !self.state.pipefail {
                frame.tail = Failure::Masked(Mask::Pipe);
            }
            if last > 0 {
                frame.exit = frame.tail;
                frame.quiet = frame.tail;
            }
            let first = self.found.len();
            self.node(node, (list, item, at), frame);
            if let (Some(slot), Node::Simple(_)) = (slot, node)
                && let Some(command) = self.found.get(first)
            {
                self.pipelines[slot].commands.push(command.clone());
            }
            if let Some(saved) = saved {
                self.state = saved;
            }
        }
    }

    fn node(&mut self, node: &'a Node, place: (&'a List, usize, usize), frame: Frame<'a>) {
        match node {
            Node::Simple(simple) => self.simple(simple, place, frame),
            Node::Compound(compound) => self.compound(compound, frame),
            Node::Function(function) => {
                let saved = self.state.clone();
                let fails = Failure::Fails;
                let frame = Frame {
                    exit: fails,
                    tail: fails,
                    quiet: fails,
                    guarded: false,
                    function: Some(&function.name),
                    top: false,
                    ..frame
                };
                self.node(&function.body, place, frame);
                self.state = saved;
            }
        }
    }

    fn compound(&mut self, compound: &'a Compound, frame: Frame<'a>) {
        let directory = self.state.directory.clone();
        let condition = Failure::Masked(Mask::Condition);
        let round = Failure::Masked(Mask::Loop);
        let asked = Frame { tail: condition, quiet: condition, guarded: true, top: false, ..frame };
        let done = Frame { tail: frame.quiet, conditional: true, top: false, ..frame };
        let repeated = Frame { tail: round, quiet: round, ..done };
        match &compound.kind {
            CompoundKind::Group(list) => self.list(list, Frame { tail: frame.quiet, ..frame }),
            CompoundKind::Subshell(list) => {
                let saved = self.state.clone();
                self.list(list, Frame { exit: frame.tail, quiet: frame.tail, ..frame });
                self.state = saved;
            }
            CompoundKind::If { branches, otherwise } => {
                for (at, branch) in branches.iter().enumerate() {
                    self.list(&branch.condition, Frame { conditional: frame.conditional || at > 0, ..asked });
                    self.list(&branch.body, done);
                }
                if let Some(list) = otherwise {
                    self.list(list, done);
                }
            }
            CompoundKind::For { words, body, .. } => {
                words.iter().flatten().for_each(|word| self.word(word, frame));
                self.list(body, repeated);
            }
            CompoundKind::ArithmeticFor { header, body } => {
                self.parts(header, frame);
                self.list(body, repeated);
            }
            CompoundKind::While { condition, body, .. } => {
                self.list(condition, asked);
                self.list(body, repeated);
            }
            CompoundKind::Case { word, arms } => {
                self.word(word, frame);
                for arm in arms {
                    arm.patterns.iter().for_each(|word| self.word(word, frame));
                    self.list(&arm.body, done);
                }
            }
            CompoundKind::Test(words) => words.iter().for_each(|word| self.word(word, frame)),
            CompoundKind::Arithmetic(parts) => self.parts(parts, frame),
        }
        if !matches!(compound.kind, CompoundKind::Group(_)) && self.state.directory != directory {
            self.state.directory = None;
        }
        self.redirections(&compound.redirections, frame);
    }

    fn simple(&mut self, simple: &'a Simple, (list, item, node): (&'a List, usize, usize), frame: Frame<'a>) {
        let behind = wrapper::see_through(&simple.words);
        let words = &simple.words[behind..];
        let command = Command {
            script: self.script,
            simple,
            words,
            behind,
            name: wrapper::name(words),
            list,
            item,
            node,
            context: Context {
                failure: frame.tail,
                errexit: self.state.errexit,
                pipefail: self.state.pipefail,
                directory: self.state.directory.clone(),
                conditional: frame.conditional,
                background: frame.background,
                function: frame.function,
                top: frame.top,
            },
        };
        self.found.push(command.clone());
        // The status of `x=$(…)` is that of the last substitution.
        let assigned = if simple.words.is_empty() { frame.tail } else { Failure::Masked(Mask::Substitution) };
        for assignment in &simple.assignments {
            self.substituted(&assignment.value.parts, frame, assigned);
            assignment.elements.iter().for_each(|word| self.word(word, frame));
        }
        simple.words.iter().for_each(|word| self.word(word, frame));
        self.redirections(&simple.redirections, frame);
        if let Some(inline) = &simple.inline {
            self.inline(inline, frame);
        }
        self.builtin(&command);
    }

    fn inline(&mut self, inline: &'a Inline, frame: Frame<'a>) {
        let state = State::of(&inline.shell, self.state.directory.clone());
        let saved = std::mem::replace(&mut self.state, state);
        self.list(&inline.list, Frame { exit: frame.tail, quiet: frame.tail, guarded: false, top: false, ..frame });
        self.state = saved;
    }

    fn redirections(&mut self, redirections: &'a [Redirection], frame: Frame<'a>) {
        for redirection in redirections {
            self.word(&redirection.target, frame);
            let Some(heredoc): Option<&'a Heredoc> = self.script.heredoc(redirection) else { continue };
            match &heredoc.script {
                Some(inline) => self.inline(inline, frame),
                None => self.parts(&heredoc.parts, frame),
            }
        }
    }

    fn word(&mut self, word: &'a Word, frame: Frame<'a>) {
        self.parts(&word.parts, frame);
    }

    fn parts(&mut self, parts: &'a [Part], frame: Frame<'a>) {
        self.substituted(parts, frame, Failure::Masked(Mask::Substitution));
    }

    /// The scripts in the parts of a word; `failure` is what becomes of theirs.
    fn substituted(&mut self, parts: &'a [Part], frame: Frame<'a>, failure: Failure) {
        for part in parts {
            match &part.kind {
                PartKind::DoubleQuoted(parts) | PartKind::Arithmetic(parts) => self.substituted(parts, frame, failure),
                PartKind::Parameter(parameter) => self.substituted(&parameter.word, frame, failure),
                PartKind::CommandSubstitution(list) | PartKind::ProcessSubstitution(list) => {
                    let saved = self.state.clone();
                    // bash does not hand `-e` down into a substitution; dash does, even from where it does not count.
                    self.state.errexit &= saved.dialect == Dialect::Posix;
                    let failure = match part.kind {
                        PartKind::ProcessSubstitution(_) => Failure::Masked(Mask::Substitution),
                        _ => failure,
                    };
                    let frame =
                        Frame { exit: failure, tail: failure, quiet: failure, guarded: false, top: false, ..frame };
                    self.list(list, frame);
                    self.state = saved;
                }
                _ => {}
            }
        }
    }

    /// What a builtin does to the shell.
    fn builtin(&mut self, command: &Command<'a>) {
        if command.wrappers().iter().any(|word| !matches!(word.plain(), Some("command" | "builtin"))) {
            return;
        }
        match command.name() {
            Some("set") => {
                let mut shell =
                    Shell { errexit: self.state.errexit, pipefail: self.state.pipefail, ..Shell::default() };
                let words: Vec<_> = command.arguments().iter().map(Word::literal).collect();
                shell.options(words.iter().map(|word| word.as_deref()));
                self.state.errexit = shell.errexit;
                self.state.pipefail = shell.pipefail;
            }
            Some("cd") => {
                let to = command.operands(&[]).first().map(|word| word.literal());
                self.state.directory = self.enter(to);
            }
            Some("pushd") => {
                let to = command.operands(&[]).first().map(|word| word.literal());
                let entered = self.enter(to);
                let left = std::mem::replace(&mut self.state.directory, entered);
                if self.state.pushed.len() == MAX_PUSHED {
                    self.state.pushed.remove(0);
                }
                self.state.pushed.push(left);
            }
            Some("popd") => self.state.directory = self.state.pushed.pop().flatten(),
            _ => {}
        }
    }

    /// Where `cd` gets to: without an operand, with an expansion in it or with `-` nobody knows.
    fn enter(&self, to: Option<Option<std::borrow::Cow<'_, str>>>) -> Option<String> {
        let to = to??;
        if to == "-" || to.starts_with('~') || to.is_empty() || to.contains(['*', '?', '[']) {
            return None;
        }
        if to.starts_with('/') {
            return (to.len() < MAX_PATH).then(|| normal(&to));
        }
        let directory = self.state.directory.as_deref().filter(|directory| directory.len() + to.len() < MAX_PATH)?;
        Some(if directory.is_empty() { normal(&to) } else { normal(&format!("{directory}/{to}")) })
    }
}

/// The path without `.` and, as far as that can be, without `..`.
fn normal(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|&name| name != "..") => {
                names.pop();
            }
            ".." if absolute => {}
            name => names.push(name),
        }
    }
    format!("{}{}", if absolute { "/" } else { "" }, names.join("/"))
}

/// What is known of how a pipeline ends.
enum Ending {
    /// It ends the shell with a failure.
    Exits,
    /// It fails.
    Fails,
    Unknown,
}

fn ending(pipeline: &Pipeline) -> Ending {
    let ([node], None) = (pipeline.nodes.as_slice(), &pipeline.negated) else { return Ending::Unknown };
    match node {
        Node::Simple(simple) => {
            let status = simple.words.get(1).map(|word| word.literal());
            match simple.words.first().and_then(Word::plain) {
                Some("false") => Ending::Fails,
                Some("exit") if status.as_ref().is_none_or(|status| status.as_deref() != Some("0")) => Ending::Exits,
                Some("return") if status.as_ref().is_none_or(|status| status.as_deref() != Some("0")) => Ending::Fails,
                _ => Ending::Unknown,
            }
        }
        Node::Compound(compound) => {
            let (list, subshell) = match &compound.kind {
                CompoundKind::Group(list) => (list, false),
                CompoundKind::Subshell(list) => (list, true),
                _ => return Ending::Unknown,
            };
            let Some(item) = list.items.last() else { return Ending::Unknown };
            let before = list.items.len().checked_sub(2).and_then(|at| list.items[at].connector.as_ref());
            // `echo … && exit 1` is as good as `;`, since `echo` does not fail.
            if before.is_some_and(|connector| connector.kind == ConnectorKind::Or) {
                return Ending::Unknown;
            }
            match ending(&item.pipeline) {
                Ending::Exits if subshell => Ending::Fails,
                ending => ending,
            }
        }
        Node::Function(_) => Ending::Unknown,
    }
}
