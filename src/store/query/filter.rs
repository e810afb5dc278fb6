//! A filter. It is evaluated on the encoded bytes of a record, without decoding them.
//!
//! These values are unset: an absent message or `optional` field, an empty text or list, the number 0 of an enum, and a missing
//! key of a map. An unset value passes no test, not even `!=`. A bool or number without `optional` is 0 if its message is
//! present and does not hold it. It is unset only if its message is absent. In a map, a key with an empty text is set.
//!
//! Knows the wire format and checked filters. Must not know the syntax of a filter, or how a record is found.

use super::{
    check::{Comparison, Joined, Pattern, Predicate, Referring, Test, check},
    field::{FilterField, Values},
    lexer::TextField,
    parse::parse,
};
use crate::{
    model::{
        RecordKind,
        wire::{self, Value},
        words,
    },
    store::{StoreLimits, error::Result, view::View},
};

/// Field number of the key in a map entry.
const ENTRY_KEY: u32 = 1;
/// Field number of the value in a map entry.
const ENTRY_VALUE: u32 = 2;

/// A parsed filter on the records of one kind.
///
/// ```
/// use annals::{model::RecordKind, proto, store::{StoreLimits, query::RecordFilter}};
/// use prost::Message as _;
///
/// let filter = RecordFilter::parse(RecordKind::Event, r#"title = "*troops*" AND NOT labels:*"#, &StoreLimits::default())?;
/// let event = proto::Event { title: "Sending of troops".into(), ..Default::default() };
/// assert!(filter.matches(&event.encode_to_vec()));
/// # Ok::<(), annals::store::StoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RecordFilter {
    predicate: Predicate,
}

/// Tests the records that a record refers to, and those that refer to it.
pub(super) trait OtherRecords {
    /// Whether the record that a name leads to satisfies the predicate of its type.
    fn leads_to(&self, name: &str, parts: &[Joined]) -> bool;
    /// Whether some record that refers to this one satisfies the predicate of its type.
    fn is_referred_to(&self, record: &[u8], parts: &[Referring]) -> bool;
}

/// No other records. A filter that reads only the record itself never asks for them.
struct NoOtherRecords;

impl OtherRecords for NoOtherRecords {
    fn leads_to(&self, _: &str, _: &[Joined]) -> bool {
        debug_assert!(false, "a filter on one record asks for another one");
        false
    }

    fn is_referred_to(&self, _: &[u8], _: &[Referring]) -> bool {
        debug_assert!(false, "a filter on one record asks for others");
        false
    }
}

impl RecordFilter {
    /// Parses a filter that reads only the record itself. An empty filter matches every record.
    ///
    /// Fails with `FILTER_INVALID`, whose metadata tell the position and what was expected, or with `LIMIT_EXCEEDED`. A path that
    /// goes on into another record is `FILTER_INVALID`, too.
    pub fn parse(kind: RecordKind, text: &str, limits: &StoreLimits) -> Result<Self> {
        Self::parse_as(kind, text, limits, false)
    }

    /// The same for a filter whose paths may go on into other records.
    pub(crate) fn parse_joined(kind: RecordKind, text: &str, limits: &StoreLimits) -> Result<Self> {
        Self::parse_as(kind, text, limits, true)
    }

    fn parse_as(kind: RecordKind, text: &str, limits: &StoreLimits, joined: bool) -> Result<Self> {
        let tree = parse(text, limits)?;
        let predicate = check(kind, &tree, joined).map_err(|mistake| mistake.into_error(TextField::Filter, text))?;
        Ok(Self { predicate })
    }

    /// Lets each name in the filter match every name that leads to the same record in this view. Without this, the filter
    /// compares references as they are stored.
    pub(crate) fn expand(&mut self, view: &View<'_>) -> Result<()> {
        expand(&mut self.predicate, view)
    }

    /// Whether a record matches. It must be encoded as its kind's message.
    pub fn matches(&self, record: &[u8]) -> bool {
        self.predicate.matches(record, &NoOtherRecords)
    }

    /// The checked tree of the filter.
    pub(super) fn predicate(&self) -> &Predicate {
        &self.predicate
    }
}

fn expand(predicate: &mut Predicate, view: &View<'_>) -> Result<()> {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter_mut().try_for_each(|part| expand(part, view)),
        Predicate::Not(part) | Predicate::Within(_, part) => expand(part, view),
        Predicate::Through(_, parts) => parts.iter_mut().try_for_each(|part| expand(&mut part.predicate, view)),
        Predicate::Referrers(parts) => parts.iter_mut().try_for_each(|part| expand(&mut part.record.predicate, view)),
        Predicate::Value(_, Test::Name { literal, names, .. }) => {
            *names = view.names_of(literal)?.iter().map(ToString::to_string).collect();
            names.sort_unstable();
            Ok(())
        }
        Predicate::Value(..) => Ok(()),
    }
}

impl Predicate {
    /// Whether a message satisfies the predicate.
    pub(super) fn matches(&self, message: &[u8], others: &dyn OtherRecords) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(message, others)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(message, others)),
            Self::Not(part) => !part.matches(message, others),
            Self::Value(FilterField { values: Values::Words(paths), .. }, test) => has_words(message, paths, test),
            Self::Value(field, test) => any_value(message, &field.numbers, field, &mut |value| test.passes(field, value)),
            Self::Within(field, inside) => {
                any_value(message, &field.numbers, field, &mut |value| inside.matches(value.bytes(), others))
            }
            Self::Through(field, parts) => {
                any_value(message, &field.numbers, field, &mut |value| others.leads_to(value.text(), parts))
            }
            Self::Referrers(parts) => others.is_referred_to(message, parts),
        }
    }
}

/// Whether some set value of a field passes a test. This program has encoded all stored records. So a message holds a field
/// that is not repeated at most once, and holds an empty text or a number 0 only if that has a meaning.
pub(super) fn any_value<'m>(
    message: &'m [u8],
    numbers: &[u32],
    field: &FilterField,
    passes: &mut dyn FnMut(Value<'m>) -> bool,
) -> bool {
    let Some((number, below)) = numbers.split_first() else { return false };
    let mut found = wire::fields(message).filter(|field| field.number == *number).map(|field| field.value);
    if !below.is_empty() {
        return found.any(|value| any_value(value.bytes(), below, field, passes));
    }
    if let Some(key) = &field.key {
        return found.any(|entry| {
            wire::first(entry.bytes(), ENTRY_KEY).map_or("", Value::text) == key
                && passes(wire::first(entry.bytes(), ENTRY_VALUE).unwrap_or_else(|| zero(&field.values)))
        });
    }
    if !field.always_set {
        return found.any(|value| is_set(&field.values, value) && passes(value));
    }
    passes(found.next().unwrap_or_else(|| zero(&field.values)))
}

/// Whether a value in a message counts as set.
fn is_set(values: &Values, value: Value<'_>) -> bool {
    match values {
        Values::Text | Values::Reference(_) => !value.bytes().is_empty(),
        Values::Enum(_) => value != Value::Varint(0),
        _ => true,
    }
}

/// The value that proto3 does not encode.
fn zero(values: &Values) -> Value<'static> {
    match values {
        Values::Double => Value::Fixed64(0),
        Values::Bool | Values::Int | Values::Enum(_) => Value::Varint(0),
        _ => Value::Bytes(&[]),
    }
}

impl Test {
    fn passes(&self, field: &FilterField, value: Value<'_>) -> bool {
        match self {
            Self::Set => true,
            Self::Text(comparison, text) => comparison.holds(value.bytes().cmp(text.as_bytes())),
            Self::Like { negated, pattern } => pattern.matches(value.text()) != *negated,
            Self::Name { negated, names, .. } => {
                names.binary_search_by(|name| name.as_str().cmp(value.text())).is_ok() != *negated
            }
            Self::Bool(comparison, literal) => comparison.holds((int(value) != 0).cmp(literal)),
            Self::Int(comparison, literal) => comparison.holds(int(value).cmp(literal)),
            Self::Enum(comparison, literal) => comparison.holds(int(value).cmp(&i64::from(*literal))),
            Self::Double(comparison, literal) => double(value)
                .partial_cmp(literal)
                .map_or(*comparison == Comparison::NotEqual, |ordering| comparison.holds(ordering)),
            Self::Time(comparison, literal) => comparison.holds(value.timestamp().cmp(literal)),
            Self::Words { .. } => {
                debug_assert!(false, "words are tested as a whole: {field:?}");
                false
            }
        }
    }
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Contains(inner) => text.contains(inner),
        }
    }
}

/// A varint as a whole number. The field is an int64, an int32 or a uint32.
pub(super) fn int(value: Value<'_>) -> i64 {
    match value {
        Value::Varint(number) => number.cast_signed(),
        _ => 0,
    }
}

/// The value of a double.
pub(super) fn double(value: Value<'_>) -> f64 {
    match value {
        Value::Fixed64(bits) => f64::from_bits(bits),
        _ => 0.0,
    }
}

/// Whether all words of a test are among the words of a record, in any order.
fn has_words(record: &[u8], paths: &[Vec<u32>], test: &Test) -> bool {
    let mut have = Vec::new();
    for path in paths {
        wire::visit_values(record, path, &mut |value| have.extend(words(value.text())));
    }
    match test {
        Test::Words { words, prefix } => words.iter().enumerate().all(|(at, word)| {
            let begins = *prefix && at + 1 == words.len();
            have.iter().any(|candidate| if begins { candidate.starts_with(word.as_str()) } else { candidate == word })
        }),
        _ => !have.is_empty(),
    }
}
