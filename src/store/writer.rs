//! The one writer: takes what has queued, checks it, numbers it, logs it with one sync, applies it, answers everyone.
//!
//! Knows plans, the log and the state. Must not know who waits for an answer, or how requests reach the queue.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost::Message;
use tokio::sync::oneshot;
use ulid::Ulid;

use super::{
    entry::{Asked, Changed, Committed, Entry, FORMAT, Founded, Resulted, TimeBound, Unchanged, timestamp},
    error::{Result, StoreError, StoreErrorKind},
    inner::Inner,
    keys,
    mutate::{self, Outcome, Plan, Planned, request::Request},
    queue::{Job, QueuePermit},
    replay::{Meta, PendingState, Receipt},
};
use crate::{
    engine::{self, Engine, LogSequence, State, StateHealth},
    model::{RecordName, schema, wire},
    proto::{ChangeKind, CommitResponse, ErrorReason},
};

/// Bytes of the log replayed and applied at once. Large, as keys are applied in order and neighbours share a page.
const REPLAY_BYTES: usize = 16 << 20;
/// Bytes of entries that share one sync.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How far a persisted bound reaches beyond the time it is made for, so that there is at most one such entry a second.
const TIME_BOUND_AHEAD_US: i64 = 1_000_000;
/// How long the writer waits before it looks again whether the state can be rebuilt.
const REBUILD_RETRY: Duration = Duration::from_secs(1);

/// The writer's own state. Lives on its thread.
pub(super) struct Writer {
    inner: Arc<Inner>,
    jobs: mpsc::Receiver<Job>,
    meta: Meta,
    ids: ulid::Generator,
}

/// An answer that is given once the group it belongs to is durable.
enum Answer {
    /// `rests_on_group`: it was decided when the group held entries, its own or earlier ones.
    Commit {
        to: oneshot::Sender<Result<CommitResponse>>,
        outcome: Result<CommitResponse>,
        rests_on_group: bool,
        _place: QueuePermit,
    },
    Bound(oneshot::Sender<Result<()>>),
}

/// Commits that share one sync.
struct Group<'a> {
    pending: PendingState<'a>,
    /// In order, and without a gap.
    entries: Vec<engine::LogEntry>,
    answers: Vec<Answer>,
    bytes: usize,
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>, jobs: mpsc::Receiver<Job>) -> Self {
        Self { inner, jobs, meta: Meta::default(), ids: ulid::Generator::new() }
    }

    /// Brings the state up to the log, then works until it is told to close. Gives why it ended, if not by that.
    pub(super) fn run(mut self) -> Result<()> {
        if !self.rebuild(Trust::AsFound)? {
            return Ok(());
        }
        loop {
            // The store that holds the sending end tells before it goes.
            let Ok(first) = self.jobs.recv() else { return Ok(()) };
            let mut group = vec![first];
            let limit = usize::try_from(self.inner.options.limits.group_commits).unwrap_or(usize::MAX);
            while group.len() < limit
                && let Ok(job) = self.jobs.try_recv()
            {
                group.push(job);
            }
            if !self.work(group)? {
                return Ok(());
            }
        }
    }

    /// Does a group of jobs. Gives whether to go on.
    fn work(&mut self, jobs: Vec<Job>) -> Result<bool> {
        let engine = Arc::clone(&self.inner.engine);
        let (mut close, mut rebuild) = (false, false);
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let mut group = Group::new(PendingState::new(engine.as_ref(), self.meta.clone()));
            while group.bytes < GROUP_BYTES_MAX
                && let Some(job) = jobs.next()
            {
                match job {
                    Job::Commit { request, answer, place } => {
                        let mut outcome = self.decide(&mut group, *request);
                        if let Err(error) = &mut outcome {
                            rebuild |= self.inner.calls_for_rebuild(&engine.state_condition(), error);
                        }
                        let rests_on_group = !group.entries.is_empty();
                        group.answers.push(Answer::Commit { to: answer, outcome, rests_on_group, _place: place });
                    }
                    Job::BoundTime { time_us, answer } => {
                        group.bound_time(time_us)?;
                        group.answers.push(Answer::Bound(answer));
                    }
                    Job::Rebuild => {}
                    Job::Close => close = true,
                }
            }
            rebuild |= self.finish(group);
        }
        rebuild |= self.inner.wants_rebuild();
        Ok(!close && (!rebuild || self.rebuild(Trust::Not)?))
    }

    /// Decides what becomes of one request, and adds what is to be logged to the group.
    fn decide(&mut self, group: &mut Group<'_>, request: Request) -> Result<CommitResponse> {
        if let Some(response) = self.replayed(group, &request.asked)? {
            return Ok(response);
        }
        let Self { ids, inner, .. } = self;
        let now_ms = u64::try_from(inner.options.clock.now_us() / 1000).unwrap_or_default();
        let mut new_id = || new_id(ids, now_ms);
        // A panic here is a bug that this one request found. Planning changes nothing, so the others are not harmed.
        let work = request.work?;
        let plan =
            catch_unwind(AssertUnwindSafe(|| mutate::plan(group.pending.view(), work, &inner.options.limits, &mut new_id)))
                .unwrap_or_else(|_| {
                    Err(StoreError::internal(format!("planning request {} panicked", request.asked.request_id)))
                })?;
        let sequence = LogSequence(group.pending.meta.sequence + 1);
        if plan.changes.is_empty() {
            let unchanged = Unchanged {
                revision: group.pending.meta.revision,
                commit_time_us: group.pending.meta.commit_time_us,
                asked: request.asked,
                results: results(&plan.outcomes, 0, &[])?,
            };
            let response = unchanged.response();
            group.add(sequence, Entry::Unchanged(unchanged))?;
            return Ok(response);
        }
        let revision = group.pending.meta.revision + 1;
        let commit_time_us = inner.number(revision, group.pending.meta.commit_time_us);
        let Plan { changes, outcomes } = plan;
        let commit = Committed {
            revision,
            commit_time_us,
            asked: request.asked,
            annotations: request.annotations,
            results: results(&outcomes, revision, &changes)?,
            changes: changes.into_iter().map(|planned| change(planned, revision, commit_time_us)).collect(),
        };
        let response = commit.response()?;
        group.add(sequence, Entry::Committed(commit))?;
        Ok(response)
    }

    /// The first answer to a request that was committed before.
    fn replayed(&self, group: &Group<'_>, asked: &Asked) -> Result<Option<CommitResponse>> {
        let Some(value) = group.pending.get(&keys::receipt(&asked.caller, &asked.request_id))? else { return Ok(None) };
        let receipt = Receipt::decode(value).map_err(|error| engine::EngineError::State(format!("a receipt: {error}")))?;
        let response = match group.entry(LogSequence(receipt.sequence)) {
            // Sent twice at once.
            Some(entry) => response(entry)?,
            None => logged_response(self.inner.engine.as_ref(), LogSequence(receipt.sequence))?,
        };
        if receipt.content_hash != asked.content_hash {
            return Err(StoreError::new(
                StoreErrorKind::FailedPrecondition,
                ErrorReason::RequestIdReused,
                format!(
                    "request_id {} committed other content at revision {}: choose a new one for this content",
                    asked.request_id, response.revision
                ),
            )
            .with("request_id", &asked.request_id)
            .with("revision", response.revision));
        }
        Ok(Some(CommitResponse { replayed: true, ..response }))
    }

    /// Logs and applies a group, then gives its answers. Gives whether the state failed and must be rebuilt.
    fn finish(&mut self, group: Group<'_>) -> bool {
        let Group { pending, entries, answers, .. } = group;
        if entries.is_empty() {
            // What was numbered, and failed before it was an entry, never was.
            self.inner.publish(&self.meta);
            answers.into_iter().for_each(Answer::give);
            return false;
        }
        let engine = self.inner.engine.as_ref();
        if let Err(error) = engine.append(LogSequence(self.meta.sequence), &entries) {
            let passes = matches!(error, engine::EngineError::Full { .. });
            let error = StoreError::from(error);
            if !passes {
                tracing::error!("{}", error.for_operator().unwrap_or_default());
                self.inner.refuse_writes(&error);
            }
            // What was numbered never was.
            self.inner.publish(&self.meta);
            for answer in answers {
                answer.fail(&error);
            }
            return false;
        }
        let (batch, meta) = pending.into_batch();
        self.meta = meta;
        let applied = engine.apply(batch);
        if let Err(error) = &applied {
            // The commits stand: they are in the log. Nobody reads until the state holds them again, and head moves then.
            self.inner.rebuilding(0, self.meta.sequence);
            tracing::error!("{error}");
        } else {
            self.inner.publish(&self.meta);
        }
        answers.into_iter().for_each(Answer::give);
        applied.is_err()
    }

    /// Brings the state up to the log, however often it fails meanwhile, and serves. Gives whether to go on: a store may be
    /// closed before it gets there.
    fn rebuild(&mut self, mut trust: Trust) -> Result<bool> {
        self.inner.rebuilding(0, self.meta.sequence);
        loop {
            let mut error = match catch_up(&self.inner, trust) {
                Ok(meta) => {
                    self.meta = meta;
                    self.inner.keep_time_bound(self.meta.time_bound_us);
                    self.inner.publish(&self.meta);
                    self.inner.serving();
                    return Ok(true);
                }
                Err(error) => error,
            };
            if !self.inner.calls_for_rebuild(&self.inner.engine.state_condition(), &mut error) {
                return Err(error);
            }
            trust = Trust::Not;
            let text = error.for_operator().unwrap_or_else(|| error.to_string());
            tracing::error!("the state failed while it was rebuilt: {text}; trying again");
            if !self.refuse_for(REBUILD_RETRY, &error) {
                return Ok(false);
            }
        }
    }

    /// Answers whoever comes within a time with an error. Gives whether to go on.
    fn refuse_for(&self, time: Duration, error: &StoreError) -> bool {
        let until = Instant::now() + time;
        loop {
            match self.jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Job::Commit { answer, .. }) => drop(answer.send(Err(error.clone()))),
                Ok(Job::BoundTime { answer, .. }) => drop(answer.send(Err(error.clone()))),
                Ok(Job::Rebuild) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => return true,
                Ok(Job::Close) | Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

impl<'a> Group<'a> {
    fn new(pending: PendingState<'a>) -> Self {
        Self { pending, entries: Vec::new(), answers: Vec::new(), bytes: 0 }
    }

    /// Makes it durable that no later commit gets a time up to this one.
    fn bound_time(&mut self, time_us: i64) -> Result<()> {
        if self.pending.meta.time_bound_us >= time_us {
            return Ok(());
        }
        let sequence = LogSequence(self.pending.meta.sequence + 1);
        self.add(sequence, Entry::TimeBound(TimeBound { time_us: time_us + TIME_BOUND_AHEAD_US }))
    }

    fn add(&mut self, sequence: LogSequence, entry: Entry) -> Result<()> {
        let body = entry.to_bytes();
        self.pending.replay_entry(sequence, entry)?;
        self.bytes += body.len();
        let (revision, time_us) = (self.pending.meta.revision, self.pending.meta.commit_time_us);
        self.entries.push(engine::LogEntry { sequence, revision, time_us, body });
        Ok(())
    }

    /// An entry of this group.
    fn entry(&self, sequence: LogSequence) -> Option<&engine::LogEntry> {
        let first = self.entries.first()?.sequence.0;
        self.entries.get(usize::try_from(sequence.0.checked_sub(first)?).ok()?)
    }
}

impl Answer {
    /// Whoever asked may be gone; the commit stands all the same.
    fn give(self) {
        match self {
            Self::Commit { to, outcome, .. } => drop(to.send(outcome)),
            Self::Bound(to) => drop(to.send(Ok(()))),
        }
    }

    /// The group could not be logged. What was decided without it stands; a refusal that rests on a commit of the group would
    /// tell of what never was.
    fn fail(self, error: &StoreError) {
        match self {
            Self::Commit { to, outcome, rests_on_group: false, .. } => drop(to.send(outcome)),
            Self::Commit { to, .. } => drop(to.send(Err(error.clone()))),
            Self::Bound(to) => drop(to.send(Err(error.clone()))),
        }
    }
}

/// A lower-case ULID, greater than the last one.
pub(super) fn new_id(ids: &mut ulid::Generator, now_ms: u64) -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_millis(now_ms);
    // More than 2^80 in one millisecond: the generator has run out, chance has not.
    let id = ids.generate_from_datetime(time).unwrap_or_else(|_| Ulid::from_datetime(time));
    id.to_string().to_lowercase()
}

/// What a request that was logged before was answered.
fn logged_response(engine: &dyn Engine, sequence: LogSequence) -> Result<CommitResponse> {
    let entries = engine.read_log(LogSequence(sequence.0.saturating_sub(1)), 1)?;
    match entries.first().filter(|entry| entry.sequence == sequence) {
        Some(entry) => response(entry),
        None => Err(no_commit(sequence)),
    }
}

/// What the request behind an entry was answered.
fn response(entry: &engine::LogEntry) -> Result<CommitResponse> {
    match Entry::of(entry)? {
        Entry::Committed(commit) => commit.response(),
        Entry::Unchanged(unchanged) => Ok(unchanged.response()),
        Entry::Founded(_) | Entry::TimeBound(_) => Err(no_commit(entry.sequence)),
    }
}

fn no_commit(sequence: LogSequence) -> StoreError {
    engine::EngineError::State(format!("a receipt names entry {}, which is no commit", sequence.0)).into()
}

fn results(outcomes: &[Outcome], revision: u64, changes: &[Planned]) -> Result<Vec<Resulted>> {
    let number = |index: usize| u32::try_from(index + 1).map_err(StoreError::internal);
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Changed(index) => {
                let into = changes.get(*index).and_then(|planned| planned.redirect.as_ref());
                Ok(Resulted { change: number(*index)?, name: into.map(RecordName::to_string).unwrap_or_default(), revision: 0 })
            }
            Outcome::Unchanged { name, revision } => Ok(Resulted { change: 0, name: name.clone(), revision: *revision }),
            Outcome::MadeBefore(index) => {
                let name = changes.get(*index).map(|planned| planned.name.to_string()).unwrap_or_default();
                Ok(Resulted { change: 0, name, revision })
            }
        })
        .collect()
}

/// A planned change with its revision and time.
fn change(planned: Planned, revision: u64, commit_time_us: i64) -> Changed {
    Changed {
        kind: planned.name.kind() as u32,
        id: planned.name.id().to_owned(),
        change: planned.change.into(),
        previous_revision: planned.before.as_ref().map_or(0, |before| before.revision),
        fields: planned.changed_fields(),
        record: stamp(&planned, revision, commit_time_us),
        redirect_target: planned.redirect.map(|target| target.to_string()),
    }
}

/// A record as every Get will answer it: the server's own fields, then the others.
fn stamp(planned: &Planned, revision: u64, commit_time_us: i64) -> Bytes {
    let time = timestamp(commit_time_us).encode_to_vec();
    let created = planned.before.as_ref().and_then(|before| {
        let revision = wire::first(&before.record, schema::CREATE_REVISION)?;
        Some((revision, wire::first(&before.record, schema::CREATE_TIME)?.bytes()))
    });
    let (create_revision, create_time) = match created {
        Some((wire::Value::Varint(revision), time)) => (revision, time),
        _ => (revision, time.as_slice()),
    };
    let mut record = Vec::with_capacity(planned.body.len() + 128);
    wire::put_bytes(schema::NAME, planned.name.to_string().as_bytes(), &mut record);
    wire::put_int(schema::REVISION, revision, &mut record);
    wire::put_int(schema::CREATE_REVISION, create_revision, &mut record);
    wire::put_bytes(schema::CREATE_TIME, create_time, &mut record);
    wire::put_bytes(schema::UPDATE_TIME, &time, &mut record);
    if planned.change == ChangeKind::Deleted {
        wire::put_bytes(schema::DELETE_TIME, &time, &mut record);
    }
    record.extend_from_slice(&planned.body);
    record.into()
}

/// What is to be thought of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// What the engine says.
    AsFound,
    /// Nothing: it failed, or held what makes no sense.
    Not,
}

/// Makes the state hold all of the log: replays what it lacks, or rebuilds it where it cannot be trusted. A log that is empty
/// gets its first entry.
fn catch_up(inner: &Inner, trust: Trust) -> Result<Meta> {
    let engine = inner.engine.as_ref();
    let head = engine.head()?;
    let doubt = match engine.state_condition() {
        StateHealth::Suspect(reason) => Some(reason),
        StateHealth::Trusted => (trust == Trust::Not).then(|| "it held what makes no sense".to_owned()),
    };
    if let Some(reason) = doubt {
        tracing::warn!(reason, entries = head.0, "rebuilding the state from the log");
        engine.reset_state()?;
    }
    let mut meta = PendingState::read_meta(engine)?;
    if meta.sequence > head.0 {
        // The state is written once the log is durable. So this is no crash: the log's end is damaged and looks like a torn frame.
        let lost = format!("it ends at entry {}, and the state holds entry {} that was in it", head.0, meta.sequence);
        return Err(engine::EngineError::Corrupt(lost).into());
    }
    if meta.sequence > 0 && meta.format != FORMAT {
        tracing::warn!(format = meta.format, "rebuilding the state from the log: it is of another format");
        engine.reset_state()?;
        meta = Meta::default();
    }
    let from = meta.sequence;
    while meta.sequence < head.0 {
        inner.rebuilding(meta.sequence, head.0);
        let entries = engine.read_log(LogSequence(meta.sequence), REPLAY_BYTES)?;
        if entries.is_empty() {
            let gap = format!("the log says that it ends at entry {}, and has none after {}", head.0, meta.sequence);
            return Err(engine::EngineError::Corrupt(gap).into());
        }
        let mut pending = PendingState::new(engine, meta);
        for entry in &entries {
            pending.replay(entry)?;
        }
        let (batch, replayed) = pending.into_batch();
        engine.apply(batch)?;
        tracing::info!(done = replayed.sequence, total = head.0, "replaying the log");
        meta = replayed;
    }
    if head.0 == 0 {
        let founded = Entry::Founded(Founded { store_id: Ulid::new().to_string().to_lowercase(), format: FORMAT });
        let sequence = LogSequence(1);
        let logged = engine::LogEntry { sequence, revision: 0, time_us: 0, body: founded.to_bytes() };
        engine.append(head, &[logged])?;
        let mut pending = PendingState::new(engine, meta);
        pending.replay_entry(sequence, founded)?;
        let (batch, founded) = pending.into_batch();
        engine.apply(batch)?;
        meta = founded;
    } else if meta.format > FORMAT {
        return Err(StoreError::new(
            StoreErrorKind::DataLoss,
            ErrorReason::StoreCorrupt,
            format!("the log has data format {}, this program reads up to {FORMAT}: use a newer program", meta.format),
        ));
    }
    if from < meta.sequence {
        tracing::info!(from, to = meta.sequence, revision = meta.revision, "the state holds all of the log");
    }
    Ok(meta)
}
