//! Reads one page of a list: runs a plan on a view.
//!
//! All pages of a list read the same revision. So a page passes only its position to the next one, which may use another plan.
//! The rows that are checked, the bytes and the time have limits. A page that reaches a limit ends there.
//!
//! Knows all parts of a query. Must not know the time, or which revision a caller wants.

use std::{
    collections::{BinaryHeap, VecDeque},
    ops::Bound,
};

use bytes::Bytes;

use super::{
    filter::RecordFilter,
    join::Join,
    order::Order,
    plan::{AccessPath, ByIndex, FEW, ListPlan, RowOrder, every_name},
    scan::{Ids, KeyScan, ScanStep},
    served::served,
    settle::settle,
    token::{self, Position},
};
use crate::{
    engine::ScanDirection,
    model::{RecordKind, Violation, ViolationKind},
    proto::{ChangeKind, ListRecordsRequest},
    store::{
        EncodedPage, StoreLimits,
        error::{Result, StoreError},
        keys::{self, UNSET},
        version::Version,
        view::View,
    },
};

/// Fewest rows fetched at once. The search for one more match, which shows that another page exists, may read many rows.
const FETCH_ROWS_MIN: usize = 8;
/// Most rows fetched at once.
const FETCH_ROWS_MAX: usize = 64;
/// Most bytes that the tag and length of a record take in a response.
const RECORD_OVERHEAD_BYTES: usize = 6;
/// Most bytes of a response and its page token, without the records and the position in the token.
const RESPONSE_OVERHEAD_BYTES: usize = 256;

/// Reads one page at the revision of the view. If the request has a page token, this must be the token's revision, and `at` is
/// the token's position. `deadline` is called once for each row and says whether the time is over: then the page ends early.
/// Each page gets further than the page before.
pub(crate) fn list(
    view: &View<'_>,
    kind: RecordKind,
    request: &ListRecordsRequest,
    at: Option<&Position>,
    limits: &StoreLimits,
    deadline: &dyn Fn() -> bool,
) -> Result<EncodedPage> {
    let page_size = page_size(request.page_size, limits)?;
    let mut filter = RecordFilter::parse_joined(kind, &request.filter, limits)?;
    let order = Order::parse(kind, &request.order_by, limits)?;
    filter.expand(view)?;
    let plan = settle(*view, kind, ListPlan::choose(kind, &filter, &order), limits.filter_reads)?;
    let join = Join::new(*view, limits.filter_reads);
    Reader { view: *view, kind, request, filter, join, order, page_size, at, limits, deadline }.read(&plan)
}

/// Describes the plan of a list, for people.
pub(crate) fn explain(kind: RecordKind, request: &ListRecordsRequest, limits: &StoreLimits) -> Result<String> {
    let filter = RecordFilter::parse_joined(kind, &request.filter, limits)?;
    let order = Order::parse(kind, &request.order_by, limits)?;
    Ok(format!("{}, ordered by {order}", ListPlan::choose(kind, &filter, &order)))
}

/// The number of records of a page, within the limits.
pub(crate) fn page_size(asked: i32, limits: &StoreLimits) -> Result<usize> {
    let size = match u64::try_from(asked) {
        Ok(0) => limits.page_size_default,
        Ok(size) => size.min(limits.page_size),
        Err(_) => {
            return Err(StoreError::field("page_size", format!("{asked} is negative: send 1 or more, or 0 for the default")));
        }
    };
    Ok(usize::try_from(size).unwrap_or(usize::MAX).max(1))
}

struct Reader<'r> {
    view: View<'r>,
    kind: RecordKind,
    request: &'r ListRecordsRequest,
    filter: RecordFilter,
    /// Follows the references that the filter goes through.
    join: Join<'r>,
    order: Order,
    page_size: usize,
    at: Option<&'r Position>,
    limits: &'r StoreLimits,
    deadline: &'r dyn Fn() -> bool,
}

/// A record that may match.
struct Row {
    /// Its position in the list: the sort key that it should have, and its id.
    position: Position,
    /// Its newest version, if it was read with the key.
    value: Option<Bytes>,
    /// Whether it may match. If false, the row only says which position was reached.
    wanted: bool,
}

/// Rows in the order of the list.
enum Rows<'v> {
    Names(KeyScan<'v>),
    Ids(Ids<'v>),
    Few(VecDeque<String>),
    Index(IndexRows<'v>),
}

/// Rows from an index that has the order of the list.
struct IndexRows<'v> {
    /// The entries with a time, then those without.
    sections: VecDeque<KeyScan<'v>>,
    /// The byte of a key where the time begins.
    start: usize,
    descending: bool,
}

/// A page that is being filled.
struct Filling {
    page: EncodedPage,
    bytes: usize,
}

impl<'r> Reader<'r> {
    fn read(&self, plan: &ListPlan) -> Result<EncodedPage> {
        match &plan.row_order {
            RowOrder::ByName => {
                let direction = if self.order.names_descending { ScanDirection::Backward } else { ScanDirection::Forward };
                let after = self.at.map(|at| at.id.as_str());
                self.fill(self.rows(&plan.access, direction, after)?)
            }
            RowOrder::ByIndex(by_index) => match self.few(&plan.access, by_index)? {
                Some(ids) => self.sort(Rows::Few(ids)),
                None => self.fill(Rows::Index(self.index_rows(by_index))),
            },
            RowOrder::Sorted => self.sort(self.rows(&plan.access, ScanDirection::Forward, None)?),
        }
    }

    /// Rows ordered by name, after the row of an id.
    fn rows(&self, access: &AccessPath, direction: ScanDirection, after: Option<&str>) -> Result<Rows<'r>> {
        let most = usize::try_from(self.limits.sort_rows).unwrap_or(usize::MAX);
        let all = every_name(self.kind);
        // If there are too many keys to collect, reading all records by name is not slower.
        let access = match access {
            AccessPath::Names { .. } => access,
            access => match Ids::open(self.view, self.kind, access, direction, after, most)? {
                Some(ids) => return Ok(Rows::Ids(ids)),
                None => &all,
            },
        };
        match access {
            AccessPath::Names { range, .. } => {
                Ok(Rows::Names(KeyScan::names(self.view, self.kind, range.clone(), direction, after)))
            }
            _ => Err(StoreError::internal("a scan by name is not one")),
        }
    }

    /// The ids that an access leads to, if they are few.
    fn few(&self, access: &AccessPath, by_index: &ByIndex) -> Result<Option<VecDeque<String>>> {
        let sorted = usize::try_from(self.limits.sort_rows).unwrap_or(usize::MAX);
        // Ids that are at hand cost nothing more, and the index may lead to many more records.
        let most = if matches!(access, AccessPath::Ids(_)) { sorted } else { FEW.min(sorted) };
        if !by_index.few_first {
            return Ok(None);
        }
        let Some(mut ids) = Ids::open(self.view, self.kind, access, ScanDirection::Forward, None, most)? else {
            return Ok(None);
        };
        let mut few = VecDeque::new();
        for _step in 0..=most {
            match ids.next()? {
                None => return Ok(Some(few)),
                Some(ScanStep::Id(id)) => few.push_back(id),
                Some(ScanStep::Nothing(_)) => {}
            }
        }
        Ok(None)
    }

    /// Rows from an index, after the position.
    fn index_rows(&self, by_index: &ByIndex) -> IndexRows<'r> {
        let prefix = by_index.prefix.as_slice();
        let descending = self.order.names_descending;
        let direction = if descending { ScanDirection::Backward } else { ScanDirection::Forward };
        let mut sections = VecDeque::from([KeyScan::range(self.view, prefix, by_index.times.clone(), direction)]);
        if by_index.unset {
            let unset = keys::prefix([prefix, &[UNSET]].concat());
            sections.push_back(KeyScan::range(self.view, prefix, unset, direction));
        }
        if let Some(at) = self.at {
            let part = turned(&at.key, descending);
            if part.first() == Some(&UNSET) {
                sections.pop_front();
            }
            if let Some(first) = sections.front_mut() {
                first.skip_to(Bound::Excluded(keys::entry_under(&[prefix, &part].concat(), &at.id)));
            }
        }
        IndexRows { sections, start: prefix.len(), descending }
    }

    /// Fills a page with the matching rows. The rows have the order of the list.
    fn fill(&self, mut rows: Rows<'r>) -> Result<EncodedPage> {
        let mut filling =
            Filling { page: EncodedPage { revision: self.view.revision.cast_signed(), ..EncodedPage::default() }, bytes: 0 };
        let mut reached = self.at.cloned().unwrap_or_default();
        let mut looked = 0u64;
        loop {
            // One row more than the page lacks: it tells whether another page exists.
            let lacking = self.page_size.saturating_sub(filling.page.records.len()).saturating_add(1);
            let fetched = self.fetch(&mut rows, lacking.clamp(FETCH_ROWS_MIN, FETCH_ROWS_MAX))?;
            if fetched.is_empty() {
                return Ok(filling.page);
            }
            for (row, value) in fetched {
                if looked > 0 && (looked >= self.limits.scan_rows || (self.deadline)()) {
                    return Ok(self.close(filling, &reached));
                }
                if let Some(value) = value {
                    let matching = self.matching(&row.position.id, &value)?;
                    if self.join.is_exhausted() {
                        // The next page begins with this record, and may read as much again.
                        return if looked > 0 { Ok(self.close(filling, &reached)) } else { Err(self.too_many_reads()) };
                    }
                    if let Some(record) = matching
                        && self.order.key(&record) == row.position.key
                        && !filling.add(record, &row.position, self)
                    {
                        return Ok(self.close(filling, &reached));
                    }
                }
                looked += 1;
                reached = row.position;
            }
        }
    }

    /// Sorts the matching rows, which come in any order, and fills a page with those after the position. Keeps at most one page
    /// of them in memory.
    fn sort(&self, mut rows: Rows<'r>) -> Result<EncodedPage> {
        let behind = self.at.map(|at| self.order.total_key(&at.key, &at.id));
        let mut matches = 0u64;
        let mut kept: BinaryHeap<(Vec<u8>, Position)> = BinaryHeap::new();
        loop {
            let fetched = self.fetch(&mut rows, FETCH_ROWS_MAX)?;
            if fetched.is_empty() {
                break;
            }
            for (row, value) in fetched {
                let Some(value) = value else { continue };
                let matching = self.matching(&row.position.id, &value)?;
                if self.join.is_exhausted() {
                    return Err(self.too_many_reads());
                }
                let Some(record) = matching else { continue };
                matches += 1;
                if matches > self.limits.sort_rows {
                    return Err(self.too_many(matches));
                }
                let key = self.order.key(&record);
                let total = self.order.total_key(&key, &row.position.id);
                if behind.as_ref().is_none_or(|behind| total > *behind) {
                    kept.push((total, Position { key, id: row.position.id }));
                    if kept.len() > self.page_size.saturating_add(1) {
                        kept.pop();
                    }
                }
            }
        }
        let mut filling =
            Filling { page: EncodedPage { revision: self.view.revision.cast_signed(), ..EncodedPage::default() }, bytes: 0 };
        let mut reached = self.at.cloned().unwrap_or_default();
        for (_, position) in kept.into_sorted_vec() {
            // It was found above, and the records at a revision do not change.
            let Some(version) = self.view.version(self.kind, &position.id)? else { continue };
            if !filling.add(version.record, &position, self) {
                return Ok(self.close(filling, &reached));
            }
            reached = position;
        }
        Ok(filling.page)
    }

    /// Takes up to `count` rows, and reads the newest version of each row that may match.
    fn fetch(&self, rows: &mut Rows<'r>, count: usize) -> Result<Vec<(Row, Option<Bytes>)>> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some(row) = rows.next()?
        {
            taken.push(row);
        }
        let missing = |row: &&Row| row.wanted && row.value.is_none();
        let wanted: Vec<_> = taken.iter().filter(missing).map(|row| keys::current(self.kind, &row.position.id)).collect();
        let mut values = if wanted.is_empty() { Vec::new() } else { self.view.state.get_many(&wanted)? }.into_iter();
        let with_value = |mut row: Row| {
            let value = if missing(&&row) { values.next().flatten() } else { row.value.take() };
            (row, value)
        };
        Ok(taken.into_iter().map(with_value).collect())
    }

    /// The record at the revision of the view, if it is listed and the filter matches.
    fn matching(&self, id: &str, value: &Bytes) -> Result<Option<Bytes>> {
        let version = self.view.version_in(self.kind, id, value)?;
        let matches =
            |version: &Version| self.is_listed(version) && self.filter.predicate().matches(&version.record, &self.join);
        let found = version.filter(matches).map(|found| found.record);
        self.join.check()?;
        Ok(found)
    }

    /// Whether a version is listed. Redirects and erased records never are.
    fn is_listed(&self, version: &Version) -> bool {
        version.is_live() || self.request.show_deleted && version.change == ChangeKind::Deleted
    }

    fn close(&self, mut filling: Filling, reached: &Position) -> EncodedPage {
        filling.page.next_page_token = token::encode(self.kind, self.request, self.view.revision, reached);
        filling.page
    }

    /// The error for a filter that must read too many other records before a page can end.
    fn too_many_reads(&self) -> StoreError {
        let limit = self.limits.filter_reads();
        let (maximum, collection) = (limit.maximum, self.kind.collection());
        StoreError::from(Violation {
            field: "filter".to_owned(),
            description: format!(
                "more than {maximum} other records must be read to test {collection} by what they refer to or by what refers to \
                 them: add with AND a comparison of a field of the {collection} that an index serves, or of the other records; \
                 for an order that no index serves, leave order_by out"
            ),
            kind: ViolationKind::Limit { limit: limit.name, maximum, actual: maximum.saturating_add(1) },
        })
    }

    fn too_many(&self, actual: u64) -> StoreError {
        let orders: Vec<_> = served(self.kind).into_iter().filter_map(|index| index.order).collect();
        let limit = self.limits.sort_rows();
        let maximum = limit.maximum;
        let collection = self.kind.collection();
        StoreError::from(Violation {
            field: "order_by".to_owned(),
            description: format!(
                "no index serves the order {}, and more than {maximum} {collection} match, too many to sort: narrow the filter, \
                 or use one of these orders: {}",
                self.order,
                orders.join("; ")
            ),
            kind: ViolationKind::Limit { limit: limit.name, maximum, actual },
        })
    }
}

impl Filling {
    /// Adds a record. False if the page is full. The first record always fits, because a record is smaller than a response.
    fn add(&mut self, record: Bytes, position: &Position, reader: &Reader<'_>) -> bool {
        let records = &mut self.page.records;
        let bytes = self.bytes + record.len() + RECORD_OVERHEAD_BYTES;
        let token = RESPONSE_OVERHEAD_BYTES + 2 * (position.key.len() + position.id.len());
        let fits = (bytes + token) as u64 <= reader.limits.response_bytes;
        if records.len() == reader.page_size || !fits && !records.is_empty() {
            return false;
        }
        records.push(record);
        self.bytes = bytes;
        true
    }
}

impl Rows<'_> {
    fn next(&mut self) -> Result<Option<Row>> {
        let by_name = |id: String, value, wanted| Row { position: Position { key: Vec::new(), id }, value, wanted };
        Ok(match self {
            Self::Names(keys) => keys.next()?.map(|(key, value)| by_name(keys::current_id(&key).to_owned(), Some(value), true)),
            Self::Ids(ids) => ids.next()?.map(|step| match step {
                ScanStep::Id(id) => by_name(id, None, true),
                ScanStep::Nothing(id) => by_name(id, None, false),
            }),
            Self::Few(ids) => ids.pop_front().map(|id| by_name(id, None, true)),
            Self::Index(rows) => rows.next()?,
        })
    }
}

impl IndexRows<'_> {
    fn next(&mut self) -> Result<Option<Row>> {
        while let Some(section) = self.sections.front_mut() {
            if let Some((key, _)) = section.next()? {
                let part = keys::time_part_at(&key, self.start).unwrap_or_default();
                let position = Position { key: turned(part, self.descending), id: keys::last_id(&key).to_owned() };
                return Ok(Some(Row { position, value: None, wanted: true }));
            }
            self.sections.pop_front();
        }
        Ok(None)
    }
}

/// Converts a time between its form in an index and its form in a sort key with this direction.
fn turned(part: &[u8], descending: bool) -> Vec<u8> {
    part.iter().enumerate().map(|(at, byte)| if descending && at > 0 { !byte } else { *byte }).collect()
}
