//! Settles from which end a list is read: from its own keys, or from the records that its filter asks for behind a reference.
//!
//! There are no statistics. So every end is tried with a small budget, then with a larger one, until one ends. What leads to fewer
//! records ends first, and the others have then cost only a few times as much.
//!
//! Knows plans, keys and views. Must not know pages or orders.

use bytes::Bytes;

use super::{
    join::{self, Join},
    plan::{AccessPath, Along, JoinPath, ListPlan, Others, RowOrder},
    scan::{Ids, ScanStep},
};
use crate::{
    engine::{KeyRange, ScanDirection},
    model::{RecordKind, RecordName, wire},
    store::{error::Result, keys, version::Version, view::View},
};

/// The first budget, in keys and records read.
const BUDGET_FIRST: usize = 64;
/// How many times larger each next budget is.
const BUDGET_GROWTH: usize = 8;
/// Keys of referrers that are read at once.
const KEYS_AT_ONCE: usize = 256;

/// Chooses the end of a plan that leads to fewer records. At most `reads_max` keys and records are read for each end. If none
/// ends within that, the plan reads its own keys, page by page.
pub(super) fn settle(view: View<'_>, kind: RecordKind, mut plan: ListPlan, reads_max: u64) -> Result<ListPlan> {
    let most = usize::try_from(reads_max).unwrap_or(usize::MAX);
    let joins = std::mem::take(&mut plan.joins);
    let mut budget = BUDGET_FIRST.min(most);
    while !joins.is_empty() {
        for path in &joins {
            if let Some(ids) = Settling::new(view, budget).ids(kind, path)? {
                plan.access = AccessPath::Ids(ids);
                if let RowOrder::ByIndex(by_index) = &mut plan.row_order {
                    by_index.few_first = true;
                }
                return Ok(plan);
            }
        }
        if budget >= most || Settling::new(view, budget).ends(kind, &plan.access)? {
            break;
        }
        budget = budget.saturating_mul(BUDGET_GROWTH).min(most);
    }
    Ok(plan)
}

/// One try, with one budget.
struct Settling<'v> {
    view: View<'v>,
    budget: usize,
    left: usize,
}

impl<'v> Settling<'v> {
    fn new(view: View<'v>, budget: usize) -> Self {
        Self { view, budget, left: budget }
    }

    /// Spends a part of the budget. False if it is used up.
    fn spend(&mut self) -> bool {
        let left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        left
    }

    /// Whether an access without joins leads to no more keys than the budget.
    fn ends(&mut self, kind: RecordKind, access: &AccessPath) -> Result<bool> {
        Ok(self.plain_ids(kind, access)?.is_some())
    }

    /// The ids that a path leads to, sorted. `None` if the budget does not suffice.
    fn ids(&mut self, kind: RecordKind, path: &AccessPath) -> Result<Option<Vec<String>>> {
        let found = match path {
            AccessPath::Join(join) => self.joined(kind, join)?,
            AccessPath::Union(parts) if path.has_join() => {
                let mut found = Vec::new();
                for part in parts {
                    let Some(ids) = self.ids(kind, part)? else { return Ok(None) };
                    found.extend(ids);
                }
                Some(found)
            }
            path => self.plain_ids(kind, path)?,
        };
        Ok(found.map(|mut found| {
            found.sort_unstable();
            found.dedup();
            found
        }))
    }

    /// The ids that an access without joins leads to.
    fn plain_ids(&mut self, kind: RecordKind, access: &AccessPath) -> Result<Option<Vec<String>>> {
        let Some(mut ids) = Ids::open(self.view, kind, access, ScanDirection::Forward, None, self.left)? else {
            return Ok(None);
        };
        let mut found = Vec::new();
        while let Some(step) = ids.next()? {
            if !self.spend() {
                return Ok(None);
            }
            if let ScanStep::Id(id) = step {
                found.push(id);
            }
        }
        Ok(Some(found))
    }

    /// The ids of the records that a join leads to.
    fn joined(&mut self, kind: RecordKind, path: &JoinPath) -> Result<Option<Vec<String>>> {
        let mut found = Vec::new();
        for others in &path.others {
            let Some(ids) = self.ids(others.record.kind, &others.access)? else { return Ok(None) };
            for id in ids {
                let Some(record) = self.other(others, &id)? else { return Ok(None) };
                let Some(record) = record else { continue };
                let within = match path.along {
                    Along::Forwards(reference) => {
                        let mut within = true;
                        for name in join::names(&record) {
                            for origin in join::origins(reference) {
                                let range = keys::references_from(&name, kind, &reference.path, *origin);
                                within = within && self.referrers(range, &mut found)?;
                            }
                        }
                        within
                    }
                    Along::Backwards => self.targets(kind, &record, others, &mut found)?,
                };
                if !within {
                    return Ok(None);
                }
            }
        }
        Ok(Some(found))
    }

    /// Another record, if it is live and satisfies its predicate. The outer `None`: the budget does not suffice.
    #[allow(clippy::option_option)] // The one says that it was read, the other that it matches.
    fn other(&mut self, others: &Others, id: &str) -> Result<Option<Option<Bytes>>> {
        if !self.spend() {
            return Ok(None);
        }
        let Some(version) = self.view.version(others.record.kind, id)?.filter(Version::is_live) else {
            return Ok(Some(None));
        };
        let join = Join::new(self.view, self.budget as u64);
        let matches = others.record.predicate.matches(&version.record, &join);
        join.check()?;
        self.left = self.left.saturating_sub(join.reads());
        Ok(if join.is_exhausted() { None } else { Some(matches.then_some(version.record)) })
    }

    /// Adds the ids of the records that refer to another one. False if the budget does not suffice.
    fn referrers(&mut self, range: KeyRange, found: &mut Vec<String>) -> Result<bool> {
        for entry in self.view.scan(range, ScanDirection::Forward, KEYS_AT_ONCE.min(self.left + 1)) {
            if !self.spend() {
                return Ok(false);
            }
            found.push(keys::last_id(&entry?.0).to_owned());
        }
        Ok(true)
    }

    /// Adds the ids of the records that another one refers to. False if the budget does not suffice.
    fn targets(&mut self, kind: RecordKind, record: &[u8], others: &Others, found: &mut Vec<String>) -> Result<bool> {
        let mut names: Vec<RecordName> = Vec::new();
        for reference in &others.fields {
            wire::visit_values(record, &reference.path, &mut |value| names.extend(value.text().parse().ok()));
        }
        for name in names {
            if !self.spend() {
                return Ok(false);
            }
            found.extend(
                self.view.resolve(&name)?.filter(|found| found.name.kind() == kind).map(|found| found.name.id().to_owned()),
            );
        }
        Ok(true)
    }
}
