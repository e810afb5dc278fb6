//! Compares the checker with another one: a search for an order of the calls, which does not look at revisions.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Instant};

use fastrand::Rng;

use crate::{
    checker::check,
    falsified::{Lie, falsify},
    history::{Answer, Call, Line},
    search::{Found, search},
    serving::Serving,
    short::{CALLS_MAX, CLIENTS_MAX, history},
    trial::{count, loudly, machine, seed},
    verdict::Verdict,
};

/// More than the check of a short history needs.
const CHECK_STEPS: u64 = 100_000;
/// Steps of a search. Most searches end far earlier. The others might not end at all.
const SEARCH_STEPS: u64 = 2_000;
/// How many random positions are tried for a lie.
const PLACES: usize = 20;

/// How often histories were rejected.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    histories: u64,
    by_search: u64,
    by_checker: u64,
    /// The search found neither an order nor a proof that there is none.
    unknown: u64,
}

fn verdict(lines: &[Line]) -> Verdict {
    check(|| lines.iter().cloned().map(Ok), CHECK_STEPS)
}

/// Saves a history of a failed test.
fn keep(lines: &[Line], name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ndjson"));
    let text = lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{}", serde_json::to_string(line).expect("a line has no odd keys")).expect("a string takes all");
        text
    });
    std::fs::write(&path, text).expect("room for a history");
    path
}

/// Checks a falsified history with both. What the search rejects, the checker must reject.
fn compare(lines: &[Line], tally: &mut Tally, name: &str) {
    let (verdict, found) = (verdict(lines), search(lines, SEARCH_STEPS));
    let is_broken = matches!(verdict, Verdict::Broken(_));
    tally.histories += 1;
    tally.by_checker += u64::from(is_broken);
    tally.by_search += u64::from(found == Found::NoOrder);
    tally.unknown += u64::from(found == Found::Unknown);
    assert!(
        is_broken || found != Found::NoOrder,
        "the checker says {verdict:?}, and no order explains {}",
        keep(lines, name).display()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_sees_no_revisions_rejects_no_history_that_the_checker_lets_pass() {
    let seed = seed("ANNALS_LINEAR_SEED");
    let histories = count("ANNALS_LINEAR_HISTORIES", 100);
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let server = Serving::start_on(&folder.path().join("data")).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS_MAX {
        clients.push(server.client().await);
    }
    let began = Instant::now();
    let (mut operations, mut unknown) = (0, 0);
    let mut lies: BTreeMap<Lie, Tally> = BTreeMap::new();
    for number in 0..histories {
        let lines = history(number, &clients, folder.path(), rng.fork()).await;
        let name = format!("crosscheck-{seed}-{number}");
        let Verdict::Sound(counted) = verdict(&lines) else {
            panic!("{:?}, in {}", verdict(&lines), keep(&lines, &name).display());
        };
        assert!(counted.operations <= CALLS_MAX as u64 && counted.unanswered == 0, "{counted:?}");
        operations += counted.operations;
        match search(&lines, SEARCH_STEPS) {
            Found::Order => {}
            Found::NoOrder => panic!("no order explains {}", keep(&lines, &name).display()),
            Found::Unknown => unknown += 1,
        }
        for lie in Lie::ALL {
            if let Some(lines) = (0..PLACES).find_map(|_| falsify(&lines, lie, &mut rng)) {
                compare(&lines, lies.entry(lie).or_default(), &format!("{name}-{lie:?}"));
            }
        }
    }
    server.stop();
    for (lie, Tally { histories, by_search, by_checker, unknown }) in &lies {
        loudly(&format!(
            "{lie:?}: {histories} histories, rejected: {by_search} by the search, {by_checker} by the checker; {unknown} unknown"
        ));
    }
    let by_search = lies.values().map(|tally| tally.by_search).sum::<u64>();
    loudly(&format!(
        "0 missed / {by_search} rejected by the search; {histories} sound histories of {operations} operations accepted by both, \
         save {unknown} that are unknown to the search; {:.1} s; {}",
        began.elapsed().as_secs_f64(),
        machine()
    ));
    assert!(unknown * 10 <= histories, "{unknown} of {histories} sound histories are unknown: that is no pass");
    assert!(
        Lie::ALL.iter().all(|lie| lies.get(lie).is_some_and(|tally| tally.by_search * 4 > histories)),
        "the search found too little for the comparison to mean anything: {lies:?}"
    );
}

#[test]
fn a_search_with_too_few_steps_is_unknown_and_no_pass() {
    let call = Call::Get { name: "events/x".into(), at: 0 };
    let lines = [Line::Called { operation: 0, call }, Line::Answered { operation: 0, answer: Answer::Got { version: None } }];
    assert_eq!(search(&lines, 1), Found::Order);
    assert_eq!(search(&lines, 0), Found::Unknown);
}
