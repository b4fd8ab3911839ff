//! Builds that fail, are killed, or meet each other.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::Site;

#[test]
fn a_failed_step_shows_its_place_and_its_last_words() {
    let site = Site::new();
    site.dockerfile("FROM base\n\nRUN echo one; echo two >&2; exit 7\n");
    let (code, said) = site.build(&[]).failed();
    assert_eq!(code, 2);
    assert!(
        said.contains(
            "Dockerfile:3:1: `RUN echo one; echo two >&2; exit 7` ended with exit code 7\n    3 | RUN echo one"
        ),
        "{said}"
    );
    assert!(said.contains("\n  | one\n  | two"), "{said}");
    site.is_clean();
}

#[test]
fn a_missing_library_names_its_package() {
    let site = Site::new();
    site.dockerfile(
        "FROM base\nRUN echo 'ImportError: libpq.so.5: cannot open shared object file: No such file or directory'; exit 1\n",
    );
    let (_, said) = site.build(&[]).failed();
    assert!(said.contains("hint: `libpq.so.5` is in Debian's package `libpq5`"), "{said}");
    // And where the image is run.
    site.dockerfile("FROM base\nCMD echo 'libpq.so.5: cannot open shared object file: No such file' >&2; exit 3\n");
    site.build(&["-t", "app"]).ok();
    let ran = site.user.run(&["run", "app"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("hint: `libpq.so.5` is in Debian's package `libpq5`"), "{}", ran.stderr);
}

#[test]
fn mistakes_are_said_with_their_place() {
    let site = Site::new();
    for (text, place, what) in [
        ("FROM base\nCOPY nothing /\n", ":2:1", "`nothing` is not in the build context"),
        ("ARG NONE\nFROM $NONE\n", ":2:6", "`$NONE` comes to nothing"),
        ("FROM bases AS x\nFROM xx\n", ":2:6", "xx"),
        ("FROM base\nCOPY --from=3 /a /b\n", ":2:13", "no stage 3 before this one"),
        ("FROM base\nRUN --mount=type=bind,sauce=/ true\n", ":2:", "`--mount` has no option `sauce`"),
        ("FROM base\nENV A=\"${B:?must be given}\"\n", ":2:", "B: must be given"),
        ("FROM base\nSTOPSIGNAL SIGNOT\n", ":2:12", "`SIGNOT` is no signal"),
        ("FROM base\nUSER nobody-here\nRUN true\n", ":3:1", "no user `nobody-here`"),
        ("FROM base\nRUN [\"/no/such\"]\n", ":2:1", "cannot run `/no/such`"),
    ] {
        site.dockerfile(text);
        let (code, said) = site.build(&[]).failed();
        assert!(said.contains(&format!("Dockerfile{place}")) && said.contains(what), "{text}: {code} {said}");
    }
}

#[test]
fn two_builds_share_one_store() {
    let site = Site::new();
    site.dockerfile("FROM base\nRUN sleep 0.2; echo x > /x\nCOPY Dockerfile /d\n");
    let build = || site.command(&["-q"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [build(), build()].map(|child| child.wait_with_output().unwrap());
    for output in &both {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(both[0].stdout, both[1].stdout);
}

#[test]
fn a_build_that_is_interrupted_or_killed_leaves_the_store_usable() {
    // Not SIGINT: whoever starts the tests in the background has it ignored in all that they start.
    for signal in [Signal::TERM, Signal::KILL] {
        let site = Site::new();
        let marker = site.user.path("marker");
        fs::write(&marker, "").unwrap();
        site.dockerfile("FROM base\nRUN echo begun && sleep 1000\n");
        let mut child =
            site.command(&["--progress", "plain"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().contains("| begun")));
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(!child.wait().unwrap().success());
        // The program is gone with it: its pipe is closed.
        assert_eq!(lines.filter(|line| line.as_ref().is_ok_and(|line| line.contains("done"))).count(), 0);
        site.dockerfile("FROM base\nRUN echo again > /x\n");
        assert_eq!(site.read("x", &[]), "again\n");
        site.is_clean();
    }
}
