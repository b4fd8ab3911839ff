//! Programs of a distribution: those it brings, and those made for its entry points.

use super::entry_points::ObjectReference;
use super::error::Fault;

/// What kernels before 5.1 read of a first line.
const SHEBANG_LIMIT: usize = 127;

/// `#!` and the interpreter. There may be no shell in the image that a longer line could be handed to, so that a path which
/// the kernel cannot take is an error.
pub(super) fn shebang(interpreter: &str) -> Result<String, Fault> {
    let refuse = |why| Fault::Interpreter { interpreter: interpreter.escape_default().to_string(), why };
    if !interpreter.starts_with('/') {
        return Err(refuse("the path is not absolute"));
    }
    if interpreter.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(refuse("the kernel ends the path at a space"));
    }
    if interpreter.len() + 2 > SHEBANG_LIMIT {
        return Err(refuse("the kernel reads 127 bytes of a script's first line"));
    }
    Ok(format!("#!{interpreter}"))
}

/// The program for a `console_scripts` or `gui_scripts` entry point. Without the guard, worker processes that are spawned
/// would run it again when they import it.
pub(super) fn launcher(shebang: &str, reference: &ObjectReference<'_>) -> String {
    let ObjectReference { module, attribute } = reference;
    let imported = attribute.split('.').next().unwrap_or(attribute);
    format!(
        "{shebang}\nimport sys\n\nfrom {module} import {imported}\n\nif __name__ == \"__main__\":\n    \
         sys.exit({attribute}())\n"
    )
}

/// A script of the wheel with `#!python` or `#!pythonw` in its first line replaced by the interpreter, options kept; `None`
/// where that is not its first line (binary distribution format, "Recommended installer features").
pub(super) fn with_interpreter(script: &[u8], shebang: &str) -> Option<Vec<u8>> {
    let rest = script.strip_prefix(b"#!python")?;
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let (line, body) = rest.split_at(end);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let options = line.iter().position(|&byte| byte == b' ').map_or(&b""[..], |space| &line[space..]);
    Some([shebang.as_bytes(), options, body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_import_and_guard() {
        let reference = ObjectReference { module: "a.b", attribute: "Main.run" };
        insta::assert_snapshot!(launcher("#!/usr/bin/python3.13", &reference), @r#"
        #!/usr/bin/python3.13
        import sys

        from a.b import Main

        if __name__ == "__main__":
            sys.exit(Main.run())
        "#);
    }

    #[test]
    fn only_the_placeholder_is_replaced() {
        let shebang = shebang("/usr/bin/python3.13").unwrap();
        let fixed =
            |script: &str| with_interpreter(script.as_bytes(), &shebang).map(|fixed| String::from_utf8(fixed).unwrap());
        assert_eq!(fixed("#!python\nx\n").as_deref(), Some("#!/usr/bin/python3.13\nx\n"));
        assert_eq!(fixed("#!pythonw\r\nx\n").as_deref(), Some("#!/usr/bin/python3.13\nx\n"));
        assert_eq!(fixed("#!python3 -u\nx").as_deref(), Some("#!/usr/bin/python3.13 -u\nx"));
        assert_eq!(fixed("#!python").as_deref(), Some("#!/usr/bin/python3.13"));
        assert_eq!(fixed("#!/usr/bin/env python\n").or(fixed("\x7fELF")), None);
    }

    #[test]
    fn an_interpreter_that_the_kernel_cannot_take_is_refused() {
        for bad in ["python3", "/opt/my python/bin/python", &format!("/{}", "x".repeat(125)), "/x\n/y"] {
            assert!(shebang(bad).is_err(), "{bad}");
        }
        assert!(shebang(&format!("/{}", "x".repeat(124))).is_ok());
    }
}
