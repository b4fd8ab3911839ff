//! BuildKit's build checks: what `--check` answers with, and what a build warns of at its end.
//!
//! 1. [`Checks::of`] lints the Dockerfile with the rules that are BuildKit's, in the context and with the arguments of the build.
//! 2. `--check` looks at every stage; a build, or one `--target`, only at what it needs, as BuildKit does.
//! 3. `# check=` decides what is left out, and whether the rest is an error. The argument `BUILDKIT_DOCKERFILE_CHECK` goes before it.
//! 4. [`Images`] tells the rules what base images have.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jettison_build::dockerfile::bases::Bases;
use jettison_build::dockerfile::context::Location;
use jettison_build::dockerfile::context::ignore::{FILE, IgnoreRules};
use jettison_build::dockerfile::request::BuildRequest;
use jettison_build::dockerfile::stages;
use jettison_build::job::Job;
use jettison_build::{BuildError, dockerfile::place::Source};
use jettison_dockerfile::{DirectiveName, Dockerfile, Expander, InstructionKind, Problem, Severity, Span};
use jettison_lint::catalog::ImageFacts;
use jettison_lint::model::{Base, PLATFORM_ARGUMENTS, Scripts, Stage, Subject};
use jettison_lint::suppress::Suppressions;
use jettison_lint::{Catalog, Config, Context, Finding, Place, Rule, Selector, lint, rules};
use jettison_oci::reference::Reference;
use jettison_oci::types::Platform;
use jettison_python::NormalizedName;
use jettison_tree::TreePath;
use serde::Serialize;

use super::BuildArgs;
use crate::session::Session;

/// What is wrong with a Dockerfile, in the words and the JSON of `docker build --check`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checks {
    /// What BuildKit warns of, by line.
    pub warnings: Vec<Warning>,
    sources: Vec<SourceFile>,
    /// What keeps it from being built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_error: Option<Fault>,
}

/// A warning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// BuildKit's name of the check.
    pub rule_name: &'static str,
    description: &'static str,
    /// What is wrong here.
    pub detail: String,
    /// Where.
    pub location: Lines,
}

/// Why it cannot be built.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub location: Lines,
}

/// The lines of an instruction, each as a range of its own.
#[derive(Debug, Serialize)]
pub struct Lines {
    ranges: Vec<Range>,
}

#[derive(Debug, Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Position {
    line: usize,
}

#[derive(Debug, Serialize)]
struct SourceFile {
    filename: String,
    language: &'static str,
    data: String,
}

impl Lines {
    fn new(first: usize, last: usize) -> Self {
        let range = |line| Range { start: Position { line }, end: Position { line } };
        Self { ranges: (first..=last.max(first)).map(range).collect() }
    }

    /// Whether there are none: the whole of the file is meant.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The first of them.
    pub fn first(&self) -> usize {
        self.ranges.first().map_or(1, |range| range.start.line)
    }

    /// The last of them.
    pub fn last(&self) -> usize {
        self.ranges.last().map_or(1, |range| range.end.line)
    }
}

/// Which stages are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them, unless a target is named.
    All,
    /// Those that the target needs.
    Target,
}

impl Checks {
    /// Looks for what is wrong.
    pub fn of(
        args: &BuildArgs,
        request: &BuildRequest,
        session: &Session<'_>,
        scope: Scope,
    ) -> Result<Self, BuildError> {
        let source = &request.source;
        let options = options(request);
        let file = match options {
            Some(_) => &without_directive(&source.dockerfile),
            None => &source.dockerfile,
        };
        let suppressions = Suppressions::read(options.as_ref().unwrap_or(file));
        let is_wanted = |rule: &&Rule| rule.buildkit.is_some() && (rule.default || suppressions.asks_for(rule));
        let config = Config {
            select: rules::all().filter(is_wanted).map(Selector::Rule).collect(),
            build_args: request.build_args.clone(),
            ..Config::default()
        };
        let context = context(args, request)?;
        let job = Job::new(session.store()?, &session.http, &session.machine, session.ui);
        let platforms = super::platforms(args, session)?;
        let images = Images {
            bases: RefCell::new(Bases::new(&job, session.images()?.registry, request.pull && scope == Scope::All)),
            platform: platforms.first().unwrap_or(&session.platform).clone(),
            request,
            known: RefCell::default(),
        };
        let mut found = lint(file, &context, &images, &config);
        found.retain(|finding| !suppressions.covers(finding));
        if scope == Scope::Target || request.target.is_some() {
            let needed = needed(source, request, &context, &config)?;
            found.retain(|finding| is_of_file(finding.rule) || needed.iter().any(|span| span.contains(place(finding))));
        }
        let mut warnings: Vec<Warning> = found.into_iter().filter_map(|finding| warning(file, finding)).collect();
        warnings.sort_by_key(|warning| warning.location.first());
        let scripts = Scripts::default();
        let subject = Subject::new(file, &scripts, &context, &(), &config);
        let mut checks = Self { warnings, sources: vec![source_file(source)], build_error: fault(source, &subject) };
        if checks.build_error.is_none() && !checks.warnings.is_empty() && is_strict(&suppressions) {
            let message = format!("warnings are errors here, as `error=true` says: {}", checks.names().join(", "));
            checks.build_error = Some(Fault { message, location: Lines { ranges: Vec::new() } });
        }
        Ok(checks)
    }

    /// The names of the checks that found something, each once.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.warnings.iter().map(|warning| warning.rule_name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Refuses to build a file that has warnings, and asks for them to be errors.
pub fn refuse_warnings(args: &BuildArgs, request: &BuildRequest, session: &Session<'_>) -> Result<(), BuildError> {
    let options = options(request);
    let file = &request.source.dockerfile;
    if file.error().is_some() || !is_strict(&Suppressions::read(options.as_ref().unwrap_or(file))) {
        return Ok(());
    }
    match Checks::of(args, request, session, Scope::Target)? {
        Checks { warnings, build_error: Some(fault), .. } if !warnings.is_empty() && fault.location.is_empty() => {
            Err(BuildError::new(fault.message).hint("--check shows where they are"))
        }
        _ => Ok(()),
    }
}

/// The options in place of those of the file, in a file of their own.
fn options(request: &BuildRequest) -> Option<Dockerfile> {
    let value = request.build_args.get("BUILDKIT_DOCKERFILE_CHECK")?;
    Some(Dockerfile::parse(&format!("# check={value}\nFROM scratch\n")))
}

fn is_strict(suppressions: &Suppressions) -> bool {
    rules::all().any(|rule| rule.buildkit.is_some() && suppressions.is_error(rule))
}

/// The file with a `# check=` that says nothing. Everything stays in its place.
fn without_directive(file: &Dockerfile) -> Dockerfile {
    let Some(directive) = file.directive(DirectiveName::Check) else { return file.clone() };
    let mut text = file.source().to_owned();
    let span = directive.value.span();
    text.replace_range(span.range(), &"x".repeat(span.len()));
    Dockerfile::parse(&text)
}

/// The context as far as the checks look at it: its ignore file.
fn context(args: &BuildArgs, request: &BuildRequest) -> Result<Context, BuildError> {
    let file = args.dockerfile.file.as_deref().filter(|file| *file != "-");
    let rules = match Location::parse(&args.path.to_string_lossy())? {
        Location::Directory(root) => {
            let beside = file.map_or_else(|| root.join("Dockerfile"), |file| Path::new(file).to_owned());
            IgnoreRules::of_directory(&root, Some(&beside))?
        }
        _ => IgnoreRules::of_tree(&*request.context, file.unwrap_or("Dockerfile"))?,
    };
    let path = TreePath::parse(FILE).map_err(|error| BuildError::new(error.to_string()))?;
    Ok(Context::none().with((!rules.text().is_empty()).then(|| (path, rules.text().to_owned()))))
}

/// Whether a check looks at the file as a whole, needed or not.
fn is_of_file(rule: &Rule) -> bool {
    !matches!(
        rule.buildkit,
        Some(
            "CopyIgnoredFile"
                | "ExposeInvalidFormat"
                | "ExposeProtoCasing"
                | "InvalidBaseImagePlatform"
                | "JSONArgsRecommended"
                | "LegacyKeyValueFormat"
                | "MultipleInstructionsDisallowed"
                | "SecretsUsedInArgOrEnv"
                | "UndefinedVar"
                | "WorkdirRelativePath"
        )
    )
}

/// The stages that the target needs.
fn needed(
    source: &Source,
    request: &BuildRequest,
    context: &Context,
    config: &Config,
) -> Result<Vec<Span>, BuildError> {
    if source.dockerfile.stages().is_empty() {
        return Ok(Vec::new());
    }
    let target = stages::target(source, request.target.as_deref())?;
    let end = source.dockerfile.stages()[target].span.end;
    // Of a file that ends with the target, it is the last stage.
    let file = Dockerfile::parse(&source.dockerfile.source()[..end]);
    let scripts = Scripts::default();
    let subject = Subject::new(&file, &scripts, context, &(), config);
    Ok(subject.stages.iter().filter(|stage| stage.is_needed).map(|stage| stage.syntax.span).collect())
}

fn place(finding: &Finding) -> Span {
    match finding.place {
        Place::Dockerfile(span) => span,
        Place::Context { .. } => Span::default(),
    }
}

fn warning(file: &Dockerfile, finding: Finding) -> Option<Warning> {
    let span = place(&finding);
    let name = finding.rule.buildkit?;
    let location = match name {
        "NoEmptyContinuation" => Lines::new(file.position(span.start).line, 0),
        _ => lines(file, span),
    };
    // Words that stand in more than one line would break the form.
    let summary = finding.rule.summary();
    Some(Warning { rule_name: name, description: summary, detail: finding.message, location })
}

/// The lines of the instruction that a place is in.
fn lines(file: &Dockerfile, span: Span) -> Lines {
    let whole = file.instructions().iter().map(|instruction| instruction.span).find(|whole| whole.contains(span));
    let whole = whole.unwrap_or(span);
    Lines::new(file.position(whole.start).line, file.position(whole.end).line)
}

/// The first problem that keeps the file, a stage or a step of it from being built.
fn fault(source: &Source, subject: &Subject<'_>) -> Option<Fault> {
    let file = &source.dockerfile;
    let steps = || file.problems().iter().find(|problem| problem.severity > Severity::Warning);
    let Some(problem) = file.error() else {
        return subject
            .stages
            .iter()
            .find_map(|stage| no_image(file, subject, stage))
            .or_else(|| Some(problem_fault(file, steps()?)));
    };
    Some(problem_fault(file, problem))
}

/// That a stage begins with a name that is none, with the arguments that the build has.
fn no_image(file: &Dockerfile, subject: &Subject<'_>, stage: &Stage<'_>) -> Option<Fault> {
    let image = &stage.syntax.from.image;
    let expander = Expander::new(file.escape());
    let mut values = subject.config.build_args.clone();
    for instruction in file.preamble() {
        let InstructionKind::Arg(arguments) = &instruction.kind else { continue };
        for argument in arguments.iter().filter(|argument| !subject.config.build_args.contains_key(&*argument.name)) {
            if let Some(default) = &argument.default {
                values.insert(argument.name.to_string(), expander.word(default, &values).ok()?.value);
            }
        }
    }
    values.retain(|name, _| subject.globals.variable(name).is_some());
    let expansion = expander.word(image, &values).ok()?;
    let is_open = expansion.unset().any(|name| PLATFORM_ARGUMENTS.contains(&name));
    if stage.base != Base::Unknown || is_open || Reference::parse(&expansion.value).is_ok() {
        return None;
    }
    let message = format!("`{}` names no image", expansion.value);
    Some(Fault { message, location: lines(file, image.span()) })
}

fn problem_fault(file: &Dockerfile, problem: &Problem) -> Fault {
    let hint = problem.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
    Fault { message: format!("{}{hint}", problem.message()), location: lines(file, problem.span) }
}

fn source_file(source: &Source) -> SourceFile {
    let data = BASE64_STANDARD.encode(source.dockerfile.source());
    SourceFile { filename: source.name.clone(), language: "Dockerfile", data }
}

/// What base images have, from the store or their registries.
struct Images<'a> {
    bases: RefCell<Bases<'a>>,
    platform: Platform,
    request: &'a BuildRequest,
    known: RefCell<BTreeMap<(String, String), Option<ImageFacts>>>,
}

impl Images<'_> {
    fn look(&self, image: &Reference, wanted: &Platform) -> Option<ImageFacts> {
        let base = self.bases.borrow_mut().find(&image.to_string(), wanted).ok()?;
        let config = &base.image.config().config;
        let name = |pair: &String| pair.split_once('=').map_or(pair.as_str(), |(name, _)| name).to_owned();
        Some(ImageFacts {
            variables: config.env.iter().map(name).collect(),
            workdir: config.working_dir.clone(),
            has_shell: !config.shell.is_empty(),
            platform: base.image.platform().to_string(),
            wanted: wanted.to_string(),
        })
    }
}

impl Catalog for Images<'_> {
    fn digest(&self, _: &Reference) -> Option<String> {
        None
    }

    fn has_musl_wheel(&self, _: &NormalizedName, _: &str) -> Option<bool> {
        None
    }

    fn image(&self, image: &Reference, platform: Option<&str>) -> Option<ImageFacts> {
        let wanted = match platform {
            Some(text) => text.parse().ok()?,
            None => self.platform.clone(),
        };
        let replaced = [image.familiar(), image.to_string()].iter().any(|name| self.request.named.contains_key(name));
        if replaced {
            return None;
        }
        let key = (image.to_string(), wanted.to_string());
        let known = self.known.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let facts = self.look(image, &wanted);
            self.known.borrow_mut().insert(key, facts.clone());
            facts
        })
    }
}
