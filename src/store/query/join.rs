//! Follows references while a filter is evaluated: to the record that a name leads to, and back to the records that refer to one.
//!
//! All is read at one revision. A name leads to the record behind all redirects; a deleted or erased record leads nowhere, and is
//! no referrer. What one page may read is bounded. Behind the bound every test is false, and the page must look at
//! [`Join::is_exhausted`] before it trusts an answer.
//!
//! Knows views, keys and checked filters. Must not know plans or pages.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use super::{
    check::{Joined, Referring},
    filter::OtherRecords,
};
use crate::{
    engine::ScanDirection,
    model::{
        RecordKind, RecordName,
        schema::{self, Reference},
        wire,
    },
    store::{
        error::{Result, StoreError},
        keys, postings,
        version::Version,
        view::View,
    },
};

/// Keys of referrers that are read at once.
const REFERRERS_AT_ONCE: usize = 64;

/// Follows references at the revision of a view.
pub(super) struct Join<'v> {
    view: View<'v>,
    /// Most records and keys that are read.
    reads_max: u64,
    reads: Cell<u64>,
    error: RefCell<Option<StoreError>>,
    /// The answers so far, by the part of the filter and the name. Every one cost a read, so the reads bound them.
    answers: RefCell<HashMap<(*const Joined, String), bool>>,
}

impl<'v> Join<'v> {
    pub(super) fn new(view: View<'v>, reads_max: u64) -> Self {
        let (reads, error, answers) = (Cell::new(0), RefCell::new(None), RefCell::new(HashMap::new()));
        Self { view, reads_max, reads, error, answers }
    }

    /// Whether more would have to be read than is allowed. The answers since then may be wrong.
    pub(super) fn is_exhausted(&self) -> bool {
        self.reads.get() > self.reads_max
    }

    /// Fails if a read has failed. The answers since then may be wrong.
    pub(super) fn check(&self) -> Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// The records and keys read so far.
    pub(super) fn reads(&self) -> usize {
        usize::try_from(self.reads.get()).unwrap_or(usize::MAX)
    }

    /// Counts a read. False if it is not allowed any more.
    fn may_read(&self) -> bool {
        self.reads.set(self.reads.get() + 1);
        !self.is_exhausted() && self.error.borrow().is_none()
    }

    /// The answer of a read, or nothing if it fails.
    fn kept<T: Default>(&self, read: Result<T>) -> T {
        read.unwrap_or_else(|error| {
            *self.error.borrow_mut() = Some(error);
            T::default()
        })
    }

    fn read_target(&self, name: &str) -> Result<Option<(RecordKind, Version)>> {
        let Ok(name) = name.parse::<RecordName>() else { return Ok(None) };
        let found = self.view.resolve(&name)?.filter(|found| found.version.is_live());
        Ok(found.map(|found| (found.name.kind(), found.version)))
    }

    /// Whether a record refers to another one, by a given name of it, and satisfies the predicate.
    fn refers(&self, part: &Referring, id: &str, target: &str) -> bool {
        if !self.may_read() {
            return false;
        }
        let version = self.kept(self.view.version(part.record.kind, id)).filter(Version::is_live);
        version.is_some_and(|version| {
            holds_reference(&version.record, &part.fields, target) && part.record.predicate.matches(&version.record, self)
        })
    }

    /// Whether some referrer of one type, by one name of the record, satisfies the predicate.
    fn any_referrer(&self, target: &RecordName, part: &Referring) -> bool {
        let text = target.to_string();
        let mut seen = std::collections::HashSet::new();
        for (field, origin) in part.fields.iter().flat_map(|field| origins(field).iter().map(move |origin| (field, *origin))) {
            let range = keys::references_from(target, part.record.kind, &field.path, origin);
            for entry in self.view.scan(range, ScanDirection::Forward, REFERRERS_AT_ONCE) {
                let Some((key, _)) = self.kept(entry.map(Some)) else { return false };
                let id = keys::last_id(&key);
                if seen.insert(id.to_owned()) && self.refers(part, id, &text) {
                    return true;
                }
                if !self.may_read() {
                    return false;
                }
            }
        }
        false
    }
}

impl OtherRecords for Join<'_> {
    fn leads_to(&self, name: &str, parts: &[Joined]) -> bool {
        let question = (parts.as_ptr(), name.to_owned());
        if let Some(known) = self.answers.borrow().get(&question) {
            return *known;
        }
        if !self.may_read() {
            return false;
        }
        let found = self.kept(self.read_target(name));
        let answer = found.is_some_and(|(kind, version)| {
            parts.iter().any(|part| part.kind == kind && part.predicate.matches(&version.record, self))
        });
        if !self.is_exhausted() {
            self.answers.borrow_mut().insert(question, answer);
        }
        answer
    }

    fn is_referred_to(&self, record: &[u8], parts: &[Referring]) -> bool {
        names(record).any(|name| parts.iter().any(|part| self.any_referrer(&name, part)))
    }
}

/// Every name by which another record may refer to this one: its own, and those that were merged into it.
pub(super) fn names(record: &[u8]) -> impl Iterator<Item = RecordName> + '_ {
    wire::texts(record, schema::NAME).chain(wire::texts(record, schema::MERGED_NAMES)).filter_map(|name| name.parse().ok())
}

/// The last parts of the keys of a reference: whether it is at the origin of an attribution.
pub(super) fn origins(field: &Reference) -> &'static [bool] {
    if postings::tells_origin(field) { &[false, true] } else { &[false] }
}

/// Whether a record holds a name in one of these fields.
fn holds_reference(record: &[u8], fields: &[&Reference], target: &str) -> bool {
    fields.iter().any(|field| {
        let mut found = false;
        wire::visit_values(record, &field.path, &mut |value| found |= value.text() == target);
        found
    })
}
