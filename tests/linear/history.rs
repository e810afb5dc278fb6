//! A history: what clients asked and what was answered, one event a line, in order.
//!
//! One writer writes the line of a call before it is sent and the line of an answer after it is received. So of two lines the
//! first one happened first. The log, read at the end, closes the file. A history can therefore be checked again from its file
//! alone.
//!
//! Knows the lines. Must not know who makes them, or what is right.

use serde::{Deserialize, Serialize};

use crate::model::{Condition, Effect, Kind, Version, Write};

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// A client is about to send a call.
    Called { operation: u64, call: Call },
    /// The call was answered.
    Answered { operation: u64, answer: Answer },
    /// The call ended without an answer. It may have been applied or not.
    Unanswered { operation: u64 },
    /// A watch begins, or resumes after a cut.
    Opened { watch: u64, after: i64, selection: Selection },
    /// A commit came on a watch.
    Delivered { watch: u64, revision: i64, changes: Vec<Moved> },
    /// A watch reported its position.
    Progressed { watch: u64, revision: i64 },
    /// A commit of the log, as read at the end.
    Logged(Logged),
}

/// What is asked. `at`: as of this revision. 0: the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    Commit {
        request: String,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    },
    Get {
        name: String,
        at: i64,
    },
    BatchGet {
        names: Vec<String>,
        at: i64,
    },
    /// The records of a collection whose count is above a number, or all.
    List {
        collection: String,
        above: Option<i64>,
        at: i64,
    },
    GetCommit {
        revision: i64,
    },
    /// The head.
    Head,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Committed {
        revision: i64,
        replayed: bool,
        results: Vec<Done>,
    },
    /// Nothing was applied, for this reason.
    Refused {
        reason: String,
    },
    /// To Get. `None`: the record never existed.
    Got {
        version: Option<Version>,
    },
    /// To `BatchGet` and `List`: the live records, all as of one revision.
    Read {
        revision: i64,
        records: Vec<(String, Version)>,
    },
    Commit(Logged),
    Head {
        revision: i64,
    },
}

/// What one mutation did, by the answer to its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) name: String,
    pub(crate) revision: i64,
    pub(crate) kind: Kind,
}

/// A commit of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Logged {
    pub(crate) revision: i64,
    pub(crate) request: String,
    pub(crate) changes: Vec<Effect>,
}

/// What a watch shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Selection {
    All,
    Collection(String),
    /// The records of this collection with a count above a number, before the commit or after it.
    Above(String, i64),
}

/// A change as a watch shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    pub(crate) effect: Effect,
    /// Only if the watch has a filter.
    pub(crate) transition: Option<Transition>,
}

/// How a change moved a record with respect to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transition {
    Entered,
    Stayed,
    Left,
}

/// Whether a name belongs to a collection.
pub(crate) fn is_in(name: &str, collection: &str) -> bool {
    name.split_once('/').is_some_and(|(of, _)| of == collection)
}
