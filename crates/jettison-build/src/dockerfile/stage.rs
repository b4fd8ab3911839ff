//! A stage while it is lowered: its config, its variables, its history, and the step that has its files so far.

use std::path::{Component, Path};

use jettison_engine::graph::StepId;
use jettison_oci::types::{ContainerConfig, Platform};

use super::bases::Base;
use super::scope::Scope;

/// Where programs are looked for when an image does not say (BuildKit's default for Linux).
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage, as far as its instructions have been followed.
#[derive(Debug, Clone)]
pub struct StageState {
    /// The image below; none for `scratch`.
    pub base: Option<Base>,
    /// What it is for.
    pub platform: Platform,
    /// The step with the files of the image below.
    pub begun: StepId,
    /// The step with its files.
    pub files: StepId,
    /// How its image starts.
    pub config: ContainerConfig,
    /// `MAINTAINER`.
    pub author: Option<String>,
    /// What happened, on top of the image below.
    pub history: Vec<Event>,
    /// The variables that words and programs see.
    pub scope: Scope,
    /// `ARG`, in order.
    pub arguments: Vec<(String, Option<String>)>,
    /// Whether `CMD` was given in this stage: a later `ENTRYPOINT` then leaves it.
    pub has_cmd: bool,
    /// How many of its instructions work on files, and how many have been seen.
    pub progress: (usize, usize),
}

/// One step of an image's history.
#[derive(Debug, Clone)]
pub struct Event {
    /// What the history says.
    pub created_by: String,
    /// The step that may have added a layer.
    pub step: Option<StepId>,
    /// The author then.
    pub author: Option<String>,
}

impl StageState {
    /// A stage with this image, or nothing, below.
    pub fn new(base: Option<Base>, platform: Platform, files: StepId) -> Self {
        let mut config = match &base {
            Some(base) => base.image.config().config.clone(),
            None => ContainerConfig { working_dir: "/".to_owned(), ..ContainerConfig::default() },
        };
        if config.env_value("PATH").is_none() {
            config.set_env("PATH", PATH);
        }
        let mut scope = Scope::default();
        for (name, value) in config.env.iter().filter_map(|pair| pair.split_once('=')) {
            scope.set(name, value);
        }
        let author = base.as_ref().and_then(|base| base.image.config().author.clone());
        Self {
            base,
            platform,
            begun: files,
            files,
            config,
            author,
            history: Vec::new(),
            scope,
            arguments: Vec::new(),
            has_cmd: false,
            progress: (0, 0),
        }
    }

    /// A stage on top of this one.
    pub fn on_top(&self) -> Self {
        Self { has_cmd: false, progress: (0, 0), ..self.clone() }
    }

    /// Notes an instruction that changed no files.
    pub fn note(&mut self, created_by: impl Into<String>) {
        self.history.push(Event { created_by: created_by.into(), step: None, author: self.author.clone() });
    }

    /// Notes an instruction whose files are those of `step`.
    pub fn made(&mut self, created_by: impl Into<String>, step: StepId) {
        self.files = step;
        self.history.push(Event { created_by: created_by.into(), step: Some(step), author: self.author.clone() });
    }

    /// The working directory, an absolute path.
    pub fn workdir(&self) -> &str {
        if self.config.working_dir.is_empty() { "/" } else { &self.config.working_dir }
    }

    /// A path in the stage as an absolute one without `.` and `..`: a relative one is below the working directory.
    pub fn absolute(&self, path: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        for component in Path::new(self.workdir()).join(path).components() {
            match component {
                Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
                Component::ParentDir => drop(parts.pop()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        format!("/{}", parts.join("/"))
    }

    /// The program and arguments of a shell form.
    pub fn in_shell(&self, command: &str) -> Vec<String> {
        let default = || ["/bin/sh", "-c"].map(str::to_owned).to_vec();
        let mut argv = if self.config.shell.is_empty() { default() } else { self.config.shell.clone() };
        argv.push(command.to_owned());
        argv
    }
}
