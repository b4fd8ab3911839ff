use super::*;
use crate::{Config, Context, Severity, lint};

/// The codes and lines of what is found in `text`.
fn found(text: &str, config: &Config) -> String {
    let file = Dockerfile::parse(text);
    let line = |finding: &Finding| match finding.place {
        Place::Dockerfile(span) => file.position(span.start).line,
        Place::Context { .. } => 0,
    };
    let found = lint(&file, &Context::none(), &(), config);
    found.iter().map(|f| format!("{}:{}", f.rule.code, line(f))).collect::<Vec<_>>().join(" ")
}

fn only(words: &str) -> Config {
    let select = words.split(' ').flat_map(|word| Selector::parse(word).unwrap()).collect();
    Config { select, ..Config::default() }
}

#[test]
fn comments_reach_as_far_as_they_say() {
    let config = only("recommended-packages-installed unbuffered-output-missing");
    for (text, expected) in [
        ("FROM python:3\nRUN apt-get install -y a\n", "JET120:1 JET113:2"),
        ("# jettison: ignore=JET113\nFROM python:3\nRUN apt-get install -y a\n", "JET120:2 JET113:3"),
        ("FROM python:3\n# jettison: ignore=JET113\n\n# and\nRUN apt-get install -y a\n", "JET120:1"),
        ("FROM python:3\n# jettison: ignore=JET113\nUSER a\nRUN apt-get install -y a\n", "JET120:1 JET113:4"),
        ("FROM python:3\nRUN apt-get install -y a\n# jettison: ignore-file=all\n", ""),
        ("FROM python:3\n# hadolint ignore=DL3015\nRUN apt-get install -y a\n", "JET120:1"),
        ("# hadolint global ignore=DL3015,JET120\nFROM python:3\nRUN apt-get install -y a\n", ""),
        ("# check=skip=all\nFROM python:3\nRUN apt-get install -y a\n", "JET120:2 JET113:3"),
        (
            "FROM python:3\nRUN true \\\n  # jettison: ignore=JET113\n  && apt-get install a \\\n  && apt-get install b\n",
            "JET120:1 JET113:5",
        ),
        (
            "FROM python:3\nRUN <<E\n# jettison: ignore=JET113\n\napt-get install a\napt-get install b\nE\n",
            "JET120:1 JET113:6",
        ),
        (
            "FROM python:3\nRUN <<E\napt-get install a # jettison: ignore=JET113\napt-get install b\nE\n",
            "JET120:1 JET113:4",
        ),
        ("FROM python:3\nRUN apt-get install -y a\n# jettison: ignore=all\n", "JET120:1 JET113:2"),
    ] {
        assert_eq!(found(text, &config), expected, "{text}");
    }
}

#[test]
fn what_is_never_used_is_said_even_of_rules_that_are_not_looked_for() {
    let config = only("unused-suppression");
    for (text, expected) in [
        ("# jettison: ignore=JET120\nFROM python:3\n", ""),
        ("# jettison: ignore=JET120\nFROM debian\n", "JET330:1"),
        ("# jettison: ignore-file=JET120\nFROM debian\n", "JET330:1"),
        ("# hadolint ignore=SC2086,DL9999\nFROM debian\n", ""),
        ("# jettison: ignore=JET401\nFROM debian\n", ""),
        ("# jettison: ignore=JET120,unused-suppression\nFROM debian\n", ""),
    ] {
        assert_eq!(found(text, &config), expected, "{text}");
    }
}

#[test]
fn words_that_mean_nothing_are_known() {
    for (text, expected) in [
        ("# jettison: ignore=JET12\nFROM a\n", "JET12 -"),
        ("# jettison: ignore=unbufered-output-missing\nFROM a\n", "unbufered-output-missing unbuffered-output-missing"),
        ("# hadolint ignore=DL0001\nFROM a\n", ""),
        ("# jettison: ignore=SC1234,xyz\nFROM a\n", "xyz -"),
        ("# check=skip=Xyzzy\nFROM a\n", ""),
    ] {
        let unknown = Suppressions::read(&Dockerfile::parse(text)).unknown();
        let unknown = unknown.iter().map(|unknown| format!("{} {}", unknown.word, unknown.similar.unwrap_or("-")));
        assert_eq!(unknown.collect::<Vec<_>>().join(", "), expected, "{text}");
    }
}

#[test]
fn the_directive_of_buildkit_is_about_its_own_checks() {
    let Some(rule) = rules::all().find(|rule| rule.buildkit == Some("StageNameCasing")) else { return };
    let text = |directive: &str| format!("{directive}FROM a AS B\n");
    let config = Config::only(rule);
    assert_eq!(found(&text(""), &config), format!("{}:1", rule.code));
    for skip in ["# check=skip=StageNameCasing\n", "# check=error=true;skip=A, StageNameCasing\n", "# check=skip=all\n"]
    {
        assert_eq!(found(&text(skip), &config), "", "{skip}");
    }
    let two = "FROM a AS X\n# check=skip=StageNameCasing\nFROM a AS Y\nFROM a AS Z\n";
    assert_eq!(found(two, &config), format!("{0}:1 {0}:4", rule.code));
    let strict = Dockerfile::parse("# check=error=true\nFROM a AS B\n");
    assert_eq!(lint(&strict, &Context::none(), &(), &config)[0].severity, Severity::Error);
}
