//! What the tests of this module share: records that pass, and the one check that most of them make.

use std::collections::BTreeMap;

use super::{Fault, Path, Violations, encode, resource_mut};
use crate::proto::{
    Aspect, Attribution, Citation, Claim, ClaimKind, Estimand, Estimate, EstimateMode, EstimateOrigin, Event, Polarity,
    Quantity, Record as Envelope, record::Record,
};

/// A type of record on its way into and out of the `oneof`.
pub(super) trait Recorded: Sized {
    fn into_record(self) -> Record;
    fn from_record(record: Record) -> Option<Self>;
}

macro_rules! recorded {
    ($($name:ident),*) => {$(
        impl Recorded for crate::proto::$name {
            fn into_record(self) -> Record {
                Record::$name(self)
            }

            fn from_record(record: Record) -> Option<Self> {
                match record {
                    Record::$name(inner) => Some(inner),
                    _ => None,
                }
            }
        }
    )*};
}

recorded!(Source, Actor, Event, Claim, Estimate, Relation);

/// The least event that passes.
pub(super) fn event() -> Event {
    Event { title: "Troops sent".into(), ..Default::default() }
}

/// The least claim that passes.
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

/// The least estimate that passes.
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

/// A record as the server completes it. Completing it again changes nothing.
pub(super) fn completed<T: Recorded>(record: T) -> T {
    let mut record = record.into_record();
    resource_mut(&mut record).complete();
    let mut again = record.clone();
    resource_mut(&mut again).complete();
    assert_eq!(encode(&again), encode(&record), "complete is idempotent");
    T::from_record(record).unwrap()
}

/// What is wrong with a record once it is completed: the fields, and with limits their name and the number sent.
pub(super) fn refused<T: Recorded>(record: T) -> Vec<String> {
    let record = completed(record).into_record();
    let mut violations = Violations::default();
    super::check(&record, &encode(&record), &Path::ROOT, &mut violations);
    violations
        .into_vec()
        .into_iter()
        .map(|violation| match violation.fault {
            Fault::Invalid => violation.field,
            Fault::Limit { limit, actual, .. } => format!("{}: {limit} {actual}", violation.field),
        })
        .collect()
}

/// Checks a record against what is wrong with it, in order.
pub(super) fn check<T: Recorded + Clone + std::fmt::Debug>(record: T, expect: &[&str]) {
    assert_eq!(refused(record.clone()), expect, "{record:?}");
}

/// A map of so many entries.
pub(super) fn entries<V: Clone>(count: usize, value: V) -> BTreeMap<String, V> {
    (0..count).map(|number| (format!("k{number}"), value.clone())).collect()
}

/// Every record of the founding text, with the text of its one source.
pub(super) fn seed() -> Vec<Record> {
    use prost_reflect::DynamicMessage;

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
