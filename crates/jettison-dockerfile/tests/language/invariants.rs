//! What must hold for any text at all. The tests and the fuzzers share it.

use jettison_dockerfile::{
    Dockerfile, Edit, Expander, Ignore, Instruction, InstructionKind, Severity, Span, Word, apply, expand_word,
    expand_words,
};

/// Reads `text` in every way there is and checks what must hold.
pub fn check(text: &str) {
    let file = Dockerfile::parse(text);
    assert_eq!(file.print(), text, "the tokens hold every byte");
    assert!(tile(file.tokens().iter().map(|token| token.span), 0, text.len()), "the tokens hold every byte once");
    let first = if text.starts_with('\u{feff}') { 3 } else { 0 };
    assert!(tile(file.nodes().iter().map(|node| node.span), first, text.len()), "the nodes hold every line once");
    for problem in file.problems() {
        assert!(text.get(problem.span.range()).is_some(), "{problem} is at a place in the text: {:?}", problem.span);
        assert!(problem.position.line <= text.matches('\n').count() + 1);
        assert!(file.line(problem.position.line).is_some());
        assert!(!problem.message().is_empty());
        let _ = problem.hint();
    }
    let mut end = 0;
    for instruction in file.instructions() {
        assert!(end <= instruction.span.start, "instructions come one after the other");
        end = instruction.span.end;
        check_instruction(&file, instruction);
    }
    let stages: usize = file.stages().iter().map(|stage| file.body(stage).len() + 1).sum();
    assert_eq!(file.preamble().len() + stages, file.instructions().len(), "each instruction is in one stage");
    for stage in file.stages() {
        assert!(matches!(file.head(stage).kind, InstructionKind::From(_)));
    }
    if file.error().is_none() {
        assert!(!file.stages().is_empty());
        assert!(file.problems().iter().all(|problem| problem.severity < Severity::Error));
    }
    check_words(text, file.escape());
    if let Ok(ignore) = Ignore::parse(text) {
        let _ = (ignore.matches("a/b/c.py"), ignore.prunes("a"));
    }
    let _ = Dockerfile::parse_trigger(text);
}

fn tile(spans: impl Iterator<Item = Span>, start: usize, end: usize) -> bool {
    let mut at = start;
    for span in spans {
        if span.start != at || span.is_empty() {
            return false;
        }
        at = span.end;
    }
    at == end
}

fn check_instruction(file: &Dockerfile, instruction: &Instruction) {
    let within = |word: &Word| {
        let span = word.span();
        assert!(instruction.span.contains(span), "{word:?} is within {:?}", instruction.span);
        assert!(file.source().get(span.range()).is_some(), "{word:?} begins and ends at characters");
        let bytes = file.source().as_bytes();
        for (at, c) in word.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
            // Only JSON writes a letter as something else.
            let source = bytes[word.locate(at)];
            assert!(source == c as u8 || source == b'\\', "{word:?} knows where `{c}` was written");
        }
    };
    within(&instruction.keyword);
    within(&instruction.arguments);
    within(&instruction.text);
    for flag in &instruction.flags {
        within(&flag.name);
        flag.value.iter().for_each(within);
    }
    for heredoc in &instruction.heredocs {
        within(&heredoc.content);
        assert_eq!(file.text(heredoc.body), heredoc.written);
    }
    for (word, _) in instruction.expandable() {
        within(word);
        check_words(word, file.escape());
    }
    let _ = instruction.script();
    match &instruction.kind {
        InstructionKind::Onbuild(onbuild) => {
            check_instruction(file, &onbuild.trigger);
            let _ = Dockerfile::parse_trigger(&onbuild.expression());
        }
        InstructionKind::Run(run) => {
            for mount in &run.mounts {
                let _ = mount.resolve(Expander::new(file.escape()), &environment().as_slice());
            }
        }
        _ => {}
    }
    // A fix that rewrites a keyword leaves all else as it was.
    let edit = Edit { span: instruction.keyword.span(), text: "RUN".to_owned() };
    let edited = apply(file.source(), &[edit]).map(|edited| edited.len() + instruction.keyword.span().len());
    assert_eq!(edited, Ok(file.source().len() + 3), "a keyword is at a place in the text");
}

fn environment() -> Vec<(String, String)> {
    [("A", "a value/with*stars"), ("B", ""), ("x", "é\n$A")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

fn check_words(text: &str, escape: jettison_dockerfile::Escape) {
    let environment = environment();
    let environment = environment.as_slice();
    let expander = Expander::new(escape);
    let checked = expander.check(text);
    if let Err(error) = &checked {
        assert!(error.range.start <= error.range.end && error.range.end <= text.len());
        let _ = (error.to_string(), error.hint());
    }
    match expand_word(text, escape, &environment) {
        Ok(_) => {
            assert!(checked.is_ok() || text.contains(['#', '%', '/']), "what expands has nothing wrong: {checked:?}")
        }
        Err(error) => assert!(error.range.end <= text.len()),
    }
    let _ = expand_words(text, escape, &environment);
    let _ = Expander::heredoc().word(text, &environment);
    // In double quotes an escape that means nothing is kept twice, as in BuildKit: patterns depend on it.
    if !text.contains('"')
        && let Ok(kept) = expander.keep_unset().keep_quotes().keep_escapes().word(text, &())
    {
        assert_eq!(kept.value, text, "nothing is lost when all is kept");
    }
}
