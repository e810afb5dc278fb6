//! Compares the pages of lists, for every way to read, with sorting and filtering all records.

use std::{cell::RefCell, cmp::Ordering, collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use fastrand::Rng;
use prost::Message as _;
use prost_reflect::DynamicMessage;

use super::{
    brute::{self, Meaning},
    model::MemoryState,
    random::{self, Literal, Path, Tree, World},
};
use crate::{
    model::{RecordKind, TypedRecord, words},
    proto::{self, ChangeKind, ErrorReason, ListRecordsRequest},
    store::{
        EncodedPage, StoreLimits,
        error::{Result, StoreError},
        query::{explain, list, token},
        version::Version,
    },
};

/// One page. Its token is decoded as the store does it.
pub(super) fn page(
    state: &MemoryState,
    kind: RecordKind,
    revision: u64,
    request: &ListRecordsRequest,
    limits: &StoreLimits,
) -> Result<EncodedPage> {
    let token = token::decode(kind, request)?;
    let revision = token.as_ref().map_or(revision, |token| token.revision);
    list(&state.view(revision), kind, request, token.as_ref().map(|token| &token.position), limits, &|| false)
}

/// All pages. Asserts that only the last one has no token, and that each page gets further.
pub(super) fn pages(
    state: &MemoryState,
    kind: RecordKind,
    revision: u64,
    request: &ListRecordsRequest,
    limits: &StoreLimits,
) -> Result<Vec<Vec<Bytes>>> {
    let mut request = request.clone();
    let mut pages = Vec::new();
    loop {
        let page = page(state, kind, revision, &request, limits)?;
        assert_eq!(page.revision, revision.cast_signed());
        pages.push(page.records);
        assert!(pages.len() < 10_000, "the pages do not end: {request:?}");
        if page.next_page_token.is_empty() {
            return Ok(pages);
        }
        assert_ne!(page.next_page_token, request.page_token, "a page went no further: {request:?}");
        request.page_token = page.next_page_token;
    }
}

pub(super) fn ask(filter: &str, order_by: &str) -> ListRecordsRequest {
    ListRecordsRequest { filter: filter.into(), order_by: order_by.into(), ..Default::default() }
}

// ---------------------------------------------------------------- random histories

/// All versions of all records, from which the expected lists are computed.
#[derive(Default)]
pub(super) struct History {
    pub(super) state: MemoryState,
    pub(super) head: u64,
    versions: BTreeMap<(RecordKind, String), Vec<Version>>,
}

impl History {
    fn write(&mut self, kind: RecordKind, id: &str, change: ChangeKind, redirect: Option<String>, record: &DynamicMessage) {
        let version = Version { revision: self.head, change, redirect, record: stored(kind, record).into() };
        self.state.write(kind, id, &version);
        self.versions.entry((kind, id.to_owned())).or_default().push(version);
    }

    fn at(&self, kind: RecordKind, id: &str, revision: u64) -> Option<&Version> {
        self.versions.get(&(kind, id.to_owned()))?.iter().rev().find(|version| version.revision <= revision)
    }

    fn live(&self, kind: RecordKind) -> Vec<String> {
        let ids = self.versions.keys().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone());
        ids.filter(|id| self.at(kind, id, u64::MAX).is_some_and(Version::is_live)).collect()
    }

    /// The name to which a name leads at a revision.
    fn target(&self, name: &str, revision: u64) -> String {
        let mut name: crate::model::RecordName = name.parse().unwrap();
        while let Some(target) = self.at(name.kind(), name.id(), revision).and_then(|version| version.redirect.as_deref()) {
            name = target.parse().unwrap();
        }
        name.to_string()
    }

    /// Every name that leads to the same record as a name.
    fn names_of(&self, name: &str, revision: u64) -> Vec<String> {
        let target = self.target(name, revision);
        let all = self.versions.keys().map(|(kind, id)| format!("{}/{id}", kind.collection()));
        let mut names: Vec<_> = all.filter(|name| self.target(name, revision) == target).collect();
        names.push(target);
        names
    }
}

fn stored(kind: RecordKind, message: &DynamicMessage) -> Vec<u8> {
    crate::model::encode(&(kind.resource_type().decode)(&message.encode_to_vec()).unwrap())
}

/// Ids of which some are prefixes of others, up to the longest.
fn ids() -> Vec<String> {
    let mut ids: Vec<String> = ["a", "a-1", "a1", "a10", "b", "b-c", "c", "d0", "d00", "z9"].map(str::to_owned).to_vec();
    for length in [45, 48, 62] {
        ids.push("l".repeat(length));
        ids.push(format!("{}0", "l".repeat(length)));
        ids.push(format!("{}-x", "l".repeat(length - 1)));
    }
    ids
}

fn names(target: &str) -> Vec<String> {
    let kinds = RecordKind::ALL.into_iter().filter(|kind| target == "*" || target == format!("annals/{}", kind.message()));
    kinds.flat_map(|kind| ids().into_iter().take(4).map(move |id| format!("{}/{id}", kind.collection()))).collect()
}

fn favourites(kind: RecordKind) -> Vec<&'static str> {
    let mut paths: Vec<&str> = kind
        .resource_type()
        .indexes
        .iter()
        .flat_map(|index| index.parts)
        .filter_map(|part| match part {
            crate::model::IndexPart::Exact(path) | crate::model::IndexPart::Time(path) => Some(*path),
            crate::model::IndexPart::Words(..) => None,
        })
        .collect();
    paths.push("name");
    paths.extend(match kind {
        RecordKind::Event => ["participants.actor", "attribution.actors", "participants"].as_slice(),
        RecordKind::Claim => &["attribution.actors", "about", "attribution", "attribution.role"],
        RecordKind::Estimate => &["attribution.actors", "claim", "inputs"],
        RecordKind::Source => &["publisher", "derived_from"],
        RecordKind::Actor => &["affiliations.actor", "affiliations"],
        RecordKind::Relation => &["subject", "object", "revoked"],
    });
    paths
}

pub(super) fn world(kind: RecordKind) -> World<'static> {
    let words = (kind == RecordKind::Actor).then_some("name_tokens");
    World { names: &names, favourites: favourites(kind), words, references: 0, common: false }
}

pub(super) fn history(rng: &mut Rng, kinds: &[RecordKind], commits: usize) -> History {
    let mut history = History::default();
    for _commit in 0..commits {
        history.head += rng.u64(1..3);
        for _change in 0..rng.usize(1..4) {
            let kind = kinds[rng.usize(..kinds.len())];
            let all = ids();
            let id = all[rng.usize(..all.len())].clone();
            let before = history.at(kind, &id, u64::MAX).cloned();
            if before.as_ref().is_some_and(|version| version.revision == history.head) {
                continue;
            }
            let named = |mut record: DynamicMessage, merged: &[String]| {
                record.set_field_by_name("name", prost_reflect::Value::String(format!("{}/{id}", kind.collection())));
                let merged = merged.iter().cloned().map(prost_reflect::Value::String).collect();
                record.set_field_by_name("merged_names", prost_reflect::Value::List(merged));
                record
            };
            let fresh = random::message(rng, &kind.schema().message, &world(kind));
            let last =
                |version: &Version| DynamicMessage::decode(kind.schema().message.clone(), version.record.clone()).unwrap();
            let merged: Vec<String> = before.as_ref().map_or_else(Vec::new, |version| {
                crate::model::wire::texts(&version.record, crate::model::schema::MERGED_NAMES).map(str::to_owned).collect()
            });
            match (&before, rng.u32(..8)) {
                (None, _) => history.write(kind, &id, ChangeKind::Created, None, &named(fresh, &[])),
                (Some(version), 0) if version.is_live() => {
                    let mut gone = last(version);
                    gone.set_field_by_name("delete_time", prost_reflect::Value::Message(time(1_000)));
                    history.write(kind, &id, ChangeKind::Deleted, None, &gone);
                }
                (Some(version), 1) if version.is_live() => {
                    let others: Vec<_> = history
                        .live(kind)
                        .into_iter()
                        .filter(|other| *other != id && history.at(kind, other, u64::MAX).unwrap().revision < history.head)
                        .collect();
                    let Some(into) = (!others.is_empty()).then(|| others[rng.usize(..others.len())].clone()) else { continue };
                    let target = history.at(kind, &into, u64::MAX).cloned().unwrap();
                    let mut target = last(&target);
                    let name = format!("{}/{id}", kind.collection());
                    let mut merged_names = target.get_field_by_name("merged_names").unwrap().as_list().unwrap().to_vec();
                    merged_names.extend(merged.iter().cloned().chain([name]).map(prost_reflect::Value::String));
                    target.set_field_by_name("merged_names", prost_reflect::Value::List(merged_names));
                    history.write(kind, &into, ChangeKind::Updated, None, &target);
                    history.write(kind, &id, ChangeKind::Merged, Some(format!("{}/{into}", kind.collection())), &last(version));
                }
                // An erased record has no merged names any more, so only a record without merged names is erased here.
                (Some(version), 2) if version.change == ChangeKind::Deleted && merged.is_empty() => {
                    let empty = DynamicMessage::new(kind.schema().message.clone());
                    history.write(kind, &id, ChangeKind::Erased, None, &empty);
                }
                (Some(version), _) if version.is_live() => {
                    history.write(kind, &id, ChangeKind::Updated, None, &named(fresh, &merged));
                }
                (Some(version), 3..) if version.change == ChangeKind::Deleted => {
                    history.write(kind, &id, ChangeKind::Undeleted, None, &named(fresh, &merged));
                }
                _ => {}
            }
        }
    }
    history
}

fn time(seconds: i64) -> DynamicMessage {
    let of = crate::proto::descriptors().get_message_by_name("google.protobuf.Timestamp").unwrap();
    let mut time = DynamicMessage::new(of);
    time.set_field_by_name("seconds", prost_reflect::Value::I64(seconds));
    time
}

/// A random order: its text, and the fields with their directions.
pub(super) fn order(rng: &mut Rng, kind: RecordKind) -> (String, Vec<(Path, bool)>) {
    let mut fields: Vec<(Path, bool)> = Vec::new();
    let mut texts = Vec::new();
    let served: &[&str] = match kind {
        RecordKind::Event => &["time.earliest"],
        RecordKind::Estimate => &["as_of.earliest"],
        _ => &["name"],
    };
    let others = [
        "name",
        "revision",
        "create_time",
        "metrics.k",
        "annotations.k",
        "title",
        "time.latest",
        "kind",
        "actuality",
        "revoked",
        "topic",
    ];
    for _field in 0..*[0, 1, 1, 1, 2, 3].get(rng.usize(..6)).unwrap() {
        let text = if rng.bool() { served[0] } else { others[rng.usize(..others.len())] };
        let (mut at, mut path) = (kind.schema().message.clone(), Path { fields: Vec::new(), key: None });
        let mut found = true;
        for name in text.split('.') {
            if path.fields.last().is_some_and(prost_reflect::FieldDescriptor::is_map) {
                path.key = Some(name.to_owned());
                continue;
            }
            let Some(field) = at.get_field_by_name(name) else {
                found = false;
                break;
            };
            if let prost_reflect::Kind::Message(inner) = field.kind() {
                at = inner;
            }
            path.fields.push(field);
        }
        if !found || texts.iter().any(|(before, _)| *before == text) {
            continue;
        }
        let descending = rng.bool();
        texts.push((text, descending));
        fields.push((path, descending));
    }
    let text = texts.iter().map(|(text, descending)| format!("{text}{}", if *descending { " desc" } else { "" }));
    (text.collect::<Vec<_>>().join(", "), fields)
}

#[test]
fn a_list_gives_what_sorting_and_filtering_everything_gives() {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let (mut listed, mut plans) = (0, BTreeMap::<&str, u32>::new());
    for kind in RecordKind::ALL.into_iter().cycle().take(60) {
        let history = history(&mut rng, &[kind, RecordKind::Actor, RecordKind::Event], 60);
        for _list in 0..40 {
            let revision = if rng.bool() { history.head } else { rng.u64(0..=history.head) };
            let depth = rng.u32(..3);
            let tree = if rng.u32(..8) == 0 {
                Tree::All(Vec::new())
            } else {
                random::tree(&mut rng, &kind.schema().message, &world(kind), depth, true)
            };
            let tree = if rng.bool() { led_by_keys(&mut rng, kind, tree) } else { tree };
            let filter = if matches!(&tree, Tree::All(parts) if parts.is_empty()) {
                String::new()
            } else {
                random::spell(&mut rng, &tree)
            };
            let (order_by, fields) = order(&mut rng, kind);
            let request =
                ListRecordsRequest { page_size: rng.i32(1..=7), show_deleted: rng.u32(..3) == 0, ..ask(&filter, &order_by) };
            let limits = StoreLimits {
                scan_rows: *[1, 2, 5, 50_000, 50_000, 50_000].get(rng.usize(..6)).unwrap(),
                sort_rows: 50_000,
                response_bytes: *[300, 4 << 20, 4 << 20].get(rng.usize(..3)).unwrap(),
                filter_terms: 1000,
                ..StoreLimits::default()
            };
            let found =
                pages(&history.state, kind, revision, &request, &limits).unwrap_or_else(|error| panic!("{request:?}\n{error}"));
            let plan = explain(kind, &request, &limits).unwrap();
            for word in [
                "every record",
                "index",
                " or ",
                " and ",
                "then sort",
                "in its order",
                "in a time range",
                "*\"",
                "at the origin",
                "nothing",
            ] {
                *plans.entry(word).or_default() += u32::from(plan.contains(word));
            }
            let context = || format!("SEED={seed} {kind:?} at {revision} of {}\n{request:?}\n{limits:?}\n{plan}", history.head);
            assert!(found.iter().all(|page| page.len() <= usize::try_from(request.page_size).unwrap()), "{}", context());
            let found: Vec<Bytes> = found.into_iter().flatten().collect();
            let expected = expected(&history, &Decoded::of(&history, revision), kind, &request, &tree, &fields);
            let shown = |records: &[Bytes]| {
                records.iter().map(|record| crate::model::wire::texts(record, 1).collect::<String>()).collect::<Vec<_>>()
            };
            assert_eq!(shown(&found), shown(&expected), "{}", context());
            assert_eq!(found, expected, "{}", context());
            listed += found.len();
        }
    }
    println!("{listed} records listed; plans: {plans:?}");
    assert!(listed > 2_000, "{listed}");
    assert!(plans.values().all(|count| *count > 20), "{plans:?}");
}

/// Adds conditions to a filter that keys can serve.
fn led_by_keys(rng: &mut Rng, kind: RecordKind, tree: Tree) -> Tree {
    let world = world(kind);
    let mut parts: Vec<Tree> = Vec::new();
    if kind == RecordKind::Estimate && rng.bool() {
        parts = with_series(rng, kind);
    }
    let wanted = parts.len() + rng.usize(1..=2);
    // Sometimes two conditions are on the same field: the plan must not take one for both.
    let twice = rng.u32(..4) == 0;
    while parts.len() < wanted {
        let leaf = random::tree(rng, &kind.schema().message, &world, 0, true);
        let name = |tree: &Tree| match tree {
            Tree::Compare(path, operator, _) if path.key.is_none() && *operator != "!=" => {
                Some(path.fields.iter().map(|field| field.name().to_owned()).collect::<Vec<_>>().join("."))
            }
            Tree::Words(field, _) => Some(field.clone()),
            _ => None,
        };
        let Some(leaf_name) = name(&leaf) else { continue };
        let served = world.favourites.contains(&leaf_name.as_str()) || matches!(leaf, Tree::Words(..));
        let same = parts.last().and_then(name).is_none_or(|before| before == leaf_name);
        if served && (!twice || same) {
            parts.push(leaf);
        }
    }
    let led = if rng.u32(..4) == 0 { Tree::Any(parts) } else { Tree::All(parts) };
    match tree {
        Tree::All(parts) if parts.is_empty() => led,
        tree if rng.u32(..4) == 0 => Tree::All(vec![led, tree]),
        _ => led,
    }
}

/// The conditions that the composite index serves.
fn with_series(rng: &mut Rng, kind: RecordKind) -> Vec<Tree> {
    let field = |name: &str| kind.schema().message.get_field_by_name(name).unwrap();
    let estimand = field("estimand");
    let prost_reflect::Kind::Message(inner) = estimand.kind() else { panic!() };
    let series = Path { fields: vec![estimand, inner.get_field_by_name("series").unwrap()], key: None };
    let mut parts = vec![Tree::Compare(series, "=", Literal::Text("a".into()))];
    if rng.bool() {
        let aspect = Path { fields: vec![field("aspect")], key: None };
        parts.push(Tree::Compare(aspect, "=", Literal::Enum("ASPECT_CUMULATIVE".into(), 2)));
    }
    parts
}

/// The records of a history at one revision, decoded.
pub(super) struct Decoded {
    pub(super) revision: u64,
    /// The live and the deleted ones.
    listed: Vec<DecodedRecord>,
    /// The live ones, by name.
    live: BTreeMap<String, DynamicMessage>,
    /// The same, with their collections.
    by_collection: Vec<(String, DynamicMessage)>,
    /// Every name that leads to the same record as a name, as far as it was asked for.
    names: RefCell<BTreeMap<String, Vec<String>>>,
}

struct DecodedRecord {
    kind: RecordKind,
    id: String,
    is_live: bool,
    message: DynamicMessage,
    bytes: Bytes,
}

impl Decoded {
    pub(super) fn of(history: &History, revision: u64) -> Self {
        let listed: Vec<_> = history
            .versions
            .keys()
            .filter_map(|(kind, id)| {
                let version = history.at(*kind, id, revision)?;
                let is_live = version.is_live();
                (is_live || version.change == ChangeKind::Deleted).then(|| DecodedRecord {
                    kind: *kind,
                    id: id.clone(),
                    is_live,
                    message: DynamicMessage::decode(kind.schema().message.clone(), version.record.clone()).unwrap(),
                    bytes: version.record.clone(),
                })
            })
            .collect();
        let live = || listed.iter().filter(|record| record.is_live);
        let name = |record: &DecodedRecord| format!("{}/{}", record.kind.collection(), record.id);
        Self {
            revision,
            live: live().map(|record| (name(record), record.message.clone())).collect(),
            by_collection: live().map(|record| (record.kind.collection().to_owned(), record.message.clone())).collect(),
            listed,
            names: RefCell::default(),
        }
    }

    fn names_of(&self, history: &History, name: &str) -> Vec<String> {
        self.names.borrow_mut().entry(name.to_owned()).or_insert_with(|| history.names_of(name, self.revision)).clone()
    }
}

pub(super) fn expected(
    history: &History,
    snapshot: &Decoded,
    kind: RecordKind,
    request: &ListRecordsRequest,
    tree: &Tree,
    order: &[(Path, bool)],
) -> Vec<Bytes> {
    let names_of = |name: &str| snapshot.names_of(history, name);
    let record_of = |name: &str| snapshot.live.get(&history.target(name, snapshot.revision));
    let meaning = Meaning {
        names_of: &names_of,
        words: &|text| words(text),
        word_fields: &["display_name", "names.text"],
        record_of: &record_of,
        live: &snapshot.by_collection,
    };
    let mut found: Vec<(&DynamicMessage, Bytes, String)> = snapshot
        .listed
        .iter()
        .filter(|record| record.kind == kind && (record.is_live || request.show_deleted))
        .filter(|record| brute::matches(tree, &record.message, &meaning))
        .map(|record| (&record.message, record.bytes.clone(), record.id.clone()))
        .collect();
    let backwards = order.last().is_some_and(|(_, descending)| *descending);
    found.sort_by(|(a, _, a_id), (b, _, b_id)| {
        let fields = order.iter().map(|(path, descending)| brute::order(path, *descending, a, b));
        let by_fields = fields.fold(Ordering::Equal, Ordering::then);
        by_fields.then_with(|| if backwards { b_id.cmp(a_id) } else { a_id.cmp(b_id) })
    });
    found.into_iter().map(|(_, record, _)| record).collect()
}

// ---------------------------------------------------------------- one thing at a time

/// Events e00000, e00001, ..., each made by `make`, all at revision 1.
pub(super) fn events(count: usize, make: impl Fn(usize, &mut proto::Event)) -> MemoryState {
    let mut state = MemoryState::default();
    for at in 0..count {
        let mut event = proto::Event { name: format!("events/e{at:05}"), title: "x".into(), ..Default::default() };
        make(at, &mut event);
        put(&mut state, 1, &event);
    }
    state
}

pub(super) fn put<R: TypedRecord>(state: &mut MemoryState, revision: u64, record: &R) {
    let record = Bytes::from(record.encode_to_vec());
    let name = crate::model::wire::texts(&record, 1).collect::<String>();
    let (_, id) = name.split_once('/').unwrap();
    let version = Version { revision, change: ChangeKind::Created, redirect: None, record: record.clone() };
    state.write(R::KIND, id, &version);
}

pub(super) fn at(seconds: i64) -> proto::TimeSpec {
    proto::TimeSpec { earliest: Some(prost_types::Timestamp { seconds, nanos: 0 }), ..Default::default() }
}

pub(super) fn ids_of(records: &[Bytes]) -> Vec<String> {
    records.iter().map(|record| crate::model::wire::texts(record, 1).collect::<String>().replace("events/e", "")).collect()
}

#[test]
fn an_order_by_index_has_the_unset_last_both_ways() {
    let state = events(6, |at, event| event.time = (at % 2 == 0).then(|| super::lists::at(-i64::try_from(at).unwrap())));
    let check = |order_by: &str, expected: [&str; 6]| {
        for page_size in 1..=7 {
            let request = ListRecordsRequest { page_size, ..ask("", order_by) };
            let pages = pages(&state, RecordKind::Event, 1, &request, &StoreLimits::default()).unwrap();
            assert_eq!(ids_of(&pages.concat()), expected, "{order_by}");
        }
        assert!(explain(RecordKind::Event, &ask("", order_by), &StoreLimits::default()).unwrap().contains("in its order"));
    };
    check("time.earliest", ["00004", "00002", "00000", "00001", "00003", "00005"]);
    check("time.earliest desc", ["00000", "00002", "00004", "00005", "00003", "00001"]);
    check("time.earliest desc, name desc", ["00000", "00002", "00004", "00005", "00003", "00001"]);
}

#[test]
fn an_order_whose_names_run_against_the_index_is_sorted() {
    let state = events(4, |number, event| event.time = Some(at(i64::try_from(number / 2).unwrap())));
    let request = ListRecordsRequest { page_size: 1, ..ask("", "time.earliest desc, name") };
    let found = pages(&state, RecordKind::Event, 1, &request, &StoreLimits::default()).unwrap();
    assert_eq!(ids_of(&found.concat()), ["00002", "00003", "00000", "00001"]);
}

#[test]
fn two_comparisons_with_many_times_may_hold_of_two_of_them() {
    let hop = |seconds| proto::Attribution { said_at: Some(at(seconds)), ..Default::default() };
    let claim = proto::Claim { name: "claims/c".into(), attribution: vec![hop(1), hop(100)], ..Default::default() };
    let mut state = MemoryState::default();
    let version = Version { revision: 1, change: ChangeKind::Created, redirect: None, record: claim.encode_to_vec().into() };
    state.write(RecordKind::Claim, "c", &version);
    let count =
        |filter: &str| page(&state, RecordKind::Claim, 1, &ask(filter, ""), &StoreLimits::default()).unwrap().records.len();
    let (from, to) = ("said_at.earliest >= \"1970-01-01T00:00:50Z\"", "said_at.earliest < \"1970-01-01T00:00:30Z\"");
    assert_eq!(count(&format!("attribution.{from} AND attribution.{to}")), 1);
    assert_eq!(count(&format!("attribution:({from} AND {to})")), 0);
}

#[test]
fn too_many_matches_are_not_sorted_and_the_error_says_what_would_be() {
    let state = events(20, |at, event| event.title = format!("{at}"));
    let limits = StoreLimits { sort_rows: 19, ..StoreLimits::default() };
    let error: StoreError = page(&state, RecordKind::Event, 1, &ask("", "title"), &limits).unwrap_err();
    assert_eq!(error.reason, ErrorReason::LimitExceeded);
    let expected = [("limit", "list.sort_rows".into()), ("maximum", "19".into()), ("actual", "20".into())];
    assert_eq!(error.metadata, expected);
    assert!(error.message.contains("name; time.earliest"), "{error}");
    assert!(page(&state, RecordKind::Event, 1, &ask("NOT title = \"7\"", "title"), &limits).is_ok(), "matches count, not rows");
    assert!(page(&state, RecordKind::Event, 1, &ask("", "time.earliest"), &limits).is_ok(), "an index serves it");
    assert!(
        page(&state, RecordKind::Event, 1, &ask("time.earliest > \"2000-01-01\"", ""), &limits).is_ok(),
        "so does the name"
    );
}

#[test]
fn an_index_is_read_instead_of_all_records() {
    let state = events(5000, |at, event| {
        event.external_ids = vec![format!("x:{at}")];
        event.types = vec![format!("t:{}", at % 500), "t:all".into()];
        event.labels = vec![format!("l:{}", at % 3)];
        event.time = Some(super::lists::at(i64::try_from(at).unwrap()));
        event.participants = vec![proto::Participant { actor: format!("actors/a{}", at % 1000), ..Default::default() }];
    });
    let check = |filter: &str, order_by: &str, matches: usize, reads_max: u64, plan: &str| {
        state.reads.store(0, Relaxed);
        let request = ListRecordsRequest { page_size: 1000, ..ask(filter, order_by) };
        let found = page(&state, RecordKind::Event, 1, &request, &StoreLimits::default()).unwrap();
        let reads = state.reads.load(Relaxed);
        assert_eq!(found.records.len(), matches, "{filter}");
        let explained = explain(RecordKind::Event, &request, &StoreLimits::default()).unwrap();
        assert!(reads <= reads_max, "{filter}: {reads} reads; {explained}");
        assert!(explained.starts_with(plan), "{filter}: {explained}");
    };
    check("external_ids:\"x:77\"", "", 1, 30, "index external_ids = \"x:77\", by name");
    check("external_ids:\"x:77\" AND types:\"t:all\"", "time.earliest", 1, 30, "index external_ids = \"x:77\", then sort");
    check("types:\"t:7\"", "", 10, 60, "index types = \"t:7\"");
    check("types:\"t:7\" AND labels:\"l:1\"", "", 4, 250, "index labels = \"l:1\" and index types = \"t:7\"");
    check("types:\"t:7\" OR types:\"t:8\"", "", 20, 120, "(index types = \"t:7\" or index types = \"t:8\")");
    check("participants.actor = \"actors/a5\"", "time.earliest desc", 5, 60, "index participants.actor = \"actors/a5\"");
    check("participants:(actor = \"actors/a5\" AND role = PARTY)", "", 0, 60, "index participants.actor = \"actors/a5\"");
    check(
        "time:(earliest >= \"1970-01-01\" AND earliest < \"1970-01-01T00:00:05Z\")",
        "",
        5,
        40,
        "index time.earliest in a time range",
    );
    check(
        "types:\"t:all\" AND time.earliest < \"1970-01-01T00:00:05Z\"",
        "time.earliest",
        5,
        2100,
        "index types = \"t:all\", then sort",
    );
    check(
        "time.earliest > \"1970-01-01\" AND time.earliest >= \"1970-01-01T01:23:15Z\"",
        "",
        5,
        40,
        "index time.earliest in a time range",
    );
    check(
        "time.earliest < \"1970-01-02\" AND time.earliest <= \"1970-01-01T00:00:04Z\"",
        "",
        5,
        40,
        "index time.earliest in a time range",
    );
    check("external_ids = \"x:77*\"", "", 11, 80, "index external_ids = \"x:77*\"");
    check("name = \"events/e00007\"", "", 1, 10, "name = \"events/e00007\"");
    check("name = \"events/e0000*\"", "", 10, 40, "name = \"events/e0000*\"");
    check("name = \"claims/e00007\"", "", 0, 0, "nothing");
    check("time.earliest > \"1970-01-02\" AND time.earliest < \"1970-01-01\"", "", 0, 10, "index time.earliest");
    check("NOT types:\"t:7\" AND title = \"y\"", "", 0, 6000, "every record");
}

#[test]
fn keys_of_origins_alone_are_read_where_the_filter_asks_for_them() {
    let request = ask("attribution:(role = ORIGIN AND actors:\"actors/nis\")", "");
    let plan = explain(RecordKind::Claim, &request, &StoreLimits::default()).unwrap();
    assert!(plan.starts_with("index attribution.actors = \"actors/nis\" at the origin, by name"), "{plan}");
    let plan = explain(RecordKind::Claim, &ask("attribution.actors:\"actors/nis\"", ""), &StoreLimits::default()).unwrap();
    assert!(plan.starts_with("(index attribution.actors = \"actors/nis\" or index"), "{plan}");
    let plan = explain(
        RecordKind::Claim,
        &ask("attribution.role = ORIGIN AND attribution.actors:\"actors/nis\"", ""),
        &StoreLimits::default(),
    )
    .unwrap();
    assert!(plan.starts_with("(index attribution.actors"), "two hops may be meant: {plan}");
}

#[test]
fn a_name_that_leads_to_an_erased_record_is_still_found_where_it_is_stored() {
    let mut state = MemoryState::default();
    let mut write = |kind, id: &str, change, redirect: Option<&str>, record: Vec<u8>| {
        let version = Version { revision: 1, change, redirect: redirect.map(str::to_owned), record: record.into() };
        state.write(kind, id, &version);
    };
    write(RecordKind::Actor, "a", ChangeKind::Merged, Some("actors/b"), Vec::new());
    write(RecordKind::Actor, "b", ChangeKind::Erased, None, Vec::new());
    let about = proto::Claim { name: "claims/c".into(), about: vec!["actors/a".into()], ..Default::default() };
    write(RecordKind::Claim, "c", ChangeKind::Created, None, about.encode_to_vec());
    let count =
        |filter: &str| page(&state, RecordKind::Claim, 1, &ask(filter, ""), &StoreLimits::default()).unwrap().records.len();
    assert_eq!(count("about:\"actors/a\""), 1);
    assert_eq!(count("about:\"actors/b\""), 0);
}

#[test]
fn no_filter_makes_the_plan_panic() {
    let mut rng = Rng::new();
    let limits = StoreLimits { filter_terms: 1000, ..StoreLimits::default() };
    let state = events(3, |_, event| event.types = vec!["a".into()]);
    for _case in 0..2_000 {
        let kind = RecordKind::ALL[rng.usize(..6)];
        let tree = random::tree(&mut rng, &kind.schema().message, &world(kind), 3, true);
        let (order_by, _) = order(&mut rng, kind);
        let mut filter: Vec<char> = random::spell(&mut rng, &tree).chars().collect();
        for _change in 0..rng.usize(..3) {
            let at = rng.usize(..filter.len());
            filter[at] = *['\0', 'a', '*', '\\', '9', ' ', '"', '\u{10ffff}'].get(rng.usize(..8)).unwrap();
        }
        let request = ask(&filter.into_iter().collect::<String>(), &order_by);
        if explain(kind, &request, &limits).is_ok() {
            page(&state, kind, 1, &request, &limits).unwrap();
        }
    }
}

#[test]
fn a_token_of_another_list_is_refused() {
    let state = events(3, |_, _| {});
    let first =
        page(&state, RecordKind::Event, 1, &ListRecordsRequest { page_size: 1, ..ask("", "") }, &StoreLimits::default())
            .unwrap();
    let request = ListRecordsRequest { page_token: first.next_page_token, ..ask("title:*", "") };
    let error = page(&state, RecordKind::Event, 1, &request, &StoreLimits::default()).unwrap_err();
    assert_eq!(error.reason, ErrorReason::PageTokenMismatch);
}
