//! What a package manager is given to install.

use super::grammar::Notation;
use std::ops::Range;

/// A package, a file of requirements, a directory: what an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// What it is.
    pub kind: OperandKind,
    /// All of it as the manager sees it, with expansions as they are written: `fastapi[all]>=0.1`, `gcc=4:12.2.0-3`.
    pub text: String,
    /// The name alone, without extras and version; for a file its path; for an address the address.
    pub name: String,
    /// What follows the name and says which version: `=4:12.2.0-3`, `>=0.1,<1`, `@18`; with its operator.
    pub version: Option<String>,
    /// The extras: `all` of `fastapi[all]`.
    pub extras: Vec<String>,
    /// Where it is written. For a file of requirements, the path.
    pub range: Range<usize>,
}

/// What an operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperandKind {
    /// A package by its name.
    Package,
    /// A group of packages: `@development-tools`, `-t pattern`.
    Group,
    /// A file with requirements: `-r requirements.txt`.
    Requirements,
    /// A file with constraints: `-c constraints.txt`.
    Constraints,
    /// A directory or file of the file system: `.`, `./dist/app.whl`.
    Path,
    /// The same, editable: `-e .`
    Editable,
    /// An address: `git+https://…`, `https://…/app.whl`.
    Url,
    /// It is an expansion, so that nobody knows: `$PACKAGES`.
    Unknown,
}

impl Operand {
    /// Is it held to one version: `=1.2` of apt and apk, `==1.2` of pip, `@1.2.3` of npm?
    pub fn is_pinned(&self) -> bool {
        let Some(version) = &self.version else { return false };
        let exact = version.strip_prefix("===").or(version.strip_prefix("==")).or(version.strip_prefix('='));
        let exact = exact.or(version.strip_prefix('@')).or(version.strip_prefix('-')).or(version.strip_prefix(':'));
        exact.is_some_and(|exact| {
            !exact.is_empty() && !exact.contains(['*', ',', '^', '~', '<', '>']) && exact != "latest"
        })
    }
}

impl Operand {
    pub(super) fn new(text: &str, range: Range<usize>, notation: Notation) -> Self {
        let mut operand = Self::whole(OperandKind::Package, text, range);
        if text.starts_with('$') || text.starts_with('`') {
            operand.kind = OperandKind::Unknown;
            // `$PACKAGE==1` says nothing about the name, and something about the version.
            if notation == Notation::Python
                && let Some(at) = specifier(text)
            {
                operand.version = Some(text[at..].to_owned());
            }
        } else if notation == Notation::Python && text.contains(" @ ") {
            let (name, _) = text.split_once(" @ ").unwrap_or((text, ""));
            operand.kind = OperandKind::Url;
            operand.named(name, Notation::Python);
        } else if text.contains("://") || text.starts_with("git+") || text.starts_with("git@") {
            operand.kind = OperandKind::Url;
        } else if is_path(text, notation) {
            operand.kind = OperandKind::Path;
            if notation == Notation::Python {
                operand.take_extras();
            }
        } else if notation == Notation::Rpm && text.starts_with('@') {
            operand.kind = OperandKind::Group;
        } else {
            operand.named(text, notation);
        }
        operand
    }

    pub(super) fn whole(kind: OperandKind, text: &str, range: Range<usize>) -> Self {
        let name = text.to_owned();
        Self { kind, text: text.to_owned(), name, version: None, extras: Vec::new(), range }
    }

    /// Takes `[…]` off the name.
    fn take_extras(&mut self) {
        let Some((name, extras)) = self.name.strip_suffix(']').and_then(|name| name.split_once('[')) else { return };
        self.extras =
            extras.split(',').map(|extra| extra.trim().to_owned()).filter(|extra| !extra.is_empty()).collect();
        self.name = name.trim_end().to_owned();
    }

    /// Sets name, extras and version.
    fn named(&mut self, text: &str, notation: Notation) {
        // `name=1.2@edge`: the repository is no version.
        let text = match text.split_once('@') {
            Some((text, _)) if notation == Notation::Alpine => text,
            _ => text,
        };
        let at = match notation {
            Notation::Debian => text.find(['=', '/']),
            Notation::Alpine => text.find(['=', '~', '<', '>']),
            Notation::Rpm => text.find(['=', '<', '>']).or_else(|| version_after_dash(text)),
            Notation::Python => specifier(text),
            Notation::Conda => text.find(['=', '<', '>', '!', ' ', '[']),
            // The first `@` of `@scope/name` is none.
            Notation::At => text.char_indices().skip(1).find(|&(_, c)| c == '@').map(|(at, _)| at),
            Notation::Colon => text.find(':'),
        };
        let (name, version) = text.split_at(at.unwrap_or(text.len()));
        let version = version.trim();
        self.version = (!version.is_empty()).then(|| version.to_owned());
        self.name = name.trim().to_owned();
        if notation == Notation::Python {
            self.take_extras();
        }
        if notation == Notation::Conda
            && let Some((_, name)) = self.name.split_once("::")
        {
            self.name = name.to_owned();
        }
    }
}

/// Where the version begins in a requirement (PEP 508), or its marker.
fn specifier(text: &str) -> Option<usize> {
    let after = text.find(']').map_or(0, |at| at + 1);
    // Poetry writes `name@^1.2`.
    text[after..].find(['=', '<', '>', '!', '~', ';', '@', '(']).map(|at| after + at)
}

/// Where the version begins in `name-1.2.3-4.el9`.
fn version_after_dash(text: &str) -> Option<usize> {
    text.match_indices('-').map(|(at, _)| at).find(|&at| {
        let rest = &text[at + 1..];
        at > 0
            && (rest.starts_with('$')
                || rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(['.', '-', ':', '*']))
    })
}

fn is_path(text: &str, notation: Notation) -> bool {
    let archive = [".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2", ".deb", ".rpm", ".apk", ".gem"]
        .iter()
        .any(|ending| text.ends_with(ending) || text.contains(&format!("{ending}[")));
    if text == "." || text == ".." || text.starts_with("./") || text.starts_with("../") || text.starts_with(".[") {
        return true;
    }
    match notation {
        Notation::Python => text.starts_with(['/', '~']) || text.contains('/') && !text.contains(" @ ") || archive,
        Notation::Conda => text.starts_with('/') || archive,
        _ => text.starts_with(['/', '~']) || archive,
    }
}
