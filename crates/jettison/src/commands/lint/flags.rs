//! The flags of `jettison lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jettison_lint::FailOn;

/// Say what is wrong with Dockerfiles, and mend it
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct LintArgs {
    /// Dockerfiles, directories to look for them in, or - for standard input [default: .]
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// The build context, where it is another directory than the Dockerfile's
    #[arg(long, value_name = "DIR")]
    pub(super) context: Option<PathBuf>,
    /// Look at instructions that have no FROM above them, such as a part that is included
    #[arg(long)]
    pub(super) fragment: bool,
    /// What to call standard input
    #[arg(long, value_name = "PATH")]
    pub(super) stdin_filename: Option<PathBuf>,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t = FormatArg::Text, value_name = "FORMAT")]
    pub(super) format: FormatArg,
    /// Print JSON: short for --format json
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// Write what was found to a file
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Show how often each rule found something, and nothing else
    #[arg(long)]
    pub(super) statistics: bool,
    /// From what severity on findings make the command fail: error, warning, info, style, never [default: warning]
    #[arg(long, value_name = "SEVERITY")]
    pub(super) fail_on: Option<FailOn>,

    /// Look for these alone: rules by name, code or alias, families, `pedantic`, `all`
    #[arg(long, value_name = "RULE,…", value_delimiter = ',', help_heading = "Rules")]
    pub(super) select: Vec<String>,
    /// Look for these too
    #[arg(long, value_name = "RULE,…", value_delimiter = ',', help_heading = "Rules")]
    pub(super) extend_select: Vec<String>,
    /// Do not look for these
    #[arg(long, value_name = "RULE,…", value_delimiter = ',', help_heading = "Rules")]
    pub(super) ignore: Vec<String>,
    /// Take base images from these registries alone; may be repeated
    #[arg(long, value_name = "REGISTRY", help_heading = "Rules")]
    pub(super) trusted_registry: Vec<String>,
    /// Run this ShellCheck over the scripts of RUN, and not the one on PATH
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_shellcheck", help_heading = "Rules")]
    pub(super) shellcheck: Option<PathBuf>,
    /// Run no ShellCheck
    #[arg(long, help_heading = "Rules")]
    pub(super) no_shellcheck: bool,
    /// Read settings from this file alone: a pyproject.toml, a jettison.toml or a .hadolint.yaml
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub(super) config: Option<PathBuf>,
    /// Read no settings from files
    #[arg(long, conflicts_with = "config", help_heading = "Rules")]
    pub(super) no_config: bool,
    /// Say nothing about findings that this file knows
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub(super) baseline: Option<PathBuf>,
    /// Write what is found now into the baseline
    #[arg(long, conflicts_with_all = ["fix", "unsafe_fixes", "diff", "statistics"], help_heading = "Rules")]
    pub(super) write_baseline: bool,
    /// Explain a rule
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    pub(super) explain: Option<String>,
    /// List the rules
    #[arg(long, conflicts_with = "explain", help_heading = "Rules")]
    pub(super) list_rules: bool,

    /// Mend what can be mended safely
    #[arg(long, help_heading = "Mending")]
    pub(super) fix: bool,
    /// Mend also what needs a look afterwards
    #[arg(long, help_heading = "Mending")]
    pub(super) unsafe_fixes: bool,
    /// Show what --fix would change, and change nothing
    #[arg(long, help_heading = "Mending")]
    pub(super) diff: bool,
    /// Ask registries and indices what rules want to know, even if nothing is mended
    #[arg(long, help_heading = "Mending")]
    pub(super) online: bool,

    /// Write the pages of docs/rules to a directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub(super) write_docs: Option<PathBuf>,
}

const HELP: &str = "\
Settings stand in [tool.jettison.lint] of pyproject.toml or in [lint] of jettison.toml, in the directory of the Dockerfile or \
above it. A comment `# jettison: ignore=RULE` above an instruction leaves a finding out; hadolint's and BuildKit's comments are \
understood. Only --fix, --unsafe-fixes, --diff and --online use the network, to look up digests and wheels, and --offline keeps them from it.

Examples:
  jettison lint
  jettison lint --fix docker/Dockerfile
  jettison lint --format sarif -o lint.sarif

Exit codes: 0 nothing found, 1 findings (or, with --diff, changes), 2 failed.";

/// A format, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    Text,
    Json,
    Sarif,
    Github,
    Gitlab,
    Checkstyle,
    Junit,
}
