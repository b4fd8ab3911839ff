//! Projects and settings that cannot be built: what is wrong, where, and what to do.

use jettison_testkit::Project;
use jettison_testkit::world::{DRIVER, FLASK};

use super::Site;

/// What is wrong, the project, flags, words of the error, and words of the hint.
type Case<'a> = (&'a str, Project, &'a [&'a str], &'a [&'a str], &'a str);

#[test]
fn a_project_that_cannot_be_built_is_told_what_is_wrong_with_it() {
    let site = Site::new();
    let good = || site.project();
    let only = |file: &str, text: &str| Project::new().file(file, text);
    let cases: [Case<'_>; 12] = [
        (
            "a syntax error in the entry point",
            good().file(
                "app.py",
                "from flask import Flask\n\napp = = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    pass\n",
            ),
            &[],
            &["app.py:3:"],
            "app.py",
        ),
        (
            "an unknown key",
            good().file("jettison.toml", "python = '3.13'\nbytecod = 'none'\n"),
            &[],
            &["jettison.toml:2:1: unknown field `bytecod`"],
            "did you mean `bytecode`?",
        ),
        (
            "an unknown key of a table",
            good().file("pyproject.toml", "[tool.jettison.verify]\ntimout = 3\n"),
            &[],
            &["pyproject.toml:2:1: unknown field `timout`"],
            "did you mean `timeout`?",
        ),
        (
            "a setting of the wrong kind",
            good().file("jettison.toml", "port = 'http'\n"),
            &[],
            &["jettison.toml:1:8:"],
            "",
        ),
        ("broken TOML", good().file("jettison.toml", "port = \n"), &[], &["jettison.toml:1:"], ""),
        (
            "no start command",
            only("lib.py", "x = 1\n"),
            &[],
            &["no start command was found", "`lib.py`, the one Python file"],
            "[tool.jettison]",
        ),
        (
            "a base that is not there",
            good(),
            &["--base", "oci:bases/nowhere:v1"],
            &["base oci:", "there is no `", "/bases/nowhere`"],
            "relative to the directory you are in",
        ),
        (
            "a Python that no suite has",
            good(),
            &["--python", "3.6"],
            &["no Debian suite has Python 3.6", "3.13 (trixie)"],
            "--python",
        ),
        ("a Python that is no version", good(), &["--python", "latest"], &["`latest` is no version of Python"], "3.13"),
        (
            "a Python that nothing allows",
            good().file("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\nrequires-python = '<3'\n"),
            &[],
            &["<3"],
            "--base",
        ),
        (
            "nothing locked",
            Project::flask(&["flask"]),
            &["--locked"],
            &["--locked refuses"],
            "build once without --locked",
        ),
        ("a platform that is none", good(), &["--platform", "windows/amd64"], &["windows"], "linux/amd64"),
    ];
    let mut unsaid = Vec::new();
    for (what, project, flags, error, hint) in cases {
        eprintln!("{what}");
        let refusal = site.refused(&project, flags, 2);
        if !error.iter().all(|words| refusal.error.contains(words)) || !refusal.hint.contains(hint) {
            unsaid.push(format!("{what}: {error:?} and `{hint}`:\n{}", refusal.said));
        }
    }
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
    site.digest(good().path(), &[]);
}

#[test]
fn a_start_command_that_is_set_is_taken() {
    let site = Site::new();
    let project = Project::new()
        .file("lib.py", "x = 1\n")
        .file("jettison.toml", "command = 'python3 -m lib --port $PORT'\nport = 5000\n");
    let image = site.image(project.path(), &[]);
    let argv = image.config().config.entrypoint.clone().unwrap_or_default();
    assert_eq!(argv[1..], ["-m", "lib", "--port", "5000"].map(str::to_owned));
}

#[test]
fn a_lock_for_another_platform_is_refused_with_what_it_has() {
    let site = Site::new();
    let project = site.project();
    // Only this machine's wheel is in the index.
    let flags = ["--platform", "linux/arm64"];
    let refusal = site.refused(&project, &flags, 2);
    assert!(refusal.error.contains("arm64") || refusal.error.contains("aarch64"), "{}", refusal.said);

    let lock = site.index.pylock(&[FLASK, "werkzeug", DRIVER]).replace(
        "requires-python = \">=3.9\"",
        "requires-python = \">=3.9\"\nenvironments = [\"sys_platform == 'win32'\"]",
    );
    let project = site.project().file("pylock.toml", lock);
    let refusal = site.refused(&project, &[], 2);
    refusal.says(&["pylock.toml", "win32"], "");
}

#[test]
fn a_wheel_that_is_too_new_for_the_python_is_refused() {
    let site = Site::new();
    let project = site.project().file(
        "requirements.txt",
        site.index.hashed_requirements(&[FLASK, "werkzeug", DRIVER]).replace("3.1.2", "3.1.2 ; python_version < '4'"),
    );
    site.digest(project.path(), &[]);
    let lock = site.index.pylock(&[FLASK]).replace(">=3.9", ">=3.14");
    let refusal = site.refused(&site.project().file("pylock.toml", lock), &[], 2);
    refusal.says(&["pylock.toml", "3.14"], "");
}
