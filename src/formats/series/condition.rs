//! Of which rows a record, or a case of it, is made.
//!
//! Knows columns and their values. Must not know records.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    cells::{Cells, Fault},
    problem::Problems,
};

/// What columns have to hold, all of them.
#[derive(Debug, Default)]
pub(super) struct Condition {
    columns: Vec<(String, Wanted)>,
}

#[derive(Debug)]
enum Wanted {
    /// A value, or none.
    There(bool),
    /// One of these.
    OneOf(Vec<String>),
}

impl Condition {
    /// Reads what stands behind `when`.
    pub(super) fn read(value: &Spanned<DeValue<'_>>, at: &str, problems: &mut Problems<'_>) -> Self {
        let mut condition = Self::default();
        let empty = DeTable::new();
        let table = value.get_ref().as_table().unwrap_or_else(|| {
            problems.add(value.span(), at, "is a table of columns: write it in { }");
            &empty
        });
        for (column, wanted) in table {
            let texts = match wanted.get_ref() {
                DeValue::Boolean(there) => {
                    condition.columns.push((column.get_ref().to_string(), Wanted::There(*there)));
                    continue;
                }
                DeValue::Array(list) => list.iter().map(|element| text(element.get_ref())).collect(),
                single => text(single).map(|text| vec![text]),
            };
            if let Some(texts) = texts {
                condition.columns.push((column.get_ref().to_string(), Wanted::OneOf(texts)));
            } else {
                let at = format!("{at}.{}", column.get_ref());
                problems.add(wanted.span(), at, "is true, false, a text, a number, or a list of these");
            }
        }
        condition
    }

    /// The columns that it looks at.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(column, _)| column.as_str())
    }

    /// Whether it holds of a row.
    pub(super) fn holds(&self, cells: Cells<'_>) -> Result<bool, Fault> {
        for (column, wanted) in &self.columns {
            let value = cells.get(column)?;
            let holds = match wanted {
                Wanted::There(there) => value.is_some() == *there,
                Wanted::OneOf(texts) => value.is_some_and(|value| texts.contains(&value)),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}
