//! Several builds at once on one store: each comes out as if it were alone.

use std::process::{Command, Stdio};

use jettison_testkit::Project;

use super::{Site, digest};
use crate::fixture::Ran;

/// Starts all before it waits for any; what they print.
fn at_once(commands: impl IntoIterator<Item = Command>) -> Vec<String> {
    let start = |mut command: Command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started: Vec<_> = commands.into_iter().map(start).collect();
    let ended = started.into_iter().map(|child| child.wait_with_output().unwrap());
    let ran = ended.map(|output| Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    });
    ran.map(digest).collect()
}

/// Another project than the one of a site, with fewer dependencies.
fn other(site: &Site) -> Project {
    Project::flask(&[]).file("requirements.txt", site.index.hashed_requirements(&super::DEPENDENCIES[..3]))
}

#[test]
fn one_project_and_another_are_built_at_once_in_an_empty_store() {
    let alone = Site::new();
    let (one, two) = (alone.digest(alone.project().path(), &[]), alone.digest(other(&alone).path(), &[]));
    assert_ne!(one, two);

    let site = Site::new();
    // The first two write the lock of one project at the same time.
    let projects = [site.project(), other(&site)];
    let paths = [&projects[0], &projects[0], &projects[1], &projects[1]];
    let build = || paths.map(|project| site.command(&site.user, project.path(), &[]));
    assert_eq!(at_once(build()), [&*one, &*one, &*two, &*two], "in an empty store");
    assert_eq!(at_once(build()), [&*one, &*one, &*two, &*two], "once more");
    assert_eq!(site.digest(projects[0].path(), &["--locked"]), one);
}
