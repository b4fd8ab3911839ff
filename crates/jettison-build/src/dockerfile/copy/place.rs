//! Where it goes: a selection over a stage becomes the entries of a layer (fsutil's `copy`, which BuildKit copies with).

use std::path::Path;

use jettison_tree::{Entry, Node, TreePath};

use super::destination::Destination;
use super::mode::Chmod;
use super::owner::owner;
use super::select::{Part, Selected, Selection};
use super::{Request, unpack};
use crate::dockerfile::context::tree::{Empty, FileTree, Kind, join, shown, split};
use crate::error::BuildError;

/// A layer that an instruction made.
#[derive(Debug)]
pub struct Copied {
    /// What is in it, by path; directories of the stage only where they were changed.
    pub entries: Vec<Entry>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Selection {
    /// Puts the selection of `request` over `stage`. `tmp` is a directory for the contents of archives.
    pub fn place(&self, request: &Request, stage: &dyn FileTree, tmp: &Path) -> Result<Copied, BuildError> {
        let alone = request.stands_alone();
        let owner = match &request.chown {
            Some(chown) => Some(owner(chown, (!alone).then_some(stage))?),
            None => None,
        };
        let mut place = Place {
            over: Destination::over(if alone { &Empty } else { stage }),
            owner: owner.as_ref().map(|owner| (owner.uid, owner.gid)),
            chmod: request.chmod.as_ref(),
            tmp,
        };
        let (destination, is_directory) = request.destination();
        for (number, part) in self.parts.iter().enumerate() {
            place.part(part, number as u64 + 1, &destination, is_directory)?;
        }
        Ok(Copied {
            entries: place.over.into_entries(),
            warnings: owner.map(|owner| owner.warnings).unwrap_or_default(),
        })
    }
}

struct Place<'a> {
    over: Destination<'a>,
    owner: Option<(u32, u32)>,
    chmod: Option<&'a Chmod>,
    tmp: &'a Path,
}

impl Place<'_> {
    /// Copies one source. `number` keeps apart the hard links of different sources.
    fn part(&mut self, part: &Part, number: u64, destination: &[u8], is_directory: bool) -> Result<(), BuildError> {
        if let (true, Some(content)) = (part.unpack, &part.root.loaded.content)
            && unpack::is_archive(content)?
        {
            let into = self.over.resolve_below(b"", destination)?;
            self.over.make_directories(&into, 0o755, self.owner.unwrap_or_default())?;
            let unpacked = unpack::unpack(&mut self.over, content, &into, self.owner, self.tmp);
            return unpacked.map_err(|error| error.context(shown(&part.name)));
        }
        let above = if is_directory { destination } else { split(destination).0 };
        let above = self.over.resolve_below(b"", above)?;
        self.make_directories(&above)?;
        let mut at = self.over.resolve_below(b"", destination)?;
        let stands = self.over.kind(&at)?;
        if part.root.found.stat.is_directory() {
            if !part.contents_only && stands.is_some() {
                at = join(&at, &part.name);
            }
            let made = if part.contents_only && stands.is_none() { at.as_slice() } else { split(&at).0 };
            self.make_directories(made)?;
            match self.over.kind(&at)? {
                Some(Kind::Directory) => {}
                Some(_) => return Err(no_directory(&at)),
                None => self.copy(&part.root, &at, number)?,
            }
            return part.below.iter().try_for_each(|selected| self.below(selected, &at, number));
        }
        if stands == Some(Kind::Directory) {
            at = join(&at, &part.name);
        }
        self.make_directories(split(&at).0)?;
        self.file(&part.root, &at, number)
    }

    fn make_directories(&mut self, path: &[u8]) -> Result<(), BuildError> {
        self.over.make_directories(path, Chmod::of_made_directory(self.chmod), self.owner.unwrap_or_default())
    }

    /// Copies something of a directory that goes to `at`.
    fn below(&mut self, selected: &Selected, at: &[u8], number: u64) -> Result<(), BuildError> {
        let target = join(at, &selected.found.path);
        if !selected.found.stat.is_directory() {
            return self.file(selected, &target, number);
        }
        match self.over.kind(&target)? {
            Some(Kind::Directory) if selected.on_the_way => self.over.change_mode(&target, selected.found.stat.mode),
            None | Some(Kind::Directory) => self.copy(selected, &target, number),
            Some(_) => Err(no_directory(&target)),
        }
    }

    fn file(&mut self, selected: &Selected, target: &[u8], number: u64) -> Result<(), BuildError> {
        if self.over.kind(target)? == Some(Kind::Directory) {
            let what = format!("`/{}` is a directory; a file cannot take its place", shown(target));
            return Err(BuildError::new(what).hint("end the destination with a `/` to copy into a directory"));
        }
        self.copy(selected, target, number)
    }

    fn copy(&mut self, selected: &Selected, target: &[u8], number: u64) -> Result<(), BuildError> {
        let Selected { found, loaded, .. } = selected;
        let stat = &found.stat;
        let node = match (stat.kind, &loaded.content, &found.target) {
            (Kind::Directory, _, _) => Node::Directory,
            (Kind::File, Some(content), _) => Node::File(content.clone()),
            (Kind::Symlink, _, Some(to)) => Node::Symlink(to.clone()),
            (Kind::CharacterDevice(device), _, _) => Node::CharacterDevice(device),
            (Kind::BlockDevice(device), _, _) => Node::BlockDevice(device),
            (Kind::Fifo, _, _) => Node::Fifo,
            // A socket is of no use in an image.
            (Kind::Socket | Kind::File | Kind::Symlink, _, _) => return Ok(()),
        };
        let mode = match self.chmod {
            Some(chmod) if stat.kind != Kind::Symlink => chmod.apply(stat.mode, stat.is_directory()),
            _ => stat.mode,
        };
        let owner = self.owner.unwrap_or((stat.uid, stat.gid));
        let mut entry = Entry::new(TreePath::parse(target)?, mode, owner, node);
        (entry.mtime, entry.xattrs) = (Some(stat.mtime), loaded.xattrs.clone());
        let links = if stat.links == 0 { 0 } else { stat.links ^ number.rotate_right(8) };
        self.over.put(entry, links)
    }
}

fn no_directory(path: &[u8]) -> BuildError {
    BuildError::new(format!("`/{}` is there and is no directory; a directory cannot be copied to it", shown(path)))
        .hint("where it is a link to a directory, copy to what it leads to")
}
