//! Build contexts: what COPY and ADD copy from, and where the Dockerfile may be.
//!
//! 1. [`Location::parse`] says what the PATH of a build is: a directory, `-`, a URL, a [git repository](git). [`NamedContext::parse`] does
//!    so for `--build-context`.
//! 2. [`Context::open`] makes it a [tree](tree), with the rules of its [ignore file](ignore) applied, whatever it came from: a
//!    [`directory`] stays where it is and is looked at when something is asked of it, everything else is [in memory](memory), its
//!    contents in the store.
//! 3. [`Context::dockerfile`] is the text to build, where it is found in the context.
//!
//! [`http`] and [`checkout`] fetch for ADD as well; [`view`] makes a stage or an image a tree of the same kind.

pub mod archive;
pub mod checkout;
pub mod directory;
pub mod git;
pub mod http;
pub mod ignore;
pub mod memory;
pub mod named;
mod parallel;
pub mod spool;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod view;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_tree::{Content, TreePath};

pub use named::NamedContext;

use self::directory::DirectoryContext;
use self::git::GitReference;
use self::ignore::IgnoreRules;
use self::memory::MemoryTree;
use self::spool::Spool;
use self::tree::{FileTree, read_file};
use super::copy::unarchive;
use crate::error::{BuildError, Context as _};
use crate::job::Job;

/// No Dockerfile is longer. Bytes.
const DOCKERFILE_LIMIT: u64 = 16 << 20;
/// The name of a Dockerfile that is not named.
pub const DOCKERFILE: &str = "Dockerfile";

/// Where a context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Directory(PathBuf),
    /// Standard input: an archive, or a Dockerfile without a context.
    Stdin,
    /// A git repository.
    Git(GitReference),
    /// A URL of an archive, or of a Dockerfile.
    Url(String),
}

impl Location {
    /// Parses the PATH of a build.
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        // What is there as a directory is never taken for anything else.
        let repository = GitReference::parse_context(text).filter(|_| !Path::new(text).is_dir());
        match repository {
            Some(repository) => Ok(Self::Git(repository?)),
            None if http::is_url(text) => Ok(Self::Url(text.to_owned())),
            None => Ok(Self::Directory(PathBuf::from(text))),
        }
    }
}

/// Which Dockerfile is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DockerfileAt {
    /// The one in the root of the context: `Dockerfile`, or `dockerfile`.
    #[default]
    Default,
    /// The file at this path: on this machine where the context is a directory, else in the context.
    Path(String),
    /// None that is looked for here: the caller has its text.
    Elsewhere,
}

/// A Dockerfile as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How messages name it.
    pub name: String,
    /// What is in it. Bytes that are no text are replaced.
    pub text: String,
}

/// An open context.
pub struct Context {
    /// What messages call it: "the build context".
    pub name: String,
    /// The files.
    pub files: Arc<dyn FileTree>,
    /// The Dockerfile, where it was looked for.
    pub dockerfile: Option<Found>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name)
            .field("dockerfile", &self.dockerfile)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Opens the context at `location`. `stdin` is read where that is where it is. `keep_git_dir` keeps the `.git` of a repository.
    pub fn open(
        job: &Job<'_>,
        name: impl Into<String>,
        location: &Location,
        dockerfile: &DockerfileAt,
        stdin: &mut dyn Read,
        keep_git_dir: bool,
    ) -> Result<Self, BuildError> {
        let name = name.into();
        match location {
            Location::Directory(root) => Self::of_directory(job, name, root, dockerfile),
            Location::Git(repository) => {
                let tree = checkout::checkout(job, repository, keep_git_dir)?.tree;
                Self::of_tree(name, tree, dockerfile)
            }
            Location::Stdin => {
                let content = Spool::new(job.store.tmp()).add(stdin).context("standard input")?;
                Self::of_content(job, name, "-", content, dockerfile)
            }
            Location::Url(url) => {
                let content = http::download(job, url, None)?.content;
                Self::of_content(job, name, url, content, dockerfile)
            }
        }
    }

    /// The context of a Dockerfile that has none.
    pub fn empty(name: impl Into<String>) -> Self {
        Self { name: name.into(), files: Arc::new(tree::Empty), dockerfile: None }
    }

    fn of_directory(job: &Job<'_>, name: String, root: &Path, at: &DockerfileAt) -> Result<Self, BuildError> {
        let root = root.canonicalize().context(root.display())?;
        if !root.is_dir() {
            let error = BuildError::new(format!("{} is no directory", root.display()));
            return Err(error.hint("pass the directory to build in, and the Dockerfile with -f"));
        }
        let path = match at {
            DockerfileAt::Elsewhere => None,
            DockerfileAt::Path(path) => Some(PathBuf::from(path)),
            DockerfileAt::Default => {
                let lower = root.join("dockerfile");
                let usual = root.join(DOCKERFILE);
                Some(if !usual.exists() && lower.exists() { lower } else { usual })
            }
        };
        let found = match &path {
            None => None,
            Some(path) => {
                let text = fs::read(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => {
                        BuildError::new(format!("there is no {}", path.display())).hint("name the Dockerfile with -f")
                    }
                    _ => BuildError::from(error).context(path.display()),
                })?;
                Some(Found { name: path.display().to_string(), text: String::from_utf8_lossy(&text).into_owned() })
            }
        };
        let rules = IgnoreRules::of_directory(&root, path.as_deref())?;
        let files = Arc::new(DirectoryContext::new(root, rules, Arc::clone(job.store)));
        Ok(Self { name, files, dockerfile: found })
    }

    /// An archive, or the text of a Dockerfile.
    fn of_content(
        job: &Job<'_>,
        name: String,
        from: &str,
        content: Content,
        at: &DockerfileAt,
    ) -> Result<Self, BuildError> {
        if let Some(entries) = unarchive(&content, job.store.tmp()).context(jettison_http::redact(from))? {
            return Self::of_tree(name, MemoryTree::from_entries(entries)?, at);
        }
        if content.len() > DOCKERFILE_LIMIT {
            let what = format!("what came from {} is neither an archive nor a Dockerfile", jettison_http::redact(from));
            return Err(BuildError::new(what).hint("an archive is a tar, plain or packed with gzip, bzip2, xz or zstd"));
        }
        let bytes = content.read()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut tree = MemoryTree::new();
        if from != "-" {
            // As in BuildKit the file is the whole context.
            tree.insert_text(&TreePath::parse("context")?, bytes);
        }
        Ok(Self {
            name,
            files: Arc::new(tree),
            dockerfile: Some(Found { name: jettison_http::redact(from).into_owned(), text }),
        })
    }

    fn of_tree(name: String, tree: MemoryTree, at: &DockerfileAt) -> Result<Self, BuildError> {
        let path = match at {
            DockerfileAt::Elsewhere => None,
            DockerfileAt::Path(path) => Some(path.as_str()),
            DockerfileAt::Default
                if tree.lstat(DOCKERFILE.as_bytes())?.is_none() && tree.lstat(b"dockerfile")?.is_some() =>
            {
                Some("dockerfile")
            }
            DockerfileAt::Default => Some(DOCKERFILE),
        };
        let found = match path {
            None => None,
            Some(path) => {
                let text = read_file(&tree, path.as_bytes(), DOCKERFILE_LIMIT)?.ok_or_else(|| {
                    BuildError::new(format!("there is no `{path}` in {name}")).hint("name the Dockerfile with -f")
                })?;
                Some(Found { name: path.to_owned(), text: String::from_utf8_lossy(&text).into_owned() })
            }
        };
        let rules = IgnoreRules::of_tree(&tree, path.unwrap_or(DOCKERFILE))?;
        Ok(Self { name, files: Arc::new(tree.without(rules)), dockerfile: found })
    }
}
