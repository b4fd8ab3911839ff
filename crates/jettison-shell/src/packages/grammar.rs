//! How the command line of each package manager is read: its verbs, its options with values, its operands.

use super::manager::Action::{
    self, Autoremove, BuildDep, Clean, Create, Download, Install, Lock, Other, Remove, Sync, Update, Upgrade, Wheel,
};
use super::manager::Manager;

/// What the words of a verb ask for.
pub(super) type Verb = (&'static [&'static str], Action);

/// How a manager's command line is read.
pub(super) struct Grammar {
    /// Verbs of two words before those of one.
    pub verbs: &'static [Verb],
    /// The options whose value is the next word.
    pub with_value: &'static [&'static [&'static str]],
    /// How operands are written.
    pub notation: Notation,
}

/// How a package and its version are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// `name=version`, `name/suite`
    Debian,
    /// `name=version`, `name~version`, `name@repository`
    Alpine,
    /// `name-version`
    Rpm,
    /// PEP 508
    Python,
    /// `channel::name=version=build`
    Conda,
    /// `name@version`, `@scope/name@version`
    At,
    /// `name:version`
    Colon,
}

const APT: Grammar = Grammar {
    verbs: &[
        (&["install"], Install),
        (&["reinstall"], Install),
        (&["update"], Update),
        (&["upgrade"], Upgrade),
        (&["full-upgrade"], Upgrade),
        (&["safe-upgrade"], Upgrade),
        (&["dist-upgrade"], Upgrade),
        (&["dselect-upgrade"], Upgrade),
        (&["build-dep"], BuildDep),
        (&["satisfy"], Install),
        (&["remove"], Remove),
        (&["purge"], Remove),
        (&["autoremove"], Autoremove),
        (&["auto-remove"], Autoremove),
        (&["autopurge"], Autoremove),
        (&["clean"], Clean),
        (&["autoclean"], Clean),
        (&["auto-clean"], Clean),
        (&["distclean"], Clean),
        (&["download"], Download),
        (&["source"], Download),
    ],
    with_value: &[&[
        "-o",
        "-c",
        "-t",
        "-a",
        "-P",
        "--option",
        "--config-file",
        "--target-release",
        "--default-release",
        "--host-architecture",
        "--build-profiles",
    ]],
    notation: Notation::Debian,
};

const DPKG: Grammar =
    Grammar { verbs: &[], with_value: &[&["--root", "--admindir", "--instdir"]], notation: Notation::Debian };

const APK: Grammar = Grammar {
    verbs: &[
        (&["cache", "clean"], Clean),
        (&["cache", "purge"], Clean),
        (&["cache", "download"], Download),
        (&["add"], Install),
        (&["del"], Remove),
        (&["update"], Update),
        (&["upgrade"], Upgrade),
        (&["fix"], Install),
        (&["fetch"], Download),
    ],
    with_value: &[&[
        "-t",
        "-p",
        "-X",
        "--virtual",
        "--root",
        "--repository",
        "--repositories-file",
        "--keys-dir",
        "--arch",
        "--cache-dir",
        "--cache-max-age",
        "--wait",
        "--progress-fd",
    ]],
    notation: Notation::Alpine,
};

const RPM: Grammar = Grammar {
    verbs: &[
        (&["group", "install"], Install),
        (&["module", "install"], Install),
        (&["install"], Install),
        (&["in"], Install),
        (&["localinstall"], Install),
        (&["groupinstall"], Install),
        (&["reinstall"], Install),
        (&["update"], Upgrade),
        (&["upgrade"], Upgrade),
        (&["up"], Upgrade),
        (&["dist-upgrade"], Upgrade),
        (&["dup"], Upgrade),
        (&["patch"], Upgrade),
        (&["makecache"], Update),
        (&["check-update"], Update),
        (&["refresh"], Update),
        (&["ref"], Update),
        (&["builddep"], BuildDep),
        (&["remove"], Remove),
        (&["erase"], Remove),
        (&["rm"], Remove),
        (&["autoremove"], Autoremove),
        (&["clean"], Clean),
        (&["cc"], Clean),
        (&["download"], Download),
    ],
    with_value: &[&[
        "-c",
        "-x",
        "-R",
        "-d",
        "-e",
        "-t",
        "--config",
        "--installroot",
        "--setopt",
        "--enablerepo",
        "--disablerepo",
        "--repo",
        "--repoid",
        "--exclude",
        "--releasever",
        "--forcearch",
        "--advisory",
        "--comment",
        "--root",
        "--from",
        "--type",
        "--plus-repo",
        "--reposd-dir",
        "--cache-dir",
    ]],
    notation: Notation::Rpm,
};

const PACMAN: Grammar = Grammar {
    verbs: &[],
    with_value: &[&["--root", "--dbpath", "--config", "--cachedir", "--ignore", "--overwrite", "--arch", "-b", "-r"]],
    notation: Notation::Debian,
};

const INDICES: &[&str] = &[
    "-i",
    "-f",
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--cache-dir",
    "--proxy",
    "--retries",
    "--timeout",
    "--trusted-host",
    "--cert",
    "--client-cert",
    "--keyring-provider",
];

const PIP_VERBS: &[Verb] = &[
    (&["cache", "purge"], Clean),
    (&["cache", "remove"], Clean),
    (&["install"], Install),
    (&["sync"], Sync),
    (&["compile"], Lock),
    (&["lock"], Lock),
    (&["freeze"], Other),
    (&["uninstall"], Remove),
    (&["download"], Download),
    (&["wheel"], Wheel),
];

const PIP_OPTIONS: &[&str] = &[
    "-r",
    "-c",
    "-e",
    "-t",
    "-w",
    "-d",
    "-b",
    "-C",
    "--requirement",
    "--constraint",
    "--editable",
    "--target",
    "--prefix",
    "--root",
    "--src",
    "--platform",
    "--python-version",
    "--implementation",
    "--abi",
    "--upgrade-strategy",
    "--global-option",
    "--config-settings",
    "--config-setting",
    "--build-option",
    "--install-option",
    "--no-binary",
    "--only-binary",
    "--progress-bar",
    "--root-user-action",
    "--report",
    "--exists-action",
    "--log",
    "--python",
    "--wheel-dir",
    "--dest",
    "--use-feature",
    "--use-deprecated",
    "--group",
    "--build-constraint",
];

const PIP: Grammar = Grammar { verbs: PIP_VERBS, with_value: &[INDICES, PIP_OPTIONS], notation: Notation::Python };

const UV_OPTIONS: &[&str] = &[
    "-p",
    "-P",
    "-w",
    "-m",
    "--python-platform",
    "--override",
    "--overrides",
    "--build-constraints",
    "--constraints",
    "--requirements",
    "--excludes",
    "--index",
    "--default-index",
    "--link-mode",
    "--resolution",
    "--prerelease",
    "--index-strategy",
    "--exclude-newer",
    "--directory",
    "--project",
    "--config-file",
    "--extra",
    "--only-group",
    "--no-group",
    "--no-extra",
    "--package",
    "--upgrade-package",
    "--reinstall-package",
    "--refresh-package",
    "--color",
    "--torch-backend",
    "--with",
    "--with-editable",
    "--with-requirements",
    "--bounds",
    "--no-install-package",
    "--tag",
    "--branch",
    "--rev",
    "--env-file",
    "--module",
    "--no-build-package",
    "--no-binary-package",
    "--allow-insecure-host",
    "--marker",
    "--script",
    "--output-file",
    "-o",
    "--format",
];

const UV_PIP: Grammar =
    Grammar { verbs: PIP_VERBS, with_value: &[INDICES, PIP_OPTIONS, UV_OPTIONS], notation: Notation::Python };

const UV: Grammar = Grammar {
    verbs: &[
        (&["tool", "install"], Install),
        (&["tool", "upgrade"], Upgrade),
        (&["tool", "uninstall"], Remove),
        (&["cache", "clean"], Clean),
        (&["cache", "prune"], Clean),
        (&["python", "install"], Other),
        (&["sync"], Sync),
        (&["add"], Install),
        (&["remove"], Remove),
        (&["lock"], Lock),
        (&["export"], Lock),
        (&["venv"], Create),
        (&["build"], Wheel),
    ],
    with_value: UV_PIP.with_value,
    notation: Notation::Python,
};

const POETRY: Grammar = Grammar {
    verbs: &[
        (&["cache", "clear"], Clean),
        (&["self", "add"], Install),
        (&["install"], Sync),
        (&["sync"], Sync),
        (&["add"], Install),
        (&["remove"], Remove),
        (&["update"], Upgrade),
        (&["lock"], Lock),
        (&["export"], Lock),
        (&["build"], Wheel),
    ],
    with_value: &[&[
        "-C",
        "-P",
        "-E",
        "-G",
        "-f",
        "-o",
        "--directory",
        "--project",
        "--with",
        "--without",
        "--only",
        "--extras",
        "--group",
        "--source",
        "--platform",
        "--python",
        "--format",
        "--output",
        "--markers",
    ]],
    notation: Notation::Python,
};

const PIPENV: Grammar = Grammar {
    verbs: &[
        (&["sync"], Sync),
        (&["install"], Install),
        (&["uninstall"], Remove),
        (&["update"], Upgrade),
        (&["upgrade"], Upgrade),
        (&["lock"], Lock),
        (&["requirements"], Lock),
        (&["clean"], Remove),
    ],
    with_value: &[&[
        "-i",
        "-r",
        "-e",
        "--index",
        "--requirements",
        "--editable",
        "--python",
        "--categories",
        "--extra-pip-args",
        "--pypi-mirror",
    ]],
    notation: Notation::Python,
};

const PDM: Grammar = Grammar {
    verbs: &[
        (&["cache", "clear"], Clean),
        (&["install"], Sync),
        (&["sync"], Sync),
        (&["add"], Install),
        (&["remove"], Remove),
        (&["update"], Upgrade),
        (&["lock"], Lock),
        (&["export"], Lock),
        (&["build"], Wheel),
    ],
    with_value: &[&[
        "-p",
        "-G",
        "-L",
        "-e",
        "-o",
        "-f",
        "--project",
        "--group",
        "--lockfile",
        "--editable",
        "--output",
        "--format",
        "--without",
        "--with",
    ]],
    notation: Notation::Python,
};

const PIPX: Grammar = Grammar {
    verbs: &[(&["install"], Install), (&["inject"], Install), (&["upgrade"], Upgrade), (&["uninstall"], Remove)],
    with_value: &[&[
        "-i",
        "--index-url",
        "--pip-args",
        "--python",
        "--suffix",
        "--spec",
        "--fetch-python",
        "-r",
        "--requirement",
    ]],
    notation: Notation::Python,
};

const CONDA: Grammar = Grammar {
    verbs: &[
        (&["env", "create"], Create),
        (&["env", "update"], Upgrade),
        (&["env", "remove"], Remove),
        (&["install"], Install),
        (&["create"], Create),
        (&["update"], Upgrade),
        (&["upgrade"], Upgrade),
        (&["remove"], Remove),
        (&["uninstall"], Remove),
        (&["clean"], Clean),
    ],
    with_value: &[&[
        "-n",
        "-p",
        "-c",
        "-f",
        "-r",
        "--name",
        "--prefix",
        "--channel",
        "--file",
        "--solver",
        "--repodata-fn",
        "--platform",
        "--subdir",
        "--root-prefix",
        "--log-level",
    ]],
    notation: Notation::Conda,
};

const NPM: Grammar = Grammar {
    verbs: &[
        (&["cache", "clean"], Clean),
        (&["cache", "clear"], Clean),
        (&["cache", "verify"], Clean),
        (&["install"], Install),
        (&["i"], Install),
        (&["add"], Install),
        (&["ci"], Sync),
        (&["clean-install"], Sync),
        (&["update"], Upgrade),
        (&["uninstall"], Remove),
        (&["remove"], Remove),
        (&["rm"], Remove),
        (&["prune"], Autoremove),
        (&["pack"], Wheel),
    ],
    with_value: &[&[
        "-w",
        "--prefix",
        "--registry",
        "--cache",
        "--loglevel",
        "--omit",
        "--include",
        "--userconfig",
        "--workspace",
        "--tag",
    ]],
    notation: Notation::At,
};

const YARN: Grammar = Grammar {
    verbs: &[
        (&["global", "add"], Install),
        (&["cache", "clean"], Clean),
        (&["install"], Sync),
        (&["add"], Install),
        (&["upgrade"], Upgrade),
        (&["up"], Upgrade),
        (&["remove"], Remove),
    ],
    with_value: &[&[
        "--cwd",
        "--cache-folder",
        "--modules-folder",
        "--registry",
        "--network-timeout",
        "--network-concurrency",
        "--mutex",
    ]],
    notation: Notation::At,
};

const PNPM: Grammar = Grammar {
    verbs: &[
        (&["store", "prune"], Clean),
        (&["install"], Sync),
        (&["i"], Sync),
        (&["fetch"], Download),
        (&["add"], Install),
        (&["update"], Upgrade),
        (&["up"], Upgrade),
        (&["remove"], Remove),
        (&["rm"], Remove),
        (&["prune"], Autoremove),
    ],
    with_value: &[&["-C", "-F", "--dir", "--filter", "--store-dir", "--registry", "--prefix", "--loglevel"]],
    notation: Notation::At,
};

const GEM: Grammar = Grammar {
    verbs: &[
        (&["install"], Install),
        (&["i"], Install),
        (&["update"], Upgrade),
        (&["uninstall"], Remove),
        (&["cleanup"], Clean),
        (&["fetch"], Download),
        (&["build"], Wheel),
    ],
    with_value: &[&[
        "-v",
        "-i",
        "-n",
        "-P",
        "-s",
        "-g",
        "--version",
        "--install-dir",
        "--bindir",
        "--trust-policy",
        "--source",
        "--file",
        "--platform",
    ]],
    notation: Notation::Colon,
};

const BUNDLER: Grammar = Grammar {
    verbs: &[(&["install"], Sync), (&["update"], Upgrade), (&["add"], Install), (&["clean"], Clean), (&["lock"], Lock)],
    with_value: &[&["-j", "--jobs", "--path", "--gemfile", "--without", "--with", "--retry"]],
    notation: Notation::Colon,
};

const GO: Grammar = Grammar {
    verbs: &[
        (&["mod", "download"], Sync),
        (&["mod", "vendor"], Sync),
        (&["mod", "tidy"], Lock),
        (&["install"], Install),
        (&["get"], Install),
        (&["clean"], Clean),
    ],
    with_value: &[&[
        "-C",
        "-o",
        "-p",
        "-ldflags",
        "-tags",
        "-mod",
        "-modfile",
        "-gcflags",
        "-asmflags",
        "-buildmode",
        "-overlay",
        "-toolexec",
        "-pkgdir",
        "-installsuffix",
    ]],
    notation: Notation::At,
};

const CARGO: Grammar = Grammar {
    verbs: &[
        (&["install"], Install),
        (&["binstall"], Install),
        (&["add"], Install),
        (&["fetch"], Sync),
        (&["update"], Update),
        (&["uninstall"], Remove),
        (&["remove"], Remove),
        (&["clean"], Clean),
        (&["vendor"], Download),
        (&["package"], Wheel),
    ],
    with_value: &[&[
        "-F",
        "-j",
        "-p",
        "-Z",
        "-C",
        "--version",
        "--vers",
        "--git",
        "--branch",
        "--tag",
        "--rev",
        "--path",
        "--root",
        "--registry",
        "--index",
        "--features",
        "--target",
        "--profile",
        "--jobs",
        "--target-dir",
        "--config",
        "--manifest-path",
        "--bin",
        "--package",
    ]],
    notation: Notation::At,
};

const COMPOSER: Grammar = Grammar {
    verbs: &[
        (&["global", "require"], Install),
        (&["install"], Sync),
        (&["require"], Install),
        (&["update"], Upgrade),
        (&["remove"], Remove),
        (&["clear-cache"], Clean),
        (&["clearcache"], Clean),
    ],
    with_value: &[&["-d", "--working-dir", "--prefer-install"]],
    notation: Notation::Colon,
};

const EASY_INSTALL: Grammar = Grammar {
    verbs: &[],
    with_value: &[&["-d", "-i", "-f", "--install-dir", "--index-url", "--find-links", "--prefix"]],
    notation: Notation::Python,
};

impl Manager {
    /// How its command line is read.
    pub(super) fn grammar(self) -> &'static Grammar {
        match self {
            Self::AptGet | Self::Apt | Self::Aptitude => &APT,
            Self::Dpkg => &DPKG,
            Self::Apk => &APK,
            Self::Dnf | Self::Yum | Self::Microdnf | Self::Zypper => &RPM,
            Self::Pacman => &PACMAN,
            Self::Pip => &PIP,
            Self::Pipx => &PIPX,
            Self::UvPip => &UV_PIP,
            Self::Uv => &UV,
            Self::Poetry => &POETRY,
            Self::Pipenv => &PIPENV,
            Self::Pdm => &PDM,
            Self::Conda | Self::Mamba | Self::Micromamba => &CONDA,
            Self::Npm => &NPM,
            Self::Yarn => &YARN,
            Self::Pnpm => &PNPM,
            Self::Gem => &GEM,
            Self::Bundler => &BUNDLER,
            Self::Go => &GO,
            Self::Cargo => &CARGO,
            Self::Composer => &COMPOSER,
            Self::EasyInstall => &EASY_INSTALL,
        }
    }
}
