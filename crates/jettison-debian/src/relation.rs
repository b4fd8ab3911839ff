//! Relations between packages (Policy 7.1): `a (>= 1) | b:any, c [linux-any] <!nocheck>`.

use std::fmt;

use crate::Architecture;
use crate::version;

/// Packages of which any one will do, in order of preference. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternatives<'a>(pub Vec<Relation<'a>>);

/// One package that is related to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package, real or virtual.
    pub name: &'a str,
    /// What follows the name's colon: `any`, `native`, or an architecture.
    pub qualifier: Option<&'a str>,
    /// Which versions of it.
    pub version: Option<(Comparison, &'a str)>,
    /// `[amd64 !i386]`, for build relations.
    pub architectures: Vec<Term<'a>>,
    /// `<!nocheck stage1> <cross>`, for build relations: any one list has to hold, and a list holds if all of it does.
    pub profiles: Vec<Vec<Term<'a>>>,
}

/// A word in a restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term<'a> {
    /// Whether a `!` stands before it.
    pub negated: bool,
    /// The architecture, wildcard or profile.
    pub word: &'a str,
}

/// How a version has to compare with the one of the relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Comparison {
    /// The operator.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    /// Whether `candidate` compares so with `wanted`.
    pub fn holds(self, candidate: &str, wanted: &str) -> bool {
        let order = version::compare(candidate, wanted);
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

impl<'a> Relation<'a> {
    /// Any version of a package.
    pub fn any(name: &'a str) -> Self {
        Self { name, qualifier: None, version: None, architectures: Vec::new(), profiles: Vec::new() }
    }

    /// Whether a package of this version is meant.
    pub fn accepts(&self, candidate: &str) -> bool {
        self.version.is_none_or(|(comparison, wanted)| comparison.holds(candidate, wanted))
    }

    /// Whether the relation counts on an architecture with these build profiles.
    pub fn applies(&self, architecture: Architecture, profiles: &[&str]) -> bool {
        // A list of architectures is all negated or not at all (Policy 7.1), so that one rule covers both.
        let named = self.architectures.iter().any(|term| architecture.matches(term.word));
        let negated = self.architectures.first().is_some_and(|term| term.negated);
        let here = self.architectures.is_empty() || named != negated;
        let holds = |list: &Vec<Term<'_>>| list.iter().all(|term| profiles.contains(&term.word) != term.negated);
        here && (self.profiles.is_empty() || self.profiles.iter().any(holds))
    }
}

/// Parses the value of `Depends` or a field like it. Empty members, such as after a last comma, are skipped as `dpkg` does.
pub fn parse(text: &str) -> Result<Vec<Alternatives<'_>>, RelationError> {
    let member = |member: &str| !member.trim().is_empty();
    text.split(',').filter(|part| member(part)).map(parse_alternatives).collect()
}

/// Parses one member of such a list, `a | b`.
pub fn parse_alternatives(text: &str) -> Result<Alternatives<'_>, RelationError> {
    text.split('|').map(|part| parse_relation(part.trim())).collect::<Result<_, _>>().map(Alternatives)
}

fn parse_relation(text: &str) -> Result<Relation<'_>, RelationError> {
    let error = |why| RelationError { text: text.to_owned(), why };
    let end = text.find(|c: char| c.is_ascii_whitespace() || matches!(c, '(' | '[' | '<')).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    };
    if !is_name(name) {
        return Err(error("it does not start with the name of a package"));
    }
    if qualifier.is_some_and(|q| q.is_empty() || !q.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) {
        return Err(error("what follows the colon is not an architecture"));
    }
    let mut relation = Relation { qualifier, ..Relation::any(name) };
    loop {
        rest = rest.trim_start();
        let Some(open) = rest.chars().next() else { return Ok(relation) };
        let (close, unclosed) = match open {
            '(' => (')', "`(` is not closed"),
            '[' => (']', "`[` is not closed"),
            '<' => ('>', "`<` is not closed"),
            _ => return Err(error("expected `(`, `[` or `<` after the name")),
        };
        let (inside, after) = rest[1..].split_once(close).ok_or(error(unclosed))?;
        rest = after;
        match open {
            '(' if relation.version.is_none() => relation.version = Some(parse_version(inside.trim()).map_err(error)?),
            '[' if relation.architectures.is_empty() => relation.architectures = terms(inside).map_err(error)?,
            '<' => relation.profiles.push(terms(inside).map_err(error)?),
            _ => return Err(error("the same restriction stands twice")),
        }
    }
}

/// Whether it is a package name (Policy 5.6.1), or one of the upper-case ones that old archives have.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
}

fn parse_version(text: &str) -> Result<(Comparison, &str), &'static str> {
    let end = text.find(|c| !matches!(c, '<' | '=' | '>')).unwrap_or(text.len());
    let (operator, version) = text.split_at(end);
    let version = version.trim();
    if version.is_empty() || version.contains(|c: char| c.is_whitespace() || matches!(c, '(' | '<' | '>' | '=')) {
        return Err("there is no version in the parentheses");
    }
    let comparison = match operator {
        "<<" => Comparison::Earlier,
        // `<` and `>` once meant what they do not say; dpkg still reads them so.
        "<=" | "<" => Comparison::EarlierOrEqual,
        "=" | "" => Comparison::Equal,
        ">=" | ">" => Comparison::LaterOrEqual,
        ">>" => Comparison::Later,
        _ => return Err("expected one of `<<`, `<=`, `=`, `>=` and `>>` before the version"),
    };
    Ok((comparison, version))
}

fn terms(text: &str) -> Result<Vec<Term<'_>>, &'static str> {
    let terms: Vec<_> = text
        .split_ascii_whitespace()
        .map(|word| match word.strip_prefix('!') {
            Some(word) => Term { negated: true, word },
            None => Term { negated: false, word },
        })
        .collect();
    match terms.iter().any(|term| term.word.is_empty()) || terms.is_empty() {
        true => Err("a restriction is empty"),
        false => Ok(terms),
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((comparison, version)) = self.version {
            write!(f, " ({} {version})", comparison.as_str())?;
        }
        let list = |terms: &[Term<'_>]| {
            let words: Vec<_> =
                terms.iter().map(|t| format!("{}{}", if t.negated { "!" } else { "" }, t.word)).collect();
            words.join(" ")
        };
        if !self.architectures.is_empty() {
            write!(f, " [{}]", list(&self.architectures))?;
        }
        self.profiles.iter().try_for_each(|profile| write!(f, " <{}>", list(profile)))
    }
}

impl fmt::Display for Alternatives<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, relation) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { " | " };
            write!(f, "{separator}{relation}")?;
        }
        Ok(())
    }
}

/// The text is not a relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a relation between packages: {why}", text.escape_debug())]
pub struct RelationError {
    text: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> String {
        let printed: Vec<_> = parse(text).unwrap().iter().map(ToString::to_string).collect();
        printed.join(", ")
    }

    #[test]
    fn relations_print_as_they_are_meant() {
        for (text, canonical) in [
            ("libc6 (>= 2.36), libssl3", "libc6 (>= 2.36), libssl3"),
            ("python3:any(>=3.11~) | python3.11:any ,", "python3:any (>= 3.11~) | python3.11:any"),
            ("a\n (= 1:2-3),\n b (<< 2)", "a (= 1:2-3), b (<< 2)"),
            ("a (< 1), b (> 1), c (1)", "a (<= 1), b (>= 1), c (= 1)"),
            ("g++ [!amd64 !i386] <!nocheck cross> <stage1>", "g++ [!amd64 !i386] <!nocheck cross> <stage1>"),
            ("", ""),
        ] {
            assert_eq!(print(text), canonical);
            assert_eq!(print(canonical), canonical);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "| a",
            "a |",
            "(>= 1)",
            "a (>= )",
            "a (== 1)",
            "a (>= 1",
            "a b",
            "a [",
            "a []",
            "a <!>",
            "a:",
            "a (= 1) (= 2)",
            "ä",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            parse("b, a (>= 1").unwrap_err().to_string(),
            "`a (>= 1` is not a relation between packages: `(` is not closed"
        );
    }

    #[test]
    fn restrictions_hold_where_they_should() {
        for (text, profiles, applies) in [
            ("a", &[][..], true),
            ("a [amd64 arm64]", &[], true),
            ("a [linux-any]", &[], true),
            ("a [i386]", &[], false),
            ("a [!amd64 !i386]", &[], false),
            ("a [!i386]", &[], true),
            ("a <!nocheck>", &[], true),
            ("a <!nocheck>", &["nocheck"], false),
            ("a <stage1 cross> <pkg.a.x>", &["pkg.a.x"], true),
            ("a <stage1 cross>", &["cross"], false),
        ] {
            assert_eq!(parse(text).unwrap()[0].0[0].applies(Architecture::Amd64, profiles), applies, "{text}");
        }
    }
}
