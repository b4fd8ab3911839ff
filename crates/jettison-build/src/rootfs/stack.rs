//! Layers that make sense only together, in one directory (image-spec, layer.md, "Applying Changesets").
//!
//! A whiteout deletes what lower layers have, never what its own has, wherever it stands in the tar. So each layer is read
//! twice: for what it takes away, and then for what it brings.

use std::io::{self, Read};
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::snapshot::SafeDir;
use jettison_engine::store::{Snapshot, Store};
use jettison_oci::image::{Image, Layer};
use jettison_oci::layer::{TarEntry, Whiteout, read_layer};

use super::{entry_of, named, write};
use crate::error::{BuildError, Context as _};

/// Unpacks these layers, the lowest first, one above the other.
pub(super) fn unpack(store: &Arc<Store>, image: &Image, layers: &[Layer<'_>]) -> Result<Snapshot, BuildError> {
    let mut key = CacheKey::builder("snapshot/stack/1");
    for layer in layers {
        key = key.digest("blob", layer.descriptor.digest);
    }
    store.snapshot_or(&key.finish(), |dir| {
        let mut whiteouts = Vec::with_capacity(layers.len());
        // Nothing of the layers below one that replaces them all needs to be written.
        let mut first = 0;
        for (number, layer) in layers.iter().enumerate() {
            let mut found = Vec::new();
            each_member(image, layer, |member| match member.header().whiteout()? {
                Some(Whiteout::Opaque(None)) => {
                    first = number;
                    Ok(())
                }
                Some(whiteout) => {
                    found.push(whiteout);
                    Ok(())
                }
                None => Ok(()),
            })
            .context(named(layer))?;
            whiteouts.push(found);
        }
        for (layer, whiteouts) in layers.iter().zip(whiteouts).skip(first) {
            apply(dir, image, layer, whiteouts).context(named(layer))?;
        }
        Ok(())
    })
}

fn apply(dir: &mut SafeDir, image: &Image, layer: &Layer<'_>, whiteouts: Vec<Whiteout>) -> Result<(), BuildError> {
    for whiteout in whiteouts {
        match whiteout {
            Whiteout::Path(path) => dir.remove(&path)?,
            Whiteout::Opaque(Some(directory)) => dir.remove_below(&directory)?,
            Whiteout::Opaque(None) | Whiteout::Ignored => {}
        }
    }
    each_member(image, layer, |member| match (member.header().whiteout()?, entry_of(member.header())?) {
        (None, Some(entry)) => write(dir, &entry, member),
        _ => Ok(()),
    })
}

fn each_member(
    image: &Image,
    layer: &Layer<'_>,
    mut visit: impl FnMut(&mut TarEntry<'_, jettison_oci::layer::Unpacker<&mut dyn Read>>) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let mut blob = image.open(layer.descriptor)?;
    let mut tar = read_layer(&mut blob as &mut dyn Read)?;
    while let Some(mut member) = tar.next_entry()? {
        visit(&mut member)?;
    }
    drop(tar);
    io::copy(&mut blob, &mut io::sink())?;
    Ok(())
}
