use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex};

use jettison_engine::events::Silent;
use jettison_engine::store::Store;
use jettison_http::{Client, Options};
use jettison_oci::ImageBuilder;
use jettison_oci::blob::BlobSet;
use jettison_oci::image::Index;
use jettison_oci::layer::TarReader;
use jettison_oci::media::docker_archive::DockerArchive;
use jettison_oci::media::layout::Layout;
use jettison_oci::registry::{Registry, RegistryOptions};
use jettison_oci::types::{Descriptor, DiffId, History, MediaType, Platform};
use jettison_testkit::archive::{TarMember, tar};
use jettison_testkit::http::{HttpServer, Request, Response};
use jettison_tree::Digest;

use super::*;
use crate::images::{Place, Which};

#[test]
fn outputs_are_read_as_buildx_writes_them() {
    let path = |text: &str| Dest::Path(text.into());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (text, want) in [
        ("type=oci,dest=a.tar", OutputSpec::Oci { dest: path("a.tar"), tar: true, names: vec![] }),
        ("type=oci,dest=a/,name=app:1", OutputSpec::Oci { dest: path("a/"), tar: false, names: names(&["app:1"]) }),
        ("type=oci,dest=a,tar=false", OutputSpec::Oci { dest: path("a"), tar: false, names: vec![] }),
        ("type=oci,dest=-", OutputSpec::Oci { dest: Dest::Stdout, tar: true, names: vec![] }),
        ("dest=a b.tar,type=docker", OutputSpec::DockerArchive { dest: path("a b.tar"), names: vec![] }),
        (
            "type=docker,\"dest=a,b\",\"name=app,app:2\"",
            OutputSpec::DockerArchive { dest: path("a,b"), names: names(&["app", "app:2"]) },
        ),
        ("type=docker", OutputSpec::Daemon { names: vec![] }),
        ("type=daemon,name=app", OutputSpec::Daemon { names: names(&["app"]) }),
        ("type=local,dest=out", OutputSpec::Local("out".into())),
        ("out", OutputSpec::Local("out".into())),
        ("-", OutputSpec::Tar(Dest::Stdout)),
        ("type=tar,dest=/dev/stdout", OutputSpec::Tar(Dest::Stdout)),
        ("type=registry", OutputSpec::Registry { names: vec![] }),
        ("type=image,name=ghcr.io/me/a,push=true", OutputSpec::Registry { names: names(&["ghcr.io/me/a"]) }),
    ] {
        assert_eq!(OutputSpec::parse(text).unwrap(), want, "{text}");
    }
}

#[test]
fn what_is_wrong_with_an_output_is_named() {
    let long = "type=zip,dest=x";
    let error = OutputSpec::parse(long).unwrap_err();
    insta::assert_snapshot!(error, @"output `type=zip,dest=x`: there is no type `zip`");
    insta::assert_snapshot!(error.hint().unwrap(), @"there are oci, docker, local, tar, registry and daemon");
    for (text, want) in [
        ("", "it is empty"),
        ("dest=x", "it has no type"),
        ("type=oci", "type=oci needs a dest"),
        ("type=oci,dest=", "`dest` names no path"),
        ("type=oci,dest=-,tar=false", "a directory cannot be written to standard output"),
        ("type=local,dest=-", "a directory cannot be written to standard output"),
        ("type=oci,dest=x,compression=zstd", "it knows no `compression`"),
        ("type=oci,dest=x,type=docker", "`type` is given twice"),
        ("type=oci,x", "`x` is no KEY=VALUE"),
        ("type=oci,dest=x,tar=maybe", "`tar=maybe` is neither true nor false"),
        ("type=docker,dest=x,tar=false", "a docker archive is always a tar"),
        ("type=daemon,dest=x", "`dest` means nothing with type=daemon"),
        ("type=registry,dest=x", "`dest` means nothing with type=registry"),
        ("type=local,dest=x,name=app", "`name` means nothing with type=local"),
        ("type=oci,dest=x,push=true", "`push` means nothing with type=oci"),
        ("type=registry,name=App", "the name `App` cannot be used"),
        ("type=image", "type=image without push=true is nothing to write"),
        ("type=oci,\"dest=x", "a quote is not closed"),
    ] {
        let error = OutputSpec::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("output `{text}`: {want}")), "{error}");
    }
}

/// A store with ways out of it.
struct Yard {
    directory: tempfile::TempDir,
    store: Arc<Store>,
    registry: Registry,
    docker_host: Option<String>,
    platform: Platform,
}

impl Yard {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path().join("store")).unwrap());
        let registry = Registry::new(Client::new(Options::default()).unwrap(), RegistryOptions::default());
        Self { directory, store, registry, docker_host: None, platform: Platform::linux("amd64") }
    }

    fn images(&self) -> Images<'_> {
        let docker_host = self.docker_host.as_deref();
        Images { store: &self.store, registry: &self.registry, docker_host, platform: &self.platform, events: &Silent }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, content: &ImageOrIndex, output: &str) -> Result<Vec<Written>, BuildError> {
        let output = output.replace('@', self.directory.path().to_str().unwrap());
        let names = ["app:1".to_owned(), "dir:/project".to_owned()];
        self.images().write(content, &OutputSpec::parse(&output)?, &names)
    }
}

/// Two layers; the upper one hides a file of the lower, and links to another.
fn image(platform: &str) -> Image {
    let lower = [
        TarMember::directory("etc"),
        TarMember::file("etc/secret", "hidden"),
        TarMember::file("etc/motd", "welcome").mode(0o640),
        TarMember { owner: (1000, 1001), ..TarMember::directory("closed").mode(0o555) },
        TarMember::file("closed/tool", "tool").mode(0o4755),
    ];
    let upper = [
        TarMember::file("etc/.wh.secret", ""),
        TarMember::symlink("link", "/etc/motd"),
        TarMember::hard_link("etc/again", "etc/motd"),
        TarMember::file("platform", platform),
    ];
    let mut builder = ImageBuilder::new(&platform.parse().unwrap(), 0);
    let mut blobs = BlobSet::new();
    for members in [&lower[..], &upper[..]] {
        let bytes = tar(members);
        let digest = Digest::of(&bytes);
        builder.add_blob(
            Descriptor::of(MediaType::OCI_LAYER, &bytes),
            DiffId::of_tar(digest),
            History::layer("by hand"),
        );
        blobs.add_bytes(bytes);
    }
    builder.add_source(Arc::new(blobs));
    builder.build().unwrap()
}

fn one() -> ImageOrIndex {
    ImageOrIndex::Image(image("linux/amd64"))
}

fn two() -> ImageOrIndex {
    ImageOrIndex::Index(Index::of(&[image("linux/amd64"), image("linux/arm64")]))
}

/// The names in a tar with what they are, their modes and owners.
fn listing(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut reader = TarReader::new(bytes);
    let mut names = BTreeMap::new();
    while let Some(mut entry) = reader.next_entry().unwrap() {
        let header = entry.header().clone();
        let mut text = String::new();
        io::Read::read_to_string(&mut entry, &mut text).unwrap();
        let link = String::from_utf8(header.link).unwrap();
        let line = format!("{:o} {}:{} {text}{link}", header.mode, header.uid, header.gid);
        names.insert(String::from_utf8(header.name).unwrap(), line);
    }
    names
}

#[test]
fn the_files_of_an_image_become_a_directory() {
    let yard = Yard::new();
    yard.write(&one(), "type=local,dest=@/new/files").unwrap();
    let at = |name: &str| yard.path("new/files").join(name);
    let meta = |name: &str| fs::symlink_metadata(at(name)).unwrap();
    assert!(!at("etc/secret").exists());
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/etc/motd"));
    assert_eq!(meta("etc/again").ino(), meta("etc/motd").ino());
    assert_eq!(meta("etc/motd").mode() & 0o7777, 0o640);
    assert_eq!(meta("closed").mode() & 0o7777, 0o555);
    assert_eq!(meta("closed/tool").mode() & 0o7777, 0o4755);
    if rustix::process::geteuid().is_root() {
        assert_eq!((meta("closed").uid(), meta("closed").gid()), (1000, 1001));
    }
    let error = yard.write(&one(), "type=local,dest=@/new/files").unwrap_err();
    assert!(error.to_string().ends_with("is in the way"), "{error}");
    yard.write(&two(), "type=local,dest=@/both").unwrap();
    assert_eq!(fs::read_to_string(yard.path("both/linux_arm64/platform")).unwrap(), "linux/arm64");
    assert_eq!(fs::read_dir(yard.path("new")).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn the_files_of_an_image_become_a_tar() {
    let yard = Yard::new();
    for _ in 0..2 {
        yard.write(&one(), "type=tar,dest=@/files.tar").unwrap();
    }
    let first = fs::read(yard.path("files.tar")).unwrap();
    let names = listing(&first);
    insta::assert_debug_snapshot!(names, @r#"
    {
        "closed/": "555 1000:1001 ",
        "closed/tool": "4755 0:0 tool",
        "etc/": "755 0:0 ",
        "etc/again": "640 0:0 welcome",
        "etc/motd": "640 0:0 etc/again",
        "link": "777 0:0 /etc/motd",
        "platform": "644 0:0 linux/amd64",
    }
    "#);
    yard.write(&two(), "type=tar,dest=@/both.tar").unwrap();
    let both = listing(&fs::read(yard.path("both.tar")).unwrap());
    assert_eq!(both["linux_arm64/platform"], "644 0:0 linux/arm64");
    assert_eq!(both.len(), 2 * names.len() + 2);
}

#[test]
fn archives_and_layouts_hold_the_image_under_its_names() {
    let yard = Yard::new();
    let digest = one().descriptor().digest;
    yard.write(&one(), "type=oci,dest=@/oci.tar").unwrap();
    yard.write(&one(), "type=oci,dest=@/layout/").unwrap();
    yard.write(&two(), "type=oci,dest=@/layout,name=app:2").unwrap();
    yard.write(&one(), "type=docker,dest=@/docker.tar").unwrap();
    yard.write(&two(), "type=docker,dest=@/two.tar,\"name=a:1,b:2\"").unwrap();
    let layout = |name: &str, tag| Layout::open(&yard.path(name)).unwrap().read(Some(tag)).unwrap().descriptor().digest;
    assert_eq!(layout("oci.tar", "1"), digest);
    assert_eq!(layout("layout", "1"), digest);
    assert_eq!(layout("layout", "2"), two().descriptor().digest);
    let docker = |name: &str| DockerArchive::open(&yard.path(name)).unwrap();
    assert_eq!(docker("docker.tar").names(), ["app:1"]);
    assert_eq!(docker("docker.tar").read(None).unwrap().descriptor().digest, digest);
    assert_eq!(docker("two.tar").names(), ["a:1", "b:2"]);
    // Of an index the image for this machine.
    assert_eq!(docker("two.tar").read(Some("b:2")).unwrap().descriptor().digest, digest);
    let error = yard.write(&one(), "type=docker,dest=@/layout").unwrap_err();
    assert!(error.to_string().ends_with("layout is a directory"), "{error}");
    // A device is written to, not replaced.
    yard.write(&one(), "type=tar,dest=/dev/null").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn registries_and_daemons_get_the_names() {
    let mut yard = Yard::new();
    let server = jettison_testkit::Registry::start();
    let name = server.reference("team/app:7");
    let written = yard.write(&two(), &format!("type=registry,name={name}")).unwrap();
    let [Written::Pushed { report, .. }] = &written[..] else { panic!("{written:?}") };
    assert_eq!(report.digest, two().descriptor().digest);
    assert!(server.manifest("team/app", "7").is_some());
    let reference = Reference::parse(&name).unwrap();
    let pulled = yard.images().pull(&reference, &Which::All, &[]).unwrap();
    assert_eq!(yard.images().find(&name).unwrap(), pulled.digest);
    // What the store has is sent on without being asked for again.
    server.server().clear_log();
    let copy = Place::parse(&format!("docker://{}", server.reference("other"))).unwrap();
    yard.images().copy(&Place::Store(name), &copy, &Which::All).unwrap();
    assert!(server.server().log().iter().all(|line| !line.starts_with("GET")), "{:?}", server.server().log());

    let loaded = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&loaded);
    let daemon = HttpServer::start(move |request: &Request| {
        *shared.lock().unwrap() = request.body.clone();
        Response::ok(*b"{\"stream\":\"Loaded image: app:1\\n\"}\n")
    });
    yard.docker_host = Some(format!("tcp://{}", daemon.authority()));
    let written = yard.write(&one(), "type=docker").unwrap();
    assert_eq!(written, [Written::Loaded("Loaded image: app:1".into())]);
    fs::write(yard.path("sent.tar"), &*loaded.lock().unwrap()).unwrap();
    assert_eq!(DockerArchive::open(&yard.path("sent.tar")).unwrap().names(), ["app:1"]);
}
