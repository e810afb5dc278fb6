//! References: labels, forward references, redirects, which records may be deleted, and quotes that must equal the text.

use annals::{proto, store::StoreErrorDetails};

use crate::support::{actor, commit, event, fields, get, reason, store};

const CLAIM: &str = r#""statement": "s", "kind": "CLAIM_KIND_FACT", "polarity": "POLARITY_AFFIRMED""#;

#[test]
fn a_label_stands_for_the_record_of_any_mutation_before_or_after() {
    let store = store();
    let response = commit(
        &store,
        r#"{"create": {"event": {"name": "events/e", "title": "e", "participants": [{"actor": "@nk"}, {"actor": "@ru"}]}}},
           {"label": "nk", "create": {"actor": {"display_name": "North Korea"}}},
           {"label": "ru", "upsert": {"record": {"actor": {"display_name": "Russia", "external_ids": ["wikidata:Q159"]}}}}"#,
    )
    .unwrap();
    let read: proto::Event = get(&store, "events/e").unwrap();
    let actors: Vec<_> = read.participants.iter().map(|participant| participant.actor.clone()).collect();
    assert_eq!(actors, [response.results[1].name.clone(), response.results[2].name.clone()]);
}

#[test]
fn a_reference_leads_to_a_live_record_of_the_right_type() {
    let store = store();
    commit(&store, &format!("{},{},{}", actor("a"), actor("gone"), event("e", ""))).unwrap();
    commit(&store, r#"{"delete": {"name": "actors/gone"}}"#).unwrap();
    let error = commit(
        &store,
        &event("f", r#", "participants": [{"actor": "actors/a"}, {"actor": "actors/none"}, {"actor": "actors/gone"}, {"actor": "events/e"}]"#),
    )
    .unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_REFERENCE_NOT_FOUND");
    let StoreErrorDetails::Preconditions(failed) = &error.details else { panic!("{error:?}") };
    let subjects: Vec<_> = failed.iter().map(|failed| failed.subject.as_str()).collect();
    assert_eq!(subjects, ["actors/none", "actors/gone", "events/e"]);
    assert!(error.metadata.contains(&("field", "mutations[0].create.event.participants[1].actor".into())), "{error:?}");
    let malformed = commit(&store, &event("f", r#", "participants": [{"actor": "nobody"}]"#)).unwrap_err();
    assert_eq!(fields(&malformed), ["mutations[0].create.event.participants[0].actor"]);
}

#[test]
fn a_record_that_live_ones_refer_to_is_not_deleted_unless_they_let_go_in_the_same_commit() {
    let store = store();
    commit(&store, &format!("{},{},{}", actor("a"), actor("b"), event("e", r#", "participants": [{"actor": "actors/a"}]"#)))
        .unwrap();
    let error = commit(&store, r#"{"delete": {"name": "actors/a"}}"#).unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_REFERENCED");
    assert!(
        error.metadata.contains(&("referrers", "events/e".into())) && error.metadata.contains(&("count", "1".into())),
        "{error:?}"
    );
    let moved = r#"{"delete": {"name": "actors/a"}}, {"update": {"record": {"event": {"name": "events/e", "participants": [{"actor": "actors/b"}]}}}}"#;
    commit(&store, moved).unwrap();
    commit(&store, r#"{"delete": {"name": "actors/b"}}, {"delete": {"name": "events/e"}}"#).unwrap();
    assert_eq!(reason(commit(&store, r#"{"undelete": {"name": "events/e"}}"#)), "REFERENCE_NOT_FOUND");
    commit(&store, r#"{"undelete": {"name": "events/e"}}, {"undelete": {"name": "actors/b"}}"#).unwrap();
    assert_eq!(reason(commit(&store, r#"{"delete": {"name": "actors/b"}}"#)), "REFERENCED");
}

#[test]
fn a_reference_to_what_the_same_commit_deletes_is_refused() {
    let store = store();
    commit(&store, &actor("a")).unwrap();
    let both =
        format!(r#"{{"delete": {{"name": "actors/a"}}}}, {}"#, event("e", r#", "participants": [{"actor": "actors/a"}]"#));
    assert_eq!(reason(commit(&store, &both)), "REFERENCE_NOT_FOUND");
}

#[test]
fn a_quote_equals_its_span_counted_in_code_points() {
    let store = store();
    let source = r#"{"label": "s", "create": {"source": {"kind": "SOURCE_KIND_REPORT", "text": "폭풍군단 came."}}}"#;
    let claim = |span: &str, quote: &str| {
        let citation = format!(r#"{{"source": "@s", "span": {span}, "quote": "{quote}"}}"#);
        format!(
            r#"{source}, {{"create": {{"claim": {{{CLAIM}, "attribution": [{{"description": "reports"}}], "citations": [{citation}]}}}}}}"#
        )
    };
    commit(&store, &claim(r#"{"start": 0, "end": 4}"#, "폭풍군단")).unwrap();
    let error = commit(&store, &claim(r#"{"start": 0, "end": 4}"#, "폭풍군")).unwrap_err();
    assert!(fields(&error)[0].starts_with("mutations[1].create.claim.citations[0]"), "{error:?}");
    assert_eq!(reason(commit(&store, &claim(r#"{"start": 5, "end": 99}"#, "came."))), "FIELD_INVALID");
}

#[test]
fn a_live_reference_is_found_behind_many_that_were_given_up() {
    let store = store();
    commit(
        &store,
        &format!(
            "{},{},{}",
            actor("a"),
            actor("b"),
            r#"{"create": {"source": {"name": "sources/s", "kind": "SOURCE_KIND_REPORT"}}}"#
        ),
    )
    .unwrap();
    // Five reference keys each. Together they are more than an error counts. The key of the relation comes last.
    let hops = r#"{"actors": ["actors/a"]}, {"actors": ["actors/a"]}"#;
    let full = format!(
        r#", "participants": [{{"actor": "actors/a", "associated_with": "actors/a"}}], "attribution": [{hops}], "ratings": [{{"code": "x:1", "assessor": "actors/a"}}]"#
    );
    for thousand in 0..3 {
        let ids = || (thousand * 700..(thousand + 1) * 700).map(|number| format!("e{number}"));
        let created: Vec<_> = ids().map(|id| event(&id, &full)).collect();
        commit(&store, &created.join(",")).unwrap();
        let cleared: Vec<_> = ids()
            .map(|id| {
                format!(
                    r#"{{"update": {{"record": {{"event": {{"name": "events/{id}"}}}}, "update_fields": ["participants", "attribution", "ratings"]}}}}"#
                )
            })
            .collect();
        commit(&store, &cleared.join(",")).unwrap();
    }
    commit(
        &store,
        r#"{"create": {"relation": {"name": "relations/z", "kind": "RELATION_KIND_MAYBE_SAME_AS", "subject": "actors/b", "object": "actors/a"}}}"#,
    )
    .unwrap();
    let error = commit(&store, r#"{"delete": {"name": "actors/a"}}"#).unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_REFERENCED");
    assert!(error.metadata.contains(&("referrers", "relations/z".into())), "{error:?}");
}

#[test]
fn the_first_mutation_that_is_refused_gives_the_reason() {
    let store = store();
    commit(&store, &format!("{},{}", actor("a"), event("e", r#", "participants": [{"actor": "actors/a"}]"#))).unwrap();
    let delete = r#"{"delete": {"name": "actors/a"}}"#;
    let refer = event("f", r#", "participants": [{"actor": "actors/none"}]"#);
    assert_eq!(reason(commit(&store, &format!("{delete},{refer}"))), "REFERENCED");
    assert_eq!(reason(commit(&store, &format!("{refer},{delete}"))), "REFERENCE_NOT_FOUND");
}
