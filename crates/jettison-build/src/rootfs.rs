//! Directories for the sandbox: parts and layers, unpacked once.

use std::io::Read;

use jettison_engine::CacheKey;
use jettison_engine::store::{Snapshot, Store};
use jettison_oci::layer::{TarEntry, TarKind, read_layer};
use jettison_tree::{Content, Entry, Node, TreePath};

use crate::error::{BuildError, Context as _};
use crate::layers::MadeLayer;
use crate::part::{Part, entry_digest};

/// A directory with everything of `parts`, of which the first to have a path counts, under `made`.
pub fn of_parts<'a>(
    store: &Store,
    parts: impl IntoIterator<Item = &'a Part>,
    made: &[Entry],
) -> Result<Snapshot, BuildError> {
    let parts: Vec<&Part> = parts.into_iter().collect();
    let mut key = CacheKey::builder("snapshot/parts/1");
    for part in &parts {
        key = key.input("part", part.key);
    }
    for entry in made {
        key = key.digest("made", entry_digest(entry));
    }
    let snapshot = store.snapshot_or(&key.finish(), |dir| {
        let mut seen = std::collections::BTreeSet::new();
        // Hard links come after what they name.
        for links in [false, true] {
            for entry in made.iter().chain(parts.iter().flat_map(|part| part.entries())) {
                let is_link = matches!(entry.node, jettison_tree::Node::HardLink(_));
                if is_link == links && seen.insert(&entry.path) {
                    dir.write(entry)?;
                }
            }
        }
        Ok::<(), BuildError>(())
    })?;
    Ok(snapshot)
}

/// A directory with what the layer holds. Only for a layer that hides nothing of those below it, as ours do.
pub fn of_layer(store: &Store, layer: &MadeLayer) -> Result<Snapshot, BuildError> {
    let key = CacheKey::builder("snapshot/layer/1").digest("diff-id", layer.blob.diff_id.tar_digest()).finish();
    let snapshot = store.snapshot_or(&key, |dir| {
        let mut tar = read_layer(store.open_blob(layer.blob.digest)?)?;
        while let Some(mut member) = tar.next_entry()? {
            if let Some(entry) = tree_entry(&mut member)? {
                dir.write(&entry)?;
            }
        }
        Ok::<(), BuildError>(())
    });
    snapshot.context(&layer.created_by)
}

/// A member of a layer as an entry; `None` for the root itself, and for what no image of ours holds.
fn tree_entry<R: Read>(member: &mut TarEntry<'_, R>) -> Result<Option<Entry>, BuildError> {
    let header = member.header().clone();
    let Some(path) = header.path()? else { return Ok(None) };
    let node = match header.kind {
        TarKind::Directory => Node::Directory,
        TarKind::Symlink => Node::Symlink(header.link),
        TarKind::HardLink => Node::HardLink(TreePath::parse(&header.link)?),
        TarKind::File => {
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes)?;
            Node::File(Content::from_bytes(bytes))
        }
        _ => return Ok(None),
    };
    Ok(Some(Entry::new(path, header.mode, (header.uid as u32, header.gid as u32), node)))
}
