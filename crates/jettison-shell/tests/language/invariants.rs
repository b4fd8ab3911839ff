//! What must hold for any text at all. The tests and the fuzzer share it.

use jettison_shell::syntax::{CompoundKind, List, Node, Redirection};
use jettison_shell::{Dialect, PackageCall, Part, PartKind, Script, Shell, Word};
use std::ops::Range;

/// Reads `text` in every way there is and checks what must hold.
pub fn check(text: &str) {
    for dialect in [Dialect::Posix, Dialect::Bash] {
        let script = Script::parse(text, dialect);
        let places = Places { text };
        places.list(&script.list);
        for error in &script.errors {
            places.range(&error.range);
            assert!(!error.to_string().is_empty());
            let _ = error.hint();
        }
        for heredoc in script.heredocs() {
            places.range(&heredoc.body);
            places.range(&heredoc.range);
            places.parts(&heredoc.parts);
            if let Some(inline) = &heredoc.script {
                places.list(&inline.list);
            }
        }
        let shell = Shell { errexit: true, ..Shell::default() };
        assert_eq!(script.commands().len(), script.commands_in(&shell).len());
        for command in script.commands() {
            places.range(&command.range());
            for range in command.removal().into_iter().flatten() {
                places.range(&range);
            }
            assert!(text.get(command.insertion_after().at..).is_some());
            let flag = command.flag_value(&["-a", "--b"]);
            flag.iter().for_each(|value| places.range(&value.range));
            let _ = (command.has_flag(&["-y"]), command.operands(&["-t"]));
            for launched in command.launches() {
                check_call(&launched, &places);
            }
            check_call(&command, &places);
            // Where nothing is wrong, taking a command out leaves nothing wrong.
            if script.errors.is_empty()
                && command.is_top_level()
                && script.commands().len() < 20
                && let Some(ranges) = command.removal()
            {
                let mut left = text.to_owned();
                for range in ranges.into_iter().rev() {
                    left.replace_range(range, "");
                }
                let again = Script::parse(&left, dialect);
                assert!(again.errors.is_empty(), "{text:?} became {left:?}: {:?}", again.errors);
            }
        }
        for piped in script.pipelines() {
            assert!(piped.commands.len() <= piped.pipeline.nodes.len());
        }
        let _ = (script.sets("-e"), script.sets_pipefail());
    }
}

fn check_call(command: &jettison_shell::Command<'_>, places: &Places<'_>) {
    let Some(call) = PackageCall::of(command) else { return };
    places.range(&call.program);
    call.verb.iter().for_each(|range| places.range(range));
    for operand in &call.operands {
        places.range(&operand.range);
        let _ = operand.is_pinned();
    }
}

/// Every range begins and ends at characters of the text.
struct Places<'t> {
    text: &'t str,
}

impl Places<'_> {
    fn range(&self, range: &Range<usize>) {
        assert!(self.text.get(range.clone()).is_some(), "{range:?} of {:?}", self.text);
    }

    fn list(&self, list: &List) {
        self.range(&list.range);
        let mut end = 0;
        for item in &list.items {
            self.range(&item.pipeline.range);
            assert!(end <= item.pipeline.range.start, "pipelines come one after the other: {:?}", self.text);
            end = item.pipeline.range.end;
            assert_eq!(item.pipeline.pipes.len() + 1, item.pipeline.nodes.len());
            item.pipeline.pipes.iter().for_each(|pipe| self.range(&pipe.range));
            item.connector.iter().for_each(|connector| self.range(&connector.range));
            item.pipeline.nodes.iter().for_each(|node| self.node(node));
        }
    }

    fn node(&self, node: &Node) {
        self.range(&node.range());
        match node {
            Node::Simple(simple) => {
                for assignment in &simple.assignments {
                    self.range(&assignment.range);
                    self.word(&assignment.value);
                    assignment.elements.iter().for_each(|word| self.word(word));
                }
                simple.words.iter().for_each(|word| self.word(word));
                simple.inline.iter().for_each(|inline| self.list(&inline.list));
                self.redirections(&simple.redirections);
            }
            Node::Compound(compound) => {
                self.redirections(&compound.redirections);
                self.compound(&compound.kind);
            }
            Node::Function(function) => {
                self.range(&function.name_range);
                self.node(&function.body);
            }
        }
    }

    fn compound(&self, kind: &CompoundKind) {
        match kind {
            CompoundKind::Group(list) | CompoundKind::Subshell(list) => self.list(list),
            CompoundKind::If { branches, otherwise } => {
                for branch in branches {
                    self.list(&branch.condition);
                    self.list(&branch.body);
                }
                otherwise.iter().for_each(|list| self.list(list));
            }
            CompoundKind::For { variable, words, body } => {
                self.word(variable);
                words.iter().flatten().for_each(|word| self.word(word));
                self.list(body);
            }
            CompoundKind::ArithmeticFor { header, body } => {
                self.parts(header);
                self.list(body);
            }
            CompoundKind::While { condition, body, .. } => {
                self.list(condition);
                self.list(body);
            }
            CompoundKind::Case { word, arms } => {
                self.word(word);
                for arm in arms {
                    self.range(&arm.range);
                    arm.patterns.iter().for_each(|word| self.word(word));
                    self.list(&arm.body);
                }
            }
            CompoundKind::Test(words) => words.iter().for_each(|word| self.word(word)),
            CompoundKind::Arithmetic(parts) => self.parts(parts),
        }
    }

    fn redirections(&self, redirections: &[Redirection]) {
        for redirection in redirections {
            self.range(&redirection.range);
            self.word(&redirection.target);
        }
    }

    fn word(&self, word: &Word) {
        self.range(&word.range);
        self.parts(&word.parts);
        let text = word.text();
        assert_eq!(word.literal().is_some(), !word.is_expanded());
        for (at, _) in text.char_indices().take(8) {
            self.range(&word.range_of(at, text.len()));
        }
    }

    fn parts(&self, parts: &[Part]) {
        let mut end = 0;
        for part in parts {
            self.range(&part.range);
            assert!(end <= part.range.start, "parts come one after the other: {:?}", self.text);
            end = part.range.end;
            match &part.kind {
                PartKind::DoubleQuoted(parts) | PartKind::Arithmetic(parts) => self.parts(parts),
                PartKind::Parameter(parameter) => self.parts(&parameter.word),
                PartKind::CommandSubstitution(list) | PartKind::ProcessSubstitution(list) => self.list(list),
                _ => {}
            }
        }
    }
}
