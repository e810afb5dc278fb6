//! References: which kinds of record a field may refer to, where its annotation alone does not say.
//!
//! The annotation's own target, and whether the record is there, is for the store; that a reference is a name at all is looked
//! at with all texts. Knows names. Must not know records.

use super::{Path, RecordKind, Violations, violation::quoted};

/// The kind of record that a reference names, judged by its collection.
pub(super) fn kind(reference: &str) -> Option<RecordKind> {
    let (collection, _) = reference.split_once('/')?;
    RecordKind::from_collection(collection)
}

/// Reports a reference to a record of another kind than these. One that is unset or no name is reported elsewhere.
pub(super) fn check_kind(reference: &str, allowed: &[RecordKind], at: &Path<'_>, violations: &mut Violations) {
    if let Some(kind) = kind(reference)
        && !allowed.contains(&kind)
    {
        let allowed: Vec<_> = allowed.iter().map(|kind| kind.collection()).collect();
        violations.invalid(at, format!("{} is a {}: refer to {}", quoted(reference), kind.singular(), allowed.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_that_of_the_collection() {
        assert_eq!(kind("events/e1"), Some(RecordKind::Event));
        assert_eq!(kind("things/e1"), None);
        assert_eq!(kind("events"), None);
        assert_eq!(kind(""), None);
    }
}
