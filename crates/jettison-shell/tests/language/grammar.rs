//! Each construct of the grammar.

use crate::dump::dump;
use jettison_shell::Dialect::{self, Bash, Posix};

#[track_caller]
fn check(dialect: Dialect, cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = dump(text, dialect);
        if found != *expected {
            wrong.push_str(&format!("{text:?}\n  expected {expected}\n     found {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn lists_and_pipelines() {
    check(
        Posix,
        &[
            ("", ""),
            ("  # only a comment", ""),
            ("a", "⟨a⟩"),
            ("a;", "⟨a⟩;"),
            ("a && b || c; d & e", "⟨a⟩ && ⟨b⟩ || ⟨c⟩; ⟨d⟩ & ⟨e⟩"),
            ("a\n\n# note\n b # note\n", "⟨a⟩ ⏎ ⟨b⟩ ⏎"),
            ("a &&\n\n # note\n b", "⟨a⟩ && ⟨b⟩"),
            ("a && \\\n  b \\\n", "⟨a⟩ && ⟨b⟩"),
            ("a | b |\n c", "⟨a⟩ | ⟨b⟩ | ⟨c⟩"),
            ("! a | b", "! ⟨a⟩ | ⟨b⟩"),
            ("! ! a", "⟨a⟩"),
            ("!a", "⟨!a⟩"),
            ("a#b #c", "⟨a#b⟩"),
            ("a&&b||c|d", "⟨a⟩ && ⟨b⟩ || ⟨c⟩ | ⟨d⟩"),
            ("a\r\nb\r\n", "⟨a⟩ ⏎ ⟨b⟩ ⏎"),
            ("a \\\r\n  b\r\n# c\r\nd", "⟨a b⟩ ⏎ ⟨d⟩"),
        ],
    );
    check(Bash, &[("a |& b", "⟨a⟩ |& ⟨b⟩")]);
}

#[test]
fn words() {
    check(
        Posix,
        &[
            (r#"echo 'a b' "c d" e\ f g"h"'i'"#, r#"⟨echo 'a b' "c d" e\ f g"h"'i'⟩"#),
            (r#"echo "a\"b\$c\d" 'it'\''s' """#, r#"⟨echo "a\"b\$c\d" 'it'\''s' ""⟩"#),
            ("echo $a ${b} $1 $12 $@ $? $$ ${10} $-x $", "⟨echo ${a} ${b} ${1} ${1}2 ${@} ${?} ${$} ${10} ${-}x $⟩"),
            (
                "echo ${a:-b c} ${a-} ${#a} ${a%%.*} ${a#*/} ${a:?no $b} ${#} ${a:+\"x}\"}",
                "⟨echo ${a :- b c} ${a - } ${a # } ${a %% .*} ${a # */} ${a :? no ${b}} ${#} ${a :+ \"x}\"}⟩",
            ),
            (r#"echo "${a:-"b c"}" "${a:-it's}" "${a#'}'}""#, r#"⟨echo "${a :- "b c"}" "${a :- it's}" "${a # '}'}"⟩"#),
            ("echo $(date) `date` $(echo `x`)", "⟨echo $(⟨date⟩) $(⟨date⟩) $(⟨echo $(⟨x⟩)⟩)⟩"),
            (r"echo `a \`b \\\`c\\\`\``", "⟨echo $(⟨a $(⟨b $(⟨c⟩)⟩)⟩)⟩"),
            (r#"echo "`a \"b\"`" "$(a "b")""#, r#"⟨echo "$(⟨a "b"⟩)" "$(⟨a "b"⟩)"⟩"#),
            ("echo $((1 + $a)) $((a)) $((b) | c)", "⟨echo $((1 + ${a})) $((a)) $((⟨b⟩) | ⟨c⟩)⟩"),
            ("echo $(( (1) + $(a) ))", "⟨echo $(( (1) + $(⟨a⟩) ))⟩"),
            ("ls *.py a?[0-9][!]x] '*' \\* [ [x", "⟨ls ‹*›.py a‹?›‹[0-9]›‹[!]x]› '*' \\* [ [x⟩"),
            ("cd ~ ~/x ~me/y a~b", "⟨cd ‹~› ‹~›/x ‹~me›/y a~b⟩"),
            ("a{b,c}d {e..f}", "⟨a{b,c}d {e..f}⟩"),
            ("ec\\\nho a", "⟨echo a⟩"),
            ("echo $'a'", "⟨echo $'a'⟩"),
            ("echo é ü\\ß", "⟨echo é ü\\ß⟩"),
            ("echo $(a;b", "⟨echo $(⟨a⟩; ⟨b⟩)⟩ !`$(` has no `)` @5..7"),
        ],
    );
    check(
        Bash,
        &[
            (r"echo $'a\n\x41\'b' $'é\u00e9\q'", r"⟨echo $'a\nA\'b' $'\u{e9}\u{e9}\\q'⟩"),
            (r#"echo $"a $b""#, r#"⟨echo "a ${b}"⟩"#),
            (
                "echo ${a[0]} ${a[@]} ${!a} ${a//x/y} ${a^^} ${a:1:2} ${#a[@]}",
                "⟨echo ${a[0]} ${a[@]} ${a ! } ${a // x/y} ${a ^^ } ${a : 1:2} ${a[@] # }⟩",
            ),
            ("diff <(a) >(b | c)", "⟨diff <(⟨a⟩) <(⟨b⟩ | ⟨c⟩)⟩"),
            ("rm !(a|b) @(x)", "⟨rm ‹!(a|b)› ‹@(x)›⟩"),
        ],
    );
}

#[test]
fn simple_commands() {
    check(
        Posix,
        &[
            ("A=1 B='x y' cmd C=3", "⟨A=1 B='x y' cmd C=3⟩"),
            ("A= B=$(c)", "⟨A= B=$(⟨c⟩)⟩"),
            ("1A=2 a-b=c a+=b", "⟨1A=2 a-b=c a+=b⟩"),
            (
                "a >b 2>&1 <c >>d 2>/dev/null <>e >|f 3<&-",
                "⟨a Output:b 2DuplicateOutput:1 Input:c Append:d 2Output:/dev/null ReadWrite:e Clobber:f 3DuplicateInput:-⟩",
            ),
            (">a b", "⟨b Output:a⟩"),
            ("a 2 >b a2>c", "⟨a 2 a2 Output:b Output:c⟩"),
            ("pip install a>=1", "⟨pip install a Output:=1⟩"),
            ("a &>b", "⟨a⟩ & ⟨ Output:b⟩"),
            ("cat <<<x", "⟨cat HereString:x⟩ !`<<<` is not expected here @4..7"),
        ],
    );
    check(
        Bash,
        &[
            ("a=(1 'b c' $d\n e) f", "⟨a=(1 'b c' ${d} e) f⟩"),
            ("a[0]=1 a+=b", "⟨a=1 a+=b⟩"),
            ("declare -a x=(a \"$b\")", "⟨declare -a x=a\"${b}\"⟩"),
            ("a &>b &>>c {d}>e <<<\"f\"", "⟨a OutputBoth:b AppendBoth:c dOutput:e HereString:\"f\"⟩"),
        ],
    );
}

#[test]
fn compound_commands() {
    check(
        Posix,
        &[
            ("{ a; b; }", "{⟨a⟩; ⟨b⟩;}"),
            ("(a; b) >c", "(⟨a⟩; ⟨b⟩) Output:c"),
            ("((a))", "((⟨a⟩))"),
            ("if a; then b; elif c; then d; else e; fi", "if[⟨a⟩;][⟨b⟩;]if[⟨c⟩;][⟨d⟩;]else[⟨e⟩;]"),
            ("if\na\nthen\nb\nfi 2>x | y", "if[⟨a⟩ ⏎][⟨b⟩ ⏎] 2Output:x | ⟨y⟩"),
            ("for x in a \"b\" $c; do d; done", "for[x in a \"b\" ${c}][⟨d⟩;]"),
            ("for x; do d; done", "for[x][⟨d⟩;]"),
            ("for x\ndo d\ndone", "for[x][⟨d⟩ ⏎]"),
            ("for x in; do d; done", "for[x in ][⟨d⟩;]"),
            ("while a; do b; done; until a; do b; done", "while[⟨a⟩;][⟨b⟩;]; until[⟨a⟩;][⟨b⟩;]"),
            ("case $x in a|b) c;; (d*) e; f ;; *) esac", "case[${x}][a b: ⟨c⟩][d‹*›: ⟨e⟩; ⟨f⟩][‹*›: ]"),
            ("case \"$(a)\" in\n  # note\n  if) b\n  ;;\nesac", "case[\"$(⟨a⟩)\"][if: ⟨b⟩ ⏎]"),
            ("f() { a; }; g () (b)", "f() {⟨a⟩;}; g() (⟨b⟩)"),
            ("f()\n{\na\n}", "f() {⟨a⟩ ⏎}"),
            ("echo if then fi { } ! do", "⟨echo if then fi { } ! do⟩"),
            ("{a; 'if' b", "⟨{a⟩; ⟨'if' b⟩"),
            ("[ -f a ] && b", "⟨[ -f a ]⟩ && ⟨b⟩"),
            ("$(case x in a) b;; esac)", "⟨$(case[x][a: ⟨b⟩])⟩"),
        ],
    );
    check(
        Bash,
        &[
            (
                "[[ -f a && ( $b == c* || d =~ ^(e|f)$ ) ]] && g",
                "[[ -f a && ( ${b} == c‹*› || d =~ ^(e|f)$ ) ]] && ⟨g⟩",
            ),
            ("[[ a < b\n&& c ]]", "[[ a < b && c ]]"),
            ("(( a = $b + 1 )) || c", "(( a = ${b} + 1 )) || ⟨c⟩"),
            ("((a); b)", "((⟨a⟩); ⟨b⟩)"),
            ("for ((i=0; i<3; i++)); do a; done", "for((i=0; i<3; i++))[⟨a⟩;]"),
            ("function f { a; }; function g() { b; }", "f() {⟨a⟩;}; g() {⟨b⟩;}"),
            ("select x in a b; do c; done", "for[x in a b][⟨c⟩;]"),
            ("case a in b) c;;& d) e;& esac", "case[a][b: ⟨c⟩][d: ⟨e⟩]"),
        ],
    );
}

#[test]
fn heredocs() {
    check(
        Posix,
        &[
            ("cat <<EOF > x\na $b $(c) \\$d\nEOF\ne", "⟨cat Heredoc:EOF«a ${b} $(⟨c⟩) \\$d\n» Output:x⟩ ⏎ ⟨e⟩"),
            ("cat <<'EOF'\na $b\nEOF", "⟨cat Heredoc:'EOF'«a $b\n»⟩ ⏎"),
            ("cat <<\\E <<-F\n$a\nE\n\tb\n\tF\nc", "⟨cat Heredoc:\\E«$a\n» HeredocTabs:F«\tb\n»⟩ ⏎ ⟨c⟩"),
            ("a <<E && b\nx\nE\nc", "⟨a Heredoc:E«x\n»⟩ && ⟨b⟩ ⏎ ⟨c⟩"),
            ("a <<E | b &&\nx\nE\nc", "⟨a Heredoc:E«x\n»⟩ | ⟨b⟩ && ⟨c⟩"),
            ("x=$(cat <<E\ny\nE\n) z", "⟨x=$(⟨cat Heredoc:E«y\n»⟩ ⏎) z⟩"),
            ("if a; then cat <<E\nfi\nE\nfi", "if[⟨a⟩;][⟨cat Heredoc:E«fi\n»⟩ ⏎]"),
            ("cat <<E\r\nx\r\nE\r\ny", "⟨cat Heredoc:E«x\r\n»⟩ ⏎ ⟨y⟩"),
            ("cat <<E\n\"it's\"\nE", "⟨cat Heredoc:E«\"it's\"\n»⟩ ⏎"),
            ("cat <<''\nx\n\ny", "⟨cat Heredoc:''«x\n»⟩ ⏎ ⟨y⟩"),
            ("cat <<E\nx\n", "⟨cat Heredoc:E«x\n»⟩ ⏎ !the heredoc has no line `E` at its end @8..10"),
            ("cat <<E", "⟨cat Heredoc:E«»⟩ !the heredoc has no line `E` at its end @7..7"),
            ("sh <<E\na && $b\nE", "⟨sh Heredoc:E«⟨a⟩ && ⟨${b}⟩ ⏎»⟩ ⏎"),
            ("sh -e <<'E'\nif a; then\n b\nfi\nE", "⟨sh -e Heredoc:'E'«if[⟨a⟩;][⟨b⟩ ⏎] ⏎»⟩ ⏎"),
            ("python3 <<E\nif a:\nE", "⟨python3 Heredoc:E«if a:\n»⟩ ⏎"),
        ],
    );
}

#[test]
fn scripts_in_words() {
    check(
        Posix,
        &[
            ("sh -c 'a && b'", "⟨sh -c 'a && b' →{⟨a⟩ && ⟨b⟩}⟩"),
            ("/bin/bash -lc \"a \\\"b\\\" $c\"", "⟨/bin/bash -lc \"a \\\"b\\\" ${c}\" →{⟨a \"b\" ${c}⟩}⟩"),
            ("sudo -E env A=1 sh -euxc 'a' b", "⟨sudo -E env A=1 sh -euxc 'a' b →{⟨a⟩}⟩"),
            ("sh -c \"sh -c 'a; b'\"", "⟨sh -c \"sh -c 'a; b'\" →{⟨sh -c 'a; b' →{⟨a⟩; ⟨b⟩}⟩}⟩"),
            ("bash -c '[[ a ]]'", "⟨bash -c '[[ a ]]' →{[[ a ]]}⟩"),
            ("sh -c \"echo $(a \"b\")\"", "⟨sh -c \"echo $(⟨a \"b\"⟩)\" →{⟨echo $(⟨a \"b\"⟩)⟩}⟩"),
            ("su - user -c 'a; b'", "⟨su - user -c 'a; b' →{⟨a⟩; ⟨b⟩}⟩"),
            ("sh script -c 'a'", "⟨sh script -c 'a'⟩"),
            ("sh -c", "⟨sh -c⟩"),
        ],
    );
}

#[test]
fn errors_leave_the_rest_readable() {
    check(
        Posix,
        &[
            ("if a; then b", "if[⟨a⟩;][⟨b⟩] !`if` has no `fi` @0..2"),
            ("if a; b; fi; c", "if[⟨a⟩; ⟨b⟩;][]; ⟨c⟩ !`then` is missing here @9..9"),
            (
                "if a; then (b; fi; c",
                "if[⟨a⟩;][(⟨b⟩; ⟨c⟩)] !`if` has no `fi` @0..2 !`(` has no `)` @11..12 !`fi` is not expected here @15..17",
            ),
            ("a; fi; b", "⟨a⟩; ⟨b⟩ !`fi` is not expected here @3..5"),
            ("a ) b", "⟨a⟩ ⟨b⟩ !`)` is not expected here @2..3"),
            ("&& a", "⟨a⟩ !`&&` is not expected here @0..2"),
            ("a &&", "⟨a⟩ && !a command is missing here @4..4"),
            ("a ;; b", "⟨a⟩ ⟨b⟩ !`;;` is not expected here @2..4"),
            ("a | | b", "⟨a⟩ ⟨b⟩ !a command is missing here @4..4 !`|` is not expected here @4..5"),
            ("echo 'a", "⟨echo 'a'⟩ !`'` has no `'` @5..6"),
            ("echo \"a", "⟨echo \"a\"⟩ !`\"` has no `\"` @5..6"),
            ("echo ${a", "⟨echo ${a}⟩ !`${` has no `}` @5..7"),
            (
                "echo ${} ${a b}",
                "⟨echo ${} ${a}⟩ !the name of a variable is missing here @7..7 !` ` is not expected here @12..13",
            ),
            ("for in do; done", "for[in][] !`;` is not expected here @9..10 !a command is missing here @11..11"),
            ("case a", "case[a] !`case` has no `esac` @0..4 !`in` is missing here @6..6"),
            ("while a; done", "while[⟨a⟩;][] !`do` is missing here @9..9"),
            ("a >", "⟨a Output:⟩ !the target of the redirection is missing here @3..3"),
            ("f()", "f() {} !the body of a function is missing here @3..3"),
            ("echo (a)", "⟨echo⟩ (⟨a⟩) !`(` is not expected here @5..6"),
            ("{ }; ( )", "{}; () !a command is missing here @2..2 !a command is missing here @7..7"),
            ("if then fi", "if[][] !a command is missing here @7..7 !a command is missing here @8..8"),
            (
                "a | fi; in b",
                "⟨a⟩ ⟨in b⟩ !a command is missing here @4..4 !`fi` is not expected here @4..6 !`in` is not expected here @8..10",
            ),
            ("! ;a", "⟨a⟩ !a command is missing here @2..2 !`;` is not expected here @2..3"),
        ],
    );
}
