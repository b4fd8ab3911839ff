//! The report of a Dockerfile's build, on stderr: what each stage made, what was left behind, what the image holds, and what of it a
//! native build would not have.

use jettison_build::dockerfile::explain::Explanation;
use jettison_build::dockerfile::outline::{Outline, Target};
use jettison_build::dockerfile::report::Report;
use jettison_build::images::is_reference;

use super::report::{owners_table, show};
use super::table::{Align, bytes};
use super::{Ui, escape};

/// Shows what was built.
pub fn show_dockerfile_report(ui: &Ui, report: &Report) {
    steps(ui, report);
    layers(ui, report);
    owners_table(ui, &report.owners);
    excess(ui, report);
    if let Some(explanation) = &report.explanation {
        explain(ui, explanation);
    }
    let command = match report.command.argv.as_slice() {
        [] => "nothing".to_owned(),
        argv => format!("`{}`", escape(&argv.join(" "))),
    };
    ui.line(&format!("{}   {command}", ui.paint("1;32", "start")));
    ui.line(&format!(
        "{}   {} compressed, {} unpacked, for {}",
        ui.paint("1;32", "image"),
        ui.paint("1", &bytes(report.compressed_bytes)),
        ui.paint("1", &bytes(report.unpacked_bytes)),
        escape(&report.platform),
    ));
    for name in report.names.iter().filter(|name| is_reference(name)) {
        ui.line(&format!("{}    {}", ui.paint("1;32", "name"), escape(name)));
    }
}

fn steps(ui: &Ui, report: &Report) {
    let mut rows = vec![["STEP", "MADE", "", ""].map(str::to_owned).to_vec()];
    for step in &report.steps {
        let took = if step.cached { "cached".to_owned() } else { format!("{:.1} s", step.ms / 1000.0) };
        rows.push(vec![shortened(&step.name), step.bytes.map(bytes).unwrap_or_default(), took, String::new()]);
    }
    for stage in &report.stages {
        let fate = if stage.kept { "in the image" } else { "left behind" };
        rows.push(vec![
            format!("stage {}", escape(&stage.name)),
            stage.made_bytes.map(bytes).unwrap_or_default(),
            String::new(),
            fate.to_owned(),
        ]);
    }
    show(ui, &[Align::Left, Align::Right, Align::Right, Align::Left], &rows);
}

fn layers(ui: &Ui, report: &Report) {
    let mut rows = vec![["LAYER", "UNPACKED", "COMPRESSED", ""].map(str::to_owned).to_vec()];
    for layer in &report.layers {
        let cached = if layer.cached { "cached" } else { "" };
        let row = [
            shortened(&layer.created_by),
            bytes(layer.unpacked_bytes),
            bytes(layer.compressed_bytes),
            cached.to_owned(),
        ];
        rows.push(row.to_vec());
    }
    show(ui, &[Align::Left, Align::Right, Align::Right, Align::Left], &rows);
}

fn excess(ui: &Ui, report: &Report) {
    if report.excess.is_empty() {
        return;
    }
    let mut rows = vec![["A NATIVE BUILD WOULD BE WITHOUT", "FILES", "UNPACKED"].map(str::to_owned).to_vec()];
    for excess in &report.excess {
        rows.push(vec![excess.what.to_owned(), excess.files.to_string(), bytes(excess.bytes)]);
    }
    show(ui, &[Align::Left, Align::Right, Align::Right], &rows);
}

fn explain(ui: &Ui, explanation: &[Explanation]) {
    for step in explanation {
        let what = if step.cached { "kept" } else { "ran" };
        ui.line(&format!("{what:4}  {}", shortened(&step.step)));
        step.because.iter().for_each(|reason| ui.line(&format!("        {}", escape(reason))));
        if let Some(advice) = &step.advice {
            ui.line(&format!("        {}: {}", ui.paint("1;36", "hint"), escape(advice)));
        }
    }
    ui.line("");
}

/// The words of `--call=targets`.
pub fn targets_text(targets: &[Target]) -> String {
    let line = |target: &Target| {
        let default = if target.default { " (default)" } else { "" };
        let description = target.description.as_ref().map_or_else(String::new, |text| format!("  {text}"));
        escape(&format!("{}{default}{description}", target.name))
    };
    targets.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The words of `--call=outline`.
pub fn outline_text(outline: &Outline) -> String {
    let mut lines = vec![format!("TARGET {}", outline.name)];
    lines.extend(outline.description.iter().map(|text| format!("  {text}")));
    for arg in &outline.args {
        let value = arg.value.as_ref().map_or_else(String::new, |value| format!("={value}"));
        let description = arg.description.as_ref().map_or_else(String::new, |text| format!("  {text}"));
        lines.push(format!("ARG    {}{value}{description}", arg.name));
    }
    for (what, mounts) in [("SECRET", &outline.secrets), ("SSH   ", &outline.ssh)] {
        for mount in mounts {
            lines.push(format!("{what} {}{}", mount.name, if mount.required { " (required)" } else { "" }));
        }
    }
    escape(&lines.join("\n"))
}

/// A name that fits into a line.
fn shortened(text: &str) -> String {
    let text = escape(text.trim_end_matches(" # buildkit")).replace('\n', " ");
    match text.char_indices().nth(72) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
