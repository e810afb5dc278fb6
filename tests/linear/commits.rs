//! The rules of commits. An answered commit is in the log, once, at the answered revision and after everything known before. A
//! refused commit is not in the log, and its reason held.
//!
//! Knows requests and the replayed log. Must not know watches, or reads other than commits that change nothing.

use std::collections::HashMap;

use crate::{
    history::Done,
    model::{Effect, Kind, effects},
    reads::Reads,
    replay::{Replayed, Sent},
    rule::{Rule, Violation},
    verdict::Steps,
};

/// All requests of a history, as far as it was read.
#[derive(Debug)]
pub(crate) struct Commits {
    requests: HashMap<String, Request>,
    /// The lines of the first calls of applied requests, each with the smallest revision of it and all later ones.
    effective: Vec<(u64, i64)>,
    /// The newest revision in the answer to a commit.
    committed: i64,
}

/// A request id, over all calls that sent it.
#[derive(Debug)]
struct Request {
    sent: Sent,
    /// The line of its first call.
    first: u64,
    /// The newest revision that answered a commit, and the newest that any client knew, before that line.
    committed: i64,
    told: i64,
    calls: u64,
    refusals: u64,
    answers: u64,
    /// Answers that are not marked as replayed.
    fresh: u64,
}

impl Commits {
    /// What was sent, and the line of the first call of each request.
    pub(crate) fn new(sent: HashMap<String, Sent>, firsts: &HashMap<String, u64>, replayed: &Replayed) -> Self {
        let took_effect = |(request, line): (&String, &u64)| replayed.done(request).map(|(revision, _)| (*line, revision));
        let mut effective: Vec<_> = firsts.iter().filter_map(took_effect).collect();
        effective.sort_unstable();
        let mut least = i64::MAX;
        for (_, revision) in effective.iter_mut().rev() {
            least = least.min(*revision);
            *revision = least;
        }
        let request = |(request, sent): (String, Sent)| {
            let first = firsts[&request];
            let new = Request { sent, first, committed: 0, told: 0, calls: 0, refusals: 0, answers: 0, fresh: 0 };
            (request, new)
        };
        Self { requests: sent.into_iter().map(request).collect(), effective, committed: 0 }
    }

    /// A request is about to be sent. Some client knows this revision.
    pub(crate) fn called(&mut self, id: &str, line: u64, told: i64) {
        let Some(request) = self.requests.get_mut(id) else { return };
        request.calls += 1;
        if request.first == line {
            (request.committed, request.told) = (self.committed, told);
        }
    }

    /// A request was answered with a revision.
    pub(crate) fn committed(
        &mut self,
        replayed: &Replayed,
        id: &str,
        (revision, repeats): (i64, bool),
        results: &[Done],
        broken: &mut Vec<Violation>,
    ) {
        self.committed = self.committed.max(revision);
        let Some(request) = self.requests.get_mut(id) else { return };
        request.answers += 1;
        request.fresh += u64::from(!repeats);
        let violated = |rule, what: String| Violation { rule, what };
        if request.fresh == 2 {
            broken.push(violated(Rule::Once, format!("{id} was done twice, by its answers")));
        }
        if revision > replayed.head() {
            let what = format!("{id} was answered with {revision}, which is not in the log");
            return broken.push(violated(Rule::Lost, what));
        }
        let expected = match replayed.done(id) {
            Some((done, effects)) if done == revision => Ok(effects.to_vec()),
            // A commit that changes nothing makes no revision. It is a read of the head.
            None if results.iter().all(|done| done.kind == Kind::Unchanged) => {
                Reads { replayed, told: request.told, broken }.newest(id, revision);
                request.sent.effects(replayed, revision)
            }
            done => {
                let done = done.map(|(done, _)| done);
                let what = format!("{id} was answered with {revision}, and the log has it at {done:?}");
                return broken.push(violated(Rule::Lost, what));
            }
        };
        let expected = expected.map(|effects| {
            let done = |effect: Effect| {
                let version = effect.version(revision);
                Done { name: effect.name, revision: version.revision, kind: effect.kind }
            };
            effects.into_iter().map(done).collect::<Vec<_>>()
        });
        if expected.as_deref() != Ok(results) {
            let what = format!("{id} was answered {results:?}, and replaying it gives {expected:?}");
            broken.push(violated(Rule::Replay, what));
        }
    }

    /// A request was refused at a line. This revision was known before it was sent. Returns the smallest revision at which the
    /// reason held, which the caller now knows.
    pub(crate) fn refused(
        &mut self,
        replayed: &Replayed,
        (id, reason): (&str, &str),
        (line, told): (u64, i64),
        steps: &mut Steps,
        broken: &mut Vec<Violation>,
    ) -> Result<Option<i64>, String> {
        let ceiling = self.ceiling(replayed, line);
        let Some(request) = self.requests.get_mut(id) else { return Ok(None) };
        request.refusals += 1;
        // Once it has taken effect, it is known, and every answer is the first one.
        let until = replayed.done(id).map_or(i64::MAX, |(revision, _)| revision - 1).min(ceiling);
        for revision in told..=until {
            steps.take()?;
            if request.sent.effects(replayed, revision) == Err(reason) {
                return Ok(Some(revision));
            }
        }
        let sent = &request.sent;
        let what = format!("{id} was refused for {reason}, which held at no revision from {told} to {until}: {sent:?}");
        broken.push(Violation { rule: Rule::Refusal, what });
        Ok(None)
    }

    /// At the end of the history: checks that need all of it.
    pub(crate) fn ended(&self, replayed: &Replayed, broken: &mut Vec<Violation>) {
        for (id, request) in &self.requests {
            let Some((revision, _)) = replayed.done(id) else { continue };
            let mut violated = |rule, what: String| broken.push(Violation { rule, what });
            if request.answers > 0 && revision <= request.committed {
                violated(Rule::Order, format!("{id} is at {revision} and was sent after {} was answered", request.committed));
            } else if revision <= request.told {
                violated(Rule::Invocation, format!("{id} is at {revision} and was sent after {} was known", request.told));
            }
            if request.refusals == request.calls {
                violated(Rule::Refused, format!("{id} was always refused and is in the log at {revision}"));
            }
        }
    }

    /// The greatest revision that can have been the head at a line. It is less than that of every request sent later.
    fn ceiling(&self, replayed: &Replayed, line: u64) -> i64 {
        let later = self.effective.partition_point(|(first, _)| *first <= line);
        self.effective.get(later).map_or(replayed.head(), |(_, least)| least - 1)
    }
}

impl Sent {
    /// What it would have done at a head.
    fn effects(&self, replayed: &Replayed, revision: i64) -> Result<Vec<Effect>, &'static str> {
        effects(|name| replayed.at(name, revision), &self.writes, &self.conditions)
    }
}
