//! `jettison init`: what is written, what is kept, and what is said where nothing can be written.

use std::fs;

use crate::fixture::{Ran, User};

fn write(user: &User, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = user.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn read(user: &User, name: &str) -> String {
    fs::read_to_string(user.path(name)).unwrap()
}

fn init(user: &User, arguments: &[&str]) -> Ran {
    user.run(&[&["init", "--offline"], arguments].concat())
}

const SHOP: &[(&str, &str)] = &[
    ("shop/main.py", "from flask import Flask\n\napp = Flask(__name__)\n"),
    ("shop/requirements.txt", "flask==3.1.2\ngunicorn==23.0.0\n"),
];

#[test]
fn a_project_gets_a_dockerfile_that_the_lint_has_nothing_to_say_of() {
    let user = User::new();
    write(&user, SHOP);
    let ran = init(&user, &["shop"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r"
    wrote shop/.dockerignore (45 lines)
    wrote shop/Dockerfile (style venv)
    it starts with `gunicorn main:app --bind 0.0.0.0:8000`: `app` in main.py is a Flask application, and gunicorn is among the dependencies
    note: the digest of python:3.13-slim-trixie is not known: `jettison lint --fix` writes it when the registry can be asked
    next: docker build -t shop shop
    ");
    let text = read(&user, "shop/Dockerfile");
    assert!(text.ends_with("CMD [\"gunicorn\", \"main:app\", \"--bind\", \"0.0.0.0:8000\"]\n"), "{text}");
    assert!(!text.to_lowercase().contains("jettison"));
    // Offline nobody knows the digest.
    let lint = user.run(&["lint", "shop", "--no-shellcheck", "--select", "all", "--ignore", "base-without-digest"]);
    assert_eq!((lint.code, lint.stdout.as_str()), (0, ""));
    // A second time there is nothing to do.
    let again = init(&user, &["shop"]);
    assert!(again.code == 0 && again.stderr.contains("shop/Dockerfile is up to date\n"), "{}", again.stderr);
    assert!(!again.stderr.contains(".dockerignore"), "{}", again.stderr);
}

#[test]
fn what_is_there_is_kept_and_shown_beside_what_would_be() {
    let user = User::new();
    write(&user, SHOP);
    write(&user, &[("shop/Dockerfile", "FROM scratch\n"), ("shop/.dockerignore", "# ours\n*.txt\n!docs\n")]);
    let ran = init(&user, &["shop"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.starts_with("--- a/shop/Dockerfile\n+++ b/shop/Dockerfile\n"), "{}", ran.stdout);
    assert_eq!(
        ran.stderr,
        "error: `shop/Dockerfile` is there already, and was left as it is\n\
         hint: --force replaces it by what is shown; --file writes to another place\n"
    );
    assert_eq!(read(&user, "shop/Dockerfile"), "FROM scratch\n");
    assert_eq!(read(&user, "shop/.dockerignore"), "# ours\n*.txt\n!docs\n");

    let printed = init(&user, &["shop", "--stdout"]).ok();
    init(&user, &["shop", "-f", "shop/other.Dockerfile"]).ok();
    assert_eq!(read(&user, "shop/other.Dockerfile"), printed);
    let forced = init(&user, &["shop", "--force"]).ok();
    assert!(forced.contains("-FROM scratch\n"), "{forced}");
    assert_eq!(read(&user, "shop/Dockerfile"), printed);
    // No line is lost, and what the Dockerfile takes is let through.
    let ignore = read(&user, "shop/.dockerignore");
    assert!(ignore.starts_with("# ours\n*.txt\n!docs\n\n"), "{ignore}");
    assert!(ignore.contains("\n.git\n") && !ignore.contains("\ndocs\n"), "{ignore}");
    assert!(ignore.ends_with("\n# What the Dockerfile takes\n!requirements.txt\n"), "{ignore}");
}

#[test]
fn flags_and_settings_say_what_cannot_be_found() {
    let user = User::new();
    write(&user, &[("job/pyproject.toml", "[project]\nname = \"job\"\nversion = \"1\"\n"), ("job/work.py", "x = 1\n")]);
    let (code, said) = init(&user, &["job"]).failed();
    assert_eq!(code, 2);
    assert!(
        said.starts_with("error: no start command was found: ") && said.contains("hint: say it: `--command"),
        "{said}"
    );
    let text = init(&user, &["job", "--stdout", "--python", "3.12", "--command", "python work.py --port 81"]).ok();
    assert!(text.starts_with("# syntax=docker/dockerfile:1\n\nFROM python:3.12-slim-trixie AS base\n"), "{text}");
    assert!(
        text.contains("\nEXPOSE 81\n") && text.ends_with("CMD [\"python\", \"work.py\", \"--port\", \"81\"]\n"),
        "{text}"
    );
    let settings = "[project]\nname = \"job\"\nversion = \"1\"\n[tool.jettison]\ncommand = \"python work.py\"\npython = \"3.14\"\n";
    write(&user, &[("job/pyproject.toml", settings)]);
    let text = init(&user, &["job", "--stdout"]).ok();
    assert!(text.contains("FROM python:3.14-slim-trixie AS base\n"), "{text}");
    assert!(!text.contains("EXPOSE") && !text.contains("HEALTHCHECK"), "{text}");
    for (arguments, expected) in [
        (&["job", "--style", "poetry"][..], "the style poetry does not fit: the project has no poetry.lock"),
        (&["job", "--style", "distroless"], "the image has Python 3.13, and the project is made for 3.14"),
        (&["job", "--command", "a | b"], "cannot be started without a shell"),
        (&["job", "--style", "egg"], "expected one of venv, prefix, wheels, uv, poetry, distroless"),
        (&["nothing"], "`nothing` is no directory"),
    ] {
        let (code, said) = init(&user, arguments).failed();
        assert!(code == 2 && said.contains(expected), "{arguments:?}: {said}");
    }
}
