//! Falsified histories: one answer of a valid history is changed at random, so that some of them are impossible.
//!
//! Knows how a server could be wrong. Must not know how this is detected.

use std::collections::HashMap;

use fastrand::Rng;

use crate::{
    history::{Answer, Call, Done, Line},
    model::{Content, Kind, Version, Write, effects},
    replay::{Replayed, Sent},
    short::COUNTS,
};

/// How a server could be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// A record that was read has other content.
    Content,
    /// A read of the head shows an older version.
    Older,
    /// One of several records read at once has an older version.
    Torn,
    /// An applied commit is reported as refused.
    Refusal,
    /// A commit is reported as applied and is not.
    Lost,
    /// A commit is applied that nobody sent.
    Unsent,
}

impl Lie {
    pub(crate) const ALL: [Self; 6] = [Self::Content, Self::Older, Self::Torn, Self::Refusal, Self::Lost, Self::Unsent];
}

const REFUSALS: [&str; 4] = ["REVISION_MISMATCH", "NAME_TAKEN", "RECORD_NOT_FOUND", "RECORD_DELETED"];

/// A history with one lie. `None` if there is nothing to lie about at the random position.
pub(crate) fn falsify(lines: &[Line], lie: Lie, rng: &mut Rng) -> Option<Vec<Line>> {
    let history = History::new(lines);
    let mut lines = lines.to_vec();
    if lie == Lie::Lost {
        let at = rng.usize(..=history.end);
        lines.splice(at..at, history.lost(at, rng)?);
        return Some(lines);
    }
    let (called, answered) = *rng.choice(&history.pairs)?;
    let (Line::Called { call, .. }, Line::Answered { answer, .. }) = (&history.lines[called], &mut lines[answered]) else {
        return None;
    };
    match lie {
        Lie::Content => {
            let content = &mut some_version(answer, rng)?.content;
            content.count = Some(rng.i64(COUNTS)).filter(|count| *count != content.count)?;
        }
        Lie::Older => *answer = history.older(call, answer, rng)?,
        Lie::Torn => history.tear(answer, rng)?,
        Lie::Refusal => match answer {
            Answer::Committed { .. } => *answer = Answer::Refused { reason: (*rng.choice(REFUSALS)?).to_owned() },
            _ => return None,
        },
        Lie::Lost => unreachable!("done above"),
        Lie::Unsent => {
            let Answer::Committed { results, .. } = answer else { return None };
            if results.iter().all(|done| done.kind == Kind::Unchanged) {
                return None;
            }
            lines.remove(answered);
            lines.remove(called);
        }
    }
    (lines != history.lines).then_some(lines)
}

struct History<'a> {
    lines: &'a [Line],
    replayed: Replayed,
    /// The lines of each call and of its answer.
    pairs: Vec<(usize, usize)>,
    /// Where the log begins.
    end: usize,
}

impl<'a> History<'a> {
    fn new(lines: &'a [Line]) -> Self {
        let (mut sent, mut log, mut called, mut pairs) = (HashMap::new(), Vec::new(), HashMap::new(), Vec::new());
        for (at, line) in lines.iter().enumerate() {
            match line {
                Line::Called { operation, call } => {
                    called.insert(operation, at);
                    if let Call::Commit { request, conditions, writes } = call.clone() {
                        sent.insert(request, Sent { conditions, writes });
                    }
                }
                Line::Answered { operation, .. } => pairs.push((called[operation], at)),
                Line::Logged(logged) => log.push(logged.clone()),
                _ => {}
            }
        }
        let end = lines.len() - log.len();
        Self { lines, replayed: Replayed::new(log, &sent, &mut Vec::new()), pairs, end }
    }

    /// What a read of the head could have shown before.
    fn older(&self, call: &Call, answer: &Answer, rng: &mut Rng) -> Option<Answer> {
        match (call, answer) {
            (Call::Get { name, at: 0 }, Answer::Got { version: Some(version) }) => {
                let before = rng.i64(..version.revision);
                Some(Answer::Got { version: self.replayed.at(name, before).cloned() })
            }
            (Call::BatchGet { at: 0, .. } | Call::List { at: 0, .. }, Answer::Read { revision: newest @ 1.., .. }) => {
                let revision = rng.i64(..newest);
                let records = self.replayed.shown(call, revision);
                let records = records.into_iter().map(|(name, version)| (name.to_owned(), version.clone())).collect();
                Some(Answer::Read { revision, records })
            }
            _ => None,
        }
    }

    fn tear(&self, answer: &mut Answer, rng: &mut Rng) -> Option<()> {
        let Answer::Read { records, .. } = answer else { return None };
        let at = rng.usize(..records.len().max(1));
        let (name, version) = records.get_mut(at)?;
        match self.replayed.at(name, rng.i64(..version.revision)) {
            Some(before) if before.live => *version = before.clone(),
            _ => drop(records.remove(at)),
        }
        Some(())
    }

    /// A commit that is called and answered before a line, as if it had been applied after everything known there.
    fn lost(&self, line: usize, rng: &mut Rng) -> Option<[Line; 2]> {
        let told = self.lines[..line].iter().filter_map(|line| match line {
            Line::Answered { answer: Answer::Committed { revision, .. } | Answer::Read { revision, .. }, .. } => {
                Some(*revision)
            }
            _ => None,
        });
        let told = told.max().unwrap_or_default();
        let name = rng.choice(&self.replayed.commit(told.max(1))?.changes)?.name.clone();
        let content = Content { title: "t".into(), count: rng.i64(COUNTS), labels: Vec::new() };
        let write = if rng.bool() { Write::Upsert { name, content } } else { Write::Delete { name, if_revision: 0 } };
        let writes = vec![write];
        let done = effects(|name| self.replayed.at(name, told), &writes, &[]).ok()?;
        if done.iter().all(|effect| effect.kind == Kind::Unchanged) {
            return None;
        }
        let revision = told + 1;
        let results = done.into_iter().map(|effect| Done { name: effect.name, revision, kind: effect.kind }).collect();
        let operation = u64::MAX;
        let call = Call::Commit { request: "lost".into(), conditions: Vec::new(), writes };
        let answer = Answer::Committed { revision, replayed: false, results };
        Some([Line::Called { operation, call }, Line::Answered { operation, answer }])
    }
}

/// One of the versions in an answer.
fn some_version<'a>(answer: &'a mut Answer, rng: &mut Rng) -> Option<&'a mut Version> {
    match answer {
        Answer::Got { version } => version.as_mut(),
        Answer::Read { records, .. } => {
            let at = rng.usize(..records.len().max(1));
            records.get_mut(at).map(|(_, version)| version)
        }
        _ => None,
    }
}
