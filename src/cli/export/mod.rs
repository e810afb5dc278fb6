//! `annals export`: the records of one revision, in a format.
//!
//! Knows what is asked for, and how many files that makes. Must not know what a format looks like, or how an export is resumed on the
//! wire.

mod destination;
mod folder;
mod format;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use self::{
    destination::{Destination, Standard, TextFile},
    folder::Folder,
    format::Format,
};
use super::{
    Outcome,
    access::{self, Access},
    collection,
    compression::Compression,
    output::{self, Output},
    refusals::counted,
    time::AsOf,
};
use crate::{
    client::{Client, ClientOptions},
    formats::{self, export::Beside},
    model::RecordKind,
    proto::{ExportRequest, ExportResponse},
};

/// Write every record to files, or to standard output.
///
/// All are as of one revision. A FILE of text that ends in .gz or .zst is compressed. A file is there only when it is whole: until
/// then it is FILE.part, and running the same again goes on where it stopped, at the same revision. Deleted records and those
/// merged into others are not exported. docs/data-exchange.md tells what each format holds.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals export -o record.ndjson.zst\n  annals export events claims --as-of 2024-10-23 -o october.ndjson.gz\n  \
                        annals export events --filter 'labels:\"x:1\"' | jq .title\n  annals export events --format csv | head\n  \
                        annals export --format csv -o tables/\n  \
                        annals export --format parquet -o tables/\n  \
                        annals export --format stix --as-of 2024-10-23 -o bundle.json"
)]
pub(super) struct Arguments {
    /// sources, actors, events, claims, estimates, relations. Left out: all.
    #[arg(value_parser = collection::parse, value_name = "COLLECTION")]
    collections: Vec<RecordKind>,
    /// As what.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Which records, of one collection.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// As they were at a revision, or at a time: 12, 2024-10-23, 2024-10-23T08:00:00Z. Left out: as they are.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Where to. Left out: standard output. A folder, where the format has a file for each collection and several are asked for.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// How far an export has come.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    records: u64,
    revision: i64,
}

/// Where an export goes.
enum Target {
    Standard,
    File(PathBuf),
    Folder(PathBuf),
}

/// Writes them.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let target = target(arguments)?;
    let table = arguments.format.table();
    if let Some(table) = table.filter(|table| arguments.collections.iter().any(|kind| *kind != table.kind)) {
        bail!("--format {} is of {} alone: leave out the collections", arguments.format.name(), table.kind.collection());
    }
    let kinds = table.map_or(arguments.collections.clone(), |table| vec![table.kind]);
    let filter = match table {
        Some(table) if arguments.filter.is_empty() => table.filter.to_owned(),
        _ => arguments.filter.clone(),
    };
    let (as_of_revision, as_of_time) = AsOf::fields(arguments.as_of);
    let request =
        ExportRequest { types: collection::types(&kinds), filter, as_of_revision, as_of_time, resume_token: String::new() };
    // Lines on a terminal are progress enough.
    let progress = if matches!(target, Target::Standard) && out.is_terminal() { ProgressBar::hidden() } else { bar() };
    let done = access::block_on(async {
        let options: ClientOptions = access::options(&progress);
        let connection = arguments.access.connect_with(options).await?;
        let (client, format, beside) = (&connection.client, arguments.format, Beside::default());
        let export = Export { client, format, beside, progress: &progress };
        let done = export.run(request, &kinds, target, out).await;
        connection.close().await?;
        done
    })?;
    progress.finish_and_clear();
    let noun = if table.is_some() { "row" } else { "record" };
    output::note(&format!("{} at revision {}", counted(done.records, noun), done.revision));
    Ok(Outcome::Done)
}

/// Where it goes, if that fits the format.
fn target(arguments: &Arguments) -> anyhow::Result<Target> {
    let is_one = arguments.collections.len() == 1;
    let name = arguments.format.name();
    match &arguments.output {
        None if !arguments.format.is_text() => bail!(
            "--format {name} is not for standard output: name a file with -o FILE for one collection, or a folder with -o FOLDER"
        ),
        None if arguments.format.is_file_per_collection() && !is_one => {
            bail!("--format {name} is a file for each collection: name a folder with -o FOLDER, or one collection")
        }
        None => Ok(Target::Standard),
        Some(path) if !arguments.format.is_text() && Compression::of(path) != Compression::None => {
            bail!("--format {name} is compressed inside the file: name it without .gz or .zst")
        }
        Some(path) if !arguments.format.is_file_per_collection() => Ok(Target::File(path.clone())),
        Some(path) if is_one && !is_folder(path) => Ok(Target::File(path.clone())),
        Some(_) if !is_one && !arguments.filter.is_empty() => {
            bail!("--filter needs exactly one collection: its fields are that collection's")
        }
        Some(path) => Ok(Target::Folder(path.clone())),
    }
}

/// Whether a path is a folder's, or is meant to be.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// One run of the command.
struct Export<'a> {
    client: &'a Client,
    format: Format,
    beside: Beside,
    progress: &'a ProgressBar,
}

impl Export<'_> {
    async fn run(
        &self,
        request: ExportRequest,
        kinds: &[RecordKind],
        target: Target,
        out: &mut Output,
    ) -> anyhow::Result<Done> {
        let store_id = self.client.info().await?.store_id;
        match target {
            Target::Standard => {
                let text = self.format.text(kinds, &store_id, &self.beside).expect("what is no text has been refused");
                self.copy(request, Box::new(Standard::new(text, out)), Done::default()).await
            }
            Target::File(file) => {
                let to = self.open(&file, kinds, &request, &store_id)?;
                self.copy(request, to, Done::default()).await
            }
            Target::Folder(path) => self.fill(Folder::open(&path, self.asked(&request), store_id)?, request, kinds).await,
        }
    }

    /// A file for each collection, all of one revision.
    async fn fill(&self, mut folder: Folder, request: ExportRequest, kinds: &[RecordKind]) -> anyhow::Result<Done> {
        let kinds = if kinds.is_empty() { &RecordKind::ALL[..] } else { kinds };
        for kind in kinds.iter().copied().filter(|kind| !folder.has(*kind)).collect::<Vec<_>>() {
            let mut request = ExportRequest { types: collection::types(&[kind]), ..request.clone() };
            if let Some(revision) = folder.revision() {
                (request.as_of_revision, request.as_of_time) = (revision, None);
            }
            let mut to = self.open(&folder.file(kind, self.format.extension()), &[kind], &request, folder.store_id())?;
            let done = if folder.revision() == Some(0) {
                // Nothing is in revision 0, and asking for it would be asking for the newest.
                to.write(&ExportResponse::default())?;
                to.finish()?;
                folder.done()
            } else {
                self.copy(request, to, folder.done()).await?
            };
            folder.add(kind, done)?;
        }
        folder.finish()
    }

    fn open(
        &self,
        file: &Path,
        kinds: &[RecordKind],
        request: &ExportRequest,
        store_id: &str,
    ) -> anyhow::Result<Box<dyn Destination>> {
        #[cfg(feature = "parquet")]
        if let (Format::Parquet, [kind, ..]) = (self.format, kinds) {
            return Ok(Box::new(parquet::ParquetFile::open(file, *kind)?));
        }
        let text = self.format.text(kinds, store_id, &self.beside).expect("what is no text has been opened");
        Ok(Box::new(TextFile::open(file, text, self.asked(request), store_id)?))
    }

    /// What has to be the same for a run to go on with what another has begun.
    fn asked(&self, request: &ExportRequest) -> Value {
        json!({"format": self.format.name(), "request": formats::json::to_value(request)})
    }

    /// All messages of an export. `before`: what other files of it hold already.
    async fn copy(&self, mut request: ExportRequest, mut to: Box<dyn Destination + '_>, before: Done) -> anyhow::Result<Done> {
        let start = to.start();
        if start.records > 0 {
            self.progress.suspend(|| output::note(&format!("going on behind {} records", HumanCount(start.records))));
        }
        let mut done = Done { records: before.records + start.records, revision: start.revision };
        request.resume_token = start.resume_token;
        let mut export = self.client.export(request);
        while let Some(mut message) = export.message().await? {
            if let Some(table) = self.format.table() {
                rows::complete(self.client, table, &mut message, &self.beside).await?;
            }
            to.write(&message)?;
            done.records += message.records.len() as u64;
            done.revision = message.revision;
            self.progress.set_position(done.records);
        }
        to.finish()?;
        Ok(done)
    }
}

/// How many records there are in the end is known to nobody: what is counted is what came.
fn bar() -> ProgressBar {
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} records  {per_sec}  {elapsed}") {
        progress.set_style(style);
    }
    progress
}
