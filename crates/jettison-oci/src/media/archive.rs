//! Tars as media: read at random, written in one stream.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_tree::{Digest, TreePath};

use super::staged::copy_blob;
use super::{At as _, MediaError, format_error};
use crate::blob::{Blob, BlobError, BlobSource};
use crate::image::ContentItem;
use crate::layer::ustar::{BLOCK, Header, flag, padding};
use crate::layer::{TarError, TarKind, TarReader, Unpacker};
use crate::types::{BlobCompression, Descriptor};

/// Members of an archive above which it is refused.
const MAX_MEMBERS: usize = 100_000;
/// Links that are followed from one member name.
const MAX_LINKS: u32 = 16;

/// A tar whose members can be opened in any order. A compressed one, or one that is no regular file, is unpacked to an
/// unnamed file first.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    members: BTreeMap<TreePath, Member>,
}

#[derive(Debug)]
enum Member {
    File { offset: u64, len: u64 },
    Link(TreePath),
}

impl Archive {
    /// Reads the names of all members. Where one comes twice the last counts, as for who unpacks it.
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let file = seekable(path)?;
        let mut tar = TarReader::seekable(&file);
        let mut members = BTreeMap::new();
        while let Some(entry) = tar.next_entry().at(path)? {
            let header = entry.header();
            let Some(name) = header.path().map_err(TarError::from).at(path)? else { continue };
            let member = match header.kind {
                TarKind::File => match entry.offset() {
                    Some(offset) => Member::File { offset, len: header.size },
                    None => return Err(format_error(path, format!("`{name}` is a sparse file"))),
                },
                // docker and podman save a layer once and link to it from wherever else it belongs.
                TarKind::Symlink | TarKind::HardLink => match link_target(&name, &header.link, header.kind) {
                    Some(target) => Member::Link(target),
                    None => return Err(format_error(path, format!("`{name}` links out of the archive"))),
                },
                _ => continue,
            };
            members.insert(name, member);
            if members.len() > MAX_MEMBERS {
                return Err(format_error(path, format!("it has more than {MAX_MEMBERS} members")));
            }
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(file), members })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a member by name, through links; `None` where there is none.
    pub(super) fn member(&self, name: &str) -> Option<MemberReader> {
        let mut at = TreePath::parse(name).ok()?;
        for _ in 0..MAX_LINKS {
            match self.members.get(&at)? {
                Member::File { offset, len } => {
                    return Some(MemberReader { file: Arc::clone(&self.file), at: *offset, left: *len });
                }
                Member::Link(target) => at = target.clone(),
            }
        }
        None
    }

    /// All of a member in memory; more than `limit` bytes are refused.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, MediaError> {
        let Some(mut member) = self.member(name) else { return Ok(None) };
        if member.left > limit {
            return Err(format_error(
                &self.path,
                format!("`{name}` has {} bytes; at most {limit} are read", member.left),
            ));
        }
        let mut bytes = Vec::with_capacity(member.left as usize);
        member.read_to_end(&mut bytes).at(&self.path)?;
        Ok(Some(bytes))
    }

    /// The blob `blobs/sha256/…` of a layout.
    pub(super) fn blob(&self, digest: Digest) -> Result<Blob, BlobError> {
        match self.member(&format!("blobs/sha256/{}", digest.hex())) {
            Some(member) => Ok(member.into_blob()),
            None => Err(BlobError::Missing { digest, place: self.path.display().to_string() }),
        }
    }
}

fn link_target(name: &TreePath, link: &[u8], kind: TarKind) -> Option<TreePath> {
    if kind == TarKind::HardLink {
        return TreePath::parse(link).ok();
    }
    let mut base = name.parent();
    let mut rest = link;
    while let Some(up) = rest.strip_prefix(b"../") {
        base = base?.parent();
        rest = up;
    }
    if link.starts_with(b"/") {
        return None;
    }
    base.map_or_else(|| TreePath::parse(rest), |base| base.join(rest)).ok()
}

/// One member of an [`Archive`], read from its start.
pub(super) struct MemberReader {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl MemberReader {
    pub(super) fn len(&self) -> u64 {
        self.left
    }

    pub(super) fn into_blob(self) -> Blob {
        Blob::new(self.left, self)
    }
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// The plain tar in the file at `path`, at its start.
fn seekable(path: &Path) -> Result<File, MediaError> {
    let mut file = File::open(path).at(path)?;
    if file.metadata().at(path)?.is_dir() {
        return Err(format_error(path, "it is a directory, not an archive"));
    }
    let regular = file.metadata().at(path)?.is_file();
    let mut unpacked = Unpacker::new(&file).at(path)?;
    if regular && unpacked.compression() == BlobCompression::None {
        drop(unpacked);
        file.rewind().at(path)?;
        return Ok(file);
    }
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut spool = tempfile::tempfile_in(beside).or_else(|_| tempfile::tempfile()).at(path)?;
    io::copy(&mut unpacked, &mut spool).at(path)?;
    spool.rewind().at(path)?;
    Ok(spool)
}

/// Writes a tar of small files and of the contents of an image, the same bytes each time: root's, `0644`, 1970.
pub(super) fn write_archive(
    mut out: impl Write,
    path: &Path,
    files: &[(&str, Vec<u8>)],
    contents: &[ContentItem],
    blobs: &dyn BlobSource,
) -> Result<(), MediaError> {
    for (name, bytes) in files {
        header(&mut out, name, bytes.len() as u64).and_then(|()| pad(&mut out, bytes)).at(path)?;
    }
    for directory in ["blobs/", "blobs/sha256/"] {
        header(&mut out, directory, 0).at(path)?;
    }
    for item in contents {
        let descriptor = item.descriptor();
        header(&mut out, &format!("blobs/sha256/{}", descriptor.digest.hex()), descriptor.size).at(path)?;
        match item {
            ContentItem::Document(_, bytes) => pad(&mut out, bytes).at(path)?,
            ContentItem::Blob(descriptor) => {
                copy_blob(blobs, descriptor, &mut out, path)?;
                out.write_all(&[0; BLOCK][..padding(descriptor.size) as usize]).at(path)?;
            }
        }
    }
    out.write_all(&[0; 2 * BLOCK]).and_then(|()| out.flush()).at(path)
}

fn header(out: &mut impl Write, name: &str, size: u64) -> io::Result<()> {
    let (flag, mode) = if name.ends_with('/') { (flag::DIRECTORY, 0o755) } else { (flag::FILE, 0o644) };
    let header = Header { mode, size, ..Header::new(name.as_bytes(), flag) };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    out.write_all(&bytes)
}

fn pad(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.write_all(&[0; BLOCK][..padding(bytes.len() as u64) as usize])
}

/// Blobs of an archive that go by another name than their digest, and the documents made up for them.
pub(super) struct NamedBlobs {
    pub(super) archive: Arc<Archive>,
    pub(super) names: BTreeMap<Digest, String>,
}

impl BlobSource for NamedBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let digest = descriptor.digest;
        match self.names.get(&digest).and_then(|name| self.archive.member(name)) {
            Some(member) => Ok(member.into_blob()),
            None => self.archive.blob(digest),
        }
    }
}
