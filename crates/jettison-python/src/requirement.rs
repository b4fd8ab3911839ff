//! One dependency specifier (PEP 508): `name[extra] >=1,<2 ; marker` or `name @ url ; marker`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::scan::{Pep508Error, Scanner, printable};

/// A dependency as metadata, project files and requirements files spell it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The distribution.
    pub name: NormalizedName,
    /// The extras asked of it.
    pub extras: BTreeSet<NormalizedName>,
    /// Which of its releases will do.
    pub constraint: Constraint,
    /// Where it is needed.
    pub marker: Marker,
}

/// Which release of a distribution will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Constraint {
    /// One that these specifiers allow; without any, every one (PEP 440).
    Versions(VersionSpecifiers),
    /// The one at this URL, word for word: nothing in it is expanded or resolved.
    Url(String),
}

impl Requirement {
    /// Parses one specifier. Versions may stand in parentheses, as old metadata has them.
    pub fn parse(text: &str) -> Result<Self, Pep508Error> {
        let mut scanner = Scanner::new(text)?;
        scanner.skip_space();
        let name = name(&mut scanner)?;
        scanner.skip_space();
        let extras = extras(&mut scanner)?;
        scanner.skip_space();
        let constraint = if scanner.eat("@") { url(&mut scanner)? } else { versions(&mut scanner)? };
        scanner.skip_space();
        if scanner.peek().is_some() && !scanner.eat(";") {
            return Err(scanner.error(format!("expected `;` or the end, found {}", scanner.found())));
        }
        let marker_at = scanner.at();
        let marker = Marker::scan(&mut scanner)?;
        if marker.is_empty() && text[..marker_at].trim_end().ends_with(';') && constraint.is_versions() {
            return Err(scanner.error("expected a marker after `;`, found the end"));
        }
        Ok(Self { name, extras, constraint, marker })
    }

    /// Whether this release will do. A URL decides by itself: then every version will.
    pub fn allows(&self, version: &Version) -> bool {
        match &self.constraint {
            Constraint::Versions(specifiers) => specifiers.contains(version),
            Constraint::Url(_) => true,
        }
    }

    /// The URL of a direct reference.
    pub fn url(&self) -> Option<&str> {
        match &self.constraint {
            Constraint::Url(url) => Some(url),
            Constraint::Versions(_) => None,
        }
    }
}

impl Constraint {
    fn is_versions(&self) -> bool {
        matches!(self, Self::Versions(_))
    }
}

fn name(scanner: &mut Scanner<'_>) -> Result<NormalizedName, Pep508Error> {
    let at = scanner.at();
    let raw = scanner.take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if raw.is_empty() {
        return Err(scanner.error(format!("expected a name, found {}", scanner.found())));
    }
    NormalizedName::parse(raw).map_err(|e| scanner.error_at(at, e.to_string()))
}

fn extras(scanner: &mut Scanner<'_>) -> Result<BTreeSet<NormalizedName>, Pep508Error> {
    let mut extras = BTreeSet::new();
    if !scanner.eat("[") {
        return Ok(extras);
    }
    scanner.skip_space();
    while !scanner.eat("]") {
        extras.insert(name(scanner)?);
        scanner.skip_space();
        if !scanner.rest().starts_with(']') && !scanner.eat(",") {
            return Err(scanner.error(format!("expected `,` or `]` after an extra, found {}", scanner.found())));
        }
        scanner.skip_space();
    }
    Ok(extras)
}

fn url(scanner: &mut Scanner<'_>) -> Result<Constraint, Pep508Error> {
    scanner.skip_space();
    // A `;` belongs to the URL unless a space stands before it.
    let url = scanner.take_while(|c| !c.is_whitespace());
    if url.is_empty() || url == ";" {
        return Err(scanner.error("expected a URL after `@`"));
    }
    Ok(Constraint::Url(url.to_owned()))
}

fn versions(scanner: &mut Scanner<'_>) -> Result<Constraint, Pep508Error> {
    let parenthesised = scanner.eat("(");
    let at = scanner.at();
    let text = scanner.take_while(|c| c != ';' && !(parenthesised && c == ')')).trim();
    if !text.is_empty() && !text.starts_with(['<', '>', '=', '!', '~']) {
        return Err(scanner.error_at(at, format!("expected a version such as `>=1.0`, found `{}`", printable(text))));
    }
    // A trailing comma says nothing, and metadata in the wild has it.
    let text = text.strip_suffix(',').unwrap_or(text);
    let specifiers = VersionSpecifiers::from_str(text).map_err(|e| {
        let text = e.to_string();
        let line = text.lines().next().unwrap_or_default();
        scanner.error_at(at, line.strip_prefix("Failed to parse version: ").unwrap_or(line).trim_end_matches(':'))
    })?;
    if parenthesised && !scanner.eat(")") {
        return Err(scanner.error(format!("expected `)`, found {}", scanner.found())));
    }
    Ok(Constraint::Versions(specifiers))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (i, extra) in self.extras.iter().enumerate() {
            write!(f, "{}{extra}", if i == 0 { '[' } else { ',' })?;
        }
        f.write_str(if self.extras.is_empty() { "" } else { "]" })?;
        match &self.constraint {
            Constraint::Versions(specifiers) if specifiers.is_empty() => {}
            Constraint::Versions(specifiers) => {
                let specifiers: Vec<_> = specifiers.iter().map(ToString::to_string).collect();
                f.write_str(&specifiers.join(","))?;
            }
            Constraint::Url(url) => write!(f, " @ {url}")?,
        }
        if self.marker.is_empty() { Ok(()) } else { write!(f, " ; {}", self.marker) }
    }
}

impl FromStr for Requirement {
    type Err = Pep508Error;

    fn from_str(text: &str) -> Result<Self, Pep508Error> {
        Self::parse(text)
    }
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_print_as_they_parse() {
        for (text, printed) in [
            ("A", "a"),
            ("A.B-C_D", "a-b-c-d"),
            ("name>=3", "name>=3"),
            ("name>=3,<4 ", "name>=3,<4"),
            ("name (>=3,<4)", "name>=3,<4"),
            ("name ( )", "name"),
            ("name>=3,", "name>=3"),
            ("name [quux,Strange_Extra] ~= 2.1 ; os_name=='nt'", "name[quux,strange-extra]~=2.1 ; os_name == \"nt\""),
            ("name[]", "name"),
            ("name@http://foo.com/a;b", "name @ http://foo.com/a;b"),
            ("name [x] @ file:///a#egg=b ; extra == 'y'", "name[x] @ file:///a#egg=b ; extra == \"y\""),
            ("name==1.*; python_version<'3'", "name==1.* ; python_version < \"3\""),
            ("name===weird-1", "name===weird-1"),
        ] {
            match Requirement::parse(text) {
                Ok(parsed) => {
                    assert_eq!(parsed.to_string(), printed, "{text}");
                    assert_eq!(Requirement::parse(printed).unwrap(), parsed);
                }
                Err(e) => assert_eq!(text, "name===weird-1", "{e}"),
            }
        }
    }

    #[test]
    fn what_is_no_specifier_is_refused_with_a_column() {
        let errors: Vec<_> = [
            "",
            "-x",
            "name 1.0",
            "name >= ",
            "name[a",
            "name[,a]",
            "name[a b]",
            "name @",
            "name>=1 foo",
            "name (>=1",
            "name;",
            "name; foo == 'x'",
            "name>=1.0.*",
            "näme",
        ]
        .iter()
        .map(|bad| Requirement::parse(bad).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        expected a name, found the end, at column 1 of ``
        `-x` is not a valid name: letters, digits, `-`, `_` and `.`, with a letter or digit at each end, at column 1 of `-x`
        expected a version such as `>=1.0`, found `1.0`, at column 6 of `name 1.0`
        Unexpected end of version specifier, expected version, at column 6 of `name >= `
        expected `,` or `]` after an extra, found the end, at column 7 of `name[a`
        expected a name, found `,`, at column 6 of `name[,a]`
        expected `,` or `]` after an extra, found `b`, at column 8 of `name[a b]`
        expected a URL after `@`, at column 7 of `name @`
        Trailing `foo` is not allowed, at column 5 of `name>=1 foo`
        expected `)`, found the end, at column 10 of `name (>=1`
        expected a marker after `;`, found the end, at column 6 of `name;`
        `foo` is no marker variable, at column 7 of `name; foo == 'x'`
        Operator >= cannot be used with a wildcard version specifier, at column 5 of `name>=1.0.*`
        `näme` is not a valid name: letters, digits, `-`, `_` and `.`, with a letter or digit at each end, at column 1 of `näme`
        "#);
    }

    #[test]
    fn versions_and_urls_decide() {
        let parse = |text| Requirement::parse(text).unwrap();
        let version = |text: &str| Version::from_str(text).unwrap();
        assert!(parse("a>=1,!=1.5").allows(&version("1.4")) && !parse("a>=1,!=1.5").allows(&version("1.5")));
        assert!(parse("a @ https://x/a.whl").allows(&version("9")));
        assert_eq!(parse("a @ https://x/a.whl").url(), Some("https://x/a.whl"));
    }
}
