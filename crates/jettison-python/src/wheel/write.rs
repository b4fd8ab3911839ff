//! The members of a wheel are checked and written, one after the other.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use jettison_tree::{Content, Digest, Entry, FragmentWriter, TreePath};

use super::archive::read_all;
use super::error::Fault;
use super::imports::imported;
use super::install::{Dropped, Placed, Scheme, Transform, Transformed};
use super::layout::InstallLayout;
use super::record::{NewRecord, OtherHash, Row};
use super::script::with_interpreter;

/// A member larger than this that the transform does not want is never held in memory.
const STREAM_FROM: u64 = 16 << 20;
/// As much of a member as [`Transform::wants`] sees.
const HEAD: u64 = 64;

/// One installation in the making.
pub(super) struct Run<'a, W: Write> {
    pub layout: &'a InstallLayout,
    pub shebang: &'a str,
    pub transform: &'a mut dyn Transform,
    pub out: &'a mut FragmentWriter<W>,
    pub record: NewRecord,
    pub sink: Sink,
}

/// What is to be told of it.
#[derive(Default)]
pub(super) struct Sink {
    pub modules: Vec<String>,
    pub scripts: BTreeSet<TreePath>,
    pub files: u64,
    pub bytes: u64,
    pub dropped: Vec<Dropped>,
}

impl<W: Write> Run<'_, W> {
    /// Checks and writes one member; false if the transform dropped it.
    pub(super) fn member(
        &mut self,
        path: &TreePath,
        placed: &Placed,
        row: &Row,
        imports: Option<&mut BTreeSet<String>>,
        data: &mut dyn Read,
    ) -> Result<bool, Fault> {
        let Placed { member, scheme, inside } = placed;
        let script = *scheme == Scheme::Scripts;
        let mut head = Vec::with_capacity(HEAD as usize);
        (&mut *data).take(HEAD).read_to_end(&mut head)?;
        let wanted = self.transform.wants(path, member.size, &head);
        let executable = script || member.executable;
        if !wanted && !script && member.size > STREAM_FROM {
            let mut other = row.hash.as_ref().map_or(OtherHash::None, OtherHash::for_hash);
            let tee = Tee { data: head.as_slice().chain(data), other: &mut other };
            let (digest, len) = self.out.push_stream(path.clone(), if executable { 0o755 } else { 0o644 }, tee)?;
            row.check(&member.name, digest, len, |slot| *slot = other)?;
            self.note(path, digest, len)?;
            return Ok(true);
        }
        let mut bytes = head;
        bytes.append(&mut read_all(data, member.size.saturating_sub(HEAD))?);
        let check =
            |digest, bytes: &[u8]| row.check(&member.name, digest, bytes.len() as u64, |other| other.update(bytes));
        if let Some(imports) = imports {
            let package: Vec<_> = inside.split('/').collect();
            imports.extend(imported(&bytes, &package[..package.len() - 1]));
        }
        let fixed = if script { with_interpreter(&bytes, self.shebang) } else { None };
        if wanted || fixed.is_some() {
            check(Digest::of(&bytes), &bytes)?;
            bytes = fixed.unwrap_or(bytes);
            if wanted {
                bytes = match self.transform.transform(path, bytes) {
                    Transformed::Keep(bytes) => bytes,
                    Transformed::Drop(reason) => {
                        self.sink.dropped.push(Dropped { path: path.clone(), bytes: member.size, reason });
                        return Ok(false);
                    }
                };
            }
            self.write(path, bytes, executable)?;
        } else {
            let content = Content::from_bytes(bytes.as_slice());
            check(content.digest(), &bytes)?;
            self.write_content(path, content, executable)?;
        }
        Ok(true)
    }

    pub(super) fn write(&mut self, path: &TreePath, bytes: Vec<u8>, executable: bool) -> Result<(), Fault> {
        self.write_content(path, Content::from_bytes(bytes), executable)
    }

    fn write_content(&mut self, path: &TreePath, content: Content, executable: bool) -> Result<(), Fault> {
        let (digest, len) = (content.digest(), content.len());
        self.out.push(&Entry::file(path.clone(), content, executable))?;
        self.note(path, digest, len)
    }

    fn note(&mut self, path: &TreePath, digest: Digest, len: u64) -> Result<(), Fault> {
        if !self.record.add(self.layout.record_path(path), digest, len) {
            return Err(Fault::Collision(path.to_string()));
        }
        self.sink.files += 1;
        self.sink.bytes += len;
        Ok(())
    }
}

/// Computes another hash of what is read.
struct Tee<'a, R> {
    data: R,
    other: &'a mut OtherHash,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.data.read(buffer)?;
        self.other.update(&buffer[..read]);
        Ok(read)
    }
}
