//! The servers behind a registry's name, and one request to one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jettison_http::{Body, Client, Headers, Method, Request, Response};
use url::Url;

use super::auth::{Authenticator, Scope};
use super::{CredentialStore, RegistryError};
use crate::endpoints;

/// Go's and nginx's answer to plain HTTP on a port for TLS.
const TLS_PORT: u16 = 400;

/// One server that has a registry's repositories: the registry itself, or a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The name for messages and logins.
    pub registry: String,
    /// `host[:port]`.
    pub host: String,
    /// Stands before the repository; empty or `path/`.
    pub prefix: String,
    scheme: Option<&'static str>,
}

impl Endpoint {
    pub fn of_registry(registry: &str) -> Self {
        let host = endpoints::api_host(registry).to_owned();
        Self { registry: registry.to_owned(), host, prefix: String::new(), scheme: None }
    }

    /// A mirror as people write it: `host[:port][/prefix]`, with a scheme or without.
    pub fn of_mirror(text: &str) -> Self {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some((_, rest)) => (Some("https"), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Self { registry: host.to_owned(), host: endpoints::api_host(host).to_owned(), prefix, scheme }
    }

    /// Whether plain HTTP is all right: on this machine, or where the user said so.
    pub fn may_be_plain(&self, http: &Client) -> bool {
        let url = Url::parse(&format!("https://{}/", self.host));
        self.scheme == Some("http") || endpoints::is_loopback(&self.host) || url.is_ok_and(|url| http.is_insecure(&url))
    }
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// Below `/v2/<repository>/`.
    Path(&'a str),
    /// To an address that the registry gave.
    Url(&'a Url),
}

/// One request to a registry.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub method: Method,
    pub target: Target<'a>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body<'a>,
    pub repeatable: bool,
    pub follow: bool,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, target: Target<'a>) -> Self {
        let repeatable = method.is_idempotent();
        Self { method, target, headers: Vec::new(), body: Body::Empty, repeatable, follow: true }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Sends calls: finds out the scheme, logs in when asked to.
pub(super) struct Session {
    pub http: Client,
    auth: Authenticator,
    schemes: Mutex<BTreeMap<String, &'static str>>,
    /// Hosts that did not answer.
    silent: Mutex<BTreeSet<String>>,
}

impl Session {
    pub fn new(http: Client, store: CredentialStore) -> Self {
        Self { http, auth: Authenticator::new(store), schemes: Mutex::default(), silent: Mutex::default() }
    }

    /// Whether the host did not answer before. Asking again would cost its time-out for every blob.
    pub fn is_silent(&self, endpoint: &Endpoint) -> bool {
        self.silent().contains(&endpoint.host)
    }

    /// Remembers that the host does not answer.
    pub fn note_silent(&self, endpoint: &Endpoint) {
        self.silent().insert(endpoint.host.clone());
    }

    /// Sends a call and returns the answer, of any status but 401 and 403.
    pub fn call(&self, endpoint: &Endpoint, scope: &Scope, call: &Call<'_>) -> Result<Response, RegistryError> {
        if endpoint.scheme.is_none() && endpoints::is_loopback(&endpoint.host) && !self.is_known(endpoint) {
            // A registry on this machine most likely speaks plain HTTP: the call itself finds out.
            match self.call_by("http", endpoint, scope, call) {
                Ok(answer) if answer.status != TLS_PORT => {
                    self.remember(endpoint, "http");
                    return Ok(answer);
                }
                outcome if self.scheme(endpoint) == "http" => return outcome,
                _ => {}
            }
        }
        self.call_by(self.scheme(endpoint), endpoint, scope, call)
    }

    fn call_by(
        &self,
        scheme: &str,
        endpoint: &Endpoint,
        scope: &Scope,
        call: &Call<'_>,
    ) -> Result<Response, RegistryError> {
        let base = format!("{scheme}://{}", endpoint.host);
        let url = match call.target {
            Target::Path(path) => format!("{base}/v2/{}{}/{path}", endpoint.prefix, scope.repository),
            Target::Url(url) => url.to_string(),
        };
        // An upload may be sent elsewhere; the login is for the registry alone.
        let own = Url::parse(&base).is_ok_and(|base| Url::parse(&url).is_ok_and(|url| url.origin() == base.origin()));
        let mut grant = if own { self.auth.grant(&self.http, endpoint, scope)? } else { None };
        let mut detail = String::new();
        for last in [false, true] {
            let mut request = Request::new(call.method, &url).body(call.body).without_stored_credentials();
            request = request.repeatable(call.repeatable);
            if !call.follow {
                request = request.without_redirects();
            }
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if let Some(grant) = &grant {
                request = request.header("Authorization", &*grant.header);
            }
            let answer = self.http.send(&request)?;
            if !matches!(answer.status, 401 | 403) {
                return Ok(answer);
            }
            // 403 is final, but for registries that say so of a token with too small a scope.
            let retry = own && !last && (answer.status == 401 || answer.headers.get("www-authenticate").is_some());
            let headers: Headers = answer.headers.clone();
            detail = RegistryError::message_of(answer);
            let next =
                if retry { self.auth.challenged(&self.http, endpoint, scope, &headers, grant.as_ref())? } else { None };
            if next.is_none() {
                break;
            }
            grant = next;
        }
        let (logged_in, cause) = grant.map_or((false, None), |grant| (grant.logged_in, grant.cause));
        Err(RegistryError::Unauthorized {
            registry: endpoint.registry.clone(),
            action: scope.action(),
            what: scope.repository.clone(),
            logged_in,
            detail,
            cause,
        })
    }

    /// `https`, unless plain HTTP is all right and it is what the server speaks. Asked once per server.
    fn scheme(&self, endpoint: &Endpoint) -> &'static str {
        if let Some(scheme) = endpoint.scheme {
            return scheme;
        }
        if !endpoint.may_be_plain(&self.http) {
            return "https";
        }
        if let Some(scheme) = self.schemes().get(&endpoint.host) {
            return scheme;
        }
        let order = if endpoints::is_loopback(&endpoint.host) { ["http", "https"] } else { ["https", "http"] };
        if let Some(scheme) = order.into_iter().find_map(|scheme| self.speaks(scheme, endpoint)) {
            self.remember(endpoint, scheme);
            return scheme;
        }
        // Neither: the first is asked for real, with its retries, and tells what is wrong.
        order[0]
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schemes(&self) -> MutexGuard<'_, BTreeMap<String, &'static str>> {
        self.schemes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_known(&self, endpoint: &Endpoint) -> bool {
        self.schemes().contains_key(&endpoint.host)
    }

    fn remember(&self, endpoint: &Endpoint, scheme: &'static str) {
        self.schemes().insert(endpoint.host.clone(), scheme);
    }

    /// What the server speaks, by its answer to one scheme.
    fn speaks(&self, scheme: &'static str, endpoint: &Endpoint) -> Option<&'static str> {
        let url = format!("{scheme}://{}/v2/", endpoint.host);
        let request = Request::new(Method::Get, url).repeatable(false).without_redirects();
        let answer = self.http.send(&request.without_stored_credentials()).ok()?;
        let speaks = if answer.status == TLS_PORT { "https" } else { scheme };
        answer.discard();
        Some(speaks)
    }
}
