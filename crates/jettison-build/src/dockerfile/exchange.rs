//! Results of steps for another store, and from one: `--cache-to` and `--cache-from` with `type=local`.
//!
//! ```text
//! cache.json            what each step came to, under the key that the step has everywhere
//! blobs/sha256/ab12…    what programs changed and what was copied of stages, each as a layer with its own times
//! ```
//!
//! Images below are not in it: their registry has them.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use jettison_engine::CacheKey;
use jettison_engine::changes;
use jettison_engine::graph::{Output, StageGraph, StepId};
use jettison_engine::store::{Ref, Store};
use jettison_oci::layer::{ChangesetWriter, Compression, LayerOptions};
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use super::facts::Collector;
use super::lower::StepNote;
use super::steps::export::push;
use crate::error::{BuildError, Context as _};
use crate::rootfs;

const FILE: &str = "cache.json";
const VERSION: u32 = 1;
/// No `cache.json` is longer. Bytes.
const LIMIT: u64 = 64 << 20;
/// Later than any file, so that every time stays what it is.
const NEVER: u64 = u32::MAX as u64;

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheTo {
    /// The directory.
    pub directory: PathBuf,
    /// Whether results of stages that are left behind go along (`mode=max`).
    pub all: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    version: u32,
    results: Vec<Kept>,
}

/// The result of one step.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The key of the step.
    key: CacheKey,
    output: Output,
    /// The snapshots that it refers to, as blobs.
    snapshots: Vec<(CacheKey, Digest)>,
}

/// Writes the results of steps into a directory, which may hold an earlier cache: what is there already is not written again, and what
/// nothing refers to is taken out.
pub fn write(
    store: &Store,
    graph: &StageGraph,
    notes: &[StepNote],
    of_target: &[StepId],
    to: &CacheTo,
) -> Result<(), BuildError> {
    let blobs = to.directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).context(blobs.display())?;
    let before = read(&to.directory).unwrap_or_default();
    let known = |key: &CacheKey| {
        let mut all = before.iter().flat_map(|kept| &kept.snapshots);
        all.find(|(snapshot, blob)| snapshot == key && blobs.join(blob.hex()).is_file()).map(|(_, blob)| *blob)
    };
    let mut results = Vec::new();
    for note in notes.iter().filter(|note| note.keyword != "FROM" && (to.all || of_target.contains(&note.id))) {
        let Some(output) = graph.known(store, note.id)? else { continue };
        let mut snapshots = Vec::new();
        for reference in output.refs() {
            let Ref::Snapshot(key) = reference else { continue };
            let blob = match known(&key) {
                Some(blob) => blob,
                None => pack(store, &key, &blobs).context(&note.text)?,
            };
            snapshots.push((key, blob));
        }
        results.push(Kept { key: graph.key(note.id), output, snapshots });
    }
    let index = Index { version: VERSION, results };
    let mut file = tempfile::NamedTempFile::new_in(&to.directory)?;
    serde_json::to_writer(&mut file, &index)?;
    let path = to.directory.join(FILE);
    file.persist(&path).map_err(|error| BuildError::from(error.error)).context(path.display())?;
    for entry in fs::read_dir(&blobs)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_wanted = |(_, blob): &(CacheKey, Digest)| *blob.hex() == *name;
        if !index.results.iter().flat_map(|kept| &kept.snapshots).any(is_wanted) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a snapshot as a blob.
fn pack(store: &Store, key: &CacheKey, blobs: &Path) -> Result<Digest, BuildError> {
    let snapshot = store.snapshot(key)?.ok_or_else(|| BuildError::new("what the step made is gone"))?;
    let mut file = tempfile::NamedTempFile::new_in(blobs)?;
    let options = LayerOptions { mtime: NEVER, compression: Compression::ZSTD, threads: NonZeroUsize::MIN };
    let mut writer = ChangesetWriter::new(file.as_file_mut(), &options, None)?;
    let mut unused = Collector::default();
    for change in changes::walk(&snapshot)? {
        push(&mut writer, change?, &mut unused)?;
    }
    let digest = writer.finish()?.0.blob.digest;
    let path = blobs.join(digest.hex());
    file.persist(&path).map_err(|error| BuildError::from(error.error)).context(path.display())?;
    Ok(digest)
}

fn read(directory: &Path) -> Result<Vec<Kept>, BuildError> {
    let path = directory.join(FILE);
    let file = File::open(&path).context(path.display())?;
    if file.metadata()?.len() > LIMIT {
        return Err(BuildError::new(format!("{} is too long", path.display())));
    }
    let index: Index =
        serde_json::from_reader(BufReader::new(file)).map_err(BuildError::from).context(path.display())?;
    if index.version != VERSION {
        return Err(BuildError::new(format!("{} is of another version of Jettison", path.display())));
    }
    Ok(index.results)
}

/// Brings the results of a directory into the store. One that is not whole is left out, and said.
pub fn bring(store: &Store, directory: &Path, warn: &dyn Fn(String)) -> Result<(), BuildError> {
    for kept in read(directory)? {
        if store.memo_get::<Output>(&kept.key)?.is_some() {
            continue;
        }
        if let Err(error) = one(store, directory, &kept) {
            warn(format!("a result of the cache {} cannot be used: {error}", directory.display()));
        }
    }
    Ok(())
}

fn one(store: &Store, directory: &Path, kept: &Kept) -> Result<(), BuildError> {
    for (key, blob) in &kept.snapshots {
        let path = directory.join("blobs/sha256").join(blob.hex());
        if store.snapshot(key)?.is_some() {
            continue;
        }
        let (actual, _) = Digest::of_reader(File::open(&path).context(path.display())?)?;
        if actual != *blob {
            return Err(BuildError::new(format!("{} is damaged", path.display())));
        }
        rootfs::of_changeset(store, key, || File::open(&path).map_err(io::Error::into)).context(path.display())?;
    }
    let refs: Vec<Ref> = kept.output.refs().collect();
    Ok(store.memo_put(&kept.key, &kept.output, &refs)?)
}
