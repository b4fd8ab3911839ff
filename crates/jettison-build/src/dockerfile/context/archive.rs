//! Archives: how they are packed, told by their first bytes, and a tar as a tree.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use jettison_oci::layer::Unpacker;

/// `xz -9` needs 65 MiB; no archive may take more than this. Bytes.
const XZ_MEMORY: u64 = 160 << 20;

/// Decompresses gzip, bzip2, xz and zstd, streaming, in bounded memory; anything else passes as it is.
pub fn decompress<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let unpacked: Box<dyn Read> = match packed.fill_buf()? {
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(MultiBzDecoder::new(packed)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        _ => Box::new(Unpacker::new(packed)?),
    };
    Ok(Box::new(BufReader::with_capacity(128 * 1024, unpacked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn every_packing_is_told_by_its_bytes() {
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(b"hello").unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"hello").unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        for packed in [
            b"hello".to_vec(),
            bzip2.finish().unwrap(),
            xz.finish().unwrap(),
            gzip.finish().unwrap(),
            zstd::encode_all(&b"hello"[..], 1).unwrap(),
        ] {
            let mut text = String::new();
            decompress(&packed[..]).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
            let cut = &packed[..packed.len() - 2];
            let read = decompress(cut).and_then(|mut reader| reader.read_to_end(&mut Vec::new()));
            assert!(packed.len() == 5 || read.is_err());
        }
        assert_eq!(decompress(&b""[..]).unwrap().read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
