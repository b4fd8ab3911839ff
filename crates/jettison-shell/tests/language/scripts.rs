//! Scripts as people write them.

use crate::invariants;
use jettison_shell::packages::{Action, Manager};
use jettison_shell::{Dialect, PackageCall, Script};

const INTERPRETER: &str = include_str!("../corpus/interpreter.sh");
const BUILD_DEPS: &str = include_str!("../corpus/build-deps.sh");
const HEREDOC: &str = include_str!("../corpus/heredoc.sh");
const JOINED: &str = include_str!("../corpus/joined.sh");
const USERS: &str = include_str!("../corpus/users.sh");
const BASH: &str = include_str!("../corpus/bash.sh");

fn names(script: &Script) -> String {
    script.commands().iter().map(|command| command.name().unwrap_or("-").to_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn scripts_have_no_errors() {
    for (text, dialect) in [
        (INTERPRETER, Dialect::Posix),
        (BUILD_DEPS, Dialect::Posix),
        (HEREDOC, Dialect::Bash),
        (JOINED, Dialect::Posix),
        (USERS, Dialect::Posix),
        (BASH, Dialect::Bash),
    ] {
        let script = Script::parse(text, dialect);
        assert_eq!(script.errors, [], "{text}");
        invariants::check(text);
        // Half a script is read as well.
        for end in (0..text.len()).step_by(7).filter(|&end| text.is_char_boundary(end)) {
            invariants::check(&text[..end]);
        }
    }
}

#[test]
fn an_interpreter_from_source() {
    let script = Script::parse(INTERPRETER, Dialect::Posix);
    let commands = script.commands();
    assert_eq!(
        names(&script),
        "set wget echo sha256sum mkdir tar rm cd - dpkg - - - configure dpkg-architecture - nproc make make - readlink cd \
         rm find ldconfig apt-mark apt-mark find awk sort xargs cut sort xargs apt-get rm - echo tr [ [ ln"
    );
    assert!(script.sets("-e") && !script.sets_pipefail());
    let find = |name: &str| commands.iter().find(|command| command.is(name)).unwrap();
    assert_eq!(find("configure").directory(), Some("/usr/src/python"));
    assert_eq!(find("ldconfig").directory(), Some("/"));
    assert!(find("configure").fails_script() && !find("awk").fails_script());
    assert_eq!(find("find").launches()[0].name(), Some("rm"));
    let removed: Vec<_> = commands.iter().filter(|command| command.is("rm")).collect();
    let paths: Vec<_> =
        removed.iter().map(|command| command.operands(&[])[0].literal().unwrap().into_owned()).collect();
    assert_eq!(paths, ["python.tar.xz", "/usr/src/python", "/var/lib/apt/lists/*"]);
    assert_eq!(&INTERPRETER[removed[2].range()], "rm -rf /var/lib/apt/lists/*");
    assert_eq!(script.pipelines().len(), 3);
    let pins: Vec<_> =
        commands.iter().filter(|command| command.is("ln")).map(|command| command.is_conditional()).collect();
    assert_eq!(pins, [true]);
}

#[test]
fn build_dependencies_that_go_again() {
    let script = Script::parse(BUILD_DEPS, Dialect::Posix);
    let commands = script.commands();
    let calls: Vec<_> = commands.iter().filter_map(PackageCall::of).collect();
    let actions: Vec<_> = calls.iter().map(|call| (call.manager, call.action)).collect();
    assert_eq!(
        actions,
        [
            (Manager::Apk, Action::Install),
            (Manager::Pip, Action::Install),
            (Manager::Apk, Action::Other),
            (Manager::Apk, Action::Install),
            (Manager::Apk, Action::Remove)
        ]
    );
    assert_eq!(calls[0].value(&["-t", "--virtual"]).unwrap().text, ".build-deps");
    assert_eq!(calls[4].operands[0].name, ".build-deps");
    let pinned: Vec<_> = calls[0].packages().map(|package| package.is_pinned()).collect();
    assert_eq!(pinned, [false, true, false]);
    assert_eq!(&BUILD_DEPS[calls[1].operands[0].range.clone()], "requirements.txt");
    assert!(commands.iter().filter(|command| command.is_top_level()).all(|command| command.fails_script()));
}

#[test]
fn a_script_in_a_heredoc() {
    let script = Script::parse(HEREDOC, Dialect::Bash);
    let commands = script.commands();
    assert_eq!(names(&script), "set apt-get apt-get cat cat [ pip pip echo exit python3 bash cd curl sh rm");
    assert!(script.sets_pipefail());
    let pip: Vec<_> = commands.iter().filter(|command| command.is("pip")).collect();
    assert!(pip.iter().all(|command| command.is_conditional() && command.fails_script()));
    // `bash -c` knows nothing of the options of the shell around it.
    let curl = commands.iter().find(|command| command.is("curl")).unwrap();
    assert!(!curl.pipefail() && !curl.fails_script() && curl.directory() == Some("/tmp"));
    assert_eq!(&HEREDOC[curl.range()], "curl -fsSL https://example.org/install.sh");
    let python = commands.iter().find(|command| command.is("python3")).unwrap();
    let body = python.heredocs().next().unwrap();
    assert!(body.quoted && HEREDOC[body.body.clone()].starts_with("import sys"));
}

#[test]
fn joined_lines_of_a_dockerfile() {
    let script = Script::parse(JOINED, Dialect::Posix);
    let commands = script.commands();
    let calls: Vec<_> = commands.iter().filter_map(PackageCall::of).collect();
    assert_eq!((calls[0].action, calls[1].action), (Action::Update, Action::Install));
    assert_eq!(calls[1].packages().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["libpq-dev", "gcc"]);
    assert!(calls[1].has(&["-y"]) && !calls[1].has(&["--no-install-recommends"]));
    let script = Script::parse(USERS, Dialect::Posix);
    let commands = script.commands();
    assert_eq!(commands[1].flag_value(&["--uid", "-u"]).unwrap().text, "1001");
    assert_eq!(commands[1].operands(&["--uid", "--gid", "--shell"])[0].text(), "appuser");
}

#[test]
fn what_only_bash_reads() {
    let script = Script::parse(BASH, Dialect::Bash);
    assert_eq!(names(&script), "shopt declare exit pip rm diff pip sort tee read clean");
    let commands = script.commands();
    assert_eq!(commands.iter().find(|command| command.is("rm")).unwrap().function(), Some("clean"));
    assert!(!Script::parse(BASH, Dialect::Posix).errors.is_empty());
}
