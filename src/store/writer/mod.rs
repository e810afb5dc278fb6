//! The writer, one thread. It takes the queued requests as a group, plans them, gives them revisions, appends them to the log
//! with one sync, applies them to the state, and answers the callers.
//!
//! On a shared log the writer also catches up with the entries of other appenders, and plans a group again if another appender
//! was first. It answers a commit only after it knows whether the log holds it.
//!
//! Knows plans, jobs, the log and the state. Must not know who waits for an answer.

use std::{
    collections::VecDeque,
    convert::Infallible,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::Duration,
};

use prost::Message as _;
use tokio::sync::oneshot;

use self::{
    commit::{change, results},
    log::unavailable,
};
use super::{
    clock::new_id,
    entry::{Committed, Entry, RequestIdentity, TimeBound, Unchanged},
    error::{Result, StoreError, StoreErrorKind},
    inner::Inner,
    keys,
    mutate::{self, CommitPlan, request::Request},
    queue::{Job, QueuePermit},
    replay::{Meta, PendingState, Receipt},
};
use crate::{
    engine::{EngineError, Log, LogEntry, LogSequence, StateRead as _, explained},
    proto::{CommitResponse, ErrorReason},
};

mod commit;
mod log;

/// A group that reaches this many bytes of entries is closed. Its entries share one sync.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How far a logged time bound reaches beyond the time that needs it, so that there is at most one such entry a second. On a
/// shared log it does not reach further, because other appenders must respect the bound as it is logged.
const TIME_BOUND_AHEAD_US: i64 = 1_000_000;
/// How often in a row a group is planned again because another appender was first.
const SUPERSEDED_MAX: u32 = 100;
/// The longest pause before a group is planned again, in milliseconds.
const SUPERSEDED_PAUSE_MS_MAX: u64 = 32;

/// The state of the writer. Only its thread uses it.
pub(super) struct Writer {
    inner: Arc<Inner>,
    jobs: mpsc::Receiver<Job>,
    /// The meta value of the state: which entries of the log it holds.
    meta: Meta,
    ids: ulid::Generator,
    /// Whether other stores may append to the log too.
    shared: bool,
    /// Whether the log has signalled that another appender moved its head.
    behind: bool,
    /// Whether the state has failed and must be rebuilt.
    rebuild: bool,
    /// Why writes are refused until the store is opened again, if they are.
    refused: Option<StoreError>,
}

/// Why the writer ends.
enum Stop {
    /// The store is closed.
    Closed,
    Failed(StoreError),
}

/// An answer to a caller. It is sent once its group is durable.
enum Answer {
    Commit {
        to: oneshot::Sender<Result<CommitResponse>>,
        outcome: Result<CommitResponse>,
        /// Whether the outcome holds only if the group is logged. True if the group then held an entry, its own or an earlier
        /// one, or if it is a refusal on a shared log.
        rests_on_group: bool,
        /// The request, to plan it again. Only on a shared log.
        request: Option<Box<Request>>,
        permit: QueuePermit,
    },
    Bound {
        to: oneshot::Sender<Result<()>>,
        time_us: i64,
    },
}

/// A group commit: commits that share one sync.
struct Group<'a> {
    pending: PendingState<'a>,
    /// The entries of the group, in order and without a gap.
    entries: Vec<LogEntry>,
    answers: Vec<Answer>,
    bytes: usize,
}

/// The outcome of a group.
enum Finished {
    Answered,
    /// Another appender was first: nothing was logged, and nobody was answered.
    Superseded(Vec<Answer>),
}

/// The outcome of an append. It is always known.
enum Appended {
    Durable,
    Superseded,
    Refused(EngineError),
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>, jobs: mpsc::Receiver<Job>) -> Self {
        let shared = inner.engine.log.is_shared();
        Self {
            inner,
            jobs,
            meta: Meta::default(),
            ids: ulid::Generator::new(),
            shared,
            behind: false,
            rebuild: false,
            refused: None,
        }
    }

    /// Brings the state up to date with the log, then works until the store is closed. Errs if it ends for another reason.
    pub(super) fn run(mut self) -> Result<()> {
        let Err(stop) = self.serve();
        match stop {
            Stop::Closed => Ok(()),
            Stop::Failed(error) => Err(error),
        }
    }

    fn serve(&mut self) -> Result<Infallible, Stop> {
        self.inner.engine.log.on_head_moved(self.inner.head_signal());
        self.rebuild(Trust::AsFound)?;
        let limit = usize::try_from(self.inner.options.limits.group_commits).unwrap_or(usize::MAX);
        loop {
            // The store sends `Close` before it drops the sending end.
            let mut jobs = VecDeque::from([self.jobs.recv().map_err(|_| Stop::Closed)?]);
            while jobs.len() < limit
                && let Ok(job) = self.jobs.try_recv()
            {
                jobs.push_back(job);
            }
            self.work(jobs)?;
        }
    }

    /// Does the jobs, in groups.
    fn work(&mut self, mut jobs: VecDeque<Job>) -> Result<(), Stop> {
        let state = Arc::clone(&self.inner.engine.state);
        let (mut close, mut superseded) = (false, 0);
        self.behind |= jobs.iter().any(|job| matches!(job, Job::CatchUp));
        while !jobs.is_empty() {
            if self.behind {
                self.catch_up()?;
            }
            let mut group = Group::new(PendingState::new(&*state, self.meta.clone()));
            while group.bytes < GROUP_BYTES_MAX
                && let Some(job) = jobs.pop_front()
            {
                match job {
                    Job::Commit { request, answer, permit } => {
                        let again = self.shared.then(|| request.clone());
                        let mut outcome = self.decide(&mut group, *request);
                        if let Err(error) = &mut outcome {
                            self.rebuild |= self.inner.calls_for_rebuild(state.distrust().is_none(), error);
                        }
                        let rests_on_group = !group.entries.is_empty() || (self.shared && outcome.is_err());
                        group.answers.push(Answer::Commit { to: answer, outcome, rests_on_group, request: again, permit });
                    }
                    Job::BoundTime { time_us, answer } => {
                        group.bound_time(time_us, if self.shared { 0 } else { TIME_BOUND_AHEAD_US })?;
                        group.answers.push(Answer::Bound { to: answer, time_us });
                    }
                    Job::CatchUp | Job::Rebuild => {}
                    Job::Close => close = true,
                }
            }
            match self.finish(group)? {
                Finished::Answered => superseded = 0,
                Finished::Superseded(answers) => {
                    superseded += 1;
                    self.catch_up()?;
                    pause(superseded);
                    let again = superseded <= SUPERSEDED_MAX;
                    let planned_again = answers.into_iter().rev().filter_map(|answer| answer.plan_again(again));
                    planned_again.for_each(|job| jobs.push_front(job));
                }
            }
        }
        if close {
            return Err(Stop::Closed);
        }
        if self.behind {
            self.catch_up()?;
        }
        if self.rebuild || self.inner.wants_rebuild() {
            self.rebuild(Trust::Not)?;
        }
        Ok(())
    }

    /// Plans one request, and adds its log entry to the group.
    fn decide(&mut self, group: &mut Group<'_>, request: Request) -> Result<CommitResponse> {
        if let Some(response) = self.replayed(group, &request.identity)? {
            return Ok(response);
        }
        let Self { ids, inner, shared, .. } = self;
        let now_ms = u64::try_from(inner.options.clock.now_us() / 1000).unwrap_or_default();
        let mut new_id = || new_id(ids, now_ms);
        // A panic here is a bug that affects this request only: planning changes nothing.
        let work = request.work?;
        let plan =
            catch_unwind(AssertUnwindSafe(|| mutate::plan(group.pending.view(), work, &inner.options.limits, &mut new_id)))
                .unwrap_or_else(|_| {
                    Err(StoreError::internal(format!("planning request {} panicked", request.identity.request_id)))
                })?;
        let sequence = LogSequence(group.pending.meta.sequence + 1);
        if plan.changes.is_empty() {
            let unchanged = Unchanged {
                revision: group.pending.meta.revision,
                commit_time_us: group.pending.meta.commit_time_us,
                request: request.identity,
                results: results(&plan.outcomes, 0, &[])?,
            };
            let response = unchanged.response();
            group.add(sequence, Entry::Unchanged(unchanged))?;
            return Ok(response);
        }
        let revision = group.pending.meta.revision + 1;
        let last_us = group.pending.meta.commit_time_us;
        // On a log that is not shared, the logged bound may be ahead of the times that were answered. `number` knows these
        // times.
        let bound_us = if *shared { group.pending.meta.time_bound_us } else { last_us };
        let commit_time_us = inner.number(revision, last_us.max(bound_us));
        let CommitPlan { changes, outcomes } = plan;
        let commit = Committed {
            revision,
            commit_time_us,
            request: request.identity,
            annotations: request.annotations,
            results: results(&outcomes, revision, &changes)?,
            changes: changes.into_iter().map(|planned| change(planned, revision, commit_time_us)).collect(),
        };
        let response = commit.response()?;
        group.add(sequence, Entry::Committed(commit))?;
        Ok(response)
    }

    /// The stored answer to a request that was committed before. `None` if there is none.
    fn replayed(&self, group: &Group<'_>, request: &RequestIdentity) -> Result<Option<CommitResponse>> {
        let Some(value) = group.pending.get(&keys::receipt(&request.caller, &request.request_id))? else { return Ok(None) };
        let receipt = Receipt::decode(value).map_err(|error| EngineError::State(explained("a receipt", error)))?;
        let response = match group.entry(LogSequence(receipt.sequence)) {
            // The same request is twice in this group.
            Some(entry) => response(entry)?,
            None => logged_response(&*self.inner.engine.log, LogSequence(receipt.sequence))?,
        };
        if receipt.content_hash != request.content_hash {
            return Err(StoreError::new(
                StoreErrorKind::FailedPrecondition,
                ErrorReason::RequestIdReused,
                format!(
                    "request_id {} committed other content at revision {}: choose a new one for this content",
                    request.request_id, response.revision
                ),
            )
            .with("request_id", &request.request_id)
            .with("revision", response.revision));
        }
        Ok(Some(CommitResponse { replayed: true, ..response }))
    }

    /// Logs and applies a group, then sends its answers.
    fn finish(&mut self, group: Group<'_>) -> Result<Finished, Stop> {
        let Group { pending, entries, answers, .. } = group;
        let head = LogSequence(self.meta.sequence);
        let appended = if !entries.is_empty() {
            self.append(head, &entries)?
        } else if self.shared && answers.iter().any(Answer::is_refusal) {
            // Another store may have committed this request. It must not be refused because this store has not caught up yet.
            match self.inner.engine.log.head() {
                Ok(now) if now == head => Appended::Durable,
                Ok(_) => Appended::Superseded,
                Err(error) => Appended::Refused(unavailable(error)),
            }
        } else {
            Appended::Durable
        };
        match appended {
            Appended::Durable if entries.is_empty() => {
                // A revision may have been numbered for a commit that failed before it became an entry.
                self.inner.publish(&self.meta);
                answers.into_iter().for_each(Answer::give);
            }
            Appended::Durable => self.apply(pending, answers),
            Appended::Superseded => return Ok(Finished::Superseded(answers)),
            Appended::Refused(error) => {
                let error = self.refuse(error);
                // The revisions that were numbered do not exist.
                self.inner.publish(&self.meta);
                for answer in answers {
                    answer.fail(&error);
                }
            }
        }
        Ok(Finished::Answered)
    }

    /// What the callers of a group are told that the log did not take. Refuses all writes from now on, unless the error is
    /// transient. Logs here what the operator should see, because many callers may get the error.
    fn refuse(&mut self, error: EngineError) -> StoreError {
        match error {
            EngineError::Full { .. } => error.into(),
            EngineError::Unavailable(_) => {
                let error = StoreError::from(error).logged();
                tracing::warn!("commits are refused, and nothing of them is in the log: {}", error.in_full());
                error
            }
            _ => {
                let error = StoreError::from(error).logged();
                if self.refused.is_none() {
                    tracing::error!("writes are refused until the store is opened again: {}", error.in_full());
                }
                self.inner.read_only(self.refused.get_or_insert_with(|| error.clone()));
                error
            }
        }
    }

    /// Applies a durable group, then sends its answers.
    fn apply(&mut self, pending: PendingState<'_>, answers: Vec<Answer>) {
        let (batch, meta) = pending.into_batch();
        self.meta = meta;
        if let Err(error) = self.inner.engine.state.apply(batch) {
            // The commits are made: they are in the log. Reads wait for the rebuild, which also moves the head.
            self.inner.rebuilding(0, self.meta.sequence);
            tracing::error!("{error}");
            self.rebuild = true;
        } else {
            self.inner.publish(&self.meta);
        }
        answers.into_iter().for_each(Answer::give);
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Group<'a> {
    fn new(pending: PendingState<'a>) -> Self {
        Self { pending, entries: Vec::new(), answers: Vec::new(), bytes: 0 }
    }

    /// Adds a time bound to the group: no later commit gets a time up to `time_us + ahead_us`. Does nothing if an earlier bound
    /// covers `time_us`.
    fn bound_time(&mut self, time_us: i64, ahead_us: i64) -> Result<()> {
        if self.pending.meta.time_bound_us >= time_us {
            return Ok(());
        }
        let sequence = LogSequence(self.pending.meta.sequence + 1);
        self.add(sequence, Entry::TimeBound(TimeBound { time_us: time_us + ahead_us }))
    }

    fn add(&mut self, sequence: LogSequence, entry: Entry) -> Result<()> {
        let body = entry.to_bytes();
        self.pending.replay_entry(sequence, entry)?;
        self.bytes += body.len();
        let (revision, time_us) = (self.pending.meta.revision.cast_signed(), self.pending.meta.commit_time_us);
        self.entries.push(LogEntry { sequence, revision, time_us, body });
        Ok(())
    }

    /// An entry of this group. `None` if the sequence is not in it.
    fn entry(&self, sequence: LogSequence) -> Option<&LogEntry> {
        let first = self.entries.first()?.sequence.0;
        self.entries.get(usize::try_from(sequence.0.checked_sub(first)?).ok()?)
    }
}

impl Answer {
    /// Sends the answer. The caller may no longer wait, but the commit is made.
    fn give(self) {
        match self {
            Self::Commit { to, outcome, .. } => drop(to.send(outcome)),
            Self::Bound { to, .. } => drop(to.send(Ok(()))),
        }
    }

    /// Answers after the group could not be logged. An outcome that does not rest on the group stands. All others become this
    /// error, because a refusal could rest on a commit that was not made.
    fn fail(self, error: &StoreError) {
        match self {
            Self::Commit { to, outcome, rests_on_group: false, .. } => drop(to.send(outcome)),
            Self::Commit { to, .. } => drop(to.send(Err(error.clone()))),
            Self::Bound { to, .. } => drop(to.send(Err(error.clone()))),
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(self, Self::Commit { outcome: Err(_), .. })
    }

    /// The job to plan the request again, after another appender was first. `None` if it is not planned again: then the caller
    /// gets its outcome, or a transient error.
    fn plan_again(self, again: bool) -> Option<Job> {
        match self {
            Self::Commit { to: answer, request: Some(request), permit, .. } if again => {
                Some(Job::Commit { request, answer, permit })
            }
            Self::Bound { to: answer, time_us } if again => Some(Job::BoundTime { time_us, answer }),
            other => {
                other.fail(&EngineError::Unavailable("other appenders were always first".into()).into());
                None
            }
        }
    }
}

/// Pauses for a random time, to let other appenders finish. The bound of the time grows with `superseded`.
fn pause(superseded: u32) {
    let bound_ms = (1_u64 << superseded.min(16)).min(SUPERSEDED_PAUSE_MS_MAX);
    let random = RandomState::new().build_hasher().finish();
    std::thread::sleep(Duration::from_micros(random % (bound_ms * 1000)));
}

/// How far a state is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// As the state says itself: see `State::distrust`.
    AsFound,
    /// Not at all: it failed, or held invalid data.
    Not,
}

/// The answer of a logged request, read from the log.
fn logged_response(log: &dyn Log, sequence: LogSequence) -> Result<CommitResponse> {
    let entries = log.read_after(LogSequence(sequence.0.saturating_sub(1)), 1)?;
    match entries.first().filter(|entry| entry.sequence == sequence) {
        Some(entry) => response(entry),
        None => Err(no_commit(sequence)),
    }
}

/// The answer to the request of an entry.
fn response(entry: &LogEntry) -> Result<CommitResponse> {
    match Entry::of(entry)? {
        Entry::Committed(commit) => commit.response(),
        Entry::Unchanged(unchanged) => Ok(unchanged.response()),
        Entry::Founded(_) | Entry::TimeBound(_) => Err(no_commit(entry.sequence)),
    }
}

fn no_commit(sequence: LogSequence) -> StoreError {
    EngineError::State(format!("a receipt names entry {}, which is no commit", sequence.0).into()).into()
}
