//! What rows of coded data sets have in common: who says it, and how many are said to have died.
//!
//! Knows attribution and estimates. Must not know any one table.

use crate::proto::{
    Aspect, Attribution, AttributionRole, Citation, Estimand, Estimate, EstimateMode, EstimateOrigin, Quantity, SpeechMode,
};

/// What [`fatalities`] has of a row: an import sets these fields, and leaves the others to whoever wrote them.
pub(crate) const ESTIMATE_FIELDS: &[&str] =
    &["external_ids", "estimand", "quantity", "aspect", "mode", "origin", "attribution", "citations"];

/// The dead of an event, which is called by its label; of one population, or of all where that is empty. Its name and external ids are
/// the table's.
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

/// Who is named in the row, in the role that the table gives them, and then who coded it. No name, no hop.
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
