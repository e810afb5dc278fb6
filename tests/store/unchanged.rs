//! What was read and is sent back unchanged is unchanged, also after a merge of what it refers to; and an unmerge gives back what
//! was.

use annals::{proto, store::Store};

use crate::support::{actor, commit, event, get, kinds, store};

const ESTIMATE: &str = r#"{"create": {"estimate": {"name": "estimates/n", "estimand": {"measure": "measure:x", "subjects": ["actors/a"]},
    "quantity": {"unit": "1", "best": 3}, "aspect": "ASPECT_LEVEL", "mode": "ESTIMATE_MODE_COUNTED",
    "origin": "ESTIMATE_ORIGIN_CODED", "attribution": [{"description": "x"}], "citations": [{"source": "sources/s"}]}}}"#;

fn source(id: &str) -> String {
    format!(r#"{{"create": {{"source": {{"name": "sources/{id}", "kind": "SOURCE_KIND_REPORT"}}}}}}"#)
}

fn claim(id: &str) -> String {
    format!(
        r#"{{"create": {{"claim": {{"name": "claims/{id}", "statement": "{id}", "kind": "CLAIM_KIND_FACT", "polarity": "POLARITY_AFFIRMED",
            "about": ["events/e", "actors/a", "claims/c0"], "condition": "events/e", "attribution": [{{"actors": ["actors/a", "actors/b"]}}],
            "citations": [{{"source": "sources/s", "quote": "q"}}], "ratings": [{{"code": "x:y", "assessor": "actors/a"}}]}}}}}}"#
    )
}

/// A store with a record of each type that refers to records of each type.
fn linked() -> Store {
    let store = store();
    let relation = r#"{"create": {"relation": {"name": "relations/r", "kind": "RELATION_KIND_CAUSES", "subject": "events/e", "object": "events/f",
        "asserted_by": "actors/a", "citations": [{"source": "sources/s"}]}}}"#;
    let publication = r#"{"create": {"source": {"name": "sources/p", "kind": "SOURCE_KIND_REPORT", "publisher": "actors/a",
        "authors": ["actors/b", "actors/a"], "part_of": "sources/s", "derived_from": "sources/s2"}}}"#;
    let member = r#"{"create": {"actor": {"name": "actors/m", "display_name": "m", "affiliations": [{"actor": "actors/a"}]}}}"#;
    let plain_claim = r#"{"create": {"claim": {"name": "claims/c0", "statement": "s", "kind": "CLAIM_KIND_FACT", "polarity": "POLARITY_AFFIRMED",
        "attribution": [{"description": "x"}], "citations": [{"source": "sources/s"}]}}}"#;
    let all = [
        actor("a"),
        actor("b"),
        member.to_owned(),
        source("s"),
        source("s2"),
        publication.to_owned(),
        event("f", ""),
        event(
            "e",
            r#", "participants": [{"actor": "actors/a", "role": "PARTICIPANT_ROLE_INITIATOR", "associated_with": "actors/b"}, {"actor": "actors/b"}],
            "links": [{"event": "events/f", "kind": "EVENT_LINK_KIND_FOLLOWS"}]"#,
        ),
        plain_claim.to_owned(),
        claim("c"),
        ESTIMATE.to_owned(),
        relation.to_owned(),
    ];
    commit(&store, &all.join(",")).unwrap();
    store
}

const LINKED: [&str; 7] = ["sources/p", "actors/m", "events/e", "claims/c", "estimates/n", "relations/r", "claims/c0"];

/// Merges every record that the others refer to into a new one.
const MERGES: [(&str, &str); 6] = [
    ("actors/a", "actors/b"),
    ("sources/s", "sources/new"),
    ("sources/s2", "sources/new"),
    ("events/e", "events/new"),
    ("events/f", "events/new"),
    ("claims/c0", "claims/c"),
];

fn read(store: &Store, name: &str) -> proto::Record {
    store.at(0).unwrap().batch_get([name]).unwrap().remove(0).unwrap()
}

fn send(store: &Store, mutation: proto::Mutation) -> Vec<String> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let request = proto::CommitRequest::of(format!("sent-{}", NEXT.fetch_add(1, Ordering::Relaxed)), [mutation]);
    kinds(&store.commit(request).unwrap())
}

/// Sends back what was read: all fields, the set fields, and as upserts.
fn check_unchanged(store: &Store, name: &str) {
    let record = read(store, name);
    let unchanged = [format!("UNCHANGED {name}")];
    assert_eq!(send(store, proto::Mutation::update(record.clone())), unchanged);
    assert_eq!(send(store, proto::Mutation::upsert(record.clone())), unchanged);
    let update_fields = vec!["*".to_owned()];
    let update = proto::Update { record: Some(record.clone()), update_fields: update_fields.clone(), if_revision: 0 };
    assert_eq!(send(store, proto::mutation::Op::Update(update).into()), unchanged);
    let upsert = proto::Upsert { record: Some(record), update_fields, create_only: false };
    assert_eq!(send(store, proto::mutation::Op::Upsert(upsert).into()), unchanged);
}

fn merge(store: &Store, name: &str, into: &str) {
    commit(store, &format!(r#"{{"merge": {{"name": "{name}", "into": "{into}"}}}}"#)).unwrap();
}

#[test]
fn what_was_read_before_or_after_a_merge_is_unchanged_when_it_is_sent_back() {
    let store = linked();
    commit(&store, &[source("new"), event("new", "")].join(",")).unwrap();
    for (name, into) in MERGES {
        merge(&store, name, into);
        for name in LINKED.into_iter().filter(|name| !["events/e", "claims/c0"].contains(name)) {
            check_unchanged(&store, name);
        }
    }
    for (name, _) in MERGES.into_iter().rev() {
        commit(&store, &format!(r#"{{"unmerge": {{"name": "{name}"}}}}"#)).unwrap();
    }
    let again = linked();
    for name in LINKED {
        let said = |store: &Store| {
            format!("{:?}", read(store, name))
                .split(", ")
                .filter(|field| !field.contains("revision") && !field.contains("seconds") && !field.contains("nanos"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(said(&store), said(&again), "an unmerge gives everything back");
    }
}

#[test]
fn an_element_is_kept_by_any_name_of_its_records_and_a_changed_one_keeps_its_stored_names() {
    let store = store();
    let participants = r#", "participants": [{"actor": "actors/a", "side": "SIDE_A", "role": "PARTICIPANT_ROLE_INITIATOR"}, {"actor": "actors/b"}]"#;
    let participants = participants.replace(r#""side": "SIDE_A", "#, "");
    commit(&store, &[actor("a"), actor("b"), actor("c"), event("e", &participants)].join(",")).unwrap();
    merge(&store, "actors/a", "actors/b");
    let set = |participants: &str| {
        let record = format!(r#"{{"event": {{"name": "events/e", "participants": [{participants}]}}}}"#);
        let kind = kinds(&commit(&store, &format!(r#"{{"update": {{"record": {record}}}}}"#)).unwrap()).remove(0);
        let stored = get::<proto::Event>(&store, "events/e").unwrap().participants;
        let names: Vec<_> =
            stored.iter().map(|participant| participant.actor.trim_start_matches("actors/").to_owned()).collect();
        format!("{} {}", kind.split(' ').next().unwrap(), names.join(" "))
    };
    let role = |name: &str| format!(r#"{{"actor": "actors/{name}", "role": "PARTICIPANT_ROLE_INITIATOR"}}"#);
    let plain = |name: &str| format!(r#"{{"actor": "actors/{name}"}}"#);
    assert_eq!(set(&[role("b"), plain("b")].join(",")), "UNCHANGED a b");
    assert_eq!(set(&[role("b"), plain("a")].join(",")), "UNCHANGED a b");
    assert_eq!(set(&[plain("b"), role("a")].join(",")), "UPDATED b a", "another order");
    assert_eq!(set(&[plain("a"), plain("c")].join(",")), "UPDATED b c", "the one that is left is the same participant");
    assert_eq!(set(&[plain("a"), plain("c")].join(",")), "UNCHANGED b c");
    assert_eq!(set(&[role("a"), plain("c")].join(",")), "UPDATED b c", "what is new has the name now");
}

#[test]
fn a_deleted_record_comes_back_as_it_was_though_what_it_refers_to_was_merged_since() {
    let store = linked();
    let before = read(&store, "estimates/n");
    commit(&store, r#"{"delete": {"name": "estimates/n"}}"#).unwrap();
    merge(&store, "actors/a", "actors/b");
    let revision = commit(&store, r#"{"undelete": {"name": "estimates/n"}}"#).unwrap().revision;
    assert_eq!(store.get_commit(revision).unwrap().changes[0].changed_fields, ["delete_time"]);
    let (proto::record::Record::Estimate(before), proto::record::Record::Estimate(after)) =
        (before.record.unwrap(), read(&store, "estimates/n").record.unwrap())
    else {
        panic!("estimates")
    };
    assert_eq!(before.estimand, after.estimand);
}

#[test]
fn a_merged_record_comes_back_as_it_was_though_what_it_refers_to_was_merged_since() {
    let store = linked();
    merge(&store, "events/e", "events/f");
    merge(&store, "actors/a", "actors/b");
    commit(&store, r#"{"unmerge": {"name": "events/e"}}"#).unwrap();
    assert_eq!(get::<proto::Event>(&store, "events/e").unwrap().participants[0].actor, "actors/a");
    check_unchanged(&store, "events/e");
    merge(&store, "events/e", "events/f");
    check_unchanged(&store, "relations/r");
}
