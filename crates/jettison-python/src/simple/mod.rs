//! Pages of a package index: the simple repository API, as JSON (PEP 691) and as HTML (PEP 503).
//!
//! 1. [`parse`] goes by the content type; [`parse_json`] and [`parse_html`] read one form each. URLs on a page may be relative, and are
//!    joined with the page's.
//! 2. [`choose`] finds the file of a page that a lock means: by name and hash, or by hash alone.

mod html;

use std::collections::{BTreeMap, BTreeSet};

use jettison_tree::Digest;
use pep440_rs::VersionSpecifiers;
use serde::Deserialize;
use url::Url;

use crate::direct::filename_of_url;
use crate::lock::{Artifact, Location};
use crate::name::NormalizedName;
use crate::requirements::FormatControl;
use crate::tags::Tags;

/// What to send as `Accept`, so that JSON comes where the index has it (PEP 691, "Version + Format Selection").
pub const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// A page with more files than this is an attack: the largest project of PyPI has some twenty thousand.
const MAX_FILES: usize = 500_000;

/// A file on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name.
    pub filename: String,
    /// Its URL, absolute, without a fragment.
    pub url: String,
    /// Its hashes: algorithm → hex, lower case.
    pub hashes: BTreeMap<String, String>,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// The Python versions that it supports; `None` too where the text makes no sense, as installers have it.
    pub requires_python: Option<VersionSpecifiers>,
    /// Why it was yanked; empty where no reason is given (PEP 592).
    pub yanked: Option<String>,
    /// Whether `<url>.metadata` is there (PEP 658, 714), and its SHA-256 where that is known.
    pub core_metadata: Option<Option<Digest>>,
}

impl IndexFile {
    /// Its SHA-256, where the page has it.
    pub fn sha256(&self) -> Option<Digest> {
        self.hashes.get("sha256").and_then(|hex| Digest::from_hex(hex).ok())
    }
}

/// A page makes no sense, or does not have what is looked for.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is not what its content type says.
    #[error("{url} is no page of a package index: {why}")]
    Malformed {
        /// The page.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// It speaks a later version of the protocol.
    #[error("{url} speaks version {version} of the simple API; only version 1 is known")]
    Version {
        /// The page.
        url: String,
        /// The version.
        version: String,
    },
    /// It is not there any more, or never was.
    #[error("the index has no file of {name} with the hash that the lock names{which}")]
    NotListed {
        /// The distribution.
        name: NormalizedName,
        /// The file, where the lock names one.
        which: String,
    },
    /// A file has another hash than the lock says.
    #[error("{filename} has another SHA-256 on the index than in the lock: {found}, not {wanted}")]
    Mismatch {
        /// The file.
        filename: String,
        /// The index's.
        found: Digest,
        /// The lock's.
        wanted: Digest,
    },
    /// None of the files fits the target.
    #[error("{name}: {why}")]
    NoArtifact {
        /// The distribution.
        name: NormalizedName,
        /// What there is, and what is wanted.
        why: String,
        /// What to do about it.
        hint: String,
    },
}

impl IndexError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some("is the index URL right? It usually ends in `/simple`".to_owned()),
            Self::NotListed { .. } => Some("lock again, or name the index that the lock was made with".to_owned()),
            Self::Mismatch { .. } => {
                Some("the file was replaced after it was locked: find out why before you lock again".to_owned())
            }
            Self::NoArtifact { hint, .. } => Some(hint.clone()),
            Self::Version { .. } => None,
        }
    }
}

/// The files on a page, by its content type.
pub fn parse(bytes: &[u8], content_type: &str, url: &str) -> Result<Vec<IndexFile>, IndexError> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || kind.ends_with("+json") { parse_json(bytes, url) } else { parse_html(bytes, url) }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Meta,
    #[serde(default)]
    files: Vec<RawFile>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Meta {
    api_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    size: Option<u64>,
    requires_python: Option<String>,
    yanked: Option<Flag>,
    core_metadata: Option<HashesOrFlag>,
    dist_info_metadata: Option<HashesOrFlag>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Is(bool),
    Because(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HashesOrFlag {
    Is(bool),
    Hashes(BTreeMap<String, String>),
}

/// The files on a JSON page (PEP 691).
pub fn parse_json(bytes: &[u8], url: &str) -> Result<Vec<IndexFile>, IndexError> {
    let base = base_url(url)?;
    let page: Page = serde_json::from_slice(bytes).map_err(|e| malformed(url, e))?;
    check_version(url, &page.meta.api_version)?;
    check_count(url, page.files.len())?;
    let file = |raw: RawFile| {
        let (file_url, fragment) =
            join(&base, &raw.url).ok_or_else(|| malformed(url, format!("`{}` is no URL", raw.url)))?;
        let metadata = raw.core_metadata.or(raw.dist_info_metadata).and_then(|metadata| match metadata {
            HashesOrFlag::Is(is_there) => is_there.then_some(None),
            HashesOrFlag::Hashes(hashes) => Some(hashes.get("sha256").and_then(|hex| Digest::from_hex(hex).ok())),
        });
        let mut hashes: BTreeMap<_, _> =
            raw.hashes.into_iter().map(|(key, hex)| (key, hex.to_ascii_lowercase())).collect();
        if hashes.is_empty() {
            hashes.extend(hash_of_fragment(&fragment));
        }
        Ok(IndexFile {
            filename: raw.filename,
            url: file_url,
            hashes,
            size: raw.size,
            requires_python: raw.requires_python.and_then(|text| text.parse().ok()),
            yanked: raw.yanked.and_then(|yanked| match yanked {
                Flag::Is(is_yanked) => is_yanked.then(String::new),
                Flag::Because(reason) => Some(reason),
            }),
            core_metadata: metadata,
        })
    };
    page.files.into_iter().map(file).collect()
}

/// The files on an HTML page (PEP 503): its anchors, wherever they stand.
pub fn parse_html(bytes: &[u8], url: &str) -> Result<Vec<IndexFile>, IndexError> {
    let text = String::from_utf8_lossy(bytes);
    let mut base = base_url(url)?;
    let mut files = Vec::new();
    for tag in html::tags(&text) {
        match tag.name.as_str() {
            "meta" if tag.get("name") == Some("pypi:repository-version") => {
                check_version(url, tag.get("content").unwrap_or_default())?;
            }
            "base" => base = tag.get("href").and_then(|href| base.join(href).ok()).unwrap_or(base),
            "a" => {
                let Some((file_url, fragment)) = tag.get("href").and_then(|href| join(&base, href)) else { continue };
                let Some(filename) = filename_of_url(&file_url) else { continue };
                let metadata = tag.get("data-core-metadata").or_else(|| tag.get("data-dist-info-metadata"));
                files.push(IndexFile {
                    filename,
                    url: file_url,
                    hashes: hash_of_fragment(&fragment).into_iter().collect(),
                    size: None,
                    requires_python: tag.get("data-requires-python").and_then(|text| text.parse().ok()),
                    yanked: tag.get("data-yanked").map(str::to_owned),
                    core_metadata: metadata
                        .filter(|value| *value != "false")
                        .map(|value| value.strip_prefix("sha256=").and_then(|hex| Digest::from_hex(hex).ok())),
                });
                check_count(url, files.len())?;
            }
            _ => {}
        }
    }
    if files.is_empty() && !text.to_ascii_lowercase().contains("<html") && !text.trim().is_empty() {
        return Err(malformed(url, "there is no HTML in it"));
    }
    Ok(files)
}

/// What a lock says of a distribution whose URL it does not know.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// This file.
    File(&'a Artifact),
    /// The best of the files with these hashes.
    Listed(&'a BTreeSet<Digest>),
}

/// The file of a page that a lock means, with its URL: of a [`Wanted::Listed`], the wheel that fits the target best, else the source
/// distribution. A yanked file that is locked is taken, as PEP 592 has it.
pub fn choose(
    files: &[IndexFile],
    name: &NormalizedName,
    wanted: Wanted<'_>,
    tags: &Tags,
    no_binary: &FormatControl,
    only_binary: &FormatControl,
) -> Result<Artifact, IndexError> {
    let artifact = |file: &IndexFile, sha256: Digest| Artifact {
        filename: file.filename.clone(),
        location: Location::Url(file.url.clone()),
        sha256,
        hashes: [("sha256".to_owned(), sha256.hex())].into_iter().collect(),
        size: file.size,
    };
    match wanted {
        Wanted::File(wanted) => {
            let mut named = files.iter().filter(|file| file.filename == wanted.filename);
            let not_listed = || IndexError::NotListed { name: name.clone(), which: format!(": {}", wanted.filename) };
            let file = named.next().ok_or_else(not_listed)?;
            match file.sha256() {
                Some(found) if found != wanted.sha256 => {
                    let (filename, wanted) = (wanted.filename.clone(), wanted.sha256);
                    Err(IndexError::Mismatch { filename, found, wanted })
                }
                // Without a hash on the page the download is checked against the lock's.
                _ => Ok(artifact(file, wanted.sha256)),
            }
        }
        Wanted::Listed(hashes) => {
            let listed = files
                .iter()
                .filter_map(|file| file.sha256().filter(|sha256| hashes.contains(sha256)).map(|sha256| (file, sha256)));
            let candidates: Vec<Artifact> = listed.map(|(file, sha256)| artifact(file, sha256)).collect();
            if candidates.is_empty() {
                return Err(IndexError::NotListed { name: name.clone(), which: String::new() });
            }
            let chosen = crate::lock::choose(&candidates, name, tags, no_binary, only_binary);
            let chosen = chosen.map_err(|(why, hint)| IndexError::NoArtifact { name: name.clone(), why, hint })?;
            Ok(candidates[chosen].clone())
        }
    }
}

fn malformed(url: &str, why: impl ToString) -> IndexError {
    IndexError::Malformed { url: url.to_owned(), why: why.to_string() }
}

fn base_url(url: &str) -> Result<Url, IndexError> {
    Url::parse(url).map_err(|e| malformed(url, e))
}

fn check_version(url: &str, version: &str) -> Result<(), IndexError> {
    match version.split('.').next() {
        Some("" | "1") | None => Ok(()),
        Some(_) => Err(IndexError::Version { url: url.to_owned(), version: version.to_owned() }),
    }
}

fn check_count(url: &str, count: usize) -> Result<(), IndexError> {
    if count > MAX_FILES { Err(malformed(url, format!("it lists more than {MAX_FILES} files"))) } else { Ok(()) }
}

/// `href` joined with the page's URL, and its fragment.
fn join(base: &Url, href: &str) -> Option<(String, String)> {
    let mut url = base.join(href.trim()).ok()?;
    let fragment = url.fragment().unwrap_or_default().to_owned();
    url.set_fragment(None);
    Some((url.into(), fragment))
}

fn hash_of_fragment(fragment: &str) -> Option<(String, String)> {
    let known = ["sha256", "sha384", "sha512", "md5", "sha1", "sha224", "blake2b"];
    let (algorithm, hex) =
        fragment.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| known.contains(key)))?;
    Some((algorithm.to_owned(), hex.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::{Arch, Libc, Target};

    const PAGE: &str = "https://h/simple/a/";

    #[test]
    fn json_pages() {
        let hex = "AB".repeat(32);
        let json = format!(
            r#"{{"meta":{{"api-version":"1.1"}},"name":"a","files":[
            {{"filename":"a-1-py3-none-any.whl","url":"../../files/a-1-py3-none-any.whl","hashes":{{"sha256":"{hex}"}},
              "requires-python":">=3.8","size":12,"yanked":false,"core-metadata":{{"sha256":"{hex}"}},"upload-time":"x"}},
            {{"filename":"a-1.tar.gz","url":"https://f/a-1.tar.gz#sha256={hex}","hashes":{{}},"yanked":"broken","dist-info-metadata":true,
              "requires-python":">=3.*.x"}}]}}"#
        );
        let files = parse(json.as_bytes(), "application/vnd.pypi.simple.v1+json; charset=utf-8", PAGE).unwrap();
        assert_eq!(files[0].url, "https://h/files/a-1-py3-none-any.whl");
        assert_eq!((files[0].size, files[0].yanked.as_deref()), (Some(12), None));
        assert_eq!(files[0].core_metadata, Some(files[0].sha256()));
        assert_eq!(files[1].url, "https://f/a-1.tar.gz");
        assert_eq!((files[1].yanked.as_deref(), files[1].core_metadata), (Some("broken"), Some(None)));
        assert!(files[1].sha256().is_some() && files[1].requires_python.is_none());
    }

    #[test]
    fn html_pages() {
        let hex = "ab".repeat(32);
        let html = format!(
            "<!DOCTYPE html><html><head><meta name=\"pypi:repository-version\" content=\"1.0\"><base href='/files/'></head>\
             <!-- <a href=\"no-1.tar.gz\">no</a> --><BODY>\
             <A HREF=\"a-1-py3-none-any.whl#sha256={hex}\" data-requires-python=\"&gt;=3.8\" data-core-metadata=\"sha256={hex}\">a</A><br/>\n\
             <a data-yanked href=b%2B1.tar.gz?x=1&amp;y=2>b</a><a name=top>x</a>"
        );
        let files = parse(html.as_bytes(), "text/html", PAGE).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].url, "https://h/files/a-1-py3-none-any.whl");
        assert_eq!(files[0].requires_python.as_ref().unwrap().to_string(), ">=3.8");
        assert_eq!(files[0].core_metadata, Some(files[0].sha256()));
        assert_eq!((files[1].filename.as_str(), files[1].yanked.as_deref()), ("b+1.tar.gz", Some("")));
        assert_eq!(files[1].url, "https://h/files/b%2B1.tar.gz?x=1&y=2");
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (text, kind) in [("not found", "text/html"), ("<html>", "application/json"), ("{", "application/json")] {
            assert!(parse(text.as_bytes(), kind, PAGE).is_err(), "{text}");
        }
        let later = parse(br#"{"meta":{"api-version":"2.0"},"files":[]}"#, "application/json", PAGE).unwrap_err();
        assert!(matches!(later, IndexError::Version { .. }));
        for hostile in [
            "<a ====>",
            "<a href",
            "<a href='",
            "<a x",
            "<",
            "<a /",
            "<!--",
            "&#xffffffff;",
            "<a é=é",
            "<a href=\"&amp\">",
        ] {
            let _ = parse(hostile.as_bytes(), "text/html", PAGE);
        }
    }

    #[test]
    fn a_lock_names_files_or_hashes() {
        let digest = |byte: u8| Digest::from_bytes([byte; 32]);
        let file = |filename: &str, byte: u8| IndexFile {
            filename: filename.to_owned(),
            url: format!("https://h/{filename}"),
            hashes: [("sha256".to_owned(), digest(byte).hex())].into_iter().collect(),
            size: None,
            requires_python: None,
            yanked: None,
            core_metadata: None,
        };
        let files = [
            file("a-1.tar.gz", 1),
            file("a-1-cp313-cp313-win_amd64.whl", 2),
            file("a-1-py3-none-any.whl", 3),
            file("a-2-py3-none-any.whl", 4),
        ];
        let tags = Tags::for_target(&Target::new(
            "3.13.5".parse().unwrap(),
            Arch::X86_64,
            Libc::Glibc { major: 2, minor: 41 },
        ));
        let name = NormalizedName::parse("a").unwrap();
        let none = FormatControl::default();
        let listed = |bytes: &[u8], no_binary: &FormatControl| {
            let hashes: BTreeSet<Digest> = bytes.iter().copied().map(digest).collect();
            choose(&files, &name, Wanted::Listed(&hashes), &tags, no_binary, &none).map(|artifact| artifact.filename)
        };
        assert_eq!(listed(&[1, 2, 3], &none).unwrap(), "a-1-py3-none-any.whl");
        assert_eq!(listed(&[1, 2], &none).unwrap(), "a-1.tar.gz");
        assert_eq!(listed(&[1, 3], &FormatControl { all: true, ..none.clone() }).unwrap(), "a-1.tar.gz");
        assert!(matches!(listed(&[2], &none), Err(IndexError::NoArtifact { .. })));
        assert!(matches!(listed(&[9], &none), Err(IndexError::NotListed { .. })));
        let artifact = |byte| Artifact {
            filename: "a-1.tar.gz".to_owned(),
            location: Location::Index,
            sha256: digest(byte),
            hashes: BTreeMap::new(),
            size: None,
        };
        let by_name = |byte| choose(&files, &name, Wanted::File(&artifact(byte)), &tags, &none, &none);
        assert_eq!(by_name(1).unwrap().location, Location::Url("https://h/a-1.tar.gz".to_owned()));
        assert!(matches!(by_name(2), Err(IndexError::Mismatch { .. })));
    }
}
