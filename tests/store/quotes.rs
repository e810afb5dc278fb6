//! Quotes and the texts of their sources: what is checked when, and what stands as it was stored.

use annals::{
    engine::{
        Engine,
        memory::{MemoryEngine, MemoryState},
    },
    store::{Store, verify},
};

use crate::support::{commit, fields, kinds, store, store_on};

fn source(id: &str, text: &str) -> String {
    let text = if text.is_empty() { String::new() } else { format!(r#", "text": "{text}""#) };
    format!(r#"{{"create": {{"source": {{"name": "sources/{id}", "kind": "SOURCE_KIND_REPORT"{text}}}}}}}"#)
}

fn set_text(id: &str, text: &str) -> String {
    format!(r#"{{"update": {{"record": {{"source": {{"name": "sources/{id}", "text": "{text}"}}}}}}}}"#)
}

fn citation(source: &str, start: u32, end: u32, quote: &str) -> String {
    format!(r#"{{"source": "sources/{source}", "span": {{"start": {start}, "end": {end}}}, "quote": "{quote}"}}"#)
}

fn claim(op: &str, id: &str, citations: &[String]) -> String {
    let record = format!(
        r#"{{"claim": {{"name": "claims/{id}", "statement": "s", "kind": "CLAIM_KIND_FACT", "polarity": "POLARITY_AFFIRMED",
            "attribution": [{{"description": "x"}}], "citations": [{}]}}}}"#,
        citations.join(",")
    );
    match op {
        "create" => format!(r#"{{"create": {record}}}"#),
        op => format!(r#"{{"{op}": {{"record": {record}}}}}"#),
    }
}

fn merge(name: &str, into: &str) -> String {
    format!(r#"{{"merge": {{"name": "sources/{name}", "into": "sources/{into}"}}}}"#)
}

fn done(store: &Store, mutation: &str) -> String {
    kinds(&commit(store, mutation).unwrap()).remove(0)
}

#[test]
fn a_citation_stands_as_it_was_stored_though_its_source_is_now_one_with_another_text() {
    let engine = MemoryEngine::new();
    let store = store_on(engine.clone());
    let stands = citation("a", 0, 3, "abc");
    commit(
        &store,
        &[source("a", "abc def"), source("b", "xyz"), claim("create", "c", std::slice::from_ref(&stands))].join(","),
    )
    .unwrap();
    commit(&store, &merge("a", "b")).unwrap();
    assert_eq!(done(&store, &claim("update", "c", std::slice::from_ref(&stands))), "UNCHANGED claims/c");
    // What is added by the name that the field has counts in the text of that name, what is new in the text of now.
    let more = [stands.clone(), citation("a", 4, 7, "def"), citation("b", 0, 2, "xy")];
    assert_eq!(done(&store, &claim("upsert", "c", &more)), "UPDATED claims/c");
    let wrong = [stands.clone(), citation("a", 4, 7, "xyz")];
    let error = commit(&store, &claim("update", "c", &wrong)).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].update.record.claim.citations[1].quote"]);
    let error = commit(&store, &claim("update", "c", &[stands, citation("b", 0, 3, "abc")])).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].update.record.claim.citations[1].quote"]);
    let new = claim("create", "d", &[citation("a", 0, 3, "abc")]);
    assert_eq!(fields(&commit(&store, &new).unwrap_err()), ["mutations[0].create.claim.citations[0].quote"]);
    commit(&store, r#"{"delete": {"name": "claims/c"}}"#).unwrap();
    assert_eq!(done(&store, r#"{"undelete": {"name": "claims/c"}}"#), "UNDELETED claims/c");
    let mut found = Vec::new();
    verify(&Engine::from(engine), &MemoryState::default(), &mut |discrepancy| found.push(discrepancy.to_string())).unwrap();
    assert_eq!(found, [""; 0]);
    commit(&store, r#"{"unmerge": {"name": "sources/a"}}"#).unwrap();
    assert_eq!(done(&store, &claim("update", "c", &more)), "UNCHANGED claims/c");
}

#[test]
fn a_text_that_breaks_live_citations_is_refused_and_each_is_listed() {
    let store = store();
    let claims = [
        claim("create", "c", &[citation("s", 0, 3, "abc"), citation("s", 4, 7, "def")]),
        claim("create", "d", &[citation("s", 0, 9, "")]),
        claim("create", "gone", &[citation("s", 0, 3, "zzz")]),
    ];
    commit(&store, &[source("s", ""), claims.join(",")].join(",")).unwrap();
    commit(&store, r#"{"delete": {"name": "claims/gone"}}"#).unwrap();
    let error = commit(&store, &set_text("s", "abc dxf")).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].update.record.source.text"; 2]);
    let text = format!("{error:?}");
    assert!(text.contains("claims/c cites it: citations[1].quote differs"), "{text}");
    assert!(text.contains("claims/d cites it: citations[0].span 0 to 9 ends outside"), "{text}");
    assert_eq!(done(&store, &set_text("s", "abc def g")), "UPDATED sources/s");
    let error = commit(&store, r#"{"undelete": {"name": "claims/gone"}}"#).unwrap_err();
    assert_eq!(fields(&error), ["mutations[0].citations[0].quote"], "its source has another text than it was quoted from");
}

#[test]
fn a_text_and_the_citations_that_it_would_break_can_be_set_in_one_commit() {
    let store = store();
    commit(&store, &[source("s", ""), claim("create", "c", &[citation("s", 0, 3, "abc")])].join(",")).unwrap();
    let moved = claim("update", "c", &[citation("s", 1, 4, "abc")]);
    assert_eq!(
        fields(&commit(&store, &[set_text("s", "xabd"), moved.clone()].join(",")).unwrap_err()),
        ["mutations[1].update.record.claim.citations[0].quote"]
    );
    let same = claim("update", "c", &[citation("s", 0, 3, "abc")]);
    assert_eq!(
        fields(&commit(&store, &[set_text("s", "xabc"), same].join(",")).unwrap_err()),
        ["mutations[0].update.record.source.text"]
    );
    commit(&store, &[set_text("s", "xabc"), moved].join(",")).unwrap();
}

#[test]
fn a_text_is_checked_against_citations_by_every_name_that_has_no_text_of_its_own() {
    let store = store();
    let citing = |id: &str, source: &str| claim("create", id, &[citation(source, 0, 3, "abc")]);
    commit(
        &store,
        &[source("own", "abc"), source("none", ""), source("s", ""), citing("c", "own"), citing("d", "none")].join(","),
    )
    .unwrap();
    commit(&store, &merge("own", "s")).unwrap();
    commit(&store, &merge("none", "s")).unwrap();
    let error = commit(&store, &set_text("s", "xyz")).unwrap_err();
    assert_eq!(fields(&error).len(), 1);
    assert!(format!("{error:?}").contains("claims/d cites it"), "{error:?}");
}

#[test]
fn a_long_list_of_broken_citations_is_cut_and_its_length_told() {
    let store = store();
    let citations: Vec<_> = (0..50).map(|at| citation("s", at, at + 1, "q")).collect();
    let claims: Vec<_> = ["a", "b", "c"].iter().map(|id| claim("create", id, &citations)).collect();
    commit(&store, &[source("s", ""), claims.join(",")].join(",")).unwrap();
    let error = commit(&store, &set_text("s", "abc")).unwrap_err();
    assert_eq!(fields(&error).len(), 101);
    assert!(format!("{error:?}").contains("150 such citations differ from it in all"), "{error:?}");
}
