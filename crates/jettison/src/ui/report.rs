//! The report of a build, on stderr.

use jettison_build::images::is_reference;
use jettison_build::report::{OwnerKind, OwnerReport, Report};

use super::table::{Align, bytes, table};
use super::{Ui, escape};

/// So many owners of a kind are shown by name; the rest is summed up.
const SHOWN: usize = 12;

/// Shows what was built, by layer and by owner, and what verification did.
pub fn show_report(ui: &Ui, report: &Report) {
    layers(ui, report);
    owners_table(ui, &report.owners);
    cuts(ui, report);
    left_out(ui, report);
    start(ui, report);
    verification(ui, report);
    let smaller = 100.0 - 100.0 * report.unpacked_bytes as f64 / report.naive.unpacked_bytes.max(1) as f64;
    ui.line(&format!(
        "{}   {} compressed, {} unpacked, for {}; on {} it would be about {} unpacked (an estimate): {smaller:.0} % less",
        ui.paint("1;32", "image"),
        ui.paint("1", &bytes(report.compressed_bytes)),
        ui.paint("1", &bytes(report.unpacked_bytes)),
        escape(&report.platform),
        report.naive.base,
        bytes(report.naive.unpacked_bytes),
    ));
    for name in report.names.iter().filter(|name| is_reference(name)) {
        ui.line(&format!("{}    {}", ui.paint("1;32", "name"), escape(name)));
    }
}

fn left_out(ui: &Ui, report: &Report) {
    if report.left_out.is_empty() {
        return;
    }
    let (shown, rest) = report.left_out.split_at(report.left_out.len().min(SHOWN));
    let mut rows = vec![["LEFT OUT OF THE PROJECT", ""].map(str::to_owned).to_vec()];
    rows.extend(shown.iter().map(|left| vec![escape(&left.path), escape(&left.reason)]));
    if !rest.is_empty() {
        rows.push(vec![format!("{} more", rest.len()), String::new()]);
    }
    show(ui, &[Align::Left, Align::Left], &rows);
}

fn start(ui: &Ui, report: &Report) {
    let command = match report.command.argv.as_slice() {
        [] => "nothing".to_owned(),
        argv => format!("`{}`", escape(&argv.join(" "))),
    };
    ui.line(&format!("{}   {command} ({})", ui.paint("1;32", "start"), escape(&report.command.reason)));
}

fn layers(ui: &Ui, report: &Report) {
    let mut rows = vec![["LAYER", "UNPACKED", "COMPRESSED", ""].map(str::to_owned).to_vec()];
    for layer in &report.layers {
        let cached = if layer.cached { "cached" } else { "" };
        rows.push(vec![
            escape(&layer.created_by),
            bytes(layer.unpacked_bytes),
            bytes(layer.compressed_bytes),
            cached.to_owned(),
        ]);
    }
    show(ui, &[Align::Left, Align::Right, Align::Right, Align::Left], &rows);
}

/// Who owns the bytes, by kind.
pub(super) fn owners_table(ui: &Ui, owners: &[OwnerReport]) {
    let mut rows = vec![["OWNER", "", "UNPACKED", "COMPRESSED"].map(str::to_owned).to_vec()];
    let row = |kind: OwnerKind, name: String, owners: &[&OwnerReport]| {
        let unpacked = owners.iter().map(|owner| owner.bytes).sum();
        let compressed = owners.iter().map(|owner| owner.compressed_bytes).sum();
        vec![name, kind.as_str().to_owned(), bytes(unpacked), bytes(compressed)]
    };
    let mut kinds: Vec<OwnerKind> = owners.iter().map(|owner| owner.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let all: Vec<&OwnerReport> = owners.iter().filter(|owner| owner.kind == kind).collect();
        let (shown, rest) = all.split_at(all.len().min(SHOWN));
        for owner in shown {
            rows.push(row(kind, escape(&format!("{} {}", owner.name, owner.version)), &[owner]));
        }
        if !rest.is_empty() {
            rows.push(row(kind, format!("{} more", rest.len()), rest));
        }
    }
    show(ui, &[Align::Left, Align::Left, Align::Right, Align::Right], &rows);
}

fn cuts(ui: &Ui, report: &Report) {
    let mut by_reason: Vec<(&str, u64)> = Vec::new();
    for cut in &report.cuts {
        match by_reason.iter_mut().find(|(reason, _)| *reason == cut.reason) {
            Some((_, bytes)) => *bytes += cut.bytes,
            None => by_reason.push((&cut.reason, cut.bytes)),
        }
    }
    by_reason.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    if by_reason.is_empty() {
        return;
    }
    let mut rows = vec![vec!["LEFT OUT".to_owned(), "UNPACKED".to_owned()]];
    rows.extend(by_reason.iter().map(|(reason, cut)| vec![escape(reason), bytes(*cut)]));
    show(ui, &[Align::Left, Align::Right], &rows);
}

fn verification(ui: &Ui, report: &Report) {
    let Some(verify) = &report.verify else {
        let why = report.not_verified.as_deref().unwrap_or("--no-verify");
        ui.line(&format!("{}  not verified: {}", ui.paint("1;33", "verify"), escape(why)));
        return;
    };
    let mut said = vec![format!("{} modules imported", verify.imported.len())];
    if !verify.skipped.is_empty() {
        said.push(format!("{} not", verify.skipped.len()));
    }
    if verify.started {
        said.push(format!("`{}` started", escape(&report.command.argv.join(" "))));
    }
    if let (Some(status), Some(port)) = (verify.http_status, report.command.port) {
        let after = verify.answered_after_ms.map_or_else(String::new, |ms| format!(" after {ms} ms"));
        said.push(format!("port {port} answered {status}{after}"));
    }
    said.extend(verify.stopped.as_deref().map(escape));
    if verify.cached {
        said.push("(as verified before)".to_owned());
    }
    ui.line(&format!("{}  {}", ui.paint("1;32", "verify"), said.join(", ")));
    for skipped in &verify.skipped {
        ui.line(&format!("        {} was not imported: {}", escape(&skipped.module), escape(&skipped.reason)));
    }
}

/// A table with its first line as the head.
pub(super) fn show(ui: &Ui, aligns: &[Align], rows: &[Vec<String>]) {
    let lines = table(aligns, rows);
    for (i, line) in lines.iter().enumerate() {
        ui.line(&if i == 0 { ui.paint("2", line) } else { line.clone() });
    }
    ui.line("");
}
