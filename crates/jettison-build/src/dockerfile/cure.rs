//! What to do about a step that failed, by what its program said in the end.

use jettison_engine::sandbox::{ExitStatus, OutOfMemory};

/// Shared libraries of which the package is not called as they are: soname and package of Debian stable.
const LIBRARIES: [(&str, &str); 22] = [
    ("libGL.so.1", "libgl1"),
    ("libX11.so.6", "libx11-6"),
    ("libblas.so.3", "libblas3"),
    ("libcairo.so.2", "libcairo2"),
    ("libcrypto.so.1.1", "libssl1.1"),
    ("libcrypto.so.3", "libssl3t64"),
    ("libcurl.so.4", "libcurl4t64"),
    ("libffi.so.8", "libffi8"),
    ("libglib-2.0.so.0", "libglib2.0-0t64"),
    ("libgobject-2.0.so.0", "libglib2.0-0t64"),
    ("libgomp.so.1", "libgomp1"),
    ("libldap.so.2", "libldap2"),
    ("liblapack.so.3", "liblapack3"),
    ("libmagic.so.1", "libmagic1t64"),
    ("libmariadb.so.3", "libmariadb3"),
    ("libodbc.so.2", "libodbc2"),
    ("libpango-1.0.so.0", "libpango-1.0-0"),
    ("libssl.so.1.1", "libssl1.1"),
    ("libssl.so.3", "libssl3t64"),
    ("libstdc++.so.6", "libstdc++6"),
    ("libxml2.so.2", "libxml2"),
    ("libxmlsec1.so.1", "libxmlsec1t64"),
];

/// Packages that bring a program that builds look for.
const PROGRAMS: [(&str, &str); 14] = [
    ("bash", "bash"),
    ("cargo", "cargo"),
    ("cc", "gcc"),
    ("cmake", "cmake"),
    ("curl", "curl"),
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("git", "git"),
    ("make", "make"),
    ("mysql_config", "default-libmysqlclient-dev"),
    ("pg_config", "libpq-dev"),
    ("pkg-config", "pkgconf"),
    ("unzip", "unzip"),
    ("wget", "wget"),
];

/// What to do about a program that ended so, after these last lines.
pub fn of_step(status: ExitStatus, said: &str, memory: OutOfMemory) -> Option<String> {
    const LESS: &str = "give this machine or container more, or let the step do less at once (`MAKEFLAGS=-j1`, a wheel in place of a \
                        source distribution)";
    let killed = matches!(status, ExitStatus::Signal(9) | ExitStatus::Code(137));
    match memory {
        // A compiler that is killed is reported by who started it.
        OutOfMemory::Certain if killed || said.contains("Killed") => {
            return Some(format!("memory ran out, and the kernel killed a program of the step: {LESS}"));
        }
        OutOfMemory::Possible if killed => return Some(format!("memory may have run out: then {LESS}")),
        _ => {}
    }
    said.lines().rev().find_map(of_line).or_else(|| of_status(status))
}

/// What to do about a program that is not there.
pub fn no_program(program: &str) -> String {
    match program {
        "/bin/sh" => {
            "the stage has no shell: write the command as a list, `RUN [\"program\", \"argument\"]`, or begin with an \
                      image that has one"
                .to_owned()
        }
        program => {
            format!(
                "`{program}`, or the interpreter that it names, is not in this stage; it may be in the one that it was copied from"
            )
        }
    }
}

/// The Debian package that has a shared library, by a table and else by the rule that packages are named by.
pub fn package_of(soname: &str) -> Option<String> {
    if let Some((_, package)) = LIBRARIES.iter().find(|(name, _)| *name == soname) {
        return Some((*package).to_owned());
    }
    // Debian Policy 8.1: the soname in small letters, without `.so.`, with a hyphen between two digits.
    let (name, version) = soname.split_once(".so.")?;
    let version = version.split('.').next()?;
    let hyphen = if name.ends_with(|c: char| c.is_ascii_digit()) { "-" } else { "" };
    Some(format!("{}{hyphen}{version}", name.to_ascii_lowercase().replace('_', "-")))
}

/// The shared library that a line says is missing, and the package that has it.
pub fn missing_library(line: &str) -> Option<String> {
    let (before, _) = line.split_once(": cannot open shared object file")?;
    let soname = before.rsplit([' ', ':']).next().filter(|name| name.contains(".so"))?;
    let package = package_of(soname)?;
    Some(format!(
        "`{soname}` is in Debian's package `{package}`: install it in the stage that runs this, `RUN apt-get update && apt-get \
         install -y --no-install-recommends {package} && rm -rf /var/lib/apt/lists/*`"
    ))
}

fn of_line(line: &str) -> Option<String> {
    let line = line.trim();
    if line.contains(": cannot open shared object file") {
        return missing_library(line);
    }
    if line.contains("No space left on device") {
        return Some("the disk is full: free some space, or `jettison cache prune`; the store is intact".to_owned());
    }
    if line.contains("pg_config executable not found") {
        return Some("install `libpq-dev` and `gcc` in this stage, or take psycopg2-binary".to_owned());
    }
    if line.contains("exec format error") || line.contains("Exec format error") {
        return Some(
            "the program is for another architecture: take a base image for this machine with --platform".to_owned(),
        );
    }
    if ["Temporary failure in name resolution", "Temporary failure resolving", "Could not resolve host"]
        .iter()
        .any(|sign| line.contains(sign))
    {
        return Some(
            "the step has no network, or the machine no name server; `--network=none` takes it away".to_owned(),
        );
    }
    if line.contains("unable to execute 'gcc'") || line.contains("command 'gcc' failed: No such file") {
        return Some(
            "a distribution without a wheel is compiled: install `gcc`, and in a stage that is left behind".to_owned(),
        );
    }
    let missing = line.strip_suffix(": not found").or_else(|| line.strip_suffix(": command not found"))?;
    let program = missing.rsplit(' ').next()?;
    let (_, package) = PROGRAMS.iter().find(|(name, _)| *name == program)?;
    Some(format!("`{program}` is in Debian's package `{package}`"))
}

fn of_status(status: ExitStatus) -> Option<String> {
    let cure = match status {
        ExitStatus::Signal(4) => "it was built for a processor that has instructions which this one has not",
        ExitStatus::Signal(31) => "it makes a system call that the sandbox, as Docker, forbids",
        ExitStatus::Code(126) => {
            "the program is there and cannot be executed: is it executable, and its interpreter there?"
        }
        _ => return None,
    };
    Some(cure.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_packages() {
        let of = |soname| package_of(soname).unwrap();
        assert_eq!(
            [of("libpq.so.5"), of("libGL.so.1"), of("libjpeg.so.62"), of("libicu4c76.so.76"), of("libfoo_bar.so.2.1")],
            ["libpq5", "libgl1", "libjpeg62", "libicu4c76-76", "libfoo-bar2"]
        );
        assert_eq!(package_of("_psycopg.so"), None);
    }

    #[test]
    fn last_words_have_cures() {
        for (said, cure) in [
            ("ImportError: libpq.so.5: cannot open shared object file: No such file or directory", "package `libpq5`"),
            (
                "python: error while loading shared libraries: libz.so.1: cannot open shared object file: No such",
                "`libz1`",
            ),
            ("/bin/sh: 1: git: not found", "package `git`"),
            ("bash: line 1: curl: command not found", "package `curl`"),
            ("Error: pg_config executable not found.\n\nmore", "libpq-dev"),
            ("cp: error writing 'x': No space left on device", "disk is full"),
        ] {
            let found = of_step(ExitStatus::Code(1), said, OutOfMemory::No).unwrap_or_default();
            assert!(found.contains(cure), "{said}: {found}");
        }
        assert_eq!(of_step(ExitStatus::Code(1), "make: *** [all] Error 1", OutOfMemory::No), None);
    }

    #[test]
    fn memory_is_blamed_for_what_it_did() {
        let hint = |status, said, memory| of_step(status, said, memory).unwrap_or_default();
        let (killed, failed) = (ExitStatus::Signal(9), ExitStatus::Code(1));
        assert!(hint(killed, "", OutOfMemory::Certain).starts_with("memory ran out"));
        assert!(hint(ExitStatus::Code(137), "", OutOfMemory::Possible).starts_with("memory may have run out"));
        assert!(hint(failed, "c++: fatal error: Killed signal", OutOfMemory::Certain).starts_with("memory ran out"));
        for (status, memory) in
            [(killed, OutOfMemory::No), (failed, OutOfMemory::Certain), (failed, OutOfMemory::Possible)]
        {
            assert_eq!(hint(status, "", memory), "");
        }
    }
}
