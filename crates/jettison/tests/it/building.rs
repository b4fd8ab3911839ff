//! `build`, with an archive of Debian's and an index of distributions on loopback: what the command says and writes. The
//! interpreter of that world is a stand-in, so nothing is verified here.

use std::fs;

use jettison_testkit::{Project, Registry, World};
use serde_json::Value;

use crate::fixture::{Ran, User};

struct Builder {
    user: User,
    world: World,
}

impl Builder {
    fn new() -> Self {
        Self { user: User::new(), world: World::new() }
    }

    fn build(&self, project: &Project, flags: &[&str]) -> Ran {
        let mut command = self.user.command(&["build", "--no-verify", "--bytecode", "none"]);
        command.arg(project.path()).args(flags);
        let archive = &self.world.archive;
        command.env("JETTISON_DEBIAN_MIRROR", archive.url());
        command.env("JETTISON_DEBIAN_SECURITY_MIRROR", archive.security_url());
        command.env("JETTISON_DEBIAN_KEYRING", archive.keyring_file());
        Ran::of(&mut command)
    }
}

#[test]
fn the_digest_is_all_that_goes_to_standard_output() {
    let builder = Builder::new();
    let project = builder.world.project();
    let first = builder.build(&project, &[]);
    let report = first.stderr.clone();
    let digest = first.ok();
    assert!(digest.starts_with("sha256:") && digest.len() == 72, "{digest}");
    assert!(
        report.starts_with(&format!("building {} from its Python project\n", project.path().display())),
        "{report}"
    );
    for part in ["LAYER", "OWNER", "flask 3.1.2", "start   `gunicorn app:app", "verify  not verified", "name    "] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert!(!report.contains('\x1b'));

    // Nothing is fetched, and nothing but the digest is said.
    builder.world.archive.server().clear_log();
    builder.world.index.server().clear_log();
    let again = builder.build(&project, &["--quiet", "--offline", "--locked"]);
    assert_eq!((again.stderr.as_str(), again.stdout.as_str()), ("", digest.as_str()));
    assert_eq!(builder.world.archive.server().log().len() + builder.world.index.server().log().len(), 0);

    // The directory names the image.
    let path = project.path().to_str().unwrap();
    let listed = builder.user.run(&["images", "--json"]).ok();
    assert!(listed.contains(&format!("\"dir:{path}\"")), "{listed}");
    assert_eq!(builder.user.run(&["copy", &format!("store:{path}"), "oci:layout"]).ok(), digest);
}

#[test]
fn the_report_is_one_json_object() {
    let builder = Builder::new();
    let project = builder.world.project();
    let flags = ["--json", "-q", "-t", "app", "--iidfile", "id", "--metadata-file", "report.json"];
    let said = builder.build(&project, &flags).ok();
    let report: Value = serde_json::from_str(&said).unwrap();
    let digest = report["digest"].as_str().unwrap();
    assert_eq!(said.lines().count(), 1);
    assert_eq!(fs::read_to_string(builder.user.path("id")).unwrap(), digest);
    assert_eq!(fs::read_to_string(builder.user.path("report.json")).unwrap(), said);
    assert_eq!(report["names"][0], "app:latest");
    assert_eq!(report["platform"], "linux/amd64");
    let sum = |list: &str, member: &str| -> u64 {
        report[list].as_array().unwrap().iter().map(|item| item[member].as_u64().unwrap()).sum()
    };
    assert_eq!(Some(sum("layers", "compressed_bytes")), report["compressed_bytes"].as_u64());
    assert_eq!(Some(sum("layers", "unpacked_bytes")), report["unpacked_bytes"].as_u64());
    assert_eq!(sum("owners", "bytes"), sum("layers", "unpacked_bytes"), "every byte has an owner");
    assert!(report["layers"][0]["diff_id"].as_str().unwrap().starts_with("sha256:"));
    assert!(report["timings"].as_array().is_some_and(|timings| !timings.is_empty()));
    assert_eq!((&report["verify"], report["not_verified"].is_string()), (&Value::Null, true));
}

#[test]
fn an_image_goes_wherever_it_is_wanted() {
    let builder = Builder::new();
    let registry = Registry::start();
    let (one, two) = (registry.reference("team/app:1"), registry.reference("team/app:2"));
    let project = builder.world.project().file("Dockerfile", "FROM scratch\n");
    let flags =
        ["--native", "-t", &one, "-t", &two, "--push", "-o", "type=oci,dest=app.tar", "-o", "type=local,dest=files"];
    let built = builder.build(&project, &flags);
    assert!(built.stderr.contains("; the Dockerfile there is not used\n"), "{}", built.stderr);
    assert!(built.stderr.contains(&format!("pushed {one}: ")), "{}", built.stderr);
    assert!(built.stderr.contains("wrote app.tar (OCI archive)"), "{}", built.stderr);
    let digest = built.ok();
    for tag in ["1", "2"] {
        assert!(registry.manifest("team/app", tag).is_some());
    }
    assert!(builder.user.path("files/app/app.py").is_file());
    assert_eq!(builder.user.run(&["copy", "oci-archive:app.tar", "store:back"]).ok(), digest);

    // New code is one layer, the config and the manifest.
    registry.server().clear_log();
    project.write("app.py", "from flask import Flask\napp = Flask(__name__)\n# changed\n");
    builder.build(&project, &["--native", "-t", &one, "--push"]).ok();
    let log = registry.server().log();
    assert_eq!((log.len(), log.iter().filter(|line| line.starts_with("POST")).count()), (5, 2), "{log:?}");
}

#[test]
fn a_failed_build_leaves_nothing_and_the_next_one_works() {
    let builder = Builder::new();
    let project = builder.world.project();
    let faults = builder.world.archive.server();
    faults.fault(jettison_testkit::Fault::flip_byte(100).on(".deb").always());
    let (code, said) = builder.build(&project, &["-o", "type=oci,dest=app.tar"]).failed();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("\nerror: "), "{said}");
    assert!(!builder.user.path("app.tar").exists());
    assert_eq!(builder.user.run(&["images", "--json"]).ok(), "[]\n");
    faults.clear_faults();
    builder.build(&project, &[]).ok();

    faults.fault(jettison_testkit::Fault::status(503).always());
    let (code, said) = Builder { user: User::new(), ..builder }.build(&project, &[]).failed();
    assert_eq!(code, 75, "{said}");
}
