//! An external id belongs to one live record of a type.

use annals::store::Store;

use crate::support::{commit, reason, store};

fn create(
    store: &Store,
    kind: &str,
    id: &str,
    external_id: &str,
) -> Result<annals::proto::CommitResponse, annals::store::StoreError> {
    let title = if kind == "event" { "title" } else { "display_name" };
    commit(
        store,
        &format!(
            r#"{{"create": {{"{kind}": {{"name": "{kind}s/{id}", "{title}": "{id}", "external_ids": ["{external_id}"]}}}}}}"#
        ),
    )
}

#[test]
fn an_external_id_is_on_one_live_record_of_a_type() {
    let store = store();
    create(&store, "actor", "a", "x:1").unwrap();
    create(&store, "event", "a", "x:1").unwrap();
    let error = create(&store, "actor", "b", "x:1").unwrap_err();
    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_EXTERNAL_ID_TAKEN");
    assert!(
        error.metadata.contains(&("external_id", "x:1".into())) && error.metadata.contains(&("name", "actors/a".into())),
        "{error:?}"
    );
    commit(&store, r#"{"delete": {"name": "actors/a"}}"#).unwrap();
    create(&store, "actor", "b", "x:1").unwrap();
}

#[test]
fn an_id_that_another_mutation_gives_up_may_be_taken() {
    let store = store();
    create(&store, "actor", "a", "x:1").unwrap();
    let swap = r#"{"update": {"record": {"actor": {"name": "actors/a"}}, "update_fields": ["external_ids"]}},
                  {"create": {"actor": {"name": "actors/b", "display_name": "b", "external_ids": ["x:1"]}}}"#;
    commit(&store, swap).unwrap();
    let two = r#"{"create": {"actor": {"display_name": "c", "external_ids": ["x:7"]}}}, {"create": {"actor": {"display_name": "d", "external_ids": ["x:7"]}}}"#;
    assert_eq!(reason(commit(&store, two)), "EXTERNAL_ID_TAKEN");
}
