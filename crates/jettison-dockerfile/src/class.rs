//! `[a-z]` in wildcards, by the grammar of Go's `filepath.Match`. What a range means that runs backwards is the business of who matches.

use std::iter::Peekable;
use std::str::Chars;

/// The ranges of a `[…]`, from behind the `[` or `[^` up to the `]`. The error says what is wrong with the pattern.
pub fn ranges(rest: &mut Peekable<Chars<'_>>) -> Result<Vec<(char, char)>, &'static str> {
    const OPEN: &str = "has a `[` without its `]`";
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Ok(ranges);
        }
        let mut bound = || match rest.next() {
            None => Err(OPEN),
            Some(']') => Err("has `[]`, or a range without its end"),
            Some('-') => Err("has a `-` at the edge of `[…]`"),
            Some('\\') => rest.next().ok_or(OPEN),
            Some(c) => Ok(c),
        };
        let low = bound()?;
        let high = if rest.next_if_eq(&'-').is_some() {
            match rest.next() {
                None => return Err(OPEN),
                Some(']' | '-') => return Err("has a range without its end"),
                Some('\\') => rest.next().ok_or(OPEN)?,
                Some(c) => c,
            }
        } else {
            low
        };
        ranges.push((low, high));
    }
}
