//! The lines of a Dockerfile.
//!
//! 1. `Reader::read` goes over the lines: comments, directives, blank lines; all else begins an instruction.
//! 2. `Reader::instruction` joins continuation lines, leaving out the comments and blank lines between.
//! 3. `Reader::heredocs` takes the lines below that belong to it.
//! 4. Every byte goes into a [`Token`], in order; `token::refine` cuts those of instructions at keyword and flags.

use crate::expand::Escape;
use crate::heredoc::{self, Heredoc, Opening};
use crate::instruction::{self, Instruction, Raw};
use crate::json::{self, Json};
use crate::problem::{ProblemKind, Problems};
use crate::source::Span;
use crate::split;
use crate::token::{self, Token, TokenKind};
use crate::word::Word;

/// One or more whole lines of a Dockerfile. The nodes hold all of its lines, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// What they are.
    pub kind: NodeKind,
    /// The lines, the end of the last included.
    pub span: Span,
}

/// What some lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A directive: its index in [`Dockerfile::directives`](crate::Dockerfile::directives).
    Directive(usize),
    /// A comment.
    Comment,
    /// Nothing but white space.
    Blank,
    /// An instruction: its index in [`Dockerfile::instructions`](crate::Dockerfile::instructions).
    Instruction(usize),
}

/// `# name=value` at the top of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Which.
    pub name: DirectiveName,
    /// Its value.
    pub value: Word,
    /// From the `#` to the end of the value.
    pub span: Span,
}

/// The directives that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DirectiveName {
    /// `# syntax=`: the front end that BuildKit is to fetch.
    Syntax,
    /// `# escape=`: the escape character.
    Escape,
    /// `# check=`: options of the linter.
    Check,
}

impl DirectiveName {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }
}

/// All that is read from the lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Syntax {
    pub(crate) escape: Escape,
    pub(crate) directives: Vec<Directive>,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) tokens: Vec<Token>,
}

/// A line, taken apart.
#[derive(Clone, Copy)]
struct Line<'s> {
    span: Span,
    /// Without the line's end.
    content: &'s str,
}

impl Line<'_> {
    fn content_end(&self) -> usize {
        self.span.start + self.content.len()
    }

    /// Where the first character stands that is not white space.
    fn start(&self) -> usize {
        self.content_end() - self.content.trim_start().len()
    }

    fn is_blank(&self) -> bool {
        self.start() == self.content_end()
    }

    fn is_comment(&self) -> bool {
        self.content.trim_start().starts_with('#')
    }
}

/// Goes over the lines of a source.
pub(crate) struct Reader<'s, 'p, 'q> {
    source: &'s str,
    at: usize,
    syntax: Syntax,
    comments: Vec<String>,
    /// Whether a directive may still come.
    directives_open: bool,
    /// Whether it may be `# escape=`, too.
    escape_open: bool,
    problems: &'p mut Problems<'q>,
}

impl<'s, 'p, 'q> Reader<'s, 'p, 'q> {
    pub(crate) fn new(source: &'s str, problems: &'p mut Problems<'q>) -> Self {
        Self {
            source,
            at: 0,
            syntax: Syntax::default(),
            comments: Vec::new(),
            directives_open: true,
            escape_open: true,
            problems,
        }
    }

    /// Reads the whole source.
    pub(crate) fn read(mut self) -> Syntax {
        if self.source.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
            self.token(TokenKind::ByteOrderMark, 0, self.at);
        }
        while let Some(line) = self.next_line() {
            let kind = if line.is_comment() {
                self.whitespace(line.span.start, line.start());
                let kind = self.comment(line);
                self.newline(line);
                kind
            } else {
                self.directives_open = false;
                if line.is_blank() {
                    self.whitespace(line.span.start, line.content_end());
                    self.newline(line);
                    NodeKind::Blank
                } else {
                    self.instruction(line)
                }
            };
            self.syntax.nodes.push(Node { kind, span: Span::new(line.span.start, self.at) });
        }
        self.syntax
    }

    fn next_line(&mut self) -> Option<Line<'s>> {
        let rest = &self.source[self.at..];
        let line = rest.split_inclusive('\n').next()?;
        let span = Span::new(self.at, self.at + line.len());
        self.at = span.end;
        Some(Line { span, content: line.trim_end_matches(['\r', '\n']) })
    }

    fn token(&mut self, kind: TokenKind, start: usize, end: usize) {
        if start < end {
            self.syntax.tokens.push(Token { kind, span: Span::new(start, end) });
        }
    }

    fn whitespace(&mut self, start: usize, end: usize) {
        self.token(TokenKind::Whitespace, start, end);
    }

    fn newline(&mut self, line: Line<'_>) {
        self.token(TokenKind::Newline, line.content_end(), line.span.end);
    }

    /// A comment, or one of the directives that may stand above everything else.
    fn comment(&mut self, line: Line<'s>) -> NodeKind {
        let start = line.start();
        let text = &self.source[start + 1..line.content_end()];
        if self.directives_open {
            if let Some(directive) = directive(text, start) {
                let name = directive.name.as_str();
                if self.syntax.directives.iter().any(|other| other.name == directive.name) {
                    self.problems.error(ProblemKind::DuplicateDirective { name }, directive.span);
                } else if directive.name == DirectiveName::Escape && self.escape_open {
                    match directive.value.as_str() {
                        "\\" => self.syntax.escape = Escape::Backslash,
                        "`" => self.syntax.escape = Escape::Backtick,
                        value => {
                            let kind = ProblemKind::InvalidEscape { value: value.to_owned() };
                            self.problems.error(kind, directive.value.span());
                        }
                    }
                }
                self.token(TokenKind::Directive, start, line.content_end());
                self.syntax.directives.push(directive);
                return NodeKind::Directive(self.syntax.directives.len() - 1);
            }
            // Above a shebang BuildKit finds `syntax` and `check`, but no longer `escape`.
            let shebang = line.span.start <= '\u{feff}'.len_utf8() && text.starts_with('!') && start == line.span.start;
            self.directives_open = shebang;
            self.escape_open = false;
        }
        self.token(TokenKind::Comment, start, line.content_end());
        match text.trim() {
            "" => self.comments.clear(),
            text => self.comments.push(text.to_owned()),
        }
        NodeKind::Comment
    }

    /// An instruction that begins in `first`, with all the lines that belong to it.
    fn instruction(&mut self, first: Line<'s>) -> NodeKind {
        let first_token = self.syntax.tokens.len();
        self.whitespace(first.span.start, first.start());
        let mut text = Word::default();
        let mut end = first.content_end();
        let mut line = first;
        let mut start = first.start();
        loop {
            let content = &self.source[start..line.content_end()];
            let continued = continued(content, self.syntax.escape.char());
            let kept = continued.unwrap_or(content.len());
            text.push_str(&content[..kept], start);
            self.token(TokenKind::Arguments, start, start + kept);
            if kept > 0 {
                end = start + kept;
            }
            if continued.is_none() {
                self.newline(line);
                break;
            }
            self.token(TokenKind::Continuation, start + kept, line.span.end);
            match self.continuation() {
                Some(next) => line = next,
                None => break,
            }
            start = line.span.start;
        }
        if text.is_empty() {
            text = text.spanning(Span::new(first.start(), first.start()));
        }
        let heredocs = self.heredocs(&text);
        if let Some(heredoc) = heredocs.last() {
            end = heredoc.terminator.unwrap_or(heredoc.body).end;
        }
        let comments = std::mem::take(&mut self.comments);
        let instruction = instruction::build(Raw { text, heredocs, comments, end }, self.syntax.escape, self.problems);
        let refined = token::refine(self.source, &self.syntax.tokens[first_token..], &instruction);
        self.syntax.tokens.splice(first_token.., refined);
        self.syntax.instructions.push(instruction);
        NodeKind::Instruction(self.syntax.instructions.len() - 1)
    }

    /// The next line that goes on with an instruction: comments and blank lines between do not.
    fn continuation(&mut self) -> Option<Line<'s>> {
        let mut warned = false;
        loop {
            let line = self.next_line()?;
            if line.is_comment() {
                self.whitespace(line.span.start, line.start());
                self.token(TokenKind::Comment, line.start(), line.content_end());
            } else if line.is_blank() {
                if !std::mem::replace(&mut warned, true) {
                    self.problems
                        .warning(ProblemKind::EmptyContinuation, Span::new(line.span.start, line.content_end()));
                }
                self.whitespace(line.span.start, line.content_end());
            } else {
                return Some(line);
            }
            self.newline(line);
        }
    }

    /// The heredocs that `text` opens, from the lines below.
    fn heredocs(&mut self, text: &Word) -> Vec<Heredoc> {
        if !text.contains("<<") || !holds_heredocs(&text.trim(), self.syntax.escape, true) {
            return Vec::new();
        }
        let mut heredocs: Vec<Heredoc> = Vec::new();
        for opening in Opening::find(text) {
            let start = self.at;
            let mut end = start;
            let mut terminator = None;
            let mut near = None;
            while let Some(line) = self.next_line() {
                if opening.ends_at(line.content) {
                    terminator = Some(line);
                    break;
                }
                if near.is_none() && line.content.trim() == opening.name {
                    near = Some(line.span.start);
                }
                end = line.span.end;
            }
            let body = Span::new(start, end);
            self.token(TokenKind::HeredocBody, start, end);
            if let Some(line) = terminator {
                self.token(TokenKind::HeredocEnd, line.span.start, line.content_end());
                self.newline(line);
            } else if heredocs.iter().all(|heredoc| heredoc.terminator.is_some()) {
                let near = near.map(|offset| self.problems.line(offset));
                let kind = ProblemKind::OpenHeredoc { delimiter: opening.name.clone(), near };
                self.problems.error(kind, place(text, &opening));
            }
            heredocs.push(Heredoc {
                content: heredoc::content(self.source, body, opening.strip_tabs),
                written: self.source[body.range()].to_owned(),
                name: opening.name,
                expand: opening.expand,
                strip_tabs: opening.strip_tabs,
                descriptor: opening.descriptor,
                body,
                terminator: terminator.map(|line| Span::new(line.span.start, line.content_end())),
            });
        }
        heredocs
    }
}

/// The directive that the text behind a `#` is.
fn directive(text: &str, hash: usize) -> Option<Directive> {
    let (key, value) = text.split_once('=')?;
    let name = match key.trim().to_ascii_lowercase().as_str() {
        "syntax" => DirectiveName::Syntax,
        "escape" => DirectiveName::Escape,
        "check" => DirectiveName::Check,
        _ => return None,
    };
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return None;
    }
    let start = hash + 1 + key.len() + 1 + (value.len() - value.trim_start().len());
    let mut word = Word::default();
    word.push_str(trimmed, start);
    Some(Directive { name, span: Span::new(hash, start + trimmed.len()), value: word })
}

/// The length of what a line holds before the escape character that joins it with the next; `None` if none does. An escape
/// character before it takes its meaning away, however many there are, as in BuildKit.
fn continued(content: &str, escape: char) -> Option<usize> {
    let kept = content.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!kept.ends_with(escape)).then_some(kept.len())
}

/// Whether an instruction may have heredocs: `RUN`, `COPY` and `ADD` not in JSON form, and `ONBUILD` with one of them.
fn holds_heredocs(text: &Word, escape: Escape, outermost: bool) -> bool {
    let parts = split::split(text, escape);
    match instruction::keyword(&parts.keyword) {
        Some("RUN" | "COPY" | "ADD") => !matches!(json::parse(&parts.arguments), Json::Strings(_)),
        Some("ONBUILD") if outermost => holds_heredocs(&parts.arguments, escape, false),
        _ => false,
    }
}

/// Where `opening` stands in `text`, or all of it.
fn place(text: &Word, opening: &Opening) -> Span {
    let found = text.match_indices("<<").map(|(at, _)| at).find_map(|at| {
        let rest = text[at + 2..].trim_start_matches(['-', ' ', '\t', '\'', '"', '\\']);
        rest.starts_with(&opening.name).then(|| at..text.len() - rest.len() + opening.name.len())
    });
    text.span_of(found.unwrap_or(0..text.len()))
}
