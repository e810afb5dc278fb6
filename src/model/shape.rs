//! Rules that follow from the declared type of a field. They are checked for every field of every message, so none is
//! forgotten.
//!
//! Texts have no control characters, numbers are finite, enums have a value that the contract knows, timestamps are in the
//! years 0001 to 9999, references are names, and required fields are set. The declarations are read once into a table. One walk
//! over the encoded record checks its fields against the table.
//!
//! Knows descriptors and the wire format. Must not know what any single field means.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{Cardinality, FieldDescriptor, MessageDescriptor};

use super::{
    FieldPath, RecordKind, RecordName, Violations, edtf,
    schema::{has_behavior, reference_target},
    text,
    wire::{self, Value},
};
use crate::limits;

/// First second after the year 9999, in seconds of the Unix epoch.
const END_SECOND: i64 = 253_402_300_800;
const NANOS_MAX: i64 = 999_999_999;

/// The declaration of a message of the contract.
#[derive(Debug, Default)]
struct Shape {
    /// By field number.
    fields: Vec<Option<ShapeField>>,
    /// The names of its required fields. The walk keeps a bit set of the required fields seen; the position here is the bit.
    required: Vec<String>,
}

#[derive(Debug)]
struct ShapeField {
    name: String,
    repeated: bool,
    /// Its bit in the set of required fields. 0 if it is not required.
    required: u64,
    holds: Holds,
}

/// What a field contains, as far as a rule applies to it.
#[derive(Debug)]
enum Holds {
    Text,
    Reference,
    Double,
    Timestamp,
    /// The numbers of the enum's values, and the enum's name.
    Enum(Vec<u64>, String),
    /// Position of the message's shape in the list.
    Message(usize),
    /// What the values of the map are. Keys are texts.
    Map(Box<Holds>),
    /// Integers and bools.
    Anything,
}

#[derive(Debug)]
struct Shapes {
    list: Vec<Shape>,
    /// Position of the shape in the list, by kind of record.
    records: HashMap<RecordKind, usize>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let mut list = Vec::new();
    let mut known = HashMap::new();
    let records = RecordKind::ALL.map(|kind| (kind, shape_of(&kind.schema().message, &mut known, &mut list)));
    Shapes { list, records: records.into() }
});

/// The position of a message's shape in the list. The recursion ends because no message of the contract contains itself.
fn shape_of(message: &MessageDescriptor, known: &mut HashMap<String, usize>, list: &mut Vec<Shape>) -> usize {
    if let Some(position) = known.get(message.full_name()) {
        return *position;
    }
    let mut shape = Shape::default();
    for field in message.fields() {
        let required = if has_behavior(&field, "REQUIRED") {
            shape.required.push(field.name().to_owned());
            assert!(shape.required.len() < 64, "the walk's set has a bit for each required field");
            1 << (shape.required.len() - 1)
        } else {
            0
        };
        let number = field.number() as usize;
        if shape.fields.len() <= number {
            shape.fields.resize_with(number + 1, || None);
        }
        let repeated = field.cardinality() == Cardinality::Repeated;
        let holds = holds(&field, known, list);
        shape.fields[number] = Some(ShapeField { name: field.name().to_owned(), repeated, required, holds });
    }
    list.push(shape);
    known.insert(message.full_name().to_owned(), list.len() - 1);
    list.len() - 1
}

fn holds(field: &FieldDescriptor, known: &mut HashMap<String, usize>, list: &mut Vec<Shape>) -> Holds {
    match field.kind() {
        prost_reflect::Kind::Message(entry) if field.is_map() => {
            Holds::Map(Box::new(holds(&entry.map_entry_value_field(), known, list)))
        }
        prost_reflect::Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => Holds::Timestamp,
        prost_reflect::Kind::Message(message) => Holds::Message(shape_of(&message, known, list)),
        prost_reflect::Kind::String if reference_target(field).is_some() => Holds::Reference,
        prost_reflect::Kind::String => Holds::Text,
        prost_reflect::Kind::Double => Holds::Double,
        prost_reflect::Kind::Enum(values) => {
            Holds::Enum(values.values().map(|value| wire_number(value.number())).collect(), values.name().to_owned())
        }
        _ => Holds::Anything,
    }
}

/// An enum's number as it is encoded on the wire.
fn wire_number(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

/// The number of an enum value as it is encoded on the wire.
pub(super) fn check(kind: RecordKind, encoded: &[u8], at: &FieldPath<'_>, violations: &mut Violations) {
    let Some(shape) = SHAPES.records.get(&kind).and_then(|position| SHAPES.list.get(*position)) else { return };
    let mut references = 0;
    check_message(shape, encoded, at, &mut references, violations);
    violations.limit(at, limits::REFERENCES, references);
}

fn check_message(shape: &Shape, message: &[u8], at: &FieldPath<'_>, references: &mut u64, violations: &mut Violations) {
    let mut seen = 0;
    // This program encodes the elements of a repeated field one after the other.
    let (mut last, mut index) = (0, 0);
    for wire::WireField { number, value, .. } in wire::fields(message) {
        index = if number == last { index + 1 } else { 0 };
        last = number;
        let Some(field) = shape.fields.get(number as usize).and_then(Option::as_ref) else { continue };
        seen |= field.required;
        let at = at.field(&field.name);
        match &field.holds {
            Holds::Map(holds) => {
                let key = wire::first(value.bytes(), 1).map_or("", Value::text);
                text::check_controls(key, &at.key(key), violations);
                if let Some(value) = wire::first(value.bytes(), 2) {
                    check_value(holds, value, &at.key(key), references, violations);
                }
            }
            holds if field.repeated => check_value(holds, value, &at.index(index), references, violations),
            Holds::Text if field.required != 0 && text::is_blank(value.text()) => {
                violations.invalid(&at, "is blank: it needs a character that can be seen");
            }
            holds => check_value(holds, value, &at, references, violations),
        }
    }
    if seen != (1 << shape.required.len()) - 1 {
        for (_, name) in shape.required.iter().enumerate().filter(|(bit, _)| seen & (1 << bit) == 0) {
            violations.invalid(&at.field(name), "is required");
        }
    }
}

fn check_value(holds: &Holds, value: Value<'_>, at: &FieldPath<'_>, references: &mut u64, violations: &mut Violations) {
    match holds {
        Holds::Text => text::check_controls(value.text(), at, violations),
        Holds::Reference => {
            *references += 1;
            if let Err(error) = value.text().parse::<RecordName>() {
                violations.invalid(at, error.to_string());
            }
        }
        Holds::Double => {
            if let Value::Fixed64(bits) = value
                && !f64::from_bits(bits).is_finite()
            {
                violations.invalid(at, "is not a finite number");
            }
        }
        Holds::Timestamp => check_timestamp(value.bytes(), at, violations),
        Holds::Enum(known, name) => {
            if let Value::Varint(number) = value
                && !known.contains(&number)
            {
                violations.invalid(at, format!("{} is not a value of {name} that this server knows", number.cast_signed()));
            }
        }
        Holds::Message(position) => {
            if let Some(shape) = SHAPES.list.get(*position) {
                check_message(shape, value.bytes(), at, references, violations);
            }
        }
        Holds::Map(_) | Holds::Anything => {}
    }
}

/// Whether seconds and nanoseconds form a timestamp in the years 0001 to 9999.
pub(crate) fn is_timestamp(seconds: i64, nanos: i64) -> bool {
    (edtf::FIRST_SECOND..END_SECOND).contains(&seconds) && (0..=NANOS_MAX).contains(&nanos)
}

fn check_timestamp(timestamp: &[u8], at: &FieldPath<'_>, violations: &mut Violations) {
    let (mut seconds, mut nanos) = (0, 0);
    for field in wire::fields(timestamp) {
        match (field.number, field.value) {
            (1, Value::Varint(value)) => seconds = value.cast_signed(),
            (2, Value::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    if !is_timestamp(seconds, nanos) {
        violations.invalid(at, "is not a timestamp of the years 0001 to 9999 with nanos from 0 to 999999999");
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::Value;

    use super::super::testing;
    use super::*;
    use crate::{
        model::encode,
        proto::{Attribution, Claim, Event, Source, record::Record},
    };

    /// Sets each field of a type in turn to the value that `wrong` returns for it. Checks that exactly its path is reported,
    /// apart from required fields that are missing. Returns the number of fields for which `wrong` returned a value.
    fn check_each(wrong: impl Fn(&FieldDescriptor) -> Option<Value>) -> usize {
        let mut fields = 0;
        for kind in RecordKind::ALL {
            for way in testing::fields(kind) {
                let Some(value) = wrong(way.last().unwrap()) else { continue };
                fields += 1;
                let record = testing::with(kind, &way, value);
                let mut violations = Violations::default();
                check(kind, &encode(&record), &FieldPath::ROOT, &mut violations);
                let reported: Vec<_> = violations
                    .into_vec()
                    .into_iter()
                    .filter(|violation| violation.description != "is required")
                    .map(|violation| violation.field)
                    .collect();
                let path = testing::path(&way);
                assert!(reported.contains(&path), "{path}: {reported:?}");
                let element = |field: &String| field.replace("[0]", "[1]") == path;
                assert!(reported.iter().all(element), "{path}: {reported:?}");
            }
        }
        fields
    }

    #[test]
    fn no_text_has_a_control_character() {
        let fields = check_each(|field| (field.kind() == prost_reflect::Kind::String).then(|| Value::String("a\u{0}b".into())));
        assert!(fields > 150, "{fields}");
    }

    #[test]
    fn every_reference_is_a_name() {
        let references: usize = RecordKind::ALL.iter().map(|kind| kind.schema().references.len()).sum();
        let fields = check_each(|field| reference_target(field).map(|_| Value::String("@label".into())));
        assert_eq!(fields, references);
    }

    #[test]
    fn every_number_is_finite() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let fields = check_each(|field| (field.kind() == prost_reflect::Kind::Double).then_some(Value::F64(wrong)));
            assert!(fields > 30, "{fields}");
        }
    }

    #[test]
    fn every_enum_has_a_value_of_the_contract() {
        for wrong in [-1, 99, i32::MAX, i32::MIN] {
            let fields = check_each(|field| field.kind().as_enum().is_some().then_some(Value::EnumNumber(wrong)));
            assert!(fields > 40, "{fields}");
        }
        let mut known = 0;
        for way in RecordKind::ALL.into_iter().flat_map(testing::fields) {
            let field = way.last().unwrap();
            assert!(!(field.is_list() && field.kind().as_enum().is_some()), "packed enums would not be seen");
            known += usize::from(field.kind().as_enum().is_some());
        }
        assert!(known > 40);
    }

    #[test]
    fn every_timestamp_lies_in_the_years_0001_to_9999() {
        let timestamp = |seconds: i64, nanos: i32| {
            move |field: &FieldDescriptor| {
                let descriptor = field.kind().as_message().filter(|message| message.name() == "Timestamp")?.clone();
                let mut timestamp = prost_reflect::DynamicMessage::new(descriptor);
                timestamp.set_field_by_name("seconds", Value::I64(seconds));
                timestamp.set_field_by_name("nanos", Value::I32(nanos));
                Some(Value::Message(timestamp))
            }
        };
        for (seconds, nanos) in
            [(edtf::FIRST_SECOND - 1, 0), (END_SECOND, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, 0), (i64::MAX, 0)]
        {
            assert!(check_each(timestamp(seconds, nanos)) > 30);
        }
        for (seconds, nanos) in [(edtf::FIRST_SECOND, 0), (END_SECOND - 1, 999_999_999), (0, 0)] {
            let source = Source { retrieve_time: Some(prost_types::Timestamp { seconds, nanos }), ..Default::default() };
            testing::check(source, &[]);
        }
    }

    #[test]
    fn what_the_contract_calls_required_is_required() {
        let mut required: Vec<_> = SHAPES.list.iter().flat_map(|shape| shape.required.clone()).collect();
        required.sort();
        assert_eq!(
            required.join(" "),
            "actor aspect attribution citations code display_name estimand event kind kind measure mode object origin polarity \
             quantity source statement text title unit"
        );
        testing::check(Event::default(), &["title"]);
        testing::check(Claim::default(), &["statement", "kind", "polarity", "attribution", "citations"]);
    }

    #[test]
    fn a_record_has_at_most_500_references_in_all_fields_together() {
        let claim = |about: usize| Claim {
            about: vec!["events/e".into(); about],
            attribution: vec![Attribution { actors: vec!["actors/a".into(); 10], ..Default::default() }],
            ..testing::claim()
        };
        // Ten actors and the source of the citation.
        testing::check(claim(489), &[]);
        testing::check(claim(490), &[": references.count 501"]);
    }

    #[test]
    fn texts_keys_and_values_are_named_by_their_path() {
        testing::check(
            Event { annotations: [("a".to_owned(), "\u{1}".to_owned())].into(), ..testing::event() },
            &["annotations[\"a\"]"],
        );
        testing::check(Event { title: "\tTroops\r\nsent".into(), ..testing::event() }, &[]);
        testing::check(Event { title: "Troops\u{7f}sent".into(), ..testing::event() }, &["title"]);
    }

    #[test]
    fn the_path_continues_the_one_given() {
        let record = Record::Event(Event { types: vec!["a:b\u{0}".into()], ..testing::event() });
        let mut violations = Violations::default();
        let mutations = FieldPath::ROOT.field("mutations");
        check(RecordKind::Event, &encode(&record), &mutations.index(3).field("create.event"), &mut violations);
        assert_eq!(violations.as_slice()[0].field, "mutations[3].create.event.types[0]");
    }
}
