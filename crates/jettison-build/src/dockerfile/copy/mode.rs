//! `--chmod`: octal, or symbolic as chmod(1) of the BSDs reads it (setmode(3)), which is what BuildKit follows. No umask takes part.
//!
//! One thing differs from GNU's chmod: `=` leaves the sticky bit as it is.

use crate::error::BuildError;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;
/// All that `a` stands for.
const ALL: u32 = SETUID | SETGID | 0o777;

/// What becomes of the permissions of what is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// They are these.
    Octal(u32),
    /// They are changed.
    Symbolic(Vec<Change>),
}

/// One step of a symbolic mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Sets these bits.
    Set(u32),
    /// Clears these bits.
    Clear(u32),
    /// Sets these bits on a directory, and on what somebody could execute at first.
    SetIfExecutable(u32),
    /// Does to the classes in `whom` (`0o700`, `0o070`, `0o007`) what `operator` says, with the bits that one class has now.
    Copy {
        /// How far the class's bits are from the right.
        from: u32,
        /// The classes that change.
        whom: u32,
        /// `+`, `-` or `=`.
        operator: u8,
    },
}

impl Chmod {
    /// Parses the value of `--chmod`.
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        let octal = || {
            BuildError::new(format!("--chmod={text}: an octal mode is a number from 0 to 7777"))
                .hint("write --chmod=755, or --chmod=u=rwX,go=rX")
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(octal)?;
            return Ok(Self::Octal(mode));
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            parse_clause(clause.as_bytes(), &mut changes).ok_or_else(|| {
                BuildError::new(format!("--chmod={text}: `{clause}` is no change of a mode"))
                    .hint("a change is who (`u`, `g`, `o`, `a`), then `+`, `-` or `=`, then what (`r`, `w`, `x`, `X`, `s`, `t`)")
            })?;
        }
        Ok(Self::Symbolic(changes))
    }

    /// The mode that a file or directory of `mode` gets.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let changes = match self {
            Self::Octal(mode) => return *mode,
            Self::Symbolic(changes) => changes,
        };
        changes.iter().fold(mode, |now, change| match *change {
            Change::Set(bits) => now | bits,
            Change::Clear(bits) => now & !bits,
            Change::SetIfExecutable(bits) if is_directory || mode & EXECUTE != 0 => now | bits,
            Change::SetIfExecutable(_) => now,
            Change::Copy { from, whom, operator } => {
                let class = now >> from & 0o7;
                let bits = (class << 6 | class << 3 | class) & whom;
                match operator {
                    b'+' => now | bits,
                    b'-' => now & !bits,
                    _ => now & !whom | bits,
                }
            }
        })
    }

    /// The mode of a directory that is made on the way to the destination.
    pub fn of_made_directory(chmod: Option<&Self>) -> u32 {
        match chmod {
            Some(Self::Octal(mode)) => mode & 0o777,
            _ => 0o755,
        }
    }
}

/// Parses one clause, which has any number of operators: `go=u-w`.
fn parse_clause(clause: &[u8], changes: &mut Vec<Change>) -> Option<()> {
    let letters = clause.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (letters, mut rest) = clause.split_at(letters);
    let mut who = 0;
    for letter in letters {
        who |= match letter {
            b'a' => ALL,
            b'u' => SETUID | 0o700,
            b'g' => SETGID | 0o070,
            b'o' => 0o007,
            _ => return None,
        };
    }
    if rest.is_empty() {
        return None;
    }
    while let [operator @ (b'+' | b'-' | b'='), tail @ ..] = rest {
        let what = tail.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        parse_operation(*operator, who, &tail[..what], changes)?;
        rest = &tail[what..];
    }
    rest.is_empty().then_some(())
}

fn parse_operation(operator: u8, mut who: u32, what: &[u8], changes: &mut Vec<Change>) -> Option<()> {
    let only_others = who != 0 && who & !0o007 == 0;
    let mut cleared = operator != b'=';
    let (mut bits, mut if_executable) = (0, 0);
    let mut flush = |who: u32, bits: u32, if_executable: u32, cleared: &mut bool| {
        let among = if who == 0 { !0 } else { who };
        if bits != 0 || !*cleared {
            if operator == b'=' {
                changes.push(Change::Clear(if who == 0 { ALL } else { who }));
                *cleared = true;
            }
            changes.push(if operator == b'-' { Change::Clear(bits & among) } else { Change::Set(bits & among) });
        }
        if if_executable != 0 {
            changes.push(Change::SetIfExecutable(if_executable & among));
        }
    };
    let mut copies = Vec::new();
    for letter in what {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= EXECUTE,
            b'X' if operator == b'-' => {}
            b'X' => if_executable = EXECUTE,
            b's' if only_others => {}
            b's' => bits |= SETUID | SETGID,
            b't' if only_others => {}
            b't' => {
                who |= if who == 0 { 0 } else { STICKY };
                bits |= STICKY;
            }
            b'u' | b'g' | b'o' => {
                let from = match letter {
                    b'u' => 6,
                    b'g' => 3,
                    _ => 0,
                };
                let whom = if who == 0 { 0o777 } else { who & 0o777 };
                copies.push(Change::Copy { from, whom, operator });
            }
            _ => return None,
        }
    }
    if copies.is_empty() {
        flush(who, bits, if_executable, &mut cleared);
    } else {
        // A copy of another class's bits stands for the whole of an `=`.
        let mut done = true;
        if bits != 0 || if_executable != 0 {
            flush(who, bits, if_executable, &mut done);
        }
        changes.append(&mut copies);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_written() {
        for (text, file, directory) in [
            ("755", 0o755, 0o755),
            ("0644", 0o644, 0o644),
            ("4711", 0o4711, 0o4711),
            ("0", 0, 0),
            ("u+x", 0o744, 0o755),
            ("a+x", 0o755, 0o755),
            ("+x", 0o755, 0o755),
            ("go-r", 0o600, 0o711),
            ("go=", 0o600, 0o700),
            ("u=rw,go=r", 0o644, 0o644),
            ("u=rwx", 0o744, 0o755),
            ("a+X", 0o644, 0o755),
            ("u+rwX,go-w", 0o644, 0o755),
            ("go=rX", 0o644, 0o755),
            ("u+s", 0o4644, 0o4755),
            ("g+s", 0o2644, 0o2755),
            ("o+s", 0o644, 0o755),
            ("+t", 0o1644, 0o1755),
            ("o+t", 0o644, 0o755),
            ("o=u", 0o646, 0o757),
            ("go=u-w", 0o644, 0o755),
            ("g+u,o-g", 0o660, 0o770),
            ("ug+w-r", 0o224, 0o335),
            ("=r", 0o444, 0o444),
        ] {
            let chmod = Chmod::parse(text).unwrap();
            assert_eq!(chmod.apply(0o644, false), file, "{text} on a file: {:o}", chmod.apply(0o644, false));
            assert_eq!(chmod.apply(0o755, true), directory, "{text} on a directory: {:o}", chmod.apply(0o755, true));
        }
        assert_eq!(Chmod::parse("+X").unwrap().apply(0o654, false), 0o755, "somebody may execute it");
        assert_eq!(Chmod::parse("u=r").unwrap().apply(0o4755, false), 0o455);
        for bad in ["", "8", "99999", "12345", "rwx", "u", "u+x,", "u+q", "z+x", "u~x", "7x", "u+x g+x"] {
            assert!(Chmod::parse(bad).unwrap_err().hint_text().is_some(), "{bad}");
        }
    }
}
