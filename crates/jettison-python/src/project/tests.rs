use std::path::Path;
use std::str::FromStr;

use super::*;

fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Project, ProjectError>) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files);
    let project = Project::read(directory.path());
    (directory, project)
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn read(files: &[(&str, &str)]) -> Project {
    project(files).1.unwrap()
}

fn lines(requirements: &[Requirement]) -> String {
    requirements.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

fn trail(project: &Project) -> String {
    project.looked_at.iter().map(|looked| format!("{}: {}", looked.path, looked.verdict)).collect::<Vec<_>>().join("\n")
}

const PEP_621: &str = r#"
[build-system]
requires = ["hatchling>=1.20"]
build-backend = "hatchling.build"
[project]
name = "Web_App"
version = "1.2"
requires-python = ">=3.11,<3.14"
dependencies = ["fastapi[standard]>=0.110", "uvicorn ; sys_platform != 'win32'"]
[project.optional-dependencies]
pg = ["psycopg2"]
[project.scripts]
web-app = "web_app.cli:main"
[project.entry-points."web.plugins"]
a = "web_app.a"
[dependency-groups]
test = ["pytest"]
dev = [{include-group = "Test"}, "ruff>=0.4"]
"#;

#[test]
fn pep_621_and_735() {
    let project = read(&[("pyproject.toml", PEP_621), ("src/web_app/__init__.py", "")]);
    assert_eq!(project.name.as_ref().unwrap(), "web-app");
    assert_eq!(project.version.as_deref(), Some("1.2"));
    assert_eq!(lines(&project.dependencies), "fastapi[standard]>=0.110 | uvicorn ; sys_platform != \"win32\"");
    assert_eq!(lines(&project.groups[&NormalizedName::parse("dev").unwrap()]), "pytest | ruff>=0.4");
    assert_eq!(lines(&project.extras[&NormalizedName::parse("pg").unwrap()]), "psycopg2");
    assert_eq!(project.scripts["web-app"], "web_app.cli:main");
    assert_eq!(project.entry_points["web.plugins"]["a"], "web_app.a");
    assert_eq!(project.build_system.as_ref().unwrap().backend.as_deref(), Some("hatchling.build"));
    assert!(project.is_package);
    assert_eq!((project.layout, &project.dependency_source), (Layout::Src, &DependencySource::Declared));
    let allows = |version: &str| project.requires_python.as_ref().unwrap().allows(&Version::from_str(version).unwrap());
    assert!(allows("3.13.5") && !allows("3.14.0") && !allows("3.10.1"));
}

#[test]
fn poetry_in_its_own_words() {
    let project = read(&[
        (
            "pyproject.toml",
            r#"
            [tool.poetry]
            name = "shop"
            version = "0.1.0"
            [tool.poetry.dependencies]
            python = "^3.11 || ^4"
            flask = "^3.0"
            psycopg2 = { version = "*", optional = true }
            [tool.poetry.extras]
            pg = ["psycopg2"]
            [tool.poetry.group.dev.dependencies]
            pytest = "*"
            [tool.poetry.scripts]
            shop = "shop:main"
            [[tool.poetry.source]]
            name = "internal"
            url = "https://h/simple"
            priority = "explicit"
            [build-system]
            requires = ["poetry-core"]
            build-backend = "poetry.core.masonry.api"
            "#,
        ),
        ("poetry.lock", ""),
        ("shop.py", ""),
    ]);
    assert_eq!(lines(&project.dependencies), "flask>=3.0,<4");
    assert_eq!(lines(&project.extras[&NormalizedName::parse("pg").unwrap()]), "psycopg2");
    assert_eq!(project.requires_python.as_ref().unwrap().alternatives.len(), 2);
    assert!(matches!(&project.dependency_source, DependencySource::Lock(LockKind::Poetry, _)));
    assert_eq!(project.scripts["shop"], "shop:main");
    assert!(project.is_package && project.indexes[0].is_explicit);
    assert_eq!(
        trail(&project),
        "pyproject.toml: has [tool.poetry]\npoetry.lock: a lock: followed exactly\n\
         pyproject.toml: not used for dependencies: poetry.lock goes before it"
    );
}

#[test]
fn precedence() {
    let hashed = format!("flask==3.0 --hash=sha256:{}\n", "ab".repeat(32));
    let all: Vec<(&str, &str)> = vec![
        ("pylock.toml", ""),
        ("uv.lock", ""),
        ("poetry.lock", ""),
        ("Pipfile.lock", ""),
        ("requirements.txt", &hashed),
        ("pyproject.toml", "[project]\nname='a'\nversion='1'\ndependencies=['flask']\n"),
    ];
    let shown = |project: &Project| match &project.dependency_source {
        DependencySource::Lock(kind, _) => kind.file_name().to_owned(),
        other => format!("{other:?}"),
    };
    let expected = ["pylock.toml", "uv.lock", "poetry.lock", "Pipfile.lock", "requirements.txt", "Declared"];
    for (skip, expected) in expected.iter().enumerate() {
        assert_eq!(&shown(&read(&all[skip..])), expected);
    }
    assert!(matches!(read(&all).declared_source, DependencySource::Lock(LockKind::Uv, _)));
    let project = read(&[("requirements.txt", "flask\n"), ("requirements.in", "flask"), all[5]]);
    assert_eq!(project.dependency_source, DependencySource::Requirements(vec!["requirements.txt".to_owned()]));
    let project = read(&[("uv.lock", ""), ("requirements.txt", "what is this >>")]);
    assert!(matches!(project.dependency_source, DependencySource::Lock(LockKind::Uv, _)));
    let project = read(&[("requirements/prod.txt", "-r base.txt\n"), ("requirements/base.txt", "flask\n")]);
    assert_eq!(project.dependency_source, DependencySource::Requirements(vec!["requirements/prod.txt".to_owned()]));
    let project = read(&[("requirements-dev.txt", "pytest\n"), ("main.py", "")]);
    assert_eq!(project.dependency_source, DependencySource::None);
    assert_eq!(trail(&project), "requirements-dev.txt: not used: its name says that it is for something else");
}

#[test]
fn setup_files() {
    let project = read(&[("setup.py", "from setuptools import setup\nsetup(name='a', install_requires=['flask'])\n")]);
    assert_eq!((lines(&project.dependencies).as_str(), project.is_package), ("flask", true));
    assert_eq!(project.dependency_source, DependencySource::Declared);
    let project = read(&[("setup.py", "from setuptools import setup\nsetup(name='a', install_requires=read())\n")]);
    assert_eq!(project.dependency_source, DependencySource::Backend);
    let project = read(&[("setup.cfg", "[flake8]\nmax-line-length = 100\n")]);
    assert_eq!((&project.dependency_source, project.is_package), (&DependencySource::None, false));
    let dynamic = "[project]\nname='a'\ndynamic=['version','dependencies']\n[build-system]\nrequires=['setuptools']\n";
    let project = read(&[("pyproject.toml", dynamic)]);
    assert_eq!(project.dependency_source, DependencySource::Backend);
}

#[test]
fn pipfile() {
    let text = "[[source]]\nname='pypi'\nurl='https://pypi.org/simple'\n[packages]\nflask='*'\n[dev-packages]\npytest='*'\n\
                [requires]\npython_version='3.12'\n";
    let project = read(&[("Pipfile", text)]);
    assert_eq!(
        (lines(&project.dependencies).as_str(), &project.dependency_source),
        ("flask", &DependencySource::Declared)
    );
    assert_eq!(project.python_wish().as_deref(), Some("Python 3.12 (Pipfile)"));
    assert!(project.indexes[0].is_default);
}

#[test]
fn pins_by_precedence() {
    let project = read(&[
        (".python-version", "pypy3.10\n"),
        ("runtime.txt", "python-3.11.2"),
        (".tool-versions", "python 3.9.1"),
    ]);
    assert_eq!(project.python_wish().as_deref(), Some("Python python-3.11.2 (runtime.txt:1)"));
    assert_eq!(
        trail(&project),
        ".python-version: not used: asks for `pypy3.10`; only CPython is supported\n\
         runtime.txt: wants Python python-3.11.2\n.tool-versions: not used: runtime.txt goes before it"
    );
}

#[test]
fn a_member_uses_the_lock_of_its_workspace() {
    let directory = tempfile::tempdir().unwrap();
    let member = "[project]\nname='api'\nversion='1'\n";
    write(
        directory.path(),
        &[
            ("pyproject.toml", "[tool.uv.workspace]\nmembers=['packages/*']\nexclude=['packages/old']\n"),
            ("uv.lock", ""),
            ("packages/api/pyproject.toml", member),
            ("packages/old/pyproject.toml", member),
        ],
    );
    let project = Project::read(&directory.path().join("packages/api")).unwrap();
    let DependencySource::Lock(LockKind::Uv, path) = &project.dependency_source else { panic!("{project:?}") };
    assert_eq!(path, &directory.path().canonicalize().unwrap().join("uv.lock"));
    let project = Project::read(&directory.path().join("packages/old")).unwrap();
    assert_eq!(project.dependency_source, DependencySource::None);
}

#[test]
fn mistakes_have_a_place() {
    let errors: Vec<_> = [
        "[project\nname = 'a'\n",
        "[project]\nname = 'a'\ndependencies = ['flask >> 2']\n",
        "[project]\nname = 'a b'\n",
        "[project]\nname = 'a'\nrequires-python = '^3.11'\n",
        "[project]\nname = 'a'\ndependencies = 'flask'\n",
        "[dependency-groups]\na = ['x', {include-group = 'b'}]\nb = [{include-group = 'a'}]\n",
        "[dependency-groups]\na = [\n  {include-group = 'c'}]\n",
        "[dependency-groups]\na = [{path = 'c'}]\n",
        "[tool.poetry.dependencies]\nflask = '^x'\n",
        "[tool.uv]\nindex = [1]\n",
    ]
    .iter()
    .map(|text| {
        let error = project(&[("pyproject.toml", text)]).1.unwrap_err();
        error.hint().map_or(error.to_string(), |hint| format!("{error} ({hint})"))
    })
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    pyproject.toml:1:9: unclosed table, expected `]`
    pyproject.toml:3:17: no such comparison operator ">>", must be one of ~= == != <= >= < > ===, at column 7 of `flask >> 2`
    pyproject.toml:2:8: `a b` is not a valid name: letters, digits, `-`, `_` and `.`, with a letter or digit at each end
    pyproject.toml:3:19: `^3.11` is no set of version specifiers (write something like `>=3.11`)
    pyproject.toml:3:16: invalid type: string "flask", expected a sequence
    pyproject.toml:3:6: the dependency group `a` includes itself
    pyproject.toml:3:3: there is no dependency group `c`
    pyproject.toml:2:6: a dependency group holds requirements and `{include-group = "…"}` only
    pyproject.toml:1:7: [tool.poetry] `flask`: `^x` is no version constraint
    pyproject.toml:1:1: [tool.uv] invalid type: integer `1`, expected a table
    "#);
    assert!(matches!(Project::read(Path::new("/nonexistent")), Err(ProjectError::NotADirectory(_))));
}

#[test]
fn loose_files_are_a_project_too() {
    let project = read(&[("main.py", "print('hello')\n")]);
    assert_eq!(
        (project.dependency_source, project.layout, project.is_package),
        (DependencySource::None, Layout::Modules, false)
    );
    assert!(project.looked_at.is_empty());
}
