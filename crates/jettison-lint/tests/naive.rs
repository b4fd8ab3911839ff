//! Naive Dockerfiles, mended by all rules at once. That what comes of them is built, starts and answers is proved by tests/peers/check_lint.py.

use jettison_dockerfile::{Dockerfile, Severity};
use jettison_lint::{Config, Context, Finding, Place, Safety, mend};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn naive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/naive")
}

/// What `--fix` makes of a Dockerfile, and what is found in that.
fn mended(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("Dockerfile")).unwrap();
    let context = Context::directory(directory, None);
    let config = Config::default();
    let mended = mend(&text, &context, &(), &config, Safety::Safe);
    let file = Dockerfile::parse(&mended.text);
    assert!(file.problems().iter().all(|problem| problem.severity <= Severity::Warning), "{:?}", file.problems());
    let again = mend(&mended.text, &context.with(mended.files.clone()), &(), &config, Safety::Safe);
    assert_eq!(
        (again.text, again.files.len(), again.done),
        (mended.text.clone(), 0, vec![]),
        "{}",
        directory.display()
    );
    let mut shown = mended.text;
    shown.push_str("-- left\n");
    for finding in &mended.left {
        let _ = writeln!(shown, "{}", line(&file, finding));
    }
    shown
}

fn line(file: &Dockerfile, finding: &Finding) -> String {
    let place = match &finding.place {
        Place::Dockerfile(span) => file.position(span.start).line.to_string(),
        Place::Context { path, line } => format!("{path}:{}", line.unwrap_or(0)),
    };
    format!("{place} {} {}: {}", finding.severity, finding.rule.name, finding.message)
}

#[test]
fn naive_dockerfiles_are_mended_for_good() {
    let mut names: Vec<_> = fs::read_dir(naive()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert!(names.len() >= 10);
    for name in names {
        let name = name.to_str().unwrap();
        insta::assert_snapshot!(name, mended(&naive().join(name)));
    }
}
