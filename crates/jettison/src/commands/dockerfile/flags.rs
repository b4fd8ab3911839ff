//! The flags that builds of Dockerfiles have besides those of every build, as `docker buildx build` has them, and their values.

use clap::{Args, ValueEnum};
use jettison_build::BuildError;
use jettison_engine::sandbox::{Limit, Resource};

/// Flags for Dockerfiles.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile")]
pub struct DockerfileArgs {
    /// The Dockerfile; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// The stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Value of an ARG; a name alone takes the environment's
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// More contexts: NAME=PATH, docker-image://IMAGE, oci-layout://PATH, target:STAGE or URL
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub build_context: Vec<String>,
    /// Secret for RUN --mount=type=secret: id=ID[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// SSH agent for RUN --mount=type=ssh: default or ID[=SOCKET]
    #[arg(long, value_name = "AGENT")]
    pub ssh: Vec<String>,
    /// Annotation of the manifest
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::super::build::pair)]
    pub annotation: Vec<(String, String)>,
    /// Run every step again
    #[arg(long)]
    pub no_cache: bool,
    /// Run the steps of these stages again
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    pub no_cache_filter: Vec<String>,
    /// Ask registries what names of images stand for now
    #[arg(long)]
    pub pull: bool,
    /// Network of RUN: default, none or host
    #[arg(long, value_name = "NETWORK", default_value = "default", hide_default_value = true)]
    pub network: NetworkName,
    /// Allow what steps ask for: network.host, security.insecure
    #[arg(long, value_delimiter = ',', value_name = "RIGHT")]
    pub allow: Vec<Right>,
    /// Name that RUN finds at an address: NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = host)]
    pub add_host: Vec<(String, String)>,
    /// Size of /dev/shm in RUN, such as 128m
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub shm_size: Option<u64>,
    /// Limit in RUN, such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = limit)]
    pub ulimit: Vec<Limit>,
    /// Attest how it was built; only false is understood
    #[arg(long, value_name = "WHAT", hide = true)]
    pub provenance: Vec<String>,
    /// Attest what is in it; only false is understood
    #[arg(long, value_name = "WHAT", hide = true)]
    pub sbom: Vec<String>,
    /// Attestations; only those that are disabled are understood
    #[arg(long, value_name = "WHAT", hide = true)]
    pub attest: Vec<String>,
    /// Results of another machine: type=local,src=DIR
    #[arg(long, value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// Keep results for another machine: type=local,dest=DIR[,mode=min|max]
    #[arg(long, value_name = "CACHE")]
    pub cache_to: Vec<String>,
    /// Say of each step why it ran, and what would have kept it
    #[arg(long)]
    pub explain_cache: bool,
    /// Tell of the file instead of building it: outline or targets, check, or either with ,format=json
    #[arg(long, visible_alias = "print", value_name = "WHAT", num_args = 0..=1, default_missing_value = "outline", require_equals = true)]
    pub call: Option<String>,
    /// Look for mistakes instead of building
    #[arg(long, conflicts_with = "call")]
    pub check: bool,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkName {
    // The machine's.
    Default,
    // Loopback alone.
    None,
    // The machine's.
    Host,
}

/// `--allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Right {
    #[value(name = "network.host")]
    NetworkHost,
    #[value(name = "security.insecure")]
    SecurityInsecure,
}

impl DockerfileArgs {
    /// A flag that was given and means nothing without a Dockerfile.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--target", self.target.is_some()),
            ("--build-arg", !self.build_arg.is_empty()),
            ("--build-context", !self.build_context.is_empty()),
            ("--secret", !self.secret.is_empty()),
            ("--ssh", !self.ssh.is_empty()),
            ("--annotation", !self.annotation.is_empty()),
            ("--no-cache-filter", !self.no_cache_filter.is_empty()),
            ("--no-cache", self.no_cache),
            ("--pull", self.pull),
            ("--network", self.network != NetworkName::Default),
            ("--allow", !self.allow.is_empty()),
            ("--add-host", !self.add_host.is_empty()),
            ("--shm-size", self.shm_size.is_some()),
            ("--ulimit", !self.ulimit.is_empty()),
            ("--cache-from", !self.cache_from.is_empty()),
            ("--cache-to", !self.cache_to.is_empty()),
            ("--explain-cache", self.explain_cache),
            ("--call", self.call.is_some()),
            ("--check", self.check),
        ];
        given.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name)
    }
}

impl DockerfileArgs {
    /// Refuses attestations, which nobody would then find. Scripts that switch buildx's off are fine.
    pub fn no_attestations(&self) -> Result<(), BuildError> {
        let is_off = |text: &String| {
            let mut fields = text.split(',');
            fields.any(|field| matches!(field, "false" | "0" | "disabled=true" | "disabled=1"))
        };
        let given = [("--provenance", &self.provenance), ("--sbom", &self.sbom), ("--attest", &self.attest)];
        let wanted = given.iter().find_map(|(flag, values)| Some((flag, values.iter().find(|text| !is_off(text))?)));
        let Some((flag, value)) = wanted else { return Ok(()) };
        Err(BuildError::new(format!("{flag} {value}: attestations are not made"))
            .hint("leave it out; --metadata-file writes what the image is made of, by layer and by package, beside it"))
    }
}

fn host(text: &str) -> Result<(String, String), String> {
    let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or("expected NAME:ADDRESS")?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    // The network of a step is the machine's.
    let address = if address == "host-gateway" { "127.0.0.1" } else { address };
    match address.parse::<std::net::IpAddr>() {
        Ok(_) if !name.is_empty() => Ok((name.to_owned(), address.to_owned())),
        _ => Err(format!("`{address}` is no address")),
    }
}

/// Bytes, with `b`, `k`, `m` or `g` behind the number.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['b', 'i']);
    let (digits, unit) = match digits.strip_suffix(['k', 'm', 'g', 't']) {
        Some(number) => (number, digits.chars().last()),
        None => (digits, None),
    };
    let shift = match unit {
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("`{text}` is no size, such as 64m or 1g"))
}

/// setrlimit(2)'s resources under docker's names.
fn limit(text: &str) -> Result<Limit, String> {
    const HINT: &str = "expected NAME=SOFT[:HARD], such as nofile=1024:4096";
    let (name, values) = text.split_once('=').ok_or(HINT)?;
    let resource = match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return Err(format!("`{name}` is no limit")),
    };
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| HINT.to_owned()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    Ok(Limit { resource, soft: value(soft)?, hard: value(hard)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_limits_and_hosts_are_dockers() {
        for (text, bytes) in [("1", 1), ("64m", 64 << 20), ("1G", 1 << 30), ("2kb", 2048), ("3MiB", 3 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("x").is_err() && size("1x").is_err() && size("").is_err());
        let parsed = limit("nofile=1024:-1").unwrap();
        assert_eq!((parsed.resource, parsed.soft, parsed.hard), (Resource::Nofile, Some(1024), None));
        assert_eq!(limit("core=0").unwrap().hard, Some(0));
        assert!(limit("nofile").is_err() && limit("files=1").is_err() && limit("cpu=x").is_err());
        let text = |name: &str, address: &str| Ok((name.to_owned(), address.to_owned()));
        assert_eq!(host("db:10.0.0.1"), text("db", "10.0.0.1"));
        assert_eq!(host("db=[::1]"), text("db", "::1"));
        assert_eq!(host("db:host-gateway"), text("db", "127.0.0.1"));
        assert!(host("db").is_err() && host("db:x").is_err());
    }
}
