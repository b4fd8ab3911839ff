//! A layer by itself, with what it takes away in overlayfs's own form.

use std::collections::BTreeMap;
use std::io::{self, Read};

use jettison_engine::CacheKey;
use jettison_engine::snapshot::SafeDir;
use jettison_engine::store::{Snapshot, Store};
use jettison_oci::layer::{TarEntry, Whiteout, read_layer};
use jettison_tree::{Digest, Node, TreePath};

use super::{Obstacle, entry_of, write};
use crate::error::BuildError;

/// Unpacks a layer for any place in an image, or, more leniently, for the lowest. `open` opens its blob, and what it opens
/// fails at the end, at the latest, if it is not what it should be.
pub(super) fn unpack<R: Read>(
    store: &Store,
    blob: Digest,
    is_lowest: bool,
    open: impl FnOnce() -> Result<R, BuildError>,
) -> Result<Snapshot, Obstacle> {
    // By the blob, which is checked. What the config says of the tar in it may be anything.
    let of = |what| CacheKey::builder(what).digest("blob", blob).flag("lowest", is_lowest).finish();
    let (key, refused) = (of("snapshot/changeset/2"), of("snapshot/not-alone/1"));
    if store.memo_get::<bool>(&refused)? == Some(true) {
        return Err(Obstacle::NotAlone);
    }
    let unpacked = unpack_as(store, &key, is_lowest, open);
    if let Err(Obstacle::NotAlone) = unpacked {
        store.memo_put(&refused, &true, &[])?;
    }
    unpacked
}

/// Unpacks a layer that `open` opens as the snapshot with this key.
pub(super) fn unpack_as<R: Read>(
    store: &Store,
    key: &CacheKey,
    is_lowest: bool,
    open: impl FnOnce() -> Result<R, BuildError>,
) -> Result<Snapshot, Obstacle> {
    store.snapshot_or(key, |dir| {
        let mut blob = open()?;
        let mut tar = read_layer(&mut blob)?;
        let mut changes =
            Changes { dir, written: BTreeMap::new(), whiteouts: Vec::new(), opaque: Vec::new(), is_lowest };
        while let Some(mut member) = tar.next_entry()? {
            changes.apply(&mut member)?;
        }
        changes.white_out()?;
        drop(tar);
        // The digest is known to be right only when the last byte was seen.
        io::copy(&mut blob, &mut io::sink())?;
        Ok(())
    })
}

/// A layer that is being written.
struct Changes<'a> {
    dir: &'a mut SafeDir,
    /// What the layer has, and whether it is a directory.
    written: BTreeMap<TreePath, bool>,
    whiteouts: Vec<TreePath>,
    opaque: Vec<TreePath>,
    /// There is nothing below it that could be hidden.
    is_lowest: bool,
}

impl Changes<'_> {
    fn apply<R: Read>(&mut self, member: &mut TarEntry<'_, R>) -> Result<(), Obstacle> {
        match member.header().whiteout()? {
            None => {}
            Some(whiteout) => return self.note(whiteout),
        }
        let Some(entry) = entry_of(member.header())? else { return Ok(()) };
        if let Node::HardLink(target) = &entry.node
            && self.written.get(target) != Some(&false)
        {
            return Err(Obstacle::NotAlone);
        }
        let is_implied = entry.path.parent().is_some_and(|parent| self.written.get(&parent) != Some(&true));
        if is_implied && !self.is_lowest {
            return Err(Obstacle::NotAlone);
        }
        write(self.dir, &entry, member)?;
        let mut above = entry.path.parent();
        self.written.insert(entry.path, matches!(entry.node, Node::Directory));
        while let Some(parent) = above {
            above = parent.parent();
            if self.written.insert(parent, true) == Some(true) {
                break;
            }
        }
        Ok(())
    }

    fn note(&mut self, whiteout: Whiteout) -> Result<(), Obstacle> {
        match whiteout {
            _ if self.is_lowest => {}
            Whiteout::Ignored => {}
            Whiteout::Path(path) => self.whiteouts.push(path),
            Whiteout::Opaque(Some(directory)) => self.opaque.push(directory),
            // The layer replaces everything below it, which overlayfs has no word for.
            Whiteout::Opaque(None) => return Err(Obstacle::NotAlone),
        }
        Ok(())
    }

    /// Hides what the layer takes away. What it has itself in that place stays, and covers what is below it; a directory
    /// does not do that by itself.
    fn white_out(&mut self) -> Result<(), Obstacle> {
        for path in std::mem::take(&mut self.opaque) {
            if self.written.get(&path) != Some(&true) {
                return Err(Obstacle::NotAlone);
            }
            self.dir.opaque(&path)?;
        }
        for path in std::mem::take(&mut self.whiteouts) {
            match self.written.get(&path) {
                Some(true) => self.dir.opaque(&path)?,
                Some(false) => {}
                None if path.parent().is_none_or(|parent| self.written.get(&parent) == Some(&true)) => {
                    self.dir.whiteout(&path)?;
                }
                None => return Err(Obstacle::NotAlone),
            }
        }
        Ok(())
    }
}
