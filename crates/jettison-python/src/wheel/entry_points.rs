//! `entry_points.txt` (entry points specification): the scripts and plug-ins that a distribution announces.

use super::error::Fault;
use crate::scan::printable;

/// One entry point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPoint {
    /// The section, such as `console_scripts`.
    pub group: String,
    /// What stands before the `=`.
    pub name: String,
    /// The object reference word for word, with its extras.
    pub value: String,
}

/// `module:attribute`, checked to be Python names: it is written into a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectReference<'a> {
    pub module: &'a str,
    pub attribute: &'a str,
}

/// Parses the file as Python's `configparser` does with `=` for its only delimiter and names in their own case.
pub(super) fn parse(text: &str) -> Result<Vec<EntryPoint>, Fault> {
    let mut points: Vec<EntryPoint> = Vec::new();
    let mut group = None;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let error = |why: String| Fault::Line { file: "entry_points.txt", line: number + 1, why };
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[').filter(|_| !line.starts_with([' ', '\t'])) {
            let section = section.split_once(']').ok_or_else(|| error("the section is not closed".to_owned()))?.0;
            group = Some(section.trim().to_owned());
            continue;
        }
        let Some(group) = &group else { return Err(error("an entry stands before the first section".to_owned())) };
        match trimmed.split_once('=') {
            Some((name, value)) => points.push(EntryPoint {
                group: group.clone(),
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
            }),
            None => match points.last_mut().filter(|point| line.starts_with([' ', '\t']) && point.group == *group) {
                // The value may stand on the lines below its name.
                Some(point) => point.value = format!("{} {trimmed}", point.value).trim().to_owned(),
                None => return Err(error(format!("`{}` is no `name = value`", printable(trimmed)))),
            },
        }
    }
    Ok(points)
}

impl EntryPoint {
    /// Whether installing it makes a program.
    pub fn is_script(&self) -> bool {
        matches!(self.group.as_str(), "console_scripts" | "gui_scripts")
    }

    /// The checked reference of a script, whose name must be a file name.
    pub(super) fn script(&self) -> Result<ObjectReference<'_>, Fault> {
        let error = |why: &str| Fault::DistInfo {
            file: "entry_points.txt".to_owned(),
            why: format!("script `{}` = `{}`: {why}", printable(&self.name), printable(&self.value)),
        };
        let bad_name = |c: char| c == '/' || c == '\\' || c.is_control();
        if self.name.is_empty() || self.name.starts_with('.') || self.name.contains(bad_name) || self.name.len() > 255 {
            return Err(error("the name is no file name"));
        }
        let (reference, extras) = match self.value.split_once('[') {
            Some((reference, extras)) => (reference, Some(extras.trim_end())),
            None => (self.value.as_str(), None),
        };
        if extras.is_some_and(|extras| !extras.ends_with(']')) {
            return Err(error("the extras are not closed"));
        }
        let (module, attribute) = reference.split_once(':').ok_or_else(|| error("a script needs `module:function`"))?;
        let (module, attribute) = (module.trim(), attribute.trim());
        if !is_dotted_name(module) || !is_dotted_name(attribute) {
            return Err(error("it is no `module:function`"));
        }
        Ok(ObjectReference { module, attribute })
    }
}

/// Whether the text is Python names with dots between them.
fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(is_identifier)
}

/// Whether the text may be a Python name. Keywords are not looked for.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_are_read_as_configparser_reads_them() {
        let text = "# c\n[console_scripts]\nMain = a.b:main\nx=a:B.c [extra1, extra2]\ny =\n  a:f\n\n[p.q]\nz = a\n";
        let points = parse(text).unwrap();
        let shown: Vec<_> = points.iter().map(|p| format!("{}|{}|{}", p.group, p.name, p.value)).collect();
        let expected = [
            "console_scripts|Main|a.b:main",
            "console_scripts|x|a:B.c [extra1, extra2]",
            "console_scripts|y|a:f",
            "p.q|z|a",
        ];
        assert_eq!(shown, expected);
        assert_eq!(points[1].script().unwrap(), ObjectReference { module: "a", attribute: "B.c" });
        assert!(points[0].is_script() && !points[3].is_script());
    }

    #[test]
    fn what_is_no_entry_point_is_refused() {
        for (text, why) in [
            ("a = b:c", "entry_points.txt:1: an entry stands before the first section"),
            ("[x\na = b", "entry_points.txt:1: the section is not closed"),
            ("[x]\nhello", "entry_points.txt:2: `hello` is no `name = value`"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), why);
        }
        for (name, value) in [
            ("a/b", "m:f"),
            ("..", "m:f"),
            ("", "m:f"),
            ("a", "m"),
            ("a", "m:"),
            ("a", "m:f()"),
            ("a", "m:f [x"),
            ("a", "os;x:f"),
            ("a", "m:f\nimport os"),
            ("a", ".m:f"),
            ("a", "1m:f"),
        ] {
            let point = EntryPoint { group: "console_scripts".into(), name: name.into(), value: value.into() };
            assert!(point.script().is_err(), "{name} = {value}");
        }
    }
}
