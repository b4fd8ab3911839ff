//! The step that builds a wheel: a process in the sandbox, with the packages of the builder over the base, the build environment and the
//! source mounted, and no network.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::store::Ref;
use jettison_tree::Digest;
use serde::Deserialize;
use serde_json::json;

use super::history;
use super::room::Packages;
use super::source::{BuildSystem, Source};
use crate::base::Roots;
use crate::error::BuildError;
use crate::part::Part;
use crate::rootfs;
use crate::tool::{Tool, bind};
use crate::unpack::WheelFile;

const SCRIPT: &str = include_str!("../scripts/backend.py");
/// How much of a compiler's output an error shows. Lines.
const SHOWN: usize = 30;

/// Builds a wheel. Its inputs are the directories of `packages`, then the fragments of the build environment.
pub(super) struct BuildWheel {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) system: BuildSystem,
    /// What the backend is told besides.
    pub(super) variables: BTreeMap<String, String>,
    /// Whether the backend is asked what else it needs. That changes nothing of a wheel that is built, only whether one is.
    pub(super) ask: bool,
    /// The packages of the builder, the lowest first.
    pub(super) packages: Vec<Packages>,
    /// What tells the base from others.
    pub(super) base: Digest,
    /// The base, unpacked.
    pub(super) root: Roots,
    /// The interpreter, as a path in the base.
    pub(super) python: String,
    pub(super) epoch: u64,
}

impl Operation for BuildWheel {
    /// The source, the base, the backend, what it is told, and the time. The builder's packages and the environment are inputs.
    fn key(&self) -> CacheKey {
        let mut key = CacheKey::builder("build-wheel/2")
            .digest("source", self.source.digest())
            .digest("base", self.base)
            .field("backend", &self.system.backend)
            .number("epoch", self.epoch);
        for path in &self.system.backend_path {
            key = key.field("backend-path", path);
        }
        for (name, value) in &self.variables {
            key = key.field("variable", name).field("value", value);
        }
        key.finish()
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let mut root = self.root.clone();
        for packages in &self.packages {
            root = root.under(packages.unpack(context.store())?);
        }
        let environment = inputs.iter().skip(self.packages.len());
        let parts = environment.map(|input| Ok(Part::open(context.store(), input.get()?)?));
        let parts = parts.collect::<Result<Vec<_>, BoxError>>()?;
        let environment = rootfs::of_parts(context.store(), &parts, &[])?;
        let file = self.build(context, root, &environment.path)?;
        let digest = file.digest;
        Ok(Output::new(&file)?.with(Ref::Blob(digest)))
    }
}

/// What the script leaves.
#[derive(Deserialize)]
struct Answer {
    /// All that the backend asks for, where that is more than it was given.
    requires: Option<Vec<String>>,
}

impl BuildWheel {
    fn build(&self, context: &Context<'_>, root: Roots, environment: &Path) -> Result<WheelFile, BoxError> {
        let store = context.store();
        let scratch = store.scratch()?;
        let at = |name: &str| -> Result<PathBuf, BuildError> {
            let path = scratch.path().join(name);
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        let (tree, out, control, asking) = (at("source")?, at("out")?, at("control")?, at("asking")?);
        let unpacked = self.source.unpack(store, &tree)?;
        let inside = Path::new("/build/source").join(unpacked.strip_prefix(&tree).unwrap_or(Path::new("")));
        fs::write(control.join("backend.py"), SCRIPT)?;
        let call = json!({
            "backend": self.system.backend,
            "backend_path": self.system.backend_path,
            "requires": self.ask.then_some(&self.system.requires),
            "environment": "/build/environment/site",
            "source": inside,
            "asking": "/build/asking",
            "wheels": "/build/out",
            "result": "/build/out/.result.json",
        });
        fs::write(control.join("call.json"), serde_json::to_vec(&call)?)?;
        let epoch = self.epoch.to_string();
        let fixed = [
            ("HOME", "/tmp"),
            ("PATH", "/build/environment/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            ("PYTHONPATH", "/build/environment/site"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONHASHSEED", "0"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("SOURCE_DATE_EPOCH", &epoch),
            // The symbols would be stripped anyway.
            ("CFLAGS", "-g0"),
            ("CXXFLAGS", "-g0"),
        ];
        let mut env = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        env.extend(self.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut mounts = vec![
            bind(&tree, "/build/source", false),
            bind(environment, "/build/environment", true),
            bind(&out, "/build/out", false),
            bind(&control, "/build/control", true),
            bind(&asking, "/build/asking", false),
        ];
        if self.source.has_history() {
            let configuration = control.join("gitconfig");
            fs::write(&configuration, history::CONFIGURATION)?;
            mounts.push(bind(configuration, "/etc/gitconfig", true));
        }
        let tool = Tool {
            lower: root.paths.clone(),
            upper: None,
            argv: [&self.python, "/build/control/backend.py", "/build/control/call.json"].map(str::to_owned).to_vec(),
            env,
            cwd: inside,
            mounts,
            network: false,
            quiet: false,
        };
        let done = tool.run(|line| context.log(line))?;
        if !done.status.success() {
            return Err(Box::new(BuildFault::Failed { name: self.name.clone(), output: done.output }));
        }
        let answer: Answer = serde_json::from_slice(&fs::read(out.join(".result.json"))?)?;
        if let Some(requires) = answer.requires {
            return Err(Box::new(BuildFault::Asks { name: self.name.clone(), requires }));
        }
        for entry in fs::read_dir(&out)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "whl")
                && let Some(filename) = path.file_name().and_then(|name| name.to_str())
            {
                let (digest, _) = store.put(fs::File::open(&path)?, None)?;
                return Ok(WheelFile { filename: filename.to_owned(), digest });
            }
        }
        Err(format!("the backend of {} says that it built a wheel, and there is none", self.name).into())
    }
}

/// There is no wheel yet, and another try with more may make one.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildFault {
    /// The backend failed.
    #[error("{name} cannot be built from source:\n{}", last_lines(output))]
    Failed {
        /// The distribution.
        name: String,
        /// What was written.
        output: String,
    },
    /// The backend asks for more than its `pyproject.toml` says.
    #[error("building {name} needs {}", requires.join(", "))]
    Asks {
        /// The distribution.
        name: String,
        /// All that it asks for.
        requires: Vec<String>,
    },
}

impl BuildFault {
    /// The distribution.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Failed { name, .. } | Self::Asks { name, .. } => name,
        }
    }
}

impl From<BuildFault> for BuildError {
    fn from(fault: BuildFault) -> Self {
        let error = Self::new(fault.to_string());
        match fault {
            BuildFault::Failed { name, .. } => error.hint(format!(
                "name the Debian packages that it needs: [tool.jettison.build-packages] {name} = [\"libfoo-dev\"]"
            )),
            BuildFault::Asks { .. } => error,
        }
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
