//! What was found: where, what is wrong, what to do, and the edits that would do it.

use crate::rule::{Rule, Severity};
use jettison_dockerfile::{Edit, Span};
use jettison_tree::TreePath;

/// A fault, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: &'static Rule,
    /// How much it matters here.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Other places of the Dockerfile that belong to it, each with what it has to do with it.
    pub labels: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// Bytes of the image or of the context that the cure would save, where they are known.
    pub saves: Option<u64>,
    /// What would mend it.
    pub fix: Option<Fix>,
    /// The code that another program gave it: ShellCheck's `SC2086`.
    pub foreign_code: Option<String>,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Bytes of the Dockerfile.
    Dockerfile(Span),
    /// A line (from 1) of a file of the context, by its path in it; with no line, the whole of the file, which may be missing.
    Context {
        /// The file.
        path: TreePath,
        /// The line.
        line: Option<usize>,
    },
}

/// Edits that mend one finding. They are made together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Whether it may be made without a look at what it does.
    pub safety: Safety,
    /// What it does, as an order: "write `--no-install-recommends`".
    pub title: String,
    /// Edits of the Dockerfile.
    pub edits: Vec<Edit>,
    /// Files of the context to write, each whole.
    pub files: Vec<(TreePath, String)>,
}

/// Whether a fix may be made without a look at what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Safety {
    /// The image does what it did, or what it was plainly meant to do. `--fix` makes it.
    Safe,
    /// The image may do something else; someone has to look. `--unsafe-fixes` makes it.
    Unsafe,
}

impl Fix {
    /// A safe fix of the Dockerfile.
    pub fn safe(title: impl Into<String>, edits: impl IntoIterator<Item = Edit>) -> Self {
        Self { safety: Safety::Safe, title: title.into(), edits: edits.into_iter().collect(), files: Vec::new() }
    }

    /// A fix of the Dockerfile that needs a look.
    pub fn unsafe_(title: impl Into<String>, edits: impl IntoIterator<Item = Edit>) -> Self {
        Self { safety: Safety::Unsafe, ..Self::safe(title, edits) }
    }

    /// Writes a file of the context, too.
    #[must_use]
    pub fn write(mut self, path: TreePath, text: impl Into<String>) -> Self {
        self.files.push((path, text.into()));
        self
    }
}

impl Finding {
    /// Whether someone who writes `word` means this finding: its own code, or a name of its rule ([`Rule::answers_to`]).
    pub fn answers_to(&self, word: &str) -> bool {
        self.rule.answers_to(word) || self.foreign_code.as_ref().is_some_and(|code| code.eq_ignore_ascii_case(word))
    }

    /// The finding, with what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// The finding, with another place that belongs to it.
    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push((span, text.into()));
        self
    }

    /// The finding, with the bytes that the cure would save.
    pub fn saves(&mut self, bytes: u64) -> &mut Self {
        self.saves = Some(bytes);
        self
    }

    /// The finding, with what would mend it.
    pub fn fix(&mut self, fix: Fix) -> &mut Self {
        self.fix = Some(fix);
        self
    }

    /// The finding, weighing this much, unless the configuration says otherwise.
    pub fn severity(&mut self, severity: Severity) -> &mut Self {
        self.severity = severity;
        self
    }
}

/// Where a rule puts what it finds.
#[derive(Debug)]
pub struct Findings<'f> {
    rule: &'static Rule,
    found: &'f mut Vec<Finding>,
}

impl<'f> Findings<'f> {
    /// Puts what `rule` finds behind what is in `found`.
    pub fn new(rule: &'static Rule, found: &'f mut Vec<Finding>) -> Self {
        Self { rule, found }
    }

    /// A finding in the Dockerfile. Go on with [`Finding::help`], [`Finding::fix`] and the others.
    pub fn report(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(Place::Dockerfile(span), message.into())
    }

    /// A finding in a file of the context.
    pub fn report_file(&mut self, path: TreePath, line: Option<usize>, message: impl Into<String>) -> &mut Finding {
        self.push(Place::Context { path, line }, message.into())
    }

    fn push(&mut self, place: Place, message: String) -> &mut Finding {
        let (rule, severity) = (self.rule, self.rule.severity);
        let finding = Finding {
            rule,
            severity,
            place,
            message,
            labels: Vec::new(),
            help: None,
            saves: None,
            fix: None,
            foreign_code: None,
        };
        let at = self.found.len();
        self.found.push(finding);
        &mut self.found[at]
    }
}
