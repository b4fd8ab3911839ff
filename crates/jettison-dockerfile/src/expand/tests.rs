//! What each construct expands to.

use super::*;

fn environment() -> BTreeMap<String, String> {
    let pairs = [
        ("name", "value"),
        ("empty", ""),
        ("path", "/usr/lib/python3/dist/app.tar.gz"),
        ("spaced", " one  two "),
        ("quote", "it's \"$name\" \\"),
        ("stars", "a*b?c"),
        ("lines", "ab\nab"),
        ("é", "accent"),
        ("_1", "underscore"),
        ("slash", "/"),
        ("hash", "#a"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// (word, what it expands to)
const WORDS: &[(&str, &str)] = &[
    // Quotes and escapes.
    ("", ""),
    ("plain", "plain"),
    ("'single $name \\'", "single $name \\"),
    ("\"double $name\"", "double value"),
    ("a'b'\"c\"d", "abcd"),
    ("\"it's\"", "it's"),
    ("'say \"x\"'", "say \"x\""),
    (r"\a\ \\\'", r"a \'"),
    (r#""\a\"\$\\""#, r#"\a"$\"#),
    (r"'\a'", r"\a"),
    ("end\\", "end"),
    ("two  spaces\tstay", "two  spaces\tstay"),
    ("é☃", "é☃"),
    // Variables.
    ("$name", "value"),
    ("${name}", "value"),
    ("x${name}y$name/z", "xvalueyvalue/z"),
    ("$name.$name", "value.value"),
    ("$names", ""),
    ("${unset}", ""),
    ("$unset.", "."),
    ("\\$name", "$name"),
    ("\\${name}", "${name}"),
    ("$", "$"),
    ("a$ b", "a$ b"),
    ("$.", "$."),
    ("$é", "accent"),
    ("$_1", "underscore"),
    ("$1name", "name"),
    ("$12", ""),
    ("$$name", "name"),
    ("$@$*$#$?$-$!", ""),
    ("${1:-one}", "one"),
    ("${@:-all}", "all"),
    ("$quote", "it's \"$name\" \\"),
    ("$spaced", " one  two "),
    // `-` and `+`, with `:` and without.
    ("${name:-word}|${empty:-word}|${unset:-word}", "value|word|word"),
    ("${name-word}|${empty-word}|${unset-word}", "value||word"),
    ("${name:+word}|${empty:+word}|${unset:+word}", "word||"),
    ("${name+word}|${empty+word}|${unset+word}", "word|word|"),
    ("${unset:-}|${unset-}|${name:+}|${name+}", "|||"),
    ("${name:?no}|${name?no}|${empty?no}", "value|value|"),
    ("${unset:-two words}", "two words"),
    ("${unset:-a:-b}", "a:-b"),
    ("${unset:-{x}", "{x"),
    ("${unset:-'}'}", "}"),
    ("${unset:-\"}\"}", "}"),
    (r"${unset:-\}}", "}"),
    ("${unset:-$name}", "value"),
    ("${unset:-${name}}", "value"),
    ("${unset:-${unset:-${unset-deep}}}", "deep"),
    ("${name:+${unset:-x}y}", "xy"),
    ("\"${unset:-'a'}\"", "a"),
    ("${unset:-\\$name}", "$name"),
    // The shortest and the longest match at the start.
    ("${path#/}", "usr/lib/python3/dist/app.tar.gz"),
    ("${path#*/}", "usr/lib/python3/dist/app.tar.gz"),
    ("${path##*/}", "app.tar.gz"),
    ("${path#/*/}", "lib/python3/dist/app.tar.gz"),
    ("${path##/*/}", "app.tar.gz"),
    ("${path#????}", "/lib/python3/dist/app.tar.gz"),
    ("${path#nope}", "/usr/lib/python3/dist/app.tar.gz"),
    ("${path#}", "/usr/lib/python3/dist/app.tar.gz"),
    ("${path##*}|${path#*}", "|/usr/lib/python3/dist/app.tar.gz"),
    ("${unset#x}|${empty#x}", "|"),
    ("${path#$slash}", "usr/lib/python3/dist/app.tar.gz"),
    ("${path#${unset:-/usr}}", "/lib/python3/dist/app.tar.gz"),
    (r"${stars#a\*}|${stars##a\*b\?}", "b?c|c"),
    ("${name#'val'}", "ue"),
    ("${lines##*b}", "\nab"),
    // (The `#` of the value doubles that of the modifier.)
    ("${hash#$hash}", "#a"),
    // And at the end.
    ("${path%.*}", "/usr/lib/python3/dist/app.tar"),
    ("${path%%.*}", "/usr/lib/python3/dist/app"),
    ("${path%/*}", "/usr/lib/python3/dist"),
    ("${path%%/*}", ""),
    ("${path%.gz}|${path%gz.}", "/usr/lib/python3/dist/app.tar|/usr/lib/python3/dist/app.tar.gz"),
    ("${path%?????}", "/usr/lib/python3/dist/app.t"),
    (r"${stars%\?c}", "a*b"),
    ("${name%}", "value"),
    // Replacement.
    ("${path/usr/opt}", "/opt/lib/python3/dist/app.tar.gz"),
    ("${path//a/A}", "/usr/lib/python3/dist/App.tAr.gz"),
    ("${path/a/}", "/usr/lib/python3/dist/pp.tar.gz"),
    ("${path//[.]/-}", "/usr/lib/python3/dist/app.tar.gz"),
    ("${path//./-}", "/usr/lib/python3/dist/app-tar-gz"),
    (r"${path//\//:}", ":usr:lib:python3:dist:app.tar.gz"),
    ("${path/lib*dist/x}", "/usr/x/app.tar.gz"),
    ("${name//?/x}|${name/?/x}", "xxxxx|xalue"),
    ("${name//*/x}|${name/*/x}", "x|x"),
    ("${name///-}|${name//nope/x}", "-v-a-l-u-e-|value"),
    ("${name/a/$name}", "vvaluelue"),
    ("${name/${unset:-a}/'$1'}", "v$1lue"),
    ("${name//a/\\$1}", "v\\$1lue"),
    ("${unset/a/b}|${empty//a/b}", "|"),
    (r"${stars/\*/x}|${stars/\?/x}", "axb?c|a*bxc"),
    ("${lines//a*b/x}", "x\nx"),
    // `<` is nothing here.
    ("a < b << c <<< d", "a < b << c <<< d"),
];

#[test]
fn words_expand() {
    let environment = environment();
    for &(word, expected) in WORDS {
        assert_eq!(expand_word(word, Escape::Backslash, &environment).as_deref(), Ok(expected), "{word}");
    }
}

#[test]
fn a_backtick_escapes_where_the_file_says_so() {
    let expand = |word| expand_word(word, Escape::Backtick, &environment());
    assert_eq!(expand(r"c:\dir\$name").as_deref(), Ok(r"c:\dir\value"));
    assert_eq!(expand("`$name`` \"`\"`x\"").as_deref(), Ok("$name` \"`x"));
    assert_eq!(expand("\"a\\\"").as_deref(), Ok("a\\"));
    // Patterns keep to `\`.
    assert_eq!(expand(r"${stars#a\*}").as_deref(), Ok("b?c"));
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let cases = [
        ("a 'b", 2..4, "the quote ' is never closed"),
        ("a \"b'", 2..5, "the quote \" is never closed"),
        ("\"a\\\"", 0..4, "the quote \" is never closed"),
        ("a${name", 1..7, "`${` is never closed"),
        ("${name:-x", 0..9, "`${` is never closed"),
        ("${name:", 0..7, "`${` is never closed"),
        ("${name#x", 0..8, "`${` is never closed"),
        ("${name x}", 0..6, "`${` is never closed"),
        ("a${", 1..3, "`${` is never closed"),
        ("${name/x/y", 0..10, "`${` is never closed"),
        ("${name/x}", 0..9, "the pattern of `${…/…}` has no `/` after it"),
        ("${}", 0..3, "`${` is followed by no name"),
        ("${:-x}", 0..3, "`${` is followed by no name"),
        ("${{x}", 0..3, "`${` is followed by no name"),
        ("${name=x}", 6..7, "`=` is no modifier of a variable"),
        ("${name:=x}", 6..8, "`:=` is no modifier of a variable"),
        ("${name:#x}", 6..8, "`:#` is no modifier of a variable"),
        ("${name^}", 6..7, "`^` is no modifier of a variable"),
        ("${.}", 2..3, "`.` is no modifier of a variable"),
        ("x${name#\\a}", 8..11, "the pattern `\\a` escapes `a`"),
        ("${name/a\\b/c}", 7..13, "the pattern `a\\b` escapes `b`"),
        ("${unset:?}", 0..10, "unset: is not allowed to be unset"),
        ("${unset?}", 0..9, "unset: is not allowed to be unset"),
        ("${empty:?}", 0..10, "empty: is not allowed to be empty"),
        ("a ${unset:?say $name}", 2..21, "unset: say value"),
        ("${unset:-'}", 9..11, "the quote ' is never closed"),
    ];
    let environment = environment();
    for (word, range, message) in cases {
        let error = expand_word(word, Escape::Backslash, &environment).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.range.clone()), (message, range), "{word}");
        assert!(error.hint().is_some());
    }
    let nested = format!("{}x{}", "${a:-".repeat(1000), "}".repeat(1000));
    assert_eq!(expand_word(&nested, Escape::Backslash, &()).unwrap_err().kind, ExpandErrorKind::TooDeep);
}

#[test]
fn nothing_grows_without_end() {
    let long = BTreeMap::from([("a".to_owned(), "x".repeat(1 << 20))]);
    for word in ["$a".repeat(5), "\"$a$a$a$a$a\"".to_owned(), "${a//x/12345}".to_owned(), "${b:-$a$a$a$a$a}".to_owned()]
    {
        assert_eq!(expand_word(&word, Escape::Backslash, &long).unwrap_err().kind, ExpandErrorKind::TooLong);
    }
}

/// (text, the words of it)
const SPLITS: &[(&str, &[&str])] = &[
    ("a b\tc", &["a", "b", "c"]),
    ("  a  ", &["a"]),
    ("", &[]),
    ("'a b' c\"d e\"f", &["a b", "cd ef"]),
    ("a\\ b", &["a b"]),
    ("$spaced", &["one", "two"]),
    ("x${spaced}y", &["x", "one", "two", "y"]),
    ("\"$spaced\"", &[" one  two "]),
    ("x\"$spaced\"", &["x one  two "]),
    ("$unset \"\" ''", &[]),
    ("80${unset:-80} ${unset:-1 2}", &["8080", "1", "2"]),
    ("a<<  b c", &["a<<  b", "c"]),
    ("a << b", &["a", "<< b"]),
];

#[test]
fn white_space_splits_unless_it_is_quoted() {
    let environment = environment();
    for &(text, expected) in SPLITS {
        let words = expand_words(text, Escape::Backslash, &environment).unwrap();
        assert_eq!(words, expected, "{text:?}");
    }
}

#[test]
fn a_heredoc_has_no_quotes() {
    let expand = |text| Expander::heredoc().word(text, &environment()).map(|expansion| expansion.value);
    assert_eq!(expand("it's \"$name\" ${unset:-'x'}\n").as_deref(), Ok("it's \"value\" 'x'\n"));
    assert_eq!(expand("\\$name \\\\ \\x").as_deref(), Ok("$name \\ x"));
}

#[test]
fn what_is_kept_stays() {
    let text = r#"$name "$unset" ${unset:-x} ${unset#a} ${unset/a/b} \a 'b' ${unset?}"#;
    let keep = Expander::default().keep_unset().keep_quotes();
    let kept = keep.keep_escapes().word(text, &environment()).unwrap().value;
    assert_eq!(kept, text.replace("$name", "value"));
    assert_eq!(keep.word(r"'a' \$b", &()).unwrap().value, "'a' $b");
}

#[test]
fn variables_are_noted() {
    let found = Expander::default().word("$name ${unset:-$empty}${other}'$quoted'", &environment()).unwrap();
    let seen: Vec<_> = found.variables.iter().map(|v| (v.name.as_str(), v.range.clone(), v.set, v.guarded)).collect();
    let expected = [
        ("name", 0..5, true, false),
        ("empty", 15..21, true, false),
        ("unset", 6..22, false, true),
        ("other", 22..30, false, false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(found.used().collect::<Vec<_>>(), ["name", "empty"]);
    assert_eq!(found.unset().collect::<Vec<_>>(), ["unset", "other"]);
    let checked = Expander::default().check("$a ${b:?must}").unwrap();
    assert_eq!(checked.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn the_last_of_a_name_counts() {
    let pairs = [("a", "1"), ("a", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(expand_word("$a", Escape::Backslash, &pairs.as_slice()).as_deref(), Ok("2"));
}

#[test]
fn hostile_patterns_take_no_longer() {
    let value = BTreeMap::from([("a".to_owned(), "a".repeat(2000))]);
    let word = format!("${{a##{}b}}", "*a".repeat(500));
    assert_eq!(expand_word(&word, Escape::Backslash, &value).unwrap().len(), 2000);
}
