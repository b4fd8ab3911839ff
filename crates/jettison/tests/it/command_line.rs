//! Help, errors, exit codes, and the verbs that look at the store.

use std::fs;

use crate::fixture::{User, printing, printing_everywhere};

#[test]
fn help_is_for_everybody() {
    let user = User::new();
    let help = user.run(&["--help"]).ok();
    for verb in ["build", "run", "lint", "push", "pull", "copy", "images", "rmi", "cache"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
        let of_verb = user.run(&[verb, "--help"]).ok();
        assert!(of_verb.starts_with(|c: char| c.is_ascii_uppercase()), "{of_verb}");
    }
    assert_eq!(user.run(&["--version"]).ok(), concat!("jettison ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(!user.path("store").exists(), "help needs no store");
}

#[test]
fn what_is_wrong_with_a_command_line_is_said() {
    let user = User::new();
    fs::create_dir(user.path("empty")).unwrap();
    fs::write(user.path("file"), "").unwrap();
    user.import(&printing("hello"), "hello");
    for (arguments, want) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&["run"], "required arguments were not provided"),
        (&["build", "--trim", "all"], "invalid value 'all' for '--trim <LEVEL>'"),
        (&["build", "nowhere"], "error: cannot build `nowhere`: No such file"),
        (
            &["build", "-o", "type=zip", "empty"],
            "error: output `type=zip`: there is no type `zip`\nhint: there are oci,",
        ),
        (&["build", "-t", "App", "empty"], "error: `App` is no image reference"),
        (&["build", "--push", "empty"], "error: the image has no name to push or load it under\nhint: name it with -t"),
        (&["build", "-o", "-", "--json", "empty"], "error: standard output can take one thing only"),
        (&["build", "--platform", "linux", "-t", "x", "empty"], "error: "),
        (&["run", "helo"], "error: there is no image `helo` in the store\nhint: did you mean `hello:latest`?"),
        (&["run", "far/away"], "hint: `jettison images` lists those that there are; `jettison pull far/away` fetches"),
        (
            &["run", "./empty"],
            "error: the project in `./empty` was not built yet\nhint: build it first: jettison build ./empty",
        ),
        (&["run", "empty"], "error: the project in `empty` was not built yet"),
        (&["run", "./nowhere"], "error: there is no directory `./nowhere`"),
        (&["run", "./file"], "error: `./file` is a file"),
        (&["push", "./empty"], "was not built yet"),
        (&["copy", "store:hello", "nowhere"], "names no place for an image"),
        (&["copy", "store:", "oci:x"], "error: `store:` names no image"),
        (&["copy", "store:hello", "store:Hello"], "is no image reference"),
        (&["rmi", "hello:2"], "error: there is no image `hello:2` in the store\nhint: did you mean `hello:latest`?"),
        (&["--offline", "pull", "127.0.0.1:1/x"], "error: "),
        (&["--cert", "nowhere.pem", "images"], "nowhere.pem"),
        (&["--registry-mirror", "x", "images"], "expected NAME=HOST"),
        (&["cache", "prune", "--keep", "much"], "expected bytes"),
    ] {
        let (code, said) = user.run(arguments).failed();
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(want), "{arguments:?}: {said}");
    }
}

#[test]
fn a_registry_that_is_down_is_worth_trying_again() {
    let user = User::new();
    user.import(&printing("hello"), "hello");
    let registry = jettison_testkit::Registry::start();
    let refuses = jettison_testkit::Fault::status(503).always();
    registry.server().fault(refuses);
    let (code, said) = user.run(&["push", "hello", &registry.reference("app")]).failed();
    assert_eq!(code, 75, "{said}");
    assert!(said.starts_with("error: ") && said.contains("503"), "{said}");
}

#[test]
fn an_empty_store_is_shown_and_pruned() {
    let user = User::new();
    assert_eq!(
        user.run(&["cache", "du"]).ok(),
        "KIND                COUNT  SIZE\n\
         images with a name      0   0 B\n\
         other blobs             0   0 B\n\
         unpacked packages       0   0 B\n\
         unpacked layers         0   0 B\n\
         caches of steps         0   0 B\n\
         results                 0   0 B\n\
         total                   0   0 B\n"
    );
    let json: serde_json::Value = serde_json::from_str(&user.run(&["cache", "du", "--json"]).ok()).unwrap();
    assert_eq!(json["bytes"], 0);
    assert_eq!(json["store"], user.path("store").canonicalize().unwrap().to_str().unwrap());
    assert_eq!(user.run(&["cache", "prune"]).ok(), "removed 0 B (0 items)\n");
    assert_eq!(user.run(&["images", "--json"]).ok(), "[]\n");
    assert_eq!(user.run(&["images"]).ok(), "NAME  DIGEST  PLATFORM  NAMED  SIZE\n");
}

#[test]
fn images_are_listed_found_and_forgotten() {
    let user = User::new();
    let hello = user.import(&printing("hello"), "hello");
    user.import(&printing("hello"), "ghcr.io/me/hello:2");
    user.import(&printing_everywhere("both"), "both");
    let listed: serde_json::Value = serde_json::from_str(&user.run(&["images", "--json"]).ok()).unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["both:latest", "ghcr.io/me/hello:2", "hello:latest"]);
    assert_eq!(listed[0]["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(listed[1]["digest"], hello.to_string());
    assert_eq!(listed[1]["created"], "1970-01-01T00:00:00Z");
    assert!(listed[1]["compressed_bytes"].as_u64().unwrap() > 100);
    let table = user.run(&["images"]).ok();
    assert!(table.contains(&hello.hex()[..12]) && table.contains("just now"), "{table}");

    // By any way of naming it.
    for word in ["hello", "docker.io/library/hello:latest", "ghcr.io/me/hello:2", &hello.to_string(), &hello.hex()[..7]]
    {
        assert_eq!(user.run(&["run", word]).ok(), "hello", "{word}");
    }
    assert_eq!(user.run(&["rmi", "hello"]).ok(), "hello:latest\n");
    assert_eq!(user.run(&["untag", &hello.hex()[..12]]).ok(), "ghcr.io/me/hello:2\n");
    let before: serde_json::Value = serde_json::from_str(&user.run(&["cache", "du", "--json"]).ok()).unwrap();
    assert!(before["blobs"]["count"].as_u64().unwrap() >= 3, "{before}");
    user.run(&["cache", "prune", "--all"]).ok();
    let after: serde_json::Value = serde_json::from_str(&user.run(&["cache", "du", "--json"]).ok()).unwrap();
    assert_eq!((after["blobs"]["count"].as_u64(), after["snapshots"]["count"].as_u64()), (Some(0), Some(0)));
    assert_eq!(user.run(&["run", "both"]).ok(), "both");
}

#[test]
fn colours_come_when_they_are_wanted() {
    let user = User::new();
    let (_, plain) = user.run(&["run", "none"]).failed();
    assert!(!plain.contains('\x1b'));
    let (_, coloured) = user.run(&["--color", "always", "run", "none"]).failed();
    assert!(coloured.starts_with("\x1b[1;31merror\x1b[0m: "), "{coloured:?}");
    let (_, escaped) = user.run(&["run", "\x1b[2Jnone"]).failed();
    assert!(escaped.contains("\\u{1b}[2Jnone"), "{escaped:?}");
}
