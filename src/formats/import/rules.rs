//! The rules that a record breaks by itself, told before it is sent, with the row that made it.
//!
//! Knows the model's check. Must not know any one rule.

use crate::{
    model::{self, Path, Violations},
    proto::record::Record,
};

/// Holds a record against the rules. The error names every one that it breaks.
pub(in crate::formats) fn check(record: &Record) -> Result<(), String> {
    let mut completed = record.clone();
    model::resource_mut(&mut completed).complete();
    let mut violations = Violations::default();
    let root = Path::ROOT;
    let at = root.field(model::kind_of(record).singular());
    model::check(&completed, &model::encode(&completed), &at, &mut violations);
    if violations.is_empty() {
        return Ok(());
    }
    let said = violations.as_slice().iter().map(|violation| format!("{} {}", violation.field, violation.description));
    Err(said.collect::<Vec<_>>().join("; "))
}
