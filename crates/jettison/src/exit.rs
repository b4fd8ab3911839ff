//! What the process says to the shell.

use std::process::ExitCode;

/// Every exit code there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Fine,
    /// Done, and there is something to look at.
    Findings,
    /// It did not work.
    Failed,
    /// A registry, mirror or index was down: the same call may work later (`EX_TEMPFAIL`).
    TryAgain,
    /// That of the program that was run.
    Program(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::Failed => 2,
            Self::TryAgain => 75,
            Self::Program(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
