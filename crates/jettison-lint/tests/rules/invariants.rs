//! What is true of the rules whatever the Dockerfile.

use jettison_dockerfile::{Dockerfile, Severity, Span, apply};
use jettison_lint::{Config, Context, Finding, Place, Safety, Selector, lint, mend};

/// Looks for everything in `text`, makes every fix, and checks what comes of it.
pub fn check(text: &str) {
    let config = Config { select: vec![Selector::All], ..Config::default() };
    let file = Dockerfile::parse(text);
    let found = lint(&file, &Context::none(), &(), &config);
    for finding in &found {
        check_finding(&file, finding);
    }
    let mended = mend(text, &Context::none(), &(), &config, Safety::Unsafe);
    assert!(
        errors(&Dockerfile::parse(&mended.text)) <= errors(&file),
        "the fixes broke it:\n{text}\n---\n{}",
        mended.text
    );
    let again = mend(&mended.text, &Context::none(), &(), &config, Safety::Unsafe);
    assert_eq!(again.text, mended.text, "there was more to mend:\n{text}\n{:?}", again.done);
}

fn check_finding(file: &Dockerfile, finding: &Finding) {
    let name = finding.rule.name;
    let is_place = |span: Span| file.source().get(span.start..span.end).is_some();
    match &finding.place {
        Place::Dockerfile(span) => assert!(is_place(*span), "{name} is nowhere: {span:?}\n{}", file.source()),
        Place::Context { .. } => panic!("{name} is in a context that there is not"),
    }
    for (span, label) in &finding.labels {
        assert!(is_place(*span), "{name}: `{label}` is nowhere: {span:?}\n{}", file.source());
    }
    assert!(!finding.message.is_empty() && !finding.message.ends_with('.'), "{name}: {}", finding.message);
    if let Some(fix) = &finding.fix {
        let made = apply(file.source(), &fix.edits);
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}\n{:?}\n{}", fix.edits, file.source()));
        assert!(made != file.source() || !fix.files.is_empty(), "{name}: the fix changes nothing\n{made}");
    }
}

fn errors(file: &Dockerfile) -> usize {
    file.problems().iter().filter(|problem| problem.severity > Severity::Warning).count()
}
