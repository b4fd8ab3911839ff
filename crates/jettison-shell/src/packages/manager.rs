//! The package managers, and what their verbs mean.

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// `apt-get`
    AptGet,
    /// `apt`
    Apt,
    /// `aptitude`
    Aptitude,
    /// `dpkg -i`
    Dpkg,
    /// `apk`
    Apk,
    /// `dnf`, `dnf5`
    Dnf,
    /// `yum`
    Yum,
    /// `microdnf`
    Microdnf,
    /// `zypper`
    Zypper,
    /// `pacman`
    Pacman,
    /// `pip`, `pip3.12`, `python -m pip`
    Pip,
    /// `pipx`
    Pipx,
    /// `uv pip`
    UvPip,
    /// `uv sync`, `uv add`, `uv tool install`
    Uv,
    /// `poetry`
    Poetry,
    /// `pipenv`
    Pipenv,
    /// `pdm`
    Pdm,
    /// `conda`
    Conda,
    /// `mamba`
    Mamba,
    /// `micromamba`
    Micromamba,
    /// `npm`
    Npm,
    /// `yarn`
    Yarn,
    /// `pnpm`
    Pnpm,
    /// `gem`
    Gem,
    /// `bundle`
    Bundler,
    /// `go`
    Go,
    /// `cargo`
    Cargo,
    /// `composer`
    Composer,
    /// `easy_install`
    EasyInstall,
}

/// What a package manager is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// To install what is named: `install`, `add`, `pip install`.
    Install,
    /// To install what a lock or a project says: `poetry install`, `uv sync`, `npm ci`, `pip-sync`.
    Sync,
    /// To read lists of packages again: `apt-get update`, `apk update`, `dnf makecache`.
    Update,
    /// To install newer versions of what is there: `apt-get upgrade`, `apk upgrade`, `dnf update`.
    Upgrade,
    /// To install what a source package needs to be built: `apt-get build-dep`.
    BuildDep,
    /// To remove what is named: `remove`, `purge`, `apk del`, `pip uninstall`.
    Remove,
    /// To remove what nothing needs: `autoremove`.
    Autoremove,
    /// To remove caches: `clean`, `pip cache purge`.
    Clean,
    /// To fetch and not install: `pip download`.
    Download,
    /// To build wheels or packages: `pip wheel`, `poetry build`.
    Wheel,
    /// To write a lock or a list: `poetry lock`, `pip-compile`, `poetry export`.
    Lock,
    /// To make an environment: `uv venv`, `conda create`.
    Create,
    /// Anything else.
    Other,
}

impl Manager {
    /// The manager that a program's name stands for.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "apt-get" => Self::AptGet,
            "apt" => Self::Apt,
            "aptitude" => Self::Aptitude,
            "dpkg" => Self::Dpkg,
            "apk" => Self::Apk,
            "dnf" | "dnf5" | "dnf-3" => Self::Dnf,
            "yum" => Self::Yum,
            "microdnf" => Self::Microdnf,
            "zypper" => Self::Zypper,
            "pacman" => Self::Pacman,
            "pipx" => Self::Pipx,
            "uv" => Self::Uv,
            "poetry" => Self::Poetry,
            "pipenv" => Self::Pipenv,
            "pdm" => Self::Pdm,
            "conda" => Self::Conda,
            "mamba" => Self::Mamba,
            "micromamba" => Self::Micromamba,
            "npm" => Self::Npm,
            "yarn" | "yarnpkg" => Self::Yarn,
            "pnpm" => Self::Pnpm,
            "gem" => Self::Gem,
            "bundle" | "bundler" => Self::Bundler,
            "go" => Self::Go,
            "cargo" => Self::Cargo,
            "composer" => Self::Composer,
            "easy_install" => Self::EasyInstall,
            name if is_versioned(name, "pip") || is_versioned(name, "pip-") => Self::Pip,
            _ => return None,
        })
    }

    /// Is it one of Debian's: `apt-get`, `apt`, `aptitude`?
    pub fn is_apt(self) -> bool {
        matches!(self, Self::AptGet | Self::Apt | Self::Aptitude)
    }

    /// Is it one of those of RPM distributions?
    pub fn is_rpm(self) -> bool {
        matches!(self, Self::Dnf | Self::Yum | Self::Microdnf | Self::Zypper)
    }

    /// Does it install packages of the distribution?
    pub fn is_system(self) -> bool {
        self.is_apt() || self.is_rpm() || matches!(self, Self::Dpkg | Self::Apk | Self::Pacman)
    }

    /// Does it install Python distributions from an index like PyPI?
    pub fn is_python(self) -> bool {
        use Manager::{EasyInstall, Pdm, Pip, Pipenv, Pipx, Poetry, Uv, UvPip};
        matches!(self, Pip | Pipx | UvPip | Uv | Poetry | Pipenv | Pdm | EasyInstall)
    }

    /// Is it conda or one that reads its packages?
    pub fn is_conda(self) -> bool {
        matches!(self, Self::Conda | Self::Mamba | Self::Micromamba)
    }
}

/// Is `name` the `stem` with or without a version after it: `python`, `python3`, `python3.12`?
pub(super) fn is_versioned(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}
