//! Logging in: Basic, and the token service (distribution, "Token Authentication Specification").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jettison_http::{Body, Client, Headers, Method, Request};
use serde::Deserialize;
use url::Url;

use super::RegistryError;
use super::challenge::Challenge;
use super::credentials::{CredentialError, CredentialStore, Login};
use super::endpoint::Endpoint;

/// What our requests to token services call us.
const CLIENT_ID: &str = "jettison";
/// A token is no longer than this.
const TOKEN_LIMIT: u64 = 1 << 20;

/// What is to be done in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub repository: String,
    pub push: bool,
    /// Repositories that blobs may be mounted from.
    pub mounts: Vec<String>,
}

impl Scope {
    fn resources(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.repository);
        std::iter::once(own).chain(self.mounts.iter().map(|from| format!("repository:{from}:pull"))).collect()
    }

    pub fn action(&self) -> &'static str {
        if self.push { "push to" } else { "pull from" }
    }
}

/// The header for one scope, and how it came about.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub header: String,
    pub logged_in: bool,
    pub cause: Option<Box<CredentialError>>,
}

#[derive(Clone)]
enum Way {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct Host {
    way: Way,
    grants: BTreeMap<Scope, Grant>,
}

/// Remembers how each registry wants to be spoken to, and what it granted.
pub(super) struct Authenticator {
    store: CredentialStore,
    hosts: Mutex<BTreeMap<String, Host>>,
}

impl Authenticator {
    pub fn new(store: CredentialStore) -> Self {
        Self { store, hosts: Mutex::default() }
    }

    /// The grant for a scope; `None` for a registry that never asked for one.
    pub fn grant(&self, http: &Client, endpoint: &Endpoint, scope: &Scope) -> Result<Option<Grant>, RegistryError> {
        // The lock is held while a token is fetched, so that threads do not fetch the same one.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(host) = hosts.get_mut(&endpoint.host) else { return Ok(None) };
        if let Some(grant) = host.grants.get(scope) {
            return Ok(Some(grant.clone()));
        }
        let grant = self.obtain(http, endpoint, scope, &host.way)?;
        host.grants.insert(scope.clone(), grant.clone());
        Ok(Some(grant))
    }

    /// The grant after a refusal with these headers. `used` is what was refused; `None` says that nothing else can be had.
    pub fn challenged(
        &self,
        http: &Client,
        endpoint: &Endpoint,
        scope: &Scope,
        headers: &Headers,
        used: Option<&Grant>,
    ) -> Result<Option<Grant>, RegistryError> {
        let way = way(endpoint, headers)?;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host =
            hosts.entry(endpoint.host.clone()).or_insert_with(|| Host { way: way.clone(), grants: BTreeMap::new() });
        host.way = way;
        if let Some(grant) = host.grants.get(scope).filter(|grant| used.is_none_or(|used| used.header != grant.header))
        {
            return Ok(Some(grant.clone()));
        }
        host.grants.remove(scope);
        let grant = self.obtain(http, endpoint, scope, &host.way)?;
        if used.is_some_and(|used| used.header == grant.header) {
            return Ok(None);
        }
        host.grants.insert(scope.clone(), grant.clone());
        Ok(Some(grant))
    }

    fn obtain(&self, http: &Client, endpoint: &Endpoint, scope: &Scope, way: &Way) -> Result<Grant, RegistryError> {
        // A broken helper is told only where the registry does not serve the anonymous either.
        let (login, cause) = match self.store.lookup(&endpoint.registry, &scope.repository) {
            Ok(login) => (login, None),
            Err(error) => (None, Some(Box::new(error))),
        };
        let refused = |logged_in, cause| RegistryError::Unauthorized {
            registry: endpoint.registry.clone(),
            action: scope.action(),
            what: scope.repository.clone(),
            logged_in,
            detail: String::new(),
            cause,
        };
        let logged_in = login.is_some();
        let header = match (way, login) {
            (_, Some(Login::RegistryToken(token))) => format!("Bearer {}", token.0),
            (Way::Basic, Some(Login::Password(credentials))) => credentials.basic(),
            (Way::Basic, _) => return Err(refused(false, cause)),
            (Way::Bearer { realm, service }, login) => {
                let fetch = |scope| self.fetch_token(http, endpoint, scope, realm, service.as_deref(), login.as_ref());
                let mut token = fetch(scope)?;
                if token.is_none() && !scope.mounts.is_empty() {
                    // Some services refuse everything where they refuse one repository to mount from.
                    token = fetch(&Scope { mounts: Vec::new(), ..scope.clone() })?;
                }
                match token {
                    Some(token) => format!("Bearer {token}"),
                    None => return Err(refused(logged_in, cause)),
                }
            }
        };
        Ok(Grant { header, logged_in, cause })
    }

    /// Asks the token service; `None` where it refuses.
    fn fetch_token(
        &self,
        http: &Client,
        endpoint: &Endpoint,
        scope: &Scope,
        realm: &Url,
        service: Option<&str>,
        login: Option<&Login>,
    ) -> Result<Option<String>, RegistryError> {
        let failed = |reason: String| RegistryError::Challenge { registry: endpoint.registry.clone(), reason };
        if login.is_some() && realm.scheme() != "https" && !endpoint.may_be_plain(http) {
            return Err(failed(format!("its token service {realm} would get the password in the clear")));
        }
        let mut url = realm.clone();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let answer = if let Some(Login::IdentityToken(token)) = login {
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", &token.0);
            form.append_pair("client_id", CLIENT_ID).append_pair("scope", &scope.resources().join(" "));
            service.map(|service| form.append_pair("service", service));
            let form = form.finish();
            let request = Request::new(Method::Post, url.as_str()).without_stored_credentials().repeatable(true);
            let request = request.header("Content-Type", "application/x-www-form-urlencoded");
            http.send(&request.body(Body::Bytes(form.as_bytes())))?
        } else {
            {
                let mut query = url.query_pairs_mut();
                service.map(|service| query.append_pair("service", service).append_pair("client_id", CLIENT_ID));
                for resource in scope.resources() {
                    query.append_pair("scope", &resource);
                }
                if let Some(Login::Password(credentials)) = login {
                    query.append_pair("account", &credentials.user);
                }
            }
            let mut request = Request::new(Method::Get, url.as_str()).without_stored_credentials();
            if let Some(Login::Password(credentials)) = login {
                request = request.header("Authorization", credentials.basic());
            }
            http.send(&request)?
        };
        if matches!(answer.status, 401 | 403) {
            answer.discard();
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let answer = answer.success()?;
        let token: Token = serde_json::from_reader(std::io::Read::take(answer, TOKEN_LIMIT))
            .map_err(|e| failed(format!("its token service sent no token: {e}")))?;
        let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
        token.map(Some).ok_or_else(|| failed("its token service sent no token".to_owned()))
    }
}

/// How the registry wants a login, by its challenges; tokens go before passwords.
fn way(endpoint: &Endpoint, headers: &Headers) -> Result<Way, RegistryError> {
    let failed = |reason: String| RegistryError::Challenge { registry: endpoint.registry.clone(), reason };
    let challenges: Vec<_> = headers.get_all("www-authenticate").flat_map(Challenge::parse_all).collect();
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
        let realm = bearer.get("realm").ok_or_else(|| failed("it names no token service".to_owned()))?;
        let realm = Url::parse(realm).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let realm = realm.ok_or_else(|| failed("its token service has a bad address".to_owned()))?;
        return Ok(Way::Bearer { realm, service: bearer.get("service").map(str::to_owned) });
    }
    if challenges.iter().any(|challenge| challenge.scheme == "basic") {
        return Ok(Way::Basic);
    }
    let asked: Vec<_> = challenges.into_iter().map(|challenge| challenge.scheme).collect();
    let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
    Err(failed(format!("it asks for {asked}, not for a token or a password")))
}
