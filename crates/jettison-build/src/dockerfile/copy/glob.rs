//! Wildcards of COPY and ADD: the patterns of Go's `filepath.Match`, one component of a path at a time.
//!
//! `*` and `?` stay in a component, `[a-z]` and `[^a-z]` are one character, `\` takes the meaning from what follows. There is no `**`
//! and nothing special about names that begin with a dot.

use jettison_dockerfile::class;

/// Whether a path has a wildcard, so that it is a pattern and `\` in it escapes.
pub fn has_wildcards(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// A pattern for one component, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Char(char),
    One,
    Any,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Parses a component. The error says what is wrong with it.
    pub fn parse(pattern: &str) -> Result<Self, &'static str> {
        let mut steps = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            steps.push(match c {
                '*' => Step::Any,
                '?' => Step::One,
                '\\' => Step::Char(rest.next().ok_or("ends with `\\`, which escapes nothing")?),
                '[' => {
                    let negated = rest.next_if_eq(&'^').is_some();
                    // A range that runs backwards holds nothing, and is no error.
                    Step::Class { negated, ranges: class::ranges(&mut rest)? }
                }
                c => Step::Char(c),
            });
        }
        Ok(Self(steps))
    }

    /// Whether the whole name matches. A byte that is no text is one character that only `*`, `?` and a negated class match.
    pub fn matches(&self, name: &[u8]) -> bool {
        let characters: Vec<Option<char>> = name
            .utf8_chunks()
            .flat_map(|chunk| chunk.valid().chars().map(Some).chain(std::iter::repeat_n(None, chunk.invalid().len())))
            .collect();
        // Where to go on when the text behind the last `*` does not fit.
        let mut back: Option<(usize, usize)> = None;
        let (mut at, mut step) = (0, 0);
        loop {
            match self.0.get(step) {
                Some(Step::Any) => {
                    back = Some((step + 1, at));
                    step += 1;
                    continue;
                }
                Some(one) if characters.get(at).is_some_and(|c| one.takes(*c)) => {
                    (step, at) = (step + 1, at + 1);
                    continue;
                }
                None if at == characters.len() => return true,
                _ => {}
            }
            match back {
                Some((after, from)) if from < characters.len() => {
                    back = Some((after, from + 1));
                    (step, at) = (after, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Step {
    fn takes(&self, c: Option<char>) -> bool {
        match self {
            Self::Char(wanted) => c == Some(*wanted),
            Self::One | Self::Any => true,
            Self::Class { negated, ranges } => {
                c.is_some_and(|c| ranges.iter().any(|(low, high)| (low..=high).contains(&&c))) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", ".a", false),
            ("*", ".hidden", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "aéb", true),
            ("a???b", "aéb", false),
            ("a[^a]b", "aéb", true),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[z-a]", "m", false),
            ("*x", "xxx", true),
            ("arr[[]0].txt", "arr[0].txt", true),
            ("", "", true),
            ("?", "", false),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(name.as_bytes()), expected, "{pattern} on {name}");
        }
        assert!(Glob::parse("a?").unwrap().matches(b"a\xff") && !Glob::parse("a[a-z]").unwrap().matches(b"a\xff"));
        for bad in ["[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a[", "\\", "[a\\"] {
            assert!(Glob::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn escaped_wildcards_are_none() {
        assert!(has_wildcards("a*") && has_wildcards("a?") && has_wildcards("[a]") && has_wildcards("\\\\*"));
        assert!(!has_wildcards("a\\*b") && !has_wildcards("plain/path") && !has_wildcards("a]"));
    }
}
