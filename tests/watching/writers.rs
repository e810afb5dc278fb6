//! Writers at full speed: each sends its next commit after the previous one was answered.
//!
//! Knows commits. Must not know who watches.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use annals::proto::CommitRequest;
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::{
    log::Answered,
    model::{Content, Kind, Write},
    serving::Serving,
    wire,
};

const WRITERS: usize = 8;
/// Counts are below this.
pub(crate) const COUNTS: i64 = 8;

/// Writers at work, and what they know.
pub(crate) struct Writers {
    tasks: JoinSet<BTreeMap<i64, Answered>>,
    stop: Arc<AtomicBool>,
    /// The newest revision that answered any of them.
    pub(crate) head: Arc<AtomicI64>,
}

impl Writers {
    pub(crate) async fn start(server: &Serving, rng: &mut Rng) -> Self {
        let mut writers = Self { tasks: JoinSet::new(), stop: Arc::default(), head: Arc::default() };
        for _ in 0..WRITERS {
            let (mut client, mut rng) = (server.client().await, rng.fork());
            let (stop, head) = (Arc::clone(&writers.stop), Arc::clone(&writers.head));
            writers.tasks.spawn(async move {
                let mut answered = BTreeMap::new();
                while !stop.load(Ordering::SeqCst) {
                    let writes = writes(&mut rng);
                    let request = CommitRequest::of(format!("{:x}", rng.u128(..)), writes.iter().map(wire::mutation));
                    let response = match client.commit(request).await {
                        Ok(response) => response.into_inner(),
                        Err(status) => {
                            assert!(
                                ["NAME_TAKEN", "RECORD_NOT_FOUND", "RECORD_DELETED"].contains(&&*wire::reason(&status)),
                                "{status:?}"
                            );
                            continue;
                        }
                    };
                    let kinds: Vec<_> = response.results.iter().map(|result| wire::kind(result.kind())).collect();
                    // A commit that changes nothing makes no revision.
                    if kinds.iter().any(|kind| *kind != Kind::Unchanged) {
                        answered.insert(response.revision, Answered { writes, kinds });
                        head.fetch_max(response.revision, Ordering::SeqCst);
                    }
                }
                answered
            });
        }
        writers
    }

    /// Fails if one of them has failed.
    pub(crate) fn check(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            panic!("a writer ended: {:?}", ended.map(drop));
        }
    }

    /// Stops them. Returns every answered commit, by revision.
    pub(crate) async fn stop(mut self) -> BTreeMap<i64, Answered> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = BTreeMap::new();
        while let Some(one) = self.tasks.join_next().await {
            for (revision, answered) in one.expect("no failure of a writer") {
                assert!(all.insert(revision, answered).is_none(), "{revision} was answered to two commits");
            }
        }
        all
    }
}

/// One to three writes, each to another record.
fn writes(rng: &mut Rng) -> Vec<Write> {
    let mut names: Vec<_> = (0..rng.usize(1..=3)).map(|_| name(rng)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| write(name, rng)).collect()
}

fn name(rng: &mut Rng) -> String {
    match rng.u8(..100) {
        event @ ..80 => format!("events/e{event}"),
        actor => format!("actors/a{actor}"),
    }
}

fn write(name: String, rng: &mut Rng) -> Write {
    let content = Content { title: "t".into(), count: rng.i64(0..COUNTS), labels: Vec::new() };
    match rng.u8(..20) {
        0..3 => Write::Update { name, content, if_revision: 0 },
        3..16 => Write::Upsert { name, content },
        16..18 => Write::Delete { name, if_revision: 0 },
        _ => Write::Undelete { name },
    }
}
