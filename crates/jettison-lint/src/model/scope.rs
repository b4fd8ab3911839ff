//! Variables at an instruction, as far as the Dockerfile alone tells their values.

use jettison_dockerfile::instruction::{Argument, Pair};
use jettison_dockerfile::{Environment, Escape, Expander, Word};
use std::collections::BTreeMap;

/// Those that a build sets for `FROM` and for whoever declares them. Their values depend on the machine and the flags.
pub const PLATFORM_ARGUMENTS: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its value; `None` where only a build can tell.
    pub value: Option<String>,
    /// Whether it goes into the image.
    pub kind: VariableKind,
}

/// Where a variable is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VariableKind {
    /// `ARG`.
    Arg,
    /// `ENV`.
    Env,
}

/// Variables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    variables: BTreeMap<String, Variable>,
    search: Vec<String>,
}

impl Environment for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.value.as_deref()
    }
}

impl Scope {
    /// The variable, if it is declared.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// Its value, if the Dockerfile tells it.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name)
    }

    /// The directories that `ENV PATH=…` put in front of those of the base image or behind them, in their order.
    pub fn search_path(&self) -> &[String] {
        &self.search
    }

    /// The names that are declared.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// What a word stands for in a build without `--build-arg`; `None` when only a build can tell, or it cannot be expanded.
    pub fn expand(&self, word: &Word, escape: Escape) -> Option<String> {
        let expansion = Expander::new(escape).word(word, self).ok()?;
        let open = expansion.variables.iter().any(|variable| {
            !variable.set && (!variable.guarded || PLATFORM_ARGUMENTS.contains(&variable.name.as_str()))
        });
        (!open).then_some(expansion.value)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: Option<String>, kind: VariableKind) {
        self.variables.insert(name.to_owned(), Variable { value, kind });
    }

    /// What an `ARG` of a stage does: without a default it takes over the global argument of its name.
    pub(super) fn declare(&mut self, argument: &Argument, globals: &Self, escape: Escape) {
        let name = argument.name.as_str();
        // `ENV` of the same name stays in force.
        if self.variable(name).is_some_and(|variable| variable.kind == VariableKind::Env) {
            return;
        }
        let value = match &argument.default {
            Some(default) => self.expand(default, escape),
            None => globals.value(name).map(str::to_owned),
        };
        self.set(name, value, VariableKind::Arg);
    }

    /// Sets an argument that `--build-arg` gave a value.
    pub(super) fn give(&mut self, name: &str, given: &BTreeMap<String, String>) {
        if let Some(value) = given.get(name)
            && self.variable(name).is_some_and(|variable| variable.kind == VariableKind::Arg)
        {
            self.set(name, Some(value.clone()), VariableKind::Arg);
        }
    }

    /// What an `ENV` does. All its values see the variables as they were before it.
    pub(super) fn export(&mut self, pairs: &[Pair], escape: Escape) {
        let values: Vec<_> =
            pairs.iter().map(|pair| (self.expand(&pair.key, escape), self.expand(&pair.value, escape))).collect();
        // The base image's own value is not known, but what is written around it is.
        if let Some(pair) = pairs.iter().rev().find(|pair| pair.key == "PATH")
            && let Ok(path) = Expander::new(escape).keep_unset().word(&pair.value, self)
        {
            let before = std::mem::take(&mut self.search);
            for entry in path.value.split(':') {
                match entry {
                    "$PATH" | "${PATH}" => self.search.extend(before.iter().cloned()),
                    "" => {}
                    entry => self.search.push(entry.to_owned()),
                }
            }
        }
        for (pair, (key, value)) in pairs.iter().zip(values) {
            self.set(key.as_deref().unwrap_or(&pair.key), value, VariableKind::Env);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jettison_dockerfile::Dockerfile;
    use jettison_dockerfile::InstructionKind;

    #[test]
    fn what_only_a_build_can_tell_is_not_known() {
        let file = Dockerfile::parse(
            "ARG V=3.12\nARG X\nARG TARGETARCH\nFROM p:$V\nFROM p:$X\nFROM p:${X:-1}\nFROM p:${TARGETARCH:-a}\nFROM p:${NO-2}\n",
        );
        let mut globals = Scope::default();
        for instruction in file.preamble() {
            let InstructionKind::Arg(arguments) = &instruction.kind else { panic!() };
            arguments.iter().for_each(|argument| globals.declare(argument, &Scope::default(), file.escape()));
        }
        let images: Vec<_> =
            file.stages().iter().map(|stage| globals.expand(&stage.from.image, file.escape())).collect();
        let known = |text: &str| Some(text.to_owned());
        assert_eq!(images, [known("p:3.12"), None, known("p:1"), None, known("p:2")]);
    }

    #[test]
    fn what_is_put_in_front_of_the_path_is_known() {
        let file = Dockerfile::parse("FROM x\nENV V=/opt/venv\nENV PATH=\"$V/bin:$PATH\"\nENV PATH=${PATH}:/y\n");
        let mut scope = Scope::default();
        for instruction in file.instructions() {
            let InstructionKind::Env(pairs) = &instruction.kind else { continue };
            scope.export(pairs, file.escape());
        }
        assert_eq!(scope.search_path(), ["/opt/venv/bin", "/y"]);
    }
}
