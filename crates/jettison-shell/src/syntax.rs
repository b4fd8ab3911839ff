//! The tree of a script, in the terms of POSIX (Shell Command Language, 2.9 Shell Commands).
//!
//! 1. A [`List`] is pipelines, each with the [`Connector`] that follows it. It is flat: `a && b; c` has three items.
//! 2. A [`Pipeline`] is [`Node`]s with pipes between them, often just one.
//! 3. A [`Node`] is a [`Simple`] command, a [`Compound`] one or a [`Function`] definition.
//! 4. A [`Redirection`] may have a [`Heredoc`], which [`crate::Script::heredoc`] hands out.

use crate::word::{Part, Word};
use std::ops::Range;

/// Pipelines one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// The pipelines in order.
    pub items: Vec<Item>,
    /// From the first pipeline to the end of the last or of its connector; empty where there is none.
    pub range: Range<usize>,
}

/// A pipeline and what stands between it and the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What follows it. The last of a list may have none.
    pub connector: Option<Connector>,
}

/// What stands between two pipelines of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Which.
    pub kind: ConnectorKind,
    /// The operator alone; for a newline, the line break.
    pub range: Range<usize>,
}

/// The connectors of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectorKind {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;`
    Semicolon,
    /// `&`
    Background,
    /// The end of a line.
    Newline,
}

impl ConnectorKind {
    /// Does the next pipeline belong to the same and-or list?
    pub fn joins(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }
}

/// Commands whose outputs and inputs are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Where the `!` stands that turns its status around.
    pub negated: Option<Range<usize>>,
    /// The commands, at least one.
    pub nodes: Vec<Node>,
    /// What stands between them, one less than the commands.
    pub pipes: Vec<Pipe>,
    /// From the `!` or the first command to the end of the last. Bodies of heredocs are not in it.
    pub range: Range<usize>,
}

/// `|` or, in bash, `|&`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipe {
    /// Does it take standard error along?
    pub with_stderr: bool,
    /// The operator.
    pub range: Range<usize>,
}

/// One command of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A program, a builtin or a function with its arguments, or assignments alone.
    Simple(Box<Simple>),
    /// `if`, `for`, `{ …; }` and their like.
    Compound(Box<Compound>),
    /// `name() …`
    Function(Box<Function>),
}

impl Node {
    /// From its first byte to its last, redirections too.
    pub fn range(&self) -> Range<usize> {
        match self {
            Self::Simple(simple) => simple.range.clone(),
            Self::Compound(compound) => compound.range.clone(),
            Self::Function(function) => function.range.clone(),
        }
    }
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simple {
    /// `A=1` before the first word.
    pub assignments: Vec<Assignment>,
    /// The program and its arguments.
    pub words: Vec<Word>,
    /// In the order they are written.
    pub redirections: Vec<Redirection>,
    /// For `sh -c '…'` and its like, the script in its argument.
    pub inline: Option<Inline>,
    /// From its first byte to its last.
    pub range: Range<usize>,
}

/// A script that stands in a word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// What it says.
    pub list: List,
    /// The shell that it is given to, with the options of its command line.
    pub shell: crate::Shell,
}

/// `NAME=value`, `NAME+=value`, in bash also `NAME[0]=value` and `NAME=(…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The name of the variable.
    pub name: String,
    /// Is it `+=`?
    pub appends: bool,
    /// What is assigned; empty for an array.
    pub value: Word,
    /// The elements of `(…)`.
    pub elements: Vec<Word>,
    /// All of it.
    pub range: Range<usize>,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// The file descriptor as written before the operator: `2`, or in bash `{name}`.
    pub descriptor: Option<String>,
    /// Which.
    pub operator: Operator,
    /// The file, the descriptor, or the delimiter of a heredoc.
    pub target: Word,
    /// Which heredoc of the script it is: see [`crate::Script::heredoc`].
    pub heredoc: Option<HeredocId>,
    /// All of it, without the body of a heredoc.
    pub range: Range<usize>,
}

/// Which heredoc of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeredocId(pub(crate) usize);

/// The operators of redirections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<`
    Input,
    /// `>`
    Output,
    /// `>>`
    Append,
    /// `>|`
    Clobber,
    /// `<>`
    ReadWrite,
    /// `<&`
    DuplicateInput,
    /// `>&`; in bash with a file name, both outputs
    DuplicateOutput,
    /// `&>`, bash
    OutputBoth,
    /// `&>>`, bash
    AppendBoth,
    /// `<<`
    Heredoc,
    /// `<<-`
    HeredocTabs,
    /// `<<<`, bash
    HereString,
}

/// A heredoc with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter without its quotes.
    pub delimiter: String,
    /// Was it quoted, so that the body is taken as it stands?
    pub quoted: bool,
    /// The body, without the line of the delimiter.
    pub body: Range<usize>,
    /// The body and the line of the delimiter.
    pub range: Range<usize>,
    /// What the body is made of.
    pub parts: Vec<Part>,
    /// Where it is the input of a shell: what it says.
    pub script: Option<Inline>,
}

/// A compound command with its redirections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compound {
    /// Which.
    pub kind: CompoundKind,
    /// What follows its last word.
    pub redirections: Vec<Redirection>,
    /// From its first byte to its last.
    pub range: Range<usize>,
}

/// The compound commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompoundKind {
    /// `{ …; }`
    Group(List),
    /// `( … )`
    Subshell(List),
    /// `if …; then …; elif …; else …; fi`
    If {
        /// The `if` and each `elif`.
        branches: Vec<Branch>,
        /// The `else`.
        otherwise: Option<List>,
    },
    /// `for NAME in …; do …; done`, in bash also `select`.
    For {
        /// The variable.
        variable: Word,
        /// What follows `in`; without it, the arguments of the script.
        words: Option<Vec<Word>>,
        /// What is done.
        body: List,
    },
    /// `for ((…; …; …)); do …; done`, bash
    ArithmeticFor {
        /// What stands in the parentheses.
        header: Vec<Part>,
        /// What is done.
        body: List,
    },
    /// `while …; do …; done`
    While {
        /// Is it `until`?
        until: bool,
        /// What is asked.
        condition: List,
        /// What is done.
        body: List,
    },
    /// `case … in …) …;; esac`
    Case {
        /// What is compared.
        word: Word,
        /// With what, and what is done then.
        arms: Vec<Arm>,
    },
    /// `[[ … ]]`, bash: its words.
    Test(Vec<Word>),
    /// `(( … ))`, bash: what stands in it.
    Arithmetic(Vec<Part>),
}

/// `if …; then …` or `elif …; then …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// What is asked.
    pub condition: List,
    /// What is done.
    pub body: List,
}

/// An arm of `case`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The patterns between `|`.
    pub patterns: Vec<Word>,
    /// What is done.
    pub body: List,
    /// From the first pattern to the end of the arm.
    pub range: Range<usize>,
}

/// The definition of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_range: Range<usize>,
    /// What it does: a compound command.
    pub body: Node,
    /// All of it.
    pub range: Range<usize>,
}
