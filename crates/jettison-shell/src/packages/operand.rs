//! What a package manager is given to install.

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
        exact.is_some_and(|exact| !exact.is_empty() && !exact.contains(['*', ',', '^', '~', '<', '>']) && exact != "latest")
    }
}
