//! Every Dockerfile of the corpora, mended with all rules: what comes out has no more errors than before, and is not mended again.

use jettison_dockerfile::{Dockerfile, Severity};
use jettison_lint::config::Selector;
use jettison_lint::{Config, Context, Safety, mend};
use std::fs;
use std::path::Path;

/// The Dockerfiles of a corpus: the lines of each case up to the next heading or expectation.
fn dockerfiles(text: &str) -> Vec<String> {
    let cases = text.split("\n=== ").skip(1);
    let lines = |case: &str| {
        let body = case.lines().skip(1).skip_while(|line| line.starts_with("--- "));
        body.take_while(|line| !line.starts_with("--- ") && !line.starts_with("> "))
            .flat_map(|line| [line, "\n"])
            .collect::<String>()
    };
    cases.map(lines).collect()
}

#[test]
fn what_was_mended_is_not_mended_again() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lint");
    let all = Config { select: vec![Selector::All], ..Config::default() };
    let mut faults = Vec::new();
    let mut count = 0;
    for corpus in ["buildkit.cases", "hadolint.cases"] {
        for text in dockerfiles(&fs::read_to_string(corpora.join(corpus)).unwrap()) {
            for safety in [Safety::Safe, Safety::Unsafe] {
                count += 1;
                let mended = mend(&text, &Context::none(), &(), &all, safety);
                let again = mend(&mended.text, &Context::none(), &(), &all, safety);
                let errors = |text: &str| {
                    let file = Dockerfile::parse(text);
                    file.problems().iter().filter(|problem| problem.severity > Severity::Warning).count()
                };
                if again.text != mended.text || errors(&mended.text) > errors(&text) {
                    faults.push(format!("{safety:?}\n{text}---\n{}---\n{}", mended.text, again.text));
                }
            }
        }
    }
    assert!(count > 500, "{count} Dockerfiles");
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults[..faults.len().min(5)].join("\n=====\n"));
}
