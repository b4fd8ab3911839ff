//! `--chown`: numbers, or names of the stage's own `/etc/passwd` and `/etc/group`.
//!
//! A user alone brings their group: the one of `passwd` for a name, the same number for a number. As in BuildKit a name that nobody has is
//! root; here that is said. Where there is no such file at all, as in an empty stage, a name is an error.

use crate::dockerfile::context::tree::{FileTree, read_file};
use crate::error::BuildError;

/// No file of users is longer. Bytes.
const LIMIT: u64 = 10 << 20;

/// Who owns what is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Reads `--chown` against the files of the stage; `None` for a stage that may not be looked at, since `--link` stands alone.
pub fn owner(chown: &str, stage: Option<&dyn FileTree>) -> Result<Owner, BuildError> {
    let (user, group) = match chown.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (chown, None),
    };
    let mut owner = Owner::default();
    match number(user) {
        Some(id) => (owner.uid, owner.gid) = (id, id),
        None => match look_up(chown, user, b"etc/passwd", stage)? {
            Some((uid, gid)) => (owner.uid, owner.gid) = (uid, gid.unwrap_or(0)),
            None => owner
                .warnings
                .push(format!("--chown={chown}: the stage has no user `{user}`; root it is, as in BuildKit")),
        },
    }
    if let Some(group) = group {
        match number(group) {
            Some(id) => owner.gid = id,
            None => match look_up(chown, group, b"etc/group", stage)? {
                Some((gid, _)) => owner.gid = gid,
                None => {
                    let warning =
                        format!("--chown={chown}: the stage has no group `{group}`; the group stays {}", owner.gid);
                    owner.warnings.push(warning);
                }
            },
        }
    }
    Ok(owner)
}

fn number(text: &str) -> Option<u32> {
    match text {
        "" | "root" => Some(0),
        text => text.parse::<i32>().ok().and_then(|id| u32::try_from(id).ok()),
    }
}

/// The third field, and the fourth where it is a number, of the first line for `name`.
fn look_up(
    chown: &str,
    name: &str,
    file: &[u8],
    stage: Option<&dyn FileTree>,
) -> Result<Option<(u32, Option<u32>)>, BuildError> {
    let Some(stage) = stage else {
        return Err(BuildError::new(format!("--chown={chown} has the name `{name}`, and --link looks at no stage"))
            .hint("write the number, or leave --link out"));
    };
    let Some(text) = read_file(stage, file, LIMIT)? else {
        let file = String::from_utf8_lossy(file);
        return Err(BuildError::new(format!("--chown={chown} has the name `{name}`, and the stage has no /{file}"))
            .hint("write the number"));
    };
    for line in text.split(|&byte| byte == b'\n') {
        let fields: Vec<&[u8]> = line.trim_ascii().split(|&byte| byte == b':').collect();
        let id = |at: usize| fields.get(at).and_then(|field| std::str::from_utf8(field).ok()?.parse().ok());
        if let (Some(true), Some(first)) = (fields.first().map(|field| *field == name.as_bytes()), id(2)) {
            return Ok(Some((first, id(3))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::context::memory::MemoryTree;
    use jettison_tree::TreePath;

    #[test]
    fn owners_are_numbers_or_names_of_the_stage() {
        let mut stage = MemoryTree::new();
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\n# comment\napp:x:1000:100::/home/app:/bin/sh\n12:x:7:8::/:\n";
        stage.insert_text(&TreePath::parse("etc/passwd").unwrap(), passwd);
        stage.insert_text(&TreePath::parse("etc/group").unwrap(), "root:x:0:\nwheel:x:10:app\nusers:x:100:\n");
        for (chown, uid, gid, warnings) in [
            ("1", 1, 1, 0),
            ("1:2", 1, 2, 0),
            ("app", 1000, 100, 0),
            ("app:wheel", 1000, 10, 0),
            ("app:5", 1000, 5, 0),
            ("5:users", 5, 100, 0),
            ("root", 0, 0, 0),
            ("12", 12, 12, 0),
            (":wheel", 0, 10, 0),
            ("app:", 1000, 0, 0),
            ("nobody", 0, 0, 1),
            ("app:nobody", 1000, 100, 1),
            ("-1", 0, 0, 1),
        ] {
            let owner = owner(chown, Some(&stage)).unwrap();
            assert_eq!((owner.uid, owner.gid, owner.warnings.len()), (uid, gid, warnings), "{chown}");
        }
        assert!(owner("app", None).unwrap_err().hint_text().is_some());
        assert_eq!(owner("7:8", None).unwrap().gid, 8);
    }
}
