//! A script as one line that shows what was understood.

use jettison_shell::syntax::{CompoundKind, ConnectorKind, List, Node, Pipeline, Redirection, Simple};
use jettison_shell::{Dialect, Part, PartKind, Script, Word};

/// Commands in `⟨⟩`, words between spaces, each part with a mark of its kind.
pub fn dump(text: &str, dialect: Dialect) -> String {
    let script = Script::parse(text, dialect);
    let mut out = Dump { script: &script, text: String::new() };
    out.list(&script.list);
    for error in &script.errors {
        out.text.push_str(&format!(" !{error} @{:?}", error.range));
    }
    out.text
}

struct Dump<'a> {
    script: &'a Script,
    text: String,
}

impl Dump<'_> {
    fn list(&mut self, list: &List) {
        for (at, item) in list.items.iter().enumerate() {
            if at > 0 {
                self.text.push(' ');
            }
            self.pipeline(&item.pipeline);
            let connector = item.connector.as_ref().map(|connector| connector.kind);
            self.text.push_str(match connector {
                Some(ConnectorKind::And) => " &&",
                Some(ConnectorKind::Or) => " ||",
                Some(ConnectorKind::Semicolon) => ";",
                Some(ConnectorKind::Background) => " &",
                Some(ConnectorKind::Newline) => " ⏎",
                None => "",
            });
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        if pipeline.negated.is_some() {
            self.text.push_str("! ");
        }
        for (at, node) in pipeline.nodes.iter().enumerate() {
            if at > 0 {
                self.text.push_str(if pipeline.pipes[at - 1].with_stderr { " |& " } else { " | " });
            }
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Simple(simple) => self.simple(simple),
            Node::Compound(compound) => {
                self.compound(&compound.kind);
                self.redirections(&compound.redirections);
            }
            Node::Function(function) => {
                self.text.push_str(&format!("{}() ", function.name));
                self.node(&function.body);
            }
        }
    }

    fn simple(&mut self, simple: &Simple) {
        self.text.push('⟨');
        let start = self.text.len();
        for assignment in &simple.assignments {
            self.gap(start);
            self.text.push_str(&format!("{}{}=", assignment.name, if assignment.appends { "+" } else { "" }));
            self.word(&assignment.value);
            if !assignment.elements.is_empty() {
                self.text.push('(');
                self.words(&assignment.elements);
                self.text.push(')');
            }
        }
        for word in &simple.words {
            self.gap(start);
            self.word(word);
        }
        if let Some(inline) = &simple.inline {
            self.text.push_str(" →{");
            self.list(&inline.list);
            self.text.push('}');
        }
        self.redirections(&simple.redirections);
        self.text.push('⟩');
    }

    fn gap(&mut self, start: usize) {
        if self.text.len() > start {
            self.text.push(' ');
        }
    }

    fn redirections(&mut self, redirections: &[Redirection]) {
        for redirection in redirections {
            self.text.push_str(&format!(
                " {}{:?}:",
                redirection.descriptor.as_deref().unwrap_or_default(),
                redirection.operator
            ));
            self.word(&redirection.target);
            if let Some(heredoc) = self.script.heredoc(redirection) {
                self.text.push('«');
                match &heredoc.script {
                    Some(inline) => self.list(&inline.list),
                    None => self.parts(&heredoc.parts),
                }
                self.text.push('»');
            }
        }
    }

    fn compound(&mut self, kind: &CompoundKind) {
        match kind {
            CompoundKind::Group(list) => self.block("{", list, "}"),
            CompoundKind::Subshell(list) => self.block("(", list, ")"),
            CompoundKind::If { branches, otherwise } => {
                for branch in branches {
                    self.block("if[", &branch.condition, "]");
                    self.block("[", &branch.body, "]");
                }
                if let Some(list) = otherwise {
                    self.block("else[", list, "]");
                }
            }
            CompoundKind::For { variable, words, body } => {
                self.text.push_str("for[");
                self.word(variable);
                if let Some(words) = words {
                    self.text.push_str(" in ");
                    self.words(words);
                }
                self.text.push(']');
                self.block("[", body, "]");
            }
            CompoundKind::ArithmeticFor { header, body } => {
                self.text.push_str("for((");
                self.parts(header);
                self.block("))[", body, "]");
            }
            CompoundKind::While { until, condition, body } => {
                self.block(if *until { "until[" } else { "while[" }, condition, "]");
                self.block("[", body, "]");
            }
            CompoundKind::Case { word, arms } => {
                self.text.push_str("case[");
                self.word(word);
                self.text.push(']');
                for arm in arms {
                    self.text.push('[');
                    self.words(&arm.patterns);
                    self.block(": ", &arm.body, "]");
                }
            }
            CompoundKind::Test(words) => {
                self.text.push_str("[[ ");
                self.words(words);
                self.text.push_str(" ]]");
            }
            CompoundKind::Arithmetic(parts) => {
                self.text.push_str("((");
                self.parts(parts);
                self.text.push_str("))");
            }
        }
    }

    fn block(&mut self, open: &str, list: &List, close: &str) {
        self.text.push_str(open);
        self.list(list);
        self.text.push_str(close);
    }

    fn words(&mut self, words: &[Word]) {
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                self.text.push(' ');
            }
            self.word(word);
        }
    }

    fn word(&mut self, word: &Word) {
        self.parts(&word.parts);
    }

    fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            match &part.kind {
                PartKind::Literal => self.text.push_str(&part.text),
                PartKind::Escaped => self.text.push_str(&format!("\\{}", part.text)),
                PartKind::SingleQuoted => self.text.push_str(&format!("'{}'", part.text)),
                PartKind::AnsiQuoted => self.text.push_str(&format!("$'{}'", part.text.escape_default())),
                PartKind::DoubleQuoted(parts) => {
                    self.text.push('"');
                    self.parts(parts);
                    self.text.push('"');
                }
                PartKind::Glob => self.text.push_str(&format!("‹{}›", part.text)),
                PartKind::Tilde => self.text.push_str(&format!("‹{}›", part.text)),
                PartKind::Parameter(parameter) => {
                    self.text.push_str(&format!("${{{}", parameter.name));
                    if !parameter.operator.is_empty() {
                        self.text.push_str(&format!(" {} ", parameter.operator));
                        self.parts(&parameter.word);
                    }
                    self.text.push('}');
                }
                PartKind::CommandSubstitution(list) => self.block("$(", list, ")"),
                PartKind::ProcessSubstitution(list) => self.block("<(", list, ")"),
                PartKind::Arithmetic(parts) => {
                    self.text.push_str("$((");
                    self.parts(parts);
                    self.text.push_str("))");
                }
            }
        }
    }
}
