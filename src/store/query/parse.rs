//! Parses the text of a filter into a tree. The grammar is that of AIP-160 without the parts that callers misread.
//!
//! ```text
//! filter  = [ expr ]
//! expr    = term { "AND" term } | term { "OR" term }
//! term    = [ "NOT" | "-" ] ( "(" expr ")" | compare )
//! compare = field op value | field ":" "(" expr ")"
//! ```
//! In AIP-160, OR binds tighter than AND; in most languages it is the other way round. So a filter that mixes them without
//! parentheses is refused.
//!
//! Knows the grammar. Must not know which fields exist.

use super::lexer::{FilterPath, Mistake, Operator, QuotedText, TextField, Token, Word, tokens};
use crate::{
    model::{self, Violations},
    store::{
        Limit, StoreLimits,
        error::{Result, StoreError},
    },
};

/// Greatest depth, whatever the limits say, because each level is a recursive call.
const DEPTH_MAX: u64 = 128;

/// A filter, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// All parts hold. Without parts, it is always true.
    All(Vec<Expr>),
    /// At least one part holds.
    Any(Vec<Expr>),
    /// The part does not hold.
    Not(Box<Expr>),
    /// A field compares with a value.
    Compare(Compare),
    /// One message of the field satisfies the whole expression inside.
    Within {
        /// The field before the colon.
        field: FilterPath,
        /// The expression. Its fields are those of the message.
        inside: Box<Expr>,
    },
}

/// A comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compare {
    /// The field on the left.
    pub(super) field: FilterPath,
    /// How it is compared.
    pub(super) operator: Operator,
    /// The first byte of the operator.
    pub(super) operator_at: usize,
    /// The value on the right.
    pub(super) value: Literal,
    /// The first byte of the value.
    pub(super) value_at: usize,
    /// The value as it was written.
    pub(super) value_text: String,
}

/// A value as it is written in the filter. Its meaning depends on the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// `"text"`: a text, a time, a name.
    Text(QuotedText),
    /// `-2.5`: any number.
    Number,
    /// `true`, `PREDICTION`.
    Word,
    /// `*`: any value that is set.
    Star,
}

/// Parses a filter. Checks its size first, because the parser is recursive.
pub(super) fn parse(text: &str, limits: &StoreLimits) -> Result<Expr> {
    within("filter", limits.filter_chars(), text.chars().count())?;
    let tokens = tokens(text).map_err(|mistake| mistake.into_error(TextField::Filter, text))?;
    let depth_max = limits.filter_depth();
    within("filter", Limit { maximum: depth_max.maximum.min(DEPTH_MAX), ..depth_max }, depth(&tokens))?;
    within("filter", limits.filter_terms(), terms(&tokens))?;
    let mut parser = Parser { tokens: &tokens, end: text.len() };
    parser.filter().map_err(|mistake| mistake.into_error(TextField::Filter, text))
}

/// Checks a size of a field of the request against its limit.
pub(super) fn within(field: &str, limit: Limit, actual: usize) -> Result<()> {
    let mut violations = Violations::default();
    violations.limit(&model::FieldPath::ROOT.field(field), limit, actual as u64);
    StoreError::from_violations(violations).map_or(Ok(()), Err)
}

/// The greatest depth of nested parentheses.
fn depth(tokens: &[Token<'_>]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for token in tokens {
        match token.word {
            Word::Open => depth += 1,
            Word::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The number of comparisons. Each has one operator. The operator of `field:(...)` does not count.
fn terms(tokens: &[Token<'_>]) -> usize {
    let operators = tokens.iter().filter(|token| matches!(token.word, Word::Operator(_))).count();
    let scopes = tokens
        .windows(2)
        .filter(|pair| matches!(pair, [Token { word: Word::Operator(_), .. }, Token { word: Word::Open, .. }]));
    operators - scopes.count()
}

struct Parser<'p, 't> {
    tokens: &'p [Token<'t>],
    /// The length of the text: the position of a mistake at the end.
    end: usize,
}

impl<'p, 't> Parser<'p, 't> {
    fn peek(&self) -> Option<&'p Token<'t>> {
        self.tokens.first()
    }

    fn next(&mut self) -> Option<&'p Token<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Takes the next token if it is this keyword.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| is_keyword(token, keyword));
        if found {
            self.next();
        }
        found
    }

    /// The mistake at the next token.
    fn expected(&self, expected: impl Into<String>) -> Mistake {
        match self.peek() {
            Some(token) => Mistake::new(token.at, token.text, expected),
            None => Mistake::new(self.end, "", expected),
        }
    }

    fn filter(&mut self) -> std::result::Result<Expr, Mistake> {
        if self.tokens.is_empty() {
            return Ok(Expr::All(Vec::new()));
        }
        let expr = self.expr()?;
        match self.peek() {
            None => Ok(expr),
            Some(Token { word: Word::Close, .. }) => Err(self.expected("no closing parenthesis: none is open")),
            Some(_) => Err(self.expected("AND, OR or the end")),
        }
    }

    fn expr(&mut self) -> std::result::Result<Expr, Mistake> {
        let first = self.term()?;
        let (joins, other) = match self.peek() {
            Some(token) if is_keyword(token, "AND") => ("AND", "OR"),
            Some(token) if is_keyword(token, "OR") => ("OR", "AND"),
            _ => return Ok(first),
        };
        let mut terms = vec![first];
        while self.keyword(joins) {
            terms.push(self.term()?);
        }
        if self.peek().is_some_and(|token| is_keyword(token, other)) {
            return Err(self.expected(format!(
                "{joins}, as before: add parentheses to say what belongs together, such as a AND (b OR c)"
            )));
        }
        Ok(if joins == "AND" { Expr::All(terms) } else { Expr::Any(terms) })
    }

    fn term(&mut self) -> std::result::Result<Expr, Mistake> {
        let minus = matches!(self.peek(), Some(Token { word: Word::Minus, .. }));
        if minus {
            self.next();
        }
        let negated = minus || self.keyword("NOT");
        let expr = match self.peek() {
            Some(Token { word: Word::Open, .. }) => self.parenthesized()?,
            Some(token @ Token { word: Word::Path(path), .. })
                if !["AND", "OR", "NOT"].iter().any(|word| is_keyword(token, word)) =>
            {
                self.next();
                self.comparison(path)?
            }
            _ => return Err(self.expected("a comparison such as title = \"x\", or a parenthesis")),
        };
        Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn parenthesized(&mut self) -> std::result::Result<Expr, Mistake> {
        self.next();
        let expr = self.expr()?;
        match self.peek() {
            Some(Token { word: Word::Close, .. }) => {
                self.next();
                Ok(expr)
            }
            _ => Err(self.expected("AND, OR or a closing parenthesis")),
        }
    }

    fn comparison(&mut self, field: &FilterPath) -> std::result::Result<Expr, Mistake> {
        let Some(Token { word: Word::Operator(operator), at: operator_at, .. }) = self.peek() else {
            return Err(self.expected("an operator after the field: = != < <= > >= or :"));
        };
        self.next();
        let literal = match self.peek().map(|token| &token.word) {
            Some(Word::Open) if *operator == Operator::Has => {
                let inside = Box::new(self.parenthesized()?);
                return Ok(Expr::Within { field: field.clone(), inside });
            }
            Some(Word::Text(text)) => Literal::Text(text.clone()),
            Some(Word::Number) => Literal::Number,
            Some(Word::Star) if *operator == Operator::Has => Literal::Star,
            Some(Word::Star) => return Err(self.expected("a value: * without quotes is allowed only after :")),
            Some(Word::Open) => return Err(self.expected("a value: a parenthesis is allowed only after :")),
            Some(Word::Path(path)) if path.word().is_some_and(|word| !["AND", "OR", "NOT"].contains(&word)) => Literal::Word,
            _ => return Err(self.expected("a value: a text in quotes, a number, true, false or the name of an enum value")),
        };
        let (value_at, value_text) = self.next().map_or((self.end, ""), |token| (token.at, token.text));
        Ok(Expr::Compare(Compare {
            field: field.clone(),
            operator: *operator,
            operator_at: *operator_at,
            value: literal,
            value_at,
            value_text: value_text.to_owned(),
        }))
    }
}

fn is_keyword(token: &Token<'_>, keyword: &str) -> bool {
    matches!(&token.word, Word::Path(path) if path.word() == Some(keyword))
}
