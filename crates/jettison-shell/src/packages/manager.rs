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
