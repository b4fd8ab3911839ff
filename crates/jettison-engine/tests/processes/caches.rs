//! Caches that steps keep.

use std::sync::mpsc;

use jettison_engine::store::{CacheMount, CacheRequest, NewCache, Prune, Sharing};
use jettison_engine::view::View;

use super::steps::{key, path};
use super::*;

pub const TESTS: &[Test] = &[
    ("caches_are_kept_and_shared", caches_are_kept_and_shared),
    ("caches_begin_as_asked", caches_begin_as_asked),
    ("nobody_waits_in_a_circle", nobody_waits_in_a_circle),
];

const EMPTY: NewCache<'_> = NewCache { content: None, mode: 0o755, uid: 0, gid: 0 };

fn use_cache(fixture: &Fixture, cache: &CacheMount, script: &str) -> String {
    let mut spec = fixture.sh(script);
    spec.pretend_ids = true;
    spec.mounts.push(Mount::Bind { src: cache.path().to_owned(), dst: "/cache".into(), readonly: false });
    output(spec)
}

fn caches_are_kept_and_shared() {
    let fixture = Fixture::new();
    let store = Store::open(fixture.dir.path().join("store")).unwrap();
    let open = |sharing| store.cache_mount("/root/.cache/pip", sharing, EMPTY).unwrap();
    let first = open(Sharing::Shared);
    assert_eq!(
        use_cache(
            &fixture,
            &first,
            "echo wheel > /cache/w; mkdir /cache/d; chown 7:8 /cache/d; chmod 700 /cache/d; ls /cache"
        ),
        "d\nw\n"
    );
    let second = open(Sharing::Shared);
    assert_eq!(first.path(), second.path());
    // Who wants one for itself gets another, and the first again when it is free.
    let private = open(Sharing::Private);
    assert_ne!(private.path(), first.path());
    assert_ne!(open(Sharing::Private).path(), private.path());
    // Who wants it locked waits for both.
    std::thread::scope(|scope| {
        let (has, had) = mpsc::channel();
        let (path, root) = (first.path().to_owned(), store.root());
        scope.spawn(move || {
            let store = Store::open(root).unwrap();
            let locked = store.cache_mount("/root/.cache/pip", Sharing::Locked, EMPTY).unwrap();
            has.send(locked.path() == path).unwrap();
        });
        assert!(had.try_recv().is_err());
        drop(first);
        assert!(had.try_recv().is_err());
        drop(second);
        assert!(had.recv().unwrap());
    });
    let caches = store.caches().unwrap();
    let listed: Vec<_> = caches.iter().map(|cache| (cache.id.as_str(), cache.number, cache.bytes)).collect();
    assert_eq!(listed, [("/root/.cache/pip", 0, 6), ("/root/.cache/pip", 1, 0), ("/root/.cache/pip", 2, 0)]);
    assert_eq!((store.usage().unwrap().caches.count, store.usage().unwrap().caches.bytes), (3, 6));

    let all = Prune { all: true, ..Prune::default() };
    let held = open(Sharing::Shared);
    store.prune(&all).unwrap();
    assert_eq!(use_cache(&fixture, &held, "cat /cache/w"), "wheel\n");
    drop((held, private));
    store.prune(&all).unwrap();
    assert_eq!(store.caches().unwrap(), []);
    assert_eq!(store.root().join("caches").read_dir().unwrap().count(), 0);
    assert_eq!(store.tmp().read_dir().unwrap().count(), 0);
    assert_eq!(use_cache(&fixture, &open(Sharing::Locked), "ls /cache"), "");
    assert!(store.cache_mount(&"x".repeat(5000), Sharing::Shared, EMPTY).is_err());
}

fn caches_begin_as_asked() {
    let fixture = Fixture::new();
    let store = Store::open(fixture.dir.path().join("store")).unwrap();
    let unpack = |dir: &mut SafeDir| -> Result<(), BoxError> {
        let file = Entry::file(path("seed/d/f"), Content::from_bytes(*b"seed"), false);
        dir.write(&Entry { uid: 33, gid: 34, mode: 0o640, ..file })?;
        dir.write(&Entry::symlink(path("seed/d/link"), "f"))?;
        Ok(dir.write(&Entry::symlink(path("alias"), "seed"))?)
    };
    let view = View::open([&store.snapshot_or(&key("seed"), unpack).unwrap()]).unwrap();
    let alias = path("alias");
    let new = NewCache { content: Some((&view, Some(&alias))), mode: 0o1770, uid: 5, gid: 6 };
    let cache = store.cache_mount("c", Sharing::Locked, new).unwrap();
    let seen = use_cache(&fixture, &cache, "cat /cache/d/link; stat -c %a:%u:%g /cache /cache/d/f");
    let expected = if Mode::detect() == Mode::SingleId { "1770:0:0\n640:0:0\n" } else { "1770:5:6\n640:33:34\n" };
    assert_eq!(seen, format!("seed{expected}"));
    drop(cache);
    // It is there now: how it would begin does not matter.
    let cache = store.cache_mount("c", Sharing::Shared, EMPTY).unwrap();
    assert_eq!(use_cache(&fixture, &cache, "ls /cache"), "d\n");
    let file = path("seed/d/f");
    let error = store.cache_mount("f", Sharing::Shared, NewCache { content: Some((&view, Some(&file))), ..EMPTY });
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "a cache cannot begin as `/seed/d/f`, which is no directory");
    assert!(error.hint().is_some());
}

fn nobody_waits_in_a_circle() {
    let fixture = Fixture::new();
    let root = fixture.dir.path().join("store");
    let store = Store::open(&root).unwrap();
    let request = |id, sharing| CacheRequest { id, sharing, new: EMPTY };
    // One name twice in a step is one cache, locked when one of the two wants it locked.
    let taken = store
        .cache_mounts(
            &[request("b", Sharing::Shared), request("a", Sharing::Shared), request("b", Sharing::Locked)],
            &|| false,
        )
        .unwrap();
    assert!(taken[0].path() == taken[2].path() && taken[0].path() != taken[1].path());
    let other = |sharing| store.cache_mounts(&[request("b", sharing)], &|| false).unwrap();
    assert_ne!(other(Sharing::Private)[0].path(), taken[0].path());
    // Who is told to stop waits no longer.
    let looks = std::cell::Cell::new(0);
    let stopped = store.cache_mounts(&[request("a", Sharing::Locked)], &|| looks.replace(looks.get() + 1) == 2);
    assert!(stopped.unwrap_err().to_string().contains("had the cache `a`"));
    drop(taken);
    // Two steps that name the same caches in different orders: that this ends is the test.
    std::thread::scope(|scope| {
        for names in [["a", "b"], ["b", "a"]] {
            let root = &root;
            scope.spawn(move || {
                let store = Store::open(root).unwrap();
                for _ in 0..50 {
                    store.cache_mounts(&names.map(|name| request(name, Sharing::Locked)), &|| false).unwrap();
                }
            });
        }
    });
}
