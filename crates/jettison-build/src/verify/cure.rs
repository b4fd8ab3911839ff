//! What to do about common failures, by what the program said.

use jettison_engine::sandbox::ExitStatus;

use super::Verification;
use super::imports::top_level;
use crate::interpreter::Interpreter;

/// A module that something wants and the image does not have.
pub(super) struct Missing<'a> {
    /// The module, `a.b.c`.
    pub name: &'a str,
    /// Whether it is one of the standard library.
    pub is_standard: bool,
    /// The top-level module that wants it; empty where that is not known.
    pub wanted_by: &'a str,
}

/// Distributions that are not called as the module that they bring.
const DISTRIBUTIONS: [(&str, &str); 40] = [
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("Crypto", "pycryptodome"),
    ("cv2", "opencv-python-headless"),
    ("dateutil", "python-dateutil"),
    ("distutils", "setuptools"),
    ("docx", "python-docx"),
    ("dotenv", "python-dotenv"),
    ("faiss", "faiss-cpu"),
    ("fitz", "PyMuPDF"),
    ("gi", "PyGObject"),
    ("git", "GitPython"),
    ("github", "PyGithub"),
    ("jose", "python-jose"),
    ("jwt", "PyJWT"),
    ("ldap", "python-ldap"),
    ("magic", "python-magic"),
    ("markdown_it", "markdown-it-py"),
    ("multipart", "python-multipart"),
    ("MySQLdb", "mysqlclient"),
    ("nacl", "PyNaCl"),
    ("OpenSSL", "pyOpenSSL"),
    ("PIL", "Pillow"),
    ("pkg_resources", "setuptools"),
    ("pptx", "python-pptx"),
    ("psycopg2", "psycopg2-binary"),
    ("rest_framework", "djangorestframework"),
    ("ruamel", "ruamel.yaml"),
    ("serial", "pyserial"),
    ("skimage", "scikit-image"),
    ("sklearn", "scikit-learn"),
    ("slugify", "python-slugify"),
    ("socketio", "python-socketio"),
    ("socks", "PySocks"),
    ("telegram", "python-telegram-bot"),
    ("usb", "pyusb"),
    ("websocket", "websocket-client"),
    ("xdist", "pytest-xdist"),
    ("yaml", "PyYAML"),
    ("zmq", "pyzmq"),
];

/// Modules that left the standard library, in which minor version of Python 3, and what brings them back.
const LEFT: [(&str, u64, Option<&str>); 10] = [
    ("distutils", 12, Some("setuptools")),
    ("asynchat", 12, Some("pyasynchat")),
    ("asyncore", 12, Some("pyasyncore")),
    ("imp", 12, None),
    ("smtpd", 12, Some("aiosmtpd")),
    ("audioop", 13, Some("audioop-lts")),
    ("cgi", 13, Some("legacy-cgi")),
    ("crypt", 13, Some("legacycrypt")),
    ("imghdr", 13, Some("standard-imghdr")),
    ("telnetlib", 13, Some("telnetlib3")),
];

/// Debian's packages of parts of the standard library that its `python3.X` is without.
const APART: [(&str, &str); 4] =
    [("tkinter", "python3-tk"), ("_tkinter", "python3-tk"), ("dbm.gnu", "python3-gdbm"), ("_gdbm", "python3-gdbm")];

/// What to do about a missing module.
pub(super) fn missing_module(what: &Verification<'_>, missing: &Missing<'_>) -> String {
    let Missing { name, is_standard, wanted_by } = *missing;
    let top = top_level(name);
    let (_, minor) = what.interpreter.minor();
    if let Some((_, since, instead)) = LEFT.iter().find(|(module, since, _)| *module == top && *since <= minor) {
        let instead = instead.map_or_else(String::new, |instead| format!("add `{instead}` to the requirements, or "));
        return format!("`{top}` is gone since Python 3.{since}: {instead}set an older `python` in [tool.jettison]");
    }
    if is_standard {
        return match APART.iter().find(|(module, _)| *module == name || *module == top) {
            Some((_, package)) => format!("Debian keeps `{top}` apart: `with = [\"{package}\"]` in [tool.jettison]"),
            None => format!(
                "`{top}` of the standard library is not in the image: `trim = \"none\"` in [tool.jettison] keeps all of it"
            ),
        };
    }
    if what.provided.contains(top) {
        return if name == top {
            format!("`{top}` is installed and is not found: is `PYTHONPATH` or another `{top}` in its way?")
        } else {
            format!("the `{top}` that is installed has no `{name}`: the versions do not fit each other")
        };
    }
    let distribution =
        DISTRIBUTIONS.iter().find(|(module, _)| *module == top).map_or(top, |(_, distribution)| distribution);
    let by =
        if wanted_by.is_empty() || wanted_by == top { String::new() } else { format!(", which `{wanted_by}` imports") };
    format!("nothing that is installed brings `{top}`{by}: add `{distribution}` to the requirements")
}

/// What to do about an end that says nothing by itself.
pub(super) fn of_status(status: ExitStatus) -> Option<String> {
    let cure = match status {
        ExitStatus::Signal(4) => "it was built for a processor that has instructions which this one has not",
        ExitStatus::Signal(9) => "it was killed: was there too little memory?",
        ExitStatus::Signal(31) => "it makes a system call that the sandbox, as Docker, forbids",
        _ => return None,
    };
    Some(cure.to_owned())
}

/// What to do about the last thing in a program's output that is known.
pub(super) fn of_output(what: &Verification<'_>, output: &str) -> Option<String> {
    let lines: Vec<_> = output.lines().collect();
    (0..lines.len()).rev().find_map(|at| of_line(what, lines[at].trim(), &lines[..at]))
}

fn of_line(what: &Verification<'_>, line: &str, before: &[&str]) -> Option<String> {
    let has = |signs: &[&str]| signs.iter().any(|sign| line.contains(sign));
    if let Some((before, _)) = line.split_once(": cannot open shared object file") {
        let library = before.rsplit([' ', ':']).next().unwrap_or(before);
        return Some(format!("add the Debian package that has {library}: `with = [\"…\"]` in [tool.jettison]"));
    }
    if has(&["version `GLIBC_", "version `GLIBCXX_", "version `CXXABI_"]) && line.contains("not found") {
        return Some("it was built for a newer system than the image's base: set a newer `base` in [tool.jettison], or an older version of it".to_owned());
    }
    if has(&["undefined symbol: "]) {
        return Some("it was built against another version of Python or of a library: build it again, or pin a version that fits".to_owned());
    }
    if let Some(name) = after_any(line, &["No module named '", "No module named "]) {
        let name = name.split(['\'', ';', ' ']).next().unwrap_or(name);
        let is_local = line.starts_with("Error while finding module") || what.argv.iter().any(|word| word == name);
        if !is_local {
            return Some(missing_module(what, &Missing { name, is_standard: is_trimmed(name), wanted_by: "" }));
        }
    }
    if has(&[
        "Could not import module",
        "Failed to find attribute",
        "Error loading ASGI app",
        "Failed to find application object",
    ]) || (line.contains("Attribute \"") && line.contains("not found in module"))
        || line.contains("No module named ")
    {
        return Some(
            "the start command names something that is not there: say it with `command = [\"…\"]` in [tool.jettison]"
                .to_owned(),
        );
    }
    if line.starts_with("SyntaxError:") || line.starts_with("IndentationError:") || line.starts_with("TabError:") {
        let place = before.iter().rev().find_map(|line| line.trim().strip_prefix("File "));
        let place = place.unwrap_or("the file").replace('"', "`");
        return Some(format!(
            "{place}, is no Python {}: mend it, or set another `python` in [tool.jettison]",
            version(what.interpreter)
        ));
    }
    if has(&["Read-only file system"]) {
        return Some("let it write below its HOME or in /tmp".to_owned());
    }
    if has(&["Permission denied"]) {
        let path = line.rsplit('\'').nth(1).map(|path| format!(" `{path}`")).unwrap_or_default();
        return Some(format!(
            "the image's user {} may not touch{path}: let it write below its HOME or in /tmp, or set another `user` in [tool.jettison]",
            what.uid
        ));
    }
    if has(&["No usable temporary directory"]) {
        return Some(format!(
            "the image has no /tmp that its user {} may write to: is something else of its base there?",
            what.uid
        ));
    }
    if has(&["Address already in use", "address already in use"]) {
        return Some("nothing else runs in the sandbox: the program itself listens twice on one port".to_owned());
    }
    const SERVICES: [&str; 12] = [
        "Connection refused",
        "connection refused",
        "could not translate host name",
        "Name or service not known",
        "Temporary failure in name resolution",
        "No address associated with hostname",
        "Network is unreachable",
        "could not connect to server",
        "Can't connect to MySQL server",
        "ServerSelectionTimeoutError",
        "Error 111 connecting",
        "gaierror",
    ];
    if has(&SERVICES) {
        return Some(
            "verification has no network and no database: let the program start without them, set what it needs instead with \
             [tool.jettison.verify.env], or build with --no-verify"
                .to_owned(),
        );
    }
    if let Some(name) =
        line.strip_prefix("KeyError: '").and_then(|rest| rest.strip_suffix('\'')).filter(|name| is_variable(name))
    {
        return Some(format!(
            "where `{name}` is an environment variable, set it for verification: `{name} = \"…\"` under [tool.jettison.verify.env]"
        ));
    }
    const SETTINGS: [&str; 7] = [
        "ImproperlyConfigured",
        "UndefinedValueError",
        "SECRET_KEY setting must not be empty",
        "validation error for Settings",
        "validation errors for Settings",
        "MissingEnvironmentVariable",
        "environment variable",
    ];
    if has(&SETTINGS) {
        return Some("set the variables that it needs to start under [tool.jettison.verify.env]; secrets are not needed, any value of the right form is".to_owned());
    }
    let file = after_any(line, &["No such file or directory: '", "No such file or directory: \""]);
    if let Some(file) = file.and_then(|rest| rest.strip_suffix(['\'', '"'])) {
        let is_program = !file.contains(['/', '.']) || file.starts_with("/bin/") || file.starts_with("/usr/bin/");
        return Some(if is_program {
            format!(
                "the image has no program `{file}`: add the Debian package that has it, `with = [\"…\"]` in [tool.jettison]"
            )
        } else {
            format!(
                "`{file}` is not in the image: is it left out of the project, or relative to another directory than {}?",
                what.workdir
            )
        });
    }
    if has(&["MemoryError", "Cannot allocate memory"]) {
        return Some("this machine has too little memory for it".to_owned());
    }
    None
}

/// What follows the first of the signs that is there.
fn after_any<'a>(line: &'a str, signs: &[&str]) -> Option<&'a str> {
    signs.iter().find_map(|sign| line.split_once(sign).map(|(_, after)| after))
}

/// Whether it looks like the name of an environment variable.
fn is_variable(name: &str) -> bool {
    name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Parts of the standard library that images do without, where the interpreter itself did not say that they are its.
fn is_trimmed(module: &str) -> bool {
    const TRIMMED: [&str; 9] =
        ["ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "_tkinter", "turtle", "turtledemo"];
    TRIMMED.contains(&top_level(module))
}

fn version(interpreter: &Interpreter) -> String {
    let (major, minor) = interpreter.minor();
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn with_verification<T>(test: impl FnOnce(&Verification<'_>) -> T) -> T {
        test(&Verification {
            lower: &[],
            owners: &[],
            interpreter: &Interpreter::debian("3.13.5".parse().unwrap(), (2, 41)).unwrap(),
            modules: &[],
            provided: &BTreeSet::from(["google".to_owned()]),
            argv: &["uvicorn".to_owned(), "main:app".to_owned()],
            env: &[],
            extra_env: &[],
            workdir: "/app",
            uid: 65532,
            gid: 65532,
            port: Some(8000),
            path: "/",
            timeout: Duration::from_secs(1),
            skip_imports: &[],
            record: false,
        })
    }

    #[test]
    fn messages_have_their_cures() {
        let cases = [
            (
                "ImportError: libpq.so.5: cannot open shared object file: No such file or directory",
                "has libpq.so.5: `with =",
            ),
            ("ImportError: /lib/x.so.6: version `GLIBC_2.43' not found (required by /a.so)", "newer `base`"),
            ("ModuleNotFoundError: No module named 'yaml'", "brings `yaml`: add `PyYAML` to the requirements"),
            ("/usr/bin/python3.13: No module named flask", "add `flask` to"),
            ("ModuleNotFoundError: No module named 'google.cloud'", "that is installed has no `google.cloud`"),
            ("ModuleNotFoundError: No module named 'cgi'", "gone since Python 3.13: add `legacy-cgi`"),
            ("ModuleNotFoundError: No module named 'tkinter'", "`with = [\"python3-tk\"]`"),
            ("ModuleNotFoundError: No module named 'turtle'", "`trim = \"none\"`"),
            ("ERROR:    Error loading ASGI app. Could not import module \"main\".", "`command = "),
            ("PermissionError: [Errno 13] Permission denied: '/app/x.db'", "user 65532 may not touch `/app/x.db`"),
            ("OSError: [Errno 30] Read-only file system: '/x'", "HOME"),
            ("OSError: [Errno 98] Address already in use", "twice on one port"),
            ("ConnectionRefusedError: [Errno 111] Connection refused", "no database"),
            ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "no database"),
            ("KeyError: 'DATABASE_URL'", "`DATABASE_URL = \"…\"` under"),
            (
                "django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.",
                "[tool.jettison.verify.env]",
            ),
            (
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings\nx\n  Field required",
                "[tool.jettison.verify.env]",
            ),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'git'", "no program `git`"),
            ("FileNotFoundError: [Errno 2] No such file or directory: '/bin/sh'", "no program `/bin/sh`"),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'config.yaml'", "another directory than /app"),
            (
                "  File \"/app/main.py\", line 3\n    def (\n        ^\nSyntaxError: invalid syntax",
                "`/app/main.py`, line 3, is no Python 3.13",
            ),
        ];
        with_verification(|what| {
            for (said, cure) in cases {
                let found = of_output(what, said).unwrap_or_default();
                assert!(found.contains(cure), "{said}: {found}");
            }
            assert_eq!(of_output(what, "KeyError: 'name'\nValueError: odd"), None);
            // The last one counts.
            let both =
                "ConnectionRefusedError: [Errno 111] Connection refused\nModuleNotFoundError: No module named 'x'";
            assert!(of_output(what, both).unwrap().contains("add `x`"));
        });
    }

    #[test]
    fn who_wants_a_module_is_said() {
        with_verification(|what| {
            let missing = Missing { name: "multipart", is_standard: false, wanted_by: "fastapi" };
            insta::assert_snapshot!(missing_module(what, &missing), @"nothing that is installed brings `multipart`, which `fastapi` imports: add `python-multipart` to the requirements");
        });
    }
}
