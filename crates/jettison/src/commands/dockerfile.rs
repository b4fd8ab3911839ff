//! `jettison build` of a Dockerfile: the flags that it has besides those of every build, what they mean, and the call.
//!
//! 1. [`DockerfileArgs`] are the flags, as `docker buildx build` has them.
//! 2. [`request`] opens contexts and secrets, and looks at the environment where a flag says so.
//! 3. [`build`] builds each platform.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jettison_build::build::directory_name;
use jettison_build::dockerfile::context::{Context as BuildContext, DockerfileAt, Location, NamedContext};
use jettison_build::dockerfile::exchange::CacheTo;
use jettison_build::dockerfile::outline;
use jettison_build::dockerfile::place::Source;
use jettison_build::dockerfile::request::{BuildRequest, Network, NoCache, Substitute, Surroundings};
use jettison_build::images::store_name;
use jettison_build::job::Job;
use jettison_build::{BuildError, Context as _};
use jettison_engine::sandbox::{Limit, Resource, Secret};
use jettison_oci::types::Platform;

use super::build::BuildArgs;
use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{escape, outline_text, targets_text};

/// Flags for Dockerfiles.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile")]
pub struct DockerfileArgs {
    /// The Dockerfile; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// The stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Value of an ARG; a name alone takes the environment's
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// More contexts: NAME=PATH, docker-image://IMAGE, oci-layout://PATH, target:STAGE or URL
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub build_context: Vec<String>,
    /// Secret for RUN --mount=type=secret: id=ID[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// SSH agent for RUN --mount=type=ssh: default or ID[=SOCKET]
    #[arg(long, value_name = "AGENT")]
    pub ssh: Vec<String>,
    /// Annotation of the manifest
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::build::pair)]
    pub annotation: Vec<(String, String)>,
    /// Run every step again
    #[arg(long)]
    pub no_cache: bool,
    /// Run the steps of these stages again
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    pub no_cache_filter: Vec<String>,
    /// Ask registries what names of images stand for now
    #[arg(long)]
    pub pull: bool,
    /// Network of RUN: default, none or host
    #[arg(long, value_name = "NETWORK", default_value = "default", hide_default_value = true)]
    pub network: NetworkName,
    /// Allow what steps ask for: network.host, security.insecure
    #[arg(long, value_delimiter = ',', value_name = "RIGHT")]
    pub allow: Vec<Right>,
    /// Name that RUN finds at an address: NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = host)]
    pub add_host: Vec<(String, String)>,
    /// Size of /dev/shm in RUN, such as 128m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub shm_size: Option<u64>,
    /// Limit in RUN, such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = limit)]
    pub ulimit: Vec<Limit>,
    /// Results of another machine: type=local,src=DIR
    #[arg(long, value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// Keep results for another machine: type=local,dest=DIR[,mode=min|max]
    #[arg(long, value_name = "CACHE")]
    pub cache_to: Vec<String>,
    /// Say of each step why it ran, and what would have kept it
    #[arg(long)]
    pub explain_cache: bool,
    /// Tell of the file instead of building it: outline or targets, check, or either with ,format=json
    #[arg(long, visible_alias = "print", value_name = "WHAT", num_args = 0..=1, default_missing_value = "outline", require_equals = true)]
    pub call: Option<String>,
    /// Look for mistakes instead of building
    #[arg(long, conflicts_with = "call")]
    pub check: bool,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkName {
    // The machine's.
    Default,
    // Loopback alone.
    None,
    // The machine's.
    Host,
}

/// `--allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Right {
    #[value(name = "network.host")]
    NetworkHost,
    #[value(name = "security.insecure")]
    SecurityInsecure,
}

impl DockerfileArgs {
    /// A flag that was given and means nothing without a Dockerfile.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--target", self.target.is_some()),
            ("--build-arg", !self.build_arg.is_empty()),
            ("--build-context", !self.build_context.is_empty()),
            ("--secret", !self.secret.is_empty()),
            ("--ssh", !self.ssh.is_empty()),
            ("--annotation", !self.annotation.is_empty()),
            ("--no-cache-filter", !self.no_cache_filter.is_empty()),
            ("--no-cache", self.no_cache),
            ("--pull", self.pull),
            ("--network", self.network != NetworkName::Default),
            ("--allow", !self.allow.is_empty()),
            ("--add-host", !self.add_host.is_empty()),
            ("--shm-size", self.shm_size.is_some()),
            ("--ulimit", !self.ulimit.is_empty()),
            ("--cache-from", !self.cache_from.is_empty()),
            ("--cache-to", !self.cache_to.is_empty()),
            ("--explain-cache", self.explain_cache),
            ("--call", self.call.is_some()),
            ("--check", self.check),
        ];
        given.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name)
    }
}

fn host(text: &str) -> Result<(String, String), String> {
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or("expected NAME:ADDRESS")?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    // The network of a step is the machine's.
    let address = if address == "host-gateway" { "127.0.0.1" } else { address };
    match address.parse::<std::net::IpAddr>() {
        Ok(_) if !name.is_empty() => Ok((name.to_owned(), address.to_owned())),
        _ => Err(format!("`{address}` is no address")),
    }
}

/// Bytes, with `b`, `k`, `m` or `g` behind the number.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['b', 'i']);
    let (digits, unit) = match digits.strip_suffix(['k', 'm', 'g', 't']) {
        Some(number) => (number, digits.chars().last()),
        None => (digits, None),
    };
    let shift = match unit {
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("`{text}` is no size, such as 64m or 1g"))
}

/// setrlimit(2)'s resources under docker's names.
fn limit(text: &str) -> Result<Limit, String> {
    const HINT: &str = "expected NAME=SOFT[:HARD], such as nofile=1024:4096";
    let (name, values) = text.split_once('=').ok_or(HINT)?;
    let resource = match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return Err(format!("`{name}` is no limit")),
    };
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| HINT.to_owned()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    Ok(Limit { resource, soft: value(soft)?, hard: value(hard)? })
}

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

/// `--build-arg`: a name alone has the value of the environment, or none.
fn build_args(given: &[String], session: &Session<'_>) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), session.machine.vars.get(text)?.clone())),
    };
    given.iter().filter_map(pair).collect()
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
    if !text.contains('=') && !text.is_empty() {
        return Ok(CacheTo { directory: text.into(), all });
    }
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", "local")) => {}
            Some(("type", other)) => return Err(wrong(&format!("there is no type `{other}` yet"))),
            Some((key, path)) if key == place && !path.is_empty() => directory = Some(PathBuf::from(path)),
            Some(("mode", "max")) if place == "dest" => all = true,
            Some(("mode", "min")) if place == "dest" => all = false,
            _ => return Err(wrong(&format!("it knows no `{field}`"))),
        }
    }
    directory.map(|directory| CacheTo { directory, all }).ok_or_else(|| wrong("it names no directory"))
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

/// What is asked of a Dockerfile in place of building it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    what: What,
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Outline,
    Targets,
    Check,
}

impl Call {
    /// `--call=outline|targets|check[,format=json]`, and `--check`; `None` where it is to be built.
    pub fn of(args: &BuildArgs) -> Result<Option<Self>, BuildError> {
        let text = match &args.dockerfile.call {
            _ if args.dockerfile.check => "check",
            Some(text) => text,
            None => return Ok(None),
        };
        let wrong = |what: &str| {
            BuildError::new(format!("--call={text}: {what}"))
                .hint("there are outline, targets and check, with ,format=json")
        };
        let mut call = Self { what: What::Outline, json: args.json };
        for word in text.split(',') {
            match word {
                "outline" => call.what = What::Outline,
                "targets" => call.what = What::Targets,
                "check" | "lint" => call.what = What::Check,
                "build" => return Ok(None),
                "json" | "format=json" => call.json = true,
                "format=text" => call.json = false,
                other => return Err(wrong(&format!("there is no `{other}`"))),
            }
        }
        Ok(Some(call))
    }
}

/// Answers what is asked of a Dockerfile.
pub fn call(call: &Call, request: &BuildRequest) -> Result<Exit, BuildError> {
    let source = &request.source;
    if call.what != What::Check {
        source.check()?;
    }
    let said = match call.what {
        What::Targets => {
            let targets = outline::targets(source);
            if call.json { serde_json::json!({ "targets": targets }).to_string() } else { targets_text(&targets) }
        }
        What::Outline => {
            let outline = outline::outline(source, request.target.as_deref(), &request.build_args)?;
            if call.json { serde_json::to_string(&outline)? } else { outline_text(&outline) }
        }
        What::Check => return check(source, call.json),
    };
    print(&said)?;
    Ok(Exit::Fine)
}

/// What the parser has to say of the file.
fn check(source: &Source, json: bool) -> Result<Exit, BuildError> {
    let problems = source.dockerfile.problems();
    if json {
        let problems: Vec<_> = problems
            .iter()
            .map(|problem| {
                let (line, column) = (problem.position.line, problem.position.column);
                let severity = format!("{:?}", problem.severity).to_lowercase();
                let message = problem.kind.to_string();
                serde_json::json!({ "line": line, "column": column, "severity": severity, "message": message, "hint": problem.hint() })
            })
            .collect();
        print(&serde_json::json!({ "file": source.name, "problems": problems }).to_string())?;
    } else if problems.is_empty() {
        print("no problem was found")?;
    } else {
        let lines: Vec<String> = problems.iter().map(|problem| source.error(problem).to_string()).collect();
        print(&escape(&lines.join("\n")))?;
    }
    Ok(if problems.is_empty() { Exit::Fine } else { Exit::Findings })
}

/// `--platform`, this machine's where none is given.
pub fn platforms(args: &BuildArgs, session: &Session<'_>) -> Result<Vec<Platform>, BuildError> {
    let given = super::build::parse_platforms(&args.platform)?;
    Ok(if given.is_empty() { vec![session.platform.clone()] } else { given })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_limits_and_hosts_are_dockers() {
        for (text, bytes) in [("1", 1), ("64m", 64 << 20), ("1G", 1 << 30), ("2kb", 2048), ("3MiB", 3 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("x").is_err() && size("1x").is_err() && size("").is_err());
        let parsed = limit("nofile=1024:-1").unwrap();
        assert_eq!((parsed.resource, parsed.soft, parsed.hard), (Resource::Nofile, Some(1024), None));
        assert_eq!(limit("core=0").unwrap().hard, Some(0));
        assert!(limit("nofile").is_err() && limit("files=1").is_err() && limit("cpu=x").is_err());
        let text = |name: &str, address: &str| Ok((name.to_owned(), address.to_owned()));
        assert_eq!(host("db:10.0.0.1"), text("db", "10.0.0.1"));
        assert_eq!(host("db=[::1]"), text("db", "::1"));
        assert_eq!(host("db:host-gateway"), text("db", "127.0.0.1"));
        assert!(host("db").is_err() && host("db:x").is_err());
    }
}
