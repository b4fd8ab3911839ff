//! Snapshots that a sandbox makes: the upper directory of a step becomes the layer that the step added.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jettison_tree::TreePath;

use super::snapshot::{Scratch, TREE};
use super::{Snapshot, Store, StoreError};
use crate::CacheKey;
use crate::access::{FileKind, ReadError, TreeDir};
use crate::removal::remove_tree;
use crate::sandbox::{Mode, NOTES, Noted, Upper, parse_notes};
use crate::snapshot::Owner;
use crate::view::{View, below};

/// A place for what a sandbox changes. It is removed, with all that is in it, unless it is
/// [kept](UpperDir::keep); where this process is killed, the next to open the store alone removes it.
pub struct UpperDir<'a> {
    store: &'a Store,
    scratch: Scratch,
}

impl Store {
    /// A fresh place for what a sandbox changes, on the store's file system.
    pub fn upper(&self) -> Result<UpperDir<'_>, StoreError> {
        Ok(UpperDir { store: self, scratch: self.scratch()? })
    }
}

impl UpperDir<'_> {
    /// What the sandbox is to have as [`Rootfs::upper`](crate::sandbox::Rootfs).
    pub fn upper(&self) -> Upper {
        Upper::Directory(self.scratch.path().to_owned())
    }

    /// Keeps what was changed as the snapshot with this key, when the sandbox has ended. It is renamed into its place,
    /// whoever its files belong to.
    ///
    /// `below` is what the sandbox had as its lower directories and `user` the ids that the program ran with: where one
    /// id is all there is ([`Mode::SingleId`]), what the program gave away belongs to whom it was given
    /// ([`Spec::pretend_ids`](crate::sandbox::Spec)), what was there before keeps its owner, and what is new belongs to
    /// the program's user.
    pub fn keep(self, key: &CacheKey, below: &View, user: (u32, u32)) -> Result<Snapshot, StoreError> {
        let tree = self.scratch.path().join(TREE);
        let upper = self.scratch.path().join("upper");
        for own in ["work", "points"].map(|name| self.scratch.path().join(name)) {
            remove_tree(&own).map_err(StoreError::io("remove", &own))?;
        }
        let notes = self.scratch.path().join(NOTES);
        let noted = match fs::read(&notes) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            read => {
                let noted = parse_notes(&read.map_err(StoreError::io("read", &notes))?);
                fs::remove_file(&notes).map_err(StoreError::io("remove", &notes))?;
                noted
            }
        };
        fs::rename(&upper, &tree).map_err(StoreError::io("rename", &upper))?;
        let mode = Mode::detect();
        let dir = TreeDir::open(&tree, &mode).map_err(StoreError::io("open", &tree))?;
        let single = (mode == Mode::SingleId).then_some((below, user));
        let mut survey = Survey { dir, owners: Vec::new(), bytes: 0, single, noted };
        survey.run().map_err(|e| StoreError::io("read", tree.join(&e.path))(e.source))?;
        let snapshot = self.store.adopt_snapshot(key, &self.scratch, &survey.owners, survey.bytes)?;
        self.store.kept_what_takes_long();
        Ok(snapshot)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }
}

/// Finds out what an upper directory holds.
struct Survey<'a> {
    dir: TreeDir,
    owners: Vec<Owner>,
    bytes: u64,
    /// What says who files belong to, where they cannot say it themselves.
    single: Option<(&'a View, (u32, u32))>,
    /// What files that have no attributes were given to.
    noted: BTreeMap<TreePath, Noted>,
}

impl Survey<'_> {
    fn run(&mut self) -> Result<(), ReadError> {
        let mut open: Vec<Option<TreePath>> = vec![None];
        while let Some(at) = open.pop() {
            for (name, _) in self.dir.names(at.as_ref()).map_err(ReadError::at(at.as_ref()))? {
                let path = below(at.as_ref(), &name)?;
                let Some(stat) = self.dir.stat(Some(&path)).map_err(ReadError::at(Some(&path)))? else { continue };
                if stat.is_whiteout() {
                    continue;
                }
                self.bytes += if stat.kind == FileKind::File { stat.len } else { 0 };
                if let Some((below, user)) = self.single {
                    let before = below.lstat(&path)?.filter(|before| before.kind == stat.kind);
                    let (uid, gid) = before.map_or(user, |before| (before.uid, before.gid));
                    let noted = match stat.kind {
                        FileKind::File | FileKind::Directory => self.dir.noted_owner(Some(&path)),
                        _ => Ok(self.noted.get(&path).copied().unwrap_or_default()),
                    };
                    let (noted_uid, noted_gid) = noted.map_err(ReadError::at(Some(&path)))?;
                    let (uid, gid) = (noted_uid.unwrap_or(uid), noted_gid.unwrap_or(gid));
                    if (uid, gid) != (0, 0) {
                        self.owners.push(Owner { path: path.clone(), uid, gid });
                    }
                }
                if stat.kind == FileKind::Directory {
                    open.push(Some(path));
                }
            }
        }
        self.owners.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }
}
