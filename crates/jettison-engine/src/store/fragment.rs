//! Fragments: unpacked trees in one file each, under the key of what made them.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use jettison_tree::{Digest, Fragment};
use tempfile::NamedTempFile;

use super::blob::rename_into;
use super::index::Kind;
use super::{Store, StoreError};
use crate::CacheKey;

impl Store {
    /// The file of the fragment with this key, where it is there.
    pub fn fragment(&self, key: &CacheKey) -> Result<Option<PathBuf>, StoreError> {
        self.checked_fragment(key.as_bytes())
    }

    /// The file of the fragment with this key, which `make` writes when it is not there. What `make` writes must be a
    /// [`Fragment`] and depend on nothing but what the key was made of: two processes may both be at it, and one of the
    /// two files is kept. When `make` fails nothing is kept.
    pub fn fragment_or<E: From<StoreError>>(
        &self,
        key: &CacheKey,
        make: impl FnOnce(&mut File) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.fragment(key)? {
            return Ok(path);
        }
        let mut file = NamedTempFile::new_in(&self.tmp).map_err(StoreError::io("write in", &self.tmp))?;
        make(file.as_file_mut())?;
        let len = file.as_file().metadata().map_err(StoreError::io("read", file.path()))?.len();
        let to = self.kind_path(Kind::Fragment, key.as_bytes());
        self.arrive(Kind::Fragment, key.as_bytes(), len, || rename_into(file.into_temp_path(), &to))?;
        Ok(to)
    }

    /// The file of a fragment that is whole. Anything else is forgotten.
    pub(super) fn checked_fragment(&self, id: &[u8; 32]) -> Result<Option<PathBuf>, StoreError> {
        let Some(item) = self.item(Kind::Fragment, id)? else { return Ok(None) };
        let path = self.kind_path(Kind::Fragment, id);
        let whole = match fs::metadata(&path) {
            Ok(meta) if meta.len() != item.len => false,
            Ok(_) if item.trusted => true,
            Ok(_) => {
                let whole = Fragment::open(&path).is_ok_and(|fragment| contents_are_good(&fragment));
                if whole {
                    self.trust(Kind::Fragment, id)?;
                }
                whole
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(StoreError::io("read", &path)(e)),
        };
        if !whole {
            self.forget(Kind::Fragment, id)?;
        }
        Ok(whole.then_some(path))
    }
}

fn contents_are_good(fragment: &Fragment) -> bool {
    let mut contents = fragment.entries().iter().filter_map(|entry| entry.content());
    contents.all(|content| Digest::of_reader(content.reader()).is_ok_and(|(digest, _)| digest == content.digest()))
}
