//! What the maintainer scripts of a running system would have made. None is ever run; what they do that an image needs is done
//! here, as entries of a tree, from the files of the packages alone.
//!
//! - [`accounts`]: `/etc/passwd`, `/etc/group`, the user's home (base-passwd)
//! - [`ca_certificates`]: the bundle and the links that OpenSSL looks for (ca-certificates, openssl)
//! - [`alternatives`]: the links of `update-alternatives`, such as `libblas.so.3`
//! - [`usr_merge`], [`directories`], [`name_service`]: the rest of a root file system (base-files, libc-bin)
//!
//! What needs nothing: `/etc/ld.so.conf` and its cache. Debian's loader has the multiarch directories `/lib/<triplet>` and
//! `/usr/lib/<triplet>` built in, and searches them without a cache.

mod accounts;
mod alternatives;
mod certificates;

use jettison_tree::{Content, Entry, TreePath};

pub use self::accounts::{Account, AccountError, accounts};
pub use self::alternatives::{Alternative, alternatives, parse_alternatives};
pub use self::certificates::{CertificateError, ca_certificates};
use crate::Architecture;

/// Packages that are needed by scripts, not by what runs in an image: to be excluded from a closure unless they are asked for.
/// `openssl` is among them since [`ca_certificates`] does its part, `mawk` since `base-files` wants an `awk` for its script.
pub const SCRIPT_PACKAGES: [&str; 20] = [
    "adduser",
    "base-passwd",
    "cdebconf",
    "debconf",
    "debianutils",
    "dpkg",
    "gawk",
    "init-system-helpers",
    "install-info",
    "lsb-base",
    "mawk",
    "openssl",
    "original-awk",
    "passwd",
    "perl",
    "perl-base",
    "sensible-utils",
    "systemd",
    "sysvinit-utils",
    "ucf",
];

/// Packages that belong to every image though nothing depends on them: `base-files` says which Debian it is (`/etc/os-release`,
/// `/etc/debian_version`), without which scanners match no vulnerability; the others are what programs expect to find.
pub const BASE_PACKAGES: [&str; 4] = ["base-files", "ca-certificates", "netbase", "tzdata"];

/// Entries are made of constants, or of names that were checked.
fn path(text: &str) -> TreePath {
    #[expect(
        clippy::expect_used,
        reason = "the callers give constants and names from `Architecture`, and the tests call them all"
    )]
    TreePath::parse(text).expect("a path of a tree")
}

fn file(at: &str, text: impl Into<Vec<u8>>) -> Entry {
    Entry::file(path(at), Content::from_bytes(text.into()), false)
}

fn directory(at: &str, mode: u32) -> Entry {
    Entry { mode, ..Entry::directory(path(at)) }
}

/// The links `/bin`, `/lib` and so on of a merged `/usr`, with the directories that they lead to. From trixie on, `base-files` ships
/// the same ones.
pub fn usr_merge(architecture: Architecture) -> Vec<Entry> {
    let links = architecture.usr_merge_links();
    let targets = links.iter().map(|link| Entry::directory(path(&format!("usr/{link}"))));
    let links = links.iter().map(|link| Entry::symlink(path(link), format!("usr/{link}")));
    std::iter::once(Entry::directory(path("usr"))).chain(targets).chain(links).collect()
}

/// The directories of a root file system that programs, and whoever mounts into it, count on. `/var/run` and `/var/lock` are links, as
/// the script of `base-files` leaves them; where that package is in, they take the place of the directories that it ships.
pub fn directories() -> Vec<Entry> {
    let plain = ["dev", "etc", "home", "proc", "run", "sys", "usr", "var", "var/cache", "var/lib", "var/log"];
    let mut entries: Vec<_> = plain.iter().map(|at| directory(at, 0o755)).collect();
    entries.push(directory("root", 0o700));
    entries.extend(["run/lock", "tmp", "var/tmp"].iter().map(|at| directory(at, 0o1777)));
    entries.push(Entry::symlink(path("var/run"), "/run"));
    entries.push(Entry::symlink(path("var/lock"), "/run/lock"));
    entries
}

/// `/etc/nsswitch.conf`: without it, `glibc` asks DNS before `/etc/hosts`.
pub fn name_service() -> Vec<Entry> {
    let text = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n";
    vec![file("etc/nsswitch.conf", text)]
}

#[cfg(test)]
mod tests {
    use jettison_tree::{Node, Tree};

    use super::*;

    #[test]
    fn the_links_fit_the_architecture_and_each_other() {
        for architecture in Architecture::ALL {
            let mut tree = Tree::new();
            let all = usr_merge(architecture).into_iter().chain(directories()).chain(name_service());
            all.for_each(|entry| tree.insert(entry).unwrap());
            // The loader's directory is there under the name that programs have for it.
            let top = architecture.loader().trim_start_matches('/').split('/').next().unwrap();
            let link = tree.get(&TreePath::parse(top).unwrap()).unwrap();
            assert!(matches!(&link.node, Node::Symlink(target) if *target == format!("usr/{top}").into_bytes()));
        }
    }
}
