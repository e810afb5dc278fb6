//! Event: something said to have happened, to be happening, planned or possible.
//!
//! Knows `Event`: its rules, links and indexes. Must not know what is claimed of it.

use prost::Message as _;

use super::{
    Chain, Index, Link, Part, Path, RecordKind, Resource, ResourceType, Violations, attribution, citation, code,
    header::Header, participant, place, rating, text, time,
};
use crate::proto::{self, EventLinkKind, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType =
    ResourceType { kind: RecordKind::Event, indexes: INDEXES, decode: |bytes| proto::Event::decode(bytes).map(Record::Event) };

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "12: which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "11: events by region, country code or tag of a data set" },
    Index { number: 3, parts: &[Part::Exact("types")], serves: "11: events by type" },
    Index { number: 4, parts: &[Part::Time("time.earliest")], serves: "11: events by time, and in its order" },
    Index { number: 5, parts: &[Part::Exact("places.country")], serves: "11: events by place" },
];

impl Resource for proto::Event {
    fn complete(&mut self) {
        self.time.iter_mut().for_each(time::complete);
        attribution::complete(&mut self.attribution);
        rating::complete(&mut self.ratings);
    }

    fn check(&self, at: &Path<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        text::check_title(&self.title, &at.field("title"), violations);
        code::check_all(&self.types, &at.field("types"), violations);
        time::check_field(self.time.as_ref(), "time", at, violations);
        for (index, place) in self.places.iter().enumerate() {
            place::check(place, &at.field("places").index(index), violations);
        }
        participant::check_all(&self.participants, at, violations);
        citation::check_all(&self.citations, at, violations);
        attribution::check_all(&self.attribution, at, violations);
        rating::check_all(&self.ratings, at, violations);
    }

    fn links(&self) -> Vec<Link<'_>> {
        self.links
            .iter()
            .enumerate()
            .filter(|(_, link)| link.kind() == EventLinkKind::PartOf)
            .map(|(index, link)| Link { chain: Chain::EventPartOf, field: "links[].event", index, from: "", to: &link.event })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::proto::{Attribution, Citation, Event, EventLink, Participant, Place, Rating, TimeSpec};

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
}
