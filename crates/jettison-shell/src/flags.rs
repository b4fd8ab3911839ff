//! Options and operands, as `getopt` and its imitations read them.

use crate::command::Argument;
use crate::word::Word;

/// A piece of a command line.
#[derive(Debug, Clone)]
pub(crate) enum Token<'a> {
    /// `-y`, also out of `-qy`; `--yes`; with the value that belongs to it.
    Option { name: String, word: &'a Word, value: Option<Argument<'a>> },
    /// What is no option, and everything after `--`.
    Operand(&'a Word),
}

/// Takes a command line apart. `with_value` are the options that take the next word where nothing is attached to them.
pub(crate) fn scan<'a>(words: &'a [Word], with_value: &[&str]) -> Vec<Token<'a>> {
    let mut tokens = Vec::with_capacity(words.len());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.text();
        if text == "--" {
            tokens.extend(words.by_ref().map(Token::Operand));
        } else if text.starts_with("--") {
            let (name, value) = match text.split_once('=') {
                Some((name, _)) => (name.to_owned(), Some(Argument::tail(word, name.len() + 1))),
                None if with_value.contains(&&*text) => (text.into_owned(), words.next().map(Argument::whole)),
                None => (text.into_owned(), None),
            };
            tokens.push(Token::Option { name, word, value });
        } else if text.len() > 1 && text.starts_with('-') {
            if with_value.contains(&&*text) {
                tokens.push(Token::Option { name: text.into_owned(), word, value: words.next().map(Argument::whole) });
                continue;
            }
            // `find` and `go` have no clusters.
            if let Some((name, value)) = text.split_once('=')
                && with_value.contains(&name)
            {
                let value = Some(Argument::tail(word, text.len() - value.len()));
                tokens.push(Token::Option { name: name.to_owned(), word, value });
                continue;
            }
            for (at, letter) in text.char_indices().skip(1) {
                let name = format!("-{letter}");
                let next = at + letter.len_utf8();
                let rest = &text[next..];
                let takes = with_value.contains(&name.as_str());
                if let Some(value) = rest.strip_prefix('=') {
                    let value = Some(Argument::tail(word, text.len() - value.len()));
                    tokens.push(Token::Option { name, word, value });
                    break;
                }
                if takes {
                    let value = if rest.is_empty() {
                        words.next().map(Argument::whole)
                    } else {
                        Some(Argument::tail(word, next))
                    };
                    tokens.push(Token::Option { name, word, value });
                    break;
                }
                tokens.push(Token::Option { name, word, value: None });
                if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                    break;
                }
            }
        } else {
            tokens.push(Token::Operand(word));
        }
    }
    tokens
}

/// Is `text` the option `name`, alone, with a value or among others (`-qy`)?
pub(crate) fn is_flag(text: &str, name: &str) -> bool {
    if text == name {
        return true;
    }
    if name.starts_with("--") {
        return text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    }
    let mut letters = name.chars().skip(1);
    let (Some(letter), None, true) = (letters.next(), letters.next(), name.starts_with('-')) else { return false };
    match text.strip_prefix('-') {
        Some(cluster) if !cluster.starts_with('-') => {
            let end = cluster.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(cluster.len());
            let cluster = if end == cluster.len() { cluster } else { cluster.get(..1).unwrap_or_default() };
            cluster.contains(letter)
        }
        _ => false,
    }
}

/// The value of the first of `names` in `words`: `--x=v`, `--x v`, `-x v`, `-xv`, `-qx v`.
pub(crate) fn value<'a>(words: &'a [Word], names: &[&str]) -> Option<Argument<'a>> {
    scan(words, names).into_iter().find_map(|token| match token {
        Token::Option { name, value, .. } if names.contains(&name.as_str()) => value,
        _ => None,
    })
}
