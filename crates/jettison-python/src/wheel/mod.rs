//! Wheels (binary distribution format; PEP 427, 491).
//!
//! 1. [`WheelFilename`]: what the name of the file says.

mod filename;

pub use filename::{BuildTag, WheelFilename, WheelFilenameError};
