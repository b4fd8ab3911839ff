//! `jettison lint`: what is wrong with Dockerfiles, and mending it.
//!
//! 1. [`find`](find::find) takes what the command line names, and looks through directories.
//! 2. [`Configuration`] finds the settings that count for each, and lays the flags on top.
//! 3. [`inspect`](inspect::inspect) lints or mends each in its context, several at once.
//! 4. What was mended is written, or shown as a difference; what is left is shown, but for what the baseline knows.
//!
//! The store is not opened, and the network is asked only where a fix needs to know something of it.

mod configuration;
mod documentation;
mod find;
mod inspect;
mod shellcheck;
mod write;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jettison_build::{BuildError, Context as _};
use jettison_lint::{Baseline, Catalog, FailOn, Fixable, Report, Safety, Selector, Severity, output};

use crate::cli::Global;
use crate::commands::write_file;
use crate::exit::Exit;
use crate::ui::{Align, Ui, plural, table};
use configuration::Configuration;
use find::Target;
use inspect::{Inspected, Job};
use shellcheck::{Shellcheck, WithShellcheck};

/// Say what is wrong with Dockerfiles, and mend it
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct LintArgs {
    /// Dockerfiles, directories to look for them in, or - for standard input [default: .]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The build context, where it is another directory than the Dockerfile's
    #[arg(long, value_name = "DIR")]
    context: Option<PathBuf>,
    /// Look at instructions that have no FROM above them, such as a part that is included
    #[arg(long)]
    fragment: bool,
    /// What to call standard input
    #[arg(long, value_name = "PATH")]
    stdin_filename: Option<PathBuf>,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t = FormatArg::Text, value_name = "FORMAT")]
    format: FormatArg,
    /// Print JSON: short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write what was found to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show how often each rule found something, and nothing else
    #[arg(long)]
    statistics: bool,
    /// From what severity on findings make the command fail: error, warning, info, style, never [default: warning]
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,

    /// Look for these alone: rules by name, code or alias, families, `pedantic`, `all`
    #[arg(long, value_name = "RULE,…", value_delimiter = ',', help_heading = "Rules")]
    select: Vec<String>,
    /// Look for these too
    #[arg(long, value_name = "RULE,…", value_delimiter = ',', help_heading = "Rules")]
    extend_select: Vec<String>,
    /// Do not look for these
    #[arg(long, value_name = "RULE,…", value_delimiter = ',', help_heading = "Rules")]
    ignore: Vec<String>,
    /// Take base images from these registries alone; may be repeated
    #[arg(long, value_name = "REGISTRY", help_heading = "Rules")]
    trusted_registry: Vec<String>,
    /// Run this ShellCheck over the scripts of RUN, and not the one on PATH
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_shellcheck", help_heading = "Rules")]
    shellcheck: Option<PathBuf>,
    /// Run no ShellCheck
    #[arg(long, help_heading = "Rules")]
    no_shellcheck: bool,
    /// Read settings from this file alone: a pyproject.toml, a jettison.toml or a .hadolint.yaml
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    config: Option<PathBuf>,
    /// Read no settings from files
    #[arg(long, conflicts_with = "config", help_heading = "Rules")]
    no_config: bool,
    /// Say nothing about findings that this file knows
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    baseline: Option<PathBuf>,
    /// Write what is found now into the baseline
    #[arg(long, conflicts_with_all = ["fix", "unsafe_fixes", "diff", "statistics"], help_heading = "Rules")]
    write_baseline: bool,
    /// Explain a rule
    #[arg(long, value_name = "RULE", help_heading = "Rules")]
    explain: Option<String>,
    /// List the rules
    #[arg(long, conflicts_with = "explain", help_heading = "Rules")]
    list_rules: bool,

    /// Mend what can be mended safely
    #[arg(long, help_heading = "Mending")]
    fix: bool,
    /// Mend also what needs a look afterwards
    #[arg(long, help_heading = "Mending")]
    unsafe_fixes: bool,
    /// Show what --fix would change, and change nothing
    #[arg(long, help_heading = "Mending")]
    diff: bool,
    /// Ask registries and indices what rules want to know, even if nothing is mended
    #[arg(long, help_heading = "Mending")]
    online: bool,

    /// Write the pages of docs/rules to a directory
    #[arg(long, value_name = "DIR", hide = true)]
    write_docs: Option<PathBuf>,
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
enum FormatArg {
    Text,
    Json,
    Sarif,
    Github,
    Gitlab,
    Checkstyle,
    Junit,
}

/// What all of a run share.
struct Run<'a> {
    args: &'a LintArgs,
    global: &'a Global,
    ui: &'a Ui,
}

/// Does what the flags say.
pub fn run(args: &LintArgs, global: &Global, ui: &Ui) -> Result<Exit, BuildError> {
    if let Some(directory) = &args.write_docs {
        return documentation::write(directory);
    }
    if let Some(word) = &args.explain {
        return documentation::explain(word);
    }
    if args.list_rules {
        return documentation::list(args.json || args.format == FormatArg::Json);
    }
    Run { args, global, ui }.run()
}

impl Run<'_> {
    fn run(&self) -> Result<Exit, BuildError> {
        let args = self.args;
        let mut configuration = Configuration::new(args)?;
        let mut jobs = Vec::new();
        for target in find::find(&args.paths, args.stdin_filename.as_deref())? {
            jobs.push(self.job(target, &mut configuration)?);
        }
        let catalog = self.catalog()?;
        let (mut done, mut failed) = (Vec::new(), false);
        for inspected in inspect::all(&jobs, &*catalog) {
            match inspected {
                Ok(inspected) => done.push(inspected),
                Err(error) => {
                    failed = true;
                    self.ui.error(&error.to_string(), error.hint_text());
                }
            }
        }
        if args.diff {
            let changed = self.show_changes(&done)?;
            return Ok(if failed { Exit::Failed } else { findings(changed) });
        }
        for inspected in &mut done {
            if let Err(error) = self.write_mended(inspected) {
                failed = true;
                self.ui.error(&error.to_string(), error.hint_text());
            }
        }
        let fixed: usize = done.iter().filter_map(|inspected| Some(inspected.mended.as_ref()?.done.len())).sum();
        let to_stdout = jobs.iter().any(|job| job.target.path.is_none()) && self.safety().is_some();
        let mut reports: Vec<Report> = done.into_iter().map(|inspected| inspected.report).collect();
        let known = match self.baseline(&mut reports, &configuration)? {
            Some(known) => known,
            None if failed => return Ok(Exit::Failed),
            None => return Ok(Exit::Fine),
        };
        self.show(&reports, to_stdout)?;
        self.sum_up(&reports, fixed, known);
        let fail_on = args.fail_on.or_else(|| configuration.fail_on()).unwrap_or_default();
        let reached = reports.iter().flat_map(|report| &report.findings).any(|f| fail_on.is_reached(f.severity));
        Ok(if failed { Exit::Failed } else { findings(reached) })
    }

    /// How daring fixes may be; `None` if none are wanted.
    fn safety(&self) -> Option<Safety> {
        match (self.args.fix || self.args.diff, self.args.unsafe_fixes) {
            (_, true) => Some(Safety::Unsafe),
            (true, false) => Some(Safety::Safe),
            (false, false) => None,
        }
    }

    fn job(&self, target: Target, configuration: &mut Configuration) -> Result<Job, BuildError> {
        let config = configuration.for_file(target.place())?;
        Ok(Job {
            target,
            config,
            context: self.args.context.clone(),
            fragment: self.args.fragment,
            safety: self.safety(),
        })
    }

    /// Who answers for registries, indices and scripts: ShellCheck if it is installed, and nobody for the rest unless a fix may need
    /// to know.
    fn catalog(&self) -> Result<Box<dyn Catalog + Sync>, BuildError> {
        let shellcheck = match self.args.no_shellcheck {
            true => None,
            false => Shellcheck::find(self.args.shellcheck.as_deref(), crate::environment::search_path().as_deref())?,
        };
        let catalog: Box<dyn Catalog + Sync> = Box::new(());
        Ok(Box::new(WithShellcheck { catalog, shellcheck }))
    }

    fn show_changes(&self, done: &[Inspected]) -> Result<bool, BuildError> {
        let mut text = String::new();
        done.iter().for_each(|inspected| text.push_str(&write::difference(inspected)));
        self.print(&text)?;
        Ok(!text.is_empty())
    }

    fn write_mended(&self, inspected: &mut Inspected) -> Result<(), BuildError> {
        let Some(mended) = &inspected.mended else { return Ok(()) };
        if inspected.path.is_none() {
            return self.print(&mended.text);
        }
        write::write(inspected)
    }

    /// Takes out what the baseline knows, and says how much that was; `None` if it was written instead.
    fn baseline(&self, reports: &mut [Report], configuration: &Configuration) -> Result<Option<usize>, BuildError> {
        let Some(path) = self.args.baseline.clone().or_else(|| configuration.baseline()) else {
            if self.args.write_baseline {
                return Err(BuildError::new("there is no place for the baseline").hint("name it with --baseline FILE"));
            }
            return Ok(Some(0));
        };
        let name = baseline_names(&path);
        if self.args.write_baseline {
            let baseline = Baseline::of(reports, name);
            write_file(&path, baseline.print().as_bytes())?;
            let count: usize = reports.iter().map(|report| report.findings.len()).sum();
            self.ui.note(&format!("wrote {} ({})", path.display(), plural(count, "finding")));
            return Ok(None);
        }
        let text = fs::read_to_string(&path)
            .map_err(|error| BuildError::from(error).context(path.display()).hint("write it with --write-baseline"))?;
        let baseline = Baseline::parse(&text);
        let baseline =
            baseline.map_err(|error| BuildError::with_hint(format!("{}: {error}", path.display()), error.hint()))?;
        Ok(Some(baseline.subtract(reports, name)))
    }

    fn show(&self, reports: &[Report], to_stderr: bool) -> Result<(), BuildError> {
        let text = if self.args.statistics { self.statistics(reports) } else { output::render(reports, self.format()) };
        if to_stderr && self.args.output.is_none() {
            text.trim_end().lines().for_each(|line| self.ui.line(line));
            return Ok(());
        }
        self.print(&text)
    }

    fn format(&self) -> output::Format {
        match self.args.format {
            FormatArg::Text if self.args.json => output::Format::Json,
            FormatArg::Text => output::Format::Text { colour: self.is_colourful() },
            FormatArg::Json => output::Format::Json,
            FormatArg::Sarif => output::Format::Sarif,
            FormatArg::Github => output::Format::Github,
            FormatArg::Gitlab => output::Format::Gitlab,
            FormatArg::Checkstyle => output::Format::Checkstyle,
            FormatArg::Junit => output::Format::Junit,
        }
    }

    fn is_colourful(&self) -> bool {
        self.args.output.is_none() && self.global.color.is_wanted(std::io::stdout().is_terminal())
    }

    /// Writes to where the user wants it.
    fn print(&self, text: &str) -> Result<(), BuildError> {
        if let Some(path) = &self.args.output {
            return write_file(path, text.as_bytes());
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(BuildError::from).context("standard output"),
        }
    }

    fn statistics(&self, reports: &[Report]) -> String {
        let mut counts: BTreeMap<&str, (&jettison_lint::Rule, usize)> = BTreeMap::new();
        for finding in reports.iter().flat_map(|report| &report.findings) {
            counts.entry(finding.rule.code).or_insert((finding.rule, 0)).1 += 1;
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if self.format() == output::Format::Json {
            let objects: Vec<_> = counts
                .iter()
                .map(|(rule, count)| serde_json::json!({ "code": rule.code, "name": rule.name, "count": count }))
                .collect();
            return format!("{:#}\n", serde_json::Value::from(objects));
        }
        let rows: Vec<Vec<String>> = counts
            .iter()
            .map(|(rule, count)| {
                let fix = if rule.fixable == Fixable::No { "" } else { "can be mended" };
                vec![count.to_string(), rule.code.to_owned(), rule.name.to_owned(), fix.to_owned()]
            })
            .collect();
        let lines = table(&[Align::Right, Align::Left, Align::Left, Align::Left], &rows);
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Says how it went, for who looks on.
    fn sum_up(&self, reports: &[Report], fixed: usize, known: usize) {
        let mut by_severity: BTreeMap<Severity, usize> = BTreeMap::new();
        let (mut safe, mut daring) = (0, 0);
        for finding in reports.iter().flat_map(|report| &report.findings) {
            *by_severity.entry(finding.severity).or_default() += 1;
            match finding.fix.as_ref().map(|fix| fix.safety) {
                Some(Safety::Safe) => safe += 1,
                Some(Safety::Unsafe) => daring += 1,
                None => {}
            }
        }
        let mut line = match by_severity.is_empty() {
            true => format!("nothing found in {}", plural(reports.len(), "file")),
            false => {
                let counts = by_severity.iter().rev().map(|(severity, count)| match severity {
                    Severity::Error | Severity::Warning => plural(*count, severity.as_str()),
                    Severity::Info | Severity::Style => format!("{count} {severity}"),
                });
                counts.collect::<Vec<_>>().join(", ")
            }
        };
        // Writing to a string cannot fail.
        if fixed > 0 {
            let _ = write!(line, "; {fixed} mended");
        }
        if known > 0 {
            let _ = write!(line, "; {known} known to the baseline");
        }
        match (safe, daring) {
            (0, 0) => {}
            (0, daring) => drop(write!(line, "; --unsafe-fixes mends {daring}")),
            (safe, 0) => drop(write!(line, "; --fix mends {safe}")),
            (safe, daring) => drop(write!(line, "; --fix mends {safe}, --unsafe-fixes {daring} more")),
        }
        self.ui.note(&line);
    }
}

fn findings(any: bool) -> Exit {
    if any { Exit::Findings } else { Exit::Fine }
}

/// The rules that words of the command line stand for.
fn selectors(words: &[String]) -> Result<Vec<Selector>, BuildError> {
    let mut all = Vec::new();
    for word in words {
        all.extend(Selector::parse(word.trim()).map_err(|e| BuildError::with_hint(e.to_string(), e.hint()))?);
    }
    Ok(all)
}

/// Files as a baseline names them: by their path from its directory, so that it does not matter where one stands.
fn baseline_names(baseline: &Path) -> impl Fn(&str) -> String + use<> {
    let directory = baseline.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().ok();
    move |path: &str| {
        let whole = Path::new(path).canonicalize().ok();
        let below = whole.as_ref().zip(directory.as_ref()).and_then(|(whole, dir)| whole.strip_prefix(dir).ok());
        below.map_or_else(|| path.to_owned(), |below| below.to_string_lossy().into_owned())
    }
}
