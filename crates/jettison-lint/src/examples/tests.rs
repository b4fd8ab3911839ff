use super::*;
use crate::catalog::{Catalog, ImageFacts, ShellcheckNote, ShellcheckScript};
use crate::model::{Scripts, Subject};
use crate::settings::{Home, Settings};
use crate::{Config, Context, Fixable, Place, Rule, Safety, Severity, lint, mend, rules};
use jettison_dockerfile::Dockerfile;
use jettison_oci::reference::Reference;
use jettison_python::NormalizedName;
use jettison_tree::TreePath;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What the world outside says in the examples.
struct World;

impl Catalog for World {
    fn digest(&self, _: &Reference) -> Option<String> {
        Some(format!("sha256:{}", "ab".repeat(32)))
    }

    fn has_musl_wheel(&self, _: &NormalizedName, _: &str) -> Option<bool> {
        None
    }

    /// An image for one platform alone.
    fn image(&self, image: &Reference, _: Option<&str>) -> Option<ImageFacts> {
        let facts = || ImageFacts {
            platform: "linux/amd64".to_owned(),
            wanted: "linux/arm64/v8".to_owned(),
            ..ImageFacts::default()
        };
        (image.name() == "registry.example.com/amd64-only").then(facts)
    }

    /// As ShellCheck would: a variable behind `echo` wants quotes.
    fn shellcheck(&self, scripts: &[ShellcheckScript<'_>]) -> Option<Vec<Vec<ShellcheckNote>>> {
        let note = |script: &ShellcheckScript<'_>| {
            let start = script.text.find("echo $")? + "echo ".len();
            let end = script.text[start..].find([' ', '\n']).map_or(script.text.len(), |length| start + length);
            Some(ShellcheckNote {
                code: 2086,
                severity: Severity::Info,
                message: "Double quote to prevent globbing and word splitting.".to_owned(),
                range: start..end,
                replacements: vec![(start..start, "\"".to_owned()), (end..end, "\"".to_owned())],
            })
        };
        Some(scripts.iter().map(|script| note(script).into_iter().collect()).collect())
    }
}

/// The lines in which a rule finds something.
fn lines(text: &str, context: &Context, config: &Config) -> BTreeSet<usize> {
    let file = Dockerfile::parse(text);
    let found = lint(&file, context, &World, config);
    let line = |place: &Place| match place {
        Place::Dockerfile(span) => file.position(span.start).line,
        Place::Context { line, .. } => line.unwrap_or(1),
    };
    found.iter().map(|finding| line(&finding.place)).collect()
}

/// The lines in which the rule with this code finds something, in a context of these files; for tables of cases beside rules.
pub(crate) fn found(code: &str, text: &str, files: &[(&str, &str)]) -> Vec<usize> {
    let rule = rules::all().find(|rule| rule.code == code).unwrap();
    let files = files.iter().map(|(path, text)| (TreePath::parse(path).unwrap(), (*text).to_owned()));
    lines(text, &Context::none().with(files), &Config::only(rule)).into_iter().collect()
}

#[test]
fn examples_show_what_they_say() {
    let mut faults = Vec::new();
    for rule in rules::all() {
        let mut files: BTreeSet<&str> = BTreeSet::new();
        let mut bad: Option<&str> = None;
        let mut config = Config::only(rule);
        let mut mended_files = BTreeMap::new();
        let mut seen = (0, 0, 0);
        let dir = tempfile::tempdir().unwrap();
        for block in blocks(rule.docs) {
            let context = if files.is_empty() { Context::none() } else { Context::directory(dir.path(), None) };
            let mut fault = |what: String| faults.push(format!("{} {}: {what}\n{}", rule.code, rule.name, block.text));
            match block.kind {
                BlockKind::Configuration => {
                    let settings = Settings::from_toml(block.text, Home::Jettison).unwrap().unwrap();
                    config = Config { select: Config::only(rule).select, ..settings.config };
                }
                BlockKind::Heading => {
                    config = Config::only(rule);
                    files.iter().for_each(|path| fs::remove_file(dir.path().join(path)).unwrap());
                    files.clear();
                }
                BlockKind::File { path, fixed: false } => {
                    fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
                    fs::write(dir.path().join(path), block.text).unwrap();
                    files.insert(path);
                }
                BlockKind::File { path, fixed: true } => {
                    let made: Option<&String> = mended_files.get(&TreePath::parse(path).unwrap());
                    if made.map(String::as_str) != Some(block.text) {
                        fault(format!("the fix made of {path}:\n{}", made.cloned().unwrap_or_default()));
                    }
                }
                BlockKind::Bad(expected) => {
                    seen.0 += 1;
                    bad = Some(block.text);
                    let found = lines(block.text, &context, &config);
                    if found.is_empty() || !expected.is_empty() && found != expected.iter().copied().collect() {
                        fault(format!("is bad in lines {expected:?}, found in {found:?}"));
                    }
                }
                BlockKind::Good => {
                    seen.1 += 1;
                    let found = lines(block.text, &context, &config);
                    if !found.is_empty() {
                        fault(format!("is good, but the rule finds something in {found:?}"));
                    }
                }
                BlockKind::Fixed { unsafe_ } => {
                    seen.2 += 1;
                    let safety = if unsafe_ { Safety::Unsafe } else { Safety::Safe };
                    let mended = mend(bad.unwrap(), &context, &World, &config, safety);
                    if mended.text != block.text {
                        fault(format!("the fix made:\n{}", mended.text));
                    }
                    if mended.left.iter().any(|finding| finding.fix.as_ref().is_some_and(|fix| fix.safety <= safety)) {
                        fault("a fix is left that was not made".to_owned());
                    }
                    let again = mend(&mended.text, &context.with(mended.files.clone()), &World, &config, safety);
                    if again.text != mended.text || !again.done.is_empty() {
                        fault(format!("mended again:\n{}", again.text));
                    }
                    mended_files = mended.files;
                }
                BlockKind::Other => {}
            }
        }
        if seen.0 == 0 || seen.1 == 0 || (seen.2 > 0) != (rule.fixable != Fixable::No) {
            faults.push(format!(
                "{} {}: {seen:?} bad, good and fixed examples, and it is {:?} fixable",
                rule.code, rule.name, rule.fixable
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn codes_and_names_are_one_of_a_kind_and_in_order() {
    let all: Vec<&Rule> = rules::all().collect();
    assert!(all.is_sorted_by_key(|rule| rule.code), "{:?}", all.iter().map(|rule| rule.code).collect::<Vec<_>>());
    let names: BTreeSet<_> = all.iter().flat_map(|rule| [rule.code, rule.name]).collect();
    assert_eq!(names.len(), all.len() * 2);
    for rule in all {
        let kebab = rule.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(
            kebab && !rule.summary().is_empty() && rule.summary().ends_with('.'),
            "{}: {}",
            rule.name,
            rule.summary()
        );
    }
}

/// A subject is made of anything that parses at all.
#[test]
fn nothing_is_too_broken_to_look_at() {
    for text in ["", "FROM", "RUN x", "FROM a AS a\nFROM a\nCOPY --from=a", "FROM $X\nWORKDIR $Y\nUSER $Z\n", "ONBUILD"]
    {
        let file = Dockerfile::parse(text);
        let (scripts, context, config) = (Scripts::default(), Context::none(), Config::default());
        let subject = Subject::new(&file, &scripts, &context, &(), &config);
        assert_eq!(subject.stages.len(), file.stages().len());
    }
}
