//! Attribution: the hops from whoever said it to where it was read.
//!
//! Knows `Attribution`. Must not know what was said, nor count origins.

use super::{Path, Violations, time};
use crate::proto::Attribution;

/// Sets the bounds of the times at which the hops said it.
pub(super) fn complete(hops: &mut [Attribution]) {
    hops.iter_mut().filter_map(|hop| hop.said_at.as_mut()).for_each(time::complete);
}

/// Reports hops that nobody makes (V4) and their times.
pub(super) fn check_all(hops: &[Attribution], at: &Path<'_>, violations: &mut Violations) {
    let at = at.field("attribution");
    for (index, hop) in hops.iter().enumerate() {
        let at = at.index(index);
        if hop.actors.is_empty() && hop.description.is_empty() {
            violations.invalid(&at, "names nobody: a hop has actors, or a description such as \"reports\"");
        }
        time::check_field(hop.said_at.as_ref(), "said_at", &at, violations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::TimeSpec;

    #[test]
    fn v4_a_hop_has_actors_or_a_description() {
        let hops = [
            Attribution { actors: vec!["actors/a".into()], ..Default::default() },
            Attribution { description: "reports".into(), ..Default::default() },
            Attribution { cue: "said".into(), ..Default::default() },
            Attribution {
                description: "some".into(),
                said_at: Some(TimeSpec { edtf: "then".into(), ..Default::default() }),
                ..Default::default()
            },
        ];
        let mut violations = Violations::default();
        check_all(&hops, &Path::ROOT, &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["attribution[2]", "attribution[3].said_at.edtf"]);
    }
}
