//! `RUN`: a program runs on what the stage holds, and what it changes is the layer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Cancelled, Context, Operation, Output};
use jettison_engine::sandbox::{
    ExitStatus, Limit, Mode, Mount, Network as SandboxNetwork, OutOfMemory, Rootfs, Sandbox, SandboxError, Seccomp,
    Secret, Spec, Stdio,
};
use jettison_engine::store::Snapshot;
use jettison_engine::view::{FileKind, View};
use jettison_tree::{Content, Entry, TreePath};

use super::super::cure;
use super::super::place::Place;
use super::super::request::Network;
use super::super::stack::{Layer, Made, Stack};
use super::super::unpacked::{Unpacked, Unpacker, write_snapshot};
use super::mounts::{Mounted, StepMount};
use super::output::{LastLines, follow};
use super::{output, parent};
use crate::error::BuildError;
use crate::run::account::{self, Account};

/// How often a running step looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// What programs get for `HOSTNAME`, as from BuildKit.
pub const HOSTNAME: &str = "buildkitsandbox";

/// Where a heredoc with an interpreter of its own is mounted, as by BuildKit.
pub const SCRIPTS: &str = "/dev/pipes";

/// Runs a program.
pub struct RunStep {
    /// The program and its arguments, the shell in front where it has one.
    pub argv: Vec<String>,
    /// The script in a file, where a heredoc names its own interpreter: its name in [`SCRIPTS`], and what is in it.
    pub script: Option<(String, String)>,
    /// The variables, without those about proxies and secrets.
    pub env: Vec<(String, String)>,
    /// Variables that make no difference to what the step is: proxies, secrets.
    pub private_env: Vec<(String, String)>,
    /// `USER`; empty for root.
    pub user: String,
    /// `WORKDIR`, an absolute path.
    pub workdir: String,
    /// What is mounted.
    pub mounts: Vec<StepMount>,
    /// The network.
    pub network: Network,
    /// Whether it has all privileges.
    pub insecure: bool,
    /// `--add-host`.
    pub hosts: Vec<(String, String)>,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// `--ulimit`.
    pub limits: Vec<Limit>,
    /// What `hostname` says.
    pub hostname: String,
    /// Secrets that it asks for, and the build was not given.
    pub not_given: Vec<String>,
    /// Where the instruction stands.
    pub place: Place,
    /// The instruction in a line, for errors.
    pub text: String,
    /// Where layers are found.
    pub unpacker: Arc<Unpacker>,
    /// A number that no other build has, where nothing of an earlier build is good enough.
    pub renew: Option<u64>,
    /// Whether it was said that ids are not real here.
    pub told: Arc<AtomicBool>,
}

impl RunStep {
    /// What the step is, as labels with values: the parts of its key, and what is compared when somebody asks why it ran.
    ///
    /// Left out: proxies, secrets and what is in a cache.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut fields = vec![("command".to_owned(), format!("{:?}", self.argv))];
        fields.extend(self.script.iter().map(|(name, content)| (format!("script {name}"), content.clone())));
        fields.extend(self.env.iter().map(|(name, value)| (format!("variable {name}"), value.clone())));
        fields.push(("user".to_owned(), self.user.clone()));
        fields.push(("working directory".to_owned(), self.workdir.clone()));
        fields.extend(self.mounts.iter().map(|mount| ("mount".to_owned(), mount.field())));
        let network = if self.network == Network::None { "none" } else { "default" };
        fields.push(("network".to_owned(), network.to_owned()));
        if self.insecure {
            fields.push(("security".to_owned(), "insecure".to_owned()));
        }
        fields.extend(self.hosts.iter().map(|(name, address)| (format!("host {name}"), address.clone())));
        if self.shm_size != 64 << 20 {
            fields.push(("/dev/shm".to_owned(), self.shm_size.to_string()));
        }
        fields.extend(self.limits.iter().map(|limit| ("limit".to_owned(), format!("{limit:?}"))));
        if self.hostname != HOSTNAME {
            fields.push(("host name".to_owned(), self.hostname.clone()));
        }
        fields
    }

    fn spec(&self, account: &Account, unpacked: &Unpacked, upper: jettison_engine::sandbox::Upper) -> Spec {
        let rootfs = Rootfs { lower: unpacked.lower.clone(), upper, owners: unpacked.owners.clone() };
        let mut spec = Spec::new(rootfs, &self.argv);
        let mut env: Vec<(String, String)> = self.env.clone();
        env.extend(self.private_env.iter().filter(|(name, _)| !self.env.iter().any(|(n, _)| n == name)).cloned());
        if !env.iter().any(|(name, _)| name == "HOME") {
            env.push(("HOME".to_owned(), account.home.clone()));
        }
        spec.env = env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        spec.cwd = self.workdir.clone().into();
        // One that only the config of the image below names may not be there.
        spec.make_cwd = true;
        (spec.uid, spec.gid, spec.groups) = (account.uid, account.gid, account.groups.clone());
        spec.hostname = self.hostname.clone();
        spec.network = match self.network {
            Network::None => SandboxNetwork::None,
            Network::Host => SandboxNetwork::Host,
        };
        spec.limits = self.limits.clone();
        spec.add_hosts = self.hosts.iter().map(|(name, address)| (address.clone(), name.clone())).collect();
        // `sudo` and `su` work in a build elsewhere.
        spec.no_new_privs = false;
        spec.insecure = self.insecure;
        if self.insecure {
            spec.seccomp = Seccomp::Unconfined;
        }
        spec.pretend_ids = true;
        spec.shm_size = self.shm_size;
        spec
    }

    /// Runs it, and returns what became of the stage.
    fn go(&self, context: &Context<'_>, stack: &Stack, inputs: &[Arc<Output>]) -> Result<Made, BoxError> {
        let here = |error: BuildError| -> BoxError { self.place.put(error).into() };
        let unpacked = self.unpacker.unpack(stack).map_err(here)?;
        let account = account::in_view(&unpacked.view, &self.user).map_err(here)?;
        let mounted = Mounted::prepare(&self.unpacker, &self.mounts, inputs, &|| context.is_cancelled());
        // Whoever waited for a cache and was told to stop has nothing to say.
        context.check()?;
        let mut mounted = mounted.map_err(here)?;
        let upper = context.store().upper()?;
        let mut spec = self.spec(&account, &unpacked, upper.upper());
        spec.mounts = std::mem::take(&mut mounted.mounts);
        spec.mounts.extend(apt_that_stays(&unpacked.view));
        let script = self.script(context).map_err(here)?;
        spec.mounts.extend(script.iter().map(|script| Mount::Overlay {
            lower: vec![script.path.clone()],
            src: "/".into(),
            dst: SCRIPTS.into(),
            writable: None,
        }));
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let write = std::fs::File::from(write);
        spec.stdout = Stdio::File(write.try_clone()?);
        spec.stderr = Stdio::File(write);
        if Mode::detect() == Mode::SingleId && !self.told.swap(true, Ordering::Relaxed) {
            context.warn(
                "this user has no subordinate ids: all files of steps belong to one user while they run, and giving them to \
                 others is without effect",
                Some("give this user a range in /etc/subuid and /etc/subgid, and install newuidmap".to_owned()),
            );
        }
        let running = Sandbox::spawn(spec).map_err(|error| here(self.not_started(&error)))?;
        let (status, last) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| follow(read.into(), &mut |line| context.log(line)));
            let status = loop {
                match running.wait_timeout(LOOK) {
                    Some(status) => break status,
                    None if context.is_cancelled() => running.kill(),
                    None => {}
                }
            };
            // Nothing in the sandbox is left to hold the other end.
            (status, reader.join().ok().and_then(Result::ok).unwrap_or_default())
        });
        context.check()?;
        if !status.success() {
            return Err(self.failed(status, &last, running.memory_ran_out()).into());
        }
        drop(running);
        let key = self.snapshot_key(inputs);
        let snapshot = upper.keep(&key, &unpacked.view, (account.uid, account.gid))?;
        let (mut anything, mut bytes) = (false, 0);
        for change in jettison_engine::changes::walk(&snapshot)? {
            anything = true;
            if let jettison_engine::changes::ChangeKind::File(content) = change?.kind {
                bytes += content.len();
            }
        }
        Ok(if anything { Made::with(stack.clone(), Layer::Changes(key), bytes) } else { Made::same(stack.clone()) })
    }

    /// A directory with the script in it.
    fn script(&self, context: &Context<'_>) -> Result<Option<Snapshot>, BuildError> {
        let Some((name, content)) = &self.script else { return Ok(None) };
        let file = Entry::file(TreePath::parse(name)?, Content::from_bytes(content.as_bytes()), true);
        let key = CacheKey::builder("snapshot/script/1").field("name", name).field("content", content).finish();
        write_snapshot(context.store(), &key, &[file]).map(Some)
    }

    /// The key of what it changes. A step that is renewed leaves alone what others may be using.
    fn snapshot_key(&self, inputs: &[Arc<Output>]) -> CacheKey {
        let mut key = CacheKey::builder("dockerfile/changes/1").input("step", self.key());
        for input in inputs {
            key = match key.clone().json("input", &**input) {
                Ok(key) => key,
                Err(_) => key,
            };
        }
        if let Some(nonce) = self.renew {
            key = key.number("renewed", nonce);
        }
        key.finish()
    }

    fn not_started(&self, error: &SandboxError) -> BuildError {
        let hint = match error {
            SandboxError::Execute { program, source } if source.kind() == std::io::ErrorKind::NotFound => {
                Some(cure::no_program(program))
            }
            error => error.hint(),
        };
        BuildError::with_hint(error.to_string(), hint)
    }

    fn failed(&self, status: ExitStatus, last: &LastLines, memory: OutOfMemory) -> BuildError {
        let what = format!("`{}` ended with {status}", self.text);
        let not_given = |id: &String| {
            format!(
                "the build was not given the secret `{id}`: --secret id={id},src=FILE, or --secret id={id},env=VARIABLE"
            )
        };
        let hint = cure::of_step(status, &last.text(), memory).or_else(|| self.not_given.first().map(not_given));
        let mut message = self.place.error(what, None).to_string();
        message.push_str(&last.shown());
        BuildError::with_hint(message, hint)
    }
}

/// Where there is one id only, apt cannot become the user `_apt` for its downloads, looks whether it did, and gives up.
/// A setting that it reads while the step runs keeps it from trying (apt.conf(5), `APT::Sandbox::User`).
fn apt_that_stays(view: &View) -> Option<Mount> {
    if Mode::detect() != Mode::SingleId {
        return None;
    }
    let settings = view.resolve(&TreePath::parse("etc/apt/apt.conf.d").ok()?).ok()??;
    view.lstat(&settings).ok()?.filter(|stat| stat.kind == FileKind::Directory)?;
    let content = Secret::new(*b"APT::Sandbox::User \"root\";\n");
    let dst = Path::new("/").join(settings.as_path()).join("zz-one-user");
    Some(Mount::File { dst, content, mode: 0o644, uid: 0, gid: 0 })
}

impl Operation for RunStep {
    fn key(&self) -> CacheKey {
        let fields = self.fields();
        let key = CacheKey::builder("dockerfile/run/1");
        fields.iter().fold(key, |key, (label, value)| key.field(label, value)).finish()
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let below = parent(inputs)?;
        match self.go(context, &below.stack, inputs) {
            Ok(made) => output(&made, None),
            Err(error) if error.is::<Cancelled>() => Err(error),
            Err(error) => match error.downcast::<BuildError>() {
                Ok(error) => Err(error),
                Err(error) => Err(self.place.put(BuildError::from(error)).into()),
            },
        }
    }

    fn is_renewed(&self) -> bool {
        self.renew.is_some()
    }
}
