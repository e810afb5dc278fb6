//! Measurements, not checks. Run with `--ignored --nocapture measure` in a release build.

use std::time::Instant;

// The allocator of the program. sled's inserts take about half the time with it.
#[cfg(feature = "cli")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use annals::engine::{
    Engine, LogSequence,
    embedded::{EmbeddedEngine, EmbeddedOptions},
};

use crate::workload::{batch, entries};

#[test]
#[ignore = "a measurement"]
fn measure() {
    let folder = tempfile::tempdir_in(std::env::var("ANNALS_MEASURE_IN").unwrap_or("/tmp".into())).unwrap();
    let records: u64 = std::env::var("ANNALS_RECORDS").map_or(100_000, |records| records.parse().unwrap());
    let open = || {
        let start = Instant::now();
        let engine = Engine::from(EmbeddedEngine::open(folder.path(), EmbeddedOptions::default()).unwrap());
        println!("opened in {:.2?}", start.elapsed());
        engine
    };
    let engine = open();
    let start = Instant::now();
    for head in 0..2000 {
        engine.log.append(LogSequence(head), &entries(1, [head + 1])).unwrap();
    }
    println!("{:.0} appends of one entry a second", 2000.0 / start.elapsed().as_secs_f64());

    let (mut appending, mut applying, mut head) = (0.0, 0.0, 2000);
    let mut used = cpu_seconds();
    while head < records {
        let group = entries(1, head + 1..=head + 1000);
        let start = Instant::now();
        engine.log.append(LogSequence(head), &group).unwrap();
        appending += start.elapsed().as_secs_f64();
        let batch = batch(&group);
        let start = Instant::now();
        engine.state.apply(batch).unwrap();
        applying += start.elapsed().as_secs_f64();
        head += 1000;
        if head % 50_000 == 0 {
            let (before, cpu) = (used, cpu_seconds());
            println!(
                "{head}: {:.0} entries appended, {:.0} applied a second; {:.1} us of processor an entry, this test's share included",
                50_000.0 / appending,
                50_000.0 / applying,
                (cpu - before) * 20.0
            );
            (appending, applying, used) = (0.0, 0.0, cpu);
        }
    }
    for size in [8, 16, 32, 64, 128, 256] {
        let start = Instant::now();
        let mut keys = 0;
        for _ in 0..2000 / size {
            let group = entries(1, head + 1..=head + size);
            let batch = batch(&group);
            keys += batch.stages[0].len();
            engine.state.apply(batch).unwrap();
            head += size;
        }
        let keys = u32::try_from(keys).unwrap();
        println!("stages of {} writes: {:.1?} a write", u64::from(keys) / (2000 / size), start.elapsed() / keys);
    }
    println!("log {} bytes, state {} bytes", engine.log.disk_bytes().unwrap(), engine.state.disk_bytes().unwrap());
    let start = Instant::now();
    engine.close().unwrap();
    println!("closed in {:.2?}", start.elapsed());
    drop(engine);
    let engine = open();
    assert_eq!(engine.state.distrust(), None);
    let start = Instant::now();
    let (mut read, mut bytes) = (0, 0);
    loop {
        let chunk = engine.log.read_after(LogSequence(read), 4 << 20).unwrap();
        let Some(last) = chunk.last() else { break };
        bytes += chunk.iter().map(|entry| entry.body.len()).sum::<usize>();
        read = last.sequence.0;
    }
    println!("{read} entries, {bytes} bytes read from the log in {:.2?}", start.elapsed());
}

/// Processor time of this process, which a busy machine does not distort.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, in hundredths of a second.
    [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}
