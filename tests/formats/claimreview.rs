//! Fact checks: the shapes that pages and feeds have, what each member does, and what is refused.

use std::io::Cursor;

use annals::{
    formats::{
        claimreview::{self, REVIEW_MEMBERS},
        import::{ImportRow, ImportRowError},
    },
    proto::{
        Actor, ActorKind, Claim, ClaimKind, Mutation, Relation, RelationKind, Source, SourceKind, mutation::Op, record::Record,
    },
    store::Store,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{Imported, import, list, text};

const FILES: [&str; 5] = ["page.json", "graph.json", "array.json", "feed.json", "lines.ndjson"];

fn file(name: &str) -> String {
    text(&format!("tests/data/claimreview/{name}"))
}

fn rows(content: impl AsRef<[u8]>) -> Vec<Result<ImportRow, ImportRowError>> {
    claimreview::rows(Cursor::new(content.as_ref().to_vec())).collect()
}

fn import_file(store: &Store, name: &str) -> Imported {
    import(store, claimreview::rows(Cursor::new(file(name).into_bytes())))
}

/// The verdict on a claim, the claim, and the rating between them.
fn reviewed(store: &Store, statement: &str) -> (Claim, Claim, Option<Relation>) {
    let claims: Vec<Claim> = list(store, "");
    let claim = claims.iter().find(|claim| claim.statement == statement && claim.kind() == ClaimKind::Fact).expect("the claim");
    let verdict = claims.iter().find(|verdict| verdict.about == [claim.name.as_str()]).expect("the verdict");
    let rates = list::<Relation>(store, "").into_iter().find(|relation| relation.subject == verdict.name);
    (verdict.clone(), claim.clone(), rates)
}

fn name_of(store: &Store, actor: &str) -> String {
    store.get::<Actor>(actor).expect("an actor").display_name
}

#[test]
fn a_review_makes_a_verdict_about_the_claim_with_its_rating_author_and_appearances() {
    let store = Store::in_memory().unwrap();
    let imported = import_file(&store, "page.json");
    assert_eq!((imported.rows, imported.bad.as_slice()), (1, &[][..]));
    let (verdict, claim, rates) = reviewed(&store, "The Arden bridge was blown up on Tuesday night.");
    assert_eq!(verdict.kind(), ClaimKind::Verdict);
    assert_eq!(verdict.statement, "Rated \"False\": The Arden bridge was blown up on Tuesday night.");
    assert_eq!(verdict.as_of.unwrap().edtf, "2024-05-03T09:30:00+02:00");
    let hops: Vec<_> = verdict.attribution.iter().map(|hop| name_of(&store, &hop.actors[0])).collect();
    assert_eq!(hops, ["Open Checks", "The Arden Courier"]);

    let rates = rates.expect("a rating");
    assert_eq!((rates.kind(), rates.object.as_str()), (RelationKind::Rates, claim.name.as_str()));
    assert_eq!(name_of(&store, &rates.asserted_by), "Open Checks");
    let rating = rates.rating.unwrap();
    assert_eq!(rating.code, "claimreview.rating:False");
    assert_eq!((rating.value, rating.scale_min, rating.scale_max), (Some(1.0), Some(1.0), Some(5.0)));
    assert_eq!(rating.rationale, "Pictures of Wednesday morning show it whole.");

    assert_eq!(name_of(&store, &claim.attribution[0].actors[0]), "J. Rill");
    assert_eq!(claim.attribution[0].said_at.as_ref().unwrap().edtf, "2024-05-01");
    let seen_in: Vec<_> = claim.citations.iter().map(|citation| store.get::<Source>(&citation.source).unwrap().uri).collect();
    assert_eq!(seen_in, ["https://chat.example/bridge/9", "https://social.example/@rill/1", "https://tabloid.example/bridge"]);

    let page = store.get::<Source>(&verdict.citations[0].source).unwrap();
    assert_eq!((page.kind(), page.title.as_str()), (SourceKind::FactCheck, "No, the Arden bridge was not blown up"));
    let whole: Value = serde_json::from_str(&page.annotations["claimreview.0"]).unwrap();
    assert_eq!(whole, serde_json::from_str::<Value>(&file("page.json")).unwrap(), "nothing is lost");
}

#[test]
fn who_is_not_named_is_unidentified_and_without_an_appearance_the_review_is_cited() {
    let store = Store::in_memory().unwrap();
    import_file(&store, "graph.json");
    let (verdict, claim, rates) = reviewed(&store, "The dam was built in 1931.");
    assert_eq!((claim.attribution[0].description.as_str(), claim.attribution[0].actors.len()), ("unidentified", 0));
    assert_eq!(claim.citations, verdict.citations);
    assert_eq!(verdict.statement, "Rated 4 (1 to 5): The dam was built in 1931.");
    assert_eq!(rates.unwrap().rating.unwrap().code, "claimreview.rating:4");
    // The graph says who the author is. The review names the author only by id.
    assert_eq!(name_of(&store, &verdict.attribution[0].actors[0]), "Verify Now");
    let (verdict, claim, _) = reviewed(&store, "The dam holds less water than ever.");
    assert_eq!(claim.attribution[0].actors.len(), 2);
    assert_eq!(verdict.as_of.unwrap().edtf, "2023-11");
}

#[test]
fn texts_stand_for_things_lists_for_one_and_odd_scales_for_words_alone() {
    let store = Store::in_memory().unwrap();
    let imported = import_file(&store, "array.json");
    assert_eq!((imported.rows, imported.bad.as_slice()), (3, &[][..]));
    let (verdict, _, rates) = reviewed(&store, "Eating snow cures colds.");
    assert_eq!(verdict.attribution[0].actors.len(), 2);
    let date = verdict.as_of.unwrap();
    assert_eq!((date.edtf.as_str(), date.verbatim.as_str()), ("2023-05-04", "May 4, 2023"));
    assert_eq!(rates.unwrap().rating.unwrap().code, "claimreview.rating:Nonsense");

    // -1 of -1 to -1 means that there is no number.
    let (verdict, claim, rates) = reviewed(&store, "Nine in ten support the new road.");
    let rating = rates.unwrap().rating.unwrap();
    assert_eq!((rating.code.as_str(), rating.value, rating.scale_max), ("claimreview.rating:Misleading", None, None));
    assert_eq!(verdict.as_of.unwrap().verbatim, "spring 2023");
    // An item that is not a claim is where the claim was seen.
    assert_eq!(store.get::<Source>(&claim.citations[0].source).unwrap().uri, "https://ministry.example/press/7");
    assert_eq!(claim.attribution[0].said_at.as_ref().unwrap().edtf, "2023-02-01");
    let ministry = store.get::<Actor>(&claim.attribution[0].actors[0]).unwrap();
    assert_eq!(ministry.kind(), ActorKind::Organization);

    let (_, claim, rates) = reviewed(&store, "5,000 people marched.");
    let rating = rates.unwrap().rating.unwrap();
    assert_eq!((rating.value, rating.scale_min, rating.scale_max), (Some(2.5), Some(1.0), Some(6.0)));
    assert_eq!(store.get::<Source>(&claim.citations[0].source).unwrap().title, "A speech at the station");
}

#[test]
fn feeds_and_lines_are_read_and_errors_say_where() {
    let store = Store::in_memory().unwrap();
    let imported = import_file(&store, "feed.json");
    assert_eq!((imported.rows, imported.bad.as_slice()), (3, &[][..]));
    let (_, claim, _) = reviewed(&store, "Im Mai fiel drei Tage der Strom aus.");
    let sources: Vec<_> = claim.citations.iter().map(|citation| store.get::<Source>(&citation.source).unwrap()).collect();
    assert_eq!((sources[0].uri.as_str(), sources[1].title.as_str()), ("https://chat.example/x y", "an image without address"));
    let (_, _, rates) = reviewed(&store, "Im Stadtpark lebt ein Wolf.");
    assert_eq!(rates.unwrap().rating.unwrap().code, "claimreview.rating:Unbelegt");

    let imported = import_file(&store, "lines.ndjson");
    assert_eq!(imported.rows, 3);
    let bad: Vec<_> = imported.bad.iter().map(ToString::to_string).collect();
    assert_eq!(bad.len(), 4, "{bad:?}");
    for (bad, says) in bad.iter().zip([
        "row 2: is not JSON",
        "row 3: has neither claimReviewed",
        "row 6: is the same review as row 4",
        "row 7, @type: is missing",
    ]) {
        assert!(bad.starts_with(says), "{bad}");
    }
    let (verdict, _, rates) = reviewed(&store, "The lake froze in June.");
    assert_eq!((verdict.statement.as_str(), rates), ("Reviewed: The lake froze in June.", None));
    let (verdict, ..) = reviewed(&store, "시장이 사임했다.");
    assert_eq!((verdict.statement.as_str(), verdict.language.as_str()), ("Rated \"거짓\": 시장이 사임했다.", "ko"));
}

#[test]
fn a_second_import_changes_nothing_and_a_changed_rating_is_a_new_revision() {
    let store = Store::in_memory().unwrap();
    for name in FILES {
        assert!(import_file(&store, name).created > 0, "{name}");
    }
    for name in FILES {
        let again = import_file(&store, name);
        assert_eq!((again.created, again.updated), (0, 0), "{name}");
    }
    let changed = file("page.json").replace("\"False\"", "\"Mostly false\"");
    let again = import(&store, claimreview::rows(Cursor::new(changed.into_bytes())));
    // The verdict, the rating, and the page with the text.
    assert_eq!((again.created, again.updated), (0, 3));
}

#[test]
fn a_file_without_a_review_is_refused() {
    for (content, says) in [
        ("[]", "has no object of the @type ClaimReview"),
        ("{\"@type\":\"Recipe\"}", "has no object of the @type ClaimReview"),
        ("", "rest of the file is not read"),
        ("7", "neither an object nor an array"),
        ("[{\"@type\":\"ClaimReview\",\"claimReviewed\":\"x\"},", "rest of the file is not read"),
    ] {
        let bad: Vec<_> = rows(content).into_iter().filter_map(Result::err).collect();
        assert!(bad.len() == 1 && bad[0].reason.contains(says), "{content}: {bad:?}");
    }
    let long = json!({"@type": "ClaimReview", "claimReviewed": "x".repeat(5000), "url": "https://x.example/"});
    assert!(rows(long.to_string())[0].as_ref().unwrap_err().reason.contains("claim.statement has 5000 characters"));
}

/// What a review makes, without the text of the review, which is kept beside it, or why it makes nothing.
fn made(review: &Value) -> Result<Vec<Mutation>, ImportRowError> {
    let row = rows(review.to_string()).remove(0)?;
    let mut mutations = [row.shared, row.own].concat();
    for mutation in &mut mutations {
        if let Some(Op::Upsert(upsert)) = &mut mutation.op
            && let Some(Record::Source(source)) = upsert.record.as_mut().and_then(|record| record.record.as_mut())
        {
            source.annotations.clear();
        }
    }
    Ok(mutations)
}

/// Every path to a member that is not a list.
fn ways(value: &Value, way: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    for (member, value) in value.as_object().into_iter().flatten() {
        way.push(member.clone());
        all.push(way.clone());
        if way.len() < 2 {
            ways(value, way, all);
        }
        way.pop();
    }
}

#[test]
fn every_member_of_the_list_changes_what_is_made_and_no_other_does() {
    let full: Value = serde_json::from_str(&file("page.json")).unwrap();
    let before = made(&full);
    let mut all = Vec::new();
    ways(&full, &mut Vec::new(), &mut all);
    for way in &all {
        let mut review = full.clone();
        let (last, parents) = way.split_last().unwrap();
        let parent = parents.iter().fold(&mut review, |value, member| &mut value[member.as_str()]);
        parent.as_object_mut().unwrap().shift_remove(last);
        // The members of a listed thing are its own.
        if REVIEW_MEMBERS.iter().any(|member| member.path.len() < way.len() && way[..member.path.len()] == *member.path) {
            continue;
        }
        let listed = REVIEW_MEMBERS.iter().any(|member| member.path.len() >= way.len() && member.path[..way.len()] == *way);
        // Types say what a thing is. Without its type, nothing is a review.
        if way.last().map(String::as_str) != Some("@type") {
            assert_eq!(made(&review) != before, listed, "{way:?}");
        }
    }
    for member in REVIEW_MEMBERS {
        assert!(all.iter().any(|way| way.as_slice() == member.path), "the full review lacks {member:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn corrupted_files_never_panic(at in 0usize..2500, byte: u8, cut in 0usize..4000) {
        for name in FILES {
            let mut content = file(name).into_bytes();
            if let Some(there) = content.get_mut(at) {
                *there = byte;
            }
            content.truncate(cut);
            for bad in rows(content).into_iter().filter_map(Result::err) {
                prop_assert!(!bad.reason.is_empty());
            }
        }
    }
}
