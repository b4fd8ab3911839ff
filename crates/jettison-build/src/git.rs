//! Distributions that lie in git repositories: which ones a project names, and the `git` that fetches them.
//!
//! 1. [`repositories`] finds the URLs among what is asked for.
//! 2. [`GitRoom`] is Debian's git over the root of a tool. It is in no lock and no image: it only fetches what a commit names.
//! 3. [`environment`] is what git may know of the user: configuration, credentials, hosts, the agent with the keys.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use jettison_engine::sandbox::Mount;
use jettison_engine::store::Snapshot;
use jettison_http::redact;
use jettison_python::direct::{DirectReference, without_credentials};
use jettison_python::project::Project;
use jettison_python::requirements::{Requirements, Wanted};

use crate::base::Roots;
use crate::choose;
use crate::error::{BuildError, Context as _};
use crate::job::Job;
use crate::lockfile::LockedPackages;
use crate::machine::Machine;
use crate::sdist::Packages;
use crate::system::Archives;
use crate::tool::{Tool, bind};

/// What `git clone` with submodules runs.
const PACKAGES: [&str; 5] = ["coreutils", "dash", "git", "grep", "sed"];
/// What git comes with and fetching does without.
const NOT_NEEDED: [&str; 9] =
    ["git-man", "less", "liberror-perl", "patch", "perl", "perl-base", "publicsuffix", "xauth", "adduser"];
/// The home directory of tools.
pub const HOME: &str = "/.jettison/home";
/// Where the certificates of this machine are for tools.
pub const CERTIFICATES: &str = "/.jettison/certificates.pem";
/// A repository must not name a program to run as its transport.
const CAREFUL: [&str; 4] = ["-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null"];

/// The git repositories that the requirements of a project name, by URL.
pub fn repositories(project: &Project, requirements: Option<&Requirements>) -> Vec<String> {
    let mut urls = Vec::new();
    let mut add = |reference: Option<DirectReference>| match reference {
        Some(DirectReference::Vcs(vcs)) if vcs.kind == "git" => urls.push(vcs.url),
        _ => {}
    };
    for entry in requirements.iter().flat_map(|file| file.entries.iter().chain(&file.constraints)) {
        if let Wanted::Direct(reference) = &entry.wanted {
            add(Some(reference.clone()));
        }
    }
    let lists = std::iter::once(&project.dependencies).chain(project.extras.values()).chain(project.groups.values());
    for url in lists.flatten().filter_map(|requirement| requirement.url()) {
        add(DirectReference::parse(url).map(|(reference, _)| reference));
    }
    for source in project.uv.sources.values() {
        // One source, or one for each marker.
        let tables = source.as_array().map_or_else(|| vec![source], |list| list.iter().collect());
        let named = tables.iter().filter_map(|table| table.get("git")?.as_str());
        urls.extend(named.map(|url| url.strip_prefix("git+").unwrap_or(url).to_owned()));
    }
    urls.sort();
    urls.dedup();
    urls
}

/// The directory of a repository on this machine.
pub fn directory(url: &str) -> Option<PathBuf> {
    match DirectReference::parse(url)? {
        (DirectReference::Path { path, .. }, _) if path.starts_with('/') => Some(PathBuf::from(path)),
        _ => None,
    }
}

/// Whether ssh reaches a repository: by its scheme, or as `host:path`.
pub fn is_ssh(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) => scheme.contains("ssh"),
        None => !url.starts_with('/') && url.split_once(':').is_some_and(|(host, _)| !host.contains('/')),
    }
}

/// Debian's git, unpacked when it is first needed.
pub struct GitRoom<'a> {
    job: &'a Job<'a>,
    archives: &'a Archives<'a>,
    below: Option<&'a LockedPackages>,
    root: &'a Roots,
    named: &'a [String],
    /// With ssh and without.
    unpacked: Mutex<BTreeMap<bool, Snapshot>>,
}

impl<'a> GitRoom<'a> {
    /// Git from `archives` for a `root` that has the packages `below` already. The project has `named` these repositories.
    pub fn new(
        job: &'a Job<'a>,
        archives: &'a Archives<'a>,
        below: Option<&'a LockedPackages>,
        root: &'a Roots,
        named: &'a [String],
    ) -> Self {
        Self { job, archives, below, root, named, unpacked: Mutex::default() }
    }

    /// The URL as the project has it, which may say who asks. A lock does not.
    pub fn spelled<'u>(&'u self, url: &'u str) -> &'u str {
        let same = |named: &&String| named.contains('@') && without_credentials(named) == url;
        self.named.iter().find(same).map_or(url, String::as_str)
    }

    /// `root` with git, and with ssh where that is asked for.
    pub fn under(&self, root: Roots, ssh: bool) -> Result<Roots, BuildError> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = unpacked.get(&ssh) {
            return Ok(root.under(snapshot.clone()));
        }
        if let Some(other) = self.archives.not_debian() {
            return Err(BuildError::new(format!(
                "a dependency is in a git repository, and the base is {other}, to which Debian's git cannot be added"
            ))
            .hint("commit a lock (uv lock, or a pylock.toml that was made elsewhere), or take a base of Debian"));
        }
        let mut roots: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
        if ssh {
            roots.push("openssh-client".to_owned());
        }
        let chosen = choose::choose(self.archives.get()?, &roots, self.below, None, &NOT_NEEDED);
        let chosen = chosen.context("choosing git, which fetches a dependency")?;
        choose::fetch(self.job, self.archives.mirrors(), &chosen.package)?;
        let snapshot = Packages::new(&chosen.package, self.job.machine.threads).unpack(self.job.store)?;
        unpacked.insert(ssh, snapshot.clone());
        Ok(root.under(snapshot))
    }

    /// Runs git on the repository at `url` with a directory of this machine: the machine's own git, or, where there is none, Debian's.
    /// Returns what it prints.
    pub fn run(&self, url: &str, directory: &Path, arguments: &[&str]) -> Result<String, BuildError> {
        let own = Command::new("git").args(CAREFUL).args(arguments).env("GIT_TERMINAL_PROMPT", "0").output();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (works, said) = match own {
            Ok(output) if output.status.success() => (true, text(&output.stdout)),
            Ok(output) => (false, text(&output.stderr)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.run_debian(url, directory, arguments)?,
            Err(error) => return Err(BuildError::new(format!("`git` cannot be started: {error}"))),
        };
        if works {
            return Ok(said);
        }
        Err(BuildError::new(format!(
            "cannot fetch {}: {}",
            redact(url),
            said.trim().replace(self.spelled(url), &redact(url))
        ))
        .transient(is_unreachable(&said))
        .hint("is the repository there, and may this machine read it? git's own configuration is used"))
    }

    fn run_debian(&self, url: &str, directory: &Path, arguments: &[&str]) -> Result<(bool, String), BuildError> {
        let root = self.under(self.root.clone(), is_ssh(url))?;
        let scratch = self.job.store.scratch()?;
        let (env, mut mounts) = environment(self.job.machine, &[url.to_owned()], scratch.path())?;
        let inside = "/.jettison/repository";
        mounts.push(bind(directory, inside, false));
        let directory = directory.to_string_lossy();
        let mut argv = vec!["git".to_owned()];
        let here = arguments.iter().map(|argument| if *argument == directory { inside } else { argument });
        argv.extend(CAREFUL.into_iter().chain(here).map(str::to_owned));
        let tool = Tool {
            lower: root.paths.clone(),
            upper: None,
            argv,
            env,
            cwd: "/".into(),
            mounts,
            network: true,
            quiet: false,
        };
        let done = tool.run(|_| {})?;
        Ok((done.status.success(), done.output))
    }
}

/// What a tool in the sandbox is given: variables, and what is mounted.
pub type Surroundings = (Vec<(String, String)>, Vec<Mount>);

/// Whether trying again may help.
fn is_unreachable(said: &str) -> bool {
    let signs =
        ["Could not resolve host", "Connection refused", "Connection timed out", "Connection reset", "error: 50"];
    signs.iter().any(|sign| said.contains(sign))
}

/// What a tool in the sandbox is given for reaching `repositories`: variables and mounts. `scratch` is a directory of its own that lives as
/// long as the tool.
pub fn environment(machine: &Machine, repositories: &[String], scratch: &Path) -> Result<Surroundings, BuildError> {
    let mut env: Vec<(String, String)> = [
        ("HOME", HOME),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_SSL_CAINFO", CERTIFICATES),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let passed = |name: &str| name.starts_with("GIT_CONFIG_") || name.to_uppercase().ends_with("_PROXY");
    env.extend(machine.vars.iter().filter(|(name, _)| passed(name)).map(|(name, value)| (name.clone(), value.clone())));
    let mut mounts = Vec::new();
    let mut give = |path: PathBuf, inside: String| {
        let path = path.canonicalize().ok();
        let there = path.is_some();
        mounts.extend(path.map(|path| bind(path, inside, true)));
        there
    };
    if !certificates(machine).is_some_and(|bundle| give(bundle, CERTIFICATES.to_owned())) {
        env.retain(|(name, _)| name != "GIT_SSL_CAINFO");
    }
    // Who owns a repository here says nothing inside, where all of this machine's ids may be one.
    let system = scratch.join("gitconfig");
    std::fs::write(&system, "[safe]\n\tdirectory = *\n[include]\n\tpath = /.jettison/gitconfig\n")?;
    give(system, "/etc/gitconfig".to_owned());
    give("/etc/gitconfig".into(), "/.jettison/gitconfig".to_owned());
    let mut ssh = String::from("ssh -o BatchMode=yes");
    if let Some(home) = &machine.home {
        let config = machine.var("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        give(config.join("git"), format!("{HOME}/.config/git"));
        give(machine.var("NETRC").map_or_else(|| home.join(".netrc"), PathBuf::from), format!("{HOME}/.netrc"));
        for file in [".gitconfig", ".git-credentials"] {
            give(home.join(file), format!("{HOME}/{file}"));
        }
        // ssh takes the home directory of the passwd file, which is another one inside.
        if give(home.join(".ssh/config"), format!("{HOME}/.ssh/config")) {
            ssh += &format!(" -F {HOME}/.ssh/config");
        }
        if give(home.join(".ssh/known_hosts"), format!("{HOME}/.ssh/known_hosts")) {
            ssh += &format!(" -o UserKnownHostsFile={HOME}/.ssh/known_hosts");
        }
    }
    give("/etc/ssh/ssh_known_hosts".into(), "/etc/ssh/ssh_known_hosts".to_owned());
    env.push(("GIT_SSH_COMMAND".to_owned(), ssh));
    if let Some(socket) = machine.var("SSH_AUTH_SOCK")
        && give(socket.into(), "/.jettison/ssh-agent".to_owned())
    {
        env.push(("SSH_AUTH_SOCK".to_owned(), "/.jettison/ssh-agent".to_owned()));
    }
    for path in repositories.iter().filter_map(|url| directory(url)) {
        give(path.clone(), path.to_string_lossy().into_owned());
    }
    Ok((env, mounts))
}

/// The certificates that this machine trusts.
pub fn certificates(machine: &Machine) -> Option<PathBuf> {
    const BUNDLES: [&str; 3] =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let named = machine.var("SSL_CERT_FILE").map(Path::new);
    named.into_iter().chain(BUNDLES.map(Path::new)).find(|path| path.is_file()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_reached_by_what_their_urls_say() {
        for (url, ssh, here) in [
            ("file:///srv/lib.git", false, Some("/srv/lib.git")),
            ("https://h/lib.git", false, None),
            ("ssh://git@h/lib.git", true, None),
            ("git+ssh://git@h/lib.git", true, None),
            ("git@h:me/lib.git", true, None),
            ("/srv/lib", false, Some("/srv/lib")),
        ] {
            assert_eq!((is_ssh(url), directory(url)), (ssh, here.map(PathBuf::from)), "{url}");
        }
    }

    #[test]
    fn every_place_that_can_name_a_repository_is_looked_at() {
        let home = tempfile::tempdir().unwrap();
        let pyproject = "[project]\nname = \"app\"\nversion = \"1\"\n\
             dependencies = [\"a @ git+https://h/a@v1\", \"b\", \"c\", \"z @ https://h/z.whl\"]\n\
             [dependency-groups]\ntool = [\"d @ git+ssh://git@h/d\"]\n\
             [tool.uv.sources]\nb = { git = \"https://h/b\", tag = \"v2\" }\n\
             c = [{ git = \"file:///srv/c\", marker = \"sys_platform == 'linux'\" }, { index = \"x\" }]\n";
        std::fs::write(home.path().join("pyproject.toml"), pyproject).unwrap();
        let project = Project::read(home.path()).unwrap();
        let found = repositories(&project, None);
        assert_eq!(found, ["file:///srv/c", "https://h/a", "https://h/b", "ssh://git@h/d"]);

        std::fs::write(home.path().join("requirements.txt"), "-e git+https://h/e@main#egg=e\nf\n").unwrap();
        let requirements = Requirements::read(home.path(), &["requirements.txt".to_owned()], &|_| None).unwrap();
        assert!(repositories(&project, Some(&requirements)).contains(&"https://h/e".to_owned()));
    }
}
