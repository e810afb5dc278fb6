//! Compares lists whose filters go through references with evaluating each record by reflection.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;

use super::{
    lists::{Decoded, ask, events, expected, history, order, page, pages, put, world},
    random::{self, Tree, World},
};
use crate::{
    model::{RecordKind, wire},
    proto::{self, ErrorReason, ListRecordsRequest},
    store::{
        StoreLimits,
        query::{
            explain,
            field::{REFERENCES_FAR, REFERRERS, computed_fields},
        },
    },
};

/// Random lists. `ANNALS_FILTER_CASES` sets another number.
const CASES: usize = 5_000;

/// A filter that goes through references, or asks for the referrers.
fn joined_tree(rng: &mut Rng, kind: RecordKind) -> Tree {
    let world = World { references: 2, ..world(kind) };
    let depth = rng.u32(..3);
    loop {
        let tree = random::tree(rng, &kind.schema().message, &world, depth, true);
        if joins(&tree) {
            return tree;
        }
    }
}

fn joins(tree: &Tree) -> bool {
    match tree {
        Tree::All(parts) | Tree::Any(parts) => parts.iter().any(joins),
        Tree::Not(part) | Tree::Within(_, part) => joins(part),
        Tree::Through(..) | Tree::Referrers(..) | Tree::Computed(..) => true,
        _ => false,
    }
}

#[test]
fn a_filter_through_references_gives_what_evaluating_everything_gives() {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let wanted = std::env::var("ANNALS_FILTER_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let mut rng = Rng::with_seed(seed);
    let (mut matched, mut cases, mut plans) = (0usize, 0, BTreeMap::<&str, u32>::new());
    while cases < wanted {
        let kind = RecordKind::ALL[rng.usize(..6)];
        let other = RecordKind::ALL[rng.usize(..6)];
        let history = history(&mut rng, &[kind, other, RecordKind::Actor], 60);
        for _revision in 0..4 {
            let revision = if rng.bool() { history.head } else { rng.u64(0..=history.head) };
            let snapshot = Decoded::of(&history, revision);
            for _list in 0..100 {
                let tree = joined_tree(&mut rng, kind);
                let filter = random::spell(&mut rng, &tree);
                let (order_by, fields) = order(&mut rng, kind);
                let request = ListRecordsRequest {
                    page_size: *[3, 1000].get(rng.usize(..2)).unwrap(),
                    show_deleted: rng.u32(..3) == 0,
                    ..ask(&filter, &order_by)
                };
                let limits = StoreLimits { filter_terms: 1000, filter_chars: 1 << 20, ..StoreLimits::default() };
                let found = pages(&history.state, kind, revision, &request, &limits)
                    .unwrap_or_else(|error| panic!("SEED={seed} {kind:?} {request:?}\n{error}"));
                let plan = explain(kind, &request, &limits).unwrap();
                for word in ["if it ends sooner", "referrers from", "every record", " from claims (", "index"] {
                    *plans.entry(word).or_default() += u32::from(plan.contains(word));
                }
                let expected = expected(&history, &snapshot, kind, &request, &tree, &fields);
                let found: Vec<Bytes> = found.into_iter().flatten().collect();
                let context =
                    || format!("SEED={seed} {kind:?} at {revision} of {}\n{request:?}\n{tree:?}\n{plan}", history.head);
                assert_eq!(shown(&found), shown(&expected), "{}", context());
                matched += usize::from(!found.is_empty());
                cases += 1;
            }
        }
    }
    println!("{matched} of {cases} lists are not empty; plans: {plans:?}");
    assert!(matched * 20 > cases, "the cases say little: {matched} of {cases} lists are not empty");
    assert!(plans.values().all(|count| *count as usize > wanted / 100), "{plans:?}");
}

/// Histories of nothing but claims and estimates, in which claims get speakers and names after many estimates refer to them.
#[test]
fn a_joined_index_leads_to_every_record_at_every_revision() {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let kind = RecordKind::Estimate;
    let mut found_any = 0;
    for _history in 0..60 {
        let history = history(&mut rng, &[kind, RecordKind::Claim, kind], 120);
        for _revision in 0..4 {
            let snapshot = Decoded::of(&history, rng.u64(1..=history.head));
            for _list in 0..8 {
                let tree = random::speakers(&mut rng, &kind.schema().message, &world(kind)).unwrap();
                let filter = random::spell(&mut rng, &tree);
                let request = ListRecordsRequest { page_size: 1000, show_deleted: rng.bool(), ..ask(&filter, "") };
                let found = pages(&history.state, kind, snapshot.revision, &request, &StoreLimits::default()).unwrap().concat();
                let expected = expected(&history, &snapshot, kind, &request, &tree, &[]);
                let head = history.head;
                assert_eq!(shown(&found), shown(&expected), "SEED={seed} at {} of {head}: {filter}", snapshot.revision);
                found_any += usize::from(!found.is_empty());
            }
        }
    }
    assert!(found_any > 300, "the cases say little: {found_any} lists are not empty");
}

fn shown(records: &[Bytes]) -> Vec<String> {
    records.iter().map(|record| wire::texts(record, 1).collect::<String>()).collect()
}

// ---------------------------------------------------------------- one thing at a time

/// 100 events, each with its own actor. The actors of every tenth are from North Korea.
fn attended() -> super::model::MemoryState {
    let mut state = events(100, |at, event| {
        event.participants = vec![proto::Participant { actor: format!("actors/a{at}"), ..Default::default() }];
    });
    for at in 0..100 {
        let countries = if at % 10 == 0 { vec!["PRK".to_owned()] } else { Vec::new() };
        put(
            &mut state,
            1,
            &proto::Actor { name: format!("actors/a{at}"), display_name: "a".into(), countries, ..Default::default() },
        );
    }
    state
}

#[test]
fn a_page_ends_early_where_it_has_read_too_many_other_records() {
    let (state, filter) = (attended(), r#"participants.actor.countries = "PRK""#);
    let limits = StoreLimits { filter_reads: 12, ..StoreLimits::default() };
    let found = pages(&state, RecordKind::Event, 1, &ask(filter, ""), &limits).unwrap();
    assert!(found.len() > 5, "{} pages", found.len());
    assert_eq!(found.concat().len(), 10);
    let whole = page(&state, RecordKind::Event, 1, &ask(filter, ""), &StoreLimits::default()).unwrap();
    assert_eq!((whole.records.len(), whole.next_page_token.as_str()), (10, ""));
}

#[test]
fn what_would_read_too_many_other_records_is_refused_and_the_error_says_what_to_add() {
    let state = attended();
    let limits = StoreLimits { filter_reads: 12, ..StoreLimits::default() };
    let sorted = ask(r#"participants.actor.countries = "PRK""#, "title");
    let error = page(&state, RecordKind::Event, 1, &sorted, &limits).unwrap_err();
    assert_eq!(error.reason, ErrorReason::LimitExceeded);
    assert!(error.to_string().contains("add with AND a comparison of a field of the events"), "{error}");
    assert!(error.to_string().contains("leave order_by out"), "{error}");
    assert!(page(&state, RecordKind::Event, 1, &sorted, &StoreLimits::default()).is_ok());
    // One record with more referrers than may be read, of which none matches.
    let mut state = events(100, |_, event| {
        event.participants = vec![proto::Participant { actor: "actors/a".into(), ..Default::default() }];
    });
    put(&mut state, 1, &proto::Actor { name: "actors/a".into(), display_name: "a".into(), ..Default::default() });
    let error = page(&state, RecordKind::Actor, 1, &ask(r#"referrers.events.title = "y""#, ""), &limits).unwrap_err();
    assert_eq!(error.reason, ErrorReason::LimitExceeded);
}

#[test]
fn a_plan_names_both_ends() {
    let plan = |kind, filter| explain(kind, &ask(filter, ""), &StoreLimits::default()).unwrap();
    let by_topic = plan(RecordKind::Estimate, r#"claim.topic = "troops""#);
    assert!(
        by_topic.starts_with("claim from claims (index topic = \"troops\"), or if it ends sooner: every record"),
        "{by_topic}"
    );
    let back = plan(RecordKind::Event, r#"labels = "x:1" AND referrers.claims.topic = "troops""#);
    assert!(back.starts_with("referrers from claims (index topic = \"troops\""), "{back}");
    assert!(back.contains("or if it ends sooner: index labels = "), "{back}");
    // A joined index leads to the estimates at once. It is not read where the name of the claim is known.
    let joined = plan(RecordKind::Estimate, r#"claim.attribution:(actors = "actors/nis" AND role = ORIGIN)"#);
    assert!(joined.starts_with("index claim.attribution.actors = \"actors/nis\" at the origin, by name"), "{joined}");
    let named = plan(RecordKind::Estimate, r#"claim:(name = "claims/c" AND attribution.actors = "actors/nis")"#);
    assert!(named.starts_with("claim from claims (name = \"claims/c\")"), "{named}");
    let either = plan(RecordKind::Estimate, r#"speakers = "actors/nis""#);
    assert!(either.contains("index attribution.actors") && either.contains("index claim.attribution.actors"), "{either}");
}

#[test]
fn the_words_that_are_no_fields_are_no_fields() {
    for kind in RecordKind::ALL {
        for word in computed_fields(kind).iter().map(|field| field.name).chain([REFERRERS]) {
            let message = &kind.schema().message;
            assert!(message.get_field_by_name(word).is_none(), "{word} is a field of {kind:?}");
            assert!(message.get_field_by_json_name(word).is_none(), "{word} is a field of {kind:?}");
        }
    }
}

#[test]
fn the_page_says_how_far_a_path_goes() {
    let page = include_str!("../../../../docs/filters.md");
    assert!(page.contains(&format!("A path goes through at most {REFERENCES_FAR} references.")));
}
