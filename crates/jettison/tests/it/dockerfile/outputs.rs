//! Where images go, and what is said meanwhile.

use std::fs;
use std::sync::{Arc, Mutex};

use jettison_testkit::HttpServer;
use jettison_testkit::http::Response;
use serde_json::Value;

use super::Site;
use crate::fixture::Ran;

#[test]
fn a_daemon_is_given_the_image() {
    let site = Site::new();
    site.dockerfile("FROM base\nCOPY Dockerfile /d\n");
    let held = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&held);
    let daemon = HttpServer::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_ping") => Response::ok(*b"OK").header("Api-Version", "1.45"),
        ("POST", path) if path.ends_with("/images/load") => {
            shared.lock().unwrap().clone_from(&request.body);
            Response::ok(*b"{\"stream\":\"Loaded image: app:latest\\n\"}\r\n")
        }
        _ => Response::status(404).body(*b"{\"message\":\"no\"}"),
    });
    let (_, said) = site.build(&["--load"]).failed();
    assert!(said.contains("the image has no name to push or load it under\nhint: name it with -t NAME"), "{said}");
    for flags in [["-t", "app", "--load"], ["-t", "app", "--output=type=docker"]] {
        held.lock().unwrap().clear();
        let mut command = site.user.command(&["build"]);
        command.arg(&site.context).args(flags).env("DOCKER_HOST", format!("tcp://{}", daemon.authority()));
        let ran = Ran::of(&mut command);
        assert!(ran.stderr.contains("Loaded image: app:latest"), "{}", ran.stderr);
        ran.ok();
        fs::write(site.user.path("loaded.tar"), &*held.lock().unwrap()).unwrap();
        site.user.run(&["copy", "docker-archive:loaded.tar", "store:back"]).ok();
        assert_eq!(site.config("back"), site.config("app"));
    }
    drop(daemon);
    let mut command = site.command(&["-t", "app", "--load"]);
    let (code, said) = Ran::of(command.env("DOCKER_HOST", "unix:///nowhere/docker.sock")).failed();
    assert!(code == 2 && said.contains("/nowhere/docker.sock"), "{said}");
}

#[test]
fn files_go_into_a_tar_or_to_standard_output() {
    let site = Site::new();
    site.file("file", "text\n").dockerfile("FROM scratch\nCOPY file /dir/file\n");
    let digest = site.build(&["-o", "type=tar,dest=out.tar"]).ok();
    let tar = fs::read(site.user.path("out.tar")).unwrap();
    for flags in [["-o", "-"], ["-o", "type=tar,dest=-"]] {
        let output = site.command(&flags).output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, tar);
        assert!(String::from_utf8_lossy(&output.stderr).contains(digest.trim()));
    }
    let mut reader = jettison_oci::layer::TarReader::new(tar.as_slice());
    let mut found = Vec::new();
    while let Some(mut entry) = reader.next_entry().unwrap() {
        let name = String::from_utf8(entry.header().name.clone()).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        found.push((name, text));
    }
    assert_eq!(found, [("dir/".to_owned(), String::new()), ("dir/file".to_owned(), "text\n".to_owned())]);
    let (_, said) = site.build(&["-o", "-", "--json"]).failed();
    assert!(said.contains("standard output can take one thing only"), "{said}");
}

#[test]
fn progress_is_told_as_buildx_tells_it() {
    let site = Site::new();
    site.dockerfile("FROM base\nRUN echo from-the-step\n");
    let ran = site.build(&["--progress=rawjson"]);
    let said = ran.stderr.clone();
    let digest = ran.ok();
    assert!(digest.starts_with("sha256:"));
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let vertexes = || lines.iter().filter_map(|line| line["vertexes"].get(0));
    let step = vertexes().find(|vertex| vertex["name"] == "[2/2] RUN echo from-the-step").unwrap();
    assert!(vertexes().any(|vertex| vertex["digest"] == step["digest"] && vertex["completed"].is_string()));
    let log = lines.iter().find_map(|line| line["logs"].get(0)).unwrap();
    assert_eq!((&log["vertex"], log["data"].as_str().unwrap()), (&step["digest"], "ZnJvbS10aGUtc3RlcAo="));
    let again = site.build(&["--progress=rawjson"]).stderr;
    assert!(again.contains("\"cached\":true"), "{again}");
    // A terminal is wanted where there is none.
    let plain = site.build(&["--progress=tty", "--no-cache"]).stderr;
    assert!(plain.contains("  | from-the-step"), "{plain}");
    let quiet = site.build(&["--progress=quiet"]);
    assert_eq!((quiet.stderr.as_str(), quiet.code), ("", 0));
}

#[test]
fn what_is_not_there_is_said() {
    let site = Site::new();
    site.dockerfile("FROM base\nLABEL a=b\n");
    site.build(&["--provenance=false", "--sbom", "false", "--attest", "type=sbom,disabled=true"]).ok();
    for (flags, what) in [
        (
            ["--provenance", "mode=max"],
            "--provenance mode=max: attestations are not made\nhint: leave it out; --metadata-file",
        ),
        (["--sbom", "true"], "--sbom true: attestations are not made"),
        (["--attest", "type=provenance"], "attestations are not made"),
        (
            ["--cache-to", "type=gha,mode=max"],
            "of the type `gha`, and caches are directories here\nhint: write type=local,dest=DIR; keep the directory with the action `actions/cache`",
        ),
        (["--cache-from", "type=registry,ref=a/b:cache"], "of the type `registry`"),
        (["--cache-from", "me/app:cache"], "hint: write type=local,src=DIR"),
        (["--cache-to", "type=inline"], "of the type `inline`"),
    ] {
        let (code, said) = site.build(&flags).failed();
        assert!(code == 2 && said.contains(what), "{flags:?}: {said}");
    }
    site.dockerfile("FROM base\nRUN --device=vendor.com/device=gpu true\n");
    site.build(&[]).ok();
    site.dockerfile("FROM base\nRUN --device=vendor.com/device=gpu,required true\n");
    let (_, said) = site.build(&[]).failed();
    assert!(said.contains(":2:14: the step needs the device `vendor.com/device=gpu,required`"), "{said}");
}
