//! Files and directories that appear whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use crate::blob::BlobSource;
use crate::image::ContentItem;
use crate::types::Descriptor;

use super::{At as _, MediaError};

/// Writes a file under a temporary name in its own directory and renames it when it is whole and on disk.
pub(super) fn write_file<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, MediaError>,
) -> Result<T, MediaError> {
    // The mode is cut by the umask, as that of any file is.
    let parent = parent(path);
    let staged = Builder::new().prefix(".jettison-").permissions(Permissions::from_mode(0o666)).tempfile_in(&parent);
    let mut staged = staged.at(&parent)?;
    let made = fill(staged.as_file_mut())?;
    staged.as_file().sync_data().at(path)?;
    staged.persist(path).map_err(|error| error.error).at(path)?;
    Ok(made)
}

/// [`write_file`] with these bytes.
pub(super) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), MediaError> {
    write_file(path, |file| file.write_all(bytes).at(path))
}

/// Writes a blob or document to `path`, checked. A file of the right size that is there already is that blob: files get
/// their names when they are whole.
pub(super) fn write_item(path: &Path, item: &ContentItem, blobs: &dyn BlobSource) -> Result<(), MediaError> {
    let descriptor = item.descriptor();
    if fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() == descriptor.size) {
        return Ok(());
    }
    match item {
        ContentItem::Document(_, bytes) => write_bytes(path, bytes),
        ContentItem::Blob(descriptor) => write_file(path, |file| copy_blob(blobs, descriptor, file, path)),
    }
}

pub(super) fn copy_blob(
    blobs: &dyn BlobSource,
    descriptor: &Descriptor,
    out: &mut impl Write,
    path: &Path,
) -> Result<(), MediaError> {
    blobs.open(descriptor).and_then(|blob| blob.copy_to(descriptor, out)).at(path)
}

/// A directory that is being written: a new one under a temporary name beside its place, or one that was there, in place.
pub(super) struct StagedDir {
    target: PathBuf,
    new: Option<TempDir>,
}

impl StagedDir {
    /// `check` says what stands in the way where the directory is there already and not empty.
    pub(super) fn open(
        target: &Path,
        check: impl FnOnce(&Path) -> Result<(), &'static str>,
    ) -> Result<Self, MediaError> {
        let target = target.to_owned();
        match fs::read_dir(&target) {
            Ok(mut entries) => {
                if entries.next().is_some()
                    && let Err(what) = check(&target)
                {
                    return Err(MediaError::Occupied { path: target, what });
                }
                Ok(Self { target, new: None })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = parent(&target);
                fs::create_dir_all(&parent).at(&parent)?;
                let staged =
                    Builder::new().prefix(".jettison-").permissions(Permissions::from_mode(0o777)).tempdir_in(&parent);
                let new = Some(staged.at(&parent)?);
                Ok(Self { target, new })
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(MediaError::Occupied { path: target, what: "a file" })
            }
            Err(error) => Err(error).at(&target),
        }
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        self.new.as_ref().map_or(&self.target, TempDir::path)
    }

    /// Gives a new directory its name.
    pub(super) fn finish(self) -> Result<(), MediaError> {
        let Some(new) = self.new else { return Ok(()) };
        fs::rename(new.path(), &self.target).at(&self.target)?;
        // It is where it belongs now; nothing is left to clean up.
        let _ = new.keep();
        Ok(())
    }
}

/// Holds the lock of a file that is there, against other processes that write to the same medium.
pub(super) fn lock(path: &Path) -> Result<File, MediaError> {
    let file = OpenOptions::new().read(true).open(path).at(path)?;
    file.lock().at(path)?;
    Ok(file)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
