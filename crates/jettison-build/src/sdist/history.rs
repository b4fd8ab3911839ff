//! What a build reads of the repository that its source lies in: many projects have their version from its tags, and setuptools takes the
//! files of a package from its index.
//!
//! 1. [`is_read`] tells whether a build asks for it. Only then git is in the builder and a `.git` in the source.
//! 2. [`reduce`] takes away what differs from one clone to the next, and what is nobody's business: remotes, their URLs, refs beside the history.
//! 3. [`History::of_directory`] makes one for a directory of this machine, whose own repository no build may write to.
//! 4. [`variables`] name the version to tools that would ask git for it, where a lock or the user says it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jettison_engine::CacheKey;
use jettison_tree::Digest;

use super::source::BuildSystem;
use crate::error::{BuildError, Context as _};
use crate::git::GitRoom;
use crate::machine::Machine;

/// The Debian package that builds read a repository with.
pub(super) const PACKAGE: &str = "git";
/// What comes with it and only talks to other machines, or is documentation.
pub(super) const NOT_NEEDED: [&str; 6] =
    ["git-man", "libcurl3-gnutls", "libcurl3t64-gnutls", "libexpat1", "liberror-perl", "perl"];
/// The system's configuration of git in a builder: whose the files are says nothing there.
pub(super) const CONFIGURATION: &str = "[safe]\n\tdirectory = *\n";
/// Distributions that ask git, as PEP 503 normalises their names.
const TOOLS: [&str; 11] = [
    "dunamai",
    "flit-scm",
    "hatch-vcs",
    "pbr",
    "poetry-dynamic-versioning",
    "setuptools-git",
    "setuptools-git-versioning",
    "setuptools-scm",
    "vcs-versioning",
    "versioneer",
    "versioningit",
];
/// What names the version to them: setuptools-scm and hatch-vcs, pdm-backend, poetry-dynamic-versioning, pbr. versioningit has no such variable.
const VARIABLES: [&str; 4] =
    ["SETUPTOOLS_SCM_PRETEND_VERSION", "PDM_BUILD_SCM_VERSION", "POETRY_DYNAMIC_VERSIONING_BYPASS", "PBR_VERSION"];

/// Whether building `tree` asks a repository: by what it is built with, by what `pyproject` says, or as setup scripts name such tools.
pub(super) fn is_read(tree: &Path, requires: &[String], pyproject: Option<&toml::Table>) -> bool {
    let tool = |keys: &[&str]| {
        let mut value = pyproject?.get("tool")?;
        for key in keys {
            value = value.get(key)?;
        }
        value.as_str()
    };
    let script = |name: &str| is_named_in(&fs::read_to_string(tree.join(name)).unwrap_or_default());
    requires.iter().any(|requirement| is_tool(requirement))
        || tool(&["pdm", "version", "source"]) == Some("scm")
        || script("setup.py")
        || script("setup.cfg")
}

/// Whether a requirement is one for a tool that asks git.
fn is_tool(requirement: &str) -> bool {
    let end = requirement.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(requirement.len());
    let name = requirement[..end].to_ascii_lowercase().replace(['_', '.'], "-");
    TOOLS.contains(&name.as_str())
}

/// Whether a text, such as a script or what a failed build says, names a tool that asks git.
pub fn is_named_in(text: &str) -> bool {
    let spelled = text.to_ascii_lowercase().replace('_', "-");
    spelled.contains("use-scm-version")
        || spelled.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| TOOLS.contains(&word))
}

/// The variables that a build has where it would ask git for a version: the user's, and where there are none the `version` that is locked.
pub(super) fn variables(machine: &Machine, version: Option<&str>) -> BTreeMap<String, String> {
    let named = |name: &str| VARIABLES.iter().any(|variable| name.starts_with(variable));
    let own = machine.vars.iter().filter(|(name, value)| named(name) && !value.is_empty());
    let own: BTreeMap<_, _> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    match version {
        Some(version) if own.is_empty() => {
            VARIABLES.iter().map(|name| ((*name).to_owned(), version.to_owned())).collect()
        }
        _ => own,
    }
}

/// A `.git` for a source.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// The directory.
    path: PathBuf,
    /// Where the source stands in the work tree.
    pub(super) below: PathBuf,
    /// Over the commit and the tags that lead to it.
    pub(super) digest: Digest,
}

impl History {
    /// That of a clone in which nothing but its history was left.
    pub(super) fn of_clone(clone: &Path) -> Result<Self, BuildError> {
        let path = clone.join(".git");
        let read = |name: &str| fs::read(path.join(name)).context(name);
        let key = CacheKey::builder("history/1").field("head", read("HEAD")?).field("refs", read("packed-refs")?);
        Ok(Self { below: PathBuf::new(), digest: Digest::from_bytes(*key.finish().as_bytes()), path })
    }

    /// That of the repository that `directory` lies in, cloned into `into`; `None` where it lies in none.
    pub(super) fn of_directory(room: &GitRoom<'_>, directory: &Path, into: &Path) -> Result<Option<Self>, BuildError> {
        let directory = directory.canonicalize().context(directory.display())?;
        let Some(top) = directory.ancestors().find(|path| path.join(".git").exists()) else { return Ok(None) };
        let below = directory.strip_prefix(top).unwrap_or(Path::new("")).to_owned();
        fs::create_dir_all(into)?;
        let (from, to) = (text(top)?, text(into)?);
        let run = |arguments: &[&str]| room.run(from, into, arguments);
        run(&["clone", "--quiet", "--no-checkout", "--", from, to])?;
        // What lies beside the source is in the index and not in the tree, which is no change.
        let git = into.join(".git");
        if !below.as_os_str().is_empty() {
            fs::create_dir_all(git.join("info"))?;
            fs::write(git.join("info/sparse-checkout"), format!("/{}/\n", text(&below)?))?;
        }
        let sparse =
            if below.as_os_str().is_empty() { "core.sparseCheckout=false" } else { "core.sparseCheckout=true" };
        run(&["-C", to, "-c", sparse, "reset", "--quiet", "--mixed"])?;
        reduce(room, from, into)?;
        Ok(Some(Self { below, ..Self::of_clone(into)? }))
    }

    /// Puts it into the work tree `top`. Objects are shared where that is possible: git never writes to one.
    pub(super) fn put(&self, top: &Path) -> io::Result<()> {
        copy(&self.path, &top.join(".git"), false)
    }
}

fn copy(from: &Path, to: &Path, share: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&path, &to, share || entry.file_name() == "objects")?;
        } else if !share || fs::hard_link(&path, &to).is_err() {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

/// Leaves the history of `HEAD` in a clone: the tags that lead to it, and its branch. No URL, no hook, no log, no module of its own.
pub(super) fn reduce(room: &GitRoom<'_>, url: &str, clone: &Path) -> Result<(), BuildError> {
    let git = clone.join(".git");
    let ask = |arguments: &[&str]| room.run(url, clone, &[&["-C", text(clone)?], arguments].concat());
    let refs = ask(&["for-each-ref", "--merged=HEAD", "--format=%(objectname) %(refname)", "refs/tags"])?;
    let mut packed: Vec<&str> = refs.lines().map(str::trim).filter(|line| line.contains(" refs/tags/")).collect();
    let head = fs::read_to_string(git.join("HEAD")).context("HEAD")?;
    let commit = ask(&["rev-parse", "HEAD"])?;
    let branch = head.trim().strip_prefix("ref: ").map(|branch| format!("{} {branch}", commit.trim()));
    packed.extend(branch.as_deref());
    let packed: String = packed.iter().flat_map(|line| [line, "\n"]).collect();
    let config = fs::read_to_string(git.join("config")).context("config")?;
    for entry in fs::read_dir(&git)? {
        let entry = entry?;
        let name = entry.file_name();
        let kept = ["HEAD", "index", "objects", "shallow"].iter().any(|kept| name == *kept);
        match (kept, entry.file_type()?.is_dir()) {
            (true, _) => {}
            (false, true) => fs::remove_dir_all(entry.path())?,
            (false, false) => fs::remove_file(entry.path())?,
        }
    }
    fs::write(git.join("config"), core(&config))?;
    fs::write(git.join("packed-refs"), packed)?;
    for directory in ["refs/heads", "refs/tags"] {
        fs::create_dir_all(git.join(directory))?;
    }
    Ok(())
}

/// The sections of a repository's configuration that say how it is stored.
fn core(config: &str) -> String {
    let mut kept = false;
    let sections = config.lines().filter(|line| {
        if line.starts_with('[') {
            kept = line.starts_with("[core]") || line.starts_with("[extensions]");
        }
        kept
    });
    sections.flat_map(|line| [line, "\n"]).collect()
}

fn text(path: &Path) -> Result<&str, BuildError> {
    path.to_str().ok_or_else(|| BuildError::new(format!("the path `{}` is not UTF-8", path.display())))
}

/// What to do where a build failed that reads a repository and had none.
pub(super) fn hint(name: &str, system: &BuildSystem) -> Option<String> {
    system.reads_history.then(|| {
        format!(
            "{name} has its version from git, and its source lies in no repository: set {}, as pip and uv understand it",
            VARIABLES[0]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_asks_git_is_known_by_its_tools() {
        let home = tempfile::tempdir().unwrap();
        for (requirement, reads) in [
            ("setuptools_scm[toml]>=8", true),
            ("hatch-vcs", true),
            ("Versioningit ~= 3.0", true),
            ("poetry-dynamic-versioning>=1,<2", true),
            ("setuptools>=64", false),
            ("pbr-like", false),
        ] {
            assert_eq!(is_read(home.path(), &[requirement.to_owned()], None), reads, "{requirement}");
        }
        let pdm: toml::Table = "tool.pdm.version.source = \"scm\"".parse().unwrap();
        assert!(is_read(home.path(), &["pdm-backend".to_owned()], Some(&pdm)));
        assert!(!is_read(home.path(), &["pdm-backend".to_owned()], Some(&toml::Table::new())));
        fs::write(home.path().join("setup.py"), "setup(use_scm_version=True)").unwrap();
        assert!(is_read(home.path(), &[], None));
        assert!(is_named_in("LookupError: setuptools-scm was unable to detect version for /src"));
    }

    #[test]
    fn the_user_names_a_version_before_the_lock_does() {
        let mut machine = Machine::default();
        assert!(variables(&machine, None).is_empty());
        let locked = variables(&machine, Some("1.2"));
        assert_eq!(locked.get("PDM_BUILD_SCM_VERSION").map(String::as_str), Some("1.2"));
        assert_eq!(locked.len(), VARIABLES.len());
        machine.vars.insert("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_A_B".to_owned(), "3".to_owned());
        machine.vars.insert("PATH".to_owned(), "/bin".to_owned());
        let own: Vec<_> = variables(&machine, Some("1.2")).into_iter().collect();
        assert_eq!(own, [("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_A_B".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn no_url_stays_in_a_configuration() {
        let config = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://me:secret@h/x\n[extensions]\n\tobjectformat = sha256\n[branch \"main\"]\n\tremote = origin\n";
        assert_eq!(core(config), "[core]\n\tbare = false\n[extensions]\n\tobjectformat = sha256\n");
    }
}
