//! A short history written by hand, and helpers to write it.
//!
//! Knows the form of lines. Must not know the rules that they satisfy or break.

use crate::{
    history::{Answer, Call, Done, Line, Logged, Moved, Selection, Transition},
    model::{Content, Effect, Kind, Version, Write},
};

pub(crate) fn content(count: i64) -> Content {
    Content { title: format!("t{count}"), count, labels: Vec::new() }
}

pub(crate) fn version(revision: i64, count: i64) -> Version {
    Version { revision, live: true, content: content(count) }
}

pub(crate) fn name(id: &str) -> String {
    format!("events/{id}")
}

pub(crate) fn create(id: &str, count: i64) -> Write {
    Write::Create { name: name(id), content: content(count) }
}

pub(crate) fn update(id: &str, count: i64, if_revision: i64) -> Write {
    Write::Update { name: name(id), content: content(count), if_revision }
}

pub(crate) fn effect(id: &str, kind: Kind, previous: i64, count: i64) -> Effect {
    Effect { name: name(id), kind, previous, content: content(count) }
}

pub(crate) fn commit(operation: u64, request: &str, writes: &[Write]) -> Line {
    let call = Call::Commit { request: request.into(), conditions: Vec::new(), writes: writes.to_vec() };
    Line::Called { operation, call }
}

pub(crate) fn committed(operation: u64, revision: i64, replayed: bool, results: &[(&str, i64, Kind)]) -> Line {
    let done = |&(id, revision, kind): &(&str, i64, Kind)| Done { name: name(id), revision, kind };
    let answer = Answer::Committed { revision, replayed, results: results.iter().map(done).collect() };
    Line::Answered { operation, answer }
}

pub(crate) fn refused(operation: u64, reason: &str) -> Line {
    Line::Answered { operation, answer: Answer::Refused { reason: reason.into() } }
}

pub(crate) fn get(operation: u64, id: &str, at: i64) -> Line {
    Line::Called { operation, call: Call::Get { name: name(id), at } }
}

pub(crate) fn got(operation: u64, version: Option<Version>) -> Line {
    Line::Answered { operation, answer: Answer::Got { version } }
}

pub(crate) fn list(operation: u64, at: i64) -> Line {
    Line::Called { operation, call: Call::List { collection: "events".into(), above: None, at } }
}

pub(crate) fn read(operation: u64, revision: i64, records: &[(&str, Version)]) -> Line {
    let records = records.iter().map(|(id, version)| (name(id), version.clone())).collect();
    Line::Answered { operation, answer: Answer::Read { revision, records } }
}

pub(crate) fn delivered(watch: u64, revision: i64, effects: &[Effect]) -> Line {
    let changes = effects.iter().map(|effect| Moved { effect: effect.clone(), transition: None }).collect();
    Line::Delivered { watch, revision, changes }
}

pub(crate) fn logged(revision: i64, request: &str, changes: &[Effect]) -> Line {
    Line::Logged(Logged { revision, request: request.into(), changes: changes.to_vec() })
}

/// Two clients and two watches. Request "c" is cut and still applied. "d" is refused. "b" is sent twice.
pub(crate) fn sound() -> Vec<Line> {
    use Kind::{Created, Unchanged, Updated};
    let (first, second) = ([effect("x", Created, 0, 1)], [effect("x", Updated, 1, 2), effect("y", Created, 0, 7)]);
    let third = [effect("y", Updated, 2, 3)];
    vec![
        /*  0 */ commit(0, "a", &[create("x", 1)]),
        /*  1 */ committed(0, 1, false, &[("x", 1, Created)]),
        /*  2 */ get(1, "x", 0),
        /*  3 */ commit(2, "b", &[update("x", 2, 1), create("y", 7)]),
        /*  4 */ got(1, Some(version(1, 1))),
        /*  5 */ commit(3, "b", &[update("x", 2, 1), create("y", 7)]),
        /*  6 */ committed(2, 2, false, &[("x", 2, Updated), ("y", 2, Created)]),
        /*  7 */ committed(3, 2, true, &[("x", 2, Updated), ("y", 2, Created)]),
        /*  8 */ commit(4, "c", &[update("y", 3, 0)]),
        /*  9 */ Line::Unanswered { operation: 4 },
        /* 10 */ commit(5, "d", &[update("x", 9, 1)]),
        /* 11 */ refused(5, "REVISION_MISMATCH"),
        /* 12 */ list(6, 0),
        /* 13 */ read(6, 3, &[("x", version(2, 2)), ("y", version(3, 3))]),
        /* 14 */ list(7, 2),
        /* 15 */ read(7, 2, &[("x", version(2, 2)), ("y", version(2, 7))]),
        /* 16 */ Line::Opened { watch: 0, after: 0, selection: Selection::All },
        /* 17 */ delivered(0, 1, &first),
        /* 18 */ delivered(0, 2, &second),
        /* 19 */ Line::Opened { watch: 0, after: 2, selection: Selection::All },
        /* 20 */ delivered(0, 3, &third),
        /* 21 */ Line::Opened { watch: 1, after: 0, selection: Selection::Above("events".into(), 1) },
        /* 22 */
        Line::Delivered {
            watch: 1,
            revision: 2,
            changes: second
                .iter()
                .map(|effect| Moved { effect: effect.clone(), transition: Some(Transition::Entered) })
                .collect(),
        },
        /* 23 */ Line::Progressed { watch: 1, revision: 2 },
        /* 24 */ commit(8, "e", &[update("y", 3, 0)]),
        /* 25 */ committed(8, 3, false, &[("y", 3, Unchanged)]),
        /* 26 */ Line::Called { operation: 9, call: Call::Head },
        /* 27 */ Line::Answered { operation: 9, answer: Answer::Head { revision: 3 } },
        /* 28 */ get(10, "z", 0),
        /* 29 */ got(10, None),
        /* 30 */ logged(1, "a", &first),
        /* 31 */ logged(2, "b", &second),
        /* 32 */ logged(3, "c", &third),
    ]
}
