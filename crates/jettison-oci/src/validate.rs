//! Says what is wrong with an image, believing nothing that can be computed.
//!
//! 1. The documents: digests, sizes, media types, and that manifest, config and descriptor tell the same story.
//! 2. The config: platform, times, history, the forms of its fields.
//! 3. Every layer: digest and size of the blob, how it is packed, the `diff_id` of its tar.
//! 4. Every member of every tar: names that stay inside, no path twice, parents that are there and are directories, hard
//!    links to what is there.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};

use jettison_tree::{Digest, Hasher, TreePath};

use crate::image::{Image, ImageOrIndex, Layer, MAX_INDEX_DEPTH};
use crate::layer::{FlatNode, Flattener, TarError, TarHeader, TarReader, Unpacker};
use crate::types::{Descriptor, DiffId, ImageConfig, MediaType, is_rfc3339};

/// Problems of one layer that are listed; the rest is counted.
const LISTED_PER_LAYER: usize = 20;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `manifest`, `config`, `layer 2` (counted from 1), with the image's platform before it in an index.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What is wrong with an image, or with an index and all images in it. Reads every byte.
pub fn validate(content: &ImageOrIndex) -> Vec<Problem> {
    validate_nested(content, 0)
}

fn validate_nested(content: &ImageOrIndex, depth: u32) -> Vec<Problem> {
    let index = match content {
        ImageOrIndex::Image(image) => return validate_image(image),
        ImageOrIndex::Index(index) => index,
    };
    let mut problems = Problems { place: "index".to_owned(), list: Vec::new() };
    if depth > MAX_INDEX_DEPTH {
        problems.add(crate::ImageError::TooDeep.to_string());
        return problems.list;
    }
    problems.document(index.descriptor(), index.index().bytes(), index.index().media_type.as_ref());
    problems.check(index.index().schema_version == 2, || "schemaVersion is not 2".to_owned());
    for child in &index.index().manifests {
        let place = child.platform.as_ref().map_or_else(|| child.digest.to_string(), ToString::to_string);
        if !child.is_document() {
            continue;
        }
        match index.child(child) {
            Ok(content) => {
                let nested = |problem: Problem| Problem { place: format!("{place}: {}", problem.place), ..problem };
                problems.list.extend(validate_nested(&content, depth + 1).into_iter().map(nested));
            }
            // Attestations and the like are no images, and have their place in an index.
            Err(crate::ImageError::NotAnImage { .. }) => {}
            Err(error) => problems.add(format!("{place}: {error}")),
        }
    }
    problems.list
}

/// What is wrong with one image. Reads every byte of it.
pub fn validate_image(image: &Image) -> Vec<Problem> {
    let mut problems = Problems { place: "manifest".to_owned(), list: Vec::new() };
    manifest(image, &mut problems);
    problems.place = "config".to_owned();
    config(image.config(), image.manifest().layers.len(), &mut problems);
    let mut flattener = Flattener::new();
    for layer in image.layers() {
        problems.place = format!("layer {}", layer.index + 1);
        let before = problems.list.len();
        if let Err(error) = check_layer(image, &layer, &mut flattener, &mut problems) {
            problems.add(error.to_string());
        }
        let listed = before + LISTED_PER_LAYER;
        if problems.list.len() > listed {
            let more = problems.list.len() - listed;
            problems.list.truncate(listed);
            problems.add(format!("and {more} more"));
        }
    }
    problems.list
}

struct Problems {
    place: String,
    list: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, message: String) {
        self.list.push(Problem { place: self.place.clone(), message });
    }

    fn check(&mut self, good: bool, message: impl FnOnce() -> String) {
        if !good {
            self.add(message());
        }
    }

    /// Digest, size and media type of a document against what points to it.
    fn document(&mut self, descriptor: &Descriptor, bytes: &[u8], own: Option<&MediaType>) {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        self.check(digest == descriptor.digest, || format!("its digest is {digest}, not {}", descriptor.digest));
        self.check(size == descriptor.size, || format!("it has {size} bytes, not {}", descriptor.size));
        if let Some(own) = own {
            let same = *own == descriptor.media_type;
            self.check(same, || format!("it calls itself {own}, its descriptor {}", descriptor.media_type));
        }
    }
}

fn manifest(image: &Image, problems: &mut Problems) {
    let (descriptor, manifest, config) = (image.descriptor(), image.manifest(), image.config());
    problems.document(descriptor, manifest.bytes(), manifest.media_type.as_ref());
    problems.check(manifest.schema_version == 2, || "schemaVersion is not 2".to_owned());
    let points = (manifest.config.digest, manifest.config.size);
    problems.check(points == (config.digest(), config.bytes().len() as u64), || {
        format!("it points to config {} of {} bytes; the config is {}", points.0, points.1, config.digest())
    });
    let is_oci = descriptor.media_type == MediaType::OCI_MANIFEST;
    for blob in manifest.blobs() {
        let media_type = &blob.media_type;
        let known = media_type.is_config() || media_type.is_layer();
        problems.check(known, || format!("{} has the media type {media_type}, which no runtime knows", blob.digest));
        let of_docker = media_type.to_oci() != *media_type;
        problems.check(!known || of_docker != is_oci, || {
            format!("{} has the media type {media_type} in a manifest of {}", blob.digest, descriptor.media_type)
        });
    }
    if let Some(platform) = &descriptor.platform {
        let own = image.platform();
        problems
            .check(platform.distance(&own) == Some(0), || format!("its descriptor says {platform}, its config {own}"));
    }
}

fn config(config: &ImageConfig, layers: usize, problems: &mut Problems) {
    problems.check(!config.architecture.is_empty(), || "it names no architecture".to_owned());
    problems.check(!config.os.is_empty(), || "it names no os".to_owned());
    let kind = &config.rootfs.kind;
    problems.check(kind == "layers", || format!("rootfs.type is `{kind}`, not `layers`"));
    let steps = config.history.iter().filter(|step| !step.empty_layer).count();
    problems.check(config.history.is_empty() || steps == layers, || {
        format!("its history tells of {steps} layers, the manifest has {layers}")
    });
    for created in config.created.iter().chain(config.history.iter().filter_map(|step| step.created.as_ref())) {
        problems.check(is_rfc3339(created), || format!("`{created}` is no RFC 3339 time"));
    }
    let container = &config.config;
    for pair in &container.env {
        let named = pair.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        problems.check(named, || format!("`{pair}` in Env is not NAME=value"));
    }
    let directory = &container.working_dir;
    let absolute = config.os == "windows" || directory.is_empty() || directory.starts_with('/');
    problems.check(absolute, || format!("WorkingDir `{directory}` is not absolute"));
    for port in &container.exposed_ports {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let numbers = number.split('-').all(|number| number.parse::<u16>().is_ok_and(|number| number != 0));
        let good = numbers && ["tcp", "udp", "sctp"].contains(&protocol);
        problems.check(good, || format!("`{port}` in ExposedPorts is not port/protocol"));
    }
}

fn check_layer(
    image: &Image,
    layer: &Layer<'_>,
    flattener: &mut Flattener,
    problems: &mut Problems,
) -> Result<(), TarError> {
    let descriptor = layer.descriptor;
    let blob = match image.open(descriptor) {
        Ok(blob) => blob,
        Err(_) if descriptor.media_type.is_nondistributable() => return Ok(()),
        Err(error) => return Err(io::Error::from(error).into()),
    };
    let mut unpacker = Unpacker::new(blob)?;
    if let Some(said) = descriptor.media_type.compression() {
        let found = unpacker.compression();
        problems
            .check(found == said, || format!("it is packed as {found:?}, but {} says {said:?}", descriptor.media_type));
    }
    let mut tar = Hashed { inner: &mut unpacker, hasher: Hasher::new() };
    let walked = walk(TarReader::new(&mut tar), flattener, problems);
    // The digests are of all bytes, those behind the end of the archive too.
    io::copy(&mut tar, &mut io::sink())?;
    let (digest, _) = tar.hasher.finish();
    let said = layer.diff_id;
    problems
        .check(DiffId::of_tar(digest) == said, || format!("its tar has the digest {digest}, its diff_id is {said}"));
    unpacker.drain_packed()?;
    walked
}

fn walk<R: Read>(mut tar: TarReader<R>, flattener: &mut Flattener, problems: &mut Problems) -> Result<(), TarError> {
    flattener.begin();
    let mut seen = BTreeSet::new();
    while let Some(entry) = tar.next_entry()? {
        let header = entry.header();
        match header.path() {
            Ok(Some(path)) => member(header, path, flattener, &mut seen, problems),
            Ok(None) => {}
            Err(error) => {
                problems.add(error.to_string());
                continue;
            }
        }
        if let Err(error) = flattener.put(header) {
            problems.add(error.to_string());
        }
    }
    Ok(())
}

fn member(
    header: &TarHeader,
    path: TreePath,
    below: &Flattener,
    seen: &mut BTreeSet<TreePath>,
    problems: &mut Problems,
) {
    problems.check(!header.name.starts_with(b"/"), || format!("`/{path}` is absolute"));
    let parent = path.parent();
    if let Some(parent) = &parent {
        match below.tree().get(parent).map(|entry| &entry.node) {
            Some(FlatNode::Directory) => {}
            Some(_) => problems.add(format!("`{path}` stands in `{parent}`, which is no directory")),
            None => problems.add(format!("`{path}` stands in `{parent}`, which is not there")),
        }
    }
    if seen.contains(&path) {
        problems.add(format!("`{path}` comes twice"));
    }
    seen.insert(path);
}

struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::blob::BlobSet;
    use crate::sample;
    use crate::types::{Document, ImageManifest};

    /// The sample with other documents and, instead of its last layer, other bytes.
    fn broken(change: impl Fn(&mut ImageManifest, &mut ImageConfig), layer: Option<&[u8]>) -> Vec<String> {
        let good = sample::image();
        let mut blobs = BlobSet::new();
        let (mut manifest, mut config) = (ImageManifest::clone(good.manifest()), ImageConfig::clone(good.config()));
        if let Some(bytes) = layer {
            blobs.add_bytes(bytes);
            manifest.layers[1] = Descriptor::of(MediaType::OCI_LAYER, bytes);
            config.rootfs.diff_ids[1] = DiffId::of_tar(Digest::of(bytes));
        }
        blobs.add_source(Arc::clone(good.blobs()));
        change(&mut manifest, &mut config);
        let config = Document::new(config);
        if manifest.config.digest == good.config().digest() {
            manifest.config = config.descriptor(manifest.config.media_type.clone());
        }
        let manifest = Document::new(manifest);
        let descriptor = manifest.descriptor(MediaType::OCI_MANIFEST);
        let image = Image::from_documents(descriptor, manifest, config, Arc::new(blobs)).unwrap();
        validate_image(&image).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_images_have_no_problems() {
        assert_eq!(broken(|_, _| {}, None), Vec::<String>::new());
        assert_eq!(validate(&ImageOrIndex::Index(sample::index())), []);
    }

    #[test]
    fn documents_that_lie_are_found_out() {
        type Change = fn(&mut ImageManifest, &mut ImageConfig);
        let cases: &[(Change, &str)] = &[
            (|m, _| m.schema_version = 3, "manifest: schemaVersion is not 2"),
            (
                |m, _| m.config.digest = Digest::of(b""),
                "manifest: it points to config sha256:e3b0c44298fc1c149afbf4c8996fb9",
            ),
            (
                |m, _| m.media_type = Some(MediaType::OCI_INDEX),
                "manifest: it calls itself application/vnd.oci.image.index.v1+",
            ),
            (
                |m, _| m.layers[0].media_type = MediaType::DOCKER_LAYER_GZIP,
                "rootfs.diff.tar.gzip in a manifest of application/vnd.oci",
            ),
            (|m, _| m.layers[0].media_type = MediaType::new("x/y"), "has the media type x/y, which no runtime knows"),
            (|m, _| m.layers[0].media_type = MediaType::OCI_LAYER_ZSTD, "layer 1: it is packed as Gzip, but"),
            (|m, _| m.layers[0].size += 1, "layer 1: blob"),
            (|m, _| m.layers[0].digest = Digest::of(b""), "is missing"),
            (|_, c| c.rootfs.diff_ids.reverse(), "layer 2: its tar has the digest"),
            (|_, c| c.os.clear(), "config: it names no os"),
            (|_, c| c.history.truncate(2), "config: its history tells of 1 layers, the manifest has 2"),
            (|_, c| c.created = Some("yesterday".into()), "config: `yesterday` is no RFC 3339 time"),
            (|_, c| c.config.env.push("=x".into()), "config: `=x` in Env is not NAME=value"),
            (|_, c| c.config.working_dir = "app".into(), "config: WorkingDir `app` is not absolute"),
            (
                |_, c| c.config.exposed_ports.extend(["0/tcp".to_owned()]),
                "config: `0/tcp` in ExposedPorts is not port/protocol",
            ),
        ];
        for (change, want) in cases {
            let problems = broken(change, None);
            assert!(problems.iter().any(|problem| problem.contains(want)), "{want}: {problems:#?}");
        }
    }

    #[test]
    fn tars_that_would_not_unpack_as_meant_are_found_out() {
        let tar = |names: &[&str]| {
            let mut builder = tar::Builder::new(Vec::new());
            for name in names {
                let mut header = tar::Header::new_ustar();
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_size(0);
                header.set_mode(0o755);
                header.set_uid(0);
                header.set_gid(0);
                header.set_entry_type(if name.ends_with('/') {
                    tar::EntryType::Directory
                } else {
                    tar::EntryType::Regular
                });
                header.set_cksum();
                builder.append(&header, &b""[..]).unwrap();
            }
            builder.into_inner().unwrap()
        };
        for (names, want) in [
            (&["../x"][..], "layer 2: `../x` is no path inside the tree: it climbs out with `..`"),
            (&["/x"], "layer 2: `/x` is absolute"),
            (&["x", "./x"], "layer 2: `x` comes twice"),
            (&["a/b"], "layer 2: `a/b` stands in `a`, which is not there"),
            (&["a", "a/b"], "layer 2: `a/b` stands in `a`, which is no directory"),
        ] {
            assert_eq!(broken(|_, _| {}, Some(&tar(names))), [want]);
        }
        // Parents and hard links may be in lower layers.
        assert_eq!(broken(|_, _| {}, Some(&tar(&["usr/bin/x"]))), Vec::<String>::new());
        let many: Vec<_> = (0..30).map(|n| format!("/{n}")).collect();
        let problems = broken(|_, _| {}, Some(&tar(&many.iter().map(String::as_str).collect::<Vec<_>>())));
        assert_eq!((problems.len(), problems[20].as_str()), (21, "layer 2: and 10 more"));
        assert_eq!(broken(|_, _| {}, Some(b"no tar")), ["layer 2: tar: the archive is cut short at byte 6"]);
    }
}
