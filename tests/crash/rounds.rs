//! Rounds: a process, its end, and what must hold in the next process. Kills and power cuts share them.
//!
//! Knows what is promised. Must not know how a process is killed or the power is cut.

use std::{path::Path, time::Duration};

use crate::{
    process::{Life, loudly},
    script::{Purpose, Sabotage, Said, Script},
    trial::machine,
};

/// Writers in a process.
const WRITERS: usize = 4;
/// Rounds after which a store is inspected closely and a new one begins.
const ROUNDS_OF_A_STORE: u64 = 25;

/// Where data folders are, and a way to end processes in it.
pub(crate) trait Place {
    /// A folder that does not exist yet.
    fn new_folder(&mut self) -> std::path::PathBuf;

    /// A folder for other files, which survives the end of a process.
    fn files(&self) -> &Path;

    /// Ends a process. Returns what it printed, as far as it counts, whether the machine stopped with it, and how it ended by
    /// itself, if it did.
    fn end(&mut self, life: Life, rng: &mut fastrand::Rng) -> Ended;
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) said: Vec<Said>,
    pub(crate) power_cut: bool,
    pub(crate) by_itself: Option<String>,
}

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seed: u64,
    /// Kernel and commit at the start.
    machine: String,
    pub(crate) ends: u64,
    pub(crate) power_cuts: u64,
    /// Ends before the inspection was complete: while the process started, opened the folder, replayed or rebuilt.
    pub(crate) early: u64,
    pub(crate) inspections: u64,
    pub(crate) acknowledged: u64,
    pub(crate) revisions: u64,
    pub(crate) keys: u64,
    pub(crate) resent: u64,
    pub(crate) rebuilt: u64,
    pub(crate) reasons: Vec<String>,
    pub(crate) violations: Vec<String>,
}

impl Tally {
    /// Prints the figures. Fails if a promise was broken.
    pub(crate) fn publish(&self, what: &str) {
        loudly(&format!(
            "{what}: {} violations / {} ends ({} of them power cuts, {} before the store served), {} inspections of {} keys and {} repeated requests, \
             {} commits acknowledged, {} revisions, {} states rebuilt; seed {}; {}",
            self.violations.len(),
            self.ends,
            self.power_cuts,
            self.early,
            self.inspections,
            self.keys,
            self.resent,
            self.acknowledged,
            self.revisions,
            self.rebuilt,
            self.seed,
            self.machine,
        ));
        let shown: Vec<_> = self.violations.iter().take(20).collect();
        assert!(self.violations.is_empty(), "{what}: seed {}, {} violations: {shown:#?}", self.seed, self.violations.len());
    }
}

/// Runs processes until this many have ended, or until `enough` returns true.
pub(crate) fn run(
    place: &mut dyn Place,
    seed: u64,
    ends: u64,
    sabotage: Option<Sabotage>,
    enough: impl Fn(&Tally) -> bool,
) -> Tally {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut tally = Tally { seed, machine: machine(), ..Tally::default() };
    while tally.ends < ends && !enough(&tally) {
        let mut script = Script::new(place.new_folder(), rng.u64(..), Purpose::Commit, WRITERS);
        script.sabotage = sabotage;
        for _ in 0..ROUNDS_OF_A_STORE.min(ends - tally.ends) {
            let life = Life::start(&script, place.files());
            let ended = place.end(life, &mut rng);
            tally.ends += 1;
            tally.early += u64::from(!ended.said.iter().any(|said| matches!(said, Said::Inspected(_))));
            tally.power_cuts += u64::from(ended.power_cut);
            let power_cut = ended.power_cut;
            tally.add(&mut script, ended);
            if power_cut {
                script.boot_id = format!("boot {}", tally.ends);
            }
            if enough(&tally) {
                break;
            }
        }
        script.purpose = Purpose::Inspect;
        let (said, by_itself) = Life::start(&script, place.files()).wait();
        tally.add(&mut script, Ended { said, power_cut: false, by_itself });
        tally.revisions += script.compared.revision;
        tally.acknowledged += script.acknowledged.iter().map(|answers| answers.len() as u64).sum::<u64>();
    }
    tally
}

impl Tally {
    /// Records what a process printed, for the next process and for the figures.
    fn add(&mut self, script: &mut Script, ended: Ended) {
        let round = self.ends;
        let mut violated = |what: String| self.violations.push(format!("round {round}: {what}"));
        for said in ended.said {
            match said {
                Said::Opened { suspect: None } | Said::Logged(_) | Said::Closed => {}
                Said::Opened { suspect: Some(why) } => {
                    self.rebuilt += 1;
                    self.reasons.push(why);
                }
                Said::Inspected(inspected) => {
                    self.inspections += 1;
                    self.keys += inspected.keys;
                    self.resent += inspected.resent;
                    // It has read the head.
                    script.seen = script.seen.max(inspected.compared.revision);
                    script.compared = inspected.compared;
                }
                Said::Violation(what) => violated(what),
                Said::Acknowledged { writer, step, answer } => {
                    let answers = &mut script.acknowledged[writer];
                    if answers.len() as u64 == step {
                        answers.push(answer);
                    } else {
                        violated(format!("writer {writer} was answered request {step} after {}", answers.len()));
                    }
                }
                Said::Refused { writer, step, reason } => {
                    violated(format!("request {step} of writer {writer} was refused: {reason}"));
                }
                Said::Seen { revision } => script.seen = script.seen.max(revision),
            }
        }
        if let Some(how) = ended.by_itself {
            violated(how);
        }
    }
}

/// When a process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// This long after its start, whatever it does then.
    AfterStart(Duration),
    /// This long after its inspection, while it commits.
    AfterInspection(Duration),
}

impl Moment {
    /// One in four ends in the first milliseconds. Of the others, short ones are likelier than long ones.
    pub(crate) fn random(rng: &mut fastrand::Rng, life_max: Duration) -> Self {
        if rng.u8(..4) == 0 {
            return Self::AfterStart(Duration::from_micros(rng.u64(..60_000)));
        }
        Self::AfterInspection(life_max.mul_f64(rng.f64().powi(2)))
    }

    /// Waits for it. Returns early if the process ends by itself.
    pub(crate) fn wait(self, life: &Life) {
        let life_time = match self {
            Self::AfterStart(time) => time,
            Self::AfterInspection(time) => {
                life.wait_for(|said| matches!(said, Said::Inspected(_) | Said::Violation(_)));
                time
            }
        };
        std::thread::sleep(life_time);
    }
}
