//! What a rule sees of a command.

use jettison_shell::{Command, Dialect, Script, Shell};

fn names(text: &str) -> String {
    let script = Script::parse(text, Dialect::Bash);
    let names: Vec<_> = script.commands().iter().map(|command| command.name().unwrap_or("-").to_owned()).collect();
    names.join(" ")
}

#[track_caller]
fn first<T>(text: &str, view: impl FnOnce(&Command<'_>) -> T) -> T {
    let script = Script::parse(text, Dialect::Posix);
    assert!(script.errors.is_empty(), "{text}: {:?}", script.errors);
    view(&script.commands()[0])
}

#[test]
fn every_command_at_any_depth() {
    let cases = [
        ("a; b && c | d & e", "a b c d e"),
        ("a $(b `c`) \"$(d)\" ${x:-$(e)} <(f) >$(g)", "a b c d e f g"),
        ("x=$(a) y=(\"$(b)\") c", "c a b"),
        ("x=$(a)", "- a"),
        ("if a; then b; elif c; then d; else e; fi", "a b c d e"),
        ("for x in $(a); do b; done; while c; do d; done", "a b c d"),
        ("case $(a) in b) c;; *) d;; esac", "a c d"),
        ("f() { a; }; (b); { c; }", "a b c"),
        ("[[ $(a) ]] && (( $(b) ))", "a b"),
        ("cat <<E\n$(a)\nE", "cat a"),
        ("sh -c 'a; b' && c", "sh a b c"),
        ("bash <<'E'\na | b\nE", "bash a b"),
    ];
    for (text, expected) in cases {
        assert_eq!(names(text), expected, "{text}");
    }
}

#[test]
fn names_behind_wrappers() {
    let cases = [
        ("/usr/bin/apt-get install", "apt-get"),
        ("'apt'-get update", "apt-get"),
        ("A=1 sudo -E -u root B=2 apt-get update", "apt-get"),
        ("env -i -u X A=1 B=$b cmd", "cmd"),
        ("exec -a x cmd", "cmd"),
        ("command apt-get", "apt-get"),
        ("command -v apt-get", "command"),
        ("time nice -n 5 nohup cmd", "cmd"),
        ("nice -5 ionice -c2 -n 7 cmd", "cmd"),
        ("timeout --signal=KILL -k 5 30s pip", "pip"),
        ("gosu user cmd", "cmd"),
        ("sudo -- cmd", "cmd"),
        ("sudo -l", "sudo"),
        ("env", "env"),
        ("env A=1", "env"),
        ("$CMD a", "-"),
        ("sudo $CMD", "-"),
        ("xargs rm", "xargs"),
        ("time -p make", "make"),
        ("/", "/"),
    ];
    for (text, expected) in cases {
        assert_eq!(names(text), expected, "{text}");
    }
    first("sudo -E /bin/rm -rf a", |command| {
        assert_eq!(command.program().unwrap().range, 8..15);
        assert_eq!(command.wrappers().len(), 2);
        assert_eq!(command.arguments().len(), 2);
        assert_eq!(command.range(), 0..21);
    });
}

#[test]
fn launched_commands() {
    let launched = |text: &str| {
        first(text, |command| {
            command
                .launches()
                .iter()
                .map(|command| format!("{} {}", command.name().unwrap_or("-"), command.arguments().len()))
                .collect::<Vec<_>>()
                .join(", ")
        })
    };
    let cases = [
        ("xargs -0 -r -n 1 rm -f", "rm 1"),
        ("xargs -rt apt-mark manual", "apt-mark 1"),
        ("xargs -0rn 1 -I{} rm {}", "rm 1"),
        ("xargs", ""),
        ("find . -type f -exec strip --all {} + -o -exec sudo rm '{}' \\;", "strip 2, rm 1"),
        ("find . -delete", ""),
        ("echo -exec a", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(launched(text), expected, "{text}");
    }
}

#[test]
fn flags() {
    let cases: &[(&str, &[&str], bool)] = &[
        ("apt-get install -y a", &["-y", "--yes"], true),
        ("apt-get install -qqy a", &["-y", "--yes"], true),
        ("apt-get install --yes a", &["-y", "--yes"], true),
        ("apt-get install --yes=1 a", &["--yes"], true),
        ("apt-get install --yesterday", &["--yes"], false),
        ("apt-get install a -- -y", &["-y"], false),
        ("rm -r -f x", &["-f"], true),
        ("gcc -I/any/fine", &["-f"], false),
        ("find . -delete", &["-delete"], true),
        ("find . -name x", &["-delete"], false),
        ("a '-y'", &["-y"], true),
        ("a $y", &["-y"], false),
    ];
    for (text, names, expected) in cases {
        assert_eq!(first(text, |command| command.has_flag(names)), *expected, "{text} {names:?}");
    }
}

#[test]
fn values_of_flags() {
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("pip install --prefix=/install a", &["--prefix"], Some("/install")),
        ("pip install --prefix /install a", &["--prefix"], Some("/install")),
        ("pip install --prefix='/a b' a", &["--prefix"], Some("/a b")),
        ("pip install --prefix=$P/x a", &["--prefix"], Some("$P/x")),
        ("pip install -t /x", &["-t", "--target"], Some("/x")),
        ("pip install -t/x", &["-t", "--target"], Some("/x")),
        ("pip install -Ut /x", &["-t", "--target"], Some("/x")),
        ("pip install -t", &["-t"], None),
        ("pip install", &["-t"], None),
    ];
    for (text, names, expected) in cases {
        let script = Script::parse(text, Dialect::Posix);
        let value = script.commands()[0].flag_value(names);
        assert_eq!(value.as_ref().map(|value| &*value.text), *expected, "{text}");
    }
    let text = "pip install --prefix='/a b' --root=/$x";
    let script = Script::parse(text, Dialect::Posix);
    let command = &script.commands()[0];
    let prefix = command.flag_value(&["--prefix"]).unwrap();
    assert_eq!(&text[prefix.range.clone()], "/a b");
    assert_eq!(prefix.literal(), Some("/a b"));
    let root = command.flag_value(&["--root"]).unwrap();
    assert_eq!(&text[root.range.clone()], "/$x");
    assert_eq!(root.literal(), None);
}

#[test]
fn operands_and_literals() {
    let operands = |text: &str, with_value: &[&str]| {
        first(text, |command| {
            command.operands(with_value).iter().map(|word| word.text().into_owned()).collect::<Vec<_>>().join(",")
        })
    };
    assert_eq!(operands("rm -rf a 'b c' -- -d", &[]), "a,b c,-d");
    assert_eq!(operands("useradd -u 1 --gid=2 -m app", &["-u", "--gid"]), "app");
    assert_eq!(operands("useradd -mu 1 app", &["-u"]), "app");
    assert_eq!(operands("cmd - $x ${y}z", &[]), "-,$x,${y}z");
    first("rm -rf /var/lib/apt/lists/* ~/.cache \"$X\" a\\ b $(c)", |command| {
        let literals: Vec<_> =
            command.arguments().iter().map(|word| word.literal().map(|text| text.into_owned())).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(literals, [some("-rf"), some("/var/lib/apt/lists/*"), some("~/.cache"), None, some("a b"), None]);
        assert!(command.arguments()[1].has_glob() && !command.arguments()[2].has_glob());
    });
}

#[test]
fn directories() {
    let cases = [
        ("cd /a && b", Some("/a")),
        ("cd /a; cd b/../c; b", Some("/a/c")),
        ("cd a && cd .. && cd ../b && b", Some("../b")),
        ("cd \"$A\" && b", None),
        ("cd - && b", None),
        ("cd && b", None),
        ("(cd /a && x) && b", Some("")),
        ("(cd /a && b)", Some("/a")),
        ("cd /a | b", Some("")),
        ("{ cd /a; }; b", Some("/a")),
        ("if x; then cd /a; fi; b", None),
        ("pushd /a && x && popd && b", Some("")),
        ("pushd /a && pushd c && b", Some("/a/c")),
        ("cd /a && sh -c 'cd b; b'", Some("/a/b")),
        ("cd /a && x=$(cd /c) && b", Some("/a")),
        ("cd /../a/./b//c && b", Some("/a/b/c")),
        ("cd -P -- /a && b", Some("/a")),
    ];
    for (text, expected) in cases {
        let script = Script::parse(text, Dialect::Posix);
        let commands = script.commands();
        let command = commands.iter().rfind(|command| command.is("b")).unwrap();
        assert_eq!(command.directory(), expected, "{text}");
    }
    let script = Script::parse("cd b && b", Dialect::Posix);
    let shell = Shell { directory: "/srv".to_owned(), ..Shell::default() };
    assert_eq!(script.commands_in(&shell)[1].directory(), Some("/srv/b"));
}

#[test]
fn surroundings() {
    let script = Script::parse("a && b | c; f() { d & }; e", Dialect::Posix);
    let commands = script.commands();
    let find = |name: &str| commands.iter().find(|command| command.is(name)).unwrap();
    assert!(find("a").is_beside(find("e")) && !find("a").is_beside(find("d")));
    assert_eq!((find("b").index(), find("b").stage(), find("c").stage()), (1, 0, 1));
    assert!(find("b").is_piped() && !find("c").is_piped());
    assert_eq!(find("c").preceding().len(), 1);
    assert_eq!(find("c").following().len(), 2);
    assert!(find("e").is_last() && !find("c").is_last());
    assert_eq!(find("d").function(), Some("f"));
    assert!(find("d").is_background() && !find("d").is_top_level() && find("c").is_top_level());
    assert_eq!(script.pipelines().len(), 1);
    assert_eq!(script.pipelines()[0].commands.len(), 2);
}

#[test]
fn what_a_script_sets() {
    let sets = |text: &str, option: &str| Script::parse(text, Dialect::Bash).sets(option);
    assert!(sets("set -eux; a", "-e") && sets("set -o errexit", "-e") && sets("a && set -xe", "-x"));
    assert!(!sets("set +e; a", "-e") && !sets("echo set -e", "-e") && !sets("set -o pipefail", "-e"));
    let pipefail = |text: &str| Script::parse(text, Dialect::Bash).sets_pipefail();
    assert!(pipefail("set -o pipefail && a | b") && pipefail("set -euxo pipefail; a"));
    assert!(!pipefail("set -e; a | b") && !pipefail("set +o pipefail"));
    let script = Script::parse("a | b; set -o pipefail; c | d", Dialect::Bash);
    let flags: Vec<_> = script.pipelines().iter().map(|piped| piped.pipefail).collect();
    assert_eq!(flags, [false, true]);
    let shell = Shell::of(&["/bin/bash", "-o", "pipefail", "-c"]).unwrap();
    assert!(script.pipelines_in(&shell)[0].pipefail);
}

/// Ranges are of the text that was parsed, however deep.
#[test]
fn ranges_within_scripts_within_words() {
    let text = r#"A=1 sh -c "B=2 sh -c \"echo 'x y' \\\"z\\\"\" && `printf '%s' \`id\``" && rm -rf '/a b'/*"#;
    let script = Script::parse(text, Dialect::Posix);
    assert!(script.errors.is_empty(), "{:?}", script.errors);
    let words: Vec<_> = script
        .commands()
        .iter()
        .flat_map(|command| {
            command.arguments().iter().map(|word| text[word.range.clone()].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    for expected in ["'x y'", "\\\\\\\"z\\\\\\\"", "'%s'", "-rf", "'/a b'/*"] {
        assert!(words.iter().any(|word| word == expected), "{expected} in {words:#?}");
    }
    let text = "bash <<EOF\n  echo \\$HOME \\\\\n    x && pip install a\nEOF\n";
    let script = Script::parse(text, Dialect::Posix);
    let commands = script.commands();
    assert_eq!(&text[commands[2].range()], "pip install a");
    assert_eq!(commands[1].arguments()[0].text(), "$HOME");
}
