//! `.dockerignore`, as BuildKit reads it (moby/patternmatcher, `ignorefile` and `MatchesUsingParentResults`).
//!
//! 1. [`Ignore::parse`] takes the text apart: comments, blanks, `!`, then Go's `filepath.Clean` on each pattern.
//! 2. `Pattern::parse` compiles a pattern to steps; what Go's `filepath.Match` calls malformed is an error with its line.
//! 3. [`Ignore::matches`] runs the steps over a path once, as an automaton without backtracking. A pattern that accepts at a
//!    `/` has matched a directory above, which counts for all that is in it. The last pattern that matches decides.
//! 4. With a `!` pattern the way down counts, since BuildKit walks it: a pattern is only asked about a directory when it could
//!    change what the ones before it said of that directory. So `x/y` and then `!x` leaves `x/y` out.
//! 5. [`Ignore::prunes`] asks the same automaton whether a `!` pattern is still alive below a directory.
//!
//! Accidents of moby's way through a regular expression are not followed: `*` and `?` in `[…]`, `[[:alpha:]]`, and `^` beside a
//! wildcard are what `filepath.Match` takes them for.

use crate::class;

/// The patterns of one `.dockerignore`, in order.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// A line of a `.dockerignore` is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{pattern}` {why}")]
pub struct IgnoreError {
    /// The line, from 1.
    pub line: usize,
    /// The line's text, trimmed.
    pub pattern: String,
    why: &'static str,
}

impl IgnoreError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        Some("write `\\` before a character of `*?[]\\` that stands for itself".to_owned())
    }
}

impl Ignore {
    /// Parses the text of a `.dockerignore`. A `#` is a comment only in the first column; spaces around a pattern, a leading
    /// `/` and trailing `/` mean nothing.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let trimmed = line.trim();
            if trimmed.is_empty() {
                continue;
            }
            let error = |why| IgnoreError { line: index + 1, pattern: trimmed.to_owned(), why };
            let (negated, glob) = match trimmed.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, trimmed),
            };
            let cleaned = clean(glob);
            if negated && matches!(cleaned.as_str(), "" | "/") {
                return Err(error("excludes nothing: a path must follow the `!`"));
            }
            let relative = match cleaned.strip_prefix('/') {
                Some(rest) if !rest.is_empty() => rest,
                _ => &cleaned,
            };
            patterns.push(Pattern { negated, ..Pattern::parse(relative).map_err(error)? });
        }
        Ok(Self { patterns })
    }

    /// Takes patterns that stand in no file, such as those of `--exclude` (moby/patternmatcher `New`): there are no comments, and
    /// a leading `/` matches nothing. The line of an error is the place of the pattern, from 1.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, IgnoreError> {
        let mut parsed = Vec::new();
        for (index, pattern) in patterns.into_iter().enumerate() {
            let error = |why| IgnoreError { line: index + 1, pattern: pattern.to_owned(), why };
            if pattern.trim().is_empty() {
                continue;
            }
            let cleaned = clean(pattern.trim());
            let (negated, glob) = match cleaned.strip_prefix('!') {
                Some("") => return Err(error("excludes nothing: a path must follow the `!`")),
                Some(glob) => (true, glob),
                None => (false, cleaned.as_str()),
            };
            parsed.push(Pattern { negated, ..Pattern::parse(glob).map_err(error)? });
        }
        Ok(Self { patterns: parsed })
    }

    /// Whether the file or directory at `path` (relative, `/` between components) is left out of the context.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        if !self.patterns.iter().any(|pattern| pattern.negated) {
            return self.patterns.iter().any(|pattern| pattern.run(path).accepted);
        }
        let mut runs: Vec<Option<Vec<usize>>> = vec![None; self.patterns.len()];
        let mut held = vec![false; self.patterns.len()];
        let mut matched = false;
        let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            matched = false;
            for (at, pattern) in self.patterns.iter().enumerate() {
                if !held[at] && pattern.negated == matched {
                    held[at] = runs[at].get_or_insert_with(|| pattern.accepts(path)).contains(&end);
                }
                if held[at] {
                    matched = !pattern.negated;
                }
            }
        }
        matched
    }

    /// Whether the directory at `path` is left out with all that is or could be in it, so that it need not be read: it
    /// matches, and no `!` pattern could match anything below.
    pub fn prunes(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        self.matches(path) && !self.patterns.iter().any(|pattern| pattern.negated && pattern.run(path).reaches_below)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// Go's `path.Clean`: `.` and `..` resolved by text alone, doubled and trailing slashes dropped.
fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|&last| last != "..") => {
                components.pop();
            }
            ".." if rooted => {}
            _ => components.push(component),
        }
    }
    match (rooted, components.is_empty()) {
        (true, _) => format!("/{}", components.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => components.join("/"),
    }
}

#[derive(Debug, Clone)]
struct Pattern {
    negated: bool,
    steps: Vec<Step>,
}

/// One step of a pattern. Steps are numbered from 0; the number of steps is the accepting state.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// This character.
    Char(char),
    /// `?`: any character but `/`.
    One,
    /// `*`: any number of characters but `/`.
    Star,
    /// `**` before more: nothing, or anything that ends with a `/`.
    Directories,
    /// `**` at the end, and before a plain suffix: anything.
    Anything,
    /// `[a-z]`, `[^a-z]`: one character, `/` included, as in Go.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    fn parse(glob: &str) -> Result<Self, &'static str> {
        const DANGLING: &str = "ends with `\\`, which escapes nothing";
        let mut steps = Vec::new();
        let mut rest = glob.chars().peekable();
        // Without any other special character, `**suffix` matches by text alone, in the middle of a component too.
        let plain_suffix = glob
            .strip_prefix("**")
            .is_some_and(|rest| !rest.starts_with('/') && !rest.contains(['*', '?', '[', ']', '\\']));
        while let Some(c) = rest.next() {
            steps.push(match c {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    rest.next_if_eq(&'/');
                    if rest.peek().is_none() || (plain_suffix && steps.is_empty()) {
                        Step::Anything
                    } else {
                        Step::Directories
                    }
                }
                '*' => Step::Star,
                '?' => Step::One,
                '[' => {
                    let negated = rest.next_if_eq(&'^').is_some();
                    let ranges = class::ranges(&mut rest)?;
                    // Here it is a regular expression that is matched in the end, which knows no such range.
                    if ranges.iter().any(|(low, high)| high < low) {
                        return Err("has a range whose end comes before its start");
                    }
                    Step::Class { negated, ranges }
                }
                '\\' => Step::Char(rest.next().ok_or(DANGLING)?),
                c => Step::Char(c),
            });
        }
        Ok(Self { negated: false, steps })
    }

    /// How long the directories above `path`, and `path` itself, are that it matches.
    fn accepts(&self, path: &[u8]) -> Vec<usize> {
        let accept = self.steps.len();
        let mut now = States::new(accept);
        let mut next = States::new(accept);
        let mut accepted = Vec::new();
        let mut at = 0;
        self.enter(&mut now, 0);
        for c in characters(path) {
            if now.is_empty() {
                return accepted;
            }
            if c == Some('/') && now.has(accept) {
                accepted.push(at);
            }
            at += c.map_or(1, char::len_utf8);
            self.advance(&now, &mut next, c);
            std::mem::swap(&mut now, &mut next);
        }
        accepted.extend(now.has(accept).then_some(at));
        accepted
    }

    /// Runs the pattern over `path`.
    fn run(&self, path: &[u8]) -> Outcome {
        let accept = self.steps.len();
        let mut now = States::new(accept);
        let mut next = States::new(accept);
        self.enter(&mut now, 0);
        for c in characters(path) {
            if now.is_empty() {
                return Outcome { accepted: false, reaches_below: false };
            }
            if c == Some('/') && now.has(accept) {
                return Outcome { accepted: true, reaches_below: true };
            }
            self.advance(&now, &mut next, c);
            std::mem::swap(&mut now, &mut next);
        }
        let accepted = now.has(accept);
        self.advance(&now, &mut next, Some('/'));
        Outcome { accepted, reaches_below: accepted || !next.is_empty() }
    }

    fn advance(&self, now: &States, next: &mut States, c: Option<char>) {
        next.clear();
        for (at, step) in self.steps.iter().enumerate() {
            if now.is_inside(at) {
                next.stay_inside(at);
                if c == Some('/') {
                    self.enter(next, at + 1);
                }
            }
            if !now.has(at) {
                continue;
            }
            match step {
                Step::Char(wanted) if c == Some(*wanted) => self.enter(next, at + 1),
                Step::One if c != Some('/') => self.enter(next, at + 1),
                Step::Star if c != Some('/') => self.enter(next, at),
                Step::Anything => self.enter(next, at),
                Step::Directories => {
                    next.stay_inside(at);
                    if c == Some('/') {
                        self.enter(next, at + 1);
                    }
                }
                Step::Class { negated, ranges } => {
                    let within = c.is_some_and(|c| ranges.iter().any(|&(low, high)| low <= c && c <= high));
                    if within != *negated {
                        self.enter(next, at + 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// Enters the state `at`, and those that follow it without a character.
    fn enter(&self, states: &mut States, mut at: usize) {
        loop {
            states.add(at);
            match self.steps.get(at) {
                Some(Step::Star | Step::Directories | Step::Anything) => at += 1,
                _ => return,
            }
        }
    }
}

struct Outcome {
    /// It matches the path or a directory above it.
    accepted: bool,
    /// It matches something below the path, or could.
    reaches_below: bool,
}

/// A set of states; `inside` are those in the middle of a [`Step::Directories`].
struct States {
    at: Vec<bool>,
    inside: Vec<bool>,
    any: bool,
}

impl States {
    fn new(accept: usize) -> Self {
        Self { at: vec![false; accept + 1], inside: vec![false; accept + 1], any: false }
    }

    fn add(&mut self, at: usize) {
        self.at[at] = true;
        self.any = true;
    }

    fn stay_inside(&mut self, at: usize) {
        self.inside[at] = true;
        self.any = true;
    }

    fn has(&self, at: usize) -> bool {
        self.at[at]
    }

    fn is_inside(&self, at: usize) -> bool {
        self.inside[at]
    }

    fn is_empty(&self) -> bool {
        !self.any
    }

    fn clear(&mut self) {
        self.at.fill(false);
        self.inside.fill(false);
        self.any = false;
    }
}

/// The characters of a path; a byte that is no UTF-8 is one character (`None`) that only a wildcard matches.
fn characters(path: &[u8]) -> impl Iterator<Item = Option<char>> {
    path.utf8_chunks()
        .flat_map(|chunk| chunk.valid().chars().map(Some).chain(std::iter::repeat_n(None, chunk.invalid().len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (patterns, path, left out?)
    const CASES: &[(&str, &str, bool)] = &[
        // Plain paths are anchored at the root of the context.
        ("foo", "foo", true),
        ("foo", "bar/foo", false),
        ("foo", "foobar", false),
        ("foo/bar", "foo/bar", true),
        ("foo/bar", "foo", false),
        // What lies in a directory that matches is out too.
        ("foo", "foo/bar/baz", true),
        ("f*", "foo/bar", true),
        ("foo/*", "foo/bar/baz", true),
        ("*/temp", "a/temp/b/c", true),
        // Slashes and dots around a pattern mean nothing.
        ("/foo", "foo", true),
        ("foo/", "foo", true),
        ("foo//bar", "foo/bar", true),
        ("./foo", "foo", true),
        ("foo/../bar", "bar", true),
        ("../foo", "foo", false),
        (".", "foo", false),
        ("/", "foo", false),
        ("  foo  ", "foo", true),
        ("\u{feff}foo", "foo", true),
        ("foo\r\nbar\r\n", "bar", true),
        // A comment only starts in the first column.
        ("#foo", "#foo", false),
        (" #foo", "#foo", true),
        ("\\#foo", "#foo", true),
        // `*` and `?` stay in a component.
        ("*", "a/b", true),
        ("*/b", "b", false),
        ("*/b", "a/b", true),
        ("*/b", "a/c/b", false),
        ("*.md", "README.md", true),
        ("*.md", "docs/README.md", false),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("a?c", "aéc", true),
        ("te*/x?.py", "tests/x1.py", true),
        // `**` crosses components.
        ("**", "a/b/c", true),
        ("**/*.pyc", "a.pyc", true),
        ("**/*.pyc", "a/b/c.pyc", true),
        ("**/foo", "foo", true),
        ("**/foo", "a/foo/b", true),
        ("**/foo", "afoo", false),
        ("**foo", "afoo", true),
        ("**foo", "b/afoo", true),
        ("**.md", "docs/a.md", true),
        ("**a/b", "xa/b", true),
        ("**a/b", "d/a/b/c", true),
        ("**a/b", "a/c", false),
        ("**foo*", "b/afoo1", false),
        ("foo/**", "foo", false),
        ("foo/**", "foo/a/b", true),
        ("foo**", "foobar/x", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "a/xb", false),
        ("**/a/**/b", "q/a/z/b/c", true),
        ("**/a/**", "q/a/z", true),
        ("**/**", "x", true),
        ("***", "a/b", true),
        // Classes and escapes.
        ("[a-c]x", "bx", true),
        ("[a-c]x", "dx", false),
        ("[^a-c]x", "dx", true),
        ("[^a-c]x", "ax", false),
        ("[!a]", "!", true),
        ("[\\]]", "]", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a\\?c", "abc", false),
        ("a.c", "abc", false),
        ("a+(b)|{c}$", "a+(b)|{c}$", true),
        // The last pattern that matches decides.
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n!README.md", "OTHER.md", true),
        ("!README.md\n*.md", "README.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
        ("docs\n!docs/keep", "docs/keep/x", false),
        ("docs\n!docs/keep", "docs/other", true),
        ("docs\n! docs/keep", "docs/keep", false),
        ("**\n!src/**/*.py", "src/a/b.py", false),
        ("**\n!src/**/*.py", "src/a/b.txt", true),
        ("*\n!/src", "src/x", false),
        ("*\n!src\nsrc/b", "src/b/c", true),
        ("src\n!src", "src/a", false),
        // BuildKit walks down: `!x` is not asked about `x`, which nothing left out.
        ("x/y\n!x", "x/y", true),
        ("x/y\n!x", "x/y/z", true),
        ("**/*.pyc\n!src", "src/a.pyc", true),
        ("**/*.pyc\n!src/**", "src/a.pyc", false),
        ("x\n!x/y\nx/y/z\n!x", "x/y/z", false),
        ("!!a", "a", false),
        ("", "foo", false),
    ];

    #[test]
    fn matches_as_buildkit_does() {
        for &(patterns, path, expected) in CASES {
            let ignore = Ignore::parse(patterns).unwrap();
            assert_eq!(ignore.matches(path), expected, "{patterns:?} on {path:?}");
        }
    }

    #[test]
    fn patterns_of_an_option_are_taken_as_they_are() {
        let matches =
            |patterns: &[&str], path: &str| Ignore::from_patterns(patterns.iter().copied()).unwrap().matches(path);
        assert!(matches(&["*.md"], "a.md") && matches(&[" docs/ ", ""], "docs/x") && matches(&["#x"], "#x"));
        assert!(!matches(&["/a"], "a") && !matches(&["*.md", "!a.md"], "a.md"));
        assert!(matches(&["**", "!a/*.md"], "a/b") && !matches(&["**", "!a/*.md"], "a/b.md"));
        assert_eq!(Ignore::from_patterns(["a", "!"]).unwrap_err().line, 2);
        assert!(Ignore::from_patterns(["["]).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_match_wildcards_only() {
        let matches = |pattern: &str| Ignore::parse(pattern).unwrap().matches(b"a\xff");
        assert!(matches("a?") && matches("a*") && matches("a[^b]") && !matches("aÿ") && !matches("a[a-z]"));
    }

    #[test]
    fn a_directory_is_pruned_only_when_nothing_in_it_can_come_back() {
        let cases = [
            (".venv", ".venv", true),
            (".venv\n!README.md", ".venv", true),
            ("docs\n!docs/keep.md", "docs", false),
            ("docs\n!docs/a/keep.md", "docs/b", true),
            ("docs\n!docs/a/keep.md", "docs/a", false),
            ("docs\n!**/keep.md", "docs/b", false),
            ("docs\n!*.md", "docs", true),
            ("docs\n!*/keep.md", "docs", false),
            ("docs\n!*/keep.md", "docs/b", true),
            ("**\n!src", "src", false),
            ("**\n!src", "lib", true),
            ("foo/**", "foo", false),
            ("foo/**", "foo/a", true),
        ];
        for (patterns, directory, expected) in cases {
            assert_eq!(Ignore::parse(patterns).unwrap().prunes(directory), expected, "{patterns:?} at {directory:?}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused_with_their_line() {
        for bad in ["[", "[]a]", "[-x]", "[x-]", "[a-b-c]", "[^", "[^bc", "a[", "\\", "!", "!/", "[z-a]", "[a\\"] {
            let error = Ignore::parse(&format!("# comment\n\n{bad}\n")).unwrap_err();
            assert_eq!((error.line, error.pattern.as_str()), (3, bad));
        }
    }

    #[test]
    fn hostile_patterns_take_linear_time() {
        let ignore = Ignore::parse(&"**/*a".repeat(200)).unwrap();
        assert!(!ignore.matches("ab/".repeat(500) + "ab"));
    }
}
