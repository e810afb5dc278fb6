//! Each record as it will be, held against the rules of its type.

use std::collections::{BTreeSet, HashMap};

use prost::Message;

use super::{Changes, body, existence::append, request::FieldMask};
use crate::{
    model::{self, Kind, Name, Path, Violations, schema, wire},
    proto::{ChangeKind, Citation, Source, record::Record},
    store::error::{Error, Result},
};

/// A record that was completed and held against the rules of its type.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// Its body with what the server computes.
    pub(crate) body: Vec<u8>,
    /// What is wrong with it.
    pub(crate) violations: Violations,
    /// Whether it has links that could close a circle.
    pub(crate) linked: bool,
}

/// Completes a record and holds it against the rules of its type. `at` is where it stands in the request.
pub(crate) fn check_record(mut record: Record, at: &Path<'_>) -> Checked {
    model::resource_mut(&mut record).complete();
    let encoded = model::encode(&record);
    let mut violations = Violations::default();
    model::check(&record, &encoded, at, &mut violations);
    Checked { body: encoded, violations, linked: !model::resource(&record).links().is_empty() }
}

/// Reads a body that was encoded here.
pub(crate) fn decode(kind: Kind, body: &[u8]) -> Result<Record> {
    (kind.resource_type().decode)(body)
        .map_err(|error| Error::internal(format!("a {} that was encoded here cannot be decoded: {error}", kind.singular())))
}

/// What was sent to change a record.
#[derive(Clone, Debug)]
pub(super) struct Update {
    kind: Kind,
    /// The body that was sent.
    pub(super) sent: Vec<u8>,
    fields: FieldMask,
    /// External ids, and labels unless listed, are added and never taken away: an upsert.
    adds: bool,
}

impl Update {
    pub(super) fn new(kind: Kind, sent: Vec<u8>, fields: FieldMask, adds: bool) -> Self {
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
                append(&mut joined, number, wire::texts(sent.get(number), number).map(str::to_owned));
            } else {
                joined.set(number, sent.get(number).to_vec());
            }
        }
        joined.encode()
    }

    /// Reports immutable fields that would change, and gives whether there are none. One that is empty may be set.
    fn check_immutable(&self, before: &[u8], at: &Path<'_>, violations: &mut Violations) -> bool {
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

impl Changes<'_> {
    /// Joins what was sent with what was there, lets the server's part be computed, and holds the result against the rules.
    pub(super) fn apply_rules(&mut self) -> Result<()> {
        let mut violations = Violations::default();
        let mut bytes = 0;
        for planned in &mut self.planned {
            let root = Path::ROOT;
            let at = root.field(&planned.at);
            if let Some(update) = planned.sent.take() {
                let before = planned.before.as_ref().map(|before| body(&before.record)).unwrap_or_default();
                if !update.check_immutable(before, &at, &mut violations) {
                    continue;
                }
                planned.body = update.join(before);
                let mut checked = check_record(decode(planned.name.kind(), &planned.body)?, &at);
                violations.append(std::mem::take(&mut checked.violations));
                planned.linked = checked.linked;
                planned.body = checked.body;
                if planned.body == before {
                    planned.change = ChangeKind::Unchanged;
                }
            } else if planned.change == ChangeKind::Created {
                let mut checked = match planned.checked.take() {
                    Some(checked) => checked,
                    None => check_record(decode(planned.name.kind(), &planned.body)?, &at),
                };
                violations.append(std::mem::take(&mut checked.violations));
                planned.linked = checked.linked;
                planned.body = checked.body;
            } else if matches!(planned.change, ChangeKind::Undeleted | ChangeKind::Unmerged) {
                let mut checked = check_record(decode(planned.name.kind(), &planned.body)?, &at);
                violations.append(std::mem::take(&mut checked.violations));
                planned.linked = checked.linked;
            } else if planned.change == ChangeKind::Updated {
                // The record that another was merged into.
                let count = wire::texts(&planned.body, schema::EXTERNAL_IDS).count();
                violations.limit(&at, "external_ids.count", model::limit::EXTERNAL_IDS_MAX as u64, count as u64);
                planned.linked = true;
            }
            violations.limit(&at, "record.bytes", self.limits.record_bytes, planned.body.len() as u64);
            bytes += planned.body.len() as u64;
        }
        violations.limit(&Path::ROOT.field("mutations"), "commit.bytes", self.limits.commit_bytes, bytes);
        self.check_quotes(&mut violations)?;
        Error::from_violations(violations).map_or(Ok(()), Err)
    }

    /// Holds spans and quotes against the texts of their sources, as these will be.
    fn check_quotes(&self, violations: &mut Violations) -> Result<()> {
        let mut sources: HashMap<Name, Option<Source>> = HashMap::new();
        for planned in self.planned.iter().filter(|planned| planned.is_live()) {
            let Some(field) = planned.name.kind().schema().field("citations") else { continue };
            if !planned.sets.contains(field.number) {
                continue;
            }
            let citations = wire::fields(&planned.body).filter(|part| part.number == field.number);
            for (index, citation) in citations.enumerate() {
                let Ok(citation) = Citation::decode(citation.value.bytes()) else { continue };
                let Ok(name) = citation.source.parse::<Name>() else { continue };
                if citation.span.is_none() {
                    continue;
                }
                if !sources.contains_key(&name) {
                    sources.insert(name.clone(), self.source(&name)?);
                }
                let source = sources.get(&name).and_then(Option::as_ref);
                if let Some(source) = source.filter(|source| !source.text.is_empty()) {
                    let root = Path::ROOT;
                    let (at, number) = (root.field(&planned.at), index);
                    model::check_against_text(&citation, &source.text, &at.field("citations").index(number), violations);
                }
            }
        }
        Ok(())
    }

    fn source(&self, name: &Name) -> Result<Option<Source>> {
        let Some(after) = self.after(name)?.filter(|after| after.live && name.kind() == Kind::Source) else { return Ok(None) };
        Ok(Source::decode(after.body.as_slice()).ok())
    }
}
