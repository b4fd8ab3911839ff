//! The compressions of indices and `.deb` members, told by their first bytes.

use std::io::{self, BufRead, BufReader, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, IGNORE_CHECK, Stream};

/// A decoder may take this much memory at most. `xz -9` needs 65 MiB, `zstd --long=27` 128.
pub(crate) const MEMORY_LIMIT: u64 = 160 << 20;
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// The .xz format.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Tells by the first bytes of a stream; six are enough.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// What the names of such files end in: `.xz`, or nothing.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// Tells by the end of a file name, such as `.xz`.
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.') {
            Some((_, "gz")) => Self::Gzip,
            Some((_, "xz")) => Self::Xz,
            Some((_, "zst")) => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A reader that may know a shorter way past bytes than reading them.
pub(crate) trait Skip: Read {
    /// Goes past `len` bytes, or to the end where there are fewer, and returns past how many.
    fn skip(&mut self, len: u64) -> io::Result<u64>;
}

impl Skip for Box<dyn Skip + '_> {
    fn skip(&mut self, len: u64) -> io::Result<u64> {
        (**self).skip(len)
    }
}

/// A reader that knows none.
pub(crate) struct Plain<R>(pub(crate) R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Skip for Plain<R> {
    fn skip(&mut self, len: u64) -> io::Result<u64> {
        io::copy(&mut self.0.by_ref().take(len), &mut io::sink())
    }
}

/// Decompresses `inner`, which is compressed in whichever way its first bytes say, streaming, in bounded memory. The length of
/// what comes out is not bounded: [`Read::take`] does that.
pub fn decompress<'a>(mut inner: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let compression = Compression::detect(inner.fill_buf()?);
    decompress_as(compression, inner)
}

/// Decompresses `inner`, which is compressed in a known way.
pub(crate) fn decompress_as<'a>(
    compression: Compression,
    inner: impl BufRead + 'a,
) -> io::Result<Box<dyn BufRead + 'a>> {
    fn buffered<'a>(reader: impl Read + 'a) -> Box<dyn BufRead + 'a> {
        Box::new(BufReader::with_capacity(128 * 1024, reader))
    }
    Ok(match compression {
        Compression::None => Box::new(inner),
        Compression::Gzip => buffered(flate2::bufread::MultiGzDecoder::new(inner)),
        Compression::Xz => buffered(xz(inner, CONCATENATED)?),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(inner)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            buffered(decoder)
        }
    })
}

/// Decompresses a stream of a file whose digest was checked: the sums in it say nothing new, and take a tenth of the time.
pub(crate) fn decompress_checked<'a>(
    compression: Compression,
    inner: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Xz => Box::new(xz(inner, CONCATENATED | IGNORE_CHECK)?),
        other => decompress_as(other, inner)?,
    })
}

fn xz<R: BufRead>(inner: R, flags: u32) -> io::Result<XzDecoder<R>> {
    Ok(XzDecoder::new_stream(inner, Stream::new_stream_decoder(MEMORY_LIMIT, flags)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_compression_is_told_and_read() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"hello").unwrap();
        for (bytes, compression) in [
            (b"hello".to_vec(), Compression::None),
            (gzip.finish().unwrap(), Compression::Gzip),
            (xz.finish().unwrap(), Compression::Xz),
            (zstd::encode_all(&b"hello"[..], 1).unwrap(), Compression::Zstd),
        ] {
            assert_eq!(Compression::detect(&bytes), compression);
            let mut text = String::new();
            decompress(&bytes[..]).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
            if compression != Compression::None {
                let cut = &bytes[..bytes.len() - 3];
                assert!(decompress(cut).and_then(|mut r| r.read_to_end(&mut Vec::new())).is_err(), "{compression:?}");
            }
        }
        assert_eq!(Compression::of_name("data.tar.zst"), Compression::Zstd);
        assert_eq!(Compression::of_name("data.tar"), Compression::None);
    }
}
