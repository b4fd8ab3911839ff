//! The last stage: gives up what the program shall not have, and becomes the program.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, Mode, Uid, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{Rlimit, chdir, ioctl_tiocsctty, setrlimit, setsid, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, capabilities, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::control::send;
use super::error::{At, Failure};
use super::mode::IdMap;
use super::spec::{Resource, Seccomp, Spec};
use super::{ownership, seccomp};

/// What root can do in a container (Docker's default).
const ROOT_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Where programs are looked for when the environment has no `PATH` (Docker's default).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Standard input, output and error of the program.
pub(super) enum Terminal {
    /// These.
    Files([OwnedFd; 3]),
    /// All the same terminal, which controls the program.
    Own(OwnedFd),
}

/// Becomes the program. Returns only when that fails. What it gives away is for who is at the other end of `process_1`.
pub(super) fn execute(spec: &Spec, ids: IdMap, terminal: &Terminal, process_1: &OwnedFd) -> Failure {
    match prepare(spec, ids, terminal, process_1) {
        Err(failure) => failure,
        Ok(()) => exec(spec),
    }
}

/// Whether files are given to ids that do not exist. Who is not root may not give files away anywhere.
pub(super) fn pretends(spec: &Spec, ids: IdMap) -> bool {
    spec.pretend_ids && spec.uid == 0 && matches!(ids, IdMap::Single { .. })
}

fn prepare(spec: &Spec, ids: IdMap, terminal: &Terminal, process_1: &OwnedFd) -> Result<(), Failure> {
    setsid().map_err(Failure::to("start a session"))?;
    connect(terminal, spec.uid).map_err(Failure::to("connect input and output"))?;
    reset_signals();
    close_others_on_exec().map_err(Failure::to("close files"))?;
    umask(Mode::from_raw_mode(0o022));
    for limit in &spec.limits {
        let set = setrlimit(resource(limit.resource), Rlimit { current: limit.soft, maximum: limit.hard });
        set.map_err(Failure::to(format!("limit {:?}", limit.resource)))?;
    }

    let all = if spec.insecure { CapabilitySet::from_bits_retain(u64::MAX) } else { ROOT_CAPABILITIES };
    drop_bounding_set(all);
    if spec.no_new_privs {
        set_no_new_privs(true).map_err(Failure::to("set no_new_privs"))?;
    }
    // Before the capabilities go: without `no_new_privs` it takes one to install a filter.
    if spec.seccomp == Seccomp::Default {
        seccomp::install().map_err(Failure::to("install the system call filter"))?;
    }
    if pretends(spec, ids) {
        let intercepted = ownership::intercept().and_then(|listener| {
            seccomp::pretend_ids()?;
            send(process_1, &(), &[listener.as_fd()])
        });
        intercepted.map_err(Failure::to("install the system call filter"))?;
    }
    if !matches!(ids, IdMap::Single { .. }) {
        let groups: Vec<_> = spec.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        set_thread_groups(&groups).map_err(Failure::to("set groups"))?;
    }
    let (uid, gid) = (Uid::from_raw(spec.uid), Gid::from_raw(spec.gid));
    set_thread_res_gid(gid, gid, gid).map_err(Failure::to("set the group"))?;
    set_thread_res_uid(uid, uid, uid).map_err(Failure::to("set the user"))?;
    // Those among them that this process has: the kernel may not know the others.
    let all = all.intersection(capabilities(None).map_err(Failure::to("read capabilities"))?.permitted);
    let kept = if spec.uid == 0 { all } else { CapabilitySet::empty() };
    // Gone already in most cases; an error means that there was none to clear.
    let _ = clear_ambient_capability_set();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(Failure::to("drop capabilities"))?;
    chdir(&spec.cwd).map_err(|source| Failure::new(At::WorkingDirectory(spec.cwd.clone()), source))
}

/// Executes the program, found as execvp(3) does.
fn exec(spec: &Spec) -> Failure {
    let program = spec.argv.first().map_or(OsStr::new(""), |program| program);
    let fail = |source: io::Error| Failure::new(At::Execute(program.to_string_lossy().into_owned()), source);
    let argv: Result<Vec<_>, _> = spec.argv.iter().map(|argument| CString::new(argument.as_bytes())).collect();
    let variables = spec.env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let env: Result<Vec<_>, _> = variables.map(CString::new).collect();
    let (Ok(argv), Ok(env)) = (argv, env) else {
        return fail(io::Error::other("an argument or variable holds a NUL byte"));
    };
    let pointers = |strings: &[CString]| -> Vec<_> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(&argv), pointers(&env));

    let path = spec.env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(DEFAULT_PATH), |(_, path)| path);
    let candidates: Vec<Vec<u8>> = if program.as_bytes().contains(&b'/') {
        vec![program.as_bytes().to_vec()]
    } else {
        let directories = path.as_bytes().split(|&byte| byte == b':').map(|directory| match directory {
            b"" => b".",
            directory => directory,
        });
        directories.map(|directory| [directory, b"/", program.as_bytes()].concat()).collect()
    };
    let mut error = Errno::NOENT;
    for candidate in candidates {
        let Ok(candidate) = CString::new(candidate) else { continue };
        // SAFETY: the strings end in NUL, the lists in a null pointer, and all live until this returns.
        unsafe { libc::execve(candidate.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        match Errno::from_io_error(&io::Error::last_os_error()) {
            Some(Errno::NOENT | Errno::NOTDIR) => {}
            Some(Errno::ACCESS) => error = Errno::ACCESS,
            other => return fail(other.unwrap_or(Errno::IO).into()),
        }
    }
    fail(error.into())
}

/// Puts standard input, output and error in their places.
fn connect(terminal: &Terminal, uid: u32) -> io::Result<()> {
    let [stdin, stdout, stderr] = match terminal {
        Terminal::Files(files) => files.each_ref(),
        Terminal::Own(terminal) => {
            ioctl_tiocsctty(terminal)?;
            [terminal; 3]
        }
    };
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    // So that the program can open `/dev/stdout` again, as it can where it has its own terminal or pipe.
    for file in [stdin, stdout, stderr] {
        let stat = fstat(file)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo || matches!(terminal, Terminal::Own(_)) {
            let _ = fchown(file, Some(Uid::from_raw(uid)), None);
        }
    }
    Ok(())
}

/// Handlers are gone after exec by themselves; what is ignored (SIGPIPE, by Rust) or blocked would stay so.
fn reset_signals() {
    // The kernel's `struct sigaction` of zeros is SIG_DFL. libc would not touch signals 32 and 33, its own.
    let default = [0_u64; 4];
    // SAFETY: both structures are as large as the kernel reads, valid as zeros, and live as long as the calls.
    unsafe {
        for signal in 1..=64 {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

fn close_others_on_exec() -> io::Result<()> {
    // SAFETY: no descriptor is closed now; those that get the flag are this process's own.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes all other capabilities from this process and its descendants for good, those among them that are newer than
/// this code.
fn drop_bounding_set(kept: CapabilitySet) {
    for number in (0..64).filter(|number| kept.bits() & (1_u64 << number) == 0) {
        // SAFETY: takes numbers only. It fails for numbers that the kernel does not know, which nobody has then.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number as libc::c_ulong, 0, 0, 0) };
    }
}

fn resource(resource: Resource) -> rustix::process::Resource {
    match resource {
        Resource::As => rustix::process::Resource::As,
        Resource::Core => rustix::process::Resource::Core,
        Resource::Cpu => rustix::process::Resource::Cpu,
        Resource::Data => rustix::process::Resource::Data,
        Resource::Fsize => rustix::process::Resource::Fsize,
        Resource::Locks => rustix::process::Resource::Locks,
        Resource::Memlock => rustix::process::Resource::Memlock,
        Resource::Msgqueue => rustix::process::Resource::Msgqueue,
        Resource::Nice => rustix::process::Resource::Nice,
        Resource::Nofile => rustix::process::Resource::Nofile,
        Resource::Nproc => rustix::process::Resource::Nproc,
        Resource::Rss => rustix::process::Resource::Rss,
        Resource::Rtprio => rustix::process::Resource::Rtprio,
        Resource::Rttime => rustix::process::Resource::Rttime,
        Resource::Sigpending => rustix::process::Resource::Sigpending,
        Resource::Stack => rustix::process::Resource::Stack,
    }
}
