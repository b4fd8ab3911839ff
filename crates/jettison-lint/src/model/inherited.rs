//! What a stage gets from the image at its bottom: variables, a directory, a shell. The catalog knows, or the name of the image tells.

use super::{Base, Stage, Subject, System};
use crate::catalog::ImageFacts;
use jettison_oci::reference::Reference;

/// What is known of the image at the bottom of a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inherited {
    /// The names of its variables, `PATH` always among them: BuildKit sets it where the image does not.
    pub variables: Vec<String>,
    /// Whether these are all that it has.
    pub is_complete: bool,
    /// Its directory, if it is known.
    pub workdir: Option<String>,
    /// Whether it is known to have a `SHELL`.
    pub has_shell: bool,
}

/// Official images, and what their configurations have had in all the years, besides `PATH`; in all of them the directory is `/`.
const OFFICIAL: [(&str, &[&str]); 8] = [
    ("alpine", &[]),
    ("buildpack-deps", &[]),
    ("busybox", &[]),
    ("debian", &[]),
    ("node", &["NODE_VERSION", "YARN_VERSION"]),
    (
        "python",
        &[
            "LANG",
            "GPG_KEY",
            "PYTHON_VERSION",
            "PYTHON_SHA256",
            "PYTHON_PIP_VERSION",
            "PYTHON_SETUPTOOLS_VERSION",
            "PYTHON_GET_PIP_URL",
            "PYTHON_GET_PIP_SHA256",
        ],
    ),
    ("rust", &["RUSTUP_HOME", "CARGO_HOME", "RUST_VERSION"]),
    ("ubuntu", &[]),
];

impl Inherited {
    /// Of a stage.
    pub fn of(subject: &Subject<'_>, stage: &Stage<'_>) -> Self {
        let path = || "PATH".to_owned();
        let chain = subject.chain(stage);
        let bottom = chain.first().copied().unwrap_or(stage);
        let reference = match &bottom.base {
            Base::Image(reference) => reference,
            Base::Scratch => {
                return Self {
                    variables: vec![path()],
                    is_complete: true,
                    workdir: Some("/".to_owned()),
                    has_shell: false,
                };
            }
            Base::Stage(_) | Base::Unknown => return Self { variables: vec![path()], ..Self::default() },
        };
        if let Some(facts) = facts(subject, bottom, reference) {
            let workdir = if facts.workdir.is_empty() { "/".to_owned() } else { facts.workdir };
            let mut variables = facts.variables;
            variables.push(path());
            return Self { variables, is_complete: true, workdir: Some(workdir), has_shell: facts.has_shell };
        }
        let name = reference.name();
        let official = ["docker.io/library/", "public.ecr.aws/docker/library/"]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .filter(|_| stage.system() != System::Windows);
        match OFFICIAL.iter().find(|(name, _)| official == Some(name)) {
            Some((_, variables)) => Self {
                variables: variables.iter().map(|name| (*name).to_owned()).chain([path()]).collect(),
                is_complete: true,
                workdir: Some("/".to_owned()),
                has_shell: false,
            },
            None => Self { variables: vec![path()], ..Self::default() },
        }
    }

    /// Whether it has this variable; `None` where that cannot be told.
    pub fn has(&self, name: &str) -> Option<bool> {
        let found = self.variables.iter().any(|variable| variable == name);
        (found || self.is_complete).then_some(found)
    }
}

/// What the catalog knows of the image that a stage begins with.
pub(crate) fn facts(subject: &Subject<'_>, stage: &Stage<'_>, image: &Reference) -> Option<ImageFacts> {
    let platform = match &stage.syntax.from.platform {
        // Where programs run is where the image is built for, or near enough.
        Some(word)
            if !matches!(
                word.as_str(),
                "$BUILDPLATFORM" | "${BUILDPLATFORM}" | "$TARGETPLATFORM" | "${TARGETPLATFORM}"
            ) =>
        {
            Some(subject.globals.expand(word, subject.file.escape())?)
        }
        _ => None,
    };
    subject.catalog.image(image, platform.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Context, model::Scripts};
    use jettison_dockerfile::Dockerfile;

    #[test]
    fn scratch_and_official_images_have_nothing_that_is_not_known() {
        let file = Dockerfile::parse("FROM scratch AS a\nFROM a\nFROM python:3.12\nFROM example.com/x\nFROM $X\n");
        let (scripts, context, config) = (Scripts::default(), Context::none(), Config::default());
        let subject = Subject::new(&file, &scripts, &context, &(), &config);
        let told: Vec<_> = subject
            .stages
            .iter()
            .map(|stage| {
                let inherited = Inherited::of(&subject, stage);
                (inherited.has("PATH"), inherited.has("PYTHON_VERSION"), inherited.workdir.is_some())
            })
            .collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(told, [(yes, no, true), (yes, no, true), (yes, yes, true), (yes, None, false), (yes, None, false)]);
    }
}
