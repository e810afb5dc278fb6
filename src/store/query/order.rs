//! The order of a list: parses its text, and makes the keys that sort records.
//!
//! A key holds the value of each field in bytes that sort as the values do. For `desc` they sort backwards. Unset is last in
//! both directions. If two records have equal keys, the name decides.
//!
//! Knows fields and the wire format. Must not know indexes.

use std::fmt;

use super::{
    field::{Container, FilterField, Values},
    filter::{any_value, double, int},
    lexer::{Mistake, TextField, Token, Word, tokens},
    parse::within,
};
use crate::{
    model::{RecordKind, schema, wire::Value},
    store::{
        StoreLimits,
        error::Result,
        keys::{self, SET, UNSET},
    },
};

/// How records are sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Order {
    /// The fields, most significant first. The name is never among them: it always decides last.
    pub(super) fields: Vec<OrderField>,
    /// Whether records with equal keys are sorted by name backwards. Without fields, all records.
    pub(super) names_descending: bool,
}

/// A field of an order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OrderField {
    /// The field. It has at most one value.
    pub(super) field: FilterField,
    /// Whether the greatest value is first.
    pub(super) descending: bool,
}

impl Order {
    /// Parses the text of an order: `field [desc]`, separated by commas. An empty text is the order by name.
    pub(super) fn parse(kind: RecordKind, text: &str, limits: &StoreLimits) -> Result<Self> {
        within("order_by", limits.filter_chars(), text.chars().count())?;
        parse(kind, text, limits.order_fields).map_err(|mistake| mistake.into_error(TextField::OrderBy, text))
    }

    /// The sort key of a record, without its name. Empty for an order by name.
    pub(super) fn key(&self, record: &[u8]) -> Vec<u8> {
        let mut key = Vec::new();
        for OrderField { field, descending } in &self.fields {
            let part = part(field, record);
            key.extend(part.iter().enumerate().map(|(at, byte)| if *descending && at > 0 { !byte } else { *byte }));
        }
        key
    }

    /// The key and the id. Together they are unique, and sort in the order of the list.
    pub(super) fn total_key(&self, key: &[u8], id: &str) -> Vec<u8> {
        let mut total = key.to_vec();
        let id = id.bytes().chain([0]);
        if self.names_descending {
            total.extend(id.map(|byte| !byte));
        } else {
            total.extend(id);
        }
        total
    }
}

/// The form in a plan, such as `time.earliest desc, name desc`.
impl fmt::Display for Order {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = |descending| if descending { " desc" } else { "" };
        for OrderField { field, descending } in &self.fields {
            write!(to, "{}{}, ", field.name, direction(*descending))?;
        }
        write!(to, "name{}", direction(self.names_descending))
    }
}

fn parse(kind: RecordKind, text: &str, fields_max: u64) -> std::result::Result<Order, Mistake> {
    let tokens = tokens(text)?;
    let mut order = Order::default();
    if tokens.is_empty() {
        return Ok(order);
    }
    let end = Token { at: text.len(), text: "", word: Word::Comma };
    let mut rest = tokens.iter();
    let mut by_name = false;
    let mut seen: Vec<String> = Vec::new();
    loop {
        let token = rest.next().unwrap_or(&end);
        let Word::Path(path) = &token.word else {
            return Err(Mistake::new(token.at, token.text, "a field, such as time.earliest"));
        };
        let field = FilterField::resolve(&Container::record(kind), path)?;
        if let Some(why) = unsortable(&field) {
            return Err(Mistake::new(
                token.at,
                token.text,
                format!("a field with a single value that can be sorted: {} {why}", field.name),
            ));
        }
        if seen.len() as u64 == fields_max {
            return Err(Mistake::new(token.at, token.text, format!("at most {fields_max} fields")));
        }
        if seen.contains(&field.name) {
            return Err(Mistake::new(token.at, token.text, "a field that the order does not name already"));
        }
        seen.push(field.name.clone());
        let mut next = rest.next();
        let descending = next.is_some_and(|token| token.text == "desc");
        if descending {
            next = rest.next();
        }
        // Fields after the name have no effect, because no two records have the same name.
        if !by_name {
            order.names_descending = descending;
            by_name = field.numbers == [schema::NAME];
            if !by_name {
                order.fields.push(OrderField { field, descending });
            }
        }
        match next {
            None => return Ok(order),
            Some(Token { word: Word::Comma, .. }) => {}
            Some(token) => {
                let expected = if descending { "a comma or the end" } else { "desc, a comma or the end" };
                return Err(Mistake::new(token.at, token.text, expected));
            }
        }
    }
}

fn unsortable(field: &FilterField) -> Option<&'static str> {
    match field.values {
        Values::Words(_) => Some("has several values"),
        _ if field.many => Some("can have several values"),
        Values::Message(_) => Some("is a message: name one of its fields"),
        Values::Map => Some("is a map: name a key"),
        _ => None,
    }
}

/// The part of a key for one field: a byte for set or unset, then the value.
fn part(field: &FilterField, record: &[u8]) -> Vec<u8> {
    let mut part = vec![UNSET];
    any_value(record, &field.numbers, field, &mut |value| {
        part = match &field.values {
            // The same bytes as in an index, so that an index entry can serve as a position.
            Values::Time => keys::time_part(Some(value.timestamp())),
            Values::Double => with_value(&ordered(double(value)).to_be_bytes()),
            Values::Bool | Values::Int | Values::Enum(_) => with_value(&(int(value).cast_unsigned() ^ 1 << 63).to_be_bytes()),
            _ => with_text(value),
        };
        true
    });
    part
}

fn with_value(bytes: &[u8]) -> Vec<u8> {
    let mut part = vec![SET];
    part.extend_from_slice(bytes);
    part
}

/// The text, and an end that is less than any character of a text: records hold no U+0000.
fn with_text(value: Value<'_>) -> Vec<u8> {
    let mut part = with_value(value.bytes());
    part.push(0);
    part
}

/// A double as an integer with the same order. -0 and 0 are equal.
fn ordered(number: f64) -> u64 {
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> String {
        Order::parse(RecordKind::Event, text, &StoreLimits::default()).unwrap().to_string()
    }

    fn wrong(text: &str, position: usize, found: &str) {
        let error = Order::parse(RecordKind::Event, text, &StoreLimits::default()).unwrap_err();
        let metadata: Vec<_> = error.metadata.iter().take(2).map(|(_, value)| value.as_str()).collect();
        assert_eq!(metadata, [position.to_string().as_str(), found], "{text}: {error}");
        assert_eq!(error.reason, crate::proto::ErrorReason::OrderByInvalid);
    }

    #[test]
    fn the_name_breaks_ties_in_the_direction_of_the_last_field() {
        assert_eq!(order(""), "name");
        assert_eq!(order("name desc"), "name desc");
        assert_eq!(order("time.earliest"), "time.earliest, name");
        assert_eq!(order("time.earliest desc"), "time.earliest desc, name desc");
        assert_eq!(order("time.earliest desc,title"), "time.earliest desc, title, name");
        assert_eq!(order("time.earliest desc, name"), "time.earliest desc, name");
        assert_eq!(order("name, title desc"), "name");
        assert_eq!(order("createTime"), "create_time, name");
        assert_eq!(order("metrics.\"a.b-c\" desc, revision"), "metrics.\"a.b-c\" desc, revision, name");
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused_where_it_is_wrong() {
        wrong("titel", 0, "titel");
        wrong("title asc", 6, "asc");
        wrong("title desc desc", 11, "desc");
        wrong("title,", 6, "");
        wrong(", title", 0, ",");
        wrong("title, title desc", 7, "title");
        wrong("title, name, revision, actuality", 23, "actuality");
        wrong("types", 0, "types");
        wrong("places.country", 0, "places.country");
        wrong("metrics", 0, "metrics");
        wrong("time", 0, "time");
        wrong("title desc title", 11, "title");
    }

    #[test]
    fn an_order_has_as_many_fields_as_the_limit_says() {
        let limits = StoreLimits { order_fields: 2, ..StoreLimits::default() };
        assert!(Order::parse(RecordKind::Event, "title, name", &limits).is_ok());
        let error = Order::parse(RecordKind::Event, "title, name, revision", &limits).unwrap_err();
        assert!(error.to_string().contains("at most 2 fields"), "{error}");
    }

    #[test]
    fn an_error_at_the_end_says_that_the_order_ends_there() {
        let error = Order::parse(RecordKind::Event, "title,", &StoreLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "order_by: at position 6 the order ends here; expected a field, such as time.earliest");
    }

    #[test]
    fn numbers_sort_by_value() {
        let numbers =
            [f64::NEG_INFINITY, f64::MIN, -1.5, -f64::MIN_POSITIVE, -0.0, f64::MIN_POSITIVE, 1.0, 1e300, f64::INFINITY];
        assert!(numbers.map(ordered).is_sorted());
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
