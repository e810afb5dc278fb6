//! Shared by the tests of this module: records that pass, and the check that most tests make.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, MessageDescriptor, Value};

use super::{FieldPath, RecordKind, TypedRecord, ViolationKind, Violations, encode, resource_mut};
use crate::proto::{
    Aspect, Attribution, Citation, Claim, ClaimKind, Estimand, Estimate, EstimateMode, EstimateOrigin, Event, Polarity,
    Quantity, Record as Envelope, record::Record,
};

/// The smallest event that passes.
pub(super) fn event() -> Event {
    Event { title: "Troops sent".into(), ..Default::default() }
}

/// The smallest claim that passes.
pub(super) fn claim() -> Claim {
    Claim {
        statement: "Troops were sent".into(),
        kind: ClaimKind::Fact.into(),
        polarity: Polarity::Affirmed.into(),
        attribution: vec![Attribution { actors: vec!["actors/nis".into()], ..Default::default() }],
        citations: vec![Citation { source: "sources/article".into(), ..Default::default() }],
        ..Default::default()
    }
}

/// The smallest estimate that passes.
pub(super) fn estimate() -> Estimate {
    Estimate {
        claim: "claims/c1".into(),
        estimand: Some(Estimand { measure: "measure:troops".into(), ..Default::default() }),
        quantity: Some(Quantity { unit: "1".into(), best: Some(3000.0), ..Default::default() }),
        aspect: Aspect::Cumulative.into(),
        mode: EstimateMode::Estimated.into(),
        origin: EstimateOrigin::AsReported.into(),
        ..Default::default()
    }
}

/// A record as the server completes it. Checks that completing it again changes nothing.
pub(super) fn completed<T: TypedRecord>(record: T) -> T {
    let mut record = record.into_record();
    resource_mut(&mut record).complete();
    let mut again = record.clone();
    resource_mut(&mut again).complete();
    assert_eq!(encode(&again), encode(&record), "complete is idempotent");
    T::from_record(record).unwrap()
}

/// What is wrong with a record after it is completed: the fields. A broken limit also has its name and the number sent.
pub(super) fn refused<T: TypedRecord>(record: T) -> Vec<String> {
    violations(&completed(record).into_record())
        .into_vec()
        .into_iter()
        .map(|violation| match violation.kind {
            ViolationKind::Invalid | ViolationKind::LabelUnknown { .. } => violation.field,
            ViolationKind::Limit { limit, actual, .. } => format!("{}: {limit} {actual}", violation.field),
        })
        .collect()
}

/// What is wrong with a completed record.
pub(super) fn violations(record: &Record) -> Violations {
    let mut violations = Violations::default();
    super::check(record, &encode(record), &FieldPath::ROOT, &mut violations);
    violations
}

/// Checks what is wrong with a record, in order.
pub(super) fn check<T: TypedRecord + std::fmt::Debug>(record: T, expect: &[&str]) {
    let shown = format!("{record:?}");
    assert_eq!(refused(record), expect, "{shown}");
}

/// The citations of a record of any type.
pub(super) fn citations(record: &Record) -> Vec<Citation> {
    match record {
        Record::Event(event) => event.citations.clone(),
        Record::Claim(claim) => claim.citations.clone(),
        Record::Estimate(estimate) => estimate.citations.clone(),
        Record::Relation(relation) => relation.citations.clone(),
        Record::Source(_) | Record::Actor(_) => Vec::new(),
    }
}

/// A map with `count` entries.
pub(super) fn entries<V: Clone>(count: usize, value: V) -> BTreeMap<String, V> {
    (0..count).map(|number| (format!("k{number}"), value.clone())).collect()
}

/// Every record of the seed article in `tests/data/seed`.
pub(super) fn seed() -> Vec<Record> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seed/commit.json");
    let commit: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let descriptor = crate::proto::descriptors().get_message_by_name("annals.v1.Record").unwrap();
    commit["mutations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mutation| {
            let record = DynamicMessage::deserialize(descriptor.clone(), &mutation["create"]).unwrap();
            record.transcode_to::<Envelope>().unwrap().record.unwrap()
        })
        .collect()
}

/// Every field of a type at any depth, as the path of fields down to it. Entries of maps are left out.
pub(super) fn fields(kind: RecordKind) -> Vec<Vec<FieldDescriptor>> {
    fn descend(message: &MessageDescriptor, above: &[FieldDescriptor], found: &mut Vec<Vec<FieldDescriptor>>) {
        for field in message.fields() {
            let way = [above, std::slice::from_ref(&field)].concat();
            if let prost_reflect::Kind::Message(inner) = field.kind()
                && inner.package_name() == "annals.v1"
                && !field.is_map()
            {
                descend(&inner, &way, found);
            }
            found.push(way);
        }
    }
    let mut found = Vec::new();
    descend(&kind.schema().message, &[], &mut found);
    found
}

/// A record in which only the field at the end of a path is set. A repeated field on the path has two equal elements; [`path`]
/// names the second, so that a wrong index in a reported path shows.
pub(super) fn with(kind: RecordKind, way: &[FieldDescriptor], value: Value) -> Record {
    fn set(message: &MessageDescriptor, way: &[FieldDescriptor], value: Value) -> DynamicMessage {
        let mut set_message = DynamicMessage::new(message.clone());
        let (field, rest) = way.split_first().unwrap();
        let value = match field.kind() {
            prost_reflect::Kind::Message(inner) if !rest.is_empty() => Value::Message(set(&inner, rest, value)),
            _ => value,
        };
        let value = if field.is_list() { Value::List(vec![value.clone(), value]) } else { value };
        set_message.set_field(field, value);
        set_message
    }
    let message = set(&kind.schema().message, way, value);
    (kind.resource_type().decode)(&message.encode_to_vec()).unwrap()
}

/// The path of the field that [`with`] sets.
pub(super) fn path(way: &[FieldDescriptor]) -> String {
    let step = |field: &FieldDescriptor| format!("{}{}", field.name(), if field.is_list() { "[1]" } else { "" });
    way.iter().map(step).collect::<Vec<_>>().join(".")
}

/// A record with any content that the contract's types allow, mostly invalid. The same seed gives the same record.
pub(super) fn any(kind: RecordKind, seed: u64) -> Record {
    const TEXTS: [&str; 24] = [
        "",
        "events/e1",
        "actors/a",
        "claims/c",
        "estimates/e",
        "sources/s",
        "relations/r",
        "@label",
        "a:b",
        "stix.confidence:101",
        "2024-10",
        "2024-13",
        "20XX",
        "../..",
        "2024-02-30/2024-01-01",
        "9998-24",
        "RUS",
        "XXX",
        "1",
        "e\u{301}",
        "\u{7f}",
        "폭풍",
        "|%",
        "x:",
    ];
    const NUMBERS: [f64; 9] = [0.0, -0.0, 0.5, 1.0, -1.0, 3000.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE];
    fn fill(message: &MessageDescriptor, random: &mut fastrand::Rng) -> DynamicMessage {
        let mut filled = DynamicMessage::new(message.clone());
        for field in message.fields() {
            if random.u8(..3) == 0 {
                let value = if field.is_map() {
                    let prost_reflect::Kind::Message(entry) = field.kind() else { unreachable!() };
                    let key = MapKey::String(text(random));
                    Value::Map([(key, value_of(&entry.map_entry_value_field(), random))].into())
                } else if field.is_list() {
                    Value::List((0..random.usize(..4)).map(|_| value_of(&field, random)).collect())
                } else {
                    value_of(&field, random)
                };
                filled.set_field(&field, value);
            }
        }
        filled
    }
    fn text(random: &mut fastrand::Rng) -> String {
        random.choice(TEXTS).unwrap().to_owned()
    }
    fn value_of(field: &FieldDescriptor, random: &mut fastrand::Rng) -> Value {
        match field.kind() {
            prost_reflect::Kind::Message(inner) => Value::Message(fill(&inner, random)),
            prost_reflect::Kind::String => Value::String(text(random)),
            prost_reflect::Kind::Double => Value::F64(random.choice(NUMBERS).unwrap()),
            prost_reflect::Kind::Enum(_) => Value::EnumNumber(random.choice([0, 1, 2, 3, 20, -1, i32::MAX]).unwrap()),
            prost_reflect::Kind::Bool => Value::Bool(random.bool()),
            prost_reflect::Kind::Int64 => Value::I64(random.choice([0, 1, -1, i64::MIN, i64::MAX]).unwrap()),
            prost_reflect::Kind::Int32 => Value::I32(random.choice([0, 1, -1, i32::MIN, i32::MAX]).unwrap()),
            prost_reflect::Kind::Uint32 => Value::U32(random.choice([0, 1, 2, u32::MAX]).unwrap()),
            other => unreachable!("no record has a field of {other:?}"),
        }
    }
    let message = fill(&kind.schema().message, &mut fastrand::Rng::with_seed(seed));
    (kind.resource_type().decode)(&message.encode_to_vec()).unwrap()
}
