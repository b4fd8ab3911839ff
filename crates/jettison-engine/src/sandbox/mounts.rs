//! What is mounted into the root file system of a sandbox, and the places where it is mounted.
//!
//! All of this is done by process 1 when the new root is its root already. A place is found as the image spells it,
//! symbolic links followed, but for the magic ones of `/proc` (openat2(2)), and is then used by its descriptor: nothing
//! that an image holds leads a mount elsewhere. A place that is missing is made, and taken away again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmod, chownat, fstat, fstatfs, mkdirat, open, openat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags, OpenTreeFlags, UnmountFlags, open_tree, unmount};

use super::attach::{attach, attach_at, clone_from, clone_tree, detached, find, set_attributes};
use super::error::Failure;
use super::mode::IdMap;
use super::overlay::mount_layers;
use super::spec::{Mount, Spec, Upper};

const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];
/// A file of `/dev`'s tmpfs while it is written. It is mounted elsewhere and loses its name there.
const NEW_FILE: &str = "/dev/.jettison-file";
/// `f_type` of procfs (statfs(2)).
const PROC_MAGIC: u64 = 0x9fa0;

/// Mount attributes of what nobody should execute, or find devices or setuid programs in.
pub(super) const INERT: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const NO_SETUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;

/// The places of mounts that had to be made.
#[derive(Debug, Default)]
pub(super) struct MountPoints {
    made: Vec<Made>,
    is_kept: bool,
    /// Sockets of the sandbox that lead to others outside ([`Mount::Socket`]), in the order of the mounts.
    pub listeners: Vec<OwnedFd>,
}

#[derive(Debug)]
enum Made {
    Place {
        parent: OwnedFd,
        name: Vec<u8>,
        is_directory: bool,
    },
    /// What is mounted at the places noted before it.
    Mount(OwnedFd),
}

/// What a mount of the spec brings from outside, cloned before the root changes.
pub(super) fn sources(spec: &Spec, ids: IdMap) -> Result<Vec<Option<OwnedFd>>, Failure> {
    spec.mounts.iter().map(|mount| source(mount, ids, spec.insecure)).collect()
}

fn source(mount: &Mount, ids: IdMap, with_devices: bool) -> Result<Option<OwnedFd>, Failure> {
    let flags = if with_devices { MountFlags::empty() } else { MountFlags::NODEV };
    let (tree, src, readonly) = match mount {
        Mount::Bind { src, readonly, .. } => (clone_tree(src)?, src, *readonly),
        Mount::Overlay { lower, src, writable, .. } => {
            let (root, mounts) = mount_layers(lower, *writable, ids, flags)?;
            let fail = || Failure::to(format!("mount {} of another root", src.display()));
            let tree = find(root.as_fd(), src).and_then(|found| clone_from(&found)).map_err(fail());
            if let Some(target) = lower.first() {
                for _ in 0..mounts {
                    unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).map_err(fail())?;
                }
            }
            (tree?, src, writable.is_none())
        }
        Mount::Tmpfs { .. } | Mount::File { .. } | Mount::Socket { .. } => return Ok(None),
    };
    let mut attributes = MountAttrFlags::empty();
    if readonly {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    // A single device may be given to a sandbox; it may not make devices in a directory that it is given.
    let mode = fstat(&tree).map_err(Failure::to(format!("look at {}", src.display())))?.st_mode;
    if !with_devices && FileType::from_raw_mode(mode).is_dir() {
        attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    let made = set_attributes(&tree, c"", libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, attributes);
    made.map_err(Failure::to(format!("protect {}", src.display())))?;
    Ok(Some(tree))
}

/// Makes the places of a spec's mounts in a directory that will be the lowest layer of the root. What cannot be made
/// there is made when it is mounted.
pub(super) fn prepare_places(spec: &Spec, directory: &Path) -> io::Result<()> {
    for own in ["proc", "sys", "dev"] {
        fs::create_dir(directory.join(own))?;
    }
    let has_etc = |lower: &PathBuf| fs::symlink_metadata(lower.join("etc")).is_ok_and(|meta| meta.is_dir());
    if spec.rootfs.lower.iter().any(has_etc) {
        fs::create_dir(directory.join("etc"))?;
        for name in ["hosts", "hostname", "resolv.conf"] {
            File::create(directory.join("etc").join(name))?;
        }
    }
    for mount in &spec.mounts {
        let Ok(place) = jettison_tree::TreePath::parse(mount.dst().as_os_str().as_bytes()) else { continue };
        let place = directory.join(place.as_path());
        let is_directory = match mount {
            Mount::Bind { src, .. } => fs::metadata(src).is_ok_and(|meta| meta.is_dir()),
            Mount::Tmpfs { .. } => true,
            // What the layers have there is seen when they are mounted.
            Mount::Overlay { .. } => continue,
            Mount::File { .. } | Mount::Socket { .. } => false,
        };
        let parent = if is_directory { Some(place.as_path()) } else { place.parent() };
        if parent.is_some_and(|parent| fs::create_dir_all(parent).is_ok()) && !is_directory {
            let _ = File::options().write(true).create_new(true).open(place);
        }
    }
    Ok(())
}

impl MountPoints {
    pub fn of(spec: &Spec) -> Self {
        Self { is_kept: matches!(spec.rootfs.upper, Upper::Directory(_)), ..Self::default() }
    }

    /// Attaches a mount, at a directory or file that is made where it is missing.
    pub fn attach(&mut self, tree: OwnedFd, path: &Path, is_directory: bool) -> Result<(), Failure> {
        let place = self.place(path, is_directory);
        let place = place.map_err(Failure::to(format!("make the mount point {}", path.display())))?;
        attach(&tree, &place).map_err(Failure::to(format!("mount {}", path.display())))?;
        if self.is_kept && matches!(self.made.last(), Some(Made::Place { .. })) {
            self.made.push(Made::Mount(tree));
        }
        Ok(())
    }

    /// Opens the place of a mount, and makes it where it is missing.
    fn place(&mut self, path: &Path, is_directory: bool) -> io::Result<OwnedFd> {
        let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        match find(root.as_fd(), path) {
            Err(Errno::NOENT) => {}
            found => return Ok(found?),
        }
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL.into()) };
        let parent = self.place(above, true)?;
        if is_directory {
            mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
        }
        let place = openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        self.made.push(Made::Place { parent, name: name.as_bytes().to_vec(), is_directory });
        Ok(place)
    }

    /// Fills `/dev`, and returns its `null`.
    pub fn dev<'a>(&mut self, devices: &'a [(PathBuf, OwnedFd)], shm_size: u64) -> Result<&'a OwnedFd, Failure> {
        let fail = |what: &str| Failure::to::<io::Error>(format!("fill /dev ({what})"));
        let options = [("size", "64m"), ("mode", "0755")];
        // Devices made in it are none; those that are here are mounts of their own.
        let dev = detached("tmpfs", &options, INERT);
        self.attach(dev.map_err(|e| fail("tmpfs")(e.into()))?, Path::new("/dev"), true)?;
        for (path, device) in devices {
            File::create(path).map_err(fail("devices"))?;
            attach_at(device.as_fd(), path).map_err(|e| fail("devices")(e.into()))?;
        }
        for (target, link) in DEVICE_LINKS {
            symlink(target, link).map_err(fail("links"))?;
        }
        // Terminals belong to the group `tty`, where it exists.
        let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
        let attributes = NO_SETUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let pts = match detached("devpts", &options, attributes) {
            Err(Errno::INVAL) => detached("devpts", &options[..2], attributes),
            pts => pts,
        };
        let shm_size = shm_size.to_string();
        let shm = [("size", shm_size.as_str()), ("mode", "1777")];
        let mounts = [
            ("/dev/pts", pts),
            ("/dev/shm", detached("tmpfs", &shm, INERT)),
            ("/dev/mqueue", detached("mqueue", &[], INERT)),
        ];
        for (path, mount) in mounts {
            match mount {
                Err(_) if path == "/dev/mqueue" => {}
                mount => {
                    fs::create_dir(path).map_err(fail(path))?;
                    let attached = mount.and_then(|mount| attach_at(mount.as_fd(), Path::new(path)));
                    attached.map_err(|e| fail(path)(e.into()))?;
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
    pub fn etc(&mut self, spec: &Spec, resolv_conf: Option<&[u8]>) -> Result<(), Failure> {
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
            let file = file_in_memory(content, 0o644, None).map_err(Failure::to(format!("write {path}")))?;
            self.attach(file, Path::new(path), false)?;
            forget_file().map_err(Failure::to(format!("write {path}")))?;
        }
        Ok(())
    }

    /// Mounts what the spec asks for. `source` is what comes from outside.
    pub fn user_mount(&mut self, mount: &Mount, source: Option<OwnedFd>) -> Result<(), Failure> {
        let dst = mount.dst();
        let fail = || Failure::to(format!("mount {}", dst.display()));
        if !dst.is_absolute() {
            return Err(Failure::to(format!("mount {}, which is no absolute path", dst.display()))(Errno::INVAL));
        }
        if !dst.components().any(|component| matches!(component, Component::Normal(_))) {
            return Err(Failure::to("mount something in place of the root")(Errno::INVAL));
        }
        let (tree, is_directory) = match (mount, source) {
            (Mount::Bind { .. } | Mount::Overlay { .. }, Some(tree)) => {
                let mode = fstat(&tree).map_err(|e| fail()(e.into()))?.st_mode;
                (tree, FileType::from_raw_mode(mode).is_dir())
            }
            (Mount::Bind { .. } | Mount::Overlay { .. }, None) => return Err(fail()(Errno::INVAL.into())),
            (Mount::Tmpfs { size, mode, .. }, _) => {
                let (size, mode) = (size.to_string(), format!("{mode:o}"));
                let options = [("size", size.as_str()), ("mode", mode.as_str())];
                let tmpfs = detached("tmpfs", &options, NO_SETUID | MountAttrFlags::MOUNT_ATTR_NODEV);
                (tmpfs.map_err(Failure::to(format!("mount a tmpfs at {}", dst.display())))?, true)
            }
            (Mount::File { content, mode, uid, gid, .. }, _) => {
                let file = file_in_memory(content.as_bytes(), *mode, Some((*uid, *gid))).map_err(fail())?;
                let attributes = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
                set_attributes(&file, c"", libc::AT_EMPTY_PATH, attributes).map_err(fail())?;
                (file, false)
            }
            (Mount::Socket { mode, uid, gid, .. }, _) => {
                let (listener, socket) = listen(*mode, (*uid, *gid)).map_err(fail())?;
                self.listeners.push(listener);
                (socket, false)
            }
        };
        let place = self.place(dst, is_directory);
        let place = place.map_err(Failure::to(format!("make the mount point {}", dst.display())))?;
        if fstatfs(&place).is_ok_and(|fs| fs.f_type as u64 == PROC_MAGIC) {
            return Err(Failure::to(format!("mount {}, which is in /proc", dst.display()))(Errno::PERM));
        }
        attach(&tree, &place).map_err(|e| fail()(e.into()))?;
        forget_file().map_err(fail())?;
        if self.is_kept && matches!(self.made.last(), Some(Made::Place { .. })) {
            self.made.push(Made::Mount(tree));
        }
        Ok(())
    }

    /// Takes away again what was made to mount on, where the upper directory is kept. Places that the program put
    /// something into stay.
    pub fn remove(self) {
        for made in self.made.into_iter().rev().filter(|_| self.is_kept) {
            match made {
                Made::Mount(tree) => {
                    // The magic link leads to the mount itself, wherever its place is by now.
                    let _ = unmount(format!("/proc/self/fd/{}", tree.as_raw_fd()), UnmountFlags::DETACH);
                }
                Made::Place { parent, name, is_directory: true } => {
                    let _ = unlinkat(&parent, &*name, AtFlags::REMOVEDIR);
                }
                Made::Place { parent, name, is_directory: false } => {
                    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let stat = openat(&parent, &*name, flags, Mode::empty()).and_then(fstat);
                    if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_size == 0) {
                        let _ = unlinkat(&parent, &*name, AtFlags::empty());
                    }
                }
            }
        }
    }
}

/// A file in the memory of `/dev`, as a mount.
fn file_in_memory(content: &[u8], mode: u32, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(NEW_FILE)?;
    file.write_all(content)?;
    finish_file(mode, owner)
}

/// A socket that listens in the memory of `/dev`, and its name as a mount.
fn listen(mode: u32, owner: (u32, u32)) -> io::Result<(OwnedFd, OwnedFd)> {
    let listener = UnixListener::bind(NEW_FILE)?;
    Ok((listener.into(), finish_file(mode, Some(owner))?))
}

fn finish_file(mode: u32, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    if let Some((uid, gid)) = owner {
        match chownat(CWD, NEW_FILE, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW) {
            // The id does not exist here; there is one only, which may read it.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    chmod(NEW_FILE, Mode::from_raw_mode(mode & 0o7777))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, NEW_FILE, flags)?)
}

/// Takes its name from a file that is attached elsewhere by now; before, it could not be.
fn forget_file() -> io::Result<()> {
    match fs::remove_file(NEW_FILE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
