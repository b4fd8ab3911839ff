use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use jettison_tree::Content;

use super::*;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn file(at: &str, text: &str, mode: u32) -> Entry {
    Entry { mode, ..Entry::file(path(at), Content::from_bytes(text.as_bytes()), false) }
}

fn directory(at: &str, mode: u32) -> Entry {
    Entry { mode, ..Entry::directory(path(at)) }
}

fn link(at: &str, target: &str) -> Entry {
    Entry::symlink(path(at), target)
}

#[test]
fn a_tree_is_unpacked_with_its_modes_and_links() {
    let dir = tempfile::tempdir().unwrap();
    let mut safe = SafeDir::open(dir.path()).unwrap();
    for entry in [
        directory("locked", 0o555),
        file("locked/tool", "tool", 0o4755),
        file("implied/deep/file", "x", 0o640),
        link("bin", "locked"),
        file("bin/through", "link", 0o644),
        Entry { node: Node::HardLink(path("locked/tool")), ..file("again", "", 0o4755) },
    ] {
        safe.write(&entry).unwrap();
    }
    assert_eq!(safe.finish().unwrap().bytes, 9);
    let meta = |at: &str| dir.path().join(at).symlink_metadata().unwrap();
    assert_eq!(meta("locked").mode() & 0o7777, 0o555);
    assert_eq!(meta("locked/tool").mode() & 0o7777, 0o4755);
    assert_eq!(meta("implied/deep").mode() & 0o7777, 0o755);
    assert_eq!(meta("again").ino(), meta("locked/tool").ino());
    assert_eq!(fs::read_to_string(dir.path().join("locked/through")).unwrap(), "link");
    crate::removal::remove_tree(&dir.path().join("locked")).unwrap();
}

#[test]
fn no_link_leads_out() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "safe").unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut safe = SafeDir::open(dir.path()).unwrap();
    let out = outside.path().to_str().unwrap();
    safe.write(&link("absolute", out)).unwrap();
    safe.write(&link("up", "../../../../../../../../tmp")).unwrap();
    safe.write(&link("self", "/proc/self/root")).unwrap();
    safe.write(&link("loop", "loop")).unwrap();
    for at in ["absolute/secret", "self/secret", "loop/x"] {
        assert!(safe.write(&file(at, "bad", 0o644)).is_err(), "{at}");
    }
    // An entry replaces a link and is not written through it.
    symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    safe.write(&file("file", "new", 0o644)).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "new");
    symlink(outside.path(), dir.path().join("directory")).unwrap();
    safe.write(&directory("directory", 0o700)).unwrap();
    safe.write(&file("directory/secret", "mine", 0o600)).unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "safe");
    assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0o750);
    let hard = Entry { node: Node::HardLink(path("absolute/secret")), ..file("hard", "", 0o644) };
    assert!(safe.write(&hard).is_err());
}

#[test]
fn layers_above_replace_and_white_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut safe = SafeDir::open(dir.path()).unwrap();
    for at in ["d/a", "d/b", "e/x", "f"] {
        safe.write(&file(at, at, 0o644)).unwrap();
    }
    safe.remove(&path("d/a")).unwrap();
    safe.remove(&path("nowhere/at/all")).unwrap();
    safe.remove_below(&path("e")).unwrap();
    safe.write(&file("d", "now a file", 0o644)).unwrap();
    safe.write(&file("f/inside", "", 0o644)).unwrap_err();
    safe.remove(&path("f")).unwrap();
    safe.whiteout(&path("hidden")).unwrap();
    safe.finish().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["d", "e", "hidden"]);
    assert_eq!(fs::metadata(dir.path().join("hidden")).unwrap().rdev(), 0);
    assert!(dir.path().join("e").read_dir().unwrap().next().is_none());
}

#[test]
fn several_hands_fill_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut safe = SafeDir::open(dir.path()).unwrap();
    let mut hands = [safe.another().unwrap(), safe.another().unwrap()];
    std::thread::scope(|scope| {
        for (index, hand) in hands.iter_mut().enumerate() {
            scope.spawn(move || {
                for number in 0..100 {
                    hand.write(&file(&format!("a/b{}/{index}", number % 7), "x", 0o644)).unwrap();
                }
                hand.write(&directory("a", 0o750)).unwrap();
            });
        }
    });
    hands.into_iter().for_each(|hand| safe.join(hand));
    safe.finish().unwrap();
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o7777, 0o750);
    assert_eq!(fs::read_dir(dir.path().join("a/b6")).unwrap().count(), 2);
}

#[test]
fn owners_are_given_or_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut safe = SafeDir::open(dir.path()).unwrap();
    safe.may_chown = false;
    safe.write(&Entry { uid: 7, gid: 8, ..file("mine", "", 0o644) }).unwrap();
    safe.write(&file("roots", "", 0o644)).unwrap();
    safe.write(&Entry { uid: 7, ..directory("gone", 0o755) }).unwrap();
    safe.remove(&path("gone")).unwrap();
    assert_eq!(safe.finish().unwrap().owners, [Owner { path: path("mine"), uid: 7, gid: 8 }]);
}
