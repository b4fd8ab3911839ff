//! An image of the store → where else it shall be.
//!
//! 1. [`OutputSpec::parse`] reads `type=oci,dest=app.tar` as buildx writes it.
//! 2. [`Images::write`] puts an image there.
//! 3. [`push`] sends it to a registry and remembers what is there.
//! 4. [`rootfs`] is the image without its layers.
//!
//! Nothing is left half-written: files and directories appear under their names when they are whole.

mod push;
pub(crate) mod rootfs;

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jettison_engine::events::Event;
use jettison_oci::daemon::Daemon;
use jettison_oci::image::{Image, ImageError, ImageOrIndex};
use jettison_oci::media::docker_archive::{stream_docker_archive, write_docker_archive};
use jettison_oci::media::layout::{write_layout, write_layout_archive};
use jettison_oci::reference::Reference;
use jettison_oci::registry::PushReport;
use jettison_tree::TreePath;

use crate::build::DEFAULT_EPOCH;
use crate::error::{BuildError, Context as _};
use crate::images::{Images, is_reference};

/// The kinds of outputs, for messages.
const TYPES: &str = "oci, docker, local, tar, registry and daemon";
/// Files that stand for what this process writes to.
const STDOUT_FILES: [&str; 3] = ["-", "/dev/stdout", "/proc/self/fd/1"];

/// Where an image goes besides the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputSpec {
    /// `type=oci`: an OCI layout, as a tar or, with `tar=false`, as a directory that may hold other images.
    Oci {
        /// The file or directory.
        dest: Dest,
        /// Whether it is a tar.
        tar: bool,
        /// The image's names there; those that it has where there are none.
        names: Vec<String>,
    },
    /// `type=docker`: what `docker load` reads. Without `dest` it is [`Daemon`](Self::Daemon), as in buildx.
    DockerArchive {
        /// The file.
        dest: Dest,
        /// The image's names there; those that it has where there are none.
        names: Vec<String>,
    },
    /// `type=local`: the files of the image in a directory.
    Local(PathBuf),
    /// `type=tar`: the files of the image as a tar.
    Tar(Dest),
    /// `type=registry`: pushed.
    Registry {
        /// Where to; the image's names where there are none.
        names: Vec<String>,
    },
    /// `type=daemon`: loaded into the Docker daemon, or Podman's in its place.
    Daemon {
        /// The image's names there; those that it has where there are none.
        names: Vec<String>,
    },
}

/// Where bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dest {
    /// Standard output.
    Stdout,
    /// A file or directory.
    Path(PathBuf),
}

impl Dest {
    fn parse(text: &str) -> Self {
        if STDOUT_FILES.contains(&text) { Self::Stdout } else { Self::Path(text.into()) }
    }
}

impl Dest {
    /// The path, `-` for standard output.
    fn path(&self) -> &Path {
        match self {
            Self::Stdout => Path::new("-"),
            Self::Path(path) => path,
        }
    }
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A file, or a directory.
    File {
        /// Where.
        dest: Dest,
        /// In which form, for people.
        what: &'static str,
    },
    /// An image to a registry.
    Pushed {
        /// The name there.
        name: String,
        /// What it took.
        report: PushReport,
    },
    /// An image into a daemon, with what the daemon says about it.
    Loaded(String),
}

/// A text that says no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("output `{text}`: {fault}")]
pub struct OutputError {
    text: String,
    fault: String,
    hint: Option<String>,
}

impl OutputError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl From<OutputError> for BuildError {
    fn from(error: OutputError) -> Self {
        let hint = error.hint();
        Self::with_hint(error.to_string(), hint)
    }
}

impl OutputSpec {
    /// Parses `type=…,dest=…,name=…,tar=…`. Fields are those of a CSV line, so one that holds a comma stands in quotes. A path
    /// alone is `type=local`, `-` alone `type=tar,dest=-`.
    pub fn parse(text: &str) -> Result<Self, OutputError> {
        let error = |fault: String, hint: Option<&str>| OutputError {
            text: text.to_owned(),
            fault,
            hint: hint.map(str::to_owned),
        };
        if !text.contains('=') {
            return match text {
                "" => Err(error("it is empty".into(), Some("for example type=oci,dest=app.tar"))),
                "-" => Ok(Self::Tar(Dest::Stdout)),
                path => Ok(Self::Local(path.into())),
            };
        }
        let (mut kind, mut dest, mut tar, mut push) = (None, None, None, None);
        let mut names: Vec<String> = Vec::new();
        let fields = csv_fields(text).ok_or_else(|| error("a quote is not closed".into(), None))?;
        for field in &fields {
            let (key, value) = field.split_once('=').ok_or_else(|| {
                error(format!("`{field}` is no KEY=VALUE"), Some("the keys are type, dest, name and tar"))
            })?;
            let boolean = || match value {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(error(format!("`{key}={value}` is neither true nor false"), None)),
            };
            let taken = match key {
                "type" => kind.replace(value.to_owned()).is_some(),
                "dest" if value.is_empty() => return Err(error("`dest` names no path".into(), None)),
                "dest" => dest.replace(value.to_owned()).is_some(),
                "tar" => tar.replace(boolean()?).is_some(),
                "push" => push.replace(boolean()?).is_some(),
                "name" => {
                    names.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
                    false
                }
                _ => {
                    let fault = format!("it knows no `{key}`");
                    return Err(error(fault, Some("the keys are type, dest, name and tar")));
                }
            };
            if taken {
                return Err(error(format!("`{key}` is given twice"), None));
            }
        }
        if let Some((name, bad)) = names.iter().find_map(|name| Some((name, Reference::parse(name).err()?))) {
            return Err(error(format!("the name `{name}` cannot be used: {bad}"), bad.hint().as_deref()));
        }
        let kind =
            kind.ok_or_else(|| error("it has no type".into(), Some(&format!("begin with type=; there are {TYPES}"))))?;
        let wants = |dest: Option<String>| {
            let hint = format!("for example type={kind},dest=PATH");
            dest.as_deref().map(Dest::parse).ok_or_else(|| error(format!("type={kind} needs a dest"), Some(&hint)))
        };
        let unused = |key: &str| error(format!("`{key}` means nothing with type={kind}"), None);
        let has_dest = dest.is_some();
        let spec = match kind.as_str() {
            "oci" => {
                let is_directory = |path: &str| path.ends_with('/') || Path::new(path).is_dir();
                let tar = tar.take().unwrap_or_else(|| !dest.as_deref().is_some_and(is_directory));
                let dest = wants(dest)?;
                if dest == Dest::Stdout && !tar {
                    return Err(error("a directory cannot be written to standard output".into(), None));
                }
                Self::Oci { dest, tar, names: std::mem::take(&mut names) }
            }
            "docker" if has_dest => Self::DockerArchive { dest: wants(dest)?, names: std::mem::take(&mut names) },
            "docker" | "daemon" if !has_dest => Self::Daemon { names: std::mem::take(&mut names) },
            "local" => match wants(dest)? {
                Dest::Path(path) => Self::Local(path),
                Dest::Stdout => {
                    let hint = Some("for a tar of the files: type=tar,dest=-");
                    return Err(error("a directory cannot be written to standard output".into(), hint));
                }
            },
            "tar" => Self::Tar(wants(dest)?),
            "registry" | "image" if has_dest => return Err(unused("dest")),
            "registry" => {
                push.take();
                Self::Registry { names: std::mem::take(&mut names) }
            }
            "image" if push.take() == Some(true) => Self::Registry { names: std::mem::take(&mut names) },
            "image" => {
                let hint = Some("the store has every image anyway, name it with -t; for a registry: type=registry");
                return Err(error("type=image without push=true is nothing to write".into(), hint));
            }
            "daemon" => return Err(unused("dest")),
            other => return Err(error(format!("there is no type `{other}`"), Some(&format!("there are {TYPES}")))),
        };
        match (names.is_empty(), tar, push) {
            (false, ..) => Err(unused("name")),
            (_, Some(_), _) if !matches!(spec, Self::DockerArchive { .. }) => Err(unused("tar")),
            (_, Some(false), _) => Err(error("a docker archive is always a tar".into(), None)),
            (_, _, Some(_)) => Err(unused("push")),
            _ => Ok(spec),
        }
    }

    /// Whether it goes to standard output, which then has room for nothing else.
    pub fn is_stdout(&self) -> bool {
        match self {
            Self::Oci { dest, .. } | Self::DockerArchive { dest, .. } | Self::Tar(dest) => *dest == Dest::Stdout,
            Self::Local(_) | Self::Registry { .. } | Self::Daemon { .. } => false,
        }
    }

    /// Whether it needs a name, and says none itself.
    pub fn needs_a_name(&self) -> bool {
        matches!(self, Self::Registry { names } | Self::Daemon { names } if names.is_empty())
    }
}

impl FromStr for OutputSpec {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Self, OutputError> {
        Self::parse(text)
    }
}

/// The fields of a line of CSV (RFC 4180, section 2); `None` where a quote stays open.
fn csv_fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

impl Images<'_> {
    /// Puts an image, or an index with all its images, where `output` says. `names` are the names that it has in the store.
    pub fn write(
        &self,
        content: &ImageOrIndex,
        output: &OutputSpec,
        names: &[String],
    ) -> Result<Vec<Written>, BuildError> {
        let names = |own: &[String]| -> Vec<String> {
            if !own.is_empty() {
                return own.to_vec();
            }
            names.iter().filter(|name| is_reference(name)).cloned().collect()
        };
        match output {
            OutputSpec::Oci { dest, tar, names: own } => self.write_oci(content, dest, *tar, &names(own)),
            OutputSpec::DockerArchive { dest, names: own } => self.write_docker(content, dest, &names(own)),
            OutputSpec::Local(path) => self.write_local(content, path),
            OutputSpec::Tar(dest) => self.write_tar(content, dest),
            OutputSpec::Daemon { names: own } => {
                let names = names(own);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let said = Daemon::new(self.docker_host)?.load(&content.image(self.platform)?, &names)?;
                Ok(vec![Written::Loaded(said)])
            }
            OutputSpec::Registry { names: own } => {
                let names = names(own);
                if names.is_empty() {
                    return Err(BuildError::new("the image has no name to push it under").hint("name it with -t NAME"));
                }
                let push = |name: &String| {
                    let report = self.push(content, &Reference::parse(name)?)?;
                    Ok(Written::Pushed { name: name.clone(), report })
                };
                names.iter().map(push).collect()
            }
        }
    }

    fn write_oci(
        &self,
        content: &ImageOrIndex,
        dest: &Dest,
        tar: bool,
        names: &[String],
    ) -> Result<Vec<Written>, BuildError> {
        // A layout's names are tags, as buildx and skopeo have it.
        let mut tags: Vec<Option<String>> = Vec::new();
        for name in names {
            tags.push(Reference::parse(name)?.tag_or_default().map(str::to_owned));
        }
        tags.dedup();
        if tags.is_empty() {
            tags.push(None);
        }
        match dest {
            Dest::Path(path) if !tar => {
                for tag in &tags {
                    write_layout(path, content, tag.as_deref())?;
                }
                Ok(vec![Written::File { dest: Dest::Path(path.clone()), what: "OCI layout" }])
            }
            dest => {
                let tag = tags.first().and_then(Option::as_deref);
                match stream(dest)? {
                    Some(mut out) => {
                        let scratch = self.store.scratch()?;
                        let file = scratch.path().join("archive");
                        write_layout_archive(&file, content, tag)?;
                        io::copy(&mut File::open(&file)?, &mut out)?;
                        out.flush()?;
                    }
                    None => drop(write_layout_archive(dest.path(), content, tag)?),
                }
                Ok(vec![Written::File { dest: dest.clone(), what: "OCI archive" }])
            }
        }
    }

    fn write_docker(&self, content: &ImageOrIndex, dest: &Dest, names: &[String]) -> Result<Vec<Written>, BuildError> {
        let image = content.image(self.platform)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match stream(dest)? {
            Some(mut out) => {
                stream_docker_archive(&mut out, Path::new(&dest.to_string()), &image, &names)?;
                out.flush()?;
            }
            None => write_docker_archive(dest.path(), &image, &names)?,
        }
        Ok(vec![Written::File { dest: dest.clone(), what: "docker archive" }])
    }

    fn write_local(&self, content: &ImageOrIndex, path: &Path) -> Result<Vec<Written>, BuildError> {
        let in_the_way = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if in_the_way {
            return Err(BuildError::new(format!("{} is in the way", path.display()))
                .hint("the files of an image go into a new or an empty directory"));
        }
        let parent = parent(path);
        fs::create_dir_all(&parent).context(parent.display())?;
        let staged = tempfile::Builder::new().prefix(".jettison-").tempdir_in(&parent).context(parent.display())?;
        let mut left_out = Vec::new();
        for (prefix, image) in images_of(content)? {
            let root = match prefix {
                Some(prefix) => staged.path().join(prefix.as_path()),
                None => staged.path().to_owned(),
            };
            fs::create_dir_all(&root)?;
            left_out.extend(rootfs::unpack(&image, &root, rootfs::Finish::AsInImage)?.left_out);
        }
        fs::set_permissions(staged.path(), Permissions::from_mode(0o755))?;
        fs::rename(staged.path(), path).context(path.display())?;
        // It is where it belongs now; nothing is left to clean up.
        let _ = staged.keep();
        self.tell_left_out(&left_out);
        Ok(vec![Written::File { dest: Dest::Path(path.to_owned()), what: "files" }])
    }

    fn write_tar(&self, content: &ImageOrIndex, dest: &Dest) -> Result<Vec<Written>, BuildError> {
        let images = images_of(content)?;
        let scratch = self.store.scratch()?;
        let left_out = match stream(dest)? {
            Some(mut out) => {
                let left_out = rootfs::write_tar(&images, scratch.path(), DEFAULT_EPOCH, &mut out)?;
                out.flush()?;
                left_out
            }
            None => {
                let parent = parent(dest.path());
                // The mode is cut by the umask, as that of any file is.
                let mode = Permissions::from_mode(0o666);
                let staged = tempfile::Builder::new().prefix(".jettison-").permissions(mode).tempfile_in(&parent);
                let mut staged = staged.context(parent.display())?;
                let left_out = rootfs::write_tar(&images, scratch.path(), DEFAULT_EPOCH, &mut staged)?;
                staged.persist(dest.path()).map_err(|error| error.error).context(dest)?;
                left_out
            }
        };
        self.tell_left_out(&left_out);
        Ok(vec![Written::File { dest: dest.clone(), what: "tar of the files" }])
    }

    fn tell_left_out(&self, left_out: &[TreePath]) {
        if let Some(first) = left_out.first() {
            let message = format!("{} devices were left out, `/{first}` among them", left_out.len());
            self.events.event(Event::Warning { message, hint: Some("only root can make them".to_owned()) });
        }
    }
}

/// The stream behind `dest`, where it is standard output, or a pipe or device, which nothing may be renamed to.
fn stream(dest: &Dest) -> Result<Option<Box<dyn Write>>, BuildError> {
    let path = match dest {
        Dest::Stdout => return Ok(Some(Box::new(io::stdout().lock()))),
        Dest::Path(path) => path,
    };
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(BuildError::new(format!("{} is a directory", path.display()))
            .hint("name a file; a directory is what type=oci,tar=false and type=local write")),
        Ok(meta) if !meta.is_file() => {
            let file = File::options().write(true).open(path).context(path.display())?;
            Ok(Some(Box::new(file)))
        }
        _ => Ok(None),
    }
}

/// The image, or those of an index with the names of their directories, as buildx has them: `linux_amd64`.
fn images_of(content: &ImageOrIndex) -> Result<Vec<(Option<TreePath>, Image)>, BuildError> {
    let index = match content {
        ImageOrIndex::Image(image) => return Ok(vec![(None, image.clone())]),
        ImageOrIndex::Index(index) => index.index(),
    };
    let mut images = Vec::new();
    for platform in index.platforms() {
        let directory = TreePath::parse(platform.to_string().replace('/', "_"))?;
        if images.iter().all(|(other, _)| *other != Some(directory.clone())) {
            images.push((Some(directory), content.image(platform)?));
        }
    }
    if images.is_empty() {
        let wanted = "any platform".to_owned();
        return Err(ImageError::NoPlatform { wanted, there: "none".to_owned() }.into());
    }
    Ok(images)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests;
