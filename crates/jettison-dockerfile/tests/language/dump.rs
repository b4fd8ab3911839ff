//! A Dockerfile as text that a person can check: what each instruction says, and where each word of it stands.

use jettison_dockerfile::instruction::{CommandLine, Expands, Healthcheck, Source, Transfer};
use jettison_dockerfile::{Dockerfile, Instruction, InstructionKind, NodeKind, Span, Word};
use std::fmt::Write;

/// All of it.
pub fn dump(file: &Dockerfile) -> String {
    let mut dump = Dump { file, text: String::new() };
    for node in file.nodes() {
        let place = dump.place(node.span);
        match node.kind {
            NodeKind::Blank => {}
            NodeKind::Comment => dump.line(0, "comment", &place),
            NodeKind::Directive(index) => {
                let directive = &file.directives()[index];
                let value = dump.word(&directive.value);
                dump.line(0, &format!("directive {}", directive.name.as_str()), &value);
            }
            NodeKind::Instruction(index) => dump.instruction(0, &file.instructions()[index]),
        }
    }
    for stage in file.stages() {
        let name = stage.name.as_deref().unwrap_or("-");
        let said = format!("{name} {} with {} instructions", dump.place(stage.span), file.body(stage).len());
        dump.line(0, &format!("stage {}", stage.index), &said);
    }
    for problem in file.problems() {
        let place = dump.place(problem.span);
        let severity = format!("{:?}", problem.severity).to_lowercase();
        dump.line(0, &severity, &format!("{place} {}", problem.message()));
        if let Some(hint) = problem.hint() {
            dump.line(1, "hint", &hint);
        }
    }
    dump.text
}

struct Dump<'f> {
    file: &'f Dockerfile,
    text: String,
}

impl Dump<'_> {
    fn line(&mut self, depth: usize, name: &str, value: &str) {
        let _ = writeln!(self.text, "{:1$}{name} {value}", "", depth * 2);
    }

    fn place(&self, span: Span) -> String {
        let (start, end) = (self.file.position(span.start), self.file.position(span.end));
        if start.line == end.line {
            format!("{}:{}-{}", start.line, start.column, end.column)
        } else {
            format!("{}:{}-{}:{}", start.line, start.column, end.line, end.column)
        }
    }

    fn word(&self, word: &Word) -> String {
        format!("{:?} {}", word.as_str(), self.place(word.span()))
    }

    fn words<'w>(&mut self, depth: usize, name: &str, words: impl IntoIterator<Item = &'w Word>) {
        for word in words {
            let value = self.word(word);
            self.line(depth, name, &value);
        }
    }

    fn instruction(&mut self, depth: usize, instruction: &Instruction) {
        let place = self.place(instruction.span);
        self.line(depth, &instruction.name(), &place);
        let inner = depth + 1;
        for comment in &instruction.comments {
            self.line(inner, "comment", comment);
        }
        for flag in &instruction.flags {
            let value = flag.value.as_ref().map(|value| format!(" {:?}", value.as_str())).unwrap_or_default();
            let place = self.place(flag.span);
            self.line(inner, &format!("--{}", flag.name), &format!("{place}{value}"));
        }
        self.kind(inner, instruction);
        for heredoc in &instruction.heredocs {
            let said = format!("{:?} {}", heredoc.content.as_str(), self.place(heredoc.body));
            let expand = if heredoc.expand { "expands" } else { "literal" };
            let fd = heredoc.descriptor.map(|fd| format!(" to {fd}")).unwrap_or_default();
            self.line(inner, &format!("heredoc {:?} {expand}{fd}", heredoc.name), &said);
        }
        if let Some(script) = instruction.script().filter(|_| !instruction.heredocs.is_empty()) {
            self.line(inner, "script", &format!("{script:?}"));
        }
        let expands: Vec<String> = instruction
            .expandable()
            .into_iter()
            .filter(|(word, _)| word.contains(['$', '"', '\'', '\\']))
            .map(|(word, how)| match how {
                Expands::Word => format!("{:?}", word.as_str()),
                how => format!("{:?} as {how:?}", word.as_str()),
            })
            .collect();
        if !expands.is_empty() {
            self.line(inner, "expands", &expands.join(", "));
        }
    }

    fn kind(&mut self, depth: usize, instruction: &Instruction) {
        match &instruction.kind {
            InstructionKind::Add(add) => {
                self.transfer(depth, &add.transfer);
                self.words(depth, "checksum", &add.checksum);
                let said = format!("{:?} unpack {:?}", add.keep_git_dir, add.unpack);
                self.line(depth, "keep-git-dir", &said);
            }
            InstructionKind::Copy(copy) => {
                self.transfer(depth, &copy.transfer);
                self.words(depth, "from", &copy.from);
                if copy.parents {
                    self.line(depth, "parents", "true");
                }
            }
            InstructionKind::Arg(arguments) => {
                for argument in arguments {
                    let default = argument.default.as_ref().map(|default| self.word(default));
                    let said = format!("{} = {}", self.word(&argument.name), default.as_deref().unwrap_or("nothing"));
                    self.line(depth, "arg", &said);
                }
            }
            InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
                for pair in pairs {
                    let said = format!("{} = {}", self.word(&pair.key), self.word(&pair.value));
                    self.line(depth, if pair.legacy { "legacy" } else { "pair" }, &said);
                }
            }
            InstructionKind::From(from) => {
                self.words(depth, "platform", &from.platform);
                self.words(depth, "image", [&from.image]);
                self.words(depth, "as", &from.as_keyword);
                self.words(depth, "name", &from.name);
            }
            InstructionKind::Run(run) => {
                for mount in &run.mounts {
                    let value = self.word(&mount.value);
                    self.line(depth, "mount", &value);
                    for option in &mount.options {
                        self.words(depth + 1, "key", [&option.key]);
                        self.words(depth + 2, "value", &option.value);
                    }
                }
                self.words(depth, "device", &run.devices);
                let said = format!("{} security {}", run.network, run.security);
                self.line(depth, "network", &said);
                self.command(depth, &run.command);
            }
            InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => self.command(depth, command),
            InstructionKind::Healthcheck(Healthcheck::None) => self.line(depth, "none", ""),
            InstructionKind::Healthcheck(Healthcheck::Check(check)) => {
                let said = format!(
                    "every {:?} within {:?} starts {:?} every {:?} retries {:?}",
                    check.interval, check.timeout, check.start_period, check.start_interval, check.retries
                );
                self.line(depth, "check", &said);
                self.command(depth, &check.command);
            }
            InstructionKind::Onbuild(onbuild) => {
                let expression = format!("{:?}", onbuild.expression());
                self.line(depth, "trigger", &expression);
                self.instruction(depth, &onbuild.trigger);
            }
            InstructionKind::Expose(words) | InstructionKind::Shell(words) | InstructionKind::Volume(words) => {
                self.words(depth, "word", words);
            }
            InstructionKind::Maintainer(word)
            | InstructionKind::Stopsignal(word)
            | InstructionKind::User(word)
            | InstructionKind::Workdir(word) => self.words(depth, "word", [word]),
            InstructionKind::Invalid => self.line(depth, "invalid", ""),
        }
    }

    fn command(&mut self, depth: usize, command: &CommandLine) {
        match command {
            CommandLine::Shell(text) => self.words(depth, "shell", [text]),
            CommandLine::Exec(words) => {
                self.line(depth, "exec", &words.len().to_string());
                self.words(depth + 1, "word", words);
            }
        }
    }

    fn transfer(&mut self, depth: usize, transfer: &Transfer) {
        for source in &transfer.sources {
            match source {
                Source::Path(path) => self.words(depth, "source", [path]),
                Source::Heredoc(index) => self.line(depth, "source heredoc", &index.to_string()),
            }
        }
        self.words(depth, "destination", [&transfer.destination]);
        self.words(depth, "chown", &transfer.chown);
        self.words(depth, "chmod", &transfer.chmod);
        self.words(depth, "exclude", &transfer.excludes);
        if transfer.link {
            self.line(depth, "link", "true");
        }
    }
}
