use super::*;
use crate::finding::{Finding, Fix, Place, Safety};
use crate::rule::Severity;
use crate::rules;
use jettison_dockerfile::{Dockerfile, Edit, Span};
use jettison_tree::TreePath;

const TEXT: &str = "FROM python:3.12\nRUN apt-get install -y \\\n    gcc\t<é> libpq-dev\nCMD x\u{1b}[2J\n";

/// A finding in the middle of a file, with all that one can have, and one in a file of the context.
fn reports() -> Vec<Report> {
    let rule = rules::all().find(|rule| rule.code == "JET120").unwrap();
    let at = |piece: &str| {
        let start = TEXT.find(piece).unwrap();
        Span::new(start, start + piece.len())
    };
    let finding = Finding {
        rule,
        severity: Severity::Warning,
        place: Place::Dockerfile(at("libpq-dev")),
        message: "libpq-dev & <gcc>: 100%, stay".to_owned(),
        labels: vec![(at("apt-get"), "installed here".to_owned())],
        help: Some("install them\nelsewhere".to_owned()),
        saves: Some(402_000_000),
        fix: Some(Fix {
            safety: Safety::Unsafe,
            title: "remove it".to_owned(),
            edits: vec![Edit { span: at(" libpq-dev"), text: String::new() }],
            files: Vec::new(),
        }),
        foreign_code: None,
    };
    let place = Place::Context { path: TreePath::parse("require ments.txt").unwrap(), line: Some(3) };
    let other = Finding {
        severity: Severity::Error,
        place,
        message: "x\u{1b}y".to_owned(),
        labels: Vec::new(),
        help: None,
        saves: None,
        fix: None,
        foreign_code: Some("SC2086".to_owned()),
        ..finding.clone()
    };
    let whole = Finding {
        severity: Severity::Info,
        place: Place::Dockerfile(at("RUN apt-get install -y \\\n    gcc")),
        labels: Vec::new(),
        ..other.clone()
    };
    let file = Dockerfile::parse(TEXT);
    let clean = Report { path: "b/Dockerfile".into(), context: "b/".into(), file: file.clone(), findings: Vec::new() };
    vec![
        Report { path: "a:b/Dockerfile".into(), context: "a:b/".into(), file, findings: vec![whole, finding, other] },
        clean,
    ]
}

#[test]
fn text_underlines_what_is_wrong() {
    insta::assert_snapshot!(render(&reports(), Format::Text { colour: false }), @"");
    let coloured = render(&reports(), Format::Text { colour: true });
    assert!(coloured.contains("\x1b[") && !coloured.contains("\x1b[2J"), "{coloured:?}");
    assert_eq!(render(&[], Format::Text { colour: true }), "");
}

#[test]
fn json_has_everything() {
    insta::assert_snapshot!(render(&reports()[..1], Format::Json), @"");
    assert_eq!(render(&[], Format::Json), "{\n  \"version\": 1,\n  \"files\": [],\n  \"findings\": []\n}\n");
}

#[test]
fn sarif_says_where_and_what_to_replace() {
    let text = render(&reports(), Format::Sarif);
    let mut log: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rule = log["runs"][0]["tool"]["driver"]["rules"][0].take();
    assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# unbuffered-output-missing (JET120)\n"));
    log["runs"][0]["tool"]["driver"]["rules"] = serde_json::Value::Null;
    insta::assert_snapshot!(format!("{log:#}"), @"");
}

#[test]
fn github_commands_are_escaped() {
    insta::assert_snapshot!(render(&reports(), Format::Github), @"");
}

#[test]
fn gitlab_wants_each_fingerprint_once() {
    let mut reports = reports();
    let again = reports[0].findings[1].clone();
    reports[0].findings.push(again);
    let issues: serde_json::Value = serde_json::from_str(&render(&reports, Format::Gitlab)).unwrap();
    let prints: std::collections::BTreeSet<_> =
        issues.as_array().unwrap().iter().map(|issue| issue["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), 4);
    insta::assert_snapshot!(format!("{:#}", issues[1]), @"");
}

#[test]
fn xml_is_escaped() {
    insta::assert_snapshot!(render(&reports(), Format::Checkstyle), @"");
    insta::assert_snapshot!(render(&reports(), Format::Junit), @"");
}

#[test]
fn sizes_are_decimal() {
    assert_eq!([size(0), size(999), size(1_000), size(402_000_000)], ["0 B", "999 B", "1.0 kB", "402.0 MB"]);
}
