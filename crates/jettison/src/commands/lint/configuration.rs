//! Which settings count for a Dockerfile: those of the nearest directory that has some, from its own upwards, under the flags.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jettison_build::{BuildError, Context as _};
use jettison_lint::settings::{Home, hadolint};
use jettison_lint::{Config, FailOn, Selector, Settings};

use super::{LintArgs, selectors};

/// The files with settings, in the order in which they count within a directory.
const FILES: &[&str] = &["jettison.toml", "pyproject.toml", ".hadolint.yaml", ".hadolint.yml"];

/// The settings of this run, read as far as they were needed.
pub struct Configuration {
    flags: Flags,
    /// The one file that the command line names, or none at all.
    fixed: Option<Found>,
    by_directory: BTreeMap<PathBuf, Option<usize>>,
    found: Vec<Found>,
}

struct Flags {
    select: Vec<Selector>,
    extend: Vec<Selector>,
    ignore: Vec<Selector>,
    registries: Vec<String>,
}

/// Settings, and where they stand.
struct Found {
    settings: Settings,
    directory: PathBuf,
}

impl Configuration {
    /// Reads what the command line says.
    pub fn new(args: &LintArgs) -> Result<Self, BuildError> {
        let flags = Flags {
            select: selectors(&args.select)?,
            extend: selectors(&args.extend_select)?,
            ignore: selectors(&args.ignore)?,
            registries: args.trusted_registry.clone(),
        };
        let fixed = match &args.config {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(BuildError::from).context(path.display())?;
                let settings = parse(path, &text)?.ok_or_else(|| {
                    BuildError::new(format!("{}: there are no settings for lint in it", path.display()))
                        .hint("they stand in [tool.jettison.lint] of pyproject.toml, or in [lint] of jettison.toml")
                })?;
                let parent = path.parent().unwrap_or(Path::new("")).to_owned();
                Some(Found { settings, directory: absolute(&parent)? })
            }
            None if args.no_config => {
                Some(Found { settings: Settings::default(), directory: absolute(Path::new(""))? })
            }
            None => None,
        };
        let mut configuration = Self { flags, fixed, by_directory: BTreeMap::new(), found: Vec::new() };
        if let Some(found) = &mut configuration.fixed {
            configuration.flags.lay_on(&mut found.settings);
        }
        Ok(configuration)
    }

    /// The configuration of the Dockerfile at `path`.
    pub fn for_file(&mut self, path: &Path) -> Result<Config, BuildError> {
        let path = absolute(path)?;
        let found = match &self.fixed {
            Some(found) => found,
            None => {
                let at = self.nearest(path.parent().unwrap_or(Path::new("/")))?;
                match at.and_then(|at| self.found.get(at)) {
                    Some(found) => found,
                    None => {
                        let mut settings = Settings::default();
                        self.flags.lay_on(&mut settings);
                        return Ok(settings.config);
                    }
                }
            }
        };
        let relative = path.strip_prefix(&found.directory).unwrap_or(&path);
        Ok(found.settings.for_file(&relative.to_string_lossy()))
    }

    /// The first severity that is a failure, as the settings that were read say; the strictest of several.
    pub fn fail_on(&self) -> Option<FailOn> {
        let strictness = |fail_on: &FailOn| match fail_on {
            FailOn::At(severity) => Some(std::cmp::Reverse(*severity)),
            FailOn::Never => None,
        };
        self.all().filter_map(|found| found.settings.fail_on).max_by_key(strictness)
    }

    /// The baseline that the settings name.
    pub fn baseline(&self) -> Option<PathBuf> {
        self.all().find_map(|found| Some(found.directory.join(found.settings.baseline.as_ref()?)))
    }

    fn all(&self) -> impl Iterator<Item = &Found> {
        self.fixed.iter().chain(&self.found)
    }

    /// The settings of the nearest directory that has some, as an index into `found`.
    fn nearest(&mut self, directory: &Path) -> Result<Option<usize>, BuildError> {
        if let Some(&at) = self.by_directory.get(directory) {
            return Ok(at);
        }
        let at = match read(directory)? {
            Some(mut settings) => {
                self.flags.lay_on(&mut settings);
                self.found.push(Found { settings, directory: directory.to_owned() });
                Some(self.found.len() - 1)
            }
            // What lies above a repository is not the project's.
            None if directory.join(".git").exists() => None,
            None => match directory.parent() {
                Some(parent) => self.nearest(parent)?,
                None => None,
            },
        };
        self.by_directory.insert(directory.to_owned(), at);
        Ok(at)
    }
}

impl Flags {
    fn lay_on(&self, settings: &mut Settings) {
        settings.select(&self.select, &self.extend, &self.ignore);
        settings.config.trusted_registries.extend(self.registries.iter().cloned());
    }
}

/// The settings of a directory. Two files of ours at once are an error; hadolint's counts only where there is none of ours.
fn read(directory: &Path) -> Result<Option<Settings>, BuildError> {
    let mut found: Option<(&str, Settings)> = None;
    for name in FILES {
        let path = directory.join(name);
        let is_ours = name.ends_with(".toml");
        if found.is_some() && !is_ours {
            break;
        }
        // A file that cannot be read, such as in a directory that is not the user's, has nothing to say.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Some(settings) = parse(&path, &text)? else { continue };
        if let Some((other, _)) = found {
            let here = directory.display();
            return Err(BuildError::new(format!(
                "settings for lint stand both in `{other}` and in `{name}` of `{here}`"
            ))
            .hint("keep one of them"));
        }
        found = Some((name, settings));
    }
    Ok(found.map(|(_, settings)| settings))
}

/// The settings in a file; `None` if it has none.
fn parse(path: &Path, text: &str) -> Result<Option<Settings>, BuildError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let read = match &*name {
        "pyproject.toml" => Settings::from_toml(text, Home::Pyproject),
        name if name.ends_with(".yaml") || name.ends_with(".yml") => hadolint::parse(text).map(Some),
        _ => Settings::from_toml(text, Home::Jettison),
    };
    read.map_err(|error| BuildError::with_hint(format!("{}:{error}", path.display()), error.hint()))
}

fn absolute(path: &Path) -> Result<PathBuf, BuildError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = std::path::absolute(path).map_err(BuildError::from).context(path.display())?;
    // `..` would hide from settings above.
    Ok(match (absolute.canonicalize(), absolute.parent().map(Path::canonicalize), absolute.file_name()) {
        (Ok(directory), _, _) if directory.is_dir() => directory,
        (_, Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => absolute,
    })
}
