//! What can be mounted into a sandbox.

use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

pub const TESTS: &[Test] = &[
    ("layers_of_others_are_mounted", layers_of_others_are_mounted),
    ("secrets_are_in_memory_only", secrets_are_in_memory_only),
    ("a_socket_leads_out", a_socket_leads_out),
    ("mount_points_stay_inside", mount_points_stay_inside),
    ("mount_points_are_no_change", mount_points_are_no_change),
    ("files_and_sizes_are_as_asked", files_and_sizes_are_as_asked),
    ("insecure_is_all_there_is", insecure_is_all_there_is),
];

fn overlay(lower: &[PathBuf], src: &str, writable: Option<u64>) -> Mount {
    Mount::Overlay { lower: lower.to_vec(), src: src.into(), dst: "/mnt/other".into(), writable }
}

fn layers_of_others_are_mounted() {
    let fixture = Fixture::new();
    let lower = ["upper", "lower"].map(|name| fixture.dir.path().join(name));
    for (layer, name) in [(0, "app/new"), (1, "app/old"), (1, "app/both"), (0, "app/both")] {
        let file = lower[layer].join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, layer.to_string()).unwrap();
    }
    symlink("/app", lower[1].join("link")).unwrap();
    symlink("../../../../..", lower[1].join("out")).unwrap();
    let with = |mount: Mount, script: &str| {
        let mut spec = fixture.sh(script);
        spec.mounts.push(mount);
        run(spec)
    };
    let read = "cd /mnt/other && echo * && cat both; echo x > both && cat both";
    let (_, out, err) = with(overlay(&lower, "/link", None), read);
    assert_eq!(out, "both new old\n0");
    assert!(err.contains("Read-only"), "{err}");
    assert_eq!(with(overlay(&lower, "app", Some(1 << 20)), read).1, "both new old\n0x\n");
    assert_eq!(fs::read_to_string(lower[0].join("app/both")).unwrap(), "0");
    assert_eq!(with(overlay(&lower, "/app/old", None), "cat /mnt/other").1, "1");
    assert_eq!(
        with(overlay(&lower[1..], "/out", None), "echo /mnt/other/*").1,
        "/mnt/other/app /mnt/other/link /mnt/other/out\n"
    );
    // The same layers as the root's own, more than once.
    let mut spec = fixture.sh("ls /mnt/other /mnt/again | sort -u | tr '\\n' ' '");
    let own = [fixture.root()];
    spec.mounts.push(overlay(&own, "/", None));
    spec.mounts.push(Mount::Overlay {
        lower: own.to_vec(),
        src: "/".into(),
        dst: "/mnt/again".into(),
        writable: Some(1 << 20),
    });
    assert!(output(spec).contains("home"));

    let mut spec = fixture.spec(&["true"]);
    spec.mounts.push(overlay(&lower, "/none", None));
    let error = Sandbox::spawn(spec).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot mount /none of another root in the sandbox: No such file"),
        "{error}"
    );
}

fn secrets_are_in_memory_only() {
    let fixture = Fixture::new();
    let secret = "correct horse battery staple";
    let changes = fixture.dir.path().join("changes");
    fs::create_dir(&changes).unwrap();
    for (uid, mode, expected) in [(0, 0o400, "400"), (1000, 0o440, "440")] {
        let mut spec = fixture.sh(
            "cat /run/secrets/token; stat -c %a /run/secrets/token; (echo x >> /run/secrets/token) 2>/dev/null || echo refused
            cat /proc/*/cmdline /proc/*/environ 2>/dev/null | grep -c 'b[a]ttery'",
        );
        (spec.uid, spec.gid) = (uid, uid);
        spec.rootfs.upper = Upper::Directory(changes.clone());
        let (content, dst) = (Secret::new(secret), "/run/secrets/token".into());
        spec.mounts.push(Mount::File { dst, content, mode, uid, gid: uid });
        assert!(!format!("{spec:?}").contains("battery"));
        assert_eq!(run(spec).1, format!("{secret}{expected}\nrefused\n0\n"));
    }
    assert!(!changes.join("upper/run").exists());
}

/// What a socket says to "hello".
pub fn ask_socket(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn a_socket_leads_out() {
    let fixture = Fixture::new();
    let outside = fixture.dir.path().join("agent");
    let listener = UnixListener::bind(&outside).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            stream.write_all(format!("{text} yourself\n").as_bytes()).unwrap();
        }
    });
    for uid in [0, 1000] {
        let mut spec =
            fixture.sh("for i in 1 2 3; do /test inside echo; done; stat -c %a:%F /run/agent/socket; ls /run/agent");
        (spec.uid, spec.gid) = (uid, uid);
        let dst = PathBuf::from("/run/agent/socket");
        spec.mounts.push(Mount::Socket { connect: outside.clone(), dst, mode: 0o600, uid, gid: uid });
        assert_eq!(output(spec), "hello yourself\n".repeat(3) + "600:socket\nsocket\n");
    }
    // Nobody listens any more: who comes sees the end, and not the machine's files.
    fs::remove_file(&outside).unwrap();
    let mut spec = fixture.sh("/test inside echo; echo end");
    let dst = PathBuf::from("/run/agent/socket");
    spec.mounts.push(Mount::Socket { connect: outside, dst, mode: 0o600, uid: 0, gid: 0 });
    assert!(run(spec).1.ends_with("end\n"));
}

fn mount_points_stay_inside() {
    let fixture = Fixture::new();
    let outside = fixture.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for (name, target) in
        [("abs", outside.as_path()), ("root", Path::new("/proc/1/root")), ("cwd", Path::new("/proc/self/cwd"))]
    {
        symlink(target, fixture.root().join(name)).unwrap();
    }
    let tmpfs = |dst: &str| Mount::Tmpfs { dst: dst.into(), size: 1 << 20, mode: 0o755 };
    for (dst, fails) in [
        ("/../../x", false),
        ("/abs/x", true),
        ("/root/tmp/x", true),
        ("/cwd/x", true),
        ("/proc/self", true),
        ("/proc/x", true),
        ("/", true),
        ("/..", true),
        ("x", true),
    ] {
        let mut spec = fixture.spec(&["true"]);
        spec.mounts.push(tmpfs(dst));
        assert_eq!(Sandbox::spawn(spec).is_err(), fails, "{dst}");
    }
    assert_eq!(outside.read_dir().unwrap().count(), 0);
    // Nor does the program get out.
    fs::write(outside.join("secret"), "secret").unwrap();
    let path = outside.join("secret");
    let path = path.display();
    let script = format!(
        "for at in /proc/1/root /proc/self/root /../.. /proc/1/cwd /abs/..; do cat $at{path} $at/../..{path}; done; readlink /proc/1/fd/* /proc/1/exe; ls /proc/1/cwd/"
    );
    assert_eq!(run(fixture.sh(&script)).1, "");
}

fn mount_points_are_no_change() {
    let fixture = Fixture::new();
    fs::write(fixture.root().join("home/file"), "image's own").unwrap();
    symlink("home", fixture.root().join("alias")).unwrap();
    let (changes, cache) = (fixture.dir.path().join("changes"), fixture.dir.path().join("cache"));
    fs::create_dir(&changes).unwrap();
    fs::create_dir(&cache).unwrap();
    let script = "cat /home/file; ls -d /home/a/b/c /alias/t /cache/in/ner /etc/one > /dev/null; echo kept > /cache/kept; echo > /tmp/f";
    for _ in 0..2 {
        let mut spec = fixture.sh(script);
        spec.rootfs.upper = Upper::Directory(changes.clone());
        let tmpfs = |dst: &str| Mount::Tmpfs { dst: dst.into(), size: 1 << 20, mode: 0o755 };
        let file = |dst: &str| Mount::File {
            dst: dst.into(),
            content: Secret::new("in memory\n"),
            mode: 0o444,
            uid: 0,
            gid: 0,
        };
        spec.mounts.extend([
            tmpfs("/home/a/b/c"),
            tmpfs("/alias/t"),
            Mount::Bind { src: cache.clone(), dst: "/cache".into(), readonly: false },
            tmpfs("/cache/in/ner"),
            file("/home/file"),
            file("/etc/one"),
        ]);
        // So that the program may write to what belongs to us.
        assert_eq!(output(spec), "in memory\n");
    }
    let names = |at: &Path| {
        let mut names: Vec<_> = at.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&cache), ["kept"], "what was made in it to mount on is gone");
    let upper = changes.join("upper");
    assert!(names(&upper).iter().all(|name| name == "tmp" || name == "home"), "{:?}", names(&upper));
    assert!(!upper.join("home").exists() || names(&upper.join("home")).is_empty());
}

fn files_and_sizes_are_as_asked() {
    let fixture = Fixture::new();
    let file = fixture.dir.path().join("one");
    fs::write(&file, "one file").unwrap();
    let mut spec =
        fixture.sh("cat /opt/deep/one; df -k --output=size /dev/shm /opt/small | tail -2 | tr -d ' ' | tr '\\n' ' '");
    spec.shm_size = 3 << 20;
    spec.mounts.push(Mount::Bind { src: file, dst: "/opt/deep/one".into(), readonly: true });
    spec.mounts.push(Mount::Tmpfs { dst: "/opt/small".into(), size: 2 << 20, mode: 0o1777 });
    assert_eq!(output(spec), "one file3072 2048 ");
}

fn insecure_is_all_there_is() {
    let fixture = Fixture::new();
    let mut spec = fixture
        .sh("grep -E '^(CapEff|Seccomp):' /proc/self/status | cut -f2; mount -t tmpfs none /tmp && echo mounted");
    (spec.insecure, spec.seccomp, spec.no_new_privs) = (true, Seccomp::Unconfined, false);
    let output = output(spec);
    let lines: Vec<_> = output.lines().collect();
    assert!(u64::from_str_radix(lines[0], 16).unwrap() & (1 << 21) != 0, "it has CAP_SYS_ADMIN: {output}");
    assert_eq!(lines[1..], ["0", "mounted"]);
}
