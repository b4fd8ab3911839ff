//! Dockerfiles by chance, the same for the same seed.

/// Makes files.
pub struct Generator {
    state: u64,
}

const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
    "onbuild run",
    "ONBUILD COPY",
    "Env",
    "copy",
    "FRM",
    "HEALTHCHECK CMD",
];
const FLAGS: &[&str] = &[
    "--from=build",
    "--platform=$A",
    "--chown=a:b",
    "--chmod=755",
    "--link",
    "--parents",
    "--exclude=*.py",
    "--network=none",
    "--mount=type=cache,target=/c",
    "--mount=type=secret,id=a,mode=0400",
    "--mount=type=bind,src=\"a b\",dst=/x,rw",
    "--interval=5s",
    "--retries=3",
    "--checksum=sha256:x",
    "--keep-git-dir",
    "--unknown",
    "--",
    "--x=\\\"",
    "--link=no",
];
const WORDS: &[&str] = &[
    "a",
    "python:3.12-slim",
    "AS",
    "build",
    "scratch",
    "key=value",
    "key=\"two words\"",
    "k='single'",
    "a\\ b",
    "$A",
    "${A}",
    "${A:-b}",
    "${x#*/}",
    "${x%%.*}",
    "${A/b/c}",
    "${A//\\//}",
    "${A:?no}",
    "${A:+${B:-c}}",
    "/path/to/x/",
    ".",
    "*.py",
    "&&",
    "|",
    "#not-a-comment",
    "80/tcp",
    "8000-8010",
    "[\"a\", \"b c\"]",
    "[]",
    "[\"\\u00e9\"]",
    "['x']",
    "[1]",
    "\"",
    "'",
    "é",
    "☃",
    "\\\"",
    "`",
    "\0",
    "=",
    "<<",
    "<<<x",
    "3<<A",
    "CMD",
    "NONE",
    "https://example.com/a.tar.gz",
    "\u{a0}",
    "\u{85}",
];
const ENDS: &[&str] =
    &["\n", "\n", "\n", "\n", "\n\n", "\r\n", " \n", "\t\n", "\\\n", "\\ \n\n#x\n", "`\n", "\\\r\n", "\r", ""];
const HEREDOCS: &[(&str, &str)] = &[
    ("<<EOF", "EOF"),
    ("<<-EOF", "\t\tEOF"),
    ("<<\"A B\"", "A B"),
    ("<<'x'", "x"),
    ("<< EOF", "EOF"),
    ("3<<E", "E"),
    ("<<\\Q", "Q"),
];

impl Generator {
    /// From a seed other than 0.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// A number below `bound` (Marsaglia's xorshift64).
    pub fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % bound.max(1) as u64) as usize
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    /// A file that has something of everything.
    pub fn file(&mut self) -> String {
        let mut file = String::new();
        for (one_in, text) in
            [(12, "\u{feff}"), (20, "#!/bin/x\n"), (4, "# syntax=docker/dockerfile:1\n"), (6, "# escape=`\n")]
        {
            if self.below(one_in) == 0 {
                file.push_str(text);
            }
        }
        file.push_str("FROM a\n");
        for _ in 0..self.below(12) {
            match self.below(8) {
                0 => file.push_str(self.pick(&["# comment\n", "#\n", "  # x = y\n", "\n", " \t\n", "\r\n"])),
                1 => self.heredoc(&mut file),
                _ => {
                    self.line(&mut file);
                    file.push_str(self.pick(ENDS));
                }
            }
        }
        file
    }

    fn line(&mut self, file: &mut String) {
        if self.below(6) == 0 {
            file.push_str(self.pick(&[" ", "\t", "   "]));
        }
        file.push_str(self.pick(KEYWORDS));
        let flags = if self.below(3) == 0 { self.below(3) } else { 0 };
        for _ in 0..flags {
            self.space(file);
            file.push_str(self.pick(FLAGS));
        }
        for _ in 0..self.below(6) {
            self.space(file);
            file.push_str(self.pick(WORDS));
            if self.below(10) == 0 {
                file.push_str(self.pick(WORDS));
            }
        }
    }

    fn space(&mut self, file: &mut String) {
        file.push_str(match self.below(16) {
            0 => " \\\n",
            1 => "\\\n  # comment\n\n ",
            2 => "\t",
            3 => "  ",
            4 => " \\  \r\n",
            _ => " ",
        });
    }

    fn heredoc(&mut self, file: &mut String) {
        file.push_str(self.pick(&["RUN", "COPY", "ADD", "ONBUILD RUN", "CMD", "COPY --link"]));
        let mut ends = Vec::new();
        for _ in 0..=self.below(3) {
            let (open, end) = HEREDOCS[self.below(HEREDOCS.len())];
            file.push(' ');
            file.push_str(open);
            ends.push(end);
        }
        file.push_str(" /x\n");
        for end in ends {
            for _ in 0..self.below(4) {
                file.push_str(self.pick(&[
                    "text $A ${B:-\"c\"}\n",
                    "\ttab\\\n",
                    "\n",
                    "EOFX\n",
                    "FROM b\n",
                    "# c\r\n",
                    " EOF\n",
                ]));
            }
            if self.below(12) > 0 {
                file.push_str(end);
                file.push_str(self.pick(&["\n", "\n", "\r\n", ""]));
            }
        }
    }

    /// `text` with a few pieces lost, moved or put in.
    pub fn broken(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(6) {
            let at = self.below(characters.len() + 1);
            let end = (at + self.below(8)).min(characters.len());
            match self.below(4) {
                0 => drop(characters.drain(at..end)),
                1 => {
                    let piece: Vec<char> = characters[at..end].to_vec();
                    let to = self.below(characters.len() + 1);
                    characters.splice(to..to, piece);
                }
                2 => {
                    let piece = self.pick(WORDS);
                    characters.splice(at..at, piece.chars());
                }
                _ => {
                    let c = *b"\\\n\"'${}<#[],=-: \t\r`E".get(self.below(20)).unwrap_or(&b'x');
                    characters.insert(at, char::from(c));
                }
            }
        }
        characters.into_iter().collect()
    }
}
