//! Actor: a person, organisation or group that acts or speaks.
//!
//! Knows `Actor`: its rules, links and indexes. Must not know what an actor did or said.

use prost::Message as _;

use super::{
    FieldPath, IndexPart, LinkChain, RecordIndex, RecordKind, RecordLink, Resource, ResourceType, Violations, code,
    header::Header, place, rating, text, time,
};
use crate::proto::{self, ActorName, Affiliation, AffiliationRole, record::Record};

/// The type, as the store uses it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: RecordKind::Actor,
    indexes: INDEXES,
    joined: &[],
    decode: |bytes| proto::Actor::decode(bytes).map(Record::Actor),
};

const INDEXES: &[RecordIndex] = &[
    RecordIndex { number: 1, parts: &[IndexPart::Exact("external_ids")], serves: "the record with this external id" },
    RecordIndex { number: 2, parts: &[IndexPart::Exact("labels")], serves: "actors by tag" },
    RecordIndex { number: 3, parts: &[IndexPart::Exact("types")], serves: "actors by their code in a data set" },
    RecordIndex {
        number: 4,
        parts: &[IndexPart::Words("name_tokens", &["display_name", "names.text"])],
        serves: "actors by words of their names",
    },
];

impl Resource for proto::Actor {
    fn complete(&mut self) {
        self.names.iter_mut().filter_map(|name| name.valid.as_mut()).for_each(time::complete);
        self.affiliations.iter_mut().filter_map(|affiliation| affiliation.valid.as_mut()).for_each(time::complete);
        rating::complete(&mut self.ratings);
    }

    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        text::check_display_name(&self.display_name, &at.field("display_name"), violations);
        check_names(&self.names, &at.field("names"), violations);
        check_affiliations(&self.affiliations, &at.field("affiliations"), violations);
        for (index, country) in self.countries.iter().enumerate() {
            check_listed_country(country, &at.field("countries").index(index), violations);
        }
        code::check_all(&self.types, &at.field("types"), violations);
        rating::check_all(&self.ratings, at, violations);
    }

    fn links(&self) -> Vec<RecordLink<'_>> {
        self.affiliations
            .iter()
            .enumerate()
            .filter(|(_, affiliation)| affiliation.role() == AffiliationRole::PartOf)
            .map(|(index, affiliation)| RecordLink {
                chain: LinkChain::ActorPartOf,
                field: "affiliations[].actor",
                index,
                from: "",
                to: &affiliation.actor,
            })
            .collect()
    }
}

fn check_names(names: &[ActorName], at: &FieldPath<'_>, violations: &mut Violations) {
    for (index, name) in names.iter().enumerate() {
        let at = at.index(index);
        text::check_display_name(&name.text, &at.field("text"), violations);
        text::check_language(&name.language, &at.field("language"), violations);
        time::check_field(name.valid.as_ref(), "valid", &at, violations);
    }
}

fn check_affiliations(affiliations: &[Affiliation], at: &FieldPath<'_>, violations: &mut Violations) {
    for (index, affiliation) in affiliations.iter().enumerate() {
        let at = at.index(index);
        text::check_title(&affiliation.title, &at.field("title"), violations);
        time::check_field(affiliation.valid.as_ref(), "valid", &at, violations);
    }
}

/// Reports an element that is empty or not a country. A list has no use for an empty element, unlike a field that may be unset.
fn check_listed_country(country: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if country.is_empty() {
        violations.invalid(at, "is empty: write an ISO 3166-1 alpha-3 code");
    }
    place::check_country(country, at, violations);
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::proto::{Actor, Rating, TimeSpec};

    fn check(change: impl FnOnce(&mut Actor), expect: &[&str]) {
        let mut actor = Actor { display_name: "NIS".into(), ..Default::default() };
        change(&mut actor);
        testing::check(actor, expect);
    }

    #[test]
    fn a_display_name_is_required_in_nfc_of_at_most_512_characters() {
        check(|_| {}, &[]);
        check(|actor| actor.display_name.clear(), &["display_name"]);
        for blank in [" ", " \u{a0}\t", "\u{200b}\u{feff}", "\u{3000}\u{3164}"] {
            check(|actor| actor.display_name = blank.into(), &["display_name"]);
        }
        check(|actor| actor.display_name = "\u{200f}א".into(), &[]);
        check(|actor| actor.display_name = "Zoe\u{308}".into(), &["display_name"]);
        check(|actor| actor.display_name = "n".repeat(513), &["display_name"]);
    }

    #[test]
    fn other_names_have_a_text_in_nfc_a_language_and_a_time() {
        let name = |change: fn(&mut ActorName)| {
            let mut name = ActorName { text: "폭풍군단".into(), ..Default::default() };
            change(&mut name);
            move |actor: &mut Actor| actor.names = vec![ActorName { text: "Storm Corps".into(), ..Default::default() }, name]
        };
        check(name(|_| {}), &[]);
        check(name(|name| name.text.clear()), &["names[1].text"]);
        check(name(|name| name.text = "\u{1111}\u{1169}".into()), &["names[1].text"]);
        check(name(|name| name.language = "korean language".into()), &["names[1].language"]);
        check(
            name(|name| name.valid = Some(TimeSpec { edtf: "2024/2023".into(), ..Default::default() })),
            &["names[1].valid.edtf"],
        );
    }

    #[test]
    fn affiliations_have_an_actor_and_a_time() {
        let affiliation = |change: fn(&mut Affiliation)| {
            let mut affiliation = Affiliation { actor: "actors/a".into(), ..Default::default() };
            change(&mut affiliation);
            move |actor: &mut Actor| actor.affiliations = vec![affiliation]
        };
        check(affiliation(|_| {}), &[]);
        check(affiliation(|affiliation| affiliation.actor.clear()), &["affiliations[0].actor"]);
        check(affiliation(|affiliation| affiliation.actor = "a".into()), &["affiliations[0].actor"]);
        check(affiliation(|affiliation| affiliation.title = "t".repeat(513)), &["affiliations[0].title"]);
        check(
            affiliation(|affiliation| affiliation.valid = Some(TimeSpec { edtf: "x".into(), ..Default::default() })),
            &["affiliations[0].valid.edtf"],
        );
    }

    #[test]
    fn countries_types_and_ratings_are_checked() {
        check(|actor| actor.countries = vec!["KOR".into(), "KR".into(), String::new()], &["countries[1]", "countries[2]"]);
        check(|actor| actor.types = vec!["cameo.type:MIL".into(), "MIL".into()], &["types[1]"]);
        check(|actor| actor.ratings = vec![Rating { code: "B".into(), ..Default::default() }], &["ratings[0].code"]);
    }

    #[test]
    fn only_affiliations_part_of_are_links() {
        let affiliation =
            |actor: &str, role: AffiliationRole| Affiliation { actor: actor.into(), role: role.into(), ..Default::default() };
        let actor = Actor {
            affiliations: vec![
                affiliation("actors/a", AffiliationRole::MemberOf),
                affiliation("actors/b", AffiliationRole::PartOf),
            ],
            ..Default::default()
        };
        let links = actor.links();
        assert_eq!(links.len(), 1);
        assert_eq!((links[0].path().as_str(), links[0].to), ("affiliations[1].actor", "actors/b"));
    }
}
