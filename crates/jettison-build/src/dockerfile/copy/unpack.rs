//! Archives that ADD unpacks: tars, plain or packed with gzip, bzip2, xz or zstd, told by what is in them.
//!
//! Owners, modes, times, links, devices and kept attributes are the archive's; `--chown` changes owners, `--chmod` nothing. The
//! destination is the root of the archive: no name and no link in it leads out. What stands in the way of a member goes, except a
//! directory in the way of a directory.

use std::io::BufReader;
use std::path::Path;

use jettison_oci::layer::{TarKind, TarReader};
use jettison_tree::{Content, Device, Entry, Node, TreePath, Xattrs};

use super::destination::Destination;
use crate::dockerfile::context::archive::decompress;
use crate::dockerfile::context::spool::Spool;
use crate::dockerfile::context::tree::{Empty, Kind, keeps_xattr, shown, split};
use crate::error::BuildError;

/// Members above which an archive is refused.
const MAX_MEMBERS: usize = 4_000_000;

/// Whether the content is a tar with something in it.
pub fn is_archive(content: &Content) -> Result<bool, BuildError> {
    let Ok(bytes) = decompress(BufReader::new(content.reader())) else { return Ok(false) };
    Ok(TarReader::new(bytes).next_entry().is_ok_and(|first| first.is_some()))
}

/// What is in the archive, as entries; `None` where the content is no archive. `tmp` is a directory for what is unpacked.
pub fn unarchive(content: &Content, tmp: &Path) -> Result<Option<Vec<Entry>>, BuildError> {
    if !is_archive(content)? {
        return Ok(None);
    }
    let mut over = Destination::over(&Empty);
    unpack(&mut over, content, b"", None, tmp)?;
    Ok(Some(over.into_entries()))
}

/// Unpacks the archive into the directory at `into`, which is there.
pub fn unpack(
    over: &mut Destination<'_>,
    content: &Content,
    into: &[u8],
    owner: Option<(u32, u32)>,
    tmp: &Path,
) -> Result<(), BuildError> {
    let mut tar = TarReader::new(decompress(BufReader::with_capacity(128 * 1024, content.reader()))?);
    let mut spool = Spool::new(tmp);
    let mut members = 0;
    while let Some(mut member) = tar.next_entry()? {
        members += 1;
        if members > MAX_MEMBERS {
            return Err(BuildError::new(format!("the archive has more than {MAX_MEMBERS} members")));
        }
        let header = member.header();
        let Some(path) = header.path()? else { continue };
        let (directory, name) = split(path.as_bytes());
        let directory = over.resolve_below(into, directory)?;
        over.make_directories(&directory, 0o755, (0, 0))?;
        let target = TreePath::parse([&directory, &b"/"[..], name].concat())?;
        let node = match header.kind {
            TarKind::Directory => Node::Directory,
            TarKind::Symlink => Node::Symlink(header.link.clone()),
            TarKind::CharacterDevice(major, minor) => Node::CharacterDevice(Device { major, minor }),
            TarKind::BlockDevice(major, minor) => Node::BlockDevice(Device { major, minor }),
            TarKind::Fifo => Node::Fifo,
            TarKind::File => Node::File(Content::from_bytes(Vec::new())),
            TarKind::HardLink => {
                let to = TreePath::parse(&header.link)?;
                let (directory, name) = split(to.as_bytes());
                let from = [&over.resolve_below(into, directory)?, &b"/"[..], name].concat();
                over.link(TreePath::parse(from)?.as_bytes(), target)?;
                continue;
            }
            TarKind::Other(flag) => {
                let name = shown(path.as_bytes());
                return Err(BuildError::new(format!(
                    "`{name}` is of the type `{}`, which is unknown",
                    flag.escape_ascii()
                )));
            }
        };
        let id = |id: u64| {
            u32::try_from(id).map_err(|_| BuildError::new(format!("`{path}` belongs to {id}, which no system has")))
        };
        let owner = match owner {
            Some(owner) => owner,
            None => (id(header.uid)?, id(header.gid)?),
        };
        // The mode of a link means nothing, and every system has the same.
        let mode = if header.kind == TarKind::Symlink { 0o777 } else { header.mode };
        let mut entry = Entry::new(target, mode, owner, node);
        entry.mtime = Some(header.mtime);
        entry.xattrs = header.xattrs.iter().filter(|(name, _)| keeps_xattr(name)).collect::<Xattrs>();
        if header.kind == TarKind::File {
            entry.node = Node::File(spool.add(&mut member)?);
        }
        if entry.path.as_bytes() == into && over.kind(into)? == Some(Kind::Directory) {
            continue;
        }
        over.put(entry, 0)?;
    }
    Ok(())
}
