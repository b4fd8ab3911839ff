//! A file without a name that contents are collected in, one behind the other: what comes out of a stream is read once, and lies on
//! disk until nobody needs it.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_tree::{Content, Hasher};

/// Contents up to this size stay in memory. Bytes.
const SMALL: usize = 4096;
const BUFFER: usize = 128 * 1024;

/// Collects contents.
pub struct Spool {
    directory: PathBuf,
    file: Option<Arc<File>>,
    at: u64,
    buffer: Vec<u8>,
}

impl Spool {
    /// One whose file is in `directory`, made when the first content needs it.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), file: None, at: 0, buffer: Vec::new() }
    }

    /// Reads `reader` to its end.
    pub fn add(&mut self, mut reader: impl Read) -> io::Result<Content> {
        self.buffer.resize(BUFFER, 0);
        let mut have = 0;
        while have < SMALL {
            match reader.read(&mut self.buffer[have..]) {
                Ok(0) => return Ok(Content::from_bytes(&self.buffer[..have])),
                Ok(read) => have += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(Arc::new(tempfile::tempfile_in(&self.directory)?))),
        };
        let mut out = &*file;
        out.seek(SeekFrom::Start(self.at))?;
        let mut hasher = Hasher::new();
        while have > 0 {
            hasher.update(&self.buffer[..have]);
            out.write_all(&self.buffer[..have])?;
            have = loop {
                match reader.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
        }
        let (digest, len) = hasher.finish();
        let offset = self.at;
        self.at += len;
        Ok(Content::in_file(file, offset, len, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jettison_tree::Digest;

    #[test]
    fn contents_lie_behind_one_another() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(directory.path());
        let texts: Vec<Vec<u8>> = [0, 1, 5000, 4096, 300_000, 4095].iter().map(|&len| vec![len as u8; len]).collect();
        let contents: Vec<_> = texts.iter().map(|text| spool.add(&text[..]).unwrap()).collect();
        for (content, text) in contents.iter().zip(&texts) {
            assert_eq!((content.read().unwrap(), content.digest()), (text.clone(), Digest::of(text)));
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 0, "the file has no name");
    }
}
