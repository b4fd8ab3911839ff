use super::*;
use crate::{Config, Context};

#[test]
fn a_stage_knows_what_is_in_force() {
    let file = Dockerfile::parse(
        "ARG V=3.12\nFROM python:$V-slim AS base\nENV A=1 PATH=/x:$PATH\nUSER app\nWORKDIR /srv\nSHELL [\"/bin/bash\", \"-eo\", \"pipefail\", \"-c\"]\n\
         FROM base AS build\nWORKDIR app\nRUN cd sub && pip install -r requirements.txt\nFROM alpine AS unused\nFROM base\n\
         COPY --from=build /srv /srv\nCOPY . ./\nCMD python main.py\n",
    );
    let (scripts, context, config) = (Scripts::default(), Context::none(), Config::default());
    let subject = Subject::new(&file, &scripts, &context, &(), &config);
    let told: Vec<_> = subject
        .stages
        .iter()
        .map(|stage| (stage.label(), stage.base.clone(), stage.is_shipped, stage.is_needed))
        .collect();
    let reference = |name: &str| Base::Image(Reference::parse(name).unwrap());
    assert_eq!(
        told,
        [
            ("base".to_owned(), reference("python:3.12-slim"), true, true),
            ("build".to_owned(), Base::Stage(0), false, true),
            ("unused".to_owned(), reference("alpine"), false, false),
            ("3".to_owned(), Base::Stage(0), true, true),
        ]
    );
    let build = &subject.stages[1];
    assert_eq!((build.python().unwrap().version, build.system()), (Some((3, Some(12))), System::Debian));
    let run = &build.steps[1];
    assert_eq!((run.user.as_deref(), run.workdir.as_deref()), (Some("app"), Some("/srv/app")));
    assert_eq!(run.scope.value("A"), Some("1"));
    assert!(
        run.scope.variable("PATH").is_some() && run.scope.value("PATH").is_none() && run.scope.variable("V").is_none()
    );
    let shell = run.shell.unwrap();
    assert!(shell.shell.pipefail);
    let pip = run.commands.iter().find(|command| command.is("pip")).unwrap();
    assert_eq!(file.text(shell.span(pip.range())), "pip install -r requirements.txt");
    assert_eq!((pip.directory(), run.packages.len()), (Some("/srv/app/sub"), 1));
    let copy = &subject.stages[3].steps[1];
    assert_eq!((copy.copies_whole_context(), copy.destination().as_deref()), (true, Some("/srv/")));
    assert_eq!(subject.shipped().count(), 4 + 3);
}
