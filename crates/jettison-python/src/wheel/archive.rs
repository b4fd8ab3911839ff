//! The zip archive of a wheel, which may come from anybody.
//!
//! Everything is decided from the central directory before a byte is unpacked: names, kinds, sizes. Archives that two
//! readers could read in two ways (duplicate or overlapping members, headers that disagree) are refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};

use jettison_tree::TreePath;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::error::Fault;

/// More members than any wheel has.
const MEMBER_LIMIT: usize = 200_000;
/// The largest a member may become, in bytes.
const MEMBER_SIZE_LIMIT: u64 = 8 << 30;
/// How much larger than the archive its members may be all together, beside a constant for small archives.
const RATIO_LIMIT: u64 = 200;
const RATIO_FREE: u64 = 64 << 20;
const NAME_LIMIT: usize = 4096;

/// One file of the archive.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The name, clean: relative, no `.` or `..`.
    pub name: String,
    pub index: usize,
    pub size: u64,
    pub executable: bool,
}

pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The files, by name.
    pub members: BTreeMap<String, Member>,
}

impl Archive {
    pub(super) fn open(file: File) -> Result<Self, Fault> {
        let length = file.metadata()?.len();
        let mut zip = ZipArchive::new(BufReader::with_capacity(64 * 1024, file)).map_err(fault)?;
        if zip.len() > MEMBER_LIMIT {
            return Err(Fault::TooLarge(format!("{} members are more than any wheel has", zip.len())));
        }
        zip.validate_header_consistency().map_err(fault)?;
        let mut members = BTreeMap::new();
        let mut directories = Vec::new();
        let mut total = 0_u64;
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(fault)?;
            let raw = entry.name().map_err(fault)?.into_owned();
            let refuse = |why: &str| Fault::Member { member: raw.clone(), why: why.to_owned() };
            let name = clean(&raw).map_err(|why| refuse(&why))?;
            // The upper half is the mode, where a Unix system wrote the archive; the type in it may be missing.
            let mode = entry.external_attributes() >> 16;
            let is_directory = raw.ends_with('/');
            match mode & 0o170_000 {
                0 | 0o100_000 => {}
                0o040_000 if is_directory => {}
                0o120_000 => return Err(refuse("is a symbolic link, which wheels cannot hold")),
                _ => return Err(refuse("is neither a file nor a directory")),
            }
            if is_directory {
                directories.push(name);
                continue;
            }
            if entry.encrypted() {
                return Err(refuse("is encrypted"));
            }
            if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
                return Err(refuse("is compressed in a way that wheels do not use"));
            }
            if entry.size() > MEMBER_SIZE_LIMIT {
                return Err(refuse("is larger than 8 GiB"));
            }
            total = total.saturating_add(entry.size());
            let executable = mode & 0o170_000 == 0o100_000 && mode & 0o111 != 0;
            let member = Member { name: name.clone(), index, size: entry.size(), executable };
            if members.insert(name, member).is_some() {
                return Err(refuse("is there twice"));
            }
        }
        if total > length.saturating_mul(RATIO_LIMIT).saturating_add(RATIO_FREE) {
            return Err(Fault::TooLarge(format!("{length} bytes that unpack to {total} are a bomb")));
        }
        let parents = members.keys().flat_map(|name| name.match_indices('/').map(|(at, _)| &name[..at]));
        let clash =
            parents.chain(directories.iter().map(String::as_str)).find(|directory| members.contains_key(*directory));
        if let Some(both) = clash {
            return Err(Fault::Member { member: both.to_owned(), why: "is both a file and a directory".to_owned() });
        }
        Ok(Self { zip, members })
    }

    /// Hands the content of a member to `take`. A length other than the one announced, or a wrong checksum, is an error.
    pub(super) fn read<T>(
        &mut self,
        member: &Member,
        take: impl FnOnce(&mut dyn Read) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let entry = self.zip.by_index(member.index).map_err(fault)?;
        // One byte more than announced, so that a longer one is noticed and still bounded.
        let mut bounded = entry.take(member.size + 1);
        let taken = take(&mut bounded)?;
        let left = bounded.limit();
        if left != 1 {
            return Err(Fault::Archive(format!("`{}` is not as long as announced", member.name)));
        }
        Ok(taken)
    }

    /// The content of a member of at most `limit` bytes.
    pub(super) fn read_small(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let Some(member) = self.members.get(name).cloned() else { return Ok(None) };
        if member.size > limit {
            return Err(Fault::TooLarge(format!("`{name}` of {} bytes is larger than any meant well", member.size)));
        }
        self.read(&member, |data| read_all(data, member.size)).map(Some)
    }
}

/// All that a reader yields. `size` is announced by a stranger, so that no more than a little is reserved for it at once.
pub(super) fn read_all(data: &mut dyn Read, size: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(size.min(32 << 20) as usize);
    data.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn clean(raw: &str) -> Result<String, String> {
    if raw.starts_with('/') {
        return Err("has an absolute name".to_owned());
    }
    if raw.contains('\\') || raw.chars().any(char::is_control) {
        return Err("has a name with a backslash or control character".to_owned());
    }
    if raw.len() > NAME_LIMIT {
        return Err("has a name longer than a path can be".to_owned());
    }
    let path = TreePath::parse(raw).map_err(|e| format!("must not be unpacked: {e}"))?;
    path.as_str().map(str::to_owned).ok_or_else(|| "has a name that is not UTF-8".to_owned())
}

fn fault(error: ZipError) -> Fault {
    match error {
        ZipError::Io(error) => error.into(),
        other => Fault::Archive(other.to_string()),
    }
}
