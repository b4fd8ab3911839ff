//! Which files of a project go into its image.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::contents::Contents;
use super::{Site, copy_for, digest, ran};
use crate::fixture::User;

#[test]
fn what_does_not_belong_into_an_image_stays_out() {
    let site = Site::new();
    let project = site
        .project()
        .file("static/logo.svg", "<svg/>")
        .file("static/big.psd", "raw")
        .file(".dockerignore", "static/*.psd\nnotes\n!notes/keep.md\n")
        .file("notes/draft.md", "draft")
        .file("notes/keep.md", "keep")
        .file(".git/config", "[remote]\n")
        .file("env/pyvenv.cfg", "home = /usr/bin\n")
        .file("env/lib/python3.13/site-packages/x.py", "")
        .file("__pycache__/app.cpython-313.pyc", "x")
        .file(".env", "PASSWORD=hunter2\n")
        .file("deploy.pem", "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n")
        .executable("bin/migrate", "#!/bin/sh\n")
        .symlink("current", "static")
        .symlink("outside", "../../etc/passwd");
    let image = site.image(project.path(), &[]);
    let rows = Contents::of(&image).rows();
    let rows: Vec<&str> = rows.lines().filter(|row| row.contains(" app/")).collect();
    assert_eq!(
        rows,
        [
            "-644 0:0 3 app/app.py",
            "d755 0:0 3 app/bin",
            "-755 0:0 3 app/bin/migrate",
            "l777 0:0 3 app/current -> static",
            "d755 0:0 3 app/notes",
            "-644 0:0 3 app/notes/keep.md",
            "-644 0:0 3 app/requirements.txt",
            "d755 0:0 3 app/static",
            "-644 0:0 3 app/static/logo.svg",
        ]
    );

    let report: serde_json::Value = serde_json::from_str(&site.build(project.path(), &["--json"]).ok()).unwrap();
    let reason = |path: &str| {
        let left_out = report["left_out"].as_array().unwrap();
        let row = left_out.iter().find(|row| row["path"] == path);
        row.unwrap_or_else(|| panic!("{path}: {left_out:#?}"))["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason("static/big.psd"), "in .dockerignore");
    assert_eq!(reason(".git"), "version control");
    assert_eq!(reason("env"), "virtual environment");
    assert_eq!(reason(".env"), "environment file");
    assert_eq!(reason("deploy.pem"), "private key");
    assert_eq!(reason("outside"), "link that leads out of the project");

    // What is asked for by name is taken.
    let contents = Contents::of(&site.image(project.path(), &["--include", ".env", "--exclude", "bin"]));
    assert!(contents.has("app/.env") && !contents.has("app/bin/migrate"));
}

#[test]
fn what_looks_like_a_secret_is_named_each_time() {
    let site = Site::new();
    let project = site.project().file("settings.py", "import os\n\nAWS_KEY = \"AKIAQ3EGRZT7PWXNLD5V\"\n");
    for _ in 0..2 {
        let ran = site.build(project.path(), &[]);
        assert!(ran.stderr.contains("warning: settings.py:3"), "{}", ran.stderr);
        assert!(ran.stderr.contains("looks like a secret"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("AKIAQ3EGRZT7PWXNLD5V"), "the secret itself is not shown: {}", ran.stderr);
        assert_eq!(ran.code, 0);
    }
}

#[test]
fn a_project_that_cannot_be_written_to_is_built() {
    let site = Site::new();
    let project = site.project();
    let wanted = site.digest(project.path(), &[]);
    fs::remove_file(project.path().join("jettison.lock")).unwrap();
    for user in User::all() {
        let copy = copy_for(&user, &project, "read-only");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o555)).unwrap();
        let ran = ran(site.command(&user, &copy, &[]));
        // Root writes wherever it wants to.
        let is_root = fs::metadata(&copy).unwrap().uid() == 0;
        assert!(is_root || ran.stderr.contains("warning: what was chosen is not kept"), "{}", ran.stderr);
        assert_eq!(copy.join("jettison.lock").exists(), is_root);
        assert_eq!(digest(ran), wanted);
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_lock_that_cannot_be_read_is_named() {
    let site = Site::new();
    let project = site.project();
    for (text, words) in [("version = 1\nbase = 3\n", "jettison.lock:2:8: "), ("<<<<<<< HEAD\n", "jettison.lock:1:")] {
        project.write("jettison.lock", text);
        let refusal = site.refused(&project, &[], 2);
        assert!(refusal.error.contains(words), "{}", refusal.said);
    }
}
