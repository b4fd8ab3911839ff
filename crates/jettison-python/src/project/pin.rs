//! The one Python version that a project is developed with: `.python-version` (pyenv, uv), `runtime.txt` (Heroku),
//! `.tool-versions` (asdf, mise), a Pipfile's `[requires]`.

use std::str::FromStr;

use pep440_rs::Version;

use crate::place::Place;

/// A wanted Python version: `3.12` stands for every 3.12.x.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonPin {
    /// As it is written.
    pub text: String,
    /// Where.
    pub place: Place,
    /// The version, with as many parts as were given.
    pub version: Version,
    /// A free-threaded interpreter is wanted (`3.13t`).
    pub free_threaded: bool,
}

impl PythonPin {
    /// Whether `version` is what was asked for.
    pub fn allows(&self, version: &Version) -> bool {
        let wanted = self.version.release();
        version.release().get(..wanted.len()) == Some(wanted)
            && (wanted.len() < 3 || self.version.pre() == version.pre())
    }

    fn parse(text: &str, place: Place) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let implementations = ["cpython@", "cpython-", "cpython", "python-", "python@", "python"];
        let number = implementations.iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
        // uv spells a whole build: `cpython-3.12.3-linux-x86_64-gnu`.
        let number = number.split('-').next().unwrap_or_default();
        let (number, free_threaded) = match number.strip_suffix('t').or_else(|| number.strip_suffix("+freethreaded")) {
            Some(number) => (number, true),
            None => (number, false),
        };
        if ["pypy", "graalpy", "graalvm", "jython", "micropython", "stackless"]
            .iter()
            .any(|other| lower.starts_with(other))
        {
            return Err(format!("asks for `{text}`; only CPython is supported"));
        }
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("`{text}` names no version"));
        }
        let version = Version::from_str(number).map_err(|_| format!("`{text}` is no version"))?;
        Ok(Self { text: text.trim().to_owned(), place, version, free_threaded })
    }
}

/// The pin in a `.python-version`: its first line that is no comment. The error says why there is none.
pub fn parse_python_version(file: &str, text: &str) -> Result<PythonPin, String> {
    let line = text.lines().enumerate().find(|(_, line)| !matches!(line.trim().as_bytes(), [] | [b'#', ..]));
    let (index, line) = line.ok_or("it is empty")?;
    PythonPin::parse(line.split_whitespace().next().unwrap_or_default(), Place::line(file, index + 1))
}

/// The pin in a `runtime.txt`: `python-3.12.3`.
pub fn parse_runtime_txt(file: &str, text: &str) -> Result<PythonPin, String> {
    let word = text.split_whitespace().next().ok_or("it is empty")?;
    if !word.to_ascii_lowercase().starts_with("python") {
        return Err(format!("`{word}` is no Python runtime"));
    }
    PythonPin::parse(word, Place::line(file, 1))
}

/// The pin in a `.tool-versions`: the first version on the line of `python`.
pub fn parse_tool_versions(file: &str, text: &str) -> Result<PythonPin, String> {
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if words.next() == Some("python")
            && let Some(version) = words.next()
        {
            return PythonPin::parse(version, Place::line(file, index + 1));
        }
    }
    Err("it says nothing of Python".to_owned())
}

/// The pin in a Pipfile's `[requires]`.
pub(super) fn parse_requires(file: &str, text: &str) -> Result<PythonPin, String> {
    PythonPin::parse(text, Place::file(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_every_spelling() {
        let shown = |pin: Result<PythonPin, String>| match pin {
            Ok(pin) => format!("{}{} {}", pin.version, if pin.free_threaded { "t" } else { "" }, pin.place),
            Err(why) => why,
        };
        for (text, expected) in [
            ("3.12\n", "3.12 f:1"),
            ("# ours\n\n3.12.4 3.11.2\n", "3.12.4 f:3"),
            ("cpython-3.12.3-linux-x86_64-gnu", "3.12.3 f:1"),
            ("cpython@3.13t", "3.13t f:1"),
            ("3.14.0rc2", "3.14.0rc2 f:1"),
            ("pypy3.10-7.3", "asks for `pypy3.10-7.3`; only CPython is supported"),
            ("system", "`system` names no version"),
            ("", "it is empty"),
        ] {
            assert_eq!(shown(parse_python_version("f", text)), expected, "{text}");
        }
        assert_eq!(shown(parse_runtime_txt("f", "python-3.11.9\n")), "3.11.9 f:1");
        assert_eq!(shown(parse_runtime_txt("f", "node-20")), "`node-20` is no Python runtime");
        assert_eq!(shown(parse_tool_versions("f", "nodejs 20\npython 3.12.1 3.11\n")), "3.12.1 f:2");
    }

    #[test]
    fn a_short_pin_allows_every_patch_release() {
        let allows = |pin: &str, version: &str| {
            parse_python_version("f", pin).unwrap().allows(&Version::from_str(version).unwrap())
        };
        assert!(allows("3.12", "3.12.9") && allows("3.12.9", "3.12.9") && allows("3", "3.13.0"));
        assert!(!allows("3.12", "3.11.9") && !allows("3.12.8", "3.12.9") && !allows("3.14.0", "3.14.0rc1"));
    }
}
