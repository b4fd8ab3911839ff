//! Where a wheel is built from: a source distribution, a directory of this machine, a commit.

use std::fs;
use std::path::{Path, PathBuf};

use jettison_engine::CacheKey;
use jettison_engine::store::Store;
use jettison_http::redact;
use jettison_python::lock::Git;
use jettison_python::sdist::{Sdist, SdistFilename};
use jettison_tree::{Digest, Hasher};
use serde::{Deserialize, Serialize};

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
        Self { kind: Kind::Sdist { filename, blob }, subdirectory, digest }
    }

    /// A directory, as it is now.
    pub fn directory(path: &Path, subdirectory: Option<String>) -> Result<Self, BuildError> {
        let mut hasher = Hasher::new();
        for file in files(path)? {
            hasher.update(file.as_os_str().as_encoded_bytes());
            hasher.update(&[0]);
            let (digest, _) = Digest::of_reader(fs::File::open(path.join(&file)).context(file.display())?)?;
            hasher.update(digest.as_bytes());
        }
        hasher.update(subdirectory.as_deref().unwrap_or("").as_bytes());
        Ok(Self { kind: Kind::Directory(path.to_owned()), subdirectory, digest: hasher.finish().0 })
    }

    /// The commit of a repository with its submodules, fetched into the directory `into`, which is made.
    pub fn git(job: &Job<'_>, room: &GitRoom<'_>, git: &Git, into: &Path) -> Result<Self, BuildError> {
        let url = git.url.as_str();
        let commit = git.commit.as_str();
        if job.http.options().offline && git::directory(url).is_none() {
            return Err(BuildError::new(format!("{} is not fetched: this build is offline", redact(url)))
                .hint("build once without --offline, or lock a release of the distribution"));
        }
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BuildError::new(format!("`{commit}` of {} is no commit", redact(url))).hint("lock it again"));
        }
        let progress = job.begin(&format!("fetch {}", redact(url)));
        fs::create_dir_all(into).context(into.display())?;
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
        drop(progress);
        Self::directory(into, git.subdirectory.clone())
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
                let top = destination.join("project");
                for file in files(path)? {
                    let to = top.join(&file);
                    fs::create_dir_all(to.parent().unwrap_or(&top))?;
                    fs::copy(path.join(&file), &to).context(file.display())?;
                }
                top
            }
        };
        let Some(subdirectory) = &self.subdirectory else { return Ok(top) };
        let inside = jettison_tree::TreePath::parse(subdirectory)?;
        let project = top.join(inside.as_path());
        if !project.is_dir() {
            return Err(BuildError::new(format!("there is no directory `{subdirectory}` in it")));
        }
        Ok(project)
    }
}

/// The regular files below `root`, relative to it, sorted.
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
            } else if kind.is_file() {
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
}

/// Reads `[build-system]`; without one it is setuptools' legacy backend (PEP 517, "Source trees").
pub fn build_system(tree: &Path) -> Result<BuildSystem, BuildError> {
    let legacy = BuildSystem {
        requires: vec!["setuptools>=40.8.0".to_owned()],
        backend: "setuptools.build_meta:__legacy__".to_owned(),
        backend_path: Vec::new(),
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
    Ok(BuildSystem {
        requires: list("requires"),
        backend: backend.map_or(legacy.backend, str::to_owned),
        backend_path: list("backend-path"),
    })
}
