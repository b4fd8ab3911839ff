use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Annotations, DiffId, Extra, Platform, is_default, null_default};

/// The config of an image (image-spec, config.md; Docker image specification 1.2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `amd64`, `arm64`, …
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    /// `v7` of `arm/v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `linux`.
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    /// Windows' build number.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that are needed.
    #[serde(rename = "os.features", default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// How a container of it starts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub config: ContainerConfig,
    /// The layers as uncompressed tars.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How each layer came to be, with steps that made none.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// What else was there (Docker's `container_config`, `docker_version`, …).
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImageConfig {
    /// The config of an empty image for this platform.
    pub fn new(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            os_features: platform.os_features.clone(),
            ..Self::default()
        }
    }

    /// What the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            ..Platform::new(&self.os, &self.architecture, self.variant.as_deref())
        }
    }
}

/// How a container starts: the `config` member of [`ImageConfig`], with Docker's additions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user`, `uid`, `user:group`, `uid:gid`; empty for root.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `8000/tcp`, …
    #[serde(default, with = "keys_of_empty_objects", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in order.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The command, before `cmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments of the entry point, or the command where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Windows: `cmd` is one string that is escaped already. Deprecated, kept.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    /// Docker: how to tell whether the container is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Directories that outlive a container.
    #[serde(default, with = "keys_of_empty_objects", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the command starts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Text about the image.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Annotations::is_empty")]
    pub labels: Annotations,
    /// The signal that asks the command to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker: seconds between that signal and SIGKILL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Docker: instructions to run when this is built upon.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Docker: the shell of the shell forms.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ContainerConfig {
    /// The value of an environment variable; of several, the last counts.
    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value))
    }

    /// Sets an environment variable in its (last) place, or at the end where it is new.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        match self.env.iter_mut().rev().find(|old| old.split_once('=').is_some_and(|(n, _)| n == name)) {
            Some(old) => *old = pair,
            None => self.env.push(pair),
        }
    }

    /// What runs when nothing is given: the entry point and its default arguments.
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).flatten().cloned().collect()
    }
}

/// Docker's HEALTHCHECK. Durations are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// Until a check has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// In which failures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Between two checks in the start period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The layers of an image as the config lists them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "null_default")]
    pub diff_ids: Vec<DiffId>,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new(), extra: Extra::new() }
    }
}

/// One step of how an image came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub empty_layer: bool,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl History {
    /// A step that made a layer.
    pub fn layer(created_by: impl Into<String>) -> Self {
        Self { created_by: Some(created_by.into()), ..Self::default() }
    }

    /// A step that changed the config alone.
    pub fn config(created_by: impl Into<String>) -> Self {
        Self { empty_layer: true, ..Self::layer(created_by) }
    }
}

/// Go's `map[string]struct{}`: a set written as `{"key": {}}`.
mod keys_of_empty_objects {
    use super::{BTreeMap, BTreeSet};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(keys: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(keys.iter().map(|key| (key, BTreeMap::<(), ()>::new())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, serde::de::IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Document;

    /// What `docker build` writes, with every member that tools are known to lose.
    const DOCKER: &str = r#"{"architecture":"arm64","variant":"v8","os":"linux","config":{"User":"app","ExposedPorts":{"80/tcp":{}},
        "Env":["PATH=/bin","A=1","A=2"],"Entrypoint":null,"Cmd":["sh","-c","x"],"ArgsEscaped":true,
        "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Retries":3,"Later":1},"Volumes":{"/data":{}},
        "WorkingDir":"/app","Labels":null,"StopSignal":"SIGINT","OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"Hostname":"h"},
        "container_config":{"Cmd":null},"docker_version":"20.10","moby.buildkit.buildinfo.v1":"e30=",
        "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
        "history":[{"created":"2020-01-01T00:00:00Z","created_by":"COPY","comment":"buildkit.dockerfile.v0"},{"empty_layer":true}]}"#;

    #[test]
    fn nothing_is_lost_on_the_way_through() {
        let read = Document::<ImageConfig>::parse(DOCKER.as_bytes()).unwrap();
        assert_eq!(read.bytes()[..], *DOCKER.as_bytes());
        assert_eq!(read.platform().to_string(), "linux/arm64");
        let mut before: serde_json::Value = serde_json::from_str(DOCKER).unwrap();
        let mut after: serde_json::Value = serde_json::from_slice(Document::new(read.into_value()).bytes()).unwrap();
        // An empty list may be written as no list.
        for json in [&mut before, &mut after] {
            let config = json["config"].as_object_mut().unwrap();
            config.retain(|_, value| !value.is_null());
            json.sort_all_objects();
        }
        assert_eq!(before, after);
    }

    #[test]
    fn the_last_variable_counts() {
        let mut config = Document::<ImageConfig>::parse(DOCKER.as_bytes()).unwrap().into_value().config;
        assert_eq!(config.env_value("A"), Some("2"));
        config.set_env("PATH", "/usr/bin");
        config.set_env("B", "3=4");
        config.set_env("A", "5");
        assert_eq!(config.env, ["PATH=/usr/bin", "A=1", "A=5", "B=3=4"]);
        assert_eq!(config.command(), ["sh", "-c", "x"]);
    }
}
