//! Comments that say what is to be ignored.
//!
//! 1. [`Suppressions::read`] takes them from a Dockerfile: ours, hadolint's, and BuildKit's directive.
//! 2. [`Suppressions::covers`] says whether a finding is to be left out, and remembers which word said so.
//! 3. [`Suppressions::unused`] tells of the words that never did.
//!
//! `# jettison: ignore=RULE,… why` is about the instruction below; within an instruction or a heredoc it is about the next line, and behind
//! a command of a heredoc about its own. `# jettison: ignore-file=RULE,…` is about the file wherever it stands. hadolint writes
//! `# hadolint ignore=…` and `# hadolint global ignore=…`. `# check=skip=…;error=true` is BuildKit's, about its own checks
//! alone: at the top for the file, above an instruction for that one.

mod comment;

use crate::config::Selector;
use crate::finding::{Finding, Findings, Fix, Place};
use crate::rule::{Family, Rule};
use crate::rules;
use comment::{Comment, Reach};
use jettison_dockerfile::{DirectiveName, Dockerfile, Edit, InstructionKind, NodeKind, Span, TokenKind};
use std::cell::Cell;

/// What the comments of a Dockerfile say is to be ignored.
#[derive(Debug, Default)]
pub struct Suppressions {
    words: Vec<Suppression>,
    malformed: Vec<Span>,
    /// `# check=error=true`: what BuildKit warns of is an error.
    is_strict: bool,
    /// `# check=experimental=…`: the checks of BuildKit that are looked for although they are experimental.
    experimental: Vec<String>,
}

/// One word of such a comment.
#[derive(Debug)]
struct Suppression {
    word: String,
    selectors: Vec<Selector>,
    dialect: Dialect,
    /// Where the word stands.
    span: Span,
    /// What is to be removed with it if it is of no use; `None` for a directive.
    removal: Option<Span>,
    /// Findings that begin in here; all, if there is none.
    scope: Option<Span>,
    is_used: Cell<bool>,
}

/// Whose comment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Ours,
    Hadolint,
    BuildKit,
}

/// A word that stands for no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// Where it stands.
    pub span: Span,
    /// The rule that was meant, perhaps.
    pub similar: Option<&'static str>,
}

impl Suppressions {
    /// Reads the comments.
    pub fn read(file: &Dockerfile) -> Self {
        let mut all = Self::default();
        if let Some(directive) = file.directive(DirectiveName::Check) {
            all.read_directive(&directive.value);
        }
        // Most files have none.
        if !["ignore", "skip"].iter().any(|word| file.source().contains(word)) {
            return all;
        }
        let mut below = vec![Span::default(); file.nodes().len() + 1];
        for (at, node) in file.nodes().iter().enumerate().rev() {
            below[at] = if matches!(node.kind, NodeKind::Instruction(_)) { node.span } else { below[at + 1] };
        }
        let mut tokens = file.tokens().iter().filter(|token| token.kind == TokenKind::Comment).peekable();
        for (node, below) in file.nodes().iter().zip(below) {
            while let Some(token) = tokens.next_if(|token| token.span.start < node.span.end) {
                let scope = || match node.kind {
                    NodeKind::Instruction(_) => code_line(file, token.span.end, node.span.end),
                    _ => below,
                };
                all.read_comment(file, token.span, scope, || whole_lines(file, token.span));
            }
            if let NodeKind::Instruction(at) = node.kind {
                all.read_heredocs(file, &file.instructions()[at]);
            }
        }
        all
    }

    /// Whether a finding is to be left out.
    pub fn covers(&self, finding: &Finding) -> bool {
        let mut is_covered = false;
        for suppression in self.words.iter().filter(|suppression| suppression.covers(finding)) {
            suppression.is_used.set(true);
            is_covered = true;
        }
        is_covered
    }

    /// Whether a rule that is not looked for without being asked is asked for.
    pub fn asks_for(&self, rule: &Rule) -> bool {
        let named = |name: &str| self.experimental.iter().any(|word| word == "all" || word.eq_ignore_ascii_case(name));
        rule.buildkit.is_some_and(named)
    }

    /// Whether what a rule finds is an error, however little it usually matters.
    pub fn is_error(&self, rule: &Rule) -> bool {
        self.is_strict && rule.buildkit.is_some()
    }

    /// The rules that single words name.
    pub(crate) fn named(&self) -> impl Iterator<Item = &'static Rule> {
        let rules = |selector: &Selector| match selector {
            Selector::Rule(rule) => Some(*rule),
            _ => None,
        };
        self.words.iter().flat_map(|suppression| &suppression.selectors).filter_map(rules)
    }

    /// Comments that seem to be meant as ours and are not understood.
    pub(crate) fn malformed(&self) -> &[Span] {
        &self.malformed
    }

    /// Words that stand for no rule. A code of hadolint's or ShellCheck's always may, and a check of BuildKit's may be newer than we are.
    pub(crate) fn unknown(&self) -> Vec<UnknownWord> {
        let mut unknown = Vec::new();
        for suppression in self.words.iter().filter(|suppression| suppression.selectors.is_empty()) {
            let word = &suppression.word;
            let is_code = word.len() == 6 && word.bytes().skip(2).all(|byte| byte.is_ascii_digit());
            let similar = match suppression.dialect {
                Dialect::Ours | Dialect::Hadolint if is_code && word.starts_with("DL") => continue,
                Dialect::Ours | Dialect::Hadolint => Selector::parse(word).err().and_then(|error| error.similar),
                Dialect::BuildKit if word.eq_ignore_ascii_case("all") => continue,
                Dialect::BuildKit => match similar_check(word) {
                    Some(similar) => Some(similar),
                    None => continue,
                },
            };
            unknown.push(UnknownWord { word: word.clone(), span: suppression.span, similar });
        }
        unknown
    }

    /// Reports the words that left nothing out. `can_tell` says whether a rule could have found something.
    pub(crate) fn unused(&self, findings: &mut Findings<'_>, can_tell: impl Fn(&Rule) -> bool) {
        for suppression in self.words.iter().filter(|suppression| !suppression.is_used.get()) {
            let rules: Vec<&Rule> =
                rules::all().filter(|rule| suppression.selectors.iter().any(|s| s.covers(rule))).collect();
            if rules.is_empty() || !rules.iter().all(|rule| can_tell(rule)) {
                continue;
            }
            let message = format!("there is nothing that `{}` would have to ignore", suppression.word);
            let finding = findings.report(suppression.span, message);
            finding.help("remove it");
            if let Some(span) = suppression.removal {
                finding.fix(Fix::safe("remove it", [Edit { span, text: String::new() }]));
            }
        }
    }

    /// `# check=skip=A,B;error=true;experimental=C`.
    fn read_directive(&mut self, value: &jettison_dockerfile::Word) {
        let mut at = 0;
        for option in value.split(';') {
            let start = at;
            at += option.len() + 1;
            let Some((key, list)) = option.split_once('=') else { continue };
            match key.trim() {
                "error" => self.is_strict = list.trim().eq_ignore_ascii_case("true") || list.trim() == "1",
                "experimental" => self.experimental = list.split(',').map(|word| word.trim().to_owned()).collect(),
                "skip" => {
                    let mut word_at = start + key.len() + 1;
                    for word in list.split(',') {
                        let name = word.trim();
                        let from = word_at + word.len() - word.trim_start().len();
                        word_at += word.len() + 1;
                        self.words.push(Suppression {
                            word: name.to_owned(),
                            selectors: checks(name),
                            dialect: Dialect::BuildKit,
                            span: value.span_of(from..from + name.len()),
                            removal: None,
                            scope: None,
                            is_used: Cell::new(false),
                        });
                    }
                }
                _ => {}
            }
        }
    }

    /// A comment at `span`. `scope` is what it is about unless it says that it is about the file; `whole` goes with it if it goes.
    fn read_comment(
        &mut self,
        file: &Dockerfile,
        span: Span,
        scope: impl FnOnce() -> Span,
        whole: impl FnOnce() -> Span,
    ) {
        let text = file.text(span);
        let Some(comment) = Comment::parse(text) else { return };
        let (dialect, reach, words) = match comment {
            Comment::Ours { reach, words } => (Dialect::Ours, reach, words),
            Comment::Hadolint { reach, words } => (Dialect::Hadolint, reach, words),
            Comment::BuildKit { words } => (Dialect::BuildKit, Reach::Here, words),
            Comment::Malformed => return self.malformed.push(span),
        };
        // The comment itself is part of it, so that a word may be about the others.
        let (scope, whole) = (scope(), whole());
        let scope = Span::new(scope.start.min(span.start), scope.end);
        for (at, range) in words.iter().enumerate() {
            let word = &text[range.clone()];
            let place = |from: usize, to: usize| Span::new(span.start + from, span.start + to);
            let removal = match (at, words.get(at + 1)) {
                (0, None) => whole,
                (_, Some(next)) => place(range.start, next.start),
                (_, None) => place(words[at - 1].end, range.end),
            };
            self.words.push(Suppression {
                word: word.to_owned(),
                selectors: match dialect {
                    Dialect::BuildKit => checks(word),
                    Dialect::Ours | Dialect::Hadolint => Selector::parse(word).unwrap_or_default(),
                },
                dialect,
                span: place(range.start, range.end),
                removal: Some(removal),
                scope: (reach == Reach::Here).then_some(scope),
                is_used: Cell::new(false),
            });
        }
    }

    /// The comments of the shell in the heredocs of a `RUN`.
    fn read_heredocs(&mut self, file: &Dockerfile, instruction: &jettison_dockerfile::Instruction) {
        if !matches!(instruction.kind, InstructionKind::Run(_)) {
            return;
        }
        for heredoc in &instruction.heredocs {
            let mut at = heredoc.body.start;
            for line in file.text(heredoc.body).split_inclusive('\n') {
                let start = at;
                at += line.len();
                let content = line.trim_end();
                let comment = content.match_indices('#').map(|(hash, _)| hash).find(|&hash| {
                    let is_word = content[..hash].chars().next_back().is_none_or(char::is_whitespace);
                    is_word && Comment::parse(&content[hash..]).is_some()
                });
                let Some(hash) = comment else { continue };
                let span = Span::new(start + hash, start + content.len());
                let code = content[..hash].trim_end();
                let (scope, whole) = match code.trim().is_empty() {
                    true => (next_line(file, at, heredoc.body.end), Span::new(start, at)),
                    false => (Span::new(start, at), Span::new(start + code.len(), span.end)),
                };
                self.read_comment(file, span, || scope, || whole);
            }
        }
    }
}

impl Suppression {
    fn covers(&self, finding: &Finding) -> bool {
        let is_meant = match self.dialect {
            Dialect::BuildKit => {
                let check = finding.rule.buildkit;
                check.is_some_and(|name| self.word.eq_ignore_ascii_case("all") || self.word.eq_ignore_ascii_case(name))
            }
            Dialect::Ours | Dialect::Hadolint => {
                finding.answers_to(&self.word) || self.selectors.iter().any(|selector| selector.covers(finding.rule))
            }
        };
        let is_here = match (self.scope, &finding.place) {
            (None, _) => true,
            (Some(scope), Place::Dockerfile(span)) => scope.start <= span.start && span.start < scope.end,
            (Some(_), Place::Context { .. }) => false,
        };
        is_meant && is_here
    }
}

/// Whether a rule can find all that it could, in what there is to look at.
pub(crate) fn can_tell(rule: &Rule, has_context: bool) -> bool {
    !matches!(rule.code, rules::SHELLCHECK | rules::UNUSED_SUPPRESSION)
        && (rule.family != Family::Context || has_context)
}

/// The checks of BuildKit's with this name.
fn checks(name: &str) -> Vec<Selector> {
    let named = |rule: &&Rule| rule.buildkit.is_some_and(|check| check.eq_ignore_ascii_case(name));
    rules::all().filter(named).map(Selector::Rule).collect()
}

/// The check of BuildKit's with nearly this name.
fn similar_check(word: &str) -> Option<&'static str> {
    let near = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &word.to_lowercase());
    let names = rules::all().filter_map(|rule| rule.buildkit);
    names.filter(|name| near(name) * 3 <= name.len()).min_by_key(|name| near(name))
}

/// The line of the first word of an instruction behind `from`; nothing, if there is none up to `end`.
fn code_line(file: &Dockerfile, from: usize, end: usize) -> Span {
    let is_code = |kind: TokenKind| {
        !matches!(kind, TokenKind::Comment | TokenKind::Whitespace | TokenKind::Newline | TokenKind::Continuation)
    };
    let first = file.tokens().partition_point(|token| token.span.end <= from);
    let behind = file.tokens()[first..].iter().take_while(|token| token.span.start < end);
    let code = behind.map(|token| (token.kind, token.span.start)).find(|(kind, _)| is_code(*kind));
    code.map_or(Span::default(), |(_, start)| whole_lines(file, Span::new(start, start)))
}

/// The next line of a heredoc that is neither empty nor a comment.
fn next_line(file: &Dockerfile, from: usize, end: usize) -> Span {
    let mut at = from;
    for line in file.text(Span::new(from, end)).split_inclusive('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            return Span::new(at, at + line.len());
        }
        at += line.len();
    }
    Span::default()
}

/// The lines of a span, with their ends.
fn whole_lines(file: &Dockerfile, span: Span) -> Span {
    let source = file.source();
    let start = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = source[span.end..].find('\n').map_or(source.len(), |at| span.end + at + 1);
    Span::new(start, end)
}

#[cfg(test)]
mod tests;
