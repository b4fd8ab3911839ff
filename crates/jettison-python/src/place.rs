//! Places in text files, for messages.

use std::fmt;

/// A place in a file of the project, written `file:line:column`; line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it is to be shown: relative to the project where it lies inside.
    pub file: String,
    /// The line; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column; 0 when the line as a whole is meant.
    pub column: usize,
}

impl Place {
    /// The file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    /// A line as a whole.
    pub fn line(file: impl Into<String>, line: usize) -> Self {
        Self { file: file.into(), line, column: 0 }
    }

    /// The place of the byte `offset` of `text`.
    pub fn at(file: impl Into<String>, text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Self { file: file.into(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        assert_eq!(Place::at("x", "é\nüb=", 5).to_string(), "x:2:2");
        assert_eq!(Place::at("x", "", 9).to_string(), "x:1:1");
        assert_eq!(Place::line("x", 3).to_string(), "x:3");
        assert_eq!(Place::file("x").to_string(), "x");
    }
}
