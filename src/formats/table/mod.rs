//! Tables of coded data sets: the code that UCDP, GDELT and ACLED share.
//!
//! Must not know any single table, or who calls it.

mod file;
mod layout;
mod row;

use std::io::BufRead;

pub(crate) use self::{file::TableWriter, row::TableRow};
pub use layout::{ColumnTarget, TableColumn, TableDialect, TableLayout};
pub(crate) use layout::{
    RecordRemainder, RowRemainder, annotation, code_of, code_value, codes_of, id_label, label, metric, number, number_text,
    text,
};

use super::import::{ImportRow, ImportRowError, ImportRows};
use crate::proto::{
    Aspect, Attribution, AttributionRole, Citation, Estimand, Estimate, EstimateMode, EstimateOrigin, Quantity, SpeechMode,
};

/// The rows of a table. `row` converts each.
pub(crate) fn rows(
    content: Box<dyn BufRead + Send>,
    layout: &'static TableLayout,
    row: fn(&TableRow<'_>) -> Result<ImportRow, ImportRowError>,
) -> Result<ImportRows, ImportRowError> {
    let table = file::TableReader::open(content, layout)?;
    Ok(Box::new(table.map(move |cells| row(&TableRow::new(layout, &cells?)))))
}

/// The fields that an import of [`fatalities`] sets. Other fields do not change.
pub(crate) const ESTIMATE_FIELDS: &[&str] =
    &["external_ids", "estimand", "quantity", "aspect", "mode", "origin", "attribution", "citations"];

/// The estimate of the fatalities of an event, in one population or, if `population` is empty, in all. `event` is the event's
/// label in the commit. The caller sets name and external ids.
pub(crate) fn fatalities(
    event: &str,
    population: &str,
    quantity: Quantity,
    attribution: Vec<Attribution>,
    citation: Citation,
) -> Estimate {
    Estimate {
        estimand: Some(Estimand {
            measure: "measure:fatalities".into(),
            subjects: vec![format!("@{event}")],
            population: population.to_owned(),
            ..Default::default()
        }),
        quantity: Some(Quantity { unit: "1".into(), ..quantity }),
        aspect: Aspect::Cumulative.into(),
        mode: EstimateMode::Estimated.into(),
        origin: EstimateOrigin::Coded.into(),
        attribution,
        citations: vec![citation],
        ..Default::default()
    }
}

/// The attribution of a coded row: first the one named in it, with this role, if anybody is named; then the coder.
pub(crate) fn attribution(named: &str, role: AttributionRole, coder: &str) -> Vec<Attribution> {
    let named =
        (!named.is_empty()).then(|| Attribution { description: named.to_owned(), role: role.into(), ..Default::default() });
    let coder = Attribution {
        actors: vec![coder.to_owned()],
        role: AttributionRole::Coder.into(),
        mode: SpeechMode::Data.into(),
        ..Default::default()
    };
    named.into_iter().chain([coder]).collect()
}
