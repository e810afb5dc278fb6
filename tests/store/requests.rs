//! Request ids, the shape of requests, preconditions, commits that change nothing, and dry runs.

use annals::{proto, store::StoreErrorDetails};

use crate::support::{actor, commit, event, fields, kinds, reason, request, store};

#[test]
fn a_request_id_is_answered_once_and_refused_for_other_content() {
    let store = store();
    let first = store.commit(request("a", &actor("x"))).unwrap();
    let again = store.commit(request("a", &actor("x"))).unwrap();
    assert_eq!(again, proto::CommitResponse { replayed: true, ..first });
    let mut annotated = request("a", &actor("x"));
    annotated.annotations.insert("trace".into(), "2".into());
    assert!(store.commit(annotated).unwrap().replayed, "a retry may carry another trace id");
    assert_eq!(reason(store.commit(request("a", &actor("y")))), "REQUEST_ID_REUSED");
    assert_eq!(store.info().unwrap().head_revision, 1);
}

#[test]
fn a_failed_request_is_not_remembered() {
    let store = store();
    assert_eq!(reason(store.commit(request("a", r#"{"delete": {"name": "actors/x"}}"#))), "RECORD_NOT_FOUND");
    assert_eq!(store.commit(request("a", &actor("x"))).unwrap().revision, 1);
}

#[test]
fn a_request_id_is_required_and_of_its_form() {
    let store = store();
    assert_eq!(reason(store.commit(request("", &actor("x")))), "REQUEST_ID_MISSING");
    for bad in ["a b", "ä", &"x".repeat(129)] {
        assert_eq!(reason(store.commit(request(bad, &actor("x")))), "FIELD_INVALID", "{bad}");
    }
    assert!(store.commit(request(&"x".repeat(128), &actor("x"))).is_ok());
}

#[test]
fn every_violation_of_a_request_is_reported_with_its_path() {
    let store = store();
    let error = commit(
        &store,
        r#"{"label": "Bad"}, {"label": "a", "delete": {"name": "x"}}, {"label": "a", "merge": {"name": "actors/a", "into": "events/b"}},
           {"create": {"claim": {"about": ["@nobody"]}}}, {"update": {"record": {"actor": {"name": "actors/a"}}, "update_fields": ["names.text"]}}"#,
    )
    .unwrap_err();
    assert_eq!(
        fields(&error),
        [
            "mutations[0].label",
            "mutations[2].label",
            "mutations[0]",
            "mutations[1].delete.name",
            "mutations[2].merge.into",
            "mutations[3].create.claim.about[0]",
            "mutations[4].update.update_fields[0]",
        ]
    );
}

#[test]
fn rules_of_all_mutations_are_reported_at_once() {
    let store = store();
    let error = commit(&store, r#"{"create": {"event": {}}}, {"create": {"actor": {}}}"#).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].create.event.title", "mutations[1].create.actor.display_name"]);
    assert_eq!(store.info().unwrap().head_revision, 0);
}

#[test]
fn an_unknown_label_is_reported_by_name() {
    let store = store();
    let error = commit(&store, &event("e", r#", "participants": [{"actor": "@x"}]"#)).unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_LABEL_UNKNOWN");
    assert!(error.metadata.contains(&("label", "x".into())), "{error:?}");
    assert!(error.metadata.contains(&("field", "mutations[0].create.event.participants[0].actor".into())), "{error:?}");
}

#[test]
fn one_commit_names_a_record_once() {
    let store = store();
    commit(&store, &format!("{},{}", actor("a"), actor("b"))).unwrap();
    for twice in [
        r#"{"delete": {"name": "actors/a"}}, {"undelete": {"name": "actors/a"}}"#,
        r#"{"merge": {"name": "actors/a", "into": "actors/b"}}, {"delete": {"name": "actors/b"}}"#,
        r#"{"upsert": {"record": {"actor": {"name": "actors/a", "display_name": "1"}}}}, {"upsert": {"record": {"actor": {"name": "actors/a", "display_name": "2"}}}}"#,
        r#"{"upsert": {"record": {"actor": {"name": "actors/a", "display_name": "1"}}}}, {"delete": {"name": "actors/a"}}"#,
    ] {
        assert_eq!(reason(commit(&store, twice)), "DUPLICATE_MUTATION", "{twice}");
    }
}

#[test]
fn what_changes_nothing_makes_no_revision_and_is_remembered() {
    let store = store();
    commit(&store, &actor("a")).unwrap();
    let same = r#"{"update": {"record": {"actor": {"name": "actors/a", "display_name": "a"}}}}"#;
    let response = store.commit(request("same", same)).unwrap();
    assert_eq!((response.revision, kinds(&response)), (1, vec!["UNCHANGED actors/a".to_owned()]));
    assert!(store.commit(request("same", same)).unwrap().replayed);
    assert_eq!(commit(&store, &actor("b")).unwrap().revision, 2);
}

#[test]
fn validate_only_says_what_would_happen_and_writes_nothing() {
    let store = store();
    let mut check = request("", &format!(r#"{}, {{"create": {{"actor": {{"display_name": "n"}}}}}}"#, actor("a")));
    check.validate_only = true;
    let response = store.commit(check).unwrap();
    assert_eq!((response.revision, kinds(&response)), (0, vec!["CREATED actors/a".to_owned(), "CREATED ".to_owned()]));
    assert_eq!(store.info().unwrap().head_revision, 0);
    let mut bad = request("", r#"{"delete": {"name": "actors/none"}}"#);
    bad.validate_only = true;
    assert_eq!(reason(store.commit(bad)), "RECORD_NOT_FOUND");
}

#[test]
fn all_preconditions_that_fail_are_reported_and_nothing_is_written() {
    use proto::precondition::Condition::{Exists, Revision, UnchangedSince};

    let store = store();
    commit(&store, &actor("a")).unwrap();
    let mut request = request("p", &actor("b"));
    let precondition = |name: &str, condition| proto::Precondition { name: name.into(), condition: Some(condition) };
    request.preconditions = vec![
        precondition("actors/a", Revision(1)),
        precondition("actors/a", Revision(2)),
        precondition("actors/a", UnchangedSince(1)),
        precondition("actors/a", UnchangedSince(0)),
        precondition("actors/a", Exists(false)),
        precondition("actors/none", Exists(false)),
        precondition("actors/none", Exists(true)),
    ];
    let error = store.commit(request).unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_REVISION_MISMATCH");
    let StoreErrorDetails::Preconditions(failed) = &error.details else { panic!("{error:?}") };
    assert_eq!(
        failed.iter().map(|failed| failed.subject.as_str()).collect::<Vec<_>>(),
        ["actors/a", "actors/a", "actors/a", "actors/none"]
    );
    assert!(
        error.metadata.contains(&("expected", "2".into())) && error.metadata.contains(&("actual", "1".into())),
        "{error:?}"
    );
}

#[test]
fn if_revision_holds_for_update_delete_and_merge() {
    let store = store();
    commit(&store, &format!("{},{}", actor("a"), actor("b"))).unwrap();
    for stale in [
        r#"{"update": {"record": {"actor": {"name": "actors/a", "display_name": "x"}}, "if_revision": 2}}"#,
        r#"{"delete": {"name": "actors/a", "if_revision": 2}}"#,
        r#"{"merge": {"name": "actors/a", "into": "actors/b", "if_into_revision": 2}}"#,
    ] {
        assert_eq!(reason(commit(&store, stale)), "REVISION_MISMATCH", "{stale}");
    }
    assert!(
        commit(&store, r#"{"merge": {"name": "actors/a", "into": "actors/b", "if_revision": 1, "if_into_revision": 1}}"#)
            .is_ok()
    );
}

#[test]
fn records_that_stay_as_they_are_do_not_count_towards_the_bytes_of_a_commit() {
    let limits = annals::store::StoreLimits { commit_bytes: 2_000, ..Default::default() };
    let options = annals::store::StoreOptions { limits, ..Default::default() };
    let store = annals::store::Store::start(annals::engine::memory::MemoryEngine::new(), options).unwrap();
    store.wait_until_serving().unwrap();
    let text = "x".repeat(900);
    let record =
        |id: &str| format!(r#"{{"actor": {{"name": "actors/{id}", "display_name": "{id}", "description": "{text}"}}}}"#);
    for id in ["a", "b", "c"] {
        commit(&store, &format!(r#"{{"create": {}}}"#, record(id))).unwrap();
    }
    let same = ["a", "b", "c"].map(|id| format!(r#"{{"update": {{"record": {}}}}}"#, record(id))).join(",");
    assert_eq!(kinds(&commit(&store, &same).unwrap()), ["UNCHANGED actors/a", "UNCHANGED actors/b", "UNCHANGED actors/c"]);
    let renamed = ["d", "e", "f"].map(|id| format!(r#"{{"create": {}}}"#, record(id))).join(",");
    assert_eq!(reason(commit(&store, &renamed)), "LIMIT_EXCEEDED");
}
