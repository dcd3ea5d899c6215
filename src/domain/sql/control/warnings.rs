//! SHOW WARNINGS, read from the raw text.

use super::super::mode::LexMode;
use super::lexeme;

/// Whether the statement is SHOW WARNINGS, with or without a LIMIT.
pub fn asks_for_warnings(text: &[u8], mode: LexMode) -> bool {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return false;
    };
    let mut lexemes = lexemes.iter().map(|(lexeme, _)| lexeme);
    lexemes.next().is_some_and(|word| word.is("show"))
        && lexemes.next().is_some_and(|word| word.is("warnings"))
        && lexemes.next().is_none_or(|word| word.is("limit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rows_of_warnings() {
        for (text, expected) in [
            ("SHOW WARNINGS", true),
            ("/* x */ show warnings limit 5;", true),
            ("SHOW COUNT(*) WARNINGS", false),
            ("SHOW ERRORS", false),
            ("SELECT @@warning_count", false),
            ("SHOW", false),
        ] {
            let asks = asks_for_warnings(text.as_bytes(), LexMode::default());
            assert_eq!(asks, expected, "{text}");
        }
    }
}
