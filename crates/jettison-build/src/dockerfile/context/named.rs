//! `--build-context NAME=VALUE`: more contexts, each under a name that FROM, `COPY --from` and mounts use.

use std::path::PathBuf;

use jettison_tree::Digest;

use super::Location;
use crate::error::BuildError;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// Files: a directory, a repository, an archive.
    Files(Location),
    /// An image, by the reference that a registry is asked for.
    Image(String),
    /// An image in an OCI layout on this machine.
    Layout {
        /// The directory.
        path: PathBuf,
        /// Its name there; the only one where there is none.
        tag: Option<String>,
        /// Its digest.
        digest: Option<Digest>,
    },
}

impl NamedContext {
    /// Parses `name=value`.
    pub fn parse(text: &str) -> Result<(String, Self), BuildError> {
        let hint =
            "write name=directory, name=docker-image://reference, name=oci-layout://directory@digest or name=URL";
        let (name, value) = text
            .split_once('=')
            .filter(|(name, value)| !name.trim().is_empty() && !value.is_empty())
            .ok_or_else(|| BuildError::new(format!("`{text}` names no build context")).hint(hint))?;
        let context = if let Some(reference) = value.strip_prefix("docker-image://") {
            Self::Image(reference.to_owned())
        } else if let Some(layout) = value.strip_prefix("oci-layout://") {
            Self::layout(layout).map_err(|why| BuildError::new(format!("`{text}`: {why}")).hint(hint))?
        } else {
            match Location::parse(value)? {
                Location::Stdin => {
                    return Err(BuildError::new(format!("`{text}`: standard input is for the main context")));
                }
                location => Self::Files(location),
            }
        };
        Ok((name.trim().to_owned(), context))
    }

    fn layout(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') && !tag.is_empty() => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err("the directory is missing".to_owned());
        }
        Ok(Self::Layout { path: path.into(), tag, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_files_and_images() {
        let digest = Digest::of(b"x");
        let layout = |path: &str, tag: Option<&str>, digest| NamedContext::Layout {
            path: path.into(),
            tag: tag.map(str::to_owned),
            digest,
        };
        let files = |path: &str| NamedContext::Files(Location::Directory(path.into()));
        for (text, name, context) in [
            ("src=./lib", "src", files("./lib")),
            ("base=docker-image://alpine:3.20", "base", NamedContext::Image("alpine:3.20".to_owned())),
            ("a=oci-layout:///tmp/l:v1", "a", layout("/tmp/l", Some("v1"), None)),
            (&format!("a=oci-layout://l@{digest}"), "a", layout("l", None, Some(digest))),
            ("a=https://h/x.tar.gz", "a", NamedContext::Files(Location::Url("https://h/x.tar.gz".to_owned()))),
        ] {
            assert_eq!(NamedContext::parse(text).unwrap(), (name.to_owned(), context), "{text}");
        }
        let repository = NamedContext::parse("a=https://h/r.git#v1").unwrap().1;
        assert!(
            matches!(repository, NamedContext::Files(Location::Git(git)) if git.reference.as_deref() == Some("v1"))
        );
        for bad in ["a", "=x", "a=", "a=-", "a=oci-layout://", "a=oci-layout://l@sha256:x"] {
            assert!(NamedContext::parse(bad).is_err(), "{bad}");
        }
    }
}
