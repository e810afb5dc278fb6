//! GDELT 2.0: events that a machine read in the news, and the mentions of them in documents.
//!
//! This module has what the two tables share: documents, and the actors in CAMEO's lists. GDELT's other actors are words and
//! roles ("PRESIDENT", "GOV"), which mean a different person in every event.
//!
//! Must not know files, or who sends the mutations.

pub mod events;
pub mod mentions;

use std::{collections::HashMap, sync::LazyLock};

use jiff::civil::DateTime;
use prost_types::Timestamp;

use super::{table::TableRow, values};
use crate::proto::{Actor, ActorKind, Source};

/// The name of the event with this id.
fn event_name(id: &str) -> String {
    format!("events/gdelt-{id}")
}

/// The source of a document. Both tables make the same source from the same document.
fn document(identifier: &str, read_at: Option<DateTime>) -> Source {
    let id = values::digest(&[identifier]);
    Source {
        name: format!("sources/gdelt-doc-{id}"),
        external_ids: vec![format!("gdelt.doc:{id}")],
        uri: identifier.to_owned(),
        retrieve_time: read_at.and_then(timestamp),
        ..Default::default()
    }
}

/// The time in a cell, such as 20150218230000.
fn time(line: &TableRow<'_>, column: &str) -> Option<DateTime> {
    let text = line.needed(column);
    let time = (text.len() == 14).then(|| DateTime::strptime("%Y%m%d%H%M%S", text).ok()).flatten();
    if time.is_none() {
        line.fault(column, format!("\"{text}\" is not a time such as 20150218230000"));
    }
    time
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Timestamp { seconds, nanos: 0 })
}

const COUNTRIES: &str = include_str!("cameo/country.tsv");
const GROUPS: &str = include_str!("cameo/group.tsv");

/// The actor that a CAMEO code always means: a country or a known group. `None` if the code means none.
fn actor(code: &str) -> Option<Actor> {
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
