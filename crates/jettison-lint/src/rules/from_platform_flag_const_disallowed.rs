use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET217",
    name: "from-platform-flag-const-disallowed",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("FromPlatformFlagConstDisallowed"),
    hadolint: &["DL3029"],
    docs: r#"
`FROM` is tied to one platform.

## Why

The image is for that platform whatever `--platform` the build is given; on other machines every step is emulated. A stage that is for
one platform on purpose says so in its name, as `build-amd64` does.

## Example

```dockerfile bad lines=1
FROM --platform=linux/amd64 python:3.12-slim
```

```dockerfile fixed unsafe
FROM python:3.12-slim
```

```dockerfile good
FROM --platform=$BUILDPLATFORM python:3.12-slim AS build
FROM --platform=linux/amd64 python:3.12-slim AS amd64-only
FROM python:3.12-slim
```

## Fix

Unsafe: the flag is taken away, so that on other machines the image is for another platform than before.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let Some(platform) = stage.syntax.from.platform.as_ref().filter(|word| !word.contains('$')) else { continue };
        let Some((system, architecture)) = parse(platform) else { continue };
        let name = stage.syntax.name.as_deref().unwrap_or_default();
        if [system, architecture].into_iter().flatten().any(|part| name.contains(&part)) {
            continue;
        }
        let Some(flag) = subject.flag(stage.head, "platform") else { continue };
        subject
            .point(findings, stage.head, flag, format!("the stage is for `{platform}` whatever the build is for"))
            .help("leave the flag out, and give the build a `--platform`")
            .fix(Fix::unsafe_("take the flag away", [Edit::delete(subject.with_space(flag))]));
    }
}

/// What containerd takes for an operating system where it stands alone.
const SYSTEMS: [&str; 14] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "solaris",
    "windows",
];
/// What it takes for an architecture.
const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64",
    "s390x", "wasm",
];

/// The operating system and the architecture that a platform names, as containerd's `platforms` normalises them. `None` for one that is
/// none, which is an error when it is built.
fn parse(platform: &str) -> Option<(Option<String>, Option<String>)> {
    let parts: Vec<&str> = platform.split('/').collect();
    let is_word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-()".contains(c));
    if parts.len() > 3 || !parts.iter().all(is_word) {
        return None;
    }
    let system = |text: &str| match text.to_ascii_lowercase().split('(').next() {
        Some("macos") => "darwin".to_owned(),
        name => name.unwrap_or_default().to_owned(),
    };
    let architecture = |text: &str| match text.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "i386" => "386".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "armhf" | "armel" => "arm".to_owned(),
        other => other.to_owned(),
    };
    match parts[..] {
        [one] if SYSTEMS.contains(&&*system(one)) => Some((Some(system(one)), None)),
        [one] if ARCHITECTURES.contains(&&*architecture(one)) => Some((None, Some(architecture(one)))),
        [first, second, ..] => Some((Some(system(first)), Some(architecture(second)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn platforms_have_an_os_and_an_architecture() {
        let told = |text: &str| {
            let (system, architecture) = parse(text)?;
            Some([system, architecture].into_iter().flatten().collect::<Vec<_>>().join(" "))
        };
        for (text, expected) in [
            ("linux/amd64", Some("linux amd64")),
            ("linux/arm/v7", Some("linux arm")),
            ("linux", Some("linux")),
            ("aarch64", Some("arm64")),
            ("linux/x86_64", Some("linux amd64")),
            ("nonsense", None),
            ("linux/", None),
            ("a/b/c/d", None),
        ] {
            assert_eq!(told(text).as_deref(), expected, "{text}");
        }
    }
}
