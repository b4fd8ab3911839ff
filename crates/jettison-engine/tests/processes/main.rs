//! What takes processes of its own: the sandbox with real programs (this executable, and `/bin/sh` of the host), and a
//! store whose processes are killed or whose disk is full.
//!
//! A sandbox starts the executable again, so this has a `main` of its own in place of the test harness. Run by root it
//! runs the suite three times: as root, as a user without privileges, and as a user with subordinate ids. What is not
//! possible here fails.

#![expect(clippy::unwrap_used, clippy::panic, reason = "it is a test, which clippy does not know without a harness")]

mod caches;
mod faults;
mod mounts;
mod steps;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use jettison_engine::CacheKey;
use jettison_engine::graph::BoxError;
use jettison_engine::sandbox::*;
use jettison_engine::snapshot::{Owner, SafeDir};
use jettison_engine::store::{Store, StoreError};
use jettison_tree::{Content, Entry, TreePath};

/// A user that has no entry in any file, hence no subordinate ids.
const NOBODY_ELSE: u32 = 54_321;
/// A user that has subordinate ids, in files that only its tests see.
const SOMEBODY: u32 = 54_322;
/// The first of them.
const SUBORDINATE: u32 = 7_000_000;
/// Docker's default capabilities, as /proc/self/status writes them.
const DOCKER_DEFAULT: &str = "00000000a80425fb";
const MEMORY: u64 = 64 << 20;

/// A name and what it names.
type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("output_and_exit_codes_come_back", output_and_exit_codes_come_back),
    ("nothing_is_inherited", nothing_is_inherited),
    ("it_has_its_own_namespaces", it_has_its_own_namespaces),
    ("changes_go_where_the_spec_says", changes_go_where_the_spec_says),
    ("hundreds_of_layers_are_one_root", hundreds_of_layers_are_one_root),
    ("links_of_the_image_stay_inside", links_of_the_image_stay_inside),
    ("privileges_are_dockers", privileges_are_dockers),
    ("system_calls_are_filtered", system_calls_are_filtered),
    ("proc_and_sys_are_protected", proc_and_sys_are_protected),
    ("devices_are_there", devices_are_there),
    ("names_are_resolved_by_files", names_are_resolved_by_files),
    ("limits_hold", limits_hold),
    ("a_server_is_reached_and_told_to_stop", a_server_is_reached_and_told_to_stop),
    ("the_network_of_the_host_can_be_had", the_network_of_the_host_can_be_had),
    ("a_terminal_is_a_terminal", a_terminal_is_a_terminal),
    ("failures_say_what_and_why", failures_say_what_and_why),
    ("dropping_ends_everything", dropping_ends_everything),
    ("killing_the_caller_ends_everything", killing_the_caller_ends_everything),
    ("it_outlives_the_thread_that_started_it", it_outlives_the_thread_that_started_it),
    ("many_run_at_once", many_run_at_once),
    ("a_large_environment_arrives", a_large_environment_arrives),
    ("what_a_sandbox_leaves_can_be_removed", what_a_sandbox_leaves_can_be_removed),
    ("owners_are_as_the_image_says", owners_are_as_the_image_says),
    ("root_can_have_a_user_namespace_too", root_can_have_a_user_namespace_too),
    ("a_full_disk_leaves_the_store_usable", a_full_disk_leaves_the_store_usable),
    ("a_killed_writer_leaves_the_store_usable", a_killed_writer_leaves_the_store_usable),
];

fn main() -> ExitCode {
    init_if_child();
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("inside") => return inside(&arguments[1]),
        Some("caller") => return caller(),
        Some("writer") => return writer(Path::new(&arguments[1])),
        Some("stepper") => return steps::stepper(Path::new(&arguments[1])),
        Some("eater") => return faults::eater(Path::new(&arguments[1])),
        Some("with-ids") => return with_subordinate_ids(&arguments[1..]),
        _ => {}
    }
    let as_other = arguments.first().is_some_and(|argument| argument == "as-other");
    if as_other {
        arguments.remove(0);
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let chosen: Vec<_> = all().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter.as_str()))).collect();
    let who = format!("{:?}", Mode::detect());
    println!("\nrunning {} tests ({who})", chosen.len());
    let mut failed = 0;
    for (name, test) in &chosen {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        chosen.len() - failed
    );
    let mut all_passed = failed == 0;
    if is_root() && !as_other {
        all_passed &= again_as_others(&arguments);
    }
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn all() -> impl Iterator<Item = &'static Test> {
    TESTS.iter().chain(steps::TESTS).chain(mounts::TESTS).chain(caches::TESTS).chain(faults::TESTS)
}

/// Runs the suite as users without privileges, from a copy that such users can reach.
fn again_as_others(arguments: &[String]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("sandbox-test");
    fs::copy("/proc/self/exe", &copy).unwrap();
    let mut command = Command::new(&copy);
    command.arg("as-other").args(arguments).current_dir("/").uid(NOBODY_ELSE).gid(NOBODY_ELSE);
    let without = command.status().unwrap().success();
    if !Path::new("/usr/bin/newuidmap").exists() {
        println!("\nnot run with subordinate ids: there is no newuidmap here (Debian: uidmap)");
        return without;
    }
    without & Command::new(&copy).arg("with-ids").args(arguments).status().unwrap().success()
}

/// Runs the suite as a user who has subordinate ids. The files that say so are there for this process alone.
fn with_subordinate_ids(arguments: &[String]) -> ExitCode {
    use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
    // SAFETY: this process has one thread, and its file descriptors stay shared with nobody.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let range = format!("somebody:{SUBORDINATE}:65536\n");
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let group = fs::read_to_string("/etc/group").unwrap();
    for (name, content) in [
        ("subuid", range.clone()),
        ("subgid", range),
        ("passwd", format!("{passwd}somebody:x:{SOMEBODY}:{SOMEBODY}::/:/bin/sh\n")),
        ("group", format!("{group}somebody:x:{SOMEBODY}:\n")),
    ] {
        let (ours, theirs) = (dir.path().join(name), Path::new("/etc").join(name));
        if !theirs.exists() {
            println!("\nnot run with subordinate ids: there is no {}", theirs.display());
            return ExitCode::SUCCESS;
        }
        fs::write(&ours, content).unwrap();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o644)).unwrap();
        mount_bind(&ours, &theirs).unwrap();
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg("as-other").args(arguments).current_dir("/").uid(SOMEBODY).gid(SOMEBODY);
    if command.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A root file system with the programs of the host in it.
struct Fixture {
    dir: tempfile::TempDir,
    mounts: Vec<Mount>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for directory in ["", "etc", "tmp", "home"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        let bind = |src: &Path, dst: &str| Mount::Bind { src: src.to_owned(), dst: dst.into(), readonly: true };
        let mut mounts = vec![bind(&std::env::current_exe().unwrap(), "/test")];
        for name in ["/usr", "/bin", "/sbin", "/lib", "/lib64"] {
            match fs::read_link(name) {
                Ok(target) => symlink(target, root.join(&name[1..])).unwrap(),
                Err(_) if Path::new(name).is_dir() => mounts.push(bind(Path::new(name), name)),
                Err(_) => {}
            }
        }
        Self { dir, mounts }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn spec(&self, argv: &[&str]) -> Spec {
        let mut spec = Spec::new(Rootfs::ephemeral(vec![self.root()], MEMORY), argv);
        spec.env = vec![("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into())];
        spec.mounts = self.mounts.clone();
        spec.stdout = Stdio::Pipe;
        spec.stderr = Stdio::Pipe;
        spec
    }

    fn sh(&self, script: &str) -> Spec {
        self.spec(&["sh", "-c", script])
    }
}

/// Runs it to its end: how it ended, its output and its errors.
fn run(spec: Spec) -> (ExitStatus, String, String) {
    let mut running = Sandbox::spawn(spec).unwrap_or_else(|error| panic!("{error}\n{:?}", error.hint()));
    let mut text = [String::new(), String::new()];
    for (text, pipe) in text.iter_mut().zip([running.stdout.take(), running.stderr.take()]) {
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(text).unwrap();
        }
    }
    let [output, errors] = text;
    (running.wait(), output, errors)
}

/// The output of what must succeed.
fn output(spec: Spec) -> String {
    let (exit, output, errors) = run(spec);
    assert!(exit.success(), "{exit}\n{output}{errors}");
    output
}

/// What this executable does inside.
fn inside(what: &str) -> ExitCode {
    match what {
        "serve" => {
            let listener = TcpListener::bind("127.0.0.1:80").unwrap();
            println!("ready");
            for stream in listener.incoming() {
                stream.unwrap().write_all(b"hello").unwrap();
            }
        }
        "serve6" => {
            let listener = TcpListener::bind("[::1]:8000").unwrap();
            println!("ready");
            listener.accept().unwrap().0.write_all(b"six").unwrap();
        }
        "full-disk" => {
            let store = Store::open("/small/store").unwrap();
            let key = CacheKey::builder("test").finish();
            let kept = store.put_bytes(b"kept").unwrap();
            let error = store.put(std::io::repeat(1), None).unwrap_err();
            assert!(matches!(error, StoreError::Full { .. }) && error.hint().is_some(), "{error}");
            let error = store.fragment_or(&key, |file| {
                let copied = std::io::copy(&mut std::io::repeat(1), file);
                copied.map(|_| ()).map_err(|_| StoreError::Missing(kept))
            });
            assert!(error.is_err() && store.fragment(&key).unwrap().is_none());
            store.memo_put(&key, &"works", &[kept.into()]).unwrap();
            drop(store);
            let store = Store::open("/small/store").unwrap();
            assert_eq!(store.memo_get::<String>(&key).unwrap().as_deref(), Some("works"));
            assert_eq!(store.tmp().read_dir().unwrap().count(), 0);
        }
        "system-calls" => {
            assert_eq!(std::thread::spawn(|| 5).join().unwrap(), 5);
            let call = |number, argument: libc::c_ulong| {
                // SAFETY: the calls are forbidden, or harmless with these arguments.
                let done = unsafe { libc::syscall(number, argument, 0, 0, 0, 0, 0) };
                if done == -1 { std::io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
            };
            let errors = [
                call(libc::SYS_unshare, libc::CLONE_NEWUSER as _),
                call(libc::SYS_clone, (libc::CLONE_NEWUSER | libc::SIGCHLD) as _),
                call(libc::SYS_mount, 0),
                call(libc::SYS_keyctl, 0),
                call(libc::SYS_io_uring_setup, 1),
                call(libc::SYS_personality, 0x0040_0000),
                call(libc::SYS_personality, 0xffff_ffff),
                call(libc::SYS_socket, libc::AF_VSOCK as _),
                call(libc::SYS_clone3, 0),
                call(1000, 0),
                call(0x4000_0000 | 39, 0),
            ];
            println!("{errors:?}");
        }
        "echo" => print!("{}", mounts::ask_socket(Path::new("/run/agent/socket"))),
        "full-upper" => faults::full_upper(),
        "become" => steps::become_another(),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn output_and_exit_codes_come_back() {
    let fixture = Fixture::new();
    let (exit, out, err) = run(fixture.sh("echo out; echo err >&2; exit 7"));
    assert_eq!((exit, out.as_str(), err.as_str()), (ExitStatus::Code(7), "out\n", "err\n"));
    assert_eq!(run(fixture.sh("kill -9 $$")).0, ExitStatus::Signal(9));
    assert_eq!(run(fixture.spec(&["true"])).0.code(), 0);

    let mut spec = fixture.spec(&["cat"]);
    spec.stdin = Stdio::Pipe;
    let file = fixture.dir.path().join("out");
    spec.stdout = Stdio::File(File::create(&file).unwrap());
    let mut running = Sandbox::spawn(spec).unwrap();
    running.stdin.take().unwrap().write_all(b"through").unwrap();
    assert!(running.wait().success());
    assert_eq!(fs::read_to_string(file).unwrap(), "through");
}

fn nothing_is_inherited() {
    let fixture = Fixture::new();
    // SAFETY: a descriptor that every child would inherit; it is closed by the end of the process.
    let leak = unsafe { libc::dup(File::open("/dev/null").unwrap().as_raw_fd()) };
    assert!(leak >= 0);
    let mut spec =
        fixture.sh("set +x; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort; ls /proc/$$/fd; umask; trap");
    spec.env.push(("A".into(), "b c".into()));
    assert_eq!(output(spec), "A=b c\nPATH=/usr/bin:/bin:/usr/sbin:/sbin\n0\n1\n2\n0022\n");
    let status = output(fixture.sh("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    assert_eq!(status, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

fn it_has_its_own_namespaces() {
    let fixture = Fixture::new();
    let mut spec = fixture
        .sh("echo $$; hostname; ls /proc | grep -c '^[0-9]'; grep -c : /proc/net/dev; grep -o lo: /proc/net/dev");
    spec.hostname = "rocket".into();
    // Process 1, the shell, and `ls` or `grep`.
    assert_eq!(output(spec), "2\nrocket\n4\n1\nlo:\n");
    let mounts = output(fixture.sh("cat /proc/self/mountinfo"));
    assert!(!mounts.contains(fixture.dir.path().to_str().unwrap()), "the host's mounts are gone:\n{mounts}");
}

fn changes_go_where_the_spec_says() {
    let fixture = Fixture::new();
    fs::write(fixture.root().join("home/old"), "old").unwrap();
    let script = "echo new > /home/new; rm /home/old; mkdir /made; ls /home";
    assert_eq!(output(fixture.sh(script)), "new\n");
    assert_eq!(fs::read_to_string(fixture.root().join("home/old")).unwrap(), "old");
    let in_root = |root: &Path| {
        let mut names: Vec<_> = root.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| fs::symlink_metadata(root.join(name)).unwrap().is_dir());
        names.sort();
        names
    };
    assert_eq!(in_root(&fixture.root()), ["etc", "home", "tmp"], "no mount point was left");

    let mut spec = fixture.sh("echo x > /home/x; test -d /proc/self && cat /home/old");
    spec.rootfs.upper = Upper::ReadOnly;
    let (exit, out, err) = run(spec);
    assert_eq!((exit, out.as_str()), (ExitStatus::Code(0), "old"));
    assert!(err.contains("Read-only file system"), "{err}");

    let changes = fixture.dir.path().join("changes");
    fs::create_dir(&changes).unwrap();
    let mut spec = fixture.sh(script);
    spec.rootfs.upper = Upper::Directory(changes.clone());
    spec.mounts.push(Mount::Tmpfs { dst: "/cache/deep".into(), size: 1 << 20, mode: 0o700 });
    assert_eq!(output(spec), "new\n");
    assert_eq!(in_root(&changes.join("upper")), ["home", "made"], "mount points are no change");
    assert_eq!(fs::read_to_string(changes.join("upper/home/new")).unwrap(), "new\n");
    let whiteout = fs::symlink_metadata(changes.join("upper/home/old")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
}

fn hundreds_of_layers_are_one_root() {
    let fixture = Fixture::new();
    let long = fixture.dir.path().join("l".repeat(200));
    let layers: Vec<_> = (0..700).map(|n| long.join(format!("layer:{n},"))).collect();
    for (n, layer) in layers.iter().enumerate() {
        fs::create_dir_all(layer.join("home")).unwrap();
        fs::write(layer.join("home/top"), n.to_string()).unwrap();
        fs::write(layer.join(format!("home/{n}")), "").unwrap();
    }
    // The most that images have; the most that overlayfs takes, with ours; more.
    for count in [127, 498, 700] {
        let mut spec = fixture.sh("cat /home/top; ls /home | wc -l; ulimit -Sn");
        spec.rootfs.lower = layers[..count].iter().cloned().chain([fixture.root()]).collect();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
        assert_eq!(output(spec), format!("0{}\n{limit}\n", count + 1));
    }
}

fn links_of_the_image_stay_inside() {
    let fixture = Fixture::new();
    let outside = fixture.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::remove_dir(fixture.root().join("etc")).unwrap();
    symlink(&outside, fixture.root().join("etc")).unwrap();
    symlink("../../../../../../../..", fixture.root().join("up")).unwrap();
    let mut spec = fixture.sh(&format!("ls {}/secret", outside.display()));
    spec.mounts.push(Mount::Tmpfs { dst: "/up/tmp/here".into(), size: 1 << 20, mode: 0o755 });
    assert_eq!(run(spec).0, ExitStatus::Code(2));
    assert_eq!(outside.read_dir().unwrap().count(), 1);
    assert!(!Path::new("/tmp/here").exists());

    symlink("/tmp", fixture.root().join("proc")).unwrap();
    let error = Sandbox::spawn(fixture.spec(&["true"])).unwrap_err();
    assert!(error.to_string().contains("/proc, which is no directory in the image"), "{error}");
}

fn privileges_are_dockers() {
    let fixture = Fixture::new();
    let script = "id -u; id -g; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status | cut -f2 | tr '\\n' ' '";
    let none = "0000000000000000";
    let status = |effective: &str, no_new_privs| {
        format!("{none} {effective} {effective} {DOCKER_DEFAULT} {none} {no_new_privs} 2 ")
    };
    assert_eq!(output(fixture.sh(script)), format!("0\n0\n{}", status(DOCKER_DEFAULT, 1)));
    let mut spec = fixture.sh(script);
    (spec.uid, spec.gid, spec.no_new_privs) = (65532, 65532, false);
    assert_eq!(output(spec), format!("65532\n65532\n{}", status(none, 0)));
    if Mode::detect() != Mode::SingleId {
        let mut spec = fixture.sh("id -G");
        (spec.uid, spec.gid, spec.groups) = (1000, 1000, vec![5, 27]);
        assert_eq!(output(spec), "1000 5 27\n");
    }
    let mut spec = fixture.sh("grep ^Seccomp: /proc/self/status");
    spec.seccomp = Seccomp::Unconfined;
    assert_eq!(output(spec), "Seccomp:\t0\n");
    // The executable of the host is out of reach.
    assert!(!run(fixture.sh("readlink /proc/1/exe || ls /proc/1/root/")).0.success());
}

fn system_calls_are_filtered() {
    let fixture = Fixture::new();
    let (perm, nosys) = (libc::EPERM, libc::ENOSYS);
    let expected = [perm, perm, perm, perm, perm, perm, 0, perm, nosys, nosys, nosys];
    assert_eq!(output(fixture.spec(&["/test", "inside", "system-calls"])), format!("{expected:?}\n"));
}

fn proc_and_sys_are_protected() {
    let fixture = Fixture::new();
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/profiling; do
        test -e $f && (echo x > $f) 2>/dev/null && echo wrote $f; done
        head -c 1 /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | grep -v '==>' | tr -d '\\n'; ls /sys/firmware /proc/scsi 2>/dev/null | grep -v :";
    assert_eq!(run(fixture.sh(script)).1, "");
}

fn devices_are_there() {
    let fixture = Fixture::new();
    let script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c && echo y > /dev/shm/y && cat /dev/shm/y
        echo again > /dev/stdout; ls /dev/fd/0 /dev/pts/ptmx /dev/ptmx; cat /dev/full | head -c 1 | wc -c; ls -A /dev | tr '\\n' ' '";
    for uid in [0, 65532] {
        let mut spec = fixture.sh(script);
        (spec.uid, spec.gid) = (uid, uid);
        let expected = "3\n3\ny\nagain\n/dev/fd/0\n/dev/ptmx\n/dev/pts/ptmx\n1\n\
            fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ";
        assert_eq!(output(spec), expected);
    }
}

fn names_are_resolved_by_files() {
    let fixture = Fixture::new();
    let mut spec = fixture.sh("cat /etc/hosts /etc/hostname; ls /etc");
    spec.hostname = "h".into();
    spec.add_hosts = vec![("10.1.2.3".into(), "db cache".into())];
    let expected = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\th\n10.1.2.3\tdb cache\nh\nhostname\nhosts\n";
    assert_eq!(output(spec), expected);
    assert_eq!(fixture.root().join("etc").read_dir().unwrap().count(), 0);
}

fn limits_hold() {
    let fixture = Fixture::new();
    let mut spec = fixture.sh("ulimit -n; ulimit -c");
    let limit = |resource, most| Limit { resource, soft: Some(most), hard: Some(most) };
    spec.limits = vec![limit(Resource::Nofile, 77), limit(Resource::Core, 0)];
    assert_eq!(output(spec), "77\n0\n");
}

/// Starts it and waits for its first line.
fn started(spec: Spec) -> Running {
    let mut running = Sandbox::spawn(spec).unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    running
}

fn a_server_is_reached_and_told_to_stop() {
    let fixture = Fixture::new();
    for uid in [0, 65532] {
        // Port 80 is nobody's privilege.
        let mut spec = fixture.spec(&["/test", "inside", "serve"]);
        spec.uid = uid;
        let running = started(spec);
        assert_eq!(running.wait_timeout(Duration::ZERO), None);
        std::thread::scope(|scope| {
            let exit = scope.spawn(|| running.wait());
            for _ in 0..3 {
                let mut text = String::new();
                running.connect(80).unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, "hello");
            }
            let error = running.connect(81).unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot connect to port 81 in the sandbox: Connection refused (os error 111)"
            );
            running.signal(libc::SIGTERM);
            assert_eq!(exit.join().unwrap(), ExitStatus::Signal(libc::SIGTERM));
        });
        assert_eq!(running.wait_timeout(Duration::from_secs(1)), Some(ExitStatus::Signal(libc::SIGTERM)));
        assert!(matches!(running.connect(80), Err(SandboxError::Gone(_))));
    }
    let running = started(fixture.spec(&["/test", "inside", "serve6"]));
    let mut text = String::new();
    running.connect(8000).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), running.wait()), ("six", ExitStatus::Code(0)));
}

fn the_network_of_the_host_can_be_had() {
    let fixture = Fixture::new();
    let mut spec = fixture.sh("readlink /proc/self/ns/net; cat /etc/resolv.conf");
    spec.network = Network::Host;
    let net = fs::read_link("/proc/self/ns/net").unwrap();
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(run(spec).1, format!("{}\n{resolv_conf}", net.display()));
}

fn a_terminal_is_a_terminal() {
    let fixture = Fixture::new();
    for uid in [0, 65532] {
        let mut spec = fixture.sh("test -t 0 && tty && stty size && echo hi > /dev/tty && echo again > /dev/stdout");
        (spec.uid, spec.terminal) = (uid, Some(WindowSize { rows: 11, columns: 22 }));
        let mut running = Sandbox::spawn(spec).unwrap();
        running.resize(WindowSize { rows: 33, columns: 44 }).unwrap();
        let mut text = Vec::new();
        // The end of a terminal is an error.
        let _ = running.terminal.take().unwrap().read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(running.wait().success(), "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert!(matches!(lines[..], ["/dev/pts/0", "11 22" | "33 44", "hi", "again"]), "{text}");
    }
}

fn failures_say_what_and_why() {
    let fixture = Fixture::new();
    fs::write(fixture.root().join("home/script"), "#!/no/such/interpreter\n").unwrap();
    fs::write(fixture.root().join("home/data"), "data").unwrap();
    fs::set_permissions(fixture.root().join("home/script"), fs::Permissions::from_mode(0o755)).unwrap();
    let message = |spec| {
        let error = Sandbox::spawn(spec).unwrap_err();
        (error.to_string(), error.hint().is_some())
    };
    for (program, why) in [
        ("nosuch", "No such file or directory (os error 2)"),
        ("/home/nosuch", "No such file or directory (os error 2)"),
        ("/home/script", "No such file or directory (os error 2)"),
        ("/home/data", "Permission denied (os error 13)"),
        ("/home", "Permission denied (os error 13)"),
    ] {
        let expected = format!("cannot run `{program}` in the sandbox: {why}");
        assert_eq!(message(fixture.spec(&[program])), (expected, true));
    }
    let mut spec = fixture.spec(&["true"]);
    spec.cwd = "/work".into();
    let expected = "cannot enter the working directory `/work` in the sandbox: No such file or directory (os error 2)";
    assert_eq!(message(spec).0, expected);
    let mut spec = fixture.spec(&["true"]);
    spec.mounts.push(Mount::Bind { src: "/no/such".into(), dst: "/x".into(), readonly: false });
    assert_eq!(message(spec).0, "cannot take /no/such along in the sandbox: No such file or directory (os error 2)");
    let mut spec = fixture.spec(&[]);
    spec.argv.clear();
    assert_eq!(message(spec).0, "cannot run a sandbox: there is no program to run");
    let mut spec = fixture.spec(&["true"]);
    spec.argv.push(OsString::from("a\0b"));
    assert!(message(spec).0.contains("NUL"));
    Sandbox::probe().unwrap();
}

/// A process of the sandbox that would run on, in a session of its own, holds the pipe.
const DAEMON: &str = "(setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000' &) ; echo ready; sleep 1000";

fn dropping_ends_everything() {
    let fixture = Fixture::new();
    let mut running = Sandbox::spawn(fixture.sh(DAEMON)).unwrap();
    let mut output = BufReader::new(running.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let pid = running.pid();
    drop(running);
    assert_eq!(output.read(&mut [0]).unwrap(), 0, "nobody has the pipe any more");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());

    // So does the end of the program.
    let (exit, out, _) = run(fixture.sh("(setsid sleep 1000 &); echo done"));
    assert_eq!((exit, out.as_str()), (ExitStatus::Code(0), "done\n"));

    let running = Sandbox::spawn(fixture.spec(&["sleep", "1000"])).unwrap();
    running.kill();
    assert_eq!(running.wait(), ExitStatus::Signal(9));
}

/// Starts a sandbox that writes to our output, and waits to be killed.
fn caller() -> ExitCode {
    let fixture = Fixture::new();
    let mut spec = fixture.sh(DAEMON);
    spec.stdout = Stdio::Inherit;
    let running = Sandbox::spawn(spec).unwrap();
    running.wait();
    ExitCode::FAILURE
}

fn killing_the_caller_ends_everything() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut caller = command.arg("caller").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(caller.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert_eq!(output.read(&mut [0]).unwrap(), 0, "nobody has the pipe any more");
}

fn it_outlives_the_thread_that_started_it() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec(&["cat"]);
    spec.stdin = Stdio::Pipe;
    let mut running = std::thread::scope(|scope| scope.spawn(|| Sandbox::spawn(spec).unwrap()).join().unwrap());
    running.stdin.take().unwrap().write_all(b"alive").unwrap();
    let mut text = String::new();
    running.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), running.wait()), ("alive", ExitStatus::Code(0)));
}

fn many_run_at_once() {
    let fixture = &Fixture::new();
    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_eq!(output(fixture.spec(&["echo", &n.to_string()])), format!("{n}\n"));
                }
            });
        }
    });
}

fn a_large_environment_arrives() {
    let fixture = Fixture::new();
    let mut spec = fixture.sh("env | wc -c | xargs test 600000 -lt");
    spec.env.extend((0..6).map(|n| (format!("V{n}").into(), "x".repeat(100_000).into())));
    assert!(run(spec).0.success());
}

fn what_a_sandbox_leaves_can_be_removed() {
    let fixture = Fixture::new();
    let store = Store::open(fixture.dir.path().join("store")).unwrap();
    let scratch = store.scratch().unwrap();
    let mut spec = fixture.sh(
        "mkdir -p /home/d/e; echo x > /home/d/e/f; chmod 0 /home/d/e /home/d; (chown -R 7:7 /home/d; true) 2>/dev/null",
    );
    spec.rootfs.upper = Upper::Directory(scratch.path().to_owned());
    assert!(run(spec).0.success());
    assert!(scratch.path().join("upper/home/d").exists());
    let path = scratch.path().to_owned();
    drop(scratch);
    assert!(!path.exists());
}

fn owners_are_as_the_image_says() {
    let fixture = Fixture::new();
    let path = TreePath::parse("home").unwrap();
    let hidden = Owner { path: TreePath::parse("no/such").unwrap(), uid: 1, gid: 1 };
    let mut spec = fixture.sh("touch /home/mine && stat -c %u:%g /home /home/mine | uniq");
    spec.rootfs.owners = vec![hidden, Owner { path, uid: 65532, gid: 65533 }];
    (spec.uid, spec.gid) = (65532, 65533);
    assert_eq!(output(spec), "65532:65533\n");
    if Mode::detect() != Mode::SingleId {
        let mut spec = fixture.sh("touch /etc/x 2>/dev/null || stat -c %u:%g /etc");
        (spec.uid, spec.gid) = (65532, 65533);
        assert_eq!(output(spec), "0:0\n");
    }
}

fn root_can_have_a_user_namespace_too() {
    let fixture = Fixture::new();
    let ours = fs::read_link("/proc/self/ns/user").unwrap();
    let ours = ours.to_str().unwrap();
    for user_namespace in [false, true] {
        let mut spec = fixture.sh(
            "readlink /proc/self/ns/user; rm -r /home && mkdir /home && touch /home/x && stat -c %u:%g /tmp /home/x",
        );
        spec.user_namespace = user_namespace;
        let output = output(spec);
        assert_eq!(!output.starts_with(ours), user_namespace || !is_root(), "{output}");
        assert!(output.ends_with("\n0:0\n0:0\n"), "{output}");
    }
}

fn a_full_disk_leaves_the_store_usable() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec(&["/test", "inside", "full-disk"]);
    spec.mounts.push(Mount::Tmpfs { dst: "/small".into(), size: 4 << 20, mode: 0o755 });
    output(spec);
}

fn number(n: u64) -> CacheKey {
    CacheKey::builder("test").number("n", n).finish()
}

/// Puts things into the store until it is killed, and says after which.
fn writer(root: &Path) -> ExitCode {
    let store = Store::open(root).unwrap();
    for n in 0.. {
        let blob = store.put_bytes(format!("blob {n}").as_bytes()).unwrap();
        store.memo_put(&number(n), &n, &[blob.into()]).unwrap();
        let file = Entry::file(TreePath::parse("d/f").unwrap(), Content::from_bytes(*b"text"), false);
        let unpack = |dir: &mut SafeDir| -> Result<(), BoxError> { Ok(dir.write(&file)?) };
        store.snapshot_or(&number(n), unpack).unwrap();
        println!("{n}");
    }
    ExitCode::SUCCESS
}

fn a_killed_writer_leaves_the_store_usable() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut writer = command.arg("writer").arg(dir.path()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let told = lines.by_ref().take(10 * (round + 1)).count() as u64;
        assert_eq!(told, 10 * (round as u64 + 1));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.tmp().read_dir().unwrap().count(), 0);
        for n in 0..told {
            assert_eq!(store.memo_get(&number(n)).unwrap(), Some(n));
            assert_eq!(fs::read(store.snapshot(&number(n)).unwrap().unwrap().path.join("d/f")).unwrap(), b"text");
        }
    }
}
