//! Signals to this process, passed on to the program.
//!
//! They are blocked, and one thread waits for them: no handler runs in the middle of anything. Programs that are started
//! get their signals as if nothing had happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jettison_build::run::Started;

/// What is passed on. SIGTERM asks the program to stop in the way that its image names.
const PASSED_ON: [i32; 6] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// Whoever says so often that it shall stop wants it to, whatever the program thinks.
const PATIENCE: u32 = 3;

/// The signals of this process.
#[derive(Clone)]
pub struct Signals {
    program: Arc<Mutex<Program>>,
}

enum Program {
    /// This process ends by the signal, as it would without us.
    NotYet,
    /// It is being started; what comes meanwhile is kept for it.
    Starting(Vec<i32>),
    Runs(Weak<Started>),
}

impl Signals {
    /// Takes over the signals. Threads that were there before would still get them.
    pub fn block() -> Self {
        let set = set();
        // SAFETY: the set is initialised and lives as long as the call.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        let program = Arc::new(Mutex::new(Program::NotYet));
        let signals = Self { program: Arc::clone(&program) };
        std::thread::spawn(move || attend(&program));
        signals
    }

    /// Starts a program: from here on signals are for it.
    pub fn during<T, E>(&self, start: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        *lock(&self.program) = Program::Starting(Vec::new());
        let started = start();
        if started.is_err() {
            *lock(&self.program) = Program::NotYet;
        }
        started
    }

    /// Passes signals on to this program, those first that came while it was started.
    pub fn pass_on_to(&self, started: &Arc<Started>) {
        let mut program = lock(&self.program);
        if let Program::Starting(kept) = &*program {
            kept.iter().for_each(|signal| send(started, *signal));
        }
        *program = Program::Runs(Arc::downgrade(started));
    }
}

fn lock(program: &Mutex<Program>) -> MutexGuard<'_, Program> {
    program.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set() -> libc::sigset_t {
    // SAFETY: the set is initialised by `sigemptyset` before anything reads it.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        for signal in PASSED_ON.into_iter().chain([libc::SIGWINCH]) {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

fn attend(program: &Mutex<Program>) {
    let set = set();
    let mut asked_to_stop = 0;
    loop {
        let mut signal = 0;
        // SAFETY: both pointers live as long as the call.
        if unsafe { libc::sigwait(&raw const set, &raw mut signal) } != 0 {
            return;
        }
        asked_to_stop += u32::from(matches!(signal, libc::SIGINT | libc::SIGTERM));
        match &mut *lock(program) {
            Program::NotYet if signal == libc::SIGWINCH => {}
            // The store puts up with that.
            Program::NotYet => std::process::exit(128 + signal),
            Program::Starting(_) if asked_to_stop >= PATIENCE => std::process::exit(128 + signal),
            Program::Starting(kept) => kept.push(signal),
            Program::Runs(started) => {
                let Some(started) = started.upgrade() else { continue };
                match asked_to_stop {
                    PATIENCE.. => started.running.kill(),
                    _ => send(&started, signal),
                }
            }
        }
    }
}

fn send(started: &Started, signal: i32) {
    match signal {
        libc::SIGWINCH => {
            // A terminal that is gone has no size.
            let _ = started.running.resize(super::window_size());
        }
        libc::SIGTERM => started.running.signal(started.stop_signal),
        signal => started.running.signal(signal),
    }
}
