//! A registry on loopback: OCI distribution-spec 1.1, pull, push, mount and referrers, with Basic or token login.
//!
//! 1. [`Registry::start`] and [`Registry::with_login`] begin one over an [`HttpServer`].
//! 2. A request is checked against the login, then routed by its path.
//! 3. Blobs belong to the repositories that they were pushed to or mounted in, as in a real registry.
//!
//! Faults and the request log are the server's: [`Registry::server`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jettison_tree::Digest;
use serde_json::{Value, json};

use crate::http::{HttpServer, Request, Response};

/// How clients have to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    None,
    /// `Authorization: Basic` on every request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token from `/token` for every scope (distribution's token specification).
    Token {
        /// The user.
        user: String,
        /// The password; as an identity token too.
        password: String,
        /// Whether tokens to pull are given to anybody.
        anonymous_pull: bool,
    },
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<u64, Upload>,
    next_upload: u64,
    generation: u64,
    referrers: bool,
    tag_page: usize,
}

#[derive(Default, Clone)]
struct Repository {
    blobs: BTreeMap<Digest, Arc<[u8]>>,
    manifests: BTreeMap<Digest, (String, Arc<[u8]>)>,
    tags: BTreeMap<String, Digest>,
}

struct Upload {
    repository: String,
    bytes: Vec<u8>,
}

/// The registry. It stops when it is dropped.
pub struct Registry {
    server: HttpServer,
    state: Arc<Mutex<State>>,
}

impl Registry {
    /// A registry that is open to all.
    pub fn start() -> Self {
        Self::with_login(Login::None)
    }

    /// A registry with this login.
    pub fn with_login(login: Login) -> Self {
        let state = Arc::new(Mutex::new(State { referrers: true, tag_page: usize::MAX, ..State::default() }));
        let shared = Arc::clone(&state);
        let server = HttpServer::start(move |request| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if request.path == "/token" {
                return token(&login, &state, request);
            }
            match check(&login, &state, request) {
                Ok(()) => state.answer(request),
                Err(refusal) => refusal,
            }
        });
        Self { server, state }
    }

    /// The server under it: faults, the log of requests.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }

    /// `127.0.0.1:port`, as references begin.
    pub fn host(&self) -> String {
        self.server.authority()
    }

    /// The reference of a name in this registry, `127.0.0.1:port/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a blob into a repository.
    pub fn add_blob(&self, repository: &str, bytes: impl Into<Arc<[u8]>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.state().repository(repository).blobs.insert(digest, bytes);
        digest
    }

    /// Puts a manifest into a repository, under a tag.
    pub fn add_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: impl Into<Arc<[u8]>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let mut state = self.state();
        let repository = state.repository(repository);
        repository.manifests.insert(digest, (media_type.to_owned(), bytes));
        repository.tags.insert(tag.to_owned(), digest);
        digest
    }

    /// Takes a blob out of a repository, as a garbage collection would.
    pub fn remove_blob(&self, repository: &str, digest: Digest) {
        self.state().repository(repository).blobs.remove(&digest);
    }

    /// A blob of a repository.
    pub fn blob(&self, repository: &str, digest: Digest) -> Option<Arc<[u8]>> {
        self.state().repositories.get(repository)?.blobs.get(&digest).cloned()
    }

    /// The manifest under a tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Arc<[u8]>> {
        let state = self.state();
        let repository = state.repositories.get(repository)?;
        repository.find(reference).map(|(_, _, bytes)| Arc::clone(bytes))
    }

    /// The number of uploads that were begun and neither finished nor forgotten.
    pub fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    /// Makes every token that was given out worthless.
    pub fn expire_tokens(&self) {
        self.state().generation += 1;
    }

    /// Lists at most so many tags at a time.
    pub fn with_tag_pages_of(self, tags: usize) -> Self {
        self.state().tag_page = tags;
        self
    }

    /// Leaves out the referrers API, as registries before distribution-spec 1.1 do.
    pub fn without_referrers(self) -> Self {
        self.state().referrers = false;
        self
    }
}

impl Repository {
    fn find(&self, reference: &str) -> Option<(Digest, &str, &Arc<[u8]>)> {
        let digest = reference.parse().ok().or_else(|| self.tags.get(reference).copied())?;
        self.manifests.get(&digest).map(|(media_type, bytes)| (digest, media_type.as_str(), bytes))
    }
}

fn error(status: u16, code: &str) -> Response {
    let body = json!({"errors": [{"code": code, "message": code.to_lowercase().replace('_', " ")}]});
    Response::status(status).header("Content-Type", "application/json").body(body.to_string().into_bytes())
}

/// What a path of the API is about.
enum Route<'a> {
    Base,
    Tags(&'a str),
    Blob(&'a str, &'a str),
    NewUpload(&'a str),
    Upload(&'a str, &'a str),
    Manifest(&'a str, &'a str),
    Referrers(&'a str, &'a str),
}

impl<'a> Route<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/")?;
        if rest.is_empty() {
            return Some(Self::Base);
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags(name));
        }
        if let Some((name, id)) = rest.split_once("/blobs/uploads/") {
            return Some(if id.is_empty() { Self::NewUpload(name) } else { Self::Upload(name, id) });
        }
        let (head, last) = rest.rsplit_once('/')?;
        let (name, kind) = head.rsplit_once('/')?;
        match kind {
            "blobs" => Some(Self::Blob(name, last)),
            "manifests" => Some(Self::Manifest(name, last)),
            "referrers" => Some(Self::Referrers(name, last)),
            _ => None,
        }
    }

    fn name(&self) -> Option<&'a str> {
        match self {
            Self::Base => None,
            Self::Tags(name) | Self::NewUpload(name) => Some(name),
            Self::Blob(name, _) | Self::Upload(name, _) | Self::Manifest(name, _) | Self::Referrers(name, _) => {
                Some(name)
            }
        }
    }
}

impl State {
    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    fn answer(&mut self, request: &Request) -> Response {
        let method = request.method.as_str();
        match (method, Route::parse(&request.path)) {
            ("GET", Some(Route::Base)) => Response::ok(*b"{}"),
            ("GET", Some(Route::Tags(name))) => self.tags(name, request),
            ("GET" | "HEAD", Some(Route::Blob(name, digest))) => self.get_blob(name, digest),
            ("POST", Some(Route::NewUpload(name))) => self.begin_upload(name, request),
            (_, Some(Route::Upload(name, id))) => self.upload(name, id, request),
            ("GET" | "HEAD", Some(Route::Manifest(name, reference))) => self.get_manifest(name, reference, request),
            ("PUT", Some(Route::Manifest(name, reference))) => self.put_manifest(name, reference, request),
            ("GET", Some(Route::Referrers(name, digest))) if self.referrers => self.referrers(name, digest),
            (_, None | Some(Route::Referrers(..))) => error(404, "NOT_FOUND"),
            _ => error(405, "UNSUPPORTED"),
        }
    }

    fn tags(&self, name: &str, request: &Request) -> Response {
        let Some(repository) = self.repositories.get(name) else { return error(404, "NAME_UNKNOWN") };
        let last = request.query_value("last").unwrap_or_default();
        let page = request.query_value("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX).min(self.tag_page);
        let mut tags: Vec<_> = repository.tags.keys().filter(|tag| **tag > last).cloned().collect();
        let more = tags.len() > page;
        tags.truncate(page);
        let response = Response::ok(json!({"name": name, "tags": tags}).to_string().into_bytes());
        match tags.last() {
            Some(last) if more => {
                response.header("Link", format!("</v2/{name}/tags/list?n={page}&last={last}>; rel=\"next\""))
            }
            _ => response,
        }
    }

    fn get_blob(&self, name: &str, digest: &str) -> Response {
        let blob = self.repositories.get(name).zip(digest.parse().ok());
        match blob.and_then(|(repository, digest): (_, Digest)| repository.blobs.get(&digest)) {
            Some(bytes) => {
                Response::typed("application/octet-stream", Arc::clone(bytes)).header("Docker-Content-Digest", digest)
            }
            None => error(404, "BLOB_UNKNOWN"),
        }
    }

    fn begin_upload(&mut self, name: &str, request: &Request) -> Response {
        if let (Some(digest), Some(from)) = (request.query_value("mount"), request.query_value("from")) {
            let digest: Option<Digest> = digest.parse().ok();
            let bytes = digest.and_then(|digest| self.repositories.get(&from)?.blobs.get(&digest).cloned());
            if let Some((digest, bytes)) = digest.zip(bytes) {
                self.repository(name).blobs.insert(digest, bytes);
                return Response::status(201)
                    .header("Location", format!("/v2/{name}/blobs/{digest}"))
                    .header("Docker-Content-Digest", digest.to_string());
            }
        }
        let id = self.next_upload;
        self.next_upload += 1;
        self.uploads.insert(id, Upload { repository: name.to_owned(), bytes: Vec::new() });
        self.progress(202, name, id)
    }

    /// Where an upload stands. The location has a query of its own, as some registries' has.
    fn progress(&self, status: u16, name: &str, id: u64) -> Response {
        let len = self.uploads.get(&id).map_or(0, |upload| upload.bytes.len());
        Response::status(status)
            .header("Location", format!("/v2/{name}/blobs/uploads/{id}?_state=x"))
            .header("Range", format!("0-{}", len.saturating_sub(1)))
    }

    fn upload(&mut self, name: &str, id: &str, request: &Request) -> Response {
        let id: Option<u64> = id.parse().ok();
        let Some(id) = id.filter(|id| self.uploads.get(id).is_some_and(|upload| upload.repository == name)) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        if request.method == "GET" {
            return self.progress(204, name, id);
        }
        let Some(upload) = self.uploads.get_mut(&id) else { return error(404, "BLOB_UPLOAD_UNKNOWN") };
        let start = request.header("content-range").and_then(|range| range.split_once('-')?.0.parse().ok());
        if start.is_some_and(|start: usize| start != upload.bytes.len()) {
            return self.progress(416, name, id);
        }
        upload.bytes.extend_from_slice(&request.body);
        match request.method.as_str() {
            "PATCH" => self.progress(202, name, id),
            "PUT" => {
                let digest = Digest::of(&upload.bytes);
                if request.query_value("digest") != Some(digest.to_string()) {
                    return error(400, "DIGEST_INVALID");
                }
                let bytes = self.uploads.remove(&id).map(|upload| upload.bytes).unwrap_or_default();
                self.repository(name).blobs.insert(digest, bytes.into());
                Response::status(201)
                    .header("Location", format!("/v2/{name}/blobs/{digest}"))
                    .header("Docker-Content-Digest", digest.to_string())
            }
            "DELETE" => {
                self.uploads.remove(&id);
                Response::status(204)
            }
            _ => error(405, "UNSUPPORTED"),
        }
    }

    fn get_manifest(&self, name: &str, reference: &str, request: &Request) -> Response {
        let found = self.repositories.get(name).and_then(|repository| repository.find(reference));
        let Some((digest, media_type, bytes)) = found else { return error(404, "MANIFEST_UNKNOWN") };
        let accepted = request.headers.iter().filter(|(name, _)| name == "accept");
        let accepted = accepted.flat_map(|(_, value)| value.split(',')).any(|accept| accept.trim() == media_type);
        if !accepted {
            return error(404, "MANIFEST_UNKNOWN");
        }
        Response::typed(media_type, Arc::clone(bytes)).header("Docker-Content-Digest", digest.to_string())
    }

    fn put_manifest(&mut self, name: &str, reference: &str, request: &Request) -> Response {
        let digest = Digest::of(&request.body);
        let Ok(manifest) = serde_json::from_slice::<Value>(&request.body) else {
            return error(400, "MANIFEST_INVALID");
        };
        if reference.parse().is_ok_and(|wanted: Digest| wanted != digest) {
            return error(400, "DIGEST_INVALID");
        }
        let referrers = self.referrers;
        let repository = self.repository(name);
        let digest_of = |value: &Value| value["digest"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
        let list = |key: &str| manifest[key].as_array().into_iter().flatten().filter_map(digest_of).collect::<Vec<_>>();
        let blobs = digest_of(&manifest["config"]).into_iter().chain(list("layers"));
        if blobs.into_iter().any(|blob| !repository.blobs.contains_key(&blob)) {
            return error(400, "MANIFEST_BLOB_UNKNOWN");
        }
        if list("manifests").iter().any(|child| !repository.manifests.contains_key(child)) {
            return error(400, "MANIFEST_BLOB_UNKNOWN");
        }
        let media_type = request.header("content-type").unwrap_or_default().to_owned();
        repository.manifests.insert(digest, (media_type, request.body.as_slice().into()));
        if reference.parse::<Digest>().is_err() {
            repository.tags.insert(reference.to_owned(), digest);
        }
        let response = Response::status(201)
            .header("Location", format!("/v2/{name}/manifests/{digest}"))
            .header("Docker-Content-Digest", digest.to_string());
        match digest_of(&manifest["subject"]) {
            Some(subject) if referrers => response.header("OCI-Subject", subject.to_string()),
            _ => response,
        }
    }

    fn referrers(&self, name: &str, subject: &str) -> Response {
        let mut manifests = Vec::new();
        for (digest, (media_type, bytes)) in self.repositories.get(name).iter().flat_map(|r| &r.manifests) {
            let manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
            if manifest["subject"]["digest"] == subject {
                let artifact = manifest.get("artifactType").unwrap_or(&manifest["config"]["mediaType"]);
                manifests.push(json!({
                    "mediaType": media_type, "digest": digest, "size": bytes.len(), "artifactType": artifact,
                }));
            }
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        Response::typed(media_type, index.to_string().into_bytes())
    }
}

/// What a request needs: `repository:name:action` each.
fn needed(request: &Request) -> BTreeSet<String> {
    let Some(name) = Route::parse(&request.path).and_then(|route| route.name()) else { return BTreeSet::new() };
    let action = if matches!(request.method.as_str(), "GET" | "HEAD") { "pull" } else { "push" };
    let mut scopes = BTreeSet::from([format!("repository:{name}:{action}")]);
    if let Some(from) = request.query_value("from") {
        scopes.insert(format!("repository:{from}:pull"));
    }
    scopes
}

fn check(login: &Login, state: &State, request: &Request) -> Result<(), Response> {
    let refuse = |challenge: String| Err(error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge));
    match login {
        Login::None => Ok(()),
        Login::Basic { user, password } => match request.basic_auth() {
            Some((u, p)) if (&u, &p) == (user, password) => Ok(()),
            _ => refuse("Basic realm=\"test, registry\"".to_owned()),
        },
        Login::Token { .. } => {
            let needed = needed(request);
            let header = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            let granted = header.and_then(|token| granted(state, token));
            if granted.is_some_and(|granted| needed.is_subset(&granted)) {
                return Ok(());
            }
            let host = request.header("host").unwrap_or_default();
            let mut challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test registry\"");
            if !needed.is_empty() {
                let scopes: Vec<_> = needed.into_iter().collect();
                challenge.push_str(&format!(",scope=\"{}\"", scopes.join(" ")));
            }
            refuse(challenge)
        }
    }
}

/// The scopes that a token of this generation holds.
fn granted(state: &State, token: &str) -> Option<BTreeSet<String>> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (generation, scopes) = text.split_once(' ')?;
    (generation == state.generation.to_string()).then(|| scopes.split(' ').map(str::to_owned).collect())
}

/// The token service: `GET` with Basic or nothing, `POST` with a refresh token (OAuth 2).
fn token(login: &Login, state: &State, request: &Request) -> Response {
    let Login::Token { user, password, anonymous_pull } = login else { return Response::not_found() };
    // Both are forms, where `+` is a space.
    let form =
        if request.method == "POST" { String::from_utf8_lossy(&request.body) } else { request.query.as_str().into() };
    let form = Request { query: form.replace('+', "%20"), ..request.clone() };
    let known = match request.basic_auth() {
        Some((u, p)) if (&u, &p) == (user, password) => true,
        Some(_) => return error(401, "UNAUTHORIZED"),
        None => match form.query_value("refresh_token") {
            Some(token) if token == *password => true,
            Some(_) => return error(401, "UNAUTHORIZED"),
            None => false,
        },
    };
    if form.query_value("service").as_deref() != Some("test registry") {
        return error(400, "UNSUPPORTED");
    }
    let mut scopes = BTreeSet::new();
    for pair in form.query.split('&').filter_map(|pair| pair.strip_prefix("scope=")) {
        for scope in crate::http::percent_decode(pair).split(' ') {
            let Some((repository, actions)) = scope.rsplit_once(':') else { continue };
            for action in actions.split(',').filter(|action| known || (*anonymous_pull && *action == "pull")) {
                scopes.insert(format!("{repository}:{action}"));
            }
        }
    }
    let scopes: Vec<_> = scopes.into_iter().collect();
    let token = BASE64_URL_SAFE_NO_PAD.encode(format!("{} {}", state.generation, scopes.join(" ")));
    let key = if request.method == "POST" { "access_token" } else { "token" };
    Response::typed("application/json", json!({ key: token, "expires_in": 300 }).to_string().into_bytes())
}
