//! A user with a home and a store, and images made by hand.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use jettison_elf::{Abi, ldconfig_stub};
use jettison_oci::blob::BlobSet;
use jettison_oci::image::{Image, ImageOrIndex, Index};
use jettison_oci::media::layout::write_layout;
use jettison_oci::types::{ContainerConfig, Descriptor, DiffId, History, MediaType, Platform};
use jettison_oci::{ImageBuilder, validate};
use jettison_testkit::archive::{Compression, TarMember, tar};
use jettison_tree::Digest;
use rustix::fs::{Gid, Uid, chown};

/// A user without any privileges, or subordinate ids.
const STRANGER: u32 = 64_321;

/// A user, with a home that holds the store.
pub struct User {
    directory: tempfile::TempDir,
    /// Another than who runs the tests.
    id: Option<u32>,
    command: PathBuf,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The standard output of a command that worked.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Exit code and standard error of one that did not, which wrote nothing else.
    pub fn failed(self) -> (i32, String) {
        assert_ne!(self.code, 0, "{}", self.stdout);
        assert_eq!(self.stdout, "");
        (self.code, self.stderr)
    }
}

impl User {
    /// The user who runs the tests.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, id: None, command: env!("CARGO_BIN_EXE_jettison").into() }
    }

    /// Root and a user without privileges, or, where the tests are run by one, that one alone.
    pub fn all() -> Vec<Self> {
        let mut users = vec![Self::new()];
        if rustix::process::geteuid().is_root() {
            // A copy that this user can reach.
            let directory = tempfile::tempdir().unwrap();
            fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
            let command = directory.path().join("jettison");
            fs::copy(env!("CARGO_BIN_EXE_jettison"), &command).unwrap();
            chown(directory.path(), Some(Uid::from_raw(STRANGER)), Some(Gid::from_raw(STRANGER))).unwrap();
            users.push(Self { directory, id: Some(STRANGER), command });
        }
        users
    }

    /// The user's home.
    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// A path in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// The command, with an environment that has nothing but the user's home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command);
        command.args(arguments).current_dir(self.home()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.home()).env("JETTISON_STORE", self.path("store")).env("PATH", "/usr/bin:/bin");
        if let Some(id) = self.id {
            command.uid(id).gid(id);
        }
        command
    }

    /// Runs the command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Puts an image into the user's store, by way of a layout, and returns its digest.
    pub fn import(&self, content: &ImageOrIndex, name: &str) -> Digest {
        let layouts = tempfile::tempdir().unwrap();
        fs::set_permissions(layouts.path(), Permissions::from_mode(0o755)).unwrap();
        let layout = layouts.path().join("layout");
        write_layout(&layout, content, None).unwrap();
        let digest = self.run(&["copy", &format!("oci:{}", layout.display()), &format!("store:{name}")]).ok();
        assert_eq!(digest, format!("{}\n", content.descriptor().digest));
        content.descriptor().digest
    }
}

/// An image of this machine with these layers, each a gzipped tar, the lowest first.
pub fn image(layers: &[&[TarMember]], config: ContainerConfig) -> Image {
    image_for(&Platform::linux(std::env::consts::ARCH), layers, config)
}

/// An image for another one.
pub fn image_for(platform: &Platform, layers: &[&[TarMember]], config: ContainerConfig) -> Image {
    let mut builder = ImageBuilder::new(platform, 0);
    let mut blobs = BlobSet::new();
    for members in layers {
        let tar = tar(members);
        let blob = Compression::Gzip.compress(&tar);
        let descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &blob);
        blobs.add_bytes(blob);
        builder.add_blob(descriptor, DiffId::of_tar(Digest::of(&tar)), History::layer("by hand"));
    }
    builder.config().config = config;
    builder.add_source(Arc::new(blobs));
    let image = builder.build().unwrap();
    assert_eq!(validate(&ImageOrIndex::Image(image.clone())), []);
    image
}

/// An image of one program that prints this text, and needs nothing else.
pub fn printing(text: &str) -> ImageOrIndex {
    ImageOrIndex::Image(printing_for(&Platform::linux(std::env::consts::ARCH), text))
}

/// The same for another platform.
pub fn printing_for(platform: &Platform, text: &str) -> Image {
    let abi = if platform.architecture == "arm64" { Abi::AARCH64 } else { Abi::X86_64 };
    let program = ldconfig_stub(abi, text.as_bytes()).unwrap();
    let layer = [TarMember::directory("bin"), TarMember::file("bin/hello", program).mode(0o755)];
    let config = ContainerConfig { entrypoint: Some(vec!["/bin/hello".into()]), ..ContainerConfig::default() };
    image_for(platform, &[&layer], config)
}

/// An index of it for two platforms.
pub fn printing_everywhere(text: &str) -> ImageOrIndex {
    let platforms = [Platform::linux("amd64"), Platform::linux("arm64")];
    ImageOrIndex::Index(Index::of(&platforms.map(|platform| printing_for(&platform, text))))
}

/// A layer in which the programs of this machine can be mounted.
pub fn base() -> Vec<TarMember> {
    let mut members = vec![
        TarMember::directory("etc"),
        TarMember::file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"),
        TarMember::file("etc/group", "root:x:0:\napp:x:1001:\naudio:x:29:app\n"),
        TarMember::directory("tmp").mode(0o1777),
        TarMember::directory("usr"),
    ];
    for name in ["bin", "lib", "lib64", "sbin"] {
        match fs::read_link(Path::new("/").join(name)) {
            Ok(target) => members.push(TarMember::symlink(name, target.into_os_string().into_encoded_bytes())),
            Err(_) => members.push(TarMember::directory(name)),
        }
    }
    members
}

/// The flags that mount them, and the shell of the image's user.
pub fn shell<'a>(flags: &[&'a str], image: &'a str, script: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["run", "-v", "/usr:/usr:ro"];
    for (path, volume) in [("/bin", "/bin:/bin:ro"), ("/lib", "/lib:/lib:ro"), ("/lib64", "/lib64:/lib64:ro")] {
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
            arguments.extend(["-v", volume]);
        }
    }
    arguments.extend(flags);
    arguments.extend(["--entrypoint", "/bin/sh", image, "-c", script]);
    arguments
}
