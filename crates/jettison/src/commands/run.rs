//! `jettison run`: an image in the sandbox, in the foreground.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jettison_build::BuildError;
use jettison_build::dockerfile::cure;
use jettison_build::run::{RunRequest, check_platform, start};
use jettison_engine::sandbox::{Mount, Network, Stdio};
use jettison_oci::types::ContainerConfig;

use crate::exit::Exit;
use crate::foreground::{self, Forward, Signals};
use crate::session::Session;

/// Run an image, or what was built of a project
#[derive(Debug, Args)]
#[command(after_help = "\
The program runs as the image says: its user, environment, directory and command. What it writes is gone when it ends, \
but for what it writes to --volume. Its exit code becomes that of this command, 128 and the signal's number where a signal \
ended it. SIGINT, SIGTERM and SIGHUP are passed on.

Examples:
  jettison run .                       what was built of this project
  jettison run --network none -p 8080:8000 app
  jettison run -ti --entrypoint python3 app")]
pub struct RunArgs {
    /// The network: this machine's, or none but the ports that -p names
    #[arg(long, value_enum, default_value_t = NetworkMode::Host, value_name = "NETWORK")]
    network: NetworkMode,
    /// Pass connections to a port of this machine on to one of the program; may be repeated
    #[arg(short, long, value_name = "[IP:]HOST:CONTAINER", value_parser = forward)]
    publish: Vec<Forward>,
    /// Set an environment variable, or take over this shell's; may be repeated
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file, one a line; may be repeated
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Mount a file or directory; may be repeated
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]", value_parser = volume)]
    volume: Vec<Volume>,
    /// Run as this user of the image
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Run this program instead of the image's; an empty one is none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,
    /// Give the program this command's standard input
    #[arg(short, long)]
    interactive: bool,
    /// Nothing to do: what ran is always removed
    #[arg(long, hide = true)]
    rm: bool,
    /// A name, a digest, or the directory of a project that was built
    #[arg(value_name = "IMAGE|PATH")]
    image: String,
    /// Arguments for the program
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NetworkMode {
    Host,
    None,
}

/// What `--volume` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Volume {
    source: PathBuf,
    target: PathBuf,
    readonly: bool,
}

pub fn run(args: RunArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    // Before there are threads, which would take the signals otherwise.
    let signals = Signals::block();
    let images = session.images()?;
    let image = images.open(&args.image)?.image(&session.platform)?;
    check_platform(&image, &session.platform)?;

    let mut env = Vec::new();
    for path in &args.env_file {
        env.extend(read_env_file(path, session)?);
    }
    env.extend(args.env.iter().filter_map(|word| variable(word, session)));
    let mounts = args.volume.into_iter().map(mount).collect::<Result<Vec<_>, _>>()?;
    let terminal = args.tty.then(foreground::window_size);
    let is_its_own = args.entrypoint.is_none() && args.args.is_empty();
    let request = RunRequest {
        args: args.args,
        entrypoint: args.entrypoint,
        env,
        user: args.user,
        workdir: args.workdir,
        mounts,
        network: match args.network {
            NetworkMode::Host => Network::Host,
            NetworkMode::None => Network::None,
        },
        terminal,
        stdin: if args.interactive && !args.tty { Stdio::Inherit } else { Stdio::Null },
        stderr: if args.tty { Stdio::Inherit } else { Stdio::Pipe },
    };
    let listeners = foreground::listen(&args.publish)?;
    let mut started = signals.during(|| start(session.store()?, &image, request))?;
    for (forward, address) in &listeners.addresses {
        session.ui.note(&format!("http://{address} is port {} of the program", forward.inside));
    }
    if args.network == NetworkMode::Host && is_its_own {
        for port in ports(&image.config().config) {
            session.ui.note(&format!("the image says that it listens on port {port}: http://127.0.0.1:{port}"));
        }
    }
    let errors = started.running.stderr.take().map(|errors| std::thread::spawn(move || pass_on(errors)));
    let code = foreground::attend(started, &signals, listeners, args.tty, args.interactive);
    let last = errors.and_then(|errors| errors.join().ok()).unwrap_or_default();
    if code != 0
        && let Some(cure) = String::from_utf8_lossy(&last).lines().rev().find_map(cure::missing_library)
    {
        session.ui.note(&format!("hint: {cure}"));
    }
    Ok(Exit::Program(code))
}

/// Passes on what the program writes to standard error, as it comes, and returns the last of it.
fn pass_on(mut errors: File) -> Vec<u8> {
    const KEPT: usize = 16 * 1024;
    let (mut last, mut buffer) = (Vec::new(), vec![0; 8 * 1024]);
    while let Ok(read @ 1..) = errors.read(&mut buffer) {
        // That nobody reads it any more is no reason to stop the program.
        let _ = std::io::stderr().write_all(&buffer[..read]);
        last.extend_from_slice(&buffer[..read]);
        let over = last.len().saturating_sub(KEPT);
        last.drain(..over);
    }
    last
}

/// The TCP ports that an image says it listens on.
fn ports(config: &ContainerConfig) -> Vec<u16> {
    let port = |text: &String| match text.split_once('/') {
        None => text.parse().ok(),
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
    };
    config.exposed_ports.iter().filter_map(port).collect()
}

/// `NAME=VALUE`, or `NAME` of this shell where it is set there.
fn variable(word: &str, session: &Session<'_>) -> Option<(String, String)> {
    match word.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => session.machine.vars.get(word).map(|value| (word.to_owned(), value.clone())),
    }
}

/// A file of variables as docker reads it: one a line, `#` begins a comment, nothing is quoted.
fn read_env_file(path: &Path, session: &Session<'_>) -> Result<Vec<(String, String)>, BuildError> {
    let text = fs::read_to_string(path).map_err(|error| BuildError::from(error).context(path.display()))?;
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(BuildError::new(format!("{}:{}: expected NAME=VALUE", path.display(), number + 1)));
        }
        variables.extend(variable(line, session));
    }
    Ok(variables)
}

fn mount(volume: Volume) -> Result<Mount, BuildError> {
    let src = fs::canonicalize(&volume.source).map_err(|error| {
        BuildError::from(error).context(format!("cannot mount `{}`", volume.source.display())).hint("make it first")
    })?;
    Ok(Mount::Bind { src, dst: volume.target, readonly: volume.readonly })
}

fn volume(text: &str) -> Result<Volume, String> {
    let mut parts: Vec<&str> = text.split(':').collect();
    let readonly = match parts.last() {
        Some(&"ro") if parts.len() > 2 => parts.pop().is_some(),
        Some(&"rw") if parts.len() > 2 => parts.pop().is_none(),
        _ => false,
    };
    match parts[..] {
        [source, target] if target.starts_with('/') && !source.is_empty() => {
            Ok(Volume { source: source.into(), target: target.into(), readonly })
        }
        [_, _] => Err("the target is an absolute path in the image".to_owned()),
        _ => Err("expected SOURCE:TARGET or SOURCE:TARGET:ro".to_owned()),
    }
}

/// `8080:8000`, `0.0.0.0:8080:8000`, `[::1]:8080:8000`, `:8000` for any port of this machine; `/tcp` may follow.
fn forward(text: &str) -> Result<Forward, String> {
    let wrong = || "expected HOST:CONTAINER or IP:HOST:CONTAINER, such as 8080:8000".to_owned();
    let ports = match text.split_once('/') {
        None => text,
        Some((ports, "tcp")) => ports,
        Some(_) => return Err("only tcp can be passed on".to_owned()),
    };
    let (rest, inside) = ports.rsplit_once(':').ok_or_else(wrong)?;
    let (ip, outside) = rest.rsplit_once(':').map_or((None, rest), |(ip, outside)| (Some(ip), outside));
    let ip = match ip {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(ip) => ip.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong())?,
    };
    let outside = if outside.is_empty() { 0 } else { outside.parse().map_err(|_| wrong())? };
    match inside.parse() {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(inside) => Ok(Forward { outside: SocketAddr::new(ip, outside), inside }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        for (text, outside, inside) in [
            ("8080:8000", "127.0.0.1:8080", 8000),
            (":80", "127.0.0.1:0", 80),
            ("0.0.0.0:8080:8000/tcp", "0.0.0.0:8080", 8000),
            ("[::1]:8080:8000", "[::1]:8080", 8000),
        ] {
            assert_eq!(forward(text), Ok(Forward { outside: outside.parse().unwrap(), inside }), "{text}");
        }
        for text in ["", "8080", "8080:", "8080:0", "x:80", "8080:99999", "8080:80/udp", "host:8080:80"] {
            assert!(forward(text).is_err(), "{text}");
        }
    }

    #[test]
    fn volumes_are_read() {
        let volume_of =
            |text: &str| volume(text).map(|v| format!("{} {} {}", v.source.display(), v.target.display(), v.readonly));
        for (text, want) in [("a:/b", "a /b false"), ("/a:/b:ro", "/a /b true"), ("./ro:/b:rw", "./ro /b false")] {
            assert_eq!(volume_of(text).as_deref(), Ok(want), "{text}");
        }
        for text in ["a", "a:b", ":/b", "a:/b:zz", "a:/b:ro:x"] {
            assert!(volume_of(text).is_err(), "{text}");
        }
    }
}
