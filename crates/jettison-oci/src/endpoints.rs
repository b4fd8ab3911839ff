//! What the name of a registry means: the one that has several, and those that are on this machine.

use std::net::IpAddr;

use jettison_endpoints::{DEFAULT_REGISTRY, DEFAULT_REGISTRY_ALIASES, DEFAULT_REGISTRY_API};

/// The tag of a reference that names neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

/// The name under which references speak of a registry.
pub fn canonical(registry: &str) -> &str {
    if DEFAULT_REGISTRY_ALIASES.contains(&registry) { DEFAULT_REGISTRY } else { registry }
}

/// The registry of references that name none.
pub fn default_registry() -> &'static str {
    DEFAULT_REGISTRY
}

/// The host, with its port, whose API serves a registry.
pub fn api_host(registry: &str) -> &str {
    if canonical(registry) == DEFAULT_REGISTRY { DEFAULT_REGISTRY_API } else { registry }
}

/// Whether a `host[:port]` is this machine, where plain HTTP is usual and harmless.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised() {
        for (host, loopback) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("10.0.0.1:5000", false),
            ("ghcr.io", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }

    #[test]
    fn docker_hub_has_one_name_and_one_address() {
        for name in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            assert_eq!((canonical(name), api_host(name)), ("docker.io", "registry-1.docker.io"));
        }
        assert_eq!(api_host("ghcr.io"), "ghcr.io");
    }
}
