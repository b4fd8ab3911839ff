//! Lists as sentences have them.

/// `gcc`, `gcc and make`, `gcc, make and libpq-dev`, `gcc, make, libpq-dev and 2 more`.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 4;
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        all => {
            let shown = if all.len() > MOST { MOST - 1 } else { all.len() - 1 };
            let first: Vec<&str> = all[..shown].iter().map(AsRef::as_ref).collect();
            let last = match all.len() - shown {
                1 => all[shown].as_ref().to_owned(),
                more => format!("{more} more"),
            };
            format!("{} and {last}", first.join(", "))
        }
    }
}

/// `one` for a single thing, else `many`.
pub fn number<'w>(count: usize, one: &'w str, many: &'w str) -> &'w str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sentences() {
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b"]), "a and b");
        assert_eq!(listed(&["a", "b", "c", "d"]), "a, b, c and d");
        assert_eq!(listed(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
