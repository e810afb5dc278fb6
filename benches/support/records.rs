//! The stored records: events with two types, two participants, a place, a time and an external id, and the actors that the
//! events name.
//!
//! Event number n is always the same. Times, external ids and participants are random, so that the keys of one event are far
//! apart in the state. Types and countries come from short lists, as in real data sets.
#![allow(dead_code)] // Each benchmark uses its part.

use annals::proto::{
    self, Actor, ActorKind, CommitRequest, Event, ListRecordsRequest, Mutation, Participant, ParticipantRole, Place,
    PlacePrecision, TimeSpec, mutation::Op, record::Record,
};
use fastrand::Rng;

const TYPES: [&str; 20] = [
    "cameo:010",
    "cameo:036",
    "cameo:042",
    "cameo:051",
    "cameo:057",
    "cameo:073",
    "cameo:111",
    "cameo:112",
    "cameo:130",
    "cameo:141",
    "cameo:145",
    "cameo:163",
    "cameo:173",
    "cameo:180",
    "cameo:183",
    "cameo:190",
    "cameo:193",
    "cameo:194",
    "cameo:195",
    "cameo:203",
];
const COUNTRIES: [(&str, &str); 12] = [
    ("AFG", "Kandahar"),
    ("COL", "Cauca"),
    ("ETH", "Amhara"),
    ("IRQ", "Ninawa"),
    ("MLI", "Mopti"),
    ("MMR", "Sagaing"),
    ("NGA", "Borno"),
    ("PHL", "Maguindanao"),
    ("SOM", "Lower Shabelle"),
    ("SYR", "Idlib"),
    ("UKR", "Donetsk"),
    ("YEM", "Taizz"),
];

/// Number of events per actor.
const EVENTS_PER_ACTOR: u64 = 100;

/// The number of actors for a number of events.
pub(crate) fn actors(events: u64) -> u64 {
    (events / EVENTS_PER_ACTOR).max(EVENTS_PER_ACTOR)
}

/// The name of an actor.
pub(crate) fn actor_name(number: u64) -> String {
    format!("actors/group-{number:06}")
}

/// An actor.
pub(crate) fn actor(number: u64) -> Actor {
    Actor {
        name: actor_name(number),
        display_name: format!("Armed group number {number}"),
        kind: ActorKind::ArmedGroup.into(),
        external_ids: vec![format!("bench:actor-{number}")],
        ..Actor::default()
    }
}

/// Event number `number`. Its participants are chosen from this many actors.
pub(crate) fn event(number: u64, actors: u64) -> Event {
    let mut rng = Rng::with_seed(number);
    let (country, region) = COUNTRIES[rng.usize(..COUNTRIES.len())];
    let (first, second) = (rng.usize(..TYPES.len() / 2), rng.usize(TYPES.len() / 2..TYPES.len()));
    let participant = |number: u64, role: ParticipantRole| Participant {
        actor: actor_name(number),
        role: role.into(),
        ..Participant::default()
    };
    Event {
        external_ids: vec![format!("bench:{:016x}", rng.u64(..))],
        title: format!("Fighting reported near {region}, incident {number}"),
        description:
            "Clashes with small arms and mortars were reported in the morning hours; residents left for the next town. \
                      Neither side gave figures, and the road to the north was closed until the evening."
                .into(),
        types: vec![TYPES[first].into(), TYPES[second].into()],
        actuality: proto::Actuality::Occurred.into(),
        time: Some(TimeSpec {
            edtf: format!("{}-{:02}-{:02}", rng.u32(1989..2026), rng.u32(1..=12), rng.u32(1..=28)),
            ..TimeSpec::default()
        }),
        places: vec![Place {
            display_name: format!("{region}, {country}"),
            country: country.into(),
            admin: vec![region.into()],
            latitude: Some(f64::from(rng.i32(-60_0000..60_0000)) / 10_000.0),
            longitude: Some(f64::from(rng.i32(-180_0000..180_0000)) / 10_000.0),
            precision: PlacePrecision::Admin1.into(),
            ..Place::default()
        }],
        participants: vec![
            participant(rng.u64(..actors), ParticipantRole::Initiator),
            participant(rng.u64(..actors), ParticipantRole::Recipient),
        ],
        ..Event::default()
    }
}

/// A commit that creates records.
pub(crate) fn commit(records: impl IntoIterator<Item = Record>) -> CommitRequest {
    let mutation = |record| Mutation { op: Some(Op::Create(proto::Record { record: Some(record) })), ..Mutation::default() };
    CommitRequest {
        // Random, like a client's UUID.
        request_id: format!("{:032x}", fastrand::u128(..)),
        mutations: records.into_iter().map(mutation).collect(),
        ..CommitRequest::default()
    }
}

/// A commit that writes one record, whether it exists or not.
pub(crate) fn write(request_id: String, record: Record) -> CommitRequest {
    CommitRequest::of(request_id, [Mutation::upsert(proto::Record { record: Some(record) })])
}

/// The first 50 events in which an actor takes part, found through the index.
pub(crate) fn list(actor: u64) -> ListRecordsRequest {
    ListRecordsRequest {
        page_size: 50,
        filter: format!("participants.actor = \"{}\"", actor_name(actor)),
        ..ListRecordsRequest::default()
    }
}
