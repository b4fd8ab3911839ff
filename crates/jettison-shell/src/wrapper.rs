//! Programs that run another one: `sudo`, `env`, `timeout 5` in front of it; `sh -c`, `xargs`, `find -exec` with it among
//! their arguments.

use crate::shell::{Dialect, Shell};
use crate::word::Word;
use std::borrow::Cow;

/// A program that runs what its arguments say.
struct Wrapper {
    names: &'static [&'static str],
    /// Options whose value is the next word.
    with_value: &'static [&'static str],
    /// How many operands come before the program.
    operands: usize,
    /// Are `A=1` before the program assignments?
    assigns: bool,
    /// With these it does not run a program.
    unless: &'static [&'static str],
}

const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["sudo", "doas"],
        with_value: &[
            "-u",
            "-g",
            "-h",
            "-p",
            "-C",
            "-D",
            "-R",
            "-T",
            "-U",
            "-r",
            "-t",
            "--user",
            "--group",
            "--host",
            "--prompt",
            "--chdir",
            "--chroot",
            "--close-from",
            "--command-timeout",
            "--other-user",
            "--role",
            "--type",
        ],
        operands: 0,
        assigns: true,
        unless: &["-l", "--list", "-v", "--validate", "-V", "--version", "-e", "--edit", "-k", "-K"],
    },
    Wrapper {
        names: &["env"],
        with_value: &["-u", "-C", "-S", "--unset", "--chdir", "--split-string"],
        operands: 0,
        assigns: true,
        unless: &["-S", "--split-string"],
    },
    Wrapper { names: &["exec"], with_value: &["-a"], operands: 0, assigns: false, unless: &[] },
    Wrapper { names: &["command"], with_value: &[], operands: 0, assigns: false, unless: &["-v", "-V"] },
    Wrapper {
        names: &["builtin", "nohup", "setsid", "eatmydata", "fakeroot", "catchsegv", "linux32", "linux64"],
        with_value: &[],
        operands: 0,
        assigns: false,
        unless: &[],
    },
    Wrapper {
        names: &["time"],
        with_value: &["-f", "-o", "--format", "--output"],
        operands: 0,
        assigns: false,
        unless: &[],
    },
    Wrapper { names: &["nice"], with_value: &["-n", "--adjustment"], operands: 0, assigns: false, unless: &[] },
    Wrapper {
        names: &["ionice"],
        with_value: &["-c", "-n", "--class", "--classdata"],
        operands: 0,
        assigns: false,
        unless: &["-p", "--pid"],
    },
    Wrapper {
        names: &["timeout"],
        with_value: &["-s", "-k", "--signal", "--kill-after"],
        operands: 1,
        assigns: false,
        unless: &[],
    },
    Wrapper {
        names: &["stdbuf"],
        with_value: &["-i", "-o", "-e", "--input", "--output", "--error"],
        operands: 0,
        assigns: false,
        unless: &[],
    },
    Wrapper { names: &["gosu", "su-exec", "setarch"], with_value: &[], operands: 1, assigns: false, unless: &[] },
    Wrapper {
        names: &["tini", "dumb-init"],
        with_value: &["-p", "-e", "-r"],
        operands: 0,
        assigns: false,
        unless: &[],
    },
];

/// The name of the first word's program, without its path.
pub(crate) fn name(words: &[Word]) -> Option<Cow<'_, str>> {
    let base = |text: &str| text.rfind('/').filter(|&at| at + 1 < text.len()).map_or(0, |at| at + 1);
    match words.first()?.literal()? {
        text if text.is_empty() => None,
        Cow::Borrowed(text) => Some(Cow::Borrowed(&text[base(text)..])),
        Cow::Owned(text) => Some(Cow::Owned(text[base(&text)..].to_owned())),
    }
}

/// How many words come before the program that is meant.
pub(crate) fn see_through(words: &[Word]) -> usize {
    let mut behind = 0;
    while let Some(width) = wrapped(&words[behind..]) {
        behind += width;
    }
    behind
}

/// How many words the wrapper at the front takes, if there is one and a program after it.
fn wrapped(words: &[Word]) -> Option<usize> {
    let name = name(words)?;
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&&*name))?;
    let mut at = 1;
    let mut operands = wrapper.operands;
    while let Some(word) = words.get(at) {
        let text = word.text();
        if text == "--" {
            at += 1;
            if operands == 0 {
                break;
            }
        } else if text.len() > 1 && text.starts_with('-') {
            let option = text.split_once('=').map_or(&*text, |(option, _)| option);
            if wrapper.unless.contains(&option) {
                return None;
            }
            at += if wrapper.with_value.contains(&&*text) { 2 } else { 1 };
        } else if wrapper.assigns && is_assignment(&text) {
            at += 1;
        } else if operands > 0 {
            operands -= 1;
            at += 1;
        } else {
            break;
        }
    }
    (at < words.len()).then_some(at)
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// What a shell is given to read.
pub(crate) enum Given {
    /// The word at this index: `sh -c '…'`.
    Word(usize, Shell),
    /// Its standard input: `bash`, `sh -s`.
    Input(Shell),
}

/// Is this a shell that is given a script which may be written here? An index is one of `words`.
pub(crate) fn given(words: &[Word]) -> Option<Given> {
    let mut behind = see_through(words);
    if name(&words[behind..]).as_deref() == Some("busybox") {
        behind += 1;
    }
    let program = name(&words[behind..])?;
    let arguments = &words[behind + 1..];
    if matches!(&*program, "su" | "runuser") {
        // The options of `su` come before or after the user; what `-c` has is the script.
        let at = arguments.iter().position(|word| matches!(&*word.text(), "-c" | "--command" | "-lc"))? + 1;
        return (at < arguments.len())
            .then(|| Given::Word(behind + 1 + at, Shell { command: true, ..Shell::default() }));
    }
    let mut shell = Shell { dialect: Dialect::of(&program)?, ..Shell::default() };
    let texts: Vec<_> = arguments.iter().map(Word::literal).collect();
    let count = shell.options(texts.iter().map(|text| text.as_deref()));
    let at = behind + 1 + count;
    if shell.command {
        return (at < words.len()).then_some(Given::Word(at, shell));
    }
    let reads_input = at >= words.len()
        || texts[..count].iter().flatten().any(|text| crate::flags::is_flag(text, "-s"))
        || texts.get(count).is_some_and(|text| matches!(text.as_deref(), Some("/dev/stdin")));
    reads_input.then_some(Given::Input(shell))
}

const XARGS_WITH_VALUE: &[&str] = &[
    "-a",
    "-d",
    "-E",
    "-I",
    "-L",
    "-n",
    "-P",
    "-s",
    "--arg-file",
    "--delimiter",
    "--max-args",
    "--max-procs",
    "--max-lines",
    "--max-chars",
    "--process-slot-var",
    "--replace",
];

/// The command lines among the arguments of `xargs` and `find`.
pub(crate) fn launched<'a>(name: Option<&str>, arguments: &'a [Word]) -> Vec<&'a [Word]> {
    match name {
        Some("xargs") => {
            let mut at = 0;
            while let Some(word) = arguments.get(at) {
                let text = word.text();
                if !text.starts_with('-') {
                    break;
                }
                // `-0n 1`: the last of several takes the value.
                let letters = text.trim_start_matches(|c: char| "-0rtpxo".contains(c));
                let cluster = !text.starts_with("--") && letters.len() == 1;
                let takes = XARGS_WITH_VALUE
                    .iter()
                    .any(|option| *option == text || cluster && option.len() == 2 && option.ends_with(letters));
                at += if takes { 2 } else { 1 };
            }
            arguments.get(at..).filter(|words| !words.is_empty()).into_iter().collect()
        }
        Some("find") => {
            let mut found = Vec::new();
            let mut at = 0;
            while at < arguments.len() {
                at += 1;
                if !matches!(&*arguments[at - 1].text(), "-exec" | "-execdir" | "-ok" | "-okdir") {
                    continue;
                }
                let rest = &arguments[at..];
                let end = rest.iter().position(|word| matches!(&*word.text(), ";" | "+")).unwrap_or(rest.len());
                if end > 0 {
                    found.push(&rest[..end]);
                }
                at += end;
            }
            found
        }
        _ => Vec::new(),
    }
}
