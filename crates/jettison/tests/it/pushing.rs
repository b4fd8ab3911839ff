//! `push`: what it costs, and what it remembers.

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::ContainerConfig;
use jettison_testkit::archive::TarMember;
use jettison_testkit::{Login, Registry};

use crate::fixture::{User, image};

/// Layers that stay, under one with the code.
fn version(code: &str) -> ImageOrIndex {
    let base = [TarMember::file("base", "b".repeat(2_000_000))];
    let library = [TarMember::file("library", "l")];
    let code = [TarMember::file("code", code)];
    ImageOrIndex::Image(image(&[&base, &library, &code], ContainerConfig::default()))
}

#[test]
fn a_push_costs_what_is_new() {
    let user = User::new();
    let registry = Registry::start();
    let name = registry.reference("team/app");
    let one = user.import(&version("1"), "app").to_string();
    assert_eq!(user.run(&["push", "app", &name]).ok().trim(), one);

    registry.server().clear_log();
    let again = user.run(&["push", "app", &name]);
    assert!(again.stderr.contains("is up to date"), "{}", again.stderr);
    assert_eq!(registry.server().log(), ["HEAD /v2/team/app/manifests/latest"]);

    // New code is a layer and a config; nothing else is asked for.
    let two = user.import(&version("2"), "app").to_string();
    registry.server().clear_log();
    assert_eq!(user.run(&["push", "app", &name]).ok().trim(), two);
    let log = registry.server().log();
    assert_eq!(log.len(), 5, "{log:?}");
    assert_eq!(log.iter().filter(|line| line.starts_with("POST")).count(), 2, "{log:?}");
    assert_eq!(log.last().unwrap(), "PUT /v2/team/app/manifests/latest");

    // Another repository of the registry gets them by mounting.
    registry.server().clear_log();
    user.run(&["push", "app", &registry.reference("team/other")]).ok();
    let log = registry.server().log();
    assert!(log.iter().all(|line| !line.contains("PUT /v2/team/other/blobs")), "{log:?}");
    assert_eq!(registry.server().count("POST", "/v2/team/other/blobs/uploads"), 4, "{log:?}");
}

#[test]
fn a_registry_that_forgot_is_given_everything_again() {
    let user = User::new();
    let registry = Registry::start();
    let name = registry.reference("app:1");
    let image = version("1");
    user.import(&image, "app");
    user.run(&["push", "app", &name]).ok();
    let ImageOrIndex::Image(first) = &image else { unreachable!() };
    for layer in &first.manifest().layers {
        registry.remove_blob("app", layer.digest);
    }
    let two = user.import(&version("2"), "app").to_string();
    assert_eq!(user.run(&["push", "app", &name]).ok().trim(), two);
    for layer in &first.manifest().layers[..2] {
        assert!(registry.blob("app", layer.digest).is_some());
    }
}

#[test]
fn a_login_is_used_and_a_missing_one_is_named() {
    let user = User::new();
    let login = Login::Token { user: "me".into(), password: "secret".into(), anonymous_pull: false };
    let registry = Registry::with_login(login);
    user.import(&version("1"), "app");
    let name = registry.reference("app");
    let (code, said) = user.run(&["push", "app", &name]).failed();
    assert_eq!(code, 2);
    assert!(said.contains("hint: log in to ") && said.contains("docker login"), "{said}");
    std::fs::create_dir(user.path(".docker")).unwrap();
    // me:secret
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, registry.host());
    std::fs::write(user.path(".docker/config.json"), config).unwrap();
    user.run(&["push", "app", &name]).ok();
    user.run(&["pull", &name]).ok();
}
