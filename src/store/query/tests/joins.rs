//! Compares lists whose filters go through references with evaluating each record by reflection.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;

use super::{
    lists::{Decoded, ask, expected, history, order, pages, world},
    random::{self, Tree, World},
};
use crate::{
    model::{RecordKind, wire},
    proto::ListRecordsRequest,
    store::{StoreLimits, query::explain},
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

fn shown(records: &[Bytes]) -> Vec<String> {
    records.iter().map(|record| wire::texts(record, 1).collect::<String>()).collect()
}
