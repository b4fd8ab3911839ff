//! Where a build takes things from: agents, secrets, registries, layouts, archives, repositories, docker's configuration.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::ContainerConfig;
use jettison_testkit::HttpServer;
use jettison_testkit::archive::{TarMember, tar};
use jettison_testkit::http::Response;
use jettison_testkit::registry::Registry;

use super::{Site, base_with_programs};
use crate::fixture::{Ran, image};

impl Site {
    /// A build that may use the network, of this context.
    fn online(&self, context: &str, flags: &[&str]) -> Ran {
        let mut command = self.user.command(&["build"]);
        Ran::of(command.arg(context).args(flags))
    }
}

#[test]
fn an_agent_is_there_for_the_step_that_asks() {
    let site = Site::new();
    let socket = site.user.path("agent");
    let _agent = UnixListener::bind(&socket).unwrap();
    site.dockerfile("FROM base\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\"\nRUN test -z \"$SSH_AUTH_SOCK\"\n");
    site.build(&["--ssh", &format!("default={}", socket.display())]).ok();
    let mut command = site.command(&["--ssh", "default", "--no-cache"]);
    Ran::of(command.env("SSH_AUTH_SOCK", &socket)).ok();
    let (_, said) = site.build(&["--ssh", "default"]).failed();
    assert!(said.contains("--ssh default: there is no agent\nhint: start one and set SSH_AUTH_SOCK"), "{said}");
    site.dockerfile("FROM base\nRUN --mount=type=ssh,required true\n");
    let (_, said) = site.build(&[]).failed();
    assert!(said.contains(":2:") && said.contains("was not given the SSH agent `default`"), "{said}");
}

#[test]
fn a_secret_can_be_a_variable() {
    let site = Site::new();
    site.dockerfile(
        "FROM base\nRUN --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = from-the-environment\n",
    );
    for flag in ["id=token,env=TOKEN", "type=env,id=token,env=TOKEN", "id=token,src=TOKEN,type=env"] {
        let mut command = site.command(&["--no-cache", "--secret", flag]);
        Ran::of(command.env("TOKEN", "from-the-environment")).ok();
    }
    let (_, said) = site.build(&["--secret", "id=token,env=TOKEN"]).failed();
    assert!(said.contains("the environment has no `TOKEN`"), "{said}");
}

#[test]
fn a_name_is_asked_for_again_when_pull_says_so() {
    let site = Site::new();
    let registry = Registry::start();
    let name = registry.reference("team/base:1");
    let push = |text: &str| {
        let mut members = base_with_programs();
        members.push(TarMember::file("which", text));
        site.user.import(&ImageOrIndex::Image(image(&[&members], ContainerConfig::default())), "to-push");
        site.user.run(&["push", "to-push", &name]).ok();
    };
    push("one\n");
    site.dockerfile(&format!("FROM {name}\nCOPY Dockerfile /d\n"));
    let context = site.context.to_str().unwrap();
    let which = |flags: &[&str]| {
        let out = site.user.path("out");
        site.online(context, &[flags, &["-o", out.to_str().unwrap()]].concat()).ok();
        let text = fs::read_to_string(out.join("which")).unwrap();
        fs::remove_dir_all(out).unwrap();
        text
    };
    assert_eq!(which(&[]), "one\n");
    push("two\n");
    registry.server().clear_log();
    assert_eq!(which(&[]), "one\n");
    assert_eq!(registry.server().log(), [] as [String; 0]);
    assert_eq!(which(&["--pull"]), "two\n");
    assert_eq!(which(&[]), "two\n");
}

#[test]
fn all_images_are_asked_for_at_once() {
    // Nobody is answered before all are asked for.
    let asked = Arc::new((Mutex::new(BTreeSet::new()), Condvar::new()));
    let shared = Arc::clone(&asked);
    let server = HttpServer::start(move |request| {
        let Some((name, _)) = request.path.split_once("/manifests/") else { return Response::ok(*b"{}") };
        let (names, changed) = &*shared;
        let mut names = names.lock().unwrap();
        names.insert(name.to_owned());
        changed.notify_all();
        let (names, _) = changed.wait_timeout_while(names, Duration::from_secs(20), |names| names.len() < 4).unwrap();
        Response::status(if names.len() < 4 { 400 } else { 404 })
    });
    let site = Site::new();
    let host = server.authority();
    site.dockerfile(&format!(
        "ARG TAG=1\nFROM {host}/unused AS unused\nFROM {host}/one:${{TAG}} AS one\nFROM base AS between\nCOPY --from={host}/two /x /x\n\
         FROM {host}/three\nRUN --mount=from={host}/four,target=/four true\nCOPY --from=one /x /x\nCOPY --from=between /x /x\n"
    ));
    let (_, said) = site.online(site.context.to_str().unwrap(), &[]).failed();
    let names: Vec<_> = asked.0.lock().unwrap().iter().cloned().collect();
    assert_eq!(names, ["/v2/four", "/v2/one", "/v2/three", "/v2/two"], "{said}");
    assert!(said.contains("Dockerfile:6:6") && said.contains("does not exist"), "{said}");
}

#[test]
fn images_come_from_layouts() {
    let site = Site::new();
    let layout = site.user.path("layout");
    site.user.run(&["copy", "store:base", &format!("oci:{}:old", layout.display())]).ok();
    site.dockerfile("FROM base AS made\nRUN echo made > /which\n");
    site.build(&["-t", "made"]).ok();
    site.user.run(&["copy", "store:made", &format!("oci:{}:new", layout.display())]).ok();
    site.dockerfile("FROM given\nCOPY --from=other /etc/group /copied\n");
    let at = |name: &str, tag: &str| format!("{name}=oci-layout://{}:{tag}", layout.display());
    let (given, other) = (at("given", "new"), at("other", "old"));
    assert_eq!(site.read("which", &["--build-context", &given, "--build-context", &other]), "made\n");
    let missing = at("given", "none");
    let (_, said) = site.build(&["--build-context", &missing, "--build-context", &other]).failed();
    assert!(said.contains(":1:6") && said.contains("none"), "{said}");
}

#[test]
fn a_context_can_be_an_archive_at_a_url() {
    let site = Site::new();
    let members = [
        TarMember::file("Dockerfile", "FROM base\nCOPY . /out/\n"),
        TarMember::file(".dockerignore", "secret\nDockerfile\n"),
        TarMember::file("file", "of the archive\n"),
        TarMember::file("secret", "x"),
    ];
    let archive = jettison_testkit::archive::Compression::Gzip.compress(&tar(&members));
    let server = HttpServer::start(move |request| match request.path.as_str() {
        "/context.tar.gz" => Response::ok(archive.clone()),
        "/Dockerfile" => Response::ok(*b"FROM base\nLABEL from=url\n"),
        _ => Response::not_found(),
    });
    let out = site.user.path("out");
    site.online(&server.url("context.tar.gz"), &["-o", out.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(out.join("out/file")).unwrap(), "of the archive\n");
    assert!(!out.join("out/secret").exists());
    site.online(&server.url("Dockerfile"), &["-t", "of-url"]).ok();
    assert_eq!(site.config("of-url")["config"]["Labels"]["from"], "url");
    let (_, said) = site.online(&server.url("nothing.tar"), &[]).failed();
    assert!(said.contains("404"), "{said}");
    // What was fetched before is there without a network.
    site.online(&server.url("context.tar.gz"), &["--offline", "-t", "again"]).ok();
}

#[test]
fn a_context_can_be_a_repository() {
    let site = Site::new();
    let repository = site.user.path("repository");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&repository).args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("HOME", site.user.home()).env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "a").env(format!("GIT_{role}_EMAIL"), "a@b");
        }
        Ran::of(&mut command).ok()
    };
    fs::create_dir_all(repository.join("sub")).unwrap();
    git(&["init", "-q", "-b", "main"]);
    fs::write(repository.join("sub/Dockerfile"), "FROM base\nCOPY file /file\n").unwrap();
    fs::write(repository.join("sub/file"), "first\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    git(&["tag", "v1"]);
    fs::write(repository.join("sub/file"), "second\n").unwrap();
    git(&["commit", "-q", "-a", "-m", "second"]);
    git(&["clone", "-q", "--bare", ".", "../served/app.git"]);
    git(&["-C", "../served/app.git", "update-server-info"]);
    let server = HttpServer::serve_dir(site.user.path("served"));
    let url = server.url("app.git");
    let read = |reference: &str| {
        let out = site.user.path("out");
        let mut command = site.user.command(&["build", &format!("{url}#{reference}:sub"), "-o", out.to_str().unwrap()]);
        Ran::of(command.env("PATH", "/usr/local/bin:/usr/bin:/bin")).ok();
        let text = fs::read_to_string(out.join("file")).unwrap();
        fs::remove_dir_all(out).unwrap();
        text
    };
    assert_eq!((read("main"), read("v1")), ("second\n".to_owned(), "first\n".to_owned()));
}

#[test]
fn proxies_of_dockers_configuration_reach_steps_and_no_image() {
    let site = Site::new();
    fs::create_dir(site.user.path(".docker")).unwrap();
    let config = r#"{"proxies": {"default": {"httpProxy": "http://proxy.example:1", "noProxy": "a,b"},
                     "tcp://other:1": {"httpProxy": "http://other.example"}}}"#;
    fs::write(site.user.path(".docker/config.json"), config).unwrap();
    site.dockerfile("FROM base\nRUN echo $http_proxy $HTTP_PROXY $no_proxy $https_proxy > /seen\n");
    assert_eq!(site.read("seen", &["-t", "app"]), "http://proxy.example:1 http://proxy.example:1 a,b\n");
    assert!(!site.config("app").to_string().contains("proxy.example"));
    // What is given goes before, however it is spelled; and they are no reason to run a step again.
    let flags = ["--build-arg", "http_proxy=mine", "--no-cache"];
    assert_eq!(site.read("seen", &flags), "mine mine a,b\n");
    assert_eq!(site.read("seen", &[]), "mine mine a,b\n");
}
