//! The bytes of a Dockerfile, each in one [`Token`].

use crate::instruction::{Instruction, InstructionKind};
use crate::source::Span;

/// A run of bytes with one meaning. The tokens of a file hold all of its bytes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where.
    pub span: Span,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// U+FEFF at the start of the file.
    ByteOrderMark,
    /// White space in a line.
    Whitespace,
    /// The end of a line: `\n` and any `\r` before it.
    Newline,
    /// `# …`.
    Comment,
    /// `# name=value` at the top of the file.
    Directive,
    /// The keyword of an instruction.
    Keyword,
    /// A flag of an instruction.
    Flag,
    /// Arguments of an instruction, spaces between them included.
    Arguments,
    /// The escape character at the end of a line, and what follows it up to and with the line's end.
    Continuation,
    /// The lines of a heredoc.
    HeredocBody,
    /// The line that ends a heredoc, without its own end.
    HeredocEnd,
}

/// The tokens of an instruction, those of its text cut at keyword, flags and the white space around them.
pub(crate) fn refine(source: &str, tokens: &[Token], instruction: &Instruction) -> Vec<Token> {
    let mut marks = Vec::new();
    let mut next = Some(instruction);
    while let Some(instruction) = next {
        marks.push((TokenKind::Keyword, instruction.keyword.span()));
        marks.extend(instruction.flags.iter().map(|flag| (TokenKind::Flag, flag.span)));
        next = match &instruction.kind {
            InstructionKind::Onbuild(onbuild) => Some(&onbuild.trigger),
            _ => None,
        };
    }
    let mut refined = Vec::new();
    let mut marks = marks.into_iter().peekable();
    for &token in tokens {
        if token.kind != TokenKind::Arguments {
            refined.push(token);
            continue;
        }
        let mut at = token.span.start;
        while let Some(&(kind, mark)) = marks.peek() {
            if mark.start >= token.span.end {
                break;
            }
            let within = Span::new(mark.start.max(at), mark.end.min(token.span.end).max(at));
            arguments(source, at, within.start, &mut refined);
            if !within.is_empty() {
                refined.push(Token { kind, span: within });
            }
            at = within.end;
            if mark.end > token.span.end {
                break;
            }
            marks.next();
        }
        arguments(source, at, token.span.end, &mut refined);
    }
    refined
}

/// Arguments, and the white space around them.
fn arguments(source: &str, start: usize, end: usize, tokens: &mut Vec<Token>) {
    let text = &source[start..end];
    let first = end - text.trim_start().len();
    let last = start + text.trim_end().len();
    let runs = [
        (TokenKind::Whitespace, start, first),
        (TokenKind::Arguments, first, last),
        (TokenKind::Whitespace, last.max(first), end),
    ];
    let runs = runs.into_iter().filter(|&(_, start, end)| start < end);
    tokens.extend(runs.map(|(kind, start, end)| Token { kind, span: Span::new(start, end) }));
}
