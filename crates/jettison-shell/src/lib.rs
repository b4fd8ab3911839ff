//! Shell scripts: text in, commands with their places out. Nothing here touches a disk or runs a program.
//!
//! 1. [`Script::parse`] reads a text in a [`Dialect`] and never fails: `parse` makes a [`List`] of it ([`syntax`]), of
//!    [`Word`]s made of [`Part`]s, and lists what it could not read ([`ParseError`]).
//! 2. [`Script::commands`] walks the tree and yields every simple command at any depth as a [`Command`]: its program behind
//!    `sudo`, `env` and their like, its flags and operands, and where it stands: what its failure does, in which directory it
//!    runs. The shell that runs the script may have been given options: [`Shell`].
//! 3. [`Command::removal`] and [`Command::insertion_after`] have the ranges that an edit of a list takes.
//! 4. [`packages`] reads the calls of package managers.
//!
//! ```
//! use jettison_shell::{Dialect, PackageCall, Script};
//!
//! let text = "set -e; cd /app && sudo apt-get install -qy gcc=4:12.2.0-3 || exit 1";
//! let script = Script::parse(text, Dialect::Posix);
//! let commands = script.commands();
//! let install = commands.iter().find(|command| command.is("apt-get")).unwrap();
//! assert!(install.has_flag(&["-y", "--yes"]) && install.fails_script());
//! assert_eq!(install.directory(), Some("/app"));
//! let call = PackageCall::of(install).unwrap();
//! assert_eq!(call.operands[0].name, "gcc");
//! assert_eq!(&text[call.operands[0].range.clone()], "gcc=4:12.2.0-3");
//! ```
//!
//! All ranges are of bytes in the text that was parsed, also those of a script within: `sh -c '…'`, `$(…)`, a heredoc.

mod command;
mod edit;
mod error;
mod flags;
pub mod packages;
mod parse;
mod script;
mod shell;
pub mod syntax;
mod walk;
mod word;
mod wrapper;

pub use command::{Argument, Command, Failure, Mask};
pub use edit::Insertion;
pub use error::{ParseError, ParseErrorKind};
pub use packages::PackageCall;
pub use script::{Piped, Script};
pub use shell::{Dialect, Shell};
pub use syntax::List;
pub use word::{Part, PartKind, Word};
