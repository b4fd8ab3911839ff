//! A git repository as a tree, checked out by the machine's `git`.
//!
//! 1. The reference is looked up at the remote, unless it is a commit already.
//! 2. What a commit holds never changes, so a checkout is kept as a [`Fragment`] under the commit.
//! 3. Else the one commit is fetched, with its submodules, into a directory that goes away again.
//!
//! Files are `0644` or `0755` and root's, whatever this machine's umask is, with the time of the commit.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use jettison_engine::CacheKey;
use jettison_http::redact;
use jettison_tree::{Content, Digest, Entry, Fragment, FragmentWriter, Node, TreePath};

use super::git::{GitReference, is_commit};
use super::memory::MemoryTree;
use crate::error::{BuildError, Context as _};
use crate::job::Job;

/// Lines of git's that an error shows at most.
const SHOWN: usize = 8;

/// A checkout.
#[derive(Debug)]
pub struct Checkout {
    /// The files.
    pub tree: MemoryTree,
    /// The commit, or the annotated tag, that the reference led to.
    pub commit: String,
}

/// Checks out a repository. `keep_git_dir` says whether `.git` stays where the reference does not say so.
pub fn checkout(job: &Job<'_>, git: &GitReference, keep_git_dir: bool) -> Result<Checkout, BuildError> {
    let keep = git.keep_git_dir.unwrap_or(keep_git_dir) && git.directory.is_empty();
    let commit = resolve(job, git).context(redact(&git.remote))?;
    let key = CacheKey::builder("dockerfile/git/1")
        .field("commit", &commit)
        .field("directory", &git.directory)
        .flag("submodules", !git.without_submodules)
        .field("git", if keep { git.remote.as_str() } else { "" })
        .finish();
    let path = job.store.fragment_or::<BuildError>(&key, |out| {
        let progress = job.begin(&format!("clone {}", redact(&git.remote)));
        let directory = tempfile::tempdir_in(job.store.tmp())?;
        let run = Git { job, directory: directory.path() };
        let time = run.fetch(git, &commit).context(redact(&git.remote))?;
        if !keep {
            fs::remove_dir_all(directory.path().join(".git"))?;
        }
        let root = subdirectory(directory.path(), git)?;
        let mut writer = FragmentWriter::new(out);
        read(&root, &mut Vec::new(), time, &mut |entry| Ok(writer.push(&entry)?))?;
        writer.finish(serde_json::Value::Null)?;
        drop(progress);
        Ok(())
    })?;
    let fragment = Fragment::open(&path).map_err(|error| BuildError::new(error.to_string()))?;
    Ok(Checkout { tree: MemoryTree::from_entries(fragment.entries().iter().cloned())?, commit })
}

/// The commit that the reference leads to.
fn resolve(job: &Job<'_>, git: &GitReference) -> Result<String, BuildError> {
    let direct = match (&git.reference, &git.checksum) {
        (_, Some(checksum)) if git.fetch_by_commit => Some(checksum),
        (Some(reference), _) => Some(reference),
        _ => None,
    };
    if let Some(commit) = direct.filter(|commit| is_commit(commit)) {
        return match &git.checksum {
            Some(checksum) if !commit.starts_with(checksum.as_str()) => Err(mismatch(checksum, commit)),
            _ => Ok(commit.clone()),
        };
    }
    if git.fetch_by_commit {
        return Err(BuildError::new("fetch-by-commit needs the whole name of a commit"));
    }
    let reference = git.reference.as_deref().unwrap_or("HEAD");
    let peeled = format!("{reference}^{{}}");
    let run = Git { job, directory: job.store.tmp() };
    let listed = run.git(&["ls-remote", "--", &git.remote, reference, &peeled])?;
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    let find = |name: &str| lines.iter().find(|(_, found)| *found == name).map(|(commit, _)| *commit);
    let short = reference.trim_start_matches("refs/");
    let tag = format!("refs/tags/{}", reference.trim_start_matches("refs/tags/"));
    let branch = format!("refs/heads/{}", reference.trim_start_matches("refs/heads/"));
    let exact = if reference == "HEAD" { find("HEAD") } else { find(&format!("refs/{short}")) };
    // As git's checkout does, a branch goes before a tag of the same name.
    let plain = exact.filter(|_| reference != tag).or_else(|| find(&branch));
    let peeled = if plain.is_none() { find(&format!("{tag}^{{}}")) } else { None };
    let Some(found) = plain.or_else(|| find(&tag)).filter(|commit| is_commit(commit)) else {
        return Err(BuildError::new(format!("the repository has no branch or tag `{reference}`"))
            .hint("a commit must be written with all its digits"));
    };
    match &git.checksum {
        Some(checksum)
            if !found.starts_with(checksum.as_str()) && !peeled.is_some_and(|c| c.starts_with(checksum.as_str())) =>
        {
            Err(mismatch(checksum, peeled.unwrap_or(found)))
        }
        _ => Ok(peeled.unwrap_or(found).to_owned()),
    }
}

fn mismatch(checksum: &str, commit: &str) -> BuildError {
    BuildError::new(format!("the reference leads to the commit {commit}, and the checksum says {checksum}"))
        .hint("find out whether the reference was moved on purpose, then write the new commit")
}

struct Git<'a> {
    job: &'a Job<'a>,
    directory: &'a Path,
}

impl Git<'_> {
    /// Fetches and checks out one commit; returns its time.
    fn fetch(&self, git: &GitReference, commit: &str) -> Result<i64, BuildError> {
        let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        self.git(&["-c", "init.defaultBranch=master", "init", "--quiet", format])?;
        self.git(&["remote", "add", "origin", &git.remote])?;
        // Servers may refuse to hand out a commit by its name; then all there is has to come.
        if self.git(&["fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit]).is_err() {
            self.git(&["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])?;
        }
        self.git(&["-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", commit])?;
        if !git.without_submodules {
            self.git(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
        }
        let time = self.git(&["log", "-1", "--format=%ct"])?;
        Ok(time.trim().parse().unwrap_or(0))
    }

    /// Runs git and returns what it prints.
    fn git(&self, arguments: &[&str]) -> Result<String, BuildError> {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.directory).env_clear().envs(&self.job.machine.vars);
        // Nobody is there to be asked, and git must not take a repository around the store for its own.
        for (name, value) in [("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C"), ("GIT_CEILING_DIRECTORIES", "/")] {
            command.env(name, value);
        }
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        let done = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BuildError::new("this needs git, which is not installed here")
                .hint("install git, or pass a directory or an archive of the repository"),
            _ => BuildError::from(error).context("git"),
        })?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        let verb =
            arguments.iter().find(|argument| !argument.starts_with('-') && !argument.contains('=')).unwrap_or(&"");
        let said = last.replace(&git_secret(&last), "***");
        Err(BuildError::new(format!("git {verb} failed: {said}")))
    }
}

/// The password of a URL in what git says, or something that is not in it.
fn git_secret(said: &str) -> String {
    let secret = said.split_whitespace().find_map(|word| {
        let (_, rest) = word.split_once("://")?;
        let (user, _) = rest.split_once('@')?;
        user.split_once(':').map(|(_, password)| password.to_owned())
    });
    secret.filter(|secret| !secret.is_empty()).unwrap_or_else(|| "\u{0}".to_owned())
}

/// The directory of the checkout that is wanted; no link leads to it.
fn subdirectory(root: &Path, git: &GitReference) -> Result<std::path::PathBuf, BuildError> {
    let mut path = root.to_owned();
    for component in git.directory.split('/').filter(|component| !component.is_empty()) {
        path.push(component);
        if !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            return Err(BuildError::new(format!("{} has no directory `{}`", redact(&git.remote), git.directory)));
        }
    }
    Ok(path)
}

/// Hands each path below `root` to `visit`, each directory before what is in it.
fn read(
    root: &Path,
    below: &mut Vec<u8>,
    time: i64,
    visit: &mut dyn FnMut(Entry) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let mut entries = fs::read_dir(root)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for found in entries {
        let parent = below.len();
        if parent > 0 {
            below.push(b'/');
        }
        below.extend(found.file_name().into_vec());
        let (path, file_type, meta) = (TreePath::parse(&below)?, found.file_type()?, found.metadata()?);
        let node = if file_type.is_dir() {
            Node::Directory
        } else if file_type.is_symlink() {
            Node::Symlink(fs::read_link(found.path())?.into_os_string().into_vec())
        } else {
            let (digest, len) = Digest::of_reader(fs::File::open(found.path())?)?;
            Node::File(Content::at_path(found.path(), len, digest))
        };
        let mode = match node {
            Node::Symlink(_) => 0o777,
            Node::File(_) if meta.permissions().mode() & 0o100 == 0 => 0o644,
            _ => 0o755,
        };
        let mut entry = Entry::new(path, mode, (0, 0), node);
        entry.mtime = Some(time);
        visit(entry)?;
        if file_type.is_dir() {
            read(&found.path(), below, time, visit)?;
        }
        below.truncate(parent);
    }
    Ok(())
}
