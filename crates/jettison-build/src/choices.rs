//! What a build takes for granted unless it is told otherwise: the Python version, the user.

use jettison_debian::made::Account;
use jettison_python::Version;
use jettison_python::project::Project;

use crate::error::BuildError;
use crate::settings::Settings;

/// The user that an image runs as, and its group.
const USER: u32 = 65_532;
const USER_NAME: &str = "nonroot";

/// `3.13`: as asked for, as the project pins it, or the newest stable one that it allows.
pub fn python_version(project: &Project, settings: &Settings) -> Result<String, BuildError> {
    let minor = |text: &str| -> Option<String> {
        let version: Version = text.parse().ok()?;
        let (major, minor) = (version.release().first()?, version.release().get(1)?);
        Some(format!("{major}.{minor}"))
    };
    if let Some(asked) = &settings.python {
        return minor(asked).ok_or_else(|| {
            BuildError::new(format!("`{asked}` is no version of Python"))
                .hint("give two or three numbers, such as 3.13")
        });
    }
    let allows = |python: &str| {
        let newest: Option<Version> = format!("{python}.99").parse().ok();
        let range = project.requires_python.as_ref();
        range.is_none_or(|range| newest.is_some_and(|version| range.allows(&version)))
    };
    if let Some(pin) = &project.python_pin
        && let [major, minor, ..] = pin.version.release()
    {
        if pin.free_threaded {
            return Err(BuildError::new(format!("{}: free-threaded Python is not in Debian", pin.place)));
        }
        return Ok(format!("{major}.{minor}"));
    }
    let stable = jettison_debian::suite::Suite::stable();
    let older =
        jettison_debian::suite::SUITES.iter().rev().filter(|suite| suite.number.is_some()).map(|suite| suite.python);
    let newer = jettison_debian::suite::SUITES
        .iter()
        .filter(|suite| suite.number.is_none())
        .flat_map(|suite| std::iter::once(suite.python).chain(suite.other_pythons.iter().copied()));
    let mut candidates = std::iter::once(stable.python).chain(older).chain(newer);
    candidates.find(|python| allows(python)).map(str::to_owned).ok_or_else(|| {
        let range = project.requires_python.as_ref().map_or("", |range| &range.text);
        BuildError::new(format!("no Debian suite has a Python that the project allows ({range})"))
            .hint("give an interpreter with --base docker://python:3.12-slim or --base archive:URL#sha256=DIGEST")
    })
}

pub fn account(settings: &Settings) -> Result<Account, BuildError> {
    let (uid, gid) = match &settings.user {
        None => (USER, USER),
        Some(user) => ids(user)?,
    };
    let (name, home) = if uid == 0 { ("root", "/root") } else { (USER_NAME, "/home/nonroot") };
    Ok(Account { name: name.to_owned(), uid, gid, home: home.to_owned() })
}

pub fn ids(user: &str) -> Result<(u32, u32), BuildError> {
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok((uid, gid)),
        _ => Err(BuildError::new(format!("`{user}` is no user")).hint("give numbers, such as 65532 or 65532:65532")),
    }
}
