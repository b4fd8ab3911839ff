//! What lies below a project's own files, kept from build to build: as long as nothing that it depends on changes, a build looks it up
//! and makes one layer.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jettison_engine::CacheKey;
use jettison_python::project::{DependencySource, Project};
use jettison_python::requirements::Requirements;
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use super::Flow;
use crate::application::{self, Application};
use crate::base::{self, BaseImage};
use crate::error::BuildError;
use crate::interpreter::Interpreter;
use crate::layers::MadeLayer;
use crate::lockfile::LOCK_NAME;
use crate::report::CutReport;
use crate::resolve;
use crate::settings::Settings;

/// Everything of an image but the project: it stays the same when only the project's own files change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Foundation {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The image below all layers.
    pub base: Option<BaseImage>,
    /// The layers below the project's.
    pub layers: Vec<MadeLayer>,
    /// Distributions with their importable modules.
    pub modules: Vec<(String, Vec<String>)>,
    /// What was left out.
    pub cuts: Vec<CutReport>,
}

/// A foundation, and of what of the project it was made; kept from build to build.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) foundation: Foundation,
    pub(super) needs: Needs,
    pub(super) warnings: Vec<String>,
}

/// What a foundation depends on of the project's own files.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Needs {
    sonames: Vec<String>,
    named: BTreeSet<String>,
    objects: Vec<String>,
    imports: BTreeSet<String>,
}

impl Needs {
    pub(super) fn of(application: &Application) -> Self {
        Self {
            sonames: application.findings.sonames.clone(),
            named: application.findings.named.clone(),
            objects: application.objects.iter().map(|object| format!("{object:?}")).collect(),
            imports: application.findings.imports.clone(),
        }
    }

    /// Whether what was made for these needs does for others: fewer imports change nothing.
    pub(super) fn answer(&self, now: &Self) -> bool {
        let same = (&self.sonames, &self.named, &self.objects) == (&now.sonames, &now.named, &now.objects);
        same && now.imports.is_subset(&self.imports)
    }
}

impl Flow<'_> {
    /// What a foundation depends on besides the project's own files: the files that say which dependencies there are, as they
    /// are spelled, the settings, and where things come from. `None` where a dependency lies on this machine outside of any file.
    pub(super) fn foundation_key(&self, project: &Project) -> Result<Option<CacheKey>, BuildError> {
        if !application::is_plain(project) {
            return Ok(None);
        }
        let (request, machine) = (self.request, self.job.machine);
        let settings = Settings {
            command: None,
            port: None,
            env: None,
            labels: None,
            tag: None,
            include: None,
            exclude: None,
            ..request.settings.clone()
        };
        let mut key = CacheKey::builder("foundation/3")
            .field("platform", self.platform.to_string())
            .field("machine", &machine.machine)
            .number("epoch", self.epoch())
            .field("settings", format!("{settings:?}"))
            // Without it a profile may be taken again.
            .field("locked", request.locked.to_string())
            .field("indexes", format!("{:?}", (&request.index_url, &request.extra_index_urls, &request.find_links)));
        if let Some(digest) = base::Source::of(&request.settings, &request.root)?.local_digest()? {
            key = key.digest("base", digest);
        }
        let mut files: BTreeSet<PathBuf> =
            [LOCK_NAME, resolve::PYLOCK].iter().map(|name| request.root.join(name)).collect();
        files.extend(project.looked_at.iter().map(|looked| request.root.join(&looked.path)));
        if let DependencySource::Lock(_, path) = &project.dependency_source {
            files.insert(path.clone());
        }
        for source in [&project.dependency_source, &project.declared_source] {
            if let DependencySource::Requirements(names) = source {
                let variable = |name: &str| machine.vars.get(name).cloned();
                let requirements = Requirements::read(&project.root, names, &variable)?;
                files.extend(requirements.files.iter().map(|file| request.root.join(file)));
            }
        }
        for file in files {
            match std::fs::read(&file) {
                // What a file points to can change without any of these files.
                Ok(bytes) if points_elsewhere(&bytes) => return Ok(None),
                Ok(bytes) => {
                    let name = file.strip_prefix(&request.root).unwrap_or(&file);
                    key = key.field("file", name.as_os_str().as_encoded_bytes()).digest("content", Digest::of(&bytes));
                }
                Err(_) => {}
            }
        }
        Ok(Some(key.finish()))
    }
}

/// Whether a lock or requirements file names a directory of this machine as a distribution, or a variable.
fn points_elsewhere(text: &[u8]) -> bool {
    let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    has("directory = {")
        || has("[packages.directory]")
        || has("editable = ")
        || has("file://")
        || has("\n-e ")
        || has("./")
        || has("${")
}
