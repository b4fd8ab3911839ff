//! `jettison lint`: what is looked at, how it is shown, and what is written.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use crate::fixture::{Ran, User};

/// Two rules that mend what they find: a warning in line 2, and something good to know in line 1.
const SELECT: &[&str] = &["--select", "JET207,JET120"];
const NAIVE: &str = "FROM python:3.12-slim\nCMD python main.py\n";
const MENDED: &str = "FROM python:3.12-slim\nENV PYTHONUNBUFFERED=1\nCMD [\"python\", \"main.py\"]\n";

fn write(user: &User, name: &str, text: impl AsRef<[u8]>) {
    fs::create_dir_all(user.path(name).parent().unwrap()).unwrap();
    fs::write(user.path(name), text).unwrap();
}

fn lint(user: &User, arguments: &[&str]) -> Ran {
    user.run(&[&["lint"], SELECT, arguments].concat())
}

/// `file:line code` of each finding.
fn found(user: &User, arguments: &[&str]) -> Vec<String> {
    let ran = user.run(&[&["lint", "--format", "json"], arguments].concat());
    assert!(ran.code < 2, "{}", ran.stderr);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let line = |finding: &serde_json::Value| {
        format!("{}:{} {}", finding["file"].as_str().unwrap(), finding["line"], finding["code"].as_str().unwrap())
    };
    document["findings"].as_array().unwrap().iter().map(line).collect()
}

fn with_input(user: &User, arguments: &[&str], input: &str) -> Ran {
    let mut command = user.command(&[&["lint"], SELECT, arguments].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn what_was_found_is_shown_in_each_format_and_the_exit_code_says_whether_it_matters() {
    let user = User::new();
    write(&user, "Dockerfile", NAIVE);
    let ran = lint(&user, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "1 warning, 1 info; --fix mends 2\n"));
    insta::assert_snapshot!(ran.stdout, @r##"
info[JET120 unbuffered-output-missing]: Python keeps its output in a buffer here
 --> Dockerfile:1:1
  |
1 | FROM python:3.12-slim
  | ^^^^^^^^^^^^^^^^^^^^^
  |
  = fix: write `ENV PYTHONUNBUFFERED=1` (--fix)

warning[JET207 json-args-recommended]: a shell runs the `CMD`, and keeps signals from the program
 --> Dockerfile:2:5
  |
2 | CMD python main.py
  |     ^^^^^^^^^^^^^^
  |
  = help: write `CMD ["program", "argument"]`
  = fix: write `CMD ["python", "main.py"]` (--fix)
"##);
    for (fail_on, code) in [("error", 0), ("warning", 1), ("info", 1), ("style", 1), ("never", 0)] {
        assert_eq!(lint(&user, &["--fail-on", fail_on]).code, code, "{fail_on}");
    }
    for (format, expected) in [
        ("json", "\"code\": \"JET207\""),
        ("sarif", "\"ruleId\": \"JET207\""),
        ("github", "::warning title=JET207 json-args-recommended,file=Dockerfile,line=2,endLine=2,col="),
        ("gitlab", "\"check_name\": \"json-args-recommended\""),
        ("checkstyle", "source=\"jettison.json-args-recommended\"/>"),
        ("junit", "<testsuites name=\"jettison lint\" tests=\"2\" failures=\"2\" errors=\"0\">"),
    ] {
        let ran = lint(&user, &["--format", format]);
        assert!(ran.code == 1 && ran.stdout.contains(expected), "{format}: {}", ran.stdout);
        lint(&user, &["--format", format, "-o", "report"]);
        assert_eq!(fs::read_to_string(user.path("report")).unwrap(), ran.stdout);
    }
    assert_eq!(lint(&user, &["--json"]).stdout, lint(&user, &["--format", "json"]).stdout);
    let counts = lint(&user, &["--statistics"]).stdout;
    assert!(counts.contains("1  JET207  json-args-recommended      can be mended\n"), "{counts}");
    let coloured = user.run(&["lint", "--color", "always"]).stdout;
    assert!(coloured.contains("\x1b["));
    assert!(!user.path("store").exists(), "it needs no store");
}

#[test]
fn directories_are_walked_and_files_shown_once_in_order() {
    let user = User::new();
    for name in [
        "Dockerfile",
        "b/Dockerfile.dev",
        "b/a.dockerfile",
        "a/Containerfile",
        "a/Dockerfile.dockerignore",
        "node_modules/x/Dockerfile",
        ".git/Dockerfile",
        "env/Dockerfile",
        "b/Dockerfile.j2",
        "b/dockerfile.txt",
    ] {
        write(&user, name, NAIVE);
    }
    write(&user, "env/pyvenv.cfg", "");
    symlink("..", user.path("a/loop")).unwrap();
    let select = ["--select", "JET207"];
    let all =
        ["Dockerfile:2 JET207", "a/Containerfile:2 JET207", "b/Dockerfile.dev:2 JET207", "b/a.dockerfile:2 JET207"];
    assert_eq!(found(&user, &select), all);
    assert_eq!(found(&user, &[&select[..], &[".", "./Dockerfile", "a/loop/Dockerfile"]].concat()), all);
    assert_eq!(found(&user, &[&select[..], &["b/dockerfile.txt"]].concat()), ["b/dockerfile.txt:2 JET207"]);
    let absolute = user.path("a").display().to_string();
    assert_eq!(found(&user, &[&select[..], &[&absolute]].concat()), ["a/Containerfile:2 JET207"]);
    fs::create_dir(user.path("empty")).unwrap();
    let (code, said) = user.run(&["lint", "empty"]).failed();
    assert_eq!(code, 2);
    assert!(said.starts_with("error: there is no Dockerfile in `empty`\nhint: name the file"), "{said}");
}

#[test]
fn files_are_mended_in_place_or_shown_as_a_difference() {
    let user = User::new();
    write(&user, "app/Dockerfile", NAIVE);
    fs::set_permissions(user.path("app/Dockerfile"), fs::Permissions::from_mode(0o640)).unwrap();
    let difference = lint(&user, &["--diff", "app"]);
    assert_eq!(difference.code, 1);
    insta::assert_snapshot!(difference.stdout, @r##"
--- a/app/Dockerfile
+++ b/app/Dockerfile
@@ -1,2 +1,3 @@
 FROM python:3.12-slim
-CMD python main.py
+ENV PYTHONUNBUFFERED=1
+CMD ["python", "main.py"]
"##);
    assert_eq!(fs::read_to_string(user.path("app/Dockerfile")).unwrap(), NAIVE);

    let ran = lint(&user, &["--fix", "app"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(
        ran.stderr,
        "mended app/Dockerfile: write `ENV PYTHONUNBUFFERED=1` (JET120)\n\
         mended app/Dockerfile: write `CMD [\"python\", \"main.py\"]` (JET207)\nnothing found in 1 file; 2 mended\n"
    );
    assert_eq!(fs::read_to_string(user.path("app/Dockerfile")).unwrap(), MENDED);
    let mode = fs::metadata(user.path("app/Dockerfile")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let again = lint(&user, &["--diff", "app"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    let names: Vec<_> = fs::read_dir(user.path("app")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["Dockerfile"], "nothing is left behind");
}

#[test]
fn files_of_the_context_are_written_and_links_are_not_followed_out_of_it() {
    let user = User::new();
    let fix = ["lint", "--select", "dockerignore-missing", "--fix", "app"];
    write(&user, "app/Dockerfile", "FROM python:3.12-slim\nCOPY . .\n");
    write(&user, "app/.git/HEAD", "ref: x\n");
    let difference = user.run(&["lint", "--select", "dockerignore-missing", "--diff", "app"]).stdout;
    assert!(difference.starts_with("--- /dev/null\n+++ b/app/.dockerignore\n"), "{difference}");
    assert!(!user.path("app/.dockerignore").exists());
    user.run(&fix).ok();
    assert!(fs::read_to_string(user.path("app/.dockerignore")).unwrap().contains(".git"));

    fs::remove_file(user.path("app/.dockerignore")).unwrap();
    symlink("../outside", user.path("app/.dockerignore")).unwrap();
    let ran = user.run(&fix);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("`app/.dockerignore` is not written"), "{}", ran.stderr);
    assert!(!user.path("outside").exists());

    // A Dockerfile that is a link stays one, and its file is written only below where the user stands.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("Dockerfile"), NAIVE).unwrap();
    symlink(elsewhere.path().join("Dockerfile"), user.path("Dockerfile.link")).unwrap();
    let ran = lint(&user, &["--fix", "Dockerfile.link"]);
    assert!(ran.code == 2 && ran.stderr.contains("it is a link to"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(elsewhere.path().join("Dockerfile")).unwrap(), NAIVE);
    write(&user, "real", NAIVE);
    symlink("real", user.path("Dockerfile.near")).unwrap();
    lint(&user, &["--fix", "Dockerfile.near"]).ok();
    assert_eq!(fs::read_to_string(user.path("real")).unwrap(), MENDED);
    assert!(fs::symlink_metadata(user.path("Dockerfile.near")).unwrap().is_symlink());
}

#[test]
fn standard_input_is_read_and_what_was_mended_comes_out() {
    let user = User::new();
    let ran = with_input(&user, &["-"], NAIVE);
    assert!(ran.code == 1 && ran.stdout.contains(" --> -:2:"), "{}", ran.stdout);
    let ran = with_input(&user, &["--fix", "-"], NAIVE);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, MENDED));
    // Settings are those of the file that it stands for.
    write(&user, "sub/jettison.toml", "[lint.severity]\nJET207 = 'error'\n");
    let ran = with_input(&user, &["--format", "github", "--stdin-filename", "sub/Dockerfile", "-"], NAIVE);
    assert!(ran.stdout.contains("::error title=JET207 json-args-recommended,file=sub/Dockerfile,"), "{}", ran.stdout);
    let ran = with_input(&user, &["--fragment", "--format", "github", "-"], "CMD python main.py\n");
    assert!(ran.stdout.starts_with("::warning title=JET207"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1);
}

#[test]
fn settings_are_those_of_the_nearest_directory_under_the_flags() {
    let user = User::new();
    write(&user, "pyproject.toml", "[tool.jettison.lint]\nselect = ['JET207', 'JET120']\nfail-on = 'never'\n");
    write(&user, "a/Dockerfile", NAIVE);
    write(&user, "b/Dockerfile", NAIVE);
    write(&user, "b/jettison.toml", "[lint]\nselect = ['JET207']\n[lint.severity]\nJET207 = 'error'\n");
    write(&user, "c/Dockerfile.dev", NAIVE);
    write(&user, "c/.hadolint.yaml", "ignored: [DL3025]\nfailure-threshold: info\n");
    assert_eq!(found(&user, &["a"]), ["a/Dockerfile:1 JET120", "a/Dockerfile:2 JET207"]);
    assert_eq!(user.run(&["lint", "a"]).code, 0);
    assert_eq!(found(&user, &["b"]), ["b/Dockerfile:2 JET207"]);
    assert!(user.run(&["lint", "b"]).stdout.starts_with("error[JET207 "));
    assert!(!found(&user, &["c"]).contains(&"c/Dockerfile.dev:2 JET207".to_owned()));
    assert_eq!(found(&user, &["--select", "DL3025", "c"]), ["c/Dockerfile.dev:2 JET207"]);
    assert_eq!(found(&user, &["--ignore", "JET120", "a"]), ["a/Dockerfile:2 JET207"]);
    assert_eq!(found(&user, &["--config", "b/jettison.toml", "a"]), ["a/Dockerfile:2 JET207"]);
    assert!(found(&user, &["--no-config", "c"]).contains(&"c/Dockerfile.dev:2 JET207".to_owned()));
    write(&user, "a/pyproject.toml", "[tool.jettison.lint]\nper-file-ignores = { 'Dockerfile' = ['all'] }\n");
    assert_eq!(found(&user, &["a"]), [""; 0]);
    // A native build has nothing to do with them.
    write(&user, "a/jettison.toml", "[lint]\n");
    for (arguments, want) in [
        (&["lint", "a"][..], "stand both in `jettison.toml` and in `pyproject.toml`"),
        (&["lint", "--config", "c/.hadolint.yaml", "--select", "JET12", "b"], "error: there is no rule `JET12`"),
        (&["lint", "--select", "unbufered-output-missing"], "hint: did you mean `unbuffered-output-missing`?"),
        (&["lint", "--config", "a/Dockerfile", "a"], "error: a/Dockerfile:1:"),
        (&["lint", "--fail-on", "always"], "expected error, warning, info, style or never"),
        (&["lint", "nowhere"], "error: cannot lint `nowhere`: No such file"),
        (&["lint", "--explain", "nothing"], "error: there is no rule `nothing`"),
        (
            &["lint", "--write-baseline", "b"],
            "error: there is no place for the baseline\nhint: name it with --baseline",
        ),
        (&["lint", "--baseline", "nowhere.json", "b"], "hint: write it with --write-baseline"),
        (&["lint", "--baseline", "pyproject.toml", "b"], "pyproject.toml: this is no baseline"),
    ] {
        let (code, said) = user.run(arguments).failed();
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(want), "{arguments:?}: {said}");
    }
    write(&user, "b/jettison.toml", "[lint]\nselct = []\n");
    let (_, said) = user.run(&["lint", "b"]).failed();
    assert!(
        said.contains("b/jettison.toml:2:1: unknown field `selct`") && said.ends_with("did you mean `select`?\n"),
        "{said}"
    );
}

#[test]
fn comments_leave_findings_out() {
    let user = User::new();
    write(&user, "Dockerfile", NAIVE.replace("CMD", "# hadolint ignore=DL3025\nCMD"));
    write(&user, "Dockerfile.all", format!("# jettison: ignore-file=all\n{NAIVE}"));
    write(&user, "Dockerfile.bad", "# jettison: ignore=unbufered-output-missing\nFROM scratch\n");
    assert_eq!(found(&user, SELECT), ["Dockerfile:1 JET120"]);
    assert_eq!(found(&user, &["Dockerfile.bad"]), ["Dockerfile.bad:1 JET331"]);
    let unused = ["--select", "unused-suppression", "Dockerfile.bad"];
    assert_eq!(found(&user, &unused), [""; 0]);
}

#[test]
fn a_baseline_knows_findings_wherever_their_lines_go() {
    let user = User::new();
    write(&user, "sub/Dockerfile", NAIVE);
    let known = ["--baseline", "known.json"];
    let ran = lint(&user, &[&known[..], &["--write-baseline", "sub"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", "wrote known.json (2 findings)\n"));
    let written = fs::read_to_string(user.path("known.json")).unwrap();
    assert!(written.contains("{\"file\":\"sub/Dockerfile\",\"rule\":\"json-args-recommended\","), "{written}");
    let ran = lint(&user, &[&known[..], &["sub"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "nothing found in 1 file; 2 known to the baseline\n"));
    // Moved, and one more of the same in other words.
    write(&user, "sub/Dockerfile", format!("\n# hello\n{}", NAIVE.replace("CMD", "ENTRYPOINT env A=1 python\nCMD")));
    assert_eq!(found(&user, &[SELECT, &known[..], &["sub"]].concat()), ["sub/Dockerfile:4 JET207"]);
    // Wherever one stands.
    let mut inside = user.command(&["lint", "--select", "JET120", "--baseline", "../known.json"]);
    assert_eq!(
        Ran::of(inside.current_dir(user.path("sub"))).stderr,
        "nothing found in 1 file; 1 known to the baseline\n"
    );
    write(&user, "jettison.toml", "[lint]\nbaseline = 'known.json'\n");
    assert_eq!(found(&user, &[SELECT, &["sub"]].concat()), ["sub/Dockerfile:4 JET207"]);
}

#[test]
fn the_context_is_the_directory_in_which_the_sources_are() {
    let user = User::new();
    let select = ["--select", "copied-file-missing"];
    write(&user, "docker/Dockerfile", "FROM scratch\nCOPY src/main.py requirements.txt /app/\n");
    write(&user, "src/main.py", "");
    write(&user, "requirements.txt", "");
    assert_eq!(found(&user, &[&select[..], &["docker/Dockerfile"]].concat()), [""; 0]);
    assert_eq!(found(&user, &[&select[..], &["."]].concat()), [""; 0]);
    fs::remove_file(user.path("requirements.txt")).unwrap();
    assert_eq!(found(&user, &select), ["docker/Dockerfile:2 JET404"]);
    assert_eq!(found(&user, &[&select[..], &["--context", "docker"]].concat()).len(), 2);
}

#[test]
fn files_that_cannot_be_read_do_not_stop_the_others() {
    let user = User::new();
    write(&user, "a/Dockerfile", b"FROM a\n# caf\xe9\n");
    write(&user, "b/Dockerfile", NAIVE);
    symlink("nowhere", user.path("b/Dockerfile.gone")).unwrap();
    let ran = lint(&user, &["--format", "github", "--fail-on", "never"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("error: a/Dockerfile:2:6: this is not UTF-8\nhint: save the file as UTF-8\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    for text in ["", "\u{feff}", "\n\n", "FROM", "RUN <<E", "\0", "FROM a\r\nRUN b \\\r\n", "# check=skip=\n"] {
        write(&user, "c/Dockerfile", text);
        let ran = user.run(&["lint", "--select", "all", "--fix", "--unsafe-fixes", "--offline", "c"]);
        assert!((0..=1).contains(&ran.code), "{text:?}: {}", ran.stderr);
    }
}

#[test]
fn rules_are_listed_and_explained() {
    let user = User::new();
    let list = user.run(&["lint", "--list-rules"]).ok();
    assert!(list.starts_with("CODE    NAME "), "{list}");
    let rules: serde_json::Value = serde_json::from_str(&user.run(&["lint", "--list-rules", "--json"]).ok()).unwrap();
    assert_eq!(rules.as_array().unwrap().len(), list.lines().count() - 1);
    for word in ["unbuffered-output-missing", "JET120", "jet120"] {
        let page = user.run(&["lint", "--explain", word]).ok();
        assert!(page.starts_with("# unbuffered-output-missing (JET120)\n\n"), "{page}");
    }
    assert!(user.run(&["lint", "--explain", "DL3025"]).ok().starts_with("# json-args-recommended (JET207)"));
}

/// The pages in `docs/rules` are made from the rules: `jettison lint --write-docs docs/rules` makes them again.
#[test]
fn the_pages_of_the_rules_are_current() {
    let user = User::new();
    user.run(&["lint", "--write-docs", "rules"]).ok();
    let read = |directory: &std::path::Path| {
        let mut pages: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
            .collect();
        pages.sort();
        pages
    };
    let kept = read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules"));
    for (made, kept) in read(&user.path("rules")).iter().zip(&kept) {
        assert_eq!(made, kept, "run `jettison lint --write-docs docs/rules`");
    }
    assert_eq!(read(&user.path("rules")).len(), kept.len());
}
