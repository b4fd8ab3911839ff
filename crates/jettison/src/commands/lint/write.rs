//! Writes what was mended, or shows it as a difference.
//!
//! Every file is written beside its place first, and put there when all of them are written: a disk that is full changes nothing.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jettison_build::{BuildError, Context as _};
use jettison_tree::TreePath;
use tempfile::NamedTempFile;

use super::inspect::Inspected;
use crate::commands::unified;

/// Writes the Dockerfile and the files of the context that fixes changed.
pub fn write(inspected: &Inspected) -> Result<(), BuildError> {
    let Some(mended) = &inspected.mended else { return Ok(()) };
    let mut ready = Vec::new();
    for (path, text) in &mended.files {
        let place = in_context(inspected, path)?;
        ready.push((beside(&place, text)?, place));
    }
    if let Some(path) = inspected.path.as_ref().filter(|_| mended.text != inspected.before) {
        let place = at_link(path)?;
        ready.push((beside(&place, &mended.text)?, place));
    }
    for (file, place) in ready {
        file.persist(&place).map_err(|error| BuildError::from(error.error)).context(place.display())?;
    }
    Ok(())
}

/// The same as a unified difference, with the names that `patch -p1` and `git apply` expect.
pub fn difference(inspected: &Inspected) -> String {
    let Some(mended) = &inspected.mended else { return String::new() };
    let report = &inspected.report;
    let mut text = unified(&report.path, Some(&inspected.before), &mended.text);
    for (path, after) in &mended.files {
        let before = in_context(inspected, path).ok().and_then(|place| fs::read_to_string(place).ok());
        text.push_str(&unified(&format!("{}{path}", report.context), before.as_deref(), after));
    }
    text
}

/// A file of the context, where no symbolic link leads out of it.
fn in_context(inspected: &Inspected, path: &TreePath) -> Result<PathBuf, BuildError> {
    let none = || BuildError::new(format!("there is no context to write `{path}` into"));
    let root = inspected.context.as_ref().ok_or_else(none)?;
    let place = root.join(path.as_path());
    let real = |path: &Path| path.canonicalize().map_err(BuildError::from).context(path.display());
    let parent = real(place.parent().unwrap_or(root))?;
    if !parent.starts_with(real(root)?) || fs::symlink_metadata(&place).is_ok_and(|meta| !meta.is_file()) {
        return Err(BuildError::new(format!("`{}` is not written: it is no file of its own", place.display())));
    }
    Ok(place)
}

/// Where a Dockerfile really is. A symbolic link stays one if it leads to a file of the same directory or below it.
fn at_link(path: &Path) -> Result<PathBuf, BuildError> {
    let at = |error: io::Error| BuildError::from(error).context(path.display());
    if !fs::symlink_metadata(path).map_err(at)?.is_symlink() {
        return Ok(path.to_owned());
    }
    let real = path.canonicalize().map_err(at)?;
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).map_err(at)?;
    if real.starts_with(here) {
        return Ok(real);
    }
    Err(BuildError::new(format!("`{}` is not written: it is a link to `{}`", path.display(), real.display()))
        .hint("name the file itself"))
}

/// A file with this text, beside `place`, with the permissions of what is there.
fn beside(place: &Path, text: &str) -> Result<NamedTempFile, BuildError> {
    let at = |error: io::Error| BuildError::from(error).context(place.display());
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The mode of a new file is cut by the umask, as that of any file is.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".jettison-").permissions(mode).tempfile_in(parent).map_err(at)?;
    file.write_all(text.as_bytes()).map_err(at)?;
    if let Ok(old) = fs::metadata(place) {
        file.as_file().set_permissions(old.permissions()).map_err(at)?;
    }
    Ok(file)
}
