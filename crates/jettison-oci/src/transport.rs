//! Where an image is, in skopeo's words, and copying it from one place to another (containers-transports(5)).
//!
//! 1. [`Transport::parse`] reads `oci:dir:tag`, `docker://name` and the others.
//! 2. [`Places::read`] opens what is there; layers are read when they are needed.
//! 3. [`Places::write`] puts an image, or an index with all its platforms, there.
//! 4. [`Places::copy`] does both. Digests stay what they are; an index becomes one of its images only where the target can
//!    hold no more than one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jettison_tree::Digest;

use crate::daemon::{Daemon, DaemonError};
use crate::image::{ImageError, ImageOrIndex};
use crate::media::docker_archive::{DockerArchive, write_docker_archive};
use crate::media::layout::{Layout, write_layout, write_layout_archive};
use crate::media::{MediaError, dir};
use crate::reference::{Reference, ReferenceError};
use crate::registry::{PushOptions, PushReport, Registry, RegistryError, is_transient_blob};
use crate::types::Platform;

/// A place for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `oci:directory[:name]`, an OCI layout.
    Oci {
        /// The directory.
        path: PathBuf,
        /// The name in the layout's index.
        name: Option<String>,
    },
    /// `oci-archive:file[:name]`, a tar of a layout.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// The name in the layout's index.
        name: Option<String>,
    },
    /// `docker-archive:file[:name[:tag]]`, what `docker save` writes; `:@0` is its first image.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// The name, or `@` and a number.
        name: Option<String>,
    },
    /// `docker://name`, a registry.
    Registry(Reference),
    /// `docker-daemon:name`, the Docker daemon.
    DockerDaemon(Reference),
    /// `dir:directory`, skopeo's own.
    Dir(PathBuf),
}

/// The prefixes, for messages.
const NAMES: &str = "oci:, oci-archive:, docker-archive:, docker://, docker-daemon: and dir:";

impl Transport {
    /// Parses a place. Paths end at the first colon.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        let error = |reason: &str| TransportError::Syntax { text: text.to_owned(), reason: reason.to_owned() };
        let reference = |name: &str| {
            Reference::parse(name).map_err(|source| TransportError::Reference { text: text.to_owned(), source })
        };
        let (transport, rest) =
            text.split_once(':').ok_or_else(|| error(&format!("it begins with none of {NAMES}")))?;
        let path_and_name = || -> Result<(PathBuf, Option<String>), TransportError> {
            let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
            match (path, name) {
                ("", _) => Err(error("it names no path")),
                (_, Some("")) => Err(error("the name after the path is empty")),
                (path, name) => Ok((path.into(), name.map(str::to_owned))),
            }
        };
        match transport {
            "oci" => path_and_name().map(|(path, name)| Self::Oci { path, name }),
            "oci-archive" => path_and_name().map(|(path, name)| Self::OciArchive { path, name }),
            "docker-archive" => {
                let (path, name) = path_and_name()?;
                let name = match name {
                    Some(name) if !name.starts_with('@') => Some(named(&reference(&name)?)),
                    name => name,
                };
                Ok(Self::DockerArchive { path, name })
            }
            "docker" => match rest.strip_prefix("//") {
                Some(name) => Ok(Self::Registry(reference(name)?)),
                None => Err(error("docker: is followed by //")),
            },
            "docker-daemon" => Ok(Self::DockerDaemon(reference(rest)?)),
            "dir" if rest.is_empty() => Err(error("it names no path")),
            "dir" => Ok(Self::Dir(rest.into())),
            _ => Err(error(&format!("it begins with none of {NAMES}"))),
        }
    }

    /// Whether several platforms fit there.
    fn holds_an_index(&self) -> bool {
        !matches!(self, Self::DockerArchive { .. } | Self::DockerDaemon(_))
    }
}

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        Self::parse(text)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, path, name) = match self {
            Self::Oci { path, name } => ("oci", path, name),
            Self::OciArchive { path, name } => ("oci-archive", path, name),
            Self::DockerArchive { path, name } => ("docker-archive", path, name),
            Self::Registry(reference) => return write!(f, "docker://{reference}"),
            Self::DockerDaemon(reference) => return write!(f, "docker-daemon:{}", reference.familiar()),
            Self::Dir(path) => return write!(f, "dir:{}", path.display()),
        };
        write!(f, "{prefix}:{}", path.display())?;
        name.iter().try_for_each(|name| write!(f, ":{name}"))
    }
}

/// The full name with a tag, as archives and daemons want it.
fn named(reference: &Reference) -> String {
    match reference.tag_or_default() {
        Some(tag) => format!("{}:{tag}", reference.name()),
        None => reference.to_string(),
    }
}

/// How the places are reached.
pub struct Places<'a> {
    /// For `docker://`.
    pub registry: &'a Registry,
    /// For `docker-daemon:`, the value of `DOCKER_HOST`.
    pub docker_host: Option<&'a str>,
    /// Where a daemon's image is spooled.
    pub temporary: PathBuf,
    /// Which image of an index to take where only one fits.
    pub platform: Platform,
    /// Takes one image of an index everywhere.
    pub one_platform: bool,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// Of what was copied.
    pub digest: Digest,
    /// What was sent, where the target is a registry.
    pub push: Option<PushReport>,
}

impl Places<'_> {
    /// What is at a place.
    pub fn read(&self, from: &Transport) -> Result<ImageOrIndex, TransportError> {
        Ok(match from {
            Transport::Oci { path, name } | Transport::OciArchive { path, name } => {
                Layout::open(path)?.read(name.as_deref())?
            }
            Transport::DockerArchive { path, name } => {
                ImageOrIndex::Image(DockerArchive::open(path)?.read(name.as_deref())?)
            }
            Transport::Registry(reference) => self.registry.pull(reference)?,
            Transport::DockerDaemon(reference) => {
                ImageOrIndex::Image(Daemon::new(self.docker_host)?.image(reference, &self.temporary)?)
            }
            Transport::Dir(path) => dir::read_dir(path)?,
        })
    }

    /// Puts an image or an index to a place, under its name there.
    pub fn write(
        &self,
        content: &ImageOrIndex,
        to: &Transport,
        options: &PushOptions<'_>,
    ) -> Result<CopyReport, TransportError> {
        let content = if self.one_platform || !to.holds_an_index() {
            ImageOrIndex::Image(content.image(&self.platform)?)
        } else {
            content.clone()
        };
        let mut report = CopyReport { digest: content.descriptor().digest, push: None };
        match (to, &content) {
            (Transport::Oci { path, name }, _) => drop(write_layout(path, &content, name.as_deref())?),
            (Transport::OciArchive { path, name }, _) => drop(write_layout_archive(path, &content, name.as_deref())?),
            (Transport::Dir(path), _) => dir::write_dir(path, &content)?,
            (Transport::Registry(reference), _) => {
                report.push = Some(self.registry.push(&content, reference, options)?);
            }
            (Transport::DockerArchive { name: Some(name), .. }, _) if name.starts_with('@') => {
                let reason = "a number is for reading".to_owned();
                return Err(TransportError::Syntax { text: to.to_string(), reason });
            }
            (Transport::DockerArchive { path, name }, ImageOrIndex::Image(image)) => {
                write_docker_archive(path, image, name.as_deref().as_slice())?;
            }
            (Transport::DockerDaemon(reference), ImageOrIndex::Image(image)) => {
                if reference.digest().is_some() {
                    let reason = "a daemon's images are named by tags".to_owned();
                    return Err(TransportError::Syntax { text: to.to_string(), reason });
                }
                Daemon::new(self.docker_host)?.load(image, &[&named(reference)])?;
            }
            (Transport::DockerArchive { .. } | Transport::DockerDaemon(_), ImageOrIndex::Index(_)) => {
                return Err(TransportError::Syntax { text: to.to_string(), reason: "it holds no index".to_owned() });
            }
        }
        Ok(report)
    }

    /// Copies what is at one place to another. Between repositories of one registry blobs are mounted.
    pub fn copy(
        &self,
        from: &Transport,
        to: &Transport,
        mut options: PushOptions<'_>,
    ) -> Result<CopyReport, TransportError> {
        let content = self.read(from)?;
        if let (Transport::Registry(source), Transport::Registry(target)) = (from, to)
            && source.registry() == target.registry()
            && source.repository() != target.repository()
        {
            for item in content.contents()? {
                options.mounts.entry(item.descriptor().digest).or_insert_with(|| source.repository().to_owned());
            }
        }
        self.write(&content, to, &options)
    }
}

/// A copy that failed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The text names no place.
    #[error("`{text}` names no place for an image: {reason}")]
    Syntax {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name in it is none.
    #[error("`{text}`: {source}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with the name.
        source: ReferenceError,
    },
    /// A file or directory failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The daemon failed.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// What is there is no image.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl TransportError {
    /// Whether the same may succeed later, with nothing changed on this side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Daemon(DaemonError::Image(error)) | Self::Media(error) => is_transient_media(error),
            Self::Daemon(error) => error.is_transient(),
            Self::Image(ImageError::Blob(error)) => is_transient_blob(error),
            Self::Syntax { .. } | Self::Reference { .. } | Self::Image(_) => false,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { text, .. } if !text.contains("://") && Reference::parse(text).is_ok() => {
                Some(format!("for the image of a registry write docker://{text}"))
            }
            Self::Syntax { .. } => Some(format!("places begin with {NAMES}, for example oci:build/app:v1")),
            Self::Reference { source, .. } => source.hint(),
            Self::Media(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Daemon(error) => error.hint(),
            Self::Image(error) => error.hint(),
        }
    }
}

/// Whether a medium could not be filled for a reason of the source's that may pass.
fn is_transient_media(error: &MediaError) -> bool {
    match error {
        MediaError::Blob { source, .. } | MediaError::Image { source: ImageError::Blob(source), .. } => {
            is_transient_blob(source)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use jettison_http::{Client, Options};
    use jettison_testkit::Registry as Server;
    use std::path::Path;
    use std::time::Duration;

    fn registry() -> Registry {
        let http = Client::new(Options { backoff: Duration::ZERO, ..Options::default() }).unwrap();
        Registry::new(http, crate::registry::RegistryOptions::default())
    }

    fn places<'a>(registry: &'a Registry, temporary: &Path) -> Places<'a> {
        let platform = Platform::linux("amd64");
        Places { registry, docker_host: None, temporary: temporary.to_owned(), platform, one_platform: false }
    }

    #[test]
    fn places_are_parsed_and_printed() {
        for text in [
            "oci:some/dir",
            "oci:/abs/dir:v1",
            "oci-archive:a.tar:name",
            "docker-archive:a.tar",
            "docker-archive:a.tar:docker.io/library/app:v1",
            "docker-archive:a.tar:@0",
            "docker://ghcr.io/a/b:v1",
            "docker-daemon:app:v1",
            "dir:x:y",
        ] {
            assert_eq!(Transport::parse(text).unwrap().to_string(), text);
        }
        let short = Transport::parse("docker-archive:a.tar:app").unwrap();
        assert_eq!(short.to_string(), "docker-archive:a.tar:docker.io/library/app:latest");
        for (text, why) in [
            ("", "it begins with none of"),
            ("python:3.12", "it begins with none of"),
            ("oci:", "it names no path"),
            ("oci::v1", "it names no path"),
            ("oci:a:", "the name after the path is empty"),
            ("docker:a", "docker: is followed by //"),
            ("docker://A/b c", "it holds ' '"),
            ("dir:", "it names no path"),
        ] {
            let error = Transport::parse(text).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
        let hint = Transport::parse("python:3.12").unwrap_err().hint().unwrap();
        assert_eq!(hint, "for the image of a registry write docker://python:3.12");
    }

    #[test]
    fn an_index_goes_round_and_keeps_its_digest() {
        let server = Server::start();
        let dir = tempfile::tempdir().unwrap();
        let (registry, at) = (registry(), |name: &str| dir.path().join(name).display().to_string());
        let places = places(&registry, dir.path());
        let index = ImageOrIndex::Index(sample::index());
        let chain = [
            format!("oci:{}:v1", at("layout")),
            format!("docker://{}", server.reference("a/app:v1")),
            format!("dir:{}", at("dir")),
            format!("oci-archive:{}:v2", at("layout.tar")),
            format!("docker://{}", server.reference("b/app:v1")),
            format!("oci:{}", at("last")),
        ];
        let chain = chain.map(|text| Transport::parse(&text).unwrap());
        places.write(&index, &chain[0], &PushOptions::default()).unwrap();
        for pair in chain.windows(2) {
            let report = places.copy(&pair[0], &pair[1], PushOptions::default()).unwrap();
            assert_eq!(report.digest, index.descriptor().digest, "{}", pair[1]);
        }
        let last = places.read(&chain[5]).unwrap();
        assert!(crate::validate(&last).is_empty() && last.bytes() == index.bytes());
    }

    #[test]
    fn one_image_is_chosen_where_only_one_fits() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry();
        let mut places = places(&registry, dir.path());
        places.platform = Platform::linux("arm64");
        let index = ImageOrIndex::Index(sample::index());
        let archive = Transport::parse(&format!("docker-archive:{}:app", dir.path().join("a.tar").display())).unwrap();
        places.write(&index, &archive, &PushOptions::default()).unwrap();
        let ImageOrIndex::Image(image) = places.read(&archive).unwrap() else { panic!("an image") };
        assert_eq!(image.platform().to_string(), "linux/arm64");
        places.one_platform = true;
        let layout = Transport::parse(&format!("oci:{}", dir.path().join("layout").display())).unwrap();
        places.write(&index, &layout, &PushOptions::default()).unwrap();
        assert!(matches!(places.read(&layout).unwrap(), ImageOrIndex::Image(_)));
        places.platform = Platform::linux("riscv64");
        let error = places.write(&index, &layout, &PushOptions::default()).unwrap_err();
        assert!(error.to_string().contains("linux/riscv64") && !error.is_transient(), "{error}");
    }

    #[test]
    fn a_copy_inside_a_registry_sends_no_blob() {
        let server = Server::start();
        let (registry, dir) = (registry(), tempfile::tempdir().unwrap());
        let places = places(&registry, dir.path());
        let place = |name: &str| Transport::parse(&format!("docker://{}", server.reference(name))).unwrap();
        places.write(&ImageOrIndex::Image(sample::image()), &place("a:1"), &PushOptions::default()).unwrap();
        server.server().clear_log();
        let report = places.copy(&place("a:1"), &place("b:1"), PushOptions::default()).unwrap().push.unwrap();
        assert_eq!((report.mounted.len(), report.uploaded.len()), (3, 0));
        // The config was read with the image; no layer was.
        assert_eq!(server.server().count("GET", "/blobs/"), 1);
    }
}
