//! Selects the changes of a commit that a watch shows, and the records that an export gives.
//!
//! Knows filters and the records before and after a commit. Must not know streams, timers or any message but the commit.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Store, StoreLimits,
    change_stream::CommittedChange,
    error::{Result, StoreError},
    query::RecordFilter,
};
use crate::{
    model::RecordKind,
    proto::{RecordType, Transition},
};

/// The records that a watch asks for. A commit shows the record before and after, but no others, so the filter reads no others.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Never empty.
    kinds: Vec<RecordKind>,
    filter: Option<RecordFilter>,
    /// A text that is equal if and only if two selections show the same.
    key: Arc<str>,
}

impl Selection {
    /// Parses the selection of a request. No types means all types. A filter needs exactly one type.
    pub(crate) fn parse(types: &[i32], filter: &str, limits: &StoreLimits) -> Result<Self> {
        let (mut kinds, filter_of) = parse(types, filter, |kind| RecordFilter::parse(kind, filter, limits))?;
        let key = format!("{kinds:?} {filter}").into();
        or_all(&mut kinds);
        Ok(Self { kinds, filter: filter_of, key })
    }

    /// The selected types, without duplicates, ordered by number.
    #[cfg(feature = "server")]
    pub(crate) fn kinds(&self) -> &[RecordKind] {
        &self.kinds
    }

    /// The result of [`Self::show`], if another watch with the same selection has computed it.
    #[cfg(feature = "server")]
    #[allow(clippy::option_option)] // As `CommittedChange::known` has it.
    pub(crate) fn shown(&self, change: &CommittedChange) -> Option<Option<Bytes>> {
        change.known(&self.key)
    }

    /// The commit with the selected changes, as the contract's `Commit`. `None` if no change is selected. References compare as
    /// they are stored, so that a merge does not change whether other records match. May wait for the disk.
    pub(crate) fn show(&self, committed: &CommittedChange, store: &Store) -> Result<Option<Bytes>> {
        committed.selected(&self.key, || {
            let mut shown = Vec::new();
            for (index, change) in committed.commit.changes.iter().enumerate() {
                let kind = change.kind()?;
                if !self.kinds.contains(&kind) {
                    continue;
                }
                let transition = match &self.filter {
                    None => Some(Transition::Unspecified),
                    Some(filter) => {
                        let before = committed.before(store)?.get(index).and_then(Option::as_ref);
                        transition(
                            before.is_some_and(|before| filter.matches(before)),
                            change.is_live() && filter.matches(&change.record),
                        )
                    }
                };
                shown.extend(transition.map(|transition| (change, transition)));
            }
            if shown.is_empty() { Ok(None) } else { committed.commit.encode_with(&shown).map(Some) }
        })
    }
}

/// The types that an export asks for, without duplicates, ordered by number. No types means all types. An export reads all its
/// records at one revision, so its filter may go on into other records.
pub(crate) fn exported_kinds(types: &[i32], filter: &str, limits: &StoreLimits) -> Result<Vec<RecordKind>> {
    let (mut kinds, _checked) = parse(types, filter, |kind| RecordFilter::parse_joined(kind, filter, limits))?;
    or_all(&mut kinds);
    Ok(kinds)
}

/// The types of a request, and its filter, which needs exactly one type.
fn parse(
    types: &[i32],
    filter: &str,
    parse_filter: impl Fn(RecordKind) -> Result<RecordFilter>,
) -> Result<(Vec<RecordKind>, Option<RecordFilter>)> {
    let mut kinds = Vec::new();
    for (index, number) in types.iter().enumerate() {
        let kind = u8::try_from(*number).ok().and_then(RecordKind::from_number);
        let kind = kind.ok_or_else(|| {
            let known = RecordKind::ALL.map(|kind| RecordType::from(kind).as_str_name()).join(", ");
            StoreError::field(&format!("types[{index}]"), format!("{number} is not a record type: use one of {known}"))
        })?;
        kinds.push(kind);
    }
    kinds.sort_unstable();
    kinds.dedup();
    let filter = match (filter, kinds.as_slice()) {
        ("", _) => None,
        (_, [kind]) => Some(parse_filter(*kind)?),
        _ => {
            return Err(StoreError::field(
                "filter",
                "a filter needs exactly one type in types, because it names fields of that type",
            ));
        }
    };
    Ok((kinds, filter))
}

fn or_all(kinds: &mut Vec<RecordKind>) {
    if kinds.is_empty() {
        *kinds = RecordKind::ALL.to_vec();
    }
}

fn transition(before: bool, after: bool) -> Option<Transition> {
    match (before, after) {
        (false, false) => None,
        (false, true) => Some(Transition::Entered),
        (true, true) => Some(Transition::Stayed),
        (true, false) => Some(Transition::Left),
    }
}
