//! Create, update, upsert, delete and undelete, and what history says about them.

use annals::proto;

use crate::support::{actor, commit, event, fields, get, kinds, reason, store};

#[test]
fn a_name_always_means_the_same_record() {
    let store = store();
    commit(&store, &actor("a")).unwrap();
    assert_eq!(reason(commit(&store, &actor("a"))), "NAME_TAKEN");
    commit(&store, r#"{"delete": {"name": "actors/a"}}"#).unwrap();
    let error = commit(&store, &actor("a")).unwrap_err();
    assert!(error.metadata.contains(&("deleted", "true".into())), "{error:?}");
}

#[test]
fn a_record_without_a_name_gets_a_ulid_and_they_rise() {
    let store = store();
    let two = r#"{"create": {"actor": {"display_name": "a"}}}, {"create": {"actor": {"display_name": "b"}}}"#;
    let mut names: Vec<_> = commit(&store, two).unwrap().results.into_iter().map(|result| result.name).collect();
    names.extend(commit(&store, two).unwrap().results.into_iter().map(|result| result.name));
    assert!(names.is_sorted() && names.iter().all(|name| name.len() == "actors/".len() + 26), "{names:?}");
}

#[test]
fn an_update_replaces_each_field_whole() {
    let store = store();
    commit(&store, &event("e", r#", "description": "d", "types": ["x:1", "x:2"], "labels": ["l:1"]"#)).unwrap();
    let update = |record: &str, fields: &str| {
        commit(
            &store,
            &format!(r#"{{"update": {{"record": {{"event": {{"name": "events/e"{record}}}}}, "update_fields": {fields}}}}}"#),
        )
    };
    let read = || get::<proto::Event>(&store, "events/e").unwrap();
    update(r#", "types": ["y:1"]"#, "[]").unwrap();
    assert_eq!((read().types, read().description.as_str()), (vec!["y:1".to_owned()], "d"));
    update(r#", "title": "ignored", "types": ["z:1"]"#, r#"["description", "types"]"#).unwrap();
    assert_eq!((read().types, read().description.as_str(), read().title.as_str()), (vec!["z:1".to_owned()], "", "e"));
    update(r#", "title": "all""#, r#"["*"]"#).unwrap();
    assert_eq!((read().types.len(), read().labels.len(), read().title.as_str()), (0, 0, "all"));
    assert_eq!(fields(&update("", r#"["title"]"#).unwrap_err()), ["mutations[0].update.record.event.title"]);
    let kind = update(r#", "revision": 99, "create_revision": 98"#, r#"["revision", "name", "createRevision"]"#).unwrap();
    assert_eq!(kinds(&kind), ["UNCHANGED events/e"], "output-only fields are ignored");
}

#[test]
fn an_immutable_field_is_set_once() {
    let store = store();
    commit(&store, r#"{"create": {"source": {"name": "sources/s", "kind": "SOURCE_KIND_REPORT"}}}"#).unwrap();
    let set = |text: &str, fields: &str| {
        let record = format!(r#"{{"source": {{"name": "sources/s", "text": "{text}"}}}}"#);
        commit(&store, &format!(r#"{{"update": {{"record": {record}, "update_fields": {fields}}}}}"#))
    };
    set("one", "[]").unwrap();
    let read: proto::Source = get(&store, "sources/s").unwrap();
    assert_eq!(read.sha256, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    assert_eq!(fields(&set("two", "[]").unwrap_err()), ["mutations[0].update.record.source.text"]);
    assert_eq!(kinds(&set("one", "[]").unwrap()), ["UNCHANGED sources/s"]);
    set("two", r#"["*"]"#).unwrap();
    assert_eq!(get::<proto::Source>(&store, "sources/s").unwrap().text, "one", "\"*\" leaves immutable fields");
}

#[test]
fn an_upsert_finds_by_external_id_or_name_and_only_ever_adds_ids_and_labels() {
    let store = store();
    let upsert =
        |more: &str, options: &str| commit(&store, &format!(r#"{{"upsert": {{"record": {{"actor": {{{more}}}}}{options}}}}}"#));
    let made = upsert(r#""display_name": "a", "external_ids": ["x:1", "x:2"], "labels": ["l:1"]"#, "").unwrap();
    let name = made.results[0].name.clone();
    assert_eq!(kinds(&made), [format!("CREATED {name}")]);
    let same = upsert(r#""display_name": "a", "external_ids": ["x:2"]"#, "").unwrap();
    assert_eq!(kinds(&same), [format!("UNCHANGED {name}")]);
    upsert(r#""display_name": "b", "external_ids": ["x:2", "x:3"], "labels": ["l:2"]"#, "").unwrap();
    let read: proto::Actor = get(&store, &name).unwrap();
    assert_eq!((read.display_name.as_str(), read.external_ids.len(), read.labels.len()), ("b", 3, 2));
    upsert(
        r#""display_name": "c", "external_ids": ["x:1"], "labels": ["l:3"]"#,
        r#", "update_fields": ["labels", "external_ids"]"#,
    )
    .unwrap();
    let read: proto::Actor = get(&store, &name).unwrap();
    assert_eq!((read.display_name.as_str(), read.external_ids.len(), read.labels), ("b", 3, vec!["l:3".to_owned()]));
    let kept = upsert(r#""display_name": "d", "external_ids": ["x:1"]"#, r#", "create_only": true"#).unwrap();
    assert_eq!(kinds(&kept), [format!("UNCHANGED {name}")]);
    upsert(&format!(r#""name": "{name}", "external_ids": ["x:9"]"#), "").unwrap();
    assert_eq!(get::<proto::Actor>(&store, &name).unwrap().external_ids.len(), 4);
    assert_eq!(reason(upsert(r#""display_name": "a""#, "")), "FIELD_INVALID");
}

#[test]
fn an_upsert_of_ids_of_several_records_is_ambiguous() {
    let store = store();
    commit(
        &store,
        r#"{"create": {"actor": {"name": "actors/a", "display_name": "a", "external_ids": ["x:1"]}}},
           {"create": {"actor": {"name": "actors/b", "display_name": "b", "external_ids": ["x:2"]}}}"#,
    )
    .unwrap();
    let error = commit(&store, r#"{"upsert": {"record": {"actor": {"display_name": "c", "external_ids": ["x:1", "x:2"]}}}}"#)
        .unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_UPSERT_AMBIGUOUS");
    assert!(error.metadata.contains(&("names", "actors/a, actors/b".into())), "{error:?}");
}

#[test]
fn upserts_of_one_commit_see_each_other() {
    let store = store();
    let upsert = |label: &str, create_only: bool| {
        format!(
            r#"{{"label": "{label}", "upsert": {{"record": {{"actor": {{"display_name": "a", "external_ids": ["x:1"]}}}}, "create_only": {create_only}}}}}"#
        )
    };
    let response = commit(&store, &format!("{},{}", upsert("a", true), upsert("b", true))).unwrap();
    let name = response.results[0].name.clone();
    assert_eq!(kinds(&response), [format!("CREATED {name}"), format!("UNCHANGED {name}")]);
    assert_eq!(response.results[1].revision, 1);
    assert_eq!(reason(commit(&store, &format!("{},{}", upsert("a", true), upsert("b", false)))), "DUPLICATE_MUTATION");
}

#[test]
fn a_deleted_record_is_shown_on_request_only_and_comes_back_whole() {
    let store = store();
    commit(&store, &event("e", r#", "external_ids": ["x:1"]"#)).unwrap();
    commit(&store, r#"{"delete": {"name": "events/e"}}"#).unwrap();
    assert_eq!(reason(get::<proto::Event>(&store, "events/e")), "RECORD_DELETED");
    let request = proto::GetRecordRequest { name: "events/e".into(), show_deleted: true, ..Default::default() };
    let bytes = store.get_encoded(annals::model::RecordKind::Event, &request).unwrap();
    let tombstone = <proto::Event as prost::Message>::decode(bytes).unwrap();
    assert!(tombstone.delete_time.is_some() && tombstone.title == "e" && tombstone.revision == 2);
    assert_eq!(reason(commit(&store, r#"{"delete": {"name": "events/e"}}"#)), "RECORD_DELETED");
    let missing = commit(&store, r#"{"delete": {"name": "events/e", "allow_missing": true}}"#).unwrap();
    assert_eq!(kinds(&missing), ["UNCHANGED events/e"]);
    assert_eq!(
        reason(commit(&store, r#"{"update": {"record": {"event": {"name": "events/e", "title": "x"}}}}"#)),
        "RECORD_DELETED"
    );
    commit(&store, &event("f", r#", "external_ids": ["x:1"]"#)).unwrap();
    assert_eq!(reason(commit(&store, r#"{"undelete": {"name": "events/e"}}"#)), "EXTERNAL_ID_TAKEN");
    commit(&store, r#"{"delete": {"name": "events/f"}}"#).unwrap();
    commit(&store, r#"{"undelete": {"name": "events/e"}}"#).unwrap();
    let read: proto::Event = get(&store, "events/e").unwrap();
    assert!(read.delete_time.is_none() && read.create_revision == 1, "{read:?}");
}

#[test]
fn history_says_what_happened_to_a_record_newest_first() {
    let store = store();
    commit(&store, &event("e", "")).unwrap();
    commit(&store, r#"{"update": {"record": {"event": {"name": "events/e", "title": "t", "types": ["x:1"]}}}}"#).unwrap();
    commit(&store, r#"{"delete": {"name": "events/e"}}"#).unwrap();
    commit(&store, r#"{"undelete": {"name": "events/e"}}"#).unwrap();
    let request = proto::ListRevisionsRequest { name: "events/e".into(), ..Default::default() };
    let changes = store.list_revisions(&request).unwrap().changes;
    let said: Vec<_> =
        changes.iter().map(|change| (change.kind().as_str_name(), change.revision, change.previous_revision)).collect();
    assert_eq!(
        said,
        [
            ("CHANGE_KIND_UNDELETED", 4, 3),
            ("CHANGE_KIND_DELETED", 3, 2),
            ("CHANGE_KIND_UPDATED", 2, 1),
            ("CHANGE_KIND_CREATED", 1, 0),
        ]
    );
    assert_eq!(changes[2].changed_fields, ["title", "types"]);
    assert_eq!(changes[0].author, "anonymous");
    for change in &changes {
        let commit = store.get_commit(change.revision).unwrap();
        assert_eq!(commit.commit_time, change.commit_time);
        assert_eq!(commit.changes[0].changed_fields, change.changed_fields);
        assert_eq!(commit.changes[0].record, change.record);
    }
    assert_eq!(reason(store.get_commit(5)), "REVISION_IN_FUTURE");
    assert_eq!(reason(store.get_commit(0)), "FIELD_INVALID");
}

#[test]
fn a_read_as_of_a_revision_is_what_was_there_then() {
    let store = store();
    commit(&store, &event("e", "")).unwrap();
    commit(&store, r#"{"update": {"record": {"event": {"name": "events/e", "title": "t"}}}}"#).unwrap();
    commit(&store, r#"{"delete": {"name": "events/e"}}"#).unwrap();
    let title = |revision| {
        let request = proto::GetRecordRequest { name: "events/e".into(), as_of_revision: revision, ..Default::default() };
        store
            .get_encoded(annals::model::RecordKind::Event, &request)
            .map(|bytes| <proto::Event as prost::Message>::decode(bytes).unwrap().title)
    };
    assert_eq!(title(1).unwrap(), "e");
    assert_eq!(title(2).unwrap(), "t");
    assert_eq!(reason(title(3)), "RECORD_DELETED");
    assert_eq!(reason(title(4)), "REVISION_IN_FUTURE");
    assert_eq!(reason(title(-1)), "FIELD_INVALID");
}

#[test]
fn a_record_is_not_created_twice_in_one_commit() {
    let store = store();
    let upsert = r#"{"upsert": {"record": {"actor": {"name": "actors/a", "display_name": "a"}}}}"#;
    for twice in [format!("{upsert},{}", actor("a")), format!("{},{upsert}", actor("a"))] {
        let error = commit(&store, &twice).unwrap_err();
        assert_eq!(error.reason.as_str_name(), "ERROR_REASON_DUPLICATE_MUTATION", "{twice}");
        assert_eq!(error.metadata, [("name", "actors/a".into()), ("first", "0".into()), ("second", "1".into())]);
    }
}

#[test]
fn sending_a_relation_again_after_its_ends_were_merged_changes_nothing() {
    let store = store();
    commit(&store, &["a", "b", "c"].map(actor).join(",")).unwrap();
    let upsert = |subject: &str| {
        format!(
            r#"{{"upsert": {{"record": {{"relation": {{"kind": "RELATION_KIND_MAYBE_SAME_AS", "external_ids": ["x:1"],
               "subject": "{subject}", "object": "actors/c", "asserted_by": "actors/b"}}}}}}}}"#
        )
    };
    let name = commit(&store, &upsert("actors/a")).unwrap().results[0].name.clone();
    commit(&store, r#"{"merge": {"name": "actors/a", "into": "actors/b"}}"#).unwrap();
    let labelled =
        format!(r#"{{"label": "l", "update": {{"record": {{"actor": {{"name": "actors/b"}}}}}}}}, {}"#, upsert("@l"));
    for again in [upsert("actors/a"), upsert("actors/b"), labelled] {
        let response = commit(&store, &again).unwrap();
        assert_eq!(kinds(&response).last(), Some(&format!("UNCHANGED {name}")), "{again}");
    }
    assert_eq!(get::<proto::Relation>(&store, &name).unwrap().subject, "actors/a", "history still says what was said");
    assert_eq!(reason(commit(&store, &upsert("actors/c"))), "FIELD_INVALID");
}
