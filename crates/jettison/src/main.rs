//! The `jettison` command.
//!
//! 1. A process that the sandbox started again goes its own way; any other settles its [`memory`].
//! 2. [`cli::Cli`] says what is wanted; [`session::Session`] holds what all verbs share, with what [`environment`] found.
//! 3. One file under [`commands`] does each verb; [`foreground`] is for a program that runs meanwhile.
//! 4. [`ui`] is what people see, [`exit::Exit`] what the shell does.

mod cli;
mod commands;
mod environment;
mod exit;
mod foreground;
mod memory;
mod session;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    jettison_engine::sandbox::init_if_child();
    memory::share();
    cli::run().into()
}
