//! The mutations of a row: upserts of named records, and the check of a record before it is sent.
//!
//! Must not know rows or formats.

use std::collections::BTreeMap;

use crate::{
    model::{self, FieldPath, TypedRecord, wire},
    proto::{self, Mutation, Upsert, mutation::Op, record::Record},
};

/// Creates a record, or sets the listed fields of an existing one. A listed field that `record` lacks is cleared, so that a
/// value removed from the row is removed from the record. Other fields do not change.
pub fn keep(record: impl TypedRecord, fields: &[&str]) -> Mutation {
    let update_fields = fields.iter().map(|field| (*field).to_owned()).collect();
    upsert(Upsert { record: Some(of(record)), update_fields, create_only: false })
}

/// Creates a record. An existing record does not change.
pub fn found(record: impl TypedRecord) -> Mutation {
    upsert(Upsert { record: Some(of(record)), update_fields: Vec::new(), create_only: true })
}

fn of(record: impl TypedRecord) -> proto::Record {
    proto::Record { record: Some(record.into_record()) }
}

fn upsert(upsert: Upsert) -> Mutation {
    Mutation { label: String::new(), op: Some(Op::Upsert(upsert)) }
}

/// The name of the record that a mutation changes. Empty if it has no name.
pub fn name(mutation: &Mutation) -> &str {
    match mutation.op.as_ref() {
        Some(Op::Create(record)) => record_name(Some(record)),
        Some(Op::Update(update)) => record_name(update.record.as_ref()),
        Some(Op::Upsert(upsert)) => record_name(upsert.record.as_ref()),
        Some(Op::Delete(delete)) => &delete.name,
        Some(Op::Undelete(undelete)) => &undelete.name,
        Some(Op::Merge(merge)) => &merge.name,
        Some(Op::Unmerge(unmerge)) => &unmerge.name,
        None => "",
    }
}

/// The record that a mutation writes. `None` if it writes none, such as a delete.
pub fn record(mutation: &Mutation) -> Option<&Record> {
    match mutation.op.as_ref()? {
        Op::Create(record) => record.record.as_ref(),
        Op::Update(update) => update.record.as_ref()?.record.as_ref(),
        Op::Upsert(upsert) => upsert.record.as_ref()?.record.as_ref(),
        Op::Delete(_) | Op::Undelete(_) | Op::Merge(_) | Op::Unmerge(_) => None,
    }
}

fn record_name(record: Option<&proto::Record>) -> &str {
    record.and_then(|record| record.record.as_ref()).map(model::name_of).unwrap_or_default()
}

/// Replaces names of records in references. Returns whether anything changed.
pub(in crate::formats) fn rename(mutation: &mut Mutation, names: &BTreeMap<String, String>) -> bool {
    let Some(Op::Upsert(Upsert { record: Some(proto::Record { record: Some(record) }), .. })) = &mut mutation.op else {
        return false;
    };
    let kind = model::kind_of(record);
    let mut bytes = model::encode(record);
    for reference in &kind.schema().references {
        bytes = wire::replace_texts(&bytes, &reference.path, &mut |text| names.get(text).cloned());
    }
    let renamed = (kind.resource_type().decode)(&bytes).expect("texts were replaced by texts");
    let differs = renamed != *record;
    *record = renamed;
    differs
}

/// Checks a record as a commit does, so that a violation is reported with its row. The error names every violation.
pub(in crate::formats) fn check(record: &Record) -> Result<(), String> {
    let root = FieldPath::ROOT;
    let violations = model::check_record(record.clone(), &root.field(model::kind_of(record).singular())).violations;
    if violations.is_empty() {
        return Ok(());
    }
    let texts = violations.as_slice().iter().map(|violation| format!("{} {}", violation.field, violation.description));
    Err(texts.collect::<Vec<_>>().join("; "))
}
