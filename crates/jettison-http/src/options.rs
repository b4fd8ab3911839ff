use std::path::PathBuf;
use std::time::Duration;

use crate::{Netrc, ProxySettings};

/// How to reach the network.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `User-Agent`.
    pub user_agent: String,
    /// Which proxy to use for what.
    pub proxy: ProxySettings,
    /// PEM files with certificates to trust besides the platform's.
    pub ca_files: Vec<PathBuf>,
    /// Makes every request but one for a `file://` URL an error.
    pub offline: bool,
    /// `host` or `host:port` whose certificate is not checked.
    pub insecure_hosts: Vec<String>,
    /// Credentials by host.
    pub netrc: Netrc,
    /// How often a request is repeated.
    pub retries: u32,
    /// The pause before the first repetition; it doubles from one to the next. There is no randomness in it.
    pub backoff: Duration,
    /// A server that asks (`Retry-After`) for more patience than this is given up at once.
    pub max_retry_after: Duration,
    /// Patience with one attempt to connect.
    pub connect_timeout: Duration,
    /// Patience with a connection on which nothing moves.
    pub idle_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("jettison/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: ProxySettings::default(),
            ca_files: Vec::new(),
            offline: false,
            insecure_hosts: Vec::new(),
            netrc: Netrc::default(),
            retries: 4,
            backoff: Duration::from_millis(250),
            max_retry_after: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(120),
        }
    }
}

impl Options {
    /// Whether the certificate of this host is not checked.
    pub(crate) fn is_insecure(&self, url: &url::Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let port = url.port_or_known_default();
        self.insecure_hosts.iter().any(|entry| {
            entry.eq_ignore_ascii_case(host)
                || entry
                    .rsplit_once(':')
                    .is_some_and(|(name, p)| name.eq_ignore_ascii_case(host) && p.parse().ok() == port)
        })
    }
}
