use super::*;
use crate::init::{Development, Style, write};
use std::fs;

/// A project of these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn gathered(files: &[(&str, &str)]) -> Gathered {
    gather(project(files).path(), &Wishes::default()).unwrap()
}

const APP: (&str, &str) = ("main.py", "from fastapi import FastAPI\n\napp = FastAPI()\n");

#[test]
fn requirements_with_all_that_they_include() {
    let found = gathered(&[
        APP,
        ("requirements.txt", "-r base.txt\n-c limits.txt\nuvicorn\npsycopg2\n"),
        ("base.txt", "fastapi\n"),
        ("limits.txt", "fastapi<1\n"),
        ("requirements-dev.txt", "-r requirements.txt\npytest\n"),
        ("tests/test_main.py", "def test_it(): pass\n"),
    ]);
    let facts = found.facts;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (files, included) = (words(&["requirements.txt"]), words(&["base.txt", "limits.txt"]));
    assert_eq!(facts.dependencies, Dependencies::Requirements { files, included, hashed: false });
    assert_eq!(facts.python, (3, 13));
    assert_eq!(facts.build_packages, ["gcc", "libc6-dev", "libpq-dev"]);
    assert_eq!(facts.runtime_packages, ["libpq5"]);
    assert_eq!((facts.tests.as_deref(), facts.has_pytest, facts.needs_files), (Some("tests"), true, true));
    assert_eq!(facts.development.included, words(&["requirements.txt", "base.txt", "limits.txt"]));
    let start = facts.start.unwrap();
    assert_eq!((start.argv[0].as_str(), start.port), ("uvicorn", Some(8000)));
    assert!(start.development.contains(&"--reload".to_owned()), "{:?}", start.development);
}

#[test]
fn a_package_that_is_run_by_its_script_needs_no_files() {
    let pyproject = "[project]\nname = \"shop\"\nversion = \"1\"\nreadme = \"docs/about.md\"\nrequires-python = \">=3.12,<3.13\"\n\
                     scripts = { shop = \"shop.main:run\" }\n\n[project.optional-dependencies]\ntest = [\"pytest\"]\n\n\
                     [build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n";
    let found = gathered(&[
        ("pyproject.toml", pyproject),
        ("docs/about.md", ""),
        ("src/shop/__init__.py", ""),
        ("src/shop/main.py", "def run(): pass\n"),
        ("tests/test_shop.py", "import pytest\n"),
    ]);
    let facts = found.facts;
    assert_eq!((facts.is_package, facts.needs_files, facts.python), (true, false, (3, 12)));
    assert_eq!(facts.development, Development { extras: vec!["test".to_owned()], ..Development::default() });
    assert!(facts.has_pytest);
    let written = write(&facts, Style::fitting(&facts), &()).unwrap();
    let image = written.dockerfile.rsplit("AS runtime").next().unwrap();
    assert!(!image.contains("COPY . .") && image.ends_with("CMD [\"shop\"]\n"), "{image}");
    assert!(written.dockerfile.contains("PYTHONPATH=/app/src"), "{}", written.dockerfile);
    let ignore = jettison_dockerfile::Ignore::parse(&written.dockerignore).unwrap();
    assert!(!ignore.matches("docs/about.md") && !ignore.matches("tests") && ignore.matches(".git"));
}

#[test]
fn django_is_developed_with_its_own_server() {
    let found = gathered(&[
        (
            "manage.py",
            "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\nfrom django.core.management import execute_from_command_line\n",
        ),
        ("shop/__init__.py", ""),
        ("shop/wsgi.py", "from django.core.wsgi import get_wsgi_application\n\napplication = get_wsgi_application()\n"),
        ("requirements.txt", "django\ngunicorn\n"),
    ]);
    let start = found.facts.start.unwrap();
    assert_eq!(start.argv[0], "gunicorn");
    assert_eq!(start.development, ["python", "manage.py", "runserver", "0.0.0.0:8000"]);
}

#[test]
fn what_cannot_be_told_is_asked_for() {
    let directory = project(&[("shop.py", "x = 1\n"), ("requirements.txt", "psycopg[binary]\npsycopg\n")]);
    let error = gather(directory.path(), &Wishes::default()).unwrap_err();
    assert!(matches!(error, GatherError::NoStart(_)) && error.hint().unwrap().contains("--command"), "{error}");
    let command = jettison_python::command::procfile::parse_line("MODE=a python shop.py --port=81", 8000).unwrap();
    let wishes = Wishes { command: Some(command), python: Some((3, 12)), port: None };
    let facts = gather(directory.path(), &wishes).unwrap().facts;
    let start = facts.start.unwrap();
    assert_eq!((start.port, start.env, facts.python), (Some(81), vec![("MODE".to_owned(), "a".to_owned())], (3, 12)));
    assert!(facts.runtime_packages.is_empty(), "{:?}", facts.runtime_packages);

    let old = [("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\nrequires-python = \"<3.9\"\n"), APP];
    let error = gather(project(&old).path(), &Wishes::default()).unwrap_err();
    assert!(matches!(error, GatherError::NoPython(_)), "{error}");

    let outside = project(&[("a/requirements.txt", "-r ../base.txt\n"), ("base.txt", "flask\n"), ("a/main.py", APP.1)]);
    let error = gather(&outside.path().join("a"), &Wishes::default()).unwrap_err();
    assert_eq!(error.to_string(), "`../base.txt` lies outside of the project, which is the build context");
}

#[test]
fn tests_that_nothing_runs_are_left_out() {
    let of = |test: &str| gathered(&[APP, ("requirements.txt", "fastapi\nuvicorn\n"), ("tests/test_a.py", test)]);
    let found = of("def test_it(): pass\n");
    assert_eq!(found.facts.tests, None);
    assert!(found.notes.iter().any(|note| note.contains("pytest is not among")), "{:?}", found.notes);
    let found = of("import unittest\n");
    assert_eq!((found.facts.tests.as_deref(), found.facts.has_pytest), (Some("tests"), false));
}
