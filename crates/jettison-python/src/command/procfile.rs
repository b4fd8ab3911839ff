//! `Procfile`: one process type and its command a line (Heroku, Foreman).
//!
//! An image without a shell cannot run a shell's line, so the line is taken apart here: words and quotes, `exec`, assignments in front,
//! `$PORT`. What only a shell can do is said to be that.

use super::modules::Modules;
use super::{CommandError, Context, Detected, Found, Kind};

/// What a process line comes to without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessLine {
    /// `NAME=value` in front of the command.
    pub env: Vec<(String, String)>,
    /// The command.
    pub argv: Vec<String>,
    /// The variables that took their defaults (`${NAME:-default}`).
    pub defaulted: Vec<String>,
}

/// The commands of a Procfile by process type, in order. Lines that name none are passed over, as Heroku does.
pub fn parse(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let split = lines.filter_map(|line| line.split_once(':'));
    let named = split.map(|(name, command)| (name.trim().to_owned(), command.trim().to_owned()));
    named
        .filter(|(name, command)| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            !name.is_empty() && name.chars().all(is_name) && !command.is_empty()
        })
        .collect()
}

/// Takes a command line apart as a POSIX shell would (Shell Command Language, 2.2, 2.3), with `port` for `$PORT`. The error says what only a
/// shell could do.
pub fn parse_line(line: &str, port: u16) -> Result<ProcessLine, String> {
    let mut words = Words { port, defaulted: Vec::new() }.split(line)?;
    let defaulted = words.1;
    let mut env = Vec::new();
    let mut argv = std::mem::take(&mut words.0);
    while let Some((name, value)) = argv.first().and_then(|word| word.split_once('=')) {
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !is_name {
            break;
        }
        env.push((name.to_owned(), value.to_owned()));
        argv.remove(0);
    }
    if matches!(argv.first().map(String::as_str), Some("exec" | "env")) {
        argv.remove(0);
    }
    match argv.first().map(String::as_str) {
        None => Err("there is no command in it".to_owned()),
        Some("sh" | "bash" | "/bin/sh" | "/bin/bash") => Err("it runs a shell".to_owned()),
        Some(command) if command.ends_with(".sh") => Err(format!("it runs the shell script `{command}`")),
        Some("cd" | "source" | "." | "export" | "if" | "for" | "while") => Err(format!("`{}` is a shell's", argv[0])),
        Some(_) => Ok(ProcessLine { env, argv, defaulted }),
    }
}

struct Words {
    port: u16,
    defaulted: Vec<String>,
}

impl Words {
    fn split(mut self, line: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                c if c.is_whitespace() => words.extend(word.take()),
                '#' if word.is_none() => break,
                '&' | '|' | ';' | '<' | '>' | '(' | ')' | '`' => return Err(format!("`{c}` needs a shell")),
                '*' | '?' | '[' => return Err(format!("`{c}` is a pattern that needs a shell")),
                '\'' => {
                    let word = word.get_or_insert_default();
                    loop {
                        match rest.next() {
                            None => return Err("a quote ' is not closed".to_owned()),
                            Some('\'') => break,
                            Some(c) => word.push(c),
                        }
                    }
                }
                '"' => {
                    let word = word.get_or_insert_default();
                    loop {
                        match rest.next() {
                            None => return Err("a quote \" is not closed".to_owned()),
                            Some('"') => break,
                            Some('`') => return Err("`` ` `` needs a shell".to_owned()),
                            Some('$') => word.push_str(&self.variable(&mut rest)?),
                            Some('\\') => match rest.next() {
                                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                                Some(c) => word.extend(['\\', c]),
                                None => return Err("a quote \" is not closed".to_owned()),
                            },
                            Some(c) => word.push(c),
                        }
                    }
                }
                '$' => {
                    let value = self.variable(&mut rest)?;
                    word.get_or_insert_default().push_str(&value);
                }
                '\\' => word.get_or_insert_default().extend(rest.next()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        Ok((words, self.defaulted))
    }

    /// The value of the variable that follows a `$`.
    fn variable(&mut self, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let braced = rest.next_if_eq(&'{').is_some();
        if rest.peek() == Some(&'(') {
            return Err("`$(…)` needs a shell".to_owned());
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(is_name) {
            name.push(c);
        }
        let mut default = None;
        if braced {
            let inner: String = rest.by_ref().take_while(|&c| c != '}').collect();
            default = match inner.strip_prefix(":-").or_else(|| inner.strip_prefix('-')) {
                Some(value) => Some(value.to_owned()),
                None if inner.is_empty() => None,
                None => return Err(format!("`${{{name}{inner}}}` needs a shell")),
            };
        }
        match (name.as_str(), default) {
            ("", _) => Ok("$".to_owned()),
            ("PORT", _) => Ok(self.port.to_string()),
            (_, Some(default)) => {
                self.defaulted.push(name);
                Ok(default)
            }
            (name, None) => Err(format!("`${name}` is filled in by a shell, and has no default")),
        }
    }
}

/// The port in a command: what follows `--port`, `-p`, `--bind`, `-b`, `--listen`, `--http`, or ends an address.
pub(super) fn port_of(argv: &[String]) -> Option<u16> {
    let flags = ["--port", "-p", "--bind", "-b", "--listen", "--http", "--http-socket", "--address", "--server.port"];
    for (index, word) in argv.iter().enumerate() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), argv.get(index + 1).map(String::as_str)),
        };
        if flags.contains(&flag)
            && let Some(port) = value.and_then(|value| value.rsplit(':').next()?.parse().ok())
        {
            return Some(port);
        }
    }
    // `manage.py runserver 0.0.0.0:8000`
    argv.iter().skip(1).find_map(|word| word.rsplit_once(':')?.1.parse().ok())
}

pub(super) fn find(context: &Context<'_>, modules: &mut Modules<'_>) -> Result<Option<Found>, CommandError> {
    let Some(text) = modules.text("Procfile")? else { return Ok(None) };
    let processes = parse(&text);
    let Some((_, line)) = processes.iter().find(|(name, _)| name == "web") else {
        let names: Vec<_> = processes.iter().map(|(name, _)| name.as_str()).collect();
        modules.looked("Procfile", format!("has no `web` process, only {}", names.join(", ")));
        return Ok(None);
    };
    let parsed = match parse_line(line, context.port) {
        Ok(parsed) => parsed,
        Err(why) => {
            modules.looked("Procfile", format!("`{line}`: {why}"));
            let hint = "the image has no shell: say the command alone in `[tool.jettison] command = […]`, and run migrations and the like as their own step";
            return Ok(Some(Found::unclear(
                format!("the `web` line of the Procfile cannot run without a shell: {why}"),
                hint,
            )));
        }
    };
    modules.looked("Procfile", "says it");
    let warnings = parsed
        .defaulted
        .iter()
        .map(|name| format!("`${name}` in the Procfile takes its default: there is no shell to ask the environment"));
    Ok(Some(Found::Command(Box::new(Detected {
        port: port_of(&parsed.argv),
        warnings: warnings.collect(),
        argv: parsed.argv,
        env: parsed.env,
        kind: Kind::Procfile,
        module: None,
        import_root: String::new(),
        reason: "the Procfile's `web` line".to_owned(),
        looked_at: Vec::new(),
    }))))
}
