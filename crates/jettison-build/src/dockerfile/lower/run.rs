//! `RUN`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_dockerfile::instruction::{
    Mount, MountKind, Network as Written, Run, Script, Security, Sharing as Shared,
};
use jettison_engine::graph::StepId;
use jettison_engine::store::Sharing;

use super::super::copy::{Request, Source, select};
use super::super::history;
use super::super::place::Place;
use super::super::request::Network;
use super::super::scope::proxies;
use super::super::stage::StageState;
use super::super::steps::copy::SelectStep;
use super::super::steps::mounts::{From, StepMount};
use super::super::steps::run::{HOSTNAME, RunStep, SCRIPTS};
use super::super::unpacked::Transfer;
use super::from::Origin;
use super::{At, Lowering, one_line};
use crate::error::BuildError;

/// Where secrets are, where nothing else is said.
const SECRETS: &str = "/run/secrets";
/// Where the sockets of agents are, where nothing else is said; a number follows.
const AGENTS: &str = "/run/buildkit/ssh_agent";

/// What the mounts of a `RUN` come to.
#[derive(Default)]
struct Mounts {
    mounts: Vec<StepMount>,
    inputs: Vec<StepId>,
    env: Vec<(String, String)>,
    agents: usize,
    not_given: Vec<String>,
}

impl Lowering<'_> {
    pub(super) fn run(
        &mut self,
        stage: usize,
        state: &mut StageState,
        at: At<'_>,
        run: &Run,
    ) -> Result<(), BuildError> {
        let place = at.place();
        for device in &run.devices {
            let text = at.word(device, &state.scope)?;
            if is_required(&text) {
                let what = format!("the step needs the device `{text}`, and a step has no devices of the machine");
                let hint =
                    "without `required` it runs where there is none; what needs it can run in the finished image"
                        .to_owned();
                return Err(at.place_of(device).error(what, Some(hint)));
            }
        }
        let insecure = run.security == Security::Insecure;
        if insecure && !self.request.surroundings.allow_insecure {
            let hint = "--allow security.insecure allows it, where the Dockerfile is to be trusted".to_owned();
            return Err(place.error("the step asks for all privileges, and the build does not allow it", Some(hint)));
        }
        let (argv, script) = command(state, at);
        if argv.is_empty() {
            return Err(place.error("there is nothing to run", None));
        }
        let mut mounts = Mounts { inputs: vec![state.files], ..Mounts::default() };
        for spec in &run.mounts {
            let resolved = spec.resolve(at.expander(), &state.scope);
            let mount = resolved.map_err(|error| at.words.place(error.span).error(&error, error.hint()))?;
            self.mount(stage, state, &mount, &at.place_of(&spec.value), &mut mounts)?;
        }
        let mut private_env = proxies(&self.request.build_args);
        private_env.extend(mounts.env);
        let surroundings = &self.request.surroundings;
        let network = match run.network {
            Written::None => Network::None,
            Written::Host => Network::Host,
            Written::Default => surroundings.network,
        };
        let hostname = self.request.build_args.get("BUILDKIT_SANDBOX_HOSTNAME");
        let words = history::run(&arguments(state), &argv);
        let operation = RunStep {
            argv,
            script,
            env: state.scope.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            private_env,
            user: state.config.user.clone(),
            workdir: state.workdir().to_owned(),
            mounts: mounts.mounts,
            not_given: mounts.not_given,
            network,
            insecure,
            hosts: surroundings.hosts.clone(),
            shm_size: surroundings.shm_size,
            limits: surroundings.limits.clone(),
            hostname: hostname.cloned().unwrap_or_else(|| HOSTNAME.to_owned()),
            place,
            text: one_line(at.instruction.text.as_str()),
            unpacker: Arc::clone(&self.unpacker),
            renew: self.renew(stage),
            told: Arc::clone(&self.told),
        };
        let fields = operation.fields();
        let id = self.step(stage, state, at, &mounts.inputs, operation, fields, None, false);
        state.made(history::of_layer(&words), id);
        Ok(())
    }

    fn mount(
        &mut self,
        stage: usize,
        state: &StageState,
        mount: &Mount,
        place: &Place,
        into: &mut Mounts,
    ) -> Result<(), BuildError> {
        let no_target = || place.error("the mount has no target", Some("write `target=/path`".to_owned()));
        let target = mount.target.as_deref().filter(|target| !target.is_empty());
        let target = target.map(|target| PathBuf::from(state.absolute(target)));
        let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
        match mount.kind {
            MountKind::Bind => {
                let target = target.ok_or_else(no_target)?;
                let (from, source) = self.files(stage, state, mount, place, into)?;
                into.mounts.push(StepMount::Bind { from, source, target, writable: !mount.read_only });
            }
            MountKind::Cache => {
                let target = target.ok_or_else(no_target)?;
                let from = match &mount.from {
                    Some(_) => Some(self.files(stage, state, mount, place, into)?),
                    None => None,
                };
                let id = mount.id.clone().filter(|id| !id.is_empty());
                let id = id.unwrap_or_else(|| target.display().to_string());
                let sharing = match mount.sharing {
                    Shared::Shared => Sharing::Shared,
                    Shared::Private => Sharing::Private,
                    Shared::Locked => Sharing::Locked,
                };
                let (from, source) = from.map_or((None, PathBuf::from("/")), |(from, source)| (Some(from), source));
                let mode = mount.mode.unwrap_or(0o755);
                let writable = !mount.read_only;
                into.mounts.push(StepMount::Cache { id, target, sharing, writable, from, source, mode, owner });
            }
            MountKind::Tmpfs => {
                into.mounts.push(StepMount::Tmpfs { target: target.ok_or_else(no_target)?, size: mount.size });
            }
            MountKind::Secret => self.secret(mount, target, owner, place, into)?,
            MountKind::Ssh => self.agent(mount, target, owner, place, into)?,
        }
        Ok(())
    }

    fn secret(
        &self,
        mount: &Mount,
        target: Option<PathBuf>,
        owner: (u32, u32),
        place: &Place,
        into: &mut Mounts,
    ) -> Result<(), BuildError> {
        let of_target = || Some(target.as_ref()?.file_name()?.to_string_lossy().into_owned());
        let named = mount.id.clone().or_else(|| mount.source.clone()).filter(|id| !id.is_empty());
        let Some(id) = named.or_else(of_target) else {
            return Err(place.error("the secret has no id", Some("write `type=secret,id=NAME`".to_owned())));
        };
        let Some(content) = self.request.secrets.get(&id) else {
            if mount.required {
                let hint = format!("give it with --secret id={id},src=FILE, or --secret id={id},env=VARIABLE");
                return Err(place.error(format!("the build was not given the secret `{id}`"), Some(hint)));
            }
            into.not_given.push(id);
            return Ok(());
        };
        if let Some(name) = &mount.env {
            into.env.push((name.clone(), String::from_utf8_lossy(content.as_bytes()).into_owned()));
            if target.is_none() {
                return Ok(());
            }
        }
        let target = target.unwrap_or_else(|| Path::new(SECRETS).join(&id));
        let (content, mode) = (content.clone(), mount.mode.unwrap_or(0o400));
        into.mounts.push(StepMount::Secret { id, content, target, mode, owner });
        Ok(())
    }

    fn agent(
        &self,
        mount: &Mount,
        target: Option<PathBuf>,
        owner: (u32, u32),
        place: &Place,
        into: &mut Mounts,
    ) -> Result<(), BuildError> {
        let id = mount.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| "default".to_owned());
        let target = target.unwrap_or_else(|| PathBuf::from(format!("{AGENTS}.{}", into.agents)));
        if into.agents == 0 {
            into.env.push(("SSH_AUTH_SOCK".to_owned(), target.display().to_string()));
        }
        into.agents += 1;
        let Some(socket) = self.request.ssh.get(&id) else {
            if mount.required {
                let hint = format!("give it with --ssh {id}, where SSH_AUTH_SOCK names an agent, or --ssh {id}=SOCKET");
                return Err(place.error(format!("the build was not given the SSH agent `{id}`"), Some(hint)));
            }
            return Ok(());
        };
        let (socket, mode) = (socket.clone(), mount.mode.unwrap_or(0o600));
        into.mounts.push(StepMount::Ssh { id, socket, target, mode, owner });
        Ok(())
    }

    /// Where mounted files come from, and the path there.
    fn files(
        &mut self,
        stage: usize,
        state: &StageState,
        mount: &Mount,
        place: &Place,
        into: &mut Mounts,
    ) -> Result<(From, PathBuf), BuildError> {
        let source = mount.source.as_deref().unwrap_or("/");
        let inside = Path::new("/").join(source.trim_start_matches('/'));
        let origin = match &mount.from {
            Some(name) => self.origin(stage, name, &state.platform, place)?,
            None => Origin::Tree(Arc::clone(&self.request.context), "the build context".to_owned()),
        };
        // A directory is mounted, so its contents are what counts; a file is at the root of what is selected.
        let request = Request {
            sources: vec![Source::Path(if inside == Path::new("/") { ".".to_owned() } else { source.to_owned() })],
            destination: "/".to_owned(),
            workdir: "/".to_owned(),
            link: true,
            ..Request::default()
        };
        match origin {
            Origin::Tree(tree, name) => {
                let is_file = !super::super::context::tree::resolve_in(&*tree, &clean(&inside))
                    .and_then(|path| tree.lstat(&path))
                    .map_err(|error| place.put(error))?
                    .is_none_or(|stat| stat.is_directory());
                let selection = select(&*tree, &name, &request).map_err(|error| place.put(error))?;
                let transfer = Arc::new(Transfer { request, selection });
                let name = inside.file_name().filter(|_| is_file);
                let root = name.map_or_else(|| PathBuf::from("/"), |name| Path::new("/").join(name));
                Ok((From::Context(transfer), root))
            }
            Origin::Step(step, _) if inside == Path::new("/") => {
                into.inputs.push(step);
                Ok((From::Input(into.inputs.len() - 1), inside))
            }
            Origin::Step(step, from) => {
                let unpacker = Arc::clone(&self.unpacker);
                let select = SelectStep { request, from: from.clone(), place: place.clone(), unpacker };
                let id = self.graph.add(format!("look into {from}"), &[step], select);
                into.inputs.push(id);
                Ok((From::Selected(into.inputs.len() - 1), inside))
            }
        }
    }
}

/// Whether a step must not run without the device of a `--device`.
fn is_required(text: &str) -> bool {
    let mut fields = text.split(',').map(|field| field.split_once('=').unwrap_or((field, "true")));
    fields.any(|(key, value)| {
        key.eq_ignore_ascii_case("required") && matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
    })
}

fn clean(path: &Path) -> Vec<u8> {
    super::super::context::tree::clean(path.as_os_str().as_encoded_bytes())
}

/// What is run, and a script that has to be there for it: its name and its content.
fn command(state: &StageState, at: At<'_>) -> (Vec<String>, Option<(String, String)>) {
    match at.instruction.script() {
        None => (Vec::new(), None),
        Some(Script::Exec(words)) => (words.into_iter().map(str::to_owned).collect(), None),
        Some(Script::Shell(text)) => (state.in_shell(&text), None),
        Some(Script::File { name, content }) => {
            let path = format!("{SCRIPTS}/{name}");
            (state.in_shell(&path), Some((name.to_owned(), content.to_owned())))
        }
    }
}

/// The build arguments in scope, each once, as the history of an image tells them.
fn arguments(state: &StageState) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    for (name, value) in &state.arguments {
        let now = jettison_dockerfile::Environment::get(&state.scope, name).map(str::to_owned);
        let value = now.or_else(|| value.clone()).unwrap_or_default();
        match told.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => told.push((name.clone(), value)),
        }
    }
    told
}
