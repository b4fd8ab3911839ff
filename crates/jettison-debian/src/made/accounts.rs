//! Users and groups (passwd(5), group(5)). There are no passwords, and no `shadow` file that could hold one.

use jettison_tree::{Entry, TreePath};

use super::{directory, file};

/// The user that an image runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, and that of its group.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// An absolute path.
    pub home: String,
}

/// `/etc/passwd` and `/etc/group` with root, nobody and `user`, and its home `0700` in its own hands: servers write there
/// (gunicorn fails with EACCES where it is root's).
pub fn accounts(user: Option<&Account>) -> Result<Vec<Entry>, AccountError> {
    let mut passwd = "root:x:0:0:root:/root:/sbin/nologin\n".to_owned();
    let mut group = "root:x:0:\n".to_owned();
    let mut entries = vec![directory("etc", 0o755)];
    let known = |account: &&Account| !(account.uid == 0 && account.name == "root");
    if let Some(account) = user.filter(known) {
        let home = check(account)?;
        passwd +=
            &format!("{0}:x:{1}:{2}:{0}:{3}:/sbin/nologin\n", account.name, account.uid, account.gid, account.home);
        if account.gid != 0 {
            group += &format!("{}:x:{}:\n", account.name, account.gid);
        }
        let mut above: Vec<_> = std::iter::successors(home.parent(), TreePath::parent).map(Entry::directory).collect();
        above.reverse();
        entries.append(&mut above);
        entries.push(Entry { mode: 0o700, uid: account.uid, gid: account.gid, ..Entry::directory(home) });
    }
    if user.is_none_or(|account| account.name != "nobody") {
        passwd += "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
    }
    if user.is_none_or(|account| account.gid != 65534) {
        group += "nogroup:x:65534:\n";
    }
    entries.push(file("etc/passwd", passwd));
    entries.push(file("etc/group", group));
    Ok(entries)
}

fn check(account: &Account) -> Result<TreePath, AccountError> {
    let error = |why| AccountError { name: account.name.clone(), why };
    let first = account.name.bytes().next().unwrap_or(b'-');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !(first.is_ascii_alphabetic() || first == b'_') || !account.name.bytes().all(allowed) || account.name.len() > 32
    {
        return Err(error("a name is up to 32 letters, digits, `_`, `-` and `.`, and starts with a letter or `_`"));
    }
    if account.name == "root" || account.uid == 0 {
        return Err(error("only root has the number 0"));
    }
    if !account.home.starts_with('/') || account.home.contains(|c: char| c == ':' || c.is_control()) {
        return Err(error("its home is not an absolute path, or holds `:`"));
    }
    TreePath::parse(&account.home).map_err(|_| error("its home cannot stand in a tree"))
}

/// An account that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("user `{}`: {why}", name.escape_debug())]
pub struct AccountError {
    name: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::super::path;
    use super::*;

    fn account(name: &str, uid: u32, home: &str) -> Account {
        Account { name: name.into(), uid, gid: uid, home: home.into() }
    }

    #[test]
    fn the_user_owns_its_home() {
        let entries = accounts(Some(&account("app", 65532, "/home/app"))).unwrap();
        let text = |at: &str| {
            let entry = entries.iter().find(|entry| entry.path == path(at)).unwrap();
            String::from_utf8(entry.content().unwrap().read().unwrap()).unwrap()
        };
        insta::assert_snapshot!(text("etc/passwd"), @r"
        root:x:0:0:root:/root:/sbin/nologin
        app:x:65532:65532:app:/home/app:/sbin/nologin
        nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
        ");
        assert_eq!(text("etc/group"), "root:x:0:\napp:x:65532:\nnogroup:x:65534:\n");
        let owner = |at: &str| {
            entries.iter().find(|entry| entry.path == path(at)).map(|entry| (entry.uid, entry.mode)).unwrap()
        };
        assert_eq!((owner("home"), owner("home/app")), ((0, 0o755), (65532, 0o700)));
    }

    #[test]
    fn odd_users() {
        for (user, lines) in
            [(None, 2), (Some(account("root", 0, "/root")), 2), (Some(account("nobody", 65534, "/nonexistent")), 2)]
        {
            let entries = accounts(user.as_ref()).unwrap();
            let passwd = entries.iter().find(|entry| entry.path == path("etc/passwd")).unwrap();
            let text = String::from_utf8(passwd.content().unwrap().read().unwrap()).unwrap();
            assert_eq!(text.lines().count(), lines, "{text}");
        }
        for bad in [
            account("a:b", 1, "/x"),
            account("", 1, "/x"),
            account("toor", 0, "/x"),
            account("a", 1, "x"),
            account("a", 1, "/../x"),
            account("a", 1, "/x\n"),
        ] {
            assert!(accounts(Some(&bad)).is_err(), "{bad:?}");
        }
    }
}
