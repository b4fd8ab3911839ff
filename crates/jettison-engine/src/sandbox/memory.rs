//! Whether the kernel ended something for want of memory.
//!
//! The control group of this process, which its sandboxes are in too, counts such ends: `memory.events` of version 2
//! (Documentation/admin-guide/cgroup-v2.rst), `memory.oom_control` of version 1. Where there is none to read, as in the
//! root of the hierarchy, there is the count of the whole machine (`/proc/vmstat`), which may be about anybody.

use std::fs;
use std::path::Path;

const GROUPS: &str = "/sys/fs/cgroup";

/// What became of memory while something ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfMemory {
    /// The kernel killed nothing for want of it.
    No,
    /// It killed something on this machine, or does not say.
    Possible,
    /// It killed something in the control group that the program was in.
    Certain,
}

/// How often that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kills {
    group: Option<u64>,
    machine: Option<u64>,
}

impl Kills {
    /// Until now.
    pub fn so_far() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let group = places(&own).iter().find_map(|path| count(&fs::read_to_string(path).ok()?));
        let machine = fs::read_to_string("/proc/vmstat").ok().and_then(|text| count(&text));
        Self { group, machine }
    }

    /// What has happened since `before`.
    pub fn since(&self, before: &Self) -> OutOfMemory {
        match (self.group.zip(before.group), self.machine.zip(before.machine)) {
            (Some((now, before)), _) if now > before => OutOfMemory::Certain,
            (Some(_), _) => OutOfMemory::No,
            (None, Some((now, before))) if now == before => OutOfMemory::No,
            (None, _) => OutOfMemory::Possible,
        }
    }
}

/// The files that may have the count of the group that `/proc/self/cgroup` names, the likeliest first. In a container the
/// hierarchy may begin with its own group, whatever the name says.
fn places(own: &str) -> Vec<String> {
    let path = |root: &str, group: &str, file: &str| {
        let group = group.trim_matches('/');
        [Path::new(root).join(group).join(file), Path::new(root).join(file)].map(|path| path.display().to_string())
    };
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        match controllers {
            "" => Some(path(GROUPS, group, "memory.events")),
            names if names.split(',').any(|name| name == "memory") => {
                Some(path(&format!("{GROUPS}/{names}"), group, "memory.oom_control"))
            }
            _ => None,
        }
    };
    own.lines().filter_map(of_line).flatten().collect()
}

/// `oom_kill NUMBER`, which all of these files have.
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_found() {
        assert_eq!(places("0::/user.slice/x\n")[0], "/sys/fs/cgroup/user.slice/x/memory.events");
        assert_eq!(
            places("5:cpu,cpuacct:/a\n4:memory:/docker/b\n0::/\n"),
            [
                "/sys/fs/cgroup/memory/docker/b/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
                "/sys/fs/cgroup/memory.events",
                "/sys/fs/cgroup/memory.events"
            ]
        );
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(count("low 0\n"), None);
    }

    #[test]
    fn what_our_group_says_counts_before_what_the_machine_says() {
        let kills = |group, machine| Kills { group, machine };
        for (before, now, expected) in [
            (kills(Some(1), Some(5)), kills(Some(2), Some(6)), OutOfMemory::Certain),
            (kills(Some(1), Some(5)), kills(Some(1), Some(6)), OutOfMemory::No),
            (kills(None, Some(5)), kills(None, Some(6)), OutOfMemory::Possible),
            (kills(None, Some(5)), kills(None, Some(5)), OutOfMemory::No),
            (kills(None, None), kills(None, None), OutOfMemory::Possible),
        ] {
            assert_eq!(now.since(&before), expected);
        }
    }
}
