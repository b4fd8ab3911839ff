//! A simple command as the rules of a linter want to see it: its program, its flags, and what surrounds it.
//!
//! 1. What it says: [`Command::name`], [`Command::has_flag`], [`Command::flag_value`], [`Command::operands`].
//! 2. What its failure does: [`Command::failure`].
//! 3. Where it stands: [`Command::list`], [`Command::pipeline`], [`Command::directory`].

use crate::flags::{self, Token};
use crate::script::Script;
use crate::syntax::{Assignment, Connector, Heredoc, Item, List, Pipeline, Redirection, Simple};
use crate::word::Word;
use crate::wrapper;
use std::borrow::Cow;
use std::ops::Range;

/// A simple command of a script and its surroundings.
#[derive(Debug, Clone)]
pub struct Command<'a> {
    pub(crate) script: &'a Script,
    pub(crate) simple: &'a Simple,
    /// The program and its arguments.
    pub(crate) words: &'a [Word],
    /// How many words of the simple command come before the program.
    pub(crate) behind: usize,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) list: &'a List,
    pub(crate) item: usize,
    pub(crate) node: usize,
    pub(crate) context: Context<'a>,
}

/// What surrounds a command.
#[derive(Debug, Clone)]
pub(crate) struct Context<'a> {
    pub failure: Failure,
    pub errexit: bool,
    pub pipefail: bool,
    pub directory: Option<String>,
    pub conditional: bool,
    pub background: bool,
    pub function: Option<&'a str>,
    /// The list that it stands in is the script itself, or a group in it.
    pub top: bool,
}

/// What the failure of a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The script ends there or later with a status that says so.
    Fails,
    /// Nobody hears of it.
    Masked(Mask),
}

/// Why nobody hears of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Another command follows after `;` or a line break, without `set -e`.
    Followed,
    /// It is left of `&&` in a list that something follows: there `set -e` does not count.
    AndList,
    /// It is left of `||`, and what is right of it does not fail.
    Or,
    /// It is not the last of its pipeline, without `pipefail`.
    Pipe,
    /// It is the condition of an `if` or a loop.
    Condition,
    /// It is in a loop without `set -e`, where only the last round's status counts.
    Loop,
    /// Its status is turned around with `!`.
    Negated,
    /// It runs in the background.
    Background,
    /// Its output is put into a word, and the status is that of the command around it.
    Substitution,
}

/// An argument, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument<'a> {
    /// What it says, without quotes; expansions as they are written.
    pub text: Cow<'a, str>,
    /// Where it is written.
    pub range: Range<usize>,
    /// The word that it is, or is in.
    pub word: &'a Word,
}

impl<'a> Argument<'a> {
    pub(crate) fn whole(word: &'a Word) -> Self {
        Self { text: word.text(), range: word.range.clone(), word }
    }

    /// What of the word's text is at `start` and after.
    pub(crate) fn tail(word: &'a Word, start: usize) -> Self {
        let text = match word.text() {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(start..).unwrap_or_default()),
            Cow::Owned(text) => Cow::Owned(text.get(start..).unwrap_or_default().to_owned()),
        };
        let range = word.range_of(start, start + text.len());
        Self { text, range, word }
    }

    /// What it says if no expansion is in its word.
    pub fn literal(&self) -> Option<&str> {
        (!self.word.is_expanded()).then_some(&*self.text)
    }
}

impl<'a> Command<'a> {
    /// The name of the program without its path, seen through `sudo`, `env A=1`, `exec`, `command`, `nice`, `time`,
    /// `nohup`, `timeout 5` and their like. Nothing where it is an expansion, or where there are assignments alone.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Is the program called this?
    pub fn is(&self, name: &str) -> bool {
        self.name() == Some(name)
    }

    /// The word of the program.
    pub fn program(&self) -> Option<&'a Word> {
        self.words.first()
    }

    /// The words before the program: `sudo -E`, `env A=1`. Empty for most.
    pub fn wrappers(&self) -> &'a [Word] {
        &self.simple.words[..self.behind]
    }

    /// The words after the program.
    pub fn arguments(&self) -> &'a [Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Is one of these flags there? `-y` is found in `-qy` too, `--yes` in `--yes=1`; nothing after `--`. A word like
    /// `-name` is found by all of it.
    pub fn has_flag(&self, names: &[&str]) -> bool {
        self.flag(names).is_some()
    }

    /// The word that has one of these flags, as [`Command::has_flag`] finds it.
    pub fn flag(&self, names: &[&str]) -> Option<&'a Word> {
        self.arguments()
            .iter()
            .take_while(|word| word.text() != "--")
            .find(|word| names.iter().any(|name| flags::is_flag(&word.text(), name)))
    }

    /// The value of the first of these flags: `--x=v`, `--x v`, `-x v`, `-xv`.
    pub fn flag_value(&self, names: &[&str]) -> Option<Argument<'a>> {
        flags::value(self.arguments(), names)
    }

    /// The arguments that are no options. `options_with_value` are the options whose value is the next word.
    pub fn operands(&self, options_with_value: &[&str]) -> Vec<&'a Word> {
        flags::scan(self.arguments(), options_with_value)
            .into_iter()
            .filter_map(|token| match token {
                Token::Operand(word) => Some(word),
                Token::Option { .. } => None,
            })
            .collect()
    }

    /// `A=1` before the command. Those of `env A=1` are among [`Command::wrappers`].
    pub fn assignments(&self) -> &'a [Assignment] {
        &self.simple.assignments
    }

    /// Its redirections.
    pub fn redirections(&self) -> &'a [Redirection] {
        &self.simple.redirections
    }

    /// Its heredocs in order.
    pub fn heredocs(&self) -> impl Iterator<Item = &'a Heredoc> + use<'a> {
        let script = self.script;
        self.simple.redirections.iter().filter_map(move |redirection| script.heredoc(redirection))
    }

    /// All of it: assignments, words before the program and redirections too. Bodies of heredocs are not in it.
    pub fn range(&self) -> Range<usize> {
        self.simple.range.clone()
    }

    /// The node of the tree.
    pub fn simple(&self) -> &'a Simple {
        self.simple
    }

    /// The commands that this one starts by itself, as far as they are written in its arguments: `xargs rm -f`,
    /// `find … -exec strip {} +`.
    pub fn launches(&self) -> Vec<Command<'a>> {
        wrapper::launched(self.name(), self.arguments())
            .into_iter()
            .map(|words| {
                let behind = wrapper::see_through(words);
                let words = &words[behind..];
                Command { words, name: wrapper::name(words), ..self.clone() }
            })
            .collect()
    }

    /// What happens when it fails.
    pub fn failure(&self) -> Failure {
        self.context.failure
    }

    /// Does its failure make the script fail?
    pub fn fails_script(&self) -> bool {
        self.failure() == Failure::Fails
    }

    /// Is `set -e` in force?
    pub fn errexit(&self) -> bool {
        self.context.errexit
    }

    /// Is `set -o pipefail` in force?
    pub fn pipefail(&self) -> bool {
        self.context.pipefail
    }

    /// Does it run only if something else did or did not go well: in an `if`, a `case`, a loop, or right of `||`?
    pub fn is_conditional(&self) -> bool {
        self.context.conditional
    }

    /// Does nobody wait for it?
    pub fn is_background(&self) -> bool {
        self.context.background
    }

    /// The function whose definition it is in.
    pub fn function(&self) -> Option<&'a str> {
        self.context.function
    }

    /// Where it runs, as far as that is known from each `cd` before it: an absolute path, or one from where the script
    /// starts, which is empty.
    pub fn directory(&self) -> Option<&str> {
        self.context.directory.as_deref()
    }

    /// The list that it stands in.
    pub fn list(&self) -> &'a List {
        self.list
    }

    /// Which item of the list it is, or is in the pipeline of.
    pub fn index(&self) -> usize {
        self.item
    }

    /// The pipeline that it is in, be it alone.
    pub fn pipeline(&self) -> &'a Pipeline {
        &self.list.items[self.item].pipeline
    }

    /// Which command of its pipeline it is.
    pub fn stage(&self) -> usize {
        self.node
    }

    /// Does its output go into a pipe?
    pub fn is_piped(&self) -> bool {
        self.node + 1 < self.pipeline().nodes.len()
    }

    /// What is before it in its list.
    pub fn preceding(&self) -> &'a [Item] {
        &self.list.items[..self.item]
    }

    /// What is after it in its list.
    pub fn following(&self) -> &'a [Item] {
        &self.list.items[self.item + 1..]
    }

    /// What is between it and the item before.
    pub fn connector_before(&self) -> Option<&'a Connector> {
        self.preceding().last()?.connector.as_ref()
    }

    /// What follows it.
    pub fn connector_after(&self) -> Option<&'a Connector> {
        self.list.items[self.item].connector.as_ref()
    }

    /// Do both stand in the same list?
    pub fn is_beside(&self, other: &Command<'_>) -> bool {
        std::ptr::eq(self.list, other.list)
    }

    /// Is nothing after it in its list and in its pipeline?
    pub fn is_last(&self) -> bool {
        self.following().is_empty() && !self.is_piped()
    }

    /// Does it stand in the script itself, in no function, loop, condition, substitution or other script?
    pub fn is_top_level(&self) -> bool {
        self.context.top
    }
}
