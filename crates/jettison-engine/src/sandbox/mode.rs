//! Which user ids a sandbox can have here, and why it can have none.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::spec::Spec;

/// Where distributions put the setuid helpers of shadow-utils.
const HELPER_DIRECTORIES: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

/// How user ids of a sandbox come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// They are what they are outside: the caller is root, and may do what a root that is not confined may.
    Root,
    /// 0 is the caller, those above are its subordinate ids (subuid(5)), mapped by `newuidmap` and `newgidmap`.
    IdRanges {
        /// Subordinate user ids.
        users: IdRange,
        /// Subordinate group ids.
        groups: IdRange,
    },
    /// The one id that the program has is the caller. All files belong to it; no other id exists.
    SingleId,
}

/// A range of subordinate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first, outside. It is 1 inside.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// What a stage does about ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum IdMap {
    /// Nothing: no user namespace is made.
    Same,
    /// It makes a user namespace and the caller maps its ids.
    ByCaller,
    /// It makes a user namespace in which it has these ids, and no others exist.
    Single { uid: u32, gid: u32 },
}

impl Mode {
    /// How ids come out for this process. Looks at its capabilities and at /etc/subuid and /etc/subgid; starts nothing.
    pub fn detect() -> Self {
        if geteuid().is_root() {
            let may_mount = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
            // Root of a user namespace in which nobody else exists has nobody to give files to.
            return if may_mount && mapped_ids() > 1 { Self::Root } else { Self::SingleId };
        }
        let ranges = || {
            helper("newuidmap")?;
            helper("newgidmap")?;
            let uid = geteuid().as_raw();
            let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let name = user_name(&passwd, uid);
            let range = |file| largest_range(&fs::read_to_string(file).ok()?, name.as_deref(), uid);
            Some(Self::IdRanges { users: range("/etc/subuid")?, groups: range("/etc/subgid")? })
        };
        ranges().unwrap_or(Self::SingleId)
    }

    /// What a stage shall do for a program that runs with these ids.
    pub(super) fn id_map(&self, spec: &Spec) -> Result<IdMap, SandboxError> {
        match self {
            Self::Root if spec.user_namespace => Ok(IdMap::ByCaller),
            Self::Root => Ok(IdMap::Same),
            Self::SingleId => Ok(IdMap::Single { uid: spec.uid, gid: spec.gid }),
            Self::IdRanges { users, groups } => {
                let all_groups = spec.groups.iter().copied().chain([spec.gid]).max().unwrap_or(0);
                for (what, id, range) in [("user", spec.uid, users), ("group", all_groups, groups)] {
                    if id > range.count {
                        return Err(SandboxError::NoSuchId { what, id, last: range.count });
                    }
                }
                Ok(IdMap::ByCaller)
            }
        }
    }

    /// Maps the ids of the process `pid`, which made a user namespace.
    pub(super) fn map_ids(&self, pid: u32) -> Result<(), SandboxError> {
        let (users, groups) = match self {
            Self::IdRanges { users, groups } => (users, groups),
            Self::SingleId => return Ok(()),
            Self::Root => return map_all_ids(pid),
        };
        for (program, own, range) in
            [("newuidmap", geteuid().as_raw(), users), ("newgidmap", getegid().as_raw(), groups)]
        {
            let fail = |source| SandboxError::SetUp { action: format!("map ids with {program}"), source };
            let path = helper(program).ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
            let map = [pid, 0, own, 1, 1, range.start, range.count].map(|number| number.to_string());
            let output = Command::new(path).args(map).env_clear().stdin(Stdio::null()).output().map_err(fail)?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(fail(io::Error::other(said.trim().to_owned())));
            }
        }
        Ok(())
    }
}

/// Maps all ids to themselves, those that this process knows.
fn map_all_ids(pid: u32) -> Result<(), SandboxError> {
    for file in ["uid_map", "gid_map"] {
        let own = fs::read_to_string(format!("/proc/self/{file}"));
        let map = own.map(|own| {
            let lines = own.lines().filter_map(|line| {
                let mut fields = line.split_whitespace();
                let (inside, _, count) = (fields.next()?, fields.next()?, fields.next()?);
                Some(format!("{inside} {inside} {count}\n"))
            });
            lines.collect::<String>()
        });
        let written = map.and_then(|map| fs::write(format!("/proc/{pid}/{file}"), map));
        written.map_err(|source| SandboxError::SetUp { action: format!("write {file}"), source })?;
    }
    Ok(())
}

/// How many user ids exist for this process (user_namespaces(7)).
fn mapped_ids() -> u64 {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum()
}

/// Whether this process is in the first user namespace, where all ids exist as they are.
pub(crate) fn is_first_namespace() -> bool {
    let is_whole = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    fs::read_to_string("/proc/self/uid_map").is_ok_and(is_whole)
}

/// Whether this user has ids besides its own to give files to.
pub(crate) fn has_subordinate_ids() -> bool {
    matches!(Mode::detect(), Mode::IdRanges { .. })
}

fn helper(program: &str) -> Option<std::path::PathBuf> {
    HELPER_DIRECTORIES.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.exists())
}

/// The name of a user in passwd(5).
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let mut users = passwd.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The longest range of a user in subuid(5). A range of few ids is as good as none.
fn largest_range(subid: &str, name: Option<&str>, uid: u32) -> Option<IdRange> {
    let uid = uid.to_string();
    let ranges = subid.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let range = IdRange { start: fields.next()?.trim().parse().ok()?, count: fields.next()?.trim().parse().ok()? };
        (Some(owner) == name || owner == uid).then_some(range)
    });
    ranges
        .max_by_key(|range| range.count)
        .filter(|range| range.count >= 1000 && range.start.checked_add(range.count).is_some())
}

/// What forbids namespaces here, after the kernel has said no.
pub(super) fn why_no_user_namespace(source: &io::Error) -> Option<String> {
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        return Some(
            "user namespaces are switched off: `sysctl user.max_user_namespaces=10000` as root switches them on".into(),
        );
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Some(
            "only root may make user namespaces: `sysctl kernel.unprivileged_userns_clone=1` as root allows it to all"
                .into(),
        );
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return Some(
            "AppArmor keeps programs without a profile from using user namespaces: \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root allows it to all"
                .into(),
        );
    }
    let in_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists());
    match source.kind() {
        io::ErrorKind::PermissionDenied if in_container => Some(
            "the container that this runs in forbids namespaces: start it with \
             `--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`"
                .into(),
        ),
        io::ErrorKind::StorageFull => {
            Some("there are too many namespaces, or too many one inside the other: see `sysctl user`".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nbroken\nme:x:1000:1000:Me:/home/me:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("me"));
        assert_eq!(user_name(passwd, 7), None);
        let subuid = "you:1:65536\nme:100000:10\nme:200000:65536\n1000:5:2000\nme:x:y\n7:4294967295:65536\n";
        assert_eq!(largest_range(subuid, Some("me"), 1000), Some(IdRange { start: 200_000, count: 65536 }));
        assert_eq!(largest_range(subuid, None, 1000), Some(IdRange { start: 5, count: 2000 }));
        assert_eq!(largest_range(subuid, None, 7), None);
    }
}
