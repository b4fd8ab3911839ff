//! Who answers what rules want to know of the world: registries, package indices, ShellCheck.

use jettison_build::BuildError;
use jettison_build::index::Indexes;
use jettison_build::lookup::Lookup;
use jettison_lint::{Catalog, ShellcheckNote, ShellcheckScript};
use jettison_oci::reference::Reference;
use jettison_python::NormalizedName;

use super::LintArgs;
use super::shellcheck::Shellcheck;
use crate::cli::Global;
use crate::environment;
use crate::session::Session;
use crate::ui::Ui;

/// Those who can be asked.
pub struct Answers {
    lookup: Option<Lookup>,
    shellcheck: Option<Shellcheck>,
}

impl Answers {
    /// ShellCheck if it is installed. Registries and indices if `online`, as the machine is configured to: with its mirrors, credentials
    /// and certificates, and the index of uv and pip.
    pub fn new(args: &LintArgs, online: bool, global: &Global, ui: &Ui) -> Result<Self, BuildError> {
        let shellcheck = match args.no_shellcheck {
            true => None,
            false => Shellcheck::find(args.shellcheck.as_deref(), environment::search_path().as_deref())?,
        };
        let lookup = match online {
            true => {
                let session = Session::new(global, ui)?;
                let indexes = Indexes::new(&session.machine, None, Vec::new(), Vec::new());
                Some(Lookup::new(session.http.clone(), session.registry().clone(), &indexes))
            }
            false => None,
        };
        Ok(Self { lookup, shellcheck })
    }

    /// What got no answer, and why.
    pub fn failures(&self) -> Vec<(String, String)> {
        self.lookup.as_ref().map(Lookup::failures).unwrap_or_default()
    }
}

impl Catalog for Answers {
    fn digest(&self, image: &Reference) -> Option<String> {
        Some(self.lookup.as_ref()?.digest(image)?.to_string())
    }

    fn has_musl_wheel(&self, name: &NormalizedName, version: &str) -> Option<bool> {
        self.lookup.as_ref()?.has_musl_wheel(name, version)
    }

    fn shellcheck(&self, scripts: &[ShellcheckScript<'_>]) -> Option<Vec<Vec<ShellcheckNote>>> {
        self.shellcheck.as_ref()?.check(scripts)
    }
}
