use std::path::Path;

use super::*;

fn parse_one(text: &str) -> Entry {
    let variables = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    match parse("requirements.txt", text, &variables).unwrap().remove(0) {
        Line::Requirement(entry) => entry,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn requirements_of_every_kind() {
    let cases = [
        ("Flask", "flask"),
        ("flask [async] >= 2 , < 3  # a comment", "flask[async]>=2,<3"),
        ("a#b", ""),
        (
            "uvicorn[standard]==0.30.1 ; python_version >= '3.9'",
            "uvicorn[standard]==0.30.1 ; python_version >= \"3.9\"",
        ),
        ("a @ https://h/a.whl", "a @ https://h/a.whl"),
        ("https://${TOKEN}@h/a-1.0.tar.gz#sha256=00", "https://s3cret@h/a-1.0.tar.gz#sha256=00"),
        ("https://${token}@h/a.zip ; os_name == 'nt'", "https://${token}@h/a.zip ; os_name == \"nt\""),
        ("git+https://h/a/b.git@v1#egg=B[x]&subdirectory=py", "b[x] @ git+https://h/a/b.git@v1#subdirectory=py"),
        ("-e git+https://h/a/b.git#egg=b", "-e git+https://h/a/b.git#egg=b"),
        ("-e .[dev,test]", "-e .[dev,test]"),
        ("--editable=./libs/x ; sys_platform == 'linux'", "-e ./libs/x ; sys_platform == \"linux\""),
        ("./downloads/numpy-1.9.2-cp34-none-win32.whl", "./downloads/numpy-1.9.2-cp34-none-win32.whl"),
        ("libs/x[y]", "libs/x[y]"),
        ("file:///srv/a", "file:///srv/a"),
        ("a \\\n  >=1 \\\n  # ends here", "a>=1"),
        ("\\\n\na==1", "a==1"),
    ];
    for (text, expected) in cases {
        if expected.is_empty() {
            assert!(parse("r", text, &|_| None).is_err(), "{text}");
        } else {
            assert_eq!(parse_one(text).to_line(), expected, "{text}");
        }
    }
}

#[test]
fn hashes_pin() {
    let digest = "ab".repeat(32);
    let entry = parse_one(&format!("a==1.0 \\\n    --hash=sha256:{digest} \\\n    --hash sha256:{digest}"));
    assert_eq!((entry.hashes.len(), entry.pinned().map(ToString::to_string).as_deref()), (2, Some("1.0")));
    assert!(parse_one("a==1.*").pinned().is_none() && parse_one("a>=1").pinned().is_none());
}

#[test]
fn option_lines() {
    let text = "-i https://u:${TOKEN}@h/simple\n--extra-index-url=https://e\n-f ./wheels\n--no-binary :all:\n\
                --no-binary=a,B --pre\n--only-binary \"c\"\n-rother.txt\n-c 'my constraints.txt'\n--trusted-host h";
    let lines = parse("r", text, &|_| Some("t".to_owned())).unwrap();
    let shown: Vec<String> = lines
        .iter()
        .map(|line| match line {
            Line::Option(name, value, place) => format!("{place} {name} {value}"),
            Line::Include(file, place) => format!("{place} include {file}"),
            Line::Constraint(file, place) => format!("{place} constrain by {file}"),
            Line::Requirement(entry) => entry.to_line(),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    r:1 --index-url https://u:t@h/simple
    r:2 --extra-index-url https://e
    r:3 --find-links ./wheels
    r:4 --no-binary :all:
    r:5 --no-binary a,B
    r:5 --pre 
    r:6 --only-binary c
    r:7 include other.txt
    r:8 constrain by my constraints.txt
    r:9 --trusted-host h
    ");
}

#[test]
fn errors_name_the_line() {
    let errors: Vec<_> = [
        "\n\nflask >> 2",
        "a==1 --hash=md5:00",
        "a==1 \\\n --hsah=sha256:00",
        "--index-ulr https://h",
        "-r",
        "-e flask",
        "--pre yes",
        "-i 'https://h",
        "a ; python_versoin > '3'",
    ]
    .iter()
    .map(|text| {
        let error = parse("requirements.txt", text, &|_| None).unwrap_err();
        error.hint().map_or(error.to_string(), |hint| format!("{error} ({hint})"))
    })
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    requirements.txt:3: no such comparison operator ">>", must be one of ~= == != <= >= < > ===, at column 7 of `flask >> 2`
    requirements.txt:1: `--hash=md5:00` is no hash (write `--hash=sha256:` and 64 hex digits)
    requirements.txt:1: `--hsah` is no option of a requirements file (did you mean `--hash`?)
    requirements.txt:1: `--index-ulr` is no option of a requirements file (did you mean `--index-url`?)
    requirements.txt:1: `-r` needs a value
    requirements.txt:1: `-e flask` is no directory or repository (write `-e ./directory` or `-e git+https://…#egg=name`)
    requirements.txt:1: `yes` follows an option that takes no value
    requirements.txt:1: a quote ' is not closed
    requirements.txt:1: `python_versoin` is no marker variable; did you mean `python_version`?, at column 5 of `a ; python_versoin > '3'`
    "#);
}

#[test]
fn encodings() {
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("é==1".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(decode("r", &utf16).unwrap(), "é==1");
    assert_eq!(decode("r", b"\xef\xbb\xbfa").unwrap(), "a");
    assert_eq!(decode("r", b"# -*- coding: latin-1 -*-\n# \xe9").unwrap(), "# -*- coding: latin-1 -*-\n# é");
    assert_eq!(decode("r", b"a\nb\xe9").unwrap_err().to_string(), "r:2:2: this byte is not UTF-8");
}

#[test]
fn nested_files_are_relative_to_the_file_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir(root.join("requirements")).unwrap();
    let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
    write("requirements.txt", "-r requirements/prod.txt\n");
    write("requirements/prod.txt", "-r base.txt\n-c ../constraints.txt\n-e ./libs/x\ngunicorn\n");
    write("requirements/base.txt", "flask\n");
    write("constraints.txt", "flask<3\n");
    let read = |file: &str| Requirements::read(root, &[file.to_owned()], &|_| None);
    let requirements = read("requirements.txt").unwrap();
    assert_eq!(
        requirements.files,
        ["requirements.txt", "requirements/prod.txt", "requirements/base.txt", "constraints.txt"]
    );
    let lines = |entries: &[Entry]| entries.iter().map(Entry::to_line).collect::<Vec<_>>();
    assert_eq!(lines(&requirements.entries), ["flask", "-e ./libs/x", "gunicorn"]);
    assert_eq!(lines(&requirements.constraints), ["flask<3"]);
    assert!(!requirements.is_locked());

    write("loop.txt", "-r requirements/../loop.txt\n");
    assert_eq!(read("loop.txt").unwrap_err().to_string(), "loop.txt:1: `loop.txt` includes itself");
    write("remote.txt", "\n-r https://h/r.txt\n");
    assert!(read("remote.txt").unwrap_err().hint().is_some());
    write("missing.txt", "-r nowhere.txt\n");
    assert!(read("missing.txt").unwrap_err().to_string().starts_with("missing.txt:1: cannot read `nowhere.txt`"));
    assert_eq!(normalize_for_test("a/../b/./c"), "b/c");
}

fn normalize_for_test(path: &str) -> String {
    super::normalize(Path::new(path)).display().to_string()
}
