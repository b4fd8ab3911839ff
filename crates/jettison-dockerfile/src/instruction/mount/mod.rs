//! `RUN --mount=`: options by comma, then a mount.
//!
//! 1. [`MountSpec::parse`] cuts the value at its commas, as a line of CSV (RFC 4180; `values`).
//! 2. [`MountSpec::resolve`] expands each value and makes a [`Mount`] of them, or says which option is wrong.
//! 3. [`MountSpec::check`] finds what is wrong before any value is known.

mod values;

use crate::expand::{Environment, ExpandError, Expander};
use crate::problem::similar;
use crate::source::Span;
use crate::word::Word;
use std::fmt;
use values::{fields, go_bool, number, size};

/// A `--mount` as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// The value of the flag, quotes taken away.
    pub value: Word,
    /// Its options, in order.
    pub options: Vec<MountOption>,
}

/// `key[=value]` of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// The key as it was written; its case means nothing.
    pub key: Word,
    /// The value, unexpanded.
    pub value: Option<Word>,
}

/// What a mount holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MountKind {
    /// A directory or file of the context, a stage or an image. What is written to it is lost.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A file with a secret.
    Secret,
    /// The socket of an SSH agent.
    Ssh,
}

/// What two steps do that want the same cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Both write to it at once.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// The second waits.
    Locked,
}

/// A mount, all variables expanded. Defaults that depend on where it is used are left to the caller: a cache's id is its
/// target, a secret's the last component of its target, a relative target is below the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// `type`.
    pub kind: MountKind,
    /// `from`: a stage, an image or a named context.
    pub from: Option<String>,
    /// `source`, `src`.
    pub source: Option<String>,
    /// `target`, `dst`, `destination`.
    pub target: Option<String>,
    /// `readonly`, `ro`, and `readwrite`, `rw`: true unless said otherwise, but for caches and tmpfs.
    pub read_only: bool,
    /// `size` of a tmpfs, in bytes.
    pub size: Option<u64>,
    /// `id` of a cache, a secret or a socket.
    pub id: Option<String>,
    /// `sharing` of a cache.
    pub sharing: Sharing,
    /// `required`: fail when there is no such secret or agent.
    pub required: bool,
    /// `env`: the variable that a secret is put into, instead of a file unless `target` is given too.
    pub env: Option<String>,
    /// `mode`, permission bits.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
}

/// Why a mount is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountError {
    /// What is wrong.
    pub kind: MountErrorKind,
    /// The option.
    pub span: Span,
}

/// What is wrong with a mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountErrorKind {
    /// A quote that is not closed, or that stands in the middle of an option.
    #[error("the options of `--mount` have a quote out of place")]
    Quote,
    /// An option that there is not.
    #[error("`--mount` has no option `{key}`")]
    UnknownOption {
        /// The key.
        key: String,
        /// The key that was meant, perhaps.
        similar: Option<&'static str>,
    },
    /// An option without its value.
    #[error("the option `{key}` of `--mount` needs a value")]
    NoValue {
        /// The key.
        key: String,
    },
    /// A value that is none of the option.
    #[error("`{value}` is no value of the option `{key}` of `--mount`")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it can be.
        expected: &'static str,
        /// The value that was meant, perhaps.
        similar: Option<&'static str>,
    },
    /// An option of another type of mount.
    #[error("a mount of type `{kind}` has no option `{key}`")]
    NotOfKind {
        /// The key.
        key: &'static str,
        /// The type.
        kind: MountKind,
    },
    /// `type=secret` with nothing that names it.
    #[error("the secret has no `id`")]
    SecretWithoutId,
    /// `type=secret` with two names.
    #[error("the secret has both `id` and `source`")]
    SecretWithTwoIds,
    /// A variable in `from`.
    #[error("`from` of `--mount` does not expand variables")]
    FromVariable,
    /// A value that cannot be expanded.
    #[error(transparent)]
    Expand(ExpandError),
}

impl MountError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            MountErrorKind::Quote => {
                Some("put the whole option in quotes, and escape them: `\\\"target=/a,b\\\"`".to_owned())
            }
            MountErrorKind::UnknownOption { similar, .. } => {
                similar.map(|similar| format!("did you mean `{similar}`?"))
            }
            MountErrorKind::NoValue { key } => Some(format!("write `{key}=…`")),
            MountErrorKind::Value { similar: Some(similar), .. } => Some(format!("did you mean `{similar}`?")),
            MountErrorKind::Value { expected, .. } => Some(format!("it is {expected}")),
            MountErrorKind::NotOfKind { .. } | MountErrorKind::SecretWithTwoIds => Some("take it away".to_owned()),
            MountErrorKind::SecretWithoutId => Some("write `type=secret,id=…`".to_owned()),
            MountErrorKind::FromVariable => {
                Some("give the image a stage of its own, `FROM $image AS name`, and take that".to_owned())
            }
            MountErrorKind::Expand(error) => error.hint(),
        }
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for MountError {}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];
const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARINGS: [&str; 3] = ["shared", "private", "locked"];

impl MountSpec {
    /// Takes the value of a `--mount` apart. A quote out of place is an error.
    pub fn parse(value: &Word) -> Result<Self, MountError> {
        let options = fields(value)?.into_iter().map(|field| match field.find('=') {
            Some(equals) => {
                MountOption { key: field.slice(0..equals), value: Some(field.slice(equals + 1..field.len())) }
            }
            None => MountOption { key: field, value: None },
        });
        Ok(Self { options: options.collect(), value: value.clone() })
    }

    /// The mount that it is when its variables have the values of `env`.
    pub fn resolve(&self, expander: Expander, env: &dyn Environment) -> Result<Mount, MountError> {
        let mut values = Vec::with_capacity(self.options.len());
        for option in &self.options {
            let value =
                match &option.value {
                    None => None,
                    Some(word) => Some(expander.word(word, env).map_err(|error| MountError {
                        span: error.span_in(word),
                        kind: MountErrorKind::Expand(error),
                    })?),
                };
            values.push((option, value.map(|expansion| expansion.value)));
        }
        self.assemble(&values)
    }

    /// What is wrong whatever the values of variables are, one error an option at most.
    pub fn check(&self, expander: Expander) -> Vec<MountError> {
        let mut errors = Vec::new();
        let mut variables = false;
        for option in &self.options {
            if let Err(error) = known(option) {
                errors.push(error);
            }
            let Some(word) = &option.value else { continue };
            match expander.check(word) {
                Ok(found) => variables |= !found.is_empty(),
                Err(error) => {
                    errors.push(MountError { span: error.span_in(word), kind: MountErrorKind::Expand(error) });
                }
            }
            // BuildKit lets a `$` at the end through.
            if option.key.eq_ignore_ascii_case("from") && word.find('$').is_some_and(|at| at + 1 != word.len()) {
                errors.push(MountError { kind: MountErrorKind::FromVariable, span: word.span() });
            }
        }
        if errors.is_empty() && !variables {
            errors.extend(self.resolve(expander, &()).err());
        }
        errors
    }

    fn assemble(&self, options: &[(&MountOption, Option<String>)]) -> Result<Mount, MountError> {
        let mut mount = Mount::default();
        // The type comes first, wherever it stands, since the others depend on it.
        for (option, value) in options.iter().filter(|(option, _)| option.key.eq_ignore_ascii_case("type")) {
            mount.kind = one_of("type", option, value.as_deref(), &KINDS, MountKind::from_name)?;
        }
        mount.read_only = !matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs);
        for (option, value) in options {
            mount.set(known(option)?, option, value.as_deref())?;
        }
        let error = |kind| Err(MountError { kind, span: self.value.span() });
        if mount.kind == MountKind::Secret {
            match (&mount.id, &mount.source, &mount.target) {
                (None, None, None) => return error(MountErrorKind::SecretWithoutId),
                (Some(_), Some(_), _) => return error(MountErrorKind::SecretWithTwoIds),
                _ => {}
            }
        }
        Ok(mount)
    }
}

impl Mount {
    fn set(&mut self, key: &'static str, option: &MountOption, value: Option<&str>) -> Result<(), MountError> {
        let span = option.value.as_ref().map_or(option.key.span(), Word::span);
        let wrong = |expected| MountError {
            kind: MountErrorKind::Value { key, value: value.unwrap_or_default().to_owned(), expected, similar: None },
            span,
        };
        let of_kind = |kinds: &[MountKind]| match kinds.contains(&self.kind) {
            true => Ok(()),
            false => {
                Err(MountError { kind: MountErrorKind::NotOfKind { key, kind: self.kind }, span: option.key.span() })
            }
        };
        let boolean = || match value {
            None => Ok(true),
            Some(value) => go_bool(value).ok_or_else(|| wrong("`true` or `false`")),
        };
        use MountKind::{Bind, Cache, Secret, Ssh, Tmpfs};
        match key {
            "readonly" | "ro" => self.read_only = boolean()?,
            "readwrite" | "rw" => self.read_only = !boolean()?,
            "required" => {
                of_kind(&[Secret, Ssh])?;
                self.required = boolean()?;
            }
            "env" => self.env = Some(needed(option, value)?.to_owned()),
            _ => {
                let value = needed(option, value)?;
                let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
                match key {
                    "from" => {
                        of_kind(&[Bind, Cache, Tmpfs, Ssh])?;
                        self.from = text();
                    }
                    "source" | "src" => self.source = text(),
                    "target" | "dst" | "destination" => self.target = text(),
                    "id" => self.id = text(),
                    "size" => {
                        of_kind(&[Tmpfs])?;
                        self.size = Some(size(value).ok_or_else(|| wrong("a size as `64m`"))?);
                    }
                    "sharing" => {
                        of_kind(&[Cache])?;
                        self.sharing = one_of(key, option, Some(value), &SHARINGS, Sharing::from_name)?;
                    }
                    "mode" => {
                        of_kind(&[Secret, Ssh, Cache])?;
                        self.mode = Some(number(value, 8).ok_or_else(|| wrong("an octal number as `0755`"))?);
                    }
                    "uid" | "gid" => {
                        of_kind(&[Secret, Ssh, Cache])?;
                        let id = number(value, 10).ok_or_else(|| wrong("a number; names are not looked up here"))?;
                        *(if key == "uid" { &mut self.uid } else { &mut self.gid }) = Some(id);
                    }
                    // The type is known already.
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl MountKind {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "bind" => Self::Bind,
            "cache" => Self::Cache,
            "tmpfs" => Self::Tmpfs,
            "secret" => Self::Secret,
            "ssh" => Self::Ssh,
            _ => return None,
        })
    }
}

impl Sharing {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "shared" => Self::Shared,
            "private" => Self::Private,
            "locked" => Self::Locked,
            _ => return None,
        })
    }
}

impl fmt::Display for MountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS[*self as usize])
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHARINGS[*self as usize])
    }
}

/// The key of an option that there is.
fn known(option: &MountOption) -> Result<&'static str, MountError> {
    KEYS.into_iter().find(|key| option.key.eq_ignore_ascii_case(key)).ok_or_else(|| {
        let kind = MountErrorKind::UnknownOption { key: option.key.to_string(), similar: similar(&option.key, KEYS) };
        MountError { kind, span: option.key.span() }
    })
}

fn needed<'v>(option: &MountOption, value: Option<&'v str>) -> Result<&'v str, MountError> {
    let kind = || MountErrorKind::NoValue { key: option.key.to_string() };
    value.ok_or_else(|| MountError { kind: kind(), span: option.key.span() })
}

fn one_of<T>(
    key: &'static str,
    option: &MountOption,
    value: Option<&str>,
    names: &[&'static str],
    named: fn(&str) -> Option<T>,
) -> Result<T, MountError> {
    let value = needed(option, value)?;
    let expected =
        if key == "type" { "`bind`, `cache`, `tmpfs`, `secret` or `ssh`" } else { "`shared`, `private` or `locked`" };
    named(&value.to_ascii_lowercase()).ok_or_else(|| MountError {
        kind: MountErrorKind::Value {
            key,
            value: value.to_owned(),
            expected,
            similar: similar(value, names.iter().copied()),
        },
        span: option.value.as_ref().map_or(option.key.span(), Word::span),
    })
}

#[cfg(test)]
mod tests;
