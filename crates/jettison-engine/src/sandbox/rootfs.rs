//! The root file system of a sandbox: an overlay, and what is mounted into it.
//!
//! Everything is done by process 1 in the mount namespace of the sandbox. 1. What comes from outside (directories,
//! devices, a fresh `/proc`) is opened or cloned as a mount that is attached nowhere yet. 2. The overlay is mounted
//! over its topmost lower directory, which spares a mount point of its own, and becomes the root. 3. From then on no
//! path leads out; the rest is attached. What an image has in place of a mount point is its own business: symbolic
//! links are followed, inside.
//!
//! Lower directories are named to overlayfs by file descriptor (`lowerdir=10:11:…`, with `/proc/self/fd` as working
//! directory): the options of a mount fit into a page, and a hundred long paths do not.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::error::Failure;
use super::mode::IdMap;
use super::spec::{Mount, Network, Rootfs, Spec, Upper};

/// Devices that every program may expect (OCI runtime-spec, config-linux.md, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];
/// What says too much about the host, or can be used against it (Docker's defaults).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// What changes the host when it is written to (Docker's defaults).
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Mount attributes of what nobody should execute, or find devices or setuid programs in.
const INERT: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const NO_SETUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;

/// What was mounted into the root file system, and what was made to mount it on.
#[derive(Debug, Default)]
pub(super) struct MountPoints {
    mounted: Vec<PathBuf>,
    made: Vec<PathBuf>,
    is_kept: bool,
}

/// Makes the root file system of `spec` the root of this process, which has a mount namespace of its own.
pub(super) fn enter(spec: &Spec, ids: IdMap) -> Result<MountPoints, Failure> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(Failure::to("make mounts private"))?;

    let binds = binds(&spec.mounts)?;
    let device = |name: &&'static str| {
        let path = Path::new("/dev").join(name);
        Ok((path.clone(), clone_tree(&path)?))
    };
    let devices = DEVICES.iter().map(device).collect::<Result<Vec<_>, Failure>>()?;
    let proc = detached("proc", &[], INERT).map_err(Failure::to("mount /proc"))?;
    let sys = sys();
    let resolv_conf = match spec.network {
        Network::Host => fs::read("/etc/resolv.conf").ok(),
        Network::None => None,
    };
    let root = mount_root(&spec.rootfs, ids)?;
    make_root(&root)?;
    drop(root);

    if !matches!(ids, IdMap::Single { .. }) {
        for owner in &spec.rootfs.owners {
            let path = Path::new("/").join(owner.path.as_path());
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            match chownat(CWD, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
                // It is hidden by a directory above, or its id does not exist here.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) => {}
                Err(errno) => return Err(Failure::to(format!("give away {}", path.display()))(errno)),
            }
        }
    }
    let mut points =
        MountPoints { is_kept: matches!(spec.rootfs.upper, Upper::Directory(_)), ..MountPoints::default() };
    for own in ["/proc", "/sys", "/dev"] {
        if fs::symlink_metadata(own).is_ok_and(|meta| !meta.is_dir()) {
            return Err(Failure::to(format!("mount {own}, which is no directory in the image"))(Errno::NOTDIR));
        }
    }
    points.attach(&proc, Path::new("/proc"), true)?;
    if let Some(sys) = sys {
        points.attach(&sys, Path::new("/sys"), true)?;
    }
    let null = points.dev(&devices, ids)?;
    points.etc(spec, resolv_conf.as_deref())?;
    for (mount, source) in spec.mounts.iter().zip(&binds) {
        points.user_mount(mount, source.as_ref())?;
    }
    if spec.network == Network::None {
        // As Docker has it: the sandbox's ports below 1024 are no more privileged than others.
        let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    }
    protect_proc_and_sys(null)?;
    if spec.rootfs.upper == Upper::ReadOnly {
        set_read_only(CWD, c"/", 0).map_err(Failure::to("make the root read-only"))?;
    }
    Ok(points)
}

/// Mounts the overlay over its topmost lower directory and returns its root.
fn mount_root(rootfs: &Rootfs, ids: IdMap) -> Result<OwnedFd, Failure> {
    let target = rootfs.lower.first().ok_or_else(|| Failure::to("mount a root with no directories")(Errno::INVAL))?;
    let open_directory = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(path, flags, Mode::empty()).map_err(Failure::to(format!("open {}", path.display())))
    };
    let lower = rootfs.lower.iter().map(|path| open_directory(path)).collect::<Result<Vec<_>, _>>()?;
    let in_memory = |size: &str| {
        let tmpfs = detached("tmpfs", &[("size", size), ("mode", "0755")], MountAttrFlags::empty());
        let tmpfs = tmpfs.map_err(Failure::to("mount a tmpfs"))?;
        attach(tmpfs.as_fd(), target).map_err(Failure::to("mount a tmpfs for changes"))
    };
    let changes = match &rootfs.upper {
        Upper::Directory(path) => path,
        Upper::Memory { size } => {
            in_memory(&size.to_string())?;
            target
        }
        // Mount points may have to be made before it becomes read-only.
        Upper::ReadOnly => {
            in_memory("1m")?;
            target
        }
    };
    let [upper, work] = ["upper", "work"].map(|name| {
        let path = changes.join(name);
        match fs::DirBuilder::new().mode(0o755).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                Err(Failure::to(format!("make {}", path.display()))(e))
            }
            _ => open_directory(&path),
        }
    });
    let (upper, work) = (upper?, work?);

    let lower: Vec<_> = lower.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let mut options =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.as_raw_fd(), work.as_raw_fd());
    options += if is_user_namespace(ids) { ",userxattr" } else { ",redirect_dir=off,metacopy=off,index=off" };
    let options = std::ffi::CString::new(options).map_err(|_| Failure::to("mount the overlay")(Errno::INVAL))?;
    chdir("/proc/self/fd").map_err(Failure::to("enter /proc/self/fd"))?;
    let mounted = mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str());
    mounted.map_err(Failure::to(format!("mount an overlay over {}", target.display())))?;
    open_directory(target)
}

/// Whether the kernel treats overlays of this process as those of an ordinary user.
fn is_user_namespace(ids: IdMap) -> bool {
    let is_whole = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    ids != IdMap::Same || !fs::read_to_string("/proc/self/uid_map").is_ok_and(is_whole)
}

/// Makes a mounted directory the root, and lets go of the old one.
fn make_root(root: &OwnedFd) -> Result<(), Failure> {
    fchdir(root).map_err(Failure::to("enter the root"))?;
    // The old root is put on top of the new one and taken off it again: so it needs no directory.
    pivot_root(".", ".").map_err(Failure::to("change the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(Failure::to("leave the old root"))?;
    chdir("/").map_err(Failure::to("enter the root"))
}

fn binds(mounts: &[Mount]) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let clone = |mount: &Mount| match mount {
        Mount::Bind { src, readonly, .. } => {
            let tree = clone_tree(src)?;
            if *readonly {
                let made = set_read_only(&tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE);
                made.map_err(Failure::to(format!("make {} read-only", src.display())))?;
            }
            Ok(Some(tree))
        }
        Mount::Tmpfs { .. } => Ok(None),
    };
    mounts.iter().map(clone).collect()
}

/// A fresh read-only sysfs. Where the network is the host's an ordinary user may not mount one and gets the host's;
/// where that cannot be had either there is none.
fn sys() -> Option<OwnedFd> {
    detached("sysfs", &[], INERT | MountAttrFlags::MOUNT_ATTR_RDONLY).ok().or_else(|| {
        let tree = clone_tree(Path::new("/sys")).ok()?;
        set_read_only(&tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE).ok()?;
        Some(tree)
    })
}

fn protect_proc_and_sys(null: &OwnedFd) -> Result<(), Failure> {
    for path in READ_ONLY.map(Path::new).into_iter().filter(|path| path.exists()) {
        let tree = clone_tree(path)?;
        let made = set_read_only(&tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE);
        made.and_then(|()| Ok(attach(tree.as_fd(), path)?))
            .map_err(Failure::to(format!("protect {}", path.display())))?;
    }
    for path in MASKED.map(Path::new) {
        let Ok(meta) = path.symlink_metadata() else { continue };
        let masked = if meta.is_dir() {
            let empty =
                detached("tmpfs", &[("size", "4k"), ("mode", "0555")], INERT | MountAttrFlags::MOUNT_ATTR_RDONLY);
            empty.and_then(|empty| attach(empty.as_fd(), path))
        } else {
            clone_from(null).and_then(|null| attach(null.as_fd(), path))
        };
        masked.map_err(Failure::to(format!("mask {}", path.display())))?;
    }
    Ok(())
}

impl MountPoints {
    /// Attaches a mount, at a directory or file that is made where it is missing.
    fn attach(&mut self, tree: &OwnedFd, path: &Path, is_directory: bool) -> Result<(), Failure> {
        self.make(path, is_directory).map_err(Failure::to(format!("make the mount point {}", path.display())))?;
        attach(tree.as_fd(), path).map_err(Failure::to(format!("mount {}", path.display())))?;
        self.mounted.push(path.to_owned());
        Ok(())
    }

    fn make(&mut self, path: &Path, is_directory: bool) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make(parent, true)?;
        }
        if is_directory {
            fs::DirBuilder::new().mode(0o755).create(path)?;
        } else {
            File::options().write(true).create_new(true).open(path)?;
        }
        self.made.push(path.to_owned());
        Ok(())
    }

    /// Fills `/dev`, and returns its `null`.
    fn dev<'a>(&mut self, devices: &'a [(PathBuf, OwnedFd)], ids: IdMap) -> Result<&'a OwnedFd, Failure> {
        let fail = |what: &str| Failure::to::<io::Error>(format!("fill /dev ({what})"));
        let options = [("size", "64m"), ("mode", "0755")];
        let dev = detached("tmpfs", &options, NO_SETUID | MountAttrFlags::MOUNT_ATTR_NOEXEC);
        self.attach(&dev.map_err(|e| fail("tmpfs")(e.into()))?, Path::new("/dev"), true)?;
        for (path, device) in devices {
            File::create(path).map_err(fail("devices"))?;
            attach(device.as_fd(), path).map_err(|e| fail("devices")(e.into()))?;
        }
        for (target, link) in DEVICE_LINKS {
            symlink(target, link).map_err(fail("links"))?;
        }
        // Terminals belong to the group `tty`, where there is one.
        let pts = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
        let pts = if matches!(ids, IdMap::Single { .. }) { &pts[..2] } else { &pts[..] };
        let shm = [("size", "64m"), ("mode", "1777")];
        let mounts = [
            ("/dev/pts", detached("devpts", pts, NO_SETUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)),
            ("/dev/shm", detached("tmpfs", &shm, INERT)),
            ("/dev/mqueue", detached("mqueue", &[], INERT)),
        ];
        for (path, mount) in mounts {
            match mount {
                Err(_) if path == "/dev/mqueue" => {}
                mount => {
                    fs::create_dir(path).map_err(fail(path))?;
                    mount.and_then(|mount| attach(mount.as_fd(), Path::new(path))).map_err(|e| fail(path)(e.into()))?;
                }
            }
        }
        match devices.first() {
            Some((_, null)) => Ok(null),
            None => Err(fail("null")(Errno::NOENT.into())),
        }
    }

    /// Puts the files into `/etc` that say who is who in the network. Where there is no `/etc` the image has no use for
    /// them.
    fn etc(&mut self, spec: &Spec, resolv_conf: Option<&[u8]>) -> Result<(), Failure> {
        let mut hosts = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        hosts += &format!("127.0.1.1\t{}\n", spec.hostname);
        for (address, names) in &spec.add_hosts {
            hosts += &format!("{address}\t{names}\n");
        }
        let hostname = format!("{}\n", spec.hostname);
        let files = [
            ("/etc/hosts", Some(hosts.as_bytes())),
            ("/etc/hostname", Some(hostname.as_bytes())),
            ("/etc/resolv.conf", resolv_conf),
        ];
        for (path, content) in files {
            let Some(content) = content.filter(|_| Path::new("/etc").is_dir()) else { continue };
            // A file of /dev's tmpfs, which loses its name there.
            let source = Path::new("/dev/.jettison-etc");
            let write = || {
                let mut file = File::options().write(true).create_new(true).open(source)?;
                file.write_all(content)
            };
            write().map_err(Failure::to(format!("write {path}")))?;
            self.attach(&clone_tree(source)?, Path::new(path), false)?;
            fs::remove_file(source).map_err(Failure::to(format!("write {path}")))?;
        }
        Ok(())
    }

    fn user_mount(&mut self, mount: &Mount, source: Option<&OwnedFd>) -> Result<(), Failure> {
        match (mount, source) {
            (Mount::Bind { dst, .. }, Some(tree)) => {
                let stat = rustix::fs::fstat(tree).map_err(Failure::to(format!("mount {}", dst.display())))?;
                let is_directory = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
                self.attach(tree, dst, is_directory)
            }
            (Mount::Bind { dst, .. } | Mount::Tmpfs { dst, .. }, _) if !dst.is_absolute() => {
                Err(Failure::to(format!("mount {}, which is no absolute path", dst.display()))(Errno::INVAL))
            }
            (Mount::Tmpfs { dst, size, mode }, _) => {
                let (size, mode) = (size.to_string(), format!("{mode:o}"));
                let tmpfs = detached(
                    "tmpfs",
                    &[("size", &size), ("mode", &mode)],
                    NO_SETUID | MountAttrFlags::MOUNT_ATTR_NODEV,
                );
                let tmpfs = tmpfs.map_err(Failure::to(format!("mount a tmpfs at {}", dst.display())))?;
                self.attach(&tmpfs, dst, true)
            }
            (Mount::Bind { dst, .. }, None) => Err(Failure::to(format!("mount {}", dst.display()))(Errno::INVAL)),
        }
    }

    /// Takes everything off again, and what was made for it where the upper directory is kept. Mount points that the
    /// program put something into stay.
    pub fn remove(self) {
        if !self.is_kept {
            return;
        }
        for path in self.mounted.iter().rev() {
            let _ = unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        for path in self.made.iter().rev() {
            let is_empty_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0);
            let _ = if is_empty_file { fs::remove_file(path) } else { fs::remove_dir(path) };
        }
    }
}

/// A mount of a new file system, attached nowhere.
fn detached(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A copy of the mounts at a path and below it, attached nowhere.
fn clone_tree(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).map_err(Failure::to(format!("take {} along", path.display())))
}

/// A copy of a mount that was cloned and attached before.
fn clone_from(tree: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(tree, c"", flags)
}

fn attach(tree: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(tree, c"", CWD, path, flags)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn set_read_only(directory: impl AsFd, path: &std::ffi::CStr, flags: i32) -> io::Result<()> {
    let set = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    let attributes = MountAttributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path ends in NUL and the attributes are as long as is said; the kernel only reads both.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
