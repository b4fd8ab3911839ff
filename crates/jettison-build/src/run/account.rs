//! Who a program of an image runs as: the user of its config, looked up in the image's own passwd(5) and group(5).

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jettison_engine::view::View;
use jettison_tree::TreePath;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::error::BuildError;

/// Longer lists of users are not read. Bytes.
const LIMIT: u64 = 4 << 20;

/// A user with what depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub uid: u32,
    pub gid: u32,
    /// The groups that list the user as a member.
    pub groups: Vec<u32>,
    /// `/` for a user that the image does not know.
    pub home: String,
}

/// Finds `user[:group]`, names or numbers; root where it is empty. As Docker has it, a user without a group gets the one
/// that passwd says, and those of group that list it.
pub(crate) fn resolve(user: &str, passwd: &str, group: &str) -> Result<Account, BuildError> {
    let (user, wanted_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let no_such = |what: &str, name: &str, file: &str| {
        BuildError::new(format!("the image has no {what} `{name}` in {file}"))
            .hint("give its number with --user UID:GID")
    };
    let number = user.parse::<u32>().ok();
    // name:password:uid:gid:gecos:home:shell
    let line = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
        let uid = fields.get(2).and_then(|uid| uid.parse::<u32>().ok());
        fields[0] == user || (number.is_some() && uid == number)
    });
    let field = |at: usize| line.as_ref().and_then(|fields| fields.get(at)).copied();
    let uid = match (field(2).and_then(|uid| uid.parse().ok()), number) {
        (Some(uid), _) | (None, Some(uid)) => uid,
        (None, None) => return Err(no_such("user", user, "/etc/passwd")),
    };
    // name:password:gid:members
    let groups = || group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let gid_of = |fields: &Vec<&str>| fields.get(2).and_then(|gid| gid.parse::<u32>().ok());
    let gid = match wanted_group {
        None => field(3).and_then(|gid| gid.parse().ok()).unwrap_or(0),
        Some(wanted) => match groups().find(|fields| fields[0] == wanted).and_then(|fields| gid_of(&fields)) {
            Some(gid) => gid,
            None => wanted.parse().map_err(|_| no_such("group", wanted, "/etc/group"))?,
        },
    };
    let mut supplementary = Vec::new();
    if let (None, Some(name)) = (wanted_group, field(0)) {
        let lists =
            |fields: &Vec<&str>| fields.get(3).is_some_and(|members| members.split(',').any(|m| m.trim() == name));
        supplementary.extend(groups().filter(lists).filter_map(|fields| gid_of(&fields)).filter(|other| *other != gid));
        supplementary.sort_unstable();
        supplementary.dedup();
    }
    let home = field(5).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
    Ok(Account { uid, gid, groups: supplementary, home })
}

/// Finds `user[:group]` in the files of a stage.
pub(crate) fn in_view(view: &View, user: &str) -> Result<Account, BuildError> {
    let read = |name: &str| -> Result<String, BuildError> {
        let bytes = view.read(&TreePath::parse(name)?, LIMIT)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    resolve(user, &read("etc/passwd")?, &read("etc/group")?)
}

/// The text of a file below `/etc` as the layers show it, the topmost first; empty where there is none.
pub(super) fn read_etc(lower: &[PathBuf], name: &str) -> String {
    for layer in lower {
        let etc = layer.join("etc");
        match fs::symlink_metadata(&etc) {
            Err(_) => continue,
            Ok(meta) if hides(&meta) => return String::new(),
            Ok(_) => {}
        }
        match fs::symlink_metadata(etc.join(name)) {
            Ok(meta) if hides(&meta) => return String::new(),
            Ok(_) => return read_in(layer, &Path::new("etc").join(name)).unwrap_or_default(),
            Err(_) if is_opaque(&etc) => return String::new(),
            Err(_) => {}
        }
    }
    String::new()
}

/// Whether it is overlayfs's mark for something that is gone.
fn hides(meta: &fs::Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn is_opaque(directory: &Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0; 2];
        rustix::fs::lgetxattr(directory, *name, &mut value).is_ok_and(|len| value[..len] == *b"y")
    })
}

/// Reads a file of a layer; links lead nowhere but inside of it.
fn read_in(layer: &Path, path: &Path) -> io::Result<String> {
    let root = rustix::fs::openat(CWD, layer, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?;
    let mut bytes = Vec::new();
    fs::File::from(file).take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n\nbroken\napp:x:1000:1001::/home/app:/bin/sh\n7:x:8:9::relative:\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nvideo:x:44:other,app\naudio:x:29:app\nusers:x:100:\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let account = |user| resolve(user, PASSWD, GROUP).map(|a| (a.uid, a.gid, a.groups, a.home));
        let home = str::to_owned;
        for (user, want) in [
            ("", (0, 0, vec![], home("/root"))),
            ("root", (0, 0, vec![], home("/root"))),
            ("app", (1000, 1001, vec![29, 44], home("/home/app"))),
            ("1000", (1000, 1001, vec![29, 44], home("/home/app"))),
            ("app:users", (1000, 100, vec![], home("/home/app"))),
            ("app:5", (1000, 5, vec![], home("/home/app"))),
            ("1000:", (1000, 1001, vec![29, 44], home("/home/app"))),
            ("65532:65532", (65532, 65532, vec![], home("/"))),
            ("65532", (65532, 0, vec![], home("/"))),
            // A name may be a number; it goes before one.
            ("7", (8, 9, vec![], home("/"))),
        ] {
            assert_eq!(account(user).unwrap(), want, "{user}");
        }
        assert!(account("nobody").unwrap_err().to_string().contains("no user `nobody`"));
        assert!(account("app:wheel").unwrap_err().to_string().contains("no group `wheel`"));
    }

    #[test]
    fn the_topmost_file_counts_and_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let layers: Vec<PathBuf> = ["top", "middle", "bottom"].iter().map(|name| dir.path().join(name)).collect();
        layers.iter().for_each(|layer| fs::create_dir_all(layer.join("etc")).unwrap());
        fs::write(layers[2].join("etc/passwd"), "bottom").unwrap();
        fs::write(layers[2].join("etc/group"), "bottom").unwrap();
        fs::write(layers[1].join("etc/passwd"), "middle").unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../../secret", layers[0].join("etc/shadow")).unwrap();
        assert_eq!(read_etc(&layers, "passwd"), "middle");
        assert_eq!(read_etc(&layers, "group"), "bottom");
        assert_eq!(read_etc(&layers, "shadow"), "");
        assert_eq!(read_etc(&layers, "none"), "");
    }
}
