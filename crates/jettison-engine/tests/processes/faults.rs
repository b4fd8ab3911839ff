//! Programs that misbehave.

use jettison_engine::changes::{ChangeKind, walk};
use jettison_engine::view::View;
use jettison_tree::Device;

use super::steps::key;
use super::*;

pub const TESTS: &[Test] = &[
    ("a_gigabyte_of_output_passes_through", a_gigabyte_of_output_passes_through),
    ("device_nodes_are_made_and_not_opened", device_nodes_are_made_and_not_opened),
    ("a_step_that_fills_the_disk_harms_nothing", a_step_that_fills_the_disk_harms_nothing),
    ("memory_can_be_limited", memory_can_be_limited),
    ("who_eats_memory_goes_first", who_eats_memory_goes_first),
];

/// The most memory that this process ever had, in kB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn a_gigabyte_of_output_passes_through() {
    let fixture = Fixture::new();
    let before = peak_memory();
    let mut spec = fixture.sh("head -c 1000000000 /dev/zero; echo end >&2");
    spec.stderr = Stdio::Null;
    let mut running = Sandbox::spawn(spec).unwrap();
    let mut output = running.stdout.take().unwrap();
    // Nothing is read yet: the program waits, and nobody holds what it writes.
    assert_eq!(running.wait_timeout(Duration::ZERO), None);
    let (mut buffer, mut total) = (vec![0; 64 * 1024], 0);
    loop {
        match output.read(&mut buffer).unwrap() {
            0 => break,
            read => total += read,
        }
    }
    assert_eq!((total, running.wait()), (1_000_000_000, ExitStatus::Code(0)));
    assert!(peak_memory() < before + 8_000, "{before} {}", peak_memory());
}

fn device_nodes_are_made_and_not_opened() {
    let fixture = Fixture::new();
    let store = Store::open(fixture.dir.path().join("store")).unwrap();
    let upper = store.upper().unwrap();
    let cache = fixture.dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    // A mknod that is refused is what a program without privileges gets anywhere.
    let script =
        "for d in /home /cache /dev /dev/shm; do mknod $d/mine c 1 5 && head -c 1 $d/mine | wc -c; done 2>/dev/null
        mknod /home/disk b 7 0 2>/dev/null; head -c 4 /dev/zero | wc -c";
    let mut spec = fixture.sh(script);
    spec.mounts.push(Mount::Bind { src: cache, dst: "/cache".into(), readonly: false });
    spec.rootfs.upper = upper.upper();
    let made = if is_root() { "0\n".repeat(4) } else { String::new() };
    assert_eq!(output(spec), made + "4\n");
    let below = View::open([fixture.root().as_path()]).unwrap();
    let layer = upper.keep(&key("devices"), &below, (0, 0)).unwrap();
    let found: Vec<_> = walk(&layer).unwrap().map(|change| change.unwrap().kind).collect();
    let has = |wanted: fn(&ChangeKind) -> bool| found.iter().any(wanted);
    assert_eq!(has(|kind| matches!(kind, ChangeKind::CharacterDevice(Device { major: 1, minor: 5 }))), is_root());
    assert_eq!(has(|kind| matches!(kind, ChangeKind::BlockDevice(Device { major: 7, minor: 0 }))), is_root());
}

/// A store on a small disk, and a step that fills it. Runs in a sandbox, where a tmpfs is that disk.
pub fn full_upper() {
    let store = Store::open("/small/store").unwrap();
    let kept = store.put_bytes(b"kept").unwrap();
    let fixture = Fixture::new();
    let root = fixture.root();
    let upper = store.upper().unwrap();
    let script = "for i in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/zero > /home/big$i || exit 28; done";
    let mut spec = fixture.sh(script);
    spec.rootfs.upper = upper.upper();
    let (exit, _, errors) = run(spec);
    assert!(exit == ExitStatus::Code(28) && errors.contains("No space left on device"), "{exit} {errors}");
    // Full as it is, the step cannot be kept, or can; either way the store works.
    match upper.keep(&key("big"), &View::open([root.as_path()]).unwrap(), (0, 0)) {
        Ok(snapshot) => {
            drop(snapshot);
            let all = jettison_engine::store::Prune { all: true, ..Default::default() };
            store.prune(&all).unwrap();
        }
        Err(error) => assert!(matches!(error, StoreError::Full { .. }) && error.hint().is_some(), "{error}"),
    }
    drop(store);
    let store = Store::open("/small/store").unwrap();
    assert_eq!(store.tmp().read_dir().unwrap().count(), 0);
    let again = store.put_bytes(&vec![7; 1 << 20]).unwrap();
    assert!(store.has(again).unwrap());
    let _ = kept;
}

fn a_step_that_fills_the_disk_harms_nothing() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec(&["/test", "inside", "full-upper"]);
    (spec.insecure, spec.seccomp) = (true, Seccomp::Unconfined);
    spec.mounts.push(Mount::Tmpfs { dst: "/small".into(), size: 4 << 20, mode: 0o755 });
    output(spec);

    // In memory it is no different.
    let mut spec = fixture.sh("head -c 9000000 /dev/zero > /home/big");
    spec.rootfs.upper = Upper::Memory { size: 1 << 20 };
    let (exit, _, errors) = run(spec);
    assert!(!exit.success() && errors.contains("No space left on device"), "{errors}");
}

fn memory_can_be_limited() {
    let fixture = Fixture::new();
    let mut spec = fixture.sh("x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done");
    spec.limits = vec![Limit { resource: Resource::As, soft: Some(256 << 20), hard: Some(256 << 20) }];
    let running = Sandbox::spawn(spec).unwrap();
    assert!(!running.wait().success());
    assert_ne!(running.memory_ran_out(), OutOfMemory::Certain, "a program that ends itself is not the kernel's doing");
}

/// A group of processes that has little memory. It is removed when it is dropped, which nobody may be in any more.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where this process may make none.
    fn new() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let base = Path::new("/sys/fs/cgroup");
        let name = format!("jettison-test-{}", std::process::id());
        let (directory, limit) = match own.lines().find_map(|line| line.split_once(":memory:")) {
            Some((_, group)) => (base.join("memory").join(group.trim_start_matches('/')), "memory.limit_in_bytes"),
            None => (base.to_owned(), "memory.max"),
        };
        fs::create_dir(directory.join(&name)).ok()?;
        let group = Self(directory.join(name));
        fs::write(group.0.join(limit), "67108864").ok()?;
        // Without swap, where there is any.
        let _ = fs::write(group.0.join("memory.swappiness"), "0");
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        Some(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn who_eats_memory_goes_first() {
    assert_eq!(output(Fixture::new().sh("cat /proc/self/oom_score_adj")), "1000\n");
    let Some(group) = MemoryGroup::new() else {
        println!("not run with little memory: this user may make no cgroup with a memory limit");
        return;
    };
    let mut builder = Command::new("/proc/self/exe");
    assert!(builder.arg("eater").arg(&group.0).status().unwrap().success());
}

/// A build with little memory, and a step that wants it all.
pub fn eater(group: &Path) -> ExitCode {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    let fixture = Fixture::new();
    let mut spec = fixture.sh("x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done");
    (spec.stdout, spec.stderr) = (Stdio::Null, Stdio::Null);
    let running = Sandbox::spawn(spec).unwrap();
    assert_eq!((running.wait(), running.memory_ran_out()), (ExitStatus::Signal(9), OutOfMemory::Certain));
    assert_eq!(output(fixture.sh("echo next")), "next\n");
    ExitCode::SUCCESS
}
