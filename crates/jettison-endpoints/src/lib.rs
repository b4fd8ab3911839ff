//! The public services that are used where nobody names another: Debian's archive, the Python package index, a container
//! registry. The only place where they stand. The machine's own configuration of apt, pip, uv and docker comes first.

/// Debian's archive, through its content delivery network.
pub const DEBIAN: &str = "http://deb.debian.org/debian";
/// Debian's security updates.
pub const DEBIAN_SECURITY: &str = "http://deb.debian.org/debian-security";
/// The Python package index (PEP 503).
pub const PYTHON_INDEX: &str = "https://pypi.org/simple";
/// The registry of an image reference that names none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The namespace of that registry's repositories that have none.
pub const DEFAULT_NAMESPACE: &str = "library";
/// Where that registry's API is.
pub const DEFAULT_REGISTRY_API: &str = "registry-1.docker.io";
/// What `docker login` calls that registry in config.json.
pub const DEFAULT_REGISTRY_LOGIN: &str = "https://index.docker.io/v1/";
/// Other names that it has had.
pub const DEFAULT_REGISTRY_ALIASES: [&str; 3] = ["index.docker.io", DEFAULT_REGISTRY_API, "registry.hub.docker.com"];
