//! `annals export`: writes the records of one revision, in a format.
//!
//! Must not know what a format looks like, or how an export is resumed after a lost connection.

mod destination;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use self::destination::{BinaryFile, Destination, Folder, Standard, TextFile, Written};
use super::{
    access::{self, Access},
    arguments::{self, AsOf, FormatArgument},
    input::Compression,
    output::{self, Outcome, Output},
    report::counted,
};
use crate::{
    client::{Client, ClientOptions},
    formats::{
        self, FormatExporter,
        export::{RelatedRecords, TableExport},
    },
    model::{RecordKind, RecordName},
    proto::{ExportRequest, ExportResponse},
};

/// Export the records of the store to files, or to standard output.
///
/// All records are as of one revision. A text FILE that ends in .gz or .zst is compressed. FILE appears only when it is
/// complete: until then it is FILE.part. To resume an interrupted export at the same revision, run the same command again.
/// Transient errors are retried. Deleted and merged records are not exported. docs/formats has a page for each format.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals export -o all.ndjson.zst\n  annals export events claims --as-of 2024-10-23 -o october.ndjson.gz\n  \
                        annals export events --filter 'labels:\"x:1\"' | jq .title\n  annals export events --format csv | head\n  \
                        annals export --format csv -o tables/\n  \
                        annals export --format parquet -o tables/\n  \
                        annals export --format stix --as-of 2024-10-23 -o bundle.json"
)]
pub(super) struct Arguments {
    #[arg(value_parser = arguments::collection, value_name = "COLLECTION", help = arguments::collections_help())]
    collections: Vec<RecordKind>,
    /// The format of the output.
    #[arg(long, value_parser = FormatArgument::parser(|format| format.exporter.as_ref()), default_value = "records")]
    format: FormatArgument<FormatExporter>,
    /// Export the records of one collection that match this filter.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// Export the records as of a revision or a time: 12, 2024-10-23, 2024-10-23T08:00:00Z. Default: the current revision.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Write to this file. A format with one file per collection needs a folder for several collections. Default: standard
    /// output.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// Where the output goes.
enum Target {
    Standard,
    File(PathBuf),
    Folder(PathBuf),
}

/// Writes the records to the target, and prints how many they are.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let target = target(arguments)?;
    let table = arguments.format.table();
    if let Some(table) = table.filter(|table| arguments.collections.iter().any(|kind| *kind != table.kind)) {
        let (format, collection) = (arguments.format.name, table.kind.collection());
        bail!("--format {format} exports only {collection}: name no other collection");
    }
    let kinds = table.map_or(arguments.collections.clone(), |table| vec![table.kind]);
    arguments::check_filter("export", &kinds, &arguments.filter)?;
    let filter = match table {
        Some(table) if arguments.filter.is_empty() => table.filter.to_owned(),
        _ => arguments.filter.clone(),
    };
    let (as_of_revision, as_of_time) = AsOf::fields(arguments.as_of);
    let request =
        ExportRequest { types: arguments::types(&kinds), filter, as_of_revision, as_of_time, resume_token: String::new() };
    // On a terminal, the printed records show the progress.
    let progress = if matches!(target, Target::Standard) && out.is_terminal() { ProgressBar::hidden() } else { bar() };
    let written = access::block_on(async {
        let options: ClientOptions = access::options(&progress);
        let connection = arguments.access.connect_with(options).await?;
        let (client, format, related) = (&connection.client, arguments.format, RelatedRecords::default());
        let export = ExportRun { client, format, related, progress: &progress };
        let written = export.run(request, &kinds, target, out).await;
        connection.close().await?;
        written
    })?;
    progress.finish_and_clear();
    let noun = if table.is_some() { "row" } else { "record" };
    output::note(&format!("{} at revision {}", counted(written.records, noun), written.revision));
    Ok(Outcome::Done)
}

/// The output that the arguments name. Errs if it does not fit the format.
fn target(arguments: &Arguments) -> anyhow::Result<Target> {
    let is_one = arguments.collections.len() == 1;
    let name = arguments.format.name;
    match &arguments.output {
        None if !arguments.format.is_text() => bail!(
            "--format {name} cannot be written to standard output: name a file with -o FILE for one collection, or a folder with -o FOLDER"
        ),
        None if arguments.format.is_file_per_collection() && !is_one => {
            bail!("--format {name} writes a file for each collection: name a folder with -o FOLDER, or one collection")
        }
        None => Ok(Target::Standard),
        Some(path) if !arguments.format.is_text() && Compression::of(path) != Compression::None => {
            bail!("--format {name} compresses the content itself: name the file without .gz or .zst")
        }
        Some(path) if !arguments.format.is_file_per_collection() => Ok(Target::File(path.clone())),
        Some(path) if is_one && !is_folder(path) => Ok(Target::File(path.clone())),
        Some(path) => Ok(Target::Folder(path.clone())),
    }
}

/// Whether a path is a folder, or ends with a separator.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// One run of the command.
struct ExportRun<'a> {
    client: &'a Client,
    format: FormatArgument<FormatExporter>,
    related: RelatedRecords,
    progress: &'a ProgressBar,
}

impl ExportRun<'_> {
    async fn run(
        &self,
        request: ExportRequest,
        kinds: &[RecordKind],
        target: Target,
        out: &mut Output,
    ) -> anyhow::Result<Written> {
        let store_id = self.client.info().await?.store_id;
        match target {
            Target::Standard => {
                let text =
                    self.format.text(kinds, &store_id, &self.related).expect("`target` has refused a format that is not text");
                self.copy(request, Box::new(Standard::new(text, out)), Written::default()).await
            }
            Target::File(file) => {
                let to = self.open(&file, kinds, &request, &store_id)?;
                self.copy(request, to, Written::default()).await
            }
            Target::Folder(path) => self.fill(Folder::open(&path, self.identity(&request), store_id)?, request, kinds).await,
        }
    }

    /// Writes a file for each collection, all of one revision.
    async fn fill(&self, mut folder: Folder, request: ExportRequest, kinds: &[RecordKind]) -> anyhow::Result<Written> {
        let kinds = if kinds.is_empty() { &RecordKind::ALL[..] } else { kinds };
        for kind in kinds.iter().copied().filter(|kind| !folder.has(*kind)).collect::<Vec<_>>() {
            let mut request = ExportRequest { types: arguments::types(&[kind]), ..request.clone() };
            if let Some(revision) = folder.revision() {
                (request.as_of_revision, request.as_of_time) = (revision, None);
            }
            let mut to = self.open(&folder.file(kind, self.format.extension()), &[kind], &request, folder.store_id())?;
            let written = if folder.revision() == Some(0) {
                // Revision 0 is empty, and a request for revision 0 would mean the newest revision.
                to.write(&ExportResponse::default())?;
                to.finish()?;
                folder.written()
            } else {
                self.copy(request, to, folder.written()).await?
            };
            folder.add(kind, written)?;
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
        if let (Some(open), [kind, ..]) = (self.format.file(), kinds) {
            return Ok(Box::new(BinaryFile::open(file, *kind, open)?));
        }
        let text = self.format.text(kinds, store_id, &self.related).expect("a format that is not text has been opened above");
        Ok(Box::new(TextFile::open(file, text, self.identity(request), store_id)?))
    }

    /// The request and the format. Only a run with the same request and format may resume the export.
    fn identity(&self, request: &ExportRequest) -> Value {
        json!({"format": self.format.name, "request": formats::json::to_value(request)})
    }

    /// Writes all messages of an export. `before` counts the records in its other files.
    async fn copy(
        &self,
        mut request: ExportRequest,
        mut to: Box<dyn Destination + '_>,
        before: Written,
    ) -> anyhow::Result<Written> {
        let start = to.start();
        if start.written.records > 0 {
            self.progress.suspend(|| output::note(&format!("resuming after {} records", HumanCount(start.written.records))));
        }
        let mut written = Written { records: before.records + start.written.records, revision: start.written.revision };
        request.resume_token = start.resume_token;
        let mut export = self.client.export(request);
        while let Some(mut message) = export.message().await? {
            if let Some(table) = self.format.table() {
                complete_rows(self.client, table, &mut message, &self.related).await?;
            }
            to.write(&message)?;
            written.records += message.records.len() as u64;
            written.revision = message.revision;
            self.progress.set_position(written.records);
        }
        to.finish()?;
        Ok(written)
    }
}

/// A progress bar that counts records. The total is not known in advance.
fn bar() -> ProgressBar {
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} records  {per_sec}  {elapsed}") {
        progress.set_style(style);
    }
    progress
}

/// Keeps only the records of a message that are rows of a table, and reads their related records as of the same revision.
async fn complete_rows(
    client: &Client,
    table: &TableExport,
    message: &mut ExportResponse,
    related: &RelatedRecords,
) -> anyhow::Result<()> {
    let mut names = Vec::new();
    message.records.retain(|record| {
        let related = record.record.as_ref().and_then(|record| (table.related)(record));
        names.extend(related.iter().flatten().cloned());
        related.is_some()
    });
    // A name may be invalid because its id cannot be imported.
    names.retain(|name| name.parse::<RecordName>().is_ok());
    related.set(access::records_by_name(client, names, (message.revision, None)).await?);
    Ok(())
}
