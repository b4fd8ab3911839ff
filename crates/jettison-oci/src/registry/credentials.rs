//! Where logins come from: config.json of Docker, auth.json of Podman, and the credential helpers that they name.
//!
//! Nothing is asked before a registry wants a login, so a broken helper is no obstacle to a public image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jettison_endpoints::{DEFAULT_REGISTRY, DEFAULT_REGISTRY_LOGIN};
use jettison_http::Credentials;
use serde::Deserialize;

use crate::endpoints::canonical;

/// How to log in to one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Password(Credentials),
    /// A refresh token, which the token service turns into others.
    IdentityToken(Token),
    /// A token that is sent as it is.
    RegistryToken(Token),
}

/// A token. Does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Files of logins, asked in their order.
#[derive(Debug, Clone, Default)]
pub struct CredentialStore {
    files: Vec<PathBuf>,
    search_path: OsString,
    given: BTreeMap<String, Login>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, AuthEntry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    #[serde(default)]
    username: String,
    secret: String,
}

impl CredentialStore {
    /// Logins from these files (`$DOCKER_CONFIG/config.json`, Podman's `auth.json`; one that does not exist holds nothing), with helpers
    /// found in the directories of `search_path`, which is written as `PATH` is.
    pub fn new(files: Vec<PathBuf>, search_path: impl Into<OsString>) -> Self {
        Self { files, search_path: search_path.into(), given: BTreeMap::new() }
    }

    /// Adds a login that goes before all others of its registry.
    #[must_use]
    pub fn with_login(mut self, registry: &str, login: Login) -> Self {
        self.given.insert(canonical(registry).to_owned(), login);
        self
    }

    /// The login for a repository, if there is one.
    pub fn lookup(&self, registry: &str, repository: &str) -> Result<Option<Login>, CredentialError> {
        if let Some(login) = self.given.get(canonical(registry)) {
            return Ok(Some(login.clone()));
        }
        for file in &self.files {
            if let Some(login) = self.lookup_in(file, registry, repository)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    fn lookup_in(&self, path: &Path, registry: &str, repository: &str) -> Result<Option<Login>, CredentialError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(CredentialError::Read { path: path.to_owned(), reason: e.to_string() }),
        };
        let config: ConfigFile = serde_json::from_slice(&text)
            .map_err(|e| CredentialError::Read { path: path.to_owned(), reason: e.to_string() })?;
        let helper = |name: &str| self.ask_helper(name, path, registry);
        if let Some((_, name)) = config.cred_helpers.iter().find(|(key, _)| specificity(key, registry, "") > 0) {
            return helper(name);
        }
        let entry = config.auths.iter().max_by_key(|(key, _)| specificity(key, registry, repository));
        if let Some((key, entry)) = entry.filter(|(key, _)| specificity(key, registry, repository) > 0) {
            let broken = || CredentialError::Auth { path: path.to_owned(), key: key.clone() };
            // `docker login` leaves an empty entry here where a helper has the password.
            if let Some(login) = entry.login().map_err(|()| broken())? {
                return Ok(Some(login));
            }
        }
        if config.creds_store.is_empty() { Ok(None) } else { helper(&config.creds_store) }
    }

    /// Runs `docker-credential-NAME get` (docker/docker-credential-helpers, "Development").
    fn ask_helper(&self, name: &str, file: &Path, registry: &str) -> Result<Option<Login>, CredentialError> {
        let program = format!("docker-credential-{name}");
        let missing = || CredentialError::HelperMissing { program: program.clone(), file: file.to_owned() };
        let path = self.find(&program).ok_or_else(missing)?;
        let failed = |reason: String| CredentialError::Helper {
            program: program.clone(),
            registry: registry.to_owned(),
            reason,
        };
        let server = if canonical(registry) == DEFAULT_REGISTRY { DEFAULT_REGISTRY_LOGIN } else { registry };
        let mut command = Command::new(&path);
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| failed(format!("it cannot be started: {e}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read what it is asked says itself what ails it.
            let _ = stdin.write_all(server.as_bytes());
        }
        let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
        if !output.status.success() {
            // Helpers tell their errors on standard output.
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            if text.contains("credentials not found") {
                return Ok(None);
            }
            let reason: Vec<_> = text.split_whitespace().take(40).collect();
            return Err(failed(if reason.is_empty() { output.status.to_string() } else { reason.join(" ") }));
        }
        let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
            .map_err(|_| failed("its answer is not the JSON that it should be".to_owned()))?;
        Ok(match (answer.username.as_str(), answer.secret) {
            ("", secret) if secret.is_empty() => None,
            ("<token>", secret) => Some(Login::IdentityToken(Token(secret))),
            (user, password) => Some(Login::Password(Credentials { user: user.to_owned(), password })),
        })
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return None;
        }
        let executable =
            |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        std::env::split_paths(&self.search_path).map(|dir| dir.join(program)).find(executable)
    }
}

impl AuthEntry {
    fn login(&self) -> Result<Option<Login>, ()> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(Token(self.identitytoken.clone()))));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Login::RegistryToken(Token(self.registrytoken.clone()))));
        }
        if self.auth.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            let there = !user.is_empty() || !password.is_empty();
            return Ok(there.then_some(Login::Password(Credentials { user, password })));
        }
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
        let bytes = engine.decode(self.auth.trim()).map_err(drop)?;
        let text = String::from_utf8(bytes).map_err(drop)?;
        let (user, password) = text.split_once(':').ok_or(())?;
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Login::Password(Credentials { user: user.to_owned(), password })))
    }
}

/// How closely a key of `auths` names a repository: 0 not at all. Docker's keys are hosts or URLs, Podman's may go on
/// with a namespace (containers-auth.json(5)).
fn specificity(key: &str, registry: &str, repository: &str) -> usize {
    let bare = key.split_once("://").map_or(key, |(_, bare)| bare).trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    if !canonical(host).eq_ignore_ascii_case(canonical(registry)) {
        return 0;
    }
    if path.is_empty() || bare.len() < key.trim_end_matches('/').len() || matches!(path, "v1" | "v2") {
        return 1;
    }
    let inside = repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if inside { 1 + path.len() } else { 0 }
}

/// A login that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A file of logins is broken.
    #[error("cannot read the logins in {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// One entry is broken.
    #[error("{}: `auth` of `{key}` is not base64 of `user:password`", path.display())]
    Auth {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
    },
    /// The helper is not installed.
    #[error("{} wants the credential helper `{program}`, which is not installed", file.display())]
    HelperMissing {
        /// The program.
        program: String,
        /// The file that names it.
        file: PathBuf,
    },
    /// The helper failed.
    #[error("the credential helper `{program}` failed for {registry}: {reason}")]
    Helper {
        /// The program.
        program: String,
        /// What it was asked for.
        registry: String,
        /// What it said.
        reason: String,
    },
}

impl CredentialError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::HelperMissing { program, file } => Some(format!(
                "install {program} into a directory of PATH, or take `credsStore` and `credHelpers` out of {} and log in again",
                file.display()
            )),
            Self::Auth { .. } => Some("log in to the registry again".to_owned()),
            Self::Helper { program, .. } => Some(format!("try it by hand: echo HOST | {program} get")),
            Self::Read { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path, config: &str) -> CredentialStore {
        let file = dir.join("config.json");
        std::fs::write(&file, config).unwrap();
        CredentialStore::new(vec![dir.join("none.json"), file], dir)
    }

    fn password(user: &str, password: &str) -> Option<Login> {
        Some(Login::Password(Credentials { user: user.to_owned(), password: password.to_owned() }))
    }

    #[test]
    fn entries_are_found_under_every_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(
            dir.path(),
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
                "ghcr.io": {"auth": "Z2hjcjphOmI"},
                "ghcr.io/org/team": {"username": "t", "password": "p"},
                "https://quay.io": {"identitytoken": "idt"},
                "reg:5000": {"registrytoken": "rt"},
                "broken": {"auth": "!"},
                "empty": {}
            }, "HttpHeaders": {"X": "y"}}"#,
        );
        let get = |registry, repository| store.lookup(registry, repository).unwrap();
        assert_eq!(get("docker.io", "library/python"), password("hub", "pw"));
        assert_eq!(get("ghcr.io", "org/app"), password("ghcr", "a:b"));
        assert_eq!(get("ghcr.io", "org/team/app"), password("t", "p"));
        assert_eq!(get("ghcr.io", "org/teams"), password("ghcr", "a:b"));
        assert_eq!(get("quay.io", "x"), Some(Login::IdentityToken(Token("idt".into()))));
        assert_eq!(get("reg:5000", "x"), Some(Login::RegistryToken(Token("rt".into()))));
        assert_eq!((get("reg", "x"), get("empty", "x"), get("evil.io", "ghcr.io")), (None, None, None));
        assert!(store.lookup("broken", "x").unwrap_err().to_string().contains("`auth` of `broken`"));
        let given = store.with_login("docker.io", Login::RegistryToken(Token("x".into())));
        assert!(matches!(given.lookup("index.docker.io", "a"), Ok(Some(Login::RegistryToken(_)))));
    }

    #[test]
    fn helpers_are_asked_and_their_absence_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\nread -r host\ncase $host in\n\
            https://index.docker.io/v1/) echo '{\"Username\":\"<token>\",\"Secret\":\"s\"}';;\n\
            a.io) echo '{\"ServerURL\":\"a.io\",\"Username\":\"u\",\"Secret\":\"p\"}';;\n\
            b.io) echo 'credentials not found in native keychain'; exit 1;;\n\
            *) echo 'the keychain is locked' >&2; exit 2;;\nesac\n";
        let helper = dir.path().join("docker-credential-test");
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let store = store(
            dir.path(),
            r#"{"credsStore": "test", "credHelpers": {"d.io": "absent"}, "auths": {"a.io": {}, "e.io": {"auth": "eDp5"}}}"#,
        );
        assert_eq!(store.lookup("a.io", "x").unwrap(), password("u", "p"));
        assert_eq!(store.lookup("docker.io", "x").unwrap(), Some(Login::IdentityToken(Token("s".into()))));
        assert_eq!(store.lookup("b.io", "x").unwrap(), None);
        assert_eq!(store.lookup("e.io", "x").unwrap(), password("x", "y"));
        let locked = store.lookup("c.io", "x").unwrap_err().to_string();
        assert_eq!(locked, "the credential helper `docker-credential-test` failed for c.io: the keychain is locked");
        let absent = store.lookup("d.io", "x").unwrap_err();
        assert!(absent.to_string().ends_with("`docker-credential-absent`, which is not installed"), "{absent}");
        assert!(absent.hint().is_some());
    }

    #[test]
    fn a_broken_file_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let error = store(dir.path(), "{\n  \"auths\": [,]\n}").lookup("a.io", "x").unwrap_err();
        assert!(error.to_string().contains("config.json: ") && error.to_string().contains("line 2"), "{error}");
    }
}
