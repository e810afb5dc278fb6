//! Tests the checker: a short valid history, and for each rule the same history broken by hand.

use crate::{
    checker::check,
    history::{Answer, Call, Line, Logged},
    model::Kind,
    rule::Rule,
    search::{Found, search},
    verdict::Verdict,
    written::{
        commit, committed, create, delivered, effect, get, got, list, logged, name, read, refused, sound, update, version,
    },
};

/// More than a short history needs.
const STEPS: u64 = 10_000;

fn verdict(lines: &[Line], steps: u64) -> Verdict {
    check(|| lines.iter().cloned().map(Ok), steps)
}

/// The rules that a history breaks, each once.
fn broken(lines: &[Line]) -> Vec<Rule> {
    match verdict(lines, STEPS) {
        Verdict::Sound(_) => Vec::new(),
        Verdict::Broken(violations) => {
            let mut rules: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
            rules.sort();
            rules.dedup();
            rules
        }
        Verdict::Unknown(why) => panic!("unknown: {why}"),
    }
}

/// The valid history with some lines replaced.
fn with(replaced: impl IntoIterator<Item = (usize, Line)>) -> Vec<Line> {
    let mut lines = sound();
    for (at, line) in replaced {
        lines[at] = line;
    }
    lines
}

#[test]
fn a_sound_history_is_sound_and_all_of_it_is_counted() {
    let Verdict::Sound(counted) = verdict(&sound(), STEPS) else { panic!("{:?}", verdict(&sound(), STEPS)) };
    assert_eq!((counted.operations, counted.commits, counted.refused, counted.reads), (11, 4, 1, 5));
    assert_eq!((counted.unanswered, counted.delivered, counted.revisions), (1, 4, 3));
}

#[test]
fn a_history_broken_in_one_way_is_rejected_by_that_rule_and_no_other() {
    use Kind::{Created, Updated};
    let mut cases: Vec<(Rule, Vec<Line>)> = Vec::new();

    let mut gap = sound();
    let Line::Logged(last) = &mut gap[32] else { panic!("the log's last entry") };
    last.revision = 4;
    // Nobody knows the lost entry.
    gap.drain(20..30);
    gap.drain(12..14);
    cases.push((Rule::Gapless, gap));

    // Both clients were told that y was created with 7. The log has 8.
    let eight = [effect("x", Updated, 1, 2), effect("y", Created, 0, 8)];
    let mut replay = with([(31, logged(2, "b", &eight)), (15, read(7, 2, &[("x", version(2, 2)), ("y", version(2, 8))]))]);
    replay[18] = delivered(0, 2, &eight);
    replay.drain(21..24);
    cases.push((Rule::Replay, replay));

    // The head was reported as 4, and there is no such commit.
    cases.push((Rule::Lost, with([(27, Line::Answered { operation: 9, answer: Answer::Head { revision: 4 } })])));

    // "f" was sent after "c" was answered with 3, but comes before it.
    let order = [
        commit(0, "a", &[create("x", 1)]),
        committed(0, 2, false, &[("x", 2, Created)]),
        commit(1, "b", &[create("y", 1)]),
        committed(1, 1, false, &[("y", 1, Created)]),
        logged(1, "b", &[effect("y", Created, 0, 1)]),
        logged(2, "a", &[effect("x", Created, 0, 1)]),
    ];
    cases.push((Rule::Order, order.to_vec()));

    // A list at revision 2 shows y as of 3.
    cases.push((Rule::Read, with([(15, read(7, 2, &[("x", version(2, 2)), ("y", version(3, 3))]))])));
    // After revision 2 was answered, a get shows x as of 1.
    cases.push((Rule::Stale, with([(28, get(10, "x", 0)), (29, got(10, Some(version(1, 1))))])));

    // "g" changes y after "c" did, and then "c" changes it again.
    let mut once = sound();
    once.push(logged(4, "g", &[effect("y", Updated, 3, 4)]));
    once.push(logged(5, "c", &[effect("y", Updated, 4, 3)]));
    once.insert(16, commit(11, "g", &[update("y", 4, 0)]));
    once.insert(17, Line::Unanswered { operation: 11 });
    cases.push((Rule::Once, once));

    // A client read y as of 3 before "c" was sent, which made that version and was never answered.
    let mut invocation = sound();
    let (call, cut) = (invocation.remove(8), invocation.remove(8));
    invocation.insert(12, call);
    invocation.insert(13, cut);
    cases.push((Rule::Invocation, invocation));

    // "c" was refused, but y is what it would have made it.
    cases.push((Rule::Refused, with([(8, commit(4, "c", &[update("y", 3, 2)])), (9, refused(4, "REVISION_MISMATCH"))])));

    // x existed and could be updated.
    cases.push((Rule::Refusal, with([(11, refused(5, "RECORD_NOT_FOUND"))])));

    let mut swapped = sound();
    swapped.swap(17, 18);
    cases.push((Rule::WatchOrder, swapped));

    let mut twice = sound();
    twice.insert(20, twice[18].clone());
    cases.push((Rule::WatchOnce, twice));

    let mut incomplete = sound();
    incomplete.remove(18);
    cases.push((Rule::WatchComplete, incomplete));

    cases.push((Rule::WatchAtomic, with([(18, delivered(0, 2, &[effect("x", Updated, 1, 2)]))])));

    assert_eq!(cases.iter().map(|(rule, _)| *rule).collect::<Vec<_>>(), Rule::ALL, "one history for each rule");
    for (rule, lines) in cases {
        let rules = broken(&lines);
        match rule {
            // A commit that took effect cannot have had a reason to be refused.
            Rule::Refused => assert_eq!(rules, [Rule::Refused, Rule::Refusal]),
            rule => assert_eq!(rules, [rule]),
        }
    }
}

/// Client 1 changes x and waits for its answer. Client 2 makes a call whose answer shows the change. Then a read returns the
/// old x.
fn told_and_forgotten(asked: Call, answer: Answer) -> Vec<Line> {
    vec![
        commit(0, "a", &[create("x", 1)]),
        committed(0, 1, false, &[("x", 1, Kind::Created)]),
        commit(1, "b", &[update("x", 2, 0)]),
        Line::Called { operation: 2, call: asked },
        Line::Answered { operation: 2, answer },
        get(3, "x", 0),
        got(3, Some(version(1, 1))),
        committed(1, 2, false, &[("x", 2, Kind::Updated)]),
        logged(1, "a", &[effect("x", Kind::Created, 0, 1)]),
        logged(2, "b", &[effect("x", Kind::Updated, 1, 2)]),
    ]
}

#[test]
fn what_an_answer_implies_without_naming_a_revision_is_known_from_then_on() {
    let refused = Call::Commit { request: "c".into(), conditions: Vec::new(), writes: vec![update("x", 3, 1)] };
    let second = Logged { revision: 2, request: "b".into(), changes: vec![effect("x", Kind::Updated, 1, 2)] };
    for (asked, answer) in [
        (refused, Answer::Refused { reason: "REVISION_MISMATCH".into() }),
        (Call::Get { name: name("x"), at: 2 }, Answer::Got { version: Some(version(2, 2)) }),
        (Call::GetCommit { revision: 2 }, Answer::Commit(second)),
    ] {
        let lines = told_and_forgotten(asked.clone(), answer);
        assert_eq!(broken(&lines), [Rule::Stale], "{asked:?}");
        // A search without revisions cannot check the read of a commit by its revision.
        let found = if matches!(asked, Call::GetCommit { .. }) { Found::Order } else { Found::NoOrder };
        assert_eq!(search(&lines, STEPS), found, "{asked:?}");
    }
}

#[test]
fn a_read_as_of_a_revision_that_the_log_does_not_have_is_lost() {
    let newest = [("x", version(2, 2)), ("y", version(3, 3))];
    for (asked, answered) in [(get(11, "x", 4), got(11, Some(version(2, 2)))), (list(11, 4), read(11, 4, &newest))] {
        let mut lines = sound();
        lines.extend([asked.clone(), answered]);
        assert_eq!(broken(&lines), [Rule::Lost], "{asked:?}");
    }
}

#[test]
fn an_exhausted_budget_is_unknown_and_no_pass() {
    let lines = sound();
    let enough =
        (0..STEPS).find(|steps| !matches!(verdict(&lines, *steps), Verdict::Unknown(_))).expect("some number is enough");
    assert!(enough > 2 * lines.len() as u64, "every line is read twice");
    assert!(matches!(verdict(&lines, enough), Verdict::Sound(_)));
    for steps in 0..enough {
        assert!(matches!(verdict(&lines, steps), Verdict::Unknown(_)), "{steps}");
    }
}

#[test]
fn a_history_that_cannot_be_read_to_its_end_is_unknown() {
    let lines = || sound().into_iter().map(Ok).chain([Err("line 34 is cut off".to_owned())]);
    assert!(matches!(check(lines, STEPS), Verdict::Unknown(why) if why.contains("line 34")));
    let answer = || [Ok(committed(0, 1, false, &[]))].into_iter();
    assert!(matches!(check(answer, STEPS), Verdict::Unknown(why) if why.contains("answers no call")));
}
