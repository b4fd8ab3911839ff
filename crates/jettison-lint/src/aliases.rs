//! The codes of hadolint, and which rule answers to each: a page for those who come from there.

use crate::rule::Rule;
use crate::rules;
use std::fmt::Write as _;

/// The codes of hadolint 2.15 with what each is about, in order. Numbers that are missing were never used, or were withdrawn.
const HADOLINT: &[(&str, &str)] = &[
    ("DL1000", "the Dockerfile cannot be parsed"),
    ("DL1001", "comments that ignore findings"),
    ("DL3000", "`WORKDIR` with a relative path"),
    ("DL3001", "commands that make no sense in a build"),
    ("DL3002", "root as the last user"),
    ("DL3003", "`cd` where `WORKDIR` would do"),
    ("DL3004", "`sudo`"),
    ("DL3006", "base images without a tag"),
    ("DL3007", "base images with the tag `latest`"),
    ("DL3008", "versions of `apt-get install`"),
    ("DL3009", "lists that `apt-get update` leaves"),
    ("DL3010", "archives that `ADD` would unpack"),
    ("DL3011", "ports out of range"),
    ("DL3012", "several `HEALTHCHECK`s"),
    ("DL3013", "versions of `pip install`"),
    ("DL3014", "`apt-get install` without `-y`"),
    ("DL3015", "`apt-get install` without `--no-install-recommends`"),
    ("DL3016", "versions of `npm install`"),
    ("DL3018", "versions of `apk add`"),
    ("DL3019", "`apk add` without `--no-cache`"),
    ("DL3020", "`ADD` where `COPY` would do"),
    ("DL3021", "`COPY` of several files to what is no directory"),
    ("DL3022", "`COPY --from` of an unknown stage"),
    ("DL3023", "`COPY --from` of its own stage"),
    ("DL3024", "stages of the same name"),
    ("DL3025", "`CMD` and `ENTRYPOINT` in shell form"),
    ("DL3026", "registries that are not trusted"),
    ("DL3027", "`apt` in scripts"),
    ("DL3028", "versions of `gem install`"),
    ("DL3029", "`FROM --platform`"),
    ("DL3030", "`yum install` without `-y`"),
    ("DL3032", "`yum clean all` missing"),
    ("DL3033", "versions of `yum install`"),
    ("DL3034", "`zypper` without `--non-interactive`"),
    ("DL3035", "`zypper dist-upgrade`"),
    ("DL3036", "`zypper clean` missing"),
    ("DL3037", "versions of `zypper install`"),
    ("DL3038", "`dnf install` without `-y`"),
    ("DL3040", "`dnf clean all` missing"),
    ("DL3041", "versions of `dnf install`"),
    ("DL3042", "the cache of `pip install`"),
    ("DL3043", "instructions that cannot be triggered by `ONBUILD`"),
    ("DL3044", "`ENV` that refers to what it sets itself"),
    ("DL3045", "`COPY` to a relative path without `WORKDIR`"),
    ("DL3046", "`useradd` of a high number without `-l`"),
    ("DL3047", "`wget` that fills the log"),
    ("DL3048", "keys of labels"),
    ("DL3049", "labels that are missing"),
    ("DL3050", "labels that are not in the schema"),
    ("DL3051", "labels that are empty"),
    ("DL3052", "labels that are no URLs"),
    ("DL3053", "labels that are no times"),
    ("DL3054", "labels that are no licences"),
    ("DL3055", "labels that are no commits"),
    ("DL3056", "labels that are no semantic versions"),
    ("DL3057", "`HEALTHCHECK` missing"),
    ("DL3058", "labels that are no e-mail addresses"),
    ("DL3059", "consecutive `RUN`s"),
    ("DL3060", "the cache of `yarn install`"),
    ("DL3061", "instructions above the first `FROM`"),
    ("DL3062", "versions of `go install`"),
    ("DL3063", "reserved names of stages"),
    ("DL3064", "secrets in `ARG` and `ENV`"),
    ("DL3065", "`FROM --platform=$TARGETPLATFORM`"),
    ("DL3066", "users that are no numbers"),
    ("DL3067", "copies of a whole file system"),
    ("DL4000", "`MAINTAINER`"),
    ("DL4001", "`curl` and `wget` in one stage"),
    ("DL4003", "several `CMD`s"),
    ("DL4004", "several `ENTRYPOINT`s"),
    ("DL4005", "a shell that is linked to `/bin/sh`"),
    ("DL4006", "pipes without `pipefail`"),
];

/// The rules that answer to a code of hadolint's, by their own codes.
pub fn answers(code: &str) -> impl Iterator<Item = &'static Rule> {
    rules::all().filter(move |rule| rule.hadolint.iter().any(|known| known.eq_ignore_ascii_case(code)))
}

/// `docs/rules/hadolint.md`: each code, and the rules that answer to it.
pub(crate) fn page() -> String {
    let mut page = "# For those who come from hadolint\n\n\
        The codes of hadolint and of ShellCheck are understood wherever a rule is named: in comments (`# hadolint ignore=DL3008`), \
        on the command line and in the configuration, and a `.hadolint.yaml` beside the Dockerfile is read. This is which rule answers \
        to each code. Those marked \"off\" are looked for when they are selected, by any of their names.\n\n\
        | hadolint | is about | here | fix |\n|---|---|---|---|\n"
        .to_owned();
    for (code, about) in HADOLINT {
        let rules: Vec<&Rule> = answers(code).collect();
        let link =
            |rule: &&Rule| format!("[{}]({}.md){}", rule.name, rule.name, if rule.default { "" } else { " (off)" });
        let fix = if rules.iter().any(|rule| rule.fixable != crate::Fixable::No) { "yes" } else { "" };
        let links = rules.iter().map(link).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {code} | {about} | {links} | {fix} |");
    }
    page.push_str(
        "| SC1000–SC3999 | ShellCheck | [shellcheck](shellcheck.md) | yes |\n\n\
         Where the answers differ on purpose, by being about the image and not about the line, the page of the rule says how. \
         `DL3005`, `DL3017`, `DL3031`, `DL3039` and `DL4002`, which hadolint has withdrawn, stand for nothing here either.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_answer_and_every_alias_is_a_code() {
        let unanswered: Vec<_> = HADOLINT.iter().filter(|(code, _)| answers(code).next().is_none()).collect();
        assert!(unanswered.is_empty(), "{unanswered:?}");
        assert!(HADOLINT.is_sorted_by_key(|(code, _)| code));
        for rule in rules::all() {
            for alias in rule.hadolint {
                assert!(HADOLINT.iter().any(|(code, _)| code == alias), "{} has {alias}", rule.name);
            }
        }
    }
}
