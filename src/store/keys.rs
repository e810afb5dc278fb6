//! The layout of all keys. The encoding of every part preserves its order. No key holds four bytes 0xff in a row, because sled
//! 0.34 cannot iterate backwards over them: text is UTF-8, and numbers are written in groups of seven bits.
//!
//! | key | value | serves |
//! |--|--|--|
//! | meta | [`Meta`](super::replay::Meta): format, store id, what is applied, counters | open, rebuild, `GetServerInfo` |
//! | history: kind, id, revision | an older [`Version`](super::version::Version) | reading at a revision |
//! | rest: kind, id, revision, number | a further chunk of a version too long for one value | the same |
//! | current: kind, id | the newest version, tombstone or redirect | get and list at head |
//! | index: kind, index, values, id | empty: a posting | lists by filter and order |
//! | reference: target kind and id, referrer's kind, field, origin, id | empty: a posting | `REFERENCED`, reference filters |
//! | joined: target kind and id, kind, fields, origin, id | empty: a posting | filters through a reference |
//! | wide: target kind and id, kind, fields, origin, id of the record between | empty: a posting | the same |
//! | receipt: caller, request id | [`Receipt`](super::replay::Receipt): content hash and log position | idempotency |
//!
//! A posting says that some version of the record had this value. It is written when a version first has the value, and is
//! never removed. So a reader must fetch the record at its revision and check the value. An outdated posting costs one fetch,
//! and a list runs the same code at every revision.
//!
//! Knows kinds and ids. Must not know what a filter or a mutation is.

use std::ops::Bound;

use crate::{
    engine::KeyRange,
    model::{RecordKind, RecordName},
};

const META: u8 = 0x01;
const HISTORY: u8 = 0x10;
const REST: u8 = 0x11;
const CURRENT: u8 = 0x20;
const INDEX: u8 = 0x30;
const REFERENCE: u8 = 0x40;
const JOINED: u8 = 0x41;
const WIDE: u8 = 0x42;
const RECEIPT: u8 = 0x50;

/// Ends a text inside a key. It is less than any byte that a text of a record may hold.
const END: u8 = 0x00;
/// Precedes a value in an index key or a sort key.
pub(crate) const SET: u8 = 0x01;
/// Stands in place of a value that is unset. It is greater than `SET`, so that unset sorts last.
pub(crate) const UNSET: u8 = 0x02;

/// Longest text in an index key, in bytes. A longer text is cut. Equality and prefix can then still use the index, because each
/// record is checked again.
pub(crate) const INDEX_TEXT_BYTES_MAX: usize = 128;

/// The key of the meta value, of which there is one.
pub(crate) fn meta() -> Vec<u8> {
    vec![META]
}

/// The key of the newest version of a record.
pub(crate) fn current(kind: RecordKind, id: &str) -> Vec<u8> {
    let mut key = vec![CURRENT, kind as u8];
    key.extend_from_slice(id.as_bytes());
    key
}

/// The keys of the newest versions of all records of a kind, ordered by name.
pub(crate) fn current_of(kind: RecordKind) -> KeyRange {
    prefix(vec![CURRENT, kind as u8])
}

/// The id at the end of a `current` key.
pub(crate) fn current_id(key: &[u8]) -> &str {
    text(key.get(2..))
}

/// The key of an older version of a record.
pub(crate) fn history(kind: RecordKind, id: &str, revision: u64) -> Vec<u8> {
    let mut key = history_of(kind, id);
    put_number(revision, &mut key);
    key
}

/// The keys of the older versions of a record up to a revision.
pub(crate) fn history_until(kind: RecordKind, id: &str, revision: u64) -> KeyRange {
    (Bound::Included(history_of(kind, id)), Bound::Included(history(kind, id, revision)))
}

fn history_of(kind: RecordKind, id: &str) -> Vec<u8> {
    let mut key = vec![HISTORY, kind as u8];
    put_text(id, &mut key);
    key
}

/// The key of a further chunk of a version that is too long for one value. Further chunks are numbered from 1.
pub(crate) fn rest(kind: RecordKind, id: &str, revision: u64, number: u64) -> Vec<u8> {
    let mut key = vec![REST, kind as u8];
    put_text(id, &mut key);
    put_number(revision, &mut key);
    put_number(number, &mut key);
    key
}

/// The beginning of keys of an index: the kind, the index, and the values that the methods add.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IndexKey(Vec<u8>);

impl IndexKey {
    pub(crate) fn new(kind: RecordKind, index: u8) -> Self {
        Self(vec![INDEX, kind as u8, index])
    }

    /// Adds a whole text, cut to [`INDEX_TEXT_BYTES_MAX`].
    #[must_use]
    pub(crate) fn text(mut self, value: &str) -> Self {
        self.0.push(SET);
        put_text(cut(value), &mut self.0);
        self
    }

    /// Adds the beginning of a text. No further part can follow.
    #[must_use]
    pub(crate) fn text_prefix(mut self, value: &str) -> Self {
        self.0.push(SET);
        self.0.extend_from_slice(cut(value).as_bytes());
        self
    }

    /// Adds a number, such as the number of an enum value.
    #[must_use]
    pub(crate) fn number(mut self, value: u64) -> Self {
        self.0.push(SET);
        put_number(value, &mut self.0);
        self
    }

    /// Adds a time.
    #[must_use]
    pub(crate) fn time(mut self, seconds: i64, nanos: i32) -> Self {
        self.0.push(SET);
        put_time(seconds, nanos, &mut self.0);
        self
    }

    /// Adds that there is no value. It sorts after every value.
    #[must_use]
    pub(crate) fn unset(mut self) -> Self {
        self.0.push(UNSET);
        self
    }

    /// Adds a part that [`time_part`] has encoded.
    #[must_use]
    pub(crate) fn part(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    /// The key of the entry of one record.
    pub(crate) fn entry(mut self, id: &str) -> Vec<u8> {
        put_last_id(id, &mut self.0);
        self.0
    }

    /// The bytes so far, to use as an end of a range.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// The range of all entries that begin with these parts.
    pub(crate) fn range(self) -> KeyRange {
        prefix(self.0)
    }
}

/// The id at the end of an `index` or `reference` key.
pub(crate) fn last_id(key: &[u8]) -> &str {
    let [before @ .., END, length] = key else { return "" };
    text(before.len().checked_sub(usize::from(*length)).and_then(|start| before.get(start..)))
}

/// The key of the entry of one record below a prefix of an index or of a reference.
pub(crate) fn entry_under(prefix: &[u8], id: &str) -> Vec<u8> {
    let mut key = prefix.to_vec();
    put_last_id(id, &mut key);
    key
}

/// A time as a part of an index key. `None` is unset. The parts sort as the times do, and unset sorts last.
pub(crate) fn time_part(time: Option<(i64, i32)>) -> Vec<u8> {
    let Some((seconds, nanos)) = time else { return vec![UNSET] };
    let mut part = vec![SET];
    put_time(seconds, nanos, &mut part);
    part
}

/// The part of an index key that [`time_part`] has made, starting at byte `start`.
pub(crate) fn time_part_at(key: &[u8], start: usize) -> Option<&[u8]> {
    let length = if *key.get(start)? == UNSET { 1 } else { 1 + TIME_BYTES };
    key.get(start..start + length)
}

/// The key of one reference of a record to another. `origin`: the reference is in the first hop of an attribution, or in a hop
/// with the role ORIGIN.
pub(crate) fn reference(target: &RecordName, from: RecordKind, path: &[u32], origin: bool, id: &str) -> Vec<u8> {
    let mut key = reference_field(target, from, path, origin);
    put_last_id(id, &mut key);
    key
}

/// The keys of all references to a record from one field of one kind, ordered by the referrer's id.
pub(crate) fn references_from(target: &RecordName, from: RecordKind, path: &[u32], origin: bool) -> KeyRange {
    prefix(reference_field(target, from, path, origin))
}

/// The keys of all references to a record.
pub(crate) fn references_to(target: &RecordName) -> KeyRange {
    prefix(reference_target(target))
}

/// The referrer's kind and id, from a key of [`references_to`].
pub(crate) fn referrer<'k>(target: &RecordName, key: &'k [u8]) -> Option<(RecordKind, &'k str)> {
    let kind = key.get(reference_target(target).len())?;
    Some((RecordKind::from_number(*kind)?, last_id(key)))
}

fn reference_target(target: &RecordName) -> Vec<u8> {
    target_in(REFERENCE, target)
}

fn target_in(table: u8, target: &RecordName) -> Vec<u8> {
    let mut key = vec![table, target.kind() as u8];
    put_text(target.id(), &mut key);
    key
}

/// The prefix of the keys of all references to a record from one field of one kind.
pub(crate) fn reference_field(target: &RecordName, from: RecordKind, path: &[u32], origin: bool) -> Vec<u8> {
    field_in(REFERENCE, target, from, path, origin)
}

fn field_in(table: u8, target: &RecordName, from: RecordKind, path: &[u32], origin: bool) -> Vec<u8> {
    let mut key = target_in(table, target);
    key.push(from as u8);
    key.push(u8::try_from(path.len()).expect("messages of the contract are a few levels deep"));
    key.extend(path.iter().map(|number| u8::try_from(*number).expect("field numbers of references are below 256")));
    key.push(u8::from(origin));
    key
}

/// The prefix of the keys of all records of a kind that refer to a record through another one. `path` is that of both fields.
pub(crate) fn joined_field(target: &RecordName, from: RecordKind, path: &[u32], origin: bool) -> Vec<u8> {
    field_in(JOINED, target, from, path, origin)
}

/// The prefix of the keys of the records between, through which so many refer to a record that each has no key of its own.
pub(crate) fn wide_field(target: &RecordName, from: RecordKind, path: &[u32], origin: bool) -> Vec<u8> {
    field_in(WIDE, target, from, path, origin)
}

/// The key of the receipt of a request.
pub(crate) fn receipt(caller: &str, request_id: &str) -> Vec<u8> {
    let mut key = vec![RECEIPT];
    put_text(caller, &mut key);
    key.extend_from_slice(request_id.as_bytes());
    key
}

/// Whether a key must be written before the others of its batch, because a reader of a newer version expects to find it.
pub(crate) fn is_written_early(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(HISTORY | REST)))
}

/// A key as a text, for people who look into a store.
pub(crate) fn describe(key: &[u8]) -> String {
    let Some((table, rest)) = key.split_first() else { return "the empty key".to_owned() };
    let kind = rest.first().and_then(|number| RecordKind::from_number(*number));
    let after_kind = || String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned();
    let record = || {
        let id = rest.get(1..).unwrap_or_default().split(|byte| *byte == END).next().unwrap_or_default();
        format!("{}/{}", kind.map_or("?", RecordKind::collection), String::from_utf8_lossy(id))
    };
    match *table {
        META => "the meta value".to_owned(),
        HISTORY => format!("an older version of {} (key {})", record(), hex(key)),
        REST => format!("a further chunk of a version of {} (key {})", record(), hex(key)),
        CURRENT => format!("the newest version of {}/{}", kind.map_or("?", RecordKind::collection), after_kind()),
        INDEX => format!("an index entry of {}/{} (key {})", kind.map_or("?", RecordKind::collection), last_id(key), hex(key)),
        REFERENCE => format!("a reference to {} (key {})", record(), hex(key)),
        JOINED | WIDE => format!("a reference to {} through another record (key {})", record(), hex(key)),
        RECEIPT => format!("the receipt of request {}", String::from_utf8_lossy(rest).replace('\0', " ")),
        _ => format!("an unknown key {}", hex(key)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The range of all keys.
pub(crate) fn all() -> KeyRange {
    (Bound::Unbounded, Bound::Unbounded)
}

/// The range of all keys that begin with these bytes.
pub(crate) fn prefix(start: Vec<u8>) -> KeyRange {
    let mut end = start.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return (Bound::Included(start), Bound::Excluded(end));
        }
    }
    (Bound::Included(start), Bound::Unbounded)
}

/// Adds a text and its end. Texts of records hold no U+0000, and UTF-8 has no byte 0xff.
fn put_text(text: &str, to: &mut Vec<u8>) {
    debug_assert!(!text.as_bytes().contains(&END), "a text in a key holds U+0000");
    to.extend_from_slice(text.as_bytes());
    to.push(END);
}

/// Adds an id, its end, and its length, so that the id can be read from the end of the key. The end is less than any byte of an
/// id, so the keys sort as the ids do. The length alone would not do that: 48 is also the digit 0.
fn put_last_id(id: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(id.as_bytes());
    to.push(END);
    to.push(u8::try_from(id.len()).expect("ID_CHARS_MAX is less than 256"));
}

/// Adds the count of groups, and then seven bits in each byte, most significant first. The bytes sort as the numbers do, and
/// are few for small numbers.
fn put_number(number: u64, to: &mut Vec<u8>) {
    let groups = (64 - number.leading_zeros()).div_ceil(7).max(1);
    to.push(u8::try_from(groups).expect("64 bits make ten groups"));
    for group in (0..groups).rev() {
        to.push((number >> (7 * group) & 0x7f) as u8);
    }
}

/// Bytes of a time in a key.
const TIME_BYTES: usize = 11;

fn put_time(seconds: i64, nanos: i32, to: &mut Vec<u8>) {
    // Counted from the year -34844, every time that a Timestamp of the contract may hold is positive and below 2^42.
    let seconds = seconds.saturating_add(1 << 40).clamp(0, (1 << 42) - 1).cast_unsigned();
    let nanos = nanos.max(0).cast_unsigned();
    for group in (0..6).rev() {
        to.push((seconds >> (7 * group) & 0x7f) as u8);
    }
    for group in (0..5).rev() {
        to.push((nanos >> (7 * group) & 0x7f) as u8);
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(INDEX_TEXT_BYTES_MAX)).unwrap_or(text)
}

fn text(bytes: Option<&[u8]>) -> &str {
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_sort_as_their_keys_do_and_hold_no_0xff() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), 1 << 56, u64::MAX];
        let keys: Vec<_> = numbers.iter().map(|number| history(RecordKind::Event, "e", *number)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        let times = [(-62_135_596_800, 0), (-1, 999_999_999), (0, 0), (0, 1), (1, 0), (253_402_300_799, 999_999_999)];
        let keys: Vec<_> = times.iter().map(|(s, n)| IndexKey::new(RecordKind::Event, 1).time(*s, *n).entry("e")).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(keys.iter().flatten().all(|byte| *byte != 0xff));
    }

    #[test]
    fn one_record_s_history_does_not_reach_into_the_next() {
        let (_, end) = history_until(RecordKind::Event, "a", u64::MAX);
        let Bound::Included(end) = end else { panic!("{end:?}") };
        assert!(end < history(RecordKind::Event, "a-b", 0));
        assert!(end < history(RecordKind::Event, "ab", 0));
        assert!(end >= history(RecordKind::Event, "a", 7));
    }

    #[test]
    fn unset_sorts_behind_every_value() {
        let set = IndexKey::new(RecordKind::Event, 3).time(253_402_300_799, 0).entry("zzz");
        assert!(set < IndexKey::new(RecordKind::Event, 3).unset().entry("a"));
    }

    #[test]
    fn entries_of_one_value_sort_by_id_whatever_the_length() {
        let long = "x".repeat(62);
        let mut ids: Vec<String> =
            (40..=62).flat_map(|at| ["", "-", "0", "1", "z"].map(|end| format!("{}{end}", &long[..at]))).collect();
        ids.sort();
        ids.dedup();
        let keys: Vec<_> = ids.iter().map(|id| IndexKey::new(RecordKind::Event, 1).text("v").entry(id)).collect();
        assert!(keys.is_sorted());
        assert!(keys.iter().zip(&ids).all(|(key, id)| last_id(key) == id));
    }

    #[test]
    fn a_time_part_is_read_from_the_key_it_stands_in() {
        for time in [None, Some((-1, 0)), Some((1 << 33, 999_999_999))] {
            let prefix = IndexKey::new(RecordKind::Event, 3).text("v");
            let key = prefix.clone().part(&time_part(time)).entry("e1");
            assert_eq!(time_part_at(&key, prefix.bytes().len()), Some(time_part(time).as_slice()));
            assert_eq!(last_id(&key), "e1");
        }
        let set = IndexKey::new(RecordKind::Event, 3).time(5, 7).bytes();
        assert_eq!(set, IndexKey::new(RecordKind::Event, 3).part(&time_part(Some((5, 7)))).bytes());
    }

    #[test]
    fn a_reference_key_gives_its_referrer_back() {
        let target: RecordName = "actors/nis".parse().unwrap();
        let key = reference(&target, RecordKind::Claim, &[22, 1], true, "c1");
        assert_eq!(referrer(&target, &key), Some((RecordKind::Claim, "c1")));
        let range = references_from(&target, RecordKind::Claim, &[22, 1], true);
        assert_eq!(last_id(&key), "c1");
        assert!(std::ops::RangeBounds::contains(&range, &key));
        let other: RecordName = "actors/nis-2".parse().unwrap();
        assert!(!std::ops::RangeBounds::contains(
            &references_to(&target),
            &reference(&other, RecordKind::Claim, &[24], false, "c1")
        ));
    }
}
