//! Running an image in the sandbox, as it says itself and as the user wants it.
//!
//! 1. [`check_platform`] refuses an image for another machine.
//! 2. [`rootfs`] unpacks it.
//! 3. [`account`] finds its user.
//! 4. [`start`] puts the rest together, from the config and the [`RunRequest`], and starts it.
//!
//! What the program writes into the image is in memory, and gone with it.

pub(crate) mod account;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use jettison_engine::sandbox::{Mount, Network, Rootfs, Running, Sandbox, Spec, Stdio, WindowSize};
use jettison_engine::store::Store;
use jettison_oci::image::Image;
use jettison_oci::types::{ContainerConfig, Platform};
use jettison_tree::TreePath;

use crate::error::{BuildError, Context as _};
use crate::rootfs;

/// The most that the program can write into the image. Bytes.
const CHANGES: u64 = 4 << 30;
/// Where programs are looked for when the image does not say (Docker's default).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HOSTNAME: &str = "jettison";
/// The signal that asks a program to stop where its image names none.
const SIGTERM: i32 = 15;

/// What the user wants otherwise than the image says.
#[derive(Debug)]
pub struct RunRequest {
    /// In place of the image's `Cmd`.
    pub args: Vec<String>,
    /// In place of the image's entry point, and of its `Cmd`; an empty one is none.
    pub entrypoint: Option<String>,
    /// On top of the image's environment.
    pub env: Vec<(String, String)>,
    /// `user[:group]`, names or numbers.
    pub user: Option<String>,
    /// An absolute path inside.
    pub workdir: Option<String>,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
    /// The network.
    pub network: Network,
    /// The size of a terminal, where the program gets one.
    pub terminal: Option<WindowSize>,
    /// Standard input; output is this process's.
    pub stdin: Stdio,
    /// Standard error.
    pub stderr: Stdio,
}

impl Default for RunRequest {
    /// As the image says, in this machine's network, without input.
    fn default() -> Self {
        Self {
            args: Vec::new(),
            entrypoint: None,
            env: Vec::new(),
            user: None,
            workdir: None,
            mounts: Vec::new(),
            network: Network::Host,
            terminal: None,
            stdin: Stdio::Null,
            stderr: Stdio::Inherit,
        }
    }
}

/// An image that runs. Dropping it ends it.
pub struct Started {
    /// The program. It is dropped before what it runs in.
    pub running: Running,
    /// The number of the signal that asks it to stop.
    pub stop_signal: i32,
    _held: rootfs::Held,
}

/// Refuses an image that this machine cannot run.
pub fn check_platform(image: &Image, machine: &Platform) -> Result<(), BuildError> {
    let platform = image.platform();
    let runs = platform.os == machine.os
        && (platform.architecture == machine.architecture
            || (platform.architecture == "386" && machine.architecture == "amd64"));
    if runs {
        return Ok(());
    }
    Err(BuildError::new(format!("the image is for {platform}; this machine is {machine}"))
        .hint(format!("build or pull it for this machine: --platform {machine}")))
}

/// Starts the program of an image.
pub fn start(store: &Arc<Store>, image: &Image, request: RunRequest) -> Result<Started, BuildError> {
    let config = &image.config().config;
    let argv = argv(config, &request)?;
    let cwd = request.workdir.clone().or_else(|| Some(config.working_dir.clone()).filter(|dir| !dir.is_empty()));
    let cwd = cwd.unwrap_or_else(|| "/".to_owned());
    let stop_signal = match &config.stop_signal {
        Some(name) => signal_number(name)
            .ok_or_else(|| BuildError::new(format!("the image stops by `{name}`, which is no signal")))?,
        None => SIGTERM,
    };

    let mut unpacked = rootfs::of_image(store, image)?;
    let user = request.user.as_deref().unwrap_or(&config.user);
    let [passwd, group] = ["passwd", "group"].map(|name| account::read_etc(&unpacked.lower, name));
    let account = account::resolve(user, &passwd, &group)?;

    // The lowest of all: it hides nothing, and makes the working directory, as Docker does, where the image has none.
    let bottom = store.scratch()?;
    let inside = TreePath::parse(cwd.trim_matches('/'));
    if !cwd.starts_with('/') || (inside.is_err() && !cwd.trim_matches('/').is_empty()) {
        return Err(BuildError::new(format!("the working directory `{cwd}` is no absolute path")));
    }
    let root = bottom.path().join("root");
    fs::create_dir(&root)?;
    if let Ok(inside) = inside {
        fs::create_dir_all(root.join(inside.as_path())).context(&cwd)?;
    }
    unpacked.lower.push(root);
    unpacked.held.scratch.push(bottom);

    let rootfs = Rootfs { owners: unpacked.owners, ..Rootfs::ephemeral(unpacked.lower, CHANGES) };
    let mut spec = Spec::new(rootfs, argv);
    let environment = environment(config, &request, &account.home);
    spec.env = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    spec.cwd = cwd.into();
    spec.uid = account.uid;
    spec.gid = account.gid;
    spec.groups = account.groups;
    spec.hostname = HOSTNAME.into();
    spec.network = request.network;
    spec.mounts = request.mounts;
    spec.terminal = request.terminal;
    spec.stdin = request.stdin;
    spec.stdout = Stdio::Inherit;
    spec.stderr = request.stderr;
    Ok(Started { running: Sandbox::spawn(spec)?, stop_signal, _held: unpacked.held })
}

/// The entry point and its arguments, of the image or the user's. An entry point of the user's does without the image's arguments.
fn argv(config: &ContainerConfig, request: &RunRequest) -> Result<Vec<String>, BuildError> {
    let (entrypoint, default) = match &request.entrypoint {
        Some(program) => (Some(program).filter(|program| !program.is_empty()).cloned().into_iter().collect(), None),
        None => (config.entrypoint.clone().unwrap_or_default(), config.cmd.clone()),
    };
    let args = if request.args.is_empty() { default.unwrap_or_default() } else { request.args.clone() };
    let argv: Vec<String> = entrypoint.into_iter().chain(args).collect();
    if argv.first().is_none_or(String::is_empty) {
        return Err(BuildError::new("the image does not say what to run").hint("name a program after the image"));
    }
    Ok(argv)
}

fn environment(config: &ContainerConfig, request: &RunRequest, home: &str) -> Vec<(String, String)> {
    let mut env = BTreeMap::from([("PATH", PATH), ("HOSTNAME", HOSTNAME), ("HOME", home)]);
    if request.terminal.is_some() {
        env.insert("TERM", "xterm");
    }
    env.extend(config.env.iter().filter_map(|pair| pair.split_once('=')));
    env.extend(request.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The number of a signal as images write it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` (signal(7)).
pub(crate) fn signal_number(name: &str) -> Option<i32> {
    /// In the order of their numbers, from 1, as x86 and Arm have them.
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    /// As libc has them: it keeps 32 and 33 for itself.
    const REAL_TIME: [(&str, i32); 2] = [("RTMIN", 34), ("RTMAX", 64)];
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Some(at as i32 + 1);
    }
    REAL_TIME.iter().find_map(|(base, number)| {
        let offset = match name.strip_prefix(base)? {
            "" => 0,
            offset => offset.parse::<i32>().ok()?,
        };
        Some(number + offset).filter(|number| (34..=64).contains(number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entrypoint: Option<&[&str]>, cmd: Option<&[&str]>) -> ContainerConfig {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        ContainerConfig { entrypoint: entrypoint.map(words), cmd: cmd.map(words), ..ContainerConfig::default() }
    }

    #[test]
    fn the_command_is_put_together_as_docker_does() {
        let both = config(Some(&["python"]), Some(&["main.py"]));
        let run = |config: &ContainerConfig, entrypoint: Option<&str>, args: &[&str]| {
            let request = RunRequest {
                entrypoint: entrypoint.map(str::to_owned),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                ..RunRequest::default()
            };
            argv(config, &request).map(|argv| argv.join(" ")).unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(run(&both, None, &[]), "python main.py");
        assert_eq!(run(&both, None, &["-V"]), "python -V");
        assert_eq!(run(&both, Some("sh"), &[]), "sh");
        assert_eq!(run(&both, Some("sh"), &["-c", "x"]), "sh -c x");
        assert_eq!(run(&both, Some(""), &["ls"]), "ls");
        assert_eq!(run(&config(None, Some(&["sh"])), None, &[]), "sh");
        assert_eq!(run(&config(None, None), None, &[]), "the image does not say what to run");
        assert_eq!(run(&both, Some(""), &[]), "the image does not say what to run");
    }

    #[test]
    fn the_users_variables_win() {
        let mut image = config(None, None);
        image.env = ["A=1", "A=2", "B=x=y", "HOME=/srv"].map(str::to_owned).to_vec();
        let request = RunRequest { env: vec![("B".into(), "mine".into())], ..RunRequest::default() };
        let env = environment(&image, &request, "/root");
        let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!((get("A"), get("B"), get("HOME")), (Some("2"), Some("mine"), Some("/srv")));
        assert_eq!((get("PATH"), get("TERM")), (Some(PATH), None));
    }

    #[test]
    fn signals_have_numbers() {
        for (name, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMAX+1", None),
            ("0", None),
            ("65", None),
            ("SIGNONE", None),
        ] {
            assert_eq!(signal_number(name), number, "{name}");
        }
    }
}
