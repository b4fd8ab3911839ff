//! What a rule is: a code and a name for good, its documentation with examples that are tests, and a function.

use crate::finding::Findings;
use crate::model::Subject;
use std::fmt;

/// A fault that can be found. Each stands in a file of its own under [`rules`](crate::rules).
///
/// Code and name are for good: people write both into comments and configuration.
#[derive(Debug)]
pub struct Rule {
    /// `JET101`. The first digit is that of the family.
    pub code: &'static str,
    /// The fault in kebab case, `build-tools-in-final-stage`.
    pub name: &'static str,
    /// What it belongs to.
    pub family: Family,
    /// How much it matters, unless the configuration says otherwise.
    pub severity: Severity,
    /// Whether it is looked for without being asked. Pedantic rules are not.
    pub default: bool,
    /// Whether it can be mended.
    pub fixable: Fixable,
    /// What BuildKit calls it in `docker build --check`.
    pub buildkit: Option<&'static str>,
    /// The codes of hadolint that mean it.
    pub hadolint: &'static [&'static str],
    /// What, why, an example, and what the fix does, in Markdown; see [`examples`](crate::examples) for its form.
    pub docs: &'static str,
    /// Looks for the fault.
    pub check: fn(&Subject<'_>, &mut Findings<'_>),
}

/// Rules are the same when their codes are.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Rule {}

impl Rule {
    /// Whether someone who writes `word` means this rule: its code, its name, BuildKit's name or a code of hadolint's, in any case.
    pub fn answers_to(&self, word: &str) -> bool {
        [self.code, self.name]
            .iter()
            .chain(&self.buildkit)
            .chain(self.hadolint)
            .any(|name| name.eq_ignore_ascii_case(word))
    }

    /// The first paragraph of its documentation: what the fault is.
    pub fn summary(&self) -> &'static str {
        self.docs.trim_start().split("\n\n").next().unwrap_or_default()
    }
}

/// What a rule belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Python images and their size: codes from 101.
    Python,
    /// What any Dockerfile can get wrong: codes from 201 (those of BuildKit's own checks) and from 301.
    General,
    /// The build context and the project in it: codes from 401.
    Context,
}

impl Family {
    /// What the configuration calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::General => "general",
            Self::Context => "context",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A matter of taste.
    Style,
    /// Good to know.
    Info,
    /// It builds and works, at a price.
    Warning,
    /// It does not build, does not work, or gives a secret away.
    Error,
}

impl Severity {
    /// What people write and read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Style => "style",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a rule's findings can be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fixable {
    /// By a person alone.
    No,
    /// Where it is clear how.
    Sometimes,
    /// Wherever it is found.
    Always,
}
