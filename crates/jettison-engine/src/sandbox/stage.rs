//! The first stage: this executable, started again, enters the namespaces of a sandbox.

use std::fs;
use std::io;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode as FileMode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, getegid, geteuid, setsid, umask, waitpid};
use rustix::thread::{Gid, Uid, UnshareFlags, set_thread_res_gid, set_thread_res_uid, unshare_unsafe};

use super::control::{Ask, Request, Run, Status, from_file, receive, send};
use super::error::{At, Failure};
use super::init;
use super::mode::IdMap;
use super::namespace;
use super::spec::Network;
use crate::removal::remove_as_ourselves;

/// The first argument (`argv[0]`) of a process that is a stage of a sandbox.
pub const MARKER: &str = "jettison-sandbox";

static PREPARED: AtomicBool = AtomicBool::new(false);

/// Whether `main` is known to call [`init_if_child`].
pub(super) fn is_prepared() -> bool {
    PREPARED.load(Ordering::Relaxed)
}

/// The first thing that `main` calls. In a process started as [`MARKER`] it does a sandbox's work and never returns; in
/// any other it notes that sandboxes can be started from here, and returns at once.
///
/// ```no_run
/// // In `main`, before threads, arguments and output:
/// jettison_engine::sandbox::init_if_child();
/// ```
pub fn init_if_child() {
    if std::env::args_os().next().is_some_and(|name| name == MARKER) {
        std::process::exit(run());
    }
    PREPARED.store(true, Ordering::Relaxed);
}

/// Does what the caller asks for. The exit code is of no use to anybody: failures go over the socket.
fn run() -> i32 {
    let Ok(control) = take_control() else { return 2 };
    let Ok(Some((request, mut fds))) = receive::<Request>(&control) else { return 2 };
    if fds.is_empty() {
        return 2;
    }
    let status = fds.remove(0);
    match serve(request, fds, control, &status) {
        Ok(None) => 0,
        Ok(Some(init)) => {
            // So that the caller sees it closed when process 1 ends.
            drop(status);
            wait_for(init);
            0
        }
        Err(failure) => {
            // Where nobody listens any more nobody needs to know.
            let _ = send(&status, &Status::Failed(failure), &[]);
            1
        }
    }
}

/// Takes the socket that came as standard input away from there.
fn take_control() -> io::Result<OwnedFd> {
    // SAFETY: standard input is open in this process, which was started with the socket there, and nothing owns it yet.
    let stdin = unsafe { OwnedFd::from_raw_fd(0) };
    let control = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
    std::mem::forget(stdin);
    rustix::stdio::dup2_stdin(open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, FileMode::empty())?)?;
    // A Ctrl-C at the caller's terminal is for the caller.
    let _ = setsid();
    umask(FileMode::from_raw_mode(0o022));
    Ok(control)
}

/// Does what was asked for. Where that is to run something, returns process 1 of the sandbox.
fn serve(request: Request, fds: Vec<OwnedFd>, control: OwnedFd, status: &OwnedFd) -> Result<Option<Pid>, Failure> {
    match request {
        Request::Remove { path, ids } => {
            enter_user_namespace(ids, &control, status)?;
            remove_as_ourselves(&path).map_err(Failure::to(format!("remove {}", path.display())))?;
            send(status, &Status::Done, &[]).map_err(Failure::to("answer"))?;
            Ok(None)
        }
        Request::Probe { ids } => {
            enter_user_namespace(ids, &control, status)?;
            enter_namespaces(Network::None)?;
            send(status, &Status::Done, &[]).map_err(Failure::to("answer"))?;
            Ok(None)
        }
        Request::Serve { ids } => {
            enter_user_namespace(ids, &control, status)?;
            send(status, &Status::Done, &[]).map_err(Failure::to("answer"))?;
            namespace::serve(&control);
            Ok(None)
        }
        Request::Run => {
            let [spec, stdin, stdout, stderr] = <[OwnedFd; 4]>::try_from(fds)
                .map_err(|_| Failure::new(At::SetUp("receive what to run".into()), Errno::BADMSG))?;
            let run: Run = from_file(spec).map_err(Failure::to("read what to run"))?;
            // Where memory runs out the kernel takes the sandbox, and not the build (proc_pid_oom_score_adj(5)).
            let _ = fs::write("/proc/self/oom_score_adj", "1000");
            enter_user_namespace(run.ids, &control, status)?;
            enter_namespaces(run.spec.network)?;
            // SAFETY: this process has one thread, so that its copy can do whatever it could.
            match unsafe { libc::fork() } {
                -1 => Err(Failure::new(At::Namespaces, io::Error::last_os_error())),
                0 => std::process::exit(init::run(&run, &control, status, [stdin, stdout, stderr])),
                init => Ok(Pid::from_raw(init)),
            }
        }
    }
}

/// Waits for process 1. While this process lives its id is not given to another.
fn wait_for(init: Pid) {
    while let Err(Errno::INTR) = waitpid(Some(init), WaitOptions::empty()) {}
}

fn enter_user_namespace(ids: IdMap, control: impl AsFd, status: impl AsFd) -> Result<(), Failure> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let enter = || unshare(UnshareFlags::NEWUSER);
    match ids {
        IdMap::Same => Ok(()),
        IdMap::Single { uid: inside, gid: inside_gid } => {
            enter()?;
            let write = |file: &str, text: String| {
                fs::write(format!("/proc/self/{file}"), text).map_err(|source| Failure::new(At::Namespaces, source))
            };
            write("setgroups", "deny".into())?;
            write("uid_map", format!("{inside} {uid} 1"))?;
            write("gid_map", format!("{inside_gid} {gid} 1"))
        }
        IdMap::ByCaller => {
            enter()?;
            send(status, &Status::MapIds, &[]).map_err(Failure::to("ask for ids"))?;
            match receive::<Ask>(control).map_err(Failure::to("wait for ids"))? {
                Some((Ask::IdsAreMapped, _)) => {}
                _ => return Err(Failure::new(At::SetUp("wait for ids".into()), Errno::PIPE)),
            }
            let (root, root_group) = (Uid::ROOT, Gid::ROOT);
            set_thread_res_gid(root_group, root_group, root_group).map_err(Failure::to("become root"))?;
            set_thread_res_uid(root, root, root).map_err(Failure::to("become root"))
        }
    }
}

fn enter_namespaces(network: Network) -> Result<(), Failure> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if network == Network::None {
        flags |= UnshareFlags::NEWNET;
    }
    unshare(flags)?;
    // Nice to have: with it the sandbox does not see where in the host's hierarchy it is.
    let _ = unshare(UnshareFlags::NEWCGROUP);
    Ok(())
}

fn unshare(flags: UnshareFlags) -> Result<(), Failure> {
    // SAFETY: the flags make namespaces; the table of file descriptors stays shared with nobody, as it was.
    unsafe { unshare_unsafe(flags) }.map_err(|source| Failure::new(At::Namespaces, source))
}
