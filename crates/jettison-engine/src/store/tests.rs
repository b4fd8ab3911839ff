use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use jettison_tree::{Content, Digest, Entry, FragmentWriter, TreePath};

use super::*;
use crate::CacheKey;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    (dir, store)
}

fn key(n: u64) -> CacheKey {
    CacheKey::builder("test").number("n", n).finish()
}

fn tmp_is_empty(store: &Store) -> bool {
    store.tmp().read_dir().unwrap().next().is_none()
}

/// As if the machine had been started again since everything was written.
fn reboot(store: &Store) {
    store.query(|index| index.execute("UPDATE item SET boot = -1 WHERE boot IS NOT NULL", [])).unwrap();
}

/// As if everything had last been used that many hours ago.
fn age(store: &Store, hours: i64) {
    let used = now() - hours * 3600;
    store.query(|index| index.execute("UPDATE item SET used = ?", [used])).unwrap();
    store.query(|index| index.execute("UPDATE memo SET used = ?", [used])).unwrap();
}

fn fragment(text: &str) -> impl FnOnce(&mut File) -> Result<(), StoreError> {
    let entry = Entry::file(TreePath::parse("file").unwrap(), Content::from_bytes(text.as_bytes()), false);
    move |file| {
        let mut writer = FragmentWriter::new(file);
        writer.push(&entry).unwrap();
        writer.finish(serde_json::Value::Null).unwrap();
        Ok(())
    }
}

#[test]
fn blobs_come_back_and_are_shared_between_stores() {
    let (_dir, store) = store();
    let large = vec![7; 700_000];
    for bytes in [&b""[..], b"small", &large] {
        let (digest, len) = store.put(bytes, None).unwrap();
        assert_eq!((digest, len), (Digest::of(bytes), bytes.len() as u64));
        let mut read = Vec::new();
        store.open_blob(digest).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }
    let other = Store::open(store.root()).unwrap();
    assert_eq!(other.blob_len(Digest::of(b"small")).unwrap(), Some(5));
    assert!(matches!(other.read_blob(Digest::of(&large), 5), Err(StoreError::TooLarge { .. })));
    assert!(matches!(other.open_blob(Digest::of(b"no")), Err(StoreError::Missing(_))));
    assert!(tmp_is_empty(&store));
}

#[test]
fn what_is_not_expected_or_not_finished_leaves_nothing() {
    let (_dir, store) = store();
    let error = store.put(&b"evil"[..], Some(Digest::of(b"good"))).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { len: 4, .. }));
    store.writer().unwrap().write_all(b"half").unwrap();
    let failing = b"some".chain(FailingReader);
    assert!(store.put(failing, None).is_err());
    assert!(tmp_is_empty(&store) && !store.has(Digest::of(b"evil")).unwrap());
}

struct FailingReader;

impl std::io::Read for FailingReader {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn files_of_the_store_are_renamed_and_others_copied() {
    let (dir, store) = store();
    for (path, stays) in [(store.tmp().join("download"), false), (dir.path().join("mine"), true)] {
        let name = path.file_name().unwrap().as_encoded_bytes().to_vec();
        fs::write(&path, &name).unwrap();
        store.adopt(&path, Digest::of(&name)).unwrap();
        assert_eq!((store.has(Digest::of(&name)).unwrap(), path.exists()), (true, stays));
    }
}

#[test]
fn damaged_blobs_are_not_there() {
    let (_dir, store) = store();
    let digest = store.put_bytes(b"content").unwrap();
    let path = store.blob_path(digest);
    fs::write(&path, "conten").unwrap();
    assert!(!store.has(digest).unwrap(), "too short");

    store.put_bytes(b"content").unwrap();
    reboot(&store);
    assert!(store.has(digest).unwrap(), "whole");
    fs::write(&path, "contemt").unwrap();
    assert!(store.has(digest).unwrap(), "it was read once since the start");
    store.forget(Kind::Blob, digest.as_bytes()).unwrap();
    store.put_bytes(b"content").unwrap();
    fs::write(&path, "contemt").unwrap();
    reboot(&store);
    assert!(!store.has(digest).unwrap(), "never reached the disk");
    store.put_bytes(b"content").unwrap();
    assert_eq!(store.read_blob(digest, 100).unwrap(), b"content");
}

#[test]
fn memos_live_as_long_as_what_they_refer_to() {
    let (_dir, store) = store();
    let blob = store.put_bytes(b"layer").unwrap();
    store.memo_put(&key(1), &("text", 5), &[blob.into(), blob.into()]).unwrap();
    assert_eq!(store.memo_get(&key(1)).unwrap(), Some(("text".to_owned(), 5)));
    assert_eq!(store.memo_get::<Vec<bool>>(&key(1)).unwrap(), None, "another type");
    assert_eq!(store.memo_get::<()>(&key(2)).unwrap(), None);
    fs::remove_file(store.blob_path(blob)).unwrap();
    assert_eq!(store.memo_get::<(String, i32)>(&key(1)).unwrap(), None);
    store.memo_put(&key(1), &"new", &[]).unwrap();
    assert_eq!(store.memo_get(&key(1)).unwrap(), Some("new".to_owned()));
    store.memo_remove(&key(1)).unwrap();
    assert_eq!(store.memo_get::<String>(&key(1)).unwrap(), None);
    for made in [7, 8] {
        assert_eq!(store.memo_or::<_, StoreError>(&key(1), || Ok((made, vec![]))).unwrap(), 7);
    }
}

#[test]
fn fragments_are_made_once_and_checked_after_a_restart() {
    let (_dir, store) = store();
    let path = store.fragment_or(&key(1), fragment("text")).unwrap();
    assert_eq!(store.fragment_or(&key(1), |_| -> Result<(), StoreError> { unreachable!() }).unwrap(), path);
    reboot(&store);
    assert!(store.fragment(&key(1)).unwrap().is_some());
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(&path, &bytes).unwrap();
    store.query(|index| index.execute("UPDATE item SET boot = -1", [])).unwrap();
    assert!(store.fragment(&key(1)).unwrap().is_none());
    assert!(store.fragment_or(&key(2), |_| Err(StoreError::Missing(Digest::of(b"")))).is_err());
    assert!(store.fragment(&key(2)).unwrap().is_none() && tmp_is_empty(&store));
}

#[test]
fn snapshots_are_whole_or_not_there() {
    let (_dir, store) = store();
    let entry = |owner| {
        let file = Entry::file(TreePath::parse("d/file").unwrap(), Content::from_bytes(*b"text"), false);
        Entry { uid: owner, ..file }
    };
    let snapshot = store
        .snapshot_or(&key(1), |dir| dir.write(&entry(0)).map_err(|_| StoreError::Missing(Digest::of(b""))))
        .unwrap();
    assert_eq!(fs::read_to_string(snapshot.path.join("d/file")).unwrap(), "text");
    assert_eq!(fs::metadata(&snapshot.path).unwrap().mode() & 0o777, 0o755);
    assert_eq!(store.snapshot(&key(1)).unwrap().unwrap().path, snapshot.path);
    assert!(store.snapshot_or(&key(2), |_| Err(StoreError::Missing(Digest::of(b"")))).is_err());
    assert!(store.snapshot(&key(2)).unwrap().is_none() && tmp_is_empty(&store));
    reboot(&store);
    assert!(store.snapshot(&key(1)).unwrap().is_none(), "nothing says that it reached the disk");
    store.snapshot_or::<StoreError>(&key(1), |_| Ok(())).unwrap();
    assert!(!snapshot.path.join("d").exists() && tmp_is_empty(&store), "the new one took its place");
}

/// As if a program had left a file in its upper directory.
fn keep_step(store: &Store, key: &CacheKey) {
    let upper = store.upper().unwrap();
    for part in ["upper", "work", "points"] {
        fs::create_dir(upper.path().join(part)).unwrap();
    }
    fs::write(upper.path().join("upper/made"), "slowly").unwrap();
    let below = crate::view::View::open([store.tmp()]).unwrap();
    upper.keep(key, &below, (0, 0)).unwrap();
}

#[test]
fn what_is_settled_outlives_the_boot() {
    let dir = tempfile::tempdir().unwrap();
    let in_boot = |name| Store::open_in_boot(&dir.path().join("store"), name).unwrap();
    let store = in_boot("first");
    store.snapshot_or::<StoreError>(&key(1), |_| Ok(())).unwrap();
    store.put_bytes(b"blob").unwrap();
    assert_eq!(store.settle().unwrap(), 0, "nothing that would be worth the time");
    keep_step(&store, &key(2));
    assert_eq!((store.settle().unwrap(), store.settle().unwrap()), (3, 0));
    keep_step(&store, &key(3));
    drop(store);

    let store = in_boot("second");
    let made = |n| store.snapshot(&key(n)).unwrap().map(|snapshot| fs::read_to_string(snapshot.path.join("made")).ok());
    assert_eq!([made(1), made(2), made(3)], [Some(None), Some(Some("slowly".to_owned())), None]);
    keep_step(&store, &key(3));
    assert_eq!(store.settle().unwrap(), 1);
    drop(store);

    // What one process did not get round to, the next in the same boot does.
    keep_step(&in_boot("third"), &key(4));
    let store = in_boot("third");
    keep_step(&store, &key(5));
    assert_eq!(store.settle().unwrap(), 2);
    let store = in_boot("fourth");
    assert!((2..=5).all(|n| store.snapshot(&key(n)).unwrap().is_some()));
}

#[test]
fn unchanged_files_are_known_and_racy_ones_are_not() {
    let (dir, store) = store();
    let file = dir.path().join("app.py");
    fs::write(&file, "print()").unwrap();
    let (path, digest) = (TreePath::parse("app.py").unwrap(), Digest::of(b"print()"));
    let later = SystemTime::now() + Duration::from_secs(5);
    for (read_at, known) in [(SystemTime::now(), None), (later, Some(digest))] {
        let meta = fs::metadata(&file).unwrap();
        let mut cache = store.stat_cache(dir.path()).unwrap();
        assert_eq!(cache.get(&path, &meta), None);
        cache.record(&path, &meta, digest, read_at);
        cache.save().unwrap();
        let mut cache = store.stat_cache(dir.path()).unwrap();
        assert_eq!(cache.get(&path, &meta), known);
        cache.save().unwrap();
    }
    fs::write(&file, "PRINT()").unwrap();
    let mut cache = store.stat_cache(dir.path()).unwrap();
    assert_eq!(cache.get(&path, &fs::metadata(&file).unwrap()), None, "same size, other times");
    cache.save().unwrap();
    assert_eq!(
        store.query(|index| index.query_row("SELECT count(*) FROM stat", [], |row| row.get::<_, i64>(0))).unwrap(),
        0
    );
}

/// An image of one layer, behind an index.
fn image(store: &Store, name: &str, layer: &[u8]) -> Digest {
    let layer = store.put_bytes(layer).unwrap();
    let manifest =
        serde_json::json!({"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer}]});
    let manifest = store.put_bytes(manifest.to_string().as_bytes()).unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let index = serde_json::json!({"manifests": [{"mediaType": media_type, "digest": manifest, "size": 1}]});
    let index = store.put_bytes(index.to_string().as_bytes()).unwrap();
    store.tag(name, index).unwrap();
    layer
}

#[test]
fn names_are_given_and_taken() {
    let (_dir, store) = store();
    let layer = image(&store, "app:v1", b"layer");
    assert!(store.tag("bad", Digest::of(b"nowhere")).is_err());
    store.tag("b", layer).unwrap();
    let names: Vec<_> = store.images().unwrap().into_iter().map(|image| image.name).collect();
    assert_eq!(names, ["app:v1", "b"]);
    assert_eq!(store.image("b").unwrap(), Some(layer));
    assert!(store.untag("b").unwrap() && !store.untag("b").unwrap());
}

#[test]
fn pruning_spares_images_and_what_is_young() {
    let (_dir, store) = store();
    let layer = image(&store, "app", b"layer");
    let old = store.put_bytes(b"an old download").unwrap();
    store.fragment_or(&key(1), fragment("old")).unwrap();
    store.snapshot_or::<StoreError>(&key(1), |_| Ok(())).unwrap();
    let in_use = store.snapshot_or::<StoreError>(&key(2), |_| Ok(())).unwrap();
    store.memo_put(&key(1), &1, &[old.into()]).unwrap();
    age(&store, 100);
    let young = store.put_bytes(b"a young download").unwrap();
    fs::write(store.tmp().join("leftover"), "x").unwrap();
    let usage = store.usage().unwrap();
    assert_eq!(
        (usage.images.count, usage.blobs.count, usage.fragments.count, usage.snapshots.count, usage.memos.count),
        (3, 2, 1, 2, 1)
    );

    let pruned = store.prune(&Prune::default()).unwrap();
    assert_eq!((pruned, tmp_is_empty(&store)), (Pruned { items: 0, bytes: 1, in_use: false }, true));
    let prune = Prune { unused_for: Some(Duration::from_secs(50 * 3600)), ..Prune::default() };
    assert_eq!(store.prune(&prune).unwrap().items, 3);
    assert!(store.has(layer).unwrap() && store.has(young).unwrap() && !store.has(old).unwrap());
    assert!(tmp_is_empty(&store) && store.snapshot(&key(1)).unwrap().is_none());
    assert!(in_use.path.exists());
    drop(in_use);
    assert_eq!(store.prune(&Prune { keep_bytes: Some(16), ..Prune::default() }).unwrap().items, 0);
    assert_eq!(store.prune(&Prune { keep_bytes: Some(15), ..Prune::default() }).unwrap().items, 2);

    assert!(store.snapshot(&key(2)).unwrap().is_none());
    store.untag("app").unwrap();
    assert_eq!(store.prune(&Prune { all: true, ..Prune::default() }).unwrap().items, 3);
    assert_eq!(store.usage().unwrap(), Usage::default());
}

#[test]
fn pruning_beside_a_build_touches_only_what_is_old() {
    let (_dir, store) = store();
    let building = Store::open(store.root()).unwrap();
    let old = store.put_bytes(b"old").unwrap();
    let memo_blob = store.put_bytes(b"of a memo").unwrap();
    store.memo_put(&key(1), &1, &[memo_blob.into()]).unwrap();
    age(&store, 100);
    assert_eq!(building.memo_get(&key(1)).unwrap(), Some(1), "which makes it and its blob young");
    let young = store.put_bytes(b"young").unwrap();
    let download = building.writer().unwrap();
    let pruned = store.prune(&Prune { all: true, ..Prune::default() }).unwrap();
    assert_eq!(pruned, Pruned { items: 1, bytes: 3, in_use: true });
    assert!(building.has(young).unwrap() && building.has(memo_blob).unwrap() && !building.has(old).unwrap());
    download.commit(None).unwrap();
}

#[test]
fn the_next_alone_clears_what_a_killed_process_left() {
    let (_dir, store) = store();
    fs::create_dir_all(store.tmp().join("left/d")).unwrap();
    let root = store.root().to_owned();
    let second = Store::open(&root).unwrap();
    assert!(!tmp_is_empty(&second), "the first is alive");
    let scratch = second.scratch().unwrap();
    drop((store, second));
    let third = Store::open(&root).unwrap();
    assert!(scratch.path().exists(), "it is used without its store");
    drop((scratch, third));
    assert!(tmp_is_empty(&Store::open(&root).unwrap()));
}

#[test]
fn a_file_without_a_row_is_a_stray() {
    let (_dir, store) = store();
    let digest = Digest::of(b"stray");
    let path = store.blob_path(digest);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "str").unwrap();
    assert!(!store.has(digest).unwrap());
    assert_eq!(store.prune(&Prune::default()).unwrap().items, 1);
    assert!(!path.exists());
}

#[test]
fn a_later_format_and_a_broken_index_say_what_to_do() {
    let (_dir, store) = store();
    let root = store.root().to_owned();
    store.query(|index| index.pragma_update(None, "user_version", 99)).unwrap();
    drop(store);
    let error = Store::open(&root).err().unwrap();
    assert!(matches!(error, StoreError::TooNew { found: 99, .. }) && error.hint().is_some());
    for file in root.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().as_encoded_bytes().starts_with(b"store.db") {
            fs::write(&file, vec![b'x'; 5000]).unwrap();
        }
    }
    let error = Store::open(&root).err().unwrap();
    assert!(error.hint().is_some_and(|hint| hint.starts_with("delete ")), "{error}");
}

#[test]
fn many_threads_and_processes_open_a_new_store_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let root = dir.path().join("store");
            scope.spawn(move || {
                let store = Store::open(root).unwrap();
                let blob = store.put_bytes(b"the same").unwrap();
                store.memo_put(&key(n), &n, &[blob.into()]).unwrap();
                store.fragment_or(&key(100), fragment("x")).unwrap();
                store.snapshot_or::<StoreError>(&key(100), |_| Ok(())).unwrap();
            });
        }
    });
    let store = Store::open(dir.path().join("store")).unwrap();
    assert!((0..8).all(|n| store.memo_get(&key(n)).unwrap() == Some(n)));
}

#[test]
fn a_blob_is_gone_on_with_where_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let content = b"first half, second half";
    let digest = Digest::of(content);
    let mut writer = store.resumed_writer(digest).unwrap();
    assert!(writer.is_empty());
    writer.write_all(&content[..10]).unwrap();
    // Who comes while it is written begins anew.
    assert_eq!(store.resumed_writer(digest).unwrap().len(), 0);
    drop(writer);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let mut writer = store.resumed_writer(digest).unwrap();
    assert_eq!(writer.len(), 10);
    writer.write_all(&content[10..]).unwrap();
    assert_eq!(writer.commit(Some(digest)).unwrap(), (digest, content.len() as u64));
    assert_eq!(store.read_blob(digest, 100).unwrap(), content);
    let left = || fs::read_dir(dir.path().join("partial")).unwrap().count();
    assert_eq!(left(), 0);
    // What turns out to be another is not gone on with.
    let other = Digest::of(b"other");
    let mut writer = store.resumed_writer(other).unwrap();
    writer.write_all(b"wrong").unwrap();
    assert!(matches!(writer.commit(Some(other)), Err(StoreError::Mismatch { .. })));
    assert_eq!(left(), 0);
    store.resumed_writer(other).unwrap().write_all(b"oth").unwrap();
    assert_eq!(left(), 1);
    store.prune(&Prune { all: true, ..Prune::default() }).unwrap();
    assert_eq!(left(), 0);
}
