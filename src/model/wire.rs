//! Reads and rewrites encoded records field by field, without decoding the rest.
//!
//! A record is stored as the bytes that a Get answers with. The store finds the values that it needs (a name, the external ids,
//! a nested reference) by field numbers, which never change.
//!
//! Knows the protobuf wire format. Must not know what any field means.

use std::collections::{BTreeMap, HashSet};

/// One encoded field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WireField<'a> {
    /// Its number in the contract.
    pub(crate) number: u32,
    /// Its value, by wire type.
    pub(crate) value: Value<'a>,
    /// All its bytes, tag included.
    pub(crate) raw: &'a [u8],
}

/// A value, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Integers, bools, enums.
    Varint(u64),
    /// Doubles.
    Fixed64(u64),
    /// Texts, bytes, messages, map entries.
    Bytes(&'a [u8]),
    /// Floats. The contract has none today.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The bytes of a text or message. Empty for the other wire types.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The text. Empty if the value is not UTF-8 text.
    pub(crate) fn text(self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

impl Value<'_> {
    /// Seconds and nanoseconds of a `google.protobuf.Timestamp`.
    pub(crate) fn timestamp(self) -> (i64, i32) {
        let number = |number| match first(self.bytes(), number) {
            Some(Value::Varint(value)) => value.cast_signed(),
            _ => 0,
        };
        (number(1), i32::try_from(number(2)).unwrap_or_default())
    }
}

/// The fields of a message, in the order in which they are encoded.
///
/// Reads what this program has encoded or decoded before. Bytes that are not a message end the iteration; they do not panic.
pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// Iterator of [`fields`].
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = WireField<'a>;

    fn next(&mut self) -> Option<WireField<'a>> {
        let start = self.rest;
        let (tag, rest) = varint(start)?;
        let number = u32::try_from(tag >> 3).ok()?;
        let (value, rest) = match tag & 7 {
            0 => {
                let (value, rest) = varint(rest)?;
                (Value::Varint(value), rest)
            }
            1 => {
                let (value, rest) = rest.split_first_chunk::<8>()?;
                (Value::Fixed64(u64::from_le_bytes(*value)), rest)
            }
            2 => {
                let (length, rest) = varint(rest)?;
                let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Value::Bytes(value), rest)
            }
            5 => {
                let (value, rest) = rest.split_first_chunk::<4>()?;
                (Value::Fixed32(u32::from_le_bytes(*value)), rest)
            }
            _ => return None,
        };
        self.rest = rest;
        let raw = start.get(..start.len() - rest.len())?;
        Some(WireField { number, value, raw })
    }
}

/// Reads a varint. Returns it and the remaining bytes. `None` if the bytes are not a varint.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// Appends a varint.
pub(crate) fn put_varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push((value & 0x7f) as u8);
}

/// Appends a field of text, bytes or a message.
pub(crate) fn put_bytes(number: u32, value: &[u8], to: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 2, to);
    put_varint(value.len() as u64, to);
    to.extend_from_slice(value);
}

/// Appends an integer field.
pub(crate) fn put_int(number: u32, value: u64, to: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3, to);
    put_varint(value, to);
}

/// The first field with this number.
pub(crate) fn first(message: &[u8], number: u32) -> Option<Value<'_>> {
    fields(message).find(|field| field.number == number).map(|field| field.value)
}

/// Every text of a repeated field of texts.
pub(crate) fn texts(message: &[u8], number: u32) -> impl Iterator<Item = &str> {
    fields(message).filter(move |field| field.number == number).map(|field| field.value.text())
}

/// The numbers of the fields that are set, ascending.
pub(crate) fn numbers(message: &[u8]) -> Vec<u32> {
    let mut numbers: Vec<u32> = fields(message).map(|field| field.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// A message split at the top level: the bytes of each field with their tags, with all elements of a repeated field together.
/// Two encodings of one message are equal exactly if their parts are equal, because maps are encoded in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    fields: BTreeMap<u32, Vec<u8>>,
}

impl Parts {
    /// The parts of an encoded message.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut parts = Self::default();
        for field in fields(message) {
            parts.fields.entry(field.number).or_default().extend_from_slice(field.raw);
        }
        parts
    }

    /// The bytes of a field, with tags. Empty if it is unset.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        self.fields.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Replaces a field by these bytes, which include the tags. Empty bytes unset it.
    pub(crate) fn set(&mut self, number: u32, raw: Vec<u8>) {
        if raw.is_empty() {
            self.fields.remove(&number);
        } else {
            self.fields.insert(number, raw);
        }
    }

    /// Adds texts to a repeated field, except those that it already has.
    pub(crate) fn add_texts(&mut self, number: u32, added: impl IntoIterator<Item = String>) {
        let mut raw = self.get(number).to_vec();
        let mut present: HashSet<String> = texts(&raw, number).map(str::to_owned).collect();
        for text in added {
            if !present.contains(&text) {
                put_bytes(number, text.as_bytes(), &mut raw);
                present.insert(text);
            }
        }
        self.set(number, raw);
    }

    /// Keeps the texts of a repeated field for which `keep` is true.
    pub(crate) fn retain_texts(&mut self, number: u32, keep: impl Fn(&str) -> bool) {
        let mut raw = Vec::new();
        for text in texts(self.get(number), number).filter(|text| keep(text)) {
            put_bytes(number, text.as_bytes(), &mut raw);
        }
        self.set(number, raw);
    }

    /// The numbers of the fields that are set.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.fields.keys().copied()
    }

    /// The numbers of the fields in which two messages differ, ascending.
    pub(crate) fn differences(&self, other: &Self) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.numbers().chain(other.numbers()).filter(|number| self.get(*number) != other.get(*number)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The message, with its fields in order of their numbers.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.fields.values().flatten().copied().collect()
    }
}

/// Visits every value at a path of field numbers, through messages and repeated fields.
pub(crate) fn visit_values<'a>(message: &'a [u8], path: &[u32], visit: &mut dyn FnMut(Value<'a>)) {
    let Some((number, rest)) = path.split_first() else { return };
    for field in fields(message).filter(|field| field.number == *number) {
        if rest.is_empty() {
            visit(field.value);
        } else {
            visit_values(field.value.bytes(), rest, visit);
        }
    }
}

/// Visits every text at a path of field numbers, through messages and repeated fields. `visit` gets the position at each step
/// (the index among the fields with the same number, 0 if there is only one) and the text.
pub(crate) fn visit_texts<'a>(message: &'a [u8], path: &[u32], visit: &mut dyn FnMut(&[usize], &'a str)) {
    fn walk<'a>(message: &'a [u8], path: &[u32], at: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize], &'a str)) {
        let Some((number, rest)) = path.split_first() else { return };
        for (index, field) in fields(message).filter(|field| field.number == *number).enumerate() {
            at.push(index);
            if rest.is_empty() {
                visit(at, field.value.text());
            } else {
                walk(field.value.bytes(), rest, at, visit);
            }
            at.pop();
        }
    }
    walk(message, path, &mut Vec::with_capacity(path.len()), visit);
}

/// Replaces every text at a path of field numbers for which `replace` returns a new text, and returns the message.
pub(crate) fn replace_texts(message: &[u8], path: &[u32], replace: &mut dyn FnMut(&str) -> Option<String>) -> Vec<u8> {
    let Some((number, rest)) = path.split_first() else { return message.to_vec() };
    let mut replaced = Vec::with_capacity(message.len());
    for field in fields(message) {
        if field.number != *number {
            replaced.extend_from_slice(field.raw);
        } else if rest.is_empty() {
            match replace(field.value.text()) {
                Some(text) => put_bytes(field.number, text.as_bytes(), &mut replaced),
                None => replaced.extend_from_slice(field.raw),
            }
        } else {
            put_bytes(field.number, &replace_texts(field.value.bytes(), rest, replace), &mut replaced);
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::{Attribution, Claim};

    fn claim() -> Claim {
        Claim {
            name: "claims/c1".into(),
            external_ids: vec!["a:1".into(), "a:2".into()],
            attribution: vec![
                Attribution { actors: vec!["actors/a".into(), "@b".into()], ..Default::default() },
                Attribution { actors: vec!["actors/c".into()], ..Default::default() },
            ],
            metrics: [("x".to_owned(), 1.5)].into(),
            ..Default::default()
        }
    }

    #[test]
    fn parts_put_together_are_the_message() {
        let bytes = claim().encode_to_vec();
        assert_eq!(Parts::of(&bytes).encode(), bytes);
    }

    #[test]
    fn texts_are_found_and_replaced_at_any_depth() {
        let bytes = claim().encode_to_vec();
        let mut found = Vec::new();
        visit_texts(&bytes, &[22, 1], &mut |at, text| found.push((at.to_vec(), text.to_owned())));
        assert_eq!(
            found,
            [(vec![0, 0], "actors/a".to_owned()), (vec![0, 1], "@b".to_owned()), (vec![1, 0], "actors/c".to_owned())]
        );
        let replaced = replace_texts(&bytes, &[22, 1], &mut |text| (text == "@b").then(|| "actors/long-name".to_owned()));
        let mut expected = claim();
        expected.attribution[0].actors[1] = "actors/long-name".into();
        assert_eq!(Claim::decode(replaced.as_slice()).unwrap(), expected);
        assert_eq!(replaced, expected.encode_to_vec());
    }

    #[test]
    fn texts_are_added_once_and_kept_by_choice() {
        let mut parts = Parts::of(&claim().encode_to_vec());
        parts.add_texts(7, ["a:2".to_owned(), "a:3".to_owned()]);
        parts.retain_texts(7, |id| id != "a:1");
        let changed = Claim::decode(parts.encode().as_slice()).unwrap();
        assert_eq!(changed, Claim { external_ids: vec!["a:2".into(), "a:3".into()], ..claim() });
        parts.retain_texts(7, |_| false);
        assert_eq!(parts.numbers().find(|number| *number == 7), None);
    }

    #[test]
    fn bytes_that_are_no_message_end_without_a_panic() {
        let bytes = claim().encode_to_vec();
        for end in 0..bytes.len() {
            let _count = fields(&bytes[..end]).count();
        }
        for noise in 0..=255u8 {
            let _count = fields(&[noise, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, noise]).count();
        }
    }

    #[test]
    fn differences_are_the_fields_that_are_not_the_same() {
        let before = Parts::of(&claim().encode_to_vec());
        let mut changed = claim();
        changed.statement = "s".into();
        changed.external_ids.pop();
        assert_eq!(before.differences(&Parts::of(&changed.encode_to_vec())), [7, 16]);
        let all = Parts::default().differences(&before);
        assert_eq!(numbers(&claim().encode_to_vec()), all);
    }
}
