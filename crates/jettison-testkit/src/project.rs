//! Project directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary directory with a project's files; it is removed when this is dropped.
#[derive(Debug)]
pub struct Project {
    directory: TempDir,
    root: PathBuf,
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// An empty project in a directory named `project`.
    pub fn new() -> Self {
        Self::named("project")
    }

    /// An empty project in a directory of this name.
    pub fn named(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path().join(name);
        fs::create_dir(&root).expect("a fresh directory");
        Self { directory, root }
    }

    /// The project of one file that serves HTTP with the standard library alone.
    pub fn plain() -> Self {
        Self::new().file(
            "main.py",
            "from http.server import HTTPServer, SimpleHTTPRequestHandler\n\n\
             if __name__ == \"__main__\":\n    \
             HTTPServer((\"0.0.0.0\", 8000), SimpleHTTPRequestHandler).serve_forever()\n",
        )
    }

    /// A project with these requirements and an application for Flask in `app.py`.
    pub fn flask(requirements: &[&str]) -> Self {
        Self::new().file("requirements.txt", requirements.join("\n") + "\n").file(
            "app.py",
            "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get(\"/\")\ndef index():\n    return \"hello\"\n",
        )
    }

    /// A project with these dependencies in its `pyproject.toml` and an application for FastAPI in `main.py`.
    pub fn fastapi(dependencies: &[&str]) -> Self {
        let dependencies: Vec<String> = dependencies.iter().map(|dependency| format!("{dependency:?}")).collect();
        let pyproject = format!(
            "[project]\nname = \"project\"\nversion = \"0.1.0\"\nrequires-python = \">=3.11\"\ndependencies = [{}]\n",
            dependencies.join(", ")
        );
        Self::new().file("pyproject.toml", pyproject).file(
            "main.py",
            "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/\")\ndef index():\n    return {\"hello\": \"world\"}\n",
        )
    }

    /// Writes a file, with the directories that it needs.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.write(path, bytes);
        self
    }

    /// Writes a file with the executable bits set.
    #[must_use]
    pub fn executable(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.write(path, bytes);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a file of ours");
        self
    }

    /// Makes a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        let link = self.root.join(path);
        fs::create_dir_all(link.parent().expect("a path below the root")).expect("a writable directory");
        symlink(target, link).expect("a free name");
        self
    }

    /// Writes or overwrites a file of a project in use, and returns where it is.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let file = self.root.join(path);
        fs::create_dir_all(file.parent().expect("a path below the root")).expect("a writable directory");
        fs::write(&file, bytes).expect("a writable file");
        file
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        let file = self.root.join(path);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// The directory of the project.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The directory that holds the project's, for what must stand beside it.
    pub fn parent(&self) -> &Path {
        self.directory.path()
    }
}

/// A distribution's name as indices write it (PEP 503).
pub(crate) fn normalize(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            _ => normal.extend(c.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_there_until_it_is_dropped() {
        let project =
            Project::flask(&["flask"]).executable("bin/run.sh", "#!/bin/sh\n").symlink("deep/link", "../app.py");
        let root = project.path().to_owned();
        assert!(fs::read_to_string(root.join("deep/link")).unwrap().contains("Flask(__name__)"));
        assert_eq!(fs::metadata(root.join("bin/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
        drop(project);
        assert!(!root.exists());
    }

    #[test]
    fn names_are_normalized() {
        for (name, normal) in [("Flask", "flask"), ("zope.interface", "zope-interface"), ("a__.-b", "a-b")] {
            assert_eq!(normalize(name), normal);
        }
    }
}
