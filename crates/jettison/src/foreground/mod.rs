//! A program in the foreground: it gets the signals, the terminal and the connections that come to this process.

mod ports;
mod signals;
mod terminal;

use std::sync::Arc;

use jettison_build::run::Started;
use jettison_engine::sandbox::ExitStatus;

pub use ports::{Forward, Listeners, listen};
pub use signals::Signals;
pub use terminal::window_size;

/// Stays with the program until it ends, and returns its exit code as shells count it.
pub fn attend(started: Started, signals: &Signals, listeners: Listeners, tty: bool, interactive: bool) -> u8 {
    let started = Arc::new(started);
    signals.pass_on_to(&started);
    listeners.pass_on_to(&started);
    let terminal = tty.then(|| terminal::attach(&started, interactive));
    let status = started.running.wait();
    drop(terminal);
    match status {
        ExitStatus::Code(code) => code as u8,
        ExitStatus::Signal(signal) => (128 + signal) as u8,
    }
}
