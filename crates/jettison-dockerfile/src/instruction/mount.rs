//! `RUN --mount=`: options by comma, then a mount.
//!
//! 1. [`MountSpec::parse`] cuts the value at its commas, as a line of CSV (RFC 4180).
//! 2. [`MountSpec::resolve`] expands each value and makes a [`Mount`] of them, or says which option is wrong.
//! 3. [`MountSpec::check`] finds what is wrong before any value is known.

use crate::expand::{Environment, ExpandError, Expander};
use crate::problem::similar;
use crate::source::Span;
use crate::word::Word;
use std::fmt;

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

/// The fields of one line of CSV.
fn fields(line: &Word) -> Result<Vec<Word>, MountError> {
    let out_of_place = |at: usize| MountError { kind: MountErrorKind::Quote, span: line.span_of(at..at + 1) };
    let mut fields = Vec::new();
    let mut start = 0;
    loop {
        let rest = &line[start..];
        let end = if rest.starts_with('"') {
            let mut field = Word::default();
            let mut at = start + 1;
            loop {
                let Some(length) = line[at..].find('"') else { return Err(out_of_place(start)) };
                for (offset, c) in line[at..at + length].char_indices() {
                    let offset = at + offset;
                    field.push(c, line.span_of(offset..offset + c.len_utf8()));
                }
                at += length + 1;
                if !line[at..].starts_with('"') {
                    break;
                }
                field.push('"', line.span_of(at - 1..at + 1));
                at += 1;
            }
            fields.push(field.spanning(line.span_of(start..at)));
            at
        } else {
            let end = start + rest.find(',').unwrap_or(rest.len());
            if let Some(quote) = line[start..end].find('"') {
                return Err(out_of_place(start + quote));
            }
            fields.push(line.slice(start..end));
            end
        };
        match line[end..].chars().next() {
            None => return Ok(fields),
            Some(',') => start = end + 1,
            Some(_) => return Err(out_of_place(end - 1)),
        }
    }
}

/// Go's `strconv.ParseBool`.
fn go_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn number(value: &str, radix: u32) -> Option<u32> {
    u32::from_str_radix(value, radix).ok().filter(|_| !value.starts_with('+'))
}

/// A size as go-units' `RAMInBytes` reads it: a number, perhaps with a fraction, and `k`, `m`, `g`, `t` or `p`, each 1024 of
/// the one before, with `b` or `ib` behind it if one likes.
fn size(value: &str) -> Option<u64> {
    let end = value.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, unit) = value.split_at(end);
    let number: f64 = number.trim_end().parse().ok().filter(|number| (0.0..1e18).contains(number))?;
    let unit = unit.to_ascii_lowercase();
    let prefix = match unit.strip_suffix('b').map(|unit| unit.strip_suffix('i').unwrap_or(unit)).unwrap_or(&unit) {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(prefix);
    (bytes < 1e18).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::Escape;

    fn spec(value: &str) -> Result<MountSpec, MountError> {
        let mut word = Word::default();
        word.push_str(value, 100);
        MountSpec::parse(&word)
    }

    fn resolve(value: &str) -> Result<Mount, MountError> {
        let env = [("cache".to_owned(), "/root/.cache".to_owned()), ("yes".to_owned(), "true".to_owned())];
        spec(value)?.resolve(Expander::new(Escape::Backslash), &env.as_slice())
    }

    #[test]
    fn every_option_is_read() {
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            ("target=/a", Mount { target: text("/a"), read_only: true, ..Mount::default() }),
            (
                "type=bind,source=x,dst=/a,from=base,rw",
                Mount { from: text("base"), source: text("x"), target: text("/a"), ..Mount::default() },
            ),
            (
                "TYPE=Cache,id=pip,destination=$cache/pip,sharing=locked,mode=0755,uid=1,gid=2,ro=$yes",
                Mount {
                    kind: MountKind::Cache,
                    id: text("pip"),
                    target: text("/root/.cache/pip"),
                    sharing: Sharing::Locked,
                    mode: Some(0o755),
                    uid: Some(1),
                    gid: Some(2),
                    read_only: true,
                    ..Mount::default()
                },
            ),
            (
                "size=1.5GiB,type=tmpfs,target=/t",
                Mount { kind: MountKind::Tmpfs, size: Some(3 << 29), target: text("/t"), ..Mount::default() },
            ),
            (
                "required,type=secret,id=a,env=TOKEN,mode=400",
                Mount {
                    kind: MountKind::Secret,
                    id: text("a"),
                    env: text("TOKEN"),
                    mode: Some(0o400),
                    required: true,
                    read_only: true,
                    ..Mount::default()
                },
            ),
            (
                "type=ssh,required=false,readwrite=0",
                Mount { kind: MountKind::Ssh, read_only: true, ..Mount::default() },
            ),
            (
                "\"target=/a,b\",\"src=\"\"q\"\"\",rw",
                Mount { target: text("/a,b"), source: text("q"), ..Mount::default() },
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(resolve(value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            (
                "type=cach,target=/a",
                (105, 109),
                "`cach` is no value of the option `type` of `--mount`",
                "did you mean `cache`?",
            ),
            (
                "type=nfs",
                (105, 108),
                "`nfs` is no value of the option `type` of `--mount`",
                "it is `bind`, `cache`, `tmpfs`, `secret` or `ssh`",
            ),
            ("targt=/a", (100, 105), "`--mount` has no option `targt`", "did you mean `target`?"),
            ("target", (100, 106), "the option `target` of `--mount` needs a value", "write `target=…`"),
            ("type=secret", (100, 111), "the secret has no `id`", "write `type=secret,id=…`"),
            ("type=secret,id=a,src=b", (100, 122), "the secret has both `id` and `source`", "take it away"),
            ("type=secret,id=a,from=b", (117, 121), "a mount of type `secret` has no option `from`", "take it away"),
            ("type=bind,sharing=locked", (110, 117), "a mount of type `bind` has no option `sharing`", "take it away"),
            (
                "type=cache,sharing=lock",
                (119, 123),
                "`lock` is no value of the option `sharing` of `--mount`",
                "did you mean `locked`?",
            ),
            (
                "type=tmpfs,size=1x",
                (116, 118),
                "`1x` is no value of the option `size` of `--mount`",
                "it is a size as `64m`",
            ),
            (
                "type=cache,mode=09",
                (116, 118),
                "`09` is no value of the option `mode` of `--mount`",
                "it is an octal number as `0755`",
            ),
            ("uid=1", (100, 103), "a mount of type `bind` has no option `uid`", "take it away"),
            (
                "type=cache,uid=app",
                (115, 118),
                "`app` is no value of the option `uid` of `--mount`",
                "it is a number; names are not looked up here",
            ),
            ("required", (100, 108), "a mount of type `bind` has no option `required`", "take it away"),
            ("ro=maybe", (103, 108), "`maybe` is no value of the option `ro` of `--mount`", "it is `true` or `false`"),
            (
                "target=/a\"b",
                (109, 110),
                "the options of `--mount` have a quote out of place",
                "put the whole option in quotes, and escape them: `\\\"target=/a,b\\\"`",
            ),
            (
                "\"target=/a",
                (100, 101),
                "the options of `--mount` have a quote out of place",
                "put the whole option in quotes, and escape them: `\\\"target=/a,b\\\"`",
            ),
            ("target=${a", (107, 110), "`${` is never closed", "write `\\$` for a dollar sign that stands for itself"),
        ];
        for (value, (start, end), message, hint) in cases {
            let error = resolve(value).unwrap_err();
            let said = (error.to_string(), error.hint().unwrap(), error.span);
            assert_eq!(said, (message.to_owned(), hint.to_owned(), Span::new(start, end)), "{value}");
        }
    }

    #[test]
    fn values_with_variables_are_left_for_later() {
        let check = |value: &str| {
            spec(value).unwrap().check(Expander::default()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(check("type=$kind,target=$t"), [""; 0]);
        assert_eq!(check("type=cache,uid=$uid,nope=1"), ["`--mount` has no option `nope`"]);
        assert_eq!(check("from=$image,target=/a"), ["`from` of `--mount` does not expand variables"]);
        assert_eq!(check("type=cache,uid=x"), ["`x` is no value of the option `uid` of `--mount`"]);
    }

    #[test]
    fn sizes_are_binary() {
        let cases =
            [("10", Some(10)), ("10b", Some(10)), ("1k", Some(1024)), ("1KB", Some(1024)), ("1 KiB", Some(1024))];
        for (value, expected) in
            cases.into_iter().chain([("", None), ("k", None), ("1ib", None), ("-1", None), ("9e99p", None)])
        {
            assert_eq!(size(value), expected, "{value}");
        }
    }
}
