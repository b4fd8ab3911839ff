//! Process 1 of a sandbox: sets it up, starts the program, and ends with it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, set_dumpable_behavior, set_parent_process_death_signal,
    wait, waitpid,
};
use rustix::termios::{Winsize, tcsetwinsize};

use super::control::{Ask, ExitStatus, Run, Status, pair, receive, send};
use super::error::Failure;
use super::mounts::MountPoints;
use super::ownership::{self, Gifts};
use super::payload::{self, Terminal};
use super::rootfs;
use super::spec::{Network, Upper, WindowSize};

/// Runs as process 1 and returns its exit code, which nobody looks at.
pub(super) fn run(run: &Run, control: &OwnedFd, status: &OwnedFd, stdio: [OwnedFd; 3]) -> i32 {
    let Started { program, children, mut mount_points, terminal, gifts } = match start(run, stdio) {
        Ok(started) => started,
        Err(failure) => {
            let _ = send(status, &Status::Failed(failure), &[]);
            return 1;
        }
    };
    let listeners = std::mem::take(&mut mount_points.listeners);
    let fds: Vec<_> = terminal.iter().chain(&listeners).map(|fd| fd.as_fd()).collect();
    if send(status, &Status::Started, &fds).is_err() {
        return 1;
    }
    drop((terminal, listeners));
    let Some(exit) = supervise(program, &children, control, gifts) else { return 1 };
    // All that is left in the sandbox, so that nothing writes to the upper directory any more.
    // SAFETY: `kill` takes any numbers; -1 is every process that this one can see but itself.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    while !matches!(wait(WaitOptions::empty()), Err(Errno::CHILD)) {}
    mount_points.remove();
    let _ = send(status, &Status::Exited(exit), &[]);
    0
}

struct Started {
    program: Pid,
    children: OwnedFd,
    mount_points: MountPoints,
    terminal: Option<OwnedFd>,
    /// Where the program's gifts of files arrive, where they cannot be made.
    gifts: Option<Gifts>,
}

fn start(run: &Run, stdio: [OwnedFd; 3]) -> Result<Started, Failure> {
    let Run { spec, ids } = run;
    // Where the first stage is killed this process goes too.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Failure::to("tie processes together"))?;
    rustix::system::sethostname(spec.hostname.as_bytes()).map_err(Failure::to("set the host name"))?;
    if spec.network == Network::None {
        loopback_up().map_err(Failure::to("bring up loopback"))?;
    }
    // While it can be reached.
    let notes = match &spec.rootfs.upper {
        Upper::Directory(place) if payload::pretends(spec, *ids) => {
            Some(File::create(place.join(ownership::NOTES)).map_err(Failure::to("note owners"))?)
        }
        _ => None,
    };
    let mount_points = rootfs::enter(spec, *ids)?;
    // `/proc/1/exe` is this executable on the host: nobody in the sandbox may open it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Failure::to("hide process 1"))?;
    let children = child_signals().map_err(Failure::to("watch processes"))?;
    let (terminal, stdio) = match spec.terminal {
        None => (None, Terminal::Files(stdio)),
        Some(size) => {
            let (ours, theirs) = open_terminal(size).map_err(Failure::to("open a terminal"))?;
            (Some(ours), Terminal::Own(theirs))
        }
    };

    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC).map_err(Failure::to("make a pipe"))?;
    let (gifts, giver) = pair().map_err(Failure::to("make a socket"))?;
    // SAFETY: this process has one thread, so that its copy can do whatever it could.
    let program = match unsafe { libc::fork() } {
        -1 => return Err(Failure::to("fork")(io::Error::last_os_error())),
        0 => {
            drop((report, terminal, gifts));
            let failure = payload::execute(spec, *ids, &stdio, &giver);
            let json = serde_json::to_vec(&failure).unwrap_or_default();
            let _ = File::from(reporter).write_all(&json);
            std::process::exit(127)
        }
        program => Pid::from_raw(program).ok_or_else(|| Failure::to("fork")(Errno::CHILD))?,
    };
    drop((reporter, stdio, giver));
    // The pipe closes when the program is executed.
    let mut failure = Vec::new();
    File::from(report).read_to_end(&mut failure).map_err(Failure::to("start the program"))?;
    if !failure.is_empty() {
        let _ = waitpid(Some(program), WaitOptions::empty());
        let unreadable = |_| Failure::to("start the program")(Errno::IO);
        return Err(serde_json::from_slice(&failure).unwrap_or_else(unreadable));
    }
    let gifts = receive::<()>(&gifts).map_err(Failure::to("watch gifts of files"))?;
    let listener = gifts.and_then(|((), fds)| fds.into_iter().next());
    let gifts = listener
        .map(|listener| Gifts::new(listener, notes))
        .transpose()
        .map_err(Failure::to("watch gifts of files"))?;
    Ok(Started { program, children, mount_points, terminal, gifts })
}

/// Reaps and serves until the program ends, and says how; `None` when the caller is gone.
fn supervise(program: Pid, children: &OwnedFd, control: &OwnedFd, mut gifts: Option<Gifts>) -> Option<ExitStatus> {
    loop {
        let mut ready = vec![PollFd::new(children, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
        ready.extend(gifts.iter().map(|gifts| PollFd::new(&gifts.listener, PollFlags::IN)));
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return None,
            Ok(_) => {}
        }
        let (child_ended, asked) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        let given = ready.get(2).map_or(PollFlags::empty(), PollFd::revents);
        if given.contains(PollFlags::IN) {
            gifts = gifts.filter(Gifts::answer);
        } else if !given.is_empty() {
            gifts = None;
        }
        if child_ended {
            // What exactly happened is asked of `wait`; one signal may stand for several children.
            let mut signals = [0; 1024];
            let _ = rustix::io::read(children, &mut signals);
            while let Ok(Some((ended, how))) = wait(WaitOptions::NOHANG) {
                if ended == program {
                    return Some(exit_status(how));
                }
            }
        }
        if asked && !serve(program, control) {
            return None;
        }
    }
}

/// Answers the caller; false when it is gone.
fn serve(program: Pid, control: &OwnedFd) -> bool {
    match receive::<Ask>(control) {
        Ok(Some((Ask::Socket { v6 }, _))) => {
            let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match socket_with(family, SocketType::STREAM, flags, None) {
                Ok(socket) => send(control, &Status::Done, &[socket.as_fd()]).is_ok(),
                Err(errno) => send(control, &Status::Failed(Failure::to("make a socket")(errno)), &[]).is_ok(),
            }
        }
        Ok(Some((Ask::Signal(number), _))) => {
            // SAFETY: `kill` takes any number; the program is a child that was not reaped.
            unsafe { libc::kill(program.as_raw_nonzero().get(), number) };
            true
        }
        Ok(Some((Ask::IdsAreMapped, _))) => true,
        Ok(None) | Err(_) => false,
    }
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match status.terminating_signal() {
        Some(signal) => ExitStatus::Signal(signal),
        None => ExitStatus::Code(status.exit_status().unwrap_or(-1)),
    }
}

/// A descriptor that is readable when a child has ended.
fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before it is read, the pointers live as long as the calls, and the descriptor is
    // new.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) == -1 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Switches on the loopback interface of a new network namespace (netdevice(7)).
fn loopback_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: an `ifreq` of zeros is valid, it lives as long as the call, and the kernel reads name and flags of it.
    let done = unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request)
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens a pseudo-terminal of the sandbox (pts(4)): the caller's end, and the program's.
fn open_terminal(size: WindowSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ours = open("/dev/ptmx", flags, Mode::empty())?;
    let mut number: libc::c_uint = 0;
    // SAFETY: both ioctls take a pointer to an int that lives as long as the call.
    let done = unsafe {
        let unlocked: libc::c_int = 0;
        libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlocked) != -1
            && libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTN as _, &raw mut number) != -1
    };
    if !done {
        return Err(io::Error::last_os_error());
    }
    let theirs = open(format!("/dev/pts/{number}"), flags, Mode::empty())?;
    tcsetwinsize(&ours, Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((ours, theirs))
}
