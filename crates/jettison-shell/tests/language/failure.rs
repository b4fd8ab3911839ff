//! What the failure of each command does: checked with `sh -c`, with the command replaced by `false`.

use jettison_shell::{Dialect, Failure, Mask, Script, Shell};

/// Says for each command that is called `x` what its failure does.
fn fate(text: &str, shell: &Shell) -> String {
    let script = Script::parse(text, shell.dialect);
    assert!(script.errors.is_empty(), "{text}: {:?}", script.errors);
    let fates: Vec<_> = script
        .commands_in(shell)
        .iter()
        .filter(|command| command.is("x"))
        .map(|command| match command.failure() {
            Failure::Fails => "fails".to_owned(),
            Failure::Masked(mask) => format!("{mask:?}").to_lowercase(),
        })
        .collect();
    fates.join(" ")
}

#[test]
fn without_errexit() {
    let cases = [
        ("x", "fails"),
        ("x && a", "fails"),
        ("a && x", "fails"),
        ("x; a", "followed"),
        ("x\na", "followed"),
        ("a; x", "fails"),
        ("x || a", "or"),
        ("a || x", "fails"),
        ("x && a || b", "or"),
        ("a || x && b", "fails"),
        ("x || exit 1", "fails"),
        ("x || exit", "fails"),
        ("x || exit 0", "or"),
        ("x || { echo; exit 1; }; a", "fails"),
        ("x || { echo && exit 1; }; a", "fails"),
        ("x || false; a", "followed"),
        ("x || false || exit 2; a", "fails"),
        ("x || false || true", "or"),
        ("x || (exit 1); a", "followed"),
        ("! x", "negated"),
        ("x | a", "pipe"),
        ("a | x", "fails"),
        ("x &", "background"),
        ("a && x & b", "background"),
        ("if x; then a; fi", "condition"),
        ("if a; then x; fi", "fails"),
        ("if a; then x; b; fi", "followed"),
        ("if a; then b; else x; fi && c", "fails"),
        ("while x; do a; done", "condition"),
        ("for a in b; do x; done", "loop"),
        ("for a in b; do x || exit 1; done", "fails"),
        ("case a in b) x;; esac", "fails"),
        ("{ x; } && a", "fails"),
        ("{ x; a; } && b", "followed"),
        ("(x); a", "followed"),
        ("(x && a) || b", "or"),
        ("a $(x)", "substitution"),
        ("v=$(x)", "fails"),
        ("v=$(x); a", "followed"),
        ("export v=$(x)", "substitution"),
        ("v=$(x | a)", "pipe"),
        ("sh -c 'x; a'", "followed"),
        ("sh -c 'x && a' && b", "fails"),
        ("sh -ec 'x; a'", "fails"),
        ("a -x", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(fate(text, &Shell::default()), expected, "{text}");
    }
}

#[test]
fn with_errexit() {
    let cases = [
        ("set -e; x; a", "fails"),
        ("set -eux; a; x; b", "fails"),
        ("set -e; set +e; x; a", "followed"),
        ("x; set -e; a", "followed"),
        ("set -e; x && a; b", "andlist"),
        ("set -e; a && x; b", "fails"),
        ("set -e; x && a", "fails"),
        ("set -e; x || a; b", "or"),
        ("set -e; x || false; b", "fails"),
        ("set -e; if x; then a; fi; b", "condition"),
        ("set -e; if a; then x; b; fi; c", "fails"),
        ("set -e; if { x; a; }; then b; fi", "followed"),
        ("set -e; { x; a; } || b", "followed"),
        ("set -e; (x; a) || b", "followed"),
        ("set -e; (x; a); b", "fails"),
        ("(set -e; x; a); b", "followed"),
        ("set -e; for a in b; do x; c; done; d", "fails"),
        ("set -e; x | a; b", "pipe"),
        ("set -eo pipefail; x | a; b", "fails"),
        ("set -e; v=$(x; a); b", "fails"),
        ("set -e; v=$(x; a) && b", "fails"),
        ("set -e; ! x; a", "negated"),
        ("set -e; x & a", "background"),
        ("set -e; f() { x; a; }; f", "fails"),
        ("set -e; sh -c 'x; a'", "followed"),
        ("set -e; a && { x; b; }; c", "fails"),
        ("set -e; { a && x; }; c", "fails"),
        ("set -e; { x && a; }; c", "andlist"),
        ("set -e; { x && a; } || false; c", "fails"),
    ];
    for (text, expected) in cases {
        assert_eq!(fate(text, &Shell::default()), expected, "{text}");
    }
    let bash = Shell::of(&["bash", "-eo", "pipefail", "-c"]).unwrap();
    for (text, expected) in [("x; a", "fails"), ("x | a; b", "fails"), ("v=$(x; a); b", "followed")] {
        assert_eq!(fate(text, &bash), expected, "{text}");
    }
}

#[test]
fn conditions() {
    let conditional = |text: &str| {
        let script = Script::parse(text, Dialect::Posix);
        script.commands().iter().find(|command| command.is("x")).unwrap().is_conditional()
    };
    for text in
        ["a || x", "if a; then x; fi", "if a; then b; elif x; then c; fi", "for a in b; do x; done", "a || b && x"]
    {
        assert!(conditional(text), "{text}");
    }
    for text in ["a && x", "x || a", "if x; then a; fi", "{ x; }", "(x)", "a; x", "sh -c x", "a | x"] {
        assert!(!conditional(text), "{text}");
    }
    let script = Script::parse("x | a", Dialect::Posix);
    assert_eq!(script.commands()[0].failure(), Failure::Masked(Mask::Pipe));
    assert!(script.commands()[1].fails_script());
}
