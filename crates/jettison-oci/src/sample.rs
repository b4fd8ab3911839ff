//! Small images for this crate's tests.

use std::num::NonZeroUsize;
use std::sync::Arc;

use jettison_tree::{Content, Entry, Tree, TreePath};

use crate::assemble::ImageBuilder;
use crate::blob::BlobSet;
use crate::image::{Image, Index};
use crate::layer::{Compression, LayerBlob, LayerOptions, add_parents, write_layer};
use crate::types::{History, Platform};

/// A gzip layer of files whose content is their own name.
pub(crate) fn layer(files: &[&str]) -> (LayerBlob, BlobSet) {
    packed_layer(files, Compression::GZIP)
}

pub(crate) fn packed_layer(files: &[&str], compression: Compression) -> (LayerBlob, BlobSet) {
    let mut tree = Tree::new();
    for file in files {
        let content = Content::from_bytes(file.as_bytes());
        tree.insert(Entry::file(TreePath::parse(file).unwrap(), content, false)).unwrap();
    }
    add_parents(&mut tree).unwrap();
    let options = LayerOptions { mtime: 0, compression, threads: NonZeroUsize::MIN };
    let mut bytes = Vec::new();
    let blob = write_layer(tree.iter(), &options, &mut bytes, |_, _| {}).unwrap();
    let mut blobs = BlobSet::new();
    blobs.add_bytes(bytes);
    (blob, blobs)
}

/// Two gzip layers and a step between them.
pub(crate) fn image() -> Image {
    image_for("linux/amd64", Compression::GZIP)
}

pub(crate) fn image_for(platform: &str, compression: Compression) -> Image {
    let mut builder = ImageBuilder::new(&platform.parse::<Platform>().unwrap(), 1_700_000_000);
    let (base, base_blobs) = packed_layer(&["usr/bin/python3"], compression);
    let (application, application_blobs) = packed_layer(&["app/main.py", "app/pkg/__init__.py"], compression);
    builder.add_layer(&base, History::layer("base"));
    builder.add_step(History::config("env"));
    builder.add_layer(&application, History::layer("application"));
    builder.add_source(Arc::new(base_blobs));
    builder.add_source(Arc::new(application_blobs));
    let config = &mut builder.config().config;
    config.entrypoint = Some(vec!["/usr/bin/python3".into(), "/app/main.py".into()]);
    config.set_env("PATH", "/usr/bin");
    config.user = "65532".into();
    config.exposed_ports.insert("8000/tcp".into());
    config.working_dir = "/app".into();
    builder.annotate("org.opencontainers.image.title", "sample");
    builder.build().unwrap()
}

/// The sample for two platforms.
pub(crate) fn index() -> Index {
    Index::of(&[image(), image_for("linux/arm64", Compression::ZSTD)])
}
