//! The root file system of a sandbox: an overlay, and what is mounted into it.
//!
//! Everything is done by process 1 in the mount namespace of the sandbox. 1. What comes from outside (directories,
//! layers of other roots, devices, a fresh `/proc`) is opened or cloned as a mount that is attached nowhere yet. 2. The
//! overlay is mounted ([`overlay`](super::overlay)) and becomes the root. Its lowest layer is a directory with nothing
//! but mount points, so that those which an image lacks are no change to it. 3. From then on no path leads out; the rest
//! is attached ([`mounts`](super::mounts)). What an image has in place of a mount point is its own business: symbolic
//! links are followed, inside.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use super::attach::{attach_at, clone_from, clone_tree, detached, set_attributes};
use super::error::Failure;
use super::mode::IdMap;
use super::mounts::{INERT, MountPoints, prepare_places, sources};
use super::overlay::{as_many_files_as, many_files, mount_root};
use super::spec::{Network, Spec, Upper};

/// Devices that every program may expect (OCI runtime-spec, config-linux.md, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
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

/// Makes the root file system of `spec` the root of this process, which has a mount namespace of its own.
pub(super) fn enter(spec: &Spec, ids: IdMap) -> Result<MountPoints, Failure> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(Failure::to("make mounts private"))?;

    let files = many_files();
    let sources = sources(spec, ids)?;
    let device = |name: &&'static str| {
        let path = Path::new("/dev").join(name);
        Ok((path.clone(), clone_tree(&path)?))
    };
    let devices = DEVICES.iter().map(device).collect::<Result<Vec<_>, Failure>>()?;
    let proc = detached("proc", &[], INERT).map_err(Failure::to("mount /proc"))?;
    let sys = sys(spec.insecure);
    let resolv_conf = match spec.network {
        Network::Host => fs::read("/etc/resolv.conf").ok(),
        Network::None => None,
    };
    // What a program makes is never a way to a device of this machine.
    let flags = if spec.insecure { MountFlags::empty() } else { MountFlags::NODEV };
    let root = mount_root(&spec.rootfs, ids, flags, |directory| prepare_places(spec, directory))?;
    as_many_files_as(files);
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
    if spec.make_cwd {
        make_directory(&spec.cwd, spec.uid, spec.gid)
            .map_err(Failure::to(format!("make the working directory {}", spec.cwd.display())))?;
    }
    let mut points = MountPoints::of(spec);
    for own in ["/proc", "/sys", "/dev"] {
        if fs::symlink_metadata(own).is_ok_and(|meta| !meta.is_dir()) {
            return Err(Failure::to(format!("mount {own}, which is no directory in the image"))(Errno::NOTDIR));
        }
    }
    points.attach(proc, Path::new("/proc"), true)?;
    if let Some(sys) = sys {
        points.attach(sys, Path::new("/sys"), true)?;
    }
    let null = points.dev(&devices, spec.shm_size)?;
    points.etc(spec, resolv_conf.as_deref())?;
    for (mount, source) in spec.mounts.iter().zip(sources) {
        points.user_mount(mount, source)?;
    }
    if spec.network == Network::None {
        // As Docker has it: the sandbox's ports below 1024 are no more privileged than others.
        let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    }
    if !spec.insecure {
        protect_proc_and_sys(null)?;
    }
    if spec.rootfs.upper == Upper::ReadOnly {
        let made = set_attributes(CWD, c"/", 0, MountAttrFlags::MOUNT_ATTR_RDONLY);
        made.map_err(Failure::to("make the root read-only"))?;
    }
    Ok(points)
}

/// Makes a mounted directory the root, and lets go of the old one.
fn make_root(root: &OwnedFd) -> Result<(), Failure> {
    fchdir(root).map_err(Failure::to("enter the root"))?;
    // The old root is put on top of the new one and taken off it again: so it needs no directory.
    pivot_root(".", ".").map_err(Failure::to("change the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(Failure::to("leave the old root"))?;
    chdir("/").map_err(Failure::to("enter the root"))
}

/// Makes a directory, and those above it, where they are missing. They belong to `uid` and `gid`, where these exist.
fn make_directory(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
    while let Some(directory) = missing.pop() {
        match fs::DirBuilder::new().mode(0o755).create(directory) {
            // A link that leads nowhere. Going there will say so.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        }
        match chownat(CWD, directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::empty()) {
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// A fresh sysfs, read-only unless it is to be writable. Where the network is the host's an ordinary user may not mount
/// one and gets the host's; where that cannot be had either there is none.
fn sys(writable: bool) -> Option<OwnedFd> {
    let read_only = if writable { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    detached("sysfs", &[], INERT | read_only).ok().or_else(|| {
        let tree = clone_tree(Path::new("/sys")).ok()?;
        set_attributes(&tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, MountAttrFlags::MOUNT_ATTR_RDONLY).ok()?;
        Some(tree)
    })
}

fn protect_proc_and_sys(null: &OwnedFd) -> Result<(), Failure> {
    for path in READ_ONLY.map(Path::new).into_iter().filter(|path| path.exists()) {
        let tree = clone_tree(path)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let made = set_attributes(&tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, attributes);
        made.and_then(|()| Ok(attach_at(tree.as_fd(), path)?))
            .map_err(Failure::to(format!("protect {}", path.display())))?;
    }
    for path in MASKED.map(Path::new) {
        let Ok(meta) = path.symlink_metadata() else { continue };
        let masked = if meta.is_dir() {
            let empty =
                detached("tmpfs", &[("size", "4k"), ("mode", "0555")], INERT | MountAttrFlags::MOUNT_ATTR_RDONLY);
            empty.and_then(|empty| attach_at(empty.as_fd(), path))
        } else {
            clone_from(null).and_then(|null| attach_at(null.as_fd(), path))
        };
        masked.map_err(Failure::to(format!("mask {}", path.display())))?;
    }
    Ok(())
}
