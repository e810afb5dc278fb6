//! The tables as Markdown: the cost of every call, the size of every population, and which targets are met.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{load::Measured, median::median, population::Usage};

const MIB: f64 = (1 << 20) as f64;

/// The tables that are printed at the end.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Rows,
    folders: BTreeMap<u64, Folder>,
}

/// A line of the first table. Lines are shown in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// Events of the population. 0 for the echo server, which has none.
    pub(crate) events: u64,
    /// The name of the call in the table.
    pub(crate) what: &'static str,
    /// Calls in progress.
    pub(crate) streams: usize,
    /// Records per call.
    pub(crate) records: u64,
}

/// One round: the measurement, and the measurement of the echo server just before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) own: Measured,
    pub(crate) echo: Measured,
}

/// All rounds of all rows.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<Row, Vec<Turn>>);

/// The size of a population, and how long its server is unavailable.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// Its size after loading.
    pub(crate) usage: Option<Usage>,
    /// Its size after all measured commits and a rebuild.
    pub(crate) usage_written: Option<Usage>,
    /// Peaks of resident memory while the server read, wrote, and rebuilt its state.
    pub(crate) reading_bytes: u64,
    pub(crate) writing_bytes: u64,
    pub(crate) rebuilding_bytes: u64,
    /// Time from the start of the server until its first answer.
    pub(crate) after_kill: Duration,
    pub(crate) after_power_cut: Duration,
}

impl Rows {
    pub(crate) fn add(&mut self, row: Row, turn: Turn) {
        self.0.entry(row).or_default().push(turn);
    }

    fn median(&self, row: Row, of: impl Fn(&Turn) -> f64) -> Option<f64> {
        median(self.0.get(&row)?.iter().map(of))
    }
}

impl Report {
    pub(crate) fn folder(&mut self, events: u64) -> &mut Folder {
        self.folders.entry(events).or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "| records | call | streams | calls/s | ratio to echo | p50 us | p99 us | p99, ratio to echo | server CPU us | ratio to echo |"
        )?;
        writeln!(to, "|--:|--|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for row in self.rows.0.keys() {
            let median = |of: fn(&Turn) -> f64| self.rows.median(*row, of).unwrap_or_default();
            let events = if row.events == 0 { "-".to_owned() } else { thousands(row.events as f64) };
            writeln!(
                to,
                "| {events} | {} | {} | {} | {:.2} | {} | {} | {:.1} | {:.0} | {:.1} |",
                row.what,
                row.streams,
                thousands(median(|turn| turn.own.rate)),
                median(|turn| turn.own.rate / turn.echo.rate),
                thousands(median(|turn| turn.own.p50_us)),
                thousands(median(|turn| turn.own.p99_us)),
                median(|turn| turn.own.p99_us / turn.echo.p99_us),
                median(|turn| turn.own.cpu_us),
                median(|turn| turn.own.cpu_us / turn.echo.cpu_us),
            )?;
        }
        self.fmt_folders(to)?;
        self.fmt_targets(to)
    }
}

impl Report {
    fn fmt_folders(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "\n| records | keys | keys and values MiB | state MiB | of them | log MiB | peak memory MiB: reading | writing | \
             rebuilding | s to answer after a kill | after a power cut |"
        )?;
        writeln!(to, "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for (events, folder) in &self.folders {
            for (when, usage) in [("", folder.usage), (" and commits", folder.usage_written)] {
                let Some(usage) = usage else { continue };
                let mib = |bytes: u64| thousands(bytes as f64 / MIB);
                let [reading, writing, rebuilding] = match when {
                    "" => [mib(folder.reading_bytes), String::new(), String::new()],
                    _ => [String::new(), mib(folder.writing_bytes), mib(folder.rebuilding_bytes)],
                };
                let [kill, cut] = match when {
                    "" => [String::new(), String::new()],
                    _ => [folder.after_kill, folder.after_power_cut].map(|time| format!("{:.1}", time.as_secs_f64())),
                };
                writeln!(
                    to,
                    "| {}{when} | {} | {} | {} | {:.1} | {} | {reading} | {writing} | {rebuilding} | {kill} | {cut} |",
                    thousands(*events as f64),
                    thousands(usage.keys as f64),
                    mib(usage.content_bytes),
                    mib(usage.state_bytes),
                    usage.state_bytes as f64 / usage.content_bytes as f64,
                    mib(usage.log_bytes),
                )?;
            }
        }
        Ok(())
    }

    fn fmt_targets(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "\n| target | required | measured | |\n|--|--:|--:|--|")?;
        let of_echo = |events, what, streams| {
            self.rows.median(Row { events, what, streams, records: 1 }, |turn| turn.own.rate / turn.echo.rate)
        };
        let p99 =
            |events, streams| self.rows.median(Row { events, what: "GetEvent", streams, records: 1 }, |turn| turn.own.p99_us);
        let bulk = |events| {
            let row = Row { events, what: "bulk commit of 100", streams: crate::BULK_STREAMS, records: crate::BULK_EVENTS };
            self.rows.median(row, |turn| turn.own.rate * crate::BULK_EVENTS as f64)
        };
        let (small, middle, large) = (10_000, 100_000, 1_000_000);
        let mut at_least = Vec::new();
        for (events, get, commit, records) in [(middle, 0.85, 0.25, 10_000.0), (large, 0.65, 0.12, 6_000.0)] {
            at_least.push((
                format!("GetEvent, 64 streams, {events} records, ratio to the echo"),
                get,
                of_echo(events, "GetEvent", 64),
            ));
            at_least.push((
                format!("Commit of 1, 64 streams, {events} records, ratio to the echo"),
                commit,
                of_echo(events, "Commit of 1", 64),
            ));
            at_least.push((format!("bulk commit of 100, {events} records, records/s"), records, bulk(events)));
        }
        let mut at_most = Vec::new();
        for (streams, times) in [(64, 1.3), (1, 2.0)] {
            let ratio = p99(large, streams).zip(p99(small, streams)).map(|(large, small)| large / small);
            at_most.push((
                format!("GetEvent, {streams} streams, p99 at {large} records divided by that at {small}"),
                times,
                ratio,
            ));
        }
        for (events, folder) in &self.folders {
            let peak = folder.reading_bytes.max(folder.writing_bytes).max(folder.rebuilding_bytes);
            at_most.push((format!("peak memory at {events} records, MiB"), 1024.0, Some(peak as f64 / MIB)));
            let ratio = |usage: Usage| usage.state_bytes as f64 / usage.content_bytes as f64;
            at_most.push((format!("state at {events} records divided by keys and values"), 3.5, folder.usage.map(ratio)));
            at_most.push((
                format!("time to the first answer after a kill at {events} records, s"),
                20.0,
                Some(folder.after_kill.as_secs_f64()),
            ));
            let millions = *events as f64 / large as f64;
            at_most.push((
                format!("time to the first answer after a power cut at {events} records, s"),
                120.0 * millions.max(0.1),
                Some(folder.after_power_cut.as_secs_f64()),
            ));
        }
        let at_least = at_least.into_iter().map(|target| (target, "at least"));
        for ((what, asked, measured), word) in at_least.chain(at_most.into_iter().map(|target| (target, "at most"))) {
            let Some(measured) = measured else { continue };
            let reached = if word == "at least" { measured >= asked } else { measured <= asked };
            let verdict = if reached { "reached" } else { "**missed**" };
            writeln!(to, "| {what} | {word} {} | {} | {verdict} |", figure(asked), figure(measured))?;
        }
        Ok(())
    }
}

fn figure(value: f64) -> String {
    if value >= 100.0 { thousands(value) } else { format!("{value:.2}") }
}

/// A whole number with its digits in groups of three.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
