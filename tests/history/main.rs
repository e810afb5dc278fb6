//! A long random history on two engines, compared at every revision with an independent model and with replays of the log.
//!
//! It fails if a commit does something other than its answer says, if a later commit changes how an earlier revision reads, if
//! the two engines differ, or if the state contains keys that the log does not imply.
#![allow(missing_docs)]

#[path = "../filter/brute.rs"]
#[allow(clippy::pedantic, dead_code, unreachable_pub)]
mod brute;
mod model;
mod pages;
#[path = "../filter/random.rs"]
#[allow(clippy::pedantic, dead_code, unreachable_pub)]
mod random;
mod workload;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use annals::{
    engine::{
        Engine, Log as _, LogEntry, LogSequence,
        embedded::{EmbeddedEngine, EmbeddedOptions},
        memory::{MemoryEngine, MemoryState},
    },
    model::{RecordKind, words},
    proto::{self, BatchGetRecordsRequest, CommitRequest, CommitResponse, GetRecordRequest, ListRecordsRequest},
    store::{Caller, Clock, PendingCommit, Store, StoreError, StoreOptions, verify},
};
use brute::Meaning;
use bytes::Bytes;
use fastrand::Rng;
use model::{Model, Prediction, Version, changed_fields, collection_of, timestamp};
use prost_reflect::DynamicMessage;
use random::{Tree, World};

const COMMITS: u64 = 2_000;
/// Revisions at which whole collections are listed.
const LISTED: u64 = 150;
const START_US: i64 = 1_800_000_000_000_000;

/// A clock that the test moves, also backwards.
#[derive(Debug)]
struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Stepped {
    fn at_start() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START_US)))
    }
}

fn options(clock: &Arc<Stepped>) -> StoreOptions {
    StoreOptions { clock: Arc::clone(clock) as Arc<dyn Clock>, ..StoreOptions::default() }
}

fn serving(engine: impl Into<Engine>, options: StoreOptions) -> Store {
    let store = Store::start(engine, options).unwrap();
    store.wait_until_serving().unwrap();
    store
}

/// The seed of a run: `SEED` if it is set. Always printed.
pub(crate) fn rng() -> (u64, Rng) {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    (seed, Rng::with_seed(seed))
}

/// One history on the embedded engine and on the reference engine, with the model of the expected result.
struct Run<'f> {
    folder: &'f Path,
    clock: Arc<Stepped>,
    engines: [Engine; 2],
    stores: [Store; 2],
    memory: MemoryEngine,
    model: Model,
    /// Requests made so far.
    requests: u64,
    /// Every accepted request with its answer.
    answered: Vec<(CommitRequest, CommitResponse)>,
    /// The times of reads, with the revision of each read.
    times: Vec<(i64, u64)>,
    refused: BTreeMap<&'static str, u64>,
}

/// The expected result of one of several requests that are sent at the same time.
#[derive(Debug)]
enum Expected {
    /// This result, at this head.
    Predicted { head: u64, prediction: Prediction },
    /// The same result as the request at this position.
    Again(usize),
}

impl<'f> Run<'f> {
    fn new(folder: &'f Path) -> Self {
        let clock = Stepped::at_start();
        let memory = MemoryEngine::new();
        let engines = engines(folder, &memory);
        let stores = engines.clone().map(|engine| serving(engine, options(&clock)));
        Self {
            folder,
            clock,
            engines,
            stores,
            memory,
            model: Model::default(),
            requests: 0,
            answered: Vec::new(),
            times: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Closes both stores and opens them again.
    fn reopen(&mut self) {
        for store in &self.stores {
            store.close().unwrap();
        }
        // The folder is let go of with the engine.
        self.engines = [MemoryEngine::new().into(), MemoryEngine::new().into()];
        self.stores = self.engines.clone().map(|engine| serving(engine, options(&self.clock)));
        self.engines = engines(self.folder, &self.memory);
        self.stores = self.engines.clone().map(|engine| serving(engine, options(&self.clock)));
        self.model.reopen();
    }

    /// Makes several requests, each for the state after the previous ones, and sometimes repeats one. Sends them at the same
    /// time to both stores and compares the answers with the model.
    fn commit(&mut self, rng: &mut Rng, first: CommitRequest, count: usize) {
        let mut sent: Vec<(CommitRequest, Expected)> = Vec::new();
        let mut next = Some(first);
        while sent.len() < count && self.model.head() < COMMITS {
            // A refused request is not remembered. Sent again, it might be applied.
            let is_accepted = |(_, expected): &(CommitRequest, Expected)| matches!(expected, Expected::Predicted { prediction, .. } if !matches!(prediction, Prediction::Refused(_)));
            if rng.u32(..8) == 0
                && let Some(again) = sent.iter().position(is_accepted)
            {
                sent.push((sent[again].0.clone(), Expected::Again(again)));
                continue;
            }
            let request = next.take().unwrap_or_else(|| self.request(rng));
            let prediction = self.model.predict(&request, self.clock.now_us());
            let head = self.model.head();
            self.model.apply(&prediction);
            sent.push((request, Expected::Predicted { head, prediction }));
        }
        let answers = self.stores.each_ref().map(|store| {
            let pending: Vec<_> = sent.iter().map(|(request, _)| store.submit(&Caller::anonymous(), request.clone())).collect();
            pending.into_iter().map(PendingCommit::wait).collect::<Vec<_>>()
        });
        let [answers, others] = answers;
        for (at, ((request, expected), answer)) in sent.iter().zip(&answers).enumerate() {
            let context = || format!("{expected:?}: {}", workload::shown(request));
            assert_eq!(answer, &others[at], "the engines differ: {}", context());
            match (expected, answer) {
                (Expected::Again(first), Ok(response)) => {
                    let first = answers[*first].clone().unwrap();
                    assert_eq!(*response, CommitResponse { replayed: true, ..first }, "{}", context());
                }
                (Expected::Predicted { prediction: Prediction::Refused(reason), .. }, Err(error)) => {
                    assert_eq!(reason_of(error), *reason, "{error}\n{}", context());
                    *self.refused.entry(reason).or_default() += 1;
                }
                (Expected::Predicted { head, prediction: Prediction::Unchanged(results) }, Ok(response)) => {
                    assert_eq!((&response.results, response.replayed), (results, false), "{}", context());
                    assert_eq!(response.revision, to_i64(*head), "{}", context());
                }
                (Expected::Predicted { head, prediction: Prediction::Committed { time_us, results, .. } }, Ok(response)) => {
                    assert_eq!((&response.results, response.replayed), (results, false), "{}", context());
                    assert_eq!(response.revision, to_i64(head + 1), "{}", context());
                    assert_eq!(response.commit_time, Some(timestamp(*time_us)), "{}", context());
                }
                (_, answer) => panic!("{answer:?}\n{}", context()),
            }
            if let (Expected::Predicted { .. }, Ok(response)) = (expected, answer) {
                self.answered.push((request.clone(), response.clone()));
            }
        }
    }

    fn request(&mut self, rng: &mut Rng) -> CommitRequest {
        self.requests += 1;
        workload::request(rng, &self.model, format!("r{}", self.requests))
    }

    /// A dry run of a request, which changes nothing.
    fn validate(&self, request: &CommitRequest) {
        let prediction = self.model.predict(request, self.clock.now_us());
        let request = workload::only_checked(request);
        for store in &self.stores {
            match (&prediction, store.commit(request.clone())) {
                (Prediction::Refused(reason), Err(error)) => assert_eq!(reason_of(&error), *reason, "{error}"),
                (Prediction::Unchanged(results) | Prediction::Committed { results, .. }, Ok(response)) => {
                    let kinds = |results: &[proto::MutationResult]| -> Vec<_> {
                        results.iter().map(|result| (result.name.clone(), result.kind())).collect()
                    };
                    assert_eq!(kinds(&response.results), kinds(results));
                    assert_eq!((response.revision, response.commit_time), (0, None));
                }
                (_, answer) => panic!("{answer:?}\n{}\n{prediction:?}", workload::shown(&request)),
            }
        }
    }

    /// Repeats a request that was answered long ago.
    fn repeat(&self, rng: &mut Rng) {
        let Some((request, response)) = self.answered.get(rng.usize(..self.answered.len().max(1))) else { return };
        let again = CommitResponse { replayed: true, ..response.clone() };
        for store in &self.stores {
            assert_eq!(store.commit(request.clone()).unwrap(), again);
            let other = CommitRequest { mutations: vec![request.mutations[0].clone(); 2], ..request.clone() };
            assert_eq!(reason_of(&store.commit(other).unwrap_err()), "REQUEST_ID_REUSED");
        }
    }

    /// Reads as of a past or present time. Later commits must not change the answer.
    fn read_at(&mut self, time_us: i64) {
        self.model.answer_time(time_us);
        let revision = self.model.revision_at(time_us);
        for store in &self.stores {
            assert_eq!(revision_at(store, time_us), revision, "at {time_us} of {}", self.model.head());
        }
        self.times.push((time_us, revision));
    }

    fn make(&mut self, rng: &mut Rng) {
        while self.model.head() < COMMITS {
            let step = *workload::one(rng, &[0, 1, 700, 1_000, 3_000, 3_000, -10_000, 2_000_000]);
            self.clock.0.fetch_add(step, Ordering::SeqCst);
            let request = self.request(rng);
            match rng.u32(..60) {
                0 => self.validate(&request),
                1 => self.repeat(rng),
                2 => self.read_at(self.clock.now_us()),
                3 => self.read_at(self.clock.now_us() - rng.i64(0..5_000_000)),
                _ => {}
            }
            // Several requests at once share a sync, and are checked against each other before any of them is in the state.
            let count = if rng.u32(..8) == 0 { rng.usize(2..=16) } else { 1 };
            self.commit(rng, request, count);
            if rng.u64(..COMMITS) < 2 || self.model.head() == COMMITS / 2 && rng.u32(..3) == 0 {
                self.reopen();
            }
        }
    }
}

fn engines(folder: &Path, memory: &MemoryEngine) -> [Engine; 2] {
    let options = EmbeddedOptions { segment_bytes: 256 << 10, cache_bytes: 16 << 20, ..EmbeddedOptions::default() };
    [EmbeddedEngine::open(folder, options).unwrap().into(), memory.reopen().into()]
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

fn reason_of(error: &StoreError) -> &'static str {
    error.reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

fn kind_of(name: &str) -> RecordKind {
    RecordKind::from_collection(collection_of(name)).unwrap()
}

fn decoded(collection: &str, bytes: &Bytes) -> DynamicMessage {
    DynamicMessage::decode(model::descriptor(model::message_of(collection)), bytes.clone()).unwrap()
}

fn revision_at(store: &Store, time_us: i64) -> u64 {
    let request = BatchGetRecordsRequest {
        names: vec!["actors/a0".into()],
        as_of_time: Some(timestamp(time_us)),
        allow_missing: true,
        ..Default::default()
    };
    store.batch_get(&request).unwrap().revision.cast_unsigned()
}

/// What a Get must answer.
fn expected<'m>(model: &'m Model, request: &GetRecordRequest, revision: u64) -> Result<&'m Version, (&'static str, String)> {
    let name = &request.name;
    let Some(first) = model.at(name, revision) else { return Err(("RECORD_NOT_FOUND", name.clone())) };
    if request.no_redirect && first.redirect.is_some() {
        return Err(("RECORD_REDIRECTED", name.clone()));
    }
    let (target, version) = model.resolve(name, revision).unwrap();
    if version.is_live() || request.show_deleted { Ok(version) } else { Err(("RECORD_DELETED", target)) }
}

/// Reads a record in every way, from a store at its head and from others as of the same revision.
fn check_record(model: &Model, name: &str, revision: u64, at_head: &Store, others: &[Store]) {
    for (show_deleted, no_redirect) in [(false, false), (true, false), (false, true)] {
        let request = GetRecordRequest { name: name.into(), show_deleted, no_redirect, ..Default::default() };
        let answer = at_head.get_encoded(kind_of(name), &request);
        for other in others {
            let request = GetRecordRequest { as_of_revision: to_i64(revision), ..request.clone() };
            assert_eq!(other.get_encoded(kind_of(name), &request), answer, "{name} at {revision}");
        }
        match (expected(model, &request, revision), answer) {
            (Ok(version), Ok(bytes)) => {
                let found = decoded(collection_of(name), &bytes);
                assert!(found == *version.record, "{name} at {revision}\n{found}\n{}", version.record);
            }
            (Err((reason, named)), Err(error)) => {
                assert_eq!(reason_of(&error), reason, "{name} at {revision}");
                assert!(error.metadata.contains(&("name", named.clone())), "{named}: {error:?}");
            }
            (expected, answer) => panic!("{name} at {revision}: {answer:?}, not {expected:?}"),
        }
    }
}

/// All pages of a list.
fn list(store: &Store, kind: RecordKind, request: &ListRecordsRequest) -> Result<Vec<Bytes>, StoreError> {
    list_page_by_page(store, kind, request, &mut || {}).map(|(_, records)| records)
}

/// All pages of a list and their revision. Does something after each page.
fn list_page_by_page(
    store: &Store,
    kind: RecordKind,
    request: &ListRecordsRequest,
    after_each: &mut dyn FnMut(),
) -> Result<(u64, Vec<Bytes>), StoreError> {
    let (mut request, mut records, mut revision) = (request.clone(), Vec::new(), None);
    loop {
        let page = store.list_encoded(kind, &request)?;
        after_each();
        let revision = *revision.get_or_insert(page.revision);
        assert_eq!(page.revision, revision, "all pages are read at one revision");
        records.extend(page.records);
        if page.next_page_token.is_empty() {
            return Ok((revision.cast_unsigned(), records));
        }
        request.page_token = page.next_page_token;
    }
}

/// Lists with random filters and orders, and all references to some records.
fn check_lists(model: &Model, rng: &mut Rng, revision: u64, at_head: &Store, others: &[Store]) {
    let mut lists = Vec::new();
    for kind in RecordKind::ALL {
        lists.push((kind, Tree::All(Vec::new()), String::new()));
        for depth in [0, 1, 2] {
            let (tree, filter) = random_filter(rng, kind, depth);
            lists.push((kind, tree, filter));
        }
    }
    for (kind, path) in [
        (RecordKind::Source, "publisher"),
        (RecordKind::Source, "derived_from"),
        (RecordKind::Event, "participants.actor"),
        (RecordKind::Event, "citations.source"),
        (RecordKind::Claim, "attribution.actors"),
        (RecordKind::Claim, "citations.source"),
        (RecordKind::Claim, "about"),
        (RecordKind::Estimate, "estimand.subjects"),
        (RecordKind::Estimate, "attribution.actors"),
        (RecordKind::Relation, "subject"),
        (RecordKind::Relation, "object"),
        (RecordKind::Relation, "asserted_by"),
    ] {
        let (tree, filter) = refers(rng, kind, path);
        lists.push((kind, tree, filter));
    }
    for (kind, tree, filter) in lists {
        let request = ListRecordsRequest {
            filter: filter.clone(),
            order_by: random_order(rng, kind).into(),
            page_size: rng.i32(1..=40),
            show_deleted: rng.u32(..4) == 0,
            ..Default::default()
        };
        let found = list(at_head, kind, &request).unwrap_or_else(|error| panic!("{error}: {request:?}"));
        for other in others {
            let request = ListRecordsRequest { as_of_revision: to_i64(revision), page_size: 40, ..request.clone() };
            assert!(list(other, kind, &request).unwrap() == found, "the stores differ at {revision}: {request:?}");
        }
        assert_listed(model, kind, &tree, &request, revision, &found);
    }
}

/// Compares a whole list with filtering and sorting everything.
pub(crate) fn assert_listed(
    model: &Model,
    kind: RecordKind,
    tree: &Tree,
    request: &ListRecordsRequest,
    revision: u64,
    found: &[Bytes],
) {
    let meaning = Meaning {
        names_of: &|name| model.names_of(name, revision),
        words: &|text| words(text),
        word_fields: &["display_name", "names.text"],
        record_of: &|_| None,
        live: &[],
    };
    let mut wanted: Vec<&DynamicMessage> = model
        .listed(kind.collection(), revision, request.show_deleted)
        .into_iter()
        .map(|(_, version)| version.record.as_ref())
        .filter(|record| brute::matches(tree, record, &meaning))
        .collect();
    sort(&mut wanted, &request.order_by);
    let found: Vec<_> = found.iter().map(|bytes| decoded(kind.collection(), bytes)).collect();
    let names = |records: &[&DynamicMessage]| records.iter().map(|record| model::text(record, "name")).collect::<Vec<_>>();
    let found: Vec<_> = found.iter().collect();
    assert_eq!(names(&found), names(&wanted), "at {revision}: {request:?}");
    assert!(found == wanted, "at {revision}: {request:?}");
}

/// A random filter on a type, as a tree and as text.
pub(crate) fn random_filter(rng: &mut Rng, kind: RecordKind, depth: u32) -> (Tree, String) {
    let world = World {
        names: &workload::names,
        favourites: vec!["name", "external_ids", "labels"],
        words: (kind == RecordKind::Actor).then_some("name_tokens"),
        references: 0,
        common: false,
    };
    let tree = random::tree(rng, &model::descriptor(kind.message()), &world, depth, true);
    let filter = random::spell(rng, &tree);
    (tree, filter)
}

/// A random order of a type.
pub(crate) fn random_order(rng: &mut Rng, kind: RecordKind) -> &'static str {
    let orders: &[&str] = match kind {
        RecordKind::Event => &["", "name desc", "time.earliest", "time.earliest desc", "update_time desc, title"],
        RecordKind::Estimate => &["", "as_of.earliest", "as_of.earliest desc", "revision"],
        _ => &["", "name desc", "create_revision", "update_time desc"],
    };
    workload::one::<&str>(rng, orders)
}

/// A filter for references from one field.
fn refers(rng: &mut Rng, kind: RecordKind, path: &str) -> (Tree, String) {
    let (mut at, mut fields) = (model::descriptor(kind.message()), Vec::new());
    for name in path.split('.') {
        let field = at.get_field_by_name(name).unwrap();
        if let prost_reflect::Kind::Message(inner) = field.kind() {
            at = inner;
        }
        fields.push(field);
    }
    let wanted = random::reference_target(fields.last().unwrap()).unwrap();
    let name = workload::one(rng, &workload::names(&wanted)).clone();
    let filter = format!("{path} = \"{name}\"");
    (Tree::Compare(random::Path { fields, key: None }, "=", random::Literal::Name(name)), filter)
}

/// Sorts by an order of the contract: unset last in both directions, ties by name, in the direction of the last field.
fn sort(records: &mut [&DynamicMessage], order_by: &str) {
    let fields: Vec<(&str, bool)> = order_by
        .split(", ")
        .filter(|field| !field.is_empty())
        .map(|field| field.strip_suffix(" desc").map_or((field, false), |path| (path, true)))
        .collect();
    let backwards = fields.last().is_some_and(|(_, descending)| *descending);
    records.sort_by(|a, b| {
        let fields = fields.iter().map(|(path, descending)| match (value(a, path), value(b, path)) {
            (Some(a), Some(b)) if *descending => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        let names = model::text(a, "name").cmp(&model::text(b, "name"));
        fields.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(if backwards { names.reverse() } else { names })
    });
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Ordered {
    Number(i64),
    Text(String),
    Time(i64, i32),
}

fn value(record: &DynamicMessage, path: &str) -> Option<Ordered> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if !record.has_field_by_name(first) {
        return None;
    }
    let value = record.get_field_by_name(first).unwrap().into_owned();
    match (value, rest) {
        (prost_reflect::Value::Message(inner), Some(rest)) => self::value(&inner, rest),
        (prost_reflect::Value::Message(time), None) => {
            let seconds = time.get_field_by_name("seconds").unwrap().as_i64().unwrap();
            Some(Ordered::Time(seconds, time.get_field_by_name("nanos").unwrap().as_i32().unwrap()))
        }
        (prost_reflect::Value::I64(number), None) => Some(Ordered::Number(number)),
        (prost_reflect::Value::String(text), None) => Some(Ordered::Text(text)),
        (other, _) => panic!("{path}: {other:?}"),
    }
}

/// Compares each whole commit, and the history of each record, with the model and with each other.
fn check_history(model: &Model, store: &Store) {
    let mut last_us = i64::MIN;
    let mut by_name: BTreeMap<String, Vec<proto::Change>> = BTreeMap::new();
    for (revision, (time_us, changes)) in (1..).zip(&model.commits) {
        assert!(*time_us > last_us, "commit times rise");
        last_us = *time_us;
        let commit = store.get_commit(revision).unwrap();
        assert_eq!((commit.revision, commit.commit_time), (revision, Some(timestamp(*time_us))));
        assert_eq!((commit.author.as_str(), commit.changes.len()), ("anonymous", changes.len()));
        for (change, (name, version)) in commit.changes.iter().zip(changes) {
            let before = model.at(name, version.revision - 1);
            assert_eq!((&change.name, change.kind(), change.revision), (name, version.change, revision));
            assert_eq!(change.previous_revision, before.map_or(0, |before| to_i64(before.revision)));
            assert_eq!(change.redirect_target, version.redirect.clone().unwrap_or_default());
            assert!(model::dynamic(change.record.as_ref().unwrap()) == *version.record, "{name} at {revision}");
            let fields = changed_fields(version.change, before.map(|before| before.record.as_ref()), &version.record);
            assert_eq!(change.changed_fields, fields, "{name} at {revision}");
            let change = proto::Change { commit_time: commit.commit_time, author: commit.author.clone(), ..change.clone() };
            by_name.entry(name.clone()).or_default().insert(0, change);
        }
    }
    assert_eq!(reason_of(&store.get_commit(to_i64(model.head()) + 1).unwrap_err()), "REVISION_IN_FUTURE");
    assert_eq!(by_name.keys().collect::<Vec<_>>(), model.versions.keys().collect::<Vec<_>>());
    for (name, changes) in by_name {
        let (mut found, mut request) =
            (Vec::new(), proto::ListRevisionsRequest { name: name.clone(), page_size: 7, ..Default::default() });
        loop {
            let page = store.list_revisions(&request).unwrap();
            found.extend(page.changes);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert!(found == changes, "the history of {name} is not what its commits say");
    }
}

fn assert_sound(engine: &Engine) {
    let mut findings = Vec::new();
    verify(engine, &MemoryState::default(), &mut |finding| findings.push(finding.to_string())).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}

/// A store on a new memory engine with entries of a log.
fn replayed(entries: &[LogEntry]) -> Store {
    let engine = MemoryEngine::new();
    engine.log.append(LogSequence(0), entries).unwrap();
    serving(engine, StoreOptions::default())
}

#[test]
fn every_revision_reads_as_a_replay_to_it_and_as_an_independent_model() {
    let (_, mut rng) = rng();
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path());
    let started = std::time::Instant::now();
    run.make(&mut rng);
    println!("{} commits, refused {:?}, {:?}", run.model.head(), run.refused, started.elapsed());
    assert!(run.refused.len() >= 10, "the history says little: {:?}", run.refused);
    for (time_us, revision) in &run.times {
        for store in &run.stores {
            assert_eq!(revision_at(store, *time_us), *revision, "an answer as of a time never changes");
        }
    }

    let log = run.engines.each_ref().map(|engine| engine.log.read_after(LogSequence(0), usize::MAX).unwrap());
    assert_eq!(log[0].len(), log[1].len());
    assert!(log[0][1..] == log[1][1..], "two engines log the same, but for the id of the store");
    let listed: BTreeSet<u64> = (0..LISTED).map(|_| rng.u64(1..=COMMITS)).chain([1, COMMITS]).collect();
    let afresh: BTreeSet<u64> = (0..4).map(|_| rng.u64(1..=COMMITS)).collect();
    let prefix = MemoryEngine::new();
    let mut revision = 0;
    for (at, entry) in log[0].iter().enumerate() {
        prefix.log.append(prefix.log.head().unwrap(), std::slice::from_ref(entry)).unwrap();
        // The model counts in whole numbers without a sign.
        let logged = entry.revision.cast_unsigned();
        if logged == revision {
            continue;
        }
        revision += 1;
        assert_eq!(logged, revision, "revisions have no gaps");
        let at_head = serving(prefix.reopen(), StoreOptions::default());
        let info = at_head.info().unwrap();
        assert_eq!(info.head_revision, revision.cast_signed());
        for (kind, count) in info.record_counts {
            let live = run.model.listed(kind.collection(), revision, false).len() as u64;
            assert_eq!(count, live, "{kind:?} at {revision}");
        }
        let (_, changes) = &run.model.commits[usize::try_from(revision - 1).unwrap()];
        let some: Vec<_> = RecordKind::ALL.map(|kind| workload::any_name(&mut rng, kind.collection())).into();
        for name in changes.iter().map(|(name, _)| name).chain(some.iter().take(3)) {
            check_record(&run.model, name, revision, &at_head, &run.stores);
        }
        if listed.contains(&revision) {
            check_lists(&run.model, &mut rng, revision, &at_head, &run.stores);
        }
        if afresh.contains(&revision) {
            let afresh = replayed(&log[0][..=at]);
            for name in run.model.versions.keys() {
                check_record(&run.model, name, revision, &afresh, &run.stores);
            }
            check_lists(&run.model, &mut rng, revision, &afresh, std::slice::from_ref(&at_head));
        }
        at_head.close().unwrap();
    }
    assert_eq!(revision, COMMITS);
    println!("every revision read, {:?}", started.elapsed());

    for (store, engine) in run.stores.iter().zip(&run.engines) {
        check_history(&run.model, store);
        assert_sound(engine);
    }
    println!("done, {:?}", started.elapsed());
}
