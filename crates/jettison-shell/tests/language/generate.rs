//! Random scripts: nothing crashes, every range is one of the text.

use crate::invariants;
use jettison_shell::{Dialect, Script};

const FRAGMENTS: &[&str] = &[
    "a",
    "b ",
    " ",
    "\n",
    "\t",
    ";",
    "&",
    "|",
    "&&",
    "||",
    "(",
    ")",
    "{ ",
    "}",
    "<",
    ">",
    "<<E\n",
    "E\n",
    "<<-'E'\n",
    "\nE\n",
    "'",
    "\"",
    "`",
    "\\",
    "\\\n",
    "$",
    "$(",
    "${",
    "$((",
    "))",
    "((",
    "${a:-",
    "#",
    " # c\n",
    "if ",
    "then ",
    "elif ",
    "else ",
    "fi",
    "for ",
    "in ",
    "do ",
    "done",
    "while ",
    "case ",
    "esac",
    ";;",
    "!",
    "! ",
    "[[ ",
    " ]]",
    "=~ ",
    "[a]",
    "*",
    "?",
    "~",
    "=",
    "a=",
    "a=(",
    "f() ",
    "function ",
    "1>",
    "&>",
    "<<<",
    "<(",
    "$'",
    "\\x41",
    "é",
    "\u{1f680}",
    "\r\n",
    "sh -c ",
    "'a; b'",
    "\"a \\\"b\\\"\" ",
    "sudo ",
    "env A=1 ",
    "xargs ",
    "apt-get install -y ",
    "pip install -r ",
    "python -m pip ",
    "set -e; ",
    "cd /x; ",
    "exit 1",
    "false",
    "bash <<E\n",
    "\\`",
    "\u{0}",
    "@(",
    "--x=",
    "-",
    "uv run ",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn random_scripts() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..6000 {
        let count = 1 + random.below(30);
        let text: String = (0..count).map(|_| FRAGMENTS[random.below(FRAGMENTS.len())]).collect();
        let checked = std::panic::catch_unwind(|| invariants::check(&text));
        assert!(checked.is_ok(), "{text:?}");
    }
}

/// Nesting without end is cut off, and costs no more than its length.
#[test]
fn hostile_scripts() {
    for opening in [
        "(",
        "$(",
        "`",
        "\"$(",
        "${a:-",
        "$((",
        "((",
        "{ ",
        "if ",
        "while ",
        "case a in b) ",
        "f() ",
        "! ",
        "a | ",
        "a && ",
        "a || false || ",
        "<(",
        "sh -c '",
        "sh -c \"",
        "sudo ",
        "xargs ",
        "[",
        "+(",
        "[[ ",
        "a=(",
        "<<E ",
        "<<E\n",
        "\\",
        "$(<<E\n",
        "uv run ",
        "if a; then ",
        "for x in ",
        "\"",
        "'",
        "$'",
        "fi ",
        ";;",
        "&",
        "\\`",
        "$((a) ",
        "cd a;",
        "pushd a|b;",
        "pushd a;",
        "set -e;",
        "a <<E&&",
        "a||false||",
    ] {
        let text = opening.repeat(40_000 / opening.len());
        for dialect in [Dialect::Posix, Dialect::Bash] {
            let script = Script::parse(&text, dialect);
            let _ = (script.commands().len(), script.pipelines().len());
        }
    }
}
