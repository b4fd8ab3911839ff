//! Which Dockerfiles: those that are named, and those that stand in directories that are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use jettison_build::{BuildError, Context as _};

/// Directories that hold nothing of a project's own.
const SKIPPED: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "node_modules",
    "__pycache__",
    "site-packages",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".terraform",
    "vendor",
];

/// What a Dockerfile is called when it is a template of another language.
const TEMPLATES: &[&str] = &["j2", "jinja", "jinja2", "tmpl", "tpl", "template", "erb", "mustache", "in"];

/// More directories within each other than this are not looked into.
const MAX_DEPTH: usize = 64;

/// A Dockerfile to look at.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// What to call it: its path from the current directory, with `/`.
    pub shown: String,
    /// The directory that was named, or the current one: what a build would be called with.
    pub named: PathBuf,
    /// What standard input stands for.
    stands_for: Option<PathBuf>,
}

impl Target {
    /// The path by which settings and context are found.
    pub fn place(&self) -> &Path {
        self.path.as_deref().or(self.stands_for.as_deref()).unwrap_or(Path::new("Dockerfile"))
    }

    /// Whether there is a directory for it.
    pub fn has_place(&self) -> bool {
        self.path.is_some() || self.stands_for.is_some()
    }
}

/// The Dockerfiles that `paths` name, each once, in order; those of the current directory if there are none.
pub fn find(paths: &[PathBuf], stdin_filename: Option<&Path>) -> Result<Vec<Target>, BuildError> {
    let here = std::env::current_dir().map_err(BuildError::from).context("the current directory")?;
    let dot = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &dot } else { paths };
    let mut targets = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let shown = stdin_filename.map_or_else(|| "-".to_owned(), |path| shown(path, &here));
            let stands_for = stdin_filename.map(Path::to_owned);
            targets.push(Target { path: None, shown, named: PathBuf::from("."), stands_for });
            continue;
        }
        let metadata =
            fs::metadata(path).map_err(BuildError::from).context(format!("cannot lint `{}`", path.display()))?;
        let (files, named) = match metadata.is_dir() {
            true => {
                let mut files = Vec::new();
                walk(path, 0, &mut files)?;
                if files.is_empty() {
                    return Err(BuildError::new(format!("there is no Dockerfile in `{}`", path.display()))
                        .hint("name the file if it is called something else"));
                }
                (files, path.clone())
            }
            false => (vec![path.clone()], PathBuf::from(".")),
        };
        for file in files {
            if seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                let shown = shown(&file, &here);
                targets.push(Target { path: Some(file), shown, named: named.clone(), stands_for: None });
            }
        }
    }
    Ok(targets)
}

/// All that is called like a Dockerfile, by name, those of a directory before those of the directories in it.
fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let entries = fs::read_dir(directory).map_err(BuildError::from).context(directory.display())?;
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut directories = Vec::new();
    for entry in entries {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let is_own = name.to_str().is_none_or(|name| !SKIPPED.contains(&name));
            if is_own && depth < MAX_DEPTH && !entry.path().join("pyvenv.cfg").exists() {
                directories.push(entry.path());
            }
        } else if name.to_str().is_some_and(is_dockerfile)
            && fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file())
        {
            files.push(entry.path());
        }
    }
    for inner in directories {
        // One that is closed to the user is none of the project's.
        let _ = walk(&inner, depth + 1, files);
    }
    Ok(())
}

/// Whether a file is called like a Dockerfile: `Dockerfile`, `Dockerfile.dev`, `dev.Dockerfile`, or Containerfile in its place.
fn is_dockerfile(name: &str) -> bool {
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    if end == "dockerignore" || name.ends_with('~') || TEMPLATES.contains(&end) {
        return false;
    }
    let is_word = |word: &str| matches!(word, "Dockerfile" | "Containerfile");
    let first = name.split('.').next().unwrap_or_default();
    is_word(name) || is_word(first) || !stem.is_empty() && matches!(end, "Dockerfile" | "dockerfile" | "Containerfile")
}

/// A path from the current directory where it is below it, without `./`.
pub fn shown(path: &Path, here: &Path) -> String {
    let path = path.strip_prefix(here).unwrap_or(path);
    let plain: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    plain.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerfiles_are_known_by_name() {
        for name in
            ["Dockerfile", "Containerfile", "Dockerfile.dev", "dev.Dockerfile", "a.b.dockerfile", "Containerfile.x"]
        {
            assert!(is_dockerfile(name), "{name}");
        }
        for name in [
            "Dockerfile.dockerignore",
            "Dockerfile~",
            "Dockerfile.j2",
            "dockerfile.py",
            "Dockerfiles",
            ".dockerfile",
            "x",
        ] {
            assert!(!is_dockerfile(name), "{name}");
        }
    }

    #[test]
    fn paths_are_shown_from_here() {
        let here = Path::new("/a/b");
        for (path, expected) in
            [("./x/Dockerfile", "x/Dockerfile"), ("/a/b/y", "y"), ("/c/y", "/c/y"), ("../y", "../y")]
        {
            assert_eq!(shown(Path::new(path), here), expected);
        }
    }
}
