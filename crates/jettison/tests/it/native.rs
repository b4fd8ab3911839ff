//! The native build as users drive it, against an archive and an index on loopback. The interpreter there is one that only looks
//! right, so nothing is run or compiled, and every project brings a lock.

mod contents;
mod image;
mod indices;
mod layers;
mod platforms;
mod project_files;
mod refusals;
mod reproducible;
mod together;
mod trouble;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use jettison_oci::image::{Image, ImageOrIndex};
use jettison_oci::media::layout::Layout;
use jettison_oci::validate;
use jettison_testkit::debian::DebianArchiveBuilder;
use jettison_testkit::index::PackageIndexBuilder;
use jettison_testkit::interpreter::python_debs;
use jettison_testkit::world::{DRIVER, FLASK, SERVER};
use jettison_testkit::{DebianArchive, PackageIndex, Project, World};

use crate::fixture::{Ran, User};

/// All that the project of these tests depends on: pure ones, one with a script, one that needs a library of Debian's.
const DEPENDENCIES: [&str; 4] = [FLASK, "werkzeug", SERVER, DRIVER];

/// Somebody who builds, and what the network has for them.
struct Site {
    archive: DebianArchive,
    index: PackageIndex,
    user: User,
}

impl Site {
    fn new() -> Self {
        Self::of(archive(), World::index())
    }

    fn of(archive: DebianArchiveBuilder, index: PackageIndexBuilder) -> Self {
        Self { archive: archive.serve(), index: index.serve(), user: User::new() }
    }

    /// A web application with [`DEPENDENCIES`], pinned by hashes. Nothing in it tells this site from another one.
    fn project(&self) -> Project {
        Project::flask(&[]).file("requirements.txt", self.index.hashed_requirements(&DEPENDENCIES))
    }

    /// `jettison build` as this user, who knows the archive and the index.
    fn command(&self, user: &User, project: &Path, flags: &[&str]) -> Command {
        let project = project.to_str().unwrap();
        let fixed = ["build", project, "--no-verify", "--bytecode", "none"];
        let mut command = user.command(&[&fixed[..], flags].concat());
        if !flags.contains(&"--platform") {
            command.args(["--platform", "linux/amd64"]);
        }
        command
            .env("JETTISON_DEBIAN_MIRROR", self.archive.url())
            .env("JETTISON_DEBIAN_SECURITY_MIRROR", self.archive.security_url())
            .env("JETTISON_DEBIAN_KEYRING", self.archive.keyring_file())
            // Whatever the apt of this machine is told.
            .env("JETTISON_DEBIAN_CHECK_VALID_UNTIL", "true")
            .env("UV_DEFAULT_INDEX", self.index.url());
        command
    }

    fn build(&self, project: &Path, flags: &[&str]) -> Ran {
        ran(self.command(&self.user, project, flags))
    }

    /// The digest of a build that works.
    fn digest(&self, project: &Path, flags: &[&str]) -> String {
        digest(self.build(project, flags))
    }

    /// What a build that works puts into a layout; sound, and named by the digest on standard output.
    fn content(&self, project: &Path, flags: &[&str]) -> ImageOrIndex {
        let file = self.user.path("image.tar");
        let output = format!("type=oci,dest={}", file.display());
        let printed = self.digest(project, &[flags, &["-o", &output]].concat());
        let content = Layout::open(&file).unwrap().read(None).unwrap();
        assert_eq!(validate(&content), []);
        assert_eq!(content.descriptor().digest.to_string(), printed);
        content
    }

    fn image(&self, project: &Path, flags: &[&str]) -> Image {
        let ImageOrIndex::Image(image) = self.content(project, flags) else { panic!("an index of one platform") };
        image
    }

    /// The lines of a build that is refused with this exit code: one error, and hints. What was half done is gone.
    fn refused(&self, project: &Project, flags: &[&str], code: i32) -> Refusal {
        let before = listing(project.path());
        let (failed, said) = self.build(project.path(), flags).failed();
        let refusal = Refusal::read(&said);
        assert_eq!(failed, code, "{said}");
        assert_eq!(listing(project.path()), before, "the project is as it was");
        let scratch = self.user.path("store/tmp");
        let left: Vec<_> = fs::read_dir(&scratch).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [] as [PathBuf; 0], "nothing is left in {}", scratch.display());
        refusal
    }
}

/// What a build says that did not work.
#[derive(Debug)]
struct Refusal {
    error: String,
    hint: String,
    said: String,
}

impl Refusal {
    fn read(said: &str) -> Self {
        let errors: Vec<usize> = said
            .match_indices("error: ")
            .map(|(at, _)| at)
            .filter(|&at| at == 0 || said[..at].ends_with('\n'))
            .collect();
        assert_eq!(errors.len(), 1, "one error:\n{said}");
        let (error, hint) = said[errors[0]..].split_once("\nhint: ").unwrap_or((&said[errors[0]..], ""));
        Self { error: error.trim_end().to_owned(), hint: hint.trim_end().to_owned(), said: said.to_owned() }
    }

    /// Demands words of the error, and words of the hint.
    #[track_caller]
    fn says(&self, error: &[&str], hint: &str) {
        for words in error {
            assert!(self.error.contains(words), "`{words}` is not said:\n{}", self.said);
        }
        assert!(!self.hint.is_empty() && self.hint.contains(hint), "`{hint}` is no hint:\n{}", self.said);
    }
}

/// The archive: Python for the image, and for this machine where that is another one.
fn archive() -> DebianArchiveBuilder {
    match std::env::consts::ARCH {
        "aarch64" => World::archive().architecture("arm64").debs("trixie", python_debs("3.13", "arm64")),
        _ => World::archive(),
    }
}

fn ran(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The digest that a build printed, and nothing else.
#[track_caller]
fn digest(ran: Ran) -> String {
    let printed = ran.ok();
    let digest = printed.strip_suffix('\n').unwrap_or_default();
    assert!(digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64), "{printed:?}");
    digest.to_owned()
}

/// Every path below a directory with its content.
fn listing(directory: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match fs::symlink_metadata(&path).unwrap().is_dir() {
            true => all.extend(listing(&path)),
            false => drop(all.insert((path.clone(), fs::read(&path).unwrap_or_default()))),
        }
    }
    all
}

/// A copy of a project that belongs to this user; the files are made in the opposite order.
fn copy_for(user: &User, project: &Project, name: &str) -> PathBuf {
    let to = user.path(name);
    let owner = fs::metadata(user.home()).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap();
    for (path, bytes) in listing(project.path()).into_iter().rev() {
        let copy = to.join(path.strip_prefix(project.path()).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, bytes).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        for path in copy.ancestors().take_while(|path| *path != user.home()) {
            lchown(path, Some(owner), Some(owner)).unwrap();
        }
    }
    to
}
