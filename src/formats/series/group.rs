//! Rows that stand one behind the other and speak of one record, put together.
//!
//! Knows records in proto3 JSON. Must not know columns.

use serde_json::Value;

use super::{merge::merge, rule::Made};

/// Rows that may be put together: a distribution has some dozens of quantiles.
const ROWS_MAX: usize = 10_000;

/// What adjacent rows say together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) first: u64,
    pub(super) last: u64,
    rows: usize,
    pub(super) shared: Vec<Made>,
    pub(super) own: Vec<Made>,
}

impl Group {
    /// Of one row.
    pub(super) fn of(number: u64, shared: Vec<Made>, own: Vec<Made>) -> Self {
        Self { first: number, last: number, rows: 1, shared, own }
    }

    /// Whether a row speaks of a record that is here.
    pub(super) fn has_one_of(&self, own: &[Made]) -> bool {
        own.iter().any(|made| self.own.iter().any(|here| here.name == made.name))
    }

    /// Adds what another row says. Where it contradicts what is here, nothing is added.
    pub(super) fn add(&mut self, number: u64, shared: Vec<Made>, own: Vec<Made>) -> Result<(), String> {
        if self.rows == ROWS_MAX {
            return Err(format!("row {} and {ROWS_MAX} others are of one record already", self.first));
        }
        let mut together = self.own.clone();
        for made in own {
            match together.iter_mut().find(|here| here.name == made.name) {
                Some(here) => merge(&mut here.record, made.record)
                    .map_err(|conflict| format!("{conflict} in {}, of which row {} speaks, too", made.name, self.first))?,
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

    /// The rows, for people.
    pub(super) fn rows(&self) -> String {
        if self.first == self.last { String::new() } else { format!("rows {} to {} together: ", self.first, self.last) }
    }
}

/// Puts the quantiles of a distribution in order: rows may have them in any.
pub(super) fn sort_quantiles(estimate: &mut Value) {
    let p = |quantile: &Value| quantile.get("p").and_then(Value::as_f64).unwrap_or_default();
    if let Some(quantiles) = estimate.pointer_mut("/quantity/quantiles").and_then(Value::as_array_mut) {
        quantiles.sort_by(|one, other| p(one).total_cmp(&p(other)));
    }
}
