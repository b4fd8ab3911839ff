//! Times in compiled Python files, kept true when times in a layer are not.
//!
//! A `.pyc` says for which source it was made, by the source's time and size (PEP 552, flags 0). A layer does not keep times
//! that are later than its epoch, and with a source of another time Python would compile at every start. So what the `.pyc`
//! says is changed along with the source's time, in the tar alone.

use jettison_tree::TreePath;

/// Bytes of the header: a magic number, flags, and the source's time and size.
pub(super) const HEADER: usize = 16;

/// What becomes of the time of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTime {
    /// There is no source; Python does not look for one then.
    Missing,
    /// It stays, as in the layers of a base image.
    Kept,
    /// It is this, in seconds since 1970, unless that is later than the epoch.
    Clamped(i64),
}

/// Whether the path is one of a compiled file.
pub(super) fn is_pyc(path: &TreePath) -> bool {
    path.file_name().ends_with(b".pyc")
}

/// The source of a compiled file, as `importlib.util.source_from_cache` finds it (PEP 3147, PEP 488), or next to it, where
/// Python looks for compiled files without a source. `None` where it can have none.
pub fn source_of(pyc: &TreePath) -> Option<TreePath> {
    let stem = pyc.file_name().strip_suffix(b".pyc")?;
    let directory = pyc.parent();
    let cached = directory.as_ref().filter(|directory| directory.file_name() == b"__pycache__");
    let (directory, stem) = match cached {
        Some(cache) => (cache.parent(), stem.split(|&byte| byte == b'.').next()?),
        None => (directory, stem),
    };
    let name = [stem, b".py"].concat();
    if stem.is_empty() {
        return None;
    }
    match directory {
        Some(directory) => directory.join(name).ok(),
        None => TreePath::parse(name).ok(),
    }
}

/// Changes the time in a header when its source gets another one: both become `latest`. What is out of date already stays so,
/// and what goes by a hash of the source has no time.
pub(super) fn clamp(header: &mut [u8], source: SourceTime, latest: i64) {
    let Some((&[_, _, b'\r', b'\n', 0, 0, 0, 0, a, b, c, d], _)) = header.split_first_chunk() else { return };
    // Python itself keeps no more than 32 bits.
    let said = u32::from_le_bytes([a, b, c, d]);
    let is_late = match source {
        SourceTime::Missing => i64::from(said) > latest,
        SourceTime::Clamped(mtime) => mtime > latest && mtime as u32 == said,
        SourceTime::Kept => false,
    };
    if is_late {
        header[8..12].copy_from_slice(&(latest as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_as_python_finds_them() {
        for (pyc, source) in [
            ("a/__pycache__/m.cpython-313.pyc", Some("a/m.py")),
            ("a/__pycache__/m.cpython-313.opt-1.pyc", Some("a/m.py")),
            ("__pycache__/m.cpython-313.pyc", Some("m.py")),
            ("a/m.pyc", Some("a/m.py")),
            ("a/m.x.pyc", Some("a/m.x.py")),
            ("m.pyc", Some("m.py")),
            ("a/__pycache__/.pyc", None),
            ("a/m.py", None),
        ] {
            let found = source_of(&TreePath::parse(pyc).unwrap());
            assert_eq!(found.as_ref().and_then(TreePath::as_str), source, "{pyc}");
        }
    }

    #[test]
    fn only_a_time_that_the_source_loses_is_changed() {
        let header = |flags: u8, time: u32| {
            [&[0xf3, 0x0d, b'\r', b'\n', flags, 0, 0, 0], &time.to_le_bytes()[..], &[9, 0, 0, 0]].concat()
        };
        let after = |mut header: Vec<u8>, source| {
            clamp(&mut header, source, 1000);
            u32::from_le_bytes([header[8], header[9], header[10], header[11]])
        };
        use SourceTime::{Clamped, Kept, Missing};
        for (flags, time, source, want) in [
            (0, 2000, Clamped(2000), 1000),
            (0, 1000, Clamped(1000), 1000),
            (0, 500, Clamped(500), 500),
            // Out of date: it must not come to look as if it were not.
            (0, 2000, Clamped(2001), 2000),
            (0, 500, Clamped(2000), 500),
            (0, 2000, Clamped(500), 2000),
            // A time in 2106 or later.
            (0, 7, Clamped((1 << 32) + 7), 1000),
            (0, 2000, Kept, 2000),
            (0, 2000, Missing, 1000),
            (0, 500, Missing, 500),
            // By the hash of the source, checked and not.
            (1, 2000, Missing, 2000),
            (3, 2000, Clamped(2000), 2000),
        ] {
            assert_eq!(after(header(flags, time), source), want, "{flags} {time} {source:?}");
        }
        // Not compiled by any Python 3.7 or later.
        assert_eq!(after(b"no pythonno python".to_vec(), Missing), u32::from_le_bytes(*b"nno "));
        clamp(&mut [0; 3], Missing, 0);
    }
}
