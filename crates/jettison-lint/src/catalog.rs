//! What the world outside says: digests of images, wheels of an index, ShellCheck. Asked by whoever runs the lint, or not at all.

use crate::rule::Severity;
use jettison_oci::reference::Reference;
use jettison_python::NormalizedName;
use std::ops::Range;

/// Answers about images and distributions. `None` is "not known", never "no".
pub trait Catalog {
    /// The digest that a tag stands for now, `sha256:…`.
    fn digest(&self, image: &Reference) -> Option<String>;

    /// Whether every version of a distribution that `version` (PEP 440 specifiers, perhaps empty) allows, newest first, has a wheel
    /// that a musl system runs: pure, or `musllinux`.
    fn has_musl_wheel(&self, name: &NormalizedName, version: &str) -> Option<bool>;

    /// What the configuration of an image says, for the platform that `FROM` names or the one that is built for.
    fn image(&self, _image: &Reference, _platform: Option<&str>) -> Option<ImageFacts> {
        None
    }

    /// What ShellCheck says of each of these scripts; `None` if it is not there, or failed.
    fn shellcheck(&self, _scripts: &[ShellcheckScript<'_>]) -> Option<Vec<Vec<ShellcheckNote>>> {
        None
    }
}

/// What the configuration of an image says, as far as rules ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The names of its variables.
    pub variables: Vec<String>,
    /// `WorkingDir`; empty for `/`.
    pub workdir: String,
    /// Whether it has a `SHELL`.
    pub has_shell: bool,
    /// Its platform, as `linux/arm64`.
    pub platform: String,
    /// The platform that was asked for.
    pub wanted: String,
}

/// A script for ShellCheck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellcheckScript<'s> {
    /// Its text, with a line for the shell (`#!/bin/bash`) and lines for the variables above it.
    pub text: &'s str,
}

/// What ShellCheck says of a piece of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellcheckNote {
    /// Its number: 2086 of `SC2086`.
    pub code: u32,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    /// What it proposes to put in place of bytes of the text; none if it proposes nothing.
    pub replacements: Vec<(Range<usize>, String)>,
}

/// Nothing is known.
impl Catalog for () {
    fn digest(&self, _: &Reference) -> Option<String> {
        None
    }

    fn has_musl_wheel(&self, _: &NormalizedName, _: &str) -> Option<bool> {
        None
    }
}
