//! Where a wheel is built from: a source distribution, a directory of this machine, a commit.

use std::fs;
use std::path::{Component, Path, PathBuf};

use jettison_engine::CacheKey;
use jettison_engine::store::{Ref, Store};
use jettison_http::redact;
use jettison_python::direct::without_credentials;
use jettison_python::lock::Git;
use jettison_python::sdist::{Sdist, SdistFilename};
use jettison_tree::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use super::history::{self, History};
use crate::error::{BuildError, Context as _};
use crate::git::{self, GitRoom};
use crate::job::Job;

/// What is never part of a source tree.
const NEVER: [&str; 9] = [".git", ".hg", ".svn", ".venv", "venv", "__pycache__", "node_modules", ".tox", ".mypy_cache"];

/// A source tree that is in the store or on this machine.
#[derive(Debug, Clone)]
pub struct Source {
    kind: Kind,
    /// The directory in it that holds the project.
    subdirectory: Option<String>,
    /// The repository that it lies in, where its build reads that.
    history: Option<History>,
    digest: Digest,
}

#[derive(Debug, Clone)]
enum Kind {
    Sdist { filename: SdistFilename, blob: Digest },
    Directory(PathBuf),
}

impl Source {
    /// A source distribution in the store.
    pub fn sdist(filename: SdistFilename, blob: Digest, subdirectory: Option<String>) -> Self {
        let key =
            CacheKey::builder("source/sdist").digest("blob", blob).field("in", subdirectory.as_deref().unwrap_or(""));
        let digest = Digest::from_bytes(*key.finish().as_bytes());
        Self { kind: Kind::Sdist { filename, blob }, subdirectory, history: None, digest }
    }

    /// A directory, as it is now.
    pub fn directory(path: &Path, subdirectory: Option<String>) -> Result<Self, BuildError> {
        let mut hasher = Hasher::new();
        for file in files(path)? {
            hasher.update(file.as_os_str().as_encoded_bytes());
            let digest = match fs::read_link(path.join(&file)) {
                Ok(target) => {
                    hasher.update(&[0, 0]);
                    Digest::of(target.as_os_str().as_encoded_bytes())
                }
                Err(_) => {
                    hasher.update(&[0]);
                    Digest::of_reader(fs::File::open(path.join(&file)).context(file.display())?)?.0
                }
            };
            hasher.update(digest.as_bytes());
        }
        hasher.update(subdirectory.as_deref().unwrap_or("").as_bytes());
        Ok(Self { kind: Kind::Directory(path.to_owned()), subdirectory, history: None, digest: hasher.finish().0 })
    }

    /// A directory, as it is now, with the repository that it lies in where its build reads that. `scratch` is a path for it, which is made.
    pub fn local(job: &Job<'_>, room: &GitRoom<'_>, path: &Path, scratch: &Path) -> Result<Self, BuildError> {
        let source = Self::directory(path, None)?;
        if !build_system(path)?.reads_history {
            return Ok(source);
        }
        let history = History::of_directory(room, path, scratch).unwrap_or_else(|error| {
            job.warn(format!("the repository of {} is not read: {error}", path.display()));
            None
        });
        Ok(source.with(history))
    }

    fn with(mut self, history: Option<History>) -> Self {
        if let Some(history) = &history {
            let key =
                CacheKey::builder("source/history").digest("source", self.digest).digest("history", history.digest);
            let key = key.field("below", history.below.as_os_str().as_encoded_bytes());
            self.digest = Digest::from_bytes(*key.finish().as_bytes());
        }
        Self { history, ..self }
    }

    /// The commit of a repository with its submodules, in the directory `into`, which is made. What was fetched once is kept.
    pub fn git(job: &Job<'_>, room: &GitRoom<'_>, git: &Git, into: &Path) -> Result<Self, BuildError> {
        let (url, commit) = (git.url.as_str(), git.commit.as_str());
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BuildError::new(format!("`{commit}` of {} is no commit", redact(url))).hint("lock it again"));
        }
        fs::create_dir_all(into).context(into.display())?;
        let below = git.subdirectory.as_deref().unwrap_or("");
        let key = CacheKey::builder("git/1").field("url", without_credentials(url)).field("commit", commit);
        let key = key.field("in", below).finish();
        match job.store.memo_get::<Digest>(&key)? {
            Some(packed) => {
                let mut archive = tar::Archive::new(job.store.open_blob(packed)?);
                archive.set_preserve_mtime(false);
                archive.unpack(into).context(redact(url))?;
            }
            None if job.http.options().offline && git::directory(url).is_none() => {
                return Err(BuildError::new(format!("{} is not fetched: this build is offline", redact(url)))
                    .hint("build once without --offline, or lock a release of the distribution"));
            }
            None => {
                let progress = job.begin(&format!("fetch {}", redact(url)));
                fetch(room, git, into)?;
                if build_system(&into.join(inside(below)?))?.reads_history {
                    history::reduce(room, url, into)?;
                } else {
                    fs::remove_dir_all(into.join(".git"))?;
                }
                drop(progress);
                let mut archive = tar::Builder::new(job.store.writer()?);
                archive.follow_symlinks(false);
                archive.sparse(false);
                archive.mode(tar::HeaderMode::Deterministic);
                archive.append_dir_all(".", into).context(redact(url))?;
                let (packed, _) = archive.into_inner()?.commit(None)?;
                job.store.memo_put(&key, &packed, &[Ref::Blob(packed)])?;
            }
        }
        let history = into.join(".git").is_dir().then(|| History::of_clone(into)).transpose()?;
        Ok(Self::directory(into, git.subdirectory.clone())?.with(history))
    }

    /// Whether it has a repository with it.
    pub(super) fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// Whether it is a release, which says its version itself.
    pub(super) fn is_release(&self) -> bool {
        matches!(self.kind, Kind::Sdist { .. })
    }

    /// What tells it from others.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Puts the tree below the existing directory `destination`, and returns where the project stands.
    pub fn unpack(&self, store: &Store, destination: &Path) -> Result<PathBuf, BuildError> {
        let top = match &self.kind {
            Kind::Sdist { filename, blob } => {
                let mut sdist = Sdist::open(store.open_blob(*blob)?, filename)?;
                sdist.unpack(destination)?
            }
            Kind::Directory(path) => {
                let tree = destination.join("project");
                let top = self.history.as_ref().map_or(tree.clone(), |history| tree.join(&history.below));
                fs::create_dir_all(&top)?;
                for file in files(path)? {
                    let (from, to) = (path.join(&file), top.join(&file));
                    fs::create_dir_all(to.parent().unwrap_or(&top))?;
                    match fs::read_link(&from) {
                        Ok(target) => std::os::unix::fs::symlink(target, &to).context(file.display())?,
                        Err(_) => drop(fs::copy(&from, &to).context(file.display())?),
                    }
                }
                if let Some(history) = &self.history {
                    history.put(&tree)?;
                }
                top
            }
        };
        let Some(subdirectory) = &self.subdirectory else { return Ok(top) };
        let project = top.join(inside(subdirectory)?);
        if !project.is_dir() {
            return Err(BuildError::new(format!("there is no directory `{subdirectory}` in it")));
        }
        Ok(project)
    }
}

/// Clones a repository with its submodules, and takes the commit.
fn fetch(room: &GitRoom<'_>, git: &Git, into: &Path) -> Result<(), BuildError> {
    let (url, commit) = (git.url.as_str(), git.commit.as_str());
    let text = into.to_str().ok_or_else(|| BuildError::new("the store's path is not UTF-8"))?;
    let run = |arguments: &[&str]| room.run(url, into, arguments);
    run(&["clone", "--quiet", "--no-checkout", "--", room.spelled(url), text])?;
    let checkout = ["-C", text, "checkout", "--quiet", "--detach", commit];
    if run(&checkout).is_err() {
        // It is on no branch and under no tag, as the commits of a merge request are.
        run(&["-C", text, "fetch", "--quiet", "origin", commit])?;
        run(&checkout)?;
    }
    run(&["-C", text, "submodule", "--quiet", "update", "--init", "--recursive"])?;
    forget_modules(into, true)?;
    Ok(())
}

/// Removes the links of submodules to their repositories, which go.
fn forget_modules(directory: &Path, is_top: bool) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        match (entry.file_name() == ".git", kind.is_dir()) {
            (true, _) if is_top => {}
            (true, true) => fs::remove_dir_all(entry.path())?,
            (true, false) => fs::remove_file(entry.path())?,
            (false, true) => forget_modules(&entry.path(), false)?,
            (false, false) => {}
        }
    }
    Ok(())
}

/// A subdirectory of a source, which stays inside of it.
fn inside(subdirectory: &str) -> Result<PathBuf, BuildError> {
    match subdirectory {
        "" => Ok(PathBuf::new()),
        path => Ok(jettison_tree::TreePath::parse(path)?.as_path().to_owned()),
    }
}

/// Whether a link that stands at `path` of a tree leads to a place in the tree.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count() - 1;
    target.components().all(|component| match component {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir if depth > 0 => {
            depth -= 1;
            true
        }
        _ => false,
    })
}

/// The regular files below `root`, and the links that stay inside of it, relative to it, sorted.
fn files(root: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let path = root.join(&directory);
        for entry in fs::read_dir(&path).context(path.display())? {
            let entry = entry?;
            if NEVER.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let relative = directory.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(relative);
            } else if kind.is_file()
                || kind.is_symlink() && fs::read_link(entry.path()).is_ok_and(|target| stays_inside(&relative, &target))
            {
                files.push(relative);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// How a tree is built (PEP 517, 518).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildSystem {
    /// Requirements of the build environment.
    pub requires: Vec<String>,
    /// `module` or `module:object`.
    pub backend: String,
    /// Directories of the tree that the backend is imported from.
    pub backend_path: Vec<String>,
    /// Whether it asks the repository that the tree lies in.
    pub reads_history: bool,
}

/// Reads `[build-system]`; without one it is setuptools' legacy backend (PEP 517, "Source trees").
pub fn build_system(tree: &Path) -> Result<BuildSystem, BuildError> {
    let legacy = BuildSystem {
        requires: vec!["setuptools>=40.8.0".to_owned()],
        backend: "setuptools.build_meta:__legacy__".to_owned(),
        backend_path: Vec::new(),
        reads_history: history::is_read(tree, &[], None),
    };
    let path = tree.join("pyproject.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(legacy),
        Err(error) => return Err(BuildError::from(error).context(path.display())),
    };
    let document: toml::Table = text.parse().map_err(|error: toml::de::Error| BuildError::new(error.to_string()))?;
    let Some(table) = document.get("build-system").and_then(toml::Value::as_table) else { return Ok(legacy) };
    let list = |key: &str| -> Vec<String> {
        let values = table.get(key).and_then(toml::Value::as_array);
        values.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let backend = table.get("build-backend").and_then(toml::Value::as_str);
    let requires = list("requires");
    Ok(BuildSystem {
        reads_history: history::is_read(tree, &requires, Some(&document)),
        requires,
        backend: backend.map_or(legacy.backend, str::to_owned),
        backend_path: list("backend-path"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_stay_inside_are_part_of_a_source_and_others_are_not() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("doc")).unwrap();
        fs::write(home.path().join("README.md"), "text").unwrap();
        for (link, target) in [
            ("doc/README.md", "../README.md"),
            ("doc/up", "../../x"),
            ("doc/abs", "/etc/passwd"),
            ("d", "./doc/../doc"),
        ] {
            std::os::unix::fs::symlink(target, home.path().join(link)).unwrap();
        }
        let found = files(home.path()).unwrap();
        assert_eq!(found, ["README.md", "d", "doc/README.md"].map(PathBuf::from));
    }
}
