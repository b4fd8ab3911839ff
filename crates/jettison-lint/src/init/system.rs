//! The base images, and the lines about packages of Debian.

use super::facts::Facts;

/// The Python of the distroless image.
pub(super) const DISTROLESS_PYTHON: (u32, u32) = (3, 13);
/// The image without a shell. Its Python is [`DISTROLESS_PYTHON`], its Debian that of [`SUITE`].
pub(super) const DISTROLESS: &str = "gcr.io/distroless/python3-debian13:nonroot";
/// The release of Debian that the official images are taken on.
const SUITE: &str = "trixie";
/// The user of the image, a number that no machine gives to a person.
pub(super) const USER: u32 = 65532;

/// The slim official image.
pub(super) fn base(facts: &Facts) -> String {
    format!("python:{}.{}-slim-{SUITE}", facts.python.0, facts.python.1)
}

/// `RUN` with the packages that building needs, without versions: Debian keeps no old ones, so that a pinned one ends by breaking the
/// build. The lists and the packages stay in caches of the builder's own.
pub(super) fn build_packages(facts: &Facts) -> String {
    if facts.build_packages.is_empty() {
        return String::new();
    }
    format!(
        "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\\n    --mount=type=cache,target=/var/lib/apt,sharing=locked \\\n    \
         rm -f /etc/apt/apt.conf.d/docker-clean && \\\n    apt-get update && \\\n    apt-get install -y --no-install-recommends {}\n",
        facts.build_packages.join(" ")
    )
}

/// `RUN` with the packages that the image needs.
pub(super) fn runtime_packages(facts: &Facts) -> String {
    if facts.runtime_packages.is_empty() {
        return String::new();
    }
    format!(
        "RUN apt-get update && \\\n    apt-get install -y --no-install-recommends {} && \\\n    rm -rf /var/lib/apt/lists/*\n",
        facts.runtime_packages.join(" ")
    )
}

/// `RUN` that makes the user.
pub(super) fn user() -> String {
    format!("RUN useradd --uid {USER} --user-group --create-home --shell /usr/sbin/nologin app\n")
}
