//! A package index on loopback: the simple API in HTML and JSON (PEPs 503, 658, 691).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::http::{HttpServer, Request, Response};
use crate::project::normalize;
use crate::sdist::SdistBuilder;
use crate::wheel::WheelBuilder;

/// An index in the making.
#[derive(Debug, Clone, Default)]
pub struct PackageIndexBuilder {
    files: Vec<IndexedFile>,
    credentials: Option<(String, String)>,
    relative_urls: bool,
    html_only: bool,
    without_metadata: bool,
    without_hashes: bool,
}

#[derive(Debug, Clone)]
struct IndexedFile {
    project: String,
    version: String,
    filename: String,
    bytes: Arc<[u8]>,
    metadata: Option<String>,
    requires_python: Option<String>,
    yanked: Option<String>,
    told_digest: String,
}

impl PackageIndexBuilder {
    /// An index without a project.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a wheel.
    #[must_use]
    pub fn wheel(self, wheel: &WheelBuilder) -> Self {
        let (python, metadata) = (wheel.python_specifier().map(str::to_owned), Some(wheel.metadata_text()));
        self.add(wheel.name(), wheel.filename(), wheel.build(), metadata, python)
    }

    /// Adds a source distribution.
    #[must_use]
    pub fn sdist(self, sdist: &SdistBuilder) -> Self {
        let python = sdist.python_specifier().map(str::to_owned);
        self.add(sdist.name(), sdist.filename(), sdist.build(), None, python)
    }

    /// Adds any bytes under any file name.
    #[must_use]
    pub fn file(self, project: &str, filename: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.add(project, filename.to_owned(), bytes.into(), None, None)
    }

    fn add(
        mut self,
        project: &str,
        filename: String,
        bytes: Vec<u8>,
        metadata: Option<String>,
        python: Option<String>,
    ) -> Self {
        self.files.push(IndexedFile {
            project: normalize(project),
            version: version_in(project, &filename),
            filename,
            told_digest: sha256(&bytes),
            bytes: bytes.into(),
            metadata,
            requires_python: python,
            yanked: None,
        });
        self
    }

    /// The file added last was yanked, for this reason.
    #[must_use]
    pub fn yanked(mut self, reason: &str) -> Self {
        self.last().yanked = Some(reason.to_owned());
        self
    }

    /// The index tells a wrong hash for the file added last.
    #[must_use]
    pub fn wrong_hash(mut self) -> Self {
        self.last().told_digest = sha256(b"something else");
        self
    }

    fn last(&mut self) -> &mut IndexedFile {
        self.files.last_mut().expect("a file was added before")
    }

    /// Asks for this user and password.
    #[must_use]
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Gives the files' URLs relative to the page.
    #[must_use]
    pub fn relative_urls(mut self) -> Self {
        self.relative_urls = true;
        self
    }

    /// Answers in HTML, whatever was asked for.
    #[must_use]
    pub fn html_only(mut self) -> Self {
        self.html_only = true;
        self
    }

    /// Leaves out the `.metadata` files of PEP 658.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        self.without_metadata = true;
        self
    }

    /// Leaves out the hashes.
    #[must_use]
    pub fn without_hashes(mut self) -> Self {
        self.without_hashes = true;
        self
    }

    /// Serves the index.
    pub fn serve(self) -> PackageIndex {
        let credentials = self.credentials.clone();
        let files = self.files.clone();
        PackageIndex { server: HttpServer::start(move |request| self.answer(request)), credentials, files }
    }

    fn answer(&self, request: &Request) -> Response {
        if self.credentials.is_some() && request.basic_auth() != self.credentials {
            return Response::status(401).header("WWW-Authenticate", "Basic realm=\"index\"");
        }
        let json = !self.html_only && request.header("accept").is_some_and(|accept| accept.contains(JSON));
        // An absolute URL has to be one that the client reaches; its own word for the host is.
        let origin = format!("http://{}", request.header("host").unwrap_or("localhost"));
        match *request.path.trim_matches('/').split('/').collect::<Vec<_>>() {
            ["simple"] => self.projects(json),
            ["simple", project] => self.project(project, json, &origin),
            ["files", name] => self.download(name),
            ["links"] => Response::typed("text/html", self.anchors("", |_| true)),
            _ => Response::not_found(),
        }
    }

    fn projects(&self, json: bool) -> Response {
        let names: BTreeMap<&str, ()> = self.files.iter().map(|file| (file.project.as_str(), ())).collect();
        if json {
            let projects: Vec<_> = names.keys().map(|name| json!({"name": name})).collect();
            let body = json!({"meta": {"api-version": "1.1"}, "projects": projects});
            return Response::typed(JSON, body.to_string().into_bytes());
        }
        let anchors: String = names.keys().map(|name| format!("<a href=\"{name}/\">{name}</a>\n")).collect();
        Response::typed("text/html", format!("<!DOCTYPE html>\n<html><body>\n{anchors}</body></html>\n").into_bytes())
    }

    fn project(&self, project: &str, json: bool, origin: &str) -> Response {
        if !self.files.iter().any(|file| file.project == project) {
            return Response::not_found();
        }
        let base = if self.relative_urls { "../.." } else { origin };
        if !json {
            return Response::typed("text/html", self.anchors(base, |file| file.project == project));
        }
        let file = |file: &IndexedFile| {
            let mut row = json!({
                "filename": file.filename,
                "url": format!("{base}/files/{}", file.filename),
                "hashes": {},
                "size": file.bytes.len(),
                "yanked": file.yanked.as_ref().map_or(json!(false), |reason| json!(reason)),
            });
            if !self.without_hashes {
                row["hashes"] = json!({"sha256": file.told_digest});
            }
            if let Some(specifier) = &file.requires_python {
                row["requires-python"] = json!(specifier);
            }
            if let Some(metadata) = file.metadata.as_ref().filter(|_| !self.without_metadata) {
                row["core-metadata"] = json!({"sha256": sha256(metadata.as_bytes())});
            }
            row
        };
        let files: Vec<_> = self.files.iter().filter(|f| f.project == project).map(file).collect();
        let body = json!({"meta": {"api-version": "1.1"}, "name": project, "files": files});
        Response::typed(JSON, body.to_string().into_bytes())
    }

    fn anchors(&self, base: &str, wanted: impl Fn(&IndexedFile) -> bool) -> Vec<u8> {
        let mut html = String::from("<!DOCTYPE html>\n<html><body>\n");
        for file in self.files.iter().filter(|file| wanted(file)) {
            let hash = if self.without_hashes { String::new() } else { format!("#sha256={}", file.told_digest) };
            let mut attributes = String::new();
            if let Some(specifier) = &file.requires_python {
                attributes += &format!(" data-requires-python=\"{}\"", escape(specifier));
            }
            if let Some(reason) = &file.yanked {
                attributes += &format!(" data-yanked=\"{}\"", escape(reason));
            }
            if let Some(metadata) = file.metadata.as_ref().filter(|_| !self.without_metadata) {
                attributes += &format!(" data-core-metadata=\"sha256={}\"", sha256(metadata.as_bytes()));
            }
            let name = &file.filename;
            html += &format!("<a href=\"{base}/files/{name}{hash}\"{attributes}>{name}</a>\n");
        }
        html += "</body></html>\n";
        html.into_bytes()
    }

    fn download(&self, name: &str) -> Response {
        if let Some(file) = self.files.iter().find(|file| file.filename == name) {
            return Response::typed("application/octet-stream", Arc::clone(&file.bytes));
        }
        let of = name.strip_suffix(".metadata").filter(|_| !self.without_metadata);
        let metadata =
            self.files.iter().find(|file| Some(file.filename.as_str()) == of).and_then(|f| f.metadata.clone());
        metadata.map_or_else(Response::not_found, |metadata| Response::ok(metadata.into_bytes()))
    }
}

/// The part of a file name after the project's name.
fn version_in(project: &str, filename: &str) -> String {
    let rest = filename.get(project.len() + 1..).unwrap_or_default();
    let rest = rest.strip_suffix(".tar.gz").unwrap_or(rest);
    rest.split('-').next().unwrap_or_default().to_owned()
}

const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A served index. It goes when it is dropped.
pub struct PackageIndex {
    server: HttpServer,
    credentials: Option<(String, String)>,
    files: Vec<IndexedFile>,
}

impl PackageIndex {
    /// A `pylock.toml` (PEP 751) of these projects, with every file of theirs.
    pub fn pylock(&self, projects: &[&str]) -> String {
        let mut lock = String::from("lock-version = \"1.0\"\ncreated-by = \"testkit\"\nrequires-python = \">=3.9\"\n");
        for project in projects {
            let mut files = self.files.iter().filter(|file| file.project == normalize(project)).peekable();
            let first = files.peek().unwrap_or_else(|| panic!("the index has no `{project}`"));
            lock += &format!("\n[[packages]]\nname = \"{}\"\nversion = \"{}\"\n", first.project, first.version);
            for file in files {
                let table = if file.filename.ends_with(".whl") { "[[packages.wheels]]" } else { "[packages.sdist]" };
                let (name, url) = (&file.filename, self.file_url(&file.filename));
                let (size, digest) = (file.bytes.len(), &file.told_digest);
                lock += &format!(
                    "\n{table}\nname = \"{name}\"\nurl = \"{url}\"\nsize = {size}\nhashes = {{ sha256 = \"{digest}\" }}\n"
                );
            }
        }
        lock
    }

    /// A `requirements.txt` of these projects as `pip-compile --generate-hashes` writes it: pinned, with the hash of every file.
    pub fn hashed_requirements(&self, projects: &[&str]) -> String {
        let row = |project: &&str| {
            let files = self.files_of(project);
            let hashes: String =
                files.iter().map(|file| format!(" \\\n    --hash=sha256:{}", file.told_digest)).collect();
            format!("{}=={}{hashes}\n", files[0].project, files[0].version)
        };
        projects.iter().map(row).collect()
    }

    /// A `Pipfile.lock` of these projects.
    pub fn pipfile_lock(&self, projects: &[&str]) -> String {
        let row = |project: &&str| {
            let files = self.files_of(project);
            let hashes: Vec<String> = files.iter().map(|file| format!("sha256:{}", file.told_digest)).collect();
            let pin = json!({"hashes": hashes, "index": "pypi", "version": format!("=={}", files[0].version)});
            (files[0].project.clone(), pin)
        };
        let default: serde_json::Map<_, _> = projects.iter().map(row).collect();
        let source = json!({"name": "pypi", "url": self.url(), "verify_ssl": false});
        let meta = json!({"hash": {"sha256": sha256(b"")}, "pipfile-spec": 6, "requires": {}, "sources": [source]});
        format!("{:#}\n", json!({"_meta": meta, "default": default, "develop": {}}))
    }

    fn files_of(&self, project: &str) -> Vec<&IndexedFile> {
        let files: Vec<_> = self.files.iter().filter(|file| file.project == normalize(project)).collect();
        assert!(!files.is_empty(), "the index has no `{project}`");
        files
    }

    /// The URL of the simple API, as `--index-url` takes it, without credentials.
    pub fn url(&self) -> String {
        self.server.url("simple")
    }

    /// The same with the user and the password in it.
    pub fn url_with_credentials(&self) -> String {
        match &self.credentials {
            Some((user, password)) => self.server.url_as(user, password, "simple"),
            None => self.url(),
        }
    }

    /// The URL of a page with links to every file, as `--find-links` takes it.
    pub fn links_url(&self) -> String {
        self.server.url("links")
    }

    /// The URL of a file.
    pub fn file_url(&self, filename: &str) -> String {
        self.server.url(&format!("files/{filename}"))
    }

    /// The server, for its log and for faults.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> PackageIndexBuilder {
        PackageIndexBuilder::new()
            .wheel(&WheelBuilder::new("Demo.App", "1.0").requires_python(">=3.9"))
            .sdist(&SdistBuilder::new("demo-app", "1.0"))
            .yanked("broken")
    }

    fn ask(index: &PackageIndexBuilder, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (path, query, body) = (path.to_owned(), String::new(), Vec::new());
        let response = index.answer(&Request { method: "GET".to_owned(), path, query, headers, body });
        (response.status, String::from_utf8_lossy(&response.body).into_owned())
    }

    #[test]
    fn a_project_is_listed_in_both_forms() {
        let (_, html) = ask(&index().relative_urls(), "/simple/demo-app/", &[]);
        let html = html.replace(|c: char| c.is_ascii_digit(), "0");
        assert!(html.contains("<a href=\"../../files/demo_app-0.0-py0-none-any.whl#sha000="), "{html}");
        assert!(html.contains(" data-requires-python=\"&gt;=0.0\""), "{html}");
        assert!(html.contains(" data-yanked=\"broken\">demo_app-0.0.tar.gz</a>"), "{html}");

        let (_, text) = ask(&index(), "/simple/demo-app/", &[("accept", JSON), ("host", "h:1")]);
        let page: serde_json::Value = serde_json::from_str(&text).unwrap();
        let [wheel, sdist] = [0, 1].map(|n| &page["files"][n]);
        assert_eq!(wheel["url"], "http://h:1/files/demo_app-1.0-py3-none-any.whl");
        assert_eq!(
            (&wheel["requires-python"], &wheel["yanked"], &sdist["yanked"]),
            (&json!(">=3.9"), &json!(false), &json!("broken"))
        );
        let metadata = ask(&index(), "/files/demo_app-1.0-py3-none-any.whl.metadata", &[]).1;
        assert_eq!(wheel["core-metadata"]["sha256"], sha256(metadata.as_bytes()));
        assert!(metadata.contains("Name: Demo.App\n"));
    }

    #[test]
    fn a_private_index_asks_who_is_there() {
        let index = index().credentials("user", "secret");
        assert_eq!(ask(&index, "/simple/", &[]).0, 401);
        assert_eq!(ask(&index, "/simple/", &[("authorization", "Basic dXNlcjpzZWNyZXQ=")]).0, 200);
        let served = index.serve();
        assert!(served.url_with_credentials().starts_with("http://user:secret@127.0.0.1:"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in ["/simple/other/", "/files/other.whl", "/"] {
            assert_eq!(ask(&index(), path, &[]).0, 404, "{path}");
        }
    }
}
