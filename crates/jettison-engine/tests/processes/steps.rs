//! Steps whose changes are kept: as a snapshot, as a changeset, and as what the next step and a view see.

use jettison_engine::changes::{ChangeKind, walk};
use jettison_engine::store::{Prune, Snapshot, UpperDir};
use jettison_engine::view::{FileKind, Layer, View};
use jettison_tree::{Device, Node};

use super::*;

pub const TESTS: &[Test] = &[
    ("a_step_becomes_a_layer", a_step_becomes_a_layer),
    ("a_view_is_what_a_sandbox_sees", a_view_is_what_a_sandbox_sees),
    ("closed_files_are_read_all_the_same", closed_files_are_read_all_the_same),
    ("owners_of_snapshots_are_real", owners_of_snapshots_are_real),
    ("one_id_stands_for_all", one_id_stands_for_all),
    ("a_working_directory_is_made_where_that_is_wanted", a_working_directory_is_made_where_that_is_wanted),
    ("a_killed_step_leaves_nothing", a_killed_step_leaves_nothing),
    ("a_daemon_of_a_step_is_gone_before_it_is_kept", a_daemon_of_a_step_is_gone_before_it_is_kept),
];

/// A capability set as the kernel keeps it for a file, `cap_net_raw=ep` (revision 2, `struct vfs_cap_data`).
const NET_RAW: &[u8] = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

pub fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

pub fn key(name: &str) -> CacheKey {
    CacheKey::builder("test").field("name", name).finish()
}

fn ids_exist() -> bool {
    Mode::detect() != Mode::SingleId
}

/// A store, and the root of a fixture with more in it as a snapshot.
struct Steps {
    fixture: Fixture,
    store: Store,
}

impl Steps {
    fn new() -> Self {
        let fixture = Fixture::new();
        let store = Store::open(fixture.dir.path().join("store")).unwrap();
        Self { fixture, store }
    }

    /// The lowest layer: what programs need, and these entries.
    fn base(&self, entries: &[Entry]) -> Snapshot {
        let unpack = |dir: &mut SafeDir| -> Result<(), BoxError> {
            for name in ["etc", "home", "tmp"] {
                dir.write(&Entry::directory(path(name)))?;
            }
            for name in ["usr", "bin", "sbin", "lib", "lib64"] {
                if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
                    dir.write(&Entry::symlink(path(name), target.into_os_string().into_encoded_bytes()))?;
                }
            }
            entries.iter().try_for_each(|entry| Ok(dir.write(entry)?))
        };
        self.store.snapshot_or(&key("base"), unpack).unwrap()
    }

    fn spec(&self, script: &str, below: &[Snapshot], upper: &UpperDir<'_>) -> Spec {
        let mut spec = self.fixture.sh(script);
        spec.rootfs.lower = below.iter().map(|snapshot| snapshot.path.clone()).collect();
        spec.rootfs.owners = below.iter().rev().flat_map(|snapshot| snapshot.owners.clone()).collect();
        spec.rootfs.upper = upper.upper();
        (spec.no_new_privs, spec.pretend_ids) = (false, true);
        spec
    }

    /// Runs a script over these layers, the topmost first, and keeps what it changed.
    fn step(&self, name: &str, script: &str, below: &[Snapshot], user: u32) -> Snapshot {
        let upper = self.store.upper().unwrap();
        let mut spec = self.spec(script, below, &upper);
        (spec.uid, spec.gid) = (user, user);
        output(spec);
        upper.keep(&key(name), &View::open(below).unwrap(), (user, user)).unwrap()
    }
}

/// The changes of a layer, one a line.
fn changes(layer: &Snapshot) -> Vec<String> {
    let line = |change: jettison_engine::changes::Change| {
        let what = match &change.kind {
            ChangeKind::Directory { opaque: true } => "opaque directory".to_owned(),
            ChangeKind::Directory { opaque: false } => "directory".to_owned(),
            ChangeKind::File(content) => {
                let mut text = String::new();
                content.open().unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(content.len(), text.len() as u64);
                format!("file {text:?}")
            }
            ChangeKind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            ChangeKind::HardLink(first) => return format!("{} = {first}", change.path),
            ChangeKind::CharacterDevice(Device { major, minor }) => format!("c {major} {minor}"),
            ChangeKind::BlockDevice(Device { major, minor }) => format!("b {major} {minor}"),
            ChangeKind::Fifo => "fifo".to_owned(),
            ChangeKind::Whiteout => return format!("{} gone", change.path),
        };
        format!("{} {what} {:o} {}:{}", change.path, change.mode, change.uid, change.gid)
    };
    walk(layer).unwrap().map(|change| line(change.unwrap())).collect()
}

fn file(at: &str, text: &str) -> Entry {
    Entry::file(path(at), Content::from_bytes(text.as_bytes()), false)
}

fn a_step_becomes_a_layer() {
    let steps = Steps::new();
    let old = ["home/a/old", "home/a-b", "home/gone", "home/replaced/inside", "etc/changed"];
    let base = steps.base(&old.map(|at| file(at, at)));
    let script = "cd /home && umask 022 && echo new > a/new && ln a/new a-link && ln -s a link && rm gone
        rm -r replaced && mkdir replaced && echo x > replaced/other && mkfifo pipe && echo tool > tool && chmod 4755 tool
        chmod 600 /etc/changed; chmod 1777 a; mkdir closed; echo secret > closed/file; chmod 0 closed/file closed
        chown 7:8 tool && chmod 4755 tool; test $(id -u) = 0 && echo done";
    let layer = steps.step("first", script, std::slice::from_ref(&base), 0);
    let expected = [
        "etc directory 755 0:0",
        "etc/changed file \"etc/changed\" 600 0:0",
        "home directory 755 0:0",
        "home/a directory 1777 0:0",
        "home/a-link file \"new\\n\" 644 0:0",
        "home/a/new = home/a-link",
        "home/closed directory 0 0:0",
        "home/closed/file file \"secret\\n\" 0 0:0",
        "home/gone gone",
        "home/link -> a 777 0:0",
        "home/pipe fifo 644 0:0",
        "home/replaced opaque directory 755 0:0",
        "home/replaced/other file \"x\\n\" 644 0:0",
        "home/tool file \"tool\\n\" 4755 7:8",
    ];
    assert_eq!(changes(&layer), expected);

    // The next step sees it, and touches nothing else.
    let layers = [layer, base];
    let script = "test -p /home/pipe && cat /home/a/new /home/closed/file && rm -r /home/closed";
    let second = steps.step("second", script, &layers, 0);
    assert_eq!(changes(&second), ["home directory 755 0:0", "home/closed gone"]);
    let kept = steps.store.snapshot(&key("second")).unwrap().unwrap();
    assert_eq!(kept.path, second.path);
    assert_eq!(steps.store.tmp().read_dir().unwrap().count(), 0);
    assert!(kept.path.parent().unwrap().read_dir().unwrap().count() == 2, "no leftovers of the overlay");

    // What is in use stays; what is not goes, whoever it belongs to.
    steps.store.prune(&Prune { all: true, ..Prune::default() }).unwrap();
    assert!(layers[0].path.exists());
    drop((layers, second, kept));
    steps.store.prune(&Prune { all: true, ..Prune::default() }).unwrap();
    assert_eq!(steps.store.root().join("snapshots").read_dir().unwrap().count(), 0);
    assert_eq!(steps.store.tmp().read_dir().unwrap().count(), 0);
}

fn a_view_is_what_a_sandbox_sees() {
    let steps = Steps::new();
    let base = steps.base(&[
        file("home/d/kept", "kept"),
        file("home/d/gone", ""),
        file("home/opaque/hidden", ""),
        file("home/turned/inside", ""),
        Entry::symlink(path("home/link"), "/home/d"),
        Entry::symlink(path("home/up"), "../../../../home/link/."),
        Entry::symlink(path("home/loop"), "loop"),
        Entry::symlink(path("home/dangling"), "../nowhere/x"),
    ]);
    let script = "cd /home && rm d/gone && echo new > d/new && rm -r opaque && mkdir opaque && echo o > opaque/seen
        rm -r turned && echo file > turned && chown 7:8 d/new";
    let layer = steps.step("first", script, std::slice::from_ref(&base), 0);
    let view = View::open([&layer, &base]).unwrap();
    let names = |at: &str| {
        let names = view.read_dir(&path(at)).unwrap();
        names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("home"), "d dangling link loop opaque turned up");
    assert_eq!((names("home/d"), names("home/opaque")), ("kept new".into(), "seen".into()));
    assert!(view.read_dir(None).unwrap().iter().any(|name| name == b"home"));
    let kind = |at: &str| view.lstat(&path(at)).unwrap().map(|stat| stat.kind);
    for (at, expected) in [
        ("home/d/gone", None),
        ("home/opaque/hidden", None),
        ("home/turned", Some(FileKind::File)),
        ("home/turned/inside", None),
        ("home/d/kept/below", None),
        ("home/link", Some(FileKind::Symlink)),
        ("home/link/kept", None),
    ] {
        assert_eq!(kind(at), expected, "{at}");
    }
    let resolved = |at: &str| view.resolve(&path(at)).map(|at| at.map(|at| at.to_string()).unwrap_or_default());
    for (at, expected) in [
        ("home/link/new", "home/d/new"),
        ("home/up/kept", "home/d/kept"),
        ("home/up/not/there", "home/d/not/there"),
        ("home/dangling", "nowhere/x"),
        ("nothing/at/all", "nothing/at/all"),
    ] {
        assert_eq!(resolved(at).unwrap(), expected, "{at}");
    }
    let error = resolved("home/loop/x").unwrap_err();
    assert!(error.to_string().contains("loop") && error.hint().is_some(), "{error}");
    assert_eq!(view.resolve_parent(&path("home/up/link")).unwrap(), path("home/d/link"));
    assert_eq!(view.read(&path("home/up/new"), 10).unwrap().unwrap(), b"new\n");
    assert_eq!(view.read(&path("home/up"), 10).unwrap(), None);
    assert!(view.read(&path("home/up/new"), 3).is_err());
    assert_eq!(view.read_link(&path("home/link")).unwrap(), b"/home/d");
    let stat = view.lstat(&path("home/d/new")).unwrap().unwrap();
    assert_eq!((stat.uid, stat.gid, stat.len), (7, 8, 4));
    assert!(view.read_dir(&path("home/turned")).is_err() && view.read_dir(&path("home/none")).is_err());
    assert!(view.open_file(&path("home/d")).is_err() && view.open_file(&path("home/none")).is_err());
}

fn closed_files_are_read_all_the_same() {
    let steps = Steps::new();
    let base = steps.base(&[]);
    let script = "mkdir -p /home/d/e && cd /home/d && i=0
        while [ $i -lt 3000 ]; do : > e/file-with-a-rather-long-name-so-that-the-answer-is-large-$i; i=$((i+1)); done
        echo text > f; chown -R 7:8 . ; chmod 0 f e .";
    let layer = steps.step("closed", script, std::slice::from_ref(&base), 0);
    let view = View::open([&layer, &base]).unwrap();
    assert_eq!(view.read(&path("home/d/f"), 10).unwrap().unwrap(), b"text\n");
    assert_eq!(view.read_dir(&path("home/d/e")).unwrap().len(), 3000);
    assert!(view.xattrs(&path("home/d/f")).unwrap().is_empty());
    for change in walk(&layer).unwrap().map(Result::unwrap).filter(|change| change.path.is_below("home/d")) {
        assert_eq!((change.uid, change.gid), (7, 8), "{}", change.path);
    }
    // Many may ask at once.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut text = String::new();
                    view.open_file(&path("home/d/f")).unwrap().read_to_string(&mut text).unwrap();
                    assert_eq!(text, "text\n");
                }
            });
        }
    });
    drop((layer, view));
    steps.store.prune(&Prune { all: true, ..Prune::default() }).unwrap();
    assert_eq!(steps.store.tmp().read_dir().unwrap().count(), 0);
}

fn owners_of_snapshots_are_real() {
    let steps = Steps::new();
    let mut tool = file("home/tool", "tool");
    (tool.mode, tool.uid, tool.gid) = (0o6755, 33, 34);
    tool.xattrs.insert(*b"security.capability", NET_RAW);
    tool.xattrs.insert(*b"user.note", *b"n");
    tool.xattrs.insert(*b"user.overlay.opaque", *b"y");
    let mut directory = Entry::directory(path("home/theirs"));
    (directory.mode, directory.uid, directory.mtime) = (0o700, 33, Some(1_000_000_000));
    let mut inside = file("home/theirs/file", "inside");
    (inside.mode, inside.gid, inside.mtime) = (0o600, 34, Some(1_234_567_890));
    let device = Node::CharacterDevice(Device { major: 1, minor: 3 });
    let far = Entry { uid: 3_000_000, ..file("home/far", "") };
    let base = steps.base(&[
        directory,
        inside,
        tool,
        Entry::new(path("home/null"), 0o666, (0, 0), device),
        Entry::new(path("home/pipe"), 0o620, (0, 34), Node::Fifo),
        far,
    ]);
    let is_remembered = |at: &str| base.owners.iter().any(|owner| owner.path == path(at));
    assert_eq!(is_remembered("home/tool"), !ids_exist());
    assert_eq!(is_remembered("home/far"), !is_root());
    let view = View::open([&base]).unwrap();
    let stat = |at: &str| view.lstat(&path(at)).unwrap();
    let owner = |at: &str| stat(at).map(|stat| (stat.mode, stat.uid, stat.gid)).unwrap();
    assert_eq!(owner("home/tool"), (0o6755, 33, 34));
    assert_eq!(owner("home/theirs"), (0o700, 33, 0));
    assert_eq!(owner("home/pipe"), (0o620, 0, 34));
    assert_eq!(stat("home/theirs").unwrap().mtime.seconds, 1_000_000_000);
    assert_eq!(stat("home/theirs/file").unwrap().mtime.seconds, 1_234_567_890);
    assert_eq!(stat("home/null").map(|stat| stat.rdev), is_root().then_some(Device { major: 1, minor: 3 }));
    let xattrs = view.xattrs(&path("home/tool")).unwrap();
    assert_eq!(xattrs.get("user.note"), Some(&b"n"[..]));
    assert_eq!(xattrs.get("security.capability"), ids_exist().then_some(NET_RAW));
    assert_eq!(xattrs.iter().count(), 1 + usize::from(ids_exist()));
    assert_eq!(view.read(&path("home/theirs/file"), 10).unwrap().unwrap(), b"inside");

    // A step changes nothing by looking at them, and they are its user's.
    if ids_exist() {
        let layer = steps.step("look", "test \"$(stat -c %u:%g /home/tool)\" = 33:34 && ls /home/theirs", &[base], 33);
        assert_eq!(changes(&layer), Vec::<String>::new());
    }
}

fn a_working_directory_is_made_where_that_is_wanted() {
    let steps = Steps::new();
    let base = [steps.base(&[])];
    let upper = steps.store.upper().unwrap();
    let mut spec = steps.spec("pwd", &base, &upper);
    (spec.cwd, spec.uid, spec.gid) = ("/home/a/b".into(), 33, 34);
    assert!(matches!(Sandbox::spawn(spec).unwrap_err(), SandboxError::WorkingDirectory { .. }));
    let upper = steps.store.upper().unwrap();
    let mut spec = steps.spec("pwd", &base, &upper);
    (spec.cwd, spec.uid, spec.gid, spec.make_cwd) = ("/home/a/b".into(), 33, 34, true);
    assert_eq!(output(spec), "/home/a/b\n");
    let layer = upper.keep(&key("made"), &View::open(&base).unwrap(), (33, 34)).unwrap();
    assert_eq!(changes(&layer)[1..], ["home/a directory 755 33:34", "home/a/b directory 755 33:34"]);
}

fn one_id_stands_for_all() {
    if ids_exist() {
        return;
    }
    let steps = Steps::new();
    let theirs = Entry { uid: 33, gid: 33, mode: 0o755, ..Entry::directory(path("home/theirs")) };
    let base = steps.base(&[theirs, Entry { uid: 33, gid: 34, ..file("home/theirs/old", "old") }]);
    let base = [base];
    // Who is not root gives nothing away, here as elsewhere.
    let script =
        "cd /home/theirs && echo new >> old && echo x > new && ! chown 5:6 new 2>/dev/null && mkdir sub && id -u";
    let layer = steps.step("app", script, &base, 1000);
    let expected = [
        "home/theirs directory 755 33:33",
        "home/theirs/new file \"x\\n\" 644 1000:1000",
        "home/theirs/old file \"oldnew\\n\" 644 33:34",
        "home/theirs/sub directory 755 1000:1000",
    ];
    let changed = changes(&layer);
    assert_eq!(changed[1..], expected, "{changed:#?}");

    // What root gives away is noted, wherever it goes then.
    let script =
        "cd /home && mkdir -p app/d && echo x > app/d/f && ln -s d app/link && chown -R 5:6 app && mv app/d/f moved
        chgrp 9 theirs/old && cp -p moved copy && chown 7 copy && chmod 6755 copy && chown :8 copy
        (exec 3>> theirs/fd && chown 5:6 /dev/fd/3 /proc/self/fd/3; true); chown 1:2 /etc/../home/app/link
        ! chown 5:6 none 2>/dev/null && mkdir root && cp -a /home/app root
        chroot / chown 3:4 /home/root && chown -h 1:1 app/link && stat -c %u:%g app";
    let layer = steps.step("root", script, &base, 0);
    let expected = [
        "home/app directory 755 5:6",
        "home/app/d directory 755 1:2",
        "home/app/link -> d 777 1:1",
        "home/copy file \"x\\n\" 755 7:8",
        "home/moved file \"x\\n\" 644 5:6",
        "home/root directory 755 3:4",
        "home/root/app directory 755 5:6",
        "home/root/app/d directory 755 1:2",
        "home/root/app/link -> d 777 0:0",
        "home/theirs directory 755 33:33",
        "home/theirs/fd file \"\" 644 0:0",
        "home/theirs/old file \"old\" 644 33:9",
    ];
    assert_eq!(changes(&layer)[1..], expected);
    let view = View::open([&layer, &base[0]]).unwrap();
    assert!(view.xattrs(&path("home/app")).unwrap().is_empty(), "the notes are nobody else's");

    let mut spec = steps.fixture.sh("chown 5:6 /tmp");
    assert!(!run(spec).0.success(), "nothing is pretended that was not asked for");
    spec = steps.fixture.spec(&["/test", "inside", "become"]);
    spec.pretend_ids = true;
    assert_eq!(output(spec), "[0, 0, 0, 0]\n");
}

/// Becomes somebody else, as package managers do.
pub fn become_another() {
    // SAFETY: the calls take numbers, and a null list of no groups.
    let done = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(65534, 65534, 65534),
            libc::setresuid(42, 42, 42),
            libc::setuid(42),
        ]
    };
    println!("{done:?}");
}

/// Runs a step that never ends, and says when it runs.
pub fn stepper(dir: &Path) -> ExitCode {
    let fixture = Fixture::new();
    let store = Store::open(dir).unwrap();
    let upper = store.upper().unwrap();
    let mut spec = fixture
        .sh("mkdir -p /home/d; echo x > /home/d/f; chown -R 7:7 /home/d; chmod 0 /home/d; echo ready; sleep 1000");
    (spec.rootfs.upper, spec.stdout, spec.pretend_ids) = (upper.upper(), Stdio::Inherit, true);
    Sandbox::spawn(spec).unwrap().wait();
    ExitCode::FAILURE
}

fn a_killed_step_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut stepper = command.arg("stepper").arg(dir.path()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(stepper.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    stepper.kill().unwrap();
    stepper.wait().unwrap();
    // Who holds its output holds the upper directory too.
    assert_eq!(lines.read(&mut [0]).unwrap(), 0);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.tmp().read_dir().unwrap().count(), 0);
    assert_eq!(store.root().join("snapshots").read_dir().unwrap().count(), 0);

    // So does one that is told to end, while this process goes on.
    let steps = Steps::new();
    let base = steps.base(&[]);
    let upper = steps.store.upper().unwrap();
    let running = started(steps.spec("echo ready; while :; do echo x >> /home/f; done", &[base], &upper));
    running.kill();
    assert_eq!(running.wait(), ExitStatus::Signal(libc::SIGKILL));
    drop(upper);
    assert_eq!(steps.store.tmp().read_dir().unwrap().count(), 0);
}

fn a_daemon_of_a_step_is_gone_before_it_is_kept() {
    let steps = Steps::new();
    let base = steps.base(&[]);
    let script =
        "(setsid sh -c 'trap \"\" TERM HUP; while :; do echo x >> /home/log; done' >/dev/null 2>&1 &) ; echo done";
    let layer = steps.step("daemon", script, &[base], 0);
    let len = |layer: &Snapshot| {
        let view = View::open([Layer::from(layer)]).unwrap();
        view.lstat(&path("home/log")).unwrap().map(|stat| stat.len)
    };
    let before = len(&layer);
    assert_eq!(output(steps.fixture.sh("echo other")), "other\n");
    assert_eq!(len(&layer), before);
}
