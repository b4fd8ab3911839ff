//! Changesets into the store, with the members of earlier ones taken from there.
//!
//! A layer of the same step of the same Dockerfile is mostly what it was the last time. What its blob is made of is kept under
//! a key of the caller's, and what is still the same is copied and not compressed again. The blob is the same either way.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::store::{BlobWriter, Ref, Store};
use jettison_oci::layer::{ChangesetWriter, LayerBlob, LayerOptions, Member, MemberCache};
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use crate::error::BuildError;

/// Layers with fewer members are compressed faster than their members are looked up.
const WORTH_IT: usize = 8;

/// What is remembered of a blob.
#[derive(Serialize, Deserialize)]
struct Remembered {
    blob: Digest,
    members: Vec<Member>,
}

/// The members of an earlier blob.
struct Earlier {
    blob: File,
    members: BTreeMap<Digest, Member>,
}

impl MemberCache for Earlier {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let member = self.members.get(key)?;
        let mut bytes = vec![0; usize::try_from(member.len).ok()?];
        self.blob.read_exact_at(&mut bytes, member.offset).ok()?;
        Some(bytes)
    }
}

/// Writes a layer, which `fill` is to fill, as a blob of the store. `lineage` says of what it is a newer version: it is a hint,
/// such as the place of the step in its Dockerfile, and changes no byte.
pub fn write_changeset<E: From<BuildError>>(
    store: &Store,
    lineage: &CacheKey,
    options: &LayerOptions,
    fill: impl FnOnce(&mut ChangesetWriter<'_, BlobWriter<'_>>) -> Result<(), E>,
) -> Result<LayerBlob, E> {
    let failed = |error: jettison_oci::layer::LayerError| {
        let hint = error.hint();
        BuildError::with_hint(error.to_string(), hint)
    };
    let key = CacheKey::builder("members/1").input("lineage", *lineage).finish();
    let cache: Arc<dyn MemberCache> = match earlier(store, &key)? {
        Some(earlier) => Arc::new(earlier),
        None => Arc::new(Nothing),
    };
    let out = store.writer().map_err(BuildError::from)?;
    let mut writer = ChangesetWriter::new(out, options, Some(cache)).map_err(failed)?;
    fill(&mut writer)?;
    let (written, out) = writer.finish().map_err(failed)?;
    let blob = written.blob.digest;
    out.commit(Some(blob)).map_err(BuildError::from)?;
    if written.members.len() >= WORTH_IT {
        let remembered = Remembered { blob, members: written.members };
        store.memo_put(&key, &remembered, &[Ref::Blob(blob)]).map_err(BuildError::from)?;
    }
    Ok(written.blob)
}

fn earlier(store: &Store, key: &CacheKey) -> Result<Option<Earlier>, BuildError> {
    let Some(remembered) = store.memo_get::<Remembered>(key)? else { return Ok(None) };
    let members = remembered.members.into_iter().map(|member| (member.key, member)).collect();
    Ok(Some(Earlier { blob: store.open_blob(remembered.blob)?, members }))
}

/// Has no members; they are remembered all the same.
struct Nothing;

impl MemberCache for Nothing {
    fn get(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use jettison_oci::layer::Compression;
    use jettison_tree::{Content, Entry, TreePath};

    use super::*;

    #[test]
    fn what_was_written_before_changes_no_byte() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let threads = NonZeroUsize::new(2).unwrap();
        let options = LayerOptions { mtime: 0, compression: Compression::GZIP, threads };
        let write = |lineage: &str, changed: u8| {
            let lineage = CacheKey::builder("test").field("lineage", lineage).finish();
            write_changeset::<BuildError>(&store, &lineage, &options, |layer| {
                for number in 0..16_u8 {
                    let byte = if number == 5 { changed } else { number };
                    let content = Content::from_bytes(vec![byte; 1 << 20]);
                    let path = TreePath::parse(format!("f{number:02}")).unwrap();
                    let pushed = layer.push(&Entry::file(path, content, false));
                    pushed.map_err(|error| BuildError::new(error.to_string()))?;
                }
                Ok(())
            })
            .unwrap()
        };
        let first = write("a", 5);
        assert!(store.has(first.digest).unwrap());
        assert_eq!(write("a", 5), first);
        let changed = write("a", 99);
        assert_ne!(changed, first);
        assert_eq!(write("b", 99), changed);
        // The earlier blob was pruned.
        std::fs::remove_file(store.blob_path(changed.digest)).unwrap();
        assert_eq!(write("a", 5), first);
    }
}
