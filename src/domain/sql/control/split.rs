//! The statements of a text, one by one.

use super::lexeme::{Lexeme, read};
use crate::domain::sql::LexMode;

/// The statements of a text that are parted by `;`. One that cannot be read so far, or holds versioned
/// comments, is one statement.
pub fn statements(text: &[u8], mode: LexMode) -> Vec<&[u8]> {
    let Some(lexemes) = read(text, mode) else {
        return vec![text];
    };
    lexemes
        .split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'))
        .filter_map(|statement| {
            let (first, last) = (statement.first()?, statement.last()?);
            text.get(first.1.start..last.1.end)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_no_part_of_them() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[]),
            (" ; ; ", &[]),
            ("SET @a = 1", &["SET @a = 1"]),
            (
                "SET @a = ';'; /* ; */ SELECT `;`, 1 ;\n",
                &["SET @a = ';'", "SELECT `;`, 1"],
            ),
            ("SELECT 'x", &["SELECT 'x"]),
            (
                "SELECT 1; /*!80000 SELECT 2; */",
                &["SELECT 1; /*!80000 SELECT 2; */"],
            ),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|it| it.as_bytes()).collect();
            assert_eq!(
                statements(text.as_bytes(), LexMode::default()),
                expected,
                "{text}"
            );
        }
    }
}
