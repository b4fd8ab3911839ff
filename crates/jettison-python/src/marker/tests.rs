use super::*;
use crate::tags::{Arch, Libc};

fn environment(python: &str) -> MarkerEnvironment {
    let libc = Libc::Glibc { major: 2, minor: 41 };
    MarkerEnvironment::for_target(&Target::new(python.parse().unwrap(), Arch::X86_64, libc))
}

fn names(names: &[&str]) -> BTreeSet<NormalizedName> {
    names.iter().map(|name| NormalizedName::parse(name).unwrap()).collect()
}

#[test]
fn markers_decide_as_the_specification_says() {
    let environment = environment("3.13.5");
    for (marker, holds) in [
        ("", true),
        ("python_version >= '3.9'", true),
        ("python_version < \"3.9\"", false),
        ("python_version >= \"3.9\" and python_version < \"3.13\"", false),
        ("'3.9' <= python_version", true),
        ("python_version == '3.*'", true),
        ("python_version ~= '3.9'", true),
        ("python_full_version ~= '3.12.0'", false),
        ("python_full_version === '3.13.5'", true),
        ("python_version in '3.12 3.13'", true),
        ("python_version not in '2.7, 3.0'", true),
        ("sys_platform == 'linux' or os_name == 'nt' and os_name == 'java'", true),
        ("(sys_platform == 'linux' or os_name == 'nt') and os_name == 'java'", false),
        ("sys_platform!='win32'and(platform_machine=='x86_64')", true),
        ("'linux' in sys_platform", true),
        ("'arm' not in platform_machine", true),
        ("platform_python_implementation != 'PyPy'", true),
        ("python_implementation == 'CPython' and os.name == 'posix'", true),
        ("platform_release >= '20.9.0'", false),
        ("implementation_name == \"cpython\"", true),
        ("implementation_version >= '3.13'", true),
        ("platform_version == ''", true),
        ("extra == 'test'", false),
        ("extra != 'test'", true),
    ] {
        assert_eq!(Marker::parse(marker).unwrap().applies(&environment), holds, "{marker}");
    }
}

#[test]
fn a_prerelease_interpreter_is_older_than_its_release() {
    let marker = Marker::parse("python_full_version >= '3.15.0'").unwrap();
    assert!(!marker.applies(&environment("3.15.0b2")));
    assert!(Marker::parse("python_version >= '3.15'").unwrap().applies(&environment("3.15.0b2")));
}

#[test]
fn extras_and_groups_are_sets() {
    let environment = environment("3.13.5");
    let (extras, groups) = (names(&["Fast_API", "b"]), names(&["dev"]));
    for (marker, holds) in [
        ("extra == 'fast-api'", true),
        ("'FAST.api' == extra", true),
        ("extra == 'fast-api' and extra == 'b'", true),
        ("extra != 'b'", false),
        ("'fast_api' in extras", true),
        ("'c' in extras or 'dev' in dependency_groups", true),
        ("'dev' not in dependency_groups", false),
    ] {
        assert_eq!(Marker::parse(marker).unwrap().evaluate(&environment, &extras, &groups), holds, "{marker}");
    }
}

#[test]
fn what_has_no_meaning_is_refused_with_a_column() {
    let errors: Vec<_> = [
        "python_versoin > '3'",
        "python_version > 3.9",
        "python_version '3'",
        "python_version >= '3.9",
        "(os_name == 'nt'",
        "os_name == 'nt' os_name",
        "os_name ~= 'nt'",
        "extra in 'a b'",
        "extras == 'a'",
        "os_name not 'nt'",
        "os_name == 'nt' and",
    ]
    .iter()
    .map(|bad| Marker::parse(bad).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    `python_versoin` is no marker variable; did you mean `python_version`?, at column 1 of `python_versoin > '3'`
    `3.9` is no marker variable, at column 18 of `python_version > 3.9`
    expected an operator, found `'`, at column 16 of `python_version '3'`
    the quote is not closed, at column 19 of `python_version >= '3.9`
    expected `)`, found the end, at column 17 of `(os_name == 'nt'`
    expected `and`, `or` or the end, found `o`, at column 17 of `os_name == 'nt' os_name`
    `~=` compares a version variable with a version such as "3.9", at column 9 of `os_name ~= 'nt'`
    `extra` compares with `==` and `!=`, not with `in`, at column 7 of `extra in 'a b'`
    `extras` is a set: write `"name" in extras`, at column 8 of `extras == 'a'`
    expected `in` after `not`, found `'`, at column 13 of `os_name not 'nt'`
    expected a variable or a quoted value, found the end, at column 20 of `os_name == 'nt' and`
    "#);
    let deep = format!("{}os_name == 'nt'{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Marker::parse(&deep).is_err());
    assert!(Marker::parse(&deep[..60_000]).unwrap_err().what.contains("nested"));
}

#[test]
fn markers_print_as_they_parse() {
    for (marker, printed) in [
        ("a", None),
        ("os.name=='nt'", Some("os_name == \"nt\"")),
        ("os_name == 'n\"t'", Some("os_name == 'n\"t'")),
        (
            "(os_name == 'a' or os_name == 'b') and extra=='c'",
            Some("(os_name == \"a\" or os_name == \"b\") and extra == \"c\""),
        ),
        ("'x' not  in extras", Some("\"x\" not in extras")),
    ] {
        let parsed = Marker::parse(marker).ok();
        assert_eq!(parsed.as_ref().map(Marker::to_string).as_deref(), printed, "{marker}");
        if let Some(parsed) = parsed {
            assert_eq!(Marker::parse(&parsed.to_string()).unwrap(), parsed);
        }
    }
}
