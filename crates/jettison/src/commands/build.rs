//! `jettison build`: a project in, a small image that provably works out. [`dockerfile`](super::dockerfile) has what is Dockerfiles' own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use jettison_build::base::Source;
use jettison_build::build::{BuildRequest, Built, build};
use jettison_build::dockerfile::context::Location;
use jettison_build::images::store_name;
use jettison_build::job::Job;
use jettison_build::output::OutputSpec;
use jettison_build::report::Report;
use jettison_build::settings::{Bytecode, Command, Compression, Settings, Trim, Verify};
use jettison_build::{BuildError, Context as _};
use jettison_oci::types::Platform;
use jettison_oci::{Image, ImageOrIndex};
use jettison_tree::Digest;

use super::dockerfile::{self, Checks, DockerfileArgs, Scope};
use super::write_file;
use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{plural, show_dockerfile_report, show_report};

/// Build the smallest image that runs a Python project
#[derive(Debug, Args)]
#[command(after_help = "\
What a flag of \"Image\" or \"Dependencies\" sets can be set in [tool.jettison] of pyproject.toml, or in jettison.toml, \
too. The digest is printed on standard output, everything else on standard error.

Environment:
  JETTISON_DEBIAN_MIRROR           the Debian archive, before the mirrors that apt uses
  JETTISON_DEBIAN_SECURITY_MIRROR  the same for security updates
  JETTISON_DEBIAN_KEYRING          a file with certificates that a private archive is signed with
  JETTISON_DEBIAN_CHECK_VALID_UNTIL=false
                                   take a suite whose Valid-Until is over, with a warning; else what apt is told
  UV_*, PIP_*, *_PROXY, NETRC      as uv and pip understand them

Examples:
  jettison build
  jettison build -t ghcr.io/me/app:1.2 --push
  jettison build -o type=oci,dest=app.tar examples/flask
  jettison build --platform linux/amd64,linux/arm64 -t ghcr.io/me/app --push
  jettison build --command 'hypercorn main:app' --with bash,coreutils")]
pub struct BuildArgs {
    /// The project
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,

    /// Name the image; may be given several times
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// Push every name to its registry
    #[arg(long)]
    pub push: bool,
    /// Where else it goes: type=oci|docker|local|tar|registry|daemon[,dest=PATH][,name=NAME]
    #[arg(short, long, value_name = "OUTPUT")]
    pub output: Vec<String>,

    /// Python version, such as 3.13
    #[arg(long, value_name = "VERSION", help_heading = "Image")]
    pub python: Option<String>,
    /// debian[:SUITE], docker://IMAGE, oci:PATH, or archive:URL#sha256=DIGEST
    #[arg(long, value_name = "BASE", help_heading = "Image")]
    pub base: Option<String>,
    /// Platforms, such as linux/arm64
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM", help_heading = "Image")]
    pub platform: Vec<String>,
    /// Start command, split as a shell splits it
    #[arg(long, value_name = "COMMAND", help_heading = "Image")]
    pub command: Option<String>,
    /// Port that the start command listens on; 0 for none
    #[arg(long, value_name = "PORT", help_heading = "Image")]
    pub port: Option<u16>,
    /// Numeric user, such as 65532:65532
    #[arg(long, value_name = "UID[:GID]", help_heading = "Image")]
    pub user: Option<String>,
    /// Where the application stands
    #[arg(long, value_name = "DIR", help_heading = "Image")]
    pub workdir: Option<String>,
    /// Environment variable of the image
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Image")]
    pub env: Vec<(String, String)>,
    /// Label of the image
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Image")]
    pub label: Vec<(String, String)>,
    /// More Debian packages, such as bash,coreutils
    #[arg(long, value_delimiter = ',', value_name = "PACKAGE", help_heading = "Image")]
    pub with: Vec<String>,
    /// What is cut: none, safe or max
    #[arg(long, value_name = "LEVEL", help_heading = "Image")]
    pub trim: Option<Trim>,
    /// .pyc files: none, profiled (what verification saw loaded), compiled (all), or only (all, and no source)
    #[arg(long, value_name = "WHICH", help_heading = "Image")]
    pub bytecode: Option<Bytecode>,
    /// gzip, zstd or none
    #[arg(long, value_name = "HOW", help_heading = "Image")]
    pub compression: Option<Compression>,
    /// Project files to take although a default leaves them out
    #[arg(long, value_name = "PATTERN", help_heading = "Image")]
    pub include: Vec<String>,
    /// Project files to leave out
    #[arg(long, value_name = "PATTERN", help_heading = "Image")]
    pub exclude: Vec<String>,

    /// Extras of the project to install
    #[arg(long = "extra", value_name = "EXTRA", help_heading = "Dependencies")]
    pub extras: Vec<String>,
    /// Dependency groups to install
    #[arg(long = "group", value_name = "GROUP", help_heading = "Dependencies")]
    pub groups: Vec<String>,
    /// Refuse to resolve: what is not locked is an error
    #[arg(long, help_heading = "Dependencies")]
    pub locked: bool,
    /// Resolve and choose packages anew
    #[arg(long, conflicts_with = "locked", help_heading = "Dependencies")]
    pub upgrade: bool,
    /// A uv of your own for resolving
    #[arg(long, value_name = "PATH", help_heading = "Dependencies")]
    pub uv: Option<PathBuf>,
    /// The package index
    #[arg(long, visible_alias = "default-index", value_name = "URL", help_heading = "Dependencies")]
    pub index_url: Option<String>,
    /// A package index in addition
    #[arg(long, visible_alias = "index", value_name = "URL", help_heading = "Dependencies")]
    pub extra_index_url: Vec<String>,
    /// A directory or page with distributions
    #[arg(long, value_name = "PATH|URL", help_heading = "Dependencies")]
    pub find_links: Vec<String>,

    /// Do not run the image to see that it works
    #[arg(long, help_heading = "Verification")]
    pub no_verify: bool,
    /// Path that is fetched
    #[arg(long, value_name = "PATH", help_heading = "Verification")]
    pub verify_path: Option<String>,
    /// Seconds that the start command has to answer
    #[arg(long, value_name = "SECONDS", help_heading = "Verification")]
    pub verify_timeout: Option<u32>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write the JSON object to a file
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Build from the project even where there is a Dockerfile
    #[arg(long, conflicts_with = "file")]
    pub native: bool,
    /// Load the image into the Docker daemon
    #[arg(long)]
    pub load: bool,

    #[command(flatten)]
    pub dockerfile: DockerfileArgs,
}

pub fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Builds, writes the outputs, and reports.
pub fn run(args: &BuildArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    let mut outputs = args.output.iter().map(|text| OutputSpec::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if args.push {
        outputs.push(OutputSpec::Registry { names: Vec::new() });
    }
    if args.load {
        outputs.push(OutputSpec::Daemon { names: Vec::new() });
    }
    let to_stdout = outputs.iter().filter(|output| output.is_stdout()).count();
    if to_stdout > 1 || (to_stdout == 1 && args.json) {
        return Err(BuildError::new("standard output can take one thing only").hint("give the others a file"));
    }
    args.dockerfile.no_attestations()?;
    let front_end = FrontEnd::of(args);
    session.ui.note(&front_end.said(args));
    match &front_end {
        FrontEnd::Dockerfile { file, .. } => run_dockerfile(args, file.as_deref(), session, &outputs),
        FrontEnd::Native { .. } => run_native(args, session, &outputs),
    }
}

/// How an image is built, and why so.
enum FrontEnd {
    /// By a Dockerfile: this one, or the one of the context.
    Dockerfile { file: Option<String>, why: String },
    /// From the Python project.
    Native { why: String },
}

impl FrontEnd {
    fn of(args: &BuildArgs) -> Self {
        let path = args.path.to_string_lossy();
        let there =
            ["Dockerfile", "dockerfile", "Containerfile"].into_iter().find(|name| args.path.join(name).is_file());
        if let Some(file) = &args.dockerfile.file {
            return Self::Dockerfile { file: Some(file.clone()), why: "-f names it".to_owned() };
        }
        if args.native {
            let unused = there.map_or_else(String::new, |name| format!("; the {name} there is not used"));
            return Self::Native { why: format!(" (--native){unused}") };
        }
        if !matches!(Location::parse(&path), Ok(Location::Directory(_))) {
            return Self::Dockerfile { file: None, why: "the context is no directory".to_owned() };
        }
        match (there, Settings::file(&args.path)) {
            (Some(name), Some(settings)) => {
                Self::Native { why: format!(", as {settings} says; the {name} there is not used, -f {name} takes it") }
            }
            (Some(name), None) => {
                let file = (name == "Containerfile").then(|| args.path.join(name).display().to_string());
                Self::Dockerfile { file, why: format!("{name} is there; --native builds the Python project") }
            }
            (None, _) => Self::Native { why: String::new() },
        }
    }

    /// Which way, in a line.
    fn said(&self, args: &BuildArgs) -> String {
        let path = args.path.display();
        match self {
            Self::Dockerfile { file: Some(file), why } => format!("building {path} by the Dockerfile {file} ({why})"),
            Self::Dockerfile { file: None, why } => format!("building {path} by its Dockerfile ({why})"),
            Self::Native { why } => format!("building {path} from its Python project{why}"),
        }
    }
}

fn run_dockerfile(
    args: &BuildArgs,
    file: Option<&str>,
    session: &Session<'_>,
    outputs: &[OutputSpec],
) -> Result<Exit, BuildError> {
    if let Some(flag) = args.native_flag() {
        return Err(BuildError::new(format!(
            "{flag} is for builds from a Python project, and this one is by a Dockerfile"
        ))
        .hint("leave it out, or build with --native"));
    }
    let request = dockerfile::request(args, file, session)?;
    if let Some(call) = dockerfile::Call::of(args)? {
        return dockerfile::call(&call, args, &request, session);
    }
    dockerfile::refuse_warnings(args, &request, session)?;
    if args.tag.is_empty() && outputs.iter().any(OutputSpec::needs_a_name) {
        return Err(no_name());
    }
    let registry = session.images()?.registry;
    let mut built = Vec::new();
    for platform in dockerfile::platforms(args, session)? {
        let job = Job::new(session.store()?, &session.http, &session.machine, session.ui);
        let done = jettison_build::dockerfile::build(&job, registry, &request, &platform)?;
        done.report.warnings.iter().for_each(|warning| session.ui.warning(warning, None));
        if !session.ui.is_quiet() {
            show_dockerfile_report(session.ui, &done.report);
        }
        built.push(done);
    }
    if !session.ui.is_quiet() {
        let checks = Checks::of(args, &request, session, Scope::Target)?;
        let found = plural(checks.warnings.len(), "warning");
        match checks.names().as_slice() {
            [] => {}
            names => session.ui.note(&format!("{found} found: {} (--check shows where)", names.join(", "))),
        }
    }
    let images: Vec<Image> = built.iter().map(|built| built.image.clone()).collect();
    let content = content(&images, &request.names, session)?;
    let reports: Vec<_> = built.iter().map(|built| &built.report).collect();
    let json = json(content.descriptor().digest, &reports)?;
    finish(args, session, &content, &request.names, outputs, &json)
}

fn no_name() -> BuildError {
    BuildError::new("the image has no name to push or load it under").hint("name it with -t NAME")
}

fn run_native(args: &BuildArgs, session: &Session<'_>, outputs: &[OutputSpec]) -> Result<Exit, BuildError> {
    if let Some(flag) = args.dockerfile.given() {
        return Err(
            BuildError::new(format!("{flag} is for Dockerfiles, and this build has none")).hint("name one with -f")
        );
    }
    let request = request(args, session)?;
    if request.settings.tag.is_none() && outputs.iter().any(OutputSpec::needs_a_name) {
        return Err(no_name());
    }
    let own = std::slice::from_ref(&session.platform);
    let platforms = parse_platforms(request.settings.platform.as_deref().unwrap_or_default())?;
    let platforms = if platforms.is_empty() { own } else { &platforms };
    let mut built: Vec<Built> = Vec::new();
    for platform in platforms {
        let store = session.store()?;
        built.push(build(store, &session.http, &session.machine, session.ui, &request, platform)?);
    }
    let images: Vec<Image> = built.iter().map(|built| built.image.clone()).collect();
    let reports: Vec<Report> = built.into_iter().map(|built| built.report).collect();
    let names = reports.first().map(|report| report.names.clone()).unwrap_or_default();
    let content = content(&images, &names, session)?;
    for report in &reports {
        report.warnings.iter().for_each(|warning| session.ui.warning(warning, None));
        if !session.ui.is_quiet() {
            show_report(session.ui, report);
        }
    }
    let json = json(content.descriptor().digest, &reports)?;
    finish(args, session, &content, &names, outputs, &json)
}

/// Writes the outputs and says the digest.
fn finish(
    args: &BuildArgs,
    session: &Session<'_>,
    content: &ImageOrIndex,
    names: &[String],
    outputs: &[OutputSpec],
    json: &str,
) -> Result<Exit, BuildError> {
    for output in outputs {
        let written = session.images()?.write(content, output, names)?;
        written.iter().for_each(|written| session.ui.written(written));
    }
    let digest = content.descriptor().digest;
    if let Some(path) = &args.iidfile {
        write_file(path, digest.to_string().as_bytes())?;
    }
    if let Some(path) = &args.metadata_file {
        write_file(path, format!("{json}\n").as_bytes())?;
    }
    let to_stdout = outputs.iter().any(OutputSpec::is_stdout);
    match (args.json, to_stdout) {
        (true, _) => print(json)?,
        (false, false) => print(&digest.to_string())?,
        (false, true) => session.ui.note(&digest.to_string()),
    }
    Ok(Exit::Fine)
}

/// `SOURCE_DATE_EPOCH` of the environment.
pub fn epoch(session: &Session<'_>) -> Result<Option<u64>, BuildError> {
    match session.machine.var("SOURCE_DATE_EPOCH") {
        Some(text) => text.parse().map(Some).map_err(|_| {
            BuildError::new(format!("SOURCE_DATE_EPOCH is `{text}`")).hint("it is a number of seconds since 1970")
        }),
        None => Ok(None),
    }
}

fn request(args: &BuildArgs, session: &Session<'_>) -> Result<BuildRequest, BuildError> {
    let root = fs::canonicalize(&args.path).context(format!("cannot build `{}`", args.path.display()))?;
    if !root.is_dir() {
        return Err(BuildError::new(format!("`{}` is no directory", args.path.display()))
            .hint("name the directory that the project is in"));
    }
    let mut flags = args.settings();
    if let Some(base) = &mut flags.base {
        let here = fs::canonicalize(".").context("the working directory")?;
        *base = Source::seen_from(base, &here, &root);
    }
    let mut settings = Settings::read(&root)?.under(flags);
    if let Some(tags) = &mut settings.tag {
        for tag in tags {
            *tag = store_name(tag)?;
            if tag.contains('@') {
                return Err(BuildError::new(format!("`{tag}` has a digest, which a build cannot promise"))
                    .hint("name the image by a tag"));
            }
        }
    }
    Ok(BuildRequest {
        root,
        settings,
        index_url: args.index_url.clone(),
        extra_index_urls: args.extra_index_url.clone(),
        find_links: args.find_links.clone(),
        locked: args.locked,
        upgrade: args.upgrade,
        uv: args.uv.clone(),
        epoch: epoch(session)?,
        registry: session.images()?.registry.options().clone(),
    })
}

/// The platforms of a flag or a setting.
pub fn parse_platforms(texts: &[String]) -> Result<Vec<Platform>, BuildError> {
    const HINT: &str = "for example --platform linux/amd64,linux/arm64";
    let parse = |text: &String| match text.parse::<Platform>() {
        Ok(platform) if platform.os == "linux" => Ok(platform),
        Ok(platform) => Err(BuildError::new(format!("`{platform}` is no platform of Linux")).hint(HINT)),
        Err(error) => Err(BuildError::new(error.to_string()).hint(HINT)),
    };
    texts.iter().map(parse).collect()
}

/// The image, or an index of several, which then has their names.
fn content(images: &[Image], names: &[String], session: &Session<'_>) -> Result<ImageOrIndex, BuildError> {
    if let [image] = images {
        return Ok(ImageOrIndex::Image(image.clone()));
    }
    Ok(ImageOrIndex::Index(session.images()?.unite(images, names)?))
}

/// The report as one JSON object; of several platforms, an object with the digest of the index and their reports.
fn json<R: serde::Serialize>(digest: Digest, reports: &[R]) -> Result<String, BuildError> {
    let object = match reports {
        [report] => serde_json::to_value(report)?,
        reports => serde_json::json!({ "digest": digest, "images": reports }),
    };
    Ok(object.to_string())
}

impl BuildArgs {
    /// A flag that was given and means nothing with a Dockerfile.
    fn native_flag(&self) -> Option<&'static str> {
        let given = [
            ("--python", self.python.is_some()),
            ("--base", self.base.is_some()),
            ("--command", self.command.is_some()),
            ("--port", self.port.is_some()),
            ("--user", self.user.is_some()),
            ("--workdir", self.workdir.is_some()),
            ("--env", !self.env.is_empty()),
            ("--with", !self.with.is_empty()),
            ("--trim", self.trim.is_some()),
            ("--bytecode", self.bytecode.is_some()),
            ("--include", !self.include.is_empty()),
            ("--exclude", !self.exclude.is_empty()),
            ("--extra", !self.extras.is_empty()),
            ("--group", !self.groups.is_empty()),
            ("--locked", self.locked),
            ("--upgrade", self.upgrade),
        ];
        given.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name)
    }

    /// The flags as settings: what was not given is not set.
    pub fn settings(&self) -> Settings {
        fn list(words: &[String]) -> Option<Vec<String>> {
            (!words.is_empty()).then(|| words.to_vec())
        }
        fn map(pairs: &[(String, String)]) -> Option<BTreeMap<String, String>> {
            (!pairs.is_empty()).then(|| pairs.iter().cloned().collect())
        }
        let verify = Verify {
            enabled: self.no_verify.then_some(false),
            path: self.verify_path.clone(),
            timeout: self.verify_timeout,
            ..Verify::default()
        };
        Settings {
            python: self.python.clone(),
            base: self.base.clone(),
            platform: list(&self.platform),
            command: self.command.clone().map(Command::Line),
            port: self.port,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            env: map(&self.env),
            labels: map(&self.label),
            with: list(&self.with),
            extras: list(&self.extras),
            groups: list(&self.groups),
            trim: self.trim,
            bytecode: self.bytecode,
            compression: self.compression,
            include: list(&self.include),
            exclude: list(&self.exclude),
            build_packages: None,
            verify: (verify != Verify::default()).then_some(verify),
            tag: list(&self.tag),
            lint: None,
        }
    }
}
