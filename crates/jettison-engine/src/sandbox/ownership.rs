//! Owners in a sandbox that has one id: what a program gives away is noted beside the file.
//!
//! A filter hands chown(2) and its kin to process 1 (seccomp_unotify(2)). It finds the file as the program would, and
//! notes the owner in an extended attribute, [`OWNER`], which goes where the file goes. Inside nothing changes: all
//! files are the one user's. When the changes are kept the note becomes the owner ([`crate::store::UpperDir`]).
//! Symbolic links, devices and pipes cannot have such attributes: what becomes of them is noted by their paths, in
//! [`NOTES`] beside the changes. Such a note stays behind where the file is renamed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jettison_tree::TreePath;
use libc::{c_long, sock_filter};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, XattrFlags, chmod, chownat, fstat, getxattr,
    openat, openat2, readlink, removexattr, setxattr, statx,
};
use rustix::io::Errno;

use super::seccomp::native_architecture;

/// The attribute that notes an owner: user and group as decimal numbers with a colon between them, each of which may be
/// missing.
pub(crate) const OWNER: &str = "user.jettison.owner";
/// The file with the owners of what can have no attributes: an owner as in [`OWNER`], a space, the absolute path and a
/// NUL byte, again and again. Of several for one path the last counts.
pub(crate) const NOTES: &str = "owners";

/// The longest path (`PATH_MAX`).
const PATH_LIMIT: usize = 4096;
/// An id that says to leave it as it is.
const KEEP: u32 = u32::MAX;

#[cfg(target_arch = "x86_64")]
const CALLS: &[c_long] = &[libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_chown, libc::SYS_lchown];
#[cfg(not(target_arch = "x86_64"))]
const CALLS: &[c_long] = &[libc::SYS_fchown, libc::SYS_fchownat];

/// Hands what this process, and what it will execute, gives away to who has the descriptor.
pub(super) fn intercept() -> io::Result<OwnedFd> {
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let is = |value, jt, jf| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, value);
    let give = |action| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    let allow = give(libc::SECCOMP_RET_ALLOW);
    // The architecture is the second word of `struct seccomp_data`, the number the first.
    let mut program = vec![load(4), is(native_architecture(), 1, 0), allow, load(0)];
    for &call in CALLS {
        program.extend([is(call as u32, 0, 1), give(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    program.push(allow);
    let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the kernel reads `len` instructions behind `filter`, which live until this returns; the descriptor is new.
    unsafe {
        match libc::syscall(libc::SYS_seccomp, mode, flags, &raw const header) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd as i32)),
        }
    }
}

/// What a program gives away, and where that is noted.
pub(super) struct Gifts {
    /// Where the calls arrive.
    pub listener: OwnedFd,
    notes: Option<File>,
    /// The mount that the root is: only what is in it is kept.
    root: u64,
}

impl Gifts {
    /// The calls that arrive at a listener. `notes` is an empty file, or there is none where nothing is kept.
    pub fn new(listener: OwnedFd, notes: Option<File>) -> io::Result<Self> {
        let root = statx(CWD, "/", AtFlags::empty(), StatxFlags::MNT_ID)?.stx_mnt_id;
        Ok(Self { listener, notes, root })
    }

    /// Answers one call. False when nobody is left to call.
    pub fn answer(&self) -> bool {
        answer(&self.listener, |file, uid, gid| self.note_path(file, uid, gid))
    }

    /// Notes the owner of a file that can have no attributes.
    fn note_path(&self, file: &OwnedFd, uid: u64, gid: u64) -> Result<(), Errno> {
        let Some(mut notes) = self.notes.as_ref() else { return Ok(()) };
        if statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id != self.root {
            return Ok(());
        }
        // Nothing is changed, which makes it a change all the same: it is copied up.
        chownat(file, c"", None, None, AtFlags::EMPTY_PATH)?;
        let path = readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
        let text = |id: u64| if id as u32 == KEEP { String::new() } else { (id as u32).to_string() };
        let head = format!("{}:{} ", text(uid), text(gid));
        let note = [head.as_bytes(), path.as_bytes(), b"\0"].concat();
        notes.write_all(&note).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }
}

/// An owner that may be known in part.
pub(crate) type Noted = (Option<u32>, Option<u32>);

/// Reads [`NOTES`]. What is broken is left out.
pub(crate) fn parse_notes(notes: &[u8]) -> BTreeMap<TreePath, Noted> {
    let mut owners = BTreeMap::<TreePath, Noted>::new();
    for note in notes.split(|&byte| byte == 0) {
        let Some(space) = note.iter().position(|&byte| byte == b' ') else { continue };
        let path = note[space + 1..].strip_prefix(b"/").map(TreePath::parse);
        let (Some((uid, gid)), Some(Ok(path))) = (parse(&note[..space]), path) else { continue };
        let known = owners.entry(path).or_default();
        *known = (uid.or(known.0), gid.or(known.1));
    }
    owners
}

/// Answers one call. False when nobody is left to call.
fn answer(listener: &OwnedFd, other: impl Fn(&OwnedFd, u64, u64) -> Result<(), Errno>) -> bool {
    // SAFETY: zeros are a valid request, as the kernel demands; it lives as long as the call.
    let request = unsafe {
        let mut request = std::mem::zeroed::<libc::seccomp_notif>();
        if libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut request) == -1 {
            // Who called was killed, or interrupted and calls again.
            return matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOENT | libc::EINTR));
        }
        request
    };
    let is_valid = || {
        let id = request.id;
        // SAFETY: the kernel reads the id.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
    };
    let error = match note(&request, is_valid, other) {
        Ok(()) => 0,
        Err(errno) => -errno.raw_os_error(),
    };
    let mut response = libc::seccomp_notif_resp { id: request.id, val: 0, error, flags: 0 };
    // SAFETY: the kernel reads the response, which lives as long as the call. That the caller is gone is no error.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    true
}

/// Notes an owner, of what can have no attributes with `other`. The error is what the program is told.
fn note(
    request: &libc::seccomp_notif,
    is_valid: impl FnOnce() -> bool,
    other: impl Fn(&OwnedFd, u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let arguments = request.data.args;
    let caller = Path::new("/proc").join(request.pid.to_string());
    let (file, uid, gid) = match c_long::from(request.data.nr) {
        libc::SYS_fchown => (open_descriptor(&caller, arguments[0] as i32)?, arguments[1], arguments[2]),
        libc::SYS_fchownat => {
            let (directory, flags) = (arguments[0] as i32, arguments[4] as i32);
            let path = read_path(&caller, arguments[1])?;
            let file = if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                open_descriptor(&caller, directory)?
            } else {
                open_path(&caller, directory, &path, flags & libc::AT_SYMLINK_NOFOLLOW == 0)?
            };
            (file, arguments[2], arguments[3])
        }
        #[cfg(target_arch = "x86_64")]
        call @ (libc::SYS_chown | libc::SYS_lchown) => {
            let path = read_path(&caller, arguments[0])?;
            (open_path(&caller, libc::AT_FDCWD, &path, call == libc::SYS_chown)?, arguments[1], arguments[2])
        }
        _ => return Ok(()),
    };
    let Some(file) = file.filter(|_| is_valid()) else { return Ok(()) };
    let stat = fstat(&file)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !kind.is_file() && !kind.is_dir() {
        return other(&file, uid, gid);
    }
    let through = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let mut known = [0; 32];
    let known = getxattr(&through, OWNER, &mut known).ok().and_then(|len| parse(known.get(..len)?));
    let (old_uid, old_gid) = known.unwrap_or_default();
    let choose = |new: u64, old: Option<u32>| if new as u32 == KEEP { old } else { Some(new as u32) };
    let text = |id: Option<u32>| id.map(|id| id.to_string()).unwrap_or_default();
    let value = format!("{}:{}", text(choose(uid, old_uid)), text(choose(gid, old_gid)));
    match setxattr(&through, OWNER, value.as_bytes(), XattrFlags::empty()) {
        Err(Errno::ROFS) => return Err(Errno::ROFS),
        Err(Errno::NOSPC | Errno::DQUOT) => return Err(Errno::NOSPC),
        // It is in /proc, or where there are no attributes; then it is nobody's concern.
        _ => {}
    }
    // As the kernel does when a file that runs with its owner's rights gets another.
    if kind.is_file() {
        if stat.st_mode & 0o6000 != 0 {
            let _ = chmod(&through, Mode::from_raw_mode(stat.st_mode & 0o1777));
        }
        let _ = removexattr(&through, "security.capability");
    }
    Ok(())
}

/// Reads what [`note`] wrote: user and group, where they are known.
pub(crate) fn parse(value: &[u8]) -> Option<Noted> {
    let (uid, gid) = std::str::from_utf8(value).ok()?.split_once(':')?;
    let id = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
    Some((id(uid).ok()?, id(gid).ok()?))
}

/// Opens what a descriptor of the caller stands for; `None` where that has no name.
fn open_descriptor(caller: &Path, fd: i32) -> Result<Option<OwnedFd>, Errno> {
    let link = if fd == libc::AT_FDCWD { caller.join("cwd") } else { caller.join("fd").join(fd.to_string()) };
    match openat(CWD, &link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => Err(Errno::BADF),
        opened => opened.map(Some),
    }
}

/// Opens a path as the caller would, from its root or from one of its directories; `None` where it leads through a link
/// of `/proc` that means something else to each process.
fn open_path(caller: &Path, directory: i32, path: &[u8], follow: bool) -> Result<Option<OwnedFd>, Errno> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let base_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let (base, resolve) = if path.first() == Some(&b'/') {
        (Some(openat(CWD, caller.join("root"), base_flags, Mode::empty())?), ResolveFlags::IN_ROOT)
    } else {
        (open_descriptor(caller, directory)?, ResolveFlags::empty())
    };
    let Some(base) = base else { return Ok(None) };
    loop {
        match openat2(base.as_fd(), path, flags, Mode::empty(), resolve | ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::LOOP | Errno::XDEV) => return Ok(None),
            opened => return opened.map(Some),
        }
    }
}

/// Reads a string of the caller.
fn read_path(caller: &Path, address: u64) -> Result<Vec<u8>, Errno> {
    let memory = File::open(caller.join("mem")).map_err(|_| Errno::FAULT)?;
    let mut path = Vec::new();
    // Up to the end of a page at a time: the next one may not be there.
    while path.len() < PATH_LIMIT {
        let at = address.checked_add(path.len() as u64).ok_or(Errno::FAULT)?;
        let mut page = [0; PATH_LIMIT];
        let len = PATH_LIMIT - (at % PATH_LIMIT as u64) as usize;
        let read = memory.read_at(&mut page[..len], at).map_err(|_| Errno::FAULT)?;
        match page[..read].iter().position(|&byte| byte == 0) {
            Some(end) => {
                path.extend_from_slice(&page[..end]);
                return Ok(path);
            }
            None if read == 0 => return Err(Errno::FAULT),
            None => path.extend_from_slice(&page[..read]),
        }
    }
    Err(Errno::NAMETOOLONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read() {
        for (text, expected) in [
            ("5:6", Some((Some(5), Some(6)))),
            (":6", Some((None, Some(6)))),
            ("5:", Some((Some(5), None))),
            ("5", None),
            ("x:6", None),
            ("5:6:7", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
        let notes = parse_notes(
            &["5:6 /a/b c", "7: /a/b c", "broken", ":8 /d", "9:9 /", "9:9 /../x", ""].join("\0").into_bytes(),
        );
        let notes: Vec<_> = notes.iter().map(|(path, owner)| (path.to_string(), *owner)).collect();
        assert_eq!(notes, [("a/b c".to_owned(), (Some(7), Some(6))), ("d".to_owned(), (None, Some(8)))]);
    }
}
