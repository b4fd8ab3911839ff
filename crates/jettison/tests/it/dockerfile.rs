//! Dockerfiles as users build them: on a base image with a shell, made of the programs of this machine, and on loopback alone. What each
//! instruction means is the business of `tests/dockerfile`; here it is what the command does with them.

mod caching;
mod faults;
mod front_end;
mod images;
mod inputs;
mod outputs;
mod steps;
mod trouble;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::ContainerConfig;
use jettison_testkit::archive::TarMember;
use serde_json::Value;

use crate::fixture::{Ran, User, base, image};

/// What the base image has besides a shell.
const PROGRAMS: [&str; 6] = ["sh", "cat", "id", "ln", "mkdir", "sleep"];

/// A user with a base image called `base`, and a directory to build in.
struct Site {
    user: User,
    context: PathBuf,
}

impl Site {
    fn new() -> Self {
        Self::of(User::new())
    }

    /// Root and a user without privileges.
    fn all() -> Vec<Self> {
        User::all().into_iter().map(Self::of).collect()
    }

    fn of(user: User) -> Self {
        let config = ContainerConfig {
            env: vec!["PATH=/usr/bin:/bin".into(), "FROM_BASE=1".into()],
            cmd: Some(vec!["/bin/sh".into()]),
            ..ContainerConfig::default()
        };
        user.import(&ImageOrIndex::Image(image(&[&base_with_programs()], config)), "base");
        let context = user.path("context");
        fs::create_dir(&context).unwrap();
        fs::set_permissions(&context, fs::Permissions::from_mode(0o755)).unwrap();
        Self { user, context }
    }

    /// Writes a file of the context, with the directories above it.
    fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.context.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn dockerfile(&self, text: &str) -> &Self {
        self.file("Dockerfile", text)
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = self.user.command(&["build", "--offline"]);
        command.arg(&self.context).args(flags);
        command
    }

    fn build(&self, flags: &[&str]) -> Ran {
        Ran::of(&mut self.command(flags))
    }

    /// The report of a build that works.
    fn report(&self, flags: &[&str]) -> Value {
        let printed = self.build(&[flags, &["--json"]].concat()).ok();
        serde_json::from_str(&printed).unwrap()
    }

    /// The steps that a build ran, without those that only begin with an image.
    fn ran(&self, flags: &[&str]) -> Vec<String> {
        let report = self.report(flags);
        let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["cached"] == Value::Bool(false));
        let names = steps.map(|step| step["name"].as_str().unwrap().split_once("] ").unwrap().1.to_owned());
        names.filter(|name| !name.starts_with("FROM ")).collect()
    }

    /// The text of a file that a build writes out.
    fn read(&self, name: &str, flags: &[&str]) -> String {
        let out = self.user.path("out");
        let output = format!("type=local,dest={}", out.display());
        self.build(&[flags, &["-o", &output]].concat()).ok();
        let text = fs::read_to_string(out.join(name)).unwrap();
        fs::remove_dir_all(out).unwrap();
        text
    }

    /// The config of an image.
    fn config(&self, name: &str) -> Value {
        let layout = self.user.path("layout");
        self.user.run(&["copy", &format!("store:{name}"), &format!("oci:{}", layout.display())]).ok();
        let read = |digest: &Value| -> Value {
            let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
        };
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let manifest = read(&index["manifests"][0]["digest"]);
        let mut config = read(&manifest["config"]["digest"]);
        config["annotations"] = manifest["annotations"].clone();
        fs::remove_dir_all(layout).unwrap();
        config
    }

    /// Nothing half done is left.
    fn is_clean(&self) {
        let left: Vec<_> =
            fs::read_dir(self.user.path("store/tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [] as [PathBuf; 0]);
    }
}

/// The root file system of a machine with a shell: programs of this one, with the libraries that `ldd` names.
fn base_with_programs() -> Vec<TarMember> {
    let mut members = base();
    let mut files = BTreeSet::new();
    for program in PROGRAMS {
        let path = ["/usr/bin", "/bin"].iter().map(|directory| Path::new(directory).join(program));
        let path = path.into_iter().find(|path| path.exists()).unwrap();
        let listed = Command::new("ldd").arg(&path).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        files.extend(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
        files.insert(path);
    }
    let mut directories = BTreeSet::new();
    let merged = fs::read_link("/bin").is_ok();
    let mut contents = Vec::new();
    for file in files {
        let mut inside = file.to_str().unwrap().trim_start_matches('/').to_owned();
        if merged && !inside.starts_with("usr/") {
            inside = format!("usr/{inside}");
        }
        let mut above = Path::new(&inside).parent();
        while let Some(directory) = above.filter(|directory| !directory.as_os_str().is_empty()) {
            directories.insert(directory.to_str().unwrap().to_owned());
            above = directory.parent();
        }
        contents.push(TarMember::file(inside.as_str(), fs::read(&file).unwrap()).mode(0o755));
    }
    let known = ["usr", "etc", "tmp", "bin", "lib", "lib64", "sbin"];
    members.extend(
        directories
            .iter()
            .filter(|name| !known.contains(&name.as_str()))
            .map(|name| TarMember::directory(name.as_str())),
    );
    members.extend(contents);
    members
}
