//! Finds what somebody may have meant by a misspelt name.

/// The name most like `name`, if one is like it at all: at most two letters
/// differ, or a third of a long name's, or one in a short name's.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let letters = name.chars().count();
    let limit = if letters < 5 { 1 } else { (letters / 3).max(2) };
    known
        .iter()
        .map(|candidate| (distance(&name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= limit || is_part(&name, candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether one name begins or ends with the other: `timeout` for `drain_timeout`.
fn is_part(name: &str, candidate: &str) -> bool {
    let (short, long) = if name.len() < candidate.len() {
        (name, candidate)
    } else {
        (candidate, name)
    };
    short.len() >= 4 && (long.starts_with(short) || long.ends_with(short))
}

/// How many letters must be put in, taken out or changed to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut last = i + 1;
        for (&b, above) in right.iter().zip(row.windows(2)) {
            let [diagonal, up] = [above[0], above[1]];
            last = (diagonal + usize::from(a != b)).min(up + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_changes() {
        for (left, right, expected) in [
            ("", "", 0),
            ("level", "level", 0),
            ("sesion", "session", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        let known = ["listen", "socket", "workers", "drain_timeout"];
        for (name, expected) in [
            ("lisen", Some("listen")),
            ("Workers", Some("workers")),
            ("timeout", Some("drain_timeout")),
            ("bananas", None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
    }
}
