//! The entries of a tar or zip archive that may come from anybody, one after the other.

use std::fs::File;
use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;
use jettison_tree::TreePath;
use zip::ZipArchive;

use super::{SdistFault, SdistFormat, rewind};

/// More entries than any source distribution has.
const ENTRY_LIMIT: usize = 200_000;
/// How much larger than the archive its files may be all together, beside a constant for small archives.
const RATIO_LIMIT: u64 = 200;
const RATIO_FREE: u64 = 64 << 20;

/// One entry, checked: its path lies inside.
pub(super) struct Item {
    pub path: TreePath,
    pub kind: Kind,
    /// Bytes of a file.
    pub size: u64,
    /// Seconds since 1970, where the archive says it.
    pub modified: Option<u64>,
}

pub(super) enum Kind {
    File { executable: bool },
    Directory,
    Symlink(Vec<u8>),
    HardLink(TreePath),
}

/// What is done with an entry and its content.
pub(super) type Visit<'a> = dyn FnMut(&Item, &mut dyn Read) -> Result<(), SdistFault> + 'a;

/// Shows every entry to `visit`, from the start of the file.
pub(super) fn walk(file: &mut File, format: SdistFormat, visit: &mut Visit<'_>) -> Result<(), SdistFault> {
    rewind(file)?;
    let budget = file.metadata()?.len().saturating_mul(RATIO_LIMIT).saturating_add(RATIO_FREE);
    let mut total = 0_u64;
    let mut count = 0;
    let mut checked = |item: &Item, data: &mut dyn Read| {
        count += 1;
        total = total.saturating_add(item.size);
        if count > ENTRY_LIMIT || total > budget {
            return Err(SdistFault::Archive("it unpacks to more than any that is meant well".to_owned()));
        }
        visit(item, data)
    };
    match format {
        SdistFormat::TarGz => walk_tar(file, &mut checked),
        SdistFormat::Zip => walk_zip(file, &mut checked),
    }
}

fn walk_tar(file: &mut File, visit: &mut Visit<'_>) -> Result<(), SdistFault> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let raw = entry.path_bytes().into_owned();
        let header = entry.header();
        let kind = header.entry_type();
        if kind.is_pax_global_extensions() || is_root(&raw) {
            continue;
        }
        let refuse = |why: &str| SdistFault::Entry {
            entry: String::from_utf8_lossy(&raw).escape_debug().to_string(),
            why: why.to_owned(),
        };
        let link = || entry.link_name_bytes().map(|name| name.into_owned()).ok_or_else(|| refuse("links to nothing"));
        let mode = header.mode().unwrap_or(0o644);
        let (kind, size) = match kind {
            tar::EntryType::Regular | tar::EntryType::GNUSparse => {
                (Kind::File { executable: mode & 0o100 != 0 }, entry.size())
            }
            tar::EntryType::Directory => (Kind::Directory, 0),
            tar::EntryType::Symlink => (Kind::Symlink(link()?), 0),
            tar::EntryType::Link => (Kind::HardLink(safe_path(&link()?)?), 0),
            _ => return Err(refuse("is neither a file, a directory nor a link")),
        };
        let item = Item { path: safe_path(&raw)?, kind, size, modified: header.mtime().ok() };
        visit(&item, &mut entry)?;
    }
    Ok(())
}

fn walk_zip(file: &mut File, visit: &mut Visit<'_>) -> Result<(), SdistFault> {
    let zip_broken = |e: zip::result::ZipError| SdistFault::Archive(e.to_string());
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(zip_broken)?;
    archive.validate_header_consistency().map_err(zip_broken)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(zip_broken)?;
        let name = entry.name().map_err(zip_broken)?.into_owned();
        let mode = entry.external_attributes() >> 16;
        let kind = match mode & 0o170_000 {
            _ if name.ends_with('/') => Kind::Directory,
            0 | 0o100_000 => Kind::File { executable: mode & 0o100 != 0 },
            _ => {
                let why = "is neither a file nor a directory".to_owned();
                return Err(SdistFault::Entry { entry: name.escape_debug().to_string(), why });
            }
        };
        let size = entry.size();
        let item = Item { path: safe_path(name.as_bytes())?, kind, size, modified: None };
        visit(&item, &mut entry.take(size))?;
    }
    Ok(())
}

/// The path, where it stays inside.
fn safe_path(raw: &[u8]) -> Result<TreePath, SdistFault> {
    let refuse =
        |why: String| SdistFault::Entry { entry: String::from_utf8_lossy(raw).escape_debug().to_string(), why };
    if raw.starts_with(b"/") {
        return Err(refuse("has an absolute path".to_owned()));
    }
    TreePath::parse(raw).map_err(|e| refuse(format!("must not be unpacked: {e}")))
}

fn is_root(raw: &[u8]) -> bool {
    !raw.starts_with(b"/") && raw.split(|&byte| byte == b'/').all(|part| matches!(part, b"" | b"."))
}
