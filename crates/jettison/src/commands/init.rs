//! `jettison init`: the best Dockerfile for a project, and the `.dockerignore` for it.
//!
//! 1. [`gather()`] reads the project, with what flags and settings say on top.
//! 2. Registries are asked for the digests of the base images, unless it is to work offline.
//! 3. [`write()`] makes the text in the style that was asked for, or that fits the lock.
//! 4. What is there already is shown as a difference, and only replaced with `--force`; a `.dockerignore` only grows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use jettison_build::BuildError;
use jettison_build::index::Indexes;
use jettison_build::lookup::Lookup;
use jettison_build::settings::{Command, Settings};
use jettison_lint::Catalog;
use jettison_lint::init::{Facts, Gathered, Style, Wishes, Written, extend, gather, write};
use jettison_oci::reference::Reference;
use jettison_python::NormalizedName;
use jettison_python::command::DEFAULT_PORT;
use jettison_python::command::procfile::{ProcessLine, parse_line};

use super::{unified, write_file};
use crate::cli::{Global, print};
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{Ui, plural};

/// Write a Dockerfile for plain Docker, and a .dockerignore
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct InitArgs {
    /// The project's directory, which is the build context [default: .]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// How packages get into the image: venv, prefix, wheels, uv, poetry, distroless [default: by the lock]
    #[arg(long, value_name = "STYLE")]
    style: Option<Style>,
    /// The version of Python [default: as the project says, else 3.13]
    #[arg(long, value_name = "X.Y", value_parser = python)]
    python: Option<(u32, u32)>,
    /// The start command [default: found in the source]
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// The port that it listens on; 0 for none
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Where to write the Dockerfile [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replace a Dockerfile that is there
    #[arg(long)]
    force: bool,
    /// Print the Dockerfile, and write nothing
    #[arg(long, conflicts_with_all = ["force", "file"])]
    stdout: bool,
}

const HELP: &str = "\
Examples:
  jettison init                      write Dockerfile and .dockerignore
  jettison init --style distroless   for an image without a shell
  jettison init --stdout             see what it would be

A Dockerfile that is there is shown beside the new one, and kept without --force.";

/// Registries, where they may be asked.
struct Registries(Option<Lookup>);

impl Catalog for Registries {
    fn digest(&self, image: &Reference) -> Option<String> {
        Some(self.0.as_ref()?.digest(image)?.to_string())
    }

    fn has_musl_wheel(&self, name: &NormalizedName, version: &str) -> Option<bool> {
        self.0.as_ref()?.has_musl_wheel(name, version)
    }
}

/// Does what the flags say.
pub fn run(args: &InitArgs, global: &Global, ui: &Ui) -> Result<Exit, BuildError> {
    let root = args.path.as_deref().unwrap_or(Path::new("."));
    if !root.is_dir() {
        return Err(BuildError::new(format!("`{}` is no directory", root.display())));
    }
    let wishes = wishes(args, &Settings::read(root)?)?;
    let gathered = gather(root, &wishes).map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?;
    let facts = &gathered.facts;
    let style = args.style.unwrap_or_else(|| Style::fitting(facts));
    let registries = Registries(match global.offline {
        true => None,
        false => {
            let session = Session::new(global, ui)?;
            let indexes = Indexes::new(&session.machine, None, Vec::new(), Vec::new());
            Some(Lookup::new(session.http.clone(), session.registry().clone(), &indexes))
        }
    });
    let written =
        write(facts, style, &registries).map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?;
    for (what, why) in registries.0.iter().flat_map(Lookup::failures) {
        ui.warning(&format!("{what} was not asked for a digest: {why}"), Some("--offline does not ask"));
    }
    if args.stdout {
        print(written.dockerfile.trim_end())?;
    } else {
        put(args, root, style, &written, ui)?;
    }
    tell(&gathered, &written, ui);
    if !args.stdout {
        ui.note(&format!("next: {}", build_command(args, root, facts)));
    }
    Ok(Exit::Fine)
}

/// What flags, or else the settings of the native build, say.
fn wishes(args: &InitArgs, settings: &Settings) -> Result<Wishes, BuildError> {
    let port = args.port.or(settings.port);
    let line = |line: &str| {
        parse_line(line, port.filter(|&port| port != 0).unwrap_or(DEFAULT_PORT)).map_err(|why| {
            BuildError::new(format!("`{line}` cannot be started without a shell: {why}"))
                .hint("give the program and its arguments alone")
        })
    };
    let command = match (&args.command, &settings.command) {
        (Some(text), _) | (None, Some(Command::Line(text))) => Some(line(text)?),
        (None, Some(Command::Words(words))) => {
            Some(ProcessLine { env: Vec::new(), argv: words.clone(), defaulted: Vec::new() })
        }
        (None, None) => None,
    };
    let set = settings.python.as_deref().and_then(|text| python(text).ok());
    Ok(Wishes { python: args.python.or(set), command, port })
}

/// Writes both files, or says why not.
fn put(args: &InitArgs, root: &Path, style: Style, written: &Written, ui: &Ui) -> Result<(), BuildError> {
    // As people would name them: without a `./` in front.
    let root = root.strip_prefix(".").unwrap_or(root);
    let path = args.file.clone().unwrap_or_else(|| root.join("Dockerfile"));
    let before = existing(&path)?;
    let is_same = before.as_deref() == Some(written.dockerfile.as_str());
    if let Some(before) = before.as_deref().filter(|_| !is_same) {
        let name = path.display().to_string();
        print(unified(&name, Some(before), &written.dockerfile).trim_end())?;
        if !args.force {
            return Err(BuildError::new(format!("`{name}` is there already, and was left as it is"))
                .hint("--force replaces it by what is shown; --file writes to another place"));
        }
    }
    // The ignore file of its own, where there is one, is what counts for this Dockerfile.
    let own = PathBuf::from(format!("{}.dockerignore", path.display()));
    let ignore = if own.is_file() { own } else { root.join(".dockerignore") };
    let before = existing(&ignore)?;
    let (text, done) = match &before {
        None => (Some(written.dockerignore.clone()), "wrote"),
        Some(before) => (extend(before, &written.dockerignore, &written.kept), "extended"),
    };
    if let Some(text) = text {
        write_file(&ignore, text.as_bytes())?;
        let lines = text.lines().count() - before.map_or(0, |before| before.lines().count());
        ui.note(&format!("{done} {} ({})", ignore.display(), plural(lines, "line")));
    }
    if is_same {
        ui.note(&format!("{} is up to date", path.display()));
    } else {
        write_file(&path, written.dockerfile.as_bytes())?;
        ui.note(&format!("wrote {} (style {style})", path.display()));
    }
    Ok(())
}

/// The text of a file; `None` where there is none.
fn existing(path: &Path) -> Result<Option<String>, BuildError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BuildError::from(error).context(path.display())),
    }
}

/// What was found, and what the author should know.
fn tell(gathered: &Gathered, written: &Written, ui: &Ui) {
    if let Some(start) = &gathered.facts.start {
        ui.note(&format!("it starts with `{}`: {}", start.argv.join(" "), gathered.reason));
    }
    for note in gathered.notes.iter().chain(&written.notes) {
        ui.note(&format!("note: {note}"));
    }
}

/// The command that builds the image.
fn build_command(args: &InitArgs, root: &Path, facts: &Facts) -> String {
    let directory = || Some(root.canonicalize().ok()?.file_name()?.to_str()?.to_lowercase());
    let is_plain = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let name = facts.name.clone().or_else(directory).filter(is_plain).unwrap_or_else(|| "app".to_owned());
    let file = args.file.as_ref().map_or_else(String::new, |file| format!(" -f {}", file.display()));
    format!("docker build -t {name}{file} {}", root.display())
}

/// `3.13`
fn python(text: &str) -> Result<(u32, u32), String> {
    let (major, minor) = text.split_once('.').ok_or("expected a version such as 3.13")?;
    match (major.parse(), minor.parse()) {
        (Ok(3), Ok(minor)) => Ok((3, minor)),
        _ => Err("expected a version such as 3.13".to_owned()),
    }
}
