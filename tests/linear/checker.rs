//! Checks whether the promises allow a history.
//!
//! Every answer names its revision, so the checker does not have to search. It replays the log once. Then it compares each line
//! with the replay and with what was known before it. The cost is linear in the length of the history, except for refused
//! commits, where the checker looks at each revision between the call and the answer. It does not trust the log: everything
//! that was answered must be in it.
//!
//! Knows which rule checks which line, and what was known when. Must not know how a history was made.

use std::collections::HashMap;

use crate::{
    commits::Commits,
    history::{Answer, Call, Line},
    reads::Reads,
    replay::{Replayed, Sent},
    rule::{Rule, Violation},
    verdict::{Counted, Steps, Verdict},
    watches::Watches,
};

/// A call without an answer so far.
#[derive(Debug)]
struct Open {
    call: Call,
    /// The newest revision that any client knew before it.
    told: i64,
}

struct Checker {
    replayed: Replayed,
    commits: Commits,
    open: HashMap<u64, Open>,
    watches: Watches,
    /// The newest revision that any client knows.
    told: i64,
    steps: Steps,
    counted: Counted,
    broken: Vec<Violation>,
}

/// Checks a history in at most this many steps. Reads it twice.
pub(crate) fn check<I>(lines: impl Fn() -> I, steps: u64) -> Verdict
where
    I: Iterator<Item = Result<Line, String>>,
{
    let mut checker = match Checker::replay(lines(), Steps::new(steps)) {
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
    /// Reads what was sent, and the log.
    fn replay(lines: impl Iterator<Item = Result<Line, String>>, mut steps: Steps) -> Result<Self, String> {
        let (mut sent, mut firsts, mut log) = (HashMap::new(), HashMap::new(), Vec::new());
        for (line, number) in lines.zip(0_u64..) {
            steps.take()?;
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
        Ok(Self {
            commits: Commits::new(sent, &firsts, &replayed),
            counted: Counted { revisions: replayed.head(), ..Counted::default() },
            replayed,
            open: HashMap::new(),
            watches: Watches::default(),
            told: 0,
            steps,
            broken,
        })
    }

    /// Compares every line with the replay. An error says why it could not continue.
    fn answers(&mut self, lines: impl Iterator<Item = Result<Line, String>>) -> Result<(), String> {
        for (line, number) in lines.zip(0_u64..) {
            self.steps.take()?;
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
        self.watches.ended(&self.replayed, &mut self.broken);
        self.commits.ended(&self.replayed, &mut self.broken);
        Ok(())
    }

    fn called(&mut self, line: u64, operation: u64, call: Call) {
        self.counted.operations += 1;
        if let Call::Commit { request, .. } = &call {
            self.commits.called(request, line, self.told);
        }
        self.open.insert(operation, Open { call, told: self.told });
    }

    fn answered(&mut self, line: u64, open: &Open, answer: Answer) -> Result<(), String> {
        let mut reads = Reads { replayed: &self.replayed, told: open.told, broken: &mut self.broken };
        match (&open.call, answer) {
            (Call::Commit { request, .. }, Answer::Committed { revision, replayed, results }) => {
                self.counted.commits += 1;
                let said = (revision, replayed);
                self.commits.committed(&self.replayed, request, said, &results, &mut self.broken);
                self.told = self.told.max(revision);
            }
            (Call::Commit { request, .. }, Answer::Refused { reason }) => {
                self.counted.refused += 1;
                let when = (line, open.told);
                let refused =
                    self.commits.refused(&self.replayed, (request, &reason), when, &mut self.steps, &mut self.broken)?;
                // It does not name a revision, but it shows that its reason holds.
                self.told = self.told.max(refused.unwrap_or_default());
            }
            (_, Answer::Refused { reason }) => {
                let rule = if reason == "REVISION_IN_FUTURE" { Rule::Lost } else { Rule::Read };
                self.broken.push(Violation { rule, what: format!("{:?} was refused: {reason}", open.call) });
            }
            (Call::Get { name, at }, Answer::Got { version }) => {
                self.counted.reads += 1;
                reads.record(name, *at, version.as_ref());
                self.told = self.told.max(*at).max(version.map_or(0, |version| version.revision));
            }
            (call @ (Call::BatchGet { .. } | Call::List { .. }), Answer::Read { revision, records }) => {
                self.counted.reads += 1;
                for _record in &records {
                    self.steps.take()?;
                }
                reads.records(call, revision, &records);
                self.told = self.told.max(revision);
            }
            (Call::GetCommit { revision }, Answer::Commit(logged)) => {
                self.counted.reads += 1;
                reads.commit(*revision, &logged);
                self.told = self.told.max(*revision);
            }
            (Call::Head, Answer::Head { revision }) => {
                self.counted.reads += 1;
                reads.newest("the head", revision);
                self.told = self.told.max(revision);
            }
            (call, answer) => return Err(format!("line {line}: {answer:?} is no answer to {call:?}")),
        }
        Ok(())
    }
}
