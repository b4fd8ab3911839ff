//! What a user can choose about a build: `[tool.jettison]` of `pyproject.toml`, or `jettison.toml`, under the flags.
//!
//! 1. [`Settings::read`] finds the file; an unknown key is an error with the nearest known one.
//! 2. [`Settings::under`] lays the flags on top: what a flag says wins, lists are replaced, maps are merged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::BuildError;

/// Every choice, where it was made. Each field has the name of its flag.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The Python version, `3.13` or a PEP 440 specifier.
    pub python: Option<String>,
    /// The base: `debian[:suite]`, `oci:…`, `docker://…`, `archive:URL#sha256=…`.
    pub base: Option<String>,
    /// Platforms, `linux/amd64`.
    pub platform: Option<Vec<String>>,
    /// The start command: words, or one string that is split as a shell splits it.
    pub command: Option<Command>,
    /// The port that the start command listens on; 0 for none.
    pub port: Option<u16>,
    /// Numeric user of the image, `65532` or `65532:65532`.
    pub user: Option<String>,
    /// Where the application stands in the image.
    pub workdir: Option<String>,
    /// Environment of the image.
    pub env: Option<BTreeMap<String, String>>,
    /// Labels of the image.
    pub labels: Option<BTreeMap<String, String>>,
    /// More Debian packages for the image.
    pub with: Option<Vec<String>>,
    /// Extras of the project to install.
    pub extras: Option<Vec<String>>,
    /// Dependency groups to install.
    pub groups: Option<Vec<String>>,
    /// What is cut from packages and distributions.
    pub trim: Option<Trim>,
    /// Which `.pyc` files are put in.
    pub bytecode: Option<Bytecode>,
    /// How layers are compressed.
    pub compression: Option<Compression>,
    /// Patterns of project files to take even where a default leaves them out.
    pub include: Option<Vec<String>>,
    /// Patterns of project files to leave out.
    pub exclude: Option<Vec<String>>,
    /// Debian packages that building a distribution from source needs, by distribution.
    pub build_packages: Option<BTreeMap<String, Vec<String>>>,
    /// How the image is verified.
    pub verify: Option<Verify>,
    /// Names for the image.
    pub tag: Option<Vec<String>>,
    /// What `jettison lint` reads, and nobody else.
    pub lint: Option<IgnoredAny>,
}

/// `verify` of the settings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verify {
    /// Whether it is done at all. Default: yes.
    pub enabled: Option<bool>,
    /// The path that is fetched. Default: `/`.
    pub path: Option<String>,
    /// Seconds that the start command has to answer. Default: 30.
    pub timeout: Option<u32>,
    /// Modules that are not imported.
    pub skip_imports: Option<Vec<String>>,
    /// Environment for the start command while it is verified, on top of the image's.
    pub env: Option<BTreeMap<String, String>>,
}

/// A start command as it was written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// `command = ["uvicorn", "main:app"]`
    Words(Vec<String>),
    /// `command = "uvicorn main:app"`
    Line(String),
}

/// What is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trim {
    /// Nothing.
    None,
    /// What no running program reads: tests, headers, static libraries, debug symbols, documentation.
    #[default]
    Safe,
    /// Also type stubs and what only a debugger or an introspecting tool reads.
    Max,
}

/// Which `.pyc` files are put in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bytecode {
    /// None.
    None,
    /// Those of the modules of the interpreter and the distributions that verification saw loaded.
    #[default]
    Profiled,
    /// Those of every module.
    Compiled,
    /// Those of every module, and no source of the interpreter and the distributions.
    Only,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// gzip, which everything reads.
    #[default]
    Gzip,
    /// zstd, smaller and faster to unpack.
    Zstd,
    /// Not at all.
    None,
}

macro_rules! words {
    ($type:ident { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl $type {
            /// The word that settings and flags use.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("expected one of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words!(Trim { "none" => None, "safe" => Safe, "max" => Max });
words!(Bytecode { "none" => None, "profiled" => Profiled, "compiled" => Compiled, "only" => Only });
words!(Compression { "gzip" => Gzip, "zstd" => Zstd, "none" => None });

#[derive(Default, Deserialize)]
struct Pyproject {
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Tool {
    jettison: Option<Settings>,
}

impl Settings {
    /// Reads the settings of the project at `root`: of `jettison.toml` or of `[tool.jettison]` in `pyproject.toml`,
    /// the defaults where there is neither. Both at once is an error.
    pub fn read(root: &Path) -> Result<Self, BuildError> {
        let text = |name: &str| match fs::read_to_string(root.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BuildError::new(format!("cannot read `{}`: {error}", root.join(name).display()))),
        };
        let own = match text("jettison.toml")? {
            Some(text) => Some(Self::parse(&text).map_err(|e| e.locate(&text, &root.join("jettison.toml")))?),
            None => None,
        };
        let pyproject = match text("pyproject.toml")? {
            Some(text) => Self::parse_pyproject(&text).map_err(|e| e.locate(&text, &root.join("pyproject.toml")))?,
            None => None,
        };
        match (own.filter(Self::is_about_builds), pyproject.filter(Self::is_about_builds)) {
            (Some(_), Some(_)) => Err(BuildError::new(
                "settings stand both in `jettison.toml` and in `[tool.jettison]` of `pyproject.toml`",
            )
            .hint("keep one of them")),
            (own, pyproject) => Ok(Self { lint: None, ..own.or(pyproject).unwrap_or_default() }),
        }
    }

    /// The file in `root` that says how its project is built natively; `None` where nothing says so.
    pub fn file(root: &Path) -> Option<&'static str> {
        // One that cannot be read is the native build's to complain about, if it comes to that.
        if let Ok(text) = fs::read_to_string(root.join("jettison.toml"))
            && Self::parse(&text).map_or(true, |settings| settings.is_about_builds())
        {
            return Some("jettison.toml");
        }
        let text = fs::read_to_string(root.join("pyproject.toml")).ok()?;
        let settings = Self::parse_pyproject(&text).ok()?;
        settings.filter(Self::is_about_builds).map(|_| "[tool.jettison] in pyproject.toml")
    }

    /// Whether anything is in it but what other commands read.
    fn is_about_builds(&self) -> bool {
        self.lint.is_none() || *self != Self { lint: self.lint, ..Self::default() }
    }

    fn parse(text: &str) -> Result<Self, SettingsError> {
        Ok(toml::from_str(text)?)
    }

    fn parse_pyproject(text: &str) -> Result<Option<Self>, SettingsError> {
        Ok(toml::from_str::<Pyproject>(text)?.tool.jettison)
    }

    /// These settings with `flags` on top.
    pub fn under(self, flags: Self) -> Self {
        fn merged<V>(
            old: Option<BTreeMap<String, V>>,
            new: Option<BTreeMap<String, V>>,
        ) -> Option<BTreeMap<String, V>> {
            match (old, new) {
                (Some(mut old), Some(new)) => {
                    old.extend(new);
                    Some(old)
                }
                (old, new) => new.or(old),
            }
        }
        let verify = match (self.verify, flags.verify) {
            (Some(old), Some(new)) => Some(Verify {
                enabled: new.enabled.or(old.enabled),
                path: new.path.or(old.path),
                timeout: new.timeout.or(old.timeout),
                skip_imports: new.skip_imports.or(old.skip_imports),
                env: merged(old.env, new.env),
            }),
            (old, new) => new.or(old),
        };
        Self {
            python: flags.python.or(self.python),
            base: flags.base.or(self.base),
            platform: flags.platform.or(self.platform),
            command: flags.command.or(self.command),
            port: flags.port.or(self.port),
            user: flags.user.or(self.user),
            workdir: flags.workdir.or(self.workdir),
            env: merged(self.env, flags.env),
            labels: merged(self.labels, flags.labels),
            with: flags.with.or(self.with),
            extras: flags.extras.or(self.extras),
            groups: flags.groups.or(self.groups),
            trim: flags.trim.or(self.trim),
            bytecode: flags.bytecode.or(self.bytecode),
            compression: flags.compression.or(self.compression),
            include: flags.include.or(self.include),
            exclude: flags.exclude.or(self.exclude),
            build_packages: merged(self.build_packages, flags.build_packages),
            verify,
            tag: flags.tag.or(self.tag),
            lint: None,
        }
    }
}

/// A settings file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct SettingsError(#[from] toml::de::Error);

impl SettingsError {
    fn locate(self, text: &str, path: &Path) -> BuildError {
        let message = self.0.message();
        let (line, column) = place_of(&self.0, text);
        let first = message.lines().next().unwrap_or_default();
        let error = BuildError::new(format!("{}:{line}:{column}: {first}", path.display()));
        match suggestion(first) {
            Some(known) => error.hint(format!("did you mean `{known}`?")),
            None => error,
        }
    }
}

/// Line and column of what is wrong with a TOML text, from 1.
pub(crate) fn place_of(error: &toml::de::Error, text: &str) -> (usize, usize) {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = &text.as_bytes()[..at];
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|&&byte| byte != b'\n').count();
    (line, column)
}

/// The known key nearest to the unknown one, both taken from serde's "unknown field `x`, expected one of `a`, `b`".
fn suggestion(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let score = |known: &&str| (strsim::jaro_winkler(unknown, known) * 1000.0) as u32;
    quoted.max_by_key(score).filter(|known| score(known) > 700)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = Settings::parse_pyproject(text).unwrap_err().locate(text, Path::new("pyproject.toml"));
        format!("{error} | {}", error.hint_text().unwrap_or("-"))
    }

    #[test]
    fn an_unknown_key_is_placed_and_the_nearest_is_named() {
        let text = "[project]\nname = 'x'\n\n[tool.jettison]\nbytecod = 'none'\n";
        assert!(error(text).starts_with("pyproject.toml:5:1: unknown field `bytecod`"), "{}", error(text));
        assert!(error(text).ends_with("| did you mean `bytecode`?"));
        assert!(error("[tool.jettison.verify]\ntimout = 3\n").ends_with("| did you mean `timeout`?"));
        assert!(error("[tool.jettison]\nxyzzy = 3\n").ends_with("| -"));
        assert!(error("[tool.jettison]\ntrim = 'all'\n").starts_with("pyproject.toml:2:8:"));
    }

    #[test]
    fn what_lint_reads_is_not_about_builds() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        write("pyproject.toml", "[tool.jettison.lint]\nselect = ['all']\nwhatever = 1\n");
        assert_eq!((Settings::file(root), Settings::read(root).unwrap()), (None, Settings::default()));
        write("jettison.toml", "[lint]\nignore = []\n");
        assert_eq!(Settings::file(root), None);
        write("jettison.toml", "trim = 'max'\n[lint]\nignore = []\n");
        assert_eq!(Settings::read(root).unwrap().trim, Some(Trim::Max));
        assert_eq!(Settings::file(root), Some("jettison.toml"));
        fs::remove_file(root.join("jettison.toml")).unwrap();
        write("pyproject.toml", "[tool.jettison]\n");
        assert_eq!(Settings::file(root), Some("[tool.jettison] in pyproject.toml"));
    }

    #[test]
    fn flags_win_and_maps_merge() {
        let map = |text: &str| toml::from_str::<Settings>(text).unwrap();
        let file = map("trim = 'max'\nwith = ['bash']\nenv = { A = '1', B = '2' }\nverify = { path = '/health' }");
        let flags = map("with = ['git']\nenv = { B = '3' }\nverify = { enabled = false }");
        let both = file.under(flags);
        assert_eq!(
            both,
            map(
                "trim = 'max'\nwith = ['git']\nenv = { A = '1', B = '3' }\nverify = { path = '/health', enabled = false }"
            )
        );
    }
}
