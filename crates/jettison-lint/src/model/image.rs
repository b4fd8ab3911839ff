//! What the name of a base image tells: its distribution, its libc, its Python.
//!
//! It is read off the repository and the tag, so it holds for images that follow the usual words and is "unknown" for others.

use jettison_oci::reference::Reference;

/// What is known of a base image by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Its name.
    pub reference: Reference,
    /// Its distribution.
    pub system: System,
    /// Its Python, if it is made for Python.
    pub python: Option<Python>,
}

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum System {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Alpine: musl, and `apk`.
    Alpine,
    /// Fedora, Red Hat's and what is made from it: `dnf`, `microdnf`, `yum`.
    RedHat,
    /// SUSE: `zypper`.
    Suse,
    /// Distroless: Debian without a shell or a package manager.
    Distroless,
    /// Wolfi and Chainguard's images: glibc, and `apk`.
    Wolfi,
    /// Windows.
    Windows,
    /// Nothing at all: `scratch`.
    Scratch,
    /// Not to be seen from the name.
    Unknown,
}

impl System {
    /// Whether packages are `.deb`.
    pub fn has_apt(self) -> bool {
        matches!(self, Self::Debian | Self::Ubuntu)
    }

    /// Whether its C library is musl.
    pub fn is_musl(self) -> bool {
        self == Self::Alpine
    }
}

/// The Python of a base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Major and minor version, as far as the tag says them.
    pub version: Option<(u32, Option<u32>)>,
    /// How much stands around it.
    pub flavour: Flavour,
    /// Whether it is the official image, `python`, under whatever registry: interpreter in `/usr/local`, pip in it.
    pub official: bool,
}

/// How much stands around an interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Compilers, headers, the whole `buildpack-deps`: 1 GB.
    Full,
    /// What it needs to run: 130 MB.
    Slim,
    /// On Alpine: 50 MB.
    Alpine,
    /// Without a shell.
    Distroless,
}

impl BaseImage {
    /// What the name tells.
    pub fn new(reference: Reference) -> Self {
        let name = reference.name();
        let repository = reference.repository();
        let last = repository.rsplit('/').next().unwrap_or(repository);
        let tag = reference.tag_or_default().unwrap_or_default().to_ascii_lowercase();
        let (system, python) = (system(&name, repository, last, &tag), python(&name, repository, last, &tag));
        Self { reference, system, python }
    }

    /// Whether it is the official image of Python with compilers and headers.
    pub fn is_full_python(&self) -> bool {
        self.python.as_ref().is_some_and(|python| python.official && python.flavour == Flavour::Full)
    }
}

const DEBIAN_SUITES: [&str; 10] =
    ["buster", "bullseye", "bookworm", "trixie", "forky", "sid", "stretch", "stable", "oldstable", "testing"];
const UBUNTU_SUITES: [&str; 7] = ["trusty", "xenial", "bionic", "focal", "jammy", "noble", "ubuntu"];
const RED_HAT: [&str; 13] = [
    "fedora",
    "centos",
    "rockylinux",
    "almalinux",
    "oraclelinux",
    "amazonlinux",
    "redhat",
    "ubi",
    "rhel",
    "ubi8",
    "ubi9",
    "ubi10",
    "stream",
];
/// Official images that stand on Debian when their tag names nothing else.
const ON_DEBIAN: [&str; 16] = [
    "python",
    "debian",
    "buildpack-deps",
    "node",
    "golang",
    "ruby",
    "rust",
    "php",
    "gcc",
    "openjdk",
    "postgres",
    "nginx",
    "redis",
    "pypy",
    "perl",
    "httpd",
];

fn system(name: &str, repository: &str, last: &str, tag: &str) -> System {
    let words = || tag.split(['-', '.', '_']).map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    let tagged = |list: &[&str]| words().any(|word| list.contains(&word));
    if name.starts_with("cgr.dev/") || repository.contains("chainguard/") || last == "wolfi-base" {
        System::Wolfi
    } else if repository.contains("distroless/") {
        System::Distroless
    } else if last == "alpine" || words().any(|word| word == "alpine") || last.ends_with("-alpine") {
        System::Alpine
    } else if tagged(&["windowsservercore", "nanoserver", "windows"]) || repository.contains("windows/") {
        System::Windows
    } else if last == "ubuntu" || tagged(&UBUNTU_SUITES) || last.starts_with("ubuntu") {
        System::Ubuntu
    } else if tagged(&DEBIAN_SUITES) || last == "debian" || last == "minideb" || last.starts_with("debian") {
        System::Debian
    } else if repository.split(['/', '-']).any(|part| RED_HAT.contains(&part)) || tagged(&RED_HAT) {
        System::RedHat
    } else if repository.contains("opensuse")
        || repository.contains("suse/")
        || tagged(&["opensuse", "leap", "tumbleweed"])
    {
        System::Suse
    } else if is_official(name, repository, last) && ON_DEBIAN.contains(&last)
        || tagged(&["slim"])
        || last.contains("miniconda")
        || last == "micromamba"
        || repository.contains("devcontainers/python")
        || repository.starts_with("tiangolo/")
        || repository == "bitnami/python"
    {
        System::Debian
    } else {
        System::Unknown
    }
}

fn python(name: &str, repository: &str, last: &str, tag: &str) -> Option<Python> {
    let official = last == "python" && is_official(name, repository, last);
    let named = tag.split(['-', '_']).find_map(|word| word.strip_prefix("python"));
    let made_for = official
        || last.contains("python")
        || last == "pypy"
        || named.is_some()
        || repository.contains("distroless/python")
        || last.contains("conda")
        || last == "micromamba";
    if !made_for {
        return None;
    }
    let version = named.filter(|text| !text.is_empty()).unwrap_or(if official || last == "python" { tag } else { "" });
    let flavour = if tag.split('-').any(|word| word.starts_with("alpine")) {
        Flavour::Alpine
    } else if repository.contains("distroless/") {
        Flavour::Distroless
    } else if !official || tag.split('-').any(|word| word == "slim") {
        Flavour::Slim
    } else {
        Flavour::Full
    };
    Some(Python { version: minor(version), flavour, official })
}

/// Whether it is an official image, perhaps from a copy of them.
fn is_official(name: &str, repository: &str, last: &str) -> bool {
    name.starts_with("docker.io/library/")
        || repository == last
        || repository
            .split('/')
            .rev()
            .nth(1)
            .is_some_and(|parent| matches!(parent, "library" | "docker-hub" | "dockerhub"))
}

/// `3.12` of `3.12.4-slim`.
fn minor(text: &str) -> Option<(u32, Option<u32>)> {
    let text = text.split('-').next().unwrap_or(text);
    let mut parts = text.split('.');
    let number = |part: &str| {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        part[..digits].parse().ok()
    };
    let major = parts.next().and_then(number)?;
    Some((major, parts.next().and_then(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_image_tells_its_system_and_its_python() {
        let mut told = String::new();
        for name in [
            "python",
            "python:3.12-slim-bookworm",
            "python:3.13.1-alpine3.20",
            "mirror.example/library/python:3.11-slim",
            "public.ecr.aws/docker/library/python:3.12",
            "ghcr.io/astral-sh/uv:python3.12-bookworm-slim",
            "gcr.io/distroless/python3-debian12:nonroot",
            "tiangolo/uvicorn-gunicorn-fastapi:python3.11",
            "debian:bookworm-slim",
            "ubuntu:24.04",
            "nvidia/cuda:12.4.0-runtime-ubuntu22.04",
            "registry.access.redhat.com/ubi9/python-312",
            "continuumio/miniconda3",
            "cgr.dev/chainguard/python:latest",
            "node:20-alpine",
            "example.com/team/app:1",
        ] {
            let image = BaseImage::new(Reference::parse(name).unwrap());
            let python = image.python.map(|python| (python.version, python.flavour, python.official));
            told += &format!("{name}: {:?} {python:?}\n", image.system);
        }
        insta::assert_snapshot!(told, @r#"
        python: Debian Some((None, Full, true))
        python:3.12-slim-bookworm: Debian Some((Some((3, Some(12))), Slim, true))
        python:3.13.1-alpine3.20: Alpine Some((Some((3, Some(13))), Alpine, true))
        mirror.example/library/python:3.11-slim: Debian Some((Some((3, Some(11))), Slim, true))
        public.ecr.aws/docker/library/python:3.12: Debian Some((Some((3, Some(12))), Full, true))
        ghcr.io/astral-sh/uv:python3.12-bookworm-slim: Debian Some((Some((3, Some(12))), Slim, false))
        gcr.io/distroless/python3-debian12:nonroot: Distroless Some((None, Distroless, false))
        tiangolo/uvicorn-gunicorn-fastapi:python3.11: Debian Some((Some((3, Some(11))), Slim, false))
        debian:bookworm-slim: Debian None
        ubuntu:24.04: Ubuntu None
        nvidia/cuda:12.4.0-runtime-ubuntu22.04: Ubuntu None
        registry.access.redhat.com/ubi9/python-312: RedHat Some((None, Slim, false))
        continuumio/miniconda3: Debian Some((None, Slim, false))
        cgr.dev/chainguard/python:latest: Wolfi Some((None, Slim, false))
        node:20-alpine: Alpine None
        example.com/team/app:1: Unknown None
        "#);
    }
}
