//! Flags and verbs: what the command line can say, and who does it.
//!
//! 1. [`run`] parses.
//! 2. [`Session::new`] opens what most verbs share.
//! 3. The verb's own file under [`commands`](crate::commands) works.
//! 4. An error is shown with its hint and becomes an [`Exit`].

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jettison_build::BuildError;

use crate::commands::{build, cache, copy, images, init, lint, pull, push, rmi, run};
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{Colour, ProgressMode, Ui};

/// Python projects to small, verified, reproducible images.
#[derive(Debug, Parser)]
#[command(
    name = "jettison",
    version,
    about = "Python projects to small, verified, reproducible images",
    after_help = EXAMPLES,
    max_term_width = 100,
    propagate_version = false
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  jettison build                            build the project in this directory
  jettison run .                            run what was built
  jettison build -t ghcr.io/me/app --push   build and push
  jettison copy store:app oci:layout:app    copy an image to another place
  jettison lint --fix                       mend the Dockerfiles below this directory
  jettison init                             write a Dockerfile for this project

Exit codes: 0 done, 1 findings, 2 failed, 75 failed and worth trying again.";

/// What every verb understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where images and caches are kept [env: JETTISON_STORE] [default: ~/.local/share/jettison]
    #[arg(long, global = true, value_name = "DIR", display_order = 900)]
    pub store: Option<PathBuf>,
    /// Use no network
    #[arg(long, global = true, display_order = 901)]
    pub offline: bool,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto, value_name = "MODE", display_order = 902)]
    pub progress: ProgressMode,
    /// Show warnings and errors alone
    #[arg(short, long, global = true, conflicts_with = "progress", display_order = 903)]
    pub quiet: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN", display_order = 904)]
    pub color: Colour,
    /// A registry whose certificate is not checked, and which may have none; may be repeated
    #[arg(long, global = true, value_name = "HOST[:PORT]", display_order = 905)]
    pub insecure_registry: Vec<String>,
    /// A server to read images of a registry from first: docker.io=mirror.example; may be repeated
    #[arg(long, global = true, value_name = "NAME=HOST", value_parser = mirror, display_order = 906)]
    pub registry_mirror: Vec<(String, String)>,
    /// A PEM file with certificates to trust besides the machine's; may be repeated
    #[arg(long, global = true, value_name = "FILE", display_order = 907)]
    pub cert: Vec<PathBuf>,
}

fn mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok((name.to_owned(), host.to_owned())),
        _ => Err("expected NAME=HOST, such as docker.io=mirror.example:5000".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Build(Box<build::BuildArgs>),
    Run(Box<run::RunArgs>),
    Lint(Box<lint::LintArgs>),
    Init(init::InitArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Copy(copy::CopyArgs),
    Images(images::ImagesArgs),
    Rmi(rmi::RmiArgs),
    Cache(cache::CacheArgs),
}

/// Does what the command line of this process says.
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Whoever closed the stream knows that there is nothing to see.
            let _ = error.print();
            return if error.use_stderr() { Exit::Failed } else { Exit::Fine };
        }
    };
    let mode = if cli.global.quiet { ProgressMode::Quiet } else { cli.global.progress };
    let ui = Ui::new(mode, cli.global.color);
    match dispatch(cli.verb, &cli.global, &ui) {
        Ok(exit) => exit,
        Err(error) => {
            ui.error(&error.to_string(), error.hint_text());
            if error.is_transient() { Exit::TryAgain } else { Exit::Failed }
        }
    }
}

fn dispatch(verb: Verb, global: &Global, ui: &Ui) -> Result<Exit, BuildError> {
    match verb {
        Verb::Build(args) => in_session(global, ui, |session| build::run(&args, session)),
        Verb::Run(args) => in_session(global, ui, |session| run::run(*args, session)),
        Verb::Push(args) => in_session(global, ui, |session| push::run(&args, session)),
        Verb::Pull(args) => in_session(global, ui, |session| pull::run(&args, session)),
        Verb::Copy(args) => in_session(global, ui, |session| copy::run(&args, session)),
        Verb::Images(args) => in_session(global, ui, |session| images::run(&args, session)),
        Verb::Rmi(args) => in_session(global, ui, |session| rmi::run(&args, session)),
        Verb::Cache(args) => in_session(global, ui, |session| cache::run(&args, session)),
        // It needs no store, and a network only sometimes: it begins at once.
        Verb::Lint(args) => lint::run(&args, global, ui),
        Verb::Init(args) => init::run(&args, global, ui),
    }
}

/// Works with what verbs share, and sees to it that what was kept in the store is kept.
fn in_session(
    global: &Global,
    ui: &Ui,
    work: impl FnOnce(&Session<'_>) -> Result<Exit, BuildError>,
) -> Result<Exit, BuildError> {
    let session = Session::new(global, ui)?;
    let done = work(&session);
    session.settle();
    done
}

/// Writes a result to standard output. That nobody reads it any more is no error.
pub fn print(text: &str) -> Result<(), BuildError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| BuildError::from(error).context("standard output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_and_flag_is_explained_in_a_line() {
        fn check(command: &clap::Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && about.len() <= 80, "{}: {about}", command.get_name());
            for flag in command.get_arguments().filter(|flag| !flag.is_hide_set() && flag.get_id() != "help") {
                assert!(flag.get_help().is_some(), "{} {}", command.get_name(), flag.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
