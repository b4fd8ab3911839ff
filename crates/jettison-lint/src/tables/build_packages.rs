//! Packages of distributions that only a build needs: compilers, headers, and what drives them.

/// Those that are not told by how their names end. Of Debian, Ubuntu, Alpine, Fedora and Red Hat.
const BY_NAME: [&str; 48] = [
    "autoconf",
    "automake",
    "binutils",
    "bison",
    "build-base",
    "build-essential",
    "cargo",
    "clang",
    "cmake",
    "cpp",
    "cython",
    "cython3",
    "debhelper",
    "devscripts",
    "dpkg-dev",
    "flex",
    "g++",
    "gcc",
    "gcc-c++",
    "gcc-gfortran",
    "gfortran",
    "golang",
    "golang-go",
    "libc-dev",
    "libtool",
    "linux-headers",
    "llvm",
    "m4",
    "make",
    "meson",
    "musl-dev",
    "nasm",
    "ninja",
    "ninja-build",
    "patchelf",
    "pkg-config",
    "pkgconf",
    "pkgconf-pkg-config",
    "pkgconfig",
    "python-dev",
    "python3-dev",
    "redhat-rpm-config",
    "rpm-build",
    "rust",
    "rustc",
    "swig",
    "yasm",
    "libpython3-dev",
];

/// How the names of compilers begin that have their version in them: `gcc-12`, `clang-16`.
const VERSIONED: [&str; 7] = ["gcc-", "g++-", "gfortran-", "clang-", "llvm-", "linux-headers-", "cpp-"];

/// Whether only a build needs a package: a compiler, a build system, headers.
pub fn is_build_only(name: &str) -> bool {
    let versioned = |start: &&str| {
        name.strip_prefix(*start)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) || *start == "linux-headers-")
    };
    name.ends_with("-dev")
        || name.ends_with("-devel")
        || name.ends_with("-headers")
        || name.ends_with("-dev-headers")
        || BY_NAME.contains(&name)
        || VERSIONED.iter().any(|start| versioned(start) && !name.ends_with("-base"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_and_headers_are_told_from_libraries() {
        for (name, expected) in [
            ("gcc", true),
            ("gcc-12", true),
            ("gcc-12-base", false),
            ("g++", true),
            ("libpq-dev", true),
            ("postgresql-devel", true),
            ("linux-headers-amd64", true),
            ("libpq5", false),
            ("libgcc-s1", false),
            ("libstdc++6", false),
            ("git", false),
            ("curl", false),
            ("python3", false),
            ("gcc-libs", false),
        ] {
            assert_eq!(is_build_only(name), expected, "{name}");
        }
    }
}
