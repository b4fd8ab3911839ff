//! Registries, by the OCI distribution-spec 1.1.
//!
//! 1. [`Registry`] is the client of all of them. It holds the HTTP client, the [`CredentialStore`] and what it learns about
//!    each server: the scheme, the way to log in, tokens.
//! 2. [`Registry::repository`] is where images are: a [`Repository`] reads and writes manifests, blobs, tags and referrers, and
//!    is the [`BlobSource`](crate::BlobSource) of the images pulled from it.
//! 3. [`Registry::pull`] reads an image, [`Registry::push`] writes one.
//!
//! An error knows whether a second try may help ([`RegistryError::is_transient`]) and what to do ([`RegistryError::hint`]).

mod auth;
mod challenge;
mod credentials;
mod endpoint;
mod error;
mod mirrors;
mod pull;
mod push;
mod reader;
mod repository;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;

use jettison_http::Client;

pub use credentials::{CredentialError, CredentialStore, Login, Token};
pub use error::{RegistryError, is_transient_blob};
pub use mirrors::Configured;
pub use push::{PushOptions, PushReport};
pub use repository::Repository;
pub use upload::Placed;

use auth::Scope;
use endpoint::{Endpoint, Session};

use crate::endpoints;
use crate::reference::Reference;
use crate::types::Descriptor;

/// Is told the bytes of a blob that went over the network so far; from several threads.
pub type BlobProgress<'a> = dyn Fn(&Descriptor, u64) + Sync + 'a;

/// How to deal with registries.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Where logins come from.
    pub credentials: CredentialStore,
    /// Servers to read from before a registry itself: `docker.io` → `mirror.example:5000`, each with or without a scheme and a
    /// prefix for its repositories. One that does not answer is asked no more.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Blobs in flight at the same time.
    pub parallel: usize,
    /// A blob above so many bytes is sent in chunks of so many.
    pub chunk: u64,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self { credentials: CredentialStore::default(), mirrors: BTreeMap::new(), parallel: 4, chunk: 64 << 20 }
    }
}

/// The client of registries. Cheap to clone; threads may share one.
///
/// Registries that the HTTP client takes for insecure are tried with TLS unchecked and then without TLS; those on this machine without
/// TLS first; all others are reached by checked TLS alone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    options: RegistryOptions,
}

impl Registry {
    /// A client that talks through `http`.
    pub fn new(http: Client, mut options: RegistryOptions) -> Self {
        let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (registry, places) in options.mirrors {
            mirrors.entry(endpoints::canonical(&registry).to_owned()).or_default().extend(places);
        }
        options.mirrors = mirrors;
        let session = Session::new(http, options.credentials.clone());
        Self { inner: Arc::new(Inner { session, options }) }
    }

    /// The options it was made with.
    pub fn options(&self) -> &RegistryOptions {
        &self.inner.options
    }

    /// The HTTP client under it.
    pub fn http(&self) -> &Client {
        &self.inner.session.http
    }

    fn session(&self) -> &Session {
        &self.inner.session
    }

    /// The repository of a reference, to read from.
    pub fn repository(&self, reference: &Reference) -> Repository {
        let scope = Scope { repository: reference.repository().to_owned(), push: false, mounts: Vec::new() };
        self.open(reference, scope)
    }

    /// The repository of a reference, to read from and write to; blobs may be mounted from these others.
    pub fn repository_for_push(&self, reference: &Reference, mounts: Vec<String>) -> Repository {
        let scope = Scope { repository: reference.repository().to_owned(), push: true, mounts };
        Repository { readers: Vec::new(), ..self.open(reference, scope) }
    }

    fn open(&self, reference: &Reference, scope: Scope) -> Repository {
        let origin = Endpoint::of_registry(reference.registry());
        let mirrors = self.options().mirrors.get(reference.registry()).into_iter().flatten();
        let readers = mirrors.map(|mirror| Endpoint::of_mirror(mirror)).chain([origin.clone()]).collect();
        Repository { registry: self.clone(), scope, readers, origin }
    }
}

#[cfg(test)]
mod tests;
