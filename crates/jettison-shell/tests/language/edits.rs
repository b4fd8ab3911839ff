//! Taking commands out of lists, and where to put others.

use jettison_shell::syntax::ConnectorKind;
use jettison_shell::{Dialect, Script};

/// The text without the command that is called `x`, or nothing if it cannot be taken out.
fn without_x(text: &str) -> Option<String> {
    let script = Script::parse(text, Dialect::Posix);
    assert!(script.errors.is_empty(), "{text}: {:?}", script.errors);
    let commands = script.commands();
    let mut left = text.to_owned();
    for range in commands.iter().find(|command| command.is("x"))?.removal()?.into_iter().rev() {
        left.replace_range(range, "");
    }
    assert!(Script::parse(&left, Dialect::Posix).errors.is_empty(), "{text} became {left}");
    Some(left)
}

#[test]
fn removal() {
    let cases = [
        ("x && a && b", Some("a && b")),
        ("a && x -y && b", Some("a && b")),
        ("a && b && x", Some("a && b")),
        ("a; x; b", Some("a; b")),
        ("a; x", Some("a")),
        ("a; x;", Some("a;")),
        ("x; a", Some("a")),
        ("a && x; b", Some("a; b")),
        ("a; x && b", Some("a; b")),
        ("a\nx\nb", Some("a\nb")),
        ("a\nx", Some("a\n")),
        ("x\nb", Some("b")),
        ("a & x & b", Some("a &  b")),
        ("a & x", Some("a &")),
        ("a && x &", Some("a &")),
        ("a || x", None),
        ("a || x && b", None),
        ("x || a", None),
        ("a; x || b", None),
        ("a && x || b", Some("a || b")),
        ("a && x | b", None),
        ("x", None),
        ("if a; then x && b; fi", Some("if a; then b; fi")),
        ("if a; then x; fi", None),
        ("a && x <<E && b\nfoo\nE\nc", Some("a && b\nc")),
        ("a <<E &&\nfoo\nE\nx", None),
        ("a <<E\nfoo\nE\nx", Some("a <<E\nfoo\nE\n")),
        ("x <<E\nfoo\nE\na", Some("a")),
        ("a <<E & x\nfoo\nE\nb", Some("a <<E &\nfoo\nE\nb")),
        ("$(x;(a))", None),
        ("$(x; (a) )", None),
        ("$( x; (a) )", Some("$( (a) )")),
        ("sh -c 'a && x && b'", Some("sh -c 'a && b'")),
        ("a && \\\n    x \\\n    && b", Some("a \\\n    && b")),
    ];
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = without_x(text);
        if found.as_deref() != expected {
            wrong.push_str(&format!("{text:?}\n  expected {expected:?}\n     found {found:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn insertion() {
    let cases = [
        ("x", "x && new"),
        ("a && x", "a && x && new"),
        ("x && a", "x && new && a"),
        ("a; x", "a; x; new"),
        ("x; a", "x; new; a"),
        ("x\na", "x; new\na"),
        ("a && x; b", "a && x && new; b"),
        ("x | a; b", "x | a; new; b"),
        ("x <<E\nfoo\nE\na", "x <<E; new\nfoo\nE\na"),
        ("x > y # note", "x > y && new # note"),
    ];
    for (text, expected) in cases {
        let script = Script::parse(text, Dialect::Posix);
        let commands = script.commands();
        let insertion = commands.iter().find(|command| command.is("x")).unwrap().insertion_after();
        let connector = if insertion.connector == ConnectorKind::And { " &&" } else { ";" };
        let mut edited = text.to_owned();
        edited.insert_str(insertion.at, &format!("{connector} new"));
        assert_eq!(edited, expected);
        let edited = Script::parse(&edited, Dialect::Posix);
        assert!(edited.errors.is_empty());
        assert!(edited.commands().iter().any(|command| command.is("new")), "{expected}");
    }
}
