//! Names of images: `ghcr.io/owner/app:1.0@sha256:…`, and Docker Hub's short ones.

use std::fmt;
use std::str::FromStr;

use jettison_endpoints::{DEFAULT_NAMESPACE, DEFAULT_REGISTRY};
use jettison_tree::Digest;

use crate::endpoints::{DEFAULT_TAG, canonical};

/// A tag is no longer than this (distribution-spec, "Pulling manifests").
const TAG_LIMIT: usize = 128;
/// Registry and repository together are no longer than this (distribution-spec, the same place).
const NAME_LIMIT: usize = 255;

/// Where an image is: registry, repository, and a tag, a digest, both or neither.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference as `docker pull` does: `python:3.12` is `docker.io/library/python:3.12`; what stands before the
    /// first slash is a registry if it holds a dot or a colon, or is `localhost`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let error = |fault| ReferenceError { text: text.to_owned(), fault };
        if text.is_empty() {
            return Err(error(Fault::Empty));
        }
        if text.contains("://") {
            return Err(error(Fault::Scheme));
        }
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
            return Err(error(Fault::Character(bad)));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| error(Fault::Digest(digest.to_owned())))?)),
            None => (text, None),
        };
        let (registry, path) = match rest.split_once('/') {
            Some((host, path)) if is_host(host) => (canonical(host), path),
            _ => (DEFAULT_REGISTRY, rest),
        };
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if !is_valid_host(registry) {
            return Err(error(Fault::Registry(registry.to_owned())));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(error(Fault::Tag(tag.to_owned())));
        }
        if path.is_empty() {
            return Err(error(Fault::NoRepository));
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(error(Fault::Uppercase));
        }
        if let Some(component) = path.split('/').find(|component| !is_component(component)) {
            return Err(error(Fault::Component(component.to_owned())));
        }
        if digest.is_none() && tag.is_none() && path.len() == 64 && Digest::from_hex(path).is_ok() {
            return Err(error(Fault::Id));
        }
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("{DEFAULT_NAMESPACE}/{path}")
        } else {
            path.to_owned()
        };
        if registry.len() + 1 + repository.len() > NAME_LIMIT {
            return Err(error(Fault::TooLong));
        }
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }

    /// The registry, `docker.io` for Docker Hub, with its port where it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one is named.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one is named.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag to push to: the one named, or `latest` where there is no digest either.
    pub fn tag_or_default(&self) -> Option<&str> {
        self.tag().or(if self.digest.is_none() { Some(DEFAULT_TAG) } else { None })
    }

    /// What the registry is asked for: the digest before the tag, `latest` for neither.
    pub fn locator(&self) -> String {
        match self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag().unwrap_or(DEFAULT_TAG).to_owned(),
        }
    }

    /// The same repository under this digest, without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository under this tag, without a digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError { text: self.name(), fault: Fault::Tag(tag.to_owned()) });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// Registry and repository.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// As people write it: without Docker Hub's registry and namespace.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let hub = full.strip_prefix(DEFAULT_REGISTRY).and_then(|rest| rest.strip_prefix('/'));
        let short =
            hub.map(|rest| rest.strip_prefix(DEFAULT_NAMESPACE).and_then(|r| r.strip_prefix('/')).unwrap_or(rest));
        short.unwrap_or(&full).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

fn is_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost" || text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_valid_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, "")) => return v6.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((v6, port)) => match (v6.parse::<std::net::Ipv6Addr>(), port.strip_prefix(':')) {
            (Ok(_), Some(port)) => return port.parse::<u16>().is_ok(),
            _ => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_LIMIT
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec).
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_well = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    let mut separators = bytes.split(alphanumeric).filter(|separator| !separator.is_empty());
    ends_well && separators.all(|s| matches!(s, b"." | b"_" | b"__") || s.iter().all(|&b| b == b'-'))
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no image reference: {fault}", text.escape_debug())]
pub struct ReferenceError {
    text: String,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it is empty")]
    Empty,
    #[error("it begins with a URL scheme")]
    Scheme,
    #[error("it holds {0:?}")]
    Character(char),
    #[error("`{0}` is no registry")]
    Registry(String),
    #[error("it names no repository")]
    NoRepository,
    #[error("the repository has upper-case letters")]
    Uppercase,
    #[error("`{0}` cannot be a part of a repository's name")]
    Component(String),
    #[error("`{0}` is no tag")]
    Tag(String),
    #[error("`{0}` is no sha256 digest")]
    Digest(String),
    #[error("64 hex digits are an image's ID, not a name")]
    Id,
    #[error("registry and repository together are longer than {NAME_LIMIT} characters")]
    TooLong,
}

impl ReferenceError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.fault {
            Fault::Uppercase => return Some(format!("write it in lower case: {}", self.text.to_lowercase())),
            Fault::Scheme => {
                let (_, bare) = self.text.split_once("://")?;
                return Some(format!("leave the scheme out: {bare}"));
            }
            Fault::Tag(_) => {
                "a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with neither `.` nor `-`"
            }
            Fault::Digest(_) => "a digest is `sha256:` and 64 hex digits",
            Fault::Component(_) => "its parts are lower-case letters and digits, joined by `.`, `_`, `__` or dashes",
            Fault::Id => "write `@sha256:…` after a name to mean a digest",
            Fault::Empty | Fault::NoRepository => "for example ghcr.io/owner/app:1.0, or python:3.12 for Docker Hub",
            Fault::Character(_) | Fault::Registry(_) | Fault::TooLong => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn short_names_become_full_ones() {
        for (text, full, familiar) in [
            ("python", "docker.io/library/python", "python"),
            ("python:3.12", "docker.io/library/python:3.12", "python:3.12"),
            ("me/app", "docker.io/me/app", "me/app"),
            ("index.docker.io/python", "docker.io/library/python", "python"),
            ("docker.io/me/app:x", "docker.io/me/app:x", "me/app:x"),
            ("localhost/x", "localhost/x", "localhost/x"),
            ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x"),
            ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"),
            ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"),
            ("ghcr.io/a/b__c/d--e.f:T_1.x-y", "ghcr.io/a/b__c/d--e.f:T_1.x-y", "ghcr.io/a/b__c/d--e.f:T_1.x-y"),
            ("EXAMPLE/x", "EXAMPLE/x", "EXAMPLE/x"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (full, familiar));
            assert_eq!(Reference::parse(full).unwrap(), reference);
        }
        let both = Reference::parse(&format!("ghcr.io/a/b:tag@{DIGEST}")).unwrap();
        assert_eq!((both.tag(), both.locator().as_str()), (Some("tag"), DIGEST));
        assert_eq!(both.to_string(), format!("ghcr.io/a/b:tag@{DIGEST}"));
        assert_eq!(Reference::parse("a").unwrap().locator(), "latest");
        assert_eq!(Reference::parse(&format!("a@{DIGEST}")).unwrap().tag_or_default(), None);
    }

    #[test]
    fn what_is_no_reference_says_why() {
        for (text, why) in [
            ("", "it is empty"),
            ("https://ghcr.io/a", "it begins with a URL scheme"),
            ("a b", "it holds ' '"),
            ("pythön", "it holds 'ö'"),
            ("me/App", "the repository has upper-case letters"),
            ("a//b", "`` cannot be a part of a repository's name"),
            ("a/-b", "`-b` cannot be a part of a repository's name"),
            ("a/b___c", "`b___c` cannot be a part of a repository's name"),
            ("a/b._c", "`b._c` cannot be a part of a repository's name"),
            ("a:", "`` is no tag"),
            ("a:.x", "`.x` is no tag"),
            ("a@sha256:1", "`sha256:1` is no sha256 digest"),
            ("a@md5:1", "`md5:1` is no sha256 digest"),
            ("localhost:5000/", "it names no repository"),
            ("localhost:99999/a", "`localhost:99999` is no registry"),
            ("-a.b/c", "`-a.b` is no registry"),
            ("[zz]:1/c", "`[zz]:1` is no registry"),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.ends_with(&format!(": {why}")), "{text}: {error}");
        }
        let hint = Reference::parse("me/App:1").unwrap_err().hint();
        assert_eq!(hint.as_deref(), Some("write it in lower case: me/app:1"));
        assert!(Reference::parse(&DIGEST[7..]).is_err());
        assert!(Reference::parse(&"a".repeat(260)).is_err());
    }
}
