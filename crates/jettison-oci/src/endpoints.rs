//! The names of registries, all in one place: what an image without a registry means, and where registries are reached.

use std::net::IpAddr;

/// The registry of a reference that names none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of a reference that names neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";
/// Docker Hub's repositories without a namespace are in this one.
pub const DOCKER_HUB_LIBRARY: &str = "library";
/// Where Docker Hub's API is.
pub const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// What `docker login` calls Docker Hub in config.json.
pub const DOCKER_HUB_LOGIN: &str = "https://index.docker.io/v1/";
/// Other names that Docker Hub has had.
const DOCKER_HUB_ALIASES: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// The name under which references speak of a registry.
pub fn canonical(registry: &str) -> &str {
    if DOCKER_HUB_ALIASES.contains(&registry) { DEFAULT_REGISTRY } else { registry }
}

/// The host, with its port, whose API serves a registry.
pub fn api_host(registry: &str) -> &str {
    if canonical(registry) == DEFAULT_REGISTRY { DOCKER_HUB_API } else { registry }
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
