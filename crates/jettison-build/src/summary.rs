//! The report of a build, put together.

use std::collections::BTreeMap;

use jettison_oci::image::Image;

use crate::build::Foundation;
use crate::image::Launch;
use crate::job::Job;
use crate::layers::MadeLayer;
use crate::part::Owner;
use crate::report::{LayerReport, LeftOut, NaiveEstimate, OwnerKind, OwnerReport, Report, StartReport, VerifyReport};

/// What the full `python` image weighs unpacked, by the article that this project grew from: 1.02 GB.
const FULL_PYTHON_BYTES: u64 = 1_020_000_000;

/// What the report is made from.
pub struct Summary<'a> {
    /// Where timings and warnings were noted.
    pub job: &'a Job<'a>,
    /// `linux/amd64`.
    pub platform: String,
    /// What the image has besides the project.
    pub foundation: &'a Foundation,
    /// How it starts.
    pub launch: &'a Launch,
    /// How that was found.
    pub reason: &'a str,
    /// What of the project was left out.
    pub left_out: &'a [LeftOut],
    /// The layers, and whether each was there before.
    pub layers: &'a [(MadeLayer, bool)],
    /// The image.
    pub image: &'a Image,
    /// What verification did, or why it did nothing.
    pub verify: Result<VerifyReport, String>,
    /// The names of the image.
    pub names: Vec<String>,
}

impl Summary<'_> {
    /// The report.
    pub fn report(self) -> Report {
        let Self { foundation, launch, layers, .. } = self;
        let (verify, not_verified) = match self.verify {
            Ok(verify) => (Some(verify), None),
            Err(why) => (None, Some(why)),
        };
        let mut owners: BTreeMap<Owner, (u64, u64)> = BTreeMap::new();
        for (layer, _) in layers {
            for ((owner, bytes), compressed) in layer.owners.iter().zip(shares(layer)) {
                let sum = owners.entry(owner.clone()).or_default();
                sum.0 += bytes;
                sum.1 += compressed;
            }
        }
        let owners = OwnerReport::largest_first(owners);
        let of = |kinds: &[OwnerKind]| -> u64 {
            owners.iter().filter(|owner| kinds.contains(&owner.kind)).map(|owner| owner.bytes).sum()
        };
        let cut_of_distributions: u64 = foundation
            .cuts
            .iter()
            .filter(|cut| foundation.modules.iter().any(|(name, _)| *name == cut.owner))
            .map(|cut| cut.bytes)
            .sum();
        // pip compiles every module, which adds about a third to a usual set of distributions.
        let distributions = of(&[OwnerKind::Distribution]);
        let (major, minor) = foundation.interpreter.minor();
        let naive = NaiveEstimate {
            base: format!("python:{major}.{minor}"),
            unpacked_bytes: FULL_PYTHON_BYTES
                + distributions
                + cut_of_distributions
                + distributions / 3
                + of(&[OwnerKind::Application]),
            estimate: true,
        };
        Report {
            digest: self.image.descriptor().digest,
            names: self.names,
            platform: self.platform,
            command: StartReport { argv: launch.argv.clone(), port: launch.port, reason: self.reason.to_owned() },
            compressed_bytes: layers.iter().map(|(layer, _)| layer.blob.compressed_bytes).sum(),
            unpacked_bytes: layers.iter().map(|(layer, _)| layer.content_bytes).sum(),
            layers: layers
                .iter()
                .map(|(layer, cached)| LayerReport {
                    digest: layer.blob.digest,
                    diff_id: layer.blob.diff_id.tar_digest(),
                    compressed_bytes: layer.blob.compressed_bytes,
                    unpacked_bytes: layer.content_bytes,
                    tar_bytes: layer.blob.unpacked_bytes,
                    created_by: layer.created_by.clone(),
                    cached: *cached,
                })
                .collect(),
            owners,
            cuts: foundation.cuts.clone(),
            left_out: self.left_out.to_vec(),
            naive,
            verify,
            not_verified,
            warnings: self.job.warnings(),
            timings: self.job.timings(),
        }
    }
}

/// What of a layer's blob belongs to each of its owners, by their bytes; the sum is that of the blob.
fn shares(layer: &MadeLayer) -> Vec<u64> {
    let total: u64 = layer.owners.iter().map(|(_, bytes)| bytes).sum();
    let mut left = layer.blob.compressed_bytes;
    let mut left_bytes = total;
    let share = |(_, bytes): &(Owner, u64)| {
        let share =
            if left_bytes == 0 { 0 } else { (u128::from(left) * u128::from(*bytes) / u128::from(left_bytes)) as u64 };
        left -= share;
        left_bytes -= bytes;
        share
    };
    layer.owners.iter().map(share).collect()
}
