//! Chooses the next call of a client: calls of all kinds at random, about few records, with the revisions that the client
//! knows.
//!
//! Knows calls, and the answers to one client. Must not know how a call is sent, or what the right answer is.

use std::ops::Range;

use fastrand::Rng;

use crate::{
    history::{Answer, Call},
    model::{Condition, Content, Write},
};

/// Revisions of records that a client remembers.
const SEEN_MAX: usize = 64;

/// The records and counts of calls: few records, so that clients conflict, and few counts, so that some updates change nothing.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) events: Range<u64>,
    pub(crate) actors: Range<u64>,
    /// Everything else on the server has counts below these and is not listed.
    pub(crate) counts: Range<i64>,
    /// Calls read as of revisions after this one.
    pub(crate) after: i64,
}

/// The calls of one client.
#[derive(Debug)]
pub(crate) struct Calls {
    client: usize,
    records: Records,
    rng: Rng,
    /// The newest revision that this client knows, and the revision of a record that it saw last.
    head: i64,
    seen: Vec<(String, i64)>,
    requests: u64,
}

impl Calls {
    pub(crate) fn new(client: usize, records: Records, rng: Rng) -> Self {
        Self { client, head: records.after, records, rng, seen: Vec::new(), requests: 0 }
    }

    /// The next call.
    pub(crate) fn next(&mut self) -> Call {
        let known = self.records.after + 1..=self.head;
        let at = if !known.is_empty() && self.rng.u8(..4) == 0 { self.rng.i64(known.clone()) } else { 0 };
        match self.rng.u8(..20) {
            0..8 => self.commit(),
            8..12 => Call::Get { name: self.name(), at },
            12..15 => Call::BatchGet { names: self.names(5), at },
            15..18 => {
                let collection = if self.rng.u8(..4) == 0 { "actors" } else { "events" };
                let counts = self.records.counts.clone();
                let all = (counts.start > 0).then_some(counts.start - 1);
                let above = if self.rng.bool() { Some(self.rng.i64(counts)) } else { all };
                Call::List { collection: collection.into(), above, at }
            }
            18 if !known.is_empty() => Call::GetCommit { revision: self.rng.i64(known) },
            _ => Call::Head,
        }
    }

    /// Remembers what later calls need from an answer.
    pub(crate) fn take_note(&mut self, answer: &Answer) {
        let revision = match answer {
            Answer::Committed { revision, results, .. } => {
                self.seen.extend(results.iter().map(|done| (done.name.clone(), done.revision)));
                *revision
            }
            Answer::Read { revision, records } => {
                self.seen.extend(records.iter().map(|(name, version)| (name.clone(), version.revision)));
                *revision
            }
            Answer::Head { revision } => *revision,
            _ => 0,
        };
        self.head = self.head.max(revision);
        self.seen.drain(..self.seen.len().saturating_sub(SEEN_MAX));
    }

    /// A commit under a new request id.
    fn commit(&mut self) -> Call {
        let names = self.names(3);
        let writes = names.into_iter().map(|name| self.write(name)).collect();
        let conditions = if self.rng.u8(..4) == 0 { vec![self.condition()] } else { Vec::new() };
        self.requests += 1;
        Call::Commit { request: format!("c{}-{}", self.client, self.requests), conditions, writes }
    }

    fn write(&mut self, name: String) -> Write {
        let content = Content { title: "t".into(), count: self.rng.i64(self.records.counts.clone()), labels: Vec::new() };
        let if_revision = if self.rng.bool() { self.last_seen(&name) } else { 0 };
        match self.rng.u8(..16) {
            0..2 => Write::Create { name, content },
            2..8 => Write::Update { name, content, if_revision },
            8..12 => Write::Upsert { name, content },
            12..14 => Write::Delete { name, if_revision },
            _ => Write::Undelete { name },
        }
    }

    fn condition(&mut self) -> Condition {
        let name = self.name();
        if self.rng.bool() {
            Condition::Exists { name, exists: self.rng.bool() }
        } else {
            Condition::At { revision: self.last_seen(&name), name }
        }
    }

    fn last_seen(&self, name: &str) -> i64 {
        self.seen.iter().rev().find(|(seen, _)| seen == name).map_or(0, |(_, revision)| *revision)
    }

    fn name(&mut self) -> String {
        let Records { events, actors, .. } = self.records.clone();
        let count = events.end - events.start;
        match self.rng.u64(..count + actors.end - actors.start) {
            event if event < count => format!("events/e{}", events.start + event),
            actor => format!("actors/a{}", actors.start + actor - count),
        }
    }

    /// Some names, without duplicates.
    fn names(&mut self, most: usize) -> Vec<String> {
        let mut names: Vec<_> = (0..self.rng.usize(1..=most)).map(|_| self.name()).collect();
        names.sort_unstable();
        names.dedup();
        self.rng.shuffle(&mut names);
        names
    }
}
