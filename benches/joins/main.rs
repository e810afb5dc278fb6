//! Measures lists whose filter goes through a reference, beside the same list by a field of the record itself. Prints the table
//! of `docs/performance.md`.
//!
//! ```text
//! cargo bench --bench joins -- --records 1000000
//! ```
//! The population is one source, actors, claims, and twice as many estimates. Each estimate has a claim, and an attribution of
//! its own. The actors of claims and of estimates are drawn alike: actor number r is drawn in proportion to 1/r. So some actors
//! have said nearly nothing, and some a tenth of everything. Both lists ask for the same actor, one after the other.

// Figures are rounded for display.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::{path::PathBuf, time::Instant};

use annals::{
    engine::embedded::{EmbeddedEngine, EmbeddedOptions},
    model::RecordKind,
    proto::{
        Actor, Aspect, Attribution, AttributionRole, Citation, Claim, ClaimKind, CommitRequest, Estimand, Estimate,
        EstimateMode, EstimateOrigin, ListRecordsRequest, Mutation, Polarity, Quantity, Source,
    },
    store::{Store, StoreOptions},
};
use clap::Parser;
use fastrand::Rng;
use hdrhistogram::Histogram;

#[path = "../support/median.rs"]
mod median;

/// Mutations of one commit.
const AT_ONCE: u64 = 1000;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Records of the population.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Actors of the population.
    #[arg(long, default_value_t = 10_000)]
    actors: u64,
    /// Lists of each kind in one round.
    #[arg(long, default_value_t = 2000)]
    lists: u64,
    /// Rounds. Every figure is their median.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Where the data folder is kept for the next run. Without it, it is made in a temporary folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The lists that are compared, as filters. The first is the yardstick.
fn filters(actor: u64) -> [(&'static str, String); 4] {
    [
        ("attribution.actors = X", format!("attribution.actors = \"actors/a{actor}\"")),
        ("claim.attribution.actors = X", format!("claim.attribution.actors = \"actors/a{actor}\"")),
        ("speakers = X", format!("speakers = \"actors/a{actor}\"")),
        (
            "claim:(polarity = NEGATED AND ...)",
            format!("claim:(polarity = NEGATED AND attribution.actors = \"actors/a{actor}\")"),
        ),
    ]
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let store = Store::start(EmbeddedEngine::open(&folder, EmbeddedOptions::default())?, StoreOptions::default())?;
    store.wait_until_serving()?;
    if store.list_encoded(RecordKind::Source, &ListRecordsRequest::default())?.records.is_empty() {
        let start = Instant::now();
        populate(&store, &arguments)?;
        println!("{} records were written in {:.0} s", arguments.records, start.elapsed().as_secs_f64());
    }
    let mut figures: Vec<Vec<[f64; 3]>> = vec![Vec::new(); 4];
    for round in 0..arguments.rounds {
        let mut times = vec![Histogram::<u64>::new(3)?; 4];
        let mut rng = Rng::with_seed(round);
        for _list in 0..arguments.lists {
            let actor = drawn(&mut rng, arguments.actors);
            for ((_, filter), times) in filters(actor).into_iter().zip(&mut times) {
                let request = ListRecordsRequest { filter, ..Default::default() };
                let start = Instant::now();
                std::hint::black_box(store.list_encoded(RecordKind::Estimate, &request)?);
                times.record(start.elapsed().as_micros() as u64)?;
            }
        }
        for (figures, times) in figures.iter_mut().zip(&times) {
            figures.push([0.5, 0.99, 1.0].map(|quantile| times.value_at_quantile(quantile) as f64));
        }
    }
    println!("| filter of the list | p50 us | p99 us | max us | p99 divided by that of the first |\n|--|--|--|--|--|");
    for ((label, _), rounds) in filters(0).into_iter().zip(&figures) {
        let of = |at: usize| median::median(rounds.iter().map(|figures| figures[at])).unwrap_or_default();
        let ratios = rounds.iter().zip(&figures[0]).map(|(figures, first)| figures[1] / first[1]);
        let ratio = median::median(ratios).unwrap_or_default();
        println!("| `{label}` | {:.0} | {:.0} | {:.0} | {ratio:.1} |", of(0), of(1), of(2));
    }
    Ok(())
}

/// An actor, number r in proportion to 1/r.
fn drawn(rng: &mut Rng, actors: u64) -> u64 {
    ((rng.f64() * (actors as f64).ln()).exp() as u64).clamp(1, actors)
}

fn populate(store: &Store, arguments: &Arguments) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(7);
    let said_by = |rng: &mut Rng| {
        vec![Attribution {
            actors: vec![format!("actors/a{}", drawn(rng, arguments.actors))],
            role: AttributionRole::Origin.into(),
            ..Default::default()
        }]
    };
    let citations = || vec![Citation { source: "sources/s".into(), ..Default::default() }];
    let mut writer = Writer { store, mutations: Vec::new(), commits: 0 };
    writer.add(Mutation::create(Source { name: "sources/s".into(), title: "S".into(), ..Default::default() }))?;
    for number in 1..=arguments.actors {
        writer.add(Mutation::create(Actor {
            name: format!("actors/a{number}"),
            display_name: "A".into(),
            ..Default::default()
        }))?;
    }
    let claims = arguments.records.saturating_sub(arguments.actors) / 3;
    for number in 0..claims {
        let polarity = if rng.u32(..4) == 0 { Polarity::Negated } else { Polarity::Affirmed };
        writer.add(Mutation::create(Claim {
            name: format!("claims/c{number:07}"),
            statement: "It happened.".into(),
            kind: ClaimKind::Fact.into(),
            polarity: polarity.into(),
            attribution: said_by(&mut rng),
            citations: citations(),
            ..Default::default()
        }))?;
    }
    for number in 0..2 * claims {
        writer.add(Mutation::create(Estimate {
            name: format!("estimates/e{number:07}"),
            claim: format!("claims/c{:07}", rng.u64(..claims)),
            estimand: Some(Estimand { measure: "measure:fatalities".into(), ..Default::default() }),
            quantity: Some(Quantity { unit: "1".into(), best: Some(number as f64), ..Default::default() }),
            aspect: Aspect::Cumulative.into(),
            mode: EstimateMode::Estimated.into(),
            origin: EstimateOrigin::AsReported.into(),
            attribution: said_by(&mut rng),
            citations: citations(),
            ..Default::default()
        }))?;
    }
    writer.flush()
}

struct Writer<'s> {
    store: &'s Store,
    mutations: Vec<Mutation>,
    commits: u64,
}

impl Writer<'_> {
    fn add(&mut self, mutation: Mutation) -> anyhow::Result<()> {
        self.mutations.push(mutation);
        if self.mutations.len() as u64 >= AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.commits += 1;
        self.store.commit(CommitRequest::of(format!("population-{}", self.commits), std::mem::take(&mut self.mutations)))?;
        Ok(())
    }
}
