//! The shell that a script is given to: which it is, and what it was told on its command line.

/// The grammar that a script is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// dash and busybox ash: what `/bin/sh` is in images.
    #[default]
    Posix,
    /// bash, zsh and ksh: `[[ ]]`, arrays, `<( )`, `&>` and the rest.
    Bash,
}

impl Dialect {
    /// The dialect of the shell called `name` (a path is stripped), if it is a shell of this family.
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit('/').next().unwrap_or(name) {
            "sh" | "dash" | "ash" => Some(Self::Posix),
            "bash" | "zsh" | "ksh" | "mksh" => Some(Self::Bash),
            _ => None,
        }
    }
}

/// What a shell is and was told before the script begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shell {
    /// Its grammar.
    pub dialect: Dialect,
    /// `-e`: the first failure ends the script.
    pub errexit: bool,
    /// `-o pipefail`: a pipeline fails if any of its commands does.
    pub pipefail: bool,
    /// `-c` was among the options, so that a word and not a file is the script.
    pub command: bool,
    /// Where it starts; empty for wherever it is started.
    pub directory: String,
}

impl Shell {
    /// Reads a shell's command line as `SHELL ["/bin/bash", "-eo", "pipefail", "-c"]` has it. Nothing if its first word is
    /// no shell that this crate reads. The words after the options are not looked at.
    pub fn of(words: &[&str]) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        let mut shell = Self { dialect: Dialect::of(program)?, ..Self::default() };
        shell.options(arguments.iter().copied().map(Some));
        Some(shell)
    }

    /// Takes over the options at the front of `words` (`None` is one that is not known beforehand), and says how many words
    /// they are.
    pub(crate) fn options<'w>(&mut self, words: impl IntoIterator<Item = Option<&'w str>>) -> usize {
        let mut words = words.into_iter();
        let mut count = 0;
        while let Some(Some(word)) = words.next() {
            let (on, letters) = match word.as_bytes() {
                b"-" | b"--" => return count + 1,
                [b'-', b'-', ..] => {
                    count += 1;
                    if matches!(word, "--rcfile" | "--init-file") {
                        count += usize::from(words.next().is_some());
                    }
                    continue;
                }
                [b'-', ..] => (true, &word[1..]),
                [b'+', ..] if word.len() > 1 => (false, &word[1..]),
                _ => return count,
            };
            count += 1;
            for letter in letters.chars() {
                match letter {
                    'e' => self.errexit = on,
                    'c' => self.command = on,
                    'o' | 'O' => {
                        let Some(name) = words.next() else { return count };
                        count += 1;
                        match name {
                            Some("errexit") => self.errexit = on,
                            Some("pipefail") => self.pipefail = on,
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_shells() {
        let read = |line: &str| Shell::of(&line.split(' ').collect::<Vec<_>>());
        let bash = Shell { dialect: Dialect::Bash, ..Shell::default() };
        assert_eq!(read("/bin/sh -c"), Some(Shell { command: true, ..Shell::default() }));
        assert_eq!(
            read("/bin/bash -eo pipefail -c"),
            Some(Shell { errexit: true, pipefail: true, command: true, ..bash.clone() })
        );
        assert_eq!(
            read("/bin/bash -o pipefail -exc"),
            Some(Shell { errexit: true, pipefail: true, command: true, ..bash.clone() })
        );
        assert_eq!(read("bash --login -c +e"), Some(Shell { command: true, ..bash.clone() }));
        assert_eq!(read("bash --rcfile x -lc -e"), Some(Shell { command: true, errexit: true, ..bash }));
        assert_eq!(read("dash script -c"), Some(Shell::default()));
        assert_eq!(read("pwsh -Command"), None);
    }
}
