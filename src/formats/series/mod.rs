//! Series of numbers in tables and JSON of any form, as a mapping describes them.
//!
//! A mapping has two parts. Columns, of the file or made from them, contain texts. Records are messages of the contract written
//! in TOML, with columns in braces, so a mapping can express whatever the contract can. A value that uses a column without a
//! value is left out.
//!
//! Adjacent rows of one record are combined, for example the quantiles of a distribution.
//!
//! Must not know any single data set, or who applies the mutations.

mod columns;
mod input;
mod keys;
mod mapping;
mod rule;
mod tree;

use std::{collections::BTreeMap, io::Read, sync::Arc};

use serde_json::{Map, Value};

pub use keys::{MAPPING_KEYS, MappingError, MappingKey, MappingProblem, MappingTable, keys_table};
pub use mapping::SeriesMapping;

use self::{
    columns::{CellError, Cells, RawRow},
    input::RawRows,
    rule::{DraftRecord, merge},
};
use super::{
    format::{Format, FormatImporter, ImportInput},
    import::{ImportRow, ImportRowError, ImportRows, SeenKeys, mutation},
    json,
};
use crate::{
    model::RecordKind,
    proto::{self, Mutation, Upsert, mutation::Op},
};

/// Numbers from CSV or JSON of any shape, import only. A mapping says what the columns mean.
pub static FORMAT: Format = Format {
    name: "series",
    summary: "series of numbers in CSV or JSON, as a mapping describes them",
    page: "series/page.md",
    importer: Some(FormatImporter { needs_mapping: true, open }),
    exporter: None,
};

/// The rows of a file, read with a mapping. Combined rows have the number of the first.
///
/// ```
/// use annals::{
///     formats::series::{self, SeriesMapping},
///     proto::{CommitRequest, Estimate},
///     store::Store,
/// };
///
/// let mapping = SeriesMapping::parse(r#"
///     [file]
///     format = "csv"
///
///     [[source]]
///     label = "tally"
///     external_ids = ["example:tally"]
///     title = "A tally"
///
///     [[estimate]]
///     external_ids = ["example.tally:{day}"]
///     estimand.measure = "measure:visitors"
///     quantity = { unit = "1", best = "{visitors}" }
///     aspect = "INCREMENT"
///     mode = "COUNTED"
///     origin = "AS_REPORTED"
///     reference_time = "{day}"
///     attribution = [{ description = "the door" }]
///     citations = [{ source = "@tally" }]
/// "#)?;
/// let store = Store::in_memory()?;
/// for row in series::rows(mapping, "day,visitors\n2024-10-23,12\n2024-10-24,7\n".as_bytes()) {
///     let row = row?;
///     store.commit(CommitRequest::of(format!("tally-{}", row.number), [row.shared, row.own].concat()))?;
/// }
/// let second = store.get::<Estimate>("estimates/example-tally-2024-10-24")?;
/// assert_eq!(second.quantity.and_then(|quantity| quantity.best), Some(7.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rows(mapping: SeriesMapping, from: impl Read + Send + 'static) -> ImportRows {
    let mapping = Arc::new(mapping);
    let input = input::open(&mapping, from);
    Box::new(Series { mapping, input, open: None, waiting: None, seen: SeenKeys::default(), ended: false })
}

/// Like [`rows`], with the mapping as text.
fn open(input: ImportInput) -> Result<ImportRows, ImportRowError> {
    let mapping = SeriesMapping::parse(input.mapping.as_deref().unwrap_or_default());
    let mapping = mapping.map_err(|error| ImportRowError::whole(0, format!("the mapping is not valid:\n{error}")))?;
    Ok(rows(mapping, input.content))
}

struct Series {
    mapping: Arc<SeriesMapping>,
    input: RawRows,
    /// The last rows, to which the next row may belong.
    open: Option<Group>,
    /// The next row to return.
    waiting: Option<Result<ImportRow, ImportRowError>>,
    /// The names of returned records.
    seen: SeenKeys,
    ended: bool,
}

impl Iterator for Series {
    type Item = Result<ImportRow, ImportRowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(waiting) = self.waiting.take() {
                return Some(waiting);
            }
            if self.ended {
                return None;
            }
            match self.input.next() {
                None => {
                    self.ended = true;
                    self.waiting = self.close();
                }
                Some((_, Err(bad))) => return Some(Err(bad)),
                Some((number, Ok(raw))) => match self.drafts(number, &raw) {
                    Err(bad) => return Some(Err(bad)),
                    Ok((shared, own)) => {
                        if let Err(bad) = self.add(number, shared, own) {
                            return Some(Err(bad));
                        }
                    }
                },
            }
        }
    }
}

impl Series {
    /// The shared records and the own records of a row.
    fn drafts(&self, number: u64, raw: &RawRow) -> Result<(Vec<DraftRecord>, Vec<DraftRecord>), ImportRowError> {
        let bad = |CellError { column, reason }| ImportRowError::column(number, column, reason);
        let cells = Cells { raw, columns: &self.mapping.columns };
        let (mut names, mut shared, mut own) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (index, rule) in self.mapping.rules.iter().enumerate() {
            let Some(name) = rule.name(cells).map_err(bad)? else { continue };
            let record = rule.make(&name, cells, &names).map_err(bad)?;
            if !rule.label.is_empty() {
                names.insert(rule.label.as_str(), name.clone());
            }
            let made = DraftRecord { rule: index, name, record };
            if rule.is_shared() { shared.push(made) } else { own.push(made) }
        }
        Ok((shared, own))
    }

    /// Adds a row to the open group, or closes the group and opens another.
    fn add(&mut self, number: u64, shared: Vec<DraftRecord>, own: Vec<DraftRecord>) -> Result<(), ImportRowError> {
        if let Some(open) = self.open.as_mut().filter(|open| open.has_one_of(&own)) {
            return open.add(number, shared, own).map_err(|reason| ImportRowError::whole(number, reason));
        }
        for made in &own {
            if let Some(row) = self.seen.row(&made.name) {
                let reason = format!("{} was already made from row {row}: the rows of one record must be adjacent", made.name);
                return Err(ImportRowError::whole(number, reason));
            }
        }
        self.waiting = self.close();
        self.open = Some(Group::of(number, shared, own));
        Ok(())
    }

    /// Turns the open group into a row.
    fn close(&mut self) -> Option<Result<ImportRow, ImportRowError>> {
        let mut group = self.open.take()?;
        for made in &mut group.own {
            self.seen.insert(&made.name, group.first);
            sort_quantiles(&mut made.record);
        }
        let mutations = |made: &[DraftRecord]| made.iter().map(|made| self.mutation(made)).collect::<Result<Vec<_>, _>>();
        let row = mutations(&group.shared).and_then(|shared| {
            let own = mutations(&group.own)?;
            Ok(ImportRow { number: group.first, shared, own })
        });
        Some(row.map_err(|reason| ImportRowError::whole(group.first, group.rows() + &reason)))
    }

    /// The upsert of a record. An error names every violation of the rules of its type.
    fn mutation(&self, made: &DraftRecord) -> Result<Mutation, String> {
        let rule = self.mapping.rules.get(made.rule).ok_or("no such rule")?;
        let record = record(rule.kind, &made.record)?;
        let update_fields = rule.fields.clone();
        Ok(Op::Upsert(Upsert { record: Some(record), update_fields, create_only: rule.create_only }).into())
    }
}

/// A record from its JSON, checked against the rules of its type.
fn record(kind: RecordKind, fields: &Value) -> Result<proto::Record, String> {
    let wrapped = Value::Object(Map::from_iter([(kind.singular().to_owned(), fields.clone())]));
    let record: proto::Record = json::from_value(wrapped).map_err(|error| error.to_string())?;
    mutation::check(record.record.as_ref().ok_or("is empty")?)?;
    Ok(record)
}

/// The largest number of rows of one group. A distribution has some dozens of quantiles.
const ROWS_MAX: usize = 10_000;

/// Adjacent rows of one record.
#[derive(Debug)]
struct Group {
    first: u64,
    last: u64,
    rows: usize,
    shared: Vec<DraftRecord>,
    own: Vec<DraftRecord>,
}

impl Group {
    /// A group of one row.
    fn of(number: u64, shared: Vec<DraftRecord>, own: Vec<DraftRecord>) -> Self {
        Self { first: number, last: number, rows: 1, shared, own }
    }

    /// Whether a row has a record of the group.
    fn has_one_of(&self, own: &[DraftRecord]) -> bool {
        own.iter().any(|made| self.own.iter().any(|here| here.name == made.name))
    }

    /// Adds a row. A row that contradicts the group is an error and does not change the group.
    fn add(&mut self, number: u64, shared: Vec<DraftRecord>, own: Vec<DraftRecord>) -> Result<(), String> {
        if self.rows == ROWS_MAX {
            return Err(format!("one record can have at most {ROWS_MAX} rows, and this one begins at row {}", self.first));
        }
        let mut together = self.own.clone();
        for made in own {
            match together.iter_mut().find(|here| here.name == made.name) {
                Some(here) => merge(&mut here.record, made.record)
                    .map_err(|conflict| format!("{} is also made from row {}: {conflict}", made.name, self.first))?,
                None => together.push(made),
            }
        }
        self.own = together;
        for made in shared {
            if !self.shared.iter().any(|here| here.name == made.name && here.record == made.record) {
                self.shared.push(made);
            }
        }
        self.last = number;
        self.rows += 1;
        Ok(())
    }

    /// The numbers of the rows, for an error message. Empty for a single row.
    fn rows(&self) -> String {
        if self.first == self.last { String::new() } else { format!("rows {} to {} together: ", self.first, self.last) }
    }
}

/// Sorts the quantiles of a distribution. Rows may have them in any order.
fn sort_quantiles(estimate: &mut Value) {
    let p = |quantile: &Value| quantile.get("p").and_then(Value::as_f64).unwrap_or_default();
    if let Some(quantiles) = estimate.pointer_mut("/quantity/quantiles").and_then(Value::as_array_mut) {
        quantiles.sort_by(|one, other| p(one).total_cmp(&p(other)));
    }
}
