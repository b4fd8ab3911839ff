//! Which way is taken, and what is asked of a file without building it.

use std::io::Write as _;
use std::process::Stdio;

use super::Site;

fn first_line(said: &str) -> &str {
    said.lines().next().unwrap_or_default()
}

#[test]
fn a_dockerfile_is_taken_unless_settings_say_otherwise() {
    let site = Site::new();
    site.dockerfile("FROM base\n");
    let built = site.build(&[]);
    assert!(first_line(&built.stderr).contains("by its Dockerfile (Dockerfile is there; --native"), "{}", built.stderr);
    built.ok();
    site.file("jettison.toml", "port = 8000\n");
    let native = site.build(&["--no-verify"]);
    let said = first_line(&native.stderr);
    assert!(
        said.contains("from its Python project, as jettison.toml says; the Dockerfile there is not used"),
        "{said}"
    );
    let named = site.context.join("Dockerfile");
    let built = site.build(&["-f", named.to_str().unwrap()]);
    assert!(first_line(&built.stderr).contains("(-f names it)"), "{}", built.stderr);
    built.ok();
    let (_, said) = site.build(&["--native", "--target", "x"]).failed();
    assert!(said.contains("--target is for Dockerfiles"), "{said}");
    let (_, said) = site.build(&["-f", named.to_str().unwrap(), "--python", "3.13"]).failed();
    assert!(said.contains("--python is for builds from a Python project"), "{said}");
    let native = site.build(&["--native"]);
    assert!(first_line(&native.stderr).contains("(--native); the Dockerfile there is not used"), "{}", native.stderr);
}

#[test]
fn a_dockerfile_and_a_context_may_come_over_standard_input() {
    let site = Site::new();
    site.file("greeting", "hello\n");
    let feed = |flags: &[&str], context: Option<&str>| {
        let mut command = site.user.command(&["build", "--offline", "-q"]);
        match context {
            Some(context) => command.arg(context),
            None => command.arg(&site.context),
        };
        let mut child =
            command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"FROM base\nRUN echo from stdin\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let both = [feed(&["-f", "-"], None), feed(&[], Some("-"))];
    for output in &both {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(both[0].stdout, both[1].stdout);
    let output = feed(&["-f", "-"], Some("-"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot both be standard input"));
}

#[test]
fn a_file_can_be_asked_what_it_takes() {
    let site = Site::new();
    site.dockerfile(
        "# VERSION of what is built\nARG VERSION=1\nFROM base AS one\nRUN --mount=type=secret,id=key,required true\n\
         # two is the one to take\nFROM one AS two\nARG VERSION\n",
    );
    let text = site.build(&["--call=targets"]).ok();
    assert_eq!(text, "one\ntwo (default)  is the one to take\n");
    let text = site.build(&["--call=outline", "--build-arg", "VERSION=2"]).ok();
    assert_eq!(text, "TARGET two\n  is the one to take\nARG    VERSION=2  of what is built\nSECRET key (required)\n");
    let json = site.build(&["--print=outline,format=json", "--target", "one"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["name"], &json["args"][0]["name"]), (&"one".into(), &"VERSION".into()));
    assert!(site.build(&["--call=other"]).failed().1.contains("there is no `other`"));
    assert_eq!(site.build(&["--check"]).ok(), "Check complete, no warnings found.\n");
    site.dockerfile("FROM base\nRUM true\n");
    let checked = site.build(&["--check"]);
    assert_eq!(checked.code, 1);
    assert!(checked.stdout.contains("ERROR: unknown instruction `RUM` (did you mean `RUN`?)\n"), "{}", checked.stdout);
    assert!(checked.stdout.contains("/Dockerfile:2\n-----"), "{}", checked.stdout);
    assert!(checked.stdout.contains("   1 |     FROM base\n   2 | >>> RUM true\n"), "{}", checked.stdout);
}

#[test]
fn what_buildkit_warns_of_is_found_in_its_lines() {
    let site = Site::new();
    let text = "FROM base AS other\nENV A b\nFROM base\nARG DIR\nWORKDIR $DIR\nCMD a \\\n  b\n";
    site.dockerfile(text);
    let found = |flags: &[&str]| {
        let checked = site.build(&[&["--call=check,format=json"], flags].concat());
        let json: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
        let warnings = json["warnings"].as_array().unwrap().clone();
        let lines = |warning: &serde_json::Value| {
            let lines: Vec<_> = warning["location"]["ranges"]
                .as_array()
                .unwrap()
                .iter()
                .map(|range| range["start"]["line"].clone())
                .collect();
            format!("{} {}", warning["ruleName"].as_str().unwrap(), serde_json::to_string(&lines).unwrap())
        };
        (checked.code, warnings.iter().map(lines).collect::<Vec<_>>())
    };
    let (legacy, workdir, cmd) = ("LegacyKeyValueFormat [2]", "WorkdirRelativePath [5]", "JSONArgsRecommended [6,7]");
    assert_eq!(found(&[]), (1, [legacy, workdir, cmd].map(str::to_owned).to_vec()));
    assert_eq!(found(&["--build-arg", "DIR=/x"]).1, [legacy, cmd]);
    assert_eq!(found(&["--target", "other"]).1, [legacy]);
    assert_eq!(found(&["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"]), (0, vec![]));
    // A build tells of the stages that it needs.
    let built = site.build(&[]);
    assert!(built.stderr.contains("2 warnings found: JSONArgsRecommended, WorkdirRelativePath"), "{}", built.stderr);
    site.dockerfile(&format!("# check=skip=JSONArgsRecommended;error=true\n{text}"));
    let refused = site.build(&[]).failed().1;
    assert!(refused.contains("warnings are errors here, as `error=true` says: WorkdirRelativePath"), "{refused}");
}
