//! Countries and known groups by their codes in CAMEO: the actors of GDELT that are the same wherever they are named.
//!
//! GDELT's other actors are words and roles ("PRESIDENT", "GOV"), which stand for somebody else in every event.
//!
//! Knows CAMEO's lists. Must not know events.

use std::{collections::HashMap, sync::LazyLock};

use crate::proto::{Actor, ActorKind};

const COUNTRIES: &str = include_str!("cameo/country.tsv");
const GROUPS: &str = include_str!("cameo/group.tsv");

/// The actor that a code stands for by itself, if it does.
pub(super) fn actor(code: &str) -> Option<Actor> {
    static LISTS: LazyLock<HashMap<&str, (&str, ActorKind)>> = LazyLock::new(|| {
        let list = |text: &'static str, kind| text.lines().skip(1).filter_map(move |line| Some((line.split_once('\t')?, kind)));
        let both = list(GROUPS, ActorKind::Organization).chain(list(COUNTRIES, ActorKind::Unspecified));
        both.map(|((code, name), kind)| (code, (name.trim(), kind))).collect()
    });
    let (name, kind) = LISTS.get(code)?;
    Some(Actor {
        name: format!("actors/cameo-{}", code.to_ascii_lowercase()),
        external_ids: vec![format!("cameo.actor:{code}")],
        display_name: (*name).to_owned(),
        kind: (*kind).into(),
        types: vec![format!("cameo.actor:{code}")],
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_and_groups_are_actors_and_roles_are_not() {
        let name = |code: &str| actor(code).map(|actor| actor.display_name);
        assert_eq!(name("USA").as_deref(), Some("United States"));
        assert_eq!(name("UNO").as_deref(), Some("United Nations"));
        assert_eq!(name("GOV"), None);
        assert_eq!(name("CODE"), None);
    }
}
