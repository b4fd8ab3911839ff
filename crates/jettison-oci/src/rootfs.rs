//! The files of an image, read where its layers lie: nothing is unpacked to disk, and each layer is read at most once a pass.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use jettison_tree::TreePath;

use crate::blob::BlobError;
use crate::image::{Image, Layer};
use crate::layer::{FlatTree, Flattener, Origin, TarError, read_layer};

impl Image {
    /// All paths of the image with what covers what resolved; see [`Flattener`]. Reads and checks every layer.
    pub fn flatten(&self) -> Result<FlatTree, RootfsError> {
        let mut flattener = Flattener::new();
        for layer in self.layers() {
            let at = |source| RootfsError::new(&layer, source);
            let mut blob = self.open(layer.descriptor).map_err(|error| at(io::Error::from(error).into()))?;
            let tar = read_layer(&mut blob).map_err(|error| at(error.into()))?;
            flattener.apply(tar, |_| Ok(())).map_err(at)?;
            // The digest is known to be right only when the last byte was seen.
            io::copy(&mut blob, &mut io::sink()).map_err(|error| at(error.into()))?;
        }
        Ok(flattener.finish())
    }

    /// Reads the files at these places, layer by layer, and hands each to `visit`. A place that is not there is passed over.
    pub fn read_files(
        &self,
        wanted: &BTreeSet<Origin>,
        mut visit: impl FnMut(&Origin, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), RootfsError> {
        let mut by_layer: BTreeMap<usize, BTreeSet<&TreePath>> = BTreeMap::new();
        for origin in wanted {
            by_layer.entry(origin.layer).or_default().insert(&origin.path);
        }
        for layer in self.layers() {
            let Some(paths) = by_layer.get(&layer.index) else { continue };
            let at = |source| RootfsError::new(&layer, source);
            let mut blob = self.open(layer.descriptor).map_err(|error| at(io::Error::from(error).into()))?;
            let mut tar = read_layer(&mut blob).map_err(|error| at(error.into()))?;
            while let Some(mut entry) = tar.next_entry().map_err(at)? {
                let Some(path) = entry.header().path().map_err(|error| at(error.into()))? else { continue };
                if entry.header().is_file() && paths.contains(&path) {
                    visit(&Origin { layer: layer.index, path }, &mut entry).map_err(|error| at(error.into()))?;
                }
            }
            drop(tar);
            io::copy(&mut blob, &mut io::sink()).map_err(|error| at(error.into()))?;
        }
        Ok(())
    }
}

/// A layer that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("layer {number} ({digest}): {source}")]
pub struct RootfsError {
    /// Counted from 1, the lowest.
    pub number: usize,
    /// Of its blob.
    pub digest: jettison_tree::Digest,
    /// Why.
    pub source: TarError,
}

impl RootfsError {
    fn new(layer: &Layer<'_>, source: TarError) -> Self {
        Self { number: layer.index + 1, digest: layer.descriptor.digest, source }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.source {
            TarError::Io(error) => error.get_ref()?.downcast_ref::<BlobError>()?.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::FlatNode;
    use crate::sample;
    use crate::types::Document;
    use std::sync::Arc;

    #[test]
    fn files_are_found_and_read_where_they_lie() {
        let image = sample::image();
        let tree = image.flatten().unwrap();
        let (path, entry) = tree.resolve(&TreePath::parse("app/main.py").unwrap()).unwrap();
        let FlatNode::File { len, origin } = &entry.node else { panic!("{entry:?}") };
        assert_eq!((path.to_string().as_str(), *len, origin.layer), ("app/main.py", 11, 1));
        let python = Origin { layer: 0, path: TreePath::parse("usr/bin/python3").unwrap() };
        let nowhere = Origin { layer: 0, path: path.clone() };
        let mut read = Vec::new();
        let visit = |origin: &Origin, content: &mut dyn Read| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            read.push((origin.layer, text));
            Ok(())
        };
        image.read_files(&[origin.clone(), python, nowhere].into(), visit).unwrap();
        assert_eq!(read, [(0, "usr/bin/python3".to_owned()), (1, "app/main.py".to_owned())]);
    }

    #[test]
    fn a_layer_that_was_tampered_with_is_refused() {
        let good = sample::image();
        let mut manifest = crate::types::ImageManifest::clone(good.manifest());
        manifest.layers.swap(0, 1);
        let (first, second) = (manifest.layers[0].clone(), manifest.layers[1].clone());
        struct Swapped(Arc<dyn crate::BlobSource>, crate::types::Descriptor);
        impl crate::BlobSource for Swapped {
            fn open(&self, _: &crate::types::Descriptor) -> Result<crate::Blob, BlobError> {
                self.0.open(&self.1)
            }
        }
        let blobs = Arc::new(Swapped(Arc::clone(good.blobs()), second));
        let manifest = Document::new(manifest);
        let descriptor = good.descriptor().clone();
        let image = Image::from_documents(descriptor, manifest, good.config().clone(), blobs).unwrap();
        let error = image.flatten().unwrap_err();
        assert!(error.to_string().starts_with(&format!("layer 1 ({})", first.digest)), "{error}");
        assert!(error.hint().is_some());
    }
}
