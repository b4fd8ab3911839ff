//! OCI image layouts (image-spec, image-layout.md): `oci-layout`, `index.json` and `blobs/sha256/…`, as a directory or in a
//! tar.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_tree::Digest;

use super::archive::{Archive, write_archive};
use super::staged::{StagedDir, lock, write_bytes, write_file, write_item};
use super::{At as _, MediaError, format_error};
use crate::blob::{Blob, BlobError, BlobSource, open_file};
use crate::image::ImageOrIndex;
use crate::types::{Descriptor, Document, ImageIndex, MAX_DOCUMENT_BYTES, annotation};

const INDEX: &str = "index.json";
const MARKER: &str = "oci-layout";
const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout that is read.
#[derive(Debug, Clone)]
pub struct Layout {
    place: Arc<Place>,
    index: Document<ImageIndex>,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Archive(Archive),
}

impl Layout {
    /// Opens a directory or, where `path` is a file, a tar, compressed or not.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        let is_directory = fs::metadata(path).at(path)?.is_dir();
        let place = if is_directory { Place::Directory(path.to_owned()) } else { Place::Archive(Archive::open(path)?) };
        let marker = place.read(MARKER)?.ok_or_else(|| format_error(path, "no OCI layout: it has no `oci-layout`"))?;
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Marker {
            image_layout_version: String,
        }
        let marker: Marker = serde_json::from_slice(&marker)
            .map_err(|error| format_error(path, format!("its `oci-layout` cannot be read: {error}")))?;
        if !marker.image_layout_version.starts_with("1.") {
            return Err(format_error(path, format!("its layout version is {}, not 1", marker.image_layout_version)));
        }
        let index =
            place.read(INDEX)?.ok_or_else(|| format_error(path, "a broken OCI layout: it has no `index.json`"))?;
        let index = Document::parse(index).at(path)?;
        Ok(Self { place: Arc::new(place), index })
    }

    /// What the layout holds.
    pub fn index(&self) -> &Document<ImageIndex> {
        &self.index
    }

    /// The names in it, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.index.manifests.iter().filter_map(|descriptor| descriptor.annotation(annotation::REF_NAME)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The descriptor with this name, by `org.opencontainers.image.ref.name`, containerd's full name or digest. Without a
    /// name, the only one.
    pub fn find(&self, name: Option<&str>) -> Result<&Descriptor, MediaError> {
        let path = self.place.path().to_owned();
        let there = || match self.names().as_slice() {
            [] => "no named image".to_owned(),
            names => names.join(", "),
        };
        let Some(name) = name else {
            let mut all = self.index.manifests.iter();
            let first = all.next().ok_or_else(|| format_error(&path, "the OCI layout holds no image"))?;
            if all.any(|other| other.digest != first.digest) {
                return Err(MediaError::Ambiguous { path, count: self.index.manifests.len(), there: there() });
            }
            return Ok(first);
        };
        let digest = name.parse::<Digest>().ok();
        let names = [annotation::REF_NAME, annotation::CONTAINERD_NAME];
        let named = |descriptor: &&Descriptor| {
            digest == Some(descriptor.digest) || names.iter().any(|key| descriptor.annotation(key) == Some(name))
        };
        let found = self.index.manifests.iter().find(named);
        found.ok_or_else(|| MediaError::NotFound { path, wanted: name.to_owned(), there: there() })
    }

    /// Reads the image or index with this name, as [`find`](Self::find) finds it.
    pub fn read(&self, name: Option<&str>) -> Result<ImageOrIndex, MediaError> {
        let blobs: Arc<dyn BlobSource> = Arc::<Place>::clone(&self.place);
        ImageOrIndex::read(self.find(name)?, blobs).at(self.place.path())
    }

    /// Where its blobs are.
    pub fn blobs(&self) -> Arc<dyn BlobSource> {
        Arc::<Place>::clone(&self.place)
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => archive.path(),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, MediaError> {
        match self {
            Self::Directory(path) => read_small(&path.join(name)),
            Self::Archive(archive) => archive.read(name, MAX_DOCUMENT_BYTES),
        }
    }
}

impl BlobSource for Place {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        match self {
            Self::Directory(path) => open_file(descriptor.digest, &blob_path(path, descriptor.digest)),
            Self::Archive(archive) => archive.blob(descriptor.digest),
        }
    }
}

fn blob_path(layout: &Path, digest: Digest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.hex())
}

/// All of a small file; `None` where there is none.
pub(super) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, MediaError> {
    use std::io::Read as _;
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.at(path)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).at(path)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(format_error(path, format!("it is longer than {MAX_DOCUMENT_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

/// Writes `content` into the layout at `directory`, which is made where it is not there, and gives it `name` there. What had
/// that name before loses it; its blobs stay, for they may be others' too. Other processes may write to the same layout.
pub fn write_layout(directory: &Path, content: &ImageOrIndex, name: Option<&str>) -> Result<Descriptor, MediaError> {
    let contents = content.contents().at(directory)?;
    let staged = StagedDir::open(directory, |path| match path.join(MARKER).is_file() {
        true => Ok(()),
        false => Err("a directory that is no OCI layout"),
    })?;
    let root = staged.path();
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).at(&blobs)?;
    let marker = root.join(MARKER);
    if !marker.exists() {
        write_bytes(&marker, MARKER_TEXT)?;
    }
    for item in &contents {
        write_item(&blob_path(root, item.descriptor().digest), item, content.blobs())?;
    }
    let _lock = lock(&marker)?;
    let path = root.join(INDEX);
    let index = match read_small(&path)? {
        Some(bytes) => Document::<ImageIndex>::parse(bytes).at(directory)?.into_value(),
        None => ImageIndex::new(Vec::new()),
    };
    let descriptor = named(content.descriptor(), name);
    let index = with_manifest(index, &descriptor);
    write_bytes(&path, Document::new(index).bytes())?;
    staged.finish()?;
    Ok(descriptor)
}

/// Writes a tar of a new layout that holds `content` alone. The same content gives the same bytes.
pub fn write_layout_archive(file: &Path, content: &ImageOrIndex, name: Option<&str>) -> Result<Descriptor, MediaError> {
    let contents = content.contents().at(file)?;
    let descriptor = named(content.descriptor(), name);
    let files = layout_files(vec![descriptor.clone()]);
    write_file(file, |out| {
        let out = std::io::BufWriter::with_capacity(1 << 17, out);
        write_archive(out, file, &files, &contents, content.blobs())
    })?;
    Ok(descriptor)
}

/// `oci-layout` and `index.json` of a layout with these manifests.
pub(super) fn layout_files(manifests: Vec<Descriptor>) -> Vec<(&'static str, Vec<u8>)> {
    let index = Document::new(ImageIndex::new(manifests));
    vec![(MARKER, MARKER_TEXT.to_vec()), (INDEX, index.bytes().to_vec())]
}

/// The descriptor under a name of its own; those it had elsewhere are dropped.
pub(super) fn named(descriptor: &Descriptor, name: Option<&str>) -> Descriptor {
    let mut descriptor = descriptor.clone();
    for key in [annotation::REF_NAME, annotation::CONTAINERD_NAME] {
        descriptor.annotations.remove(key);
    }
    match name {
        Some(name) => descriptor.with_annotation(annotation::REF_NAME, name),
        None => descriptor,
    }
}

fn with_manifest(mut index: ImageIndex, new: &Descriptor) -> ImageIndex {
    let name = new.annotation(annotation::REF_NAME);
    index.manifests.retain(|old| match old.annotation(annotation::REF_NAME) {
        Some(old_name) => Some(old_name) != name,
        // A nameless entry of the same manifest says nothing that the new one does not.
        None => old.digest != new.digest,
    });
    if name.is_some() || index.manifests.iter().all(|old| old.digest != new.digest) {
        index.manifests.push(new.clone());
    }
    index
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place.path().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::BlobSet;
    use crate::sample;
    use crate::validate::validate;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_layout_keeps_what_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("deep/layout");
        let (image, index) = (ImageOrIndex::Image(sample::image()), ImageOrIndex::Index(sample::index()));
        write_layout(&layout, &image, Some("app:1")).unwrap();
        assert_eq!(names(&layout), ["blobs", "index.json", "oci-layout"]);
        assert_eq!(names(layout.parent().unwrap()), ["layout"]);
        write_layout(&layout, &index, Some("all")).unwrap();
        let read = Layout::open(&layout).unwrap();
        assert_eq!(read.names(), ["all", "app:1"]);
        for (name, want) in [("app:1", &image), ("all", &index), (&index.descriptor().digest.to_string(), &index)] {
            let found = read.read(Some(name)).unwrap();
            assert_eq!(found.bytes(), want.bytes());
            assert_eq!(validate(&found), []);
        }
        let error = read.read(Some("none")).unwrap_err().to_string();
        assert!(error.ends_with("there is no image `none`; it holds all, app:1"), "{error}");
        assert!(matches!(read.read(None), Err(MediaError::Ambiguous { count: 2, .. })));
    }

    #[test]
    fn a_name_moves_on_and_other_entries_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (ImageOrIndex::Image(sample::image()), ImageOrIndex::Index(sample::index()));
        write_layout(dir.path(), &one, Some("x")).unwrap();
        write_layout(dir.path(), &two, Some("x")).unwrap();
        write_layout(dir.path(), &one, None).unwrap();
        write_layout(dir.path(), &one, None).unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        assert_eq!(layout.index().manifests.len(), 2);
        assert_eq!(layout.find(Some("x")).unwrap().digest, two.descriptor().digest);
        write_layout(dir.path(), &one, Some("y")).unwrap();
        assert_eq!(Layout::open(dir.path()).unwrap().index().manifests.len(), 2);
    }

    #[test]
    fn a_tar_of_a_layout_is_one_too_and_the_same_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let index = ImageOrIndex::Index(sample::index());
        let file = |name: &str| dir.path().join(name);
        write_layout_archive(&file("a.tar"), &index, Some("all")).unwrap();
        write_layout_archive(&file("b.tar"), &index, Some("all")).unwrap();
        let bytes = fs::read(file("a.tar")).unwrap();
        assert_eq!(bytes, fs::read(file("b.tar")).unwrap());
        fs::write(file("c.tar.zst"), zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
        for name in ["a.tar", "c.tar.zst"] {
            let read = Layout::open(&file(name)).unwrap().read(None).unwrap();
            assert_eq!(read.bytes(), index.bytes());
            assert_eq!(validate(&read), []);
        }
    }

    #[test]
    fn a_bad_blob_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let good = sample::image();
        let mut blobs = BlobSet::new();
        blobs.add_bytes(Arc::clone(good.config().bytes()));
        let (descriptor, manifest, config) =
            (good.descriptor().clone(), good.manifest().clone(), good.config().clone());
        let bad = crate::Image::from_documents(descriptor, manifest, config, Arc::new(blobs)).unwrap();
        let bad = ImageOrIndex::Image(bad);
        let error = write_layout(&dir.path().join("l"), &bad, None).unwrap_err();
        assert!(error.hint().is_some() && error.to_string().contains("is missing"), "{error}");
        assert!(write_layout_archive(&dir.path().join("l.tar"), &bad, None).is_err());
        assert_eq!(names(dir.path()), Vec::<String>::new());

        fs::write(dir.path().join("precious"), "").unwrap();
        let good = ImageOrIndex::Image(good);
        assert!(matches!(write_layout(dir.path(), &good, None), Err(MediaError::Occupied { .. })));
        assert!(matches!(write_layout(&dir.path().join("precious"), &good, None), Err(MediaError::Occupied { .. })));
    }

    #[test]
    fn what_is_no_layout_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Layout::open(dir.path()).unwrap_err().to_string();
        assert!(open().contains("no OCI layout"));
        fs::write(dir.path().join(MARKER), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
        assert!(open().contains("its layout version is 2.0.0"));
        fs::write(dir.path().join(MARKER), MARKER_TEXT).unwrap();
        assert!(open().contains("no `index.json`"));
        fs::write(dir.path().join(INDEX), "{").unwrap();
        assert!(open().contains("the image index"));
    }
}
