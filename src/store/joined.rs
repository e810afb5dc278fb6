//! Joined postings: they lead from a record to those that refer to it through another one, such as from an actor to the
//! estimates in claims of that actor.
//!
//! A posting says that at some revision a record referred, through another one, to the target. It is written when that begins,
//! and is never removed, as other postings are. It begins in one of two ways: the record gets a reference, or the record between
//! gets one, or gets the name to which the first refers (by a merge or an unmerge). In the second case every record that refers
//! to the one between needs a posting. If these are more than [`WIDE`], the record between gets one posting in their place.
//!
//! Knows views, keys and what the types declare. Must not know filters, or what is done with the keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{
    error::Result,
    keys,
    postings::for_each_reference,
    version::Version,
    view::{REDIRECTS_MAX, View},
};
use crate::{
    engine::ScanDirection,
    model::{
        RecordKind, RecordName,
        schema::{self, Reference},
        wire,
    },
    proto::ChangeKind,
};

/// Most postings that one record between writes when it gets a reference or a name.
const WIDE: usize = if cfg!(test) { 2 } else { 100 };
/// Keys that are read at once.
const KEYS_AT_ONCE: usize = 64;

/// A [`JoinedIndex`](crate::model::JoinedIndex) with resolved paths.
#[derive(Debug, PartialEq)]
pub(crate) struct JoinedReference {
    /// The kind of the records that it finds.
    pub(crate) kind: RecordKind,
    /// The kind of the records between.
    pub(crate) between: RecordKind,
    /// The field of the records that it finds.
    pub(crate) through: &'static Reference,
    /// The field of the records between.
    pub(crate) then: &'static Reference,
    /// The field numbers of both, as in keys.
    pub(crate) path: Vec<u32>,
    /// What a filter on it finds.
    pub(crate) serves: &'static str,
}

impl JoinedReference {
    /// Both fields, as in a filter.
    pub(crate) fn dotted(&self) -> String {
        format!("{}.{}", self.through.dotted(), self.then.dotted())
    }
}

/// All joined references.
pub(crate) fn joined_references() -> &'static [JoinedReference] {
    static JOINED: LazyLock<Vec<JoinedReference>> = LazyLock::new(|| {
        let field = |kind: RecordKind, dotted: &str| {
            let found = kind.schema().references.iter().find(|reference| reference.dotted() == dotted);
            found.unwrap_or_else(|| panic!("{dotted} of {} is no reference, and a joined index names it", kind.message()))
        };
        let of = |kind: RecordKind| {
            kind.resource_type().joined.iter().map(move |index| {
                let through = field(kind, index.through);
                let between = through.target.unwrap_or_else(|| panic!("{} refers to records of any type", index.through));
                let then = field(between, index.then);
                let path = [through.path.as_slice(), &then.path].concat();
                JoinedReference { kind, between, through, then, path, serves: index.serves }
            })
        };
        RecordKind::ALL.into_iter().flat_map(of).collect()
    });
    &JOINED
}

/// What one commit does to one record.
#[derive(Clone, Copy)]
pub(crate) struct VersionStep<'s> {
    pub(crate) kind: RecordKind,
    pub(crate) id: &'s str,
    /// The version before the commit. `None` if there was none.
    pub(crate) before: Option<&'s Version>,
    pub(crate) after: &'s Version,
}

/// The joined postings that a commit adds. `view` is the state before it. Some of them may be there already.
pub(crate) fn joined_postings(view: &View<'_>, steps: &[VersionStep<'_>]) -> Result<Vec<Vec<u8>>> {
    let changed = steps.iter().map(|step| ((step.kind, step.id), step.after)).collect();
    let commit = Commit { view: *view, changed };
    let mut added = Vec::new();
    for joined in joined_references() {
        for step in steps {
            if step.kind == joined.kind {
                commit.of_referrer(joined, step, &mut added)?;
            }
            if step.kind == joined.between {
                commit.of_between(joined, step, &mut added)?;
            }
        }
    }
    Ok(added)
}

/// The records as they are after a commit.
struct Commit<'c> {
    view: View<'c>,
    changed: BTreeMap<(RecordKind, &'c str), &'c Version>,
}

impl Commit<'_> {
    /// The postings of a record that gets a reference to a record between.
    fn of_referrer(&self, joined: &JoinedReference, step: &VersionStep<'_>, added: &mut Vec<Vec<u8>>) -> Result<()> {
        let before = step.before.map_or_else(BTreeSet::new, |before| names_in(joined.through, &before.record));
        for name in names_in(joined.through, &step.after.record).difference(&before) {
            let Some(between) = self.resolve(name)? else { continue };
            for (target, origin) in targets(joined, &between.record) {
                let field = keys::joined_field(&target, joined.kind, &joined.path, origin);
                added.push(keys::entry_under(&field, step.id));
            }
        }
        Ok(())
    }

    /// The postings of the records that refer to a record between, if it gets a reference or a name.
    fn of_between(&self, joined: &JoinedReference, step: &VersionStep<'_>, added: &mut Vec<Vec<u8>>) -> Result<()> {
        if step.after.redirect.is_some() || step.after.change == ChangeKind::Erased {
            return Ok(());
        }
        // What led to a record that was merged away led to another one.
        let before = step.before.filter(|before| before.redirect.is_none());
        let had = before.map_or_else(BTreeSet::new, |before| targets(joined, &before.record));
        let known = before.map_or_else(BTreeSet::new, |before| names_of(&before.record));
        let has = targets(joined, &step.after.record);
        let new: Vec<_> = has.difference(&had).collect();
        for name in names_of(&step.after.record) {
            let targets = if known.contains(&name) { new.clone() } else { has.iter().collect() };
            if targets.is_empty() {
                continue;
            }
            let referrers = self.referrers(joined, &name)?;
            for (target, origin) in targets {
                if referrers.len() > WIDE {
                    let field = keys::wide_field(target, joined.kind, &joined.path, *origin);
                    added.push(keys::entry_under(&field, step.id));
                } else {
                    let field = keys::joined_field(target, joined.kind, &joined.path, *origin);
                    added.extend(referrers.iter().map(|id| keys::entry_under(&field, id)));
                }
            }
        }
        Ok(())
    }

    /// The ids of the records that refer to a name after the commit, at most one more than [`WIDE`].
    fn referrers(&self, joined: &JoinedReference, name: &RecordName) -> Result<Vec<String>> {
        let range = keys::references_from(name, joined.kind, &joined.through.path, false);
        let text = name.to_string();
        let mut found = Vec::new();
        for entry in self.view.scan(range, ScanDirection::Forward, KEYS_AT_ONCE) {
            let (key, _) = entry?;
            let id = keys::last_id(&key);
            let version = self.version(joined.kind, id)?;
            if version.is_some_and(|version| names_in(joined.through, &version.record).contains(&text)) {
                found.push(id.to_owned());
            }
            if found.len() > WIDE {
                break;
            }
        }
        Ok(found)
    }

    fn version(&self, kind: RecordKind, id: &str) -> Result<Option<Version>> {
        match self.changed.get(&(kind, id)) {
            Some(after) => Ok(Some((*after).clone())),
            None => self.view.version(kind, id),
        }
    }

    /// The version that a name leads to, deleted or not.
    fn resolve(&self, name: &str) -> Result<Option<Version>> {
        let Ok(mut at) = name.parse::<RecordName>() else { return Ok(None) };
        for _redirect in 0..REDIRECTS_MAX {
            let Some(version) = self.version(at.kind(), at.id())? else { return Ok(None) };
            match version.redirect.as_deref().map(str::parse) {
                None => return Ok(Some(version)),
                Some(Ok(target)) => at = target,
                Some(Err(_)) => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The names in a field of a record.
fn names_in(reference: &Reference, record: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    wire::visit_values(record, &reference.path, &mut |value| {
        names.insert(value.text().to_owned());
    });
    names
}

/// The records to which a record between refers, and whether at the origin of an attribution.
fn targets(joined: &JoinedReference, record: &[u8]) -> BTreeSet<(RecordName, bool)> {
    let mut targets = BTreeSet::new();
    for_each_reference(joined.between.schema(), record, &mut |path, origin, target| {
        if path == joined.then.path {
            targets.insert((target, origin));
        }
    });
    targets
}

/// Every name that leads to a record: its own, and those that were merged into it.
fn names_of(record: &[u8]) -> BTreeSet<RecordName> {
    wire::texts(record, schema::NAME)
        .chain(wire::texts(record, schema::MERGED_NAMES))
        .filter_map(|name| name.parse().ok())
        .collect()
}
