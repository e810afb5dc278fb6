//! Rows put together into commits, within what a server takes.
//!
//! What a commit holds follows from the rows alone, and so does its request id: sending the same file again finds the first answers,
//! and a file that changed finds none for the rows that did.
//!
//! Knows rows and bounds. Must not know who applies a commit, or how a row was read.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use super::{
    BadRow, Row, Rows,
    bounds::{Bounds, Room},
    known::{Known, Standing},
    mutation,
};
use crate::{
    formats::identity,
    proto::{CommitRequest, Mutation},
};

/// Rows that are one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The rows, in order. There is at least one.
    pub rows: Vec<Row>,
    /// What they make: what is shared first, each once.
    pub commit: CommitRequest,
    /// Names of what is shared with an earlier commit of the run: in this commit again, or left out since it is known.
    pub repeats: HashSet<String>,
    origin: String,
}

/// Puts rows together, in order. A row that is bad, or more than a commit can hold, is an error, and the rest goes on.
///
/// ```
/// use annals::{
///     formats::import::{Row, batch::Batches, bounds::Bounds, known::Known},
///     proto::{Actor, Event, Mutation, Participant},
///     store::Store,
/// };
///
/// let actor = Actor { name: "actors/x-1".into(), display_name: "One".into(), ..Default::default() };
/// let row = |number: u64| {
///     let title = format!("row {number}");
///     let participants = vec![Participant { actor: "actors/x-1".into(), ..Default::default() }];
///     let event = Event { name: format!("events/x-{number}"), title, participants, ..Default::default() };
///     Ok(Row { number, shared: vec![Mutation::upsert(actor.clone())], own: vec![Mutation::upsert(event)] })
/// };
/// let rows: Vec<_> = (1..=250).map(row).collect();
///
/// let store = Store::in_memory()?;
/// let mut known = Known::after(1);
/// let batches = Batches::new(Box::new(rows.into_iter()), Bounds::default(), "x events.csv", &mut known);
/// let mut mutations = Vec::new();
/// for batch in batches {
///     let commit = batch?.commit;
///     mutations.push(commit.mutations.len());
///     store.commit(commit)?;
/// }
/// assert_eq!(mutations, [101, 100, 50]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batches<'a> {
    rows: Rows,
    bounds: Bounds,
    origin: String,
    known: &'a mut Known,
    /// A row that did not fit into the batch before it.
    waiting: Option<Row>,
    /// A bad row that ended the batch before it.
    bad: Option<BadRow>,
}

impl<'a> Batches<'a> {
    /// Puts rows together. `origin` says which file they are of, and as which format it is read: it is a part of the request ids, with
    /// the row's number, so that a row which stands again further down is applied again.
    pub fn new(rows: Rows, bounds: Bounds, origin: impl Into<String>, known: &'a mut Known) -> Self {
        Self { rows, bounds, origin: origin.into(), known, waiting: None, bad: None }
    }

    fn next_row(&mut self) -> Option<Result<Row, BadRow>> {
        if let Some(row) = self.waiting.take() {
            return Some(Ok(row));
        }
        let row = match self.rows.next()? {
            Ok(row) => row,
            Err(bad) => return Some(Err(bad)),
        };
        let fits = Room::default().take(&row, &self.bounds);
        Some(if fits {
            Ok(row)
        } else {
            Err(BadRow::whole(
                row.number,
                format!(
                    "makes {} mutations of {} bytes, and a commit holds {} of {}",
                    row.shared.len() + row.own.len(),
                    row.shared.iter().chain(&row.own).map(Message::encoded_len).sum::<usize>(),
                    self.bounds.mutations,
                    self.bounds.bytes
                ),
            ))
        })
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(bad) = self.bad.take() {
            return Some(Err(bad));
        }
        let (mut rows, mut room) = (Vec::new(), Room::default());
        loop {
            match self.next_row() {
                None => break,
                // In the order of the file.
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
        if rows.is_empty() { None } else { Some(Ok(Batch::new(rows, &self.origin, self.known))) }
    }
}

impl Batch {
    fn new(rows: Vec<Row>, origin: &str, known: &mut Known) -> Self {
        let (mut repeats, mut left_out) = (HashSet::new(), HashSet::new());
        for name in rows.iter().flat_map(|row| &row.shared).map(mutation::name) {
            match known.ask(name) {
                Standing::New => {}
                Standing::Sent => drop(repeats.insert(name.to_owned())),
                Standing::There => drop((repeats.insert(name.to_owned()), left_out.insert(name.to_owned()))),
            }
        }
        known.next();
        Self::with(rows, origin, repeats, left_out)
    }

    fn with(rows: Vec<Row>, origin: &str, repeats: HashSet<String>, mut left_out: HashSet<String>) -> Self {
        let shared = rows.iter().flat_map(|row| &row.shared).filter(|item| left_out.insert(mutation::name(item).to_owned()));
        let mut mutations: Vec<_> = shared.cloned().collect();
        mutations.extend(rows.iter().flat_map(|row| row.own.iter().cloned()));
        let commit = commit(mutations, origin, rows.first().map_or(0, |row| row.number));
        Self { rows, commit, repeats, origin: origin.to_owned() }
    }

    /// The same rows with everything that they share: for where something that was left out is not there after all.
    #[must_use]
    pub fn whole(self) -> Self {
        Self::with(self.rows, &self.origin, self.repeats, HashSet::new())
    }

    /// The first and the second half of the rows, each with everything that they share; none of a single row.
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

    /// A commit of nothing but what its rows share, to learn under which names that is there; none where they share nothing.
    pub fn shared(&self) -> Option<CommitRequest> {
        let mut seen = HashSet::new();
        let shared = self.rows.iter().flat_map(|row| &row.shared).filter(|item| seen.insert(mutation::name(item)));
        let shared: Vec<_> = shared.cloned().collect();
        (!shared.is_empty()).then(|| commit(shared, &self.origin, self.rows.first().map_or(0, |row| row.number)))
    }
}

/// Refers to records under the names that they have instead of those that rows expected.
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

/// A commit whose request id is made from where its rows stand and what they make.
fn commit(mutations: Vec<Mutation>, origin: &str, row: u64) -> CommitRequest {
    let request_id = request_id(&mutations, origin, row);
    CommitRequest { request_id, mutations, ..Default::default() }
}

fn request_id(mutations: &[Mutation], origin: &str, row: u64) -> String {
    let place = [origin.as_bytes().to_vec(), row.to_be_bytes().to_vec()];
    let parts = place.into_iter().chain(mutations.iter().map(Message::encode_to_vec));
    format!("import:{}", identity::sha256(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Actor, Event, Participant, record::Record};

    fn row(number: u64, own: &str, shared: &[&str]) -> Row {
        let actor = |name: &&str| Actor { name: (*name).to_owned(), display_name: (*name).to_owned(), ..Default::default() };
        let participants = shared.iter().map(|name| Participant { actor: (*name).to_owned(), ..Default::default() }).collect();
        let event = Event { name: own.to_owned(), title: own.to_owned(), participants, ..Default::default() };
        Row { number, shared: shared.iter().map(actor).map(Mutation::upsert).collect(), own: vec![Mutation::upsert(event)] }
    }

    fn cut(rows: Vec<Result<Row, BadRow>>, bounds: Bounds, known: &mut Known) -> Vec<Result<Batch, BadRow>> {
        Batches::new(Box::new(rows.into_iter()), bounds, "f", known).collect()
    }

    fn names(batch: &Batch) -> Vec<&str> {
        batch.commit.mutations.iter().map(mutation::name).collect()
    }

    const THREE: Bounds = Bounds { rows: 3, mutations: 4, bytes: 1000 };

    #[test]
    fn a_batch_ends_at_each_bound_and_where_a_record_comes_again_and_bad_rows_stay_in_order() {
        let numbers = |rows: Vec<Result<Row, BadRow>>| -> Vec<String> {
            let show = |piece: Result<Batch, BadRow>| match piece {
                Ok(batch) => batch.rows.iter().map(|row| row.number.to_string()).collect::<Vec<_>>().join(" "),
                Err(bad) => format!("bad {}", bad.number),
            };
            cut(rows, THREE, &mut Known::after(1)).into_iter().map(show).collect()
        };
        let plain = |number: u64| Ok(row(number, &format!("events/{number}"), &[]));
        assert_eq!(numbers((1..=4).map(plain).collect()), ["1 2 3", "4"]);
        let shares = |number: u64, shared: &[&str]| Ok(row(number, &format!("events/{number}"), shared));
        assert_eq!(numbers(vec![shares(1, &["actors/a"]), shares(2, &["actors/a"]), shares(3, &["actors/b"])]), ["1 2", "3"]);
        assert_eq!(numbers(vec![plain(1), Ok(row(2, "events/1", &[])), plain(3)]), ["1", "2 3"]);
        assert_eq!(numbers(vec![plain(1), Err(BadRow::whole(2, "")), plain(3)]), ["1", "bad 2", "3"]);
        let long = Ok(row(2, &format!("events/{}", "x".repeat(1000)), &[]));
        assert_eq!(numbers(vec![plain(1), long, plain(3)]), ["1", "bad 2", "3"]);
        let wide = shares(1, &["actors/a", "actors/b", "actors/c", "actors/d"]);
        assert_eq!(numbers(vec![wide, plain(2)]), ["bad 1", "2"]);
    }

    #[test]
    fn what_is_shared_stands_once_in_a_commit_and_not_at_all_when_it_is_there_and_the_halves_have_all_of_it() {
        let rows = |first: u64| (first..first + 3).map(|number| Ok(row(number, &format!("events/{number}"), &["actors/a"])));
        let mut known = Known::after(1);
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
            let mut known = Known::after(1);
            let batch = Batches::new(Box::new(rows.into_iter()), THREE, origin, &mut known).next();
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
        let mut known = Known::after(1);
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
