//! The build context that a Dockerfile is built in: a directory, and changes to it that are not yet made.
//!
//! Nothing is read before a rule asks for it, and nothing twice: contexts in one [`Directory`] share what is read of it. Symbolic links are
//! not followed out of it.

use jettison_dockerfile::Ignore;
use jettison_python::project::Project;
use jettison_tree::TreePath;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// More files than this are not looked at.
const MAX_FILES: usize = 500_000;
/// A file that is longer is not read.
const MAX_TEXT: u64 = 16 << 20;

/// A build context, read as far as it is asked for.
#[derive(Debug, Default)]
pub struct Context {
    directory: Option<Arc<Directory>>,
    /// The ignore file that stands beside the Dockerfile, `<Dockerfile>.dockerignore`, if there is one.
    own_ignore: Option<TreePath>,
    changes: BTreeMap<TreePath, String>,
    files: OnceCell<Vec<File>>,
    ignore: OnceCell<Option<IgnoreFile>>,
}

/// A directory that is the context of one Dockerfile or of many.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    files: OnceLock<Vec<File>>,
    project: OnceLock<Option<Project>>,
}

impl Directory {
    /// The directory at `root`, of which nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { root: root.into(), files: OnceLock::new(), project: OnceLock::new() })
    }

    fn files(&self) -> &[File] {
        self.files.get_or_init(|| {
            let mut files = Vec::new();
            walk(&self.root, &mut files);
            files.sort_by(|a, b| a.path.cmp(&b.path));
            files
        })
    }
}

/// A file of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path from the root of the context.
    pub path: TreePath,
    /// Its length in bytes; 0 for what is no regular file.
    pub bytes: u64,
    /// What it is.
    pub kind: FileKind,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, a device or a pipe.
    Other,
}

/// The ignore file that counts.
#[derive(Debug, Clone)]
pub struct IgnoreFile {
    /// Its path in the context.
    pub path: TreePath,
    /// Its text.
    pub text: String,
    /// Its patterns; none when it cannot be parsed.
    pub patterns: Ignore,
}

impl Context {
    /// No context: a Dockerfile from standard input or a fragment. Rules that need one find nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// The context in the directory `root`, for the Dockerfile at `dockerfile` (a path below it, if it is below it).
    pub fn directory(root: impl Into<PathBuf>, dockerfile: Option<&TreePath>) -> Self {
        Self::within(Directory::new(root), dockerfile)
    }

    /// The same, in a directory of which something may have been read already.
    pub fn within(directory: Arc<Directory>, dockerfile: Option<&TreePath>) -> Self {
        let own_ignore = dockerfile.and_then(|path| {
            let name = [path.as_bytes(), b".dockerignore"].concat();
            TreePath::parse(name).ok()
        });
        Self { directory: Some(directory), own_ignore, ..Self::default() }
    }

    /// The same context with files written to it that are not on disk.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = (TreePath, String)>) -> Self {
        let mut all = self.changes.clone();
        all.extend(changes);
        Self { directory: self.directory.clone(), own_ignore: self.own_ignore.clone(), changes: all, ..Self::default() }
    }

    /// Its directory.
    pub fn root(&self) -> Option<&Path> {
        Some(&self.directory.as_ref()?.root)
    }

    /// Every file and directory in it, ignored or not, a directory before what it holds, otherwise by path.
    pub fn files(&self) -> &[File] {
        let on_disk = self.directory.as_ref().map_or(&[][..], |directory| directory.files());
        if self.changes.is_empty() {
            return on_disk;
        }
        self.files.get_or_init(|| {
            let mut files = on_disk.to_vec();
            for (path, text) in &self.changes {
                files.retain(|file| file.path != *path);
                files.push(File { path: path.clone(), bytes: text.len() as u64, kind: FileKind::Regular });
                let mut above = path.parent();
                while let Some(directory) = above {
                    above = directory.parent();
                    files.push(File { path: directory, bytes: 0, kind: FileKind::Directory });
                }
            }
            files.sort_by(|a, b| a.path.cmp(&b.path));
            files.dedup_by(|a, b| a.path == b.path);
            files
        })
    }

    /// The file or directory at `path`.
    pub fn file(&self, path: &TreePath) -> Option<&File> {
        let files = self.files();
        files.binary_search_by(|file| file.path.cmp(path)).ok().map(|at| &files[at])
    }

    /// The ignore file that BuildKit would take: `<Dockerfile>.dockerignore`, or `.dockerignore`.
    pub fn ignore(&self) -> Option<&IgnoreFile> {
        let find = || {
            let shared = TreePath::parse(".dockerignore").ok();
            self.own_ignore.iter().chain(&shared).find_map(|path| {
                let text = self.read(path)?;
                let patterns = Ignore::parse(&text).unwrap_or_default();
                Some(IgnoreFile { path: path.clone(), text, patterns })
            })
        };
        self.ignore.get_or_init(find).as_ref()
    }

    /// The Python project in its directory, if there is one that can be read. Changes that are not on disk are not seen.
    pub fn project(&self) -> Option<&Project> {
        let directory = self.directory.as_ref()?;
        directory.project.get_or_init(|| Project::read(&directory.root).ok()).as_ref()
    }

    /// Whether there is anything at `path`, ignored or not.
    pub fn exists(&self, path: &TreePath) -> bool {
        let on_disk = || self.root().is_some_and(|root| root.join(path.as_path()).symlink_metadata().is_ok());
        self.changes.contains_key(path) || on_disk()
    }

    /// The text of a file of it, ignored or not; `None` for one that is not there, is no regular file, or is no text.
    pub fn read(&self, path: &TreePath) -> Option<String> {
        if let Some(text) = self.changes.get(path) {
            return Some(text.clone());
        }
        let path = self.root()?.join(path.as_path());
        let metadata = fs::symlink_metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > MAX_TEXT {
            return None;
        }
        String::from_utf8(fs::read(path).ok()?).ok()
    }

    /// As [`Context::read`], for a path that is plainly one.
    pub fn text(&self, path: &str) -> Option<String> {
        self.read(&TreePath::parse(path).ok()?)
    }
}

/// All that is below `root`. What cannot be read is left out: a build would say more about it.
fn walk(root: &Path, files: &mut Vec<File>) {
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(root.join(&directory)) else { continue };
        for entry in entries.flatten() {
            if files.len() == MAX_FILES {
                return;
            }
            let relative = directory.join(entry.file_name());
            let Ok(path) = TreePath::parse(relative.as_os_str().as_encoded_bytes()) else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            let kind = match metadata.file_type() {
                kind if kind.is_file() => FileKind::Regular,
                kind if kind.is_dir() => FileKind::Directory,
                kind if kind.is_symlink() => FileKind::Symlink,
                _ => FileKind::Other,
            };
            if kind == FileKind::Directory {
                open.push(relative);
            }
            files.push(File { path, bytes: if kind == FileKind::Regular { metadata.len() } else { 0 }, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_its_own_wins_over_the_shared_ignore_file_and_changes_win_over_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = |text: &str| TreePath::parse(text).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join(".dockerignore"), "a\n").unwrap();
        fs::write(dir.path().join("sub/Dockerfile.dockerignore"), "b\n").unwrap();
        fs::write(dir.path().join("b"), "12345").unwrap();
        let context = Context::directory(dir.path(), Some(&path("sub/Dockerfile")));
        let ignore = context.ignore().unwrap();
        assert_eq!((ignore.path.as_str(), ignore.patterns.matches("b")), (Some("sub/Dockerfile.dockerignore"), true));
        assert_eq!(Context::directory(dir.path(), None).ignore().unwrap().text, "a\n");
        let names: Vec<_> = context.files().iter().filter_map(|file| file.path.as_str()).collect();
        assert_eq!(names, [".dockerignore", "b", "sub", "sub/Dockerfile.dockerignore"]);
        assert_eq!(context.files()[1].bytes, 5);
        let changed = context.with([(path("b"), "1".to_owned())]);
        assert_eq!((changed.files()[1].bytes, changed.text("b").as_deref()), (1, Some("1")));
        assert_eq!(Context::none().files(), []);
    }
}
