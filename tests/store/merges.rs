//! Merges: redirects, what moves and what stays, what forbids a merge, and unmerges.

use annals::{model::RecordKind, proto};

use crate::support::{actor, commit, event, get, kinds, reason, store};

fn with_ids(id: &str, external_ids: &str) -> String {
    format!(r#"{{"create": {{"actor": {{"name": "actors/{id}", "display_name": "{id}", "external_ids": [{external_ids}]}}}}}}"#)
}

fn merge(name: &str, into: &str) -> String {
    format!(r#"{{"merge": {{"name": "actors/{name}", "into": "actors/{into}"}}}}"#)
}

fn unmerge(name: &str) -> String {
    format!(r#"{{"unmerge": {{"name": "actors/{name}"}}}}"#)
}

#[test]
fn a_merged_name_redirects_and_its_external_ids_move() {
    let store = store();
    commit(
        &store,
        &format!(
            "{},{},{}",
            with_ids("a", r#""x:1""#),
            with_ids("b", r#""x:2""#),
            event("e", r#", "participants": [{"actor": "actors/a"}]"#)
        ),
    )
    .unwrap();
    let response = commit(&store, &merge("a", "b")).unwrap();
    assert_eq!(kinds(&response), ["MERGED actors/b"], "the result names what it was merged into");
    let read: proto::Actor = get(&store, "actors/a").unwrap();
    assert_eq!(
        (read.name.as_str(), read.merged_names, read.external_ids),
        ("actors/b", vec!["actors/a".into()], vec!["x:2".into(), "x:1".into()])
    );
    assert_eq!(
        get::<proto::Event>(&store, "events/e").unwrap().participants[0].actor,
        "actors/a",
        "history still says what was said"
    );
    let whole = store.get_commit(2).unwrap();
    let said: Vec<_> = whole
        .changes
        .iter()
        .map(|change| (change.name.as_str(), change.kind().as_str_name(), change.redirect_target.as_str()))
        .collect();
    assert_eq!(said, [("actors/a", "CHANGE_KIND_MERGED", "actors/b"), ("actors/b", "CHANGE_KIND_UPDATED", "")]);
    let request = proto::GetRecordRequest { name: "actors/a".into(), no_redirect: true, ..Default::default() };
    assert_eq!(reason(store.get_encoded(RecordKind::Actor, &request)), "RECORD_REDIRECTED");
    let before = proto::GetRecordRequest { name: "actors/a".into(), as_of_revision: 1, ..Default::default() };
    let before = <proto::Actor as prost::Message>::decode(store.get_encoded(RecordKind::Actor, &before).unwrap()).unwrap();
    assert_eq!(before.name, "actors/a");
    assert_eq!(
        kinds(&commit(&store, r#"{"upsert": {"record": {"actor": {"display_name": "b", "external_ids": ["x:1"]}}}}"#).unwrap()),
        ["UNCHANGED actors/b"]
    );
}

#[test]
fn merging_into_a_redirect_merges_into_its_target_and_chains_are_followed() {
    let store = store();
    commit(&store, &["a", "b", "c", "d"].map(actor).join(",")).unwrap();
    commit(&store, &merge("a", "b")).unwrap();
    commit(&store, &merge("b", "c")).unwrap();
    commit(&store, &merge("d", "a")).unwrap();
    let read: proto::Actor = get(&store, "actors/a").unwrap();
    assert_eq!(
        (read.name.as_str(), read.merged_names),
        ("actors/c", vec!["actors/b".into(), "actors/a".into(), "actors/d".into()])
    );
    assert_eq!(kinds(&commit(&store, &merge("a", "c")).unwrap()), ["UNCHANGED actors/a"]);
    assert_eq!(reason(commit(&store, &merge("c", "a"))), "FIELD_INVALID");
    assert_eq!(
        reason(commit(&store, r#"{"update": {"record": {"actor": {"name": "actors/a", "display_name": "x"}}}}"#)),
        "RECORD_REDIRECTED"
    );
}

#[test]
fn unmerge_gives_back_the_record_and_the_ids_that_are_still_there() {
    let store = store();
    commit(&store, &format!("{},{}", with_ids("a", r#""x:1", "x:3""#), with_ids("b", r#""x:2""#))).unwrap();
    commit(&store, &merge("a", "b")).unwrap();
    commit(&store, r#"{"update": {"record": {"actor": {"name": "actors/b", "external_ids": ["x:1", "x:2"]}}}}"#).unwrap();
    let response = commit(&store, r#"{"unmerge": {"name": "actors/a"}}"#).unwrap();
    assert_eq!(kinds(&response), ["UNMERGED actors/a"]);
    let (a, b): (proto::Actor, proto::Actor) = (get(&store, "actors/a").unwrap(), get(&store, "actors/b").unwrap());
    assert_eq!((a.external_ids, a.display_name.as_str()), (vec!["x:1".to_owned()], "a"));
    assert_eq!((b.external_ids, b.merged_names.len()), (vec!["x:2".to_owned()], 0));
}

#[test]
fn a_judgement_that_two_are_not_the_same_vetoes_their_merge_until_it_is_revoked() {
    let store = store();
    let relation = r#"{"create": {"relation": {"name": "relations/r", "kind": "RELATION_KIND_NOT_SAME_AS", "subject": "actors/b", "object": "actors/a"}}}"#;
    commit(&store, &format!("{},{},{relation}", actor("a"), actor("b"))).unwrap();
    let error = commit(&store, &merge("a", "b")).unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_MERGE_VETOED");
    assert!(error.metadata.contains(&("relation", "relations/r".into())), "{error:?}");
    assert_eq!(reason(commit(&store, &merge("b", "a"))), "MERGE_VETOED");
    commit(&store, r#"{"update": {"record": {"relation": {"name": "relations/r", "revoked": true}}}}"#).unwrap();
    assert!(commit(&store, &merge("a", "b")).is_ok());
}

#[test]
fn a_veto_against_a_name_that_was_merged_since_counts() {
    let store = store();
    commit(&store, &["a", "b", "c"].map(actor).join(",")).unwrap();
    let relation =
        r#"{"create": {"relation": {"kind": "RELATION_KIND_NOT_SAME_AS", "subject": "actors/a", "object": "actors/b"}}}"#;
    commit(&store, relation).unwrap();
    commit(&store, &merge("a", "c")).unwrap();
    assert_eq!(reason(commit(&store, &merge("c", "b"))), "MERGE_VETOED", "c is a now");
}

#[test]
fn a_record_that_redirects_point_to_may_be_deleted_and_reading_them_says_so() {
    let store = store();
    commit(&store, &["a", "b"].map(actor).join(",")).unwrap();
    commit(&store, &merge("a", "b")).unwrap();
    commit(&store, r#"{"delete": {"name": "actors/b"}}"#).unwrap();
    let error = get::<proto::Actor>(&store, "actors/a").unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_RECORD_DELETED");
    assert!(error.metadata.contains(&("name", "actors/b".into())), "{error:?}");
}

#[test]
fn what_is_referred_to_by_a_merged_name_is_not_deleted() {
    let store = store();
    commit(&store, &format!("{},{},{}", actor("a"), actor("b"), event("e", r#", "participants": [{"actor": "actors/a"}]"#)))
        .unwrap();
    commit(&store, &merge("a", "b")).unwrap();
    assert_eq!(reason(commit(&store, r#"{"delete": {"name": "actors/b"}}"#)), "REFERENCED");
}

#[test]
fn a_reference_is_stored_under_the_name_that_is_canonical_when_it_is_written() {
    let store = store();
    commit(&store, &["a", "b"].map(actor).join(",")).unwrap();
    commit(&store, &merge("a", "b")).unwrap();
    commit(&store, &event("e", r#", "participants": [{"actor": "actors/a"}]"#)).unwrap();
    assert_eq!(get::<proto::Event>(&store, "events/e").unwrap().participants[0].actor, "actors/b");
}

#[test]
fn a_name_that_left_a_chain_of_merges_does_not_come_back_with_the_record_it_was_merged_into() {
    let store = store();
    commit(&store, &format!("{},{},{}", with_ids("a", r#""x:1""#), with_ids("b", r#""x:2""#), actor("c"))).unwrap();
    for mutation in [merge("a", "b"), merge("b", "c"), unmerge("a"), unmerge("b")] {
        commit(&store, &mutation).unwrap();
    }
    let read = |name| get::<proto::Actor>(&store, name).unwrap();
    assert!(read("actors/b").merged_names.is_empty(), "actors/a is a record of its own again");
    assert_eq!((read("actors/a").external_ids, read("actors/b").external_ids), (vec!["x:1".into()], vec!["x:2".into()]));
    assert!(read("actors/c").merged_names.is_empty());
}

#[test]
fn a_record_that_a_merge_of_the_commit_changes_is_not_named_again() {
    let store = store();
    commit(&store, &format!("{},{},{},{}", actor("a"), with_ids("b", r#""x:2""#), actor("old"), actor("other"))).unwrap();
    commit(&store, &merge("old", "b")).unwrap();
    let first = r#"{"update": {"record": {"actor": {"name": "actors/other", "display_name": "x"}}}}"#;
    let into_old = merge("a", "old");
    for again in [
        r#"{"undelete": {"name": "actors/b"}}"#,
        r#"{"unmerge": {"name": "actors/b"}}"#,
        r#"{"delete": {"name": "actors/b"}}"#,
        r#"{"upsert": {"record": {"actor": {"display_name": "y", "external_ids": ["x:2"]}}}}"#,
    ] {
        let error = commit(&store, &format!("{first},{into_old},{again}")).unwrap_err();
        assert_eq!(error.reason.as_str_name(), "ERROR_REASON_DUPLICATE_MUTATION", "{again}");
        assert_eq!(error.metadata, [("name", "actors/b".into()), ("first", "1".into()), ("second", "2".into())], "{again}");
    }
    let error = commit(&store, &format!("{first},{},{}", merge("a", "old"), unmerge("old"))).unwrap_err();
    assert_eq!(error.metadata[1..], [("first", "1".into()), ("second", "2".into())]);
}
