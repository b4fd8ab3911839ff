//! Mounting overlays (Documentation/filesystems/overlayfs.rst).
//!
//! Directories are named to overlayfs by file descriptor (`lowerdir=10:11:…`, with `/proc/self/fd` as working
//! directory): the options of a mount fit into a page, and hundreds of long paths do not. Overlayfs takes
//! [`LOWER_LIMIT`] directories; what is below the first of them is merged into an overlay of its own, which is then the
//! lowest.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chmod, chownat, fstat, open};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags, mount};
use rustix::process::{Resource, Rlimit, chdir, getrlimit, setrlimit};

use super::attach::{attach_at, detached};
use super::error::Failure;
use super::mode::{IdMap, is_first_namespace};
use super::spec::{Rootfs, Upper};
use crate::removal::remove_as_ourselves;

/// Overlayfs's `OVL_MAX_STACK`.
const LOWER_LIMIT: usize = 500;
/// Of the memory for mount points, where the root keeps no changes.
const POINTS_SIZE: &str = "1m";

/// Where an overlay keeps changes.
struct Changes {
    upper: OwnedFd,
    work: OwnedFd,
}

/// Mounts the overlay of a root file system over its topmost lower directory, which spares a mount point of its own,
/// and returns its root. `points` makes mount points in a directory that becomes the lowest layer: so they are there
/// and no change.
pub(super) fn mount_root(
    rootfs: &Rootfs,
    ids: IdMap,
    flags: MountFlags,
    points: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<OwnedFd, Failure> {
    let target = rootfs.lower.first().ok_or_else(|| Failure::to("mount a root with no directories")(Errno::INVAL))?;
    let mut lower = rootfs.lower.iter().map(|path| open_directory(path)).collect::<Result<Vec<_>, _>>()?;
    let place = match &rootfs.upper {
        Upper::Directory(path) => {
            // What an earlier mount noted (`volatile`) keeps another from using it.
            for old in ["work", "points"].map(|name| path.join(name)) {
                remove_as_ourselves(&old).map_err(Failure::to(format!("remove {}", old.display())))?;
            }
            path
        }
        Upper::Memory { size } => {
            in_memory(target, &size.to_string())?;
            target
        }
        // Mount points may have to be made before it becomes read-only.
        Upper::ReadOnly => {
            in_memory(target, POINTS_SIZE)?;
            target
        }
    };
    let changes = Changes::in_directory(place, lower.first().map(OwnedFd::as_fd))?;
    let own = place.join("points");
    let made = make_directory(&own).and_then(|_| points(&own));
    made.map_err(Failure::to(format!("make mount points in {}", own.display())))?;
    lower.push(open_directory(&own)?);
    mount_over(target, lower, Some(&changes), ids, flags)
}

/// Mounts an overlay of `lower` over the topmost of them. `writable` is how many bytes of changes it takes, in memory.
/// Returns its root, and how many mounts now lie on that directory.
pub(super) fn mount_layers(
    lower: &[std::path::PathBuf],
    writable: Option<u64>,
    ids: IdMap,
    flags: MountFlags,
) -> Result<(OwnedFd, usize), Failure> {
    let target = lower.first().ok_or_else(|| Failure::to("mount no directories")(Errno::INVAL))?;
    let mut open = lower.iter().map(|path| open_directory(path)).collect::<Result<Vec<_>, _>>()?;
    in_memory(target, &writable.map_or(POINTS_SIZE.to_owned(), |size| size.to_string()))?;
    let changes = Changes::in_directory(target, open.first().map(OwnedFd::as_fd))?;
    // An overlay without changes takes two directories at least.
    let empty = target.join("points");
    make_directory(&empty).map_err(Failure::to(format!("make {}", empty.display())))?;
    open.push(open_directory(&empty)?);
    let root = mount_over(target, open, writable.map(|_| &changes), ids, flags)?;
    Ok((root, 2))
}

impl Changes {
    /// Those in `upper/` and `work/` of a directory. A new root has the mode and owner of the one below it.
    fn in_directory(place: &Path, below: Option<BorrowedFd<'_>>) -> Result<Self, Failure> {
        let [upper, work] = ["upper", "work"].map(|name| place.join(name));
        let make = || {
            if make_directory(&upper)?
                && let Some(below) = below
            {
                let stat = fstat(below)?;
                let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                match chownat(rustix::fs::CWD, &upper, Some(uid), Some(gid), AtFlags::empty()) {
                    // It belongs to somebody who does not exist here.
                    Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
                    Err(e) => return Err(e.into()),
                }
                chmod(&upper, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
            }
            make_directory(&work)
        };
        make().map_err(Failure::to(format!("make {}", upper.display())))?;
        Ok(Self { upper: open_directory(&upper)?, work: open_directory(&work)? })
    }
}

fn mount_over(
    target: &Path,
    mut lower: Vec<OwnedFd>,
    changes: Option<&Changes>,
    ids: IdMap,
    flags: MountFlags,
) -> Result<OwnedFd, Failure> {
    if lower.len() > LOWER_LIMIT {
        let mut lowest = lower.split_off(LOWER_LIMIT - 1);
        if lowest.len() > LOWER_LIMIT {
            let most = 2 * LOWER_LIMIT - 2;
            return Err(Failure::to(format!("mount more than {most} layers"))(Errno::INVAL));
        }
        lower.push(mount_one(target, &lowest, None, ids, flags)?);
        lowest.clear();
    }
    mount_one(target, &lower, changes, ids, flags)
}

fn mount_one(
    target: &Path,
    lower: &[OwnedFd],
    changes: Option<&Changes>,
    ids: IdMap,
    flags: MountFlags,
) -> Result<OwnedFd, Failure> {
    let lower: Vec<_> = lower.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some(Changes { upper, work }) = changes {
        // Nothing in the store is synced to disk, and what a program syncs here is gone with the machine anyway.
        options += &format!(",upperdir={},workdir={},volatile", upper.as_raw_fd(), work.as_raw_fd());
    }
    // Whether the kernel treats this as an overlay of an ordinary user.
    let is_user = ids != IdMap::Same || !is_first_namespace();
    options += if is_user { ",userxattr" } else { ",redirect_dir=off,metacopy=off,index=off" };
    let options = std::ffi::CString::new(options).map_err(|_| Failure::to("mount the overlay")(Errno::INVAL))?;
    chdir("/proc/self/fd").map_err(Failure::to("enter /proc/self/fd"))?;
    let mounted = mount("overlay", target, "overlay", flags, options.as_c_str());
    mounted.map_err(Failure::to(format!("mount an overlay over {}", target.display())))?;
    open_directory(target)
}

fn in_memory(target: &Path, size: &str) -> Result<(), Failure> {
    let tmpfs = detached("tmpfs", &[("size", size), ("mode", "0755")], MountAttrFlags::empty());
    let tmpfs = tmpfs.map_err(Failure::to("mount a tmpfs"))?;
    attach_at(tmpfs.as_fd(), target).map_err(Failure::to("mount a tmpfs for changes"))
}

/// Makes a directory where there is none, and says whether it did.
fn make_directory(path: &Path) -> io::Result<bool> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(Failure::to(format!("open {}", path.display())))
}

/// Raises the limit of open files as far as this process may, for as long as what it returns is not given back.
pub(super) fn many_files() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    before
}

/// Sets the limit of open files to what it was.
pub(super) fn as_many_files_as(before: Rlimit) {
    let _ = setrlimit(Resource::Nofile, before);
}
