//! Series of numbers in tables and JSON of any shape, as a mapping of their reader's own says.
//!
//! A mapping has two halves. Columns, of the file or made from them, hold texts. Records are messages of the contract written in TOML,
//! with columns in braces; so whatever the contract can say, a mapping can. What a column without a value stands in is left out.
//!
//! Rows that stand one behind the other and speak of the same record are put together, as the quantiles of a distribution.
//!
//! Knows mappings and the contract's descriptors. Must not know any one data set, or who applies what rows make.

mod cells;
mod column;
mod condition;
mod group;
mod input;
mod keys;
mod leaf;
mod mapping;
mod merge;
mod problem;
mod rule;
mod text;
mod tree;

use std::{collections::BTreeMap, io::Read, sync::Arc};

use serde_json::{Map, Value};

pub use keys::{KEYS, Key, Table, keys_table};
pub use mapping::Mapping;
pub use problem::{MappingError, Problem};

use self::{
    cells::{Cells, Fault, Raw},
    group::{Group, sort_quantiles},
    input::Input,
    rule::Made,
};
use super::{
    import::{BadRow, Row, Rows, Seen, format, rules},
    json,
};
use crate::{
    model::RecordKind,
    proto::{self, Mutation, Upsert, mutation::Op},
};

/// The rows of a file, by a mapping. The number of a row that was put together is that of its first.
///
/// ```
/// use annals::{
///     formats::series::{self, Mapping},
///     proto::{CommitRequest, Estimate},
///     store::Store,
/// };
///
/// let mapping = Mapping::parse(r#"
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
pub fn rows(mapping: Mapping, from: impl Read + Send + 'static) -> Rows {
    let mapping = Arc::new(mapping);
    let input = input::open(&mapping, from);
    Box::new(Series { mapping, input, open: None, waiting: None, seen: Seen::default(), ended: false })
}

/// As [`rows`], with the mapping as text.
pub(super) fn open(input: format::Input) -> Result<Rows, BadRow> {
    let mapping = Mapping::parse(input.mapping.as_deref().unwrap_or_default());
    let mapping = mapping.map_err(|error| BadRow::whole(0, format!("the mapping does not hold:\n{error}")))?;
    Ok(rows(mapping, input.content))
}

struct Series {
    mapping: Arc<Mapping>,
    input: Input,
    /// What the last rows say, to which the next may add.
    open: Option<Group>,
    /// What is to be handed out next.
    waiting: Option<Result<Row, BadRow>>,
    /// The records that were handed out.
    seen: Seen,
    ended: bool,
}

impl Iterator for Series {
    type Item = Result<Row, BadRow>;

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
                Some((number, Ok(raw))) => match self.made(number, &raw) {
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
    /// What a row makes: what is shared, and what is its own.
    fn made(&self, number: u64, raw: &Raw) -> Result<(Vec<Made>, Vec<Made>), BadRow> {
        let bad = |Fault { column, reason }| BadRow::column(number, column, reason);
        let cells = Cells { raw, columns: &self.mapping.columns };
        let (mut names, mut shared, mut own) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (index, rule) in self.mapping.rules.iter().enumerate() {
            let Some(name) = rule.name(cells).map_err(bad)? else { continue };
            let record = rule.make(&name, cells, &names).map_err(bad)?;
            if !rule.label.is_empty() {
                names.insert(rule.label.as_str(), name.clone());
            }
            let made = Made { rule: index, name, record };
            if rule.is_shared() { shared.push(made) } else { own.push(made) }
        }
        Ok((shared, own))
    }

    /// Adds a row to those before it, or lets these go.
    fn add(&mut self, number: u64, shared: Vec<Made>, own: Vec<Made>) -> Result<(), BadRow> {
        if let Some(open) = self.open.as_mut().filter(|open| open.has_one_of(&own)) {
            return open.add(number, shared, own).map_err(|reason| BadRow::whole(number, reason));
        }
        for made in &own {
            if let Some(row) = self.seen.row(&made.name) {
                let reason = format!("{} was made of row {row}: rows of one record stand one behind the other", made.name);
                return Err(BadRow::whole(number, reason));
            }
        }
        self.waiting = self.close();
        self.open = Some(Group::of(number, shared, own));
        Ok(())
    }

    /// Turns what is open into a row.
    fn close(&mut self) -> Option<Result<Row, BadRow>> {
        let mut group = self.open.take()?;
        for made in &mut group.own {
            self.seen.insert(&made.name, group.first);
            sort_quantiles(&mut made.record);
        }
        let mutations = |made: &[Made]| made.iter().map(|made| self.mutation(made)).collect::<Result<Vec<_>, _>>();
        let row = mutations(&group.shared).and_then(|shared| {
            let own = mutations(&group.own)?;
            Ok(Row { number: group.first, shared, own })
        });
        Some(row.map_err(|reason| BadRow::whole(group.first, group.rows() + &reason)))
    }

    /// The upsert of a record. The error says every rule that the record breaks by itself.
    fn mutation(&self, made: &Made) -> Result<Mutation, String> {
        let rule = self.mapping.rules.get(made.rule).ok_or("no such rule")?;
        let record = record(rule.kind, &made.record)?;
        let update_fields = rule.fields.clone();
        Ok(Op::Upsert(Upsert { record: Some(record), update_fields, create_only: rule.create_only }).into())
    }
}

/// A record from its JSON, if it keeps the rules.
fn record(kind: RecordKind, fields: &Value) -> Result<proto::Record, String> {
    let wrapped = Value::Object(Map::from_iter([(kind.singular().to_owned(), fields.clone())]));
    let record: proto::Record = json::from_value(wrapped).map_err(|error| error.to_string())?;
    rules::check(record.record.as_ref().ok_or("is empty")?)?;
    Ok(record)
}
