//! What a build of a Dockerfile says about its image: the one object that `--json` prints and the terminal shows.

use std::collections::BTreeMap;

use jettison_engine::graph::StageGraph;
use jettison_engine::store::Store;
use jettison_oci::image::Image;
use jettison_tree::Digest;
use serde::Serialize;

use super::explain::Explanation;
use super::facts::{Excess, Facts};
use super::lower::StepNote;
use super::record::Fate;
use super::stack::Made;
use super::stage::StageState;
use super::steps::export::Exported;
use crate::error::BuildError;
use crate::part::Owner;
use crate::report::{LayerReport, OwnerKind, OwnerReport, StartReport, Timing};

/// The result of a build. Sizes are bytes; the names of the fields are those of the native build's report where it has them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `dockerfile`.
    pub frontend: &'static str,
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// Names under which the store keeps it.
    pub names: Vec<String>,
    /// `linux/amd64`.
    pub platform: String,
    /// What a container of it runs.
    pub command: StartReport,
    /// Sum of the layers as a registry keeps them.
    pub compressed_bytes: u64,
    /// Sum of the contents of all files of all layers.
    pub unpacked_bytes: u64,
    /// The layers, the lowest first.
    pub layers: Vec<LayerReport>,
    /// Who owns the bytes, the largest first. The sums equal those of the layers: what a later layer replaces or removes is counted too,
    /// as it is still a part of the image.
    pub owners: Vec<OwnerReport>,
    /// The stages that were needed, in order.
    pub stages: Vec<StageReport>,
    /// The steps, in order.
    pub steps: Vec<StepReport>,
    /// What an image of the native build would not have, the largest first.
    pub excess: Vec<ExcessReport>,
    /// Why each step ran, where that was asked.
    pub explanation: Option<Vec<Explanation>>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What each stop took.
    pub timings: Vec<Timing>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// Its name, or its number.
    pub name: String,
    /// Bytes of the files that its steps made; nothing where nobody looked, since all on top of it was known.
    pub made_bytes: Option<u64>,
    /// Whether its layers are in the image. Others are left behind, but for what is copied out of them.
    pub kept: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// What it did.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Whether its result was known.
    pub cached: bool,
    /// Milliseconds that it ran.
    pub ms: f64,
    /// Bytes of the files in its layer; nothing where nobody looked.
    pub bytes: Option<u64>,
}

/// One kind of files that an image could do without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExcessReport {
    /// Which.
    pub kind: Excess,
    /// What people call it.
    pub what: &'static str,
    /// Their bytes.
    pub bytes: u64,
    /// How many there are.
    pub files: u64,
}

/// What the report is made from.
pub struct Summary<'a> {
    /// The store.
    pub store: &'a Store,
    /// The image.
    pub image: &'a Image,
    /// The stage it is of.
    pub target: &'a StageState,
    /// The layers of its steps, and whether each was packed before.
    pub layers: &'a [(Exported, bool)],
    /// What the layers below have, the lowest first.
    pub below: &'a [Facts],
    /// The graph.
    pub graph: &'a StageGraph,
    /// Its steps.
    pub notes: &'a [StepNote],
    /// What became of them.
    pub fate: &'a dyn Fn(&StepNote) -> Option<Fate>,
    /// The names of the image.
    pub names: &'a [String],
    /// Why steps ran.
    pub explanation: Option<Vec<Explanation>>,
    /// What was warned of.
    pub warnings: Vec<String>,
    /// What took how long.
    pub timings: Vec<Timing>,
}

impl Summary<'_> {
    /// The report.
    pub fn report(self) -> Result<Report, BuildError> {
        let mut layers = Vec::new();
        let mut owners: BTreeMap<Owner, (u64, u64)> = BTreeMap::new();
        let mut excess: BTreeMap<Excess, (u64, u64)> = BTreeMap::new();
        let mut made = self.layers.iter().map(|(layer, cached)| (layer, *cached));
        let base = self.target.base.as_ref();
        let below = base.map_or(0, |base| base.image.manifest().layers.len());
        let base_name = base.map(|base| base.name.clone()).unwrap_or_default();
        let none = Facts::default();
        for layer in self.image.layers() {
            let created_by = layer.history.and_then(|step| step.created_by.clone()).unwrap_or_default();
            let own = if layer.index < below { None } else { made.next() };
            let facts = own.map_or_else(|| self.below.get(layer.index).unwrap_or(&none), |(own, _)| &own.facts);
            let rest = match own {
                None => Owner { kind: OwnerKind::Base, name: base_name.clone(), version: String::new() },
                Some(_) => Owner { kind: OwnerKind::Application, name: short(&created_by), version: String::new() },
            };
            let mut left = (facts.bytes, layer.descriptor.size);
            for (owner, bytes) in facts.owners.iter().map(|(owner, bytes)| (owner.clone(), *bytes)) {
                let compressed = share(layer.descriptor.size, bytes, facts.bytes);
                let sum = owners.entry(owner).or_default();
                *sum = (sum.0 + bytes, sum.1 + compressed);
                left = (left.0.saturating_sub(bytes), left.1.saturating_sub(compressed));
            }
            let sum = owners.entry(rest).or_default();
            *sum = (sum.0 + left.0, sum.1 + left.1);
            for (kind, (bytes, files)) in &facts.excess {
                let sum = excess.entry(*kind).or_default();
                *sum = (sum.0 + bytes, sum.1 + files);
            }
            layers.push(LayerReport {
                digest: layer.descriptor.digest,
                diff_id: layer.diff_id.tar_digest(),
                compressed_bytes: layer.descriptor.size,
                unpacked_bytes: facts.bytes,
                tar_bytes: own.map_or(0, |(own, _)| own.blob.unpacked_bytes),
                created_by,
                cached: own.is_none_or(|(_, cached)| cached),
            });
        }
        owners.retain(|_, (bytes, compressed)| *bytes + *compressed > 0);
        let mut excess: Vec<ExcessReport> = excess
            .into_iter()
            .map(|(kind, (bytes, files))| ExcessReport { kind, what: kind.as_str(), bytes, files })
            .collect();
        excess.sort_by_key(|excess| std::cmp::Reverse(excess.bytes));
        let steps = self.steps()?;
        let config = &self.image.config().config;
        let port = config.exposed_ports.iter().find_map(|port| port.split('/').next()?.parse().ok());
        Ok(Report {
            frontend: "dockerfile",
            digest: self.image.descriptor().digest,
            names: self.names.to_vec(),
            platform: self.image.platform().to_string(),
            command: StartReport { argv: config.command(), port, reason: "as the Dockerfile says".to_owned() },
            compressed_bytes: layers.iter().map(|layer| layer.compressed_bytes).sum(),
            unpacked_bytes: layers.iter().map(|layer| layer.unpacked_bytes).sum(),
            layers,
            owners: OwnerReport::largest_first(owners),
            stages: self.stages(&steps),
            steps,
            excess,
            explanation: self.explanation,
            warnings: self.warnings,
            timings: self.timings,
        })
    }

    fn steps(&self) -> Result<Vec<StepReport>, BuildError> {
        let mut steps = Vec::new();
        for note in self.notes {
            let (cached, ms) = match (self.fate)(note) {
                Some(Fate::Ran(took)) => (false, (took.as_secs_f64() * 10_000.0).round() / 10.0),
                Some(Fate::Cached) | None => (true, 0.0),
            };
            let made = match self.graph.known(self.store, note.id)? {
                Some(output) => output.get::<Made>().ok(),
                None => None,
            };
            let bytes = made.filter(|_| note.keyword != "FROM").map(|made| made.bytes);
            steps.push(StepReport { name: note.name.clone(), stage: note.stage.clone(), cached, ms, bytes });
        }
        Ok(steps)
    }

    fn stages(&self, steps: &[StepReport]) -> Vec<StageReport> {
        let kept: Vec<&str> = (self.target.history.iter().filter_map(|event| event.step))
            .filter_map(|step| self.notes.iter().find(|note| note.id == step))
            .map(|note| note.stage.as_str())
            .collect();
        let mut stages: Vec<StageReport> = Vec::new();
        for (step, note) in steps.iter().zip(self.notes) {
            let bytes = if note.keyword == "FROM" { Some(0) } else { step.bytes };
            match stages.iter_mut().find(|stage| stage.name == step.stage) {
                Some(stage) => stage.made_bytes = stage.made_bytes.zip(bytes).map(|(sum, bytes)| sum + bytes),
                None => {
                    let kept = kept.contains(&step.stage.as_str());
                    stages.push(StageReport { name: step.stage.clone(), made_bytes: bytes, kept });
                }
            }
        }
        stages
    }
}

/// A part of a layer's blob, by its bytes.
fn share(compressed: u64, bytes: u64, total: u64) -> u64 {
    if total == 0 { 0 } else { (u128::from(compressed) * u128::from(bytes) / u128::from(total)) as u64 }
}

/// What made a layer, in a few words.
fn short(created_by: &str) -> String {
    let text = created_by.trim_end_matches(" # buildkit");
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
