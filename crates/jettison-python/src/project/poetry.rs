//! Poetry's own constraints, as PEP 440 and PEP 508 say them.

use std::collections::BTreeMap;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier, VersionSpecifiers};
use serde::Deserialize;

use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::requirement::{Constraint, Requirement};

/// Parses a constraint such as `^1.2`, `~1.2`, `1.2.*`, `>=1,<2 || ^3`: what stands between `||`, each as specifiers.
pub fn parse_constraint(text: &str) -> Result<Vec<VersionSpecifiers>, String> {
    text.split("||").flat_map(|part| part.split('|')).map(|part| parse_all(part, text)).collect()
}

/// The specifiers of one alternative: terms with commas or spaces between, all of which must hold.
fn parse_all(part: &str, whole: &str) -> Result<VersionSpecifiers, String> {
    let mut specifiers = Vec::new();
    let mut term = String::new();
    let is_operator = |c: char| "<>=!~^".contains(c);
    // A space between an operator and its version belongs to the term.
    for c in part.chars().chain([',']) {
        match c {
            c if (c.is_whitespace() && !term.is_empty() && !term.ends_with(is_operator)) || c == ',' => {
                specifiers.extend(parse_term(&std::mem::take(&mut term), whole)?);
            }
            c if c.is_whitespace() => {}
            c => term.push(c),
        }
    }
    Ok(specifiers.into_iter().collect())
}

fn parse_term(term: &str, whole: &str) -> Result<Vec<VersionSpecifier>, String> {
    let error = || format!("`{whole}` is no version constraint");
    let specifier = |text: String| VersionSpecifier::from_str(&text).map_err(|_| error());
    let version = |text: &str| Version::from_str(text).map_err(|_| error());
    if matches!(term, "" | "*" | "==*" | ">=*") {
        return Ok(Vec::new());
    }
    if let Some(base) = term.strip_prefix('^') {
        let low = version(base)?;
        let release = low.release();
        let significant = release.iter().position(|&part| part != 0).unwrap_or(release.len() - 1);
        let high = bump(release, significant);
        return Ok(vec![specifier(format!(">={low}"))?, specifier(format!("<{high}"))?]);
    }
    if let Some(base) = term.strip_prefix('~').filter(|rest| !rest.starts_with('=')) {
        let low = version(base)?;
        let high = bump(low.release(), usize::from(low.release().len() > 1));
        return Ok(vec![specifier(format!(">={low}"))?, specifier(format!("<{high}"))?]);
    }
    let text = match term.strip_prefix('=').filter(|rest| !rest.starts_with('=')) {
        Some(rest) => format!("=={rest}"),
        None if term.starts_with(|c: char| c.is_ascii_digit() || c == 'v') => format!("=={term}"),
        None => term.to_owned(),
    };
    let text = match text.strip_suffix(".*") {
        Some(base) if !text.starts_with("==") && !text.starts_with("!=") => base.to_owned(),
        _ => text,
    };
    Ok(vec![specifier(text)?])
}

/// The release with part `index` counted up and what follows cut off.
fn bump(release: &[u64], index: usize) -> String {
    let parts = release.iter().take(index + 1).enumerate().map(|(at, &part)| if at == index { part + 1 } else { part });
    parts.map(|part| part.to_string()).collect::<Vec<_>>().join(".")
}

/// A value in `[tool.poetry.dependencies]`, a Poetry group, or a Pipfile.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Dependency {
    /// `name = "^1.2"`.
    Version(String),
    /// `name = { … }`.
    Table(Box<DependencyTable>),
    /// `name = [{ … }, { … }]`: different constraints under different markers.
    Alternatives(Vec<DependencyTable>),
}

/// One table of a [`Dependency`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are Poetry's and Pipenv's keys")]
pub struct DependencyTable {
    pub version: Option<String>,
    pub extras: Vec<String>,
    pub optional: bool,
    pub python: Option<String>,
    pub platform: Option<String>,
    #[serde(alias = "marker")]
    pub markers: Option<String>,
    pub source: Option<String>,
    pub index: Option<String>,
    pub git: Option<String>,
    pub branch: Option<String>,
    pub tag: Option<String>,
    pub rev: Option<String>,
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    pub subdirectory: Option<String>,
    pub path: Option<String>,
    pub file: Option<String>,
    pub url: Option<String>,
    #[serde(alias = "editable")]
    pub develop: bool,
    pub sys_platform: Option<String>,
    pub os_name: Option<String>,
    pub python_version: Option<String>,
    pub platform_machine: Option<String>,
    pub platform_system: Option<String>,
    pub platform_python_implementation: Option<String>,
    pub implementation_name: Option<String>,
}

impl Dependency {
    /// The tables that it consists of.
    pub fn tables(&self) -> Vec<DependencyTable> {
        match self {
            Self::Version(version) => vec![DependencyTable { version: Some(version.clone()), ..Default::default() }],
            Self::Table(table) => vec![(**table).clone()],
            Self::Alternatives(tables) => tables.clone(),
        }
    }

    /// Whether only an extra brings it in.
    pub fn is_optional(&self) -> bool {
        self.tables().iter().any(|table| table.optional)
    }

    /// The same as requirements. A union of versions (`||`) has no form in PEP 440: its hull is taken, and an error if it
    /// has none.
    pub fn requirements(&self, name: &str) -> Result<Vec<Requirement>, String> {
        let name = NormalizedName::parse(name).map_err(|e| e.to_string())?;
        self.tables().iter().map(|table| table.requirement(&name)).collect()
    }
}

impl DependencyTable {
    fn requirement(&self, name: &NormalizedName) -> Result<Requirement, String> {
        let extras = self.extras.iter().map(|extra| NormalizedName::parse(extra));
        let extras = extras.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let constraint = match self.direct() {
            Some(url) => Constraint::Url(url),
            None => {
                let text = self.version.as_deref().unwrap_or("*");
                let alternatives = parse_constraint(text)?;
                Constraint::Versions(hull(&alternatives).ok_or_else(|| {
                    format!("`{text}` for {name} is a union of versions, which a resolver cannot be given")
                })?)
            }
        };
        Ok(Requirement { name: name.clone(), extras, constraint, marker: self.marker()? })
    }

    /// The URL or path, where it is a direct reference.
    fn direct(&self) -> Option<String> {
        if let Some(git) = &self.git {
            let revision = [&self.rev, &self.tag, &self.branch, &self.reference].into_iter().find_map(Option::as_ref);
            let scp = (!git.contains("://")).then(|| git.split_once(':')).flatten();
            let mut url = match scp {
                Some((host, path)) => format!("git+ssh://{host}/{path}"),
                None => format!("git+{git}"),
            };
            if let Some(revision) = revision {
                url.push_str(&format!("@{revision}"));
            }
            if let Some(subdirectory) = &self.subdirectory {
                url.push_str(&format!("#subdirectory={subdirectory}"));
            }
            return Some(url);
        }
        if let Some(path) = &self.path {
            let is_marked = path.starts_with(['.', '/']);
            return Some(if is_marked { path.clone() } else { format!("./{path}") });
        }
        self.url.clone().or_else(|| self.file.clone())
    }

    fn marker(&self) -> Result<Marker, String> {
        let mut terms = Vec::new();
        if let Some(markers) = &self.markers {
            terms.push(markers.clone());
        }
        if let Some(python) = &self.python {
            terms.extend(python_marker(python)?);
        }
        if let Some(platform) = &self.platform {
            let platforms: Vec<_> =
                platform.split('|').map(|p| p.trim_matches([' ', '|'])).filter(|p| !p.is_empty()).collect();
            terms.push(platforms.iter().map(|p| format!("sys_platform == '{p}'")).collect::<Vec<_>>().join(" or "));
        }
        // Pipenv: `sys_platform = "== 'win32'"`.
        for (variable, value) in [
            ("sys_platform", &self.sys_platform),
            ("os_name", &self.os_name),
            ("python_version", &self.python_version),
            ("platform_machine", &self.platform_machine),
            ("platform_system", &self.platform_system),
            ("platform_python_implementation", &self.platform_python_implementation),
            ("implementation_name", &self.implementation_name),
        ] {
            terms.extend(value.as_ref().map(|value| format!("{variable} {value}")));
        }
        let mut whole = Marker::default();
        for term in terms.iter().filter(|term| !term.trim().is_empty()) {
            whole = whole.and(Marker::parse(term).map_err(|e| e.to_string())?);
        }
        Ok(whole)
    }
}

/// `python = ">=3.8,<3.12"` as a marker; `None` where every version will do.
pub(crate) fn python_marker(text: &str) -> Result<Option<String>, String> {
    let term = |specifier: &VersionSpecifier| {
        let text = specifier.to_string();
        let split = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        format!("python_full_version {} '{}'", &text[..split].trim(), &text[split..])
    };
    let alternatives: Vec<String> = parse_constraint(text)?
        .iter()
        .map(|specifiers| specifiers.iter().map(term).collect::<Vec<_>>().join(" and "))
        .collect();
    if alternatives.iter().any(String::is_empty) {
        return Ok(None);
    }
    Ok(Some(alternatives.join(" or ")))
}

/// One set of specifiers for a union. A union of ranges that only leave gaps keeps its lowest lower bound and its highest upper
/// bound: a resolver takes the newest, which the last alternative allows.
fn hull(alternatives: &[VersionSpecifiers]) -> Option<VersionSpecifiers> {
    let [first, .., last] = alternatives else { return alternatives.first().cloned() };
    let lower = first.iter().find(|s| s.to_string().starts_with('>'));
    let upper = last.iter().find(|s| s.to_string().starts_with('<'));
    let opens = first.iter().all(|s| s.to_string().starts_with(['>', '<']));
    let ends = last.iter().all(|s| s.to_string().starts_with(['>', '<']));
    (opens && ends).then(|| lower.into_iter().chain(upper).cloned().collect())
}

/// Poetry's groups and its main dependencies as requirements, without `python`.
pub(super) fn requirements(
    table: &BTreeMap<String, Dependency>,
    optional: bool,
) -> Result<Vec<Requirement>, (String, String)> {
    let mut requirements = Vec::new();
    for (name, dependency) in table {
        if name == "python" || dependency.is_optional() != optional {
            continue;
        }
        requirements.extend(dependency.requirements(name).map_err(|what| (name.clone(), what))?);
    }
    Ok(requirements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_as_pep_440_says_them() {
        for (text, expected) in [
            ("^1.2.3", ">=1.2.3, <2"),
            ("^0.2.3", ">=0.2.3, <0.3"),
            ("^0.0.3", ">=0.0.3, <0.0.4"),
            ("^0.0", ">=0.0, <0.1"),
            ("^0", ">=0, <1"),
            ("^2.0b1", ">=2.0b1, <3"),
            ("~1.2.3", ">=1.2.3, <1.3"),
            ("~1.2", ">=1.2, <1.3"),
            ("~1", ">=1, <2"),
            ("~=1.2", "~=1.2"),
            ("1.2.*", "==1.2.*"),
            ("1.2", "==1.2"),
            ("=1.2", "==1.2"),
            ("*", ""),
            ("", ""),
            (">= 1.2, < 2", ">=1.2, <2"),
            (">=1.2 <2", ">=1.2, <2"),
            (">=3.8.*", ">=3.8"),
            ("!=1.5.*", "!=1.5.*"),
            ("^2 || ^3", ">=2, <3 | >=3, <4"),
            ("<2|>3", "<2 | >3"),
        ] {
            let parsed = parse_constraint(text).unwrap();
            let shown: Vec<_> =
                parsed.iter().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")).collect();
            assert_eq!(shown.join(" | "), expected, "{text}");
        }
        for bad in ["^", "^x", ">>1", "1..2", "latest"] {
            assert!(parse_constraint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dependencies_become_requirements() {
        let table: BTreeMap<String, Dependency> = toml::from_str(
            r#"
            a = "^1.0"
            b = { version = "*", extras = ["x"], python = "^3.9", platform = "linux" }
            c = { git = "https://h/c.git", tag = "v1", subdirectory = "py" }
            d = { git = "git@github.com:o/d.git" }
            e = { path = "../e", develop = true }
            f = [{ version = "1.0", python = "<3.12" }, { version = "2.0", python = ">=3.12" }]
            g = { url = "https://h/g.whl", markers = "os_name == 'posix'" }
            h = { version = "*", sys_platform = "== 'win32'" }
            i = "^2 || ^4"
            "#,
        )
        .unwrap();
        let shown: Vec<_> = requirements(&table, false).unwrap().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        a>=1.0,<2
        b[x] ; (python_full_version >= "3.9" and python_full_version < "4") and sys_platform == "linux"
        c @ git+https://h/c.git@v1#subdirectory=py
        d @ git+ssh://git@github.com/o/d.git
        e @ ../e
        f==1.0 ; python_full_version < "3.12"
        f==2.0 ; python_full_version >= "3.12"
        g @ https://h/g.whl ; os_name == "posix"
        h ; sys_platform == "win32"
        i>=2,<5
        "#);
    }
}
