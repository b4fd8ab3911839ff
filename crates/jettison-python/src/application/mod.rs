//! What of a project's directory goes into the image.
//!
//! 1. [`Application::read`] walks the directory once, with one `readdir` for each directory and a `stat` only for what stays. A
//!    directory that is left out is not entered.
//! 2. In this order: `include` patterns of the settings keep, `exclude` patterns of the settings drop, `.dockerignore` drops,
//!    [`rules`] drop what never belongs into an image. Patterns are those of `.dockerignore`.
//! 3. [`Application::suspicions`] looks for secrets in what stays.
//!
//! Symbolic links are kept as links and never followed; one that leads out of the project is left out and reported.

pub mod rules;

use std::ffi::OsString;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jettison_dockerfile::{Ignore, IgnoreError};
use jettison_tree::{Content, Digest, Entry, PathError, TreePath};

use crate::command::SourceTree;
use crate::secrets::{self, Suspicion};

pub use rules::Reason;

/// More files than this are not an application.
const MAX_FILES: usize = 1_000_000;
/// Larger files are not searched for secrets.
const MAX_SEARCHED: u64 = 1 << 20;

/// What decides what goes into the image, besides `.dockerignore` and the rules.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Patterns that keep what everything else would drop.
    pub include: Vec<String>,
    /// Patterns that drop.
    pub exclude: Vec<String>,
    /// Whether the sizes of directories that are left out are wanted; they must be walked for it.
    pub measure: bool,
}

/// The files of a project that go into the image.
#[derive(Debug, Clone)]
pub struct Application {
    root: PathBuf,
    /// What goes in, by path.
    pub files: Vec<AppFile>,
    /// What does not, by path; of a directory that is left out as a whole, only itself.
    pub left_out: Vec<LeftOut>,
}

/// One path of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFile {
    /// The path, relative to the project.
    pub path: TreePath,
    /// What it is.
    pub kind: AppKind,
}

/// What stands at a path of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppKind {
    /// A file.
    File {
        /// Whether anyone may run it.
        executable: bool,
        /// Its length in bytes.
        len: u64,
    },
    /// A symbolic link that stays inside the project, with its target.
    Symlink(Vec<u8>),
    /// A directory with nothing in it.
    EmptyDirectory,
}

/// A path that does not go in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The path.
    pub path: TreePath,
    /// Whether it is a directory, with all that is in it.
    pub is_directory: bool,
    /// Why.
    pub reason: Reason,
    /// Its length in bytes; of a directory, of all files in it, where it was measured.
    pub bytes: Option<u64>,
}

/// A project's directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A file or directory cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A `.dockerignore` is malformed.
    #[error("{file}, {source}")]
    Ignore {
        /// The file, or the setting.
        file: String,
        /// What is wrong.
        source: IgnoreError,
    },
    /// A name cannot stand in an image.
    #[error(transparent)]
    Path(#[from] PathError),
    /// There are too many files.
    #[error("`{0}` holds more than {MAX_FILES} files")]
    TooMany(String),
}

impl ApplicationError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ignore { source, .. } => source.hint(),
            Self::TooMany(_) => Some("name what does not belong into the image in a .dockerignore".to_owned()),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it readable, or leave it out with a line in .dockerignore".to_owned())
            }
            _ => None,
        }
    }
}

impl Application {
    /// Reads the project in the directory `root`.
    pub fn read(root: &Path, filter: &Filter) -> Result<Self, ApplicationError> {
        let parse = |file: &str, text: &str| {
            Ignore::parse(text).map_err(|source| ApplicationError::Ignore { file: file.to_owned(), source })
        };
        let ignore = match fs::read(root.join(".dockerignore")) {
            Ok(bytes) => parse(".dockerignore", &String::from_utf8_lossy(&bytes))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ignore::default(),
            Err(source) => return Err(ApplicationError::Io { path: ".dockerignore".to_owned(), source }),
        };
        // Everything is out but what is included: then "out" and "prunable" are questions that the matcher answers.
        let negated: String = filter.include.iter().map(|pattern| format!("!{pattern}\n")).collect();
        let mut walk = Walk {
            root,
            ignore,
            exclude: parse("exclude", &filter.exclude.join("\n"))?,
            not_included: parse("include", &format!("**\n{negated}"))?,
            has_includes: !filter.include.is_empty(),
            measure: filter.measure,
            application: Self { root: root.to_owned(), files: Vec::new(), left_out: Vec::new() },
        };
        walk.run()?;
        let mut application = walk.application;
        application.files.sort_by(|a, b| a.path.cmp(&b.path));
        application.left_out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(application)
    }

    /// The bytes of all its files together.
    pub fn bytes(&self) -> u64 {
        let lengths = self.files.iter().map(|file| match file.kind {
            AppKind::File { len, .. } => len,
            _ => 0,
        });
        lengths.sum()
    }

    /// The application as entries below the directory `prefix` of an image, owned by root and readable by all. Each file is read
    /// once, for its digest; a file that changes before it is written is an error then.
    pub fn entries(&self, prefix: &TreePath) -> Result<Vec<Entry>, ApplicationError> {
        let mut entries = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let path = prefix.join(file.path.as_bytes())?;
            entries.push(match &file.kind {
                AppKind::Symlink(target) => Entry::symlink(path, target.clone()),
                AppKind::EmptyDirectory => Entry::directory(path),
                AppKind::File { executable, .. } => {
                    let (digest, len) =
                        self.open(&file.path).and_then(Digest::of_reader).map_err(|e| io_error(&file.path, e))?;
                    let content = Content::at_path(self.root.join(file.path.as_path()), len, digest);
                    Entry::file(path, content, *executable)
                }
            });
        }
        Ok(entries)
    }

    /// What looks like a secret in the files that go in: text files of up to 1 MiB are searched.
    pub fn suspicions(&self) -> Result<Vec<Suspicion>, ApplicationError> {
        let mut suspicions = Vec::new();
        for file in &self.files {
            let AppKind::File { len, .. } = file.kind else { continue };
            if len > MAX_SEARCHED {
                continue;
            }
            let bytes = self.bytes_of(&file.path, MAX_SEARCHED).map_err(|e| io_error(&file.path, e))?;
            suspicions.extend(secrets::search(&file.path.to_string(), &bytes));
        }
        Ok(suspicions)
    }

    /// The first `limit` bytes of a file.
    fn bytes_of(&self, path: &TreePath, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Opens a file, which must still be a file and no link.
    fn open(&self, path: &TreePath) -> io::Result<File> {
        let path = self.root.join(path.as_path());
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(io::Error::other("it is no regular file any more"));
        }
        File::open(path)
    }
}

/// The files with names in UTF-8, and the Procfile, which says how the image starts but does not go in.
impl SourceTree for Application {
    fn files(&self) -> Vec<String> {
        let kept = self.files.iter().filter(|file| matches!(file.kind, AppKind::File { .. })).map(|file| &file.path);
        let is_procfile = |left: &&LeftOut| left.path.as_bytes() == b"Procfile" && left.reason == Reason::ImageBuild;
        let procfile = self.left_out.iter().filter(is_procfile).map(|left| &left.path);
        let mut paths: Vec<String> = kept.chain(procfile).filter_map(|path| path.as_str().map(str::to_owned)).collect();
        paths.sort();
        paths
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let path = TreePath::parse(path).map_err(io::Error::other)?;
        self.bytes_of(&path, u64::MAX)
    }
}

fn io_error(path: &TreePath, source: io::Error) -> ApplicationError {
    ApplicationError::Io { path: path.to_string(), source }
}

struct Walk<'a> {
    root: &'a Path,
    ignore: Ignore,
    exclude: Ignore,
    not_included: Ignore,
    has_includes: bool,
    measure: bool,
    application: Application,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), ApplicationError> {
        let mut open: Vec<Option<TreePath>> = vec![None];
        while let Some(directory) = open.pop() {
            let names = list(self.root, directory.as_ref())?;
            if let Some(path) = directory.as_ref().filter(|_| names.is_empty())
                && self.reason(path, true)?.is_none()
            {
                self.application.files.push(AppFile { path: path.clone(), kind: AppKind::EmptyDirectory });
            }
            for (name, kind) in names {
                let path = match &directory {
                    Some(directory) => directory.join(name.as_bytes())?,
                    None => TreePath::parse(name.as_bytes())?,
                };
                if kind.is_dir() {
                    match self.reason(&path, true)? {
                        Some(reason) if self.can_skip(&path, reason) => self.leave_out(path, true, reason)?,
                        _ => open.push(Some(path)),
                    }
                } else {
                    self.file(path, kind)?;
                }
            }
        }
        Ok(())
    }

    /// Why a path does not go in; `None` where it does.
    fn reason(&self, path: &TreePath, is_directory: bool) -> Result<Option<Reason>, ApplicationError> {
        if self.has_includes && !self.not_included.matches(path.as_bytes()) {
            return Ok(None);
        }
        if self.exclude.matches(path.as_bytes()) {
            return Ok(Some(Reason::Excluded));
        }
        if self.ignore.matches(path.as_bytes()) {
            return Ok(Some(Reason::Dockerignore));
        }
        let absolute = self.root.join(path.as_path());
        if is_directory {
            Ok(rules::directory(path, &absolute))
        } else {
            let content = || self.application.bytes_of(path, 64 * 1024);
            rules::file(path, content).map_err(|e| io_error(path, e))
        }
    }

    /// Whether nothing in a directory that is left out can be kept.
    fn can_skip(&self, path: &TreePath, reason: Reason) -> bool {
        let path = path.as_bytes();
        let by_reason = match reason {
            Reason::Excluded => self.exclude.prunes(path),
            Reason::Dockerignore => self.ignore.prunes(path),
            _ => true,
        };
        by_reason && (!self.has_includes || self.not_included.prunes(path))
    }

    fn file(&mut self, path: TreePath, kind: FileType) -> Result<(), ApplicationError> {
        if let Some(reason) = self.reason(&path, !kind.is_file())? {
            return self.leave_out(path, false, reason);
        }
        // A file in a directory that is out by rule, but was entered for an include below it.
        if self.has_includes && self.not_included.matches(path.as_bytes()) {
            let mut above = path.parent();
            while let Some(directory) = above {
                if let Some(reason) = rules::directory(&directory, &self.root.join(directory.as_path())) {
                    return self.leave_out(path, false, reason);
                }
                above = directory.parent();
            }
        }
        let absolute = self.root.join(path.as_path());
        let kind = if kind.is_symlink() {
            let target = fs::read_link(&absolute).map_err(|e| io_error(&path, e))?.into_os_string().into_vec();
            if !stays_inside(&path, &target) {
                return self.leave_out(path, false, Reason::LeadsOut);
            }
            AppKind::Symlink(target)
        } else if kind.is_file() {
            let metadata = fs::symlink_metadata(&absolute).map_err(|e| io_error(&path, e))?;
            AppKind::File { executable: metadata.permissions().mode() & 0o111 != 0, len: metadata.len() }
        } else {
            return self.leave_out(path, false, Reason::Special);
        };
        if self.application.files.len() >= MAX_FILES {
            return Err(ApplicationError::TooMany(self.root.display().to_string()));
        }
        self.application.files.push(AppFile { path, kind });
        Ok(())
    }

    fn leave_out(&mut self, path: TreePath, is_directory: bool, reason: Reason) -> Result<(), ApplicationError> {
        let absolute = self.root.join(path.as_path());
        let bytes = match is_directory {
            true if self.measure => Some(measure(&absolute)),
            true => None,
            false => fs::symlink_metadata(&absolute).ok().map(|metadata| metadata.len()),
        };
        self.application.left_out.push(LeftOut { path, is_directory, reason, bytes });
        Ok(())
    }
}

/// The names in a directory with what they are, as `readdir` has it.
fn list(root: &Path, directory: Option<&TreePath>) -> Result<Vec<(OsString, FileType)>, ApplicationError> {
    let path = directory.map_or(root.to_owned(), |directory| root.join(directory.as_path()));
    let error = |source| {
        let path = directory.map_or(root.display().to_string(), TreePath::to_string);
        ApplicationError::Io { path, source }
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(error)? {
        let entry = entry.map_err(error)?;
        names.push((entry.file_name(), entry.file_type().map_err(error)?));
    }
    Ok(names)
}

/// The bytes of all files below a directory; what cannot be read counts nothing.
fn measure(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// Whether a link at `path` leads to something in the project, by text.
fn stays_inside(path: &TreePath, target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return false;
    }
    let mut depth = path.as_bytes().iter().filter(|&&byte| byte == b'/').count();
    for component in target.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests;
