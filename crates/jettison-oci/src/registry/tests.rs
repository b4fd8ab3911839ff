//! The client against a registry on loopback that misbehaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use jettison_http::{Client, Credentials, Options};
use jettison_testkit::http::{Fault, Response};
use jettison_testkit::{Login as Wanted, Registry as Server};
use jettison_tree::Digest;

use super::*;
use crate::blob::{BlobError, BlobSource};
use crate::image::{Image, ImageOrIndex};
use crate::sample;
use crate::types::{Document, ImageManifest, MediaType, Platform};

fn client_with(options: RegistryOptions) -> Registry {
    let http = Client::new(Options { backoff: Duration::ZERO, ..Options::default() }).unwrap();
    Registry::new(http, options)
}

fn client() -> Registry {
    client_with(RegistryOptions::default())
}

fn logged_in(server: &Server, login: Login) -> Registry {
    let credentials = CredentialStore::default().with_login(&server.host(), login);
    client_with(RegistryOptions { credentials, ..RegistryOptions::default() })
}

fn reference(server: &Server, name: &str) -> Reference {
    Reference::parse(&server.reference(name)).unwrap()
}

fn password(user: &str, password: &str) -> Login {
    Login::Password(Credentials { user: user.to_owned(), password: password.to_owned() })
}

fn push(registry: &Registry, image: &ImageOrIndex, to: &Reference) -> Result<PushReport, RegistryError> {
    registry.push(image, to, &PushOptions::default())
}

fn sample() -> ImageOrIndex {
    ImageOrIndex::Image(sample::image())
}

fn blobs(image: &Image) -> Vec<Digest> {
    image.manifest().blobs().map(|blob| blob.digest).collect()
}

/// Every layer of a pulled image, read to its end and checked.
fn read_layers(image: &Image) -> Result<u64, BlobError> {
    let mut bytes = 0;
    for layer in image.layers() {
        let mut all = Vec::new();
        let digest = layer.descriptor.digest;
        image.open(layer.descriptor)?.read_to_end(&mut all).map_err(|e| BlobError::from_io(digest, e))?;
        bytes += all.len() as u64;
    }
    Ok(bytes)
}

#[test]
fn what_is_pushed_can_be_pulled() {
    let server = Server::start();
    let (registry, to) = (client(), reference(&server, "me/app:v1"));
    let image = sample::image();
    let report = push(&registry, &sample(), &to).unwrap();
    assert_eq!((report.uploaded.len(), report.skipped.len(), report.unchanged), (3, 0, false));
    assert_eq!(report.uploaded_bytes(), image.compressed_bytes());
    assert_eq!(server.open_uploads(), 0);

    let ImageOrIndex::Image(pulled) = registry.pull(&to).unwrap() else { panic!("an image") };
    assert_eq!(pulled.manifest().bytes(), image.manifest().bytes());
    assert_eq!(read_layers(&pulled).unwrap(), pulled.layers().map(|layer| layer.descriptor.size).sum::<u64>());
    assert!(crate::validate(&ImageOrIndex::Image(pulled)).is_empty());
    let by_digest = to.with_digest(image.manifest().digest());
    assert!(registry.pull(&by_digest).is_ok());
}

#[test]
fn nothing_changed_is_one_request() {
    let server = Server::start();
    let (registry, to) = (client(), reference(&server, "app:v1"));
    push(&registry, &sample(), &to).unwrap();
    server.server().clear_log();
    let report = push(&client(), &sample(), &to).unwrap();
    assert!(report.unchanged && report.uploaded.is_empty());
    assert_eq!(server.server().log(), ["HEAD /v2/app/manifests/v1"]);
}

#[test]
fn a_change_of_code_asks_for_nothing() {
    let server = Server::start();
    let to = reference(&server, "app:v1");
    let old = push(&client(), &sample(), &to).unwrap();
    server.server().clear_log();
    let new = sample::image_for("linux/arm64", crate::layer::Compression::GZIP);
    let options = PushOptions {
        known: old.uploaded.iter().map(|blob| blob.digest).collect(),
        last: Some(old.digest),
        ..PushOptions::default()
    };
    let report = client().push(&ImageOrIndex::Image(new), &to, &options).unwrap();
    assert_eq!((report.uploaded.len(), report.skipped.len()), (1, 2), "only the config is new");
    let log: Vec<_> = server.server().requests().into_iter().map(|request| request.method).collect();
    assert_eq!(log, ["POST", "PUT", "PUT"]);
}

#[test]
fn what_is_known_to_be_there_is_not_asked_for() {
    let server = Server::start();
    let (registry, to) = (client(), reference(&server, "app:v1"));
    let image = sample::image();
    let known: BTreeSet<_> = image.layers().take(1).map(|layer| layer.descriptor.digest).collect();
    let base = *known.first().unwrap();
    let bytes = image.blobs().open(image.layers().next().unwrap().descriptor).unwrap();
    let mut content = Vec::new();
    bytes.into_reader().read_to_end(&mut content).unwrap();
    server.add_blob("app", content.clone());
    let options = PushOptions { known: known.clone(), ..PushOptions::default() };
    let report = registry.push(&sample(), &to, &options).unwrap();
    assert_eq!((report.uploaded.len(), report.skipped.len()), (2, 1));
    assert_eq!(server.server().count("HEAD", &base.hex()), 0);

    // The knowledge is out of date: the manifest is refused, everything is looked for, and the push ends well.
    let stale = Server::start();
    let options = PushOptions { known: blobs(&image).into_iter().collect(), ..PushOptions::default() };
    let report = client().push(&sample(), &reference(&stale, "app:v1"), &options).unwrap();
    assert_eq!((report.uploaded.len(), report.skipped.len()), (3, 0));
    assert_eq!(stale.server().count("PUT", "/manifests/v1"), 2);
}

#[test]
fn blobs_are_mounted_from_other_repositories() {
    let server = Server::with_login(Wanted::Token { user: "u".into(), password: "p".into(), anonymous_pull: false });
    let registry = logged_in(&server, password("u", "p"));
    push(&registry, &sample(), &reference(&server, "base/python:3")).unwrap();
    server.server().clear_log();
    let mut mounts: BTreeMap<_, _> =
        blobs(&sample::image()).into_iter().map(|digest| (digest, "base/python".to_owned())).collect();
    let odd = *mounts.keys().next().unwrap();
    mounts.insert(odd, "not/there".to_owned());
    let options = PushOptions { mounts, ..PushOptions::default() };
    let report = registry.push(&sample(), &reference(&server, "app:v1"), &options).unwrap();
    assert_eq!((report.mounted.len(), report.uploaded.len()), (2, 1), "a mount that fails becomes an upload");
    assert_eq!(server.server().count("PUT", "/blobs/uploads/"), 1);
    assert_eq!(server.server().count("GET", "/token"), 1, "one token is for the mounts too");
}

#[test]
fn an_index_goes_with_all_its_images() {
    let server = Server::start();
    let (registry, to) = (client(), reference(&server, "multi:v1"));
    let index = ImageOrIndex::Index(sample::index());
    push(&registry, &index, &to).unwrap();
    let pulled = registry.pull(&to).unwrap();
    let arm = pulled.image(&Platform::linux("arm64")).unwrap();
    assert_eq!(arm.platform().to_string(), "linux/arm64");
    assert!(crate::validate(&pulled).is_empty());
    // Under another tag only the index is stored: its images are there.
    server.server().clear_log();
    let again = push(&registry, &index, &reference(&server, "multi:v2")).unwrap();
    assert!(again.uploaded.is_empty() && server.server().count("HEAD", "/blobs/") == 0);
}

#[test]
fn every_way_to_log_in_works() {
    let basic = || Wanted::Basic { user: "u".into(), password: "p".into() };
    let token = |anonymous_pull| Wanted::Token { user: "u".into(), password: "p".into(), anonymous_pull };
    let identity = Login::IdentityToken(Token("p".into()));
    for (wanted, login) in [(basic(), password("u", "p")), (token(false), password("u", "p")), (token(false), identity)]
    {
        let server = Server::with_login(wanted);
        let (registry, to) = (logged_in(&server, login), reference(&server, "app:v1"));
        push(&registry, &sample(), &to).unwrap();
        // A token that ends in the middle of the work is replaced.
        server.expire_tokens();
        read_layers(&registry.pull(&to).unwrap().image(&Platform::linux("amd64")).unwrap()).unwrap();
    }
    for (wanted, login) in [(basic(), None), (basic(), Some("x")), (token(true), None), (token(true), Some("x"))] {
        let server = Server::with_login(wanted);
        let registry = login.map_or_else(client, |wrong| logged_in(&server, password("u", wrong)));
        let error = push(&registry, &sample(), &reference(&server, "app:v1")).unwrap_err();
        let told = matches!(&error, RegistryError::Unauthorized { logged_in, .. } if *logged_in == login.is_some());
        assert!(told && !error.is_transient() && error.hint().is_some(), "{error}");
    }
    let server = Server::with_login(token(true));
    push(&logged_in(&server, password("u", "p")), &sample(), &reference(&server, "app:v1")).unwrap();
    assert!(client().pull(&reference(&server, "app:v1")).is_ok(), "anybody may pull");
}

#[test]
fn a_missing_helper_is_told_only_where_it_matters() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    std::fs::write(&file, r#"{"credsStore": "desktop"}"#).unwrap();
    let credentials = CredentialStore::new(vec![file], dir.path());
    let registry = client_with(RegistryOptions { credentials, ..RegistryOptions::default() });
    let server = Server::with_login(Wanted::Token { user: "u".into(), password: "p".into(), anonymous_pull: true });
    let to = reference(&server, "app:v1");
    push(&logged_in(&server, password("u", "p")), &sample(), &to).unwrap();
    assert!(registry.pull(&to).is_ok());
    let other = ImageOrIndex::Image(sample::image_for("linux/arm64", crate::layer::Compression::ZSTD));
    let error = push(&registry, &other, &to).unwrap_err().to_string();
    assert!(error.ends_with("the credential helper `docker-credential-desktop`, which is not installed"), "{error}");
}

#[test]
fn trouble_in_mid_push_is_overcome() {
    type Trouble = (&'static str, fn() -> Fault);
    let faults: [Trouble; 6] = [
        ("too many requests", || Fault::status(429).on("/blobs/").times(3)),
        ("errors when an upload begins", || Fault::status(500).method("POST").times(2)),
        ("an error when it ends", || Fault::status(503).method("PUT").on("/blobs/uploads/")),
        ("death in mid-upload", || Fault::hang_up_after_reading(20).method("PUT").on("/blobs/uploads/").times(2)),
        ("a manifest that is not taken at once", || Fault::status(502).method("PUT").on("/manifests/")),
        ("a forgotten upload", || {
            let body = br#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#;
            Fault::answer(Response::status(404).body(&body[..])).method("PUT").on("/blobs/uploads/")
        }),
    ];
    for (trouble, fault) in faults {
        let server = Server::start();
        let to = reference(&server, "app:v1");
        server.server().fault(fault());
        push(&client(), &sample(), &to).unwrap_or_else(|e| panic!("{trouble}: {e}"));
        assert!(server.manifest("app", "v1").is_some(), "{trouble}");
    }
    let server = Server::start();
    server.server().fault(Fault::hang_up_after_reading(20).method("PUT").on("/blobs/uploads/").always());
    let error = push(&client(), &sample(), &reference(&server, "app:v1")).unwrap_err();
    assert!(error.is_transient() && error.hint().is_some(), "{error}");
    assert!(server.manifest("app", "v1").is_none());
}

#[test]
fn a_large_blob_goes_in_chunks_and_loses_one_at_most() {
    let image = sample();
    let ImageOrIndex::Image(inner) = &image else { panic!("an image") };
    let layer = inner.layers().next().unwrap().descriptor.clone();
    let chunk = layer.size / 3 + 1;
    let registry = client_with(RegistryOptions { chunk, parallel: 1, ..RegistryOptions::default() });
    let upload = |server: &Server| {
        let repository = registry.repository_for_push(&reference(server, "app"), Vec::new());
        let placed = repository.upload_blob(&layer, image.blobs(), None, &|_| {}).unwrap();
        assert!(placed == Placed::Uploaded && server.blob("app", layer.digest).is_some());
        let ranges = server.server().requests().into_iter().filter(|request| request.method == "PATCH");
        ranges.map(|request| request.header("content-range").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let range = |n: u64| format!("{}-{}", n * chunk, ((n + 1) * chunk).min(layer.size) - 1);
    let all = [range(0), range(1), range(2)];
    assert_eq!(upload(&Server::start()), all);

    let dies = Server::start();
    dies.server().fault(Fault::hang_up_after_reading(7).method("PATCH").after(1));
    assert_eq!(upload(&dies), [range(0), range(1), range(1), range(2)]);

    let busy = Server::start();
    busy.server().fault(Fault::status(429).method("PATCH").after(2));
    assert_eq!(upload(&busy), [range(0), range(1), range(2), range(2)]);

    let whole = Server::start();
    whole.server().fault(Fault::status(405).method("PATCH").always());
    assert_eq!(upload(&whole).len(), 1, "a registry without chunks gets it in one");
}

#[test]
fn a_cut_download_goes_on_and_a_corrupt_one_is_refused() {
    let server = Server::start();
    let (registry, to) = (client(), reference(&server, "app:v1"));
    push(&registry, &sample(), &to).unwrap();
    let layer = blobs(&sample::image())[1];
    let path = format!("/blobs/{layer}");
    server.server().fault(Fault::cut_body_at(30).on(&path).method("GET"));
    server.server().fault(Fault::cut_body_at(10).on(&path).method("GET"));
    server.server().clear_log();
    let pulled = registry.pull(&to).unwrap().image(&Platform::linux("amd64")).unwrap();
    read_layers(&pulled).unwrap();
    let requests = server.server().requests().into_iter().filter(|r| r.path.contains(&path));
    let ranges: Vec<_> = requests.map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=30-".into()), Some("bytes=40-".into())]);

    server.server().fault(Fault::flip_byte(3).on(&path));
    assert!(matches!(read_layers(&pulled), Err(BlobError::Digest { expected, .. }) if expected == layer));
    server.server().fault(Fault::flip_byte(3).on("/manifests/"));
    assert!(matches!(registry.pull(&to), Err(RegistryError::Digest { .. })));
    server.server().fault(Fault::cut_body_at(0).on(&path).always());
    let error = read_layers(&pulled).unwrap_err();
    assert!(is_transient_blob(&error), "{error}");
    server.server().clear_faults();
    server.remove_blob("app", layer);
    assert!(matches!(read_layers(&pulled), Err(BlobError::Missing { .. })));
}

#[test]
fn a_stalled_download_goes_on_at_the_same_byte() {
    let server = Server::start();
    let to = reference(&server, "app:v1");
    push(&client(), &sample(), &to).unwrap();
    let path = format!("/blobs/{}", blobs(&sample::image())[1]);
    let impatient = Options { backoff: Duration::ZERO, idle_timeout: Duration::from_millis(200), ..Options::default() };
    let registry = Registry::new(Client::new(impatient).unwrap(), RegistryOptions::default());
    let pulled = registry.pull(&to).unwrap().image(&Platform::linux("amd64")).unwrap();
    server.server().fault(Fault::stall_body_at(25).on(&path));
    server.server().clear_log();
    read_layers(&pulled).unwrap();
    let requests = server.server().requests().into_iter().filter(|r| r.path.contains(&path));
    let ranges: Vec<_> = requests.map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=25-".into())]);
}

#[test]
fn a_registry_that_is_asked_too_often_is_given_time_or_up() {
    let server = Server::start();
    let to = reference(&server, "app:v1");
    push(&client(), &sample(), &to).unwrap();
    for path in ["/manifests/", "/blobs/"] {
        server.server().fault(Fault::status(429).on(path).method("GET").times(2));
    }
    let pulled = client().pull(&to).unwrap().image(&Platform::linux("amd64")).unwrap();
    read_layers(&pulled).unwrap();

    let patience = Response::status(429).header("Retry-After", "3600");
    let body = *br#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "come back later"}]}"#;
    server.server().fault(Fault::answer(patience.body(body)).on("/manifests/").always());
    server.server().clear_log();
    let error = client().pull(&to).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("come back later"), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(server.server().log().len(), 1, "it is not asked again before its time");
}

#[test]
fn a_mirror_that_does_not_answer_is_asked_once() {
    let (origin, mirror) = (Server::start(), Server::start());
    let to = reference(&origin, "app:v1");
    push(&client(), &sample(), &to).unwrap();
    mirror.server().fault(Fault::hang_up_after_reading(0).always());
    let mirrors = BTreeMap::from([(origin.host(), vec![mirror.host()])]);
    let http = Client::new(Options { backoff: Duration::ZERO, retries: 0, ..Options::default() }).unwrap();
    let registry = Registry::new(http, RegistryOptions { mirrors, ..RegistryOptions::default() });
    let pulled = registry.pull(&to).unwrap().image(&Platform::linux("amd64")).unwrap();
    read_layers(&pulled).unwrap();
    let asked = |path| mirror.server().count("GET", path);
    assert_eq!((asked("/manifests/"), asked("/blobs/")), (1, 0), "{:?}", mirror.server().log());
}

#[test]
fn blobs_are_fetched_into_a_directory() {
    let server = Server::start();
    let (registry, to) = (client(), reference(&server, "app:v1"));
    push(&registry, &sample(), &to).unwrap();
    let wanted: Vec<Descriptor> = sample::image().manifest().blobs().cloned().collect();
    let dir = tempfile::tempdir().unwrap();
    let repository = registry.repository(&to);
    server.server().fault(Fault::flip_byte(0).on("/blobs/").always());
    assert!(repository.fetch_blobs(&wanted, dir.path(), &|_, _| {}).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-written");
    server.server().clear_faults();
    repository.fetch_blobs(&wanted, dir.path(), &|_, _| {}).unwrap();
    server.server().clear_log();
    let set = repository.fetch_blobs(&wanted, dir.path(), &|_, _| {}).unwrap();
    assert!(server.server().log().is_empty(), "what is there is not fetched again");
    for descriptor in &wanted {
        set.open(descriptor).unwrap().read_checked(descriptor, 1 << 20).unwrap();
    }
}

#[test]
fn mirrors_are_asked_first() {
    let (origin, mirror) = (Server::start(), Server::start());
    let to = reference(&origin, "app:v1");
    push(&client(), &sample(), &to).unwrap();
    push(&client(), &sample(), &reference(&mirror, "cache/app:v1")).unwrap();
    let dead = "http://127.0.0.1:1".to_owned();
    let mirrors = BTreeMap::from([(origin.host(), vec![dead, format!("{}/cache/", mirror.host())])]);
    let registry = client_with(RegistryOptions { mirrors, ..RegistryOptions::default() });
    origin.server().clear_log();
    let pulled = registry.pull(&to).unwrap().image(&Platform::linux("amd64")).unwrap();
    assert!(origin.server().log().is_empty());
    // What the mirror lost comes from the registry.
    mirror.remove_blob("cache/app", blobs(&pulled)[2]);
    read_layers(&pulled).unwrap();
    assert_eq!(origin.server().count("GET", "/blobs/"), 1);
    // Writes never go to a mirror.
    mirror.server().clear_log();
    push(&registry, &sample(), &reference(&origin, "app:v2")).unwrap();
    assert!(mirror.server().log().is_empty());
}

#[test]
fn referrers_are_listed_with_and_without_the_api() {
    for server in [Server::start(), Server::start().without_referrers()] {
        let (registry, to) = (client(), reference(&server, "app:v1"));
        push(&registry, &sample(), &to).unwrap();
        let repository = registry.repository_for_push(&to, Vec::new());
        let empty = Descriptor::of(MediaType::OCI_EMPTY, b"{}");
        server.add_blob("app", *b"{}");
        let mut sbom = ImageManifest::new(empty.clone(), vec![empty]);
        sbom.artifact_type = Some(MediaType::new("application/spdx+json"));
        sbom.subject = Some(sample().descriptor().clone());
        let sbom = Document::new(sbom);
        for _ in 0..2 {
            repository.put_manifest(&sbom.descriptor(MediaType::OCI_MANIFEST), sbom.bytes(), None).unwrap();
        }
        let referrers = repository.referrers(sample().descriptor().digest).unwrap();
        assert_eq!(referrers.len(), 1);
        assert_eq!(referrers[0].artifact_type.as_ref().unwrap().as_str(), "application/spdx+json");
        assert!(repository.referrers(Digest::of(b"other")).unwrap().is_empty());
    }
}

#[test]
fn tags_come_page_by_page() {
    let server = Server::start().with_tag_pages_of(2);
    let registry = client();
    for tag in ["a", "b", "c", "d", "e"] {
        push(&registry, &sample(), &reference(&server, &format!("app:{tag}"))).unwrap();
    }
    assert_eq!(registry.repository(&reference(&server, "app")).tags().unwrap(), ["a", "b", "c", "d", "e"]);
    let none = registry.repository(&reference(&server, "none")).tags().unwrap_err();
    assert_eq!(none.to_string(), format!("the list of tags of {}/none does not exist", server.host()));
}

#[test]
fn what_cannot_be_read_here_is_no_fault_of_the_registry() {
    let server = Server::start();
    let image = sample::image();
    let mut some = crate::blob::BlobSet::new();
    some.add_bytes(Arc::clone(image.config().bytes()));
    let broken = Image::from_documents(
        image.descriptor().clone(),
        image.manifest().clone(),
        image.config().clone(),
        Arc::new(some),
    );
    let broken = ImageOrIndex::Image(broken.unwrap());
    let error = push(&client(), &broken, &reference(&server, "app:v1")).unwrap_err();
    assert!(error.to_string().contains("is missing") && !error.is_transient(), "{error}");
}

#[test]
fn a_tls_port_is_not_spoken_to_in_plain_http() {
    // What Go's and nginx's TLS ports answer to plain HTTP.
    let server = jettison_testkit::HttpServer::start(|_| Response::status(400));
    let to = Reference::parse(&format!("{}/app:v1", server.authority())).unwrap();
    let error = client().pull(&to).unwrap_err();
    assert!(matches!(error, RegistryError::Http(_)), "{error}");
    assert_eq!(server.count("GET", "/manifests/"), 1, "the first call finds it out");
}

#[test]
fn a_repository_that_has_to_be_made_first_is_told() {
    let server = Server::start();
    server.server().fault(Fault::status(404).method("POST").always());
    let error = push(&client(), &sample(), &reference(&server, "app:v1")).unwrap_err();
    assert_eq!(error.to_string(), format!("the repository {}/app does not exist", server.host()));
    assert!(error.hint().unwrap().contains("made before"));
}

#[test]
fn a_registry_without_head_for_manifests_will_do() {
    let server = Server::start();
    server.server().fault(Fault::status(405).method("HEAD").on("/manifests/").always());
    let to = reference(&server, "app:v1");
    assert!(!push(&client(), &sample(), &to).unwrap().unchanged);
    assert!(push(&client(), &sample(), &to).unwrap().unchanged);
}
