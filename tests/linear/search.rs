//! A second opinion on short histories: searches for some order of the calls that explains every answer, without the revisions
//! in the answers and without the log.
//!
//! The search is stateright's. We remember where it failed, because most orders differ only in reads, which change nothing. If
//! there is no order, the search is still exponential, so its steps are limited.
//!
//! Knows calls, answers and the model. Must not know the rules, the log, or that answers contain revisions.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::{
    history::{Answer, Call, Line, is_in},
    model::{Content, Kind, Version, effects},
};

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The calls can have happened one after another, each between its line and the line of its answer.
    Order,
    /// They cannot have.
    NoOrder,
    /// The steps were used up. This is not a pass.
    Unknown,
}

/// Searches for an order of the calls of a history, at most 64 calls in at most this many steps.
pub(crate) fn search(lines: &[Line], steps: u64) -> Found {
    let left = Rc::new(Cell::new(Some(steps)));
    let searched = Searched { record: Rc::default(), taken: 0, tried: Rc::default(), left: Rc::clone(&left) };
    let mut tester = LinearizabilityTester::new(searched);
    // The tester wants threads that make one call after another. A call takes the first free thread.
    let (mut threads, mut busy) = (HashMap::new(), Vec::new());
    for line in lines {
        match line {
            Line::Called { operation, call } if !is_about_revisions(call) => {
                let thread = busy.iter().position(|busy| !busy).unwrap_or(busy.len());
                busy.resize(busy.len().max(thread + 1), false);
                busy[thread] = true;
                let call = Rc::new(Numbered { number: threads.len(), call: call.clone() });
                threads.insert(*operation, thread);
                tester.on_invoke(thread, call).expect("the thread is free");
            }
            Line::Answered { operation, answer } => {
                if let Some(thread) = threads.get(operation).copied() {
                    busy[thread] = false;
                    tester.on_return(thread, Rc::new(Seen::of(answer))).expect("the thread has called");
                }
            }
            _ => {}
        }
    }
    match (tester.serialized_history(), left.get()) {
        (Some(_), _) => Found::Order,
        (None, Some(_)) => Found::NoOrder,
        (None, None) => Found::Unknown,
    }
}

/// Whether the answer to a call would contain only revisions.
fn is_about_revisions(call: &Call) -> bool {
    matches!(call, Call::Head | Call::GetCommit { .. })
}

/// An answer without its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Done(Vec<(String, Kind)>),
    Refused(String),
    /// Whether the record is live, and its content. `None`: it never existed.
    Was(Option<(bool, Content)>),
    Were(Vec<(String, Content)>),
    Nothing,
}

impl Seen {
    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Committed { results, .. } => {
                Self::Done(results.iter().map(|done| (done.name.clone(), done.kind)).collect())
            }
            Answer::Refused { reason } => Self::Refused(reason.clone()),
            Answer::Got { version } => Self::was(version.as_ref()),
            Answer::Read { records, .. } => {
                Self::Were(records.iter().map(|(name, version)| (name.clone(), version.content.clone())).collect())
            }
            Answer::Commit(_) | Answer::Head { .. } => Self::Nothing,
        }
    }

    fn was(version: Option<&Version>) -> Self {
        Self::Was(version.map(|version| (version.live, version.content.clone())))
    }
}

/// The record as far as the calls are ordered. It numbers its own commits, because conditions and reads name revisions.
#[derive(Clone, Debug, Default)]
struct Record {
    head: i64,
    /// The calls that made it, in order.
    commits: Vec<usize>,
    /// For each record, in the order of revisions.
    versions: BTreeMap<String, Vec<Version>>,
}

impl Record {
    /// A record as of a revision, deleted or not.
    fn at(&self, name: &str, revision: i64) -> Option<&Version> {
        self.versions.get(name)?.iter().rev().find(|version| version.revision <= revision)
    }

    fn live(&self, name: &str, revision: i64) -> Option<(String, Content)> {
        let version = self.at(name, revision).filter(|version| version.live)?;
        Some((name.to_owned(), version.content.clone()))
    }

    /// What a call that changes nothing returns.
    fn read(&self, call: &Call) -> Seen {
        let (Call::Get { at, .. } | Call::BatchGet { at, .. } | Call::List { at, .. }) = call else { return Seen::Nothing };
        let revision = if *at == 0 { self.head } else { *at };
        if revision > self.head {
            return Seen::Refused("REVISION_IN_FUTURE".to_owned());
        }
        match call {
            Call::Get { name, .. } => Seen::was(self.at(name, revision)),
            Call::BatchGet { names, .. } => Seen::Were(names.iter().filter_map(|name| self.live(name, revision)).collect()),
            Call::List { collection, above, .. } => {
                let all = self.versions.keys().filter(|name| is_in(name, collection));
                let live = all.filter_map(|name| self.live(name, revision));
                Seen::Were(live.filter(|(_, content)| above.is_none_or(|above| content.count > above)).collect())
            }
            _ => Seen::Nothing,
        }
    }
}

/// A call with its position in the history.
#[derive(Debug)]
struct Numbered {
    number: usize,
    call: Call,
}

/// The calls that were taken, as bits, and the commits among them in order. This decides whether the others can follow.
type Place = (u64, Vec<usize>);

/// The record that the tester copies at every step.
#[derive(Clone, Debug)]
struct Searched {
    record: Rc<Record>,
    taken: u64,
    /// Where the search has been. It ends at the first success, so all of these failed.
    tried: Rc<RefCell<HashSet<Place>>>,
    /// Steps that the search may still take. 0 after it wanted more.
    left: Rc<Cell<Option<u64>>>,
}

impl SequentialSpec for Searched {
    type Op = Rc<Numbered>;
    type Ret = Rc<Seen>;

    fn invoke(&mut self, numbered: &Rc<Numbered>) -> Rc<Seen> {
        let Numbered { number, call } = &**numbered;
        self.taken |= 1 << number;
        let Call::Commit { conditions, writes, .. } = call else { return Rc::new(self.record.read(call)) };
        let done = match effects(|name| self.record.at(name, self.record.head), writes, conditions) {
            Ok(done) => done,
            Err(reason) => return Rc::new(Seen::Refused(reason.to_owned())),
        };
        if done.iter().any(|effect| effect.kind != Kind::Unchanged) {
            let record = Rc::make_mut(&mut self.record);
            record.head += 1;
            record.commits.push(*number);
            for effect in done.iter().filter(|effect| effect.kind != Kind::Unchanged) {
                record.versions.entry(effect.name.clone()).or_default().push(effect.version(record.head));
            }
        }
        Rc::new(Seen::Done(done.into_iter().map(|effect| (effect.name, effect.kind)).collect()))
    }

    fn is_valid_step(&mut self, call: &Rc<Numbered>, seen: &Rc<Seen>) -> bool {
        let left = self.left.get().and_then(|left| left.checked_sub(1));
        self.left.set(left);
        left.is_some()
            && self.invoke(call) == *seen
            && self.tried.borrow_mut().insert((self.taken, self.record.commits.clone()))
    }
}
