//! Registries that misbehave, and a disk that is full.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::ContainerConfig;
use jettison_testkit::Fault;
use jettison_testkit::archive::TarMember;
use jettison_testkit::registry::Registry;
use rustix::process::{Pid, Signal, kill_process};

use super::{Site, base_with_programs};
use crate::fixture::{Ran, image};

/// A registry with a base image of two layers, the second of which compresses badly, and a build on it.
struct Remote {
    site: Site,
    registry: Registry,
    /// The paths of the layers.
    layers: Vec<String>,
}

impl Remote {
    fn new() -> Self {
        let site = Site::new();
        let registry = Registry::start();
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        let noise: Vec<u8> = noise.take(1_000_000).collect();
        let content = image(&[&base_with_programs(), &[TarMember::file("noise", noise)]], ContainerConfig::default());
        let layers = content.manifest().layers.iter().map(|layer| format!("/blobs/{}", layer.digest)).collect();
        site.user.import(&ImageOrIndex::Image(content), "remote");
        let name = registry.reference("team/base:1");
        site.user.run(&["push", "remote", &name]).ok();
        site.user.run(&["rmi", "remote"]).ok();
        site.dockerfile(&format!("FROM {name}\nRUN test -s /noise && echo built > /x\n"));
        registry.server().clear_log();
        // The store still has the blobs: a new one has not.
        fs::remove_dir_all(site.user.path("store")).unwrap();
        Self { site, registry, layers }
    }

    fn command(&self) -> Command {
        let mut command = self.site.user.command(&["build", "--progress=plain", "-t", "app"]);
        command.arg(&self.site.context);
        command
    }

    fn build(&self) -> Ran {
        Ran::of(&mut self.command())
    }

    /// With the faults gone it works, in the same store.
    fn works(&self) {
        self.registry.server().clear_faults();
        self.build().ok();
        self.site.is_clean();
    }
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    let remote = Remote::new();
    remote.registry.server().fault(Fault::status(429).on("/manifests/"));
    remote.registry.server().fault(Fault::status(429).on(&remote.layers[1]));
    remote.build().ok();

    let remote = Remote::new();
    for path in ["/manifests/".to_owned(), remote.layers[0].clone()] {
        remote.registry.server().fault(Fault::status(429).on(&path).always());
        let (code, said) = remote.build().failed();
        assert!(code == 75 && said.contains("429") && said.contains("Dockerfile:1:6"), "{code} {said}");
        remote.registry.server().clear_faults();
    }
    remote.works();
}

#[test]
fn what_was_cut_is_gone_on_with() {
    let remote = Remote::new();
    let server = remote.registry.server();
    // In one build the rest is asked for.
    server.fault(Fault::cut_body_at(400_000).on(&remote.layers[1]));
    remote.build().ok();
    let requests = server.requests();
    let of_layer: Vec<_> = requests.iter().filter(|request| request.path.ends_with(&remote.layers[1])).collect();
    assert_eq!(of_layer.len(), 2);
    assert_eq!(of_layer[1].header("range"), Some("bytes=400000-"));

    // In the next one, what is whole is not asked for again, and of what is not the rest alone.
    let remote = Remote::new();
    let server = remote.registry.server();
    server.fault(Fault::cut_body_at(400_000).on(&remote.layers[1]).method("GET"));
    server.fault(Fault::status(503).on(&remote.layers[1]).always());
    let (code, said) = remote.build().failed();
    assert!(code == 75 && said.contains("Dockerfile:1:6"), "{code} {said}");
    remote.site.is_clean();
    server.clear_log();
    remote.works();
    let asked = |path: &str| server.log().iter().filter(|line| line.starts_with("GET") && line.ends_with(path)).count();
    assert_eq!((asked(&remote.layers[0]), asked(&remote.layers[1])), (0, 1), "{:?}", server.log());
    let requests = server.requests();
    let rest = requests.iter().find(|request| request.path.ends_with(&remote.layers[1])).unwrap();
    assert_eq!(rest.header("range"), Some("bytes=400000-"));
    assert_eq!(fs::read_dir(remote.site.user.path("store/partial")).unwrap().count(), 0);

    // What a power cut made of it is found out, and fetched again.
    let remote = Remote::new();
    let digest = remote.layers[1].rsplit(':').next().unwrap();
    let partial = remote.site.user.path("store/partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join(digest), vec![0; 300_000]).unwrap();
    remote.works();
    let begun: Vec<_> = remote.registry.server().requests();
    let begun = begun.iter().filter(|request| request.path.ends_with(&remote.layers[1]) && request.method == "GET");
    assert_eq!(begun.map(|request| request.header("range")).collect::<Vec<_>>(), [Some("bytes=300000-"), None]);
}

#[test]
fn a_layer_that_is_another_is_refused() {
    let remote = Remote::new();
    remote.registry.server().fault(Fault::flip_byte(5000).on(&remote.layers[1]).always());
    let (code, said) = remote.build().failed();
    let digest = remote.layers[1].rsplit(':').next().unwrap();
    assert!(code == 2 && said.contains(digest) && said.contains("Dockerfile:1:6"), "{code} {said}");
    remote.works();
    // A manifest, too, is what its digest says.
    let remote = Remote::new();
    let digest =
        remote.site.user.run(&["copy", &format!("docker://{}", remote.registry.reference("team/base:1")), "store:x"]);
    let digest = digest.ok().trim().to_owned();
    fs::remove_dir_all(remote.site.user.path("store")).unwrap();
    remote.site.dockerfile(&format!("FROM {}@{digest}\nRUN echo x\n", remote.registry.reference("team/base")));
    remote.registry.server().fault(Fault::flip_byte(20).on("/manifests/").always());
    let (code, said) = remote.build().failed();
    assert!(code == 2 && said.contains(&digest), "{code} {said}");
    remote.works();
}

#[test]
fn who_does_not_want_to_wait_for_a_stalled_registry_can_stop() {
    let remote = Remote::new();
    remote.registry.server().fault(Fault::stall_body_at(100).on(&remote.layers[1]).always());
    let mut child = remote.command().stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("pulling ")));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(!child.wait().unwrap().success());
    remote.works();
}

#[test]
fn a_full_disk_is_said_and_the_store_goes_on() {
    let site = Site::new();
    let layout = site.user.path("layout");
    site.user.run(&["copy", "store:base", &format!("oci:{}", layout.display())]).ok();
    site.dockerfile("FROM base\nRUN cat /dev/zero > /big\n");
    fs::create_dir(site.context.join("then")).unwrap();
    site.file("then/Dockerfile", "FROM base\nRUN echo fine > /x\n");
    site.file("copied/Dockerfile", "FROM base\nCOPY big /\n");
    fs::write(site.context.join("copied/big"), vec![7; 48 << 20]).unwrap();
    // A small file system of its own for the store, in a mount namespace that ends with the shell.
    let script = r#"
        mkdir small && mount -t tmpfs -o size=40m small small || exit 99
        export JETTISON_STORE=$PWD/small/store
        "$0" -q copy oci:layout store:base || exit 98
        "$0" build --offline context; echo "step: $?"
        "$0" build --offline context/copied --compression none; echo "copy: $?"
        "$0" build --offline context/then -o out || exit 97
        ls small/store/tmp | wc -l
    "#;
    let path = site.user.path("script");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let template = site.user.command(&[]);
    command.args(["sh", "-c", script]).arg(template.get_program()).current_dir(site.user.home()).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", site.user.home()).stdin(Stdio::null());
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("step: 2\n") && ran.stdout.contains("copy: 2\n"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.matches("hint: the disk is full").count(), 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("Dockerfile:2:1: `RUN cat /dev/zero > /big` ended with"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(site.user.path("out/x")).unwrap(), "fine\n");
    assert!(ran.stdout.ends_with("\n0\n"), "{}", ran.stdout);
}
