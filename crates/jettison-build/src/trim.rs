//! What of a Debian package and of Debian's Python is left out, and why. The rules for wheels are in `jettison-python`.
//!
//! Each cut was tested by importing the whole standard library after it. What stays on purpose: copyright files (the licences ask
//! for it), `dpkg`'s record of the package (scanners read it), `libgcc_s.so.1` (glibc opens it by name).

use jettison_tree::TreePath;

use crate::settings::Trim;

/// Why a file was left out, as the report says it.
pub type Reason = &'static str;

/// Why the file at `path` of a Debian package is left out of the image, or `None` where it stays.
pub fn debian(path: &TreePath, trim: Trim) -> Option<Reason> {
    if trim == Trim::None {
        return None;
    }
    let path = path.as_str()?;
    let below = |directory: &str| path.strip_prefix(directory);
    if let Some(rest) = below("usr/share/") {
        return share(rest);
    }
    if let Some(rest) = below("usr/lib/").and_then(|rest| rest.strip_prefix("python3")) {
        return standard_library(rest.split_once('/')?.1);
    }
    if let Some(rest) = below("usr/lib/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest) {
        if rest.starts_with("gconv/") || rest == "gconv" {
            return Some("character set converters of iconv(3)");
        }
        if rest.starts_with("sasl2/libsasldb.") {
            return Some("the password database of SASL servers");
        }
        if rest.starts_with("engines-") || rest == "ossl-modules/legacy.so" {
            return Some("OpenSSL engines and its legacy provider");
        }
    }
    const DIRECTORIES: [(&str, Reason); 8] = [
        ("etc/init.d/", "init scripts"),
        ("etc/cron", "cron jobs"),
        ("etc/logrotate.d/", "log rotation"),
        ("etc/default/", "init scripts"),
        ("usr/lib/systemd/", "systemd units"),
        ("usr/lib/tmpfiles.d/", "systemd units"),
        ("usr/lib/sysusers.d/", "systemd units"),
        ("usr/lib/valgrind/", "debugging aids"),
    ];
    DIRECTORIES.iter().find(|(directory, _)| path.starts_with(directory)).map(|(_, reason)| *reason)
}

/// Why the file at `path` of a Debian package is left out of the builder: it takes longer to unpack than building takes, and no build of a
/// Python extension reads it.
pub fn builder(path: &TreePath) -> Option<Reason> {
    if let Some(reason) = debian(path, Trim::Safe)
        && !path.is_below("usr/lib/python3")
    {
        return Some(reason);
    }
    let name = path.file_name();
    let path = path.as_str()?;
    let is = |prefix: &str, suffix: &str| name.starts_with(prefix.as_bytes()) && name.ends_with(suffix.as_bytes());
    if is("lto1", "") || path.contains("lto-dump") || path.contains("/plugin/") {
        return Some("link-time optimisation");
    }
    if is("libpython", ".a")
        || is("libasan", ".a")
        || is("libtsan", ".a")
        || is("libubsan", ".a")
        || is("liblsan", ".a")
    {
        return Some("static libraries");
    }
    None
}

fn share(path: &str) -> Option<Reason> {
    let (directory, rest) = path.split_once('/').unwrap_or((path, ""));
    match directory {
        // Or a link to the documentation of another package, which has the copyright of both.
        "doc" if rest.ends_with("/copyright") || !rest.contains('/') => None,
        "doc" | "doc-base" | "info" | "man" | "gtk-doc" | "help" | "linda" => Some("documentation"),
        "locale" | "i18n" if !rest.starts_with("C") => Some("translations"),
        "lintian" | "bug" | "apport" | "reportbug" => Some("packaging aids"),
        "bash-completion" | "zsh" | "fish" | "applications" | "pixmaps" | "icons" | "menu" | "metainfo" => {
            Some("desktop and shell aids")
        }
        "gdb" | "gcc" | "systemtap" => Some("debugging aids"),
        // A maintainer script makes `/etc/inputrc` of it.
        "readline" => Some("desktop and shell aids"),
        _ => None,
    }
}

/// Why a file of the standard library is left out. `path` is relative to `lib/python3.X/`.
pub fn standard_library(path: &str) -> Option<Reason> {
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    match top {
        "test" | "idlelib" | "turtledemo" | "lib2to3" | "pydoc_data" => {
            Some("tests, demos and help of the standard library")
        }
        "turtle.py" => Some("tests, demos and help of the standard library"),
        "ensurepip" => Some("the installer of pip"),
        "tkinter" | "__phello__" => Some("tests, demos and help of the standard library"),
        "lib-dynload" if rest.starts_with("_test") || rest.starts_with("_ctypes_test") || rest.starts_with("xx") => {
            Some("tests, demos and help of the standard library")
        }
        "lib-dynload"
            if ["_dbm.", "_gdbm.", "_curses.", "_curses_panel.", "readline.", "_tkinter."]
                .iter()
                .any(|name| rest.starts_with(name)) =>
        {
            Some("terminal and ndbm modules of the standard library")
        }
        _ if top.starts_with("config-3") => Some("what embeds the interpreter in C programs"),
        _ if rest.starts_with("tests/") || rest.starts_with("test/") => {
            Some("tests, demos and help of the standard library")
        }
        "__pycache__" => Some("bytecode made by the package"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_read_stays() {
        let stays = [
            "usr/share/doc/libc6/copyright",
            "usr/share/doc/libgcc-s1",
            "usr/share/zoneinfo/Europe/Vienna",
            "usr/share/ca-certificates/mozilla/A.crt",
            "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "usr/lib/python3.13/unittest/mock.py",
            "usr/lib/python3.13/lib-dynload/_sqlite3.cpython-313-x86_64-linux-gnu.so",
            "usr/lib/python3.13/_sysconfigdata__x86_64-linux-gnu.py",
            "usr/lib/locale/C.utf8/LC_CTYPE",
            "etc/services",
        ];
        let goes = [
            "usr/share/doc/libc6/changelog.Debian.gz",
            "usr/share/locale/de/LC_MESSAGES/libc.mo",
            "usr/share/readline/inputrc",
            "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
            "usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
            "usr/lib/x86_64-linux-gnu/sasl2/libsasldb.so.2.0.25",
            "usr/lib/python3.13/test/test_os.py",
            "usr/lib/python3.13/turtle.py",
            "usr/lib/python3.13/lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so",
            "usr/lib/python3.13/lib-dynload/readline.cpython-313-x86_64-linux-gnu.so",
            "etc/init.d/x",
        ];
        let reason = |path: &str, trim| debian(&TreePath::parse(path).unwrap(), trim);
        for path in stays {
            assert_eq!(reason(path, Trim::Safe), None, "{path}");
        }
        for path in goes {
            assert!(reason(path, Trim::Safe).is_some(), "{path}");
            assert_eq!(reason(path, Trim::None), None, "{path}");
        }
    }
}
