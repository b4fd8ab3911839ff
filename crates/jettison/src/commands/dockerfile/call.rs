//! `--call` and `--check`: what is asked of a Dockerfile in place of building it.

use jettison_build::BuildError;
use jettison_build::dockerfile::outline;
use jettison_build::dockerfile::place::Source;
use jettison_build::dockerfile::request::BuildRequest;

use super::check::{Checks, Scope};
use crate::cli::print;
use crate::commands::build::BuildArgs;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{checks_text, outline_text, targets_text};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    what: What,
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Outline,
    Targets,
    Check,
}

impl Call {
    /// `--call=outline|targets|check[,format=json]`, and `--check`; `None` where it is to be built.
    pub fn of(args: &BuildArgs) -> Result<Option<Self>, BuildError> {
        let text = match &args.dockerfile.call {
            _ if args.dockerfile.check => "check",
            Some(text) => text,
            None => return Ok(None),
        };
        let wrong = |what: &str| {
            BuildError::new(format!("--call={text}: {what}"))
                .hint("there are outline, targets and check, with ,format=json")
        };
        let mut call = Self { what: What::Outline, json: args.json };
        for word in text.split(',') {
            match word {
                "outline" => call.what = What::Outline,
                "targets" => call.what = What::Targets,
                "check" | "lint" => call.what = What::Check,
                "build" => return Ok(None),
                "json" | "format=json" => call.json = true,
                "format=text" => call.json = false,
                other => return Err(wrong(&format!("there is no `{other}`"))),
            }
        }
        Ok(Some(call))
    }
}

/// Answers what is asked of a Dockerfile.
pub fn call(call: &Call, args: &BuildArgs, request: &BuildRequest, session: &Session<'_>) -> Result<Exit, BuildError> {
    let source = &request.source;
    if call.what != What::Check {
        source.check()?;
    }
    let said = match call.what {
        What::Targets => {
            let targets = outline::targets(source);
            if call.json { serde_json::json!({ "targets": targets }).to_string() } else { targets_text(&targets) }
        }
        What::Outline => {
            let outline = outline::outline(source, request.target.as_deref(), &request.build_args)?;
            if call.json { serde_json::to_string(&outline)? } else { outline_text(&outline) }
        }
        What::Check => return check(&Checks::of(args, request, session, Scope::All)?, source, call.json),
    };
    print(&said)?;
    Ok(Exit::Fine)
}

/// What is wrong with the file, as `docker build --check` has it.
fn check(checks: &Checks, source: &Source, json: bool) -> Result<Exit, BuildError> {
    if json {
        print(&serde_json::to_string_pretty(checks)?)?;
    } else {
        print(&checks_text(&source.name, source.dockerfile.source(), checks))?;
    }
    let is_fine = checks.warnings.is_empty() && checks.build_error.is_none();
    Ok(if is_fine { Exit::Fine } else { Exit::Findings })
}
