//! The one place that looks at the environment, the home directory and the machine's configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jettison_build::BuildError;
use jettison_build::archive::is_true;
use jettison_build::machine::Machine;
use jettison_http::{Client, Netrc, Options, ProxySettings};
use jettison_oci::registry::{Configured, CredentialStore};
use jettison_oci::types::rfc3339;

/// Looks at the machine.
pub fn machine() -> Machine {
    // A variable that is not UTF-8 is none of ours.
    let vars: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let home = vars.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let mut machine = Machine { home, vars, ..Machine::default() };
    machine.now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    machine.machine = std::env::consts::ARCH.to_owned();
    machine.threads = std::thread::available_parallelism().map_or(1, usize::from);
    machine.docker_config = machine
        .var("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| machine.home.as_ref().map(|home| home.join(".docker")));
    machine.apt_sources = texts(&apt_files("/etc/apt/sources.list", "/etc/apt/sources.list.d", &["list", "sources"]));
    let configuration = texts(&apt_files("/etc/apt/apt.conf", "/etc/apt/apt.conf.d", &["conf", ""]));
    machine.apt_configuration = configuration.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    machine.debian_mirror = machine.var("JETTISON_DEBIAN_MIRROR").map(str::to_owned);
    machine.debian_security_mirror = machine.var("JETTISON_DEBIAN_SECURITY_MIRROR").map(str::to_owned);
    machine.debian_keyring = machine.var("JETTISON_DEBIAN_KEYRING").map(PathBuf::from);
    machine.debian_check_valid_until = machine.var("JETTISON_DEBIAN_CHECK_VALID_UNTIL").map(is_true);
    machine.pip_configuration = texts(&pip_files(&machine));
    machine
}

/// The time now as RFC 3339 in UTC, with a fraction.
pub fn timestamp() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = rfc3339(now.as_secs());
    format!("{}.{:09}Z", seconds.trim_end_matches('Z'), now.subsec_nanos())
}

/// Whether the user wants no colours (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The directories that programs are looked for in: `PATH`.
pub fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// Where the store is: as the flag says, `JETTISON_STORE`, or in the user's data directory.
pub fn store(flag: Option<&Path>, machine: &Machine) -> Result<PathBuf, BuildError> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = machine.var("JETTISON_STORE") {
        return Ok(path.into());
    }
    let data = machine.var("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| machine.home.as_ref().map(|home| home.join(".local/share")));
    data.map(|data| data.join("jettison")).ok_or_else(|| {
        BuildError::new("there is no place for the store: neither HOME nor XDG_DATA_HOME is set")
            .hint("give --store DIR")
    })
}

/// The way to the network, as the environment describes it.
pub fn http(
    machine: &Machine,
    offline: bool,
    insecure: &[String],
    certificates: &[PathBuf],
) -> Result<Client, BuildError> {
    let either = |name: &str| machine.var(&name.to_lowercase()).or_else(|| machine.var(name)).map(str::to_owned);
    let netrc =
        machine.var("NETRC").map(PathBuf::from).or_else(|| machine.home.as_ref().map(|home| home.join(".netrc")));
    let netrc = match netrc {
        Some(path) => Netrc::read(&path).map_err(|error| BuildError::new(error.to_string()))?,
        None => Netrc::default(),
    };
    let proxy = ProxySettings {
        // In capitals it could come from the header of a CGI request: everybody reads it in small letters only.
        http: machine.var("http_proxy").map(str::to_owned),
        https: either("HTTPS_PROXY"),
        all: either("ALL_PROXY"),
        no_proxy: either("NO_PROXY"),
    };
    let mut ca_files: Vec<PathBuf> = certificates.to_vec();
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        ca_files.extend(machine.var(name).map(PathBuf::from).filter(|path| path.is_file() && !ca_files.contains(path)));
    }
    let options = Options { proxy, ca_files, offline, insecure_hosts: insecure.to_vec(), netrc, ..Options::default() };
    Ok(Client::new(options)?)
}

/// The logins of docker and podman: the file that a variable names, then docker's, then podman's of this login and of this
/// user (containers-auth.json(5)).
pub fn credentials(machine: &Machine) -> CredentialStore {
    let mut files: Vec<PathBuf> = machine.var("REGISTRY_AUTH_FILE").map(PathBuf::from).into_iter().collect();
    files.extend(machine.docker_config.as_ref().map(|directory| directory.join("config.json")));
    files.extend(machine.var("XDG_RUNTIME_DIR").map(|directory| Path::new(directory).join("containers/auth.json")));
    files.extend(config_home(machine).map(|directory| directory.join("containers/auth.json")));
    CredentialStore::new(files, machine.var("PATH").unwrap_or_default())
}

/// The proxies that docker is set up to give to builds, as build arguments (docker CLI, "Configure the Docker CLI to use a proxy
/// server"): those of the daemon that it would talk to, or the default. A file that cannot be read has none.
pub fn build_proxies(machine: &Machine) -> Vec<(String, String)> {
    const DAEMON: &str = "unix:///var/run/docker.sock";
    let file = machine.docker_config.as_ref().map(|directory| directory.join("config.json"));
    let config = file.and_then(|file| fs::read(file).ok()).and_then(|text| serde_json::from_slice(&text).ok());
    let config: serde_json::Value = config.unwrap_or_default();
    let of = |host: &str| config.get("proxies")?.get(host);
    let Some(proxies) = of(machine.var("DOCKER_HOST").unwrap_or(DAEMON)).or_else(|| of("default")) else {
        return Vec::new();
    };
    let names = ["http", "https", "ftp", "no", "all"];
    let of_name = |name: &str| {
        let value = proxies.get(format!("{name}Proxy"))?.as_str().filter(|value| !value.is_empty())?;
        Some((format!("{}_PROXY", name.to_ascii_uppercase()), value.to_owned()))
    };
    names.into_iter().filter_map(of_name).collect()
}

/// The mirrors that docker and podman are set up for: dockerd's file, that of a rootless one, and podman's, where the user's own
/// goes before the machine's (containers-registries.conf(5)).
pub fn registries(machine: &Machine) -> Configured {
    let mut found = Configured::default();
    let read = |path: &Path| fs::read_to_string(path).ok();
    let config = config_home(machine);
    let user = |name: &str| config.as_ref().and_then(|config| read(&config.join(name)));
    let daemons = [user("docker/daemon.json"), read(Path::new("/etc/docker/daemon.json"))];
    daemons.into_iter().flatten().for_each(|text| found.extend(Configured::of_docker(&text)));
    let containers = user("containers/registries.conf").or_else(|| read(Path::new("/etc/containers/registries.conf")));
    let mut more: Vec<PathBuf> = fs::read_dir("/etc/containers/registries.conf.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
        .collect();
    more.sort();
    let more = more.iter().filter_map(|path| read(path));
    containers.into_iter().chain(more).for_each(|text| found.extend(Configured::of_containers(&text)));
    found
}

fn config_home(machine: &Machine) -> Option<PathBuf> {
    let given = machine.var("XDG_CONFIG_HOME").map(PathBuf::from);
    given.or_else(|| machine.home.as_ref().map(|home| home.join(".config")))
}

fn apt_files(file: &str, directory: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| endings.contains(&path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()))
        .collect();
    files.sort();
    files.insert(0, file.into());
    files
}

/// pip's files, the strongest last (pip documentation, "Configuration Files").
fn pip_files(machine: &Machine) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/pip.conf")];
    if let Some(home) = &machine.home {
        files.push(home.join(".pip/pip.conf"));
    }
    files.extend(config_home(machine).map(|config| config.join("pip/pip.conf")));
    files.extend(machine.var("PIP_CONFIG_FILE").map(PathBuf::from));
    files
}

fn texts(files: &[PathBuf]) -> Vec<(PathBuf, String)> {
    files.iter().filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?))).collect()
}
