//! Blob → tar → members.

use std::io::{self, BufReader, Chain, Cursor, Read};

use super::tar_reader::TarReader;
use crate::types::BlobCompression;

/// The tar in a layer's blob.
pub type LayerReader<R> = TarReader<Unpacker<R>>;

/// Reads a layer; how it is packed is seen from its first bytes, not believed. Memory is bounded whatever the blob holds.
pub fn read_layer<R: Read>(blob: R) -> io::Result<LayerReader<R>> {
    Ok(TarReader::new(Unpacker::new(blob)?))
}

type Sniffed<R> = Chain<Cursor<Vec<u8>>, R>;

/// Unpacks gzip of any number of members (eStargz is such), Zstandard of any number of frames (zstd:chunked is such), or
/// passes plain bytes on.
pub struct Unpacker<R: Read>(Kind<R>);

enum Kind<R: Read> {
    Plain(Sniffed<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<Sniffed<R>>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Sniffed<R>>>>),
}

impl<R: Read> Unpacker<R> {
    /// Looks at the first bytes of `packed`. xz and bzip2, which no registry holds, are an error by name.
    pub fn new(mut packed: R) -> io::Result<Self> {
        let mut start = Vec::with_capacity(6);
        packed.by_ref().take(6).read_to_end(&mut start)?;
        let compression = match start[..] {
            [0x1f, 0x8b, ..] => BlobCompression::Gzip,
            // A frame, or one that is skipped (RFC 8878 section 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => BlobCompression::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0] => return Err(unsupported("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41] => return Err(unsupported("bzip2")),
            _ => BlobCompression::None,
        };
        let whole = Cursor::new(start).chain(packed);
        let buffered = |whole| BufReader::with_capacity(64 * 1024, whole);
        Ok(Self(match compression {
            BlobCompression::None => Kind::Plain(whole),
            BlobCompression::Gzip => Kind::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole)))),
            // The decoder refuses windows above 128 MiB by itself.
            BlobCompression::Zstd => Kind::Zstd(Box::new(zstd::Decoder::with_buffer(buffered(whole))?)),
        }))
    }

    /// How the bytes are packed.
    pub fn compression(&self) -> BlobCompression {
        match self.0 {
            Kind::Plain(_) => BlobCompression::None,
            Kind::Gzip(_) => BlobCompression::Gzip,
            Kind::Zstd(_) => BlobCompression::Zstd,
        }
    }

    /// Reads what follows the packed bytes in the blob, so that a reader below sees all of it.
    pub fn drain_packed(self) -> io::Result<u64> {
        match self.0 {
            Kind::Plain(mut rest) => io::copy(&mut rest, &mut io::sink()),
            Kind::Gzip(decoder) => io::copy(&mut decoder.into_inner(), &mut io::sink()),
            Kind::Zstd(decoder) => io::copy(&mut decoder.finish(), &mut io::sink()),
        }
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(reader) => reader.read(buffer),
            Kind::Gzip(reader) => reader.read(buffer),
            Kind::Zstd(reader) => reader.read(buffer),
        }
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("the layer is packed with {what}; layers are gzip, zstd or plain tars"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_first_bytes_tell_how_it_is_packed() {
        let skippable =
            [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd::encode_all(&b"abc"[..], 1).unwrap()].concat();
        let frames = [zstd::encode_all(&b"ab"[..], 1).unwrap(), zstd::encode_all(&b"c"[..], 1).unwrap()].concat();
        for (packed, compression) in [
            (b"abc".to_vec(), BlobCompression::None),
            ([gzip(b"ab"), gzip(b"c"), gzip(b"")].concat(), BlobCompression::Gzip),
            (frames, BlobCompression::Zstd),
            (skippable, BlobCompression::Zstd),
        ] {
            let mut unpacker = Unpacker::new(&packed[..]).unwrap();
            assert_eq!(unpacker.compression(), compression);
            let mut bytes = Vec::new();
            unpacker.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, b"abc");
        }
        let mut empty = Vec::new();
        assert_eq!(Unpacker::new(&b""[..]).unwrap().read_to_end(&mut empty).unwrap(), 0);
        assert!(Unpacker::new(&b"\xfd7zXZ\0"[..]).is_err());
        let whole = gzip(b"abc");
        let mut cut = Unpacker::new(&whole[..15]).unwrap();
        assert!(cut.read_to_end(&mut Vec::new()).is_err());
    }
}
