//! Participants: who took part in an event, and how.
//!
//! Knows `Participant`. Must not know what happened.

use super::{Path, Violations, code, place};
use crate::proto::Participant;

/// Reports participants of whom nothing is said, and codes and places of the wrong form.
pub(super) fn check_all(participants: &[Participant], at: &Path<'_>, violations: &mut Violations) {
    let at = at.field("participants");
    for (index, participant) in participants.iter().enumerate() {
        let at = at.index(index);
        if is_nobody(participant) {
            violations.invalid(&at, "is nobody: set actor, codes, verbatim, associated_with or place");
        }
        code::check_all(&participant.codes, &at.field("codes"), violations);
        if let Some(place) = &participant.place {
            place::check(place, &at.field("place"), violations);
        }
    }
}

/// A role alone is no participant. Data sets know some only by a code, a name that they do not resolve, or where they were.
fn is_nobody(participant: &Participant) -> bool {
    participant.actor.is_empty()
        && participant.codes.is_empty()
        && participant.verbatim.is_empty()
        && participant.associated_with.is_empty()
        && participant.place.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ParticipantRole, Place};

    fn check(change: impl FnOnce(&mut Participant), expect: &[&str]) {
        let mut participant = Participant { role: ParticipantRole::Party.into(), side: "a".into(), ..Default::default() };
        change(&mut participant);
        let mut violations = Violations::default();
        check_all(&[participant], &Path::ROOT, &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, expect);
    }

    #[test]
    fn a_participant_is_somebody_if_only_by_a_code_a_word_or_a_place() {
        check(|_| {}, &["participants[0]"]);
        check(|participant| participant.actor = "actors/a".into(), &[]);
        check(|participant| participant.codes = vec!["cameo.type:MIL".into()], &[]);
        check(|participant| participant.verbatim = "KIWI".into(), &[]);
        check(|participant| participant.associated_with = "actors/a".into(), &[]);
        check(|participant| participant.place = Some(Place::default()), &[]);
    }

    #[test]
    fn codes_and_place_are_checked() {
        check(|participant| participant.codes = vec!["MIL".into()], &["participants[0].codes[0]"]);
        check(
            |participant| participant.place = Some(Place { country: "XX".into(), ..Default::default() }),
            &["participants[0].place.country"],
        );
    }
}
