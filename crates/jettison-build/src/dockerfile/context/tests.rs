//! Contexts as they come: a directory with its ignore file, archives, URLs, repositories.

use std::collections::BTreeMap;
use std::fs;
use std::io::empty;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use jettison_engine::events::Silent;
use jettison_engine::store::Store;
use jettison_http::{Client, Options};
use jettison_testkit::http::{HttpServer, Response};
use jettison_tree::{Digest, Entry};

use super::checkout::checkout;
use super::http::download;
use super::*;
use crate::dockerfile::copy::{Request, Source, select};
use crate::machine::Machine;

/// What a test builds with.
struct World {
    directory: tempfile::TempDir,
    store: Arc<Store>,
    http: Client,
    machine: Machine,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path().join("store")).unwrap());
        let vars = BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned()),
        ]);
        let machine = Machine { vars, threads: 2, ..Machine::default() };
        Self { directory, store, http: Client::new(Options { retries: 0, ..Options::default() }).unwrap(), machine }
    }

    fn job(&self) -> Job<'_> {
        Job::new(&self.store, &self.http, &self.machine, &Silent)
    }

    /// A directory with these files, each with its path as its content.
    fn context(&self, files: &[&str]) -> PathBuf {
        let root = self.directory.path().join("context");
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        root
    }

    fn open(&self, location: &str, at: &DockerfileAt, stdin: &[u8]) -> Result<Context, BuildError> {
        Context::open(&self.job(), "the build context", &Location::parse(location)?, at, &mut &*stdin, false)
    }
}

fn copied(context: &Context, sources: &[&str]) -> Result<Vec<Entry>, BuildError> {
    let sources = sources.iter().map(|source| Source::Path((*source).to_owned())).collect();
    let request = Request { sources, destination: "/n/".to_owned(), ..Request::default() };
    let tmp = tempfile::tempdir().unwrap();
    Ok(select(&*context.files, &context.name, &request)?.place(&request, &tree::Empty, tmp.path())?.entries)
}

fn paths(entries: &[Entry]) -> Vec<String> {
    let entries = entries.iter().filter(|entry| entry.path.as_bytes() != b"n");
    entries.map(|entry| entry.path.to_string().split_off(2)).collect()
}

#[test]
fn locations_are_told_apart() {
    let url = |text: &str| Location::Url(text.to_owned());
    for (text, location) in [
        ("-", Location::Stdin),
        (".", Location::Directory(".".into())),
        ("/a/b.git", Location::Directory("/a/b.git".into())),
        ("https://h/ctx.tar.gz", url("https://h/ctx.tar.gz")),
        ("http://h/Dockerfile", url("http://h/Dockerfile")),
    ] {
        assert_eq!(Location::parse(text).unwrap(), location, "{text}");
    }
    for git in ["https://h/r.git", "git@h:r", "git://h/r", "ssh://h/r", "github.com/a/b"] {
        assert!(matches!(Location::parse(git).unwrap(), Location::Git(_)), "{git}");
    }
}

#[test]
fn a_directory_is_what_its_ignore_file_leaves() {
    let world = World::new();
    let root =
        world.context(&["Dockerfile", "a.py", "b.log", "docs/x.md", "docs/keep/y.md", ".venv/lib/z", "empty/x.log"]);
    fs::write(root.join(".dockerignore"), "Dockerfile\n.dockerignore\n**/*.log\n.venv\ndocs\n!docs/keep\n").unwrap();
    symlink("a.py", root.join("link")).unwrap();
    fs::set_permissions(root.join("a.py"), fs::Permissions::from_mode(0o4750)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let context = world.open(root.to_str().unwrap(), &DockerfileAt::Default, b"").unwrap();
    assert_eq!(context.dockerfile.as_ref().unwrap().text, "Dockerfile", "it is read though it is left out");
    let entries = copied(&context, &["."]).unwrap();
    assert_eq!(paths(&entries), ["a.py", "docs", "docs/keep", "docs/keep/y.md", "empty", "link"]);
    let python = entries.iter().find(|entry| entry.path.as_bytes() == b"n/a.py").unwrap();
    assert_eq!((python.mode, python.uid, python.gid), (0o4750, 0, 0));
    assert!(python.mtime.is_some());
    assert_eq!(paths(&copied(&context, &["docs"]).unwrap()), ["keep", "keep/y.md"]);
    assert_eq!(paths(&copied(&context, &["*"]).unwrap()), ["a.py", "keep", "keep/y.md", "link"]);
    for (missing, line) in [("Dockerfile", 1), ("b.log", 3), (".venv/lib/z", 4), ("docs/x.md", 5)] {
        let error = copied(&context, &[missing]).unwrap_err();
        assert!(error.to_string().contains(&format!(".dockerignore line {line}:")), "{error}");
        assert!(error.hint_text().is_some());
    }
    let error = copied(&context, &["b.lo"]).unwrap_err();
    assert_eq!(error.to_string(), "`b.lo` is not in the build context");
}

#[test]
fn the_ignore_file_and_the_dockerfile_may_have_names() {
    let world = World::new();
    let root = world.context(&["web.Dockerfile", "a", "b", "dockerfile"]);
    fs::write(root.join(".dockerignore"), "a\n").unwrap();
    fs::write(root.join("web.Dockerfile.dockerignore"), "b\n").unwrap();
    let named = DockerfileAt::Path(root.join("web.Dockerfile").to_str().unwrap().to_owned());
    let root = root.to_str().unwrap();
    let context = world.open(root, &named, b"").unwrap();
    assert!(copied(&context, &["a"]).is_ok() && copied(&context, &["b"]).is_err());
    let context = world.open(root, &DockerfileAt::Default, b"").unwrap();
    assert_eq!(context.dockerfile.as_ref().unwrap().text, "dockerfile", "in lower case, where there is no other");
    assert!(copied(&context, &["a"]).is_err() && copied(&context, &["b"]).is_ok());
    let error = world.open(root, &DockerfileAt::Path("/nowhere/Dockerfile".to_owned()), b"").unwrap_err();
    assert!(error.to_string().contains("/nowhere/Dockerfile") && error.hint_text().is_some());
    assert!(
        world
            .open(&format!("{root}/a"), &DockerfileAt::Elsewhere, b"")
            .unwrap_err()
            .to_string()
            .contains("is no directory")
    );
}

#[test]
fn changes_of_a_directory_are_seen_and_the_rest_is_not_read() {
    let world = World::new();
    let names: Vec<String> = (0..200).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let root = world.context(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let old = SystemTime::now() - Duration::from_secs(1000);
    let age = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    let digests = || {
        let context = world.open(root.to_str().unwrap(), &DockerfileAt::Elsewhere, b"").unwrap();
        let entries = copied(&context, &["."]).unwrap();
        let digest = |entry: &Entry| entry.content().map(|content| (entry.path.to_string(), content.digest()));
        entries.iter().filter_map(digest).collect::<BTreeMap<_, _>>()
    };
    let first = digests();
    assert_eq!(first.len(), 200);
    assert!(first.iter().all(|(path, digest)| *digest == Digest::of(&path.as_bytes()[2..])));
    assert_eq!(digests(), first);
    // The same length and the same time: the time of the inode tells.
    let changed = root.join("d3/f3");
    age(&changed);
    digests();
    fs::write(&changed, "D3/F3").unwrap();
    age(&changed);
    fs::remove_file(root.join("d4/f4")).unwrap();
    fs::write(root.join("d4/new"), "new").unwrap();
    let second = digests();
    assert_eq!(second["n/d3/f3"], Digest::of(b"D3/F3"));
    assert!(!second.contains_key("n/d4/f4") && second.contains_key("n/d4/new") && second.len() == 200);
}

#[test]
fn links_and_attributes_of_a_directory_come_along() {
    let world = World::new();
    let root = world.context(&["d/a", "d/c"]);
    fs::hard_link(root.join("d/a"), root.join("d/b")).unwrap();
    let set = |name: &str| rustix::fs::lsetxattr(root.join("d/c"), name, b"value", rustix::fs::XattrFlags::empty());
    let has_attributes = set("user.kept").is_ok();
    let _ = set("user.overlay.origin");
    let sparse = fs::File::create(root.join("d/sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    let entries = copied(&world.open(root.to_str().unwrap(), &DockerfileAt::Elsewhere, b"").unwrap(), &["d"]).unwrap();
    let entry = |path: &str| entries.iter().find(|entry| entry.path.as_bytes() == path.as_bytes()).unwrap();
    assert!(matches!(&entry("n/b").node, jettison_tree::Node::HardLink(to) if to.as_bytes() == b"n/a"));
    assert_eq!(entry("n/sparse").content().unwrap().read().unwrap(), vec![0; 1 << 20]);
    // A file system without attributes has none to bring.
    let kept: Vec<_> = entry("n/c").xattrs.iter().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(kept, if has_attributes { vec![b"user.kept".to_vec()] } else { Vec::new() });
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_uid(1000);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn standard_input_is_an_archive_or_a_dockerfile() {
    let world = World::new();
    let tar = archive(&[
        ("Dockerfile", "FROM scratch"),
        ("web/Dockerfile", "FROM web"),
        ("web/Dockerfile.dockerignore", "b"),
        (".dockerignore", "a"),
        ("a", "1"),
        ("b", "2"),
    ]);
    let packed = zstd::encode_all(&tar[..], 1).unwrap();
    for stdin in [&tar, &packed] {
        let context = world.open("-", &DockerfileAt::Default, stdin).unwrap();
        assert_eq!(context.dockerfile.as_ref().unwrap().text, "FROM scratch");
        assert!(copied(&context, &["a"]).unwrap_err().to_string().contains(".dockerignore line 1: a"));
        let entries = copied(&context, &["b"]).unwrap();
        assert_eq!((paths(&entries), entries[1].uid, entries[1].mode), (vec!["b".to_owned()], 1000, 0o600));
    }
    let context = world.open("-", &DockerfileAt::Path("web/Dockerfile".to_owned()), &tar).unwrap();
    assert_eq!(context.dockerfile.as_ref().unwrap().text, "FROM web");
    assert!(copied(&context, &["b"]).is_err() && copied(&context, &["a"]).is_ok());
    assert!(world.open("-", &DockerfileAt::Path("none".to_owned()), &tar).is_err());
    let context = world.open("-", &DockerfileAt::Default, b"FROM busybox\n").unwrap();
    assert_eq!(context.dockerfile.as_ref().unwrap().text, "FROM busybox\n");
    assert!(copied(&context, &["."]).unwrap().len() == 1, "there is no context");
}

#[test]
fn urls_are_fetched_once_and_asked_again() {
    let world = World::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let tar = archive(&[("Dockerfile", "FROM url"), ("f", "x")]);
    let server = HttpServer::start(move |request| {
        if request.header("if-none-match") == Some("\"v1\"") {
            return Response::status(304);
        }
        counter.fetch_add(1, Ordering::Relaxed);
        match request.path.as_str() {
            "/dir/a%20b.txt" | "/dir/a b.txt" => Response::ok(b"text".to_vec())
                .header("ETag", "\"v1\"")
                .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            "/" => {
                Response::ok(b"text".to_vec()).header("Content-Disposition", "attachment; filename=\"../named.txt\"")
            }
            "/ctx.tar" => Response::ok(tar.clone()),
            "/Dockerfile" => Response::ok(b"FROM text".to_vec()),
            _ => Response::not_found(),
        }
    });
    let job = world.job();
    let url = server.url("/dir/a%20b.txt?query#fragment");
    for _ in 0..3 {
        let file = download(&job, &url, None).unwrap();
        assert_eq!((file.name.to_string().as_str(), file.modified), ("a b.txt", Some(784_111_777)));
        assert_eq!(file.content.read().unwrap(), b"text");
    }
    assert_eq!(sent.load(Ordering::Relaxed), 1);
    assert_eq!(download(&job, &server.url("/"), None).unwrap().name.to_string(), "named.txt");
    // What has the checksum is not asked for; what has another is refused, and not kept.
    let asked = sent.load(Ordering::Relaxed);
    let checksum = Digest::of(b"text");
    download(&job, &server.url("/other/name"), Some(checksum)).unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), asked);
    let error = download(
        &job,
        &server.url("/Dockerfile"),
        Some(checksum.to_string().replace(&checksum.hex()[..4], "0000").parse().unwrap()),
    );
    let error = error.unwrap_err();
    assert!(error.to_string().contains("--checksum says") && error.hint_text().is_some(), "{error}");
    assert!(!world.store.has(Digest::of(b"FROM text")).unwrap());
    assert!(download(&job, &server.url("/none"), None).unwrap_err().is_not_found());

    let Source::Fetched { tree, path, .. } = download(&job, &url, None).unwrap().into_source(false) else { panic!() };
    let stat = tree.lstat(&path).unwrap().unwrap();
    assert_eq!((stat.mode, stat.mtime), (0o600, 784_111_777));

    let context = world.open(&server.url("/ctx.tar"), &DockerfileAt::Default, b"").unwrap();
    assert_eq!(context.dockerfile.as_ref().unwrap().text, "FROM url");
    assert_eq!(paths(&copied(&context, &["f"]).unwrap()), ["f"]);
    let context = world.open(&server.url("/Dockerfile"), &DockerfileAt::Default, b"").unwrap();
    assert_eq!(context.dockerfile.as_ref().unwrap().text, "FROM text");
}

/// Makes a repository with a tag `v1`, a branch `next` and a directory `sub`, and returns its path and the commit of the tag.
fn repository(world: &World) -> (PathBuf, String) {
    let root = world.context(&["Dockerfile", "sub/f", "run.sh"]);
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("sub", root.join("link")).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
            .args(arguments);
        command.current_dir(&root).env_clear().envs(&world.machine.vars);
        command.env("GIT_COMMITTER_DATE", "1000000000 +0000").env("GIT_AUTHOR_DATE", "1000000000 +0000");
        let done = command.output().expect("these tests need git");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    git(&["tag", "-a", "-m", "v1", "v1"]);
    let commit = git(&["rev-parse", "HEAD"]);
    git(&["checkout", "--quiet", "-b", "next"]);
    fs::write(root.join("next"), "next").unwrap();
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "two"]);
    git(&["checkout", "--quiet", "main"]);
    (root, commit)
}

#[test]
fn repositories_are_checked_out() {
    let world = World::new();
    let (root, commit) = repository(&world);
    let remote = format!("file://{}", root.display());
    let of = |reference: Option<&str>, directory: &str, checksum: Option<&str>| {
        let git = GitReference {
            remote: remote.clone(),
            reference: reference.map(str::to_owned),
            directory: directory.to_owned(),
            checksum: checksum.map(str::to_owned),
            ..GitReference::default()
        };
        let checkout = checkout(&world.job(), &git, false)?;
        let names = checkout.tree.walk(b"", &|_| true)?;
        let names: Vec<String> = names.iter().map(|found| String::from_utf8_lossy(&found.path).into_owned()).collect();
        Ok::<_, BuildError>((names.join(" "), checkout))
    };
    for (reference, directory, checksum, names) in [
        (None, "", None, "Dockerfile link run.sh sub sub/f"),
        (Some("v1"), "", Some(&commit[..8]), "Dockerfile link run.sh sub sub/f"),
        (Some("refs/tags/v1"), "sub", None, "f"),
        (Some("next"), "", None, "Dockerfile link next run.sh sub sub/f"),
        (Some(commit.as_str()), "", Some(commit.as_str()), "Dockerfile link run.sh sub sub/f"),
    ] {
        let (got, checkout) = of(reference, directory, checksum).unwrap();
        assert_eq!(got, names, "{reference:?}");
        assert!(reference == Some("next") || checkout.commit == commit);
        let stat = checkout.tree.lstat(names.split(' ').next().unwrap().as_bytes()).unwrap().unwrap();
        assert_eq!((stat.mode, stat.uid, stat.mtime), (0o644, 0, 1_000_000_000));
    }
    for (reference, directory, checksum, error) in [
        (Some("none"), "", None, "no branch or tag `none`"),
        (None, "nowhere", None, "has no directory `nowhere`"),
        (None, "link", None, "has no directory `link`"),
        (Some("next"), "", Some(commit.as_str()), "and the checksum says"),
    ] {
        let got = of(reference, directory, checksum).unwrap_err().to_string();
        assert!(got.contains(error), "{got}");
    }
    // A commit that was checked out once needs no repository any more.
    fs::remove_dir_all(&root).unwrap();
    assert!(of(Some(commit.as_str()), "", None).is_ok() && of(None, "", None).is_err());
}

#[test]
fn git_is_kept_where_it_is_wanted_and_missed_where_it_is_not_there() {
    let mut world = World::new();
    let (root, commit) = repository(&world);
    let git = GitReference {
        remote: format!("file://{}", root.display()),
        keep_git_dir: Some(true),
        ..GitReference::default()
    };
    let kept = checkout(&world.job(), &git, false).unwrap();
    assert!(kept.tree.lstat(b".git/HEAD").unwrap().is_some() && kept.commit == commit);
    world.machine.vars.insert("PATH".to_owned(), "/nowhere".to_owned());
    let git = GitReference { reference: Some("main".to_owned()), ..git };
    let error = checkout(&world.job(), &git, false).unwrap_err();
    assert!(error.to_string().contains("needs git") && error.hint_text().is_some(), "{error}");
}

#[test]
fn an_empty_context_has_nothing() {
    let context = Context::empty("the build context");
    assert!(copied(&context, &["a"]).is_err());
    let world = World::new();
    let opened = Context::open(
        &world.job(),
        "x",
        &Location::Directory("/nowhere".into()),
        &DockerfileAt::Default,
        &mut empty(),
        false,
    );
    assert!(opened.unwrap_err().to_string().contains("/nowhere"));
}
