use std::str::FromStr;

use super::inputs::{Resolution, digest, mark};
use super::*;
use crate::project::pyproject;
use crate::tags::{Arch, Libc, Target};

const HASH: &str = "abababababababababababababababababababababababababababababababab";

fn tags(python: &str, arch: Arch) -> Tags {
    Tags::for_target(&Target::new(Version::from_str(python).unwrap(), arch, Libc::Glibc { major: 2, minor: 41 }))
}

fn names(names: &[&str]) -> BTreeSet<NormalizedName> {
    names.iter().map(|name| NormalizedName::parse(name).unwrap()).collect()
}

/// A project with this pyproject.toml, in a directory that is not there.
fn project(text: &str) -> Project {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pyproject.toml"), text).unwrap();
    pyproject::parse("pyproject.toml", text).unwrap();
    Project::read(directory.path()).unwrap()
}

/// `name version what` for each, or the error with its hint.
fn select(lock: Result<Lock, LockError>, python: &str, extras: &[&str], groups: &[&str]) -> String {
    let tags = tags(python, Arch::X86_64);
    let groups = (!groups.is_empty()).then(|| names(groups));
    let selection = Selection { extras: names(extras), groups, ..Selection::for_tags(&tags) };
    match lock.and_then(|lock| lock.select(&selection)) {
        Ok(all) => all.iter().map(shown).collect::<Vec<_>>().join("\n"),
        Err(e) => e.hint().map_or(e.to_string(), |hint| format!("{e} ({hint})")),
    }
}

fn shown(locked: &Locked) -> String {
    let location = |artifact: &Artifact| match &artifact.location {
        Location::Url(url) => url.clone(),
        Location::Path(path) => path.display().to_string(),
        Location::Index => format!("{} on the index", artifact.filename),
    };
    let source = match &locked.source {
        Source::Wheel(artifact) => location(artifact),
        Source::Sdist { artifact, subdirectory, .. } => {
            format!("build {} {}", location(artifact), subdirectory.as_deref().unwrap_or(""))
        }
        Source::Directory { path, editable } => format!("directory {} {editable}", path.display()),
        Source::Git(git) => format!("{} at {} {}", git.url, git.commit, git.subdirectory.as_deref().unwrap_or("")),
        Source::Listed { hashes } => format!("one of {} hashes", hashes.len()),
    };
    let version = locked.version.as_ref().map_or("?".to_owned(), ToString::to_string);
    let index = locked.index.as_ref().map_or(String::new(), |index| format!(" from {index}"));
    let direct = locked.direct_url.as_ref().map_or(String::new(), |record| format!(" {record}"));
    format!("{} {version}: {}{index}{direct}", locked.name, source.trim_end())
}

fn pylock(text: &str) -> Result<Lock, LockError> {
    Lock::parse_pylock("pylock.toml", text, Path::new("/src"))
}

#[test]
fn pylock_follows_every_kind_of_source() {
    let text = format!(
        r#"
        lock-version = "1.0"
        environments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
        requires-python = ">=3.9"
        extras = ["pg"]
        dependency-groups = ["dev", "docs"]
        default-groups = ["docs"]
        created-by = "test"
        [[packages]]
        name = "Native_Thing"
        version = "1.0"
        index = "https://pypi.org/simple"
        sdist = {{name = "native_thing-1.0.tar.gz", url = "https://f/native_thing-1.0.tar.gz", hashes = {{sha256 = "{HASH}"}}}}
        wheels = [
          {{url = "https://f/native_thing-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", upload-time = 2025-01-01T00:00:00Z, hashes = {{sha256 = "{HASH}", md5 = "00"}}}},
          {{url = "https://f/native_thing-1.0-cp312-cp312-macosx_11_0_arm64.whl", hashes = {{sha256 = "{HASH}"}}}},
        ]
        [[packages.attestation-identities]]
        kind = "GitHub"
        [[packages]]
        name = "windows-only"
        version = "1"
        marker = "sys_platform == 'win32'"
        wheels = [{{name = "windows_only-1-py3-none-any.whl", url = "https://f/x", hashes = {{sha256 = "{HASH}"}}}}]
        [[packages]]
        name = "asyncpg"
        version = "1"
        marker = "'pg' in extras"
        wheels = [{{name = "asyncpg-1-py3-none-any.whl", path = "wheels/asyncpg-1-py3-none-any.whl", hashes = {{sha256 = "{HASH}"}}}}]
        [[packages]]
        name = "pytest"
        marker = "'dev' in dependency_groups"
        vcs = {{type = "git", url = "https://h/pytest", requested-revision = "main", commit-id = "0123abc", subdirectory = "py"}}
        [[packages]]
        name = "sphinx"
        marker = "'docs' in dependency_groups"
        archive = {{url = "https://user:token@h/sphinx-7.zip", hashes = {{sha256 = "{HASH}"}}, subdirectory = "s"}}
        [[packages]]
        name = "shop"
        directory = {{path = ".", editable = true}}
        [[packages]]
        name = "core"
        directory = {{path = "../libs/core", editable = true}}
        "#
    );
    insta::assert_snapshot!(select(pylock(&text), "3.13.5", &[], &[]), @r#"
    core ?: directory /libs/core true
    native-thing 1.0: https://f/native_thing-1.0-cp313-cp313-manylinux_2_17_x86_64.whl from https://pypi.org/simple
    sphinx ?: build https://user:token@h/sphinx-7.zip s {"url":"https://h/sphinx-7.zip","archive_info":{"hashes":{"sha256":"abababababababababababababababababababababababababababababababab"}},"subdirectory":"s"}
    "#);
    insta::assert_snapshot!(select(pylock(&text), "3.12.1", &["pg"], &["dev"]), @r#"
    asyncpg 1: /src/wheels/asyncpg-1-py3-none-any.whl
    core ?: directory /libs/core true
    native-thing 1.0: build https://f/native_thing-1.0.tar.gz from https://pypi.org/simple
    pytest ?: https://h/pytest at 0123abc py {"url":"https://h/pytest","vcs_info":{"vcs":"git","requested_revision":"main","commit_id":"0123abc"},"subdirectory":"py"}
    "#);
    insta::assert_snapshot!(select(pylock(&text), "3.8.1", &[], &[]), @"pylock.toml is for Python >=3.9, and the image has Python 3.8.1 (choose a Python that it is for, or lock again for this one)");
    insta::assert_snapshot!(select(pylock(&text), "3.13.5", &["pgg"], &[]), @"pylock.toml has no extra `pgg` (did you mean `pg`?)");
    let windows = text.replace("'linux'", "'win32'");
    insta::assert_snapshot!(select(pylock(&windows), "3.13.5", &[], &[]), @r#"pylock.toml is for other platforms than CPython 3.13.5 on Linux x86_64: it needs `sys_platform == "win32"` or `sys_platform == "darwin"` (lock again with this platform among its environments)"#);
}

#[test]
fn a_lock_for_another_platform_names_the_package_and_its_wheels() {
    let text = format!(
        r#"
        lock-version = "1.0"
        [[packages]]
        name = "uvloop"
        version = "0.21.0"
        wheels = [
          {{url = "https://f/uvloop-0.21.0-cp313-cp313-macosx_10_13_universal2.whl", hashes = {{sha256 = "{HASH}"}}}},
          {{url = "https://f/uvloop-0.21.0-cp312-cp312-manylinux_2_17_x86_64.whl", hashes = {{sha256 = "{HASH}"}}}},
        ]
        "#
    );
    insta::assert_snapshot!(select(pylock(&text), "3.13.5", &[], &[]), @"pylock.toml:3:9: uvloop 0.21.0: no wheel for cp313 on Linux x86_64 with glibc 2.41: for that platform it has cp312, and there is no source distribution (choose a version of `uvloop` that supports CPython 3.13.5 on x86_64, or another Python, and lock again)");
    let lock = pylock(&text).unwrap();
    let tags = tags("3.13.5", Arch::Aarch64);
    assert!(matches!(lock.select(&Selection::for_tags(&tags)), Err(LockError::NoArtifact(_))));
}

#[test]
fn a_lock_for_one_platform_is_not_built_from_source_for_another() {
    let package = |name: &str, tags: &str| {
        format!(
            "[[packages]]\nname = '{name}'\nversion = '1'\n\
             sdist = {{url = 'https://f/{name}-1.tar.gz', hashes = {{sha256 = '{HASH}'}}}}\n\
             wheels = [{{url = 'https://f/{name}-1-{tags}.whl', hashes = {{sha256 = '{HASH}'}}}}]\n"
        )
    };
    let lock = |packages: &[String]| format!("lock-version = '1.0'\n{}", packages.concat());
    let pure = package("pure", "py3-none-any");
    let one = package("one", "cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64");
    let other = package("other", "cp313-cp313-win_amd64");
    insta::assert_snapshot!(select(pylock(&lock(&[pure.clone(), one.clone()])), "3.13.5", &[], &[]), @"pylock.toml:7:1: the lock was made for another platform (manylinux aarch64) than Linux x86_64 with glibc 2.41: of one it has only `one-1-cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64.whl` (lock for both, as `uv lock` does, or lock again for x86_64)");
    // Windows alone is what psycopg2 has: that says nothing of the lock.
    assert!(select(pylock(&lock(std::slice::from_ref(&other))), "3.13.5", &[], &[]).starts_with("other"));
    // Wheels for several platforms, none of them this: then this package is really built here.
    let tags = tags("3.13.5", Arch::X86_64);
    let locked = pylock(&lock(&[pure, one, other])).unwrap().select(&Selection::for_tags(&tags)).unwrap();
    let Source::Sdist { no_wheel: Some(why), .. } = &locked[0].source else { panic!("{locked:?}") };
    assert!(why.starts_with("no wheel for cp313 on Linux x86_64"), "{why}");
}

#[test]
fn pylock_mistakes() {
    let package = |body: &str| format!("lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1'\n{body}\n");
    let wheel = format!("wheels = [{{url = 'https://f/a-1-py3-none-any.whl', hashes = {{sha256 = '{HASH}'}}}}]");
    let errors: Vec<_> = [
        "lock-version = '2.0'\n".to_owned(),
        "[[packages]]\n".to_owned(),
        package("wheels = [{url = 'https://f/a-1-py3-none-any.whl', hashes = {md5 = '00'}}]"),
        package("wheels = [{hashes = {sha256 = '00'}}]"),
        package("directory = {path = '..'}\narchive = {url = 'https://f/a.zip'}"),
        package("marker = 'os_nam == 1'"),
        package("vcs = {type = 'hg', url = 'https://h', commit-id = '1'}"),
        package(&wheel) + &package(&wheel).replace("lock-version = '1.0'", "").replace("'1'", "'2'"),
        package(&format!("requires-python = '<3'\n{wheel}")),
    ]
    .iter()
    .map(|text| select(pylock(text), "3.13.5", &[], &[]))
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @"
    pylock.toml:1:16: lock-version 2.0 is not known (lock again with a tool that writes lock-version 1.0 (PEP 751))
    pylock.toml:1:1: missing field `name`
    pylock.toml:2:1: `a-1-py3-none-any.whl` has no SHA-256 hash (lock again: nothing is installed that cannot be checked)
    pylock.toml:2:1: a: a file has neither `url` nor `path`
    pylock.toml:2:1: a: it needs one of `vcs`, `directory`, `archive`, and `sdist` with `wheels`
    pylock.toml:2:1: a: `os_nam` is no marker variable; did you mean `os_name`?, at column 1 of `os_nam == 1`
    pylock.toml:2:1: a: sources in hg cannot be fetched
    pylock.toml selects two versions of a: 1 and 2
    pylock.toml:2:1: a 1: it needs Python <3, and the image has Python 3.13.5 (choose a Python that it supports, or lock again for this one)
    ");
}

const UV: &str = r#"
version = 1
revision = 3
requires-python = ">=3.9"
resolution-markers = ["python_full_version >= '3.11'", "python_full_version < '3.11'"]

[manifest]
members = ["shop", "core"]

[[package]]
name = "core"
version = "0.2"
source = { editable = "packages/core" }
dependencies = [{ name = "click" }]

[[package]]
name = "click"
version = "8.1"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "colorama", marker = "sys_platform == 'win32'" }]
sdist = { url = "https://f/click-8.1.tar.gz", hash = "sha256:HASH", size = 10 }
wheels = [{ url = "https://f/click-8.1-py3-none-any.whl", hash = "sha256:HASH", size = 9 }]

[[package]]
name = "colorama"
version = "0.4"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://f/colorama-0.4-py3-none-any.whl", hash = "sha256:HASH" }]

[[package]]
name = "numpy"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["python_full_version < '3.11'"]
wheels = [{ url = "https://f/numpy-2.0-cp310-cp310-manylinux_2_17_x86_64.whl", hash = "sha256:HASH" }]

[[package]]
name = "numpy"
version = "2.3"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["python_full_version >= '3.11'"]
wheels = [{ url = "https://f/numpy-2.3-cp313-cp313-manylinux_2_17_x86_64.whl", hash = "sha256:HASH" }]

[[package]]
name = "uvicorn"
version = "0.30"
source = { url = "https://h/uvicorn-0.30-py3-none-any.whl" }
dependencies = [{ name = "click" }]
wheels = [{ url = "https://h/uvicorn-0.30-py3-none-any.whl", hash = "sha256:HASH" }]
[package.optional-dependencies]
standard = [{ name = "httptools" }, { name = "numpy", version = "2.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version < '3.11'" }]

[[package]]
name = "httptools"
version = "0.6"
source = { git = "https://h/httptools?subdirectory=py&rev=main#0123abc" }

[[package]]
name = "local"
version = "1"
source = { path = "wheels/local-1-py3-none-any.whl" }
wheels = [{ filename = "local-1-py3-none-any.whl", hash = "sha256:HASH" }]

[[package]]
name = "flat"
version = "1"
source = { registry = "links" }
wheels = [{ path = "flat-1-py3-none-any.whl", hash = "sha256:HASH" }]

[[package]]
name = "torch"
version = "2.5+cpu"
source = { registry = "https://download/cpu" }
wheels = [{ url = "https://d/torch-2.5%2Bcpu-cp313-cp313-linux_x86_64.whl", hash = "sha256:HASH" }]

[[package]]
name = "torch"
version = "2.5"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://f/torch-2.5-cp313-none-manylinux_2_28_x86_64.whl", hash = "sha256:HASH" }]

[[package]]
name = "shop"
version = "0.1"
source = { editable = "." }
dependencies = [
    { name = "core" },
    { name = "numpy", version = "2.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version < '3.11'" },
    { name = "numpy", version = "2.3", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version >= '3.11'" },
    { name = "uvicorn", extra = ["standard"] },
]
[package.optional-dependencies]
cpu = [{ name = "torch", version = "2.5+cpu", source = { registry = "https://download/cpu" }, marker = "extra == 'extra-4-shop-cpu'" }]
gpu = [{ name = "torch", version = "2.5", source = { registry = "https://pypi.org/simple" }, marker = "extra == 'extra-4-shop-gpu'" }]
[package.dev-dependencies]
dev = [{ name = "local" }, { name = "flat" }]
[package.metadata]
requires-dist = [{ name = "core" }, { name = "numpy" }, { name = "uvicorn", extras = ["standard"] }]
"#;

fn uv(project: &Project) -> Result<Lock, LockError> {
    Lock::parse_uv("uv.lock", &UV.replace("HASH", HASH), Path::new("/src"), project)
}

#[test]
fn uv_lock_is_a_graph_with_forks_extras_groups_and_members() {
    let shop = project("[project]\nname='shop'\nversion='0.1'\ndependencies=['numpy','core','uvicorn[standard]']\n");
    insta::assert_snapshot!(select(uv(&shop), "3.13.5", &[], &[]), @r#"
    click 8.1: https://f/click-8.1-py3-none-any.whl from https://pypi.org/simple
    core 0.2: directory /src/packages/core true
    httptools 0.6: https://h/httptools at 0123abc py {"url":"https://h/httptools","vcs_info":{"vcs":"git","requested_revision":"main","commit_id":"0123abc"},"subdirectory":"py"}
    numpy 2.3: https://f/numpy-2.3-cp313-cp313-manylinux_2_17_x86_64.whl from https://pypi.org/simple
    uvicorn 0.30: https://h/uvicorn-0.30-py3-none-any.whl {"url":"https://h/uvicorn-0.30-py3-none-any.whl","archive_info":{"hashes":{"sha256":"abababababababababababababababababababababababababababababababab"}}}
    "#);
    insta::assert_snapshot!(select(uv(&shop), "3.10.1", &[], &["dev"]), @r#"
    click 8.1: https://f/click-8.1-py3-none-any.whl from https://pypi.org/simple
    core 0.2: directory /src/packages/core true
    flat 1: /src/links/flat-1-py3-none-any.whl
    httptools 0.6: https://h/httptools at 0123abc py {"url":"https://h/httptools","vcs_info":{"vcs":"git","requested_revision":"main","commit_id":"0123abc"},"subdirectory":"py"}
    local 1: /src/wheels/local-1-py3-none-any.whl
    numpy 2.0: https://f/numpy-2.0-cp310-cp310-manylinux_2_17_x86_64.whl from https://pypi.org/simple
    uvicorn 0.30: https://h/uvicorn-0.30-py3-none-any.whl {"url":"https://h/uvicorn-0.30-py3-none-any.whl","archive_info":{"hashes":{"sha256":"abababababababababababababababababababababababababababababababab"}}}
    "#);
    assert!(select(uv(&shop), "3.13.5", &["cpu"], &[]).contains("torch 2.5+cpu: https://d/torch-2.5%2Bcpu"));
    assert!(select(uv(&shop), "3.13.5", &["gpu"], &[]).contains("torch 2.5: https://f/torch-2.5-cp313"));
    let core = project("[project]\nname='core'\nversion='0.2'\n");
    assert_eq!(
        select(uv(&core), "3.13.5", &[], &[]),
        "click 8.1: https://f/click-8.1-py3-none-any.whl from https://pypi.org/simple"
    );
}

#[test]
fn a_uv_lock_that_is_out_of_date_says_so() {
    let shop = project("[project]\nname='shop'\nversion='0.1'\ndependencies=['numpy','flask']\n");
    assert_eq!(
        select(uv(&shop), "3.13.5", &[], &[]),
        "uv.lock has no flask that pyproject.toml could use (the lock is out of date: run `uv lock`)"
    );
    let other = project("[project]\nname='other'\nversion='0.1'\n");
    assert_eq!(
        select(uv(&other), "3.13.5", &[], &[]),
        "uv.lock: other is not in it (the lock is out of date: run `uv lock`)"
    );
    let later = Lock::parse_uv("uv.lock", "version = 2\n", Path::new("/src"), &shop).unwrap_err();
    assert_eq!(later.to_string(), "uv.lock:1:11: version 2 of uv.lock is not known");
}

const POETRY: &str = r#"
[[package]]
name = "flask"
version = "3.0"
optional = false
python-versions = ">=3.8"
groups = ["main"]
files = [{file = "flask-3.0-py3-none-any.whl", hash = "sha256:HASH"}, {file = "flask-3.0.tar.gz", hash = "sha256:HASH"}]
[package.dependencies]
asgiref = {version = ">=3.2", optional = true, markers = "extra == \"async\""}
click = ">=8.1"
importlib-metadata = {version = ">=3.6", markers = "python_version < \"3.10\""}
[package.extras]
async = ["asgiref (>=3.2)"]

[[package]]
name = "asgiref"
version = "3.8"
python-versions = ">=3.8"
groups = ["main"]
files = [{file = "asgiref-3.8-py3-none-any.whl", hash = "sha256:HASH"}]

[[package]]
name = "click"
version = "8.1"
python-versions = ">=3.7"
groups = ["main", "dev"]
files = [{file = "click-8.1-py3-none-any.whl", hash = "sha256:HASH"}]
[package.source]
type = "legacy"
url = "https://h/simple"
reference = "internal"

[[package]]
name = "numpy"
version = "1.26"
python-versions = ">=3.9"
markers = "python_version < \"3.12\""
files = [{file = "numpy-1.26-cp311-cp311-manylinux_2_17_x86_64.whl", hash = "sha256:HASH"}]

[[package]]
name = "numpy"
version = "2.1"
python-versions = ">=3.10"
markers = {main = "python_version >= \"3.12\"", dev = "python_version >= \"3.12\""}
files = [{file = "numpy-2.1-cp313-cp313-manylinux_2_17_x86_64.whl", hash = "sha256:HASH"}]

[[package]]
name = "psycopg2"
version = "2.9"
optional = true
python-versions = ">=3.8"
markers = "extra == \"pg\""
files = [{file = "psycopg2-2.9.tar.gz", hash = "sha256:HASH"}]

[[package]]
name = "private"
version = "1.0"
python-versions = "*"
files = []
develop = false
[package.source]
type = "git"
url = "https://h/private.git"
reference = "v1"
resolved_reference = "0123abc"

[[package]]
name = "sibling"
version = "1.0"
python-versions = "*"
develop = true
[package.source]
type = "directory"
url = "../sibling"

[[package]]
name = "pytest"
version = "8.0"
python-versions = ">=3.8"
groups = ["dev"]
files = [{file = "pytest-8.0-py3-none-any.whl", hash = "sha256:HASH"}]

[extras]
pg = ["psycopg2"]

[metadata]
lock-version = "2.1"
python-versions = "^3.10"
content-hash = "00"
"#;

#[test]
fn poetry_lock_is_followed_from_the_pyproject() {
    let shop = project(
        "[tool.poetry]\nname='shop'\n[tool.poetry.dependencies]\npython='^3.10'\nflask={version='^3.0',extras=['async']}\n\
         numpy=[{version='<2',python='<3.12'},{version='>=2',python='>=3.12'}]\nprivate={git='https://h/private.git',tag='v1'}\n\
         sibling={path='../sibling',develop=true}\npsycopg2={version='*',optional=true}\n[tool.poetry.extras]\npg=['psycopg2']\n\
         [tool.poetry.group.dev.dependencies]\npytest='*'\n",
    );
    let lock = || Lock::parse_poetry("poetry.lock", &POETRY.replace("HASH", HASH), Path::new("/src/shop"), &shop);
    insta::assert_snapshot!(select(lock(), "3.13.5", &[], &[]), @r#"
    asgiref 3.8: asgiref-3.8-py3-none-any.whl on the index
    click 8.1: click-8.1-py3-none-any.whl on the index from https://h/simple
    flask 3.0: flask-3.0-py3-none-any.whl on the index
    numpy 2.1: numpy-2.1-cp313-cp313-manylinux_2_17_x86_64.whl on the index
    private 1.0: https://h/private.git at 0123abc {"url":"https://h/private.git","vcs_info":{"vcs":"git","requested_revision":"v1","commit_id":"0123abc"}}
    sibling 1.0: directory /src/sibling true
    "#);
    insta::assert_snapshot!(select(lock(), "3.11.2", &["pg"], &["dev"]), @r#"
    asgiref 3.8: asgiref-3.8-py3-none-any.whl on the index
    click 8.1: click-8.1-py3-none-any.whl on the index from https://h/simple
    flask 3.0: flask-3.0-py3-none-any.whl on the index
    numpy 1.26: numpy-1.26-cp311-cp311-manylinux_2_17_x86_64.whl on the index
    private 1.0: https://h/private.git at 0123abc {"url":"https://h/private.git","vcs_info":{"vcs":"git","requested_revision":"v1","commit_id":"0123abc"}}
    psycopg2 2.9: build psycopg2-2.9.tar.gz on the index
    pytest 8.0: pytest-8.0-py3-none-any.whl on the index
    sibling 1.0: directory /src/sibling true
    "#);
    assert!(select(lock(), "3.9.1", &[], &[]).starts_with("poetry.lock is for Python >=3.10, <4"));
    let more = project("[tool.poetry]\nname='shop'\n[tool.poetry.dependencies]\nflask='^3.0'\ndjango='^5'\n");
    let lock = Lock::parse_poetry("poetry.lock", &POETRY.replace("HASH", HASH), Path::new("/src"), &more);
    assert_eq!(
        select(lock, "3.13.5", &[], &[]),
        "poetry.lock has no django that the project could use (the lock is out of date: run `poetry lock`)"
    );
}

#[test]
fn an_old_poetry_lock_keeps_its_hashes_at_the_end() {
    let text = format!(
        "[[package]]\nname = \"click\"\nversion = \"8.1\"\ncategory = \"main\"\noptional = false\npython-versions = \">=3.7\"\n\n\
         [metadata]\nlock-version = \"1.1\"\npython-versions = \"^3.8\"\n[metadata.files]\n\
         Click = [{{file = \"click-8.1-py3-none-any.whl\", hash = \"sha256:{HASH}\"}}]\n"
    );
    let shop = project("[tool.poetry]\nname='shop'\n[tool.poetry.dependencies]\nclick='*'\n");
    let lock = Lock::parse_poetry("poetry.lock", &text, Path::new("/src"), &shop);
    assert_eq!(select(lock, "3.13.5", &[], &[]), "click 8.1: click-8.1-py3-none-any.whl on the index");
}

#[test]
fn pipfile_lock_is_a_list() {
    let text = format!(
        r#"{{
        "_meta": {{"hash": {{"sha256": "00"}}, "pipfile-spec": 6, "requires": {{"python_version": "3.13"}},
                  "sources": [{{"name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": true}},
                              {{"name": "internal", "url": "https://h/simple", "verify_ssl": true}}]}},
        "default": {{
          "flask": {{"hashes": ["sha256:{HASH}", "sha256:{}"], "index": "internal", "markers": "python_version >= '3.8'", "version": "==3.0"}},
          "old": {{"hashes": ["sha256:{HASH}"], "markers": "python_version < '3.8'", "version": "==1.0"}},
          "lib": {{"git": "https://h/lib.git", "ref": "0123abc"}},
          "colorama": {{"version": "*"}},
          "shop": {{"editable": true, "path": "."}}
        }},
        "develop": {{"pytest": {{"hashes": ["sha256:{HASH}"], "version": "==8.0"}}}}
        }}"#,
        "cd".repeat(32)
    );
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("Pipfile"),
        "[packages]\ncolorama={version='*',sys_platform=\"== 'win32'\"}\n",
    )
    .unwrap();
    let declared = Project::read(directory.path()).unwrap();
    let lock = |text: &str, project: &Project| Lock::parse_pipfile("Pipfile.lock", text, Path::new("/src"), project);
    insta::assert_snapshot!(select(lock(&text, &declared), "3.13.5", &[], &["dev"]), @r#"
    flask 3.0: one of 2 hashes from https://h/simple
    lib ?: https://h/lib.git at 0123abc {"url":"https://h/lib.git","vcs_info":{"vcs":"git","commit_id":"0123abc"}}
    pytest 8.0: one of 1 hashes from https://pypi.org/simple
    "#);
    assert!(select(lock(&text, &declared), "3.12.5", &[], &[]).starts_with("Pipfile.lock is for Python ==3.13.*"));
    let undeclared = project("");
    assert!(select(lock(&text, &undeclared), "3.13.5", &[], &[]).starts_with("Pipfile.lock:9:11: colorama"));
    assert!(
        lock("{\n  \"_meta\": 1}", &undeclared).unwrap_err().to_string().starts_with("Pipfile.lock:2:12: invalid type")
    );
}

#[test]
fn pinned_requirements_are_a_lock() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "--index-url https://h/simple\nflask==3.0 \\\n    --hash=sha256:{HASH}\nwin==1 ; sys_platform == 'win32' --hash=sha256:{HASH}\n\
         https://f/a-1-py3-none-any.whl#sha256={HASH}\n"
    );
    std::fs::write(directory.path().join("requirements.txt"), &text).unwrap();
    let project = Project::read(directory.path()).unwrap();
    let lock = Lock::read(&project, &|_| None).unwrap().unwrap();
    insta::assert_snapshot!(select(Ok(lock), "3.13.5", &[], &[]), @r#"
    a 1: https://f/a-1-py3-none-any.whl {"url":"https://f/a-1-py3-none-any.whl","archive_info":{"hashes":{"sha256":"abababababababababababababababababababababababababababababababab"}}}
    flask 3.0: one of 1 hashes from https://h/simple
    "#);

    std::fs::write(directory.path().join("requirements.txt"), "flask\n").unwrap();
    let requirements = Requirements::read(directory.path(), &["requirements.txt".to_owned()], &|_| None).unwrap();
    let error = Lock::from_requirements(&requirements, directory.path()).unwrap_err();
    assert_eq!(error.to_string(), "requirements.txt:1: `flask` is not pinned");
}

#[test]
fn builds_can_be_demanded_or_refused() {
    let shop = project("[project]\nname='core'\nversion='0.2'\n");
    let lock = uv(&shop).unwrap();
    let tags = tags("3.13.5", Arch::X86_64);
    let click = FormatControl { all: false, names: names(&["click"]) };
    let from_source = Selection { no_binary: click.clone(), ..Selection::for_tags(&tags) };
    assert!(shown(&lock.select(&from_source).unwrap()[0]).contains("build https://f/click-8.1.tar.gz"));
    let neither = Selection { no_binary: click.clone(), only_binary: click, ..Selection::for_tags(&tags) };
    assert!(matches!(lock.select(&neither), Err(LockError::NoArtifact(_))));
}

#[test]
fn inputs_change_with_what_a_resolution_depends_on_and_with_nothing_else() {
    let base = "[project]\nname='a'\nversion='1'\ndependencies=['flask','click>=8']\n[project.optional-dependencies]\npg=['psycopg2']\n";
    let indexes = ["https://pypi.org/simple".to_owned()];
    let of = |text: &str, resolution: &Resolution<'_>| digest(&project(text), resolution);
    let resolution = Resolution { target: "3.13 x86_64", indexes: &indexes, ..Resolution::default() };
    let same = of(base, &resolution);
    let reordered = base
        .replace("['flask','click>=8']", "[\n  'click >= 8', # comment\n  'Flask',\n]")
        .replace("version='1'", "version='2'");
    assert_eq!(of(&reordered, &resolution), same);
    assert_eq!(of(&base.replace("psycopg2", "asyncpg"), &resolution), same, "an extra that is not asked for");
    assert_ne!(of(&base.replace("flask", "django"), &resolution), same);
    assert_ne!(of(base, &Resolution { target: "3.12 x86_64", ..resolution.clone() }), same);
    assert_ne!(of(base, &Resolution { extras: &["pg".to_owned()], ..resolution.clone() }), same);
    let with_token = ["https://user:token@pypi.org/simple".to_owned()];
    assert_eq!(of(base, &Resolution { indexes: &with_token, ..resolution.clone() }), same, "credentials do not count");
    assert_ne!(of(&format!("{base}[tool.uv]\nconstraint-dependencies=['click<9']\n"), &resolution), same);
}

#[test]
fn a_lock_carries_its_inputs() {
    let inputs = Digest::of(b"x");
    let text =
        "lock-version = \"1.0\"\ncreated-by = \"uv\"\n\n[[packages]]\nname = \"a\"\ndirectory = {path = \"a\"}\n";
    let marked = mark(text, inputs);
    assert_eq!(pylock(&marked).unwrap().inputs, Some(inputs));
    assert_eq!(pylock(text).unwrap().inputs, None);
    let again = mark(&marked, Digest::of(b"y"));
    assert_eq!(mark(&again, inputs), marked);
    assert_eq!(pylock(&again).unwrap().inputs, Some(Digest::of(b"y")));
    let in_the_middle =
        format!("lock-version = \"1.0\"\n[tool.jettison]\ninputs = \"{inputs}\"\nother = 1\n[tool.x]\ny = 1\n");
    assert_eq!(
        mark(&in_the_middle, inputs),
        format!("lock-version = \"1.0\"\n[tool.x]\ny = 1\n\n[tool.jettison]\ninputs = \"{inputs}\"\n")
    );
}
