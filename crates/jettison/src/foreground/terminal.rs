//! The terminal of this process, lent to the program's own.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jettison_build::run::Started;
use jettison_engine::sandbox::WindowSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The size of a terminal that has none.
const USUAL: WindowSize = WindowSize { rows: 24, columns: 80 };
/// What a terminal makes the end of its input.
const END_OF_INPUT: &[u8] = &[4];

/// The size of the terminal that this process has.
pub fn window_size() -> WindowSize {
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stdin()));
    match size {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => WindowSize { rows: size.ws_row, columns: size.ws_col },
        _ => USUAL,
    }
}

/// A terminal that is lent. When this is dropped all output is out, and the terminal is as it was.
pub struct Attached {
    output: Option<JoinHandle<()>>,
    _raw: Option<Raw>,
}

/// Connects the program's terminal with ours; its input too where it is `interactive`.
pub fn attach(started: &Arc<Started>, interactive: bool) -> Attached {
    let clone = || started.running.terminal.as_ref().and_then(|terminal| terminal.try_clone().ok());
    let output = clone().map(|mut terminal| {
        thread::spawn(move || {
            // Reading fails when the last program on it has ended.
            let _ = copy_output(&mut terminal);
        })
    });
    let mut raw = None;
    if interactive {
        raw = Raw::set();
        if let Some(mut terminal) = clone() {
            thread::spawn(move || {
                let mut input = io::stdin().lock();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = input.read(&mut buffer) {
                    if terminal.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
                let _ = terminal.write_all(END_OF_INPUT);
            });
        }
    }
    Attached { output, _raw: raw }
}

fn copy_output(terminal: &mut File) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = terminal.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..read])?;
        out.flush()?;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(output) = self.output.take() {
            let _ = output.join();
        }
    }
}

/// Our terminal passes on every key as it is. Dropping this makes it as it was.
struct Raw(Termios);

impl Raw {
    fn set() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}
