//! The rules that a record breaks by itself, reported before it is sent, with the row that made it.
//!
//! Must not know any one rule.

use crate::{
    model::{self, Path},
    proto::record::Record,
};

/// Checks a record as a commit does. The error names every rule that it breaks.
pub(in crate::formats) fn check(record: &Record) -> Result<(), String> {
    let root = Path::ROOT;
    let violations = model::check_record(record.clone(), &root.field(model::kind_of(record).singular())).violations;
    if violations.is_empty() {
        return Ok(());
    }
    let broken = violations.as_slice().iter().map(|violation| format!("{} {}", violation.field, violation.description));
    Err(broken.collect::<Vec<_>>().join("; "))
}
