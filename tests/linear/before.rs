//! Rewrites histories as if their server had been new: revisions begin with 1 and counts with 0.
//!
//! Knows where a line contains a revision or a count. Must not know what they are used for.

use crate::{
    history::{Answer, Call, Line, Logged},
    model::{Condition, Version, Write},
};

/// What was on the server before a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// The newest revision.
    pub(crate) revision: i64,
    /// All counts were below this.
    pub(crate) counts: i64,
}

impl Before {
    /// A line as it would be on a new server.
    pub(crate) fn taken_from(self, mut line: Line) -> Line {
        match &mut line {
            Line::Called { call, .. } => self.call(call),
            Line::Answered { answer, .. } => self.answer(answer),
            Line::Logged(logged) => self.logged(logged),
            _ => {}
        }
        line
    }

    fn call(self, call: &mut Call) {
        match call {
            Call::Commit { conditions, writes, .. } => {
                for condition in conditions {
                    if let Condition::At { revision, .. } = condition {
                        self.revision(revision);
                    }
                }
                for write in writes {
                    match write {
                        Write::Create { content, .. } | Write::Upsert { content, .. } => content.count -= self.counts,
                        Write::Update { content, if_revision, .. } => {
                            content.count -= self.counts;
                            self.revision(if_revision);
                        }
                        Write::Delete { if_revision, .. } => self.revision(if_revision),
                        Write::Undelete { .. } => {}
                    }
                }
            }
            Call::List { above, at, .. } => {
                *above = above.map(|above| above - self.counts);
                self.revision(at);
            }
            Call::Get { at, .. } | Call::BatchGet { at, .. } | Call::GetCommit { revision: at } => self.revision(at),
            Call::Head => {}
        }
    }

    fn answer(self, answer: &mut Answer) {
        match answer {
            Answer::Committed { revision, results, .. } => {
                self.revision(revision);
                for done in results {
                    self.revision(&mut done.revision);
                }
            }
            Answer::Got { version: Some(version) } => self.version(version),
            Answer::Read { revision, records } => {
                self.revision(revision);
                for (_, version) in records {
                    self.version(version);
                }
            }
            Answer::Commit(logged) => self.logged(logged),
            Answer::Head { revision } => self.revision(revision),
            Answer::Got { version: None } | Answer::Refused { .. } => {}
        }
    }

    fn logged(self, logged: &mut Logged) {
        self.revision(&mut logged.revision);
        for effect in &mut logged.changes {
            self.revision(&mut effect.previous);
            effect.content.count -= self.counts;
        }
    }

    fn version(self, version: &mut Version) {
        self.revision(&mut version.revision);
        version.content.count -= self.counts;
    }

    /// 0 is not a revision. It means any revision, or none.
    fn revision(self, revision: &mut i64) {
        if *revision > 0 {
            *revision -= self.revision;
        }
    }
}
