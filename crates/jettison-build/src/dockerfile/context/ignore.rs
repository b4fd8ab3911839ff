//! Which ignore file counts for a context, and which of its lines leaves a path out.
//!
//! `<Dockerfile>.dockerignore` beside the Dockerfile goes before `.dockerignore` in the root of the context; the two are never mixed.
//! Both files, and the Dockerfile, are read whatever the rules say: the rules decide what COPY and ADD see.

use std::path::Path;
use std::{fs, io};

use jettison_dockerfile::Ignore;

use super::tree::{FileTree, read_file};
use crate::error::{BuildError, Context as _};

/// The name of the ignore file in the root of a context.
pub const FILE: &str = ".dockerignore";
/// No ignore file is longer. Bytes.
const LIMIT: u64 = 8 << 20;

/// The rules of one ignore file.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    /// The file, as messages name it.
    pub file: String,
    text: String,
    rules: Ignore,
}

impl IgnoreRules {
    /// No rules.
    pub fn none() -> Self {
        Self::default()
    }

    /// Parses the text of the ignore file that messages call `file`.
    pub fn parse(file: impl Into<String>, text: impl Into<String>) -> Result<Self, BuildError> {
        let (file, text) = (file.into(), text.into());
        let rules =
            Ignore::parse(&text).map_err(|error| BuildError::with_hint(format!("{file}: {error}"), error.hint()))?;
        Ok(Self { file, text, rules })
    }

    /// The rules for the context in the directory `root`, built with the Dockerfile at `dockerfile` where that is a file.
    pub fn of_directory(root: &Path, dockerfile: Option<&Path>) -> Result<Self, BuildError> {
        let beside = dockerfile.map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push(FILE);
            name.into()
        });
        for path in beside.into_iter().chain([root.join(FILE)]) {
            match fs::read(&path) {
                Ok(bytes) if bytes.len() as u64 > LIMIT => {
                    return Err(BuildError::new(format!("{} has more than {LIMIT} bytes", path.display())));
                }
                Ok(bytes) => return Self::parse(path.display().to_string(), String::from_utf8_lossy(&bytes)),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(error).context(path.display()),
            }
        }
        Ok(Self::none())
    }

    /// The rules for a context that is `tree`, built with the Dockerfile at `dockerfile` in it.
    pub fn of_tree(tree: &dyn FileTree, dockerfile: &str) -> Result<Self, BuildError> {
        for path in [format!("{dockerfile}{FILE}"), FILE.to_owned()] {
            if let Some(bytes) = read_file(tree, path.as_bytes(), LIMIT)? {
                return Self::parse(path, String::from_utf8_lossy(&bytes));
            }
        }
        Ok(Self::none())
    }

    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The rules.
    pub fn rules(&self) -> &Ignore {
        &self.rules
    }

    /// The line that leaves `path` out, as `.dockerignore line 3: *.md`.
    pub fn line_against(&self, path: &[u8]) -> Option<String> {
        if !self.rules.matches(path) {
            return None;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let left_out_by =
            |count: usize| Ignore::parse(&lines[..count].join("\n")).is_ok_and(|rules| rules.matches(path));
        // The last line that turned the answer.
        let line = (1..=lines.len()).rev().find(|&count| left_out_by(count) && !left_out_by(count - 1))?;
        Some(format!("{} line {line}: {}", self.file, lines[line - 1].trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_leaves_a_path_out_is_named() {
        let rules = IgnoreRules::parse(".dockerignore", "# no docs\n*.md\n!README.md\n  docs/  \nREADME*\n").unwrap();
        for (path, line) in [
            ("a.md", Some(".dockerignore line 2: *.md")),
            ("README.md", Some(".dockerignore line 5: README*")),
            ("docs/a/b", Some(".dockerignore line 4: docs/")),
            ("src/a.py", None),
        ] {
            assert_eq!(rules.line_against(path.as_bytes()).as_deref(), line, "{path}");
        }
        let error = IgnoreRules::parse(".dockerignore", "ok\n[\n").unwrap_err();
        assert!(error.to_string().starts_with(".dockerignore: line 2") && error.hint_text().is_some(), "{error}");
    }

    #[test]
    fn the_ignore_file_of_the_dockerfile_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let dockerfile = root.join("web.Dockerfile");
        let file = || IgnoreRules::of_directory(root, Some(&dockerfile)).unwrap().file;
        assert_eq!(file(), "");
        fs::write(root.join(".dockerignore"), "a").unwrap();
        assert!(file().ends_with("/.dockerignore"));
        fs::write(root.join("web.Dockerfile.dockerignore"), "b").unwrap();
        assert!(file().ends_with("/web.Dockerfile.dockerignore"));
    }
}
