//! What comes out: config, names, platforms, files.

use std::fs;

use jettison_oci::image::{ImageOrIndex, Index};
use jettison_oci::types::Platform;
use jettison_testkit::registry::Registry;
use serde_json::json;

use super::Site;
use crate::fixture::printing_for;

#[test]
fn config_and_history_are_as_other_builders_write_them() {
    let site = Site::new();
    site.dockerfile(
        "FROM base\nARG V=1\nENV A=1 B=\"two words\"\nRUN echo $V > /v\nWORKDIR /srv/app\nEXPOSE 80 8000-8001/udp\nUSER 1000\n\
         CMD [\"cat\", \"/v\"]\nLABEL own=1\n",
    );
    site.build(&["-t", "app", "--label", "given=2", "--annotation", "note=3"]).ok();
    let config = site.config("app");
    assert_eq!(config["config"]["Env"], json!(["PATH=/usr/bin:/bin", "FROM_BASE=1", "A=1", "B=two words"]));
    assert_eq!(config["config"]["ExposedPorts"], json!({"80/tcp": {}, "8000/udp": {}, "8001/udp": {}}));
    assert_eq!(config["config"]["Labels"], json!({"own": "1", "given": "2"}));
    assert_eq!((&config["config"]["User"], &config["config"]["WorkingDir"]), (&json!("1000"), &json!("/srv/app")));
    assert_eq!(config["annotations"], json!({"note": "3"}));
    let history: Vec<_> =
        config["history"].as_array().unwrap().iter().skip(1).map(|step| &step["created_by"]).collect();
    assert_eq!(
        history,
        [
            "ARG V=1",
            "ENV A=1 B=two words",
            "RUN |1 V=1 /bin/sh -c echo $V > /v # buildkit",
            "WORKDIR /srv/app",
            "EXPOSE [80/tcp 8000/udp 8001/udp]",
            "USER 1000",
            "CMD [\"cat\" \"/v\"]",
            "LABEL own=1",
        ]
    );
    assert_eq!(site.user.run(&["run", "app"]).ok(), "1\n");
}

#[test]
fn stages_that_nobody_needs_are_not_run() {
    let site = Site::new();
    site.dockerfile(
        "FROM base AS broken\nRUN exit 1\nFROM base AS one\nRUN echo 1 > /n\nFROM one AS two\nRUN echo 2 > /n\n",
    );
    assert_eq!((site.read("n", &[]), site.read("n", &["--target", "one"])), ("2\n".into(), "1\n".into()));
    let (code, said) = site.build(&["--target", "three"]).failed();
    assert!(code == 2 && said.contains("no stage `three`\nhint: there are `broken`, `one`, `two`"), "{said}");
}

#[test]
fn names_files_and_registries_get_it() {
    let site = Site::new();
    let registry = Registry::start();
    let name = registry.reference("team/app:1");
    site.dockerfile("FROM base\nRUN echo x > /x\n");
    let flags = ["-t", &name, "--push", "--iidfile", "id", "--metadata-file", "meta"];
    let mut command = site.user.command(&["build"]);
    let built = crate::fixture::Ran::of(command.arg(&site.context).args(flags));
    let digest = built.ok();
    assert_eq!(format!("{}\n", fs::read_to_string(site.user.path("id")).unwrap()), digest);
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(site.user.path("meta")).unwrap()).unwrap();
    assert_eq!((&meta["frontend"], &meta["digest"]), (&json!("dockerfile"), &json!(digest.trim())));
    // What was pushed is a base for others.
    let other = Site::new();
    other.dockerfile(&format!("FROM {name}\nRUN cat /x > /y\n"));
    let mut command = other.user.command(&["build", "-t", "derived"]);
    crate::fixture::Ran::of(command.arg(&other.context)).ok();
    // Asked once, it is known without the registry.
    drop(registry);
    assert_eq!(other.build(&["-t", "derived"]).code, 0);
}

#[test]
fn several_platforms_make_an_index() {
    let site = Site::new();
    let platforms = ["linux/amd64", "linux/arm64"];
    let images = platforms.map(|platform| printing_for(&platform.parse::<Platform>().unwrap(), platform));
    site.user.import(&ImageOrIndex::Index(Index::of(&images)), "many");
    site.dockerfile("FROM many\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Dockerfile /d\n");
    let report = site.report(&["--platform", "linux/amd64,linux/arm64", "-t", "both"]);
    let built: Vec<_> = report["images"].as_array().unwrap().iter().map(|image| image["platform"].clone()).collect();
    assert_eq!(built, platforms);
}

#[test]
fn the_report_says_what_was_left_behind() {
    let site = Site::new();
    site.dockerfile("FROM base AS builder\nRUN echo 12345 > /big\nFROM base\nCOPY --from=builder /big /app/small\n");
    let report = site.report(&["-t", "app"]);
    assert_eq!(report["frontend"], "dockerfile");
    assert_eq!(
        report["stages"],
        json!([
            {"name": "1", "made_bytes": 6, "kept": true},
            {"name": "builder", "made_bytes": 6, "kept": false},
        ])
    );
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers.last().unwrap()["created_by"], "COPY /big /app/small # buildkit");
    let owned: u64 = report["owners"].as_array().unwrap().iter().map(|owner| owner["bytes"].as_u64().unwrap()).sum();
    assert_eq!(owned, report["unpacked_bytes"].as_u64().unwrap());
}
