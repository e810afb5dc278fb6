//! Groups rows into commits, within the limits of a server.
//!
//! The content of a commit depends on the rows alone, and so does its request id. A second import of the same file therefore
//! gets the receipts of the first, and a changed row does not.
//!
//! Must not know who applies a commit, or how a row was read.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
};

use prost::Message;

use super::{ImportRow, ImportRowError, ImportRows, mutation};
use crate::{
    formats::values,
    limits::{Limit, StoreLimits},
    proto::{CommitRequest, Mutation},
};

/// A group of rows that becomes one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportBatch {
    /// The rows, in order. There is at least one.
    pub rows: Vec<ImportRow>,
    /// Their mutations: first the shared records, each once, then the rows' own.
    pub commit: CommitRequest,
    /// Names of shared records that an earlier commit of the run also has. This commit may repeat them or leave them out.
    pub repeats: HashSet<String>,
    origin: String,
}

/// Groups rows into batches, in order. A bad row, or a row that is too large for a commit, is an error. The iteration continues
/// after it.
///
/// ```
/// use annals::{
///     formats::import::{ImportRow, batch::{ImportBatchLimits, ImportBatches, SentRecords}},
///     proto::{Actor, Event, Mutation, Participant},
///     store::Store,
/// };
///
/// let actor = Actor { name: "actors/x-1".into(), display_name: "One".into(), ..Default::default() };
/// let row = |number: u64| {
///     let title = format!("row {number}");
///     let participants = vec![Participant { actor: "actors/x-1".into(), ..Default::default() }];
///     let event = Event { name: format!("events/x-{number}"), title, participants, ..Default::default() };
///     Ok(ImportRow { number, shared: vec![Mutation::upsert(actor.clone())], own: vec![Mutation::upsert(event)] })
/// };
/// let rows: Vec<_> = (1..=250).map(row).collect();
///
/// let store = Store::in_memory()?;
/// let mut sent = SentRecords::after(1);
/// let batches = ImportBatches::new(Box::new(rows.into_iter()), ImportBatchLimits::default(), "x events.csv", &mut sent);
/// let mut mutations = Vec::new();
/// for batch in batches {
///     let commit = batch?.commit;
///     mutations.push(commit.mutations.len());
///     store.commit(commit)?;
/// }
/// assert_eq!(mutations, [101, 100, 50]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ImportBatches<'a> {
    rows: ImportRows,
    bounds: ImportBatchLimits,
    origin: String,
    known: &'a mut SentRecords,
    /// A row that did not fit in the previous batch.
    waiting: Option<ImportRow>,
    /// A bad row that ended the previous batch.
    bad: Option<ImportRowError>,
}

impl<'a> ImportBatches<'a> {
    /// `origin` names the file and its format. The request ids contain it and the row's number, so that a row that occurs again
    /// later in the file is applied again.
    pub fn new(rows: ImportRows, bounds: ImportBatchLimits, origin: impl Into<String>, known: &'a mut SentRecords) -> Self {
        Self { rows, bounds, origin: origin.into(), known, waiting: None, bad: None }
    }

    fn next_row(&mut self) -> Option<Result<ImportRow, ImportRowError>> {
        if let Some(row) = self.waiting.take() {
            return Some(Ok(row));
        }
        let row = match self.rows.next()? {
            Ok(row) => row,
            Err(bad) => return Some(Err(bad)),
        };
        let fits = BatchFill::default().take(&row, &self.bounds);
        Some(if fits {
            Ok(row)
        } else {
            Err(ImportRowError::whole(
                row.number,
                format!(
                    "makes {} mutations of {} bytes, but a commit has at most {} of {} bytes",
                    row.shared.len() + row.own.len(),
                    row.shared.iter().chain(&row.own).map(Message::encoded_len).sum::<usize>(),
                    self.bounds.mutations,
                    self.bounds.bytes
                ),
            ))
        })
    }
}

impl Iterator for ImportBatches<'_> {
    type Item = Result<ImportBatch, ImportRowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(bad) = self.bad.take() {
            return Some(Err(bad));
        }
        let (mut rows, mut room) = (Vec::new(), BatchFill::default());
        loop {
            match self.next_row() {
                None => break,
                // Rows and errors stay in the order of the file.
                Some(Err(bad)) if rows.is_empty() => return Some(Err(bad)),
                Some(Err(bad)) => {
                    self.bad = Some(bad);
                    break;
                }
                Some(Ok(row)) => {
                    if !room.take(&row, &self.bounds) {
                        self.waiting = Some(row);
                        break;
                    }
                    rows.push(row);
                }
            }
        }
        if rows.is_empty() { None } else { Some(Ok(ImportBatch::new(rows, &self.origin, self.known))) }
    }
}

impl ImportBatch {
    fn new(rows: Vec<ImportRow>, origin: &str, known: &mut SentRecords) -> Self {
        let (mut repeats, mut left_out) = (HashSet::new(), HashSet::new());
        for name in rows.iter().flat_map(|row| &row.shared).map(mutation::name) {
            match known.ask(name) {
                SentState::New => {}
                SentState::Sent => drop(repeats.insert(name.to_owned())),
                SentState::Answered => drop((repeats.insert(name.to_owned()), left_out.insert(name.to_owned()))),
            }
        }
        known.next();
        Self::with(rows, origin, repeats, left_out)
    }

    fn with(rows: Vec<ImportRow>, origin: &str, repeats: HashSet<String>, mut left_out: HashSet<String>) -> Self {
        let shared = rows.iter().flat_map(|row| &row.shared).filter(|item| left_out.insert(mutation::name(item).to_owned()));
        let mut mutations: Vec<_> = shared.cloned().collect();
        mutations.extend(rows.iter().flat_map(|row| row.own.iter().cloned()));
        let commit = commit(mutations, origin, rows.first().map_or(0, |row| row.number));
        Self { rows, commit, repeats, origin: origin.to_owned() }
    }

    /// The same rows with all their shared records. It is sent after a shared record that was left out turned out to be
    /// missing.
    #[must_use]
    pub fn whole(self) -> Self {
        Self::with(self.rows, &self.origin, self.repeats, HashSet::new())
    }

    /// The first and the second half of the rows, each with all its shared records. `None` for a single row.
    pub fn halve(mut self) -> Option<[Self; 2]> {
        if self.rows.len() < 2 {
            return None;
        }
        let rows = self.rows.split_off(self.rows.len() / 2);
        let first = self.whole();
        let sent = first.rows.iter().flat_map(|row| &row.shared).map(|item| mutation::name(item).to_owned());
        let repeats = first.repeats.iter().cloned().chain(sent).collect();
        let second = Self::with(rows, &first.origin, repeats, HashSet::new());
        Some([first, second])
    }

    /// A commit of the shared records alone. Its answer says under which names the store has them. `None` if there are none.
    pub fn shared(&self) -> Option<CommitRequest> {
        let mut seen = HashSet::new();
        let shared = self.rows.iter().flat_map(|row| &row.shared).filter(|item| seen.insert(mutation::name(item)));
        let shared: Vec<_> = shared.cloned().collect();
        (!shared.is_empty()).then(|| commit(shared, &self.origin, self.rows.first().map_or(0, |row| row.number)))
    }
}

/// Replaces the names that rows expected by the names that the records have in the store.
#[must_use]
pub fn rename(mut commit: CommitRequest, names: &BTreeMap<String, String>) -> CommitRequest {
    let mut renamed = false;
    for item in &mut commit.mutations {
        renamed |= mutation::rename(item, names);
    }
    if renamed {
        commit.request_id = request_id(&commit.mutations, &commit.request_id, 0);
    }
    commit
}

/// A commit with a request id made from the position of its rows and their mutations.
fn commit(mutations: Vec<Mutation>, origin: &str, row: u64) -> CommitRequest {
    let request_id = request_id(&mutations, origin, row);
    CommitRequest { request_id, mutations, ..Default::default() }
}

fn request_id(mutations: &[Mutation], origin: &str, row: u64) -> String {
    let position = [origin.as_bytes().to_vec(), row.to_be_bytes().to_vec()];
    let parts = position.into_iter().chain(mutations.iter().map(Message::encode_to_vec));
    format!("import:{}", values::sha256(parts))
}

/// The limits of one commit of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportBatchLimits {
    /// Rows whose records are in one commit.
    pub rows: usize,
    /// Mutations, including those of shared records. A row with more is refused.
    pub mutations: usize,
    /// Bytes of all mutations. A row with more is refused.
    pub bytes: usize,
}

impl Default for ImportBatchLimits {
    /// These are within the default limits of a server, with room for the rest of a commit.
    fn default() -> Self {
        let mutations = usize::try_from(StoreLimits::default().commit_mutations).unwrap_or(usize::MAX);
        Self { rows: 100, mutations, bytes: 1 << 20 }
    }
}

impl ImportBatchLimits {
    /// The default bounds, or lower ones if the limits of a server (`GetServerInfo.limits`) are lower.
    pub fn within(limits: &BTreeMap<String, i64>) -> Self {
        let at_most = |limit: Limit, bound: usize| {
            let limit = limits.get(limit.name).and_then(|limit| usize::try_from(*limit).ok());
            limit.map_or(bound, |limit| bound.min(limit))
        };
        let known = StoreLimits::default();
        let Self { rows, mutations, bytes } = Self::default();
        // A request is slightly longer than its mutations.
        let request = at_most(known.request_bytes(), bytes) * 15 / 16;
        let commit = at_most(known.commit_bytes(), bytes);
        Self { rows, mutations: at_most(known.commit_mutations(), mutations), bytes: request.min(commit) }
    }
}

/// The content of a batch so far. It does not depend on what was sent before, so that a file is always split at the same rows.
#[derive(Default)]
struct BatchFill {
    rows: usize,
    mutations: usize,
    bytes: usize,
    shared: HashSet<String>,
    own: HashSet<String>,
}

impl BatchFill {
    /// Adds a row if it fits. A commit changes a record once, so a second row of the same record does not fit.
    fn take(&mut self, row: &ImportRow, bounds: &ImportBatchLimits) -> bool {
        let shared: Vec<_> = row.shared.iter().filter(|mutation| !self.shared.contains(mutation::name(mutation))).collect();
        let mutations = self.mutations + shared.len() + row.own.len();
        let bytes =
            self.bytes + shared.iter().copied().chain(&row.own).map(|mutation| mutation.encoded_len() + 8).sum::<usize>();
        let named = || row.own.iter().map(mutation::name).filter(|name| !name.is_empty());
        let again = named().any(|name| self.own.contains(name));
        if self.rows + 1 > bounds.rows || mutations > bounds.mutations || bytes > bounds.bytes || again {
            return false;
        }
        (self.rows, self.mutations, self.bytes) = (self.rows + 1, mutations, bytes);
        self.shared.extend(shared.into_iter().map(|mutation| mutation::name(mutation).to_owned()));
        self.own.extend(named().map(str::to_owned));
        true
    }
}

/// At least this many names are remembered.
const NAMES_MAX: usize = 1 << 16;

/// Shared records that an import has already sent and need not send again.
///
/// An import has at most `window` commits without an answer, so all older commits have been answered. If such a commit was
/// refused, the caller sends the batch [as a whole](ImportBatch::whole).
#[derive(Debug)]
pub struct SentRecords {
    window: Option<u64>,
    /// Number of commits so far.
    commits: u64,
    /// The first commit of each name. Names that no row asks for any more move to the old generation and are then forgotten,
    /// which bounds the memory.
    young: HashMap<String, u64>,
    old: HashMap<String, u64>,
}

/// Whether a shared record was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SentState {
    /// It was not sent yet.
    New,
    /// It was sent, but there may be no answer yet.
    Sent,
    /// It was sent and answered.
    Answered,
}

impl SentRecords {
    /// For an import with at most `window` commits in flight.
    pub fn after(window: usize) -> Self {
        Self { window: Some(window as u64), commits: 0, young: HashMap::new(), old: HashMap::new() }
    }

    /// For an import whose commits do not depend on each other, as in a dry run.
    pub fn never() -> Self {
        Self { window: None, ..Self::after(0) }
    }

    /// Whether a record that the next commit needs was already sent.
    fn ask(&mut self, name: &str) -> SentState {
        let since = self.since(name);
        match self.window {
            _ if since == self.commits => SentState::New,
            Some(window) if self.commits - since >= window => SentState::Answered,
            _ => SentState::Sent,
        }
    }

    /// Says that the next record belongs to the next commit.
    fn next(&mut self) {
        self.commits += 1;
    }

    fn since(&mut self, name: &str) -> u64 {
        if let Some(since) = self.young.get(name) {
            return *since;
        }
        let since = self.old.get(name).copied().unwrap_or(self.commits);
        if self.young.len() >= NAMES_MAX {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name.to_owned(), since);
        since
    }
}

#[cfg(test)]
mod batch_tests {
    use super::*;
    use crate::proto::{Actor, Event, Participant, record::Record};

    fn row(number: u64, own: &str, shared: &[&str]) -> ImportRow {
        let actor = |name: &&str| Actor { name: (*name).to_owned(), display_name: (*name).to_owned(), ..Default::default() };
        let participants = shared.iter().map(|name| Participant { actor: (*name).to_owned(), ..Default::default() }).collect();
        let event = Event { name: own.to_owned(), title: own.to_owned(), participants, ..Default::default() };
        ImportRow {
            number,
            shared: shared.iter().map(actor).map(Mutation::upsert).collect(),
            own: vec![Mutation::upsert(event)],
        }
    }

    fn cut(
        rows: Vec<Result<ImportRow, ImportRowError>>,
        bounds: ImportBatchLimits,
        known: &mut SentRecords,
    ) -> Vec<Result<ImportBatch, ImportRowError>> {
        ImportBatches::new(Box::new(rows.into_iter()), bounds, "f", known).collect()
    }

    fn names(batch: &ImportBatch) -> Vec<&str> {
        batch.commit.mutations.iter().map(mutation::name).collect()
    }

    const THREE: ImportBatchLimits = ImportBatchLimits { rows: 3, mutations: 4, bytes: 1000 };

    #[test]
    fn a_batch_ends_at_each_bound_and_where_a_record_comes_again_and_bad_rows_stay_in_order() {
        let numbers = |rows: Vec<Result<ImportRow, ImportRowError>>| -> Vec<String> {
            let show = |batch: Result<ImportBatch, ImportRowError>| match batch {
                Ok(batch) => batch.rows.iter().map(|row| row.number.to_string()).collect::<Vec<_>>().join(" "),
                Err(bad) => format!("bad {}", bad.number),
            };
            cut(rows, THREE, &mut SentRecords::after(1)).into_iter().map(show).collect()
        };
        let plain = |number: u64| Ok(row(number, &format!("events/{number}"), &[]));
        assert_eq!(numbers((1..=4).map(plain).collect()), ["1 2 3", "4"]);
        let shares = |number: u64, shared: &[&str]| Ok(row(number, &format!("events/{number}"), shared));
        assert_eq!(numbers(vec![shares(1, &["actors/a"]), shares(2, &["actors/a"]), shares(3, &["actors/b"])]), ["1 2", "3"]);
        assert_eq!(numbers(vec![plain(1), Ok(row(2, "events/1", &[])), plain(3)]), ["1", "2 3"]);
        assert_eq!(numbers(vec![plain(1), Err(ImportRowError::whole(2, "")), plain(3)]), ["1", "bad 2", "3"]);
        let long = Ok(row(2, &format!("events/{}", "x".repeat(1000)), &[]));
        assert_eq!(numbers(vec![plain(1), long, plain(3)]), ["1", "bad 2", "3"]);
        let wide = shares(1, &["actors/a", "actors/b", "actors/c", "actors/d"]);
        assert_eq!(numbers(vec![wide, plain(2)]), ["bad 1", "2"]);
    }

    #[test]
    fn what_is_shared_stands_once_in_a_commit_and_not_at_all_when_it_is_there_and_the_halves_have_all_of_it() {
        let rows = |first: u64| (first..first + 3).map(|number| Ok(row(number, &format!("events/{number}"), &["actors/a"])));
        let mut known = SentRecords::after(1);
        let [first, second] = [1, 4].map(|number| cut(rows(number).collect(), THREE, &mut known).remove(0).expect("a batch"));
        assert_eq!(names(&first), ["actors/a", "events/1", "events/2", "events/3"]);
        assert_eq!(names(&second), ["events/4", "events/5", "events/6"]);
        assert_eq!(names(&second.clone().whole()), ["actors/a", "events/4", "events/5", "events/6"]);
        let halves = second.halve().expect("three rows");
        assert_eq!(halves.each_ref().map(names), [vec!["actors/a", "events/4"], vec!["actors/a", "events/5", "events/6"]]);
        let [one, _] = halves;
        assert_eq!(one.halve(), None);
    }

    #[test]
    fn a_request_id_is_the_same_for_the_same_file_and_another_for_another_place_or_content() {
        let id = |number: u64, own: &str, origin: &str| {
            let rows = vec![Ok(row(number, own, &[]))];
            let mut known = SentRecords::after(1);
            let batch = ImportBatches::new(Box::new(rows.into_iter()), THREE, origin, &mut known).next();
            batch.expect("one").expect("a batch").commit.request_id
        };
        let first = id(1, "events/a", "f");
        assert_eq!(first, id(1, "events/a", "f"));
        assert!(first.len() <= 128, "{first}");
        for other in [id(2, "events/a", "f"), id(1, "events/b", "f"), id(1, "events/a", "g")] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn references_are_renamed_and_the_request_id_with_them_only_where_there_is_one() {
        let mut known = SentRecords::after(1);
        let batch = cut(vec![Ok(row(1, "events/a", &["actors/a"]))], THREE, &mut known).remove(0).expect("a batch");
        let names = BTreeMap::from([("actors/a".to_owned(), "actors/known".to_owned())]);
        let renamed = rename(batch.commit.clone(), &names);
        assert_ne!(renamed.request_id, batch.commit.request_id);
        let events: Vec<_> = renamed.mutations.iter().filter_map(mutation::record).collect();
        let [Record::Actor(actor), Record::Event(event)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((actor.name.as_str(), event.participants[0].actor.as_str()), ("actors/a", "actors/known"));
        let others = BTreeMap::from([("actors/b".to_owned(), "actors/known".to_owned())]);
        assert_eq!(rename(batch.commit.clone(), &others), batch.commit);
    }
}

#[cfg(test)]
mod bounds_tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_server_where_they_are_lower() {
        let limits = |entries: &[(&str, i64)]| entries.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
        assert_eq!(ImportBatchLimits::within(&limits(&[("commit.mutations", 5000)])).mutations, 1000);
        let small = ImportBatchLimits::within(&limits(&[
            ("commit.mutations", 50),
            ("request.bytes", 16_000),
            ("commit.bytes", 20_000),
        ]));
        assert_eq!(small, ImportBatchLimits { rows: 100, mutations: 50, bytes: 15_000 });
    }
}

#[cfg(test)]
mod known_tests {
    use super::*;

    #[test]
    fn a_record_is_there_when_as_many_commits_as_are_in_flight_came_after_it() {
        let mut known = SentRecords::after(2);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push((known.ask("actors/a"), known.ask("actors/a")));
            known.next();
        }
        let twice = |state| (state, state);
        assert_eq!(
            seen,
            [twice(SentState::New), twice(SentState::Sent), twice(SentState::Answered), twice(SentState::Answered)]
        );
        let mut never = SentRecords::never();
        never.ask("actors/a");
        never.next();
        assert_eq!(never.ask("actors/a"), SentState::Sent);
    }

    #[test]
    fn what_is_asked_for_stays_known_and_memory_is_bounded() {
        let mut known = SentRecords::after(1);
        known.ask("actors/a");
        known.next();
        for number in 0..5 * NAMES_MAX {
            known.ask(&number.to_string());
            if number % 1000 == 0 {
                assert_eq!(known.ask("actors/a"), SentState::Answered);
            }
        }
        assert!(known.young.len() + known.old.len() <= 2 * NAMES_MAX + 2);
        known.next();
        assert_eq!(known.ask("0"), SentState::New);
    }
}
