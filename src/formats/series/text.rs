//! Texts with columns in braces: `fips:{location}`.
//!
//! Knows the braces. Must not know where a column's value comes from, or what a text is for.

use serde::Deserialize;

/// A text in which columns stand for their values. A brace itself is written twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Column(String),
}

impl Text {
    /// Reads one. The error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut words) = (Vec::new(), String::new());
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '{' | '}' if letters.next_if_eq(&letter).is_some() => words.push(letter),
                '}' => return Err(format!("{text:?} closes a brace that was not opened: a brace itself is written twice")),
                '{' => {
                    let mut column = String::new();
                    let closed = loop {
                        match letters.next() {
                            Some('}') => break true,
                            Some(letter) => column.push(letter),
                            None => break false,
                        }
                    };
                    if column.is_empty() || !closed {
                        return Err(format!("{text:?} has a brace without a column: a brace itself is written twice"));
                    }
                    if !words.is_empty() {
                        pieces.push(Piece::Words(std::mem::take(&mut words)));
                    }
                    pieces.push(Piece::Column(column));
                }
                letter => words.push(letter),
            }
        }
        if !words.is_empty() {
            pieces.push(Piece::Words(words));
        }
        Ok(Self { pieces })
    }

    /// The columns that stand in it.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Column(column) => Some(column.as_str()),
            Piece::Words(_) => None,
        })
    }

    /// The text, where no column stands in it.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Words(words)] => Some(words),
            _ => None,
        }
    }

    /// The text with the columns' values; nothing where one of them has none.
    pub(super) fn fill<E>(&self, mut value: impl FnMut(&str) -> Result<Option<String>, E>) -> Result<Option<String>, E> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Words(words) => filled.push_str(words),
                Piece::Column(column) => match value(column)? {
                    Some(value) => filled.push_str(&value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(filled))
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        let value = |column: &str| Ok::<_, ()>((column != "none").then(|| format!("<{column}>")));
        assert_eq!(Text::parse(text).expect("a text").fill(value), Ok(expect.map(str::to_owned)), "{text}");
    }

    #[test]
    fn columns_stand_in_single_braces() {
        check("", Some(""));
        check("a {b} c {d e}", Some("a <b> c <d e>"));
        check("{personnel*}{/a/0}", Some("<personnel*></a/0>"));
        check("{{x}} {y}", Some("{x} <y>"));
        check("{y}}}", Some("<y>}"));
        check("a {none}", None);
        for broken in ["{", "a}", "{}", "{a", "{b} {b", "{{a}", "{a}}"] {
            assert!(Text::parse(broken).is_err(), "{broken}");
        }
    }
}
