//! `jettison lint`: what is wrong with Dockerfiles, and mending it.
//!
//! 1. [`find`](find::find) takes what the command line names, and looks through directories.
//! 2. [`Configuration`] finds the settings that count for each, and lays the flags on top.
//! 3. [`inspect`](inspect::inspect) lints or mends each in its context, several at once.
//! 4. What was mended is written, or shown as a difference; what is left is shown, but for what the baseline knows.
//!
//! The store is not opened, and the network is asked only where a fix needs to know something of it.

mod answers;
mod configuration;
mod documentation;
mod find;
mod flags;
mod inspect;
mod shellcheck;
mod show;
mod write;

use std::fs;
use std::path::Path;

use jettison_build::BuildError;
use jettison_lint::{Baseline, Report, Safety, Selector};

use crate::cli::Global;
use crate::commands::write_file;
use crate::exit::Exit;
use crate::ui::{Ui, plural};
use answers::Answers;
use configuration::Configuration;
use find::Target;
use flags::FormatArg;
pub use flags::LintArgs;
use inspect::{Inspected, Job};

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
        let online = (self.safety().is_some() || args.online) && !self.global.offline;
        let answers = Answers::new(args, online, self.global, self.ui)?;
        let (mut done, mut failed) = (Vec::new(), false);
        for inspected in inspect::all(&jobs, &answers) {
            match inspected {
                Ok(inspected) => done.push(inspected),
                Err(error) => {
                    failed = true;
                    self.ui.error(&error.to_string(), error.hint_text());
                }
            }
        }
        for (what, why) in answers.failures() {
            let hint = "--offline mends what can be mended without it";
            self.ui.warning(&format!("{what} was not asked for what a fix needs: {why}"), Some(hint));
        }
        if args.diff {
            let changed = self.show_changes(&done)?;
            return Ok(if failed { Exit::Failed } else { findings(changed) });
        }
        for inspected in &done {
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

    fn show_changes(&self, done: &[Inspected]) -> Result<bool, BuildError> {
        let mut text = String::new();
        done.iter().for_each(|inspected| text.push_str(&write::difference(inspected)));
        self.print(&text)?;
        Ok(!text.is_empty())
    }

    fn write_mended(&self, inspected: &Inspected) -> Result<(), BuildError> {
        let Some(mended) = &inspected.mended else { return Ok(()) };
        if inspected.path.is_none() {
            return self.print(&mended.text);
        }
        write::write(inspected)?;
        for done in &mended.done {
            self.ui.note(&format!("mended {}: {} ({})", inspected.report.path, done.title, done.rule.code));
        }
        Ok(())
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
