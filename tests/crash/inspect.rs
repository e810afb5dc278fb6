//! Compares a store with the requests, with its answers, and with its own log.
//!
//! Knows a store that nobody writes to. Must not know how the previous process ended.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use annals::{
    engine::{Engine, memory::MemoryState},
    model::RecordKind,
    proto::{CommitResponse, ErrorReason, Event, GetRecordRequest, ListRevisionsRequest},
    store::{self, DiscrepancyKind, Result, Store},
};
use prost::Message as _;

use crate::{
    script::{Acknowledged, Inspected, Purpose, Script},
    workload::{Expected, Standing, Step, Writer},
};

/// Findings of one kind beyond this number are counted but not shown.
const SHOWN_MAX: u64 = 5;
/// How many older requests are sent again beside the newest, unless all are.
const OLDER_RESENT: usize = 20;
/// A store that rebuilds more often than this makes no progress.
const RETRIES_MAX: u64 = 100;

/// An inspection in progress.
pub(crate) struct Inspection<'a> {
    script: &'a Script,
    engine: &'a Engine,
    /// A rebuild of the state from the log.
    scratch: MemoryState,
    report: &'a mut dyn FnMut(String),
    done: Inspected,
}

impl<'a> Inspection<'a> {
    pub(crate) fn new(script: &'a Script, engine: &'a Engine, report: &'a mut dyn FnMut(String)) -> Self {
        Self { script, engine, scratch: MemoryState::default(), report, done: Inspected::default() }
    }

    /// Before the store has replayed anything. The state may lack the last entries of the log, but it must not contain anything
    /// else. Keys are added and never removed, so each existing key must be in a rebuild too.
    pub(crate) fn before_replay(&mut self) {
        if self.engine.state.distrust().is_none()
            && let Err(error) = self.compare_keys("before the replay", &[DiscrepancyKind::Extra])
            && error.reason != ErrorReason::StoreRebuilding
        {
            (self.report)(format!("cannot verify, before the replay: {error}"));
        }
    }

    /// After the store is ready.
    pub(crate) fn serving(mut self, store: &Store) -> Inspected {
        let info = self.patiently(store, || store.info()).expect("a store that serves says what it holds");
        let head = info.head_revision.cast_unsigned();
        self.done.compared.revision = head;
        let promised = self.script.acknowledged.iter().flatten().map(|answer| answer.revision).max().unwrap_or(0);
        if promised > head {
            (self.report)(format!("lost: revision {promised} was acknowledged and the store ends at {head}"));
        }
        if self.script.seen > head {
            (self.report)(format!("lost: revision {} was read and the store ends at {head}", self.script.seen));
        }
        let writers = self.compare_commits(store);
        self.send_again(store);
        // The repeated requests must not have changed anything.
        if let Ok(after) = self.patiently(store, || store.info())
            && after != info
        {
            (self.report)(format!("doubled: {info:?} became {after:?} by requests that were answered before"));
        }
        self.compare_records(store, &writers);
        while let Err(error) = self
            .compare_keys("after the replay", &[DiscrepancyKind::Extra, DiscrepancyKind::Missing, DiscrepancyKind::Different])
        {
            if error.reason != ErrorReason::StoreRebuilding || self.done.retried > RETRIES_MAX {
                (self.report)(format!("cannot verify, after the replay: {error}"));
                break;
            }
            // The engine knows that its state failed. The store learns it from the next read.
            let request = GetRecordRequest { name: "actors/w0".into(), ..Default::default() };
            drop(self.patiently(store, || store.get_encoded(RecordKind::Actor, &request)));
        }
        self.done
    }

    /// Calls a store. If it reports that it rebuilds its state, calls it again afterwards.
    fn patiently<T>(&mut self, store: &Store, call: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            match call() {
                Err(error) if error.reason == ErrorReason::StoreRebuilding => {
                    self.done.retried += 1;
                    store.wait_until_serving()?;
                    if self.done.retried > RETRIES_MAX {
                        return Err(error);
                    }
                }
                outcome => return outcome,
            }
        }
    }

    fn compare_keys(&mut self, when: &str, wrong: &[DiscrepancyKind]) -> Result<()> {
        let mut found = 0;
        let verified = store::verify(self.engine, &self.scratch, &mut |finding| {
            if wrong.contains(&finding.problem) {
                found += 1;
                if found <= SHOWN_MAX {
                    (self.report)(format!("state, {when}: {finding}"));
                }
            }
        });
        if found > SHOWN_MAX {
            (self.report)(format!("state, {when}: {found} findings in all"));
        }
        self.done.keys = verified?.keys;
        Ok(())
    }

    /// Every commit is one that was sent, whole and once. Returns the writers as of the last commit.
    fn compare_commits(&mut self, store: &Store) -> Vec<Writer> {
        let Script { seed, acknowledged, purpose, compared, .. } = self.script;
        let mut writers: Vec<_> = (0..acknowledged.len()).map(|number| Writer::new(*seed, number)).collect();
        let mut first = 1;
        if *purpose == Purpose::Commit {
            first = compared.revision + 1;
            for (writer, steps) in writers.iter_mut().zip(&compared.steps) {
                writer.skip(*steps);
            }
        }
        let mut unread = false;
        for revision in first..=self.done.compared.revision {
            let commit = match self.patiently(store, || store.get_commit(revision.cast_signed())) {
                Ok(commit) => commit,
                Err(error) => {
                    (self.report)(format!("lost: revision {revision} cannot be read: {error}"));
                    unread = true;
                    continue;
                }
            };
            let Some((writer, n)) = Writer::parse_id(&commit.request_id).filter(|(writer, _)| *writer < writers.len()) else {
                (self.report)(format!("revision {revision} was made by request {:?}, which nobody sent", commit.request_id));
                continue;
            };
            let Some((step, passed_over)) = writers[writer].step_to(n) else {
                (self.report)(format!("revision {revision} was made by request {} again", commit.request_id));
                continue;
            };
            if passed_over && !unread {
                (self.report)(format!(
                    "revision {revision} was made by request {} and none by the one before",
                    commit.request_id
                ));
            }
            if let Some(wrong) = Expected::compare(&step.changes, &commit) {
                (self.report)(format!("torn: revision {revision}, request {}: {wrong}", commit.request_id));
            }
            if let Some(answer) = acknowledged[writer].get(usize::try_from(n).expect("few"))
                && answer.revision != revision
            {
                let was = answer.revision;
                (self.report)(format!("request {} was answered revision {was} and is revision {revision}", commit.request_id));
            }
        }
        for (writer, answers) in writers.iter_mut().zip(acknowledged) {
            while writer.steps() < answers.len() as u64 {
                let Step { request, changes } = writer.step();
                if !changes.is_empty() {
                    (self.report)(format!("lost: request {} was acknowledged and no commit is of it", request.request_id));
                }
            }
        }
        self.done.compared.steps = writers.iter().map(Writer::steps).collect();
        writers
    }

    /// Every acknowledged request gets the same answer again.
    fn send_again(&mut self, store: &Store) {
        let mut rng = fastrand::Rng::with_seed(self.script.seed ^ self.done.compared.revision);
        for (number, answers) in self.script.acknowledged.iter().enumerate() {
            let newest =
                answers.iter().rposition(|answer| answer.revision <= self.script.compared.revision).map_or(0, |at| at + 1);
            let older: BTreeSet<usize> = (0..OLDER_RESENT.min(newest)).map(|_| rng.usize(..newest)).collect();
            let mut writer = Writer::new(self.script.seed, number);
            for (n, answer) in answers.iter().enumerate() {
                let Step { request, .. } = writer.step();
                if n < newest && !older.contains(&n) && self.script.purpose == Purpose::Commit {
                    continue;
                }
                self.done.resent += 1;
                let id = request.request_id.clone();
                match self.patiently(store, || store.commit(request.clone())) {
                    Ok(response) if !response.replayed => {
                        (self.report)(format!("lost: request {id} was acknowledged and was new"));
                    }
                    Ok(response) if acknowledged(&response) != *answer => {
                        (self.report)(format!("request {id} was answered {answer:?} and is answered {response:?}"));
                    }
                    Ok(_) => {}
                    Err(error) => (self.report)(format!("request {id} was acknowledged and is refused: {error}")),
                }
            }
        }
    }

    /// Every record reads as the requests imply.
    fn compare_records(&mut self, store: &Store, writers: &[Writer]) {
        let mut reads = DefaultHasher::new();
        for (name, known) in writers.iter().flat_map(Writer::events) {
            let request = GetRecordRequest { name: name.clone(), no_redirect: true, ..Default::default() };
            let found = self.patiently(store, || store.get_encoded(RecordKind::Event, &request));
            let expected = match known.standing {
                Standing::Live => "",
                Standing::Deleted => "ERROR_REASON_RECORD_DELETED",
                Standing::Merged(_) => "ERROR_REASON_RECORD_REDIRECTED",
            };
            let wrong = match &found {
                Ok(bytes) if expected.is_empty() => match Event::decode(bytes.clone()) {
                    Ok(event) => known.compare(&event),
                    Err(error) => Some(error.to_string()),
                },
                Err(error) if error.reason.as_str_name() == expected => None,
                Ok(_) => Some(format!("is read in place of {expected}")),
                Err(error) => Some(format!("cannot be read: {error}")),
            };
            if let Some(wrong) = wrong {
                (self.report)(format!("record {name} {wrong}"));
            }
            found.map_err(|error| error.reason).hash(&mut reads);
        }
        if self.script.purpose == Purpose::Inspect {
            self.read_the_past(store, writers, &mut reads);
        }
        self.done.reads = reads.finish();
    }

    /// Every version of every record, and records as of older revisions, as a digest.
    fn read_the_past(&mut self, store: &Store, writers: &[Writer], reads: &mut DefaultHasher) {
        let mut rng = fastrand::Rng::with_seed(self.script.seed);
        for (name, _) in writers.iter().flat_map(Writer::events) {
            let as_of_revision = rng.u64(1..=self.done.compared.revision).cast_signed();
            let request = GetRecordRequest { name: name.clone(), as_of_revision, show_deleted: true, ..Default::default() };
            self.patiently(store, || store.get_encoded(RecordKind::Event, &request)).map_err(|error| error.reason).hash(reads);
            let request = ListRevisionsRequest { name, page_size: 1000, ..Default::default() };
            match self.patiently(store, || store.list_revisions(&request)) {
                Ok(versions) => versions.encode_to_vec().hash(reads),
                Err(error) => (self.report)(format!("the versions of {} cannot be read: {error}", request.name)),
            }
        }
    }
}

/// The part of an answer that is compared. It is the same in the first answer and in every later one.
pub(crate) fn acknowledged(response: &CommitResponse) -> Acknowledged {
    let mut digest = DefaultHasher::new();
    CommitResponse { replayed: false, ..response.clone() }.encode_to_vec().hash(&mut digest);
    Acknowledged { revision: response.revision.unsigned_abs(), digest: digest.finish() }
}
