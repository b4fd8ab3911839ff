//! The mirrors that a machine is set up for, as Docker and the container tools of Podman write them down.
//!
//! These files are made for other programs: what makes no sense in them, or is not about mirrors, is passed over.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::endpoints;

/// Mirrors and what goes with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// By registry, the best first, as [`RegistryOptions`](super::RegistryOptions) has them.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts whose certificates are not to be checked, and which may have none.
    pub insecure: Vec<String>,
}

impl Configured {
    /// What Docker's `daemon.json` says (dockerd, "Daemon configuration file"): mirrors are for one registry alone there.
    pub fn of_docker(text: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        struct Daemon {
            registry_mirrors: Vec<String>,
            insecure_registries: Vec<String>,
        }
        let daemon: Daemon = serde_json::from_str(text).unwrap_or_default();
        let mut found = Self { insecure: daemon.insecure_registries, ..Self::default() };
        // Networks, `10.0.0.0/8`, are no hosts.
        found.insecure.retain(|host| !host.contains('/'));
        if !daemon.registry_mirrors.is_empty() {
            found.mirrors.insert(endpoints::default_registry().to_owned(), daemon.registry_mirrors);
        }
        found
    }

    /// What a `registries.conf` says (containers-registries.conf(5), version 2). Rules for a part of a registry, and mirrors for
    /// digests alone, are passed over: without them everything is found as well, in the registry itself.
    pub fn of_containers(text: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            registry: Vec<Rule>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Rule {
            prefix: Option<String>,
            location: Option<String>,
            insecure: bool,
            mirror: Vec<Mirror>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Mirror {
            location: String,
            #[serde(default)]
            insecure: bool,
            #[serde(default)]
            pull_from_mirror: Option<String>,
        }
        let file: File = toml::from_str(text).unwrap_or_default();
        let mut found = Self::default();
        let host = |location: &str| location.split('/').next().unwrap_or_default().to_owned();
        for rule in file.registry {
            let Some(name) = rule.prefix.as_ref().or(rule.location.as_ref()) else { continue };
            if name.contains(['/', '*']) || name.is_empty() {
                continue;
            }
            let name = endpoints::canonical(name);
            let mut places = Vec::new();
            for mirror in rule.mirror {
                if mirror.location.is_empty() || mirror.pull_from_mirror.as_deref() == Some("digest-only") {
                    continue;
                }
                if mirror.insecure {
                    found.insecure.push(host(&mirror.location));
                }
                places.push(mirror.location);
            }
            // The registry itself is somewhere else.
            if let Some(location) = rule.location.clone().filter(|location| endpoints::canonical(location) != name) {
                places.push(location);
            }
            if rule.insecure {
                found.insecure.push(places.last().map_or_else(|| name.to_owned(), |place| host(place)));
            }
            if !places.is_empty() {
                found.mirrors.entry(name.to_owned()).or_default().extend(places);
            }
        }
        found
    }

    /// Adds what another file says, behind what there is.
    pub fn extend(&mut self, other: Self) {
        for (registry, mirrors) in other.mirrors {
            self.mirrors.entry(registry).or_default().extend(mirrors);
        }
        self.insecure.extend(other.insecure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        pairs.iter().map(|(name, places)| ((*name).to_owned(), owned(places))).collect()
    }

    #[test]
    fn dockers_mirrors_are_for_docker_hub() {
        let text = r#"{"registry-mirrors": ["https://mirror.example/", "http://10.0.0.1:5000"], "debug": true,
            "insecure-registries": ["10.0.0.0/8", "10.0.0.1:5000"]}"#;
        let found = Configured::of_docker(text);
        assert_eq!(found.mirrors, mirrors(&[("docker.io", &["https://mirror.example/", "http://10.0.0.1:5000"])]));
        assert_eq!(found.insecure, ["10.0.0.1:5000"]);
        for text in ["", "{}", "[]", "{\"registry-mirrors\": 3}"] {
            assert_eq!(Configured::of_docker(text), Configured::default(), "{text}");
        }
    }

    #[test]
    fn containers_mirrors_are_for_any_registry() {
        let text = r#"
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            prefix = "index.docker.io"
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.example:5000/hub"
            insecure = true
            [[registry.mirror]]
            location = "digests.example"
            pull-from-mirror = "digest-only"
            [[registry]]
            location = "quay.io"
            [[registry.mirror]]
            location = "a.example"
            [[registry.mirror]]
            location = "b.example"
            pull-from-mirror = "all"
            [[registry]]
            prefix = "ghcr.io"
            location = "internal.example/ghcr"
            insecure = true
            [[registry]]
            prefix = "docker.io/library"
            location = "other.example/library"
            [[registry]]
            prefix = "*.example.com"
            location = "other.example"
            [[registry]]
            location = "plain.example"
            insecure = true
        "#;
        let found = Configured::of_containers(text);
        let want = mirrors(&[
            ("docker.io", &["mirror.example:5000/hub"]),
            ("ghcr.io", &["internal.example/ghcr"]),
            ("quay.io", &["a.example", "b.example"]),
        ]);
        assert_eq!(found.mirrors, want);
        assert_eq!(found.insecure, ["mirror.example:5000", "internal.example", "plain.example"]);
        for text in ["", "[registries.search]\nregistries = ['docker.io']", "registry = 3", "no toml"] {
            assert_eq!(Configured::of_containers(text), Configured::default(), "{text}");
        }
    }
}
