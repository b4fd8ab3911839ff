use std::os::unix::fs::symlink;

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn kept(application: &Application) -> Vec<String> {
    application.files.iter().map(|file| file.path.to_string()).collect()
}

fn left_out(application: &Application) -> String {
    let line = |left: &LeftOut| format!("{}{}: {}", left.path, if left.is_directory { "/" } else { "" }, left.reason);
    application.left_out.iter().map(line).collect::<Vec<_>>().join("\n")
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nx\n";

#[test]
fn what_never_belongs_into_an_image_stays_out() {
    let directory = tree(&[
        ("main.py", "x = 1\n"),
        ("pyproject.toml", ""),
        ("templates/index.html", ""),
        ("build/x.whl", ""),
        ("shop/__init__.py", ""),
        ("shop/build/plan.py", ""),
        ("shop/tests/test_a.py", ""),
        ("shop/__pycache__/a.cpython-313.pyc", ""),
        ("shop.egg-info/PKG-INFO", ""),
        (".git/config", ""),
        (".venv/bin/python", ""),
        ("env/pyvenv.cfg", ""),
        ("node_modules/x/index.js", ""),
        ("web/node_modules/x/index.js", ""),
        ("tests/test_main.py", ""),
        ("test_top.py", ""),
        (".env", "A=1"),
        (".env.production", "A=1"),
        (".envrc", ""),
        ("Dockerfile", ""),
        ("Procfile", "web: x"),
        ("docker-compose.prod.yml", ""),
        ("compose.yaml", ""),
        ("uv.lock", ""),
        ("certs/ca.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("certs/server.pem", KEY),
        ("certs/server.key", KEY),
        ("id_ed25519", KEY),
        (".DS_Store", ""),
        ("old.pyc", ""),
    ]);
    let application = Application::read(directory.path(), &Filter::default()).unwrap();
    assert_eq!(
        kept(&application),
        [
            "certs/ca.pem",
            "main.py",
            "pyproject.toml",
            "shop/__init__.py",
            "shop/build/plan.py",
            "shop/tests/test_a.py",
            "templates/index.html"
        ]
    );
    insta::assert_snapshot!(left_out(&application), @"
    .DS_Store: cache
    .env: environment file
    .env.production: environment file
    .envrc: environment file
    .git/: version control
    .venv/: virtual environment
    Dockerfile: image build files
    Procfile: image build files
    build/: build output
    certs/server.key: private key
    certs/server.pem: private key
    compose.yaml: image build files
    docker-compose.prod.yml: image build files
    env/: virtual environment
    id_ed25519: private key
    node_modules/: JavaScript packages
    old.pyc: bytecode
    shop.egg-info/: build output
    shop/__pycache__/: bytecode
    test_top.py: tests
    tests/: tests
    uv.lock: lock file
    web/node_modules/: JavaScript packages
    ");
    assert_eq!(application.bytes(), 6 + 28);
    let source = SourceTree::files(&application);
    assert!(["Procfile", "main.py"].iter().all(|path| source.contains(&(*path).to_owned())) && source.len() == 8);
    assert_eq!(SourceTree::read(&application, "main.py").unwrap(), b"x = 1\n");
    assert!(SourceTree::read(&application, "../x").is_err());
}

#[test]
fn dockerignore_and_settings() {
    let files = [
        (".dockerignore", "data\n!data/keep.csv\n*.md\n"),
        ("README.md", "12345"),
        ("data/big.bin", ""),
        ("data/keep.csv", ""),
        ("main.py", ""),
        ("tests/fixture.json", ""),
        ("tests/deep/a/b.json", ""),
        ("notes/a.txt", ""),
        (".env.example", ""),
    ];
    let directory = tree(&files);
    let read = |include: &[&str], exclude: &[&str]| {
        let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let filter = Filter { include: owned(include), exclude: owned(exclude), measure: false };
        Application::read(directory.path(), &filter).unwrap()
    };
    let plain = read(&[], &[]);
    assert_eq!(kept(&plain), ["data/keep.csv", "main.py", "notes/a.txt"]);
    assert_eq!(
        left_out(&plain),
        ".dockerignore: image build files\n.env.example: environment file\nREADME.md: in .dockerignore\n\
         data/big.bin: in .dockerignore\ntests/: tests"
    );
    assert_eq!(plain.left_out[2].bytes, Some(5));
    let set = read(&["tests/deep", "README.md", ".env.example"], &["notes"]);
    assert_eq!(kept(&set), [".env.example", "README.md", "data/keep.csv", "main.py", "tests/deep/a/b.json"]);
    assert!(left_out(&set).contains("notes/: excluded by the settings\ntests/fixture.json: tests"));
    let bad = Application::read(directory.path(), &Filter { exclude: vec!["a[".to_owned()], ..Filter::default() })
        .unwrap_err();
    assert_eq!(bad.to_string(), "exclude, line 1: `a[` has a `[` without its `]`");
}

#[test]
fn links_modes_and_empty_directories() {
    let directory = tree(&[("run.sh", "#!/bin/sh\n"), ("a/real.txt", "x")]);
    let root = directory.path();
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(root.join("uploads/new")).unwrap();
    symlink("real.txt", root.join("a/inside")).unwrap();
    symlink("../run.sh", root.join("a/up")).unwrap();
    symlink("../../etc/passwd", root.join("a/out")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("..", root.join("a/root")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let application = Application::read(root, &Filter::default()).unwrap();
    let shown = application.files.iter().map(|file| match &file.kind {
        AppKind::Symlink(target) => format!("{} -> {}", file.path, String::from_utf8_lossy(target)),
        kind => format!("{} {kind:?}", file.path),
    });
    insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @"
    a/inside -> real.txt
    a/real.txt File { executable: false, len: 1 }
    a/root -> ..
    a/up -> ../run.sh
    run.sh File { executable: true, len: 10 }
    uploads/new EmptyDirectory
    ");
    assert_eq!(
        left_out(&application),
        "a/out: link that leads out of the project\nabsolute: link that leads out of the project\nsocket: not a regular file"
    );
    let entries = application.entries(&TreePath::parse("app").unwrap()).unwrap();
    let run = entries.iter().find(|entry| entry.path.as_bytes() == b"app/run.sh").unwrap();
    assert_eq!((run.mode, run.uid), (0o755, 0));
}

#[test]
fn a_directory_that_is_left_out_is_measured_only_on_request() {
    let directory = tree(&[(".venv/lib/a.py", "12345"), (".venv/b.py", "678"), ("main.py", "")]);
    let read = |measure| {
        Application::read(directory.path(), &Filter { measure, ..Filter::default() }).unwrap().left_out[0].bytes
    };
    assert_eq!((read(false), read(true)), (None, Some(8)));
    // It is not even opened.
    fs::set_permissions(directory.path().join(".venv"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(read(false), None);
    fs::set_permissions(directory.path().join(".venv"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn secrets_in_what_stays_are_reported() {
    let directory = tree(&[
        ("settings.py", "x = 1\nSECRET_KEY = '9f86d081884c7d659a2feaa0'\n"),
        (".env", "SECRET_KEY=9f86d081884c7d659a2feaa0\n"),
    ]);
    let suspicions = Application::read(directory.path(), &Filter::default()).unwrap().suspicions().unwrap();
    let shown: Vec<_> = suspicions.iter().map(|s| format!("{}: {}", s.place, s.kind)).collect();
    assert_eq!(shown, ["settings.py:2:15: high-entropy secret"]);
}
