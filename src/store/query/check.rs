//! Checks the tree of a filter against the contract: whether its fields exist, and whether each may be compared with its value.
//!
//! The result is a [`Predicate`] of field numbers and typed values, which is always valid.
//!
//! Knows the tree and the fields. Must not know how a record is stored.

use std::cmp::Ordering;

use jiff::{Timestamp, civil, tz::TimeZone};
use prost_reflect::EnumDescriptor;

use super::{
    field::{Container, FilterField, REFERENCES_FAR, REFERRERS, Values, fields_of_any},
    lexer::{FilterPath, Mistake, Operator, QuotedText},
    parse::{Compare, Expr, Literal},
    step::{Referrer, Step, referred, step},
};
use crate::model::{RecordKind, RecordName, schema::Reference, words};

/// A checked filter, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Predicate {
    /// All parts hold.
    All(Vec<Predicate>),
    /// At least one part holds.
    Any(Vec<Predicate>),
    /// The part does not hold.
    Not(Box<Predicate>),
    /// Some value of a field passes a test. A field without a value passes none.
    Value(FilterField, Test),
    /// Some message of a field satisfies the predicate inside.
    Within(FilterField, Box<Predicate>),
    /// Some record that a field refers to satisfies the predicate of its type.
    Through(FilterField, Vec<Joined>),
    /// Some record that refers to this one satisfies the predicate of its type.
    Referrers(Vec<Referring>),
}

/// What another record must satisfy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Joined {
    /// The type of the record.
    pub(super) kind: RecordKind,
    /// What it must satisfy.
    pub(super) predicate: Predicate,
}

/// What a record that refers to another one must satisfy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Referring {
    /// The fields in which it refers to the other record. Never empty.
    pub(super) fields: Vec<&'static Reference>,
    /// What it must satisfy.
    pub(super) record: Joined,
}

/// A test of a value. Each test fits one kind of [`Values`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// The value is set.
    Set,
    /// Compares with a text, by bytes.
    Text(Comparison, String),
    /// Matches a text with stars.
    Like {
        /// Whether the operator is `!=`.
        negated: bool,
        /// The text, split at its stars.
        pattern: Pattern,
    },
    /// Compares with the name of a record.
    Name {
        /// Whether the operator is `!=`.
        negated: bool,
        /// The name in the filter.
        literal: RecordName,
        /// Every name that leads to the record, sorted. Only the literal until the filter is expanded.
        names: Vec<String>,
    },
    /// Compares with `true` or `false`.
    Bool(Comparison, bool),
    /// Compares with a whole number.
    Int(Comparison, i64),
    /// Compares with a floating-point number.
    Double(Comparison, f64),
    /// Compares with the number of an enum value.
    Enum(Comparison, i32),
    /// Compares with a time, in seconds and nanoseconds.
    Time(Comparison, (i64, i32)),
    /// All these words are among the words of the texts. The last one may be the beginning of a word.
    Words {
        /// The words, folded. At least one.
        words: Vec<String>,
        /// Whether the last word is the beginning of a word.
        prefix: bool,
    },
}

/// A text with stars at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `"x*"`
    Prefix(String),
    /// `"*x"`
    Suffix(String),
    /// `"*x*"`, and `"*"`
    Contains(String),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether the comparison holds for a value with this ordering to the literal.
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl From<Operator> for Comparison {
    /// `:` with a value means `=`.
    fn from(operator: Operator) -> Self {
        match operator {
            Operator::Has | Operator::Equal => Self::Equal,
            Operator::NotEqual => Self::NotEqual,
            Operator::Less => Self::Less,
            Operator::LessOrEqual => Self::LessOrEqual,
            Operator::Greater => Self::Greater,
            Operator::GreaterOrEqual => Self::GreaterOrEqual,
        }
    }
}

/// Checks a filter on records of a kind. `joined`: whether its paths may go on into other records.
pub(super) fn check(kind: RecordKind, expr: &Expr, joined: bool) -> Result<Predicate, Mistake> {
    let container = if joined { Container::joined(kind, REFERENCES_FAR) } else { Container::record(kind) };
    expression(&container, expr)
}

fn expression(container: &Container, expr: &Expr) -> Result<Predicate, Mistake> {
    let checked = expressions(std::slice::from_ref(container), expr)?;
    Ok(checked.into_iter().next().unwrap_or(Predicate::Any(Vec::new())))
}

/// Checks an expression on records of any of some types: one predicate for each container.
///
/// A comparison that does not fit one of the types is false in its records, as if its field were unset. It must fit one of them.
fn expressions(within: &[Container], expr: &Expr) -> Result<Vec<Predicate>, Mistake> {
    let all = |parts: &[Expr], join: fn(Vec<Predicate>) -> Predicate| {
        let mut checked = vec![Vec::new(); within.len()];
        for part in parts {
            checked.iter_mut().zip(expressions(within, part)?).for_each(|(parts, part)| parts.push(part));
        }
        Ok(checked.into_iter().map(join).collect())
    };
    match expr {
        Expr::All(parts) => all(parts, Predicate::All),
        Expr::Any(parts) => all(parts, Predicate::Any),
        Expr::Not(part) => Ok(expressions(within, part)?.into_iter().map(|part| Predicate::Not(Box::new(part))).collect()),
        Expr::Compare(compare) => each(within, &compare.field, |container| comparison(container, compare)),
        Expr::Within { field, inside } => each(within, field, |container| inside_of(container, field, inside)),
    }
}

/// Checks one comparison in each of some types.
fn each(
    within: &[Container],
    path: &FilterPath,
    check: impl Fn(&Container) -> Result<Predicate, Mistake>,
) -> Result<Vec<Predicate>, Mistake> {
    let checked: Vec<_> = within.iter().map(check).collect();
    if checked.iter().all(Result::is_err) {
        let several = if within.len() > 1 { path.names.first() } else { None };
        let unknown = several.filter(|(_, name)| within.iter().all(|container| !container.has(name)));
        return Err(match unknown {
            Some((at, name)) => Mistake::new(*at, name, fields_of_any(within)),
            None => furthest(checked.into_iter().filter_map(Result::err)),
        });
    }
    Ok(checked.into_iter().map(|checked| checked.unwrap_or_else(|_| Predicate::Any(Vec::new()))).collect())
}

/// The mistake of a comparison that fits none of some types: the one behind most of the text, or all that are equally far.
fn furthest(mistakes: impl Iterator<Item = Mistake>) -> Mistake {
    let mut mistakes: Vec<_> = mistakes.collect();
    let at = mistakes.iter().map(|mistake| mistake.at).max().unwrap_or_default();
    mistakes.retain(|mistake| mistake.at == at);
    let mut expected: Vec<_> = mistakes.iter().map(|mistake| mistake.expected.clone()).collect();
    expected.dedup();
    let found = mistakes.into_iter().next().map(|mistake| mistake.found).unwrap_or_default();
    Mistake::new(at, found, expected.join("; or "))
}

/// Checks `field:(...)`.
fn inside_of(container: &Container, path: &FilterPath, inside: &Expr) -> Result<Predicate, Mistake> {
    let at = path.names.first().map_or(0, |(at, _)| *at);
    match step(container, path)? {
        Step::Inside(field) => match &field.values {
            Values::Message(message) => {
                let inner = container.inside(&field, message);
                Ok(Predicate::Within(field, Box::new(expression(&inner, inside)?)))
            }
            Values::Reference(target) => {
                let within = referred(container, *target, at, &field.name)?;
                Ok(through(field, &within, expressions(&within, inside)?))
            }
            _ => {
                let expected =
                    format!("a field of messages or references before :(...): {} is not a message or a reference", field.name);
                Err(Mistake::new(at, field.name, expected))
            }
        },
        Step::Through(field, within, rest) => {
            let parts = each(&within, &rest, |container| inside_of(container, &rest, inside))?;
            Ok(through(field, &within, parts))
        }
        Step::Back(referrers, rest) => {
            let within: Vec<_> = referrers.iter().map(|referrer| referrer.container.clone()).collect();
            let parts = match rest {
                Some(rest) => each(&within, &rest, |container| inside_of(container, &rest, inside))?,
                None => expressions(&within, inside)?,
            };
            Ok(back(referrers, parts))
        }
        Step::AnyOf(paths) => {
            paths.iter().map(|path| inside_of(container, path, inside)).collect::<Result<_, _>>().map(Predicate::Any)
        }
    }
}

fn through(field: FilterField, within: &[Container], parts: Vec<Predicate>) -> Predicate {
    let joined = within.iter().zip(parts).map(|(container, predicate)| Joined { kind: container.kind, predicate });
    Predicate::Through(field, joined.filter(Joined::is_possible).collect())
}

fn back(referrers: Vec<Referrer>, parts: Vec<Predicate>) -> Predicate {
    let record = |(referrer, predicate): (Referrer, _)| Referring {
        record: Joined { kind: referrer.container.kind, predicate },
        fields: referrer.fields,
    };
    let parts = referrers.into_iter().zip(parts).map(record);
    Predicate::Referrers(parts.filter(|part| part.record.is_possible()).collect())
}

impl Joined {
    /// Whether a record can satisfy it, as far as its type tells.
    fn is_possible(&self) -> bool {
        self.predicate != Predicate::Any(Vec::new())
    }
}

fn comparison(container: &Container, compare: &Compare) -> Result<Predicate, Mistake> {
    let along = |path| Compare { field: path, ..compare.clone() };
    match step(container, &compare.field)? {
        Step::Inside(field) => value_test(field, compare),
        Step::Through(field, within, rest) => {
            let compare = along(rest);
            let parts = each(&within, &compare.field, |container| comparison(container, &compare))?;
            Ok(through(field, &within, parts))
        }
        Step::Back(referrers, rest) => {
            let within: Vec<_> = referrers.iter().map(|referrer| referrer.container.clone()).collect();
            let parts = match rest {
                Some(rest) => {
                    let compare = along(rest);
                    each(&within, &compare.field, |container| comparison(container, &compare))?
                }
                None if compare.value == Literal::Star => vec![Predicate::All(Vec::new()); within.len()],
                None => {
                    let expected = format!(":(...) or :*, or a field of the referrers, as in {REFERRERS}.claims.kind");
                    return Err(operator(compare, expected));
                }
            };
            Ok(back(referrers, parts))
        }
        Step::AnyOf(paths) => {
            paths.into_iter().map(|path| comparison(container, &along(path))).collect::<Result<_, _>>().map(Predicate::Any)
        }
    }
}

/// Compares a field of the record itself.
fn value_test(field: FilterField, compare: &Compare) -> Result<Predicate, Mistake> {
    let test = match (&compare.value, &field.values) {
        (Literal::Star, _) => Test::Set,
        (literal, Values::Text) => text_test(compare, literal)?,
        (literal, Values::Reference(target)) => reference_test(&field, *target, compare, literal)?,
        (Literal::Word, Values::Bool) => bool_test(&field, compare)?,
        (Literal::Number, Values::Int) => Test::Int(compare.operator.into(), whole_number(compare)?),
        (Literal::Number, Values::Double) => Test::Double(compare.operator.into(), number(compare)?),
        (Literal::Text(QuotedText { characters: name, .. }), Values::Enum(values)) => enum_test(&field, values, compare, name)?,
        (Literal::Word, Values::Enum(values)) => enum_test(&field, values, compare, &compare.value_text)?,
        (Literal::Text(text), Values::Time) => Test::Time(compare.operator.into(), time(compare, &text.characters)?),
        (Literal::Text(text), Values::Words(_)) => words_test(&field, compare, text)?,
        (_, Values::Bool) => return Err(value(compare, "true or false")),
        (_, Values::Int) => return Err(value(compare, "a whole number")),
        (_, Values::Double) => return Err(value(compare, "a number")),
        (_, Values::Enum(values)) => return Err(value(compare, enum_names(values))),
        (_, Values::Time) => return Err(value(compare, TIME)),
        (_, Values::Words(_)) => return Err(value(compare, "a text in quotes")),
        (_, Values::Message(_)) => {
            let expected = format!("{0}.field, {0}:(...) or {0}:*: {0} is a message", field.name);
            return Err(operator(compare, expected));
        }
        (_, Values::Map) => {
            let expected = format!("{0}.\"key\" or {0}:*: {0} is a map", field.name);
            return Err(operator(compare, expected));
        }
    };
    Ok(Predicate::Value(field, test))
}

fn text_test(compare: &Compare, literal: &Literal) -> Result<Test, Mistake> {
    let Literal::Text(text) = literal else { return Err(value(compare, "a text in quotes")) };
    match pattern(compare, text)? {
        Some(pattern) => Ok(Test::Like { negated: compare.operator == Operator::NotEqual, pattern }),
        None => Ok(Test::Text(compare.operator.into(), text.characters.clone())),
    }
}

/// The pattern of a text with stars. Stars have a meaning after `=`, `!=` and `:` only.
fn pattern(compare: &Compare, text: &QuotedText) -> Result<Option<Pattern>, Mistake> {
    if text.stars.is_empty() || !is_equality(compare.operator) {
        return Ok(None);
    }
    let last = text.characters.len() - 1;
    let begins = text.stars.contains(&0);
    let ends = text.stars.contains(&last);
    if text.stars.iter().any(|at| *at != 0 && *at != last) {
        return Err(value(compare, "a text with * at its beginning or end only: write \\* for the character itself"));
    }
    let inner = text.characters.get(usize::from(begins)..last + usize::from(!ends)).unwrap_or_default().to_owned();
    Ok(Some(match (begins, ends) {
        (true, false) => Pattern::Suffix(inner),
        (false, true) => Pattern::Prefix(inner),
        _ => Pattern::Contains(inner),
    }))
}

/// References compare by name. With stars or an order comparison they compare as the stored text.
fn reference_test(
    field: &FilterField,
    target: Option<RecordKind>,
    compare: &Compare,
    literal: &Literal,
) -> Result<Test, Mistake> {
    let as_stored = text_test(compare, literal)?;
    let (Test::Text(comparison @ (Comparison::Equal | Comparison::NotEqual), text), false) = (&as_stored, is_empty(literal))
    else {
        return Ok(as_stored);
    };
    let example = target.unwrap_or(RecordKind::Event);
    let expected = || format!("a name such as \"{}/x1\": {} refers to records", example.collection(), field.name);
    let literal: RecordName = text.parse().map_err(|_| value(compare, expected()))?;
    if target.is_some_and(|target| target != literal.kind()) {
        return Err(value(compare, expected()));
    }
    Ok(Test::Name { negated: *comparison == Comparison::NotEqual, names: vec![literal.to_string()], literal })
}

fn is_empty(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if text.characters.is_empty())
}

fn bool_test(field: &FilterField, compare: &Compare) -> Result<Test, Mistake> {
    let literal = match compare.value_text.as_str() {
        "true" => true,
        "false" => false,
        _ => return Err(value(compare, "true or false")),
    };
    no_order(field, compare)?;
    Ok(Test::Bool(compare.operator.into(), literal))
}

fn enum_test(field: &FilterField, values: &EnumDescriptor, compare: &Compare, name: &str) -> Result<Test, Mistake> {
    no_order(field, compare)?;
    let prefix = enum_prefix(values);
    let found = values.values().find(|value| value.name() == name || value.name().strip_prefix(&prefix) == Some(name));
    match found {
        Some(found) if found.number() != 0 => Ok(Test::Enum(compare.operator.into(), found.number())),
        Some(_) => {
            Err(value(compare, format!("a value that can be set: write NOT {0}:* to find records without {0}", field.name)))
        }
        None => Err(value(compare, enum_names(values))),
    }
}

/// The common prefix of the names of an enum's values, such as `CLAIM_KIND_`.
fn enum_prefix(values: &EnumDescriptor) -> String {
    values.get_value(0).and_then(|unset| unset.name().strip_suffix("UNSPECIFIED").map(str::to_owned)).unwrap_or_default()
}

fn enum_names(values: &EnumDescriptor) -> String {
    let prefix = enum_prefix(values);
    let names = values.values().filter(|value| value.number() != 0);
    let names: Vec<_> = names.map(|value| value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_owned()).collect();
    format!("one of {}", names.join(", "))
}

/// A test on words. All words of the text must be found. Use NOT to say that they are not.
fn words_test(field: &FilterField, compare: &Compare, text: &QuotedText) -> Result<Test, Mistake> {
    if !matches!(compare.operator, Operator::Equal | Operator::Has) {
        return Err(operator(compare, format!("= or :, because {} holds words", field.name)));
    }
    let (text, prefix) = match pattern(compare, text)? {
        None => (text.characters.clone(), false),
        Some(Pattern::Prefix(text)) => (text, true),
        Some(_) => return Err(value(compare, "a text with * at its end only: words are found by their beginning")),
    };
    let words = words(&text);
    if words.is_empty() {
        return Err(value(compare, "a text with at least one letter or digit"));
    }
    Ok(Test::Words { words, prefix })
}

fn whole_number(compare: &Compare) -> Result<i64, Mistake> {
    compare.value_text.parse().map_err(|_| value(compare, "a whole number of at most 64 bits"))
}

fn number(compare: &Compare) -> Result<f64, Mistake> {
    let number: f64 = compare.value_text.parse().map_err(|_| value(compare, "a number"))?;
    if number.is_finite() { Ok(number) } else { Err(value(compare, "a number below 1.8e308")) }
}

const TIME: &str = "a time such as \"2024-10-01T12:00:00Z\", or a date such as \"2024-10-01\", which means midnight in UTC";

/// Seconds and nanoseconds of an RFC 3339 time or a date.
fn time(compare: &Compare, text: &str) -> Result<(i64, i32), Mistake> {
    parse_time(text).ok_or_else(|| value(compare, TIME))
}

fn parse_time(text: &str) -> Option<(i64, i32)> {
    let timestamp = match text.len() {
        10 => text.parse::<civil::Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        _ if is_rfc_3339(text) => text.parse::<Timestamp>().ok()?,
        _ => return None,
    };
    let nanos = timestamp.as_nanosecond();
    Some((i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?, i32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?))
}

/// Whether a text has the form of an RFC 3339 time. The parser accepts other forms too.
fn is_rfc_3339(text: &str) -> bool {
    let shape: String =
        text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter.to_ascii_uppercase() }).collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches('0');
            if !(1..=9).contains(&(fraction.len() - zone.len())) {
                return false;
            }
            zone
        }
        None => rest,
    };
    matches!(zone, "Z" | "+00:00" | "-00:00")
}

fn is_equality(operator: Operator) -> bool {
    matches!(operator, Operator::Has | Operator::Equal | Operator::NotEqual)
}

fn no_order(field: &FilterField, compare: &Compare) -> Result<(), Mistake> {
    if is_equality(compare.operator) {
        return Ok(());
    }
    Err(operator(compare, format!("=, != or :, because the values of {} have no order", field.name)))
}

fn operator(compare: &Compare, expected: impl Into<String>) -> Mistake {
    let text = match compare.operator {
        Operator::Has => ":",
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
    };
    Mistake::new(compare.operator_at, text, expected)
}

fn value(compare: &Compare, expected: impl Into<String>) -> Mistake {
    Mistake::new(compare.value_at, compare.value_text.clone(), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_dates_and_nothing_else() {
        for (text, expected) in [
            ("1970-01-01", Some((0, 0))),
            ("1970-01-01T00:00:01Z", Some((1, 0))),
            ("1969-12-31T23:59:59.5Z", Some((-1, 500_000_000))),
            ("1970-01-01t02:00:00.000000001+02:00", Some((0, 1))),
            ("0001-01-01", Some((-62_135_596_800, 0))),
            ("2024-10-01T00:00:00", None),
            ("2024-10-01 00:00:00Z", None),
            ("2024-10-01T00:00Z", None),
            ("2024-10-01T00:00:00.Z", None),
            ("2024-10-01T00:00:00Z[UTC]", None),
            ("2024-13-01", None),
            ("2024-02-30", None),
            ("2024-W40-2", None),
            ("2024", None),
            ("20241001", None),
            ("", None),
            ("äöüäö", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }
}
