//! Where the words of an instruction begin and end. There is more than one rule, since there is more than one in BuildKit.
//!
//! 1. [`split`] cuts an instruction into keyword, flags and arguments.
//! 2. [`by_space`] cuts arguments at white space, quotes or not: `COPY`, `FROM`, `EXPOSE`, `VOLUME`.
//! 3. [`quoted`] leaves what is quoted whole: `ENV`, `LABEL`, `ARG`.

use crate::expand::Escape;
use crate::instruction::Flag;
use crate::word::Word;
use std::ops::Range;

/// The parts of an instruction.
pub(crate) struct Parts {
    pub(crate) keyword: Word,
    pub(crate) flags: Vec<Flag>,
    pub(crate) arguments: Word,
}

/// What BuildKit cuts keywords and words at: not every character that is white space.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// Cuts `text`, which has no white space around it.
pub(crate) fn split(text: &Word, escape: Escape) -> Parts {
    let keyword_end = text.find(is_space).unwrap_or(text.len());
    let mut parts = Parts { keyword: text.slice(0..keyword_end), flags: Vec::new(), arguments: Word::default() };
    let mut at = keyword_end;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if !text[at..].starts_with("--") {
            break;
        }
        let (word, end) = flag(text, at, escape);
        let written = text.span_of(at..end);
        at = end;
        if word == "--" {
            break;
        }
        let (name, value) = match word.find('=') {
            Some(equals) => (word.slice(2..equals.max(2)), Some(word.slice((equals + 1).max(2)..word.len()))),
            None => (word.slice(2..word.len()), None),
        };
        parts.flags.push(Flag { span: written, name, value });
    }
    parts.arguments = text.slice(at..text.len()).trim();
    parts
}

/// The flag at `start`, its quotes and escapes taken away, and where it ends.
fn flag(text: &Word, start: usize, escape: Escape) -> (Word, usize) {
    let mut word = Word::default();
    let mut quote = None;
    let mut characters = text[start..].char_indices().map(|(at, c)| (start + at, c));
    while let Some((at, c)) = characters.next() {
        if c == escape.char() {
            // At the end it is nothing.
            if let Some((at, c)) = characters.next() {
                word.push(c, text.span_of(at..at + c.len_utf8()));
            }
            continue;
        }
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_whitespace() => return (word, at),
            _ => word.push(c, text.span_of(at..at + c.len_utf8())),
        }
    }
    (word, text.len())
}

/// The words between white space.
pub(crate) fn by_space(text: &Word) -> Vec<Word> {
    text.split(is_space).filter(|word| !word.is_empty()).map(|word| text.slice(text.range_of(word))).collect()
}

/// The words between white space that is neither quoted nor escaped, quotes and escapes still in them.
pub(crate) fn quoted(text: &Word, escape: Escape) -> Vec<Word> {
    quoted_ranges(text, escape).into_iter().map(|range| text.slice(range)).collect()
}

fn quoted_ranges(text: &str, escape: Escape) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(start.take().map(|start| start..at));
            continue;
        }
        let word = *start.get_or_insert(at);
        if c == escape.char() && quote != Some('\'') {
            if characters.next().is_none() {
                // An escape at the very end is nothing.
                words.extend((at > word).then_some(word..at));
                return words;
            }
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '\'' || c == '"') {
            quote = Some(c);
        }
    }
    words.extend(start.map(|start| start..text.len()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        let mut word = Word::default();
        word.push_str(text, 0);
        word
    }

    #[test]
    fn flags_lose_quotes_and_escapes() {
        let cases = [
            ("RUN", "RUN||"),
            ("RUN a --b", "RUN||a --b"),
            ("RUN --a --b=c  d", "RUN|a b=c|d"),
            ("RUN --a=\"b c\"'d' e", "RUN|a=b cd|e"),
            ("RUN --a=b\\ c --d=\\\"e\\\" f", "RUN|a=b c d=\"e\"|f"),
            ("RUN --a=b=c", "RUN|a=b=c|"),
            ("RUN --a= b", "RUN|a=|b"),
            ("RUN -- --a", "RUN||--a"),
            ("RUN --a -- b", "RUN|a|b"),
            ("RUN -a b", "RUN||-a b"),
            ("RUN --=x y", "RUN|=x|y"),
            ("RUN --a\\", "RUN|a|"),
            ("RUN\t--a\x0bb", "RUN|a|b"),
            ("RUN\u{a0}x", "RUN\u{a0}x||"),
        ];
        for (text, expected) in cases {
            let parts = split(&word(text), Escape::Backslash);
            let flags: Vec<String> = parts
                .flags
                .iter()
                .map(|flag| flag.value.as_ref().map_or(flag.name.to_string(), |value| format!("{}={value}", flag.name)))
                .collect();
            assert_eq!(format!("{}|{}|{}", parts.keyword, flags.join(" "), parts.arguments), expected, "{text}");
        }
        let parts = split(&word("RUN --a=\"b c\" d"), Escape::Backslash);
        let value = parts.flags[0].value.as_ref().unwrap();
        assert_eq!((parts.flags[0].span.range(), value.locate(0), value.locate(2)), (4..13, 9, 11));
    }

    #[test]
    fn quotes_hold_words_together() {
        let cases: &[(&str, &[&str])] = &[
            ("a=1 b=2", &["a=1", "b=2"]),
            ("a=\"1 2\" b='3 4'", &["a=\"1 2\"", "b='3 4'"]),
            ("a=1\\ 2 b", &["a=1\\ 2", "b"]),
            ("a=\"x\\\" y\" b", &["a=\"x\\\" y\"", "b"]),
            ("a='x\\' b", &["a='x\\'", "b"]),
            ("\"\" x", &["\"\"", "x"]),
            ("a=\"1 2", &["a=\"1 2"]),
            ("a\\", &["a"]),
            ("\\", &[]),
            ("  ", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(quoted(&word(text), Escape::Backslash), *expected, "{text}");
        }
        assert_eq!(quoted(&word("a=`\" b c:\\ d"), Escape::Backtick), ["a=`\"", "b", "c:\\", "d"]);
    }
}
