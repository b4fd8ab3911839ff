//! Dockerfiles and `.dockerignore`: text in, values out. Nothing here touches a disk, a network or an image.
//!
//! 1. [`Dockerfile::parse`] reads a text and never fails: [`syntax`] makes lines into [`Token`]s and [`Node`]s that hold every
//!    byte, `heredoc` takes the lines that belong to heredocs, `split` and `json` find the words of an instruction.
//! 2. [`instruction`] makes typed values of them ([`InstructionKind`]), each [`Word`] with its place in the file.
//! 3. [`Dockerfile::problems`] has what is wrong ([`Problem`]), with places and hints.
//! 4. [`expand`] resolves variables, quotes and escapes in a [`Word`], once there is an [`Environment`].
//! 5. [`apply`] edits a text by [`Span`].
//! 6. [`Ignore`]: the patterns of a `.dockerignore`, and which paths of a build context they leave out. [`class`] is what its wildcards
//!    have in common with those of `COPY`.

pub mod class;
mod dockerfile;
pub mod expand;
mod heredoc;
mod ignore;
pub mod instruction;
mod json;
mod problem;
mod source;
mod split;
pub mod syntax;
mod token;
mod word;

pub use dockerfile::{Dockerfile, Stage};
pub use expand::{Environment, Escape, ExpandError, Expander, Expansion, expand_word, expand_words};
pub use heredoc::Heredoc;
pub use ignore::{Ignore, IgnoreError};
pub use instruction::{Instruction, InstructionKind};
pub use problem::{Problem, ProblemKind, Severity};
pub use source::{Edit, EditError, Position, Span, apply};
pub use syntax::{Directive, DirectiveName, Node, NodeKind};
pub use token::{Token, TokenKind};
pub use word::Word;
