//! Event: something said to have happened, to be happening, planned or possible.
//!
//! Knows `Event`: its rules, links and indexes. Must not know what is claimed about an event.

use prost::Message as _;

use super::{
    FieldPath, IndexPart, LinkChain, RecordIndex, RecordKind, RecordLink, Resource, ResourceType, Violations, citation, code,
    header::Header, place, rating, text, time,
};
use crate::proto::{self, EventLinkKind, Participant, record::Record};

/// The type, as the store uses it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: RecordKind::Event,
    indexes: INDEXES,
    joined: &[],
    decode: |bytes| proto::Event::decode(bytes).map(Record::Event),
};

const INDEXES: &[RecordIndex] = &[
    RecordIndex { number: 1, parts: &[IndexPart::Exact("external_ids")], serves: "the record with this external id" },
    RecordIndex {
        number: 2,
        parts: &[IndexPart::Exact("labels")],
        serves: "events by region, country code or tag of a data set",
    },
    RecordIndex { number: 3, parts: &[IndexPart::Exact("types")], serves: "events by type" },
    RecordIndex { number: 4, parts: &[IndexPart::Time("time.earliest")], serves: "events by time, and in the order of time" },
    RecordIndex { number: 5, parts: &[IndexPart::Exact("places.country")], serves: "events by country" },
];

impl Resource for proto::Event {
    fn complete(&mut self) {
        self.time.iter_mut().for_each(time::complete);
        citation::complete_attribution(&mut self.attribution);
        rating::complete(&mut self.ratings);
    }

    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        text::check_title(&self.title, &at.field("title"), violations);
        code::check_all(&self.types, &at.field("types"), violations);
        time::check_field(self.time.as_ref(), "time", at, violations);
        for (index, place) in self.places.iter().enumerate() {
            place::check(place, &at.field("places").index(index), violations);
        }
        check_participants(&self.participants, at, violations);
        citation::check_all(&self.citations, at, violations);
        citation::check_attribution(&self.attribution, at, violations);
        rating::check_all(&self.ratings, at, violations);
    }

    fn links(&self) -> Vec<RecordLink<'_>> {
        self.links
            .iter()
            .enumerate()
            .filter(|(_, link)| link.kind() == EventLinkKind::PartOf)
            .map(|(index, link)| RecordLink {
                chain: LinkChain::EventPartOf,
                field: "links[].event",
                index,
                from: "",
                to: &link.event,
            })
            .collect()
    }
}

/// Reports participants that identify nobody, and codes and places of the wrong form.
fn check_participants(participants: &[Participant], at: &FieldPath<'_>, violations: &mut Violations) {
    let at = at.field("participants");
    for (index, participant) in participants.iter().enumerate() {
        let at = at.index(index);
        if is_nobody(participant) {
            violations.invalid(&at, "identifies nobody: set actor, codes, verbatim, associated_with or place");
        }
        code::check_all(&participant.codes, &at.field("codes"), violations);
        if let Some(place) = &participant.place {
            place::check(place, &at.field("place"), violations);
        }
    }
}

/// A role alone does not identify a participant. Data sets know some participants only by a code, an unresolved name, or a
/// place.
fn is_nobody(participant: &Participant) -> bool {
    participant.actor.is_empty()
        && participant.codes.is_empty()
        && participant.verbatim.is_empty()
        && participant.associated_with.is_empty()
        && participant.place.is_none()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::proto::{Attribution, Citation, Event, EventLink, ParticipantRole, Place, Rating, TimeSpec};

    fn check(change: impl FnOnce(&mut Event), expect: &[&str]) {
        let mut event = testing::event();
        change(&mut event);
        testing::check(event, expect);
    }

    #[test]
    fn a_title_is_1_to_512_characters() {
        check(|_| {}, &[]);
        check(|event| event.title.clear(), &["title"]);
        check(|event| event.title = "폭".repeat(512), &[]);
        check(|event| event.title = "폭".repeat(513), &["title"]);
    }

    #[test]
    fn actuality_may_be_unspecified_but_not_unknown() {
        check(|event| event.actuality = 0, &[]);
        check(|event| event.actuality = 6, &[]);
        check(|event| event.actuality = 7, &["actuality"]);
        check(|event| event.actuality = -1, &["actuality"]);
    }

    #[test]
    fn every_value_is_checked_where_it_stands() {
        check(|event| event.types = vec!["cameo:190".into(), "190".into()], &["types[1]"]);
        check(|event| event.time = Some(TimeSpec { edtf: "soon".into(), ..Default::default() }), &["time.edtf"]);
        let nowhere = Place { latitude: Some(1.0), ..Default::default() };
        check(|event| event.places = vec![Place::default(), nowhere.clone()], &["places[1].longitude"]);
        check(|event| event.participants = vec![Participant::default()], &["participants[0]"]);
        check(|event| event.citations = vec![Citation::default()], &["citations[0].source"]);
        check(|event| event.attribution = vec![Attribution::default()], &["attribution[0]"]);
        check(|event| event.ratings = vec![Rating::default()], &["ratings[0].code"]);
        check(|event| event.links = vec![EventLink::default()], &["links[0].event"]);
    }

    #[test]
    fn only_links_part_of_are_links_of_a_chain() {
        let link = |event: &str, kind: EventLinkKind| EventLink { event: event.into(), kind: kind.into() };
        let event = Event {
            links: vec![link("events/a", EventLinkKind::Follows), link("events/b", EventLinkKind::PartOf)],
            ..Default::default()
        };
        let links = Resource::links(&event);
        assert_eq!(links.len(), 1);
        assert_eq!((links[0].path().as_str(), links[0].to), ("links[1].event", "events/b"));
    }

    fn check_participant(change: impl FnOnce(&mut Participant), expect: &[&str]) {
        let mut participant = Participant { role: ParticipantRole::Party.into(), side: "a".into(), ..Default::default() };
        change(&mut participant);
        let mut violations = Violations::default();
        check_participants(&[participant], &FieldPath::ROOT, &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, expect);
    }

    #[test]
    fn a_participant_is_somebody_if_only_by_a_code_a_word_or_a_place() {
        check_participant(|_| {}, &["participants[0]"]);
        check_participant(|participant| participant.actor = "actors/a".into(), &[]);
        check_participant(|participant| participant.codes = vec!["cameo.type:MIL".into()], &[]);
        check_participant(|participant| participant.verbatim = "KIWI".into(), &[]);
        check_participant(|participant| participant.associated_with = "actors/a".into(), &[]);
        check_participant(|participant| participant.place = Some(Place::default()), &[]);
    }

    #[test]
    fn codes_and_place_are_checked() {
        check_participant(|participant| participant.codes = vec!["MIL".into()], &["participants[0].codes[0]"]);
        check_participant(
            |participant| participant.place = Some(Place { country: "XX".into(), ..Default::default() }),
            &["participants[0].place.country"],
        );
    }
}
