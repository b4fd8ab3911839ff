//! Answers from registries and package indices, for rules whose fixes need to know.

use jettison_build::BuildError;
use jettison_build::index::Indexes;
use jettison_build::lookup::Lookup;
use jettison_lint::Catalog;
use jettison_oci::reference::Reference;
use jettison_python::NormalizedName;

use crate::cli::Global;
use crate::session::Session;
use crate::ui::Ui;

/// A catalog that asks.
pub struct Online(Lookup);

impl Online {
    /// Asks as the machine is configured to: its mirrors, credentials, certificates, and the index of uv and pip.
    pub fn new(global: &Global, ui: &Ui) -> Result<Self, BuildError> {
        let session = Session::new(global, ui)?;
        let indexes = Indexes::new(&session.machine, None, Vec::new(), Vec::new());
        Ok(Self(Lookup::new(session.http.clone(), session.registry().clone(), &indexes)))
    }
}

impl Catalog for Online {
    fn digest(&self, image: &Reference) -> Option<String> {
        self.0.digest(image).map(|digest| digest.to_string())
    }

    fn has_musl_wheel(&self, name: &NormalizedName, version: &str) -> Option<bool> {
        self.0.has_musl_wheel(name, version)
    }
}
