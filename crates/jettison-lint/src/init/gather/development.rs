//! What development needs besides, and the tests.

use super::GatherError;
use super::installed::Installed;
use crate::context::{Context, FileKind};
use crate::init::facts::{Dependencies, Development};
use jettison_python::NormalizedName;
use jettison_python::project::Project;
use jettison_python::requirements::Requirements;

/// What groups and extras are called that development needs.
const NAMES: [&str; 6] = ["dev", "develop", "development", "test", "tests", "testing"];
/// What requirements files are called that it needs, the widest first.
const FILES: [&str; 10] = [
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements/development.txt",
    "requirements/local.txt",
    "requirements-test.txt",
    "requirements_test.txt",
    "test-requirements.txt",
    "requirements/test.txt",
];
/// Where tests stand.
const DIRECTORIES: [&str; 2] = ["tests", "test"];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) development: Development,
    pub(super) tests: Option<String>,
    pub(super) has_pytest: bool,
    pub(super) note: Option<String>,
}

/// Looks for the groups, extras and files of development, and for tests that can be run with what they bring.
pub(super) fn find(
    project: &Project,
    context: &Context,
    dependencies: &Dependencies,
    installed: &Installed,
) -> Result<Found, GatherError> {
    let mut found = Found { has_pytest: installed.names.iter().any(|name| name == "pytest"), ..Found::default() };
    let is_wanted = |name: &NormalizedName| NAMES.contains(&name.as_str());
    let reads_pyproject = !matches!(dependencies, Dependencies::Requirements { .. } | Dependencies::Backend);
    if reads_pyproject {
        let mut asked = Vec::new();
        for (name, requirements) in project.groups.iter().filter(|(name, _)| is_wanted(name)) {
            found.development.groups.push(name.to_string());
            asked.extend(requirements);
        }
        // Those of a `pylock.toml` are locked by themselves or not at all.
        let extras = project.extras.iter().filter(|(name, _)| is_wanted(name) && *dependencies != Dependencies::Pylock);
        for (name, requirements) in extras {
            found.development.extras.push(name.to_string());
            asked.extend(requirements);
        }
        found.has_pytest |= asked.iter().any(|requirement| requirement.name == *"pytest");
    }
    if found.development.is_empty()
        && let Some(file) = FILES.iter().find(|file| context.text(file).is_some())
    {
        let read = Requirements::read(&project.root, &[(*file).to_owned()], &|_| None)?;
        found.has_pytest |= read.entries.iter().any(|entry| entry.name.as_ref().is_some_and(|name| *name == *"pytest"));
        found.development.requirements = Some((*file).to_owned());
        found.development.included = read.files.into_iter().filter(|read| read != file).collect();
    }
    let Some((directory, files)) = tests(context) else { return Ok(found) };
    let says_unittest = || files.iter().any(|file| context.text(file).is_some_and(|text| text.contains("unittest")));
    if found.has_pytest || says_unittest() {
        found.tests = Some(directory.to_owned());
    } else {
        found.note = Some(format!(
            "the tests in {directory} are left out: pytest is not among what development needs, such as a dependency group `dev`"
        ));
    }
    Ok(found)
}

/// The directory with the tests, and the Python files in it.
fn tests(context: &Context) -> Option<(&'static str, Vec<&str>)> {
    DIRECTORIES.into_iter().find_map(|directory| {
        let is_below = |path: &&str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        let files = context.files().iter().filter(|file| file.kind == FileKind::Regular);
        let files: Vec<&str> =
            files.filter_map(|file| file.path.as_str()).filter(is_below).filter(|path| path.ends_with(".py")).collect();
        let is_test = |path: &&str| path.rsplit('/').next().is_some_and(|name| name.contains("test"));
        files.iter().any(is_test).then_some((directory, files))
    })
}
