//! What people see while a command works: a few moving lines on a terminal, plain lines or JSON on request, nothing else.
//!
//! Everything goes to stderr. What may hold foreign text is escaped before it gets there.

mod checks;
mod dockerfile;
mod rawjson;
mod report;
mod table;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jettison_build::output::Written;
use jettison_engine::events::{Event, Events, Unit};
use jettison_engine::graph::StepId;

use crate::environment;

pub use checks::checks_text;
pub use dockerfile::{outline_text, show_dockerfile_report, targets_text};
pub use report::show_report;
pub use table::{Align, bytes, table};

use rawjson::RawJson;

/// How progress is shown. The words are their own help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    // Moving lines on a terminal, nothing elsewhere.
    Auto,
    // One line for each thing that happens, with what programs write.
    Plain,
    // Moving lines on a terminal, plain ones elsewhere.
    Tty,
    // One JSON object for each thing that happens, as buildx writes them.
    #[value(name = "rawjson")]
    RawJson,
    // Warnings and errors alone.
    Quiet,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    // On a terminal, unless `NO_COLOR` is set.
    Auto,
    // Always.
    Always,
    // Never.
    Never,
}

impl Colour {
    /// Whether to use colours on a stream, which is a terminal or is not.
    pub fn is_wanted(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal && !environment::no_color(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// The eyes of the user.
pub struct Ui {
    mode: Shown,
    colour: bool,
    quiet: bool,
    running: Mutex<BTreeMap<StepId, Running>>,
}

enum Shown {
    Bars(MultiProgress),
    Plain,
    RawJson(RawJson),
    Nothing,
}

struct Running {
    name: String,
    bar: Option<ProgressBar>,
}

impl Ui {
    /// Looks at the terminal.
    pub fn new(mode: ProgressMode, colour: Colour) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let quiet = matches!(mode, ProgressMode::Quiet | ProgressMode::RawJson);
        let mode = match mode {
            ProgressMode::Auto | ProgressMode::Tty if terminal => {
                Shown::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)))
            }
            ProgressMode::Auto | ProgressMode::Quiet => Shown::Nothing,
            ProgressMode::Plain | ProgressMode::Tty => Shown::Plain,
            ProgressMode::RawJson => Shown::RawJson(RawJson::default()),
        };
        let colour = colour.is_wanted(terminal);
        Self { mode, colour, quiet, running: Mutex::default() }
    }

    /// Whether nothing but warnings and errors is wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Writes a line to stderr, above what moves.
    pub fn line(&self, line: &str) {
        // A terminal that went away takes nothing; the work goes on.
        let write = || drop(writeln!(std::io::stderr(), "{line}"));
        match &self.mode {
            Shown::Bars(bars) => bars.suspend(write),
            Shown::Plain | Shown::RawJson(_) | Shown::Nothing => write(),
        }
    }

    /// Paints a word, where colours may be used. `code` is an SGR parameter, such as `1;31`.
    pub fn paint(&self, code: &str, word: &str) -> String {
        if self.colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    }

    /// Something that was done, for who looks on.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.line(&escape(message));
        }
    }

    /// What became of an output.
    pub fn written(&self, written: &Written) {
        match written {
            Written::File { dest, what } => self.note(&format!("wrote {dest} ({what})")),
            Written::Loaded(said) => self.note(said),
            Written::Pushed { name, report } if report.unchanged => self.note(&format!("{name} is up to date")),
            Written::Pushed { name, report } => {
                let mut parts = vec![format!(
                    "{} of {} sent",
                    bytes(report.uploaded_bytes()),
                    plural(report.uploaded.len(), "blob")
                )];
                for (blobs, how) in [(&report.mounted, "mounted"), (&report.skipped, "there already")] {
                    if !blobs.is_empty() {
                        parts.push(format!("{} {how}", blobs.len()));
                    }
                }
                self.note(&format!("pushed {name}: {}", parts.join(", ")));
            }
        }
    }

    /// A warning, with what to do about it.
    pub fn warning(&self, message: &str, hint: Option<&str>) {
        if let Shown::RawJson(raw) = &self.mode {
            let event = Event::Warning { message: message.to_owned(), hint: hint.map(str::to_owned) };
            raw.line(event).iter().for_each(|line| self.line(line));
            return;
        }
        self.line(&format!("{}: {}", self.paint("1;33", "warning"), escape(message)));
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }

    /// An error, with what to do about it.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        self.line(&format!("{}: {}", self.paint("1;31", "error"), escape(message)));
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }

    fn hint(&self, hint: &str) {
        self.line(&format!("{}: {}", self.paint("1;36", "hint"), escape(hint)));
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<StepId, Running>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn started(&self, id: StepId, name: &str) {
        let name = escape(name);
        let bar = match &self.mode {
            Shown::Bars(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {msg}"));
                bar.set_message(name.clone());
                bar.enable_steady_tick(Duration::from_millis(100));
                Some(bar)
            }
            Shown::Plain => {
                self.line(&name);
                None
            }
            Shown::RawJson(_) | Shown::Nothing => None,
        };
        self.running().insert(id, Running { name, bar });
    }

    fn progressed(&self, id: StepId, done: u64, total: Option<u64>, unit: Unit) {
        let running = self.running();
        let Some(bar) = running.get(&id).and_then(|running| running.bar.as_ref()) else { return };
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_style(match (unit, total) {
            (Unit::Bytes, Some(_)) => style("{spinner} {msg}  {bytes}/{total_bytes}"),
            (Unit::Bytes, None) => style("{spinner} {msg}  {bytes}"),
            (Unit::Items, Some(_)) => style("{spinner} {msg}  {pos}/{len}"),
            (Unit::Items, None) => style("{spinner} {msg}  {pos}"),
        });
        bar.set_position(done);
    }

    fn ended(&self, id: StepId, how: Option<&str>) {
        let Some(running) = self.running().remove(&id) else { return };
        if let Some(bar) = running.bar {
            bar.finish_and_clear();
        }
        if let (Shown::Plain, Some(how)) = (&self.mode, how) {
            self.line(&format!("{}: {}", running.name, escape(how)));
        }
    }
}

impl Events for Ui {
    fn event(&self, event: Event) {
        if let Shown::RawJson(raw) = &self.mode {
            raw.line(event).iter().for_each(|line| self.line(line));
            return;
        }
        match event {
            Event::StepStarted { id, name } => self.started(id, &name),
            Event::StepProgress { id, done, total, unit } => self.progressed(id, done, total, unit),
            Event::StepDone { id } => self.ended(id, None),
            Event::StepFailed { id, .. } => self.ended(id, Some("failed")),
            Event::StepCached { name, .. } if matches!(self.mode, Shown::Plain) => {
                self.line(&format!("{}: cached", escape(&name)));
            }
            Event::Log { line, .. } if matches!(self.mode, Shown::Plain) => {
                self.line(&format!("  | {}", escape(&line)))
            }
            Event::Note { message } if !matches!(self.mode, Shown::Nothing) => self.line(&escape(&message)),
            Event::Warning { message, hint } => self.warning(&message, hint.as_deref()),
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are fixed; should one not parse, a plain spinner is as good.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// `1 blob`, `2 blobs`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Text that cannot drive a terminal: controls but newline and tab are escaped.
pub fn escape(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    text.chars().map(|c| if harmless(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}
