//! The patterns of `${x#…}`, `${x%…}` and `${x/…/…}`: `*`, `?` and `\`, without brackets (POSIX, Shell Command Language, 2.14).
//!
//! As in BuildKit neither `*` nor `?` goes past the end of a line. A pattern runs as a set of states, so that no pattern takes
//! more time than its length times that of the text.

/// A compiled pattern.
pub(super) struct Pattern {
    steps: Vec<Step>,
}

#[derive(Clone, Copy)]
enum Step {
    Char(char),
    One,
    Star,
}

impl Pattern {
    /// The pattern, or what follows a `\` that may not (`None`: nothing does).
    pub(super) fn parse(pattern: &str) -> Result<Self, Option<char>> {
        let mut steps = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            steps.push(match c {
                '*' => Step::Star,
                '?' => Step::One,
                '\\' => match rest.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Step::Char(escaped),
                    other => return Err(other),
                },
                c => Step::Char(c),
            });
        }
        Ok(Self { steps })
    }

    /// `value` without what the pattern matches at its start: the longest match if `greedy`, or the shortest.
    pub(super) fn trim_start<'v>(&self, value: &'v str, greedy: bool) -> &'v str {
        &value[matched(&self.steps, value.chars(), greedy).unwrap_or(0)..]
    }

    /// `value` without what the pattern matches at its end.
    pub(super) fn trim_end<'v>(&self, value: &'v str, greedy: bool) -> &'v str {
        let reversed: Vec<Step> = self.steps.iter().rev().copied().collect();
        &value[..value.len() - matched(&reversed, value.chars().rev(), greedy).unwrap_or(0)]
    }

    /// `value` with the first match, or all of them, replaced by `text`; `None` if that is longer than `limit` bytes.
    /// The leftmost match counts, as long as it can be. An empty one behind another match is none.
    pub(super) fn replace(&self, value: &str, text: &str, all: bool, limit: usize) -> Option<String> {
        let mut replaced = String::new();
        let mut at = 0;
        let mut behind_match = false;
        loop {
            let rest = &value[at..];
            let length = matched(&self.steps, rest.chars(), true).filter(|&length| length > 0 || !behind_match);
            if length.is_some() {
                replaced.push_str(text);
            }
            if replaced.len() > limit {
                return None;
            }
            if length.is_some() && !all {
                replaced.push_str(&rest[length.unwrap_or(0)..]);
                return Some(replaced);
            }
            match length {
                Some(length) if length > 0 => {
                    at += length;
                    behind_match = true;
                }
                _ => {
                    let Some(c) = rest.chars().next() else { return Some(replaced) };
                    replaced.push(c);
                    at += c.len_utf8();
                    behind_match = false;
                }
            }
        }
    }
}

/// The number of bytes of the longest, or the shortest, run of characters from the first on that `steps` match.
fn matched(steps: &[Step], text: impl Iterator<Item = char>, longest: bool) -> Option<usize> {
    let mut now = vec![false; steps.len() + 1];
    let mut next = now.clone();
    enter(steps, &mut now, 0);
    let mut length = 0;
    let mut found = now[steps.len()].then_some(0);
    for c in text {
        if found.is_some() && !longest {
            break;
        }
        next.fill(false);
        for (at, step) in steps.iter().enumerate().filter(|&(at, _)| now[at]) {
            match step {
                Step::Char(wanted) if *wanted == c => enter(steps, &mut next, at + 1),
                Step::One if c != '\n' => enter(steps, &mut next, at + 1),
                Step::Star if c != '\n' => enter(steps, &mut next, at),
                _ => {}
            }
        }
        std::mem::swap(&mut now, &mut next);
        if !now.contains(&true) {
            break;
        }
        length += c.len_utf8();
        if now[steps.len()] {
            found = Some(length);
        }
    }
    found
}

/// Enters the state `at`, and those that a `*` may skip to.
fn enter(steps: &[Step], states: &mut [bool], mut at: usize) {
    states[at] = true;
    while let Some(Step::Star) = steps.get(at) {
        at += 1;
        states[at] = true;
    }
}
