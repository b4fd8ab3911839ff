//! The caller's side: starting a sandbox, and talking to it.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::Shutdown;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};

use super::control::{Ask, ExitStatus, FD_LIMIT, Request, Run, Status, pair, receive, send, to_file};
use super::error::SandboxError;
use super::memory::{Kills, OutOfMemory};
use super::mode::{IdMap, Mode};
use super::relay::Relay;
use super::spec::{Mount, Spec, Stdio, WindowSize};
use super::stage::{MARKER, is_prepared};

/// How long a connection to a port may take. It goes over loopback: it is there at once, or the listener does not
/// accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();

/// Starts sandboxes.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Starts the program of `spec`. When this returns it is executed; what keeps it from that is the error.
    ///
    /// The program, and all that it starts, ends when what this returns is dropped, and when this process ends in
    /// whatever way.
    pub fn spawn(spec: Spec) -> Result<Running, SandboxError> {
        check(&spec)?;
        let mode = Mode::detect();
        let ids = mode.id_map(&spec)?;
        let mut run = Run { spec, ids };
        let (stdin, their_stdin) = connect(std::mem::take(&mut run.spec.stdin), io::stdin().as_fd(), true)?;
        let (stdout, their_stdout) = connect(std::mem::take(&mut run.spec.stdout), io::stdout().as_fd(), false)?;
        let (stderr, their_stderr) = connect(std::mem::take(&mut run.spec.stderr), io::stderr().as_fd(), false)?;
        let has_terminal = run.spec.terminal.is_some();
        let sockets = run.spec.mounts.iter().filter_map(|mount| match mount {
            Mount::Socket { connect, .. } => Some(connect.clone()),
            _ => None,
        });
        let sockets: Vec<_> = sockets.collect();
        let spec = to_file(&run).map_err(|source| SandboxError::Spec(source.to_string()))?;
        let kills = Kills::so_far();
        let mut stage = Stage::start(
            &Request::Run,
            &[spec.as_fd(), their_stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()],
        )?;
        drop((their_stdin, their_stdout, their_stderr));
        let fds = stage.until_ready(&mode)?;
        let mut fds = fds.into_iter();
        let terminal = if has_terminal { fds.next().map(File::from) } else { None };
        let relays = fds.zip(sockets).map(|(listener, outside)| Relay::start(listener, outside));
        let relays = relays.collect::<Result<_, _>>().map_err(SandboxError::Start)?;
        Ok(Running {
            stage,
            stdin,
            stdout,
            stderr,
            terminal,
            kills,
            _relays: relays,
            asking: Mutex::new(()),
            exit: Mutex::new(None),
        })
    }

    /// Tries whether sandboxes can be had here, and says how their user ids come out. The error's hint says what
    /// forbids them.
    pub fn probe() -> Result<Mode, SandboxError> {
        let mode = Mode::detect();
        let ids = match mode {
            Mode::Root => IdMap::Same,
            Mode::IdRanges { .. } => IdMap::ByCaller,
            Mode::SingleId => IdMap::Single { uid: 0, gid: 0 },
        };
        Stage::start(&Request::Probe { ids }, &[])?.until_ready(&mode)?;
        Ok(mode)
    }

    /// Uses another executable than this one for the stages, one that calls [`init_if_child`](super::init_if_child):
    /// for programs whose `main` is not theirs, such as tests. The first to be set stays.
    pub fn use_executable(path: impl Into<PathBuf>) {
        let _ = EXECUTABLE.set(path.into());
    }
}

/// Removes a tree in a user namespace where this user's subordinate ids are mapped.
pub(crate) fn remove_in_user_namespace(path: &Path) -> io::Result<()> {
    let mode = Mode::detect();
    if !matches!(mode, Mode::IdRanges { .. }) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let request = Request::Remove { path: std::path::absolute(path)?, ids: IdMap::ByCaller };
    let removed = Stage::start(&request, &[]).and_then(|mut stage| stage.until_ready(&mode));
    removed.map(|_| ()).map_err(io::Error::other)
}

fn check(spec: &Spec) -> Result<(), SandboxError> {
    let wrong = |why: &str| Err(SandboxError::Spec(why.to_owned()));
    if spec.argv.first().is_none_or(|program| program.is_empty()) {
        return wrong("there is no program to run");
    }
    if spec.rootfs.lower.is_empty() {
        return wrong("the root file system has no directories");
    }
    if spec.mounts.iter().filter(|mount| matches!(mount, Mount::Socket { .. })).count() >= FD_LIMIT {
        return wrong("it has too many sockets");
    }
    if !spec.cwd.is_absolute() || !spec.rootfs.lower.iter().all(|path| path.is_absolute()) {
        return wrong("a path is not absolute");
    }
    Ok(())
}

/// Our end and the sandbox's of a standard stream.
fn connect(stdio: Stdio, inherited: BorrowedFd<'_>, is_input: bool) -> Result<(Option<File>, OwnedFd), SandboxError> {
    let open = || match stdio {
        Stdio::Null => Ok((None, File::options().read(true).write(true).open("/dev/null")?.into())),
        Stdio::Inherit => Ok((None, inherited.try_clone_to_owned()?)),
        Stdio::File(file) => Ok((None, file.into())),
        Stdio::Pipe => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            let (ours, theirs) = if is_input { (write, read) } else { (read, write) };
            Ok((Some(File::from(ours)), theirs))
        }
    };
    open().map_err(SandboxError::Start)
}

/// The first stage, as its parent sees it.
#[derive(Debug)]
pub(super) struct Stage {
    child: Mutex<Child>,
    control: OwnedFd,
    status: OwnedFd,
}

impl Stage {
    pub(super) fn start(request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Self, SandboxError> {
        let executable = match EXECUTABLE.get() {
            Some(path) => path,
            None if is_prepared() => Path::new("/proc/self/exe"),
            None => return Err(SandboxError::NotPrepared),
        };
        let start = || {
            let (control, theirs) = pair()?;
            let (status, their_status) = pair()?;
            let mut command = Command::new(executable);
            command.arg0(MARKER).env_clear().current_dir("/").stdin(theirs);
            let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
            // `command` holds the other end of the socket until here; ours must be the only other one.
            drop(command);
            let stage = Self { child: Mutex::new(child), control, status };
            let fds: Vec<_> = [their_status.as_fd()].into_iter().chain(fds.iter().copied()).collect();
            send(&stage.control, request, &fds)?;
            Ok(stage)
        };
        start().map_err(SandboxError::Start)
    }

    /// Sees the stages through until the program runs, or what was asked for is done. Returns what descriptors came.
    pub(super) fn until_ready(&mut self, mode: &Mode) -> Result<Vec<OwnedFd>, SandboxError> {
        loop {
            match receive::<Status>(&self.status).map_err(SandboxError::Start)? {
                Some((Status::MapIds, _)) => {
                    mode.map_ids(self.child().id())?;
                    send(&self.control, &Ask::IdsAreMapped, &[]).map_err(SandboxError::Start)?;
                }
                Some((Status::Started | Status::Done, fds)) => return Ok(fds),
                Some((Status::Failed(failure), _)) => return Err(failure.into()),
                Some((Status::Exited(_), _)) | None => return Err(SandboxError::Gone("it was set up")),
            }
        }
    }

    pub(super) fn control(&self) -> &OwnedFd {
        &self.control
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the sandbox: process 1 sees that nobody wants it any more.
    fn end(&self) {
        let _ = rustix::net::shutdown(&self.control, Shutdown::Both);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end();
        // The first stage ends when process 1 has, and with it every process of the sandbox.
        let _ = self.child().wait();
    }
}

/// A program that runs in a sandbox. It can be shared by threads: one may wait while another connects or sends signals.
/// Dropping it ends all that runs in the sandbox, at once.
#[derive(Debug)]
pub struct Running {
    stage: Stage,
    /// Its standard input, where the spec says [`Stdio::Pipe`]. It sees the end when this is dropped.
    pub stdin: Option<File>,
    /// Its standard output, where the spec says [`Stdio::Pipe`].
    pub stdout: Option<File>,
    /// Its standard error, where the spec says [`Stdio::Pipe`].
    pub stderr: Option<File>,
    /// Its terminal, where the spec asks for one. Reading fails with EIO when the last program on it has ended.
    pub terminal: Option<File>,
    /// How often the kernel had killed for want of memory when it was started.
    kills: Kills,
    /// They end with it.
    _relays: Vec<Relay>,
    asking: Mutex<()>,
    exit: Mutex<Option<ExitStatus>>,
}

impl Running {
    /// The process id, outside, of the process that holds the sandbox.
    pub fn pid(&self) -> u32 {
        self.stage.child().id()
    }

    /// Connects to a port of the program over the sandbox's loopback, IPv4 or else IPv6.
    pub fn connect(&self, port: u16) -> Result<TcpStream, SandboxError> {
        let error = |source| SandboxError::Connect { port, source };
        let v4 = self.connect_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        match v4 {
            Err(Errno::CONNREFUSED) => {
                let v6 = self.connect_to(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))?;
                // Without IPv6 what IPv4 said is what counts.
                v6.map_err(|_| error(Errno::CONNREFUSED.into()))
            }
            v4 => v4.map_err(|errno| error(errno.into())),
        }
    }

    fn connect_to(&self, address: SocketAddr) -> Result<rustix::io::Result<TcpStream>, SandboxError> {
        let socket = match self.ask_for_socket(address.is_ipv6())? {
            Ok(socket) => socket,
            Err(errno) => return Ok(Err(errno)),
        };
        let connect = || {
            match rustix::net::connect(&socket, &address) {
                Err(Errno::INPROGRESS) => {
                    let writable = PollFd::new(&socket, PollFlags::OUT);
                    if !wait_for(&mut [writable], Some(CONNECT_TIMEOUT))? {
                        return Err(Errno::TIMEDOUT);
                    }
                    rustix::net::sockopt::socket_error(&socket)??;
                }
                connected => connected?,
            }
            rustix::io::ioctl_fionbio(&socket, false)
        };
        Ok(connect().map(|()| TcpStream::from(socket)))
    }

    /// A socket belongs to the network that it is made in, so process 1 makes it.
    fn ask_for_socket(&self, v6: bool) -> Result<rustix::io::Result<OwnedFd>, SandboxError> {
        let gone = || SandboxError::Gone("connecting to it");
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        send(&self.stage.control, &Ask::Socket { v6 }, &[]).map_err(|_| gone())?;
        match receive::<Status>(&self.stage.control) {
            Ok(Some((Status::Done, fds))) => fds.into_iter().next().map(Ok).ok_or_else(gone),
            Ok(Some((Status::Failed(failure), _))) => Ok(Err(Errno::from_raw_os_error(failure.errno))),
            _ => Err(gone()),
        }
    }

    /// Sends the program a signal by its number. That it has ended is no error.
    pub fn signal(&self, signal: i32) {
        let _ = send(&self.stage.control, &Ask::Signal(signal), &[]);
    }

    /// Changes the size of its terminal.
    pub fn resize(&self, size: WindowSize) -> io::Result<()> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        Ok(tcsetwinsize(terminal, Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 })?)
    }

    /// Whether the kernel has killed a process for want of memory since this one was started: the reason, or a possible
    /// one, where it ended by SIGKILL without having been told to.
    pub fn memory_ran_out(&self) -> OutOfMemory {
        Kills::so_far().since(&self.kills)
    }

    /// Ends everything in the sandbox. [`wait`](Self::wait) then says that SIGKILL did it.
    pub fn kill(&self) {
        self.stage.end();
    }

    /// Waits for the program to end. Nothing runs in the sandbox any more when this returns.
    pub fn wait(&self) -> ExitStatus {
        self.wait_until(None).unwrap_or(ExitStatus::Signal(libc::SIGKILL))
    }

    /// Waits for the program to end, for that long at most. `None` says that it still runs.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<ExitStatus> {
        self.wait_until(Some(Instant::now() + timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<ExitStatus> {
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        if exit.is_none() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let readable = PollFd::new(&self.stage.status, PollFlags::IN);
            if !wait_for(&mut [readable], left).unwrap_or(true) {
                return None;
            }
            *exit = Some(match receive::<Status>(&self.stage.status) {
                Ok(Some((Status::Exited(exit), _))) => exit,
                // Process 1 was killed.
                _ => ExitStatus::Signal(libc::SIGKILL),
            });
            self.stage.end();
            let _ = self.stage.child().wait();
        }
        *exit
    }
}

/// Polls until something is ready; false when the time is over.
fn wait_for(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> rustix::io::Result<bool> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        match poll(fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return ready.map(|ready| ready > 0),
        }
    }
}
