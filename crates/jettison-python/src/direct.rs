//! Direct references: a distribution named by where it lies instead of by a version (PEP 440, "Direct references"; pip's
//! "VCS Support"; PEP 610 for the record that an installation keeps of it).

use std::fmt;

use serde_json::{Map, Value, json};

/// Where a directly referenced distribution lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DirectReference {
    /// A wheel or sdist behind a URL.
    Archive {
        /// The URL, without its fragment.
        url: String,
        /// The directory in the archive that holds the project.
        subdirectory: Option<String>,
        /// `algorithm=hex` from the fragment.
        hash: Option<(String, String)>,
    },
    /// A repository.
    Vcs(Vcs),
    /// A file or directory; relative paths are as they were written.
    Path {
        /// The path.
        path: String,
        /// The directory below it that holds the project.
        subdirectory: Option<String>,
    },
}

/// A version-controlled source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vcs {
    /// `git`, `hg`, `svn` or `bzr`.
    pub kind: String,
    /// The repository's URL, without the `git+`, revision and fragment.
    pub url: String,
    /// What was asked for: branch, tag or commit.
    pub revision: Option<String>,
    /// The directory that holds the project.
    pub subdirectory: Option<String>,
}

/// The version control systems that pip knows.
const VCS_KINDS: [&str; 4] = ["git", "hg", "svn", "bzr"];

impl DirectReference {
    /// Parses a URL or path, and the name in its `#egg=` with any extras behind it. `None` where a `git+` form has no URL.
    pub fn parse(text: &str) -> Option<(Self, Option<String>)> {
        let (base, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut egg = None;
        let mut subdirectory = None;
        let mut hash = None;
        for pair in fragment.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("egg", name)) => egg = Some(percent_decode(name)),
                Some(("subdirectory", path)) => subdirectory = Some(percent_decode(path)),
                Some((algorithm @ ("sha256" | "sha384" | "sha512" | "sha1" | "md5"), hex)) => {
                    hash = Some((algorithm.to_owned(), hex.to_owned()));
                }
                _ => {}
            }
        }
        let vcs = base.split_once('+').filter(|(kind, rest)| VCS_KINDS.contains(kind) && rest.contains(':'));
        let reference = if let Some((kind, rest)) = vcs {
            let (url, revision) = split_revision(rest);
            if url.is_empty() {
                return None;
            }
            Self::Vcs(Vcs { kind: kind.to_owned(), url: url.to_owned(), revision, subdirectory })
        } else if let Some(rest) = base.strip_prefix("file:") {
            let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
            Self::Path { path: percent_decode(path), subdirectory }
        } else if base.contains("://") {
            Self::Archive { url: base.to_owned(), subdirectory, hash }
        } else {
            Self::Path { path: base.to_owned(), subdirectory }
        };
        Some((reference, egg))
    }

    /// The last component of the URL or path, percent-decoded: a wheel's or sdist's file name.
    pub fn filename(&self) -> Option<String> {
        match self {
            Self::Archive { url, .. } => filename_of_url(url),
            Self::Path { path, .. } => path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned),
            Self::Vcs(_) => None,
        }
    }
}

/// The reference as a URL or path, its fragment included.
impl fmt::Display for DirectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subdirectory, hash) = match self {
            Self::Archive { url, subdirectory, hash } => {
                f.write_str(url)?;
                (subdirectory, hash.as_ref())
            }
            Self::Vcs(vcs) => {
                write!(f, "{}+{}", vcs.kind, vcs.url)?;
                if let Some(revision) = &vcs.revision {
                    write!(f, "@{revision}")?;
                }
                (&vcs.subdirectory, None)
            }
            Self::Path { path, subdirectory } if path.starts_with('/') => {
                write!(f, "file://{path}")?;
                (subdirectory, None)
            }
            Self::Path { path, subdirectory } => {
                f.write_str(path)?;
                (subdirectory, None)
            }
        };
        if let Some((algorithm, hex)) = hash {
            write!(f, "#{algorithm}={hex}")?;
        }
        match subdirectory {
            Some(path) => write!(f, "{}subdirectory={path}", if hash.is_some() { '&' } else { '#' }),
            None => Ok(()),
        }
    }
}

/// The file name at the end of a URL, without query and fragment.
pub(crate) fn filename_of_url(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(percent_decode(name))
}

/// Splits `url@revision`; an `@` before the host, as in `git@github.com`, is part of the URL.
fn split_revision(rest: &str) -> (&str, Option<String>) {
    let authority_end =
        rest.find("://").map_or(0, |at| rest[at + 3..].find('/').map_or(rest.len(), |end| at + 3 + end));
    match rest[authority_end..].rfind('@') {
        Some(at) if authority_end > 0 => {
            let revision = &rest[authority_end + at + 1..];
            (&rest[..authority_end + at], (!revision.is_empty()).then(|| percent_decode(revision)))
        }
        _ => (rest, None),
    }
}

/// Resolves `%XX`; what is not an escape, and what would not be UTF-8, stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|hex| *first == b'%' && hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(hex) => {
                bytes.extend(u8::from_str_radix(hex, 16));
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// `url` without user name and password, as PEP 610 wants it recorded; `git` as the user of an ssh URL stays.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) if !(scheme.ends_with("ssh") && &rest[..at] == "git") => format!("{scheme}://{}", &rest[at + 1..]),
        _ => url.to_owned(),
    }
}

/// The content of `direct_url.json` for an archive (PEP 610): `hashes` are algorithm and hex.
pub fn archive_direct_url<'a>(
    url: &str,
    hashes: impl IntoIterator<Item = (&'a str, &'a str)>,
    subdirectory: Option<&str>,
) -> Value {
    let hashes: Map<String, Value> = hashes.into_iter().map(|(key, hex)| (key.to_owned(), hex.into())).collect();
    let mut record = json!({ "url": without_credentials(url), "archive_info": { "hashes": hashes } });
    if let Some(subdirectory) = subdirectory {
        record["subdirectory"] = subdirectory.into();
    }
    record
}

/// The content of `direct_url.json` for a repository at a commit (PEP 610).
pub fn vcs_direct_url(
    kind: &str,
    url: &str,
    requested: Option<&str>,
    commit: &str,
    subdirectory: Option<&str>,
) -> Value {
    let mut info = json!({ "vcs": kind });
    if let Some(requested) = requested {
        info["requested_revision"] = requested.into();
    }
    info["commit_id"] = commit.into();
    let mut record = json!({ "url": without_credentials(url), "vcs_info": info });
    if let Some(subdirectory) = subdirectory {
        record["subdirectory"] = subdirectory.into();
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart() {
        let vcs = |url: &str, revision: Option<&str>, subdirectory: Option<&str>| {
            DirectReference::Vcs(Vcs {
                kind: "git".to_owned(),
                url: url.to_owned(),
                revision: revision.map(str::to_owned),
                subdirectory: subdirectory.map(str::to_owned),
            })
        };
        let path = |path: &str| DirectReference::Path { path: path.to_owned(), subdirectory: None };
        let cases = [
            (
                "git+https://github.com/a/b.git@v1.0#egg=b&subdirectory=py",
                vcs("https://github.com/a/b.git", Some("v1.0"), Some("py")),
                Some("b"),
            ),
            ("git+ssh://git@github.com/a/b", vcs("ssh://git@github.com/a/b", None, None), None),
            ("git+https://u:p@h/a@feature/x", vcs("https://u:p@h/a", Some("feature/x"), None), None),
            (
                "https://h/a%2B1-py3-none-any.whl#sha256=00ff",
                DirectReference::Archive {
                    url: "https://h/a%2B1-py3-none-any.whl".to_owned(),
                    subdirectory: None,
                    hash: Some(("sha256".to_owned(), "00ff".to_owned())),
                },
                None,
            ),
            ("file:///srv/my%20dir", path("/srv/my dir"), None),
            ("file:../x", path("../x"), None),
            ("./libs/a", path("./libs/a"), None),
        ];
        for (text, reference, egg) in cases {
            assert_eq!(DirectReference::parse(text), Some((reference, egg.map(str::to_owned))), "{text}");
        }
        let (wheel, _) = DirectReference::parse("https://h/a%2B1-py3-none-any.whl?x=/y").unwrap();
        assert_eq!(wheel.filename().as_deref(), Some("a+1-py3-none-any.whl"));
    }

    #[test]
    fn records_hold_no_credentials() {
        let record = archive_direct_url("https://user:secret@h/a.whl", [("sha256", "00")], None);
        assert_eq!(record.to_string(), r#"{"url":"https://h/a.whl","archive_info":{"hashes":{"sha256":"00"}}}"#);
        let record = vcs_direct_url("git", "ssh://git@h/a", Some("main"), "abc", Some("py"));
        let expected = r#"{"url":"ssh://git@h/a","vcs_info":{"vcs":"git","requested_revision":"main","commit_id":"abc"},"subdirectory":"py"}"#;
        assert_eq!(record.to_string(), expected);
    }
}
