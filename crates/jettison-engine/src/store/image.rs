//! Names of images.

use std::time::{Duration, SystemTime};

use jettison_tree::Digest;
use rusqlite::OptionalExtension as _;

use super::{Store, StoreError, now};

/// A name and the manifest (or index) that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The name, as it was given.
    pub name: String,
    /// The digest of the manifest or index.
    pub manifest: Digest,
    /// When it got the name, to the second.
    pub tagged: SystemTime,
}

impl Store {
    /// Gives the image with this manifest or index a name; the image that had it before loses it. What a named image
    /// consists of is never pruned.
    pub fn tag(&self, name: &str, manifest: Digest) -> Result<(), StoreError> {
        if !self.has(manifest)? {
            return Err(StoreError::Missing(manifest));
        }
        self.query(|index| {
            let insert = "INSERT OR REPLACE INTO image (name, manifest, tagged) VALUES (?, ?, ?)";
            index.execute(insert, (name, manifest.as_bytes(), now()))?;
            Ok(())
        })
    }

    /// Takes the name away. Returns whether there was one.
    pub fn untag(&self, name: &str) -> Result<bool, StoreError> {
        self.query(|index| Ok(index.execute("DELETE FROM image WHERE name = ?", [name])? > 0))
    }

    /// The manifest that `name` stands for.
    pub fn image(&self, name: &str) -> Result<Option<Digest>, StoreError> {
        self.query(|index| {
            let manifest = index.query_row("SELECT manifest FROM image WHERE name = ?", [name], |row| row.get(0));
            Ok(manifest.optional()?.map(Digest::from_bytes))
        })
    }

    /// All named images, by name.
    pub fn images(&self) -> Result<Vec<NamedImage>, StoreError> {
        self.query(|index| {
            let mut select = index.prepare("SELECT name, manifest, tagged FROM image ORDER BY name")?;
            let rows = select.query_map([], |row| {
                let tagged = Duration::from_secs(row.get::<_, i64>(2)?.max(0) as u64);
                let manifest = Digest::from_bytes(row.get(1)?);
                Ok(NamedImage { name: row.get(0)?, manifest, tagged: SystemTime::UNIX_EPOCH + tagged })
            })?;
            rows.collect()
        })
    }
}
