//! Chains of links that must not form cycles.

use crate::support::{actor, commit, event, fields, store};

#[test]
fn affiliations_part_of_do_not_close() {
    let store = store();
    commit(&store, &["a", "b", "c"].map(actor).join(",")).unwrap();
    let part_of = |a: &str, b: &str, role: &str| {
        let record = format!(
            r#"{{"actor": {{"name": "actors/{a}", "affiliations": [{{"actor": "actors/{b}", "role": "AFFILIATION_ROLE_{role}"}}]}}}}"#
        );
        commit(&store, &format!(r#"{{"update": {{"record": {record}}}}}"#))
    };
    part_of("a", "b", "PART_OF").unwrap();
    part_of("b", "c", "PART_OF").unwrap();
    part_of("c", "a", "ALLIED_WITH").unwrap();
    assert_eq!(fields(&part_of("c", "a", "PART_OF").unwrap_err()), ["mutations[0].update.record.actor.affiliations[0].actor"]);
    assert_eq!(fields(&part_of("c", "c", "PART_OF").unwrap_err()), ["mutations[0].update.record.actor.affiliations[0].actor"]);
}

#[test]
fn links_of_one_commit_do_not_close() {
    let store = store();
    let link = |to: &str| format!(r#", "links": [{{"event": "events/{to}", "kind": "EVENT_LINK_KIND_PART_OF"}}]"#);
    let error = commit(&store, &format!("{},{}", event("a", &link("b")), event("b", &link("a")))).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].create.event.links[0].event", "mutations[1].create.event.links[0].event"]);
    commit(&store, &format!("{},{}", event("a", &link("b")), event("b", ""))).unwrap();
}

#[test]
fn superseding_does_not_close_through_relations() {
    let store = store();
    let source = |id: &str| format!(r#"{{"create": {{"source": {{"name": "sources/{id}", "kind": "SOURCE_KIND_REPORT"}}}}}}"#);
    let supersedes = |id: &str, subject: &str, object: &str| {
        let relation =
            format!(r#""kind": "RELATION_KIND_SUPERSEDES", "subject": "sources/{subject}", "object": "sources/{object}""#);
        format!(r#"{{"create": {{"relation": {{"name": "relations/{id}", {relation}}}}}}}"#)
    };
    commit(&store, &["a", "b", "c"].map(source).join(",")).unwrap();
    commit(&store, &supersedes("r1", "a", "b")).unwrap();
    commit(&store, &supersedes("r2", "b", "c")).unwrap();
    assert_eq!(fields(&commit(&store, &supersedes("r3", "c", "a")).unwrap_err()), ["mutations[0].create.relation.object"]);
    commit(&store, r#"{"update": {"record": {"relation": {"name": "relations/r1", "revoked": true}}}}"#).unwrap();
    commit(&store, &supersedes("r3", "c", "a")).unwrap();
}

#[test]
fn a_merge_does_not_put_a_record_above_itself() {
    let store = store();
    let part_of = |id: &str, to: &str| {
        format!(
            r#"{{"create": {{"actor": {{"name": "actors/{id}", "display_name": "{id}", "affiliations": [{{"actor": "actors/{to}", "role": "AFFILIATION_ROLE_PART_OF"}}]}}}}}}"#
        )
    };
    commit(&store, &format!("{},{},{}", actor("top"), part_of("middle", "top"), part_of("low", "middle"))).unwrap();
    let error = commit(&store, r#"{"merge": {"name": "actors/top", "into": "actors/low"}}"#).unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_FIELD_INVALID");
}

fn source(id: &str) -> String {
    format!(r#"{{"create": {{"source": {{"name": "sources/{id}", "kind": "SOURCE_KIND_REPORT"}}}}}}"#)
}

fn supersedes(subject: &str, object: &str) -> String {
    let relation =
        format!(r#""kind": "RELATION_KIND_SUPERSEDES", "subject": "sources/{subject}", "object": "sources/{object}""#);
    format!(r#"{{"create": {{"relation": {{{relation}}}}}}}"#)
}

#[test]
fn a_merge_does_not_close_a_cycle_of_records_that_supersede_each_other() {
    let store = store();
    commit(&store, &["a", "b", "c"].map(source).join(",")).unwrap();
    commit(&store, &format!("{},{}", supersedes("a", "b"), supersedes("b", "c"))).unwrap();
    let error = commit(&store, r#"{"merge": {"name": "sources/a", "into": "sources/c"}}"#).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].merge.into"]);
}

#[test]
fn a_merge_and_a_new_link_of_one_commit_do_not_close_a_cycle_together() {
    let store = store();
    commit(&store, &["a", "b", "c"].map(source).join(",")).unwrap();
    commit(&store, &supersedes("a", "c")).unwrap();
    let both = format!(r#"{{"merge": {{"name": "sources/a", "into": "sources/b"}}}}, {}"#, supersedes("c", "b"));
    let error = commit(&store, &both).unwrap_err();
    assert!(fields(&error).contains(&"mutations[1].create.relation.object".to_owned()), "{error:?}");
}
