use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, Manager, OperandKind, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET307",
    name: "tool-version-missing",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3016", "DL3028", "DL3062"],
    docs: r#"
A package of npm, RubyGems, Go or Cargo is installed without its version.

## Why

The newest version is taken when the layer is built, and stays in the cache of that machine while another machine gets a newer one.
These archives keep all versions, so a version that is written down is always there.

## Example

```dockerfile bad lines=2,3,4
FROM node:20-slim
RUN npm install -g corepack @scope/tool
RUN npm install --global n@latest
RUN gem install bundler
```

```dockerfile bad lines=2
FROM golang:1.23
RUN go install example.com/tool/cmd@latest
```

```dockerfile good
FROM node:20-slim
RUN npm install && npm ci && npm install -g corepack@0.29.4 @scope/tool@1.2 ./own
RUN gem install bundler:2.5 && gem install rails --version 7.1
RUN go install example.com/tool/cmd@v1.2.3 && go install ./cmd/server && go install
RUN cargo install --path . && cargo install just@1.36
```

## Fix

None.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        for (_, call) in &step.packages {
            if call.action != Action::Install || is_held(call) {
                continue;
            }
            let separator = match call.manager {
                Manager::Npm | Manager::Yarn | Manager::Pnpm | Manager::Go | Manager::Cargo => '@',
                Manager::Gem => ':',
                _ => continue,
            };
            for operand in call.packages() {
                let name = operand.name.as_str();
                // A package of the project itself.
                let local = call.manager == Manager::Go && (name.starts_with('.') || !name.contains('.'));
                let version = operand.version.as_deref().map(|version| version.trim_start_matches(['@', ':', '=']));
                if local || operand.kind != OperandKind::Package || !matches!(version, None | Some("" | "latest")) {
                    continue;
                }
                findings
                    .report(shell.span(operand.range.clone()), format!("`{name}` is installed in its newest version"))
                    .help(format!("write `{name}{separator}VERSION`"));
            }
        }
    }
}

/// Whether the version, or a lock, is given by an option.
fn is_held(call: &PackageCall<'_>) -> bool {
    match call.manager {
        Manager::Gem => call.has(&["-v", "--version", "-g", "--file"]),
        Manager::Cargo => call.has(&["--version", "--vers", "--path", "--git", "--tag", "--rev"]),
        _ => false,
    }
}
