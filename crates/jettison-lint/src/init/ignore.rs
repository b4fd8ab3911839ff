//! A `.dockerignore` that is there already, and what it lacks.

use jettison_dockerfile::Ignore;

/// A path that only a pattern for everything matches.
const ANYTHING: &str = "a-name-that-no-pattern-means";

/// `existing` with the patterns of `fresh` at its end that it says nothing about, and with lines that let `kept` through where it keeps
/// them out. No line of it is lost or moved. `None` where there is nothing to add, or it cannot be parsed.
pub fn extend(existing: &str, fresh: &str, kept: &[String]) -> Option<String> {
    let ignore = Ignore::parse(existing).ok()?;
    let told: Vec<&str> = existing.lines().filter(|line| !line.starts_with('#')).map(plain).collect();
    // One that keeps everything out and lists what comes in has no need of more.
    let lists_what_comes_in = ignore.matches(ANYTHING);
    let is_new = |line: &str| !lists_what_comes_in && !told.contains(&plain(line));
    let mut blocks = Vec::new();
    for block in fresh.split("\n\n") {
        let (titles, patterns): (Vec<&str>, Vec<&str>) =
            block.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with('#'));
        let patterns: Vec<&str> = patterns.into_iter().filter(|line| is_new(line)).collect();
        if !patterns.is_empty() {
            blocks.push([titles, patterns].concat().join("\n"));
        }
    }
    let joined = |blocks: &[String]| {
        let mut text = existing.to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for block in blocks {
            text += &format!("{}{block}\n", if text.is_empty() { "" } else { "\n" });
        }
        text
    };
    let all = Ignore::parse(&joined(&blocks)).ok()?;
    let hidden: Vec<String> =
        kept.iter().filter(|path| all.matches(path.as_bytes())).map(|path| format!("!{path}")).collect();
    if !hidden.is_empty() {
        blocks.push(format!("# What the Dockerfile takes\n{}", hidden.join("\n")));
    }
    (!blocks.is_empty()).then(|| joined(&blocks))
}

/// A pattern without what means nothing, and without what it says of it.
fn plain(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix('!').unwrap_or(line);
    line.trim_start_matches("./").trim_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: &str = "# Version control\n.git\n.github\n\n# Secrets\n.env*\n!.env.example\n";

    #[test]
    fn no_line_is_lost_and_nothing_is_said_twice() {
        let extended = extend("# ours\n/.git/\n!.env*", FRESH, &[]).unwrap();
        assert_eq!(extended, "# ours\n/.git/\n!.env*\n\n# Version control\n.github\n\n# Secrets\n!.env.example\n");
        assert_eq!(extend(&extended, FRESH, &[]), None);
        assert_eq!(extend("", FRESH, &[]).as_deref(), Some(FRESH));
    }

    #[test]
    fn a_list_of_what_comes_in_gets_what_the_dockerfile_takes_alone() {
        let kept = ["uv.lock".to_owned(), "app/main.py".to_owned()];
        assert_eq!(extend("*\n!app\n", FRESH, &kept).unwrap(), "*\n!app\n\n# What the Dockerfile takes\n!uv.lock\n");
        assert_eq!(extend("*\n!app\n!uv.lock\n", FRESH, &kept), None);
    }
}
