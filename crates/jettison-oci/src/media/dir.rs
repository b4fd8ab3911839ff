//! skopeo's `dir:` (containers/image, directory transport 1.1): `version`, `manifest.json`, and each blob as a file named
//! by its hex digest; the manifests under an index as `<hex>.manifest.json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::read_small;
use super::staged::{StagedDir, write_bytes, write_item};
use super::{At as _, MediaError, format_error};
use crate::blob::{Blob, BlobError, BlobSource, open_file};
use crate::image::{ContentItem, ImageOrIndex};
use crate::types::{Descriptor, MediaType};

const VERSION: &str = "version";
const VERSION_TEXT: &str = "Directory Transport Version: 1.1\n";
const MANIFEST: &str = "manifest.json";

/// Reads the image or index in a `dir:` directory.
pub fn read_dir(directory: &Path) -> Result<ImageOrIndex, MediaError> {
    // Early writers left the version out.
    if let Some(version) = read_small(&directory.join(VERSION))?
        && !version.starts_with(b"Directory Transport Version: 1.")
    {
        return Err(format_error(directory, "its `version` is not `Directory Transport Version: 1.…`"));
    }
    let manifest = read_small(&directory.join(MANIFEST))?;
    let manifest: Arc<[u8]> = manifest.ok_or_else(|| format_error(directory, "it has no `manifest.json`"))?.into();
    let descriptor = Descriptor::of(MediaType::new(""), &manifest);
    ImageOrIndex::parse(&descriptor, manifest, Arc::new(DirBlobs(directory.to_owned()))).at(directory)
}

struct DirBlobs(PathBuf);

impl BlobSource for DirBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let (digest, hex) = (descriptor.digest, descriptor.digest.hex());
        match open_file(digest, &self.0.join(format!("{hex}.manifest.json"))) {
            Err(BlobError::Missing { .. }) => open_file(digest, &self.0.join(hex)),
            found => found,
        }
    }
}

/// Writes `content` to a `dir:` directory. What an earlier write left there is replaced: the new manifest takes the old
/// one's place when all its blobs are there, and what it does not name goes after that.
pub fn write_dir(directory: &Path, content: &ImageOrIndex) -> Result<(), MediaError> {
    let contents = content.contents().at(directory)?;
    let staged = StagedDir::open(directory, |path| match path.join(VERSION).is_file() {
        true => Ok(()),
        false => Err("a directory that skopeo's dir: did not write"),
    })?;
    let root = staged.path();
    write_bytes(&root.join(VERSION), VERSION_TEXT.as_bytes())?;
    let top = content.descriptor().digest;
    let mut keep = BTreeSet::from([VERSION.to_owned(), MANIFEST.to_owned()]);
    for item in contents.iter().filter(|item| item.descriptor().digest != top) {
        let hex = item.descriptor().digest.hex();
        let name = match item {
            ContentItem::Blob(_) => hex,
            ContentItem::Document(..) => format!("{hex}.manifest.json"),
        };
        write_item(&root.join(&name), item, content.blobs())?;
        keep.insert(name);
    }
    write_bytes(&root.join(MANIFEST), content.bytes())?;
    for entry in fs::read_dir(root).at(root)? {
        let entry = entry.at(root)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_ours(&name) && !keep.contains(&name) {
            fs::remove_file(entry.path()).at(&entry.path())?;
        }
    }
    staged.finish()
}

/// Whether a name is one that this format gives to a blob, a manifest or a signature.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(".manifest.json").unwrap_or(name);
    (stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit())) || name.starts_with("signature-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::validate::validate;

    #[test]
    fn a_directory_holds_the_last_image_written_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let (image, index) = (ImageOrIndex::Image(sample::image()), ImageOrIndex::Index(sample::index()));
        let files = || fs::read_dir(&path).unwrap().count();
        for (content, count) in [(&index, 2 + 2 * 4), (&image, 2 + 3), (&image, 2 + 3)] {
            write_dir(&path, content).unwrap();
            let read = read_dir(&path).unwrap();
            assert_eq!((read.bytes(), files()), (content.bytes(), count));
            assert_eq!(read.descriptor().digest, content.descriptor().digest);
            assert_eq!(validate(&read), []);
        }
    }

    #[test]
    fn other_directories_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_dir(dir.path()).unwrap_err().to_string().contains("no `manifest.json`"));
        fs::write(dir.path().join("precious"), "").unwrap();
        let error = write_dir(dir.path(), &ImageOrIndex::Image(sample::image())).unwrap_err();
        assert!(matches!(error, MediaError::Occupied { .. }), "{error}");
        fs::write(dir.path().join(VERSION), "Directory Transport Version: 2.0\n").unwrap();
        assert!(read_dir(dir.path()).unwrap_err().to_string().contains("`version`"));
    }
}
