//! Every construct of the reference, and every mistake, with its tree: `corpus/*.Dockerfile` beside `corpus/*.snap`.

use super::{dump, invariants};
use jettison_dockerfile::{Dockerfile, Severity};
use std::path::Path;

#[test]
fn each_file_has_its_tree() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&corpus);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let entries = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "Dockerfile")).collect();
    files.sort();
    assert!(files.len() >= 18, "the corpus is there: {files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        invariants::check(&text);
        let file = Dockerfile::parse(&text);
        let worst = file.problems().iter().map(|problem| problem.severity).max().unwrap_or(Severity::Warning);
        assert_eq!(worst == Severity::Error, name.starts_with("bad-"), "{name}: {:#?}", file.problems());
        settings.bind(|| insta::assert_snapshot!(name, dump::dump(&file)));
    }
}
