//! Whether a history is one that the promises allow.
//!
//! Every answer carries the revision that it claims, so nothing has to be searched for: the log is replayed once, then each
//! line is held against the replay and against what was known before it. The cost is linear in the length of the history, but
//! for the few revisions between the call and the answer of what was refused. The log itself is not trusted: what was answered
//! must all be in it.
//!
//! Knows histories and rules. Must not know how a history came about.

use std::collections::HashMap;

use crate::{
    history::{Answer, Call, Done, Line},
    model::{Kind, Version, effects},
    replay::{Replayed, Sent},
    rule::{Rule, Violation},
    watches::Watches,
};

/// What a check comes to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No rule is broken.
    Sound(Counted),
    Broken(Vec<Violation>),
    /// The history could not be checked to its end, for this reason, and no violation was found until there. No pass.
    Unknown(String),
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) operations: u64,
    pub(crate) commits: u64,
    pub(crate) refused: u64,
    pub(crate) reads: u64,
    pub(crate) unanswered: u64,
    pub(crate) delivered: u64,
    pub(crate) revisions: i64,
}

/// A request id, over all calls that sent it.
#[derive(Debug)]
struct Request {
    sent: Sent,
    /// The line of its first call.
    first: u64,
    /// The newest revision that a commit was answered with, and that anybody was told of, before that line.
    committed: i64,
    told: i64,
    calls: u64,
    refusals: u64,
    answers: u64,
    /// Answers that do not say that they repeat another.
    fresh: u64,
}

/// A call that has no answer yet.
#[derive(Debug)]
struct Open {
    call: Call,
    /// The newest revision that anybody was told of before it.
    told: i64,
}

struct Checker {
    replayed: Replayed,
    requests: HashMap<String, Request>,
    /// The lines of first calls of requests that took effect, each with the least revision of its and all later ones.
    effective: Vec<(u64, i64)>,
    open: HashMap<u64, Open>,
    watches: Watches,
    committed: i64,
    told: i64,
    steps: u64,
    counted: Counted,
    broken: Vec<Violation>,
}

/// Checks a history, which is read twice, in at most so many steps.
pub(crate) fn check<I>(lines: impl Fn() -> I, steps: u64) -> Verdict
where
    I: Iterator<Item = Result<Line, String>>,
{
    let mut checker = match Checker::replay(lines(), steps) {
        Ok(checker) => checker,
        Err(why) => return Verdict::Unknown(why),
    };
    let read = checker.answers(lines());
    if !checker.broken.is_empty() {
        return Verdict::Broken(checker.broken);
    }
    match read {
        Ok(()) => Verdict::Sound(checker.counted),
        Err(why) => Verdict::Unknown(why),
    }
}

impl Checker {
    /// Reads what was sent and what the log is.
    fn replay(lines: impl Iterator<Item = Result<Line, String>>, steps: u64) -> Result<Self, String> {
        let (mut sent, mut firsts, mut log) = (HashMap::new(), HashMap::new(), Vec::new());
        let mut left = steps;
        for (line, number) in lines.zip(0_u64..) {
            left = left.checked_sub(1).ok_or_else(|| exhausted(steps))?;
            match line? {
                Line::Called { call: Call::Commit { request, conditions, writes }, .. } => {
                    firsts.entry(request.clone()).or_insert(number);
                    sent.entry(request).or_insert(Sent { conditions, writes });
                }
                Line::Logged(logged) => log.push(logged),
                _ => {}
            }
        }
        let mut broken = Vec::new();
        let replayed = Replayed::new(log, &sent, &mut broken);
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
        Ok(Self {
            requests: sent.into_iter().map(request).collect(),
            counted: Counted { revisions: replayed.head(), ..Counted::default() },
            replayed,
            effective,
            open: HashMap::new(),
            watches: Watches::default(),
            committed: 0,
            told: 0,
            steps: left,
            broken,
        })
    }

    /// Holds every line against the replay. An error: why it could not go on.
    fn answers(&mut self, lines: impl Iterator<Item = Result<Line, String>>) -> Result<(), String> {
        for (line, number) in lines.zip(0_u64..) {
            self.step()?;
            match line? {
                Line::Called { operation, call } => self.called(number, operation, call),
                Line::Answered { operation, answer } => {
                    let open = self.open.remove(&operation).ok_or_else(|| format!("line {number} answers no call"))?;
                    self.answered(number, &open, answer)?;
                }
                Line::Unanswered { operation } => {
                    self.open.remove(&operation).ok_or_else(|| format!("line {number} ends no call"))?;
                    self.counted.unanswered += 1;
                }
                Line::Opened { watch, after, selection } => self.watches.opened(watch, after, selection),
                Line::Delivered { watch, revision, changes } => {
                    self.counted.delivered += 1;
                    self.watches.delivered(&self.replayed, watch, revision, &changes, &mut self.broken);
                    self.told = self.told.max(revision);
                }
                Line::Progressed { watch, revision } => {
                    self.watches.progressed(&self.replayed, watch, revision, &mut self.broken);
                    self.told = self.told.max(revision);
                }
                Line::Logged(_) => {}
            }
        }
        self.counted.unanswered += self.open.len() as u64;
        self.ended();
        Ok(())
    }

    fn called(&mut self, line: u64, operation: u64, call: Call) {
        self.counted.operations += 1;
        if let Call::Commit { request, .. } = &call
            && let Some(request) = self.requests.get_mut(request)
        {
            request.calls += 1;
            if request.first == line {
                (request.committed, request.told) = (self.committed, self.told);
            }
        }
        self.open.insert(operation, Open { call, told: self.told });
    }

    fn answered(&mut self, line: u64, open: &Open, answer: Answer) -> Result<(), String> {
        match (&open.call, answer) {
            (Call::Commit { request, .. }, Answer::Committed { revision, replayed, results }) => {
                self.counted.commits += 1;
                self.committed(request, revision, replayed, &results);
                self.committed = self.committed.max(revision);
                self.told = self.told.max(revision);
            }
            (Call::Commit { request, .. }, Answer::Refused { reason }) => {
                self.counted.refused += 1;
                self.refused(request, &reason, line, open.told)?;
            }
            (_, Answer::Refused { reason }) => {
                let rule = if reason == "REVISION_IN_FUTURE" { Rule::Lost } else { Rule::Read };
                self.violated(rule, format!("{:?} was refused: {reason}", open.call));
            }
            (Call::Get { name, at }, Answer::Got { version }) => {
                self.counted.reads += 1;
                self.got(name, *at, version.as_ref(), open.told);
                self.told = self.told.max(version.map_or(0, |version| version.revision));
            }
            (Call::BatchGet { .. } | Call::List { .. }, Answer::Read { revision, records }) => {
                self.counted.reads += 1;
                for _record in &records {
                    self.step()?;
                }
                self.read(open, revision, &records);
                self.told = self.told.max(revision);
            }
            (Call::GetCommit { revision }, Answer::Commit(logged)) => {
                self.counted.reads += 1;
                match self.replayed.commit(*revision) {
                    None => self.violated(Rule::Lost, format!("{logged:?} was read and is not in the log")),
                    Some(expected) if *expected != logged => {
                        let what = format!("{logged:?} was read, and the log has {expected:?}");
                        self.violated(Rule::Read, what);
                    }
                    Some(_) => {}
                }
            }
            (Call::Head, Answer::Head { revision }) => {
                self.counted.reads += 1;
                self.newest("the head", revision, open.told);
                self.told = self.told.max(revision);
            }
            (call, answer) => return Err(format!("line {line}: {answer:?} is no answer to {call:?}")),
        }
        Ok(())
    }

    fn committed(&mut self, id: &str, revision: i64, replayed: bool, results: &[Done]) {
        let Some(request) = self.requests.get_mut(id) else { return };
        request.answers += 1;
        request.fresh += u64::from(!replayed);
        if request.fresh == 2 {
            self.broken.push(Violation { rule: Rule::Once, what: format!("{id} was done twice, by its answers") });
        }
        let told = request.told;
        if revision > self.replayed.head() {
            return self.violated(Rule::Lost, format!("{id} was answered with {revision}, which is not in the log"));
        }
        let expected = match self.replayed.done(id) {
            Some((done, effects)) if done == revision => Ok(effects.to_vec()),
            // A commit that changes nothing makes no revision: it is a read of the head.
            None if results.iter().all(|done| done.kind == Kind::Unchanged) => {
                self.newest(id, revision, told);
                let Some(Request { sent, .. }) = self.requests.get(id) else { return };
                effects(|name| self.replayed.at(name, revision), &sent.writes, &sent.conditions)
            }
            done => {
                let done = done.map(|(done, _)| done);
                return self.violated(Rule::Lost, format!("{id} was answered with {revision}, and the log has it at {done:?}"));
            }
        };
        let expected = expected.map(|effects| {
            let done = |effect: crate::model::Effect| {
                let version = effect.version(revision);
                Done { name: effect.name, revision: version.revision, kind: effect.kind }
            };
            effects.into_iter().map(done).collect::<Vec<_>>()
        });
        if expected.as_deref() != Ok(results) {
            self.violated(Rule::Replay, format!("{id} was answered {results:?}, and replaying it gives {expected:?}"));
        }
    }

    fn refused(&mut self, id: &str, reason: &str, line: u64, told: i64) -> Result<(), String> {
        let Some(request) = self.requests.get_mut(id) else { return Ok(()) };
        request.refusals += 1;
        let sent = request.sent.clone();
        // Once it has taken effect it is known, and answered as it was.
        let until = self.replayed.done(id).map_or(i64::MAX, |(revision, _)| revision - 1).min(self.ceiling(line));
        for revision in told..=until {
            self.step()?;
            let outcome = effects(|name| self.replayed.at(name, revision), &sent.writes, &sent.conditions);
            if outcome == Err(reason) {
                return Ok(());
            }
        }
        let what = format!("{id} was refused for {reason}, which held at no revision from {told} to {until}: {sent:?}");
        self.violated(Rule::Refusal, what);
        Ok(())
    }

    fn got(&mut self, name: &str, at: i64, version: Option<&Version>, told: i64) {
        if at > 0 {
            if self.replayed.at(name, at) != version {
                let what = format!("{name} at {at} was {version:?}, not {:?}", self.replayed.at(name, at));
                self.violated(Rule::Read, what);
            }
            return;
        }
        let revision = version.map_or(0, |version| version.revision);
        if revision > self.replayed.head() {
            self.violated(Rule::Lost, format!("{name} was read as of {revision}, which is not in the log"));
        } else if version.is_some() && self.replayed.at(name, revision) != version {
            let what = format!("{name} was {version:?}, and was {:?} then", self.replayed.at(name, revision));
            self.violated(Rule::Read, what);
        } else if self.replayed.next_change(name, revision).is_some_and(|next| next <= told) {
            self.violated(Rule::Stale, format!("{name} was read as of {revision} when {told} was known"));
        }
    }

    fn read(&mut self, open: &Open, revision: i64, records: &[(String, Version)]) {
        let call = &open.call;
        let (Call::BatchGet { at, .. } | Call::List { at, .. }) = call else { return };
        if *at == 0 {
            self.newest("a read", revision, open.told);
        } else if revision != *at {
            self.violated(Rule::Read, format!("{call:?} was answered as of {revision}"));
        }
        let expected: Vec<(&str, &Version)> = match call {
            Call::BatchGet { names, .. } => {
                let live = |name: &String| self.replayed.at(name, revision).is_some_and(|version| version.live);
                let of = |name| self.replayed.at(name, revision).map(|version| (name, version));
                names.iter().filter(|name| live(name)).filter_map(|name| of(name.as_str())).collect()
            }
            Call::List { collection, above, .. } => {
                let all = self.replayed.live(collection, revision);
                all.filter(|(_, version)| above.is_none_or(|above| version.content.count > above)).collect()
            }
            _ => return,
        };
        if !records.iter().map(|(name, version)| (name.as_str(), version)).eq(expected.iter().copied()) {
            let what = format!("{call:?} as of {revision} was {records:?}, not {expected:?}");
            self.violated(Rule::Read, what);
        }
    }

    /// A read of the newest state was answered as of a revision.
    fn newest(&mut self, what: &str, revision: i64, told: i64) {
        if revision > self.replayed.head() {
            self.violated(Rule::Lost, format!("{what} was as of {revision}, which is not in the log"));
        }
        if revision < told {
            self.violated(Rule::Stale, format!("{what} was as of {revision} when {told} was known"));
        }
    }

    /// The history is over: what can only be said of the whole.
    fn ended(&mut self) {
        self.watches.ended(&self.replayed, &mut self.broken);
        for (id, request) in &self.requests {
            let Some((revision, _)) = self.replayed.done(id) else { continue };
            let mut violated = |rule, what: String| self.broken.push(Violation { rule, what });
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

    /// The greatest revision that can have been the newest at a line: less than that of all that was sent later.
    fn ceiling(&self, line: u64) -> i64 {
        let later = self.effective.partition_point(|(first, _)| *first <= line);
        self.effective.get(later).map_or(self.replayed.head(), |(_, least)| least - 1)
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps = self.steps.checked_sub(1).ok_or("the steps allowed are used up")?;
        Ok(())
    }

    fn violated(&mut self, rule: Rule, what: String) {
        self.broken.push(Violation { rule, what });
    }
}

fn exhausted(steps: u64) -> String {
    format!("{steps} steps are not enough to read the history")
}
