//! What a type of record declares: its rules, the fields it computes, its links and its indexes.
//!
//! A type declares facts and performs no action on the store. The store works on bytes and reaches a type only through
//! [`Resource`], [`ResourceType`] and [`check`].
//!
//! Knows that there are six types. Must not know the fields of any.

use prost::{DecodeError, Message};

use super::{FieldPath, RecordKind, Violations, shape};
use crate::proto::{record::Record, record_types};

/// The rules of one type of record.
pub trait Resource {
    /// Fills in what the server computes from the record alone: the bounds of an EDTF text, the SHA-256 of a text, the status
    /// of a quantity, the series of an estimand. Invalid values stay as they are; `check` reports them. Idempotent.
    fn complete(&mut self);

    /// Reports the rules and limits of the type that the record breaks, regardless of other records. It leaves out the rules
    /// that follow from the declared type of a field: call [`check`](fn@check), which checks both. The record must be
    /// completed, and its references must be names, not labels.
    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations);

    /// The links to other records along which a cycle is forbidden.
    fn links(&self) -> Vec<RecordLink<'_>> {
        Vec::new()
    }
}

/// A link along which a cycle is forbidden (V5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLink<'a> {
    /// The chain of the link. A cycle is searched along the links of one chain, never across chains.
    pub chain: LinkChain,
    /// The field that contains the link, with `[]` in the place of the index: `affiliations[].actor`, `inputs[]`, `part_of`.
    pub field: &'static str,
    /// Index in the repeated field. 0 if the field is not repeated.
    pub index: usize,
    /// Name of the record at which the link starts. Empty if that is the record that contains the link.
    pub from: &'a str,
    /// Name of the record to which the link points.
    pub to: &'a str,
}

impl RecordLink<'_> {
    /// The path of the link in the record that contains it: `affiliations[2].actor`.
    pub fn path(&self) -> String {
        self.field.replace("[]", &format!("[{}]", self.index))
    }
}

/// The kinds of link. No chain may form a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum LinkChain {
    ActorPartOf,
    EventPartOf,
    DerivedFrom,
    SourcePartOf,
    Inputs,
    Supersedes,
}

/// An index over one type, and the values that form its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordIndex {
    /// The index's number in keys. Never reused within a type.
    pub number: u8,
    /// The values that form a key, in order. Only the last may have several values in one record.
    pub parts: &'static [IndexPart],
    /// What a filter on it finds. docs/filters.md shows it.
    pub serves: &'static str,
}

/// One value of an index's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexPart {
    /// A text or enum, by its path. Serves equality, and for a text also prefixes.
    Exact(&'static str),
    /// A timestamp, by its path. Serves ranges. If it is the last part and has one value, it also serves the order, and an
    /// unset value has an entry.
    Time(&'static str),
    /// The words of some texts, without case and diacritics. The first value is the name that a filter uses.
    Words(&'static str, &'static [&'static str]),
}

/// An index over one type by what another record refers to: from an actor to the estimates in claims of that actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedIndex {
    /// The path of the field that refers to the other record. It has one value.
    pub through: &'static str,
    /// The path of the field of the other record that refers to the record by which is searched.
    pub then: &'static str,
    /// What a filter on it finds. docs/filters.md shows it.
    pub serves: &'static str,
}

/// A type of record, as the store uses it.
#[derive(Clone, Copy)]
pub struct ResourceType {
    /// The kind of its records.
    pub kind: RecordKind,
    /// Its indexes. A field that refers to records needs no entry: reference keys serve it.
    pub indexes: &'static [RecordIndex],
    /// Its indexes by what other records refer to.
    pub joined: &'static [JoinedIndex],
    /// Decodes an encoded record.
    pub decode: fn(&[u8]) -> Result<Record, DecodeError>,
}

impl RecordKind {
    /// The type of this kind.
    pub fn resource_type(self) -> &'static ResourceType {
        super::RESOURCES.iter().find(|resource| resource.kind == self).expect("RESOURCES has every kind, as a test shows")
    }
}

macro_rules! by_type {
    ($($message:ident = $number:literal, $singular:literal, $collection:literal;)*) => {
        /// The rules of the record inside the `oneof`.
        pub fn resource(record: &Record) -> &dyn Resource {
            match record {
                $(Record::$message(inner) => inner,)*
            }
        }

        /// Like [`resource`], but mutable, so that the record can be completed.
        pub fn resource_mut(record: &mut Record) -> &mut dyn Resource {
            match record {
                $(Record::$message(inner) => inner,)*
            }
        }

        /// The kind of the record inside the `oneof`.
        pub fn kind_of(record: &Record) -> RecordKind {
            match record {
                $(Record::$message(_) => RecordKind::$message,)*
            }
        }

        /// The name of the record inside the `oneof`; empty before the server has given one.
        pub fn name_of(record: &Record) -> &str {
            match record {
                $(Record::$message(inner) => &inner.name,)*
            }
        }

        /// The names of the records that were merged into the record inside the `oneof`. Each of them redirects to it.
        pub fn merged_names_of(record: &Record) -> &[String] {
            match record {
                $(Record::$message(inner) => &inner.merged_names,)*
            }
        }

        /// Encodes the record without the `oneof` around it.
        pub fn encode(record: &Record) -> Vec<u8> {
            match record {
                $(Record::$message(inner) => inner.encode_to_vec(),)*
            }
        }
    };
}

record_types!(by_type);

/// Reports every rule and limit that a record breaks, regardless of other records: first the rules that follow from the
/// declared type of a field, then the rules of the record's own type. `encoded` must be the result of [`encode`]. A reference
/// is checked for its form, and for its kind if a rule names kinds. The store checks that it exists and has the kind that its
/// annotation names.
pub fn check(record: &Record, encoded: &[u8], at: &FieldPath<'_>, violations: &mut Violations) {
    shape::check(kind_of(record), encoded, at, violations);
    resource(record).check(at, violations);
}

/// A record that was completed and checked.
#[derive(Clone, Debug)]
pub(crate) struct CheckedRecord {
    /// The encoded record, with what the server computes.
    pub(crate) body: Vec<u8>,
    /// The rules and limits that the record breaks, regardless of other records.
    pub(crate) violations: Violations,
    /// Whether it has links that could form a cycle.
    pub(crate) linked: bool,
}

/// Completes a record and checks it. Commits and imports both call this function. `at` is the path of the record in the request
/// or in the row.
pub(crate) fn check_record(mut record: Record, at: &FieldPath<'_>) -> CheckedRecord {
    resource_mut(&mut record).complete();
    let body = encode(&record);
    let mut violations = Violations::default();
    check(&record, &body, at, &mut violations);
    CheckedRecord { body, violations, linked: !resource(&record).links().is_empty() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost_reflect::{Cardinality, MessageDescriptor, Value};

    use super::super::{RESOURCES, check_against_text, schema, testing};
    use super::*;

    #[test]
    fn every_kind_has_one_resource() {
        assert_eq!(RESOURCES.map(|resource| resource.kind), RecordKind::ALL);
    }

    #[test]
    fn every_record_of_the_founding_text_passes_and_every_quote_equals_its_span() {
        let seed = testing::seed();
        assert_eq!(seed.len(), 96);
        let text = include_str!("../../tests/data/seed/article.txt");
        let mut quotes = 0;
        for mut record in seed {
            resource_mut(&mut record).complete();
            let mut violations = testing::violations(&record);
            for citation in &testing::citations(&record) {
                quotes += usize::from(citation.span.is_some());
                check_against_text(citation, text, &FieldPath::ROOT, &mut violations);
            }
            assert_eq!(violations.as_slice(), [], "{record:?}");
            if let Record::Source(source) = record {
                assert_eq!(source.text, text);
                assert_eq!(source.sha256.len(), 64);
            }
        }
        assert_eq!(quotes, 30);
    }

    /// Calls `check` with the path to every field that contains this message. Returns the number of such fields.
    fn each_place_of(
        message: &str,
        check: impl Fn(RecordKind, &[prost_reflect::FieldDescriptor], &MessageDescriptor),
    ) -> usize {
        let mut places = 0;
        for kind in RecordKind::ALL {
            for way in testing::fields(kind) {
                if let Some(prost_reflect::Kind::Message(inner)) = way.last().map(prost_reflect::FieldDescriptor::kind)
                    && inner.name() == message
                {
                    check(kind, &way, &inner);
                    places += 1;
                }
            }
        }
        places
    }

    fn message(descriptor: &MessageDescriptor, fields: &[(&str, Value)]) -> Value {
        let mut message = prost_reflect::DynamicMessage::new(descriptor.clone());
        for (name, value) in fields {
            message.set_field_by_name(name, value.clone());
        }
        Value::Message(message)
    }

    /// A value of this message that breaks a rule is reported in every place where the contract has the message.
    fn check_everywhere(name: &str, fields: &[(&str, Value)], below: &str) {
        let places = each_place_of(name, |kind, way, descriptor| {
            let mut record = testing::with(kind, way, message(descriptor, fields));
            resource_mut(&mut record).complete();
            let expect = testing::path(way) + below;
            let violations = testing::violations(&record);
            assert!(violations.as_slice().iter().any(|violation| violation.field == expect), "{expect}: {violations:?}");
        });
        assert!(places > 0, "{name}");
    }

    #[test]
    fn values_are_checked_wherever_the_contract_has_them() {
        let text = |text: &str| Value::String(text.to_owned());
        check_everywhere("TimeSpec", &[("edtf", text("soon"))], ".edtf");
        check_everywhere("TimeSpec", &[("precision_code", text("soon"))], ".precision_code");
        check_everywhere("Place", &[("country", text("XXX"))], ".country");
        check_everywhere("Rating", &[("code", text("admiralty.credibility:7"))], ".code");
        check_everywhere("Attribution", &[("cue", text("said"))], "");
        check_everywhere("Participant", &[("side", text("a"))], "");
        check_everywhere("Quantity", &[("best", Value::F64(-1.0)), ("unit", text("1"))], ".best");
        let span = crate::proto::descriptors().get_message_by_name("annals.v1.TextSpan").unwrap();
        check_everywhere("Citation", &[("span", message(&span, &[("start", Value::U32(1))]))], ".span");
    }

    #[test]
    fn every_time_is_completed_wherever_the_contract_has_one() {
        let places = each_place_of("TimeSpec", |kind, way, descriptor| {
            let edtf = Value::String("2024-10-23/..".into());
            let mut record = testing::with(kind, way, message(descriptor, &[("edtf", edtf)]));
            resource_mut(&mut record).complete();
            let (path, bytes) = (testing::path(way), encode(&record));
            let mut found = vec![bytes.as_slice()];
            for step in way {
                let fields = found.iter().flat_map(|message| super::super::wire::fields(message));
                found = fields.filter(|field| field.number == step.number()).map(|field| field.value.bytes()).collect();
            }
            assert!(!found.is_empty());
            for time in found {
                let time = crate::proto::TimeSpec::decode(time).unwrap();
                let seconds = time.earliest.map(|earliest| (earliest.seconds, time.latest));
                assert_eq!(seconds, Some((1_729_641_600, None)), "{path}");
            }
        });
        assert_eq!(places, 18);
    }

    /// The declared type at a path of a kind, and whether the path passes a repeated field.
    fn declared(kind: RecordKind, path: &str) -> (prost_reflect::Kind, bool) {
        let mut message = kind.schema().message.clone();
        let mut many = false;
        let mut steps = path.split('.').peekable();
        while let Some(step) = steps.next() {
            let field = message.get_field_by_name(step).unwrap_or_else(|| panic!("{path} is no path of {kind:?}"));
            many |= field.cardinality() == Cardinality::Repeated;
            match field.kind() {
                prost_reflect::Kind::Message(inner) if steps.peek().is_some() => message = inner,
                leaf => return (leaf, many),
            }
        }
        unreachable!("a path has steps")
    }

    #[test]
    fn indexes_have_numbers_of_their_own_and_paths_of_the_right_type_with_at_most_the_last_many_valued() {
        for ResourceType { kind, indexes, .. } in RESOURCES {
            let mut numbers: Vec<_> = indexes.iter().map(|index| index.number).collect();
            numbers.dedup();
            assert_eq!(numbers.len(), indexes.len(), "{kind:?}");
            for RecordIndex { parts, .. } in indexes {
                for (position, part) in parts.iter().enumerate() {
                    let last = position + 1 == parts.len();
                    match part {
                        IndexPart::Exact(path) => {
                            let (leaf, many) = declared(kind, path);
                            assert!(matches!(leaf, prost_reflect::Kind::String | prost_reflect::Kind::Enum(_)), "{path}");
                            assert!(last || !many, "{path}");
                        }
                        IndexPart::Time(path) => {
                            let (leaf, many) = declared(kind, path);
                            let timestamp = leaf.as_message().is_some_and(|message| message.name() == "Timestamp");
                            assert!(timestamp, "{path}");
                            assert!(last || !many, "{path}");
                        }
                        IndexPart::Words(name, paths) => {
                            assert!(kind.schema().field(name).is_none(), "{name} would hide a field");
                            for path in *paths {
                                assert!(matches!(declared(kind, path).0, prost_reflect::Kind::String), "{path}");
                            }
                            assert!(last);
                        }
                    }
                }
            }
            assert_eq!(indexes.first().map(|index| index.parts), Some([IndexPart::Exact("external_ids")].as_slice()));
            assert_eq!(kind.schema().field_name(schema::EXTERNAL_IDS), "external_ids");
        }
    }

    fn exercise(mut record: Record) {
        resource_mut(&mut record).complete();
        let once = encode(&record);
        resource_mut(&mut record).complete();
        assert_eq!(encode(&record), once);
        let mut violations = testing::violations(&record);
        for citation in &testing::citations(&record) {
            check_against_text(citation, "폭풍 abc", &FieldPath::ROOT, &mut violations);
        }
        for violation in violations.as_slice() {
            assert!(!violation.description.is_empty());
        }
        for link in resource(&record).links() {
            assert!(!link.path().contains("[]"), "{link:?}");
        }
    }

    proptest! {
        #[test]
        fn no_record_panics_and_completing_twice_is_completing_once(number in 1u8..=6, seed: u64) {
            exercise(testing::any(RecordKind::from_number(number).unwrap(), seed));
        }

        #[test]
        fn no_bytes_panic(number in 1u8..=6, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let kind = RecordKind::from_number(number).unwrap();
            let mut violations = Violations::default();
            shape::check(kind, &bytes, &FieldPath::ROOT, &mut violations);
            if let Ok(record) = (kind.resource_type().decode)(&bytes) {
                exercise(record);
            }
        }
    }
}
