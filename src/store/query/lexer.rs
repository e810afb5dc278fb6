//! Splits the text of a filter or an order into words: fields, values and operators. A mistake says where it is, what was found
//! there, and what was expected.
//!
//! Knows the syntax of words. Must not know the grammar, or which fields exist.

use winnow::{
    Parser, Result,
    ascii::{digit1, multispace0},
    combinator::{alt, eof, opt, peek},
    error::ParserError,
    stream::{LocatingSlice, Location, Stream},
    token::{any, one_of, take_while},
};

use crate::{
    model::{Violation, ViolationKind},
    proto::ErrorReason,
    store::error::{StoreError, StoreErrorDetails, StoreErrorKind},
};

/// Longest part of the text that an error quotes, in characters.
const FOUND_CHARS_MAX: usize = 60;

/// A word and its position.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'t> {
    /// Its first byte in the text.
    pub(super) at: usize,
    /// The word as it was written.
    pub(super) text: &'t str,
    /// What the word is.
    pub(super) word: Word,
}

/// The kinds of words.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`, in an order.
    Comma,
    /// `-` before a term: "not".
    Minus,
    /// `*` by itself: any value.
    Star,
    /// An operator, such as `=`.
    Operator(Operator),
    /// `-2.5e3`, as written.
    Number,
    /// `"text"`
    Text(QuotedText),
    /// `time.earliest`, `metrics."a.b"`, `AND`, `true`, `PREDICTION`.
    Path(FilterPath),
}

/// How a field and a value are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`
    Has,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A text between quotes, its escapes resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QuotedText {
    /// Its characters, stars included.
    pub(super) characters: String,
    /// The bytes of `characters` that are an unescaped `*`, ascending.
    pub(super) stars: Vec<usize>,
}

/// Names with dots between them, and optionally a quoted key at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilterPath {
    /// The names, each with its first byte in the text. Never empty.
    pub(super) names: Vec<(usize, String)>,
    /// The quoted key at the end, with its first byte.
    pub(super) key: Option<(usize, String)>,
}

impl FilterPath {
    /// The name, if the path is a single name: then it can be a keyword or a value.
    pub(super) fn word(&self) -> Option<&str> {
        match (self.names.as_slice(), &self.key) {
            ([(_, name)], None) => Some(name),
            _ => None,
        }
    }
}

/// All words of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Mistake> {
    let mut input = LexerInput::new(text);
    let mut tokens = Vec::new();
    loop {
        multispace0.parse_next(&mut input)?;
        if input.is_empty() {
            return Ok(tokens);
        }
        let at = input.current_token_start();
        let word = word(&mut input)?;
        let text = text.get(at..input.previous_token_end()).unwrap_or_default();
        tokens.push(Token { at, text, word });
    }
}

/// Reads a word. Its first character decides its kind, so that a mistake later in the word is reported at its own position.
fn word(input: &mut LexerInput<'_>) -> Result<Word, Mistake> {
    match input.peek_token() {
        Some('"') => string.map(Word::Text).parse_next(input),
        Some(digit) if digit.is_ascii_digit() => number.value(Word::Number).parse_next(input),
        Some(letter) if begins_name(letter) => path.map(Word::Path).parse_next(input),
        Some('-') => {
            let negative: Option<_> = opt(peek(('-', one_of('0'..='9')))).parse_next(input)?;
            if negative.is_some() {
                number.value(Word::Number).parse_next(input)
            } else {
                '-'.value(Word::Minus).parse_next(input)
            }
        }
        _ => alt((
            '('.value(Word::Open),
            ')'.value(Word::Close),
            ','.value(Word::Comma),
            '*'.value(Word::Star),
            operator.map(Word::Operator),
        ))
        .parse_next(input),
    }
}

fn operator(input: &mut LexerInput<'_>) -> Result<Operator, Mistake> {
    alt((
        "!=".value(Operator::NotEqual),
        "<=".value(Operator::LessOrEqual),
        ">=".value(Operator::GreaterOrEqual),
        '='.value(Operator::Equal),
        '<'.value(Operator::Less),
        '>'.value(Operator::Greater),
        ':'.value(Operator::Has),
    ))
    .parse_next(input)
}

fn number(input: &mut LexerInput<'_>) -> Result<(), Mistake> {
    let at = input.current_token_start();
    let start = *input.as_ref();
    let fraction = ('.', digit1);
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    (opt('-'), digit1, opt(fraction), opt(exponent)).void().parse_next(input)?;
    let ends: Result<_, Mistake> =
        peek(alt((eof.void(), one_of(|letter: char| !continues_name(letter) && letter != '.').void()))).parse_next(input);
    ends.map_err(|_| {
        let found: String = start.chars().take_while(|letter| continues_name(*letter) || ".-".contains(*letter)).collect();
        Mistake::new(at, found, "a number such as 12, -0.5 or 1e6")
    })
}

/// Reads a text up to its closing quote.
fn string(input: &mut LexerInput<'_>) -> Result<QuotedText, Mistake> {
    let start = input.current_token_start();
    let unclosed = Mistake::new(start, "a text that is not closed", "a closing \"");
    any.parse_next(input)?;
    let mut text = QuotedText::default();
    loop {
        let at = input.current_token_start();
        match input.next_token() {
            None => return Err(unclosed),
            Some('"') => return Ok(text),
            Some('\\') => match input.next_token() {
                Some(letter @ ('"' | '\\' | '*')) => text.characters.push(letter),
                Some(letter) => {
                    return Err(Mistake::new(at, format!("\\{letter}"), "one of \\\" \\\\ \\*: no other escapes exist"));
                }
                None => return Err(unclosed),
            },
            Some(letter) if letter.is_control() && !"\t\r\n".contains(letter) => {
                // Keys hold no control characters either.
                let expected = "no control character except tab and line end: no record contains one";
                return Err(Mistake::new(at, letter.escape_unicode().to_string(), expected));
            }
            Some(letter) => {
                if letter == '*' {
                    text.stars.push(text.characters.len());
                }
                text.characters.push(letter);
            }
        }
    }
}

/// Reads names with dots between them. A name after the first may begin with a digit, because it can be the key of a map.
fn path(input: &mut LexerInput<'_>) -> Result<FilterPath, Mistake> {
    let mut names = Vec::new();
    let mut key = None;
    loop {
        let at = input.current_token_start();
        let name: Result<&str, Mistake> = take_while(1.., continues_name).parse_next(input);
        match name {
            Ok(name) => names.push((at, name.to_owned())),
            Err(_) if input.starts_with('"') => key = Some((at, string(input)?.characters)),
            Err(mistake) => return Err(Mistake { expected: "a name after the dot".to_owned(), ..mistake }),
        }
        let dot: Option<char> = opt('.').parse_next(input)?;
        match dot {
            None => return Ok(FilterPath { names, key }),
            Some(_) if key.is_some() => {
                return Err(Mistake::new(input.previous_token_end() - 1, ".", "an operator: a quoted key ends a field"));
            }
            Some(_) => {}
        }
    }
}

fn begins_name(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

fn continues_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The text that is read, with the position reached.
pub(super) type LexerInput<'t> = LocatingSlice<&'t str>;

/// The first mistake in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The byte of the text where the mistake is. The length of the text if something is missing at the end.
    pub(super) at: usize,
    /// What was found there.
    pub(super) found: String,
    /// What was expected there.
    pub(super) expected: String,
}

impl Mistake {
    pub(super) fn new(at: usize, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { at, found: found.into(), expected: expected.into() }
    }

    /// The error for the caller. A position is the number of characters before it.
    pub(super) fn into_error(self, of: TextField, text: &str) -> StoreError {
        let position = text.get(..self.at).unwrap_or(text).chars().count();
        let mut found: String = self.found.chars().take(FOUND_CHARS_MAX).collect();
        if found.len() < self.found.len() {
            found.push('…');
        }
        let (field, noun, reason) = match of {
            TextField::Filter => ("filter", "filter", ErrorReason::FilterInvalid),
            TextField::OrderBy => ("order_by", "order", ErrorReason::OrderByInvalid),
        };
        let description = if found.is_empty() {
            format!("at position {position} the {noun} ends here; expected {}", self.expected)
        } else {
            format!("at position {position}, found {found}, expected {}", self.expected)
        };
        StoreError::new(StoreErrorKind::Invalid, reason, format!("{field}: {description}"))
            .with("position", position)
            .with("found", found)
            .with("expected", self.expected)
            .with_details(StoreErrorDetails::Fields(vec![Violation {
                field: field.to_owned(),
                description,
                kind: ViolationKind::Invalid,
            }]))
    }
}

/// Which field of a request holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    /// `filter`.
    Filter,
    /// `order_by`.
    OrderBy,
}

/// The mistake that a combinator reports by itself. The functions above report more precise ones if they can.
impl<'t> ParserError<LexerInput<'t>> for Mistake {
    type Inner = Self;

    fn from_input(input: &LexerInput<'t>) -> Self {
        let found = input.peek_token().map_or_else(String::new, |letter| letter.to_string());
        Self::new(input.current_token_start(), found, "a field, a value, an operator or a parenthesis")
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).unwrap().into_iter().map(|token| format!("{}@{}", token.text, token.at)).collect()
    }

    fn wrong(text: &str, at: usize, found: &str) {
        let mistake = tokens(text).unwrap_err();
        assert_eq!((mistake.at, mistake.found.as_str()), (at, found), "{text}: {mistake:?}");
    }

    #[test]
    fn words_stand_where_they_were_written() {
        assert_eq!(words("a.b>=-1.5e3"), ["a.b@0", ">=@3", "-1.5e3@5"]);
        assert_eq!(words(" -a:* "), ["-@1", "a@2", ":@3", "*@4"]);
        assert_eq!(words("m.\"x.y\" != \"ä\\\"\""), ["m.\"x.y\"@0", "!=@8", "\"ä\\\"\"@11"]);
        assert_eq!(words("m.2024.a desc,b"), ["m.2024.a@0", "desc@9", ",@13", "b@14"]);
        assert_eq!(words("(NOT(a<1))"), ["(@0", "NOT@1", "(@4", "a@5", "<@6", "1@7", ")@8", ")@9"]);
    }

    #[test]
    fn stars_are_told_from_escaped_ones() {
        let texts: Vec<_> = tokens(r#""*a\*b*" "\*""#).unwrap().into_iter().map(|token| token.word).collect();
        assert_eq!(
            texts,
            [
                Word::Text(QuotedText { characters: "*a*b*".into(), stars: vec![0, 4] }),
                Word::Text(QuotedText { characters: "*".into(), stars: vec![] })
            ]
        );
    }

    #[test]
    fn what_is_no_word_is_an_error_where_it_stands() {
        wrong("a = 'x'", 4, "'");
        wrong("a = \"x", 4, "a text that is not closed");
        wrong("a = \"x\\", 4, "a text that is not closed");
        wrong(r#"a = "\n""#, 5, "\\n");
        wrong("a = \"x\0\"", 6, "\\u{0}");
        wrong("a = 5abc", 4, "5abc");
        wrong("a = 1.", 4, "1.");
        wrong("a = -1e", 4, "-1e");
        wrong("a. = 1", 2, " ");
        wrong("a.", 2, "");
        wrong("a..b", 2, ".");
        wrong("m.\"k\".b = 1", 5, ".");
        wrong("ä = 1", 0, "ä");
        wrong("a ! b", 2, "!");
    }
}
