//! Starts the program as the image says, sees that it works, and stops it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jettison_engine::sandbox::{ExitStatus, Running};

use super::http::{self, Answer};
use super::process::{self, how};
use super::room::{Room, last_lines};
use super::{Verification, cure};
use crate::error::BuildError;
use crate::job::Job;
use crate::report::VerifyReport;

/// A program without a port works when it still runs after this.
const SETTLED: Duration = Duration::from_secs(2);
/// What a program is given between SIGTERM and SIGKILL, here as by `docker stop`.
const GRACE: Duration = Duration::from_secs(10);
/// Pauses between attempts to connect, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How long the rest of an answer is read.
const DRAIN: Duration = Duration::from_secs(1);
const SIGTERM: i32 = 15;
/// So many lines of the output are shown, the last.
const OUTPUT_LINES: usize = 30;

/// What a start command did.
#[derive(Debug)]
enum Outcome {
    /// It ended by itself.
    Ended(ExitStatus),
    /// It did not answer in time, and these are the addresses that something listened on.
    Silent(Vec<SocketAddr>),
    /// It worked, and was told to stop.
    Worked {
        answer: Option<Reply>,
        /// Whether it has a handler for SIGTERM, where that could be told.
        handles_sigterm: Option<bool>,
        /// How it ended, and how long that took; `None` where it did not.
        stopped: Option<(ExitStatus, Duration)>,
    },
}

/// An answer from the port.
#[derive(Debug)]
struct Reply {
    /// `None` where it is no HTTP.
    status: Option<u16>,
    after: Duration,
    /// Where the port is listened on.
    listening: Vec<SocketAddr>,
}

/// Runs the start command and notes in the report what it did.
pub(super) fn verify(
    job: &Job<'_>,
    what: &Verification<'_>,
    room: &Room<'_>,
    report: &mut VerifyReport,
) -> Result<(), BuildError> {
    let command = what.argv.join(" ");
    let progress = job.begin(&format!("start {command}"));
    let ran = room.run(what.argv, what.record, &progress, |running| watch(running, what));
    let ran = ran.map_err(|error| error.context("the start command"))?;
    let failed = |said: String| {
        let output = last_lines(ran.output.trim_end(), OUTPUT_LINES);
        let output = if output.is_empty() { "it wrote nothing" } else { &output };
        BuildError::new(format!("the start command `{command}` {said}:\n{output}"))
    };
    match ran.value {
        Outcome::Ended(status) if what.port().is_none() && status.success() => {
            report.stopped = Some(format!("{status}, by itself"));
        }
        Outcome::Ended(status) => {
            let said = match what.port() {
                Some(port) => format!("ended with {} before port {port} answered", how(status)),
                None => format!("ended with {}", how(status)),
            };
            let hint = cure::of_output(what, &ran.output).or_else(|| cure::of_status(status));
            return Err(failed(said).hint(hint.unwrap_or_else(|| ended_hint(what, status))));
        }
        Outcome::Silent(listening) => {
            let port = what.port().unwrap_or_default();
            let said = format!("did not answer on port {port} within {} s", what.timeout.as_secs());
            let hint = silent_hint(port, what.path, &listening).or_else(|| cure::of_output(what, &ran.output));
            return Err(failed(said).hint(hint.unwrap_or_else(|| {
                "if it needs longer: `timeout = SECONDS` in [tool.jettison.verify]; if it listens on no port: `port = 0` in \
                 [tool.jettison]"
                    .to_owned()
            })));
        }
        Outcome::Worked { answer, handles_sigterm, stopped } => {
            if let Some(reply) = answer {
                note_reply(job, what.port().unwrap_or_default(), &reply, report);
            }
            let Some((status, after)) = stopped else {
                let said = format!("still ran {} s after SIGTERM", GRACE.as_secs());
                return Err(
                    failed(said).hint("let it handle SIGTERM by ending: it is how every runtime stops a container")
                );
            };
            report.stopped = Some(describe_stop(status, after));
            if handles_sigterm == Some(false) {
                job.warn(
                    "the program has no handler for SIGTERM: as process 1 of a container it ignores it, and is killed ten seconds \
                     later; handle the signal, or run the container with an init (`docker run --init`)",
                );
            }
        }
    }
    report.started = true;
    Ok(())
}

/// What happens to the program while it runs.
fn watch(running: &Running, what: &Verification<'_>) -> Outcome {
    let answer = match what.port() {
        None => match running.wait_timeout(SETTLED.min(what.timeout)) {
            Some(status) => return Outcome::Ended(status),
            None => None,
        },
        Some(port) => match poll(running, port, what) {
            Ok(reply) => Some(reply),
            Err(outcome) => return outcome,
        },
    };
    let handles_sigterm = process::handles_sigterm(running.pid());
    let told = Instant::now();
    running.signal(SIGTERM);
    let stopped = running.wait_timeout(GRACE).map(|status| (status, told.elapsed()));
    Outcome::Worked { answer, handles_sigterm, stopped }
}

/// Tries the port until it answers.
fn poll(running: &Running, port: u16, what: &Verification<'_>) -> Result<Reply, Outcome> {
    let start = Instant::now();
    let mut pause = PAUSES.0;
    loop {
        let left = what.timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(Outcome::Silent(process::listening(running.pid())));
        }
        if let Some(status) = running.wait_timeout(pause.min(left)) {
            return Err(Outcome::Ended(status));
        }
        if let Some(status) = ask(running, port, what.path, left) {
            let after = start.elapsed();
            let listening = process::listening(running.pid()).into_iter().filter(|address| address.port() == port);
            return Ok(Reply { status, after, listening: listening.collect() });
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Asks once. `Some(None)` where something answers that is no HTTP.
fn ask(running: &Running, port: u16, path: &str, patience: Duration) -> Option<Option<u16>> {
    let mut stream = running.connect(port).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    let status = match http::get(&mut stream, path, port).ok()? {
        Answer::Status(status) => Some(status),
        Answer::NotHttp => None,
        Answer::Nothing => return None,
    };
    stream.set_read_timeout(Some(DRAIN)).ok()?;
    http::drain(&mut stream);
    Some(status)
}

fn note_reply(job: &Job<'_>, port: u16, reply: &Reply, report: &mut VerifyReport) {
    report.http_status = reply.status;
    report.answered_after_ms = Some(u64::try_from(reply.after.as_millis()).unwrap_or(u64::MAX));
    if reply.status.is_none() {
        job.warn(format!("port {port} answers, but not with HTTP/1.1: what it serves was not looked at"));
    }
    if !reply.listening.is_empty() && reply.listening.iter().all(|address| address.ip().is_loopback()) {
        job.warn(format!(
            "the program listens on {} only, which nobody outside of its container reaches: let it listen on 0.0.0.0",
            reply.listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
        ));
    }
}

/// Exit codes and signals by which a program says that it stopped because it was told to.
fn describe_stop(status: ExitStatus, after: Duration) -> String {
    let after = after.as_millis();
    match status {
        ExitStatus::Code(0 | 143) | ExitStatus::Signal(SIGTERM) => format!("stopped by SIGTERM in {after} ms"),
        other => format!("{}, {after} ms after SIGTERM", how(other)),
    }
}

fn silent_hint(port: u16, path: &str, listening: &[SocketAddr]) -> Option<String> {
    if listening.iter().any(|address| address.port() == port) {
        return Some(format!(
            "it listens there, and `GET {path}` is not answered: `path = \"/…\"` in [tool.jettison.verify] fetches another page"
        ));
    }
    let first = listening.first()?;
    Some(format!("it listens on {first}: `port = {}` in [tool.jettison] says so", first.port()))
}

fn ended_hint(what: &Verification<'_>, status: ExitStatus) -> String {
    match (what.port(), status.success()) {
        (Some(_), true) => {
            "if it listens on no port: `port = 0` in [tool.jettison]; if it is not the server: `command = [\"…\"]`"
                .to_owned()
        }
        _ => "what it needs to start can be set with [tool.jettison.verify.env], and another command with \
              `command = [\"…\"]` in [tool.jettison]"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_stop_are_told_apart() {
        let after = Duration::from_millis(120);
        for status in [ExitStatus::Signal(15), ExitStatus::Code(0), ExitStatus::Code(143)] {
            assert_eq!(describe_stop(status, after), "stopped by SIGTERM in 120 ms");
        }
        assert_eq!(describe_stop(ExitStatus::Code(1), after), "exit code 1, 120 ms after SIGTERM");
        assert_eq!(describe_stop(ExitStatus::Signal(11), after), "SIGSEGV, 120 ms after SIGTERM");
    }

    #[test]
    fn a_program_on_another_port_is_found() {
        let address = |text: &str| text.parse().unwrap();
        assert_eq!(
            silent_hint(8000, "/", &[address("127.0.0.1:5000")]).unwrap(),
            "it listens on 127.0.0.1:5000: `port = 5000` in [tool.jettison] says so"
        );
        assert!(silent_hint(8000, "/", &[address("0.0.0.0:8000")]).unwrap().contains("`GET /` is not answered"));
        assert_eq!(silent_hint(8000, "/", &[]), None);
    }
}
