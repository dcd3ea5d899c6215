//! COMMIT and ROLLBACK that do nothing but end a transaction, and those that end the connection, too.

use super::super::mode::LexMode;
use super::lexeme;

/// Whether a text is COMMIT or ROLLBACK without a savepoint, CHAIN or RELEASE.
pub fn ends_plainly(text: &[u8], mode: LexMode) -> bool {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return false;
    };
    let mut words = lexemes.iter().map(|(lexeme, _)| lexeme).peekable();
    let verb = words.next();
    if !verb.is_some_and(|verb| verb.is("commit") || verb.is("rollback")) {
        return false;
    }
    words.next_if(|word| word.is("work"));
    let chain = words.next_if(|word| word.is("and"));
    if chain.is_some() {
        let no_chain = words.next().is_some_and(|word| word.is("no"))
            && words.next().is_some_and(|word| word.is("chain"));
        if !no_chain {
            return false;
        }
    }
    match words.next() {
        None => true,
        Some(no) => {
            no.is("no")
                && words.next().is_some_and(|word| word.is("release"))
                && words.next().is_none()
        }
    }
}

/// Whether a text is a COMMIT or ROLLBACK after which the server closes the connection. `by_itself`
/// says whether one does that says nothing of it (`completion_type = RELEASE`).
pub fn releases(text: &[u8], mode: LexMode, by_itself: bool) -> bool {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return false;
    };
    let says = |at: usize, word: &str| lexemes.get(at).is_some_and(|(lexeme, _)| lexeme.is(word));
    if !says(0, "commit") && !says(0, "rollback") {
        return false;
    }
    let last = lexemes.len() - 1;
    match lexemes.iter().position(|(lexeme, _)| lexeme.is("to")) {
        Some(_) => false,
        None if says(last, "release") => !says(last.saturating_sub(1), "no"),
        None => by_itself && !says(last, "chain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_releases() {
        // (text, by the word, by completion_type)
        for (text, said, by_itself) in [
            ("COMMIT", false, true),
            ("COMMIT RELEASE", true, true),
            ("/* x */ rollback work and no chain release;", true, true),
            ("COMMIT NO RELEASE", false, false),
            ("COMMIT AND CHAIN", false, false),
            ("ROLLBACK TO release", false, false),
            ("RELEASE SAVEPOINT a", false, false),
            ("", false, false),
        ] {
            for (default, expected) in [(false, said), (true, by_itself)] {
                let found = releases(text.as_bytes(), LexMode::default(), default);
                assert_eq!(found, expected, "{text} {default}");
            }
        }
    }

    #[test]
    fn forms() {
        let is = |text: &str| ends_plainly(text.as_bytes(), LexMode::default());
        for text in [
            "COMMIT",
            "rollback;",
            "/* orm */ Commit Work",
            "ROLLBACK AND NO CHAIN",
            "COMMIT WORK AND NO CHAIN NO RELEASE",
            "COMMIT NO RELEASE",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "",
            "COMMIT AND CHAIN",
            "COMMIT RELEASE",
            "ROLLBACK TO a",
            "ROLLBACK WORK TO SAVEPOINT a",
            "COMMIT AND NO CHAIN RELEASE",
            "COMMIT NO",
            "COMMIT; COMMIT",
            "COMMIT /*!50000 AND CHAIN */",
            "SAVEPOINT a",
            "SELECT 1",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
