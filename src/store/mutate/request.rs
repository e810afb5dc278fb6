//! Parses a commit request once, before it queues for the writer. Checks its shape, and the records that it creates.
//!
//! Knows the request message and the types' own rules. Must not know what the store holds.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    limits::REQUEST_ID_CHARS_MAX,
    model::{
        self, CheckedRecord, FieldPath, RecordKind, RecordName, Violations, check_record, id_form, is_id, kind_of, schema, wire,
    },
    proto::{self, ErrorReason, mutation::Op, precondition::Condition},
    store::{
        Caller, StoreLimits,
        entry::RequestIdentity,
        error::{Result, StoreError, StoreErrorDetails, StoreErrorKind},
    },
};

/// A request whose form was checked, without any look at the store.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Identifies the request. Its receipt is stored under this.
    pub(crate) identity: RequestIdentity,
    /// Whether the commit is only checked, and not made.
    pub(crate) validate_only: bool,
    /// Stored with the commit.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The work of the commit, or why the request is invalid. The error is answered only after the look-up of the receipt,
    /// because a retry must get the stored answer even if the rules have changed since.
    pub(crate) work: Result<Work>,
}

/// The mutations and preconditions of a commit.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) mutations: Vec<Mutation>,
    pub(crate) preconditions: Vec<Precondition>,
}

/// A mutation whose form was checked.
#[derive(Clone, Debug)]
pub(crate) struct Mutation {
    /// The label of its record inside the commit. Empty if it has none.
    pub(crate) label: String,
    /// What it does, and to which record.
    pub(crate) op: Operation,
}

/// A record that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) kind: RecordKind,
    /// The name that was sent, if any.
    pub(crate) name: Option<RecordName>,
    /// The encoded record without the fields that only the server writes.
    pub(crate) body: Vec<u8>,
    /// The checked record, if it can be created as it was sent, because it refers to no label.
    pub(crate) checked: Option<CheckedRecord>,
    /// The path of the record in the request, such as "mutations[3].create.claim".
    pub(crate) at: String,
}

/// What a mutation does with a record.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create { sent: Sent },
    Update { sent: Sent, name: RecordName, fields: FieldMask, if_revision: u64 },
    Upsert { sent: Sent, fields: FieldMask, create_only: bool },
    Delete { name: RecordName, if_revision: u64, allow_missing: bool },
    Undelete { name: RecordName },
    Merge { name: RecordName, into: RecordName, if_revision: u64, if_into_revision: u64 },
    Unmerge { name: RecordName },
}

/// A condition on a record.
#[derive(Clone, Debug)]
pub(crate) struct Precondition {
    pub(crate) name: RecordName,
    pub(crate) condition: Condition,
}

impl Request {
    /// Parses a request. Only a request without a valid request id is refused at once, because it cannot have a receipt.
    pub(crate) fn parse(caller: &Caller, request: proto::CommitRequest, limits: &StoreLimits) -> Result<Self> {
        if request.validate_only && request.request_id.is_empty() {
            // A dry run needs no request id: it has no receipt.
        } else if request.request_id.is_empty() {
            return Err(StoreError::new(
                StoreErrorKind::Invalid,
                ErrorReason::RequestIdMissing,
                "request_id is required: send any string that is unique to this write, such as a UUID, and the same one again \
                 when you retry",
            ));
        } else if !is_request_id(&request.request_id) {
            return Err(StoreError::field("request_id", format!("use 1-{REQUEST_ID_CHARS_MAX} of A-Z a-z 0-9 . _ : -")));
        }
        let content_hash = content_hash(&request.mutations, &request.preconditions);
        let identity = RequestIdentity { caller: caller.name().to_owned(), request_id: request.request_id, content_hash };
        let work = parse_work(request.mutations, request.preconditions, &request.annotations, limits);
        Ok(Self { identity, validate_only: request.validate_only, annotations: request.annotations, work })
    }
}

/// SHA-256 of the mutations and preconditions of a request. Maps are ordered, so equal messages have the same encoding, however
/// the client encoded them.
fn content_hash(mutations: &[proto::Mutation], preconditions: &[proto::Precondition]) -> Bytes {
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    let mut add = |encode: &dyn Fn(&mut Vec<u8>)| {
        buffer.clear();
        encode(&mut buffer);
        hash.update((buffer.len() as u64).to_le_bytes());
        hash.update(&buffer);
    };
    add(&|buffer| wire::put_varint(mutations.len() as u64, buffer));
    for mutation in mutations {
        add(&|buffer| mutation.encode_raw(buffer));
    }
    for precondition in preconditions {
        add(&|buffer| precondition.encode_raw(buffer));
    }
    Bytes::copy_from_slice(&hash.finalize())
}

fn is_request_id(text: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

fn parse_work(
    mutations: Vec<proto::Mutation>,
    preconditions: Vec<proto::Precondition>,
    annotations: &BTreeMap<String, String>,
    limits: &StoreLimits,
) -> Result<Work> {
    let mut violations = Violations::default();
    violations.limit(&FieldPath::ROOT.field("mutations"), limits.commit_mutations(), mutations.len() as u64);
    violations.limit(&FieldPath::ROOT.field("preconditions"), limits.commit_preconditions(), preconditions.len() as u64);
    if let Some(error) = StoreError::from_violations(std::mem::take(&mut violations)) {
        return Err(error);
    }
    if mutations.is_empty() {
        violations.invalid(&FieldPath::ROOT.field("mutations"), "a commit has at least one mutation");
    }
    model::check_annotations(annotations, &FieldPath::ROOT.field("annotations"), &mut violations);
    let labels = labels(&mutations, &mut violations);
    let mutations: Vec<_> = mutations
        .into_iter()
        .enumerate()
        .filter_map(|(index, mutation)| parse_mutation(index, mutation, &labels, &mut violations))
        .collect();
    let preconditions: Vec<_> = preconditions
        .into_iter()
        .enumerate()
        .filter_map(|(index, precondition)| parse_precondition(index, &precondition, &mut violations))
        .collect();
    if let Some(error) = StoreError::from_violations(violations) {
        return Err(error);
    }
    check_duplicates(&mutations)?;
    Ok(Work { mutations, preconditions })
}

fn labels(mutations: &[proto::Mutation], violations: &mut Violations) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    let root = FieldPath::ROOT.field("mutations");
    for (index, mutation) in mutations.iter().enumerate() {
        if mutation.label.is_empty() {
            continue;
        }
        let (at, label) = (root.index(index), &mutation.label);
        if !is_id(label) {
            violations.invalid(&at.field("label"), format!("\"{label}\" is not a label: use {}", id_form()));
        } else if !labels.insert(label.clone()) {
            violations.invalid(&at.field("label"), format!("the label \"{label}\" is used twice in this commit"));
        }
    }
    labels
}

/// Parses one mutation. `None` if it is invalid: then violations were added.
fn parse_mutation(
    index: usize,
    mutation: proto::Mutation,
    labels: &BTreeSet<String>,
    violations: &mut Violations,
) -> Option<Mutation> {
    let root = FieldPath::ROOT.field("mutations");
    let at = &root.index(index);
    let op = match mutation.op {
        None => {
            violations.invalid(at, "one of create, update, upsert, delete, undelete, merge and unmerge is required");
            None
        }
        Some(Op::Create(record)) => {
            parse_record(Some(record), true, &at.field("create"), labels, violations).map(|sent| Operation::Create { sent })
        }
        Some(Op::Update(update)) => {
            let at = &at.field("update");
            let if_revision = parse_revision(update.if_revision, &at.field("if_revision"), violations);
            let sent = parse_record(update.record, false, &at.field("record"), labels, violations)?;
            let fields = parse_fields(&update.update_fields, sent.kind, &at.field("update_fields"), violations);
            let Some(name) = sent.name.clone() else {
                let (record, kind) = (at.field("record"), sent.kind.singular());
                violations.invalid(&record.field(kind).field("name"), "is required: it names the record to update");
                return None;
            };
            Some(Operation::Update { sent, name, fields: fields?, if_revision: if_revision? })
        }
        Some(Op::Upsert(upsert)) => {
            let at = &at.field("upsert");
            let sent = parse_record(upsert.record, true, &at.field("record"), labels, violations)?;
            let fields = parse_fields(&upsert.update_fields, sent.kind, &at.field("update_fields"), violations);
            if sent.name.is_none() && wire::first(&sent.body, schema::EXTERNAL_IDS).is_none() {
                let (record, kind) = (at.field("record"), sent.kind.singular());
                violations.invalid(&record.field(kind), "an upsert needs an external id or a name to find the record by");
                return None;
            }
            Some(Operation::Upsert { sent, fields: fields?, create_only: upsert.create_only })
        }
        Some(Op::Delete(delete)) => {
            let at = &at.field("delete");
            let if_revision = parse_revision(delete.if_revision, &at.field("if_revision"), violations);
            let name = parse_name(&delete.name, &at.field("name"), violations);
            Some(Operation::Delete { name: name?, if_revision: if_revision?, allow_missing: delete.allow_missing })
        }
        Some(Op::Undelete(undelete)) => {
            let at = &at.field("undelete");
            parse_name(&undelete.name, &at.field("name"), violations).map(|name| Operation::Undelete { name })
        }
        Some(Op::Merge(merge)) => parse_merge(&merge, &at.field("merge"), violations),
        Some(Op::Unmerge(unmerge)) => {
            let at = &at.field("unmerge");
            parse_name(&unmerge.name, &at.field("name"), violations).map(|name| Operation::Unmerge { name })
        }
    };
    op.map(|op| Mutation { label: mutation.label, op })
}

fn parse_merge(merge: &proto::Merge, at: &FieldPath<'_>, violations: &mut Violations) -> Option<Operation> {
    let if_revision = parse_revision(merge.if_revision, &at.field("if_revision"), violations);
    let if_into_revision = parse_revision(merge.if_into_revision, &at.field("if_into_revision"), violations);
    let name = parse_name(&merge.name, &at.field("name"), violations);
    let into = parse_name(&merge.into, &at.field("into"), violations);
    let (name, into) = (name?, into?);
    if name.kind() != into.kind() {
        violations
            .invalid(&at.field("into"), format!("{name} and {into} are of different types: only records of one can be merged"));
        return None;
    }
    if name == into {
        violations.invalid(&at.field("into"), "a record cannot be merged into itself");
        return None;
    }
    Some(Operation::Merge { name, into, if_revision: if_revision?, if_into_revision: if_into_revision? })
}

/// Parses a record that was sent. `creates`: the mutation creates it. Then it is checked here, on the caller's thread, and not
/// on the writer's thread.
fn parse_record(
    record: Option<proto::Record>,
    creates: bool,
    at: &FieldPath<'_>,
    labels: &BTreeSet<String>,
    violations: &mut Violations,
) -> Option<Sent> {
    let Some(record) = record.and_then(|record| record.record) else {
        let fields = RecordKind::ALL.map(RecordKind::singular).join(", ");
        violations.invalid(at, format!("a record is required: one of {fields}"));
        return None;
    };
    let kind = kind_of(&record);
    let at = &at.field(kind.singular());
    let encoded = model::encode(&record);
    let name = match wire::first(&encoded, schema::NAME) {
        None => None,
        Some(name) => Some(parse_name_of(name.text(), Some(kind), &at.field("name"), violations)?),
    };
    let (known, labelled) = find_unknown_labels(kind, &encoded, at, labels, violations);
    let body = clients_part(&encoded);
    let checked = (creates && !labelled).then(|| {
        let mut checked = check_record(record, at);
        checked.body = clients_part(&checked.body);
        checked
    });
    known.then(|| Sent { kind, name, body, checked, at: at.to_string() })
}

/// The bytes of a record without the fields that only the server writes.
fn clients_part(record: &[u8]) -> Vec<u8> {
    let mut part = Vec::with_capacity(record.len());
    for field in wire::fields(record) {
        if field.number > schema::DELETE_TIME && field.number != schema::MERGED_NAMES {
            part.extend_from_slice(field.raw);
        }
    }
    part
}

/// Reports references to unknown labels. Returns whether all labels are known, and whether there are any.
fn find_unknown_labels(
    kind: RecordKind,
    record: &[u8],
    at: &FieldPath<'_>,
    labels: &BTreeSet<String>,
    violations: &mut Violations,
) -> (bool, bool) {
    let (mut known, mut labelled) = (true, false);
    for reference in &kind.schema().references {
        wire::visit_texts(record, &reference.path, &mut |positions, text| {
            let Some(label) = text.strip_prefix('@') else { return };
            labelled = true;
            if !labels.contains(label) {
                violations.label_unknown(format!("{at}.{}", reference.at(positions)), label);
                known = false;
            }
        });
    }
    (known, labelled)
}

fn parse_fields(names: &[String], kind: RecordKind, at: &FieldPath<'_>, violations: &mut Violations) -> Option<FieldMask> {
    match names {
        [] => return Some(FieldMask::Sent),
        [all] if all == "*" => return Some(FieldMask::All),
        _ => {}
    }
    let mut listed = BTreeSet::new();
    let mut well = true;
    for (index, name) in names.iter().enumerate() {
        match kind.schema().field(name) {
            Some(field) if field.output_only => {}
            Some(field) => {
                listed.insert(field.number);
            }
            None => {
                well = false;
                let fields: Vec<_> =
                    kind.schema().fields.iter().filter(|field| !field.output_only).map(|field| field.name.as_str()).collect();
                violations.invalid(
                    &at.index(index),
                    format!(
                        "\"{name}\" is not a top-level field of {}: use {}, or only \"*\"",
                        kind.singular(),
                        fields.join(", ")
                    ),
                );
            }
        }
    }
    well.then_some(FieldMask::Listed(listed))
}

fn parse_precondition(index: usize, precondition: &proto::Precondition, violations: &mut Violations) -> Option<Precondition> {
    let root = FieldPath::ROOT.field("preconditions");
    let at = &root.index(index);
    let name = parse_name(&precondition.name, &at.field("name"), violations);
    match precondition.condition {
        None => violations.invalid(at, "one of revision, unchanged_since and exists is required"),
        Some(Condition::Revision(revision) | Condition::UnchangedSince(revision)) if revision < 0 => {
            violations.invalid(at, "a revision is never negative");
        }
        Some(condition) => return Some(Precondition { name: name?, condition }),
    }
    None
}

fn parse_name(text: &str, at: &FieldPath<'_>, violations: &mut Violations) -> Option<RecordName> {
    parse_name_of(text, None, at, violations)
}

fn parse_name_of(text: &str, kind: Option<RecordKind>, at: &FieldPath<'_>, violations: &mut Violations) -> Option<RecordName> {
    match text.parse::<RecordName>() {
        Ok(name) if kind.is_none_or(|kind| kind == name.kind()) => return Some(name),
        Ok(name) => violations.invalid(at, format!("{name} is not a name in {}/", kind.map_or("", RecordKind::collection))),
        Err(error) => violations.invalid(at, error.to_string()),
    }
    None
}

fn parse_revision(revision: i64, at: &FieldPath<'_>, violations: &mut Violations) -> Option<u64> {
    let parsed = u64::try_from(revision).ok();
    if parsed.is_none() {
        violations.invalid(at, "a revision is never negative; 0 means any");
    }
    parsed
}

/// Checks that only one mutation names a record. The record that an upsert finds is checked later.
fn check_duplicates(mutations: &[Mutation]) -> Result<()> {
    let mut first_by_name = BTreeMap::new();
    for (index, mutation) in mutations.iter().enumerate() {
        let (name, other) = match &mutation.op {
            Operation::Create { sent } => (sent.name.as_ref(), None),
            Operation::Upsert { .. } => (None, None),
            Operation::Update { name, .. }
            | Operation::Delete { name, .. }
            | Operation::Undelete { name }
            | Operation::Unmerge { name } => (Some(name), None),
            Operation::Merge { name, into, .. } => (Some(name), Some(into)),
        };
        for name in name.into_iter().chain(other) {
            if let Some(first) = first_by_name.insert(name, index) {
                return Err(duplicate(name, first, index));
            }
        }
    }
    Ok(())
}

/// The error if two mutations of one commit are about the same record.
pub(crate) fn duplicate(name: &RecordName, first: usize, second: usize) -> StoreError {
    let violation = |index: usize, other: usize| model::Violation {
        field: format!("mutations[{index}]"),
        description: format!("mutations[{other}] changes {name}, too"),
        kind: model::ViolationKind::Invalid,
    };
    StoreError::new(
        StoreErrorKind::Invalid,
        ErrorReason::DuplicateMutation,
        format!("mutations[{first}] and mutations[{second}] both change {name}: a commit can change a record only once, so join them"),
    )
    .with("name", name)
    .with("first", first)
    .with("second", second)
    .with_details(StoreErrorDetails::Fields(vec![violation(first, second), violation(second, first)]))
}

/// The fields that an update sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldMask {
    /// The fields that are set in the sent record.
    Sent,
    /// All fields but immutable and output-only ones.
    All,
    /// The fields with these numbers.
    Listed(BTreeSet<u32>),
}

/// An update of a record, as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Update {
    kind: RecordKind,
    /// The body that was sent.
    pub(super) sent: Vec<u8>,
    fields: FieldMask,
    /// Whether it is an upsert: it adds external ids, and labels unless they are listed, and removes none.
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

    /// The body after the update, before the server's fields are computed.
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

    /// Reports immutable fields that would change. Returns true if there are none. An empty field may be set.
    pub(super) fn check_immutable(&self, before: &[u8], at: &FieldPath<'_>, violations: &mut Violations) -> bool {
        let mut kept = true;
        let (before, sent) = (wire::Parts::of(before), wire::Parts::of(&self.sent));
        for number in self.numbers() {
            let immutable = self.kind.schema().fields.iter().find(|field| field.number == number && field.immutable);
            let Some(field) = immutable else { continue };
            if !before.get(number).is_empty() && before.get(number) != sent.get(number) {
                kept = false;
                violations.invalid(
                    &at.field(&field.name),
                    "cannot be changed after it is set: create a new record, and link the two",
                );
            }
        }
        kept
    }
}
