//! A source distribution is written to a directory.
//!
//! The top directory is made new, so that everything in it was put there by this function; no entry is written through a
//! symbolic link that another one made, none is written twice, links point inside, and nobody's owner or setuid bit is kept.
//! Times of modification are kept: makefiles go by them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jettison_tree::TreePath;

use super::walk::{Item, Kind, walk};
use super::{Sdist, SdistError, SdistFault};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    File,
    Directory,
    Symlink,
}

struct Unpacking<'a> {
    destination: &'a Path,
    top: &'a TreePath,
    made: BTreeMap<TreePath, Made>,
}

impl Sdist {
    /// Unpacks it into the existing directory `destination` and returns the path of its top directory, which must not be there
    /// yet. On an error that directory holds part of it and is to be thrown away.
    pub fn unpack(&mut self, destination: &Path) -> Result<PathBuf, SdistError> {
        let mut unpacking = Unpacking { destination, top: &self.directory, made: BTreeMap::new() };
        let walked = unpacking
            .top_directory()
            .and_then(|()| walk(&mut self.file, self.filename.format, &mut |item, data| unpacking.write(item, data)));
        walked.map_err(|fault| SdistError { sdist: self.filename.to_string(), fault })?;
        Ok(destination.join(self.directory.as_path()))
    }
}

impl Unpacking<'_> {
    fn top_directory(&mut self) -> Result<(), SdistFault> {
        make_directory(&self.destination.join(self.top.as_path()))?;
        self.made.insert(self.top.clone(), Made::Directory);
        Ok(())
    }

    fn write(&mut self, item: &Item, data: &mut dyn Read) -> Result<(), SdistFault> {
        let refuse = |why: &str| SdistFault::Entry { entry: item.path.to_string(), why: why.to_owned() };
        self.parents(&item.path)?;
        match (self.made.get(&item.path), &item.kind) {
            (None, _) => {}
            (Some(Made::Directory), Kind::Directory) => return Ok(()),
            (Some(_), _) => return Err(refuse("is there twice")),
        }
        let path = self.destination.join(item.path.as_path());
        let made = match &item.kind {
            Kind::Directory => {
                make_directory(&path)?;
                Made::Directory
            }
            Kind::Symlink(target) => {
                if !points_inside(&item.path, target, self.top) {
                    return Err(refuse("is a symbolic link to outside"));
                }
                std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &path)?;
                Made::Symlink
            }
            Kind::HardLink(target) => {
                if self.made.get(target) != Some(&Made::File) {
                    return Err(refuse("is a hard link to what is no file before it"));
                }
                let from = self.destination.join(target.as_path());
                let executable = fs::metadata(&from)?.permissions().mode() & 0o100 != 0;
                write_file(&path, &mut File::open(from)?, executable, item.modified)?;
                Made::File
            }
            Kind::File { executable } => {
                let written = write_file(&path, data, *executable, item.modified)?;
                if written != item.size {
                    return Err(SdistFault::Archive(format!("`{}` is not as long as announced", item.path)));
                }
                Made::File
            }
        };
        self.made.insert(item.path.clone(), made);
        Ok(())
    }

    /// Makes the directories above `path` that no entry names, and sees to it that none of them is anything else.
    fn parents(&mut self, path: &TreePath) -> Result<(), SdistFault> {
        let above: Vec<_> = std::iter::successors(path.parent(), TreePath::parent).collect();
        for directory in above.into_iter().rev() {
            match self.made.get(&directory) {
                Some(Made::Directory) => {}
                Some(_) => {
                    let why = format!("lies behind `{directory}`, which is no directory");
                    return Err(SdistFault::Entry { entry: path.to_string(), why });
                }
                None => {
                    make_directory(&self.destination.join(directory.as_path()))?;
                    self.made.insert(directory, Made::Directory);
                }
            }
        }
        Ok(())
    }
}

/// Whether a link at `path` to `target` stays below `top`, going by the names alone.
fn points_inside(path: &TreePath, target: &[u8], top: &TreePath) -> bool {
    let mut depth = path.as_bytes().split(|&byte| byte == b'/').count() - 1;
    let floor = top.as_bytes().split(|&byte| byte == b'/').count();
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth <= floor => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn write_file(path: &Path, data: &mut dyn Read, executable: bool, modified: Option<u64>) -> Result<u64, SdistFault> {
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = io::copy(data, &mut file)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    if let Some(time) = modified.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))) {
        // A time that the file system cannot hold says nothing to a makefile either.
        _ = file.set_modified(time);
    }
    Ok(written)
}
