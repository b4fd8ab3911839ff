//! `RECORD`: every file of a wheel with its hash and size (recording installed projects; binary distribution format, "The
//! .dist-info directory"). The rows are CSV as Python writes and reads it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jettison_tree::Digest;
use sha2::Digest as _;

use super::error::Fault;

/// Tools disagree about padding; the specification has none.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The rows of a wheel's `RECORD`, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub rows: BTreeMap<String, Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub hash: Option<Hash>,
    pub size: Option<u64>,
}

/// A hash that a wheel may use: SHA-256 or better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256(Digest),
    Sha384(Vec<u8>),
    Sha512(Vec<u8>),
}

impl Hash {
    fn parse(text: &str) -> Result<Self, String> {
        let (algorithm, value) = text.split_once('=').ok_or("the hash is not `algorithm=value`")?;
        let bytes = BASE64.decode(value).map_err(|_| "the hash is not URL-safe base64")?;
        let hash = match algorithm.to_ascii_lowercase().as_str() {
            "sha256" => <[u8; 32]>::try_from(bytes).ok().map(|bytes| Self::Sha256(Digest::from_bytes(bytes))),
            "sha384" => Some(Self::Sha384(bytes)).filter(|hash| matches!(hash, Self::Sha384(b) if b.len() == 48)),
            "sha512" => Some(Self::Sha512(bytes)).filter(|hash| matches!(hash, Self::Sha512(b) if b.len() == 64)),
            weak @ ("md5" | "sha1" | "sha224") => {
                return Err(format!("{weak} is too weak: RECORD needs SHA-256 or better"));
            }
            _ => return Err("the hash algorithm is not known".to_owned()),
        };
        hash.ok_or_else(|| "the hash is not as long as its algorithm makes it".to_owned())
    }
}

impl Row {
    /// Checks content whose SHA-256 is already known; `more` computes another hash of the same content where the wheel
    /// uses one.
    pub(super) fn check(
        &self,
        member: &str,
        digest: Digest,
        len: u64,
        more: impl FnOnce(&mut OtherHash),
    ) -> Result<(), Fault> {
        let mismatch = |what| Fault::Mismatch { member: member.to_owned(), what };
        if self.size.is_some_and(|size| size != len) {
            return Err(mismatch("size"));
        }
        let same = match &self.hash {
            Some(Hash::Sha256(expected)) => *expected == digest,
            Some(hash) => {
                let mut other = OtherHash::for_hash(hash);
                more(&mut other);
                other.matches(hash)
            }
            None => return Err(Fault::DistInfo { file: "RECORD".to_owned(), why: format!("`{member}` has no hash") }),
        };
        if same { Ok(()) } else { Err(mismatch("hash")) }
    }
}

/// Computes SHA-384 or SHA-512.
pub(super) enum OtherHash {
    None,
    Sha384(Box<sha2::Sha384>),
    Sha512(Box<sha2::Sha512>),
}

impl OtherHash {
    pub(super) fn for_hash(hash: &Hash) -> Self {
        match hash {
            Hash::Sha256(_) => Self::None,
            Hash::Sha384(_) => Self::Sha384(Box::default()),
            Hash::Sha512(_) => Self::Sha512(Box::default()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Sha384(sha) => sha.update(bytes),
            Self::Sha512(sha) => sha.update(bytes),
        }
    }

    fn matches(self, expected: &Hash) -> bool {
        match (self, expected) {
            (Self::Sha384(sha), Hash::Sha384(bytes)) => sha.finalize()[..] == bytes[..],
            (Self::Sha512(sha), Hash::Sha512(bytes)) => sha.finalize()[..] == bytes[..],
            _ => false,
        }
    }
}

impl Record {
    /// Parses the file. Rows of directories, which some tools write, say nothing; a path that is there twice with
    /// two hashes is an error.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut record = Self::default();
        let mut rest = text.trim_start_matches('\u{feff}');
        let mut line = 1;
        while !rest.is_empty() {
            let error = |why: &str| Fault::Line { file: "RECORD", line, why: why.to_owned() };
            let (fields, after) = row(rest).map_err(error)?;
            let lines = rest[..rest.len() - after.len()].matches('\n').count();
            rest = after;
            if fields.iter().all(String::is_empty) {
                line += lines;
                continue;
            }
            let mut fields = fields.into_iter();
            let (path, hash, size) = (fields.next(), fields.next(), fields.next());
            let (Some(path), Some(hash), Some(size)) = (path, hash, size) else {
                return Err(error("a row needs a path, a hash and a size"));
            };
            let hash = if hash.is_empty() { None } else { Some(Hash::parse(&hash).map_err(|why| error(&why))?) };
            let size = match size.as_str() {
                "" => None,
                digits => Some(digits.parse().map_err(|_| error("the size is not a number"))?),
            };
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            let row = Row { hash, size };
            if !path.ends_with('/') && record.rows.insert(path, row.clone()).is_some_and(|old| old != row) {
                return Err(error("the path is there twice"));
            }
            line += lines;
        }
        Ok(record)
    }
}

/// The fields of the first row, and what follows it.
fn row(text: &str) -> Result<(Vec<String>, &str), &'static str> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let end = rest.find('"').ok_or("a quote is not closed")?;
                field.push_str(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix('"') {
                    Some(after) => rest = after,
                    None => break,
                }
                field.push('"');
            }
        } else {
            let end = rest.find([',', '\n', '\r']).unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(field);
        if let Some(next) = rest.strip_prefix(',') {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("\r\n").or(rest.strip_prefix(['\n', '\r'])) {
            return Ok((fields, next));
        } else if rest.is_empty() {
            return Ok((fields, rest));
        } else {
            return Err("text follows a closing quote");
        }
    }
}

/// The `RECORD` of an installation, in the making.
#[derive(Debug, Default)]
pub(super) struct NewRecord {
    rows: BTreeMap<String, (Digest, u64)>,
}

impl NewRecord {
    /// False if the path is there already.
    pub(super) fn add(&mut self, path: String, digest: Digest, len: u64) -> bool {
        self.rows.insert(path, (digest, len)).is_none()
    }

    /// The text, sorted by path. The row of `RECORD` itself, at `own`, has no hash.
    pub(super) fn finish(mut self, own: String) -> String {
        self.rows.insert(own.clone(), (Digest::from_bytes([0; 32]), 0));
        let mut text = String::new();
        for (path, (digest, len)) in &self.rows {
            if path.contains([',', '"', '\n', '\r']) {
                text.push_str(&format!("\"{}\"", path.replace('"', "\"\"")));
            } else {
                text.push_str(path);
            }
            if *path == own {
                text.push_str(",,\n");
            } else {
                text.push_str(&format!(",sha256={},{len}\n", BASE64.encode(digest.as_bytes())));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn rows_are_csv() {
        let text =
            format!("\u{feff}\"a,\"\"b\"\".py\",sha256={EMPTY},0\r\n./c.py,sha256={EMPTY}=,\n\nd/,,\n\"RECORD\",,");
        let record = Record::parse(&text).unwrap();
        assert_eq!(record.rows.keys().collect::<Vec<_>>(), ["RECORD", "a,\"b\".py", "c.py"]);
        assert_eq!(record.rows["c.py"], Row { hash: Some(Hash::Sha256(Digest::of(b""))), size: None });
    }

    #[test]
    fn broken_rows_are_refused_with_their_line() {
        for (text, why) in [
            ("a,sha256=x".to_owned(), "RECORD:1: a row needs a path, a hash and a size"),
            ("\"a\n,,".to_owned(), "RECORD:1: a quote is not closed"),
            ("\"a\nb\",,\n\"a\"b,,".to_owned(), "RECORD:3: text follows a closing quote"),
            ("a,md5=AAAA,1".to_owned(), "RECORD:1: md5 is too weak: RECORD needs SHA-256 or better"),
            ("\na,sha256=AAAA,1".to_owned(), "RECORD:2: the hash is not as long as its algorithm makes it"),
            ("a,sha256,1".to_owned(), "RECORD:1: the hash is not `algorithm=value`"),
            ("a,sha256=?,1".to_owned(), "RECORD:1: the hash is not URL-safe base64"),
            ("a,crc=AAAA,1".to_owned(), "RECORD:1: the hash algorithm is not known"),
            ("a,,x".to_owned(), "RECORD:1: the size is not a number"),
            (format!("a,sha256={EMPTY},1\na,,1"), "RECORD:2: the path is there twice"),
        ] {
            assert_eq!(Record::parse(&text).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn every_allowed_hash_is_checked() {
        let sha512 = BASE64.encode(sha2::Sha512::digest(b"x"));
        let sha384 = BASE64.encode(sha2::Sha384::digest(b"x"));
        let record = Record::parse(&format!("a,sha512={sha512},1\nb,sha384={sha384},\nc,,")).unwrap();
        let check = |path: &str, bytes: &[u8]| {
            record.rows[path].check(path, Digest::of(bytes), bytes.len() as u64, |other| other.update(bytes))
        };
        assert!(check("a", b"x").is_ok() && check("b", b"x").is_ok());
        assert_eq!(check("a", b"xy").unwrap_err().to_string(), "the size of `a` is not what RECORD says");
        assert_eq!(check("b", b"y").unwrap_err().to_string(), "the hash of `b` is not what RECORD says");
        assert_eq!(check("c", b"y").unwrap_err().to_string(), "RECORD: `c` has no hash");
    }

    #[test]
    fn a_new_record_is_sorted_and_quoted() {
        let mut record = NewRecord::default();
        for path in ["b.py", "a,b.py", "../bin/x"] {
            record.add(path.to_owned(), Digest::of(b""), 0);
        }
        let empty = format!("sha256={EMPTY},0");
        let text = record.finish("a.dist-info/RECORD".to_owned());
        assert_eq!(text, format!("../bin/x,{empty}\n\"a,b.py\",{empty}\na.dist-info/RECORD,,\nb.py,{empty}\n"));
    }
}
