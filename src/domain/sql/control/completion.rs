//! COMMIT and ROLLBACK that do nothing but end a transaction.

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

#[cfg(test)]
mod tests {
    use super::*;

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
