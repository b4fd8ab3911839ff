//! docker-archives: the tars of `docker save`.
//!
//! What is written is what BuildKit's `type=docker` writes: an OCI layout with a `manifest.json` beside its `index.json`.
//! `docker load` since 1.10, podman and skopeo read `manifest.json` and take layers compressed as they are (Zstandard since Docker 23); containerd and
//! Docker with containerd's store read the layout, and so keep the image's digest. `repositories`, which only Docker before
//! 1.10 read, would ask for an unpacked copy of every layer and is left out.
//!
//! What is read is all of these and the older form, one directory a layer with links between them. An archive without a
//! layout has no manifest of ours in it; one is made up, with the layers as they lie there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use jettison_endpoints::DEFAULT_REGISTRY;
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use super::archive::{Archive, NamedBlobs, write_archive};
use super::layout::{layout_files, named};
use super::staged::write_file;
use super::{At as _, MediaError, format_error};
use crate::blob::{BlobSet, BlobSource};
use crate::image::{Image, ImageOrIndex};
use crate::layer::Unpacker;
use crate::types::{
    BlobCompression, Descriptor, Document, ImageConfig, ImageIndex, ImageManifest, MAX_DOCUMENT_BYTES, MediaType,
    annotation,
};

/// One image of `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// A docker-archive that is read.
#[derive(Debug)]
pub struct DockerArchive {
    archive: Arc<Archive>,
    items: Vec<Item>,
}

impl DockerArchive {
    /// Opens an archive, compressed or not.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        let archive = Archive::open(path)?;
        let Some(manifest) = archive.read("manifest.json", MAX_DOCUMENT_BYTES)? else {
            let why = match archive.member("repositories") {
                Some(_) => "it was saved by a Docker before 1.10, without `manifest.json`",
                None => "no docker-archive: it has no `manifest.json`",
            };
            return Err(format_error(path, why));
        };
        let items = serde_json::from_slice(&manifest)
            .map_err(|error| format_error(path, format!("its `manifest.json` cannot be read: {error}")))?;
        Ok(Self { archive: Arc::new(archive), items })
    }

    /// The names of all images in it.
    pub fn names(&self) -> Vec<&str> {
        self.items.iter().flat_map(|item| item.repo_tags.iter().flatten()).map(String::as_str).collect()
    }

    /// The image with this name, or with this number written `@0`. Without a name, the only one.
    pub fn read(&self, name: Option<&str>) -> Result<Image, MediaError> {
        let path = self.archive.path();
        let there = || match self.names().as_slice() {
            [] => "no named image".to_owned(),
            names => names.join(", "),
        };
        let item = match name {
            None => match self.items.as_slice() {
                [only] => Some(only),
                items => {
                    return Err(MediaError::Ambiguous { path: path.to_owned(), count: items.len(), there: there() });
                }
            },
            Some(name) => match name.strip_prefix('@') {
                Some(number) => number.parse::<usize>().ok().and_then(|number| self.items.get(number)),
                None => {
                    let named = |tag: &String| full_name(tag) == full_name(name);
                    self.items.iter().find(|item| item.repo_tags.iter().flatten().any(named))
                }
            },
        };
        let wanted = || name.unwrap_or_default().to_owned();
        let item =
            item.ok_or_else(|| MediaError::NotFound { path: path.to_owned(), wanted: wanted(), there: there() })?;
        let config = self.archive.read(&item.config, MAX_DOCUMENT_BYTES)?;
        let config = config.ok_or_else(|| format_error(path, format!("the config `{}` is missing", item.config)))?;
        let config = Document::<ImageConfig>::parse(config).at(path)?;
        match self.image_of_layout(config.digest())? {
            Some(image) => Ok(image),
            None => self.made_up_image(item, config),
        }
    }

    /// The image with this config in the layout that lies in the same archive, where it lies there as a whole.
    fn image_of_layout(&self, config: Digest) -> Result<Option<Image>, MediaError> {
        let path = self.archive.path();
        if self.archive.member("oci-layout").is_none() {
            return Ok(None);
        }
        let Some(index) = self.archive.read("index.json", MAX_DOCUMENT_BYTES)? else { return Ok(None) };
        let mut queue = Document::<ImageIndex>::parse(index).at(path)?.into_value().manifests;
        let blobs: Arc<dyn BlobSource> =
            Arc::new(NamedBlobs { archive: Arc::clone(&self.archive), names: BTreeMap::new() });
        let holds = |blob: &Descriptor| self.archive.blob(blob.digest).is_ok_and(|found| found.len() == blob.size);
        // An index may list the manifests of a multi-platform image; deeper than that nobody saves.
        for _ in 0..2 {
            let mut deeper = Vec::new();
            for descriptor in queue.iter().filter(|descriptor| descriptor.is_document() && holds(descriptor)) {
                match ImageOrIndex::read(descriptor, Arc::clone(&blobs)) {
                    Ok(ImageOrIndex::Image(image)) if image.config().digest() == config => {
                        if image.manifest().blobs().all(holds) {
                            return Ok(Some(image));
                        }
                    }
                    Ok(ImageOrIndex::Index(index)) => deeper.extend(index.index().manifests.iter().cloned()),
                    // Attestations, and images of other platforms whose blobs were not saved.
                    Ok(ImageOrIndex::Image(_)) | Err(_) => {}
                }
            }
            queue = deeper;
        }
        Ok(None)
    }

    fn made_up_image(&self, item: &Item, config: Document<ImageConfig>) -> Result<Image, MediaError> {
        let path = self.archive.path();
        let names = item.layers.as_deref().unwrap_or_default();
        let diff_ids = &config.rootfs.diff_ids;
        if names.len() != diff_ids.len() {
            let why = format!("`manifest.json` lists {} layers, the config {}", names.len(), diff_ids.len());
            return Err(format_error(path, why));
        }
        let mut layers = Vec::new();
        let mut by_digest = BTreeMap::new();
        for (name, diff_id) in names.iter().zip(diff_ids) {
            let missing = || format_error(path, format!("the layer `{name}` is missing"));
            let member = self.archive.member(name).ok_or_else(missing)?;
            let size = member.len();
            let media_type = match Unpacker::new(member).at(path)?.compression() {
                BlobCompression::None => MediaType::OCI_LAYER,
                BlobCompression::Gzip => MediaType::OCI_LAYER_GZIP,
                BlobCompression::Zstd => MediaType::OCI_LAYER_ZSTD,
            };
            let digest = match media_type == MediaType::OCI_LAYER {
                // Whoever reads the layer checks it against this.
                true => diff_id.tar_digest(),
                false => Digest::of_reader(self.archive.member(name).ok_or_else(missing)?).at(path)?.0,
            };
            by_digest.insert(digest, name.clone());
            layers.push(Descriptor::new(media_type, digest, size));
        }
        let manifest = Document::new(ImageManifest::new(config.descriptor(MediaType::OCI_CONFIG), layers));
        let mut blobs = BlobSet::new();
        blobs.add_bytes(Arc::clone(manifest.bytes()));
        blobs.add_bytes(Arc::clone(config.bytes()));
        blobs.add_source(Arc::new(NamedBlobs { archive: Arc::clone(&self.archive), names: by_digest }));
        let descriptor =
            Descriptor { platform: Some(config.platform()), ..manifest.descriptor(MediaType::OCI_MANIFEST) };
        Image::from_documents(descriptor, manifest, config, Arc::new(blobs)).at(path)
    }
}

/// Writes `image` to the file at `path` under these names, such as `docker.io/library/app:1`.
pub fn write_docker_archive(path: &Path, image: &Image, names: &[&str]) -> Result<(), MediaError> {
    write_file(path, |file| stream_docker_archive(std::io::BufWriter::with_capacity(1 << 17, file), path, image, names))
}

/// Writes `image` as a docker-archive to a stream, for a daemon to load. `target` is named in errors. The same image under
/// the same names gives the same bytes.
pub fn stream_docker_archive(out: impl Write, target: &Path, image: &Image, names: &[&str]) -> Result<(), MediaError> {
    let blob_name = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.digest.hex());
    let item = Item {
        config: blob_name(&image.manifest().config),
        repo_tags: (!names.is_empty()).then(|| names.iter().map(|&name| name.to_owned()).collect()),
        layers: Some(image.manifest().layers.iter().map(blob_name).collect()),
    };
    let plain = named(image.descriptor(), None);
    let under = |name: &&str| {
        let name = full_name(name);
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag).to_owned();
        plain.clone().with_annotation(annotation::CONTAINERD_NAME, name).with_annotation(annotation::REF_NAME, tag)
    };
    let manifests = if names.is_empty() { vec![plain.clone()] } else { names.iter().map(under).collect() };
    let mut files = layout_files(manifests);
    let manifest = serde_json::to_vec(&[item]).map_err(|error| format_error(target, error.to_string()))?;
    files.push(("manifest.json", manifest));
    let content = ImageOrIndex::Image(image.clone());
    let contents = content.contents().at(target)?;
    write_archive(out, target, &files, &contents, image.blobs())
}

/// `app` as `docker.io/library/app:latest`, as Docker completes names.
fn full_name(name: &str) -> String {
    let (name, digest) = name.split_once('@').map_or((name, None), |(name, digest)| (name, Some(digest)));
    let (host, rest) = match name.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => (host, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let library = if host == DEFAULT_REGISTRY && !rest.contains('/') { "library/" } else { "" };
    let tag = if rest.contains(':') || digest.is_some() { "" } else { ":latest" };
    let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    format!("{host}/{library}{rest}{tag}{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Compression;
    use crate::sample;
    use crate::validate::validate_image;
    use std::fs;

    #[test]
    fn names_are_completed_as_docker_does() {
        for (name, want) in [
            ("app", "docker.io/library/app:latest"),
            ("app:1", "docker.io/library/app:1"),
            ("me/app:1", "docker.io/me/app:1"),
            ("docker.io/app", "docker.io/library/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ghcr.io/me/app@sha256:00", "ghcr.io/me/app@sha256:00"),
        ] {
            assert_eq!(full_name(name), want);
        }
    }

    #[test]
    fn what_is_written_reads_back_with_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        for compression in [Compression::GZIP, Compression::ZSTD, Compression::None] {
            let image = sample::image_for("linux/arm64", compression);
            write_docker_archive(&path, &image, &["docker.io/library/app:1", "app:2"]).unwrap();
            let archive = DockerArchive::open(&path).unwrap();
            assert_eq!(archive.names(), ["docker.io/library/app:1", "app:2"]);
            for name in [None, Some("app:1"), Some("docker.io/library/app:2"), Some("@0")] {
                let read = archive.read(name).unwrap();
                assert_eq!(read.descriptor().digest, image.descriptor().digest);
                assert_eq!(validate_image(&read), []);
            }
            for name in ["app", "@1", "@x"] {
                assert!(matches!(archive.read(Some(name)), Err(MediaError::NotFound { .. })), "{name}");
            }
        }
    }

    /// As Docker before 25 and podman save: a directory a layer, plain tars, a layer that comes twice as a link.
    fn old_archive(links: bool, pack: fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        let image = sample::image_for("linux/amd64", Compression::None);
        let mut config = ImageConfig::clone(image.config());
        let first = config.rootfs.diff_ids[0];
        config.rootfs.diff_ids.push(first);
        config.history.clear();
        let config = Document::new(config);
        let mut builder = tar::Builder::new(Vec::new());
        let mut file = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, bytes).unwrap();
        };
        for (index, layer) in image.layers().enumerate() {
            let bytes = image.blobs().open(layer.descriptor).unwrap().read_checked(layer.descriptor, 1 << 20).unwrap();
            file(&format!("{index}/layer.tar"), &pack(bytes));
        }
        file("c.json", config.bytes());
        let third = if links { "2/layer.tar" } else { "0/layer.tar" };
        let manifest =
            format!(r#"[{{"Config":"c.json","RepoTags":null,"Layers":["0/layer.tar","1/layer.tar","{third}"]}}]"#);
        file("manifest.json", manifest.as_bytes());
        file("repositories", b"{}");
        if links {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, "2/layer.tar", "../0/layer.tar").unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn archives_of_other_tools_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        let gzip = |bytes: Vec<u8>| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap()
        };
        for bytes in [
            old_archive(false, |b| b),
            old_archive(true, |b| b),
            old_archive(true, gzip),
            gzip(old_archive(true, gzip)),
        ] {
            fs::write(&path, bytes).unwrap();
            let image = DockerArchive::open(&path).unwrap().read(None).unwrap();
            assert_eq!(image.manifest().layers.len(), 3);
            assert_eq!(validate_image(&image), []);
        }
    }

    #[test]
    fn an_archive_that_is_none_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        let archive = |members: &[(&str, &str)]| {
            let files: Vec<_> = members.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
            fs::write(&path, "").unwrap();
            write_file(&path, |out| write_archive(out, &path, &files, &[], &BlobSet::new())).unwrap();
            DockerArchive::open(&path).and_then(|archive| archive.read(None)).unwrap_err().to_string()
        };
        for (members, want) in [
            (&[][..], "no docker-archive: it has no `manifest.json`"),
            (&[("repositories", "{}")], "it was saved by a Docker before 1.10, without `manifest.json`"),
            (&[("manifest.json", "[")], "its `manifest.json` cannot be read: EOF"),
            (&[("manifest.json", "[]")], "it holds 0 images"),
            (&[("manifest.json", r#"[{"Config":"../c"}]"#)], "the config `../c` is missing"),
            (&[("manifest.json", r#"[{"Config":"c","Layers":["l"]}]"#), ("c", "{}")], "lists 1 layers, the config 0"),
        ] {
            let error = archive(members);
            assert!(error.contains(want), "{error}");
        }
        fs::write(&path, "this is no tar").unwrap();
        assert!(DockerArchive::open(&path).unwrap_err().to_string().contains("cut short"));
    }
}
