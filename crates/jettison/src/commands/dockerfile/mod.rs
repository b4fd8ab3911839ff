//! `jettison build` of a Dockerfile: the flags that it has besides those of every build, what they mean, and the call.
//!
//! 1. [`DockerfileArgs`] are the flags, as `docker buildx build` has them; [`Call`] is what they may ask in place of a build, [`Checks`]
//!    what BuildKit would warn of.
//! 2. [`request`] opens contexts and secrets, and looks at the environment where a flag says so.
//! 3. [`platforms`] are those to build for.

mod call;
mod check;
mod flags;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_build::build::directory_name;
use jettison_build::dockerfile::context::{Context as BuildContext, DockerfileAt, Location, NamedContext};
use jettison_build::dockerfile::exchange::CacheTo;
use jettison_build::dockerfile::place::Source;
use jettison_build::dockerfile::request::{BuildRequest, Network, NoCache, Substitute, Surroundings};
use jettison_build::images::store_name;
use jettison_build::job::Job;
use jettison_build::{BuildError, Context as _};
use jettison_engine::sandbox::Secret;
use jettison_oci::types::Platform;

pub use call::{Call, call};
pub use check::{Checks, Scope, refuse_warnings};
pub use flags::DockerfileArgs;
use flags::{NetworkName, Right};

use super::build::BuildArgs;
use crate::session::Session;

/// What is built.
pub fn request(args: &BuildArgs, file: Option<&str>, session: &Session<'_>) -> Result<BuildRequest, BuildError> {
    let job = Job::new(session.store()?, &session.http, &session.machine, session.ui);
    let flags = &args.dockerfile;
    let path = args.path.to_string_lossy();
    let location = Location::parse(&path)?;
    let mut stdin = std::io::stdin();
    let mut text_of_stdin = None;
    let at = match file {
        Some("-") => {
            if location == Location::Stdin {
                return Err(BuildError::new("the Dockerfile and the context cannot both be standard input")
                    .hint("give one of them a path"));
            }
            let mut bytes = Vec::new();
            stdin.read_to_end(&mut bytes).map_err(BuildError::from).context("standard input")?;
            text_of_stdin = Some(String::from_utf8_lossy(&bytes).into_owned());
            DockerfileAt::Elsewhere
        }
        Some(file) => DockerfileAt::Path(as_it_is_spelled(file)),
        None => DockerfileAt::Default,
    };
    let build_args = build_args(&flags.build_arg, session);
    let keep_git_dir =
        build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR").is_some_and(|value| value == "1" || value == "true");
    let context = BuildContext::open(&job, "the build context", &location, &at, &mut stdin, keep_git_dir)?;
    let source = match (text_of_stdin, context.dockerfile) {
        (Some(text), _) => Source::parse("-", &text),
        (None, Some(found)) => Source::parse(found.name, &found.text),
        (None, None) => return Err(BuildError::new(format!("there is no Dockerfile in {path}"))),
    };
    let directory = fs::canonicalize(&args.path).ok().filter(|path| path.is_dir());
    let project = directory.as_deref().unwrap_or(Path::new("-")).display().to_string();
    Ok(BuildRequest {
        project: format!("{project}\n{}", source.name),
        source,
        context: context.files,
        named: named_contexts(&job, &flags.build_context)?,
        target: flags.target.clone(),
        build_args,
        secrets: secrets(&flags.secret, session)?,
        ssh: agents(&flags.ssh, session)?,
        labels: args.label.iter().cloned().collect(),
        annotations: flags.annotation.iter().cloned().collect(),
        cache_from: flags
            .cache_from
            .iter()
            .map(|text| cache(text, "src").map(|to| to.directory))
            .collect::<Result<_, _>>()?,
        cache_to: flags.cache_to.iter().map(|text| cache(text, "dest")).collect::<Result<_, _>>()?,
        explain: flags.explain_cache,
        no_cache: match (flags.no_cache, flags.no_cache_filter.as_slice()) {
            (true, _) => NoCache::All,
            (false, []) => NoCache::Nothing,
            (false, stages) => NoCache::Stages(stages.to_vec()),
        },
        pull: flags.pull,
        surroundings: Surroundings {
            network: if flags.network == NetworkName::None { Network::None } else { Network::Host },
            hosts: flags.add_host.clone(),
            shm_size: flags.shm_size.unwrap_or(Surroundings::default().shm_size),
            limits: flags.ulimit.clone(),
            allow_insecure: flags.allow.contains(&Right::SecurityInsecure),
        },
        epoch: super::build::epoch(session)?,
        compression: args.compression.unwrap_or_default(),
        names: names(args, directory.as_deref())?,
        build_platform: session.platform.clone(),
        nonce: session.machine.now << 22 ^ u64::from(std::process::id()),
    })
}

/// The path of a Dockerfile, which may be in small letters where it is not in these.
fn as_it_is_spelled(file: &str) -> String {
    let small = file.strip_suffix("Dockerfile").map(|directory| format!("{directory}dockerfile"));
    small.filter(|small| !Path::new(file).exists() && Path::new(small).exists()).unwrap_or_else(|| file.to_owned())
}

/// The names that the store keeps the image under: those of the flags, and the directory that it was built in.
fn names(args: &BuildArgs, directory: Option<&Path>) -> Result<Vec<String>, BuildError> {
    let mut names = args.tag.iter().map(|tag| store_name(tag)).collect::<Result<Vec<_>, _>>()?;
    if let Some(tag) = names.iter().find(|tag| tag.contains('@')) {
        return Err(BuildError::new(format!("`{tag}` has a digest, which a build cannot promise"))
            .hint("name the image by a tag"));
    }
    names.extend(directory.map(directory_name));
    Ok(names)
}

/// `--build-arg`: a name alone has the value of the environment, or none. The proxies of docker's configuration are given too, where none
/// is given by that name.
fn build_args(given: &[String], session: &Session<'_>) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), session.machine.vars.get(text)?.clone())),
    };
    let mut given: BTreeMap<String, String> = given.iter().filter_map(pair).collect();
    for (name, value) in crate::environment::build_proxies(&session.machine) {
        if !given.keys().any(|given| given.eq_ignore_ascii_case(&name)) {
            given.insert(name, value);
        }
    }
    given
}

fn named_contexts(job: &Job<'_>, given: &[String]) -> Result<BTreeMap<String, Substitute>, BuildError> {
    let mut named = BTreeMap::new();
    for text in given {
        if let Some((name, stage)) = text.split_once("=target:") {
            named.insert(name.to_lowercase(), Substitute::Stage(stage.to_owned()));
            continue;
        }
        let (name, context) = NamedContext::parse(text)?;
        let substitute = match context {
            NamedContext::Image(reference) => Substitute::Image(reference),
            NamedContext::Layout { path, tag, digest } => {
                let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
                let digest = digest.map_or_else(String::new, |digest| format!("@{digest}"));
                Substitute::Layout(format!("{}{tag}{digest}", path.display()))
            }
            NamedContext::Files(location) => {
                let title = format!("the context `{name}`");
                let nothing = &mut std::io::empty();
                let at = DockerfileAt::Elsewhere;
                let context = BuildContext::open(job, title, &location, &at, nothing, false);
                Substitute::Tree(Arc::clone(&context.context(format!("--build-context {name}"))?.files))
            }
        };
        named.insert(name.to_lowercase(), substitute);
    }
    Ok(named)
}

/// `--secret id=ID[,src=FILE|,env=VARIABLE]`; without either the variable of that name, or else the file.
fn secrets(given: &[String], session: &Session<'_>) -> Result<BTreeMap<String, Secret>, BuildError> {
    let mut secrets = BTreeMap::new();
    for text in given {
        let wrong = |why: &str| {
            BuildError::new(format!("--secret {text}: {why}")).hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE")
        };
        let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or_else(|| wrong(&format!("`{field}` is no KEY=VALUE")))?;
            let place = match key {
                "id" => &mut id,
                "src" | "source" => &mut file,
                "env" => &mut variable,
                "type" => &mut kind,
                _ => return Err(wrong(&format!("it knows no `{key}`"))),
            };
            *place = Some(value.to_owned());
        }
        if kind.as_deref() == Some("env") {
            variable = variable.or_else(|| file.take());
        }
        let id = id.or_else(|| Some(Path::new(file.as_ref()?).file_name()?.to_string_lossy().into_owned()));
        let id = id.ok_or_else(|| wrong("it has no id"))?;
        let of_variable = |name: &str| session.machine.vars.get(name).map(|value| value.clone().into_bytes());
        let content = match (&file, &variable) {
            (Some(file), _) => fs::read(file).map_err(BuildError::from).context(file)?,
            (None, Some(name)) => {
                of_variable(name).ok_or_else(|| wrong(&format!("the environment has no `{name}`")))?
            }
            (None, None) => match of_variable(&id) {
                Some(value) => value,
                None => fs::read(&id).map_err(|_| wrong("there is neither a variable nor a file of that name"))?,
            },
        };
        secrets.insert(id, Secret::new(content));
    }
    Ok(secrets)
}

/// `type=local,src=DIR`, or `type=local,dest=DIR[,mode=min|max]`; a directory alone is short for it.
fn cache(text: &str, place: &str) -> Result<CacheTo, BuildError> {
    let wrong =
        |why: &str| BuildError::new(format!("the cache `{text}`: {why}")).hint(format!("write type=local,{place}=DIR"));
    let (mut directory, mut all) = (None, false);
    let is_image =
        place == "src" && !Path::new(text).exists() && text.rsplit('/').next().is_some_and(|name| name.contains(':'));
    if is_image {
        return Err(other_cache(text, "registry", place));
    }
    if !text.contains('=') && !text.is_empty() {
        return Ok(CacheTo { directory: text.into(), all });
    }
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", "local")) => {}
            Some(("type", other)) => return Err(other_cache(text, other, place)),
            Some((key, path)) if key == place && !path.is_empty() => directory = Some(PathBuf::from(path)),
            Some(("mode", "max")) if place == "dest" => all = true,
            Some(("mode", "min")) if place == "dest" => all = false,
            _ => return Err(wrong(&format!("it knows no `{field}`"))),
        }
    }
    directory.map(|directory| CacheTo { directory, all }).ok_or_else(|| wrong("it names no directory"))
}

/// What to use in place of a cache that is no directory.
fn other_cache(text: &str, kind: &str, place: &str) -> BuildError {
    let instead = match kind {
        "gha" => "keep the directory with the action `actions/cache`".to_owned(),
        "registry" | "inline" => {
            "keep the directory as CI keeps files; base images and pushed layers are never sent twice anyway".to_owned()
        }
        "s3" | "azblob" => "copy the directory there and back".to_owned(),
        _ => "a directory is the one kind that there is".to_owned(),
    };
    BuildError::new(format!("the cache `{text}` is of the type `{kind}`, and caches are directories here"))
        .hint(format!("write type=local,{place}=DIR; {instead}"))
}

/// `--ssh ID[=SOCKET]`.
fn agents(given: &[String], session: &Session<'_>) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    let mut agents = BTreeMap::new();
    for text in given {
        let (id, socket) = match text.split_once('=') {
            Some((id, socket)) => (id, Some(socket)),
            None => (text.as_str(), None),
        };
        let socket = socket.or_else(|| session.machine.var("SSH_AUTH_SOCK")).ok_or_else(|| {
            BuildError::new(format!("--ssh {text}: there is no agent"))
                .hint("start one and set SSH_AUTH_SOCK, or write ID=SOCKET")
        })?;
        agents.insert(if id.is_empty() { "default" } else { id }.to_owned(), PathBuf::from(socket));
    }
    Ok(agents)
}

/// `--platform`, this machine's where none is given.
pub fn platforms(args: &BuildArgs, session: &Session<'_>) -> Result<Vec<Platform>, BuildError> {
    let given = super::build::parse_platforms(&args.platform)?;
    Ok(if given.is_empty() { vec![session.platform.clone()] } else { given })
}
