//! Heredocs: which words of an instruction begin one, and what they hold.
//!
//! As in BuildKit the words are those of a shell whose escape character is `\`, whatever `# escape=` says, and an instruction
//! whose quotes do not close has no heredoc at all.

use crate::expand::Expander;
use crate::source::Span;
use crate::word::Word;

/// A heredoc of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter without its quotes, which is the name of the file that `COPY` writes.
    pub name: String,
    /// Whether variables in the content expand: no part of the delimiter is quoted. (`RUN` leaves that to its shell.)
    pub expand: bool,
    /// `<<-`: tabs at the start of lines are taken away.
    pub strip_tabs: bool,
    /// The file descriptor in front of `<<`, as it was written.
    pub descriptor: Option<u32>,
    /// The lines between, each with its end, without the tabs that `<<-` takes away.
    pub content: Word,
    /// The lines between as they were written.
    pub written: String,
    /// Where they stand.
    pub body: Span,
    /// The line that ends it, without its own end; `None` when the file ends first.
    pub terminator: Option<Span>,
}

/// What begins a heredoc: `[descriptor]<<[-]delimiter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) name: String,
    pub(crate) expand: bool,
    pub(crate) strip_tabs: bool,
    pub(crate) descriptor: Option<u32>,
}

impl Opening {
    /// The opening that `word` is, if it is one.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let (descriptor, rest) = word.split_once("<<")?;
        if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let strip_tabs = rest.starts_with('-');
        let delimiter = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']);
        if delimiter.is_empty() || delimiter.contains('<') {
            return None;
        }
        let bare = Expander::default().keep_unset();
        let names = bare.words(delimiter, &()).ok()?.value;
        let quoted = bare.keep_quotes().words(delimiter, &()).ok()?.value;
        let ([name], [quoted]) = (names.as_slice(), quoted.as_slice()) else { return None };
        let quotes = |text: &str| text.matches(['\'', '"']).count();
        let expand = quotes(name) == quotes(quoted);
        Some(Self { name: name.clone(), expand, strip_tabs, descriptor: descriptor.parse().ok() })
    }

    /// The openings of an instruction, in order.
    pub(crate) fn find(line: &str) -> Vec<Self> {
        if !line.contains("<<") {
            return Vec::new();
        }
        let words = Expander::default().keep_quotes().keep_escapes().keep_unset().words(line, &());
        words.map(|words| words.value.iter().filter_map(|word| Self::parse(word)).collect()).unwrap_or_default()
    }

    /// Whether `line` ends it.
    pub(crate) fn ends_at(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        (if self.strip_tabs { line.trim_start_matches('\t') } else { line }) == self.name
    }
}

/// The content of a heredoc whose lines stand at `body`.
pub(crate) fn content(source: &str, body: Span, strip_tabs: bool) -> Word {
    let mut content = Word::default();
    if !strip_tabs {
        content.push_str(&source[body.range()], body.start);
        return content.spanning(body);
    }
    let mut at = body.start;
    for line in source[body.range()].split_inclusive('\n') {
        let stripped = line.trim_start_matches('\t');
        content.push_str(stripped, at + line.len() - stripped.len());
        at += line.len();
    }
    content.spanning(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_words_of_a_shell() {
        let cases = [
            ("RUN <<EOF", "EOF+"),
            ("RUN <<EOF cat", "EOF+"),
            ("RUN cat <<EOF > /x && echo <<-'B C' 2", "EOF+ B C--"),
            ("RUN << EOF", "EOF+"),
            ("RUN <<\"EOF\"", "EOF-"),
            ("RUN <<E'O'F", "EOF-"),
            ("RUN <<\\EOF", "EOF+"),
            ("RUN 3<<A 4<<B", "3A+ 4B+"),
            ("RUN cat<<EOF", ""),
            ("RUN cat <<<EOF", ""),
            ("RUN cat <<< EOF", ""),
            ("RUN echo '<<EOF'", ""),
            ("RUN echo \"x <<EOF\"", ""),
            ("RUN echo \\<<EOF", ""),
            ("RUN echo it's <<EOF", ""),
            ("RUN <<$NAME", "$NAME+"),
            ("RUN <<", ""),
            ("COPY <<a <<b /x/", "a+ b+"),
        ];
        for (line, expected) in cases {
            let found: Vec<String> = Opening::find(line)
                .iter()
                .map(|opening| {
                    let descriptor = opening.descriptor.map(|fd| fd.to_string()).unwrap_or_default();
                    let expand = if opening.expand { "+" } else { "-" };
                    format!("{descriptor}{}{expand}{}", opening.name, if opening.strip_tabs { "-" } else { "" })
                })
                .collect();
            assert_eq!(found.join(" "), expected, "{line}");
        }
    }

    #[test]
    fn tabs_go_and_places_stay() {
        let source = "\t\ta\n b\n\t\n";
        let content = content(source, Span::new(0, source.len()), true);
        assert_eq!((content.as_str(), content.locate(0), content.locate(3)), ("a\n b\n\n", 2, 5));
    }
}
