//! Instructions that change the config of the image and none of its files.

use jettison_dockerfile::Word;
use jettison_dockerfile::instruction::{CommandLine, Healthcheck, Onbuild, Pair, port};
use jettison_oci::types::Healthcheck as ConfigHealthcheck;

use super::super::history;
use super::super::stage::StageState;
use super::At;
use crate::error::BuildError;
use crate::run::signal_number;

type Done = Result<(), BuildError>;

/// The pairs, each resolved with the variables that there were before the instruction.
fn pairs(state: &StageState, at: At<'_>, pairs: &[Pair]) -> Result<Vec<(String, String)>, BuildError> {
    let pair = |pair: &Pair| Ok((at.word(&pair.key, &state.scope)?, at.word(&pair.value, &state.scope)?));
    pairs.iter().map(pair).collect()
}

fn said(keyword: &str, pairs: &[(String, String)]) -> String {
    history::pairs(keyword, pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

pub(super) fn env(state: &mut StageState, at: At<'_>, written: &[Pair]) -> Done {
    let pairs = pairs(state, at, written)?;
    for (name, value) in &pairs {
        if name.is_empty() {
            return Err(at.place().error("a variable has no name", None));
        }
        state.config.set_env(name, value);
        state.scope.set(&**name, &**value);
    }
    state.note(said("ENV", &pairs));
    Ok(())
}

pub(super) fn label(state: &mut StageState, at: At<'_>, written: &[Pair]) -> Done {
    let pairs = pairs(state, at, written)?;
    for (name, value) in &pairs {
        if name.is_empty() {
            return Err(at.place().error("a label has no name", None));
        }
        state.config.labels.insert(name.clone(), value.clone());
    }
    state.note(said("LABEL", &pairs));
    Ok(())
}

/// The words of a command, with the shell of the stage in front of a shell form.
fn argv(state: &StageState, command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Shell(text) => state.in_shell(text),
        CommandLine::Exec(words) => words.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn cmd(state: &mut StageState, command: &CommandLine) -> Done {
    let argv = argv(state, command);
    state.note(format!("CMD {}", history::quoted_list(&argv)));
    state.config.cmd = Some(argv);
    state.config.args_escaped = true;
    state.has_cmd = true;
    Ok(())
}

pub(super) fn entrypoint(state: &mut StageState, command: &CommandLine) -> Done {
    let argv = argv(state, command);
    state.note(format!("ENTRYPOINT {}", history::quoted_list(&argv)));
    state.config.entrypoint = Some(argv);
    // The arguments of the image below were for its own entry point.
    if !state.has_cmd {
        state.config.cmd = None;
    }
    Ok(())
}

pub(super) fn expose(state: &mut StageState, at: At<'_>, words: &[Word]) -> Done {
    let mut ports: Vec<String> = Vec::new();
    // The history tells them in this order, as BuildKit's does.
    let mut words: Vec<&Word> = words.iter().collect();
    words.sort_by_key(ToString::to_string);
    for word in words {
        for text in at.split(word, &state.scope)? {
            let parsed = port::parse(&text).map_err(|error| at.place_of(word).error(&error, error.hint()))?;
            for port in parsed.iter().map(ToString::to_string) {
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
    }
    state.note(format!("EXPOSE {}", history::list(&ports)));
    state.config.exposed_ports.extend(ports);
    Ok(())
}

pub(super) fn healthcheck(state: &mut StageState, _: At<'_>, check: &Healthcheck) -> Done {
    let nanoseconds = |duration: Option<std::time::Duration>| {
        duration.filter(|duration| !duration.is_zero()).and_then(|duration| i64::try_from(duration.as_nanos()).ok())
    };
    let check = match check {
        Healthcheck::None => ConfigHealthcheck { test: vec!["NONE".to_owned()], ..ConfigHealthcheck::default() },
        Healthcheck::Check(check) => {
            let mut test = vec![];
            match &check.command {
                CommandLine::Shell(text) => test.extend(["CMD-SHELL".to_owned(), text.to_string()]),
                CommandLine::Exec(words) => {
                    test.push("CMD".to_owned());
                    test.extend(words.iter().map(ToString::to_string));
                }
            }
            ConfigHealthcheck {
                test,
                interval: nanoseconds(check.interval),
                timeout: nanoseconds(check.timeout),
                start_period: nanoseconds(check.start_period),
                start_interval: nanoseconds(check.start_interval),
                retries: check.retries.filter(|retries| *retries > 0).map(i64::from),
                ..ConfigHealthcheck::default()
            }
        }
    };
    state.note(format!("HEALTHCHECK {}", history::health_check(&check)));
    state.config.healthcheck = Some(check);
    Ok(())
}

pub(super) fn maintainer(state: &mut StageState, name: &Word) -> Done {
    state.author = Some(name.to_string());
    state.note(format!("MAINTAINER {name}"));
    Ok(())
}

pub(super) fn onbuild(state: &mut StageState, trigger: &Onbuild) -> Done {
    // The history says nothing of it, as BuildKit's.
    state.config.on_build.push(super::expression(trigger));
    Ok(())
}

pub(super) fn shell(state: &mut StageState, words: &[Word]) -> Done {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    state.note(format!("SHELL {}", history::list(&words)));
    state.config.shell = words;
    Ok(())
}

pub(super) fn stopsignal(state: &mut StageState, at: At<'_>, word: &Word) -> Done {
    let signal = at.word(word, &state.scope)?;
    if signal_number(&signal).is_none() {
        let hint = "such as SIGTERM, SIGINT or 15".to_owned();
        return Err(at.place_of(word).error(format!("`{signal}` is no signal"), Some(hint)));
    }
    state.note(format!("STOPSIGNAL {signal}"));
    state.config.stop_signal = Some(signal);
    Ok(())
}

pub(super) fn user(state: &mut StageState, at: At<'_>, word: &Word) -> Done {
    let user = at.word(word, &state.scope)?;
    state.note(format!("USER {user}"));
    state.config.user = user;
    Ok(())
}

pub(super) fn volume(state: &mut StageState, at: At<'_>, words: &[Word]) -> Done {
    let mut paths = Vec::new();
    for word in words {
        let path = at.word(word, &state.scope)?;
        if path.trim().is_empty() {
            return Err(at.place_of(word).error("a volume has no path", None));
        }
        paths.push(path);
    }
    state.note(format!("VOLUME {}", history::list(&paths)));
    state.config.volumes.extend(paths);
    Ok(())
}
