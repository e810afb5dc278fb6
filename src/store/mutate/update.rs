//! What was sent to change a record, joined with what was there: each field whole.
//!
//! Knows fields by number. Must not know rules beyond which fields never change.

use std::collections::BTreeSet;

use crate::model::{Path, RecordKind, Violations, schema, wire};

/// The fields that an update sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldMask {
    /// Those that are set in what was sent.
    Sent,
    /// All but immutable ones.
    All,
    /// These, by number.
    Listed(BTreeSet<u32>),
}

/// What was sent to change a record.
#[derive(Clone, Debug)]
pub(super) struct Update {
    kind: RecordKind,
    /// The body that was sent.
    pub(super) sent: Vec<u8>,
    fields: FieldMask,
    /// External ids, and labels unless listed, are added and never taken away: an upsert.
    adds: bool,
}

impl Update {
    pub(super) fn new(kind: RecordKind, sent: Vec<u8>, fields: FieldMask, adds: bool) -> Self {
        Self { kind, sent, fields, adds }
    }

    /// The fields that are set, by number.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let sent = || wire::fields(&self.sent).map(|field| field.number).collect::<BTreeSet<_>>();
        let mut numbers = match &self.fields {
            FieldMask::Sent => sent(),
            FieldMask::Listed(listed) => listed.clone(),
            FieldMask::All => {
                let fields = self.kind.schema().fields.iter();
                fields.filter(|field| !field.output_only && !field.immutable).map(|field| field.number).collect()
            }
        };
        if self.adds && !wire::Parts::of(&self.sent).get(schema::EXTERNAL_IDS).is_empty() {
            numbers.insert(schema::EXTERNAL_IDS);
        }
        numbers.into_iter().collect()
    }

    /// The body as it will be, before the server computes anything.
    pub(super) fn join(&self, before: &[u8]) -> Vec<u8> {
        let sent = wire::Parts::of(&self.sent);
        let mut joined = wire::Parts::of(before);
        for number in self.numbers() {
            let only_adds = match number {
                schema::EXTERNAL_IDS => self.adds,
                schema::LABELS => self.adds && matches!(self.fields, FieldMask::Sent),
                _ => false,
            };
            if only_adds {
                joined.add_texts(number, wire::texts(sent.get(number), number).map(str::to_owned));
            } else {
                joined.set(number, sent.get(number).to_vec());
            }
        }
        joined.encode()
    }

    /// Reports immutable fields that would change, and gives whether there are none. One that is empty may be set.
    pub(super) fn check_immutable(&self, before: &[u8], at: &Path<'_>, violations: &mut Violations) -> bool {
        let mut kept = true;
        let (before, sent) = (wire::Parts::of(before), wire::Parts::of(&self.sent));
        for number in self.numbers() {
            let immutable = self.kind.schema().fields.iter().find(|field| field.number == number && field.immutable);
            let Some(field) = immutable else { continue };
            if !before.get(number).is_empty() && before.get(number) != sent.get(number) {
                kept = false;
                violations.invalid(
                    &at.field(&field.name),
                    "was set when it was first written and never changes: make a new record, and link the two",
                );
            }
        }
        kept
    }
}
